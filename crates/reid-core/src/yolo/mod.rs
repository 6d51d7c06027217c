//! Detectors' outputs: which layout a model's tensors have, the boxes in them, and suppression of doubles.
//!
//! [`recognise`] turns shapes, names and metadata into a [`Head`], or says which property settles the doubt;
//! [`Head::decode`] turns tensors into [`Detection`]s in pixels of the model's input; [`nms`] keeps the strongest.

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
