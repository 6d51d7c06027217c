//! Address and options of a PostgreSQL server: what the URI omits comes from the `PG…` variables of the environment and the
//! password file, as in libpq.

use std::{fs, path::PathBuf, time::Duration};

use postgres::{Config, NoTls, config::Host};

use super::{
    environment::{self, Environment},
    tls::{Proof, Tls, TlsOptions},
};
use crate::store::{StoreError, location::without_password};

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A server that acknowledges nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(5);
/// Where Debian's servers listen when no host is named.
const SOCKET_FOLDER: &str = "/var/run/postgresql";

/// A server and a database.
#[derive(Clone)]
pub(super) struct Target {
    config: Config,
    tls: Tls,
    shown: String,
}

impl Target {
    /// Reads `postgresql://user:password@host:port/database?sslmode=…`.
    pub fn parse(uri: &str) -> Result<Self, StoreError> {
        Self::read(uri, &environment::of_this_process)
    }

    fn read(uri: &str, environment: Environment<'_>) -> Result<Self, StoreError> {
        let shown = without_password(uri);
        let refused = |cause: String| StoreError::Other {
            location: shown.clone(),
            cause,
        };
        let (uri, tls) = TlsOptions::split_off(uri).ok_or_else(|| refused("no such URI".into()))?;
        let mut config: Config = uri.parse().map_err(|error: postgres::Error| {
            // The parser's own words: which key is wrong, never a value.
            refused(format!("{}; check gallery-location", chain(&error)))
        })?;
        complete(&mut config, environment).map_err(&refused)?;
        // Nobody listens in on a socket of this host.
        let is_local = |host: &Host| matches!(host, Host::Unix(_));
        let is_local = config.get_hosts().iter().all(is_local);
        let tls = Tls::read(tls, environment, is_local).map_err(&refused)?;
        config.ssl_mode(tls.mode);
        Ok(Self { config, tls, shown })
    }

    /// As it may be shown: without the password.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// What was deleted may still lie in the files.
    pub fn not_erased(&self, cause: &str) -> StoreError {
        StoreError::NotErased {
            location: self.shown.clone(),
            cause: cause.to_owned(),
        }
    }

    /// A connection. Takes a few seconds at most.
    pub fn connect(&self) -> Result<postgres::Client, StoreError> {
        let connection = if self.tls.proof == Proof::Off {
            self.config.connect(NoTls)
        } else {
            let connector = self.tls.connector().map_err(|cause| StoreError::Other {
                location: self.shown.clone(),
                cause,
            })?;
            self.config.connect(connector)
        };
        connection.map_err(|error| self.fault(&error))
    }

    /// What an error of PostgreSQL means for the user.
    pub fn fault(&self, error: &postgres::Error) -> StoreError {
        use postgres::error::SqlState;
        let location = self.shown.clone();
        let cause = chain(error);
        let denied = [
            SqlState::INVALID_PASSWORD,
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            SqlState::INSUFFICIENT_PRIVILEGE,
            SqlState::INVALID_CATALOG_NAME,
        ];
        match error.code() {
            Some(code) if denied.contains(code) => StoreError::Denied { location, cause },
            Some(code) if *code == SqlState::LOCK_NOT_AVAILABLE => StoreError::Locked { location },
            Some(code) if *code == SqlState::DISK_FULL => StoreError::Full { location },
            Some(code) if *code == SqlState::READ_ONLY_SQL_TRANSACTION => {
                StoreError::ReadOnly { location }
            }
            // The server says that it goes away, or is not up yet.
            Some(code) if code.code().starts_with("57P") || code.code().starts_with("08") => {
                StoreError::Unreachable { location, cause }
            }
            Some(_) => StoreError::Other { location, cause },
            None => StoreError::Unreachable { location, cause },
        }
    }
}

/// An error and what caused it, in one line.
fn chain(error: &postgres::Error) -> String {
    if let Some(database) = error.as_db_error() {
        return database.message().to_owned();
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Fills in what the URI left open.
fn complete(config: &mut Config, environment: Environment<'_>) -> Result<(), String> {
    if config.get_hosts().is_empty() {
        config.host(environment("PGHOST").as_deref().unwrap_or(SOCKET_FOLDER));
    }
    if config.get_ports().is_empty()
        && let Some(port) = environment("PGPORT")
    {
        let port = port.parse();
        config.port(port.map_err(|_| "PGPORT is no port".to_owned())?);
    }
    if config.get_user().is_none()
        && let Some(user) = environment("PGUSER").or_else(|| environment("USER"))
    {
        config.user(&user);
    }
    if config.get_dbname().is_none()
        && let Some(name) = environment("PGDATABASE")
    {
        config.dbname(&name);
    }
    if config.get_password().is_none() {
        let password =
            environment("PGPASSWORD").or_else(|| from_password_file(config, environment));
        if let Some(password) = password {
            config.password(password);
        }
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_application_name().is_none() {
        config.application_name("gst-plugin-reid");
    }
    config.tcp_user_timeout(SILENCE);
    config.keepalives_idle(SILENCE);
    Ok(())
}

/// The password from `PGPASSFILE` or `~/.pgpass`: lines of `host:port:database:user:password`, `*` for any.
fn from_password_file(config: &Config, environment: Environment<'_>) -> Option<String> {
    let path = environment("PGPASSFILE").map(PathBuf::from).or_else(|| {
        let home = environment("HOME")?;
        Some(PathBuf::from(home).join(".pgpass"))
    })?;
    let host = match config.get_hosts().first()? {
        Host::Tcp(name) => name.clone(),
        // As in libpq, a socket is on this very host.
        Host::Unix(_) => "localhost".into(),
    };
    let user = config.get_user()?;
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let wanted = [
        host,
        port.to_string(),
        config.get_dbname().unwrap_or(user).to_owned(),
        user.to_owned(),
    ];
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        let fields = fields(line);
        let [own @ .., password] = fields.as_slice() else {
            return None;
        };
        let fits = own.len() == wanted.len()
            && own
                .iter()
                .zip(&wanted)
                .all(|(own, wanted)| own == "*" || own == wanted);
        (fits && !line.starts_with('#')).then(|| password.clone())
    })
}

/// The fields of a line of a password file; a backslash takes the next character as it is.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' => fields.push(String::new()),
            '\\' => {
                if let (Some(next), Some(field)) = (characters.next(), fields.last_mut()) {
                    field.push(next);
                }
            }
            other => {
                if let Some(field) = fields.last_mut() {
                    field.push(other);
                }
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str, environment: &[(&str, &str)]) -> Result<Target, StoreError> {
        let own: Vec<(String, String)> = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Target::read(uri, &move |name| {
            let found = own.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone())
        })
    }

    #[test]
    fn what_is_left_open_comes_from_the_environment() {
        let environment = [
            ("PGHOST", "db.example"),
            ("PGPORT", "5433"),
            ("PGUSER", "ada"),
            ("PGDATABASE", "people"),
            ("PGPASSWORD", "secret"),
        ];
        let target = read("postgresql://", &environment).unwrap();
        let config = &target.config;
        assert_eq!(config.get_hosts(), [Host::Tcp("db.example".into())]);
        assert_eq!(
            (config.get_ports(), config.get_user()),
            (&[5433][..], Some("ada"))
        );
        assert_eq!(config.get_dbname(), Some("people"));
        assert_eq!(config.get_password(), Some(&b"secret"[..]));
        let own = read("postgresql://bob:other@here:1/mine", &environment).unwrap();
        assert_eq!(own.config.get_user(), Some("bob"));
        assert_eq!(own.config.get_password(), Some(&b"other"[..]));
        assert_eq!(own.shown(), "postgresql://bob:…@here:1/mine");
    }

    #[test]
    fn the_password_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pass");
        let text = "# a comment\nother:*:*:*:no\nh:5432:d:ada:with\\:colon\n*:*:*:bob:any\n";
        fs::write(&path, text).unwrap();
        let environment = [("PGPASSFILE", path.to_str().unwrap())];
        for (uri, password) in [
            ("postgresql://ada@h/d", Some("with:colon")),
            ("postgresql://bob@x/y", Some("any")),
            ("postgresql://eve@h/d", None),
        ] {
            let target = read(uri, &environment).unwrap();
            assert_eq!(
                target.config.get_password(),
                password.map(str::as_bytes),
                "{uri}"
            );
        }
    }
}
