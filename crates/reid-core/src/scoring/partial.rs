//! Identities with a partial ground truth: boxes that match no true box are not counted.
//!
//! Ground truth joined from tracklets and checked by eye is right about who a person is and incomplete about who is there. IDF1 and pairs
//! of boxes can still be counted over the boxes that match a true one. Frames without a true box are ignored.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{LabelledBox, SAME_BOX_IOU, View, iou, ratio};
use crate::tracking::assignment::{Edge, assign};

/// An id with fewer boxes than this is an accident that hardly anybody sees.
pub const LASTING_BOXES: u64 = 10;

/// A true box and the box of the result that lies on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MatchedBoxes {
    /// Position in [`View::truth`].
    pub truth: usize,
    /// Position in [`View::result`].
    pub result: usize,
}

/// Pairs of boxes with one id, against pairs of one person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PairScores {
    /// Share of the pairs with one id that show one person; `None` without such pairs.
    pub precision: Option<f64>,
    /// Share of the pairs of one person that have one id; `None` without such pairs.
    pub recall: Option<f64>,
}

/// Scores over matched boxes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PartialScores {
    /// True boxes.
    pub boxes: u64,
    /// True boxes that a box of the result lies on.
    pub matched: u64,
    /// `matched / boxes`, 0..=1.
    pub found: f64,
    /// Matched boxes that carry their person's id under the best one-to-one assignment of people to ids.
    #[serde(rename = "IDTP")]
    pub right: u64,
    /// `2 * right / (boxes + matched)`, 0..=1.
    #[serde(rename = "IDF1")]
    pub f1: f64,
    /// `right / matched`, 0..=1, the one-to-one share: identities alone, whatever the detector missed.
    #[serde(rename = "IDA")]
    pub accuracy: f64,
    /// Pairs of boxes in two cameras.
    pub across: PairScores,
    /// Pairs of boxes in one camera, each box with itself included.
    pub within: PairScores,
    /// People of whom a box was matched.
    pub people: usize,
    /// Ids with [`LASTING_BOXES`] matched boxes and more.
    pub lasting_ids: usize,
    /// Ids of matched boxes.
    pub ids: usize,
}

/// The boxes of one camera that belong together: in each frame with true boxes the assignment with the largest sum of
/// overlaps, of which pairs below [`SAME_BOX_IOU`] are dropped afterwards. Id 0 is nobody on either side.
pub fn match_boxes(view: View<'_>) -> Vec<MatchedBoxes> {
    let (truth, result) = (by_frame(view.truth), by_frame(view.result));
    let mut matched = Vec::new();
    for (frame, rows) in truth {
        let Some(columns) = result.get(&frame) else {
            continue;
        };
        let overlap =
            |row: usize, column: usize| iou(&view.truth[row].rect, &view.result[column].rect);
        let edges: Vec<Edge> = (0..rows.len())
            .flat_map(|row| (0..columns.len()).map(move |column| (row, column)))
            .map(|(row, column)| Edge {
                row,
                column,
                cost: -(overlap(rows[row], columns[column]) as f32),
            })
            .collect();
        matched.extend(
            assign(&edges, 0.0)
                .into_iter()
                .map(|pair| MatchedBoxes {
                    truth: rows[pair.row],
                    result: columns[pair.column],
                })
                .filter(|pair| overlap(pair.truth, pair.result) >= SAME_BOX_IOU),
        );
    }
    matched
}

/// Positions of the boxes of each frame.
fn by_frame(boxes: &[LabelledBox]) -> BTreeMap<u32, Vec<usize>> {
    let mut frames: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (position, b) in boxes.iter().enumerate().filter(|(_, b)| b.id > 0) {
        frames.entry(b.frame).or_default().push(position);
    }
    frames
}

/// A person and the id that a box of theirs carries.
type Named = (u32, u32);

/// Matched boxes of one camera by person and id.
type Counts = BTreeMap<Named, u64>;

/// Scores over all cameras, whose ids mean the same people.
pub fn partial(views: &[View<'_>]) -> PartialScores {
    let cameras: Vec<Counts> = views.iter().map(|view| counts(*view)).collect();
    let mut total = Counts::new();
    for (named, count) in cameras.iter().flatten() {
        *total.entry(*named).or_default() += count;
    }
    let true_boxes = views.iter().flat_map(|view| view.truth);
    let boxes = true_boxes.filter(|b| b.id > 0).count() as u64;
    let matched: u64 = total.values().sum();
    let right = right_boxes(&total);
    let of_id = grouped(&total, |(_, id)| id);
    PartialScores {
        boxes,
        matched,
        found: ratio(matched as f64, boxes as f64),
        right,
        f1: ratio(2.0 * right as f64, (boxes + matched) as f64),
        accuracy: ratio(right as f64, matched as f64),
        across: pair_scores(&cameras, Pairs::Across),
        within: pair_scores(&cameras, Pairs::Within),
        people: grouped(&total, |(person, _)| person).len(),
        lasting_ids: of_id.values().filter(|&&n| n >= LASTING_BOXES).count(),
        ids: of_id.len(),
    }
}

fn counts(view: View<'_>) -> Counts {
    let mut counts = Counts::new();
    for pair in match_boxes(view) {
        let named = (view.truth[pair.truth].id, view.result[pair.result].id);
        *counts.entry(named).or_default() += 1;
    }
    counts
}

/// Boxes under the one-to-one assignment of people to ids that makes the most of them right.
fn right_boxes(total: &Counts) -> u64 {
    let people: BTreeSet<u32> = total.keys().map(|(person, _)| *person).collect();
    let ids: BTreeSet<u32> = total.keys().map(|(_, id)| *id).collect();
    let (people, ids): (Vec<u32>, Vec<u32>) =
        (people.into_iter().collect(), ids.into_iter().collect());
    // Every key's parts are in the lists. Whole numbers up to 2^24 are exact in f32.
    let position = |list: &[u32], value: u32| list.partition_point(|&other| other < value);
    let edges: Vec<Edge> = total
        .iter()
        .map(|((person, id), count)| Edge {
            row: position(&people, *person),
            column: position(&ids, *id),
            cost: -(*count as f32),
        })
        .collect();
    assign(&edges, 0.0)
        .iter()
        .filter_map(|pair| total.get(&(people[pair.row], ids[pair.column])))
        .sum()
}

/// Which pairs of boxes are counted.
#[derive(Clone, Copy)]
enum Pairs {
    Across,
    Within,
}

fn pair_scores(cameras: &[Counts], which: Pairs) -> PairScores {
    let right = pairs(cameras, which, |named| named);
    let share = |all: f64| (all > 0.0).then(|| right / all);
    PairScores {
        precision: share(pairs(cameras, which, |(_, id)| id)),
        recall: share(pairs(cameras, which, |(person, _)| person)),
    }
}

/// Pairs of boxes whose `same` is equal, in f64 because they grow with the square of the recording.
fn pairs<K: Ord>(cameras: &[Counts], which: Pairs, same: impl Fn(Named) -> K) -> f64 {
    let mut of_key: BTreeMap<K, Vec<f64>> = BTreeMap::new();
    for camera in cameras {
        for (key, count) in grouped(camera, &same) {
            of_key.entry(key).or_default().push(count as f64);
        }
    }
    of_key
        .values()
        .map(|counts| {
            let within: f64 = counts.iter().map(|n| n * n).sum();
            match which {
                Pairs::Within => within,
                Pairs::Across => (counts.iter().sum::<f64>().powi(2) - within) / 2.0,
            }
        })
        .sum()
}

fn grouped<K: Ord>(counts: &Counts, key: impl Fn(Named) -> K) -> BTreeMap<K, u64> {
    let mut groups = BTreeMap::new();
    for (named, count) in counts {
        *groups.entry(key(*named)).or_default() += count;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;

    /// A box of 10 × 10 px at `x`; two of them `d` px apart overlap by (10 - d) / (10 + d).
    fn at(frame: u32, id: u32, x: f32) -> LabelledBox {
        LabelledBox {
            frame,
            id,
            rect: Rect::new(x, 0.0, 10.0, 10.0),
            confidence: 1.0,
        }
    }

    fn score(cameras: &[(Vec<LabelledBox>, Vec<LabelledBox>)]) -> PartialScores {
        let views: Vec<View<'_>> = cameras
            .iter()
            .map(|(truth, result)| View { truth, result })
            .collect();
        partial(&views)
    }

    fn check(name: &str, got: f64, expected: f64) {
        assert!(
            (got - expected).abs() < 1e-9,
            "{name}: {got} instead of {expected}"
        );
    }

    #[test]
    fn boxes_without_truth_do_not_count() {
        // Frame 1: one person found under id 5, and a box beside. Frame 2 has no truth: its box says nothing.
        let truth = vec![at(1, 1, 0.0), at(3, 1, 0.0)];
        let result = vec![at(1, 5, 0.0), at(1, 6, 50.0), at(2, 7, 0.0)];
        let s = score(&[(truth, result)]);
        assert_eq!((s.boxes, s.matched, s.right), (2, 1, 1));
        check("found", s.found, 0.5);
        check("IDF1", s.f1, 2.0 / 3.0);
        check("IDA", s.accuracy, 1.0);
        assert_eq!((s.people, s.ids, s.lasting_ids), (1, 1, 0));
        assert_eq!(s.within.precision, Some(1.0));
        assert_eq!(s.across, PairScores::default(), "one camera has no pairs");
    }

    #[test]
    fn two_cameras_by_hand() {
        // Door: person 1 is id 1 three times and id 2 once, person 2 is id 2 twice.
        // Hall: person 1 is id 3 twice, person 2 is id 2 twice.
        let door = (
            vec![at(1, 1, 0.0), at(2, 1, 0.0), at(3, 1, 0.0), at(4, 1, 0.0)],
            vec![at(1, 1, 0.0), at(2, 1, 0.0), at(3, 1, 0.0), at(4, 2, 0.0)],
        );
        let door = (
            [door.0, vec![at(5, 2, 0.0), at(6, 2, 0.0)]].concat(),
            [door.1, vec![at(5, 2, 0.0), at(6, 2, 0.0)]].concat(),
        );
        let hall = (
            vec![at(1, 1, 0.0), at(2, 1, 0.0), at(1, 2, 50.0), at(2, 2, 50.0)],
            vec![at(1, 3, 0.0), at(2, 3, 0.0), at(1, 2, 50.0), at(2, 2, 50.0)],
        );
        let s = score(&[door, hall]);
        // The best assignment: person 1 is id 1 (3 boxes), person 2 is id 2 (4 boxes), of 10.
        assert_eq!((s.boxes, s.matched, s.right), (10, 10, 7));
        // Across: one id in both has id 2 alone, 3 * 2 pairs, of which person 2's 2 * 2 are right; of one person there are
        // 4 * 2 and 2 * 2 pairs.
        check("across precision", s.across.precision.unwrap(), 4.0 / 6.0);
        check("across recall", s.across.recall.unwrap(), 4.0 / 12.0);
        // Within: right are 3² + 1² + 2² and 2² + 2²; of one id 3² + 3² and 2² + 2², of one person 4² + 2² and 2² + 2².
        check("within precision", s.within.precision.unwrap(), 22.0 / 26.0);
        check("within recall", s.within.recall.unwrap(), 22.0 / 28.0);
        assert_eq!((s.people, s.ids, s.lasting_ids), (2, 3, 0));
    }

    #[test]
    fn overlaps_are_added_up_before_weak_ones_are_dropped() {
        // Person 1 at 0, person 2 at 4. The box at 2.2 lies better on 2 (IoU 0.69) than on 1 (0.64), the one at 6.4 on 2
        // alone (0.61). The largest sum gives 2.2 to person 1 and 6.4 to person 2.
        let (truth, result) = (
            [at(1, 1, 0.0), at(1, 2, 4.0)],
            [at(1, 7, 2.2), at(1, 8, 6.4)],
        );
        let pairs = match_boxes(View {
            truth: &truth,
            result: &result,
        });
        let pair = |truth, result| MatchedBoxes { truth, result };
        assert_eq!(pairs, [pair(0, 0), pair(1, 1)]);
        // Box 7 lies on person 1 (0.67), but 7 on 2 and 8 on 1 (0.49 each) are more together, and too weak each.
        let (truth, result) = (
            [at(1, 1, 0.0), at(1, 2, 5.4)],
            [at(1, 7, 2.0), at(1, 8, -3.4)],
        );
        let pairs = match_boxes(View {
            truth: &truth,
            result: &result,
        });
        assert_eq!(pairs, []);
    }

    #[test]
    fn one_id_may_lie_on_two_people_of_one_picture() {
        // As corrections make it: both boxes match, one of them is right.
        let truth = vec![at(1, 1, 0.0), at(1, 2, 50.0)];
        let s = score(&[(truth, vec![at(1, 4, 0.0), at(1, 4, 50.0)])]);
        assert_eq!((s.matched, s.right, s.ids), (2, 1, 1));
        check("within precision", s.within.precision.unwrap(), 0.5);
    }

    #[test]
    fn an_id_lasts_from_ten_boxes_on() {
        let boxes = |n: u32| (1..=n).map(|frame| at(frame, 3, 0.0)).collect::<Vec<_>>();
        assert_eq!(score(&[(boxes(9), boxes(9))]).lasting_ids, 0);
        // Five in each of two cameras are ten.
        let (a, b) = ((boxes(5), boxes(5)), (boxes(5), boxes(5)));
        assert_eq!(score(&[a, b]).lasting_ids, 1);
    }

    #[test]
    fn nothing_matched_is_no_error() {
        let s = score(&[(vec![at(1, 1, 0.0)], vec![]), (vec![], vec![at(1, 1, 0.0)])]);
        assert_eq!((s.boxes, s.matched, s.f1), (1, 0, 0.0));
        assert_eq!(s.within, PairScores::default());
        // Id 0 is nobody.
        let s = score(&[(vec![at(1, 0, 0.0)], vec![at(1, 0, 0.0)])]);
        assert_eq!((s.boxes, s.ids), (0, 0));
    }
}
