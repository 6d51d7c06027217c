//! `reidbin`: detector, embedder, tracker and, optionally, overlay in one element.
//!
//! ```text
//! gst-launch-1.0 filesrc location=a.mp4 ! decodebin ! queue ! reidbin gallery=lobby overlay=true ! videoconvert ! autovideosink
//! ```
//!
//! It contains `yolodetect ! queue ! reidembed ! queue ! reidtrack`, followed by `reidoverlay` with `overlay=true`, and behaves as
//! these elements one by one do. Its pads have the formats of the elements.
//!
//! # Properties
//! The bin has the properties that most pipelines need and passes each to its child: `detector` and `embedder` (their `model`),
//! `device` (of both; reads that of the detector), `gallery`, `gallery-location`, `camera` and `topology` (of the tracker), `blur`
//! (of the overlay). All others are available through `GstChildProxy` with the names of the children, `detect`, `embed`, `track` and
//! `overlay`:
//!
//! ```text
//! reidbin gallery=lobby detect::threshold=0.4 embed::max-objects=20 track::max-age=86400000000000
//! ```
//!
//! The child `overlay` exists while `overlay` is true. Its settings are kept while it does not. A change of `overlay` in PAUSED or
//! PLAYING takes effect at the next start. `blur` without `overlay=true` is an error at start. A camera without a name takes the name
//! of the bin where `reidtrack` would take its own.
//!
//! # Signals and messages
//! The bin has the signals of `reidtrack`, notifications (`identity-new`, …) and actions (`rename`, `merge`, `split`, `forget`).
//! Messages come from the children, as from any bin. An error of a child, such as a missing model, names its cause and remedy, and
//! the state change of the bin fails.
//!
//! # Latency
//! The two queues let detector, embedder and tracker run in parallel, each in a thread of its own. Each queue holds at most two
//! frames, whatever their size or duration, so that the latency is at most a few frames.

use glib::prelude::*;

mod children;
mod imp;
mod settings;

glib::wrapper! {
    /// The bin.
    pub struct ReidBin(ObjectSubclass<imp::ReidBin>)
        @extends gst::Bin, gst::Element, gst::Object,
        @implements gst::ChildProxy;
}

/// Registers `reidbin`.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "reidbin",
        gst::Rank::NONE,
        ReidBin::static_type(),
    )
}
