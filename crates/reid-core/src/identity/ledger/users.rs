//! What users ask of a gallery: rename, merge, split, forget, list, who is alike. What they say outweighs all evidence.

use std::collections::BTreeSet;

use crate::identity::{
    CameraId, Event, Fate, Gallery, GalleryError, MAX_NAME_BYTES,
    people::PersonFacts,
    visit::{Binding, TrackKey},
};
use crate::{embedding::Embedding, person::IdentityId};

/// So many times more people than asked for are compared exactly, of those that the shortlist finds.
const CANDIDATES: usize = 4;

impl Gallery {
    /// Gives a person a name; an empty one takes it away.
    pub fn rename(&mut self, id: IdentityId, name: &str) -> Result<(), GalleryError> {
        if name.len() > MAX_NAME_BYTES {
            return Err(GalleryError::LongName);
        }
        let record = self.people.get_mut(&id).ok_or(GalleryError::Unknown(id))?;
        record.name = (!name.is_empty()).then(|| name.into());
        self.note_renamed(id);
        Ok(())
    }

    /// Makes one person of two. `into` keeps its number. Refused while both are in one picture.
    pub fn merge(
        &mut self,
        from: IdentityId,
        into: IdentityId,
    ) -> Result<Vec<Event>, GalleryError> {
        if from == into {
            return Err(GalleryError::Same(from));
        }
        for id in [from, into] {
            if !self.people.contains_key(&id) {
                return Err(GalleryError::Unknown(id));
            }
        }
        let cameras = |id| -> BTreeSet<CameraId> {
            let own = self.bindings.iter().filter(|(_, b)| b.identity == Some(id));
            own.map(|(k, _)| k.camera).collect()
        };
        if !cameras(from).is_disjoint(&cameras(into)) {
            return Err(GalleryError::SeenTogether(from, into));
        }
        self.unite(from, into);
        self.trust(into);
        self.past_visits.settle(into);
        Ok(std::mem::take(&mut self.events))
    }

    /// Makes two people of one: what `camera` saw becomes somebody new, or, with no camera named, what came with the
    /// newest merge. The two are never merged again by looks. Returns the new number.
    pub fn split(
        &mut self,
        id: IdentityId,
        camera: Option<&str>,
    ) -> Result<(IdentityId, Vec<Event>), GalleryError> {
        let record = self.people.get(&id).ok_or(GalleryError::Unknown(id))?;
        let origin = match camera {
            None => Some(
                *record
                    .previous
                    .last()
                    .ok_or(GalleryError::NothingToSplit(id))?,
            ),
            Some(_) => None,
        };
        let camera = match camera {
            None => None,
            Some(name) => Some(self.camera_named(name)?),
        };
        if !self.has_part(id, camera, origin) {
            return Err(GalleryError::NothingToSplit(id));
        }
        let into = self.next_identity().ok_or(GalleryError::NumbersExhausted)?;
        for space in &mut self.spaces {
            space.split(id, into, camera, origin);
        }
        self.note_split(id, into, camera, origin);
        self.past_visits.settle(id);
        let moved: Vec<TrackKey> = self
            .bindings
            .iter()
            .filter(|(k, b)| b.identity == Some(id) && Some(k.camera) == camera)
            .map(|(k, _)| *k)
            .collect();
        for key in moved {
            if let Some(record) = self.people.get_mut(&id) {
                record.tracks = record.tracks.saturating_sub(1);
            }
            self.bind(key, into);
        }
        for (own, other) in [(id, into), (into, id)] {
            if let Some(record) = self.people.get_mut(&own) {
                record.parted.push(other);
                if let Some(origin) = origin.filter(|_| own == id) {
                    let kept = record.previous.iter().filter(|p| **p != origin);
                    record.previous = kept.copied().collect();
                }
                if record.tracks == 0 {
                    self.rest(own);
                }
            }
        }
        self.note_changed(id);
        self.note_changed(into);
        self.events.push(Event::Split { from: id, into });
        Ok((into, std::mem::take(&mut self.events)))
    }

    /// Whether there are looks of a person, or tracks, that came from `camera` or were recorded as `origin`.
    fn has_part(
        &self,
        id: IdentityId,
        camera: Option<CameraId>,
        origin: Option<IdentityId>,
    ) -> bool {
        let mut rows = self.spaces.iter().flat_map(|space| space.rows(id));
        let mut tracks = self.bindings.iter();
        rows.any(|(row, _)| Some(row.camera) == camera || Some(row.origin) == origin)
            || tracks.any(|(key, b)| b.identity == Some(id) && Some(key.camera) == camera)
    }

    fn camera_named(&self, name: &str) -> Result<CameraId, GalleryError> {
        self.cameras
            .iter()
            .find(|(_, c)| &*c.name == name)
            .map(|(id, _)| *id)
            .or_else(|| self.names.id(name))
            .ok_or_else(|| GalleryError::UnknownCamera(name.into()))
    }

    /// Erases a person: vectors, name, companions. A track that carries the number becomes somebody new.
    pub fn forget(&mut self, id: IdentityId) -> Result<Vec<Event>, GalleryError> {
        let record = self.people.get(&id).ok_or(GalleryError::Unknown(id))?;
        if record.tracks == 0 {
            self.resting.remove(&record.turn);
        }
        let now = self.now_ns;
        for binding in self
            .bindings
            .values_mut()
            .filter(|b| b.identity == Some(id))
        {
            *binding = Binding::new(now);
        }
        self.erase(id);
        self.note_left(id, Fate::Forgotten);
        Ok(std::mem::take(&mut self.events))
    }

    /// Everybody, in order of their numbers.
    pub fn list(&self) -> Vec<PersonFacts> {
        let mut list: Vec<PersonFacts> = self
            .people
            .iter()
            .map(|(&id, record)| PersonFacts {
                id,
                name: record.name.clone(),
                previous: record.previous.clone(),
                first_seen_ns: record.first_ns,
                last_seen_ns: record.last_ns,
                active: record.tracks > 0,
                rows: self.spaces.iter().map(|s| s.rows_of(id)).sum(),
            })
            .collect();
        list.sort_by_key(|p| p.id);
        list
    }

    /// The people most similar to a vector, with the cosine of their most similar prototype, -1..=1: the most similar first,
    /// `most` at most. Empty where nobody has a prototype of the vector's model. Large galleries compare a shortlist only.
    pub fn similar(&self, vector: &Embedding, most: usize) -> Vec<(IdentityId, f32)> {
        let Some(space) = self.spaces.iter().find(|space| space.takes(vector)) else {
            return Vec::new();
        };
        let query = vector.values();
        let candidates = space.nearest(query, most.saturating_mul(CANDIDATES), |_| true);
        let found = candidates
            .into_iter()
            .filter_map(|id| Some((id, space.best(id, query)?)));
        ranked(found.collect(), most)
    }

    /// The people whose prototypes are most similar to a person's, with their mean cosine, -1..=1: the most similar first, `most`
    /// at most.
    pub fn alike(&self, id: IdentityId, most: usize) -> Vec<(IdentityId, f32)> {
        let mut found = Vec::new();
        for space in &self.spaces {
            let wanted = most.saturating_mul(CANDIDATES);
            let near = space
                .rows(id)
                .flat_map(|(_, values)| space.nearest(&values, wanted, |other| other != id));
            let others: BTreeSet<IdentityId> = near.collect();
            found.extend(others.into_iter().filter_map(|other| {
                let (score, _) = space.score(id, other, true)?;
                Some((other, score.clamp(-1.0, 1.0)))
            }));
        }
        ranked(found, most)
    }

    /// A user says that a number is one person: its tracks keep it.
    fn trust(&mut self, id: IdentityId) {
        let own = self.bindings.values_mut();
        own.filter(|b| b.identity == Some(id))
            .for_each(|b| b.trusted = true);
    }
}

/// The most similar first, each person once.
fn ranked(mut found: Vec<(IdentityId, f32)>, most: usize) -> Vec<(IdentityId, f32)> {
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut seen = BTreeSet::new();
    found.retain(|(id, _)| seen.insert(*id));
    found.truncate(most);
    found
}
