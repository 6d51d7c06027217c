//! Cameras that run, fail, stall, end and change.

use std::{
    fs,
    net::TcpListener,
    os::unix::net::UnixDatagram,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    common::{command, root, run_well},
    program::{Program, cameras_file, test_camera},
};

/// A server that takes connections and never says anything.
fn silent_server() -> (TcpListener, String) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!(
        "http://ada:hunter2@{}/video?key=opensesame",
        server.local_addr().unwrap()
    );
    (server, address)
}

fn files(folder: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .collect();
    files.sort();
    files
}

#[test]
fn starts_of_cameras_leave_no_memory_behind() {
    const STARTS: usize = 60;
    /// Without the setting of the allocator it is 20 MiB and more.
    const MAX_GROWTH_MIB: f64 = 6.0;
    let folder = tempfile::tempdir().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let source = json!({ "rtsp": format!("rtsp://{}/view", nobody.unwrap()), "transport": "tcp" });
    let cameras: Vec<Value> = (0..6)
        .map(|i| json!({ "name": format!("cam{i}"), "source": source }))
        .collect();
    let restart = json!({ "stall-seconds": 5, "first-seconds": 0.1, "longest-seconds": 0.1 });
    // The models that ship: their sessions come and go with the cameras.
    let others = json!({ "models": { "threads": 1 }, "restart": restart });
    let mut program = Program::start(&cameras_file(folder.path(), &cameras, others), &[]);
    let mut after = |starts: usize| {
        let mut count = 0;
        program.wait_for("starts", |value| {
            count += usize::from(value["state"] == "starting");
            count == starts
        });
        // The least of the next two dozen: at some moments all cameras have their sessions, at others none has.
        let mut least = f64::INFINITY;
        for _ in 0..24 {
            program.wait_for("another start", |value| value["state"] == "starting");
            least = least.min(program.memory_mib());
        }
        least
    };
    // What leaks grows from each time to the next; what only happens to be loaded does not.
    let mut measured = vec![after(STARTS)];
    let grows = |measured: &[f64]| match measured {
        [.., before, now] => *now >= before + MAX_GROWTH_MIB,
        _ => true,
    };
    while measured.len() < 4 && grows(&measured) {
        measured.push(after(2 * STARTS));
    }
    assert!(
        !grows(&measured),
        "MiB after each {} starts: {measured:.0?}",
        2 * STARTS
    );
    program.signal("TERM");
    program.end();
}

#[test]
fn eight_cameras_run_while_others_fail_stall_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, stuck) = silent_server();
    fs::write(folder.path().join("broken.mp4"), b"no film at all").unwrap();
    let mut cameras: Vec<Value> = (0..8).map(|i| test_camera(&format!("cam{i}"), i)).collect();
    cameras[0]["options"] =
        json!({ "record": { "folder": "out" }, "publish": { "folder": "out" } });
    cameras.push(json!({ "name": "broken", "source": "broken.mp4" }));
    cameras.push(json!({ "name": "stuck", "source": stuck }));
    let mut short = test_camera("short", 1);
    short["source"]["test"]["num-buffers"] = 5.into();
    cameras.push(short);
    let file = cameras_file(folder.path(), &cameras, json!({}));
    let mut program = Program::start(&file, &[]);
    for (camera, reason) in [
        ("broken", "type"),
        ("stuck", "no frame for 2 s"),
        ("short", "the stream ended"),
    ] {
        for _ in 0..2 {
            program.wait_for(&format!("{camera} waiting"), |value| {
                value["camera"] == camera
                    && value["state"] == "waiting"
                    && value["error"].as_str().unwrap().contains(reason)
            });
        }
    }
    program.wait_for("frames of all cameras", |value| {
        let cameras = value["cameras"].as_array().into_iter().flatten();
        let good = cameras.filter(|c| c["name"].as_str().unwrap().starts_with("cam"));
        good.filter(|c| c["state"] == "running" && c["frames"].as_u64() > Some(30))
            .count()
            == 8
    });
    for i in 0..8 {
        let status = program.status(&format!("cam{i}")).unwrap();
        assert_eq!(status["restarts"], 0, "{status}");
        assert_eq!(program.states(&format!("cam{i}")), ["starting", "running"]);
    }
    let said = program.said();
    for event in ["identity-new", "identity-lost"] {
        assert!(
            said.iter().any(|value| value["event"] == event),
            "no {event}"
        );
    }
    let text = serde_json::to_string(&said).unwrap();
    program.signal("TERM");
    let errors = program.end();
    for secret in ["hunter2", "opensesame"] {
        assert!(
            !text.contains(secret) && !errors.contains(secret),
            "{secret} is told"
        );
    }
    let films = files(&folder.path().join("out"), "mp4");
    assert_eq!(films.len(), 1, "{films:?}");
    let mut play = command("gst-launch-1.0");
    play.arg("filesrc")
        .arg(format!("location={}", films[0].display()));
    play.args(["!", "qtdemux", "!", "avdec_h264", "!", "fakesink"]);
    run_well(play, Duration::from_secs(60));
    let lines = fs::read_to_string(&files(&folder.path().join("out"), "jsonl")[0]).unwrap();
    let line: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert!(line["objects"].is_array(), "{line}");
}

#[test]
fn changes_of_the_file_touch_only_the_cameras_that_differ() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, gone) = (test_camera("kept", 0), test_camera("gone", 1));
    let file = cameras_file(
        folder.path(),
        &[kept.clone(), gone, test_camera("other", 2)],
        json!({}),
    );
    let mut program = Program::start(&file, &[]);
    for camera in ["kept", "gone", "other"] {
        program.wait_for(camera, |value| {
            value["camera"] == camera && value["state"] == "running"
        });
    }
    let whole = fs::read(&file).unwrap();
    fs::write(&file, b"{\"cameras\": [").unwrap();
    let refused = program.wait_for("a refusal", |value| value["event"] == "reload");
    let text = refused["text"].as_str().unwrap();
    assert!(
        text.contains("not applied") && text.contains(":1"),
        "{text}"
    );
    assert!(!whole.is_empty());
    let cameras = [kept, test_camera("other", 3), test_camera("new", 4)];
    cameras_file(folder.path(), &cameras, json!({}));
    program.signal("HUP");
    program.wait_for("the reload", |value| {
        value["text"] == "added new; removed gone; changed other"
    });
    program.wait_for("the new camera", |value| {
        value["camera"] == "new" && value["state"] == "running"
    });
    program.wait_for("the others", |value| {
        let cameras = value["cameras"].as_array().into_iter().flatten();
        let names: Vec<&str> = cameras
            .filter(|camera| camera["state"] == "running")
            .map(|camera| camera["name"].as_str().unwrap())
            .collect();
        names == ["kept", "new", "other"]
    });
    assert_eq!(program.states("kept"), ["starting", "running"]);
    // Rules of the gallery are those of all cameras: they start again together, and at once.
    let others = json!({ "retention": { "max-age": "1h" } });
    cameras_file(folder.path(), &cameras, others);
    program.wait_for("the restart of all", |value| {
        value["text"] == "added none; removed none; changed kept, other, new"
    });
    let mut runs = 0;
    program.wait_for("the first camera once more", |value| {
        runs += usize::from(value["camera"] == "kept" && value["state"] == "running");
        runs == 2
    });
    assert!(!program.states("kept").contains(&"waiting".to_owned()));
    program.signal("INT");
    program.end();
}

#[test]
fn a_file_that_was_played_ends_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let mut make = command("bash");
    let film = folder.path().join("a film.mp4");
    make.args(["-c", &format!("gst-launch-1.0 -e reidtestsrc num-buffers=20 ! videoconvert ! x264enc tune=zerolatency ! mp4mux ! filesink location='\"{}\"'", film.display())]);
    run_well(make, Duration::from_secs(60));
    let cameras = [
        json!({ "name": "film", "source": "a film.mp4", "options": { "publish": { "folder": "seen", "format": "mot" } } }),
    ];
    let file = cameras_file(folder.path(), &cameras, json!({}));
    let mut program = Program::start(&file, &[]);
    program.wait_for("the end", |value| value["state"] == "ended");
    let ended = program.states("film");
    program.end();
    assert_eq!(ended.last().unwrap(), "ended");
    assert!(!ended.contains(&"waiting".to_owned()), "{ended:?}");
}

#[test]
fn people_keep_their_numbers_across_cameras_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let models = json!({ "detector": "none", "embedder": root().join("models/reid-compact.onnx") });
    let mut short = test_camera("short", 1);
    short["source"]["test"]["num-buffers"] = 40.into();
    let file = cameras_file(
        folder.path(),
        &[test_camera("door", 0), short],
        json!({ "models": models }),
    );
    let mut program = Program::start(&file, &[]);
    // A pipeline that starts again finds the people of the one before: a match, not only new ids.
    for _ in 0..2 {
        program.wait_for("the end of the short one", |value| {
            value["camera"] == "short" && value["state"] == "waiting"
        });
    }
    program.wait_for("a recognition", |value| {
        value["event"] == "identity-matched"
    });
    program.signal("INT");
    program.end();
}

#[test]
fn the_service_manager_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let file = cameras_file(folder.path(), &[test_camera("door", 0)], json!({}));
    let program = Program::start_with(&file, &[], |command| {
        command
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "1000000");
    });
    let hear = || {
        let mut bytes = [0; 256];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    assert_eq!(hear(), "READY=1");
    let start = Instant::now();
    for _ in 0..3 {
        assert_eq!(hear(), "WATCHDOG=1");
    }
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    program.signal("TERM");
    while hear() != "STOPPING=1" {}
    program.end();
}
