//! Bad input, the same for every element: each gives a clear error or passes, and the process never dies.

mod common;

use std::{
    fs,
    str::FromStr,
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use common::root;
use gst::prelude::*;
use gst_video::VideoRegionOfInterestMeta;
use gstreid::{
    core::{
        embedding::Embedding,
        geometry::Rect,
        person::{Identity, IdentityId, IdentityState, Person, Track, TrackId, TrackState},
    },
    media::{self, FrameSize, PeopleMeta, roi::Origin},
};

/// The elements that sit in the middle of a pipeline.
const FILTERS: [&str; 5] = [
    "yolodetect",
    "reidembed",
    "reidtrack",
    "reidoverlay",
    "reidpublish",
];

fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        gstreid::plugin_register_static().unwrap();
    });
}

fn fixture(name: &str) -> String {
    let path = root().join("tests/fixtures").join(name);
    assert!(path.is_file(), "{} is missing", path.display());
    path.display().to_string()
}

/// The launch fragment of an element with the smallest models there are.
fn fragment(name: &str) -> String {
    match name {
        "yolodetect" => format!(
            "yolodetect name=element model={} threads=1 object-class=\"\"",
            fixture("yolo/yolov8.onnx")
        ),
        "reidembed" => format!(
            "reidembed name=element model={} threads=1 min-height=1",
            fixture("embed/open.onnx")
        ),
        "reidpublish" => "reidpublish name=element location=/dev/null".into(),
        other => format!("{other} name=element"),
    }
}

fn parse(launch: &str) -> gst::Pipeline {
    init();
    gst::parse::launch(launch)
        .unwrap_or_else(|error| panic!("{launch}: {error}"))
        .downcast()
        .unwrap()
}

/// How a pipeline ended.
#[derive(Debug)]
enum End {
    Eos,
    Error(String),
}

fn run(pipeline: &gst::Pipeline) -> End {
    let bus = pipeline.bus().unwrap();
    let _ = pipeline.set_state(gst::State::Playing);
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds);
    let end = match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) => End::Eos,
        Some(gst::MessageView::Error(error)) => End::Error(format!(
            "{} {}",
            error.error(),
            error.debug().unwrap_or_default()
        )),
        _ => panic!("neither EOS nor an error within a minute: the pipeline hangs"),
    };
    pipeline.set_state(gst::State::Null).unwrap();
    end
}

fn expect_eos(launch: &str) {
    let end = run(&parse(launch));
    assert!(matches!(end, End::Eos), "{launch}: {end:?}");
}

fn expect_error(launch: &str, words: &[&str]) {
    match run(&parse(launch)) {
        End::Error(text) => {
            for word in words {
                assert!(text.contains(word), "{launch}: {word:?} is not in {text:?}");
            }
        }
        End::Eos => panic!("{launch} ended well"),
    }
}

/// A source of `caps` that attaches detections, through the element.
fn through(name: &str, caps: &str, frames: usize) -> String {
    format!(
        "reidtestsrc attach=detections num-buffers={frames} ! {caps} ! {} ! fakesink",
        fragment(name)
    )
}

/// Two people who stand side by side, with tracks and identities, in a picture of this size.
fn two_people(size: FrameSize) -> Vec<Person> {
    let (width, height) = (size.width as f32, size.height as f32);
    let person = |i: u32| {
        let left = (0.12 + 0.45 * i as f32) * width;
        let rect = Rect::new(left, 0.1 * height, 0.3 * width, 0.75 * height);
        let mut person = Person::detected(rect, 0.9, "person".into(), 0);
        person.track = Some(Track {
            id: TrackId(i + 1),
            state: TrackState::Confirmed,
            unseen_ns: 0,
            age_ns: 0,
        });
        person.identity = Some(Identity {
            id: IdentityId(i + 1),
            state: IdentityState::New,
            score: 0.0,
            margin: 0.0,
            evidence: None,
            previous: [].into(),
            name: None,
        });
        person
    };
    (0..2).map(person).collect()
}

/// A frame before or behind the element.
#[derive(Clone, Debug)]
struct Frame {
    size: FrameSize,
    bytes: Vec<u8>,
    people: Vec<Person>,
    /// Rectangles of the regions of interest.
    regions: Vec<(u32, u32, u32, u32)>,
}

fn frame_of(pad: &gst::Pad, buffer: &gst::BufferRef) -> Frame {
    let info = gst_video::VideoInfo::from_caps(&pad.current_caps().unwrap()).unwrap();
    let map = buffer.map_readable().unwrap();
    let people = buffer.meta::<PeopleMeta>();
    Frame {
        size: FrameSize::from(&info),
        bytes: map.to_vec(),
        people: people.map_or(Vec::new(), |meta| meta.people().to_vec()),
        regions: buffer
            .iter_meta::<VideoRegionOfInterestMeta>()
            .map(|roi| roi.rect())
            .collect(),
    }
}

/// Puts two people into each frame that leaves `people` and notes it, and what then arrives at `end`.
fn with_people(pipeline: &gst::Pipeline) -> [Arc<Mutex<Vec<Frame>>>; 2] {
    let frames = [(); 2].map(|()| Arc::<Mutex<Vec<Frame>>>::default());
    let [before, behind] = frames.clone();
    let pad = pipeline
        .by_name("people")
        .unwrap()
        .static_pad("src")
        .unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(buffer) = info.buffer_mut() {
            let info = gst_video::VideoInfo::from_caps(&pad.current_caps().unwrap()).unwrap();
            let size = FrameSize::from(&info);
            let origin = Origin {
                detector: Some("test".into()),
                ..Origin::default()
            };
            media::write_people(buffer.make_mut(), size, two_people(size), &origin);
            before.lock().unwrap().push(frame_of(pad, buffer));
        }
        gst::PadProbeReturn::Ok
    });
    let pad = pipeline.by_name("end").unwrap().static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(buffer) = info.buffer() {
            behind.lock().unwrap().push(frame_of(pad, buffer));
        }
        gst::PadProbeReturn::Ok
    });
    frames
}

/// How many bytes of two frames differ.
fn changed(one: &Frame, other: &Frame) -> usize {
    assert_eq!(one.bytes.len(), other.bytes.len());
    let pairs = one.bytes.iter().zip(&other.bytes);
    pairs.filter(|(a, b)| a != b).count()
}

/// What an element has made of frames with two people in them.
fn check_frames(name: &str, what: &str, before: &[Frame], behind: &[Frame]) {
    assert_eq!(before.len(), behind.len(), "{name} {what}");
    for (i, (before, behind)) in before.iter().zip(behind).enumerate() {
        let place = format!("{name} {what}, frame {i}");
        assert_eq!(before.size, behind.size, "{place}");
        let pixels = changed(before, behind);
        if name == "reidoverlay" {
            let share = pixels as f64 / before.bytes.len() as f64;
            assert!(pixels > 0 && share < 0.8, "{place}: {pixels} bytes drawn");
        } else {
            assert_eq!(pixels, 0, "{place}: the picture was touched");
        }
        if name == "yolodetect" {
            continue; // its own boxes take their place
        }
        assert_eq!(behind.people.len(), 2, "{place}");
        assert_eq!(behind.regions.len(), 2, "{place}: {:?}", behind.regions);
        for (a, b) in before.people.iter().zip(&behind.people) {
            assert!(
                a.rect.iou(&b.rect) > 0.8,
                "{place}: {:?} {:?}",
                a.rect,
                b.rect
            );
            if name == "reidembed" {
                assert!(
                    b.embedding.is_some(),
                    "{place}: nobody looked at {:?}",
                    b.rect
                );
            }
            if name == "reidtrack" {
                assert!(b.track.is_some(), "{place}");
            }
        }
    }
    if name == "reidtrack" {
        let last = &behind[behind.len() - 1].people;
        assert!(last.iter().all(|p| p.identity.is_some()), "{name} {what}");
    }
}

/// Plays some frames with two people of `caps` through the element and looks at what comes out.
fn check_played(name: &str, caps: &str) -> Vec<Frame> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let element = fragment(name).replace("/dev/null", &file.path().display().to_string());
    let launch = format!(
        "videotestsrc num-buffers={FRAMES} ! video/x-raw,{caps} ! identity name=people ! {element} ! fakesink name=end"
    );
    let pipeline = parse(&launch);
    let frames = with_people(&pipeline);
    let end = run(&pipeline);
    assert!(matches!(end, End::Eos), "{launch}: {end:?}");
    let [before, behind] = frames.map(|frames| frames.lock().unwrap().clone());
    assert_eq!(before.len(), FRAMES, "{launch}");
    check_frames(name, caps, &before, &behind);
    if name == "reidpublish" {
        let lines = fs::read_to_string(file.path()).unwrap();
        assert_eq!(
            lines.matches("\"global_id\":1,").count(),
            FRAMES,
            "{caps}: {lines}"
        );
        assert_eq!(
            lines.matches("\"global_id\":2,").count(),
            FRAMES,
            "{caps}: {lines}"
        );
    }
    behind
}

/// Frames of each try: enough for a track to be confirmed.
const FRAMES: usize = 6;

#[test]
fn every_format_and_odd_sizes_are_worked_on() {
    init();
    let formats = gstreid::core::image::PixelFormat::ALL.map(media::caps::video_format);
    for name in FILTERS {
        for size in ["width=33,height=27", "width=64,height=48"] {
            // The same people in the same picture, whatever the format.
            let mut first: Option<Vec<Embedding>> = None;
            for format in formats {
                let behind = check_played(name, &format!("format={format},{size}"));
                let vectors = behind[0].people.iter().filter_map(|p| p.embedding.clone());
                let vectors: Vec<Embedding> = vectors.collect();
                // People in grey look otherwise to an embedder.
                if format.to_str().starts_with("GRAY") {
                    continue;
                }
                let first = first.get_or_insert_with(|| vectors.clone());
                for (a, b) in first.iter().zip(&vectors) {
                    let cosine = a.cosine(b).unwrap();
                    assert!(
                        cosine > 0.97,
                        "{format} {size}: {cosine} to the first format's"
                    );
                }
            }
        }
    }
}

#[test]
fn the_smallest_frame_passes_and_the_largest_is_refused() {
    for name in FILTERS {
        expect_eos(&format!(
            "videotestsrc num-buffers=2 ! video/x-raw,format=I420,width=1,height=1 ! {} ! fakesink",
            fragment(name)
        ));
        if name == "reidpublish" {
            continue; // looks at no pixel and takes any video
        }
        // Refused by the caps, before anything is allocated.
        init();
        let element = gst::ElementFactory::make(name).build().unwrap();
        let template = element.static_pad("sink").unwrap().pad_template_caps();
        for caps in [
            "format=I420,width=17000,height=17000",
            "format=I420,width=0,height=0",
            "format=v210,width=64,height=64",
        ] {
            let caps = gst::Caps::from_str(&format!("video/x-raw,{caps},framerate=30/1")).unwrap();
            assert!(!template.can_intersect(&caps), "{name} takes {caps}");
        }
    }
}

#[test]
fn interlaced_frames_are_worked_on() {
    for name in FILTERS {
        check_played(
            name,
            "format=I420,width=64,height=48,interlace-mode=interleaved",
        );
    }
}

#[test]
fn a_buffer_smaller_than_its_caps_is_an_error_where_pixels_are_looked_at() {
    for name in ["yolodetect", "reidembed", "reidoverlay"] {
        // fakesrc gives 100 bytes where the caps ask for 3,072. reidembed and reidoverlay look only where there are people.
        let pipeline = parse(&format!(
            "fakesrc num-buffers=2 sizetype=fixed sizemax=100 format=time ! video/x-raw,format=I420,width=64,height=32,framerate=30/1 \
             ! identity name=people ! {} ! fakesink name=end",
            fragment(name)
        ));
        with_people(&pipeline);
        match run(&pipeline) {
            End::Error(text) => assert!(
                text.contains("is too small for a frame of its caps"),
                "{name}: {text}"
            ),
            End::Eos => panic!("{name}: a buffer too small went unnoticed"),
        }
    }
}

#[test]
fn caps_may_change_in_mid_stream() {
    for name in FILTERS {
        let pipeline = parse(&format!(
            "videotestsrc num-buffers=40 ! capsfilter name=caps caps=video/x-raw,format=I420,width=64,height=48 ! identity name=people ! {} ! fakesink name=end",
            fragment(name)
        ));
        let frames = with_people(&pipeline);
        let caps = pipeline.by_name("caps").unwrap();
        let counter = std::sync::atomic::AtomicU32::new(0);
        pipeline
            .by_name("end")
            .unwrap()
            .static_pad("sink")
            .unwrap()
            .add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                let next = match counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                    10 => "video/x-raw,format=NV12,width=128,height=96",
                    20 => "video/x-raw,format=BGRx,width=31,height=45",
                    _ => return gst::PadProbeReturn::Ok,
                };
                caps.set_property("caps", gst::Caps::from_str(next).unwrap());
                gst::PadProbeReturn::Ok
            });
        let end = run(&pipeline);
        assert!(matches!(end, End::Eos), "{name}: {end:?}");
        let [before, behind] = frames.map(|frames| frames.lock().unwrap().clone());
        check_frames(name, "with changing caps", &before, &behind);
        let sizes: std::collections::BTreeSet<u32> = behind.iter().map(|f| f.size.width).collect();
        assert_eq!(sizes, [31, 64, 128].into(), "{name}");
    }
}

#[test]
fn pause_seek_and_flush_in_mid_stream() {
    for name in FILTERS {
        let pipeline = parse(&format!(
            "videotestsrc num-buffers=2000 ! video/x-raw,format=I420,width=64,height=48 ! {} ! fakesink",
            fragment(name)
        ));
        let five = gst::ClockTime::from_seconds(5);
        for target in [gst::State::Playing, gst::State::Paused, gst::State::Playing] {
            pipeline.set_state(target).unwrap();
            let (change, state, _) = pipeline.state(five);
            assert!(
                change.is_ok() && state == target,
                "{name}: {change:?} {state:?}"
            );
        }
        for _ in 0..5 {
            pipeline
                .seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::from_mseconds(100))
                .unwrap();
        }
        assert!(matches!(run(&pipeline), End::Eos), "{name}");
    }
}

/// Resident memory of this process, KiB.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn fifty_restarts_do_not_grow() {
    let whole: Vec<_> = ["yolodetect", "reidembed", "reidtrack", "reidoverlay"]
        .iter()
        .map(|name| fragment(name).replace("name=element", ""))
        .collect();
    let pipeline = parse(&format!(
        "reidtestsrc attach=detections num-buffers=3 ! video/x-raw,format=I420,width=160,height=120 ! {} ! fakesink",
        whole.join(" ! ")
    ));
    let mut after_warm_up = 0;
    for round in 0..50 {
        assert!(matches!(run(&pipeline), End::Eos));
        if round == 9 {
            after_warm_up = resident_kib();
        }
    }
    let grown = resident_kib().saturating_sub(after_warm_up);
    assert!(grown < 16 * 1024, "forty restarts took {grown} KiB more");
}

#[test]
fn one_instance_id_with_two_models_is_an_error() {
    let (a, b) = (fixture("yolo/yolov8.onnx"), fixture("embed/open.onnx"));
    expect_error(
        &format!(
            "videotestsrc num-buffers=2 ! yolodetect object-class=\"\" model={a} model-instance-id=x ! reidembed model={b} model-instance-id=x ! fakesink"
        ),
        &["model-instance-id 'x' is already used"],
    );
}

#[test]
fn a_missing_model_is_an_error_within_two_seconds() {
    for name in ["yolodetect", "reidembed"] {
        let start = std::time::Instant::now();
        expect_error(
            &format!("videotestsrc num-buffers=2 ! {name} model=no/such/model.onnx ! fakesink"),
            &["does not exist", "property 'model'"],
        );
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{name}: {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn unknown_property_values_are_refused_at_start_with_the_property_named() {
    let cases = [
        ("yolodetect", "device=toaster", "device"),
        ("reidembed", "device=toaster", "device"),
        (
            "reidtrack",
            "gallery-location=ftp://nowhere",
            "gallery-location",
        ),
        ("reidpublish", "location=/no/such/folder/file", "location"),
    ];
    for (name, setting, word) in cases {
        let element = fragment(name).replace(" location=/dev/null", "");
        expect_error(
            &format!("videotestsrc num-buffers=2 ! {element} {setting} ! fakesink"),
            &[word],
        );
    }
}

#[test]
fn none_and_a_thousand_people_pass() {
    for people in [0, 1, 1000] {
        for name in FILTERS {
            init();
            let pipeline = parse(&through(
                name,
                "video/x-raw,format=I420,width=320,height=240",
                3,
            ));
            let element = pipeline.by_name("element").unwrap();
            element.static_pad("sink").unwrap().add_probe(
                gst::PadProbeType::BUFFER,
                move |_, info| {
                    if let Some(buffer) = info.buffer_mut() {
                        crowd(buffer.make_mut(), people);
                    }
                    gst::PadProbeReturn::Ok
                },
            );
            let end = run(&pipeline);
            assert!(
                matches!(end, End::Eos),
                "{name} with {people} people: {end:?}"
            );
        }
    }
}

/// Puts `count` people on the buffer, some of them outside the frame, empty or not a number.
fn crowd(buffer: &mut gst::BufferRef, count: usize) {
    let people = (0..count)
        .map(|i| {
            let rect = match i % 10 {
                7 => Rect::new(f32::NAN, 0.0, 10.0, 20.0),
                8 => Rect::new(-500.0, -500.0, 10.0, 20.0),
                9 => Rect::new(10.0, 10.0, 0.0, 0.0),
                _ => Rect::new((i * 7 % 300) as f32, (i * 3 % 200) as f32, 20.0, 40.0),
            };
            Person::detected(rect, 0.9, "person".into(), 0)
        })
        .collect();
    let frame = FrameSize {
        width: 320,
        height: 240,
    };
    PeopleMeta::set(buffer, frame, people);
}

#[test]
fn thirty_two_cameras_share_one_gallery() {
    let cameras: String = (0..32)
        .map(|i| format!("reidtestsrc attach=detections num-buffers=20 camera={} cameras=4 ! video/x-raw,format=I420,width=160,height=120 ! queue ! reidtrack gallery=crowd camera=c{i} ! fakesink ", i % 4))
        .collect();
    expect_eos(&cameras);
}
