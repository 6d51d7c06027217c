//! Bad input, the same for every element: each gives a clear error or passes, and the process never dies.

mod common;

use std::{fs, str::FromStr, sync::Once, time::Duration};

use common::root;
use gst::prelude::*;

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
            "reidembed name=element model={} threads=1",
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

#[test]
fn every_format_and_odd_sizes_pass() {
    init();
    let formats = gstreid::core::image::PixelFormat::ALL.map(gstreid::media::caps::video_format);
    for name in FILTERS {
        for format in formats {
            for size in ["width=33,height=27", "width=64,height=48"] {
                let launch = format!(
                    "videotestsrc num-buffers=2 ! video/x-raw,format={format},{size} ! {} ! fakesink",
                    fragment(name)
                );
                expect_eos(&launch);
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
fn interlaced_frames_pass() {
    for name in FILTERS {
        expect_eos(&format!(
            "videotestsrc num-buffers=2 ! video/x-raw,format=I420,width=64,height=48,interlace-mode=interleaved ! {} ! fakesink",
            fragment(name)
        ));
    }
}

#[test]
fn a_buffer_smaller_than_its_caps_is_an_error_or_passes_untouched() {
    for name in ["yolodetect", "reidembed", "reidoverlay"] {
        // fakesrc gives 100 bytes where the caps ask for 3,072. Only elements that look at pixels can notice; reidembed
        // and reidoverlay look only where there are people.
        let launch = format!(
            "fakesrc num-buffers=2 sizetype=fixed sizemax=100 format=time ! video/x-raw,format=I420,width=64,height=32,framerate=30/1 ! {} ! fakesink",
            fragment(name)
        );
        match run(&parse(&launch)) {
            End::Error(text) => assert!(
                text.contains("does not hold a frame of its caps"),
                "{name}: {text}"
            ),
            End::Eos => assert_ne!(name, "yolodetect", "a buffer too small went unnoticed"),
        }
    }
}

#[test]
fn caps_may_change_in_mid_stream() {
    for name in FILTERS {
        let pipeline = parse(&format!(
            "videotestsrc num-buffers=40 ! capsfilter name=caps caps=video/x-raw,format=I420,width=64,height=48 ! {} ! fakesink name=end",
            fragment(name)
        ));
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
    use gstreid::core::{geometry::Rect, person::Person};
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
    let frame = gstreid::media::FrameSize {
        width: 320,
        height: 240,
    };
    gstreid::media::PeopleMeta::set(buffer, frame, people);
}

#[test]
fn thirty_two_cameras_share_one_gallery() {
    let cameras: String = (0..32)
        .map(|i| format!("reidtestsrc attach=detections num-buffers=20 camera={} cameras=4 ! video/x-raw,format=I420,width=160,height=120 ! queue ! reidtrack gallery=crowd camera=c{i} ! fakesink ", i % 4))
        .collect();
    expect_eos(&cameras);
}
