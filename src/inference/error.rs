//! Errors between a model file and its output, and how elements report them.

use std::path::PathBuf;

/// A fault of inference. Messages name the cause and what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum InferenceError {
    #[error(
        "ONNX Runtime was not found or is too old (1.{minimum} or newer is needed). Searched:\n{tried}\
         Install it with 'apt install libonnxruntime-dev' (Debian 13 and newer) or 'pip install onnxruntime' (for this user, in the active virtual \
         environment or for the system: it is found there), or set ORT_DYLIB_PATH to a libonnxruntime.so"
    )]
    RuntimeNotFound { minimum: u32, tried: String },
    #[error("ONNX Runtime at {library} could not be initialised: {reason}")]
    RuntimeInit { library: PathBuf, reason: String },
    #[error(
        "model '{name}' was not found. Searched:\n{tried}Set the property 'model' to a file, or GST_REID_MODELS to the folder that contains it"
    )]
    ModelNotFound { name: String, tried: String },
    #[error(
        "model '{name}' is known, but not here: fetch it with 'reidctl models get {name}', or give its file to 'reidctl models import FILE --name {name}'. Searched:\n{tried}"
    )]
    ModelNotFetched { name: String, tried: String },
    #[error("model '{path}' {reason}: check the property 'model'")]
    ModelUnreadable { path: PathBuf, reason: String },
    #[error("model '{path}' could not be loaded: {reason}")]
    ModelRefused { path: PathBuf, reason: String },
    #[error("model '{path}': {reason}")]
    ModelUnsuitable { path: PathBuf, reason: String },
    #[error("labels '{path}' could not be read: {reason}: check the property 'labels-file'")]
    LabelsUnreadable { path: PathBuf, reason: String },
    #[error(
        "device '{device}' cannot be used: {reason}. Set the property 'device' to 'cpu', or install an ONNX Runtime built for that device"
    )]
    Device { device: String, reason: String },
    #[error(
        "model-instance-id '{id}' is already used for {other}; elements that share an id must use the same model, device and threads"
    )]
    InstanceConflict { id: String, other: String },
    #[error("inference failed: {0}")]
    Run(String),
}

impl InferenceError {
    /// The GStreamer error that says the same: domain and code for applications, text for people.
    pub fn to_message(&self) -> gst::ErrorMessage {
        match self {
            Self::RuntimeNotFound { .. }
            | Self::ModelNotFound { .. }
            | Self::ModelNotFetched { .. } => {
                gst::error_msg!(gst::ResourceError::NotFound, ("{self}"))
            }
            Self::RuntimeInit { .. } => gst::error_msg!(gst::LibraryError::Init, ("{self}")),
            Self::ModelUnreadable { .. }
            | Self::ModelRefused { .. }
            | Self::LabelsUnreadable { .. } => {
                gst::error_msg!(gst::ResourceError::OpenRead, ("{self}"))
            }
            Self::ModelUnsuitable { .. } | Self::Device { .. } | Self::InstanceConflict { .. } => {
                gst::error_msg!(gst::LibraryError::Settings, ("{self}"))
            }
            Self::Run(_) => gst::error_msg!(gst::LibraryError::Failed, ("{self}")),
        }
    }
}
