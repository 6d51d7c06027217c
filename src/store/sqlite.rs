//! A gallery in a file of SQLite, written by one process at a time and read by any.
//!
//! What is deleted is overwritten (`secure_delete`), and where a user asked for it the write-ahead log is emptied at
//! once. The log makes a `kill -9` harmless: what was not committed, at most the last half second, was never there.
//! Numbers are given only after they were promised to the disk; whoever comes while no promise is left gets a number of
//! the process's own making, which the next promise replaces.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{ErrorKind, Read, Write},
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Statement, ToSql, TransactionBehavior,
    params,
};

use super::{
    KeptPerson, KeptSighting, StoreError,
    backend::{Database, Records},
    encoding::{
        BATCH, BATCHES, MAX_SIGHTINGS, first_provisional, shared_name, signed, thumbnail_to_jpeg,
        unsigned, vector_from_bytes, vector_to_bytes,
    },
    model_lock::ModelLock,
    records::wall_ns,
};
use crate::{
    core::{
        embedding::ModelFingerprint,
        identity::{
            Authority, Changes, Fate, Gallery, Move, PROVISIONAL, Part, Saved, SavedPerson,
            SavedRow, SavedScale, SavedSighting, SavedThumbnail,
        },
        person::IdentityId,
    },
    inference::embedder::model_name,
    sync::lock,
};

/// Changes wait no longer than this.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long to wait for another program's lock.
const BUSY: Duration = Duration::from_secs(2);
/// How long to wait for this process's own earlier use of the file to end.
const HANDOVER: Duration = Duration::from_secs(1);
/// How often old sightings are dropped and the log is emptied.
const SWEEP: Duration = Duration::from_secs(60);
/// Numbers are promised to the file before use, so many at once: whatever happens, none is given twice.
const BLOCK: u32 = 512;
/// Bytes of a page of a new file: three vectors of 512 numbers fit.
const PAGE: i64 = 8192;
/// "Reid" in the file's header says whose it is.
const APPLICATION: i64 = 0x5265_6964;
/// One script for each version of the layout, applied in order.
const MIGRATIONS: [&str; 2] = [
    "
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE identities (
    id INTEGER PRIMARY KEY, name TEXT, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL, apart BLOB NOT NULL);
CREATE TABLE former_numbers (former INTEGER PRIMARY KEY, id INTEGER NOT NULL, position INTEGER NOT NULL);
CREATE INDEX former_numbers_by_id ON former_numbers (id, position);
CREATE TABLE prototypes (
    id INTEGER NOT NULL, row INTEGER NOT NULL, camera TEXT NOT NULL, origin INTEGER NOT NULL, quality REAL NOT NULL,
    vector BLOB NOT NULL, PRIMARY KEY (id, row));
CREATE TABLE sightings (
    id INTEGER NOT NULL, camera TEXT NOT NULL, begun INTEGER NOT NULL, ended INTEGER NOT NULL,
    PRIMARY KEY (id, camera, begun)) WITHOUT ROWID;
CREATE INDEX sightings_by_time ON sightings (id, begun);
",
    "
CREATE TABLE thumbnails (
    id INTEGER PRIMARY KEY, camera TEXT NOT NULL, origin INTEGER NOT NULL, quality REAL NOT NULL, jpeg BLOB NOT NULL);
",
];

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Looking; beside the process that keeps it.
    Read,
    /// Keeping a gallery in it; makes it when it is not there.
    Keep,
    /// Changing what is in it.
    Change,
}

/// An open file.
pub(super) struct Sqlite {
    connection: Connection,
    place: String,
    model: Arc<ModelLock>,
    /// Every number below was promised to this gallery or one before, none from here on.
    mark: u32,
    /// The next number of this process's own making, when it was last looked whether any was given.
    own_number: u32,
    /// Something was forgotten that the log may still hold.
    must_empty_log: bool,
    swept: Instant,
    /// Held while the file is written.
    _lock: Option<File>,
}

impl Sqlite {
    pub fn open(path: &Path, access: Access) -> Result<Self, StoreError> {
        let place = format!("sqlite://{}", path.display());
        check_path(path, &place, access)?;
        let guard = match access {
            Access::Read => None,
            Access::Keep | Access::Change => Some(take_lock(path, &place)?),
        };
        let connection = match access {
            Access::Read => look(path, &place)?,
            Access::Keep => write_to(path, &place, OpenFlags::SQLITE_OPEN_CREATE)?,
            Access::Change => write_to(path, &place, OpenFlags::empty())?,
        };
        Ok(Self {
            connection,
            model: Arc::default(),
            mark: 0,
            own_number: 0,
            must_empty_log: false,
            swept: Instant::now(),
            _lock: guard,
            place,
        })
    }

    /// Opens what is to keep a gallery; `model` is told whose vectors it holds.
    pub fn keep(path: &Path, model: Arc<ModelLock>) -> Result<Self, StoreError> {
        Ok(Self {
            model,
            ..Self::open(path, Access::Keep)?
        })
    }

    /// Fills a gallery that is kept here from now on. Returns whose vectors it holds.
    fn restore(&mut self, gallery: &mut Gallery) -> Result<Option<ModelFingerprint>, StoreError> {
        let fault = |error| fault(&self.place, error);
        // Left over where rows went and the process was killed before the person did.
        self.connection
            .execute_batch(
                "DELETE FROM identities WHERE name IS NULL AND id NOT IN (SELECT id FROM prototypes);
                 DELETE FROM thumbnails WHERE id NOT IN (SELECT id FROM identities);",
            )
            .map_err(fault)?;
        let facts = facts(&self.connection).map_err(fault)?;
        let model = facts.scales.first().map(|scale| scale.model);
        self.mark = facts.next_number.unwrap_or(1);
        gallery.begin_restore(facts.scales, wall_ns());
        // One at a time: nobody is in memory twice.
        let whole = each_person(&self.connection, "ORDER BY last_seen, id", |person| {
            gallery.adopt(person, Authority::Whole);
        });
        self.check_whole(whole)?;
        gallery.end_restore(None);
        gallery.number_from(first_provisional());
        let numbers = self.promise(BLOCK)?;
        gallery.reserve_numbers(numbers);
        gallery.replace_provisional();
        self.own_number = gallery.upcoming_number();
        Ok(model)
    }

    /// Numbers that nobody was promised before. They are on the disk when this returns.
    fn promise(&mut self, count: u32) -> Result<Range<u32>, StoreError> {
        let first = self.mark;
        let mark = first.saturating_add(count).min(PROVISIONAL).max(first);
        // Elsewhere a power cut may undo the last commits: they are not waited for.
        let durably = |level: &str| self.connection.pragma_update(None, "synchronous", level);
        let written = durably("full")
            .and_then(|()| set_fact(&self.connection, "next_number", &mark.to_string()));
        durably("normal")
            .and(written)
            .map_err(|error| fault(&self.place, error))?;
        self.mark = mark;
        Ok(first..mark)
    }

    /// Sets numbers aside before there are too few, and replaces those that were given without a promise.
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
        let numbers = self.promise(BLOCK.saturating_add(provisional))?;
        let mut gallery = lock(gallery);
        gallery.reserve_numbers(numbers);
        gallery.replace_provisional();
        Ok(())
    }

    /// What the file of the model is called whose vectors are kept, if that was known.
    fn model_name(&self) -> Result<Option<String>, StoreError> {
        fact(&self.connection, "model_name").map_err(|error| fault(&self.place, error))
    }

    /// Refuses a file some of whose vectors are none.
    fn check_whole(&self, whole: rusqlite::Result<bool>) -> Result<(), StoreError> {
        match whole {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::Damaged {
                place: self.place.clone(),
                cause: "it holds vectors that are none".into(),
            }),
            Err(error) => Err(fault(&self.place, error)),
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
            .map_err(|error| fault(&self.place, error))?;
        if busy != 0 {
            return Err(StoreError::Locked {
                place: self.place.clone(),
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
                .map_err(|error| fault(&self.place, error))?;
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

    fn exchange(&mut self, gallery: &Mutex<Gallery>, _asked: bool) -> Result<(), StoreError> {
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
                    return Err(fault(&self.place, error));
                }
            }
        }
        self.sweep(gallery)
    }

    fn close(&mut self, gallery: &Mutex<Gallery>) -> Result<(), StoreError> {
        self.exchange(gallery, true)?;
        let next = lock(gallery).first_reserved().unwrap_or(self.mark);
        set_fact(&self.connection, "next_number", &next.to_string())
            .map_err(|error| fault(&self.place, error))?;
        self.empty_log()
    }
}

impl Records for Sqlite {
    fn load(&mut self, only: &[IdentityId]) -> Result<Saved, StoreError> {
        let ids: Vec<String> = only.iter().map(|id| id.0.to_string()).collect();
        let condition = format!("WHERE id IN ({})", ids.join(","));
        let mut saved = facts(&self.connection).map_err(|error| fault(&self.place, error))?;
        let whole = each_person(&self.connection, &condition, |person| {
            saved.people.push(person);
        });
        self.check_whole(whole)?;
        Ok(saved)
    }

    fn write(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let place = self.place.clone();
        let fault = |error| fault(&place, error);
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

    fn list(&mut self) -> Result<Vec<KeptPerson>, StoreError> {
        list(&self.connection).map_err(|error| fault(&self.place, error))
    }

    fn sightings(&mut self, id: Option<u32>) -> Result<Vec<KeptSighting>, StoreError> {
        sightings(&self.connection, id).map_err(|error| fault(&self.place, error))
    }

    fn thumbnail(&mut self, id: u32) -> Result<Option<Vec<u8>>, StoreError> {
        thumbnail(&self.connection, id).map_err(|error| fault(&self.place, error))
    }

    fn current(&mut self, id: u32) -> Result<Option<u32>, StoreError> {
        self.connection
            .query_row(
                "SELECT id FROM former_numbers WHERE former = ?1",
                [id],
                |row| row.get(0),
            )
            .optional()
            .map_err(|error| fault(&self.place, error))
    }
}

// ---- opening ----

fn check_path(path: &Path, place: &str, access: Access) -> Result<(), StoreError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(StoreError::NoFolder {
            place: place.to_owned(),
        });
    }
    if path.is_dir() {
        return Err(StoreError::NotAGallery {
            place: place.to_owned(),
        });
    }
    if access != Access::Keep && !path.exists() {
        return Err(StoreError::Missing {
            place: place.to_owned(),
        });
    }
    Ok(())
}

/// The right to write the file, held until the returned file is closed. The lock is the kernel's: it ends with the
/// process, however that ends.
fn take_lock(path: &Path, place: &str) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let refused = |error: std::io::Error| match error.kind() {
        ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly {
            place: place.to_owned(),
        },
        ErrorKind::StorageFull => StoreError::Full {
            place: place.to_owned(),
        },
        _ => StoreError::CannotOpen {
            place: place.to_owned(),
            cause: error.to_string(),
        },
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(PathBuf::from(name))
        .map_err(refused)?;
    let end = Instant::now() + HANDOVER;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let holder = holder.trim().parse::<u32>();
                return Err(StoreError::InUse {
                    place: place.to_owned(),
                    by: holder.map_or_else(|_| String::new(), |pid| format!(" ({pid})")),
                });
            }
            Err(TryLockError::Error(error)) => return Err(refused(error)),
        }
    }
    // Only told to others: on a full disk nobody can be told.
    let _ = file.set_len(0);
    let _ = write!(file, "{}", std::process::id());
    Ok(file)
}

/// A connection that writes, to a file of the newest layout.
fn write_to(path: &Path, place: &str, flags: OpenFlags) -> Result<Connection, StoreError> {
    let fault = |error| fault(place, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | flags;
    let connection = Connection::open_with_flags(path, flags).map_err(fault)?;
    connection.busy_timeout(BUSY).map_err(fault)?;
    let version = version(&connection, place)?;
    prepare(&connection, version).map_err(fault)?;
    Ok(connection)
}

/// A connection that only looks.
fn look(path: &Path, place: &str) -> Result<Connection, StoreError> {
    let fault = |error| fault(place, error);
    // Even looking takes part in the log beside the file.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(fault)?;
    connection.busy_timeout(BUSY).map_err(fault)?;
    match version(&connection, place) {
        Ok(_) => {
            connection
                .pragma_update(None, "query_only", true)
                .map_err(fault)?;
            Ok(connection)
        }
        Err(StoreError::ReadOnly { .. } | StoreError::CannotOpen { .. }) if !has_log(path) => {
            look_at_rest(path, place)
        }
        Err(error) => Err(error),
    }
}

/// The same where this user may write nothing: possible while nobody keeps the file.
fn look_at_rest(path: &Path, place: &str) -> Result<Connection, StoreError> {
    let escaped: String = path
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .map(|byte| match byte {
            b'/' | b'.' | b'-' | b'_' => char::from(*byte).to_string(),
            byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)
        .map_err(|error| fault(place, error))?;
    version(&connection, place)?;
    Ok(connection)
}

/// Whether changes wait in the log beside the file.
fn has_log(path: &Path) -> bool {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
        .metadata()
        .is_ok_and(|log| log.len() > 0)
}

/// The version of the file's layout; refuses what is no gallery or one from the future.
fn version(connection: &Connection, place: &str) -> Result<usize, StoreError> {
    let fault = |error| fault(place, error);
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(fault)?;
    let application = pragma("application_id").map_err(fault)?;
    if tables > 0 && application != APPLICATION {
        return Err(StoreError::NotAGallery {
            place: place.to_owned(),
        });
    }
    let found = pragma("user_version").map_err(fault)?;
    match usize::try_from(found) {
        Ok(version) if version <= MIGRATIONS.len() => Ok(version),
        _ => Err(StoreError::Newer {
            place: place.to_owned(),
            found,
            known: MIGRATIONS.len() as i64,
        }),
    }
}

/// Settings of the connection, and the newest layout.
fn prepare(connection: &Connection, version: usize) -> rusqlite::Result<()> {
    // Counts for new files only. A vector of 512 numbers leaves half of a page of the usual size empty.
    connection.pragma_update(None, "page_size", PAGE)?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "normal")?;
    for (index, script) in MIGRATIONS.iter().enumerate().skip(version) {
        let next = index + 1;
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {script} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {next}; COMMIT;"
        ))?;
    }
    Ok(())
}

/// What an error of SQLite means for the user.
fn fault(place: &str, error: rusqlite::Error) -> StoreError {
    let place = place.to_owned();
    let cause = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full { place },
        Some(ErrorCode::ReadOnly) => StoreError::ReadOnly { place },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked { place },
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Damaged { place, cause },
        Some(ErrorCode::NotADatabase) => StoreError::NotAGallery { place },
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            StoreError::CannotOpen { place, cause }
        }
        _ => StoreError::Other { place, cause },
    }
}

// ---- writing ----

/// Tables whose rows belong to the person `id`.
const TABLES_OF_PEOPLE: [&str; 5] = [
    "sightings",
    "prototypes",
    "thumbnails",
    "former_numbers",
    "identities",
];

fn set_fact(connection: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO facts VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )?
        .execute([name, value])?;
    Ok(())
}

fn fact(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    connection
        .query_row("SELECT value FROM facts WHERE name = ?1", [name], |row| {
            row.get(0)
        })
        .optional()
}

fn write(connection: &Connection, changes: &Changes) -> rusqlite::Result<()> {
    for person in &changes.people {
        write_person(connection, person)?;
    }
    for moved in &changes.moves {
        write_move(connection, moved)?;
    }
    for &(id, fate) in &changes.gone {
        erase(connection, id, fate)?;
    }
    if !changes.gone.is_empty() {
        // What scores mean was learnt from these people; without them another model may come.
        connection
            .prepare_cached(
                "DELETE FROM facts WHERE name IN ('scale', 'dimension', 'model', 'model_name')
                 AND NOT EXISTS (SELECT 1 FROM identities)",
            )?
            .execute([])?;
    }
    for sighting in &changes.sightings {
        write_sighting(connection, sighting)?;
    }
    for (id, thumbnail) in &changes.thumbnails {
        write_thumbnail(connection, *id, thumbnail)?;
    }
    if let Some(scale) = changes
        .scales
        .first()
        .filter(|_| !changes.people.is_empty())
    {
        set_fact(connection, "model", &format!("{:016x}", scale.model.0))?;
        if let Some(name) = model_name(scale.model) {
            set_fact(connection, "model_name", &name)?;
        }
        set_fact(connection, "dimension", &scale.dimension.to_string())?;
        // The scale's own numbers are finite: a plain record of them cannot fail to be written.
        let json = serde_json::to_string(&scale.scale).unwrap_or_default();
        set_fact(connection, "scale", &json)?;
    }
    Ok(())
}

fn write_person(connection: &Connection, person: &SavedPerson) -> rusqlite::Result<()> {
    let id = person.id.0;
    connection
        .prepare_cached(
            "INSERT INTO identities VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE SET
             name = excluded.name, first_seen = excluded.first_seen, last_seen = excluded.last_seen, apart = excluded.apart",
        )?
        .execute(params![
            id,
            person.name.as_deref(),
            signed(person.first_ns),
            signed(person.last_ns),
            ids_to_bytes(&person.apart)
        ])?;
    connection
        .prepare_cached("DELETE FROM former_numbers WHERE id = ?1")?
        .execute([id])?;
    for (position, former) in person.previous.iter().enumerate() {
        connection
            .prepare_cached("INSERT OR REPLACE INTO former_numbers VALUES (?1, ?2, ?3)")?
            .execute(params![former.0, id, position as i64])?;
    }
    for (index, row) in person.rows.iter().enumerate() {
        // Most rows stay as they are: what is equal is not written again.
        connection
            .prepare_cached(
                "INSERT INTO prototypes VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id, row) DO UPDATE SET
                 camera = excluded.camera, origin = excluded.origin, quality = excluded.quality, vector = excluded.vector
                 WHERE vector != excluded.vector OR quality != excluded.quality OR camera != excluded.camera",
            )?
            .execute(params![
                id,
                index as i64,
                &*row.camera,
                row.origin.0,
                f64::from(row.weight),
                vector_to_bytes(&row.vector)
            ])?;
    }
    connection
        .prepare_cached("DELETE FROM prototypes WHERE id = ?1 AND row >= ?2")?
        .execute(params![id, person.rows.len() as i64])?;
    Ok(())
}

/// The better picture stays.
fn write_thumbnail(
    connection: &Connection,
    id: IdentityId,
    thumbnail: &SavedThumbnail,
) -> rusqlite::Result<()> {
    let Some(jpeg) = thumbnail_to_jpeg(&thumbnail.picture) else {
        return Ok(());
    };
    connection
        .prepare_cached(&format!(
            "INSERT INTO thumbnails VALUES (?1, ?2, ?3, ?4, ?5) {BETTER_THUMBNAIL}"
        ))?
        .execute(params![
            id.0,
            &*thumbnail.camera,
            thumbnail.origin.0,
            f64::from(thumbnail.quality),
            jpeg
        ])?;
    Ok(())
}

/// What becomes of a picture where there is one already.
const BETTER_THUMBNAIL: &str = "ON CONFLICT (id) DO UPDATE SET
    camera = excluded.camera, origin = excluded.origin, quality = excluded.quality, jpeg = excluded.jpeg
    WHERE excluded.quality >= thumbnails.quality";

/// Gives what is kept of one person to another.
fn write_move(connection: &Connection, moved: &Move) -> rusqlite::Result<()> {
    let (from, into) = (moved.from.0, moved.into.0);
    // The picture goes where the condition holds.
    let (condition, value): (&str, Box<dyn ToSql>) = match &moved.part {
        Part::Camera(name) => ("camera = ?2", Box::new(name.to_string())),
        Part::Origin(origin) => ("origin = ?2", Box::new(origin.0)),
        Part::Picture => ("?2", Box::new(1)),
    };
    if let Part::Camera(name) = &moved.part {
        connection
            .prepare_cached(
                "INSERT INTO sightings SELECT ?3, camera, begun, ended FROM sightings WHERE id = ?1 AND camera = ?2
                 ON CONFLICT (id, camera, begun) DO UPDATE SET ended = max(ended, excluded.ended)",
            )?
            .execute(params![from, &**name, into])?;
        connection
            .prepare_cached("DELETE FROM sightings WHERE id = ?1 AND camera = ?2")?
            .execute(params![from, &**name])?;
    }
    connection
        .prepare_cached(&format!(
            "INSERT INTO thumbnails SELECT ?3, camera, origin, quality, jpeg FROM thumbnails
             WHERE id = ?1 AND {condition} {BETTER_THUMBNAIL}"
        ))?
        .execute(params![from, value, into])?;
    connection
        .prepare_cached(&format!(
            "DELETE FROM thumbnails WHERE id = ?1 AND {condition}"
        ))?
        .execute(params![from, value])?;
    Ok(())
}

/// Removes a number; its sightings and its picture go with the person where there still is one.
fn erase(connection: &Connection, id: IdentityId, fate: Fate) -> rusqlite::Result<()> {
    if let Fate::Merged(into) = fate {
        connection
            .prepare_cached("UPDATE OR IGNORE sightings SET id = ?2 WHERE id = ?1")?
            .execute([id.0, into.0])?;
        connection
            .prepare_cached(&format!(
                "INSERT INTO thumbnails SELECT ?2, camera, origin, quality, jpeg FROM thumbnails WHERE id = ?1
                 {BETTER_THUMBNAIL}"
            ))?
            .execute([id.0, into.0])?;
    }
    for table in TABLES_OF_PEOPLE {
        connection
            .prepare_cached(&format!("DELETE FROM {table} WHERE id = ?1"))?
            .execute([id.0])?;
    }
    Ok(())
}

fn write_sighting(connection: &Connection, sighting: &SavedSighting) -> rusqlite::Result<()> {
    let (id, begun) = (sighting.id.0, signed(sighting.from_ns));
    connection
        .prepare_cached(
            "INSERT INTO sightings VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id, camera, begun) DO UPDATE SET ended = max(ended, excluded.ended)",
        )?
        .execute(params![
            id,
            &*sighting.camera,
            begun,
            signed(sighting.to_ns)
        ])?;
    connection
        .prepare_cached(
            "DELETE FROM sightings WHERE id = ?1 AND begun <
             (SELECT begun FROM sightings WHERE id = ?1 ORDER BY begun DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![id, MAX_SIGHTINGS - 1])?;
    Ok(())
}

// ---- reading ----

/// Numbers of people as bytes: 32 bits each, little endian.
fn ids_to_bytes(ids: &[IdentityId]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.0.to_le_bytes()).collect()
}

/// And back.
fn ids_from_bytes(bytes: &[u8]) -> Vec<IdentityId> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers
        .iter()
        .map(|b| IdentityId(u32::from_le_bytes(*b)))
        .collect()
}

/// Everything but people.
fn facts(connection: &Connection) -> rusqlite::Result<Saved> {
    let number = |name| -> rusqlite::Result<Option<u32>> {
        Ok(fact(connection, name)?.and_then(|value| value.parse().ok()))
    };
    let scale = fact(connection, "scale")?.and_then(|json| serde_json::from_str(&json).ok());
    let mut saved = Saved {
        next_number: Some(number("next_number")?.unwrap_or(1)),
        ..Saved::default()
    };
    if let (Some(scale), Some(dimension)) = (scale, number("dimension")?) {
        saved.scales.push(SavedScale {
            model: model(connection)?,
            dimension: dimension as usize,
            scale,
        });
    }
    Ok(saved)
}

/// Whose vectors are kept.
fn model(connection: &Connection) -> rusqlite::Result<ModelFingerprint> {
    let hex = fact(connection, "model")?;
    let model = hex.and_then(|hex| u64::from_str_radix(&hex, 16).ok());
    Ok(ModelFingerprint(model.unwrap_or(0)))
}

/// Hands over one person after the other; false when a vector is none, and nobody after that.
fn each_person(
    connection: &Connection,
    selection: &str,
    mut take: impl FnMut(SavedPerson),
) -> rusqlite::Result<bool> {
    let model = model(connection)?;
    let mut former =
        connection.prepare("SELECT former FROM former_numbers WHERE id = ?1 ORDER BY position")?;
    let mut vectors = connection.prepare(
        "SELECT camera, origin, quality, vector FROM prototypes WHERE id = ?1 ORDER BY row",
    )?;
    let mut query = connection.prepare(&format!(
        "SELECT id, name, first_seen, last_seen, apart FROM identities {selection}"
    ))?;
    let mut found = query.query([])?;
    while let Some(row) = found.next()? {
        let id: u32 = row.get(0)?;
        let previous: rusqlite::Result<Vec<IdentityId>> = former
            .query_map([id], |row| row.get(0).map(IdentityId))?
            .collect();
        let Some(rows) = rows_of(&mut vectors, id, model)? else {
            return Ok(false);
        };
        take(SavedPerson {
            id: IdentityId(id),
            name: shared_name(row.get(1)?),
            previous: previous?.into(),
            apart: ids_from_bytes(row.get_ref(4)?.as_blob()?),
            first_ns: unsigned(row.get(2)?),
            last_ns: unsigned(row.get(3)?),
            rows,
            is_new: false,
        });
    }
    Ok(true)
}

/// What a person looks like; `None` when a vector is none.
fn rows_of(
    vectors: &mut Statement<'_>,
    id: u32,
    model: ModelFingerprint,
) -> rusqlite::Result<Option<Vec<SavedRow>>> {
    let mut found = vectors.query([id])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let Some(vector) = vector_from_bytes(row.get_ref(3)?.as_blob()?, model) else {
            return Ok(None);
        };
        rows.push(SavedRow {
            camera: row.get::<_, String>(0)?.into(),
            origin: IdentityId(row.get(1)?),
            weight: row.get::<_, f64>(2)? as f32,
            vector,
        });
    }
    Ok(Some(rows))
}

fn list(connection: &Connection) -> rusqlite::Result<Vec<KeptPerson>> {
    let mut former =
        connection.prepare("SELECT former FROM former_numbers WHERE id = ?1 ORDER BY position")?;
    let mut cameras = connection
        .prepare("SELECT DISTINCT camera FROM sightings WHERE id = ?1 ORDER BY camera")?;
    let mut query = connection.prepare(
        "SELECT id, name, first_seen, last_seen,
         (SELECT count(*) FROM prototypes WHERE prototypes.id = identities.id) FROM identities ORDER BY id",
    )?;
    let mut rows = query.query([])?;
    let mut people = Vec::new();
    while let Some(row) = rows.next()? {
        let id: u32 = row.get(0)?;
        let former: rusqlite::Result<_> = former.query_map([id], |row| row.get(0))?.collect();
        let cameras: rusqlite::Result<_> = cameras.query_map([id], |row| row.get(0))?.collect();
        people.push(KeptPerson {
            id,
            name: row.get(1)?,
            previous_ids: former?,
            first_seen_ns: row.get(2)?,
            last_seen_ns: row.get(3)?,
            vectors: row.get(4)?,
            cameras: cameras?,
        });
    }
    Ok(people)
}

fn thumbnail(connection: &Connection, id: u32) -> rusqlite::Result<Option<Vec<u8>>> {
    // A file of an older layout that is only looked at has none.
    let tables: i64 = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE name = 'thumbnails'",
        [],
        |row| row.get(0),
    )?;
    if tables == 0 {
        return Ok(None);
    }
    let query = "SELECT jpeg FROM thumbnails WHERE id = ?1";
    connection
        .query_row(query, [id], |row| row.get(0))
        .optional()
}

fn sightings(connection: &Connection, id: Option<u32>) -> rusqlite::Result<Vec<KeptSighting>> {
    let mut query = connection.prepare(
        "SELECT id, camera, begun, ended FROM sightings WHERE ?1 IS NULL OR id = ?1 ORDER BY begun, id, camera",
    )?;
    let rows = query.query_map([id], |row| {
        Ok(KeptSighting {
            id: row.get(0)?,
            camera: row.get(1)?,
            from_ns: row.get(2)?,
            to_ns: row.get(3)?,
        })
    })?;
    rows.collect()
}
