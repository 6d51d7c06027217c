//! The property `device`: which execution provider of ONNX Runtime runs a model.

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

    /// The provider to register with a session; `None` for the CPU. Fails when this ONNX Runtime was built without it:
    /// asked for CUDA and silently given the CPU is what nobody wants.
    pub(super) fn provider(&self) -> Result<Option<ExecutionProviderDispatch>, InferenceError> {
        match self {
            Self::Cpu => Ok(None),
            Self::Cuda(n) => self.checked(ep::CUDA::default().with_device_id(*n)),
            Self::TensorRt(n) => self.checked(ep::TensorRT::default().with_device_id(*n)),
            Self::OpenVino(name) => self.checked(ep::OpenVINO::default().with_device_type(name)),
        }
    }

    fn checked<P>(&self, provider: P) -> Result<Option<ExecutionProviderDispatch>, InferenceError>
    where
        P: ExecutionProvider + Into<ExecutionProviderDispatch>,
    {
        if P::is_available().unwrap_or(false) {
            return Ok(Some(provider.into().error_on_failure()));
        }
        let reason = format!(
            "the ONNX Runtime in use was built without it (it has: {})",
            available().join(", ")
        );
        Err(InferenceError::Device {
            device: self.to_string(),
            reason,
        })
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
