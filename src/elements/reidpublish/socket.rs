//! Lines to a program that listens on a Unix socket, from a thread of its own: the stream never waits for it.
//!
//! While nobody listens a limited number of messages waits; the oldest are dropped and counted. A line that was cut off by the end of a
//! connection comes again, whole, in the next one.

use std::{
    io::{self, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{Arc, Condvar},
    thread,
    time::{Duration, Instant},
};

use super::{
    link::{Link, Shared},
    report::Reporter,
    waiting::Order,
};

/// First and longest wait before another attempt to connect.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How often a write that has to wait looks whether it is closing time.
const TICK: Duration = Duration::from_millis(100);
/// Begins to connect to the socket at `path`.
pub(super) fn open(path: PathBuf, report: Reporter) -> io::Result<Link<Condvar>> {
    let shared = Shared::new(Condvar::new(), Order::AsPushed, report);
    let session = Session {
        shared: shared.clone(),
        path,
        stream: None,
        wait: WAITS.0,
    };
    Link::start("reid-socket", shared, move || session.run())
}

/// What the thread works with.
struct Session {
    shared: Arc<Shared<Condvar>>,
    path: PathBuf,
    stream: Option<UnixStream>,
    wait: Duration,
}

impl Session {
    fn run(mut self) {
        self.connect();
        while let Some(line) = self.next() {
            while !self.send(&line) {
                if self.pause() {
                    return;
                }
                self.connect();
            }
            self.shared.arrived();
            if self.shared.is_late() {
                return;
            }
        }
    }

    /// The next line; `None` at closing time when nothing waits.
    fn next(&self) -> Option<String> {
        let (_, text) = self.shared.next(Duration::MAX)?;
        Some(text + "\n")
    }

    fn connect(&mut self) {
        let stream = UnixStream::connect(&self.path);
        let stream = stream.and_then(|stream| {
            stream.set_write_timeout(Some(TICK))?;
            Ok(stream)
        });
        match stream {
            Ok(stream) => {
                self.stream = Some(stream);
                self.wait = WAITS.0;
                self.shared.connected();
            }
            Err(error) => self.shared.away(|| error.to_string()),
        }
    }

    /// Whether the line has been written.
    fn send(&mut self, text: &str) -> bool {
        let mut left = text.as_bytes();
        while !left.is_empty() {
            let Some(stream) = &mut self.stream else {
                return false;
            };
            match stream.write(left) {
                Ok(count) => left = &left[count..],
                // Whoever reads slowly stays connected: what is too much for them is dropped while it waits.
                Err(error) if is_slow(&error) && !self.shared.is_late() => {}
                Err(error) => {
                    self.stream = None;
                    self.shared.away(|| error.to_string());
                }
            }
        }
        true
    }

    /// Waits before another attempt. Whether it is too late for one.
    fn pause(&mut self) -> bool {
        let end = Instant::now() + self.wait;
        self.wait = (self.wait * 2).min(WAITS.1);
        while Instant::now() < end && !self.shared.is_late() {
            thread::sleep(Duration::from_millis(20));
        }
        self.shared.is_late()
    }
}

fn is_slow(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    [Interrupted, TimedOut, WouldBlock].contains(&error.kind())
}
