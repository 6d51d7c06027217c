//! The threshold between high- and low-score detections, adapted to the detector.
//!
//! ByteTrack's threshold of 0.5 or 0.6 belongs to YOLOX-x. The same rule loses most people with a quantised YOLO11n,
//! whose scores on true people end at 0.54, and every one with a model whose scores are capped at 0.5 (TC-pedestrians;
//! shared models). So the threshold is a fixed part of the scores that confirmed people get.

/// Bins of the histogram of scores, 0..=1.
const BINS: usize = 64;
/// Older scores fade so that no more than this many count: about a minute of ten people.
const MEMORY: f32 = 10_000.0;
/// Before any score was seen: as if this many boxes had scored `PRIOR_SCORE`.
const PRIOR_WEIGHT: f32 = 20.0;
/// YOLOX-nano's and YOLOv8n's upper quartile on true people is 0.75 (TC-pedestrians).
const PRIOR_SCORE: f32 = 0.75;
/// The scale is this quantile of the scores of confirmed people.
const QUANTILE: f32 = 0.75;
/// A detection is high-score above this part of the scale …
const HIGH_SCORE_PART: f32 = 0.42;
/// … and a new track needs a score higher by this factor (ByteTrack: `det_thresh = track_thresh + 0.1` at 0.6). The product of both
/// matters most: with 0.55 instead of 0.61 one thing that is no person becomes one with the detector that ships (HOTA 58
/// instead of 61, TC-pedestrians); with 0.7 people are missed. A low first part keeps people who had a high score once.
const NEW_PART: f32 = 1.45;

/// The learnt scale of one detector's scores.
#[derive(Clone, Debug)]
pub struct ConfidenceScale {
    fixed: Option<f32>,
    bins: [f32; BINS],
    total: f32,
    quantile: f32,
}

impl ConfidenceScale {
    /// A scale that adapts; with `fixed`, that score is the threshold of high-score detections.
    pub fn new(fixed: Option<f32>) -> Self {
        let mut bins = [0.0; BINS];
        bins[bin(PRIOR_SCORE)] = PRIOR_WEIGHT;
        Self {
            fixed,
            bins,
            total: PRIOR_WEIGHT,
            quantile: PRIOR_SCORE,
        }
    }

    /// Takes in the scores of boxes that confirmed tracks matched in one frame.
    pub fn learn(&mut self, scores: impl Iterator<Item = f32>) {
        for score in scores.filter(|s| s.is_finite()) {
            self.bins[bin(score)] += 1.0;
            self.total += 1.0;
        }
        if self.total > MEMORY {
            let keep = MEMORY / self.total;
            self.bins.iter_mut().for_each(|b| *b *= keep);
            self.total = MEMORY;
        }
        let mut above = (1.0 - QUANTILE) * self.total;
        for (i, &count) in self.bins.iter().enumerate().rev() {
            above -= count;
            if above <= 0.0 {
                self.quantile = (i as f32 + 0.5) / BINS as f32;
                break;
            }
        }
    }

    /// Threshold of high-score detections, 0..=1.
    pub fn high_score(&self) -> f32 {
        self.fixed.unwrap_or(self.quantile * HIGH_SCORE_PART)
    }

    /// Minimum score of a detection that begins a track.
    pub fn new_track(&self) -> f32 {
        self.high_score() * NEW_PART
    }
}

fn bin(score: f32) -> usize {
    ((score.clamp(0.0, 1.0) * BINS as f32) as usize).min(BINS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_follow_the_detector() {
        for (scores, low, high) in [
            ([0.3, 0.6, 0.75, 0.85], 0.3, 0.4),
            ([0.1, 0.2, 0.3, 0.45], 0.15, 0.25),
            ([0.3, 0.4, 0.45, 0.5], 0.2, 0.3),
        ] {
            let mut scale = ConfidenceScale::new(None);
            for _ in 0..500 {
                scale.learn(scores.into_iter());
            }
            assert!(
                (low..high).contains(&scale.high_score()),
                "{}",
                scale.high_score()
            );
        }
    }

    #[test]
    fn a_fixed_threshold_stays() {
        let mut scale = ConfidenceScale::new(Some(0.6));
        scale.learn([0.1, f32::NAN].into_iter());
        assert_eq!(scale.high_score(), 0.6);
    }
}
