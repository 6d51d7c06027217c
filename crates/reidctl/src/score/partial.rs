//! `reidctl score --partial`: identities with a partial ground truth, of ids as first assigned and as corrected later.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use gstreid::core::scoring::{
    self, Corrections, LabelledBox, Merge, PairScores, PartialScores, Published, PublishedFault,
    Role, SteadinessScores, View, Watched,
};
use serde::{Deserialize, Serialize};

use super::{
    arguments::Arguments,
    files::{CameraFiles, camera_files, read, read_text},
};
use crate::outcome::Outcome;

/// How the names of files end that hold JSON lines.
const LINES: &str = "jsonl";

#[derive(Serialize)]
struct Report {
    cameras: Vec<String>,
    as_given: PartialScores,
    /// Only of JSON lines, as is what follows.
    corrected: Option<PartialScores>,
    steadiness: Option<SteadinessScores>,
}

/// Reads both sides, prints the scores.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    let files = camera_files(arguments, LINES)?;
    let truths = read_all(&files, |camera| read(&camera.truth, Role::Truth, None))?;
    let lines = files.iter().filter(|camera| is_lines(&camera.result));
    let mut report = match lines.count() {
        0 => score_rows(&files, &truths)?,
        count if count == files.len() => score_lines(arguments, &files, &truths)?,
        _ => {
            return Err(
                "give all results as JSON lines (.jsonl) or all as rows of MOTChallenge".into(),
            );
        }
    };
    report.cameras = files.into_iter().map(|camera| camera.name).collect();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        print_table(&report, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn is_lines(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == LINES)
}

fn read_all<T>(
    files: &[CameraFiles],
    read: impl Fn(&CameraFiles) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    files.iter().map(read).collect()
}

fn score_rows(files: &[CameraFiles], truths: &[Vec<LabelledBox>]) -> Result<Report, String> {
    let results = read_all(files, |camera| read(&camera.result, Role::Corrected, None))?;
    Ok(Report {
        cameras: Vec::new(),
        as_given: scoring::partial(&views(truths, &results)),
        corrected: None,
        steadiness: None,
    })
}

fn score_lines(
    arguments: &Arguments,
    files: &[CameraFiles],
    truths: &[Vec<LabelledBox>],
) -> Result<Report, String> {
    let published = read_all(files, |camera| read_lines(&camera.result, arguments.rate))?;
    let merges = arguments.gallery.as_deref().map(read_gallery).transpose()?;
    let corrections = Corrections::new(&published, merges.unwrap_or_default());
    let given: Vec<_> = published.iter().map(Published::as_given).collect();
    let corrected: Vec<_> = published.iter().map(|p| corrections.apply(p)).collect();
    let given = views(truths, &given);
    let tracks: Vec<_> = given
        .iter()
        .zip(&published)
        .map(|(view, published)| tracks_of_people(*view, published))
        .collect();
    let watched: Vec<Watched<'_>> = published
        .iter()
        .zip(&corrected)
        .zip(&tracks)
        .map(|((published, corrected), tracks)| Watched {
            published,
            corrected,
            tracks,
        })
        .collect();
    Ok(Report {
        cameras: Vec::new(),
        as_given: scoring::partial(&given),
        corrected: Some(scoring::partial(&views(truths, &corrected))),
        steadiness: Some(scoring::steadiness(&watched)),
    })
}

fn read_lines(path: &Path, rate: Option<f64>) -> Result<Published, String> {
    Published::parse(&read_text(path)?, rate).map_err(|error| {
        let advice = match error.fault {
            PublishedFault::NoRate => ": give --rate",
            _ => "",
        };
        format!("{}, {error}{advice}", path.display())
    })
}

fn views<'a>(truths: &'a [Vec<LabelledBox>], results: &'a [Vec<LabelledBox>]) -> Vec<View<'a>> {
    let both = truths.iter().zip(results);
    both.map(|(truth, result)| View { truth, result }).collect()
}

/// Tracks of which a box lies on a true one.
fn tracks_of_people(view: View<'_>, published: &Published) -> BTreeSet<u32> {
    let matched = scoring::match_boxes(view);
    let boxes = matched.iter().filter_map(|m| published.boxes.get(m.result));
    boxes.map(|b| b.track).collect()
}

/// What `reidctl gallery list --json` prints, as far as it says who was merged into whom.
#[derive(Deserialize)]
struct GalleryList {
    people: Vec<KnownPerson>,
}

#[derive(Deserialize)]
struct KnownPerson {
    id: u32,
    #[serde(default)]
    previous_ids: Vec<u32>,
}

fn read_gallery(path: &Path) -> Result<Vec<Merge>, String> {
    let list: GalleryList = serde_json::from_str(&read_text(path)?).map_err(|error| {
        format!(
            "{} is not the output of `reidctl gallery list --json`: {error}",
            path.display()
        )
    })?;
    let merges = list.people.into_iter().flat_map(|person| {
        let into = person.id;
        let previous = person.previous_ids.into_iter();
        previous.map(move |from| Merge { from, into })
    });
    Ok(merges.collect())
}

fn print_table(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<9} {:>7} {:>6} {:>10} {:>6}  {:<13}  {:<13} {:>6} {:>7} {:>5}",
        "ids",
        "boxes",
        "found",
        "one-to-one",
        "IDF1",
        "across P/R",
        "within P/R",
        "people",
        "ids>=10",
        "ids"
    )?;
    print_row("as given", &report.as_given, out)?;
    if let Some(corrected) = &report.corrected {
        print_row("corrected", corrected, out)?;
    }
    if let Some(steadiness) = &report.steadiness {
        print_steadiness(steadiness, out)?;
    }
    Ok(())
}

fn print_row(name: &str, s: &PartialScores, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{name:<9} {:>7} {:>6.1} {:>10.1} {:>6.1}  {:<13}  {:<13} {:>6} {:>7} {:>5}",
        s.boxes,
        100.0 * s.found,
        100.0 * s.accuracy,
        100.0 * s.f1,
        pair(s.across),
        pair(s.within),
        s.people,
        s.lasting_ids,
        s.ids
    )
}

fn pair(scores: PairScores) -> String {
    let percent = |share: Option<f64>| share.map_or("-".into(), |s| format!("{:.1}", 100.0 * s));
    format!("{} / {}", percent(scores.precision), percent(scores.recall))
}

fn print_steadiness(s: &SteadinessScores, out: &mut dyn Write) -> io::Result<()> {
    let wait = |seconds: Option<f64>| {
        seconds.map_or("after the track's end".into(), |s| format!("{s:.2} s"))
    };
    writeln!(out)?;
    writeln!(
        out,
        "{} tracks of people: the id shown changes {:.2} times per track (in {} of them)",
        s.tracks, s.changes_per_track, s.changed_tracks
    )?;
    if s.tracks == 0 {
        return Ok(());
    }
    writeln!(
        out,
        "the final id is there after: median {}, 95 % {}; after the track's end for {} tracks",
        wait(s.final_after_median_s),
        wait(s.final_after_95_s),
        s.final_after_end
    )
}
