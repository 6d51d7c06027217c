//! Around the making of appearance vectors: which boxes need a new one ([`Reuse`], [`Selection`]) and whether the
//! model's vectors mean anything ([`Health`]), and whether anybody gets one at all ([`ClassWatch`]).

mod classes;
mod health;
mod reuse;
mod select;

pub use classes::ClassWatch;
pub use health::{Health, Remark};
pub use reuse::{Candidate, Decision, Reuse, Rule};
pub use select::Selection;
