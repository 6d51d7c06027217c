//! The properties: values, meaning and descriptions.

use std::{path::Path, sync::Arc};

use gst::prelude::*;

use crate::{
    core::{
        identity::{GalleryConfig, MAX_IDENTITIES, topology::Topology},
        tracking::TrackerConfig,
    },
    store::{
        rules::{GivenTopology, Rules},
        without_password,
    },
};

/// The value of `match-threshold` for automatic calibration.
const AUTO: f32 = -1.0;
/// Maximum of the property `min-hits`.
const MAX_HITS: u32 = 1000;

/// The values of the properties.
#[derive(Clone, Debug)]
pub struct Settings {
    pub gallery: String,
    pub gallery_location: String,
    pub camera: String,
    /// `None`: nobody set it, as with the other rules of the gallery.
    pub match_threshold: Option<f32>,
    pub max_identities: Option<u32>,
    pub max_age: Option<u64>,
    pub min_hits: u32,
    pub motion_only: bool,
    pub topology: String,
    pub thumbnails: bool,
    pub add_embeddings: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            gallery: String::new(),
            gallery_location: String::new(),
            camera: String::new(),
            match_threshold: None,
            max_identities: None,
            max_age: None,
            min_hits: TrackerConfig::default().min_hits,
            motion_only: false,
            topology: String::new(),
            thumbnails: false,
            add_embeddings: false,
        }
    }
}

impl Settings {
    /// The gallery rules that the user has set, except the topology.
    pub fn rules(&self) -> Rules {
        Rules {
            match_threshold: self.match_threshold.map(|t| (t >= 0.0).then_some(t)),
            max_identities: self.max_identities.map(|n| n as usize),
            max_age_ns: self.max_age.map(|ns| (ns > 0).then_some(ns)),
            topology: None,
        }
    }

    /// The value of `match-threshold`.
    pub fn threshold(&self) -> f32 {
        self.match_threshold.unwrap_or(AUTO)
    }

    fn most(&self) -> u32 {
        self.max_identities
            .unwrap_or(GalleryConfig::default().max_identities as u32)
    }

    /// The tracker's.
    pub fn tracker(&self) -> TrackerConfig {
        TrackerConfig {
            min_hits: self.min_hits,
            use_appearance: !self.motion_only,
            ..TrackerConfig::default()
        }
    }

    /// Reads the topology file, if one is set. The error names the remedy.
    pub fn read_topology(&self) -> Result<Option<GivenTopology>, String> {
        let file = &self.topology;
        if file.is_empty() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(file).map_err(|error| {
            format!("topology {file} cannot be read: {error}; set topology to the path of a TOML file or leave it empty")
        })?;
        let topology =
            Topology::parse(&text).map_err(|error| format!("topology {file}, {error}"))?;
        Ok(Some((Arc::from(Path::new(file)), Arc::new(topology))))
    }

    /// Whether `match-threshold` is neither a cosine nor -1.
    pub fn has_bad_threshold(&self) -> bool {
        self.threshold() < 0.0 && self.threshold() != AUTO
    }

    /// Validates the settings. The error names the property.
    pub fn check(&self) -> Result<(), String> {
        if self.thumbnails && self.gallery_location.is_empty() {
            return Err(
                "thumbnails=true needs a location: set gallery-location, or thumbnails=false"
                    .into(),
            );
        }
        if self.has_bad_threshold() {
            return Err(format!(
                "match-threshold={} is out of range: use a cosine from 0 to 1, or -1 to calibrate it automatically",
                self.threshold()
            ));
        }
        Ok(())
    }

    /// Takes a property's value.
    pub fn set(&mut self, property: &str, value: &glib::Value) {
        let text = || -> String {
            let text: Option<String> = value.get().expect("checked by GObject");
            text.unwrap_or_default()
        };
        // The values' types and ranges are those of the specifications.
        match property {
            "gallery" => self.gallery = text(),
            "gallery-location" => self.gallery_location = text(),
            "camera" => self.camera = text(),
            "match-threshold" => {
                self.match_threshold = Some(value.get().expect("checked by GObject"));
            }
            "max-identities" => {
                self.max_identities = Some(value.get().expect("checked by GObject"));
            }
            "max-age" => self.max_age = Some(value.get().expect("checked by GObject")),
            "min-hits" => self.min_hits = value.get().expect("checked by GObject"),
            "motion-only" => self.motion_only = value.get().expect("checked by GObject"),
            "topology" => self.topology = text(),
            "thumbnails" => self.thumbnails = value.get().expect("checked by GObject"),
            "add-embeddings" => self.add_embeddings = value.get().expect("checked by GObject"),
            other => unreachable!("no property {other}"),
        }
    }

    /// A property's value.
    pub fn get(&self, property: &str) -> glib::Value {
        match property {
            "gallery" => self.gallery.to_value(),
            // Passwords must not appear in pipeline dumps.
            "gallery-location" => without_password(&self.gallery_location).to_value(),
            "camera" => self.camera.to_value(),
            "match-threshold" => self.threshold().to_value(),
            "max-identities" => self.most().to_value(),
            "max-age" => self.max_age.unwrap_or(0).to_value(),
            "min-hits" => self.min_hits.to_value(),
            "motion-only" => self.motion_only.to_value(),
            "topology" => self.topology.to_value(),
            "thumbnails" => self.thumbnails.to_value(),
            "add-embeddings" => self.add_embeddings.to_value(),
            other => unreachable!("no property {other}"),
        }
    }
}

/// The specifications of all properties.
pub fn properties() -> Vec<glib::ParamSpec> {
    let defaults = Settings::default();
    let mut all = gallery_properties(&defaults);
    all.extend(tracker_properties(&defaults));
    all
}

/// Which gallery, and its rules.
fn gallery_properties(defaults: &Settings) -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecString::builder("gallery")
            .nick("Gallery")
            .blurb("Name of the gallery. Elements of the process with the same gallery share people and ids. Empty: a gallery of its own. Can be changed in NULL and READY")
            .default_value(Some(defaults.gallery.as_str()))
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("gallery-location")
            .nick("Gallery location")
            .blurb("Location of the gallery: sqlite:///path/to/file (one process at a time) or postgresql://user@host/database (any number of machines). Empty: in memory, lost with the pipeline. Elements with the same location share its people. Reads without the password. Can be changed in NULL and READY")
            .default_value(Some(defaults.gallery_location.as_str()))
            .mutable_ready()
            .build(),
        glib::ParamSpecFloat::builder("match-threshold")
            .nick("Match threshold")
            .blurb("Minimum cosine similarity for a match, 0 to 1. -1: calibrates it automatically. Gallery rule: set on one element, it applies to all elements of the gallery while that element exists. Different values are an error. Can be changed in PLAYING")
            .minimum(AUTO)
            .maximum(1.0)
            .default_value(defaults.threshold())
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("max-identities")
            .nick("Max identities")
            .blurb("Maximum number of identities in the gallery, 1 to 1000000. The least recently seen are removed first; people in view are kept. Gallery rule: set on one element, it applies to all elements of the gallery while that element exists. Different values are an error. Can be changed in PLAYING")
            .minimum(1)
            .maximum(MAX_IDENTITIES as u32)
            .default_value(defaults.most())
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt64::builder("max-age")
            .nick("Max age")
            .blurb("Time without a sighting after which a person is forgotten, in nanoseconds. 0: never. Gallery rule: set on one element, it applies to all elements of the gallery while that element exists. Different values are an error. Can be changed in PLAYING")
            .default_value(defaults.max_age.unwrap_or(0))
            .mutable_playing()
            .build(),
        glib::ParamSpecString::builder("topology")
            .nick("Topology")
            .blurb("TOML file with the cameras that overlap and the transition times between the others (docs/topology.md). Empty: no topology from this element. Gallery rule: set on one element, it applies to all elements of the gallery until that element is gone or starts without it. Different values are an error. Can be changed in NULL and READY")
            .default_value(Some(defaults.topology.as_str()))
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("thumbnails")
            .nick("Thumbnails")
            .blurb("Store one JPEG thumbnail of each person, at most 64x128 pixels, in the gallery. Needs gallery-location. Pictures of people are biometric data. Can be changed in NULL and READY")
            .default_value(defaults.thumbnails)
            .mutable_ready()
            .build(),
    ]
}

/// The camera and its tracker.
fn tracker_properties(defaults: &Settings) -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecString::builder("camera")
            .nick("Camera")
            .blurb("Name of the camera. Empty: name of the file or device, host and end of the path of a network stream, or name of the element, made unique in the gallery. Can be changed in NULL and READY")
            .default_value(Some(defaults.camera.as_str()))
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("min-hits")
            .nick("Min hits")
            .blurb("Number of frames with a detection before a track is confirmed and gets an identity, 1 to 1000. At low frame rates two are enough. Can be changed in PLAYING")
            .minimum(1)
            .maximum(MAX_HITS)
            .default_value(defaults.min_hits)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("motion-only")
            .nick("Motion only")
            .blurb("Track by motion alone. Every track becomes a new identity. Can be changed in NULL and READY")
            .default_value(defaults.motion_only)
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("add-embeddings")
            .nick("Add embeddings")
            .blurb("Attach embeddings to regions of interest (parameter embedding), with GStreamer 1.28 also as tensors of analytics metas, for other programs. They are biometric data. Can be changed in PLAYING")
            .default_value(defaults.add_embeddings)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Counters since the start of the stream (frames, skipped, people) and of the last frame (tracks, confirmed, identities), threshold of high-score detections (high-score, 0 to 1), mean times in microseconds (track-us, gallery-us)")
            .read_only()
            .build(),
    ]
}
