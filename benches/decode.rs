//! Decoding and suppression of a COCO detector's output `[1, 84, 8400]`: looking for people only, and for everything.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use gstreid::core::yolo::{
    self, ClassFilter, DecodeParams, Detection, Head, Hints, OutputInfo, TensorView,
};

const CLASSES: usize = 80;
const BOXES: usize = 8400;
const SHAPE: [usize; 3] = [1, 4 + CLASSES, BOXES];

/// People in the picture, and the boxes that a model gives for each before suppression.
const PEOPLE: usize = 20;
const DOUBLES: usize = 30;

/// An output as a model gives it: next to nothing everywhere but in a few hundred boxes.
fn output() -> Vec<f32> {
    let noise = |i: usize| (i * 2_654_435_761 % 1000) as f32 / 1000.0;
    let mut data: Vec<f32> = (0..SHAPE[1] * BOXES).map(|i| noise(i) * 0.02).collect();
    for i in 0..BOXES {
        let (person, double) = (i / DOUBLES % PEOPLE, i % DOUBLES);
        let row = [30.0 * person as f32 + 20.0, 300.0, 25.0, 80.0];
        for (k, value) in row.into_iter().enumerate() {
            data[k * BOXES + i] = value + noise(i * 4 + k);
        }
        if i < PEOPLE * DOUBLES {
            data[4 * BOXES + i] = 0.3 + 0.6 * double as f32 / DOUBLES as f32;
        }
    }
    data
}

fn head() -> Head {
    let info = OutputInfo {
        name: "output0".into(),
        dims: SHAPE.map(Some).to_vec(),
        integer: false,
    };
    let hints = Hints {
        input_width: 640,
        input_height: 640,
        classes: Some(CLASSES),
        ..Hints::default()
    };
    yolo::recognise(&[info], &hints).expect("the shape of every YOLOv8")
}

fn bench(criterion: &mut Criterion) {
    let (head, data) = (head(), output());
    let view = [TensorView {
        shape: &SHAPE,
        data: &data,
    }];
    let mut found: Vec<Detection> = Vec::new();
    for (name, classes) in [
        ("people", ClassFilter::Only(vec![0])),
        ("all classes", ClassFilter::All),
    ] {
        let params = DecodeParams {
            threshold: 0.25,
            classes: &classes,
        };
        criterion.bench_function(&format!("decode and nms [1,84,8400], {name}"), |b| {
            b.iter(|| {
                head.decode(black_box(&view), &params, &mut found)
                    .expect("the output fits");
                yolo::nms(&mut found, 0.45, 300);
                found.len()
            });
        });
        assert_eq!(found.len(), PEOPLE);
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
