//! `reidembed` end to end on tiny generated embedders (`fixtures/make_embedders.py`), whose vector of a crop is the mean
//! colour of its upper and of its lower half, and on third-party embedders where they are at hand.

mod common;
#[path = "common/events.rs"]
mod events;

use std::{path::Path, sync::LazyLock};

use gst::prelude::*;
use gstreid::{
    core::{
        embedding::Embedding,
        geometry::Rect,
        image::{ColourModel, PixelFormat},
        person::Person,
    },
    inference::{Embedder, EmbedderRequest, ModelRequest, Precision, device::Device},
    media::{FrameSize, MappedFrame, PeopleMeta, caps},
};

const WIDTH: usize = 200;
const HEIGHT: usize = 120;
const SIZE: FrameSize = FrameSize {
    width: WIDTH as u32,
    height: HEIGHT as u32,
};

fn init() {
    static INIT: LazyLock<()> = LazyLock::new(|| {
        gst::init().unwrap();
        gstreid::plugin_register_static().unwrap();
    });
    *INIT
}

fn model(name: &str) -> String {
    let file = format!("tests/fixtures/embed/{name}.onnx");
    common::root().join(file).display().to_string()
}

type Properties<'a> = &'a [(&'a str, &'a str)];

fn embedder(properties: Properties) -> gst::Element {
    init();
    let element = gst::ElementFactory::make("reidembed").build().unwrap();
    for (name, value) in properties {
        element.set_property_from_str(name, value);
    }
    element
}

/// Somebody in the picture: a box whose upper and lower half have a colour each.
#[derive(Clone, Copy)]
struct Figure {
    rect: [usize; 4],
    upper: [u8; 3],
    lower: [u8; 3],
}

const FIGURES: [Figure; 3] = [
    Figure {
        rect: [10, 10, 32, 64],
        upper: [220, 30, 40],
        lower: [20, 40, 200],
    },
    Figure {
        rect: [60, 20, 40, 80],
        upper: [30, 180, 60],
        lower: [90, 90, 90],
    },
    Figure {
        rect: [120, 4, 48, 96],
        upper: [230, 220, 60],
        lower: [60, 20, 120],
    },
];

impl Figure {
    fn person(&self) -> Person {
        let [x, y, w, h] = self.rect.map(|v| v as f32);
        person(Rect::new(x, y, w, h))
    }

    /// The direction of the vector of a model that is fed `(pixel * scale - mean) / std`.
    fn expected(&self, feed: &Feed) -> Vec<f32> {
        let half = |rgb: [u8; 3]| {
            let channels = if feed.bgr {
                [rgb[2], rgb[1], rgb[0]]
            } else {
                rgb
            };
            [0, 1, 2].map(|c| (f32::from(channels[c]) * feed.scale - feed.mean[c]) / feed.std[c])
        };
        let (upper, lower) = (half(self.upper), half(self.lower));
        let numbers = (0..3).flat_map(|c| [upper[c], lower[c]]);
        let numbers: Vec<f32> = numbers.collect();
        let norm = numbers.iter().map(|v| v * v).sum::<f32>().sqrt();
        numbers.iter().map(|v| v / norm).collect()
    }
}

/// How a model is fed.
struct Feed {
    bgr: bool,
    scale: f32,
    mean: [f32; 3],
    std: [f32; 3],
}

const IMAGENET: Feed = Feed {
    bgr: false,
    scale: 1.0 / 255.0,
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
};

fn person(rect: Rect) -> Person {
    Person::detected(rect, 0.9, "person".into(), 0)
}

fn people(figures: &[Figure]) -> Vec<Person> {
    figures.iter().map(Figure::person).collect()
}

/// The picture as an RGB buffer; GStreamer's default strides.
fn picture(figures: &[Figure]) -> gst::Buffer {
    let info = info("RGB");
    let mut buffer = gst::Buffer::with_size(info.size()).unwrap();
    let mut map = buffer.get_mut().unwrap().map_writable().unwrap();
    map.fill(0);
    let stride = info.stride()[0] as usize;
    for figure in figures {
        let [x, y, w, h] = figure.rect;
        for row in 0..h {
            let color = if row < h / 2 {
                figure.upper
            } else {
                figure.lower
            };
            for column in 0..w {
                let at = (y + row) * stride + (x + column) * 3;
                map[at..at + 3].copy_from_slice(&color);
            }
        }
    }
    drop(map);
    buffer
}

fn info(format: &str) -> gst_video::VideoInfo {
    let format = gst_video::VideoFormat::from_string(format);
    gst_video::VideoInfo::builder(format, SIZE.width, SIZE.height)
        .fps(gst::Fraction::new(25, 1))
        .build()
        .unwrap()
}

/// A stream of pictures into one embedder.
struct Stream {
    harness: gst_check::Harness,
    element: gst::Element,
    bus: gst::Bus,
}

impl Stream {
    fn new(properties: Properties) -> Self {
        let element = embedder(properties);
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        harness.play();
        harness.set_src_caps(info("RGB").to_caps().unwrap());
        Self {
            harness,
            element,
            bus,
        }
    }

    fn pass(&mut self, buffer: gst::Buffer) -> Result<gst::Buffer, gst::FlowError> {
        self.harness.push(buffer)?;
        self.harness.pull().map_err(|_| gst::FlowError::Error)
    }

    /// The people that come out when `people` go in on this picture.
    fn embed(&mut self, mut picture: gst::Buffer, people: Vec<Person>) -> Vec<Person> {
        PeopleMeta::set(picture.get_mut().unwrap(), SIZE, people);
        people_of(&self.pass(picture).unwrap()).unwrap()
    }

    fn warnings(&self) -> Vec<String> {
        std::iter::from_fn(|| self.bus.pop_filtered(&[gst::MessageType::Warning]))
            .map(|message| match message.view() {
                gst::MessageView::Warning(w) => w.error().to_string(),
                _ => String::new(),
            })
            .collect()
    }

    fn stat(&self, name: &str) -> u64 {
        let stats = self.element.property::<gst::Structure>("stats");
        stats.get(name).unwrap()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.element.set_bus(None);
    }
}

fn people_of(buffer: &gst::BufferRef) -> Option<Vec<Person>> {
    buffer
        .meta::<PeopleMeta>()
        .map(|meta| meta.people().to_vec())
}

fn vector(person: &Person) -> &Embedding {
    person.embedding.as_ref().expect("the person has a vector")
}

/// Numbers of a flat picture pass through resize and network nearly unchanged; rows where the halves meet blur a little.
fn check_vector(name: &str, got: &Embedding, expected: &[f32], tolerance: f32) {
    assert_eq!(got.dimension(), expected.len(), "{name}");
    for (a, b) in got.values().iter().zip(expected) {
        assert!((a - b).abs() <= tolerance, "{name}: {a} for {b}");
    }
}

#[test]
fn models_are_fed_as_they_say_or_as_is_usual() {
    let one = Feed {
        bgr: true,
        scale: 1.0 / 255.0,
        mean: [0.1, 0.2, 0.3],
        std: [0.5, 1.0, 2.0],
    };
    let sidecar = Feed {
        bgr: true,
        scale: 1.0,
        mean: [10.0, 20.0, 30.0],
        std: [1.0; 3],
    };
    let levels = Feed {
        bgr: true,
        mean: [0.0; 3],
        scale: 1.0,
        std: [1.0; 3],
    };
    let cases = [
        ("open", &IMAGENET),
        ("one", &one),
        ("four", &IMAGENET),
        ("nhwc", &levels),
        ("sidecar", &sidecar),
        ("half", &IMAGENET),
        ("false-open", &IMAGENET),
    ];
    for (name, feed) in cases {
        let mut stream = Stream::new(&[("model", &model(name))]);
        let found = stream.embed(picture(&FIGURES), people(&FIGURES));
        assert_eq!(found.len(), FIGURES.len());
        for (person, figure) in found.iter().zip(FIGURES) {
            check_vector(name, vector(person), &figure.expected(feed), 0.01);
        }
        assert_eq!((stream.stat("embedded"), stream.stat("skipped")), (3, 0));
    }
}

#[test]
fn of_a_classifier_the_vectors_are_taken_and_it_is_said() {
    let mut stream = Stream::new(&[("model", &model("classifier"))]);
    let warnings = stream.warnings();
    assert!(
        warnings.len() == 1 && warnings[0].contains("'vectors' is used"),
        "{warnings:?}"
    );
    let found = stream.embed(picture(&FIGURES), people(&FIGURES));
    for (person, figure) in found.iter().zip(FIGURES) {
        let expected = figure.expected(&IMAGENET);
        check_vector("classifier", vector(person), &expected, 0.01);
    }
    // Told by the sidecar, it says nothing, and vectors of another output never meet these.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    std::fs::copy(model("classifier"), &path).unwrap();
    let with = |toml: &str| {
        std::fs::write(folder.path().join("m.toml"), toml).unwrap();
        let mut stream = Stream::new(&[("model", &path.display().to_string())]);
        let found = stream.embed(picture(&FIGURES), people(&FIGURES));
        (stream.warnings(), vector(&found[0]).clone())
    };
    let (silent, vectors) = with("output = 'vectors'");
    let (_, logits) = with("output = 'logits'");
    assert_eq!(silent, [""; 0]);
    assert_eq!((vectors.values().len(), logits.values().len()), (6, 7));
    assert_eq!(vectors.model(), vector(&found[0]).model());
    assert_ne!(vectors.model(), logits.model());
}

#[test]
fn every_format_gives_the_same_vector() {
    let mut stream = Stream::new(&[("model", &model("open"))]);
    let rgb = picture(&FIGURES);
    let wanted = stream.embed(rgb.copy(), people(&FIGURES));
    for format in PixelFormat::ALL {
        if format.model() == ColourModel::Grey {
            continue;
        }
        let widest = format.channels().iter().map(|channel| channel.wide).max();
        let tolerance = if widest > Some(2) { 0.06 } else { 0.03 };
        let format = caps::video_format(format);
        let (from, to) = (info("RGB"), info(format.to_str()));
        let converter = gst_video::VideoConverter::new(&from, &to, None).unwrap();
        let source = gst_video::VideoFrameRef::from_buffer_ref_readable(&rgb, &from).unwrap();
        let buffer = gst::Buffer::with_size(to.size()).unwrap();
        let mut target = gst_video::VideoFrame::from_buffer_writable(buffer, &to).unwrap();
        converter.frame_ref(&source, &mut target.as_mut_video_frame_ref());
        drop(source);
        stream.harness.set_src_caps(to.to_caps().unwrap());
        let found = stream.embed(target.into_buffer(), people(&FIGURES));
        for (person, wanted) in found.iter().zip(&wanted) {
            // Codes of eight bits and chroma at half the resolution, or at a quarter.
            check_vector(
                &format!("{format:?}"),
                vector(person),
                vector(wanted).values(),
                tolerance,
            );
        }
    }
}

/// The vectors of some boxes, and how often the model ran.
fn values(embedder: &mut Embedder, batch: usize) -> (Vec<Vec<f32>>, usize) {
    let (info, picture) = (info("RGB"), picture(&FIGURES));
    let frame = MappedFrame::readable(&picture, &info).unwrap();
    let rects: Vec<Rect> = (0..5)
        .map(|i| Rect::new(30.0 * i as f32, 10.0, 32.0, 64.0))
        .collect();
    let outcome = embedder.embed(&frame.view().unwrap(), &rects, batch);
    let outcome = outcome.unwrap();
    let vectors = outcome.vectors.iter().map(|v| v.as_ref().unwrap());
    (vectors.map(|v| v.values().to_vec()).collect(), outcome.runs)
}

#[test]
fn batches_that_are_filled_up_give_the_same_vectors() {
    init();
    let open = |name: &str, batch, is_padded| {
        let request = EmbedderRequest {
            model: ModelRequest {
                path: model(name).into(),
                device: Device::Cpu,
                threads: 1,
                precision: Precision::Float32,
            },
            instance_id: None,
            batch,
        };
        Embedder::open_padded(&request, is_padded).unwrap()
    };
    let (expected, _) = values(&mut open("open", 8, false), 8);
    let mut padded = open("open", 3, true);
    // Three, then two of three; or all in one of eight.
    for (batch, runs) in [(3, 2), (8, 1)] {
        assert_eq!(values(&mut padded, batch), (expected.clone(), runs));
    }
    // A model that takes one at a time, whatever it says.
    let mut single = open("false-open", 4, true);
    assert!(single.take_warning().unwrap().contains("one by one"));
    assert_eq!(values(&mut single, 4).1, 5);
}

#[test]
fn batches_change_nothing() {
    let crowd: Vec<Person> = (0..7)
        .map(|i| {
            person(Rect::new(
                i as f32 * 17.3 - 5.0,
                i as f32 * 3.1,
                40.5,
                70.25,
            ))
        })
        .collect();
    let vectors = |name: &str, batch: &str, runs: u64| {
        let mut stream = Stream::new(&[("model", &model(name)), ("batch-size", batch)]);
        let found = stream.embed(picture(&FIGURES), crowd.clone());
        assert_eq!(stream.stat("runs"), runs, "{name} {batch}");
        found
            .iter()
            .map(|p| vector(p).values().to_vec())
            .collect::<Vec<_>>()
    };
    let alone = vectors("open", "1", 7);
    let cases = [
        ("open", "3", 3),
        ("open", "8", 1),
        ("open", "256", 1),
        ("four", "8", 2),
    ];
    for (name, batch, runs) in cases {
        for (a, b) in vectors(name, batch, runs).iter().zip(&alone) {
            let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs());
            // Other kernels sum in another order.
            let most = apart.fold(0.0, f32::max);
            assert!(most < 1e-5, "{name} {batch}: {most}");
        }
    }
}

#[test]
fn a_false_open_batch_is_said_and_works_one_by_one() {
    let mut stream = Stream::new(&[("model", &model("false-open"))]);
    let warnings = stream.warnings();
    assert!(
        warnings.len() == 1 && warnings[0].contains("one by one"),
        "{warnings:?}"
    );
    let found = stream.embed(picture(&FIGURES), people(&FIGURES));
    assert!(found.iter().all(|p| p.embedding.is_some()));
    assert_eq!(stream.stat("runs"), 3);
    assert_eq!(stream.warnings(), [""; 0]);
}

#[test]
fn vectors_that_mean_nothing_are_dropped_and_counted() {
    for name in ["nan", "zero"] {
        let mut stream = Stream::new(&[("model", &model(name))]);
        for _ in 0..4 {
            let found = stream.embed(picture(&FIGURES), people(&FIGURES));
            assert!(found.iter().all(|p| p.embedding.is_none()), "{name}");
        }
        assert_eq!((stream.stat("refused"), stream.stat("embedded")), (12, 0));
        let warnings = stream.warnings();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].starts_with("3 vectors") && warnings[1].starts_with("12 vectors"));
    }
}

#[test]
fn people_who_all_look_alike_are_reported_once() {
    let mut stream = Stream::new(&[("model", &model("alike"))]);
    for _ in 0..120 {
        stream.embed(picture(&FIGURES), people(&FIGURES));
    }
    let warnings = stream.warnings();
    assert!(
        warnings.len() == 1 && warnings[0].contains("nearly the same vector"),
        "{warnings:?}"
    );
    let mut sound = Stream::new(&[("model", &model("open"))]);
    for _ in 0..120 {
        sound.embed(picture(&FIGURES), people(&FIGURES));
    }
    assert_eq!(sound.warnings(), [""; 0]);
}

#[test]
fn only_the_boxes_asked_for_are_embedded() {
    let mut all = people(&FIGURES);
    all[2].label = "dog".into();
    let check = |properties: Properties, expected: [bool; 3]| {
        let model = model("open");
        let mut properties = properties.to_vec();
        properties.push(("model", &model));
        let found = Stream::new(&properties).embed(picture(&FIGURES), all.clone());
        assert_eq!(found.len(), 3);
        let has = [0, 1, 2].map(|i: usize| found[i].embedding.is_some());
        assert_eq!(has, expected, "{properties:?}");
    };
    check(&[], [true, true, false]);
    check(&[("object-class", "")], [true, true, true]);
    check(&[("object-class", "dog, cat")], [false, false, true]);
    check(&[("min-height", "70")], [false, true, false]);
    check(
        &[("object-class", ""), ("max-objects", "1")],
        [false, false, true],
    );
    check(&[("min-height", "500")], [false; 3]);
}

#[test]
fn boxes_keep_their_vector_for_the_interval() {
    let mut stream = Stream::new(&[("model", &model("open")), ("reuse-interval", "4")]);
    let mut other = FIGURES[0];
    (other.upper, other.lower) = (other.lower, other.upper);
    let (before, after) = (FIGURES[0].expected(&IMAGENET), other.expected(&IMAGENET));
    let mut expected = vec![&before; 4];
    expected.extend([&after; 3]);
    for (i, expected) in expected.into_iter().enumerate() {
        // The clothes change after the first frame: until the interval is over, the old vector is attached.
        let figure = if i == 0 { FIGURES[0] } else { other };
        let found = stream.embed(picture(&[figure]), people(&[figure]));
        check_vector(&format!("frame {i}"), vector(&found[0]), expected, 0.01);
    }
    assert_eq!((stream.stat("embedded"), stream.stat("reused")), (2, 5));
    // After a flush nothing is continued.
    events::flush(&mut stream.harness);
    let found = stream.embed(picture(&FIGURES[..1]), people(&FIGURES[..1]));
    check_vector("after the flush", vector(&found[0]), &before, 0.01);
}

/// A frame every 40 ms.
fn timed(mut picture: gst::Buffer, frame: u64) -> gst::Buffer {
    let buffer = picture.get_mut().unwrap();
    buffer.set_pts(gst::ClockTime::from_mseconds(40 * frame));
    picture
}

#[test]
fn by_default_vectors_are_made_when_they_are_worth_it() {
    let mut stream = Stream::new(&[("model", &model("open"))]);
    let mut made = Vec::new();
    for frame in 0..60 {
        let figures = &FIGURES[..1];
        let found = stream.embed(timed(picture(figures), frame), people(figures));
        assert!(found[0].embedding.is_some(), "frame {frame}");
        if !found[0].is_carried {
            made.push(frame);
        }
    }
    assert_eq!(made, [0, 3, 8, 13, 21, 29, 37, 50]);
    assert_eq!((stream.stat("embedded"), stream.stat("reused")), (8, 52));
    // Somebody new is described at once, whom reidtrack asks for in the next frame.
    let two = &FIGURES[..2];
    let found = stream.embed(timed(picture(two), 60), people(two));
    assert_eq!([found[0].is_carried, found[1].is_carried], [true, false]);
    let boxes = gst::Array::new([10, 10, 32, 64]);
    let request = gst::Structure::builder("reid-embed-request").field("boxes", boxes);
    let request = gst::event::CustomUpstream::new(request.build());
    assert!(stream.harness.push_upstream_event(request));
    let found = stream.embed(timed(picture(two), 61), people(two));
    assert_eq!([found[0].is_carried, found[1].is_carried], [false, true]);
    stream.element.set_property("reuse-interval", 0);
    let found = stream.embed(timed(picture(two), 62), people(two));
    assert!(found.iter().all(|p| !p.is_carried));
}

#[test]
fn boxes_that_show_nothing_get_no_vector() {
    let mut stream = Stream::new(&[("model", &model("open")), ("min-height", "0")]);
    let mut all: Vec<Person> = [
        Rect::new(1000.0, 0.0, 50.0, 100.0),
        Rect::new(-60.0, 0.0, 50.0, 100.0),
        Rect::new(0.0, 0.0, 0.0, 100.0),
        Rect::new(0.0, 0.0, -5.0, 100.0),
        Rect::new(f32::NAN, 0.0, 50.0, 100.0),
        Rect::new(0.0, f32::INFINITY, 50.0, 100.0),
    ]
    .map(person)
    .to_vec();
    all.push(person(Rect::new(-20.0, -20.0, 50.0, 100.0)));
    all.push(person(Rect::new(0.2, 0.2, 0.1, 0.1)));
    all.push(person(Rect::new(-1e9, -1e9, 2e9, 2e9)));
    let found = stream.embed(picture(&FIGURES), all);
    let with = found.iter().filter(|p| p.embedding.is_some()).count();
    assert_eq!((found.len(), with), (9, 3));
    assert_eq!(stream.stat("skipped"), 6);
}

#[test]
fn nobody_and_a_thousand_people() {
    let mut stream = Stream::new(&[
        ("model", &model("open")),
        ("max-objects", "0"),
        ("reuse-interval", "0"),
    ]);
    assert_eq!(stream.embed(picture(&FIGURES), vec![]), []);
    let place = |i: usize| Rect::new((i % 40) as f32 * 4.0, (i / 40) as f32 * 3.0, 20.0, 40.0);
    let crowd: Vec<Person> = (0..1000).map(|i| person(place(i))).collect();
    let found = stream.embed(picture(&FIGURES), crowd.clone());
    assert!(found.len() == 1000 && found.iter().all(|p| p.embedding.is_some()));
    stream.element.set_property("max-objects", 64_u32);
    let found = stream.embed(picture(&FIGURES), crowd);
    assert_eq!(found.iter().filter(|p| p.embedding.is_some()).count(), 64);
}

#[test]
fn regions_of_other_detectors_are_embedded_and_unseen_frames_stay_bare() {
    let mut stream = Stream::new(&[("model", &model("open"))]);
    let bare = stream.pass(picture(&FIGURES)).unwrap();
    assert!(people_of(&bare).is_none());
    let mut buffer = picture(&FIGURES);
    let [x, y, w, h] = FIGURES[1].rect.map(|v| v as u32);
    gst_video::VideoRegionOfInterestMeta::add(buffer.get_mut().unwrap(), "person", (x, y, w, h));
    let found = people_of(&stream.pass(buffer).unwrap()).unwrap();
    check_vector(
        "region",
        vector(&found[0]),
        &FIGURES[1].expected(&IMAGENET),
        0.01,
    );
}

#[test]
fn renegotiation_and_restarts_work() {
    let mut stream = Stream::new(&[("model", &model("open"))]);
    for format in ["RGB", "NV12", "GRAY8", "RGB"] {
        let info = info(format);
        stream.harness.set_src_caps(info.to_caps().unwrap());
        let buffer = gst::Buffer::from_mut_slice(vec![100_u8; info.size()]);
        assert!(
            stream.embed(buffer, people(&FIGURES))[0]
                .embedding
                .is_some()
        );
    }
    for _ in 0..50 {
        stream.element.set_state(gst::State::Null).unwrap();
        stream.element.set_state(gst::State::Playing).unwrap();
    }
    stream.harness.set_src_caps(info("RGB").to_caps().unwrap());
}

#[test]
fn a_buffer_smaller_than_its_caps_is_an_error() {
    let mut stream = Stream::new(&[("model", &model("open"))]);
    let mut buffer = gst::Buffer::from_mut_slice(vec![0_u8; 1000]);
    PeopleMeta::set(buffer.get_mut().unwrap(), SIZE, people(&FIGURES));
    assert_eq!(stream.pass(buffer).unwrap_err(), gst::FlowError::Error);
    let message = stream.bus.pop_filtered(&[gst::MessageType::Error]);
    assert!(message.is_some());
}

/// The message of the error with which starting fails.
fn start_error(properties: Properties) -> String {
    let element = embedder(properties);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let result = element.set_state(gst::State::Paused);
    let message = bus.pop_filtered(&[gst::MessageType::Error]);
    element.set_bus(None);
    let _ = element.set_state(gst::State::Null);
    assert!(result.is_err(), "{properties:?} starts");
    match message.as_ref().map(|m| m.view()) {
        Some(gst::MessageView::Error(error)) => error.error().to_string(),
        _ => panic!("{properties:?}: no error is posted"),
    }
}

#[test]
fn models_that_are_no_embedders_say_so() {
    let yolo = common::root().join("tests/fixtures/yolo/yolov8.onnx");
    let cases = [
        (model("none"), "does not exist"),
        (model("detector"), "'detect'"),
        (yolo.display().to_string(), "[batch,dimension]"),
    ];
    for (path, part) in &cases {
        let text = start_error(&[("model", path)]);
        assert!(
            text.contains(part) && text.contains("model"),
            "{path}: {text}"
        );
    }
    let text = start_error(&[("model", &model("open")), ("device", "toaster")]);
    assert!(text.contains("toaster"), "{text}");
}

/// A third-party embedder and what is expected of it.
struct Foreign {
    file: &'static str,
    dimension: u32,
    /// Different people are told apart (a cosine below 0.9), are all alike, or get no vector at all.
    outcome: Outcome,
}

#[derive(PartialEq)]
enum Outcome {
    Apart,
    Alike,
    Refused,
}

#[test]
fn third_party_embedders_give_the_outcome_of_their_row() {
    let Some(folder) = common::shared_data() else {
        return;
    };
    let row = |file, dimension, outcome| Foreign {
        file,
        dimension,
        outcome,
    };
    let rows = [
        row("osnet-x0_25_msmt17_huyai.onnx", 512, Outcome::Apart),
        row("osnet-x0_25_msmt17_czqosu.onnx", 512, Outcome::Apart),
        row("osnet-x1_0_int8_pups.onnx", 512, Outcome::Apart),
        row("osnet-x0_25_extdata/osnet_x0_25.onnx", 512, Outcome::Alike),
        row("openvino-retail-0248.onnx", 256, Outcome::Apart),
        row("openvino-retail-0267.onnx", 256, Outcome::Refused),
        row(
            "openvino-retail-0267_epsfix_derived.onnx",
            256,
            Outcome::Apart,
        ),
    ];
    for row in rows {
        check_foreign(&folder.join("models").join(row.file), &row);
    }
    let graph_only = folder.join("models/osnet-x1_0_graphonly_pups.onnx");
    let text = start_error(&[("model", &graph_only.display().to_string())]);
    assert!(text.contains("osnet_x1_0.onnx.data"), "{text}");
}

fn check_foreign(path: &Path, row: &Foreign) {
    let mut stream = Stream::new(&[("model", &path.display().to_string())]);
    let found = stream.embed(picture(&FIGURES), people(&FIGURES));
    let stats = stream.element.property::<gst::Structure>("stats");
    assert_eq!(
        stats.get::<u32>("dimension"),
        Ok(row.dimension),
        "{}",
        row.file
    );
    let vectors: Vec<&Embedding> = found.iter().filter_map(|p| p.embedding.as_ref()).collect();
    if row.outcome == Outcome::Refused {
        assert!(
            vectors.is_empty() && stream.warnings().len() == 1,
            "{}",
            row.file
        );
        return;
    }
    let pairs = [(0, 1), (0, 2), (1, 2)];
    let cosines = pairs.map(|(a, b)| vectors[a].cosine(vectors[b]).unwrap());
    let least = cosines.into_iter().fold(1.0, f32::min);
    assert_eq!(
        least < 0.9,
        row.outcome == Outcome::Apart,
        "{}: {cosines:?}",
        row.file
    );
    if row.outcome == Outcome::Alike {
        for _ in 0..60 {
            stream.embed(picture(&FIGURES), people(&FIGURES));
        }
        assert!(
            stream
                .warnings()
                .iter()
                .any(|w| w.contains("nearly the same vector")),
            "{}",
            row.file
        );
    }
}
