//! `reidtrack`: follows people through a camera's frames and recognises them across cameras.
//!
//! Takes the people that `yolodetect` and `reidembed` (or any other detector that attaches regions of interest) found,
//! gives each a track within the camera and an identity within the gallery that the element names. All elements of the
//! process that name the same gallery share its people: the same person has the same number in every camera.
//!
//! ```text
//! … ! yolodetect ! reidembed ! reidtrack gallery=lobby camera=door ! reidoverlay ! …
//! ```
//!
//! # What is attached
//! Every person's `track` and, once the track is confirmed, `identity`. A confirmed person always carries a number;
//! `pending` says that it may still turn out to be another's, which is announced. Tentative people carry a track and
//! no identity. On frames that no detector has looked at (`yolodetect inference-interval`), the people of the last
//! frame that it did look at are attached where they are predicted to be, so that an overlay does not flicker. So is, for
//! 0.2 s, a confirmed person whom the detector misses, unless they were walking out of the picture. `unseen_ns` (in the
//! region's `reid`, in JSON where it is not 0) says how long ago the box was last seen; such people carry no vector. A
//! frame in which a detector found nobody is not one that it passed over: tracks age. Regions of another detector cannot
//! tell the two apart; from such a detector, a frame without regions is one in which nobody was found.
//!
//! # What is announced
//! By signals and by element messages on the bus (`reid-identity-new`, `-matched`, `-merged`, `-split`, `-corrected`, `-lost`,
//! `-left`), each from the element whose frame brought it about:
//!
//! * `identity-new` (id, camera, track): a number appeared.
//! * `identity-matched` (id, camera, track, score): a track was recognised.
//! * `identity-merged` (from, into): two numbers are one person; `from` is gone for good.
//! * `identity-split` (from, into): one number is two people; `from` stays with one, `into` is new (and told by
//!   `identity-new` before).
//! * `identity-corrected` (from, into, camera, track): a track that carried `from` carries `into` from now on; both stay.
//! * `identity-lost` (id): no camera sees the person any more.
//!
//! # What can be asked
//! Action signals, each of which says whether it was done: `rename` (id, name), `merge` (from, into), `forget` (id), and
//! `split` (id, camera; empty = undo the newest merge), which returns the new number or 0.
//!
//! # Where people are kept
//! In memory, until the last element of the gallery goes; or at `gallery-location`, in a file of SQLite or on a
//! PostgreSQL server, so that a restart, another process or another machine knows them. Streaming never waits for the
//! place: what changes is written within a second, and when the place fails a warning says so, the pipeline goes on and
//! everything is written later. `forget` waits until the place has erased the person. A place holds the vectors of one
//! model; another model's are an error. With `thumbnails` it holds one small picture of each person, too: cut where no
//! lock is held, encoded by the thread that writes, erased with the person.
//!
//! # What the camera is called
//! `camera`, else the name of the file that is played (without its ending) or of the device, or the host and the last part
//! of the path of a network stream (`192.168.1.20/101`), else the element's name (in a `reidbin`, the bin's). Names that were not chosen are made unique
//! in the gallery (`door-2`), and say the machine where a server's gallery has many (`video0@shop`). Two elements of a
//! gallery with one `camera` are warned about.
//!
//! # Without looks
//! With `motion-only`, or without `reidembed` in front, every track is a person of its own, numbered in the gallery.
//!
//! # Time
//! That of the buffers (running time), so frames may be dropped and rates may change. A flush or seek ends tracks, never
//! identities; a new stream-start begins a new camera unless `camera` is set. The gallery lives as long as an element
//! that opened it, also through NULL. The time of a kept gallery begins at the wall clock's when it is opened and goes on
//! with the cameras'.

use glib::prelude::*;

mod clock;
mod imp;
mod membership;
mod messages;
mod settings;
pub(super) mod signals;
mod source;
mod state;
mod stream;
mod view;

glib::wrapper! {
    /// The tracker.
    pub struct ReidTrack(ObjectSubclass<imp::ReidTrack>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Registers `reidtrack`.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "reidtrack",
        gst::Rank::NONE,
        ReidTrack::static_type(),
    )
}
