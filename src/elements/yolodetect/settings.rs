//! The properties: values, specifications, and what they mean for the detector.

use std::{path::Path, thread};

use gst::prelude::*;

use super::{DetectLayout, worker::Config};
use crate::{
    core::person::PERSON,
    elements::model::ModelSettings,
    inference::{DetectParams, DetectorRequest, InferenceError, models, read_labels},
};

/// Most boxes of a frame that the property `max-detections` allows.
const MAX_DETECTIONS: u32 = 10_000;
/// Most frames in flight that the property `nireq` allows …
const MAX_IN_FLIGHT: u32 = 64;
/// … and most that it chooses: more cores than that are for other streams.
const MAX_AUTO_IN_FLIGHT: usize = 4;

#[derive(Clone, Debug)]
pub struct Settings {
    pub model: ModelSettings,
    pub labels_file: Option<String>,
    pub layout: DetectLayout,
    /// `None` when nobody set it.
    pub object_class: Option<String>,
    pub threshold: f32,
    pub iou_threshold: f32,
    pub max_detections: u32,
    pub inference_interval: u32,
    pub in_flight: u32,
}

impl Settings {
    /// How many frames inference may run on at a time.
    pub fn in_flight(&self) -> usize {
        match self.in_flight {
            0 => thread::available_parallelism()
                .map_or(1, usize::from)
                .min(MAX_AUTO_IN_FLIGHT),
            chosen => chosen as usize,
        }
    }

    pub fn params(&self) -> DetectParams {
        DetectParams {
            threshold: self.threshold,
            iou_threshold: self.iou_threshold,
            limit: self.max_detections as usize,
        }
    }
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
            in_flight: 0,
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

impl Settings {
    /// The specifications of all properties.
    pub fn properties() -> Vec<glib::ParamSpec> {
        let defaults = Self::default();
        let mut all = ModelSettings::properties("detector");
        all.extend(output_properties(&defaults));
        all.extend(detection_properties(&defaults));
        all
    }

    /// Takes the value of a property.
    pub fn set(&mut self, property: &str, value: &glib::Value) {
        if self.model.set(property, value) {
            return;
        }
        // The values' types and ranges are those of the specifications.
        match property {
            "labels-file" => self.labels_file = value.get().expect("checked by GObject"),
            "layout" => self.layout = value.get().expect("checked by GObject"),
            "object-class" => self.object_class = value.get().expect("checked by GObject"),
            "threshold" => self.threshold = value.get().expect("checked by GObject"),
            "iou-threshold" => self.iou_threshold = value.get().expect("checked by GObject"),
            "max-detections" => self.max_detections = value.get().expect("checked by GObject"),
            "inference-interval" => {
                self.inference_interval = value.get().expect("checked by GObject");
            }
            "nireq" => self.in_flight = value.get().expect("checked by GObject"),
            other => unreachable!("no property {other}"),
        }
    }

    /// The value of a property.
    pub fn get(&self, property: &str) -> glib::Value {
        if let Some(value) = self.model.get(property) {
            return value;
        }
        match property {
            "labels-file" => self.labels_file.to_value(),
            "layout" => self.layout.to_value(),
            "object-class" => self.object_class.as_deref().unwrap_or(PERSON).to_value(),
            "threshold" => self.threshold.to_value(),
            "iou-threshold" => self.iou_threshold.to_value(),
            "max-detections" => self.max_detections.to_value(),
            "inference-interval" => self.inference_interval.to_value(),
            "nireq" => self.in_flight.to_value(),
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
            .blurb("Class names to detect, separated by commas. Not set: person, or the model's own name for people (pedestrian, human, …). Empty: all classes. Can be changed in PLAYING")
            .default_value(Some(PERSON))
            .mutable_playing()
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
        glib::ParamSpecUInt::builder("nireq")
            .nick("Number of inference requests")
            .blurb("Maximum number of frames of this stream that inference runs on at the same time, 0 to 64. They leave in order. 0: the number of cores, at most 4. Further ones are used only when one cannot keep up. Can be changed in NULL and READY")
            .maximum(MAX_IN_FLIGHT)
            .default_value(defaults.in_flight)
            .mutable_ready()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Counters since the start (frames, late: passed without inference because they came too late, inferences, detections, not-finite, implausible), last-best-score 0 to 1, mean times in ms (preprocess-ms, inference-ms, decode-ms), whole frames in ms (p50-ms, p95-ms, p99-ms of the last 256)")
            .read_only()
            .build(),
    ]
}
