//! The overlay as a whole: the same picture in every format, nothing outside the planes, nothing for nobody.

use super::*;
use crate::person::IdentityId;
use crate::{
    canvas::{Canvas, packed_planes},
    image::{Channel, Colorimetry, PixelFormat, YuvMatrix, YuvRange},
    image_mut::PlaneMut,
    person::{Identity, IdentityState, Track, TrackId, TrackState},
};

/// Written into the padding behind every row; must still be there afterwards.
const PADDING: u8 = 0xa5;

fn person(id: u32, rect: Rect) -> Person {
    let mut person = Person::detected(rect, 0.875, "person".into(), 0);
    person.track = Some(Track {
        id: TrackId(id),
        state: TrackState::Confirmed,
        unseen_ns: 0,
        age_ns: 0,
    });
    person.identity = Some(Identity {
        id: IdentityId(id),
        state: IdentityState::Matched,
        score: 0.5,
        margin: 0.25,
        evidence: None,
        previous: [].into(),
        name: None,
    });
    person
}

fn everything(blur: Blur) -> Style {
    Style {
        scores: true,
        trails: true,
        blur,
        ..Style::default()
    }
}

/// A frame in memory with padded rows.
struct Frame {
    format: PixelFormat,
    width: usize,
    height: usize,
    planes: Vec<Vec<u8>>,
    strides: Vec<usize>,
}

impl Frame {
    fn new(format: PixelFormat, width: usize, height: usize) -> Self {
        let strides: Vec<usize> = (0..format.planes())
            .map(|plane| {
                let (w, _, bytes) = format.plane_layout(plane, width, height);
                w * bytes + 5
            })
            .collect();
        let planes = strides
            .iter()
            .enumerate()
            .map(|(plane, stride)| {
                vec![PADDING; stride * format.plane_layout(plane, width, height).1]
            })
            .collect();
        Self {
            format,
            width,
            height,
            planes,
            strides,
        }
    }

    fn image(&mut self, colorimetry: Colorimetry) -> ImageMut<'_> {
        let planes = self
            .planes
            .iter_mut()
            .zip(&self.strides)
            .map(|(data, &stride)| PlaneMut { data, stride })
            .collect();
        ImageMut::new(self.format, self.width, self.height, planes, colorimetry).unwrap()
    }

    fn check_padding(&self) {
        for (plane, (data, stride)) in self.planes.iter().zip(&self.strides).enumerate() {
            for row in data.chunks(*stride) {
                assert!(
                    row[stride - 5..].iter().all(|&b| b == PADDING),
                    "{:?} plane {plane}",
                    self.format
                );
            }
        }
    }
}

/// A canvas of one soft gradient.
fn scenery(width: usize, height: usize) -> Canvas {
    let mut canvas = Canvas::new(width, height);
    for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
        let (x, y) = (i % width, i / width);
        *pixel = [(60 + x / 4) as u8, (90 + y / 4) as u8, 120, 0];
    }
    canvas
}

fn drawn(frame: &mut Frame, style: &Style, people: &[Person], colorimetry: Colorimetry) {
    let mut overlay = Overlay::default();
    // A few frames, so that there are trails.
    for time in 0..5 {
        let moved: Vec<Person> = people
            .iter()
            .map(|person| {
                let mut person = person.clone();
                person.rect.x -= 8.0 * (4 - time) as f32;
                person
            })
            .collect();
        let plan = overlay.plan(style, Some(&moved), time * 40_000_000);
        if time == 4 {
            overlay.draw(style, &plan, &moved, &mut frame.image(colorimetry));
        }
    }
}

fn two_people() -> Vec<Person> {
    vec![
        person(1, Rect::new(20.0, 30.0, 40.0, 90.0)),
        person(2, Rect::new(61.3, 22.7, 35.0, 80.5)),
        Person::detected(Rect::new(100.0, 60.0, 30.0, 55.0), 0.5, "person".into(), 0),
    ]
}

/// Codes may differ by so much: blending codes and blending colours round differently, a step for each blend.
const ROUNDING: u8 = 4;

fn everywhere(check: impl Fn(PixelFormat, &Canvas, Colorimetry)) {
    for (width, height) in [(144, 128), (143, 127)] {
        let canvas = scenery(width, height);
        for matrix in [YuvMatrix::Bt601, YuvMatrix::Bt709] {
            for range in [YuvRange::Limited, YuvRange::Full] {
                for format in PixelFormat::ALL {
                    check(format, &canvas, Colorimetry { matrix, range });
                }
            }
        }
    }
}

/// The scenery with people drawn onto it in one format.
fn drawn_on(
    canvas: &Canvas,
    format: PixelFormat,
    style: &Style,
    colorimetry: Colorimetry,
) -> Frame {
    let mut frame = written(canvas, format, colorimetry);
    drawn(&mut frame, style, &two_people(), colorimetry);
    frame.check_padding();
    frame
}

fn written(canvas: &Canvas, format: PixelFormat, colorimetry: Colorimetry) -> Frame {
    let mut frame = Frame::new(format, canvas.width, canvas.height);
    canvas.write_to(&mut frame.image(colorimetry));
    frame
}

/// A channel's sample, in eight bits.
fn sample(frame: &Frame, channel: &Channel, x: usize, y: usize) -> u8 {
    sample_of(frame, &frame.planes, channel, x, y)
}

/// A sample of other planes of the frame's format.
fn sample_of(frame: &Frame, planes: &[Vec<u8>], channel: &Channel, x: usize, y: usize) -> u8 {
    let depth = frame.format.depth();
    let place = (channel.offset + x * channel.step) * depth.bytes();
    let row = &planes[channel.plane][y * frame.strides[channel.plane]..];
    match depth.bytes() {
        1 => row[place],
        _ => {
            let code = u16::from_le_bytes([row[place], row[place + 1]]) >> depth.shift;
            (code >> (depth.bits - 8)) as u8
        }
    }
}

#[test]
fn boxes_and_labels_are_the_same_in_every_format() {
    let style = Style {
        scores: true,
        ..Style::default()
    };
    everywhere(|format, canvas, colorimetry| {
        let shown = to_canvas(&drawn_on(canvas, PixelFormat::Rgb, &style, colorimetry));
        let (direct, converted) = (
            drawn_on(canvas, format, &style, colorimetry),
            written(&shown, format, colorimetry),
        );
        for (_, channel) in paint::channels(format) {
            for y in 0..canvas.height.div_ceil(channel.tall) {
                for x in 0..canvas.width.div_ceil(channel.wide) {
                    let (a, b) = (
                        sample(&direct, &channel, x, y),
                        sample(&converted, &channel, x, y),
                    );
                    assert!(
                        a.abs_diff(b) <= ROUNDING,
                        "{format:?} {channel:?} at {x},{y}: {a}, not {b}"
                    );
                }
            }
        }
    });
}

#[test]
fn trails_differ_by_no_more_than_halved_chroma_explains() {
    let style = everything(Blur::Nobody);
    everywhere(|format, canvas, colorimetry| {
        let shown = to_canvas(&drawn_on(canvas, PixelFormat::Rgb, &style, colorimetry));
        let direct = drawn_on(canvas, format, &style, colorimetry);
        let before = written(canvas, format, colorimetry);
        let after = written(&shown, format, colorimetry);
        for (_, channel) in paint::channels(format) {
            for y in 0..canvas.height.div_ceil(channel.tall) {
                for x in 0..canvas.width.div_ceil(channel.wide) {
                    let of = |frame: &Frame| sample(frame, &channel, x, y);
                    let (a, b) = (of(&before), of(&after));
                    // A halved sample may still hold some of what was there before; a full one may not.
                    let (low, high) = if channel.wide == 1 {
                        (b, b)
                    } else {
                        (a.min(b), a.max(b))
                    };
                    // And where dots of two colours meet in one sample, the order of blending shows.
                    let slack = if channel.wide == 1 {
                        ROUNDING
                    } else {
                        4 * ROUNDING
                    };
                    let fine = low.saturating_sub(slack)..=high.saturating_add(slack);
                    let got = of(&direct);
                    assert!(
                        fine.contains(&got),
                        "{format:?} {channel:?} at {x},{y}: {got}, not in {fine:?}"
                    );
                }
            }
        }
    });
}

fn to_canvas(frame: &Frame) -> Canvas {
    let mut canvas = Canvas::new(frame.width, frame.height);
    for y in 0..frame.height {
        let start = y * frame.strides[0];
        for x in 0..frame.width {
            let p = &frame.planes[0][start + 3 * x..];
            canvas.pixels[y * frame.width + x] = [p[0], p[1], p[2], 0];
        }
    }
    canvas
}

#[test]
fn nothing_hurts_wherever_boxes_lie() {
    let strange = [
        Rect::new(-1e9, -1e9, 2e9, 2e9),
        Rect::new(f32::NAN, 0.0, 1.0, 1.0),
        Rect::new(0.0, 0.0, f32::INFINITY, 1.0),
        Rect::new(0.0, 0.0, 0.0, 0.0),
        Rect::new(-10.0, -10.0, 5.0, 5.0),
        Rect::new(3e38, 3e38, 3e38, 3e38),
        Rect::new(0.4, 0.4, 0.2, 0.2),
        Rect::new(-3.0, -3.0, 9.0, 2000.0),
    ];
    let people: Vec<Person> = strange
        .iter()
        .zip(1..)
        .map(|(&rect, id)| person(id, rect))
        .collect();
    for format in PixelFormat::ALL {
        for (width, height) in [(1, 1), (2, 1), (1, 2), (3, 3), (17, 5), (64, 64)] {
            for blur in [Blur::Nobody, Blur::Everybody] {
                for (line_width_px, font_size_px) in [(0, 0), (1, 1), (9999, 200)] {
                    let style = Style {
                        line_width_px,
                        font_size_px,
                        ..everything(blur.clone())
                    };
                    let mut frame = Frame::new(format, width, height);
                    drawn(&mut frame, &style, &people, Colorimetry::default());
                    frame.check_padding();
                }
            }
        }
    }
}

#[test]
fn nobody_costs_nothing_and_a_thousand_are_drawn() {
    let mut overlay = Overlay::default();
    let style = Style::default();
    assert!(overlay.plan(&style, None, 0).is_empty());
    assert!(overlay.plan(&style, Some(&[]), 0).is_empty());
    let bare = Style {
        boxes: false,
        labels: false,
        ..Style::default()
    };
    assert!(overlay.plan(&bare, Some(&two_people()), 0).is_empty());
    assert!(!overlay.plan(&style, Some(&two_people()), 0).is_empty());
    let hidden = Style {
        blur: Blur::Unknown,
        ..bare
    };
    assert!(
        !overlay.plan(&hidden, None, 0).is_empty(),
        "nobody has looked: hide"
    );

    let thousand: Vec<Person> = (1..=1000)
        .map(|id| {
            person(
                id,
                Rect::new((id % 40) as f32 * 8.0, (id / 40) as f32 * 9.0, 20.0, 30.0),
            )
        })
        .collect();
    let mut frame = Frame::new(PixelFormat::I420, 320, 240);
    drawn(
        &mut frame,
        &everything(Blur::Everybody),
        &thousand,
        Colorimetry::default(),
    );
    frame.check_padding();
}

#[test]
fn blurred_people_cannot_be_told_from_each_other() {
    let style = Style {
        boxes: false,
        labels: false,
        blur: Blur::Everybody,
        ..Style::default()
    };
    let hidden = Rect::new(40.0, 40.0, 40.0, 80.0);
    for format in PixelFormat::ALL {
        let mut frame = Frame::new(format, 128, 144);
        // Fine stripes: what a face is made of.
        let mut canvas = scenery(128, 144);
        for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
            *pixel = if (i % 128 / 2 + i / 128 / 2) % 2 == 0 {
                [250, 30, 30, 0]
            } else {
                [20, 20, 220, 0]
            };
        }
        canvas.write_to(&mut frame.image(Colorimetry::default()));
        let before = frame.planes.clone();
        drawn(
            &mut frame,
            &style,
            &[person(1, hidden)],
            Colorimetry::default(),
        );
        let luma = format.channels()[0];
        let at = |planes: &Vec<Vec<u8>>, x: usize, y: usize| sample_of(&frame, planes, &luma, x, y);
        let spread = |planes: &Vec<Vec<u8>>| {
            let values = (40..120)
                .flat_map(|y| (40..80).map(move |x| (x, y)))
                .map(|(x, y)| at(planes, x, y));
            let (low, high) = values.fold((255, 0), |(low, high), v| (v.min(low), v.max(high)));
            high - low
        };
        assert!(spread(&before) > 10, "{format:?}");
        assert!(
            spread(&frame.planes) <= 2,
            "{format:?}: {}",
            spread(&frame.planes)
        );
        assert_eq!(
            at(&frame.planes, 5, 5),
            at(&before, 5, 5),
            "far from anybody nothing changes"
        );
    }
}

#[test]
fn labels_keep_off_one_another_and_inside_the_picture() {
    let label = |x: i32, y: i32| Label {
        text: Arc::new(Mask {
            width: 30,
            height: 14,
            coverage: vec![0; 30 * 14],
        }),
        colour: UNCONFIRMED,
        over: Area::new(x, y, 20, 60),
    };
    let mut taken = Vec::new();
    for (x, y) in [(50, 50), (55, 52), (48, 49), (-30, -20), (190, 100)] {
        let area = place(&label(x, y), 3, [200, 150], &taken);
        assert!(
            area.x >= 0 && area.y >= 0 && area.x + area.width <= 200 && area.y + area.height <= 150
        );
        assert!(
            !taken.iter().any(|other: &Area| other.meets(&area)),
            "{area:?} of {taken:?}"
        );
        taken.push(area);
    }
    assert_eq!(taken[0], Area::new(50, 36, 36, 14));
}

#[test]
fn packed_planes_are_as_large_as_formats_say() {
    assert_eq!(
        packed_planes(PixelFormat::Nv12, 5, 3)
            .iter()
            .map(Vec::len)
            .collect::<Vec<_>>(),
        [15, 12]
    );
}

/// Lays patches of premultiplied colours over a picture of the same format.
fn lay(frame: &mut Frame, patches: &[Patch]) {
    let (stride, alpha) = (frame.strides[0], frame.format.alpha().unwrap().offset);
    for Patch { area, pixels } in patches {
        let rows = pixels.chunks_exact(4 * area.width as usize);
        for (row, y) in rows.zip(area.y as usize..) {
            for (above, x) in row.chunks_exact(4).zip(area.x as usize..) {
                let below = &mut frame.planes[0][y * stride + 4 * x..][..4];
                let through = 255 - u32::from(above[alpha]);
                for (below, above) in below.iter_mut().zip(above) {
                    *below = above + ((u32::from(*below) * through + 127) / 255) as u8;
                }
            }
        }
    }
}

#[test]
fn patches_laid_over_the_picture_are_the_drawing() {
    let people = two_people();
    let plain = Colorimetry {
        matrix: YuvMatrix::Bt601,
        range: YuvRange::Full,
    };
    let (width, height) = (160, 120);
    let style = Style {
        trails: false,
        ..everything(Blur::Nobody)
    };
    for format in [PixelFormat::Bgra, PixelFormat::Argb] {
        let scenery = scenery(width, height);
        let mut should = written(&scenery, format, plain);
        let mut overlay = Overlay::default();
        let plan = overlay.plan(&style, Some(&people), 0);
        overlay.draw(&style, &plan, &people, &mut should.image(plain));
        // The sheet is clean after each frame.
        let [patches, again] = [0, 1].map(|_| {
            let size = [width, height];
            overlay.layer(&style, &plan, &people, format, size).unwrap()
        });
        assert_eq!(patches, again);
        let covered: i32 = patches.iter().map(|p| p.area.width * p.area.height).sum();
        let whole = (width * height) as i32;
        assert!((1..whole / 2).contains(&covered), "{covered} px");
        let mut is = written(&scenery, format, plain);
        lay(&mut is, &patches);
        let pixels = is.planes[0].iter().zip(&should.planes[0]);
        for (i, (is, should)) in pixels.enumerate() {
            assert!(is.abs_diff(*should) <= ROUNDING, "byte {i}: {is} {should}");
        }
        let nobody = overlay.plan(&style, Some(&[]), 0);
        let patches = overlay.layer(&style, &nobody, &[], format, [width, height]);
        assert_eq!(patches.unwrap(), []);
    }
}
