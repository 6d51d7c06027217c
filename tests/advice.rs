//! What the elements say when a pipeline runs and does not do what its user expects: each once, with the remedy.

mod common;
#[path = "common/played.rs"]
mod played;

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use common::root;
use gst::prelude::*;
use gst_video::VideoRegionOfInterestMeta;
use gstreid::media::PeopleMeta;
use played::{Said, collect, parse, play, play_well, watch};

fn fixture(name: &str) -> String {
    let path = root().join("tests/fixtures").join(name);
    assert!(path.is_file(), "{} is missing", path.display());
    path.display().to_string()
}

/// The smallest embedder there is.
fn embedder() -> String {
    format!(
        "reidembed name=embed threads=1 model={}",
        fixture("embed/open.onnx")
    )
}

/// What is said of a launch line about a thing.
fn check_said(launch: &str, word: &str, times: usize) -> Said {
    let said = play_well(launch);
    assert_eq!(said.warnings_of(word).len(), times, "{launch}: {said:?}");
    said
}

const PEOPLE: &str =
    "reidtestsrc attach=detections pattern=crowd num-buffers=20 ! video/x-raw,width=320,height=240";

#[test]
fn a_tracker_without_vectors_says_so() {
    let embed = embedder();
    let word = "Put reidembed between";
    check_said(&format!("{PEOPLE} ! queue ! reidtrack ! fakesink"), word, 1);
    let said = check_said(
        &format!("{PEOPLE} ! queue ! reidtrack ! {embed} ! queue ! fakesink"),
        word,
        1,
    );
    assert_eq!(
        said.warnings_of("put reidembed before reidtrack").len(),
        1,
        "{said:?}"
    );
    for good in [
        format!("{PEOPLE} ! queue ! {embed} ! queue ! reidtrack ! fakesink"),
        format!("{PEOPLE} ! queue ! reidtrack motion-only=true ! fakesink"),
        // Too small for the embedder, which is there all the same.
        format!("{PEOPLE} ! queue ! {embed} min-height=1000 ! queue ! reidtrack ! fakesink"),
    ] {
        let said = play_well(&good);
        assert!(said.warnings.is_empty(), "{good}: {said:?}");
    }
}

/// Plays `rest` behind another detector, whose regions have these classes.
fn behind_detector(classes: &'static [&'static str], rest: &str) -> gst::Pipeline {
    let pipeline = parse(&format!(
        "videotestsrc num-buffers=20 ! video/x-raw,format=I420,width=640,height=480,framerate=25/1 ! identity name=detector ! queue ! {rest}"
    ));
    watch(&pipeline, "detector", move |buffer| {
        for (i, class) in classes.iter().enumerate() {
            let rect = (20 + 120 * i as u32, 100, 60, 150);
            VideoRegionOfInterestMeta::add(buffer, class, rect);
        }
    });
    pipeline
}

/// How many boxes get a vector, and what is said.
fn embedded(class: &'static [&'static str], setting: &str) -> (u64, Said) {
    let embed = embedder();
    let rest = format!("{embed} {setting} ! queue ! reidtrack ! fakesink");
    let pipeline = behind_detector(class, &rest);
    let embed = pipeline.by_name("embed").unwrap();
    let said = play(&pipeline);
    assert_eq!(said.error, None);
    let stats: gst::Structure = embed.property("stats");
    let count = |name| stats.get::<u64>(name).unwrap();
    (count("embedded") + count("reused"), said)
}

#[test]
fn people_are_embedded_whatever_another_detector_calls_them() {
    for class in [
        &["person"],
        &["pedestrian"],
        &["Human"],
        &["people"],
        &["0"],
        &[""],
    ] {
        let (count, said) = embedded(class, "");
        assert!(
            count == 20 && said.warnings.is_empty(),
            "{class:?}: {count} {said:?}"
        );
    }
    let (count, said) = embedded(&["car", "dog"], "");
    assert_eq!((count, said.warnings.len()), (0, 1), "{said:?}");
    let text = &said.warnings[0];
    assert!(
        text.contains("'car', 'dog'") && text.contains("Set object-class"),
        "{text}"
    );
    let (count, said) = embedded(&["pedestrian"], "object-class=person");
    assert_eq!((count, said.warnings.len()), (0, 1), "{said:?}");
    let (count, said) = embedded(&["car"], "object-class=car");
    assert!(count == 20 && said.warnings.is_empty(), "{said:?}");
}

/// Classes that carry an identity, and those that carry a track.
fn identified(embed: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let rest = format!(
        "{embed} ! queue ! reidtrack ! queue ! reidpublish location=/dev/null ! fakesink name=end"
    );
    let pipeline = behind_detector(&["person", "car", "dog"], &rest);
    let people = collect(&pipeline, "end", |buffer| {
        buffer.meta::<PeopleMeta>().unwrap().people().to_vec()
    });
    assert_eq!(play(&pipeline).error, None);
    let last = people.lock().unwrap().pop().unwrap();
    let named = |has: &dyn Fn(&gstreid::core::person::Person) -> bool| {
        let having = last.iter().filter(|person| has(person));
        having.map(|person| person.label.to_string()).collect()
    };
    (
        named(&|p| p.identity.is_some()),
        named(&|p| p.track.is_some()),
    )
}

#[test]
fn cars_and_dogs_are_followed_and_get_no_peoples_numbers() {
    let set = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<BTreeSet<_>>();
    let all = set(&["person", "car", "dog"]);
    assert_eq!(identified(&embedder()), (set(&["person"]), all.clone()));
    // Whoever asks for all gets all.
    let everything = format!("{} object-class=\"\"", embedder());
    assert_eq!(identified(&everything), (all.clone(), all));
}

#[test]
fn two_models_in_one_gallery_are_noticed() {
    let camera = |name: &str, model: &str| {
        format!(
            "{PEOPLE} ! queue ! reidembed threads=1 model={} ! queue ! reidtrack gallery=two-models camera={name} ! fakesink ",
            fixture(model)
        )
    };
    let word = "vectors of another model";
    let both = camera("a", "embed/open.onnx") + &camera("b", "embed/nhwc.onnx");
    let said = check_said(&both, word, 1);
    assert!(
        said.warnings[0].contains("gallery 'two-models'"),
        "{said:?}"
    );
    let same = camera("a", "embed/open.onnx") + &camera("b", "embed/open.onnx");
    check_said(&same, word, 0);
}

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
    let word = "is also the camera of another element";
    check_said(&(camera("door") + &camera("door")), word, 1);
    check_said(&(camera("door") + &camera("hall")), word, 0);
}

#[test]
fn an_exclamation_mark_for_a_value_is_explained() {
    for (element, property) in [
        (
            format!("yolodetect model={}", fixture("yolo/yolov8.onnx")),
            "object-class",
        ),
        (
            format!("yolodetect model={}", fixture("yolo/yolov8.onnx")),
            "labels-file",
        ),
        (embedder(), "object-class"),
        ("reidtrack".to_owned(), "gallery"),
        ("reidtrack".to_owned(), "camera"),
        ("reidoverlay".to_owned(), "blur-except"),
        ("reidpublish".to_owned(), "location"),
    ] {
        let launch = format!("videotestsrc num-buffers=2 ! {element} {property}= ! fakesink");
        let error = play(&parse(&launch)).error.unwrap_or_default();
        let expected = format!("{property} is '!'");
        assert!(
            error.contains(&expected) && error.contains("Write"),
            "{launch}: {error}"
        );
    }
    assert!(
        !Path::new("!").exists(),
        "reidpublish wrote into a file called '!'"
    );
}

/// Whether elements that cut and turn pictures say how, so that metas can follow.
fn crops_keep_metas() -> bool {
    gst::version() >= (1, 28, 0, 0)
}

#[test]
fn boxes_that_never_arrive_are_missed() {
    let word = "none of ";
    let lost: &[&str] = match crops_keep_metas() {
        false => &["videoflip video-direction=180", "videocrop left=10"],
        true => &["deinterlace mode=interlaced"],
    };
    for lost in lost {
        check_said(
            &format!(
                "{PEOPLE} ! {lost} ! queue ! reidtrack motion-only=true ! reidpublish location=/dev/null ! fakesink"
            ),
            word,
            2,
        );
    }
    // Long before the end, and once.
    let frames = "reidtestsrc num-buffers=600 ! video/x-raw,width=32,height=32";
    check_said(&format!("{frames} ! reidtrack ! fakesink"), word, 1);
    for good in [
        format!("{PEOPLE} ! reidtrack motion-only=true ! reidpublish location=/dev/null ! fakesink"),
        "reidtestsrc attach=detections people=0 num-buffers=300 ! video/x-raw,width=32,height=32 ! reidtrack ! reidpublish location=/dev/null ! fakesink".to_owned(),
    ] {
        check_said(&good, word, 0);
    }
}

#[test]
fn blurring_nobody_is_said_on_the_bus() {
    let word = "nobody in it is blurred";
    let frames = "reidtestsrc num-buffers=5 ! video/x-raw,width=64,height=48";
    check_said(
        &format!("{frames} ! reidoverlay blur=all ! fakesink"),
        word,
        1,
    );
    check_said(&format!("{frames} ! reidoverlay ! fakesink"), word, 0);
    check_said(
        &format!("{PEOPLE} ! reidoverlay blur=all ! fakesink"),
        word,
        0,
    );
}

#[test]
fn a_picture_that_is_to_be_turned_is_noticed() {
    let detect = format!(
        "yolodetect threads=1 model={} object-class=\"\"",
        fixture("yolo/yolov8.onnx")
    );
    let turned = "videotestsrc num-buffers=3 ! video/x-raw,width=64,height=48 ! taginject tags=\"image-orientation=(string)rotate-90\"";
    let word = "video-direction=auto";
    let said = check_said(&format!("{turned} ! queue ! {detect} ! fakesink"), word, 1);
    assert!(said.warnings_of(word)[0].contains("rotate-90"), "{said:?}");
    check_said(
        &format!("{turned} ! videoflip video-direction=auto ! queue ! {detect} ! fakesink"),
        word,
        0,
    );
}

#[test]
fn a_model_for_a_newer_runtime_is_told_without_signatures() {
    let mut bytes = fs::read(fixture("yolo/yolov8.onnx")).unwrap();
    // The first field of a model is its IR version.
    assert_eq!(bytes[0], 8);
    bytes[1] = 99;
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("newer.onnx");
    fs::write(&model, bytes).unwrap();
    let launch = format!(
        "videotestsrc ! yolodetect model={} ! fakesink",
        model.display()
    );
    let error = play(&parse(&launch)).error.unwrap_or_default();
    assert!(
        error.contains("newer ONNX Runtime") && error.contains("IR version: 99"),
        "{error}"
    );
    assert!(!error.contains("::") && !error.contains(".cc:"), "{error}");
}

#[test]
fn the_element_that_drops_people_is_named() {
    let inside = "( videoconvert ! videocrop name=cut left=32 )";
    let droppers: &[(&str, &str)] = &[
        ("videocrop name=cut left=32", "videocrop (cut)"),
        (
            "queue ! videobox name=cut left=32 ! queue",
            "videobox (cut)",
        ),
        (
            "videoflip name=turn video-direction=90r ! videoconvert",
            "videoflip (turn)",
        ),
        (inside, "videocrop (cut)"),
    ];
    let newer: &[(&str, &str)] = &[
        ("deinterlace name=cut mode=interlaced", "deinterlace (cut)"),
        (
            "queue ! ( videoconvert ! deinterlace name=cut mode=interlaced )",
            "deinterlace (cut)",
        ),
    ];
    for (between, culprit) in if crops_keep_metas() { newer } else { droppers } {
        for last in [
            "reidtrack motion-only=true",
            "reidpublish location=/dev/null",
        ] {
            let launch = format!("{PEOPLE},format=I420 ! {between} ! queue ! {last} ! fakesink");
            let said = play_well(&launch);
            let drops = said.warnings_of("drops the metadata");
            assert_eq!(drops.len(), 1, "{launch}: {said:?}");
            assert!(
                drops[0].contains(&format!("{culprit} in front")),
                "{launch}: {drops:?}"
            );
        }
    }
    // Nobody has looked: nobody is to blame.
    let said =
        play_well("videotestsrc num-buffers=20 ! queue ! videocrop left=8 ! reidtrack ! fakesink");
    assert_eq!(said.warnings_of("put a detector").len(), 1, "{said:?}");
}
