//! `reidctl gallery find`: a photo of somebody whom a pipeline has seen, looked up in the kept gallery; and its report.
#![cfg(feature = "sqlite")]

#[path = "../../../tests/common/mod.rs"]
mod common;

use std::{path::Path, process::Command, time::Duration};

use common::{command, reidctl, run, run_well, text};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);

fn gallery(location: &str, arguments: &[&str]) -> Command {
    let mut command = reidctl();
    command.args(["gallery", arguments[0]]);
    if arguments[0] == "find" {
        command
            .arg(arguments[1])
            .arg(location)
            .args(&arguments[2..]);
    } else {
        command.arg(location).args(&arguments[1..]);
    }
    command
}

/// Six people pass; who they are is kept with a picture of each.
fn kept(folder: &Path) -> String {
    let location = format!("sqlite://{}", folder.join("hall.db").display());
    let mut launch = command("gst-launch-1.0");
    let line = format!(
        "reidtestsrc pattern=crossing num-buffers=150 attach=detections ! video/x-raw,width=640,height=480 ! reidembed ! reidtrack camera=hall thumbnails=true gallery-location={location} ! fakesink"
    );
    launch.arg("-q").args(line.split(' '));
    run_well(launch, LIMIT);
    location
}

#[test]
fn a_photo_finds_its_person_first() {
    let folder = tempfile::tempdir().unwrap();
    let location = kept(folder.path());
    let list = run_well(gallery(&location, &["list", "--json"]), LIMIT);
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    let ids: Vec<u64> = list["people"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["id"].as_u64().unwrap())
        .collect();
    assert!(ids.len() >= 3, "{list}");
    for id in ids.iter().take(4) {
        let photo = folder.path().join(format!("{id}.jpg"));
        let photo = photo.to_str().unwrap();
        run_well(
            gallery(&location, &["thumbnail", &id.to_string(), photo]),
            LIMIT,
        );
        let found = run_well(
            gallery(&location, &["find", photo, "--json", "--top", "3"]),
            LIMIT,
        );
        let found: Value = serde_json::from_slice(&found.stdout).unwrap();
        let people = found["people"].as_array().unwrap();
        assert_eq!(
            (people.len(), people[0]["id"].as_u64()),
            (3, Some(*id)),
            "{found}"
        );
        let number = |i: usize, name: &str| people[i][name].as_f64().unwrap();
        assert!(
            number(0, "same_person") > 0.9 && number(0, "cosine") > number(1, "cosine"),
            "{found}"
        );
        assert_eq!(people[0]["cameras"][0], "hall");
    }
    let table = run_well(
        gallery(
            &location,
            &[
                "find",
                folder
                    .path()
                    .join(format!("{}.jpg", ids[0]))
                    .to_str()
                    .unwrap(),
            ],
        ),
        LIMIT,
    );
    assert!(text(&table).contains("same person"), "{}", text(&table));
}

#[test]
fn what_cannot_be_found_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let location = kept(folder.path());
    let photo = folder.path().join("p.jpg");
    let photo = photo.to_str().unwrap();
    let list = run_well(gallery(&location, &["list", "--json"]), LIMIT);
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    let id = list["people"][0]["id"].to_string();
    run_well(gallery(&location, &["thumbnail", &id, photo]), LIMIT);
    let other = common::root().join("models/reid-compact.onnx");
    let output = run(
        gallery(
            &location,
            &["find", photo, "--model", other.to_str().unwrap()],
        ),
        LIMIT,
    );
    assert!(!output.status.success());
    assert!(
        text(&output).contains("has a vector of the model"),
        "{}",
        text(&output)
    );
    let output = run(gallery(&location, &["find", "/no/such.jpg"]), LIMIT);
    assert!(
        !output.status.success() && text(&output).contains("/no/such.jpg"),
        "{}",
        text(&output)
    );
}

#[test]
fn the_report_is_one_file_with_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let location = kept(folder.path());
    let list = run_well(gallery(&location, &["list", "--json"]), LIMIT);
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    let id = list["people"][0]["id"].to_string();
    run_well(gallery(&location, &["rename", &id, "Ada <i>"]), LIMIT);
    let page = folder.path().join("out.html");
    let write = |file: &Path| gallery(&location, &["report", "--html", file.to_str().unwrap()]);
    run_well(write(&page), LIMIT);
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.contains("Ada &lt;i&gt;") && !text.contains("Ada <i>"));
    for person in list["people"].as_array().unwrap() {
        let card = format!("id=\"P{}\"", person["id"]);
        assert!(text.contains(&card), "no {card}");
    }
    for part in ["data:image/jpeg;base64,", "<rect", "hall"] {
        assert!(text.contains(part), "no {part}");
    }
    for outside in ["http:", "https:", "src=\"/", "href=\"/", "<script"] {
        assert!(!text.contains(outside), "{outside}");
    }
    let output = run(write(&folder.path().join("no/such/folder.html")), LIMIT);
    assert!(!output.status.success() && common::text(&output).contains("cannot be written"));
}
