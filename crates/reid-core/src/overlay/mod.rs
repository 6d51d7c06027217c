//! Drawing onto a frame: boxes and trails in the colours of identities, labels, and anonymisation.
//!
//! Everything is drawn into the native planes of any format: a frame with twenty people changes a few per cent of its pixels, so that
//! neither a conversion nor blending whole layers would pay. For sinks that lay drawings over pictures themselves the same is drawn as
//! patches (`layer`).

mod blur;
mod label;
mod layer;
mod paint;
mod palette;
mod text;
mod trail;

pub use blur::Blur;
pub use label::{DEFAULT_FORMAT, FormatError, LabelFormat};
pub use layer::Patch;
pub use paint::{Area, Brush, Mask, Painter};
pub use palette::{OkLab, UNCONFIRMED, identity_colour, readable_on};
pub use text::{FONT, Lettering, Letters, LineSize, TextCache};

use std::{collections::HashMap, sync::Arc};

use super::{
    colour::Rgb,
    geometry::Rect,
    image_mut::ImageMut,
    person::{IdentityState, Person},
};
use blur::{BlurState, Regions};
use trail::Trails;

/// How a frame is to look.
#[derive(Clone, Debug, PartialEq)]
pub struct Style {
    /// Draw the boxes.
    pub boxes: bool,
    /// Draw the labels of people who have an identity.
    pub labels: bool,
    /// Write the detector's score behind the label, and alone for people without identity.
    pub scores: bool,
    /// Draw where people have walked.
    pub trails: bool,
    /// For how long, ns.
    pub trail_duration_ns: u64,
    /// Width of lines, px; 0 = by the picture's height.
    pub line_width_px: u32,
    /// Height of letters, px; 0 = by the picture's height.
    pub font_size_px: u32,
    /// What labels say.
    pub label_format: LabelFormat,
    /// Who is made unrecognisable.
    pub blur: Blur,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            boxes: true,
            labels: true,
            scores: false,
            trails: false,
            trail_duration_ns: 2_000_000_000,
            line_width_px: 0,
            font_size_px: 0,
            label_format: LabelFormat::default(),
            blur: Blur::Nobody,
        }
    }
}

/// Picture heights to a line's width and to a letter's height, when they are automatic: 2 and 14 px at 480 lines, 4 and
/// 31 at 1080; and the least of both, px.
const HEIGHTS_TO_LINE: u32 = 270;
const HEIGHTS_TO_FONT: u32 = 35;
const LEAST_LINE: u32 = 2;
const LEAST_FONT: u32 = 10;
/// Radius of a trail's newest dot in line widths, and of its oldest.
const TRAIL_RADII: [f32; 2] = [1.1, 0.4];
/// Boxes are cut to this far from the origin, px: far outside any frame, far inside an i32.
const FAR_PX: f32 = 1e6;

impl Style {
    fn line(&self, height: i32) -> i32 {
        match self.line_width_px {
            0 => even(height / HEIGHTS_TO_LINE as i32).max(LEAST_LINE as i32),
            // Wider than the frame is all the same.
            set => set.min(height as u32) as i32,
        }
    }

    fn font(&self, height: i32) -> u32 {
        match self.font_size_px {
            0 => (height as u32 / HEIGHTS_TO_FONT).max(LEAST_FONT),
            set => set,
        }
    }
}

/// Draws the frames of one camera. Keeps what one frame needs of the ones before: trails, and what was blurred.
#[derive(Debug, Default)]
pub struct Overlay {
    trails: Trails,
    blurred: BlurState,
    text: TextCache,
    dots: HashMap<u32, Arc<Mask>>,
    sheet: layer::Sheet,
}

/// What is to be drawn on a frame.
#[derive(Debug)]
pub struct Plan {
    regions: Regions,
    anything_else: bool,
}

impl Plan {
    /// True when the frame can go on as it is.
    pub fn is_empty(&self) -> bool {
        self.regions.is_empty() && !self.anything_else
    }

    /// True when somebody is anonymised, which changes pixels.
    pub fn anonymises(&self) -> bool {
        !self.regions.is_empty()
    }
}

/// A label, ready to be placed.
struct Label {
    text: Arc<Mask>,
    colour: Rgb,
    over: Area,
}

impl Overlay {
    /// An overlay whose labels take letters that its own font lacks from elsewhere.
    pub fn with_letters(letters: Box<dyn Letters>) -> Self {
        Self {
            text: TextCache::with_letters(letters),
            ..Self::default()
        }
    }

    /// Takes note of a frame at `time_ns` and says what is to be drawn on it. `people` are `None` when nobody has looked
    /// at the frame.
    pub fn plan(&mut self, style: &Style, people: Option<&[Person]>, time_ns: u64) -> Plan {
        if style.trails {
            self.trails
                .update(people.unwrap_or_default(), time_ns, style.trail_duration_ns);
        } else {
            self.trails.clear();
        }
        let draws = style.boxes || style.labels || style.scores || style.trails;
        Plan {
            regions: self.blurred.regions(&style.blur, people, time_ns),
            anything_else: draws && people.is_some_and(|people| !people.is_empty()),
        }
    }

    /// Forgets trails and what was blurred: what comes next does not follow what came before.
    pub fn reset(&mut self) {
        self.trails.clear();
        self.blurred.clear();
    }

    /// Draws what was planned for the frame.
    pub fn draw(
        &mut self,
        style: &Style,
        plan: &Plan,
        people: &[Person],
        image: &mut ImageMut<'_>,
    ) {
        self.anonymise(plan, image);
        self.paint(style, people, &mut Painter::new(image));
    }

    /// Makes unrecognisable who was planned to be, and draws nothing else.
    pub fn anonymise(&self, plan: &Plan, image: &mut ImageMut<'_>) {
        blur::apply(image, &plan.regions);
    }

    fn paint(&mut self, style: &Style, people: &[Person], painter: &mut Painter<'_, '_>) {
        // Whoever stands lower is nearer and drawn later.
        let mut order: Vec<&Person> = people
            .iter()
            .filter(|person| person.rect.is_valid())
            .collect();
        order.sort_by(|a, b| a.rect.bottom().total_cmp(&b.rect.bottom()));
        if style.trails {
            for person in &order {
                self.draw_trail(style, person, painter);
            }
        }
        if style.boxes {
            let line = style.line(painter.size()[1]);
            for person in &order {
                let brush = painter.brush(colour_of(person));
                painter.frame(area_of(&person.rect), line, brush);
            }
        }
        self.draw_labels(style, &order, painter);
    }

    fn draw_trail(&mut self, style: &Style, person: &Person, painter: &mut Painter<'_, '_>) {
        let Some(track) = person.track else { return };
        let [newest, oldest] =
            TRAIL_RADII.map(|radius| radius * style.line(painter.size()[1]) as f32);
        let brush = painter.brush(colour_of(person));
        let way: Vec<[f32; 2]> = self.trails.way(track.id).map(|step| step.at).collect();
        let way = smoothed(&way);
        let lengths: Vec<f32> = way
            .windows(2)
            .map(|pair| (pair[1][0] - pair[0][0]).hypot(pair[1][1] - pair[0][1]))
            .collect();
        let whole: f32 = lengths.iter().sum();
        // A box that jumps (a wrong association, a scene cut) leaves no line across the picture.
        let longest = person.rect.h;
        let (mut walked, mut next) = (0.0, 0.0);
        for (pair, &length) in way.windows(2).zip(&lengths) {
            while next <= walked + length && length > 0.0 {
                let part = (next - walked) / length;
                let age = next / whole.max(1.0);
                let radius = oldest + (newest - oldest) * age;
                next += radius.max(1.0);
                if length > longest {
                    continue;
                }
                let at = [0, 1].map(|i| pair[0][i] + (pair[1][i] - pair[0][i]) * part);
                let dot = self.dot(radius);
                let (x, y) = (
                    at[0] - dot.width as f32 / 2.0,
                    at[1] - dot.height as f32 / 2.0,
                );
                painter.stamp(&dot, pixel(x), pixel(y), brush);
            }
            walked += length;
        }
    }

    /// A round dot of about this radius, px.
    fn dot(&mut self, radius: f32) -> Arc<Mask> {
        let halves = (radius * 2.0).round().clamp(1.0, 256.0) as u32;
        self.dots
            .entry(halves)
            .or_insert_with(|| Arc::new(disc(halves as f32 / 2.0)))
            .clone()
    }

    fn draw_labels(&mut self, style: &Style, people: &[&Person], painter: &mut Painter<'_, '_>) {
        let [width, height] = painter.size();
        let font = style.font(height);
        let pad = (font as i32 / 4).max(2);
        let mut taken: Vec<Area> = Vec::new();
        // The nearest people's labels get the best places.
        for person in people.iter().rev() {
            let text = label_of(style, person, true);
            let over = area_of(&person.rect);
            let seen = Area::new(0, 0, width, height);
            if text.is_empty() || !over.meets(&seen) {
                continue;
            }
            // A name that no font here can write is worth less than the id.
            let mask = self.text.whole_mask(&text, font).unwrap_or_else(|| {
                let plain = label_of(style, person, false);
                self.text.mask(&plain, font)
            });
            let label = Label {
                text: mask,
                colour: colour_of(person),
                over,
            };
            let place = place(&label, pad, [width, height], &taken);
            let (tab, ink) = (
                painter.brush(label.colour),
                painter.brush(readable_on(label.colour)),
            );
            painter.fill(place, tab);
            painter.stamp(&label.text, place.x + pad, place.y, ink);
            taken.push(place);
        }
    }
}

/// Where a label goes: on the box, else inside at its top, else under it; always inside the picture, and preferably
/// where no other label is.
fn place(label: &Label, pad: i32, [width, height]: [i32; 2], taken: &[Area]) -> Area {
    let (wide, tall) = (
        even(label.text.width as i32 + 2 * pad + 1),
        even(label.text.height as i32 + 1),
    );
    let Area {
        x,
        y,
        height: box_height,
        ..
    } = label.over;
    let left = even(x.min(width - wide).max(0));
    let area = |top: i32| Area::new(left, even(top), wide, tall);
    let tops = [y - tall, y, y + box_height, y + box_height - tall];
    let mut inside = tops
        .into_iter()
        .filter(|top| (0..=height - tall).contains(top))
        .map(area);
    let first = inside
        .clone()
        .next()
        .unwrap_or(area((y - tall).min(height - tall).max(0)));
    inside
        .find(|place| !taken.iter().any(|other| other.meets(place)))
        .unwrap_or(first)
}

/// What stands on a person's label. Without `named` the id stands in place of the name.
fn label_of(style: &Style, person: &Person, named: bool) -> String {
    let score = || format!("{:.2}", person.confidence);
    let identity = person.identity.as_ref().filter(|_| style.labels);
    let label = identity
        .map(|identity| {
            let name = identity.name.as_deref().filter(|_| named);
            style.label_format.filled(person, identity, name)
        })
        .unwrap_or_default();
    match (label.is_empty(), style.scores) {
        (false, true) => format!("{label} {}", score()),
        (true, true) => score(),
        _ => label,
    }
}

/// The colour of a person: that of the identity, half of white where it is provisional, grey without one.
fn colour_of(person: &Person) -> Rgb {
    let Some(identity) = &person.identity else {
        return UNCONFIRMED;
    };
    let colour = identity_colour(identity.id);
    if identity.state != IdentityState::Pending {
        return colour;
    }
    let lighter = |v: u8| v / 2 + 127;
    Rgb::new(lighter(colour.r), lighter(colour.g), lighter(colour.b))
}

fn area_of(rect: &Rect) -> Area {
    let (left, top) = (even(pixel(rect.x)), even(pixel(rect.y)));
    let (right, bottom) = (
        even(pixel(rect.right()) + 1),
        even(pixel(rect.bottom()) + 1),
    );
    Area::new(left, top, (right - left).max(2), (bottom - top).max(2))
}

/// The even number at or below. Edges on even pixels have whole chroma samples on both sides: colours do not bleed, and
/// every format shows the same.
fn even(at: i32) -> i32 {
    at & !1
}

fn pixel(at: f32) -> i32 {
    at.clamp(-FAR_PX, FAR_PX).round() as i32
}

/// A way without the jerks of single boxes: each step the mean of its neighbours. Both ends stay.
fn smoothed(way: &[[f32; 2]]) -> Vec<[f32; 2]> {
    const REACH: usize = 4;
    (0..way.len())
        .map(|i| {
            let reach = REACH.min(i).min(way.len() - 1 - i);
            let near = &way[i - reach..=i + reach];
            [0, 1].map(|axis| near.iter().map(|at| at[axis]).sum::<f32>() / near.len() as f32)
        })
        .collect()
}

/// A disc with smooth edges.
fn disc(radius: f32) -> Mask {
    let side = (radius * 2.0).ceil() as usize + 1;
    let middle = side as f32 / 2.0;
    let coverage = (0..side * side)
        .map(|i| {
            let (x, y) = (
                (i % side) as f32 + 0.5 - middle,
                (i / side) as f32 + 0.5 - middle,
            );
            ((radius + 0.5 - x.hypot(y)).clamp(0.0, 1.0) * 255.0).round() as u8
        })
        .collect();
    Mask {
        width: side,
        height: side,
        coverage,
    }
}

#[cfg(test)]
mod tests;
