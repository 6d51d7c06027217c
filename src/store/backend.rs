//! What a kind of store has to be able to do. Those who use stores and those who are one know this, and not each other.

use std::{ops::Range, sync::Mutex, time::Duration};

use super::{KeptPerson, KeptSighting, StoreError};
use crate::core::{
    identity::{Changes, Gallery, Saved},
    person::IdentityId,
};

/// A database that keeps a gallery.
pub(super) trait Database: Send {
    /// Fills `gallery`, which nobody uses yet, with what is kept. A store that is only out of reach for now is no error.
    fn begin(&mut self, gallery: &Mutex<Gallery>) -> Result<(), StoreError>;
    /// How long changes may wait.
    fn interval(&self) -> Duration;
    /// Writes what changed, takes in what others changed; all of it when somebody `asked`, else what is due. On failure
    /// everything that was taken is put back.
    fn exchange(&mut self, gallery: &Mutex<Gallery>, asked: bool) -> Result<(), StoreError>;
    /// The last exchange.
    fn close(&mut self, gallery: &Mutex<Gallery>) -> Result<(), StoreError>;
}

/// A database as a heap of records.
pub(super) trait Records {
    /// Some people.
    fn load(&mut self, only: &[IdentityId]) -> Result<Saved, StoreError>;
    /// A number for somebody new, where others may be giving numbers, too.
    fn reserve(&mut self) -> Result<Option<Range<u32>>, StoreError> {
        Ok(None)
    }
    /// Writes a user's corrections, in one transaction and for good.
    fn write(&mut self, changes: &Changes) -> Result<(), StoreError>;
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
