//! The output: a file, standard output, or a connection.

use std::{
    io::{self, Write},
    path::Path,
};

#[cfg(any(feature = "mqtt", feature = "kafka"))]
use super::tls::TlsError;
use super::{
    file::{LineFile, Rotation},
    link::Connection,
    waiting::Kind,
};

/// An open output. Knows its name for messages.
pub(super) struct Output {
    sink: Sink,
    pub name: String,
    /// Time of the last flush, ns.
    flushed_ns: u64,
    /// Writes, and those that failed.
    written: u64,
    pub lost: u64,
}

enum Sink {
    /// Flushed after every line: somebody reads along.
    Standard(io::Stdout),
    File(LineFile),
    Connection(Box<dyn Connection>),
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Messages that have arrived (a broker has acknowledged them), or writes to a file.
    pub written: u64,
    pub dropped: u64,
    pub waiting: u64,
    pub is_connected: bool,
}

impl Counts {
    /// As the property `stats` has them.
    pub fn to_structure(self) -> gst::Structure {
        gst::Structure::builder("stats")
            .field("written", self.written)
            .field("dropped", self.dropped)
            .field("waiting", self.waiting)
            .field("connected", self.is_connected)
            .build()
    }
}

/// Why a location cannot be written to.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(
        "location={location}: this build does not speak {protocol}. Build with --features {feature}, or use a file or - (standard output)"
    )]
    Unbuilt {
        location: String,
        protocol: &'static str,
        feature: &'static str,
    },
    #[cfg(any(feature = "mqtt", feature = "kafka"))]
    #[error(
        "location={location}: {what}. Write {scheme}://host/topic or {scheme}s://host/topic; user and password go before the host (user:password@) or into {variable} and the same with PASSWORD"
    )]
    Address {
        location: String,
        what: &'static str,
        scheme: &'static str,
        variable: String,
    },
    #[cfg(any(feature = "mqtt", feature = "kafka"))]
    #[error("{variable}={name} cannot be read: {source}")]
    Password {
        variable: String,
        name: String,
        source: io::Error,
    },
    #[cfg(any(feature = "mqtt", feature = "kafka"))]
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("no thread for the connection could be started: {0}")]
    Thread(#[from] io::Error),
    #[cfg(feature = "kafka")]
    #[error("the client for Kafka cannot be set up: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
    #[error(
        "location={0} is not a file: use the path of a file, - (standard output) or unix:// and the path of a socket"
    )]
    Scheme(String),
    #[error(
        "location={name} cannot be written: {source}. Check that the folder exists and may be written to"
    )]
    Open { name: String, source: io::Error },
}

impl OpenError {
    /// For a location that no part of this build took.
    pub fn of_scheme(scheme: &str, location: &str) -> Self {
        let (protocol, feature) = match scheme {
            "mqtt" | "mqtts" => ("MQTT", "mqtt"),
            "kafka" | "kafkas" => ("Kafka", "kafka"),
            _ => return Self::Scheme(location.to_owned()),
        };
        Self::Unbuilt {
            location: crate::store::without_password(location),
            protocol,
            feature,
        }
    }
}

/// Longest time that lines wait in memory, ns of the stream.
const FLUSH_NS: u64 = 1_000_000_000;

impl Output {
    /// Opens a file, emptied unless `append`, or standard output for `-`.
    pub fn open(location: &str, append: bool, rotation: Rotation) -> Result<Self, OpenError> {
        if location == "-" {
            let sink = Sink::Standard(io::stdout());
            return Ok(Self::new(sink, "standard output".to_owned()));
        }
        let path = location.strip_prefix("file://").unwrap_or(location);
        if let Some((scheme, _)) = path.split_once("://") {
            return Err(OpenError::of_scheme(scheme, location));
        }
        let file = LineFile::open(Path::new(path), append, rotation);
        let file = file.map_err(|source| OpenError::Open {
            name: location.to_owned(),
            source,
        })?;
        Ok(Self::new(Sink::File(file), path.to_owned()))
    }

    fn new(sink: Sink, name: String) -> Self {
        Self {
            sink,
            name,
            flushed_ns: 0,
            written: 0,
            lost: 0,
        }
    }

    /// Messages over a connection that is called `name`.
    pub fn over(connection: Box<dyn Connection>, name: String) -> Self {
        Self::new(Sink::Connection(connection), name)
    }

    /// Whether single events are wanted besides changes that earlier lines need.
    pub fn takes_events(&self) -> bool {
        matches!(self.sink, Sink::Connection(_))
    }

    /// Writes the lines of a frame at `time_ns` of the stream. A message has no end of line.
    pub fn write(&mut self, text: String, time_ns: u64) -> io::Result<()> {
        let is_due = time_ns.abs_diff(self.flushed_ns) >= FLUSH_NS;
        match &mut self.sink {
            Sink::Connection(connection) => {
                connection.push(Kind::Frame, text.trim_end().to_owned());
                return Ok(());
            }
            Sink::Standard(stdout) => {
                stdout.write_all(text.as_bytes())?;
                stdout.flush()?;
            }
            Sink::File(file) => {
                file.write(&text, time_ns)?;
                if is_due {
                    self.flushed_ns = time_ns;
                    file.flush()?;
                }
            }
        }
        self.written += 1;
        Ok(())
    }

    /// Writes the line of an event at `time_ns` of the stream.
    pub fn write_event(&mut self, text: String, time_ns: u64) -> io::Result<()> {
        if let Sink::Connection(connection) = &self.sink {
            connection.push(Kind::Event, text.trim_end().to_owned());
            return Ok(());
        }
        self.write(text, time_ns)
    }

    /// Counts since the start.
    pub fn stats(&self) -> gst::Structure {
        if let Sink::Connection(connection) = &self.sink {
            return connection.counts().to_structure();
        }
        Counts {
            written: self.written,
            dropped: self.lost,
            waiting: 0,
            is_connected: true,
        }
        .to_structure()
    }

    /// Hands everything to the system.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Connection(_) => Ok(()),
            Sink::Standard(stdout) => stdout.flush(),
            Sink::File(file) => file.flush(),
        }
    }
}
