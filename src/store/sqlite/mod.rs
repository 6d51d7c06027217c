//! A gallery in a file of SQLite, written by one process at a time and read by any.
//!
//! Deleted rows are overwritten (`secure_delete`); the write-ahead log is truncated at once when a user asked for the
//! deletion. After a `kill -9` at most the last half second, which was not committed yet, is missing.
//! Ids are reserved on disk in blocks before they are assigned. A person who comes while no reserved id is left gets a
//! provisional id of this process, which the next reservation replaces.

mod fault;
mod open;
mod read;
mod rows;
mod write;

use std::{
    fs::File,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

pub(super) use self::open::Access;
use self::{
    fault::fault,
    rows::{fact, set_fact},
    write::write,
};
use super::{
    KeptPerson, KeptSighting, StoreError,
    backend::{Database, Records},
    encoding::{BATCH, BATCHES, first_provisional, signed},
    model_lock::ModelLock,
    records::wall_ns,
};
use crate::{
    core::{
        embedding::ModelFingerprint,
        identity::{Authority, Changes, Fate, Gallery, PROVISIONAL, Saved},
        person::IdentityId,
    },
    sync::lock,
};

/// Changes wait no longer than this.
const INTERVAL: Duration = Duration::from_millis(500);
/// How often old sightings are dropped and the log is emptied.
const SWEEP: Duration = Duration::from_secs(60);
/// Ids reserved in the file at a time. They are reserved before use, so that none is assigned twice.
const BLOCK: u32 = 512;
/// An open file.
pub(super) struct Sqlite {
    connection: Connection,
    location: String,
    model: Arc<ModelLock>,
    /// Every id below was reserved for this gallery or an earlier one, none from here on.
    mark: u32,
    /// The next provisional id, at the last check whether any was assigned.
    own_number: u32,
    /// Something was forgotten that the log may still hold.
    must_empty_log: bool,
    swept: Instant,
    /// Held while the file is written.
    _lock: Option<File>,
}

impl Sqlite {
    pub fn open(path: &Path, access: Access) -> Result<Self, StoreError> {
        let location = format!("sqlite://{}", path.display());
        open::check_path(path, &location, access)?;
        let guard = match access {
            Access::Read => None,
            Access::Keep | Access::Change => Some(open::take_lock(path, &location)?),
        };
        let connection = match access {
            Access::Read => open::look(path, &location)?,
            Access::Keep => open::write_to(path, &location, OpenFlags::SQLITE_OPEN_CREATE)?,
            Access::Change => open::write_to(path, &location, OpenFlags::empty())?,
        };
        Ok(Self {
            connection,
            model: Arc::default(),
            mark: 0,
            own_number: 0,
            must_empty_log: false,
            swept: Instant::now(),
            _lock: guard,
            location,
        })
    }

    /// Opens the database of a gallery; `model` is set to the model of its vectors.
    pub fn keep(path: &Path, model: Arc<ModelLock>) -> Result<Self, StoreError> {
        Ok(Self {
            model,
            ..Self::open(path, Access::Keep)?
        })
    }

    /// Fills a gallery that is kept here from now on. Returns whose vectors it holds.
    fn restore(&mut self, gallery: &mut Gallery) -> Result<Option<ModelFingerprint>, StoreError> {
        let fault = |error| fault(&self.location, error);
        // Left over where rows went and the process was killed before the person did.
        self.connection
            .execute_batch(
                "DELETE FROM identities WHERE name IS NULL AND id NOT IN (SELECT id FROM prototypes);
                 DELETE FROM thumbnails WHERE id NOT IN (SELECT id FROM identities);",
            )
            .map_err(fault)?;
        let facts = read::facts(&self.connection).map_err(fault)?;
        let model = facts.scales.first().map(|scale| scale.model);
        self.mark = facts.next_number.unwrap_or(1);
        gallery.begin_restore(facts.scales, wall_ns());
        // One at a time: nobody is in memory twice.
        let whole = read::each_person(&self.connection, "ORDER BY last_seen, id", |person| {
            gallery.adopt(person, Authority::Whole);
        });
        self.check_whole(whole)?;
        gallery.end_restore(None);
        gallery.number_from(first_provisional());
        let numbers = self.reserve_block(BLOCK)?;
        gallery.reserve_numbers(numbers);
        gallery.replace_provisional();
        self.own_number = gallery.upcoming_number();
        Ok(model)
    }

    /// Reserves ids that were never reserved before. The reservation is on disk when this returns.
    fn reserve_block(&mut self, count: u32) -> Result<Range<u32>, StoreError> {
        let first = self.mark;
        let mark = first.saturating_add(count).min(PROVISIONAL).max(first);
        // Elsewhere a power cut may undo the last commits: they are not waited for.
        let durably = |level: &str| self.connection.pragma_update(None, "synchronous", level);
        let written = durably("full")
            .and_then(|()| set_fact(&self.connection, "next_number", &mark.to_string()));
        durably("normal")
            .and(written)
            .map_err(|error| fault(&self.location, error))?;
        self.mark = mark;
        Ok(first..mark)
    }

    /// Reserves more ids before there are too few, and replaces provisional ones.
    fn keep_numbers(&mut self, gallery: &Mutex<Gallery>) -> Result<(), StoreError> {
        let provisional = {
            let gallery = lock(gallery);
            let gave_own = gallery.upcoming_number() != self.own_number;
            let is_low = gallery.reserved_numbers() < BLOCK / 2;
            if self.mark >= PROVISIONAL || !(gave_own || is_low) {
                return Ok(());
            }
            self.own_number = gallery.upcoming_number();
            gallery.provisional_people()
        };
        let numbers = self.reserve_block(BLOCK.saturating_add(provisional))?;
        let mut gallery = lock(gallery);
        gallery.reserve_numbers(numbers);
        gallery.replace_provisional();
        Ok(())
    }

    /// What the file of the model is called whose vectors are kept, if that was known.
    fn model_name(&self) -> Result<Option<String>, StoreError> {
        fact(&self.connection, "model_name").map_err(|error| fault(&self.location, error))
    }

    /// Refuses a file some of whose vectors are none.
    fn check_whole(&self, whole: rusqlite::Result<bool>) -> Result<(), StoreError> {
        match whole {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::Damaged {
                location: self.location.clone(),
                cause: "it holds vectors that are none".into(),
            }),
            Err(error) => Err(fault(&self.location, error)),
        }
    }

    /// One transaction. `taken` holds what it was to write; returns whether more is waiting.
    fn write_some(
        &mut self,
        gallery: &Mutex<Gallery>,
        taken: &mut Vec<Changes>,
    ) -> rusqlite::Result<bool> {
        let first = lock(gallery).take_changes(BATCH);
        if first.is_empty() {
            return Ok(false);
        }
        taken.push(first);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut forgot = false;
        let mut more = true;
        while let Some(changes) = taken.last() {
            write(&transaction, changes)?;
            forgot |= changes
                .gone
                .iter()
                .any(|(_, fate)| *fate == Fate::Forgotten);
            more = changes.people.len() >= BATCH;
            if !more || taken.len() >= BATCHES {
                break;
            }
            taken.push(lock(gallery).take_changes(BATCH));
        }
        transaction.commit()?;
        self.must_empty_log |= forgot;
        Ok(more)
    }

    /// Writes the log into the file and empties it.
    fn empty_log(&mut self) -> Result<(), StoreError> {
        let busy: i64 = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(|error| fault(&self.location, error))?;
        if busy != 0 {
            return Err(StoreError::Locked {
                location: self.location.clone(),
            });
        }
        self.must_empty_log = false;
        Ok(())
    }

    /// What needs doing now and then.
    fn sweep(&mut self, gallery: &Mutex<Gallery>) -> Result<(), StoreError> {
        if self.must_empty_log {
            self.empty_log()?;
        }
        if self.swept.elapsed() < SWEEP {
            return Ok(());
        }
        self.swept = Instant::now();
        let max_age = lock(gallery).config().max_age_ns;
        if let Some(max_age) = max_age {
            let oldest = signed(wall_ns().saturating_sub(max_age));
            self.connection
                .execute("DELETE FROM sightings WHERE ended < ?1", [oldest])
                .map_err(|error| fault(&self.location, error))?;
        }
        // A reader may be at it: the next sweep will do.
        let _ = self.empty_log();
        Ok(())
    }
}

impl Database for Sqlite {
    fn begin(&mut self, gallery: &Mutex<Gallery>) -> Result<(), StoreError> {
        if let Some(theirs) = self.restore(&mut lock(gallery))? {
            // Nobody was admitted before: it cannot be refused.
            let _ = self.model.admit_kept(theirs, self.model_name()?);
        }
        Ok(())
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn sync(&mut self, gallery: &Mutex<Gallery>, _asked: bool) -> Result<(), StoreError> {
        lock(gallery).idle(wall_ns());
        self.keep_numbers(gallery)?;
        loop {
            let mut taken = Vec::new();
            match self.write_some(gallery, &mut taken) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    let mut gallery = lock(gallery);
                    taken.iter().for_each(|changes| gallery.put_back(changes));
                    return Err(fault(&self.location, error));
                }
            }
        }
        self.sweep(gallery)
    }

    fn close(&mut self, gallery: &Mutex<Gallery>) -> Result<(), StoreError> {
        self.sync(gallery, true)?;
        let next = lock(gallery).first_reserved().unwrap_or(self.mark);
        set_fact(&self.connection, "next_number", &next.to_string())
            .map_err(|error| fault(&self.location, error))?;
        self.empty_log()
    }
}

impl Records for Sqlite {
    fn load(&mut self, only: &[IdentityId]) -> Result<Saved, StoreError> {
        let ids: Vec<String> = only.iter().map(|id| id.0.to_string()).collect();
        let condition = format!("WHERE id IN ({})", ids.join(","));
        let mut saved =
            read::facts(&self.connection).map_err(|error| fault(&self.location, error))?;
        let whole = read::each_person(&self.connection, &condition, |person| {
            saved.people.push(person);
        });
        self.check_whole(whole)?;
        Ok(saved)
    }

    fn write(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let location = self.location.clone();
        let fault = |error| fault(&location, error);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(fault)?;
        write(&transaction, changes).map_err(fault)?;
        set_fact(
            &transaction,
            "next_number",
            &changes.next_number.to_string(),
        )
        .map_err(fault)?;
        transaction.commit().map_err(fault)?;
        self.empty_log()
    }

    fn import(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let kept = read::facts(&self.connection).map_err(|error| fault(&self.location, error))?;
        let next = kept.next_number.unwrap_or(1).max(changes.next_number);
        Records::write(
            self,
            &Changes {
                next_number: next,
                ..changes.clone()
            },
        )
    }

    fn list(&mut self) -> Result<Vec<KeptPerson>, StoreError> {
        read::list(&self.connection).map_err(|error| fault(&self.location, error))
    }

    fn sightings(&mut self, id: Option<u32>) -> Result<Vec<KeptSighting>, StoreError> {
        read::sightings(&self.connection, id).map_err(|error| fault(&self.location, error))
    }

    fn thumbnail(&mut self, id: u32) -> Result<Option<Vec<u8>>, StoreError> {
        read::thumbnail(&self.connection, id).map_err(|error| fault(&self.location, error))
    }

    fn current(&mut self, id: u32) -> Result<Option<u32>, StoreError> {
        read::current(&self.connection, id).map_err(|error| fault(&self.location, error))
    }
}
