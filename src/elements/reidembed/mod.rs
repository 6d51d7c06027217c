//! `reidembed`: computes an appearance vector for each person with an ONNX embedder, for re-identification.
//!
//! The picture passes unchanged. Boxes come from the [`crate::media::PeopleMeta`] of `yolodetect`, else from the regions of interest
//! of any other detector. Vectors are attached to the [`crate::media::PeopleMeta`]. Boxes are cropped from the frame in its native
//! format, without a conversion.
//!
//! ```text
//! gst-launch-1.0 filesrc location=a.mp4 ! decodebin ! queue ! yolodetect ! queue ! reidembed ! queue ! reidtrack ! reidoverlay ! videoconvert ! autovideosink
//! ```
//!
//! # Models
//! One picture input `[batch,3,height,width]` or `[batch,height,width,3]` and an output `[batch,dimension]`, in single or half
//! precision. The preprocessing is read from the model's metadata (`reid.color`, `reid.scale`, `reid.mean`, `reid.std`, …), else from
//! a `.toml` file beside it ([`crate::inference::sidecar`]). The default is RGB 0..1 with ImageNet's mean and standard deviation
//! ([`crate::inference::model_spec`]). Wrong preprocessing does not fail, but makes all vectors similar: the element warns when it
//! sees that.
//!
//! # Embedding cache
//! Embedding costs more than detecting, and the appearance of a person changes little within a few frames. A box that continues one
//! of an earlier frame keeps its vector until a new one is due: 0.1, 0.3, 0.5, 0.8, 1.1, 1.4, 1.9 and 2.4 s after the person appeared
//! and every second from then on; after 0.16 s when the crop is clearly better or of another shape or another box has just gone away;
//! every 0.2 s while boxes overlap, because they may be confused; at once when `reidtrack` requests it. A vector of an earlier frame
//! is marked: `reidtrack` uses it to track, and counts it as evidence of the identity once.
//!
//! `reuse-interval=N` embeds by a fixed rule instead: every N frames, boxes that appear together in turns, boxes that overlap others
//! in every frame. `reuse-interval=0` embeds every box in every frame.
//!
//! `reidtrack` requests vectors of uncertain people by the custom upstream event `reid-embed-request`, at most five times per second.
//! Its field `boxes` is a `GstValueArray` of int: x, y, width and height of each box in px.
//!
//! # Classes
//! Boxes of the classes in `object-class` are embedded. If it is not set: `person`, `people`, `pedestrian`, `human`, `man`, `woman`,
//! `child`, `0` and boxes without a class. Other boxes stay as they are. They get a track from `reidtrack` and no identity.
//!
//! # Messages
//! Besides errors, the element posts these warnings. Once: in 50 frames with detections, or until the end of the stream, no box is of
//! a class to embed; `reidtrack` is in front of it; different people all have nearly the same vector; a model with a dynamic batch
//! fails with more than one crop. At the first, tenth, hundredth, … case: the model gives NaN or zero vectors.
//!
//! # Statistics
//! The property `stats` is a structure with `frames`, `people`, `embedded`, `reused`, `skipped` (not selected or outside the frame),
//! `refused` (NaN or zero), `runs` of the model (uint64, since the start), `dimension`, `batch-limit` (uint), `preprocess-ms` and
//! `inference-ms` (double, means per crop).

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
