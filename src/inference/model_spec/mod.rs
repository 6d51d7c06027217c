//! The specification of a model, derived from what it declares: picture input, preprocessing, output layout, class names.
//! Pure functions: plain data in, plain data or a readable error out.
//!
//! Precedence, highest first: properties of the element, the [`Sidecar`](super::Sidecar), the model's own metadata (`reid.*`, else
//! Ultralytics' keys), the defaults of the family that the output layout belongs to.

mod detector;
mod embedder;
mod error;
#[cfg(test)]
mod fixtures;
mod input;
mod input_spec;
mod metadata;
mod pair;
mod picture;

pub use detector::{DEFAULT_DETECTOR_SIDE, DetectorInputs, DetectorOverrides, DetectorSpec};
pub use embedder::{DEFAULT_EMBEDDER_SIZE, EmbedderSpec};
pub use error::ModelSpecError;
pub use pair::{PairScore, PairSpec};
pub use picture::{PictureInput, Size};
