//! `reidtestsrc`: people who walk through the views of several cameras, and the truth about where they are.
//!
//! What `videotestsrc` is to video: a source to try pipelines with, to test every element end to end and to score them
//! against a truth that is exact. Sources with the same `seed`, `people`, `pattern` and `cameras` show the same world
//! at the same moment; each shows the view of its own `camera`.
//!
//! ```text
//! gst-launch-1.0 reidtestsrc camera=0 ! videoconvert ! autovideosink  reidtestsrc camera=1 ! videoconvert ! autovideosink
//! ```
//!
//! # The truth
//! Every buffer carries a `GstVideoRegionOfInterestMeta` of the type `reid-truth` for each person in the picture: the
//! rectangle holds the whole body as far as it lies in the picture, hidden parts included; the region's number and the
//! field `id` (int) of its parameter `truth` are the person's, the same in all cameras; `visibility` (double, 0 to 1)
//! is the part of the body that can be seen. [`truth::read`] reads it. It is not a detection: no element
//! of this plugin looks at it, and with `attach=detections` the boxes are attached a second time, as detections.

use glib::prelude::*;

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
        name = "Crossing: all cameras watch a place where people meet, pass or turn back",
        nick = "crossing"
    )]
    Crossing,
    /// Many people who hide each other.
    #[enum_value(
        name = "Crowd: all cameras watch a place full of people who hide each other",
        nick = "crowd"
    )]
    Crowd,
    /// Hardly different clothes.
    #[enum_value(
        name = "Similar: as walk, in clothes that hardly differ",
        nick = "similar"
    )]
    Similar,
    /// Nobody.
    #[enum_value(name = "Empty: the hall without anybody", nick = "empty")]
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
        name = "Truth: where people really are, as regions of the type reid-truth",
        nick = "truth"
    )]
    Truth,
    /// The truth, and the same boxes as detections.
    #[enum_value(
        name = "Detections: the truth, and its boxes once more as if a detector had found them",
        nick = "detections"
    )]
    Detections,
    /// Nothing.
    #[enum_value(name = "None: nothing but the picture", nick = "none")]
    None,
}

/// Registers `reidtestsrc`.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "reidtestsrc",
        gst::Rank::NONE,
        ReidTestSrc::static_type(),
    )
}
