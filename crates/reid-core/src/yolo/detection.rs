//! Decoded detections and counters of a frame.

use super::layout::Layout;
use crate::geometry::Rect;

/// One detected object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Box in pixels of the model's input; may lie partly outside.
    pub rect: Rect,
    /// 0..=1.
    pub score: f32,
    /// Class number in the model's own list.
    pub class_id: u32,
}

/// One output tensor as the runtime gave it, labels and half precision already widened.
#[derive(Clone, Copy, Debug)]
pub struct TensorView<'a> {
    /// Lengths, outermost first.
    pub shape: &'a [usize],
    /// As many numbers as the lengths' product, last dimension fastest.
    pub data: &'a [f32],
}

/// Which classes are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClassFilter {
    /// Every class.
    #[default]
    All,
    /// These class numbers.
    Only(Vec<u32>),
}

impl ClassFilter {
    /// True when boxes of that class are wanted.
    pub fn wants(&self, class_id: u32) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.contains(&class_id),
        }
    }
}

/// What decides whether a box is taken.
#[derive(Clone, Copy, Debug)]
pub struct DecodeParams<'a> {
    /// Lowest score taken, 0..=1.
    pub threshold: f32,
    /// Classes taken. A box belongs to its best class, wanted or not.
    pub classes: &'a ClassFilter,
}

/// What was seen beside the boxes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Decoded {
    /// Highest score of a wanted class, whether it passed or not; `None` when the output was empty.
    pub best_score: Option<f32>,
    /// Scores and boxes dropped because they were NaN or infinite.
    pub not_finite: usize,
    /// Scores dropped because they were above 1: the layout is probably another one.
    pub implausible: usize,
    /// Boxes dropped because they have no area or none inside the picture: the layout is probably another one.
    pub misplaced: usize,
}

/// Why an output cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum DecodeError {
    #[error("the model gave {got} outputs, but layout {layout} reads output {needed}")]
    Missing {
        layout: Layout,
        needed: usize,
        got: usize,
    },
    #[error(
        "an output of shape {shape:?} with {numbers} values does not fit layout {layout}; set the property `layout`"
    )]
    Shape {
        layout: Layout,
        shape: Vec<usize>,
        numbers: usize,
    },
}
