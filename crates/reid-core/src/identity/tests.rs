//! The gallery against people whose truth is known.
//!
//! Long because these are the scenes in which the whole gallery is tried.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::{
    embedding::ModelFingerprint,
    person::{IdentityState, TrackId},
};

const MODEL: ModelFingerprint = ModelFingerprint(1);
const OTHER_MODEL: ModelFingerprint = ModelFingerprint(2);
const DIMENSION: usize = 64;
/// 25 frames a second.
const FRAME_NS: u64 = 40_000_000;

/// Small deterministic noise: xorshift, -1..1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }
}

/// A crop of `person` by an embedder whose strangers score about `strangers`: a common direction, the person's own,
/// and noise of `wobble`.
fn crop(person: u64, strangers: f32, wobble: f32, noise: &mut Noise) -> Embedding {
    let mut own = Noise(0x9E37_79B9_7F4A_7C15 ^ (person + 1).wrapping_mul(0xD134_2543_DE82_EF95));
    (0..8).for_each(|_| {
        own.next();
    });
    let unit = (1.0 / DIMENSION as f32).sqrt() * 1.7;
    let raw: Vec<f32> = (0..DIMENSION)
        .map(|i| {
            let common = if i == 0 { strangers.sqrt() } else { 0.0 };
            common + (1.0 - strangers).sqrt() * unit * own.next() + wobble * unit * noise.next()
        })
        .collect();
    Embedding::normalised(&raw, MODEL).unwrap()
}

fn place(i: usize) -> Rect {
    Rect::new(200.0 * i as f32, 100.0, 80.0, 200.0)
}

/// Somebody confirmed whose looks nobody knows, in the track's own place.
pub(super) fn faceless(track: u32) -> Sighting<'static> {
    Sighting {
        track: TrackId(track),
        confirmed: true,
        rect: place(track as usize),
        embedding: None,
        quality: 0.9,
    }
}

/// One frame: who (track, embedding) is visible.
fn frame(
    gallery: &mut Gallery,
    camera: CameraId,
    time_ns: u64,
    people: &[(u32, Option<Embedding>)],
) -> Decision {
    let sightings: Vec<Sighting<'_>> = people
        .iter()
        .enumerate()
        .map(|(i, (track, embedding))| Sighting {
            track: TrackId(*track),
            confirmed: true,
            rect: place(i),
            embedding: embedding.as_ref(),
            quality: 0.9,
        })
        .collect();
    gallery.observe(camera, time_ns, &sightings, &[])
}

fn ids(decision: &Decision) -> Vec<u32> {
    decision
        .identities
        .iter()
        .map(|i| i.as_ref().map_or(0, |i| i.id.0))
        .collect()
}

fn end(gallery: &mut Gallery, camera: CameraId, time_ns: u64, tracks: &[u32]) -> Vec<Event> {
    let ended: Vec<TrackId> = tracks.iter().copied().map(TrackId).collect();
    gallery.observe(camera, time_ns, &[], &ended).events
}

#[test]
fn the_same_people_get_the_same_numbers_on_another_camera_whatever_the_embedder() {
    for strangers in [0.0, 0.3, 0.6, 0.8] {
        let mut noise = Noise(42);
        let mut gallery = Gallery::new(GalleryConfig::default());
        let (door, hall) = (gallery.attach("door", true), gallery.attach("hall", true));
        let mut seen = Vec::new();
        let mut again = Vec::new();
        for n in 0..50_u64 {
            let people = |noise: &mut Noise, from: u32| -> Vec<(u32, Option<Embedding>)> {
                (0..4)
                    .map(|p| {
                        (
                            from + p,
                            Some(crop(
                                u64::from(p),
                                strangers,
                                0.4 * (1.0 - strangers),
                                noise,
                            )),
                        )
                    })
                    .collect()
            };
            seen = ids(&frame(
                &mut gallery,
                door,
                n * FRAME_NS,
                &people(&mut noise, 1),
            ));
            if n > 25 {
                again = ids(&frame(
                    &mut gallery,
                    hall,
                    n * FRAME_NS,
                    &people(&mut noise, 1),
                ));
            }
        }
        assert_eq!(seen, again, "strangers at {strangers}");
        assert_eq!(gallery.len(), 4, "strangers at {strangers}");
    }
}

#[test]
fn two_people_of_one_frame_never_share_a_number_even_when_they_look_alike() {
    let mut noise = Noise(7);
    let mut gallery = Gallery::new(GalleryConfig::default());
    let camera = gallery.attach("door", true);
    for n in 0..100 {
        let twin = |noise: &mut Noise| Some(crop(1, 0.3, 0.05, noise));
        let people = [
            (1, twin(&mut noise)),
            (2, twin(&mut noise)),
            (3, twin(&mut noise)),
        ];
        let mut found = ids(&frame(&mut gallery, camera, n * FRAME_NS, &people));
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 3, "frame {n}");
    }
}

#[test]
fn somebody_who_comes_back_is_recognised_and_told() {
    let mut noise = Noise(3);
    let mut gallery = Gallery::new(GalleryConfig::default());
    let camera = gallery.attach("door", true);
    let mut events = Vec::new();
    for n in 0..30 {
        events.extend(
            frame(
                &mut gallery,
                camera,
                n * FRAME_NS,
                &[(1, Some(crop(5, 0.3, 0.3, &mut noise)))],
            )
            .events,
        );
    }
    let id = IdentityId(1);
    assert_eq!(
        events,
        [Event::New {
            id,
            track: TrackId(1),
            pending: false
        }]
    );
    assert_eq!(
        end(&mut gallery, camera, 31 * FRAME_NS, &[1]),
        [Event::Lost { id }]
    );
    let decision = frame(
        &mut gallery,
        camera,
        100 * FRAME_NS,
        &[(2, Some(crop(5, 0.3, 0.3, &mut noise)))],
    );
    let identity = decision.identities[0].clone().unwrap();
    assert_eq!((identity.id, identity.state), (id, IdentityState::Matched));
    assert!(identity.score > 0.5 && matches!(decision.events[..], [Event::Matched { .. }]));
}

#[test]
fn a_vector_finds_its_person_and_a_match_says_against_whom_it_was_decided() {
    let mut noise = Noise(11);
    let mut gallery = Gallery::new(GalleryConfig::default());
    let camera = gallery.attach("door", true);
    let who = |person: u64, noise: &mut Noise| Some(crop(person, 0.3, 0.2, noise));
    for n in 0..40 {
        let people: Vec<_> = (0..5)
            .map(|p| (p + 1, who(u64::from(p), &mut noise)))
            .collect();
        frame(&mut gallery, camera, n * FRAME_NS, &people);
    }
    end(&mut gallery, camera, 41 * FRAME_NS, &[1, 2, 3, 4, 5]);
    for person in 0..5_u32 {
        let photo = who(u64::from(person), &mut noise).unwrap();
        let found = gallery.similar(&photo, 3);
        assert_eq!((found.len(), found[0].0), (3, IdentityId(person + 1)));
        assert!(found.is_sorted_by(|a, b| a.1 >= b.1), "{found:?}");
        assert!(found[0].1 > 0.8 && found[1].1 < 0.7, "{found:?}");
    }
    let raw: Vec<f32> = (0..DIMENSION).map(|i| i as f32).collect();
    let foreign = Embedding::normalised(&raw, OTHER_MODEL).unwrap();
    assert!(gallery.similar(&foreign, 3).is_empty());
    let alike = gallery.alike(IdentityId(2), 3);
    assert_eq!(alike.len(), 3);
    assert!(alike.iter().all(|(id, _)| *id != IdentityId(2)) && alike[0].1 < 0.7);
    let decision = frame(
        &mut gallery,
        camera,
        100 * FRAME_NS,
        &[(9, who(1, &mut noise))],
    );
    let [
        Event::Matched {
            id,
            margin,
            against: Some(other),
            ..
        },
    ] = decision.events[..]
    else {
        panic!("{:?}", decision.events);
    };
    assert!(id == IdentityId(2) && other != id && margin > 0.2);
}

#[test]
fn a_lost_track_that_returns_while_another_carries_its_number_gives_way() {
    let mut noise = Noise(3);
    let mut gallery = Gallery::new(GalleryConfig::default());
    let camera = gallery.attach("door", true);
    let who = |noise: &mut Noise| Some(crop(5, 0.3, 0.2, noise));
    for n in 0..30 {
        frame(&mut gallery, camera, n * FRAME_NS, &[(1, who(&mut noise))]);
    }
    let taken = frame(&mut gallery, camera, 31 * FRAME_NS, &[(2, who(&mut noise))]);
    assert_eq!(ids(&taken), [1]);
    let both = frame(
        &mut gallery,
        camera,
        32 * FRAME_NS,
        &[(1, who(&mut noise)), (2, who(&mut noise))],
    );
    assert_eq!(both.identities[1].as_ref().unwrap().id, IdentityId(1));
    assert_ne!(both.identities[0].as_ref().unwrap().id, IdentityId(1));
}

#[test]
fn without_looks_every_track_is_somebody_and_leaves_nothing_behind() {
    let mut gallery = Gallery::new(GalleryConfig::default());
    let blind = gallery.attach("door", false);
    let waiting = gallery.attach("hall", true);
    let state = |d: &Decision| d.identities[0].as_ref().unwrap().state;
    assert_eq!(
        state(&frame(&mut gallery, blind, 0, &[(1, None)])),
        IdentityState::New
    );
    assert_eq!(
        state(&frame(&mut gallery, waiting, 0, &[(1, None)])),
        IdentityState::Pending
    );
    let later = frame(&mut gallery, waiting, 2_000_000_000, &[(1, None)]);
    assert_eq!((ids(&later), state(&later)), (vec![2], IdentityState::New));
    end(&mut gallery, blind, 3_000_000_000, &[1]);
    end(&mut gallery, waiting, 3_000_000_000, &[1]);
    assert!(gallery.is_empty());
    assert_eq!(
        ids(&frame(&mut gallery, blind, 4_000_000_000, &[(2, None)])),
        [3]
    );
}

#[test]
fn a_gallery_smaller_than_the_people_in_view_does_not_collapse() {
    let mut noise = Noise(11);
    let mut gallery = Gallery::new(GalleryConfig {
        max_identities: 10,
        ..GalleryConfig::default()
    });
    let camera = gallery.attach("door", true);
    let mut first = Vec::new();
    for n in 0..50 {
        let people: Vec<(u32, Option<Embedding>)> = (0..20)
            .map(|p| (p + 1, Some(crop(u64::from(p), 0.3, 0.3, &mut noise))))
            .collect();
        let found = ids(&frame(&mut gallery, camera, n * FRAME_NS, &people));
        if n == 0 {
            first = found.clone();
        }
        assert_eq!(found, first, "frame {n}");
    }
    assert_eq!(gallery.len(), 20);
}

#[test]
fn the_least_recently_seen_leave_and_numbers_do_not_return() {
    let mut noise = Noise(13);
    let mut gallery = Gallery::new(GalleryConfig {
        max_identities: 5,
        ..GalleryConfig::default()
    });
    let camera = gallery.attach("door", true);
    let mut highest = 0;
    for person in 0..40_u32 {
        let time = u64::from(person) * 10 * FRAME_NS;
        let found = ids(&frame(
            &mut gallery,
            camera,
            time,
            &[(
                person + 1,
                Some(crop(u64::from(person), 0.0, 0.1, &mut noise)),
            )],
        ));
        assert!(found[0] > highest, "{found:?}");
        highest = found[0];
        end(&mut gallery, camera, time + FRAME_NS, &[person + 1]);
        assert!(gallery.len() <= 5);
    }
    let left: Vec<u32> = gallery.list().iter().map(|p| p.id.0).collect();
    assert_eq!(left, [36, 37, 38, 39, 40]);
}

#[test]
fn people_not_seen_for_too_long_leave() {
    let mut noise = Noise(13);
    let mut gallery = Gallery::new(GalleryConfig {
        max_age_ns: Some(1_000_000_000),
        ..GalleryConfig::default()
    });
    let camera = gallery.attach("door", true);
    frame(
        &mut gallery,
        camera,
        0,
        &[(1, Some(crop(1, 0.3, 0.1, &mut noise)))],
    );
    end(&mut gallery, camera, FRAME_NS, &[1]);
    assert_eq!(gallery.len(), 1);
    let events = end(&mut gallery, camera, 3_000_000_000, &[]);
    assert_eq!(
        (gallery.len(), events),
        (0, vec![Event::Left { id: IdentityId(1) }])
    );
}

#[test]
fn two_models_never_meet() {
    let mut gallery = Gallery::new(GalleryConfig::default());
    let (a, b) = (gallery.attach("a", true), gallery.attach("b", true));
    let raw: Vec<f32> = (0..DIMENSION).map(|i| (i as f32).sin()).collect();
    let one = Embedding::normalised(&raw, MODEL).unwrap();
    let other = Embedding::normalised(&raw, OTHER_MODEL).unwrap();
    assert_eq!(
        ids(&frame(&mut gallery, a, 0, &[(1, Some(one.clone()))])),
        [1]
    );
    assert_eq!(ids(&frame(&mut gallery, b, 0, &[(1, Some(other))])), [2]);
    let c = gallery.attach("c", true);
    assert_eq!(
        ids(&frame(&mut gallery, c, FRAME_NS, &[(1, Some(one))])),
        [1]
    );
    // More models than there is room for are followed without looks.
    for model in 3..20 {
        let vector = Embedding::normalised(&raw, ModelFingerprint(model)).unwrap();
        let camera = gallery.attach("d", true);
        assert_eq!(
            frame(&mut gallery, camera, FRAME_NS, &[(1, Some(vector))])
                .identities
                .len(),
            1
        );
    }
}

#[test]
fn users_can_rename_merge_split_and_forget() {
    let mut noise = Noise(17);
    let mut gallery = Gallery::new(GalleryConfig {
        match_threshold: Some(0.99),
        ..GalleryConfig::default()
    });
    let (door, hall) = (gallery.attach("door", true), gallery.attach("hall", true));
    for n in 0..20 {
        frame(
            &mut gallery,
            door,
            n * FRAME_NS,
            &[(1, Some(crop(1, 0.3, 0.2, &mut noise)))],
        );
        frame(
            &mut gallery,
            hall,
            n * FRAME_NS,
            &[(1, Some(crop(2, 0.3, 0.2, &mut noise)))],
        );
    }
    let (one, two) = (IdentityId(1), IdentityId(2));
    gallery.rename(one, "Ada").unwrap();
    assert_eq!(
        gallery.rename(IdentityId(9), "x"),
        Err(GalleryError::Unknown(IdentityId(9)))
    );
    assert_eq!(gallery.merge(one, one), Err(GalleryError::Same(one)));
    assert_eq!(
        gallery.merge(two, one).unwrap(),
        [Event::Merged {
            from: two,
            into: one
        }]
    );
    let carried = gallery.identity(hall, TrackId(1)).unwrap();
    assert_eq!(
        (carried.id, carried.name.as_deref(), &carried.previous[..]),
        (one, Some("Ada"), &[two][..])
    );
    let (new, _) = gallery.split(one, Some("hall")).unwrap();
    assert_eq!(new, IdentityId(3));
    assert_eq!(gallery.identity(hall, TrackId(1)).unwrap().id, new);
    assert_eq!(gallery.identity(door, TrackId(1)).unwrap().id, one);
    assert!(matches!(
        gallery.split(one, Some("nowhere")),
        Err(GalleryError::UnknownCamera(_))
    ));
    assert_eq!(gallery.forget(one).unwrap(), [Event::Left { id: one }]);
    assert_eq!(gallery.identity(door, TrackId(1)), None);
    let after = frame(
        &mut gallery,
        door,
        30 * FRAME_NS,
        &[(1, Some(crop(1, 0.3, 0.2, &mut noise)))],
    );
    assert_eq!(ids(&after), [4]);
}

#[test]
fn a_user_cannot_merge_two_people_of_one_picture() {
    let mut noise = Noise(19);
    let mut gallery = Gallery::new(GalleryConfig::default());
    let camera = gallery.attach("door", true);
    frame(
        &mut gallery,
        camera,
        0,
        &[
            (1, Some(crop(1, 0.3, 0.2, &mut noise))),
            (2, Some(crop(2, 0.3, 0.2, &mut noise))),
        ],
    );
    let (one, two) = (IdentityId(1), IdentityId(2));
    assert_eq!(
        gallery.merge(two, one),
        Err(GalleryError::SeenTogether(two, one))
    );
}

#[test]
fn memory_stays_flat_over_many_people() {
    let mut noise = Noise(23);
    let mut gallery = Gallery::new(GalleryConfig {
        max_identities: 50,
        ..GalleryConfig::default()
    });
    let camera = gallery.attach("door", true);
    for track in 1..3000_u32 {
        let time = u64::from(track) * FRAME_NS;
        frame(
            &mut gallery,
            camera,
            time,
            &[(track, Some(crop(u64::from(track), 0.2, 0.2, &mut noise)))],
        );
        end(&mut gallery, camera, time, &[track]);
        assert!(gallery.len() <= 50);
    }
}

/// Crops of an embedder that adds something of its own to everything a camera sees, and as much again that changes
/// from moment to moment in the same few ways for everybody.
fn biased(person: u64, camera: u64, noise: &mut Noise) -> Embedding {
    let direction = |label: u64| {
        let mut own =
            Noise(0x9E37_79B9_7F4A_7C15 ^ (label + 1).wrapping_mul(0xD134_2543_DE82_EF95));
        (0..8).for_each(|_| {
            own.next();
        });
        (0..DIMENSION).map(|_| own.next()).collect::<Vec<f32>>()
    };
    let (own, place) = (direction(person), direction(1000 + camera));
    let ways: Vec<Vec<f32>> = (0..4).map(|w| direction(2000 + w)).collect();
    let turns: Vec<f32> = ways.iter().map(|_| noise.next()).collect();
    let raw: Vec<f32> = (0..DIMENSION)
        .map(|i| {
            let changes: f32 = ways
                .iter()
                .zip(&turns)
                .map(|(way, turn)| way[i] * turn)
                .sum();
            own[i] + 0.8 * place[i] + 0.9 * changes + 0.5 * noise.next()
        })
        .collect();
    Embedding::normalised(&raw, MODEL).unwrap()
}

/// Shows `people` to all cameras in step, two frames a second; numbers by camera in the last frame, and what happened.
fn show(
    gallery: &mut Gallery,
    cameras: &[CameraId],
    people: u64,
    frames: std::ops::Range<u64>,
    noise: &mut Noise,
) -> (Vec<Vec<u32>>, Vec<Event>) {
    let mut events = Vec::new();
    let mut last = Vec::new();
    for n in frames {
        last.clear();
        for (c, &camera) in cameras.iter().enumerate() {
            let visible: Vec<(u32, Option<Embedding>)> = (0..people)
                .map(|p| (p as u32 + 1, Some(biased(p, c as u64, noise))))
                .collect();
            let decision = frame(gallery, camera, n * 500_000_000, &visible);
            last.push(ids(&decision));
            events.extend(decision.events);
        }
    }
    (last, events)
}

#[test]
fn people_whom_many_cameras_see_at_once_are_grouped_as_evidence_comes() {
    let mut noise = Noise(31);
    let mut gallery = Gallery::new(GalleryConfig::default());
    let cameras: Vec<CameraId> = (0..4)
        .map(|i| gallery.attach(&format!("c{i}"), true))
        .collect();
    let (first, _) = show(&mut gallery, &cameras, 12, 0..1, &mut noise);
    let (last, _) = show(&mut gallery, &cameras, 12, 1..16, &mut noise);
    let agree = |views: &[Vec<u32>]| {
        let same = |view: &Vec<u32>| view.iter().zip(&views[0]).filter(|(a, b)| a == b).count();
        views[1..].iter().map(same).sum::<usize>()
    };
    assert!(agree(&last) >= 34, "{last:?}");
    assert!(agree(&last) > agree(&first), "{first:?}");
    assert!(gallery.len() <= 14, "{}", gallery.len());
}

#[test]
fn cameras_that_are_said_to_see_one_place_agree_sooner() {
    let agree = |topology: Option<&str>| {
        let mut agreed = 0;
        for seed in 0..10 {
            let mut noise = Noise(101 + seed * 7919);
            let mut gallery = Gallery::new(GalleryConfig::default());
            if let Some(text) = topology {
                gallery.set_topology(Arc::new(topology::Topology::parse(text).unwrap()));
            }
            let cameras: Vec<CameraId> = (0..2)
                .map(|i| gallery.attach(&format!("c{i}"), true))
                .collect();
            let (views, _) = show(&mut gallery, &cameras, 8, 0..1, &mut noise);
            agreed += views[0]
                .iter()
                .zip(&views[1])
                .filter(|(a, b)| a == b)
                .count();
        }
        agreed
    };
    let (told, untold) = (
        agree(Some(
            "[[link]]\ncameras = [\"c0\", \"c1\"]\noverlap = true\n",
        )),
        agree(None),
    );
    assert!(told > untold, "{told} against {untold} of 80");
}

#[test]
fn a_wrong_merge_is_split_while_both_are_in_view_and_told() {
    let mut noise = Noise(37);
    let mut gallery = Gallery::new(GalleryConfig::default());
    let cameras: Vec<CameraId> = (0..3)
        .map(|i| gallery.attach(&format!("c{i}"), true))
        .collect();
    let (right, _) = show(&mut gallery, &cameras, 8, 0..12, &mut noise);
    // In the first camera two people change clothes, as it were: their tracks have been mixed up.
    let mut events = Vec::new();
    for n in 12..40_u64 {
        for (c, &camera) in cameras.iter().enumerate() {
            let visible: Vec<(u32, Option<Embedding>)> = (0..8_u64)
                .map(|p| {
                    let who = match (c, p) {
                        (0, 0) => 1,
                        (0, 1) => 0,
                        _ => p,
                    };
                    (p as u32 + 1, Some(biased(who, c as u64, &mut noise)))
                })
                .collect();
            events.extend(frame(&mut gallery, camera, n * 500_000_000, &visible).events);
        }
    }
    let carried = |track| gallery.identity(cameras[0], TrackId(track)).unwrap().id.0;
    assert_eq!((carried(1), carried(2)), (right[1][1], right[1][0]));
    let told = events.iter().any(|e| {
        matches!(e, Event::Corrected { camera, track: TrackId(1), from, .. } if &**camera == "c0" && from.0 == right[0][0])
    });
    assert!(told, "{events:?}");
}

#[test]
fn somebody_taken_for_another_at_the_door_is_told_apart() {
    let mut noise = Noise(43);
    let mut gallery = Gallery::new(GalleryConfig::default());
    let (door, hall) = (gallery.attach("door", true), gallery.attach("hall", true));
    let who = |person, noise: &mut Noise| Some(crop(person, 0.3, 0.2, noise));
    for n in 0..75 {
        let seen = [0, 1, 2].map(|p| (p as u32 + 1, who(p, &mut noise)));
        frame(&mut gallery, door, n * FRAME_NS, &seen);
    }
    end(&mut gallery, door, 75 * FRAME_NS, &[1, 2, 3]);
    // What is seen of somebody else at first could be anybody.
    let mut events = Vec::new();
    let mut numbers = Vec::new();
    for n in 100..400 {
        let person = if n < 104 { 0 } else { 5 };
        let seen = [(1, who(person, &mut noise))];
        let decision = frame(&mut gallery, hall, n * FRAME_NS, &seen);
        numbers.push(ids(&decision)[0]);
        events.extend(decision.events);
    }
    assert_eq!(numbers[15], 1, "taken for the one before");
    assert_ne!(numbers.last(), Some(&1), "and told apart: {events:?}");
    let split = events
        .iter()
        .any(|e| matches!(e, Event::Split { from, .. } if from.0 == 1));
    let corrected = events
        .iter()
        .any(|e| matches!(e, Event::Corrected { camera, from, .. } if &**camera == "hall" && from.0 == 1));
    assert!(split && corrected, "{events:?}");
    // The one before waits to be recognised, and leaves in turn like everybody whom nobody sees.
    let waits = gallery.resting.values().filter(|id| id.0 == 1).count();
    assert_eq!(waits, 1, "{:?}", gallery.resting);
    // The one before is still known.
    end(&mut gallery, hall, 400 * FRAME_NS, &[1]);
    let last = (0..20).map(|n| {
        ids(&frame(
            &mut gallery,
            hall,
            (500 + n) * FRAME_NS,
            &[(2, who(0, &mut noise))],
        ))
    });
    assert_eq!(last.last(), Some(vec![1]));
}

#[test]
fn what_a_user_has_merged_or_told_apart_stays_so() {
    let mut noise = Noise(47);
    let mut gallery = Gallery::new(GalleryConfig::default());
    let (door, hall) = (gallery.attach("door", true), gallery.attach("hall", true));
    let mut both = |gallery: &mut Gallery, frames: std::ops::Range<u64>| {
        let mut last = (0, 0);
        for n in frames {
            let (a, b) = (crop(0, 0.3, 0.2, &mut noise), crop(5, 0.3, 0.2, &mut noise));
            last.0 = ids(&frame(gallery, door, n * FRAME_NS, &[(1, Some(a))]))[0];
            last.1 = ids(&frame(gallery, hall, n * FRAME_NS, &[(1, Some(b))]))[0];
        }
        last
    };
    let (a, b) = both(&mut gallery, 0..50);
    assert_ne!(a, b);
    gallery.merge(IdentityId(b), IdentityId(a)).unwrap();
    assert_eq!(both(&mut gallery, 50..500), (a, a));

    let mut noise = Noise(53);
    let mut gallery = Gallery::new(GalleryConfig::default());
    let cameras: Vec<CameraId> = (0..4)
        .map(|i| gallery.attach(&format!("c{i}"), true))
        .collect();
    let (before, _) = show(&mut gallery, &cameras, 12, 0..16, &mut noise);
    assert_eq!(before[0][0], before[3][0], "{before:?}");
    let (new, _) = gallery.split(IdentityId(before[0][0]), Some("c3")).unwrap();
    let (after, _) = show(&mut gallery, &cameras, 12, 16..32, &mut noise);
    assert_eq!(
        (after[0][0], after[3][0]),
        (before[0][0], new.0),
        "{after:?}"
    );
}

#[test]
fn what_a_user_has_merged_stays_so_among_many_people() {
    let mut noise = Noise(59);
    let mut gallery = Gallery::new(GalleryConfig::default());
    let cameras: Vec<CameraId> = (0..3)
        .map(|i| gallery.attach(&format!("c{i}"), true))
        .collect();
    let corner = gallery.attach("corner", true);
    // Eight people whom three cameras see, and a ninth whom only the fourth does.
    let mut watch = |gallery: &mut Gallery, frames: std::ops::Range<u64>| {
        let mut ninth = 0;
        for n in frames {
            show(gallery, &cameras, 8, n..n + 1, &mut noise);
            let alone = [(1, Some(biased(33, 3, &mut noise)))];
            ninth = ids(&frame(gallery, corner, n * 500_000_000, &alone))[0];
        }
        ninth
    };
    let before = watch(&mut gallery, 0..16);
    let other = gallery.identity(cameras[0], TrackId(1)).unwrap().id;
    assert_ne!(before, other.0);
    gallery.merge(IdentityId(before), other).unwrap();
    assert_eq!(watch(&mut gallery, 16..48), other.0);
    for camera in cameras {
        assert_eq!(gallery.identity(camera, TrackId(1)).unwrap().id, other);
    }
}

/// Six people pass a door one after another for three seconds each. Returns their ids, in order, and the gallery's next moment.
fn passed(gallery: &mut Gallery, door: CameraId, noise: &mut Noise) -> (Vec<u32>, u64) {
    let mut given = Vec::new();
    for person in 0..6 {
        given.push(pass(gallery, door, person, noise, 100 * u64::from(person)).0);
    }
    (given, 600)
}

/// A person is alone before a camera for three seconds from this frame on, as the track of that number. Returns the id and what
/// happened when the visit ended.
fn pass(
    gallery: &mut Gallery,
    camera: CameraId,
    person: u32,
    noise: &mut Noise,
    from: u64,
) -> (u32, Vec<Event>) {
    let track = from as u32 + 1;
    let mut id = 0;
    for n in from..from + 75 {
        let seen = [(track, Some(crop(person.into(), 0.3, 0.3, noise)))];
        id = ids(&frame(gallery, camera, n * FRAME_NS, &seen))[0];
    }
    let events = end(gallery, camera, (from + 76) * FRAME_NS, &[track]);
    (id, events)
}

#[test]
fn a_wrong_merge_of_people_who_left_is_undone_and_told() {
    let mut noise = Noise(61);
    let mut gallery = Gallery::new(GalleryConfig::default());
    gallery.keep_journal();
    let (door, hall) = (gallery.attach("door", true), gallery.attach("hall", true));
    let (given, next) = passed(&mut gallery, door, &mut noise);
    assert_eq!(given, [1, 2, 3, 4, 5, 6]);
    // The second is taken for the first by mistake, and only the first has a name.
    gallery.unite(IdentityId(2), IdentityId(1));
    gallery.rename(IdentityId(1), "Ada").unwrap();
    gallery.take_changes(usize::MAX);
    // The first comes back: two visits of three are the first's.
    let (id, events) = pass(&mut gallery, hall, 0, &mut noise, next);
    assert_eq!(id, 1);
    let new = events.iter().find_map(|e| match e {
        Event::Split { from, into } if from.0 == 1 => Some(*into),
        _ => None,
    });
    let new = new.expect("the second is split off");
    let told = |e: &Event| {
        matches!(e, Event::Corrected { camera, track: TrackId(101), from, into }
            if &**camera == "door" && from.0 == 1 && *into == new)
    };
    assert!(events.iter().any(told), "{events:?}");
    // Both are as they should be, also for whoever keeps the gallery.
    let changes = gallery.take_changes(usize::MAX);
    let rows = |id| {
        changes
            .people
            .iter()
            .find(|p| p.id == id)
            .map(|p| p.rows.len())
    };
    assert_eq!((rows(IdentityId(1)), rows(new)), (Some(2), Some(1)));
    let name = |id| gallery.people[&id].name.clone();
    assert_eq!(
        (name(IdentityId(1)).as_deref(), name(new)),
        (Some("Ada"), None)
    );
    assert!(gallery.resting.values().any(|id| *id == new));
    // Who reads the former ids alone finds the second, too.
    let former = |id: IdentityId| gallery.people[&id].previous.to_vec();
    assert!(!former(IdentityId(1)).contains(&IdentityId(2)));
    assert_eq!(former(new), [IdentityId(2)]);
    assert_eq!(pass(&mut gallery, hall, 1, &mut noise, next + 100).0, new.0);
    assert_eq!(pass(&mut gallery, door, 0, &mut noise, next + 200).0, 1);
}

#[test]
fn what_a_user_has_merged_is_not_taken_apart_after_they_left() {
    let mut noise = Noise(61);
    let mut gallery = Gallery::new(GalleryConfig::default());
    let (door, hall) = (gallery.attach("door", true), gallery.attach("hall", true));
    let (_, next) = passed(&mut gallery, door, &mut noise);
    gallery.merge(IdentityId(2), IdentityId(1)).unwrap();
    let (id, events) = pass(&mut gallery, hall, 0, &mut noise, next);
    assert_eq!(id, 1);
    let is_split = |e: &Event| matches!(e, Event::Split { .. } | Event::Corrected { .. });
    assert!(!events.iter().any(is_split), "{events:?}");
}

#[test]
fn a_prior_of_the_model_reaches_the_gallery_before_and_after_its_first_vector() {
    use crate::scores::ScorePrior;
    let prior = ScorePrior {
        impostor_mean: 0.7,
        visit_impostors: (0.2, 0.1),
        ..ScorePrior::default()
    };
    let mut noise = Noise(3);
    for before in [true, false] {
        let mut gallery = Gallery::new(GalleryConfig::default());
        let door = gallery.attach("door", true);
        if before {
            gallery.expect_scores(MODEL, prior);
        }
        let seen = [(1, Some(crop(1, 0.3, 0.2, &mut noise)))];
        frame(&mut gallery, door, 0, &seen);
        gallery.expect_scores(MODEL, prior);
        gallery.expect_scores(OTHER_MODEL, ScorePrior::default());
        assert_eq!(gallery.spaces[0].scale.visit_impostors(), (0.2, 0.1));
        let scorer = |scale| super::scores::Scorer::new(scale, None);
        let default = crate::scores::ScoreScale::default();
        // The same score says less of a model whose impostors score more.
        let own = scorer(&gallery.spaces[0].scale).deviations(0.4);
        assert!(own < scorer(&default).deviations(0.4), "{own}");
    }
}

#[test]
fn people_of_two_full_rooms_are_not_taken_for_one_another() {
    for (elsewhere, seed) in [(1, 3_u64), (4, 5), (8, 7)] {
        let mut noise = Noise(59 + seed * 7919);
        let mut gallery = Gallery::new(GalleryConfig::default());
        let cameras: Vec<CameraId> = (0..3)
            .map(|i| gallery.attach(&format!("c{i}"), true))
            .collect();
        let corner = gallery.attach("corner", true);
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for n in 0..24 {
            here = show(&mut gallery, &cameras, 8, n..n + 1, &mut noise).0;
            let others: Vec<(u32, Option<Embedding>)> = (0..elsewhere)
                .map(|p| (p as u32 + 1, Some(biased(30 + p, 3, &mut noise))))
                .collect();
            there = ids(&frame(&mut gallery, corner, n * 500_000_000, &others));
        }
        let taken = there.iter().filter(|id| here.concat().contains(id));
        assert_eq!(taken.count(), 0, "{here:?} and {there:?}");
        let agree = here[0].iter().zip(&here[1]).filter(|(a, b)| a == b);
        assert!(agree.count() >= 7, "{here:?}");
    }
}

/// A crop of one of many people, who come in kinds: those of a kind wear much the same.
fn dressed(person: u64, noise: &mut Noise) -> Embedding {
    look(person, 1.0, 0.7, noise)
}

/// Likewise, with so much of the person's own and so much noise beside the kind's.
fn look(person: u64, own_part: f32, wobble: f32, noise: &mut Noise) -> Embedding {
    let direction = |label: u64| {
        let mut own = Noise((label + 1).wrapping_mul(0xD134_2543_DE82_EF95));
        (0..8).for_each(|_| {
            own.next();
        });
        (0..DIMENSION).map(|_| own.next()).collect::<Vec<f32>>()
    };
    let kind = person.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60;
    let (kind, own) = (direction(5000 + kind), direction(9000 + person));
    let values = kind.iter().zip(&own);
    let raw: Vec<f32> = values
        .map(|(k, o)| 0.7 * k + own_part * o + wobble * noise.next())
        .collect();
    Embedding::normalised(&raw, MODEL).unwrap()
}

#[test]
fn strangers_all_day_are_new_and_those_who_come_back_are_known() {
    let mut noise = Noise(71);
    let mut gallery = Gallery::new(GalleryConfig::default());
    let (door, hall) = (gallery.attach("door", true), gallery.attach("hall", true));
    let mut owner: HashMap<u32, u64> = HashMap::new();
    let (mut taken, mut again, mut right) = (0, 0, 0);
    for pair in 0..150_u64 {
        // Two come in together, two seconds long; one of them walks on into the hall.
        let couple = [2 * pair, 2 * pair + 1];
        let begins = pair * 10_000_000_000;
        let tracks = couple.map(|p| p as u32);
        let mut numbers = Vec::new();
        for n in 0..10 {
            let seen = couple.map(|p| (p as u32, Some(dressed(p, &mut noise))));
            numbers = ids(&frame(&mut gallery, door, begins + n * 200_000_000, &seen));
        }
        end(&mut gallery, door, begins + 2_000_000_000, &tracks);
        for (person, number) in couple.iter().zip(&numbers) {
            taken += u32::from(*owner.entry(*number).or_insert(*person) != *person);
        }
        for n in 25..35 {
            let seen = [(tracks[0], Some(dressed(couple[0], &mut noise)))];
            numbers = ids(&frame(&mut gallery, hall, begins + n * 200_000_000, &seen));
        }
        end(&mut gallery, hall, begins + 7_000_000_000, &tracks[..1]);
        again += 1;
        right += u32::from(owner.get(&numbers[0]) == Some(&couple[0]));
    }
    assert!(taken <= 24, "{taken} of 300 strangers taken for somebody");
    assert!(
        right * 10 >= again * 9,
        "{right} of {again} known again, {taken} strangers taken"
    );
}

#[test]
fn nobody_is_in_two_places_or_faster_than_people_walk() {
    let text = "[[link]]\ncameras = [\"door\", \"yard\"]\nmin-seconds = 8\nmax-seconds = 60\n";
    // Appears in the yard so many seconds after leaving the door: known there?
    // The topology may be said before the cameras come or afterwards.
    for (after_s, known, is_said_first) in [
        (3, false, true),
        (3, false, false),
        (20, true, true),
        (90, false, true),
        (90, false, false),
    ] {
        let mut noise = Noise(41);
        let mut gallery = Gallery::new(GalleryConfig::default());
        let topology = std::sync::Arc::new(topology::Topology::parse(text).unwrap());
        if is_said_first {
            gallery.set_topology(topology.clone());
        }
        let (door, yard) = (gallery.attach("door", true), gallery.attach("yard", true));
        gallery.set_topology(topology);
        let who = |noise: &mut Noise| Some(crop(5, 0.3, 0.2, noise));
        for n in 0..50 {
            frame(&mut gallery, door, n * FRAME_NS, &[(1, who(&mut noise))]);
        }
        end(&mut gallery, door, 50 * FRAME_NS, &[1]);
        let arrives = 50 * FRAME_NS + after_s * 1_000_000_000;
        let mut last = None;
        for n in 0..30 {
            let seen = [(1, who(&mut noise))];
            last = frame(&mut gallery, yard, arrives + n * FRAME_NS, &seen)
                .identities
                .remove(0);
        }
        let identity = last.unwrap();
        assert_eq!(identity.id.0 == 1, known, "after {after_s} s");
        let evidence = identity
            .evidence
            .map(|seen| (seen.camera.to_string(), seen.time_ns));
        assert_eq!(evidence, known.then(|| ("door".to_owned(), 49 * FRAME_NS)));
    }
}

/// Where a camera sees whoever walks a circle on a hall's floor: cameras stand around it.
fn in_hall(camera: usize, person: u64, seconds: f32) -> Rect {
    let turn = 0.4 * seconds + 2.4 * person as f32;
    let radius = 1.0 + 0.3 * (person % 5) as f32;
    let seen_from = turn + camera as f32;
    let (across, far) = (radius * seen_from.cos(), 5.0 + radius * seen_from.sin());
    let height = 600.0 / far;
    Rect::new(
        600.0 + 900.0 * across / far - 0.2 * height,
        200.0 + 1000.0 / far - height,
        0.4 * height,
        height,
    )
}

#[test]
fn the_same_frames_give_the_same_decisions() {
    // Six cameras of one hall that is never empty; people look alike, and are more than the gallery may know.
    let run = || {
        let mut noise = Noise(83);
        let mut gallery = Gallery::new(GalleryConfig {
            max_identities: 12,
            ..GalleryConfig::default()
        });
        let cameras = ["a", "b", "c", "d", "e", "f"].map(|name| gallery.attach(name, true));
        let present = |n: u64| (0..8).map(move |seat| seat + 8 * ((n + 5 * seat) / 40));
        let track = |person: u64| TrackId(person as u32 + 1);
        let mut told = String::new();
        for n in 0..150_u64 {
            let before = present(n.saturating_sub(1));
            let left: Vec<TrackId> = before
                .filter(|p| present(n).all(|q| q != *p))
                .map(track)
                .collect();
            for (c, &camera) in cameras.iter().enumerate() {
                let seen: Vec<(u64, Embedding)> = present(n)
                    .map(|p| (p, look(p, 0.3, 1.2, &mut noise)))
                    .collect();
                let sightings: Vec<Sighting<'_>> = seen
                    .iter()
                    .map(|(person, look)| Sighting {
                        track: track(*person),
                        confirmed: true,
                        rect: in_hall(c, *person, n as f32 / 5.0),
                        embedding: Some(look),
                        quality: 0.9,
                    })
                    .collect();
                let decision = gallery.observe(camera, n * 200_000_000, &sightings, &left);
                told += &format!("{decision:?}\n");
            }
        }
        (told, format!("{:?}", gallery.list()))
    };
    let first = run();
    for what in ["New", "Merged", "Corrected", "Left"] {
        assert!(first.0.contains(&format!("{what} {{")), "{what}");
    }
    for _ in 0..3 {
        assert!(run() == first, "the same frames, other decisions");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever comes: everybody visible carries a number, no two of a frame the same, none beyond 31 bits, and a track
    /// changes its number only with an event.
    #[test]
    fn the_promises_hold(
        frames in proptest::collection::vec(
            (0_usize..3, proptest::collection::btree_map(1_u32..6, (0_u64..4, proptest::bool::weighted(0.8)), 0..5), proptest::bool::weighted(0.2)),
            1..60,
        )
    ) {
        let mut noise = Noise(29);
        let mut gallery = Gallery::new(GalleryConfig { max_identities: 6, max_age_ns: Some(400_000_000), ..GalleryConfig::default() });
        let cameras: Vec<CameraId> = (0..3).map(|i| gallery.attach(&format!("c{i}"), true)).collect();
        let mut before = std::collections::HashMap::new();
        let mut announced = std::collections::HashSet::new();
        for (n, (camera, people, ends)) in frames.iter().enumerate() {
            let camera = cameras[*camera];
            let visible: Vec<(u32, Option<Embedding>)> = people
                .iter()
                .map(|(&track, &(person, described))| (track, described.then(|| crop(person, 0.4, 0.4, &mut noise))))
                .collect();
            let decision = frame(&mut gallery, camera, n as u64 * FRAME_NS, &visible);
            let found = ids(&decision);
            let changed = |e: &Event| match e {
                Event::Merged { from, .. } | Event::Split { from, .. } | Event::Corrected { from, .. } => Some(from.0),
                _ => None,
            };
            announced.extend(decision.events.iter().filter_map(changed));
            let distinct: std::collections::HashSet<u32> = found.iter().copied().collect();
            prop_assert_eq!(distinct.len(), found.len());
            prop_assert!(found.iter().all(|&id| (1..=MAX_NUMBER).contains(&id)));
            for ((track, _), id) in visible.iter().zip(&found) {
                let old = before.insert((camera, *track), *id);
                if let Some(old) = old.filter(|old| old != id) {
                    let told = decision.events.iter().any(|e| match e {
                        Event::New { id: new, .. } | Event::Matched { id: new, .. } => new.0 == *id,
                        _ => false,
                    });
                    prop_assert!(told || announced.contains(&old) || gallery.list().iter().all(|p| p.id.0 != old), "{} to {}: {:?}", old, id, decision.events);
                }
            }
            if *ends {
                let tracks: Vec<u32> = people.keys().copied().collect();
                let events = end(&mut gallery, camera, n as u64 * FRAME_NS, &tracks);
                announced.extend(events.iter().filter_map(changed));
                for track in tracks {
                    before.remove(&(camera, track));
                }
            }
        }
    }
}
