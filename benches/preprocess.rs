//! Filling tensors from 1080p frames, against copying the frame: the aim is at most 4 × the copy, and 60 µs for the
//! crop of one person. Frames are taken in turn from a ring larger than the processor's caches, as a decoder delivers
//! them: both sides read from memory. `warm` repeats one frame, which flatters the copy most.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use gstreid::core::{
    geometry::Rect,
    image::{Colorimetry, ImageView, PixelFormat, Plane},
    preprocess::{InputSpec, Preprocessor, ResizeMode},
};

const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;

/// Frames of the ring: 3 MB each.
const RING: usize = 32;

/// A frame with bytes of its own.
struct Frame {
    format: PixelFormat,
    planes: Vec<Vec<u8>>,
}

impl Frame {
    fn new(format: PixelFormat, seed: usize) -> Self {
        let plane = |index| {
            let (w, h, bytes) = format.plane_layout(index, WIDTH, HEIGHT);
            (0..w * h * bytes)
                .map(|i| (i * 7 + i / 31 + seed) as u8)
                .collect()
        };
        Self {
            format,
            planes: (0..format.planes()).map(plane).collect(),
        }
    }

    fn view(&self) -> ImageView<'_> {
        let plane = |(index, data)| {
            let (w, _, bytes) = self.format.plane_layout(index, WIDTH, HEIGHT);
            Plane {
                data,
                stride: w * bytes,
            }
        };
        let planes: Vec<Plane<'_>> = self
            .planes
            .iter()
            .map(Vec::as_slice)
            .enumerate()
            .map(plane)
            .collect();
        ImageView::new(self.format, WIDTH, HEIGHT, &planes, Colorimetry::default())
            .expect("planes of the right length")
    }

    fn copy_to(&self, other: &mut Self) {
        for (from, to) in self.planes.iter().zip(&mut other.planes) {
            to.copy_from_slice(black_box(from));
        }
    }
}

fn detector(c: &mut Criterion, format: PixelFormat) {
    let mut group = c.benchmark_group(format!("1080p {format:?}"));
    for (name, count) in [("ring", RING), ("warm", 1)] {
        let frames: Vec<Frame> = (0..count).map(|seed| Frame::new(format, seed)).collect();
        let mut copy = Frame::new(format, 0);
        let mut turn = frames.iter().cycle();
        group.bench_function(format!("copy, {name}"), |b| {
            b.iter(|| {
                if let Some(frame) = turn.next() {
                    frame.copy_to(&mut copy);
                }
            });
        });
        let mut preprocessor = Preprocessor::new(InputSpec::default());
        let mut tensor = vec![0.0_f32; preprocessor.spec().tensor_len()];
        preprocessor
            .fill(&frames[0].view(), &mut tensor)
            .expect("tensor of the right length");
        group.bench_function(format!("640 tensor, {name}"), |b| {
            b.iter(|| {
                turn.next()
                    .map(|frame| preprocessor.refill(&frame.view(), black_box(&mut tensor)))
            });
        });
    }
    group.finish();
}

fn embedder(c: &mut Criterion) {
    let spec = InputSpec {
        width: 128,
        height: 256,
        resize: ResizeMode::Squash,
        ..InputSpec::default()
    };
    let mut group = c.benchmark_group("256x128 tensor of a 1080p crop");
    for format in [PixelFormat::I420, PixelFormat::Nv12] {
        let frame = Frame::new(format, 0);
        let mut preprocessor = Preprocessor::new(spec);
        let mut tensor = vec![0.0_f32; spec.tensor_len()];
        // People far away, at the size of the tensor, and near; 0.41 is a pedestrian's width by height (Dollár et al., 2012).
        for height in [100.0, 256.0, 500.0] {
            let rect = Rect::new(500.3, 200.7, 0.41 * height, height);
            group.bench_function(format!("{format:?}, {height} px tall"), |b| {
                b.iter(|| {
                    preprocessor.fill_crop(&frame.view(), black_box(rect), black_box(&mut tensor))
                });
            });
        }
    }
    group.finish();
}

fn preprocess(c: &mut Criterion) {
    detector(c, PixelFormat::I420);
    detector(c, PixelFormat::Nv12);
    embedder(c);
}

criterion_group!(benches, preprocess);
criterion_main!(benches);
