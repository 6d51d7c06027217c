//! Writes rows of pixel levels to the model's tensor.

use half::{f16, slice::HalfFloatSliceExt};

use super::{
    kernels,
    plan::Extent,
    spec::{ColorOrder, InputSpec, TensorLayout},
};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for half::f16 {}
}

/// A number that a model's input tensor is made of.
pub trait TensorElement: sealed::Sealed + Copy {
    /// One number.
    fn from_value(value: f32) -> Self;
    /// `levels * scale + offset`.
    fn write_levels(levels: &mut [f32], scale: f32, offset: f32, out: &mut [Self]);
    /// As many numbers as `out` holds.
    fn copy_values(values: &[f32], out: &mut [Self]);
}

impl TensorElement for f32 {
    fn from_value(value: f32) -> Self {
        value
    }

    fn write_levels(levels: &mut [f32], scale: f32, offset: f32, out: &mut [Self]) {
        kernels::scale(levels, scale, offset, out);
    }

    fn copy_values(values: &[f32], out: &mut [Self]) {
        out.copy_from_slice(values);
    }
}

impl TensorElement for f16 {
    fn from_value(value: f32) -> Self {
        Self::from_f32(value)
    }

    fn write_levels(levels: &mut [f32], scale: f32, offset: f32, out: &mut [Self]) {
        for level in levels.iter_mut() {
            *level = *level * scale + offset;
        }
        Self::copy_values(levels, out);
    }

    fn copy_values(values: &[f32], out: &mut [Self]) {
        out.convert_from_f32_slice(values);
    }
}

/// One row's levels on their way into the tensor.
#[derive(Clone, Debug, Default)]
pub(super) struct RowWriter {
    /// Red, green, blue; 0..=255.
    pub(super) levels: [Vec<f32>; 3],
    interleaved: Vec<f32>,
}

impl RowWriter {
    pub(super) fn reserve(&mut self, width: usize) {
        for levels in &mut self.levels {
            levels.resize(width, 0.0);
        }
        self.interleaved.resize(width * InputSpec::CHANNELS, 0.0);
    }

    /// Writes the levels as row `y` of the content.
    pub(super) fn write<T: TensorElement>(
        &mut self,
        spec: &InputSpec,
        content: Extent,
        y: usize,
        tensor: &mut [T],
    ) {
        let start = (content.top + y) * spec.width + content.left;
        match spec.tensor {
            TensorLayout::Nchw => {
                for channel in 0..InputSpec::CHANNELS {
                    let levels = &mut self.levels[color(spec.color, channel)];
                    let (scale, offset) = (spec.scale[channel], spec.offset[channel]);
                    let plane = channel * spec.width * spec.height + start;
                    let out = &mut tensor[plane..plane + content.width];
                    T::write_levels(levels, scale, offset, out);
                }
            }
            TensorLayout::Nhwc => {
                let [a, b, c] = [0, 1, 2].map(|channel| &self.levels[color(spec.color, channel)]);
                let pixels = self.interleaved.chunks_exact_mut(InputSpec::CHANNELS);
                for (((pixel, &a), &b), &c) in pixels.zip(a).zip(b).zip(c) {
                    pixel[0] = a * spec.scale[0] + spec.offset[0];
                    pixel[1] = b * spec.scale[1] + spec.offset[1];
                    pixel[2] = c * spec.scale[2] + spec.offset[2];
                }
                let start = start * InputSpec::CHANNELS;
                T::copy_values(
                    &self.interleaved,
                    &mut tensor[start..start + self.interleaved.len()],
                );
            }
        }
    }
}

/// Index of a tensor channel's colour among red, green and blue.
fn color(order: ColorOrder, channel: usize) -> usize {
    match order {
        ColorOrder::Rgb => channel,
        ColorOrder::Bgr => 2 - channel,
    }
}

/// Writes the padding around the content.
pub(super) fn pad<T: TensorElement>(spec: &InputSpec, content: Extent, tensor: &mut [T]) {
    let value =
        |channel| T::from_value(f32::from(spec.pad) * spec.scale[channel] + spec.offset[channel]);
    let values = [value(0), value(1), value(2)];
    // Numbers of a whole row of one memory plane, and the content's share of it.
    let per_column = match spec.tensor {
        TensorLayout::Nchw => 1,
        TensorLayout::Nhwc => InputSpec::CHANNELS,
    };
    let left = content.left * per_column;
    let right = (content.left + content.width) * per_column;
    let rows = content.top..content.top + content.height;
    for (index, row) in tensor.chunks_exact_mut(spec.width * per_column).enumerate() {
        let fill = |part: &mut [T]| match spec.tensor {
            TensorLayout::Nchw => part.fill(values[index / spec.height]),
            TensorLayout::Nhwc => part
                .chunks_exact_mut(InputSpec::CHANNELS)
                .for_each(|pixel| pixel.copy_from_slice(&values)),
        };
        if rows.contains(&(index % spec.height)) {
            fill(&mut row[..left]);
            fill(&mut row[right..]);
        } else {
            fill(row);
        }
    }
}
