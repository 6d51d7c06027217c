//! From pixels in memory to a model's input tensor: what the model wants ([`InputSpec`]), where a picture lies in it
//! ([`LetterboxPlan`]).

mod plan;
mod spec;

pub use plan::{Extent, LetterboxPlan};
pub use spec::{ColorOrder, InputSpec, ResizeMode, TensorLayout};
