//! Ground truth and result side by side, frame by frame: the input of every score.

use std::collections::BTreeMap;

use super::{mot::LabelledBox, overlap::iou};

/// One camera's boxes.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What was there.
    pub truth: &'a [LabelledBox],
    /// What was found.
    pub result: &'a [LabelledBox],
}

/// Two boxes of a moment that have something in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overlap {
    /// Position in [`Moment::truth`].
    pub truth: usize,
    /// Position in [`Moment::result`].
    pub result: usize,
    /// Intersection over union, above 0.
    pub iou: f64,
}

/// One frame of one camera. People are numbered densely over the whole timeline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moment {
    /// Number of the camera, from 0.
    pub camera: usize,
    /// Who was there, in ascending order of the file's ids.
    pub truth: Vec<usize>,
    /// Which ids were given, in ascending order of the file's ids.
    pub result: Vec<usize>,
    /// All pairs of boxes that overlap, ordered by truth, then result.
    pub overlaps: Vec<Overlap>,
}

impl Moment {
    /// The overlap of two boxes, by their positions; `None` when they have nothing in common.
    pub fn iou(&self, truth: usize, result: usize) -> Option<f64> {
        self.overlaps
            .binary_search_by_key(&(truth, result), |o| (o.truth, o.result))
            .ok()
            .map(|i| self.overlaps[i].iou)
    }
}

/// All frames of all cameras. An id means the same person in every camera.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// Camera by camera, frame by frame.
    pub moments: Vec<Moment>,
    /// Boxes of each true person.
    pub truth_counts: Vec<u64>,
    /// Boxes of each id that was given.
    pub result_counts: Vec<u64>,
    /// Number of cameras.
    pub cameras: usize,
}

impl Timeline {
    /// Lays out the boxes of one or several cameras. Frames in which neither side has a box do not matter to any score.
    pub fn new(views: &[View<'_>]) -> Self {
        let truth_ids = dense(views.iter().flat_map(|view| view.truth));
        let result_ids = dense(views.iter().flat_map(|view| view.result));
        let mut timeline = Self {
            moments: Vec::new(),
            truth_counts: vec![0; truth_ids.len()],
            result_counts: vec![0; result_ids.len()],
            cameras: views.len(),
        };
        for (camera, view) in views.iter().enumerate() {
            let (truth, result) = (by_frame(view.truth), by_frame(view.result));
            let mut frames: Vec<u32> = truth.keys().chain(result.keys()).copied().collect();
            frames.sort_unstable();
            frames.dedup();
            for frame in frames {
                let truth = truth.get(&frame).map_or(&[][..], Vec::as_slice);
                let result = result.get(&frame).map_or(&[][..], Vec::as_slice);
                let moment = Moment {
                    camera,
                    truth: truth.iter().map(|b| truth_ids[&b.id]).collect(),
                    result: result.iter().map(|b| result_ids[&b.id]).collect(),
                    overlaps: overlaps(truth, result),
                };
                moment
                    .truth
                    .iter()
                    .for_each(|&id| timeline.truth_counts[id] += 1);
                moment
                    .result
                    .iter()
                    .for_each(|&id| timeline.result_counts[id] += 1);
                timeline.moments.push(moment);
            }
        }
        timeline
    }

    /// All true boxes.
    pub fn truths(&self) -> u64 {
        self.truth_counts.iter().sum()
    }

    /// All boxes of the result.
    pub fn results(&self) -> u64 {
        self.result_counts.iter().sum()
    }
}

/// Numbers for the ids, dense, in their order.
fn dense<'a>(boxes: impl Iterator<Item = &'a LabelledBox>) -> BTreeMap<u32, usize> {
    let mut ids: BTreeMap<u32, usize> = boxes.map(|b| (b.id, 0)).collect();
    ids.values_mut()
        .enumerate()
        .for_each(|(i, number)| *number = i);
    ids
}

/// The boxes of each frame, in the order of their ids.
fn by_frame(boxes: &[LabelledBox]) -> BTreeMap<u32, Vec<LabelledBox>> {
    let mut frames: BTreeMap<u32, Vec<LabelledBox>> = BTreeMap::new();
    for b in boxes {
        frames.entry(b.frame).or_default().push(*b);
    }
    frames
        .values_mut()
        .for_each(|list| list.sort_by_key(|b| b.id));
    frames
}

fn overlaps(truth: &[LabelledBox], result: &[LabelledBox]) -> Vec<Overlap> {
    let mut pairs = Vec::new();
    for (i, t) in truth.iter().enumerate() {
        for (j, r) in result.iter().enumerate() {
            let iou = iou(&t.rect, &r.rect);
            if iou > 0.0 {
                pairs.push(Overlap {
                    truth: i,
                    result: j,
                    iou,
                });
            }
        }
    }
    pairs
}
