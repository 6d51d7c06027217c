//! Sanity check of a detector that runs and finds nothing: warns once, with the probable cause.

use std::fmt;

use super::Decoded;

/// Frames without a detection before the warning: ten seconds at 25 frames per second.
pub const SILENT_FRAMES: u64 = 250;

/// Frames whose scores are all exactly zero, or whose boxes all lie outside the picture, before the warning. Models with 8-bit
/// outputs give such frames where nothing is in view.
pub const ZERO_FRAMES: u64 = 25;

/// A warning for the user. Each kind is given once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warning {
    /// No detection has ever passed the threshold.
    NothingPasses {
        /// Frames with inference.
        frames: u64,
        /// Highest score seen so far.
        best: f32,
        /// The threshold.
        threshold: f32,
    },
    /// Scores pass, but every box lies outside the picture.
    NothingInside {
        /// Highest score seen so far.
        best: f32,
    },
    /// Every score of the classes to find is exactly zero in every frame.
    AllZero,
    /// Number of values of this frame that are NaN or infinite.
    NotFinite(usize),
    /// Number of scores of this frame above 1.
    Implausible(usize),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingPasses {
                frames,
                best,
                threshold,
            } => write!(
                f,
                "nothing was found in {frames} frames: the best score seen is {best:.3}, 'threshold' is {threshold:.3}. If people are in view, lower 'threshold', or check the preprocessing that the model expects (.toml file)"
            ),
            Self::NothingInside { best } => write!(
                f,
                "scores reach {best:.3}, but every box is empty or lies outside the picture: the model's boxes have another layout. Set the property 'layout', or the size of its input in the .toml file (width, height)"
            ),
            Self::AllZero => write!(
                f,
                "every score of the classes to find is exactly zero so far. If such objects are in view, the model is broken, for instance because boxes and scores were quantised with one scale: use another file"
            ),
            Self::NotFinite(count) => write!(
                f,
                "the model gave {count} values that are not finite; they are dropped and counted in 'stats'. Half precision or a broken export is the usual cause"
            ),
            Self::Implausible(count) => write!(
                f,
                "the model gave {count} scores above 1; they are dropped. The output layout is probably a different one: set the property 'layout'"
            ),
        }
    }
}

/// What was seen of a detector so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SanityCheck {
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

impl SanityCheck {
    /// Takes the outcome of a frame: what was decoded, how many boxes were kept, at which threshold. Returns at most one
    /// warning per frame, the most severe first.
    pub fn note(&mut self, decoded: &Decoded, kept: usize, threshold: f32) -> Option<Warning> {
        self.frames += 1;
        self.best = self.best.max(decoded.best_score.unwrap_or(0.0));
        self.threshold = threshold;
        self.misplaced = self.misplaced.saturating_add(decoded.misplaced);
        self.has_found |= kept > 0;
        if decoded.not_finite > 0 && !std::mem::replace(&mut self.has_said_not_finite, true) {
            return Some(Warning::NotFinite(decoded.not_finite));
        }
        if decoded.implausible > 0 && !std::mem::replace(&mut self.has_said_implausible, true) {
            return Some(Warning::Implausible(decoded.implausible));
        }
        self.note_silence(decoded)
    }

    /// The warning at the end of a stream that was too short for [`Self::note`] to give it.
    pub fn at_end(&mut self) -> Option<Warning> {
        let is_silent = self.frames > 0 && !self.has_found && !self.has_said_zero;
        if !is_silent || std::mem::replace(&mut self.has_said_silent, true) {
            return None;
        }
        Some(self.silence())
    }

    fn note_silence(&mut self, decoded: &Decoded) -> Option<Warning> {
        // An empty output (suppression inside the model) has no scores at all, which is not zero.
        let is_zero = self.best == 0.0 && decoded.best_score.is_some();
        if is_zero && self.frames >= ZERO_FRAMES && !self.has_said_zero {
            self.has_said_zero = true;
            return Some(Warning::AllZero);
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
    fn silence(&self) -> Warning {
        let Self {
            frames,
            best,
            threshold,
            ..
        } = *self;
        match self.misplaced {
            0 => Warning::NothingPasses {
                frames,
                best,
                threshold,
            },
            _ => Warning::NothingInside { best },
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

    fn warnings(frames: u64, decoded: &Decoded, kept: usize) -> Vec<(u64, Warning)> {
        let mut sanity = SanityCheck::default();
        (1..=frames)
            .filter_map(|i| Some((i, sanity.note(decoded, kept, 0.5)?)))
            .collect()
    }

    #[test]
    fn silence_is_warned_about_once_with_the_best_score() {
        let silent = Warning::NothingPasses {
            frames: SILENT_FRAMES,
            best: 0.48,
            threshold: 0.5,
        };
        assert_eq!(
            warnings(1000, &seen(Some(0.48)), 0),
            [(SILENT_FRAMES, silent)]
        );
        assert!(silent.to_string().contains("0.480"));
        assert_eq!(warnings(1000, &seen(Some(0.9)), 1), []);
        let empty = Warning::NothingPasses {
            frames: SILENT_FRAMES,
            best: 0.0,
            threshold: 0.5,
        };
        assert_eq!(warnings(1000, &seen(None), 0), [(SILENT_FRAMES, empty)]);
    }

    #[test]
    fn boxes_outside_of_the_picture_are_no_matter_of_the_threshold() {
        let outside = Decoded {
            misplaced: 3,
            ..seen(Some(0.9))
        };
        let expected = Warning::NothingInside { best: 0.9 };
        assert_eq!(warnings(1000, &outside, 0), [(ZERO_FRAMES, expected)]);
        assert!(expected.to_string().contains("'layout'"));
        assert_eq!(warnings(1000, &outside, 1), []);
    }

    #[test]
    fn a_short_stream_without_a_find_is_warned_about_at_its_end() {
        let at_end = |frames, kept| {
            let mut sanity = SanityCheck::default();
            for _ in 0..frames {
                sanity.note(&seen(Some(0.2)), kept, 0.25);
            }
            (sanity.at_end(), sanity.at_end())
        };
        let expected = Warning::NothingPasses {
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
    fn zeros_are_warned_about_once() {
        assert_eq!(
            warnings(1000, &seen(Some(0.0)), 0),
            [(ZERO_FRAMES, Warning::AllZero)]
        );
    }

    #[test]
    fn what_cannot_be_is_warned_about_at_once() {
        let nan = Decoded {
            not_finite: 3,
            ..seen(None)
        };
        assert_eq!(warnings(10, &nan, 1), [(1, Warning::NotFinite(3))]);
        let logits = Decoded {
            implausible: 2,
            ..seen(Some(0.9))
        };
        assert_eq!(warnings(10, &logits, 1), [(1, Warning::Implausible(2))]);
    }
}
