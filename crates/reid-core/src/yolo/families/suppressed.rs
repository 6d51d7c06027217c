//! Layouts with built-in suppression, one box per row: end-to-end models, and the export of v7.

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

/// Numbers of a suppressed box: x0, y0, x1, y1, score, class.
const SUPPRESSED: usize = 6;

/// Numbers behind them in a pose model of COCO: x, y and visibility of 17 key points.
const KEY_POINTS: usize = 17 * 3;

/// True for columns of suppressed boxes: six numbers alone, with the mask coefficients of a second output, or with the
/// 17 key points of COCO.
pub(in crate::yolo) fn are_suppressed(outputs: &Outputs<'_>, columns: usize) -> bool {
    let masks = outputs.mask_coefficients();
    columns == SUPPRESSED + masks || (masks == 0 && columns == SUPPRESSED + KEY_POINTS)
}

/// `[1, N, 6+M]`.
pub(in crate::yolo) fn fit_end_to_end(outputs: &Outputs<'_>) -> Result<Head, String> {
    let table = outputs.table().ok_or("no output is [1,N,6]")?;
    let columns = table.b.ok_or("the number of columns is not known")?;
    // Mask coefficients or key points follow the class. What the metadata or the user says is believed.
    let is_said = outputs.hints.end2end == Some(true) || outputs.hints.layout.is_some();
    if columns < SUPPRESSED || !(is_said || are_suppressed(outputs, columns)) {
        return Err(format!(
            "end-to-end rows have {SUPPRESSED} numbers or more, not {columns}"
        ));
    }
    Ok(outputs.head(Layout::EndToEnd, outputs.hints.classes, vec![table.index]))
}

/// `[N, 7]`.
pub(in crate::yolo) fn fit_embedded_nms(outputs: &Outputs<'_>) -> Result<Head, String> {
    let index = outputs
        .position(|o| !o.integer && matches!(o.dims[..], [_, Some(7)]))
        .ok_or("no output is [N,7]")?;
    Ok(outputs.head(Layout::EmbeddedNms, outputs.hints.classes, vec![index]))
}

/// Corners, score, class.
pub(in crate::yolo) fn decode_end_to_end(
    reader: &Reader<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), DecodeError> {
    for row in reader.table(0, 6)?.iter() {
        let rect = Rect::from_corners(row[0], row[1], row[2], row[3]);
        sink.labelled(class_number(row[5]), row[4], rect);
    }
    Ok(())
}

/// Picture, corners, class, score.
pub(in crate::yolo) fn decode_embedded_nms(
    reader: &Reader<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), DecodeError> {
    for row in reader.table(0, 7)?.iter() {
        // Column 0 is the picture's number within the batch of one.
        let rect = Rect::from_corners(row[1], row[2], row[3], row[4]);
        sink.labelled(class_number(row[5]), row[6], rect);
    }
    Ok(())
}
