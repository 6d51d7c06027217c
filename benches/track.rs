//! Tracking and recognising 20 people of a frame against a gallery of 1,000 with eight vectors each (aim: ≤ 150 µs), and
//! what a look-up in that gallery costs when all 20 are new to the camera.

use criterion::{Criterion, criterion_group, criterion_main};
use gstreid::core::{
    embedding::{Embedding, ModelFingerprint},
    geometry::Rect,
    identity::{CameraId, Gallery, GalleryConfig, ROWS, Sighting},
    person::{TrackId, TrackState},
    quality::crop_quality,
    tracking::{Observation, Tracker, TrackerConfig},
};
use std::hint::black_box;

const DIMENSION: usize = 512;
const KNOWN: u32 = 1000;
const PEOPLE: usize = 20;
const FRAME: (f32, f32) = (1920.0, 1080.0);
const FRAME_NS: u64 = 40_000_000;

/// Deterministic noise, -1..1.
fn noise(seed: u64, i: usize) -> f32 {
    let mut x =
        seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (i as u64).wrapping_mul(0xD134_2543_DE82_EF95);
    x ^= x >> 31;
    x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^= x >> 29;
    (x >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
}

/// One of the looks of a person: their own direction, and that of a side of theirs.
fn looks(person: u32, side: usize) -> Embedding {
    let raw: Vec<f32> = (0..DIMENSION)
        .map(|i| {
            noise(u64::from(person), i) + 0.5 * noise(u64::from(person) * 31 + 1 + side as u64, i)
        })
        .collect();
    Embedding::normalised(&raw, ModelFingerprint(1)).expect("noise is not zero")
}

fn place(person: usize, frame: u64) -> Rect {
    let (column, row) = ((person % 10) as f32, (person / 10) as f32);
    // There and back again, 1 px a frame.
    let sway = (frame % 100).abs_diff(50) as f32;
    Rect::new(
        20.0 + column * 185.0 + sway,
        100.0 + row * 480.0,
        80.0,
        220.0,
    )
}

/// Shows the gallery 1,000 people, each from eight sides.
fn gallery() -> (Gallery, CameraId) {
    let mut gallery = Gallery::new(GalleryConfig::default());
    let camera = gallery.attach("past", true);
    let mut time_ns = 0;
    for person in 0..KNOWN {
        // A dozen crops of each side: what is alike from one moment to the next is one row.
        for crop in 0..(ROWS + 1) * 12 {
            time_ns += 100_000_000;
            let embedding = looks(person, crop / 12);
            let sighting = Sighting {
                track: TrackId(person + 1),
                confirmed: true,
                rect: place(0, 0),
                embedding: Some(&embedding),
                quality: 0.9,
            };
            gallery.observe(camera, time_ns, &[sighting], &[]);
        }
        gallery.observe(camera, time_ns, &[], &[TrackId(person + 1)]);
    }
    let rows: usize = gallery.list().iter().map(|p| p.rows).sum();
    assert!(rows > KNOWN as usize * (ROWS - 1), "{rows} rows");
    (gallery, camera)
}

/// One frame of 20 people.
fn step(
    tracker: &mut Tracker,
    gallery: &mut Gallery,
    camera: CameraId,
    frame: u64,
    embeddings: &[Embedding],
) -> usize {
    let rects: Vec<Rect> = (0..PEOPLE).map(|p| place(p, frame)).collect();
    let observations: Vec<Observation<'_>> = rects
        .iter()
        .zip(embeddings)
        .map(|(rect, embedding)| Observation {
            rect: *rect,
            confidence: 0.8,
            class: 0,
            embedding: Some(embedding),
            quality: crop_quality(rect, 0.8, FRAME, rects.iter().filter(|r| *r != rect)),
        })
        .collect();
    let sightings: Vec<Sighting<'_>> = tracker
        .update(frame * FRAME_NS, FRAME, &observations)
        .iter()
        .filter(|o| o.state == TrackState::Confirmed)
        .filter_map(|o| {
            let seen = &observations[o.observation?];
            Some(Sighting {
                track: o.track,
                confirmed: true,
                rect: seen.rect,
                embedding: seen.embedding,
                quality: seen.quality,
            })
        })
        .collect();
    let ended = tracker.take_ended();
    gallery
        .observe(
            camera,
            10_000_000_000_000 + frame * FRAME_NS,
            &sightings,
            &ended,
        )
        .identities
        .len()
}

fn bench(c: &mut Criterion) {
    let (mut gallery, _) = gallery();
    let embeddings: Vec<Embedding> = (0..PEOPLE as u32).map(|p| looks(p * 40, 3)).collect();
    let camera = gallery.attach("now", true);
    let mut tracker = Tracker::new(TrackerConfig::default());
    let mut frame = 0;
    for _ in 0..50 {
        step(&mut tracker, &mut gallery, camera, frame, &embeddings);
        frame += 1;
    }
    c.bench_function("track and match 20 people, 1,000 known × 8 × 512", |b| {
        b.iter(|| {
            frame += 1;
            black_box(step(&mut tracker, &mut gallery, camera, frame, &embeddings))
        })
    });
    let motion = TrackerConfig {
        use_appearance: false,
        ..TrackerConfig::default()
    };
    let mut tracker = Tracker::new(motion);
    let rects: Vec<Observation<'_>> = (0..PEOPLE)
        .map(|p| Observation {
            rect: place(p, 0),
            confidence: 0.8,
            class: 0,
            embedding: None,
            quality: 1.0,
        })
        .collect();
    let mut time = 0;
    c.bench_function("track 20 people by motion", |b| {
        b.iter(|| {
            time += FRAME_NS;
            black_box(tracker.update(time, FRAME, &rects).len())
        })
    });
    let dressed: Vec<Observation<'_>> = rects
        .iter()
        .zip(&embeddings)
        .map(|(seen, embedding)| Observation {
            embedding: Some(embedding),
            ..*seen
        })
        .collect();
    let mut tracker = Tracker::new(TrackerConfig::default());
    c.bench_function("track 20 people by motion and looks of 512", |b| {
        b.iter(|| {
            time += FRAME_NS;
            black_box(tracker.update(time, FRAME, &dressed).len())
        })
    });
    let mut track = 1000;
    c.bench_function("look up 20 new tracks, 1,000 known × 8 × 512", |b| {
        b.iter(|| {
            let sightings: Vec<Sighting<'_>> = embeddings
                .iter()
                .enumerate()
                .map(|(i, embedding)| Sighting {
                    track: TrackId(track + i as u32),
                    confirmed: true,
                    rect: place(i, 0),
                    embedding: Some(embedding),
                    quality: 0.9,
                })
                .collect();
            let ended: Vec<TrackId> = sightings.iter().map(|s| s.track).collect();
            let found = gallery
                .observe(camera, u64::MAX / 2, &sightings, &[])
                .identities
                .len();
            gallery.observe(camera, u64::MAX / 2, &[], &ended);
            track += 100;
            black_box(found)
        })
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
