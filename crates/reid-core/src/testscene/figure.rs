//! A walking body: limbs, trunk, head and bag in the right proportions, lit and drawn into a tile.
//!
//! Lengths are parts of the body's height. Proportions follow the segment lengths of Drillis & Contini (1966) as printed
//! in Winter, *Biomechanics and Motor Control of Human Movement*, and the artists' canon of 7.5 heads.

use super::{
    outfit::{Bag, Colour, Head, Lower, Outfit, Print},
    paint::{Light, face, scaled, shirt, wave},
    tile::{Limb, OnLimb, Point, Tile},
};

/// A place on or near the body: forward, to the body's right, up.
type Spot = [f32; 3];

/// Height of the hip and shoulder joints and of the head's middle.
const HIP: f32 = 0.515;
const SHOULDER: f32 = 0.795;
const HEAD: f32 = 0.928;
/// Half the distance between the hip joints and between the shoulder joints.
const HIP_OUT: f32 = 0.046;
const SHOULDER_OUT: f32 = 0.106;
/// Lengths of thigh, shank, upper arm, forearm.
const THIGH: f32 = 0.243;
const SHANK: f32 = 0.235;
const UPPER_ARM: f32 = 0.17;
const FOREARM: f32 = 0.142;
/// From the ankle joint down to the sole.
const ANKLE: f32 = 0.04;
/// How far the hip swings to each side in a full stride, radians, and how far the knee bends at most (Winter, gait
/// curves of natural cadence: about 22° and 60°).
const HIP_SWING: f32 = 0.40;
const KNEE_BEND: f32 = 1.0;
/// Widest a body gets to each side and tallest above its height, for the tile: an outstretched stride, a hat.
pub(super) const REACH: f32 = 0.36;
pub(super) const TALLEST: f32 = 1.03;
/// Lowest below the feet's place: a toe towards the camera.
pub(super) const LOWEST: f32 = 0.03;

/// How a body stands before the camera.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stance {
    /// Where the middle between the feet is in the picture, px.
    pub foot: Point,
    /// The body's height, px.
    pub height_px: f32,
    /// Direction of walk as the camera sees it: to the right, away; a unit vector.
    pub forward: [f32; 2],
    /// Length of the stride, 0 = standing, 1 = full.
    pub stride: f32,
    /// Where in the stride, radians.
    pub phase: f32,
}

/// Draws a person. The tile must already have its place and size.
pub(super) fn draw(tile: &mut Tile, outfit: &Outfit, stance: Stance, light: Light) {
    let mut body = Body::new(outfit, stance, light);
    body.stand();
    let legs = [body.leg(-1.0), body.leg(1.0)];
    let arms = [body.arm(-1.0), body.arm(1.0)];
    let behind = |spots: &[Spot]| body.away(spots[1]) > 0.005;
    let faces_away = stance.forward[1] > 0.0;

    for (side, arm) in [-1.0, 1.0].into_iter().zip(&arms) {
        if behind(arm) {
            body.draw_arm(tile, arm, side);
        }
    }
    if !faces_away {
        body.draw_backpack(tile);
    }
    let far_first = if body.away(legs[0][2]) > body.away(legs[1][2]) {
        [0, 1]
    } else {
        [1, 0]
    };
    for i in far_first {
        body.draw_leg(tile, &legs[i]);
    }
    body.draw_pelvis(tile);
    body.draw_neck(tile);
    body.draw_top(tile);
    if faces_away {
        body.draw_backpack(tile);
    }
    body.draw_head(tile);
    for (side, arm) in [-1.0, 1.0].into_iter().zip(&arms) {
        if !behind(arm) {
            body.draw_arm(tile, arm, side);
        }
    }
}

/// Half width and half depth of the trunk at a height.
#[derive(Clone, Copy)]
struct Station {
    up: f32,
    wide: f32,
    deep: f32,
}

const fn station(up: f32, wide: f32, deep: f32) -> Station {
    Station { up, wide, deep }
}

/// From the crotch to the neck.
const TRUNK: [Station; 10] = [
    station(0.40, 0.100, 0.078),
    station(0.47, 0.098, 0.074),
    station(0.52, 0.097, 0.072),
    station(0.60, 0.085, 0.060),
    station(0.66, 0.088, 0.062),
    station(0.74, 0.102, 0.070),
    station(0.79, 0.119, 0.062),
    station(0.812, 0.113, 0.056),
    station(0.832, 0.082, 0.046),
    station(0.852, 0.034, 0.034),
];

struct Body<'a> {
    outfit: &'a Outfit,
    stance: Stance,
    light: Light,
    /// How far the hips sink so that the lower foot is on the floor.
    sink: f32,
    /// Offsets of the cloth's folds.
    folds: [f32; 2],
}

impl<'a> Body<'a> {
    fn new(outfit: &'a Outfit, stance: Stance, light: Light) -> Self {
        let folds = [outfit.cloth & 0xff, outfit.cloth >> 8 & 0xff].map(|v| v as f32 / 64.0);
        Self {
            outfit,
            stance,
            light,
            sink: 0.0,
            folds,
        }
    }

    /// Lowers the hips until a foot meets the floor.
    fn stand(&mut self) {
        let lowest = |side: f32| {
            let [_, _, ankle, toe] = self.leg(side);
            (ankle[2] - ANKLE).min(toe[2] - 0.018)
        };
        self.sink = lowest(-1.0).min(lowest(1.0));
    }

    /// A spot in the picture, px.
    fn at(&self, spot: Spot) -> Point {
        let Stance {
            foot,
            height_px,
            forward,
            ..
        } = self.stance;
        // The body's right, as the camera sees it, is (forward away, -forward right).
        let right = spot[0] * forward[0] + spot[1] * forward[1];
        // Nearer spots look lower: a camera above head height. A tenth is its usual slope.
        let lower = 0.1 * self.away(spot);
        [
            foot[0] + right * height_px,
            foot[1] - (spot[2] + lower) * height_px,
        ]
    }

    /// How much farther from the camera than the body's middle a spot is.
    fn away(&self, spot: Spot) -> f32 {
        let [right, away] = self.stance.forward;
        spot[0] * away - spot[1] * right
    }

    fn px(&self, length: f32) -> f32 {
        length * self.stance.height_px
    }

    /// Hip, knee, ankle, toe of the right (1) or left (-1) leg.
    fn leg(&self, side: f32) -> [Spot; 4] {
        let Stance { stride, phase, .. } = self.stance;
        let phase = if side > 0.0 {
            phase
        } else {
            phase + std::f32::consts::PI
        };
        let hip_angle = HIP_SWING * stride * phase.cos() + 0.04;
        let knee = 0.06 + KNEE_BEND * stride.min(1.0) * (-phase.sin()).max(0.0).powf(1.5);
        let shank = hip_angle - knee;
        let foot = (shank * 0.55).clamp(-0.6, 0.3);
        let hip = [0.0, side * HIP_OUT * self.outfit.girth, HIP - self.sink];
        let knee = swung(hip, hip_angle, THIGH);
        let ankle = swung(knee, shank, SHANK);
        let toe = [
            ankle[0] + 0.105 * foot.cos(),
            ankle[1] + side * 0.012,
            ankle[2] - 0.026 + 0.105 * foot.sin(),
        ];
        [hip, knee, ankle, toe]
    }

    /// Shoulder, elbow, wrist, finger tips of the right (1) or left (-1) arm.
    fn arm(&self, side: f32) -> [Spot; 4] {
        let Stance { stride, phase, .. } = self.stance;
        let phase = if side > 0.0 {
            phase
        } else {
            phase + std::f32::consts::PI
        };
        let swing = -0.42 * stride * phase.cos();
        let bend = 0.18 + stride * (0.16 + 0.22 * swing.max(0.0));
        let shoulder = [
            0.0,
            side * SHOULDER_OUT * self.outfit.girth,
            SHOULDER - self.sink,
        ];
        let mut elbow = swung(shoulder, swing, UPPER_ARM);
        elbow[1] += side * 0.026;
        let mut wrist = swung(elbow, swing + bend, FOREARM);
        wrist[1] += side * 0.004;
        let hand = swung(wrist, swing + bend, 0.06);
        [shoulder, elbow, wrist, hand]
    }

    fn draw_leg(&self, tile: &mut Tile, [hip, knee, ankle, toe]: &[Spot; 4]) {
        let Outfit {
            girth,
            lower,
            bottom,
            skin,
            shoes,
            ..
        } = *self.outfit;
        let heel = [ankle[0] - 0.025, ankle[1], ankle[2] - 0.012];
        self.draw_limb(tile, heel, *toe, [0.025, 0.018], |_| shoes);
        let (thigh_colour, shank_colour) = match lower {
            Lower::Trousers => (bottom, bottom),
            Lower::Shorts => (bottom, skin),
            Lower::Skirt => (skin, skin),
        };
        let loose = if lower == Lower::Trousers { 1.12 } else { 0.94 };
        let shank = [0.034, 0.023].map(|r| r * girth * loose);
        self.draw_limb(tile, *knee, *ankle, shank, |_| shank_colour);
        let thigh = [0.054, 0.036].map(|r| r * girth);
        let shorts = lower == Lower::Shorts;
        self.draw_limb(tile, *hip, *knee, thigh, |along| {
            if shorts && along > 0.8 {
                skin
            } else {
                thigh_colour
            }
        });
    }

    fn draw_arm(&self, tile: &mut Tile, [shoulder, elbow, wrist, hand]: &[Spot; 4], side: f32) {
        let Outfit {
            girth,
            long_sleeves,
            top,
            skin,
            print,
            ..
        } = *self.outfit;
        // Sleeves of a yoked shirt are of the second colour above, as its chest is.
        let sleeve = if let Print::Yoke(_) = print {
            self.outfit.second
        } else {
            top
        };
        let slim = [0.033, 0.029, 0.022].map(|r| r * girth);
        self.draw_limb(tile, *wrist, *hand, [0.018, 0.016], |_| skin);
        let (upper, fore) = ([slim[0], slim[1]], [slim[1], slim[2]]);
        self.draw_limb(tile, *elbow, *wrist, fore, |_| {
            if long_sleeves { sleeve } else { skin }
        });
        self.draw_limb(tile, *shoulder, *elbow, upper, |along| {
            if long_sleeves || along < 0.6 {
                sleeve
            } else {
                skin
            }
        });
        if side > 0.0 && self.outfit.bag == Bag::Hand {
            let below = [hand[0], hand[1], hand[2] - 0.085];
            let colour = self.outfit.bag_colour;
            self.draw_box(tile, below, [0.075, 0.03, 0.065], colour);
        }
    }

    /// The hips and whatever hangs from them.
    fn draw_pelvis(&self, tile: &mut Tile) {
        let Outfit { lower, bottom, .. } = *self.outfit;
        let stride = self.stance.stride;
        let low = match lower {
            Lower::Skirt => 0.29,
            Lower::Shorts | Lower::Trousers => 0.46,
        };
        let flare = move |up: f32| match lower {
            Lower::Skirt => 1.0 + (0.5 - up).max(0.0) * (0.9 + 1.2 * stride),
            Lower::Shorts | Lower::Trousers => 1.0,
        };
        self.draw_trunk(tile, low, 0.56, flare, |_, _| bottom);
    }

    fn draw_top(&self, tile: &mut Tile) {
        let outfit = self.outfit;
        let loose = if outfit.long_sleeves { 1.05 } else { 1.0 };
        self.draw_trunk(
            tile,
            outfit.hem,
            0.852,
            |_| loose,
            |azimuth, up| shirt(outfit, azimuth, up),
        );
        if outfit.bag == Bag::Shoulder {
            let hip = [0.01, 0.115 * outfit.girth, 0.5 - self.sink];
            self.draw_box(tile, hip, [0.075, 0.03, 0.055], outfit.bag_colour);
            let strap = [0.02, -0.06, 0.83 - self.sink];
            if self.away([0.05, 0.0, 0.0]) < 0.03 {
                self.draw_limb(
                    tile,
                    strap,
                    [0.06, 0.1, 0.55 - self.sink],
                    [0.008, 0.008],
                    |_| outfit.bag_colour,
                );
            }
        }
    }

    /// A part of the trunk; `colour` gets the direction around the body (0 = front, radians) and the height.
    fn draw_trunk(
        &self,
        tile: &mut Tile,
        low: f32,
        high: f32,
        widen: impl Fn(f32) -> f32,
        colour: impl Fn(f32, f32) -> Colour,
    ) {
        let [right, away] = self.stance.forward;
        let heading = right.atan2(-away);
        let (foot, scale) = (self.stance.foot, self.stance.height_px);
        let up_at = |y: f32| (foot[1] - y) / scale + self.sink;
        let edges = |y: f32| {
            let up = up_at(y);
            let [wide, deep] = girth_at(up).map(|v| v * widen(up) * self.outfit.girth);
            let half = (wide * away).hypot(deep * right) * scale;
            // Bellies and behinds: the trunk leans a little forward with height.
            let lean = (up - HIP) * 0.035 * right * scale;
            [foot[0] + lean - half, foot[0] + lean + half]
        };
        let y_of = |up: f32| foot[1] - (up - self.sink) * scale;
        tile.rows(y_of(high), y_of(low), edges, |across, y| {
            let up = up_at(y);
            let towards = (1.0 - across * across).max(0.0).sqrt();
            let azimuth = turn(across.asin() - heading);
            let shoulder = ((up - 0.79) * 12.0).clamp(0.0, 0.5);
            let normal = [across, shoulder, towards];
            let base = colour(azimuth, up);
            self.light.on(scaled(base, self.fold(across, up)), normal)
        });
    }

    /// Folds in cloth: a factor around 1.
    fn fold(&self, across: f32, up: f32) -> f32 {
        let [a, b] = self.folds;
        let wide = wave(across * 0.9 + up * 5.0 + a);
        let fine = wave(up * 13.0 - across * 1.7 + b);
        1.0 + 0.05 * wide + 0.045 * fine
    }

    fn draw_neck(&self, tile: &mut Tile) {
        let skin = self.outfit.skin.map(|v| v * 0.86);
        let (low, high) = (
            [0.0, 0.0, 0.83 - self.sink],
            [0.014, 0.0, 0.885 - self.sink],
        );
        self.draw_limb(tile, low, high, [0.032, 0.03], |_| skin);
    }

    fn draw_head(&self, tile: &mut Tile) {
        let Outfit { hair, head, .. } = *self.outfit;
        let [right, away] = self.stance.forward;
        let sink = self.sink;
        let long = |tile: &mut Tile| {
            let (top, low) = ([-0.018, 0.0, 0.925 - sink], [-0.04, 0.0, 0.84 - sink]);
            self.draw_limb(tile, top, low, [0.05, 0.042], |_| hair);
        };
        if head == Head::Long && away <= 0.0 {
            long(tile);
        }
        let middle = self.at([0.016, 0.0, HEAD - sink]);
        let wide = (0.05 * away).hypot(0.06 * right);
        let radii = [self.px(wide), self.px(0.07)];
        tile.ball(middle, radii, |normal| {
            let front = normal[0] * right - normal[2] * away;
            let side = normal[0] * away + normal[2] * right;
            let colour = face(self.outfit, [front, side, normal[1]]);
            self.light.on(colour, normal)
        });
        match head {
            Head::Long if away > 0.0 => long(tile),
            Head::Bun => {
                let bun = self.at([-0.055, 0.0, 0.95 - sink]);
                if away > 0.0 || right.abs() > 0.4 {
                    tile.ball(bun, [self.px(0.026); 2], |normal| {
                        self.light.on(hair, normal)
                    });
                }
            }
            Head::Cap => {
                let (from, to) = ([0.05, 0.0, 0.958 - sink], [0.105, 0.0, 0.95 - sink]);
                if away < 0.5 {
                    self.draw_limb(tile, from, to, [0.02, 0.012], |_| self.outfit.bag_colour);
                }
            }
            _ => {}
        }
    }

    fn draw_backpack(&self, tile: &mut Tile) {
        if self.outfit.bag != Bag::Backpack {
            return;
        }
        let middle = [-0.1, 0.0, 0.705 - self.sink];
        self.draw_box(tile, middle, [0.05, 0.078, 0.105], self.outfit.bag_colour);
    }

    fn draw_limb(
        &self,
        tile: &mut Tile,
        from: Spot,
        to: Spot,
        radii: [f32; 2],
        colour: impl Fn(f32) -> Colour,
    ) {
        let limb = Limb {
            from: self.at(from),
            to: self.at(to),
            from_radius: self.px(radii[0]),
            to_radius: self.px(radii[1]),
        };
        // What is on the far side of the body lies in its shade.
        let shade = 1.0 - (self.away(to) * 1.2).clamp(0.0, 0.22);
        tile.limb(limb, |OnLimb { along, normal }| {
            let fold = 1.0 + 0.05 * wave(along * 2.3 + normal[0] * 0.7 + self.folds[0]);
            self.light.on(scaled(colour(along), fold * shade), normal)
        });
    }

    /// A bag: a rounded box of half sizes forward, sideways, up.
    fn draw_box(&self, tile: &mut Tile, middle: Spot, half: Spot, colour: Colour) {
        let [right, away] = self.stance.forward;
        let centre = self.at(middle);
        let wide = self.px((half[0] * right).hypot(half[1] * away));
        let tall = self.px(half[2]);
        let edges = |y: f32| {
            // A superellipse's side: a box with round corners.
            let v = ((y - centre[1]) / tall).abs().min(1.0);
            let half = wide * (1.0 - v.powi(4)).max(0.0).sqrt().sqrt();
            [centre[0] - half, centre[0] + half]
        };
        tile.rows(centre[1] - tall, centre[1] + tall, edges, |across, y| {
            let v = (centre[1] - y) / tall;
            let pocket = if v < -0.1 && across.abs() < 0.7 {
                0.88
            } else {
                1.0
            };
            let normal = [across * 0.8, v * 0.4, 1.0 - 0.5 * across * across];
            self.light.on(scaled(colour, pocket), normal)
        });
    }
}

/// The end of a bone that hangs from `from` and swings forward by `angle`.
fn swung(from: Spot, angle: f32, length: f32) -> Spot {
    let (sin, cos) = angle.sin_cos();
    [from[0] + length * sin, from[1], from[2] - length * cos]
}

/// Half width and half depth of the trunk at a height.
fn girth_at(up: f32) -> [f32; 2] {
    let above = TRUNK
        .iter()
        .position(|s| s.up > up)
        .unwrap_or(TRUNK.len() - 1)
        .max(1);
    let (a, b) = (TRUNK[above - 1], TRUNK[above]);
    let t = ((up - a.up) / (b.up - a.up)).clamp(0.0, 1.0);
    [
        a.wide + (b.wide - a.wide) * t,
        a.deep + (b.deep - a.deep) * t,
    ]
}

/// An angle brought into -π..=π.
fn turn(angle: f32) -> f32 {
    use std::f32::consts::{PI, TAU};
    (angle + PI).rem_euclid(TAU) - PI
}
