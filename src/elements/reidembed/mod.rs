//! `reidembed`: describes each person by a vector, made by an ONNX embedder, so that the same person can be recognised
//! elsewhere.
//!
//! The picture passes unchanged. Boxes come from the [`crate::media::PeopleMeta`] of `yolodetect`, else from the regions
//! of interest of any other detector; their vectors are attached to the [`crate::media::PeopleMeta`]. Boxes are cropped from the
//! frame as it lies in memory, without converting it.
//!
//! ```text
//! gst-launch-1.0 filesrc location=a.mp4 ! decodebin ! queue ! yolodetect ! queue ! reidembed ! queue ! reidtrack ! reidoverlay ! videoconvert ! autovideosink
//! ```
//!
//! # Which models
//! One picture input `[batch,3,height,width]` or `[batch,height,width,3]` and an output `[batch,dimension]`, in single or half
//! precision. How pixels become numbers is read from the model's metadata (`reid.color`, `reid.scale`, `reid.mean`, `reid.std`, …), else
//! from a `.toml` file beside it ([`crate::inference::sidecar`]), else the usual way is assumed: RGB 0..1 with ImageNet's
//! mean and deviation ([`crate::inference::model_spec`]). A wrong guess does not fail, it makes everybody look alike: the element
//! watches for that and says so.
//!
//! # How often
//! Embedding costs more than detecting, and a person looks much the same a few frames later. A box that continues one of the frames before
//! keeps its vector until a new one is worth making: 0.1, 0.3, 0.5, 0.8, 1.1, 1.4, 1.9 and 2.4 s after the person came and every second from then on; sooner
//! (0.16 s) when the crop is clearly better or of another shape or another box has just gone away, every 0.2 s while boxes
//! overlap, because they may be exchanged, and at once when `reidtrack` asks. A vector that is carried on is attached as such: `reidtrack`
//! follows people by it, and counts it as evidence of who they are once.
//!
//! `reuse-interval=N` makes vectors by a fixed rule instead: every N frames, boxes that appear together in turns, boxes that overlap
//! others in every frame; `reuse-interval=0` describes every box in every frame.
//!
//! `reidtrack` asks for people whom it cannot tell yet by a custom upstream event `reid-embed-request`, at most five times a second; its field
//! `boxes` is a `GstValueArray` of int, x, y, width and height of each in px.
//!
//! # Whom
//! Boxes of the classes that `object-class` names; where it was not set, of the classes that are commonly people: `person`,
//! `people`, `pedestrian`, `human`, `man`, `woman`, `child`, `0` and boxes without a name. Others stay as they are, get a track
//! from `reidtrack` and no identity.
//!
//! # Messages
//! Besides errors, the element posts a warning once when the detector finds things in 50 frames, or until the end of the
//! stream, and none is of a class to embed, once when `reidtrack` is in front of it, when the model gives NaN or zero vectors (with their number: at the first,
//! the tenth, the hundredth, …), once when different people all get nearly the same vector, and once when a
//! model that declares an open batch fails with more than one crop.
//!
//! # Statistics
//! The property `stats` is a structure with `frames`, `people`, `embedded`, `reused`, `skipped` (not selected or outside the
//! frame), `refused` (NaN or zero), `runs` of the model (uint64, since the start), `dimension`, `batch-limit` (uint), `preprocess-ms`
//! and `inference-ms` (double, means a crop).

use glib::prelude::*;

mod imp;
mod worker;

glib::wrapper! {
    /// The embedder.
    pub struct ReidEmbed(ObjectSubclass<imp::ReidEmbed>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Registers `reidembed`.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "reidembed",
        gst::Rank::NONE,
        ReidEmbed::static_type(),
    )
}
