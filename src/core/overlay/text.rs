//! Text as masks, drawn once and kept.

use std::{collections::HashMap, sync::Arc};

use ab_glyph::{Font, FontRef, Glyph, ScaleFont, point};

use super::paint::Mask;

/// Latin, Greek and Cyrillic; see the licence beside it.
const FONT: &[u8] = include_bytes!("font/DejaVuSansCondensed-Bold-subset.ttf");

/// Longest text that is drawn, characters; the rest is cut.
pub const MAX_CHARACTERS: usize = 64;

/// Texts kept at most. People who left are forgotten all at once when it is full.
const MAX_KEPT: usize = 512;

/// Draws texts of one size.
#[derive(Debug)]
pub struct TextCache {
    font: Option<FontRef<'static>>,
    size_px: u32,
    kept: HashMap<String, Arc<Mask>>,
}

impl Default for TextCache {
    fn default() -> Self {
        Self {
            font: FontRef::try_from_slice(FONT).ok(),
            size_px: 0,
            kept: HashMap::new(),
        }
    }
}

impl TextCache {
    /// The text as a mask of `size_px` height, from the highest letter's top to the deepest letter's bottom.
    pub fn mask(&mut self, text: &str, size_px: u32) -> Arc<Mask> {
        if size_px != self.size_px || self.kept.len() >= MAX_KEPT {
            self.kept.clear();
            self.size_px = size_px;
        }
        if let Some(mask) = self.kept.get(text) {
            return mask.clone();
        }
        let mask = Arc::new(match &self.font {
            Some(font) => drawn(font, text, size_px),
            None => Mask::default(),
        });
        self.kept.insert(text.to_owned(), mask.clone());
        mask
    }
}

fn drawn(font: &FontRef<'_>, text: &str, size_px: u32) -> Mask {
    let scaled = font.as_scaled(size_px as f32);
    let mut glyphs: Vec<Glyph> = Vec::new();
    let mut x = 0.0;
    for character in text.chars().take(MAX_CHARACTERS) {
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
