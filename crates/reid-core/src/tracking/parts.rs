//! Detections that no track has taken yet, and which of them may be parts of a person.

use std::collections::HashSet;

use super::{observation::Observation, track::Track, tracker::Tracker};
use crate::{geometry::Rect, person::TrackState};

/// A box of which this much lies in the box of somebody followed may be a part of that person …
const PART_INSIDE: f32 = 0.8;
/// … and is, when so much less speaks for its height (logarithm of odds): half a person in a whole one.
const PART_EVIDENCE: f32 = 0.25;
/// … or when it has no more than this part of the whole's area, and nothing says that it is somebody else: half a person, or an arm and a
/// side. Of the boxes of `person-detector` in the demo that lie so in another, 9 of 10 show nobody else.
const PART_AREA: f32 = 0.6;
/// A track goes on at such a box only when that has its own size: the smaller width and height are so much of the larger. With 0.6
/// half a person is still taken for one who was lost behind; with 0.8 people come out of a crowd as somebody else.
const SAME_SIZE: f32 = 0.75;

/// The detections that no track has taken yet, highest score first.
pub(super) struct Boxes {
    pub(super) free: Vec<usize>,
    /// Those inside a larger high-score detection of their class, which may be a part of that person.
    pub(super) inside: HashSet<usize>,
}

impl Boxes {
    /// Finds the boxes that may be parts.
    pub(super) fn find_inside(&mut self, high_score: f32, observations: &[Observation<'_>]) {
        let wholes = self.at_least(high_score, observations);
        let is_inside = |&i: &usize| {
            let part = &observations[i];
            wholes.iter().map(|&j| &observations[j]).any(|whole| {
                whole.class == part.class
                    && part.rect.area() <= PART_AREA * whole.rect.area()
                    && lies_in(&part.rect, &whole.rect)
            })
        };
        self.inside = self.free.iter().copied().filter(is_inside).collect();
    }

    /// Whether a box may be a part of another.
    pub(super) fn is_inside(&self, observation: usize) -> bool {
        self.inside.contains(&observation)
    }

    /// Whether a track may go on at a box before it is known whose the boxes around that are: not at what may be a part of another.
    pub(super) fn may_take(
        &self,
        track: &Track,
        observation: usize,
        observations: &[Observation<'_>],
    ) -> bool {
        let (own, seen) = (&track.seen_rect, &observations[observation].rect);
        let alike = |a: f32, b: f32| a.min(b) >= SAME_SIZE * a.max(b);
        !self.is_inside(observation) || (alike(own.w, seen.w) && alike(own.h, seen.h))
    }

    /// Those of this score or more.
    pub(super) fn at_least(&self, score: f32, observations: &[Observation<'_>]) -> Vec<usize> {
        let high = |&i: &usize| observations[i].confidence >= score;
        self.free.iter().copied().filter(high).collect()
    }

    /// Those below this score.
    pub(super) fn below(&self, score: f32, observations: &[Observation<'_>]) -> Vec<usize> {
        let low = |&i: &usize| observations[i].confidence < score;
        self.free.iter().copied().filter(low).collect()
    }
}

impl Tracker {
    /// True when a box shows a part of somebody whose whole box was seen in this frame.
    pub(super) fn is_part(&self, seen: &Observation<'_>, frame: (f32, f32)) -> bool {
        let evidence = |rect: &Rect| self.height_prior.evidence(seen.class, rect, frame);
        let own = evidence(&seen.rect);
        let mut around = self.around(seen);
        around.any(|t| evidence(&t.seen_rect) - own >= PART_EVIDENCE) || self.is_small_part(seen)
    }

    /// Likewise by size and appearance alone, of a confirmed person.
    pub(super) fn is_small_part(&self, seen: &Observation<'_>) -> bool {
        self.around(seen).any(|t| {
            t.state == TrackState::Confirmed
                && seen.rect.area() <= PART_AREA * t.seen_rect.area()
                && !self.contradict(t, seen)
        })
    }

    /// The tracks seen in this frame in whose box a box lies.
    fn around(&self, seen: &Observation<'_>) -> impl Iterator<Item = &Track> {
        let here = self.tracks.iter().filter(|t| t.missed == 0);
        here.filter(|t| t.class == seen.class && lies_in(&seen.rect, &t.seen_rect))
    }
}

/// Whether a box lies so far in another that it may be a part of what that shows.
fn lies_in(part: &Rect, whole: &Rect) -> bool {
    part.intersection(whole) >= PART_INSIDE * part.area()
}
