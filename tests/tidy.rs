//! The rules of the map in ARCHITECTURE.md, enforced.

mod common;

use std::{fs, path::Path};

use common::root;

/// A source file and its text.
struct Source {
    path: String,
    text: String,
}

fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "{folder} holds no sources");
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if entry.is_dir() {
            collect(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let path = entry.strip_prefix(root()).unwrap().display().to_string();
            found.push(Source {
                path,
                text: fs::read_to_string(&entry).unwrap(),
            });
        }
    }
}

/// Lines of code: without comments, and without the tests at the end of the file.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .map(|(i, line)| (i + 1, line.split("//").next().unwrap_or_default()))
}

/// True when `word` stands in the line and does not begin in the middle of another word (`ort::` in `sort::`).
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
    })
}

fn forbid(folder: &str, words: &[&str], reason: &str) {
    let mut broken = Vec::new();
    for source in sources(folder) {
        for (number, line) in code(&source.text) {
            if let Some(word) = words.iter().find(|word| has_word(line, word)) {
                broken.push(format!("{}:{number}: {word}", source.path));
            }
        }
    }
    assert!(broken.is_empty(), "{reason}:\n{}", broken.join("\n"));
}

#[test]
fn the_science_knows_no_pipeline_file_clock_or_thread() {
    let words = [
        "gst::",
        "gst_video::",
        "gst_base::",
        "glib::",
        "ort::",
        "std::fs",
        "std::thread",
        "std::time::Instant",
        "SystemTime",
        "Mutex",
        "RwLock",
        "LazyLock",
        "OnceLock",
        "OnceCell",
        "thread_local!",
        "println!",
    ];
    forbid(
        "src/core",
        &words,
        "src/core takes time and ids as arguments and touches nothing else",
    );
}

#[test]
fn only_media_is_unsafe() {
    for folder in [
        "src/core",
        "src/elements",
        "src/inference",
        "src/store",
        "src/bin",
    ] {
        forbid(folder, &["unsafe "], "unsafe code belongs into src/media");
    }
}

#[test]
fn nothing_is_left_unfinished() {
    forbid(
        "src",
        &["todo!(", "unimplemented!(", "dbg!("],
        "unfinished code",
    );
}

#[test]
fn every_module_says_what_it_is() {
    for source in sources("src")
        .into_iter()
        .chain(sources("tests"))
        .chain(sources("examples"))
    {
        assert!(
            source.text.starts_with("//! "),
            "{} does not open with what it is and why",
            source.path
        );
    }
}

#[test]
fn functions_fit_a_screen() {
    const LINES: usize = 90;
    let mut long = Vec::new();
    for source in sources("src") {
        let mut start: Option<(usize, usize, String)> = None;
        for (number, line) in code(&source.text) {
            let indent = line.len() - line.trim_start().len();
            let begins = [
                "fn ",
                "pub fn ",
                "pub(crate) fn ",
                "pub(super) fn ",
                "unsafe extern",
            ];
            if begins
                .iter()
                .any(|word| line.trim_start().starts_with(word))
                && line.trim_end().ends_with('{')
            {
                start = Some((number, indent, line.trim().to_owned()));
                continue;
            }
            let is_end = line.trim_end() == format!("{}}}", " ".repeat(indent));
            let ended = start.take_if(|(_, depth, _)| is_end && *depth == indent);
            let Some((from, _, name)) = ended else {
                continue;
            };
            // Property tables are data.
            let is_table = name.contains("fn properties") || name.contains("fn signals");
            if number - from > LINES && !is_table {
                long.push(format!(
                    "{}:{from}: {} lines: {name}",
                    source.path,
                    number - from
                ));
            }
        }
    }
    assert!(
        long.is_empty(),
        "functions longer than {LINES} lines:\n{}",
        long.join("\n")
    );
}

#[test]
fn no_path_of_a_developer_is_left() {
    for folder in [
        "src",
        "tests",
        "pipelines",
        "scripts",
        "examples",
        "benches",
        "models/training",
    ] {
        let output = std::process::Command::new("grep")
            .args([
                "-rnE",
                "--include=*.rs",
                "--include=*.py",
                "--include=*.sh",
                "--include=*.toml",
                "--exclude-dir=.venv",
            ])
            .arg(r#"["' =(](/home/|/root/|/work/)[A-Za-z0-9_]"#)
            .arg(root().join(folder))
            .output()
            .unwrap();
        let found = String::from_utf8_lossy(&output.stdout).into_owned();
        let found: Vec<_> = found
            .lines()
            .filter(|line| !line.contains("tests/tidy.rs"))
            .collect();
        assert!(found.is_empty(), "absolute paths:\n{}", found.join("\n"));
    }
}
