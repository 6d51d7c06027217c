//! Scores: tracking against boxes with ids, retrieval against people and cameras, detection against boxes. For `reidctl score` and
//! `reidctl eval`; not used in a pipeline.
//!
//! The scores are the published ones and agree with the usual programs (`tests/scoring.rs`): TrackEval for HOTA and IDF1,
//! py-motmetrics for MOTA, pycocotools for AP. Where two of them differ, the documentation of the function names the one followed.

mod clear;
mod cross_camera;
mod detection;
mod hota;
mod identity;
mod mot;
mod overlap;
mod partial;
mod published;
mod retrieval;
mod timeline;

pub use clear::{ClearScores, Match, clear, matches};
pub use cross_camera::{CrossCameraScores, cross_camera};
pub use detection::{
    COCO_MOST, Found, HEIGHT_CLASSES, HeightClass, OperatingPoint, Picture, PrecisionScores,
    ScoreCurve, average_precision,
};
pub use hota::{ALPHAS, HotaScores, hota};
pub use identity::{IdScores, identity};
pub use mot::{LabelledBox, MotError, MotFault, Role, parse};
pub use overlap::iou;
pub use partial::{LASTING_BOXES, MatchedBoxes, PairScores, PartialScores, match_boxes, partial};
pub use published::{
    Corrections, Merge, Published, PublishedBox, PublishedError, PublishedFault, SteadinessScores,
    Watched, steadiness,
};
pub use retrieval::{
    Label, Person, QueryScore, RetrievalScores, Verdict, match_rate, query_scores, retrieval,
};
pub use timeline::{Moment, Overlap, Timeline, View};

use serde::Serialize;

/// Boxes overlap enough to be the same person from this IoU on, for MOTA, IDF1 and identities across cameras
/// (MOTChallenge; Milan et al., "MOT16", 2016).
pub const SAME_BOX_IOU: f64 = 0.5;

/// Everything about the boxes of one camera.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CameraScores {
    /// Detection and association together.
    #[serde(flatten)]
    pub hota: HotaScores,
    /// Identities over the whole time.
    #[serde(flatten)]
    pub identity: IdScores,
    /// Counts of errors.
    #[serde(flatten)]
    pub clear: ClearScores,
}

/// Everything about the boxes of several cameras whose ids mean the same people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GlobalScores {
    /// One id a person over all cameras: a person with another id in another camera costs here.
    #[serde(flatten)]
    pub identity: IdScores,
    /// HOTA over all cameras, with ids shared by them.
    #[serde(flatten)]
    pub hota: HotaScores,
    /// How well people are recognised from one camera to the other.
    #[serde(flatten)]
    pub cross_camera: CrossCameraScores,
    /// The errors of all cameras added up; ids are compared within a camera only.
    #[serde(flatten)]
    pub clear: ClearScores,
}

/// Scores of one camera.
pub fn score_camera(view: View<'_>) -> CameraScores {
    let timeline = Timeline::new(&[view]);
    CameraScores {
        hota: hota(&timeline),
        identity: identity(&timeline),
        clear: clear(&timeline),
    }
}

/// Scores over several cameras whose ids mean the same people.
pub fn score_cameras(views: &[View<'_>]) -> GlobalScores {
    let timeline = Timeline::new(views);
    GlobalScores {
        identity: identity(&timeline),
        hota: hota(&timeline),
        cross_camera: cross_camera(&timeline),
        clear: clear(&timeline),
    }
}

/// `part / whole`, or 0 when there is no whole.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests;
