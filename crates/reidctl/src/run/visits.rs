//! Visits of people to cameras since the program started. Bounded: the oldest are dropped.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
};

/// A person whom a camera has not seen for this long begins another visit, ns.
const GAP_NS: i64 = 5_000_000_000;
/// Most visits kept of one person.
const MAX_VISITS: usize = 256;
/// Most people whose visits are kept.
const MAX_PEOPLE: usize = 10_000;

/// A person in the view of a camera, ns since 1970.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Visit {
    /// The camera.
    #[serde(serialize_with = "super::shared_text::one")]
    pub camera: Arc<str>,
    /// From when, ns since 1970.
    pub from_ns: i64,
    /// Until when, ns since 1970.
    pub to_ns: i64,
}

/// The visits of everybody.
#[derive(Debug, Default)]
pub struct Visits(BTreeMap<u32, VecDeque<Visit>>);

impl Visits {
    /// A camera sees a person now.
    pub fn seen(&mut self, id: u32, camera: &Arc<str>, now_ns: i64) {
        let own = self.0.entry(id).or_default();
        // The camera's newest: others may have seen the person since.
        let newest = own.iter_mut().rev().find(|visit| visit.camera == *camera);
        match newest.filter(|visit| now_ns - visit.to_ns <= GAP_NS) {
            Some(visit) => visit.to_ns = now_ns,
            None => own.push_back(Visit {
                camera: camera.clone(),
                from_ns: now_ns,
                to_ns: now_ns,
            }),
        }
        if own.len() > MAX_VISITS {
            own.pop_front();
        }
        if self.0.len() > MAX_PEOPLE {
            let last = |visits: &VecDeque<Visit>| visits.iter().map(|v| v.to_ns).max();
            let oldest = self.0.iter().min_by_key(|(_, visits)| last(visits));
            if let Some(id) = oldest.map(|(id, _)| *id) {
                self.0.remove(&id);
            }
        }
    }

    /// Two ids are one person.
    pub fn merge(&mut self, from: u32, into: u32) {
        let Some(theirs) = self.0.remove(&from) else {
            return;
        };
        let own = self.0.entry(into).or_default();
        own.extend(theirs);
        own.make_contiguous().sort_by_key(|visit| visit.from_ns);
        let excess = own.len().saturating_sub(MAX_VISITS);
        own.drain(..excess);
    }

    /// What `camera` saw of `id` was somebody else.
    pub fn split(&mut self, id: u32, into: u32, camera: &str) {
        let Some(own) = self.0.get_mut(&id) else {
            return;
        };
        let visits = std::mem::take(own).into_iter();
        let (theirs, rest): (VecDeque<_>, VecDeque<_>) =
            visits.partition(|visit| &*visit.camera == camera);
        *own = rest;
        self.0.insert(into, theirs);
    }

    /// A person is forgotten.
    pub fn forget(&mut self, id: u32) {
        self.0.remove(&id);
    }

    /// One person's, oldest first.
    pub fn of(&self, id: u32) -> Vec<Visit> {
        self.0
            .get(&id)
            .map_or_else(Vec::new, |visits| visits.iter().cloned().collect())
    }

    /// How many people a camera has seen since `since_ns`.
    pub fn people_since(&self, camera: &str, since_ns: i64) -> usize {
        let is_there = |visits: &VecDeque<Visit>| {
            visits
                .iter()
                .any(|v| &*v.camera == camera && v.to_ns >= since_ns)
        };
        let ids: HashSet<_> = self
            .0
            .iter()
            .filter(|(_, visits)| is_there(visits))
            .map(|(id, _)| id)
            .collect();
        ids.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn visits_end_when_a_camera_loses_somebody() {
        let (door, hall): (Arc<str>, Arc<str>) = ("door".into(), "hall".into());
        let mut visits = Visits::default();
        for (camera, second) in [(&door, 0), (&hall, 2), (&door, 4), (&door, 20)] {
            visits.seen(7, camera, second * SECOND);
        }
        let spans: Vec<(&str, i64, i64)> = visits.0[&7]
            .iter()
            .map(|v| (&*v.camera, v.from_ns / SECOND, v.to_ns / SECOND))
            .collect();
        assert_eq!(spans, [("door", 0, 4), ("hall", 2, 2), ("door", 20, 20)]);
        assert_eq!(visits.people_since("door", 5 * SECOND), 1);
        assert_eq!(visits.people_since("hall", 5 * SECOND), 0);
    }

    #[test]
    fn merged_people_have_one_list_and_forgotten_ones_none() {
        let door: Arc<str> = "door".into();
        let mut visits = Visits::default();
        visits.seen(2, &door, 10 * SECOND);
        visits.seen(1, &door, 0);
        visits.merge(2, 1);
        assert_eq!((visits.of(1).len(), visits.of(2).len()), (2, 0));
        assert!(visits.of(1).is_sorted_by_key(|visit| visit.from_ns));
        let hall: Arc<str> = "hall".into();
        visits.seen(1, &hall, 20 * SECOND);
        visits.split(1, 3, "hall");
        assert_eq!((visits.of(1).len(), visits.of(3).len()), (2, 1));
        visits.forget(1);
        assert!(visits.of(1).is_empty());
    }

    #[test]
    fn a_day_of_visits_stays_bounded() {
        let door: Arc<str> = "door".into();
        let mut visits = Visits::default();
        for i in 0..1000 {
            visits.seen(1, &door, i * 60 * SECOND);
        }
        assert_eq!(visits.of(1).len(), MAX_VISITS);
    }
}
