//! What lives from start to stop: frames and events become lines, each with its time.

use std::time::{SystemTime, UNIX_EPOCH};

use gst::prelude::*;

use super::{PublishFormat, file::Rotation, output::Output};
use crate::{
    core::{
        person::Person,
        publish::{
            Change, FrameFacts, Occurrence, Timeline, change_line, deepstream_line, json_line,
            mot_lines, occurrence_line,
        },
    },
    elements::silence::Silence,
    media::{self, FrameSize, Viewpoint},
};

/// Seconds from 1900, which NTP counts from, to 1970 (RFC 5905, section 6).
const NTP_TO_UNIX_S: u64 = 2_208_988_800;

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub format: PublishFormat,
    pub location: String,
    pub add_empty: bool,
    pub add_embeddings: bool,
    /// Of a file: whether it is gone on with, and when a new one begins.
    pub append: bool,
    pub rotation: Rotation,
    /// PEM files of an encrypted connection: authorities, our certificate, its key.
    pub ca_file: Option<String>,
    pub certificate_file: Option<String>,
    pub key_file: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            format: PublishFormat::default(),
            location: "-".to_owned(),
            add_empty: false,
            add_embeddings: false,
            append: false,
            rotation: Rotation {
                size: 0,
                time_ns: 0,
                files: 10,
            },
            ca_file: None,
            certificate_file: None,
            key_file: None,
        }
    }
}

/// What lives from start to stop.
pub(super) struct State {
    pub settings: Settings,
    pub output: Output,
    pub frame: Option<FrameSize>,
    /// The stream's id.
    pub source: String,
    /// Frames so far.
    frames: u64,
    /// The time of frames, from segment to segment.
    pub timeline: Timeline,
    /// Frames come as they are taken: then the pipeline's clock says when that was.
    pub is_live: bool,
    pub silence: Silence,
    /// The newest frame's time, ns.
    newest_ns: u64,
    /// When it was taken, ns since 1970, if known.
    newest_utc_ns: Option<u64>,
}

/// What a buffer and the pipeline's clock say about the time of a frame, ns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    /// In the stream.
    pub stream: Option<u64>,
    /// Since the pipeline plays.
    pub running: Option<u64>,
    /// Since 1970, as the buffer says it.
    pub taken: Option<u64>,
    /// Since 1970, as it follows from the clock: only true of live sources.
    pub clock: Option<u64>,
}

/// Writing failed.
pub(super) struct Failure {
    pub name: String,
    pub error: std::io::Error,
}

impl State {
    pub fn new(settings: Settings, output: Output) -> Self {
        Self {
            settings,
            output,
            frame: None,
            source: String::new(),
            frames: 0,
            timeline: Timeline::default(),
            is_live: false,
            silence: Silence::default(),
            newest_ns: 0,
            newest_utc_ns: None,
        }
    }

    /// Writes a frame. Says so when that fails.
    pub fn publish(
        &mut self,
        frame: FrameSize,
        people: &[Person],
        buffer: &gst::BufferRef,
        times: Times,
    ) -> Option<Failure> {
        self.frames += 1;
        let Viewpoint { camera, gallery_ns } = media::viewpoint(buffer);
        let timestamp_ns = times.stream.map(|stream| {
            self.timeline
                .time_ns(stream, times.running.unwrap_or(stream))
        });
        let facts = FrameFacts {
            width: frame.width,
            height: frame.height,
            timestamp_ns,
            utc_ns: times.taken.or(times.clock.filter(|_| self.is_live)),
            gallery_ns,
            source: &self.source,
            camera: camera.as_deref().unwrap_or(&self.source),
        };
        let Settings {
            add_empty,
            add_embeddings,
            ..
        } = self.settings;
        let text = match self.settings.format {
            PublishFormat::Mot => mot_lines(self.frames, people),
            PublishFormat::JsonLines => ended(json_line(&facts, people, add_empty, add_embeddings)),
            // Frames count from 0 there.
            PublishFormat::DeepstreamMinimal => {
                ended(deepstream_line(self.frames - 1, &facts, people, add_empty))
            }
        };
        let utc_ns = facts.utc_ns;
        let time_ns = timestamp_ns.unwrap_or(0);
        self.newest_ns = timestamp_ns.unwrap_or(self.newest_ns);
        self.newest_utc_ns = utc_ns;
        if text.is_empty() {
            return None;
        }
        let written = self.output.write(text, time_ns);
        self.failed(written)
    }

    /// Writes what happened to an identity, as `reidtrack` tells downstream: changes of earlier lines, and all else to whoever takes
    /// events. Says so when that fails.
    pub fn publish_event(&mut self, event: &gst::StructureRef) -> Option<Failure> {
        // Neither format has lines for it; a broker has a topic.
        let is_told = match self.settings.format {
            PublishFormat::JsonLines => true,
            PublishFormat::DeepstreamMinimal => self.output.takes_events(),
            PublishFormat::Mot => false,
        };
        if !is_told {
            return None;
        }
        let line = self.event_line(event)?;
        let written = self.output.write_event(line + "\n", self.newest_ns);
        self.failed(written)
    }

    fn event_line(&self, told: &gst::StructureRef) -> Option<String> {
        let event = told.name().strip_prefix("reid-identity-")?;
        let track_id = told.get::<u32>("track").ok();
        let camera = told.get::<&str>("camera").ok();
        let camera = camera.filter(|_| track_id.is_some());
        if let Ok(from) = told.get("from") {
            return change_line(&Change {
                event,
                from,
                into: told.get("into").ok()?,
                camera,
                track_id,
                source: &self.source,
                timestamp: self.newest_ns,
                utc_ns: self.newest_utc_ns,
            });
        }
        if !self.output.takes_events() {
            return None;
        }
        occurrence_line(&Occurrence {
            event,
            id: told.get("id").ok()?,
            camera,
            track_id,
            pending: told.get("pending").ok(),
            score: told.get::<f64>("score").ok().map(|score| score as f32),
            source: &self.source,
            timestamp: self.newest_ns,
            utc_ns: self.newest_utc_ns,
        })
    }

    pub fn failed(&mut self, written: std::io::Result<()>) -> Option<Failure> {
        let error = written.err()?;
        self.output.lost += 1;
        Some(Failure {
            name: self.output.name.clone(),
            error,
        })
    }
}

/// A line with its end; nothing where there is none.
fn ended(line: Option<String>) -> String {
    line.map_or_else(String::new, |line| line + "\n")
}

/// When a frame was taken, ns since 1970: what RTSP cameras say with `rtspsrc add-reference-timestamp-meta=true`.
pub(super) fn taken_ns(buffer: &gst::BufferRef) -> Option<u64> {
    let mut stamps = buffer.iter_meta::<gst::ReferenceTimestampMeta>();
    stamps.find_map(|stamp| {
        let ns = stamp.timestamp().nseconds();
        match stamp.reference().structure(0)?.name().as_str() {
            "timestamp/x-unix" => Some(ns),
            "timestamp/x-ntp" => ns.checked_sub(NTP_TO_UNIX_S * 1_000_000_000),
            _ => None,
        }
    })
}

/// When a frame of a live source was taken, ns since 1970: as long ago as the pipeline's clock says.
pub(super) fn wall_ns(element: &gst::Element, running_ns: u64) -> Option<u64> {
    let now = element.clock()?.time();
    let taken = element.base_time()?.nseconds().checked_add(running_ns)?;
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let unix_ns = u64::try_from(unix.as_nanos()).ok()?;
    // A frame may be stamped for later: with the latency of what follows.
    unix_ns.checked_add(taken)?.checked_sub(now.nseconds())
}
