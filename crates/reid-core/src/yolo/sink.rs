//! Filters boxes by score, and scans rows of class scores.

use super::detection::{ClassFilter, DecodeParams, Decoded, Detection};
use crate::geometry::Rect;

/// Scores are probabilities; a quantised model may overshoot by a step of its scale (1/255, doubled).
const HIGHEST_SCORE: f32 = 1.01;

/// Takes the boxes that pass and counts what does not.
pub(super) struct Sink<'a> {
    pub params: &'a DecodeParams<'a>,
    pub found: &'a mut Vec<Detection>,
    pub seen: Decoded,
}

impl Sink<'_> {
    /// Notes a score of a wanted class; true when it passes.
    #[inline]
    pub fn passes(&mut self, score: f32) -> bool {
        if !score.is_finite() {
            self.seen.not_finite += 1;
            return false;
        }
        if score > HIGHEST_SCORE {
            self.seen.implausible += 1;
            return false;
        }
        if self.seen.best_score.is_none_or(|best| score > best) {
            self.seen.best_score = Some(score);
        }
        score >= self.params.threshold
    }

    /// Takes a box, if it is one.
    pub fn push(&mut self, rect: Rect, score: f32, class_id: u32) {
        if rect.is_valid() {
            self.found.push(Detection {
                rect,
                score: score.min(1.0),
                class_id,
            });
        } else if [rect.x, rect.y, rect.w, rect.h]
            .iter()
            .all(|v| v.is_finite())
        {
            self.seen.misplaced += 1;
        } else {
            self.seen.not_finite += 1;
        }
    }

    /// A box of known class, as suppressed outputs give them.
    pub fn labelled(&mut self, class_id: Option<u32>, score: f32, rect: Rect) {
        if let Some(id) = class_id
            && self.params.classes.wants(id)
            && self.passes(score)
        {
            self.push(rect, score, id);
        }
    }

    /// A box with a score for each of `classes` classes: it belongs to the best of them, the first of equals.
    #[inline]
    pub fn scored(
        &mut self,
        classes: usize,
        score: impl Fn(usize) -> f32,
        rect: impl FnOnce() -> Rect,
    ) {
        let params = self.params;
        let winner = match &params.classes {
            ClassFilter::All => {
                let best = (1..classes).fold(0, |best, c| {
                    if score(c) > score(best) || score(best).is_nan() {
                        c
                    } else {
                        best
                    }
                });
                self.passes(score(best)).then_some(best)
            }
            ClassFilter::Only(ids) => ids
                .iter()
                .map(|&id| id as usize)
                .filter(|&id| id < classes)
                .find(|&id| self.passes(score(id)) && is_best(id, classes, &score)),
        };
        if let Some(class) = winner {
            self.push(rect(), score(class), class as u32);
        }
    }
}

/// True when no class beats `class`, nor an earlier one equals it.
#[inline]
pub(super) fn is_best(class: usize, classes: usize, score: impl Fn(usize) -> f32) -> bool {
    let own = score(class);
    !(0..class).any(|c| score(c) >= own) && !(class + 1..classes).any(|c| score(c) > own)
}

/// True when a row of that objectness can neither pass nor be the best seen: class scores do not exceed 1.
#[inline]
pub(super) fn is_hopeless(objectness: f32, sink: &Sink) -> bool {
    objectness < sink.params.threshold
        && sink.seen.best_score.is_some_and(|best| objectness <= best)
}

/// Notes all scores of a row and calls `hit` for those that pass. Blocks in which none can pass are told by one
/// vectorised maximum.
pub(super) fn scan_scores(
    row: &[f32],
    sink: &mut Sink,
    mut hit: impl FnMut(&mut Sink, usize, f32),
) {
    const BLOCK: usize = 64;
    for (block_index, block) in row.chunks(BLOCK).enumerate() {
        let (highest, all_finite) = survey(block);
        let best = sink.seen.best_score;
        if all_finite && highest < sink.params.threshold && best.is_some_and(|b| highest <= b) {
            continue;
        }
        for (i, &score) in block.iter().enumerate() {
            if sink.passes(score) {
                hit(sink, block_index * BLOCK + i, score);
            }
        }
    }
}

/// The highest number of a block, and whether all are finite.
#[inline]
fn survey(block: &[f32]) -> (f32, bool) {
    const LANES: usize = 8;
    let (mut highest, mut poison) = ([f32::NEG_INFINITY; LANES], [0.0_f32; LANES]);
    let chunks = block.chunks_exact(LANES);
    for (lane, &v) in chunks.remainder().iter().enumerate() {
        highest[lane] = if v > highest[lane] { v } else { highest[lane] };
        poison[lane] += v * 0.0;
    }
    for chunk in chunks {
        for lane in 0..LANES {
            let v = chunk[lane];
            highest[lane] = if v > highest[lane] { v } else { highest[lane] };
            // NaN and infinity times zero are NaN; everything else adds zero.
            poison[lane] += v * 0.0;
        }
    }
    (
        highest.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        poison.iter().all(|p| !p.is_nan()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survey_sees_every_number() {
        for length in [1, 7, 8, 9, 64, 63] {
            for at in 0..length {
                let mut block = vec![-1.0; length];
                block[at] = 0.5;
                assert_eq!(survey(&block), (0.5, true));
                block[at] = f32::NAN;
                assert!(!survey(&block).1, "{length} {at}");
            }
        }
    }
}
