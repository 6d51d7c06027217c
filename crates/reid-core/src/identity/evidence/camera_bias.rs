//! What a camera adds to everybody's vectors: light, colours, height. The mean of a camera's visits, learnt as they end.
//!
//! Three cameras without overlap (NLPR_MCT, `reid-default`): the best grouping of all visits has 66 % of the boxes right without and
//! 74 % with the means taken off (pairs 64 / 50 and 90 / 61, precision and recall).

use std::collections::BTreeMap;

use crate::identity::CameraId;

/// A camera's mean counts as if so many visits had been seen that have the mean of all cameras: with few visits their mean
/// is mostly the people themselves. Measured on three recordings and two embedders, 1, 3 and 8: the larger the better.
const PRIOR_VISITS: f32 = 8.0;
/// The mean of all is taken off as if so many people more had been seen who have none of it: one person's own mean says nothing
/// about others.
const PRIOR_PEOPLE: f32 = 2.0;
/// Older visits fade so that no more than this many count: light changes over a day.
const MEMORY_VISITS: f32 = 200.0;
/// Most cameras of which means are kept; further ones have that of all.
const MAX_CAMERAS: usize = 1024;

/// Sum of some vectors, and how many.
#[derive(Clone, Debug)]
struct Sum {
    count: f32,
    values: Vec<f32>,
}

impl Sum {
    fn new(dimension: usize) -> Self {
        Self {
            count: 0.0,
            values: vec![0.0; dimension],
        }
    }

    fn add(&mut self, vector: &[f32], count: f32) {
        let sums = self.values.iter_mut().zip(vector);
        sums.for_each(|(sum, v)| *sum += count * v);
        self.count += count;
    }
}

/// The means of all cameras of one model.
#[derive(Clone, Debug)]
pub(in crate::identity) struct CameraBias {
    dimension: usize,
    cameras: BTreeMap<CameraId, Sum>,
}

/// Those means, with those who are in view now.
#[derive(Clone, Debug)]
pub(in crate::identity) struct Means {
    cameras: BTreeMap<CameraId, Vec<f32>>,
    /// How many visits stand behind each.
    counts: BTreeMap<CameraId, f32>,
    all: Vec<f32>,
    /// The part of what all have in common that is not taken off.
    pub left: f32,
}

impl CameraBias {
    pub fn new(dimension: usize) -> Self {
        Self {
            dimension,
            cameras: BTreeMap::new(),
        }
    }

    /// Takes in the vector of a visit that is over; `weight` is 1 for somebody's first and less for further ones.
    pub fn add(&mut self, camera: CameraId, vector: &[f32], weight: f32) {
        let known = self.cameras.contains_key(&camera);
        if vector.len() != self.dimension || !known && self.cameras.len() >= MAX_CAMERAS {
            return;
        }
        let dimension = self.dimension;
        let sum = self
            .cameras
            .entry(camera)
            .or_insert_with(|| Sum::new(dimension));
        if sum.count >= MEMORY_VISITS {
            let keep = 1.0 - 1.0 / sum.count;
            sum.values.iter_mut().for_each(|v| *v *= keep);
            sum.count *= keep;
        }
        sum.add(vector, weight);
    }

    /// The means by now: those of visits that are over and of `present` ones, with their weights. `people` = how many stand behind them.
    pub fn means<'a>(
        &self,
        present: impl Iterator<Item = (CameraId, &'a [f32], f32)>,
        people: usize,
    ) -> Means {
        let mut sums = self.cameras.clone();
        for (camera, vector, weight) in present {
            sums.entry(camera)
                .or_insert_with(|| Sum::new(self.dimension))
                .add(vector, weight);
        }
        let mut all = Sum::new(self.dimension);
        for sum in sums.values().filter(|s| s.count > 0.0) {
            // A camera counts the more the better its mean is known.
            let trust = sum.count / (sum.count + PRIOR_VISITS);
            all.add(&sum.values, trust / sum.count);
            all.count += trust - trust / sum.count;
        }
        let others = people.saturating_sub(1) as f32;
        let taken = others / (others + PRIOR_PEOPLE);
        let part = taken / all.count.max(f32::MIN_POSITIVE);
        let all: Vec<f32> = all.values.iter().map(|v| part * v).collect();
        let mean = |sum: &Sum| {
            let values = sum.values.iter().zip(&all);
            let weight = sum.count + PRIOR_VISITS;
            values
                .map(|(v, all)| (taken * v + PRIOR_VISITS * all) / weight)
                .collect()
        };
        Means {
            cameras: sums.iter().map(|(&c, sum)| (c, mean(sum))).collect(),
            counts: sums.iter().map(|(&c, sum)| (c, sum.count)).collect(),
            all,
            left: 1.0 - taken,
        }
    }
}

impl Means {
    /// Takes a camera's mean off a vector.
    pub fn remove(&self, camera: CameraId, vector: &mut [f32]) {
        let mean = self.cameras.get(&camera).unwrap_or(&self.all);
        vector.iter_mut().zip(mean).for_each(|(v, m)| *v -= m);
    }

    /// How much lower two people of one camera score than two of two rooms, because the mean that is taken off both is the mean
    /// of them among others.
    pub fn lowered(&self, camera: CameraId) -> f32 {
        let count = self.counts.get(&camera).copied().unwrap_or(0.0);
        let all = count + PRIOR_VISITS;
        let taken = (2.0 * all - count) / (all * all);
        taken / (1.0 - taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: CameraId = CameraId(1);
    const B: CameraId = CameraId(2);

    #[test]
    fn what_a_camera_adds_to_everybody_is_taken_off() {
        let mut bias = CameraBias::new(3);
        for i in 0..100 {
            let own = if i % 2 == 0 { 1.0 } else { -1.0 };
            bias.add(A, &[own, 2.0, 0.0], 1.0);
            bias.add(B, &[own, 0.0, 2.0], 1.0);
        }
        let means = bias.means(std::iter::empty(), 100);
        let (mut a, mut b) = ([1.0, 2.0, 0.0], [1.0, 0.0, 2.0]);
        means.remove(A, &mut a);
        means.remove(B, &mut b);
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() < 0.2, "{a} {b}");
        }
        assert!(a[0] > 0.9);
    }

    #[test]
    fn the_first_visit_of_a_camera_is_not_taken_for_its_mean() {
        let mut bias = CameraBias::new(2);
        (0..50).for_each(|_| bias.add(A, &[0.0, 1.0], 1.0));
        let first = [1.0, 1.0];
        let means = bias.means(std::iter::once((B, &first[..], 1.0)), 50);
        let mut left = first;
        means.remove(B, &mut left);
        assert!(left[0] > 0.7 && left[1].abs() < 0.2, "{left:?}");
        // A camera that nobody has seen has the mean of all.
        let mut left = first;
        means.remove(CameraId(9), &mut left);
        assert!(left[1].abs() < 0.2, "{left:?}");
    }

    #[test]
    fn one_person_alone_keeps_all_of_it() {
        let mut bias = CameraBias::new(2);
        (0..20).for_each(|_| bias.add(A, &[0.6, 0.8], 1.0));
        let means = bias.means(std::iter::empty(), 1);
        let mut value = [0.6, 0.8];
        means.remove(A, &mut value);
        assert_eq!((value, means.left), ([0.6, 0.8], 1.0));
    }

    #[test]
    fn old_visits_fade_and_wrong_lengths_are_ignored() {
        let mut bias = CameraBias::new(1);
        (0..2000).for_each(|_| bias.add(A, &[1.0], 1.0));
        (0..2000).for_each(|_| bias.add(A, &[3.0], 1.0));
        bias.add(A, &[9.0, 9.0], 1.0);
        let mut value = [3.0];
        bias.means(std::iter::empty(), 1000).remove(A, &mut value);
        assert!(value[0].abs() < 0.1, "{value:?}");
    }
}
