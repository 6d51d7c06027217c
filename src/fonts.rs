//! Characters that the overlay's own font does not have, from the fonts of the system: Chinese, Japanese, Korean, Arabic,
//! Devanagari, emoji and others, shaped and in the right order (`cosmic-text`).
//!
//! Fonts are loaded once per process, when the first text needs them: tens to hundreds of milliseconds. Without any the overlay draws
//! an id instead of the name.

use std::sync::{Arc, Mutex};

use cosmic_text::{
    Attrs, Buffer, Family, FontSystem, LayoutGlyph, Metrics, Shaping, SwashCache, SwashContent,
    SwashImage, Wrap,
    fontdb::{Database, FaceInfo, ID, Language, Source, Stretch, Style, Weight},
};

use crate::{
    core::overlay::{FONT, Lettering, Letters, LineSize, Mask},
    sync::lock,
};

/// The name under which the overlay's own font stands among the others. A regular weight, whatever it is: only fonts of one
/// weight stand in for one another, and few languages have a bold one.
const OWN_FAMILY: &str = "gst-plugin-reid";

/// The language whose forms of ideographs are taken when the environment names none.
const DEFAULT_LOCALE: &str = "en";

/// What a part of a coloured picture (emoji) that is as light as white still covers, so that its outline shows.
const LIGHT_INK: f32 = 0.3;

static FONTS: Mutex<Option<Fonts>> = Mutex::new(None);

/// The fonts of the system, shared by the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLetters;

impl Letters for SystemLetters {
    fn draw(&mut self, text: &str, line: &LineSize) -> Lettering {
        lock(&FONTS)
            .get_or_insert_with(Fonts::of_the_system)
            .draw(text, line)
    }
}

/// Fonts, ready to draw with.
struct Fonts {
    system: FontSystem,
    swash: SwashCache,
}

impl Fonts {
    fn of_the_system() -> Self {
        let mut fonts = Database::new();
        fonts.load_system_fonts();
        Self::new(fonts)
    }

    fn new(mut fonts: Database) -> Self {
        fonts.push_face_info(FaceInfo {
            id: ID::dummy(),
            source: Source::Binary(Arc::new(FONT)),
            index: 0,
            families: vec![(OWN_FAMILY.into(), Language::English_UnitedStates)],
            post_script_name: OWN_FAMILY.into(),
            style: Style::Normal,
            weight: Weight::NORMAL,
            stretch: Stretch::Normal,
            monospaced: false,
        });
        Self {
            system: FontSystem::new_with_locale_and_db(locale(), fonts),
            swash: SwashCache::new(),
        }
    }

    fn draw(&mut self, text: &str, line: &LineSize) -> Lettering {
        let glyphs = self.laid_out(text, line);
        let left = glyphs.iter().map(|g| g.x).fold(f32::INFINITY, f32::min);
        let right = glyphs.iter().map(|g| g.x + g.w).fold(left, f32::max);
        let width = if glyphs.is_empty() { 0.0 } else { right - left };
        let (width, height) = (width.ceil() as usize, line.height_px.ceil() as usize);
        let mut mask = Mask {
            width,
            height,
            coverage: vec![0; width * height],
        };
        // Number 0 of every font stands for letters that it does not have.
        let is_known = |glyph: &&LayoutGlyph| glyph.glyph_id != 0;
        for glyph in glyphs.iter().filter(is_known) {
            let placed = glyph.physical((-left, line.ascent_px), 1.0);
            let image = self
                .swash
                .get_image_uncached(&mut self.system, placed.cache_key);
            if let Some(image) = image {
                let (x, y) = (
                    placed.x + image.placement.left,
                    placed.y - image.placement.top,
                );
                stamp(&mut mask, &image, x, y);
            }
        }
        Lettering {
            is_whole: glyphs.iter().all(|glyph| is_known(&glyph)),
            mask,
        }
    }

    /// The glyphs of one line, from its left end.
    fn laid_out(&mut self, text: &str, line: &LineSize) -> Vec<LayoutGlyph> {
        // One line, whatever is in it.
        let text: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let metrics = Metrics::new(line.em_px.max(1.0), line.height_px.max(1.0));
        let mut buffer = Buffer::new(&mut self.system, metrics);
        buffer.set_wrap(Wrap::None);
        buffer.set_size(None, None);
        let attributes = Attrs::new().family(Family::Name(OWN_FAMILY));
        buffer.set_text(&text, &attributes, Shaping::Advanced, None);
        buffer.shape_until_scroll(&mut self.system, false);
        let runs = buffer.layout_runs();
        runs.flat_map(|run| run.glyphs.iter().cloned()).collect()
    }
}

/// Adds a glyph whose top left lies at `(x, y)`.
fn stamp(mask: &mut Mask, image: &SwashImage, x: i32, y: i32) {
    let width = image.placement.width as usize;
    let bytes = match image.content {
        SwashContent::Mask => 1,
        SwashContent::Color | SwashContent::SubpixelMask => 4,
    };
    for (i, pixel) in image.data.chunks_exact(bytes).enumerate() {
        let (dx, dy) = ((i % width.max(1)) as i32, (i / width.max(1)) as i32);
        let (Ok(column), Ok(row)) = (usize::try_from(x + dx), usize::try_from(y + dy)) else {
            continue;
        };
        if column < mask.width && row < mask.height {
            let byte = &mut mask.coverage[row * mask.width + column];
            *byte = byte.saturating_add(ink(pixel));
        }
    }
}

/// How much of a pixel a glyph covers: labels have one colour, so that coloured glyphs become lighter and darker.
fn ink(pixel: &[u8]) -> u8 {
    match *pixel {
        [coverage] => coverage,
        [r, g, b, alpha] => {
            let [r, g, b, alpha] = [r, g, b, alpha].map(f32::from);
            // BT.601's weights.
            let dark = 1.0 - (0.299 * r + 0.587 * g + 0.114 * b) / 255.0;
            (alpha * dark.max(LIGHT_INK)).round() as u8
        }
        _ => 0,
    }
}

/// The language of the environment, as `cosmic-text` knows it: `ja`, `ko`, `zh-TW`.
fn locale() -> String {
    let set = |name| std::env::var(name).ok().filter(|v: &String| !v.is_empty());
    let variables = ["LC_ALL", "LC_CTYPE", "LANG"];
    named_locale(&variables.into_iter().find_map(set).unwrap_or_default())
}

fn named_locale(variable: &str) -> String {
    let name = variable.split(['.', '@']).next().unwrap_or_default();
    match name.split_once('_') {
        Some(("zh", region)) => format!("zh-{region}"),
        Some((language, _)) => language.into(),
        None if name.is_empty() || name == "C" || name == "POSIX" => DEFAULT_LOCALE.into(),
        None => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::overlay::TextCache;

    /// See `tests/fixtures/make_font.py`.
    const TINY: &[u8] = include_bytes!("../tests/fixtures/fonts/tiny.ttf");

    fn fonts(more: &[&'static [u8]]) -> Fonts {
        let mut database = Database::new();
        for font in more {
            database.load_font_data(font.to_vec());
        }
        Fonts::new(database)
    }

    fn drawn(fonts: &mut Fonts, text: &str) -> Lettering {
        fonts.draw(text, &TextCache::default().line(32))
    }

    fn columns(mask: &Mask) -> Vec<u32> {
        (0..mask.width)
            .map(|x| {
                let column = mask.coverage.iter().skip(x).step_by(mask.width);
                column.map(|&c| u32::from(c > 127)).sum()
            })
            .collect()
    }

    #[test]
    fn letters_come_from_the_font_that_has_them() {
        let mut fonts = fonts(&[TINY]);
        for text in ["漢字", "P17 漢字", "\u{100000}"] {
            let lettering = drawn(&mut fonts, text);
            assert!(lettering.is_whole, "{text}");
            assert!(lettering.mask.coverage.contains(&255), "{text}");
        }
        let (wide, narrow) = (drawn(&mut fonts, "漢字"), drawn(&mut fonts, "漢"));
        assert!(wide.mask.width > narrow.mask.width + 10);
        // The boxes of the font: the first is taller.
        let heights = columns(&wide.mask);
        assert!(heights[10] > heights[heights.len() - 10], "{heights:?}");
    }

    #[test]
    fn arabic_is_joined_and_runs_from_the_right() {
        let mut fonts = fonts(&[TINY]);
        let joined = columns(&drawn(&mut fonts, "بب").mask);
        let alone = columns(&drawn(&mut fonts, "ب").mask);
        let (last, first) = (joined[8], joined[joined.len() - 8]);
        // The form of the word's end is the tallest, that of its beginning the next, that of a letter alone the lowest.
        assert!(last > first && first > alone[8], "{joined:?} {alone:?}");
    }

    #[test]
    fn what_no_font_has_is_said_and_left_out() {
        let mut fonts = fonts(&[]);
        assert!(drawn(&mut fonts, "P17 Ωδή").is_whole);
        let lettering = drawn(&mut fonts, "漢字");
        assert!(!lettering.is_whole && lettering.mask.coverage.iter().all(|&c| c == 0));
        assert!(!drawn(&mut fonts, "P17 漢").is_whole);
        for strange in ["", "\u{0}\n\t", "\u{200f}\u{200d}", &"漢".repeat(64)] {
            let mask = drawn(&mut fonts, strange).mask;
            assert_eq!(mask.coverage.len(), mask.width * mask.height);
        }
    }

    #[test]
    fn coloured_glyphs_become_lighter_and_darker() {
        assert_eq!(ink(&[77]), 77);
        assert_eq!(ink(&[0, 0, 0, 255]), 255);
        assert_eq!(ink(&[0, 0, 0, 0]), 0);
        assert!(ink(&[255, 200, 0, 255]) < ink(&[90, 40, 0, 255]));
        assert!(ink(&[255, 255, 255, 255]) > 0);
    }

    #[test]
    fn the_environments_language_is_understood() {
        for (variable, expected) in [
            ("ja_JP.UTF-8", "ja"),
            ("zh_TW.UTF-8", "zh-TW"),
            ("ko", "ko"),
            ("C", "en"),
            ("", "en"),
            ("de_AT@euro", "de"),
        ] {
            assert_eq!(named_locale(variable), expected);
        }
    }
}
