//! A wrongly fed embedder does not fail: its vectors just stop telling people apart. This watches for it.

use crate::{embedding::Embedding, geometry::Rect};

/// Cosine above which vectors of different people do not tell them apart. Measured on OSNet fed with 0..255 in place of
/// normalised pixels: strangers reach 0.93 to 0.97; correctly fed they lie below 0.8.
const ALIKE_COSINE: f32 = 0.9;

/// Frames in which all different people must look alike before anything is said: a few may well be dressed alike.
const ALIKE_FRAMES: u32 = 50;

/// Boxes that overlap less than this (IoU) are certainly two people, not one found twice.
const APART_IOU: f32 = 0.1;

/// Most people of a frame that are compared.
const COMPARED: usize = 8;

/// Something to tell the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// So many vectors of the model were NaN, infinite or zero since the start.
    Refused(u64),
    /// Different people get nearly the same vector.
    Alike,
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(count) => write!(
                f,
                "{count} vectors so far were NaN, infinite or zero and were dropped: the model is broken, or its input is \
                 not what it was trained on (check color, scale, mean and std in a .toml beside the model)"
            ),
            Self::Alike => write!(
                f,
                "in {ALIKE_FRAMES} frames all people look alike to the model (cosines above {ALIKE_COSINE}): probably its input \
                 is not what it was trained on (check color, scale, mean and std in a .toml beside the model)"
            ),
        }
    }
}

/// Counts what is suspicious since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Health {
    refused: u64,
    alike: u32,
    /// Two people were told apart, or everything has been said.
    is_settled: bool,
}

impl Health {
    /// Counts refused vectors. A remark at the first, the tenth, the hundredth and so on.
    pub fn note_refused(&mut self, count: u64) -> Option<Remark> {
        let before = self.refused;
        self.refused += count;
        let is_round = self.refused.checked_ilog10() > before.checked_ilog10();
        is_round.then_some(Remark::Refused(self.refused))
    }

    /// Looks at the vectors of a frame's people. A remark once, when nobody was ever told apart.
    pub fn note_people(&mut self, people: &[(Rect, &Embedding)]) -> Option<Remark> {
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
        self.is_settled.then_some(Remark::Alike)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedding::ModelFingerprint;

    fn vector(x: f32, y: f32) -> Embedding {
        Embedding::normalised(&[x, y], ModelFingerprint(1)).unwrap()
    }

    fn remarks(health: &mut Health, vectors: &[Embedding], apart: f32, frames: u32) -> Vec<Remark> {
        let people: Vec<_> = vectors
            .iter()
            .enumerate()
            .map(|(i, v)| (Rect::new(i as f32 * apart, 0.0, 10.0, 20.0), v))
            .collect();
        (0..frames)
            .filter_map(|_| health.note_people(&people))
            .collect()
    }

    #[test]
    fn people_who_all_look_alike_are_reported_once() {
        let alike = [vector(1.0, 0.0), vector(1.0, 0.1), vector(1.0, 0.2)];
        let mut health = Health::default();
        assert_eq!(remarks(&mut health, &alike, 20.0, ALIKE_FRAMES - 1), []);
        assert_eq!(remarks(&mut health, &alike, 20.0, 200), [Remark::Alike]);
    }

    #[test]
    fn one_pair_told_apart_settles_it() {
        let mut health = Health::default();
        let alike = [vector(1.0, 0.0), vector(1.0, 0.1)];
        assert_eq!(remarks(&mut health, &alike, 20.0, 10), []);
        assert_eq!(
            remarks(&mut health, &[vector(1.0, 0.0), vector(0.0, 1.0)], 20.0, 1),
            []
        );
        assert_eq!(remarks(&mut health, &alike, 20.0, 200), []);
    }

    #[test]
    fn one_person_found_twice_and_lone_people_say_nothing() {
        let mut health = Health::default();
        let alike = [vector(1.0, 0.0), vector(1.0, 0.1)];
        assert_eq!(remarks(&mut health, &alike, 2.0, 200), []);
        assert_eq!(remarks(&mut health, &alike[..1], 20.0, 200), []);
        assert_eq!(remarks(&mut health, &[], 20.0, 200), []);
    }

    #[test]
    fn refused_vectors_are_counted_in_tens() {
        let mut health = Health::default();
        let said: Vec<u64> = (0..1000)
            .filter_map(|_| match health.note_refused(1)? {
                Remark::Refused(count) => Some(count),
                Remark::Alike => None,
            })
            .collect();
        assert_eq!(said, [1, 10, 100, 1000]);
        assert_eq!(health.note_refused(0), None);
    }
}
