//! Galleries of many people and long runs.
//!
//!     cargo bench --bench scale -- tracks 1000000 10000   so many tracks through a gallery of so many people: CSV of
//!                                                         resident memory and look-up time; no number may return
//!     cargo bench --bench scale -- people 100000          one gallery of so many: memory, look-up time, who is recognised
//!     cargo bench --bench scale -- cameras 64 20 20       so many cameras with so many people in view each, ten frames a second for
//!                                                         so many seconds: how long frames hold the gallery's lock and wait for it
//!
//! Without arguments all in small. People are directions of 512 numbers with a part in common (two strangers score 0.4);
//! each has eight sides.

use gstreid::core::{
    embedding::{Embedding, ModelFingerprint},
    geometry::Rect,
    identity::{
        CameraId, Event, Gallery, GalleryConfig, ROWS, Saved, SavedPerson, SavedRow, Sighting,
    },
    person::{IdentityId, TrackId},
};
use std::{
    hint::black_box,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

const DIMENSION: usize = 512;
const MODEL: ModelFingerprint = ModelFingerprint(1);
/// Frames of a visit, ten a second.
const VISIT: u64 = 5;
const FRAME_NS: u64 = 100_000_000;
/// People who are looked for in a large gallery, and as many who are not in it.
const PROBES: u32 = 200;

/// Deterministic noise, -1..1 (splitmix64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }
}

/// A crop of one side of a person: what everybody has, the person's own, the side's own, and the moment's.
fn crop(person: u32, side: u64, moment: u64) -> Embedding {
    let (mut common, mut own) = (Noise(7), Noise(0x1000_0000_0000 | u64::from(person)));
    let mut sided = Noise((u64::from(person) << 20) | (side << 4) | 1);
    let mut passing = Noise((u64::from(person) << 36) ^ (moment << 8) ^ 0x55);
    let raw: Vec<f32> = (0..DIMENSION)
        .map(|_| 0.82 * common.next() + own.next() + 0.35 * sided.next() + 0.3 * passing.next())
        .collect();
    Embedding::normalised(&raw, MODEL).expect("noise is not zero")
}

/// Resident memory of this process, MiB; 0 where the system does not tell.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS:"));
    let kib = line.and_then(|l| l.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// One person walks past a camera. What happened, how long the gallery took for the first frame, and the number at last.
fn visit(
    gallery: &mut Gallery,
    camera: CameraId,
    track: u32,
    person: u32,
    time_ns: &mut u64,
) -> (Vec<Event>, Duration, Option<IdentityId>) {
    let (mut events, mut first, mut last) = (Vec::new(), Duration::ZERO, None);
    for frame in 0..VISIT {
        *time_ns += FRAME_NS;
        let embedding = crop(
            person,
            u64::from(track) % 8,
            u64::from(track) * VISIT + frame,
        );
        let sighting = Sighting {
            track: TrackId(track),
            confirmed: true,
            rect: Rect::new(100.0, 100.0, 80.0, 220.0),
            embedding: Some(&embedding),
            quality: 0.9,
        };
        let begun = Instant::now();
        let decision = gallery.observe(camera, *time_ns, &[sighting], &[]);
        if frame == 0 {
            first = begun.elapsed();
        }
        last = decision.identities[0].as_ref().map(|i| i.id);
        events.extend(decision.events);
    }
    *time_ns += FRAME_NS;
    events.extend(
        gallery
            .observe(camera, *time_ns, &[], &[TrackId(track)])
            .events,
    );
    (events, first, last)
}

/// Shows the gallery some people side by side, so that it knows what strangers score.
fn acquaint(gallery: &mut Gallery, time_ns: &mut u64) {
    let camera = gallery.attach("entrance", true);
    for moment in 0..100 {
        *time_ns += FRAME_NS;
        let crops: Vec<Embedding> = (0..8).map(|p| crop(u32::MAX - p, 0, moment)).collect();
        let seen: Vec<Sighting<'_>> = crops
            .iter()
            .enumerate()
            .map(|(i, embedding)| Sighting {
                track: TrackId(i as u32 + 1),
                confirmed: true,
                rect: Rect::new(150.0 * i as f32, 100.0, 80.0, 220.0),
                embedding: Some(embedding),
                quality: 0.9,
            })
            .collect();
        gallery.observe(camera, *time_ns, &seen, &[]);
    }
    gallery.detach(camera);
}

/// `tracks` visits of people, twice as many as the gallery holds, in changing order.
fn tracks(tracks: u32, capacity: usize) {
    let config = GalleryConfig {
        max_identities: capacity,
        ..GalleryConfig::default()
    };
    let mut gallery = Gallery::new(config);
    let mut time_ns = 0;
    acquaint(&mut gallery, &mut time_ns);
    let camera = gallery.attach("walk", true);
    let (mut order, mut newest) = (Noise(99), 0_u32);
    let (mut spent, mut recognised) = (Vec::new(), 0_u32);
    println!("tracks,people,resident MiB,first look us,recognised,highest number");
    for track in 1..=tracks {
        let among = capacity as f32;
        let person = ((order.next() + 1.0) * among) as u32;
        let (events, first, _) = visit(&mut gallery, camera, track, person, &mut time_ns);
        spent.push(first);
        for event in events {
            match event {
                Event::New { id, .. } => {
                    assert!(id.0 > newest, "{id} was given before");
                    newest = id.0;
                }
                Event::Matched { .. } => recognised += 1,
                _ => {}
            }
        }
        if track % (tracks / 50).max(1) == 0 {
            spent.sort_unstable();
            let median_us = spent[spent.len() / 2].as_secs_f64() * 1e6;
            let mib = resident_mib();
            println!(
                "{track},{},{mib:.1},{median_us:.1},{recognised},{newest}",
                gallery.len()
            );
            (spent, recognised) = (Vec::new(), 0);
        }
    }
    assert!(gallery.len() <= capacity, "{} people", gallery.len());
}

/// A gallery of `people` with eight rows each: who of them is recognised, who else is, and how long a look-up takes.
fn people(people: u32) {
    let before = resident_mib();
    let config = GalleryConfig {
        max_identities: people as usize + 10_000,
        ..GalleryConfig::default()
    };
    let mut gallery = Gallery::new(config);
    let mut time_ns = 0;
    acquaint(&mut gallery, &mut time_ns);
    // In parts, so that what is handed over does not weigh on the measurement.
    for part in (0..people).step_by(1000) {
        let known = (part..people.min(part + 1000)).map(|p| SavedPerson {
            id: IdentityId(1000 + p),
            name: None,
            previous: [].into(),
            apart: Vec::new(),
            first_ns: 1,
            last_ns: 1,
            rows: (0..ROWS as u64)
                .map(|side| SavedRow {
                    camera: "past".into(),
                    origin: IdentityId(1000 + p),
                    weight: 5.0,
                    vector: crop(p, side, side),
                })
                .collect(),
            is_new: false,
        });
        let saved = Saved {
            people: known.collect(),
            scales: Vec::new(),
            next_number: Some(1000 + people),
        };
        gallery.restore(saved, 1);
    }
    let mib = resident_mib() - before;
    let camera = gallery.attach("now", true);
    let (mut spent, mut right, mut wrong, mut mistaken) = (Vec::new(), 0, 0, 0);
    for probe in 0..PROBES {
        let person = (u64::from(probe) * u64::from(people) / u64::from(PROBES)) as u32;
        let (_, first, last) = visit(&mut gallery, camera, 2 * probe + 1, person, &mut time_ns);
        spent.push(first);
        match last {
            Some(id) if id.0 == 1000 + person => right += 1,
            Some(id) if id.0 < 1000 + people => wrong += 1,
            _ => {}
        }
        let (_, first, last) = visit(
            &mut gallery,
            camera,
            2 * probe + 2,
            people + probe,
            &mut time_ns,
        );
        spent.push(first);
        mistaken += u32::from(last.is_some_and(|id| (1000..1000 + people).contains(&id.0)));
    }
    spent.sort_unstable();
    println!(
        "{people} people x {ROWS} x {DIMENSION}: {mib:.0} MiB; first look {:.2} ms (median); of {PROBES} known {right} \
         recognised, {wrong} taken for somebody else; of {PROBES} unknown {mistaken} taken for somebody known",
        spent[spent.len() / 2].as_secs_f64() * 1e3,
    );
    black_box(gallery);
}

/// How long a frame waited for the gallery, and how long it held it.
type Taken = (Duration, Duration);

/// One camera: `people` in view at a time, each for six to 46 seconds, then somebody new.
fn watch(
    gallery: &Mutex<Gallery>,
    number: u32,
    people: u32,
    frames: u64,
    start: Instant,
) -> Vec<Taken> {
    let camera = {
        let mut gallery = gallery.lock().expect("no camera has panicked");
        gallery.attach(&format!("camera {number}"), true)
    };
    let stays = |place: u32| 60 + u64::from(place * 97 + number * 31) % 400;
    let person = |place: u32, frame: u64| {
        let visit = (frame / stays(place)) as u32;
        (visit, number * 100_000 + place * 1_000 + visit)
    };
    let mut sides: Vec<(u32, Vec<Embedding>)> = Vec::new();
    let (mut taken, mut ended) = (Vec::new(), Vec::new());
    for frame in 0..frames {
        let due = start + Duration::from_nanos(frame * FRAME_NS + u64::from(number) * 1_500_000);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        sides.resize_with(people as usize, || (u32::MAX, Vec::new()));
        for place in 0..people {
            let (_, now) = person(place, frame);
            let (before, crops) = &mut sides[place as usize];
            if *before != now {
                ended.extend((*before != u32::MAX).then_some(TrackId(*before)));
                *crops = (0..4).map(|side| crop(now, side, side)).collect();
                *before = now;
            }
        }
        let seen = sides
            .iter()
            .enumerate()
            .map(|(place, (now, crops))| Sighting {
                track: TrackId(*now),
                confirmed: true,
                rect: Rect::new(90.0 * place as f32, 100.0, 80.0, 220.0),
                // As `reidembed` does: about a vector a second once a person is known.
                embedding: Some(&crops[frame as usize % 4])
                    .filter(|_| (frame + place as u64).is_multiple_of(8)),
                quality: 0.9,
            });
        let seen: Vec<Sighting<'_>> = seen.collect();
        let asked = Instant::now();
        let mut gallery = gallery.lock().expect("no camera has panicked");
        let got = Instant::now();
        gallery.observe(camera, (frame + 1) * FRAME_NS, &seen, &ended);
        drop(gallery);
        taken.push((got - asked, got.elapsed()));
        ended.clear();
    }
    taken
}

/// Cameras that share nobody, on one gallery, each in a thread of its own.
fn cameras(cameras: u32, people: u32, seconds: u64) {
    let mut gallery = Gallery::new(GalleryConfig::default());
    let mut time_ns = 0;
    acquaint(&mut gallery, &mut time_ns);
    let gallery = Arc::new(Mutex::new(gallery));
    let start = Instant::now() + Duration::from_millis(500);
    let threads: Vec<_> = (0..cameras)
        .map(|number| {
            let gallery = gallery.clone();
            thread::spawn(move || watch(&gallery, number, people, seconds * 10, start))
        })
        .collect();
    let taken = threads
        .into_iter()
        .flat_map(|thread| thread.join().expect("a camera"));
    let (mut waits, mut holds): (Vec<Duration>, Vec<Duration>) = taken.unzip();
    let took = start.elapsed().as_secs_f64();
    let ms = |sorted: &[Duration], part: f64| {
        sorted[(part * (sorted.len() - 1) as f64) as usize].as_secs_f64() * 1e3
    };
    let all: f64 = holds.iter().map(Duration::as_secs_f64).sum();
    waits.sort_unstable();
    holds.sort_unstable();
    println!(
        "{cameras} cameras x {people} people, {seconds} s in {took:.1} s: held {:.2} ms median, {:.2} ms at 99 %, {:.0} % of the          time; waited {:.2} ms median, {:.1} ms at 95 %, {:.1} ms at 99 %, {:.1} ms at most; {} people",
        ms(&holds, 0.5),
        ms(&holds, 0.99),
        100.0 * all / took,
        ms(&waits, 0.5),
        ms(&waits, 0.95),
        ms(&waits, 0.99),
        ms(&waits, 1.0),
        gallery.lock().expect("no camera has panicked").len(),
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let number = |i: usize| arguments.get(i).and_then(|a| a.parse().ok());
    match arguments.first().map(String::as_str) {
        Some("tracks") => tracks(
            number(1).unwrap_or(1_000_000),
            number(2).unwrap_or(10_000) as usize,
        ),
        Some("people") => people(number(1).unwrap_or(100_000)),
        Some("cameras") => cameras(
            number(1).unwrap_or(64),
            number(2).unwrap_or(20),
            number(3).unwrap_or(20).into(),
        ),
        _ => {
            tracks(5_000, 500);
            people(5_000);
            cameras(4, 5, 3);
        }
    }
}
