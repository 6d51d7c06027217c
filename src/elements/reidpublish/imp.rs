//! The element: properties, and the output of lines. The formats are in [`crate::core::publish`].
//!
//! Locks: settings, then state. Neither is held while a message is posted or a buffer is pushed.

use std::sync::{LazyLock, Mutex, MutexGuard};

use gst::glib;
use gst_base::{prelude::*, subclass::prelude::*};

use super::{
    lines::{Failure, Settings, State, Times, taken_ns, wall_ns},
    output::{Counts, OpenError, Output},
    report::teller,
    socket,
};
use crate::{
    elements::{silence::refuse_swallowed_links, trail::Trail},
    media::{self, FrameSize, caps},
    store::without_password,
    sync::lock,
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "reidpublish",
        gst::DebugColorFlags::empty(),
        Some("Publishes people"),
    )
});

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
            let file = |name, nick, blurb| {
                glib::ParamSpecString::builder(name)
                    .nick(nick)
                    .blurb(blurb)
                    .mutable_ready()
                    .build()
            };
            let switch = |name, nick, blurb| {
                glib::ParamSpecBoolean::builder(name)
                    .nick(nick)
                    .blurb(blurb)
                    .mutable_ready()
                    .build()
            };
            vec![
                glib::ParamSpecEnum::builder_with_default("format", defaults.format)
                    .nick("Format")
                    .blurb("Output format. Can be changed in NULL and READY")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecString::builder("location")
                    .nick("Location")
                    .blurb("File to write, replaced at start unless append is set. -: standard output. unix:// and a path: Unix socket that a program listens on. mqtt://[user[:password]@]host[:port]/topic: MQTT broker (QoS 1), mqtts://… over TLS. kafka://…, kafkas://…: Apache Kafka (needs the cargo feature kafka). Reads without the password. Can be changed in NULL and READY")
                    .default_value(Some(defaults.location.as_str()))
                    .mutable_ready()
                    .build(),
                switch("add-empty", "Add empty frames", "Also write a line for frames without people (json-lines, deepstream-minimal). Can be changed in NULL and READY"),
                switch("add-embeddings", "Add embeddings", "Also write the appearance vectors (json-lines). They are biometric data. Can be changed in NULL and READY"),
                switch("append", "Append", "Go on at the end of a file that is there, instead of replacing it. Can be changed in NULL and READY"),
                glib::ParamSpecUInt64::builder("max-size-bytes")
                    .nick("Maximum size")
                    .blurb("Begin a new file before this one gets larger, in bytes (0 = never). The earlier one gets .1 behind its name. Can be changed in NULL and READY")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("max-size-time")
                    .nick("Maximum time")
                    .blurb("Begin a new file after so much time of the stream, in ns (0 = never). Can be changed in NULL and READY")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt::builder("max-files")
                    .nick("Maximum files")
                    .blurb("How many earlier files to keep, .1 the newest. Can be changed in NULL and READY")
                    .default_value(defaults.rotation.files)
                    .mutable_ready()
                    .build(),
                file(
                    "ca-file",
                    "CA file",
                    "Certificates of the authorities that a broker of mqtts:// or kafkas:// is trusted by, PEM. Without: GST_REID_MQTT_CA_FILE or GST_REID_KAFKA_CA_FILE, else the system's. Can be changed in NULL and READY",
                ),
                file(
                    "certificate-file",
                    "Certificate file",
                    "Certificate to show to a broker of mqtts:// or kafkas://, PEM; with key-file. Without: GST_REID_MQTT_CERTIFICATE_FILE or GST_REID_KAFKA_CERTIFICATE_FILE. Can be changed in NULL and READY",
                ),
                file(
                    "key-file",
                    "Key file",
                    "Key of certificate-file, PEM (PKCS #8, not encrypted). Without: GST_REID_MQTT_KEY_FILE or GST_REID_KAFKA_KEY_FILE. Can be changed in NULL and READY",
                ),
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb("Counters since the start (written: writes, or messages that the broker acknowledged; dropped: writes that failed, or messages that waited too long), messages waiting for the broker, connected")
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings();
        let file = || {
            let name: Option<String> = value.get().expect("checked by GObject");
            name.filter(|name| !name.is_empty())
        };
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
            "append" => settings.append = value.get().expect("checked by GObject"),
            "max-size-bytes" => settings.rotation.size = value.get().expect("checked by GObject"),
            "max-size-time" => settings.rotation.time_ns = value.get().expect("checked by GObject"),
            "max-files" => settings.rotation.files = value.get().expect("checked by GObject"),
            "ca-file" => settings.ca_file = file(),
            "certificate-file" => settings.certificate_file = file(),
            "key-file" => settings.key_file = file(),
            other => unreachable!("no property {other}"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        if pspec.name() == "stats" {
            let state = self.state();
            let stats = state.as_ref().map(|state| state.output.stats());
            return stats
                .unwrap_or_else(|| Counts::default().to_structure())
                .to_value();
        }
        let settings = self.settings();
        match pspec.name() {
            "format" => settings.format.to_value(),
            // A password is not for whoever looks at a pipeline, or draws it.
            "location" => without_password(&settings.location).to_value(),
            "add-empty" => settings.add_empty.to_value(),
            "add-embeddings" => settings.add_embeddings.to_value(),
            "append" => settings.append.to_value(),
            "max-size-bytes" => settings.rotation.size.to_value(),
            "max-size-time" => settings.rotation.time_ns.to_value(),
            "max-files" => settings.rotation.files.to_value(),
            "ca-file" => settings.ca_file.to_value(),
            "certificate-file" => settings.certificate_file.to_value(),
            "key-file" => settings.key_file.to_value(),
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
                "Writes the people of each frame as JSON lines, in MOT format or in DeepStream's minimal schema",
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
        let output = self
            .open(&settings)
            .map_err(|error| gst::error_msg!(gst::ResourceError::OpenWrite, ("{error}")))?;
        *self.state() = Some(State::new(settings, output));
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        self.flush();
        // A broker is given time for what is on its way, with no lock held.
        let state = self.state().take();
        if let Some(state) = state.filter(|state| state.output.lost > 0) {
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
                let is_live = crate::elements::shared::is_upstream_live(self.obj().upcast_ref());
                if let Some(state) = self.state().as_mut() {
                    state.timeline.cut();
                    state.is_live = is_live;
                }
            }
            // After a seek the position in the stream counts.
            gst::EventView::FlushStop(_) => {
                if let Some(state) = self.state().as_mut() {
                    state.timeline = Default::default();
                }
            }
            gst::EventView::CustomDownstream(custom) => {
                let failed = custom.structure().and_then(|event| {
                    let mut state = self.state();
                    state.as_mut().and_then(|state| state.publish_event(event))
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

impl ReidPublish {
    fn open(&self, settings: &Settings) -> Result<Output, OpenError> {
        let location = settings.location.as_str();
        if let Some(path) = location.strip_prefix("unix://") {
            let socket = socket::open(path.into(), teller(&self.obj(), location))?;
            return Ok(Output::over(Box::new(socket), location.to_owned()));
        }
        #[cfg(any(feature = "mqtt", feature = "kafka"))]
        if let Some(output) = super::connect::open(&self.obj(), settings) {
            return output;
        }
        Output::open(location, settings.append, settings.rotation)
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    fn state(&self) -> MutexGuard<'_, Option<State>> {
        lock(&self.state)
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
