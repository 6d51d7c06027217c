//! The output: a file, standard output or an MQTT broker.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
};

#[cfg(feature = "mqtt")]
use super::{
    address::Address,
    broker::{Broker, Report},
    tls::{TlsError, TlsFiles},
};

/// An open output. Knows its name for messages.
pub(super) struct Output {
    writer: Box<dyn Write + Send>,
    #[cfg(feature = "mqtt")]
    broker: Option<Broker>,
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
    #[cfg(not(feature = "mqtt"))]
    #[error(
        "location={0}: this build does not speak MQTT. Build with --features mqtt, or use a file or - (standard output)"
    )]
    Mqtt(String),
    #[cfg(feature = "mqtt")]
    #[error(
        "location={location}: {what}. Write mqtt://host/topic or mqtts://host/topic; user and password go before the host (user:password@) or into GST_REID_MQTT_USER and GST_REID_MQTT_PASSWORD"
    )]
    Address {
        location: String,
        what: &'static str,
    },
    #[cfg(feature = "mqtt")]
    #[error("GST_REID_MQTT_PASSWORD_FILE={name} cannot be read: {source}")]
    Password { name: String, source: io::Error },
    #[cfg(feature = "mqtt")]
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[cfg(feature = "mqtt")]
    #[error("no thread for MQTT could be started: {0}")]
    Thread(io::Error),
    #[error("location={0} is not a file: use the path of a file or - (standard output)")]
    Scheme(String),
    #[error(
        "location={name} cannot be written: {source}. Check that the folder exists and may be written to"
    )]
    Open { name: String, source: io::Error },
}

/// Longest time that lines wait in memory, ns of the stream.
const FLUSH_NS: u64 = 1_000_000_000;

impl Output {
    /// Opens a file, emptied, or standard output for `-`.
    pub fn open(location: &str) -> Result<Self, OpenError> {
        let eager = location == "-";
        let path = location.strip_prefix("file://").unwrap_or(location);
        if path.contains("://") {
            return Err(OpenError::Scheme(location.to_owned()));
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
            #[cfg(feature = "mqtt")]
            broker: None,
            name,
            eager,
            flushed_ns: 0,
            written: 0,
            lost: 0,
        }
    }

    /// Begins to connect to the broker of an `mqtt://` or `mqtts://` location. `report` is called by another thread.
    #[cfg(feature = "mqtt")]
    pub fn connect(
        location: &str,
        files: TlsFiles,
        client_id: String,
        report: impl Fn(Report) + Send + 'static,
    ) -> Result<Self, OpenError> {
        let environment = |name: &str| std::env::var(name).ok();
        let address = Address::read(location, environment)?;
        let tls = match address.is_encrypted {
            true => Some(files.or_environment(environment).connector()?),
            false => None,
        };
        let broker = Broker::open(address, tls, client_id, report).map_err(OpenError::Thread)?;
        let name = crate::store::without_password(location);
        let mut output = Self::new(Box::new(io::sink()), name, false);
        output.broker = Some(broker);
        Ok(output)
    }

    /// Whether single events are wanted besides changes that earlier lines need.
    pub fn takes_events(&self) -> bool {
        #[cfg(feature = "mqtt")]
        return self.broker.is_some();
        #[cfg(not(feature = "mqtt"))]
        false
    }

    /// Writes the lines of a frame at `time_ns` of the stream. A message has no end of line.
    pub fn write(&mut self, text: String, time_ns: u64) -> io::Result<()> {
        #[cfg(feature = "mqtt")]
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
        #[cfg(feature = "mqtt")]
        if let Some(broker) = &self.broker {
            broker.push_event(text.trim_end().to_owned());
            return Ok(());
        }
        self.write(text, time_ns)
    }

    /// Counts since the start.
    pub fn stats(&self) -> gst::Structure {
        #[cfg(feature = "mqtt")]
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
