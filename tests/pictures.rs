//! `reidtestsrc` and `reidoverlay` as elements: every format and size, renegotiation, determinism, truth, bad input.

use std::hash::{DefaultHasher, Hash, Hasher};

use gst::prelude::*;
use gst_check::Harness;
use gstreid::{
    core::{
        geometry::Rect,
        image::PixelFormat,
        overlay::{UNCONFIRMED, identity_colour},
        person::{Identity, IdentityId, IdentityState, Person, Track, TrackId, TrackState},
        testscene::Truth,
    },
    elements::reidtestsrc::truth,
    media::{self, FrameSize, MappedFrame, PeopleMeta, caps, roi::Origin},
};

fn init() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstreid::plugin_register_static().unwrap();
    });
}

fn raw(format: &str, width: u32, height: u32) -> String {
    format!("video/x-raw,format={format},width={width},height={height},framerate=30/1")
}

/// Frames of a test source.
fn frames(properties: &str, caps: &str, count: usize) -> Vec<gst::Buffer> {
    init();
    let mut harness = Harness::new_parse(&format!(
        "reidtestsrc {properties} ! capsfilter caps=\"{caps}\""
    ));
    harness.play();
    (0..count).map(|_| harness.pull().unwrap()).collect()
}

fn hash(buffers: &[gst::Buffer]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for buffer in buffers {
        buffer.map_readable().unwrap().as_slice().hash(&mut hasher);
    }
    hasher.finish()
}

#[test]
fn the_same_seed_gives_the_same_frames_and_another_does_not() {
    let of = |properties: &str| hash(&frames(properties, &raw("I420", 160, 120), 5));
    assert_eq!(of("seed=3 pattern=crowd"), of("seed=3 pattern=crowd"));
    assert_ne!(of("seed=3 pattern=crowd"), of("seed=4 pattern=crowd"));
    assert_ne!(
        of("seed=3 pattern=crowd camera=0"),
        of("seed=3 pattern=crowd camera=1")
    );
}

#[test]
fn every_format_and_odd_sizes_are_made() {
    for format in PixelFormat::ALL {
        let name = caps::video_format(format).to_str();
        for (width, height) in [(16, 16), (161, 121), (320, 240)] {
            let info = gst_video::VideoInfo::builder(caps::video_format(format), width, height)
                .build()
                .unwrap();
            let buffer = &frames("pattern=crowd", &raw(name, width, height), 1)[0];
            assert_eq!(buffer.size(), info.size(), "{name} {width}x{height}");
            let frame = MappedFrame::readable(buffer, &info).unwrap();
            assert_eq!(frame.view().unwrap().format(), format);
        }
    }
}

#[test]
fn times_follow_the_frame_rate_and_the_truth_is_attached() {
    let buffers = frames(
        "pattern=crowd people=5",
        "video/x-raw,framerate=30000/1001,width=320,height=240",
        31,
    );
    assert_eq!(
        buffers[30].pts(),
        Some(gst::ClockTime::from_nseconds(1_001_000_000))
    );
    assert_eq!(
        buffers[0]
            .pts()
            .zip(buffers[0].duration())
            .map(|(a, b)| a + b),
        buffers[1].pts()
    );
    let truths = truth::read(&buffers[0]);
    assert!(truths.len() >= 4, "{truths:?}");
    assert!(
        truths
            .iter()
            .all(|truth| (1..=5).contains(&truth.id) && (0.0..=1.0).contains(&truth.visibility))
    );
    assert!(
        media::read_people(
            &buffers[0],
            FrameSize {
                width: 320,
                height: 240
            }
        )
        .is_none()
    );
}

#[test]
fn boxes_can_be_attached_as_detections_or_nothing_at_all() {
    let caps = raw("I420", 320, 240);
    let found = frames("pattern=crowd people=5 attach=detections", &caps, 1);
    let people = found[0].meta::<PeopleMeta>().unwrap();
    let truths: Vec<Truth> = truth::read(&found[0]);
    assert!(!people.people().is_empty());
    for person in people.people() {
        assert!(truths.iter().any(|truth| truth.rect == person.rect) && person.identity.is_none());
    }
    let bare = frames("pattern=crowd people=5 attach=none", &caps, 1);
    assert!(truth::read(&bare[0]).is_empty() && bare[0].meta::<PeopleMeta>().is_none());
    assert!(truth::read(&frames("pattern=empty", &caps, 1)[0]).is_empty());
}

#[test]
fn seeking_shows_what_playing_shows() {
    init();
    let mut harness = Harness::new_parse(&format!(
        "reidtestsrc pattern=crowd ! capsfilter caps=\"{}\"",
        raw("GRAY8", 64, 48)
    ));
    harness.play();
    let played: Vec<_> = (0..40).map(|_| harness.pull().unwrap()).collect();
    drop(harness);
    let pipeline = gst::parse::launch(&format!(
        "reidtestsrc pattern=crowd ! {} ! appsink name=sink sync=false",
        raw("GRAY8", 64, 48)
    ))
    .unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("sink").unwrap();
    pipeline.set_state(gst::State::Paused).unwrap();
    pipeline.state(gst::ClockTime::from_seconds(20)).0.unwrap();
    pipeline
        .seek_simple(
            gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE,
            gst::ClockTime::SECOND,
        )
        .unwrap();
    pipeline.state(gst::ClockTime::from_seconds(20)).0.unwrap();
    let sample = sink
        .emit_by_name::<Option<gst::Sample>>("pull-preroll", &[])
        .unwrap();
    let buffer = sample.buffer_owned().unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(buffer.pts(), played[30].pts());
    assert_eq!(hash(&[buffer]), hash(&played[30..31]));
}

#[test]
fn a_live_source_keeps_to_the_clock_and_says_that_it_is_live() {
    init();
    let launch = "reidtestsrc name=source is-live=true num-buffers=11 ! video/x-raw,framerate=50/1 ! fakesink";
    let pipeline = gst::parse::launch(launch).unwrap();
    let change = pipeline.set_state(gst::State::Paused).unwrap();
    assert_eq!(change, gst::StateChangeSuccess::NoPreroll);
    let begun = std::time::Instant::now();
    pipeline.set_state(gst::State::Playing).unwrap();
    let source = pipeline
        .downcast_ref::<gst::Bin>()
        .and_then(|bin| bin.by_name("source"));
    let mut latency = gst::query::Latency::new();
    assert!(source.unwrap().query(&mut latency));
    assert!(latency.result().0, "live");
    let ends = [gst::MessageType::Error, gst::MessageType::Eos];
    let limit = gst::ClockTime::from_seconds(20);
    let message = pipeline.bus().unwrap().timed_pop_filtered(limit, &ends);
    assert_eq!(message.unwrap().type_(), gst::MessageType::Eos);
    // The last of eleven frames begins 200 ms after the first.
    assert!(begun.elapsed().as_millis() >= 200, "{:?}", begun.elapsed());
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_camera_that_is_not_there_is_refused_with_the_remedy() {
    init();
    let pipeline = gst::parse::launch("reidtestsrc camera=5 cameras=2 ! fakesink").unwrap();
    assert!(pipeline.set_state(gst::State::Playing).is_err());
    let bus = pipeline.bus().unwrap();
    let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!()
    };
    assert!(
        error
            .error()
            .to_string()
            .contains("camera=5 needs cameras=6"),
        "{error:?}"
    );
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn sizes_beyond_reason_do_not_negotiate() {
    init();
    for caps in [
        raw("I420", 8, 8),
        raw("I420", 16384, 16384),
        raw("I420", 0, 0),
    ] {
        let launch = format!("reidtestsrc num-buffers=1 ! capsfilter caps=\"{caps}\" ! fakesink");
        let Ok(pipeline) = gst::parse::launch(&launch) else {
            continue;
        };
        let _ = pipeline.set_state(gst::State::Playing);
        let bus = pipeline.bus().unwrap();
        let kinds = [gst::MessageType::Error, gst::MessageType::Eos];
        let message = bus
            .timed_pop_filtered(gst::ClockTime::from_seconds(20), &kinds)
            .unwrap();
        assert_eq!(message.type_(), gst::MessageType::Error, "{caps}");
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

fn person(id: Option<u32>, rect: Rect) -> Person {
    let mut person = Person::detected(rect, 0.9, "person".into(), 0);
    person.track = Some(Track {
        id: TrackId(id.unwrap_or(99)),
        state: TrackState::Confirmed,
        unseen_ns: 0,
        age_ns: 0,
    });
    person.identity = id.map(|id| Identity {
        id: IdentityId(id),
        state: IdentityState::Matched,
        score: 0.5,
        margin: 0.1,
        evidence: None,
        previous: [].into(),
        name: None,
    });
    person
}

struct Overlaid {
    harness: Harness,
    info: gst_video::VideoInfo,
}

impl Overlaid {
    fn new(properties: &str, format: PixelFormat, width: u32, height: u32) -> Self {
        init();
        let mut harness = Harness::new_parse(&format!("reidoverlay {properties}"));
        let info = gst_video::VideoInfo::builder(caps::video_format(format), width, height)
            .build()
            .unwrap();
        harness.set_src_caps(info.to_caps().unwrap());
        Self { harness, info }
    }

    /// A grey frame with people.
    fn frame(&self, people: Option<Vec<Person>>, time_ms: u64) -> gst::Buffer {
        let mut buffer = gst::Buffer::from_mut_slice(vec![128_u8; self.info.size()]);
        let writable = buffer.get_mut().unwrap();
        writable.set_pts(gst::ClockTime::from_mseconds(time_ms));
        if let Some(people) = people {
            media::write_people(
                writable,
                FrameSize::from(&self.info),
                people,
                &Origin::default(),
            );
        }
        buffer
    }

    fn drawn(&mut self, people: Option<Vec<Person>>, time_ms: u64) -> gst::Buffer {
        let buffer = self.frame(people, time_ms);
        self.harness.push_and_pull(buffer).unwrap()
    }
}

#[test]
fn nothing_to_draw_is_not_even_copied() {
    let mut overlay = Overlaid::new("", PixelFormat::I420, 64, 48);
    for people in [None, Some(Vec::new())] {
        let buffer = overlay.frame(people, 0);
        let (kept, before) = (buffer.clone(), buffer.as_ptr());
        let after = overlay.harness.push_and_pull(buffer).unwrap();
        assert_eq!(after.as_ptr(), before);
        drop(kept);
    }
}

#[test]
fn a_buffer_that_somebody_else_holds_is_not_drawn_into() {
    let mut overlay = Overlaid::new("", PixelFormat::I420, 64, 48);
    let buffer = overlay.frame(
        Some(vec![person(Some(1), Rect::new(10.0, 10.0, 20.0, 30.0))]),
        0,
    );
    let kept = buffer.clone();
    let after = overlay.harness.push_and_pull(buffer).unwrap();
    assert!(kept.map_readable().unwrap().iter().all(|&b| b == 128));
    assert!(after.map_readable().unwrap().iter().any(|&b| b != 128));
    assert!(after.meta::<PeopleMeta>().is_some(), "the list goes on");
}

#[test]
fn identities_have_their_colour_and_the_unconfirmed_are_grey() {
    let mut overlay = Overlaid::new("show-labels=false", PixelFormat::Rgb, 120, 80);
    let people = vec![
        person(Some(7), Rect::new(10.0, 10.0, 30.0, 50.0)),
        person(None, Rect::new(60.0, 10.0, 30.0, 50.0)),
    ];
    let buffer = overlay.drawn(Some(people), 0);
    let frame = MappedFrame::readable(&buffer, &overlay.info).unwrap();
    let row = frame.view().unwrap().row(0, 30).to_vec();
    let at = |x: usize| [row[3 * x], row[3 * x + 1], row[3 * x + 2]];
    let (seven, grey) = (identity_colour(IdentityId(7)), UNCONFIRMED);
    assert_eq!(at(10), [seven.r, seven.g, seven.b]);
    assert_eq!(at(60), [grey.r, grey.g, grey.b]);
    assert_eq!((at(5), at(25)), ([128; 3], [128; 3]));
}

#[test]
fn a_name_that_no_font_has_letters_for_is_shown_as_the_id() {
    let drawn = |name: Option<&str>| {
        let mut overlay = Overlaid::new("font-size=20", PixelFormat::Gray8, 160, 120);
        let mut somebody = person(Some(7), Rect::new(20.0, 40.0, 60.0, 70.0));
        if let Some(identity) = &mut somebody.identity {
            identity.name = name.map(Into::into);
        }
        let buffer = overlay.drawn(Some(vec![somebody]), 0);
        buffer.map_readable().unwrap().to_vec()
    };
    let id = drawn(None);
    assert_ne!(drawn(Some("Anna")), id);
    // The last code point of all, which stands for no character.
    assert_eq!(drawn(Some("\u{10ffff}")), id);
    assert_eq!(drawn(Some("Anna \u{10ffff}")), id);
}

#[test]
fn every_format_and_size_is_drawn_into_and_renegotiated_in_mid_stream() {
    let mut overlay = Overlaid::new(
        "show-trails=true show-scores=true blur=all",
        PixelFormat::I420,
        64,
        48,
    );
    for (i, format) in PixelFormat::ALL.into_iter().enumerate() {
        for (width, height) in [(64, 48), (33, 27), (1, 1)] {
            let info = gst_video::VideoInfo::builder(caps::video_format(format), width, height)
                .build()
                .unwrap();
            overlay.harness.set_src_caps(info.to_caps().unwrap());
            overlay.info = info;
            let people = vec![
                person(Some(1), Rect::new(5.0, 5.0, 15.0, 30.0)),
                person(None, Rect::new(-5.0, -5.0, 300.0, 300.0)),
            ];
            let buffer = overlay.drawn(Some(people), i as u64 * 40);
            assert_eq!(buffer.size(), overlay.info.size());
        }
    }
}

#[test]
fn the_largest_frame_is_drawn_into_up_to_its_last_corner() {
    let side = caps::MAX_SIDE as u32;
    let mut overlay = Overlaid::new("show-trails=true", PixelFormat::Gray8, side, side);
    let last = side as f32;
    let corner = Rect::new(last - 400.0, last - 400.0, 400.0, 400.0);
    let buffer = overlay.drawn(Some(vec![person(Some(1), corner)]), 0);
    let frame = MappedFrame::readable(&buffer, &overlay.info).unwrap();
    let bottom = frame.view().unwrap().row(0, side as usize - 1).to_vec();
    assert!(bottom[..1000].iter().all(|&grey| grey == 128));
    assert!(
        bottom[side as usize - 1] != 128,
        "the box's lower right corner"
    );
}

#[test]
fn strides_of_the_buffer_are_honoured() {
    let mut overlay = Overlaid::new("show-labels=false", PixelFormat::Gray8, 40, 40);
    let mut buffer = gst::Buffer::from_mut_slice(vec![128_u8; 64 * 40]);
    {
        let writable = buffer.get_mut().unwrap();
        gst_video::VideoMeta::add_full(
            writable,
            gst_video::VideoFrameFlags::empty(),
            gst_video::VideoFormat::Gray8,
            40,
            40,
            &[0],
            &[64],
        )
        .unwrap();
        let people = vec![person(Some(1), Rect::new(10.0, 10.0, 20.0, 20.0))];
        media::write_people(
            writable,
            FrameSize {
                width: 40,
                height: 40,
            },
            people,
            &Origin::default(),
        );
    }
    let after = overlay.harness.push_and_pull(buffer).unwrap();
    let map = after.map_readable().unwrap();
    let changed: Vec<_> = (0..64 * 40)
        .filter(|&i| map[i] != 128)
        .map(|i| (i % 64, i / 64))
        .collect();
    assert!(
        changed
            .iter()
            .all(|&(x, y)| (10..30).contains(&x) && (10..30).contains(&y)),
        "{changed:?}"
    );
    assert_eq!(changed.len(), 20 * 20 - 16 * 16);
}

#[test]
fn frames_that_nobody_has_looked_at_are_hidden_when_hiding_is_asked_for() {
    let mut overlay = Overlaid::new("blur=unknown", PixelFormat::Gray8, 64, 48);
    let mut buffer = overlay.frame(None, 0);
    buffer
        .get_mut()
        .unwrap()
        .map_writable()
        .unwrap()
        .iter_mut()
        .enumerate()
        .for_each(|(i, b)| *b = (i % 2 * 255) as u8);
    let after = overlay.harness.push_and_pull(buffer).unwrap();
    let map = after.map_readable().unwrap();
    assert!(map.iter().all(|&b| (120..=136).contains(&b)));
}

#[test]
fn a_label_format_with_a_mistake_is_refused_with_what_there_is() {
    init();
    let pipeline =
        gst::parse::launch("reidtestsrc ! reidoverlay label-format={nmae} ! fakesink").unwrap();
    assert!(pipeline.set_state(gst::State::Playing).is_err());
    let message = pipeline
        .bus()
        .unwrap()
        .pop_filtered(&[gst::MessageType::Error])
        .unwrap();
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!()
    };
    let text = error.error().to_string();
    assert!(
        text.contains("label-format") && text.contains("{name}"),
        "{text}"
    );
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn starting_fifty_times_is_no_trouble() {
    init();
    let pipeline = gst::parse::launch(
        "reidtestsrc num-buffers=2 pattern=crowd attach=detections ! video/x-raw,width=64,height=48 ! reidoverlay ! fakesink",
    )
    .unwrap();
    for _ in 0..50 {
        pipeline.set_state(gst::State::Playing).unwrap();
        let kinds = [gst::MessageType::Error, gst::MessageType::Eos];
        let message = pipeline
            .bus()
            .unwrap()
            .timed_pop_filtered(gst::ClockTime::from_seconds(20), &kinds)
            .unwrap();
        assert_eq!(message.type_(), gst::MessageType::Eos);
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn the_former_property_of_trails_still_works() {
    init();
    let overlay = gst::ElementFactory::make("reidoverlay").build().unwrap();
    assert_eq!(overlay.property::<u64>("trail-duration"), 2_000_000_000);
    overlay.set_property("trail-length", 1500_u32);
    assert_eq!(overlay.property::<u64>("trail-duration"), 1_500_000_000);
    overlay.set_property("trail-duration", 3_000_000_000_u64);
    assert_eq!(overlay.property::<u32>("trail-length"), 3000);
    let former = overlay.find_property("trail-length").unwrap();
    assert!(former.flags().contains(glib::ParamFlags::DEPRECATED));
}
