//! MOTA and its counts (Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance: The CLEAR MOT
//! Metrics", 2008), as py-motmetrics computes them.

use serde::Serialize;

use super::{
    SAME_BOX_IOU, ratio,
    timeline::{Moment, Timeline},
};
use crate::tracking::assignment::{Edge, assign};

/// Counts of errors and the figures made of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ClearScores {
    /// 1 less all errors per true box; negative when there are more errors than boxes.
    #[serde(rename = "MOTA")]
    pub accuracy: f64,
    /// Mean overlap of matched boxes, 0..=1, as TrackEval reports it (py-motmetrics gives 1 less it); 0 when none.
    #[serde(rename = "MOTP")]
    pub overlap: f64,
    /// Times that a person continued under another id.
    pub switches: u64,
    /// Times that a person who is there was lost and found again.
    pub fragments: u64,
    /// Boxes of the result that match nobody.
    pub false_positives: u64,
    /// True boxes that were not found.
    pub misses: u64,
    /// True boxes.
    pub boxes: u64,
}

/// A true box and the box of the result that stands for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// Position in [`Moment::truth`].
    pub truth: usize,
    /// Position in [`Moment::result`].
    pub result: usize,
    /// Their overlap.
    pub iou: f64,
    /// The person carried another id when last matched in this camera.
    pub switched: bool,
}

/// Matches in each frame of the timeline: a person matched before stays matched while the boxes
/// overlap by [`SAME_BOX_IOU`]; the others are matched so that most find a partner, at the greatest overlap.
pub fn matches(timeline: &Timeline) -> Vec<Vec<Match>> {
    let people = timeline.truth_counts.len();
    // Ids are compared within a camera.
    let mut last: Vec<Option<usize>> = vec![None; people * timeline.cameras];
    let mut all = Vec::with_capacity(timeline.moments.len());
    for moment in &timeline.moments {
        let last = &mut last[moment.camera * people..][..people];
        let mut found = continued(moment, last);
        found.extend(newly_matched(moment, last, &found));
        for m in &found {
            last[moment.truth[m.truth]] = Some(moment.result[m.result]);
        }
        all.push(found);
    }
    all
}

/// Pairs that go on from an earlier moment, in the order of the people.
fn continued(moment: &Moment, last: &[Option<usize>]) -> Vec<Match> {
    let mut found: Vec<Match> = Vec::new();
    for o in moment.overlaps.iter().filter(|o| o.iou >= SAME_BOX_IOU) {
        let goes_on = last[moment.truth[o.truth]] == Some(moment.result[o.result]);
        if goes_on && found.iter().all(|m| m.result != o.result) {
            found.push(Match {
                truth: o.truth,
                result: o.result,
                iou: o.iou,
                switched: false,
            });
        }
    }
    found
}

/// The best pairs of the boxes that are left over.
fn newly_matched(moment: &Moment, last: &[Option<usize>], taken: &[Match]) -> Vec<Match> {
    let free = |o: &&super::timeline::Overlap| {
        o.iou >= SAME_BOX_IOU
            && taken
                .iter()
                .all(|m| m.truth != o.truth && m.result != o.result)
    };
    let edges: Vec<Edge> = moment
        .overlaps
        .iter()
        .filter(free)
        .map(|o| Edge {
            row: o.truth,
            column: o.result,
            cost: (1.0 - o.iou) as f32,
        })
        .collect();
    // A limit above the sum of all costs: one more pair is always better than any overlap.
    let limit = moment.truth.len() as f32 + 1.0;
    assign(&edges, limit)
        .iter()
        .filter_map(|pair| {
            let before = last[moment.truth[pair.row]];
            Some(Match {
                truth: pair.row,
                result: pair.column,
                iou: moment.iou(pair.row, pair.column)?,
                switched: before.is_some_and(|id| id != moment.result[pair.column]),
            })
        })
        .collect()
}

/// The scores; of several cameras the sums of their counts.
pub fn clear(timeline: &Timeline) -> ClearScores {
    let mut scores = ClearScores::default();
    let people = timeline.truth_counts.len();
    let mut lives = vec![Life::Unseen; people * timeline.cameras];
    let (mut matched, mut overlap) = (0_u64, 0.0);
    for (moment, found) in timeline.moments.iter().zip(matches(timeline)) {
        matched += found.len() as u64;
        overlap += found.iter().map(|m| m.iou).sum::<f64>();
        scores.switches += found.iter().filter(|m| m.switched).count() as u64;
        let lives = &mut lives[moment.camera * people..][..people];
        let mut is_found = vec![false; moment.truth.len()];
        found.iter().for_each(|m| is_found[m.truth] = true);
        for (&person, is_found) in moment.truth.iter().zip(is_found) {
            let (life, fragment) = lives[person].next(is_found);
            lives[person] = life;
            scores.fragments += u64::from(fragment);
        }
    }
    scores.boxes = timeline.truths();
    scores.misses = scores.boxes - matched;
    scores.false_positives = timeline.results() - matched;
    let errors = (scores.misses + scores.false_positives + scores.switches) as f64;
    scores.accuracy = if scores.boxes > 0 {
        1.0 - errors / scores.boxes as f64
    } else {
        0.0
    };
    scores.overlap = ratio(overlap, matched as f64);
    scores
}

/// What has happened to a person so far.
#[derive(Clone, Copy, PartialEq)]
enum Life {
    Unseen,
    Followed,
    Lost,
}

impl Life {
    /// The state after a frame in which the person is there, and whether a fragment ended.
    fn next(self, is_found: bool) -> (Self, bool) {
        match (self, is_found) {
            (Self::Lost, true) => (Self::Followed, true),
            (_, true) => (Self::Followed, false),
            (Self::Unseen, false) => (Self::Unseen, false),
            (_, false) => (Self::Lost, false),
        }
    }
}
