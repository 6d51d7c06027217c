//! What a model file declares: plain data, so that everything derived from it can be tested without ONNX Runtime.

use std::{collections::BTreeMap, path::PathBuf};

use crate::core::embedding::ModelFingerprint;

/// Type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ElementType {
    F32,
    F16,
    U8,
    I8,
    I32,
    I64,
    /// Something that no detector or embedder has for input or output.
    Other,
}

/// An input or output as the model declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name in the graph.
    pub name: String,
    /// Element type.
    pub element: ElementType,
    /// Dimensions; `None` where the model leaves one open.
    pub shape: Vec<Option<usize>>,
}

/// A loaded model's declaration.
#[derive(Clone, Debug)]
pub struct ModelInfo {
    /// The file.
    pub path: PathBuf,
    /// Hash of the file's bytes.
    pub fingerprint: ModelFingerprint,
    /// Inputs in the graph's order.
    pub inputs: Vec<TensorInfo>,
    /// Outputs in the graph's order.
    pub outputs: Vec<TensorInfo>,
    /// Custom metadata of the file (`names`, `stride`, `reid.*`, ...).
    pub metadata: BTreeMap<String, String>,
}

/// FNV-1a, 64 bit (Fowler, Noll, Vo): stable across versions and machines, unlike the standard library's hasher,
/// because galleries on disk refer to it.
pub fn fingerprint(bytes: &[u8]) -> ModelFingerprint {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    ModelFingerprint(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // Test vectors of the authors' reference.
        assert_eq!(fingerprint(b"").0, 0xcbf2_9ce4_8422_2325);
        assert_eq!(fingerprint(b"foobar").0, 0x8594_4171_f739_67e8);
    }
}
