//! A folder tree of people, `anna/1.jpg`, `anna/2.jpg`, `bert/…`, and its pictures as vectors.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use gstreid::core::embedding::Embedding;

use crate::pictures::{self, Entry, KINDS};

/// Blocks of this many are made of a person's pictures at least, so that some can be tested and others learnt.
const LEAST_BLOCKS: usize = 3;

/// People and their pictures, in the order of names and then of pictures.
#[derive(Default)]
pub struct Crowd {
    /// What they are called.
    pub names: Vec<String>,
    /// The person of each picture, by its place in `names`.
    pub classes: Vec<usize>,
    /// The pictures' vectors.
    pub vectors: Vec<Embedding>,
}

impl Crowd {
    /// Adds a picture of a person.
    pub fn add(&mut self, name: &str, vector: Embedding) {
        // Pictures come sorted by person: look at the last one first.
        let class = match self.names.iter().rposition(|known| known == name) {
            Some(class) => class,
            None => {
                self.names.push(name.into());
                self.names.len() - 1
            }
        };
        self.classes.push(class);
        self.vectors.push(vector);
    }

    /// Pictures of each person.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.names.len()];
        self.classes.iter().for_each(|&class| counts[class] += 1);
        counts
    }

    /// Says on stderr who has a single picture.
    pub fn tell_lonely(&self) {
        let counts = self.counts();
        let lonely: Vec<&str> = self
            .names
            .iter()
            .zip(&counts)
            .filter(|(_, count)| **count == 1)
            .map(|(name, _)| name.as_str())
            .collect();
        if !lonely.is_empty() {
            eprintln!(
                "reidctl: only one picture of {}: expect little of what is learnt from it, add more",
                shown(&lonely)
            );
        }
    }
}

/// Up to ten names.
fn shown(names: &[&str]) -> String {
    const SHOWN: usize = 10;
    let more = names.len().saturating_sub(SHOWN);
    let list = names
        .iter()
        .take(SHOWN)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    if more > 0 {
        format!("{list} and {more} more")
    } else {
        list
    }
}

/// The pictures of a tree that lie in a person's folder, by person and then in the order in which people would count
/// them: `frame_2` before `frame_10`. Refuses a tree in which two folders have the same name.
pub fn list(path: &Path) -> Result<Vec<Entry>, String> {
    let mut entries = pictures::read_all(path)?;
    entries.retain(|entry| entry.is_picture() && !entry.folder().is_empty());
    if entries.is_empty() {
        return Err(format!(
            "{} holds no pictures ({KINDS}) in folders: a folder for each person is needed, named after the person",
            path.display()
        ));
    }
    let mut places: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for entry in &entries {
        let place = entry.name.rsplit_once('/').map_or("", |(place, _)| place);
        places
            .entry(entry.folder().to_lowercase())
            .or_default()
            .insert(place);
    }
    if let Some(same) = places.values().find(|same| same.len() > 1) {
        let same: Vec<&str> = same.iter().copied().collect();
        return Err(format!(
            "{}: the folders {} stand for one name: rename all but one, or put their pictures together",
            path.display(),
            same.join(" and ")
        ));
    }
    entries.sort_by_cached_key(|entry| (entry.folder().to_owned(), natural(entry.file_name())));
    Ok(entries)
}

/// Says on stderr which folders have given no picture.
pub fn tell_empty(path: &Path, crowd: &Crowd) {
    let Ok(items) = fs::read_dir(path) else {
        return; // an archive, which holds no empty folders
    };
    let folders = items.flatten().filter(|item| item.path().is_dir());
    let names: BTreeSet<String> = folders
        .map(|item| item.file_name().to_string_lossy().into_owned())
        .collect();
    let empty: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| {
            !crowd.names.iter().any(|known| known == name) && !holds_folders(&path.join(name))
        })
        .collect();
    if !empty.is_empty() {
        eprintln!("reidctl: no usable picture of {}: left out", shown(&empty));
    }
}

fn holds_folders(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|items| items.flatten().any(|item| item.path().is_dir()))
}

/// A name in parts that compare as people count: text, and numbers by their value.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text_len = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (text, after) = rest.split_at(text_len);
        let digits_len = after
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(after.len());
        let (digits, after) = after.split_at(digits_len);
        parts.push((text.to_owned(), digits.parse().unwrap_or(u64::MAX)));
        rest = after;
    }
    parts
}

/// Those to learn and those to test: of every person each third block of `block` consecutive pictures is tested. Of people
/// with fewer pictures the blocks are shorter; a single picture is learnt.
pub fn split(crowd: Crowd, block: usize) -> [Crowd; 2] {
    let counts = crowd.counts();
    let mut seen = vec![0; counts.len()];
    let mut sides = [(); 2].map(|()| Crowd {
        names: crowd.names.clone(),
        ..Crowd::default()
    });
    for (class, vector) in crowd.classes.into_iter().zip(crowd.vectors) {
        let side = &mut sides[usize::from(is_tested(seen[class], counts[class], block))];
        side.classes.push(class);
        side.vectors.push(vector);
        seen[class] += 1;
    }
    sides
}

/// Whether picture number `number` of `count` is tested.
fn is_tested(number: usize, count: usize, block: usize) -> bool {
    match count {
        0 | 1 => false,
        2 => number == 1,
        _ => {
            let block = block.min(count / LEAST_BLOCKS);
            (number / block) % LEAST_BLOCKS == 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers() {
        let mut names = [
            "frame_10.jpg",
            "frame_2.jpg",
            "frame_1b.jpg",
            "a.jpg",
            "frame_1.jpg",
        ];
        names.sort_by_key(|name| natural(name));
        assert_eq!(
            names,
            [
                "a.jpg",
                "frame_1.jpg",
                "frame_1b.jpg",
                "frame_2.jpg",
                "frame_10.jpg"
            ]
        );
    }

    #[test]
    fn whole_blocks_are_tested_and_everybody_is_learnt() {
        let tested = |count: usize, block: usize| {
            (0..count)
                .filter(|&i| is_tested(i, count, block))
                .collect::<Vec<_>>()
        };
        assert!(tested(1, 25).is_empty());
        assert_eq!(tested(2, 25), [1]);
        assert_eq!(tested(3, 25), [1]);
        assert_eq!(tested(9, 25), [3, 4, 5]);
        assert_eq!(tested(12, 2), [2, 3, 8, 9]);
        assert_eq!(tested(100, 25), (25..50).collect::<Vec<_>>());
    }

    #[test]
    fn a_tree_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        put("loose.jpg");
        assert!(
            list(folder.path())
                .err()
                .unwrap()
                .contains("a folder for each person")
        );
        put("anna/10.jpg");
        put("anna/9.jpg");
        put("bert/1.png");
        let names: Vec<String> = list(folder.path())
            .unwrap()
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        assert_eq!(names, ["anna/9.jpg", "anna/10.jpg", "bert/1.png"]);
        put("more/Anna/1.jpg");
        let error = list(folder.path()).err().unwrap();
        assert!(error.contains("anna and more/Anna"), "{error}");
    }
}
