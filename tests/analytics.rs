//! The analytics metas that GStreamer 1.24 and newer have, on real pipelines.
#![cfg(feature = "v1_24")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use gst::prelude::*;
use gst_analytics::{
    AnalyticsMetaRefExt, AnalyticsODMtd, AnalyticsRelationMeta, AnalyticsTrackingMtd, RelTypes,
};

/// What a buffer says of a number: buffer time, first and last seen, ns.
#[derive(Clone, Copy, Debug)]
struct Told {
    now: u64,
    first: u64,
    last: u64,
}

/// By number, in order of time.
type All = BTreeMap<u64, Vec<Told>>;

/// What the metas of a pipeline between test source and sink say.
fn played(between: &str) -> All {
    gst::init().unwrap();
    static REGISTERED: std::sync::Once = std::sync::Once::new();
    REGISTERED.call_once(|| gstreid::plugin_register_static().unwrap());
    let launch = format!(
        "reidtestsrc pattern=crossing people=4 attach=detections num-buffers=60 ! video/x-raw,width=320,height=240,framerate=25/1 ! {between} reidtrack name=track motion-only=true ! fakesink"
    );
    let pipeline: gst::Pipeline = gst::parse::launch(&launch).unwrap().downcast().unwrap();
    let all = Arc::<Mutex<All>>::default();
    let theirs = all.clone();
    let pad = pipeline
        .by_name("track")
        .unwrap()
        .static_pad("src")
        .unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let buffer = info.buffer().unwrap();
        let now = buffer.pts().unwrap().nseconds();
        let meta = buffer.meta::<AnalyticsRelationMeta>();
        for detection in meta.iter().flat_map(|m| m.iter::<AnalyticsODMtd>()) {
            let meta = meta.as_ref().unwrap();
            let related = meta
                .iter_direct_related::<AnalyticsTrackingMtd>(detection.id(), RelTypes::RELATE_TO);
            for tracking in related {
                let (number, first, last, _) = tracking.info();
                let (first, last) = (first.nseconds(), last.nseconds());
                let mut all = theirs.lock().unwrap();
                all.entry(number)
                    .or_default()
                    .push(Told { now, first, last });
            }
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &ends);
    let end = end.expect("an end");
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    pipeline.set_state(gst::State::Null).unwrap();
    std::mem::take(&mut *all.lock().unwrap())
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
