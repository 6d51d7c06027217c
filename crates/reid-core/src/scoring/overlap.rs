//! Overlap in double precision: scores count boxes at a threshold, where the last digit decides.

use super::ratio;
use crate::geometry::Rect;

/// Intersection over union, 0..=1, computed in f64 as the reference programs do; 0 when either box is empty.
pub fn iou(a: &Rect, b: &Rect) -> f64 {
    let common = common(a, b);
    ratio(common, area(a) + area(b) - common)
}

/// Part of `a` that lies in `b`, 0..=1; 0 when either box is empty.
pub fn share_within(a: &Rect, b: &Rect) -> f64 {
    ratio(common(a, b), area(a))
}

/// Area of both at once, px².
fn common(a: &Rect, b: &Rect) -> f64 {
    let [ax0, ay0, ax1, ay1] = corners(a);
    let [bx0, by0, bx1, by1] = corners(b);
    (ax1.min(bx1) - ax0.max(bx0)).max(0.0) * (ay1.min(by1) - ay0.max(by0)).max(0.0)
}

/// Area in px², f64.
pub fn area(rect: &Rect) -> f64 {
    f64::from(rect.w).max(0.0) * f64::from(rect.h).max(0.0)
}

/// Left, top, right, bottom.
fn corners(r: &Rect) -> [f64; 4] {
    let (x, y) = (f64::from(r.x), f64::from(r.y));
    [x, y, x + f64::from(r.w), y + f64::from(r.h)]
}
