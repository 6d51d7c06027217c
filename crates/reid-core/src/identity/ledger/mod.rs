//! The ledger of identities: who carries which, what becomes of them, and what is told of that. Ids are given, taken, merged and
//! split here and nowhere else, so that every change is announced and written down ([`journal`]) once.

pub(in crate::identity) mod journal;
mod parting;
pub(in crate::identity) mod past_visits;
pub(in crate::identity) mod people;
pub(in crate::identity) mod restore;
pub(in crate::identity) mod thumbnails;
mod unseen;
pub(in crate::identity) mod untold;
mod users;

#[cfg(test)]
mod journal_tests;

use super::{
    CameraId, Event, Fate, Gallery, MAX_APART, MAX_IDENTITIES, MAX_MODELS, MAX_PREVIOUS,
    past_visits::PastVisit,
    people::Record,
    prototypes::{Sample, Space},
    visit::{Binding, TrackKey},
};
use crate::{
    embedding::Embedding,
    person::{IdentityId, TrackId},
};

impl Gallery {
    /// The space of a vector's model, made when there is room for another model.
    pub(super) fn space_mut(&mut self, embedding: &Embedding) -> Option<&mut Space> {
        let index = match self.spaces.iter().position(|s| s.takes(embedding)) {
            Some(index) => index,
            None if self.spaces.len() < MAX_MODELS => {
                let prior = self.prior_of(embedding.model());
                let space = Space::new(embedding.model(), embedding.dimension(), prior);
                self.spaces.push(space);
                self.spaces.len() - 1
            }
            None => return None,
        };
        self.spaces.get_mut(index)
    }

    /// A new identity for a track; `None` when there are none left.
    pub(super) fn enrol(&mut self, key: TrackKey, pending: bool) -> Option<IdentityId> {
        self.make_room();
        let id = self.next_identity()?;
        self.bind(key, id);
        self.events.push(Event::New {
            id,
            track: key.track,
            pending,
        });
        Some(id)
    }

    pub(super) fn next_identity(&mut self) -> Option<IdentityId> {
        let id = self.next_number()?;
        self.turn += 1;
        self.people.insert(id, Record::new(self.now_ns, self.turn));
        self.note_created(id);
        Some(id)
    }

    /// The least recently seen leave until there is room for one more. People in view stay.
    fn make_room(&mut self) {
        let most = self.config.max_identities.clamp(1, MAX_IDENTITIES);
        while self.people.len() >= most {
            let Some((_, id)) = self.resting.pop_first() else {
                return;
            };
            self.erase(id);
        }
    }

    /// Whoever was not seen for too long leaves.
    pub(super) fn expire(&mut self) {
        let Some(max_age) = self.config.max_age_ns else {
            return;
        };
        while let Some((&turn, &id)) = self.resting.first_key_value() {
            let unseen = self
                .people
                .get(&id)
                .map_or(u64::MAX, |r| self.newest_ns.saturating_sub(r.last_ns));
            if unseen <= max_age {
                return;
            }
            self.resting.remove(&turn);
            self.erase(id);
        }
    }

    /// Removes a person for good.
    pub(super) fn erase(&mut self, id: IdentityId) {
        for space in &mut self.spaces {
            space.forget(id);
        }
        if let Some(record) = self.people.remove(&id) {
            self.drop_from_others(id, &record);
            self.past_visits.settle(id);
            self.note_left(id, Fate::Expired);
            self.events.push(Event::Left { id });
        }
    }

    /// Nobody remembers a person who is gone.
    fn drop_from_others(&mut self, id: IdentityId, record: &Record) {
        for other in record.apart.keys().chain(&record.parted) {
            if let Some(other) = self.people.get_mut(other) {
                other.apart.remove(&id);
                other.parted.retain(|p| *p != id);
            }
        }
        for binding in self.bindings.values_mut() {
            binding.apart.remove(&id);
        }
    }

    pub(super) fn bind(&mut self, key: TrackKey, id: IdentityId) {
        if let Some(record) = self.people.get_mut(&id) {
            self.resting.remove(&record.turn);
            record.tracks += 1;
        }
        if let Some(binding) = self.bindings.get_mut(&key) {
            binding.identity = Some(id);
        }
    }

    /// Takes the identity from a track and forgets the track: its visit is over.
    pub(super) fn unbind(&mut self, key: TrackKey) {
        self.remember_visit(key, true);
        let carried = self.bindings.get(&key).and_then(|b| b.identity);
        if let Some(id) = carried {
            self.learn_from(key, id);
        }
        let Some(binding) = self.bindings.remove(&key) else {
            return;
        };
        let Some(id) = carried else { return };
        self.note_company(key, id, &binding);
        self.note_over(key, id, &binding);
        for space in &mut self.spaces {
            space.settle_track(key, id);
        }
        self.drop_track(id);
    }

    /// The visit of a track as it looks by now becomes a prototype of the person.
    pub(super) fn remember_visit(&mut self, key: TrackKey, is_over: bool) {
        let Some(binding) = self.bindings.get(&key) else {
            return;
        };
        let (Some(id), Some(mean)) = (binding.identity, binding.visit.mean(is_over)) else {
            return;
        };
        let weight = binding.visit.weight();
        if let Some(space) = self.space_mut(&mean) {
            let sample = Sample {
                values: mean.values(),
                weight,
                track: key,
            };
            space.remember(id, sample);
        }
    }

    /// A visit that is over may still turn out to be somebody else's, unless a user has said whose it is.
    fn note_over(&mut self, key: TrackKey, id: IdentityId, binding: &Binding) {
        if !binding.trusted {
            let visit = PastVisit {
                id,
                shown: id,
                weight: binding.visit.weight(),
                times: binding.first_ns..binding.seen_ns,
                beside: binding.others().collect(),
            };
            self.past_visits.add(key, visit);
        }
    }

    /// Whom a visit that is over was seen with in one picture.
    fn note_company(&mut self, key: TrackKey, id: IdentityId, binding: &Binding) {
        let weight = binding.visit.weight();
        for track in binding.others() {
            let camera = key.camera;
            if let Some(other) = self.bindings.get_mut(&TrackKey { camera, track })
                && (other.apart.len() < MAX_APART || other.apart.contains_key(&id))
            {
                *other.apart.entry(id).or_default() += weight;
            }
        }
        for (&other, &theirs) in binding.apart.iter().filter(|(other, _)| **other != id) {
            for (one, two) in [(id, other), (other, id)] {
                if self.people.contains_key(&two)
                    && let Some(record) = self.people.get_mut(&one)
                {
                    record.saw(two, weight * theirs);
                }
            }
        }
    }

    /// A track no longer carries the identity.
    pub(super) fn drop_track(&mut self, id: IdentityId) {
        let Some(record) = self.people.get_mut(&id) else {
            return;
        };
        record.tracks = record.tracks.saturating_sub(1);
        if record.tracks == 0 {
            self.events.push(Event::Lost { id });
            self.rest(id);
        }
    }

    /// A person whom no track carries: waits to be matched, or leaves when nothing could ever be.
    pub(super) fn rest(&mut self, id: IdentityId) {
        let known = self.spaces.iter().any(|s| s.rows_of(id) > 0);
        let Some(record) = self.people.get_mut(&id) else {
            return;
        };
        self.resting.remove(&record.turn);
        if known || record.name.is_some() {
            self.turn += 1;
            record.turn = self.turn;
            self.resting.insert(record.turn, id);
        } else if let Some(record) = self.people.remove(&id) {
            self.drop_from_others(id, &record);
            self.note_left(id, Fate::Expired);
        }
    }

    /// Ends tracks, and compares the people whose visits are over with everybody else.
    pub(super) fn end_tracks(&mut self, camera: CameraId, tracks: &[TrackId]) {
        let mut over = Vec::new();
        for &track in tracks {
            let key = TrackKey { camera, track };
            over.extend(self.bindings.get(&key).and_then(|b| b.identity));
            self.floor.end(key);
            self.unbind(key);
            for (_, other) in self
                .bindings
                .range_mut(
                    TrackKey {
                        camera,
                        track: TrackId(0),
                    }..,
                )
                .take_while(|(key, _)| key.camera == camera)
            {
                other.beside.remove(&track);
            }
        }
        over.retain(|id| self.people.contains_key(id));
        over.sort_unstable();
        over.dedup();
        self.consolidate(camera, &over);
    }

    /// Makes one person of two: every track, prototype and name of `from` goes to `into`.
    pub(super) fn unite(&mut self, from: IdentityId, into: IdentityId) {
        let Some(old) = self.people.remove(&from) else {
            return;
        };
        if old.tracks == 0 {
            self.resting.remove(&old.turn);
        }
        for space in &mut self.spaces {
            space.merge(from, into);
        }
        for binding in self.bindings.values_mut() {
            binding.rename(from, into);
        }
        self.past_visits.rename(from, into);
        for other in old.apart.keys().chain(&old.parted) {
            if let Some(record) = self.people.get_mut(other) {
                if let Some(weight) = record.apart.remove(&from)
                    && *other != into
                {
                    record.saw(into, weight);
                }
                let parted = record.parted.iter_mut();
                parted.filter(|p| **p == from).for_each(|p| *p = into);
            }
        }
        if let Some(record) = self.people.get_mut(&into) {
            if record.tracks == 0 && old.tracks > 0 {
                self.resting.remove(&record.turn);
            }
            record.take_in(from, into, old);
        }
        self.note_merged(from, into);
        self.events.push(Event::Merged { from, into });
    }
}

impl Record {
    /// Takes in what is known of `from`, who is the same person.
    fn take_in(&mut self, from: IdentityId, into: IdentityId, old: Self) {
        self.tracks += old.tracks;
        self.name = self.name.take().or(old.name);
        self.first_ns = self.first_ns.min(old.first_ns);
        self.last_ns = self.last_ns.max(old.last_ns);
        let former: Vec<IdentityId> = self
            .previous
            .iter()
            .chain(old.previous.iter())
            .chain([&from])
            .copied()
            .collect();
        let skip = former.len().saturating_sub(MAX_PREVIOUS);
        self.previous = former[skip..].into();
        for (other, weight) in old.apart {
            if other != into {
                self.saw(other, weight);
            }
        }
        self.apart.remove(&from);
        self.parted.extend(old.parted);
        self.parted.retain(|other| *other != into);
        self.take_stays(old.stays);
    }
}
