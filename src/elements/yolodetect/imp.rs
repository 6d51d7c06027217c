//! The element: properties, state and buffers. The detector is [`crate::inference::Detector`].
//!
//! Locks: settings, state, stats, each held briefly. The detector is taken out of the state while it runs, so that no lock is held
//! during inference.

use std::{
    path::Path,
    sync::{LazyLock, Mutex, MutexGuard},
    time::Instant,
};

use gst_base::{prelude::*, subclass::prelude::*};

use super::{
    DetectLayout,
    rotation::is_upstream,
    worker::{Config, Stats, Worker},
};
use crate::{
    core::{person::PERSON, yolo::Warning},
    elements::{
        model::{self, Job, Live, ModelSettings},
        silence::refuse_swallowed_links,
    },
    inference::{
        DetectOutcome, DetectParams, Detector, DetectorRequest, InferenceError, models, read_labels,
    },
    media::caps,
    sync::lock,
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "yolodetect",
        gst::DebugColorFlags::empty(),
        Some("Person detector"),
    )
});

/// The tag `image-orientation` of a picture that is shown as it is.
const UPRIGHT: &str = "rotate-0";
/// Most boxes of a frame that the property `max-detections` allows.
const MAX_DETECTIONS: u32 = 10_000;

#[derive(Clone, Debug)]
struct Settings {
    model: ModelSettings,
    labels_file: Option<String>,
    layout: DetectLayout,
    /// `None` when nobody set it.
    object_class: Option<String>,
    threshold: f32,
    iou_threshold: f32,
    max_detections: u32,
    inference_interval: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: ModelSettings::default(),
            labels_file: None,
            layout: DetectLayout::Auto,
            object_class: None,
            // Those of Ultralytics' `predict`, but for the suppression's, which is YOLOv5's and DL Streamer's.
            threshold: 0.25,
            iou_threshold: 0.45,
            max_detections: 300,
            inference_interval: 1,
        }
    }
}

impl TryFrom<Settings> for Config {
    type Error = InferenceError;

    fn try_from(settings: Settings) -> Result<Self, InferenceError> {
        let labels_file = settings.labels_file.filter(|file| !file.is_empty());
        let model = settings.model.request(models::DEFAULT_DETECTOR)?;
        Ok(Self {
            request: DetectorRequest {
                model,
                instance_id: settings.model.instance_id,
                layout: settings.layout.into(),
                labels: labels_file
                    .map(|file| read_labels(Path::new(&file)))
                    .transpose()?,
            },
            object_class: settings.object_class,
        })
    }
}

type State = model::State<Worker, Notes>;

/// What is remembered beside the detector.
struct Notes {
    /// Frames since the last one with inference.
    skipped: u32,
    /// It was said that the picture is to be turned.
    has_said_rotation: bool,
}

#[derive(Default)]
pub struct YoloDetect {
    settings: Mutex<Settings>,
    state: Mutex<Option<State>>,
    stats: Mutex<Stats>,
    live: Live,
}

#[glib::object_subclass]
impl ObjectSubclass for YoloDetect {
    const NAME: &'static str = "GstYoloDetect";
    type Type = super::YoloDetect;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for YoloDetect {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let defaults = Settings::default();
            let mut all = ModelSettings::properties("detector");
            all.extend(output_properties(&defaults));
            all.extend(detection_properties(&defaults));
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
            "labels-file" => settings.labels_file = value.get().expect("checked by GObject"),
            "layout" => settings.layout = value.get().expect("checked by GObject"),
            "object-class" => settings.object_class = value.get().expect("checked by GObject"),
            "threshold" => settings.threshold = value.get().expect("checked by GObject"),
            "iou-threshold" => settings.iou_threshold = value.get().expect("checked by GObject"),
            "max-detections" => settings.max_detections = value.get().expect("checked by GObject"),
            "inference-interval" => {
                settings.inference_interval = value.get().expect("checked by GObject");
            }
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
            "labels-file" => settings.labels_file.to_value(),
            "layout" => settings.layout.to_value(),
            "object-class" => settings
                .object_class
                .as_deref()
                .unwrap_or(PERSON)
                .to_value(),
            "threshold" => settings.threshold.to_value(),
            "iou-threshold" => settings.iou_threshold.to_value(),
            "max-detections" => settings.max_detections.to_value(),
            "inference-interval" => settings.inference_interval.to_value(),
            other => unreachable!("no property {other}"),
        }
    }
}

/// How the model's output is read.
fn output_properties(defaults: &Settings) -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecString::builder("labels-file")
            .nick("Labels file")
            .blurb("Text file with one class name per line, in the model's order. Not set: from the model. Can be changed in NULL and READY")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("layout", defaults.layout)
            .nick("Layout")
            .blurb("Layout of the model's output (C classes, N boxes). Can be changed in NULL and READY")
            .mutable_ready()
            .build(),
    ]
}

/// Properties of detections and statistics.
fn detection_properties(defaults: &Settings) -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecString::builder("object-class")
            .nick("Object class")
            .blurb("Class names to detect, separated by commas. Not set: person, or the model's own name for people (pedestrian, human, …). Empty: all classes. Can be changed in NULL and READY")
            .default_value(Some(PERSON))
            .mutable_ready()
            .build(),
        glib::ParamSpecFloat::builder("threshold")
            .nick("Threshold")
            .blurb("Minimum score of a detection, 0 to 1. Can be changed in PLAYING")
            .minimum(0.0)
            .maximum(1.0)
            .default_value(defaults.threshold)
            .mutable_playing()
            .build(),
        glib::ParamSpecFloat::builder("iou-threshold")
            .nick("IoU threshold")
            .blurb("Maximum overlap (intersection over union, 0 to 1) of two boxes of a class; above it the one with the lower score is dropped. No effect on models with built-in non-maximum suppression. Can be changed in PLAYING")
            .minimum(0.0)
            .maximum(1.0)
            .default_value(defaults.iou_threshold)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("max-detections")
            .nick("Max detections")
            .blurb("Maximum number of detections per frame, highest scores first, 1 to 10000. Can be changed in PLAYING")
            .minimum(1)
            .maximum(MAX_DETECTIONS)
            .default_value(defaults.max_detections)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("inference-interval")
            .nick("Inference interval")
            .blurb("Runs inference on every Nth frame, 1 or more frames. The others pass without detections; reidtrack predicts them. Can be changed in PLAYING")
            .minimum(1)
            .default_value(defaults.inference_interval)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Counters since the start (frames, late: passed without inference because they came too late, inferences, detections, not-finite, implausible), last-best-score 0 to 1, mean times in ms (preprocess-ms, inference-ms, decode-ms), whole frames in ms (p50-ms, p95-ms, p99-ms of the last 256)")
            .read_only()
            .build(),
    ]
}

impl GstObjectImpl for YoloDetect {}

impl ElementImpl for YoloDetect {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "YOLO person detector",
                "Filter/Analyzer/Video",
                "Detects people with an ONNX detector (YOLO, YOLOX, RTMDet, DETR, NanoDet, …) and attaches their boxes",
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

impl BaseTransformImpl for YoloDetect {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        refuse_swallowed_links(&*self.obj())?;
        let settings = self.settings().clone();
        let worker = Config::try_from(settings)
            .and_then(Worker::open)
            .map_err(|error| error.to_message())?;
        let spec = worker.detector.spec();
        gst::info!(
            CAT,
            imp = self,
            "{}: layout {}, {} classes, {:?}",
            worker.detector.info().path.display(),
            spec.head.layout(),
            spec.labels.len(),
            spec.input
        );
        if let Some(warning) = worker.detector.warning() {
            gst::warning!(CAT, imp = self, "{warning}");
        }
        *self.stats() = Stats::default();
        self.live.reset();
        let notes = Notes {
            skipped: u32::MAX,
            has_said_rotation: false,
        };
        *self.state() = Some(State::new(worker, notes));
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
        Ok(())
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        if let gst::EventView::Tag(tags) = event.view() {
            self.warn_of_rotation(tags.tag());
        }
        if [gst::EventType::FlushStop, gst::EventType::StreamStart].contains(&event.type_()) {
            self.live.cut();
        }
        if event.type_() == gst::EventType::FlushStop
            && let Some(state) = self.state().as_mut()
        {
            // The first frame after a seek is looked at.
            state.notes.skipped = u32::MAX;
        }
        if event.type_() == gst::EventType::Eos {
            self.note_end();
        }
        self.parent_sink_event(event)
    }

    fn src_event(&self, event: gst::Event) -> bool {
        match event.type_() {
            gst::EventType::Qos => self.live.take_qos(&*self.obj(), event),
            _ => self.parent_src_event(event),
        }
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
        let settings = self.settings().clone();
        let Some(Job { mut worker, info }) = self.take_job(buffer, &settings)? else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let params = DetectParams {
            threshold: settings.threshold,
            iou_threshold: settings.iou_threshold,
            limit: settings.max_detections as usize,
        };
        let begun = Instant::now();
        let result = worker.look(buffer, &info, &params);
        self.live.note_time(&*self.obj(), begun.elapsed());
        if let Ok(outcome) = &result {
            self.note(&mut worker, outcome, params.threshold);
        }
        if let Some(state) = self.state().as_mut() {
            state.put_back(worker);
        }
        match result {
            Ok(_) => Ok(gst::FlowSuccess::Ok),
            Err(fault) => Err(fault.post(&*self.obj())),
        }
    }
}

impl YoloDetect {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    fn state(&self) -> MutexGuard<'_, Option<State>> {
        lock(&self.state)
    }

    fn stats(&self) -> MutexGuard<'_, Stats> {
        lock(&self.stats)
    }

    /// The worker and the caps, if inference runs on this frame.
    fn take_job(
        &self,
        buffer: &gst::BufferRef,
        settings: &Settings,
    ) -> Result<Option<Job<Worker>>, gst::FlowError> {
        if !self.is_due(buffer, settings)? {
            return Ok(None);
        }
        if self.live.is_late(&*self.obj(), buffer) {
            self.stats().late += 1;
            return Ok(None);
        }
        let mut state = self.state();
        let state = state.as_mut().ok_or(gst::FlowError::Flushing)?;
        state.notes.skipped = 0;
        state.take_job().map(Some)
    }

    /// Counts a frame. Whether the interval wants it inferred.
    fn is_due(&self, buffer: &gst::BufferRef, settings: &Settings) -> Result<bool, gst::FlowError> {
        let mut state = self.state();
        let state = state.as_mut().ok_or(gst::FlowError::Flushing)?;
        state.info()?;
        self.stats().frames += 1;
        state.notes.skipped = state.notes.skipped.saturating_add(1);
        // A gap has no picture worth looking at.
        let is_gap = buffer.flags().contains(gst::BufferFlags::GAP);
        Ok(!is_gap && state.notes.skipped >= settings.inference_interval)
    }

    /// People who lie on their sides are not found, and a file may only say that its picture is to be turned.
    fn warn_of_rotation(&self, tags: &gst::TagListRef) {
        let orientation = tags.get::<gst::tags::ImageOrientation>();
        let Some(orientation) = orientation.filter(|tag| tag.get() != UPRIGHT) else {
            return;
        };
        // GStreamer 1.22's videoflip turns the picture and leaves the tag as it was.
        if is_upstream(self.obj().sink_pad(), "videoflip") {
            return;
        }
        let is_first = self
            .state()
            .as_mut()
            .is_some_and(|state| !std::mem::replace(&mut state.notes.has_said_rotation, true));
        if is_first {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Format,
                (
                    "the stream has the orientation {}, but its pictures are not rotated: put videoflip video-direction=auto in front of yolodetect, else people lie on their sides and are rarely detected",
                    orientation.get()
                )
            );
        }
    }

    /// Updates the statistics and posts warnings.
    fn note(&self, worker: &mut Worker, outcome: &DetectOutcome, threshold: f32) {
        let found = worker.detector.detections().len();
        self.stats().add(outcome, found);
        gst::trace!(CAT, imp = self, "{found} found, {outcome:?}");
        if let Some(warning) = worker.sanity.note(&outcome.decoded, found, threshold) {
            self.warn(&worker.detector, &warning);
        }
    }

    /// Says at the end of a short stream that nothing was found in it.
    fn note_end(&self) {
        let worker = self.state().as_mut().and_then(State::take_worker);
        let Some(mut worker) = worker else { return };
        if let Some(warning) = worker.sanity.at_end() {
            self.warn(&worker.detector, &warning);
        }
        if let Some(state) = self.state().as_mut() {
            state.put_back(worker);
        }
    }

    fn warn(&self, detector: &Detector, warning: &Warning) {
        gst::element_imp_warning!(
            self,
            gst::StreamError::Failed,
            ("{}: {warning}", detector.info().path.display())
        );
    }
}
