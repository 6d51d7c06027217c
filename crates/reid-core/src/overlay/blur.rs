//! Anonymisation: which regions, and how.
//!
//! Uncertain cases are blurred. A box that a detector misses for a moment stays blurred where it was. In a frame without inference the
//! last positions of people are blurred, or the whole frame when they are not known.

use super::paint::channels;
use crate::{
    geometry::Rect,
    image_mut::ImageMut,
    person::{IdentityState, Person},
};

/// Who is made unrecognisable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Blur {
    /// Nobody.
    #[default]
    Nobody,
    /// People without a certain identity.
    Unknown,
    /// Everybody.
    Everybody,
    /// Everybody but the people with these numbers ("17", "P17") or names.
    Except(Vec<String>),
}

/// How long a region stays blurred after its box is gone, ns: longer than detectors blink.
const HOLD_NS: u64 = 500_000_000;
/// A box is wider and taller by this part on each side: hair, hands, a late box.
const MARGIN: f32 = 0.12;
/// Margin of regions that are only remembered: people walk on.
const REMEMBERED_MARGIN: f32 = 0.25;
/// Overlap from which a box of now stands for one of before (the usual threshold for "the same object").
const SAME_IOU: f32 = 0.3;
/// Squares to a person's height: a head is one to two squares, which no face recogniser reads.
const SQUARES_TALL: f32 = 9.0;
/// Least side of a square, px.
const LEAST_SQUARE: f32 = 8.0;

impl Blur {
    /// From a comma-separated list of numbers and names.
    pub fn except(list: &str) -> Self {
        let names = list
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        Self::Except(names.map(str::to_owned).collect())
    }

    /// Whether this person is to be made unrecognisable. Unsettled identities are nobody's: they may still change.
    fn hides(&self, person: &Person) -> bool {
        let settled = person
            .identity
            .as_ref()
            .filter(|identity| identity.state != IdentityState::Pending);
        match self {
            Self::Nobody => false,
            Self::Everybody => true,
            Self::Unknown => settled.is_none(),
            Self::Except(list) => !settled.is_some_and(|identity| {
                list.iter().any(|entry| {
                    let number = entry.strip_prefix('P').unwrap_or(entry);
                    number.parse() == Ok(identity.id.0) || identity.name.as_deref() == Some(entry)
                })
            }),
        }
    }
}

/// A region that was blurred.
#[derive(Clone, Copy, Debug)]
struct Held {
    rect: Rect,
    /// When its box was last seen, ns.
    seen_ns: u64,
}

/// What was blurred just before.
#[derive(Clone, Debug, Default)]
pub struct BlurState {
    held: Vec<Held>,
    /// Time of the last frame with inference, ns.
    looked_ns: Option<u64>,
}

/// What is to be blurred in a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Regions {
    /// These boxes, margins included.
    Boxes(Vec<Rect>),
    /// The whole picture: nobody knows where people are.
    Everything,
}

impl Regions {
    /// True when nothing is.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Boxes(boxes) if boxes.is_empty())
    }
}

impl BlurState {
    /// Regions to blur at `time_ns`, given `people` (`None`: a frame without inference).
    pub fn regions(&mut self, blur: &Blur, people: Option<&[Person]>, time_ns: u64) -> Regions {
        if *blur == Blur::Nobody {
            self.clear();
            return Regions::Boxes(Vec::new());
        }
        let fresh = |then: u64| time_ns.abs_diff(then) <= HOLD_NS;
        self.held.retain(|held| fresh(held.seen_ns));
        let Some(people) = people else {
            return match self.looked_ns.is_some_and(fresh) {
                true => Regions::Boxes(
                    self.held
                        .iter()
                        .map(|held| grown(held.rect, REMEMBERED_MARGIN))
                        .collect(),
                ),
                false => Regions::Everything,
            };
        };
        self.looked_ns = Some(time_ns);
        let valid = |rect: &Rect| rect.is_valid();
        self.held.retain(|held| {
            !people
                .iter()
                .any(|person| person.rect.iou(&held.rect) >= SAME_IOU)
        });
        let mut boxes: Vec<Rect> = self
            .held
            .iter()
            .map(|held| grown(held.rect, REMEMBERED_MARGIN))
            .collect();
        for rect in people
            .iter()
            .filter(|person| blur.hides(person))
            .map(|person| person.rect)
            .filter(valid)
        {
            self.held.push(Held {
                rect,
                seen_ns: time_ns,
            });
            boxes.push(grown(rect, MARGIN));
        }
        Regions::Boxes(boxes)
    }

    /// Forgets everything: the next frame stands alone.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

fn grown(rect: Rect, margin: f32) -> Rect {
    let (cx, cy) = rect.centre();
    Rect::from_centre(
        cx,
        cy,
        rect.w * (1.0 + 2.0 * margin),
        rect.h * (1.0 + 2.0 * margin),
    )
}

/// Makes regions unrecognisable, in place: squares of one colour each.
pub fn apply(image: &mut ImageMut<'_>, regions: &Regions) {
    let (width, height) = (image.width() as f32, image.height() as f32);
    match regions {
        Regions::Everything => {
            pixelate(image, Rect::new(0.0, 0.0, width, height), square_of(height))
        }
        Regions::Boxes(boxes) => {
            for rect in boxes {
                if let Some(inside) = rect.clipped(width, height) {
                    // By the whole box, not by what is left of it at the edge.
                    pixelate(image, inside, square_of(rect.h));
                }
            }
        }
    }
}

/// Side of a square for a region's height, px; even, so that halved chroma has whole squares too.
fn square_of(height: f32) -> usize {
    ((height / SQUARES_TALL).max(LEAST_SQUARE) / 2.0).ceil() as usize * 2
}

/// Replaces every square of a grid fixed to the picture that touches the region by its mean.
fn pixelate(image: &mut ImageMut<'_>, region: Rect, square: usize) {
    let (width, height) = (image.width(), image.height());
    let channels = channels(image.format());
    // Whole chroma samples, also where one stands for four px.
    let widest = channels.iter().map(|(_, channel)| channel.wide).max();
    let square = square.next_multiple_of(widest.unwrap_or(1));
    let first = |low: f32| low as usize / square * square;
    let end = |high: f32, length: usize| {
        (high.ceil() as usize)
            .div_ceil(square)
            .saturating_mul(square)
            .min(length)
    };
    let (left, top) = (first(region.x), first(region.y));
    let (right, bottom) = (end(region.right(), width), end(region.bottom(), height));
    for (_, channel) in channels {
        let cells = |from: usize, to: usize, pixels: usize| {
            (from..to)
                .step_by(square)
                .map(move |cell| cell / pixels..(cell + square).min(to).div_ceil(pixels))
        };
        for rows in cells(top, bottom, channel.tall) {
            for columns in cells(left, right, channel.wide) {
                let sums = rows
                    .clone()
                    .map(|row| image.samples(&channel, row).sum(columns.clone()));
                let sum: u64 = sums.sum();
                let count = (rows.len() * columns.len()).max(1) as u64;
                let mean = ((sum + count / 2) / count) as u16;
                for row in rows.clone() {
                    image.samples(&channel, row).fill(columns.clone(), mean);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::person::{Identity, IdentityId};

    fn somebody(x: f32, identity: Option<(u32, IdentityState, Option<&str>)>) -> Person {
        let mut person = Person::detected(Rect::new(x, 10.0, 20.0, 40.0), 1.0, "person".into(), 0);
        person.identity = identity.map(|(id, state, name)| Identity {
            id: IdentityId(id),
            state,
            score: 0.0,
            margin: 0.0,
            evidence: None,
            previous: [].into(),
            name: name.map(Into::into),
        });
        person
    }

    #[test]
    fn in_doubt_a_person_is_hidden() {
        use IdentityState::{Matched, New, Pending};
        let except = Blur::except(" 3, Anna ,P5,, -1");
        let cases = [
            (None, true, true),
            (Some((3, Pending, None)), true, true),
            (Some((3, New, None)), false, false),
            (Some((5, Matched, None)), false, false),
            (Some((7, Matched, Some("Anna"))), false, false),
            (Some((7, Pending, Some("Anna"))), true, true),
            (Some((8, Matched, Some("anna"))), false, true),
            (Some((35, Matched, None)), false, true),
        ];
        for (identity, unknown, others) in cases {
            let person = somebody(0.0, identity);
            assert_eq!(Blur::Unknown.hides(&person), unknown, "{identity:?}");
            assert_eq!(except.hides(&person), others, "{identity:?}");
            assert!(Blur::Everybody.hides(&person) && !Blur::Nobody.hides(&person));
        }
    }

    #[test]
    fn a_box_that_blinks_stays_hidden_and_a_frame_that_nobody_saw_is_hidden() {
        let mut state = BlurState::default();
        let mut count = |people: Option<&[Person]>, time_ns| match state.regions(
            &Blur::Everybody,
            people,
            time_ns,
        ) {
            Regions::Boxes(boxes) => Some(boxes.len()),
            Regions::Everything => None,
        };
        let one = [somebody(10.0, None)];
        assert_eq!(count(None, 0), None, "nobody knows where people are");
        assert_eq!(count(Some(&one), 0), Some(1));
        assert_eq!(count(Some(&[]), HOLD_NS / 2), Some(1), "blinked");
        assert_eq!(count(None, HOLD_NS / 2), Some(1), "not looked at");
        let moved = [somebody(13.0, None)];
        assert_eq!(
            count(Some(&moved), HOLD_NS),
            Some(1),
            "the same person, not two"
        );
        assert_eq!(count(Some(&[]), 3 * HOLD_NS), Some(0), "gone");
        assert_eq!(count(None, 5 * HOLD_NS), None);
    }
}
