//! Around the making of appearance vectors: which boxes need a new one ([`Reuse`], [`Selection`]) and whether the
//! model's vectors mean anything ([`Health`]).

mod health;
mod reuse;
mod select;

pub use health::{Health, Remark};
pub use reuse::{Decision, Reuse};
pub use select::Selection;
