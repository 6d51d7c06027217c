//! Where the boxes of one picture lie in another that was made of it: copied, scaled and, with what GStreamer 1.28 and newer
//! tell of it, cropped, turned by quarters, mirrored or put between borders.

use glib::translate::FromGlib;

use super::people::FrameSize;
use crate::core::geometry::Rect;

/// A map of boxes onto boxes: `x' = xx x + xy y + x0`, `y' = yx x + yy y + y0`, px. Either `xy` and `yx` are 0 or `xx` and `yy`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mapping {
    /// The size of the new picture.
    pub frame: FrameSize,
    xx: f32,
    xy: f32,
    x0: f32,
    yx: f32,
    yy: f32,
    y0: f32,
}

impl Mapping {
    fn scaled(frame: FrameSize, sx: f32, sy: f32) -> Self {
        Self {
            frame,
            xx: sx,
            xy: 0.0,
            x0: 0.0,
            yx: 0.0,
            yy: sy,
            y0: 0.0,
        }
    }

    /// What a meta's transform function is told; `None` when the boxes do not survive it.
    ///
    /// # Safety
    /// `data` must be what GStreamer passes to a meta's transform function for `kind`.
    pub unsafe fn read(
        before: FrameSize,
        kind: glib::ffi::GQuark,
        data: glib::ffi::gpointer,
    ) -> Option<Self> {
        // SAFETY: a quark of GStreamer's is a quark of this process.
        let kind = unsafe { Option::<glib::Quark>::from_glib(kind)? };
        let name = kind.as_str();
        if name == "gst-copy" {
            return Some(Self::scaled(before, 1.0, 1.0));
        }
        if data.is_null() {
            return None;
        }
        match name.as_str() {
            "gst-video-scale" => {
                // SAFETY: the scale transform passes a `GstVideoMetaTransform` with both infos set.
                let (from, to) = unsafe {
                    let transform = &*data.cast::<gst_video::ffi::GstVideoMetaTransform>();
                    (size(transform.in_info), size(transform.out_info))
                };
                let (sx, sy) = (
                    to.width as f32 / before.width as f32,
                    to.height as f32 / before.height as f32,
                );
                (from == before).then(|| Self::scaled(to, sx, sy))
            }
            "gst-video-matrix" => {
                // SAFETY: the matrix transform passes a `GstVideoMetaTransformMatrix` with both infos set.
                let (from, mapping) = unsafe {
                    let transform = &*data.cast::<gst_video::ffi::GstVideoMetaTransformMatrix>();
                    (size(transform.in_info), Self::of_matrix(transform))
                };
                mapping.filter(|_| from == before)
            }
            _ => None,
        }
    }

    /// The matrix maps points of the rectangle in the old picture to points of that in the new one, both from their own corners.
    ///
    /// # Safety
    /// `out_info` must be set.
    unsafe fn of_matrix(transform: &gst_video::ffi::GstVideoMetaTransformMatrix) -> Option<Self> {
        let [xx, xy, x1, yx, yy, y1, px, py, one] = transform.matrix;
        let is_flat = px == 0.0 && py == 0.0 && one == 1.0;
        let is_upright = xy == 0.0 && yx == 0.0 && xx != 0.0 && yy != 0.0;
        let is_turned = xx == 0.0 && yy == 0.0 && xy != 0.0 && yx != 0.0;
        if !transform.matrix.iter().all(|v| v.is_finite()) || !is_flat || !(is_upright || is_turned)
        {
            return None;
        }
        let (from, to) = (transform.in_rectangle, transform.out_rectangle);
        let (left, top) = (from.x as f32, from.y as f32);
        Some(Self {
            // SAFETY: as promised by the caller.
            frame: unsafe { size(transform.out_info) },
            xx,
            xy,
            x0: x1 + to.x as f32 - xx * left - xy * top,
            yx,
            yy,
            y0: y1 + to.y as f32 - yx * left - yy * top,
        })
    }

    fn point(&self, x: f32, y: f32) -> (f32, f32) {
        (
            self.xx * x + self.xy * y + self.x0,
            self.yx * x + self.yy * y + self.y0,
        )
    }

    /// The box in the new picture, px; `None` when nothing of it is in there.
    pub fn apply(&self, rect: &Rect) -> Option<Rect> {
        let (ax, ay) = self.point(rect.x, rect.y);
        let (bx, by) = self.point(rect.right(), rect.bottom());
        let mapped = Rect::from_corners(ax.min(bx), ay.min(by), ax.max(bx), ay.max(by));
        mapped.clipped(self.frame.width as f32, self.frame.height as f32)?;
        Some(mapped)
    }

    /// True when nothing moves.
    pub fn is_identity(&self) -> bool {
        *self == Self::scaled(self.frame, 1.0, 1.0)
    }
}

/// # Safety
/// `info` must point to a valid info.
unsafe fn size(info: *const gst_video::ffi::GstVideoInfo) -> FrameSize {
    // SAFETY: as promised by the caller.
    let info = unsafe { &*info };
    FrameSize {
        width: info.width as u32,
        height: info.height as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glib::translate::{IntoGlib, ToGlibPtr};
    use gst_video::ffi::{GstVideoMetaTransformMatrix, GstVideoRectangle};

    const WIDE: FrameSize = FrameSize {
        width: 200,
        height: 100,
    };

    fn rectangle(x: i32, y: i32, w: i32, h: i32) -> GstVideoRectangle {
        GstVideoRectangle { x, y, w, h }
    }

    /// Where a box of a picture of 200x100 px is behind this matrix.
    fn mapped(
        matrix: [f32; 9],
        from: GstVideoRectangle,
        to: GstVideoRectangle,
        frame: (u32, u32),
        rect: Rect,
    ) -> Option<Option<Rect>> {
        gst::init().unwrap();
        let info = |width, height| {
            let format = gst_video::VideoFormat::Gray8;
            let info = gst_video::VideoInfo::builder(format, width, height);
            info.build().unwrap()
        };
        let (before, after) = (info(WIDE.width, WIDE.height), info(frame.0, frame.1));
        let mut data = GstVideoMetaTransformMatrix {
            in_info: before.to_glib_none().0,
            in_rectangle: from,
            out_info: after.to_glib_none().0,
            out_rectangle: to,
            matrix,
        };
        let kind = glib::Quark::from_str("gst-video-matrix").into_glib();
        // SAFETY: what the kind stands for.
        let mapping = unsafe { Mapping::read(WIDE, kind, std::ptr::from_mut(&mut data).cast()) };
        mapping.map(|mapping| {
            let (width, height) = frame;
            assert_eq!(mapping.frame, FrameSize { width, height });
            mapping.apply(&rect)
        })
    }

    #[test]
    fn boxes_follow_what_matrices_say() {
        let rect = Rect::new(60.0, 20.0, 30.0, 50.0);
        let whole = rectangle(0, 0, 200, 100);
        let scale = |sx: f32, sy: f32| [sx, 0.0, 0.0, 0.0, sy, 0.0, 0.0, 0.0, 1.0];
        let found = |x, y, w, h| Some(Some(Rect::new(x, y, w, h)));
        let cut = rectangle(50, 10, 100, 80);
        let letterbox = rectangle(0, 25, 100, 50);
        let mirrored = [-1.0, 0.0, 200.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        let clockwise = [0.0, -1.0, 100.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        let slanted = [1.0, 0.5, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        let cases = [
            (
                scale(1.0, 1.0),
                cut,
                rectangle(0, 0, 100, 80),
                (100, 80),
                found(10.0, 10.0, 30.0, 50.0),
            ),
            (
                scale(0.5, 0.5),
                whole,
                letterbox,
                (100, 100),
                found(30.0, 35.0, 15.0, 25.0),
            ),
            (
                mirrored,
                whole,
                whole,
                (200, 100),
                found(110.0, 20.0, 30.0, 50.0),
            ),
            (
                clockwise,
                whole,
                rectangle(0, 0, 100, 200),
                (100, 200),
                found(30.0, 60.0, 50.0, 30.0),
            ),
            (slanted, whole, whole, (200, 100), None),
            (scale(f32::NAN, 1.0), whole, whole, (200, 100), None),
            // Cut away.
            (
                scale(1.0, 1.0),
                rectangle(100, 0, 50, 100),
                rectangle(0, 0, 50, 100),
                (50, 100),
                Some(None),
            ),
        ];
        for (matrix, from, to, frame, expected) in cases {
            assert_eq!(
                mapped(matrix, from, to, frame, rect),
                expected,
                "{matrix:?}"
            );
        }
    }
}
