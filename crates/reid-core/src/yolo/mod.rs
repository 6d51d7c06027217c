//! Detectors' outputs: which layout a model's tensors have, the boxes in them, and suppression of doubles.
//!
//! [`recognise`] turns shapes, names and metadata into a [`Head`], or says which property settles the doubt;
//! [`Head::decode`] turns tensors into [`Detection`]s in pixels of the model's input; [`nms`] keeps the strongest.

mod coco;
mod decode;
mod health;
mod layout;
mod nms;

pub use coco::COCO;
pub use decode::{
    ClassFilter, DecodeError, DecodeParams, Decoded, Detection, MAX_CANDIDATES, TensorView,
};
pub use health::{Health, Remark, SILENT_FRAMES, ZERO_FRAMES};
pub use layout::{Head, Hints, Layout, LayoutError, OutputInfo, recognise};
pub use nms::nms;
