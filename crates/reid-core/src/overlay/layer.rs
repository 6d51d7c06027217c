//! The drawing apart from the picture, for sinks that lay it over the picture themselves: patches of premultiplied colour and opacity.
//!
//! The same painter draws on a transparent sheet: blending opaque colours onto transparent black gives premultiplied colours.

use super::{Area, Overlay, Painter, Plan, Style};
use crate::{
    image::{Colorimetry, ImageError, PixelFormat, YuvMatrix, YuvRange},
    image_mut::{ImageMut, PlaneMut},
    person::Person,
};

/// Bytes of a pixel of BGRA and ARGB.
const PIXEL: usize = 4;

/// Colorimetry has no meaning for RGB.
const NO_YUV: Colorimetry = Colorimetry {
    matrix: YuvMatrix::Bt601,
    range: YuvRange::Full,
};

/// A part of the drawing. Patches do not overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Where it lies in the picture; never outside.
    pub area: Area,
    /// Row by row without padding, in the layer's format, premultiplied.
    pub pixels: Vec<u8>,
}

/// A transparent sheet of the picture's size, kept from frame to frame.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Sheet {
    /// A clean sheet of this size.
    fn sized(&mut self, width: usize, height: usize) {
        if (self.width, self.height) != (width, height) {
            *self = Self {
                width,
                height,
                pixels: vec![0; width * height * PIXEL],
            };
        }
    }

    /// Cuts a patch out, and leaves its place clean.
    fn cut(&mut self, area: Area) -> Patch {
        let (x, width) = (area.x as usize, area.width as usize);
        let mut pixels = Vec::with_capacity(width * area.height as usize * PIXEL);
        for y in area.y as usize..(area.y + area.height) as usize {
            let start = (y * self.width + x) * PIXEL;
            let row = &mut self.pixels[start..start + width * PIXEL];
            pixels.extend_from_slice(row);
            row.fill(0);
        }
        Patch { area, pixels }
    }
}

impl Overlay {
    /// Draws what was planned for the frame, except anonymisation, as patches of a picture of `width` × `height` px. `format` is
    /// [`PixelFormat::Bgra`] or [`PixelFormat::Argb`].
    pub fn layer(
        &mut self,
        style: &Style,
        plan: &Plan,
        people: &[Person],
        format: PixelFormat,
        [width, height]: [usize; 2],
    ) -> Result<Vec<Patch>, ImageError> {
        if !plan.anything_else {
            return Ok(Vec::new());
        }
        let mut sheet = std::mem::take(&mut self.sheet);
        sheet.sized(width, height);
        let plane = PlaneMut {
            data: &mut sheet.pixels,
            stride: width * PIXEL,
        };
        let mut image = ImageMut::new(format, width, height, vec![plane], NO_YUV)?;
        let mut painter = Painter::remembering(&mut image);
        self.paint(style, people, &mut painter);
        let touched = painter.into_touched();
        let patches = touched.into_iter().map(|area| sheet.cut(area)).collect();
        self.sheet = sheet;
        Ok(patches)
    }
}

/// Adds an area to areas that do not overlap: those that it overlaps become one with it.
pub(super) fn add_area(areas: &mut Vec<Area>, mut area: Area) {
    while let Some(i) = areas.iter().position(|other| other.meets(&area)) {
        area = area.with(&areas.swap_remove(i));
    }
    areas.push(area);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_that_meet_become_one() {
        let mut areas = Vec::new();
        for area in [
            Area::new(0, 0, 4, 4),
            Area::new(10, 0, 4, 4),
            Area::new(4, 0, 2, 2),
            Area::new(3, 1, 8, 1),
        ] {
            add_area(&mut areas, area);
        }
        assert_eq!(areas, [Area::new(0, 0, 14, 4)]);
        add_area(&mut areas, Area::new(0, 4, 14, 1));
        assert_eq!(areas.len(), 2, "neighbours stay apart");
    }
}
