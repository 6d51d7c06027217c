//! How long people take from one camera to the next, learnt from those recognised for certain: a soft prior.
//!
//! For each pair of cameras a histogram of the time between leaving one view and entering the other, in steps that double.
//! Where much was seen, a time that people take often speaks for a person and one that nobody takes against; where little
//! was, neither. What no walk can explain is the topology's business ([`super::topology`]), and hard.

use std::collections::BTreeMap;

use crate::identity::CameraId;

/// Steps: up to 250 ms, 0.5, 1, … 512 s, and beyond.
const STEPS: usize = 13;
/// The end of the first step, ns.
const FIRST_NS: u64 = 250_000_000;
/// So many walks are believed to have been spread evenly before any was seen.
const PRIOR_WALKS: f32 = 10.0;
/// A walk counts to this part for the steps beside its own: people do not all walk alike.
const BESIDE: f32 = 0.25;
/// Older walks fade so that no more than this many count.
const MEMORY_WALKS: f32 = 200.0;
/// Most that a time says for or against a person, as natural logarithm of odds: looks come first.
const MOST: f32 = 1.5;
/// Most pairs of cameras; further ones are not learnt.
const MAX_PAIRS: usize = 10_000;

/// Times between cameras.
#[derive(Clone, Debug, Default)]
pub(in crate::identity) struct Transits {
    pairs: BTreeMap<(CameraId, CameraId), [f32; STEPS]>,
}

fn step(walk_ns: u64) -> usize {
    let quarters = walk_ns / FIRST_NS;
    (u64::BITS - quarters.leading_zeros()).min(STEPS as u32 - 1) as usize
}

impl Transits {
    /// Somebody was certainly seen by one camera and so much later by the other.
    pub fn add(&mut self, from: CameraId, to: CameraId, walk_ns: u64) {
        if self.pairs.len() >= MAX_PAIRS && !self.pairs.contains_key(&(from, to)) {
            return;
        }
        let walks = self.pairs.entry((from, to)).or_default();
        let total: f32 = walks.iter().sum();
        if total >= MEMORY_WALKS {
            walks.iter_mut().for_each(|w| *w *= 1.0 - 1.0 / total);
        }
        let at = step(walk_ns);
        let beside = [at.checked_sub(1), Some(at + 1).filter(|s| *s < STEPS)];
        let shares = beside.iter().flatten().count() as f32 * BESIDE;
        walks[at] += 1.0 - shares;
        beside.iter().flatten().for_each(|&s| walks[s] += BESIDE);
    }

    /// What such a walk says for the person (above 0) or against: natural logarithm of odds.
    pub fn log_odds(&self, from: CameraId, to: CameraId, walk_ns: u64) -> f32 {
        let Some(walks) = self.pairs.get(&(from, to)) else {
            return 0.0;
        };
        let total: f32 = walks.iter().sum();
        let even = 1.0 / STEPS as f32;
        let seen = (walks[step(walk_ns)] + PRIOR_WALKS * even) / (total + PRIOR_WALKS);
        (seen / even).ln().clamp(-MOST, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: CameraId = CameraId(1);
    const B: CameraId = CameraId(2);
    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn times_that_people_take_speak_for_them_and_others_against() {
        let mut transits = Transits::default();
        assert_eq!(transits.log_odds(A, B, 3 * SECOND), 0.0);
        transits.add(A, B, 3 * SECOND);
        let once = transits.log_odds(A, B, 3 * SECOND);
        (0..50).for_each(|i| transits.add(A, B, 3 * SECOND + i * SECOND / 50));
        let often = transits.log_odds(A, B, 3 * SECOND);
        assert!(0.0 < once && once < often && often <= MOST);
        assert!(transits.log_odds(A, B, 300 * SECOND) < -1.0);
        assert!(transits.log_odds(A, B, 6 * SECOND) > transits.log_odds(A, B, 30 * SECOND));
        assert_eq!(transits.log_odds(B, A, 3 * SECOND), 0.0);
    }

    #[test]
    fn any_time_has_its_step_and_memory_fades() {
        for walk in [0, 1, FIRST_NS, u64::MAX] {
            assert!(step(walk) < STEPS);
        }
        let mut transits = Transits::default();
        (0..5000).for_each(|_| transits.add(A, B, 2 * SECOND));
        (0..2000).for_each(|_| transits.add(A, B, 100 * SECOND));
        assert!(transits.log_odds(A, B, 100 * SECOND) > 1.0);
        assert!(transits.log_odds(A, B, 2 * SECOND) < -1.0);
    }
}
