//! Who is who across cameras and over time: the gallery's decisions.
//!
//! A track of a camera is a growing body of evidence ([`evidence`]): its crops, fused, and where and when it is. Whenever
//! that grows, it is compared with everybody who could be the same person, in view or not ([`resolve`]): all of them are
//! grouped by what they score, under the constraint that nobody is in one picture twice. Groups become identities
//! ([`ledger`]): ids are kept, merged, split and announced there, and nowhere else. People who left are known by a few
//! prototypes each, one a visit ([`prototypes`]). What a score means is learnt as the cameras run ([`scores`]).
//!
//! The gallery is told the time and knows no clock, no file and no lock.

mod clock;
mod evidence;
mod gallery;
mod ledger;
mod measure;
mod prototypes;
mod resolve;
mod scores;

pub use evidence::topology;
use evidence::{camera_bias, floor, homography, overlap, transit, variation, visit};
use ledger::{journal, past_visits, people, restore, thumbnails, untold};
use prototypes::{quantised, shortlist};

pub use gallery::Gallery;
pub use journal::{
    Changes, Fate, MAX_SPANS, Move, PROVISIONAL, Part, SavedPerson, SavedRow, SavedScale,
    SavedSighting,
};
pub use measure::{LabelledVisit, visit_scores};
pub use people::PersonFacts;
pub use prototypes::ROWS;
pub use restore::{Authority, Saved};
pub use thumbnails::{MAX_THUMBNAILS, SavedThumbnail};
pub use variation::SavedVariation;

use std::sync::Arc;

use super::{
    embedding::Embedding,
    geometry::Rect,
    person::{Identity, IdentityId, TrackId},
};

/// Most identities a gallery may hold.
pub const MAX_IDENTITIES: usize = 1_000_000;
/// Largest number an identity may have: consumers read signed 32-bit numbers.
pub const MAX_NUMBER: u32 = i32::MAX as u32;
/// Most models whose vectors one gallery holds side by side; a further one's are not used.
pub const MAX_MODELS: usize = 4;
/// Longest name of a person, in bytes.
pub const MAX_NAME_BYTES: usize = 256;
/// Most people remembered whom somebody was seen with in one picture.
const MAX_APART: usize = 64;
/// Most former numbers remembered of one person.
const MAX_PREVIOUS: usize = 32;

/// What a gallery may be told.
#[derive(Clone, Debug, PartialEq)]
pub struct GalleryConfig {
    /// Cosine from which two looks are one person; `None` learns it.
    pub match_threshold: Option<f32>,
    /// Least recently seen people leave when more are known. People in view never leave: a gallery smaller than the
    /// people in view grows as long as it must.
    pub max_identities: usize,
    /// People not seen for this long leave, ns; `None` = never.
    pub max_age_ns: Option<u64>,
}

impl Default for GalleryConfig {
    fn default() -> Self {
        Self {
            match_threshold: None,
            max_identities: 10_000,
            max_age_ns: None,
        }
    }
}

/// A camera of a gallery. Given by [`Gallery::attach`], never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CameraId(u32);

/// A track that is visible in the current frame of a camera.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// The camera's number for it.
    pub track: TrackId,
    /// Whether the track is believed. Others get no identity; what they look like is kept for when they are.
    pub confirmed: bool,
    /// Where, px.
    pub rect: Rect,
    /// How it looks now, if somebody looked.
    pub embedding: Option<&'a Embedding>,
    /// How good the crop is, 0..=1.
    pub quality: f32,
}

/// What happened; told to applications.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A number appeared for the first time.
    New {
        /// The number.
        id: IdentityId,
        /// The track that carries it.
        track: TrackId,
        /// The number may still turn out to be somebody known.
        pending: bool,
    },
    /// A track was recognised.
    Matched {
        /// The person.
        id: IdentityId,
        /// The track.
        track: TrackId,
        /// Cosine, -1..=1.
        score: f32,
        /// Score less that of the runner-up.
        margin: f32,
        /// The runner-up, if there was anybody else.
        against: Option<IdentityId>,
    },
    /// Two numbers turned out to be one person.
    Merged {
        /// The number that is gone for good.
        from: IdentityId,
        /// The number that stays.
        into: IdentityId,
    },
    /// One number turned out to be two people.
    Split {
        /// The number that stays with one.
        from: IdentityId,
        /// The new number of the other.
        into: IdentityId,
    },
    /// A track was taken for somebody else than it is.
    Corrected {
        /// The camera of the track, not always the one whose frame brought it about.
        camera: Arc<str>,
        /// The track.
        track: TrackId,
        /// The number that it carried; others still do.
        from: IdentityId,
        /// The number that it carries from now on: somebody's already, or that of a split told just before.
        into: IdentityId,
    },
    /// Nobody sees the person any more, in any camera.
    Lost {
        /// The number.
        id: IdentityId,
    },
    /// The gallery no longer knows the person (aged out, crowded out, forgotten). The number never returns.
    Left {
        /// The number.
        id: IdentityId,
    },
}

/// What the gallery says about one frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// For each sighting, in order. `None` for tracks that are not confirmed, and when the gallery has run out of numbers.
    pub identities: Vec<Option<Identity>>,
    /// What happened since the last frame.
    pub events: Vec<Event>,
}

/// Why the gallery cannot do what a user asks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum GalleryError {
    #[error("the gallery knows no {0}")]
    Unknown(IdentityId),
    #[error("{0} and {1} were seen in one picture: they are two people")]
    SeenTogether(IdentityId, IdentityId),
    #[error("{0} is one already")]
    Same(IdentityId),
    #[error("the gallery knows no camera {0:?}")]
    UnknownCamera(Arc<str>),
    #[error(
        "nothing of {0} can be told apart: it was never merged, or nothing is left of how it looked there"
    )]
    NothingToSplit(IdentityId),
    #[error("a name has at most {MAX_NAME_BYTES} bytes")]
    LongName,
    #[error("the gallery has given every number there is")]
    NumbersExhausted,
}

#[cfg(test)]
mod tests;
