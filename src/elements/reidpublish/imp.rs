//! The element: properties, and the output of lines. The formats are in [`crate::core::publish`].
//!
//! Locks: settings, then state. Neither is held while a message is posted or a buffer is pushed.

use std::{
    sync::{LazyLock, Mutex, MutexGuard},
    time::{SystemTime, UNIX_EPOCH},
};

use gst::glib;
use gst_base::{prelude::*, subclass::prelude::*};

use super::{PublishFormat, output::Output};
use crate::{
    core::{
        person::Person,
        publish::{Change, FrameFacts, Timeline, change_line, json_line, mot_lines},
    },
    elements::{
        silence::{Silence, refuse_swallowed_links},
        trail::Trail,
    },
    media::{self, FrameSize, Viewpoint, caps},
    sync::lock,
};

/// Seconds from 1900, which NTP counts from, to 1970 (RFC 5905, section 6).
const NTP_TO_UNIX_S: u64 = 2_208_988_800;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "reidpublish",
        gst::DebugColorFlags::empty(),
        Some("Publishes people"),
    )
});

#[derive(Clone, Debug)]
struct Settings {
    format: PublishFormat,
    location: String,
    add_empty: bool,
    add_embeddings: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            format: PublishFormat::default(),
            location: "-".to_owned(),
            add_empty: false,
            add_embeddings: false,
        }
    }
}

/// What lives from start to stop.
struct State {
    settings: Settings,
    output: Output,
    frame: Option<FrameSize>,
    /// The stream's id.
    source: String,
    /// Frames so far.
    frames: u64,
    /// The time of frames, from segment to segment.
    timeline: Timeline,
    /// Frames come as they are taken: then the pipeline's clock says when that was.
    is_live: bool,
    silence: Silence,
    /// The newest frame's time, ns.
    newest_ns: u64,
}

#[derive(Default)]
pub struct ReidPublish {
    settings: Mutex<Settings>,
    state: Mutex<Option<State>>,
}

#[glib::object_subclass]
impl ObjectSubclass for ReidPublish {
    const NAME: &'static str = "GstReidPublish";
    type Type = super::ReidPublish;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for ReidPublish {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let defaults = Settings::default();
            vec![
                glib::ParamSpecEnum::builder_with_default("format", defaults.format)
                    .nick("Format")
                    .blurb("Output format. Can be changed in NULL and READY")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecString::builder("location")
                    .nick("Location")
                    .blurb("File to write, replaced at start. -: standard output. Can be changed in NULL and READY")
                    .default_value(Some(defaults.location.as_str()))
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoolean::builder("add-empty")
                    .nick("Add empty frames")
                    .blurb("Also write a line for frames without people (json-lines). Can be changed in NULL and READY")
                    .default_value(defaults.add_empty)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoolean::builder("add-embeddings")
                    .nick("Add embeddings")
                    .blurb("Also write the appearance vectors (json-lines). They are biometric data. Can be changed in NULL and READY")
                    .default_value(defaults.add_embeddings)
                    .mutable_ready()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings();
        // The values' types are those of the specifications above.
        match pspec.name() {
            "format" => settings.format = value.get().expect("checked by GObject"),
            "location" => {
                let location: Option<String> = value.get().expect("checked by GObject");
                settings.location = location
                    .filter(|location| !location.is_empty())
                    .unwrap_or_else(|| Settings::default().location);
            }
            "add-empty" => settings.add_empty = value.get().expect("checked by GObject"),
            "add-embeddings" => settings.add_embeddings = value.get().expect("checked by GObject"),
            other => unreachable!("no property {other}"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = self.settings();
        match pspec.name() {
            "format" => settings.format.to_value(),
            "location" => settings.location.to_value(),
            "add-empty" => settings.add_empty.to_value(),
            "add-embeddings" => settings.add_embeddings.to_value(),
            other => unreachable!("no property {other}"),
        }
    }
}

impl GstObjectImpl for ReidPublish {}

impl ElementImpl for ReidPublish {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Person re-identification publisher",
                "Filter/Analyzer/Video",
                "Writes the people of each frame as JSON lines or in MOT format",
                crate::elements::shared::AUTHOR,
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            // The pixels are never looked at: any raw video in any memory.
            let caps = gst::Caps::builder("video/x-raw").any_features().build();
            caps::pad_templates(&caps)
        });
        &TEMPLATES
    }
}

impl BaseTransformImpl for ReidPublish {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = true;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = true;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        refuse_swallowed_links(&*self.obj())?;
        let settings = self.settings().clone();
        if settings.format == PublishFormat::DeepstreamMinimal {
            return Err(gst::error_msg!(
                gst::ResourceError::Settings,
                ("format=deepstream-minimal is not available yet; use json-lines or mot")
            ));
        }
        let output = Output::open(&settings.location)
            .map_err(|error| gst::error_msg!(gst::ResourceError::OpenWrite, ("{error}")))?;
        *self.state() = Some(State {
            settings,
            output,
            frame: None,
            source: String::new(),
            frames: 0,
            timeline: Timeline::default(),
            is_live: false,
            silence: Silence::default(),
            newest_ns: 0,
        });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        self.flush();
        if let Some(state) = self.state().take().filter(|state| state.output.lost > 0) {
            gst::error!(
                CAT,
                imp = self,
                "{} frames could not be written to {}",
                state.output.lost,
                state.output.name
            );
        }
        Ok(())
    }

    fn set_caps(&self, incaps: &gst::Caps, _outcaps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let side = |name: &str| {
            let side = incaps.structure(0).and_then(|s| s.get::<i32>(name).ok());
            side.and_then(|side| u32::try_from(side).ok())
        };
        let (Some(width), Some(height)) = (side("width"), side("height")) else {
            return Err(gst::loggable_error!(CAT, "caps {incaps} have no size"));
        };
        if let Some(state) = self.state().as_mut() {
            state.frame = Some(FrameSize { width, height });
        }
        Ok(())
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::StreamStart(start) => {
                if let Some(state) = self.state().as_mut() {
                    state.source = start.stream_id().to_owned();
                }
            }
            gst::EventView::Segment(_) => {
                let is_live = self.is_upstream_live();
                if let Some(state) = self.state().as_mut() {
                    state.timeline.cut();
                    state.is_live = is_live;
                }
            }
            // After a seek the position in the stream counts.
            gst::EventView::FlushStop(_) => {
                if let Some(state) = self.state().as_mut() {
                    state.timeline = Timeline::default();
                }
            }
            gst::EventView::CustomDownstream(custom) => {
                let failed = custom.structure().and_then(|change| {
                    let mut state = self.state();
                    state
                        .as_mut()
                        .and_then(|state| state.publish_change(change))
                });
                if let Some(failure) = failed {
                    self.post(failure);
                }
            }
            // Before the event goes on: whoever waits for EOS finds the file complete.
            gst::EventView::Eos(_) => {
                self.flush();
                let silence = self.state().as_mut().and_then(|s| s.silence.end());
                self.warn(silence);
            }
            _ => {}
        }
        self.parent_sink_event(event)
    }

    fn transform_ip_passthrough(
        &self,
        buffer: &gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let times = self.times(buffer);
        let (failed, silence, is_doubtful) = {
            let mut state = self.state();
            let state = state.as_mut().ok_or(gst::FlowError::Flushing)?;
            let frame = state.frame.ok_or(gst::FlowError::NotNegotiated)?;
            let people = media::read_people(buffer, frame);
            let silence = state.silence.note(people.is_some());
            let people = people.unwrap_or_default();
            let failed = state.publish(frame, &people, buffer, times);
            (failed, silence, state.silence.is_doubtful())
        };
        self.warn(silence);
        if is_doubtful {
            self.look_ahead();
        }
        match failed {
            Some(failure) => {
                self.post(failure);
                Err(gst::FlowError::Error)
            }
            None => Ok(gst::FlowSuccess::Ok),
        }
    }
}

/// What a buffer and the pipeline's clock say about the time of a frame, ns.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    /// In the stream.
    stream: Option<u64>,
    /// Since the pipeline plays.
    running: Option<u64>,
    /// Since 1970, as the buffer says it.
    taken: Option<u64>,
    /// Since 1970, as it follows from the clock: only true of live sources.
    clock: Option<u64>,
}

/// Writing failed.
struct Failure {
    name: String,
    error: std::io::Error,
}

impl State {
    /// Writes a frame. Says so when that fails.
    fn publish(
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
            PublishFormat::JsonLines | PublishFormat::DeepstreamMinimal => {
                json_line(&facts, people, add_empty, add_embeddings)
                    .map_or_else(String::new, |line| line + "\n")
            }
        };
        if text.is_empty() {
            return None;
        }
        let time_ns = timestamp_ns.unwrap_or(0);
        self.newest_ns = timestamp_ns.unwrap_or(self.newest_ns);
        let written = self.output.write(&text, time_ns);
        self.failed(written)
    }

    /// Writes that an identity changed, as `reidtrack` tells downstream. Says so when that fails.
    fn publish_change(&mut self, change: &gst::StructureRef) -> Option<Failure> {
        let event = change.name().strip_prefix("reid-identity-")?;
        if self.settings.format == PublishFormat::Mot {
            return None;
        }
        let track_id = change.get::<u32>("track").ok();
        let camera = change.get::<&str>("camera").ok();
        let line = change_line(&Change {
            event,
            from: change.get("from").ok()?,
            into: change.get("into").ok()?,
            camera: camera.filter(|_| track_id.is_some()),
            track_id,
            source: &self.source,
            timestamp: self.newest_ns,
        })?;
        let written = self.output.write(&(line + "\n"), self.newest_ns);
        self.failed(written)
    }

    fn failed(&mut self, written: std::io::Result<()>) -> Option<Failure> {
        let error = written.err()?;
        self.output.lost += 1;
        Some(Failure {
            name: self.output.name.clone(),
            error,
        })
    }
}

impl ReidPublish {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    fn state(&self) -> MutexGuard<'_, Option<State>> {
        lock(&self.state)
    }

    /// Whether frames come as they are taken.
    fn is_upstream_live(&self) -> bool {
        let mut query = gst::query::Latency::new();
        self.obj().sink_pad().peer_query(&mut query) && query.result().0
    }

    fn times(&self, buffer: &gst::BufferRef) -> Times {
        let taken = taken_ns(buffer);
        let obj = self.obj();
        let segment = obj.segment();
        let (Some(pts), Some(segment)) =
            (buffer.pts(), segment.downcast_ref::<gst::format::Time>())
        else {
            return Times {
                taken,
                ..Times::default()
            };
        };
        // What lies before the segment is at its beginning.
        let ns = |time: Option<gst::Signed<gst::ClockTime>>| {
            time.map(|time| time.positive().map_or(0, gst::ClockTime::nseconds))
        };
        let running = ns(segment.to_running_time_full(pts));
        Times {
            stream: ns(segment.to_stream_time_full(pts)),
            running,
            taken,
            clock: running.and_then(|running| wall_ns(obj.upcast_ref(), running)),
        }
    }

    fn flush(&self) {
        let failed = self.state().as_mut().and_then(|state| {
            let is_first = state.output.lost == 0;
            let flushed = state.output.flush();
            state.failed(flushed).filter(|_| is_first)
        });
        if let Some(failure) = failed {
            self.post(failure);
        }
    }

    /// Looks at what passes the elements in front, to name the one that drops people.
    fn look_ahead(&self) {
        let trail = Trail::follow(self.obj().sink_pad());
        if let Some(state) = self.state().as_mut() {
            state.silence.follow(trail);
        }
    }

    fn warn(&self, silence: Option<String>) {
        if let Some(silence) = silence {
            gst::element_imp_warning!(self, gst::StreamError::Failed, ("{silence}"));
        }
    }

    fn post(&self, Failure { name, error }: Failure) {
        let code = match error.kind() {
            std::io::ErrorKind::StorageFull => gst::ResourceError::NoSpaceLeft,
            _ => gst::ResourceError::Write,
        };
        gst::element_imp_error!(
            self,
            code,
            ("{name} cannot be written: {error}. Free some space or set another location")
        );
    }
}

/// When a frame was taken, ns since 1970: what RTSP cameras say with `rtspsrc add-reference-timestamp-meta=true`.
fn taken_ns(buffer: &gst::BufferRef) -> Option<u64> {
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
fn wall_ns(element: &gst::Element, running_ns: u64) -> Option<u64> {
    let now = element.clock()?.time();
    let taken = element.base_time()?.nseconds().checked_add(running_ns)?;
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let unix_ns = u64::try_from(unix.as_nanos()).ok()?;
    // A frame may be stamped for later: with the latency of what follows.
    unix_ns.checked_add(taken)?.checked_sub(now.nseconds())
}
