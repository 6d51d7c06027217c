//! The height prior: the height of people at each position of the picture.
//!
//! On one floor, seen by a camera that is not tilted much, the height of people's boxes is a linear function of where their
//! feet are in the picture (Hoiem et al., "Putting objects in perspective", 2006). The function is learnt from the boxes of
//! confirmed tracks while the camera runs. For every other box it gives the likelihood ratio between a person and anything else
//! of that height. On a street (TC-pedestrians) heights spread by 8 to 11 % around it, and of the boxes that YOLOv8n
//! scores 0.15 to 0.2, one in six shows a person, but three in four of those that have a person's height.
//!
//! Where people sit, bend or stand on stairs, heights spread widely and the function says little; while a camera moves the
//! newest boxes do not fit, and it says nothing.

use std::collections::{BTreeMap, VecDeque};

use super::track::EDGE;
use crate::{geometry::Rect, linear::Normal, person::TrackId};

/// Boxes that are remembered …
const MEMORY: usize = 512;
/// … and the newest of them, which must fit like the others.
const NEWEST: usize = 48;
/// A track teaches this often while little is known, and this often later, ns.
const OFTEN_NS: u64 = 200_000_000;
const SELDOM_NS: u64 = 1_000_000_000;
/// Number of boxes below which little is known.
const LITTLE: usize = 200;
/// The function is fitted anew this often, ns.
const FIT_NS: u64 = 500_000_000;
/// Minimum number of boxes and of people before the prior has an effect.
const LEAST_BOXES: usize = 24;
const LEAST_PEOPLE: usize = 3;
/// Rounds of the robust fit (iteratively re-weighted least squares, Cauchy's weights).
const ROUNDS: usize = 8;
/// Residuals beyond this many spreads are down-weighted.
const CAUCHY: f64 = 1.5;
/// Adults differ by 4 to 5 % (standard deviation), strides and detectors add to that: a smaller spread is not assumed.
const LEAST_SPREAD: f64 = 0.08;
/// From this spread on (of the logarithm of heights) nothing is said.
const MOST_SPREAD: f64 = 0.35;
/// Boxes of one track are correlated: this many count as one where the function extrapolates to positions without people.
const REPEATS: f64 = 5.0;
/// What is known beforehand, in parts of the picture's height: the function hardly changes across, and may along the picture.
const PRIOR_ACROSS: f64 = 0.1;
const PRIOR_DOWN: f64 = 1.0;
/// So many of all people's boxes do not have their height: hidden feet, children, people who sit. A half costs them 0.7 of
/// the logarithm of their odds at most: a score of 0.6 counts as 0.43.
const UNUSUAL: f64 = 0.5;
/// What is no person has any height within this range of logarithms: narrow, because detectors see people who are not there
/// mostly beside people who are. With 1.5 IDF1 gains up to 6 with three detectors on TC-pedestrians and loses 7 with
/// `person-detector`, whose weak boxes are nearly all false; with 0.25 to 0.5 all gain.
const RANGE: f64 = 0.35;
/// Maximum number of classes whose heights are learnt separately; further ones are not weighted.
const MAX_CLASSES: usize = 8;

/// A box of a confirmed track, in parts of the picture's size.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Feet: across and down from the picture's middle.
    x: f64,
    y: f64,
    /// Height, in parts of the picture's.
    height: f64,
    track: TrackId,
}

impl Sample {
    /// `None` for a box that the picture's edge may cut.
    fn of(track: TrackId, rect: &Rect, frame: (f32, f32)) -> Option<Self> {
        let margin = EDGE * frame.0.max(frame.1);
        let whole = rect.is_valid()
            && rect.x > margin
            && rect.y > margin
            && rect.right() < frame.0 - margin
            && rect.bottom() < frame.1 - margin;
        whole.then(|| Self {
            x: f64::from(rect.centre().0 / frame.0) - 0.5,
            y: f64::from(rect.bottom() / frame.1) - 0.5,
            height: f64::from(rect.h / frame.1),
            track,
        })
    }

    fn row(&self) -> [f64; 3] {
        [1.0, self.x, self.y]
    }
}

/// The fitted function.
#[derive(Clone, Copy, Debug)]
struct Fit {
    plane: [f64; 3],
    /// Of the logarithm of heights.
    spread: f64,
    normal: Normal<3>,
}

impl Fit {
    fn height(&self, sample: &Sample) -> f64 {
        dot(&self.plane, &sample.row()).max(1e-3)
    }

    /// Logarithm of how much taller a box is than people are there.
    fn excess(&self, sample: &Sample) -> f64 {
        (sample.height / self.height(sample)).ln()
    }

    /// How far a box's height is from people's there, and how widely theirs spread with the function's own uncertainty,
    /// both in parts of the larger of the two heights: near the horizon, where people are tiny, a tall box is plainly odd.
    fn compare(&self, sample: &Sample) -> (f64, f64) {
        let usual = dot(&self.plane, &sample.row()).max(0.0);
        let leverage = self.normal.leverage(&sample.row());
        let uncertainty = self.spread.powi(2) * REPEATS * leverage.unwrap_or(f64::INFINITY);
        let spread = ((self.spread * usual).powi(2) + uncertainty).sqrt();
        let larger = usual.max(sample.height);
        (
            (sample.height - usual) / larger,
            (spread / larger).max(LEAST_SPREAD),
        )
    }
}

/// The height priors of one camera, one per class.
#[derive(Clone, Debug, Default)]
pub struct HeightPriors {
    classes: BTreeMap<i32, HeightPrior>,
}

impl HeightPriors {
    /// Learns from class, track and box (px) of confirmed tracks seen at `now_ns` in a picture of `frame` px.
    pub fn learn(
        &mut self,
        now_ns: u64,
        frame: (f32, f32),
        seen: impl Iterator<Item = (i32, TrackId, Rect)>,
    ) {
        let mut by_class = BTreeMap::<i32, Vec<(TrackId, Rect)>>::new();
        for (class, track, rect) in seen {
            by_class.entry(class).or_default().push((track, rect));
        }
        for (class, boxes) in by_class {
            if self.classes.len() < MAX_CLASSES || self.classes.contains_key(&class) {
                let prior = self.classes.entry(class).or_default();
                prior.learn(now_ns, frame, boxes.into_iter());
            }
        }
    }

    /// Natural logarithm of the likelihood ratio between a person and anything else for this box; 0 where nothing is known.
    pub fn evidence(&self, class: i32, rect: &Rect, frame: (f32, f32)) -> f32 {
        let prior = self.classes.get(&class);
        prior.map_or(0.0, |s| s.evidence(rect, frame))
    }

    /// A detector's score (0..=1) of a box, weighed with its height; the score itself where nothing is known.
    pub fn weigh(&self, score: f32, class: i32, rect: &Rect, frame: (f32, f32)) -> f32 {
        let evidence = self.evidence(class, rect, frame);
        if evidence == 0.0 || !(score > 0.0 && score < 1.0) {
            return score;
        }
        let odds = score / (1.0 - score) * evidence.exp();
        odds / (1.0 + odds)
    }
}

/// The learnt heights of one camera's people.
#[derive(Clone, Debug, Default)]
struct HeightPrior {
    samples: VecDeque<Sample>,
    /// When each of the tracks in view taught last, ns.
    taught_ns: BTreeMap<TrackId, u64>,
    fitted_ns: Option<u64>,
    fit: Option<Fit>,
}

impl HeightPrior {
    /// Takes in the boxes of confirmed tracks seen at `now_ns` in a picture of `frame` px.
    fn learn(
        &mut self,
        now_ns: u64,
        frame: (f32, f32),
        seen: impl Iterator<Item = (TrackId, Rect)>,
    ) {
        let pause = if self.samples.len() < LITTLE {
            OFTEN_NS
        } else {
            SELDOM_NS
        };
        self.taught_ns
            .retain(|_, at| (*at..*at + pause).contains(&now_ns));
        for (track, rect) in seen {
            if self.taught_ns.contains_key(&track) {
                continue;
            }
            if let Some(sample) = Sample::of(track, &rect, frame) {
                self.taught_ns.insert(track, now_ns);
                self.samples.push_back(sample);
            }
        }
        let surplus = self.samples.len().saturating_sub(MEMORY);
        self.samples.drain(..surplus);
        let due = self
            .fitted_ns
            .is_none_or(|at| now_ns < at || now_ns - at >= FIT_NS);
        if due {
            self.fitted_ns = Some(now_ns);
            self.fit = fitted(&self.samples);
        }
    }

    /// As [`HeightPriors::evidence`], of one class.
    fn evidence(&self, rect: &Rect, frame: (f32, f32)) -> f32 {
        let Some((fit, sample)) = self.fit.zip(Sample::of(TrackId(0), rect, frame)) else {
            return 0.0;
        };
        let (excess, spread) = fit.compare(&sample);
        let trust = (1.0 - spread / MOST_SPREAD).max(0.0);
        let z = excess / spread;
        let density = (-0.5 * z * z).exp() / (spread * std::f64::consts::TAU.sqrt());
        let odds = (1.0 - UNUSUAL) * RANGE * density + UNUSUAL;
        (trust * odds.ln()) as f32
    }
}

/// The function that most samples agree with; `None` when there are too few, or the newest do not fit.
fn fitted(samples: &VecDeque<Sample>) -> Option<Fit> {
    let mut people: Vec<u32> = samples.iter().map(|s| s.track.0).collect();
    people.sort_unstable();
    people.dedup();
    if samples.len() < LEAST_BOXES || people.len() < LEAST_PEOPLE {
        return None;
    }
    let mut weights = vec![1.0; samples.len()];
    let mut fit = weighted(samples, &weights, MOST_SPREAD)?;
    for _ in 1..ROUNDS {
        let scale = CAUCHY * fit.spread;
        for (weight, sample) in weights.iter_mut().zip(samples) {
            *weight = 1.0 / (1.0 + (fit.excess(sample) / scale).powi(2));
        }
        fit = weighted(samples, &weights, fit.spread)?;
    }
    let newest = samples.range(samples.len().saturating_sub(NEWEST)..);
    fit.spread = fit.spread.max(spread_of(newest.map(|s| fit.excess(s))));
    (fit.spread < MOST_SPREAD).then_some(fit)
}

/// One round: the function by weighted least squares of relative errors, and the spread around it.
fn weighted(samples: &VecDeque<Sample>, weights: &[f64], spread: f64) -> Option<Fit> {
    let mut normal = Normal::<3>::default();
    let noise = spread.powi(2);
    normal.add(&[0.0, 1.0, 0.0], 0.0, noise / PRIOR_ACROSS.powi(2));
    normal.add(&[0.0, 0.0, 1.0], 0.0, noise / PRIOR_DOWN.powi(2));
    for (sample, weight) in samples.iter().zip(weights) {
        normal.add(&sample.row().map(|v| v / sample.height), 1.0, *weight);
    }
    let mut fit = Fit {
        plane: normal.solve()?,
        spread: 0.0,
        normal,
    };
    fit.spread = spread_of(samples.iter().map(|s| fit.excess(s)));
    Some(fit)
}

/// Robust standard deviation around zero (median of the sizes, as in a normal distribution).
fn spread_of(values: impl Iterator<Item = f64>) -> f64 {
    let mut sizes: Vec<f64> = values.map(f64::abs).collect();
    if sizes.is_empty() {
        return 0.0;
    }
    let middle = sizes.len() / 2;
    let (_, median, _) = sizes.select_nth_unstable_by(middle, f64::total_cmp);
    (1.4826 * *median).max(0.02)
}

fn dot(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: (f32, f32) = (1280.0, 720.0);

    /// Deterministic noise, -1..1.
    fn noise(index: u32) -> f32 {
        let x = (index ^ 0x5bd1).wrapping_mul(0x9E37_79B9).rotate_left(15);
        (x.wrapping_mul(0x85EB_CA6B) >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Somebody of `part` of the usual height, whose feet are at a place (px).
    fn standing(part: f32, x: f32, foot: f32, horizon: f32) -> Rect {
        let height = 0.55 * (foot - horizon) * part;
        Rect::new(x, foot - height, 0.4 * height, height)
    }

    /// Likewise of people who differ by up to 8 %.
    fn person(number: u32, x: f32, foot: f32, horizon: f32) -> Rect {
        standing(1.0 + 0.08 * noise(number), x, foot, horizon)
    }

    /// Ten people who walk for so many seconds, ten pictures a second.
    fn learnt(seconds: u64, horizon: f32) -> HeightPriors {
        let mut priors = HeightPriors::default();
        watch(&mut priors, 0, seconds, horizon);
        priors
    }

    fn watch(priors: &mut HeightPriors, from_s: u64, seconds: u64, horizon: f32) {
        for frame in from_s * 10..(from_s + seconds) * 10 {
            let people = (0..10_u32).map(|p| {
                let far = (0.13 * p as f32 + 0.02 * frame as f32) % 1.0;
                let rect = person(p, 100.0 + 100.0 * p as f32, 400.0 + 280.0 * far, horizon);
                (0, TrackId(p), rect)
            });
            priors.learn(frame * 100_000_000, FRAME, people);
        }
    }

    #[test]
    fn who_has_a_persons_height_counts_more_than_who_has_not() {
        let priors = learnt(3, 200.0);
        for foot in [420.0, 550.0, 680.0] {
            let [usual, half, giant] =
                [1.0, 0.5, 1.6].map(|part| standing(part, 700.0, foot, 200.0));
            assert!(priors.weigh(0.5, 0, &usual, FRAME) > 0.5, "{foot}");
            for odd in [half, giant] {
                let weighed = priors.weigh(0.5, 0, &odd, FRAME);
                assert!((0.33..0.45).contains(&weighed), "{foot}: {weighed}");
            }
        }
    }

    #[test]
    fn nothing_is_said_before_enough_is_known() {
        let usual = standing(1.0, 700.0, 550.0, 200.0);
        let check = |priors: &HeightPriors, rect: &Rect, class: i32| {
            assert_eq!(priors.weigh(0.5, class, rect, FRAME), 0.5);
        };
        check(&HeightPriors::default(), &usual, 0);
        check(&learnt(3, 200.0), &usual, 7);
        let mut two = HeightPriors::default();
        for frame in 0..300_u32 {
            let seen = (0..2).map(|p| {
                (
                    0,
                    TrackId(p),
                    person(p, 300.0, 500.0 + frame as f32 / 5.0, 200.0),
                )
            });
            two.learn(u64::from(frame) * 100_000_000, FRAME, seen);
        }
        check(&two, &usual, 0);
        // A box that the picture's edge cuts has no height that could be judged.
        check(&learnt(3, 200.0), &Rect::new(600.0, 500.0, 90.0, 220.0), 0);
    }

    #[test]
    fn heights_of_any_kind_say_nothing() {
        let mut priors = HeightPriors::default();
        for frame in 0..100_u32 {
            let seen = (0..10_u32).map(|p| {
                let height = 60.0 + 120.0 * (1.0 + noise(p * 977 + frame));
                (
                    0,
                    TrackId(p),
                    Rect::new(100.0 * p as f32 + 50.0, 600.0 - height, 60.0, height),
                )
            });
            priors.learn(u64::from(frame) * 100_000_000, FRAME, seen);
        }
        let weighed = priors.weigh(0.5, 0, &Rect::new(500.0, 300.0, 100.0, 300.0), FRAME);
        assert!((weighed - 0.5).abs() < 0.06, "{weighed}");
    }

    #[test]
    fn a_camera_that_was_turned_is_learnt_anew() {
        let mut priors = learnt(20, 200.0);
        let usual = |horizon: f32| standing(1.0, 700.0, 550.0, horizon);
        assert!(priors.weigh(0.5, 0, &usual(-200.0), FRAME) < 0.45);
        watch(&mut priors, 20, 5, -200.0);
        let meanwhile = priors.weigh(0.5, 0, &usual(-200.0), FRAME);
        assert!(meanwhile > 0.45, "the newest do not fit: {meanwhile}");
        watch(&mut priors, 25, 60, -200.0);
        assert!(priors.weigh(0.5, 0, &usual(-200.0), FRAME) > 0.5);
        assert!(priors.weigh(0.5, 0, &usual(200.0), FRAME) < 0.45);
    }

    #[test]
    fn memory_is_bounded_and_odd_boxes_change_nothing() {
        let mut priors = learnt(400, 200.0);
        let prior = &priors.classes[&0];
        assert!(prior.samples.len() <= MEMORY && prior.taught_ns.len() <= 10);
        let odd = [
            Rect::new(f32::NAN, 1.0, 1.0, 1.0),
            Rect::new(100.0, 100.0, 0.0, -5.0),
        ];
        for rect in odd {
            assert_eq!(priors.weigh(0.7, 0, &rect, FRAME), 0.7);
        }
        for class in 0..1000 {
            let seen = odd.iter().map(|r| (class, TrackId(1), *r));
            priors.learn(0, FRAME, seen);
        }
        assert!(priors.classes.len() <= MAX_CLASSES);
        let usual = standing(1.0, 700.0, 550.0, 200.0);
        for score in [0.0, 1.0, -1.0, 2.0] {
            assert_eq!(priors.weigh(score, 0, &usual, FRAME), score);
        }
    }
}
