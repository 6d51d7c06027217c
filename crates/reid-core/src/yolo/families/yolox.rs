//! YOLOX without its decoding: a raw grid of offsets and log sizes.

use crate::{
    geometry::Rect,
    yolo::{
        detection::DecodeError,
        families::ultralytics,
        head::{Head, STRIDES},
        layout::Layout,
        outputs::Outputs,
        reader::Reader,
        sink::{Sink, is_hopeless},
    },
};

/// One row a cell of three strides.
pub(in crate::yolo) fn fit(outputs: &Outputs<'_>) -> Result<Head, String> {
    let head = ultralytics::fit(outputs, Layout::Yolox, 5, |t| t.b)?;
    let (rows, cells) = (
        outputs.table().and_then(|t| t.a),
        outputs.grid_cells(STRIDES),
    );
    if rows != cells {
        return Err(format!(
            "a raw grid of strides 8, 16, 32 has {cells:?} rows, not {rows:?}"
        ));
    }
    Ok(head)
}

/// Offsets from the cell's corner and log sizes, in cells (YOLOX `demo_utils.py`, `demo_postprocess`).
pub(in crate::yolo) fn decode(reader: &Reader<'_>, sink: &mut Sink<'_>) -> Result<(), DecodeError> {
    let classes = reader.classes();
    let table = reader.table(0, 5 + classes)?;
    let mut rows = table.iter();
    for cell in reader.cells() {
        let Some(row) = rows.next() else {
            return Err(reader.misfit(reader.view(0)?));
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
