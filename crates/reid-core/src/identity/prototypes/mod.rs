//! What the known people look like: a few vectors each, in one block of memory for fast look-up.
//!
//! A person has up to [`ROWS`] prototypes, each the mean of a visit ([`super::visit`]); when there are more, the two most alike
//! of one camera become one. Memory is fixed: `ROWS × dimension` bytes a person ([`quantised`]) and `dimension` for the
//! shortlist ([`shortlist`]): 4.6 KiB at 512 numbers.

pub(in crate::identity) mod quantised;
pub(in crate::identity) mod shortlist;

use crate::identity::{
    CameraId,
    camera_bias::CameraBias,
    quantised::Block,
    shortlist::{EVERYBODY, Sketch},
    variation::Variation,
    visit::TrackKey,
};
use crate::{
    embedding::{Embedding, ModelFingerprint, dot},
    person::IdentityId,
    scores::{ScorePrior, ScoreScale},
};

/// Most vectors a person has.
pub const ROWS: usize = 8;
/// A prototype counts no more than this, whatever went into it.
const MAX_WEIGHT: f32 = 20.0;

/// About one row.
#[derive(Clone, Copy, Debug)]
pub(in crate::identity) struct Row {
    pub weight: f32,
    pub camera: CameraId,
    /// The identity under which it was recorded, for undoing merges.
    pub origin: IdentityId,
    /// The track whose visit it is, while that lasts: it goes where the track goes.
    pub track: Option<TrackKey>,
    /// The track whose visit it is or was; `None` of stored rows and of several visits in one.
    pub visit: Option<TrackKey>,
}

/// Where in the block a row of a slot lies.
fn place(slot: usize, row: usize) -> usize {
    slot * ROWS + row
}

/// The rows of one person, somewhere in the block.
#[derive(Clone, Debug)]
struct Slot {
    owner: Option<IdentityId>,
    rows: Vec<Row>,
}

impl Slot {
    /// The row with the least behind it, when that is less than `weight`.
    fn weaker_than(&self, weight: f32) -> Option<usize> {
        let weights = self.rows.iter().map(|row| row.weight).enumerate();
        let weakest = weights.min_by(|a, b| a.1.total_cmp(&b.1))?;
        (weakest.1 < weight).then_some(weakest.0)
    }

    /// Finds a row's place, that of a weaker one when the slot is full; `None` when there is no weaker one.
    fn seat(&mut self, about: Row) -> Option<usize> {
        if self.rows.len() < ROWS {
            self.rows.push(about);
            return Some(self.rows.len() - 1);
        }
        let weakest = self.weaker_than(about.weight)?;
        self.rows[weakest] = about;
        Some(weakest)
    }
}

/// All rows of one model, and what its scores mean.
#[derive(Clone, Debug)]
pub(in crate::identity) struct Space {
    pub model: ModelFingerprint,
    pub dimension: usize,
    pub scale: ScoreScale,
    /// What changes in the vectors of one person.
    pub variation: Variation,
    /// What each camera adds to everybody's vectors.
    pub bias: CameraBias,
    /// `ROWS` places a slot.
    values: Block,
    slots: Vec<Slot>,
    /// The mean of each slot's rows.
    sketch: Sketch,
    free: Vec<usize>,
    by_owner: std::collections::HashMap<IdentityId, usize>,
}

/// How a visit looks by now.
#[derive(Clone, Copy)]
pub(in crate::identity) struct Sample<'a> {
    pub values: &'a [f32],
    /// How much it counts in the person.
    pub weight: f32,
    pub track: TrackKey,
}

impl Space {
    pub fn new(model: ModelFingerprint, dimension: usize, prior: ScorePrior) -> Self {
        Self {
            model,
            dimension,
            scale: ScoreScale::new(prior),
            variation: Variation::new(dimension),
            bias: CameraBias::new(dimension),
            values: Block::new(dimension),
            slots: Vec::new(),
            sketch: Sketch::new(dimension),
            free: Vec::new(),
            by_owner: std::collections::HashMap::new(),
        }
    }

    pub fn takes(&self, embedding: &Embedding) -> bool {
        self.model == embedding.model() && self.dimension == embedding.dimension()
    }

    /// How many people have rows here.
    pub fn people(&self) -> usize {
        self.by_owner.len()
    }

    /// How many rows a person has.
    pub fn rows_of(&self, id: IdentityId) -> usize {
        self.by_owner
            .get(&id)
            .map_or(0, |&s| self.slots[s].rows.len())
    }

    /// Of the people that `wanted` lets through those whose prototypes are most alike to a vector in the mean, `most` at most: all
    /// when there are no more, else of a shortlist those that are nearest. In no order.
    pub fn nearest(
        &self,
        query: &[f32],
        most: usize,
        wanted: impl Fn(IdentityId) -> bool,
    ) -> Vec<IdentityId> {
        let free = |slot: usize| {
            let owner = self.slots[slot].owner;
            owner.is_some_and(&wanted) && !self.slots[slot].rows.is_empty()
        };
        let slots: Vec<usize> = if self.by_owner.len() <= EVERYBODY {
            (0..self.slots.len()).filter(|&slot| free(slot)).collect()
        } else {
            self.sketch.nearest(query, free)
        };
        let mut ranked: Vec<(f32, usize)> = slots
            .into_iter()
            .map(|slot| (self.likeness(slot, query), slot))
            .collect();
        if ranked.len() > most {
            ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            ranked.truncate(most);
        }
        let owner = |(_, slot): (f32, usize)| self.slots[slot].owner;
        ranked.into_iter().filter_map(owner).collect()
    }

    /// How alike a vector and the person of a slot are: half the best prototype, half the mean.
    fn likeness(&self, slot: usize, query: &[f32]) -> f32 {
        let (mut best, mut sum, mut total) = (f32::NEG_INFINITY, 0.0, 0.0);
        for (r, about) in self.slots[slot].rows.iter().enumerate() {
            let cosine = self.values.dot(place(slot, r), query);
            best = best.max(cosine);
            sum += about.weight * cosine;
            total += about.weight;
        }
        0.5 * (best + sum / total.max(f32::MIN_POSITIVE))
    }

    /// The cosine of a vector and the most similar prototype of a person, -1..=1; `None` where they have none.
    pub fn best(&self, id: IdentityId, query: &[f32]) -> Option<f32> {
        let slot = *self.by_owner.get(&id)?;
        let rows = 0..self.slots[slot].rows.len();
        let cosines = rows.map(|row| self.values.dot(place(slot, row), query));
        let best = cosines.max_by(f32::total_cmp)?;
        Some(best.clamp(-1.0, 1.0))
    }

    /// Brings the first look at a slot up to date.
    fn summarise(&mut self, slot: usize) {
        let mut mean = vec![0.0; self.dimension];
        let mut total = 0.0;
        for (r, about) in self.slots[slot].rows.iter().enumerate() {
            total += about.weight;
            let values = self.values.get(place(slot, r));
            mean.iter_mut()
                .zip(values)
                .for_each(|(m, v)| *m += about.weight * v);
        }
        mean.iter_mut().for_each(|m| *m /= total);
        self.sketch.set(slot, (total > 0.0).then_some(&mean[..]));
    }

    /// How much a visit of a person says about everybody whom a camera sees: the less, the more of the person's are known there.
    pub fn novelty(&self, id: IdentityId, camera: CameraId) -> f32 {
        let slot = self.by_owner.get(&id);
        let known = slot.map_or(0, |&s| {
            let rows = self.slots[s].rows.iter();
            rows.filter(|r| r.camera == camera && r.track.is_none())
                .count()
        });
        1.0 / (1.0 + known as f32)
    }

    /// Whether anything is known of a person from visits that are over.
    pub fn has_past(&self, id: IdentityId) -> bool {
        let slot = self.by_owner.get(&id);
        slot.is_some_and(|&s| self.slots[s].rows.iter().any(|r| r.track.is_none()))
    }

    /// What the prototypes of two people score in the mean, and what part is left of what all have in common; without what cameras
    /// and moments add unless they are wanted `as_is`. `None` where one has none.
    pub fn score(&self, one: IdentityId, other: IdentityId, as_is: bool) -> Option<(f32, f32)> {
        let means = self.bias.means(std::iter::empty(), self.people());
        let sum = |id| {
            let mut sum = vec![0.0; self.dimension];
            let mut total = 0.0;
            for (row, mut values) in self.rows(id) {
                if !as_is {
                    means.remove(row.camera, &mut values);
                    self.variation.remove(&mut values);
                }
                let length = dot(&values, &values).sqrt().max(f32::MIN_POSITIVE);
                let sums = sum.iter_mut().zip(&values);
                sums.for_each(|(s, v)| *s += row.weight * v / length);
                total += row.weight;
            }
            (total > 0.0).then_some((sum, total))
        };
        let ((a, x), (b, y)) = (sum(one)?, sum(other)?);
        Some((dot(&a, &b) / (x * y), means.left))
    }

    /// The person's slot, made when there is none.
    fn slot(&mut self, id: IdentityId) -> usize {
        if let Some(&slot) = self.by_owner.get(&id) {
            return slot;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                owner: None,
                rows: Vec::with_capacity(ROWS),
            });
            self.values.grow(self.slots.len() * ROWS);
            self.slots.len() - 1
        });
        self.slots[slot].owner = Some(id);
        self.by_owner.insert(id, slot);
        slot
    }

    /// Writes down how a visit of a person looks by now: over what was known of it, else as a prototype of its own.
    pub fn remember(&mut self, id: IdentityId, sample: Sample<'_>) {
        if sample.values.len() != self.dimension {
            return;
        }
        let slot = self.slot(id);
        let rows = &mut self.slots[slot].rows;
        let known = rows.iter().position(|r| r.track == Some(sample.track));
        if let Some(row) = known {
            rows[row].weight = sample.weight;
            self.values.set(place(slot, row), sample.values);
        } else {
            if rows.len() == ROWS {
                self.join_nearest(slot);
            }
            let about = Row {
                weight: sample.weight,
                camera: sample.track.camera,
                origin: id,
                track: Some(sample.track),
                visit: Some(sample.track),
            };
            if let Some(row) = self.slots[slot].seat(about) {
                self.values.set(place(slot, row), sample.values);
            }
        }
        self.summarise(slot);
    }

    /// Makes room in a full slot: of the visits that are over the two most alike of one camera, recorded under one identity,
    /// become one.
    fn join_nearest(&mut self, slot: usize) {
        let rows = &self.slots[slot].rows;
        let vectors: Vec<Vec<f32>> = (0..rows.len())
            .map(|r| self.values.get(place(slot, r)).collect())
            .collect();
        let fits = |a: &Row, b: &Row| {
            (a.camera, a.origin) == (b.camera, b.origin) && a.track.is_none() && b.track.is_none()
        };
        let pairs = (0..rows.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
        let nearest = pairs
            .filter(|&(a, b)| fits(&rows[a], &rows[b]))
            .map(|(a, b)| (dot(&vectors[a], &vectors[b]), a, b))
            .max_by(|x, y| x.0.total_cmp(&y.0));
        let Some((_, later, earlier)) = nearest else {
            return;
        };
        let (a, b) = (rows[later].weight, rows[earlier].weight);
        let mut joined: Vec<f32> = vectors[later]
            .iter()
            .zip(&vectors[earlier])
            .map(|(x, y)| a * x + b * y)
            .collect();
        let length = dot(&joined, &joined).sqrt().max(f32::MIN_POSITIVE);
        joined.iter_mut().for_each(|v| *v /= length);
        self.values.set(place(slot, earlier), &joined);
        let rows = &mut self.slots[slot].rows;
        rows[earlier].weight = (a + b).min(MAX_WEIGHT);
        rows[earlier].visit = None;
        rows.swap_remove(later);
        // The last row has moved into the place of the one that is gone.
        let last = self.slots[slot].rows.len();
        if later != last {
            self.values.copy(place(slot, last), place(slot, later));
        }
        self.values.clear(place(slot, last));
    }

    /// Erases a person's rows.
    pub fn forget(&mut self, id: IdentityId) {
        let Some(slot) = self.by_owner.remove(&id) else {
            return;
        };
        (0..ROWS).for_each(|row| self.values.clear(place(slot, row)));
        self.slots[slot].owner = None;
        self.slots[slot].rows.clear();
        self.sketch.set(slot, None);
        self.free.push(slot);
    }

    /// A person's rows: about each, and its vector, of about unit length.
    pub fn rows(&self, id: IdentityId) -> impl Iterator<Item = (&Row, Vec<f32>)> {
        let slot = self.by_owner.get(&id).copied();
        slot.into_iter().flat_map(move |slot| {
            let rows = self.slots[slot].rows.iter().enumerate();
            rows.map(move |(index, about)| {
                let values = self.values.get(place(slot, index));
                (about, values.collect())
            })
        })
    }

    /// The weighted sum of a person's rows, of any length.
    pub fn sum_of(&self, id: IdentityId) -> Vec<f32> {
        let mut sum = vec![0.0; self.dimension];
        for (row, values) in self.rows(id) {
            let sums = sum.iter_mut().zip(values);
            sums.for_each(|(s, v)| *s += row.weight * v);
        }
        sum
    }

    /// Adds a row as it is, in place of a weaker one when there is no room.
    pub fn put(&mut self, id: IdentityId, about: Row, values: &[f32]) {
        if values.len() == self.dimension {
            let slot = self.slot(id);
            if let Some(row) = self.slots[slot].seat(about) {
                self.values.set(place(slot, row), values);
            }
            self.summarise(slot);
            let weight = 2.0 * self.novelty(id, about.camera);
            self.bias.add(about.camera, values, weight.min(1.0));
        }
    }

    /// Erases the rows of a person that `stays` does not let stay.
    pub fn retain(&mut self, id: IdentityId, stays: impl Fn(&Row) -> bool) {
        let Some(&slot) = self.by_owner.get(&id) else {
            return;
        };
        let mut kept = 0;
        for index in 0..self.slots[slot].rows.len() {
            let about = self.slots[slot].rows[index];
            if !stays(&about) {
                continue;
            }
            self.slots[slot].rows[kept] = about;
            self.values.copy(place(slot, index), place(slot, kept));
            kept += 1;
        }
        for index in kept..self.slots[slot].rows.len() {
            self.values.clear(place(slot, index));
        }
        self.slots[slot].rows.truncate(kept);
        self.summarise(slot);
        if kept == 0 {
            self.forget(id);
        }
    }

    /// Gives all rows of `from` to `into`, the strongest of both staying.
    pub fn merge(&mut self, from: IdentityId, into: IdentityId) {
        self.move_rows(from, into, |_| true);
        self.forget(from);
    }

    /// Gives the rows of `from` that came from `camera`, or were recorded as `origin`, to `into`.
    pub fn split(
        &mut self,
        from: IdentityId,
        into: IdentityId,
        camera: Option<CameraId>,
        origin: Option<IdentityId>,
    ) {
        self.move_rows(from, into, |row| {
            Some(row.camera) == camera || Some(row.origin) == origin
        });
    }

    /// Gives the rows of a track that still lasts to another person.
    pub fn move_track(&mut self, track: TrackKey, from: IdentityId, into: IdentityId) {
        self.move_rows(from, into, |row| row.track == Some(track));
    }

    /// Gives the rows of a visit that is over to another person, as if they had been recorded as that person's.
    pub fn move_visit(&mut self, visit: TrackKey, from: IdentityId, into: IdentityId) {
        let is_it = |row: &Row| row.visit == Some(visit) && row.track.is_none();
        self.move_rows(from, into, is_it);
        if let Some(&slot) = self.by_owner.get(&into) {
            let own = self.slots[slot].rows.iter_mut().filter(|row| is_it(row));
            own.for_each(|row| row.origin = into);
        }
    }

    /// A visit is over: its prototype is the person's for good, and says what its camera adds to everybody.
    pub fn settle_track(&mut self, track: TrackKey, id: IdentityId) {
        let Some(&slot) = self.by_owner.get(&id) else {
            return;
        };
        let weight = self.novelty(id, track.camera);
        for row in 0..self.slots[slot].rows.len() {
            let about = &mut self.slots[slot].rows[row];
            if about.track == Some(track) {
                about.track = None;
                let values: Vec<f32> = self.values.get(place(slot, row)).collect();
                self.bias.add(track.camera, &values, weight);
            }
        }
    }

    fn move_rows(&mut self, from: IdentityId, into: IdentityId, moves: impl Fn(&Row) -> bool) {
        let Some(&source) = self.by_owner.get(&from) else {
            return;
        };
        let target = self.slot(into);
        let mut kept = 0;
        for index in 0..self.slots[source].rows.len() {
            let about = self.slots[source].rows[index];
            let at = place(source, index);
            if !moves(&about) {
                self.slots[source].rows[kept] = about;
                self.values.copy(at, place(source, kept));
                kept += 1;
            } else if let Some(row) = self.slots[target].seat(about) {
                self.values.copy(at, place(target, row));
            }
        }
        for index in kept..self.slots[source].rows.len() {
            self.values.clear(place(source, index));
        }
        self.slots[source].rows.truncate(kept);
        self.summarise(source);
        self.summarise(target);
    }
}
