//! The DETR family: labels, boxes and scores in three outputs.

use crate::{
    geometry::Rect,
    yolo::{
        detection::DecodeError,
        head::Head,
        layout::Layout,
        outputs::Outputs,
        reader::{Reader, class_number},
        sink::Sink,
    },
};

/// Outputs labels, boxes, scores, in whatever order, with or without a leading 1.
pub(in crate::yolo) fn fit(outputs: &Outputs<'_>) -> Result<Head, String> {
    let boxes = outputs
        .position(|o| !o.integer && o.dims.len() >= 2 && outputs.last(o) == Some(4))
        .or_else(|| outputs.named("boxes"))
        .ok_or("no output is [N,4]")?;
    let rank = outputs.all[boxes].dims.len() - 1;
    let labels = outputs
        .position(|o| o.integer && o.dims.len() == rank)
        .or_else(|| outputs.named("labels"))
        .ok_or("no output of labels beside the boxes")?;
    let scores = outputs
        .all
        .iter()
        .enumerate()
        .position(|(i, o)| i != boxes && i != labels && !o.integer && o.dims.len() == rank)
        .ok_or("no output of scores beside the boxes")?;
    Ok(outputs.head(
        Layout::Detr,
        outputs.hints.classes,
        vec![boxes, scores, labels],
    ))
}

/// Corners in px.
pub(in crate::yolo) fn decode(reader: &Reader<'_>, sink: &mut Sink<'_>) -> Result<(), DecodeError> {
    let boxes = reader.table(0, 4)?;
    let scores = reader.column(1, boxes.rows)?;
    let labels = reader.column(2, boxes.rows)?;
    for (i, row) in boxes.iter().enumerate() {
        let rect = Rect::from_corners(row[0], row[1], row[2], row[3]);
        sink.labelled(class_number(labels[i]), scores[i], rect);
    }
    Ok(())
}
