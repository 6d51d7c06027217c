//! `mqtt[s]://[user[:password]@]host[:port]/topic`, the same for Kafka, and where user and password come from.

use super::output::OpenError;

/// How the locations of a kind of broker are written.
pub(super) struct Protocol {
    /// Begin of a location, plain; over TLS with an `s` behind it.
    pub scheme: &'static str,
    /// Port, plain and over TLS.
    ports: [u16; 2],
    /// Whether several hosts may be named, with commas between them.
    is_cluster: bool,
    is_topic: fn(&str) -> bool,
    /// What a topic must not be.
    topics: &'static str,
}

/// The ports are those that IANA has assigned.
#[cfg(any(feature = "mqtt", test))]
pub(super) const MQTT: Protocol = Protocol {
    scheme: "mqtt",
    ports: [1883, 8883],
    is_cluster: false,
    // MQTT 3.1.1, 1.5.3: 65,535 bytes, less what is appended.
    is_topic: |topic| topic.len() <= 65_000 && !topic.contains(['#', '+', '\0']),
    topics: "it names no topic, or one with a wildcard (#, +)",
};

/// The ports are those that Kafka's documentation uses.
#[cfg(any(feature = "kafka", test))]
pub(super) const KAFKA: Protocol = Protocol {
    scheme: "kafka",
    ports: [9092, 9093],
    is_cluster: true,
    // `Topic.LEGAL_CHARS` of Kafka: 249 characters, less what is appended.
    is_topic: |topic| {
        let is_legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        topic.len() <= 240 && topic.chars().all(is_legal)
    },
    topics: "it names no topic of letters, digits, '.', '_' and '-'",
};

/// A host to connect to.
#[derive(Debug, PartialEq)]
pub(super) struct Server {
    pub host: String,
    pub port: u16,
}

/// Where messages go. Never printed: it holds a password.
#[derive(PartialEq)]
pub(super) struct Address {
    pub server: Server,
    /// Further ones of a cluster.
    pub others: Vec<Server>,
    /// Whether the connection is encrypted.
    pub is_encrypted: bool,
    pub topic: String,
    pub user: Option<String>,
    pub password: Option<String>,
}

impl Protocol {
    /// Whether a location begins like this protocol's.
    pub fn is_of(&self, location: &str) -> bool {
        let scheme = location.split_once("://").map(|(scheme, _)| scheme);
        scheme.is_some_and(|scheme| scheme.strip_suffix('s').unwrap_or(scheme) == self.scheme)
    }

    /// The name of an environment variable: `GST_REID_MQTT_USER`.
    pub fn variable(&self, what: &str) -> String {
        format!("GST_REID_{}_{what}", self.scheme.to_uppercase())
    }
}

impl Address {
    /// Reads a location. What it does not say of user and password comes from the environment: of MQTT `GST_REID_MQTT_USER` and
    /// `GST_REID_MQTT_PASSWORD`, or the file that `GST_REID_MQTT_PASSWORD_FILE` names.
    pub fn read(
        protocol: &Protocol,
        location: &str,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, OpenError> {
        let shown = crate::store::without_password(location);
        let wrong = |what| OpenError::Address {
            location: shown.clone(),
            what,
            scheme: protocol.scheme,
            variable: protocol.variable("USER"),
        };
        let (scheme, rest) = location.split_once("://").unwrap_or(("", location));
        let is_encrypted = match scheme.strip_prefix(protocol.scheme) {
            Some("") => false,
            Some("s") => true,
            _ => return Err(wrong("the protocol is another one")),
        };
        let (authority, topic) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let places: Vec<&str> = match protocol.is_cluster {
            true => place.split(',').collect(),
            false => vec![place],
        };
        let usual = protocol.ports[usize::from(is_encrypted)];
        let servers = places.into_iter().map(|place| Server::read(place, usual));
        let servers: Result<Vec<Server>, _> = servers.collect();
        let mut servers = servers.map_err(wrong)?.into_iter();
        let server = servers.next().ok_or_else(|| wrong(NO_HOST))?;
        if topic.is_empty() || !(protocol.is_topic)(topic) {
            return Err(wrong(protocol.topics));
        }
        let (user, password) = match login.map(|login| login.split_once(':')) {
            Some(Some((user, password))) => (Some(user.to_owned()), Some(password.to_owned())),
            Some(None) => (login.map(str::to_owned), None),
            None => (None, None),
        };
        let user = user.or_else(|| environment(&protocol.variable("USER")));
        let password = match password.or_else(|| environment(&protocol.variable("PASSWORD"))) {
            Some(password) => Some(password),
            None => password_of_file(protocol.variable("PASSWORD_FILE"), environment)?,
        };
        Ok(Self {
            server,
            others: servers.collect(),
            is_encrypted,
            topic: topic.to_owned(),
            user,
            password,
        })
    }
}

const NO_HOST: &str = "it names no host";

impl Server {
    /// Reads `host`, `host:port`, `[::1]` or `[::1]:port`. Else says what is wrong.
    fn read(place: &str, usual: u16) -> Result<Self, &'static str> {
        let (host, port) = match place.strip_prefix('[').and_then(|r| r.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        if host.is_empty() {
            return Err(NO_HOST);
        }
        let port = match port {
            Some(port) => port.parse().map_err(|_| "the port is not a number")?,
            None => usual,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

/// The first line of the file that `variable` names.
fn password_of_file(
    variable: String,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, OpenError> {
    let Some(name) = environment(&variable) else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(&name).map_err(|source| OpenError::Password {
        variable,
        name,
        source,
    })?;
    Ok(text.lines().next().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(location: &str, variables: &[(&str, &str)]) -> Result<Address, String> {
        let protocol = if KAFKA.is_of(location) { KAFKA } else { MQTT };
        let value = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Address::read(&protocol, location, value).map_err(|error| error.to_string())
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
            ("kafka://host/a.b", ("host", 9092, "a.b", None, None)),
            (
                "kafkas://ann:secret@[::1]/t",
                ("::1", 9093, "t", Some("ann"), Some("secret")),
            ),
        ];
        for (location, (host, port, topic, user, password)) in cases {
            let address = read(location, &[]).unwrap_or_else(|error| panic!("{error}"));
            let server = &address.server;
            assert_eq!(
                (&*server.host, server.port, &*address.topic),
                (host, port, topic)
            );
            assert_eq!(address.is_encrypted, location.contains("s://"));
            assert_eq!(
                (address.user.as_deref(), address.password.as_deref()),
                (user, password)
            );
        }
    }

    #[test]
    fn a_cluster_has_several_hosts() {
        let address = read("kafka://ann@one,two:99,[::3]/t", &[]).unwrap_or_else(|e| panic!("{e}"));
        let server = |host: &str, port| Server {
            host: host.to_owned(),
            port,
        };
        assert_eq!(address.server, server("one", 9092));
        assert_eq!(address.others, [server("two", 99), server("::3", 9092)]);
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
        let other = read("kafka://host/t", &environment).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((other.user, other.password), (None, None));
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
            ("kafkas://ann:secret@one,/t", "no host"),
            ("kafka://ann:secret@one/a/b", "letters, digits"),
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
