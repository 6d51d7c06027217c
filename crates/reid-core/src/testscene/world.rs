//! Motion of the people, and the positions of the cameras. Metres, seconds; x and z are on the floor, y points up.

use std::f32::consts::TAU;

use super::{
    Pattern, SceneConfig,
    outfit::{Outfit, dress},
    random::{between, hash, unit},
};

/// A point on the floor, m.
pub(super) type Place = [f32; 2];

/// How far apart the cameras along the hall hang, m. A 4:3 view is 8 m wide in the middle lane, so about 4 m lie
/// between two views.
const HALL_SPACING_M: f32 = 12.0;
/// Depth of the hall, m. Cameras hang on both long walls in turn and so see people from both sides.
const HALL_DEPTH_M: f32 = 14.0;
/// How far beyond the first and last camera people appear, m: outside a 16:9 view in every lane.
const HALL_END_M: f32 = 7.6;
/// Lanes' distance from the wall, m.
const LANES_M: [f32; 2] = [5.4, 8.6];
/// Distance of the cameras from the middle of the place that they watch together, m.
const RING_RADIUS_M: f32 = 8.6;
/// Angle between two cameras that watch one place, when there are no more than these two.
const PAIR_ANGLE: f32 = 1.9;
/// Pause between two people who set out, s, and the time within which all set out.
const SET_OUT_S: [f32; 2] = [2.2, 30.0];
/// Nobody walks for so long at the end of a round, s.
const QUIET_S: f32 = 2.5;
/// So early before time 0 the first person sets out, s: the first picture need not be empty.
const HEAD_START_S: f64 = 3.0;
/// Walking speeds, m/s (Bohannon 1997: comfortable gait of adults 1.27 to 1.46).
const SPEEDS: [f32; 2] = [1.1, 1.45];
/// Speed at which a stride is a full one, m/s.
const FULL_STRIDE_SPEED: f32 = 1.3;

/// A camera on a wall. Its optical axis is level, its sensor shifted, so uprights stay upright.
#[derive(Clone, Copy, Debug)]
pub(super) struct Camera {
    /// Where it hangs.
    pub place: Place,
    /// Direction of view on the floor, a unit vector.
    pub forward: Place,
    /// Height above the floor, m.
    pub height_m: f32,
    /// Where the horizon lies, as a part of the picture's height from the top.
    pub horizon: f32,
    /// Focal length as a part of the picture's height.
    pub focal: f32,
    /// Distance of the wall behind, m.
    pub wall_m: f32,
    /// Number of the camera, for its colours and decoration.
    pub index: u32,
}

impl Camera {
    /// Direction to the right on the floor, a unit vector.
    pub fn right(&self) -> Place {
        [self.forward[1], -self.forward[0]]
    }

    /// A direction on the floor as this camera sees it: to the right, and away.
    pub fn turned(&self, v: Place) -> Place {
        let right = self.right();
        [
            v[0] * right[0] + v[1] * right[1],
            v[0] * self.forward[0] + v[1] * self.forward[1],
        ]
    }

    /// A place as this camera sees it: metres to the right, metres away.
    pub fn seen(&self, p: Place) -> Place {
        self.turned([p[0] - self.place[0], p[1] - self.place[1]])
    }
}

/// Something that stands in the way of eyes and feet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Obstacle {
    /// A round column from floor to ceiling.
    Pillar { centre: Place, radius_m: f32 },
    /// A box on the floor.
    Block {
        low: Place,
        high: Place,
        height_m: f32,
        colour: [f32; 3],
    },
}

/// A person at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pose {
    /// Feet.
    pub place: Place,
    /// Direction of walk, a unit vector.
    pub forward: Place,
    /// Length of the stride, 0 = standing, 1 = full.
    pub stride: f32,
    /// Where in the stride, radians.
    pub phase: f32,
}

/// People, ways, cameras and furniture of one seed.
#[derive(Clone, Debug)]
pub struct World {
    config: SceneConfig,
    outfits: Vec<Outfit>,
    obstacles: Vec<Obstacle>,
}

impl World {
    /// The world of a configuration. Counts beyond the limits are cut to them.
    pub fn new(config: SceneConfig) -> Self {
        let config = SceneConfig {
            people: match config.pattern {
                Pattern::Empty => 0,
                _ => config.people.min(super::MAX_PEOPLE),
            },
            cameras: config.cameras.clamp(1, super::MAX_CAMERAS),
            ..config
        };
        let similar = config.pattern == Pattern::Similar;
        let outfits = dress(config.people as usize, config.seed, similar);
        let mut world = Self {
            config,
            outfits,
            obstacles: Vec::new(),
        };
        world.furnish();
        world
    }

    /// What the world was made from, within limits.
    pub fn config(&self) -> SceneConfig {
        self.config
    }

    pub(super) fn outfits(&self) -> &[Outfit] {
        &self.outfits
    }

    pub(super) fn obstacles(&self) -> &[Obstacle] {
        &self.obstacles
    }

    /// True when the cameras hang along a hall, false when all watch one place.
    fn is_hall(&self) -> bool {
        !matches!(self.config.pattern, Pattern::Crossing | Pattern::Crowd)
    }

    pub(super) fn camera(&self, index: u32) -> Camera {
        let seed = self.config.seed;
        let label = u64::from(index);
        let (place, forward) = if self.is_hall() {
            let x = index as f32 * HALL_SPACING_M;
            match index % 2 {
                0 => ([x, 0.0], [0.0, 1.0]),
                _ => ([x, HALL_DEPTH_M], [0.0, -1.0]),
            }
        } else {
            let step = match self.config.cameras {
                0..=2 => PAIR_ANGLE,
                n => TAU / n as f32,
            };
            let (sin, cos) = (index as f32 * step).sin_cos();
            ([-RING_RADIUS_M * sin, -RING_RADIUS_M * cos], [sin, cos])
        };
        Camera {
            place,
            forward,
            height_m: between(seed, &[10, label], 2.25, 2.6),
            horizon: between(seed, &[11, label], 0.25, 0.3),
            focal: between(seed, &[12, label], 1.1, 1.2),
            wall_m: HALL_DEPTH_M + 0.5,
            index,
        }
    }

    fn furnish(&mut self) {
        let seed = self.config.seed;
        if !self.is_hall() {
            for i in 0..3_u64 {
                let angle = between(seed, &[20, i], 0.0, 1.2) + i as f32 * TAU / 3.0;
                let distance = between(seed, &[21, i], 2.6, 3.4);
                self.obstacles.push(Obstacle::Pillar {
                    centre: [distance * angle.sin(), distance * angle.cos()],
                    radius_m: 0.2,
                });
            }
            return;
        }
        for camera in 0..u64::from(self.config.cameras) {
            let middle = camera as f32 * HALL_SPACING_M;
            let side = if unit(seed, &[22, camera]) < 0.5 {
                -1.0
            } else {
                1.0
            };
            self.obstacles.push(Obstacle::Pillar {
                centre: [
                    middle + side * between(seed, &[23, camera], 0.8, 1.6),
                    between(seed, &[24, camera], 5.6, 6.6),
                ],
                radius_m: 0.22,
            });
            self.obstacles
                .push(bench(seed, camera, middle - side * 1.6));
        }
    }

    /// Where a person is and how it walks at `time_s`; `None` when it is nowhere.
    pub(super) fn pose(&self, person: usize, time_s: f64) -> Option<Pose> {
        // A tenth of a second is short against a step and long against rounding.
        const STEP_S: f64 = 0.05;
        let place = self.place(person, time_s)?;
        let before = self.place(person, time_s - STEP_S).unwrap_or(place);
        let after = self.place(person, time_s + STEP_S).unwrap_or(place);
        let way = [after[0] - before[0], after[1] - before[1]];
        let length = way[0].hypot(way[1]);
        let speed = length / (2.0 * STEP_S as f32);
        let forward = match length > 1e-4 {
            true => [way[0] / length, way[1] / length],
            false => [1.0, 0.0],
        };
        let seed = self.config.seed;
        let cadence = between(seed, &[30, person as u64], 0.88, 1.0);
        let turns = time_s * f64::from(cadence) + f64::from(unit(seed, &[31, person as u64]));
        Some(Pose {
            place,
            forward,
            stride: (speed / FULL_STRIDE_SPEED).min(1.15),
            phase: turns.fract() as f32 * TAU,
        })
    }

    fn place(&self, person: usize, time_s: f64) -> Option<Place> {
        let way = match self.config.pattern {
            Pattern::Walk | Pattern::Similar => self.down_the_hall(person, time_s)?,
            Pattern::Crossing => self.crossing(person, time_s),
            Pattern::Crowd => self.strolling(person, time_s),
            Pattern::Empty => return None,
        };
        Some(self.around_pillars(way))
    }

    /// In rounds: everybody sets out after one another, walks the whole hall, and the round ends when all are gone.
    fn down_the_hall(&self, person: usize, time_s: f64) -> Option<Place> {
        let SceneConfig {
            people,
            cameras,
            seed,
            ..
        } = self.config;
        let time_s = time_s + HEAD_START_S;
        let length = (cameras - 1) as f32 * HALL_SPACING_M + 2.0 * HALL_END_M;
        let spread = (people as f32 * SET_OUT_S[0]).min(SET_OUT_S[1]);
        let round_s = f64::from(spread + length / SPEEDS[0] + QUIET_S);
        let round = (time_s / round_s).floor();
        let label = person as u64;
        let round_label = round as i64 as u64;
        // Another order in every round.
        let slot =
            (person as u64 + round_label.wrapping_mul(people as u64 / 2 + 1)) % u64::from(people);
        let start = slot as f32 / people as f32 * spread;
        let speed = between(seed, &[40, label], SPEEDS[0], SPEEDS[1]);
        let walked = ((time_s - round * round_s) as f32 - start) * speed;
        if !(0.0..=length).contains(&walked) {
            return None;
        }
        let from_left = hash(seed, &[41, label, round_label]) & 1 == 0;
        let x = match from_left {
            true => walked - HALL_END_M,
            false => length - HALL_END_M - walked,
        };
        let lane = between(seed, &[42, label, round_label], LANES_M[0], LANES_M[1]);
        let sway = |wave: f32, label_of_wave: u64| {
            (TAU * (x / wave + unit(seed, &[label_of_wave, label, round_label]))).sin()
        };
        Some([x, lane + 0.8 * sway(9.0, 43) + 0.3 * sway(4.1, 44)])
    }

    /// In pairs: the two of a pair meet in the middle; odd pairs turn back there, even pairs pass.
    fn crossing(&self, person: usize, time_s: f64) -> Place {
        let seed = self.config.seed;
        let pair = person as u64 / 2;
        let first = person.is_multiple_of(2);
        let period = between(seed, &[50, pair], 15.0, 19.0);
        let angle =
            (time_s / f64::from(period)).fract() as f32 * TAU + unit(seed, &[51, pair]) * TAU;
        let reach = between(seed, &[52, pair], 3.4, 4.4);
        let swing = match pair % 2 {
            0 => angle.sin(),
            // A smooth |sin|: they come within arm's length and go back.
            _ => (angle.sin().powi(2) + 0.006).sqrt(),
        };
        let along = if first { swing } else { -swing } * reach;
        let beside = between(seed, &[53, pair], -2.0, 2.0) + if first { 0.3 } else { -0.3 };
        let direction = between(seed, &[54, pair], -0.5, 0.5);
        let (sin, cos) = direction.sin_cos();
        [along * cos - beside * sin, along * sin + beside * cos]
    }

    fn strolling(&self, person: usize, time_s: f64) -> Place {
        let seed = self.config.seed;
        let label = person as u64;
        let axis = |axis: u64| {
            let wave = |n: u64, low: f32, high: f32| {
                let rate = between(seed, &[60 + n, axis, label], low, high);
                let turns =
                    time_s * f64::from(rate / TAU) + f64::from(unit(seed, &[62 + n, axis, label]));
                (turns.fract() as f32 * TAU).sin()
            };
            3.0 * wave(0, 0.16, 0.24) + 1.2 * wave(1, 0.3, 0.5)
        };
        [axis(0), axis(1)]
    }

    /// Pushes a place out of every pillar, smoothly, so that ways bend around them.
    fn around_pillars(&self, mut place: Place) -> Place {
        // A pillar's radius and half a person's shoulders, m.
        const CLEARANCE_M: f32 = 0.55;
        for obstacle in &self.obstacles {
            let Obstacle::Pillar { centre, .. } = obstacle else {
                continue;
            };
            let away = [place[0] - centre[0], place[1] - centre[1]];
            let distance = away[0].hypot(away[1]).max(1e-3);
            let wanted = distance.hypot(CLEARANCE_M * (-distance * distance / 4.0).exp());
            place = [
                centre[0] + away[0] / distance * wanted,
                centre[1] + away[1] / distance * wanted,
            ];
        }
        place
    }
}

/// A bench or planter between the lanes and one of the walls.
fn bench(seed: u64, camera: u64, x: f32) -> Obstacle {
    const COLOURS: [[f32; 3]; 3] = [
        [120.0, 92.0, 66.0],
        [96.0, 104.0, 98.0],
        [150.0, 146.0, 138.0],
    ];
    let length = between(seed, &[25, camera], 1.2, 2.0);
    // Before the lanes as the camera on that wall sees it, clear of the nearest lane.
    let distance = between(seed, &[26, camera], 3.4, 3.7);
    let z = if camera.is_multiple_of(2) {
        distance
    } else {
        HALL_DEPTH_M - distance
    };
    Obstacle::Block {
        low: [x - length / 2.0, z - 0.25],
        high: [x + length / 2.0, z + 0.25],
        height_m: between(seed, &[27, camera], 0.45, 0.95),
        colour: COLOURS[(hash(seed, &[28, camera]) % 3) as usize],
    }
}
