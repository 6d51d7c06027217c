//! Frames in flight: several frames of one stream are worked on at the same time, and leave in the order in which they came.
//!
//! Each thread has a worker of its own. There is one thread at first. Another is started, up to the limit, when frames keep waiting
//! while all threads work and downstream is not what holds them up: a stream that one core can carry, or that others slow down,
//! never has a second one. A frame leaves as soon as it and all before it are done, from the thread that finished last: a
//! frame never waits for the next one to come.

use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::sync::lock;

/// After so many frames in a row that had to wait another thread is started …
const PATIENCE: u32 = 12;
/// … if pushing them took less than this part of the time.
const PUSHING: f64 = 0.25;

/// What works on frames.
pub(in crate::elements) trait Crew: Sized + Send + 'static {
    /// A frame to work on.
    type Job: Send + 'static;
    /// A frame that was worked on, or that has failed.
    type Done: Send + 'static;

    /// Works on a frame.
    fn work(&mut self, job: Self::Job) -> Self::Done;

    /// How another worker of the same kind is made; that may take a while.
    fn another(&self) -> Make<Self>;

    /// Stands for a frame that was lost because its worker panicked.
    fn lost() -> Self::Done;
}

/// Makes a worker; `None` when there can be no other.
pub(in crate::elements) type Make<C> = Box<dyn FnOnce() -> Option<C> + Send>;

/// Takes frames that are done, one at a time and in order.
type Deliver<C> = Box<dyn Fn(<C as Crew>::Done) + Send + Sync>;

/// The frames in flight and the threads that work on them. Dropping it ends the threads after the frames that they work on.
pub(in crate::elements) struct Flight<C: Crew> {
    shared: Arc<Shared<C>>,
}

struct Shared<C: Crew> {
    limit: usize,
    deliver: Deliver<C>,
    line: Mutex<Line<C>>,
    changed: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// The frames in order. Its lock is held for moments only, never during work or delivery.
struct Line<C: Crew> {
    /// What has not left.
    slots: VecDeque<Slot<C::Done>>,
    /// Number of the first of them.
    first: u64,
    waiting: VecDeque<(u64, C::Job)>,
    idle: usize,
    is_delivering: bool,
    is_closed: bool,
    demand: Demand,
}

/// Something that leaves in its turn.
struct Slot<D> {
    /// `None` while a frame is worked on or waits for it.
    done: Option<D>,
    is_frame: bool,
}

impl<D> Slot<D> {
    /// A frame that is worked on.
    fn awaited() -> Self {
        Self {
            done: None,
            is_frame: true,
        }
    }

    fn ready(done: D, is_frame: bool) -> Self {
        Self {
            done: Some(done),
            is_frame,
        }
    }
}

/// Whether one more thread would be of use.
#[derive(Default)]
struct Demand {
    /// Frames in a row that found all threads at work, …
    in_a_row: u32,
    /// … how long these were worked on, …
    working: Duration,
    /// … and how long pushing frames took meanwhile.
    pushing: Duration,
}

impl Demand {
    fn note(&mut self, is_short: bool, working: Duration) {
        if is_short {
            self.in_a_row += 1;
            self.working += working;
        } else {
            *self = Self::default();
        }
    }

    fn is_lasting(&self) -> bool {
        let pushing = self.pushing.as_secs_f64();
        self.in_a_row >= PATIENCE && pushing < PUSHING * (pushing + self.working.as_secs_f64())
    }
}

impl<C: Crew> Flight<C> {
    /// At most `limit` frames (at least one) are worked on at a time. One more may wait, so that no thread has to. Fails when
    /// the system gives no thread.
    pub fn new(worker: C, limit: usize, deliver: Deliver<C>) -> io::Result<Self> {
        let line = Line {
            slots: VecDeque::new(),
            first: 0,
            waiting: VecDeque::new(),
            idle: 0,
            is_delivering: false,
            is_closed: false,
            demand: Demand::default(),
        };
        let shared = Arc::new(Shared {
            limit: limit.max(1),
            deliver,
            line: Mutex::new(line),
            changed: Condvar::new(),
            threads: Mutex::default(),
        });
        shared.start(Box::new(|| Some(worker)))?;
        Ok(Self { shared })
    }

    /// Takes a frame to work on. Waits while there are as many as may be.
    pub fn work(&self, job: C::Job) {
        let mut line = self.shared.room();
        let number = line.first + line.slots.len() as u64;
        line.slots.push_back(Slot::awaited());
        line.waiting.push_back((number, job));
        drop(line);
        self.shared.changed.notify_all();
    }

    /// Takes a frame that needs no work. It leaves in its turn.
    pub fn pass(&self, done: C::Done) {
        let slot = Slot::ready(done, true);
        self.shared.room().slots.push_back(slot);
        self.shared.deliver_ready();
    }

    /// Takes something that belongs between two frames. It leaves in its turn and takes no frame's room.
    pub fn follow(&self, done: C::Done) {
        let slot = Slot::ready(done, false);
        lock(&self.shared.line).slots.push_back(slot);
        self.shared.deliver_ready();
    }

    /// Waits until all frames have left.
    pub fn drain(&self) {
        let line = lock(&self.shared.line);
        drop(
            self.shared
                .wait_while(line, |line| !line.slots.is_empty() || line.is_delivering),
        );
    }

    /// Forgets the frames that have not left, and waits for the one that is being delivered. What came between the frames is
    /// given back in its order.
    pub fn discard(&self) -> Vec<C::Done> {
        let mut line = lock(&self.shared.line);
        let between = line.forget();
        drop(self.shared.wait_while(line, |line| line.is_delivering));
        self.shared.changed.notify_all();
        between
    }
}

impl<C: Crew> Drop for Flight<C> {
    fn drop(&mut self) {
        let mut line = lock(&self.shared.line);
        line.is_closed = true;
        drop(line.forget());
        drop(line);
        self.shared.changed.notify_all();
        // The last thread may start another one.
        while let Some(thread) = lock(&self.shared.threads).pop() {
            // Panics of workers and deliveries do not end a thread.
            let _ = thread.join();
        }
    }
}

impl<C: Crew> Line<C> {
    /// Empties the line. Returns what came between frames.
    fn forget(&mut self) -> Vec<C::Done> {
        self.waiting.clear();
        self.first += self.slots.len() as u64;
        let between = self.slots.drain(..).filter(|slot| !slot.is_frame);
        between.filter_map(|slot| slot.done).collect()
    }

    fn is_ready(&self) -> bool {
        self.slots.front().is_some_and(|slot| slot.done.is_some())
    }

    fn frames(&self) -> usize {
        self.slots.iter().filter(|slot| slot.is_frame).count()
    }

    fn finish(&mut self, number: u64, done: C::Done) {
        // Frames that were forgotten meanwhile have no slot any more.
        let slot = number.checked_sub(self.first).map(|at| at as usize);
        if let Some(slot) = slot.and_then(|at| self.slots.get_mut(at)) {
            slot.done = Some(done);
        }
    }
}

impl<C: Crew> Shared<C> {
    fn wait_while<'a>(
        &self,
        line: MutexGuard<'a, Line<C>>,
        condition: impl FnMut(&mut Line<C>) -> bool,
    ) -> MutexGuard<'a, Line<C>> {
        self.changed
            .wait_while(line, condition)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The line, once there is room in it.
    fn room(&self) -> MutexGuard<'_, Line<C>> {
        let line = lock(&self.line);
        self.wait_while(line, |line| line.frames() > self.limit)
    }

    fn start(self: &Arc<Self>, make: Make<C>) -> io::Result<()> {
        let shared = self.clone();
        let mut threads = lock(&self.threads);
        let thread = thread::Builder::new()
            .name("reid-inference".into())
            .spawn(move || {
                if let Some(worker) = make() {
                    shared.run(worker);
                }
            })?;
        threads.push(thread);
        Ok(())
    }

    /// What a thread does.
    fn run(self: &Arc<Self>, mut worker: C) {
        loop {
            let mut line = lock(&self.line);
            line.idle += 1;
            let mut line = self.wait_while(line, |l| l.waiting.is_empty() && !l.is_closed);
            line.idle -= 1;
            if line.is_closed {
                return;
            }
            let Some((number, job)) = line.waiting.pop_front() else {
                continue;
            };
            let is_short = !line.waiting.is_empty() && line.idle == 0;
            drop(line);
            let began = Instant::now();
            let done = catch_unwind(AssertUnwindSafe(|| worker.work(job)));
            let mut line = lock(&self.line);
            line.finish(number, done.unwrap_or_else(|_| C::lost()));
            line.demand.note(is_short, began.elapsed());
            let wants_more = line.demand.is_lasting();
            drop(line);
            if wants_more {
                self.grow(&worker);
            }
            self.deliver_ready();
        }
    }

    /// Starts another thread, if there may be one.
    fn grow(self: &Arc<Self>, worker: &C) {
        lock(&self.line).demand = Demand::default();
        if lock(&self.threads).len() < self.limit {
            // Without it the stream is slower.
            let _ = self.start(worker.another());
        }
    }

    /// Delivers what is done, in order, unless another thread is at it: that one will see it.
    fn deliver_ready(&self) {
        loop {
            let mut line = lock(&self.line);
            if line.is_delivering || !line.is_ready() {
                return;
            }
            let done = line.slots.pop_front().and_then(|slot| slot.done);
            line.first += 1;
            line.is_delivering = true;
            drop(line);
            self.changed.notify_all();
            let began = Instant::now();
            if let Some(done) = done {
                // Whoever waits for the delivery to end must not do so for ever.
                let _ = catch_unwind(AssertUnwindSafe(|| (self.deliver)(done)));
            }
            let mut line = lock(&self.line);
            line.is_delivering = false;
            line.demand.pushing += began.elapsed();
            drop(line);
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    /// Waits as many milliseconds as it is told; panics at 666.
    struct Sleeper(usize);

    impl Crew for Sleeper {
        type Job = (u64, u64);
        type Done = Option<(u64, usize)>;

        fn work(&mut self, (number, ms): (u64, u64)) -> Self::Done {
            assert_ne!(ms, 666, "on purpose");
            thread::sleep(Duration::from_millis(ms));
            Some((number, self.0))
        }

        fn another(&self) -> Make<Self> {
            let number = self.0 + 1;
            Box::new(move || Some(Self(number)))
        }

        fn lost() -> Self::Done {
            None
        }
    }

    fn flight(limit: usize) -> (Flight<Sleeper>, mpsc::Receiver<Option<(u64, usize)>>) {
        let (sender, receiver) = mpsc::channel();
        let deliver = move |done| sender.send(done).unwrap_or_default();
        let flight = Flight::new(Sleeper(0), limit, Box::new(deliver));
        (flight.unwrap(), receiver)
    }

    #[test]
    fn frames_leave_in_order_whichever_is_done_first() {
        let (flight, left) = flight(4);
        for number in 0..120 {
            if number % 7 == 3 {
                flight.pass(Some((number, 99)));
            } else {
                flight.work((number, number % 5 * 2));
            }
        }
        flight.drain();
        let left: Vec<(u64, usize)> = left.try_iter().flatten().collect();
        assert!(left.iter().map(|(number, _)| *number).eq(0..120));
        let workers: std::collections::BTreeSet<usize> = left.iter().map(|(_, w)| *w).collect();
        assert!(workers.len() > 1, "{workers:?}");
    }

    #[test]
    fn what_follows_a_frame_leaves_behind_it_and_takes_no_room() {
        let (flight, left) = flight(1);
        flight.work((0, 40));
        (1..50).for_each(|number| flight.follow(Some((number, 99))));
        assert!(left.try_recv().is_err(), "nothing overtakes the frame");
        flight.work((50, 0));
        flight.drain();
        let left = left.try_iter().flatten().map(|(number, _)| number);
        assert!(left.eq(0..51));
    }

    #[test]
    fn a_frame_leaves_without_another_one_behind_it_and_one_thread_is_enough_for_few() {
        let (flight, left) = flight(4);
        for number in 0..20 {
            flight.work((number, 1));
            let done = left.recv_timeout(Duration::from_secs(5)).unwrap();
            assert_eq!(done, Some((number, 0)));
        }
    }

    #[test]
    fn no_thread_is_added_where_pushing_takes_the_time() {
        let (sender, left) = mpsc::channel();
        let deliver = move |done| {
            thread::sleep(Duration::from_millis(4));
            sender.send(done).unwrap_or_default();
        };
        let flight = Flight::new(Sleeper(0), 4, Box::new(deliver)).unwrap();
        (0..60).for_each(|number| flight.work((number, 1)));
        flight.drain();
        assert!(left.try_iter().flatten().all(|(_, worker)| worker == 0));
    }

    #[test]
    fn what_is_discarded_never_leaves_and_what_came_between_is_given_back() {
        let (flight, left) = flight(3);
        flight.work((0, 30));
        flight.follow(Some((100, 99)));
        flight.work((1, 30));
        flight.pass(Some((2, 99)));
        flight.follow(Some((101, 99)));
        assert_eq!(flight.discard(), [Some((100, 99)), Some((101, 99))]);
        flight.work((7, 0));
        flight.drain();
        let left: Vec<u64> = left
            .try_iter()
            .flatten()
            .map(|(number, _)| number)
            .collect();
        assert_eq!(left, [7]);
    }

    #[test]
    fn a_panic_costs_its_frame_and_no_other() {
        let (flight, left) = flight(2);
        (0..9).for_each(|number| flight.work((number, if number == 4 { 666 } else { 1 })));
        flight.drain();
        let left: Vec<Option<u64>> = left.try_iter().map(|done| done.map(|d| d.0)).collect();
        assert_eq!(left.len(), 9);
        assert!(
            (0..9).all(|n| (left[n as usize] == Some(n)) == (n != 4)),
            "{left:?}"
        );
    }

    #[test]
    fn it_ends_with_frames_in_flight() {
        for _ in 0..20 {
            let (flight, left) = flight(3);
            (0..3).for_each(|number| flight.work((number, 3)));
            drop(flight);
            assert!(left.try_iter().count() <= 3);
        }
    }
}
