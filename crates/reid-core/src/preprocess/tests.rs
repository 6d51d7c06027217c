//! The kernels against a plain reference in f64, for every format.

use half::f16;
use proptest::prelude::*;

use super::*;
use crate::image::{Plane, YuvMatrix, YuvRange};

/// Largest difference from the reference, in levels: 8.8 fixed point cuts off up to 2/256 a pass, and the matrices
/// multiply that by up to 4.
const TOLERANCE: f64 = 0.1;

/// A picture with bytes of its own; every plane's stride is longer than its rows and the rest is filled with a trap.
struct Picture {
    format: PixelFormat,
    width: usize,
    height: usize,
    colorimetry: Colorimetry,
    planes: Vec<(Vec<u8>, usize)>,
}

impl Picture {
    /// Noise with some order in it, the same for the same `seed`.
    fn noise(
        format: PixelFormat,
        (width, height): (usize, usize),
        padding: usize,
        seed: u32,
    ) -> Self {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let mut next = move || {
            // Marsaglia, "Xorshift RNGs", 2003.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 24) as u8
        };
        let plane = |index| {
            let (w, h, bytes) = format.plane_layout(index, width, height);
            let stride = w * bytes + padding;
            let mut data = vec![0; stride * (h - 1) + w * bytes];
            data.fill_with(&mut next);
            (data, stride)
        };
        let planes = (0..format.planes()).map(plane).collect();
        Self {
            format,
            width,
            height,
            colorimetry: Colorimetry::default(),
            planes,
        }
    }

    fn with(mut self, matrix: YuvMatrix, range: YuvRange) -> Self {
        self.colorimetry = Colorimetry { matrix, range };
        self
    }

    fn view(&self) -> ImageView<'_> {
        let planes: Vec<Plane<'_>> = self
            .planes
            .iter()
            .map(|(data, stride)| Plane {
                data,
                stride: *stride,
            })
            .collect();
        ImageView::new(
            self.format,
            self.width,
            self.height,
            &planes,
            self.colorimetry,
        )
        .unwrap()
    }

    /// One sample of a component (0, 1, 2: Y, U, V or red, green, blue) in units of eight-bit codes, written out format by
    /// format on purpose.
    fn sample(&self, channel: usize, x: usize, y: usize) -> f64 {
        use PixelFormat::*;
        let at = |plane: usize, offset: usize, row: usize| {
            let (data, stride) = &self.planes[plane];
            f64::from(data[row * stride + offset])
        };
        // A little-endian word, of which the code is the topmost bits or the lowest ones.
        let word = |plane: usize, place: usize, row: usize| {
            at(plane, 2 * place, row) + 256.0 * at(plane, 2 * place + 1, row)
        };
        let high = |plane, place| word(plane, place, y) / 256.0;
        let low = |bits: i32, plane| {
            let code = word(plane, x, y) as u32 & ((1 << bits) - 1);
            f64::from(code) / f64::from(1 << (bits - 8))
        };
        let green_first = [2, 0, 1][channel];
        match (self.format, channel) {
            (I420 | Yv12 | Nv12 | Nv21 | Gray8, 0) => at(0, x, y),
            (Y42b | Y41b | Nv16 | Nv61 | Nv24, 0) => at(0, x, y),
            (I420 | Y42b | Y41b, _) | (Y444, _) => at(channel, x, y),
            (Yv12, _) => at(3 - channel, x, y),
            (Nv12 | Nv16 | Nv24, _) => at(1, 2 * x + channel - 1, y),
            (Nv21 | Nv61, _) => at(1, 2 * x + 2 - channel, y),
            (Yuy2 | Yvyu, 0) => at(0, 2 * x, y),
            (Yuy2, _) => at(0, 4 * x + 2 * channel - 1, y),
            (Yvyu, _) => at(0, 4 * x + 5 - 2 * channel, y),
            (Uyvy, 0) => at(0, 2 * x + 1, y),
            (Uyvy, _) => at(0, 4 * x + 2 * channel - 2, y),
            (Vuya, _) => at(0, 4 * x + 2 - channel, y),
            (Rgb, _) => at(0, 3 * x + channel, y),
            (Bgr, _) => at(0, 3 * x + 2 - channel, y),
            (Rgbx | Rgba, _) => at(0, 4 * x + channel, y),
            (Bgrx | Bgra, _) => at(0, 4 * x + 2 - channel, y),
            (Xrgb | Argb, _) => at(0, 4 * x + 1 + channel, y),
            (Xbgr | Abgr, _) => at(0, 4 * x + 3 - channel, y),
            (Gbr, _) => at(green_first, x, y),
            (Gbr10, _) => low(10, green_first),
            (Gbr12, _) => low(12, green_first),
            (I420_10 | I422_10 | Y444_10, _) => low(10, channel),
            (I420_12 | I422_12 | Y444_12, _) => low(12, channel),
            (P010 | P012 | Gray16, 0) => high(0, x),
            (P010 | P012, _) => high(1, 2 * x + channel - 1),
            (Y210, 0) => high(0, 2 * x),
            (Y210, _) => high(0, 4 * x + 2 * channel - 1),
            (Gray8 | Gray16, _) => 128.0,
        }
    }

    /// How many px a component's sample stands for, across and down.
    fn pixels(&self, channel: usize) -> (usize, usize) {
        use PixelFormat::*;
        match self.format {
            _ if channel == 0 => (1, 1),
            I420 | Yv12 | Nv12 | Nv21 | I420_10 | I420_12 | P010 | P012 => (2, 2),
            Yuy2 | Yvyu | Uyvy | Y42b | Nv16 | Nv61 | I422_10 | I422_12 | Y210 => (2, 1),
            Y41b => (4, 1),
            _ => (1, 1),
        }
    }

    /// The level of white in full range, in units of eight-bit codes.
    fn white(&self) -> f64 {
        use PixelFormat::*;
        match self.format {
            I420_10 | I422_10 | Y444_10 | Gbr10 | P010 | Y210 => 1023.0 / 4.0,
            I420_12 | I422_12 | Y444_12 | Gbr12 | P012 => 4095.0 / 16.0,
            Gray16 => 65535.0 / 256.0,
            _ => 255.0,
        }
    }

    /// Bilinear sample of a component at the centre of output (`i`, `j`) of `n` × `m` over `source`.
    fn resized(
        &self,
        channel: usize,
        source: [f64; 4],
        (i, j): (usize, usize),
        (n, m): (usize, usize),
    ) -> f64 {
        let (wide, tall) = self.pixels(channel);
        let axis = |start: f64, length: f64, pixels: usize, limit: usize, i: usize, n: usize| {
            let limit = limit.div_ceil(pixels);
            let (start, length) = (start / pixels as f64, length / pixels as f64);
            let low = start.floor().min(limit as f64 - 1.0);
            let high = ((start + length).ceil() - 1.0).clamp(low, limit as f64 - 1.0);
            let at = (start + (i as f64 + 0.5) * length / n as f64 - 0.5).clamp(low, high);
            let left = at.floor() as usize;
            (left, (left + 1).min(high as usize), at - at.floor())
        };
        let (x0, x1, fx) = axis(source[0], source[2], wide, self.width, i, n);
        let (y0, y1, fy) = axis(source[1], source[3], tall, self.height, j, m);
        let row = |y| self.sample(channel, x0, y) * (1.0 - fx) + self.sample(channel, x1, y) * fx;
        row(y0) * (1.0 - fy) + row(y1) * fy
    }

    /// Red, green and blue of an output, 0..=255.
    fn rgb(&self, source: [f64; 4], at: (usize, usize), size: (usize, usize)) -> [f64; 3] {
        let [a, b, c] = [0, 1, 2].map(|channel| self.resized(channel, source, at, size));
        let white = self.white();
        if self.format.model() == ColourModel::Rgb {
            return [a, b, c].map(|level| level * 255.0 / white);
        }
        let (kr, kb) = match self.colorimetry.matrix {
            YuvMatrix::Bt601 => (0.299, 0.114),
            YuvMatrix::Bt709 => (0.2126, 0.0722),
        };
        let (y, u, v) = match self.colorimetry.range {
            YuvRange::Limited => ((a - 16.0) / 219.0, (b - 128.0) / 224.0, (c - 128.0) / 224.0),
            YuvRange::Full => (a / white, (b - 128.0) / white, (c - 128.0) / white),
        };
        let red = y + 2.0 * (1.0 - kr) * v;
        let blue = y + 2.0 * (1.0 - kb) * u;
        let green = (y - kr * red - kb * blue) / (1.0 - kr - kb);
        [red, green, blue].map(|v| (v * 255.0).clamp(0.0, 255.0))
    }

    /// The whole tensor as f64.
    fn tensor(&self, spec: &InputSpec, source: Rect, content: Extent) -> Vec<f64> {
        let source = [source.x, source.y, source.w, source.h].map(f64::from);
        let mut tensor = vec![0.0; spec.tensor_len()];
        for y in 0..spec.height {
            for x in 0..spec.width {
                let inside = (content.left..content.left + content.width).contains(&x)
                    && (content.top..content.top + content.height).contains(&y);
                let rgb = if inside {
                    let at = (x - content.left, y - content.top);
                    self.rgb(source, at, (content.width, content.height))
                } else {
                    [f64::from(spec.pad); 3]
                };
                for channel in 0..3 {
                    let level = match spec.color {
                        ColorOrder::Rgb => rgb[channel],
                        ColorOrder::Bgr => rgb[2 - channel],
                    };
                    let index = match spec.tensor {
                        TensorLayout::Nchw => (channel * spec.height + y) * spec.width + x,
                        TensorLayout::Nhwc => (y * spec.width + x) * 3 + channel,
                    };
                    tensor[index] =
                        level * f64::from(spec.scale[channel]) + f64::from(spec.offset[channel]);
                }
            }
        }
        tensor
    }
}

/// Scales and offsets that differ by channel, so that a mix-up shows.
fn spec(width: usize, height: usize, resize: ResizeMode) -> InputSpec {
    InputSpec {
        width,
        height,
        resize,
        scale: [1.0, 0.5, 0.25],
        offset: [0.0, -10.0, 20.0],
        ..InputSpec::default()
    }
}

fn check(picture: &Picture, spec: InputSpec, crop: Option<Rect>) {
    let mut got = vec![f32::NAN; spec.tensor_len()];
    let mut preprocessor = Preprocessor::new(spec);
    let view = picture.view();
    let plan = match crop {
        Some(rect) => preprocessor.fill_crop(&view, rect, &mut got),
        None => preprocessor.fill(&view, &mut got),
    }
    .unwrap();
    let expected = picture.tensor(&spec, plan.source(), plan.content());
    for (index, (&got, expected)) in got.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(got) - expected).abs() <= TOLERANCE,
            "{:?} {}x{} {:?} into {spec:?}, crop {crop:?}: {got} for {expected} at {index}",
            picture.format,
            picture.width,
            picture.height,
            picture.colorimetry,
        );
    }
}

#[test]
fn every_format_matrix_range_and_odd_size_agrees_with_the_reference() {
    let sizes = [(1, 1), (2, 1), (1, 3), (5, 3), (33, 17), (64, 48)];
    for format in PixelFormat::ALL {
        for matrix in [YuvMatrix::Bt601, YuvMatrix::Bt709] {
            for range in [YuvRange::Limited, YuvRange::Full] {
                for (seed, size) in sizes.into_iter().enumerate() {
                    let picture =
                        Picture::noise(format, size, seed * 3, seed as u32 + 1).with(matrix, range);
                    check(&picture, spec(24, 20, ResizeMode::LetterboxCentred), None);
                }
            }
        }
    }
}

#[test]
fn every_mode_order_and_layout_agrees_with_the_reference() {
    use ResizeMode::*;
    let picture = Picture::noise(PixelFormat::Nv12, (57, 31), 7, 5);
    for resize in [LetterboxCentred, LetterboxTopLeft, Squash] {
        for color in [ColorOrder::Rgb, ColorOrder::Bgr] {
            for tensor in [TensorLayout::Nchw, TensorLayout::Nhwc] {
                for (width, height) in [(20, 20), (90, 70), (8, 40)] {
                    let spec = InputSpec {
                        color,
                        tensor,
                        ..spec(width, height, resize)
                    };
                    check(&picture, spec, None);
                }
            }
        }
    }
}

#[test]
fn half_precision_is_the_rounded_single_one() {
    let picture = Picture::noise(PixelFormat::I420, (57, 31), 0, 9);
    for tensor in [TensorLayout::Nchw, TensorLayout::Nhwc] {
        let spec = InputSpec {
            width: 40,
            height: 40,
            tensor,
            ..InputSpec::default()
        };
        let mut preprocessor = Preprocessor::new(spec);
        let mut single = vec![0.0_f32; spec.tensor_len()];
        let mut half = vec![f16::ZERO; spec.tensor_len()];
        preprocessor.fill(&picture.view(), &mut single).unwrap();
        preprocessor.fill(&picture.view(), &mut half).unwrap();
        assert!(single.iter().zip(half).all(|(&s, h)| f16::from_f32(s) == h));
    }
}

#[test]
fn frames_in_turn_leave_nothing_behind() {
    let spec = spec(32, 32, ResizeMode::LetterboxCentred);
    let mut kept = Preprocessor::new(spec);
    let mut got = vec![0.0_f32; spec.tensor_len()];
    let cases = [
        (PixelFormat::I420, (64, 48)),
        (PixelFormat::I420, (64, 48)),
        (PixelFormat::Rgb, (7, 9)),
        (PixelFormat::Rgb, (9, 7)),
        (PixelFormat::Yuy2, (7, 9)),
        (PixelFormat::I420, (64, 48)),
        (PixelFormat::Gray8, (3, 200)),
    ];
    for (seed, (format, size)) in cases.into_iter().enumerate() {
        let picture = Picture::noise(format, size, 5, seed as u32);
        let mut fresh = vec![0.0_f32; spec.tensor_len()];
        Preprocessor::new(spec)
            .fill(&picture.view(), &mut fresh)
            .unwrap();
        kept.fill(&picture.view(), &mut got).unwrap();
        assert_eq!(got, fresh, "{format:?} {size:?}");
        kept.refill(&picture.view(), &mut got).unwrap();
        assert_eq!(got, fresh, "{format:?} {size:?} again");
    }
}

#[test]
fn boxes_and_tensors_that_do_not_fit_are_refused() {
    let picture = Picture::noise(PixelFormat::Nv12, (40, 30), 0, 1);
    let spec = spec(8, 16, ResizeMode::Squash);
    let mut preprocessor = Preprocessor::new(spec);
    let mut tensor = vec![0.0_f32; spec.tensor_len()];
    for rect in [
        Rect::new(40.0, 0.0, 5.0, 5.0),
        Rect::new(-9.0, 3.0, 9.0, 9.0),
        Rect::new(3.0, 3.0, 0.0, 5.0),
        Rect::new(3.0, 3.0, -4.0, 5.0),
        Rect::new(f32::NAN, 3.0, 4.0, 5.0),
        Rect::new(3.0, 3.0, f32::INFINITY, 5.0),
    ] {
        let result = preprocessor.fill_crop(&picture.view(), rect, &mut tensor);
        assert!(
            matches!(result, Err(PreprocessError::OutsideFrame(_))),
            "{rect:?}"
        );
    }
    let short = preprocessor.fill(&picture.view(), &mut tensor[1..]);
    let (expected, got) = (spec.tensor_len(), spec.tensor_len() - 1);
    assert_eq!(short, Err(PreprocessError::TensorLength { expected, got }));
}

#[test]
fn a_whole_crop_is_the_squashed_frame() {
    let picture = Picture::noise(PixelFormat::Uyvy, (41, 33), 2, 3);
    let spec = spec(16, 32, ResizeMode::Squash);
    let mut preprocessor = Preprocessor::new(spec);
    let (mut frame, mut crop) = (
        vec![0.0_f32; spec.tensor_len()],
        vec![0.0; spec.tensor_len()],
    );
    preprocessor.fill(&picture.view(), &mut frame).unwrap();
    let everything = Rect::new(-5.0, -5.0, 100.0, 100.0);
    preprocessor
        .fill_crop(&picture.view(), everything, &mut crop)
        .unwrap();
    assert_eq!(frame, crop);
}

/// The same flat colour in every format ends as the same tensor.
#[test]
fn one_color_is_the_same_in_all_formats() {
    // Orange, by the BT.601 limited matrix: Y 137, U 63, V 184 to the nearest code.
    let rgb = [230.0, 120.0, 10.0];
    let codes = [137, 63, 184_u8];
    for format in PixelFormat::ALL {
        if format.model() == ColourModel::Grey {
            continue;
        }
        let depth = format.depth();
        let is_rgb = format.model() == ColourModel::Rgb;
        let fill = if is_rgb { [230, 120, 10] } else { codes };
        let mut picture = Picture::noise(format, (9, 7), 3, 1);
        for (channel, code) in format.channels().into_iter().zip(fill) {
            let code = depth.expanded(code, is_rgb, false) << depth.shift;
            let (data, stride) = &mut picture.planes[channel.plane];
            for row in data.chunks_mut(*stride) {
                let samples = 9_usize.div_ceil(channel.wide);
                for place in (0..samples).map(|i| channel.offset + i * channel.step) {
                    match depth.bytes() {
                        1 => row[place] = code as u8,
                        _ => row[2 * place..][..2].copy_from_slice(&code.to_le_bytes()),
                    }
                }
            }
        }
        let spec = InputSpec {
            width: 12,
            height: 12,
            scale: [1.0; 3],
            resize: ResizeMode::Squash,
            ..InputSpec::default()
        };
        let mut tensor = vec![0.0_f32; spec.tensor_len()];
        Preprocessor::new(spec)
            .fill(&picture.view(), &mut tensor)
            .unwrap();
        for (channel, plane) in tensor.chunks_exact(12 * 12).enumerate() {
            for &got in plane {
                // Codes of eight bits hold a colour to about two levels.
                assert!(
                    (got - rgb[channel]).abs() < 2.0,
                    "{format:?} {channel}: {got}"
                );
            }
        }
    }
}

/// `cv2.resize(frame, (7, 5), interpolation=cv2.INTER_LINEAR)` of a 5 × 4 grey ramp, OpenCV 5.0.
#[test]
fn grey_ramp_agrees_with_opencv() {
    let data: Vec<u8> = (0..20_u32).map(|i| (i * i * 7 % 256) as u8).collect();
    let plane = Plane {
        data: &data,
        stride: 5,
    };
    let full = Colorimetry {
        matrix: YuvMatrix::Bt601,
        range: YuvRange::Full,
    };
    let view = ImageView::new(PixelFormat::Gray8, 5, 4, &[plane], full).unwrap();
    let spec = InputSpec {
        width: 7,
        height: 5,
        scale: [1.0; 3],
        resize: ResizeMode::Squash,
        ..InputSpec::default()
    };
    let mut tensor = vec![0.0_f32; spec.tensor_len()];
    Preprocessor::new(spec).fill(&view, &mut tensor).unwrap();
    for (got, expected) in tensor.iter().zip(OPENCV_RAMP) {
        // OpenCV rounds to whole levels.
        assert!(
            (got - f32::from(expected)).abs() <= 0.6,
            "{got} for {expected}"
        );
    }
}

const OPENCV_RAMP: [u8; 35] = [
    0, 4, 13, 28, 53, 84, 112, //
    123, 154, 147, 69, 129, 118, 72, //
    182, 172, 165, 164, 172, 132, 74, //
    143, 93, 107, 237, 194, 157, 131, //
    39, 17, 66, 231, 223, 221, 223,
];

fn formats() -> impl Strategy<Value = PixelFormat> {
    prop::sample::select(PixelFormat::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn crops_agree_with_the_reference(
        format in formats(),
        size in (1usize..70, 1usize..70),
        padding in 0usize..9,
        seed in 0u32..1000,
        (x, y, w, h) in (-0.3f32..1.0, -0.3f32..1.0, 0.02f32..1.4, 0.02f32..1.4),
        (tw, th) in (1usize..40, 1usize..60),
        mode in prop::sample::select(vec![ResizeMode::Squash, ResizeMode::LetterboxCentred]),
    ) {
        let picture = Picture::noise(format, size, padding, seed);
        let (width, height) = (size.0 as f32, size.1 as f32);
        let rect = Rect::new(x * width, y * height, w * width, h * height);
        if rect.clipped(width, height).is_some() {
            check(&picture, spec(tw, th, mode), Some(rect));
        }
    }
}
