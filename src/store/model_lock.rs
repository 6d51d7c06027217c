//! A stored gallery has the vectors of one model: the first that comes.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use crate::{core::embedding::ModelFingerprint, inference::embedder::model_name, sync::lock};

/// The one model whose vectors a kept gallery holds.
#[derive(Debug, Default)]
pub(super) struct ModelLock {
    model: AtomicU64,
    /// What the file is called, where it is the place that says so.
    name: Mutex<Option<String>>,
}

impl ModelLock {
    /// Admits the first model and no other; says which one it was.
    pub fn admit(&self, model: ModelFingerprint) -> Result<(), String> {
        let first = self
            .model
            .compare_exchange(0, model.0, Ordering::AcqRel, Ordering::Acquire);
        match first {
            Err(other) if other != model.0 => Err(described(
                ModelFingerprint(other),
                lock(&self.name).as_deref(),
            )),
            _ => Ok(()),
        }
    }

    /// Admits the model whose vectors the place holds.
    #[cfg(any(test, feature = "sqlite", feature = "postgres"))]
    pub fn admit_kept(&self, model: ModelFingerprint, name: Option<String>) -> Result<(), String> {
        self.admit(model)?;
        *lock(&self.name) = name;
        Ok(())
    }
}

/// A model as messages name it: its file, if anybody knows it, and its fingerprint.
pub(super) fn described(model: ModelFingerprint, name: Option<&str>) -> String {
    let loaded = model_name(model);
    match name.or(loaded.as_deref()) {
        Some(name) => format!("{name} ({:016x})", model.0),
        None => format!("{:016x}", model.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_gallery_has_one_model() {
        let model = ModelLock::default();
        assert_eq!(model.admit(ModelFingerprint(3)), Ok(()));
        assert_eq!(model.admit(ModelFingerprint(3)), Ok(()));
        let refused = model.admit(ModelFingerprint(4)).unwrap_err();
        assert_eq!(refused, "0000000000000003");
        let kept = ModelLock::default();
        let name = Some("people.onnx".to_owned());
        assert_eq!(kept.admit_kept(ModelFingerprint(3), name), Ok(()));
        let refused = kept.admit(ModelFingerprint(4)).unwrap_err();
        assert_eq!(refused, "people.onnx (0000000000000003)");
    }
}
