//! All cameras side by side. A thread makes a picture from the newest tile of each camera, at a steady rate, and gives it to a recording
//! and a window, each a pipeline of its own. It never waits for a camera, and neither sink waits for the other.
//!
//! `compositor` is not used: its output waits for the slowest input, and cameras come, go and change while it runs.

use std::{
    fs,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use gst::prelude::*;
use gstreid::{
    core::{
        colour::Rgb,
        image::ImageView,
        image_mut::ImageMut,
        overlay::{Area, Painter, TextCache},
    },
    fonts::SystemLetters,
    media::frame::{MappedFrame, MappedFrameMut},
};
use serde_json::Map;

use super::{
    backoff::Backoff,
    board::{Board, Condition, Entry, lock, now_ns},
    camera::stamp,
    config::Config,
    films,
    line::{Line, WALL, recorded_mosaic, shown_mosaic},
};

/// A tile without a new picture for this long is drawn darker.
const FRESH: Duration = Duration::from_secs(2);
/// How long the recording may take to be finished.
const FINISH: Duration = Duration::from_secs(5);
/// What stands where a camera has not shown anything yet.
const EMPTY: Rgb = Rgb {
    r: 96,
    g: 96,
    b: 96,
};
const INK: Rgb = Rgb {
    r: 255,
    g: 255,
    b: 255,
};
const PAPER: Rgb = Rgb { r: 0, g: 0, b: 0 };
/// Height of a camera's name, as a part of the tile's.
const LETTERS: u32 = 14;

/// The newest picture of a camera for the mosaic.
#[derive(Debug)]
pub struct Tile {
    /// I420, of the size of a tile.
    pub buffer: gst::Buffer,
    pub info: gst_video::VideoInfo,
    /// When it came.
    pub at: Instant,
}

/// What the mosaic's thread needs.
pub struct Wall {
    pub config: Arc<Config>,
    pub board: Arc<Board>,
    /// Whether the mosaic is shown.
    pub has_window: bool,
    /// Its other end is dropped when the mosaic is to stop.
    pub stop: Receiver<()>,
}

impl Wall {
    /// Runs until it is stopped.
    pub fn drive(self) {
        let enabled = self.config.cameras.iter().filter(|camera| camera.enabled);
        let cameras: Vec<&str> = enabled.map(|camera| camera.name.as_str()).collect();
        let mosaic = &self.config.mosaic;
        let mut sinks = Vec::new();
        if mosaic.folder.is_some() {
            sinks.push(Sink::new(Purpose::Record, &self.config));
        }
        if self.has_window {
            sinks.push(Sink::new(Purpose::Show, &self.config));
        }
        let mut picture = Picture::new(&self.config, &cameras);
        let period = Duration::from_secs(1) / mosaic.rate.max(1);
        let mut next = Instant::now();
        loop {
            for sink in &mut sinks {
                sink.look_after(&self, cameras.len());
            }
            match picture.compose(&self.board) {
                Ok(buffer) => sinks.iter().for_each(|sink| sink.push(&buffer)),
                Err(error) => self.tell("failed", Some(error)),
            }
            next = (next + period).max(Instant::now());
            let rest = next.saturating_duration_since(Instant::now());
            if !matches!(self.stop.recv_timeout(rest), Err(RecvTimeoutError::Timeout)) {
                break;
            }
        }
        sinks.into_iter().for_each(Sink::finish);
    }

    fn tell(&self, state: &str, error: Option<String>) {
        let mut facts = Map::new();
        facts.insert("state".into(), state.into());
        if let Some(error) = error {
            facts.insert("error".into(), error.into());
        }
        self.board.tell("mosaic", None, facts);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Record,
    Show,
}

/// Where the pictures go.
struct Sink {
    purpose: Purpose,
    running: Option<Running>,
    backoff: Backoff,
    /// When it is started (again); `None`: never.
    due: Option<Instant>,
}

struct Running {
    pipeline: gst::Pipeline,
    source: gst::Element,
    since: Instant,
}

impl Sink {
    fn new(purpose: Purpose, config: &Config) -> Self {
        let restart = &config.restart;
        Self {
            purpose,
            running: None,
            backoff: Backoff::new(restart.first_seconds, restart.longest_seconds),
            due: Some(Instant::now()),
        }
    }

    /// Starts it when it is time, and notices when it has failed or was closed.
    fn look_after(&mut self, wall: &Wall, cameras: usize) {
        if let Some(reason) = self.running.as_ref().and_then(Running::failure) {
            self.fail(wall, reason);
        }
        if self.running.is_some() || self.due.is_none_or(|due| due > Instant::now()) {
            return;
        }
        match self.start(wall, cameras) {
            Ok(running) => {
                self.running = Some(running);
                wall.tell(self.states()[0], None);
            }
            Err(reason) => self.fail(wall, reason),
        }
    }

    /// Names of its states: running, over.
    fn states(&self) -> [&'static str; 2] {
        match self.purpose {
            Purpose::Record => ["recording", "waiting"],
            Purpose::Show => ["shown", "window closed"],
        }
    }

    /// A recording is tried again. A window was closed by the user, or cannot be shown.
    fn fail(&mut self, wall: &Wall, reason: String) {
        let ran = self.running.take().map_or(Duration::ZERO, Running::ran);
        self.due = match self.purpose {
            Purpose::Record => Some(Instant::now() + self.backoff.after(ran)),
            Purpose::Show => None,
        };
        wall.tell(self.states()[1], Some(reason));
    }

    fn start(&self, wall: &Wall, cameras: usize) -> Result<Running, String> {
        let mosaic = &wall.config.mosaic;
        match self.purpose {
            Purpose::Show => Running::start(&shown_mosaic(mosaic, cameras)),
            Purpose::Record => {
                if let Some(folder) = &mosaic.folder {
                    fs::create_dir_all(folder).map_err(|error| {
                        format!("the folder {} cannot be made: {error}", folder.display())
                    })?;
                }
                let line = recorded_mosaic(mosaic, cameras, &stamp(now_ns()));
                Running::start(&line.ok_or("the mosaic has no folder")?)
            }
        }
    }

    fn push(&self, buffer: &gst::Buffer) {
        if let Some(running) = &self.running {
            // What goes wrong is told on the bus.
            let _ = running
                .source
                .emit_by_name::<gst::FlowReturn>("push-buffer", &[buffer]);
        }
    }

    /// Ends it so that its file is whole.
    fn finish(self) {
        let Some(running) = self.running else { return };
        if self.purpose == Purpose::Record {
            let _ = running
                .source
                .emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
            if let Some(bus) = running.pipeline.bus() {
                let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
                bus.timed_pop_filtered(gst::ClockTime::try_from(FINISH).ok(), &kinds);
            }
        }
    }
}

impl Running {
    fn start(line: &Line) -> Result<Self, String> {
        let element =
            gst::parse::launchv(&line.words()).map_err(|error| error.message().to_owned())?;
        let pipeline = element
            .downcast::<gst::Pipeline>()
            .map_err(|_| "the mosaic is no pipeline".to_owned())?;
        films::write_in_fragments(&pipeline);
        let source = pipeline.by_name(WALL).ok_or("the mosaic has no source")?;
        let running = Self {
            pipeline,
            source,
            since: Instant::now(),
        };
        if running.pipeline.set_state(gst::State::Playing).is_err() {
            let reason = running.failure();
            return Err(reason.unwrap_or_else(|| "the pipeline does not start".into()));
        }
        Ok(running)
    }

    /// Why it is over, if it is.
    fn failure(&self) -> Option<String> {
        let bus = self.pipeline.bus()?;
        while let Some(message) = bus.pop() {
            match message.view() {
                gst::MessageView::Error(error) => return Some(error.error().to_string()),
                gst::MessageView::Latency(_) => {
                    // A failure only delays pictures.
                    let _ = self.pipeline.recalculate_latency();
                }
                _ => {}
            }
        }
        None
    }

    fn ran(self) -> Duration {
        self.since.elapsed()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing is left to do about a pipeline that does not even stop.
        let _ = self.pipeline.set_state(gst::State::Null);
        films::remove_empty(&self.pipeline);
    }
}

/// Makes the pictures.
struct Picture<'a> {
    cameras: &'a [&'a str],
    columns: usize,
    /// Width and height of a tile, px.
    tile: [usize; 2],
    /// Width and height of the whole, px.
    size: [u32; 2],
    letters: TextCache,
}

impl<'a> Picture<'a> {
    fn new(config: &Config, cameras: &'a [&'a str]) -> Self {
        let mosaic = &config.mosaic;
        let [columns, rows] = mosaic.grid(cameras.len());
        Self {
            cameras,
            columns,
            tile: [mosaic.tile_width, mosaic.tile_height].map(|px| px as usize),
            size: [
                columns as u32 * mosaic.tile_width,
                rows as u32 * mosaic.tile_height,
            ],
            letters: TextCache::with_letters(Box::new(SystemLetters)),
        }
    }

    fn compose(&mut self, board: &Board) -> Result<gst::Buffer, String> {
        let [width, height] = self.size;
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width, height)
            .build()
            .map_err(|error| error.to_string())?;
        let mut buffer = gst::Buffer::with_size(info.size()).map_err(|error| error.to_string())?;
        let mut frame = MappedFrameMut::writable(buffer.make_mut(), &info)
            .map_err(|error| error.to_string())?;
        let mut image = frame.image().map_err(|error| error.to_string())?;
        let mut painter = Painter::new(&mut image);
        let grey = painter.brush(EMPTY);
        painter.fill(Area::new(0, 0, width as i32, height as i32), grey);
        let cameras = self.cameras;
        for (i, name) in cameras.iter().enumerate() {
            let at = [
                i % self.columns * self.tile[0],
                i / self.columns * self.tile[1],
            ];
            let entry = board.camera(name);
            let state = entry.as_ref().map(|entry| entry.condition());
            if let Some(entry) = &entry {
                self.show(entry, state, at, &mut image);
            }
            let text = match state {
                Some(Condition::Running) => (*name).to_owned(),
                Some(state) => format!("{name}: {}", state.as_str()),
                None => format!("{name}: stopped"),
            };
            self.write(&text, at, &mut image);
        }
        drop(frame);
        Ok(buffer)
    }

    /// Copies the newest picture of a camera; an old one is darker.
    fn show(
        &self,
        entry: &Entry,
        state: Option<Condition>,
        at: [usize; 2],
        image: &mut ImageMut<'_>,
    ) {
        let (buffer, info, age) = match &*lock(&entry.tile) {
            Some(tile) => (tile.buffer.clone(), tile.info.clone(), tile.at.elapsed()),
            None => return,
        };
        let is_fresh = state == Some(Condition::Running) && age < FRESH;
        if [info.width(), info.height()].map(|px| px as usize) != self.tile {
            // Of a mosaic that was configured otherwise; the next one fits.
            return;
        }
        if let Ok(frame) = MappedFrame::readable(&buffer, &info)
            && let Ok(view) = frame.view()
        {
            copy(&view, image, at, is_fresh);
        }
    }

    fn write(&mut self, text: &str, at: [usize; 2], image: &mut ImageMut<'_>) {
        let size_px = (self.tile[1] as u32 / LETTERS).max(10);
        let mask = self.letters.mask(text, size_px);
        let pad = size_px as i32 / 4;
        let [x, y] = at.map(|px| px as i32);
        let width = (mask.width as i32 + 2 * pad).min(self.tile[0] as i32);
        let mut painter = Painter::new(image);
        let (paper, ink) = (painter.brush(PAPER), painter.brush(INK));
        painter.fill(Area::new(x, y, width, mask.height as i32 + pad), paper);
        painter.stamp(&mask, x + pad, y + pad / 2, ink);
    }
}

/// Copies the planes of an I420 picture to `at`; one that is not fresh at half its contrast.
fn copy(from: &ImageView<'_>, to: &mut ImageMut<'_>, at: [usize; 2], is_fresh: bool) {
    for plane in 0..from.format().planes() {
        let shift = usize::from(plane > 0);
        let neutral = if plane == 0 { 16 } else { 128 };
        let dimmed = |code: u8| ((u16::from(code) + neutral) / 2) as u8;
        let x = at[0] >> shift;
        for y in 0..from.height().div_ceil(1 << shift) {
            let row = from.row(plane, y);
            let Some(target) = to
                .row_mut(plane, (at[1] >> shift) + y)
                .get_mut(x..x + row.len())
            else {
                continue;
            };
            target.copy_from_slice(row);
            if !is_fresh {
                target.iter_mut().for_each(|code| *code = dimmed(*code));
            }
        }
    }
}
