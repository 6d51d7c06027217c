//! The tracker against people whose truth is known.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::{
    embedding::{Embedding, ModelFingerprint},
    geometry::Rect,
    person::{TrackId, TrackState},
};

const FRAME: (f32, f32) = (1920.0, 1080.0);
const MODEL: ModelFingerprint = ModelFingerprint(7);

fn seen(rect: Rect, confidence: f32) -> Observation<'static> {
    Observation {
        rect,
        confidence,
        class: 0,
        embedding: None,
        quality: 1.0,
    }
}

fn ns(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// A unit vector that is this person's own.
fn looks(person: usize) -> Embedding {
    let mut raw = vec![0.3; 16];
    raw[person % 16] = 2.0;
    Embedding::normalised(&raw, MODEL).unwrap()
}

/// Where a walker is: start, velocity px/s, when.
fn walker(x: f32, y: f32, vx: f32, vy: f32, seconds: f64) -> Rect {
    let t = seconds as f32;
    Rect::new(x + vx * t, y + vy * t, 60.0, 160.0)
}

/// Runs `seconds` at `rate` frames a second; `people(t)` gives the boxes, `None` = hidden. Returns the distinct tracks
/// that each person had while confirmed.
fn run(
    config: TrackerConfig,
    rate: f64,
    seconds: f64,
    looks_too: bool,
    people: impl Fn(f64) -> Vec<Option<Rect>>,
) -> Vec<Vec<TrackId>> {
    let mut tracker = Tracker::new(config);
    let mut ids: Vec<Vec<TrackId>> = Vec::new();
    for frame in 0..(rate * seconds) as usize {
        let t = frame as f64 / rate;
        let boxes = people(t);
        ids.resize(boxes.len().max(ids.len()), Vec::new());
        let vectors: Vec<Embedding> = (0..boxes.len()).map(looks).collect();
        let present: Vec<(usize, Rect)> = boxes
            .iter()
            .enumerate()
            .filter_map(|(i, b)| b.map(|b| (i, b)))
            .collect();
        let observations: Vec<Observation<'_>> = present
            .iter()
            .map(|&(i, rect)| Observation {
                embedding: looks_too.then(|| &vectors[i]),
                ..seen(rect, 0.9)
            })
            .collect();
        for output in tracker.update(ns(t), FRAME, &observations) {
            let Some(observation) = output.observation else {
                continue;
            };
            let person = present[observation].0;
            if output.state == TrackState::Confirmed && !ids[person].contains(&output.track) {
                ids[person].push(output.track);
            }
        }
    }
    ids
}

fn check_one_track_each(ids: &[Vec<TrackId>]) {
    for (person, own) in ids.iter().enumerate() {
        assert_eq!(own.len(), 1, "person {person} had {own:?} of {ids:?}");
        assert!(
            ids.iter().enumerate().all(|(p, o)| p == person || o != own),
            "{ids:?}"
        );
    }
}

#[test]
fn walkers_keep_their_tracks_from_2_to_60_frames_a_second() {
    for rate in [2.0, 3.0, 5.0, 10.0, 15.0, 25.0, 30.0, 60.0] {
        // 1.4 m/s for people 1.7 m tall: 0.8 heights a second.
        let ids = run(TrackerConfig::default(), rate, 8.0, false, |t| {
            vec![
                Some(walker(100.0, 200.0, 130.0, 0.0, t)),
                Some(walker(1700.0, 500.0, -130.0, 0.0, t)),
                Some(walker(900.0, 800.0, 60.0, -10.0, t)),
            ]
        });
        check_one_track_each(&ids);
    }
}

#[test]
fn one_frame_a_second_still_confirms_and_follows_slow_people() {
    let ids = run(TrackerConfig::default(), 1.0, 12.0, true, |t| {
        vec![
            Some(walker(100.0, 200.0, 25.0, 0.0, t)),
            Some(walker(1500.0, 200.0, -25.0, 0.0, t)),
        ]
    });
    check_one_track_each(&ids);
}

#[test]
fn crossing_people_do_not_swap() {
    for looks_too in [false, true] {
        let ids = run(TrackerConfig::default(), 25.0, 8.0, looks_too, |t| {
            vec![
                Some(walker(300.0, 400.0, 120.0, 0.0, t)),
                Some(walker(1260.0, 410.0, -120.0, 0.0, t)),
            ]
        });
        check_one_track_each(&ids);
    }
}

#[test]
fn a_hidden_person_is_found_again() {
    let ids = run(TrackerConfig::default(), 25.0, 6.0, true, |t| {
        let hidden = (2.0..2.7).contains(&t);
        vec![(!hidden).then(|| walker(300.0, 400.0, 130.0, 0.0, t))]
    });
    check_one_track_each(&ids);
}

#[test]
fn dropped_frames_do_not_matter() {
    let mut tracker = Tracker::new(TrackerConfig::default());
    let mut ids = HashSet::new();
    // A camera at 25 frames a second that loses two of three frames in bursts.
    for frame in (0..200_u32).filter(|f| f % 25 < 10 || f % 3 == 0) {
        let t = f64::from(frame) / 25.0;
        let boxes = [seen(walker(200.0, 300.0, 120.0, 15.0, t), 0.8)];
        for output in tracker.update(ns(t), FRAME, &boxes) {
            ids.insert(output.track);
        }
    }
    assert_eq!(ids.len(), 1);
}

#[test]
fn tracks_are_numbered_from_one_and_confirmed_after_min_hits() {
    let mut tracker = Tracker::new(TrackerConfig {
        min_hits: 3,
        ..TrackerConfig::default()
    });
    for frame in 0..4_u32 {
        let out = tracker.update(
            ns(f64::from(frame) / 25.0),
            FRAME,
            &[seen(Rect::new(10.0, 10.0, 60.0, 160.0), 0.9)],
        );
        let expected = if frame < 2 {
            TrackState::Tentative
        } else {
            TrackState::Confirmed
        };
        assert_eq!(
            (out.len(), out[0].track, out[0].state),
            (1, TrackId(1), expected),
            "frame {frame}"
        );
    }
}

#[test]
fn frames_without_boxes_age_tracks_and_skipped_frames_do_not() {
    let rect = Rect::new(500.0, 300.0, 60.0, 160.0);
    let mut tracker = Tracker::new(TrackerConfig::default());
    for frame in 0..5_u32 {
        tracker.update(ns(f64::from(frame) / 25.0), FRAME, &[seen(rect, 0.9)]);
    }
    let coasting = tracker.coast(ns(0.2));
    assert_eq!((coasting.len(), coasting[0].missed), (1, 0));
    assert!(coasting[0].rect.iou(&rect) > 0.9);
    let missed = tracker.update(ns(0.24), FRAME, &[]);
    assert_eq!(
        (missed.len(), missed[0].missed, missed[0].observation),
        (1, 1, None)
    );
    assert!(tracker.update(ns(3.5), FRAME, &[]).is_empty());
    assert_eq!(tracker.take_ended(), [TrackId(1)]);
}

#[test]
fn time_that_runs_backwards_begins_a_new_scene_and_jitter_does_not() {
    let boxes = [seen(Rect::new(500.0, 300.0, 60.0, 160.0), 0.9)];
    let mut tracker = Tracker::new(TrackerConfig::default());
    for t in [100.0, 100.04, 100.03, 100.08, 100.12] {
        assert_eq!(tracker.update(ns(t), FRAME, &boxes)[0].track, TrackId(1));
    }
    assert_eq!(tracker.update(ns(3.0), FRAME, &boxes)[0].track, TrackId(2));
    assert_eq!(tracker.update(u64::MAX, FRAME, &boxes)[0].track, TrackId(3));
}

#[test]
fn a_flush_forgets_places_and_keeps_counting() {
    let boxes = [seen(Rect::new(500.0, 300.0, 60.0, 160.0), 0.9)];
    let mut tracker = Tracker::new(TrackerConfig::default());
    tracker.update(0, FRAME, &boxes);
    tracker.reset_motion();
    assert_eq!(tracker.take_ended(), [TrackId(1)]);
    assert_eq!(tracker.update(0, FRAME, &boxes)[0].track, TrackId(2));
}

#[test]
fn unusable_boxes_are_passed_over() {
    let mut tracker = Tracker::new(TrackerConfig::default());
    let nonsense = [
        seen(Rect::new(f32::NAN, 0.0, 10.0, 10.0), 0.9),
        seen(Rect::new(0.0, 0.0, f32::INFINITY, 10.0), 0.9),
        seen(Rect::new(0.0, 0.0, 0.0, 0.0), 0.9),
        seen(Rect::new(5000.0, 0.0, 10.0, 10.0), 0.9),
        seen(Rect::new(100.0, 100.0, 50.0, 100.0), f32::NAN),
    ];
    for frame in 0..5_u32 {
        assert!(
            tracker
                .update(ns(f64::from(frame) / 25.0), FRAME, &nonsense)
                .is_empty()
        );
    }
}

#[test]
fn a_thousand_people_in_a_frame_are_followed_and_limits_hold() {
    let crowd = |count: usize, t: f32| -> Vec<Observation<'static>> {
        (0..count)
            .map(|i| {
                let (column, row) = ((i % 50) as f32, (i / 50) as f32);
                seen(Rect::new(column * 38.0 + t, row * 25.0, 20.0, 40.0), 0.8)
            })
            .collect()
    };
    let mut tracker = Tracker::new(TrackerConfig::default());
    for frame in 0..5_u16 {
        let out = tracker.update(
            ns(f64::from(frame) / 25.0),
            FRAME,
            &crowd(1000, f32::from(frame)),
        );
        assert_eq!(out.iter().filter(|o| o.observation.is_some()).count(), 1000);
    }
    let out = tracker.update(ns(0.2), (1e6, 1e6), &crowd(10_000, 5.0));
    assert!(out.len() <= MAX_TRACKS);
}

#[test]
fn low_scores_keep_tracks_alive_and_begin_none() {
    let rect = Rect::new(500.0, 300.0, 60.0, 160.0);
    let mut tracker = Tracker::new(TrackerConfig {
        high_score: Some(0.5),
        ..TrackerConfig::default()
    });
    assert!(tracker.update(0, FRAME, &[seen(rect, 0.2)]).is_empty());
    for frame in 1..6_u32 {
        tracker.update(ns(f64::from(frame) / 25.0), FRAME, &[seen(rect, 0.9)]);
    }
    let out = tracker.update(ns(0.24), FRAME, &[seen(rect, 0.2)]);
    assert_eq!((out.len(), out[0].observation), (1, Some(0)));
}

#[test]
fn classes_do_not_mix() {
    let rect = Rect::new(500.0, 300.0, 60.0, 160.0);
    let mut tracker = Tracker::new(TrackerConfig::default());
    for frame in 0..5_u32 {
        tracker.update(ns(f64::from(frame) / 25.0), FRAME, &[seen(rect, 0.9)]);
    }
    let other = Observation {
        class: 1,
        ..seen(rect, 0.9)
    };
    let out = tracker.update(ns(0.2), FRAME, &[other]);
    assert!(out.iter().any(|o| o.track == TrackId(2) && o.class == 1));
}

#[test]
fn looks_tell_people_apart_where_motion_cannot() {
    // Two people meet, stop in each other's place for a second while the detector sees nobody, and go on.
    let ids = run(TrackerConfig::default(), 25.0, 6.0, true, |t| {
        let stopped = t.min(3.0);
        vec![
            Some(walker(500.0, 400.0, 60.0, 0.0, stopped)),
            Some(walker(860.0, 400.0, -60.0, 0.0, stopped)),
        ]
    });
    check_one_track_each(&ids);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// With appearance switched off, vectors change nothing.
    #[test]
    fn without_appearance_it_is_the_pure_motion_tracker(
        frames in proptest::collection::vec(
            proptest::collection::vec((0.0_f32..600.0, 0.0_f32..300.0, 0.05_f32..1.0, 0_usize..4), 0..8),
            1..30,
        )
    ) {
        let vectors: Vec<Embedding> = (0..4).map(looks).collect();
        let config = TrackerConfig { use_appearance: false, ..TrackerConfig::default() };
        let mut with = Tracker::new(config.clone());
        let mut without = Tracker::new(config);
        let mut default = Tracker::new(TrackerConfig::default());
        for (i, boxes) in frames.iter().enumerate() {
            let plain: Vec<Observation<'_>> =
                boxes.iter().map(|b| seen(Rect::new(b.0, b.1, 60.0, 160.0), b.2)).collect();
            let dressed: Vec<Observation<'_>> = plain
                .iter()
                .zip(boxes)
                .map(|(o, b)| Observation { embedding: Some(&vectors[b.3]), ..*o })
                .collect();
            let time = ns(i as f64 / 10.0);
            let expected = without.update(time, FRAME, &plain).to_vec();
            prop_assert_eq!(with.update(time, FRAME, &dressed), &expected[..]);
            // The default tracker, given no vectors, is the same too.
            prop_assert_eq!(default.update(time, FRAME, &plain), &expected[..]);
        }
    }

    /// Whatever comes, every observation has at most one track and every track at most one observation.
    #[test]
    fn tracks_and_boxes_are_one_to_one(
        frames in proptest::collection::vec(
            (0_u64..3_000_000_000, proptest::collection::vec((-100.0_f32..2000.0, -100.0_f32..1200.0, 0.0_f32..400.0, -0.5_f32..1.5), 0..12)),
            1..25,
        )
    ) {
        let mut tracker = Tracker::new(TrackerConfig::default());
        let mut time = 0;
        for (step, boxes) in &frames {
            time += step;
            let observations: Vec<Observation<'_>> =
                boxes.iter().map(|b| seen(Rect::new(b.0, b.1, b.2, b.2 * 2.0), b.3)).collect();
            let out = tracker.update(time, FRAME, &observations);
            let mut used = HashSet::new();
            let mut tracks = HashSet::new();
            for output in out {
                prop_assert!(output.rect.is_valid());
                prop_assert!(tracks.insert(output.track));
                if let Some(observation) = output.observation {
                    prop_assert!(observation < observations.len() && used.insert(observation));
                }
            }
        }
    }
}

/// A box that the picture's edges cut, as detectors give it; `None` of nothing in view.
fn cut(rect: Rect) -> Option<Rect> {
    let (left, right) = (rect.x.max(0.0), rect.right().min(FRAME.0));
    (right - left > 12.0).then(|| Rect::new(left, rect.y, right - left, rect.h))
}

#[test]
fn who_comes_in_where_another_left_is_another_at_any_rate() {
    for rate in [5.0, 10.0, 25.0] {
        for right in [false, true] {
            let mirror = |r: Rect| {
                if right {
                    Rect::new(FRAME.0 - r.right(), r.y, r.w, r.h)
                } else {
                    r
                }
            };
            // Somebody walks out; half a second after the last of them was seen somebody else comes in there.
            let ids = run(TrackerConfig::default(), rate, 8.0, false, |t| {
                let out = cut(mirror(walker(200.0, 300.0, -80.0, 0.0, t)));
                let into = cut(mirror(walker(-60.0, 300.0, 80.0, 0.0, (t - 3.7).max(0.0))));
                vec![out.filter(|_| t < 3.4), into.filter(|_| t > 3.7)]
            });
            check_one_track_each(&ids);
            assert_ne!(ids[0], ids[1], "{rate} frames a second");
        }
    }
}

/// After how long, s, a walker who is seen for 2 s in pictures 0.02 s apart, and then no more, is no longer taken to be there.
fn shown_for(walk: impl Fn(f64) -> Rect) -> f64 {
    let mut tracker = Tracker::new(TrackerConfig::default());
    for frame in 0..100 {
        let rect = cut(walk(f64::from(frame) / 50.0)).unwrap();
        tracker.update(ns(f64::from(frame) / 50.0), FRAME, &[seen(rect, 0.9)]);
    }
    for frame in 100..200 {
        let outputs = tracker.update(ns(f64::from(frame) / 50.0), FRAME, &[]);
        assert_eq!(outputs.len(), 1, "it is still followed");
        if !outputs[0].present {
            return f64::from(frame - 100) / 50.0;
        }
        let there = walk(f64::from(frame) / 50.0);
        assert!(outputs[0].rect.iou(&there) > 0.8);
    }
    panic!("shown for ever");
}

#[test]
fn who_is_missed_is_there_for_a_fifth_of_a_second_and_who_leaves_is_not() {
    let stays = shown_for(|t| walker(800.0, 300.0, 100.0, 10.0, t));
    assert!((stays - 0.2).abs() < 0.03, "{stays}");
    let leaves = shown_for(|t| walker(160.0, 300.0, -90.0, 0.0, t));
    assert_eq!(leaves, 0.0);
}

#[test]
fn who_stands_at_the_edge_and_is_missed_for_a_second_keeps_the_track() {
    let ids = run(TrackerConfig::default(), 10.0, 6.0, false, |t| {
        let stands = cut(Rect::new(-20.0, 300.0, 60.0, 160.0));
        vec![stands.filter(|_| !(3.0..4.0).contains(&t))]
    });
    check_one_track_each(&ids);
}

#[test]
fn half_a_box_in_a_whole_one_begins_no_track_but_a_child_beside_does() {
    let mut tracker = Tracker::new(TrackerConfig::default());
    let people = |t: f64| -> Vec<Rect> {
        let walk = |i: usize| {
            let foot = 500.0 + 100.0 * i as f32 + 20.0 * (t + i as f64).sin() as f32;
            let height = 0.5 * (foot - 200.0);
            Rect::new(
                200.0 + 300.0 * i as f32,
                foot - height,
                0.4 * height,
                height,
            )
        };
        (0..5).map(walk).collect()
    };
    let mut tracks = 0;
    for frame in 0..100 {
        let t = f64::from(frame) / 10.0;
        let whole = people(t);
        let mut boxes: Vec<Observation<'_>> = whole.iter().map(|r| seen(*r, 0.8)).collect();
        if t > 5.0 {
            let r = whole[2];
            boxes.push(seen(Rect::new(r.x, r.y, r.w, 0.5 * r.h), 0.78));
        }
        if t > 7.0 {
            let r = whole[3];
            boxes.push(seen(
                Rect::new(r.right() + 60.0, r.y + 0.4 * r.h, 0.6 * r.w, 0.6 * r.h),
                0.8,
            ));
        }
        let seen = tracker.update(ns(t), FRAME, &boxes);
        tracks = seen.iter().filter(|o| o.observation.is_some()).count();
        assert!(tracks <= if t > 7.0 { 6 } else { 5 }, "{t}");
    }
    assert_eq!(tracks, 6, "the child is followed");
}

#[test]
fn a_jump_in_time_does_not_count_as_a_frame_rate() {
    let interval = |times: &[u64]| {
        let mut tracker = Tracker::new(TrackerConfig::default());
        for &ms in times {
            tracker.update(ms * 1_000_000, FRAME, &[]);
        }
        (tracker.interval_ns / 1e6).round()
    };
    // In mid-stream, and after the first frame (preroll).
    let times = |jump_at: u64| -> Vec<u64> {
        let jump = |i| if i >= jump_at { 2_500 } else { 0 };
        (0..12).map(|i| i * 40 + jump(i)).collect()
    };
    assert_eq!(interval(&times(9)), 40.0);
    assert_eq!(interval(&times(1)), 40.0);
    // A rate that really changes does, within a few frames.
    let slower: Vec<u64> = (0..10)
        .map(|i| i * 40)
        .chain((0..30).map(|i| 400 + i * 500))
        .collect();
    assert!(interval(&slower) > 400.0);
}
