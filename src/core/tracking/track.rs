//! One track: a box that is followed, how it moves, what it looks like and where it is in its life.

use super::{camera::Warp, motion::Motion};
use crate::core::{
    embedding::{Embedding, ModelFingerprint, dot},
    geometry::Rect,
    person::{TrackId, TrackState},
};

/// How much of the old appearance stays when a perfect crop arrives (BoT-SORT and FairMOT, `alpha = 0.9`).
const APPEARANCE_MEMORY: f32 = 0.9;

/// A box that is followed.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub id: TrackId,
    pub class: i32,
    pub state: TrackState,
    pub motion: Motion,
    /// The filter as it was when the box was last seen, for the re-update after a gap.
    seen_motion: Motion,
    /// The box as it was last seen, px.
    pub seen_rect: Rect,
    /// When it was last seen, ns.
    pub seen_ns: u64,
    /// When it was first seen, ns.
    pub first_ns: u64,
    /// How often it was seen.
    pub hits: u32,
    /// Frames since it was last seen; 0 = seen in this frame.
    pub missed: u32,
    pub appearance: Option<Appearance>,
    /// Set while matching: the observation of this frame.
    pub observation: Option<usize>,
}

/// What a track looks like: a running mean of its crops' vectors, better crops counting more.
#[derive(Clone, Debug)]
pub(super) struct Appearance {
    model: ModelFingerprint,
    /// Unit length.
    mean: Vec<f32>,
}

impl Appearance {
    fn new(embedding: &Embedding) -> Self {
        Self {
            model: embedding.model(),
            mean: embedding.values().to_vec(),
        }
    }

    fn is_comparable(&self, embedding: &Embedding) -> bool {
        self.model == embedding.model() && self.mean.len() == embedding.dimension()
    }

    /// Mixes in a crop of `quality` 0..=1. Another model's vector starts anew.
    fn update(&mut self, embedding: &Embedding, quality: f32) {
        if !self.is_comparable(embedding) {
            *self = Self::new(embedding);
            return;
        }
        // At most a tenth is new, so that even opposite vectors never cancel.
        let part = (1.0 - APPEARANCE_MEMORY) * quality.clamp(0.0, 1.0);
        for (old, new) in self.mean.iter_mut().zip(embedding.values()) {
            *old += part * (new - *old);
        }
        let scale = 1.0 / dot(&self.mean, &self.mean).sqrt();
        self.mean.iter_mut().for_each(|v| *v *= scale);
    }

    /// Cosine to a crop; `None` for another model's.
    pub(super) fn cosine(&self, embedding: &Embedding) -> Option<f32> {
        self.is_comparable(embedding)
            .then(|| dot(&self.mean, embedding.values()))
    }
}

/// What a track takes from an observation.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub rect: Rect,
    pub class: i32,
    pub embedding: Option<&'a Embedding>,
    pub quality: f32,
}

impl Live {
    pub fn new(id: TrackId, sight: Sight<'_>, time_ns: u64) -> Self {
        let motion = Motion::new(&sight.rect);
        Self {
            id,
            class: sight.class,
            state: TrackState::Tentative,
            seen_motion: motion.clone(),
            motion,
            seen_rect: sight.rect,
            seen_ns: time_ns,
            first_ns: time_ns,
            hits: 1,
            missed: 0,
            appearance: sight.embedding.map(Appearance::new),
            observation: None,
        }
    }

    pub fn predict(&mut self, seconds: f32) {
        self.motion.predict(seconds, self.missed > 0);
        self.missed = self.missed.saturating_add(1);
        self.observation = None;
    }

    /// The picture as a whole moved.
    pub fn follow(&mut self, warp: &Warp) {
        for motion in [&mut self.motion, &mut self.seen_motion] {
            let (x, y) = warp.at(&motion.rect());
            motion.shift(x, y);
        }
        let (x, y) = warp.at(&self.seen_rect);
        self.seen_rect.x += x;
        self.seen_rect.y += y;
    }

    /// Takes in the box seen in this frame.
    pub fn see(&mut self, observation: usize, sight: Sight<'_>, time_ns: u64) {
        if self.missed > 1 {
            let seconds = time_ns.saturating_sub(self.seen_ns) as f32 / 1e9;
            let mut motion = self.seen_motion.clone();
            motion.update_after_gap(&self.seen_rect, &sight.rect, seconds, self.missed);
            self.motion = motion;
        } else {
            self.motion.update(&sight.rect);
        }
        if !self.motion.is_finite() {
            self.motion = Motion::new(&sight.rect);
        }
        self.seen_motion = self.motion.clone();
        self.seen_rect = sight.rect;
        self.seen_ns = time_ns;
        self.hits = self.hits.saturating_add(1);
        self.missed = 0;
        self.observation = Some(observation);
        if let Some(embedding) = sight.embedding {
            match &mut self.appearance {
                Some(appearance) => appearance.update(embedding, sight.quality),
                None => self.appearance = Some(Appearance::new(embedding)),
            }
        }
    }
}
