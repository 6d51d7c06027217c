//! The element: properties, state and buffers. The embedder is [`crate::inference::Embedder`].
//!
//! Locks: settings, state, stats, each held briefly. The embedder is taken out of the state while it runs, so that no lock is held
//! during inference.

use std::{
    sync::{LazyLock, Mutex, MutexGuard},
    time::Instant,
};

use gst_base::{prelude::*, subclass::prelude::*};

use super::worker::{Looked, Params, Stats, Worker};
use crate::{
    core::{
        appearance::{Rule, Selection},
        geometry::Rect,
        person::PERSON,
    },
    elements::{
        model::{self, Job, Live, ModelSettings},
        request,
        silence::refuse_swallowed_links,
    },
    inference::{Embedder, EmbedderRequest, InferenceError, embedder::MAX_BATCH, models},
    media::caps,
    sync::lock,
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "reidembed",
        gst::DebugColorFlags::empty(),
        Some("Person embedder"),
    )
});

/// The value of `reuse-interval` that makes vectors when they are worth it.
const ADAPTIVE: i32 = -1;

/// Most people of a frame that the property `max-objects` allows.
const MAX_OBJECTS: u32 = 10_000;

#[derive(Clone, Debug)]
struct Settings {
    model: ModelSettings,
    /// `None` when nobody set it.
    object_class: Option<String>,
    min_height: u32,
    max_objects: u32,
    batch_size: u32,
    reuse_interval: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: ModelSettings::default(),
            object_class: None,
            // An eighth of an embedder's usual 256 rows: below, the picture is mostly interpolated.
            min_height: 32,
            // More people than any tracker keeps apart; without a limit a thousand false boxes would stop the stream.
            max_objects: 64,
            // Measured with OSNet: larger batches gain nothing more on a processor.
            batch_size: 8,
            reuse_interval: ADAPTIVE,
        }
    }
}

/// The validated settings, made by `start`.
struct Config {
    request: EmbedderRequest,
}

impl TryFrom<Settings> for Config {
    type Error = InferenceError;

    fn try_from(settings: Settings) -> Result<Self, InferenceError> {
        let model = settings.model.request(models::DEFAULT_EMBEDDER)?;
        Ok(Self {
            request: EmbedderRequest {
                model,
                instance_id: settings.model.instance_id,
                batch: settings.batch_size as usize,
            },
        })
    }
}

impl From<&Settings> for Params {
    fn from(settings: &Settings) -> Self {
        let limit = (settings.max_objects > 0).then_some(settings.max_objects as usize);
        Self {
            selection: Selection::new(settings.object_class.as_deref(), settings.min_height, limit),
            batch: settings.batch_size as usize,
            rule: u32::try_from(settings.reuse_interval).map_or(Rule::Adaptive, Rule::Every),
            is_late: false,
        }
    }
}

type State = model::State<Worker, Notes>;

/// What is remembered beside the embedder.
struct Notes {
    /// The next frame does not continue the one before.
    is_cut: bool,
    /// Whom reidtrack wants to see again.
    asked: Vec<Rect>,
}

#[derive(Default)]
pub struct ReidEmbed {
    settings: Mutex<Settings>,
    state: Mutex<Option<State>>,
    stats: Mutex<Stats>,
    live: Live,
}

#[glib::object_subclass]
impl ObjectSubclass for ReidEmbed {
    const NAME: &'static str = "GstReidEmbed";
    type Type = super::ReidEmbed;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for ReidEmbed {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let defaults = Settings::default();
            let mut all = ModelSettings::properties("embedder");
            all.extend(selection_properties(&defaults));
            all
        });
        &PROPERTIES
    }

    fn constructed(&self) {
        self.parent_constructed();
        // The base class has it off, and would drop what is late.
        self.obj().set_property("qos", true);
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings();
        if settings.model.set(pspec.name(), value) {
            return;
        }
        // The values' types and ranges are those of the specifications.
        match pspec.name() {
            "object-class" => settings.object_class = value.get().expect("checked by GObject"),
            "min-height" => settings.min_height = value.get().expect("checked by GObject"),
            "max-objects" => settings.max_objects = value.get().expect("checked by GObject"),
            "batch-size" => settings.batch_size = value.get().expect("checked by GObject"),
            "reuse-interval" => settings.reuse_interval = value.get().expect("checked by GObject"),
            other => unreachable!("no property {other}"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        if pspec.name() == "stats" {
            let mut stats = self.stats().to_structure();
            self.live.add_times(&mut stats);
            return stats.to_value();
        }
        let settings = self.settings();
        if let Some(value) = settings.model.get(pspec.name()) {
            return value;
        }
        match pspec.name() {
            "object-class" => settings
                .object_class
                .as_deref()
                .unwrap_or(PERSON)
                .to_value(),
            "min-height" => settings.min_height.to_value(),
            "max-objects" => settings.max_objects.to_value(),
            "batch-size" => settings.batch_size.to_value(),
            "reuse-interval" => settings.reuse_interval.to_value(),
            other => unreachable!("no property {other}"),
        }
    }
}

/// Which boxes, and how often.
fn selection_properties(defaults: &Settings) -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecString::builder("object-class")
            .nick("Object class")
            .blurb("Class names to embed, separated by commas. Not set: person and other common names of people (pedestrian, human, 0, …). Empty: all classes. Boxes of other classes get no identity. Can be changed in PLAYING")
            .default_value(Some(PERSON))
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("min-height")
            .nick("Min height")
            .blurb("Minimum height of the visible part of a box, in pixels of the frame. Smaller boxes get no vector. Can be changed in PLAYING")
            .default_value(defaults.min_height)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("max-objects")
            .nick("Max objects")
            .blurb("Maximum number of detections embedded per frame, largest first, 0 to 10000. 0: no limit. Can be changed in PLAYING")
            .maximum(MAX_OBJECTS)
            .default_value(defaults.max_objects)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("batch-size")
            .nick("Batch size")
            .blurb("Maximum number of crops per inference, 1 to 256. Models with a fixed batch size keep it. On cuda and tensorrt batches are padded to this size, and a change takes seconds to minutes. Can be changed in PLAYING")
            .minimum(1)
            .maximum(MAX_BATCH as u32)
            .default_value(defaults.batch_size)
            .mutable_playing()
            .build(),
        glib::ParamSpecInt::builder("reuse-interval")
            .nick("Reuse interval")
            .blurb("Number of frames for which a box that continues one of an earlier frame keeps its vector. 0: embeds every box in every frame. -1: embeds when a new vector is likely to help (new person, better crop or another shape, people crossing, request by reidtrack), else every second. Can be changed in PLAYING")
            .minimum(ADAPTIVE)
            .default_value(defaults.reuse_interval)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Counters since the start (frames, late: passed without new vectors because they came too late, people, embedded, reused, skipped, refused, runs), dimension of the vectors, batch-limit in crops, mean times per crop in ms (preprocess-ms, inference-ms), whole frames in ms (p50-ms, p95-ms, p99-ms of the last 256)")
            .read_only()
            .build(),
    ]
}

impl GstObjectImpl for ReidEmbed {}

impl ElementImpl for ReidEmbed {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Person embedder",
                "Filter/Analyzer/Video",
                "Computes an appearance vector for each person with an ONNX embedder (OSNet, Intel's, your own)",
                crate::elements::shared::AUTHOR,
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
            LazyLock::new(|| caps::pad_templates(&caps::template()));
        &TEMPLATES
    }
}

impl BaseTransformImpl for ReidEmbed {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        refuse_swallowed_links(&*self.obj())?;
        let settings = self.settings().clone();
        let mut embedder = Config::try_from(settings)
            .and_then(|config| Embedder::open(&config.request))
            .map_err(|error| error.to_message())?;
        let spec = embedder.spec();
        gst::info!(
            CAT,
            imp = self,
            "{}: dimension {}, batches of up to {}, {:?}{}",
            embedder.info().path.display(),
            embedder.dimension(),
            embedder.batch_limit(),
            spec.input,
            if spec.is_preprocessing_known {
                ""
            } else {
                " (normalisation assumed)"
            }
        );
        if let Some(warning) = embedder.take_warning() {
            self.warn(&warning);
        }
        *self.stats() = Stats::of(&embedder);
        self.live.reset();
        let worker = Worker::new(embedder);
        *self.state() = Some(State::new(
            worker,
            Notes {
                is_cut: false,
                asked: Vec::new(),
            },
        ));
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        // Dropped outside the lock: freeing a model takes a while.
        let state = self.state().take();
        drop(state);
        Ok(())
    }

    fn set_caps(&self, incaps: &gst::Caps, _outcaps: &gst::Caps) -> Result<(), gst::LoggableError> {
        gst::debug!(CAT, imp = self, "caps {incaps}");
        let mut state = self.state();
        let state = state
            .as_mut()
            .ok_or_else(|| gst::loggable_error!(CAT, "not started"))?;
        state.set_caps(&CAT, incaps)?;
        state.notes.is_cut = true;
        Ok(())
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        let begins_anew = [gst::EventType::FlushStop, gst::EventType::StreamStart];
        if begins_anew.contains(&event.type_()) {
            self.live.cut();
        }
        if begins_anew.contains(&event.type_())
            && let Some(state) = self.state().as_mut()
        {
            state.notes.is_cut = true;
        }
        if event.type_() == gst::EventType::Eos {
            let unwanted = self.state().as_mut().and_then(|state| {
                let worker = state.worker_mut()?;
                worker.classes.end()
            });
            if let Some(classes) = unwanted {
                self.warn_of_classes(&classes);
            }
        }
        self.parent_sink_event(event)
    }

    fn src_event(&self, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::Qos {
            return self.live.take_qos(&*self.obj(), event);
        }
        let Some(boxes) = request::boxes(&event) else {
            return self.parent_src_event(event);
        };
        if let Some(state) = self.state().as_mut() {
            state.notes.asked = boxes;
        }
        true
    }

    fn query(&self, direction: gst::PadDirection, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Latency(latency) if direction == gst::PadDirection::Src => {
                self.live.answer_latency(&*self.obj(), latency)
            }
            _ => BaseTransformImplExt::parent_query(self, direction, query),
        }
    }

    /// The picture is not changed: elements downstream answer the allocation query.
    fn propose_allocation(
        &self,
        _decide_query: Option<&gst::query::Allocation>,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        crate::elements::shared::ask_downstream(&CAT, self.obj().src_pad(), query)
    }

    fn transform_ip(
        &self,
        buffer: &mut gst::BufferRef,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut params = Params::from(&*self.settings());
        params.is_late = self.live.is_late(&*self.obj(), buffer);
        let Job { mut worker, info } = self.take_job(buffer)?;
        let begun = Instant::now();
        let result = worker.look(buffer, &info, &params);
        match params.is_late {
            true => self.stats().late += 1,
            false => self.live.note_time(&*self.obj(), begun.elapsed()),
        }
        let batch_limit = worker.embedder.batch_limit();
        if let Some(state) = self.state().as_mut() {
            state.put_back(worker);
        }
        match result {
            Ok(looked) => {
                self.note(&looked, batch_limit);
                Ok(gst::FlowSuccess::Ok)
            }
            Err(fault) => Err(fault.post(&*self.obj())),
        }
    }
}

impl ReidEmbed {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    fn state(&self) -> MutexGuard<'_, Option<State>> {
        lock(&self.state)
    }

    fn stats(&self) -> MutexGuard<'_, Stats> {
        lock(&self.stats)
    }

    fn take_job(&self, buffer: &gst::BufferRef) -> Result<Job<Worker>, gst::FlowError> {
        let mut state = self.state();
        let state = state.as_mut().ok_or(gst::FlowError::Flushing)?;
        let mut job = state.take_job()?;
        self.stats().frames += 1;
        let is_discont = buffer.flags().contains(gst::BufferFlags::DISCONT);
        if std::mem::take(&mut state.notes.is_cut) || is_discont {
            job.worker.cache.clear();
        }
        for rect in std::mem::take(&mut state.notes.asked) {
            job.worker.cache.ask(&rect);
        }
        job.worker.cache.next_frame();
        Ok(job)
    }

    /// Updates the statistics and posts warnings.
    fn note(&self, looked: &Looked, batch_limit: usize) {
        self.stats().add(looked, batch_limit);
        gst::trace!(
            CAT,
            imp = self,
            "{} people, {} embedded, {} reused, {} refused",
            looked.people,
            looked.embedded,
            looked.reused,
            looked.refused
        );
        for warning in &looked.warnings {
            self.warn(&warning.to_string());
        }
        if let Some(warning) = &looked.outcome.warning {
            self.warn(warning);
        }
        if let Some(classes) = &looked.unwanted {
            self.warn_of_classes(classes);
        }
        if looked.is_behind_tracker {
            self.warn("reidtrack is in front of reidembed. It gets no vectors there and cannot re-identify anybody: put reidembed before reidtrack");
        }
    }

    fn warn_of_classes(&self, seen: &str) {
        let wanted = self.settings().object_class.clone();
        let wanted = wanted.map_or_else(
            || {
                "object-class is not set, which means person and other common names of people"
                    .to_owned()
            },
            |wanted| format!("object-class is '{wanted}'"),
        );
        self.warn(&format!(
            "no box is of a class to embed, so nobody can be re-identified: the detector's classes are {seen}, and {wanted}. Set object-class to the detector's name for people, or to \"\" for all classes"
        ));
    }

    fn warn(&self, warning: &str) {
        gst::element_imp_warning!(self, gst::StreamError::Failed, ("{warning}"));
    }
}
