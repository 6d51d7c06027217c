//! `reidctl report`: a table of identities from JSON lines. Ids that were merged count as one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::Value;

use crate::outcome::Outcome;

#[derive(clap::Args)]
pub struct Arguments {
    /// Files written by `reidpublish format=json-lines`, of one or more cameras each.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Also write the lines of all files to this one, in order of time.
    #[arg(long, value_name = "FILE")]
    merged: Option<PathBuf>,
    /// List only identities with at least this many frames; the others are counted. False positives have few frames.
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
        if let Some(warning) = read(file, &mut lines)? {
            eprintln!("warning: {warning}");
        }
    }
    lines.sort_by_key(|line| line.time_ns);
    if let Some(path) = &arguments.merged {
        write(path, &lines)
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    }
    print_table(&collect(&lines), arguments.min_frames, out)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads the lines of a file. A last line that is cut (the writer was stopped, or still writes) is left out, and said.
fn read(path: &Path, lines: &mut Vec<Line>) -> Result<Option<String>, String> {
    let bytes =
        fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    parse(&bytes, lines)
        .map_err(|fault| format!("{}, {fault}", path.display()))
        .map(|warning| warning.map(|warning| format!("{}, {warning}", path.display())))
}

fn parse(bytes: &[u8], lines: &mut Vec<Line>) -> Result<Option<String>, String> {
    let before = lines.len();
    let numbered = bytes.split(|&byte| byte == b'\n').enumerate();
    let mut texts = numbered
        .filter(|(_, text)| !text.trim_ascii().is_empty())
        .peekable();
    while let Some((i, text)) = texts.next() {
        match line(text) {
            Ok(line) => lines.push(line),
            Err(fault) if texts.peek().is_none() && lines.len() > before => {
                return Ok(Some(format!(
                    "line {}: the last line is incomplete and left out ({fault})",
                    i + 1
                )));
            }
            Err(fault) => return Err(format!("line {}: not JSON: {fault}", i + 1)),
        }
    }
    Ok(None)
}

fn line(text: &[u8]) -> Result<Line, String> {
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(Line {
        time_ns: value["timestamp"].as_u64().unwrap_or(0),
        text: text.trim_end().to_owned(),
        value,
    })
}

fn write(path: &PathBuf, lines: &[Line]) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    for line in lines {
        writeln!(out, "{}", line.text)?;
    }
    out.flush()
}

/// Everybody who is in the lines, by the id that was theirs in the end.
fn collect(lines: &[Line]) -> BTreeMap<u64, Seen> {
    let (merged, corrected) = (merges(lines), corrections(lines));
    let mut all: BTreeMap<u64, Seen> = BTreeMap::new();
    for (line, reid) in identified(lines) {
        let Some(given) = reid["global_id"].as_u64() else {
            continue;
        };
        let id = corrected
            .get(&track(&line.value, reid))
            .copied()
            .unwrap_or(given);
        let seen = all.entry(survivor(&merged, id)).or_insert_with(|| Seen {
            first_ns: line.time_ns,
            ..Seen::default()
        });
        seen.cameras
            .insert(reid["camera"].as_str().unwrap_or("?").to_owned());
        seen.frames += 1;
        seen.last_ns = line.time_ns;
    }
    all
}

/// What is said of the identities in the lines, in their order.
fn identified(lines: &[Line]) -> impl Iterator<Item = (&Line, &Value)> {
    lines.iter().flat_map(|line| {
        let objects = line.value["objects"].as_array().into_iter().flatten();
        objects.map(move |object| (line, &object["reid"]))
    })
}

/// A track: the stream, the camera, the track's number.
type Track = (String, String, u64);

fn track(line: &Value, about: &Value) -> Track {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = about["track_id"].as_u64().unwrap_or(0);
    (text(&line["source"]), text(&about["camera"]), number)
}

/// The lines that say what became of identities: `event`, with its `from` and `into`.
fn changes<'a>(lines: &'a [Line], event: &'a str) -> impl Iterator<Item = (&'a Value, u64, u64)> {
    let lines = lines.iter().map(|line| &line.value);
    let lines = lines.filter(move |line| line["event"] == event);
    lines.filter_map(|line| Some((line, line["from"].as_u64()?, line["into"].as_u64()?)))
}

/// The id of each corrected track, from its beginning.
fn corrections(lines: &[Line]) -> BTreeMap<Track, u64> {
    let all = changes(lines, "corrected").map(|(line, _, into)| (track(line, line), into));
    all.collect()
}

/// Which id each merged one became, by the lines that say so and by what later ones say of earlier ids.
fn merges(lines: &[Line]) -> BTreeMap<u64, u64> {
    let mut merged: BTreeMap<u64, u64> = changes(lines, "merged")
        .filter(|(_, from, into)| from != into)
        .map(|(_, from, into)| (from, into))
        .collect();
    for (_, reid) in identified(lines) {
        let previous = reid["previous_ids"].as_array().into_iter().flatten();
        let previous = previous.filter_map(Value::as_u64);
        if let Some(id) = reid["global_id"].as_u64() {
            merged.extend(previous.filter(|&old| old != id).map(|old| (old, id)));
        }
    }
    merged
}

/// The id that `id` is in the end.
fn survivor(merged: &BTreeMap<u64, u64>, id: u64) -> u64 {
    let mut last = id;
    // Lines of several galleries may contradict one another: no longer than there are merges.
    for _ in 0..merged.len() {
        match merged.get(&last) {
            Some(&next) => last = next,
            None => break,
        }
    }
    last
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

    fn lines(objects: &[&str]) -> Vec<Line> {
        objects
            .iter()
            .enumerate()
            .map(|(i, reid)| {
                let text = format!(r#"{{"timestamp":{i},"objects":[{{"reid":{reid}}}]}}"#);
                line(text.as_bytes()).unwrap()
            })
            .collect()
    }

    #[test]
    fn whoever_was_merged_is_counted_once() {
        let all = collect(&lines(&[
            r#"{"global_id":1,"camera":"a","previous_ids":[]}"#,
            r#"{"global_id":3,"camera":"b","previous_ids":[]}"#,
            r#"{"global_id":4,"camera":"c","previous_ids":[]}"#,
            r#"{"global_id":3,"camera":"b","previous_ids":[4]}"#,
            r#"{"global_id":1,"camera":"b","previous_ids":[3]}"#,
            r#"{"global_id":2,"camera":"a","previous_ids":[]}"#,
        ]));
        assert_eq!(all.keys().copied().collect::<Vec<_>>(), [1, 2]);
        let one = &all[&1];
        assert_eq!((one.frames, one.first_ns, one.last_ns), (5, 0, 4));
        assert_eq!(one.cameras.len(), 3);
        // Of two galleries that contradict one another.
        let odd = collect(&lines(&[
            r#"{"global_id":1,"previous_ids":[2]}"#,
            r#"{"global_id":2,"previous_ids":[1]}"#,
        ]));
        assert_eq!(odd.values().map(|seen| seen.frames).sum::<u64>(), 2);
    }

    #[test]
    fn changes_that_come_as_lines_of_their_own_count() {
        let reid = |id, track| {
            format!(
                r#"{{"source":"s","timestamp":1,"objects":[{{"reid":{{"global_id":{id},"track_id":{track},"camera":"a"}}}}]}}"#
            )
        };
        let texts = [
            reid(1, 1),
            reid(2, 2),
            reid(3, 3),
            r#"{"event":"merged","from":2,"into":1,"source":"s","timestamp":2}"#.to_owned(),
            // The third track was the fifth person all the time, who is the fourth.
            r#"{"event":"corrected","from":3,"into":5,"camera":"a","track_id":3,"source":"s","timestamp":3}"#.to_owned(),
            r#"{"event":"merged","from":5,"into":4,"source":"s","timestamp":4}"#.to_owned(),
            // Another stream's third track is another.
            reid(6, 7).replace("\"s\"", "\"t\""),
        ];
        let lines: Vec<Line> = texts
            .iter()
            .map(|text| line(text.as_bytes()).unwrap())
            .collect();
        let all = collect(&lines);
        let frames: Vec<(u64, u64)> = all.iter().map(|(id, seen)| (*id, seen.frames)).collect();
        assert_eq!(frames, [(1, 2), (4, 1), (6, 1)]);
    }

    #[test]
    fn a_cut_last_line_is_left_out_and_said() {
        let good = r#"{"timestamp":1,"objects":[]}"#;
        let of = |bytes: &[u8]| {
            let mut lines = Vec::new();
            let warning = parse(bytes, &mut lines);
            (lines.len(), warning)
        };
        assert_eq!(of(format!("{good}\n{good}\n").as_bytes()), (2, Ok(None)));
        let half = &good[..20];
        // Cut within a letter of two bytes, too.
        for end in [half.as_bytes(), b"{\"a\":\"\xc3"] {
            let bytes = [format!("{good}\n").as_bytes(), end].concat();
            let (count, warning) = of(&bytes);
            let warning = warning.unwrap().unwrap();
            assert!(count == 1 && warning.starts_with("line 2: "), "{warning}");
        }
        for bytes in [format!("{half}\n{good}\n"), half.to_owned()] {
            let error = of(bytes.as_bytes()).1.unwrap_err();
            assert!(error.starts_with("line 1: not JSON"), "{error}");
        }
    }

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
