//! `reidpublish` and an MQTT broker: what arrives, what is said, and that frames never wait for it.

#[path = "common/broker.rs"]
mod broker;
mod common;
#[path = "common/played.rs"]
mod played;
#[path = "common/schema.rs"]
mod schema;

use std::{
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use broker::{Broker, PASSWORD, USER, stat, wait_for};
use gst::prelude::*;

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn frames_events_and_status_arrive_and_the_password_stays_inside() {
    let Some(mut broker) = Broker::prepare() else {
        return;
    };
    broker.start();
    let reader = broker.reader("all");
    let pipeline = played::parse(&format!(
        "reidtestsrc attach=detections pattern=crossing people=3 num-buffers=50 ! video/x-raw,width=320,height=240,framerate=25/1 \
         ! queue ! reidtrack camera=door motion-only=true ! reidpublish name=publisher add-empty=true \
         location=mqtt://{USER}:{PASSWORD}@127.0.0.1:{}/reid/door ! fakesink",
        broker.port
    ));
    let publisher = pipeline.by_name("publisher").unwrap();
    assert!(!publisher.property::<String>("location").contains(PASSWORD));
    let said = played::play(&pipeline);
    assert!(said.error.is_none() && said.warnings.is_empty(), "{said:?}");
    wait_for("the last will", || reader.of("reid/door/status").len() == 2);
    let status: Vec<_> = reader
        .of("reid/door/status")
        .iter()
        .map(|s| json(s))
        .collect();
    assert_eq!(
        (&status[0]["status"], &status[1]["status"]),
        (&"online".into(), &"offline".into())
    );
    let frames = reader.of("reid/door");
    let times: Vec<_> = frames
        .iter()
        .map(|f| json(f)["timestamp"].as_u64().unwrap())
        .collect();
    let expected: Vec<u64> = (0..50).map(|i| i * 40_000_000).collect();
    assert_eq!(times, expected);
    schema::check(&[frames, reader.of("reid/door/events")].concat().join("\n"));
    let events: Vec<_> = reader
        .of("reid/door/events")
        .iter()
        .map(|e| json(e))
        .collect();
    let new: Vec<_> = events.iter().filter(|e| e["event"] == "new").collect();
    assert!(new.len() >= 2, "{events:?}");
    for event in new {
        let is_whole =
            event["id"].is_u64() && event["track_id"].is_u64() && event["pending"].is_boolean();
        assert!(is_whole && event["camera"] == "door", "{event}");
    }
}

#[test]
fn a_wrong_password_is_said_without_the_password() {
    let Some(mut broker) = Broker::prepare() else {
        return;
    };
    broker.start();
    let pipeline = played::parse(&format!(
        "reidtestsrc is-live=true attach=detections ! video/x-raw,width=64,height=48,framerate=25/1 \
         ! reidpublish location=mqtt://{USER}:wrong-one@127.0.0.1:{}/reid/door ! fakesink",
        broker.port
    ));
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let kinds = [gst::MessageType::Warning, gst::MessageType::Error];
    let message = bus
        .timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds)
        .unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    let gst::MessageView::Warning(warning) = message.view() else {
        panic!("{message:?}")
    };
    let text = warning.error().to_string();
    assert!(
        text.contains("cannot be reached") && !text.contains("wrong-one"),
        "{text}"
    );
}

#[test]
fn frames_do_not_wait_while_the_broker_is_away_and_nothing_is_lost_that_fits() {
    let Some(mut broker) = Broker::prepare() else {
        return;
    };
    let pipeline = played::parse(&format!(
        "reidtestsrc is-live=true attach=detections pattern=crowd ! video/x-raw,width=160,height=120,framerate=25/1 \
         ! queue ! reidtrack camera=door motion-only=true ! reidpublish name=publisher add-empty=true \
         location=mqtt://{USER}:{PASSWORD}@127.0.0.1:{}/reid/door ! fakesink name=end sync=false",
        broker.port
    ));
    let publisher = pipeline.by_name("publisher").unwrap();
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let theirs = arrivals.clone();
    played::watch(&pipeline, "end", move |_| {
        theirs.lock().unwrap().push(Instant::now())
    });
    let passed = |frames: usize| {
        let begin = arrivals.lock().unwrap().len();
        wait_for("frames", || {
            arrivals.lock().unwrap().len() >= begin + frames
        });
    };
    pipeline.set_state(gst::State::Playing).unwrap();
    passed(25);
    assert!(!stat::<bool>(&publisher, "connected") && stat::<u64>(&publisher, "waiting") > 0);
    for round in 0..2 {
        broker.start();
        let reader = broker.reader(&format!("round {round}"));
        wait_for("the connection", || stat::<bool>(&publisher, "connected"));
        wait_for("what waits", || stat::<u64>(&publisher, "waiting") == 0);
        passed(10);
        wait_for("frames at the reader", || reader.of("reid/door").len() > 10);
        let times: Vec<u64> = reader
            .of("reid/door")
            .iter()
            .map(|f| json(f)["timestamp"].as_u64().unwrap())
            .collect();
        // At least once: what was on its way when the broker went may come twice.
        let mut once = times.clone();
        once.dedup();
        let steps: Vec<u64> = once
            .windows(2)
            .map(|pair| pair[1].saturating_sub(pair[0]))
            .collect();
        let is_whole = steps
            .iter()
            .all(|step| (39_000_000..=41_000_000).contains(step));
        assert!(is_whole || round > 0, "{times:?}");
        assert!(once.is_sorted(), "{times:?}");
        drop(reader);
        broker.stop();
        wait_for("the break", || !stat::<bool>(&publisher, "connected"));
        passed(10);
    }
    pipeline.set_state(gst::State::Null).unwrap();
    let arrivals = arrivals.lock().unwrap();
    let gaps = arrivals.windows(2).map(|pair| pair[1] - pair[0]);
    let longest = gaps.max().unwrap();
    assert!(
        longest < Duration::from_millis(500),
        "{longest:?} without a frame"
    );
    let warnings = pipeline
        .bus()
        .unwrap()
        .iter_filtered(&[gst::MessageType::Warning])
        .count();
    assert!(warnings <= 3, "{warnings} warnings");
}

#[test]
fn whoever_dies_is_reported_by_the_last_will() {
    let Some(mut broker) = Broker::prepare() else {
        return;
    };
    broker.start();
    let reader = broker.reader("will");
    let mut publisher = common::command("gst-launch-1.0");
    publisher
        .env("GST_REID_MQTT_USER", USER)
        .env("GST_REID_MQTT_PASSWORD", PASSWORD)
        .args([
            "-q",
            "reidtestsrc",
            "is-live=true",
            "attach=detections",
            "!",
            "reidpublish",
        ])
        .arg(format!(
            "location=mqtt://127.0.0.1:{}/reid/hall",
            broker.port
        ))
        .args(["!", "fakesink"])
        .stderr(Stdio::null());
    let mut publisher = publisher.spawn().unwrap();
    wait_for("online", || !reader.of("reid/hall/status").is_empty());
    publisher.kill().unwrap();
    publisher.wait().unwrap();
    wait_for("the last will", || {
        reader
            .of("reid/hall/status")
            .last()
            .is_some_and(|status| status.contains("offline"))
    });
}

/// A live publisher to the broker's encrypted port with these properties.
fn encrypted(broker: &Broker, host: &str, properties: &str) -> gst::Pipeline {
    played::parse(&format!(
        "reidtestsrc is-live=true attach=detections pattern=crowd ! video/x-raw,width=64,height=48,framerate=25/1 \
         ! queue ! reidtrack camera=door motion-only=true ! reidpublish name=publisher add-empty=true {properties} \
         location=mqtts://{USER}:{PASSWORD}@{host}:{}/reid/door ! fakesink",
        broker.tls_port
    ))
}

/// The warning that it begins with.
fn warning_of(pipeline: &gst::Pipeline) -> String {
    pipeline.set_state(gst::State::Playing).unwrap();
    let kinds = [gst::MessageType::Warning, gst::MessageType::Error];
    let bus = pipeline.bus().unwrap();
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds);
    pipeline.set_state(gst::State::Null).unwrap();
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Warning(warning)) => warning.error().to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn encrypted_messages_arrive_and_only_known_brokers_are_believed() {
    let Some(mut broker) = Broker::prepare_with_tls(false) else {
        return;
    };
    broker.start();
    let reader = broker.reader("encrypted");
    let authority = format!("ca-file={}", broker.file("ca.pem"));
    let pipeline = encrypted(&broker, "localhost", &authority);
    let publisher = pipeline.by_name("publisher").unwrap();
    assert!(!publisher.property::<String>("location").contains(PASSWORD));
    pipeline.set_state(gst::State::Playing).unwrap();
    wait_for("frames at the reader", || reader.of("reid/door").len() > 5);
    pipeline.set_state(gst::State::Null).unwrap();
    wait_for("the last will", || reader.of("reid/door/status").len() == 2);
    schema::check(&reader.of("reid/door").join("\n"));
    // Another authority, the system's, and a name that the certificate does not have.
    let other = format!("ca-file={}", broker.file("other.pem"));
    for (host, properties, remedy) in [
        ("localhost", other.as_str(), "set ca-file"),
        ("localhost", "", "set ca-file"),
        ("127.0.0.1", authority.as_str(), "the host's name"),
    ] {
        let text = warning_of(&encrypted(&broker, host, properties));
        let is_said = text.contains("certificate verify failed") && text.contains(remedy);
        assert!(
            is_said && !text.contains(PASSWORD),
            "{host} {properties}: {text}"
        );
    }
}

#[test]
fn a_broker_may_want_a_certificate() {
    let Some(mut broker) = Broker::prepare_with_tls(true) else {
        return;
    };
    broker.start();
    let reader = broker.reader("certified");
    let authority = format!("ca-file={}", broker.file("ca.pem"));
    let text = warning_of(&encrypted(&broker, "localhost", &authority));
    assert!(text.contains("cannot be reached"), "{text}");
    assert!(reader.of("reid/door").is_empty());
    let certified = format!(
        "{authority} certificate-file={} key-file={}",
        broker.file("camera.pem"),
        broker.file("camera.key")
    );
    let pipeline = encrypted(&broker, "localhost", &certified);
    pipeline.set_state(gst::State::Playing).unwrap();
    wait_for("frames at the reader", || reader.of("reid/door").len() > 5);
    pipeline.set_state(gst::State::Null).unwrap();
}
