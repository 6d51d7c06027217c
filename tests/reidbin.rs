//! `reidbin` in real pipelines: it does what its elements do side by side, and everything of theirs is reached through it.

#[path = "common/played.rs"]
mod played;

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use gst::prelude::*;
use played::{collect, init, parse, play};

/// The elements that the bin stands for, with what makes them independent of the speed of threads: no vector is carried on.
const BY_HAND: &str =
    "yolodetect ! queue ! reidembed reuse-interval=0 ! queue ! reidtrack name=track";
const BY_BIN: &str = "reidbin name=bin embed::reuse-interval=0";

/// A camera of the test source in front of `line`, with the properties that a gallery needs.
fn camera(number: u32, line: &str, gallery: &str, location: &Path) -> gst::Pipeline {
    let name = ["door", "hall"][number as usize];
    let pipeline = parse(&format!(
        "reidtestsrc name=source pattern=crossing people=3 camera={number} num-buffers=25 \
         ! video/x-raw,format=I420,width=640,height=480,framerate=10/1 \
         ! {line} gallery={gallery} camera={name} ! reidpublish location={} ! fakesink",
        location.display()
    ));
    // Both cameras count from one moment, whenever they are started.
    pipeline.set_start_time(gst::ClockTime::NONE);
    pipeline.set_base_time(gst::ClockTime::ZERO);
    pipeline
}

/// The JSON lines of two cameras of a gallery, one after the other.
fn two_cameras(line: &str, gallery: &str) -> [String; 2] {
    let folder = tempfile::tempdir().unwrap();
    let files = ["door.jsonl", "hall.jsonl"].map(|name| folder.path().join(name));
    // Both are there until the end, and with them the gallery.
    let cameras = [0, 1].map(|i| camera(i, line, gallery, &files[i as usize]));
    for camera in &cameras {
        assert_eq!(play(camera).error, None);
    }
    files.map(|file| without_source(&fs::read_to_string(file).unwrap()))
}

/// The lines without the stream's id, which the test source makes up anew for each stream.
fn without_source(lines: &str) -> String {
    let mut all = String::new();
    for line in lines.lines() {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("source");
        all += &format!("{line}\n");
    }
    all
}

fn ids(lines: &str) -> Vec<u64> {
    let mut ids: Vec<u64> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .flat_map(|line| {
            let objects = line["objects"].as_array().cloned().unwrap_or_default();
            objects
                .into_iter()
                .filter_map(|object| object["reid"]["global_id"].as_u64())
        })
        .filter(|&id| id > 0)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[test]
fn two_bins_of_a_gallery_tell_what_the_elements_tell() {
    let by_hand = two_cameras(BY_HAND, "by-hand");
    let by_bin = two_cameras(BY_BIN, "by-bin");
    let shared: Vec<u64> = ids(&by_hand[0])
        .into_iter()
        .filter(|id| ids(&by_hand[1]).contains(id))
        .collect();
    assert!(!shared.is_empty(), "the cameras share nobody: {by_hand:?}");
    for (hand, bin) in by_hand.iter().zip(&by_bin) {
        assert!(hand.lines().count() > 10, "{hand}");
        assert_eq!(hand, bin);
    }
}

/// The pictures that leave a pipeline of few frames.
fn pictures(line: &str) -> Vec<Vec<u8>> {
    let pipeline = picture_pipeline(line);
    played_pictures(&pipeline)
}

fn picture_pipeline(line: &str) -> gst::Pipeline {
    parse(&format!(
        "reidtestsrc pattern=crowd num-buffers=12 ! video/x-raw,format=I420,width=640,height=480,framerate=10/1 \
         ! {line} ! fakesink name=end"
    ))
}

fn played_pictures(pipeline: &gst::Pipeline) -> Vec<Vec<u8>> {
    let seen = collect(pipeline, "end", |buffer| {
        buffer.map_readable().unwrap().to_vec()
    });
    assert_eq!(play(pipeline).error, None);
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(seen.len(), 12);
    seen
}

#[test]
fn the_overlay_draws_what_it_draws_alone() {
    let plain = pictures("identity");
    let by_hand = pictures(&format!("{BY_HAND} ! reidoverlay line-width=5"));
    assert!(plain != by_hand, "nobody is drawn");
    assert!(
        pictures(&format!("{BY_BIN} overlay::line-width=5 overlay=true")) == by_hand,
        "the bin's overlay draws something else"
    );
    assert!(pictures(BY_BIN) == plain, "drawn without overlay=true");
}

#[test]
fn the_overlay_comes_and_goes_in_null_and_ready() {
    let pipeline = picture_pipeline(&format!("{BY_BIN} overlay=true overlay::line-width=5"));
    let bin = pipeline.by_name("bin").unwrap();
    let plain = pictures("identity");
    assert!(played_pictures(&pipeline) != plain);
    pipeline.set_state(gst::State::Ready).unwrap();
    bin.set_property("overlay", false);
    assert!(child(&bin, "overlay").is_none());
    assert!(played_pictures(&pipeline) == plain);
    bin.set_property("overlay", true);
    let overlay = child(&bin, "overlay").unwrap();
    assert_eq!(
        overlay.property::<u32>("line-width"),
        5,
        "kept while it was out"
    );
    assert!(played_pictures(&pipeline) != plain);
}

#[test]
fn the_overlay_that_is_changed_while_playing_comes_with_the_next_start() {
    let pipeline = parse(
        "reidtestsrc pattern=empty is-live=true ! video/x-raw,framerate=10/1 ! reidbin name=bin ! fakesink",
    );
    let bin = pipeline.by_name("bin").unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let (reached, ..) = pipeline.state(gst::ClockTime::from_seconds(60));
    reached.unwrap();
    bin.set_property("overlay", true);
    assert!(child(&bin, "overlay").is_none());
    pipeline.set_state(gst::State::Ready).unwrap();
    pipeline.set_state(gst::State::Paused).unwrap();
    assert!(child(&bin, "overlay").is_some());
    pipeline.set_state(gst::State::Null).unwrap();
}

fn bin(line: &str) -> gst::Element {
    init();
    gst::parse::bin_from_description(line, true)
        .unwrap_or_else(|error| panic!("{line}: {error}"))
        .by_name("bin")
        .unwrap()
}

fn child(bin: &gst::Element, name: &str) -> Option<gst::Element> {
    let proxy = bin.dynamic_cast_ref::<gst::ChildProxy>().unwrap();
    proxy.child_by_name(name).and_downcast()
}

#[test]
fn a_launch_line_reaches_every_childs_properties() {
    let bin = bin(
        "reidbin name=bin detect::threshold=0.4 embed::batch-size=3 track::max-age=7 overlay::font-size=9 overlay=true",
    );
    let of = |name: &str| child(&bin, name).unwrap();
    assert_eq!(of("detect").property::<f32>("threshold"), 0.4);
    assert_eq!(of("embed").property::<u32>("batch-size"), 3);
    assert_eq!(of("track").property::<u64>("max-age"), 7);
    assert_eq!(of("overlay").property::<u32>("font-size"), 9);
    for name in ["detect", "embed", "track", "overlay"] {
        let factory = of(name).factory().unwrap().name();
        assert!(factory.starts_with("yolo") || factory.starts_with("reid"));
    }
}

/// The bin's name of a property, whose it is, and what they call it.
const PROXIED: [(&str, &[&str], &str); 8] = [
    ("detector", &["detect"], "model"),
    ("embedder", &["embed"], "model"),
    ("device", &["detect", "embed"], "device"),
    ("gallery", &["track"], "gallery"),
    ("gallery-location", &["track"], "gallery-location"),
    ("camera", &["track"], "camera"),
    ("topology", &["track"], "topology"),
    ("blur", &["overlay"], "blur"),
];

#[test]
fn properties_are_the_childrens() {
    let bin = bin("reidbin name=bin overlay=true");
    for (name, children, property) in PROXIED {
        let spec = bin.find_property(name).unwrap();
        for child in children.iter().map(|name| child(&bin, name).unwrap()) {
            let theirs = child.find_property(property).unwrap();
            assert_eq!(spec.flags(), theirs.flags(), "{name}");
            assert_eq!(spec.value_type(), theirs.value_type(), "{name}");
            assert!(
                spec.blurb().unwrap().ends_with(theirs.blurb().unwrap()) || name == "device",
                "{name}"
            );
        }
        let value = if name == "blur" { "all" } else { "x" };
        bin.set_property_from_str(name, value);
        let read = bin.property_value(name).serialize().unwrap();
        assert_eq!(read, value, "{name}");
        for child in children.iter().map(|name| child(&bin, name).unwrap()) {
            assert_eq!(child.property_value(property).serialize().unwrap(), value);
        }
    }
}

#[test]
fn queues_hold_few_frames_and_nothing_else_limits_them() {
    let bin = bin("reidbin name=bin");
    for name in ["embed-queue", "track-queue"] {
        let queue = child(&bin, name).unwrap();
        assert_eq!(queue.property::<u32>("max-size-buffers"), 2);
        assert_eq!(queue.property::<u32>("max-size-bytes"), 0);
        assert_eq!(queue.property::<u64>("max-size-time"), 0);
    }
}

/// The first error of a pipeline that does not start: who says it, and what.
fn error_of(pipeline: &gst::Pipeline) -> (String, String) {
    assert!(pipeline.set_state(gst::State::Playing).is_err());
    let bus = pipeline.bus().unwrap();
    let message = bus
        .timed_pop_filtered(gst::ClockTime::from_seconds(10), &[gst::MessageType::Error])
        .expect("an error on the bus");
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!("only errors are asked for");
    };
    pipeline.set_state(gst::State::Null).unwrap();
    (
        message.src().unwrap().name().to_string(),
        error.error().to_string(),
    )
}

#[test]
fn a_missing_model_stops_the_start_with_cause_and_remedy_until_it_is_mended() {
    for (property, child) in [("detector", "detect"), ("embedder", "embed")] {
        let pipeline = picture_pipeline(&format!("{BY_BIN} {property}=no-such-file.onnx"));
        let (who, what) = error_of(&pipeline);
        assert_eq!(who, child);
        for word in ["no-such-file.onnx", "model"] {
            assert!(what.contains(word), "{what}");
        }
        let bin = pipeline.by_name("bin").unwrap();
        bin.set_property(property, None::<&str>);
        // Once more after NULL, and again.
        for _ in 0..2 {
            played_pictures(&pipeline);
        }
    }
}

#[test]
fn blurring_without_an_overlay_is_refused() {
    let pipeline = picture_pipeline(&format!("{BY_BIN} blur=all"));
    let (who, what) = error_of(&pipeline);
    assert_eq!(who, "bin");
    assert!(what.contains("overlay=true"), "{what}");
    let bin = pipeline.by_name("bin").unwrap();
    bin.set_property("overlay", true);
    let blurred = played_pictures(&pipeline);
    bin.set_property_from_str("blur", "none");
    assert!(
        blurred != played_pictures(&pipeline),
        "nobody was made unrecognisable"
    );
}

/// What an element told by `identity-new`.
fn told(element: &gst::Element) -> Arc<Mutex<Vec<(u32, String, u32)>>> {
    let all = Arc::new(Mutex::new(Vec::new()));
    let kept = all.clone();
    element.connect("identity-new", false, move |values| {
        let told = (
            values[1].get().unwrap(),
            values[2].get().unwrap(),
            values[3].get().unwrap(),
        );
        kept.lock().unwrap().push(told);
        None
    });
    all
}

#[test]
fn signals_are_told_and_asked_by_the_bin() {
    let pipeline = picture_pipeline(BY_BIN);
    let bin = pipeline.by_name("bin").unwrap();
    let (ours, theirs) = (told(&bin), told(&child(&bin, "track").unwrap()));
    let messages = pipeline.bus().unwrap();
    let seen = Arc::new(Mutex::new(0));
    let counted = seen.clone();
    messages.set_sync_handler(move |_, message| {
        let name = message.structure().map(|s| s.name().to_string());
        if name.as_deref() == Some("reid-identity-new") {
            *counted.lock().unwrap() += 1;
        }
        gst::BusSyncReply::Pass
    });
    played_pictures(&pipeline);
    let ours = ours.lock().unwrap().clone();
    assert!(ours.len() > 1, "too few people came: {ours:?}");
    assert_eq!(ours, *theirs.lock().unwrap());
    assert_eq!(ours.len(), *seen.lock().unwrap(), "messages on the bus");
    // A camera that nobody named has the name of the bin, which is the one that users gave or see.
    assert_eq!(ours[0].1, "bin");
    pipeline.set_state(gst::State::Paused).unwrap();
    let ask = |signal: &str, values: &[&dyn ToValue]| bin.emit_by_name::<bool>(signal, values);
    let (first, second) = (ours[0].0, ours[1].0);
    assert!(ask("rename", &[&first, &"Anna"]));
    assert!(!ask("rename", &[&999_u32, &"Nobody"]));
    assert!(ask("forget", &[&second]));
    assert!(!ask("forget", &[&second]), "gone already");
    assert!(!ask("merge", &[&first, &second]), "gone already");
    assert_eq!(bin.emit_by_name::<u32>("split", &[&first, &""]), 0);
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn every_signal_of_the_tracker_is_the_bins() {
    let bin = bin("reidbin name=bin");
    let track = child(&bin, "track").unwrap();
    for name in [
        "identity-new",
        "identity-matched",
        "identity-merged",
        "identity-split",
        "identity-corrected",
        "identity-lost",
        "rename",
        "merge",
        "split",
        "forget",
    ] {
        let of = |element: &gst::Element| {
            let query = glib::subclass::SignalId::lookup(name, element.type_())
                .unwrap_or_else(|| panic!("{} has no {name}", element.name()))
                .query();
            let mut types = vec![glib::Type::from(query.return_type())];
            types.extend(query.param_types().iter().map(|&t| glib::Type::from(t)));
            types
        };
        assert_eq!(of(&bin), of(&track), "{name}");
    }
}

#[test]
fn the_announcements_of_the_tracker_reach_the_bin_with_their_values() {
    let bin = bin("reidbin name=bin");
    let track = child(&bin, "track").unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = heard.clone();
    bin.connect("identity-corrected", false, move |values| {
        let values = (
            values[1].get::<u32>().unwrap(),
            values[2].get::<u32>().unwrap(),
            values[3].get::<String>().unwrap(),
            values[4].get::<u32>().unwrap(),
        );
        kept.lock().unwrap().push(values);
        None
    });
    track.emit_by_name::<()>("identity-corrected", &[&3_u32, &5_u32, &"door", &8_u32]);
    assert_eq!(*heard.lock().unwrap(), [(3, 5, "door".to_owned(), 8)]);
}
