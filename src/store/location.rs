//! Reads `gallery-location`.

use std::path::PathBuf;

use super::StoreError;

/// Where a gallery's people are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Location {
    /// In this process's memory: gone when the last element that uses it is.
    #[default]
    Memory,
    /// In a file of SQLite, for one process at a time.
    Sqlite(PathBuf),
    /// On a PostgreSQL server, for any number of processes and machines.
    Postgres(SecretUri),
}

/// A URI that may hold a password: it is never printed whole.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SecretUri(String);

impl SecretUri {
    /// The URI as it was given.
    #[cfg(feature = "postgres")]
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SecretUri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&without_password(&self.0))
    }
}

impl Location {
    /// Reads a `gallery-location`: empty for memory.
    pub fn parse(uri: &str) -> Result<Self, StoreError> {
        let refused = || StoreError::Location(without_password(uri));
        let Some((scheme, rest)) = uri.split_once("://") else {
            return if uri.is_empty() {
                Ok(Self::Memory)
            } else {
                Err(refused())
            };
        };
        match scheme {
            "sqlite" => {
                let path = percent_decoded(rest).ok_or_else(refused)?;
                // A folder can hold no gallery, and "?" begins options that there are none of.
                if path.is_empty() || path.ends_with('/') || rest.contains('?') {
                    return Err(refused());
                }
                Ok(Self::Sqlite(path.into()))
            }
            "postgresql" | "postgres" => Ok(Self::Postgres(SecretUri(uri.to_owned()))),
            _ => Err(refused()),
        }
    }

    /// As it may be shown: without a password.
    pub fn shown(&self) -> String {
        match self {
            Self::Memory => "memory".into(),
            Self::Sqlite(path) => format!("sqlite://{}", path.display()),
            Self::Postgres(uri) => without_password(&uri.0),
        }
    }
}

/// The URI without what stands between `:` and `@`, and without passwords among its options: messages end up in logs.
pub fn without_password(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return uri.to_owned();
    };
    // A file's name may hold both signs and no password.
    if scheme == "sqlite" {
        return uri.to_owned();
    }
    let (rest, options) = match rest.split_once('?') {
        Some((rest, options)) => (rest, Some(options)),
        None => (rest, None),
    };
    let rest = match rest.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:…@{host}"),
            None => format!("{user}@{host}"),
        },
        None => rest.to_owned(),
    };
    let options = options.map_or_else(String::new, |options| {
        let shown: Vec<String> = options.split('&').map(shown_option).collect();
        format!("?{}", shown.join("&"))
    });
    format!("{scheme}://{rest}{options}")
}

fn shown_option(option: &str) -> String {
    match option.split_once('=') {
        Some((name, _)) if name.to_ascii_lowercase().contains("pass") => format!("{name}=…"),
        _ => option.to_owned(),
    }
}

/// `%41` is `A`; `None` where it is no such escape or no text.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_or_refused() {
        assert_eq!(Location::parse(""), Ok(Location::Memory));
        for (uri, path) in [
            ("sqlite:///var/lib/reid/lobby.db", "/var/lib/reid/lobby.db"),
            ("sqlite://lobby.db", "lobby.db"),
            ("sqlite:///tmp/two%20words", "/tmp/two words"),
        ] {
            assert_eq!(Location::parse(uri), Ok(Location::Sqlite(path.into())));
        }
        for uri in [
            "lobby.db",
            "sqlite://",
            "sqlite:///tmp/",
            "sqlite:///a%2",
            "mysql://x/y",
            "sqlite:///a?mode=ro",
        ] {
            let message = Location::parse(uri).unwrap_err().to_string();
            assert!(
                message.contains("sqlite:///path") && message.contains(uri),
                "{message}"
            );
        }
    }

    #[test]
    fn no_password_in_messages() {
        let error = Location::parse("mysql://ada:secret@db/reid").unwrap_err();
        let message = error.to_string();
        assert!(message.contains("db/reid") && !message.contains("secret"));
        for uri in [
            "postgresql://ada:secret@db/reid",
            "postgresql://ada:sec@ret@db/reid",
            "postgresql://db/reid?user=ada&password=secret&sslmode=require",
        ] {
            let location = Location::parse(uri).unwrap();
            for shown in [location.shown(), format!("{location:?}")] {
                assert!(
                    shown.contains("db/reid") && shown.contains("ada"),
                    "{shown}"
                );
                assert!(!shown.contains("sec") && !shown.contains("ret@"), "{shown}");
            }
        }
    }
}
