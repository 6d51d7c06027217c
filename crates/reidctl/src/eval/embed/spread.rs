//! Distribution of cosines.

use gstreid::core::calibration::Spread;
use serde::Serialize;

/// Bins of a histogram: steps of 0.01.
const BINS: usize = 200;

/// Counts of cosines, and their mean and deviation to the last digit.
#[derive(Clone, Serialize)]
pub struct Histogram {
    /// Counts from cosine -1 to 1.
    pub counts: Vec<u64>,
    #[serde(skip)]
    sum: f64,
    #[serde(skip)]
    sum_of_squares: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BINS],
            sum: 0.0,
            sum_of_squares: 0.0,
        }
    }
}

impl Histogram {
    /// Counts a cosine.
    pub fn add(&mut self, cosine: f32) {
        let bin = ((cosine + 1.0) / 2.0 * BINS as f32) as usize;
        self.counts[bin.min(BINS - 1)] += 1;
        let value = f64::from(cosine);
        self.sum += value;
        self.sum_of_squares += value * value;
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Mean and standard deviation; `None` of fewer than two.
    pub fn spread(&self) -> Option<Spread> {
        let total = self.total() as f64;
        let mean = self.sum / total;
        let variance = (self.sum_of_squares / total - mean * mean).max(0.0);
        (total > 1.0).then(|| Spread {
            mean,
            deviation: variance.sqrt(),
        })
    }

    /// The middle of each bin and the share of all in it, percent; as far as there are any.
    pub fn shares(&self) -> Vec<[f64; 2]> {
        let total = self.total().max(1) as f64;
        let share = |(bin, &count): (usize, &u64)| [middle(bin), 100.0 * count as f64 / total];
        let points: Vec<[f64; 2]> = self.counts.iter().enumerate().map(share).collect();
        let is_there = |point: &[f64; 2]| point[1] > 0.0;
        let from = points
            .iter()
            .position(is_there)
            .unwrap_or(0)
            .saturating_sub(1);
        let to = points
            .iter()
            .rposition(is_there)
            .map_or(0, |last| (last + 2).min(BINS));
        points.get(from..to).unwrap_or_default().to_vec()
    }

    /// The cosine below which the part `share` of all lies, to the middle of a bin.
    pub fn quantile(&self, share: f64) -> f64 {
        let all = self.total();
        let mut sum = 0;
        let bin = self.counts.iter().position(|count| {
            sum += count;
            sum as f64 >= share * all as f64
        });
        middle(bin.unwrap_or(0))
    }
}

fn middle(bin: usize) -> f64 {
    (bin as f64 + 0.5) * 2.0 / BINS as f64 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_deviation_and_shares() {
        let mut h = Histogram::default();
        assert!(h.spread().is_none() && h.shares().is_empty());
        [0.1, 0.3, 0.5, 0.7].into_iter().for_each(|c| h.add(c));
        let spread = h.spread().unwrap();
        assert!(
            (spread.mean - 0.4).abs() < 1e-6 && (spread.deviation - 0.05_f64.sqrt()).abs() < 1e-6
        );
        let sum: f64 = h.shares().iter().map(|point| point[1]).sum();
        assert!((sum - 100.0).abs() < 1e-9);
        assert!(
            h.shares().len() < 70,
            "bins without cosines on both sides are left out"
        );
    }

    #[test]
    fn quantiles_of_a_histogram() {
        let mut h = Histogram::default();
        (0..100).for_each(|i| h.add(i as f32 / 100.0 + 0.001));
        assert!(
            (h.quantile(0.5) - 0.495).abs() < 0.011,
            "{}",
            h.quantile(0.5)
        );
        assert!((h.quantile(0.95) - 0.945).abs() < 0.011);
        h.add(1.0);
        h.add(-1.0);
    }
}
