//! The property `precision` in pipelines with the models that ship: 8-bit files find the same people and make vectors that match,
//! and count as the same model.

mod common;

use std::{
    fs,
    path::Path,
    sync::{Arc, LazyLock, Mutex},
};

use gst::prelude::*;
use gstreid::{core::person::Person, media::PeopleMeta};

fn init() {
    static INIT: LazyLock<()> = LazyLock::new(|| {
        gst::init().unwrap();
        gstreid::plugin_register_static().unwrap();
    });
    *INIT
}

/// Plays to the end. The people of every frame, or the first error.
fn play(elements: &str) -> Result<Vec<Vec<Person>>, String> {
    init();
    let line = format!(
        "reidtestsrc pattern=crossing num-buffers=40 attach=detections ! video/x-raw,width=640,height=360 ! {elements} ! fakesink name=end"
    );
    let pipeline = gst::parse::launch(&line).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let pad = pipeline.by_name("end").unwrap().static_pad("sink").unwrap();
    let list = seen.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let meta = info.buffer().and_then(|buffer| buffer.meta::<PeopleMeta>());
        list.lock()
            .unwrap()
            .push(meta.map_or_else(Vec::new, |meta| meta.people().to_vec()));
        gst::PadProbeReturn::Ok
    });
    let _ = pipeline.set_state(gst::State::Playing);
    let bus = pipeline.bus().unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(120), &ends);
    pipeline.set_state(gst::State::Null).unwrap();
    match message.expect("it neither ends nor fails").view() {
        gst::MessageView::Error(error) => Err(error.error().to_string()),
        _ => Ok(std::mem::take(&mut *seen.lock().unwrap())),
    }
}

fn shipped(name: &str) -> String {
    common::root()
        .join("models")
        .join(name)
        .display()
        .to_string()
}

#[test]
fn both_precisions_make_vectors_that_match_and_count_as_one_model() {
    let vectors = |precision: &str| {
        let model = shipped("reid-default.onnx");
        let frames = play(&format!(
            "reidembed threads=1 reuse-interval=0 model={model} precision={precision}"
        ));
        let people = frames.unwrap().into_iter().flatten();
        people.filter_map(|p| p.embedding).collect::<Vec<_>>()
    };
    let (exact, small) = (vectors("fp32"), vectors("int8"));
    assert!(exact.len() > 40 && exact.len() == small.len());
    let pairs = || exact.iter().zip(&small);
    assert!(pairs().all(|(a, b)| a.model() == b.model()));
    let cosine = |(a, b): (
        &gstreid::core::embedding::Embedding,
        &gstreid::core::embedding::Embedding,
    )| { gstreid::core::embedding::dot(a.values(), b.values()) };
    let mean = pairs().map(cosine).sum::<f32>() / exact.len() as f32;
    assert!(mean > 0.98, "{mean}");
    // They are not the same file.
    assert!(pairs().any(|pair| cosine(pair) < 0.9999));
}

#[test]
fn both_precisions_find_the_same_people() {
    let boxes = |precision: &str| {
        let model = shipped("person-detector.onnx");
        play(&format!(
            "yolodetect threads=1 model={model} precision={precision} threshold=0.4"
        ))
        .unwrap()
    };
    let (exact, small) = (boxes("fp32"), boxes("int8"));
    let all: usize = exact.iter().map(Vec::len).sum();
    let near = |person: &&Person, others: &[Person]| {
        let best = others.iter().map(|o| o.rect.iou(&person.rect));
        best.fold(0.0, f32::max) > 0.7
    };
    let found: usize = exact
        .iter()
        .zip(&small)
        .map(|(a, b)| a.iter().filter(|person| near(person, b)).count())
        .sum();
    assert!(all > 60 && found * 10 >= all * 9, "{found} of {all}");
}

#[test]
fn an_8_bit_file_is_taken_beside_its_source_only() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let model = place("m.onnx");
    let play_with = |precision: &str| {
        play(&format!(
            "reidembed threads=1 model={} precision={precision}",
            model.display()
        ))
    };
    fs::copy(shipped("reid-default.onnx"), &model).unwrap();
    let missing = play_with("int8").unwrap_err();
    assert!(missing.contains("m.int8.onnx"), "{missing}");
    let copy = |from: &str, to: &Path| fs::copy(shipped(from), to).unwrap();
    // Of another model.
    copy("reid-compact.onnx", &place("m.int8.onnx"));
    let foreign = play_with("int8").unwrap_err();
    assert!(foreign.contains("was not quantized from"), "{foreign}");
    assert!(play_with("auto").is_ok(), "the model itself is there");
    copy("reid-default.int8.onnx", &place("m.int8.onnx"));
    assert!(play_with("int8").is_ok());
}
