//! Conversion of a format's samples to RGB.

use multiversion::multiversion;

use crate::image::{Colorimetry, YuvMatrix, YuvRange};

/// Samples between the resize and the conversion are fractions of 256.
pub(super) const SAMPLE_ONE: f32 = 256.0;

/// Y'CbCr to R'G'B' with results of 0..=255 from samples of 8.8 fixed point:
/// `red = y·Y + rv·V + r0` and so on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct YuvToRgb {
    y: f32,
    rv: f32,
    gu: f32,
    gv: f32,
    bu: f32,
    zero: [f32; 3],
    grey_zero: f32,
    /// Level of a sample of red, green or blue.
    rgb: f32,
}

impl YuvToRgb {
    /// `white` is the largest code in units of eight-bit codes ([`crate::image::Depth::white`]).
    pub(super) fn new(colorimetry: Colorimetry, white: f64) -> Self {
        // Kr and Kb: ITU-R BT.601-7 §2.5.1, BT.709-6 §3.2.
        let (kr, kb) = match colorimetry.matrix {
            YuvMatrix::Bt601 => (0.299_f64, 0.114),
            YuvMatrix::Bt709 => (0.2126, 0.0722),
        };
        let kg = 1.0 - kr - kb;
        // Codes: BT.601-7 §2.5.3 (limited), JFIF 1.02 (full). Luma's zero, luma's span, chroma's span.
        let (black, luma, chroma) = match colorimetry.range {
            YuvRange::Limited => (16.0, 219.0, 224.0),
            YuvRange::Full => (0.0, white, white),
        };
        let (y, c) = (255.0 / luma, 255.0 / chroma);
        let rv = 2.0 * (1.0 - kr) * c;
        let bu = 2.0 * (1.0 - kb) * c;
        let gu = -2.0 * kb * (1.0 - kb) / kg * c;
        let gv = -2.0 * kr * (1.0 - kr) / kg * c;
        let one = f64::from(SAMPLE_ONE);
        let grey_zero = -y * black;
        let zero = [rv, gu + gv, bu].map(|gain| (grey_zero - gain * 128.0) as f32);
        let [y, rv, gu, gv, bu] = [y, rv, gu, gv, bu].map(|gain| (gain / one) as f32);
        Self {
            y,
            rv,
            gu,
            gv,
            bu,
            zero,
            grey_zero: grey_zero as f32,
            rgb: (255.0 / white / one) as f32,
        }
    }

    /// A row of Y, U and V as rows of red, green and blue, 0..=255.
    pub(super) fn convert(&self, yuv: [&[u16]; 3], rgb: [&mut [f32]; 3]) {
        convert(self, yuv, rgb);
    }

    /// A row of red, green or blue samples as levels, 0..=255.
    pub(super) fn widen(&self, samples: &[u16], levels: &mut [f32]) {
        widen(samples, self.rgb, levels);
    }

    /// A row of grey samples as one row of levels, 0..=255.
    pub(super) fn convert_grey(&self, y: &[u16], grey: &mut [f32]) {
        for (&y, grey) in y.iter().zip(grey) {
            *grey = level(f32::from(y) * self.y + self.grey_zero);
        }
    }
}

#[multiversion(targets("x86_64+avx2+fma"))]
fn convert(by: &YuvToRgb, [y, u, v]: [&[u16]; 3], [red, green, blue]: [&mut [f32]; 3]) {
    let samples = y.iter().zip(u).zip(v);
    let colors = red.iter_mut().zip(green).zip(blue);
    for (((&y, &u), &v), ((red, green), blue)) in samples.zip(colors) {
        let (y, u, v) = (f32::from(y) * by.y, f32::from(u), f32::from(v));
        *red = level(y + by.rv * v + by.zero[0]);
        *green = level(y + by.gu * u + by.gv * v + by.zero[1]);
        *blue = level(y + by.bu * u + by.zero[2]);
    }
}

#[multiversion(targets("x86_64+avx2+fma"))]
fn widen(samples: &[u16], gain: f32, levels: &mut [f32]) {
    for (&sample, level) in samples.iter().zip(levels) {
        *level = f32::from(sample) * gain;
    }
}

/// Clamped to what eight bits hold.
#[inline(always)]
fn level(value: f32) -> f32 {
    value.clamp(0.0, 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_black_and_primaries() {
        use YuvMatrix::*;
        use YuvRange::*;
        // Codes of colours from the recommendations' own tables (BT.601 and BT.709 colour bars, 100 %).
        let cases = [
            (Bt601, Limited, [235, 128, 128], [255.0, 255.0, 255.0]),
            (Bt601, Limited, [16, 128, 128], [0.0, 0.0, 0.0]),
            (Bt601, Limited, [81, 90, 240], [255.0, 0.0, 0.0]),
            (Bt601, Limited, [145, 54, 34], [0.0, 255.0, 0.0]),
            (Bt709, Limited, [63, 102, 240], [255.0, 0.0, 0.0]),
            (Bt709, Limited, [32, 240, 118], [0.0, 0.0, 255.0]),
            (Bt601, Full, [255, 128, 128], [255.0, 255.0, 255.0]),
            (Bt601, Full, [76, 85, 255], [255.0, 0.0, 0.0]),
        ];
        for (matrix, range, yuv, expected) in cases {
            let to_rgb = YuvToRgb::new(Colorimetry { matrix, range }, 255.0);
            let [y, u, v] = yuv.map(|code: u16| [code << 8]);
            let (mut r, mut g, mut b) = ([0.0], [0.0], [0.0]);
            to_rgb.convert([&y, &u, &v], [&mut r, &mut g, &mut b]);
            for (got, expected) in [r[0], g[0], b[0]].into_iter().zip(expected) {
                // Codes are rounded to whole numbers: two levels.
                assert!(
                    (got - expected).abs() < 2.0,
                    "{matrix:?} {range:?} {yuv:?}: {got} for {expected}"
                );
            }
        }
    }
}
