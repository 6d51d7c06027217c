//! `yolodetect` end to end on tiny generated detectors (`fixtures/make_yolo.py`): what it finds, what it refuses, what it
//! says, and how it behaves in a stream.

mod common;
#[path = "common/detect.rs"]
mod detect;
#[path = "common/events.rs"]
mod events;

use std::path::PathBuf;

use detect::{Stream, check_refused, detector};
use gst::prelude::*;
use gstreid::{core::person::Person, media::PeopleMeta};
use serde::Deserialize;

fn fixtures() -> PathBuf {
    common::root().join("tests/fixtures/yolo")
}

fn model(name: &str) -> String {
    fixtures()
        .join(format!("{name}.onnx"))
        .display()
        .to_string()
}

#[derive(Deserialize)]
struct Picture {
    frame: (usize, usize),
    /// x, y, w, h, r, g, b
    rects: Vec<[usize; 7]>,
    threshold: f32,
    iou: f32,
    cases: Vec<PictureCase>,
}

#[derive(Deserialize)]
struct PictureCase {
    model: String,
    layout: String,
    /// x, y, w, h, score, class
    expected: Vec<[f32; 6]>,
}

impl Picture {
    fn load() -> Self {
        let text = std::fs::read_to_string(fixtures().join("detect.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The picture in a packed format of 3 or 4 bytes a pixel; `offsets` are those of red, green and blue.
    fn packed(&self, offsets: [usize; 3], bytes: usize) -> Vec<u8> {
        let (width, height) = self.frame;
        // GStreamer's default strides are multiples of four.
        let stride = (width * bytes).next_multiple_of(4);
        let mut data = vec![0; stride * height];
        for &[x, y, w, h, r, g, b] in &self.rects {
            for row in y..y + h {
                for column in x..x + w {
                    for (offset, level) in offsets.iter().zip([r, g, b]) {
                        data[row * stride + column * bytes + offset] = level as u8;
                    }
                }
            }
        }
        data
    }

    fn rgb(&self) -> Vec<u8> {
        self.packed([0, 1, 2], 3)
    }
}

/// Every expected box is found, and nothing else.
fn check_people(name: &str, mut people: Vec<Person>, expected: &[[f32; 6]]) {
    for row in expected {
        let is_same = |p: &Person| {
            let found = [p.rect.x, p.rect.y, p.rect.w, p.rect.h];
            found.iter().zip(row).all(|(a, b)| (a - b).abs() <= 1e-3)
                && (p.confidence - row[4]).abs() <= 1e-4
                && p.label_id == row[5] as i32
        };
        let at = people
            .iter()
            .position(is_same)
            .unwrap_or_else(|| panic!("{name}: {row:?} is not in {people:#?}"));
        people.swap_remove(at);
    }
    assert!(people.is_empty(), "{name}: not expected: {people:#?}");
}

#[test]
fn tiny_detectors_find_what_the_reference_finds() {
    let picture = Picture::load();
    let (width, height) = picture.frame;
    let iou = picture.iou.to_string();
    let threshold = picture.threshold.to_string();
    for case in &picture.cases {
        let model = model(&case.model);
        let mut stream = Stream::new(&[
            ("model", &model),
            ("object-class", ""),
            ("threshold", &threshold),
            ("iou-threshold", &iou),
        ]);
        for (format, offsets, bytes) in [("RGB", [0, 1, 2], 3), ("xBGR", [3, 2, 1], 4)] {
            stream.caps(format, width, height);
            let people = stream.people(picture.packed(offsets, bytes)).unwrap();
            let name = format!("{} {format}", case.model);
            check_people(&name, people, &case.expected);
        }
        assert_eq!(stream.stat::<u64>("inferences"), 2);
        assert_eq!(stream.messages(gst::MessageType::Warning), [""; 0]);
        drop(stream);
        // Told the layout instead of guessing it, the element does the same; told another one, it refuses.
        let other = if case.layout == "detr" {
            "nanodet"
        } else {
            "detr"
        };
        check_refused(&[("model", &model), ("layout", other)], &["layout"]);
    }
}

#[test]
fn only_the_classes_asked_for_are_found() {
    let picture = Picture::load();
    let (width, height) = picture.frame;
    let expected = &picture.cases[0].expected;
    let model = model(&picture.cases[0].model);
    for (classes, ids) in [("person", vec![0]), ("a \"cat\", it's a dog", vec![1, 2])] {
        let mut stream = Stream::new(&[("model", &model), ("object-class", classes)]);
        stream.caps("RGB", width, height);
        let expected: Vec<[f32; 6]> = expected
            .iter()
            .filter(|row| ids.contains(&(row[5] as i32)))
            .copied()
            .collect();
        check_people(classes, stream.people(picture.rgb()).unwrap(), &expected);
    }
    // While it runs; what the model does not know changes nothing and is said once.
    let mut stream = Stream::new(&[("model", &model)]);
    stream.caps("RGB", width, height);
    for (classes, ids, warnings) in [
        ("person", vec![0], 0),
        ("a \"cat\", it's a dog", vec![1, 2], 0),
        ("unicorn", vec![1, 2], 1),
        ("unicorn", vec![1, 2], 0),
        ("person", vec![0], 0),
    ] {
        stream.element.set_property("object-class", classes);
        let rows = expected.iter().filter(|row| ids.contains(&(row[5] as i32)));
        let rows: Vec<[f32; 6]> = rows.copied().collect();
        check_people(classes, stream.people(picture.rgb()).unwrap(), &rows);
        let said = stream.messages(gst::MessageType::Warning);
        assert_eq!(said.len(), warnings, "{said:?}");
        assert!(
            said.iter().all(|text| text.contains("no class 'unicorn'")),
            "{said:?}"
        );
    }
    let mut few = Stream::new(&[("model", &model), ("max-detections", "2")]);
    few.caps("RGB", width, height);
    assert_eq!(few.people(picture.rgb()).unwrap().len(), 2);
}

#[test]
fn models_that_cannot_be_used_say_why() {
    let cases: &[(&str, &[&str])] = &[
        ("bad-rank", &["rank", "images"]),
        ("bad-no-batch", &["batch dimension"]),
        ("bad-channels", &["three colour channels"]),
        ("bad-layout", &["layout not supported", "`layout`"]),
        (
            "bad-ambiguous",
            &["ambiguous", "yolov8-transposed or yolox", "`layout`"],
        ),
        ("bad-external", &["external.onnx.data"]),
        ("open-64", &["does not run", "640x640", ".toml"]),
        ("face", &["no class 'person'", "face", "object-class"]),
    ];
    for (name, parts) in cases {
        check_refused(&[("model", &model(name))], parts);
    }
}

#[test]
fn files_that_are_no_models_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let whole = std::fs::read(model("yolov8")).unwrap();
    let cases = [
        (
            write("truncated.onnx", &whole[..whole.len() / 2]),
            "truncated",
        ),
        (write("zero.onnx", b""), "is empty"),
        (
            write("text.onnx", b"this is not a model at all\n"),
            "not an ONNX file",
        ),
        (folder.path().display().to_string(), "is a folder"),
        (
            folder.path().join("none.onnx").display().to_string(),
            "does not exist",
        ),
        // Reading it fails whoever asks, also for root.
        ("/proc/self/mem".into(), "model"),
    ];
    for (path, part) in &cases {
        check_refused(&[("model", path)], &[part, "model"]);
    }
}

#[test]
fn settings_that_cannot_be_met_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let labels = folder.path().join("labels.txt");
    std::fs::write(&labels, "person\ndog\n").unwrap();
    let labels = labels.display().to_string();
    let good = model("yolov8");
    check_refused(
        &[("model", &good), ("labels-file", &labels)],
        &["2 class names", "3", "labels-file"],
    );
    check_refused(
        &[("model", &good), ("labels-file", "/nowhere")],
        &["labels-file", "/nowhere"],
    );
    check_refused(
        &[("model", &good), ("object-class", "person,bird")],
        &["'bird'", "it's a dog"],
    );
    check_refused(
        &[("model", &good), ("device", "toaster")],
        &["toaster", "cpu"],
    );
    let beside = |toml: &str| {
        let path = folder.path().join("m.onnx");
        std::fs::copy(&good, &path).unwrap();
        std::fs::write(folder.path().join("m.toml"), toml).unwrap();
        path.display().to_string()
    };
    check_refused(
        &[("model", &beside("colour = 'rgb'"))],
        &["m.toml", "colour"],
    );
    check_refused(&[("model", &beside("width = 32"))], &["64x64", "32x64"]);
    check_refused(&[("model", &beside("layout = 'yolox'"))], &["layout"]);
}

#[test]
fn one_instance_id_means_one_model() {
    // Copies of its own: an id stays bound while anybody uses the model.
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: &str| {
        let path = folder.path().join(format!("{name}.onnx"));
        std::fs::copy(model(name), &path).unwrap();
        path.display().to_string()
    };
    let (first, second) = (copy("yolov8"), copy("segment"));
    let stream = Stream::new(&[("model", &first), ("model-instance-id", "one")]);
    let same = Stream::new(&[("model", &first), ("model-instance-id", "one")]);
    check_refused(
        &[("model", &second), ("model-instance-id", "one")],
        &["model-instance-id 'one'"],
    );
    drop((stream, same));
    Stream::new(&[("model", &second), ("model-instance-id", "one")]);
}

#[test]
fn a_size_falsely_declared_open_falls_back_to_one_that_works() {
    let mut stream = Stream::new(&[("model", &model("open-640")), ("object-class", "")]);
    stream.caps("RGB", 128, 96);
    assert!(!stream.people(Picture::load().rgb()).unwrap().is_empty());
}

/// Pushes pictures until a warning comes, `limit` at most.
fn warning_after(name: &str, limit: usize) -> (usize, Vec<String>) {
    let picture = Picture::load();
    let mut stream = Stream::new(&[("model", &model(name))]);
    stream.caps("RGB", picture.frame.0, picture.frame.1);
    let mut first = 0;
    let mut warnings = Vec::new();
    for i in 1..=limit {
        assert_eq!(stream.people(picture.rgb()), Some(Vec::new()), "{name}");
        warnings.extend(stream.messages(gst::MessageType::Warning));
        if first == 0 && !warnings.is_empty() {
            first = i;
        }
    }
    if name == "bad-nan" {
        assert!(stream.stat::<u64>("not-finite") >= limit as u64);
    }
    (first, warnings)
}

#[test]
fn models_that_never_find_anything_are_warned_about_once() {
    let cases = [
        ("bad-zero", 25, "exactly zero"),
        ("bad-capped", 250, "best score seen is 0.200"),
        ("bad-nan", 1, "not finite"),
        ("bad-outside", 25, "lies outside the picture"),
    ];
    for (name, frame, part) in cases {
        let (first, warnings) = warning_after(name, frame + 50);
        assert_eq!((first, warnings.len()), (frame, 1), "{name}: {warnings:?}");
        assert!(
            warnings[0].contains(part) && warnings[0].contains(name),
            "{warnings:?}"
        );
    }
}

#[test]
fn a_short_clip_in_which_nothing_is_found_is_warned_about_at_its_end() {
    detect::init();
    for (name, part) in [
        ("bad-capped", "nothing was found in 5 frames"),
        ("bad-outside", "set the property 'layout'"),
        ("bad-zero", "nothing was found in 5 frames"),
        ("yolov8", ""),
    ] {
        let launch = format!(
            "videotestsrc pattern=white num-buffers=5 ! video/x-raw,width=64,height=64 ! queue ! yolodetect model={} ! queue ! fakesink",
            model(name)
        );
        let pipeline = gst::parse::launch(&launch).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let kinds = [
            gst::MessageType::Eos,
            gst::MessageType::Error,
            gst::MessageType::Warning,
        ];
        let mut warnings = Vec::new();
        let bus = pipeline.bus().unwrap();
        loop {
            let message = bus
                .timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds)
                .unwrap();
            match message.view() {
                gst::MessageView::Warning(warning) => warnings.push(warning.error().to_string()),
                gst::MessageView::Error(error) => panic!("{name}: {}", error.error()),
                _ => break,
            }
        }
        pipeline.set_state(gst::State::Null).unwrap();
        match part {
            "" => assert_eq!(warnings, [""; 0], "{name}"),
            part => assert!(
                warnings.len() == 1 && warnings[0].to_lowercase().contains(part),
                "{name}: {warnings:?}"
            ),
        }
    }
}

#[test]
fn frames_between_inferences_pass_without_detections() {
    let picture = Picture::load();
    let mut stream = Stream::new(&[("model", &model("yolov8")), ("inference-interval", "3")]);
    stream.caps("RGB", picture.frame.0, picture.frame.1);
    let looked = |stream: &mut Stream| stream.people(picture.rgb()).is_some();
    let pattern: Vec<bool> = (0..7).map(|_| looked(&mut stream)).collect();
    assert_eq!(pattern, [true, false, false, true, false, false, true]);
    assert_eq!(stream.stat::<u64>("frames"), 7);
    assert_eq!(stream.stat::<u64>("inferences"), 3);
    events::flush(&mut stream.harness);
    assert!(
        looked(&mut stream),
        "the first frame after a flush is looked at"
    );
    stream.element.set_property("inference-interval", 1_u32);
    assert!(looked(&mut stream) && looked(&mut stream));
}

#[test]
fn caps_may_change_and_be_odd() {
    let mut stream = Stream::new(&[("model", &model("yolov8")), ("threshold", "0.5")]);
    for (format, width, height) in [
        ("I420", 1, 1),
        ("NV12", 33, 47),
        ("YUY2", 5, 3),
        ("GRAY8", 1920, 1080),
        ("I420", 64, 64),
        ("I420", 64, 66),
        ("UYVY", 127, 1),
    ] {
        stream.caps(format, width, height);
        let info = gst_video::VideoInfo::builder(
            gst_video::VideoFormat::from_string(format),
            width as u32,
            height as u32,
        )
        .build()
        .unwrap();
        // White in full range, nearly so in limited: found at any size and clipped to the frame.
        for _ in 0..2 {
            let people = stream.people(vec![255; info.size()]).unwrap();
            for person in &people {
                let r = person.rect;
                assert!(r.is_valid() && r.x >= 0.0 && r.y >= 0.0, "{format} {r:?}");
                assert!(
                    r.right() <= width as f32 + 1e-2 && r.bottom() <= height as f32 + 1e-2,
                    "{format} {width}x{height} {r:?}"
                );
            }
        }
    }
    assert_eq!(stream.messages(gst::MessageType::Error), [""; 0]);
}

#[test]
fn a_buffer_smaller_than_its_caps_is_an_error_not_a_crash() {
    let mut stream = Stream::new(&[("model", &model("yolov8"))]);
    stream.caps("RGB", 128, 96);
    assert_eq!(stream.push(vec![0; 100]).err(), Some(gst::FlowError::Error));
    let errors = stream.messages(gst::MessageType::Error);
    assert!(
        errors.len() == 1 && errors[0].contains("100 bytes"),
        "{errors:?}"
    );
}

#[test]
fn it_starts_and_stops_fifty_times() {
    let picture = Picture::load();
    let element = detector(&[("model", &model("yolov8"))]);
    for _ in 0..50 {
        let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        harness.play();
        harness.set_src_caps_str("video/x-raw,format=RGB,width=128,height=96,framerate=25/1");
        let buffer = harness
            .push_and_pull(gst::Buffer::from_mut_slice(picture.rgb()))
            .unwrap();
        assert!(buffer.meta::<PeopleMeta>().is_some());
        drop(harness);
        element.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn the_pixels_are_not_copied() {
    let picture = Picture::load();
    let mut stream = Stream::new(&[("model", &model("yolov8"))]);
    stream.caps("RGB", picture.frame.0, picture.frame.1);
    let buffer = gst::Buffer::from_mut_slice(picture.rgb());
    let before = buffer.map_readable().unwrap().as_ptr();
    stream.harness.push(buffer).unwrap();
    let after = stream.harness.pull().unwrap();
    assert_eq!(after.map_readable().unwrap().as_ptr(), before);
}
