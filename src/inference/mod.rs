//! ONNX Runtime: finding the library and the models, model specs, devices, and the pool of sessions that cameras share.

pub mod catalogue;
pub mod detector;
pub mod device;
pub mod embedder;
mod engines;
pub mod error;
mod hush;
pub mod literal;
pub mod model;
pub mod model_spec;
pub mod models;
pub mod pair;
mod places;
pub mod pool;
pub mod precision;
pub mod runtime;
mod session;
pub mod sidecar;
mod tensor;
mod values;

pub use detector::{
    DetectError, DetectOutcome, DetectParams, DetectTimes, Detector, DetectorRequest, read_labels,
};
pub use embedder::{CropError, EmbedOutcome, Embedder, EmbedderRequest};
pub use error::InferenceError;
pub use model::{ElementType, ModelInfo, TensorInfo};
pub use model_spec::{
    DetectorInputs, DetectorOverrides, DetectorSpec, EmbedderSpec, ModelSpecError, PairScore,
    PairSpec, PictureInput, Size,
};
pub use pair::{PairError, PairScorer};
pub use pool::SharedModel;
pub use precision::Precision;
pub use session::ModelRequest;
pub use sidecar::{MeasuredCalibration, Sidecar, SidecarError, VisitScores};
pub use values::{InputTensor, OutputTensor};
