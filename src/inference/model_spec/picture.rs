//! Shape and element type of a picture input.

use crate::{core::preprocess::TensorLayout, inference::model::ElementType};

/// Width and height, px.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// px
    pub width: usize,
    /// px
    pub height: usize,
}

impl Size {
    /// A square.
    pub const fn square(side: usize) -> Self {
        Self {
            width: side,
            height: side,
        }
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// The input that takes pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureInput {
    /// Its place among the inputs.
    pub index: usize,
    /// Single or half precision.
    pub element: ElementType,
    /// Order of its axes.
    pub tensor: TensorLayout,
    /// Pictures at a time; `None` is open.
    pub batch: Option<usize>,
    /// Width, px; `None` is open.
    pub width: Option<usize>,
    /// Height, px; `None` is open.
    pub height: Option<usize>,
}
