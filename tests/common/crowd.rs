//! People shown straight to a kept gallery, without pictures.
#![allow(dead_code)] // each test program uses a part

use std::sync::Arc;

use gstreid::{
    core::{
        embedding::{Embedding, ModelFingerprint},
        geometry::Rect,
        identity::{CameraId, GalleryConfig, Sighting},
        person::TrackId,
    },
    store::{
        Location, StoreError,
        registry::{self, SharedGallery},
    },
};

/// Numbers in a vector.
pub const DIMENSION: usize = 128;
/// The model that all vectors here are said to come from.
pub const MODEL: ModelFingerprint = ModelFingerprint(77);
const FRAME_NS: u64 = 40_000_000;

/// Small deterministic noise: xorshift, -1..1.
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    /// A whole number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        (((f64::from(self.next()) + 1.0) / 2.0 * end as f64) as u64).min(end - 1)
    }
}

/// A crop of `person`: a vector of their own, and a little noise.
pub fn looks(person: u64, noise: &mut Noise) -> Embedding {
    let mut own = Noise(0x9E37_79B9_7F4A_7C15 ^ (person + 1).wrapping_mul(0xD134_2543_DE82_EF95));
    (0..8).for_each(|_| {
        own.next();
    });
    let raw: Vec<f32> = (0..DIMENSION)
        .map(|_| own.next() + 0.2 * noise.next())
        .collect();
    Embedding::normalised(&raw, MODEL).unwrap()
}

/// A camera of a gallery; its time is that of its frames.
pub struct Camera {
    pub gallery: Arc<SharedGallery>,
    id: CameraId,
    frames: u64,
    track: u32,
    /// Who is in the picture, and the track of the first.
    present: (Vec<u64>, u32),
    noise: Noise,
}

impl Camera {
    /// A camera of the gallery that is kept at `location`.
    pub fn open(location: &Location, name: &str) -> Result<Self, StoreError> {
        Self::with(location, name, GalleryConfig::default())
    }

    pub fn with(
        location: &Location,
        name: &str,
        config: GalleryConfig,
    ) -> Result<Self, StoreError> {
        let gallery = registry::open("", location, config)?;
        let id = gallery.lock().attach(name, true);
        let seed = name
            .bytes()
            .fold(7, |seed, byte| seed * 31 + u64::from(byte));
        Ok(Self {
            gallery,
            id,
            frames: 0,
            track: 0,
            present: (Vec::new(), 1),
            noise: Noise(seed),
        })
    }

    /// One frame of people; each carries the track `first + position`. Their numbers.
    pub fn frame(&mut self, people: &[u64], first: u32) -> Vec<u32> {
        let vectors: Vec<Embedding> = people.iter().map(|&p| looks(p, &mut self.noise)).collect();
        let sightings: Vec<Sighting<'_>> = vectors
            .iter()
            .enumerate()
            .map(|(i, vector)| Sighting {
                track: TrackId(first + i as u32),
                rect: Rect::new(200.0 * i as f32, 0.0, 80.0, 200.0),
                embedding: Some(vector),
                quality: 0.9,
                confirmed: true,
            })
            .collect();
        self.frames += 1;
        let time_ns = self.frames * FRAME_NS;
        let decision = self
            .gallery
            .lock()
            .observe(self.id, time_ns, &sightings, &[]);
        decision
            .identities
            .iter()
            .map(|i| i.as_ref().map_or(0, |i| i.id.0))
            .collect()
    }

    /// People who come, stay for some frames and go. Their numbers in the last frame.
    pub fn visit(&mut self, people: &[u64], frames: usize) -> Vec<u32> {
        let found = self.arrive(people, frames);
        self.leave();
        found
    }

    /// People who come and stay, on tracks of their own. Their numbers after some frames.
    pub fn arrive(&mut self, people: &[u64], frames: usize) -> Vec<u32> {
        let first = self.track + 1;
        self.track += people.len() as u32;
        self.present = (people.to_vec(), first);
        let mut found = Vec::new();
        for _ in 0..frames {
            found = self.frame(people, first);
        }
        found
    }

    /// One more frame of those who stayed.
    pub fn stay(&mut self) -> Vec<u32> {
        let (people, first) = self.present.clone();
        self.frame(&people, first)
    }

    /// They go.
    pub fn leave(&mut self) {
        let ended: Vec<TrackId> = (self.present.1..=self.track).map(TrackId).collect();
        self.gallery.lock().observe(self.id, 0, &[], &ended);
        self.present.0.clear();
    }

    /// Nobody in the picture, for so many frames.
    pub fn pass(&mut self, frames: u64) {
        self.frames += frames;
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.gallery.lock().detach(self.id);
    }
}
