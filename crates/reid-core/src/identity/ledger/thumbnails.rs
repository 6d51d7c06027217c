//! One small picture of each person, for whoever keeps the gallery: which crops are worth having, and whose they are
//! when numbers become one. Nothing is decided by them.

use std::{collections::BTreeMap, sync::Arc};

use crate::identity::{CameraId, Gallery, Part, visit::TrackKey};
use crate::{
    person::{IdentityId, TrackId},
    thumbnail::Thumbnail,
};

/// Most pictures that wait to be written, 24 KiB each; beyond, none is wanted.
pub const MAX_THUMBNAILS: usize = 256;
/// Crops below this quality show too little.
const MIN_QUALITY: f32 = 0.3;
/// A crop is worth taking when it is so many times better than the last one that was.
const BETTER: f32 = 1.1;

/// A picture as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedThumbnail {
    /// The camera that it came from.
    pub camera: Arc<str>,
    /// The identity under which it was taken.
    pub origin: IdentityId,
    /// How good the crop is, 0..=1.
    pub quality: f32,
    /// The picture.
    pub picture: Thumbnail,
}

/// Pictures that wait to be written, and how good the best one of each person was.
#[derive(Clone, Debug, Default)]
pub(in crate::identity) struct Thumbnails {
    waiting: BTreeMap<IdentityId, SavedThumbnail>,
    best: BTreeMap<IdentityId, Best>,
}

/// The best picture of a person that was taken here, also where it is written by now.
#[derive(Clone, Debug)]
struct Best {
    quality: f32,
    camera: Arc<str>,
    origin: IdentityId,
    track: Option<TrackKey>,
}

impl Thumbnails {
    pub fn wants(&self, id: IdentityId, quality: f32) -> bool {
        let best = self.best.get(&id);
        let best = best.map_or(MIN_QUALITY, |best| best.quality * BETTER);
        let has_room = self.waiting.len() < MAX_THUMBNAILS || self.waiting.contains_key(&id);
        has_room && quality >= best
    }

    /// Keeps the better one of what waits and `thumbnail`.
    pub fn offer(&mut self, id: IdentityId, thumbnail: SavedThumbnail, track: Option<TrackKey>) {
        let best = Best {
            quality: thumbnail.quality,
            camera: thumbnail.camera.clone(),
            origin: thumbnail.origin,
            track,
        };
        self.take_best(id, best);
        let waiting = self.waiting.get(&id);
        if waiting.is_none_or(|other| other.quality <= thumbnail.quality) {
            self.waiting.insert(id, thumbnail);
        }
    }

    fn take_best(&mut self, id: IdentityId, best: Best) {
        let known = self.best.get(&id);
        if known.is_none_or(|known| known.quality <= best.quality) {
            self.best.insert(id, best);
        }
    }

    pub fn merged(&mut self, from: IdentityId, into: IdentityId) {
        let best = self.best.remove(&from);
        if let Some(thumbnail) = self.waiting.remove(&from) {
            let track = best.as_ref().and_then(|best| best.track);
            self.offer(into, thumbnail, track);
        }
        if let Some(best) = best {
            self.take_best(into, best);
        }
    }

    /// The picture goes with the part that it shows.
    pub fn moved(&mut self, from: IdentityId, into: IdentityId, part: &Part) {
        let goes = self.best.get(&from).is_some_and(|best| match part {
            Part::Camera(name) => best.camera == *name,
            Part::Origin(origin) => best.origin == *origin,
            Part::Picture => true,
        });
        if goes {
            self.merged(from, into);
        }
    }

    /// Whether the best picture of a person was taken of this track.
    pub fn shows(&self, id: IdentityId, track: TrackKey) -> bool {
        self.best
            .get(&id)
            .is_some_and(|best| best.track == Some(track))
    }

    pub fn drop_person(&mut self, id: IdentityId) {
        self.waiting.remove(&id);
        self.best.remove(&id);
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes out those of people whom `is_kept` lets through.
    pub fn take(
        &mut self,
        is_kept: impl Fn(IdentityId) -> bool,
    ) -> Vec<(IdentityId, SavedThumbnail)> {
        let all = std::mem::take(&mut self.waiting).into_iter();
        let (taken, waiting): (Vec<_>, Vec<_>) = all.partition(|(id, _)| is_kept(*id));
        self.waiting = waiting.into_iter().collect();
        taken
    }
}

impl Gallery {
    /// Whether a picture of this quality of whoever is on this track should be taken. Only people with looks have one,
    /// and only where somebody keeps the gallery.
    pub fn wants_thumbnail(&self, camera: CameraId, track: TrackId, quality: f32) -> bool {
        let carried = self.bindings.get(&TrackKey { camera, track });
        let (Some(journal), Some(id)) = (&self.journal, carried.and_then(|b| b.identity)) else {
            return false;
        };
        journal.thumbnails.wants(id, quality) && self.spaces.iter().any(|s| s.rows_of(id) > 0)
    }

    /// Takes in a picture of whoever is on this track by now.
    pub fn keep_thumbnail(
        &mut self,
        camera: CameraId,
        track: TrackId,
        quality: f32,
        picture: Thumbnail,
    ) {
        let key = TrackKey { camera, track };
        let carried = self.bindings.get(&key);
        let Some(origin) = carried.and_then(|b| b.identity) else {
            return;
        };
        let camera = self.names.name(camera);
        if let Some(journal) = &mut self.journal {
            let thumbnail = SavedThumbnail {
                camera,
                origin,
                quality,
                picture,
            };
            journal.thumbnails.offer(origin, thumbnail, Some(key));
        }
    }
}
