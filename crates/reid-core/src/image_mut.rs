//! A writable picture in memory: the mutable counterpart of [`super::image::ImageView`].

use std::ops::Range;

use super::image::{Channel, Colorimetry, Depth, ImageError, ImageView, PixelFormat, Plane};

/// One writable memory plane: its bytes and the bytes from one row to the next.
#[derive(Debug, Default)]
pub struct PlaneMut<'a> {
    /// From the first sample on; the last row may be shorter than the stride.
    pub data: &'a mut [u8],
    /// Bytes from one row to the next, at least a row's bytes.
    pub stride: usize,
}

/// A picture to draw into. Every plane is long enough: [`ImageMut::new`] checks it once.
#[derive(Debug)]
pub struct ImageMut<'a> {
    format: PixelFormat,
    width: usize,
    height: usize,
    planes: Vec<PlaneMut<'a>>,
    colorimetry: Colorimetry,
}

impl<'a> ImageMut<'a> {
    /// A picture of `width` × `height` px over `planes`, as [`ImageView::new`] takes them.
    pub fn new(
        format: PixelFormat,
        width: usize,
        height: usize,
        planes: Vec<PlaneMut<'a>>,
        colorimetry: Colorimetry,
    ) -> Result<Self, ImageError> {
        let seen: Vec<Plane<'_>> = planes
            .iter()
            .map(|plane| Plane {
                data: plane.data,
                stride: plane.stride,
            })
            .collect();
        ImageView::new(format, width, height, &seen, colorimetry)?;
        Ok(Self {
            format,
            width,
            height,
            planes,
            colorimetry,
        })
    }

    /// Pixel layout.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Width, px.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height, px.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Matrix and range; meaningless for RGB.
    pub fn colorimetry(&self) -> Colorimetry {
        self.colorimetry
    }

    /// The bytes of row `y` of a plane, without the stride's padding.
    pub fn row(&self, plane: usize, y: usize) -> &[u8] {
        let range = self.row_range(plane, y);
        &self.planes[plane].data[range]
    }

    /// The bytes of row `y` of a plane, without the stride's padding.
    pub fn row_mut(&mut self, plane: usize, y: usize) -> &mut [u8] {
        let range = self.row_range(plane, y);
        &mut self.planes[plane].data[range]
    }

    /// The samples of a channel in its row `y`.
    pub fn samples(&mut self, channel: &Channel, y: usize) -> RowMut<'_> {
        let depth = self.format.depth();
        RowMut {
            bytes: &mut self.row_mut(channel.plane, y)[channel.offset * depth.bytes()..],
            step: channel.step * depth.bytes(),
            depth,
        }
    }

    fn row_range(&self, plane: usize, y: usize) -> Range<usize> {
        let (w, _, bytes) = self.format.plane_layout(plane, self.width, self.height);
        let start = y * self.planes[plane].stride;
        start..start + w * bytes
    }
}

/// The samples of one channel in one row, as codes.
#[derive(Debug)]
pub struct RowMut<'a> {
    /// From the channel's first sample on.
    bytes: &'a mut [u8],
    /// Bytes from one sample to the next.
    step: usize,
    depth: Depth,
}

impl RowMut<'_> {
    fn word(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]) >> self.depth.shift
    }

    fn put_word(&mut self, at: usize, code: u16) {
        let bytes = (code << self.depth.shift).to_le_bytes();
        self.bytes[at..at + 2].copy_from_slice(&bytes);
    }

    /// One code.
    #[inline]
    pub fn get(&self, x: usize) -> u16 {
        match self.depth.bytes() {
            1 => u16::from(self.bytes[x * self.step]),
            _ => self.word(x * self.step),
        }
    }

    /// Replaces one code.
    #[inline]
    pub fn set(&mut self, x: usize, code: u16) {
        match self.depth.bytes() {
            1 => self.bytes[x * self.step] = code as u8,
            _ => self.put_word(x * self.step, code),
        }
    }

    /// The sum of some codes.
    pub fn sum(&self, range: Range<usize>) -> u64 {
        let count = range.len();
        if self.depth.bytes() == 1 {
            let samples = self.bytes[range.start * self.step..].iter();
            let samples = samples.step_by(self.step).take(count);
            return samples.map(|&byte| u64::from(byte)).sum();
        }
        range.map(|x| u64::from(self.word(x * self.step))).sum()
    }

    /// Replaces some codes by one.
    pub fn fill(&mut self, range: Range<usize>, code: u16) {
        let count = range.len();
        match (self.depth.bytes(), self.step) {
            _ if count == 0 => {}
            (1, 1) => self.bytes[range].fill(code as u8),
            (1, step) => self.bytes[range.start * step..]
                .iter_mut()
                .step_by(step)
                .take(count)
                .for_each(|byte| *byte = code as u8),
            (_, step) => range.for_each(|x| self.put_word(x * step, code)),
        }
    }

    /// Replaces the first codes by eight-bit ones, `expanded` to the depth.
    pub fn write(&mut self, codes: impl Iterator<Item = u8>, expanded: impl Fn(u8) -> u16) {
        match (self.depth.bytes(), self.step) {
            (1, 1) => {
                let samples = self.bytes.iter_mut();
                samples.zip(codes).for_each(|(to, code)| *to = code);
            }
            (1, step) => {
                let samples = self.bytes.iter_mut().step_by(step);
                samples.zip(codes).for_each(|(to, code)| *to = code);
            }
            (_, step) => codes
                .enumerate()
                .for_each(|(x, code)| self.put_word(x * step, expanded(code))),
        }
    }
}
