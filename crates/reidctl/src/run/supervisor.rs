//! The cameras of a file: one thread each, started, stopped and changed as the file says.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{self, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use gstreid::{
    core::identity::GalleryConfig,
    inference::Precision,
    store::{
        Location, StoreError,
        registry::{self, SharedGallery},
    },
};

use super::{
    board::{Board, Condition, Setup},
    camera::Job,
    config::{Camera, Config, Models, Options},
    mosaic::Wall,
};
use crate::embedding::ModelArguments;

/// How long a camera may take to stop.
const STOP: Duration = Duration::from_secs(10);
/// How often it is looked whether it has.
const POLL: Duration = Duration::from_millis(20);

/// All cameras, and the gallery that they share.
pub struct Supervisor {
    board: Arc<Board>,
    config: Arc<Config>,
    has_page: bool,
    has_window: bool,
    wall: Option<Hung>,
    /// Held, so that a gallery in memory outlives every restart of a camera.
    gallery: Arc<SharedGallery>,
    cameras: BTreeMap<String, Running>,
    /// Cameras that were removed and finish their files.
    leaving: Vec<JoinHandle<()>>,
}

/// A camera with its thread.
struct Running {
    camera: Camera,
    options: Options,
    /// Dropped when the camera is to stop.
    stop: Option<Sender<()>>,
    thread: JoinHandle<()>,
}

/// The mosaic with its thread.
struct Hung {
    /// Names of the cameras in it.
    cameras: Vec<String>,
    /// Dropped when the mosaic is to stop.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// What a reload came to.
#[derive(Debug, Default, PartialEq)]
pub struct Changed {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<String>,
}

impl Supervisor {
    /// Starts every camera of `config`, and the mosaic where it is recorded or shown.
    pub fn start(
        config: Config,
        board: Arc<Board>,
        has_page: bool,
        has_window: bool,
    ) -> Result<Self, StoreError> {
        let gallery = open_gallery(&config)?;
        let mut supervisor = Self {
            board,
            config: Arc::new(config),
            has_page,
            has_window,
            wall: None,
            gallery,
            cameras: BTreeMap::new(),
            leaving: Vec::new(),
        };
        supervisor.set_up();
        let config = supervisor.config.clone();
        for camera in config.cameras.iter().filter(|camera| camera.enabled) {
            supervisor.launch(camera, None);
        }
        supervisor.hang();
        Ok(supervisor)
    }

    /// Whether there is a mosaic.
    fn has_mosaic(&self) -> bool {
        self.has_window || self.config.mosaic.folder.is_some()
    }

    /// Starts the mosaic, where there is one.
    fn hang(&mut self) {
        if !self.has_mosaic() {
            return;
        }
        let (stop, stopped) = mpsc::channel();
        let wall = Wall {
            config: self.config.clone(),
            board: self.board.clone(),
            has_window: self.has_window,
            stop: stopped,
        };
        let thread = thread::Builder::new().name("mosaic".into());
        match thread.spawn(move || wall.drive()) {
            Ok(thread) => {
                self.wall = Some(Hung {
                    cameras: names(&self.config),
                    stop,
                    thread,
                });
            }
            Err(error) => {
                let mut facts = serde_json::Map::new();
                facts.insert("text".into(), format!("no thread: {error}").into());
                self.board.tell("warning", None, facts);
            }
        }
    }

    /// Ends the mosaic; its file is whole afterwards, unless that takes too long.
    fn take_down(&mut self) -> bool {
        let Some(wall) = self.wall.take() else {
            return true;
        };
        drop(wall.stop);
        wait_for(&[wall.thread], STOP)
    }

    /// The gallery of the cameras.
    pub fn gallery(&self) -> &Arc<SharedGallery> {
        &self.gallery
    }

    /// Whether every camera has played its file to the end.
    pub fn is_over(&self) -> bool {
        let statuses = self.board.statuses();
        statuses
            .iter()
            .all(|status| status.state == Condition::Ended)
    }

    /// Takes over another configuration: only cameras that differ are touched, all of them where models or the gallery do.
    pub fn reload(&mut self, config: Config) -> Result<Changed, StoreError> {
        let is_shared_same = shared(&config) == shared(&self.config);
        if !is_shared_same {
            self.gallery = open_gallery(&config)?;
            self.pause();
        }
        let hung = self.wall.as_ref().map(|wall| &wall.cameras);
        let is_other_wall = !is_shared_same || hung.is_some_and(|hung| *hung != names(&config));
        if is_other_wall {
            self.take_down();
        }
        self.config = Arc::new(config);
        self.set_up();
        self.leaving.retain(|thread| !thread.is_finished());
        let config = self.config.clone();
        let mut changed = Changed::default();
        let wanted = |name: &str| config.cameras.iter().any(|c| c.enabled && c.name == name);
        let gone: Vec<String> = self
            .cameras
            .keys()
            .filter(|name| !wanted(name))
            .cloned()
            .collect();
        for name in gone {
            if let Some(running) = self.cameras.remove(&name) {
                drop(running.stop);
                self.leaving.push(running.thread);
            }
            changed.removed.push(name);
        }
        for camera in config.cameras.iter().filter(|camera| camera.enabled) {
            let options = camera.options.or(&config.options);
            let is_same = |old: &Running| {
                is_shared_same
                    && old.camera.source == camera.source
                    && old.options == options
                    && !old.thread.is_finished()
            };
            match self.cameras.remove(&camera.name) {
                Some(old) if is_same(&old) => {
                    self.cameras.insert(camera.name.clone(), old);
                }
                Some(old) => {
                    drop(old.stop);
                    self.launch(camera, Some(old.thread));
                    changed.changed.push(camera.name.clone());
                }
                None => {
                    self.launch(camera, None);
                    changed.added.push(camera.name.clone());
                }
            }
        }
        if is_other_wall {
            self.hang();
        }
        Ok(changed)
    }

    /// Stops all cameras and waits, so that none with the old rules of the gallery meets one with the new.
    fn pause(&mut self) {
        for running in self.cameras.values_mut() {
            running.stop = None;
        }
        let start = Instant::now();
        while self
            .cameras
            .values()
            .any(|running| !running.thread.is_finished())
            && start.elapsed() < STOP
        {
            thread::sleep(POLL);
        }
    }

    /// Tells the page what it must know of the file.
    fn set_up(&self) {
        let config = &self.config;
        let of = |camera: &Camera| {
            let options = camera.options.or(&config.options);
            let record = options.record.map(|record| record.folder);
            record
                .into_iter()
                .chain(options.publish.and_then(|publish| publish.folder))
        };
        let mut folders: Vec<_> = config.cameras.iter().flat_map(of).collect();
        folders.extend(config.mosaic.folder.clone());
        folders.sort();
        folders.dedup();
        self.board.set_up(Setup {
            thumbnails: config.gallery.thumbnails,
            folders,
            embedder: embedder(&config.models),
        });
    }

    /// Starts a camera, once its `predecessor` has let go of its device and files.
    fn launch(&mut self, camera: &Camera, predecessor: Option<JoinHandle<()>>) {
        let (stop, stopped) = mpsc::channel();
        let options = camera.options.or(&self.config.options);
        let job = Job {
            config: self.config.clone(),
            camera: camera.clone(),
            options: options.clone(),
            has_page: self.has_page,
            has_mosaic: self.has_mosaic(),
            board: self.board.clone(),
            entry: self.board.add(&camera.name, camera.source.shown()),
            stop: stopped,
            last_stamp: RefCell::default(),
        };
        let thread = thread::Builder::new().name("camera".into()).spawn(move || {
            if let Some(predecessor) = predecessor {
                wait_for(&[predecessor], STOP);
            }
            job.drive();
        });
        match thread {
            Ok(thread) => {
                self.cameras.insert(
                    camera.name.clone(),
                    Running {
                        camera: camera.clone(),
                        options,
                        stop: Some(stop),
                        thread,
                    },
                );
            }
            Err(error) => {
                let mut facts = serde_json::Map::new();
                facts.insert("text".into(), format!("no thread: {error}").into());
                self.board
                    .tell("warning", Some(&camera.name.as_str().into()), facts);
            }
        }
    }

    /// Stops all cameras; their files are whole afterwards. False when some did not stop in time.
    pub fn stop(mut self) -> bool {
        let is_mosaic_whole = self.take_down();
        let cameras = self.cameras.into_values().map(|running| {
            drop(running.stop);
            running.thread
        });
        let threads: Vec<JoinHandle<()>> = cameras.chain(self.leaving).collect();
        wait_for(&threads, STOP) && is_mosaic_whole
    }
}

/// The cameras that run.
fn names(config: &Config) -> Vec<String> {
    let enabled = config.cameras.iter().filter(|camera| camera.enabled);
    enabled.map(|camera| camera.name.clone()).collect()
}

fn wait_for(threads: &[JoinHandle<()>], limit: Duration) -> bool {
    let start = Instant::now();
    while threads.iter().any(|thread| !thread.is_finished()) {
        if start.elapsed() > limit {
            return false;
        }
        thread::sleep(POLL);
    }
    true
}

/// The embedder as the cameras run it, so that its sessions are shared.
fn embedder(models: &Models) -> Option<ModelArguments> {
    let is_none = models.embedder.as_deref() == Some("none");
    (!is_none).then(|| ModelArguments {
        model: models.embedder.clone(),
        device: models.device.clone().unwrap_or_else(|| "cpu".into()),
        threads: models.threads,
        precision: Precision::Auto,
    })
}

/// What all cameras share.
fn shared(config: &Config) -> impl PartialEq + '_ {
    (
        &config.gallery,
        &config.topology,
        &config.models,
        &config.retention,
        &config.restart,
        &config.mosaic,
    )
}

/// Opens what the cameras' trackers will share.
fn open_gallery(config: &Config) -> Result<Arc<SharedGallery>, StoreError> {
    let gallery = &config.gallery;
    let age = config.retention.max_age.map(|age| age.0.as_nanos());
    let rules = GalleryConfig {
        match_threshold: gallery.match_threshold,
        max_identities: gallery.max_identities as usize,
        max_age_ns: age.and_then(|ns| u64::try_from(ns).ok()),
    };
    let location = Location::parse(&gallery.location)?;
    registry::open(&gallery.name, &location, rules)
}
