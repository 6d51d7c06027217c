//! HOTA: detection and association in one figure (Luiten et al., "HOTA: A Higher Order Metric for Evaluating
//! Multi-Object Tracking", IJCV 2020), as TrackEval computes it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    ratio,
    timeline::{Moment, Timeline},
};
use crate::tracking::assignment::{Edge, assign};

/// Overlaps at which the scores are taken: 0.05, 0.10, … 0.95. The scores are means over them.
pub const ALPHAS: usize = 19;

/// Distance between the overlaps.
const ALPHA_STEP: f64 = 0.05;

/// Means over all overlaps, 0..=1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct HotaScores {
    /// Geometric mean of detection and association at each overlap, averaged.
    #[serde(rename = "HOTA")]
    pub hota: f64,
    /// Detection: found and true boxes in common over all of them.
    #[serde(rename = "DetA")]
    pub detection: f64,
    /// Association: how much of each matched box's two tracks is common to both.
    #[serde(rename = "AssA")]
    pub association: f64,
    /// Mean overlap of matched boxes; 1 when nothing is matched.
    #[serde(rename = "LocA")]
    pub localisation: f64,
}

/// What is counted at one overlap.
#[derive(Clone, Copy, Default)]
struct Tally {
    matched: u64,
    iou: f64,
}

/// How often two ids were matched, at each overlap.
type PairCounts = BTreeMap<(usize, usize), [u64; ALPHAS]>;

/// The scores. 0 (and `LocA` 1) when truth or result is empty.
pub fn hota(timeline: &Timeline) -> HotaScores {
    let alignment = alignment(timeline);
    let mut tallies = [Tally::default(); ALPHAS];
    let mut pairs = PairCounts::new();
    for moment in &timeline.moments {
        count_moment(moment, &alignment, &mut tallies, &mut pairs);
    }
    let mut sum = HotaScores::default();
    for (a, tally) in tallies.iter().enumerate() {
        let one = at_overlap(timeline, *tally, &pairs, a);
        sum.hota += one.hota;
        sum.detection += one.detection;
        sum.association += one.association;
        sum.localisation += one.localisation;
    }
    let mean = |sum: f64| sum / ALPHAS as f64;
    HotaScores {
        hota: mean(sum.hota),
        detection: mean(sum.detection),
        association: mean(sum.association),
        localisation: mean(sum.localisation),
    }
}

/// How well two ids agree over all time, before anything is matched: the Jaccard index of their soft matches. It is the
/// bonus that lets the matching prefer the pair that belongs together (TrackEval, `metrics/hota.py`).
fn alignment(timeline: &Timeline) -> BTreeMap<(usize, usize), f64> {
    let mut soft: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    for moment in &timeline.moments {
        let mut of_truth = vec![0.0; moment.truth.len()];
        let mut of_result = vec![0.0; moment.result.len()];
        for o in &moment.overlaps {
            of_truth[o.truth] += o.iou;
            of_result[o.result] += o.iou;
        }
        for o in &moment.overlaps {
            let share = o.iou / (of_truth[o.truth] + of_result[o.result] - o.iou);
            *soft
                .entry((moment.truth[o.truth], moment.result[o.result]))
                .or_default() += share;
        }
    }
    for (&(truth, result), value) in &mut soft {
        let boxes = timeline.truth_counts[truth] + timeline.result_counts[result];
        *value /= boxes as f64 - *value;
    }
    soft
}

/// Matches the boxes of a moment once and counts the pairs at each overlap they reach.
fn count_moment(
    moment: &Moment,
    alignment: &BTreeMap<(usize, usize), f64>,
    tallies: &mut [Tally; ALPHAS],
    pairs: &mut PairCounts,
) {
    let edges: Vec<Edge> = moment
        .overlaps
        .iter()
        .map(|o| {
            let ids = (moment.truth[o.truth], moment.result[o.result]);
            let score = alignment.get(&ids).copied().unwrap_or(0.0) * o.iou;
            Edge {
                row: o.truth,
                column: o.result,
                cost: -score as f32,
            }
        })
        .collect();
    for pair in assign(&edges, 0.0) {
        let Some(iou) = moment.iou(pair.row, pair.column) else {
            continue;
        };
        let ids = (moment.truth[pair.row], moment.result[pair.column]);
        let counts = pairs.entry(ids).or_default();
        for (a, tally) in tallies.iter_mut().enumerate() {
            if iou >= alpha(a) - f64::EPSILON {
                tally.matched += 1;
                tally.iou += iou;
                counts[a] += 1;
            }
        }
    }
}

/// The overlap with number `a`.
fn alpha(a: usize) -> f64 {
    ALPHA_STEP + a as f64 * ALPHA_STEP
}

fn at_overlap(timeline: &Timeline, tally: Tally, pairs: &PairCounts, a: usize) -> HotaScores {
    let matched = tally.matched as f64;
    // Matched, missed and false boxes together.
    let all = (timeline.truths() + timeline.results()) as f64 - matched;
    let association: f64 = pairs
        .iter()
        .map(|(&(truth, result), counts)| {
            let common = counts[a] as f64;
            let boxes = timeline.truth_counts[truth] + timeline.result_counts[result];
            common * ratio(common, boxes as f64 - common)
        })
        .sum();
    let (detection, association) = (ratio(matched, all), ratio(association, matched));
    HotaScores {
        hota: (detection * association).sqrt(),
        detection,
        association,
        localisation: if tally.matched > 0 {
            tally.iou / matched
        } else {
            1.0
        },
    }
}
