//! Finds the shipped models.

use std::path::{Path, PathBuf};

use gst::glib;

use super::{catalogue, error::InferenceError, places};

/// Environment variable: folders (separated like `PATH`) that are searched for models before any other.
pub const MODELS_VARIABLE: &str = "GST_REID_MODELS";

/// The detector used when `yolodetect` is given none.
pub const DEFAULT_DETECTOR: &str = "person-detector.onnx";

/// The embedder used when `reidembed` is given none.
pub const DEFAULT_EMBEDDER: &str = "reid-default.onnx";

/// Folder names in which models are looked for, below the plugin's folder and the ones above it.
const FOLDERS: [&str; 2] = ["models", "share/gst-plugin-reid/models"];

/// The user's folder of models, below the folder of user data.
const USER_FOLDER: &str = "gst-plugin-reid/models";

/// How far above the plugin the folders may be (`<prefix>/lib/<machine>/gstreamer-1.0`).
const LEVELS: usize = 3;

/// The folders that may hold models, in the order in which they are searched.
pub fn folders() -> Vec<PathBuf> {
    let own = std::env::var_os(MODELS_VARIABLE);
    let mut folders: Vec<PathBuf> = own.iter().flat_map(std::env::split_paths).collect();
    for above in places::ancestors(LEVELS) {
        folders.extend(FOLDERS.iter().map(|folder| above.join(folder)));
    }
    folders.push(user_folder());
    folders
}

/// The folder in which `reidctl models` keeps models: `$XDG_DATA_HOME/gst-plugin-reid/models`.
pub fn user_folder() -> PathBuf {
    glib::user_data_dir().join(USER_FOLDER)
}

/// The file `name` in the first of [`folders`] that has it. The error lists all paths searched.
pub fn locate(name: &str) -> Result<PathBuf, InferenceError> {
    locate_in(name, &folders())
}

/// The property's value, or the model that ships when it is empty. A bare name that is no file here is looked for in the
/// [`folders`], also with the ending `.onnx`. The error for a model of the catalogue says how to fetch it.
pub fn resolve(property: Option<&str>, default: &str) -> Result<PathBuf, InferenceError> {
    match property.filter(|value| !value.is_empty()) {
        None => locate(default),
        Some(path) if !Path::new(path).exists() && !path.contains(std::path::MAIN_SEPARATOR) => {
            by_name(path, &folders())
        }
        Some(path) => Ok(PathBuf::from(path)),
    }
}

fn by_name(name: &str, folders: &[PathBuf]) -> Result<PathBuf, InferenceError> {
    let file = format!("{name}.onnx");
    locate_in(name, folders)
        .or_else(|_| locate_in(&file, folders))
        .or_else(|_| match catalogue::find(name) {
            Some(_) => Err(InferenceError::ModelNotFetched {
                name: name.into(),
                tried: searched(&file, folders),
            }),
            None => Ok(PathBuf::from(name)),
        })
}

fn searched(name: &str, folders: &[PathBuf]) -> String {
    let paths = folders.iter().map(|folder| folder.join(name));
    paths
        .map(|path| format!("  {}\n", path.display()))
        .collect()
}

fn locate_in(name: &str, folders: &[PathBuf]) -> Result<PathBuf, InferenceError> {
    folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| InferenceError::ModelNotFound {
            name: name.into(),
            tried: searched(name, folders),
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
    fn models_are_found_by_name_and_known_ones_say_how_to_get_them() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_path_buf()];
        let error = by_name("rtmdet-nano", &folders).unwrap_err().to_string();
        assert!(error.contains("reidctl models get rtmdet-nano"), "{error}");
        let file = folder.path().join("rtmdet-nano.onnx");
        std::fs::write(&file, b"x").unwrap();
        assert_eq!(by_name("rtmdet-nano", &folders).unwrap(), file);
        assert_eq!(by_name("other", &folders).unwrap(), Path::new("other"));
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
