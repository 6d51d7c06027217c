//! Inputs and outputs of a model, as plain numbers.

use std::borrow::Cow;

use half::f16;
use ort::{
    session::SessionInputValue,
    value::{DynValue, PrimitiveTensorElementType, TensorElementType, TensorRef, ValueType},
};

use super::error::InferenceError;

/// Data for one input of a model.
pub enum InputTensor<'a> {
    /// Single precision.
    F32(&'a [i64], &'a [f32]),
    /// Half precision.
    F16(&'a [i64], &'a [f16]),
    /// Integers (the `orig_target_sizes` of DETR exports).
    I64(&'a [i64], &'a [i64]),
}

/// One output of a run, as single precision whatever the model's own type.
pub struct OutputTensor<'a> {
    /// Name in the graph.
    pub name: &'a str,
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Elements, last dimension fastest.
    pub data: Cow<'a, [f32]>,
}

/// A run that failed.
pub(super) fn run_error(error: ort::Error) -> InferenceError {
    InferenceError::Run(error.to_string())
}

/// An input as ONNX Runtime takes it; its data are not copied.
pub(super) fn input_value<'a>(
    input: &InputTensor<'a>,
) -> Result<SessionInputValue<'a>, InferenceError> {
    Ok(match *input {
        InputTensor::F32(shape, data) => TensorRef::from_array_view((shape, data))
            .map_err(run_error)?
            .into(),
        InputTensor::F16(shape, data) => TensorRef::from_array_view((shape, data))
            .map_err(run_error)?
            .into(),
        InputTensor::I64(shape, data) => TensorRef::from_array_view((shape, data))
            .map_err(run_error)?
            .into(),
    })
}

/// A view of an output as f32; integers and half floats are converted.
pub(super) fn output_tensor<'a>(
    name: &'a str,
    value: &'a DynValue,
) -> Result<OutputTensor<'a>, InferenceError> {
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err(InferenceError::Run(format!(
            "the output '{name}' is not a tensor"
        )));
    };
    let shape = shape
        .iter()
        .map(|&dim| usize::try_from(dim).unwrap_or(0))
        .collect();
    let data = match ty {
        TensorElementType::Float32 => {
            Cow::Borrowed(value.try_extract_tensor::<f32>().map_err(run_error)?.1)
        }
        TensorElementType::Float16 => converted(value, f16::to_f32)?,
        TensorElementType::Float64 => converted(value, |v: f64| v as f32)?,
        TensorElementType::Int64 => converted(value, |v: i64| v as f32)?,
        TensorElementType::Int32 => converted(value, |v: i32| v as f32)?,
        TensorElementType::Uint8 => converted(value, |v: u8| f32::from(v))?,
        TensorElementType::Int8 => converted(value, |v: i8| f32::from(v))?,
        other => {
            return Err(InferenceError::Run(format!(
                "the output '{name}' has elements of type {other:?}"
            )));
        }
    };
    Ok(OutputTensor { name, shape, data })
}

fn converted<T>(
    value: &DynValue,
    convert: impl Fn(T) -> f32,
) -> Result<Cow<'_, [f32]>, InferenceError>
where
    T: PrimitiveTensorElementType + Copy + std::fmt::Debug,
{
    let (_, data) = value.try_extract_tensor::<T>().map_err(run_error)?;
    Ok(Cow::Owned(data.iter().map(|&v| convert(v)).collect()))
}
