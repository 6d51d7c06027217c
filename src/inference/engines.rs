//! Where TensorRT's engines of a model are cached: building one takes minutes, reading one a second.
//!
//! ONNX Runtime does not notice that a cached engine belongs to another model, or was built by another version of itself (its
//! documentation asks users to delete the files). So each content of a model and each version of ONNX Runtime has a folder of its own.
//! ONNX Runtime distinguishes engines of different GPUs and TensorRT versions.

use std::{
    fs,
    path::{Path, PathBuf},
};

use gst::glib;

use super::model;

/// The folder for engines of `model` under the user's cache folder, made if it is not there. `None` when it cannot be: then
/// engines are built anew at every start.
pub(super) fn folder(model: &Path, runtime: &str) -> Option<PathBuf> {
    folder_in(&glib::user_cache_dir(), model, runtime)
}

fn folder_in(cache: &Path, model: &Path, runtime: &str) -> Option<PathBuf> {
    let content = model::fingerprint(&fs::read(model).ok()?).0;
    let folder = cache
        .join("gst-plugin-reid")
        .join("tensorrt")
        .join(format!("onnxruntime-{runtime}"))
        .join(format!("{content:016x}"));
    fs::create_dir_all(&folder).ok()?;
    Some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_and_version_has_a_folder_of_its_own() {
        let cache = tempfile::tempdir().unwrap();
        let model = |name: &str, content: &str| {
            let path = cache.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        let of = |model: &Path, runtime| folder_in(cache.path(), model, runtime).unwrap();
        let (a, copy, b) = (model("a", "1"), model("copy", "1"), model("b", "2"));
        assert!(of(&a, "1.21").is_dir());
        assert_eq!(of(&a, "1.21"), of(&copy, "1.21"));
        assert_ne!(of(&a, "1.21"), of(&b, "1.21"));
        assert_ne!(of(&a, "1.21"), of(&a, "1.22"));
        // The same name, another content: the model was exchanged.
        let before = of(&a, "1.21");
        model("a", "3");
        assert_ne!(of(&a, "1.21"), before);
        assert_eq!(
            folder_in(&a, &b, "1.21"),
            None,
            "no folder can be made there"
        );
        assert_eq!(
            folder_in(cache.path(), &cache.path().join("none"), "1.21"),
            None
        );
    }
}
