//! Where a gallery lives, and how the elements of a process find it.

pub mod registry;

use crate::core::identity::MAX_NAME_BYTES;

/// Where a gallery's people are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Location {
    /// In this process's memory: gone when the last element that uses it is.
    #[default]
    Memory,
}

/// Why a gallery cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum StoreError {
    #[error(
        "gallery-location \"{0}\" is not supported yet: leave the property empty to keep the gallery in memory"
    )]
    Location(String),
    #[error("a gallery's name has at most {MAX_NAME_BYTES} bytes: choose a shorter gallery")]
    LongName,
}

impl Location {
    /// Reads a `gallery-location`: empty for memory.
    pub fn parse(uri: &str) -> Result<Self, StoreError> {
        match uri {
            "" => Ok(Self::Memory),
            other => Err(StoreError::Location(without_password(other))),
        }
    }
}

/// The URI without what stands between `:` and `@`: error messages end up in logs.
fn without_password(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return uri.to_owned();
    };
    match rest.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}:…@{host}")
        }
        None => uri.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_memory_so_far_and_no_password_in_messages() {
        assert_eq!(Location::parse(""), Ok(Location::Memory));
        let error = Location::parse("postgresql://ada:secret@db/reid").unwrap_err();
        let message = error.to_string();
        assert!(message.contains("not supported yet") && message.contains("db/reid"));
        assert!(!message.contains("secret"));
    }
}
