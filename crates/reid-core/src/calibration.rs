//! Calibration of an embedder measured on labelled pictures: converts the cosine of two pictures to the probability that they
//! show one person.
//!
//! `reidctl eval --calibrate` measures it, a model's sidecar keeps it. In a pipeline [`super::scores`] learns from the
//! video itself instead.

use serde::{Deserialize, Serialize};

/// Distribution of the cosines of one kind of pair.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub deviation: f64,
}

/// Distributions of an embedder's genuine and impostor scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// Pairs of two people.
    pub impostor: Spread,
    /// Pairs of one person, seen by two cameras.
    pub genuine: Spread,
}

/// Why a calibration is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum CalibrationError {
    #[error("calibration: means and deviations are finite numbers, deviations above 0")]
    NotFinite,
    #[error("calibration: the genuine mean must be above the impostor mean")]
    Reversed,
}

impl Calibration {
    /// Refuses a calibration that does not separate people.
    pub fn check(&self) -> Result<(), CalibrationError> {
        let is_spread =
            |s: &Spread| s.mean.is_finite() && s.deviation.is_finite() && s.deviation > 0.0;
        if !is_spread(&self.impostor) || !is_spread(&self.genuine) {
            return Err(CalibrationError::NotFinite);
        }
        if self.genuine.mean <= self.impostor.mean {
            return Err(CalibrationError::Reversed);
        }
        Ok(())
    }

    /// Probability, 0..=1, that two pictures with this cosine show one person, when one person and two are equally likely
    /// beforehand. Both kinds of pairs are taken for normally distributed with one common deviation (linear discriminant
    /// analysis, Fisher 1936): with two deviations a cosine far above all others would speak against one person.
    pub fn same_person(&self, cosine: f32) -> f64 {
        let variance = (self.impostor.deviation.powi(2) + self.genuine.deviation.powi(2)) / 2.0;
        let middle = (self.impostor.mean + self.genuine.mean) / 2.0;
        let evidence =
            (self.genuine.mean - self.impostor.mean) * (f64::from(cosine) - middle) / variance;
        1.0 / (1.0 + (-evidence).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn calibration(impostor: [f64; 2], genuine: [f64; 2]) -> Calibration {
        Calibration {
            impostor: Spread {
                mean: impostor[0],
                deviation: impostor[1],
            },
            genuine: Spread {
                mean: genuine[0],
                deviation: genuine[1],
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
        for (impostor, genuine) in [([0.5, 0.1], [0.5, 0.1]), ([0.6, 0.1], [0.5, 0.1])] {
            let error = calibration(impostor, genuine).check();
            assert_eq!(error, Err(CalibrationError::Reversed));
        }
        for (impostor, genuine) in [([0.5, 0.0], [0.6, 0.1]), ([f64::NAN, 0.1], [0.6, 0.1])] {
            let error = calibration(impostor, genuine).check();
            assert_eq!(error, Err(CalibrationError::NotFinite));
        }
        assert_eq!(calibration([0.2, 0.1], [0.6, 0.1]).check(), Ok(()));
    }
}
