//! A connection to a broker or another program: what waits for it, the thread that speaks to it, and how the connection is.
//!
//! The protocols (`mqtt`, `kafka`, `socket`) give the thread's work and what wakes it; everything else is the same for all.
//!
//! Locks: the queue's, for moments, never while the other side is waited for.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{
    output::Counts,
    report::{Report, Reporter},
    waiting::{Kind, Order, Waiting},
};
use crate::sync::lock;

/// Longest time that stopping waits for what is on its way.
pub(super) const CLOSING: Duration = Duration::from_secs(2);

/// What wakes the thread of a connection.
pub(super) trait Wake: Send + Sync + 'static {
    /// Something is waiting.
    fn wake(&self);

    /// It is closing time.
    fn close(&self) {
        self.wake();
    }
}

impl Wake for Condvar {
    fn wake(&self) {
        self.notify_one();
    }
}

struct Queue {
    waiting: Waiting,
    is_connected: bool,
    /// It has been said that the other side cannot be reached.
    is_away: bool,
    /// Messages that have arrived.
    arrived: u64,
    /// From closing time on: when what still waits is given up.
    late: Option<Instant>,
}

/// What the element and the thread share.
pub(super) struct Shared<W> {
    queue: Mutex<Queue>,
    pub wake: W,
    report: Reporter,
}

impl<W: Wake> Shared<W> {
    pub fn new(wake: W, order: Order, report: Reporter) -> Arc<Self> {
        let queue = Queue {
            waiting: Waiting::new(order),
            is_connected: false,
            is_away: false,
            arrived: 0,
            late: None,
        };
        Arc::new(Self {
            queue: Mutex::new(queue),
            wake,
            report,
        })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    /// The next message, events first.
    #[cfg(feature = "mqtt")]
    pub fn pop(&self) -> Option<(Kind, String)> {
        self.queue().waiting.pop()
    }

    /// The other side is there: said where it was said to be away.
    pub fn connected(&self) {
        let (was_away, dropped) = {
            let mut queue = self.queue();
            queue.is_connected = true;
            (std::mem::take(&mut queue.is_away), queue.waiting.dropped)
        };
        if was_away {
            (self.report)(Report::Back { dropped });
        }
    }

    /// The other side cannot be reached: said once until it is back, and not at closing time.
    pub fn away(&self, reason: impl FnOnce() -> String) {
        let is_news = {
            let mut queue = self.queue();
            queue.is_connected = false;
            queue.late.is_none() && !std::mem::replace(&mut queue.is_away, true)
        };
        if is_news {
            (self.report)(Report::Away(reason()));
        }
    }

    /// Counts a message that has arrived.
    pub fn arrived(&self) {
        self.queue().arrived += 1;
    }

    /// Counts a message that the other side does not take.
    #[cfg(feature = "kafka")]
    pub fn refused(&self) {
        self.queue().waiting.dropped += 1;
    }

    /// Messages that have arrived so far.
    #[cfg(feature = "mqtt")]
    pub fn count_arrived(&self) -> u64 {
        self.queue().arrived
    }

    /// Whether it is closing time.
    #[cfg(any(feature = "mqtt", feature = "kafka"))]
    pub fn is_closing(&self) -> bool {
        self.queue().late.is_some()
    }

    /// What is left of the time for closing; none before closing time.
    pub fn time_left(&self) -> Option<Duration> {
        let late = self.queue().late?;
        Some(late.saturating_duration_since(Instant::now()))
    }

    /// Whether closing has taken long enough.
    pub fn is_late(&self) -> bool {
        self.time_left().is_some_and(|left| left.is_zero())
    }
}

impl Shared<Condvar> {
    /// The next message; `None` when there is none within `patience`, and at closing time when nothing waits.
    pub fn next(&self, patience: Duration) -> Option<(Kind, String)> {
        let is_idle = |queue: &mut Queue| queue.waiting.is_empty() && queue.late.is_none();
        let woken = self
            .wake
            .wait_timeout_while(self.queue(), patience, is_idle);
        let (mut queue, _) = woken.unwrap_or_else(PoisonError::into_inner);
        queue.waiting.pop()
    }
}

/// A connection that keeps itself up and never makes the caller wait. Closes when dropped, which takes two seconds at most.
pub(super) trait Connection: Send {
    /// Adds a message to what waits; the oldest are dropped when too many do.
    fn push(&self, kind: Kind, text: String);

    /// Counts since the start.
    fn counts(&self) -> Counts;
}

/// The element's side of a connection.
pub(super) struct Link<W: Wake> {
    shared: Arc<Shared<W>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl<W: Wake> Link<W> {
    /// Starts the thread `name`, whose work ends by itself soon after closing time.
    pub fn start(
        name: &str,
        shared: Arc<Shared<W>>,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let thread = thread::Builder::new().name(name.to_owned());
        let thread = Some(thread.spawn(work)?);
        Ok(Self { shared, thread })
    }
}

impl<W: Wake> Connection for Link<W> {
    fn push(&self, kind: Kind, text: String) {
        self.shared.queue().waiting.push(kind, text);
        self.shared.wake.wake();
    }

    fn counts(&self) -> Counts {
        let queue = self.shared.queue();
        Counts {
            written: queue.arrived,
            dropped: queue.waiting.dropped,
            waiting: queue.waiting.len(),
            is_connected: queue.is_connected,
        }
    }
}

impl<W: Wake> Drop for Link<W> {
    fn drop(&mut self) {
        self.shared.queue().late = Some(Instant::now() + CLOSING);
        self.shared.wake.close();
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed.
            let _ = thread.join();
        }
    }
}
