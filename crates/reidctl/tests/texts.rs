//! The texts that users see, compared with the snapshots in `snapshots/`: help, tables, JSON lines.
//!
//! After an intended change: `INSTA_UPDATE=always cargo test -p reidctl --test texts`, and look at the difference.

#[path = "../../../tests/common/mod.rs"]
mod common;

use std::{fs, path::Path, time::Duration};

use common::{run_well, text};
use gstreid::core::{
    geometry::Rect,
    person::{Identity, IdentityId, IdentityState, Person, Seen, Track, TrackId, TrackState},
    publish::{Change, FrameFacts, change_line, json_line, mot_lines},
};

const LIMIT: Duration = Duration::from_secs(60);

fn printed(arguments: &[&str], folder: &Path) -> String {
    let mut reidctl = common::reidctl();
    reidctl.args(arguments).current_dir(folder);
    text(&run_well(reidctl, LIMIT))
}

#[test]
fn help() {
    let commands = [
        "",
        "doctor",
        "bench",
        "run",
        "report",
        "score",
        "eval",
        "compare",
        "search",
        "classify",
        "classify train",
        "classify predict",
        "classify eval",
        "gallery",
        "gallery prepare",
        "gallery list",
        "gallery show",
        "gallery thumbnail",
        "gallery rename",
        "gallery merge",
        "gallery split",
        "gallery forget",
        "gallery export",
        "gallery import",
        "gallery report",
        "models",
        "models list",
        "models import",
        "models get",
    ];
    let mut all = String::new();
    for command in commands {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");
        let shown = printed(&arguments, common::root());
        all += &format!("$ reidctl {}\n{shown}\n", arguments.join(" "));
    }
    insta::assert_snapshot!(all);
}

/// A person of camera `door`, seen at frame 1.
fn person(id: u32, state: IdentityState) -> Person {
    let mut person = Person::detected(
        Rect::new(100.0 * id as f32, 120.0, 60.0, 180.0),
        0.875,
        "person".into(),
        0,
    );
    person.track = Some(Track {
        id: TrackId(id + 3),
        state: TrackState::Confirmed,
        unseen_ns: 0,
        age_ns: 1_000_000_000,
    });
    person.identity = Some(Identity {
        id: IdentityId(id),
        state,
        score: 0.75,
        margin: 0.25,
        evidence: Some(Seen {
            camera: "hall".into(),
            time_ns: 500_000_000,
        }),
        previous: [IdentityId(9)].into(),
        name: (id == 1).then(|| "Ada".into()),
    });
    person
}

/// The lines of three frames and a merge.
fn lines() -> String {
    let mut lines = Vec::new();
    for frame in 0..3 {
        let facts = FrameFacts {
            width: 640,
            height: 480,
            timestamp_ns: Some(frame * 40_000_000),
            utc_ns: Some(1_700_000_000_000_000_000 + frame * 40_000_000),
            gallery_ns: Some(3_000_000_000 + frame * 40_000_000),
            source: "stream",
            camera: "door",
        };
        let people = [
            person(1, IdentityState::Matched),
            person(2, IdentityState::Pending),
        ];
        lines.extend(json_line(&facts, &people, false, false));
    }
    lines.extend(change_line(&Change {
        event: "merged",
        from: 2,
        into: 1,
        camera: None,
        track_id: None,
        source: "stream",
        timestamp: 80_000_000,
        utc_ns: None,
    }));
    lines.join("\n") + "\n"
}

#[test]
fn published_lines() {
    let people = [
        person(1, IdentityState::New),
        person(2, IdentityState::Pending),
    ];
    insta::assert_snapshot!(lines() + &mot_lines(7, &people));
}

#[test]
fn tables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("door.jsonl"), lines()).unwrap();
    let rows = |id: u32| -> String {
        (1..=4)
            .map(|frame| format!("{frame},{id},{},10,20,40,1,-1,-1,-1\n", 10 * frame))
            .collect()
    };
    for camera in ["door", "hall"] {
        fs::write(path.join(format!("{camera}.gt.txt")), rows(1)).unwrap();
        fs::write(path.join(format!("{camera}.txt")), rows(7)).unwrap();
    }
    let score = [
        "score",
        "--gt",
        "door.gt.txt",
        "hall.gt.txt",
        "--result",
        "door.txt",
        "hall.txt",
    ];
    let shown = [
        printed(&["report", "door.jsonl"], path),
        printed(&score, path),
    ];
    insta::assert_snapshot!(shown.join("\n"));
}
