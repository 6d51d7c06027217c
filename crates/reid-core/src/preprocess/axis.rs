//! The two samples of a plane, and their weights, for each column or row of the tensor.

/// One more than the largest weight: weights are fractions of 2^16.
const WEIGHT_ONE: f64 = 65536.0;

/// The taps of one axis: output `i` lies between samples `left[i]` and `left[i] + 1`.
///
/// Samples are areas of width one, so output `i` of `n` over `length` samples from `start` is centred on
/// `start + (i + ½)·length/n − ½`, clamped to the samples that the source touches: OpenCV's `INTER_LINEAR`
/// (opencv/modules/imgproc/src/resize.cpp, `resize`), without antialiasing, as detectors and embedders were trained.
#[derive(Clone, Debug, Default)]
pub(super) struct Axis {
    /// First sample that is read.
    pub(super) first: usize,
    /// Samples from `first` on that may be read.
    pub(super) count: usize,
    /// Left tap of each output, counted from `first`.
    pub(super) left: Vec<u32>,
    /// Share of the right tap, fraction of 2^16. Zero when there is no right tap.
    pub(super) weight: Vec<u16>,
    /// Source samples for one output.
    pub(super) factor: f64,
    /// Set when the left taps repeat.
    pub(super) pattern: Option<Pattern>,
    /// No output lies between two samples: the left taps alone are the result.
    pub(super) is_exact: bool,
}

/// Left taps that repeat: `outputs` (one, or two side by side) taps, then again `samples` further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// First left tap.
    pub(super) base: usize,
    /// Samples from one repetition to the next.
    pub(super) samples: usize,
    /// Outputs in each.
    pub(super) outputs: usize,
}

/// A stretch of a plane along one axis, in samples of that plane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    /// Left or top edge.
    pub(super) start: f64,
    /// Length.
    pub(super) length: f64,
    /// Samples that the plane has along the axis.
    pub(super) limit: usize,
}

impl Stretch {
    /// The same stretch on a plane of half the resolution (chroma; siting as a plain half-resolution picture).
    pub(super) fn halved(self) -> Self {
        Self {
            start: self.start / 2.0,
            length: self.length / 2.0,
            limit: self.limit.div_ceil(2),
        }
    }
}

impl Axis {
    /// Computes the taps of `outputs` columns or rows over `source`. Allocates only to grow.
    pub(super) fn set(&mut self, source: Stretch, outputs: usize) {
        let last_of_plane = source.limit.saturating_sub(1);
        let first = (source.start.floor().max(0.0) as usize).min(last_of_plane);
        let end = (source.start + source.length).ceil() as usize;
        let last = end.saturating_sub(1).clamp(first, last_of_plane);
        self.first = first;
        self.count = last - first + 1;
        self.factor = source.length / outputs as f64;
        self.left.clear();
        self.weight.clear();
        for i in 0..outputs {
            let centre = source.start + (i as f64 + 0.5) * self.factor - 0.5;
            let from_first = (centre - first as f64).clamp(0.0, (last - first) as f64);
            // Not negative: adding a half rounds, without a call into the mathematics library.
            let fixed = (from_first * WEIGHT_ONE + 0.5) as u64;
            self.left.push((fixed >> 16) as u32);
            self.weight.push((fixed & 0xffff) as u16);
        }
        self.is_exact = self.weight.iter().all(|&weight| weight == 0);
        self.pattern = [1, 2].into_iter().find_map(|n| pattern(&self.left, n));
    }
}

impl Pattern {
    /// Longer repetitions are rare and read too far beyond the row's end.
    pub(super) const MOST_SAMPLES: u32 = 3;
}

/// The pattern with `outputs` taps a repetition that these taps follow, if they do.
fn pattern(left: &[u32], outputs: usize) -> Option<Pattern> {
    let base = *left.first()?;
    let samples = left.get(outputs)?.checked_sub(base)?;
    let repeats = left
        .windows(outputs + 1)
        .all(|taps| taps[0] + samples == taps[outputs]);
    let side_by_side = outputs == 1 || left[1] == base + 1;
    let fits = (outputs as u32..=Pattern::MOST_SAMPLES).contains(&samples);
    (repeats && side_by_side && fits).then_some(Pattern {
        base: base as usize,
        samples: samples as usize,
        outputs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taps(start: f64, length: f64, limit: usize, outputs: usize) -> Vec<f64> {
        let mut axis = Axis::default();
        axis.set(
            Stretch {
                start,
                length,
                limit,
            },
            outputs,
        );
        let position = |(&l, &w)| (axis.first + l as usize) as f64 + f64::from(w) / WEIGHT_ONE;
        axis.left.iter().zip(&axis.weight).map(position).collect()
    }

    #[test]
    fn centres_follow_opencv() {
        assert_eq!(taps(0.0, 6.0, 6, 2), [1.0, 4.0]);
        assert_eq!(taps(0.0, 4.0, 4, 2), [0.5, 2.5]);
        assert_eq!(taps(0.0, 2.0, 2, 4), [0.0, 0.25, 0.75, 1.0]);
        assert_eq!(taps(0.0, 1.0, 1, 3), [0.0, 0.0, 0.0]);
        // A crop reads only the samples that it touches.
        assert_eq!(taps(3.0, 2.0, 10, 4), [3.0, 3.25, 3.75, 4.0]);
        assert_eq!(taps(3.5, 2.0, 10, 2), [3.5, 4.5]);
    }
}
