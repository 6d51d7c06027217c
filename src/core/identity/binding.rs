//! A track of a camera and the person it is taken for.

use super::{CameraId, Sighting};
use crate::core::{
    embedding::{Embedding, ModelFingerprint, dot},
    person::{IdentityId, IdentityState, Seen, TrackId},
};

/// Crops below this quality say nothing about who it is.
pub(super) const MIN_QUALITY: f32 = 0.15;
/// The mean of so many crops says what a track looks like.
const ENOUGH_CROPS: u32 = 5;
/// Two moments of a track this far apart, ns, are compared to learn how a person scores with itself: neighbouring frames
/// are near-copies and prove nothing.
const SELF_STEP_NS: u64 = 500_000_000;
/// The sum of a track's vectors forgets so that no more than this many good crops count: five seconds at 10 a second.
const MEMORY: f32 = 50.0;

/// A track of one camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TrackKey {
    pub camera: CameraId,
    pub track: TrackId,
}

/// What is known of a track.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    /// Whom it carries, from the first frame on.
    pub identity: Option<IdentityId>,
    /// Whether looks have had their say.
    pub decided: bool,
    pub state: IdentityState,
    pub score: f32,
    pub margin: f32,
    /// Where and when the person had been seen that it was taken for.
    pub basis: Option<Seen>,
    pub evidence: Evidence,
    /// When it was first seen, ns.
    pub first_ns: u64,
    /// When it was last seen, ns.
    pub seen_ns: u64,
    /// When rows were last updated from it, ns.
    pub remembered_ns: Option<u64>,
    /// When it was last compared with everybody, ns.
    pub asked_ns: Option<u64>,
    /// How often it was compared with others of one picture.
    pub compared: u32,
    /// How often its camera's people were grouped anew while it was in view.
    pub grouped: u32,
    /// When to compare it with everybody else again, ns.
    pub review_ns: u64,
    /// A user has said that the number it carries is one person: no looks and no places take it away.
    pub trusted: bool,
    /// Whether more is known of where it stands than when that was last asked.
    pub place_news: bool,
    /// Whether it has taught how alike one person is across cameras.
    pub taught: bool,
}

impl Binding {
    pub fn new(now_ns: u64) -> Self {
        Self {
            identity: None,
            decided: false,
            state: IdentityState::Pending,
            score: 0.0,
            margin: 0.0,
            basis: None,
            evidence: Evidence::default(),
            first_ns: now_ns,
            seen_ns: now_ns,
            remembered_ns: None,
            asked_ns: None,
            compared: 0,
            grouped: 0,
            review_ns: 0,
            trusted: false,
            place_news: false,
            taught: false,
        }
    }

    /// Notes that it is taken for somebody known, seen there and then before.
    pub fn take_for_known(&mut self, basis: Option<Seen>, score: f32, margin: f32) {
        self.state = IdentityState::Matched;
        (self.basis, self.score, self.margin) = (basis, score, margin);
    }
}

/// A track's looks so far: the sum of its vectors, weighted by quality.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    sum: Vec<f32>,
    model: Option<ModelFingerprint>,
    weight: f32,
    /// Usable crops so far.
    pub crops: u32,
    /// What of the sum came since `since_ns`.
    recent: Vec<f32>,
    recent_weight: f32,
    since_ns: Option<u64>,
}

/// What a moment of a track and all before it say about a person and itself.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    /// Their cosine.
    pub cosine: f32,
    /// How the later one differs from the mean of the track before it.
    pub change: Vec<f32>,
}

impl Evidence {
    /// Takes in a crop. Returns what the crops of the last moment and those before it say when enough time has passed.
    pub fn add(&mut self, sighting: &Sighting<'_>, now_ns: u64) -> Option<Moments> {
        let embedding = sighting.embedding?;
        if !sighting.quality.is_finite() || sighting.quality < MIN_QUALITY {
            return None;
        }
        let fits = self.model == Some(embedding.model()) && self.sum.len() == embedding.dimension();
        if !fits {
            *self = Self {
                model: Some(embedding.model()),
                sum: vec![0.0; embedding.dimension()],
                recent: vec![0.0; embedding.dimension()],
                ..Self::default()
            };
        }
        if self.weight >= MEMORY {
            let all = self.sum.iter_mut().chain(&mut self.recent);
            all.for_each(|v| *v *= 0.5);
            self.weight *= 0.5;
            self.recent_weight *= 0.5;
        }
        let sums = self.sum.iter_mut().zip(&mut self.recent);
        for ((sum, recent), value) in sums.zip(embedding.values()) {
            *sum += sighting.quality * value;
            *recent += sighting.quality * value;
        }
        self.weight += sighting.quality;
        self.recent_weight += sighting.quality;
        self.crops = self.crops.saturating_add(1);
        let since = *self.since_ns.get_or_insert(now_ns);
        if now_ns.saturating_sub(since) < SELF_STEP_NS {
            return None;
        }
        self.since_ns = Some(now_ns);
        let moments = self.moments();
        self.recent.fill(0.0);
        self.recent_weight = 0.0;
        moments
    }

    /// Compares the last moment with the track before it.
    fn moments(&self) -> Option<Moments> {
        let before = self.weight - self.recent_weight;
        if before < MIN_QUALITY || self.recent_weight <= 0.0 {
            return None;
        }
        let now: Vec<f32> = self.recent.iter().map(|v| v / self.recent_weight).collect();
        let sums = self.sum.iter().zip(&self.recent);
        let then: Vec<f32> = sums.map(|(sum, recent)| (sum - recent) / before).collect();
        let lengths = (dot(&now, &now) * dot(&then, &then)).sqrt();
        Some(Moments {
            cosine: dot(&now, &then) / lengths.max(f32::MIN_POSITIVE),
            change: now.iter().zip(&then).map(|(n, t)| n - t).collect(),
        })
    }

    /// How well a crop fits the mean of the track before it: cosine, once there is a mean to speak of.
    pub fn fit(&self, sighting: &Sighting<'_>) -> Option<f32> {
        let embedding = sighting.embedding?;
        let fits = self.model == Some(embedding.model()) && self.sum.len() == embedding.dimension();
        if !fits || self.crops < ENOUGH_CROPS || sighting.quality < MIN_QUALITY {
            return None;
        }
        let length = dot(&self.sum, &self.sum).sqrt().max(f32::MIN_POSITIVE);
        Some(dot(embedding.values(), &self.sum) / length)
    }

    /// Adds the mean of the track's vectors, not normalised, to `out`; false when there is none of that model.
    pub fn mean_into(&self, model: ModelFingerprint, out: &mut Vec<f32>) -> bool {
        if self.model != Some(model) || self.weight <= 0.0 {
            return false;
        }
        out.extend(self.sum.iter().map(|v| v / self.weight));
        true
    }

    /// The mean look, if there is any.
    pub fn mean(&self) -> Option<Embedding> {
        // Opposite vectors may cancel: then there is none.
        Embedding::normalised(&self.sum, self.model?).ok()
    }

    /// Mean quality of what went in.
    pub fn quality(&self) -> f32 {
        (self.weight / self.crops.max(1) as f32).min(1.0)
    }
}
