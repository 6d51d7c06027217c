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

use crate::core::person::Person;

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

/// Attaches `people` to the buffer, in place of what was there, and mirrors them to region-of-interest metas.
pub fn write_people(
    buffer: &mut gst::BufferRef,
    frame: FrameSize,
    people: Vec<Person>,
    origin: &roi::Origin,
) {
    roi::mirror(buffer, frame, &people, origin);
    #[cfg(feature = "v1_24")]
    analytics::mirror(buffer, frame, &people);
    PeopleMeta::set(buffer, frame, people);
}
