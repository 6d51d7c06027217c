//! Which elements keep what is attached to buffers, compared with the table of docs/metadata.md.

mod common;
#[path = "common/played.rs"]
mod played;

use std::{collections::BTreeSet, fs};

use common::root;
use gst_video::VideoRegionOfInterestMeta;
use gstreid::{
    core::geometry::Rect,
    media::{self, FrameSize, PeopleMeta},
};

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

/// Where a box of a 640 × 480 px picture goes.
type Way = fn(Rect) -> Rect;

#[test]
fn boxes_follow_elements_that_change_the_picture() {
    played::init();
    if gst::version() < (1, 28, 0, 0) {
        eprintln!(
            "skipped: {} does not say how pictures are changed",
            gst::version_string()
        );
        return;
    }
    let changes: [(&str, (u32, u32), Way); 6] = [
        ("videocrop left=100", (540, 480), |r| {
            Rect::new(r.x - 100.0, r.y, r.w, r.h)
        }),
        ("videocrop top=50 bottom=10", (640, 420), |r| {
            Rect::new(r.x, r.y - 50.0, r.w, r.h)
        }),
        ("videobox left=-20 top=-30", (660, 510), |r| {
            Rect::new(r.x + 20.0, r.y + 30.0, r.w, r.h)
        }),
        ("videoflip video-direction=horiz", (640, 480), |r| {
            Rect::new(640.0 - r.x - r.w, r.y, r.w, r.h)
        }),
        ("videoflip video-direction=90r", (480, 640), |r| {
            Rect::new(480.0 - r.y - r.h, r.x, r.h, r.w)
        }),
        ("videoflip video-direction=180", (640, 480), |r| {
            Rect::new(640.0 - r.x - r.w, 480.0 - r.y - r.h, r.w, r.h)
        }),
    ];
    for (change, (width, height), way) in changes {
        let launch = format!(
            "reidtestsrc attach=detections pattern=crowd num-buffers=12 ! video/x-raw,format=I420,width=640,height=480,framerate=25/1 \
             ! reidtrack motion-only=true name=track ! {change} ! fakesink name=end"
        );
        let pipeline = played::parse(&launch);
        let before = played::collect(&pipeline, "track", move |buffer| {
            boxes(buffer, 640, 480)
                .into_iter()
                .map(|(id, rect)| (id, way(rect)))
                .collect::<Vec<_>>()
        });
        let after = played::collect(&pipeline, "end", move |buffer| boxes(buffer, width, height));
        assert_eq!(played::play(&pipeline).error, None, "{launch}");
        let (before, after) = (before.lock().unwrap(), after.lock().unwrap());
        let mut compared = 0;
        for (before, after) in before.iter().zip(after.iter()) {
            for (id, is) in after {
                let (_, should) = before.iter().find(|(theirs, _)| theirs == id).unwrap();
                // Whoever is cut at the edge of the picture may be cut in the list.
                let is_inside = should.x >= 0.0
                    && should.y >= 0.0
                    && should.right() <= width as f32
                    && should.bottom() <= height as f32;
                if is_inside {
                    let near = |a: f32, b: f32| (a - b).abs() <= 2.0;
                    let fits = near(is.x, should.x)
                        && near(is.y, should.y)
                        && near(is.w, should.w)
                        && near(is.h, should.h);
                    assert!(fits, "{change}: {is:?} instead of {should:?}");
                    compared += 1;
                }
            }
        }
        assert!(compared > 20, "{change}: {compared}");
    }
}

/// The people of a list, with their identities.
fn boxes(buffer: &gst::BufferRef, width: u32, height: u32) -> Vec<(u32, Rect)> {
    let people = media::read_people(buffer, FrameSize { width, height }).unwrap_or_default();
    let known = people
        .iter()
        .filter_map(|p| Some((p.identity.as_ref()?.id.0, p.rect)));
    known.collect()
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
