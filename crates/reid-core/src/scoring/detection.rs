//! Boxes found against boxes that are there: average precision as COCO defines it (pycocotools, `COCOeval`: matching by
//! score, precision made monotone, 101 recall points), and what a score threshold means.

use serde::Serialize;

use super::{
    SAME_BOX_IOU,
    overlap::{iou, share_within},
    ratio,
};
use crate::geometry::Rect;

/// Boxes of a picture that count, the surest first (COCO's `maxDets`).
pub const COCO_MOST: usize = 100;

/// Recall points at which precision is read (COCO's `recThrs`, 0.00 to 1.00).
const RECALL_POINTS: usize = 101;

/// Overlaps of AP50-95 (COCO's `iouThrs`).
const OVERLAPS: [f64; 10] = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95];

/// A box that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Box, px.
    pub rect: Rect,
    /// Detector's score.
    pub score: f32,
}

/// A picture's boxes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    /// What is there.
    pub truth: Vec<Rect>,
    /// Places where finding people is neither right nor wrong (COCO's `iscrowd`): a found box that matches nothing and
    /// lies within one does not count.
    pub crowds: Vec<Rect>,
    /// What was found.
    pub found: Vec<Found>,
}

/// Boxes of some heights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HeightClass {
    /// What it is called.
    pub name: &'static str,
    /// Least height, px.
    pub from: f32,
    /// Height that is no longer in it, px.
    pub below: f32,
}

impl HeightClass {
    /// Boxes of every height.
    pub const ALL: Self = Self {
        name: "all",
        from: 0.0,
        below: f32::INFINITY,
    };

    fn holds(&self, rect: &Rect) -> bool {
        (self.from..self.below).contains(&rect.h)
    }
}

/// Doubling from COCO's border between small and medium objects on; those of the training's tables
/// (`models/training/reid_training/detection/evaluate.py`).
pub const HEIGHT_CLASSES: [HeightClass; 5] = [
    HeightClass {
        name: "below 32 px",
        from: 0.0,
        below: 32.0,
    },
    HeightClass {
        name: "32 to 64 px",
        from: 32.0,
        below: 64.0,
    },
    HeightClass {
        name: "64 to 128 px",
        from: 64.0,
        below: 128.0,
    },
    HeightClass {
        name: "128 to 256 px",
        from: 128.0,
        below: 256.0,
    },
    HeightClass {
        name: "256 px and more",
        from: 256.0,
        below: f32::INFINITY,
    },
];

/// Average precision, 0..=1; `None` where there is no true box.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PrecisionScores {
    /// At an overlap of 0.5.
    #[serde(rename = "AP50")]
    pub ap50: Option<f64>,
    /// Mean over overlaps of 0.50, 0.55, … 0.95.
    #[serde(rename = "AP50-95")]
    pub ap50_95: Option<f64>,
    /// True boxes that counted.
    pub boxes: usize,
}

/// What is found with everything below a score left out, at an overlap of 0.5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct OperatingPoint {
    /// Boxes with at least this score count.
    pub threshold: f32,
    /// Share of found boxes that are right.
    pub precision: f64,
    /// Share of true boxes that are found.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f1: f64,
}

/// Average precision over the boxes of `class`: true boxes of other heights are neither right nor wrong to find, and
/// found boxes of other heights that match nothing do not count (as COCO treats areas). Of each picture the `most`
/// boxes with the highest scores count.
pub fn average_precision(
    pictures: &[Picture],
    class: &HeightClass,
    most: usize,
) -> PrecisionScores {
    let boxes = count(pictures, class);
    if boxes == 0 {
        return PrecisionScores {
            ap50: None,
            ap50_95: None,
            boxes,
        };
    }
    let at = OVERLAPS.map(|overlap| {
        let verdicts = verdicts(pictures, class, most, overlap);
        interpolated(&verdicts, boxes)
    });
    PrecisionScores {
        ap50: Some(at[0]),
        ap50_95: Some(at.iter().sum::<f64>() / OVERLAPS.len() as f64),
        boxes,
    }
}

/// True boxes of the class.
fn count(pictures: &[Picture], class: &HeightClass) -> usize {
    pictures
        .iter()
        .flat_map(|p| &p.truth)
        .filter(|rect| class.holds(rect))
        .count()
}

/// A found box that counts, and whether it is right.
#[derive(Clone, Copy)]
struct Verdict {
    score: f32,
    is_right: bool,
}

/// The verdicts on all found boxes of all pictures, highest score first; equals stay in the order of the pictures.
fn verdicts(pictures: &[Picture], class: &HeightClass, most: usize, overlap: f64) -> Vec<Verdict> {
    let mut all: Vec<Verdict> = pictures
        .iter()
        .flat_map(|picture| judge(picture, class, most, overlap))
        .collect();
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    all
}

/// Gives every found box, the surest first, the free true box that it overlaps most. A true box outside the class is
/// taken only when none inside is left.
fn judge(picture: &Picture, class: &HeightClass, most: usize, overlap: f64) -> Vec<Verdict> {
    let mut found = picture.found.clone();
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(most);
    let mut is_free = vec![true; picture.truth.len()];
    let mut verdicts = Vec::with_capacity(found.len());
    for Found { rect, score } in found {
        let best = [true, false].into_iter().find_map(|inside| {
            (0..is_free.len())
                .filter(|&i| is_free[i] && class.holds(&picture.truth[i]) == inside)
                .map(|i| (iou(&rect, &picture.truth[i]), i))
                .filter(|(iou, _)| *iou >= overlap)
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .map(|(_, i)| i)
        });
        if let Some(i) = best {
            is_free[i] = false;
        }
        let counts = match best {
            Some(i) => class.holds(&picture.truth[i]),
            None => {
                let in_crowd = |crowd: &Rect| share_within(&rect, crowd) >= overlap;
                class.holds(&rect) && !picture.crowds.iter().any(in_crowd)
            }
        };
        if counts {
            verdicts.push(Verdict {
                score,
                is_right: best.is_some(),
            });
        }
    }
    verdicts
}

/// Mean of the best precision at each recall point or beyond.
fn interpolated(verdicts: &[Verdict], boxes: usize) -> f64 {
    let mut right = 0;
    let mut recalls = Vec::with_capacity(verdicts.len());
    let mut precisions = Vec::with_capacity(verdicts.len());
    for (i, verdict) in verdicts.iter().enumerate() {
        right += usize::from(verdict.is_right);
        recalls.push(right as f64 / boxes as f64);
        precisions.push(right as f64 / (i + 1) as f64);
    }
    for i in (1..precisions.len()).rev() {
        precisions[i - 1] = f64::max(precisions[i - 1], precisions[i]);
    }
    let at = |point: usize| {
        // As numpy's `linspace` rounds: with round numbers of boxes, recalls and points coincide.
        let recall = point as f64 * (1.0 / (RECALL_POINTS - 1) as f64);
        precisions
            .get(recalls.partition_point(|&r| r < recall))
            .copied()
            .unwrap_or(0.0)
    };
    (0..RECALL_POINTS).map(at).sum::<f64>() / RECALL_POINTS as f64
}

/// What each score threshold would have given at an overlap of [`SAME_BOX_IOU`].
#[derive(Clone, Debug)]
pub struct ScoreCurve {
    verdicts: Vec<f32>,
    right: Vec<usize>,
    boxes: usize,
}

impl ScoreCurve {
    /// Judges all boxes of `class` once, with other heights treated as in [`average_precision`].
    pub fn new(pictures: &[Picture], class: &HeightClass) -> Self {
        let verdicts = verdicts(pictures, class, usize::MAX, SAME_BOX_IOU);
        let mut sum = 0;
        let right = verdicts.iter().map(|verdict| {
            sum += usize::from(verdict.is_right);
            sum
        });
        Self {
            right: right.collect(),
            verdicts: verdicts.iter().map(|verdict| verdict.score).collect(),
            boxes: count(pictures, class),
        }
    }

    /// What the threshold gives.
    pub fn at(&self, threshold: f32) -> OperatingPoint {
        let found = self.verdicts.partition_point(|&score| score >= threshold);
        let right = if found > 0 { self.right[found - 1] } else { 0 };
        OperatingPoint {
            threshold,
            precision: ratio(right as f64, found as f64),
            recall: ratio(right as f64, self.boxes as f64),
            f1: ratio(2.0 * right as f64, (found + self.boxes) as f64),
        }
    }

    /// The threshold with the best F1; `None` when nothing was found. Of equals the highest.
    pub fn best(&self) -> Option<OperatingPoint> {
        let mut thresholds = self.verdicts.clone();
        thresholds.dedup();
        let points = thresholds.into_iter().rev().map(|score| self.at(score));
        points.max_by(|a, b| a.f1.total_cmp(&b.f1))
    }
}
