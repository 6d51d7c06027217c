//! The property `device`: the execution provider of ONNX Runtime that runs a model.

use std::path::PathBuf;

use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};

use super::error::InferenceError;

/// A place to run models.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// ONNX Runtime's own CPU kernels.
    Cpu,
    /// NVIDIA GPU number n through CUDA.
    Cuda(i32),
    /// NVIDIA GPU number n through TensorRT.
    TensorRt(i32),
    /// Intel's OpenVINO with its own device name ("CPU", "GPU", "NPU", "AUTO:GPU,CPU", ...).
    OpenVino(String),
}

/// What the property accepts, for its blurb and for errors.
pub const DEVICE_HELP: &str = "cpu, cuda[:N], tensorrt[:N] or openvino[:DEVICE]";

impl Device {
    /// Reads the property: `cpu`, `cuda`, `cuda:1`, `tensorrt`, `openvino`, `openvino:GPU`; case does not matter.
    pub fn parse(text: &str) -> Result<Self, InferenceError> {
        let (kind, detail) = text
            .split_once(':')
            .map_or((text, None), |(kind, detail)| (kind, Some(detail)));
        let bad = |reason: &str| InferenceError::Device {
            device: text.into(),
            reason: reason.into(),
        };
        let number = || {
            detail.map_or(Ok(0), |n| {
                n.parse()
                    .map_err(|_| bad("the GPU's number is not a number"))
            })
        };
        match kind.to_ascii_lowercase().as_str() {
            "cpu" if detail.is_none() => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(number()?)),
            "tensorrt" => Ok(Self::TensorRt(number()?)),
            "openvino" => Ok(Self::OpenVino(detail.unwrap_or("CPU").to_ascii_uppercase())),
            _ => Err(bad(&format!("it is not one of {DEVICE_HELP}"))),
        }
    }

    /// The providers to register with a session, the preferred one first; none for the CPU. Fails when this ONNX Runtime was
    /// built without the one asked for: asked for CUDA and silently given the CPU is what nobody wants. `engines` is where
    /// TensorRT keeps what it has built.
    pub(super) fn providers(
        &self,
        engines: impl FnOnce() -> Option<PathBuf>,
    ) -> Result<Vec<ExecutionProviderDispatch>, InferenceError> {
        match self {
            Self::Cpu => Ok(Vec::new()),
            Self::Cuda(n) => Ok(vec![self.checked(cuda(*n))?]),
            Self::TensorRt(n) => {
                let first = self.checked(tensorrt(*n, engines))?;
                // What TensorRT cannot do stays on the GPU instead of going to the CPU and back.
                let second = self.checked(cuda(*n))?;
                Ok(vec![first, second])
            }
            Self::OpenVino(name) => Ok(vec![
                self.checked(ep::OpenVINO::default().with_device_type(name))?,
            ]),
        }
    }

    /// True where every new shape of the input costs much: TensorRT builds another engine (minutes), CUDA looks for the
    /// best kernels again (seconds).
    pub fn wants_one_shape(&self) -> bool {
        matches!(self, Self::Cuda(_) | Self::TensorRt(_))
    }

    fn checked<P>(&self, provider: P) -> Result<ExecutionProviderDispatch, InferenceError>
    where
        P: ExecutionProvider + Into<ExecutionProviderDispatch>,
    {
        if P::is_available().unwrap_or(false) {
            return Ok(provider.into().error_on_failure());
        }
        let reason = format!(
            "the ONNX Runtime in use was built without {} (it has: {})",
            P::NAME,
            available().join(", ")
        );
        Err(InferenceError::Device {
            device: self.to_string(),
            reason,
        })
    }
}

fn cuda(device: i32) -> ep::CUDA {
    ep::CUDA::default().with_device_id(device)
}

fn tensorrt(device: i32, engines: impl FnOnce() -> Option<PathBuf>) -> ep::TensorRT {
    let provider = ep::TensorRT::default().with_device_id(device);
    match engines() {
        Some(folder) => provider
            .with_engine_cache(true)
            .with_engine_cache_path(folder.display())
            .with_timing_cache(true)
            .with_timing_cache_path(folder.display()),
        None => provider,
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => write!(f, "cpu"),
            Self::Cuda(n) => write!(f, "cuda:{n}"),
            Self::TensorRt(n) => write!(f, "tensorrt:{n}"),
            Self::OpenVino(name) => write!(f, "openvino:{name}"),
        }
    }
}

/// The devices that the opened ONNX Runtime was built for. Being built for one does not mean that the hardware is there.
pub fn available() -> Vec<&'static str> {
    let has = |yes: ort::Result<bool>, name| yes.unwrap_or(false).then_some(name);
    [
        Some("cpu"),
        has(ep::CUDA::is_available(), "cuda"),
        has(ep::TensorRT::is_available(), "tensorrt"),
        has(ep::OpenVINO::is_available(), "openvino"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_fed_one_shape() {
        for (name, expected) in [
            ("cpu", false),
            ("openvino", false),
            ("cuda", true),
            ("tensorrt:1", true),
        ] {
            assert_eq!(Device::parse(name).unwrap().wants_one_shape(), expected);
        }
    }

    #[test]
    fn tensorrt_keeps_its_engines_where_there_is_a_place() {
        let options =
            |folder: Option<&str>| format!("{:?}", tensorrt(2, || folder.map(PathBuf::from)));
        let kept = options(Some("/cache/x"));
        for part in [
            "device_id",
            "trt_engine_cache_enable",
            "trt_timing_cache_enable",
            "/cache/x",
        ] {
            assert!(kept.contains(part), "{part}: {kept}");
        }
        assert!(!options(None).contains("trt_engine_cache"));
    }

    #[test]
    fn names_are_read() {
        let cases = [
            ("cpu", Device::Cpu),
            ("CUDA", Device::Cuda(0)),
            ("cuda:2", Device::Cuda(2)),
            ("openvino:gpu", Device::OpenVino("GPU".into())),
            ("openvino", Device::OpenVino("CPU".into())),
        ];
        for (text, expected) in cases {
            assert_eq!(Device::parse(text).unwrap(), expected);
        }
        for bad in ["", "gpu", "cuda:x", "cpu:1"] {
            let error = Device::parse(bad).unwrap_err().to_string();
            assert!(error.contains("device"), "{error}");
        }
    }
}
