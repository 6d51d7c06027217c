//! MMDeploy's exports: boxes with their score, and labels beside them.

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

/// `dets [1, N, 5]` and `labels [1, N]`; the 5 may be unknown when the names say it.
pub(in crate::yolo) fn fit(outputs: &Outputs<'_>) -> Result<Head, String> {
    let labels = outputs
        .position(|o| o.integer && o.dims.len() <= 2)
        .or_else(|| outputs.named("labels"))
        .ok_or("no output of labels")?;
    let dets = outputs
        .all
        .iter()
        .enumerate()
        .position(|(i, o)| {
            i != labels
                && !o.integer
                && o.dims.len() == outputs.all[labels].dims.len() + 1
                && (outputs.last(o) == Some(5) || (outputs.last(o).is_none() && o.name == "dets"))
        })
        .ok_or("no output is [1,N,5] beside the labels")?;
    Ok(outputs.head(Layout::Mmdeploy, outputs.hints.classes, vec![dets, labels]))
}

/// Corners in px.
pub(in crate::yolo) fn decode(reader: &Reader<'_>, sink: &mut Sink<'_>) -> Result<(), DecodeError> {
    let dets = reader.table(0, 5)?;
    let labels = reader.column(1, dets.rows)?;
    for (i, row) in dets.iter().enumerate() {
        let rect = Rect::from_corners(row[0], row[1], row[2], row[3]);
        sink.labelled(class_number(labels[i]), row[4], rect);
    }
    Ok(())
}
