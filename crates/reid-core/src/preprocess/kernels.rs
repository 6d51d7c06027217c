//! The inner loops. Each is a plain loop over slices that the compiler turns into vector instructions; `multiversion`
//! compiles it once for any processor and once for those with AVX2, and picks when it is first called.
//! (On AArch64 the baseline already has vector registers.)

use multiversion::multiversion;

use super::axis::{Axis, Pattern};

/// `left` and `right` in the proportion 2^16 − `weight` : `weight`. One multiply-high instruction a tap.
#[inline(always)]
fn mix(left: u16, right: u16, weight: u16) -> u16 {
    let part = |value: u16, weight: u16| ((u32::from(value) * u32::from(weight)) >> 16) as u16;
    part(left, !weight) + part(right, weight)
}

/// Buffers for the taps of one row's outputs.
#[derive(Clone, Debug, Default)]
pub(super) struct Taps {
    pairs: Vec<[u16; 2]>,
    left: Vec<u16>,
    right: Vec<u16>,
}

impl Taps {
    pub(super) fn resize(&mut self, outputs: usize) {
        self.pairs.resize(outputs, [0; 2]);
        self.left.resize(outputs, 0);
        self.right.resize(outputs, 0);
    }
}

/// Bytes as 8.8 samples.
#[multiversion(targets("x86_64+avx2+fma"))]
pub(super) fn widen(bytes: &[u8], out: &mut [u16]) {
    for (out, &byte) in out.iter_mut().zip(bytes) {
        *out = u16::from(byte) << 8;
    }
}

/// Two rows of bytes as one row of 8.8 samples, `weight` being the share of the lower one.
#[multiversion(targets("x86_64+avx2+fma"))]
pub(super) fn mix_bytes(upper: &[u8], lower: &[u8], weight: u16, out: &mut [u16]) {
    // `byte * share / 256` in two halves of the share, so that everything stays within sixteen bits.
    let halves = |share: u16| (share >> 8, share & 0xff);
    let ((upper_high, upper_low), (lower_high, lower_low)) = (halves(!weight), halves(weight));
    for ((out, &upper), &lower) in out.iter_mut().zip(upper).zip(lower) {
        let (upper, lower) = (u16::from(upper), u16::from(lower));
        *out = upper * upper_high
            + lower * lower_high
            + ((upper * upper_low + lower * lower_low) >> 8);
    }
}

/// Little-endian samples of two bytes, moved up by `lift` bits, as 8.8 samples.
#[multiversion(targets("x86_64+avx2+fma"))]
pub(super) fn lift_words(words: &[[u8; 2]], lift: u32, out: &mut [u16]) {
    for (out, &word) in out.iter_mut().zip(words) {
        *out = u16::from_le_bytes(word) << lift;
    }
}

/// Two rows of little-endian samples as one row of 8.8 samples, `weight` being the share of the lower one.
#[multiversion(targets("x86_64+avx2+fma"))]
pub(super) fn mix_words(
    upper: &[[u8; 2]],
    lower: &[[u8; 2]],
    lift: u32,
    weight: u16,
    out: &mut [u16],
) {
    let lifted = |word| u16::from_le_bytes(word) << lift;
    for ((out, &upper), &lower) in out.iter_mut().zip(upper).zip(lower) {
        *out = mix(lifted(upper), lifted(lower), weight);
    }
}

/// Two rows of 8.8 samples as one, `weight` being the share of the lower one.
#[multiversion(targets("x86_64+avx2+fma"))]
pub(super) fn mix_rows(upper: &[u16], lower: &[u16], weight: u16, out: &mut [u16]) {
    for ((out, &upper), &lower) in out.iter_mut().zip(upper).zip(lower) {
        *out = mix(upper, lower, weight);
    }
}

/// Resizes a row of samples along x. `samples` are one component's, `step` apart; `taps` are buffers of the output's length.
pub(super) fn resize(samples: &[u16], step: usize, axis: &Axis, taps: &mut Taps, out: &mut [u16]) {
    let Taps { pairs, left, right } = taps;
    let Some(pattern) = axis.pattern else {
        // A step known at compile time turns the index into an addressing mode.
        match step {
            1 => gather::<1>(samples, &axis.left, pairs),
            2 => gather::<2>(samples, &axis.left, pairs),
            3 => gather::<3>(samples, &axis.left, pairs),
            _ => gather::<4>(samples, &axis.left, pairs),
        }
        return mix_pairs(pairs, &axis.weight, out);
    };
    let samples = &samples[pattern.base * step..];
    if axis.is_exact {
        return pick_pattern(samples, pattern, step, out);
    }
    pick_pattern(samples, pattern, step, left);
    pick_pattern(&samples[step..], pattern, step, right);
    mix_taps(left, right, &axis.weight, out);
}

/// Every tap of a regular pattern. The usual ones are known at compile time: their loads become shuffles.
fn pick_pattern(samples: &[u16], pattern: Pattern, step: usize, out: &mut [u16]) {
    match (step, pattern.samples, pattern.outputs) {
        (1, 1, 1) => pick::<1>(samples, out),
        (1, 2, 1) => pick::<2>(samples, out),
        (1, 3, 1) => pick::<3>(samples, out),
        (1, 3, 2) => pick_two::<3, 1>(samples, out),
        (2, 1, 1) => pick::<2>(samples, out),
        (2, 2, 1) => pick::<4>(samples, out),
        (2, 3, 1) => pick::<6>(samples, out),
        (2, 3, 2) => pick_two::<6, 2>(samples, out),
        (3, 2, 1) => pick::<6>(samples, out),
        (3, 3, 1) => pick::<9>(samples, out),
        (4, 2, 1) => pick::<8>(samples, out),
        (4, 3, 1) => pick::<12>(samples, out),
        (4, 3, 2) => pick_two::<12, 4>(samples, out),
        _ => pick_any(samples, pattern, step, out),
    }
}

#[multiversion(targets("x86_64+avx2+fma"))]
fn mix_taps(left: &[u16], right: &[u16], weights: &[u16], out: &mut [u16]) {
    for (((out, &left), &right), &weight) in out.iter_mut().zip(left).zip(right).zip(weights) {
        *out = mix(left, right, weight);
    }
}

/// Samples that the usual crop's row fits into; a power of two.
pub(super) const WINDOW: usize = 4096;

/// Collects the two taps of every output. Kept apart from the arithmetic, which can then use vector registers.
fn gather<const STEP: usize>(samples: &[u16], index: &[u32], pairs: &mut [[u16; 2]]) {
    // Left taps ascend: the last one tells whether all lie in a window of known size. Then masking, which changes
    // nothing, spares every bounds check.
    const MASK: usize = WINDOW / 2 - 1;
    let last = index.last().map_or(0, |&index| index as usize * STEP);
    match samples.first_chunk::<WINDOW>() {
        Some(window) if last <= MASK => {
            for (&index, pair) in index.iter().zip(pairs) {
                let at = (index as usize * STEP) & MASK;
                *pair = [window[at], window[at + STEP]];
            }
        }
        _ => {
            for (&index, pair) in index.iter().zip(pairs) {
                let samples = &samples[index as usize * STEP..][..=STEP];
                *pair = [samples[0], samples[STEP]];
            }
        }
    }
}

#[multiversion(targets("x86_64+avx2+fma"))]
fn mix_pairs(pairs: &[[u16; 2]], weights: &[u16], out: &mut [u16]) {
    for ((out, pair), &weight) in out.iter_mut().zip(pairs).zip(weights) {
        *out = mix(pair[0], pair[1], weight);
    }
}

/// The first sample of every `STRIDE`.
#[multiversion(targets("x86_64+avx2+fma"))]
fn pick<const STRIDE: usize>(samples: &[u16], out: &mut [u16]) {
    for (out, samples) in out.iter_mut().zip(samples.as_chunks::<STRIDE>().0) {
        *out = samples[0];
    }
}

/// The first sample of every `STRIDE` and the one `SECOND` further.
#[multiversion(targets("x86_64+avx2+fma"))]
fn pick_two<const STRIDE: usize, const SECOND: usize>(samples: &[u16], out: &mut [u16]) {
    let strides = samples.as_chunks::<STRIDE>().0;
    let (pairs, odd) = out.as_chunks_mut::<2>();
    if let ([odd], Some(samples)) = (odd, strides.get(pairs.len())) {
        *odd = samples[0];
    }
    for (out, samples) in pairs.iter_mut().zip(strides) {
        *out = [samples[0], samples[SECOND]];
    }
}

/// Regular taps of a row of bytes that need no mixing at all, as 8.8 samples. False when the pattern is none of the
/// usual ones. 1920 columns into 640 are the case that matters.
pub(super) fn pick_exact(bytes: &[u8], axis: &Axis, out: &mut [u16]) -> bool {
    let Some(pattern) = axis.pattern.filter(|_| axis.is_exact) else {
        return false;
    };
    let bytes = &bytes[axis.first + pattern.base..];
    match (pattern.samples, pattern.outputs) {
        (1, 1) => widen(bytes, out),
        (2, 1) => pick_bytes::<2>(bytes, out),
        (3, 1) => pick_bytes::<3>(bytes, out),
        _ => return false,
    }
    true
}

#[multiversion(targets("x86_64+avx2+fma"))]
fn pick_bytes<const STRIDE: usize>(bytes: &[u8], out: &mut [u16]) {
    let strides = bytes.as_chunks::<STRIDE>().0;
    // The last stride may be cut off by the end of the row.
    for (index, out) in out.iter_mut().enumerate().skip(strides.len()) {
        *out = u16::from(bytes[index * STRIDE]) << 8;
    }
    for (out, bytes) in out.iter_mut().zip(strides) {
        *out = u16::from(bytes[0]) << 8;
    }
}

/// [`pick`] for any pattern.
fn pick_any(samples: &[u16], pattern: Pattern, step: usize, out: &mut [u16]) {
    let strides = samples.chunks_exact(pattern.samples * step);
    for (out, samples) in out.chunks_mut(pattern.outputs).zip(strides) {
        for (out, sample) in out.iter_mut().zip(samples.iter().step_by(step)) {
            *out = *sample;
        }
    }
}

/// `level * scale + offset`.
#[multiversion(targets("x86_64+avx2+fma"))]
pub(super) fn scale(levels: &[f32], scale: f32, offset: f32, out: &mut [f32]) {
    for (out, &level) in out.iter_mut().zip(levels) {
        *out = level * scale + offset;
    }
}
