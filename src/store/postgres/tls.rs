//! TLS as in libpq: `sslmode`, `sslrootcert`, `sslcert` and `sslkey` of the URI, then `PGSSL…` of the environment, then the files in
//! `~/.postgresql`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use openssl::{
    error::ErrorStack,
    ssl::{SslConnector, SslFiletype, SslMethod, SslVerifyMode},
};
use postgres::config::SslMode;
use postgres_openssl::MakeTlsConnector;

use super::environment::Environment;
use crate::store::location::percent_decoded;

/// What the server has to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// No encryption.
    Off,
    /// Nothing; encrypted where the server can.
    Nothing,
    /// That a known authority vouches for it.
    Authority,
    /// And that it is the host that was named.
    Host,
}

/// What this side shows a server that asks who connects.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Client {
    certificate: PathBuf,
    key: PathBuf,
}

/// How connections are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tls {
    pub mode: SslMode,
    pub proof: Proof,
    /// Who may vouch for the server; `None`: whom the system knows.
    authorities: Option<PathBuf>,
    client: Option<Client>,
}

/// What a URI says about TLS.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TlsOptions {
    mode: Option<String>,
    authorities: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

impl TlsOptions {
    /// The URI without the options that only TLS knows, and those; `None`: something in it cannot be decoded.
    pub fn split_off(uri: &str) -> Option<(String, Self)> {
        let mut tls = Self::default();
        let Some((base, query)) = uri.split_once('?') else {
            return Some((uri.to_owned(), tls));
        };
        let mut rest = Vec::new();
        for option in query.split('&') {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let place = match name {
                "sslmode" => &mut tls.mode,
                "sslrootcert" => &mut tls.authorities,
                "sslcert" => &mut tls.certificate,
                "sslkey" => &mut tls.key,
                _ => {
                    rest.push(option);
                    continue;
                }
            };
            *place = Some(percent_decoded(value)?);
        }
        let uri = if rest.is_empty() {
            base.to_owned()
        } else {
            format!("{base}?{}", rest.join("&"))
        };
        Some((uri, tls))
    }
}

impl Tls {
    /// A connection that nobody can listen in on anyway.
    const OFF: Self = Self {
        mode: SslMode::Disable,
        proof: Proof::Off,
        authorities: None,
        client: None,
    };

    /// Reads what the URI says, and the environment and the user's files where it says nothing; to a server that `is_local`,
    /// reached by a socket of this host, nothing is proved and no file is looked at. An error is its cause.
    pub fn read(
        uri: TlsOptions,
        environment: Environment<'_>,
        is_local: bool,
    ) -> Result<Self, String> {
        let own = |name: &str| {
            let path = PathBuf::from(environment("HOME")?)
                .join(".postgresql")
                .join(name);
            path.is_file().then(|| path.display().to_string())
        };
        let authorities = (uri.authorities)
            .or_else(|| environment("PGSSLROOTCERT"))
            .or_else(|| own("root.crt"));
        let is_system = authorities.as_deref() == Some("system");
        let mode = uri.mode.or_else(|| environment("PGSSLMODE"));
        let default = if is_system { "verify-full" } else { "prefer" };
        let (mode, mut proof) = mode_and_proof(mode.as_deref().unwrap_or(default))?;
        if is_system && proof != Proof::Host {
            return Err("sslrootcert=system wants sslmode=verify-full".into());
        }
        if is_local {
            return Ok(Self::OFF);
        }
        // As libpq does: who names authorities wants them asked.
        if mode == SslMode::Require && proof == Proof::Nothing && authorities.is_some() {
            proof = Proof::Authority;
        }
        let certificate = (uri.certificate)
            .or_else(|| environment("PGSSLCERT"))
            .or_else(|| own("postgresql.crt"));
        let key = (uri.key)
            .or_else(|| environment("PGSSLKEY"))
            .or_else(|| own("postgresql.key"));
        let client = match (certificate, key) {
            (None, _) => None,
            (Some(certificate), None) => {
                return Err(format!("{certificate} has no key; name it by sslkey"));
            }
            (Some(certificate), Some(key)) => Some(Client {
                certificate: certificate.into(),
                key: key.into(),
            }),
        };
        Ok(Self {
            mode,
            proof,
            authorities: authorities.filter(|_| !is_system).map(Into::into),
            client,
        })
    }

    /// What makes connections. An error is its cause and remedy.
    pub fn connector(&self) -> Result<MakeTlsConnector, String> {
        let told = |error: ErrorStack, path: &Path, option: &str| {
            format!(
                "TLS cannot be set up: {}: {error}; check {option}",
                path.display()
            )
        };
        let general = |error: ErrorStack| format!("TLS cannot be set up: {error}");
        let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(general)?;
        if let Some(file) = &self.authorities {
            (builder.set_ca_file(file)).map_err(|error| told(error, file, "sslrootcert"))?;
        }
        if let Some(Client { certificate, key }) = &self.client {
            (builder.set_certificate_chain_file(certificate))
                .map_err(|error| told(error, certificate, "sslcert"))?;
            check_secrecy(key)?;
            (builder.set_private_key_file(key, SslFiletype::PEM))
                .and_then(|()| builder.check_private_key())
                .map_err(|error| told(error, key, "sslkey"))?;
        }
        builder.set_verify(match self.proof {
            Proof::Off | Proof::Nothing => SslVerifyMode::NONE,
            Proof::Authority | Proof::Host => SslVerifyMode::PEER,
        });
        let mut connector = MakeTlsConnector::new(builder.build());
        let checks_host = self.proof == Proof::Host;
        connector.set_callback(move |connection, _| {
            connection.set_verify_hostname(checks_host);
            Ok(())
        });
        Ok(connector)
    }
}

fn mode_and_proof(name: &str) -> Result<(SslMode, Proof), String> {
    Ok(match name {
        "disable" => (SslMode::Disable, Proof::Off),
        "allow" | "prefer" => (SslMode::Prefer, Proof::Nothing),
        "require" => (SslMode::Require, Proof::Nothing),
        "verify-ca" => (SslMode::Require, Proof::Authority),
        "verify-full" => (SslMode::Require, Proof::Host),
        other => {
            return Err(format!(
                "sslmode {other:?} is none of disable, allow, prefer, require, verify-ca and verify-full"
            ));
        }
    })
}

/// libpq's rule: nobody but its owner may touch a key; one of root's may be read by the group.
#[cfg(unix)]
fn check_secrecy(key: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let facts =
        fs::metadata(key).map_err(|error| format!("{}: {error}; check sslkey", key.display()))?;
    let (others, most) = if facts.uid() == 0 {
        (0o037, "0640")
    } else {
        (0o077, "0600")
    };
    if facts.mode() & others != 0 {
        return Err(format!(
            "{} can be read by others; chmod it to {most} or less",
            key.display()
        ));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_secrecy(_: &Path) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str, environment: &[(&str, &str)]) -> Result<Tls, String> {
        let (_, options) = TlsOptions::split_off(&format!("postgresql://h/d?{query}")).unwrap();
        let known = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Tls::read(options, &known, false)
    }

    #[test]
    fn modes_are_as_users_of_libpq_expect() {
        use Proof::{Authority, Host, Nothing, Off};
        for (query, mode, proof) in [
            ("", SslMode::Prefer, Nothing),
            ("sslmode=allow", SslMode::Prefer, Nothing),
            ("sslmode=disable", SslMode::Disable, Off),
            ("sslmode=require", SslMode::Require, Nothing),
            (
                "sslmode=require&sslrootcert=%2Fca.pem",
                SslMode::Require,
                Authority,
            ),
            (
                "sslmode=verify-ca&connect_timeout=2",
                SslMode::Require,
                Authority,
            ),
            ("sslmode=verify-full", SslMode::Require, Host),
            ("sslrootcert=system", SslMode::Require, Host),
        ] {
            let tls = read(query, &[]).unwrap();
            assert_eq!((tls.mode, tls.proof), (mode, proof), "{query}");
        }
        for query in ["sslmode=sometimes", "sslmode=require&sslrootcert=system"] {
            assert!(read(query, &[]).unwrap_err().contains("sslmode"), "{query}");
        }
    }

    #[test]
    fn the_environment_says_what_the_uri_leaves_open() {
        let environment = [
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "/ca.pem"),
            ("PGSSLCERT", "/me.crt"),
            ("PGSSLKEY", "/me.key"),
        ];
        let tls = read("", &environment).unwrap();
        assert_eq!(
            (tls.proof, tls.authorities),
            (Proof::Host, Some("/ca.pem".into()))
        );
        let client = |certificate: &str| Client {
            certificate: certificate.into(),
            key: "/me.key".into(),
        };
        assert_eq!(tls.client, Some(client("/me.crt")));
        let tls = read("sslcert=/other.crt", &environment).unwrap();
        assert_eq!(tls.client, Some(client("/other.crt")));
        assert!(read("sslcert=/me.crt", &[]).unwrap_err().contains("sslkey"));
    }

    #[test]
    fn a_socket_of_this_host_needs_no_proof() {
        let read = |query: &str| {
            let (_, options) = TlsOptions::split_off(&format!("postgresql:///d?{query}")).unwrap();
            Tls::read(options, &|_| None, true)
        };
        assert_eq!(read("sslmode=verify-full&sslcert=/me.crt"), Ok(Tls::OFF));
        assert!(read("sslmode=sometimes").is_err());
    }

    #[test]
    fn the_users_own_files_are_found() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".postgresql");
        fs::create_dir(&folder).unwrap();
        let environment = [("HOME", home.path().to_str().unwrap())];
        assert_eq!(
            read("sslmode=require", &environment).unwrap().proof,
            Proof::Nothing
        );
        for name in ["root.crt", "postgresql.crt", "postgresql.key"] {
            fs::write(folder.join(name), "").unwrap();
        }
        let tls = read("sslmode=require", &environment).unwrap();
        assert_eq!(tls.proof, Proof::Authority);
        assert_eq!(tls.authorities, Some(folder.join("root.crt")));
        assert_eq!(tls.client.unwrap().key, folder.join("postgresql.key"));
        // Without encryption or names: nothing of it is asked for.
        assert_eq!(read("", &environment).unwrap().proof, Proof::Nothing);
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::{PermissionsExt, chown};
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("me.key");
        fs::write(&key, "").unwrap();
        let allows = |mode: u32| {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
            check_secrecy(&key)
        };
        allows(0o600).unwrap();
        assert!(allows(0o644).unwrap_err().contains("chmod"));
        if chown(&key, Some(1000), None).is_ok() {
            assert!(allows(0o640).unwrap_err().contains("0600"));
        }
        assert!(
            check_secrecy(&folder.path().join("none"))
                .unwrap_err()
                .contains("sslkey")
        );
    }
}
