//! From output tensors to boxes in pixels of the model's input. One pass, no allocation beyond the caller's buffer.

use super::layout::{Head, Layout, STRIDES};
use crate::geometry::Rect;

/// Most boxes of a frame that suppression looks at, the strongest first (Ultralytics' `max_nms`).
pub const MAX_CANDIDATES: usize = 30_000;

/// Coordinates that are all below this are fractions of the picture, not px.
const FRACTIONS_BELOW: f32 = 2.0;

/// Highest class number believed; more says that the layout is wrong.
const MAX_CLASS: f32 = 65_535.0;

/// Scores are probabilities; a quantised model may overshoot by a step of its scale (1/255, doubled).
const HIGHEST_SCORE: f32 = 1.01;

/// One detected object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Box in pixels of the model's input; may lie partly outside.
    pub rect: Rect,
    /// 0..=1.
    pub score: f32,
    /// Class number in the model's own list.
    pub class_id: u32,
}

/// One output tensor as the runtime gave it, labels and half precision already widened.
#[derive(Clone, Copy, Debug)]
pub struct TensorView<'a> {
    /// Lengths, outermost first.
    pub shape: &'a [usize],
    /// As many numbers as the lengths' product, last dimension fastest.
    pub data: &'a [f32],
}

/// Which classes are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClassFilter {
    /// Every class.
    #[default]
    All,
    /// These class numbers.
    Only(Vec<u32>),
}

impl ClassFilter {
    /// True when boxes of that class are wanted.
    pub fn wants(&self, class_id: u32) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.contains(&class_id),
        }
    }
}

/// What decides whether a box is taken.
#[derive(Clone, Copy, Debug)]
pub struct DecodeParams<'a> {
    /// Lowest score taken, 0..=1.
    pub threshold: f32,
    /// Classes taken. A box belongs to its best class, wanted or not.
    pub classes: &'a ClassFilter,
}

/// What was seen beside the boxes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Decoded {
    /// Highest score of a wanted class, whether it passed or not; `None` when the output was empty.
    pub best_score: Option<f32>,
    /// Scores and boxes dropped because they were NaN or infinite.
    pub not_finite: usize,
    /// Scores dropped because they were above 1: the layout is probably another one.
    pub implausible: usize,
    /// Boxes dropped because they have no area or none inside the picture: the layout is probably another one.
    pub misplaced: usize,
}

/// Why an output cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum DecodeError {
    #[error("the model gave {got} outputs, layout {layout} reads number {needed}")]
    Missing {
        layout: Layout,
        needed: usize,
        got: usize,
    },
    #[error(
        "an output of shape {shape:?} with {numbers} numbers does not fit layout {layout}; set the property `layout`"
    )]
    Shape {
        layout: Layout,
        shape: Vec<usize>,
        numbers: usize,
    },
}

impl Head {
    /// Replaces the content of `found` by the boxes in `outputs` (all of the model's, in its order) that pass. Their
    /// order is the model's; doubles are still there where [`Layout::needs_nms`]. NaN never passes.
    pub fn decode(
        &self,
        outputs: &[TensorView],
        params: &DecodeParams,
        found: &mut Vec<Detection>,
    ) -> Result<Decoded, DecodeError> {
        found.clear();
        let mut sink = Sink {
            params,
            found,
            seen: Decoded::default(),
        };
        let reader = Reader {
            head: self,
            outputs,
        };
        match self.layout {
            Layout::Yolov8 => reader.yolov8(&mut sink)?,
            Layout::Yolov8Transposed => reader.yolov8_transposed(&mut sink)?,
            Layout::Yolov5 => reader.yolov5(&mut sink)?,
            Layout::EndToEnd => reader.end_to_end(&mut sink)?,
            Layout::Yolox => reader.yolox(&mut sink)?,
            Layout::EmbeddedNms => reader.embedded_nms(&mut sink)?,
            Layout::Detr => reader.detr(&mut sink)?,
            Layout::Mmdeploy => reader.mmdeploy(&mut sink)?,
            Layout::Nanodet => reader.nanodet(&mut sink)?,
            Layout::Fastestdet => reader.fastestdet(&mut sink)?,
        }
        let seen = sink.seen;
        keep_strongest(found, MAX_CANDIDATES);
        if reader.are_fractions(found) {
            let (sx, sy) = (self.input_width as f32, self.input_height as f32);
            for detection in found.iter_mut() {
                detection.rect = detection.rect.scaled(sx, sy);
            }
            found.retain(|detection| detection.rect.is_valid());
        }
        Ok(seen)
    }
}

/// Bounds what suppression has to look at.
fn keep_strongest(found: &mut Vec<Detection>, limit: usize) {
    if found.len() > limit {
        found.select_nth_unstable_by(limit, |a, b| b.score.total_cmp(&a.score));
        found.truncate(limit);
    }
}

/// Takes the boxes that pass and counts what does not.
struct Sink<'a> {
    params: &'a DecodeParams<'a>,
    found: &'a mut Vec<Detection>,
    seen: Decoded,
}

impl Sink<'_> {
    /// Notes a score of a wanted class; true when it passes.
    #[inline]
    fn passes(&mut self, score: f32) -> bool {
        if !score.is_finite() {
            self.seen.not_finite += 1;
            return false;
        }
        if score > HIGHEST_SCORE {
            self.seen.implausible += 1;
            return false;
        }
        if self.seen.best_score.is_none_or(|best| score > best) {
            self.seen.best_score = Some(score);
        }
        score >= self.params.threshold
    }

    fn push(&mut self, rect: Rect, score: f32, class_id: u32) {
        if rect.is_valid() {
            self.found.push(Detection {
                rect,
                score: score.min(1.0),
                class_id,
            });
        } else if [rect.x, rect.y, rect.w, rect.h]
            .iter()
            .all(|v| v.is_finite())
        {
            self.seen.misplaced += 1;
        } else {
            self.seen.not_finite += 1;
        }
    }

    /// A box of known class, as suppressed outputs give them.
    fn labelled(&mut self, class_id: Option<u32>, score: f32, rect: Rect) {
        if let Some(id) = class_id
            && self.params.classes.wants(id)
            && self.passes(score)
        {
            self.push(rect, score, id);
        }
    }

    /// A box with a score for each of `classes` classes: it belongs to the best of them, the first of equals.
    #[inline]
    fn scored(
        &mut self,
        classes: usize,
        score: impl Fn(usize) -> f32,
        rect: impl FnOnce() -> Rect,
    ) {
        let params = self.params;
        let winner = match &params.classes {
            ClassFilter::All => {
                let best = (1..classes).fold(0, |best, c| {
                    if score(c) > score(best) || score(best).is_nan() {
                        c
                    } else {
                        best
                    }
                });
                self.passes(score(best)).then_some(best)
            }
            ClassFilter::Only(ids) => ids
                .iter()
                .map(|&id| id as usize)
                .filter(|&id| id < classes)
                .find(|&id| self.passes(score(id)) && is_best(id, classes, &score)),
        };
        if let Some(class) = winner {
            self.push(rect(), score(class), class as u32);
        }
    }
}

/// True when no class beats `class`, nor an earlier one equals it.
#[inline]
fn is_best(class: usize, classes: usize, score: impl Fn(usize) -> f32) -> bool {
    let own = score(class);
    !(0..class).any(|c| score(c) >= own) && !(class + 1..classes).any(|c| score(c) > own)
}

/// A table of numbers: one output without its batch dimension.
#[derive(Clone, Copy)]
struct Table<'a> {
    rows: usize,
    columns: usize,
    data: &'a [f32],
}

impl<'a> Table<'a> {
    fn iter(&self) -> impl Iterator<Item = &'a [f32]> {
        self.data.chunks_exact(self.columns)
    }
}

/// The outputs with the head that says how to read them.
struct Reader<'a> {
    head: &'a Head,
    outputs: &'a [TensorView<'a>],
}

impl<'a> Reader<'a> {
    fn view(&self, k: usize) -> Result<&'a TensorView<'a>, DecodeError> {
        let needed = self.head.outputs[k];
        self.outputs.get(needed).ok_or(DecodeError::Missing {
            layout: self.head.layout,
            needed,
            got: self.outputs.len(),
        })
    }

    fn misfit(&self, view: &TensorView) -> DecodeError {
        DecodeError::Shape {
            layout: self.head.layout,
            shape: view.shape.to_vec(),
            numbers: view.data.len(),
        }
    }

    /// Output `k` of the layout as a table of at least `columns` columns, its rows given by `[N, M]` or `[1, N, M]`.
    fn table(&self, k: usize, columns: usize) -> Result<Table<'a>, DecodeError> {
        let view = self.view(k)?;
        let ([1, rows, cols] | [rows, cols]) = view.shape else {
            return Err(self.misfit(view));
        };
        if *cols < columns || rows.checked_mul(*cols) != Some(view.data.len()) {
            return Err(self.misfit(view));
        }
        Ok(Table {
            rows: *rows,
            columns: *cols,
            data: view.data,
        })
    }

    /// Output `k` as `count` single numbers.
    fn column(&self, k: usize, count: usize) -> Result<&'a [f32], DecodeError> {
        let view = self.view(k)?;
        if view.data.len() == count {
            Ok(view.data)
        } else {
            Err(self.misfit(view))
        }
    }

    fn classes(&self) -> usize {
        self.head.classes.unwrap_or(0)
    }

    /// Channel first: one row a coordinate, one a class. Only the rows wanted are scanned; a box that passes is compared
    /// with its other classes.
    fn yolov8(&self, sink: &mut Sink) -> Result<(), DecodeError> {
        let classes = self.classes();
        let table = self.table(0, 1)?;
        if table.rows < 4 + classes {
            return Err(self.misfit(self.view(0)?));
        }
        let n = table.columns;
        let at = |row: usize, i: usize| table.data[row * n + i];
        let wanted = self.wanted(sink);
        let mut scan = |class: usize| {
            let row = &table.data[(4 + class) * n..][..n];
            scan_scores(row, sink, |sink, i, score| {
                if is_best(class, classes, |c| at(4 + c, i)) {
                    let rect = Rect::from_centre(at(0, i), at(1, i), at(2, i), at(3, i));
                    sink.push(rect, score, class as u32);
                }
            });
        };
        match wanted {
            None => (0..classes).for_each(&mut scan),
            Some(ids) => ids.iter().for_each(|&id| scan(id as usize)),
        }
        Ok(())
    }

    /// The class numbers wanted that the model has; `None` is all.
    fn wanted(&self, sink: &Sink) -> Option<Vec<u32>> {
        match &sink.params.classes {
            ClassFilter::All => None,
            ClassFilter::Only(ids) => {
                let classes = self.classes() as u32;
                Some(ids.iter().copied().filter(|&id| id < classes).collect())
            }
        }
    }

    fn yolov8_transposed(&self, sink: &mut Sink) -> Result<(), DecodeError> {
        let classes = self.classes();
        for row in self.table(0, 4 + classes)?.iter() {
            let rect = || Rect::from_centre(row[0], row[1], row[2], row[3]);
            sink.scored(classes, |c| row[4 + c], rect);
        }
        Ok(())
    }

    fn yolov5(&self, sink: &mut Sink) -> Result<(), DecodeError> {
        let classes = self.classes();
        for row in self.table(0, 5 + classes)?.iter() {
            if !is_hopeless(row[4], sink) {
                let rect = || Rect::from_centre(row[0], row[1], row[2], row[3]);
                sink.scored(classes, |c| row[4] * row[5 + c], rect);
            }
        }
        Ok(())
    }

    /// Offsets from the cell's corner and log sizes, in cells (YOLOX `demo_utils.py`, `demo_postprocess`).
    fn yolox(&self, sink: &mut Sink) -> Result<(), DecodeError> {
        let classes = self.classes();
        let table = self.table(0, 5 + classes)?;
        let mut rows = table.iter();
        for cell in self.cells() {
            let Some(row) = rows.next() else {
                return Err(self.misfit(self.view(0)?));
            };
            if !is_hopeless(row[4], sink) {
                let s = cell.stride;
                let rect = || {
                    Rect::from_centre(
                        (row[0] + cell.x) * s,
                        (row[1] + cell.y) * s,
                        row[2].exp() * s,
                        row[3].exp() * s,
                    )
                };
                sink.scored(classes, |c| row[4] * row[5 + c], rect);
            }
        }
        Ok(())
    }

    fn end_to_end(&self, sink: &mut Sink) -> Result<(), DecodeError> {
        for row in self.table(0, 6)?.iter() {
            let rect = Rect::from_corners(row[0], row[1], row[2], row[3]);
            sink.labelled(class_number(row[5]), row[4], rect);
        }
        Ok(())
    }

    fn embedded_nms(&self, sink: &mut Sink) -> Result<(), DecodeError> {
        for row in self.table(0, 7)?.iter() {
            // Column 0 is the picture's number within the batch of one.
            let rect = Rect::from_corners(row[1], row[2], row[3], row[4]);
            sink.labelled(class_number(row[5]), row[6], rect);
        }
        Ok(())
    }

    fn detr(&self, sink: &mut Sink) -> Result<(), DecodeError> {
        let boxes = self.table(0, 4)?;
        let scores = self.column(1, boxes.rows)?;
        let labels = self.column(2, boxes.rows)?;
        for (i, row) in boxes.iter().enumerate() {
            let rect = Rect::from_corners(row[0], row[1], row[2], row[3]);
            sink.labelled(class_number(labels[i]), scores[i], rect);
        }
        Ok(())
    }

    /// Some exports give boxes as fractions of the picture: DETR without `orig_target_sizes`, TensorFlow's. No detector has all
    /// its boxes, found or not, in the first two pixels of the picture: coordinates that are all below 2 are fractions.
    fn are_fractions(&self, found: &[Detection]) -> bool {
        let is_below = |v: &f32| *v < FRACTIONS_BELOW;
        let ends = |d: &Detection| [d.rect.right(), d.rect.bottom()];
        if found.is_empty() || !found.iter().flat_map(ends).all(|end| is_below(&end)) {
            return false;
        }
        let Ok(table) = self.table(0, 1) else {
            return false;
        };
        let rows = |from: usize| {
            let mut rows = table.iter();
            rows.all(|row| row.iter().skip(from).take(4).all(is_below))
        };
        match self.head.layout {
            Layout::Yolov8 => table.iter().take(4).flatten().all(is_below),
            Layout::Yolov8Transposed
            | Layout::Yolov5
            | Layout::EndToEnd
            | Layout::Detr
            | Layout::Mmdeploy => rows(0),
            Layout::EmbeddedNms => rows(1),
            // Computed from the grid.
            Layout::Yolox | Layout::Nanodet | Layout::Fastestdet => false,
        }
    }

    fn mmdeploy(&self, sink: &mut Sink) -> Result<(), DecodeError> {
        let dets = self.table(0, 5)?;
        let labels = self.column(1, dets.rows)?;
        for (i, row) in dets.iter().enumerate() {
            let rect = Rect::from_corners(row[0], row[1], row[2], row[3]);
            sink.labelled(class_number(labels[i]), row[4], rect);
        }
        Ok(())
    }

    /// Distances from the cell's centre to the four sides, each the mean of a distribution over whole cells
    /// (Generalized Focal Loss, arXiv 2006.04388, eq. 4; NanoDet `nanodet_head.py`).
    fn nanodet(&self, sink: &mut Sink) -> Result<(), DecodeError> {
        let classes = self.classes();
        for (level, &stride) in STRIDES.iter().enumerate() {
            let scores = self.table(level, classes.max(1))?;
            let distances = self.table(STRIDES.len() + level, 8)?;
            let width = self.head.input_width.div_ceil(stride);
            if scores.rows != distances.rows || distances.columns % 4 != 0 {
                return Err(self.misfit(self.view(level)?));
            }
            for (i, (row, sides)) in scores.iter().zip(distances.iter()).enumerate() {
                let s = stride as f32;
                let (x, y) = ((i % width) as f32 + 0.5, (i / width) as f32 + 0.5);
                let rect = || {
                    let bins = sides.len() / 4;
                    let d = |side: usize| expectation(&sides[side * bins..][..bins]);
                    Rect::from_corners(
                        (x - d(0)) * s,
                        (y - d(1)) * s,
                        (x + d(2)) * s,
                        (y + d(3)) * s,
                    )
                };
                sink.scored(classes, |c| row[c], rect);
            }
        }
        Ok(())
    }

    /// One grid, channel first; boxes as parts of the picture (FastestDet `utils/tool.py`, `handle_preds`).
    fn fastestdet(&self, sink: &mut Sink) -> Result<(), DecodeError> {
        let view = self.view(0)?;
        let (data, [1, channels, h, w]) = (view.data, view.shape) else {
            return Err(self.misfit(view));
        };
        let (classes, cells) = (self.classes(), h * w);
        if *channels < 5 + classes || data.len() != channels * cells {
            return Err(self.misfit(view));
        }
        let (sx, sy) = (
            self.head.input_width as f32 / *w as f32,
            self.head.input_height as f32 / *h as f32,
        );
        let size = (self.head.input_width as f32, self.head.input_height as f32);
        for i in 0..cells {
            let at = |channel: usize| data[channel * cells + i];
            let rect = || {
                Rect::from_centre(
                    ((i % w) as f32 + at(1).tanh()) * sx,
                    ((i / w) as f32 + at(2).tanh()) * sy,
                    sigmoid(at(3)) * size.0,
                    sigmoid(at(4)) * size.1,
                )
            };
            let objectness = at(0).powf(FASTESTDET_OBJECTNESS);
            let score = |c: usize| objectness * at(5 + c).powf(FASTESTDET_CLASS);
            sink.scored(classes, score, rect);
        }
        Ok(())
    }

    /// Cells of all strides in the order of rows: stride by stride, line by line.
    fn cells(&self) -> impl Iterator<Item = Cell> {
        let (width, height) = (self.head.input_width, self.head.input_height);
        STRIDES.iter().flat_map(move |&stride| {
            let (w, h) = (width.div_ceil(stride), height.div_ceil(stride));
            (0..w * h).map(move |i| Cell {
                x: (i % w) as f32,
                y: (i / w) as f32,
                stride: stride as f32,
            })
        })
    }
}

/// Exponents by which FastestDet weighs objectness and class (its `utils/tool.py`).
const FASTESTDET_OBJECTNESS: f32 = 0.6;
const FASTESTDET_CLASS: f32 = 0.4;

/// A cell of a grid: its column and row, and the pixels it spans.
#[derive(Clone, Copy)]
struct Cell {
    x: f32,
    y: f32,
    stride: f32,
}

/// True when a row of that objectness can neither pass nor be the best seen: class scores do not exceed 1.
#[inline]
fn is_hopeless(objectness: f32, sink: &Sink) -> bool {
    objectness < sink.params.threshold
        && sink.seen.best_score.is_some_and(|best| objectness <= best)
}

/// Notes all scores of a row and calls `hit` for those that pass. Blocks in which none can pass are told by one
/// vectorised maximum.
fn scan_scores(row: &[f32], sink: &mut Sink, mut hit: impl FnMut(&mut Sink, usize, f32)) {
    const BLOCK: usize = 64;
    for (block_index, block) in row.chunks(BLOCK).enumerate() {
        let (highest, all_finite) = survey(block);
        let best = sink.seen.best_score;
        if all_finite && highest < sink.params.threshold && best.is_some_and(|b| highest <= b) {
            continue;
        }
        for (i, &score) in block.iter().enumerate() {
            if sink.passes(score) {
                hit(sink, block_index * BLOCK + i, score);
            }
        }
    }
}

/// The highest number of a block, and whether all are finite.
#[inline]
fn survey(block: &[f32]) -> (f32, bool) {
    const LANES: usize = 8;
    let (mut highest, mut poison) = ([f32::NEG_INFINITY; LANES], [0.0_f32; LANES]);
    let chunks = block.chunks_exact(LANES);
    for (lane, &v) in chunks.remainder().iter().enumerate() {
        highest[lane] = if v > highest[lane] { v } else { highest[lane] };
        poison[lane] += v * 0.0;
    }
    for chunk in chunks {
        for lane in 0..LANES {
            let v = chunk[lane];
            highest[lane] = if v > highest[lane] { v } else { highest[lane] };
            // NaN and infinity times zero are NaN; everything else adds zero.
            poison[lane] += v * 0.0;
        }
    }
    (
        highest.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        poison.iter().all(|p| !p.is_nan()),
    )
}

/// A class number or label; `None` for what is none (padding is -1).
fn class_number(value: f32) -> Option<u32> {
    (value > -0.5 && value <= MAX_CLASS).then(|| value.round() as u32)
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Mean of 0, 1, 2, … weighted by the softmax of `logits`.
fn expectation(logits: &[f32]) -> f32 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut weights, mut sum) = (0.0, 0.0);
    for (bin, &logit) in logits.iter().enumerate() {
        let weight = (logit - highest).exp();
        weights += weight;
        sum += weight * bin as f32;
    }
    sum / weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yolo::{Hints, OutputInfo, recognise};
    use proptest::prelude::*;

    const PERSON: [u32; 1] = [0];

    fn head(shape: &[usize], layout: Layout, size: usize) -> Head {
        let output = OutputInfo {
            name: "output".into(),
            dims: shape.iter().map(|&d| Some(d)).collect(),
            integer: false,
        };
        let hints = Hints {
            input_width: size,
            input_height: size,
            layout: Some(layout),
            ..Hints::default()
        };
        recognise(&[output], &hints).unwrap()
    }

    fn decode(
        head: &Head,
        shape: &[usize],
        data: &[f32],
        ids: &[u32],
    ) -> (Vec<Detection>, Decoded) {
        let classes = if ids.is_empty() {
            ClassFilter::All
        } else {
            ClassFilter::Only(ids.to_vec())
        };
        let params = DecodeParams {
            threshold: 0.25,
            classes: &classes,
        };
        let view = TensorView { shape, data };
        let mut found = Vec::new();
        let seen = head.decode(&[view], &params, &mut found).unwrap();
        (found, seen)
    }

    #[test]
    fn a_box_belongs_to_its_best_class_even_when_another_is_wanted() {
        // Two boxes, two classes, channel first: the first box is a better dog than person.
        #[rustfmt::skip]
        let data = [10.0, 20.0, 10.0, 20.0, 4.0, 4.0, 8.0, 8.0, 0.5, 0.6, 0.7, 0.1];
        let head = head(&[1, 6, 2], Layout::Yolov8, 32);
        let (found, seen) = decode(&head, &[1, 6, 2], &data, &PERSON);
        let person = Detection {
            rect: Rect::new(18.0, 16.0, 4.0, 8.0),
            score: 0.6,
            class_id: 0,
        };
        assert_eq!(found, [person]);
        assert_eq!(seen.best_score, Some(0.6));
        assert_eq!(decode(&head, &[1, 6, 2], &data, &[]).0.len(), 2);
        assert_eq!(decode(&head, &[1, 6, 2], &data, &[7]).0, []);
    }

    #[test]
    fn what_is_not_finite_is_dropped_and_counted() {
        let head = head(&[1, 2, 6], Layout::EndToEnd, 32);
        #[rustfmt::skip]
        let data = [
            0.0, 0.0, 5.0, 5.0, f32::NAN, 0.0,
            0.0, 0.0, f32::INFINITY, 5.0, 0.9, 0.0,
            0.0, 0.0, 5.0, 5.0, 7.0, 0.0,
            0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
        ];
        let (found, seen) = decode(&head, &[1, 4, 6], &data, &[]);
        assert_eq!(found, []);
        assert_eq!((seen.not_finite, seen.implausible), (2, 1));
        let nan = vec![f32::NAN; 6 * 84];
        let v8 = super::tests::head(&[1, 6, 84], Layout::Yolov8, 64);
        let (found, seen) = decode(&v8, &[1, 6, 84], &nan, &PERSON);
        assert_eq!(found, []);
        assert_eq!(
            seen,
            Decoded {
                best_score: None,
                not_finite: 84,
                ..Decoded::default()
            }
        );
    }

    #[test]
    fn boxes_given_as_fractions_are_found_where_they_are() {
        let expected = Rect::new(16.0, 8.0, 8.0, 32.0);
        let [x, y, w, h] = [0.25, 0.125, 0.125, 0.5];
        let centred = [x + w / 2.0, y + h / 2.0, w, h];
        let corners = [x, y, x + w, y + h];
        let with = |head: &[f32], tail: &[f32]| [head, tail].concat();
        let cases = [
            (Layout::Yolov8, with(&centred, &[0.9])),
            (Layout::Yolov8Transposed, with(&centred, &[0.9])),
            (Layout::Yolov5, with(&centred, &[0.9, 1.0])),
            (Layout::EndToEnd, with(&corners, &[0.9, 0.0])),
            (
                Layout::EmbeddedNms,
                with(&[0.0], &with(&corners, &[7.0, 0.9])),
            ),
        ];
        for (layout, row) in cases {
            // Rows of which the first alone is a box.
            let (n, columns) = (84, row.len());
            let mut data = vec![0.0; n * columns];
            for (i, v) in row.iter().enumerate() {
                let is_first = layout == Layout::Yolov8;
                data[if is_first { i * n } else { i }] = *v;
            }
            let shape = match layout {
                Layout::Yolov8 => vec![1, columns, n],
                Layout::EmbeddedNms => vec![n, columns],
                _ => vec![1, n, columns],
            };
            let head = head(&shape, layout, 64);
            let (found, _) = decode(&head, &shape, &data, &[]);
            assert_eq!(found.len(), 1, "{layout}");
            assert_eq!(found[0].rect, expected, "{layout}");
            // One box elsewhere, found or not, and all are px.
            let far = match layout {
                Layout::Yolov8 => n - 1,
                _ => data.len() - columns + 1,
            };
            data[far] = 63.0;
            let (found, _) = decode(&head, &shape, &data, &[]);
            assert!(found[0].rect.right() < 1.0, "{layout}");
        }
    }

    #[test]
    fn all_zero_scores_are_seen_as_zero() {
        let head = head(&[1, 5, 84], Layout::Yolov8, 64);
        let (found, seen) = decode(&head, &[1, 5, 84], &[0.0; 5 * 84], &PERSON);
        assert_eq!(found, []);
        assert_eq!(seen.best_score, Some(0.0));
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let head = head(&[1, 6, 84], Layout::Yolov8, 64);
        let classes = ClassFilter::All;
        let params = DecodeParams {
            threshold: 0.25,
            classes: &classes,
        };
        let data = [0.0; 6 * 84];
        let cases: [(&[usize], &[f32]); 4] = [
            (&[1, 6, 85], &data),
            (&[1, 5, 84], &data[..5 * 84]),
            (&[2, 6, 42], &data),
            (&[504], &data),
        ];
        for (shape, data) in cases {
            let view = TensorView { shape, data };
            let result = head.decode(&[view], &params, &mut Vec::new());
            assert!(
                matches!(result, Err(DecodeError::Shape { .. })),
                "{shape:?}"
            );
        }
        let none = head.decode(&[], &params, &mut Vec::new());
        assert!(matches!(none, Err(DecodeError::Missing { .. })));
    }

    #[test]
    fn the_strongest_candidates_are_kept() {
        let mut found: Vec<Detection> = (0..100)
            .map(|i| Detection {
                rect: Rect::new(0.0, 0.0, 1.0, 1.0),
                score: (i * 37 % 100) as f32 / 100.0,
                class_id: 0,
            })
            .collect();
        keep_strongest(&mut found, 10);
        assert_eq!(found.len(), 10);
        assert!(found.iter().all(|d| d.score > 0.895));
    }

    #[test]
    fn survey_sees_every_number() {
        for length in [1, 7, 8, 9, 64, 63] {
            for at in 0..length {
                let mut block = vec![-1.0; length];
                block[at] = 0.5;
                assert_eq!(survey(&block), (0.5, true));
                block[at] = f32::NAN;
                assert!(!survey(&block).1, "{length} {at}");
            }
        }
    }

    /// Numbers that models give when all is well, and when it is not.
    fn number() -> impl Strategy<Value = f32> {
        prop_oneof![
            4 => 0.0f32..1.0,
            2 => -100.0f32..100.0,
            1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::MIN, f32::MAX, -1.0]),
        ]
    }

    fn tensor() -> impl Strategy<Value = (Vec<usize>, Vec<f32>, bool)> {
        let length =
            prop_oneof![2 => 0usize..9, 1 => prop::sample::select(vec![1usize, 16, 21, 63])];
        let shape = prop::collection::vec(length, 1..=4);
        let is_small = |shape: &Vec<usize>| shape.iter().product::<usize>() <= 1024;
        let shape = shape.prop_filter("too many numbers for a quick test", is_small);
        shape.prop_flat_map(|shape| {
            let numbers = shape.iter().product::<usize>();
            let data = prop::collection::vec(number(), numbers);
            (Just(shape), data, any::<bool>())
        })
    }

    proptest! {
        /// Whatever comes out of a model: an answer or an error, boxes that are boxes, never a panic.
        #[test]
        fn no_output_is_too_strange(
            tensors in prop::collection::vec(tensor(), 1..4),
            layout in prop::option::of(prop::sample::select(Layout::ALL.to_vec())),
            classes in prop::option::of(0usize..5),
            side in prop::sample::select(vec![0usize, 1, 32, 33, 64]),
        ) {
            let infos: Vec<OutputInfo> = tensors
                .iter()
                .map(|(shape, _, integer)| OutputInfo {
                    name: "labels".into(),
                    dims: shape.iter().map(|&n| Some(n)).collect(),
                    integer: *integer,
                })
                .collect();
            let hints = Hints { input_width: side, input_height: 32, classes, layout, ..Hints::default() };
            let Ok(head) = recognise(&infos, &hints) else { return Ok(()) };
            let views: Vec<TensorView> = tensors
                .iter()
                .map(|(shape, data, _)| TensorView { shape, data })
                .collect();
            for filter in [ClassFilter::All, ClassFilter::Only(vec![0, 3, 1_000_000])] {
                let params = DecodeParams { threshold: 0.3, classes: &filter };
                let mut found = Vec::new();
                // Shapes may also change between recognising and decoding.
                for views in [&views[..], &views[1..]] {
                    if head.decode(views, &params, &mut found).is_ok() {
                        prop_assert!(found.iter().all(|d| d.rect.is_valid() && (0.3..=1.0).contains(&d.score)));
                        prop_assert!(found.iter().all(|d| filter.wants(d.class_id)));
                    }
                }
            }
        }
    }
}
