//! Thumbnails: a person cropped from a frame of any format. The rest of the frame is neither read nor converted.

use std::sync::Arc;

use super::{
    geometry::Rect,
    image::ImageView,
    preprocess::{ColorOrder, InputSpec, PreprocessError, Preprocessor, ResizeMode, TensorLayout},
};

/// Most columns of a thumbnail, px.
pub const WIDTH: usize = 64;
/// Most rows of a thumbnail, px.
pub const HEIGHT: usize = 128;
/// Boxes that are larger are first sampled at up to so many times the size, then averaged: sampling alone would show
/// every so manieth pixel.
const MAX_BLOCK: usize = 4;

/// Packed RGB. It shows a person: pixels are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Thumbnail {
    width: usize,
    height: usize,
    rgb: Arc<[u8]>,
}

impl std::fmt::Debug for Thumbnail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Thumbnail({}x{})", self.width, self.height)
    }
}

impl Thumbnail {
    /// The part of a box (px of the frame) that lies inside the frame, in its own proportions, at most [`WIDTH`] ×
    /// [`HEIGHT`] and never enlarged.
    pub fn cut(view: &ImageView<'_>, rect: Rect) -> Result<Self, PreprocessError> {
        let inside = rect
            .clipped(view.width() as f32, view.height() as f32)
            .ok_or(PreprocessError::OutsideFrame(rect))?;
        let factor = (WIDTH as f32 / inside.w)
            .min(HEIGHT as f32 / inside.h)
            .min(1.0);
        let side = |length: f32, most: usize| ((length * factor).round() as usize).clamp(1, most);
        let (width, height) = (side(inside.w, WIDTH), side(inside.h, HEIGHT));
        let block = ((1.0 / factor).round() as usize).clamp(1, MAX_BLOCK);
        let spec = InputSpec {
            width: width * block,
            height: height * block,
            color: ColorOrder::Rgb,
            tensor: TensorLayout::Nhwc,
            scale: [1.0; 3],
            offset: [0.0; 3],
            resize: ResizeMode::Squash,
            pad: 0,
        };
        let mut levels = vec![0.0_f32; spec.tensor_len()];
        Preprocessor::new(spec).fill_crop(view, inside, &mut levels)?;
        Ok(Self {
            width,
            height,
            rgb: averaged(&levels, width, height, block),
        })
    }

    /// Columns, px.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows, px.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Red, green and blue of every pixel, row by row.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }
}

/// The mean of every `block` × `block` pixels.
fn averaged(levels: &[f32], width: usize, height: usize, block: usize) -> Arc<[u8]> {
    let row = width * block * 3;
    let count = (block * block) as f32;
    let mut rgb = Vec::with_capacity(width * height * 3);
    let mut sums = vec![0.0_f32; width * 3];
    for rows in levels.chunks_exact(row * block).take(height) {
        sums.fill(0.0);
        for line in rows.chunks_exact(row) {
            let blocks = line.chunks_exact(block * 3);
            for (sum, pixels) in sums.chunks_exact_mut(3).zip(blocks) {
                for pixel in pixels.chunks_exact(3) {
                    sum[0] += pixel[0];
                    sum[1] += pixel[1];
                    sum[2] += pixel[2];
                }
            }
        }
        let mean = |sum: &f32| (sum / count).round().clamp(0.0, 255.0) as u8;
        rgb.extend(sums.iter().map(mean));
    }
    rgb.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Colorimetry, PixelFormat, Plane};

    /// A frame whose left half is red and whose right half is a fine green checkerboard.
    fn frame() -> Vec<u8> {
        let mut data = Vec::new();
        for y in 0..400_usize {
            for x in 0..400_usize {
                let green = if (x + y) % 2 == 0 { 200 } else { 0 };
                data.extend(if x < 200 { [250, 0, 0] } else { [0, green, 0] });
            }
        }
        data
    }

    fn cut(rect: Rect) -> Result<Thumbnail, PreprocessError> {
        let data = frame();
        let plane = Plane {
            data: &data,
            stride: 1200,
        };
        let colorimetry = Colorimetry::default();
        let view = ImageView::new(PixelFormat::Rgb, 400, 400, &[plane], colorimetry).unwrap();
        Thumbnail::cut(&view, rect)
    }

    #[test]
    fn a_box_keeps_its_proportions_and_is_never_enlarged() {
        for (rect, size) in [
            (Rect::new(10.0, 0.0, 150.0, 300.0), (64, 128)),
            (Rect::new(10.0, 0.0, 100.0, 400.0), (32, 128)),
            (Rect::new(10.0, 0.0, 200.0, 100.0), (64, 32)),
            (Rect::new(10.0, 0.0, 20.0, 50.0), (20, 50)),
            // Half of it lies outside.
            (Rect::new(-20.0, 380.0, 60.0, 40.0), (40, 20)),
        ] {
            let found = cut(rect).unwrap();
            assert_eq!((found.width(), found.height()), size, "{rect:?}");
            assert_eq!(found.rgb().len(), size.0 * size.1 * 3);
        }
        assert!(cut(Rect::new(500.0, 0.0, 10.0, 10.0)).is_err());
    }

    #[test]
    fn it_shows_what_is_in_the_box_and_nothing_else() {
        let red = cut(Rect::new(20.0, 20.0, 150.0, 300.0)).unwrap();
        assert!(red.rgb().chunks_exact(3).all(|p| p == [250, 0, 0]));
        // Averaged, not every so manieth pixel.
        let green = cut(Rect::new(220.0, 0.0, 160.0, 384.0)).unwrap();
        let inner = green.rgb().chunks_exact(3).skip(green.width());
        assert!(
            inner
                .clone()
                .all(|p| p[0] == 0 && (50..150).contains(&p[1]))
        );
        assert_eq!(format!("{green:?}"), "Thumbnail(53x128)");
    }
}
