//! What the tracker learns of a camera: heights, scores of boxes, and the scale of cosines.

use super::{observation::Observation, tracker::Tracker};
use crate::person::TrackState;

/// Interval between comparisons of the people of one frame, ns: neighbouring frames are nearly copies.
const IMPOSTORS_NS: u64 = 200_000_000;
/// Maximum number of people of a frame that are compared with one another to learn the impostor scores.
const MAX_IMPOSTORS: usize = 12;
/// Boxes that overlap more than this show part of the other person: not a certain impostor pair.
const MAX_SHARED_IOU: f32 = 0.1;

impl Tracker {
    /// Updates the height prior, unless the threshold of scores is fixed.
    pub(super) fn learn_heights(&mut self, frame: (f32, f32)) {
        if !self.config.use_height_prior || self.config.high_score.is_some() {
            return;
        }
        let seen = self
            .tracks
            .iter()
            .filter(|t| t.state == TrackState::Confirmed && t.observation.is_some());
        self.height_prior.learn(
            self.now(),
            frame,
            seen.map(|t| (t.class, t.id, t.seen_rect)),
        );
    }

    /// Learns the detector's and the embedder's scales from this frame.
    pub(super) fn learn(&mut self, observations: &[Observation<'_>]) {
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
            .is_none_or(|t| now < t || now - t >= IMPOSTORS_NS);
        if !self.config.use_appearance || !due {
            return;
        }
        self.compared_ns = Some(now);
        let seen: Vec<&Observation<'_>> = self
            .tracks
            .iter()
            .filter(|t| t.state == TrackState::Confirmed)
            .filter_map(|t| t.observation.map(|i| &observations[i]))
            .take(MAX_IMPOSTORS)
            .collect();
        for (i, a) in seen.iter().enumerate() {
            for b in &seen[..i] {
                if let Some(cosine) = impostor_cosine(a, b) {
                    self.appearance_scale.add_impostors(cosine);
                }
            }
        }
    }
}

/// The cosine of two people of one frame, if their crops are of two people only.
fn impostor_cosine(a: &Observation<'_>, b: &Observation<'_>) -> Option<f32> {
    if a.rect.iou(&b.rect) > MAX_SHARED_IOU {
        return None;
    }
    a.embedding?.cosine(b.embedding?)
}
