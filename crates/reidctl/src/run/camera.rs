//! One camera: its thread builds the pipeline, watches it and restarts it. Independent of other cameras.

use std::{
    cell::RefCell,
    fs,
    sync::{
        Arc, Mutex,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    thread,
    time::{Duration, Instant},
};

use gst::{glib, prelude::*};
use serde_json::{Map, Value};

use super::{
    backoff::Backoff,
    board::{Board, Condition, Entry, lock, now_ns},
    config::{Camera, Config, Options, Publish},
    films,
    line::{LOOK, Plan, goes_on_at_end},
    probes,
    secrets::Secrets,
    source::Source,
};

/// How often a running camera is looked after.
const TICK: Duration = Duration::from_millis(100);
/// How long the files of a camera may take to be finished.
const FINISH: Duration = Duration::from_secs(5);
/// The same after it failed.
const SHORT_FINISH: Duration = Duration::from_secs(4);
/// How long the preview goes on after the last viewer left.
const LINGER: Duration = Duration::from_secs(2);

/// What a camera's thread needs.
pub struct Job {
    pub config: Arc<Config>,
    pub camera: Camera,
    pub options: Options,
    pub has_page: bool,
    /// Whether the camera is part of a mosaic.
    pub has_mosaic: bool,
    pub board: Arc<Board>,
    pub entry: Arc<Entry>,
    /// Its other end is dropped when the camera is to stop.
    pub stop: Receiver<()>,
    /// The stamp of the last pipeline's files.
    pub last_stamp: RefCell<String>,
}

/// Why a pipeline is over.
enum End {
    /// It was told to stop.
    Stopped,
    /// Its source has no more.
    Ended,
    /// With what the user should know.
    Failed(String),
}

impl Job {
    /// Runs until it is stopped.
    pub fn drive(self) {
        let restart = &self.config.restart;
        let mut backoff = Backoff::new(restart.first_seconds, restart.longest_seconds);
        loop {
            let start = Instant::now();
            let reason = match self.run_once() {
                End::Stopped => break,
                End::Ended if !goes_on_at_end(&self.camera.source) => {
                    self.turn(Condition::Ended, None);
                    self.wait(None);
                    break;
                }
                End::Ended => "the stream ended".to_owned(),
                End::Failed(reason) => reason,
            };
            self.turn(Condition::Waiting, Some(reason));
            if self.wait(Some(backoff.after(start.elapsed()))) {
                break;
            }
        }
        self.board.remove(&self.entry);
    }

    /// Whether it was told to stop within `limit`.
    fn wait(&self, limit: Option<Duration>) -> bool {
        match limit {
            Some(limit) => !matches!(
                self.stop.recv_timeout(limit),
                Err(RecvTimeoutError::Timeout)
            ),
            None => self.stop.recv().is_err(),
        }
    }

    fn turn(&self, state: Condition, error: Option<String>) {
        self.board.turn(&self.entry, state, error);
    }

    fn run_once(&self) -> End {
        self.turn(Condition::Starting, None);
        self.entry.begin();
        match self.build() {
            Ok(pipeline) => {
                let end = self.watch(&pipeline);
                self.finish(&pipeline, &end);
                end
            }
            Err(reason) => End::Failed(reason),
        }
    }

    fn build(&self) -> Result<gst::Pipeline, String> {
        let folders = [
            self.options.record.as_ref().map(|r| &r.folder),
            self.options
                .publish
                .as_ref()
                .and_then(|p| p.folder.as_ref()),
        ];
        for folder in folders.into_iter().flatten() {
            fs::create_dir_all(folder).map_err(|error| {
                format!("the folder {} cannot be made: {error}", folder.display())
            })?;
        }
        let plan = Plan {
            config: &self.config,
            name: &self.camera.name,
            source: &self.camera.source,
            options: &self.options,
            stamp: &self.stamp(),
            has_page: self.has_page,
            mosaic: self.has_mosaic.then_some(&self.config.mosaic),
        };
        let line = plan.line();
        let element =
            gst::parse::launchv(&line.words()).map_err(|error| self.scrub(error.message()))?;
        let pipeline = element
            .downcast::<gst::Pipeline>()
            .map_err(|_| "the camera is no pipeline".to_owned())?;
        expect_one_picture_stream(&pipeline);
        films::write_in_fragments(&pipeline);
        probes::install(
            &pipeline,
            &self.board,
            &self.entry,
            self.camera.source.is_live(),
            self.config.mosaic.rate,
        )?;
        self.entry.runs(&pipeline);
        Ok(pipeline)
    }

    /// A stamp that no earlier pipeline of this camera had: two that start within a second would write the same files.
    fn stamp(&self) -> String {
        let mut last = self.last_stamp.borrow_mut();
        while *last == stamp(now_ns()) {
            thread::sleep(TICK);
        }
        *last = stamp(now_ns());
        last.clone()
    }

    fn scrub(&self, text: &str) -> String {
        let camera = match &self.camera.source {
            Source::Rtsp { address, .. } | Source::Http { address } => Some(address),
            _ => None,
        };
        let brokers = self.options.publish.iter().flat_map(Publish::brokers);
        std::iter::once(self.config.gallery.location.as_str())
            .chain(camera.map(String::as_str))
            .chain(brokers.map(|(_, address)| address))
            .fold(text.to_owned(), |text, address| {
                Secrets::of(address).scrub(&text)
            })
    }

    /// Follows a pipeline until something ends it.
    fn watch(&self, pipeline: &gst::Pipeline) -> End {
        let Some(bus) = pipeline.bus() else {
            return End::Failed("the pipeline has no bus".into());
        };
        if pipeline.set_state(gst::State::Playing).is_err() {
            return End::Failed(self.first_error(&bus));
        }
        let start = Instant::now();
        let stall = Duration::from_secs(self.config.restart.stall_seconds.into());
        let mut look = Look::new(pipeline);
        loop {
            if let Some(message) = bus.timed_pop(gst::ClockTime::try_from(TICK).ok())
                && let Some(end) = self.hear(&message, pipeline)
            {
                return end;
            }
            if !matches!(self.stop.try_recv(), Err(TryRecvError::Empty)) {
                return End::Stopped;
            }
            look.follow(&self.entry);
            let last = self.entry.last_frame();
            if last.is_some() {
                self.turn(Condition::Running, None);
            }
            if last.unwrap_or(start).elapsed() > stall {
                return End::Failed(format!("no frame for {} s", stall.as_secs()));
            }
        }
    }

    /// What a message means for the pipeline.
    fn hear(&self, message: &gst::Message, pipeline: &gst::Pipeline) -> Option<End> {
        match message.view() {
            gst::MessageView::Eos(_) => Some(End::Ended),
            gst::MessageView::Error(error) => {
                let error = error.error();
                let reason = self.scrub(&error.to_string());
                Some(End::Failed(reason + self.remedy(&error)))
            }
            gst::MessageView::Warning(warning) => {
                let text = self.scrub(&warning.error().to_string());
                let mut facts = Map::new();
                facts.insert("text".into(), text.into());
                self.board.tell("warning", Some(&self.entry.name), facts);
                None
            }
            gst::MessageView::Latency(_) => {
                // A live source that has found its latency; a failure only delays frames.
                let _ = pipeline.recalculate_latency();
                None
            }
            gst::MessageView::Element(element) => {
                self.identity(element.structure()?);
                None
            }
            _ => None,
        }
    }

    /// What else may be the reason of an error.
    fn remedy(&self, error: &glib::Error) -> &'static str {
        let is_received = self
            .options
            .record
            .as_ref()
            .is_some_and(|record| record.what.is_received());
        let is_first = self.entry.last_frame().is_none();
        let is_stream = error.is::<gst::StreamError>() || error.is::<gst::CoreError>();
        // Others fail like this when nobody answers.
        let may_be_raw = matches!(
            self.camera.source,
            Source::V4l2 { .. } | Source::File { .. }
        );
        match is_received && may_be_raw && is_first && is_stream {
            true => {
                "; a source of raw pictures cannot be recorded as received: set its record.what to \"plain\" or \"annotated\""
            }
            false => "",
        }
    }

    /// Passes on what the tracker announces.
    fn identity(&self, structure: &gst::StructureRef) {
        let number = |field: &str| structure.get::<u32>(field).ok();
        let event = match structure.name().as_str() {
            "reid-identity-new" => "identity-new",
            "reid-identity-matched" => "identity-matched",
            "reid-identity-merged" => {
                if let (Some(from), Some(into)) = (number("from"), number("into")) {
                    lock(&self.board.visits).merge(from, into);
                }
                "identity-merged"
            }
            "reid-identity-split" => "identity-split",
            "reid-identity-corrected" => "identity-corrected",
            "reid-identity-lost" => "identity-lost",
            "reid-identity-left" => {
                if let Some(id) = number("id") {
                    lock(&self.board.visits).forget(id);
                }
                "identity-left"
            }
            _ => return,
        };
        let mut facts = Map::new();
        for field in ["id", "from", "into", "track", "against"] {
            facts.extend(number(field).map(|value| (field.to_owned(), value.into())));
        }
        for field in ["score", "margin"] {
            let value = structure.get::<f64>(field).ok();
            facts.extend(value.map(|value| (field.to_owned(), Value::from(value))));
        }
        if let Ok(pending) = structure.get::<bool>("pending") {
            facts.insert("pending".into(), pending.into());
        }
        self.board.tell(event, Some(&self.entry.name), facts);
    }

    /// Why a pipeline did not start.
    fn first_error(&self, bus: &gst::Bus) -> String {
        let message = bus.timed_pop_filtered(gst::ClockTime::ZERO, &[gst::MessageType::Error]);
        let text = message.and_then(|message| match message.view() {
            gst::MessageView::Error(error) => Some(error.error().to_string()),
            _ => None,
        });
        self.scrub(&text.unwrap_or_else(|| "the pipeline does not start".into()))
    }

    /// Ends the pipeline so that its files are whole.
    fn finish(&self, pipeline: &gst::Pipeline, end: &End) {
        let has_files = self.options.record.is_some() || self.options.publish.is_some();
        let limit = match end {
            End::Stopped => {
                self.turn(Condition::Stopping, None);
                FINISH
            }
            End::Failed(_) => SHORT_FINISH,
            End::Ended => Duration::ZERO,
        };
        if has_files && !limit.is_zero() && self.entry.last_frame().is_some() {
            pipeline.send_event(gst::event::Eos::new());
            if let Some(bus) = pipeline.bus() {
                let limit = gst::ClockTime::try_from(limit).ok();
                bus.timed_pop_filtered(limit, &[gst::MessageType::Eos]);
            }
        }
        // Nothing is left to do about a pipeline that does not even stop.
        let _ = pipeline.set_state(gst::State::Null);
        films::remove_empty(pipeline);
    }
}

/// Cameras that send JPEG pictures one after the other (`multipart/x-mixed-replace`) never say that no other stream comes: decoders
/// wait for megabytes before they show the first picture, unless they are told that there is one stream. And their pictures have no
/// times, without which nothing can be recorded: they get those of their arrival.
fn expect_one_picture_stream(pipeline: &gst::Pipeline) {
    pipeline.connect_deep_element_added(|_, _, element| {
        let factory = element.factory();
        if factory.is_none_or(|factory| factory.name() != "multipartdemux") {
            return;
        }
        element.set_property("single-stream", true);
        element.connect_pad_added(|_, pad| {
            let due = Mutex::new(gst::ClockTime::ZERO);
            pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
                let now = pad.parent_element().and_then(|e| e.current_running_time());
                // Time stands still before the pipeline plays; encoders want it to go on.
                let mut due = lock(&due);
                let arrived = now.unwrap_or_default().max(*due);
                *due = arrived + gst::ClockTime::MSECOND;
                if let Some(buffer) = info.buffer_mut() {
                    let buffer = buffer.make_mut();
                    buffer.set_pts(arrived);
                    buffer.set_dts(arrived);
                }
                gst::PadProbeReturn::Ok
            });
        });
    });
}

/// Lets pictures through to the page while somebody looks.
struct Look {
    valve: Option<gst::Element>,
    is_open: bool,
    last: Option<Instant>,
}

impl Look {
    fn new(pipeline: &gst::Pipeline) -> Self {
        Self {
            valve: pipeline.by_name(LOOK),
            is_open: false,
            last: None,
        }
    }

    fn follow(&mut self, entry: &Entry) {
        let Some(valve) = &self.valve else { return };
        if entry.viewers.load(Ordering::Relaxed) > 0 {
            self.last = Some(Instant::now());
        }
        let wanted = self.last.is_some_and(|last| last.elapsed() < LINGER);
        if wanted != self.is_open {
            valve.set_property("drop", !wanted);
            self.is_open = wanted;
            if !wanted {
                entry.picture.send_replace(None);
            }
        }
    }
}

/// A time as part of a file's name: `20261130T081500Z`.
pub fn stamp(ns: i64) -> String {
    crate::gallery::date(ns)
        .replace(['-', ':'], "")
        .replace(' ', "T")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_sort_by_time() {
        assert_eq!(stamp(951_782_400_000_000_000), "20000229T000000Z");
    }
}
