//! Data sets in the layout of Market-1501: `query/0001_c1….jpg` against `bounding_box_test/0001_c2….jpg`.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use gstreid::core::{
    embedding::Embedding,
    scoring::{Label, Person},
};

use crate::{
    embedding::{PictureEmbedder, progress},
    pictures::{self, Entry},
};

/// Names of folders that hold queries, and of those that hold the gallery.
pub const QUERY: [&str; 1] = ["query"];
/// See [`QUERY`].
pub const GALLERY: [&str; 3] = ["bounding_box_test", "gallery", "test"];

/// Embedded pictures and what they show.
#[derive(Default)]
pub struct Side<'a> {
    /// Whom each picture shows, and which camera took it.
    pub labels: Vec<Label>,
    /// Their vectors.
    pub vectors: Vec<Embedding>,
    /// Their files.
    pub entries: Vec<&'a Entry>,
}

/// The files of the data set: an archive, a folder, or those archives in a folder that are called after their role.
pub fn entries(data: &Path) -> Result<Vec<Entry>, String> {
    let archives = archives_in(data)?;
    if archives.is_empty() {
        return pictures::read_all(data);
    }
    let mut entries = Vec::new();
    for archive in archives {
        entries.extend(pictures::read_all(&archive)?);
    }
    Ok(entries)
}

fn archives_in(data: &Path) -> Result<Vec<PathBuf>, String> {
    if !data.is_dir() {
        return Ok(Vec::new());
    }
    let unreadable = |error| format!("{} cannot be read: {error}", data.display());
    let mut found = Vec::new();
    for item in fs::read_dir(data).map_err(unreadable)? {
        let path = item.map_err(unreadable)?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let has_role = QUERY.iter().chain(&GALLERY).any(|role| name.contains(role));
        if has_role && pictures::is_archive(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Embeds the labelled pictures of these folders.
pub fn embed<'a>(
    embedder: &mut PictureEmbedder,
    entries: &'a [Entry],
    folders: &[&str],
    what: &'static str,
    skipped: &mut Vec<String>,
) -> Result<Side<'a>, Box<dyn Error>> {
    let chosen: Vec<&Entry> = entries
        .iter()
        .filter(|entry| entry.is_picture() && folders.contains(&entry.folder()))
        .collect();
    let bar = progress(what, chosen.len());
    let mut side = Side::default();
    for entry in chosen {
        bar.inc(1);
        let Some(label) = label(entry.file_name()) else {
            skipped.push(format!(
                "{}: the name does not begin like 0001_c1",
                entry.name
            ));
            continue;
        };
        // Junk is in no ranking.
        if label.person == Person::Junk {
            continue;
        }
        match embedder.embed_entry(entry)? {
            Ok(vector) => {
                side.labels.push(label);
                side.vectors.push(vector);
                side.entries.push(entry);
            }
            Err(error) => skipped.push(format!("{}: {error}", entry.name)),
        }
    }
    bar.finish_and_clear();
    Ok(side)
}

/// Person and camera out of a name: `0002_c1s1_000451_03.jpg`, `-1_c3s2_…`.
fn label(name: &str) -> Option<Label> {
    let (person, rest) = name.split_once("_c")?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let camera = rest[..digits].parse().ok()?;
    let person = match person.parse::<i64>().ok()? {
        -1 => Person::Junk,
        0 => Person::Distractor,
        number => Person::Known(u32::try_from(number).ok()?),
    };
    Some(Label { person, camera })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_who_and_which_camera() {
        let known = |person, camera| {
            Some(Label {
                person: Person::Known(person),
                camera,
            })
        };
        let distractor = Some(Label {
            person: Person::Distractor,
            camera: 6,
        });
        let junk = Some(Label {
            person: Person::Junk,
            camera: 1,
        });
        for (name, expected) in [
            ("0002_c1s1_000451_03.jpg", known(2, 1)),
            ("1501_c12_07.png", known(1501, 12)),
            ("0000_c6s3_1.jpg", distractor),
            ("-1_c1s1_1.jpg", junk),
            ("Thumbs.db", None),
            ("12_cx.jpg", None),
            ("-7_c1.jpg", None),
        ] {
            assert_eq!(label(name), expected, "{name}");
        }
    }
}
