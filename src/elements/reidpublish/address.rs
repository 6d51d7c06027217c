//! `mqtt[s]://[user[:password]@]host[:port]/topic`, and where user and password come from.

use super::output::OpenError;

/// Ports that IANA has assigned to MQTT, plain and over TLS.
const PORT: u16 = 1883;
const TLS_PORT: u16 = 8883;

/// Longest topic, bytes: MQTT 3.1.1, 1.5.3, less what is appended.
const LONGEST_TOPIC: usize = 65_000;

/// Where messages go. Never printed: it holds a password.
#[derive(PartialEq)]
pub(super) struct Address {
    pub host: String,
    pub port: u16,
    /// Whether the connection is encrypted.
    pub is_encrypted: bool,
    pub topic: String,
    pub user: Option<String>,
    pub password: Option<String>,
}

impl Address {
    /// Reads a location. What it does not say of user and password comes from the environment: `GST_REID_MQTT_USER` and
    /// `GST_REID_MQTT_PASSWORD`, or the file that `GST_REID_MQTT_PASSWORD_FILE` names.
    pub fn read(
        location: &str,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, OpenError> {
        let shown = crate::store::without_password(location);
        let wrong = |what| OpenError::Address {
            location: shown.clone(),
            what,
        };
        let (scheme, rest) = location.split_once("://").unwrap_or(("", location));
        let is_encrypted = match scheme {
            "mqtt" => false,
            "mqtts" => true,
            _ => return Err(wrong("only mqtt:// and mqtts:// are spoken")),
        };
        let (authority, topic) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let (host, port) =
            host_and_port(place, is_encrypted).ok_or_else(|| wrong("the port is not a number"))?;
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        if topic.is_empty() || topic.len() > LONGEST_TOPIC || topic.contains(['#', '+', '\0']) {
            return Err(wrong("it names no topic, or one with a wildcard (#, +)"));
        }
        let (user, password) = match login.map(|login| login.split_once(':')) {
            Some(Some((user, password))) => (Some(user.to_owned()), Some(password.to_owned())),
            Some(None) => (login.map(str::to_owned), None),
            None => (None, None),
        };
        let user = user.or_else(|| environment("GST_REID_MQTT_USER"));
        let password = match password.or_else(|| environment("GST_REID_MQTT_PASSWORD")) {
            Some(password) => Some(password),
            None => password_of_file(&environment)?,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            is_encrypted,
            topic: topic.to_owned(),
            user,
            password,
        })
    }
}

/// The first line of the file.
fn password_of_file(
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, OpenError> {
    let Some(name) = environment("GST_REID_MQTT_PASSWORD_FILE") else {
        return Ok(None);
    };
    let text =
        std::fs::read_to_string(&name).map_err(|source| OpenError::Password { name, source })?;
    Ok(text.lines().next().map(str::to_owned))
}

/// `host`, `host:port`, `[::1]` or `[::1]:port`.
fn host_and_port(place: &str, is_encrypted: bool) -> Option<(&str, u16)> {
    let usual = if is_encrypted { TLS_PORT } else { PORT };
    if let Some(rest) = place.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let port = match rest.strip_prefix(':') {
            Some(port) => port.parse().ok()?,
            None => usual,
        };
        return Some((host, port));
    }
    match place.split_once(':') {
        Some((host, port)) => Some((host, port.parse().ok()?)),
        None => Some((place, usual)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(location: &str, variables: &[(&str, &str)]) -> Result<Address, String> {
        let value = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Address::read(location, value).map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_are_read() {
        let cases = [
            ("mqtt://host/a/b", ("host", 1883, "a/b", None, None)),
            ("mqtt://10.0.0.1:99/t", ("10.0.0.1", 99, "t", None, None)),
            ("mqtt://[::1]:99/t", ("::1", 99, "t", None, None)),
            ("mqtts://host/t", ("host", 8883, "t", None, None)),
            ("mqtts://[::1]/t", ("::1", 8883, "t", None, None)),
            ("mqtt://ann@host/t", ("host", 1883, "t", Some("ann"), None)),
            (
                "mqtt://ann:p@ss@host/t",
                ("host", 1883, "t", Some("ann"), Some("p@ss")),
            ),
        ];
        for (location, (host, port, topic, user, password)) in cases {
            let address = read(location, &[]).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(
                (&*address.host, address.port, &*address.topic),
                (host, port, topic)
            );
            assert_eq!(address.is_encrypted, location.starts_with("mqtts"));
            assert_eq!(
                (address.user.as_deref(), address.password.as_deref()),
                (user, password)
            );
        }
    }

    #[test]
    fn passwords_come_from_the_environment_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "from file\n").unwrap();
        let file = file.to_str().unwrap();
        let environment = [
            ("GST_REID_MQTT_USER", "bob"),
            ("GST_REID_MQTT_PASSWORD_FILE", file),
        ];
        let address = read("mqtt://host/t", &environment).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(address.user.as_deref(), Some("bob"));
        assert_eq!(address.password.as_deref(), Some("from file"));
        let missing = read(
            "mqtt://host/t",
            &[("GST_REID_MQTT_PASSWORD_FILE", "/no/file")],
        );
        assert!(missing.err().unwrap().contains("/no/file"));
    }

    #[test]
    fn mistakes_are_named_without_the_password() {
        for (location, part) in [
            ("ssl://ann:secret@host/t", "mqtts://"),
            ("mqtt://ann:secret@/t", "no host"),
            ("mqtt://ann:secret@host", "no topic"),
            ("mqtt://ann:secret@host/a/#", "no topic"),
            ("mqtt://ann:secret@host:many/t", "port"),
        ] {
            let error = read(location, &[]).err().unwrap();
            assert!(error.contains(part) && !error.contains("secret"), "{error}");
        }
    }
}
