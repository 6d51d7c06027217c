//! Between GStreamer's buffers and the plain types of [`crate::core`]: mapped frames, the typed meta that travels
//! between our elements, and its mirror for everybody else's. The only place with `unsafe`.

#[cfg(feature = "v1_24")]
mod analytics;
pub mod caps;
pub mod frame;
pub mod people;
pub mod roi;

pub use frame::{FrameError, MappedFrame};
pub use people::{FrameSize, PeopleMeta};

use crate::core::{geometry::Rect, person::Person};

/// Region type under which `reidtestsrc` attaches the truth. Never read as a detection, never published.
pub const TRUTH_ROI_TYPE: &str = "reid-truth";

/// The people of a buffer, from whoever found them: our own meta when it is there, else the regions of interest (or,
/// with feature `v1_24`, the analytics metas) of another detector. `None` when nobody has looked at this frame, which is not the same as an empty list.
pub fn read_people(buffer: &gst::BufferRef, frame: FrameSize) -> Option<Vec<Person>> {
    match buffer.meta::<PeopleMeta>() {
        Some(meta) => Some(meta.people().to_vec()),
        None => roi::read_detections(buffer, frame).or_else(|| read_analytics(buffer)),
    }
}

#[cfg(feature = "v1_24")]
fn read_analytics(buffer: &gst::BufferRef) -> Option<Vec<Person>> {
    analytics::read_detections(buffer)
}

#[cfg(not(feature = "v1_24"))]
fn read_analytics(_: &gst::BufferRef) -> Option<Vec<Person>> {
    None
}

/// Attaches `people` to the buffer, in place of what was there, and mirrors them to region-of-interest metas. Regions
/// that are there for the same boxes are completed.
pub fn write_people(
    buffer: &mut gst::BufferRef,
    frame: FrameSize,
    people: Vec<Person>,
    origin: &roi::Origin,
) {
    attach(buffer, frame, people, None, origin);
}

/// Like [`write_people`], for people whose boxes have moved: `before` are the boxes of [`read_people`], which the first
/// of `people` had; the others are new on this buffer. Regions that are there for `before` follow.
pub fn rewrite_people(
    buffer: &mut gst::BufferRef,
    frame: FrameSize,
    people: Vec<Person>,
    before: &[Rect],
    origin: &roi::Origin,
) {
    attach(buffer, frame, people, Some(before), origin);
}

fn attach(
    buffer: &mut gst::BufferRef,
    frame: FrameSize,
    people: Vec<Person>,
    before: Option<&[Rect]>,
    origin: &roi::Origin,
) {
    roi::mirror(buffer, frame, &people, before, origin);
    #[cfg(feature = "v1_24")]
    analytics::mirror(buffer, frame, &people, before);
    PeopleMeta::set(buffer, frame, people);
}
