//! `reidoverlay`: draws people in the colours of their identities, the same in every camera.
//!
//! ```text
//! gst-launch-1.0 filesrc location=a.mp4 ! decodebin ! yolodetect ! reidembed ! reidtrack ! reidoverlay ! videoconvert ! autovideosink
//! ```
//!
//! Draws in place, in every format of the pad templates, without a converter. The colour depends on the id alone; people who are not
//! confirmed yet are grey. Frames with nothing to draw pass without a copy.
//!
//! A sink that lays drawings over the picture itself (GL, Wayland, VA, `fakevideosink`) gets them as
//! `GstVideoOverlayCompositionMeta`: no pixel is touched, as with `textoverlay`. Blurring always changes pixels.
//!
//! # Labels
//! `label-format` is a text with placeholders: `{id}` (17), `{name}` (the name that a user gave, else P17), `{track}` (track in this
//! camera), `{state}` (pending, new, matched), `{score}` and `{margin}` (similarities of the match), `{confidence}` (the detector's
//! score), `{class}`. People without an identity have no label; `show-scores` draws the detector's score for everybody. Characters
//! that the element's own font (Latin, Greek, Cyrillic) lacks come from the fonts of the system. A name that no font has is shown as
//! the id.
//!
//! # Privacy
//! `blur` anonymises people with large blocks in the picture itself. Uncertain cases are blurred: identities that are still `pending`
//! count as unknown; a box that the detector misses stays blurred for half a second where it was; in a frame without inference
//! (`inference-interval`) the last positions of people are blurred, or the whole picture when they are not known. Only people whom the
//! detector finds can be blurred.

use gst::prelude::*;

mod composition;
mod imp;

glib::wrapper! {
    /// The drawing element.
    pub struct ReidOverlay(ObjectSubclass<imp::ReidOverlay>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Whom to anonymise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstReidOverlayBlur")]
#[repr(i32)]
pub enum BlurMode {
    /// Nobody.
    #[default]
    #[enum_value(name = "None: nobody", nick = "none")]
    None,
    /// Uncertain identities.
    #[enum_value(
        name = "Unknown: people without an identity, or with a pending one",
        nick = "unknown"
    )]
    Unknown,
    /// Everybody.
    #[enum_value(name = "All: everybody", nick = "all")]
    All,
    /// All but some.
    #[enum_value(
        name = "Except: everybody except those in blur-except",
        nick = "except"
    )]
    Except,
}

/// Registers `reidoverlay`.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    BlurMode::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(
        Some(plugin),
        "reidoverlay",
        gst::Rank::NONE,
        ReidOverlay::static_type(),
    )
}
