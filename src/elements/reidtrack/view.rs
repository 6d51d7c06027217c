//! How new caps change what was learnt of a camera's picture.

use crate::media::FrameSize;

/// What other caps mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ViewChange {
    /// Nothing.
    None,
    /// The same view in another size: so much larger across and down.
    Scaled(f32, f32),
    /// Another shape shows something else.
    Other,
}

/// Shapes of pictures that differ by less are one: sides are rounded to blocks of 8 or 16 px (1080 lines sent as 1088).
const SAME_SHAPE: f64 = 0.02;

impl ViewChange {
    /// By the shape of the picture as it is shown, with pixels that are not square.
    pub fn between(old: &gst_video::VideoInfo, new: &gst_video::VideoInfo) -> Self {
        if FrameSize::from(old) == FrameSize::from(new) {
            return Self::None;
        }
        let shape = |info: &gst_video::VideoInfo| {
            let pixel = f64::from(info.par().numer()) / f64::from(info.par().denom().max(1));
            f64::from(info.width()) * pixel / f64::from(info.height().max(1))
        };
        let change = shape(new) / shape(old);
        if (change - 1.0).abs() > SAME_SHAPE || !change.is_finite() {
            return Self::Other;
        }
        let by = |new: u32, old: u32| new as f32 / old as f32;
        Self::Scaled(by(new.width(), old.width()), by(new.height(), old.height()))
    }
}
