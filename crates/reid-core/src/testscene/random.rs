//! Pseudo-random numbers from a seed and a purpose.

/// A well mixed 64-bit number from a seed and the labels of what it is for (SplitMix64: Steele, Lea, Flood 2014).
pub(super) fn hash(seed: u64, labels: &[u64]) -> u64 {
    labels
        .iter()
        .fold(mix(seed), |state, &label| mix(state ^ mix(label)))
}

/// Evenly spread in 0..1.
pub(super) fn unit(seed: u64, labels: &[u64]) -> f32 {
    // 24 bits fill an f32's mantissa exactly.
    (hash(seed, labels) >> 40) as f32 / (1_u64 << 24) as f32
}

/// Evenly spread in `low..high`.
pub(super) fn between(seed: u64, labels: &[u64], low: f32, high: f32) -> f32 {
    low + (high - low) * unit(seed, labels)
}

fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The numbers `0..n` in an order of the seed's choosing.
pub(super) fn shuffled(seed: u64, label: u64, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&i| hash(seed, &[label, i as u64]));
    order
}
