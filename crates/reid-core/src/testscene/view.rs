//! One camera's pictures: people, sorted by distance, drawn before and behind what stands in the hall.

use super::{
    Truth,
    figure::{self, LOWEST, REACH, Stance, TALLEST},
    random::hash,
    room::Room,
    tile::Tile,
    world::{Camera, Pose, World},
};
use crate::{canvas::Canvas, geometry::Rect};

/// Nobody nearer than this is drawn, m: a camera on a wall has nobody before its lens.
const NEAREST_M: f32 = 1.2;
/// Sensor noise, codes of 255 to each side.
const NOISE: i8 = 3;
/// Length of the table of noise; a prime, so that rows do not repeat it in step.
const NOISE_LENGTH: usize = 16_381;

/// What a camera sees. Made once per picture size; rendering reuses its memory.
#[derive(Clone, Debug)]
pub struct View {
    world: World,
    camera: Camera,
    room: Room,
    canvas: Canvas,
    /// Who is seen at each pixel, 0 = nobody, else place in the list of the drawn plus 1.
    owners: Vec<u16>,
    tile: Tile,
    noise: Vec<i8>,
}

/// A person in view, before drawing.
struct Present {
    person: usize,
    pose: Pose,
    /// To the right and away, m.
    seen: [f32; 2],
}

/// A drawn person's outline.
#[derive(Clone, Copy, Default)]
struct Outline {
    left: i32,
    top: i32,
    right: i32,
    bottom: i32,
    /// Pixels of the outline, in the picture or not.
    pixels: u32,
}

impl View {
    /// What camera `camera` (from 0; beyond the last counts from the first again) sees, at `width` × `height` px.
    pub fn new(world: World, camera: u32, width: usize, height: usize) -> Self {
        let seed = world.config().seed;
        let camera = world.camera(camera % world.config().cameras);
        let room = Room::trace(&camera, world.obstacles(), seed, width, height);
        let noise = (0..NOISE_LENGTH as u64)
            .map(|i| (hash(seed, &[300, i]) % (2 * NOISE as u64 + 1)) as i8 - NOISE)
            .collect();
        Self {
            world,
            camera,
            room,
            canvas: Canvas::new(width, height),
            owners: vec![0; width * height],
            tile: Tile::default(),
            noise,
        }
    }

    /// The picture at `time_s` seconds and where everybody in it is. `frame` only varies the noise.
    pub fn render(&mut self, time_s: f64, frame: u64) -> (&Canvas, Vec<Truth>) {
        self.canvas.pixels.copy_from_slice(&self.room.pixels);
        self.owners.fill(0);
        let present = self.present(time_s);
        for person in &present {
            self.shadow(person);
        }
        let outlines: Vec<Outline> = present
            .iter()
            .enumerate()
            .map(|(i, person)| self.draw(person, i as u16 + 1))
            .collect();
        let mut visible = vec![0_u32; present.len() + 1];
        for &owner in &self.owners {
            visible[usize::from(owner)] += 1;
        }
        self.add_noise(frame);
        let truths = present
            .iter()
            .zip(&outlines)
            .zip(&visible[1..])
            .filter_map(|((person, outline), &visible)| self.truth(person, outline, visible))
            .collect();
        (&self.canvas, truths)
    }

    /// Who could be seen, farthest first.
    fn present(&self, time_s: f64) -> Vec<Present> {
        let people = self.world.outfits().len();
        let mut present: Vec<Present> = (0..people)
            .filter_map(|person| {
                let pose = self.world.pose(person, time_s)?;
                let seen = self.camera.seen(pose.place);
                (seen[1] > NEAREST_M).then_some(Present { person, pose, seen })
            })
            .collect();
        present.sort_by(|a, b| b.seen[1].total_cmp(&a.seen[1]));
        present
    }

    /// Pixels a metre at a distance.
    fn scale(&self, away_m: f32) -> f32 {
        self.camera.focal * self.canvas.height as f32 / away_m
    }

    /// Where a place on the floor appears, px.
    fn on_floor(&self, seen: [f32; 2]) -> [f32; 2] {
        let scale = self.scale(seen[1]);
        let horizon = self.camera.horizon * self.canvas.height as f32;
        [
            self.canvas.width as f32 / 2.0 + seen[0] * scale,
            horizon + self.camera.height_m * scale,
        ]
    }

    fn stance(&self, person: &Present) -> Stance {
        let outfit = &self.world.outfits()[person.person];
        Stance {
            foot: self.on_floor(person.seen),
            height_px: outfit.height_m * self.scale(person.seen[1]),
            forward: self.camera.turned(person.pose.forward),
            stride: person.pose.stride,
            phase: person.pose.phase,
        }
    }

    fn draw(&mut self, person: &Present, owner: u16) -> Outline {
        let stance = self.stance(person);
        let h = stance.height_px;
        let left = (stance.foot[0] - REACH * h).floor();
        let top = (stance.foot[1] - TALLEST * h).floor();
        let (width, height) = ((2.0 * REACH * h).ceil(), ((TALLEST + LOWEST) * h).ceil());
        let (w, hh) = (self.canvas.width as f32, self.canvas.height as f32);
        if left >= w || top >= hh || left + width <= 0.0 || top + height <= 0.0 {
            return Outline::default();
        }
        let mut tile = std::mem::take(&mut self.tile);
        tile.reset(
            left as i32,
            top as i32,
            width as usize + 1,
            height as usize + 1,
        );
        figure::draw(
            &mut tile,
            &self.world.outfits()[person.person],
            stance,
            self.room.light,
        );
        let outline = self.compose(&tile, person.seen[1], owner);
        self.tile = tile;
        outline
    }

    /// Puts a drawn person into the picture wherever nothing nearer stands.
    fn compose(&mut self, tile: &Tile, away_m: f32, owner: u16) -> Outline {
        let (width, height) = (self.canvas.width as i32, self.canvas.height as i32);
        let mut outline = Outline {
            left: i32::MAX,
            top: i32::MAX,
            right: i32::MIN,
            bottom: i32::MIN,
            pixels: 0,
        };
        for (row, pixels) in tile.pixels.chunks_exact(tile.width).enumerate() {
            let y = tile.y + row as i32;
            for (column, pixel) in pixels.iter().enumerate() {
                if pixel[3] < 1.0 / 512.0 {
                    continue;
                }
                let x = tile.x + column as i32;
                let solid = pixel[3] >= 0.5;
                if solid {
                    outline.add(x, y);
                }
                if x < 0 || y < 0 || x >= width || y >= height {
                    continue;
                }
                let at = y as usize * width as usize + x as usize;
                if self.room.depth[at] < away_m {
                    continue;
                }
                blend(&mut self.canvas.pixels[at], pixel);
                if solid {
                    self.owners[at] = owner;
                }
            }
        }
        outline
    }

    /// A soft dark patch on the floor under somebody.
    fn shadow(&mut self, person: &Present) {
        const ACROSS_M: f32 = 0.42;
        const DARKEST: f32 = 0.45;
        let scale = self.scale(person.seen[1]);
        let foot = self.on_floor(person.seen);
        let across = ACROSS_M * scale;
        // A circle on the floor is flattened by the camera's height over its distance.
        let tall = (across * self.camera.height_m / person.seen[1]).max(1.0);
        let (width, height) = (self.canvas.width, self.canvas.height);
        let range = |low: f32, high: f32, end: usize| {
            let clamp = |v: f32| v.clamp(0.0, end as f32) as usize;
            clamp(low)..clamp(high + 1.0)
        };
        for y in range(foot[1] - tall, foot[1] + tall, height) {
            for x in range(foot[0] - across, foot[0] + across, width) {
                let (u, v) = (
                    (x as f32 + 0.5 - foot[0]) / across,
                    (y as f32 + 0.5 - foot[1]) / tall,
                );
                let strength = (1.0 - u * u - v * v).max(0.0) * DARKEST;
                let at = y * width + x;
                if strength > 0.0 && self.room.depth[at] > person.seen[1] - ACROSS_M {
                    let pixel = &mut self.canvas.pixels[at];
                    *pixel = pixel.map(|c| (f32::from(c) * (1.0 - strength)) as u8);
                }
            }
        }
    }

    fn add_noise(&mut self, frame: u64) {
        let width = self.canvas.width;
        let label = u64::from(self.camera.index);
        let seed = self.world.config().seed;
        for (y, row) in self.canvas.pixels.chunks_exact_mut(width).enumerate() {
            let start = (hash(seed, &[301, label, frame, y as u64]) % NOISE_LENGTH as u64) as usize;
            let (tail, head) = self.noise.split_at(start);
            let mut row = row;
            for part in [head, tail].into_iter().cycle() {
                let n = part.len().min(row.len());
                let (now, later) = row.split_at_mut(n);
                for (pixel, &noise) in now.iter_mut().zip(part) {
                    *pixel = [0, 1, 2, 3].map(|i| pixel[i].saturating_add_signed(noise));
                }
                row = later;
                if row.is_empty() {
                    break;
                }
            }
        }
    }

    fn truth(&self, person: &Present, outline: &Outline, visible: u32) -> Option<Truth> {
        if outline.pixels == 0 {
            return None;
        }
        let rect = Rect::from_corners(
            outline.left as f32,
            outline.top as f32,
            outline.right as f32,
            outline.bottom as f32,
        );
        let rect = rect.clipped(self.canvas.width as f32, self.canvas.height as f32)?;
        Some(Truth {
            id: person.person as u32 + 1,
            rect,
            visibility: visible as f32 / outline.pixels as f32,
        })
    }
}

impl Outline {
    fn add(&mut self, x: i32, y: i32) {
        self.left = self.left.min(x);
        self.top = self.top.min(y);
        self.right = self.right.max(x + 1);
        self.bottom = self.bottom.max(y + 1);
        self.pixels += 1;
    }
}

fn blend(pixel: &mut [u8; 4], over: &[f32; 4]) {
    let keep = 1.0 - over[3];
    for i in 0..3 {
        pixel[i] = (f32::from(pixel[i]) * keep + over[i] + 0.5) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testscene::{Pattern, SceneConfig};

    const PATTERNS: [Pattern; 5] = [
        Pattern::Walk,
        Pattern::Crossing,
        Pattern::Crowd,
        Pattern::Similar,
        Pattern::Empty,
    ];

    fn view(pattern: Pattern, people: u32, camera: u32, size: [usize; 2]) -> View {
        let world = World::new(SceneConfig {
            pattern,
            people,
            cameras: 2,
            seed: 7,
        });
        View::new(world, camera, size[0], size[1])
    }

    #[test]
    fn the_same_moment_always_looks_the_same() {
        for pattern in PATTERNS {
            let mut one = view(pattern, 5, 1, [160, 120]);
            let mut other = view(pattern, 5, 1, [160, 120]);
            let expected = one.render(6.5, 195);
            let (canvas, truths) = (expected.0.clone(), expected.1);
            // Neither what was shown before nor the frame rate matter.
            for time in [100.0, 0.0, 6.5] {
                other.render(time, 195);
            }
            assert_eq!((&canvas, truths), other.render(6.5, 195));
            assert_ne!(&canvas, other.render(6.5, 196).0, "noise");
        }
    }

    #[test]
    fn people_are_where_the_truth_says() {
        let mut checked = 0;
        for camera in 0..2 {
            let mut view = view(Pattern::Walk, 1, camera, [320, 240]);
            for frame in 0..400 {
                let empty = view.room.pixels.clone();
                let (canvas, truths) = view.render(f64::from(frame) * 0.1, 0);
                let seen = changed(canvas, &empty);
                let whole =
                    |t: &&Truth| t.visibility > 0.999 && t.rect.x > 1.0 && t.rect.right() < 319.0;
                let Some(truth) = truths.iter().find(whole) else {
                    continue;
                };
                // The shadow lies around the feet: compare what is above.
                let knees = truth.rect.y + 0.8 * truth.rect.h;
                let above: Vec<_> = seen
                    .into_iter()
                    .filter(|&[_, y]| (y as f32) < knees)
                    .collect();
                assert!(
                    above.len() as f32 > 0.2 * truth.rect.area(),
                    "frame {frame}: nobody there"
                );
                let inside = |&&[x, y]: &&[usize; 2]| {
                    let (x, y) = (x as f32, y as f32);
                    x >= truth.rect.x - 1.0 && x <= truth.rect.right() && y >= truth.rect.y - 1.0
                };
                assert_eq!(
                    above.iter().filter(inside).count(),
                    above.len(),
                    "frame {frame}: {truth:?}"
                );
                let top = above.iter().map(|p| p[1]).min().unwrap_or(0);
                assert!(
                    (top as f32 - truth.rect.y).abs() <= 2.0,
                    "frame {frame}: {truth:?}, top {top}"
                );
                checked += 1;
            }
        }
        assert!(checked > 50, "only {checked} frames show somebody whole");
    }

    /// Pixels that somebody changed, beyond noise.
    fn changed(canvas: &Canvas, empty: &[[u8; 4]]) -> Vec<[usize; 2]> {
        let differs =
            |a: &[u8; 4], b: &[u8; 4]| (0..3).any(|i| a[i].abs_diff(b[i]) > 2 * NOISE as u8 + 6);
        let pixels = canvas.pixels.iter().zip(empty).enumerate();
        pixels
            .filter(|(_, (a, b))| differs(a, b))
            .map(|(i, _)| [i % canvas.width, i / canvas.width])
            .collect()
    }

    #[test]
    fn walkers_pass_both_cameras_are_unseen_between_them_and_views_are_empty_now_and_then() {
        let mut views = [0, 1].map(|camera| view(Pattern::Walk, 6, camera, [64, 48]));
        let (mut seen, mut empty, mut nowhere) = ([[false; 6]; 2], [0, 0], 0);
        for frame in 0..900 {
            let time = f64::from(frame) / 10.0;
            let mut anybody = false;
            for (camera, view) in views.iter_mut().enumerate() {
                let (_, truths) = view.render(time, 0);
                empty[camera] += u32::from(truths.is_empty());
                anybody |= !truths.is_empty();
                truths
                    .iter()
                    .for_each(|truth| seen[camera][truth.id as usize - 1] = true);
            }
            nowhere += u32::from(!anybody);
        }
        assert_eq!(seen, [[true; 6]; 2]);
        assert!(
            empty.iter().all(|&n| n > 50) && nowhere > 10,
            "{empty:?} {nowhere}"
        );
    }

    #[test]
    fn every_pattern_shows_what_it_promises() {
        let count = |pattern| {
            let mut view = view(pattern, 8, 0, [160, 120]);
            let counts: Vec<usize> = (0..20)
                .map(|i| view.render(f64::from(i) * 2.0, 0).1.len())
                .collect();
            counts.iter().sum::<usize>()
        };
        assert_eq!(count(Pattern::Empty), 0);
        assert!(count(Pattern::Crowd) > 20 * 6 && count(Pattern::Crossing) > 20 * 5);
        let mut hidden = view(Pattern::Crowd, 8, 0, [160, 120]);
        let least = (0..50)
            .flat_map(|i| hidden.render(f64::from(i), 0).1)
            .map(|truth| truth.visibility)
            .fold(1.0, f32::min);
        assert!(least < 0.5, "people hide each other");
    }

    #[test]
    fn any_size_and_any_number_of_people_can_be_drawn() {
        for size in [[1, 1], [16, 16], [16, 300], [400, 16], [101, 67]] {
            for people in [0, 1, 50] {
                for pattern in PATTERNS {
                    let (_, truths) = view(pattern, people, 1, size).render(12.3, 1);
                    for Truth {
                        rect, visibility, ..
                    } in truths
                    {
                        assert!(rect.right() <= size[0] as f32 && rect.bottom() <= size[1] as f32);
                        assert!(
                            rect.x >= 0.0 && rect.y >= 0.0 && (0.0..=1.0).contains(&visibility)
                        );
                    }
                }
            }
        }
        let (_, truths) = view(Pattern::Crowd, 1000, 0, [64, 48]).render(1.0, 0);
        assert!(truths.len() > 300);
    }
}
