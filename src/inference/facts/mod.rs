//! What a model is, concluded from what it declares: where the picture goes in, how pixels become numbers, how its
//! outputs are read, what its classes are called. Pure: plain data in, plain data or a readable error out.
//!
//! Precedence, strongest first: properties of the element, the [`Sidecar`](super::Sidecar), the model's own metadata (`reid.*`, else
//! Ultralytics' keys), the defaults of the family that the output layout belongs to.

mod detector;
mod embedder;
mod error;
#[cfg(test)]
mod fixtures;
mod input;
mod metadata;
mod pair;
mod picture;
mod spec;

pub use detector::{DEFAULT_DETECTOR_SIDE, DetectorFacts, DetectorInputs, DetectorWishes};
pub use embedder::{DEFAULT_EMBEDDER_SIZE, EmbedderFacts};
pub use error::FactsError;
pub use pair::{PairFacts, PairScore};
pub use picture::{PictureInput, Size};
