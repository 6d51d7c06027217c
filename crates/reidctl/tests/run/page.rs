//! The page: what it shows, what it changes, and whom it refuses.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    common::{reidctl, root, run, text},
    program::{Program, ask, cameras_file, get, post_form, post_json, raw, test_camera},
    schema::faults,
};

const TOKEN: &str = "a-token-of-24-characters";

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
    let forgotten = ask(port, &format!("DELETE /api/people/{id}"), &[], "");
    assert_eq!(forgotten.status, 200);
    let events = get(port, "/api/people").text();
    assert!(!events.contains(&format!("\"id\":{id},")), "{events}");
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
fn no_page_tells_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let mut cameras = [test_camera("door", 0), test_camera("street", 1)];
    // Nobody listens there.
    cameras[1]["source"] = "rtsp://ada:hunter2@127.0.0.1:9/live?key=opensesame".into();
    let file = cameras_file(folder.path(), &cameras, json!({}));
    let mut program = Program::start(&file, &["--listen", "127.0.0.1:0"]);
    let port = program.port();
    program.wait_for("the failure", |value| {
        value["camera"] == "street" && value["state"] == "waiting"
    });
    for path in [
        "/",
        "/people",
        "/find",
        "/health",
        "/report.html",
        "/metrics",
        "/api/cameras",
        "/api/health",
        "/api/history",
        "/api/openapi.json",
        "/api/cameras/street/picture",
        "/nowhere",
    ] {
        let answer = get(port, path);
        for secret in ["hunter2", "opensesame"] {
            assert!(!answer.text().contains(secret), "{path} tells {secret}");
        }
    }
    assert!(
        get(port, "/health").text().contains("rtsp://"),
        "the address itself is shown"
    );
    let said = serde_json::to_string(&program.said()).unwrap();
    program.signal("TERM");
    let errors = program.end();
    assert!(!said.contains("hunter2") && !errors.contains("hunter2"));
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

#[test]
fn the_token_opens_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, format!("{TOKEN}\n")).unwrap();
    let (_folder, mut program, port) = running(&["--token-file", token.to_str().unwrap()]);
    let closed = [
        "/",
        "/people",
        "/find",
        "/report.html",
        "/health",
        "/metrics",
        "/api/cameras",
        "/api/people",
        "/api/events",
        "/api/openapi.json",
        "/api/cameras/door/picture",
    ];
    let with = |path: &str, head: &[&str]| ask(port, &format!("GET {path}"), head, "");
    for path in closed {
        assert_eq!(with(path, &[]).status, 401, "{path}");
        for wrong in [
            "Authorization: Bearer a-token-of-24-characterX",
            "Authorization: Bearer ",
            "Cookie: reidctl=a-token-of-24-characters",
        ] {
            assert_eq!(with(path, &[wrong]).status, 401, "{path} {wrong}");
        }
    }
    let bearer = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(with("/api/cameras", &[&bearer]).status, 200);
    assert_eq!(with("/healthz", &[]).status, 200);
    let redirected = with("/people", &["Accept: text/html"]);
    assert!(redirected.status == 303 && redirected.head.contains("location: /login"));
    assert_eq!(post_form(port, "/login", "token=wrong").status, 401);
    let login = post_form(port, "/login", &format!("token={TOKEN}"));
    assert_eq!(login.status, 303);
    let line = login
        .head
        .lines()
        .find(|line| line.starts_with("set-cookie: "))
        .unwrap();
    for part in ["HttpOnly", "SameSite=Strict"] {
        assert!(line.contains(part), "{line}");
    }
    let cookie = line["set-cookie: ".len()..].split(';').next().unwrap();
    assert_eq!(with("/people", &[&format!("Cookie: {cookie}")]).status, 200);
    let refused = program.wait_for("the refusal in the log", |value| {
        value["event"] == "login-refused"
    });
    assert_eq!(refused["by"], "127.0.0.1 (token)");
    let said = serde_json::to_string(&program.said()).unwrap();
    program.signal("TERM");
    let errors = program.end();
    assert!(!said.contains(TOKEN) && !errors.contains(TOKEN));
}

#[test]
fn foreign_pages_odd_paths_and_large_requests_are_refused() {
    let (_folder, program, port) = running(&[]);
    let id = until("somebody", || {
        people(port).first().map(|p| p["id"].as_u64().unwrap())
    });
    let rename = format!("POST /people/{id}/rename");
    let kind = "Content-Type: application/x-www-form-urlencoded";
    for foreign in [
        "Origin: http://evil.example",
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
        "Host: evil.example",
    ] {
        let answer = ask(port, &rename, &[kind, foreign], "name=Eve");
        assert_eq!(answer.status, 403, "{foreign}");
    }
    let delete = ask(
        port,
        &format!("DELETE /api/people/{id}"),
        &["Origin: http://evil.example"],
        "",
    );
    assert_eq!(delete.status, 403);
    let own = format!("Origin: http://127.0.0.1:{port}");
    assert_eq!(ask(port, &rename, &[kind, &own], "name=Ada").status, 303);
    // A form of another page cannot send JSON, and the API takes nothing else.
    let plain = ask(
        port,
        &format!("POST /api/people/{id}/rename"),
        &["Content-Type: text/plain"],
        "{\"name\":\"Eve\"}",
    );
    assert_eq!(plain.status, 415);
    for path in [
        "/../../etc/passwd",
        "/assets/../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/api/cameras/..%2f..%2fetc%2fpasswd/picture",
        "/people/1%00",
        "//etc/passwd",
    ] {
        let answer = get(port, path);
        assert!(
            matches!(answer.status, 400 | 404),
            "{path}: {}",
            answer.status
        );
        assert!(!answer.text().contains("root:"), "{path}");
    }
    let large = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(10 << 20)
    );
    assert!(matches!(raw(port, large.as_bytes()).status, 0 | 400 | 431));
    let many: String = (0..500).map(|i| format!("X{i}: y\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n");
    assert!(matches!(raw(port, many.as_bytes()).status, 0 | 400 | 431));
    let body = format!("name={}", "x".repeat(1 << 20));
    assert!(matches!(
        post_form(port, &format!("/people/{id}/rename"), &body).status,
        0 | 413
    ));
    let answer = get(port, "/");
    for header in [
        "content-security-policy: default-src 'none'",
        "x-content-type-options: nosniff",
        "referrer-policy: same-origin",
    ] {
        assert!(answer.head.contains(header), "{}", answer.head);
    }
    program.signal("TERM");
    program.end();
}

#[test]
fn two_hundred_viewers_and_slow_clients_disturb_nobody() {
    let (_folder, mut program, port) = running(&[]);
    // They send half a request, or read nothing of what they asked for.
    let mut slow: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: lo").unwrap();
            stream
        })
        .collect();
    let viewers: Vec<TcpStream> = (0..200)
        .map(|_| opened(port, "/api/cameras/door/stream"))
        .collect();
    let mut codes = Vec::new();
    for stream in &viewers {
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        codes.push(line.split(' ').nth(1).unwrap().to_owned());
    }
    let count = |code: &str| codes.iter().filter(|c| *c == code).count();
    assert_eq!((count("200"), count("503")), (64, 136));
    assert_eq!(get(port, "/healthz").status, 200);
    let before = program.status("door").unwrap()["frames"].as_u64();
    program.wait_for("more frames", |value| {
        let cameras = value["cameras"].as_array().into_iter().flatten();
        let mut door = cameras.filter(|c| c["name"] == "door");
        door.any(|c| c["frames"].as_u64() > before.map(|n| n + 20))
    });
    drop(viewers);
    // Half a head is not waited for longer than ten seconds.
    let cut = Instant::now();
    slow[0]
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut rest = Vec::new();
    let _ = slow[0].read_to_end(&mut rest);
    assert!(
        cut.elapsed() < Duration::from_secs(25),
        "{:?}",
        cut.elapsed()
    );
    until("a free place", || {
        let mut line = String::new();
        let stream = opened(port, "/api/cameras/door/stream");
        BufReader::new(stream).read_line(&mut line).unwrap();
        line.contains("200").then_some(())
    });
    slow.clear();
    program.signal("TERM");
    program.end();
}

#[test]
fn other_addresses_need_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = cameras_file(folder.path(), &[test_camera("door", 0)], json!({}));
    let refused = |arguments: &[&str], variable: Option<&str>, part: &str| {
        let mut command = reidctl();
        command.arg("run").arg(Path::new(&file)).args(arguments);
        command.env_remove("REIDCTL_TOKEN");
        command.envs(variable.map(|token| ("REIDCTL_TOKEN", token)));
        let output = run(command, Duration::from_secs(30));
        let said = text(&output);
        assert!(!output.status.success() && said.contains(part), "{said}");
    };
    refused(&["--listen", "0.0.0.0:0"], None, "needs a token");
    refused(&["--listen", "[::]:0"], None, "needs a token");
    refused(&["--listen", "0.0.0.0:0"], Some("short"), "fewer than 16");
    refused(
        &["--listen", "127.0.0.1:0", "--token-file", "/no/such/token"],
        None,
        "cannot be read",
    );
}
