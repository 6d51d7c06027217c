//! A layout with the parameters derived from a model's shapes.

use super::layout::Layout;

/// Strides of a feature pyramid's levels.
pub(super) type Strides = &'static [usize];

/// Strides of YOLOX and NanoDet (their reference implementations).
pub(super) const STRIDES: Strides = &[8, 16, 32];

/// How a model's outputs are to be read: the layout and the numbers that its shape leaves open.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    pub(super) layout: Layout,
    pub(super) classes: Option<usize>,
    /// Indices of the outputs that matter, in the layout's own order.
    pub(super) outputs: Vec<usize>,
    pub(super) input_width: usize,
    pub(super) input_height: usize,
}

impl Head {
    /// The layout.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Number of classes, where the shape tells it; outputs that carry class numbers do not.
    pub fn classes(&self) -> Option<usize> {
        self.classes
    }
}
