//! What the tracker learns of this camera: heights, scores of boxes, and what cosines mean.

use super::{observation::Observation, tracker::Tracker};
use crate::person::TrackState;

/// Strangers of one frame are compared this often, ns: neighbouring frames are near-copies.
const STRANGERS_NS: u64 = 200_000_000;
/// Most people of a frame whose looks are compared with one another to learn what strangers score.
const MAX_STRANGERS: usize = 12;
/// Boxes that overlap more than this show part of the other person: no certain strangers' score.
const MAX_SHARED_IOU: f32 = 0.1;

impl Tracker {
    /// Learns people's heights, where scores are not judged by a fixed threshold.
    pub(super) fn learn_heights(&mut self, frame: (f32, f32)) {
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
}

/// The cosine of two people of one frame, if their crops are of two people only.
fn strangers(a: &Observation<'_>, b: &Observation<'_>) -> Option<f32> {
    if a.rect.iou(&b.rect) > MAX_SHARED_IOU {
        return None;
    }
    a.embedding?.cosine(b.embedding?)
}
