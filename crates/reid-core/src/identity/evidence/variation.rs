//! What changes in the vectors of one person within a visit.
//!
//! Certain positives come free: what differs between two moments of one track is pose, light and the embedder's noise,
//! and most of it lies in a few directions. Those are found as the recordings go by and shrunk to the size of the others
//! (within-class covariance normalisation, Hatch et al. 2006, of low rank as in variation attribute projection, Campbell et
//! al. 2006). MATRIX, true tracks, clusters by average linkage, camera means removed: IDF1 with retail-0267, retail-0248
//! and OSNet x0.25 79.5, 64.6, 67.9 without, 87.8, 69.3, 79.6 with eight directions, 85.9, 80.9, 73.9 with 16 to 32.

use std::{fmt::Write, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::embedding::dot;

/// Directions that are shrunk.
const DIRECTIONS: usize = 8;
/// Rows that the sketch keeps, twice the directions that are used; as many again wait to be taken in.
const KEPT: usize = 16;
const BUFFER: usize = 2 * KEPT;
/// Fewer changes than this say nothing about directions.
const MIN_CHANGES: f32 = 40.0;
/// Older changes fade so that no more than this many count.
const MEMORY: f32 = 4000.0;
/// Sweeps of Jacobi's method: 6 to 10 bring matrices of this size to machine precision (Golub and Van Loan, 8.5).
const SWEEPS: usize = 12;
/// Stored rows have so many steps to either side: seven bits and a sign.
const STEPS: f32 = 127.0;

/// The directions in which one person's vectors vary most: a running truncated SVD (Brand 2002) of changes.
#[derive(Clone, Debug)]
pub(in crate::identity) struct Variation {
    dimension: usize,
    /// Up to `BUFFER` rows whose scatter stands for that of all changes.
    rows: Vec<f32>,
    /// Sum of squares and number of all changes.
    energy: f32,
    changes: f32,
    directions: Vec<Direction>,
    /// As it is stored: as of the last time that directions were read off.
    stored: Option<Arc<SavedVariation>>,
}

/// The directions in which a model's vectors vary within visits, as they are stored. Says nothing about anybody.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedVariation {
    /// Number of changes behind them.
    changes: f32,
    /// Their sum of squares.
    energy: f32,
    rows: Vec<SavedRow>,
}

/// A row in eight bits a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedRow {
    /// The value of a step.
    step: f32,
    /// Two hexadecimal digits a number, in two's complement.
    steps: String,
}

impl SavedRow {
    fn new(row: &[f32]) -> Self {
        let most = row
            .iter()
            .fold(f32::MIN_POSITIVE, |most, v| most.max(v.abs()));
        let step = most / STEPS;
        let mut steps = String::with_capacity(2 * row.len());
        for value in row {
            // Writing to a string does not fail.
            let _ = write!(steps, "{:02x}", (value / step).round() as i8);
        }
        Self { step, steps }
    }

    /// The row; `None` where it is not one of so many finite numbers.
    fn values(&self, dimension: usize) -> Option<Vec<f32>> {
        let digits = self.steps.as_bytes();
        if digits.len() != 2 * dimension || !self.step.is_finite() {
            return None;
        }
        let value = |pair: &[u8]| {
            let byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
            Some(self.step * f32::from(byte as i8))
        };
        digits.chunks_exact(2).map(value).collect()
    }
}

/// One direction and how much of it is taken out.
#[derive(Clone, Debug)]
struct Direction {
    unit: Vec<f32>,
    part: f32,
}

impl Variation {
    pub fn new(dimension: usize) -> Self {
        Self {
            dimension,
            rows: Vec::new(),
            energy: 0.0,
            changes: 0.0,
            directions: Vec::new(),
            stored: None,
        }
    }

    /// As it was stored; `None` where that is of vectors of another length or damaged.
    pub fn restored(dimension: usize, saved: &SavedVariation) -> Option<Self> {
        let is_number = |v: f32| v.is_finite() && v >= 0.0;
        let fits = !saved.rows.is_empty() && saved.rows.len() <= KEPT;
        if !fits || !is_number(saved.changes) || !is_number(saved.energy) {
            return None;
        }
        let rows = saved.rows.iter().map(|row| row.values(dimension));
        let rows: Option<Vec<Vec<f32>>> = rows.collect();
        let mut variation = Self {
            rows: rows?.concat(),
            energy: saved.energy,
            changes: saved.changes,
            ..Self::new(dimension)
        };
        variation.fold();
        Some(variation)
    }

    /// As it is stored; `None` before there are directions.
    pub fn saved(&self) -> Option<Arc<SavedVariation>> {
        self.stored.clone()
    }

    /// Whether nothing was taken in.
    pub fn is_empty(&self) -> bool {
        self.changes == 0.0
    }

    /// Takes in how a person changed between two moments.
    pub fn add(&mut self, change: &[f32]) {
        let square = dot(change, change);
        if change.len() != self.dimension || !square.is_finite() {
            return;
        }
        if self.changes >= MEMORY {
            let keep = 1.0 - BUFFER as f32 / MEMORY;
            self.changes *= keep;
            self.energy *= keep;
            self.rows.iter_mut().for_each(|v| *v *= keep.sqrt());
        }
        self.rows.extend_from_slice(change);
        self.energy += square;
        self.changes += 1.0;
        if self.rows.len() >= BUFFER * self.dimension {
            self.fold();
        }
    }

    /// Shrinks the directions in a vector that tell nothing about who it is.
    pub fn remove(&self, vector: &mut [f32]) {
        for direction in &self.directions {
            let amount = direction.part * dot(vector, &direction.unit);
            for (value, along) in vector.iter_mut().zip(&direction.unit) {
                *value -= amount * along;
            }
        }
    }

    /// Replaces the rows by fewer ones with nearly the same scatter, and reads the directions off them.
    fn fold(&mut self) {
        let n = self.rows.len() / self.dimension;
        let row = |i: usize| &self.rows[i * self.dimension..(i + 1) * self.dimension];
        let mut gram = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let product = f64::from(dot(row(i), row(j)));
                gram[i * n + j] = product;
                gram[j * n + i] = product;
            }
        }
        let mut vectors = eigenvectors(&mut gram, n);
        vectors.sort_by(|a, b| b.value.total_cmp(&a.value));
        vectors.retain(|v| v.value > 1e-9);
        vectors.truncate(KEPT);
        let mut rows = vec![0.0; vectors.len() * self.dimension];
        for (vector, out) in vectors.iter().zip(rows.chunks_exact_mut(self.dimension)) {
            for (i, &weight) in vector.weights.iter().enumerate() {
                for (out, value) in out.iter_mut().zip(row(i)) {
                    *out += weight as f32 * value;
                }
            }
        }
        self.rows = rows;
        if self.changes >= MIN_CHANGES {
            self.read(&vectors);
            let rows = self.rows.chunks_exact(self.dimension).map(SavedRow::new);
            self.stored = Some(Arc::new(SavedVariation {
                changes: self.changes,
                energy: self.energy,
                rows: rows.collect(),
            }));
        }
    }

    fn read(&mut self, vectors: &[Eigenvector]) {
        let used = &vectors[..vectors.len().min(DIRECTIONS)];
        let taken: f32 = used.iter().map(|v| v.value as f32).sum();
        let others = self.dimension.saturating_sub(used.len()).max(1);
        let rest = (self.energy - taken).max(0.0) / others as f32;
        let rows = self.rows.chunks_exact(self.dimension);
        self.directions = used
            .iter()
            .zip(rows)
            .map(|(v, row)| {
                let length = dot(row, row).sqrt().max(f32::MIN_POSITIVE);
                Direction {
                    unit: row.iter().map(|x| x / length).collect(),
                    part: 1.0 - (rest / v.value as f32).sqrt().min(1.0),
                }
            })
            .collect();
    }
}

/// Eigenvalue and eigenvector of a symmetric matrix.
struct Eigenvector {
    value: f64,
    weights: Vec<f64>,
}

/// All eigenvectors of the symmetric `n` × `n` `matrix`, which is destroyed (Jacobi's cyclic method).
fn eigenvectors(matrix: &mut [f64], n: usize) -> Vec<Eigenvector> {
    let mut turned: Vec<Vec<f64>> = (0..n)
        .map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect())
        .collect();
    for _ in 0..SWEEPS {
        for p in 0..n {
            for q in p + 1..n {
                rotate(matrix, &mut turned, n, p, q);
            }
        }
    }
    turned
        .into_iter()
        .enumerate()
        .map(|(i, weights)| Eigenvector {
            value: matrix[i * n + i],
            weights,
        })
        .collect()
}

/// Turns rows and columns `p` and `q` so that their common element vanishes.
fn rotate(matrix: &mut [f64], turned: &mut [Vec<f64>], n: usize, p: usize, q: usize) {
    let common = matrix[p * n + q];
    if common.abs() < 1e-15 {
        return;
    }
    let theta = (matrix[q * n + q] - matrix[p * n + p]) / (2.0 * common);
    let tan = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let cos = 1.0 / tan.hypot(1.0);
    let sin = tan * cos;
    for k in 0..n {
        let (a, b) = (matrix[k * n + p], matrix[k * n + q]);
        matrix[k * n + p] = cos * a - sin * b;
        matrix[k * n + q] = sin * a + cos * b;
    }
    for k in 0..n {
        let (a, b) = (matrix[p * n + k], matrix[q * n + k]);
        matrix[p * n + k] = cos * a - sin * b;
        matrix[q * n + k] = sin * a + cos * b;
    }
    let (low, high) = turned.split_at_mut(q);
    for (a, b) in low[p].iter_mut().zip(&mut high[0]) {
        (*a, *b) = (cos * *a - sin * *b, sin * *a + cos * *b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvectors_of_a_known_matrix() {
        let mut matrix = vec![2.0, 1.0, 1.0, 2.0];
        let mut found = eigenvectors(&mut matrix, 2);
        found.sort_by(|a, b| a.value.total_cmp(&b.value));
        assert!((found[0].value - 1.0).abs() < 1e-9 && (found[1].value - 3.0).abs() < 1e-9);
        assert!((found[1].weights[0].abs() - 0.5_f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn the_direction_of_change_is_found_and_shrunk_and_others_stay() {
        let dimension = 32;
        let mut variation = Variation::new(dimension);
        let mut state = 7_u64;
        let mut noise = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
        };
        for _ in 0..400 {
            let mut change: Vec<f32> = (0..dimension).map(|_| 0.02 * noise()).collect();
            change[3] += noise();
            variation.add(&change);
        }
        let mut along = vec![0.0; dimension];
        (along[3], along[5]) = (1.0, 1.0);
        variation.remove(&mut along);
        assert!(along[3].abs() < 0.1 && along[5] > 0.8, "{along:?}");
    }

    /// What changes along one direction, with a little of everything else.
    fn learnt(dimension: usize) -> Variation {
        let mut variation = Variation::new(dimension);
        for i in 0..200 {
            let mut change = vec![0.0; dimension];
            change[i % dimension] += 0.05;
            change[3] += if i % 2 == 0 { 1.0 } else { -1.0 };
            variation.add(&change);
        }
        variation
    }

    #[test]
    fn what_was_learnt_is_the_same_after_it_was_stored() {
        let before = learnt(32);
        let saved = before.saved().expect("directions");
        let text = serde_json::to_string(&*saved).expect("JSON");
        let read: SavedVariation = serde_json::from_str(&text).expect("JSON");
        let after = Variation::restored(32, &read).expect("directions");
        assert!(!after.is_empty() && after.saved().is_some());
        let mut vectors = [vec![0.1; 32], vec![0.1; 32]];
        before.remove(&mut vectors[0]);
        after.remove(&mut vectors[1]);
        assert!(vectors[0][3].abs() < 0.05, "{vectors:?}");
        let differs = |(a, b): (&f32, &f32)| (a - b).abs() > 0.01;
        assert!(
            !vectors[0].iter().zip(&vectors[1]).any(differs),
            "{vectors:?}"
        );
    }

    #[test]
    fn what_cannot_be_what_was_stored_is_refused() {
        let saved = learnt(32).saved().expect("directions");
        assert!(Variation::restored(31, &saved).is_none());
        let mut damaged = (*saved).clone();
        damaged.rows[0].steps.replace_range(0..1, "x");
        assert!(Variation::restored(32, &damaged).is_none());
        let mut damaged = (*saved).clone();
        damaged.energy = f32::NAN;
        assert!(Variation::restored(32, &damaged).is_none());
        assert!(Variation::restored(32, &SavedVariation::default()).is_none());
        // Nothing to store before directions are known.
        assert!(Variation::new(4).saved().is_none());
    }

    #[test]
    fn what_is_no_number_is_not_taken_in() {
        let mut variation = Variation::new(4);
        variation.add(&[f32::NAN, 0.0, 0.0, 0.0]);
        variation.add(&[1.0]);
        assert_eq!(variation.changes, 0.0);
    }
}
