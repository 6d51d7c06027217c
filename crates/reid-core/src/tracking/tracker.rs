//! The tracker: its clock, and the order of steps for a frame.

use super::{
    confidence::ConfidenceScale,
    height_prior::HeightPriors,
    observation::{Observation, TrackOutput, TrackerConfig},
    track::Track,
};
use crate::{
    person::{TrackId, TrackState},
    scores::ScoreScale,
};

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
/// Times between frames of which the median counts.
const STEPS: usize = 3;

/// Follows the boxes of one camera.
#[derive(Clone, Debug)]
pub struct Tracker {
    pub(super) config: TrackerConfig,
    pub(super) tracks: Vec<Track>,
    pub(super) next_id: u32,
    pub(super) time_ns: Option<u64>,
    /// Running mean of the time between frames, ns.
    pub(super) interval_ns: f64,
    /// The last times between frames, ns, newest last, as many as there were.
    pub(super) steps_ns: Vec<u64>,
    pub(super) confidence: ConfidenceScale,
    pub(super) height_prior: HeightPriors,
    pub(super) appearance_scale: ScoreScale,
    /// When people of one frame were last compared, ns.
    pub(super) compared_ns: Option<u64>,
    pub(super) ended: Vec<TrackId>,
    pub(super) outputs: Vec<TrackOutput>,
}

impl Tracker {
    /// A tracker that has seen nothing.
    pub fn new(config: TrackerConfig) -> Self {
        Self {
            confidence: ConfidenceScale::new(config.high_score),
            config,
            tracks: Vec::new(),
            next_id: 1,
            time_ns: None,
            interval_ns: 0.0,
            steps_ns: Vec::new(),
            height_prior: HeightPriors::default(),
            appearance_scale: ScoreScale::default(),
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

    /// The camera shows another scene: forgets all positions and the height prior.
    pub fn change_view(&mut self) {
        self.reset_motion();
        self.height_prior = HeightPriors::default();
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

    /// The current threshold of high-score detections, 0..=1.
    pub fn high_score(&self) -> f32 {
        self.confidence.high_score()
    }

    /// Predicts every track to `time_ns` on a frame without inference. No track counts a miss.
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
        boxes.find_inside(self.confidence.high_score(), observations);
        self.follow_camera(&boxes, observations);
        self.match_high_score(&mut boxes, observations);
        self.match_low_score(&mut boxes, observations);
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

    /// The time of the newest frame, ns.
    pub(super) fn now(&self) -> u64 {
        self.time_ns.unwrap_or(0)
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
