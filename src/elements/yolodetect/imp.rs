//! The element: properties, state and buffers. The detector is [`crate::inference::Detector`].
//!
//! Frames are worked on by the threads of a [`Flight`], which deliver them downstream in order. What is serialised with frames waits
//! until they have left. Locks: settings, state, stats, flow, each held briefly, none during inference or a push.

use std::{
    sync::{Arc, LazyLock, Mutex, MutexGuard},
    time::Instant,
};

use gst_base::{
    prelude::*,
    subclass::{base_transform::GenerateOutputSuccess, prelude::*},
};

use super::{
    rotation::is_upstream,
    settings::Settings,
    worker::{Config, Done, Found, Frame, Stats, Worker},
};
use crate::{
    core::yolo::{SanityCheck, Warning},
    elements::{
        model::{self, Flight, Live},
        silence::refuse_swallowed_links,
    },
    media::caps,
    sync::lock,
};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "yolodetect",
        gst::DebugColorFlags::empty(),
        Some("Person detector"),
    )
});

/// Events that change nothing here. They keep their place between frames, and no frame waits for another because of them: parsers
/// send new tags with every change of the bit rate.
const ONLY_SAID: [gst::EventType; 4] = [
    gst::EventType::Tag,
    gst::EventType::Toc,
    gst::EventType::SinkMessage,
    gst::EventType::CustomDownstream,
];

/// The tag `image-orientation` of a picture that is shown as it is.
const UPRIGHT: &str = "rotate-0";
type State = model::State<Arc<Flight<Worker>>, Notes>;

/// What is remembered beside the frames in flight.
struct Notes {
    /// The detector's file, for warnings.
    model: String,
    sanity: SanityCheck,
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
    /// What went wrong when a frame was delivered, for whoever brings the next one.
    flow: Mutex<Option<gst::FlowError>>,
}

#[glib::object_subclass]
impl ObjectSubclass for YoloDetect {
    const NAME: &'static str = "GstYoloDetect";
    type Type = super::YoloDetect;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for YoloDetect {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(Settings::properties);
        &PROPERTIES
    }

    fn constructed(&self) {
        self.parent_constructed();
        // The base class has it off, and would drop what is late.
        self.obj().set_property("qos", true);
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        self.settings().set(pspec.name(), value);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        if pspec.name() == "stats" {
            let mut stats = self.stats().to_structure();
            self.live.add_times(&mut stats);
            return stats.to_value();
        }
        self.settings().get(pspec.name())
    }
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
        let in_flight = settings.in_flight();
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
        *lock(&self.flow) = None;
        let notes = Notes {
            model: worker.detector.info().path.display().to_string(),
            sanity: SanityCheck::default(),
            skipped: u32::MAX,
            has_said_rotation: false,
        };
        let element = self.obj().downgrade();
        let deliver = move |done| {
            if let Some(element) = element.upgrade() {
                element.imp().deliver(done);
            }
        };
        let flight = Flight::new(worker, in_flight, Box::new(deliver)).map_err(|error| {
            gst::error_msg!(
                gst::ResourceError::Failed,
                ("no thread for inference: {error}. Are there too many processes?")
            )
        })?;
        *self.state() = Some(State::new(Arc::new(flight), notes));
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        // Dropped outside the lock: threads end, and freeing a model takes a while.
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
        if ONLY_SAID.contains(&event.type_())
            && event.is_serialized()
            && let Some(flight) = self.flight()
        {
            flight.follow(Done::Event(event));
            return true;
        }
        if event.type_() == gst::EventType::FlushStop {
            self.discard();
        } else if event.is_serialized() {
            self.drain();
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
            _ => {
                if direction == gst::PadDirection::Sink && query.is_serialized() {
                    self.drain();
                }
                BaseTransformImplExt::parent_query(self, direction, query)
            }
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

    fn submit_input_buffer(
        &self,
        is_discont: bool,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.parent_submit_input_buffer(is_discont, buffer)?;
        match self.take_queued_buffer() {
            Some(buffer) => self.enter(buffer),
            None => Ok(gst::FlowSuccess::Ok),
        }
    }

    /// Frames leave from the threads that looked at them.
    fn generate_output(&self) -> Result<GenerateOutputSuccess, gst::FlowError> {
        Ok(GenerateOutputSuccess::NoOutput)
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

    fn flight(&self) -> Option<Arc<Flight<Worker>>> {
        self.state().as_mut()?.worker_mut().cloned()
    }

    /// Waits until all frames have left.
    fn drain(&self) {
        if let Some(flight) = self.flight() {
            flight.drain();
        }
    }

    /// Forgets frames that have not left, and what became of others. Tags between them stay on the pad, as in GStreamer's queues.
    fn discard(&self) {
        let between = self.flight().map(|flight| flight.discard());
        for done in between.into_iter().flatten() {
            if let Done::Event(event) = done
                && event.is_sticky()
            {
                // A pad that flushes or is not active has no use for them.
                let _ = self.obj().src_pad().store_sticky_event(&event);
            }
        }
        *lock(&self.flow) = None;
    }

    /// Sends a frame on its way.
    fn enter(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        if let Some(error) = lock(&self.flow).take() {
            return Err(error);
        }
        let came = Instant::now();
        let settings = self.settings().clone();
        let info = self.info_if_wanted(&buffer, &settings)?;
        let flight = self.flight().ok_or(gst::FlowError::Flushing)?;
        match info {
            Some(info) => flight.work(Frame {
                buffer,
                info,
                params: settings.params(),
                object_class: settings.object_class,
                came,
            }),
            None => flight.pass(Done::Passed(buffer)),
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// Pushes a frame that is done; called for one at a time, in order.
    fn deliver(&self, done: Done) {
        let buffer = match done {
            Done::Event(event) => {
                self.obj().src_pad().push_event(event);
                return;
            }
            Done::Passed(buffer) => Ok(buffer),
            Done::Looked(buffer, found, took) => {
                self.live.note_time(&*self.obj(), took);
                self.note(&found);
                Ok(buffer)
            }
            Done::Failed(fault) => Err(fault.post(&*self.obj())),
        };
        let pushed = buffer.and_then(|buffer| self.obj().src_pad().push(buffer));
        if let Err(error) = pushed {
            *lock(&self.flow) = Some(error);
        }
    }

    /// What the frame is like, if inference runs on it.
    fn info_if_wanted(
        &self,
        buffer: &gst::BufferRef,
        settings: &Settings,
    ) -> Result<Option<Arc<gst_video::VideoInfo>>, gst::FlowError> {
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
        state.info().map(Some)
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
    fn note(&self, found: &Found) {
        let Found {
            outcome,
            boxes,
            threshold,
            refused,
        } = found;
        if let Some(reason) = refused {
            gst::element_imp_warning!(
                self,
                gst::LibraryError::Settings,
                ("{reason}. Until then the classes before are looked for")
            );
        }
        self.stats().add(outcome, *boxes);
        gst::trace!(CAT, imp = self, "{boxes} found, {outcome:?}");
        self.warn(|sanity| sanity.note(&outcome.decoded, *boxes, *threshold));
    }

    /// Says at the end of a short stream that nothing was found in it.
    fn note_end(&self) {
        self.warn(SanityCheck::at_end);
    }

    /// Posts what the sanity check says, if anything.
    fn warn(&self, check: impl FnOnce(&mut SanityCheck) -> Option<Warning>) {
        let said = self.state().as_mut().and_then(|state| {
            let warning = check(&mut state.notes.sanity)?;
            Some((state.notes.model.clone(), warning))
        });
        if let Some((model, warning)) = said {
            gst::element_imp_warning!(self, gst::StreamError::Failed, ("{model}: {warning}"));
        }
    }
}
