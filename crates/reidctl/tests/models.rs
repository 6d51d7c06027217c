//! `reidctl models`: a catalogue whose addresses are those of a server of this test, which answers in every way that servers do.

#[path = "../../../tests/common/mod.rs"]
mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Cursor, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Output,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{command, reidctl, root, run, text};

const LIMIT: Duration = Duration::from_secs(120);

/// How the server behaves.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Well,
    /// Ends in the middle of what it has announced.
    Truncated,
    /// Says nothing more after the middle.
    Silent,
    /// Something else is there.
    Corrupt,
    Missing,
}

/// A server with one file, at `/model`; `/moved` leads there.
struct Server {
    address: String,
    way: Arc<Mutex<Way>>,
    tag: Arc<Mutex<String>>,
    /// Ranges that were asked for, and whether they were given.
    ranges: Arc<Mutex<Vec<u64>>>,
    over: Arc<AtomicBool>,
}

impl Server {
    fn start(content: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            way: Arc::new(Mutex::new(Way::Well)),
            tag: Arc::new(Mutex::new("\"one\"".into())),
            ranges: Arc::default(),
            over: Arc::default(),
        };
        let (way, tag, ranges, over) = (
            server.way.clone(),
            server.tag.clone(),
            server.ranges.clone(),
            server.over.clone(),
        );
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (way, tag) = (*way.lock().unwrap(), tag.lock().unwrap().clone());
                let (content, ranges, over) = (content.clone(), ranges.clone(), over.clone());
                std::thread::spawn(move || {
                    drop(answer(stream, &content, way, &tag, &ranges, &over));
                });
            }
        });
        server
    }

    fn behave(&self, way: Way) {
        *self.way.lock().unwrap() = way;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn answer(
    mut stream: TcpStream,
    content: &[u8],
    way: Way,
    tag: &str,
    ranges: &Mutex<Vec<u64>>,
    over: &AtomicBool,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap()?;
    let (mut range, mut condition) = (None, None);
    for line in lines {
        let line = line?;
        let lower = line.to_ascii_lowercase();
        if let Some(from) = lower.strip_prefix("range: bytes=") {
            range = from.trim_end_matches('-').parse::<u64>().ok();
        }
        if lower.starts_with("if-range: ") {
            condition = Some(line["if-range: ".len()..].to_owned());
        }
        if line.is_empty() {
            break;
        }
    }
    if request.contains("/moved") {
        return write!(
            stream,
            "HTTP/1.1 302 Found\r\nLocation: /model\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    if way == Way::Missing {
        return write!(
            stream,
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    if way == Way::Corrupt {
        let page = "<html>log in first</html>";
        return write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
            page.len()
        );
    }
    let range = range.filter(|_| condition.is_none_or(|condition| condition == tag));
    ranges.lock().unwrap().extend(range);
    let from = range.unwrap_or(0) as usize;
    let whole = content.len();
    if from >= whole {
        return write!(
            stream,
            "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{whole}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    let status = match range {
        Some(from) => format!(
            "206 Partial Content\r\nContent-Range: bytes {from}-{}/{whole}",
            whole - 1
        ),
        None => "200 OK".into(),
    };
    let rest = &content[from..];
    write!(
        stream,
        "HTTP/1.1 {status}\r\nETag: {tag}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        rest.len()
    )?;
    if matches!(way, Way::Truncated | Way::Silent) {
        stream.write_all(&rest[..rest.len() / 2])?;
        while way == Way::Silent && !over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
        return Ok(());
    }
    stream.write_all(rest)
}

/// A folder for models and a catalogue.
struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    fn new(entry: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("catalogue.toml"), entry).unwrap();
        Self { folder }
    }

    fn models(&self) -> PathBuf {
        self.folder.path().join("models")
    }

    fn get(&self, arguments: &[&str]) -> Output {
        let mut command = reidctl();
        command
            .args(["models", "get", "crew", "--timeout", "1", "--catalogue"])
            .arg(self.folder.path().join("catalogue.toml"))
            .arg("--folder")
            .arg(self.models())
            .args(arguments);
        run(command, LIMIT)
    }

    fn refused(&self, arguments: &[&str], parts: &[&str]) {
        let output = self.get(arguments);
        let said = text(&output);
        assert!(!output.status.success(), "{said}");
        for part in parts {
            assert!(said.contains(part), "no '{part}' in {said}");
        }
        assert!(!self.models().join("crew.onnx").exists(), "{said}");
    }

    fn got(&self, arguments: &[&str], parts: &[&str]) {
        let output = self.get(arguments);
        let said = text(&output);
        assert!(output.status.success(), "{said}");
        for part in parts {
            assert!(said.contains(part), "no '{part}' in {said}");
        }
        let mut names: Vec<String> = fs::read_dir(self.models())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["crew.onnx", "crew.toml"], "nothing else is left");
    }
}

fn entry(address: &str, more: &str) -> String {
    let sha = match more.contains("sha256") {
        true => "",
        false => "sha256 = \"unverified\"\n",
    };
    let format = match more.contains("format") {
        true => "",
        false => "format = \"onnx\"\n",
    };
    format!(
        "[[model]]\nname = \"crew\"\ntask = \"detect\"\nlicence = \"MIT\"\naddress = \"{address}\"\n{format}{sha}{more}"
    )
}

fn model() -> Vec<u8> {
    fs::read(root().join("models/person-detector.onnx")).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m");
    fs::write(&file, bytes).unwrap();
    let mut sum = command("sha256sum");
    sum.arg(&file);
    let said = text(&common::run_well(sum, LIMIT));
    said.split(' ').next().unwrap().to_owned()
}

#[test]
fn an_unverified_model_is_shown_and_kept_only_on_request_and_then_found_by_name() {
    let server = Server::start(model());
    let sum = sha256(&model());
    let reported = format!("reported = \"{sum}\"\n");
    let lab = Lab::new(&entry(&format!("{}/moved", server.address), &reported));
    let size = format!("{} bytes", model().len());
    let from = format!("{}/model", server.address);
    lab.refused(
        &[],
        &[
            "nobody here has verified",
            &size,
            &sum,
            "as others report it",
            &from,
            "was not kept",
            "--yes",
        ],
    );
    // It is not sent again.
    lab.got(
        &["--yes"],
        &["detector, layout yolov8", "found", "yolodetect model=crew"],
    );
    assert_eq!(*server.ranges.lock().unwrap(), [model().len() as u64]);
    let again = lab.get(&["--yes"]);
    assert!(!again.status.success() && text(&again).contains("--replace"));
    let sidecar = fs::read_to_string(lab.models().join("crew.toml")).unwrap();
    assert!(sidecar.contains("layout = \"yolov8\""), "{sidecar}");
    let play = |name: &str| {
        let mut launch = command("gst-launch-1.0");
        launch.env("GST_REID_MODELS", lab.models());
        launch.env("XDG_DATA_HOME", lab.folder.path());
        launch.args(["-q", "reidtestsrc", "num-buffers=2", "!", "yolodetect"]);
        launch.arg(format!("model={name}")).args(["!", "fakesink"]);
        run(launch, LIMIT)
    };
    let output = play("crew");
    assert!(output.status.success(), "{}", text(&output));
    let unknown = text(&play("rtmdet-nano"));
    assert!(
        unknown.contains("reidctl models get rtmdet-nano"),
        "{unknown}"
    );
}

#[test]
fn what_was_cut_is_continued_and_what_has_changed_begins_anew() {
    let server = Server::start(model());
    let verified = format!("sha256 = \"{}\"\n", sha256(&model()));
    let lab = Lab::new(&entry(&format!("{}/model", server.address), &verified));
    server.behave(Way::Truncated);
    lab.refused(&[], &["it continues there"]);
    server.behave(Way::Silent);
    lab.refused(&[], &["sent nothing for 1 s", "it continues there"]);
    let had: Vec<u64> = server.ranges.lock().unwrap().clone();
    assert_eq!(
        had.len(),
        1,
        "the second attempt continued the first: {had:?}"
    );
    server.behave(Way::Well);
    lab.got(&[], &["detector"]);
    assert!(server.ranges.lock().unwrap().last() > had.last());
    // Another version of the file in between.
    fs::remove_dir_all(lab.models()).unwrap();
    server.behave(Way::Truncated);
    lab.refused(&[], &["it continues there"]);
    *server.tag.lock().unwrap() = "\"two\"".into();
    server.behave(Way::Well);
    lab.got(&[], &["detector"]);
}

#[test]
fn corrupt_files_are_refused_and_leave_nothing() {
    let server = Server::start(model());
    let address = format!("{}/model", server.address);
    server.behave(Way::Corrupt);
    Lab::new(&entry(&address, "")).refused(&["--yes"], &["could not be loaded"]);
    let lab = Lab::new(&entry(
        &address,
        &format!("sha256 = \"{}\"\n", "0".repeat(64)),
    ));
    lab.refused(&[], &["the checksum is", "it was deleted"]);
    server.behave(Way::Well);
    lab.refused(&["--yes"], &["the checksum is"]);
    server.behave(Way::Missing);
    lab.refused(&[], &["404", "reidctl models import"]);
    let part = fs::read_dir(lab.models()).unwrap().flatten();
    assert!(
        !part
            .map(|e| e.path())
            .any(|path| path.extension().is_some_and(|e| e == "part"))
    );
    let gone = Lab::new(&entry("http://127.0.0.1:9/model", ""));
    gone.refused(&[], &["HTTPS_PROXY"]);
}

#[test]
fn a_model_in_an_archive_is_unpacked() {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated);
    zip.start_file("sdk/end2end.onnx", options).unwrap();
    zip.write_all(&model()).unwrap();
    let archive = zip.finish().unwrap().into_inner();
    let server = Server::start(archive);
    let address = format!("{}/model", server.address);
    let of = |member: &str| {
        let more =
            format!("format = \"zip\"\nmember = \"{member}\"\nsidecar = \"labels = ['person']\"\n");
        Lab::new(&entry(&address, &more))
    };
    of("other.onnx").refused(&["--yes"], &["there is no other.onnx"]);
    of("end2end.onnx").got(&["--yes"], &["detector"]);
}

#[test]
fn models_that_are_not_onnx_say_how_to_convert_them() {
    for (format, part) in [("openvino-ir", "OpenVINO"), ("pytorch", "Export it")] {
        let more = format!("format = \"{format}\"\n");
        let lab = Lab::new(&entry("https://nowhere.invalid/model", &more));
        lab.refused(&[], &[part, "reidctl models import FILE"]);
    }
}

fn import(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = reidctl();
    command
        .args(["models", "import", "--folder"])
        .arg(folder)
        .args(arguments);
    run(command, LIMIT)
}

#[test]
fn a_file_is_inspected_tried_and_copied() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    let file = folder.path().join("looks.onnx");
    fs::copy(root().join("models/reid-compact.onnx"), &file).unwrap();
    let file = file.to_str().unwrap();
    let output = import(&models, &[file, "--name", "mine"]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    for part in [
        "embedder, vectors of",
        "mean cosine",
        "reidembed model=mine",
    ] {
        assert!(said.contains(part), "no '{part}' in {said}");
    }
    // The vectors are those of the file where it was: what is written beside it changes nothing.
    let cosine = |model: &Path| {
        let mut command = reidctl();
        command.args(["compare", "--json", "--model"]).arg(model);
        for picture in ["person-detector-course.png", "reid-default-curves.png"] {
            command.arg(root().join("models/results").join(picture));
        }
        let output = run(command, LIMIT);
        let said: serde_json::Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
        said["cosine"].as_f64().unwrap()
    };
    let difference = cosine(&models.join("mine.onnx")) - cosine(Path::new(file));
    assert!(difference.abs() < 1e-4, "{difference}");
    assert!(text(&import(&models, &[file, "--name", "mine"])).contains("--replace"));
    assert!(
        import(&models, &[file, "--name", "mine", "--replace"])
            .status
            .success()
    );
    for (name, part) in [("a.xml", "OpenVINO"), ("b.onnx", "neither a detector")] {
        let file = folder.path().join(name);
        fs::write(&file, "<?xml?>").unwrap();
        let output = import(&models, &[file.to_str().unwrap()]);
        assert!(!output.status.success());
        assert!(text(&output).contains(part), "{}", text(&output));
    }
    let mut list = reidctl();
    list.args(["models", "list"]);
    let listed = text(&run(list, LIMIT));
    for part in [
        "rtmdet-nano",
        "Apache-2.0",
        "get, unverified",
        "needs conversion",
    ] {
        assert!(listed.contains(part), "{listed}");
    }
}
