//! What the known people look like: a few vectors each, in one block of memory for fast look-up.
//!
//! A person has up to [`ROWS`] vectors, each the running mean of crops that look alike (a side, a light, a camera), so a
//! few odd crops neither decide for ever nor fill the memory. Memory is fixed: `ROWS × dimension` bytes a person
//! ([`super::block`]) and `dimension` for the first look ([`super::coarse`]): 4.6 KiB at 512 numbers.

use super::{
    CameraId,
    binding::TrackKey,
    block::Block,
    coarse::{EVERYBODY, Sketch},
    decision::{Candidate, Query},
    nuisance::Nuisance,
};
use crate::core::{
    embedding::{Embedding, ModelFingerprint, dot},
    person::IdentityId,
    scores::ScoreScale,
};

/// Most vectors a person has.
pub const ROWS: usize = 8;
/// A row's mean stops narrowing at this weight, so that it still follows slow changes.
const MAX_WEIGHT: f32 = 20.0;
/// Crops this alike, on the scale from strangers to one track with itself, are one row.
const SAME_ROW: f32 = 0.9;
/// A crop further from all of a person's rows than this many deviations above strangers is not believed to show the
/// person: the box has slipped to somebody else.
const PLAUSIBLE: f32 = 1.0;
/// … once so many good crops stand behind the rows: the first crops of somebody who comes in at the edge of the picture
/// show half a person, and must not keep the whole one out.
const FIRM: f32 = 5.0;
/// Weight that every row keeps when a new kind of crop finds no place: one in a hundred is lost.
const FADE: f32 = 0.99;

/// About one row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub weight: f32,
    pub camera: CameraId,
    /// The identity under which it was recorded, for undoing merges.
    pub origin: IdentityId,
    /// The track whose crops it holds, while that track lasts: it goes where the track goes.
    pub track: Option<TrackKey>,
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
pub(super) struct Space {
    pub model: ModelFingerprint,
    pub dimension: usize,
    pub scale: ScoreScale,
    /// What changes in the vectors of one person.
    pub nuisance: Nuisance,
    /// `ROWS` places a slot.
    values: Block,
    /// Tells one rounding of a moving row from another.
    blends: u32,
    slots: Vec<Slot>,
    /// The mean of each slot's rows.
    sketch: Sketch,
    free: Vec<usize>,
    by_owner: std::collections::HashMap<IdentityId, usize>,
}

/// A crop to be remembered.
#[derive(Clone, Copy)]
pub(super) struct Sample<'a> {
    pub values: &'a [f32],
    pub quality: f32,
    pub track: TrackKey,
}

impl Space {
    pub fn new(model: ModelFingerprint, dimension: usize) -> Self {
        Self {
            model,
            dimension,
            scale: ScoreScale::default(),
            nuisance: Nuisance::new(dimension),
            values: Block::new(dimension),
            blends: 0,
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

    /// Of the people that `wanted` lets through those who are most alike, all when there are few, with their scores, for
    /// each of `queries`.
    pub fn scan(
        &self,
        queries: &[Query<'_>],
        wanted: impl Fn(IdentityId) -> bool,
    ) -> Vec<Vec<Candidate>> {
        let free = |slot: usize| {
            let owner = self.slots[slot].owner;
            owner.is_some_and(&wanted) && !self.slots[slot].rows.is_empty()
        };
        let all: Vec<bool> = (0..self.slots.len()).map(free).collect();
        let everybody = all.iter().filter(|is_free| **is_free).count() <= EVERYBODY;
        let look = |query: &Query<'_>| -> Vec<Candidate> {
            let near = if everybody {
                (0..all.len()).filter(|&slot| all[slot]).collect()
            } else {
                self.sketch.nearest(query.values, |slot| all[slot])
            };
            near.into_iter()
                .filter_map(|slot| self.candidate(query, slot))
                .collect()
        };
        queries.iter().map(look).collect()
    }

    fn candidate(&self, query: &Query<'_>, slot: usize) -> Option<Candidate> {
        self.compare(query, slot, |_| true)
    }

    /// How alike a look of `camera` and a person are by what is known of the person without `track`; `None` where that is
    /// nothing.
    pub fn without_track(
        &self,
        query: &Query<'_>,
        id: IdentityId,
        track: TrackKey,
    ) -> Option<Candidate> {
        let slot = *self.by_owner.get(&id)?;
        self.compare(query, slot, |row| row.track != Some(track))
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

    /// How alike a query and a person are: half the best row, half the mean of all that count. The best alone is too easily
    /// had by chance: two people who each come in at the edge of the picture have half a body in common (one-by-one: best
    /// row 0.61, mean 0.14, two people). The mean alone forgets that people have sides.
    fn compare(
        &self,
        query: &Query<'_>,
        slot: usize,
        counts: impl Fn(&Row) -> bool,
    ) -> Option<Candidate> {
        let (mut best, mut here) = (f32::NEG_INFINITY, false);
        let (mut sum, mut total, mut rows) = (0.0, 0.0, 0);
        for (r, about) in self.slots[slot].rows.iter().enumerate() {
            if !counts(about) {
                continue;
            }
            let cosine = self.values.dot(place(slot, r), query.values);
            if cosine > best {
                (best, here) = (cosine, about.camera == query.camera);
            }
            sum += about.weight * cosine;
            total += about.weight;
            rows += 1;
        }
        (rows > 0).then_some(Candidate {
            id: self.slots[slot].owner?,
            score: 0.5 * (best + sum / total.max(f32::MIN_POSITIVE)),
            rows,
            crops: query.crops,
            here,
            prior: 0.0,
        })
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

    /// Remembers a crop of a person: in the row it resembles, else in a row of its own, else in place of the row with
    /// the least behind it. A crop that does not look like the person at all is not remembered; returns false then.
    pub fn remember(&mut self, id: IdentityId, sample: Sample<'_>) -> bool {
        if sample.values.len() != self.dimension {
            return false;
        }
        let slot = self.slot(id);
        let firm = self.slots[slot].rows.iter().map(|r| r.weight).sum::<f32>() >= FIRM;
        let own = |r: &usize| {
            let track = self.slots[slot].rows[*r].track;
            track.is_none_or(|t| t == sample.track)
        };
        let nearest = (0..self.slots[slot].rows.len())
            .filter(own)
            .map(|r| (r, self.values.dot(place(slot, r), sample.values)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        match nearest {
            Some((row, cosine)) if self.scale.position(cosine) >= SAME_ROW => {
                self.blend(slot, row, sample)
            }
            Some((_, cosine)) if firm && self.scale.deviations(cosine) < PLAUSIBLE => {
                return false;
            }
            _ => self.add_row(slot, id, sample),
        }
        self.summarise(slot);
        true
    }

    /// A row of its own for a crop, in place of a weaker one when there is no room.
    fn add_row(&mut self, slot: usize, origin: IdentityId, sample: Sample<'_>) {
        let about = Row {
            weight: sample.quality,
            camera: sample.track.camera,
            origin,
            track: Some(sample.track),
        };
        let rows = &mut self.slots[slot].rows;
        if rows.len() == ROWS {
            // What nothing adds to fades: a row that was strong last week can go at last.
            rows.iter_mut().for_each(|r| r.weight *= FADE);
        }
        if let Some(row) = self.slots[slot].seat(about) {
            self.values.set(place(slot, row), sample.values);
        }
    }

    fn blend(&mut self, slot: usize, row: usize, sample: Sample<'_>) {
        let about = &mut self.slots[slot].rows[row];
        let part = sample.quality / (about.weight + sample.quality).max(f32::MIN_POSITIVE);
        about.weight = (about.weight + sample.quality).min(MAX_WEIGHT);
        let at = place(slot, row);
        let mut values: Vec<f32> = self.values.get(at).collect();
        for (old, new) in values.iter_mut().zip(sample.values) {
            *old += part * (new - *old);
        }
        let norm = dot(&values, &values).sqrt();
        if norm > f32::MIN_POSITIVE {
            values.iter_mut().for_each(|v| *v /= norm);
        }
        self.blends = self.blends.wrapping_add(1);
        self.values.set_moving(at, &values, self.blends);
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

    /// Adds a row as it is, in place of a weaker one when there is no room.
    pub fn put(&mut self, id: IdentityId, about: Row, values: &[f32]) {
        if values.len() == self.dimension {
            let slot = self.slot(id);
            if let Some(row) = self.slots[slot].seat(about) {
                self.values.set(place(slot, row), values);
            }
            self.summarise(slot);
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

    /// A track is over: its rows are the person's for good.
    pub fn settle_track(&mut self, track: TrackKey, id: IdentityId) {
        let Some(&slot) = self.by_owner.get(&id) else {
            return;
        };
        let rows = self.slots[slot].rows.iter_mut();
        rows.filter(|row| row.track == Some(track))
            .for_each(|row| row.track = None);
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
