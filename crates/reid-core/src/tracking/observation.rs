//! Input and output of a tracker.

use crate::{
    embedding::Embedding,
    geometry::Rect,
    person::{TrackId, TrackState},
};

/// Configuration of a tracker.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackerConfig {
    /// Number of observations before a track is confirmed, at least 1.
    pub min_hits: u32,
    /// A track not observed for this long ends, ns.
    pub max_lost_ns: u64,
    /// Use appearance.
    pub use_appearance: bool,
    /// Learn the height prior of this camera and weight scores with it.
    pub use_height_prior: bool,
    /// Threshold of high-score detections, 0..=1; `None` adapts it to the detector.
    pub high_score: Option<f32>,
}

impl Default for TrackerConfig {
    fn default() -> Self {
        Self {
            // As ByteTrack, which believes the second sighting. With 3, HOTA is 0.5 lower (TC-pedestrians, 3 detectors).
            min_hits: 2,
            // ByteTrack and BoT-SORT wait a second. People with a known appearance are re-identified after 3 s: IDF1 is 2 to 4 higher
            // with simulated detections of CAMPUS, and the same on TC-pedestrians, which is too short.
            max_lost_ns: 3_000_000_000,
            use_appearance: true,
            use_height_prior: true,
            high_score: None,
        }
    }
}

/// A box of the current frame.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// px
    pub rect: Rect,
    /// Detector's score, 0..=1.
    pub confidence: f32,
    /// Class number: boxes of different classes are never one track.
    pub class: i32,
    /// Its appearance, if known.
    pub embedding: Option<&'a Embedding>,
    /// How good the crop is, 0..=1 (see [`crate::quality`]).
    pub quality: f32,
}

/// A track in the current frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackOutput {
    /// The observation that belongs to it; `None` = it was not seen in this frame.
    pub observation: Option<usize>,
    /// Its number.
    pub track: TrackId,
    /// Where it is in its life.
    pub state: TrackState,
    /// Where it is by now, px: smoothed when seen, predicted when not.
    pub rect: Rect,
    /// Its class number.
    pub class: i32,
    /// Time since it was last seen, ns; 0 when seen now.
    pub unseen_ns: u64,
    /// Time since it was first seen, ns.
    pub age_ns: u64,
    /// Frames with inference since it was last seen; 0 = seen in the newest.
    pub missed: u32,
    /// Whether it is probably in the picture: detected in the newest frame with inference, or missed only briefly and not
    /// leaving.
    pub present: bool,
}
