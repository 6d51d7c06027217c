//! The picture input of a model.

use super::{error::ModelSpecError, metadata::Metadata, picture::PictureInput};
use crate::{
    core::{preprocess::TensorLayout, yolo::OutputInfo},
    inference::{
        model::{ElementType, ModelInfo, TensorInfo},
        sidecar::Sidecar,
    },
};

/// The input of rank 4, or the most helpful complaint about the first one.
pub(super) fn picture_input(
    info: &ModelInfo,
    sidecar: &Sidecar,
) -> Result<PictureInput, ModelSpecError> {
    let is_float = |t: &TensorInfo| matches!(t.element, ElementType::F32 | ElementType::F16);
    let index = info
        .inputs
        .iter()
        .position(|t| is_float(t) && t.shape.len() == 4)
        .or_else(|| info.inputs.iter().position(|t| t.shape.len() >= 2))
        .ok_or_else(|| ModelSpecError::NoPictureInput(describe_all(&info.inputs)))?;
    let declared = &info.inputs[index];
    let input = describe(declared);
    let [batch, a, b, c] = declared.shape[..] else {
        return Err(match declared.shape[..] {
            [Some(3), _, _] | [_, _, Some(3)] => ModelSpecError::NoBatch { input },
            _ => ModelSpecError::WrongRank { input },
        });
    };
    if !is_float(declared) {
        let element = declared.element;
        return Err(ModelSpecError::WrongElement { input, element });
    }
    let wished = sidecar.tensor.or(Metadata(&info.metadata).tensor()?);
    let (tensor, width, height) = match (a, c, wished) {
        (Some(3) | None, _, Some(TensorLayout::Nchw)) => (TensorLayout::Nchw, c, b),
        (_, Some(3) | None, Some(TensorLayout::Nhwc)) => (TensorLayout::Nhwc, b, a),
        (Some(3), _, None) => (TensorLayout::Nchw, c, b),
        (_, Some(3), None) => (TensorLayout::Nhwc, b, a),
        (None, _, None) => (TensorLayout::Nchw, c, b),
        _ => return Err(ModelSpecError::WrongChannels { input }),
    };
    Ok(PictureInput {
        index,
        element: declared.element,
        tensor,
        batch,
        width,
        height,
    })
}

/// A tensor as messages name it.
pub(super) fn describe(tensor: &TensorInfo) -> String {
    let output = OutputInfo {
        name: format!("'{}'", tensor.name),
        dims: tensor.shape.clone(),
        integer: false,
    };
    output.to_string()
}

/// Tensors as messages name them.
pub(super) fn describe_all(tensors: &[TensorInfo]) -> String {
    let all: Vec<String> = tensors.iter().map(describe).collect();
    if all.is_empty() {
        "none".into()
    } else {
        all.join(", ")
    }
}
