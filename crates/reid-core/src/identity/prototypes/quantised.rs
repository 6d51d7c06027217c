//! Vectors in eight bits a number: a quarter of the memory, and the direction kept to a cosine of 0.9999.

use multiversion::multiversion;

/// Largest value of a number in eight bits, to both sides.
const LARGEST: f32 = 127.0;

/// So many products are taken at a time.
const BATCH: usize = 1024;

/// Vectors of one length in eight bits a number, one after another, each with what a step of its numbers is worth.
#[derive(Clone, Debug)]
pub(in crate::identity) struct Block {
    dimension: usize,
    values: Vec<i8>,
    /// 0 where there is no vector.
    steps: Vec<f32>,
}

impl Block {
    pub fn new(dimension: usize) -> Self {
        Self {
            dimension,
            values: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Makes room for so many vectors; never less than there was.
    pub fn grow(&mut self, places: usize) {
        if places > self.steps.len() {
            self.steps.resize(places, 0.0);
            self.values.resize(places * self.dimension, 0);
        }
    }

    /// Puts a vector into a place, each number rounded to the nearest.
    pub fn set(&mut self, place: usize, vector: &[f32]) {
        let largest = vector.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        if largest <= f32::MIN_POSITIVE {
            return self.clear(place);
        }
        let scale = LARGEST / largest;
        let values = &mut self.values[place * self.dimension..(place + 1) * self.dimension];
        for (small, v) in values.iter_mut().zip(vector) {
            *small = (v * scale).round().clamp(-LARGEST, LARGEST) as i8;
        }
        self.steps[place] = largest / LARGEST;
    }

    /// Erases a vector.
    pub fn clear(&mut self, place: usize) {
        self.values[place * self.dimension..(place + 1) * self.dimension].fill(0);
        self.steps[place] = 0.0;
    }

    /// Copies a vector as it is.
    pub fn copy(&mut self, from: usize, to: usize) {
        let n = self.dimension;
        self.values.copy_within(from * n..(from + 1) * n, to * n);
        self.steps[to] = self.steps[from];
    }

    /// The numbers of a vector, at most half a step off.
    pub fn get(&self, place: usize) -> impl Iterator<Item = f32> {
        let step = self.steps[place];
        let values = &self.values[place * self.dimension..(place + 1) * self.dimension];
        values.iter().map(move |&v| f32::from(v) * step)
    }

    /// The product with a vector.
    pub fn dot(&self, place: usize, query: &[f32]) -> f32 {
        debug_assert_eq!(query.len(), self.dimension);
        let values = &self.values[place * self.dimension..(place + 1) * self.dimension];
        self.steps[place] * product(values, query)
    }

    /// Tells the products with a vector of all places that hold one, in order, the vector in eight bits too: good for an order,
    /// many times as fast as [`Self::dot`]. Needs little memory at a time, whatever it holds: a look-up that asked the system
    /// for all of it took half as long again (100,000 people).
    pub fn each_dot(&self, query: &[f32], mut tell: impl FnMut(usize, f32)) {
        let mut small = Self::new(self.dimension);
        small.grow(1);
        small.set(0, query);
        let wide: Vec<i16> = small.values.iter().map(|&v| i16::from(v)).collect();
        let mut sums = vec![0; BATCH.min(self.steps.len())];
        let batches = self.values.chunks(BATCH * self.dimension.max(1));
        for (batch, (values, steps)) in batches.zip(self.steps.chunks(BATCH)).enumerate() {
            products(values, &wide, &mut sums[..steps.len()]);
            for (i, (&sum, &step)) in sums.iter().zip(steps).enumerate() {
                if step > 0.0 {
                    tell(batch * BATCH + i, sum as f32 * step * small.steps[0]);
                }
            }
        }
    }
}

/// The product of a vector in eight bits with one in 32.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl",
    "x86_64+avx2+fma",
    "x86_64+sse4.1",
    "aarch64+neon"
))]
fn product(row: &[i8], query: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 16];
    let (rows, queries) = (row.chunks_exact(16), query.chunks_exact(16));
    let (row_tail, query_tail) = (rows.remainder(), queries.remainder());
    for (x, y) in rows.zip(queries) {
        for i in 0..16 {
            sums[i] += f32::from(x[i]) * y[i];
        }
    }
    let tail = row_tail.iter().zip(query_tail);
    sums.iter().sum::<f32>() + tail.map(|(x, y)| f32::from(*x) * y).sum::<f32>()
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
    use crate::embedding::dot;

    fn unit(seed: u64, length: usize) -> Vec<f32> {
        let mut state = seed;
        let mut noise = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
        };
        let v: Vec<f32> = (0..length).map(|_| noise()).collect();
        let norm = dot(&v, &v).sqrt();
        v.iter().map(|v| v / norm).collect()
    }

    fn dots(block: &Block, query: &[f32]) -> Vec<(usize, f32)> {
        let mut told = Vec::new();
        block.each_dot(query, |place, score| told.push((place, score)));
        told
    }

    #[test]
    fn eight_bits_keep_the_direction() {
        for length in [3, 16, 128, 500, 512] {
            let (v, w) = (unit(9, length), unit(10, length));
            let mut block = Block::new(length);
            block.grow(3);
            block.set(1, &v);
            let back: Vec<f32> = block.get(1).collect();
            let cosine = dot(&v, &back) / dot(&back, &back).sqrt();
            assert!(cosine > 0.9999, "{length}: {cosine}");
            assert!((block.dot(1, &w) - dot(&v, &w)).abs() < 2e-3, "{length}");
            let [(1, score)] = dots(&block, &w)[..] else {
                panic!("{length}: one place holds a vector");
            };
            assert!((score - dot(&v, &w)).abs() < 4e-3, "{length}");
            block.set(2, &back);
            let again: Vec<f32> = block.get(2).collect();
            assert_eq!(back, again, "{length}: what was rounded once stays");
        }
    }

    #[test]
    fn nothing_stays_of_what_is_cleared() {
        let mut block = Block::new(4);
        block.grow(2);
        block.set(0, &[0.5, -0.5, 0.5, 0.5]);
        block.copy(0, 1);
        assert_eq!(block.dot(1, &[1.0, 0.0, 0.0, 0.0]), 0.5);
        block.clear(0);
        block.set(1, &[0.0; 4]);
        assert_eq!(block.values, [0; 8]);
        assert_eq!(dots(&block, &[1.0; 4]), []);
    }

    #[test]
    fn places_are_told_in_order_however_many_there_are() {
        let mut block = Block::new(16);
        assert_eq!(dots(&block, &unit(1, 16)), []);
        block.grow(2 * BATCH + 7);
        let held = [0, 1, BATCH - 1, BATCH, 2 * BATCH + 6];
        for place in held {
            block.set(place, &unit(place as u64, 16));
        }
        let query = unit(5, 16);
        let told = dots(&block, &query);
        let places: Vec<usize> = told.iter().map(|t| t.0).collect();
        assert_eq!(places, held);
        for (place, score) in told {
            assert!((score - block.dot(place, &query)).abs() < 0.01);
        }
    }
}
