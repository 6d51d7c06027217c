//! Trails: the footpoints of the last seconds, for each track of a camera.

use std::collections::{HashMap, VecDeque};

use crate::person::{Person, TrackId};

/// Tracks remembered at most; and points of each.
const MAX_TRAILS: usize = 1000;
const MAX_POINTS: usize = 512;

/// A point on somebody's way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// When, ns.
    pub time_ns: u64,
    /// Where, px: the middle of the box's lower edge.
    pub at: [f32; 2],
}

/// The ways of one camera's tracks.
#[derive(Clone, Debug, Default)]
pub struct Trails {
    ways: HashMap<TrackId, VecDeque<Step>>,
    now_ns: u64,
}

impl Trails {
    /// Adds where everybody stands at `time_ns`, and forgets what is older than `length_ns`. Time that goes back (a
    /// seek) begins anew.
    pub fn update(&mut self, people: &[Person], time_ns: u64, length_ns: u64) {
        if time_ns < self.now_ns {
            self.ways.clear();
        }
        self.now_ns = time_ns;
        let oldest = time_ns.saturating_sub(length_ns);
        for way in self.ways.values_mut() {
            while way.front().is_some_and(|step| step.time_ns < oldest) {
                way.pop_front();
            }
        }
        self.ways.retain(|_, way| !way.is_empty());
        for person in people {
            let Some(track) = person.track.filter(|_| person.rect.is_valid()) else {
                continue;
            };
            if self.ways.len() >= MAX_TRAILS && !self.ways.contains_key(&track.id) {
                continue;
            }
            let way = self.ways.entry(track.id).or_default();
            if way.len() >= MAX_POINTS {
                way.pop_front();
            }
            let at = [person.rect.centre().0, person.rect.bottom()];
            way.push_back(Step { time_ns, at });
        }
    }

    /// A track's way, oldest step first.
    pub fn way(
        &self,
        track: TrackId,
    ) -> impl DoubleEndedIterator<Item = &Step> + ExactSizeIterator {
        self.ways
            .get(&track)
            .map(|way| way.iter())
            .unwrap_or_default()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.ways.clear();
        self.now_ns = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        geometry::Rect,
        person::{Track, TrackState},
    };

    fn person(track: u32, x: f32) -> Person {
        let mut person = Person::detected(Rect::new(x, 0.0, 10.0, 20.0), 1.0, "person".into(), 0);
        person.track = Some(Track {
            id: TrackId(track),
            state: TrackState::Confirmed,
            unseen_ns: 0,
            age_ns: 0,
        });
        person
    }

    #[test]
    fn old_steps_fade_and_absent_people_are_forgotten() {
        let mut trails = Trails::default();
        for i in 0..10 {
            trails.update(&[person(1, i as f32)], i * 100, 300);
        }
        let way: Vec<_> = trails.way(TrackId(1)).map(|step| step.at).collect();
        assert_eq!(
            way,
            [[11.0, 20.0], [12.0, 20.0], [13.0, 20.0], [14.0, 20.0]]
        );
        trails.update(&[], 2000, 300);
        assert_eq!(trails.way(TrackId(1)).len(), 0);
        assert!(trails.ways.is_empty());
    }

    #[test]
    fn time_going_back_begins_anew_and_boxes_without_sense_leave_no_step() {
        let mut trails = Trails::default();
        trails.update(&[person(1, 0.0), person(2, f32::NAN)], 500, 1000);
        assert_eq!(
            (trails.way(TrackId(1)).len(), trails.way(TrackId(2)).len()),
            (1, 0)
        );
        trails.update(&[person(1, 0.0)], 100, 1000);
        assert_eq!(trails.way(TrackId(1)).len(), 1);
    }
}
