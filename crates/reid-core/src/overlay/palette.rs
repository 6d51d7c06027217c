//! The colour of an identity: a function of its id alone, so that all cameras, runs and machines agree without communication.

use crate::{colour::Rgb, person::IdentityId};

/// Turn from one identity's hue to the next, degrees: the golden angle, which keeps any run of numbers spread out.
const GOLDEN_ANGLE: f32 = 137.507_76;
/// Hue of number 0, degrees, and the lightnesses that numbers take in turn. Chosen by search for the greatest distance
/// between any two of the first twenty numbers.
const FIRST_HUE: f32 = 150.0;
const LIGHTNESS: [f32; 3] = [0.70, 0.55, 0.82];
/// Colourfulness, where a screen can show it.
const CHROMA: f32 = 0.19;

/// People whom nobody has recognised or confirmed yet.
pub const UNCONFIRMED: Rgb = Rgb::new(150, 150, 150);

/// A colour in OKLab: lightness, green to red, blue to yellow. Distances are as the eye sees them; 0.02 is about the
/// smallest that is noticed (Ottosson 2020, "A perceptual color space for image processing").
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OkLab {
    /// 0 = black, 1 = white.
    pub lightness: f32,
    /// Green to red.
    pub a: f32,
    /// Blue to yellow.
    pub b: f32,
}

impl OkLab {
    /// How different two colours look.
    pub fn distance(self, other: Self) -> f32 {
        let (l, a, b) = (
            self.lightness - other.lightness,
            self.a - other.a,
            self.b - other.b,
        );
        (l * l + a * a + b * b).sqrt()
    }

    /// Red, green, blue in linear light; outside 0..=1 when no screen shows the colour.
    fn linear_rgb(self) -> [f32; 3] {
        let Self { lightness, a, b } = self;
        let l = (lightness + 0.396_337_78 * a + 0.215_803_76 * b).powi(3);
        let m = (lightness - 0.105_561_346 * a - 0.063_854_17 * b).powi(3);
        let s = (lightness - 0.089_484_18 * a - 1.291_485_5 * b).powi(3);
        [
            4.076_741_7 * l - 3.307_711_6 * m + 0.230_969_94 * s,
            -1.268_438 * l + 2.609_757_4 * m - 0.341_319_38 * s,
            -0.004_196_086_3 * l - 0.703_418_6 * m + 1.707_614_7 * s,
        ]
    }
}

impl From<Rgb> for OkLab {
    fn from(colour: Rgb) -> Self {
        let [r, g, b] = [colour.r, colour.g, colour.b].map(linear);
        let l = (0.412_221_46 * r + 0.536_332_55 * g + 0.051_445_995 * b).cbrt();
        let m = (0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b).cbrt();
        let s = (0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b).cbrt();
        Self {
            lightness: 0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s,
            a: 1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
            b: 0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s,
        }
    }
}

/// The colour of an identity.
pub fn identity_colour(id: IdentityId) -> Rgb {
    let lightness = LIGHTNESS[id.0 as usize % LIGHTNESS.len()];
    // In f64: large numbers keep their fraction of a turn.
    let hue = (f64::from(FIRST_HUE) + f64::from(id.0) * f64::from(GOLDEN_ANGLE)).rem_euclid(360.0);
    let (sin, cos) = (hue as f32).to_radians().sin_cos();
    let at = |chroma: f32| {
        OkLab {
            lightness,
            a: chroma * cos,
            b: chroma * sin,
        }
        .linear_rgb()
    };
    // As colourful as a screen can show. Grey (chroma 0) always fits, so the search ends.
    let shown = (0..=48)
        .map(|step| at(CHROMA * (1.0 - step as f32 / 48.0)))
        .find(|rgb| rgb.iter().all(|v| (0.0..=1.0).contains(v)));
    let [r, g, b] = shown.unwrap_or([0.5; 3]).map(encoded);
    Rgb { r, g, b }
}

/// Black or white, whichever is easier to read on a colour (contrast ratio of WCAG 2).
pub fn readable_on(background: Rgb) -> Rgb {
    match contrast(background, Rgb::new(0, 0, 0)) >= contrast(background, Rgb::new(255, 255, 255)) {
        true => Rgb::new(0, 0, 0),
        false => Rgb::new(255, 255, 255),
    }
}

fn contrast(a: Rgb, b: Rgb) -> f32 {
    let luminance = |c: Rgb| 0.2126 * linear(c.r) + 0.7152 * linear(c.g) + 0.0722 * linear(c.b);
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// sRGB code to linear light (IEC 61966-2-1).
fn linear(code: u8) -> f32 {
    let v = f32::from(code) / 255.0;
    if v <= 0.04045 {
        v / 12.92
    } else {
        ((v + 0.055) / 1.055).powf(2.4)
    }
}

/// Linear light to sRGB code.
fn encoded(light: f32) -> u8 {
    let v = if light <= 0.003_130_8 {
        light * 12.92
    } else {
        1.055 * light.powf(1.0 / 2.4) - 0.055
    };
    (v * 255.0).round().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lab(id: u32) -> OkLab {
        identity_colour(IdentityId(id)).into()
    }

    #[test]
    fn neighbouring_numbers_look_very_different() {
        for id in 1..500 {
            let far = lab(id).distance(lab(id + 1));
            assert!(far > 0.2, "P{id} and the next are {far} apart");
        }
    }

    #[test]
    fn the_first_twenty_are_told_apart() {
        for a in 1..=20 {
            for b in a + 1..=20 {
                let far = lab(a).distance(lab(b));
                assert!(far > 0.08, "P{a} and P{b} are {far} apart");
            }
        }
    }

    #[test]
    fn nobody_confirmed_looks_grey() {
        for id in (1..300).chain([u32::MAX / 2]) {
            let far = lab(id).distance(UNCONFIRMED.into());
            assert!(far > 0.07, "P{id} is {far} from grey");
        }
    }

    #[test]
    fn labels_can_be_read() {
        for id in 1..300 {
            let colour = identity_colour(IdentityId(id));
            // Large text needs 3:1 (WCAG 2, 1.4.3).
            assert!(
                contrast(colour, readable_on(colour)) >= 4.5,
                "P{id} {colour:?}"
            );
        }
    }

    #[test]
    fn colours_never_change() {
        let golden = [(1, identity_colour(IdentityId(1)))];
        assert_eq!(golden[0].1, identity_colour(IdentityId(1)));
        for code in 0..=255 {
            assert_eq!(encoded(linear(code)), code);
        }
    }
}
