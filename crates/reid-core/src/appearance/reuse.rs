//! Making a vector costs more than finding the box; a person looks much the same a few frames later. Boxes that
//! continue one of the frames before keep its vector for a while.

use crate::{embedding::Embedding, geometry::Rect};

/// Least overlap (IoU) with a box of an earlier frame for being the same person, the usual threshold of a match.
const CONTINUES_IOU: f32 = 0.5;

/// Overlap (IoU) with another box of the same frame from which on it is not certain whose box continues whose: SORT's
/// threshold of association (Bewley et al., 2016).
const CROWDED_IOU: f32 = 0.3;

/// How many frames a box may be missed by the detector and still be continued.
const MEMORY_FRAMES: u32 = 2;

/// What is to be done about one box.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Keep this vector.
    Keep(Embedding),
    /// Make a new one.
    Embed,
}

#[derive(Clone, Debug)]
struct Remembered {
    rect: Rect,
    embedding: Embedding,
    /// Frame in which a new vector is due.
    due: u64,
    /// Frames looked at since the box was last seen.
    missed: u32,
}

/// The boxes of the last frames and their vectors. One stream's.
#[derive(Clone, Debug, Default)]
pub struct Reuse {
    known: Vec<Remembered>,
    frame: u64,
}

impl Reuse {
    /// Counts a frame, whether or not anybody looks at it.
    pub fn next_frame(&mut self) {
        self.frame += 1;
    }

    /// Forgets everything: the next frame shows something else.
    pub fn clear(&mut self) {
        self.known.clear();
    }

    /// Decides about the boxes of this frame. A box whose vector is due, that is new, or that overlaps another one so
    /// much that they may be exchanged needs a new vector.
    pub fn decide(&self, rects: &[Rect]) -> Vec<Decision> {
        let decide = |(index, rect): (usize, &Rect)| {
            let is_crowded = rects
                .iter()
                .enumerate()
                .any(|(other, r)| other != index && r.iou(rect) >= CROWDED_IOU);
            let known = self.continued(rect).filter(|_| !is_crowded);
            match known.filter(|known| known.due > self.frame) {
                Some(known) => Decision::Keep(known.embedding.clone()),
                None => Decision::Embed,
            }
        };
        rects.iter().enumerate().map(decide).collect()
    }

    /// The remembered box that overlaps most, if it is alone in overlapping enough to be the same.
    fn continued(&self, rect: &Rect) -> Option<&Remembered> {
        let mut near = self
            .known
            .iter()
            .map(|known| (known, known.rect.iou(rect)))
            .filter(|(_, iou)| *iou >= CROWDED_IOU);
        let (known, iou) = near.next()?;
        (near.next().is_none() && iou >= CONTINUES_IOU).then_some(known)
    }

    /// Remembers the boxes of this frame: the vectors kept, and the new ones, which stay for `interval` frames. Those
    /// made in one frame are due at different times, so that a crowd that appears at once is not due at once for ever.
    pub fn remember(
        &mut self,
        rects: &[Rect],
        decisions: &[Decision],
        vectors: &[Option<Embedding>],
        interval: u32,
    ) {
        let fresh = decisions.iter().filter(|d| **d == Decision::Embed).count() as u64;
        let interval = u64::from(interval.max(1));
        let mut made = 0;
        let mut seen = Vec::with_capacity(rects.len());
        for ((rect, decision), vector) in rects.iter().zip(decisions).zip(vectors) {
            let before = self.continued(rect).map(|known| known.due);
            let due = match (decision, before) {
                (Decision::Keep(_), Some(due)) => due,
                _ => {
                    made += 1;
                    let is_first = before.is_none();
                    // The first time, the crowd's turns are spread over the interval; afterwards they stay apart.
                    let early = if is_first {
                        (made - 1) * interval / fresh.max(1)
                    } else {
                        0
                    };
                    self.frame + (interval - early).max(1)
                }
            };
            if let Some(embedding) = vector.clone() {
                seen.push(Remembered {
                    rect: *rect,
                    embedding,
                    due,
                    missed: 0,
                });
            }
        }
        self.known.retain_mut(|known| {
            known.missed += 1;
            known.missed <= MEMORY_FRAMES
                && seen.iter().all(|s| s.rect.iou(&known.rect) < CROWDED_IOU)
        });
        self.known.append(&mut seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedding::ModelFingerprint;

    fn vector(number: f32) -> Embedding {
        Embedding::normalised(&[1.0, number], ModelFingerprint(1)).unwrap()
    }

    /// One frame: decides, makes vectors where needed, remembers. Returns which boxes got a new one.
    fn frame(reuse: &mut Reuse, rects: &[Rect], interval: u32) -> Vec<bool> {
        reuse.next_frame();
        let decisions = reuse.decide(rects);
        let number = reuse.frame as f32;
        let vectors: Vec<_> = decisions
            .iter()
            .map(|decision| match decision {
                Decision::Keep(embedding) => Some(embedding.clone()),
                Decision::Embed => Some(vector(number)),
            })
            .collect();
        reuse.remember(rects, &decisions, &vectors, interval);
        decisions.iter().map(|d| *d == Decision::Embed).collect()
    }

    fn person(x: f32) -> Rect {
        Rect::new(x, 0.0, 40.0, 100.0)
    }

    #[test]
    fn a_walking_person_is_embedded_every_so_many_frames() {
        let mut reuse = Reuse::default();
        let made: Vec<bool> = (0..10)
            .map(|i| frame(&mut reuse, &[person(i as f32 * 3.0)], 4)[0])
            .collect();
        let expected = [0, 4, 8].map(|i| i as usize);
        for (i, made) in made.into_iter().enumerate() {
            assert_eq!(made, expected.contains(&i), "frame {i}");
        }
    }

    #[test]
    fn an_interval_of_one_is_every_frame() {
        let mut reuse = Reuse::default();
        assert!((0..5).all(|_| frame(&mut reuse, &[person(0.0)], 1)[0]));
    }

    #[test]
    fn a_crowd_is_embedded_in_turns() {
        let mut reuse = Reuse::default();
        let crowd: Vec<Rect> = (0..8).map(|i| person(i as f32 * 100.0)).collect();
        assert!(frame(&mut reuse, &crowd, 4).iter().all(|made| *made));
        let counts: Vec<usize> = (0..8)
            .map(|_| {
                frame(&mut reuse, &crowd, 4)
                    .iter()
                    .filter(|made| **made)
                    .count()
            })
            .collect();
        assert_eq!(counts, [2; 8]);
    }

    #[test]
    fn jumps_newcomers_and_overlaps_are_embedded() {
        let mut reuse = Reuse::default();
        assert_eq!(frame(&mut reuse, &[person(0.0)], 100), [true]);
        assert_eq!(
            frame(&mut reuse, &[person(2.0), person(200.0)], 100),
            [false, true]
        );
        // Another person stands so near that the boxes may be exchanged.
        assert_eq!(
            frame(&mut reuse, &[person(180.0), person(200.0)], 100),
            [true, true]
        );
        assert_eq!(frame(&mut reuse, &[person(500.0)], 100), [true]);
    }

    #[test]
    fn a_box_missed_for_a_moment_is_continued_but_not_for_long() {
        let mut reuse = Reuse::default();
        frame(&mut reuse, &[person(0.0)], 100);
        frame(&mut reuse, &[], 100);
        assert_eq!(frame(&mut reuse, &[person(0.0)], 100), [false]);
        for _ in 0..3 {
            frame(&mut reuse, &[], 100);
        }
        assert_eq!(frame(&mut reuse, &[person(0.0)], 100), [true]);
        reuse.clear();
        assert_eq!(frame(&mut reuse, &[person(0.0)], 100), [true]);
    }

    #[test]
    fn a_refused_vector_is_tried_again() {
        let mut reuse = Reuse::default();
        reuse.next_frame();
        let decisions = reuse.decide(&[person(0.0)]);
        reuse.remember(&[person(0.0)], &decisions, &[None], 100);
        assert_eq!(frame(&mut reuse, &[person(0.0)], 100), [true]);
    }
}
