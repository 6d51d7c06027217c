//! A running `reidctl run`, what it has said so far, and requests to its page.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::common;

/// How long anything may take.
pub const LIMIT: Duration = Duration::from_secs(60);

pub struct Program {
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
    errors: PathBuf,
}

impl Program {
    /// Starts with JSON lines; `file` lies in a folder of its own.
    pub fn start(file: &Path, arguments: &[&str]) -> Self {
        Self::start_with(file, arguments, |_| {})
    }

    pub fn start_with(file: &Path, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        let errors = file.with_extension("stderr");
        let mut command = common::reidctl();
        command
            .args(["run", "--json", "--interval", "1"])
            .args(arguments)
            .arg(file)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&errors).unwrap());
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let lines = Arc::<Mutex<Vec<Value>>>::default();
        let (out, heard) = (child.stdout.take().unwrap(), lines.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let value =
                    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                heard.lock().unwrap().push(value);
            }
        });
        Self {
            child,
            lines,
            errors,
        }
    }

    /// Everything said so far.
    pub fn said(&self) -> Vec<Value> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits until something said fulfils `wanted`, and returns it.
    pub fn wait_for(&mut self, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let start = Instant::now();
        let mut seen = 0;
        loop {
            let said = self.said();
            if let Some(found) = said[seen..].iter().find(|value| wanted(value)) {
                return found.clone();
            }
            seen = said.len();
            let exit = self.child.try_wait().unwrap();
            let errors = fs::read_to_string(&self.errors).unwrap();
            let tail: Vec<_> = said.iter().rev().take(12).collect();
            assert!(
                exit.is_none() && start.elapsed() < LIMIT,
                "{what} did not come ({exit:?}): {tail:#?}\n{errors}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The newest status of a camera.
    pub fn status(&self, camera: &str) -> Option<Value> {
        let said = self.said();
        let newest = said.iter().rev().find(|value| value["event"] == "status")?;
        let cameras = newest["cameras"].as_array()?;
        cameras.iter().find(|c| c["name"] == camera).cloned()
    }

    /// The states that a camera was in, oldest first.
    pub fn states(&self, camera: &str) -> Vec<String> {
        let said = self.said();
        let own = said
            .iter()
            .filter(|value| value["event"] == "camera" && value["camera"] == camera);
        own.map(|value| value["state"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The port of the page.
    pub fn port(&mut self) -> u16 {
        let page = self.wait_for("the page", |value| value["event"] == "page");
        let address = page["text"].as_str().unwrap().trim_end_matches('/');
        address.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Resident memory, MiB.
    pub fn memory_mib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.and_then(|kib| kib.parse::<f64>().ok()).unwrap() / 1024.0
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for a program that ends by itself or was told to; what it wrote to stderr.
    pub fn end(mut self) -> String {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                start.elapsed() < LIMIT,
                "it does not end: {:?}",
                self.said().last()
            );
            std::thread::sleep(Duration::from_millis(20));
        };
        let errors = fs::read_to_string(&self.errors).unwrap();
        assert!(status.success(), "{status}: {errors}");
        errors
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended by itself as a rule.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A live camera of the test source that needs no model.
pub fn test_camera(name: &str, camera: u32) -> Value {
    json!({ "name": name, "source": { "test": {
        "camera": camera, "cameras": 8, "people": 6, "seed": 3, "pattern": "crossing", "attach": "detections",
        "width": 320, "height": 240, "rate": 10
    } } })
}

/// A file with `cameras` that need no detector.
pub fn cameras_file(folder: &Path, cameras: &[Value], others: Value) -> PathBuf {
    let mut text = json!({
        "cameras": cameras,
        "models": { "detector": "none", "embedder": "none" },
        "restart": { "stall-seconds": 2, "first-seconds": 0.2, "longest-seconds": 2.0 }
    });
    for (key, value) in others.as_object().unwrap() {
        text[key] = value.clone();
    }
    let file = folder.join("cameras.json");
    // In one step: the program looks at it at any time.
    let part = folder.join("cameras.part");
    fs::write(&part, serde_json::to_string_pretty(&text).unwrap()).unwrap();
    fs::rename(part, &file).unwrap();
    file
}

/// An answer of the page.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.head, self.text()))
    }
}

/// Sends a request with the lines of `head` added and reads the whole answer.
pub fn ask(port: u16, request: &str, head: &[&str], body: &str) -> Answer {
    ask_with(port, request, head, body.as_bytes())
}

/// The same with a body of any bytes.
pub fn ask_with(port: u16, request: &str, head: &[&str], body: &[u8]) -> Answer {
    let mut text = format!("{request} HTTP/1.1\r\nConnection: close\r\n");
    if !head.iter().any(|line| line.starts_with("Host:")) {
        text += &format!("Host: 127.0.0.1:{port}\r\n");
    }
    for line in head {
        text += &format!("{line}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    text += "\r\n";
    raw(port, &[text.as_bytes(), body].concat())
}

/// Sends bytes as they are. A server that closes early is no failure of the test.
pub fn raw(port: u16, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let at = end.map_or(answer.len(), |end| end + 4);
    let head = String::from_utf8_lossy(&answer[..at]).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let mut body = answer[at..].to_vec();
    if head.to_lowercase().contains("transfer-encoding: chunked") {
        body = unchunked(&body);
    }
    Answer {
        status: status.unwrap_or(0),
        head,
        body,
    }
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(at) = body.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(&String::from_utf8_lossy(&body[..at]), 16).unwrap();
        whole.extend(&body[at + 2..at + 2 + size]);
        body = &body[at + 4 + size..];
        if size == 0 {
            break;
        }
    }
    whole
}

pub fn get(port: u16, path: &str) -> Answer {
    ask(port, &format!("GET {path}"), &[], "")
}

pub fn post_json(port: u16, path: &str, body: &Value) -> Answer {
    ask(
        port,
        &format!("POST {path}"),
        &["Content-Type: application/json"],
        &body.to_string(),
    )
}

pub fn post_form(port: u16, path: &str, body: &str) -> Answer {
    let kind = "Content-Type: application/x-www-form-urlencoded";
    ask(port, &format!("POST {path}"), &[kind], body)
}
