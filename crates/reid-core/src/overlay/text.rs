//! Text as masks, rendered once and cached.

use std::{collections::HashMap, sync::Arc};

use ab_glyph::{Font, FontRef, Glyph, ScaleFont, point};

use super::paint::Mask;

/// Latin, Greek and Cyrillic; see the licence beside it.
pub const FONT: &[u8] = include_bytes!("font/DejaVuSansCondensed-Bold-subset.ttf");

/// Longest text that is drawn, characters; the rest is cut.
pub const MAX_CHARACTERS: usize = 64;

/// Texts kept at most. People who left are forgotten all at once when it is full.
const MAX_KEPT: usize = 512;

/// Letters that the font here does not have.
pub trait Letters: std::fmt::Debug + Send {
    /// The text on one line.
    fn draw(&mut self, text: &str, line: &LineSize) -> Lettering;
}

/// How large a line of text is, px.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LineSize {
    /// Size of the em square.
    pub em_px: f32,
    /// From the line's top to the letters' foot.
    pub ascent_px: f32,
    /// From the highest letter's top to the deepest letter's bottom.
    pub height_px: f32,
}

/// A text as far as it can be drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lettering {
    /// The text, a line tall.
    pub mask: Mask,
    /// False when letters are missing, which are left out.
    pub is_whole: bool,
}

/// A text that was drawn before.
#[derive(Clone, Debug)]
struct Kept {
    mask: Arc<Mask>,
    is_whole: bool,
}

/// Draws texts of one size.
#[derive(Debug)]
pub struct TextCache {
    font: Option<FontRef<'static>>,
    letters: Option<Box<dyn Letters>>,
    size_px: u32,
    kept: HashMap<String, Kept>,
}

impl Default for TextCache {
    fn default() -> Self {
        Self {
            font: FontRef::try_from_slice(FONT).ok(),
            letters: None,
            size_px: 0,
            kept: HashMap::new(),
        }
    }
}

impl TextCache {
    /// One that takes letters of other scripts from elsewhere.
    pub fn with_letters(letters: Box<dyn Letters>) -> Self {
        Self {
            letters: Some(letters),
            ..Self::default()
        }
    }

    /// The text as a mask of `size_px` height, from the highest letter's top to the deepest letter's bottom. Letters that
    /// nobody has are left out.
    pub fn mask(&mut self, text: &str, size_px: u32) -> Arc<Mask> {
        self.drawn(text, size_px).mask
    }

    /// As [`Self::mask`], if no letter of the text is missing.
    pub fn whole_mask(&mut self, text: &str, size_px: u32) -> Option<Arc<Mask>> {
        let kept = self.drawn(text, size_px);
        kept.is_whole.then_some(kept.mask)
    }

    /// How large a line of text of that height is.
    pub fn line(&self, size_px: u32) -> LineSize {
        self.font
            .as_ref()
            .map(|font| line_of(font, size_px))
            .unwrap_or_default()
    }

    fn drawn(&mut self, text: &str, size_px: u32) -> Kept {
        if size_px != self.size_px || self.kept.len() >= MAX_KEPT {
            self.kept.clear();
            self.size_px = size_px;
        }
        if let Some(kept) = self.kept.get(text) {
            return kept.clone();
        }
        let lettering = self.lettering(text, size_px);
        let kept = Kept {
            mask: Arc::new(lettering.mask),
            is_whole: lettering.is_whole,
        };
        self.kept.insert(text.to_owned(), kept.clone());
        kept
    }

    fn lettering(&mut self, text: &str, size_px: u32) -> Lettering {
        let Some(font) = &self.font else {
            return Lettering::default();
        };
        let text: String = text.chars().take(MAX_CHARACTERS).collect();
        let has = |c: char| c.is_control() || font.glyph_id(c).0 != 0;
        let is_whole = text.chars().all(has);
        match &mut self.letters {
            Some(letters) if !is_whole => letters.draw(&text, &line_of(font, size_px)),
            _ => Lettering {
                mask: drawn(font, &text, size_px),
                is_whole,
            },
        }
    }
}

fn line_of(font: &FontRef<'_>, size_px: u32) -> LineSize {
    let scaled = font.as_scaled(size_px as f32);
    let units = font.units_per_em().unwrap_or(font.height_unscaled());
    LineSize {
        em_px: size_px as f32 * units / font.height_unscaled(),
        ascent_px: scaled.ascent(),
        height_px: scaled.height(),
    }
}

fn drawn(font: &FontRef<'_>, text: &str, size_px: u32) -> Mask {
    let scaled = font.as_scaled(size_px as f32);
    let mut glyphs: Vec<Glyph> = Vec::new();
    let mut x = 0.0;
    // What the font does not have is left out.
    for character in text.chars().filter(|&c| font.glyph_id(c).0 != 0) {
        let mut glyph = scaled.scaled_glyph(character);
        if let Some(before) = glyphs.last() {
            x += scaled.kern(before.id, glyph.id);
        }
        glyph.position = point(x, scaled.ascent());
        x += scaled.h_advance(glyph.id);
        glyphs.push(glyph);
    }
    let (width, height) = (x.ceil() as usize, scaled.height().ceil() as usize);
    let mut mask = Mask {
        width,
        height,
        coverage: vec![0; width * height],
    };
    for outline in glyphs
        .into_iter()
        .filter_map(|glyph| font.outline_glyph(glyph))
    {
        let bounds = outline.px_bounds();
        outline.draw(|dx, dy, coverage| {
            let (x, y) = (
                bounds.min.x as i32 + dx as i32,
                bounds.min.y as i32 + dy as i32,
            );
            if (0..width as i32).contains(&x) && (0..height as i32).contains(&y) {
                let byte = &mut mask.coverage[y as usize * width + x as usize];
                *byte = byte.saturating_add((coverage * 255.0).round() as u8);
            }
        });
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_drawn_once_and_never_grow_without_end() {
        let mut cache = TextCache::default();
        let first = cache.mask("P17", 16);
        assert!(first.width > 10 && first.coverage.contains(&255));
        assert!(Arc::ptr_eq(&first, &cache.mask("P17", 16)));
        assert!(!Arc::ptr_eq(&first, &cache.mask("P17", 20)));
        for i in 0..2 * MAX_KEPT {
            cache.mask(&format!("P{i}"), 8);
        }
        assert!(cache.kept.len() <= MAX_KEPT);
    }

    /// Has every letter but one, and draws each as a full column.
    #[derive(Debug)]
    struct AllBut(char);

    impl Letters for AllBut {
        fn draw(&mut self, text: &str, line: &LineSize) -> Lettering {
            let width = text.chars().filter(|&c| c != self.0).count();
            let height = line.height_px as usize;
            let coverage = vec![255; width * height];
            Lettering {
                mask: Mask {
                    width,
                    height,
                    coverage,
                },
                is_whole: !text.contains(self.0),
            }
        }
    }

    #[test]
    fn letters_that_the_font_lacks_come_from_elsewhere_or_are_missed() {
        let mut alone = TextCache::default();
        assert!(alone.whole_mask("P17 Жук", 16).is_some());
        assert_eq!(alone.whole_mask("漢字", 16), None);
        assert!(!alone.mask("漢字", 16).coverage.contains(&255));
        let mut helped = TextCache::with_letters(Box::new(AllBut('字')));
        assert_eq!(
            helped.mask("P17", 16),
            alone.mask("P17", 16),
            "its own font first"
        );
        assert_eq!(helped.whole_mask("漢", 16).unwrap().width, 1);
        assert_eq!(helped.whole_mask("漢字", 16), None);
        assert_eq!(helped.mask("漢字", 16).width, 1);
    }

    #[test]
    fn strange_texts_are_drawn_or_skipped() {
        let mut cache = TextCache::default();
        for text in ["", "Åsa Ωμέγα Жук", "漢字\u{0}\n", &"W".repeat(10_000)] {
            let mask = cache.mask(text, 12);
            assert_eq!(mask.coverage.len(), mask.width * mask.height);
            assert!(mask.width < 12 * MAX_CHARACTERS * 2);
        }
    }
}
