//! Pictures side by side in one picture, each with a line of text below it.

use std::{error::Error, path::Path};

use gstreid::{
    core::{
        colour::Rgb,
        image::{Colorimetry, PixelFormat},
        image_mut::{ImageMut, PlaneMut},
        overlay::{Area, Painter, TextCache},
    },
    fonts::SystemLetters,
};

use crate::pictures::Picture;

/// Height of a picture in a montage, px.
const HEIGHT: usize = 192;

/// Widest a picture may become, px; wider ones lose height.
const MAX_WIDTH: usize = 192;

/// Space between and around pictures, width of a frame and height of the text below, px.
const GAP: usize = 8;
const FRAME: i32 = 4;
const TEXT: usize = 18;

const PAPER: Rgb = Rgb {
    r: 32,
    g: 32,
    b: 32,
};
const INK: Rgb = Rgb {
    r: 240,
    g: 240,
    b: 240,
};

/// A picture of a montage.
pub struct Tile {
    picture: Picture,
    /// What stands below it.
    text: String,
    /// Colour of the frame around it.
    frame: Rgb,
}

impl Tile {
    /// A picture, made small.
    pub fn new(picture: &Picture, text: String, frame: Rgb) -> Self {
        Self {
            picture: picture.fitted(MAX_WIDTH, HEIGHT),
            text,
            frame,
        }
    }
}

/// Lays the tiles in a row and writes them as a PNG.
pub fn write(path: &Path, tiles: &[Tile]) -> Result<(), Box<dyn Error>> {
    let widths = tiles.iter().map(|tile| tile.picture.columns() + GAP);
    let (width, height) = (GAP + widths.sum::<usize>(), HEIGHT + TEXT + 2 * GAP);
    let mut data = vec![0; width * height * 3];
    let plane = PlaneMut {
        data: &mut data,
        stride: width * 3,
    };
    let mut image = ImageMut::new(
        PixelFormat::Rgb,
        width,
        height,
        vec![plane],
        Colorimetry::default(),
    )?;
    let mut texts = TextCache::with_letters(Box::new(SystemLetters));
    let mut painter = Painter::new(&mut image);
    let paper = painter.brush(PAPER);
    painter.fill(Area::new(0, 0, width as i32, height as i32), paper);
    let mut left = GAP;
    for tile in tiles {
        tile.draw(&mut painter, &mut texts, left);
        left += tile.picture.columns() + GAP;
    }
    Picture::from_rgb(width, height, data)
        .save_png(path)
        .map_err(|error| format!("{} cannot be written: {error}", path.display()).into())
}

impl Tile {
    fn draw(&self, painter: &mut Painter<'_, '_>, texts: &mut TextCache, left: usize) {
        let (columns, rows) = (self.picture.columns(), self.picture.rows());
        let top = GAP + HEIGHT - rows;
        for y in 0..rows {
            let from = 3 * left;
            painter.image().row_mut(0, top + y)[from..from + 3 * columns]
                .copy_from_slice(self.picture.row(y));
        }
        let area = Area::new(left as i32, top as i32, columns as i32, rows as i32);
        let frame = painter.brush(self.frame);
        painter.frame(area, FRAME, frame);
        let mask = texts.mask(&self.text, TEXT as u32 - 4);
        let ink = painter.brush(INK);
        painter.stamp(&mask, left as i32, (GAP + HEIGHT + 2) as i32, ink);
    }
}
