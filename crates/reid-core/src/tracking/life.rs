//! Birth, split and end of tracks.

use std::collections::HashSet;

use super::{
    association::sight, observation::Observation, parts::Boxes, track::Track, tracker::Tracker,
};
use crate::person::{TrackId, TrackState};

/// Most tracks that one camera follows at a time; beyond it no new ones begin.
pub const MAX_TRACKS: usize = 2048;
/// Two tracks that overlap this much are one person seen twice (ByteTrack, `remove_duplicate_stracks`: 1 - 0.15).
const DUPLICATE_IOU: f32 = 0.85;
/// Tentative tracks are confirmed after this time even with fewer hits than asked for, at low frame rates.
const CONFIRM_NS: u64 = 500_000_000;
/// Tentative tracks survive a miss for this long: two frames at 10 frames a second.
const TENTATIVE_NS: u64 = 100_000_000;

impl Tracker {
    /// Splits a track whose appearance has changed for good from the person at its position.
    pub(super) fn part_changed(&mut self, observations: &[Observation<'_>]) {
        let now = self.now();
        for index in 0..self.tracks.len() {
            let track = &self.tracks[index];
            let Some(observation) = track.observation.filter(|_| track.has_changed(now)) else {
                continue;
            };
            let Some(id) = self.new_id() else {
                break;
            };
            let seen = sight(&observations[observation], self.config.use_appearance);
            let other = self.tracks[index].part(id, seen, now);
            self.tracks.push(other);
        }
    }

    /// The next number, if another track may begin. A tracker that has given every number starts none.
    fn new_id(&mut self) -> Option<TrackId> {
        let next = self.next_id.checked_add(1)?;
        if self.tracks.len() >= MAX_TRACKS {
            return None;
        }
        Some(TrackId(std::mem::replace(&mut self.next_id, next)))
    }

    /// Begins tracks at the high-score detections that are left.
    pub(super) fn begin(
        &mut self,
        frame: (f32, f32),
        boxes: &Boxes,
        observations: &[Observation<'_>],
    ) {
        let now = self.now();
        for observation in boxes.at_least(self.confidence.new_track(), observations) {
            if self.is_part(&observations[observation], frame) {
                continue;
            }
            let Some(id) = self.new_id() else {
                break;
            };
            let seen = sight(&observations[observation], self.config.use_appearance);
            let mut track = Track::new(id, seen, now);
            track.observation = Some(observation);
            self.tracks.push(track);
        }
        self.confirm(observations);
    }

    /// Confirms tracks that were seen often enough, unless the detection is a part of a confirmed person.
    fn confirm(&mut self, observations: &[Observation<'_>]) {
        let now = self.now();
        let min_hits = self.config.min_hits.max(1);
        for index in 0..self.tracks.len() {
            let track = &self.tracks[index];
            let Some(observation) = track.observation.filter(|_| track.missed == 0) else {
                continue;
            };
            let old = track.hits > 1 && now.saturating_sub(track.first_ns) >= CONFIRM_NS;
            let is_due = track.state == TrackState::Tentative && (track.hits >= min_hits || old);
            if is_due && !self.is_small_part(&observations[observation]) {
                self.tracks[index].state = TrackState::Confirmed;
            }
        }
    }

    /// Ends tracks that are over: tentative ones that were missed, and duplicates.
    pub(super) fn end(&mut self) {
        let now = self.now();
        let interval = self.interval_ns as u64;
        let duplicates = self.duplicates();
        let ended = &mut self.ended;
        self.tracks.retain(|t| {
            let unbelieved = t.state == TrackState::Tentative
                && t.missed > 0
                && now.saturating_sub(t.seen_ns) > TENTATIVE_NS.max(interval);
            let keep = !unbelieved && !duplicates.contains(&t.id);
            if !keep {
                ended.push(t.id);
            }
            keep
        });
    }

    /// Unseen tracks that lie on a track that was seen: the shorter-lived of the two is the other's double.
    fn duplicates(&self) -> HashSet<TrackId> {
        let confirmed = || {
            self.tracks
                .iter()
                .filter(|t| t.state == TrackState::Confirmed)
        };
        let mut duplicates = HashSet::new();
        for lost in confirmed().filter(|t| t.missed > 0) {
            let place = lost.motion.rect();
            let same = confirmed().any(|t| {
                t.missed == 0
                    && t.class == lost.class
                    && t.first_ns <= lost.first_ns
                    && t.motion.rect().iou(&place) > DUPLICATE_IOU
            });
            if same {
                duplicates.insert(lost.id);
            }
        }
        duplicates
    }
}
