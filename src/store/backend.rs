//! The traits that every kind of store implements. Users of stores and the stores themselves depend on these traits only.

use std::{ops::Range, sync::Mutex, time::Duration};

use super::{KeptPerson, KeptSighting, StoreError};
use crate::core::{
    identity::{Changes, Gallery, Saved},
    person::IdentityId,
};

/// A database that keeps a gallery.
pub(super) trait Database: Send {
    /// Loads the kept people into the empty `gallery`. A store that is temporarily unreachable is not an error.
    fn begin(&mut self, gallery: &Mutex<Gallery>) -> Result<(), StoreError>;
    /// Maximum delay of a write.
    fn interval(&self) -> Duration;
    /// Writes local changes and reads those of others: all of them when a flush was requested (`asked`), else what is due.
    /// On failure every change that was taken is put back.
    fn sync(&mut self, gallery: &Mutex<Gallery>, asked: bool) -> Result<(), StoreError>;
    /// The last sync, before the store is closed.
    fn close(&mut self, gallery: &Mutex<Gallery>) -> Result<(), StoreError>;
}

/// A database as a set of records.
pub(super) trait Records {
    /// Some people.
    fn load(&mut self, only: &[IdentityId]) -> Result<Saved, StoreError>;
    /// Reserves ids for new people, where other processes assign ids too.
    fn reserve(&mut self, _count: u32) -> Result<Option<Range<u32>>, StoreError> {
        Ok(None)
    }
    /// Writes a user's corrections in one transaction.
    fn write(&mut self, changes: &Changes) -> Result<(), StoreError>;
    /// Writes people who come from another gallery, in one transaction. `next_number` of the changes is reserved, too.
    fn import(&mut self, changes: &Changes) -> Result<(), StoreError>;
    /// Everybody, in order of their numbers, without vectors.
    fn list(&mut self) -> Result<Vec<KeptPerson>, StoreError>;
    /// Who was where, in order of time; of everybody or of one.
    fn sightings(&mut self, id: Option<u32>) -> Result<Vec<KeptSighting>, StoreError>;
    /// A person's picture: the bytes of a JPEG file.
    fn thumbnail(&mut self, id: u32) -> Result<Option<Vec<u8>>, StoreError>;
    /// The number of the person who once carried `id`.
    fn current(&mut self, id: u32) -> Result<Option<u32>, StoreError>;
}

/// What an archive is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Looking, also while a pipeline runs.
    Look,
    /// Correcting. A file is refused while a pipeline keeps it.
    Correct,
}
