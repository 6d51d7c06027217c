//! `reidctl report`: a table of identities out of JSON lines.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
};

use serde_json::Value;

use crate::Outcome;

#[derive(clap::Args)]
pub struct Arguments {
    /// Files written by `reidpublish format=json-lines`, one camera or several each.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Also write the lines of all files into this one, in the order of their time.
    #[arg(long, value_name = "FILE")]
    merged: Option<PathBuf>,
    /// List only identities of at least so many frames; the others are counted. Passing boxes that are no person, or half
    /// of one, have few.
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_frames: u64,
}

/// What is known of one identity.
#[derive(Default)]
struct Seen {
    cameras: BTreeSet<String>,
    frames: u64,
    first_ns: u64,
    last_ns: u64,
}

/// One line of a file: its time and text.
struct Line {
    time_ns: u64,
    text: String,
    value: Value,
}

/// Reads the files, prints the table, writes the merged file.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    let mut lines = Vec::new();
    for file in &arguments.files {
        read(file, &mut lines)?;
    }
    lines.sort_by_key(|line| line.time_ns);
    if let Some(path) = &arguments.merged {
        write(path, &lines)
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    }
    print_table(&collect(&lines), arguments.min_frames, out)?;
    Ok(ExitCode::SUCCESS)
}

fn read(path: &PathBuf, lines: &mut Vec<Line>) -> Result<(), String> {
    let file =
        File::open(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    for (i, text) in BufReader::new(file).lines().enumerate() {
        let place = || format!("{}, line {}", path.display(), i + 1);
        let text = text.map_err(|error| format!("{}: {error}", place()))?;
        if text.trim().is_empty() {
            continue;
        }
        let value: Value = serde_json::from_str(&text)
            .map_err(|error| format!("{}: not JSON: {error}", place()))?;
        let time_ns = value["timestamp"].as_u64().unwrap_or(0);
        lines.push(Line {
            time_ns,
            text,
            value,
        });
    }
    Ok(())
}

fn write(path: &PathBuf, lines: &[Line]) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    for line in lines {
        writeln!(out, "{}", line.text)?;
    }
    out.flush()
}

fn collect(lines: &[Line]) -> BTreeMap<u64, Seen> {
    let mut all: BTreeMap<u64, Seen> = BTreeMap::new();
    for line in lines {
        for object in line.value["objects"].as_array().into_iter().flatten() {
            let Some(id) = object["reid"]["global_id"].as_u64() else {
                continue;
            };
            let seen = all.entry(id).or_insert_with(|| Seen {
                first_ns: line.time_ns,
                ..Seen::default()
            });
            seen.cameras
                .insert(object["reid"]["camera"].as_str().unwrap_or("?").to_owned());
            seen.frames += 1;
            seen.last_ns = line.time_ns;
        }
    }
    all
}

fn print_table(all: &BTreeMap<u64, Seen>, min_frames: u64, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<10} {:<28} {:>8} {:>12} {:>12}",
        "identity", "cameras", "frames", "first seen", "last seen"
    )?;
    let listed = || all.iter().filter(|(_, seen)| seen.frames >= min_frames);
    for (id, seen) in listed() {
        let cameras = seen.cameras.iter().cloned().collect::<Vec<_>>().join(", ");
        let (first, last) = (clock(seen.first_ns), clock(seen.last_ns));
        writeln!(
            out,
            "{:<10} {cameras:<28} {:>8} {first:>12} {last:>12}",
            format!("P{id}"),
            seen.frames
        )?;
    }
    let count = listed().count();
    let both = listed().filter(|(_, seen)| seen.cameras.len() > 1).count();
    write!(
        out,
        "{count} identities, {both} of them seen by more than one camera"
    )?;
    match all.len() - count {
        0 => writeln!(out),
        rest => writeln!(out, "; {rest} more of fewer than {min_frames} frames each"),
    }
}

/// Nanoseconds as minutes and seconds.
fn clock(ns: u64) -> String {
    let seconds = ns as f64 / 1e9;
    format!("{:02}:{:05.2}", (seconds / 60.0) as u64, seconds % 60.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passing_numbers_are_counted_and_not_listed() {
        let seen = |frames, cameras: &[&str]| Seen {
            cameras: cameras.iter().map(|c| (*c).to_owned()).collect(),
            frames,
            first_ns: 0,
            last_ns: 61_500_000_000,
        };
        let all = BTreeMap::from([
            (1, seen(40, &["a", "b"])),
            (2, seen(9, &["a"])),
            (3, seen(10, &["a"])),
        ]);
        let table = |min_frames| {
            let mut out = Vec::new();
            print_table(&all, min_frames, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let full = table(1);
        assert!(full.contains("P2 ") && full.contains("01:01.50"), "{full}");
        assert!(full.ends_with("\n3 identities, 1 of them seen by more than one camera\n"));
        let short = table(10);
        assert!(!short.contains("P2 ") && short.contains("P3 "), "{short}");
        assert!(short.ends_with(
            "2 identities, 1 of them seen by more than one camera; 1 more of fewer than 10 frames each\n"
        ));
    }
}
