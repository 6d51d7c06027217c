//! Around the embedder: which boxes need a new vector ([`EmbeddingCache`], [`Selection`]), whether the model's vectors are
//! plausible ([`SanityCheck`]), and whether any box is of a class to embed ([`ClassWatch`]).

mod cache;
mod classes;
mod sanity;
mod select;

pub use cache::{Candidate, Decision, EmbeddingCache, Rule};
pub use classes::ClassWatch;
pub use sanity::{SanityCheck, Warning};
pub use select::Selection;
