//! Drawing in place, in any format: every colour channel is a grid of samples somewhere in memory, full or halved, and
//! one routine fills and blends them all. Halved chroma takes as much of a colour as of its pixels is covered.

use super::layer::add_area;
use crate::{
    colour::{Rgb, ToYuv},
    image::{Channel, ColourModel, PixelFormat, YuvRange},
    image_mut::ImageMut,
};

/// Places of a [`Brush`]'s codes: the three channels of a format, then opacity.
const CODES: usize = 4;

/// The channels of a format, opacity last if it has that.
pub(super) fn channels(format: PixelFormat) -> Vec<(usize, Channel)> {
    let colours = format.channels().into_iter().enumerate();
    let alpha = format.alpha().map(|channel| (CODES - 1, channel));
    colours.chain(alpha).collect()
}

/// A rectangle of whole pixels; may lie outside the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Area {
    /// Left, px.
    pub x: i32,
    /// Top, px.
    pub y: i32,
    /// Width, px.
    pub width: i32,
    /// Height, px.
    pub height: i32,
}

impl Area {
    /// An area from left, top, width and height.
    pub const fn new(x: i32, y: i32, width: i32, height: i32) -> Self {
        Self {
            x,
            y,
            width,
            height,
        }
    }

    /// True when the two share a pixel.
    pub fn meets(&self, other: &Self) -> bool {
        let apart =
            |a: i32, a_length: i32, b: i32, b_length: i32| a + a_length <= b || b + b_length <= a;
        !apart(self.x, self.width, other.x, other.width)
            && !apart(self.y, self.height, other.y, other.height)
    }

    /// The smallest area that holds both.
    pub(super) fn with(&self, other: &Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let right = (self.x + self.width).max(other.x + other.width);
        let bottom = (self.y + self.height).max(other.y + other.height);
        Self::new(x, y, right - x, bottom - y)
    }

    fn clipped(&self, width: usize, height: usize) -> Option<Bounds> {
        let cut = |from: i32, length: i32, end: usize| {
            let low = i64::from(from).clamp(0, end as i64);
            let high = (i64::from(from) + i64::from(length)).clamp(0, end as i64);
            (low < high).then_some((low as usize, high as usize))
        };
        let (left, right) = cut(self.x, self.width, width)?;
        let (top, bottom) = cut(self.y, self.height, height)?;
        Some(Bounds {
            left,
            right,
            top,
            bottom,
        })
    }
}

/// Pixels inside the picture: from left and top up to, not including, right and bottom.
#[derive(Clone, Copy)]
struct Bounds {
    left: usize,
    right: usize,
    top: usize,
    bottom: usize,
}

impl Bounds {
    fn area(&self) -> Area {
        let side = |low: usize, high: usize| (high - low) as i32;
        Area::new(
            self.left as i32,
            self.top as i32,
            side(self.left, self.right),
            side(self.top, self.bottom),
        )
    }
}

/// How much of each pixel of a rectangle is covered, 0 to 255.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    /// px
    pub width: usize,
    /// px
    pub height: usize,
    /// Row by row.
    pub coverage: Vec<u8>,
}

/// The codes of a colour in a format.
#[derive(Clone, Copy, Debug)]
pub struct Brush([u16; CODES]);

/// Draws into a picture.
pub struct Painter<'a, 'b> {
    image: &'a mut ImageMut<'b>,
    channels: Vec<(usize, Channel)>,
    to_yuv: ToYuv,
    /// Where something was drawn, without overlaps, if somebody wants to know.
    touched: Option<Vec<Area>>,
}

impl<'a, 'b> Painter<'a, 'b> {
    /// A painter of `image`.
    pub fn new(image: &'a mut ImageMut<'b>) -> Self {
        let (channels, to_yuv) = (channels(image.format()), ToYuv::new(image.colorimetry()));
        Self {
            image,
            channels,
            to_yuv,
            touched: None,
        }
    }

    /// A painter that keeps where it draws.
    pub(super) fn remembering(image: &'a mut ImageMut<'b>) -> Self {
        Self {
            touched: Some(Vec::new()),
            ..Self::new(image)
        }
    }

    /// Where a painter that remembers has drawn: areas inside the picture that do not overlap.
    pub(super) fn into_touched(self) -> Vec<Area> {
        self.touched.unwrap_or_default()
    }

    fn touch(&mut self, bounds: Bounds) {
        if let Some(areas) = &mut self.touched {
            add_area(areas, bounds.area());
        }
    }

    /// Width and height, px.
    pub fn size(&self) -> [i32; 2] {
        [self.image.width() as i32, self.image.height() as i32]
    }

    /// The picture, for other work on it.
    pub fn image(&mut self) -> &mut ImageMut<'b> {
        self.image
    }

    /// A colour, ready to draw with.
    pub fn brush(&self, colour: Rgb) -> Brush {
        let (format, depth) = (self.image.format(), self.image.format().depth());
        let is_yuv = format.model() != ColourModel::Rgb;
        let is_full = !is_yuv || self.image.colorimetry().range == YuvRange::Full;
        let [a, b, c] = match is_yuv {
            false => [colour.r, colour.g, colour.b],
            true => self.to_yuv.codes(colour),
        };
        let code = |code, is_difference| depth.expanded(code, is_full, is_difference);
        Brush([
            code(a, false),
            code(b, is_yuv),
            code(c, is_yuv),
            depth.max(),
        ])
    }

    /// Fills a rectangle.
    pub fn fill(&mut self, area: Area, brush: Brush) {
        let Some(bounds) = area.clipped(self.image.width(), self.image.height()) else {
            return;
        };
        self.touch(bounds);
        let size = (self.image.width(), self.image.height());
        for (which, channel) in &self.channels {
            fill_channel(self.image, channel, bounds, size, brush.0[*which]);
        }
    }

    /// Draws the outline of a rectangle, `line` px wide, inside it.
    pub fn frame(&mut self, area: Area, line: i32, brush: Brush) {
        let Area {
            x,
            y,
            width,
            height,
        } = area;
        if width <= 2 * line || height <= 2 * line {
            return self.fill(area, brush);
        }
        self.fill(Area::new(x, y, width, line), brush);
        self.fill(Area::new(x, y + height - line, width, line), brush);
        self.fill(Area::new(x, y + line, line, height - 2 * line), brush);
        self.fill(
            Area::new(x + width - line, y + line, line, height - 2 * line),
            brush,
        );
    }

    /// Blends a colour through a mask whose top left lies at `(x, y)`.
    pub fn stamp(&mut self, mask: &Mask, x: i32, y: i32, brush: Brush) {
        let area = Area::new(x, y, mask.width as i32, mask.height as i32);
        let Some(bounds) = area.clipped(self.image.width(), self.image.height()) else {
            return;
        };
        self.touch(bounds);
        let size = (self.image.width(), self.image.height());
        let placed = Placed { mask, x, y };
        for (which, channel) in &self.channels {
            let code = brush.0[*which];
            stamp_channel(self.image, channel, bounds, size, &placed, code);
        }
    }
}

/// The samples of a channel that have pixels between two positions.
fn places(low: usize, high: usize, pixels: usize) -> std::ops::Range<usize> {
    low / pixels..high.div_ceil(pixels)
}

/// How many of a sample's pixels lie in `low..high`, and how many it has in a picture `end` px long.
fn share(sample: usize, pixels: usize, low: usize, high: usize, end: usize) -> (usize, usize) {
    let (from, to) = (sample * pixels, ((sample + 1) * pixels).min(end));
    (to.min(high) - from.max(low), to - from)
}

fn fill_channel(
    image: &mut ImageMut<'_>,
    channel: &Channel,
    bounds: Bounds,
    size: (usize, usize),
    code: u16,
) {
    let Bounds {
        left,
        right,
        top,
        bottom,
    } = bounds;
    for row in places(top, bottom, channel.tall) {
        let (covered, of) = share(row, channel.tall, top, bottom, size.1);
        let mut samples = image.samples(channel, row);
        let mut columns = places(left, right, channel.wide);
        let mut edge = |column: usize| {
            let (across, of_across) = share(column, channel.wide, left, right, size.0);
            let part = (255 * covered * across / (of * of_across)) as u8;
            samples.set(column, mixed(samples.get(column), code, part));
        };
        if covered < of {
            columns.for_each(edge);
            continue;
        }
        // Only the first and the last sample of a full row can be covered in part.
        if columns.len() > 1 {
            let last = columns.end - 1;
            edge(last);
            columns.end = last;
        }
        edge(columns.start);
        columns.start += 1;
        samples.fill(columns, code);
    }
}

/// A mask and where its top left lies in the picture.
struct Placed<'a> {
    mask: &'a Mask,
    x: i32,
    y: i32,
}

impl Placed<'_> {
    /// Coverage of a pixel that lies in the mask.
    fn at(&self, x: usize, y: usize) -> usize {
        let (column, row) = ((x as i32 - self.x) as usize, (y as i32 - self.y) as usize);
        usize::from(self.mask.coverage[row * self.mask.width + column])
    }
}

fn stamp_channel(
    image: &mut ImageMut<'_>,
    channel: &Channel,
    bounds: Bounds,
    size: (usize, usize),
    placed: &Placed<'_>,
    code: u16,
) {
    let Bounds {
        left,
        right,
        top,
        bottom,
    } = bounds;
    for row in places(top, bottom, channel.tall) {
        let (_, of) = share(row, channel.tall, top, bottom, size.1);
        let rows = (row * channel.tall).max(top)..((row + 1) * channel.tall).min(bottom);
        let mut codes = image.samples(channel, row);
        for column in places(left, right, channel.wide) {
            let (_, of_across) = share(column, channel.wide, left, right, size.0);
            let columns =
                (column * channel.wide).max(left)..((column + 1) * channel.wide).min(right);
            let sum: usize = rows
                .clone()
                .map(|y| columns.clone().map(|x| placed.at(x, y)).sum::<usize>())
                .sum();
            if sum > 0 {
                let part = (sum / (of * of_across)) as u8;
                codes.set(column, mixed(codes.get(column), code, part));
            }
        }
    }
}

/// `below` with `part` of 255 of `above` over it.
fn mixed(below: u16, above: u16, part: u8) -> u16 {
    let (below, above, part) = (u32::from(below), u32::from(above), u32::from(part));
    ((below * (255 - part) + above * part + 127) / 255) as u16
}
