//! `reidpublish` as an element: what lies in the file, when it is complete, and what is said when it cannot be written.

#[path = "common/played.rs"]
mod played;
#[path = "common/schema.rs"]
mod schema;
#[path = "common/tracked.rs"]
mod tracked;

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::net::UnixListener,
    path::Path,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use gst::prelude::*;
use gst_check::Harness;
use gstreid::{
    core::{
        geometry::Rect,
        person::{Identity, IdentityId, IdentityState, Person, Track, TrackId, TrackState},
    },
    media::{self, FrameSize, roi::Origin},
};

use played::play_well;

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
        age_ns: 0,
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
            camera: Some("door".into()),
            ..Origin::default()
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

#[test]
fn deepstream_minimal_counts_frames_from_zero() {
    let text = written("format=deepstream-minimal add-empty=true");
    let messages: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ids: Vec<_> = messages.iter().map(|m| m["id"].as_u64()).collect();
    assert_eq!(ids, [Some(0), Some(1), Some(2)], "{text}");
    let mut first = messages[0].clone();
    // A harness is live: the clock says when.
    let time = first["@timestamp"].take();
    assert!(
        time.as_str()
            .is_some_and(|time| time.len() == 24 && time.ends_with('Z')),
        "{text}"
    );
    let expected = serde_json::json!({
        "version": "4.0", "id": 0, "@timestamp": null, "sensorId": "door",
        "objects": ["17|64|48|128|288|person|#||||||0.5"],
    });
    assert_eq!(first, expected);
    assert_eq!(messages[1]["objects"], serde_json::json!([]));
    // The schema has no line for a change of identities.
    let told = written("format=deepstream-minimal");
    assert_eq!(told.lines().count(), 1, "{told}");
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
            "reidpublish location=mqtt://host",
            if cfg!(feature = "mqtt") {
                "names no topic"
            } else {
                "does not speak MQTT"
            },
        ),
        ("reidpublish location=http://host/x", "is not a file"),
        (
            "reidpublish location=/dev/full",
            "/dev/full cannot be written: No space",
        ),
    ];
    for (publisher, expected) in cases {
        let error = error_of(publisher);
        assert!(error.contains(expected), "{publisher}: {error}");
    }
}

#[test]
fn a_full_disk_ends_the_stream_with_its_error() {
    init();
    let mut harness = Harness::new_parse("reidpublish location=/dev/full");
    harness.set_src_caps_str("video/x-raw,format=I420,width=640,height=480,framerate=25/1");
    let flows = (0..100).map(|i| harness.push(buffer(Some(vec![person(1)]), i * 100)));
    let failed = flows.filter(|flow| *flow == Err(gst::FlowError::Error));
    assert!(failed.count() > 0);
}

/// The lines of a file.
fn lines(file: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What `reidpublish add-empty=true` writes behind `front`, which may name `out` as its sink.
fn published(front: &str) -> Vec<serde_json::Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.jsonl");
    play_well(&front.replace(
        "OUT",
        &format!(
            "queue ! reidpublish add-empty=true location={} ! fakesink",
            file.display()
        ),
    ));
    lines(&file)
}

fn times(lines: &[serde_json::Value]) -> Vec<u64> {
    let times = lines.iter().map(|line| line["timestamp"].as_u64());
    times.map(|time| time.unwrap() / 1_000_000).collect()
}

#[test]
fn time_is_that_of_the_stream_whatever_the_time_stamps_say() {
    let frames = "videotestsrc num-buffers=4 ! video/x-raw,width=64,height=48,framerate=10/1";
    let expected = [0, 100, 200, 300];
    // x264enc counts from 1,000 hours on.
    let encoded = published(&format!("{frames} ! x264enc ! h264parse ! decodebin ! OUT"));
    assert_eq!(times(&encoded), expected);
    let joined = published(&format!(
        "concat name=c ! OUT {frames} ! c. {frames} ! c. {frames} ! c."
    ));
    let expected: Vec<u64> = (0..12).map(|i| i * 100).collect();
    assert_eq!(times(&joined), expected);
    assert!(
        joined.iter().all(|line| line.get("utc").is_none()),
        "a file"
    );
}

/// Now, microseconds since 1970.
fn now_us() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_micros()
}

/// `utc` of a line, microseconds since 1970.
fn utc_us(line: &serde_json::Value) -> u128 {
    let text = line["utc"].as_str().unwrap();
    let time = glib::DateTime::from_iso8601(text, None).unwrap();
    time.to_unix() as u128 * 1_000_000 + time.microsecond() as u128
}

#[test]
fn live_frames_say_when_they_were_taken() {
    let before = now_us();
    let live = published("reidtestsrc is-live=true num-buffers=5 ! OUT");
    assert_eq!(live.len(), 5);
    let taken: Vec<u128> = live.iter().map(utc_us).collect();
    assert!(
        taken.is_sorted() && before <= taken[0] && taken[4] <= now_us(),
        "{taken:?}"
    );
    let ms = (taken[4] - taken[0]) / 1000;
    let told = times(&live);
    assert!(
        u128::from(told[4] - told[0]).abs_diff(ms) <= 1,
        "{told:?} {taken:?}"
    );
}

#[test]
fn a_camera_that_says_when_a_frame_was_taken_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out");
    let pipeline = played::parse(&format!(
        "videotestsrc num-buffers=3 ! identity name=camera ! queue ! reidpublish add-empty=true location={} ! fakesink",
        file.display()
    ));
    // 2026-11-30T04:26:23 UTC as RTSP's sender reports give it, and as others do.
    let mut stamps = [
        ("timestamp/x-ntp", 1_796_012_783 + 2_208_988_800),
        ("timestamp/x-unix", 1_796_012_783),
        ("timestamp/x-own", 5),
    ]
    .into_iter();
    played::watch(&pipeline, "camera", move |buffer| {
        let (kind, seconds) = stamps.next().unwrap();
        let reference = gst::Caps::new_empty_simple(kind);
        let time = gst::ClockTime::from_seconds(seconds);
        gst::ReferenceTimestampMeta::add(buffer, &reference, time, gst::ClockTime::NONE);
    });
    assert_eq!(played::play(&pipeline).error, None);
    let found: Vec<_> = lines(&file)
        .iter()
        .map(|line| line["utc"].clone())
        .collect();
    let expected = "2026-11-30T04:26:23.000000Z";
    assert_eq!(
        found,
        [expected.into(), expected.into(), serde_json::Value::Null]
    );
}

#[test]
fn the_camera_is_known_behind_converters() {
    // GStreamer 1.22 loses the parameters of regions in both.
    let all = published(
        "reidtestsrc attach=detections pattern=crowd num-buffers=20 ! video/x-raw,format=I420,width=640,height=480 ! queue \
         ! reidtrack camera=door ! videoconvert \
         ! video/x-raw,format=NV12 ! videoscale ! video/x-raw,width=320,height=240 ! OUT",
    );
    let objects = all
        .iter()
        .flat_map(|line| line["objects"].as_array().unwrap());
    let cameras: Vec<_> = objects
        .map(|object| object["reid"]["camera"].clone())
        .collect();
    assert!(
        !cameras.is_empty() && cameras.iter().all(|camera| camera == "door"),
        "{cameras:?}"
    );
}

#[test]
fn evidence_is_on_the_clock_of_its_line() {
    check_evidence("gallery=evidence");
    // A kept gallery counts the wall clock's time.
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("people.db");
    check_evidence(&format!("gallery-location=sqlite://{}", kept.display()));
}

fn check_evidence(gallery: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hall.jsonl");
    let mut door = tracked::Camera::new(&format!("reidtrack {gallery} camera=door ! identity"));
    let mut hall = tracked::Camera::new(&format!(
        "reidtrack {gallery} camera=hall ! reidpublish location={}",
        file.display()
    ));
    for camera in [&door, &hall] {
        // A pipeline's clock, far from the streams' time.
        let elements = camera
            .harness
            .element()
            .unwrap()
            .downcast::<gst::Bin>()
            .unwrap();
        for element in elements.children() {
            element.set_base_time(gst::ClockTime::from_seconds(1_000_000));
        }
    }
    door.frames(10, &[0], true);
    hall.frames = 20;
    hall.frames(20, &[0], true);
    hall.harness.push_event(gst::event::Eos::new());
    let known: Vec<_> = lines(&file)
        .iter()
        .filter_map(|line| line["objects"][0]["reid"]["evidence"]["time"].as_i64())
        .collect();
    assert!(!known.is_empty());
    // The door's last frame, 360 ms after its stream began.
    assert!(
        known.iter().all(|&time| time == 9 * 40_000_000),
        "{known:?}"
    );
}

/// Somebody of whom everything is known.
fn known_in_full() -> Person {
    use gstreid::core::{
        embedding::{Embedding, ModelFingerprint},
        person::Seen,
    };
    let mut person = person(17);
    person.embedding = Some(Embedding::normalised(&[0.5, -2.0], ModelFingerprint(3)).unwrap());
    person.is_carried = true;
    person.track.as_mut().unwrap().unseen_ns = 40_000_000;
    let identity = person.identity.as_mut().unwrap();
    identity.state = IdentityState::Matched;
    identity.score = 0.71;
    identity.margin = 0.2;
    identity.previous = [IdentityId(3)].into();
    identity.name = Some("Anna".into());
    identity.evidence = Some(Seen {
        camera: "hall".into(),
        time_ns: 1,
    });
    person
}

#[test]
fn every_line_is_as_its_schema_says() {
    use gstreid::core::publish::{
        Change, FrameFacts, Occurrence, change_line, json_line, occurrence_line,
    };
    let facts = FrameFacts {
        width: 640,
        height: 480,
        timestamp_ns: Some(5),
        utc_ns: Some(1_796_012_783_123_456_789),
        gallery_ns: Some(9),
        source: "stream",
        camera: "door",
    };
    let mut car = Person::detected(Rect::new(0.0, 0.0, 9.0, 9.0), 0.45, "car".into(), 2);
    car.track = person(1).track;
    let people = [known_in_full(), person(4), car];
    let mut lines = vec![json_line(&facts, &people, true, true).unwrap()];
    assert!(lines[0].contains("\"confidence\":0.45,"), "{}", lines[0]);
    let bare = FrameFacts {
        timestamp_ns: None,
        utc_ns: None,
        gallery_ns: None,
        ..facts
    };
    lines.push(json_line(&bare, &people, true, false).unwrap());
    lines.push(json_line(&bare, &[], true, false).unwrap());
    for (event, track_id, utc_ns) in [
        ("merged", None, None),
        ("split", None, facts.utc_ns),
        ("corrected", Some(4), None),
    ] {
        let change = Change {
            event,
            from: 7,
            into: 3,
            camera: track_id.map(|_| "door"),
            track_id,
            source: "stream",
            timestamp: 5,
            utc_ns,
        };
        lines.push(change_line(&change).unwrap());
    }
    for (event, track_id, pending, score) in [
        ("new", Some(4), Some(true), None),
        ("matched", Some(4), None, Some(0.45)),
        ("lost", None, None, None),
        ("left", None, None, None),
    ] {
        let occurrence = Occurrence {
            event,
            id: 7,
            camera: track_id.map(|_| "door"),
            track_id,
            pending,
            score,
            source: "stream",
            timestamp: 5,
            utc_ns: facts.utc_ns,
        };
        lines.push(occurrence_line(&occurrence).unwrap());
    }
    assert!(
        lines.iter().any(|line| line.contains("\"score\":0.45,")),
        "{lines:?}"
    );
    schema::check(&lines.join("\n"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    play_well(&format!(
        "reidtestsrc is-live=true attach=detections pattern=crowd num-buffers=20 ! video/x-raw,format=I420,width=640,height=480 \
         ! queue ! reidtrack motion-only=true ! reidpublish add-empty=true location={} ! fakesink",
        file.display()
    ));
    schema::check(&fs::read_to_string(file).unwrap());
    // The schema is strict enough to refuse something.
    for (from, to) in [
        ("\"roi_type\"", "\"kind\""),
        ("\"id\":17", "\"id\":0"),
        ("\"state\":\"matched\"", "\"state\":\"known\""),
        ("}", ",\"more\":1}"),
        ("Z\"", "\""),
    ] {
        let wrong = lines[0].replace(from, to);
        assert_ne!(wrong, lines[0]);
        if let Some(objections) = schema::objections(&wrong) {
            assert!(!objections.is_empty(), "{wrong}");
        }
    }
}

/// Frames with one person each, 40 ms apart.
fn play(harness: &mut Harness, frames: std::ops::Range<u64>) {
    for number in frames {
        let sent = buffer(Some(vec![person(17)]), number * 40);
        harness.push_and_pull(sent).unwrap();
    }
}

/// The element with properties, its bus, and its pads.
struct Publisher {
    element: gst::Element,
    bus: gst::Bus,
    harness: Harness,
}

fn publisher(location: &str, properties: &[(&str, u64)]) -> Publisher {
    init();
    let element = gst::ElementFactory::make("reidpublish").build().unwrap();
    element.set_property("location", location);
    for (name, value) in properties {
        element.set_property_from_str(name, &value.to_string());
    }
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
    harness.play();
    harness.set_src_caps_str("video/x-raw,format=I420,width=640,height=480,framerate=25/1");
    Publisher {
        element,
        bus,
        harness,
    }
}

impl Publisher {
    fn stop(self) {
        self.element.set_state(gst::State::Null).unwrap();
        self.element.set_bus(None);
    }
}

#[test]
fn files_are_gone_on_with_and_begin_anew_when_they_are_full() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seen.jsonl");
    let count = |name: &str| {
        let text = fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines().count()
    };
    let run = |properties: &[(&str, u64)], frames: u64| {
        let mut publisher = publisher(path.to_str().unwrap(), properties);
        play(&mut publisher.harness, 0..frames);
        publisher.harness.push_event(gst::event::Eos::new());
        publisher.stop();
    };
    run(&[], 5);
    run(&[], 4);
    assert_eq!(count("seen.jsonl"), 4, "replaced");
    run(&[("append", 1)], 3);
    assert_eq!(count("seen.jsonl"), 7, "gone on with");
    let line = fs::metadata(&path).unwrap().len() / 7;
    run(
        &[("max-files", 2), ("max-size-bytes", line * 3 + line / 2)],
        8,
    );
    let counts = ["seen.jsonl", "seen.jsonl.1", "seen.jsonl.2", "seen.jsonl.3"].map(count);
    assert_eq!(counts, [2, 3, 3, 0]);
    run(&[("max-files", 2), ("max-size-time", 200_000_000)], 12);
    let counts = ["seen.jsonl", "seen.jsonl.1", "seen.jsonl.2"].map(count);
    assert_eq!(counts, [2, 5, 5]);
}

/// The lines of one connection, until it ends or so many have come.
fn listened(listener: &UnixListener, most: usize) -> Vec<serde_json::Value> {
    let (stream, _) = listener.accept().unwrap();
    let lines = BufReader::new(stream).lines().take(most);
    lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect()
}

#[test]
fn a_program_that_listens_on_a_socket_gets_every_line_in_order_when_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seen.sock");
    let mut publisher = publisher(&format!("unix://{}", path.display()), &[]);
    let harness = &mut publisher.harness;
    // Nobody is there yet: nothing waits for them.
    let begin = Instant::now();
    play(harness, 0..20);
    assert!(begin.elapsed() < Duration::from_secs(5));
    let bus = publisher.bus.clone();
    let says = |kind: gst::MessageType, part: &str| {
        let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &[kind]);
        let text = match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Warning(warning)) => warning.error().to_string(),
            Some(gst::MessageView::Info(info)) => info.error().to_string(),
            other => panic!("{other:?}"),
        };
        assert!(text.contains(part), "{text}");
    };
    says(gst::MessageType::Warning, "cannot be reached");
    let listener = UnixListener::bind(&path).unwrap();
    let first = listened(&listener, 8);
    says(gst::MessageType::Info, "is reached again");
    // They have gone, and come back.
    play(harness, 20..40);
    says(gst::MessageType::Warning, "cannot be reached");
    let again = thread::spawn(move || listened(&listener, usize::MAX));
    says(gst::MessageType::Info, "is reached again");
    play(harness, 40..60);
    publisher.stop();
    let again = again.join().unwrap();
    let moments = |lines: &[serde_json::Value]| -> Vec<u64> {
        let times = lines.iter().map(|line| line["timestamp"].as_u64().unwrap());
        times.map(|time| time / 40_000_000).collect()
    };
    assert_eq!(moments(&first), (0..8).collect::<Vec<_>>());
    // What was on its way when they went is lost with the connection, as with any stream.
    let again = moments(&again);
    assert!(again.is_sorted_by(|a, b| a < b), "{again:?}");
    assert_eq!(again.last(), Some(&59));
    assert!(again.contains(&40), "{again:?}");
}

#[test]
fn stopping_does_not_wait_for_a_program_that_reads_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seen.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut publisher = publisher(&format!("unix://{}", path.display()), &[]);
    play(&mut publisher.harness, 0..3000);
    let stats: gst::Structure = publisher.element.property("stats");
    assert!(stats.get::<bool>("connected").unwrap(), "{stats}");
    assert!(stats.get::<u64>("waiting").unwrap() > 0, "{stats}");
    let begin = Instant::now();
    publisher.stop();
    assert!(begin.elapsed() < Duration::from_secs(5));
    drop(listener);
}
