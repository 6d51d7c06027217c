//! An RGB picture, and its conversion to all supported formats.

use super::{
    colour::ToYuv,
    image::{ColourModel, PixelFormat, YuvRange},
    image_mut::ImageMut,
};

/// A rendered picture. A pixel is red, green, blue, unused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Canvas {
    /// Width, px.
    pub width: usize,
    /// Height, px.
    pub height: usize,
    /// Row by row, without padding.
    pub pixels: Vec<[u8; 4]>,
}

impl Canvas {
    /// A black picture of `width` × `height` px.
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            pixels: vec![[0; 4]; width * height],
        }
    }

    /// Writes the picture into `image`, opaque. Where sizes differ, the common part from the top left is written.
    pub fn write_to(&self, image: &mut ImageMut<'_>) {
        match image.format().model() {
            ColourModel::Rgb => self.write_rgb(image),
            ColourModel::Yuv => self.write_yuv(image),
            ColourModel::Grey => self.write_luma(image),
        }
        if let Some(alpha) = image.format().alpha() {
            let (opaque, (width, height)) = (image.format().depth().max(), self.common(image));
            (0..height).for_each(|y| image.samples(&alpha, y).fill(0..width, opaque));
        }
    }

    /// Width and height of the part that the picture and the image share.
    fn common(&self, image: &ImageMut<'_>) -> (usize, usize) {
        (
            self.width.min(image.width()),
            self.height.min(image.height()),
        )
    }

    fn row(&self, y: usize, width: usize) -> &[[u8; 4]] {
        &self.pixels[y * self.width..y * self.width + width]
    }

    fn write_rgb(&self, image: &mut ImageMut<'_>) {
        let (width, height) = self.common(image);
        let Some((offsets, size)) = image.format().rgb_offsets() else {
            return self.write_rgb_planes(image);
        };
        let [r, g, b] = offsets;
        for y in 0..height {
            let row = image.row_mut(0, y);
            for (to, from) in row.chunks_exact_mut(size).zip(self.row(y, width)) {
                to.fill(255);
                (to[r], to[g], to[b]) = (from[0], from[1], from[2]);
            }
        }
    }

    fn write_rgb_planes(&self, image: &mut ImageMut<'_>) {
        let (width, height) = self.common(image);
        let depth = image.format().depth();
        for (which, channel) in image.format().channels().iter().enumerate() {
            for y in 0..height {
                let codes = self.row(y, width).iter().map(|pixel| pixel[which]);
                let mut row = image.samples(channel, y);
                row.write(codes, |code| depth.expanded(code, true, false));
            }
        }
    }

    fn write_luma(&self, image: &mut ImageMut<'_>) {
        let to_yuv = ToYuv::new(image.colorimetry());
        let (width, height) = self.common(image);
        let depth = image.format().depth();
        let is_full = image.colorimetry().range == YuvRange::Full;
        for channel in image.format().channels().iter().take(1) {
            for y in 0..height {
                let codes = self.row(y, width).iter().map(|p| to_yuv.luma(rgb(p)));
                let mut row = image.samples(channel, y);
                row.write(codes, |code| depth.expanded(code, is_full, false));
                // Packed 4:2:2 of odd width has a luma sample more than pixels.
                if channel.step == 2 && width % 2 == 1 && width == image.width() {
                    let mut row = image.samples(channel, y);
                    let last = row.get(width - 1);
                    row.set(width, last);
                }
            }
        }
    }

    fn write_yuv(&self, image: &mut ImageMut<'_>) {
        self.write_luma(image);
        let to_yuv = ToYuv::new(image.colorimetry());
        let (width, height) = self.common(image);
        let depth = image.format().depth();
        let is_full = image.colorimetry().range == YuvRange::Full;
        let channels = image.format().channels();
        let [_, blue, red] = &channels[..] else {
            return;
        };
        let mut codes = vec![[0; 2]; width.div_ceil(blue.wide)];
        for y in (0..height).step_by(blue.tall) {
            let upper = self.row(y, width);
            let lower = self.row((y + blue.tall - 1).min(height - 1), width);
            let places = upper.chunks(blue.wide).zip(lower.chunks(blue.wide));
            for (code, (a, b)) in codes.iter_mut().zip(places) {
                *code = to_yuv.chroma(mean(a, b));
            }
            for (channel, which) in [(blue, 0), (red, 1)] {
                let codes = codes.iter().map(|code| code[which]);
                let mut row = image.samples(channel, y / blue.tall);
                row.write(codes, |code| depth.expanded(code, is_full, true));
            }
        }
    }
}

fn rgb(pixel: &[u8; 4]) -> [i32; 3] {
    [pixel[0], pixel[1], pixel[2]].map(i32::from)
}

/// The mean of the pixels that share a chroma sample, of two rows (which may be the same one).
fn mean(upper: &[[u8; 4]], lower: &[[u8; 4]]) -> [i32; 3] {
    let sum = |i: usize| -> i32 { upper.iter().chain(lower).map(|p| i32::from(p[i])).sum() };
    match (upper, lower) {
        // The usual case, without a division.
        ([a, b], [c, d]) => {
            [0, 1, 2].map(|i| ([a, b, c, d].map(|p| i32::from(p[i])).iter().sum::<i32>() + 2) >> 2)
        }
        _ => {
            let count = (upper.len() + lower.len()) as i32;
            [0, 1, 2].map(|i| (sum(i) + count / 2) / count)
        }
    }
}

/// Bytes of every plane of a picture without padding, plane after plane. For tests and tools that hold no frame.
pub fn packed_planes(format: PixelFormat, width: usize, height: usize) -> Vec<Vec<u8>> {
    (0..format.planes())
        .map(|plane| {
            let (w, h, bytes) = format.plane_layout(plane, width, height);
            vec![0; w * h * bytes]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        image::{Colorimetry, Depth, YuvMatrix, YuvRange},
        image_mut::PlaneMut,
    };

    /// A canvas of smooth colour.
    fn gradient(width: usize, height: usize) -> Canvas {
        let mut canvas = Canvas::new(width, height);
        for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
            let (x, y) = (i % width, i / width);
            *pixel = [60 + x as u8, 90 + y as u8, 200 - x as u8, 0];
        }
        canvas
    }

    fn written(canvas: &Canvas, format: PixelFormat, colorimetry: Colorimetry) -> Vec<Vec<u8>> {
        let mut planes = packed_planes(format, canvas.width, canvas.height);
        let strides: Vec<usize> = (0..format.planes())
            .map(|plane| {
                let (w, _, bytes) = format.plane_layout(plane, canvas.width, canvas.height);
                w * bytes
            })
            .collect();
        let views = planes
            .iter_mut()
            .zip(strides)
            .map(|(data, stride)| PlaneMut { data, stride })
            .collect();
        let mut image =
            ImageMut::new(format, canvas.width, canvas.height, views, colorimetry).unwrap();
        canvas.write_to(&mut image);
        planes
    }

    #[test]
    fn every_format_holds_the_same_luma() {
        let canvas = gradient(9, 7);
        for matrix in [YuvMatrix::Bt601, YuvMatrix::Bt709] {
            for range in [YuvRange::Limited, YuvRange::Full] {
                let colorimetry = Colorimetry { matrix, range };
                let grey = written(&canvas, PixelFormat::Gray8, colorimetry);
                for format in PixelFormat::ALL {
                    if format.model() == ColourModel::Rgb {
                        continue;
                    }
                    let (luma, depth) = (format.channels()[0], format.depth());
                    let planes = written(&canvas, format, colorimetry);
                    let (w, _, bytes) = format.plane_layout(0, 9, 7);
                    for (y, row) in planes[0].chunks(w * bytes).enumerate() {
                        let samples = row[luma.offset * depth.bytes()..].chunks(depth.bytes());
                        let luma: Vec<u8> = samples
                            .step_by(luma.step)
                            .take(9)
                            .map(|sample| code(sample, depth))
                            .collect();
                        assert_eq!(luma, grey[0][y * 9..y * 9 + 9], "{format:?} row {y}");
                    }
                }
            }
        }
    }

    /// A sample's code in eight bits.
    fn code(sample: &[u8], depth: Depth) -> u8 {
        match *sample {
            [byte] => byte,
            [low, high] => {
                let code = u16::from_le_bytes([low, high]) >> depth.shift;
                (code >> (depth.bits - 8)) as u8
            }
            _ => panic!("samples have one or two bytes"),
        }
    }

    #[test]
    fn packed_formats_put_colours_where_they_belong_and_are_opaque() {
        let canvas = gradient(3, 2);
        for format in PixelFormat::ALL {
            let Some(([r, g, b], size)) = format.rgb_offsets() else {
                continue;
            };
            let planes = written(&canvas, format, Colorimetry::default());
            for (pixel, expected) in planes[0].chunks(size).zip(&canvas.pixels) {
                assert_eq!([pixel[r], pixel[g], pixel[b]], expected[..3], "{format:?}");
                if size == 4 {
                    assert_eq!(pixel[6 - r - g - b], 255, "{format:?} is opaque");
                }
            }
        }
    }

    #[test]
    fn planar_formats_differ_only_in_order() {
        let canvas = gradient(8, 6);
        let of = |format| written(&canvas, format, Colorimetry::default());
        let (i420, yv12, nv12, nv21) = (
            of(PixelFormat::I420),
            of(PixelFormat::Yv12),
            of(PixelFormat::Nv12),
            of(PixelFormat::Nv21),
        );
        assert_eq!((&i420[1], &i420[2]), (&yv12[2], &yv12[1]));
        for (i, (&blue, &red)) in i420[1].iter().zip(&i420[2]).enumerate() {
            assert_eq!([blue, red], nv12[1][2 * i..2 * i + 2]);
            assert_eq!([red, blue], nv21[1][2 * i..2 * i + 2]);
        }
    }
}
