//! `reidctl score --partial` on made-up cameras: the figures are those of the project's reference programs, which are not
//! part of it (`ident_score.py` over what `fold_json.py` makes of the JSON lines).
//!
//! With `GST_REID_SCORE_DUMP` naming a folder the files stay there, in `partial/`, for those programs:
//!
//! ```text
//! fold_json.py folded 25 partial/people.json partial/{door,hall,yard}.jsonl
//! ident_score.py --gt partial/{door,hall,yard}.gt.txt --res folded/{door,hall,yard}.given.txt     # or .final.txt
//! ```

#[path = "../../../tests/common/mod.rs"]
mod common;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use common::{run, run_well, text};
use serde_json::{Value, json};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);
const CAMERAS: [&str; 3] = ["door", "hall", "yard"];
const PEOPLE: u32 = 8;
const FRAMES: u32 = 200;

/// A number that looks random and is always the same (splitmix64, Steele et al. 2014).
fn hash(parts: [u32; 4]) -> u64 {
    parts.iter().fold(0, |state: u64, part| {
        let mut z = state
            .wrapping_add(u64::from(*part))
            .wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// Left, top, width and height of a person who walks through the picture, px; `None` while they are not in it.
fn place(camera: u32, person: u32, frame: u32) -> Option<[f64; 4]> {
    let since = frame.checked_sub(1 + 9 * person + 17 * camera)?;
    let way = f64::from(since) * (1.0 + 0.3 * f64::from(person % 4));
    let absent = (camera + person) % 5 == 4;
    // Everybody has another size, so that no two ways of matching boxes are equally good.
    let (x, y) = (10.0 + way, 20.0 + 25.0 * f64::from(person % 3));
    let (w, h) = (27.0 + f64::from(person), 77.0 + 2.0 * f64::from(person));
    (since < 110 && !absent).then_some([x, y, w, h])
}

/// True boxes of every fifth frame, an eighth of them left out.
fn truth(camera: u32) -> String {
    let mut rows = String::new();
    for frame in (1..=FRAMES).step_by(5) {
        for person in 0..PEOPLE {
            let known = !hash([camera, person, frame, 0]).is_multiple_of(8);
            if let Some([x, y, w, h]) = place(camera, person, frame).filter(|_| known) {
                writeln!(rows, "{frame},{},{x:.1},{y:.1},{w},{h},1,1,1", person + 1).unwrap();
            }
        }
    }
    rows
}

/// Who somebody is taken for: a person's own id everywhere, or one of this camera's; at first perhaps one that is merged
/// into it later, and in one track of six that of somebody else.
fn identity(camera: u32, person: u32, track: u32, age: u32) -> (u32, Vec<u32>) {
    let other = hash([camera, track, 0, 1]).is_multiple_of(6);
    let who = if other { (person + 3) % PEOPLE } else { person };
    let own = if hash([camera, who, 0, 2]).is_multiple_of(3) {
        100 + 20 * camera + who
    } else {
        1 + who
    };
    let first = 300 + 100 * camera + track;
    match hash([camera, track, 0, 3]) % 3 {
        0 if age < 12 => (first, vec![]),
        0 => (own, vec![first]),
        // Never announced in a line: the gallery knows.
        1 if age < 8 || hash([camera, track, 0, 4]).is_multiple_of(2) => (first, vec![]),
        _ => (own, vec![]),
    }
}

/// What was found in a frame: boxes moved by up to a seventh of their size, a tenth missing, some false ones.
fn objects(camera: u32, frame: u32) -> Vec<Value> {
    let mut objects = Vec::new();
    for person in 0..PEOPLE {
        let Some([x, y, w, h]) = place(camera, person, frame) else {
            continue;
        };
        let noise = hash([camera, person, frame, 5]);
        if noise.is_multiple_of(10) {
            continue;
        }
        let age = frame - 1 - 9 * person - 17 * camera;
        let part = hash([camera, person, 0, 6]).is_multiple_of(3) && age >= 60;
        let (track, age) = if part {
            (2 * person + 2, age - 60)
        } else {
            (2 * person + 1, age)
        };
        let step = |bits: u32, size: f64| (((noise >> bits) % 17) as f64 / 8.0 - 1.0) * size / 7.0;
        let (id, previous) = identity(camera, person, track, age);
        let shift = (step(8, w), step(16, h));
        objects.push(object(
            camera,
            [x + shift.0, y + shift.1, w + step(24, w), h],
            track,
            (id, previous),
        ));
        if noise % 9 == 1 {
            let beside = [x + 1.3 * w, y, w, h];
            objects.push(object(camera, beside, 50 + person, (900 + person, vec![])));
        }
    }
    objects
}

fn object(camera: u32, rect: [f64; 4], track: u32, (id, previous): (u32, Vec<u32>)) -> Value {
    let [x, y, w, h] = rect.map(f64::round);
    json!({ "x": x, "y": y, "w": w, "h": h, "id": id, "reid": {
        "global_id": id, "track_id": track, "camera": CAMERAS[camera as usize], "previous_ids": previous } })
}

fn lines(camera: u32) -> String {
    let mut lines = String::new();
    for frame in 1..=FRAMES {
        let objects = objects(camera, frame);
        let time = u64::from(frame - 1) * 40_000_000;
        if !objects.is_empty() {
            writeln!(
                lines,
                "{}",
                json!({ "timestamp": time, "objects": objects })
            )
            .unwrap();
        }
    }
    lines
}

/// Every person's numbers of the gallery's own, each merged into the person's.
fn gallery() -> Value {
    let person = |person: u32| {
        let mut previous: Vec<u32> = Vec::new();
        for camera in 0..CAMERAS.len() as u32 {
            if !hash([camera, person, 0, 7]).is_multiple_of(3) {
                previous.push(100 + 20 * camera + person);
            }
            previous.push(300 + 100 * camera + 2 * person + 1);
        }
        json!({ "id": 1 + person, "previous_ids": previous })
    };
    json!({ "people": (0..PEOPLE).map(person).collect::<Vec<_>>() })
}

/// The cameras' files.
struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scene = Self { folder };
        for (camera, name) in (0..).zip(CAMERAS) {
            fs::write(scene.file(&format!("{name}.gt.txt")), truth(camera)).unwrap();
            fs::write(scene.file(&format!("{name}.jsonl")), lines(camera)).unwrap();
        }
        fs::write(scene.file("people.json"), gallery().to_string()).unwrap();
        scene
    }

    /// Leaves the files for the reference programs, if asked to.
    fn dump(&self) {
        let Some(folder) = std::env::var_os("GST_REID_SCORE_DUMP") else {
            return;
        };
        let folder = Path::new(&folder).join("partial");
        fs::create_dir_all(&folder).unwrap();
        for file in fs::read_dir(&self.folder).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), folder.join(file.file_name())).unwrap();
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `reidctl score --partial` of all cameras.
    fn score(&self) -> Command {
        let mut score = common::reidctl();
        score.args(["score", "--partial", "--gt"]);
        score.args(CAMERAS.map(|name| self.file(&format!("{name}.gt.txt"))));
        score
    }

    fn json(&self, more: &[&str], results: &str) -> Value {
        let mut score = self.score();
        score.arg("--json").args(more).arg("--result");
        score.args(CAMERAS.map(|name| self.file(&format!("{name}.{results}"))));
        serde_json::from_slice(&run_well(score, LIMIT).stdout).unwrap()
    }
}

/// What `ident_score.py` prints, percent.
struct Reference {
    found: f64,
    idf1: f64,
    ida: f64,
    across: [f64; 2],
    within: [f64; 2],
    /// True boxes, people, ids of ten boxes and more, all ids.
    counts: [u64; 4],
}

const AS_GIVEN: Reference = Reference {
    found: 90.0,
    idf1: 46.0,
    ida: 48.6,
    across: [81.7, 12.7],
    within: [87.7, 75.4],
    counts: [391, 8, 16, 32],
};
const CORRECTED: Reference = Reference {
    found: 90.0,
    idf1: 58.7,
    ida: 61.9,
    across: [66.1, 38.3],
    within: [79.8, 85.8],
    counts: [391, 8, 12, 15],
};

fn check(scores: &Value, expected: &Reference) {
    let shares = [
        ("/found", expected.found),
        ("/IDF1", expected.idf1),
        ("/IDA", expected.ida),
        ("/across/precision", expected.across[0]),
        ("/across/recall", expected.across[1]),
        ("/within/precision", expected.within[0]),
        ("/within/recall", expected.within[1]),
    ];
    for (name, expected) in shares {
        let got = 100.0 * scores.pointer(name).and_then(Value::as_f64).unwrap();
        // The reference rounds to one digit.
        assert!(
            (got - expected).abs() < 0.0501,
            "{name}: {got} instead of {expected}\n{scores:#}"
        );
    }
    let counts =
        ["boxes", "people", "lasting_ids", "ids"].map(|name| scores[name].as_u64().unwrap());
    assert_eq!(counts, expected.counts, "{scores:#}");
}

#[test]
fn ids_as_given_and_corrected_score_what_the_reference_says() {
    let scene = Scene::new();
    scene.dump();
    let people = scene.file("people.json").display().to_string();
    let scores = scene.json(&["--rate", "25", "--gallery", &people], "jsonl");
    check(&scores["as_given"], &AS_GIVEN);
    check(&scores["corrected"], &CORRECTED);
    let without = scene.json(&["--rate", "25"], "jsonl");
    assert_eq!(without["as_given"], scores["as_given"]);
    assert!(
        without["corrected"]["IDF1"].as_f64() < scores["corrected"]["IDF1"].as_f64(),
        "the gallery knows of more merges: {without:#}"
    );
}

#[test]
fn events_correct_ids_as_the_gallery_does() {
    let scene = Scene::new();
    let people = scene.file("people.json").display().to_string();
    let listed = scene.json(&["--rate", "25", "--gallery", &people], "jsonl");
    let mut events = String::new();
    for person in gallery()["people"].as_array().unwrap() {
        for from in person["previous_ids"].as_array().unwrap() {
            let event = json!({ "event": "merged", "timestamp": 8e9 as u64, "from": from, "into": person["id"] });
            writeln!(events, "{event}").unwrap();
        }
    }
    let last = scene.file("yard.jsonl");
    let text = fs::read_to_string(&last).unwrap();
    let told = scene.file("told.jsonl");
    fs::write(&told, text + &events).unwrap();
    let mut score = scene.score();
    score.args(["--json", "--rate", "25", "--result"]);
    score.args([scene.file("door.jsonl"), scene.file("hall.jsonl"), told]);
    let told: Value = serde_json::from_slice(&run_well(score, LIMIT).stdout).unwrap();
    assert_eq!(told["corrected"], listed["corrected"]);
    assert_eq!(told["steadiness"], listed["steadiness"]);
}

#[test]
fn rows_score_as_lines_do() {
    let scene = Scene::new();
    for (camera, name) in (0..).zip(CAMERAS) {
        let mut rows = String::new();
        for frame in 1..=FRAMES {
            for o in objects(camera, frame) {
                let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| o[side].as_f64().unwrap());
                writeln!(rows, "{frame},{},{x},{y},{w},{h},1,-1,-1,-1", o["id"]).unwrap();
            }
        }
        fs::write(scene.file(&format!("{name}.txt")), rows).unwrap();
    }
    let rows = scene.json(&[], "txt");
    check(&rows["as_given"], &AS_GIVEN);
    assert_eq!(rows["corrected"], Value::Null);
    assert_eq!(rows["cameras"], json!(["door.gt", "hall.gt", "yard.gt"]));
}

#[test]
fn a_folder_of_results_and_a_table() {
    let scene = Scene::new();
    let mut score = scene.score();
    score.args(["--camera", "door,hall,yard", "--rate", "25", "--result"]);
    score.arg(scene.folder.path());
    let table = text(&run_well(score, LIMIT));
    for part in ["one-to-one", "as given", "corrected", "changes", "median"] {
        assert!(table.contains(part), "no '{part}' in:\n{table}");
    }
}

#[test]
fn what_cannot_be_scored_is_said() {
    let scene = Scene::new();
    let lines = CAMERAS.map(|name| scene.file(&format!("{name}.jsonl")));
    let fails = |more: &[&str], results: &[PathBuf], parts: &[&str]| {
        let mut score = scene.score();
        score.args(more).arg("--result").args(results);
        let output = run(score, LIMIT);
        let said = text(&output);
        assert!(
            !output.status.success() && !said.contains("panicked"),
            "{said}"
        );
        for part in parts {
            assert!(said.contains(part), "no '{part}' in: {said}");
        }
    };
    fails(&[], &lines, &["door.jsonl, line 1", "--rate"]);
    fails(&["--rate", "0"], &lines, &["above 0"]);
    let truth = scene.file("door.gt.txt");
    let mixed = [lines[0].clone(), lines[1].clone(), truth.clone()];
    fails(&["--rate", "25"], &mixed, &["all results as JSON lines"]);
    let gallery = truth.display().to_string();
    let more = ["--rate", "25", "--gallery", &*gallery];
    fails(
        &more,
        &lines,
        &["door.gt.txt is not the output of", "gallery list --json"],
    );
}
