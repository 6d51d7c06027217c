//! `reidpublish` as an element: what lies in the file, when it is complete, and what is said when it cannot be written.

use std::fs;

use gst::prelude::*;
use gst_check::Harness;
use gstreid::{
    core::{
        geometry::Rect,
        person::{Identity, IdentityId, IdentityState, Person, Track, TrackId, TrackState},
    },
    media::{self, FrameSize, roi::Origin},
};

const FRAME: FrameSize = FrameSize {
    width: 640,
    height: 480,
};

fn init() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstreid::plugin_register_static().unwrap();
    });
}

fn person(id: u32) -> Person {
    let mut person = Person::detected(Rect::new(64.0, 48.0, 64.0, 240.0), 0.5, "person".into(), 0);
    person.track = Some(Track {
        id: TrackId(3),
        state: TrackState::Confirmed,
        unseen_ns: 0,
    });
    person.identity = Some(Identity {
        id: IdentityId(id),
        state: IdentityState::New,
        score: 0.0,
        margin: 0.0,
        evidence: None,
        previous: [].into(),
        name: None,
    });
    person
}

fn buffer(people: Option<Vec<Person>>, time_ms: u64) -> gst::Buffer {
    let mut buffer = gst::Buffer::new();
    let writable = buffer.get_mut().unwrap();
    writable.set_pts(gst::ClockTime::from_mseconds(time_ms));
    if let Some(people) = people {
        let origin = Origin {
            detector: None,
            camera: Some("door".into()),
        };
        media::write_people(writable, FRAME, people, &origin);
    }
    buffer
}

/// What `reidpublish` with these properties writes of three frames: somebody, nobody, unseen.
fn written(properties: &str) -> String {
    init();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let mut harness = Harness::new_parse(&format!(
        "reidpublish {properties} location={}",
        path.display()
    ));
    harness.set_src_caps_str("video/x-raw,format=I420,width=640,height=480,framerate=25/1");
    for (i, people) in [Some(vec![person(17)]), Some(vec![]), None]
        .into_iter()
        .enumerate()
    {
        let sent = buffer(people, i as u64 * 40);
        let before = sent.as_ptr();
        assert_eq!(
            harness.push_and_pull(sent).unwrap().as_ptr(),
            before,
            "untouched"
        );
    }
    harness.push_event(gst::event::Eos::new());
    fs::read_to_string(path).unwrap()
}

#[test]
fn json_lines_are_complete_at_eos() {
    let text = written("");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1, "{text}");
    let line: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
    assert_eq!(line["timestamp"], 0);
    assert_eq!(line["resolution"]["width"], 640);
    assert_eq!(line["objects"][0]["id"], 17);
    assert_eq!(line["objects"][0]["reid"]["camera"], "door");
    assert_eq!(line["objects"][0]["reid"]["state"], "new");
    assert!(
        line["source"]
            .as_str()
            .is_some_and(|source| !source.is_empty())
    );
    let all = written("add-empty=true");
    let times: Vec<u64> = all
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["timestamp"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(times, [0, 40_000_000, 80_000_000]);
}

#[test]
fn mot_counts_frames_from_one() {
    assert_eq!(
        written("format=mot"),
        "1,17,64.00,48.00,64.00,240.00,0.5000,-1,-1,-1\n"
    );
}

/// The error that a pipeline with this publisher ends with.
fn error_of(publisher: &str) -> String {
    init();
    let launch = format!(
        "reidtestsrc num-buffers=30 attach=detections pattern=crowd ! {publisher} ! fakesink"
    );
    let pipeline = gst::parse::launch(&launch).unwrap();
    let _ = pipeline.set_state(gst::State::Playing);
    let kinds = [gst::MessageType::Error, gst::MessageType::Eos];
    let message = pipeline
        .bus()
        .unwrap()
        .timed_pop_filtered(gst::ClockTime::from_seconds(30), &kinds)
        .unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    match message.view() {
        gst::MessageView::Error(error) => error.error().to_string(),
        _ => String::from("no error"),
    }
}

#[test]
fn what_cannot_be_written_is_said_with_the_remedy() {
    let cases = [
        (
            "reidpublish location=/no/such/folder/out.jsonl",
            "location=/no/such/folder/out.jsonl cannot be written",
        ),
        ("reidpublish location=/", "Check that the folder exists"),
        (
            "reidpublish location=mqtt://host/topic",
            "MQTT is not available yet",
        ),
        ("reidpublish location=http://host/x", "is no file"),
        (
            "reidpublish format=deepstream-minimal",
            "use json-lines or mot",
        ),
        (
            "reidpublish location=/dev/full",
            "/dev/full cannot be written any more",
        ),
    ];
    for (publisher, expected) in cases {
        let error = error_of(publisher);
        assert!(error.contains(expected), "{publisher}: {error}");
    }
}

#[test]
fn the_video_flows_on_when_the_disk_is_full() {
    init();
    let mut harness = Harness::new_parse("reidpublish location=/dev/full");
    harness.set_src_caps_str("video/x-raw,format=I420,width=640,height=480,framerate=25/1");
    for i in 0..100 {
        harness
            .push_and_pull(buffer(Some(vec![person(1)]), i * 100))
            .unwrap();
    }
}
