//! The page: what it shows and what it changes.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    common::root,
    program::{Program, ask, cameras_file, get, post_form, post_json, test_camera},
    schema::faults,
};

/// Two cameras whose people are told apart by a small embedder, and their page.
pub fn running(arguments: &[&str]) -> (TempDir, Program, u16) {
    let folder = tempfile::tempdir().unwrap();
    let models = json!({ "detector": "none", "embedder": root().join("models/reid-compact.onnx") });
    let gallery = format!("sqlite://{}", folder.path().join("people.db").display());
    let others =
        json!({ "models": models, "gallery": { "location": gallery, "thumbnails": true } });
    let mut cameras = [test_camera("door", 0), test_camera("back yard", 1)];
    for camera in &mut cameras {
        // People walk from one to the other and leave.
        camera["source"]["test"]["cameras"] = 2.into();
        camera["source"]["test"]["pattern"] = "walk".into();
    }
    let file = cameras_file(folder.path(), &cameras, others);
    let mut program = Program::start(&file, &[&["--listen", "127.0.0.1:0"], arguments].concat());
    let port = program.port();
    for camera in ["door", "back yard"] {
        program.wait_for(camera, |value| {
            value["camera"] == camera && value["state"] == "running"
        });
    }
    (folder, program, port)
}

/// Asks again until the answer is as wanted.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{what} did not come"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub fn people(port: u16) -> Vec<Value> {
    let answer = get(port, "/api/people?sort=id").json();
    answer["people"].as_array().unwrap().clone()
}

fn description() -> Value {
    let text = fs::read_to_string(root().join("crates/reidctl/openapi.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Checks an answer against the description of its address.
pub fn as_described(path: &str, method: &str, status: u16, answer: &Value) {
    let root = description();
    let mut response = &root["paths"][path][method]["responses"][status.to_string()];
    if let Some(name) = response["$ref"].as_str() {
        response = root.pointer(name.trim_start_matches('#')).unwrap();
    }
    let schema = &response["content"]["application/json"]["schema"];
    assert!(
        schema.is_object(),
        "{method} {path} {status} is not described"
    );
    assert_eq!(
        faults(answer, schema, &root),
        Vec::<String>::new(),
        "{answer:#}"
    );
}

#[test]
fn the_api_is_as_described_and_changes_can_be_undone() {
    let (_folder, mut program, port) = running(&[]);
    let people_there = until("three people", || {
        Some(people(port)).filter(|p| p.len() > 2)
    });
    for path in ["/api/cameras", "/api/people", "/api/history", "/api/health"] {
        let answer = get(port, path);
        assert_eq!(answer.status, 200, "{path}");
        as_described(path, "get", 200, &answer.json());
    }
    let id = people_there[0]["id"].as_u64().unwrap();
    let one = |id: u64| get(port, &format!("/api/people/{id}"));
    as_described("/api/people/{id}", "get", 200, &one(id).json());
    as_described("/api/people/{id}", "get", 404, &one(999_999).json());
    let renamed = post_json(
        port,
        &format!("/api/people/{id}/rename"),
        &json!({ "name": "Ada <b>" }),
    );
    assert_eq!(renamed.status, 200, "{}", renamed.text());
    as_described("/api/people/{id}/rename", "post", 200, &renamed.json());
    assert_eq!(one(id).json()["person"]["name"], "Ada <b>");
    let page = get(port, &format!("/people/{id}")).text();
    assert!(
        page.contains("Ada &lt;b&gt;") && !page.contains("Ada <b>"),
        "{page}"
    );
    // Two who have left, of whom enough was kept to tell them apart again.
    let (id, split) = until("a merge that can be undone", || {
        let gone: Vec<u64> = people(port)
            .iter()
            .filter(|person| person["active"] == false)
            .map(|person| person["id"].as_u64().unwrap())
            .collect();
        let [from, into, ..] = gone[..] else {
            return None;
        };
        let merge = format!("/api/people/{from}/merge");
        let merged = post_json(port, &merge, &json!({ "into": into }));
        if merged.status != 200 {
            return None;
        }
        as_described("/api/people/{id}/merge", "post", 200, &merged.json());
        let now = one(from).json();
        assert_eq!(now["person"]["id"], into, "the former id finds the person");
        let split = post_json(port, &format!("/api/people/{into}/split"), &json!({}));
        (split.status == 200).then_some((into, split))
    });
    as_described("/api/people/{id}/split", "post", 200, &split.json());
    let new = split.json()["new_id"].as_u64().unwrap();
    assert_ne!(new, id);
    let forgotten = ask(port, &format!("DELETE /api/people/{id}"), &[], "");
    assert_eq!(forgotten.status, 200);
    assert_eq!(one(id).status, 404);
    let change = program.wait_for("the log of the change", |value| value["change"] == "forget");
    assert_eq!(change["by"], "127.0.0.1 (local)");
    let every = [
        get(port, "/api/people").text(),
        get(port, "/api/history").text(),
    ]
    .concat();
    for word in ["embedding", "vector"] {
        assert!(!every.contains(word), "{word} in {every}");
    }
    program.signal("TERM");
    program.end();
}

#[test]
fn every_address_of_the_api_is_described() {
    let source = fs::read_to_string(root().join("crates/reidctl/src/page/mod.rs")).unwrap();
    let routed: BTreeSet<&str> = source
        .split(".route(\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .filter(|path| path.starts_with("/api/") || ["/metrics", "/healthz"].contains(path))
        .collect();
    let root = description();
    let described: BTreeSet<&str> = root["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(routed, described);
}

#[test]
fn pages_show_people_and_forms_change_them() {
    let (_folder, program, port) = running(&[]);
    let id = until("somebody", || {
        people(port).first().map(|p| p["id"].as_u64().unwrap())
    });
    let live = get(port, "/").text();
    for part in ["door", "back yard", "/api/cameras/back%20yard/picture"] {
        assert!(live.contains(part), "no {part} in {live}");
    }
    for path in [
        "/people",
        "/find",
        "/health",
        "/favicon.ico",
        "/assets/icon.svg",
        "/assets/style.css",
        "/assets/app.js",
        "/people?camera=door&sort=name&hours=24",
    ] {
        let answer = get(port, path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let text = answer.text();
        for outside in ["http://", "https://", "//cdn"] {
            let own = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!own.contains(outside), "{path} loads from elsewhere");
        }
    }
    let renamed = post_form(port, &format!("/people/{id}/rename"), "name=Bea");
    assert_eq!(renamed.status, 303, "{}", renamed.text());
    assert!(get(port, "/people?text=bea").text().contains("Bea"));
    let done = get(port, &format!("/people/{id}?done=renamed&before=")).text();
    assert!(
        done.contains("The name was changed.") && done.contains("Undo"),
        "{done}"
    );
    assert!(
        get(port, &format!("/people/{id}/forget"))
            .text()
            .contains("cannot be undone")
    );
    assert!(
        get(port, "/people?text=bea").text().contains("Bea"),
        "asking forgets nobody"
    );
    let forgotten = post_form(port, &format!("/people/{id}/forget"), "x=");
    assert_eq!(forgotten.status, 303);
    assert_eq!(get(port, &format!("/people/{id}")).status, 404);
    let refused = post_form(port, &format!("/people/{id}/rename"), "name=Cy");
    assert_eq!(refused.status, 404);
    program.signal("TERM");
    program.end();
}

#[test]
fn a_person_has_evidence_and_people_who_are_alike() {
    let (_folder, program, port) = running(&[]);
    let (id, event) = until("somebody recognised against somebody else", || {
        people(port).iter().find_map(|person| {
            let id = person["id"].as_u64().unwrap();
            let about = get(port, &format!("/api/people/{id}")).json();
            let events = about["events"].as_array().unwrap().clone();
            let event = events.into_iter().find(|e| e["against"].is_u64())?;
            Some((id, event))
        })
    });
    assert_eq!(event["event"], "identity-matched");
    assert!(event["score"].is_f64() && event["margin"].is_f64() && event["against"] != id);
    let about = get(port, &format!("/api/people/{id}")).json();
    as_described("/api/people/{id}", "get", 200, &about);
    let alike = about["alike"].as_array().unwrap();
    assert!(
        !alike.is_empty() && alike.iter().all(|one| one["id"] != id),
        "{about:#}"
    );
    let cosines: Vec<f64> = alike
        .iter()
        .map(|one| one["cosine"].as_f64().unwrap())
        .collect();
    assert!(cosines.is_sorted_by(|a, b| a >= b), "{cosines:?}");
    let same = alike[0]["same_person"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&same));
    let page = get(port, &format!("/people/{id}")).text();
    for part in ["recognised as", "Next best", "Most alike", "<meter"] {
        assert!(page.contains(part), "no {part} in {page}");
    }
    // Whoever is one with somebody else meanwhile is not there to be forgotten.
    let gone = until("somebody forgotten", || {
        let id = people(port).first()?["id"].as_u64().unwrap();
        let answer = ask(port, &format!("DELETE /api/people/{id}"), &[], "");
        (answer.status == 200).then_some(id)
    });
    assert!(people(port).iter().all(|person| person["id"] != gone));
    program.signal("TERM");
    program.end();
}

#[test]
fn the_report_is_one_file() {
    let (_folder, program, port) = running(&[]);
    let id = until("somebody with a picture", || {
        let mut ids = people(port).into_iter().map(|p| p["id"].as_u64().unwrap());
        ids.find(|id| get(port, &format!("/api/people/{id}/picture")).status == 200)
    });
    let answer = get(port, "/report.html?camera=door&sort=id");
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .head
            .contains("content-disposition: attachment; filename=\"people-")
    );
    let text = get(port, "/report.html").text();
    assert!(text.contains(&format!("id=\"P{id}\"")) && text.contains("data:image/jpeg;base64,"));
    for outside in ["http:", "https:", "src=\"/", "href=\"/", "<script"] {
        assert!(!text.contains(outside), "{outside}");
    }
    let nobody = get(port, "/report.html?text=nobody%20at%20all").text();
    assert!(nobody.contains("0 people of"), "{nobody}");
    program.signal("TERM");
    program.end();
}

#[test]
fn pictures_events_and_metrics_come_live() {
    let (_folder, program, port) = running(&[]);
    let picture = get(port, "/api/cameras/back%20yard/picture");
    assert_eq!(picture.status, 200, "{}", picture.text());
    assert!(picture.body.starts_with(b"\xff\xd8"));
    let mut stream = opened(port, "/api/cameras/door/stream");
    let mut bytes = vec![0; 20_000];
    stream.read_exact(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(
        text.matches("--reidctl-picture").count() > 1,
        "{}",
        &text[..300]
    );
    let events = BufReader::new(opened(port, "/api/events"));
    let mut lines = events.lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("event: ")));
    let data = lines.next().unwrap();
    assert!(data.starts_with("data: {"), "{data}");
    let metrics = get(port, "/metrics").text();
    assert!(
        metrics.contains("reid_camera_up{camera=\"door\"} 1"),
        "{metrics}"
    );
    assert_eq!(get(port, "/healthz").text(), "ok\n");
    assert_eq!(get(port, "/api/cameras/attic/picture").status, 404);
    program.signal("TERM");
    program.end();
}

/// A request whose answer does not end.
pub fn opened(port: u16, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}
