//! What share of the people in view of one camera another camera sees, too, as far as looks tell.
//!
//! Among many people everybody has a double: of twenty strangers the most alike lies two deviations above the mean, where
//! one person seen by two cameras lies at 2.6. So two rooms full of people must not be grouped by the limit that serves
//! one room seen from two sides. Whether a pair of cameras shares people shows in the scores of all who are in view at
//! once: each is that of somebody shared, by an unknown share, or of strangers (a mixture, whose share is what is learnt; a
//! dozen shares are held possible, and each is as likely as it explains the scores). Measured on MATRIX, true tracks, half
//! of the people shown to four cameras and half to the others: docs/identity.md, "Cameras that share nobody".

use std::collections::BTreeMap;

use crate::identity::{
    CameraId,
    scores::{log_impostor, log_normal},
};
use crate::scores::Tail;

/// Shares that are held possible; the least stands for cameras of two places.
const SHARES: [f32; 12] = [
    0.003, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99,
];
/// How likely the least is before anything is known; the others share the rest.
const NONE_SHARED: f32 = 0.2;
/// Where one person's scores in two cameras lie, in deviations above strangers: mean and spread, of three embedders.
const SAME_MEAN: f32 = 2.6;
const SAME_SPREAD: f32 = 1.15;
/// Older looks fade so that no more than those at this many tracks count.
const MEMORY: f32 = 60.0;
/// A score tells no more than this, as a logarithm of likelihoods: what cannot be both is not known better.
const MOST_TOLD: f32 = 20.0;

/// What is known of a pair of cameras.
#[derive(Clone, Copy, Debug)]
struct Belief {
    /// How likely each of [`SHARES`] makes what was seen: logarithms.
    told: [f32; SHARES.len()],
    /// At how many tracks that looks.
    tracks: f32,
}

/// How people in view of two cameras score.
#[derive(Clone, Debug)]
pub(in crate::identity) struct Scores {
    /// Deviations above strangers, a row for each of the first camera's.
    pub rows: Vec<Vec<f32>>,
    /// How much each row counts: less, the more often that track was looked at before.
    pub weights: Vec<f32>,
    /// How strangers' scores end.
    pub tail: Tail,
}

/// What is known of each pair of cameras.
#[derive(Clone, Debug, Default)]
pub(in crate::identity) struct Overlaps {
    pairs: BTreeMap<(CameraId, CameraId), Belief>,
}

impl Overlaps {
    /// Takes in how everybody in view of `a` scores with everybody in view of `b`.
    pub fn learn(&mut self, a: CameraId, b: CameraId, scores: &Scores) {
        let width = scores.rows.first().map_or(0, Vec::len);
        if width == 0 || a == b {
            return;
        }
        let belief = self.pairs.entry(pair(a, b)).or_default();
        for (row, weight) in scores.rows.iter().zip(&scores.weights) {
            // How much likelier the row is with somebody of the others in it than without.
            let ratios = row.iter().map(|d| likelihood_ratio(*d, &scores.tail));
            let ratio = ratios.sum::<f32>() / width as f32;
            for (told, share) in belief.told.iter_mut().zip(SHARES) {
                *told += weight * (1.0 - share + share * ratio).ln();
            }
            belief.tracks += weight;
        }
        if belief.tracks > MEMORY {
            let keep = MEMORY / belief.tracks;
            belief.told.iter_mut().for_each(|t| *t *= keep);
            belief.tracks = MEMORY;
        }
    }

    /// A camera is gone.
    pub fn detach(&mut self, camera: CameraId) {
        self.pairs.retain(|(a, b), _| *a != camera && *b != camera);
    }

    /// The shares of all pairs of some cameras, the larger of what is learnt of the pair and of what follows when a third
    /// shares people with both: two cameras that face one another see one side of a person each, and a third sees both.
    pub fn shares(&self, cameras: &[CameraId]) -> BTreeMap<(CameraId, CameraId), f32> {
        let direct = |a, b| if a == b { 1.0 } else { self.share(a, b) };
        let n = cameras.len();
        let known: Vec<f32> = cameras
            .iter()
            .flat_map(|&a| cameras.iter().map(move |&b| direct(a, b)))
            .collect();
        let mut shares = BTreeMap::new();
        for (i, &a) in cameras.iter().enumerate() {
            for (j, &b) in cameras.iter().enumerate() {
                let by_way_of = |k: usize| known[i * n + k] * known[k * n + j];
                shares.insert((a, b), (0..n).map(by_way_of).fold(0.0, f32::max));
            }
        }
        shares
    }

    /// The mean of the shares held possible, of their logarithms.
    fn share(&self, a: CameraId, b: CameraId) -> f32 {
        let told = self
            .pairs
            .get(&pair(a, b))
            .copied()
            .unwrap_or_default()
            .told;
        let most = told.iter().copied().fold(f32::MIN, f32::max);
        let others = (1.0 - NONE_SHARED) / (SHARES.len() - 1) as f32;
        let (mut sum, mut total) = (0.0, 0.0);
        for (number, (told, share)) in told.iter().zip(SHARES).enumerate() {
            let before = if number == 0 { NONE_SHARED } else { others };
            let weight = before * (told - most).exp();
            sum += weight * share.ln();
            total += weight;
        }
        (sum / total).exp()
    }
}

impl Default for Belief {
    fn default() -> Self {
        Self {
            told: [0.0; SHARES.len()],
            tracks: 0.0,
        }
    }
}

fn pair(a: CameraId, b: CameraId) -> (CameraId, CameraId) {
    (a.min(b), a.max(b))
}

/// How much likelier a score is for one person than for two strangers, whose scores fall as said.
fn likelihood_ratio(deviations: f32, tail: &Tail) -> f32 {
    let same = log_normal(deviations.min(SAME_MEAN), SAME_MEAN, SAME_SPREAD);
    (same - log_impostor(deviations, tail)).min(MOST_TOLD).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: CameraId = CameraId(1);
    const B: CameraId = CameraId(2);
    const C: CameraId = CameraId(3);

    /// A first look at these scores.
    fn looks(rows: Vec<Vec<f32>>) -> Scores {
        Scores {
            weights: vec![1.0; rows.len()],
            rows,
            tail: crate::scores::ScoreScale::default().tail(),
        }
    }

    /// Scores of `n` people with `n` others, of whom the first `shared` are the same ones.
    fn scores(n: usize, shared: usize, seed: u32) -> Scores {
        let mut state = seed;
        let mut noise = || {
            let mut sum = 0.0;
            for _ in 0..12 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                sum += (state >> 8) as f32 / (1 << 24) as f32;
            }
            sum - 6.0
        };
        let mut one = |same: bool| {
            if same {
                SAME_MEAN + SAME_SPREAD * noise()
            } else {
                noise()
            }
        };
        let row = |i| (0..n).map(|j| one(i == j && i < shared)).collect();
        looks((0..n).map(row).collect())
    }

    fn learnt(n: usize, shared: usize, looks: u32) -> f32 {
        let mut overlaps = Overlaps::default();
        (0..looks).for_each(|l| overlaps.learn(A, B, &scores(n, shared, 7 + l)));
        overlaps.shares(&[A, B])[&(B, A)]
    }

    #[test]
    fn the_share_is_learnt_from_one_look_at_many_and_better_from_more() {
        assert!(learnt(15, 0, 1) < 0.1);
        assert!(learnt(15, 0, 8) < 0.02);
        for shared in [7, 15] {
            let found = learnt(15, shared, 8);
            let truth = shared as f32 / 15.0;
            assert!((found / truth).ln().abs() < 0.5, "{found} of {truth}");
        }
        // Two people say little: cameras are neither believed to share nobody nor everybody.
        let few = learnt(2, 0, 1);
        assert!((0.03..0.4).contains(&few), "{few}");
    }

    #[test]
    fn a_third_camera_that_shares_with_both_speaks_for_a_pair() {
        let mut overlaps = Overlaps::default();
        for look in 0..8 {
            overlaps.learn(A, B, &scores(15, 0, 11 + look));
            overlaps.learn(A, C, &scores(15, 15, 31 + look));
            overlaps.learn(C, B, &scores(15, 15, 51 + look));
        }
        let shares = overlaps.shares(&[A, B, C]);
        assert!(overlaps.share(A, B) < 0.02 && shares[&(A, B)] > 0.5);
        assert_eq!(shares[&(A, A)], 1.0);
        overlaps.detach(C);
        assert!(overlaps.shares(&[A, B])[&(A, B)] < 0.02);
    }

    #[test]
    fn nobody_in_view_and_scores_out_of_range_change_nothing_for_the_worse() {
        let mut overlaps = Overlaps::default();
        overlaps.learn(A, B, &looks(Vec::new()));
        overlaps.learn(A, B, &looks(vec![Vec::new()]));
        overlaps.learn(A, A, &scores(3, 3, 1));
        assert!(overlaps.pairs.is_empty());
        overlaps.learn(A, B, &looks(vec![vec![1e6, -1e6], vec![-1e6, 1e6]]));
        assert!(overlaps.share(A, B).is_finite());
    }
}
