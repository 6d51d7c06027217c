//! FastestDet: one grid, channel first.

use crate::{
    geometry::Rect,
    yolo::{
        detection::DecodeError, head::Head, layout::Layout, outputs::Outputs, reader::Reader,
        sink::Sink,
    },
};

/// Exponents by which FastestDet weighs objectness and class (its `utils/tool.py`).
const FASTESTDET_OBJECTNESS: f32 = 0.6;
const FASTESTDET_CLASS: f32 = 0.4;

/// `[1, 5+C, h, w]`.
pub(in crate::yolo) fn fit(outputs: &Outputs<'_>) -> Result<Head, String> {
    let index = outputs
        .position(|o| !o.integer && o.dims.len() == 4)
        .ok_or("no output is [1,5+C,h,w]")?;
    let [_, Some(channels), Some(h), Some(w)] = outputs.all[index].dims[..] else {
        return Err("the grid's size is not known".into());
    };
    let hints = outputs.hints;
    let is_one_stride = h > 0
        && w > 0
        && hints.input_height.is_multiple_of(h)
        && hints.input_width.is_multiple_of(w)
        && hints.input_height / h == hints.input_width / w;
    if !is_one_stride {
        return Err("the grid does not divide the input".into());
    }
    let classes = outputs.class_count(channels, 5)?;
    Ok(outputs.head(Layout::Fastestdet, Some(classes), vec![index]))
}

/// One grid, channel first; boxes as parts of the picture (FastestDet `utils/tool.py`, `handle_preds`).
pub(in crate::yolo) fn decode(reader: &Reader<'_>, sink: &mut Sink<'_>) -> Result<(), DecodeError> {
    let view = reader.view(0)?;
    let (data, [1, channels, h, w]) = (view.data, view.shape) else {
        return Err(reader.misfit(view));
    };
    let (classes, cells) = (reader.classes(), h * w);
    if *channels < 5 + classes || data.len() != channels * cells {
        return Err(reader.misfit(view));
    }
    let (sx, sy) = (
        reader.head.input_width as f32 / *w as f32,
        reader.head.input_height as f32 / *h as f32,
    );
    let size = (
        reader.head.input_width as f32,
        reader.head.input_height as f32,
    );
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

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
