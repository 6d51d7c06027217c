//! IDF1: each person keeps one id, whatever happens (Ristani et al., "Performance Measures and a Data Set for
//! Multi-Target, Multi-Camera Tracking", 2016).

use std::collections::BTreeMap;

use serde::Serialize;

use super::{SAME_BOX_IOU, ratio, timeline::Timeline};
use crate::tracking::assignment::{Edge, assign};

/// Scores of the best one-to-one assignment of people to ids over the whole time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct IdScores {
    /// Harmonic mean of the two others, 0..=1.
    #[serde(rename = "IDF1")]
    pub f1: f64,
    /// Share of the result's boxes that carry the id of the person below.
    #[serde(rename = "IDP")]
    pub precision: f64,
    /// Share of the true boxes that were given their person's id.
    #[serde(rename = "IDR")]
    pub recall: f64,
    /// Boxes with the right id.
    #[serde(rename = "IDTP")]
    pub right: u64,
    /// Boxes of the result without.
    #[serde(rename = "IDFP")]
    pub wrong: u64,
    /// True boxes without.
    #[serde(rename = "IDFN")]
    pub missed: u64,
    /// People in the truth.
    pub people: usize,
    /// Ids in the result.
    pub ids: usize,
}

/// The scores; global ones when the timeline holds several cameras. 0 when truth or result is empty.
pub fn identity(timeline: &Timeline) -> IdScores {
    let mut common: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    for moment in &timeline.moments {
        for o in moment.overlaps.iter().filter(|o| o.iou >= SAME_BOX_IOU) {
            *common
                .entry((moment.truth[o.truth], moment.result[o.result]))
                .or_default() += 1;
        }
    }
    // A box that two ids share costs both sides; the fewest wrong boxes are the most right ones. Whole numbers up to
    // 2^24 are exact in f32: more frames than any clip has.
    let edges: Vec<Edge> = common
        .iter()
        .map(|(&(row, column), &count)| Edge {
            row,
            column,
            cost: -(count as f32),
        })
        .collect();
    let right: u64 = assign(&edges, 0.0)
        .iter()
        .filter_map(|pair| common.get(&(pair.row, pair.column)))
        .sum();
    let (truths, results) = (timeline.truths(), timeline.results());
    IdScores {
        f1: ratio(2.0 * right as f64, (truths + results) as f64),
        precision: ratio(right as f64, results as f64),
        recall: ratio(right as f64, truths as f64),
        right,
        wrong: results - right,
        missed: truths - right,
        people: timeline.truth_counts.len(),
        ids: timeline.result_counts.len(),
    }
}
