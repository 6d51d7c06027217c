//! Ultralytics' tables: one row or column a box, centre and size in px first, then the scores of the classes. v5 and v7, and YOLOX
//! exported with its decoding, have an objectness before them.

use crate::{
    geometry::Rect,
    yolo::{
        detection::{ClassFilter, DecodeError},
        head::Head,
        layout::Layout,
        outputs::{self, Outputs},
        reader::Reader,
        sink::{Sink, is_best, is_hopeless, scan_scores},
    },
};

/// A table of `fixed` numbers a box before those of its classes; `columns` says along which axis a box lies.
pub(in crate::yolo) fn fit(
    outputs: &Outputs<'_>,
    layout: Layout,
    fixed: usize,
    columns: impl Fn(outputs::Table) -> Option<usize>,
) -> Result<Head, String> {
    let table = outputs.table().ok_or("no output is [1,a,b]")?;
    let columns = columns(table).ok_or("the number of columns is not known")?;
    let classes = outputs.class_count(columns, fixed)?;
    Ok(outputs.head(layout, Some(classes), vec![table.index]))
}

/// Channel first: one row a coordinate, one a class. Only the rows wanted are scanned; a box that passes is compared
/// with its other classes.
pub(in crate::yolo) fn decode_channels(
    reader: &Reader<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), DecodeError> {
    let classes = reader.classes();
    let table = reader.table(0, 1)?;
    if table.rows < 4 + classes {
        return Err(reader.misfit(reader.view(0)?));
    }
    let n = table.columns;
    let at = |row: usize, i: usize| table.data[row * n + i];
    let wanted = wanted(reader, sink);
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
fn wanted(reader: &Reader<'_>, sink: &Sink<'_>) -> Option<Vec<u32>> {
    match &sink.params.classes {
        ClassFilter::All => None,
        ClassFilter::Only(ids) => {
            let classes = reader.classes() as u32;
            Some(ids.iter().copied().filter(|&id| id < classes).collect())
        }
    }
}

/// Boxes as rows.
pub(in crate::yolo) fn decode_rows(
    reader: &Reader<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), DecodeError> {
    let classes = reader.classes();
    for row in reader.table(0, 4 + classes)?.iter() {
        let rect = || Rect::from_centre(row[0], row[1], row[2], row[3]);
        sink.scored(classes, |c| row[4 + c], rect);
    }
    Ok(())
}

/// Boxes as rows; a score is objectness times class.
pub(in crate::yolo) fn decode_objectness(
    reader: &Reader<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), DecodeError> {
    let classes = reader.classes();
    for row in reader.table(0, 5 + classes)?.iter() {
        if !is_hopeless(row[4], sink) {
            let rect = || Rect::from_centre(row[0], row[1], row[2], row[3]);
            sink.scored(classes, |c| row[4] * row[5 + c], rect);
        }
    }
    Ok(())
}
