//! Drawing twenty people on a 1080p frame, and a frame of the test source. Aim: overlay 1 ms.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use gstreid::core::{
    canvas::packed_planes,
    geometry::Rect,
    image::{Colorimetry, PixelFormat},
    image_mut::{ImageMut, PlaneMut},
    overlay::{Blur, Overlay, Style},
    person::{Identity, IdentityId, IdentityState, Person, Track, TrackId, TrackState},
    testscene::{Pattern, SceneConfig, View, World},
};

const SIZE: [usize; 2] = [1920, 1080];
const PEOPLE: u32 = 20;
/// Between two frames at 25 a second.
const FRAME_NS: u64 = 40_000_000;

/// People who walk to the right, a quarter of the picture high.
fn people(frame: u64) -> Vec<Person> {
    let person = |id: u32| {
        let (column, row) = ((id % 10) as f32, (id / 10) as f32);
        let x = column * 180.0 + (frame % 50) as f32 * 3.0;
        let rect = Rect::new(x, 60.0 + row * 480.0, 110.0, 270.0);
        let mut person = Person::detected(rect, 0.9, "person".into(), 0);
        person.track = Some(Track {
            id: TrackId(id),
            state: TrackState::Confirmed,
            unseen_ns: 0,
            age_ns: 0,
        });
        person.identity = Some(Identity {
            id: IdentityId(id),
            state: IdentityState::Matched,
            score: 0.7,
            margin: 0.2,
            evidence: None,
            previous: [].into(),
            name: None,
        });
        person
    };
    (1..=PEOPLE).map(person).collect()
}

fn overlay(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("overlay, 20 people on 1080p");
    let styles = [
        ("boxes and labels", Style::default()),
        (
            "and trails and scores",
            Style {
                trails: true,
                scores: true,
                ..Style::default()
            },
        ),
        (
            "blurred",
            Style {
                blur: Blur::Everybody,
                ..Style::default()
            },
        ),
    ];
    for format in [
        PixelFormat::I420,
        PixelFormat::Nv12,
        PixelFormat::Rgb,
        PixelFormat::Bgrx,
    ] {
        for (name, style) in &styles {
            let mut planes = packed_planes(format, SIZE[0], SIZE[1]);
            let planes = planes
                .iter_mut()
                .enumerate()
                .map(|(plane, data)| {
                    let (w, _, bytes) = format.plane_layout(plane, SIZE[0], SIZE[1]);
                    PlaneMut {
                        data,
                        stride: w * bytes,
                    }
                })
                .collect();
            let mut image = ImageMut::new(format, SIZE[0], SIZE[1], planes, Colorimetry::default())
                .expect("planes are as long as the format wants");
            let (mut overlay, mut frame) = (Overlay::default(), 0);
            group.bench_function(format!("{format:?}, {name}"), |bencher| {
                bencher.iter(|| {
                    let people = people(frame);
                    let plan = overlay.plan(style, Some(&people), frame * FRAME_NS);
                    overlay.draw(style, &plan, &people, black_box(&mut image));
                    frame += 1;
                });
            });
        }
    }
    group.finish();
}

fn test_source(criterion: &mut Criterion) {
    for (name, pattern) in [("walk", Pattern::Walk), ("crowd", Pattern::Crowd)] {
        let world = World::new(SceneConfig {
            pattern,
            ..SceneConfig::default()
        });
        let (mut view, mut frame) = (View::new(world, 0, 640, 480), 0);
        criterion.bench_function(&format!("test source, 640x480, {name}"), |bencher| {
            bencher.iter(|| {
                frame += 1;
                black_box(view.render(frame as f64 / 30.0, frame).1.len())
            });
        });
    }
}

criterion_group!(benches, overlay, test_source);
criterion_main!(benches);
