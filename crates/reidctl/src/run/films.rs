//! Recordings that play even when their end is never written.

use gst::prelude::*;

/// A recording that is cut off by a crash, a kill or a power cut loses at most this much, ms.
const FRAGMENT_MS: u32 = 1_000;

/// Makes the pipeline's MP4 files playable while they grow: in fragments, which become one ordinary file at its end.
pub fn write_in_fragments(pipeline: &gst::Pipeline) {
    let elements = pipeline.iterate_recurse().into_iter().flatten();
    for muxer in elements.filter(|e| e.factory().is_some_and(|f| f.name() == "mp4mux")) {
        muxer.set_property("fragment-duration", FRAGMENT_MS);
        muxer.set_property_from_str("fragment-mode", "first-moov-then-finalise");
    }
}
