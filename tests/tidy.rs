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

/// The names in a package's tables of dependencies, as its code writes them.
fn dependencies(manifest: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(manifest)).unwrap();
    let mut names = Vec::new();
    let mut is_listed = false;
    for line in text.lines() {
        if line.starts_with('[') {
            is_listed = line == "[dependencies]";
        } else if let Some((name, _)) = line.split_once(['.', ' ', '=']).filter(|_| is_listed)
            && !name.starts_with('#')
        {
            names.push(name.replace('-', "_"));
        }
    }
    assert!(!names.is_empty(), "{manifest} has no dependencies");
    names
}

#[test]
fn dependencies_point_one_way() {
    let science = dependencies("crates/reid-core/Cargo.toml");
    let plain = [
        "ab_glyph",
        "half",
        "multiversion",
        "serde",
        "serde_json",
        "thiserror",
        "toml",
    ];
    assert_eq!(
        science, plain,
        "reid-core depends on what neither touches files, clocks or threads nor knows pipelines"
    );
    let plugin = dependencies("Cargo.toml");
    assert!(plugin.contains(&"reid_core".into()), "{plugin:?}");
    assert!(!plugin.contains(&"reidctl".into()), "{plugin:?}");
    let program = dependencies("crates/reidctl/Cargo.toml");
    assert!(program.contains(&"gst_plugin_reid".into()), "{program:?}");
}

#[test]
fn the_plugins_parts_know_each_other_one_way() {
    let layers = [
        ("src/media", &["elements::", "inference::", "store::"][..]),
        ("src/inference", &["elements::", "media::", "store::"]),
        ("src/store", &["elements::", "media::"]),
    ];
    for (folder, above) in layers {
        forbid(
            folder,
            above,
            "elements know media, inference and store, and not the other way round",
        );
    }
    forbid(
        "src/store/sqlite",
        &["postgres::", "archive::", "registry::", "persistence::"],
        "a kind of store knows neither another kind nor who uses it",
    );
    forbid(
        "src/store/postgres",
        &[
            "sqlite::",
            "super::archive::",
            "registry::",
            "persistence::",
        ],
        "a kind of store knows neither another kind nor who uses it",
    );
}

#[test]
fn the_science_knows_no_file_clock_or_thread() {
    let words = [
        "std::fs",
        "std::env",
        "std::net",
        "std::process",
        "std::thread",
        "std::time::Instant",
        "SystemTime",
        "Mutex",
        "RwLock",
        "LazyLock",
        "OnceLock",
        "thread_local!",
        "println!",
    ];
    forbid(
        "crates/reid-core/src",
        &words,
        "reid-core takes time and ids as arguments and touches nothing else",
    );
}

#[test]
fn only_media_is_unsafe() {
    // A setting of the allocator, which no kept crate wraps.
    const MEMORY: &str = "crates/reidctl/src/run/memory.rs";
    let places = ["src/elements", "src/inference", "src/store", "crates"];
    for source in places.into_iter().flat_map(sources) {
        let is_unsafe = code(&source.text).any(|(_, line)| has_word(line, "unsafe "));
        assert!(
            !is_unsafe || source.path == MEMORY,
            "{}: unsafe code belongs into src/media",
            source.path
        );
    }
}

#[test]
fn nothing_is_left_unfinished() {
    for folder in ["src", "crates"] {
        forbid(
            folder,
            &["todo!(", "unimplemented!(", "dbg!("],
            "unfinished code",
        );
    }
}

#[test]
fn every_module_says_what_it_is() {
    for source in ["src", "crates", "tests", "examples"]
        .into_iter()
        .flat_map(sources)
    {
        assert!(
            source.text.starts_with("//! "),
            "{} does not open with what it is and why",
            source.path
        );
    }
}

#[test]
fn files_have_one_subject() {
    const LINES: usize = 500;
    /// How a longer file says why at its top.
    const REASON: &str = "//! Long because ";
    let mut long = Vec::new();
    for source in ["src", "crates"].into_iter().flat_map(sources) {
        let lines = source.text.lines().count();
        let mut top = source.text.lines().take_while(|l| l.starts_with("//!"));
        let is_explained = top.any(|line| line.starts_with(REASON));
        if lines > LINES && !is_explained {
            long.push(format!("{}: {lines} lines", source.path));
        }
    }
    assert!(
        long.is_empty(),
        "files longer than {LINES} lines that do not say why (\"{REASON}…\"):\n{}",
        long.join("\n")
    );
}

#[test]
fn functions_fit_a_screen() {
    const LINES: usize = 90;
    let mut long = Vec::new();
    for source in ["src", "crates"].into_iter().flat_map(sources) {
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
        "crates",
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

#[test]
fn debug_categories_are_documented() {
    let mut names = Vec::new();
    for source in sources("src") {
        // Categories of tests are nobody's.
        let text: Vec<&str> = code(&source.text).map(|(_, line)| line).collect();
        for made in text.join(" ").split("DebugCategory::new(").skip(1) {
            names.push(made.split('"').nth(1).unwrap().to_owned());
        }
    }
    assert!(names.len() > 5, "{names:?}");
    let text = fs::read_to_string(root().join("docs/messages.md")).unwrap();
    for name in names {
        assert!(
            name.starts_with("reid") || name == "yolodetect",
            "{name} has no prefix"
        );
        let row = format!("| `{name}` |");
        assert!(text.contains(&row), "docs/messages.md does not list {name}");
    }
}
