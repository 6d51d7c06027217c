//! The hall as a camera sees it without people: floor, walls, ceiling, furniture. Traced once, with depth.

use super::{
    paint::Light,
    random::{between, hash, unit},
    world::{Camera, Obstacle},
};

/// Height of the ceiling, m.
const CEILING_M: f32 = 3.5;
/// Samples along each side of a pixel.
const SAMPLES: usize = 2;

/// A camera's light, colours and the picture of its empty view.
#[derive(Clone, Debug)]
pub(super) struct Room {
    /// One pixel: red, green, blue, 0.
    pub pixels: Vec<[u8; 4]>,
    /// Distance to what is seen at each pixel along the camera's direction, m.
    pub depth: Vec<f32>,
    /// The light on people.
    pub light: Light,
}

/// What makes one camera's view differ from another's.
struct Style {
    seed: u64,
    floor: [f32; 3],
    joint_m: f32,
    wall: [f32; 3],
    skirting: [f32; 3],
    door: [f32; 3],
    door_x: f32,
    window_x: f32,
    light: Light,
}

struct Ray {
    /// To the right and up for every metre away.
    right: f32,
    up: f32,
    /// On the floor, in the world, for every metre away.
    world: [f32; 2],
}

/// What a ray meets.
#[derive(Clone, Copy)]
struct Hit {
    away: f32,
    colour: [f32; 3],
}

impl Room {
    /// Traces the view of `width` × `height` px.
    pub fn trace(
        camera: &Camera,
        obstacles: &[Obstacle],
        seed: u64,
        width: usize,
        height: usize,
    ) -> Self {
        let style = Style::of(camera, seed);
        let mut room = Self {
            pixels: Vec::with_capacity(width * height),
            depth: Vec::with_capacity(width * height),
            light: style.light,
        };
        for y in 0..height {
            for x in 0..width {
                let (colour, away) = pixel(camera, obstacles, &style, [x, y], [width, height]);
                room.pixels.push([
                    colour[0].clamp(0.0, 255.0) as u8,
                    colour[1].clamp(0.0, 255.0) as u8,
                    colour[2].clamp(0.0, 255.0) as u8,
                    0,
                ]);
                room.depth.push(away);
            }
        }
        room
    }
}

/// Mean colour of a pixel's samples, and the nearest of their depths.
fn pixel(
    camera: &Camera,
    obstacles: &[Obstacle],
    style: &Style,
    at: [usize; 2],
    size: [usize; 2],
) -> ([f32; 3], f32) {
    let mut sum = [0.0; 3];
    let mut nearest = f32::INFINITY;
    for sample in 0..SAMPLES * SAMPLES {
        let part = |i: usize| (i as f32 + 0.5) / SAMPLES as f32;
        let x = at[0] as f32 + part(sample % SAMPLES);
        let y = at[1] as f32 + part(sample / SAMPLES);
        let focal = camera.focal * size[1] as f32;
        let right = (x - size[0] as f32 / 2.0) / focal;
        let up = (camera.horizon * size[1] as f32 - y) / focal;
        let axis = camera.right();
        let ray = Ray {
            right,
            up,
            world: [
                camera.forward[0] + axis[0] * right,
                camera.forward[1] + axis[1] * right,
            ],
        };
        let hit = cast(camera, obstacles, style, &ray);
        // Corners of a picture are darker (cos^4 law, half of it).
        let fall_off = 1.0 / (1.0 + 0.35 * (right * right + up * up));
        for (i, part) in sum.iter_mut().enumerate() {
            *part += hit.colour[i] * style.light.gains[i] * fall_off;
        }
        nearest = nearest.min(hit.away);
    }
    let n = (SAMPLES * SAMPLES) as f32;
    (sum.map(|v| v / n), nearest)
}

fn cast(camera: &Camera, obstacles: &[Obstacle], style: &Style, ray: &Ray) -> Hit {
    obstacles
        .iter()
        .filter_map(|obstacle| match obstacle {
            Obstacle::Pillar { centre, radius_m } => pillar(camera, style, ray, *centre, *radius_m),
            Obstacle::Block {
                low,
                high,
                height_m,
                colour,
            } => block(camera, ray, *low, *high, *height_m, *colour),
        })
        .fold(shell(camera, style, ray), |a, b| {
            if b.away < a.away { b } else { a }
        })
}

/// Floor, ceiling or the wall behind.
fn shell(camera: &Camera, style: &Style, ray: &Ray) -> Hit {
    let floor = if ray.up < 0.0 {
        camera.height_m / -ray.up
    } else {
        f32::INFINITY
    };
    let ceiling = if ray.up > 0.0 {
        (CEILING_M - camera.height_m) / ray.up
    } else {
        f32::INFINITY
    };
    let away = camera.wall_m.min(floor).min(ceiling);
    let place = [0, 1].map(|i| camera.place[i] + ray.world[i] * away);
    let colour = if away == floor {
        style.floor_at(place, away)
    } else if away == ceiling {
        style.ceiling_at(place)
    } else {
        style.wall_at(ray.right * away, camera.height_m + ray.up * away)
    };
    Hit { away, colour }
}

fn pillar(camera: &Camera, style: &Style, ray: &Ray, centre: [f32; 2], radius: f32) -> Option<Hit> {
    let from = [camera.place[0] - centre[0], camera.place[1] - centre[1]];
    let a = ray.world[0].powi(2) + ray.world[1].powi(2);
    let b = from[0] * ray.world[0] + from[1] * ray.world[1];
    let c = from[0].powi(2) + from[1].powi(2) - radius * radius;
    let root = b * b - a * c;
    if root <= 0.0 {
        return None;
    }
    let away = (-b - root.sqrt()) / a;
    let up = camera.height_m + ray.up * away;
    if away <= 0.0 || !(0.0..CEILING_M).contains(&up) {
        return None;
    }
    let across = ((from[0] + ray.world[0] * away) * camera.right()[0]
        + (from[1] + ray.world[1] * away) * camera.right()[1])
        / radius;
    let side = style.light.direction[0].signum();
    let lit = 0.72 + 0.3 * (1.0 - across * across).max(0.0).sqrt() + 0.2 * across * side;
    let base = if up < 0.12 {
        style.skirting
    } else {
        style.wall.map(|v| v * 0.86 + 20.0)
    };
    Some(Hit {
        away,
        colour: base.map(|v| v * lit.clamp(0.4, 1.1)),
    })
}

fn block(
    camera: &Camera,
    ray: &Ray,
    low: [f32; 2],
    high: [f32; 2],
    height: f32,
    colour: [f32; 3],
) -> Option<Hit> {
    let low = [low[0], 0.0, low[1]];
    let high = [high[0], height, high[1]];
    let from = [camera.place[0], camera.height_m, camera.place[1]];
    let way = [ray.world[0], ray.up, ray.world[1]];
    let (mut near, mut far, mut face) = (0.0_f32, f32::INFINITY, 0);
    for axis in 0..3 {
        let inverse = 1.0
            / if way[axis].abs() < 1e-9 {
                1e-9
            } else {
                way[axis]
            };
        let (a, b) = (
            (low[axis] - from[axis]) * inverse,
            (high[axis] - from[axis]) * inverse,
        );
        if a.min(b) > near {
            (near, face) = (a.min(b), axis);
        }
        far = far.min(a.max(b));
    }
    if near <= 0.0 || near > far {
        return None;
    }
    let lit = [0.62, 1.05, 0.8][face];
    // Planks across the seat.
    let along = (from[2] + way[2] * near) * 9.0;
    let plank = if face == 1 && along.rem_euclid(1.0) < 0.12 {
        0.75
    } else {
        1.0
    };
    Some(Hit {
        away: near,
        colour: colour.map(|v| v * lit * plank),
    })
}

impl Style {
    fn of(camera: &Camera, seed: u64) -> Self {
        const FLOORS: [[f32; 3]; 5] = [
            [168.0, 160.0, 150.0],
            [132.0, 134.0, 138.0],
            [156.0, 132.0, 104.0],
            [118.0, 124.0, 120.0],
            [186.0, 182.0, 174.0],
        ];
        const WALLS: [[f32; 3]; 5] = [
            [206.0, 202.0, 192.0],
            [182.0, 190.0, 194.0],
            [200.0, 188.0, 164.0],
            [174.0, 186.0, 172.0],
            [214.0, 212.0, 210.0],
        ];
        const DOORS: [[f32; 3]; 4] = [
            [112.0, 80.0, 54.0],
            [74.0, 92.0, 112.0],
            [150.0, 60.0, 52.0],
            [96.0, 104.0, 98.0],
        ];
        let index = u64::from(camera.index);
        let between =
            |label: u64, low: f32, high: f32| between(seed, &[200 + label, index], low, high);
        // Neighbouring cameras never have the same wall and floor.
        let turn = |label: u64, n: usize| {
            ((hash(seed, &[220 + label]) % n as u64 + index) % n as u64) as usize
        };
        let warm = between(0, -0.09, 0.09);
        let exposure = between(1, 0.86, 1.1);
        let side = if unit(seed, &[230, index]) < 0.5 {
            -1.0
        } else {
            1.0
        };
        let direction = normalised([side * between(2, 0.3, 0.7), 0.75, 0.5]);
        let gains = [1.0 + warm, 1.0 + 0.15 * warm, 1.0 - warm].map(|v| v * exposure);
        Self {
            seed: hash(seed, &[240, index]),
            floor: FLOORS[turn(0, FLOORS.len())],
            joint_m: between(3, 0.5, 1.1),
            wall: WALLS[turn(1, WALLS.len())],
            skirting: [84.0, 78.0, 74.0],
            door: DOORS[turn(2, DOORS.len())],
            door_x: side * between(4, 1.5, 4.0),
            window_x: -side * between(5, 2.5, 4.5),
            light: Light { direction, gains },
        }
    }

    fn floor_at(&self, place: [f32; 2], away: f32) -> [f32; 3] {
        let tile = place.map(|v| (v / self.joint_m).floor());
        let label = [tile[0] as i64 as u64, tile[1] as i64 as u64];
        let shade = 0.95 + 0.1 * unit(self.seed, &label);
        let in_tile = place.map(|v| (v / self.joint_m).rem_euclid(1.0));
        let edge = in_tile.map(|v| v.min(1.0 - v) * self.joint_m);
        let joint = edge[0].min(edge[1]) < 0.012;
        // Light from the windows lies on the far floor.
        let gleam = 0.82 + 0.03 * away.min(10.0);
        self.floor
            .map(|v| v * shade * gleam * if joint { 0.78 } else { 1.0 })
    }

    fn ceiling_at(&self, place: [f32; 2]) -> [f32; 3] {
        let panel = place.map(|v| v.rem_euclid(2.4));
        let lamp = panel[0] < 1.2 && panel[1] < 0.5;
        let frame = place.iter().any(|v| v.rem_euclid(0.6) < 0.025);
        match (lamp, frame) {
            (true, _) => [252.0, 250.0, 240.0],
            (_, true) => [150.0, 150.0, 148.0],
            _ => [188.0, 188.0, 185.0],
        }
    }

    fn wall_at(&self, x: f32, up: f32) -> [f32; 3] {
        let door = (x - self.door_x).abs();
        if door < 0.56 && up < 2.12 {
            return self.door_at(x - self.door_x, up);
        }
        let window = [(x - self.window_x).abs(), (up - 1.75).abs()];
        if window[0] < 1.3 && window[1] < 0.6 {
            let frame = window[0] > 1.22 || window[1] > 0.53 || window[0] < 0.03;
            let sky = 215.0 + 25.0 * (up - 1.15);
            return if frame {
                [235.0, 235.0, 232.0]
            } else {
                [sky * 0.86, sky * 0.95, sky]
            };
        }
        if up < 0.12 {
            return self.skirting;
        }
        let poster = [(x + self.door_x * 0.4).abs(), (up - 1.6).abs()];
        if poster[0] < 0.35 && poster[1] < 0.5 {
            let inside = poster[0] < 0.3 && poster[1] < 0.45;
            return if inside {
                self.door.map(|v| 255.0 - v * 0.7)
            } else {
                [240.0, 238.0, 232.0]
            };
        }
        // Brighter towards the ceiling's lamps.
        self.wall.map(|v| v * (0.84 + 0.06 * up))
    }

    fn door_at(&self, x: f32, up: f32) -> [f32; 3] {
        let frame = x.abs() > 0.47 || up > 2.03;
        let panel = x.abs() < 0.33 && ((0.25..0.95).contains(&up) || (1.15..1.9).contains(&up));
        let handle = (x - 0.38).abs() < 0.04 && (up - 1.02).abs() < 0.06;
        match (frame, handle, panel) {
            (true, _, _) => [226.0, 222.0, 214.0],
            (_, true, _) => [200.0, 196.0, 180.0],
            (_, _, true) => self.door.map(|v| v * 1.08),
            _ => self.door,
        }
    }
}

fn normalised(v: [f32; 3]) -> [f32; 3] {
    let length = v.iter().map(|a| a * a).sum::<f32>().sqrt();
    v.map(|a| a / length)
}
