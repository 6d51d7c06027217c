//! Warns when a detector finds objects and none is of a class to embed, so that nobody can be re-identified.

use std::collections::BTreeSet;

/// Frames with boxes but none of a class to embed before the warning: two seconds at 25 frames per second.
const FRAMES: u32 = 50;

/// Most class names that are listed.
const LISTED: usize = 8;

/// Longest class name that is listed, characters.
const LONGEST: usize = 40;

/// What classes have been seen while none was wanted.
#[derive(Clone, Debug, Default)]
pub struct ClassWatch {
    frames: u32,
    seen: BTreeSet<String>,
    /// A wanted class was there, or everything has been said.
    is_settled: bool,
}

impl ClassWatch {
    /// Takes in the classes of a frame's boxes, each with whether it is wanted. The names seen so far when it is time to
    /// speak, which is once.
    pub fn note<'a>(&mut self, labels: impl Iterator<Item = (&'a str, bool)>) -> Option<String> {
        if self.is_settled {
            return None;
        }
        let mut is_empty = true;
        for (label, is_wanted) in labels {
            if is_wanted {
                self.is_settled = true;
                return None;
            }
            is_empty = false;
            if self.seen.len() < LISTED {
                let label: String = label.chars().take(LONGEST).collect();
                self.seen.insert(label);
            }
        }
        self.frames += u32::from(!is_empty);
        if self.frames >= FRAMES {
            return self.end();
        }
        None
    }

    /// The stream ends: what was too little to speak of counts now.
    pub fn end(&mut self) -> Option<String> {
        if self.is_settled || self.frames == 0 {
            return None;
        }
        self.is_settled = true;
        let names: Vec<String> = self.seen.iter().map(|name| format!("'{name}'")).collect();
        Some(names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARS: [(&str, bool); 2] = [("dog", false), ("car", false)];

    #[test]
    fn unwanted_classes_are_named_once() {
        let mut watch = ClassWatch::default();
        for _ in 1..FRAMES {
            assert_eq!(watch.note(CARS.into_iter()), None);
            assert_eq!(watch.note(std::iter::empty()), None);
        }
        let said = watch.note(CARS.into_iter());
        assert_eq!(said.as_deref(), Some("'car', 'dog'"));
        assert_eq!(watch.note(CARS.into_iter()), None);
        assert_eq!(watch.end(), None);
    }

    #[test]
    fn a_short_stream_is_judged_at_its_end_and_one_person_is_enough() {
        let mut short = ClassWatch::default();
        assert_eq!(short.end(), None);
        short.note(CARS.into_iter());
        assert_eq!(short.end().as_deref(), Some("'car', 'dog'"));
        let mut good = ClassWatch::default();
        good.note([("car", false), ("person", true)].into_iter());
        good.note(CARS.into_iter());
        assert_eq!(good.end(), None);
    }
}
