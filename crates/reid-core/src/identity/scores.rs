//! From a score to a decision: how much more often one person scores so much than two people do.
//!
//! Scores of visits are counted in standard deviations of impostor scores above their mean, so that embedders of any range are
//! alike. How impostor scores end is a generalised Pareto distribution ([`crate::scores::Tail`]), genuine ones are normally
//! distributed; both begin as priors and are learnt as the cameras run ([`crate::scores::ScoreScale`]).

use crate::scores::{ScoreScale, TAIL_BEGINS, Tail};

/// A wrong merge weighs as much as so many missed ones: somebody else's identity is worse than a new one.
pub(super) const WRONG_MERGE: f32 = 3.0;
/// Before looking: how probable it is that a visit that begins is that of somebody known.
const PRIOR_KNOWN: f32 = 0.5;
/// Up to this many people …
const FEW: usize = 15;
/// … count with their number to the first power, those beyond with the second: a few are told apart by most of what one
/// sees, while among hundreds somebody always looks alike. Three cameras without overlap (12 people) and Market-1501's test
/// people (100 and 300): with one power for all (0.75), 59 % of the boxes have the right id at first there and 17 and 19 % of
/// the first visits are taken for another here, with two 66 %, 14 and 12 %.
const CROWDING: (f32, f32) = (0.25, 2.0);
/// At first most who come are new: among so few people as one, so much more speaks against being known, logarithm of odds; among
/// several the part of it that is one's share.
const NEWCOMERS: f32 = 1.0;
/// A visit of half a second asks for so many deviations more to be somebody known, a longer one for less: as the inverse of
/// the half seconds.
const SHORT_VISIT: f32 = 1.0;
/// Genuine scores are believed to lie so many deviations above impostor scores: 2.6 in MATRIX (small, far, single crops) to 5.5
/// at EPFL's campus.
const SEPARATION: (f32, f32) = (2.4, 6.0);
/// Their spread, in the same deviations: 1.1 in MATRIX, 1.2 to 1.7 in three cameras without overlap.
const SPREAD: (f32, f32) = (1.1, 1.7);
/// How the upper tenth of impostor scores ends, scale and shape: 1 % lies above 3.0 deviations (Market-1501's test people, three
/// cameras without overlap).
const VISIT_TAIL: (f32, f32) = (0.75, -0.05);
/// Limits lie within these bounds, deviations.
const LIMITS: (f32, f32) = (1.75, 7.0);
/// Fewer pairs than the first tell nothing of impostors at large; from the second on they are believed …
const BULK_PAIRS: (usize, usize) = (30, 200);
/// … to this part against what was learnt from people of one picture.
const BULK_PART: f32 = 0.6;
/// A standard deviation below the mean of a normal distribution lies this part of it.
const BELOW: f32 = 0.1587;
/// Spreads that are believed: 0.13 to 0.25 on three cameras without overlap (three embedders).
const BULK_SPREAD: (f32, f32) = (0.09, 0.26);
/// How much wider impostor scores spread for what they have in common: strangers' scores of three models spread by 0.2 to 0.25 of
/// what is left up to 1 ([`crate::scores`]).
const COMMON_SPREAD: f32 = 0.2;
/// Some people look like many: among many known people, how far the next ten after the best lie above what the next ten of as many
/// impostors would is taken off to this part (cohort normalisation, as in speaker recognition: Auckenthaler et al. 2000).
const COHORT_PART: f32 = 1.0;
/// So many make the cohort, …
const COHORT: usize = 10;
/// … of at least so many people.
const MANY: usize = 40;
/// Of two people whose scores lie nearer than this, deviations, nobody can say which it is.
const MARGIN: f32 = 0.4;
/// Two people of the past ask for so many deviations more: their numbers have been shown for long.
pub(super) const LATE: f32 = 0.25;
/// With a fixed threshold, one deviation of cosine.
const FIXED_DEVIATION: f32 = 0.05;

/// How scores of one model are taken in one gallery at one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scorer {
    mean: f32,
    spread: f32,
    separation: f32,
    genuine_spread: f32,
    tail: Tail,
    is_fixed: bool,
    /// What all vectors score because of what they have in common and is not taken off.
    common: f32,
}

impl Scorer {
    /// `threshold` = a user's fixed cosine, of vectors as the embedder made them.
    pub fn new(scale: &ScoreScale, threshold: Option<f32>) -> Self {
        let (mean, spread) = scale.visit_impostors();
        let genuine = scale.visit_genuine();
        let separation = (genuine.0 - mean) / spread;
        Self {
            mean: threshold.unwrap_or(mean),
            spread: threshold.map_or(spread, |_| FIXED_DEVIATION),
            separation: separation.clamp(SEPARATION.0, SEPARATION.1),
            genuine_spread: (genuine.1 / spread).clamp(SPREAD.0, SPREAD.1),
            tail: scale.tail(),
            is_fixed: threshold.is_some(),
            common: 0.0,
        }
    }

    /// Says that a part of what all vectors have in common is not taken off: with few people known nobody can tell what that is.
    pub fn keep_common(&mut self, scale: &ScoreScale, left: f32) {
        if !self.is_fixed {
            let strangers = scale.impostor_mean().clamp(0.0, 0.95);
            let common = left * left * strangers;
            self.common = common / (common + 1.0 - strangers);
        }
    }

    /// A score without what all have in common.
    pub fn own(&self, score: f32) -> f32 {
        (score - self.common) / (1.0 - self.common)
    }

    /// Takes in what people score who are probably others: most of those in a scene are. Their median, and how far the lower
    /// sixth lies below it, say what impostors score by now, whoever the few genuine pairs above may be.
    pub fn take_in_bulk(&mut self, scores: &mut [f32]) {
        if self.is_fixed || scores.len() < BULK_PAIRS.0 {
            return;
        }
        scores.iter_mut().for_each(|s| *s = self.own(*s));
        scores.sort_by(f32::total_cmp);
        let at = |part: f32| scores[(part * (scores.len() - 1) as f32) as usize];
        let (median, below) = (at(0.5), at(0.5) - at(BELOW));
        let part = (scores.len() as f32 / BULK_PAIRS.1 as f32).min(1.0) * BULK_PART;
        self.replace(part, median, below);
    }

    /// Moves the impostors' mean and spread by a part towards others; what is known of genuine scores stays.
    fn replace(&mut self, part: f32, mean: f32, spread: f32) {
        let genuine = self.mean + self.separation * self.spread;
        let genuine_spread = self.genuine_spread * self.spread;
        self.mean += part * (mean - self.mean);
        self.spread += part * (spread.clamp(BULK_SPREAD.0, BULK_SPREAD.1) - self.spread);
        let separation = (genuine - self.mean) / self.spread;
        self.separation = separation.clamp(SEPARATION.0, SEPARATION.1);
        self.genuine_spread = (genuine_spread / self.spread).clamp(SPREAD.0, SPREAD.1);
    }

    /// How far a score lies above impostors, in deviations; above the threshold, where one is fixed.
    pub fn deviations(&self, score: f32) -> f32 {
        if self.is_fixed {
            return (score - self.mean) / self.spread;
        }
        let spread = self.spread + COMMON_SPREAD * self.common;
        (self.own(score) - self.mean) / spread
    }

    /// Natural logarithm of how much more often one person scores so high than two people do.
    pub fn log_odds(&self, deviations: f32) -> f32 {
        let genuine = log_normal(
            deviations.min(self.separation),
            self.separation,
            self.genuine_spread,
        );
        genuine - log_impostor(deviations, &Tail::new(VISIT_TAIL.0, VISIT_TAIL.1))
    }

    /// The deviations from which a score outweighs `against`, a logarithm of odds.
    pub fn limit(&self, against: f32) -> f32 {
        if self.is_fixed {
            return 0.0;
        }
        let (mut low, mut high) = LIMITS;
        for _ in 0..16 {
            let middle = 0.5 * (low + high);
            if self.log_odds(middle) < against {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }

    /// What is taken off the deviations of somebody because of how alike many of `known` people are; `deviations` = those from the
    /// people who are compared, the most alike of all.
    pub fn cohort(&self, deviations: &mut [f32], known: usize) -> f32 {
        if self.is_fixed || deviations.len() <= COHORT || known < MANY {
            return 0.0;
        }
        deviations.sort_by(|a, b| b.total_cmp(a));
        let mean = deviations[1..=COHORT].iter().sum::<f32>() / COHORT as f32;
        // Where the middle of the ten lies among impostors: a logistic distribution of a normal one's width.
        let part = (0.5 * COHORT as f32 + 1.0) / known as f32;
        let usual = ((1.0 - part) / part).ln() / 1.702;
        COHORT_PART * (mean - usual).max(0.0)
    }

    /// What is taken off the deviations from the best of several people when the second is nearly as alike.
    pub fn contested(&self, best: f32, second: f32, known: usize) -> f32 {
        if self.is_fixed || known < MANY {
            return 0.0;
        }
        (MARGIN - (best - second)).clamp(0.0, MARGIN)
    }

    /// How strangers' scores end.
    pub fn tail(&self) -> Tail {
        self.tail
    }

    /// Whether a user has fixed the threshold.
    pub fn is_fixed(&self) -> bool {
        self.is_fixed
    }
}

/// How many deviations more two visits ask for of which the shorter has this weight, half seconds.
pub(super) fn short(weight: f32) -> f32 {
    SHORT_VISIT / weight.max(1.0)
}

/// What speaks against a visit being one of `known` people's before anything is compared, and for caution: logarithm of odds.
pub(super) fn against_one_of(known: usize) -> f32 {
    let even = (PRIOR_KNOWN / (1.0 - PRIOR_KNOWN)).ln();
    let (few, more) = (known.clamp(1, FEW) as f32, known.max(FEW) as f32);
    let crowd = CROWDING.0 * few.ln() + CROWDING.1 * (more / FEW as f32).ln();
    WRONG_MERGE.ln() + crowd + NEWCOMERS / few - even
}

/// Logarithm of the density of impostor scores, in deviations.
pub(super) fn log_impostor(deviations: f32, tail: &Tail) -> f32 {
    if deviations > TAIL_BEGINS {
        tail.log_above(deviations) - tail.fall(deviations).ln()
    } else {
        log_normal(deviations, 0.0, 1.0)
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

    #[test]
    fn more_people_ask_for_more_likeness() {
        let scorer = Scorer::new(&ScoreScale::default(), None);
        let limits: Vec<f32> = [1, 2, 12, 100, 700, 100_000]
            .map(|known| scorer.limit(against_one_of(known)))
            .into();
        // Among a handful the newcomers and the crowd weigh up.
        assert!(limits[1..].windows(2).all(|w| w[0] < w[1]), "{limits:?}");
        assert!((2.0..3.2).contains(&limits[2]), "{limits:?}");
        assert!(limits[5] <= LIMITS.1);
    }

    #[test]
    fn the_limit_is_where_the_odds_are_even() {
        let scorer = Scorer::new(&ScoreScale::default(), None);
        let against = against_one_of(50);
        let limit = scorer.limit(against);
        assert!((scorer.log_odds(limit) - against).abs() < 0.05);
        assert!(scorer.log_odds(limit + 0.5) > against);
    }

    #[test]
    fn who_looks_like_many_has_to_stand_out() {
        let scorer = Scorer::new(&ScoreScale::default(), None);
        let ordinary: Vec<f32> = (0..100).map(|i| 1.5 - 0.03 * i as f32).collect();
        let alike: Vec<f32> = (0..100).map(|i| 3.0 - 0.03 * i as f32).collect();
        assert!(scorer.cohort(&mut ordinary.clone(), 100) < 0.1);
        assert!(scorer.cohort(&mut alike.clone(), 100) > 0.4);
        assert_eq!(scorer.cohort(&mut alike.clone()[..20], 20), 0.0);
    }

    #[test]
    fn a_fixed_threshold_is_obeyed() {
        let scorer = Scorer::new(&ScoreScale::default(), Some(0.5));
        let limit = scorer.limit(against_one_of(1000));
        assert!(scorer.deviations(0.51) > limit && scorer.deviations(0.49) < limit);
    }
}
