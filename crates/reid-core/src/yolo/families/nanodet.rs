//! NanoDet: for each stride an output of classes and one of distances as distributions.

use crate::{
    geometry::Rect,
    yolo::{
        detection::DecodeError,
        head::{Head, STRIDES},
        layout::Layout,
        outputs::Outputs,
        reader::Reader,
        sink::Sink,
    },
};

/// Classes of every stride, then distances of every stride, in the order of strides.
pub(in crate::yolo) fn fit(outputs: &Outputs<'_>) -> Result<Head, String> {
    let (mut classes, mut distances) = (Vec::new(), Vec::new());
    let mut class_count = None;
    for &stride in STRIDES {
        let cells = outputs.cells(stride);
        let found: Vec<usize> = (0..outputs.all.len())
            .filter(|&i| outputs.all[i].dims.len() == 3 && outputs.all[i].dims[1] == Some(cells))
            .collect();
        let [first, second] = found[..] else {
            return Err(format!(
                "stride {stride} needs two outputs [1,{cells},…], found {}",
                found.len()
            ));
        };
        let (cls, dis) = pair(outputs, first, second)?;
        if class_count.is_some_and(|c| c != outputs.last(&outputs.all[cls])) {
            return Err("the strides differ in their number of classes".into());
        }
        class_count = Some(outputs.last(&outputs.all[cls]));
        classes.push(cls);
        distances.push(dis);
    }
    let classes_known = class_count.flatten();
    outputs.check_named(classes_known)?;
    classes.extend(distances);
    Ok(outputs.head(Layout::Nanodet, classes_known, classes))
}

/// Which of two outputs of one stride holds classes: the names say it (`cls`, `dis` or `reg`), else the order.
fn pair(outputs: &Outputs<'_>, first: usize, second: usize) -> Result<(usize, usize), String> {
    let name = outputs.all[first].name.to_ascii_lowercase();
    let swapped = name.contains("dis") || name.contains("reg");
    let (cls, dis) = if swapped {
        (second, first)
    } else {
        (first, second)
    };
    match (
        outputs.last(&outputs.all[cls]),
        outputs.last(&outputs.all[dis]),
    ) {
        // Two bins a side at least: one alone would always be distance zero.
        (Some(c), Some(d)) if c >= 1 && d % 4 == 0 && d >= 8 => Ok((cls, dis)),
        _ => Err("distances must be four distributions of one length".into()),
    }
}

/// Distances from the cell's centre to the four sides, each the mean of a distribution over whole cells
/// (Generalized Focal Loss, arXiv 2006.04388, eq. 4; NanoDet `nanodet_head.py`).
pub(in crate::yolo) fn decode(reader: &Reader<'_>, sink: &mut Sink<'_>) -> Result<(), DecodeError> {
    let classes = reader.classes();
    for (level, &stride) in STRIDES.iter().enumerate() {
        let scores = reader.table(level, classes.max(1))?;
        let distances = reader.table(STRIDES.len() + level, 8)?;
        let width = reader.head.input_width.div_ceil(stride);
        if scores.rows != distances.rows || distances.columns % 4 != 0 {
            return Err(reader.misfit(reader.view(level)?));
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
