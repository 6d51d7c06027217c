//! What other programs read on the buffers of real pipelines: one person is one region, wherever the picture goes.

#[path = "common/played.rs"]
mod played;

use std::{collections::BTreeMap, fs};

use gst::prelude::*;
use gst_video::VideoRegionOfInterestMeta;
use gstreid::media::PeopleMeta;
use played::{collect, parse, play, play_well, watch};

/// A region as others see it.
#[derive(Clone, Debug)]
struct Region {
    rect: (u32, u32, u32, u32),
    id: i32,
    params: Vec<gst::Structure>,
}

impl Region {
    fn param(&self, name: &str) -> Option<&gst::Structure> {
        self.params.iter().find(|param| param.name() == name)
    }
}

fn regions(buffer: &gst::BufferRef) -> Vec<Region> {
    buffer
        .iter_meta::<VideoRegionOfInterestMeta>()
        .filter(|roi| roi.roi_type() == "person")
        .map(|roi| Region {
            rect: roi.rect(),
            id: roi.id(),
            params: roi.params().map(|param| param.to_owned()).collect(),
        })
        .collect()
}

/// The people of our own list, as regions.
fn listed(buffer: &gst::BufferRef) -> Vec<(u32, u32, u32, u32)> {
    let meta = buffer.meta::<PeopleMeta>().expect("a list of people");
    let size = meta.frame_size();
    let visible = |r: gstreid::core::geometry::Rect| {
        let r = r.clipped(size.width as f32, size.height as f32)?;
        let (x, y) = (r.x.round() as u32, r.y.round() as u32);
        let (w, h) = (r.right().round() as u32 - x, r.bottom().round() as u32 - y);
        Some((x, y, w.max(1), h.max(1)))
    };
    let people = meta.people().iter();
    people.filter_map(|person| visible(person.rect)).collect()
}

/// Regions and people of every frame behind this tracker.
fn check_one_region_each(front: &str) {
    let launch = format!(
        "reidtestsrc attach=detections pattern=crowd num-buffers=60 ! video/x-raw,format=I420,width=640,height=480 ! {front} ! queue ! reidtrack ! queue ! fakesink name=end"
    );
    let pipeline = parse(&launch);
    let frames = collect(&pipeline, "end", |buffer| {
        let size = buffer.meta::<PeopleMeta>().unwrap().frame_size();
        (regions(buffer), listed(buffer), size)
    });
    assert_eq!(play(&pipeline).error, None, "{launch}");
    let mut identified = 0;
    for (regions, mut people, size) in frames.lock().unwrap().clone() {
        let mut rects: Vec<_> = regions.iter().map(|region| region.rect).collect();
        rects.sort_unstable();
        people.sort_unstable();
        assert_eq!(rects, people, "{front}");
        for region in &regions {
            identified += usize::from(region.param("reid").is_some());
            let detection = region.param("detection").unwrap();
            let left = detection.get::<f64>("x_min").unwrap() * f64::from(size.width);
            assert!(
                (left - f64::from(region.rect.0)).abs() <= 1.0,
                "{front}: the detection lies at {left}: {region:?}"
            );
        }
    }
    assert!(identified > 60, "{front}: {identified} identified regions");
}

#[test]
fn one_person_is_one_region_behind_the_tracker() {
    for front in [
        "queue",
        // GStreamer 1.22 loses the parameters of regions here.
        "videoconvert ! video/x-raw,format=NV12",
        "videoscale ! video/x-raw,width=961,height=540",
        "queue ! reidtrack name=other",
    ] {
        check_one_region_each(front);
    }
}

#[test]
fn a_second_detector_replaces_what_the_first_one_found() {
    let pipeline = parse(
        "reidtestsrc attach=detections pattern=crowd num-buffers=3 ! video/x-raw,width=640,height=480 ! queue \
         ! yolodetect ! fakesink name=end",
    );
    let frames = collect(&pipeline, "end", |buffer| {
        let mut rects: Vec<_> = regions(buffer).iter().map(|r| r.rect).collect();
        rects.sort_unstable();
        (rects, listed(buffer))
    });
    assert_eq!(play(&pipeline).error, None);
    for (rects, mut people) in frames.lock().unwrap().clone() {
        people.sort_unstable();
        assert_eq!(rects, people);
    }
}

#[test]
fn what_another_detector_wrote_stays_with_the_person_who_walks() {
    let pipeline = parse(
        "videotestsrc num-buffers=40 ! video/x-raw,format=GRAY8,width=640,height=480,framerate=25/1 ! identity name=detector \
         ! queue ! reidtrack ! queue ! fakesink name=end",
    );
    let mut frame = 0;
    watch(&pipeline, "detector", move |buffer| {
        // Now wider, now narrower: the tracker smooths that.
        let rect = (50 + 9 * frame, 100, 60 + frame % 3 * 8, 150);
        let mut roi = VideoRegionOfInterestMeta::add(buffer, "person", rect);
        roi.set_id(77);
        let detection = gst::Structure::builder("detection")
            .field("confidence", 0.75)
            .field("model_name", "theirs")
            .field("x_min", f64::from(rect.0) / 640.0)
            .field("x_max", f64::from(rect.0 + rect.2) / 640.0)
            .field("y_min", f64::from(rect.1) / 480.0)
            .field("y_max", f64::from(rect.1 + rect.3) / 480.0);
        roi.add_param(detection.build());
        roi.add_param(gst::Structure::builder("age").field("label", "41").build());
        frame += 1;
    });
    let frames = collect(&pipeline, "end", regions);
    assert_eq!(play(&pipeline).error, None);
    let frames = frames.lock().unwrap().clone();
    let mut moved = 0;
    for (i, regions) in frames.iter().enumerate() {
        assert_eq!(regions.len(), 1, "frame {i}");
        let region = &regions[0];
        assert_eq!(region.id, 77);
        let detection = region.param("detection").unwrap();
        assert_eq!(detection.get::<String>("model_name").unwrap(), "theirs");
        assert_eq!(
            region.param("age").unwrap().get::<String>("label").unwrap(),
            "41"
        );
        assert!(region.param("reid").is_some() || i < 5, "frame {i}");
        moved += usize::from(region.rect.0.abs_diff(50 + 9 * i as u32) > 1);
    }
    assert!(moved > 3, "the tracker moved {moved} boxes");
}

/// Makes the sink `end` take a crop that is only noted on the buffer, as those that draw by themselves do.
fn take_crops(pipeline: &gst::Pipeline) {
    let pad = pipeline.by_name("end").unwrap().static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| {
        let Some(query) = info.query_mut() else {
            return gst::PadProbeReturn::Ok;
        };
        let gst::QueryViewMut::Allocation(query) = query.view_mut() else {
            return gst::PadProbeReturn::Ok;
        };
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        query.add_allocation_meta::<gst_video::VideoCropMeta>(None);
        gst::PadProbeReturn::Handled
    });
}

/// Left edges of people by time and number, as `reidpublish` writes them behind `rest`, and whether buffers say crops.
fn edges(rest: &str) -> (BTreeMap<(u64, u64), i64>, bool) {
    let folder = tempfile::tempdir().unwrap();
    let lines = folder.path().join("lines");
    let pipeline = parse(&format!(
        "reidtestsrc attach=detections pattern=crowd num-buffers=30 ! video/x-raw,format=I420,width=640,height=480 ! queue \
         ! reidtrack ! {rest} ! reidpublish location={} ! fakesink name=end",
        lines.display()
    ));
    take_crops(&pipeline);
    let crops = collect(&pipeline, "end", |buffer| {
        buffer.meta::<gst_video::VideoCropMeta>().is_some()
    });
    assert_eq!(play(&pipeline).error, None, "{rest}");
    let mut found = BTreeMap::new();
    for line in fs::read_to_string(lines).unwrap().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let time = line["timestamp"].as_u64().unwrap();
        for object in line["objects"].as_array().unwrap() {
            let Some(id) = object["id"].as_u64() else {
                continue; // not decided yet
            };
            let key = (time, id);
            found.insert(key, object["x"].as_i64().unwrap());
        }
    }
    let crops = crops.lock().unwrap().clone();
    (found, crops.contains(&true))
}

#[test]
fn boxes_are_where_a_noted_crop_has_put_them() {
    let (whole, _) = edges("identity");
    let (cut, is_noted) = edges("videocrop left=100");
    assert!(is_noted, "videocrop has copied the picture");
    assert!(!cut.is_empty() && cut.len() < whole.len() + 1);
    for (key, x) in cut {
        assert_eq!(x, (whole[&key] - 100).max(0), "{key:?}");
    }
}

#[test]
fn who_looks_at_pixels_asks_for_the_picture_of_the_caps() {
    for element in ["yolodetect", "reidembed", "reidtrack", "reidoverlay"] {
        let launch = format!(
            "videotestsrc num-buffers=2 ! video/x-raw,format=I420,width=320,height=240 ! videocrop left=100 ! {element} ! fakesink name=end"
        );
        let pipeline = parse(&launch);
        take_crops(&pipeline);
        let crops = collect(&pipeline, "end", |buffer| {
            buffer.meta::<gst_video::VideoCropMeta>().is_some()
        });
        assert_eq!(play(&pipeline).error, None, "{launch}");
        assert_eq!(*crops.lock().unwrap(), [false; 2], "{element}");
    }
    play_well("videotestsrc num-buffers=2 ! reidoverlay ! fakesink");
}
