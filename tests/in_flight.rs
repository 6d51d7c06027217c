//! Several frames of one stream in `yolodetect` at the same time: order, flushes, ends, faults.

mod common;
#[path = "common/detect.rs"]
mod detect;
#[path = "common/events.rs"]
mod events;

use std::sync::{Arc, Mutex};

use detect::{Stream, init};
use gst::prelude::*;
use gstreid::media::PeopleMeta;

fn tiny() -> String {
    let model = common::root().join("tests/fixtures/yolo/yolov8.onnx");
    model.display().to_string()
}

/// Time, and the boxes with their scores, of a frame.
type Seen = (Option<gst::ClockTime>, Vec<[f32; 5]>);

/// What comes out of `yolodetect` with these properties, frame by frame.
fn seen(properties: &str, source: &str) -> Vec<Seen> {
    init();
    let line = format!("{source} ! yolodetect name=detect {properties} ! fakesink name=end");
    let pipeline = gst::parse::launch(&line).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let found: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let pad = pipeline.by_name("detect").unwrap().static_pad("src");
    let to = found.clone();
    pad.unwrap()
        .add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let buffer = info.buffer().unwrap();
            let people = buffer.meta::<PeopleMeta>();
            let boxes = people.iter().flat_map(|meta| meta.people());
            let boxes = boxes.map(|p| {
                let r = p.rect;
                [r.x, r.y, r.w, r.h, p.confidence]
            });
            to.lock().unwrap().push((buffer.pts(), boxes.collect()));
            gst::PadProbeReturn::Ok
        });
    pipeline.set_state(gst::State::Playing).unwrap();
    let end = pipeline.bus().unwrap().timed_pop_filtered(
        gst::ClockTime::from_seconds(100),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(end.map(|m| m.type_()), Some(gst::MessageType::Eos));
    found.lock().unwrap().clone()
}

/// 60 frames in which people walk.
const SOURCE: &str =
    "reidtestsrc pattern=crossing num-buffers=60 ! video/x-raw,width=640,height=360";

#[test]
fn the_same_boxes_leave_in_the_same_order_and_all_before_the_end() {
    for interval in [1, 3] {
        let properties = |nireq: u32| format!("nireq={nireq} inference-interval={interval}");
        let one = seen(&properties(1), SOURCE);
        let four = seen(&properties(4), SOURCE);
        assert_eq!(one.len(), 60);
        let found = one.iter().filter(|(_, boxes)| !boxes.is_empty()).count();
        assert!(found >= 15, "{found}");
        assert!(one.is_sorted_by_key(|(time, _)| *time));
        assert_eq!(one, four);
    }
}

#[test]
fn frames_of_other_caps_follow_those_before() {
    let part = |width: u32| {
        format!(
            "reidtestsrc pattern=crossing num-buffers=20 ! video/x-raw,width={width},height=360 ! c."
        )
    };
    let source = format!("concat name=c {} {} c.", part(640), part(480));
    let frames = seen("nireq=4", &source);
    assert_eq!(frames.len(), 40);
    assert_eq!(frames, seen("nireq=1", &source));
}

#[test]
fn one_frame_comes_out_without_another_behind_it() {
    let mut stream = Stream::new(&[("model", &tiny()), ("nireq", "4")]);
    stream.caps("RGB", 128, 96);
    for _ in 0..5 {
        let buffer = stream.push(vec![255; 128 * 96 * 3]).unwrap();
        assert!(buffer.meta::<PeopleMeta>().is_some());
    }
}

#[test]
fn a_flush_forgets_what_is_in_flight() {
    let model = common::root().join("models/person-detector.onnx");
    let model = model.display().to_string();
    let mut stream = Stream::new(&[("model", &model), ("nireq", "4")]);
    stream.caps("RGB", 640, 360);
    let frame = |stamp: u64| {
        let mut buffer = gst::Buffer::from_mut_slice(vec![99; 640 * 360 * 3]);
        let new = buffer.get_mut().unwrap();
        new.set_pts(gst::ClockTime::from_mseconds(stamp));
        buffer
    };
    for round in 0..10 {
        for stamp in 0..4 {
            stream.harness.push(frame(stamp)).unwrap();
        }
        events::flush(&mut stream.harness);
        while stream.harness.try_pull().is_some() {}
        stream.harness.push(frame(1000 + round)).unwrap();
        let after = stream.harness.pull().unwrap();
        assert_eq!(
            after.pts(),
            Some(gst::ClockTime::from_mseconds(1000 + round))
        );
    }
}

#[test]
fn a_flush_keeps_tags_that_wait_behind_a_frame() {
    let model = common::root().join("models/person-detector.onnx");
    let model = model.display().to_string();
    let mut stream = Stream::new(&[("model", &model), ("nireq", "4")]);
    stream.caps("RGB", 640, 360);
    for round in 0..10 {
        for _ in 0..4 {
            let frame = gst::Buffer::from_mut_slice(vec![99; 640 * 360 * 3]);
            stream.harness.push(frame).unwrap();
        }
        let mut tags = gst::TagList::new();
        let title = format!("round {round}");
        let new = tags.get_mut().unwrap();
        new.add::<gst::tags::Title>(&title.as_str(), gst::TagMergeMode::Replace);
        stream.harness.push_event(gst::event::Tag::new(tags));
        events::flush(&mut stream.harness);
        let pad = stream.harness.element().unwrap().static_pad("src").unwrap();
        let event = pad.sticky_event::<gst::event::Tag>(0).unwrap();
        let kept = event.tag().get::<gst::tags::Title>().unwrap();
        assert_eq!(kept.get(), title);
    }
}

#[test]
fn a_frame_that_cannot_be_read_stops_the_stream_and_says_why() {
    let mut stream = Stream::new(&[("model", &tiny()), ("nireq", "4")]);
    stream.caps("RGB", 128, 96);
    stream.push(vec![255; 128 * 96 * 3]).unwrap();
    assert!(stream.push(vec![0; 100]).is_err());
    let errors = stream.messages(gst::MessageType::Error);
    assert!(
        errors.len() == 1 && errors[0].contains("100 bytes"),
        "{errors:?}"
    );
    let next = gst::Buffer::from_mut_slice(vec![255; 128 * 96 * 3]);
    assert_eq!(stream.harness.push(next), Err(gst::FlowError::Error));
}

#[test]
fn it_stops_with_frames_in_flight() {
    init();
    for _ in 0..10 {
        let line = format!("{SOURCE} ! yolodetect nireq=4 name=detect ! fakesink");
        let pipeline = gst::parse::launch(&line).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(120));
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

/// What left: a frame's number, or the title in a tag.
#[derive(Debug, PartialEq)]
enum Left {
    Frame(u64),
    Title(String),
}

#[test]
fn tags_keep_their_place_between_frames_that_are_in_flight() {
    let model = common::root().join("models/person-detector.onnx");
    let model = model.display().to_string();
    let mut stream = Stream::new(&[("model", &model), ("nireq", "4")]);
    stream.caps("RGB", 640, 360);
    let left: Arc<Mutex<Vec<Left>>> = Arc::default();
    let to = left.clone();
    let pad = stream.harness.element().unwrap().static_pad("src").unwrap();
    let both = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(both, move |_, info| {
        let title = |event: &gst::EventRef| match event.view() {
            gst::EventView::Tag(tags) => tags.tag().get::<gst::tags::Title>(),
            _ => None,
        };
        let what = match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => Some(Left::Frame(buffer.offset())),
            Some(gst::PadProbeData::Event(event)) => {
                title(event).map(|t| Left::Title(t.get().into()))
            }
            _ => None,
        };
        to.lock().unwrap().extend(what);
        gst::PadProbeReturn::Ok
    });
    for number in 0..12 {
        let mut buffer = gst::Buffer::from_mut_slice(vec![99; 640 * 360 * 3]);
        buffer.get_mut().unwrap().set_offset(number);
        stream.harness.push(buffer).unwrap();
        let mut tags = gst::TagList::new();
        let title = number.to_string();
        let list = tags.get_mut().unwrap();
        list.add::<gst::tags::Title>(&title.as_str(), gst::TagMergeMode::Replace);
        assert!(stream.harness.push_event(gst::event::Tag::new(tags)));
    }
    stream.harness.push_event(gst::event::Eos::new());
    let wanted = (0..12).flat_map(|n| [Left::Frame(n), Left::Title(n.to_string())]);
    assert!(left.lock().unwrap().iter().eq(&wanted.collect::<Vec<_>>()));
}
