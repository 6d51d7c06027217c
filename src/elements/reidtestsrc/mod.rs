//! `reidtestsrc`: people walking through the views of several cameras, with the ground truth.
//!
//! It is to this plugin what `videotestsrc` is to video: a source to try pipelines, test elements and score them against an exact
//! ground truth. Sources with the same `seed`, `people`, `pattern` and `cameras` show the same scene at the same time; each shows the
//! view of its own `camera`.
//!
//! ```text
//! gst-launch-1.0 reidtestsrc camera=0 ! videoconvert ! autovideosink  reidtestsrc camera=1 ! videoconvert ! autovideosink
//! ```
//!
//! # Ground truth
//! Every buffer has a `GstVideoRegionOfInterestMeta` of the type `reid-truth` for each person in the picture. The rectangle is the
//! whole body within the picture, hidden parts included. The `id` of the region and the field `id` (int) of its parameter `truth` are
//! the person's, the same in all cameras; `visibility` (double, 0 to 1) is the visible part of the body. [`truth::read`] reads it. It
//! is not a detection: no element of this plugin uses it. With `attach=detections` the boxes are attached a second time, as detections.

use gst::prelude::*;

mod imp;
pub mod truth;

glib::wrapper! {
    /// The test source.
    pub struct ReidTestSrc(ObjectSubclass<imp::ReidTestSrc>)
        @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

/// What the people of the test source do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstReidTestSrcPattern")]
#[repr(i32)]
pub enum TestPattern {
    /// One camera after the other, unseen in between.
    #[default]
    #[enum_value(
        name = "Walk: people pass one camera after the other, unseen in between",
        nick = "walk"
    )]
    Walk,
    /// Close encounters.
    #[enum_value(
        name = "Crossing: all cameras see one area where people meet, pass or turn back",
        nick = "crossing"
    )]
    Crossing,
    /// Many people who occlude each other.
    #[enum_value(
        name = "Crowd: all cameras see one area full of people who occlude each other",
        nick = "crowd"
    )]
    Crowd,
    /// Similar clothes.
    #[enum_value(name = "Similar: as walk, with similar clothes", nick = "similar")]
    Similar,
    /// Nobody.
    #[enum_value(name = "Empty: no people", nick = "empty")]
    Empty,
}

/// What the test source attaches to its buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstReidTestSrcAttach")]
#[repr(i32)]
pub enum Attach {
    /// The truth, as regions that no element takes for detections.
    #[default]
    #[enum_value(
        name = "Truth: ground truth, as regions of the type reid-truth",
        nick = "truth"
    )]
    Truth,
    /// The truth, and the same boxes as detections.
    #[enum_value(
        name = "Detections: ground truth, and its boxes as detections",
        nick = "detections"
    )]
    Detections,
    /// Nothing.
    #[enum_value(name = "None: no metadata", nick = "none")]
    None,
}

/// Registers `reidtestsrc`.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    TestPattern::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    Attach::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(
        Some(plugin),
        "reidtestsrc",
        gst::Rank::NONE,
        ReidTestSrc::static_type(),
    )
}
