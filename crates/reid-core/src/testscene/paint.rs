//! Light, and the colours of clothes and faces.

use super::outfit::{Colour, Head, Outfit, Print};

/// Where the light comes from and what colour it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Light {
    /// Unit vector to the light: right, up, towards the eye.
    pub direction: [f32; 3],
    /// Factors for red, green and blue: the camera's exposure and white balance.
    pub gains: [f32; 3],
}

impl Light {
    /// A surface's colour in this light.
    pub fn on(&self, colour: Colour, normal: [f32; 3]) -> [f32; 3] {
        let towards: f32 = (0..3).map(|i| self.direction[i] * normal[i]).sum();
        // Half from everywhere, half from the light, and rounded off: a hall's light, not a spot's.
        let lit = 0.5 + 0.36 * towards.max(-0.4) + 0.24 * normal[2];
        [0, 1, 2].map(|i| colour[i] * self.gains[i] * lit)
    }
}

/// The shirt's colour around the body (0 = front, radians) at a height.
pub(super) fn shirt(outfit: &Outfit, azimuth: f32, up: f32) -> Colour {
    let Outfit {
        top,
        second,
        print,
        height_m,
        ..
    } = *outfit;
    let odd = |v: f32| v.rem_euclid(2.0) >= 1.0;
    let is_second = match print {
        Print::Plain => false,
        Print::Hoops(a_metre) => odd(up * height_m * a_metre * 2.0),
        Print::Stripes(around) => odd(azimuth / std::f32::consts::TAU * around * 2.0),
        Print::Checks(a_metre) => {
            odd(up * height_m * a_metre) != odd(azimuth * 0.12 * height_m * a_metre * 1.5)
        }
        Print::Yoke(from) => up > from,
        Print::Chest => azimuth.abs() < 0.5 && (0.66..0.76).contains(&up),
        Print::Open => azimuth.abs() < 0.22 && up > 0.5,
    };
    if is_second { second } else { top }
}

/// The head's colour in a direction: front, right, up (unit vector).
pub(super) fn face(outfit: &Outfit, [front, side, up]: [f32; 3]) -> Colour {
    let Outfit {
        skin, hair, head, ..
    } = *outfit;
    let hairline = match head {
        Head::Bald => 2.0,
        Head::Cap => 0.42,
        _ => 0.55,
    };
    // How far back hair begins beside the face, higher up farther to the front.
    let temple = if head == Head::Long { 0.45 } else { 0.1 } + up * 0.35;
    if up > hairline
        || (head != Head::Bald && front < temple && up > -0.55)
        || (head == Head::Bald && front < -0.2 && up < 0.2 && up > -0.5)
    {
        return if head == Head::Cap && up > 0.2 {
            outfit.bag_colour
        } else {
            hair
        };
    }
    // Eyes and brows, nose's shade, mouth: dark blots are what a far face is recognised by.
    let blot = |at_side: f32, at_up: f32, wide: f32, tall: f32| {
        let (x, y) = ((side.abs() - at_side) / wide, (up - at_up) / tall);
        if front > 0.2 {
            (1.2 - x * x - y * y).clamp(0.0, 1.0)
        } else {
            0.0
        }
    };
    let eyes = blot(0.36, 0.04, 0.16, 0.09) * 0.75;
    let brows = blot(0.36, 0.22, 0.24, 0.07) * 0.5;
    let nose = blot(0.0, -0.2, 0.12, 0.08) * 0.25;
    let mouth = blot(0.0, -0.46, 0.28, 0.07) * 0.45;
    let shade = 1.0 - eyes.max(brows).max(nose);
    let mut colour = skin.map(|v| v * shade);
    colour[1] *= 1.0 - mouth;
    colour[2] *= 1.0 - mouth;
    colour[0] *= 1.0 - 0.4 * mouth;
    colour
}

/// A triangle wave of period 1 between -1 and 1.
pub(super) fn wave(x: f32) -> f32 {
    let part = x - x.floor();
    (part - 0.5).abs() * 4.0 - 1.0
}

/// A colour times a factor.
pub(super) fn scaled(colour: Colour, by: f32) -> Colour {
    colour.map(|v| v * by)
}
