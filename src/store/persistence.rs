//! The persistence worker: a thread that writes a gallery's changes to a database and reads the changes of others.
//!
//! The gallery's lock is held only to copy a few people at a time, never while the database works. A failing database is
//! reported once and tried again; until it works the changes wait in the gallery, which bounds them.
//! Locks: signal, gallery, notices; never two at once.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{StoreError, backend::Database};
use crate::{core::identity::Gallery, sync::lock};

/// How long to wait after a failure before the next try.
const RETRY: Duration = Duration::from_millis(1000);
/// How long the end of a process waits for the last changes to be written.
const FAREWELL: Duration = Duration::from_secs(5);
/// The same while the database does not work anyway.
const SHORT_FAREWELL: Duration = Duration::from_millis(250);
/// Maximum number of notices kept until an element reports them.
const MAX_NOTICES: usize = 16;

/// What a user should know about the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The database does not work. The pipeline goes on.
    Trouble(StoreError),
    /// The database works again and all changes are written.
    Recovered,
}

/// What the thread and the elements share.
#[derive(Debug, Default)]
struct Shared {
    signal: Mutex<Signal>,
    changed: Condvar,
    notices: Mutex<VecDeque<Notice>>,
    has_notices: AtomicBool,
    /// Whether the last sync failed.
    is_failing: AtomicBool,
}

#[derive(Debug, Default)]
struct Signal {
    stop: bool,
    /// Number of flushes requested, and the newest that is done.
    asked: u64,
    done: u64,
}

/// The running thread. Dropping it writes the remaining changes.
#[derive(Debug)]
pub(super) struct PersistenceWorker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl PersistenceWorker {
    /// Starts to keep `gallery` in `database`.
    pub fn start(
        gallery: Arc<Mutex<Gallery>>,
        database: Box<dyn Database>,
    ) -> Result<Self, std::io::Error> {
        let shared = Arc::<Shared>::default();
        let theirs = shared.clone();
        let thread = thread::Builder::new()
            .name("reid-gallery".into())
            .spawn(move || {
                // Callers that wait must learn that the thread is gone.
                let result = catch_unwind(AssertUnwindSafe(|| run(&theirs, &gallery, database)));
                if result.is_err() {
                    tell(&theirs, Notice::Trouble(StoreError::Broken));
                }
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Flushes pending changes and waits for it. Returns false when `limit` passed first.
    pub fn flush(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let mut signal = lock(&self.shared.signal);
        signal.asked += 1;
        let mine = signal.asked;
        self.shared.changed.notify_all();
        while signal.done < mine {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(signal, left);
            signal = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
        true
    }

    /// Requests a flush of pending changes. Does not wait.
    pub fn request_flush(&self) {
        lock(&self.shared.signal).asked += 1;
        self.shared.changed.notify_all();
    }

    /// Takes the notices that were not reported yet.
    pub fn notices(&self) -> Vec<Notice> {
        if !self.shared.has_notices.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        lock(&self.shared.notices).drain(..).collect()
    }
}

impl Drop for PersistenceWorker {
    fn drop(&mut self) {
        lock(&self.shared.signal).stop = true;
        self.shared.changed.notify_all();
        let Some(thread) = self.thread.take() else {
            return;
        };
        let patience = match self.shared.is_failing.load(Ordering::Acquire) {
            true => SHORT_FAREWELL,
            false => FAREWELL,
        };
        let end = Instant::now() + patience;
        while !thread.is_finished() && Instant::now() < end {
            thread::sleep(Duration::from_millis(2));
        }
        if thread.is_finished() {
            // A panic there was printed already.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, gallery: &Mutex<Gallery>, mut database: Box<dyn Database>) {
    let mut failing = false;
    let mut done = 0;
    loop {
        let pause = if failing { RETRY } else { database.interval() };
        let (stop, asked) = wait(shared, pause, failing);
        let is_asked = asked > done;
        let result = if stop {
            database.close(gallery)
        } else {
            database.sync(gallery, is_asked)
        };
        let worked = result.is_ok();
        match result {
            Err(error) if !failing => tell(shared, Notice::Trouble(error)),
            Ok(()) if failing => tell(shared, Notice::Recovered),
            _ => {}
        }
        failing = !worked;
        shared.is_failing.store(failing, Ordering::Release);
        if worked {
            done = asked;
            lock(&shared.signal).done = done;
            shared.changed.notify_all();
        }
        if stop {
            return;
        }
    }
}

/// Waits until the pause is over or a flush is requested; while the database fails, requests wait for the retry. Returns
/// whether to stop, and the number of flushes requested.
fn wait(shared: &Shared, pause: Duration, failing: bool) -> (bool, u64) {
    let end = Instant::now() + pause;
    let mut signal = lock(&shared.signal);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let asked = signal.asked > signal.done && !failing;
        if signal.stop || asked || left.is_zero() {
            return (signal.stop, signal.asked);
        }
        let waited = shared.changed.wait_timeout(signal, left);
        signal = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
    }
}

fn tell(shared: &Shared, notice: Notice) {
    let mut notices = lock(&shared.notices);
    if notices.len() < MAX_NOTICES {
        notices.push_back(notice);
    }
    shared.has_notices.store(true, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::core::identity::GalleryConfig;

    /// A database whose troubles are planned.
    struct Planned {
        troubles: usize,
        rounds: Arc<AtomicU64>,
    }

    impl Database for Planned {
        fn begin(&mut self, _: &Mutex<Gallery>) -> Result<(), StoreError> {
            Ok(())
        }

        fn interval(&self) -> Duration {
            Duration::from_millis(1)
        }

        fn sync(&mut self, _: &Mutex<Gallery>, _: bool) -> Result<(), StoreError> {
            self.rounds.fetch_add(1, Ordering::Relaxed);
            if self.troubles > 0 {
                self.troubles -= 1;
                return Err(StoreError::Full {
                    location: "x".into(),
                });
            }
            Ok(())
        }

        fn close(&mut self, gallery: &Mutex<Gallery>) -> Result<(), StoreError> {
            self.sync(gallery, true)
        }
    }

    fn start(troubles: usize) -> (PersistenceWorker, Arc<AtomicU64>) {
        let rounds = Arc::<AtomicU64>::default();
        let gallery = Arc::new(Mutex::new(Gallery::new(GalleryConfig::default())));
        let planned = Planned {
            troubles,
            rounds: rounds.clone(),
        };
        (
            PersistenceWorker::start(gallery, Box::new(planned)).unwrap(),
            rounds,
        )
    }

    #[test]
    fn trouble_is_told_once_and_so_is_its_end() {
        let (worker, _) = start(2);
        assert!(worker.flush(Duration::from_secs(10)));
        let told = worker.notices();
        assert!(
            matches!(told[..], [Notice::Trouble(_), Notice::Recovered]),
            "{told:?}"
        );
        assert!(worker.notices().is_empty());
    }

    #[test]
    fn whoever_waits_does_not_wait_for_ever() {
        let (worker, _) = start(usize::MAX);
        assert!(!worker.flush(Duration::from_millis(20)));
    }

    /// A database that hangs for seconds, or fails and then hangs.
    struct Hanging {
        fails: bool,
    }

    impl Database for Hanging {
        fn begin(&mut self, _: &Mutex<Gallery>) -> Result<(), StoreError> {
            Ok(())
        }

        fn interval(&self) -> Duration {
            Duration::from_millis(1)
        }

        fn sync(&mut self, _: &Mutex<Gallery>, _: bool) -> Result<(), StoreError> {
            match self.fails {
                true => Err(StoreError::Broken),
                false => Ok(()),
            }
        }

        fn close(&mut self, _: &Mutex<Gallery>) -> Result<(), StoreError> {
            thread::sleep(Duration::from_millis(1500));
            Ok(())
        }
    }

    #[test]
    fn the_end_waits_for_a_database_that_works_and_not_for_one_that_fails() {
        for fails in [false, true] {
            let gallery = Arc::new(Mutex::new(Gallery::new(GalleryConfig::default())));
            let worker = PersistenceWorker::start(gallery, Box::new(Hanging { fails })).unwrap();
            assert_eq!(worker.flush(Duration::from_millis(200)), !fails);
            let begun = Instant::now();
            drop(worker);
            let waited = begun.elapsed();
            assert_eq!(waited < Duration::from_millis(1400), fails, "{waited:?}");
        }
    }

    #[test]
    fn the_end_writes_what_is_left() {
        let (worker, rounds) = start(0);
        drop(worker);
        assert!(rounds.load(Ordering::Relaxed) >= 1);
    }
}
