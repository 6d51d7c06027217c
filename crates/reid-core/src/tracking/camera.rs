//! How far the camera itself turned since the last frame, judged by the boxes alone.
//!
//! On a moving camera, or one of few frames a second, everybody's box moves by the same amount at once, and further than a
//! box is wide: MATRIX (moving views, 2 frames a second) 0.2 to 0.4 box heights to the side and up to 2 up or down, of which
//! 0.1 to 0.2 are left when the common part is taken out. That part is looked for like a vote (generalised Hough
//! transform): each pair of a track and a box that looks like it proposes a shift, and the shift that puts most tracks on
//! a box wins. No picture is needed, as it is for the registration in BoT-SORT, and a camera at rest costs nothing.

use crate::geometry::Rect;

/// A shifted track is on a box when their feet are this near, as a part of the height (MATRIX: 0.2 to 0.4 is the upper
/// tenth of what is left).
const NEAR: f32 = 0.3;
/// … and their heights differ by no more than this factor: half a second's approach.
const SAME_HEIGHT: f32 = 1.25;
/// Shifts that each track may propose.
const PROPOSALS: usize = 3;
/// Fewer tracks on boxes prove no common motion: two or three people may walk abreast.
const MIN_TRACKS: usize = 4;
/// A camera at rest puts this part of its tracks on boxes: then nothing is looked for.
const AT_REST: f32 = 0.6;
/// A shift must put this many times more tracks on boxes than none.
const CLEARLY: f32 = 1.3;
/// … and this part of those that there are.
const MOST: f32 = 0.5;
/// An affine map is regularised towards a shift, as if this many more tracks had followed the shift.
const STIFF: f32 = 3.0;
/// Most tracks and boxes that have a vote.
const MAX_VOTERS: usize = 64;

/// A move of the whole picture, px.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Shift {
    x: f32,
    y: f32,
}

impl Shift {
    fn between(from: &Rect, to: &Rect) -> Self {
        let ((ax, _), (bx, _)) = (from.centre(), to.centre());
        Self {
            x: bx - ax,
            y: to.bottom() - from.bottom(),
        }
    }

    /// How far a track that moved by this is from a box, as a part of the height; `None` when it is another's size.
    fn miss(self, track: &Rect, seen: &Rect) -> Option<f32> {
        let ratio = seen.h / track.h;
        if !(1.0 / SAME_HEIGHT..=SAME_HEIGHT).contains(&ratio) {
            return None;
        }
        let left = Self::between(track, seen);
        Some((left.x - self.x).hypot(left.y - self.y) / track.h)
    }
}

/// How every place of the picture moved: an affine map of the feet, px.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Warp {
    middle: [f32; 2],
    /// Constant, to the right and down, for both coordinates.
    x: [f32; 3],
    y: [f32; 3],
}

impl Warp {
    /// By how much a box moves.
    pub fn at(&self, rect: &Rect) -> (f32, f32) {
        let terms = [
            1.0,
            rect.centre().0 - self.middle[0],
            rect.bottom() - self.middle[1],
        ];
        let along = |row: &[f32; 3]| row.iter().zip(terms).map(|(a, t)| a * t).sum();
        (along(&self.x), along(&self.y))
    }

    /// The map nearest to what these tracks did, in between a mere shift and a free fit: `STIFF` keeps few tracks from
    /// bending the picture.
    fn fit(shift: Shift, followers: &[Follower]) -> Self {
        let count = followers.len().max(1) as f32;
        let mean = |value: fn(&Follower) -> f32| followers.iter().map(value).sum::<f32>() / count;
        let middle = [mean(|f| f.place[0]), mean(|f| f.place[1])];
        let spread = mean(|f| f.place[0].powi(2)) - middle[0].powi(2)
            + mean(|f| f.place[1].powi(2))
            - middle[1].powi(2);
        let ridge = (STIFF * spread).max(1.0);
        let [mut a, mut b, mut c] = [ridge, 0.0, ridge];
        let mut right = [[0.0_f32; 2]; 2];
        for f in followers {
            let (u, v) = (f.place[0] - middle[0], f.place[1] - middle[1]);
            let rest = [f.shift.x - shift.x, f.shift.y - shift.y];
            a += u * u;
            b += u * v;
            c += v * v;
            for (sums, rest) in right.iter_mut().zip(rest) {
                sums[0] += u * rest;
                sums[1] += v * rest;
            }
        }
        let determinant = a * c - b * b;
        let solve = |sums: [f32; 2], constant: f32| {
            if determinant <= 0.0 {
                return [constant, 0.0, 0.0];
            }
            let across = (c * sums[0] - b * sums[1]) / determinant;
            let down = (a * sums[1] - b * sums[0]) / determinant;
            [constant, across, down]
        };
        Self {
            middle,
            x: solve(right[0], shift.x),
            y: solve(right[1], shift.y),
        }
    }
}

/// Where the feet of a track were, and how far it moved.
#[derive(Clone, Copy)]
struct Follower {
    place: [f32; 2],
    shift: Shift,
}

/// The motion of the picture that `tracks`, where they are expected, and the boxes `seen` in it agree upon, if there is
/// one. `alike` says how alike a track and a box look, where that is known.
pub(super) fn common_motion(
    tracks: &[Rect],
    seen: &[Rect],
    alike: impl Fn(usize, usize) -> Option<f32>,
) -> Option<Warp> {
    let tracks = &tracks[..tracks.len().min(MAX_VOTERS)];
    let seen = &seen[..seen.len().min(MAX_VOTERS)];
    let most = tracks.len().min(seen.len());
    if most < MIN_TRACKS {
        return None;
    }
    let at_rest = followers(Shift::default(), tracks, seen).len();
    if at_rest as f32 >= AT_REST * most as f32 {
        return None;
    }
    let mut best: Vec<Follower> = Vec::new();
    for (i, track) in tracks.iter().enumerate() {
        for shift in proposals(i, track, seen, &alike) {
            let found = followers(shift, tracks, seen);
            if found.len() > best.len() {
                best = found;
            }
        }
    }
    let enough = best.len() >= MIN_TRACKS
        && best.len() as f32 >= MOST * most as f32
        && best.len() as f32 >= CLEARLY * at_rest as f32;
    enough.then(|| Warp::fit(median(&best), &best))
}

/// The moves of the tracks that `shift` puts on a box.
fn followers(shift: Shift, tracks: &[Rect], seen: &[Rect]) -> Vec<Follower> {
    let nearest = |track: &Rect| {
        let missed = seen.iter().filter_map(|s| Some((shift.miss(track, s)?, s)));
        let (miss, seen) = missed.min_by(|a, b| a.0.total_cmp(&b.0))?;
        (miss <= NEAR).then(|| Follower {
            place: [track.centre().0, track.bottom()],
            shift: Shift::between(track, seen),
        })
    };
    tracks.iter().filter_map(nearest).collect()
}

/// The moves to the boxes that look most like a track, or lie nearest where nobody knows what it looks like.
fn proposals(
    index: usize,
    track: &Rect,
    seen: &[Rect],
    alike: &impl Fn(usize, usize) -> Option<f32>,
) -> Vec<Shift> {
    let mut ranked: Vec<(f32, Shift)> = seen
        .iter()
        .enumerate()
        .filter_map(|(j, s)| {
            let far = Shift::default().miss(track, s)?;
            Some((alike(index, j).unwrap_or(-far), Shift::between(track, s)))
        })
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked.truncate(PROPOSALS);
    ranked.into_iter().map(|(_, shift)| shift).collect()
}

fn median(followers: &[Follower]) -> Shift {
    let middle = |value: fn(&Shift) -> f32| {
        let mut values: Vec<f32> = followers.iter().map(|f| value(&f.shift)).collect();
        values.sort_by(f32::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    Shift {
        x: middle(|s| s.x),
        y: middle(|s| s.y),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(shift: (f32, f32)) -> Vec<Rect> {
        (0..12)
            .map(|i| {
                let (column, row) = ((i % 4) as f32, (i / 4) as f32);
                let height = 80.0 + 30.0 * row;
                let own = 7.0 * ((i * 5 % 3) as f32 - 1.0);
                let x = 100.0 + 231.0 * column + 37.0 * row + own + shift.0;
                Rect::new(x, 120.0 + 160.0 * row + shift.1, height * 0.35, height)
            })
            .collect()
    }

    #[test]
    fn a_turning_camera_is_noticed_and_one_at_rest_is_not() {
        let before = people((0.0, 0.0));
        assert_eq!(common_motion(&before, &before, |_, _| None), None);
        let alike = |i: usize, j: usize| Some(if i == j { 1.0 } else { 0.1 });
        let warp = common_motion(&before, &people((140.0, -75.0)), alike).unwrap();
        for rect in &before {
            let (x, y) = warp.at(rect);
            assert!(
                (x - 140.0).abs() < 8.0 && (y + 75.0).abs() < 1.0,
                "{warp:?}"
            );
        }
    }

    #[test]
    fn few_people_and_people_who_go_their_own_ways_prove_nothing() {
        let before = people((0.0, 0.0));
        let after = people((140.0, -75.0));
        assert_eq!(common_motion(&before[..3], &after[..3], |_, _| None), None);
        let scattered: Vec<Rect> = before
            .iter()
            .enumerate()
            .map(|(i, r)| {
                let angle = i as f32 * 2.4;
                Rect::new(r.x + 90.0 * angle.cos(), r.y + 90.0 * angle.sin(), r.w, r.h)
            })
            .collect();
        let alike = |i: usize, j: usize| Some(if i == j { 1.0 } else { 0.1 });
        assert_eq!(common_motion(&before, &scattered, alike), None);
        assert_eq!(common_motion(&[], &[], |_, _| None), None);
    }
}
