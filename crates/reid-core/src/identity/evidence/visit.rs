//! A visit: a track of one camera from its beginning to its end, and what its crops say together.
//!
//! Crops of neighbouring frames are near-copies; evidence grows by the half second. Who comes and goes is half in the picture,
//! so the first and the last 0.6 s of a visit hardly count once there is enough in between.

use std::collections::{BTreeMap, VecDeque};

use crate::identity::{CameraId, Sighting};
use crate::{
    embedding::{Embedding, ModelFingerprint, dot},
    person::{IdentityId, IdentityState, Seen, TrackId},
};

/// Crops below this quality say nothing about who it is.
pub(in crate::identity) const MIN_QUALITY: f32 = 0.15;
/// The mean of this many crops says what a track looks like.
const ENOUGH_CROPS: u32 = 5;
/// Two moments of a track this far apart, ns, are compared to learn how a person scores with itself, and count as two.
const MOMENT_NS: u64 = 500_000_000;
/// Who comes is half in the picture for this long, ns …
const ENTRY_NS: u64 = 600_000_000;
/// … and who goes for as long: the newest crops are kept apart in so many steps of this length, ns.
const STEP_NS: u64 = 200_000_000;
const STEPS: usize = 3;
/// What a crop of somebody who comes or goes counts, when there is enough in between …
const ENTRY_PART: f32 = 0.05;
/// … which is this many crops.
const ENOUGH_BETWEEN: u32 = 1;
/// The sum of a visit's vectors fades so that no more than this many good crops count: clothes do not change, light does.
const MEMORY: f32 = 250.0;
/// More moments than this say nothing more: the weight of a visit in a person.
pub(in crate::identity) const MAX_MOMENTS: u32 = 8;
/// Frames in one picture, in two places, from which two tracks count as two people.
const BESIDE_FRAMES: u32 = 3;
/// Most people remembered whom a visit was seen with in one picture.
const MAX_BESIDE: usize = 64;

/// A track of one camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::identity) struct TrackKey {
    pub camera: CameraId,
    pub track: TrackId,
}

/// What is known of a track while it lasts.
#[derive(Clone, Debug)]
pub(in crate::identity) struct Binding {
    /// Whom it carries, from the first confirmed frame on.
    pub identity: Option<IdentityId>,
    /// Whether the tracker believes in it.
    pub confirmed: bool,
    /// Whether the identity is more than provisional.
    pub decided: bool,
    pub state: IdentityState,
    pub score: f32,
    pub margin: f32,
    /// Where and when the person had been seen that it was matched with.
    pub basis: Option<Seen>,
    pub visit: Visit,
    /// When it was first seen, ns.
    pub first_ns: u64,
    /// When it was last seen, ns.
    pub seen_ns: u64,
    /// When its prototype was last updated, ns.
    pub remembered_ns: Option<u64>,
    /// When to compare it with everybody again, ns.
    pub ask_ns: u64,
    /// How often it was compared with others of one picture.
    pub compared: u32,
    /// How often people in view were grouped while it was.
    pub grouped: u32,
    /// A user has said that the identity it carries is one person: no evidence takes it away.
    pub trusted: bool,
    /// Whether more is known of where it stands than when that was last asked.
    pub place_news: bool,
    /// Frames in which it was seen apart from tracks of the same camera that still last.
    pub beside: BTreeMap<TrackId, u32>,
    /// What of other people, in moments of their visits, was seen in one picture with it and is over.
    pub apart: BTreeMap<IdentityId, f32>,
}

impl Binding {
    pub fn new(now_ns: u64) -> Self {
        Self {
            identity: None,
            confirmed: false,
            decided: false,
            state: IdentityState::Pending,
            score: 0.0,
            margin: 0.0,
            basis: None,
            visit: Visit::default(),
            first_ns: now_ns,
            seen_ns: now_ns,
            remembered_ns: None,
            ask_ns: 0,
            compared: 0,
            grouped: 0,
            trusted: false,
            place_news: false,
            beside: BTreeMap::new(),
            apart: BTreeMap::new(),
        }
    }

    /// Notes that it was matched with somebody known, seen there and then before.
    pub fn matched(&mut self, basis: Option<Seen>, score: f32, margin: f32) {
        self.state = IdentityState::Matched;
        self.decided = true;
        (self.basis, self.score, self.margin) = (basis, score, margin);
    }

    /// Notes that another track was seen in the same picture, in another place.
    pub fn saw_beside(&mut self, other: TrackId) {
        if self.beside.len() < MAX_BESIDE || self.beside.contains_key(&other) {
            let frames = self.beside.entry(other).or_default();
            *frames = frames.saturating_add(1);
        }
    }

    /// The tracks of its camera that were seen apart from it for long enough to be other people's.
    pub fn others(&self) -> impl Iterator<Item = TrackId> {
        let known = self.beside.iter();
        known
            .filter(|(_, frames)| **frames >= BESIDE_FRAMES)
            .map(|(track, _)| *track)
    }

    /// Whether a track of its camera was seen apart from it for long enough to be another's.
    pub fn is_apart_from(&self, other: TrackId) -> bool {
        self.beside
            .get(&other)
            .is_some_and(|frames| *frames >= BESIDE_FRAMES)
    }

    /// One person turned out to be another.
    pub fn rename(&mut self, from: IdentityId, into: IdentityId) {
        if self.identity == Some(from) {
            self.identity = Some(into);
        }
        if let Some(weight) = self.apart.remove(&from) {
            *self.apart.entry(into).or_default() += weight;
        }
    }
}

/// Weighted vectors, summed.
#[derive(Clone, Debug, Default)]
struct Sum {
    values: Vec<f32>,
    weight: f32,
    crops: u32,
}

impl Sum {
    fn add(&mut self, vector: &[f32], weight: f32) {
        if self.values.is_empty() {
            self.values = vec![0.0; vector.len()];
        }
        let sums = self.values.iter_mut().zip(vector);
        sums.for_each(|(sum, v)| *sum += weight * v);
        self.weight += weight;
        self.crops = self.crops.saturating_add(1);
    }

    fn fade(&mut self, part: f32) {
        self.values.iter_mut().for_each(|v| *v *= part);
        self.weight *= part;
    }

    /// Adds `part` of this sum to `total`.
    fn add_to(&self, total: &mut Self, part: f32) {
        if total.values.is_empty() {
            total.values = vec![0.0; self.values.len()];
        }
        let sums = total.values.iter_mut().zip(&self.values);
        sums.for_each(|(sum, v)| *sum += part * v);
        total.weight += part * self.weight;
    }
}

/// The crops of a visit so far.
#[derive(Clone, Debug, Default)]
pub(in crate::identity) struct Visit {
    model: Option<ModelFingerprint>,
    /// Usable crops so far.
    pub crops: u32,
    /// Moments, half a second each, with usable crops.
    pub moments: u32,
    began_ns: u64,
    /// From the first [`ENTRY_NS`].
    entry: Sum,
    /// From then on, but for the newest.
    between: Sum,
    /// The newest, in steps, and when each began.
    newest: VecDeque<(u64, Sum)>,
    /// Since the last moment ended, and when that was.
    moment: Sum,
    since_ns: Option<u64>,
}

/// What a moment of a visit and all before it say about a person and itself.
#[derive(Clone, Debug)]
pub(in crate::identity) struct Moments {
    /// Their cosine.
    pub cosine: f32,
    /// How the later one differs from the mean of the visit before it.
    pub change: Vec<f32>,
}

impl Visit {
    /// Takes in a crop. Returns what the crops of the last moment and those before it say when enough time has passed.
    pub fn add(&mut self, sighting: &Sighting<'_>, now_ns: u64) -> Option<Moments> {
        let embedding = sighting.embedding?;
        if !sighting.quality.is_finite() || sighting.quality < MIN_QUALITY {
            return None;
        }
        if !self.takes(embedding) {
            *self = Self {
                model: Some(embedding.model()),
                began_ns: now_ns,
                ..Self::default()
            };
        }
        let moments = self.end_moment(now_ns);
        self.add_crop(embedding.values(), sighting.quality, now_ns);
        self.moment.add(embedding.values(), sighting.quality);
        self.crops = self.crops.saturating_add(1);
        self.moments = self.moments.max(1);
        moments
    }

    fn takes(&self, embedding: &Embedding) -> bool {
        let dimension = [&self.entry, &self.moment]
            .iter()
            .map(|s| s.values.len())
            .max();
        self.model == Some(embedding.model()) && dimension == Some(embedding.dimension())
    }

    fn add_crop(&mut self, vector: &[f32], quality: f32, now_ns: u64) {
        if now_ns.saturating_sub(self.began_ns) < ENTRY_NS {
            return self.entry.add(vector, quality);
        }
        match self.newest.back_mut() {
            Some((began, sum)) if now_ns.saturating_sub(*began) < STEP_NS => {
                sum.add(vector, quality);
            }
            _ => {
                let mut sum = Sum::default();
                sum.add(vector, quality);
                self.newest.push_back((now_ns, sum));
            }
        }
        while self.newest.len() > STEPS {
            let Some((_, sum)) = self.newest.pop_front() else {
                break;
            };
            sum.add_to(&mut self.between, 1.0);
            self.between.crops = self.between.crops.saturating_add(sum.crops);
        }
        if self.between.weight >= MEMORY {
            self.between.fade(0.5);
        }
    }

    /// Compares the last moment with the visit before it once it is over.
    fn end_moment(&mut self, now_ns: u64) -> Option<Moments> {
        let since = *self.since_ns.get_or_insert(now_ns);
        if now_ns.saturating_sub(since) < MOMENT_NS {
            return None;
        }
        self.since_ns = Some(now_ns);
        let moment = std::mem::take(&mut self.moment);
        self.moments = self.moments.saturating_add(1);
        let mut before = self.total(1.0);
        moment.add_to(&mut before, -1.0);
        if before.weight < MIN_QUALITY || moment.weight <= 0.0 {
            return None;
        }
        let now: Vec<f32> = moment.values.iter().map(|v| v / moment.weight).collect();
        let then: Vec<f32> = before.values.iter().map(|v| v / before.weight).collect();
        let lengths = (dot(&now, &now) * dot(&then, &then)).sqrt();
        Some(Moments {
            cosine: dot(&now, &then) / lengths.max(f32::MIN_POSITIVE),
            change: now.iter().zip(&then).map(|(n, t)| n - t).collect(),
        })
    }

    /// Everything so far, coming and going counted to `part`.
    fn total(&self, part: f32) -> Sum {
        let mut total = Sum::default();
        self.entry.add_to(&mut total, part);
        self.between.add_to(&mut total, 1.0);
        for (_, sum) in &self.newest {
            sum.add_to(&mut total, 1.0);
        }
        total
    }

    /// What the visit looks like: without its beginning where there is more, and where it `is_over` without its end.
    fn fused(&self, is_over: bool) -> Sum {
        let newest: u32 = self.newest.iter().map(|(_, s)| s.crops).sum();
        let inner = self.between.crops + if is_over { 0 } else { newest };
        if inner < ENOUGH_BETWEEN {
            return self.total(1.0);
        }
        let mut total = Sum::default();
        self.entry.add_to(&mut total, ENTRY_PART);
        self.between.add_to(&mut total, 1.0);
        let part = if is_over { ENTRY_PART } else { 1.0 };
        for (_, sum) in &self.newest {
            sum.add_to(&mut total, part);
        }
        total
    }

    /// How well a crop fits the mean of the visit before it: cosine, once there is a mean to speak of.
    pub fn fit(&self, sighting: &Sighting<'_>) -> Option<f32> {
        let embedding = sighting.embedding?;
        if !self.takes(embedding) || self.crops < ENOUGH_CROPS || sighting.quality < MIN_QUALITY {
            return None;
        }
        let sum = self.total(1.0).values;
        let length = dot(&sum, &sum).sqrt().max(f32::MIN_POSITIVE);
        Some(dot(embedding.values(), &sum) / length)
    }

    /// The mean vector of a model, not of unit length; `None` where there is none.
    pub fn mean_of(&self, model: ModelFingerprint, is_over: bool) -> Option<Vec<f32>> {
        let sum = self.fused(is_over);
        let usable = self.model == Some(model) && sum.weight > 0.0;
        usable.then(|| sum.values.iter().map(|v| v / sum.weight).collect())
    }

    /// The mean look at unit length, if there is any.
    pub fn mean(&self, is_over: bool) -> Option<Embedding> {
        // Opposite vectors may cancel: then there is none.
        Embedding::normalised(&self.fused(is_over).values, self.model?).ok()
    }

    /// How much the visit counts in a person: its moments, at most [`MAX_MOMENTS`], and one.
    pub fn weight(&self) -> f32 {
        1.0 + self.moments.min(MAX_MOMENTS) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;

    const MODEL: ModelFingerprint = ModelFingerprint(1);

    fn crop(values: [f32; 2]) -> Embedding {
        Embedding::normalised(&values, MODEL).expect("a vector")
    }

    fn add(visit: &mut Visit, look: &Embedding, ms: u64) -> Option<Moments> {
        let sighting = Sighting {
            track: TrackId(1),
            confirmed: true,
            rect: Rect::new(0.0, 0.0, 10.0, 20.0),
            embedding: Some(look),
            quality: 0.9,
        };
        visit.add(&sighting, ms * 1_000_000)
    }

    #[test]
    fn coming_and_going_hardly_count_where_there_is_more() {
        let (edge, whole) = (crop([1.0, 0.0]), crop([0.0, 1.0]));
        let mut visit = Visit::default();
        for ms in (0..600).step_by(40) {
            add(&mut visit, &edge, ms);
        }
        let first = visit.mean(false).expect("a mean");
        assert!(first.values()[0] > 0.99, "all there is counts");
        for ms in (600..3000).step_by(40) {
            add(&mut visit, &whole, ms);
        }
        for ms in (3000..3500).step_by(40) {
            add(&mut visit, &edge, ms);
        }
        let (now, over) = (visit.mean(false).unwrap(), visit.mean(true).unwrap());
        assert!(over.values()[1] > now.values()[1] && over.values()[1] > 0.99);
    }

    #[test]
    fn evidence_grows_by_the_half_second() {
        let look = crop([1.0, 1.0]);
        let mut visit = Visit::default();
        let mut told = 0;
        for ms in (0..4000).step_by(40) {
            told += u32::from(add(&mut visit, &look, ms).is_some());
        }
        assert_eq!((visit.crops, visit.moments, told), (100, 8, 6));
        assert_eq!(visit.weight(), 9.0);
        (0..100).for_each(|s| {
            add(&mut visit, &look, 4000 + 1000 * s);
        });
        assert_eq!(visit.weight(), 1.0 + MAX_MOMENTS as f32);
    }

    #[test]
    fn another_model_begins_anew() {
        let mut visit = Visit::default();
        add(&mut visit, &crop([1.0, 0.0]), 0);
        let other = Embedding::normalised(&[0.0, 1.0], ModelFingerprint(2)).expect("a vector");
        add(&mut visit, &other, 40);
        assert_eq!(visit.crops, 1);
        assert!(visit.mean_of(MODEL, false).is_none());
        assert!(visit.mean_of(ModelFingerprint(2), false).is_some());
    }
}
