//! The output: a file or standard output.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
};

/// An open output. Knows its name for messages.
pub(super) struct Output {
    writer: Box<dyn Write + Send>,
    pub name: String,
    /// Flush after every line: somebody reads along.
    eager: bool,
    /// Time of the last flush, ns.
    flushed_ns: u64,
    /// Lines that could not be written.
    pub lost: u64,
}

/// Why a location cannot be written to.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(
        "location={0}: publishing to MQTT is not available yet; use a file or - (standard output)"
    )]
    Mqtt(String),
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
        if location.starts_with("mqtt://") || location.starts_with("mqtts://") {
            return Err(OpenError::Mqtt(location.to_owned()));
        }
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
        Ok(Self {
            writer,
            name,
            eager,
            flushed_ns: 0,
            lost: 0,
        })
    }

    /// Writes whole lines at `time_ns` of the stream.
    pub fn write(&mut self, text: &str, time_ns: u64) -> io::Result<()> {
        self.writer.write_all(text.as_bytes())?;
        if self.eager || time_ns.abs_diff(self.flushed_ns) >= FLUSH_NS {
            self.flushed_ns = time_ns;
            self.writer.flush()?;
        }
        Ok(())
    }

    /// Hands everything to the system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
