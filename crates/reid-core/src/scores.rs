//! Genuine and impostor scores of the embedder, learnt at run time from certain pairs.
//!
//! Two boxes in one frame are two people; one track is one person. Every video has both, and they calibrate
//! the embedder: impostor cosines average 0.33, 0.41 and 0.64 with three common models on the same
//! pictures (MATRIX, true boxes; retail-0267, retail-0248, OSNet x0.25), so no fixed threshold fits.
//! Relative to the impostor mean, in units of the distance from it to 1, the three are similar; that is the scale here.
//!
//! Genuine pairs here are of one track, impostor pairs of one frame, unless said otherwise.

use crate::calibration::Calibration;

/// Impostors' mean cosine before anything was seen: between the three measured models above.
const PRIOR_IMPOSTOR: f64 = 0.35;
/// How many pairs that belief is worth. Small: the first frame with three people should already count.
const PRIOR_PAIRS: f64 = 4.0;
/// How many pairs the scores of people who came one after another are worth at most: that they are two is likely, not
/// certain. They can only raise the impostors' mean: a cautious error costs less.
const MAX_OTHERS_PAIRS: f64 = 20.0;
/// Spread of impostor cosines as a part of (1 - mean): 0.20, 0.22, 0.25 for the three models, 0.13 to 0.2 in pose2sim.
const PRIOR_SPREAD: f64 = 0.2;
/// How many pairs the belief about the spread is worth.
const PRIOR_SPREAD_PAIRS: f64 = 20.0;
/// The spread is never believed to be narrower than this part of (1 - mean): a few look-alike frames prove nothing.
const MIN_SPREAD: f64 = 0.1;
/// Same-track scores before any were seen, on the same scale: 0.60, 0.56, 0.50 (MATRIX, one view).
const PRIOR_GENUINE: f64 = 0.55;
/// Likewise of a single crop with the mean of its track: a crop has noise that a mean has not.
const PRIOR_CROP: f64 = 0.5;
/// How many pairs either is worth.
const PRIOR_GENUINE_PAIRS: f64 = 20.0;
/// One and the same person across cameras before any were seen, as a part of the distance between impostors and one track
/// with itself: 0.50 (MATRIX, true boxes, retail-0267), 0.58 (pose2sim).
const PRIOR_ACROSS: f64 = 0.55;
/// How many people that is worth.
const PRIOR_ACROSS_PEOPLE: f64 = 10.0;
/// People across cameras are never expected to be more alike than this: those who were recognised for certain, and teach
/// it, are the more alike half.
const MAX_ACROSS: f64 = 0.85;
/// Spread of a person's cosines with itself within a track before any were seen, as a part of (1 - impostors' mean):
/// 0.1 to 0.15 on TC-pedestrians (retail-0267, four detectors).
const PRIOR_GENUINE_SPREAD: f64 = 0.12;
/// The upper tenth of impostor scores is modelled separately: in a normal distribution it begins this many deviations above the mean.
pub const TAIL_BEGINS: f32 = 1.28;
/// The part of impostors above that.
pub const IN_TAIL: f32 = 0.1;
/// By how much scores in the tail lie above its beginning, before any were seen: mean and mean square, deviations. Four
/// embedders on Market-1501's test people: means 0.5 to 0.75, shapes -0.2 (OSNet x0.25) to 0 (retail-0267).
const PRIOR_EXCESS: (f64, f64) = (0.55, 0.555);
/// How many pairs in the tail that is worth.
const PRIOR_EXCESS_PAIRS: f64 = 20.0;
/// Shapes are believed to lie within these bounds.
const SHAPE: (f64, f64) = (-0.35, 0.1);
/// Near the end of a tail that has one it falls no faster than this part of what it does at its beginning.
const LEAST_FALL: f32 = 0.2;
/// Minimum number of impostor pairs before the tail is modelled: their mean and spread must be reliable.
const TAIL_PAIRS: f64 = 20.0;
/// What two visits of two people score once the cameras' means and the variation within visits are taken off, before any were
/// seen: mean and standard deviation. Three cameras without overlap: -0.06 and 0.12 to 0.16 (`reid-default`, retail-0267).
const PRIOR_VISIT_IMPOSTORS: (f64, f64) = (-0.04, 0.14);
/// How many pairs that is worth.
const PRIOR_VISIT_PAIRS: f64 = 60.0;
/// Their spread is never believed to be less or more.
const VISIT_SPREAD: (f64, f64) = (0.09, 0.2);
/// Scores beyond this many deviations are clipped.
const VISIT_OUTLIER: f32 = 2.0;
/// Likewise of one person: 0.45 and 0.19 there.
const PRIOR_VISIT_GENUINE: (f64, f64) = (0.45, 0.19);
/// How many visits that is worth. Those that teach it were matched: they are the more alike half.
const PRIOR_GENUINE_VISITS: f64 = 40.0;
/// Older pairs fade so that no more than this many count: light and clothes change over a day.
const MEMORY_PAIRS: f64 = 2000.0;

/// What the scores of a model mean before any were seen: measured on labelled pictures (`reidctl eval --calibrate`), else what
/// three common models have. It counts as a few pairs, which those that are seen outweigh.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScorePrior {
    /// Impostors' mean cosine, by the vectors as they are.
    pub impostor_mean: f64,
    /// What two visits of two people score: mean and standard deviation.
    pub visit_impostors: (f64, f64),
    /// What two visits of one person score: mean and standard deviation.
    pub visit_genuine: (f64, f64),
}

impl Default for ScorePrior {
    fn default() -> Self {
        Self {
            impostor_mean: PRIOR_IMPOSTOR,
            visit_impostors: PRIOR_VISIT_IMPOSTORS,
            visit_genuine: PRIOR_VISIT_GENUINE,
        }
    }
}

impl ScorePrior {
    /// The prior of a model whose single pictures, and whose visits where those were measured, score like this.
    pub fn new(pictures: &Calibration, visits: Option<&Calibration>) -> Self {
        let mut prior = Self {
            impostor_mean: pictures.impostor.mean,
            ..Self::default()
        };
        if let Some(Calibration { impostor, genuine }) = visits {
            prior.visit_impostors = (impostor.mean, impostor.deviation);
            // Elsewhere people score less with themselves than where somebody has labelled them.
            if genuine.mean < prior.visit_genuine.0 {
                prior.visit_genuine = (genuine.mean, genuine.deviation);
            }
        }
        prior
    }
}

/// A running mean and spread that forgets slowly.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
struct Running {
    weight: f64,
    mean: f64,
    sum_of_squares: f64,
}

impl Running {
    fn add(&mut self, value: f64, weight: f64) {
        if self.weight >= MEMORY_PAIRS {
            let keep = (MEMORY_PAIRS - 1.0) / self.weight;
            self.weight *= keep;
            self.sum_of_squares *= keep;
        }
        self.weight += weight;
        let step = value - self.mean;
        self.mean += step * weight / self.weight;
        self.sum_of_squares += weight * step * (value - self.mean);
    }

    /// Mean and standard deviation, with a prior that counts as this many values.
    fn with_prior(&self, (mean, spread): (f64, f64), worth: f64) -> (f64, f64) {
        let weight = worth + self.weight;
        let found = (mean * worth + self.mean * self.weight) / weight;
        let squares = worth * spread.powi(2) + self.sum_of_squares;
        (found, (squares / weight).sqrt())
    }
}

/// The upper tail of impostor scores, in deviations: a generalised Pareto distribution from [`TAIL_BEGINS`] on, as the
/// ends of distributions are (Pickands 1975). Learnt from certain impostor pairs, it gives the score of the best of
/// many impostors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tail {
    scale: f32,
    shape: f32,
}

impl Tail {
    /// A tail of this scale, deviations, and shape.
    pub const fn new(scale: f32, shape: f32) -> Self {
        Self { scale, shape }
    }

    /// Number of deviations that divide the number of impostors above by e, at a height.
    pub fn fall(&self, height: f32) -> f32 {
        let above = (height - TAIL_BEGINS).max(0.0);
        (self.scale + self.shape * above).max(LEAST_FALL * self.scale)
    }

    /// Natural logarithm of the part of impostors above a height, for heights in the tail.
    pub fn log_above(&self, height: f32) -> f32 {
        let above = (height - TAIL_BEGINS).max(0.0);
        let shape = self.shape;
        if shape.abs() < 1e-3 {
            return IN_TAIL.ln() - above / self.scale;
        }
        let left = 1.0 + shape * above / self.scale;
        if left >= LEAST_FALL {
            return IN_TAIL.ln() - left.ln() / shape;
        }
        let begins = (LEAST_FALL - 1.0) * self.scale / shape;
        IN_TAIL.ln() - LEAST_FALL.ln() / shape - (above - begins) / (LEAST_FALL * self.scale)
    }

    /// The height that this part of impostors exceeds, at least [`TAIL_BEGINS`].
    pub fn height(&self, part: f32) -> f32 {
        let rarer = (IN_TAIL / part.max(f32::MIN_POSITIVE)).max(1.0);
        let above = if self.shape.abs() < 1e-3 {
            self.scale * rarer.ln()
        } else {
            self.scale / self.shape * (rarer.powf(self.shape) - 1.0)
        };
        TAIL_BEGINS + above
    }
}

/// The learnt scale of one model's scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ScoreScale {
    /// What was believed before anything was learnt: that of the model, never stored.
    #[serde(skip)]
    prior: ScorePrior,
    #[serde(alias = "strangers")]
    impostors: Running,
    #[serde(alias = "selves")]
    genuine: Running,
    /// Of a track and the people that it is probably not.
    #[serde(default)]
    others: Running,
    /// Of single crops and the means of their tracks.
    #[serde(default)]
    crops: Running,
    /// Of people recognised across cameras, positions on the scale.
    #[serde(default)]
    across: Running,
    /// By how much the highest impostor scores exceed [`TAIL_BEGINS`].
    #[serde(default)]
    excess: Running,
    /// Of visits of two people, without what cameras and moments add.
    #[serde(default)]
    visit_impostors: Running,
    /// Likewise of two visits of one person.
    #[serde(default)]
    visit_genuine: Running,
}

impl ScoreScale {
    /// A scale that has learnt nothing yet.
    pub fn new(prior: ScorePrior) -> Self {
        Self {
            prior,
            ..Self::default()
        }
    }

    /// Begins from another prior; what was learnt stays.
    pub fn expect(&mut self, prior: ScorePrior) {
        self.prior = prior;
    }

    /// Whether nothing was learnt.
    pub fn is_untaught(&self) -> bool {
        *self == Self::new(self.prior)
    }

    /// Takes over what another has learnt.
    pub fn take_over(&mut self, other: &Self) {
        *self = Self {
            prior: self.prior,
            ..*other
        };
    }

    /// Takes in the cosine of two boxes of one frame: two people for certain.
    pub fn add_impostors(&mut self, cosine: f32) {
        self.add_impostors_again(cosine, 0);
    }

    /// Likewise of two people who were compared `before` times already: the same pair adds little about impostors in general.
    pub fn add_impostors_again(&mut self, cosine: f32, before: u32) {
        if cosine.is_finite() {
            let weight = 1.0 / (1.0 + f64::from(before));
            self.impostors.add(f64::from(cosine), weight);
            let excess = self.deviations(cosine) - TAIL_BEGINS;
            if excess > 0.0 && self.impostors.weight >= TAIL_PAIRS {
                self.excess.add(f64::from(excess), weight);
            }
        }
    }

    /// Takes in a cosine of somebody and people who are probably others: all who are known but the most alike.
    pub fn add_others(&mut self, cosine: f32) {
        if cosine.is_finite() {
            self.others.add(f64::from(cosine), 1.0);
        }
    }

    /// Takes in the cosine of two moments of one track: one person as good as certain.
    pub fn add_genuine(&mut self, cosine: f32) {
        if cosine.is_finite() {
            self.genuine.add(f64::from(cosine), 1.0);
        }
    }

    /// Takes in the cosine of a single crop and the mean of its track.
    pub fn add_crop(&mut self, cosine: f32) {
        if cosine.is_finite() {
            self.crops.add(f64::from(cosine), 1.0);
        }
    }

    /// Mean cosine between the mean of this many crops and a longer track of the same person.
    pub fn genuine_mean_of(&self, crops: u32) -> f32 {
        let impostors = f64::from(self.impostor_mean());
        let prior = impostors + PRIOR_CROP * (1.0 - impostors);
        let seen = self.crops.weight;
        let single =
            (prior * PRIOR_GENUINE_PAIRS + self.crops.mean * seen) / (PRIOR_GENUINE_PAIRS + seen);
        let mean = self.genuine_mean();
        mean - (mean - single as f32).max(0.0) / crops.max(1) as f32
    }

    /// Takes in how alike a person is across cameras, who was recognised for certain.
    pub fn add_across(&mut self, cosine: f32) {
        let position = self.position(cosine);
        if position.is_finite() {
            self.across.add(f64::from(position.clamp(0.0, 1.0)), 1.0);
        }
    }

    /// Where one and the same person across cameras is expected on the scale of [`ScoreScale::position`].
    pub fn across(&self) -> f32 {
        let seen = self.across.weight;
        let sum = PRIOR_ACROSS * PRIOR_ACROSS_PEOPLE + self.across.mean * seen;
        (sum / (PRIOR_ACROSS_PEOPLE + seen)).min(MAX_ACROSS) as f32
    }

    /// Takes in what two visits of two people score, without what cameras and moments add to both.
    pub fn add_visit_impostors(&mut self, cosine: f32, weight: f32) {
        if cosine.is_finite() && weight > 0.0 {
            // Of two boxes of one picture one is sometimes a second one of the same person: what lies far out counts as the
            // end of what is usual (winsorising).
            let (mean, spread) = self.visit_impostors();
            let most = mean + VISIT_OUTLIER * spread;
            let usual = cosine.clamp(mean - VISIT_OUTLIER * spread, most);
            self.visit_impostors
                .add(f64::from(usual), f64::from(weight));
        }
    }

    /// Likewise two visits of a person who was matched for certain.
    pub fn add_visit_genuine(&mut self, cosine: f32) {
        if cosine.is_finite() {
            self.visit_genuine.add(f64::from(cosine), 1.0);
        }
    }

    /// Mean and standard deviation of what two visits of two people score.
    pub fn visit_impostors(&self) -> (f32, f32) {
        let (mean, spread) = self
            .visit_impostors
            .with_prior(self.prior.visit_impostors, PRIOR_VISIT_PAIRS);
        let spread = spread.clamp(VISIT_SPREAD.0, VISIT_SPREAD.1);
        (mean as f32, spread as f32)
    }

    /// Mean and standard deviation of what two visits of one person score.
    pub fn visit_genuine(&self) -> (f32, f32) {
        let (mean, spread) = self
            .visit_genuine
            .with_prior(self.prior.visit_genuine, PRIOR_GENUINE_VISITS);
        (mean as f32, spread as f32)
    }

    /// Mean impostor cosine.
    pub fn impostor_mean(&self) -> f32 {
        let (seen, others) = (
            self.impostors.weight,
            self.others.weight.min(MAX_OTHERS_PAIRS),
        );
        let sum = self.prior.impostor_mean * PRIOR_PAIRS
            + self.impostors.mean * seen
            + self.others.mean * others;
        (sum / (PRIOR_PAIRS + seen + others)) as f32
    }

    /// Standard deviation of impostor cosines.
    pub fn impostor_spread(&self) -> f32 {
        let room = f64::from(1.0 - self.impostor_mean()).max(1e-3);
        let prior = (PRIOR_SPREAD * room).powi(2);
        let weight = PRIOR_SPREAD_PAIRS + self.impostors.weight;
        let variance = (prior * PRIOR_SPREAD_PAIRS + self.impostors.sum_of_squares) / weight;
        variance.sqrt().max(MIN_SPREAD * room) as f32
    }

    /// Distribution of the highest impostor scores.
    pub fn tail(&self) -> Tail {
        let (seen, prior) = (self.excess.weight, PRIOR_EXCESS_PAIRS);
        let squares = self.excess.sum_of_squares + seen * self.excess.mean.powi(2);
        let mean = (PRIOR_EXCESS.0 * prior + self.excess.mean * seen) / (prior + seen);
        let square = (PRIOR_EXCESS.1 * prior + squares) / (prior + seen);
        // The moments of the generalised Pareto distribution.
        let variance = (square - mean * mean).max(1e-6);
        let shape = (0.5 * (1.0 - mean * mean / variance)).clamp(SHAPE.0, SHAPE.1);
        Tail {
            scale: (mean * (1.0 - shape)) as f32,
            shape: shape as f32,
        }
    }

    /// Mean cosine of one person with itself within a track.
    pub fn genuine_mean(&self) -> f32 {
        let impostors = f64::from(self.impostor_mean());
        let prior = impostors + PRIOR_GENUINE * (1.0 - impostors);
        let seen = self.genuine.weight;
        ((prior * PRIOR_GENUINE_PAIRS + self.genuine.mean * seen) / (PRIOR_GENUINE_PAIRS + seen))
            as f32
    }

    /// Standard deviation of the cosines of one person with itself within a track.
    pub fn genuine_spread(&self) -> f32 {
        let room = f64::from(1.0 - self.impostor_mean()).max(1e-3);
        let prior = (PRIOR_GENUINE_SPREAD * room).powi(2);
        let weight = PRIOR_GENUINE_PAIRS + self.genuine.weight;
        ((prior * PRIOR_GENUINE_PAIRS + self.genuine.sum_of_squares) / weight).sqrt() as f32
    }

    /// True when a cosine clearly says that two crops are not of one person: it is near the impostors and far below genuine
    /// scores. False before enough of both was seen.
    pub fn contradicts(&self, cosine: f32) -> bool {
        let (impostors, genuine) = self.pairs();
        impostors + genuine >= ENOUGH_PAIRS
            && genuine > 0.0
            && self.genuine_mean() - self.impostor_mean() >= MIN_GAP
            && self.position(cosine) < CONTRADICTION
            && cosine < self.genuine_mean() - SELF_DEVIATIONS * self.genuine_spread()
    }

    /// Distance of a cosine above the impostor mean, in impostor standard deviations.
    pub fn deviations(&self, cosine: f32) -> f32 {
        (cosine - self.impostor_mean()) / self.impostor_spread()
    }

    /// Position of a cosine between impostors (0) and genuine pairs of one track (1); may be outside.
    pub fn position(&self, cosine: f32) -> f32 {
        let (impostors, own) = (self.impostor_mean(), self.genuine_mean());
        // Two means that coincide tell nobody apart.
        if own - impostors < MIN_GAP {
            return 0.0;
        }
        (cosine - impostors) / (own - impostors)
    }

    /// Number of impostor and genuine pairs seen, faded ones not counted.
    pub fn pairs(&self) -> (f32, f32) {
        (self.impostors.weight as f32, self.genuine.weight as f32)
    }
}

/// Minimum number of impostor and genuine pairs for a contradiction.
const ENOUGH_PAIRS: f32 = 20.0;
/// A cosine contradicts below this position between impostors and genuine pairs: TC-pedestrians (retail-0267) has 97 % of
/// impostors and 0.5 % of people with their own running mean below it.
const CONTRADICTION: f32 = 0.3;
/// … and this many standard deviations below what people score with themselves: an embedder that scatters says less.
const SELF_DEVIATIONS: f32 = 2.5;
/// Means closer than this are one: a model that maps everything to a point.
const MIN_GAP: f32 = 0.02;

#[cfg(test)]
mod tests;
