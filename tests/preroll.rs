//! A kept gallery's time while a pipeline that is not live prerolls: its first frame comes before the pipeline has a base time.

#[path = "common/tracked.rs"]
mod tracked;

use std::time::{SystemTime, UNIX_EPOCH};

use gst::prelude::*;
use gstreid::{
    core::person::Person,
    media::{self, PeopleMeta, roi::Origin},
    store::{
        KeptPerson, Location,
        archive::{Archive, Purpose},
    },
};
use tracked::{FRAME_MS, SIZE, ids, init, person};

/// Half a minute, far less than any machine that tests has been up.
const MAX_AGE_NS: u64 = 30_000_000_000;

/// Plays frames of these people, one list a frame, through a pipeline that prerolls. The numbers in the last frame.
fn played(location: &str, frames: &[Vec<usize>]) -> Vec<u32> {
    init();
    let launch = format!(
        "appsrc name=source format=time caps=video/x-raw,format=GRAY8,width=640,height=480,framerate=25/1 ! reidtrack name=track camera=door gallery-location={location} max-age={MAX_AGE_NS} ! fakesink sync=true"
    );
    let pipeline: gst::Pipeline = gst::parse::launch(&launch).unwrap().downcast().unwrap();
    let last = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let theirs = last.clone();
    let pad = pipeline
        .by_name("track")
        .unwrap()
        .static_pad("src")
        .unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let meta = info.buffer().and_then(|buffer| buffer.meta::<PeopleMeta>());
        *theirs.lock().unwrap() = ids(meta.expect("a list of people").people());
        gst::PadProbeReturn::Ok
    });
    let source = pipeline.by_name("source").unwrap();
    pipeline.set_state(gst::State::Paused).unwrap();
    for (n, people) in frames.iter().enumerate() {
        let mut buffer = gst::Buffer::with_size(640 * 480).unwrap();
        let writable = buffer.get_mut().unwrap();
        writable.set_pts(gst::ClockTime::from_mseconds(n as u64 * FRAME_MS));
        let people: Vec<Person> = people.iter().map(|&p| person(p, true)).collect();
        media::write_people(writable, SIZE, people, &Origin::default());
        let flow = source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
        assert_eq!(flow, gst::FlowReturn::Ok);
    }
    let flow = source.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    assert_eq!(flow, gst::FlowReturn::Ok);
    let (prerolled, state, _) = pipeline.state(gst::ClockTime::from_seconds(30));
    assert_eq!((prerolled.is_ok(), state), (true, gst::State::Paused));
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &ends);
    let end = end.expect("an end");
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    pipeline.set_state(gst::State::Null).unwrap();
    std::mem::take(&mut *last.lock().unwrap())
}

fn kept(location: &str) -> Vec<KeptPerson> {
    let location = Location::parse(location).unwrap();
    let mut archive = Archive::open(&location, Purpose::Look).unwrap();
    archive.list().unwrap()
}

fn wall_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_nanos() as i64
}

#[test]
fn people_kept_from_an_earlier_run_are_neither_old_nor_seen_in_the_future() {
    let folder = tempfile::tempdir().unwrap();
    let location = format!("sqlite://{}/people.db", folder.path().display());
    let first = played(&location, &vec![vec![0, 1]; 20]);
    assert_eq!(first, [1, 2]);
    // Somebody new is there from the first frame on, which prerolls; later those of the first run come back.
    let mut frames = vec![vec![2]; 15];
    frames.extend(vec![vec![0, 1, 2]; 15]);
    let second = played(&location, &frames);
    assert_eq!(second, [1, 2, 3]);
    let people = kept(&location);
    assert_eq!(people.len(), 3, "{people:?}");
    let now = wall_ns();
    for person in &people {
        assert!(person.first_seen_ns <= person.last_seen_ns, "{person:?}");
        let age_s = (now - person.last_seen_ns) as f64 / 1e9;
        assert!((0.0..30.0).contains(&age_s), "{age_s}: {person:?}");
    }
}
