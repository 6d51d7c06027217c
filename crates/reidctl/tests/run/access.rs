//! Who may see the page, and what cannot disturb it: tokens, foreign origins, odd paths, large and slow requests, many viewers; and
//! that passwords are told nowhere.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    common::{reidctl, run, text},
    page::{opened, people, running, until},
    program::{Program, ask, cameras_file, get, post_form, raw, test_camera},
};

const TOKEN: &str = "a-token-of-24-characters";

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
