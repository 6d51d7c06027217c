//! Appearance vectors: unit length, finite, of a known model.

use std::sync::Arc;

use multiversion::multiversion;

/// Which model made a vector. Vectors of different models never meet: their cosines mean nothing.
/// A hash of the model file's bytes and of its preprocessing, made once when the model is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelFingerprint(pub u64);

/// Most numbers that an embedding may have; larger outputs are refused.
pub const MAX_DIMENSION: usize = 4096;

/// Why a model's output is not an embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum EmbeddingError {
    #[error("the embedding has a value that is not finite")]
    NotFinite,
    #[error("the embedding is zero")]
    Zero,
    #[error("an embedding has 1 to {MAX_DIMENSION} values, got {0}")]
    Dimension(usize),
}

/// A unit vector and the model it came from. Cheap to clone: the numbers are shared.
#[derive(Clone, PartialEq)]
pub struct Embedding {
    values: Arc<[f32]>,
    model: ModelFingerprint,
}

// The numbers are biometric data: never print them.
impl std::fmt::Debug for Embedding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Embedding({} numbers, model {:016x})",
            self.values.len(),
            self.model.0
        )
    }
}

impl Embedding {
    /// The unit vector in the direction of `raw`, a model's output. Refuses NaN, infinity and zero.
    pub fn normalised(raw: &[f32], model: ModelFingerprint) -> Result<Self, EmbeddingError> {
        if raw.is_empty() || raw.len() > MAX_DIMENSION {
            return Err(EmbeddingError::Dimension(raw.len()));
        }
        // In f64: squares of large f32 outputs overflow.
        let norm = raw
            .iter()
            .map(|&v| f64::from(v) * f64::from(v))
            .sum::<f64>()
            .sqrt();
        if !norm.is_finite() {
            return Err(EmbeddingError::NotFinite);
        }
        if norm < 1e-12 {
            return Err(EmbeddingError::Zero);
        }
        let values = raw.iter().map(|&v| (f64::from(v) / norm) as f32).collect();
        Ok(Self { values, model })
    }

    /// The numbers; their squares sum to one.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// How many numbers.
    pub fn dimension(&self) -> usize {
        self.values.len()
    }

    /// The model that made it.
    pub fn model(&self) -> ModelFingerprint {
        self.model
    }

    /// True when a cosine between the two means something: same model, same dimension.
    pub fn is_comparable(&self, other: &Self) -> bool {
        self.model == other.model && self.values.len() == other.values.len()
    }

    /// Cosine similarity, -1..=1, or `None` for vectors of different models or dimensions.
    pub fn cosine(&self, other: &Self) -> Option<f32> {
        self.is_comparable(other)
            .then(|| dot(&self.values, &other.values).clamp(-1.0, 1.0))
    }
}

/// Dot product of two slices of one length, in sixteen independent sums so that the compiler can use vector registers.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    debug_assert_eq!(a.len(), b.len());
    let mut sums = [0.0_f32; 16];
    let (a_chunks, b_chunks) = (a.chunks_exact(16), b.chunks_exact(16));
    let tail: f32 = a_chunks
        .remainder()
        .iter()
        .zip(b_chunks.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for i in 0..16 {
            sums[i] += x[i] * y[i];
        }
    }
    sums.iter().sum::<f32>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: ModelFingerprint = ModelFingerprint(1);

    #[test]
    fn unusable_outputs_are_refused() {
        let cases: [(&[f32], EmbeddingError); 4] = [
            (&[], EmbeddingError::Dimension(0)),
            (&[0.0, 0.0], EmbeddingError::Zero),
            (&[1.0, f32::NAN], EmbeddingError::NotFinite),
            (&[1.0, f32::INFINITY], EmbeddingError::NotFinite),
        ];
        for (raw, expected) in cases {
            assert_eq!(Embedding::normalised(raw, MODEL), Err(expected), "{raw:?}");
        }
    }

    #[test]
    fn huge_outputs_do_not_overflow() {
        let e = Embedding::normalised(&[3e30, 4e30], MODEL).unwrap();
        assert!((e.values()[0] - 0.6).abs() < 1e-6 && (e.values()[1] - 0.8).abs() < 1e-6);
    }

    #[test]
    fn other_models_and_dimensions_do_not_compare() {
        let a = Embedding::normalised(&[1.0, 2.0], MODEL).unwrap();
        assert!((a.cosine(&a).unwrap() - 1.0).abs() < 1e-6);
        assert_eq!(
            a.cosine(&Embedding::normalised(&[1.0, 2.0], ModelFingerprint(2)).unwrap()),
            None
        );
        assert_eq!(
            a.cosine(&Embedding::normalised(&[1.0], MODEL).unwrap()),
            None
        );
    }

    #[test]
    fn nothing_of_the_vector_is_printed() {
        let e = Embedding::normalised(&[0.6, 0.8], MODEL).unwrap();
        assert_eq!(
            format!("{e:?}"),
            "Embedding(2 numbers, model 0000000000000001)"
        );
    }

    #[test]
    fn dot_agrees_with_the_plain_sum() {
        let a: Vec<f32> = (0..37).map(|i| (i as f32 * 0.7).sin()).collect();
        let b: Vec<f32> = (0..37).map(|i| (i as f32 * 0.3).cos()).collect();
        let plain: f32 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
        assert!((dot(&a, &b) - plain).abs() < 1e-4);
    }
}
