//! The cameras file: forms, mistakes, what is printed.

use std::{fs, path::Path, time::Duration};

use tempfile::TempDir;

use crate::common::{reidctl, root, run, run_well, text};

const LIMIT: Duration = Duration::from_secs(30);

fn written(name: &str, content: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, content).unwrap();
    (folder, file.display().to_string())
}

/// What `reidctl run` says with these options, and whether it is content.
fn said(file: &str, option: &str) -> (bool, String) {
    let mut command = reidctl();
    command.args(["run", option, file]);
    let output = run(command, LIMIT);
    (output.status.success(), text(&output))
}

#[test]
fn the_first_projects_file_is_taken_as_it_is() {
    let (_folder, file) = written(
        "cams.json",
        r#"{"cameras": [{"camname": "door", "ip": 0}, {"camname": "hall", "ip": "http://192.168.1.20:8080/video"}]}"#,
    );
    let (well, text) = said(&file, "--check");
    assert!(well && text.contains("2 cameras, no errors"), "{text}");
    let (_, lines) = said(&file, "--print");
    assert!(
        lines.contains("v4l2src device=/dev/video0 ! decodebin"),
        "{lines}"
    );
    assert!(
        lines.contains("uridecodebin uri=http://192.168.1.20:8080/video"),
        "{lines}"
    );
}

/// A file's name and content, and what is said of it.
type Mistake = (&'static str, &'static str, &'static [&'static str]);

/// Mistakes about cameras.
const CAMERAS: &[Mistake] = &[
    (
        "a.json",
        "{\n\"cameras\": [\n{\"name\": \"a\", \"sorce\": 0}]}",
        &["a.json:3", "cameras[0].sorce", "did you mean `source`?"],
    ),
    (
        "a.json",
        "{\"cameras\": []}",
        &["cameras: there is no camera", "add one"],
    ),
    (
        "a.json",
        "{\"cameras\": [\n{\"name\": \"a\", \"source\": \"x.mp4\"},\n{\"name\": \"A\",\n \"source\": 1}]}",
        &[
            "a.json:2: cameras[0].source: there is no file",
            "a.json:3: cameras[1].name: another camera",
        ],
    ),
    (
        "a.json",
        "{\"cameras\": [{\"name\": \"a\", \"source\": \"10.0.0.5\"}]}",
        &["a.json:1", "rtsp://10.0.0.5/stream"],
    ),
];

/// Mistakes about what is done with them.
const OPTIONS: &[Mistake] = &[
    (
        "a.toml",
        "[[cameras]]\nname = 'a'\nsource = 'test'\n\n[gallery]\nthumbnails = true\n",
        &["a.toml:6: gallery.thumbnails", "add gallery.location"],
    ),
    (
        "a.toml",
        "[[cameras]]\nname = 'a'\nsource = 'test'\n[retention]\nmax-age = 'soon'\n",
        &["a.toml:5: retention.max-age", "\"30d\""],
    ),
    (
        "a.toml",
        "[[cameras]]\nname = 'a'\nsource = { test = { camera = 4 } }\n",
        &[
            "a.toml:3: cameras[0].source",
            "camera 4 of 4 does not exist",
        ],
    ),
    (
        "a.toml",
        "[[cameras]]\nname = 'a'\nsource = 'test'\n[options]\nblur = 'all'\nrecord = { folder = 'r', what = 'received' }\n",
        &[
            "cameras[0].options",
            "only the annotated picture is blurred",
        ],
    ),
    (
        "a.toml",
        "[[cameras]]\nname = 'a'\nsource = 'test'\n[options]\nrecord = { folder = 'r', what = 'received' }\n",
        &["cameras[0].options.record", "raw pictures", "plain"],
    ),
    (
        "a.toml",
        "[[cameras]]\nname = 'a'\nsource = 'test'\n[options]\npublish = {}\n",
        &["cameras[0].options.publish: it goes nowhere"],
    ),
    (
        "a.toml",
        "[[cameras]]\nname = 'a'\nsource = 'test'\n[options.publish]\nkafka = 'kafka://host'\n",
        &["cameras[0].options.publish.kafka: location=kafka://host"],
    ),
    (
        "a.toml",
        "[[cameras]]\nname = 'a'\nsource = 'test'\noptions = { publish = { mqtt = 'amqp://host/t' } }\n[models]\ndetector = 'rtmdet-nano'\n",
        &[
            "a.toml:4: cameras[0].options.publish.mqtt",
            "reidctl models get rtmdet-nano",
        ],
    ),
    (
        "a.toml",
        "[[cameras]]\nname = 'a'\nsource = 'test'\n[mosaic]\ntile-width = 17\nrate = 0\n",
        &["a.toml:4: mosaic: tile-width", "a.toml:6: mosaic.rate"],
    ),
    ("a.toml", "[[cameras]\n", &["a.toml:1"]),
    (
        "a.toml",
        "topology = 'no-such.toml'\n[[cameras]]\nname = 'a'\nsource = 'test'\n[models]\ndetector = 'no.onnx'\ndevice = 'abacus'\n",
        &[
            "a.toml:1: topology",
            "a.toml:6: models.detector: there is no file",
            "a.toml:7: models.device",
        ],
    ),
];

#[test]
fn mistakes_come_with_line_key_and_remedy() {
    for (name, content, parts) in CAMERAS.iter().chain(OPTIONS) {
        let (_folder, file) = written(name, content);
        let (well, text) = said(&file, "--check");
        assert!(!well && !text.contains("panicked"), "{content}: {text}");
        for part in *parts {
            assert!(text.contains(part), "no '{part}' in: {text}");
        }
    }
    let (well, text) = said("/no/such/file.json", "--check");
    assert!(!well && text.contains("cannot be read"), "{text}");
}

#[test]
fn passwords_are_never_printed() {
    let (_folder, file) = written(
        "cams.json",
        r#"{"cameras": [{"name": "door", "source": "rtsp://ada:hunter2@10.0.0.5/1?key=opensesame"}],
            "gallery": {"location": "postgresql://ada:s3cret99@10.0.0.6/people"}}"#,
    );
    let (well, lines) = said(&file, "--print");
    assert!(well && lines.contains("rtspsrc"), "{lines}");
    for secret in ["hunter2", "opensesame", "s3cret99"] {
        assert!(!lines.contains(secret), "{lines}");
    }
}

#[test]
fn printed_lines_are_those_of_gst_launch() {
    let (folder, file) = written(
        "cams.toml",
        "[[cameras]]\nname = \"the 'door'\"\nsource = { test = { num-buffers = 5, attach = 'detections' } }\n\
         [models]\ndetector = 'none'\nembedder = 'none'\n[options]\npublish = { folder = 'seen it' }\n",
    );
    fs::create_dir(folder.path().join("seen it")).unwrap();
    let (_, lines) = said(&file, "--print");
    let line = lines
        .lines()
        .find(|line| line.starts_with("gst-launch"))
        .unwrap();
    let mut shell = crate::common::command("bash");
    shell.args(["-c", line]);
    run_well(shell, LIMIT);
    assert!(
        folder
            .path()
            .join("seen it/the__door_-TIME.jsonl")
            .is_file()
    );
}

#[test]
fn examples_and_the_readme_are_correct() {
    for name in ["pipelines/cams.json", "pipelines/cameras.toml"] {
        let file = root().join(name).display().to_string();
        let (well, text) = said(&file, "--check");
        assert!(well, "{text}");
    }
    for document in ["README.md", "docs/run.md"] {
        let content = fs::read_to_string(root().join(document)).unwrap();
        let blocks: Vec<&str> = content
            .split("```toml\n# cams.toml\n")
            .skip(1)
            .map(|rest| rest.split("```").next().unwrap())
            .collect();
        assert!(!blocks.is_empty(), "{document} shows no cams.toml");
        for block in blocks {
            let (_folder, file) = written("cams.toml", block);
            let (well, text) = said(&file, "--check");
            assert!(well, "{document}: {text}");
        }
    }
}

#[test]
fn every_key_is_explained() {
    let explained = fs::read_to_string(root().join("docs/run.md")).unwrap();
    let schema = fs::read_to_string(root().join("docs/cameras.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let mut tables: Vec<&serde_json::Value> =
        schema["$defs"].as_object().unwrap().values().collect();
    tables.push(&schema);
    let mut count = 0;
    for table in tables {
        for key in table["properties"].as_object().into_iter().flatten() {
            count += 1;
            assert!(
                explained.contains(&format!("`{}`", key.0)),
                "docs/run.md lacks {}",
                key.0
            );
        }
    }
    assert!(count > 40, "{count} keys");
}

#[test]
fn the_committed_schema_is_the_programs() {
    let mut command = reidctl();
    command.args(["run", "--schema"]);
    let now = String::from_utf8(run_well(command, LIMIT).stdout).unwrap();
    let path = root().join("docs/cameras.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, &now).unwrap();
    }
    let kept = fs::read_to_string(path).unwrap();
    assert!(
        kept == now,
        "docs/cameras.schema.json is behind: UPDATE_SCHEMA=1 cargo test -p reidctl --test run"
    );
}

#[test]
fn examples_fit_the_schema_and_mistakes_do_not() {
    let read = |path: &Path| -> serde_json::Value {
        let text = fs::read_to_string(path).unwrap();
        match path.extension().unwrap() == "toml" {
            true => toml::from_str(&text).unwrap(),
            false => serde_json::from_str(&text).unwrap(),
        }
    };
    let schema = read(&root().join("docs/cameras.schema.json"));
    let check = |value: &serde_json::Value| crate::schema::faults(value, &schema, &schema);
    for name in ["pipelines/cams.json", "pipelines/cameras.toml"] {
        let mut value = read(&root().join(name));
        if name.ends_with("cams.json") {
            // The schema describes the names of today; the older ones are read, too.
            let old = value
                .to_string()
                .replace("camname", "name")
                .replace("\"ip\"", "\"source\"");
            value = serde_json::from_str(&old).unwrap();
        }
        assert_eq!(check(&value), Vec::<String>::new(), "{name}");
    }
    let wrong = serde_json::json!({ "cameras": [{ "name": "a", "sorce": 0 }] });
    assert!(!check(&wrong).is_empty());
}
