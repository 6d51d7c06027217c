//! The rules of a gallery that several elements share: who was given one, who was not, and who contradicts.

#[path = "common/tracked.rs"]
mod tracked;

use std::time::Duration;

use gst::prelude::*;
use tracked::{Camera, ids, init};

/// Frames of three seconds.
const THREE_SECONDS: usize = 75;

fn known(camera: &Camera) -> u64 {
    let stats: gst::Structure = camera.element().property("stats");
    stats.get("identities").unwrap()
}

/// A person passes `door`; how many people the gallery knows three seconds later.
fn known_after_a_visit(door: &mut Camera) -> u64 {
    door.frames(10, &[0, 1], true);
    door.frames(THREE_SECONDS + THREE_SECONDS, &[], true);
    known(door)
}

#[test]
fn what_one_camera_was_given_holds_whatever_others_start_or_set() {
    let mut door = Camera::new("reidtrack name=door gallery=rules-age max-age=1000000000");
    let mut hall = Camera::new("reidtrack name=hall gallery=rules-age");
    assert_eq!(known_after_a_visit(&mut door), 0, "the hall started later");
    assert_eq!(known_after_a_visit(&mut hall), 0, "another camera's people");
    hall.element().set_property("min-hits", 3_u32);
    hall.element().set_property("match-threshold", 0.5_f32);
    assert_eq!(
        known_after_a_visit(&mut hall),
        0,
        "the hall's other property"
    );
    // Changed by whom it was given to.
    door.element().set_property("max-age", 0_u64);
    assert!(known_after_a_visit(&mut hall) >= 2);
}

#[test]
fn a_rule_outlives_a_stop_and_not_its_element() {
    let door = Camera::new("reidtrack name=door gallery=rules-stop max-age=1000000000");
    let mut hall = Camera::new("reidtrack name=hall gallery=rules-stop");
    door.element().set_state(gst::State::Null).unwrap();
    assert_eq!(known_after_a_visit(&mut hall), 0, "the door is stopped");
    drop(door);
    assert!(
        known_after_a_visit(&mut hall) >= 2,
        "the door binds for ever"
    );
}

/// The text of the first error, and who posted it.
fn error_of(bus: &gst::Bus) -> (String, String) {
    let limit = gst::ClockTime::from_seconds(10);
    let message = bus.timed_pop_filtered(limit, &[gst::MessageType::Error]);
    let message = message.expect("an error");
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!("filtered")
    };
    let by = message.src().map_or_else(Default::default, |s| s.name());
    (error.error().to_string(), by.to_string())
}

/// Two cameras of a gallery in one pipeline.
fn pipeline(gallery: &str, door: &str, hall: &str) -> gst::Pipeline {
    init();
    let camera = |name: &str, given: &str| {
        format!(
            "reidtestsrc is-live=true ! video/x-raw,width=320,height=240 ! reidtrack name={name} gallery={gallery} {given} ! fakesink "
        )
    };
    let launch = camera("door", door) + &camera("hall", hall);
    let pipeline = gst::parse::launch(&launch).unwrap();
    pipeline.downcast().unwrap()
}

#[test]
fn cameras_that_contradict_each_other_do_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let topology = |name: &str, walk: u32| {
        let file = folder.path().join(name);
        let text = format!("[[link]]\ncameras = [\"door\", \"hall\"]\nmin-seconds = {walk}\n");
        std::fs::write(&file, text).unwrap();
        format!("topology={}", file.display())
    };
    let (near, far) = (topology("near.toml", 1), topology("far.toml", 60));
    for (property, door, hall) in [
        ("max-age", "max-age=1000", "max-age=2000"),
        ("max-age", "max-age=1000", "max-age=0"),
        ("max-identities", "max-identities=5", "max-identities=10000"),
        (
            "match-threshold",
            "match-threshold=0.5",
            "match-threshold=-1",
        ),
        ("topology", &near, &far),
    ] {
        let pipeline = pipeline("rules-contradict", door, hall);
        assert!(pipeline.set_state(gst::State::Playing).is_err(), "{hall}");
        let (text, _) = error_of(&pipeline.bus().unwrap());
        for part in [
            "door",
            "hall",
            property,
            "Set it on one of them",
            door,
            hall,
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        pipeline.set_state(gst::State::Null).unwrap();
    }
    for (door, hall) in [
        ("", ""),
        ("max-age=5", "max-age=5"),
        (&near, &near),
        ("", &far),
    ] {
        let pipeline = pipeline("rules-agree", door, hall);
        pipeline.set_state(gst::State::Playing).unwrap();
        let (state, ..) = pipeline.state(gst::ClockTime::from_seconds(30));
        state.unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn a_contradiction_while_playing_is_an_error_and_changes_nothing() {
    let pipeline = pipeline("rules-playing", "max-age=3600000000000", "");
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline.state(gst::ClockTime::from_seconds(30)).0.unwrap();
    let hall = pipeline.by_name("hall").unwrap();
    hall.set_property("max-age", 5_u64);
    let (text, by) = error_of(&pipeline.bus().unwrap());
    assert!(by == "hall" && text.contains("door"), "{by}: {text}");
    assert_eq!(hall.property::<u64>("max-age"), 0);
    // The stream goes on.
    let frames = || {
        let stats: gst::Structure = hall.property("stats");
        stats.get::<u64>("frames").unwrap()
    };
    let before = frames();
    let begun = std::time::Instant::now();
    while frames() < before + 3 && begun.elapsed() < Duration::from_secs(30) {
        std::thread::yield_now();
    }
    assert!(frames() >= before + 3);
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn an_emptied_topology_says_nothing_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cameras.toml");
    let text = "[[link]]\ncameras = [\"door\", \"hall\"]\nmin-seconds = 60\n";
    std::fs::write(&file, text).unwrap();
    let file = file.display();
    let mut door = Camera::new(&format!(
        "reidtrack camera=door gallery=rules-topology topology={file}"
    ));
    let mut hall = Camera::new("reidtrack camera=hall gallery=rules-topology");
    let at_once = |door: &mut Camera, hall: &mut Camera| {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for _ in 0..10 {
            one = ids(&door.frames(1, &[0, 1, 2], true));
            other = ids(&hall.frames(1, &[0, 1, 2], true));
        }
        one == other
    };
    assert!(!at_once(&mut door, &mut hall), "nobody is in two places");
    let element = door.element();
    element.set_state(gst::State::Null).unwrap();
    element.set_property("topology", None::<&str>);
    element.set_state(gst::State::Playing).unwrap();
    door.harness
        .set_src_caps_str("video/x-raw,format=GRAY8,width=640,height=480,framerate=25/1");
    assert!(
        at_once(&mut door, &mut hall),
        "the door has no topology now"
    );
}
