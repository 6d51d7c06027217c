//! An input tensor of either precision, reused from frame to frame.

use half::f16;

use super::{model::ElementType, values::InputTensor};

/// Values of a model's input, in the precision that the model takes.
pub(super) enum Tensor {
    /// Single precision.
    F32(Vec<f32>),
    /// Half precision.
    F16(Vec<f16>),
}

impl Tensor {
    /// `len` zeros.
    pub(super) fn zeros(element: ElementType, len: usize) -> Self {
        match element {
            ElementType::F16 => Self::F16(vec![f16::ZERO; len]),
            _ => Self::F32(vec![0.0; len]),
        }
    }

    /// Grows to `len` values, never shrinks.
    pub(super) fn reserve(&mut self, len: usize) {
        match self {
            Self::F32(data) if data.len() < len => data.resize(len, 0.0),
            Self::F16(data) if data.len() < len => data.resize(len, f16::ZERO),
            _ => {}
        }
    }

    /// The first values, as many as `shape` holds. The tensor must be that long.
    pub(super) fn input<'a>(&'a self, shape: &'a [i64]) -> InputTensor<'a> {
        let len = shape.iter().product::<i64>() as usize;
        match self {
            Self::F32(data) => InputTensor::F32(shape, &data[..len]),
            Self::F16(data) => InputTensor::F16(shape, &data[..len]),
        }
    }
}
