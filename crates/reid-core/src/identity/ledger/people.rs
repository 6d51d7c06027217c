//! What is known of a person but for how they look: names, ids before, when and where they were seen, and with whom.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use crate::identity::{CameraId, MAX_APART};
use crate::person::IdentityId;

/// Most cameras of which it is remembered when they last saw a person.
const MAX_STAYS: usize = 16;
/// A person whom a camera has not seen for this long, ns, begins another stay.
const STAY_GAP_NS: u64 = 5_000_000_000;
/// Who is said to have been seen in one picture with somebody, without saying for how long, was so throughout.
pub(in crate::identity) const THROUGHOUT: f32 = 1e9;

/// A person.
#[derive(Clone, Debug)]
pub(in crate::identity) struct Record {
    pub name: Option<Arc<str>>,
    pub previous: Arc<[IdentityId]>,
    pub first_ns: u64,
    pub last_ns: u64,
    /// When it was last seen, counted in sightings of the gallery: order without a clock.
    pub turn: u64,
    /// Tracks that carry the number now.
    pub tracks: u32,
    /// Who was seen in one picture with the person, and how much of their visits: products of weights.
    pub apart: BTreeMap<IdentityId, f32>,
    /// Whom a user has told apart from the person: no looks join them again while both are in view.
    pub parted: Vec<IdentityId>,
    /// Where it was last, a stay for each camera, newest last.
    pub stays: Vec<Stay>,
}

/// How long a person was in the view of a camera without a break, ns.
#[derive(Clone, Debug)]
pub(in crate::identity) struct Stay {
    pub camera: CameraId,
    pub times: Range<u64>,
}

/// What a list of the gallery shows of a person.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonFacts {
    /// The number.
    pub id: IdentityId,
    /// The name, if one was given.
    pub name: Option<Arc<str>>,
    /// Numbers it carried before merges.
    pub previous: Arc<[IdentityId]>,
    /// First seen, ns of the gallery's time.
    pub first_seen_ns: u64,
    /// Last seen, ns of the gallery's time.
    pub last_seen_ns: u64,
    /// In view of a camera now.
    pub active: bool,
    /// Vectors kept.
    pub rows: usize,
}

impl Record {
    pub fn new(now_ns: u64, turn: u64) -> Self {
        Self {
            name: None,
            previous: Arc::from([]),
            first_ns: now_ns,
            last_ns: now_ns,
            turn,
            tracks: 0,
            apart: BTreeMap::new(),
            parted: Vec::new(),
            stays: Vec::new(),
        }
    }

    /// The person and another were seen in one picture, over so much of their visits (product of weights; 0 = for a moment so far).
    pub fn saw(&mut self, other: IdentityId, weight: f32) {
        *self.apart.entry(other).or_default() += weight;
        if self.apart.len() > MAX_APART {
            let least = self.apart.iter().min_by(|a, b| a.1.total_cmp(b.1));
            if let Some(least) = least.map(|(id, _)| *id) {
                self.apart.remove(&least);
            }
        }
    }

    /// A camera sees the person now.
    pub fn stay(&mut self, camera: CameraId, now_ns: u64) {
        let mut stay = Stay {
            camera,
            times: now_ns..now_ns,
        };
        if let Some(index) = self.stays.iter().position(|s| s.camera == camera) {
            let old = self.stays.remove(index).times;
            if now_ns.saturating_sub(old.end) <= STAY_GAP_NS {
                stay.times.start = old.start;
            }
        }
        if self.stays.len() >= MAX_STAYS {
            self.stays.remove(0);
        }
        self.stays.push(stay);
    }

    /// Takes in where another number of the same person was.
    pub fn take_stays(&mut self, others: Vec<Stay>) {
        for other in others {
            match self.stays.iter_mut().find(|s| s.camera == other.camera) {
                Some(own) if own.times.end >= other.times.end => {}
                Some(own) => *own = other,
                None => self.stays.push(other),
            }
        }
        self.stays.sort_by_key(|s| s.times.end);
        let skip = self.stays.len().saturating_sub(MAX_STAYS);
        self.stays.drain(..skip);
    }
}
