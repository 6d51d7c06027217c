//! One track: a box that is followed, how it moves, what it looks like and where it is in its life.

use super::{camera::Warp, motion::Motion};
use crate::{
    embedding::{Embedding, ModelFingerprint, dot},
    geometry::Rect,
    person::{TrackId, TrackState},
};

/// How much of the old appearance stays when a perfect crop arrives (BoT-SORT and FairMOT, `alpha = 0.9`).
const APPEARANCE_MEMORY: f32 = 0.9;
/// Most of the mean that one crop replaces.
const MOST_NEW: f32 = 0.2;
/// Looks are firm once crops of so much quality stand behind them: five good ones.
const FIRM_WEIGHT: f32 = 4.0;

/// Looks have changed for good after this many sightings in a row …
const CHANGED_SIGHTINGS: u32 = 3;
/// … over this time, ns.
const CHANGED_NS: u64 = 200_000_000;

/// A box this near to the picture's edge, as a part of the picture's longer side, may be cut by it.
pub(super) const EDGE: f32 = 0.01;
/// Who moves outwards there by this part of their height a second or more is leaving: a walk is 0.4 to 0.8, half of which is
/// left of a box that is cut.
const LEAVING_PACE: f32 = 0.2;

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
    /// When it was last seen the picture's edge cut it, and it was on its way out.
    pub leaves: bool,
    /// Set while its boxes look like somebody else.
    doubt: Option<Doubt>,
    /// Set while matching: the observation of this frame.
    pub observation: Option<usize>,
}

/// Since when a track's boxes look like somebody else, and where it was before.
#[derive(Clone, Debug)]
struct Doubt {
    since_ns: u64,
    sightings: u32,
    motion: Motion,
    seen_rect: Rect,
    seen_ns: u64,
}

/// What a track looks like: a running mean of its crops' vectors, better crops counting more.
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

    /// True when so much was seen that other looks are another person's: whoever comes in shows a part at first.
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
    /// Whether it looks like the track, where that can be told.
    pub agrees: Option<bool>,
    /// Whether its looks are the track's, as far as can be told.
    pub is_familiar: bool,
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
        self.doubt_looks(&sight, time_ns);
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
        // What looks otherwise is not learnt, else a track would turn into whoever took its place.
        if let Some(embedding) = sight.embedding.filter(|_| sight.is_familiar) {
            match &mut self.appearance {
                Some(appearance) => appearance.update(embedding, sight.quality),
                None => self.appearance = Some(Appearance::new(embedding, sight.quality)),
            }
        }
    }

    /// Notes whether the box of this frame, not yet taken in, looks like the track.
    fn doubt_looks(&mut self, sight: &Sight<'_>, time_ns: u64) {
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

    /// True when the boxes have looked like somebody else for so long that they are somebody else's.
    pub fn has_changed(&self, now_ns: u64) -> bool {
        self.doubt.as_ref().is_some_and(|d| {
            d.sightings >= CHANGED_SIGHTINGS && now_ns.saturating_sub(d.since_ns) >= CHANGED_NS
        })
    }

    /// Parts from whoever took its place: that one goes on as the track `id`, this one is lost where it last looked like
    /// itself.
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
