//! Processes a frame: the detector, and the conversion of its boxes to people.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    core::{person::Person, yolo::Detection},
    elements::model::{Crew, FrameFault, Make},
    inference::{DetectOutcome, DetectParams, Detector, DetectorRequest, InferenceError},
    media::{self, FrameSize, MappedFrame, roi::Origin},
};

/// The validated settings, made by `start`.
pub struct Config {
    pub request: DetectorRequest,
    pub object_class: Option<String>,
}

/// The detector and what turns its boxes into people.
pub struct Worker {
    pub detector: Detector,
    /// The classes that it was last told to look for.
    object_class: Option<String>,
    labels: Vec<Arc<str>>,
    origin: Origin,
}

impl Worker {
    /// Loads the detector and chooses its classes.
    pub fn open(config: Config) -> Result<Self, InferenceError> {
        let path: PathBuf = config.request.model.path.clone();
        let mut detector = Detector::open(config.request)?;
        look_for(&mut detector, config.object_class.as_deref())?;
        let labels = &detector.spec().labels;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into());
        Ok(Self {
            labels: labels.iter().map(|label| label.as_str().into()).collect(),
            origin: Origin {
                detector: name,
                ..Origin::default()
            },
            detector,
            object_class: config.object_class,
        })
    }

    /// Looks for other classes from now on, if it is told so. When the model has no such class all stays as it was, and it is said
    /// once.
    fn turn_to(&mut self, object_class: Option<String>) -> Option<String> {
        if object_class == self.object_class {
            return None;
        }
        let turned = look_for(&mut self.detector, object_class.as_deref());
        self.object_class = object_class;
        turned.err().map(|error| error.to_string())
    }

    /// Looks at a frame and attaches what it finds.
    fn look(
        &mut self,
        buffer: &mut gst::BufferRef,
        info: &gst_video::VideoInfo,
        params: &DetectParams,
    ) -> Result<Found, FrameFault> {
        let frame = MappedFrame::readable(buffer, info)?;
        let outcome = self.detector.detect(&frame.view()?, params)?;
        drop(frame);
        let people = self.detector.detections().iter().map(|d| self.person(d));
        let people: Vec<Person> = people.collect();
        let found = Found {
            outcome,
            boxes: people.len(),
            threshold: params.threshold,
            refused: None,
        };
        media::write_people(buffer, FrameSize::from(info), people, &self.origin);
        Ok(found)
    }

    fn person(&self, detection: &Detection) -> Person {
        let label = match self.labels.get(detection.class_id as usize) {
            Some(label) => label.clone(),
            None => format!("class {}", detection.class_id).into(),
        };
        let label_id = i32::try_from(detection.class_id).unwrap_or(i32::MAX);
        Person::detected(detection.rect, detection.score, label, label_id)
    }
}

fn look_for(detector: &mut Detector, object_class: Option<&str>) -> Result<(), InferenceError> {
    match object_class {
        Some(classes) => detector.look_for(classes),
        None => detector.look_for_people(),
    }
}

/// A frame that inference runs on.
pub struct Frame {
    pub buffer: gst::Buffer,
    pub info: Arc<gst_video::VideoInfo>,
    pub params: DetectParams,
    /// The classes to look for; `None` when nobody said.
    pub object_class: Option<String>,
    /// When it came.
    pub came: Instant,
}

/// What was found in a frame.
pub struct Found {
    pub outcome: DetectOutcome,
    pub boxes: usize,
    pub threshold: f32,
    /// Why the classes that were asked for meanwhile are not looked for.
    pub refused: Option<String>,
}

/// A frame that is done, or what comes between frames.
pub enum Done {
    /// An event that says something about the stream.
    Event(gst::Event),
    /// Inference did not run on it.
    Passed(gst::Buffer),
    /// Looked at; how long it took.
    Looked(gst::Buffer, Found, Duration),
    /// It cannot be looked at.
    Failed(FrameFault),
}

impl Crew for Worker {
    type Job = Frame;
    type Done = Done;

    fn work(&mut self, mut frame: Frame) -> Done {
        let refused = self.turn_to(frame.object_class);
        match self.look(frame.buffer.make_mut(), &frame.info, &frame.params) {
            Ok(found) => {
                let found = Found { refused, ..found };
                Done::Looked(frame.buffer, found, frame.came.elapsed())
            }
            Err(fault) => Done::Failed(fault),
        }
    }

    fn another(&self) -> Make<Self> {
        let detector = self.detector.for_another();
        let (labels, origin) = (self.labels.clone(), self.origin.clone());
        let object_class = self.object_class.clone();
        Box::new(move || {
            let detector = detector.open().inspect_err(|error| {
                gst::warning!(super::imp::CAT, "no further session: {error}");
            });
            Some(Self {
                detector: detector.ok()?,
                object_class,
                labels,
                origin,
            })
        })
    }

    fn lost() -> Done {
        Done::Failed(FrameFault::Unreadable("inference panicked".into()))
    }
}

/// Sums since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub frames: u64,
    /// Passed without inference, because they came too late.
    pub late: u64,
    inferences: u64,
    detections: u64,
    not_finite: u64,
    implausible: u64,
    last_best_score: f64,
    preprocess_ms: f64,
    inference_ms: f64,
    decode_ms: f64,
}

impl Stats {
    /// Adds a frame with inference.
    pub fn add(&mut self, outcome: &DetectOutcome, detections: usize) {
        self.inferences += 1;
        self.detections += detections as u64;
        self.not_finite += outcome.decoded.not_finite as u64;
        self.implausible += outcome.decoded.implausible as u64;
        self.last_best_score = outcome.decoded.best_score.map_or(0.0, f64::from);
        self.preprocess_ms += outcome.times.preprocess.as_secs_f64() * 1e3;
        self.inference_ms += outcome.times.infer.as_secs_f64() * 1e3;
        self.decode_ms += outcome.times.decode.as_secs_f64() * 1e3;
    }

    /// The property's value.
    pub fn to_structure(self) -> gst::Structure {
        let mean = |sum: f64| sum / self.inferences.max(1) as f64;
        gst::Structure::builder("stats")
            .field("frames", self.frames)
            .field("late", self.late)
            .field("inferences", self.inferences)
            .field("detections", self.detections)
            .field("not-finite", self.not_finite)
            .field("implausible", self.implausible)
            .field("last-best-score", self.last_best_score)
            .field("preprocess-ms", mean(self.preprocess_ms))
            .field("inference-ms", mean(self.inference_ms))
            .field("decode-ms", mean(self.decode_ms))
            .build()
    }
}
