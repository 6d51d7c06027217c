//! Finds and reads the boxes of each camera.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use gstreid::core::scoring::{self, LabelledBox, Role};

use super::arguments::{Arguments, Size};

/// Where a camera's boxes are.
pub struct CameraFiles {
    pub name: String,
    pub truth: PathBuf,
    pub result: PathBuf,
}

/// The files of all cameras; in a folder of results those that end in `extension`, else in `txt`.
pub fn camera_files(arguments: &Arguments, extension: &str) -> Result<Vec<CameraFiles>, String> {
    let mut truths = Vec::new();
    for path in &arguments.gt {
        truths.extend(truth_files(path)?);
    }
    let names = names(arguments, &truths)?;
    let results = result_files(&arguments.result, &names, extension)?;
    let files = names.into_iter().zip(truths).zip(results);
    Ok(files
        .map(|((name, truth), result)| CameraFiles {
            name,
            truth,
            result,
        })
        .collect())
}

/// The truth that a path stands for: itself, the file in a sequence's folder, or those of the folders in it by name.
fn truth_files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.into()]);
    }
    if let Some(file) = truth_in(path) {
        return Ok(vec![file]);
    }
    let unreadable = |error: io::Error| format!("{} cannot be read: {error}", path.display());
    let mut folders = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        folders.push(entry.map_err(unreadable)?.path());
    }
    folders.sort();
    let files: Vec<PathBuf> = folders
        .iter()
        .filter_map(|folder| truth_in(folder))
        .collect();
    if files.is_empty() {
        return Err(format!(
            "{} has no ground truth: searched for gt/gt.txt and gt.txt in it and in its folders",
            path.display()
        ));
    }
    Ok(files)
}

fn truth_in(folder: &Path) -> Option<PathBuf> {
    ["gt/gt.txt", "gt.txt"]
        .iter()
        .map(|name| folder.join(name))
        .find(|file| file.is_file())
}

/// What the cameras are called.
fn names(arguments: &Arguments, truths: &[PathBuf]) -> Result<Vec<String>, String> {
    let given = &arguments.camera;
    if !given.is_empty() && given.len() != truths.len() {
        return Err(format!(
            "{} names of cameras for {} files of truth",
            given.len(),
            truths.len()
        ));
    }
    Ok(if given.is_empty() {
        truths.iter().map(|path| name_of(path)).collect()
    } else {
        given.clone()
    })
}

/// The first part of the path, from its end, that says more than `gt`.
fn name_of(path: &Path) -> String {
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    let folders = path.ancestors().skip(1).filter_map(Path::file_name);
    let folders = folders.map(|name| name.to_string_lossy().into_owned());
    stem.into_iter()
        .chain(folders)
        .find(|name| name != "gt")
        .unwrap_or_else(|| path.display().to_string())
}

fn result_files(
    given: &[PathBuf],
    names: &[String],
    extension: &str,
) -> Result<Vec<PathBuf>, String> {
    if let [folder] = given
        && folder.is_dir()
    {
        let file = |name: &String| {
            let file = |extension: &str| folder.join(format!("{name}.{extension}"));
            Some(file(extension))
                .filter(|file| file.is_file())
                .unwrap_or_else(|| file("txt"))
        };
        return Ok(names.iter().map(file).collect());
    }
    if given.len() != names.len() {
        return Err(format!(
            "{} results for {} cameras ({}): give as many, in the same order",
            given.len(),
            names.len(),
            names.join(", ")
        ));
    }
    Ok(given.to_vec())
}

/// A file's text.
pub fn read_text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

/// The boxes of a file, without those whose centre lies outside of a picture of `size`.
pub fn read(path: &Path, role: Role, size: Option<Size>) -> Result<Vec<LabelledBox>, String> {
    let text = read_text(path)?;
    let mut boxes =
        scoring::parse(&text, role).map_err(|error| format!("{}, {error}", path.display()))?;
    if let Some(Size { width, height }) = size {
        boxes.retain(|b| b.has_centre_within(width, height));
    }
    Ok(boxes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_are_named_after_what_tells_them_apart() {
        for (path, name) in [
            ("truth/door/gt/gt.txt", "door"),
            ("truth/door/gt.txt", "door"),
            ("truth/view-HC3.txt", "view-HC3"),
            ("gt.txt", "gt.txt"),
        ] {
            assert_eq!(name_of(Path::new(path)), name, "{path}");
        }
    }
}
