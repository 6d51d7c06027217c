//! The property `precision`: the model file itself, or the 8-bit file beside it.
//!
//! `NAME.int8.onnx` lies beside `NAME.onnx` and says in its metadata which file it was quantized from ([`SOURCE_KEY`]). Its
//! vectors count as those of the original: both have one fingerprint, and machines with different processors can share a
//! gallery.

use std::{fs, path::PathBuf};

use super::{
    device::Device,
    error::InferenceError,
    model::{self, ModelInfo},
    session::ModelRequest,
};

/// Metadata key of an 8-bit file: the hash ([`model::fingerprint`]) of the file that it was quantized from, 16 hexadecimal digits.
pub const SOURCE_KEY: &str = "reid.quantized-from";

/// Which arithmetic a model runs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, glib::Enum)]
#[enum_type(name = "GstReidPrecision")]
#[repr(i32)]
pub enum Precision {
    /// The 8-bit file on processors that gain from it, if there is one that was made from the model.
    #[default]
    #[enum_value(
        name = "Auto: 8 bits where the processor has instructions for it and NAME.int8.onnx lies beside the model, else fp32",
        nick = "auto"
    )]
    Auto,
    /// The model file as it is.
    #[enum_value(name = "The model file as it is", nick = "fp32")]
    Float32,
    /// The 8-bit file; an error where there is none.
    #[enum_value(name = "NAME.int8.onnx beside the model", nick = "int8")]
    Int8,
}

impl std::str::FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "fp32" => Ok(Self::Float32),
            "int8" => Ok(Self::Int8),
            _ => Err(format!("precision '{text}' is none of auto, fp32, int8")),
        }
    }
}

/// The 8-bit file that is to be loaded for a request, if any. Only the CPU's: GPUs have their own ways.
pub(super) fn quantized_file(request: &ModelRequest) -> Result<Option<PathBuf>, InferenceError> {
    let file = request.path.with_extension("int8.onnx");
    match request.precision {
        Precision::Float32 => Ok(None),
        Precision::Auto => {
            let pays = request.device == Device::Cpu && has_dot_product();
            Ok(Some(file).filter(|file| pays && file.is_file()))
        }
        Precision::Int8 if file.is_file() => Ok(Some(file)),
        Precision::Int8 => Err(InferenceError::ModelUnreadable {
            path: request.path.clone(),
            reason: format!(
                "has no 8-bit file beside it ({}), which precision=int8 asks for",
                file.display()
            ),
        }),
    }
}

/// Gives the facts of an 8-bit file the fingerprint of the model that it was quantized from. Fails when it was made from another
/// file than the request's.
pub(super) fn adopt_source(
    info: &mut ModelInfo,
    request: &ModelRequest,
) -> Result<(), InferenceError> {
    let bytes = fs::read(&request.path).map_err(|error| InferenceError::ModelUnreadable {
        path: request.path.clone(),
        reason: format!("cannot be read ({error})"),
    })?;
    let source = model::fingerprint(&bytes);
    let told = info.metadata.get(SOURCE_KEY);
    if told.and_then(|hex| u64::from_str_radix(hex, 16).ok()) != Some(source.0) {
        return Err(InferenceError::ModelUnsuitable {
            path: info.path.clone(),
            reason: format!(
                "it was not quantized from {} ('{SOURCE_KEY}' in its metadata says from which file it was): quantize that file anew, or set precision=fp32",
                request.path.display()
            ),
        });
    }
    info.fingerprint = source;
    Ok(())
}

/// Whether the processor multiplies and adds 8-bit integers in one step (VNNI, DotProd). Without it 8-bit models are slower than the
/// original on many processors.
fn has_dot_product() -> bool {
    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    let has =
        std::is_x86_feature_detected!("avx512vnni") || std::is_x86_feature_detected!("avxvnni");
    #[cfg(target_arch = "aarch64")]
    let has = std::arch::is_aarch64_feature_detected!("dotprod");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
    let has = false;
    has
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: PathBuf, precision: Precision, device: Device) -> ModelRequest {
        ModelRequest {
            path,
            device,
            threads: 1,
            precision,
        }
    }

    #[test]
    fn the_file_beside_the_model_is_taken_where_it_pays() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("a.b.onnx");
        let small = folder.path().join("a.b.int8.onnx");
        fs::write(&model, b"model").unwrap();
        let file = |precision, device| quantized_file(&request(model.clone(), precision, device));
        assert_eq!(file(Precision::Auto, Device::Cpu).unwrap(), None);
        let text = file(Precision::Int8, Device::Cpu).unwrap_err().to_string();
        assert!(text.contains("a.b.int8.onnx"), "{text}");
        fs::write(&small, b"small").unwrap();
        assert_eq!(file(Precision::Float32, Device::Cpu).unwrap(), None);
        assert_eq!(
            file(Precision::Int8, Device::Cpu).unwrap(),
            Some(small.clone())
        );
        assert_eq!(file(Precision::Auto, Device::Cuda(0)).unwrap(), None);
        let expected = has_dot_product().then_some(small);
        assert_eq!(file(Precision::Auto, Device::Cpu).unwrap(), expected);
    }

    #[test]
    fn only_the_file_that_it_was_made_from_lends_its_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.onnx");
        fs::write(&path, b"foobar").unwrap();
        let request = request(path, Precision::Int8, Device::Cpu);
        let mut info = ModelInfo {
            path: "m.int8.onnx".into(),
            fingerprint: model::fingerprint(b"small"),
            inputs: Vec::new(),
            outputs: Vec::new(),
            metadata: [(SOURCE_KEY.to_owned(), "85944171f73967e8".to_owned())].into(),
        };
        adopt_source(&mut info, &request).unwrap();
        assert_eq!(info.fingerprint, model::fingerprint(b"foobar"));
        for other in ["85944171f73967e9", "", "no number"] {
            info.metadata.insert(SOURCE_KEY.into(), other.into());
            let text = adopt_source(&mut info, &request).unwrap_err().to_string();
            assert!(text.contains("precision=fp32"), "{text}");
        }
    }
}
