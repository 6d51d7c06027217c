//! What a cosine says about two pictures, for an embedder whose scores were measured on labelled ones: how probable it is
//! that they show one person.
//!
//! `reidctl eval --calibrate` measures it, a model's sidecar keeps it. In a pipeline [`super::scores`] learns from the
//! video itself instead.

use serde::{Deserialize, Serialize};

/// Where a kind of pair's cosines lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub deviation: f64,
}

/// Where the cosines of an embedder lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// Pairs of two people.
    pub strangers: Spread,
    /// Pairs of one person, seen by two cameras.
    pub companions: Spread,
}

/// Why numbers are no calibration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum CalibrationError {
    #[error("calibration: means and deviations are finite numbers, deviations above 0")]
    NotFinite,
    #[error("calibration: one person's pictures are no more alike than two people's")]
    Reversed,
}

impl Calibration {
    /// Refuses what separates nobody.
    pub fn check(&self) -> Result<(), CalibrationError> {
        let is_spread =
            |s: &Spread| s.mean.is_finite() && s.deviation.is_finite() && s.deviation > 0.0;
        if !is_spread(&self.strangers) || !is_spread(&self.companions) {
            return Err(CalibrationError::NotFinite);
        }
        if self.companions.mean <= self.strangers.mean {
            return Err(CalibrationError::Reversed);
        }
        Ok(())
    }

    /// Probability, 0..=1, that two pictures with this cosine show one person, when one person and two are equally likely
    /// beforehand. Both kinds of pairs are taken for normally distributed with one common deviation (linear discriminant
    /// analysis, Fisher 1936): with two deviations a cosine far above all others would speak against one person.
    pub fn same_person(&self, cosine: f32) -> f64 {
        let variance = (self.strangers.deviation.powi(2) + self.companions.deviation.powi(2)) / 2.0;
        let middle = (self.strangers.mean + self.companions.mean) / 2.0;
        let evidence =
            (self.companions.mean - self.strangers.mean) * (f64::from(cosine) - middle) / variance;
        1.0 / (1.0 + (-evidence).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn calibration(strangers: [f64; 2], companions: [f64; 2]) -> Calibration {
        Calibration {
            strangers: Spread {
                mean: strangers[0],
                deviation: strangers[1],
            },
            companions: Spread {
                mean: companions[0],
                deviation: companions[1],
            },
        }
    }

    #[test]
    fn halfway_is_even_and_more_is_more() {
        let c = calibration([0.2, 0.1], [0.6, 0.1]);
        assert!((c.same_person(0.4) - 0.5).abs() < 1e-6);
        // One deviation above the middle: the densities differ by exp(4).
        assert!((c.same_person(0.5) - 1.0 / (1.0 + (-4.0_f64).exp())).abs() < 1e-6);
        let steps: Vec<f64> = (-10..=10).map(|i| c.same_person(i as f32 / 10.0)).collect();
        assert!(steps.is_sorted() && steps.iter().all(|p| (0.0..=1.0).contains(p)));
    }

    #[test]
    fn numbers_that_separate_nobody_are_refused() {
        for (strangers, companions) in [([0.5, 0.1], [0.5, 0.1]), ([0.6, 0.1], [0.5, 0.1])] {
            let error = calibration(strangers, companions).check();
            assert_eq!(error, Err(CalibrationError::Reversed));
        }
        for (strangers, companions) in [([0.5, 0.0], [0.6, 0.1]), ([f64::NAN, 0.1], [0.6, 0.1])] {
            let error = calibration(strangers, companions).check();
            assert_eq!(error, Err(CalibrationError::NotFinite));
        }
        assert_eq!(calibration([0.2, 0.1], [0.6, 0.1]).check(), Ok(()));
    }
}
