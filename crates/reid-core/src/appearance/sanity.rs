//! Sanity check of an embedder. With wrong preprocessing it does not fail, but its vectors no longer separate people.

use crate::{embedding::Embedding, geometry::Rect};

/// Cosine above which vectors do not separate different people. Measured with OSNet on pixels of 0..255 instead of
/// normalised ones: impostor pairs score 0.93 to 0.97; with correct preprocessing they stay below 0.8.
const ALIKE_COSINE: f32 = 0.9;

/// Frames in which all people must have similar vectors before the warning: a few people may be dressed alike.
const ALIKE_FRAMES: u32 = 50;

/// Boxes that overlap less than this (IoU) are two people, not duplicates.
const APART_IOU: f32 = 0.1;

/// Maximum number of people compared per frame.
const COMPARED: usize = 8;

/// A warning for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Number of vectors since the start that were NaN, infinite or zero.
    Refused(u64),
    /// Different people get nearly the same vector.
    Alike,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(count) => write!(
                f,
                "{count} vectors so far were NaN, infinite or zero and were dropped: the model is broken, or its input is \
                 not what it was trained on (check color, scale, mean and std in a .toml beside the model)"
            ),
            Self::Alike => write!(
                f,
                "in {ALIKE_FRAMES} frames all people have nearly the same vector (cosine above {ALIKE_COSINE}): the input is probably \
                 not what the model was trained on (check color, scale, mean and std in a .toml beside the model)"
            ),
        }
    }
}

/// Counts suspicious results since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct SanityCheck {
    refused: u64,
    alike: u32,
    /// Two people had different vectors, or the warning was given.
    is_settled: bool,
}

impl SanityCheck {
    /// Counts refused vectors. A warning at the first, the tenth, the hundredth and so on.
    pub fn note_refused(&mut self, count: u64) -> Option<Warning> {
        let before = self.refused;
        self.refused += count;
        let is_round = self.refused.checked_ilog10() > before.checked_ilog10();
        is_round.then_some(Warning::Refused(self.refused))
    }

    /// Checks the vectors of a frame's people. Returns a warning once, when no two people ever had different vectors.
    pub fn note_people(&mut self, people: &[(Rect, &Embedding)]) -> Option<Warning> {
        if self.is_settled {
            return None;
        }
        let people = &people[..people.len().min(COMPARED)];
        let mut cosines = people
            .iter()
            .enumerate()
            .flat_map(|(index, (rect, vector))| {
                people[index + 1..]
                    .iter()
                    .filter(|(other, _)| other.iou(rect) < APART_IOU)
                    .filter_map(|(_, other)| vector.cosine(other))
            });
        let least = cosines.by_ref().reduce(f32::min)?;
        if least <= ALIKE_COSINE {
            self.is_settled = true;
            return None;
        }
        self.alike += 1;
        self.is_settled = self.alike >= ALIKE_FRAMES;
        self.is_settled.then_some(Warning::Alike)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedding::ModelFingerprint;

    fn vector(x: f32, y: f32) -> Embedding {
        Embedding::normalised(&[x, y], ModelFingerprint(1)).unwrap()
    }

    fn warnings(
        sanity: &mut SanityCheck,
        vectors: &[Embedding],
        apart: f32,
        frames: u32,
    ) -> Vec<Warning> {
        let people: Vec<_> = vectors
            .iter()
            .enumerate()
            .map(|(i, v)| (Rect::new(i as f32 * apart, 0.0, 10.0, 20.0), v))
            .collect();
        (0..frames)
            .filter_map(|_| sanity.note_people(&people))
            .collect()
    }

    #[test]
    fn people_who_all_look_alike_are_reported_once() {
        let alike = [vector(1.0, 0.0), vector(1.0, 0.1), vector(1.0, 0.2)];
        let mut sanity = SanityCheck::default();
        assert_eq!(warnings(&mut sanity, &alike, 20.0, ALIKE_FRAMES - 1), []);
        assert_eq!(warnings(&mut sanity, &alike, 20.0, 200), [Warning::Alike]);
    }

    #[test]
    fn one_pair_told_apart_settles_it() {
        let mut sanity = SanityCheck::default();
        let alike = [vector(1.0, 0.0), vector(1.0, 0.1)];
        assert_eq!(warnings(&mut sanity, &alike, 20.0, 10), []);
        assert_eq!(
            warnings(&mut sanity, &[vector(1.0, 0.0), vector(0.0, 1.0)], 20.0, 1),
            []
        );
        assert_eq!(warnings(&mut sanity, &alike, 20.0, 200), []);
    }

    #[test]
    fn one_person_found_twice_and_lone_people_say_nothing() {
        let mut sanity = SanityCheck::default();
        let alike = [vector(1.0, 0.0), vector(1.0, 0.1)];
        assert_eq!(warnings(&mut sanity, &alike, 2.0, 200), []);
        assert_eq!(warnings(&mut sanity, &alike[..1], 20.0, 200), []);
        assert_eq!(warnings(&mut sanity, &[], 20.0, 200), []);
    }

    #[test]
    fn refused_vectors_are_counted_in_tens() {
        let mut sanity = SanityCheck::default();
        let said: Vec<u64> = (0..1000)
            .filter_map(|_| match sanity.note_refused(1)? {
                Warning::Refused(count) => Some(count),
                Warning::Alike => None,
            })
            .collect();
        assert_eq!(said, [1, 10, 100, 1000]);
        assert_eq!(sanity.note_refused(0), None);
    }
}
