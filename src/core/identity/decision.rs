//! From cosines to a decision: who of the known is this, or nobody?
//!
//! Every known person is a hypothesis, being somebody new is one more, and they compete for one probability
//! (open-set identification). A stranger's score is normally distributed; a companion's lies `d` deviations higher. The odds of
//! a person against "new" are then `prior / N^0.75 · exp(d · (z - d / 2))`: a gallery of many needs a higher score than a
//! gallery of few, because among many strangers one looks alike by chance; and a close runner-up takes its share of the
//! probability, so that the margin counts without a threshold of its own.

use super::CameraId;
use crate::core::{person::IdentityId, scores::ScoreScale};

/// Before looking: how probable it is that a track that begins belongs to somebody known.
const PRIOR_KNOWN: f32 = 0.5;
/// Likewise of a person who comes back to a camera, as a part of the distance within a track: the same light and the same
/// angle, another moment. Chosen between that across cameras (0.5 to 0.6) and that within a track.
const SAME_CAMERA: f32 = 0.8;
/// Separation in deviations is believed to lie within these bounds. 1.6 is measured in MATRIX (far, small people, single
/// crops); tracks are judged by their mean, which lies further out than a crop. The upper bound is chosen, not measured.
const SEPARATION: (f32, f32) = (2.0, 4.0);
/// Known people count with their number to this power: not all of them are about. MATRIX, true tracks, eight views at
/// once, retail-0267: with 1, 96 % of an identity's boxes are one person's and IDF1 is 29; with 0.75, 88 % and 39; with
/// 0.5, 80 % and 45. Tuned there and looked at in pose2sim: no independent figure yet.
const CROWDING: f32 = 0.75;
/// The best of several rows scores higher by chance: deviations per natural logarithm of their number (0.7 for the 8
/// rows at most). Chosen, not measured.
const BEST_OF_ROWS: f32 = 0.35;
/// With a fixed threshold: odds change by e for this many hundredths of cosine.
const FIXED_SLOPE: f32 = 0.025;
/// Odds are capped: nothing is certain, and exponentials stay finite.
const MAX_LOG_ODDS: f32 = 30.0;

/// A known person and how alike the query looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub id: IdentityId,
    /// Cosine to the person's rows: half that of the best, half the mean.
    pub score: f32,
    /// How many rows there were.
    pub rows: usize,
    /// How many crops the query is the mean of.
    pub crops: u32,
    /// The most alike row was seen by the camera that asks.
    pub here: bool,
    /// What time and place say for the person, as natural logarithm of odds.
    pub prior: f32,
}

/// A look whose person is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    pub values: &'a [f32],
    /// How many crops it is the mean of.
    pub crops: u32,
    /// The camera that saw them.
    pub camera: CameraId,
}

/// What all candidates together say about one query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Verdict {
    /// Probability of the candidate that was asked about.
    pub probability: f32,
    /// Its score less the best other's; the score itself when there is no other.
    pub margin: f32,
    /// Its score.
    pub score: f32,
}

/// What the number of known people says against each of them, as natural logarithm of odds.
pub(super) fn crowding(known: usize) -> f32 {
    CROWDING * (known.max(1) as f32).ln()
}

/// How scores are judged in one gallery for one model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge<'a> {
    scale: &'a ScoreScale,
    threshold: Option<f32>,
    known: usize,
}

impl<'a> Judge<'a> {
    /// `threshold` = a user's fixed cosine; `known` = how many people the gallery knows.
    pub fn new(scale: &'a ScoreScale, threshold: Option<f32>, known: usize) -> Self {
        Self {
            scale,
            threshold,
            known: known.max(1),
        }
    }

    /// How far one and the same person lies above strangers, in deviations.
    fn separation(&self, candidate: &Candidate) -> f32 {
        let own = self.scale.self_mean_of(candidate.crops);
        let within = self.scale.deviations(own);
        let across = self.scale.across();
        let part = if candidate.here {
            across.max(SAME_CAMERA)
        } else {
            across
        };
        (within * part).clamp(SEPARATION.0, SEPARATION.1)
    }

    /// Natural logarithm of the odds of this candidate against "somebody new", before the others are heard.
    pub fn log_odds(&self, candidate: &Candidate) -> f32 {
        let odds = match self.threshold {
            Some(threshold) => (candidate.score - threshold) / FIXED_SLOPE,
            None => {
                let chance = BEST_OF_ROWS * (candidate.rows.max(1) as f32).ln();
                let z = self.scale.deviations(candidate.score) - chance;
                let even = (PRIOR_KNOWN / (1.0 - PRIOR_KNOWN)).ln();
                let prior = even - crowding(self.known);
                let separation = self.separation(candidate);
                prior + candidate.prior + separation * (z - separation / 2.0)
            }
        };
        odds.clamp(-MAX_LOG_ODDS, MAX_LOG_ODDS)
    }

    /// Probability that the query is nobody of `candidates`.
    pub fn probability_new(&self, candidates: &[Candidate]) -> f32 {
        1.0 / (1.0 + self.total_odds(candidates))
    }

    /// Probability and margin of `chosen` among `candidates`, which include it.
    pub fn verdict(&self, chosen: &Candidate, candidates: &[Candidate]) -> Verdict {
        let probability = self.log_odds(chosen).exp() / (1.0 + self.total_odds(candidates));
        let other = candidates
            .iter()
            .filter(|c| c.id != chosen.id)
            .map(|c| c.score)
            .fold(f32::NEG_INFINITY, f32::max);
        let margin = if other.is_finite() {
            chosen.score - other
        } else {
            chosen.score
        };
        Verdict {
            probability,
            margin,
            score: chosen.score,
        }
    }

    fn total_odds(&self, candidates: &[Candidate]) -> f32 {
        candidates.iter().map(|c| self.log_odds(c).exp()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: u32, score: f32) -> Candidate {
        Candidate {
            id: IdentityId(id),
            score,
            rows: 1,
            crops: 10,
            here: false,
            prior: 0.0,
        }
    }

    fn learnt(mean: f32, spread: f32, own: f32) -> ScoreScale {
        let mut scale = ScoreScale::default();
        for i in 0..1000 {
            scale.add_strangers(if i % 2 == 0 {
                mean + spread
            } else {
                mean - spread
            });
            scale.add_self(own);
        }
        scale
    }

    #[test]
    fn the_same_rule_serves_models_of_any_range() {
        for (mean, spread, own) in [
            (0.1, 0.1, 0.75),
            (0.345, 0.131, 0.732),
            (0.652, 0.089, 0.818),
            (0.9, 0.02, 0.97),
        ] {
            let scale = learnt(mean, spread, own);
            let judge = Judge::new(&scale, None, 2);
            assert!(
                judge.log_odds(&candidate(1, own)) > 0.0,
                "{mean}: own track is known"
            );
            assert!(
                judge.log_odds(&candidate(1, mean + spread)) < 0.0,
                "{mean}: a stranger is not"
            );
        }
    }

    #[test]
    fn many_known_people_ask_for_more_likeness() {
        let scale = learnt(0.3, 0.12, 0.75);
        let odds = |known| Judge::new(&scale, None, known).log_odds(&candidate(1, 0.6));
        assert!(odds(2) > odds(100) && odds(100) > odds(10_000));
    }

    #[test]
    fn a_close_runner_up_takes_the_certainty() {
        let scale = learnt(0.3, 0.12, 0.75);
        let judge = Judge::new(&scale, None, 2);
        let (best, far, near) = (candidate(1, 0.75), candidate(2, 0.3), candidate(2, 0.74));
        let alone = judge.verdict(&best, &[best, far]);
        let contested = judge.verdict(&best, &[best, near]);
        assert!(alone.probability > 0.9 && contested.probability < 0.7);
        assert!((contested.margin - 0.01).abs() < 1e-6);
    }

    #[test]
    fn a_fixed_threshold_is_obeyed() {
        let scale = learnt(0.9, 0.01, 0.95);
        let judge = Judge::new(&scale, Some(0.5), 1000);
        assert!(judge.log_odds(&candidate(1, 0.51)) > 0.0);
        assert!(judge.log_odds(&candidate(1, 0.49)) < 0.0);
    }
}
