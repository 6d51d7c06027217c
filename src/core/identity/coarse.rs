//! A first look at everybody: one small vector a person, eight bits a number, to find the few who are worth a second one.
//!
//! All rows of 100,000 people are 1.6 GB, and reading them takes longer than a frame. Their means in eight bits are 51 MB:
//! 2.5 ms for one look-up of 512 numbers on one core (AVX-512), against 18 to 30 ms for the same means in f32 and eight
//! times that for all rows. Only the order matters here; whoever comes through is compared exactly.

use multiversion::multiversion;

/// People who get a second look. The right one is among them in at least 99 of 100 look-ups (`recall` in the tests).
pub(super) const SHORTLIST: usize = 128;
/// With so few people everybody gets a second look at once.
pub(super) const EVERYBODY: usize = 2 * SHORTLIST;
/// Largest value of a number in eight bits, to both sides.
const LARGEST: f32 = 127.0;

/// A vector in eight bits a number.
#[derive(Clone, Debug)]
pub(super) struct Small {
    pub values: Vec<i8>,
    /// What a step is worth.
    pub step: f32,
}

impl Small {
    pub fn of(values: &[f32]) -> Self {
        let largest = values.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        let step = (largest / LARGEST).max(f32::MIN_POSITIVE);
        let values = values.iter().map(|v| (v / step).round() as i8).collect();
        Self { values, step }
    }
}

/// The small vectors of all slots, one after another.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    dimension: usize,
    values: Vec<i8>,
    steps: Vec<f32>,
}

impl Sketch {
    pub fn new(dimension: usize) -> Self {
        Self {
            dimension,
            values: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Puts the mean of a slot's rows in its place; an empty one is passed over from then on.
    pub fn set(&mut self, slot: usize, mean: Option<&[f32]>) {
        if slot >= self.steps.len() {
            self.steps.resize(slot + 1, 0.0);
            self.values.resize((slot + 1) * self.dimension, 0);
        }
        let place = &mut self.values[slot * self.dimension..(slot + 1) * self.dimension];
        match mean {
            Some(mean) => {
                let small = Small::of(mean);
                place.copy_from_slice(&small.values);
                self.steps[slot] = small.step;
            }
            None => {
                place.fill(0);
                self.steps[slot] = 0.0;
            }
        }
    }

    /// The slots among those that `wanted` lets through that are most alike, in order of their places.
    pub fn nearest(&self, query: &[f32], wanted: impl Fn(usize) -> bool) -> Vec<usize> {
        let small = Small::of(query);
        let wide: Vec<i16> = small.values.iter().map(|&v| i16::from(v)).collect();
        let mut sums = vec![0; self.steps.len()];
        products(&self.values, &wide, &mut sums);
        let scores = sums
            .iter()
            .zip(&self.steps)
            .map(|(&sum, &step)| sum as f32 * step);
        let mut ranked: Vec<(f32, usize)> = scores
            .enumerate()
            .filter(|&(slot, _)| self.steps[slot] > 0.0 && wanted(slot))
            .map(|(slot, score)| (score, slot))
            .collect();
        if ranked.len() > SHORTLIST {
            ranked.select_nth_unstable_by(SHORTLIST, |a, b| b.0.total_cmp(&a.0));
            ranked.truncate(SHORTLIST);
        }
        let mut slots: Vec<usize> = ranked.into_iter().map(|(_, slot)| slot).collect();
        slots.sort_unstable();
        slots
    }
}

/// The product of `query` with each row of `block`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl",
    "x86_64+avx2+fma",
    "x86_64+sse4.1",
    "aarch64+neon"
))]
fn products(block: &[i8], query: &[i16], out: &mut [i32]) {
    for (row, out) in block.chunks_exact(query.len()).zip(out) {
        let mut sum = 0;
        for (a, b) in row.iter().zip(query) {
            sum += i32::from(*a) * i32::from(*b);
        }
        *out = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::embedding::dot;

    fn noise(state: &mut u64) -> f32 {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (*state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    fn unit(mut v: Vec<f32>) -> Vec<f32> {
        let length = dot(&v, &v).sqrt();
        v.iter_mut().for_each(|v| *v /= length);
        v
    }

    #[test]
    fn recall() {
        // Strangers at 0.4, one and the same person at 0.55: harder than MATRIX with retail-0267.
        const DIMENSION: usize = 128;
        const PEOPLE: usize = 5000;
        let mut state = 3;
        let mut random = |scale: f32| {
            (0..DIMENSION)
                .map(|_| scale * noise(&mut state))
                .collect::<Vec<f32>>()
        };
        let common = random(1.0);
        let people: Vec<Vec<f32>> = (0..PEOPLE).map(|_| random(1.22)).collect();
        let mut sketch = Sketch::new(DIMENSION);
        for (slot, person) in people.iter().enumerate() {
            let look = person
                .iter()
                .zip(&common)
                .zip(random(0.6))
                .map(|((p, c), n)| p + c + n);
            sketch.set(slot, Some(&unit(look.collect())));
        }
        let found = (0..500)
            .filter(|&q| {
                let query = people[q]
                    .iter()
                    .zip(&common)
                    .zip(random(1.0))
                    .map(|((p, c), n)| p + c + n);
                sketch
                    .nearest(&unit(query.collect()), |_| true)
                    .contains(&q)
            })
            .count();
        assert!(found >= 495, "{found} of 500");
        sketch.set(7, None);
        assert!(
            !sketch
                .nearest(&unit(people[7].clone()), |_| true)
                .contains(&7)
        );
        assert!(
            sketch
                .nearest(&unit(people[8].clone()), |slot| slot != 8)
                .len()
                == SHORTLIST
        );
    }

    #[test]
    fn eight_bits_keep_the_direction() {
        let mut state = 9;
        let v = unit((0..512).map(|_| noise(&mut state)).collect());
        let small = Small::of(&v);
        let back: Vec<f32> = small
            .values
            .iter()
            .map(|&b| f32::from(b) * small.step)
            .collect();
        assert!(dot(&v, &unit(back)) > 0.9999);
        assert_eq!(Small::of(&[0.0; 4]).values, [0; 4]);
    }
}
