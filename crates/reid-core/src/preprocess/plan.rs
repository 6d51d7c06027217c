//! Position of a picture, or of a part of it, in the tensor, and the inverse for boxes.

use super::spec::{InputSpec, ResizeMode};
use crate::geometry::Rect;

/// A rectangle of whole tensor columns and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Columns, at least one.
    pub width: usize,
    /// Rows, at least one.
    pub height: usize,
}

/// The mapping between a source rectangle in a frame and the part of the tensor it fills; the rest is padding.
///
/// Pixels are areas: the source's left edge falls on the content's left edge, its right edge on the right one. Both
/// axes have their own factor, because whole columns and rows are filled: that makes [`Self::to_frame`] the exact
/// inverse of the resize that really happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LetterboxPlan {
    source: Rect,
    content: Extent,
}

impl LetterboxPlan {
    /// The plan for a frame of `width` × `height` px.
    pub fn for_frame(spec: &InputSpec, width: usize, height: usize) -> Self {
        Self::for_source(spec, Rect::new(0.0, 0.0, width as f32, height as f32))
    }

    /// The plan for a valid box of a frame.
    pub fn for_source(spec: &InputSpec, source: Rect) -> Self {
        Self {
            source,
            content: content(spec, f64::from(source.w), f64::from(source.h)),
        }
    }

    /// The part of the frame that is shown, px.
    pub fn source(&self) -> Rect {
        self.source
    }

    /// The part of the tensor that it fills.
    pub fn content(&self) -> Extent {
        self.content
    }

    /// Frame px for one tensor column and one tensor row.
    fn factors(&self) -> (f32, f32) {
        (
            self.source.w / self.content.width as f32,
            self.source.h / self.content.height as f32,
        )
    }

    /// A box of the tensor (px of the tensor) as a box of the frame. Not clipped.
    pub fn to_frame(&self, in_tensor: Rect) -> Rect {
        let (fx, fy) = self.factors();
        Rect::new(
            (in_tensor.x - self.content.left as f32) * fx + self.source.x,
            (in_tensor.y - self.content.top as f32) * fy + self.source.y,
            in_tensor.w * fx,
            in_tensor.h * fy,
        )
    }

    /// A box of the frame as a box of the tensor. Not clipped.
    pub fn to_tensor(&self, in_frame: Rect) -> Rect {
        let (fx, fy) = self.factors();
        Rect::new(
            (in_frame.x - self.source.x) / fx + self.content.left as f32,
            (in_frame.y - self.source.y) / fy + self.content.top as f32,
            in_frame.w / fx,
            in_frame.h / fy,
        )
    }
}

/// The tensor columns and rows that a source of `width` × `height` px fills.
fn content(spec: &InputSpec, width: f64, height: f64) -> Extent {
    let (across, down) = (spec.width as f64, spec.height as f64);
    // Divided first, multiplied afterwards, as both references do: the other order rounds differently.
    let ratio = (down / height).min(across / width);
    let within = |length: f64, limit: usize| (length as usize).clamp(1, limit);
    match spec.resize {
        ResizeMode::Squash => Extent {
            left: 0,
            top: 0,
            width: spec.width,
            height: spec.height,
        },
        // YOLOX, yolox/data/data_augment.py, `preproc`: sizes truncated.
        ResizeMode::LetterboxTopLeft => Extent {
            left: 0,
            top: 0,
            width: within(width * ratio, spec.width),
            height: within(height * ratio, spec.height),
        },
        // Ultralytics, ultralytics/data/augment.py, `LetterBox`: sizes rounded half to even, as Python does, and the
        // left and top padding `round(d - 0.1)` so that an odd pixel goes right and below.
        ResizeMode::LetterboxCentred => {
            let w = within((width * ratio).round_ties_even(), spec.width);
            let h = within((height * ratio).round_ties_even(), spec.height);
            let before =
                |free: usize| (free as f64 / 2.0 - 0.1).round_ties_even().max(0.0) as usize;
            Extent {
                left: before(spec.width - w),
                top: before(spec.height - h),
                width: w,
                height: h,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spec(width: usize, height: usize, resize: ResizeMode) -> InputSpec {
        InputSpec {
            width,
            height,
            resize,
            ..InputSpec::default()
        }
    }

    #[test]
    fn content_is_where_the_references_put_it() {
        use ResizeMode::*;
        // (tensor, mode, frame, left, top, width, height); expected values by the Python sources named above.
        let cases = [
            (
                (640, 640),
                LetterboxCentred,
                (1920, 1080),
                [0, 140, 640, 360],
            ),
            (
                (640, 640),
                LetterboxCentred,
                (1080, 1920),
                [140, 0, 360, 640],
            ),
            (
                (640, 640),
                LetterboxCentred,
                (1366, 768),
                [0, 140, 640, 360],
            ),
            ((640, 640), LetterboxCentred, (641, 360), [0, 140, 640, 359]),
            ((640, 640), LetterboxCentred, (320, 240), [0, 80, 640, 480]),
            (
                (640, 384),
                LetterboxCentred,
                (1920, 1080),
                [0, 12, 640, 360],
            ),
            ((640, 640), LetterboxCentred, (10000, 1), [0, 319, 640, 1]),
            ((416, 416), LetterboxTopLeft, (1920, 1080), [0, 0, 416, 234]),
            ((416, 416), LetterboxTopLeft, (641, 480), [0, 0, 416, 311]),
            ((128, 256), Squash, (37, 411), [0, 0, 128, 256]),
        ];
        for ((w, h), mode, (fw, fh), [left, top, width, height]) in cases {
            let plan = LetterboxPlan::for_frame(&spec(w, h, mode), fw, fh);
            let expected = Extent {
                left,
                top,
                width,
                height,
            };
            assert_eq!(plan.content(), expected, "{mode:?} {fw}x{fh} in {w}x{h}");
        }
    }

    fn modes() -> impl Strategy<Value = ResizeMode> {
        prop_oneof![
            Just(ResizeMode::LetterboxCentred),
            Just(ResizeMode::LetterboxTopLeft),
            Just(ResizeMode::Squash)
        ]
    }

    proptest! {
        #[test]
        fn boxes_survive_the_round_trip(
            (tw, th) in (1usize..1300, 1usize..1300),
            (fw, fh) in (1usize..8000, 1usize..8000),
            mode in modes(),
            (x, y, w, h) in (-0.2f32..1.2, -0.2f32..1.2, 0.01f32..1.0, 0.01f32..1.0),
        ) {
            let plan = LetterboxPlan::for_frame(&spec(tw, th, mode), fw, fh);
            let (fw, fh) = (fw as f32, fh as f32);
            let rect = Rect::new(x * fw, y * fh, w * fw, h * fh);
            let back = plan.to_frame(plan.to_tensor(rect));
            // f32 keeps 24 bits; padding and offset cost a few of them.
            let close = |a: f32, b: f32, size: f32| (a - b).abs() <= size * 1e-4;
            prop_assert!(close(rect.x, back.x, fw) && close(rect.w, back.w, fw), "{rect:?} {back:?}");
            prop_assert!(close(rect.y, back.y, fh) && close(rect.h, back.h, fh), "{rect:?} {back:?}");
        }

        #[test]
        fn content_lies_in_the_tensor_and_shows_the_whole_frame(
            (tw, th) in (1usize..1300, 1usize..1300),
            (fw, fh) in (1usize..16384, 1usize..16384),
            mode in modes(),
        ) {
            let plan = LetterboxPlan::for_frame(&spec(tw, th, mode), fw, fh);
            let c = plan.content();
            prop_assert!(c.width >= 1 && c.left + c.width <= tw && c.height >= 1 && c.top + c.height <= th);
            let all = Rect::new(c.left as f32, c.top as f32, c.width as f32, c.height as f32);
            let frame = plan.to_frame(all);
            prop_assert!((frame.w - fw as f32).abs() <= 1e-2 + fw as f32 * 1e-5, "{frame:?}");
            prop_assert!((frame.h - fh as f32).abs() <= 1e-2 + fh as f32 * 1e-5, "{frame:?}");
        }
    }
}
