//! `reidpublish`: writes down who was seen, frame by frame, while the video passes untouched.
//!
//! ```text
//! … ! reidtrack ! reidpublish location=seen.jsonl ! …
//! … ! reidtrack ! reidpublish format=mot location=cam0.txt ! fakesink
//! ```
//!
//! `format=json-lines` writes a line for each frame with somebody in it (`add-empty`: for each frame), a superset of
//! what DL Streamer's `gvametaconvert` writes; of people whom the detector missed in this frame `reid` says for how long nobody
//! saw them (`unseen_ns`). `format=mot` writes a line for each person: frame (from 1), id, x, y, w, h,
//! confidence, -1, -1, -1. Tentative people, who have no number yet, are left out; without a tracker the detections are
//! written as they are (MOT id -1).
//!
//! `timestamp` is the stream time of the frame in ns: 0 at the start of a file or clip, whatever its time stamps; where
//! files follow one another (`concat`) it goes on. `utc` (RFC 3339) is when the frame was taken: what an RTSP camera says
//! (`rtspsrc add-reference-timestamp-meta=true`), else, of live sources, what the clock says; of files nobody knows, and
//! it is left out. `evidence.time` is on the clock of `timestamp`, below 0 for what was seen before the stream began.
//!
//! The file is replaced at start and complete at EOS and in NULL; in between it is at most a second behind, standard
//! output not at all. When writing fails in mid-stream (disk full) an error is posted and the stream ends with it.

use glib::prelude::*;

mod imp;
mod output;

glib::wrapper! {
    /// The publishing element.
    pub struct ReidPublish(ObjectSubclass<imp::ReidPublish>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// What is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstReidPublishFormat")]
#[repr(i32)]
pub enum PublishFormat {
    /// A JSON object a line.
    #[default]
    #[enum_value(name = "JSON lines: an object for each frame", nick = "json-lines")]
    JsonLines,
    /// MOT challenge.
    #[enum_value(
        name = "MOT: a line for each person, as the MOT challenge reads it",
        nick = "mot"
    )]
    Mot,
    /// Not yet.
    #[enum_value(
        name = "DeepStream minimal schema (not available yet)",
        nick = "deepstream-minimal"
    )]
    DeepstreamMinimal,
}

/// Registers `reidpublish`.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "reidpublish",
        gst::Rank::NONE,
        ReidPublish::static_type(),
    )
}
