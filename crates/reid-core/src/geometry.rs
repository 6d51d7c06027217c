//! Axis-aligned boxes in pixels and what is computed from two of them.

/// A box: left, top, width and height in pixels of the frame it was found in. May lie partly or wholly outside.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect {
    /// Left edge, px.
    pub x: f32,
    /// Top edge, px.
    pub y: f32,
    /// Width, px; not negative in a valid box.
    pub w: f32,
    /// Height, px; not negative in a valid box.
    pub h: f32,
}

impl Rect {
    /// A box from its left, top, width and height.
    pub const fn new(x: f32, y: f32, w: f32, h: f32) -> Self {
        Self { x, y, w, h }
    }

    /// A box from two opposite corners (left, top, right, bottom).
    pub fn from_corners(x0: f32, y0: f32, x1: f32, y1: f32) -> Self {
        Self::new(x0, y0, x1 - x0, y1 - y0)
    }

    /// A box from its centre and size.
    pub fn from_centre(cx: f32, cy: f32, w: f32, h: f32) -> Self {
        Self::new(cx - w / 2.0, cy - h / 2.0, w, h)
    }

    /// Right edge, px.
    pub fn right(&self) -> f32 {
        self.x + self.w
    }

    /// Bottom edge, px.
    pub fn bottom(&self) -> f32 {
        self.y + self.h
    }

    /// Centre (x, y), px.
    pub fn centre(&self) -> (f32, f32) {
        (self.x + self.w / 2.0, self.y + self.h / 2.0)
    }

    /// Area in px²; zero for an empty or inverted box.
    pub fn area(&self) -> f32 {
        self.w.max(0.0) * self.h.max(0.0)
    }

    /// True when every number is finite and both sides are longer than zero.
    pub fn is_valid(&self) -> bool {
        [self.x, self.y, self.w, self.h]
            .iter()
            .all(|v| v.is_finite())
            && self.w > 0.0
            && self.h > 0.0
    }

    /// The part inside a frame of `width` × `height` px; `None` when nothing of the box lies inside or it is invalid.
    pub fn clipped(&self, width: f32, height: f32) -> Option<Self> {
        if !self.is_valid() {
            return None;
        }
        let clipped = Self::from_corners(
            self.x.max(0.0),
            self.y.max(0.0),
            self.right().min(width),
            self.bottom().min(height),
        );
        clipped.is_valid().then_some(clipped)
    }

    /// Area common to both boxes, px². Never negative: two boxes apart on both axes share nothing.
    pub fn intersection(&self, other: &Self) -> f32 {
        let w = self.right().min(other.right()) - self.x.max(other.x);
        let h = self.bottom().min(other.bottom()) - self.y.max(other.y);
        w.max(0.0) * h.max(0.0)
    }

    /// Intersection over union, 0..=1; 0 when either box is empty.
    pub fn iou(&self, other: &Self) -> f32 {
        let common = self.intersection(other);
        let union = self.area() + other.area() - common;
        if common > 0.0 && union > 0.0 {
            common / union
        } else {
            0.0
        }
    }

    /// The same box in a picture scaled by `sx` across and `sy` down.
    pub fn scaled(&self, sx: f32, sy: f32) -> Self {
        Self::new(self.x * sx, self.y * sy, self.w * sx, self.h * sy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_apart_on_both_axes_do_not_overlap() {
        let a = Rect::new(0.0, 0.0, 10.0, 10.0);
        let b = Rect::new(20.0, 20.0, 10.0, 10.0);
        assert_eq!(a.intersection(&b), 0.0);
        assert_eq!(a.iou(&b), 0.0);
    }

    #[test]
    fn iou_of_half_overlapping_boxes() {
        let a = Rect::new(0.0, 0.0, 10.0, 10.0);
        let b = Rect::new(5.0, 0.0, 10.0, 10.0);
        assert!((a.iou(&b) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(a.iou(&a), 1.0);
    }

    #[test]
    fn clipping_refuses_what_lies_outside_or_is_not_a_number() {
        assert_eq!(
            Rect::new(-5.0, -5.0, 10.0, 10.0).clipped(100.0, 100.0),
            Some(Rect::new(0.0, 0.0, 5.0, 5.0))
        );
        for bad in [
            Rect::new(200.0, 0.0, 10.0, 10.0),
            Rect::new(0.0, 0.0, 0.0, 10.0),
            Rect::new(f32::NAN, 0.0, 10.0, 10.0),
            Rect::new(0.0, 0.0, f32::INFINITY, 10.0),
        ] {
            assert_eq!(bad.clipped(100.0, 100.0), None, "{bad:?}");
        }
    }
}
