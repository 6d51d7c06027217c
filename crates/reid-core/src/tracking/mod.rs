//! The tracker of one camera: associates the boxes of successive frames to tracks.
//!
//! Two-stage association (ByteTrack, Zhang et al. 2022) with motion as in BoT-SORT (Aharon et al. 2022), appearance for
//! pairs that motion allows, and OC-SORT's recovery from gaps (Cao et al. 2023). A clearly different appearance rejects a pair
//! that overlaps, and splits a track from the person who took its position. What the papers count in frames is counted here in
//! seconds of buffer time, because cameras drop frames and change their rate. The threshold between high- and low-score
//! detections adapts to the scores of the detector ([`confidence`]), and the scale of cosines to those of the embedder
//! ([`crate::scores`]).

pub mod assignment;
mod association;
mod camera;
pub mod confidence;
pub mod height_prior;
mod learning;
mod life;
pub mod motion;
mod observation;
mod parts;
mod track;
mod tracker;

pub use association::MAX_OBSERVATIONS;
pub use life::MAX_TRACKS;
pub use observation::{Observation, TrackOutput, TrackerConfig};
pub use tracker::Tracker;

#[cfg(test)]
mod tests;
