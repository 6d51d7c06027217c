//! Maps errors of SQLite to errors for users.

use rusqlite::ErrorCode;

use crate::store::StoreError;

/// What an error of SQLite means for the user.
pub(super) fn fault(location: &str, error: rusqlite::Error) -> StoreError {
    let location = location.to_owned();
    let cause = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full { location },
        Some(ErrorCode::ReadOnly) => StoreError::ReadOnly { location },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreError::Locked { location }
        }
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Damaged { location, cause },
        Some(ErrorCode::NotADatabase) => StoreError::NotAGallery { location },
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            StoreError::CannotOpen { location, cause }
        }
        _ => StoreError::Other { location, cause },
    }
}
