//! A camera that changes its resolution in mid-stream: the same view in another size goes on, another shape begins anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use gst::prelude::*;
use gstreid::media::PeopleMeta;

/// Tracks and their middles in parts of the picture, frame by frame, with the picture's size.
type Seen = Vec<([u32; 2], BTreeMap<u32, (f32, f32)>)>;

const FRAMES: usize = 80;

/// What `reidtrack` says while the picture changes from `before` to `after` at half of the frames.
fn played(before: &str, after: &str) -> Seen {
    gst::init().unwrap();
    // Registered once in this process.
    static REGISTERED: std::sync::Once = std::sync::Once::new();
    REGISTERED.call_once(|| gstreid::plugin_register_static().unwrap());
    let launch = format!(
        "reidtestsrc pattern=crossing people=4 attach=detections num-buffers={FRAMES} ! video/x-raw,width=640,height=480,framerate=25/1 ! identity name=counter signal-handoffs=true ! videoscale add-borders=false ! capsfilter name=size caps=video/x-raw,{before} ! reidtrack name=track motion-only=true ! fakesink"
    );
    let pipeline: gst::Pipeline = gst::parse::launch(&launch).unwrap().downcast().unwrap();
    let size = pipeline.by_name("size").unwrap();
    let caps = format!("video/x-raw,{after}").parse::<gst::Caps>().unwrap();
    let count = Mutex::new(0);
    let counter = pipeline.by_name("counter").unwrap();
    counter.connect("handoff", false, move |_| {
        let mut count = count.lock().unwrap();
        *count += 1;
        if *count == FRAMES / 2 {
            size.set_property("caps", &caps);
        }
        None
    });
    let seen = Arc::<Mutex<Seen>>::default();
    let theirs = seen.clone();
    let pad = pipeline
        .by_name("track")
        .unwrap()
        .static_pad("src")
        .unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let meta = info.buffer().and_then(|buffer| buffer.meta::<PeopleMeta>());
        let meta = meta.expect("a list of people");
        let (w, h) = (meta.frame_size().width, meta.frame_size().height);
        let people = meta.people().iter().filter_map(|person| {
            let (x, y) = person.rect.centre();
            Some((person.track?.id.0, (x / w as f32, y / h as f32)))
        });
        theirs.lock().unwrap().push(([w, h], people.collect()));
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let limit = gst::ClockTime::try_from(Duration::from_secs(60)).unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(limit, &ends).expect("an end");
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    pipeline.set_state(gst::State::Null).unwrap();
    std::mem::take(&mut *seen.lock().unwrap())
}

/// Tracks of the last frame before the change and of the second after it.
fn across(seen: &Seen) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let first = seen[0].0;
    let change = seen
        .iter()
        .position(|(size, _)| *size != first)
        .expect("a change");
    let tracks = |at: usize| seen[at].1.keys().copied().collect();
    (tracks(change - 1), tracks(change + 1))
}

#[test]
fn tracks_go_on_in_another_size_of_the_same_view() {
    let sizes = [
        "width=640,height=480",
        "width=1024,height=768",
        "width=320,height=240",
    ];
    // The same view with pixels that are not square.
    let narrow = "width=480,height=480,pixel-aspect-ratio=4/3";
    for (before, after) in [
        (sizes[0], sizes[1]),
        (sizes[0], sizes[2]),
        (sizes[2], sizes[1]),
        (sizes[0], narrow),
    ] {
        let seen = played(before, after);
        let (old, new) = across(&seen);
        assert!(old.len() >= 2, "{old:?}");
        assert_eq!(old, new, "{before} to {after}");
        // Nobody jumps: a box that was not scaled would.
        for pair in seen.windows(2) {
            for (track, (x, y)) in &pair[1].1 {
                let Some(before) = pair[0].1.get(track) else {
                    continue;
                };
                let jump = (x - before.0).hypot(y - before.1);
                assert!(jump < 0.05, "{track} by {jump}");
            }
        }
    }
}

#[test]
fn another_shape_begins_anew() {
    let seen = played(
        "width=640,height=480,pixel-aspect-ratio=1/1",
        "width=640,height=360,pixel-aspect-ratio=1/1",
    );
    let (old, new) = across(&seen);
    assert!(old.len() >= 2 && old.is_disjoint(&new), "{old:?} {new:?}");
}
