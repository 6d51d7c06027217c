//! A stored gallery without a pipeline: listed and corrected by the gallery's own rules.

use std::collections::HashMap;

pub use super::backend::Purpose;
use super::{
    KeptPerson, KeptSighting, Location, StoreError, backend::Records, kinds, records::wall_ns,
};
use crate::core::{
    embedding::Embedding,
    identity::{
        Changes, Gallery, GalleryConfig, GalleryError, MAX_IDENTITIES, PROVISIONAL, Saved,
        SavedSighting,
    },
    person::IdentityId,
};
use crate::inference::embedder::model_name;

/// Why a correction cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ArchiveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Gallery(#[from] GalleryError),
    #[error("P{former} is P{current} now, after a merge")]
    Renumbered { former: u32, current: u32 },
    #[error("no picture of P{0} is kept: reidtrack keeps one with thumbnails=true")]
    NoThumbnail(u32),
    #[error(
        "the gallery holds {0} people already: import into an empty location, or add them as new people (--add)"
    )]
    NotEmpty(usize),
    #[error(
        "the vectors to import are of the model {theirs}, those of the gallery of {ours}: they cannot be compared; import into another location"
    )]
    OtherModel { theirs: String, ours: String },
    #[error("the gallery has no ids left for {0} more people")]
    NoIds(u32),
}

/// What a gallery holds, without pictures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// People, in order of their ids, and what scores mean.
    pub saved: Saved,
    /// Who was where, in order of time.
    pub sightings: Vec<KeptSighting>,
    /// Old and new ids, where they were changed.
    renumbered: Vec<(u32, u32)>,
}

impl Content {
    /// People, what scores mean, and who was where.
    pub fn new(saved: Saved, sightings: Vec<KeptSighting>) -> Self {
        Self {
            saved,
            sightings,
            renumbered: Vec::new(),
        }
    }

    /// Gives everybody ids from `first` on. Ids before merges belong to the other gallery and are left out.
    fn renumber(&mut self, first: u32) {
        let ids = self.saved.people.iter().map(|person| person.id.0);
        self.renumbered = ids.zip(first..).collect();
        let new: HashMap<u32, u32> = self.renumbered.iter().copied().collect();
        for person in &mut self.saved.people {
            let own = new.get(&person.id.0).copied().map_or(person.id, IdentityId);
            person.id = own;
            person.previous = [].into();
            person.apart = person
                .apart
                .iter()
                .filter_map(|other| new.get(&other.0).copied().map(IdentityId))
                .collect();
            for row in &mut person.rows {
                row.origin = own;
            }
        }
        for sighting in &mut self.sightings {
            if let Some(id) = new.get(&sighting.id) {
                sighting.id = *id;
            }
        }
    }

    fn changes(self) -> Changes {
        let given = self.saved.people.iter().flat_map(|person| {
            let origins = person.rows.iter().map(|row| row.origin);
            [person.id]
                .into_iter()
                .chain(person.previous.iter().copied())
                .chain(origins)
        });
        let given = given.map(|id| id.0).filter(|id| *id < PROVISIONAL);
        let next = given.max().map_or(1, |id| id + 1);
        let unsigned = |ns: i64| u64::try_from(ns).unwrap_or(0);
        let sighting = |kept: KeptSighting| SavedSighting {
            id: IdentityId(kept.id),
            camera: kept.camera.into(),
            from_ns: unsigned(kept.from_ns),
            to_ns: unsigned(kept.to_ns),
        };
        Changes {
            people: self.saved.people,
            scales: self.saved.scales,
            sightings: self.sightings.into_iter().map(sighting).collect(),
            next_number: next.max(self.saved.next_number.unwrap_or(1)),
            ..Changes::default()
        }
    }
}

/// Refuses vectors that cannot be compared with those of the gallery.
fn check_model(here: &Saved, other: &Saved) -> Result<(), ArchiveError> {
    let name = |saved: &Saved| {
        let scale = saved.scales.first()?;
        let name = model_name(scale.model);
        Some(name.unwrap_or_else(|| format!("{:016x}", scale.model.0)))
    };
    let model = |saved: &Saved| saved.scales.first().map(|scale| scale.model);
    match (name(here), name(other)) {
        (Some(ours), Some(theirs)) if model(here) != model(other) => {
            Err(ArchiveError::OtherModel { theirs, ours })
        }
        _ => Ok(()),
    }
}

/// A kept gallery.
pub struct Archive {
    records: Box<dyn Records>,
}

impl Archive {
    /// Makes what is to keep a gallery at `location`, or brings it to the newest layout.
    pub fn prepare(location: &Location) -> Result<(), StoreError> {
        kinds::prepare(location)
    }

    /// Opens what is kept at `location`; never makes anything.
    pub fn open(location: &Location, purpose: Purpose) -> Result<Self, StoreError> {
        let records = kinds::open_records(location, purpose)?;
        Ok(Self { records })
    }

    /// Everybody, in order of their numbers.
    pub fn list(&mut self) -> Result<Vec<KeptPerson>, ArchiveError> {
        Ok(self.records.list()?)
    }

    /// One person and their sightings.
    pub fn show(&mut self, id: u32) -> Result<(KeptPerson, Vec<KeptSighting>), ArchiveError> {
        let person = self.records.list()?.into_iter().find(|p| p.id == id);
        match person {
            Some(person) => Ok((person, self.records.sightings(Some(id))?)),
            None => Err(self.unknown(id)?),
        }
    }

    /// One person's picture: the bytes of a JPEG file.
    pub fn thumbnail(&mut self, id: u32) -> Result<Vec<u8>, ArchiveError> {
        self.show(id)?;
        self.records
            .thumbnail(id)?
            .ok_or(ArchiveError::NoThumbnail(id))
    }

    /// The picture of a person who was listed, the bytes of a JPEG file, if one is kept.
    pub fn thumbnail_if_kept(&mut self, id: u32) -> Result<Option<Vec<u8>>, ArchiveError> {
        Ok(self.records.thumbnail(id)?)
    }

    /// Everybody with a vector of the same model, the most similar first, with the cosine of their nearest vector.
    pub fn similar(&mut self, vector: &Embedding) -> Result<Vec<(KeptPerson, f32)>, ArchiveError> {
        let people = self.records.list()?;
        let ids: Vec<IdentityId> = people.iter().map(|person| IdentityId(person.id)).collect();
        let saved = self.records.load(&ids)?;
        let nearest = |id: u32| {
            let rows = saved.people.iter().filter(|person| person.id.0 == id);
            let cosines = rows.flat_map(|person| &person.rows);
            let cosines = cosines.filter_map(|row| row.vector.cosine(vector));
            cosines.max_by(f32::total_cmp)
        };
        let mut found: Vec<(KeptPerson, f32)> = people
            .into_iter()
            .filter_map(|person| nearest(person.id).map(|cosine| (person, cosine)))
            .collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(found)
    }

    /// Who was where, in order of time.
    pub fn sightings(&mut self) -> Result<Vec<KeptSighting>, ArchiveError> {
        Ok(self.records.sightings(None)?)
    }

    /// Everybody with all vectors, what scores mean, and who was where: all that is kept but pictures.
    pub fn content(&mut self) -> Result<Content, ArchiveError> {
        let people = self.records.list()?;
        let ids: Vec<IdentityId> = people.iter().map(|person| IdentityId(person.id)).collect();
        let mut saved = self.records.load(&ids)?;
        saved.people.sort_by_key(|person| person.id);
        Ok(Content::new(saved, self.records.sightings(None)?))
    }

    /// Writes the people of another gallery into this one: with their ids where it is empty, else, if they are to be `added`, with
    /// new ones. Returns which id became which.
    pub fn import(
        &mut self,
        mut content: Content,
        added: bool,
    ) -> Result<Vec<(u32, u32)>, ArchiveError> {
        let known = self.records.list()?.len();
        if known > 0 && !added {
            return Err(ArchiveError::NotEmpty(known));
        }
        let here = self.records.load(&[])?;
        if known > 0 {
            check_model(&here, &content.saved)?;
            let first = self.first_free(&here, content.saved.people.len())?;
            content.renumber(first);
        }
        let renumbered = std::mem::take(&mut content.renumbered);
        let mut changes = content.changes();
        if known > 0 && !here.scales.is_empty() {
            // What scores mean was learnt here, too: that stays.
            changes.scales = here.scales;
        }
        self.records.import(&changes)?;
        Ok(renumbered)
    }

    /// The first of `count` ids that nobody has.
    fn first_free(&mut self, here: &Saved, count: usize) -> Result<u32, ArchiveError> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let first = match self.records.reserve(count)? {
            Some(range) if range.len() >= count as usize => Some(range.start),
            Some(_) => None,
            None => here.next_number.or(Some(1)),
        };
        let is_room = |first: &u32| first.saturating_add(count) <= PROVISIONAL;
        first.filter(is_room).ok_or(ArchiveError::NoIds(count))
    }

    /// Gives a person a name; an empty one takes it away.
    pub fn rename(&mut self, id: u32, name: &str) -> Result<(), ArchiveError> {
        self.correct(&[id], |gallery| gallery.rename(IdentityId(id), name))
    }

    /// Makes one person of two; `into` keeps its number.
    pub fn merge(&mut self, from: u32, into: u32) -> Result<(), ArchiveError> {
        self.correct(&[from, into], |gallery| {
            gallery.merge(IdentityId(from), IdentityId(into)).map(drop)
        })
    }

    /// Makes two people of one: what `camera` saw, or what came with the newest merge, becomes somebody new. Returns
    /// their number.
    pub fn split(&mut self, id: u32, camera: Option<&str>) -> Result<u32, ArchiveError> {
        let number = self.records.reserve(1)?;
        self.correct(&[id], |gallery| {
            if let Some(number) = number {
                gallery.reserve_numbers(number);
            }
            gallery.split(IdentityId(id), camera).map(|(new, _)| new.0)
        })
    }

    /// Erases a person permanently.
    pub fn forget(&mut self, id: u32) -> Result<(), ArchiveError> {
        self.correct(&[id], |gallery| gallery.forget(IdentityId(id)).map(drop))
    }

    fn correct<T>(
        &mut self,
        ids: &[u32],
        correction: impl FnOnce(&mut Gallery) -> Result<T, GalleryError>,
    ) -> Result<T, ArchiveError> {
        let wanted: Vec<IdentityId> = ids.iter().copied().map(IdentityId).collect();
        let saved = self.records.load(&wanted)?;
        for id in &wanted {
            if !saved.people.iter().any(|person| person.id == *id) {
                return Err(self.unknown(id.0)?);
            }
        }
        let mut gallery = Gallery::new(GalleryConfig {
            max_identities: MAX_IDENTITIES,
            ..GalleryConfig::default()
        });
        gallery.keep_journal();
        gallery.restore(saved, wall_ns());
        let done = correction(&mut gallery)?;
        self.records.write(&gallery.take_changes(usize::MAX))?;
        Ok(done)
    }

    fn unknown(&mut self, id: u32) -> Result<ArchiveError, StoreError> {
        Ok(match self.records.current(id)? {
            Some(current) => ArchiveError::Renumbered {
                former: id,
                current,
            },
            None => GalleryError::Unknown(IdentityId(id)).into(),
        })
    }
}
