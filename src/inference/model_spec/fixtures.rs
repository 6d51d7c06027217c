//! Models for tests.

use crate::{
    core::embedding::ModelFingerprint,
    inference::model::{ElementType, ModelInfo, TensorInfo},
};

/// Lengths of a tensor.
pub(super) type Shape<'a> = &'a [usize];

/// A tensor; 0 is an open length.
pub(super) fn tensor(name: &str, shape: Shape, element: ElementType) -> TensorInfo {
    TensorInfo {
        name: name.into(),
        element,
        shape: shape.iter().map(|&n| (n > 0).then_some(n)).collect(),
    }
}

/// A model of float tensors; 0 is an open length.
pub(super) fn model(input: Shape, outputs: &[Shape], metadata: &[(&str, &str)]) -> ModelInfo {
    ModelInfo {
        path: "m.onnx".into(),
        fingerprint: ModelFingerprint(0),
        inputs: vec![tensor("images", input, ElementType::F32)],
        outputs: outputs
            .iter()
            .map(|shape| tensor("output", shape, ElementType::F32))
            .collect(),
        metadata: metadata
            .iter()
            .map(|&(k, v)| (k.to_owned(), v.to_owned()))
            .collect(),
    }
}
