//! Errors of a frame that stop the stream, and how they are reported.

use gst::prelude::*;

use crate::{
    inference::{DetectError, InferenceError},
    media::FrameError,
};

/// Why a frame stops the stream.
#[derive(Debug, thiserror::Error)]
pub(in crate::elements) enum FrameFault {
    /// Its pixels cannot be reached.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The model cannot run.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The pixels do not fit into the model, or its boxes cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

impl From<DetectError> for FrameFault {
    fn from(error: DetectError) -> Self {
        match error {
            DetectError::Inference(error) => Self::Inference(error),
            other => Self::Unreadable(other.to_string()),
        }
    }
}

impl FrameFault {
    /// Posts the fault as `element`'s error and gives the flow error that goes with it.
    pub fn post(&self, element: &impl IsA<gst::Element>) -> gst::FlowError {
        match self {
            Self::Frame(FrameError::Format(_)) => {
                gst::element_error!(element, gst::StreamError::Format, ("{self}"));
                gst::FlowError::NotNegotiated
            }
            Self::Inference(error) => {
                element.post_error_message(error.to_message());
                gst::FlowError::Error
            }
            Self::Frame(_) | Self::Unreadable(_) => {
                gst::element_error!(element, gst::StreamError::Failed, ("{self}"));
                gst::FlowError::Error
            }
        }
    }
}
