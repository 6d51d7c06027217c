//! Data association: three stages of matching, by motion and appearance.

use std::collections::HashSet;

use super::{
    assignment::{Edge, Pair, assign},
    camera,
    observation::Observation,
    parts::Boxes,
    track::{Sight, Track},
    tracker::Tracker,
};
use crate::{geometry::Rect, person::TrackState};

/// Maximum number of detections per frame; those with the highest scores are used.
pub const MAX_OBSERVATIONS: usize = 2048;
/// Maximum cost of a pair in the first stage (ByteTrack and BoT-SORT, `match_thresh`).
const FIRST_LIMIT: f32 = 0.8;
/// … in the second stage, of low-score detections (ByteTrack).
const SECOND_LIMIT: f32 = 0.5;
/// … between a tentative track and a high-score detection (ByteTrack).
const TENTATIVE_LIMIT: f32 = 0.7;
/// … between a track's last sighting and a box that is left over (OC-SORT, `iou_threshold` 0.3).
const RECOVERY_LIMIT: f32 = 0.7;
/// Boxes below this score are noise (ByteTrack, `track_low_thresh`).
const NOISE_SCORE: f32 = 0.1;
/// Appearance counts for a pair only when the boxes overlap this much (BoT-SORT has 0.5; with 0.2 and 0.3 IDF1 is 0.5 to
/// 2 higher with three of four detectors on TC-pedestrians) …
const PROXIMITY: f32 = 0.3;
/// … and the similarity is at least this much on the scale from impostors (0) to genuine pairs (1) …
const SIMILAR: f32 = 0.5;
/// … and above the impostors' mean by this many of their standard deviations.
const UNLIKE_IMPOSTORS: f32 = 2.5;
/// Below this similarity a crop does not update a reliable appearance, else a track drifts to the person who takes its
/// position at the picture's edge.
const FAMILIAR: f32 = 0.4;
/// Appearance counts against a pair only when the crop's quality is at least this: a crop of a half hidden person resembles another.
const CLEAR_QUALITY: f32 = 0.15;
/// A track seen within this time, ns, is where it was: appearance alone does not end it at once.
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
    /// The detections, with scores weighted by the height prior where it is learnt.
    pub(super) fn weighed<'a>(
        &self,
        frame: (f32, f32),
        observations: &[Observation<'a>],
    ) -> Vec<Observation<'a>> {
        let weigh = |seen: &Observation<'a>| Observation {
            confidence: self
                .height_prior
                .weigh(seen.confidence, seen.class, &seen.rect, frame),
            ..*seen
        };
        observations.iter().map(weigh).collect()
    }

    /// The detections that may be matched, highest score first.
    pub(super) fn usable(&self, frame: (f32, f32), observations: &[Observation<'_>]) -> Boxes {
        let mut free: Vec<usize> = (0..observations.len())
            .filter(|&i| {
                let o = &observations[i];
                o.confidence.is_finite()
                    && o.confidence >= NOISE_SCORE.min(self.confidence.high_score())
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

    /// Moves every track by the camera's motion.
    pub(super) fn follow_camera(&mut self, boxes: &Boxes, observations: &[Observation<'_>]) {
        let seen = boxes.at_least(self.confidence.high_score(), observations);
        let rects: Vec<Rect> = seen.iter().map(|&i| observations[i].rect).collect();
        // Those seen in the last frame: older ones may have gone anywhere.
        let recent: Vec<&Track> = self.tracks.iter().filter(|t| t.missed == 1).collect();
        let places: Vec<Rect> = recent.iter().map(|t| t.motion.rect()).collect();
        let warp = camera::common_motion(&places, &rects, |track, column| {
            self.likeness(recent[track], &observations[seen[column]])
        });
        if let Some(warp) = warp {
            self.tracks.iter_mut().for_each(|t| t.follow(&warp));
        }
    }

    /// First stage: confirmed tracks and high-score detections, by motion and appearance.
    pub(super) fn match_high_score(&mut self, boxes: &mut Boxes, observations: &[Observation<'_>]) {
        let high_score = self.confidence.high_score();
        let rows = self.rows(|t| t.state == TrackState::Confirmed);
        let columns = boxes.at_least(high_score, observations);
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
                    let cost = motion.min(self.appearance_cost(track, seen, grow, overlap));
                    edges.push(Edge { row, column, cost });
                }
            }
        }
        let pairs = assign(&edges, FIRST_LIMIT);
        self.settle(&pairs, &rows, &columns, boxes, observations);
    }

    /// Appearance cost of a pair that motion allows; 1 where appearance does not decide.
    fn appearance_cost(
        &self,
        track: &Track,
        seen: &Observation<'_>,
        grow: f32,
        overlap: f32,
    ) -> f32 {
        // The less certain a track's position, the less overlap proves and the earlier appearance counts.
        let near = PROXIMITY * (1.0 - grow / BUFFER_MAX);
        let Some(cosine) = self.own_cosine(track, seen).filter(|_| overlap >= near) else {
            return 1.0;
        };
        let like = self.appearance_scale.position(cosine);
        // With similar clothes impostors score as genuine pairs do: then appearance does not decide.
        if like < SIMILAR || self.appearance_scale.deviations(cosine) < UNLIKE_IMPOSTORS {
            return 1.0;
        }
        0.5 * (1.0 - like.min(1.0))
    }

    /// Similarity of a track and a detection, from impostors (0) to genuine pairs (1).
    fn likeness(&self, track: &Track, seen: &Observation<'_>) -> Option<f32> {
        Some(
            self.appearance_scale
                .position(self.own_cosine(track, seen)?),
        )
    }

    /// True when the appearance clearly says that a detection is not the track's.
    pub(super) fn contradict(&self, track: &Track, seen: &Observation<'_>) -> bool {
        self.agreement(track, self.own_cosine(track, seen), seen) == Some(false)
    }

    /// Whether a detection of this cosine to a track is the track's; `None` where appearance does not decide.
    fn agreement(
        &self,
        track: &Track,
        cosine: Option<f32>,
        seen: &Observation<'_>,
    ) -> Option<bool> {
        let firm = track.appearance.as_ref().is_some_and(|a| a.is_firm());
        let cosine = cosine.filter(|_| firm && seen.quality >= CLEAR_QUALITY)?;
        Some(!self.appearance_scale.contradicts(cosine))
    }

    /// True when a track was seen so recently that a detection at its position is hardly another person's.
    fn is_unbroken(&self, track: &Track) -> bool {
        self.now().saturating_sub(track.seen_ns) <= UNBROKEN_NS
    }

    /// Second stage: low-score detections, by overlap for tracks seen in the last frame, for others only with a similar appearance.
    pub(super) fn match_low_score(&mut self, boxes: &mut Boxes, observations: &[Observation<'_>]) {
        let high_score = self.confidence.high_score();
        let rows = self.rows(|t| t.state == TrackState::Confirmed);
        let columns = boxes.below(high_score, observations);
        let mut edges = self.overlaps(&rows, &columns, observations, |t| t.motion.rect());
        edges.retain_mut(|edge| {
            let track = &self.tracks[rows[edge.row]];
            let seen = &observations[columns[edge.column]];
            let appearance = self.appearance_cost(track, seen, 0.0, 1.0 - edge.cost);
            edge.cost = edge.cost.min(appearance);
            let may_take = boxes.may_take(track, columns[edge.column], observations);
            may_take && (track.missed == 1 || appearance < 1.0)
        });
        let pairs = assign(&edges, SECOND_LIMIT);
        self.settle(&pairs, &rows, &columns, boxes, observations);
    }

    /// Third stage: the rest, by the last observed position instead of the predicted one (OC-SORT).
    pub(super) fn recover(&mut self, boxes: &mut Boxes, observations: &[Observation<'_>]) {
        let high_score = self.confidence.high_score();
        let rows = self.rows(|t| t.state == TrackState::Confirmed);
        let columns = boxes.at_least(high_score, observations);
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
        let mut columns = boxes.at_least(self.confidence.high_score(), observations);
        columns.retain(|&i| boxes.is_inside(i) && !self.is_part(&observations[i], frame));
        let edges = self.overlaps(&rows, &columns, observations, |t| t.motion.rect());
        let pairs = assign(&edges, RECOVERY_LIMIT);
        self.settle(&pairs, &rows, &columns, boxes, observations);
    }

    /// Tentative tracks and the high-score detections that no confirmed track took.
    pub(super) fn match_tentative(&mut self, boxes: &mut Boxes, observations: &[Observation<'_>]) {
        let high_score = self.confidence.high_score();
        let rows = self.rows(|t| t.state == TrackState::Tentative);
        let columns = boxes.at_least(high_score, observations);
        let mut edges = self.overlaps(&rows, &columns, observations, |t| t.motion.rect());
        for edge in &mut edges {
            let (track, seen) = (
                &self.tracks[rows[edge.row]],
                &observations[columns[edge.column]],
            );
            let appearance = self.appearance_cost(track, seen, buffer(track), 1.0 - edge.cost);
            edge.cost = edge.cost.min(appearance);
        }
        let pairs = assign(&edges, TENTATIVE_LIMIT);
        self.settle(&pairs, &rows, &columns, boxes, observations);
    }

    /// The tracks that `wanted` picks among those not seen yet in this frame.
    fn rows(&self, wanted: impl Fn(&Track) -> bool) -> Vec<usize> {
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
        place: impl Fn(&Track) -> Rect,
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
            let unlike = agrees.is_some()
                && cosine.is_some_and(|c| self.appearance_scale.position(c) < FAMILIAR);
            let is_familiar = agrees != Some(false) && !unlike;
            if let Some(cosine) = cosine.filter(|_| is_familiar) {
                self.appearance_scale.add_genuine(cosine);
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

    fn own_cosine(&self, track: &Track, seen: &Observation<'_>) -> Option<f32> {
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
fn buffer(track: &Track) -> f32 {
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
fn overlap(track: &Track, place: &Rect, grow: f32, seen: &Observation<'_>) -> f32 {
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
