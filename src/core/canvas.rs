//! A picture in red, green and blue, and writing it into any of our formats.

use super::{
    colour::ToYuv,
    image::PixelFormat,
    image_mut::{ImageMut, Samples, YuvLayout, yuv_layout},
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
        match (image.format().rgb_offsets(), yuv_layout(image.format())) {
            (Some((offsets, size)), _) => self.write_rgb(image, offsets, size),
            (_, Some(layout)) => self.write_yuv(image, layout),
            _ => self.write_luma(
                image,
                Samples {
                    plane: 0,
                    offset: 0,
                    step: 1,
                },
            ),
        }
    }

    fn rows(&self, image: &ImageMut<'_>) -> (usize, usize) {
        (
            self.width.min(image.width()),
            self.height.min(image.height()),
        )
    }

    fn row(&self, y: usize, width: usize) -> &[[u8; 4]] {
        &self.pixels[y * self.width..y * self.width + width]
    }

    fn write_rgb(&self, image: &mut ImageMut<'_>, [r, g, b]: [usize; 3], size: usize) {
        let (width, height) = self.rows(image);
        for y in 0..height {
            let row = image.row_mut(0, y);
            for (to, from) in row.chunks_exact_mut(size).zip(self.row(y, width)) {
                to.fill(255);
                (to[r], to[g], to[b]) = (from[0], from[1], from[2]);
            }
        }
    }

    fn write_luma(&self, image: &mut ImageMut<'_>, samples: Samples) {
        let to_yuv = ToYuv::new(image.colorimetry());
        let (width, height) = self.rows(image);
        for y in 0..height {
            let row = &mut image.row_mut(samples.plane, y)[samples.offset..];
            let from = self.row(y, width);
            match samples.step {
                1 => row
                    .iter_mut()
                    .zip(from)
                    .for_each(|(to, p)| *to = to_yuv.luma(rgb(p))),
                step => row
                    .iter_mut()
                    .step_by(step)
                    .zip(from)
                    .for_each(|(to, p)| *to = to_yuv.luma(rgb(p))),
            }
        }
    }

    fn write_yuv(&self, image: &mut ImageMut<'_>, layout: YuvLayout) {
        self.write_luma(image, layout.luma);
        let to_yuv = ToYuv::new(image.colorimetry());
        let (width, height) = self.rows(image);
        let mut codes = vec![[0; 2]; width.div_ceil(2)];
        for y in (0..height).step_by(layout.rows) {
            let upper = self.row(y, width);
            let lower = self.row((y + layout.rows - 1).min(height - 1), width);
            for (code, (a, b)) in codes.iter_mut().zip(upper.chunks(2).zip(lower.chunks(2))) {
                *code = to_yuv.chroma(mean([a[0], a[a.len() - 1], b[0], b[b.len() - 1]]));
            }
            for (samples, which) in [(layout.blue, 0), (layout.red, 1)] {
                let row = image.row_mut(samples.plane, y / layout.rows);
                let to = row[samples.offset..].iter_mut().step_by(samples.step);
                to.zip(&codes).for_each(|(to, code)| *to = code[which]);
            }
        }
        if layout.luma.step == 2 && width % 2 == 1 {
            self.repeat_last_luma(image, layout.luma, height);
        }
    }

    /// Packed 4:2:2 of odd width has a luma sample more than pixels.
    fn repeat_last_luma(&self, image: &mut ImageMut<'_>, luma: Samples, height: usize) {
        for y in 0..height {
            let row = image.row_mut(0, y);
            let last = luma.offset + luma.step * (row.len() / 2 - 1);
            row[last] = row[last - luma.step];
        }
    }
}

fn rgb(pixel: &[u8; 4]) -> [i32; 3] {
    [pixel[0], pixel[1], pixel[2]].map(i32::from)
}

fn mean(pixels: [[u8; 4]; 4]) -> [i32; 3] {
    [0, 1, 2].map(|i| (pixels.iter().map(|p| i32::from(p[i])).sum::<i32>() + 2) >> 2)
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
    use crate::core::{
        image::{Colorimetry, YuvMatrix, YuvRange},
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
                    let Some(layout) = yuv_layout(format) else {
                        continue;
                    };
                    let planes = written(&canvas, format, colorimetry);
                    let (w, _, bytes) = format.plane_layout(0, 9, 7);
                    for (y, row) in planes[0].chunks(w * bytes).enumerate() {
                        let luma: Vec<u8> = row[layout.luma.offset..]
                            .iter()
                            .step_by(layout.luma.step)
                            .take(9)
                            .copied()
                            .collect();
                        assert_eq!(luma, grey[0][y * 9..y * 9 + 9], "{format:?} row {y}");
                    }
                }
            }
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
