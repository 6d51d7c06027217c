//! The map between two pictures of one plane.

use crate::linear::Normal;

/// A place in a picture, px.
pub(in crate::identity) type Point = (f32, f32);

/// Unknowns: nine numbers up to a factor.
const UNKNOWNS: usize = 8;

/// A projective map of the plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::identity) struct Homography {
    /// Between the pictures' own coordinates, centred and scaled.
    h: [f64; 9],
    from: Frame,
    to: Frame,
}

/// Coordinates in which sums of squares are well behaved (Hartley, "In defense of the eight-point algorithm", 1997).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Frame {
    centre: (f64, f64),
    scale: (f64, f64),
}

impl Frame {
    fn of(points: impl Iterator<Item = Point> + Clone) -> Self {
        let n = points.clone().count().max(1) as f64;
        let sum = points.clone().fold((0.0, 0.0), |s, p| {
            (s.0 + f64::from(p.0), s.1 + f64::from(p.1))
        });
        let centre = (sum.0 / n, sum.1 / n);
        let apart = points.map(|p| (f64::from(p.0) - centre.0).hypot(f64::from(p.1) - centre.1));
        let scale = (apart.sum::<f64>() / n).max(1e-6);
        Self {
            centre,
            scale: (scale, scale),
        }
    }

    fn rescale(&mut self, (sx, sy): (f32, f32)) {
        for (value, by) in [
            (&mut self.centre.0, sx),
            (&mut self.centre.1, sy),
            (&mut self.scale.0, sx),
            (&mut self.scale.1, sy),
        ] {
            *value *= f64::from(by);
        }
    }

    fn inside(&self, p: Point) -> (f64, f64) {
        (
            (f64::from(p.0) - self.centre.0) / self.scale.0,
            (f64::from(p.1) - self.centre.1) / self.scale.1,
        )
    }
}

impl Homography {
    /// The map that brings the first point of each pair to the second with the least squares of the linear equations
    /// (direct linear transformation). `None` for fewer than four pairs, or when they lie on a line.
    pub fn fit(pairs: &[(Point, Point)]) -> Option<Self> {
        if pairs.len() < 4 {
            return None;
        }
        let from = Frame::of(pairs.iter().map(|p| p.0));
        let to = Frame::of(pairs.iter().map(|p| p.1));
        let mut normal = Normal::<UNKNOWNS>::default();
        for &(p, q) in pairs {
            let ((x, y), (u, v)) = (from.inside(p), to.inside(q));
            let rows = [
                ([x, y, 1.0, 0.0, 0.0, 0.0, -u * x, -u * y], u),
                ([0.0, 0.0, 0.0, x, y, 1.0, -v * x, -v * y], v),
            ];
            for (row, right) in rows {
                normal.add(&row, right, 1.0);
            }
        }
        let h = normal.solve()?;
        Some(Self {
            h: std::array::from_fn(|i| h.get(i).copied().unwrap_or(1.0)),
            from,
            to,
        })
    }

    /// The same map between pictures scaled by so much across and down, the one it leads from and the one it leads to.
    pub fn rescale(&mut self, from: (f32, f32), to: (f32, f32)) {
        self.from.rescale(from);
        self.to.rescale(to);
    }

    /// Where a point goes; `None` for one on or beyond the horizon.
    pub fn apply(&self, p: Point) -> Option<Point> {
        let (x, y) = self.from.inside(p);
        let h = &self.h;
        let w = h[6] * x + h[7] * y + h[8];
        if w < 1e-3 {
            return None;
        }
        let u = (h[0] * x + h[1] * y + h[2]) / w;
        let v = (h[3] * x + h[4] * y + h[5]) / w;
        let to = &self.to;
        let q = (
            (u * to.scale.0 + to.centre.0) as f32,
            (v * to.scale.1 + to.centre.1) as f32,
        );
        (q.0.is_finite() && q.1.is_finite()).then_some(q)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A floor seen by a camera that looks along it.
    fn seen(p: Point) -> Point {
        let far = 4.0 + 0.5 * p.1 + 0.2 * p.0;
        (
            320.0 + 400.0 * (p.0 - 0.1 * p.1) / far,
            100.0 + 1200.0 / far,
        )
    }

    fn pairs() -> Vec<(Point, Point)> {
        let grid = (0..25).map(|i| ((i % 5) as f32, (i / 5) as f32));
        grid.map(|p| (p, seen(p))).collect()
    }

    #[test]
    fn a_seen_floor_is_mapped_back_and_forth() {
        let pairs = pairs();
        let swapped: Vec<(Point, Point)> = pairs.iter().map(|&(a, b)| (b, a)).collect();
        for four in [&pairs[..], &[pairs[0], pairs[4], pairs[20], pairs[23]]] {
            let map = Homography::fit(four).expect("a map");
            for &(p, q) in &pairs {
                let (x, y) = map.apply(p).expect("in front");
                assert!((x - q.0).hypot(y - q.1) < 0.01, "{p:?}");
            }
        }
        let back = Homography::fit(&swapped).expect("a map");
        let (x, y) = back.apply(seen((2.5, 1.5))).expect("in front");
        assert!((x - 2.5).hypot(y - 1.5) < 1e-3);
        assert_eq!(back.apply((320.0, -1000.0)), None, "beyond the horizon");
    }

    #[test]
    fn a_map_goes_on_between_scaled_pictures() {
        let pairs = pairs();
        let mut map = Homography::fit(&pairs).expect("a map");
        map.rescale((2.0, 3.0), (1.5, 0.5));
        for &(p, q) in &pairs {
            let (x, y) = map.apply((2.0 * p.0, 3.0 * p.1)).expect("in front");
            assert!((x - 1.5 * q.0).hypot(y - 0.5 * q.1) < 0.02, "{p:?}");
        }
    }

    #[test]
    fn what_fixes_no_map_gives_none() {
        assert_eq!(Homography::fit(&pairs()[..3]), None);
        let line: Vec<(Point, Point)> = pairs().into_iter().take(5).collect();
        assert_eq!(Homography::fit(&line), None, "all on a line");
        assert_eq!(Homography::fit(&[((1.0, 1.0), (2.0, 2.0)); 9]), None);
    }
}
