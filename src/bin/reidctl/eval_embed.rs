//! Embedders by the Market-1501 protocol.

use std::{
    error::Error,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use gstreid::core::{
    embedding::{Embedding, dot},
    scoring::{Label, Person, RetrievalScores, retrieval},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    embedding::{PictureEmbedder, progress, tell_skipped},
    eval::Arguments,
    pictures::{self, Entry},
};

/// Names of folders that hold queries, and of those that hold the gallery.
const QUERY: [&str; 1] = ["query"];
const GALLERY: [&str; 3] = ["bounding_box_test", "gallery", "test"];

/// Embedded pictures and what they show.
#[derive(Default)]
struct Side {
    labels: Vec<Label>,
    vectors: Vec<Embedding>,
}

/// Measures the embedder and prints.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let entries = entries(&arguments.data)?;
    let mut embedder = PictureEmbedder::open(&arguments.model)?;
    let mut skipped = Vec::new();
    let query = embed(&mut embedder, &entries, &QUERY, "query", &mut skipped)?;
    let gallery = embed(&mut embedder, &entries, &GALLERY, "gallery", &mut skipped)?;
    tell_skipped(&skipped);
    for (side, names) in [(&query, &QUERY[..]), (&gallery, &GALLERY[..])] {
        if side.labels.is_empty() {
            return Err(format!(
                "{} holds no labelled pictures (`0001_c1…jpg`) in a folder called {}",
                arguments.data.display(),
                names.join(" or ")
            )
            .into());
        }
    }
    let (scores, cosines) = measure(&query, &gallery);
    print(arguments, &embedder, &scores, &cosines, skipped.len(), out)
}

/// The files of the data set: an archive, a folder, or those archives in a folder that are called after their role.
fn entries(data: &Path) -> Result<Vec<Entry>, String> {
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

fn embed(
    embedder: &mut PictureEmbedder,
    entries: &[Entry],
    folders: &[&str],
    what: &'static str,
    skipped: &mut Vec<String>,
) -> Result<Side, Box<dyn Error>> {
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
        let vector = match entry.picture() {
            Ok(picture) => embedder.embed(&picture)?,
            Err(error) => Err(error),
        };
        match vector {
            Ok(vector) => {
                side.labels.push(label);
                side.vectors.push(vector);
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

/// How cosines are spread.
#[derive(Clone, Serialize)]
struct Histogram {
    /// Counts from cosine -1 to 1.
    counts: Vec<u64>,
}

/// Bins of a histogram: steps of 0.01.
const BINS: usize = 200;

impl Histogram {
    fn new() -> Self {
        Self {
            counts: vec![0; BINS],
        }
    }

    fn add(&mut self, cosine: f32) {
        let bin = ((cosine + 1.0) / 2.0 * BINS as f32) as usize;
        self.counts[bin.min(BINS - 1)] += 1;
    }

    /// The cosine below which the part `share` of all lies, to the middle of a bin.
    fn quantile(&self, share: f64) -> f64 {
        let all: u64 = self.counts.iter().sum();
        let mut sum = 0;
        let bin = self.counts.iter().position(|count| {
            sum += count;
            sum as f64 >= share * all as f64
        });
        (bin.unwrap_or(0) as f64 + 0.5) * 2.0 / BINS as f64 - 1.0
    }
}

/// Cosines of the pairs that are ranked.
struct Cosines {
    same: Histogram,
    other: Histogram,
}

fn measure(query: &Side, gallery: &Side) -> (RetrievalScores, Cosines) {
    let mut cosines = Cosines {
        same: Histogram::new(),
        other: Histogram::new(),
    };
    let bar = progress("ranking", query.labels.len());
    let scores = retrieval(&query.labels, &gallery.labels, |number, row| {
        let (label, vector) = (query.labels[number], query.vectors[number].values());
        for ((value, other), of) in row.iter_mut().zip(&gallery.vectors).zip(&gallery.labels) {
            *value = dot(vector, other.values());
            if of.person != label.person {
                cosines.other.add(*value);
            } else if of.camera != label.camera {
                cosines.same.add(*value);
            }
        }
        bar.inc(1);
    });
    bar.finish_and_clear();
    (scores, cosines)
}

fn print(
    arguments: &Arguments,
    embedder: &PictureEmbedder,
    scores: &RetrievalScores,
    cosines: &Cosines,
    skipped: usize,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error>> {
    let (model, ms) = (embedder.model(), embedder.mean_ms());
    if arguments.json {
        let value = json!({
            "model": model,
            "dimension": embedder.dimension(),
            "scores": scores,
            "skipped": skipped,
            "ms_per_crop": ms,
            "cosines_same_person": cosines.same.counts,
            "cosines_other_person": cosines.other.counts,
        });
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?);
    }
    writeln!(
        out,
        "{model}: {} numbers, {ms:.2} ms a crop",
        embedder.dimension()
    )?;
    writeln!(
        out,
        "mAP {:.2}  rank-1 {:.2}  rank-5 {:.2}  rank-10 {:.2}  ({} queries)",
        100.0 * scores.mean_ap,
        100.0 * scores.rank1,
        100.0 * scores.rank5,
        100.0 * scores.rank10,
        scores.queries
    )?;
    for (name, h) in [
        ("the same person", &cosines.same),
        ("other people", &cosines.other),
    ] {
        writeln!(
            out,
            "cosine of {name}: 5 % below {:.2}, half below {:.2}, 95 % below {:.2}",
            h.quantile(0.05),
            h.quantile(0.5),
            h.quantile(0.95)
        )?;
    }
    Ok(())
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

    #[test]
    fn quantiles_of_a_histogram() {
        let mut h = Histogram::new();
        (0..100).for_each(|i| h.add(i as f32 / 100.0 + 0.001));
        assert!(
            (h.quantile(0.5) - 0.495).abs() < 0.011,
            "{}",
            h.quantile(0.5)
        );
        assert!((h.quantile(0.95) - 0.945).abs() < 0.011);
        h.add(1.0);
        h.add(-1.0);
    }
}
