//! `scripts/release.sh` finds what a release lacks, and changes nothing.

mod common;

use std::{fs, path::Path, process::Command};

fn git(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments);
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "nobody")
            .env(format!("GIT_{role}_EMAIL"), "nobody@localhost");
    }
    let done = command.output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {done:?}");
}

/// Whether the checks pass, and the last line.
fn checked(folder: &Path) -> (bool, String) {
    let done = Command::new("bash")
        .args(["scripts/release.sh", "--quick"])
        .current_dir(folder)
        .output()
        .unwrap();
    let text = [done.stdout, done.stderr].concat();
    (
        done.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn a_release_is_ready_or_says_what_it_lacks() {
    if Command::new("git").arg("--version").output().is_err() {
        eprintln!("skipped: git is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("scripts")).unwrap();
    for file in ["Cargo.toml", "Cargo.lock", "scripts/release.sh"] {
        fs::copy(common::root().join(file), folder.join(file)).unwrap();
    }
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("[workspace.package]").unwrap();
    let version = rest.split('"').nth(1).unwrap();
    let changes = |text: &str| fs::write(folder.join("CHANGELOG.md"), text).unwrap();
    let check = |passes: bool, part: &str| {
        let (is_ready, text) = checked(folder);
        assert!(is_ready == passes && text.contains(part), "{part}: {text}");
    };
    git(folder, &["init", "--quiet"]);
    changes("# Changelog\n\n## Unreleased\n\n- A\n");
    check(false, "has no section");
    changes(&format!("# Changelog\n\n## {version}\n\n- A\n"));
    check(false, "has no date");
    changes(&format!(
        "# Changelog\n\n## {version} - 2026-11-30\n\n## 0.0.1 - 2026-01-01\n\n- A\n"
    ));
    check(false, "is empty");
    changes(&format!(
        "# Changelog\n\n## {version} - 2026-11-30\n\n### Added\n\n- A\n"
    ));
    check(false, "is not clean");
    git(folder, &["add", "--all"]);
    git(folder, &["commit", "--quiet", "-m", "Release"]);
    check(true, "is ready");
    let tag = format!("v{version}");
    git(folder, &["tag", &tag]);
    check(false, "exists");
    git(folder, &["tag", "--delete", &tag]);
    let wrong = manifest.replacen(
        "path = \".\", version = \"",
        "path = \".\", version = \"9",
        1,
    );
    fs::write(folder.join("Cargo.toml"), wrong).unwrap();
    check(false, "path dependency gst-plugin-reid");
}
