//! The properties: their values, what they mean, and how they are described.

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

/// `match-threshold` that means "learn it".
const AUTO: f32 = -1.0;
/// Most hits that the property `min-hits` allows.
const MAX_HITS: u32 = 1000;

/// What the properties say.
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
        }
    }
}

impl Settings {
    /// What the user has said of the gallery's rules, but for the topology.
    pub fn rules(&self) -> Rules {
        Rules {
            match_threshold: self.match_threshold.map(|t| (t >= 0.0).then_some(t)),
            max_identities: self.max_identities.map(|n| n as usize),
            max_age_ns: self.max_age.map(|ns| (ns > 0).then_some(ns)),
            topology: None,
        }
    }

    /// The limit from which two are one person, as the property reads.
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

    /// The topology of the property's file; none of no file. The error says what to do.
    pub fn read_topology(&self) -> Result<Option<GivenTopology>, String> {
        let file = &self.topology;
        if file.is_empty() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(file).map_err(|error| {
            format!("topology {file} cannot be read: {error}; give the path of a TOML file or leave the property empty")
        })?;
        let topology =
            Topology::parse(&text).map_err(|error| format!("topology {file}, {error}"))?;
        Ok(Some((Arc::from(Path::new(file)), Arc::new(topology))))
    }

    /// Whether `match-threshold` is neither a cosine nor says that it is learnt.
    pub fn has_bad_threshold(&self) -> bool {
        self.threshold() < 0.0 && self.threshold() != AUTO
    }

    /// Refuses what cannot be meant. The error names the property.
    pub fn check(&self) -> Result<(), String> {
        if self.thumbnails && self.gallery_location.is_empty() {
            return Err("thumbnails are kept where the gallery is: set gallery-location, or thumbnails=false".into());
        }
        if self.has_bad_threshold() {
            return Err(format!(
                "match-threshold={} is neither a cosine from 0 to 1 nor -1, which learns it: correct match-threshold",
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
            other => unreachable!("no property {other}"),
        }
    }

    /// A property's value.
    pub fn get(&self, property: &str) -> glib::Value {
        match property {
            "gallery" => self.gallery.to_value(),
            // A password is not for whoever looks at a pipeline, or draws it.
            "gallery-location" => without_password(&self.gallery_location).to_value(),
            "camera" => self.camera.to_value(),
            "match-threshold" => self.threshold().to_value(),
            "max-identities" => self.most().to_value(),
            "max-age" => self.max_age.unwrap_or(0).to_value(),
            "min-hits" => self.min_hits.to_value(),
            "motion-only" => self.motion_only.to_value(),
            "topology" => self.topology.to_value(),
            "thumbnails" => self.thumbnails.to_value(),
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
            .blurb("Name of the gallery; elements of the process that give the same name share people and numbers. Empty: one of its own. Can be changed in NULL and READY")
            .default_value(Some(defaults.gallery.as_str()))
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("gallery-location")
            .nick("Gallery location")
            .blurb("Where the gallery is kept: sqlite:///path/to/file (one process at a time), postgresql://user@host/database (any number of machines); empty: in memory, gone with the pipeline. Elements that give the same place share its people. Reads without its password. Can be changed in NULL and READY")
            .default_value(Some(defaults.gallery_location.as_str()))
            .mutable_ready()
            .build(),
        glib::ParamSpecFloat::builder("match-threshold")
            .nick("Match threshold")
            .blurb("Cosine from which two looks are one person, 0 to 1; -1: learnt from people who are certainly two and tracks that are certainly one. A rule of the gallery: given to one element it holds for all that share it, until that one is gone; two that differ are an error. Can be changed in PLAYING")
            .minimum(AUTO)
            .maximum(1.0)
            .default_value(defaults.threshold())
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("max-identities")
            .nick("Max identities")
            .blurb("Most people that the gallery knows, 1 to 1000000; the least recently seen leave, people in view never. A rule of the gallery: given to one element it holds for all that share it, until that one is gone; two that differ are an error. Can be changed in PLAYING")
            .minimum(1)
            .maximum(MAX_IDENTITIES as u32)
            .default_value(defaults.most())
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt64::builder("max-age")
            .nick("Max age")
            .blurb("Nanoseconds after which a person whom no camera has seen is forgotten; 0: never. A rule of the gallery: given to one element it holds for all that share it, until that one is gone; two that differ are an error. Can be changed in PLAYING")
            .default_value(defaults.max_age.unwrap_or(0))
            .mutable_playing()
            .build(),
        glib::ParamSpecString::builder("topology")
            .nick("Topology")
            .blurb("File that says which cameras overlap and how long people walk between the others, see the README; empty: none from this element. A rule of the gallery: given to one element it holds for all that share it, until that one is gone or starts without it; two that differ are an error. Can be changed in NULL and READY")
            .default_value(Some(defaults.topology.as_str()))
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("thumbnails")
            .nick("Thumbnails")
            .blurb("Keep one small JPEG picture of each person, 64x128 px at most, with the gallery; needs gallery-location. Pictures of people are biometric data. Can be changed in NULL and READY")
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
            .blurb("Name of the camera; empty: that of the file or device, or host and end of the path of a network stream, else of the element, made unique in the gallery. Can be changed in NULL and READY")
            .default_value(Some(defaults.camera.as_str()))
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("min-hits")
            .nick("Min hits")
            .blurb("Sightings before a track is confirmed and gets an identity, 1 to 1000 frames; at low frame rates two within half a second or more are enough. Can be changed in PLAYING")
            .minimum(1)
            .maximum(MAX_HITS)
            .default_value(defaults.min_hits)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("motion-only")
            .nick("Motion only")
            .blurb("Do not use looks: every track is a person of its own. Can be changed in NULL and READY")
            .default_value(defaults.motion_only)
            .mutable_ready()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Counts since the start of the stream (frames, skipped, people), of the last frame (tracks, confirmed, identities), sure-score 0 to 1, mean times in microseconds (track-us, gallery-us)")
            .read_only()
            .build(),
    ]
}
