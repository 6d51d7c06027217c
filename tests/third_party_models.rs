//! Real models found in the wild, each with its trap: what the element makes of them. They are no part of the project;
//! without them (`GST_REID_SHARED`) these tests say so and pass.
//!
//! What the detectors find is compared with `fixtures/make_third_party.py` on one frame of a video.

mod common;
#[path = "common/detect.rs"]
mod detect;

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use detect::{Stream, check_refused, init};
use gst::prelude::*;
use gstreid::{
    core::{geometry::Rect, person::Person, preprocess::TensorLayout},
    inference::{
        EmbedderSpec, InferenceError, ModelRequest, Precision, SharedModel, Sidecar, device::Device,
    },
};
use serde::Deserialize;

/// Scores from which both sides must have a box: far enough above the threshold that int8 rounding does not matter.
const SURE: f32 = 0.45;
/// How closely a model must agree with the reference.
#[derive(Clone, Copy)]
struct Tolerance {
    /// Overlap that makes two boxes the same one.
    iou: f32,
    /// Difference of scores.
    score: f32,
}

impl Tolerance {
    /// Half a level more or less in the input moves the boxes of models quantised to 8 bits by their own steps, and
    /// their kernels differ between processors.
    fn of(file: &str) -> Self {
        let is_quantised = ["int8", "quantized", "e2e-nms"]
            .iter()
            .any(|w| file.contains(w));
        match is_quantised {
            true => Self {
                iou: 0.8,
                score: 0.1,
            },
            false => Self {
                iou: 0.99,
                score: 0.01,
            },
        }
    }
}

#[derive(Deserialize)]
struct Reference {
    video: String,
    frame: usize,
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    file: String,
    layout: String,
    /// x, y, w, h, score of class 0
    found: Vec<[f32; 5]>,
}

/// One decoded RGB frame.
struct Frame {
    data: Vec<u8>,
    width: usize,
    height: usize,
}

impl Frame {
    /// Frame `number` of a video, counted from 0.
    fn decode(video: &Path, number: usize) -> Self {
        init();
        let launch = "filesrc name=file ! decodebin ! videoconvert ! video/x-raw,format=RGB ! fakesink name=sink sync=false";
        let pipeline = gst::parse::launch(launch).unwrap();
        let bin = pipeline.downcast_ref::<gst::Bin>().unwrap();
        let file = bin.by_name("file").unwrap();
        file.set_property("location", video.to_str().unwrap());
        let (sender, receiver) = mpsc::channel();
        let mut count = 0;
        let pad = bin.by_name("sink").unwrap().static_pad("sink").unwrap();
        let probe = std::sync::Mutex::new(move |pad: &gst::Pad, buffer: &gst::Buffer| {
            if count == number {
                let info = gst_video::VideoInfo::from_caps(&pad.current_caps().unwrap()).unwrap();
                let frame = Frame {
                    data: buffer.map_readable().unwrap().to_vec(),
                    width: info.width() as usize,
                    height: info.height() as usize,
                };
                let _ = sender.send(frame);
            }
            count += 1;
        });
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let Some(buffer) = info.buffer() {
                (probe.lock().unwrap())(pad, buffer);
            }
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        let frame = receiver.recv_timeout(Duration::from_secs(60)).unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
        frame
    }

    fn black(&self) -> Vec<u8> {
        vec![0; self.data.len()]
    }
}

/// The material, or `None` after saying why not.
struct Material {
    models: PathBuf,
    reference: Reference,
    frame: Frame,
}

impl Material {
    fn load() -> Option<Self> {
        let data = common::shared_data()?;
        let fixture = common::root().join("tests/fixtures/yolo/third_party.json");
        let reference: Reference =
            serde_json::from_str(&std::fs::read_to_string(fixture).unwrap()).unwrap();
        let video = data.parent()?.join(&reference.video);
        let models = data.join("models");
        for needed in [&video, &models] {
            if !needed.exists() {
                eprintln!("skipped: {} is not there", needed.display());
                return None;
            }
        }
        let frame = Frame::decode(&video, reference.frame);
        Some(Self {
            models,
            reference,
            frame,
        })
    }

    fn path(&self, file: &str) -> String {
        self.models.join(file).display().to_string()
    }

    fn found(&self, file: &str) -> &[[f32; 5]] {
        let model = self.reference.models.iter().find(|m| m.file == file);
        &model
            .unwrap_or_else(|| panic!("{file} has no reference"))
            .found
    }

    fn stream(&self, properties: detect::Properties) -> Stream {
        let mut stream = Stream::new(properties);
        stream.caps("RGB", self.frame.width, self.frame.height);
        stream
    }
}

fn rect(row: &[f32; 5]) -> Rect {
    Rect::new(row[0], row[1], row[2], row[3])
}

/// Every sure box of one side is among the boxes of the other.
fn check(file: &str, people: &[Person], reference: &[[f32; 5]]) {
    let same = Tolerance::of(file);
    for row in reference.iter().filter(|row| row[4] >= SURE) {
        let is_found = people.iter().any(|p| {
            p.rect.iou(&rect(row)) >= same.iou && (p.confidence - row[4]).abs() <= same.score
        });
        assert!(is_found, "{file}: {row:?} is not in {people:#?}");
    }
    for person in people.iter().filter(|p| p.confidence >= SURE) {
        let is_known = reference
            .iter()
            .any(|row| person.rect.iou(&rect(row)) >= same.iou);
        assert!(is_known, "{file}: not expected: {person:?}");
    }
}

/// Files that need something special; they have tests of their own.
const SPECIAL: [&str; 2] = [
    "yolo11-n_filtered_int8_xrantus.onnx",
    "yolov8-n_quantized_aditya.onnx",
];

#[test]
fn detectors_find_what_the_reference_finds() {
    let Some(material) = Material::load() else {
        return;
    };
    for model in &material.reference.models {
        if SPECIAL.contains(&model.file.as_str()) {
            continue;
        }
        let path = material.path(&model.file);
        let mut stream = material.stream(&[("model", &path)]);
        let people = stream.people(material.frame.data.clone()).unwrap();
        println!("{}: {} found", model.file, people.len());
        check(&model.file, &people, &model.found);
        // Told its layout, a model does the same.
        let mut told = material.stream(&[("model", &path), ("layout", &model.layout)]);
        assert_eq!(
            told.people(material.frame.data.clone()),
            Some(people),
            "{}",
            model.file
        );
    }
}

#[test]
fn a_detector_of_faces_is_told_from_one_of_people() {
    let Some(material) = Material::load() else {
        return;
    };
    let file = SPECIAL[0];
    let path = material.path(file);
    check_refused(
        &[("model", &path)],
        &["no class 'person'", "classes are: face"],
    );
    let mut stream = material.stream(&[("model", &path), ("object-class", "face")]);
    let faces = stream.people(material.frame.data.clone()).unwrap();
    check(file, &faces, material.found(file));
    assert!(faces.iter().all(|face| &*face.label == "face"));
}

#[test]
fn a_detector_broken_by_quantisation_is_warned_about() {
    let Some(material) = Material::load() else {
        return;
    };
    let mut stream = material.stream(&[("model", &material.path(SPECIAL[1]))]);
    for _ in 0..gstreid::core::yolo::ZERO_FRAMES {
        assert_eq!(stream.people(material.frame.data.clone()), Some(Vec::new()));
    }
    let warnings = stream.messages(gst::MessageType::Warning);
    assert!(
        warnings.len() == 1 && warnings[0].contains("exactly zero"),
        "{warnings:?}"
    );
}

#[test]
fn nothing_in_a_black_picture_is_no_error() {
    let Some(material) = Material::load() else {
        return;
    };
    let path = material.path("yolov8-n_e2e-nms_derived.onnx");
    let mut stream = material.stream(&[("model", &path)]);
    assert_eq!(stream.people(material.frame.black()), Some(Vec::new()));
    assert!(
        !stream
            .people(material.frame.data.clone())
            .unwrap()
            .is_empty()
    );
}

/// A size that the model declares open but cannot take.
#[test]
fn a_false_dynamic_size_falls_back() {
    let Some(material) = Material::load() else {
        return;
    };
    let file = "yolov5-n_fp16_arnav.onnx";
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("v5.onnx");
    std::fs::copy(material.path(file), &model).unwrap();
    for size in ["width = 320\nheight = 320", "width = 640\nheight = 384"] {
        std::fs::write(folder.path().join("v5.toml"), size).unwrap();
        let mut stream = material.stream(&[("model", model.to_str().unwrap())]);
        let people = stream.people(material.frame.data.clone()).unwrap();
        check(file, &people, material.found(file));
    }
}

/// A size that the model declares open and can take.
#[test]
fn a_true_dynamic_size_is_used() {
    let Some(material) = Material::load() else {
        return;
    };
    let file = "rtmdet-nano-person_zli20.onnx";
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("rtm.onnx");
    std::fs::copy(material.path(file), &model).unwrap();
    for size in ["width = 416\nheight = 416", "width = 384\nheight = 640"] {
        std::fs::write(folder.path().join("rtm.toml"), size).unwrap();
        let mut stream = material.stream(&[("model", model.to_str().unwrap())]);
        let people = stream.people(material.frame.data.clone()).unwrap();
        let sure = people.iter().filter(|p| p.confidence >= SURE).count();
        assert_eq!(sure, material.found(file).len(), "{size}: {people:#?}");
    }
}

/// Loads a model without an element.
fn open(path: &str) -> Result<SharedModel, InferenceError> {
    let request = ModelRequest {
        path: path.into(),
        device: Device::Cpu,
        threads: 1,
        precision: Precision::Float32,
    };
    SharedModel::open(&request, None)
}

#[test]
fn embedders_are_understood_and_refused_as_detectors() {
    let Some(material) = Material::load() else {
        return;
    };
    let nchw = TensorLayout::Nchw;
    let cases = [
        ("osnet-x0_25_msmt17_huyai.onnx", nchw, Some(1), 512),
        ("osnet-x0_25_msmt17_czqosu.onnx", nchw, None, 512),
        ("osnet-x1_0_int8_pups.onnx", nchw, Some(1), 512),
        ("osnet-x0_25_extdata/osnet_x0_25.onnx", nchw, Some(1), 512),
        (
            "openvino-retail-0248.onnx",
            TensorLayout::Nhwc,
            Some(1),
            256,
        ),
        ("openvino-retail-0267.onnx", nchw, Some(1), 256),
        (
            "openvino-retail-0267_epsfix_derived.onnx",
            nchw,
            Some(1),
            256,
        ),
    ];
    for (file, tensor, batch, dimension) in cases {
        let path = material.path(file);
        let model = open(&path).unwrap();
        let spec = EmbedderSpec::new(model.info(), &Sidecar::default()).unwrap();
        assert_eq!((spec.input.width, spec.input.height), (128, 256), "{file}");
        assert_eq!(
            (spec.input.tensor, spec.picture.batch),
            (tensor, batch),
            "{file}"
        );
        assert_eq!(spec.dimension, Some(dimension), "{file}");
        check_refused(&[("model", &path)], &["layout not supported", "128x256"]);
    }
}

#[test]
fn missing_external_data_is_said() {
    let Some(material) = Material::load() else {
        return;
    };
    let path = material.path("osnet-x1_0_graphonly_pups.onnx");
    let error = open(&path).err().unwrap().to_string();
    assert!(error.contains("second file"), "{error}");
    check_refused(&[("model", &path)], &["osnet_x1_0.onnx.data", "missing"]);
}

/// Every file of the folder is named by a test here.
#[test]
fn no_model_is_forgotten() {
    let Some(material) = Material::load() else {
        return;
    };
    let source = include_str!("third_party_models.rs");
    for entry in std::fs::read_dir(&material.models).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "onnx") {
            let file = path.file_name().unwrap().to_str().unwrap().to_owned();
            let is_named =
                source.contains(&file) || material.reference.models.iter().any(|m| m.file == file);
            assert!(is_named, "{file} is tested nowhere");
        }
    }
}
