//! `reidctl gallery export` and `import`: a gallery as a file, into both databases and back.
#![cfg(all(feature = "sqlite", feature = "postgres"))]

#[path = "../../../tests/common/mod.rs"]
mod common;
#[path = "../../../tests/common/server.rs"]
mod server;

use std::{fs, path::Path, process::Output, time::Duration};

use common::{command, reidctl, run, run_well, text};
use serde_json::Value;
use server::Server;

const LIMIT: Duration = Duration::from_secs(120);

fn gallery(arguments: &[&str]) -> Output {
    let mut command = reidctl();
    command.arg("gallery").args(arguments);
    run(command, LIMIT)
}

fn well(arguments: &[&str]) -> String {
    let mut command = reidctl();
    command.arg("gallery").args(arguments);
    String::from_utf8(run_well(command, LIMIT).stdout).unwrap()
}

/// A gallery with a name, a merge and a split; its location.
fn kept(folder: &Path) -> String {
    let location = format!("sqlite://{}", folder.join("hall.db").display());
    let mut launch = command("gst-launch-1.0");
    let line = format!(
        "reidtestsrc pattern=crossing num-buffers=150 attach=detections ! video/x-raw,width=640,height=480 ! reidembed ! reidtrack camera=hall gallery-location={location} ! fakesink"
    );
    launch.arg("-q").args(line.split(' '));
    run_well(launch, LIMIT);
    let ids = ids(&location);
    assert!(ids.len() >= 3, "{ids:?}");
    well(&["rename", &location, &ids[0], "Ada Löwe"]);
    well(&["merge", &location, &ids[2], &ids[1]]);
    location
}

fn ids(location: &str) -> Vec<String> {
    let list: Value = serde_json::from_str(&well(&["list", location, "--json"])).unwrap();
    let people = list["people"].as_array().unwrap();
    people.iter().map(|p| p["id"].to_string()).collect()
}

/// The file of an export, without the vectors' last bits: they are made unit vectors anew.
fn exported(location: &str) -> (Value, Vec<Vec<u8>>) {
    let mut file: Value =
        serde_json::from_str(&well(&["export", location, "--with-vectors"])).unwrap();
    let mut vectors = Vec::new();
    for person in file["people"].as_array_mut().unwrap() {
        for vector in person["vectors"].as_array_mut().into_iter().flatten() {
            let values = vector["values"].take();
            vectors.push(values.as_str().unwrap().as_bytes().to_vec());
        }
    }
    (file, vectors)
}

fn check_same(location: &str, original: &str) {
    let ((now, new), (before, old)) = (exported(location), exported(original));
    assert_eq!(now, before);
    assert!(!old.is_empty());
    let equal = new.iter().zip(&old).filter(|(a, b)| a == b).count();
    // A vector of unit length stays as it is but for a last bit now and then.
    assert!(equal * 2 > old.len(), "{equal} of {}", old.len());
    assert_eq!(new.len(), old.len());
}

#[test]
fn a_gallery_goes_into_both_databases_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let original = kept(folder.path());
    let file = folder.path().join("people.json");
    fs::write(&file, well(&["export", &original, "--with-vectors"])).unwrap();
    let file = file.to_str().unwrap();
    let other = format!("sqlite://{}", folder.path().join("other.db").display());
    well(&["import", file, &other]);
    check_same(&other, &original);
    // Somebody new gets an id that nobody has had.
    let highest: u32 = ids(&other)
        .iter()
        .map(|id| id.parse().unwrap())
        .max()
        .unwrap();
    let split = well(&["split", &other, &ids(&other)[1]]);
    let new: u32 = split[1..].split(' ').next().unwrap().parse().unwrap();
    assert!(new > highest, "{split}");
    if let Some(server) = Server::shared() {
        let uri = server.uri(&server.database());
        well(&["import", file, &uri]);
        check_same(&uri, &original);
        let back = format!("sqlite://{}", folder.path().join("back.db").display());
        let again = folder.path().join("again.json");
        fs::write(&again, well(&["export", &uri, "--with-vectors"])).unwrap();
        well(&["import", again.to_str().unwrap(), &back]);
        check_same(&back, &original);
    }
}

#[test]
fn people_are_added_with_new_ids_only_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let location = kept(folder.path());
    let before = ids(&location);
    let file = folder.path().join("people.json");
    fs::write(&file, well(&["export", &location, "--with-vectors"])).unwrap();
    let file = file.to_str().unwrap();
    let refused = text(&gallery(&["import", file, &location]));
    assert!(
        refused.contains("people already") && refused.contains("--add"),
        "{refused}"
    );
    assert_eq!(ids(&location), before);
    let said = well(&["import", file, &location, "--add"]);
    assert!(said.contains(&format!("P{} is P", before[0])), "{said}");
    let after = ids(&location);
    assert_eq!(after.len(), 2 * before.len());
    assert!(before.iter().all(|id| after.contains(id)));
    let list: Value = serde_json::from_str(&well(&["list", &location, "--json"])).unwrap();
    let named = list["people"].as_array().unwrap().iter();
    assert_eq!(named.filter(|p| p["name"] == "Ada Löwe").count(), 2);
}

#[test]
fn without_vectors_no_vectors_and_wrong_files_are_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let location = kept(folder.path());
    let plain = well(&["export", &location]);
    assert!(
        !plain.contains("values") && !plain.contains("fingerprint"),
        "{plain}"
    );
    let whole = well(&["export", &location, "--with-vectors"]);
    let other = format!("sqlite://{}", folder.path().join("other.db").display());
    let file = folder.path().join("people.json");
    let file = file.to_str().unwrap();
    let changed = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        whole.replacen(from, to, 1)
    };
    let mut twice: Value = serde_json::from_str(&plain).unwrap();
    let first = twice["people"][0].clone();
    twice["people"].as_array_mut().unwrap().push(first);
    let cases = [
        (whole[..whole.len() / 2].to_owned(), "cut"),
        ("{\"people\": []}".to_owned(), "reidctl gallery export"),
        (changed("plugin-reid gallery", "other"), "the format is"),
        (
            changed("\"version\": 1", "\"version\": 9"),
            "update reidctl",
        ),
        (changed("\"values\": \"", "\"values\": \"AAAA"), "dimension"),
        (twice.to_string(), "occurs twice"),
        (
            changed("\"fingerprint\": \"", "\"fingerprint\": \"x"),
            "hexadecimal",
        ),
    ];
    for (content, part) in cases {
        fs::write(file, content).unwrap();
        let said = gallery(&["import", file, &other]);
        assert!(!said.status.success());
        let said = text(&said);
        assert!(
            said.contains(part) && said.contains("people.json"),
            "{part}: {said}"
        );
    }
    fs::write(file, &plain).unwrap();
    well(&["import", file, &other]);
    assert_eq!(well(&["export", &other]), plain);
}
