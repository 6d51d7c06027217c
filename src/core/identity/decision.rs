//! From cosines to a decision: who of the known is this, or nobody?
//!
//! Every known person is a hypothesis, being somebody new is one more, and they compete for one probability (open-set
//! identification). What speaks against a person is how many strangers among so many would score as much: strangers' scores
//! as the ends of distributions do, how is learnt from people of one picture ([`crate::core::scores::Tail`]). Some look like many; among many candidates scores are therefore taken
//! relative to those of the next ten (cohort normalisation, as in speaker recognition: Auckenthaler et al. 2000). Measured
//! on Market-1501's test people: docs/identity.md, "A day of strangers". A close runner-up takes its share of the
//! probability, so that the margin counts without a threshold of its own.

use super::CameraId;
use crate::core::{
    person::IdentityId,
    scores::{ScoreScale, TAIL_BEGINS, Tail},
};

/// Before looking: how probable it is that a track that begins belongs to somebody known.
const PRIOR_KNOWN: f32 = 0.5;
/// Likewise of a person who comes back to a camera, as a part of the distance within a track: the same light and the same
/// angle, another moment. Chosen between that across cameras (0.5 to 0.6) and that within a track.
const SAME_CAMERA: f32 = 0.8;
/// Separation in deviations is believed to lie within these bounds. 1.6 is measured in MATRIX (far, small people, single
/// crops), 3.3 to 6.5 on Market-1501 (OSNet x0.25 to retail-0267); tracks are judged by their mean, which lies further
/// out than a crop.
const SEPARATION: (f32, f32) = (2.0, 6.0);
/// Spread of one person's scores around that, in deviations: 0.6 to 1.3 measured there. A wider one asks for more likeness.
const SAME_SPREAD: f32 = 1.2;
/// From so many candidates on, their own scores tell how high a stranger's may be.
const MANY: usize = 12;
/// How many after the best make the cohort …
const COHORT: usize = 10;
/// … and how much of its mean is taken off. Market-1501, 300 known people, false recognitions 3 %: right 62, 71, 49 and
/// 20 % with 0 (reid-default, retail-0267, retail-0248, OSNet x0.25), 73, 78, 57 and 31 with 0.5, 75, 82, 58 and 28 with
/// 0.75; with 20 known people 0.75 costs up to 10 and 0.5 up to 5.
const COHORT_PART: f32 = 0.5;
/// The best of many strangers lies so many falls above the cohort's mean …
const ABOVE_COHORT: f32 = 2.02;
/// … and relative to that its scores fall by this part as fast as strangers' do: 0.8 to 0.9 measured.
const RELATIVE_FALL: f32 = 0.85;
/// Euler's constant: how far the mean of the greatest of many lies above its mode, in falls.
const EULER: f32 = 0.577;
/// Few candidates count with their number to this power, and so do the known people where somebody in the very place was not
/// picked from them: not all of them are about. `reidtestsrc` walk, retail-0248: IDF1 92 with 0.75, 87 with 1.
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
}

/// All candidates of one query, judged together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contest<'a> {
    judge: Judge<'a>,
    candidates: &'a [Candidate],
    /// Mean of the cohort, in deviations, where there are many.
    cohort: Option<f32>,
    tail: Tail,
}

impl<'a> Judge<'a> {
    /// `threshold` = a user's fixed cosine.
    pub fn new(scale: &'a ScoreScale, threshold: Option<f32>) -> Self {
        Self { scale, threshold }
    }

    /// Hears all candidates of a query.
    pub fn hear(&self, candidates: &'a [Candidate]) -> Contest<'a> {
        let mut heights: Vec<f32> = candidates.iter().map(|c| self.height(c)).collect();
        heights.sort_by(|a, b| b.total_cmp(a));
        let mean = |heights: &[f32]| heights.iter().sum::<f32>() / heights.len() as f32;
        let many = heights.len() >= MANY;
        Contest {
            judge: *self,
            candidates,
            cohort: many.then(|| mean(&heights[1..=COHORT])),
            tail: self.scale.tail(),
        }
    }

    /// How far a candidate lies above strangers, in deviations; the best of several rows does by chance.
    fn height(&self, candidate: &Candidate) -> f32 {
        let chance = BEST_OF_ROWS * (candidate.rows.max(1) as f32).ln();
        self.scale.deviations(candidate.score) - chance
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
}

impl Contest<'_> {
    /// Natural logarithm of the odds of a candidate against "somebody new", before the others are heard.
    pub fn log_odds(&self, candidate: &Candidate) -> f32 {
        let odds = match self.judge.threshold {
            Some(threshold) => (candidate.score - threshold) / FIXED_SLOPE,
            None => {
                let height = self.judge.height(candidate);
                let even = (PRIOR_KNOWN / (1.0 - PRIOR_KNOWN)).ln();
                let usual = self.judge.separation(candidate);
                let same = log_normal(height.min(usual), usual, SAME_SPREAD);
                even + candidate.prior + same - self.log_strangers(height)
            }
        };
        odds.clamp(-MAX_LOG_ODDS, MAX_LOG_ODDS)
    }

    /// How many strangers of a deviation's width are expected at a height: natural logarithm.
    fn log_strangers(&self, height: f32) -> f32 {
        let tail = &self.tail;
        let people = self.candidates.len().max(1) as f32;
        let Some(cohort) = self.cohort else {
            return CROWDING * people.ln() + log_stranger(height, tail);
        };
        // The best of so many strangers, and how it lies to its cohort.
        let best = tail.height((-EULER).exp() / people);
        let usual = best - COHORT_PART * (best - ABOVE_COHORT * tail.fall(best));
        let relative = height - COHORT_PART * cohort;
        let fall = RELATIVE_FALL * tail.fall(best);
        -fall.ln() - EULER - (relative - usual) / fall
    }

    /// Probability that the query is nobody of the candidates.
    pub fn probability_new(&self) -> f32 {
        1.0 / (1.0 + self.total_odds())
    }

    /// Probability and margin of one of the candidates.
    pub fn verdict(&self, chosen: &Candidate) -> Verdict {
        let probability = self.log_odds(chosen).exp() / (1.0 + self.total_odds());
        let others = self.candidates.iter().filter(|c| c.id != chosen.id);
        let other = others.map(|c| c.score).fold(f32::NEG_INFINITY, f32::max);
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

    fn total_odds(&self) -> f32 {
        self.candidates.iter().map(|c| self.log_odds(c).exp()).sum()
    }
}

/// Logarithm of the density of strangers' scores, in deviations.
pub(super) fn log_stranger(height: f32, tail: &Tail) -> f32 {
    if height > TAIL_BEGINS {
        tail.log_above(height) - tail.fall(height).ln()
    } else {
        log_normal(height, 0.0, 1.0)
    }
}

/// Logarithm of a normal density.
pub(super) fn log_normal(value: f32, mean: f32, spread: f32) -> f32 {
    let z = (value - mean) / spread;
    -0.5 * (z * z + std::f32::consts::TAU.ln()) - spread.ln()
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
            let judge = Judge::new(&scale, None);
            let (own, stranger) = (candidate(1, own), candidate(2, mean + spread));
            let both = [own, stranger];
            let contest = judge.hear(&both);
            assert!(contest.log_odds(&own) > 0.0, "{mean}: own track is known");
            assert!(
                contest.log_odds(&stranger) < 0.0,
                "{mean}: a stranger is not"
            );
        }
    }

    #[test]
    fn more_candidates_ask_for_more_likeness() {
        let scale = learnt(0.3, 0.12, 0.75);
        let odds = |others: u32| {
            let mut all = vec![candidate(1, 0.7)];
            // Strangers at even steps of their distribution.
            let steps = (0..others).map(|i| (i as f32 + 0.5) / others as f32);
            let score = |chance: f32| 0.3 + 0.12 * (chance / (1.0 - chance)).ln() / 1.7;
            all.extend(steps.zip(2..).map(|(c, id)| candidate(id, score(c))));
            Judge::new(&scale, None).hear(&all).log_odds(&all[0])
        };
        assert!(odds(1) > odds(8) && odds(8) > odds(30) && odds(30) > odds(300));
        assert!(odds(30) > 0.0, "{}", odds(30));
    }

    #[test]
    fn who_looks_like_many_is_recognised_by_standing_out() {
        let scale = learnt(0.3, 0.12, 0.75);
        let odds = |others: f32| {
            let mut all = vec![candidate(1, 0.7)];
            all.extend((2..40).map(|id| candidate(id, others - 0.002 * id as f32)));
            Judge::new(&scale, None).hear(&all).log_odds(&all[0])
        };
        let (out, among) = (odds(0.4), odds(0.68));
        assert!(out > 1.0 && among < -0.5, "{out} {among}");
    }

    #[test]
    fn strangers_with_a_long_tail_move_the_limit() {
        let mut scale = learnt(0.3, 0.12, 0.75);
        let mut all = vec![candidate(1, 0.68)];
        all.extend((2..40).map(|id| candidate(id, 0.5 - 0.004 * id as f32)));
        let odds = |scale: &ScoreScale, all: &[Candidate]| {
            Judge::new(scale, None).hear(all).log_odds(&all[0])
        };
        let (many, few) = (odds(&scale, &all), odds(&scale, &all[..5]));
        (0..60).for_each(|i| scale.add_strangers(0.5 + 0.005 * i as f32));
        assert!(scale.tail().fall(2.0) > 0.6, "{:?}", scale.tail());
        assert!(odds(&scale, &all) < many - 0.5);
        assert!(odds(&scale, &all[..5]) < few - 0.5);
    }

    #[test]
    fn a_close_runner_up_takes_the_certainty() {
        let scale = learnt(0.3, 0.12, 0.75);
        let judge = Judge::new(&scale, None);
        let (best, far, near) = (candidate(1, 0.75), candidate(2, 0.3), candidate(2, 0.74));
        let alone = judge.hear(&[best, far]).verdict(&best);
        let contested = judge.hear(&[best, near]).verdict(&best);
        assert!(alone.probability > 0.9 && contested.probability < 0.7);
        assert!((contested.margin - 0.01).abs() < 1e-6);
    }

    #[test]
    fn a_fixed_threshold_is_obeyed() {
        let scale = learnt(0.9, 0.01, 0.95);
        let judge = Judge::new(&scale, Some(0.5));
        let all = [candidate(1, 0.51), candidate(2, 0.49)];
        assert!(judge.hear(&all).log_odds(&all[0]) > 0.0);
        assert!(judge.hear(&all).log_odds(&all[1]) < 0.0);
    }
}
