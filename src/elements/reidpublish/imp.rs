//! The element: properties, and lines to where they belong. The formats lie in [`crate::core::publish`].
//!
//! Locks: settings, then state. Neither is held while a message is posted or a buffer is pushed.

use std::sync::{LazyLock, Mutex, MutexGuard};

use gst::glib;
use gst_base::{prelude::*, subclass::prelude::*};

use super::{PublishFormat, output::Output};
use crate::{
    core::publish::{FrameFacts, json_line, mot_lines},
    media::{self, FrameSize, caps},
    sync::lock,
};

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
                    .blurb("What is written. Can be changed in NULL and READY")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecString::builder("location")
                    .nick("Location")
                    .blurb("File that is written, replaced at start; - is standard output. Can be changed in NULL and READY")
                    .default_value(Some(defaults.location.as_str()))
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoolean::builder("add-empty")
                    .nick("Add empty frames")
                    .blurb("Write a line for frames without people too (json-lines). Can be changed in NULL and READY")
                    .default_value(defaults.add_empty)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoolean::builder("add-embeddings")
                    .nick("Add embeddings")
                    .blurb("Write the vectors of appearance too (json-lines). They are biometric data. Can be changed in NULL and READY")
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
                "Writes who was seen, frame by frame, as JSON lines or for MOT scoring",
                crate::elements::AUTHOR,
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
            return Err(gst::loggable_error!(CAT, "caps {incaps} name no size"));
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
            // Before the event goes on: whoever waits for EOS finds the file complete.
            gst::EventView::Eos(_) => self.flush(),
            _ => {}
        }
        self.parent_sink_event(event)
    }

    fn transform_ip_passthrough(
        &self,
        buffer: &gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let failed = {
            let mut state = self.state();
            let state = state.as_mut().ok_or(gst::FlowError::Flushing)?;
            let frame = state.frame.ok_or(gst::FlowError::NotNegotiated)?;
            state.publish(frame, buffer)
        };
        if let Some(failure) = failed {
            self.post(failure);
        }
        Ok(gst::FlowSuccess::Ok)
    }
}

/// Writing failed for the first time.
struct Failure {
    name: String,
    error: std::io::Error,
}

impl State {
    /// Writes a frame. Says so when that fails for the first time.
    fn publish(&mut self, frame: FrameSize, buffer: &gst::BufferRef) -> Option<Failure> {
        self.frames += 1;
        let people = media::read_people(buffer, frame).unwrap_or_default();
        let camera = media::roi::camera(buffer);
        let facts = FrameFacts {
            width: frame.width,
            height: frame.height,
            timestamp_ns: buffer.pts().map(gst::ClockTime::nseconds),
            source: &self.source,
            camera: camera.as_deref().unwrap_or(&self.source),
        };
        let Settings {
            add_empty,
            add_embeddings,
            ..
        } = self.settings;
        let text = match self.settings.format {
            PublishFormat::Mot => mot_lines(self.frames, &people),
            PublishFormat::JsonLines | PublishFormat::DeepstreamMinimal => {
                json_line(&facts, &people, add_empty, add_embeddings)
                    .map_or_else(String::new, |line| line + "\n")
            }
        };
        if text.is_empty() {
            return None;
        }
        let time_ns = facts.timestamp_ns.unwrap_or(0);
        let written = self.output.write(&text, time_ns);
        self.failed(written)
    }

    fn failed(&mut self, written: std::io::Result<()>) -> Option<Failure> {
        let error = written.err()?;
        self.output.lost += 1;
        (self.output.lost == 1).then(|| Failure {
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

    fn flush(&self) {
        let failed = self.state().as_mut().and_then(|state| {
            let flushed = state.output.flush();
            state.failed(flushed)
        });
        if let Some(failure) = failed {
            self.post(failure);
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
            ("{name} cannot be written any more: {error}. Make room or set another location; until then lines are lost")
        );
    }
}
