//! Finds the shipped models.

use std::path::{Path, PathBuf};

use super::{error::InferenceError, places};

/// Environment variable: folders (separated like `PATH`) that are searched for models before any other.
pub const MODELS_VARIABLE: &str = "GST_REID_MODELS";

/// The detector used when `yolodetect` is given none.
pub const DEFAULT_DETECTOR: &str = "person-detector.onnx";

/// The embedder used when `reidembed` is given none.
pub const DEFAULT_EMBEDDER: &str = "reid-default.onnx";

/// Folder names in which models are looked for, below the plugin's folder and the ones above it.
const FOLDERS: [&str; 2] = ["models", "share/gst-plugin-reid/models"];

/// How far above the plugin the folders may be (`<prefix>/lib/<machine>/gstreamer-1.0`).
const LEVELS: usize = 3;

/// The folders that may hold models, in the order in which they are searched.
pub fn folders() -> Vec<PathBuf> {
    let own = std::env::var_os(MODELS_VARIABLE);
    let mut folders: Vec<PathBuf> = own.iter().flat_map(std::env::split_paths).collect();
    for above in places::ancestors(LEVELS) {
        folders.extend(FOLDERS.iter().map(|folder| above.join(folder)));
    }
    folders
}

/// The file `name` in the first of [`folders`] that has it. The error lists all paths searched.
pub fn locate(name: &str) -> Result<PathBuf, InferenceError> {
    locate_in(name, &folders())
}

/// The property's value, or the model that ships when it is empty. A bare name that is no file here is looked for among
/// the models that ship.
pub fn resolve(property: Option<&str>, default: &str) -> Result<PathBuf, InferenceError> {
    match property.filter(|value| !value.is_empty()) {
        None => locate(default),
        Some(path) if !Path::new(path).exists() && !path.contains(std::path::MAIN_SEPARATOR) => {
            locate(path).or_else(|_| Ok(PathBuf::from(path)))
        }
        Some(path) => Ok(PathBuf::from(path)),
    }
}

fn locate_in(name: &str, folders: &[PathBuf]) -> Result<PathBuf, InferenceError> {
    folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            let tried = folders
                .iter()
                .map(|folder| format!("  {}\n", folder.join(name).display()))
                .collect();
            InferenceError::ModelNotFound {
                name: name.into(),
                tried,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_lists_every_place() {
        let folders = [PathBuf::from("first"), PathBuf::from("second")];
        let text = locate_in("m.onnx", &folders).unwrap_err().to_string();
        assert!(
            text.contains("first/m.onnx") && text.contains("second/m.onnx"),
            "{text}"
        );
        assert!(text.contains(MODELS_VARIABLE));
    }

    #[test]
    fn the_first_folder_that_holds_it_wins() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(b.path().join("m.onnx"), b"x").unwrap();
        let folders = [a.path().to_path_buf(), b.path().to_path_buf()];
        assert_eq!(
            locate_in("m.onnx", &folders).unwrap(),
            b.path().join("m.onnx")
        );
    }
}
