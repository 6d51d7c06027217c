//! What the elements say when a pipeline runs and does not do what its user expects: each once, with the remedy.

#[path = "common/played.rs"]
mod played;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex},
};

use gst::prelude::*;
use gst_video::VideoRegionOfInterestMeta;
use played::{Said, collect, parse, play, play_well, watch};

/// What is said of a launch line about a thing.
fn check_said(launch: &str, word: &str, times: usize) -> Said {
    let said = play_well(launch);
    assert_eq!(said.warnings_of(word).len(), times, "{launch}: {said:?}");
    said
}

const PEOPLE: &str =
    "reidtestsrc attach=detections pattern=crowd num-buffers=20 ! video/x-raw,width=320,height=240";

/// The names of the cameras in the regions of a pipeline with sinks `end0`, `end1`.
fn cameras(pipeline: &gst::Pipeline, count: usize) -> Vec<BTreeSet<String>> {
    let seen: Vec<_> = (0..count)
        .map(|i| {
            watch(pipeline, &format!("detector{i}"), |buffer| {
                VideoRegionOfInterestMeta::add(buffer, "person", (8, 8, 16, 30));
            });
            collect(pipeline, &format!("end{i}"), |buffer| {
                let roi = buffer.meta::<VideoRegionOfInterestMeta>()?;
                roi.param("reid")?.get::<String>("camera").ok()
            })
        })
        .collect();
    assert_eq!(play(pipeline).error, None);
    let names = |all: &Arc<Mutex<Vec<Option<String>>>>| {
        all.lock().unwrap().iter().flatten().cloned().collect()
    };
    seen.iter().map(names).collect()
}

fn record(file: &Path) {
    play_well(&format!(
        "videotestsrc num-buffers=10 ! video/x-raw,format=I420,width=64,height=48 ! x264enc ! mp4mux ! filesink location=\"{}\"",
        file.display()
    ));
}

#[test]
fn cameras_are_called_after_their_source() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("front door.mp4");
    record(&file);
    let played = |i: usize| {
        format!(
            "filesrc location=\"{}\" ! decodebin ! queue ! identity name=detector{i} ! reidtrack motion-only=true gallery=named ! fakesink name=end{i} ",
            file.display()
        )
    };
    // One after the other started: which is first is left open.
    let found = cameras(&parse(&(played(0) + &played(1))), 2);
    let found: BTreeSet<String> = found.into_iter().flatten().collect();
    let expected = ["front door", "front door-2"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(expected));
    // The name is free again, and the same as before.
    let again = cameras(&parse(&played(0)), 1);
    assert_eq!(again, [BTreeSet::from(["front door".to_owned()])]);
    let made = "videotestsrc num-buffers=5 ! video/x-raw,width=64,height=48 ! queue ! identity name=detector0 ! reidtrack motion-only=true name=hall ! fakesink name=end0";
    assert_eq!(
        cameras(&parse(made), 1),
        [BTreeSet::from(["hall".to_owned()])]
    );
}

#[test]
fn two_cameras_of_one_name_are_noticed() {
    let camera = |name: &str| {
        format!(
            "{PEOPLE} ! queue ! reidtrack motion-only=true gallery=same-name camera={name} ! fakesink "
        )
    };
    let word = "is the name of another element";
    check_said(&(camera("door") + &camera("door")), word, 1);
    check_said(&(camera("door") + &camera("hall")), word, 0);
}
