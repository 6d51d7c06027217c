//! `reidtrack`: tracks people within a camera and re-identifies them across cameras.
//!
//! Takes the people that `yolodetect` and `reidembed` (or any other detector that attaches regions of interest) found. Gives each a
//! track within the camera and an identity within the gallery of the element. All elements of the process with the same gallery share
//! its people: a person has the same id in every camera.
//!
//! ```text
//! … ! yolodetect ! reidembed ! reidtrack gallery=lobby camera=door ! reidoverlay ! …
//! ```
//!
//! # Metadata
//! Every person gets a `track` and, once the track is confirmed, an `identity`. A confirmed person always has an id; the state
//! `pending` means that it may still be merged with another, which is announced. Tentative people have a track and no identity. On
//! frames without inference (`yolodetect inference-interval`), the people of the last frame with inference are attached at their
//! predicted positions, so that an overlay does not flicker. So is, for 0.2 s, a confirmed person whom the detector misses, unless the
//! person was leaving the picture. `unseen_ns` (in the region's `reid`, in JSON where it is not 0) is the time since the box was last
//! seen; such people have no vector. A frame in which a detector found nobody is not a frame without inference: tracks age. Regions of
//! another detector cannot distinguish the two; there, a frame without regions is one in which nobody was found.
//!
//! # Notifications
//! Signals and element messages on the bus (`reid-identity-new`, `-matched`, `-merged`, `-split`, `-corrected`, `-lost`, `-left`),
//! from the element whose frame caused the change:
//!
//! * `identity-new` (id, camera, track): an identity was created.
//! * `identity-matched` (id, camera, track, score): a track was matched with a known identity.
//! * `identity-merged` (from, into): two identities are one person; `from` is not used again.
//! * `identity-split` (from, into): one identity was two people; `from` stays with one, `into` is new (after `identity-new`).
//! * `identity-corrected` (from, into, camera, track): a track of identity `from` is `into` from now on; both stay.
//! * `identity-lost` (id): no camera sees the person any more.
//!
//! # Actions
//! Action signals, which return whether they were done: `rename` (id, name), `merge` (from, into), `forget` (id), and `split` (id,
//! camera; an empty camera undoes the newest merge), which returns the new id or 0.
//!
//! # Gallery
//! People are kept in memory until the last element of the gallery is gone, or at `gallery-location`, in an SQLite file or on a
//! PostgreSQL server, so that a restart, another process or another machine knows them. Streaming never waits for the store: changes
//! are written within a second. When the store fails, the element posts a warning, the pipeline continues, and everything is written
//! later. `forget` waits until the store has erased the person. A store holds the vectors of one model; those of another model are an
//! error. With `thumbnails` it also holds one small picture of each person, cropped without a lock, encoded by the persistence worker,
//! and erased with the person.
//!
//! # Name of the camera
//! `camera`, else the name of the file that is played (without its extension) or of the device, or the host and the last part of the
//! path of a network stream (`192.168.1.20/101`), else the element's name (in a `reidbin`, the bin's). Default names are made unique in
//! the gallery (`door-2`), and include the host name where several machines share a gallery (`video0@shop`). Two elements of a gallery
//! with the same `camera` cause a warning.
//!
//! # Without appearance
//! With `motion-only`, or without `reidembed` in front, every track becomes a new identity of the gallery.
//!
//! # Time
//! Time is that of the buffers (running time), so frames may be dropped and rates may change. A flush or seek ends tracks, never
//! identities. A new stream-start begins a new camera unless `camera` is set. The gallery lives as long as an element that opened it,
//! also through NULL. The time of a kept gallery begins at the wall clock's when it is opened and goes on with the cameras'.

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
