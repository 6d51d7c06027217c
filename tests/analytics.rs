//! The analytics metas that GStreamer 1.24 and newer have, on real pipelines.
#![cfg(feature = "v1_24")]

mod common;
#[path = "common/played.rs"]
mod played;

use std::collections::BTreeMap;

use gst::prelude::*;
use gst_analytics::{
    AnalyticsClassificationMtd, AnalyticsMetaRefExt, AnalyticsODMtd, AnalyticsRelationMeta,
    AnalyticsRelationMetaODExt, AnalyticsRelationMetaTrackingExt, AnalyticsTrackingMtd, RelTypes,
};
use gstreid::media::PeopleMeta;

/// Whether GStreamer has this element of upstream's; that it has not is said.
///
/// `GST_REID_UPSTREAM_PLUGINS` is a folder of plugins that the distribution lacks (`make test-debian` fills one).
fn has(element: &str) -> bool {
    played::init();
    static SCANNED: std::sync::Once = std::sync::Once::new();
    SCANNED.call_once(|| {
        if let Some(folder) = std::env::var_os("GST_REID_UPSTREAM_PLUGINS") {
            gst::Registry::get().scan_path(folder);
        }
    });
    let is_there = gst::ElementFactory::find(element).is_some();
    if !is_there {
        eprintln!("skipped: {} has no {element} here", gst::version_string());
    }
    is_there
}

/// What a buffer says of a number: buffer time, first and last seen, ns.
#[derive(Clone, Copy, Debug)]
struct Told {
    now: u64,
    first: u64,
    last: u64,
}

/// By number, in order of time.
type All = BTreeMap<u64, Vec<Told>>;

/// A test scene of 60 frames with a detector's boxes.
const SCENE: &str = "reidtestsrc pattern=crossing people=4 attach=detections num-buffers=60 ! video/x-raw,width=320,height=240,framerate=25/1";

/// Left, top, width, height, px.
type Place = (i32, i32, i32, i32);

/// A box as analytics metas have it, with the numbers that it relates to.
#[derive(Clone, Debug, PartialEq)]
struct Detection {
    class: String,
    place: Place,
    confidence: f32,
    /// By entry, in the order in which they were added.
    numbers: Vec<u64>,
    names: Vec<String>,
}

fn detections(buffer: &gst::BufferRef) -> Vec<Detection> {
    let Some(meta) = buffer.meta::<AnalyticsRelationMeta>() else {
        return Vec::new();
    };
    let detection = |od: gst_analytics::AnalyticsMtdRef<'_, AnalyticsODMtd>| {
        let place = od.location().unwrap();
        let related = RelTypes::RELATE_TO;
        let tracking = meta.iter_direct_related::<AnalyticsTrackingMtd>(od.id(), related);
        let classes = meta.iter_direct_related::<AnalyticsClassificationMtd>(od.id(), related);
        Detection {
            class: od
                .obj_type()
                .map_or_else(String::new, |class| class.as_str().to_string()),
            place: (place.x, place.y, place.w, place.h),
            confidence: place.loc_conf_lvl,
            numbers: tracking.map(|tracking| tracking.info().0).collect(),
            names: classes
                .map(|class| class.quark(0).as_str().to_string())
                .collect(),
        }
    };
    meta.iter::<AnalyticsODMtd>().map(detection).collect()
}

/// What the metas of a pipeline between test source and sink say.
fn played(between: &str) -> All {
    let launch = format!("{SCENE} ! {between} reidtrack motion-only=true ! fakesink name=end");
    let pipeline = played::parse(&launch);
    let frames = played::collect(&pipeline, "end", |buffer| {
        let now = buffer.pts().unwrap().nseconds();
        let meta = buffer.meta::<AnalyticsRelationMeta>();
        let mut told = Vec::new();
        for detection in meta.iter().flat_map(|m| m.iter::<AnalyticsODMtd>()) {
            let meta = meta.as_ref().unwrap();
            let related = meta
                .iter_direct_related::<AnalyticsTrackingMtd>(detection.id(), RelTypes::RELATE_TO);
            for tracking in related {
                let (number, first, last, _) = tracking.info();
                let (first, last) = (first.nseconds(), last.nseconds());
                told.push((number, Told { now, first, last }));
            }
        }
        told
    });
    assert_eq!(played::play(&pipeline).error, None, "{launch}");
    let mut all = All::new();
    for (number, told) in frames.lock().unwrap().drain(..).flatten() {
        all.entry(number).or_default().push(told);
    }
    all
}

#[test]
fn tracking_says_when_somebody_was_first_and_last_seen() {
    // Buffer times need not begin at 0.
    for between in ["", "identity ts-offset=7000000000 !"] {
        let all = played(between);
        assert!(all.len() >= 2, "{all:?}");
        for (number, told) in &all {
            assert!(told.len() > 5, "{number}: {told:?}");
            let first = told[0];
            // Confirmed by the second sighting.
            assert!(first.first < first.now, "{number}: {first:?}");
            let is_constant = told.iter().all(|t| t.first.abs_diff(first.first) <= 1);
            assert!(is_constant, "{number}: {told:?}");
            let in_order = |t: &Told| t.first < t.last && t.last <= t.now;
            assert!(told.iter().all(in_order), "{number}: {told:?}");
            let seen_now = told.iter().filter(|t| t.last == t.now).count();
            assert!(2 * seen_now > told.len(), "{number}: {told:?}");
        }
    }
}

/// Numbers and boxes of our own list.
fn listed(buffer: &gst::BufferRef) -> Vec<(Option<u64>, f32)> {
    let meta = buffer.meta::<PeopleMeta>().expect("a list of people");
    let person = |person: &gstreid::core::person::Person| {
        let number = person.identity.as_ref().map(|i| u64::from(i.id.0));
        (number, person.confidence)
    };
    meta.people().iter().map(person).collect()
}

/// Each person has one entry with their number, whatever `detector` put on the buffers of an element that it is called in.
fn check_one_entry_each(pipeline: &gst::Pipeline) {
    let frames = played::collect(pipeline, "end", |buffer| {
        (detections(buffer), listed(buffer))
    });
    assert_eq!(played::play(pipeline).error, None);
    let mut numbered = 0;
    for (found, people) in frames.lock().unwrap().iter() {
        assert_eq!(found.len(), people.len(), "{found:?} {people:?}");
        for &(number, confidence) in people {
            // Without an identity people may be as like as two peas.
            let Some(number) = number else { continue };
            let theirs = |d: &&Detection| d.confidence == confidence && d.numbers.contains(&number);
            assert_eq!(
                found.iter().filter(theirs).count(),
                1,
                "{found:?} {people:?}"
            );
            numbered += 1;
        }
    }
    assert!(numbered > 60, "{numbered}");
}

/// Two people who walk past each other, found in frame `i`.
fn walkers(i: i32) -> [((i32, i32, i32, i32), f32); 2] {
    [
        ((20 + 4 * i, 60, 40, 120), 0.9),
        ((240 - 4 * i, 70, 40, 120), 0.8),
    ]
}

const BLANK: &str = "videotestsrc num-buffers=45 pattern=black ! video/x-raw,format=GRAY8,width=320,height=240,framerate=25/1";

#[test]
fn a_detector_that_writes_analytics_metas_is_read_and_completed() {
    // With what upstream's tracker writes, and without.
    for is_tracked in [false, true] {
        let launch = format!(
            "{BLANK} ! identity name=detector ! queue ! reidtrack motion-only=true ! fakesink name=end"
        );
        let pipeline = played::parse(&launch);
        let mut frame = 0;
        played::watch(&pipeline, "detector", move |buffer| {
            AnalyticsRelationMeta::add(buffer);
            let mut meta = buffer.meta_mut::<AnalyticsRelationMeta>().unwrap();
            let class = glib::Quark::from_str("person");
            for (i, ((x, y, w, h), confidence)) in walkers(frame).into_iter().enumerate() {
                let found = meta.add_od_mtd(class, x, y, w, h, confidence).unwrap().id();
                if is_tracked {
                    let number = 4_000_000_000 + i as u64;
                    let tracking = meta.add_tracking_mtd(number, gst::ClockTime::ZERO);
                    let tracking = tracking.unwrap().id();
                    meta.set_relation(RelTypes::RELATE_TO, found, tracking)
                        .unwrap();
                }
            }
            frame += 1;
        });
        check_one_entry_each(&pipeline);
    }
}

#[test]
fn upstreams_tracker_in_front_keeps_one_entry_each() {
    if !has("ioutracker") {
        return;
    }
    let launch = format!("{SCENE} ! ioutracker ! reidtrack motion-only=true ! fakesink name=end");
    check_one_entry_each(&played::parse(&launch));
}

/// Whether the elements of upstream's that run detectors are here; that they are not is said.
fn has_inference() -> bool {
    // 1.24 has elements of these names that know no model information.
    let is_new = gst::version() >= (1, 28, 0, 0);
    if !is_new {
        eprintln!("skipped: {} is older than 1.28", gst::version_string());
    }
    is_new
        && ["onnxinference", "yolov8tensordec", "tensordecodebin"]
            .into_iter()
            .all(has)
}

/// The tiny detector of the fixtures (64 × 64 px, bright cells of 8 px are people) with what upstream needs beside it.
fn model_of_upstream() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let model = common::root().join("tests/fixtures/yolo/yolov8.onnx");
    std::fs::copy(model, folder.path().join("people.onnx")).unwrap();
    let about = "[modelinfo]\nversion=1.0\ngroup-id=yolo-v8-out\n\n\
         [images]\nid=images\ntype=float32\ndims=1,3,64,64\ndir=input\nranges=0.0,1.0;0.0,1.0;0.0,1.0\n\n\
         [output0]\nid=yolo-v8-out\ntype=float32\ndims=1,7,84\ndir=output\ndims-order=col-major\n";
    std::fs::write(folder.path().join("people.onnx.modelinfo"), about).unwrap();
    std::fs::write(folder.path().join("labels.txt"), "person\ndog\ncat\n").unwrap();
    folder
}

/// Fills a cell of 8 × 8 px of a 64 × 64 px RGB frame with a grey, which is the score of a box there.
fn light(pixels: &mut [u8], column: usize, row: usize, grey: u8) {
    for y in 8 * row..8 * row + 8 {
        let start = (y * 64 + 8 * column) * 3;
        pixels[start..start + 24].fill(grey);
    }
}

#[test]
fn upstreams_detector_in_front_keeps_one_entry_each() {
    if !has_inference() {
        return;
    }
    let model = model_of_upstream();
    let labels = model.path().join("labels.txt").display().to_string();
    for decoder in [
        format!("yolov8tensordec label-file={labels} ! videoconvert"),
        "tensordecodebin ! videoconvert".to_owned(),
    ] {
        let launch = format!(
            "videotestsrc num-buffers=50 pattern=black ! video/x-raw,format=RGB,width=64,height=64,framerate=25/1 \
             ! identity name=camera ! onnxinference model-file={}/people.onnx ! {decoder} \
             ! queue ! reidembed min-height=1 object-class=\"\" ! queue ! reidtrack min-hits=2 ! fakesink name=end",
            model.path().display()
        );
        let pipeline = played::parse(&launch);
        let mut frame = 0;
        // Two stand there; one of them is not seen for three frames.
        played::watch(&pipeline, "camera", move |buffer| {
            let mut map = buffer.map_writable().unwrap();
            light(&mut map, 1, 1, 255);
            if !(20..23).contains(&frame) {
                light(&mut map, 5, 5, 230);
            }
            frame += 1;
        });
        let ids = played::collect(&pipeline, "end", |buffer| {
            let regions = buffer.iter_meta::<gst_video::VideoRegionOfInterestMeta>();
            assert_eq!(
                regions.count(),
                detections(buffer).len(),
                "one region and one entry each"
            );
            detections(buffer)
                .iter()
                .map(|d| d.numbers.clone())
                .collect::<Vec<_>>()
        });
        check_one_entry_each(&pipeline);
        let ids = ids.lock().unwrap();
        let both = ids.iter().filter(|frame| frame.len() == 2).count();
        assert!(both >= 40, "{decoder}: {ids:?}");
        let all: std::collections::BTreeSet<_> = ids.iter().flatten().flatten().collect();
        assert_eq!(all.len(), 2, "{decoder}: {ids:?}");
    }
}

/// Pixels of the last frame of `launch` (RGBA, 320 px wide) as `is_drawn` tells them, by whether they lie on the edge of a box.
fn drawn(between: &str, is_drawn: fn(&[u8]) -> bool) -> (usize, usize) {
    let launch =
        format!("{SCENE},format=RGBA ! reidtrack motion-only=true ! {between} ! fakesink name=end");
    let pipeline = played::parse(&launch);
    let frames = played::collect(&pipeline, "end", move |buffer| {
        let map = buffer.map_readable().unwrap();
        let found = detections(buffer);
        let is_edge = |x: i32, y: i32| {
            found.iter().any(|d| {
                let (left, top, w, h) = d.place;
                let near = |v: i32, edge: i32| (v - edge).abs() <= 2;
                let within =
                    |v: i32, from: i32, size: i32| (from - 2..=from + size + 2).contains(&v);
                (near(x, left) || near(x, left + w)) && within(y, top, h)
                    || (near(y, top) || near(y, top + h)) && within(x, left, w)
            })
        };
        let (mut edge, mut elsewhere) = (0, 0);
        for (i, pixel) in map.chunks_exact(4).enumerate() {
            let (x, y) = ((i % 320) as i32, (i / 320) as i32);
            match (is_drawn(pixel), is_edge(x, y)) {
                (true, true) => edge += 1,
                (true, false) => elsewhere += 1,
                (false, _) => {}
            }
        }
        (edge, elsewhere)
    });
    assert_eq!(played::play(&pipeline).error, None, "{launch}");
    let last = frames.lock().unwrap().last().copied();
    last.expect("a frame")
}

#[test]
fn upstreams_overlay_draws_our_boxes() {
    if !has("objectdetectionoverlay") {
        return;
    }
    // ARGB: green at its strongest, which the scene has nowhere.
    let is_green = |pixel: &[u8]| pixel[0] < 40 && pixel[1] > 200 && pixel[2] < 40;
    let mut overlay =
        "objectdetectionoverlay draw-labels=false object-detection-outline-color=0xff00ff00"
            .to_owned();
    let element = gst::ElementFactory::make("objectdetectionoverlay");
    let has_own_colours = element
        .build()
        .unwrap()
        .has_property("tracking-outline-colors");
    if has_own_colours {
        // From 1.28 on every number has a colour of its own.
        overlay += " draw-tracking-labels=false tracking-outline-colors=false";
    }
    let (edge, elsewhere) = drawn(&overlay, is_green);
    if has_own_colours {
        let own = overlay.replace(
            "tracking-outline-colors=false",
            "tracking-outline-colors=true",
        );
        assert_eq!(drawn(&own, is_green), (0, 0), "our numbers have no colours");
    }
    assert!(edge > 200 && elsewhere == 0, "{edge} {elsewhere}");
    assert_eq!(drawn("identity", is_green), (0, 0));
}

/// The value of an attribute in a line of XML, px.
fn attribute(line: &str, name: &str) -> i32 {
    let value = line.split(&format!("{name}=\"")).nth(1).unwrap();
    value
        .split('"')
        .next()
        .unwrap()
        .parse::<f32>()
        .unwrap()
        .round() as i32
}

/// Left, top, right, bottom of the boxes in an ONVIF document.
fn onvif_boxes(xml: &str) -> Vec<(i32, i32, i32, i32)> {
    let lines = xml.lines().filter(|line| line.contains("BoundingBox"));
    let edges = |line| {
        let [left, top, right, bottom] =
            ["left", "top", "right", "bottom"].map(|name| attribute(line, name));
        (left, top, right, bottom)
    };
    lines.map(edges).collect()
}

#[test]
fn onvif_documents_have_our_boxes() {
    if !has("relationmeta2onvifmeta") {
        return;
    }
    let launch = format!(
        "{SCENE} ! reidtrack motion-only=true ! relationmeta2onvifmeta ! fakesink name=end"
    );
    let pipeline = played::parse(&launch);
    let frames = played::collect(&pipeline, "end", |buffer| {
        let meta = gst::meta::CustomMeta::from_buffer(buffer, "OnvifXMLFrameMeta").unwrap();
        let documents: gst::BufferList = meta.structure().get("frames").unwrap();
        let map = documents.get(0).unwrap().map_readable().unwrap();
        let xml = String::from_utf8(map.to_vec()).unwrap();
        (xml, detections(buffer))
    });
    assert_eq!(played::play(&pipeline).error, None);
    let mut boxes = 0;
    for (xml, found) in frames.lock().unwrap().iter() {
        let expected: Vec<_> = found
            .iter()
            .map(|d| {
                (
                    d.place.0,
                    d.place.1,
                    d.place.0 + d.place.2,
                    d.place.1 + d.place.3,
                )
            })
            .collect();
        assert_eq!(onvif_boxes(xml), expected, "{xml}");
        assert_eq!(xml.matches(">person<").count(), expected.len(), "{xml}");
        boxes += expected.len();
    }
    assert!(boxes > 60, "{boxes}");
}

#[test]
fn onvif_documents_are_read_back_by_upstream() {
    let needed = ["relationmeta2onvifmeta", "onvifmeta2relationmeta"];
    if !needed.iter().all(|element| has(element)) {
        return;
    }
    // Frames are matched by their time of day.
    let launch = format!(
        "{SCENE} ! reidtrack motion-only=true ! tee name=t t. ! queue ! fakesink name=ours async=false \
         t. ! queue ! relationmeta2onvifmeta ! identity name=strip ! onvifmeta2relationmeta ! fakesink name=theirs async=false"
    );
    let pipeline = played::parse(&launch);
    played::watch(&pipeline, "strip", |buffer| {
        if let Some(meta) = buffer.meta_mut::<AnalyticsRelationMeta>() {
            meta.remove().unwrap();
        }
        assert!(detections(buffer).is_empty());
    });
    let places = |buffer: &gst::BufferRef| {
        let found = detections(buffer);
        found
            .iter()
            .map(|d| (d.place, d.class.clone()))
            .collect::<Vec<_>>()
    };
    let ours = played::collect(&pipeline, "ours", places);
    let theirs = played::collect(&pipeline, "theirs", places);
    assert_eq!(played::play(&pipeline).error, None, "{launch}");
    let (ours, theirs) = (ours.lock().unwrap(), theirs.lock().unwrap());
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs.iter()) {
        let is_same = |((a, of_a), (b, of_b)): (&(Place, _), &(Place, _))| {
            // The document's coordinates are parts of the picture, which upstream cuts to whole pixels.
            let apart = [a.0 - b.0, a.1 - b.1, a.2 - b.2, a.3 - b.3];
            apart.iter().all(|pixels| pixels.abs() <= 1) && of_a == of_b
        };
        let is_whole = ours.len() == theirs.len() && ours.iter().zip(theirs).all(is_same);
        assert!(is_whole, "{ours:?} {theirs:?}");
    }
    assert!(theirs.iter().flatten().count() > 60, "{theirs:?}");
}

#[test]
fn onvif_streams_carry_our_boxes() {
    let needed = [
        "relationmeta2onvifmeta",
        "onvifmetadataextractor",
        "rtponvifmetadatapay",
        "rtponvifmetadatadepay",
    ];
    if !needed.iter().all(|element| has(element)) {
        return;
    }
    let launch = format!(
        "{SCENE} ! reidtrack motion-only=true ! relationmeta2onvifmeta \
         ! onvifmetadataextractor name=e remove-onvif-metadata=true ! fakesink async=false \
         e.meta_src ! queue ! rtponvifmetadatapay ! rtponvifmetadatadepay ! fakesink name=stream async=false"
    );
    let pipeline = played::parse(&launch);
    let streamed = played::collect(&pipeline, "stream", |buffer| {
        String::from_utf8(buffer.map_readable().unwrap().to_vec()).unwrap()
    });
    assert_eq!(played::play(&pipeline).error, None, "{launch}");
    let streamed = streamed.lock().unwrap();
    let boxes: usize = streamed.iter().map(|xml| onvif_boxes(xml).len()).sum();
    assert!(boxes > 60, "{boxes} boxes in {} documents", streamed.len());
}

#[test]
fn identities_stay_through_upstreams_batches() {
    if !has("analyticscombiner") || !has("analyticssplitter") {
        return;
    }
    let launch = format!(
        "{SCENE} ! reidtrack motion-only=true ! combiner.sink_0 \
         analyticscombiner name=combiner batch-duration=0 ! analyticssplitter name=splitter \
         splitter.src_0_0 ! fakesink name=end"
    );
    check_one_entry_each(&played::parse(&launch));
}

#[test]
fn a_users_name_is_the_class_that_a_box_relates_to() {
    let launch = format!(
        "{SCENE} ! reidtrack name=track gallery=named motion-only=true ! fakesink name=end"
    );
    let pipeline = played::parse(&launch);
    let track = pipeline.by_name("track").unwrap();
    let mut is_named = false;
    let frames = played::collect(&pipeline, "end", move |buffer| {
        let found = detections(buffer);
        if let (false, Some(&number)) = (is_named, found.iter().find_map(|d| d.numbers.first())) {
            is_named = track.emit_by_name("rename", &[&(number as u32), &"Ann"]);
        }
        found
    });
    assert_eq!(played::play(&pipeline).error, None);
    let frames = frames.lock().unwrap();
    let named: Vec<&Detection> = frames
        .iter()
        .flatten()
        .filter(|d| !d.names.is_empty())
        .collect();
    assert!(named.len() > 20, "{frames:?}");
    let number = &named[0].numbers;
    assert!(
        named
            .iter()
            .all(|d| d.names == ["Ann"] && d.numbers == *number),
        "{named:?}"
    );
}
