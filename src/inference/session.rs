//! A session of ONNX Runtime: the file that it loads, its options, and its errors.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ort::{
    session::{Session, builder::GraphOptimizationLevel},
    value::{Outlet, TensorElementType, ValueType},
};

use super::{
    device::Device,
    engines,
    error::InferenceError,
    hush,
    model::{self, ElementType, ModelInfo, TensorInfo},
    precision::Precision,
    runtime::{self, Runtime},
};

/// Threads of a session by default (`threads=0`). With two, YOLOv8n of 640x640 takes as long and 10 % more processor time; other
/// cores are used by other streams and by further frames in flight.
const AUTO_THREADS: usize = 1;

/// Which model an element wants to run, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelRequest {
    /// The `.onnx` file.
    pub path: PathBuf,
    /// Where it runs.
    pub device: Device,
    /// Threads of one session; 0 chooses.
    pub threads: u32,
    /// The file itself or the 8-bit one beside it.
    pub precision: Precision,
}

/// The canonical path of a file that can be a model, or what is wrong with it in plain words.
pub(super) fn checked_file(path: &Path) -> Result<PathBuf, InferenceError> {
    let unreadable = |reason: String| InferenceError::ModelUnreadable {
        path: path.into(),
        reason,
    };
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => unreadable("does not exist".into()),
        _ => unreadable(format!("cannot be read ({error})")),
    })?;
    if metadata.is_dir() {
        return Err(unreadable("is a folder, not a file".into()));
    }
    if metadata.len() == 0 {
        return Err(unreadable("is empty".into()));
    }
    fs::File::open(path).map_err(|error| unreadable(format!("cannot be read ({error})")))?;
    path.canonicalize()
        .map_err(|error| unreadable(format!("cannot be read ({error})")))
}

/// A session of its own for the model, read from `file`: the request's, or the 8-bit one beside it.
pub(super) fn open_session(request: &ModelRequest, file: &Path) -> Result<Session, InferenceError> {
    let runtime = runtime::get()?;
    hush::without_schema_errors(&runtime.library, || build(runtime, request, file))
}

fn build(
    runtime: &Runtime,
    request: &ModelRequest,
    file: &Path,
) -> Result<Session, InferenceError> {
    let refused = |error: &dyn std::fmt::Display| InferenceError::ModelRefused {
        path: file.into(),
        reason: explained(&error.to_string()),
    };
    let threads = if request.threads == 0 {
        AUTO_THREADS
    } else {
        request.threads as usize
    };
    let providers = request
        .device
        .providers(|| engines::folder(file, &runtime.version))?;
    let builder = Session::builder(runtime.environment()).map_err(|error| refused(&error))?;
    let builder = builder
        // Not Level3: that number is new, and ONNX Runtime 1.21 refuses it.
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(|error| refused(&error))?;
    let builder = builder
        .with_intra_threads(threads)
        .map_err(|error| refused(&error))?;
    // Spinning threads steal the cores of decoders and encoders.
    let mut builder = builder
        .with_intra_op_spinning(false)
        .map_err(|error| refused(&error))?;
    if !providers.is_empty() {
        builder = builder
            .with_execution_providers(providers)
            .map_err(|error| InferenceError::Device {
                device: request.device.to_string(),
                reason: error.to_string(),
            })?;
    }
    builder
        .commit_from_file(file)
        .map_err(|error| refused(&error))
}

/// ONNX Runtime's message with a plain word about the usual causes.
fn explained(message: &str) -> String {
    let cause = if message.contains("external data")
        || message.contains("External data")
        || message.contains(".data")
    {
        "its weights lie in a second file that is missing beside it: "
    } else if message.contains("Protobuf parsing failed") || message.contains("INVALID_PROTOBUF") {
        "it is not an ONNX file, or it is truncated: "
    } else if message.contains("IR version") || message.contains("opset") {
        "it was exported for a newer ONNX Runtime than this one ('reidctl doctor' shows which it is): install a newer one, or export the model with an older version: "
    } else {
        ""
    };
    format!("{cause}{}", without_signature(message))
}

/// The message without the C++ source file, line and function that ONNX Runtime puts in front of it.
fn without_signature(message: &str) -> &str {
    let Some((_, rest)) = [".cc:", ".h:"]
        .iter()
        .find_map(|ending| message.split_once(ending))
    else {
        return message;
    };
    let plain = match rest.rsplit_once(") ") {
        Some((_, plain)) => plain,
        // A line number and a name without parameters.
        None => rest.splitn(3, ' ').last().unwrap_or(rest),
    };
    let plain = plain.trim();
    if plain.is_empty() { message } else { plain }
}

/// What the model says of itself.
pub(super) fn read_info(path: &Path, session: &Session) -> Result<ModelInfo, InferenceError> {
    let bytes = fs::read(path).map_err(|error| InferenceError::ModelUnreadable {
        path: path.into(),
        reason: format!("cannot be read ({error})"),
    })?;
    let mut metadata = std::collections::BTreeMap::new();
    if let Ok(custom) = session.metadata() {
        for key in custom.custom_keys().unwrap_or_default() {
            if let Some(value) = custom.custom(&key) {
                metadata.insert(key, value);
            }
        }
    }
    Ok(ModelInfo {
        path: path.into(),
        fingerprint: model::fingerprint(&bytes),
        inputs: session.inputs().iter().map(tensor_info).collect(),
        outputs: session.outputs().iter().map(tensor_info).collect(),
        metadata,
    })
}

fn tensor_info(outlet: &Outlet) -> TensorInfo {
    let (element, shape) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => (
            element_type(*ty),
            shape.iter().map(|&dim| usize::try_from(dim).ok()).collect(),
        ),
        _ => (ElementType::Other, Vec::new()),
    };
    TensorInfo {
        name: outlet.name().into(),
        element,
        shape,
    }
}

fn element_type(ty: TensorElementType) -> ElementType {
    match ty {
        TensorElementType::Float32 => ElementType::F32,
        TensorElementType::Float16 => ElementType::F16,
        TensorElementType::Uint8 => ElementType::U8,
        TensorElementType::Int8 => ElementType::I8,
        TensorElementType::Int32 => ElementType::I32,
        TensorElementType::Int64 => ElementType::I64,
        _ => ElementType::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_begin_with_the_cause_and_not_with_a_signature() {
        let message = "Load model from m.onnx failed:/onnxruntime_src/onnxruntime/core/graph/model.cc:182 onnxruntime::Model::Model(onnx::ModelProto&&, const onnxruntime::PathString&, const onnxruntime::ModelOptions&) Unsupported model IR version: 99, max supported IR version: 11\n";
        let text = explained(message);
        assert!(
            text.starts_with("it was exported for a newer ONNX Runtime"),
            "{text}"
        );
        assert!(
            text.ends_with(": Unsupported model IR version: 99, max supported IR version: 11"),
            "{text}"
        );
        assert_eq!(explained("no such device"), "no such device");
        let bare = "/src/core/session.cc:12 Initialize it is broken";
        assert_eq!(explained(bare), "it is broken");
    }
}
