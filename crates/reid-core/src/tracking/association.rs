//! Which box is whose: three stages of matching, by motion and looks.

use std::collections::HashSet;

use super::{
    assignment::{Edge, Pair, assign},
    camera,
    observation::Observation,
    parts::Boxes,
    track::{Live, Sight},
    tracker::Tracker,
};
use crate::{geometry::Rect, person::TrackState};

/// Most boxes of one frame that are looked at; the surest stay.
pub const MAX_OBSERVATIONS: usize = 2048;
/// A pair costs at most this much in the first stage (ByteTrack and BoT-SORT, `match_thresh`).
const FIRST_LIMIT: f32 = 0.8;
/// … in the second stage, where boxes are unsure (ByteTrack).
const SECOND_LIMIT: f32 = 0.5;
/// … between a tentative track and a sure box (ByteTrack).
const TENTATIVE_LIMIT: f32 = 0.7;
/// … between a track's last sighting and a box that is left over (OC-SORT, `iou_threshold` 0.3).
const RECOVERY_LIMIT: f32 = 0.7;
/// Boxes below this score are noise (ByteTrack, `track_low_thresh`).
const NOISE_SCORE: f32 = 0.1;
/// Appearance may speak for a pair only when the boxes overlap this much (BoT-SORT has 0.5; with 0.2 and 0.3 IDF1 is 0.5 to
/// 2 higher with three of four detectors on TC-pedestrians) …
const PROXIMITY: f32 = 0.3;
/// … and look alike this much on the scale from strangers to one track with itself.
const LOOKS_ALIKE: f32 = 0.5;
/// … and more alike than strangers by so many of their standard deviations …
const UNLIKE_STRANGERS: f32 = 2.5;
/// What is less alike than this is not learnt, once looks are firm, else a track turns little by little into whoever takes its
/// place at the picture's edge.
const FAMILIAR: f32 = 0.4;
/// … and against a pair only when the crop is at least this good: one of somebody half hidden looks like another.
const CLEAR_QUALITY: f32 = 0.15;
/// A track that was seen no longer ago than this is where it was: looks alone do not end it at once, ns.
const UNBROKEN_NS: u64 = 70_000_000;
/// A box of a track that was seen in the frame before may be this many standard deviations of the prediction away from it
/// when the frame rate is low, of which this much of its size is free: what is left at 25 frames a second, where plain
/// overlap is best. (At 2 frames a second, MATRIX, half of both loses 4 of global IDF1.)
const STEP_BUFFER: (f32, f32) = (2.0, 0.3);
/// Likewise of a track that was missed, of whom others may have taken the place.
const GAP_BUFFER: (f32, f32) = (1.0, 0.15);
/// A box never grows by more than this part of its size while it is being looked for (C-BIoU, Yang et al. 2023, has 0.5 at video rates; 0.75 follows a walker at 2 frames a second).
const BUFFER_MAX: f32 = 0.75;

impl Tracker {
    /// The boxes with scores that their heights, where those are learnt, are weighed into.
    pub(super) fn weighed<'a>(
        &self,
        frame: (f32, f32),
        observations: &[Observation<'a>],
    ) -> Vec<Observation<'a>> {
        let weigh = |seen: &Observation<'a>| Observation {
            confidence: self
                .stature
                .weigh(seen.confidence, seen.class, &seen.rect, frame),
            ..*seen
        };
        observations.iter().map(weigh).collect()
    }

    /// The boxes that may be matched, surest first.
    pub(super) fn usable(&self, frame: (f32, f32), observations: &[Observation<'_>]) -> Boxes {
        let mut free: Vec<usize> = (0..observations.len())
            .filter(|&i| {
                let o = &observations[i];
                o.confidence.is_finite()
                    && o.confidence >= NOISE_SCORE.min(self.confidence.sure())
                    && o.rect.clipped(frame.0, frame.1).is_some()
            })
            .collect();
        free.sort_by(|&a, &b| {
            observations[b]
                .confidence
                .total_cmp(&observations[a].confidence)
        });
        free.truncate(MAX_OBSERVATIONS);
        Boxes {
            free,
            inside: HashSet::new(),
        }
    }

    /// Moves every track by what the camera itself moved.
    pub(super) fn follow_camera(&mut self, boxes: &Boxes, observations: &[Observation<'_>]) {
        let seen = boxes.at_least(self.confidence.sure(), observations);
        let rects: Vec<Rect> = seen.iter().map(|&i| observations[i].rect).collect();
        // Those seen in the last frame: older ones may have gone anywhere.
        let recent: Vec<&Live> = self.tracks.iter().filter(|t| t.missed == 1).collect();
        let places: Vec<Rect> = recent.iter().map(|t| t.motion.rect()).collect();
        let warp = camera::common_motion(&places, &rects, |track, column| {
            self.likeness(recent[track], &observations[seen[column]])
        });
        if let Some(warp) = warp {
            self.tracks.iter_mut().for_each(|t| t.follow(&warp));
        }
    }

    /// First stage: believed tracks and sure boxes, by motion and looks.
    pub(super) fn match_sure(&mut self, boxes: &mut Boxes, observations: &[Observation<'_>]) {
        let sure = self.confidence.sure();
        let rows = self.rows(|t| t.state == TrackState::Confirmed);
        let columns = boxes.at_least(sure, observations);
        let mut edges = Vec::new();
        for (row, &track) in rows.iter().enumerate() {
            let track = &self.tracks[track];
            let (predicted, grow) = (track.motion.rect(), buffer(track));
            for (column, &observation) in columns.iter().enumerate() {
                let seen = &observations[observation];
                let overlap = overlap(track, &predicted, grow, seen);
                if boxes.may_take(track, observation, observations)
                    && overlap > 0.0
                    && (self.is_unbroken(track) || !self.contradict(track, seen))
                {
                    // Weighted with the box's score (ByteTrack, `fuse_score`).
                    let motion = 1.0 - overlap * seen.confidence.min(1.0);
                    let cost = motion.min(self.looks_cost(track, seen, grow, overlap));
                    edges.push(Edge { row, column, cost });
                }
            }
        }
        let pairs = assign(&edges, FIRST_LIMIT);
        self.settle(&pairs, &rows, &columns, boxes, observations);
    }

    /// What looks say against a pair that motion allows; 1 where they say nothing.
    fn looks_cost(&self, track: &Live, seen: &Observation<'_>, grow: f32, overlap: f32) -> f32 {
        // The less is known of where a track is, the less overlap proves and the sooner looks may speak.
        let near = PROXIMITY * (1.0 - grow / BUFFER_MAX);
        let Some(cosine) = self.own_cosine(track, seen).filter(|_| overlap >= near) else {
            return 1.0;
        };
        let like = self.looks.position(cosine);
        // Where clothes hardly differ, strangers score as people do with themselves: then looks say nothing.
        if like < LOOKS_ALIKE || self.looks.deviations(cosine) < UNLIKE_STRANGERS {
            return 1.0;
        }
        0.5 * (1.0 - like.min(1.0))
    }

    /// How alike a track and a box look, from strangers (0) to the track with itself (1).
    fn likeness(&self, track: &Live, seen: &Observation<'_>) -> Option<f32> {
        Some(self.looks.position(self.own_cosine(track, seen)?))
    }

    /// True when looks plainly say that a box is not the track's.
    pub(super) fn contradict(&self, track: &Live, seen: &Observation<'_>) -> bool {
        self.agreement(track, self.own_cosine(track, seen), seen) == Some(false)
    }

    /// Whether a box of this cosine to a track is the track's, where that can be told.
    fn agreement(&self, track: &Live, cosine: Option<f32>, seen: &Observation<'_>) -> Option<bool> {
        let firm = track.appearance.as_ref().is_some_and(|a| a.is_firm());
        let cosine = cosine.filter(|_| firm && seen.quality >= CLEAR_QUALITY)?;
        Some(!self.looks.contradicts(cosine))
    }

    /// True when a track was seen so lately that a box in its place can hardly be another's.
    fn is_unbroken(&self, track: &Live) -> bool {
        self.now().saturating_sub(track.seen_ns) <= UNBROKEN_NS
    }

    /// Second stage: unsure boxes, by overlap for tracks seen in the last frame, and for the others where they look alike.
    pub(super) fn match_unsure(&mut self, boxes: &mut Boxes, observations: &[Observation<'_>]) {
        let sure = self.confidence.sure();
        let rows = self.rows(|t| t.state == TrackState::Confirmed);
        let columns = boxes.below(sure, observations);
        let mut edges = self.overlaps(&rows, &columns, observations, |t| t.motion.rect());
        edges.retain_mut(|edge| {
            let track = &self.tracks[rows[edge.row]];
            let seen = &observations[columns[edge.column]];
            let looks = self.looks_cost(track, seen, 0.0, 1.0 - edge.cost);
            edge.cost = edge.cost.min(looks);
            let may_take = boxes.may_take(track, columns[edge.column], observations);
            may_take && (track.missed == 1 || looks < 1.0)
        });
        let pairs = assign(&edges, SECOND_LIMIT);
        self.settle(&pairs, &rows, &columns, boxes, observations);
    }

    /// Third stage: what is left, by where the track was last seen rather than by where it was thought to go.
    pub(super) fn recover(&mut self, boxes: &mut Boxes, observations: &[Observation<'_>]) {
        let sure = self.confidence.sure();
        let rows = self.rows(|t| t.state == TrackState::Confirmed);
        let columns = boxes.at_least(sure, observations);
        let mut edges = self.overlaps(&rows, &columns, observations, |t| t.seen_rect);
        edges
            .retain(|e| boxes.may_take(&self.tracks[rows[e.row]], columns[e.column], observations));
        let pairs = assign(&edges, RECOVERY_LIMIT);
        self.settle(&pairs, &rows, &columns, boxes, observations);
    }

    /// Boxes inside others that show somebody else than those do, as can be told by now: tracks that were lost may go on there.
    pub(super) fn revive(
        &mut self,
        boxes: &mut Boxes,
        frame: (f32, f32),
        observations: &[Observation<'_>],
    ) {
        let rows = self.rows(|t| t.state == TrackState::Confirmed);
        let mut columns = boxes.at_least(self.confidence.sure(), observations);
        columns.retain(|&i| boxes.is_inside(i) && !self.is_part(&observations[i], frame));
        let edges = self.overlaps(&rows, &columns, observations, |t| t.motion.rect());
        let pairs = assign(&edges, RECOVERY_LIMIT);
        self.settle(&pairs, &rows, &columns, boxes, observations);
    }

    /// Tentative tracks and the sure boxes that nobody believed wanted.
    pub(super) fn match_tentative(&mut self, boxes: &mut Boxes, observations: &[Observation<'_>]) {
        let sure = self.confidence.sure();
        let rows = self.rows(|t| t.state == TrackState::Tentative);
        let columns = boxes.at_least(sure, observations);
        let mut edges = self.overlaps(&rows, &columns, observations, |t| t.motion.rect());
        for edge in &mut edges {
            let (track, seen) = (
                &self.tracks[rows[edge.row]],
                &observations[columns[edge.column]],
            );
            let looks = self.looks_cost(track, seen, buffer(track), 1.0 - edge.cost);
            edge.cost = edge.cost.min(looks);
        }
        let pairs = assign(&edges, TENTATIVE_LIMIT);
        self.settle(&pairs, &rows, &columns, boxes, observations);
    }

    /// The tracks that `wanted` picks among those not seen yet in this frame.
    fn rows(&self, wanted: impl Fn(&Live) -> bool) -> Vec<usize> {
        (0..self.tracks.len())
            .filter(|&i| self.tracks[i].missed > 0 && wanted(&self.tracks[i]))
            .collect()
    }

    /// Pairs that overlap and do not contradict each other, costing what does not overlap.
    fn overlaps(
        &self,
        rows: &[usize],
        columns: &[usize],
        observations: &[Observation<'_>],
        place: impl Fn(&Live) -> Rect,
    ) -> Vec<Edge> {
        let mut edges = Vec::new();
        for (row, &track) in rows.iter().enumerate() {
            let track = &self.tracks[track];
            let (rect, grow) = (place(track), buffer(track));
            for (column, &observation) in columns.iter().enumerate() {
                let seen = &observations[observation];
                let overlap = overlap(track, &rect, grow, seen);
                if overlap > 0.0 && !self.contradict(track, seen) {
                    edges.push(Edge {
                        row,
                        column,
                        cost: 1.0 - overlap,
                    });
                }
            }
        }
        edges
    }

    /// Gives the boxes of `pairs` to their tracks.
    fn settle(
        &mut self,
        pairs: &[Pair],
        rows: &[usize],
        columns: &[usize],
        boxes: &mut Boxes,
        observations: &[Observation<'_>],
    ) {
        let now = self.now();
        for pair in pairs {
            let (track, observation) = (rows[pair.row], columns[pair.column]);
            let seen = &observations[observation];
            let cosine = self.own_cosine(&self.tracks[track], seen);
            let agrees = self.agreement(&self.tracks[track], cosine, seen);
            let unlike =
                agrees.is_some() && cosine.is_some_and(|c| self.looks.position(c) < FAMILIAR);
            let is_familiar = agrees != Some(false) && !unlike;
            if let Some(cosine) = cosine.filter(|_| is_familiar) {
                self.looks.add_self(cosine);
            }
            let sight = Sight {
                agrees,
                is_familiar,
                ..sight(seen, self.config.use_appearance)
            };
            self.tracks[track].see(observation, sight, now);
        }
        let taken: HashSet<usize> = pairs.iter().map(|p| columns[p.column]).collect();
        boxes.free.retain(|i| !taken.contains(i));
    }

    fn own_cosine(&self, track: &Live, seen: &Observation<'_>) -> Option<f32> {
        if !self.config.use_appearance {
            return None;
        }
        track.appearance.as_ref()?.cosine(seen.embedding?)
    }
}

/// A box as a track takes it in.
pub(super) fn sight<'a>(seen: &Observation<'a>, use_appearance: bool) -> Sight<'a> {
    Sight {
        rect: seen.rect,
        class: seen.class,
        embedding: seen.embedding.filter(|_| use_appearance),
        quality: seen.quality,
        agrees: None,
        is_familiar: true,
    }
}

/// By which part of its size a box grows on every side while it is looked for: nothing at video rates, more the less
/// certain its place is (C-BIoU widens by a fixed part; here the filter says how much).
fn buffer(track: &Live) -> f32 {
    let rect = track.motion.rect();
    let (sx, sy) = track.motion.spread();
    let uncertain = (sx / rect.w.max(1.0)).max(sy / rect.h.max(1.0));
    let (deviations, free) = if track.missed <= 1 {
        STEP_BUFFER
    } else {
        GAP_BUFFER
    };
    (deviations * uncertain - free).clamp(0.0, BUFFER_MAX)
}

/// How much a track, expected at `place`, and a box overlap when both grow; 0 for another class.
fn overlap(track: &Live, place: &Rect, grow: f32, seen: &Observation<'_>) -> f32 {
    if track.class != seen.class {
        return 0.0;
    }
    grown(place, grow).iou(&grown(&seen.rect, grow))
}

fn grown(rect: &Rect, part: f32) -> Rect {
    Rect::new(
        rect.x - rect.w * part,
        rect.y - rect.h * part,
        rect.w * (1.0 + 2.0 * part),
        rect.h * (1.0 + 2.0 * part),
    )
}
