//! Which elements keep what is attached to buffers, compared with the table of docs/metadata.md.

mod common;
#[path = "common/played.rs"]
mod played;

use std::{collections::BTreeSet, fs};

use common::root;
use gst_video::VideoRegionOfInterestMeta;
use gstreid::media::PeopleMeta;

/// Element of the table, and what stands between tracker and sink to measure it.
const ELEMENTS: &[(&str, &str)] = &[
    ("queue", "queue"),
    ("tee", "tee ! queue"),
    ("identity", "identity"),
    ("valve", "valve"),
    ("concat", "concat"),
    ("input-selector", "input-selector"),
    ("multiqueue", "m. multiqueue name=m m."),
    ("videorate", "videorate ! video/x-raw,framerate=10/1"),
    ("videoconvert", "videoconvert ! video/x-raw,format=RGBA"),
    (
        "videoscale",
        "videoscale ! video/x-raw,width=320,height=240",
    ),
    (
        "videoscale, with borders",
        "videoscale add-borders=true ! video/x-raw,width=320,height=320,pixel-aspect-ratio=1/1",
    ),
    ("videobalance", "videobalance brightness=0.1"),
    ("gamma", "gamma gamma=1.2"),
    ("alpha", "alpha alpha=0.5"),
    ("deinterlace", "deinterlace mode=interlaced"),
    ("textoverlay", "textoverlay text=hello"),
    ("timeoverlay", "timeoverlay"),
    ("videocrop", "videocrop left=100"),
    ("videobox", "videobox left=-20"),
    ("videoflip", "videoflip video-direction=90r"),
    ("compositor", "compositor"),
    ("jpegenc ! jpegdec", "jpegenc ! jpegdec"),
    (
        "x264enc ! avdec_h264",
        "x264enc tune=zerolatency ! h264parse ! avdec_h264",
    ),
];

/// What of it a buffer carries.
fn carried(buffer: &gst::BufferRef) -> BTreeSet<&'static str> {
    let mut carried = BTreeSet::new();
    let list = buffer.meta::<PeopleMeta>();
    if list.is_some_and(|list| list.people().iter().any(|p| p.identity.is_some())) {
        carried.insert("list");
    }
    for region in buffer.iter_meta::<VideoRegionOfInterestMeta>() {
        carried.insert("regions");
        if region.param("reid").is_some() {
            carried.insert("parameters");
        }
    }
    #[cfg(feature = "v1_24")]
    {
        use gst_analytics::{AnalyticsMetaRefExt, AnalyticsRelationMeta, AnalyticsTrackingMtd};
        let meta = buffer.meta::<AnalyticsRelationMeta>();
        if meta.is_some_and(|meta| meta.iter::<AnalyticsTrackingMtd>().next().is_some()) {
            carried.insert("analytics");
        }
    }
    carried
}

/// What comes through, as a cell of the table; `None` where an element is missing.
fn measured(between: &str) -> Option<String> {
    let launch = format!(
        "reidtestsrc attach=detections pattern=crowd num-buffers=12 ! video/x-raw,format=I420,width=640,height=480,framerate=25/1 \
         ! reidtrack motion-only=true ! {between} ! fakesink name=end"
    );
    let missing = between.split_whitespace().find(|word| {
        let is_element = word
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
        is_element && gst::ElementFactory::find(word).is_none()
    });
    if let Some(missing) = missing {
        eprintln!("skipped: {} has no {missing} here", gst::version_string());
        return None;
    }
    let pipeline = played::parse(&launch);
    let frames = played::collect(&pipeline, "end", carried);
    assert_eq!(played::play(&pipeline).error, None, "{launch}");
    let all: BTreeSet<_> = frames.lock().unwrap().iter().flatten().copied().collect();
    let words = ["list", "regions", "parameters", "analytics"];
    let kept: Vec<_> = words
        .into_iter()
        .filter(|word| all.contains(word))
        .collect();
    Some(if kept.is_empty() {
        "-".to_owned()
    } else {
        kept.join(", ")
    })
}

#[test]
fn the_table_says_what_is_kept() {
    played::init();
    let (major, minor, ..) = gst::version();
    let version = format!("{major}.{minor}");
    let text = fs::read_to_string(root().join("docs/metadata.md")).unwrap();
    let mut rows = text
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
        });
    let head = rows.find(|row| row[0] == "element").expect("a table");
    let column = head.iter().position(|cell| *cell == version);
    let rows: Vec<_> = rows.collect();
    let mut wrong = Vec::new();
    for (element, between) in ELEMENTS {
        let Some(found) = measured(between) else {
            continue;
        };
        let row = rows.iter().find(|row| row[0] == format!("`{element}`"));
        let row = row.unwrap_or_else(|| panic!("{element} is not in the table"));
        let Some(column) = column else {
            eprintln!("| `{element}` | {found} |");
            continue;
        };
        // A build without the analytics metas cannot see them.
        let expected = match cfg!(feature = "v1_24") {
            true => row[column].clone(),
            false => row[column].replace(", analytics", ""),
        };
        if expected != found {
            wrong.push(format!("| `{element}` | {found} | instead of {expected}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "GStreamer {version}:\n{}",
        wrong.join("\n")
    );
    if column.is_none() {
        eprintln!(
            "skipped: docs/metadata.md has no column for GStreamer {version}; above is what one would say"
        );
    }
}
