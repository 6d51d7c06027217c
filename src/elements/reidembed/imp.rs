//! The element: properties, state and the way of a buffer. The embedder itself is [`crate::inference::Embedder`].
//!
//! Locks: settings, state, stats, each for a moment only. The embedder is taken out of the state while it works, so that
//! no lock is held while inferring.

use std::sync::{LazyLock, Mutex, MutexGuard};

use gst_base::{prelude::*, subclass::prelude::*};

use crate::{
    core::{
        appearance::{ClassWatch, Decision, Health, Remark, Reuse, Selection},
        embedding::Embedding,
        geometry::Rect,
        person::{PERSON, Person, Subject},
    },
    elements::{
        model::{self, FrameFault, Job, ModelSettings},
        silence::refuse_swallowed_links,
    },
    inference::{
        CropError, EmbedOutcome, Embedder, EmbedderRequest, InferenceError, embedder::MAX_BATCH,
        models,
    },
    media::{self, FrameSize, MappedFrame, PeopleMeta, caps},
    sync::lock,
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "reidembed",
        gst::DebugColorFlags::empty(),
        Some("Person embedder"),
    )
});

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
    reuse_interval: u32,
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
            reuse_interval: 0,
        }
    }
}

/// What `start` makes of the settings.
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

/// What may change from frame to frame.
struct Params {
    selection: Selection,
    batch: usize,
    /// 0: every box every frame.
    reuse_interval: u32,
}

impl From<&Settings> for Params {
    fn from(settings: &Settings) -> Self {
        let limit = (settings.max_objects > 0).then_some(settings.max_objects as usize);
        Self {
            selection: Selection::new(settings.object_class.as_deref(), settings.min_height, limit),
            batch: settings.batch_size as usize,
            reuse_interval: settings.reuse_interval,
        }
    }
}

type State = model::State<Worker, Notes>;

/// What is remembered beside the embedder.
struct Notes {
    /// The next frame does not continue the one before.
    is_cut: bool,
}

/// The embedder and what it remembers of the stream.
struct Worker {
    embedder: Embedder,
    reuse: Reuse,
    health: Health,
    classes: ClassWatch,
    /// It was said that a tracker is in front.
    has_said_order: bool,
}

/// What came of one frame.
#[derive(Debug, Default)]
struct Looked {
    people: u64,
    embedded: u64,
    reused: u64,
    refused: u64,
    outcome: EmbedOutcome,
    remarks: Vec<Remark>,
    /// Classes of the boxes, of which none is wanted.
    unwanted: Option<String>,
    /// A tracker in front was noticed.
    is_behind_tracker: bool,
}

/// Sums since the start.
#[derive(Clone, Copy, Debug, Default)]
struct Stats {
    frames: u64,
    people: u64,
    embedded: u64,
    reused: u64,
    refused: u64,
    runs: u64,
    dimension: u32,
    batch_limit: u32,
    preprocess_ms: f64,
    inference_ms: f64,
}

impl Stats {
    fn add(&mut self, looked: &Looked, batch_limit: usize) {
        self.people += looked.people;
        self.embedded += looked.embedded;
        self.reused += looked.reused;
        self.refused += looked.refused;
        self.runs += looked.outcome.runs as u64;
        self.batch_limit = u32::try_from(batch_limit).unwrap_or(u32::MAX);
        self.preprocess_ms += looked.outcome.preprocess.as_secs_f64() * 1e3;
        self.inference_ms += looked.outcome.infer.as_secs_f64() * 1e3;
    }

    fn to_structure(self) -> gst::Structure {
        let crops = self.embedded + self.refused;
        let mean = |sum: f64| sum / crops.max(1) as f64;
        gst::Structure::builder("stats")
            .field("frames", self.frames)
            .field("people", self.people)
            .field("embedded", self.embedded)
            .field("reused", self.reused)
            .field("skipped", self.people.saturating_sub(crops + self.reused))
            .field("refused", self.refused)
            .field("runs", self.runs)
            .field("dimension", self.dimension)
            .field("batch-limit", self.batch_limit)
            .field("preprocess-ms", mean(self.preprocess_ms))
            .field("inference-ms", mean(self.inference_ms))
            .build()
    }
}

#[derive(Default)]
pub struct ReidEmbed {
    settings: Mutex<Settings>,
    state: Mutex<Option<State>>,
    stats: Mutex<Stats>,
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
            return self.stats().to_structure().to_value();
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
            .blurb("Names of the classes to embed, separated by commas; not set: person and other common names of people (pedestrian, human, 0, …); empty: all. Others get no identity. Can be changed in PLAYING")
            .default_value(Some(PERSON))
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("min-height")
            .nick("Min height")
            .blurb("Least height of the visible part of a box, in px of the frame; lower ones get no vector. Can be changed in PLAYING")
            .default_value(defaults.min_height)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("max-objects")
            .nick("Max objects")
            .blurb("Most boxes of a frame that get a vector, the largest first, 0 to 10000; 0: all. Can be changed in PLAYING")
            .maximum(MAX_OBJECTS)
            .default_value(defaults.max_objects)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("batch-size")
            .nick("Batch size")
            .blurb("Most crops that go through the model at once, 1 to 256; models with a fixed batch keep theirs. On cuda and tensorrt batches are filled up to this size: a change takes seconds to minutes there. Can be changed in PLAYING")
            .minimum(1)
            .maximum(MAX_BATCH as u32)
            .default_value(defaults.batch_size)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("reuse-interval")
            .nick("Reuse interval")
            .blurb("Frames for which a box that continues one of the frames before keeps its vector; 0: every box is embedded in every frame. Can be changed in PLAYING")
            .default_value(defaults.reuse_interval)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Counts since the start (frames, people, embedded, reused, skipped, refused, runs), dimension of the vectors, batch-limit in crops, mean times a crop in ms (preprocess-ms, inference-ms)")
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
                "Describes each person by a vector of an ONNX embedder (OSNet, Intel's, your own), to be recognised elsewhere",
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
        let facts = embedder.facts();
        gst::info!(
            CAT,
            imp = self,
            "{}: {} numbers, batches of up to {}, {:?}{}",
            embedder.info().path.display(),
            embedder.dimension(),
            embedder.batch_limit(),
            facts.spec,
            if facts.is_preprocessing_known {
                ""
            } else {
                " (normalisation assumed)"
            }
        );
        if let Some(remark) = embedder.take_remark() {
            self.warn(&remark);
        }
        *self.stats() = Stats {
            dimension: u32::try_from(embedder.dimension()).unwrap_or(u32::MAX),
            batch_limit: u32::try_from(embedder.batch_limit()).unwrap_or(u32::MAX),
            ..Stats::default()
        };
        let worker = Worker {
            embedder,
            reuse: Reuse::default(),
            health: Health::default(),
            classes: ClassWatch::default(),
            has_said_order: false,
        };
        *self.state() = Some(State::new(worker, Notes { is_cut: false }));
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

    /// The picture is not touched: whoever is downstream says how it wants its buffers.
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
        let params = Params::from(&*self.settings());
        let Job { mut worker, info } = self.take_job(buffer)?;
        let result = worker.look(buffer, &info, &params);
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
            job.worker.reuse.clear();
        }
        job.worker.reuse.next_frame();
        Ok(job)
    }

    /// Counts, and says what is remarkable.
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
        for remark in &looked.remarks {
            self.warn(&remark.to_string());
        }
        if let Some(remark) = &looked.outcome.remark {
            self.warn(remark);
        }
        if let Some(classes) = &looked.unwanted {
            self.warn_of_classes(classes);
        }
        if looked.is_behind_tracker {
            self.warn("reidtrack is in front of reidembed, where it finds no vectors and recognises nobody: put reidembed before it");
        }
    }

    fn warn_of_classes(&self, seen: &str) {
        let wanted = self.settings().object_class.clone();
        let wanted = wanted.map_or_else(
            || "people's common names are taken for object-class=person".to_owned(),
            |wanted| format!("object-class is '{wanted}'"),
        );
        self.warn(&format!(
            "no box is of a class to embed, so nobody can be recognised: the detector's classes are {seen}, {wanted}. Set object-class to what the detector calls people, or to \"\" for all"
        ));
    }

    fn warn(&self, remark: &str) {
        gst::element_imp_warning!(self, gst::StreamError::Failed, ("{remark}"));
    }
}

impl Worker {
    /// Makes the vectors of a frame's people and attaches them. A frame that no detector has looked at stays as it is.
    fn look(
        &mut self,
        buffer: &mut gst::BufferRef,
        info: &gst_video::VideoInfo,
        params: &Params,
    ) -> Result<Looked, FrameFault> {
        let size = FrameSize::from(info);
        let Some(mut people) = media::read_people(buffer, size) else {
            return Ok(Looked::default());
        };
        let (width, height) = (size.width as f32, size.height as f32);
        let selected = params.selection.select(&people, width, height);
        let rects: Vec<Rect> = selected.iter().map(|&index| people[index].rect).collect();
        let decisions = match params.reuse_interval {
            0 => vec![Decision::Embed; rects.len()],
            _ => self.reuse.decide(&rects),
        };
        let mut looked = Looked {
            people: people.len() as u64,
            ..Looked::default()
        };
        for person in &mut people {
            person.subject = match params.selection.is_wanted(&person.label) {
                true => Subject::Described,
                false => Subject::Other,
            };
        }
        let classes = people
            .iter()
            .map(|p| (&*p.label, p.subject == Subject::Described));
        looked.unwanted = self.classes.note(classes);
        let is_tracked = people.iter().any(|p| p.track.is_some());
        looked.is_behind_tracker =
            is_tracked && !std::mem::replace(&mut self.has_said_order, is_tracked);
        // A gap has no picture worth looking at.
        let is_gap = buffer.flags().contains(gst::BufferFlags::GAP);
        if !is_gap {
            looked.outcome = self.embed(buffer, info, &rects, &decisions, params.batch)?;
            let vectors = self.vectors(&decisions, &mut looked);
            if params.reuse_interval > 0 {
                self.reuse
                    .remember(&rects, &decisions, &vectors, params.reuse_interval);
            }
            for (&index, vector) in selected.iter().zip(vectors) {
                people[index].embedding = vector;
            }
            looked
                .remarks
                .extend(self.health.note_refused(looked.refused));
            looked.remarks.extend(self.alike(&people, looked.embedded));
        }
        // The mirror to regions of interest holds no vectors: the regions that are there stay true.
        PeopleMeta::set(buffer, size, people);
        Ok(looked)
    }

    /// Runs the model on the boxes that need it.
    fn embed(
        &mut self,
        buffer: &gst::BufferRef,
        info: &gst_video::VideoInfo,
        rects: &[Rect],
        decisions: &[Decision],
        batch: usize,
    ) -> Result<EmbedOutcome, FrameFault> {
        let needed: Vec<Rect> = rects
            .iter()
            .zip(decisions)
            .filter(|(_, decision)| **decision == Decision::Embed)
            .map(|(rect, _)| *rect)
            .collect();
        if needed.is_empty() {
            return Ok(EmbedOutcome::default());
        }
        let frame = MappedFrame::readable(buffer, info)?;
        Ok(self.embedder.embed(&frame.view()?, &needed, batch)?)
    }

    /// The vector of each box, kept or new. Counts.
    fn vectors(&self, decisions: &[Decision], looked: &mut Looked) -> Vec<Option<Embedding>> {
        let mut made = std::mem::take(&mut looked.outcome.vectors).into_iter();
        let vector = |decision: &Decision| match decision {
            Decision::Keep(embedding) => {
                looked.reused += 1;
                Some(embedding.clone())
            }
            Decision::Embed => match made.next()? {
                Ok(embedding) => {
                    looked.embedded += 1;
                    Some(embedding)
                }
                Err(CropError::Vector(_)) => {
                    looked.refused += 1;
                    None
                }
                // Counted as skipped.
                Err(CropError::Crop(_)) => None,
            },
        };
        decisions.iter().map(vector).collect()
    }

    fn alike(&mut self, people: &[Person], embedded: u64) -> Option<Remark> {
        if embedded == 0 {
            return None;
        }
        let with_vectors = people
            .iter()
            .filter_map(|person| Some((person.rect, person.embedding.as_ref()?)));
        let with_vectors: Vec<_> = with_vectors.collect();
        self.health.note_people(&with_vectors)
    }
}
