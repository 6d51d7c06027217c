//! Noticing that a detector runs and finds nothing, and saying once what is probably wrong.

use std::fmt;

use super::Decoded;

/// Frames looked at before silence is remarkable: ten seconds at 25 frames a second.
pub const SILENT_FRAMES: u64 = 250;

/// Frames whose scores are all exactly zero, or whose boxes all lie outside of the picture, before that is remarkable. Models with
/// 8-bit outputs give such frames where nothing is in view.
pub const ZERO_FRAMES: u64 = 25;

/// Something that the user should know. Each kind is said once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Remark {
    /// Nothing has ever passed; how many frames were looked at, the best score seen and the threshold.
    NothingPasses {
        /// Frames looked at.
        frames: u64,
        /// Highest score seen so far.
        best: f32,
        /// Threshold it had to reach.
        threshold: f32,
    },
    /// Scores pass, but not one of the boxes lies in the picture.
    NothingInside {
        /// Highest score seen so far.
        best: f32,
    },
    /// Every score of the classes to find is exactly zero in every frame.
    AllZero,
    /// So many numbers of this frame are NaN or infinite.
    NotFinite(usize),
    /// So many scores of this frame are above 1.
    Implausible(usize),
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingPasses {
                frames,
                best,
                threshold,
            } => write!(
                f,
                "nothing was found in {frames} frames: the best score seen is {best:.3}, 'threshold' is {threshold:.3}. If people are in view, lower 'threshold', or check how the model wants its pictures (sidecar)"
            ),
            Self::NothingInside { best } => write!(
                f,
                "scores reach {best:.3}, but every box is empty or lies outside of the picture: the model writes its boxes in another way. Set the property 'layout', or the size of its input in the .toml file (width, height)"
            ),
            Self::AllZero => write!(
                f,
                "every score of the classes to find is exactly zero so far. If such objects are in view, the model is broken, as by quantizing boxes and scores with one scale: use another file"
            ),
            Self::NotFinite(count) => write!(
                f,
                "the model gave {count} numbers that are not finite; they are dropped and counted in 'stats'. Half precision or a broken export is the usual cause"
            ),
            Self::Implausible(count) => write!(
                f,
                "the model gave {count} scores above 1; they are dropped. The output layout is probably another one: set the property 'layout'"
            ),
        }
    }
}

/// What a detector has shown so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    frames: u64,
    best: f32,
    threshold: f32,
    misplaced: usize,
    has_found: bool,
    has_said_silent: bool,
    has_said_zero: bool,
    has_said_not_finite: bool,
    has_said_implausible: bool,
}

impl Health {
    /// Takes note of a frame's outcome: what was decoded, how many boxes were kept, at which threshold. Returns what is
    /// to be said, the gravest first and at most one a frame.
    pub fn note(&mut self, decoded: &Decoded, kept: usize, threshold: f32) -> Option<Remark> {
        self.frames += 1;
        self.best = self.best.max(decoded.best_score.unwrap_or(0.0));
        self.threshold = threshold;
        self.misplaced = self.misplaced.saturating_add(decoded.misplaced);
        self.has_found |= kept > 0;
        if decoded.not_finite > 0 && !std::mem::replace(&mut self.has_said_not_finite, true) {
            return Some(Remark::NotFinite(decoded.not_finite));
        }
        if decoded.implausible > 0 && !std::mem::replace(&mut self.has_said_implausible, true) {
            return Some(Remark::Implausible(decoded.implausible));
        }
        self.note_silence(decoded)
    }

    /// What is to be said at the end of a stream that was too short for [`Self::note`] to say it.
    pub fn at_end(&mut self) -> Option<Remark> {
        let is_silent = self.frames > 0 && !self.has_found && !self.has_said_zero;
        if !is_silent || std::mem::replace(&mut self.has_said_silent, true) {
            return None;
        }
        Some(self.silence())
    }

    fn note_silence(&mut self, decoded: &Decoded) -> Option<Remark> {
        // An empty output (suppression inside the model) has no scores at all, which is not zero.
        let is_zero = self.best == 0.0 && decoded.best_score.is_some();
        if is_zero && self.frames >= ZERO_FRAMES && !self.has_said_zero {
            self.has_said_zero = true;
            return Some(Remark::AllZero);
        }
        let patience = match self.misplaced {
            0 => SILENT_FRAMES,
            _ => ZERO_FRAMES,
        };
        let is_silent = !self.has_found && !self.has_said_zero && self.frames >= patience;
        if is_silent && !std::mem::replace(&mut self.has_said_silent, true) {
            return Some(self.silence());
        }
        None
    }

    /// Why nothing was found.
    fn silence(&self) -> Remark {
        let Self {
            frames,
            best,
            threshold,
            ..
        } = *self;
        match self.misplaced {
            0 => Remark::NothingPasses {
                frames,
                best,
                threshold,
            },
            _ => Remark::NothingInside { best },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(best_score: Option<f32>) -> Decoded {
        Decoded {
            best_score,
            ..Decoded::default()
        }
    }

    fn remarks(frames: u64, decoded: &Decoded, kept: usize) -> Vec<(u64, Remark)> {
        let mut health = Health::default();
        (1..=frames)
            .filter_map(|i| Some((i, health.note(decoded, kept, 0.5)?)))
            .collect()
    }

    #[test]
    fn silence_is_remarked_once_with_the_best_score() {
        let silent = Remark::NothingPasses {
            frames: SILENT_FRAMES,
            best: 0.48,
            threshold: 0.5,
        };
        assert_eq!(
            remarks(1000, &seen(Some(0.48)), 0),
            [(SILENT_FRAMES, silent)]
        );
        assert!(silent.to_string().contains("0.480"));
        assert_eq!(remarks(1000, &seen(Some(0.9)), 1), []);
        let empty = Remark::NothingPasses {
            frames: SILENT_FRAMES,
            best: 0.0,
            threshold: 0.5,
        };
        assert_eq!(remarks(1000, &seen(None), 0), [(SILENT_FRAMES, empty)]);
    }

    #[test]
    fn boxes_outside_of_the_picture_are_no_matter_of_the_threshold() {
        let outside = Decoded {
            misplaced: 3,
            ..seen(Some(0.9))
        };
        let expected = Remark::NothingInside { best: 0.9 };
        assert_eq!(remarks(1000, &outside, 0), [(ZERO_FRAMES, expected)]);
        assert!(expected.to_string().contains("'layout'"));
        assert_eq!(remarks(1000, &outside, 1), []);
    }

    #[test]
    fn a_short_stream_without_a_find_is_remarked_at_its_end() {
        let at_end = |frames, kept| {
            let mut health = Health::default();
            for _ in 0..frames {
                health.note(&seen(Some(0.2)), kept, 0.25);
            }
            (health.at_end(), health.at_end())
        };
        let expected = Remark::NothingPasses {
            frames: 7,
            best: 0.2,
            threshold: 0.25,
        };
        assert_eq!(at_end(7, 0), (Some(expected), None));
        for (frames, kept) in [(0, 0), (7, 1), (SILENT_FRAMES, 0)] {
            assert_eq!(at_end(frames, kept), (None, None), "{frames} {kept}");
        }
    }

    #[test]
    fn zeros_are_remarked_once() {
        assert_eq!(
            remarks(1000, &seen(Some(0.0)), 0),
            [(ZERO_FRAMES, Remark::AllZero)]
        );
    }

    #[test]
    fn what_cannot_be_is_remarked_at_once() {
        let nan = Decoded {
            not_finite: 3,
            ..seen(None)
        };
        assert_eq!(remarks(10, &nan, 1), [(1, Remark::NotFinite(3))]);
        let logits = Decoded {
            implausible: 2,
            ..seen(Some(0.9))
        };
        assert_eq!(remarks(10, &logits, 1), [(1, Remark::Implausible(2))]);
    }
}
