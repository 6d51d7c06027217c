//! Opens a file: the lock for writing, its layout, and the check that it is a gallery.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};

use super::fault::fault;
use crate::store::StoreError;

/// How long to wait for another program's lock.
const BUSY: Duration = Duration::from_secs(2);
/// How long to wait for this process's own earlier use of the file to end.
const HANDOVER: Duration = Duration::from_secs(1);
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
pub enum Access {
    /// Looking; beside the process that keeps it.
    Read,
    /// Keeping a gallery in it; makes it when it is not there.
    Keep,
    /// Changing what is in it.
    Change,
}

/// Refuses a path at which no gallery can be.
pub(super) fn check_path(path: &Path, location: &str, access: Access) -> Result<(), StoreError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(StoreError::NoFolder {
            location: location.to_owned(),
        });
    }
    if path.is_dir() {
        return Err(StoreError::NotAGallery {
            location: location.to_owned(),
        });
    }
    if access != Access::Keep && !path.exists() {
        return Err(StoreError::Missing {
            location: location.to_owned(),
        });
    }
    Ok(())
}

/// The right to write the file, held until the returned file is closed. The lock is the kernel's: it ends with the
/// process, however that ends.
pub(super) fn take_lock(path: &Path, location: &str) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let refused = |error: std::io::Error| match error.kind() {
        ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly {
            location: location.to_owned(),
        },
        ErrorKind::StorageFull => StoreError::Full {
            location: location.to_owned(),
        },
        _ => StoreError::CannotOpen {
            location: location.to_owned(),
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
                    location: location.to_owned(),
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
pub(super) fn write_to(
    path: &Path,
    location: &str,
    flags: OpenFlags,
) -> Result<Connection, StoreError> {
    let fault = |error| fault(location, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | flags;
    let connection = Connection::open_with_flags(path, flags).map_err(fault)?;
    connection.busy_timeout(BUSY).map_err(fault)?;
    let version = version(&connection, location)?;
    prepare(&connection, version).map_err(fault)?;
    Ok(connection)
}

/// A connection that only looks.
pub(super) fn look(path: &Path, location: &str) -> Result<Connection, StoreError> {
    let fault = |error| fault(location, error);
    // Even looking takes part in the log beside the file.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(fault)?;
    connection.busy_timeout(BUSY).map_err(fault)?;
    match version(&connection, location) {
        Ok(_) => {
            connection
                .pragma_update(None, "query_only", true)
                .map_err(fault)?;
            Ok(connection)
        }
        Err(StoreError::ReadOnly { .. } | StoreError::CannotOpen { .. }) if !has_log(path) => {
            look_at_rest(path, location)
        }
        Err(error) => Err(error),
    }
}

/// The same where this user may write nothing: possible while nobody keeps the file.
fn look_at_rest(path: &Path, location: &str) -> Result<Connection, StoreError> {
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
        .map_err(|error| fault(location, error))?;
    version(&connection, location)?;
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
fn version(connection: &Connection, location: &str) -> Result<usize, StoreError> {
    let fault = |error| fault(location, error);
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(fault)?;
    let application = pragma("application_id").map_err(fault)?;
    if tables > 0 && application != APPLICATION {
        return Err(StoreError::NotAGallery {
            location: location.to_owned(),
        });
    }
    let found = pragma("user_version").map_err(fault)?;
    match usize::try_from(found) {
        Ok(version) if version <= MIGRATIONS.len() => Ok(version),
        _ => Err(StoreError::Newer {
            location: location.to_owned(),
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
