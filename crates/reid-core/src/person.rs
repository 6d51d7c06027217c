//! A person (or other object) in one frame, completed along the pipeline.

use std::sync::Arc;

use super::{embedding::Embedding, geometry::Rect};

/// The id of a track of one camera, counted from 1, never reused while the element runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(pub u32);

/// The id of a person in a gallery, the same in every camera. Counted from 1, below 2^31, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentityId(pub u32);

impl std::fmt::Display for IdentityId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "P{}", self.0)
    }
}

/// State of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackState {
    /// Seen too few times; has no identity.
    Tentative,
    /// Confirmed; has an identity.
    Confirmed,
}

/// A person's track in its camera.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Track {
    /// Id within the camera.
    pub id: TrackId,
    /// State.
    pub state: TrackState,
    /// Time since it was last detected, ns: 0 for this frame, else the box is predicted.
    pub unseen_ns: u64,
    /// Time since it was first seen, ns: 0 in its first frame.
    pub age_ns: u64,
}

/// State of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityState {
    /// Provisional: it may still be merged with another identity, because the evidence is weak or contradictory.
    Pending,
    /// Enrolled as a new person.
    New,
    /// Matched with a known person.
    Matched,
}

impl IdentityState {
    /// The name used in metadata and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::New => "new",
            Self::Matched => "matched",
        }
    }
}

/// A camera and a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The camera's name.
    pub camera: Arc<str>,
    /// When, ns of the gallery's time: the pipeline's clock.
    pub time_ns: u64,
}

/// A person's identity across cameras, and how it was decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The id.
    pub id: IdentityId,
    /// Its state.
    pub state: IdentityState,
    /// Similarity (cosine) to the identity when it was decided, -1..=1; 0 when appearance had no say.
    pub score: f32,
    /// `score` less that of the runner-up; 0 when there was none.
    pub margin: f32,
    /// Where and when the matched person had been seen; `None` for a new person.
    pub evidence: Option<Seen>,
    /// Ids of this person before merges, oldest first.
    pub previous: Arc<[IdentityId]>,
    /// A name given by a user, if any.
    pub name: Option<Arc<str>>,
}

/// What people are called as a rule, and what `object-class` says where nobody set it.
pub const PERSON: &str = "person";

/// What detectors call people, in small letters: the names of COCO, VisDrone, Open Images, CrowdHuman, Intel's and NVIDIA's
/// models, and the number or the empty name of those that give no names.
const PERSON_NAMES: [&str; 11] = [
    PERSON,
    "persons",
    "people",
    "pedestrian",
    "pedestrians",
    "human",
    "man",
    "woman",
    "child",
    "0",
    "",
];

/// Whether a class of this name is commonly people.
pub fn is_person_name(label: &str) -> bool {
    let label = label.trim();
    PERSON_NAMES
        .iter()
        .any(|name| name.eq_ignore_ascii_case(label))
}

/// Whether objects of a class are embedded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subject {
    /// No embedder has processed the object.
    #[default]
    Unknown,
    /// The embedder embeds objects of its class.
    Described,
    /// The embedder does not: the object is not a person.
    Other,
}

/// One detected object of a frame, with the results of later elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// Box in pixels of the frame.
    pub rect: Rect,
    /// Detector's score, 0..=1.
    pub confidence: f32,
    /// Class label, "person" as a rule.
    pub label: Arc<str>,
    /// Class number in the detector's own list.
    pub label_id: i32,
    /// Whether `reidembed` embeds objects of its class.
    pub subject: Subject,
    /// Appearance vector, set by `reidembed`.
    pub embedding: Option<Embedding>,
    /// Whether the vector was computed in an earlier frame: it is no new evidence of the person.
    pub is_carried: bool,
    /// Track, set by `reidtrack`.
    pub track: Option<Track>,
    /// Identity, set by `reidtrack` for confirmed tracks.
    pub identity: Option<Identity>,
}

impl Person {
    /// Time since it was last seen, ns; 0 = seen in this frame.
    pub fn unseen_ns(&self) -> u64 {
        self.track.map_or(0, |track| track.unseen_ns)
    }

    /// The appearance where it was seen in this frame.
    pub fn new_embedding(&self) -> Option<&Embedding> {
        self.embedding.as_ref().filter(|_| !self.is_carried)
    }

    /// Time since its track was first seen, ns.
    pub fn age_ns(&self) -> u64 {
        self.track.map_or(0, |track| track.age_ns)
    }

    /// A detection without further results.
    pub fn detected(rect: Rect, confidence: f32, label: Arc<str>, label_id: i32) -> Self {
        Self {
            rect,
            confidence,
            label,
            label_id,
            subject: Subject::Unknown,
            embedding: None,
            is_carried: false,
            track: None,
            identity: None,
        }
    }
}
