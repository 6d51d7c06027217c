//! Where people stand, seen by two cameras at once: who stands in one place is one person, whatever they look like.
//!
//! People walk on a floor, so the feet in one picture and those in another are related by a homography (Hartley and
//! Zisserman, "Multiple View Geometry", 2004, ch. 13). Nobody gives it: it is found from the feet alone, by trying which
//! tracks of two cameras could be one person (RANSAC, Fischler and Bolles 1981), a few guesses a frame. It is believed
//! when it explains most of what both cameras see, and much less of it when one camera's pictures are put at another
//! time; and no longer when it stops to do so (a camera was moved). Cameras that see different places never get one.
//!
//! Long because finding a common floor, checking it and scoring with it share the pairs of feet that they weigh.

use std::collections::{BTreeMap, VecDeque};

use crate::identity::{
    CameraId,
    homography::{Homography, Point},
    visit::TrackKey,
};
use crate::{geometry::Rect, person::TrackId};

/// Feet nearer to one another than this part of a person's height are in one place …
const NEAR: f32 = 0.2;
/// … and further than this in two.
const FAR: f32 = 0.6;
/// Two pictures are of one moment when they are so near in time, ns: a walker moves by 3 % of the height.
const TOGETHER_NS: u64 = 30_000_000;
/// One camera's pictures may come so much later than another's of the same moment, ns.
const WAIT_NS: u64 = 2_000_000_000;
/// Most pictures of a camera that are kept meanwhile.
const MAX_PICTURES: usize = 128;
/// Moments are remembered this often, ns, …
const MOMENT_NS: u64 = 200_000_000;
/// … so many of a pair of cameras: two minutes.
const MAX_MOMENTS: usize = 600;
/// Most people of a picture that are looked at.
const MAX_FEET: usize = 8;
/// Most pairs of cameras; further ones are not looked at.
const MAX_PAIRS: usize = 256;
/// Fewer moments prove nothing: five seconds.
const MIN_MOMENTS: usize = 25;
/// A guess is judged by so many moments, spread over all; most fall at a quarter of them.
const JUDGED: usize = 64;
/// Guesses a moment …
const GUESSES: usize = 4;
/// … and after so many in vain, one.
const PATIENCE: u32 = 2000;
/// A map explains at least this part of the feet that it maps into the other's view …
const EXPLAINED: f32 = 0.45;
/// … an old one this part, …
const STILL_EXPLAINED: f32 = 0.15;
/// … and at a wrong time at most this part of that.
const BY_CHANCE: f32 = 0.33;
/// … and so many feet.
const MIN_MATCHES: u32 = 40;
/// The feet it rests on spread over this many heights in their narrower direction: a straight walk fixes no plane.
const MIN_SPREAD: f32 = 0.2;
/// A map is judged anew this often, ns.
const RECHECK_NS: u64 = 5_000_000_000;
/// Two tracks are compared this often, ns, …
const COMPARE_NS: u64 = 60_000_000;
/// … and say something after so many comparisons, …
const MIN_COMPARED: f32 = 5.0;
/// … most of which agree.
const AGREE: f32 = 0.8;
/// Older comparisons fade so that no more than this many count.
const MEMORY: f32 = 100.0;
/// What being in one place says for one person, and being in two against, as natural logarithm of odds: a foot behind a
/// table is mapped to a wrong place, so the latter is no proof.
const ONE_PLACE: f32 = 6.0;
const TWO_PLACES: f32 = -3.0;

/// A person's feet.
#[derive(Clone, Copy, Debug)]
struct Foot {
    track: TrackId,
    at: Point,
    height: f32,
}

/// Who was where in a camera's picture.
#[derive(Clone, Debug, Default)]
struct Picture {
    time_ns: u64,
    feet: Vec<Foot>,
}

/// A camera's newest pictures, in order of time.
#[derive(Clone, Debug, Default)]
struct Film {
    pictures: VecDeque<Picture>,
    /// The lowest feet ever seen: those there may be cut off by the picture's edge, px.
    edge: f32,
}

/// What two cameras saw at one time.
#[derive(Clone, Debug)]
struct Moment {
    time_ns: u64,
    feet: [Vec<Foot>; 2],
}

/// How often two tracks were found in one place and in two.
#[derive(Clone, Copy, Debug, Default)]
struct Meetings {
    near: f32,
    far: f32,
}

/// The way from one picture to the other and back.
#[derive(Clone, Copy, Debug)]
struct Map {
    forth: Homography,
    back: Homography,
}

/// How well a map explains feet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Fit {
    matched: u32,
    expected: u32,
}

/// Two cameras, the smaller number first.
#[derive(Clone, Debug, Default)]
struct Pair {
    moments: VecDeque<Moment>,
    /// Where each camera ever saw feet.
    areas: [Area; 2],
    /// Guesses so far.
    guesses: u32,
    map: Option<Map>,
    checked_ns: u64,
    compared_ns: u64,
    meetings: BTreeMap<(TrackId, TrackId), Meetings>,
}

/// What is known of the floor below all cameras.
#[derive(Clone, Debug, Default)]
pub(in crate::identity) struct Floor {
    films: BTreeMap<CameraId, Film>,
    pairs: BTreeMap<(CameraId, CameraId), Pair>,
    /// Of the guesses.
    state: u64,
}

impl Floor {
    /// Takes in the people of a picture of `time_ns` that are plainly seen. `can_overlap` says with which cameras it may
    /// share a place. Returns the tracks about whose places more is known than before.
    pub fn observe(
        &mut self,
        camera: CameraId,
        time_ns: u64,
        people: impl Iterator<Item = (TrackId, Rect)>,
        can_overlap: impl Fn(CameraId) -> bool,
    ) -> Vec<TrackKey> {
        let film = self.films.entry(camera).or_default();
        let Some(picture) = film.take_in(time_ns, people) else {
            return Vec::new();
        };
        let mut news = Vec::new();
        for (&other, film) in &self.films {
            if other == camera || !can_overlap(other) {
                continue;
            }
            let Some(theirs) = film.at(time_ns) else {
                continue;
            };
            let (a, b) = (camera.min(other), camera.max(other));
            if self.pairs.len() >= MAX_PAIRS && !self.pairs.contains_key(&(a, b)) {
                continue;
            }
            let (first, second) = if camera == a {
                (&picture.feet, &theirs.feet)
            } else {
                (&theirs.feet, &picture.feet)
            };
            let pair = self.pairs.entry((a, b)).or_default();
            let told = pair.look(time_ns, first, second, &mut self.state);
            let key = |camera, track| TrackKey { camera, track };
            news.extend(told.into_iter().flat_map(|(i, j)| [key(a, i), key(b, j)]));
        }
        news
    }

    /// A track is over.
    pub fn end(&mut self, key: TrackKey) {
        for ((a, b), pair) in &mut self.pairs {
            if *a == key.camera {
                pair.meetings.retain(|(track, _), _| *track != key.track);
            } else if *b == key.camera {
                pair.meetings.retain(|(_, track), _| *track != key.track);
            }
        }
    }

    /// A camera is gone, and what was learnt of where it looks.
    pub fn detach(&mut self, camera: CameraId) {
        self.films.remove(&camera);
        self.pairs.retain(|(a, b), _| *a != camera && *b != camera);
    }

    /// A camera's picture is scaled by `sx` across and `sy` down from now on and shows the same.
    pub fn rescale(&mut self, camera: CameraId, sx: f32, sy: f32) {
        if let Some(film) = self.films.get_mut(&camera) {
            film.edge *= sy;
            let feet = film.pictures.iter_mut().flat_map(|p| &mut p.feet);
            feet.for_each(|foot| foot.rescale(sx, sy));
        }
        for ((a, b), pair) in &mut self.pairs {
            if *a == camera {
                pair.rescale(0, sx, sy);
            } else if *b == camera {
                pair.rescale(1, sx, sy);
            }
        }
    }

    /// Whether a map leads from one camera's picture to another's.
    pub fn joins(&self, a: CameraId, b: CameraId) -> bool {
        let pair = self.pairs.get(&(a.min(b), a.max(b)));
        pair.is_some_and(|p| p.map.is_some())
    }

    /// What the places of two tracks say for one person (above 0) or against: natural logarithm of odds.
    pub fn log_odds(&self, one: TrackKey, other: TrackKey) -> f32 {
        let (a, b) = if one.camera < other.camera {
            (one, other)
        } else {
            (other, one)
        };
        let pair = self.pairs.get(&(a.camera, b.camera));
        let met = pair.and_then(|p| p.meetings.get(&(a.track, b.track)));
        met.map_or(0.0, Meetings::log_odds)
    }
}

impl Foot {
    fn rescale(&mut self, sx: f32, sy: f32) {
        self.at = (self.at.0 * sx, self.at.1 * sy);
        self.height *= sy;
    }
}

impl Film {
    /// Adds a picture; `None` when nobody's feet are in it. A jump backwards begins anew.
    fn take_in(
        &mut self,
        time_ns: u64,
        people: impl Iterator<Item = (TrackId, Rect)>,
    ) -> Option<Picture> {
        let people: Vec<(TrackId, Rect)> = people.collect();
        let edge = people.iter().map(|(_, r)| r.bottom());
        self.edge = edge.fold(self.edge, f32::max);
        let uncut = people.iter().filter(|(_, r)| r.bottom() < self.edge - 1.0);
        let feet = uncut.map(|&(track, rect)| Foot {
            track,
            at: (rect.centre().0, rect.bottom()),
            height: rect.h,
        });
        let picture = Picture {
            time_ns,
            feet: feet.take(MAX_FEET).collect(),
        };
        if self.pictures.back().is_some_and(|p| p.time_ns > time_ns) {
            self.pictures.clear();
        }
        let old = |p: &Picture| time_ns - p.time_ns > WAIT_NS;
        while self.pictures.len() >= MAX_PICTURES || self.pictures.front().is_some_and(old) {
            self.pictures.pop_front();
        }
        if picture.feet.is_empty() {
            return None;
        }
        self.pictures.push_back(picture.clone());
        Some(picture)
    }

    /// The picture of a moment.
    fn at(&self, time_ns: u64) -> Option<&Picture> {
        let apart = |p: &&Picture| p.time_ns.abs_diff(time_ns);
        let nearest = self.pictures.iter().min_by_key(apart)?;
        (apart(&nearest) <= TOGETHER_NS).then_some(nearest)
    }
}

impl Meetings {
    fn log_odds(&self) -> f32 {
        let compared = self.near + self.far;
        if compared < MIN_COMPARED {
            0.0
        } else if self.near >= AGREE * compared {
            ONE_PLACE
        } else if self.far >= AGREE * compared {
            TWO_PLACES
        } else {
            0.0
        }
    }
}

impl Map {
    /// How far two feet are from one place, in heights: the worse of both pictures.
    fn distance(&self, a: &Foot, b: &Foot) -> f32 {
        let one_way = |map: &Homography, from: &Foot, to: &Foot| {
            map.apply(from.at).map_or(f32::INFINITY, |(x, y)| {
                (x - to.at.0).hypot(y - to.at.1) / to.height.max(1.0)
            })
        };
        one_way(&self.forth, a, b).max(one_way(&self.back, b, a))
    }
}

/// The part of a picture where feet were seen.
#[derive(Clone, Copy, Debug)]
struct Area {
    from: Point,
    to: Point,
}

impl Default for Area {
    fn default() -> Self {
        Self {
            from: (f32::INFINITY, f32::INFINITY),
            to: (f32::NEG_INFINITY, f32::NEG_INFINITY),
        }
    }
}

impl Area {
    fn rescale(&mut self, sx: f32, sy: f32) {
        for corner in [&mut self.from, &mut self.to] {
            *corner = (corner.0 * sx, corner.1 * sy);
        }
    }

    fn take_in(&mut self, feet: &[Foot]) {
        for &Foot { at: (x, y), .. } in feet {
            self.from = (self.from.0.min(x), self.from.1.min(y));
            self.to = (self.to.0.max(x), self.to.1.max(y));
        }
    }

    fn holds(&self, (x, y): Point) -> bool {
        (self.from.0..=self.to.0).contains(&x) && (self.from.1..=self.to.1).contains(&y)
    }
}

impl Pair {
    /// Compares what both cameras see at one moment; returns those of whom it says something else than before.
    fn look(
        &mut self,
        now_ns: u64,
        first: &[Foot],
        second: &[Foot],
        state: &mut u64,
    ) -> Vec<(TrackId, TrackId)> {
        if self.remember(now_ns, first, second) {
            self.recheck(now_ns);
            self.seek(state);
        }
        self.compare(now_ns, first, second)
    }

    /// The picture of one of the two is scaled.
    fn rescale(&mut self, side: usize, sx: f32, sy: f32) {
        for moment in &mut self.moments {
            let feet = moment.feet[side].iter_mut();
            feet.for_each(|foot| foot.rescale(sx, sy));
        }
        self.areas[side].rescale(sx, sy);
        if let Some(map) = &mut self.map {
            let (ours, theirs) = ((sx, sy), (1.0, 1.0));
            let (first, second) = if side == 0 {
                (ours, theirs)
            } else {
                (theirs, ours)
            };
            map.forth.rescale(first, second);
            map.back.rescale(second, first);
        }
    }

    /// Keeps a moment, when it is time for one.
    fn remember(&mut self, now_ns: u64, first: &[Foot], second: &[Foot]) -> bool {
        let due = |m: &Moment| now_ns.saturating_sub(m.time_ns) >= MOMENT_NS;
        if !self.moments.back().is_none_or(due) {
            return false;
        }
        if self.moments.len() >= MAX_MOMENTS {
            self.moments.pop_front();
        }
        self.moments.push_back(Moment {
            time_ns: now_ns,
            feet: [first.to_vec(), second.to_vec()],
        });
        self.areas[0].take_in(first);
        self.areas[1].take_in(second);
        true
    }

    /// Looks for a map where there is none.
    fn seek(&mut self, state: &mut u64) {
        if self.moments.len() < MIN_MOMENTS {
            return;
        }
        let guesses = if self.guesses < PATIENCE { GUESSES } else { 1 };
        for _ in 0..guesses {
            if self.map.is_none() {
                self.guesses = self.guesses.saturating_add(1);
                self.guess(state);
            }
        }
    }

    /// Drops a map that no longer holds.
    fn recheck(&mut self, now_ns: u64) {
        let Some(map) = self.map else { return };
        if now_ns.saturating_sub(self.checked_ns) < RECHECK_NS {
            return;
        }
        self.checked_ns = now_ns;
        let n = self.moments.len();
        let fit = self.fit(&map, n.saturating_sub(JUDGED)..n, 0);
        if fit.expected > MIN_MATCHES && fit.share() < STILL_EXPLAINED {
            *self = Self::default();
        }
    }

    /// How well a map explains some moments, with the second camera's pictures `shift` moments later.
    fn fit(&self, map: &Map, moments: impl Iterator<Item = usize>, shift: usize) -> Fit {
        let (n, areas) = (self.moments.len(), &self.areas);
        let mut fit = Fit::default();
        for at in moments {
            let first = &self.moments[at].feet[0];
            let second = &self.moments[(at + shift) % n].feet[1];
            let near = |a: &Foot, b: &Foot| map.distance(a, b) < NEAR;
            for a in first {
                if map.forth.apply(a.at).is_some_and(|p| areas[1].holds(p)) {
                    fit.expected += 1;
                    fit.matched += u32::from(second.iter().any(|b| near(a, b)));
                }
            }
            for b in second {
                if map.back.apply(b.at).is_some_and(|p| areas[0].holds(p)) {
                    fit.expected += 1;
                    fit.matched += u32::from(first.iter().any(|a| near(a, b)));
                }
            }
        }
        fit
    }

    /// Guesses which tracks are one person, and keeps the map that follows if it explains what was seen.
    fn guess(&mut self, state: &mut u64) {
        let Some(map) = self.hypothesis(state) else {
            return;
        };
        let n = self.moments.len();
        let falls = |moments: usize| {
            let some = (0..n).step_by(n.div_ceil(moments));
            self.fit(&map, some, 0).share() < EXPLAINED / 2.0
        };
        if falls(JUDGED / 4) || falls(JUDGED) {
            return;
        }
        let Some(map) = self.refined(map).and_then(|m| self.refined(m)) else {
            return;
        };
        let fit = self.fit(&map, 0..n, 0);
        let explains = fit.share() >= EXPLAINED && fit.matched >= MIN_MATCHES;
        let by_chance = |limit| self.fit(&map, 0..n, n / 2).share() > limit;
        if explains && self.is_spread(&map) && !by_chance(BY_CHANCE * fit.share()) {
            self.map = Some(map);
            self.checked_ns = self.moments.back().map_or(0, |m| m.time_ns);
        }
    }

    /// A map from one or two pairs of tracks, taken for one person each.
    fn hypothesis(&self, state: &mut u64) -> Option<Map> {
        let mut pick = |n: usize| {
            *state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (*state >> 33) as usize % n.max(1)
        };
        let mut tracks = Vec::new();
        for _ in 0..1 + pick(2) {
            let moment = &self.moments[pick(self.moments.len())];
            let [a, b] =
                [0, 1].map(|side: usize| moment.feet[side][pick(moment.feet[side].len())].track);
            tracks.push((a, b));
        }
        let one_to_one =
            |&(a, b): &(TrackId, TrackId)| tracks.iter().all(|&(c, d)| (a == c) == (b == d));
        if !tracks.iter().all(one_to_one) {
            return None;
        }
        let mut points = Vec::new();
        for moment in &self.moments {
            for &(a, b) in &tracks {
                let foot = |side: usize, track| moment.feet[side].iter().find(|f| f.track == track);
                if let (Some(a), Some(b)) = (foot(0, a), foot(1, b)) {
                    points.push((a.at, b.at));
                }
            }
        }
        fitted(&points)
    }

    /// The map of the feet that a map brings together.
    fn refined(&self, map: Map) -> Option<Map> {
        let points: Vec<(Point, Point)> = self.matches(&map).map(|(a, b)| (a.at, b.at)).collect();
        fitted(&points)
    }

    /// The feet that a map brings together.
    fn matches<'a>(&'a self, map: &'a Map) -> impl Iterator<Item = (&'a Foot, &'a Foot)> {
        self.moments.iter().flat_map(move |m| {
            let [first, second] = &m.feet;
            first.iter().filter_map(move |a| {
                let (distance, b) = nearest(map, a, second)?;
                (distance < NEAR).then_some((a, b))
            })
        })
    }

    /// Whether the feet that a map brings together cover an area in both pictures.
    fn is_spread(&self, map: &Map) -> bool {
        let matches: Vec<(&Foot, &Foot)> = self.matches(map).collect();
        let first = matches.iter().map(|(a, _)| *a);
        let second = matches.iter().map(|(_, b)| *b);
        narrow_spread(first) >= MIN_SPREAD && narrow_spread(second) >= MIN_SPREAD
    }

    /// Notes which tracks stand in one place now; returns those of whom it says something else than before.
    fn compare(&mut self, now_ns: u64, first: &[Foot], second: &[Foot]) -> Vec<(TrackId, TrackId)> {
        let mut news = Vec::new();
        let Some(map) = self.map else { return news };
        if now_ns.saturating_sub(self.compared_ns) < COMPARE_NS {
            return news;
        }
        self.compared_ns = now_ns;
        let row = |a| second.iter().map(|b| map.distance(a, b)).collect();
        let distances: Vec<Vec<f32>> = first.iter().map(row).collect();
        // Nobody else stands near either of them.
        let clear = |i: usize, j: usize| {
            let far = |d: f32| d > 2.0 * NEAR;
            (0..second.len()).all(|k| k == j || far(distances[i][k]))
                && (0..first.len()).all(|k| k == i || far(distances[k][j]))
        };
        for (i, a) in first.iter().enumerate() {
            for (j, b) in second.iter().enumerate() {
                let distance = distances[i][j];
                let met = self.meetings.entry((a.track, b.track)).or_default();
                let before = met.log_odds();
                if distance < NEAR && clear(i, j) {
                    met.near += 1.0;
                } else if distance > FAR {
                    met.far += 1.0;
                }
                let total = met.near + met.far;
                if total > MEMORY {
                    (met.near, met.far) = (met.near * MEMORY / total, met.far * MEMORY / total);
                }
                if met.log_odds() != before {
                    news.push((a.track, b.track));
                }
            }
        }
        news
    }
}

impl Fit {
    fn share(&self) -> f32 {
        self.matched as f32 / self.expected.max(1) as f32
    }
}

fn nearest<'a>(map: &Map, a: &Foot, others: &'a [Foot]) -> Option<(f32, &'a Foot)> {
    let distances = others.iter().map(|b| (map.distance(a, b), b));
    distances.min_by(|a, b| a.0.total_cmp(&b.0))
}

fn fitted(points: &[(Point, Point)]) -> Option<Map> {
    let back: Vec<(Point, Point)> = points.iter().map(|&(a, b)| (b, a)).collect();
    Some(Map {
        forth: Homography::fit(points)?,
        back: Homography::fit(&back)?,
    })
}

/// The standard deviation of feet in their narrower direction, in mean heights.
fn narrow_spread<'a>(feet: impl Iterator<Item = &'a Foot>) -> f32 {
    let (mut n, mut height) = (0.0_f32, 0.0);
    let (mut x, mut y, mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for foot in feet {
        let at = foot.at;
        n += 1.0;
        height += foot.height;
        (x, y) = (x + at.0, y + at.1);
        (xx, xy, yy) = (xx + at.0 * at.0, xy + at.0 * at.1, yy + at.1 * at.1);
    }
    if n < 2.0 {
        return 0.0;
    }
    let (mx, my) = (x / n, y / n);
    let (a, b, d) = (xx / n - mx * mx, xy / n - mx * my, yy / n - my * my);
    let smaller = 0.5 * (a + d - ((a - d) * (a - d) + 4.0 * b * b).sqrt());
    smaller.max(0.0).sqrt() / (height / n).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Floor {
        /// Whether anything is known.
        fn is_known(&self) -> bool {
            self.pairs.values().any(|p| p.map.is_some())
        }
    }
    use crate::{
        embedding::{Embedding, ModelFingerprint},
        identity::{Gallery, GalleryConfig, Sighting},
    };

    const FRAME_NS: u64 = 100_000_000;
    const A: CameraId = CameraId(1);
    const B: CameraId = CameraId(2);

    /// A place on the floor, m, as a box of a person 1.7 m tall who stands there; the cameras look from two corners.
    fn seen(camera: CameraId, (x, y): (f32, f32)) -> Rect {
        let (across, far) = if camera == A { (x, y) } else { (-y, x + 1.0) };
        let scale = 900.0 / (6.0 + far + 0.3 * across);
        let (u, v) = (640.0 + scale * across, 200.0 + 2.5 * scale);
        Rect::from_centre(u, v - 0.85 * scale, 0.6 * scale, 1.7 * scale)
    }

    /// Where somebody walks to and fro.
    fn walk(person: u32, frame: u64) -> (f32, f32) {
        let (t, p) = (frame as f32 * 0.1, person as f32);
        (
            3.0 * (0.31 * t + 1.9 * p).sin(),
            2.0 + 2.0 * (0.23 * t + 2.3 * p).cos(),
        )
    }

    fn key(camera: CameraId, track: u32) -> TrackKey {
        TrackKey {
            camera,
            track: TrackId(track),
        }
    }

    /// Shows both cameras `frames` pictures; who is `person` in the first is track 10 + `person` in the second.
    fn watch(floor: &mut Floor, frames: std::ops::Range<u64>, second: impl Fn(u32, u64) -> Rect) {
        for frame in frames {
            let now = frame * FRAME_NS;
            let people =
                |camera: CameraId| (0..3).map(move |p| (TrackId(p), seen(camera, walk(p, frame))));
            floor.observe(A, now, people(A), |_| true);
            let other = (0..3).map(|p| (TrackId(10 + p), second(p, frame)));
            floor.observe(B, now + 1, other, |_| true);
        }
    }

    #[test]
    fn who_stands_in_one_place_is_found_without_looks() {
        let mut floor = Floor::default();
        watch(&mut floor, 0..600, |p, f| seen(B, walk(p, f)));
        assert!(floor.is_known() && floor.joins(B, A) && !floor.joins(A, CameraId(3)));
        for (p, q) in (0..3).flat_map(|p| (0..3).map(move |q| (p, q))) {
            let odds = floor.log_odds(key(B, 10 + q), key(A, p));
            assert_eq!(odds > 0.0, p == q, "{p} {q} {odds}");
            assert_eq!(odds, floor.log_odds(key(A, p), key(B, 10 + q)));
        }
        floor.end(key(A, 1));
        assert_eq!(floor.log_odds(key(A, 1), key(B, 11)), 0.0);
        // The second camera is turned: the map is given up, and another one found.
        let turned = |p, f| {
            let r = seen(B, walk(p, f));
            Rect::new(1280.0 - r.right(), r.y - 60.0, r.w, r.h)
        };
        watch(&mut floor, 600..1100, turned);
        assert!(floor.log_odds(key(B, 12), key(A, 2)) > 0.0);
        floor.detach(B);
        assert!(!floor.is_known());
    }

    #[test]
    fn a_scaled_picture_keeps_what_was_learnt() {
        let mut floor = Floor::default();
        watch(&mut floor, 0..600, |p, f| seen(B, walk(p, f)));
        let scaled = |p, f| seen(B, walk(p, f)).scaled(2.0, 2.0);
        for p in 0..3 {
            floor.end(key(A, p));
        }
        floor.rescale(B, 2.0, 2.0);
        // Two seconds are too short to find a map anew.
        watch(&mut floor, 600..620, scaled);
        for (p, q) in (0..3).flat_map(|p| (0..3).map(move |q| (p, q))) {
            let odds = floor.log_odds(key(A, p), key(B, 10 + q));
            assert_eq!(odds > 0.0, p == q, "{p} {q} {odds}");
        }
        // It is still believed when it is judged by pictures from before and after.
        watch(&mut floor, 620..720, scaled);
        assert!(floor.joins(A, B));
    }

    #[test]
    fn pictures_that_come_late_are_put_beside_those_of_their_moment() {
        let mut floor = Floor::default();
        for frame in 0..400_u64 {
            let people = |camera: CameraId, frame: u64| {
                (0..3).map(move |p| (TrackId(p), seen(camera, walk(p, frame))))
            };
            floor.observe(A, frame * FRAME_NS, people(A, frame), |_| true);
            if let Some(late) = frame.checked_sub(9) {
                floor.observe(B, late * FRAME_NS, people(B, late), |_| true);
            }
        }
        for p in 0..3 {
            assert!(floor.log_odds(key(A, p), key(B, p)) > 0.0, "{p}");
        }
    }

    #[test]
    fn cameras_of_two_places_get_no_map() {
        let mut floor = Floor::default();
        watch(&mut floor, 0..900, |p, f| {
            seen(B, walk(p + 7, 3 * f + 5000))
        });
        assert!(!floor.is_known());
        // Nor do people who stand still: any map would explain them.
        let mut floor = Floor::default();
        for frame in 0..600 {
            let now = frame * FRAME_NS;
            let still = |camera| (0..3).map(move |p| (TrackId(p), seen(camera, walk(p, 0))));
            floor.observe(A, now, still(A), |_| true);
            floor.observe(B, now, still(B), |_| true);
        }
        assert!(!floor.is_known());
    }

    #[test]
    fn who_stands_beside_another_is_not_told_apart_whatever_their_numbers() {
        let corners = [(0.0, 0.0), (900.0, 0.0), (0.0, 900.0), (900.0, 900.0)];
        let mut pair = Pair {
            map: fitted(&corners.map(|p| (p, p))),
            ..Pair::default()
        };
        let foot = |track, x| Foot {
            track: TrackId(track),
            at: (x, 400.0),
            height: 100.0,
        };
        for beside in [30.0, 150.0] {
            pair.meetings.clear();
            for moment in 1..20 {
                let second = [foot(2, 400.0), foot(1, 400.0 + beside)];
                pair.compare(moment * MOMENT_NS, &[foot(1, 400.0)], &second);
            }
            let met = pair.meetings[&(TrackId(1), TrackId(2))];
            assert_eq!(met.log_odds() > 0.0, beside > 100.0, "{beside}: {met:?}");
            pair.compared_ns = 0;
        }
    }

    #[test]
    fn what_cannot_overlap_is_not_compared() {
        let mut floor = Floor::default();
        for frame in 0..600 {
            let people = |camera| (0..3).map(move |p| (TrackId(p), seen(camera, walk(p, frame))));
            floor.observe(A, frame * FRAME_NS, people(A), |_| false);
            floor.observe(B, frame * FRAME_NS, people(B), |_| false);
        }
        assert!(floor.pairs.is_empty());
    }

    /// A vector: `towards` one direction, and noise.
    fn looks(towards: f32, noise: &mut u32) -> Embedding {
        let mut next = || {
            *noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (*noise >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let raw: Vec<f32> = (0..32).map(|_| towards + next()).collect();
        Embedding::normalised(&raw, ModelFingerprint(1)).expect("a vector")
    }

    fn twins_in_a_gallery_of(strangers: u32) {
        let mut gallery = Gallery::new(GalleryConfig::default());
        let cameras = [gallery.attach("a", true), gallery.attach("b", true)];
        let street = gallery.attach("street", true);
        let mut noise = 7;
        for stranger in 0..strangers {
            let look = looks(0.0, &mut noise);
            let sighting = Sighting {
                track: TrackId(stranger),
                confirmed: true,
                rect: seen(A, walk(0, 0)),
                embedding: Some(&look),
                quality: 0.9,
            };
            let begins = u64::from(stranger) * 5 * FRAME_NS;
            for frame in 0..5 {
                gallery.observe(street, begins + frame * FRAME_NS, &[sighting], &[]);
            }
            gallery.observe(street, begins + 5 * FRAME_NS, &[], &[TrackId(stranger)]);
        }
        let mut numbers = [[0; 2]; 2];
        let begins = u64::from(strangers) * 5;
        for frame in begins..begins + 900 {
            for (side, &camera) in cameras.iter().enumerate() {
                let looks = [looks(4.0, &mut noise), looks(4.0, &mut noise)];
                let sightings: Vec<Sighting<'_>> = (0..2)
                    .map(|p| Sighting {
                        // The second camera counts the other way round.
                        track: TrackId(if side == 0 { p } else { 11 - p }),
                        confirmed: true,
                        rect: seen(if side == 0 { A } else { B }, walk(p, frame)),
                        embedding: Some(&looks[p as usize]),
                        quality: 0.9,
                    })
                    .collect();
                let decision = gallery.observe(camera, frame * FRAME_NS, &sightings, &[]);
                for (number, identity) in numbers[side].iter_mut().zip(&decision.identities) {
                    *number = identity.as_ref().map_or(0, |i| i.id.0);
                }
            }
        }
        let case = format!("{strangers} others: {numbers:?}");
        assert_eq!(numbers[0], numbers[1], "one number in both cameras, {case}");
        assert_ne!(numbers[0][0], numbers[0][1], "two people, {case}");
    }

    #[test]
    fn twins_are_told_apart_by_where_they_stand() {
        twins_in_a_gallery_of(0);
        twins_in_a_gallery_of(400);
    }
}
