//! Why a model cannot be used.

use super::picture::Size;
use crate::{core::yolo::LayoutError, inference::model::ElementType};

/// Why a model cannot be used as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ModelSpecError {
    #[error("it has no picture input: its inputs are {0}")]
    NoPictureInput(String),
    #[error(
        "its input {input} has no batch dimension: [1,3,height,width] or [1,height,width,3] is needed; export it with one"
    )]
    NoBatch { input: String },
    #[error(
        "its input {input} has the wrong rank: [1,3,height,width] or [1,height,width,3] is needed"
    )]
    WrongRank { input: String },
    #[error("its input {input} does not take three colour channels")]
    WrongChannels { input: String },
    #[error("its input {input} takes elements of type {element:?}: float32 or float16 is needed")]
    WrongElement { input: String, element: ElementType },
    #[error(
        "its input {input} has a fixed batch size of {batch}: a batch size of 1 or a dynamic one is needed"
    )]
    WrongBatch { input: String, batch: usize },
    #[error("its input {0} is not supported: only a picture and orig_target_sizes are")]
    UnknownInput(String),
    #[error("its input is fixed at {declared}, but the .toml file sets {asked}")]
    FixedSize { declared: Size, asked: Size },
    #[error("metadata '{key}' is '{value}', which is not {expected}")]
    Metadata {
        key: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error("its task is '{found}', not '{wanted}': check the property `model`")]
    Task { found: String, wanted: &'static str },
    #[error("it has no output of shape [batch,dimension]: its outputs are {0}")]
    NoEmbedding(String),
    #[error(
        "it has no output '{name}' of shape [batch,dimension]: its outputs are {outputs}. Correct `output` in the model's .toml file (or metadata reid.output)"
    )]
    NoSuchOutput { name: String, outputs: String },
    #[error(
        "it does not compare two pictures: it needs two picture inputs of the same shape, its inputs are {0}"
    )]
    NoPair(String),
    #[error(transparent)]
    Layout(#[from] LayoutError),
}
