//! `reidoverlay`: draws who is where, in colours that mean the same person in every camera.
//!
//! ```text
//! gst-launch-1.0 filesrc location=a.mp4 ! decodebin ! yolodetect ! reidembed ! reidtrack ! reidoverlay ! videoconvert ! autovideosink
//! ```
//!
//! Works in every format of the pad templates without a converter, in place. The colour is a function of the identity's
//! number alone; people who are not confirmed yet are grey. Frames on which nothing is to be drawn pass untouched,
//! without a copy.
//!
//! # Labels
//! `label-format` is a text with placeholders: `{id}` (17), `{name}` (the name that was given, else P17), `{track}` (the number in
//! this camera), `{state}` (pending, new, matched), `{score}` and `{margin}` (similarities of the recognition),
//! `{confidence}` (the detector's score), `{class}`. People without an identity have no label; `show-scores` writes the
//! detector's score for everybody. Letters that the element's own font (Latin, Greek, Cyrillic) lacks come from the fonts of
//! the system; a name that no font can write is shown as the id.
//!
//! # Privacy
//! `blur` makes people unrecognisable by large squares, in the picture itself. In doubt it hides: identities that are
//! still `pending` count as unknown; a box that the detector misses stays hidden for half a second where it was; a frame
//! that nobody has looked at (`inference-interval`) is hidden where people were just before, and wholly when that is not
//! known. It can only hide whom the detector finds.

use glib::prelude::*;

mod imp;

glib::wrapper! {
    /// The drawing element.
    pub struct ReidOverlay(ObjectSubclass<imp::ReidOverlay>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Who is made unrecognisable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstReidOverlayBlur")]
#[repr(i32)]
pub enum BlurMode {
    /// Nobody.
    #[default]
    #[enum_value(name = "None: nobody", nick = "none")]
    None,
    /// Whoever is not known for certain.
    #[enum_value(
        name = "Unknown: everybody without an identity, or with one that is still pending",
        nick = "unknown"
    )]
    Unknown,
    /// Everybody.
    #[enum_value(name = "All: everybody", nick = "all")]
    All,
    /// All but some.
    #[enum_value(
        name = "Except: everybody but those whom blur-except lists",
        nick = "except"
    )]
    Except,
}

/// Registers `reidoverlay`.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "reidoverlay",
        gst::Rank::NONE,
        ReidOverlay::static_type(),
    )
}
