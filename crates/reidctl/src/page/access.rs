//! Access control: loopback addresses, or the token.

use std::{env, fs, fs::File, io::Read, net::SocketAddr, path::Path};

use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq;

/// Variable that holds the token where no file does.
const VARIABLE: &str = "REIDCTL_TOKEN";
/// Shortest token, bytes.
const SHORTEST: usize = 16;
/// Name of the cookie.
const COOKIE: &str = "reidctl";
/// Bytes of a session's secret.
const SESSION: usize = 32;

/// The address that is listened on, and what opens it.
pub struct Access {
    address: SocketAddr,
    token: Option<String>,
    /// What the cookie says; new with each start, so that browsers never keep the token.
    session: String,
}

/// Why the page cannot be opened.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum AccessError {
    #[error(
        "{0} can be reached from other machines, so the page needs a token: give --token-file, or set REIDCTL_TOKEN, to at least 16 random characters, or listen on 127.0.0.1"
    )]
    NoToken(SocketAddr),
    #[error(
        "the token has fewer than 16 characters; make one with: head -c 24 /dev/urandom | base64"
    )]
    ShortToken,
    #[error(
        "the token holds characters that are not visible ASCII; make one with: head -c 24 /dev/urandom | base64"
    )]
    OddToken,
    #[error("the token file {0} cannot be read: {1}")]
    Unreadable(String, String),
    #[error("the system gives no random numbers: {0}")]
    NoRandom(String),
}

impl Access {
    /// Refuses an address that others can reach while there is no token.
    pub fn new(address: SocketAddr, token_file: Option<&Path>) -> Result<Self, AccessError> {
        let token = match token_file {
            Some(file) => Some(fs::read_to_string(file).map_err(|error| {
                AccessError::Unreadable(file.display().to_string(), error.to_string())
            })?),
            None => env::var(VARIABLE).ok(),
        };
        Self::with(address, token)
    }

    fn with(address: SocketAddr, token: Option<String>) -> Result<Self, AccessError> {
        let token = token.map(|token| token.trim().to_owned());
        if let Some(token) = &token {
            if token.len() < SHORTEST {
                return Err(AccessError::ShortToken);
            }
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(AccessError::OddToken);
            }
        }
        if token.is_none() && !address.ip().is_loopback() {
            return Err(AccessError::NoToken(address));
        }
        let mut secret = [0_u8; SESSION];
        File::open("/dev/urandom")
            .and_then(|mut file| file.read_exact(&mut secret))
            .map_err(|error| AccessError::NoRandom(error.to_string()))?;
        let session = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            address,
            token,
            session,
        })
    }

    /// What is listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether a token is asked for.
    pub fn is_locked(&self) -> bool {
        self.token.is_some()
    }

    /// Whether this is the token. Takes as long for every text of one length.
    pub fn opens(&self, token: &str) -> bool {
        self.token
            .as_ref()
            .is_some_and(|own| own.as_bytes().ct_eq(token.as_bytes()).into())
    }

    /// Whether a request may see anything.
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        if !self.is_locked() {
            return true;
        }
        let text = |name| {
            headers
                .get(name)
                .and_then(|value: &axum::http::HeaderValue| value.to_str().ok())
        };
        let bearer = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        if bearer.is_some_and(|token| self.opens(token)) {
            return true;
        }
        let cookies = text(header::COOKIE).unwrap_or_default().split("; ");
        let mut sessions = cookies.filter_map(|cookie| cookie.split_once('='));
        sessions.any(|(name, value)| {
            name == COOKIE && value.as_bytes().ct_eq(self.session.as_bytes()).into()
        })
    }

    /// What a browser keeps after it showed the token.
    pub fn cookie(&self) -> String {
        format!(
            "{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict",
            self.session
        )
    }

    /// Whether a request was meant for this program, where nothing else protects it: a page of another host whose name was
    /// pointed at this machine (DNS rebinding) says that name.
    pub fn is_our_host(&self, host: Option<&str>) -> bool {
        if self.is_locked() {
            return true;
        }
        let Some(host) = host else { return false };
        let name = match host.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        name == "localhost"
            || name
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn access(address: &str, token: Option<&str>) -> Result<Access, AccessError> {
        Access::with(address.parse().unwrap(), token.map(str::to_owned))
    }

    #[test]
    fn other_machines_need_a_token() {
        for address in ["0.0.0.0:80", "[::]:80", "192.168.1.2:80"] {
            let refused = access(address, None).err();
            assert_eq!(
                refused,
                Some(AccessError::NoToken(address.parse().unwrap()))
            );
            assert!(access(address, Some(TOKEN)).is_ok());
        }
        assert!(access("127.0.0.1:80", None).is_ok() && access("[::1]:80", None).is_ok());
        assert_eq!(
            access("127.0.0.1:80", Some("short")).err(),
            Some(AccessError::ShortToken)
        );
    }

    #[test]
    fn the_token_or_the_cookie_opens_and_nothing_else() {
        let access = access("0.0.0.0:80", Some(TOKEN)).unwrap();
        let with = |name, value: String| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            access.admits(&headers)
        };
        assert!(!access.admits(&HeaderMap::new()));
        assert!(with(header::AUTHORIZATION, format!("Bearer {TOKEN}")));
        for wrong in ["", "0123456789abcdeX", "0123456789abcdef0"] {
            assert!(!with(header::AUTHORIZATION, format!("Bearer {wrong}")));
        }
        let cookie = access.cookie();
        assert!(!cookie.contains(TOKEN) && cookie.contains("SameSite=Strict"));
        let pair = cookie.split(';').next().unwrap().to_owned();
        assert!(with(header::COOKIE, format!("a=b; {pair}")));
        assert!(!with(header::COOKIE, format!("{COOKIE}={TOKEN}")));
    }

    #[test]
    fn without_a_token_only_names_of_this_machine_are_answered() {
        let access = access("127.0.0.1:80", None).unwrap();
        for (host, is_ours) in [
            ("localhost:8090", true),
            ("127.0.0.1:8090", true),
            ("[::1]:8090", true),
            ("evil.example", false),
            ("127.0.0.1.evil.example", false),
        ] {
            assert_eq!(access.is_our_host(Some(host)), is_ours, "{host}");
        }
        assert!(!access.is_our_host(None));
    }
}
