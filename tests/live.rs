//! Live pipelines: latency is answered, and a stream that is too much for the machine loses inferences, never its place.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::{Duration, Instant},
};

use gst::prelude::*;

fn init() {
    static INIT: LazyLock<()> = LazyLock::new(|| {
        gst::init().unwrap();
        gstreid::plugin_register_static().unwrap();
    });
    *INIT
}

/// The detector that ships, on pictures so large that it takes longer than a frame.
fn slow_detector(folder: &Path) -> PathBuf {
    let model = folder.join("slow.onnx");
    fs::copy(common::root().join("models/person-detector.onnx"), &model).unwrap();
    fs::write(folder.join("slow.toml"), "width = 1280\nheight = 1280\n").unwrap();
    model
}

fn parse(line: &str) -> gst::Pipeline {
    init();
    let pipeline = gst::parse::launch(line).unwrap();
    pipeline.downcast::<gst::Pipeline>().unwrap()
}

/// Plays to the end, with latencies as gst-launch-1.0 handles them; how long it took.
fn play(pipeline: &gst::Pipeline) -> Duration {
    let begun = Instant::now();
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    for message in bus.iter_timed(gst::ClockTime::from_seconds(100)) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => panic!("{error:?}"),
            gst::MessageView::Latency(_) => pipeline.recalculate_latency().unwrap(),
            _ => {}
        }
    }
    begun.elapsed()
}

fn stat<T: for<'a> glib::value::FromValue<'a> + 'static>(
    pipeline: &gst::Pipeline,
    element: &str,
    name: &str,
) -> T {
    let element = pipeline.by_name(element).unwrap();
    let stats: gst::Structure = element.property("stats");
    stats.get::<T>(name).unwrap()
}

#[test]
fn a_live_stream_that_is_too_slow_keeps_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let model = slow_detector(folder.path());
    let line = |frames: u32, setting: &str| {
        format!(
            "reidtestsrc pattern=crossing is-live=true num-buffers={frames} ! video/x-raw,width=640,height=360,framerate=30/1 ! queue ! yolodetect name=detect threads=1 model={} {setting} ! reidtrack motion-only=true ! fakesink name=end sync=false",
            model.display()
        )
    };
    let pipeline = parse(&line(120, ""));
    let took = play(&pipeline);
    let (frames, late, inferences) = (
        stat::<u64>(&pipeline, "detect", "frames"),
        stat::<u64>(&pipeline, "detect", "late"),
        stat::<u64>(&pipeline, "detect", "inferences"),
    );
    let (slow, slowest) = (
        stat::<f64>(&pipeline, "detect", "p50-ms"),
        stat::<f64>(&pipeline, "detect", "p99-ms"),
    );
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(slow > 40.0, "not too slow here: {slow} ms");
    assert_eq!((frames, late + inferences), (120, 120));
    assert!(late > 20 && inferences >= 4, "{late} of {frames} late");
    // Four seconds, and what the last inferences take.
    let limit = 5.5 + 3.0 * slowest / 1e3;
    assert!(took.as_secs_f64() < limit, "{took:?}, {slowest} ms a frame");
    // Every frame, however late.
    let pipeline = parse(&line(40, "qos=false"));
    play(&pipeline);
    let late = stat::<u64>(&pipeline, "detect", "late");
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(late, 0);
}

#[test]
fn files_are_never_late_where_nobody_waits() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = parse(&format!(
        "reidtestsrc pattern=crossing num-buffers=30 ! video/x-raw,width=640,height=360,framerate=60/1 ! queue ! yolodetect name=detect model={} ! queue ! reidembed name=embed ! fakesink sync=false",
        slow_detector(folder.path()).display()
    ));
    play(&pipeline);
    let late = |element: &str| stat::<u64>(&pipeline, element, "late");
    assert_eq!((late("detect"), late("embed")), (0, 0));
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_file_that_a_screen_shows_in_time_loses_inferences() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = parse(&format!(
        "reidtestsrc pattern=crossing num-buffers=120 ! video/x-raw,width=640,height=360,framerate=30/1 ! queue ! yolodetect name=detect threads=1 model={} ! queue ! fakesink sync=true qos=true max-lateness=20000000",
        slow_detector(folder.path()).display()
    ));
    let took = play(&pipeline);
    let (late, slowest) = (
        stat::<u64>(&pipeline, "detect", "late"),
        stat::<f64>(&pipeline, "detect", "p99-ms"),
    );
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(late > 20, "{late}");
    let limit = 6.0 + 4.0 * slowest / 1e3;
    assert!(took.as_secs_f64() < limit, "{took:?}, {slowest} ms a frame");
}

#[test]
fn a_camera_that_is_too_slow_does_not_starve_others() {
    let folder = tempfile::tempdir().unwrap();
    let source = "reidtestsrc pattern=crossing is-live=true num-buffers=60 ! video/x-raw,width=320,height=180,framerate=15/1 ! queue";
    let light =
        (0..3).map(|n| format!("{source} ! yolodetect name=light{n} ! fakesink sync=false "));
    let light: String = light.collect();
    let pipeline = parse(&format!(
        "{light} {source} ! yolodetect name=heavy model={} ! fakesink sync=false",
        slow_detector(folder.path()).display()
    ));
    play(&pipeline);
    let inferred = |name: &str| stat::<u64>(&pipeline, name, "inferences");
    let frames = ["light0", "light1", "light2", "heavy"].map(inferred);
    let heavy_frames = stat::<u64>(&pipeline, "heavy", "frames");
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(heavy_frames, 60);
    assert!(frames[..3].iter().all(|&n| n >= 45), "{frames:?}");
    assert!((4..60).contains(&frames[3]), "{frames:?}");
}

#[test]
fn latency_queries_are_answered_with_measured_times() {
    let pipeline = parse(
        "reidtestsrc pattern=crossing is-live=true num-buffers=60 ! video/x-raw,width=640,height=360,framerate=20/1 ! queue ! yolodetect name=detect ! queue ! reidembed name=embed reuse-interval=0 ! queue ! fakesink sync=true",
    );
    play(&pipeline);
    let mut query = gst::query::Latency::new();
    assert!(pipeline.query(&mut query));
    let (is_live, min, _) = query.result();
    let ms = |element: &str| stat::<f64>(&pipeline, element, "p50-ms");
    let work = ms("detect") + ms("embed");
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(is_live);
    let told = min.nseconds() as f64 / 1e6;
    // What the source adds is a frame, 50 ms.
    assert!(
        told > work && told < 50.0 + 20.0 * work,
        "{told} ms for {work}"
    );
}
