//! `reidpublish` and Apache Kafka, with librdkafka's own broker for tests: what arrives, what is said, and that frames never wait for it.

#[path = "common/broker.rs"]
#[allow(dead_code)] // of MQTT
mod broker;
mod common;
#[path = "common/played.rs"]
mod played;
#[path = "common/schema.rs"]
mod schema;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use broker::{stat, wait_for};
use gst::prelude::*;
use rdkafka::{
    ClientConfig, Message,
    consumer::{BaseConsumer, Consumer},
    mocking::MockCluster,
    producer::DefaultProducerContext,
};

const TOPIC: &str = "reid.door";
const EVENTS: &str = "reid.door.events";

fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    // Several partitions: order is kept by the key.
    cluster.create_topic(TOPIC, 4, 1).unwrap();
    cluster.create_topic(EVENTS, 4, 1).unwrap();
    cluster
}

/// Key and text of `count` messages.
fn read(servers: &str, topic: &str, count: usize) -> Vec<(String, serde_json::Value)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", format!("{topic}-{:?}", Instant::now()))
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let mut messages: Vec<(String, serde_json::Value)> = Vec::new();
    let end = Instant::now() + Duration::from_secs(60);
    while messages.len() < count && Instant::now() < end {
        let Some(message) = consumer.poll(Duration::from_millis(200)) else {
            continue;
        };
        let Ok(message) = message else { continue };
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
        let payload = text(message.payload());
        messages.push((text(message.key()), serde_json::from_str(&payload).unwrap()));
    }
    let lines = messages.iter().map(|(_, line)| line.to_string());
    schema::check(&lines.collect::<Vec<_>>().join("\n"));
    messages
}

#[test]
fn frames_and_events_arrive_in_order() {
    let cluster = cluster();
    let servers = cluster.bootstrap_servers();
    let pipeline = played::parse(&format!(
        "reidtestsrc attach=detections pattern=crossing people=3 num-buffers=50 ! video/x-raw,width=320,height=240,framerate=25/1 \
         ! queue ! reidtrack camera=door motion-only=true ! reidpublish name=door add-empty=true \
         location=kafka://{servers}/{TOPIC} ! fakesink"
    ));
    let said = played::play(&pipeline);
    assert!(said.error.is_none() && said.warnings.is_empty(), "{said:?}");
    let frames = read(&servers, TOPIC, 50);
    assert!(frames.iter().all(|(key, _)| key == "door"));
    let times = frames.iter().map(|(_, f)| f["timestamp"].as_u64().unwrap());
    assert!(times.eq((0..50).map(|i| i * 40_000_000)));
    let events = read(&servers, EVENTS, 2);
    assert!(
        events
            .iter()
            .all(|(_, e)| e["event"] == "new" && e["camera"] == "door"),
        "{events:?}"
    );
}

#[test]
fn frames_do_not_wait_while_the_broker_is_away_and_arrive_once() {
    let cluster = cluster();
    let servers = cluster.bootstrap_servers();
    let pipeline = played::parse(&format!(
        "reidtestsrc is-live=true attach=detections pattern=crowd ! video/x-raw,width=160,height=120,framerate=25/1 \
         ! queue ! reidtrack camera=door motion-only=true ! reidpublish name=door add-empty=true \
         location=kafka://{servers}/{TOPIC} ! fakesink name=end sync=false"
    ));
    let publisher = pipeline.by_name("door").unwrap();
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let theirs = arrivals.clone();
    played::watch(&pipeline, "end", move |_| {
        theirs.lock().unwrap().push(Instant::now())
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    wait_for("messages", || stat::<u64>(&publisher, "written") > 25);
    for _ in 0..2 {
        cluster.broker_down(1).unwrap();
        // More than the client takes ahead.
        wait_for("frames", || stat::<u64>(&publisher, "waiting") > 25);
        assert!(!stat::<bool>(&publisher, "connected"));
        cluster.broker_up(1).unwrap();
        wait_for("what waits", || stat::<u64>(&publisher, "waiting") == 0);
    }
    let bus = pipeline.bus().unwrap();
    let kinds = [gst::MessageType::Warning, gst::MessageType::Info];
    let said: Vec<String> = std::iter::from_fn(|| bus.pop_filtered(&kinds))
        .map(|message| match message.view() {
            gst::MessageView::Warning(warning) => warning.error().to_string(),
            gst::MessageView::Info(info) => info.error().to_string(),
            _ => unreachable!(),
        })
        .collect();
    pipeline.set_state(gst::State::Null).unwrap();
    let has = |part: &str| said.iter().filter(|text| text.contains(part)).count();
    assert_eq!(
        (has("cannot be reached"), has("is reached again")),
        (2, 2),
        "{said:?}"
    );
    let arrivals = arrivals.lock().unwrap();
    let longest = arrivals
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .max()
        .unwrap();
    assert!(longest < Duration::from_millis(500), "{longest:?}");
    let frames = read(&servers, TOPIC, arrivals.len());
    let times = frames.iter().map(|(_, f)| f["timestamp"].as_u64().unwrap());
    let times: Vec<u64> = times.collect();
    assert!(
        times.is_sorted_by(|a, b| a < b),
        "once each, in order: {times:?}"
    );
    assert!(
        times.len() + 1 >= arrivals.len(),
        "{} of {}",
        times.len(),
        arrivals.len()
    );
}

#[test]
fn nobody_there_is_said_and_stopping_does_not_wait() {
    let pipeline = played::parse(
        "reidtestsrc is-live=true attach=detections ! video/x-raw,width=64,height=48,framerate=25/1 \
         ! reidpublish location=kafka://ann:secret@127.0.0.1:9/reid.door ! fakesink",
    );
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let kinds = [gst::MessageType::Warning, gst::MessageType::Error];
    let message = bus
        .timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds)
        .unwrap();
    let gst::MessageView::Warning(warning) = message.view() else {
        panic!("{message:?}")
    };
    let text = warning.error().to_string();
    assert!(
        text.contains("refused") && !text.contains("secret"),
        "{text}"
    );
    let begin = Instant::now();
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
}
