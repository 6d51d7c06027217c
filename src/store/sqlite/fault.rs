//! What errors of SQLite mean for users.

use rusqlite::ErrorCode;

use crate::store::StoreError;

/// What an error of SQLite means for the user.
pub(super) fn fault(place: &str, error: rusqlite::Error) -> StoreError {
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
