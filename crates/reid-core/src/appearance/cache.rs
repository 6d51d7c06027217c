//! The embedding cache. Embedding costs more than detecting, and the appearance of a person changes little within a few frames.
//! A box that continues a box of an earlier frame keeps its vector until a new one is due.
//!
//! With [`Rule::Adaptive`] a vector is due for a new person, then at growing intervals ([`WAITS_NS`]); earlier when the crop is
//! clearly better or of another shape, while boxes overlap and once they have separated, and when the tracker requests it
//! ([`EmbeddingCache::ask`]). With [`Rule::Every`] it is due every N frames.

use crate::{embedding::Embedding, geometry::Rect};

/// Minimum overlap (IoU) with another box at which the two may be confused: SORT's association threshold (Bewley et al., 2016).
const CROWDED_IOU: f32 = 0.3;
/// Minimum overlap (IoU) with a box of an earlier frame to be the same person.
const CONTINUES_IOU: f32 = 0.4;
/// Maximum number of frames that the detector may miss a box before it is forgotten.
const MEMORY_FRAMES: u32 = 10;
/// A box missed in more frames no longer counts as near another.
const NEAR_FRAMES: u32 = 2;
/// Interval after the first, second, … vector of a person until the next, ns; the last one repeats.
const WAITS_NS: [u64; 9] = [
    120_000_000,
    200_000_000,
    200_000_000,
    300_000_000,
    300_000_000,
    300_000_000,
    500_000_000,
    500_000_000,
    1_000_000_000,
];
/// When the crop is better or of another shape, or another box has just gone away, a vector is due after this time, ns, …
const NEWS_NS: u64 = 160_000_000;
/// … and while boxes overlap after this time, ns.
const CROWDED_NS: u64 = 200_000_000;
/// A crop is clearly better when its quality is this many times the best so far.
const BETTER: f32 = 1.25;
/// A box whose width by height has changed by this factor shows another pose.
const RESHAPED: f32 = 1.3;
/// A new box with a lower score than this waits for a second frame, because detectors flicker.
const HIGH_SCORE: f32 = 0.5;
/// Most new vectors in a frame, so that a crowd that appears at once does not stop the stream; the others follow in the next frames.
const BUDGET: usize = 8;

/// When a new vector is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// When a new vector is likely to add information.
    Adaptive,
    /// Every N frames; 0 and 1: in every frame.
    Every(u32),
}

/// The decision about one box.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Keep this vector.
    Keep(Embedding),
    /// Make a new one.
    Embed,
    /// No vector for now.
    Wait,
}

/// A box of the current frame.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Where, px.
    pub rect: Rect,
    /// The detector's score, 0..=1.
    pub confidence: f32,
    /// How good the crop is ([`crate::quality::crop_quality`]), 0..=1.
    pub quality: f32,
}

impl Candidate {
    fn aspect(&self) -> f32 {
        self.rect.w / self.rect.h.max(f32::MIN_POSITIVE)
    }
}

#[derive(Clone, Debug)]
struct Remembered {
    rect: Rect,
    embedding: Option<Embedding>,
    /// When and in which frame it was made.
    made_ns: u64,
    made_frame: u64,
    /// Number of frames by which the next vector is due earlier: boxes embedded in one frame take turns.
    early: u32,
    /// Vectors so far.
    made: u32,
    /// Quality of the best crop so far, width by height of the newest.
    best: f32,
    aspect: f32,
    /// Another box was near since the newest vector was made.
    was_crowded: bool,
    is_asked: bool,
    /// Frames with inference since the box was last seen.
    missed: u32,
}

impl Remembered {
    fn new(seen: &Candidate) -> Self {
        Self {
            rect: seen.rect,
            embedding: None,
            made_ns: 0,
            made_frame: 0,
            early: 0,
            made: 0,
            best: 0.0,
            aspect: seen.aspect(),
            was_crowded: false,
            is_asked: false,
            missed: 0,
        }
    }
}

/// The boxes of the last frames of one stream, and their vectors.
#[derive(Clone, Debug, Default)]
pub struct EmbeddingCache {
    known: Vec<Remembered>,
    frame: u64,
}

/// How a box relates to those of earlier frames.
#[derive(Clone, Copy, Debug, Default)]
struct Relation {
    /// The remembered box that it continues.
    continues: Option<usize>,
    /// Another box, of this frame or an earlier one, is so near that the two may be confused.
    is_crowded: bool,
}

impl EmbeddingCache {
    /// Counts a frame, with or without inference.
    pub fn next_frame(&mut self) {
        self.frame += 1;
    }

    /// Clears the cache, for a discontinuity.
    pub fn clear(&mut self) {
        self.known.clear();
    }

    /// Requests a new vector of the person whose box was at `rect`, px, in one of the last frames.
    pub fn ask(&mut self, rect: &Rect) {
        let nearest = self
            .known
            .iter_mut()
            .map(|known| (known.rect.iou(rect), known))
            .filter(|(iou, _)| *iou >= CROWDED_IOU)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((_, known)) = nearest {
            known.is_asked = true;
        }
    }

    /// Decides about the boxes of this frame, whose time is `now_ns` on the stream's clock.
    pub fn decide(&self, boxes: &[Candidate], rule: Rule, now_ns: u64) -> Vec<Decision> {
        let relations = self.relations(boxes);
        let decide = |(seen, relation): (&Candidate, &Relation)| {
            let Some(known) = relation.continues.map(|at| &self.known[at]) else {
                return match rule {
                    Rule::Adaptive if seen.confidence < HIGH_SCORE => Decision::Wait,
                    _ => Decision::Embed,
                };
            };
            let is_due = match rule {
                Rule::Adaptive => is_worth_it(known, seen, relation.is_crowded, now_ns),
                Rule::Every(frames) => relation.is_crowded || self.is_turn(known, frames),
            };
            match &known.embedding {
                Some(embedding) if !is_due => Decision::Keep(embedding.clone()),
                _ => Decision::Embed,
            }
        };
        let mut decisions: Vec<Decision> = boxes.iter().zip(&relations).map(decide).collect();
        if rule == Rule::Adaptive {
            self.keep_to_budget(&mut decisions, boxes, &relations, now_ns);
        }
        decisions
    }

    /// Leaves at most [`BUDGET`] new vectors: those of people who have none first, by quality, then those whose vector is oldest. The others keep
    /// what they have and are due again in the next frame.
    fn keep_to_budget(
        &self,
        decisions: &mut [Decision],
        boxes: &[Candidate],
        relations: &[Relation],
        now_ns: u64,
    ) {
        let mut due: Vec<usize> = (0..decisions.len())
            .filter(|&i| decisions[i] == Decision::Embed)
            .collect();
        let known = |i: usize| {
            let known = relations[i].continues.map(|at| &self.known[at]);
            known.filter(|known| known.embedding.is_some())
        };
        let age = |i: usize| known(i).map_or(u64::MAX, |k| now_ns.saturating_sub(k.made_ns));
        due.sort_by(|&a, &b| {
            let by_quality = boxes[b].quality.total_cmp(&boxes[a].quality);
            age(b).cmp(&age(a)).then(by_quality)
        });
        for &i in due.iter().skip(BUDGET) {
            let kept = known(i).and_then(|known| known.embedding.clone());
            decisions[i] = kept.map_or(Decision::Wait, Decision::Keep);
        }
    }

    /// Whether a fixed number of frames has passed.
    fn is_turn(&self, known: &Remembered, frames: u32) -> bool {
        let due = known.made_frame + u64::from(frames.saturating_sub(known.early).max(1));
        self.frame >= due
    }

    /// Which remembered box each box continues, best overlaps first, each once.
    fn relations(&self, boxes: &[Candidate]) -> Vec<Relation> {
        let mut relations = vec![Relation::default(); boxes.len()];
        let mut pairs = Vec::new();
        for (i, seen) in boxes.iter().enumerate() {
            let overlaps = |rect: &Rect| seen.rect.iou(rect) >= CROWDED_IOU;
            let beside = (0..boxes.len()).any(|j| j != i && overlaps(&boxes[j].rect));
            let near = self.known.iter().enumerate();
            let near = near.filter(|(_, known)| overlaps(&known.rect));
            pairs.extend(
                near.clone()
                    .map(|(at, known)| (known.rect.iou(&seen.rect), i, at)),
            );
            let recent = near.filter(|(_, known)| known.missed <= NEAR_FRAMES);
            relations[i].is_crowded = beside || recent.count() > 1;
        }
        pairs.retain(|(iou, ..)| *iou >= CONTINUES_IOU);
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut taken = vec![false; self.known.len()];
        for (_, i, at) in pairs {
            if relations[i].continues.is_none() && !taken[at] {
                relations[i].continues = Some(at);
                taken[at] = true;
            }
        }
        relations
    }

    /// Remembers the boxes of this frame with the vectors kept and those made. By [`Rule::Every`] those made in one frame are due at
    /// different times, so that a crowd that appears at once is not due at once for ever.
    pub fn remember(
        &mut self,
        boxes: &[Candidate],
        decisions: &[Decision],
        vectors: &[Option<Embedding>],
        rule: Rule,
        now_ns: u64,
    ) {
        let relations = self.relations(boxes);
        let fresh = decisions.iter().filter(|d| **d == Decision::Embed).count() as u32;
        let mut made = 0;
        let mut known: Vec<Option<Remembered>> = self.known.drain(..).map(Some).collect();
        for (i, seen) in boxes.iter().enumerate() {
            let before = relations[i].continues.and_then(|at| known[at].take());
            let mut next = before.unwrap_or_else(|| Remembered::new(seen));
            (next.rect, next.missed) = (seen.rect, 0);
            next.was_crowded |= relations[i].is_crowded;
            let vector = vectors[i].as_ref();
            if let Some(vector) = vector.filter(|_| decisions[i] == Decision::Embed) {
                next.early = match rule {
                    Rule::Every(frames) if next.made == 0 => turn(made, fresh, frames),
                    _ => 0,
                };
                made += 1;
                next.take(vector, seen, relations[i].is_crowded, (now_ns, self.frame));
            }
            self.known.push(next);
        }
        for mut missed in known.into_iter().flatten() {
            missed.missed += 1;
            if missed.missed <= MEMORY_FRAMES {
                self.known.push(missed);
            }
        }
    }
}

impl Remembered {
    fn take(
        &mut self,
        vector: &Embedding,
        seen: &Candidate,
        is_crowded: bool,
        (now_ns, frame): (u64, u64),
    ) {
        self.embedding = Some(vector.clone());
        (self.made_ns, self.made_frame) = (now_ns, frame);
        self.made = self.made.saturating_add(1);
        self.best = self.best.max(seen.quality);
        self.aspect = seen.aspect();
        self.was_crowded = is_crowded;
        self.is_asked = false;
    }
}

/// How many frames sooner the `made`th of `fresh` people is due who got their first vector in one frame.
fn turn(made: u32, fresh: u32, frames: u32) -> u32 {
    let early = u64::from(made) * u64::from(frames) / u64::from(fresh.max(1));
    u32::try_from(early).unwrap_or(frames)
}

/// Whether a new vector of a person is likely to add information.
fn is_worth_it(known: &Remembered, seen: &Candidate, is_crowded: bool, now_ns: u64) -> bool {
    let since = now_ns.saturating_sub(known.made_ns);
    let wait = WAITS_NS[(known.made.max(1) as usize).min(WAITS_NS.len()) - 1];
    let change = seen.aspect() / known.aspect.max(f32::MIN_POSITIVE);
    let is_reshaped = !(1.0 / RESHAPED..=RESHAPED).contains(&change);
    let is_free_again = known.was_crowded && !is_crowded;
    let is_better = seen.quality >= BETTER * known.best;
    let has_news = is_reshaped || is_free_again || is_better;
    known.is_asked
        || since >= wait
        || has_news && since >= NEWS_NS
        || is_crowded && since >= CROWDED_NS
        || now_ns < known.made_ns
}

#[cfg(test)]
mod tests;
