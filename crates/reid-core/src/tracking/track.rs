//! One track: its motion, its appearance and its state.

use super::{camera::Warp, motion::Motion};
use crate::{
    embedding::{Embedding, ModelFingerprint, dot},
    geometry::Rect,
    person::{TrackId, TrackState},
};

/// Part of the old appearance that is kept when a perfect crop arrives (BoT-SORT and FairMOT, `alpha = 0.9`).
const APPEARANCE_MEMORY: f32 = 0.9;
/// Maximum part of the mean that one crop replaces.
const MOST_NEW: f32 = 0.2;
/// An appearance is reliable once the qualities of its crops add up to this: five good ones.
const FIRM_WEIGHT: f32 = 4.0;

/// An appearance has changed for good after this many observations in a row …
const CHANGED_SIGHTINGS: u32 = 3;
/// … over this time, ns.
const CHANGED_NS: u64 = 200_000_000;

/// A box this near to the picture's edge, as a part of the picture's longer side, may be cut by it.
pub(super) const EDGE: f32 = 0.01;
/// A person moving outwards there by at least this part of the height per second is leaving: a walk is 0.4 to 0.8, half of
/// which is left of a box that is cut.
const LEAVING_PACE: f32 = 0.2;

/// A track.
#[derive(Clone, Debug)]
pub(super) struct Track {
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
    /// When it was last seen the picture's edge cut it, and it was on its way out.
    pub leaves: bool,
    /// Set while its boxes have the appearance of another person.
    doubt: Option<Doubt>,
    /// Set while matching: the observation of this frame.
    pub observation: Option<usize>,
}

/// Since when a track's boxes have another appearance, and where it was before.
#[derive(Clone, Debug)]
struct Doubt {
    since_ns: u64,
    sightings: u32,
    motion: Motion,
    seen_rect: Rect,
    seen_ns: u64,
}

/// The appearance of a track: a running mean of its crops' vectors, weighted by quality.
#[derive(Clone, Debug)]
pub(super) struct Appearance {
    model: ModelFingerprint,
    /// Unit length.
    mean: Vec<f32>,
    /// The crops' qualities added up.
    weight: f32,
}

impl Appearance {
    fn new(embedding: &Embedding, quality: f32) -> Self {
        Self {
            model: embedding.model(),
            mean: embedding.values().to_vec(),
            weight: quality.clamp(0.0, 1.0),
        }
    }

    /// True when enough was seen that a different appearance means another person: a person who enters is partly visible at first.
    pub(super) fn is_firm(&self) -> bool {
        self.weight >= FIRM_WEIGHT
    }

    fn is_comparable(&self, embedding: &Embedding) -> bool {
        self.model == embedding.model() && self.mean.len() == embedding.dimension()
    }

    /// Mixes in a crop of `quality` 0..=1. Another model's vector starts anew.
    fn update(&mut self, embedding: &Embedding, quality: f32) {
        if !self.is_comparable(embedding) {
            *self = Self::new(embedding, quality);
            return;
        }
        let quality = quality.clamp(0.0, 1.0);
        // At first the mean of all crops; then a tenth is new. Never a half or more, so that opposite vectors do not cancel.
        let share = quality / (self.weight + quality).max(f32::MIN_POSITIVE);
        let part = share.min(MOST_NEW).max((1.0 - APPEARANCE_MEMORY) * quality);
        self.weight += quality;
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
    /// Whether its appearance matches the track's; `None` where appearance does not decide.
    pub agrees: Option<bool>,
    /// Whether it is similar enough to update the track's appearance.
    pub is_familiar: bool,
}

impl Track {
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
            appearance: sight.embedding.map(|e| Appearance::new(e, sight.quality)),
            leaves: false,
            doubt: None,
            observation: None,
        }
    }

    /// Whether a box that is seen at the edge of a picture of `frame` px is on its way out.
    pub fn is_leaving(&self, frame: (f32, f32)) -> bool {
        let (rect, (across, down)) = (&self.seen_rect, self.motion.pace());
        let (least, margin) = (LEAVING_PACE * rect.h, EDGE * frame.0.max(frame.1));
        (rect.x <= margin && across < -least)
            || (rect.right() >= frame.0 - margin && across > least)
            || (rect.y <= margin && down < -least)
            || (rect.bottom() >= frame.1 - margin && down > least)
    }

    pub fn predict(&mut self, seconds: f32) {
        self.motion.predict(seconds, self.missed > 0);
        self.missed = self.missed.saturating_add(1);
        self.observation = None;
    }

    /// The picture as a whole moved.
    pub fn follow(&mut self, warp: &Warp) {
        let doubt = self.doubt.as_mut();
        let (old_motion, old_rect) = doubt.map(|d| (&mut d.motion, &mut d.seen_rect)).unzip();
        let motions = [
            Some(&mut self.motion),
            Some(&mut self.seen_motion),
            old_motion,
        ];
        for motion in motions.into_iter().flatten() {
            let (x, y) = warp.at(&motion.rect());
            motion.shift(x, y);
        }
        for rect in [Some(&mut self.seen_rect), old_rect].into_iter().flatten() {
            let (x, y) = warp.at(rect);
            rect.x += x;
            rect.y += y;
        }
    }

    /// The picture has another size and shows the same.
    pub fn rescale(&mut self, sx: f32, sy: f32) {
        let doubt = self.doubt.as_mut();
        let (old_motion, old_rect) = doubt.map(|d| (&mut d.motion, &mut d.seen_rect)).unzip();
        let motions = [
            Some(&mut self.motion),
            Some(&mut self.seen_motion),
            old_motion,
        ];
        for motion in motions.into_iter().flatten() {
            motion.rescale(sx, sy);
        }
        for rect in [Some(&mut self.seen_rect), old_rect].into_iter().flatten() {
            *rect = rect.scaled(sx, sy);
        }
    }

    /// Takes in the box seen in this frame.
    pub fn see(&mut self, observation: usize, sight: Sight<'_>, time_ns: u64) {
        self.doubt_appearance(&sight, time_ns);
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
        // A different appearance is not learnt, else a track would drift to the person who took its position.
        if let Some(embedding) = sight.embedding.filter(|_| sight.is_familiar) {
            match &mut self.appearance {
                Some(appearance) => appearance.update(embedding, sight.quality),
                None => self.appearance = Some(Appearance::new(embedding, sight.quality)),
            }
        }
    }

    /// Counts boxes whose appearance differs from the track's.
    fn doubt_appearance(&mut self, sight: &Sight<'_>, time_ns: u64) {
        match sight.agrees {
            None => {}
            Some(true) => self.doubt = None,
            Some(false) => {
                let doubt = self.doubt.get_or_insert_with(|| Doubt {
                    since_ns: time_ns,
                    sightings: 0,
                    motion: self.seen_motion.clone(),
                    seen_rect: self.seen_rect,
                    seen_ns: self.seen_ns,
                });
                doubt.sightings += 1;
            }
        }
    }

    /// True when the boxes had another appearance for so long that they are another person's.
    pub fn has_changed(&self, now_ns: u64) -> bool {
        self.doubt.as_ref().is_some_and(|d| {
            d.sightings >= CHANGED_SIGHTINGS && now_ns.saturating_sub(d.since_ns) >= CHANGED_NS
        })
    }

    /// Splits the track from the person who took its position: that person goes on as the track `id`, this track is lost where
    /// its appearance last matched.
    pub fn part(&mut self, id: TrackId, sight: Sight<'_>, now_ns: u64) -> Self {
        let mut other = Self {
            id,
            appearance: sight.embedding.map(|e| Appearance::new(e, sight.quality)),
            ..self.clone()
        };
        let Some(doubt) = self.doubt.take() else {
            return other;
        };
        other.doubt = None;
        other.first_ns = doubt.since_ns;
        other.hits = doubt.sightings;
        self.seen_motion = doubt.motion.clone();
        self.motion = doubt.motion;
        let unseen_ns = now_ns.saturating_sub(doubt.seen_ns);
        self.motion.predict(unseen_ns as f32 / 1e9, true);
        self.seen_rect = doubt.seen_rect;
        self.seen_ns = doubt.seen_ns;
        self.missed = doubt.sightings;
        self.observation = None;
        other
    }
}
