//! Visits that are over and may still turn out to be somebody else's: whose they are, and who was in one picture with them.
//!
//! Only the newest are remembered. What is older, was stored, or was corrected by a user belongs to its person for good.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Range,
};

use crate::identity::{CameraId, visit::TrackKey};
use crate::person::{IdentityId, TrackId};

/// Most visits that are remembered one by one.
const MAX_VISITS: usize = 1024;

/// A visit that is over.
#[derive(Clone, Debug)]
pub(in crate::identity) struct PastVisit {
    /// Whose it is, as far as is known.
    pub id: IdentityId,
    /// The id that its track carried last.
    pub shown: IdentityId,
    /// How much it counts, half seconds and one.
    pub weight: f32,
    /// From when until when, ns.
    pub times: Range<u64>,
    /// Tracks of its camera that were in one picture with it and lasted longer.
    pub beside: BTreeSet<TrackId>,
}

/// The newest visits that are over, at most [`MAX_VISITS`].
#[derive(Clone, Debug, Default)]
pub(in crate::identity) struct PastVisits {
    visits: BTreeMap<TrackKey, PastVisit>,
    /// Their keys, oldest first.
    order: VecDeque<TrackKey>,
}

impl PastVisits {
    /// Remembers a visit. One whose track began anew under the same key cannot be told from its successor: neither is kept.
    pub fn add(&mut self, key: TrackKey, visit: PastVisit) {
        if self.visits.contains_key(&key) {
            self.retain(|other, _| *other != key);
            return;
        }
        if self.order.len() >= MAX_VISITS
            && let Some(oldest) = self.order.pop_front()
        {
            self.visits.remove(&oldest);
        }
        self.order.push_back(key);
        self.visits.insert(key, visit);
    }

    pub fn get(&self, key: TrackKey) -> Option<&PastVisit> {
        self.visits.get(&key)
    }

    /// Whether a visit that is over was in one picture with a track, in two places.
    pub fn met(&self, over: TrackKey, other: TrackKey) -> bool {
        let beside = |v: &PastVisit| v.beside.contains(&other.track);
        over.camera == other.camera && self.visits.get(&over).is_some_and(beside)
    }

    /// Those that were in one picture with a visit.
    pub fn company(&self, key: TrackKey) -> impl Iterator<Item = (TrackKey, &PastVisit)> {
        let met = move |other: &TrackKey| self.met(key, *other) || self.met(*other, key);
        let others = self.visits.iter().filter(move |(other, _)| met(other));
        others.map(|(other, visit)| (*other, visit))
    }

    /// Whether visits of a person, one aside, were shown under this id.
    pub fn are_shown_as(&self, shown: IdentityId, of: IdentityId, aside: TrackKey) -> bool {
        let mut others = self.visits.iter().filter(|(key, _)| **key != aside);
        others.any(|(_, v)| v.id == of && v.shown == shown)
    }

    /// One person turned out to be another.
    pub fn rename(&mut self, from: IdentityId, into: IdentityId) {
        let own = self.visits.values_mut().filter(|v| v.id == from);
        own.for_each(|v| v.id = into);
    }

    /// A visit turned out to be another person's.
    pub fn give(&mut self, key: TrackKey, into: IdentityId) {
        if let Some(visit) = self.visits.get_mut(&key) {
            visit.id = into;
        }
    }

    /// The visits of a person are that person's for good.
    pub fn settle(&mut self, id: IdentityId) {
        self.retain(|_, visit| visit.id != id);
    }

    /// The visits of a camera, whose tracks may be numbered anew, are for good what they are.
    pub fn settle_camera(&mut self, camera: CameraId) {
        self.retain(|key, _| key.camera != camera);
    }

    fn retain(&mut self, stays: impl Fn(&TrackKey, &PastVisit) -> bool) {
        self.visits.retain(|key, visit| stays(key, visit));
        self.order.retain(|key| self.visits.contains_key(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(camera: u32, track: u32) -> TrackKey {
        TrackKey {
            camera: CameraId(camera),
            track: TrackId(track),
        }
    }

    fn visit(id: u32, beside: &[u32]) -> PastVisit {
        PastVisit {
            id: IdentityId(id),
            shown: IdentityId(id),
            weight: 1.0,
            times: 0..1,
            beside: beside.iter().map(|t| TrackId(*t)).collect(),
        }
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let mut visits = PastVisits::default();
        for track in 0..=MAX_VISITS as u32 {
            visits.add(key(1, track), visit(track, &[]));
        }
        assert!(visits.get(key(1, 0)).is_none() && visits.get(key(1, 1)).is_some());
        assert_eq!(visits.order.len(), visits.visits.len());
    }

    #[test]
    fn company_is_known_from_either_side_and_within_a_camera() {
        let mut visits = PastVisits::default();
        visits.add(key(1, 1), visit(1, &[2]));
        visits.add(key(1, 2), visit(2, &[]));
        visits.add(key(2, 2), visit(3, &[]));
        let company = |of| -> Vec<TrackKey> { visits.company(of).map(|(k, _)| k).collect() };
        assert_eq!(company(key(1, 1)), [key(1, 2)]);
        assert_eq!(company(key(1, 2)), [key(1, 1)]);
        assert!(company(key(2, 2)).is_empty());
    }

    #[test]
    fn settled_visits_are_not_told_apart_any_more() {
        let mut visits = PastVisits::default();
        visits.add(key(1, 1), visit(1, &[]));
        visits.add(key(1, 2), visit(2, &[]));
        visits.add(key(2, 1), visit(3, &[]));
        visits.rename(IdentityId(2), IdentityId(1));
        visits.settle(IdentityId(1));
        assert!(visits.get(key(1, 1)).is_none() && visits.get(key(1, 2)).is_none());
        visits.settle_camera(CameraId(2));
        assert!(visits.get(key(2, 1)).is_none() && visits.order.is_empty());
        // A track that begins anew under its number.
        visits.add(key(1, 1), visit(1, &[]));
        visits.add(key(1, 1), visit(2, &[]));
        assert!(visits.get(key(1, 1)).is_none());
    }
}
