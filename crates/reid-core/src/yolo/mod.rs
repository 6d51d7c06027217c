//! Detectors' outputs: recognition of the layout, decoding of the boxes, and non-maximum suppression.
//!
//! [`recognise`] turns shapes, names and metadata into a [`Head`], or returns an error that names the property to set;
//! [`Head::decode`] turns tensors into [`Detection`]s in pixels of the model's input; [`nms`] keeps those with the highest scores.

mod coco;
mod decode;
mod detection;
mod families;
mod head;
mod layout;
mod nms;
mod outputs;
mod reader;
mod recognise;
mod sanity;
mod sink;

pub use coco::COCO;
pub use decode::MAX_CANDIDATES;
pub use detection::{ClassFilter, DecodeError, DecodeParams, Decoded, Detection, TensorView};
pub use head::Head;
pub use layout::{Hints, Layout, LayoutError, OutputInfo};
pub use nms::nms;
pub use recognise::recognise;
pub use sanity::{SILENT_FRAMES, SanityCheck, Warning, ZERO_FRAMES};
