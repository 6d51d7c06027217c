//! What can go wrong with a gallery's place, said so that a user knows what to do.

use crate::core::identity::MAX_NAME_BYTES;

/// Why a gallery cannot be opened or written. `place` never holds a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum StoreError {
    #[error(
        "gallery-location \"{0}\" names no place for a gallery: use sqlite:///path/to/file, postgresql://user@host/database, or leave the property empty to keep the gallery in memory"
    )]
    Location(String),
    #[error(
        "{place} cannot be used: this gst-plugin-reid was built without the feature {feature}; build it with --features {feature}, or leave gallery-location empty to keep the gallery in memory"
    )]
    NotBuilt {
        place: String,
        feature: &'static str,
    },
    #[error("a gallery's name has at most {MAX_NAME_BYTES} bytes: choose a shorter gallery")]
    LongName,
    #[error(
        "{place} holds the gallery \"{ours}\" of another element: give both the same gallery, or another gallery-location"
    )]
    OtherName { place: String, ours: String },
    #[error("{place}: the folder does not exist; create it or change gallery-location")]
    NoFolder { place: String },
    #[error(
        "{place} cannot be opened: {cause}; check that the folder and the file may be read and written by this user"
    )]
    CannotOpen { place: String, cause: String },
    #[error(
        "{place} cannot be written: it is read-only; make the file and its folder writable for this user"
    )]
    ReadOnly { place: String },
    #[error(
        "{place} cannot be written: the disk is full; free some space, the gallery catches up by itself"
    )]
    Full { place: String },
    #[error("{place} is locked by another program: close it; the gallery tries again by itself")]
    Locked { place: String },
    #[error(
        "{place} is kept by another process{by}: a file serves one process at a time; stop it, use its action signals, or use postgresql:// to share a gallery"
    )]
    InUse { place: String, by: String },
    #[error(
        "{place} is damaged ({cause}): move the file away to begin anew, or restore a copy of it"
    )]
    Damaged { place: String, cause: String },
    #[error("{place} is no gallery: it is something else's file; choose another gallery-location")]
    NotAGallery { place: String },
    #[error(
        "{place} was written by a newer version of this plugin (layout {found}, known up to {known}): update the plugin"
    )]
    Newer {
        place: String,
        found: i64,
        known: i64,
    },
    #[error(
        "{place} holds vectors of the model {theirs}, and reidembed uses {ours}: vectors of two models cannot be compared; use the model that the gallery was made with, or another gallery-location for this one"
    )]
    OtherModel {
        place: String,
        theirs: String,
        ours: String,
    },
    #[error(
        "{place} cannot be reached: {cause}; check the address and that the server runs. A pipeline goes on in memory and catches up by itself"
    )]
    Unreachable { place: String, cause: String },
    #[error("{place} does not let this user in: {cause}; check user, password and permissions")]
    Denied { place: String, cause: String },
    #[error(
        "{place}: a person is forgotten and deleted, but bytes of theirs may still lie in the tables' files: {cause}"
    )]
    NotErased { place: String, cause: String },
    #[error("{place}: {cause}")]
    Other { place: String, cause: String },
    #[error(
        "the thread that keeps the gallery has failed: it goes on in memory; please report what was printed before"
    )]
    Broken,
    #[error("{place} is not there: nothing was ever kept in it")]
    Missing { place: String },
}
