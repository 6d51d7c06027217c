//! `reidpublish`: writes the people of each frame to a file, while the video passes unchanged.
//!
//! ```text
//! … ! reidtrack ! reidpublish location=seen.jsonl ! …
//! … ! reidtrack ! reidpublish format=mot location=cam0.txt ! fakesink
//! ```
//!
//! `format=json-lines` writes a line for each frame with people (`add-empty`: for each frame), a superset of the output of DL
//! Streamer's `gvametaconvert`. For people whom the detector missed in this frame `reid` has the time since they were last seen
//! (`unseen_ns`). `format=mot` writes a line for each person: frame (from 1), id, x, y, w, h, confidence, -1, -1, -1. Tentative
//! people, who have no identity yet, are left out. Without a tracker the detections are written as they are (MOT id -1).
//! `format=deepstream-minimal` writes the minimal schema of NVIDIA DeepStream's `nvmsgconv` for programs that read it.
//!
//! `timestamp` is the stream time of the frame in ns: 0 at the start of a file or clip, whatever its timestamps. It continues where
//! files follow one another (`concat`). `utc` (RFC 3339) is when the frame was taken: from an RTSP camera with `rtspsrc
//! add-reference-timestamp-meta=true`, else, for live sources, from the clock; it is left out for files. `evidence.time` is on the
//! clock of `timestamp`, negative for sightings before the stream began.
//!
//! The file is replaced at start (`append=true`: gone on with) and complete at EOS and in NULL. In between it is at most a second behind; standard output is not
//! buffered. When writing fails (disk full) the element posts an error and the stream ends.

use gst::prelude::*;

#[cfg(any(feature = "mqtt", feature = "kafka"))]
mod address;
#[cfg(any(feature = "mqtt", feature = "kafka"))]
mod connect;
mod file;
mod imp;
#[cfg(feature = "kafka")]
mod kafka;
mod lines;
mod link;
#[cfg(feature = "mqtt")]
mod mqtt;
mod output;
mod report;
mod socket;
#[cfg(any(feature = "mqtt", feature = "kafka"))]
mod tls;
mod waiting;

glib::wrapper! {
    /// The publishing element.
    pub struct ReidPublish(ObjectSubclass<imp::ReidPublish>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// The output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstReidPublishFormat")]
#[repr(i32)]
pub enum PublishFormat {
    /// One JSON object per line.
    #[default]
    #[enum_value(name = "JSON lines: one object per frame", nick = "json-lines")]
    JsonLines,
    /// MOT challenge.
    #[enum_value(
        name = "MOT: one line per person, in the format of the MOT challenge",
        nick = "mot"
    )]
    Mot,
    /// NVIDIA DeepStream's minimal schema.
    #[enum_value(
        name = "DeepStream minimal schema: one JSON object per frame, one text per person",
        nick = "deepstream-minimal"
    )]
    DeepstreamMinimal,
}

/// Checks a value of `location` that names a broker of `protocol` (`mqtt` or `kafka`, with or without TLS), and the password that the
/// environment gives, without connecting. The error says what is wrong, without the password.
pub fn check_broker(protocol: &str, location: &str) -> Result<(), String> {
    #[cfg(any(feature = "mqtt", feature = "kafka"))]
    if let Some(checked) = connect::check(protocol, location) {
        return checked.map_err(|error| error.to_string());
    }
    Err(output::OpenError::of_scheme(protocol, location).to_string())
}

/// Registers `reidpublish`.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    PublishFormat::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(
        Some(plugin),
        "reidpublish",
        gst::Rank::NONE,
        ReidPublish::static_type(),
    )
}
