//! `reidbin`: detector, embedder, tracker and, if wanted, overlay in one element.
//!
//! ```text
//! gst-launch-1.0 filesrc location=a.mp4 ! decodebin ! queue ! reidbin gallery=lobby overlay=true ! videoconvert ! autovideosink
//! ```
//!
//! Inside is `yolodetect ! queue ! reidembed ! queue ! reidtrack`, followed by `reidoverlay` with `overlay=true`. It does
//! what these elements do side by side; the pads have their formats.
//!
//! # Properties
//! The bin has the properties that most pipelines need, and passes each to the child that it belongs to: `detector` and
//! `embedder` (their `model`), `device` (of both; reads that of the detector), `gallery`, `gallery-location`, `camera` and
//! `topology` (of the tracker), `blur` (of the overlay). All others are reached through `GstChildProxy` by the names of the
//! children, `detect`, `embed`, `track` and `overlay`:
//!
//! ```text
//! reidbin gallery=lobby detect::threshold=0.4 embed::max-objects=20 track::max-age=86400000000000
//! ```
//!
//! The child `overlay` exists while `overlay` is true. What it was set to is kept while it does not. `overlay` changed in
//! PAUSED or PLAYING takes effect at the next start. `blur` without `overlay=true` would hide nobody and is an error at start.
//! A camera without a name takes that of the bin where `reidtrack` would take its own.
//!
//! # Signals and messages
//! The signals of `reidtrack`, those that tell (`identity-new`, …) and those that ask (`rename`, `merge`, `split`, `forget`),
//! are also the bin's. Messages come from the children, as from any bin; an error of a child, of a model that is missing
//! for instance, says its cause and remedy, and the state change of the bin fails.
//!
//! # Latency
//! The two queues let detector, embedder and tracker work at the same time, each in a thread of its own. Each holds at most two
//! frames, whatever their size or duration, so that a picture that waits is at most a few frames old.

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
