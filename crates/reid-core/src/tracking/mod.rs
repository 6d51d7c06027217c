//! The tracker of one camera: boxes of one frame after another become tracks.
//!
//! Two-stage association (ByteTrack, Zhang et al. 2022) with motion as in BoT-SORT (Aharon et al. 2022), appearance as a
//! second opinion on pairs that motion allows, and OC-SORT's recovery from gaps (Cao et al. 2023). Looks that plainly
//! contradict forbid what overlap alone would join, and part a track from whoever took its place. Everything that the
//! papers count in frames is counted here in seconds of buffer time, because cameras drop frames and change their rate.
//! Whether a box is sure is judged by the scores this detector really gives ([`confidence`]), and what a cosine means by
//! the scores this embedder really gives ([`crate::scores`]).

pub mod assignment;
mod association;
mod camera;
pub mod confidence;
mod learning;
mod life;
pub mod motion;
mod observation;
mod parts;
pub mod stature;
mod track;
mod tracker;

pub use association::MAX_OBSERVATIONS;
pub use life::MAX_TRACKS;
pub use observation::{Observation, TrackOutput, TrackerConfig};
pub use tracker::Tracker;

#[cfg(test)]
mod tests;
