//! Errors of a gallery's store, with the remedy.

use crate::core::identity::MAX_NAME_BYTES;

/// Why a gallery cannot be opened or written. `location` never contains a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum StoreError {
    #[error(
        "gallery-location \"{0}\" is not valid: use sqlite:///path/to/file, postgresql://user@host/database, or leave the property empty to keep the gallery in memory"
    )]
    Location(String),
    #[error(
        "{location} cannot be used: this gst-plugin-reid was built without the feature {feature}; build it with --features {feature}, or leave gallery-location empty to keep the gallery in memory"
    )]
    NotBuilt {
        location: String,
        feature: &'static str,
    },
    #[error("a gallery's name has at most {MAX_NAME_BYTES} bytes: choose a shorter gallery")]
    LongName,
    #[error(
        "{location} holds the gallery \"{ours}\" of another element: give both the same gallery, or another gallery-location"
    )]
    OtherName { location: String, ours: String },
    #[error("{location}: the folder does not exist; create it or change gallery-location")]
    NoFolder { location: String },
    #[error(
        "{location} cannot be opened: {cause}; check that the folder and the file may be read and written by this user"
    )]
    CannotOpen { location: String, cause: String },
    #[error(
        "{location} cannot be written: it is read-only; make the file and its folder writable for this user"
    )]
    ReadOnly { location: String },
    #[error(
        "{location} cannot be written: the disk is full; free some space. Pending changes are written then"
    )]
    Full { location: String },
    #[error("{location} is locked by another program: close it. The gallery retries automatically")]
    Locked { location: String },
    #[error(
        "{location} is in use by another process{by}: a file can be used by one process at a time; stop that process, use its action signals, or use postgresql:// to share a gallery"
    )]
    InUse { location: String, by: String },
    #[error(
        "{location} is damaged ({cause}): move the file away to start a new one, or restore a backup"
    )]
    Damaged { location: String, cause: String },
    #[error(
        "{location} is not a gallery: the file belongs to another program; choose another gallery-location"
    )]
    NotAGallery { location: String },
    #[error(
        "{location} was written by a newer version of this plugin (layout {found}, known up to {known}): update the plugin"
    )]
    Newer {
        location: String,
        found: i64,
        known: i64,
    },
    #[error(
        "{location} holds vectors of the model {theirs}, but reidembed uses {ours}: vectors of different models cannot be compared; use the model of the gallery, or another gallery-location"
    )]
    OtherModel {
        location: String,
        theirs: String,
        ours: String,
    },
    #[error(
        "{location} cannot be reached: {cause}; check the address and that the server runs. A running pipeline continues in memory and writes pending changes later"
    )]
    Unreachable { location: String, cause: String },
    #[error("{location} refused the login: {cause}; check user, password and permissions")]
    Denied { location: String, cause: String },
    #[error(
        "{location}: a person was forgotten and deleted, but their data may still be in the files of the tables: {cause}"
    )]
    NotErased { location: String, cause: String },
    #[error("{location}: {cause}")]
    Other { location: String, cause: String },
    #[error(
        "the thread that writes the gallery has failed: it continues in memory; please report the output above"
    )]
    Broken,
    #[error("{location} does not exist: no gallery was written there")]
    Missing { location: String },
}
