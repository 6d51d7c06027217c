//! Where a box will be: a Kalman filter with constant velocity, in seconds.
//!
//! The state is that of BoT-SORT (Aharon et al. 2022): centre, width and height with their velocities. All its noise
//! matrices are diagonal, so no coordinate ever learns from another and the 8 × 8 filter is exactly four filters of
//! two numbers each, which is what is written here. DeepSORT's noise figures are given a frame at about 30 frames a
//! second; here they are rates a second, so that any frame rate, gap or dropped frame gives the same uncertainty.
//!
//! A box is trusted less, and a walk more, than DeepSORT does: small detectors' boxes jump by a tenth of their size from
//! frame to frame while people keep their pace and shape.

use crate::geometry::Rect;

/// Frames a second that the published noise figures were tuned at (MOT16 and MOT17: 25 to 30).
const REFERENCE_RATE: f32 = 30.0;
/// Standard deviation of a new track's position, as a part of the box's size (DeepSORT, `initiate`: 2 / 20) …
const INITIAL_POSITION: f32 = 1.0 / 10.0;
/// … and of its velocity a frame (DeepSORT: 10 / 160).
const INITIAL_VELOCITY: f32 = 1.0 / 16.0;

/// How much a coordinate is expected to change by itself and to be measured wrongly, standard deviations as parts of the
/// box's size.
#[derive(Clone, Copy, Debug)]
struct Noise {
    /// Of the position, a frame.
    position: f32,
    /// Of the velocity, a frame.
    velocity: f32,
    /// Of a measured box.
    measurement: f32,
}

/// The centre. DeepSORT has 1/20, 1/160 and 1/20. Half the first two and two and a half times the last give 1 to 2 HOTA
/// with each of four detectors on TC-pedestrians and on simulated detections of CAMPUS and TUD, flat from 2 to 3 times.
const PLACE: Noise = Noise {
    position: 1.0 / 40.0,
    velocity: 1.0 / 320.0,
    measurement: 1.0 / 8.0,
};
/// Width and height: they swing with the stride, and a person hardly grows (ByteTrack holds the shape all but constant).
const SIZE: Noise = Noise {
    position: 1.0 / 40.0,
    velocity: 1.0 / 1600.0,
    measurement: 1.0 / 10.0,
};
/// A prediction never shrinks a box below this many pixels.
const MIN_SIDE_PX: f32 = 1.0;

/// One coordinate: its value, its rate a second and their covariance.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Axis {
    value: f32,
    rate: f32,
    var_value: f32,
    covariance: f32,
    var_rate: f32,
}

impl Axis {
    fn new(value: f32, size: f32) -> Self {
        let position = INITIAL_POSITION * size;
        let velocity = INITIAL_VELOCITY * size * REFERENCE_RATE;
        Self {
            value,
            rate: 0.0,
            var_value: position * position,
            covariance: 0.0,
            var_rate: velocity * velocity,
        }
    }

    /// `seconds` later; `size` scales the noise. White noise on the velocity, integrated exactly, so that two short
    /// steps equal a long one.
    fn predict(&mut self, seconds: f32, size: f32, noise: &Noise) {
        let position = noise.position * size;
        let velocity = noise.velocity * size * REFERENCE_RATE;
        let position_noise = position * position * REFERENCE_RATE;
        let velocity_noise = velocity * velocity * REFERENCE_RATE;
        let (t, t2) = (seconds, seconds * seconds);
        self.value += self.rate * t;
        self.var_value += 2.0 * t * self.covariance
            + t2 * self.var_rate
            + position_noise * t
            + velocity_noise * t2 * t / 3.0;
        self.covariance += t * self.var_rate + velocity_noise * t2 / 2.0;
        self.var_rate += velocity_noise * t;
    }

    /// The unit of length is another: what was 1 is `scale` now.
    fn rescale(&mut self, scale: f32) {
        self.value *= scale;
        self.rate *= scale;
        self.var_value *= scale * scale;
        self.covariance *= scale * scale;
        self.var_rate *= scale * scale;
    }

    fn update(&mut self, measured: f32, size: f32, noise: &Noise) {
        let deviation = noise.measurement * size;
        let total = self.var_value + deviation * deviation;
        if total <= 0.0 {
            return;
        }
        let gain_value = self.var_value / total;
        let gain_rate = self.covariance / total;
        let error = measured - self.value;
        self.value += gain_value * error;
        self.rate += gain_rate * error;
        self.var_rate -= gain_rate * self.covariance;
        self.covariance *= 1.0 - gain_value;
        self.var_value *= 1.0 - gain_value;
    }
}

/// The motion of one box.
#[derive(Clone, Debug, PartialEq)]
pub struct Motion {
    x: Axis,
    y: Axis,
    w: Axis,
    h: Axis,
}

impl Motion {
    /// A box seen for the first time, at rest.
    pub fn new(rect: &Rect) -> Self {
        let (cx, cy) = rect.centre();
        Self {
            x: Axis::new(cx, rect.w),
            y: Axis::new(cy, rect.h),
            w: Axis::new(rect.w, rect.w),
            h: Axis::new(rect.h, rect.h),
        }
    }

    /// Moves the box `seconds` ahead. With `keep_size` it neither grows nor shrinks: the size of a box that nobody
    /// sees must not run away (ByteTrack does the same for lost tracks).
    pub fn predict(&mut self, seconds: f32, keep_size: bool) {
        if keep_size {
            self.w.rate = 0.0;
            self.h.rate = 0.0;
        }
        let (w, h) = (self.w.value, self.h.value);
        self.x.predict(seconds, w, &PLACE);
        self.w.predict(seconds, w, &SIZE);
        self.y.predict(seconds, h, &PLACE);
        self.h.predict(seconds, h, &SIZE);
        self.w.value = self.w.value.max(MIN_SIDE_PX);
        self.h.value = self.h.value.max(MIN_SIDE_PX);
    }

    /// Moves the box without its velocity: the whole picture moved by this many px.
    pub fn shift(&mut self, x: f32, y: f32) {
        self.x.value += x;
        self.y.value += y;
    }

    /// The same motion in a picture scaled by `sx` across and `sy` down.
    pub fn rescale(&mut self, sx: f32, sy: f32) {
        for (axis, scale) in [
            (&mut self.x, sx),
            (&mut self.y, sy),
            (&mut self.w, sx),
            (&mut self.h, sy),
        ] {
            axis.rescale(scale);
        }
    }

    /// Takes in a box measured now.
    pub fn update(&mut self, rect: &Rect) {
        let (cx, cy) = rect.centre();
        let (w, h) = (self.w.value, self.h.value);
        self.x.update(cx, w, &PLACE);
        self.w.update(rect.w, w, &SIZE);
        self.y.update(cy, h, &PLACE);
        self.h.update(rect.h, h, &SIZE);
        self.w.value = self.w.value.max(MIN_SIDE_PX);
        self.h.value = self.h.value.max(MIN_SIDE_PX);
    }

    /// The observation-centric re-update of OC-SORT (Cao et al. 2023): a box found again after `seconds` unseen is
    /// taken to have moved in a straight line since `from`, and the filter, as it was then, is led along that line in
    /// `steps` steps. What it drifted meanwhile is forgotten.
    pub fn update_after_gap(&mut self, from: &Rect, to: &Rect, seconds: f32, steps: u32) {
        let steps = steps.clamp(1, MAX_GAP_STEPS);
        let step = seconds / steps as f32;
        for i in 1..=steps {
            let part = i as f32 / steps as f32;
            let between = |a: f32, b: f32| a + (b - a) * part;
            self.predict(step, false);
            self.update(&Rect::new(
                between(from.x, to.x),
                between(from.y, to.y),
                between(from.w, to.w),
                between(from.h, to.h),
            ));
        }
    }

    /// The box now.
    pub fn rect(&self) -> Rect {
        Rect::from_centre(self.x.value, self.y.value, self.w.value, self.h.value)
    }

    /// Standard deviation of the centre across and down, px.
    pub fn spread(&self) -> (f32, f32) {
        (
            self.x.var_value.max(0.0).sqrt(),
            self.y.var_value.max(0.0).sqrt(),
        )
    }

    /// How fast the centre moves across and down, px a second.
    pub fn pace(&self) -> (f32, f32) {
        (self.x.rate, self.y.rate)
    }

    /// True while every number is finite.
    pub fn is_finite(&self) -> bool {
        [self.x, self.y, self.w, self.h].iter().all(|a| {
            a.value.is_finite()
                && a.rate.is_finite()
                && a.var_value.is_finite()
                && a.var_rate.is_finite()
        })
    }
}

/// A long gap is replayed in at most this many steps: two seconds at the reference rate.
const MAX_GAP_STEPS: u32 = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Rect = Rect::new(100.0, 50.0, 40.0, 100.0);

    fn moved(seconds: f32) -> Rect {
        Rect::new(100.0 + 60.0 * seconds, 50.0 - 20.0 * seconds, 40.0, 100.0)
    }

    fn close(a: f32, b: f32, tolerance: f32) -> bool {
        (a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs()))
    }

    proptest! {
        #[test]
        fn two_short_steps_equal_a_long_one(first in 0.001_f32..1.0, second in 0.001_f32..1.0) {
            let mut axis = Axis::new(100.0, 40.0);
            axis.rate = 12.0;
            let mut other = axis;
            axis.predict(first, 40.0, &PLACE);
            axis.predict(second, 40.0, &PLACE);
            other.predict(first + second, 40.0, &PLACE);
            for (a, b) in [
                (axis.value, other.value),
                (axis.var_value, other.var_value),
                (axis.covariance, other.covariance),
                (axis.var_rate, other.var_rate),
            ] {
                prop_assert!(close(a, b, 1e-4), "{a} {b}");
            }
        }

        #[test]
        fn nothing_runs_away(steps in proptest::collection::vec((0.0_f32..20.0, proptest::option::of(-50.0_f32..50.0)), 1..60)) {
            let mut motion = Motion::new(&START);
            for (seconds, seen) in steps {
                motion.predict(seconds, seen.is_none());
                if let Some(shift) = seen {
                    motion.update(&Rect::new(100.0 + shift, 50.0, 40.0 + shift * 0.5, 100.0));
                }
                prop_assert!(motion.is_finite());
                prop_assert!(motion.rect().is_valid());
            }
        }
    }

    #[test]
    fn steady_walks_are_predicted_at_any_frame_rate() {
        for rate in [5.0_f32, 10.0, 25.0, 60.0] {
            let mut motion = Motion::new(&START);
            let frames = (rate * 2.0) as usize;
            for i in 1..=frames {
                motion.predict(1.0 / rate, false);
                motion.update(&moved(i as f32 / rate));
            }
            motion.predict(0.5, true);
            let truth = moved(frames as f32 / rate + 0.5);
            let (x, y) = motion.rect().centre();
            let (tx, ty) = truth.centre();
            assert!(
                (x - tx).abs() < 3.0 && (y - ty).abs() < 3.0,
                "{rate}: {x},{y} for {tx},{ty}"
            );
        }
    }

    #[test]
    fn a_scaled_picture_shows_the_same_motion() {
        let follow = |sx: f32, sy: f32, change_at: usize| {
            let mut motion = Motion::new(&moved(0.0));
            for i in 1..40 {
                let is_scaled = i > change_at;
                if i == change_at + 1 {
                    motion.rescale(sx, sy);
                }
                let rect = moved(i as f32 / 25.0);
                motion.predict(1.0 / 25.0, false);
                motion.update(&if is_scaled { rect.scaled(sx, sy) } else { rect });
            }
            let ((px, py), (x, y)) = (motion.spread(), motion.rect().centre());
            [px / sx, py / sy, x / sx, y / sy]
        };
        let (plain, scaled) = (follow(1.0, 1.0, 20), follow(2.0, 1.5, 20));
        for (a, b) in plain.into_iter().zip(scaled) {
            assert!(close(a, b, 1e-3), "{plain:?} {scaled:?}");
        }
    }

    #[test]
    fn after_a_gap_the_velocity_is_that_of_the_straight_line() {
        let mut motion = Motion::new(&START);
        let frozen = motion.clone();
        motion.predict(1.0, true);
        let mut found = frozen;
        found.update_after_gap(&START, &moved(1.0), 1.0, 30);
        found.predict(0.5, false);
        let (x, _) = found.rect().centre();
        let (truth, _) = moved(1.5).centre();
        assert!((x - truth).abs() < 6.0, "{x} for {truth}");
    }
}
