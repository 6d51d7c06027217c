//! What `classify train` saves, and `predict` and `eval` read: a JSON text.
//!
//! ```json
//! {
//!   "format": "reidctl-classifier",
//!   "version": 1,
//!   "embedder": "0123456789abcdef",
//!   "embedder_file": "reid-default.onnx",
//!   "confidence": { "slope": -2.0, "offset": 0.5 },
//!   "people": [{ "name": "anna", "pictures": 12, "bias": -0.5, "weights": [0.25, -0.125] }]
//! }
//! ```
//!
//! `embedder` is the fingerprint of the model and of its preprocessing: vectors of another one mean something else, and
//! the file is refused with it. A person's score is the product of `weights`, as long as a vector, with the unit vector of
//! a picture, plus `bias`; the person with the highest score is the answer. Probability of a score:
//! `1 / (1 + exp(slope * score + offset))`, divided by the sum over all people.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::machine::{Classifier, Machine, Sigmoid};
use crate::embedding::PictureEmbedder;

const FORMAT: &str = "reidctl-classifier";
const VERSION: u32 = 1;

/// Largest file that is read, bytes: some thousands of people.
const MAX_BYTES: u64 = 256 << 20;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum FileError {
    #[error("{path} cannot be read: {reason}", path = .path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("{path} cannot be written: {reason}", path = .path.display())]
    Unwritable { path: PathBuf, reason: String },
    #[error(
        "{path} was not written by 'reidctl classify train' ({reason}): train again",
        path = .path.display()
    )]
    Foreign { path: PathBuf, reason: String },
    #[error(
        "{path} was trained with another embedder ({learnt}) than {given}: set that one with --model, or train again",
        path = .path.display()
    )]
    OtherEmbedder {
        path: PathBuf,
        learnt: String,
        given: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    format: String,
    version: u32,
    embedder: String,
    embedder_file: String,
    confidence: Sigmoid,
    people: Vec<Person>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    name: String,
    pictures: usize,
    bias: f32,
    weights: Vec<f32>,
}

/// Writes a classifier that was learnt with this embedder.
pub fn save(
    path: &Path,
    classifier: &Classifier,
    embedder: &PictureEmbedder,
) -> Result<(), FileError> {
    let people = classifier.machines.iter().map(|machine| Person {
        name: machine.name.clone(),
        pictures: machine.pictures,
        bias: machine.bias,
        weights: machine.weights.clone(),
    });
    let saved = Saved {
        format: FORMAT.into(),
        version: VERSION,
        embedder: format!("{:016x}", embedder.fingerprint().0),
        embedder_file: name_of(embedder.model_file()),
        confidence: classifier.confidence,
        people: people.collect(),
    };
    let unwritable = |reason: String| FileError::Unwritable {
        path: path.into(),
        reason,
    };
    let text = serde_json::to_string(&saved).map_err(|error| unwritable(error.to_string()))?;
    // An older file stays whole when the disk is full.
    let mut draft = path.as_os_str().to_owned();
    draft.push(".part");
    fs::write(&draft, text)
        .and_then(|()| fs::rename(&draft, path))
        .map_err(|error| unwritable(error.to_string()))
}

/// Reads a classifier, and refuses one of another embedder.
pub fn load(path: &Path, embedder: &PictureEmbedder) -> Result<Classifier, FileError> {
    let unreadable = |error: std::io::Error| FileError::Unreadable {
        path: path.into(),
        reason: error.to_string(),
    };
    let foreign = |reason: String| FileError::Foreign {
        path: path.into(),
        reason,
    };
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_BYTES {
        return Err(foreign("it is too large".into()));
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    let saved: Saved =
        serde_json::from_slice(&bytes).map_err(|error| foreign(error.to_string()))?;
    if saved.embedder != format!("{:016x}", embedder.fingerprint().0) {
        return Err(FileError::OtherEmbedder {
            path: path.into(),
            learnt: saved.embedder_file,
            given: name_of(embedder.model_file()),
        });
    }
    classifier(saved, embedder.dimension()).map_err(foreign)
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Checks everything that the use of a classifier relies on.
fn classifier(saved: Saved, dimension: usize) -> Result<Classifier, String> {
    if saved.format != FORMAT || saved.version != VERSION {
        return Err(format!(
            "format '{}' {}, not '{FORMAT}' {VERSION}",
            saved.format, saved.version
        ));
    }
    let names: BTreeSet<&str> = saved
        .people
        .iter()
        .map(|person| person.name.as_str())
        .collect();
    if saved.people.len() < 2 || names.len() < saved.people.len() {
        return Err("two people or more with names of their own are needed".into());
    }
    let Sigmoid { slope, offset } = saved.confidence;
    if !slope.is_finite() || !offset.is_finite() {
        return Err("the confidence is not finite".into());
    }
    for Person {
        name,
        bias,
        weights,
        ..
    } in &saved.people
    {
        if weights.len() != dimension || !bias.is_finite() || !weights.iter().all(|w| w.is_finite())
        {
            return Err(format!("'{name}' has no {dimension} finite weights"));
        }
    }
    let machine = |person: Person| Machine {
        name: person.name,
        pictures: person.pictures,
        weights: person.weights,
        bias: person.bias,
    };
    Ok(Classifier {
        confidence: saved.confidence,
        machines: saved.people.into_iter().map(machine).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documented() -> String {
        let text = include_str!("file.rs")
            .lines()
            .skip_while(|line| *line != "//! ```json")
            .skip(1);
        text.take_while(|line| *line != "//! ```")
            .map(|line| line.trim_start_matches("//! "))
            .collect()
    }

    #[test]
    fn the_documented_example_is_read() {
        let saved: Saved = serde_json::from_str(&documented()).unwrap();
        assert_eq!((saved.version, saved.people[0].weights.len()), (VERSION, 2));
        let error = classifier(saved, 2).unwrap_err();
        assert!(error.contains("two people"), "{error}");
    }

    #[test]
    fn what_would_break_later_is_refused() {
        let person =
            "{ \"name\": \"bert\", \"pictures\": 1, \"bias\": 0.0, \"weights\": [0.5, 0.5] }";
        let two = documented().replace("}]", &format!("}}, {person}]"));
        let check = |text: &str, dimension: usize| {
            classifier(serde_json::from_str(text).unwrap(), dimension)
        };
        assert_eq!(check(&two, 2).unwrap().machines[1].name, "bert");
        for (text, dimension, part) in [
            (two.clone(), 3, "3 finite weights"),
            (two.replace("bert", "anna"), 2, "names of their own"),
            (two.replace("\"version\": 1", "\"version\": 2"), 2, "format"),
            (two.replace("-0.5", "1e39"), 2, "weights"),
        ] {
            let error = check(&text, dimension).unwrap_err();
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
