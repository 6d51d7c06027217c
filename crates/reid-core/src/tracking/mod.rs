//! The tracker of one camera: boxes of one frame after another become tracks.
//!
//! Two-stage association (ByteTrack, Zhang et al. 2022) with motion as in BoT-SORT (Aharon et al. 2022), appearance as a
//! second opinion on pairs that motion allows, and OC-SORT's recovery from gaps (Cao et al. 2023). Looks that plainly
//! contradict forbid what overlap alone would join, and part a track from whoever took its place. Everything that the
//! papers count in frames is counted here in seconds of buffer time, because cameras drop frames and change their rate.
//! Whether a box is sure is judged by the scores this detector really gives ([`confidence`]), and what a cosine means by
//! the scores this embedder really gives ([`crate::scores`]).

pub mod assignment;
mod camera;
pub mod confidence;
pub mod motion;
pub mod stature;
mod track;

use std::collections::HashSet;

use self::{
    assignment::{Edge, Pair, assign},
    confidence::ConfidenceScale,
    stature::Statures,
    track::{Live, Sight},
};
use super::{
    embedding::Embedding,
    geometry::Rect,
    person::{TrackId, TrackState},
    scores::ScoreScale,
};

/// Most boxes of one frame that are looked at; the surest stay.
pub const MAX_OBSERVATIONS: usize = 2048;
/// Most tracks that one camera follows at a time; beyond it no new ones begin.
pub const MAX_TRACKS: usize = 2048;

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
/// Two tracks that overlap this much are one person seen twice (ByteTrack, `remove_duplicate_stracks`: 1 - 0.15).
const DUPLICATE_IOU: f32 = 0.85;
/// A box of a track that was seen in the frame before may be this many standard deviations of the prediction away from it
/// when the frame rate is low, of which this much of its size is free: what is left at 25 frames a second, where plain
/// overlap is best. (At 2 frames a second, MATRIX, half of both loses 4 of global IDF1.)
const STEP_BUFFER: (f32, f32) = (2.0, 0.3);
/// Likewise of a track that was missed, of whom others may have taken the place.
const GAP_BUFFER: (f32, f32) = (1.0, 0.15);
/// A box never grows by more than this part of its size while it is being looked for (C-BIoU, Yang et al. 2023, has 0.5 at video rates; 0.75 follows a walker at 2 frames a second).
const BUFFER_MAX: f32 = 0.75;
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
/// Tentative tracks are confirmed after this time even with fewer hits than asked for, at low frame rates.
const CONFIRM_NS: u64 = 500_000_000;
/// Tentative tracks survive a miss for this long: two frames at 10 frames a second.
const TENTATIVE_NS: u64 = 100_000_000;
/// A camera slower than this many frames per `max_lost_ns` still follows people from frame to frame.
const MIN_LOST_FRAMES: f64 = 3.0;
/// Who was last seen leaving the picture is gone after this time, ns, and so many frames: whoever comes in there is
/// somebody else, or is recognised by the gallery.
const LEFT_NS: u64 = 300_000_000;
const LEFT_FRAMES: f64 = 1.5;
/// Who was missed for no longer than this is still there, ns: detectors miss people for a frame or a few. HOTA is 0.4 to 1.6
/// higher for it (TC-pedestrians, 4 detectors); after 0.3 s YOLOX-nano's false boxes begin to outweigh what is gained.
const PRESENT_NS: u64 = 200_000_000;
/// Time may run backwards by this much (re-ordered buffers, clock corrections) before it counts as a new scene.
const BACKWARDS_NS: u64 = 1_000_000_000;

/// What a tracker may be told.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackerConfig {
    /// Sightings before a track is believed, at least 1.
    pub min_hits: u32,
    /// A track that nobody has seen for this long is over, ns.
    pub max_lost_ns: u64,
    /// Whether looks have a say.
    pub use_appearance: bool,
    /// Whether the heights that people have in this camera are learnt, and boxes judged by them.
    pub use_stature: bool,
    /// Boxes at or above this score are sure, 0..=1; `None` learns it.
    pub sure_score: Option<f32>,
}

impl Default for TrackerConfig {
    fn default() -> Self {
        Self {
            // As ByteTrack, which believes the second sighting. With 3, HOTA is 0.5 lower (TC-pedestrians, 3 detectors).
            min_hits: 2,
            // ByteTrack and BoT-SORT wait a second. Whose looks are known is found again after 3 s: IDF1 is 2 to 4 higher
            // with simulated detections of CAMPUS, and the same on TC-pedestrians, which is too short.
            max_lost_ns: 3_000_000_000,
            use_appearance: true,
            use_stature: true,
            sure_score: None,
        }
    }
}

/// A box of the current frame.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// px
    pub rect: Rect,
    /// Detector's score, 0..=1.
    pub confidence: f32,
    /// Class number: boxes of different classes are never one track.
    pub class: i32,
    /// What it looks like, if known.
    pub embedding: Option<&'a Embedding>,
    /// How good the crop is, 0..=1 (see [`crate::quality`]).
    pub quality: f32,
}

/// A track in the current frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackOutput {
    /// The observation that belongs to it; `None` = it was not seen in this frame.
    pub observation: Option<usize>,
    /// Its number.
    pub track: TrackId,
    /// Where it is in its life.
    pub state: TrackState,
    /// Where it is by now, px: smoothed when seen, predicted when not.
    pub rect: Rect,
    /// Its class number.
    pub class: i32,
    /// Time since it was last seen, ns; 0 when seen now.
    pub unseen_ns: u64,
    /// Time since it was first seen, ns.
    pub age_ns: u64,
    /// Frames with a verdict of the detector since it was last seen; 0 = seen in the newest.
    pub missed: u32,
    /// Whether it is in the picture, as far as can be told: the newest verdict has it, or missed it for a moment only while
    /// it was not on its way out.
    pub present: bool,
}

/// Times between frames of which the median counts.
const STEPS: usize = 3;

/// Follows the boxes of one camera.
#[derive(Clone, Debug)]
pub struct Tracker {
    config: TrackerConfig,
    tracks: Vec<Live>,
    next_id: u32,
    time_ns: Option<u64>,
    /// Running mean of the time between frames, ns.
    interval_ns: f64,
    /// The last times between frames, ns, newest last, as many as there were.
    steps_ns: Vec<u64>,
    confidence: ConfidenceScale,
    stature: Statures,
    looks: ScoreScale,
    /// When strangers were last compared, ns.
    compared_ns: Option<u64>,
    ended: Vec<TrackId>,
    outputs: Vec<TrackOutput>,
}

impl Tracker {
    /// A tracker that has seen nothing.
    pub fn new(config: TrackerConfig) -> Self {
        Self {
            confidence: ConfidenceScale::new(config.sure_score),
            config,
            tracks: Vec::new(),
            next_id: 1,
            time_ns: None,
            interval_ns: 0.0,
            steps_ns: Vec::new(),
            stature: Statures::default(),
            looks: ScoreScale::default(),
            compared_ns: None,
            ended: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// Forgets where everybody was (a seek, a flush, a new scene) but not the numbers given nor the scales learnt.
    pub fn reset_motion(&mut self) {
        self.ended.extend(self.tracks.drain(..).map(|t| t.id));
        self.time_ns = None;
        self.interval_ns = 0.0;
        self.steps_ns.clear();
    }

    /// From now on the picture is scaled by `sx` across and `sy` down and shows the same: everybody is followed on. The heights of
    /// people are learnt in parts of the picture's.
    pub fn rescale(&mut self, sx: f32, sy: f32) {
        self.tracks.iter_mut().for_each(|t| t.rescale(sx, sy));
    }

    /// The camera looks elsewhere: forgets where everybody was, and how tall people are where.
    pub fn change_view(&mut self) {
        self.reset_motion();
        self.stature = Statures::default();
    }

    /// The number of the next track.
    pub fn next_number(&self) -> u32 {
        self.next_id
    }

    /// Gives tracks numbers from `first` on.
    pub fn number_from(&mut self, first: u32) {
        self.next_id = first.max(1);
    }

    /// Changes how many sightings a track needs from now on.
    pub fn set_min_hits(&mut self, min_hits: u32) {
        self.config.min_hits = min_hits;
    }

    /// The tracks that ended since this was last asked.
    pub fn take_ended(&mut self) -> Vec<TrackId> {
        std::mem::take(&mut self.ended)
    }

    /// Gives a track of the newest frame another number, as if it had begun in that frame; the old number has ended.
    /// `None` of a track that is not followed, and when there are no numbers left.
    pub fn renew(&mut self, track: TrackId) -> Option<TrackId> {
        let next = self.next_id.checked_add(1)?;
        let now = self.now();
        let live = self.tracks.iter_mut().find(|t| t.id == track)?;
        let renewed = TrackId(std::mem::replace(&mut self.next_id, next));
        live.id = renewed;
        live.first_ns = now;
        for output in self.outputs.iter_mut().filter(|o| o.track == track) {
            output.track = renewed;
        }
        self.ended.push(track);
        Some(renewed)
    }

    /// The tracks of the newest frame, as the last call returned them.
    pub fn outputs(&self) -> &[TrackOutput] {
        &self.outputs
    }

    /// The score from which boxes are sure at the moment.
    pub fn sure_score(&self) -> f32 {
        self.confidence.sure()
    }

    /// Moves every track to `time_ns` on a frame that no detector has looked at. Nothing ages by a miss.
    pub fn coast(&mut self, time_ns: u64) -> &[TrackOutput] {
        let seconds = self.advance(time_ns);
        for track in &mut self.tracks {
            let missed = track.missed;
            track.predict(seconds);
            track.missed = missed;
        }
        self.publish()
    }

    /// Takes in all boxes of the frame at `time_ns`, `frame` (width, height) px in size. Boxes that are not valid, lie
    /// outside the frame or have no score are passed over. Returns every track that was seen, and the confirmed ones
    /// that were not.
    pub fn update(
        &mut self,
        time_ns: u64,
        frame: (f32, f32),
        observations: &[Observation<'_>],
    ) -> &[TrackOutput] {
        let seconds = self.advance(time_ns);
        self.tracks.iter_mut().for_each(|t| t.predict(seconds));
        let weighed = self.weighed(frame, observations);
        let observations = weighed.as_slice();
        let mut boxes = self.usable(frame, observations);
        boxes.find_inside(self.confidence.sure(), observations);
        self.follow_camera(&boxes, observations);
        self.match_sure(&mut boxes, observations);
        self.match_unsure(&mut boxes, observations);
        self.recover(&mut boxes, observations);
        self.revive(&mut boxes, frame, observations);
        self.match_tentative(&mut boxes, observations);
        self.part_changed(observations);
        self.begin(frame, &boxes, observations);
        self.learn_heights(frame);
        self.learn(observations);
        self.end();
        for track in self.tracks.iter_mut().filter(|t| t.missed == 0) {
            track.leaves = track.is_leaving(frame);
        }
        self.publish()
    }

    /// Sets the clock; seconds since the last frame. A jump backwards ends every track.
    fn advance(&mut self, time_ns: u64) -> f32 {
        let Some(last) = self.time_ns else {
            self.time_ns = Some(time_ns);
            return 0.0;
        };
        if last > time_ns.saturating_add(BACKWARDS_NS) {
            self.reset_motion();
            self.time_ns = Some(time_ns);
            return 0.0;
        }
        let now = last.max(time_ns);
        self.time_ns = Some(now);
        let step = now - last;
        let lost_ns = self.lost_ns();
        let left_ns = (LEFT_NS as f64).max(self.interval_ns * LEFT_FRAMES) as u64;
        let ended = &mut self.ended;
        self.tracks.retain(|t| {
            let most = if t.leaves {
                left_ns.min(lost_ns)
            } else {
                lost_ns
            };
            let keep = now.saturating_sub(t.seen_ns) <= most;
            if !keep {
                ended.push(t.id);
            }
            keep
        });
        if step > 0 {
            self.note_step(step);
        }
        step as f32 / 1e9
    }

    /// Takes a time between frames into the mean: the median of the last three, so that one jump in time does not count.
    fn note_step(&mut self, step: u64) {
        let is_settled = self.steps_ns.len() == STEPS;
        if is_settled {
            self.steps_ns.remove(0);
        }
        self.steps_ns.push(step);
        let mut sorted = self.steps_ns.clone();
        sorted.sort_unstable();
        // Of two the shorter.
        let typical = sorted[(sorted.len() - 1) / 2] as f64;
        let part = if is_settled { 0.1 } else { 1.0 };
        self.interval_ns += part * (typical - self.interval_ns);
    }

    /// How long a track may go unseen: as configured, but never less than a few frames of a slow camera.
    fn lost_ns(&self) -> u64 {
        (self.config.max_lost_ns as f64).max(self.interval_ns * MIN_LOST_FRAMES) as u64
    }

    fn now(&self) -> u64 {
        self.time_ns.unwrap_or(0)
    }

    /// The boxes with scores that their heights, where those are learnt, are weighed into.
    fn weighed<'a>(
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
    fn usable(&self, frame: (f32, f32), observations: &[Observation<'_>]) -> Boxes {
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
    fn follow_camera(&mut self, boxes: &Boxes, observations: &[Observation<'_>]) {
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
    fn match_sure(&mut self, boxes: &mut Boxes, observations: &[Observation<'_>]) {
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
    fn contradict(&self, track: &Live, seen: &Observation<'_>) -> bool {
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
    fn match_unsure(&mut self, boxes: &mut Boxes, observations: &[Observation<'_>]) {
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
    fn recover(&mut self, boxes: &mut Boxes, observations: &[Observation<'_>]) {
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
    fn revive(&mut self, boxes: &mut Boxes, frame: (f32, f32), observations: &[Observation<'_>]) {
        let rows = self.rows(|t| t.state == TrackState::Confirmed);
        let mut columns = boxes.at_least(self.confidence.sure(), observations);
        columns.retain(|&i| boxes.is_inside(i) && !self.is_part(&observations[i], frame));
        let edges = self.overlaps(&rows, &columns, observations, |t| t.motion.rect());
        let pairs = assign(&edges, RECOVERY_LIMIT);
        self.settle(&pairs, &rows, &columns, boxes, observations);
    }

    /// Tentative tracks and the sure boxes that nobody believed wanted.
    fn match_tentative(&mut self, boxes: &mut Boxes, observations: &[Observation<'_>]) {
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

    /// Parts tracks whose looks have changed for good from whoever is in their place.
    fn part_changed(&mut self, observations: &[Observation<'_>]) {
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

    /// True when a box shows a part of somebody whose whole box was seen in this frame.
    fn is_part(&self, seen: &Observation<'_>, frame: (f32, f32)) -> bool {
        let evidence = |rect: &Rect| self.stature.evidence(seen.class, rect, frame);
        let own = evidence(&seen.rect);
        let mut around = self.around(seen);
        around.any(|t| evidence(&t.seen_rect) - own >= PART_EVIDENCE) || self.is_small_part(seen)
    }

    /// Likewise by sizes and looks alone, of somebody who is believed.
    fn is_small_part(&self, seen: &Observation<'_>) -> bool {
        self.around(seen).any(|t| {
            t.state == TrackState::Confirmed
                && seen.rect.area() <= PART_AREA * t.seen_rect.area()
                && !self.contradict(t, seen)
        })
    }

    /// The tracks seen in this frame in whose box a box lies.
    fn around(&self, seen: &Observation<'_>) -> impl Iterator<Item = &Live> {
        let here = self.tracks.iter().filter(|t| t.missed == 0);
        here.filter(|t| t.class == seen.class && lies_in(&seen.rect, &t.seen_rect))
    }

    /// Begins tracks at the sure boxes that are left.
    fn begin(&mut self, frame: (f32, f32), boxes: &Boxes, observations: &[Observation<'_>]) {
        let now = self.now();
        for observation in boxes.at_least(self.confidence.new_track(), observations) {
            if self.is_part(&observations[observation], frame) {
                continue;
            }
            let Some(id) = self.new_id() else {
                break;
            };
            let seen = sight(&observations[observation], self.config.use_appearance);
            let mut track = Live::new(id, seen, now);
            track.observation = Some(observation);
            self.tracks.push(track);
        }
        self.confirm(observations);
    }

    /// Believes the tracks that were seen often enough, unless what is seen is a part of somebody who is believed.
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

    /// Learns people's heights, where scores are not judged by a fixed threshold.
    fn learn_heights(&mut self, frame: (f32, f32)) {
        if !self.config.use_stature || self.config.sure_score.is_some() {
            return;
        }
        let seen = self
            .tracks
            .iter()
            .filter(|t| t.state == TrackState::Confirmed && t.observation.is_some());
        self.stature.learn(
            self.now(),
            frame,
            seen.map(|t| (t.class, t.id, t.seen_rect)),
        );
    }

    /// Learns the detector's and the embedder's scales from this frame.
    fn learn(&mut self, observations: &[Observation<'_>]) {
        let believed = self
            .tracks
            .iter()
            .filter(|t| t.state == TrackState::Confirmed)
            .filter_map(|t| t.observation);
        self.confidence
            .learn(believed.map(|i| observations[i].confidence));
        let now = self.now();
        let due = self
            .compared_ns
            .is_none_or(|t| now < t || now - t >= STRANGERS_NS);
        if !self.config.use_appearance || !due {
            return;
        }
        self.compared_ns = Some(now);
        let seen: Vec<&Observation<'_>> = self
            .tracks
            .iter()
            .filter(|t| t.state == TrackState::Confirmed)
            .filter_map(|t| t.observation.map(|i| &observations[i]))
            .take(MAX_STRANGERS)
            .collect();
        for (i, a) in seen.iter().enumerate() {
            for b in &seen[..i] {
                if let Some(cosine) = strangers(a, b) {
                    self.looks.add_strangers(cosine);
                }
            }
        }
    }

    /// Ends tracks that are over: tentative ones that were missed, and doubles of another.
    fn end(&mut self) {
        let now = self.now();
        let interval = self.interval_ns as u64;
        let doubles = self.doubles();
        let ended = &mut self.ended;
        self.tracks.retain(|t| {
            let unbelieved = t.state == TrackState::Tentative
                && t.missed > 0
                && now.saturating_sub(t.seen_ns) > TENTATIVE_NS.max(interval);
            let keep = !unbelieved && !doubles.contains(&t.id);
            if !keep {
                ended.push(t.id);
            }
            keep
        });
    }

    /// Unseen tracks that lie on a track that was seen: the shorter-lived of the two is the other's double.
    fn doubles(&self) -> HashSet<TrackId> {
        let confirmed = || {
            self.tracks
                .iter()
                .filter(|t| t.state == TrackState::Confirmed)
        };
        let mut doubles = HashSet::new();
        for lost in confirmed().filter(|t| t.missed > 0) {
            let place = lost.motion.rect();
            let same = confirmed().any(|t| {
                t.missed == 0
                    && t.class == lost.class
                    && t.first_ns <= lost.first_ns
                    && t.motion.rect().iou(&place) > DUPLICATE_IOU
            });
            if same {
                doubles.insert(lost.id);
            }
        }
        doubles
    }

    fn publish(&mut self) -> &[TrackOutput] {
        let now = self.now();
        self.outputs.clear();
        self.outputs.extend(
            self.tracks
                .iter()
                .filter(|t| t.observation.is_some() || t.state == TrackState::Confirmed)
                .map(|t| {
                    let unseen_ns = now.saturating_sub(t.seen_ns);
                    TrackOutput {
                        observation: t.observation,
                        track: t.id,
                        state: t.state,
                        rect: t.motion.rect(),
                        class: t.class,
                        unseen_ns,
                        age_ns: now.saturating_sub(t.first_ns),
                        missed: t.missed,
                        present: t.missed == 0 || (!t.leaves && unseen_ns <= PRESENT_NS),
                    }
                }),
        );
        &self.outputs
    }
}

/// Strangers of one frame are compared this often, ns: neighbouring frames are near-copies.
const STRANGERS_NS: u64 = 200_000_000;
/// Most people of a frame whose looks are compared with one another to learn what strangers score.
const MAX_STRANGERS: usize = 12;
/// Boxes that overlap more than this show part of the other person: no certain strangers' score.
const MAX_SHARED_IOU: f32 = 0.1;

/// The cosine of two people of one frame, if their crops are of two people only.
pub(crate) fn strangers(a: &Observation<'_>, b: &Observation<'_>) -> Option<f32> {
    if a.rect.iou(&b.rect) > MAX_SHARED_IOU {
        return None;
    }
    a.embedding?.cosine(b.embedding?)
}

/// The observations that no track has taken yet, surest first.
struct Boxes {
    free: Vec<usize>,
    /// Those that lie in a larger sure box of their class and may be a part of its person.
    inside: HashSet<usize>,
}

impl Boxes {
    /// Finds the boxes that may be parts.
    fn find_inside(&mut self, sure: f32, observations: &[Observation<'_>]) {
        let wholes = self.at_least(sure, observations);
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

    fn is_inside(&self, observation: usize) -> bool {
        self.inside.contains(&observation)
    }

    /// Whether a track may go on at a box before it is known whose the boxes around that are: not at what may be a part of another.
    fn may_take(&self, track: &Live, observation: usize, observations: &[Observation<'_>]) -> bool {
        let (own, seen) = (&track.seen_rect, &observations[observation].rect);
        let alike = |a: f32, b: f32| a.min(b) >= SAME_SIZE * a.max(b);
        !self.is_inside(observation) || (alike(own.w, seen.w) && alike(own.h, seen.h))
    }

    fn at_least(&self, score: f32, observations: &[Observation<'_>]) -> Vec<usize> {
        let sure = |&i: &usize| observations[i].confidence >= score;
        self.free.iter().copied().filter(sure).collect()
    }

    fn below(&self, score: f32, observations: &[Observation<'_>]) -> Vec<usize> {
        let unsure = |&i: &usize| observations[i].confidence < score;
        self.free.iter().copied().filter(unsure).collect()
    }
}

fn sight<'a>(seen: &Observation<'a>, use_appearance: bool) -> Sight<'a> {
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

/// Whether a box lies so far in another that it may be a part of what that shows.
fn lies_in(part: &Rect, whole: &Rect) -> bool {
    part.intersection(whole) >= PART_INSIDE * part.area()
}

fn grown(rect: &Rect, part: f32) -> Rect {
    Rect::new(
        rect.x - rect.w * part,
        rect.y - rect.h * part,
        rect.w * (1.0 + 2.0 * part),
        rect.h * (1.0 + 2.0 * part),
    )
}

#[cfg(test)]
mod tests;
