//! Colours: red, green, blue as displayed, and the codes that stand for them in a Y'CbCr picture.

use super::image::{Colorimetry, YuvMatrix, YuvRange};

/// A displayed (gamma-encoded sRGB) colour, 0..=255 each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Rgb {
    pub r: u8,
    pub g: u8,
    pub b: u8,
}

impl Rgb {
    /// A colour from its parts.
    pub const fn new(r: u8, g: u8, b: u8) -> Self {
        Self { r, g, b }
    }
}

/// Bits behind the point of the integer coefficients.
const SHIFT: u32 = 16;
const HALF: i32 = 1 << (SHIFT - 1);

/// Turns R'G'B' into Y'CbCr codes of one colorimetry, in integers.
#[derive(Clone, Copy, Debug)]
pub struct ToYuv {
    luma: [i32; 3],
    blue: [i32; 3],
    red: [i32; 3],
    black: i32,
}

impl ToYuv {
    /// The conversion of a colorimetry. ITU-R BT.601-7 and BT.709-6, sections on signal format.
    pub fn new(colorimetry: Colorimetry) -> Self {
        let (kr, kb) = match colorimetry.matrix {
            YuvMatrix::Bt601 => (0.299, 0.114),
            YuvMatrix::Bt709 => (0.2126, 0.0722),
        };
        let kg = 1.0 - kr - kb;
        // Codes from black to white, and from one end of a colour difference to the other.
        let (black, luma_codes, chroma_codes) = match colorimetry.range {
            YuvRange::Limited => (16, 219.0, 224.0),
            YuvRange::Full => (0, 255.0, 255.0),
        };
        let fixed = |v: f64, codes: f64| (v * codes / 255.0 * f64::from(1 << SHIFT)).round() as i32;
        let difference = |v: [f64; 3]| v.map(|part| fixed(part, chroma_codes));
        Self {
            luma: [kr, kg, kb].map(|k| fixed(k, luma_codes)),
            blue: difference([-kr, -kg, 1.0 - kb].map(|part| part / (2.0 * (1.0 - kb)))),
            red: difference([1.0 - kr, -kg, -kb].map(|part| part / (2.0 * (1.0 - kr)))),
            black,
        }
    }

    /// The luma code.
    #[inline]
    pub fn luma(&self, rgb: [i32; 3]) -> u8 {
        (self.black + ((weigh(self.luma, rgb) + HALF) >> SHIFT)).clamp(0, 255) as u8
    }

    /// The codes of both colour differences, blue first.
    #[inline]
    pub fn chroma(&self, rgb: [i32; 3]) -> [u8; 2] {
        [self.blue, self.red]
            .map(|weights| (128 + ((weigh(weights, rgb) + HALF) >> SHIFT)).clamp(0, 255) as u8)
    }

    /// All three codes of a colour: Y', Cb, Cr.
    pub fn codes(&self, colour: Rgb) -> [u8; 3] {
        let rgb = [colour.r, colour.g, colour.b].map(i32::from);
        let [blue, red] = self.chroma(rgb);
        [self.luma(rgb), blue, red]
    }
}

#[inline]
fn weigh(weights: [i32; 3], rgb: [i32; 3]) -> i32 {
    weights[0] * rgb[0] + weights[1] * rgb[1] + weights[2] * rgb[2]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(matrix: YuvMatrix, range: YuvRange, colour: Rgb, expected: [u8; 3]) {
        let codes = ToYuv::new(Colorimetry { matrix, range }).codes(colour);
        let far = (0..3).any(|i| codes[i].abs_diff(expected[i]) > 1);
        assert!(
            !far,
            "{matrix:?} {range:?} {colour:?}: {codes:?}, not {expected:?}"
        );
    }

    #[test]
    fn the_colour_bars_have_their_published_codes() {
        use {YuvMatrix::*, YuvRange::*};
        let (white, black) = (Rgb::new(255, 255, 255), Rgb::new(0, 0, 0));
        let (red, blue) = (Rgb::new(255, 0, 0), Rgb::new(0, 0, 255));
        for matrix in [Bt601, Bt709] {
            check(matrix, Limited, white, [235, 128, 128]);
            check(matrix, Limited, black, [16, 128, 128]);
            check(matrix, Full, white, [255, 128, 128]);
        }
        check(Bt601, Limited, red, [81, 90, 240]);
        check(Bt601, Limited, blue, [41, 240, 110]);
        check(Bt709, Limited, red, [63, 102, 240]);
        check(Bt709, Limited, blue, [32, 240, 118]);
        check(Bt601, Full, red, [76, 85, 255]);
    }
}
