//! Shared state while cameras run: states, people in view, events, visits. Written by the cameras' threads, read by the output and the
//! page.
//!
//! Locks: cameras, then an entry's, then events or visits; each is held briefly.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use gst::{glib, prelude::*};
use gstreid::core::{overlay::identity_colour, person::IdentityId};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::{broadcast, watch};

pub use super::notes::Note;
use super::{line::TRACK, mosaic::Tile, notes::History, shared_text, visits::Visits};
use crate::embedding::ModelArguments;

/// Events that a slow reader may be behind before it misses some.
const EVENTS_AHEAD: usize = 256;
/// Time over which frames are counted for their rate.
const RATE_WINDOW: Duration = Duration::from_secs(3);
const DAY_NS: i64 = 86_400_000_000_000;

/// Locks a mutex whether or not another thread has panicked: the data are whole between statements.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Now, ns since 1970.
pub fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    })
}

/// The colour of an id in every picture, `#rrggbb`.
pub fn colour(id: u32) -> String {
    let colour = identity_colour(IdentityId(id));
    format!("#{:02x}{:02x}{:02x}", colour.r, colour.g, colour.b)
}

/// How a camera is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Its pipeline starts; no frame has come yet.
    Starting,
    /// Frames come.
    Running,
    /// It failed, stalled or ended and is started again soon.
    Waiting,
    /// Its file was played to the end.
    Ended,
    /// Its files are being finished.
    Stopping,
}

impl Condition {
    /// The name in tables, JSON and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Ended => "ended",
            Self::Stopping => "stopping",
        }
    }
}

/// Somebody in the view of a camera now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InView {
    /// The id.
    pub id: u32,
    /// The name, if one was given.
    #[serde(serialize_with = "shared_text::some")]
    pub name: Option<Arc<str>>,
    /// The colour in every picture, `#rrggbb`.
    pub colour: String,
    /// `pending`, `new` or `matched`.
    pub state: &'static str,
    /// Cosine similarity when the identity was decided.
    pub score: f32,
}

/// A camera as others see it, at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Its name.
    #[serde(serialize_with = "shared_text::one")]
    pub name: Arc<str>,
    /// Where its pictures come from, without a password.
    pub source: String,
    /// How it is.
    pub state: Condition,
    /// Why it is not running.
    pub error: Option<String>,
    /// Times it was started again.
    pub restarts: u64,
    /// Frames since the program started.
    pub frames: u64,
    /// Frames a second.
    pub fps: f32,
    /// From the capture of a frame until people are known, ms; of files it means nothing and is left out.
    pub latency_ms: Option<f32>,
    /// Who is in view.
    pub people: Vec<InView>,
    /// People seen since midnight UTC.
    pub today: usize,
}

/// A camera's entry.
#[derive(Debug)]
pub struct Entry {
    pub name: Arc<str>,
    pub source: String,
    frames: AtomicU64,
    restarts: AtomicU64,
    /// `None` until the camera's thread says something.
    state: Mutex<Option<(Condition, Option<String>)>>,
    people: Mutex<Vec<InView>>,
    flow: Mutex<Flow>,
    pipeline: glib::WeakRef<gst::Pipeline>,
    /// The newest picture for the page, a JPEG file, and how many look.
    pub picture: watch::Sender<Option<Arc<[u8]>>>,
    pub viewers: AtomicU32,
    /// The newest picture for the mosaic; the last one stays while the camera is away.
    pub tile: Mutex<Option<Tile>>,
}

/// When frames came.
#[derive(Debug, Default)]
struct Flow {
    window: Option<(Instant, u32)>,
    fps: f32,
    last: Option<Instant>,
    latency_ms: Option<f32>,
}

impl Entry {
    fn new(name: &str, source: String) -> Self {
        Self {
            name: name.into(),
            source,
            frames: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            state: Mutex::default(),
            people: Mutex::default(),
            flow: Mutex::default(),
            pipeline: glib::WeakRef::new(),
            picture: watch::Sender::new(None),
            viewers: AtomicU32::new(0),
            tile: Mutex::default(),
        }
    }

    /// The pipeline that runs from now on.
    pub fn runs(&self, pipeline: &gst::Pipeline) {
        self.pipeline.set(Some(pipeline));
    }

    /// The tracker, while it runs.
    fn tracker(&self) -> Option<gst::Element> {
        let tracker = self.pipeline.upgrade()?.by_name(TRACK)?;
        (tracker.current_state() >= gst::State::Paused).then_some(tracker)
    }

    /// Buffers in each queue, upstream first.
    fn queues(&self) -> Vec<u32> {
        let Some(pipeline) = self.pipeline.upgrade() else {
            return Vec::new();
        };
        let elements = pipeline.iterate_sorted().into_iter().flatten();
        let mut levels: Vec<u32> = elements
            .filter(|element| element.factory().is_some_and(|f| f.name() == "queue"))
            .map(|queue| queue.property("current-level-buffers"))
            .collect();
        levels.reverse();
        levels
    }

    /// A frame has passed, `latency_ms` after its capture.
    pub fn frame(&self, latency_ms: Option<f32>) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let mut flow = lock(&self.flow);
        flow.last = Some(now);
        if let Some(latency) = latency_ms {
            let smooth = flow
                .latency_ms
                .map_or(latency, |old| old + 0.1 * (latency - old));
            flow.latency_ms = Some(smooth);
        }
        let (since, count) = flow.window.unwrap_or((now, 0));
        let span = now - since;
        if span >= RATE_WINDOW {
            flow.fps = count as f32 / span.as_secs_f32();
            flow.window = Some((now, 1));
        } else {
            flow.window = Some((since, count + 1));
        }
    }

    /// When the last frame came since the pipeline started.
    pub fn last_frame(&self) -> Option<Instant> {
        lock(&self.flow).last
    }

    /// A new pipeline: nothing has come yet.
    pub fn begin(&self) {
        *lock(&self.flow) = Flow::default();
        lock(&self.people).clear();
    }

    /// Who is in view now.
    pub fn show(&self, people: Vec<InView>) {
        *lock(&self.people) = people;
    }

    /// How the camera is.
    pub fn condition(&self) -> Condition {
        let state = lock(&self.state);
        state
            .as_ref()
            .map_or(Condition::Starting, |(state, _)| *state)
    }

    /// Frames since the program started.
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    fn status(&self, visits: &Visits, midnight_ns: i64) -> Status {
        let state = lock(&self.state).clone();
        let (state, error) = state.unwrap_or((Condition::Starting, None));
        let flow = lock(&self.flow);
        let span = flow.window.map(|(since, count)| (since.elapsed(), count));
        let fps = match span {
            // Nothing for a whole window, or not a whole window yet.
            Some((span, _)) if span > 2 * RATE_WINDOW => 0.0,
            Some((span, count)) if flow.fps == 0.0 && span.as_secs_f32() > 0.5 => {
                count as f32 / span.as_secs_f32()
            }
            _ => flow.fps,
        };
        Status {
            name: self.name.clone(),
            source: self.source.clone(),
            state,
            error,
            restarts: self.restarts.load(Ordering::Relaxed),
            frames: self.frames(),
            fps,
            latency_ms: flow.latency_ms,
            people: lock(&self.people).clone(),
            today: visits.people_since(&self.name, midnight_ns),
        }
    }
}

/// What the page must know of the cameras file.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Whether pictures of people are kept.
    pub thumbnails: bool,
    /// Folders of recordings and texts.
    pub folders: Vec<PathBuf>,
    /// What describes people, if anything does.
    pub embedder: Option<ModelArguments>,
}

/// What everybody may look at.
#[derive(Debug)]
pub struct Board {
    cameras: Mutex<BTreeMap<Arc<str>, Arc<Entry>>>,
    history: Mutex<History>,
    events: broadcast::Sender<Arc<Note>>,
    pub visits: Mutex<Visits>,
    setup: Mutex<Setup>,
    started: Instant,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            cameras: Mutex::default(),
            history: Mutex::default(),
            events: broadcast::Sender::new(EVENTS_AHEAD),
            visits: Mutex::default(),
            setup: Mutex::default(),
            started: Instant::now(),
        }
    }
}

impl Board {
    /// A new camera.
    pub fn add(&self, name: &str, source: String) -> Arc<Entry> {
        let entry = Arc::new(Entry::new(name, source));
        lock(&self.cameras).insert(entry.name.clone(), entry.clone());
        entry
    }

    /// A camera is gone, unless another has its name by now.
    pub fn remove(&self, entry: &Arc<Entry>) {
        let mut cameras = lock(&self.cameras);
        if cameras
            .get(&entry.name)
            .is_some_and(|there| Arc::ptr_eq(there, entry))
        {
            cameras.remove(&entry.name);
        }
    }

    /// One camera.
    pub fn camera(&self, name: &str) -> Option<Arc<Entry>> {
        lock(&self.cameras).get(name).cloned()
    }

    /// All cameras, by name.
    pub fn statuses(&self) -> Vec<Status> {
        let cameras = self.entries();
        let now = now_ns();
        let visits = lock(&self.visits);
        let status = |entry: &Arc<Entry>| entry.status(&visits, now - now.rem_euclid(DAY_NS));
        cameras.iter().map(status).collect()
    }

    /// What the page must know of the cameras file.
    pub fn setup(&self) -> Setup {
        lock(&self.setup).clone()
    }

    /// The cameras file says something else.
    pub fn set_up(&self, setup: Setup) {
        *lock(&self.setup) = setup;
    }

    fn entries(&self) -> Vec<Arc<Entry>> {
        lock(&self.cameras).values().cloned().collect()
    }

    /// The tracker of a camera that runs.
    pub fn tracker(&self) -> Option<gst::Element> {
        self.entries().iter().find_map(|entry| entry.tracker())
    }

    /// Of each camera, buffers in its queues.
    pub fn queues(&self) -> BTreeMap<String, Vec<u32>> {
        let queues = |entry: &Arc<Entry>| (entry.name.to_string(), entry.queues());
        self.entries().iter().map(queues).collect()
    }

    /// A camera has come into another state.
    pub fn turn(&self, entry: &Entry, state: Condition, error: Option<String>) {
        {
            let mut now = lock(&entry.state);
            let new = Some((state, error.clone()));
            if *now == new {
                return;
            }
            *now = new;
        }
        if state == Condition::Waiting {
            entry.restarts.fetch_add(1, Ordering::Relaxed);
        }
        if state != Condition::Running {
            entry.show(Vec::new());
        }
        let mut facts = Map::new();
        facts.insert("state".into(), state.as_str().into());
        if let Some(error) = error {
            facts.insert("error".into(), error.into());
        }
        self.tell("camera", Some(&entry.name), facts);
    }

    /// Something happened.
    pub fn tell(&self, event: &'static str, camera: Option<&Arc<str>>, facts: Map<String, Value>) {
        let note = Arc::new(Note {
            time_ns: now_ns(),
            event,
            camera: camera.cloned(),
            facts,
        });
        lock(&self.history).add(&note);
        // Nobody may be listening.
        let _ = self.events.send(note);
    }

    /// Events from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Note>> {
        self.events.subscribe()
    }

    /// The last events, oldest first.
    pub fn history(&self) -> Vec<Arc<Note>> {
        lock(&self.history).events().cloned().collect()
    }

    /// What was decided about whom `is_own` accepts, newest first, `most` at most.
    pub fn decisions(&self, is_own: impl Fn(u64) -> bool, most: usize) -> Vec<Arc<Note>> {
        lock(&self.history).decisions(is_own, most)
    }

    /// How long the program has run.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_once() {
        let board = Board::default();
        let mut heard = board.listen();
        let door = board.add("door", "test:0".into());
        for _ in 0..3 {
            board.turn(&door, Condition::Waiting, Some("no route".into()));
        }
        let note = heard.try_recv().unwrap();
        assert_eq!(note.facts["error"], "no route");
        assert!(heard.try_recv().is_err());
        assert_eq!(board.statuses()[0].restarts, 1);
    }

    #[test]
    fn a_camera_of_the_same_name_is_not_removed_by_its_predecessor() {
        let board = Board::default();
        let old = board.add("door", "a".into());
        let new = board.add("door", "b".into());
        board.remove(&old);
        assert!(Arc::ptr_eq(&board.camera("door").unwrap(), &new));
        board.remove(&new);
        assert!(board.camera("door").is_none());
    }
}
