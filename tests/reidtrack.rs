//! `reidtrack` as an element: shared galleries, flush, end, restart, limits, signals and bad input.

#[path = "common/events.rs"]
mod events;
#[path = "common/tracked.rs"]
mod tracked;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use gst::prelude::*;
use gstreid::{
    core::{
        geometry::Rect,
        person::{IdentityState, Person, TrackState},
    },
    media::PeopleMeta,
};
use tracked::{Camera, FRAME_MS, ids, init, person};

#[test]
fn tentative_people_carry_a_track_and_confirmed_ones_an_identity() {
    let mut camera = Camera::new("reidtrack min-hits=3");
    for frame in 0..5 {
        let people = camera.frames(1, &[0, 1], true);
        let state = people[0].track.unwrap().state;
        let confirmed = state == TrackState::Confirmed;
        assert_eq!(confirmed, frame >= 2, "frame {frame}");
        assert!(people.iter().all(|p| p.identity.is_some() == confirmed));
    }
}

#[test]
fn two_cameras_of_one_gallery_give_the_same_person_the_same_number() {
    let mut door = Camera::new("reidtrack gallery=test-two camera=door");
    let mut hall = Camera::new("reidtrack gallery=test-two camera=hall");
    let first = door.frames(10, &[0, 1, 2], true);
    let second = hall.frames(10, &[2, 0, 1], true);
    let (first, second) = (ids(&first), ids(&second));
    assert_eq!(second, [first[2], first[0], first[1]]);
    let mut elsewhere = Camera::new("reidtrack");
    let matched = elsewhere.frames(5, &[0], true);
    assert_eq!(
        matched[0].identity.as_ref().unwrap().state,
        IdentityState::New
    );
}

#[test]
fn a_flush_drops_tracks_and_keeps_people() {
    let mut camera = Camera::new("reidtrack");
    let before = camera.frames(10, &[0, 1], true);
    events::flush(&mut camera.harness);
    let first = camera.frames(1, &[0, 1], true);
    assert_eq!(first[0].track.unwrap().state, TrackState::Tentative);
    let after = camera.frames(5, &[0, 1], true);
    assert_eq!(ids(&before), ids(&after));
    assert_ne!(before[0].track.unwrap().id, after[0].track.unwrap().id);
}

#[test]
fn a_new_stream_begins_new_tracks_and_people_are_known_again() {
    let mut camera = Camera::new("reidtrack");
    let before = camera.frames(10, &[0], true);
    assert!(
        camera
            .harness
            .push_event(gst::event::StreamStart::new("another"))
    );
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "GRAY8")
        .field("width", 640)
        .field("height", 480)
        .field("framerate", gst::Fraction::new(25, 1))
        .build();
    assert!(camera.harness.push_event(gst::event::Caps::new(&caps)));
    let segment = gst::FormattedSegment::<gst::format::Time>::new();
    assert!(
        camera
            .harness
            .push_event(gst::event::Segment::new(&segment))
    );
    let after = camera.frames(10, &[0], true);
    // Numbers of tracks go on while the element runs.
    assert!(after[0].track.unwrap().id > before[0].track.unwrap().id);
    assert_eq!(ids(&before), ids(&after));
}

#[test]
fn a_password_is_not_read_back() {
    init();
    let element = gst::ElementFactory::make("reidtrack").build().unwrap();
    let read = |uri: &str| {
        element.set_property("gallery-location", uri);
        element.property::<String>("gallery-location")
    };
    let open = "postgresql://camera@host/reid";
    assert_eq!(read(open), open);
    assert_eq!(read("sqlite:///tmp/a:b@c.db"), "sqlite:///tmp/a:b@c.db");
    let shown = read("postgresql://camera:open-sesame@host/reid?sslpassword=open-sesame");
    assert!(
        !shown.contains("open-sesame") && shown.contains("camera:…@host/reid"),
        "{shown}"
    );
    // Nor from a picture of the pipeline.
    let pipeline = gst::Pipeline::new();
    pipeline.add(&element).unwrap();
    let dot = pipeline.debug_to_dot_data(gst::DebugGraphDetails::all());
    assert!(
        dot.contains("gallery-location") && !dot.contains("open-sesame"),
        "{dot}"
    );
}

#[test]
fn a_match_threshold_that_means_nothing_is_an_error() {
    init();
    for (threshold, starts) in [(-1.0_f32, true), (0.0, true), (0.4, true), (-0.5, false)] {
        let element = gst::ElementFactory::make("reidtrack")
            .property("match-threshold", threshold)
            .build()
            .unwrap();
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        assert_eq!(
            element.set_state(gst::State::Paused).is_ok(),
            starts,
            "{threshold}"
        );
        if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error]) {
            let gst::MessageView::Error(error) = message.view() else {
                unreachable!("filtered")
            };
            let text = error.error().to_string();
            assert!(!starts && text.contains("match-threshold="), "{text}");
        }
        element.set_property("match-threshold", -0.25_f32);
        let kept = element.property::<f32>("match-threshold");
        assert_eq!(
            kept == threshold,
            starts,
            "a running stream keeps what it has"
        );
        element.set_state(gst::State::Null).unwrap();
        element.set_bus(None);
    }
}

#[test]
fn the_end_of_a_stream_tells_who_is_lost() {
    let mut camera = Camera::new("reidtrack");
    let lost = Arc::new(AtomicU32::new(0));
    let counter = lost.clone();
    camera.element().connect("identity-lost", false, move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        None
    });
    camera.frames(10, &[0, 1, 2], true);
    assert!(camera.harness.push_event(gst::event::Eos::new()));
    assert_eq!(lost.load(Ordering::Relaxed), 3);
}

#[test]
fn restarting_fifty_times_knows_people_and_does_not_grow() {
    let mut camera = Camera::new("reidtrack gallery=test-restart");
    let first = ids(&camera.frames(5, &[0, 1], true));
    for round in 0..50 {
        let element = camera.element();
        element.set_state(gst::State::Null).unwrap();
        element.set_state(gst::State::Playing).unwrap();
        camera
            .harness
            .set_src_caps_str("video/x-raw,format=GRAY8,width=640,height=480,framerate=25/1");
        let again = camera.frames(5, &[0, 1], true);
        assert_eq!(ids(&again), first, "round {round}");
        let stats: gst::Structure = element.property("stats");
        assert_eq!(stats.get::<u64>("identities"), Ok(2));
    }
}

#[test]
fn skipped_frames_carry_predicted_people() {
    let mut camera = Camera::new("reidtrack");
    let seen = camera.frames(5, &[0, 1], true);
    for n in 1..=20 {
        let skipped = camera.frame(None);
        assert_eq!(ids(&skipped), ids(&seen));
        assert!(skipped[0].rect.iou(&seen[0].rect) > 0.9);
        assert_eq!(unseen_ms(&skipped), [n * FRAME_MS; 2]);
    }
}

#[test]
fn who_is_missed_is_there_for_a_moment_longer() {
    let mut camera = Camera::new("reidtrack");
    let seen = camera.frames(5, &[0, 1], true);
    // 40 to 200 ms, whether the detector looked at the frame or not.
    for n in 1..=5 {
        let left = if n == 3 {
            camera.frame(None)
        } else {
            camera.frame(Some(vec![person(1, true)]))
        };
        let mut there = ids(&left);
        there.sort_unstable();
        assert_eq!(there, ids(&seen), "{n}");
        let missed = left
            .iter()
            .find(|p| ids(&[(*p).clone()]) == ids(&seen[..1]));
        let missed = missed.unwrap();
        assert_eq!(unseen_ms(std::slice::from_ref(missed)), [n * FRAME_MS]);
        assert!(missed.rect.iou(&seen[0].rect) > 0.9 && missed.embedding.is_none());
    }
    // No longer shown, not yet forgotten.
    let after = camera.frame(Some(vec![person(1, true)]));
    assert_eq!(ids(&after), ids(&seen[1..]));
    assert_eq!(ids(&camera.frames(1, &[0, 1], true)), ids(&seen));
}

#[test]
fn predictions_say_in_regions_that_nobody_was_seen() {
    let mut camera = Camera::new("reidtrack");
    camera.frames(5, &[0], true);
    let buffer = camera.buffer(Some(Vec::new()));
    let out = camera.harness.push_and_pull(buffer).unwrap();
    let unseen: Vec<u64> = regions(&out)
        .iter()
        .map(|reid| reid.as_ref().unwrap().get::<u64>("unseen_ns").unwrap())
        .collect();
    assert_eq!(unseen, [FRAME_MS * 1_000_000]);
}

/// What `reid` says in each of a buffer's regions.
fn regions(buffer: &gst::BufferRef) -> Vec<Option<gst::Structure>> {
    buffer
        .iter_meta::<gst_video::VideoRegionOfInterestMeta>()
        .map(|roi| roi.param("reid").map(ToOwned::to_owned))
        .collect()
}

#[test]
fn every_person_has_one_region_with_their_number() {
    let mut camera = Camera::new("reidtrack");
    camera.frames(5, &[0, 1, 2], true);
    // Seen, seen elsewhere, missed, new.
    let mut moved = person(1, true);
    moved.rect.x += 4.0;
    let people = vec![person(0, true), moved, person(4, true)];
    let buffer = camera.buffer(Some(people));
    let out = camera.harness.push_and_pull(buffer).unwrap();
    let mut numbers: Vec<i32> = regions(&out)
        .iter()
        .map(|reid| {
            reid.as_ref()
                .map_or(0, |r| r.get::<i32>("global_id").unwrap())
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3]);
}

/// For how long each of these people was not seen, ms.
fn unseen_ms(people: &[Person]) -> Vec<u64> {
    let tracks = people.iter().map(|p| p.track.unwrap());
    tracks.map(|track| track.unseen_ns / 1_000_000).collect()
}

#[test]
fn other_detectors_regions_are_taken() {
    let mut camera = Camera::new("reidtrack");
    let region = |camera: &mut Camera| {
        let mut buffer = camera.buffer(None);
        gst_video::VideoRegionOfInterestMeta::add(
            buffer.get_mut().unwrap(),
            "person",
            (100, 100, 60, 150),
        );
        camera.harness.push_and_pull(buffer).unwrap()
    };
    for _ in 0..4 {
        region(&mut camera);
    }
    let out = region(&mut camera);
    let people = out.meta::<PeopleMeta>().unwrap().people().to_vec();
    assert_eq!((people.len(), ids(&people)), (1, vec![1]));
    let all: Vec<_> = out
        .iter_meta::<gst_video::VideoRegionOfInterestMeta>()
        .map(|roi| (roi.rect(), roi.param("object_id").is_some()))
        .collect();
    assert_eq!(all, [((100, 100, 60, 150), true)]);
}

#[test]
fn without_looks_everybody_is_numbered_once_in_the_gallery() {
    let mut door = Camera::new("reidtrack gallery=test-motion camera=door motion-only=true");
    let mut hall = Camera::new("reidtrack gallery=test-motion camera=hall");
    let mut all = ids(&door.frames(5, &[0, 1], true));
    all.extend(ids(&hall.frames(5, &[0, 1], false)));
    assert_eq!(all, [1, 2, 3, 4]);
}

#[test]
fn what_happens_is_signalled_and_posted_and_users_can_correct_it() {
    let mut camera = Camera::new("reidtrack camera=door match-threshold=1");
    let element = camera.element();
    let told = Arc::new(Mutex::new(Vec::new()));
    for name in [
        "identity-new",
        "identity-matched",
        "identity-merged",
        "identity-lost",
    ] {
        let told = told.clone();
        element.connect(name, false, move |_| {
            told.lock().unwrap().push(name);
            None
        });
    }
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    camera.frames(5, &[0, 1], true);
    assert_eq!(*told.lock().unwrap(), ["identity-new", "identity-new"]);
    let names: Vec<String> = bus
        .iter()
        .filter_map(|m| m.structure().map(|s| s.name().to_string()))
        .filter(|name| name.starts_with("reid-"))
        .collect();
    assert_eq!(names, ["reid-identity-new", "reid-identity-new"]);
    assert!(element.emit_by_name::<bool>("rename", &[&1_u32, &"Ada"]));
    let named = camera.frames(1, &[0, 1], true);
    assert_eq!(
        named[0].identity.as_ref().unwrap().name.as_deref(),
        Some("Ada")
    );
    assert!(!element.emit_by_name::<bool>("rename", &[&99_u32, &"x"]));
    // In one picture: two people.
    assert!(!element.emit_by_name::<bool>("merge", &[&2_u32, &1_u32]));
    assert_eq!(element.emit_by_name::<u32>("split", &[&1_u32, &""]), 0);
    let new = element.emit_by_name::<u32>("split", &[&1_u32, &"door"]);
    // The other is missed, and shown for a moment longer.
    assert_eq!((new, ids(&camera.frames(1, &[0], true))), (3, vec![3, 2]));
    assert!(element.emit_by_name::<bool>("forget", &[&3_u32]));
    assert!(ids(&camera.frames(1, &[0], true))[0] > 3);
    assert!(element.emit_by_name::<bool>("forget", &[&2_u32]));
    assert_eq!(camera.frames(1, &[0], true).len(), 1);
}

#[test]
fn what_is_not_supported_is_a_clear_error() {
    init();
    let make = gst::ElementFactory::make("reidtrack");
    let location = make.property("gallery-location", "mysql://server/x");
    let text = refusal(&location.build().unwrap());
    assert!(
        text.contains("mysql://server/x") && text.contains("gallery-location"),
        "{text}"
    );
}

/// What an element that cannot start says.
fn refusal(element: &gst::Element) -> String {
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    assert!(element.set_state(gst::State::Paused).is_err());
    let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
    element.set_state(gst::State::Null).unwrap();
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!("filtered")
    };
    error.error().to_string()
}

#[test]
fn a_topology_file_is_read_and_a_bad_one_refused_with_its_line() {
    init();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cameras.toml");
    let element = |file: &std::path::Path| {
        let make = gst::ElementFactory::make("reidtrack");
        make.property("topology", file.to_str()).build().unwrap()
    };
    let missing = refusal(&element(&file));
    assert!(
        missing.contains("cannot be read") && missing.contains("cameras.toml"),
        "{missing}"
    );
    std::fs::write(
        &file,
        "[[link]]\ncameras = [\"a\", \"b\"]\nmin-second = 3\n",
    )
    .unwrap();
    let bad = refusal(&element(&file));
    assert!(
        bad.contains("line 3") && bad.contains("min-seconds"),
        "{bad}"
    );
    std::fs::write(
        &file,
        "[[link]]\ncameras = [\"here\", \"there\"]\nmin-seconds = 60\n",
    )
    .unwrap();
    let mut views = ["here", "there"].map(|name| {
        let topology = file.display();
        Camera::new(&format!(
            "reidtrack gallery=test-topology camera={name} topology={topology}"
        ))
    });
    // The same looks in two places at once: two people.
    let [here, there] = &mut views;
    let (one, other) = (
        ids(&here.frames(30, &[0], true)),
        ids(&there.frames(30, &[0], true)),
    );
    assert_ne!(one, other);
}

#[test]
fn boxes_that_are_none_and_crowds_do_no_harm() {
    let mut camera = Camera::new("reidtrack");
    for rect in [
        Rect::new(f32::NAN, 0.0, 10.0, 10.0),
        Rect::new(0.0, 0.0, f32::INFINITY, 10.0),
        Rect::new(10.0, 10.0, 0.0, 0.0),
        Rect::new(-500.0, 0.0, 10.0, 10.0),
    ] {
        let nonsense = Person::detected(rect, f32::NAN, "person".into(), 0);
        assert_eq!(camera.frame(Some(vec![nonsense])).len(), 1);
    }
    for _ in 0..4 {
        let crowd: Vec<Person> = (0..1000)
            .map(|i| {
                let (x, y) = ((i % 50) as f32 * 12.8, (i / 50) as f32 * 24.0);
                Person::detected(Rect::new(x, y, 10.0, 22.0), 0.9, "person".into(), 0)
            })
            .collect();
        assert_eq!(camera.frame(Some(crowd)).len(), 1000);
    }
}

#[test]
fn thirty_two_cameras_share_a_gallery() {
    init();
    let threads: Vec<_> = (0..32)
        .map(|n| {
            std::thread::spawn(move || {
                let launch = format!("reidtrack gallery=test-many camera=c{n}");
                let mut camera = Camera::new(&launch);
                let mut last = Vec::new();
                for _ in 0..30 {
                    last = ids(&camera.frames(1, &[0, 1, 2, 3], true));
                    assert!(
                        last.iter().all(|&id| id == 0) || {
                            let mut distinct = last.clone();
                            distinct.sort_unstable();
                            distinct.dedup();
                            distinct.len() == 4
                        }
                    );
                }
                last
            })
        })
        .collect();
    let found: Vec<Vec<u32>> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    assert!(found.iter().all(|ids| ids == &found[0]), "{found:?}");
}
