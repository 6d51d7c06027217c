//! Lines to a program that listens on a Unix socket, from a thread of its own: the stream never waits for it.
//!
//! While nobody listens a limited number of messages waits; the oldest are dropped and counted. A line that was cut off by the end of a
//! connection comes again, whole, in the next one.
//!
//! Locks: the queue's, for moments, never while the socket is waited for.

use std::{
    io::{self, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{
    output::{Broker, Counts},
    report::{Report, Reporter},
    waiting::{Kind, Waiting},
};
use crate::sync::lock;

/// First and longest wait before another attempt to connect.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How often a write that has to wait looks whether it is closing time.
const TICK: Duration = Duration::from_millis(100);
/// Longest time that stopping waits for what is on its way.
const CLOSING: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Something is waiting, or it is closing time.
    wake: Condvar,
}

/// A connection that is made again whenever it ends. Closes when dropped, which takes two seconds at most.
pub(super) struct Socket {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Socket {
    /// Begins to connect.
    pub fn open(path: PathBuf, report: Reporter) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let session = Session {
            shared: shared.clone(),
            path,
            report,
            stream: None,
            is_away: false,
            wait: WAITS.0,
            late: None,
        };
        let thread = thread::Builder::new().name("reid-socket".into());
        let thread = Some(thread.spawn(move || session.run())?);
        Ok(Self { shared, thread })
    }
}

impl Broker for Socket {
    fn push_frame(&self, text: String) {
        lock(&self.shared.waiting).push(Kind::Frame, text + "\n");
        self.shared.wake.notify_one();
    }

    /// Events keep their place between frames: there is one stream of lines.
    fn push_event(&self, text: String) {
        self.push_frame(text);
    }

    fn counts(&self) -> Counts {
        lock(&self.shared.waiting).counts()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        lock(&self.shared.waiting).is_closing = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // It ends by itself; a panic in there has been printed.
            let _ = thread.join();
        }
    }
}

/// What the thread works with.
struct Session {
    shared: Arc<Shared>,
    path: PathBuf,
    report: Reporter,
    stream: Option<UnixStream>,
    is_away: bool,
    wait: Duration,
    /// When what still waits is given up.
    late: Option<Instant>,
}

impl Session {
    fn run(mut self) {
        self.connect();
        while let Some(text) = self.next() {
            while !self.send(&text) {
                if self.pause() {
                    return;
                }
                self.connect();
            }
            lock(&self.shared.waiting).acknowledged += 1;
            if self.is_late() {
                return;
            }
        }
    }

    /// The next line; `None` at closing time when nothing waits.
    fn next(&self) -> Option<String> {
        let mut waiting = lock(&self.shared.waiting);
        loop {
            if let Some((_, text)) = waiting.pop() {
                return Some(text);
            }
            if waiting.is_closing {
                return None;
            }
            let woken = self.shared.wake.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
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
                let dropped = {
                    let mut waiting = lock(&self.shared.waiting);
                    waiting.is_connected = true;
                    waiting.dropped
                };
                if std::mem::take(&mut self.is_away) {
                    (self.report)(Report::Back { dropped });
                }
            }
            Err(error) => self.away(&error),
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
                Err(error) if is_slow(&error) && !self.is_late() => {}
                Err(error) => {
                    self.stream = None;
                    self.away(&error);
                }
            }
        }
        true
    }

    fn away(&mut self, error: &io::Error) {
        let is_closing = {
            let mut waiting = lock(&self.shared.waiting);
            waiting.is_connected = false;
            waiting.is_closing
        };
        if !is_closing && !std::mem::replace(&mut self.is_away, true) {
            (self.report)(Report::Away(error.to_string()));
        }
    }

    /// Waits before another attempt. Whether it is too late for one.
    fn pause(&mut self) -> bool {
        let end = Instant::now() + self.wait;
        self.wait = (self.wait * 2).min(WAITS.1);
        while Instant::now() < end && !self.is_late() {
            thread::sleep(Duration::from_millis(20));
        }
        self.is_late()
    }

    /// Whether closing has taken long enough.
    fn is_late(&mut self) -> bool {
        if !lock(&self.shared.waiting).is_closing {
            return false;
        }
        let late = *self.late.get_or_insert_with(|| Instant::now() + CLOSING);
        Instant::now() >= late
    }
}

fn is_slow(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    [Interrupted, TimedOut, WouldBlock].contains(&error.kind())
}
