//! A stored gallery without a pipeline: listed and corrected by the gallery's own rules.

pub use super::backend::Purpose;
use super::{
    KeptPerson, KeptSighting, Location, StoreError, backend::Records, kinds, records::wall_ns,
};
use crate::core::{
    embedding::Embedding,
    identity::{Gallery, GalleryConfig, GalleryError, MAX_IDENTITIES},
    person::IdentityId,
};

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
        let number = self.records.reserve()?;
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
