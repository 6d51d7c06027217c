//! The output: a file, standard output or a broker.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
};

#[cfg(any(feature = "mqtt", feature = "kafka"))]
use super::tls::TlsError;

/// A connection that takes messages and never makes the caller wait. Closes when dropped, which may take two seconds.
pub(super) trait Broker: Send {
    /// Adds the lines of a frame to what waits.
    fn push_frame(&self, text: String);

    /// Adds an event to what waits.
    fn push_event(&self, text: String);

    /// Counts since the start.
    fn counts(&self) -> Counts;
}

/// An open output. Knows its name for messages.
pub(super) struct Output {
    writer: Box<dyn Write + Send>,
    broker: Option<Box<dyn Broker>>,
    pub name: String,
    /// Flush after every line: somebody reads along.
    eager: bool,
    /// Time of the last flush, ns.
    flushed_ns: u64,
    /// Writes, and those that failed.
    written: u64,
    pub lost: u64,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Messages that the broker has acknowledged, or writes to a file.
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
    #[cfg(any(feature = "mqtt", feature = "kafka"))]
    #[error("no thread for the broker could be started: {0}")]
    Thread(#[from] io::Error),
    #[cfg(feature = "kafka")]
    #[error("the client for Kafka cannot be set up: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
    #[error("location={0} is not a file: use the path of a file or - (standard output)")]
    Scheme(String),
    #[error(
        "location={name} cannot be written: {source}. Check that the folder exists and may be written to"
    )]
    Open { name: String, source: io::Error },
}

impl OpenError {
    /// For a location that no part of this build took.
    fn of_scheme(scheme: &str, location: &str) -> Self {
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
    /// Opens a file, emptied, or standard output for `-`.
    pub fn open(location: &str) -> Result<Self, OpenError> {
        let eager = location == "-";
        let path = location.strip_prefix("file://").unwrap_or(location);
        if let Some((scheme, _)) = path.split_once("://") {
            return Err(OpenError::of_scheme(scheme, location));
        }
        let writer: Box<dyn Write + Send> = if eager {
            Box::new(io::stdout())
        } else {
            let file = File::create(path).map_err(|source| OpenError::Open {
                name: location.to_owned(),
                source,
            })?;
            Box::new(BufWriter::new(file))
        };
        let name = if eager {
            "standard output".to_owned()
        } else {
            path.to_owned()
        };
        Ok(Self::new(writer, name, eager))
    }

    fn new(writer: Box<dyn Write + Send>, name: String, eager: bool) -> Self {
        Self {
            writer,
            broker: None,
            name,
            eager,
            flushed_ns: 0,
            written: 0,
            lost: 0,
        }
    }

    /// Messages to a broker that is called `name`.
    #[cfg(any(feature = "mqtt", feature = "kafka"))]
    pub fn to_broker(broker: Box<dyn Broker>, name: String) -> Self {
        let mut output = Self::new(Box::new(io::sink()), name, false);
        output.broker = Some(broker);
        output
    }

    /// Whether single events are wanted besides changes that earlier lines need.
    pub fn takes_events(&self) -> bool {
        self.broker.is_some()
    }

    /// Writes the lines of a frame at `time_ns` of the stream. A message has no end of line.
    pub fn write(&mut self, text: String, time_ns: u64) -> io::Result<()> {
        if let Some(broker) = &self.broker {
            broker.push_frame(text.trim_end().to_owned());
            return Ok(());
        }
        self.writer.write_all(text.as_bytes())?;
        self.written += 1;
        if self.eager || time_ns.abs_diff(self.flushed_ns) >= FLUSH_NS {
            self.flushed_ns = time_ns;
            self.writer.flush()?;
        }
        Ok(())
    }

    /// Writes the line of an event at `time_ns` of the stream.
    pub fn write_event(&mut self, text: String, time_ns: u64) -> io::Result<()> {
        if let Some(broker) = &self.broker {
            broker.push_event(text.trim_end().to_owned());
            return Ok(());
        }
        self.write(text, time_ns)
    }

    /// Counts since the start.
    pub fn stats(&self) -> gst::Structure {
        if let Some(broker) = &self.broker {
            return broker.counts().to_structure();
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
        self.writer.flush()
    }
}
