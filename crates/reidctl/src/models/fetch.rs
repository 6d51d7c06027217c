//! Fetches a file by HTTP: continues where it ended before, notices silence and early ends.

use std::{
    error::Error,
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use ureq::{
    Agent, Body, ResponseExt,
    http::{HeaderMap, Response, StatusCode, header},
    tls::{RootCerts, TlsConfig, TlsProvider},
};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(20);
/// Largest file that is taken, bytes.
const LARGEST: u64 = 2 << 30;
/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// What was fetched.
pub struct Got {
    /// The address that it came from in the end.
    pub source: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// Where a file begins to be written, and what it will be.
struct Plan {
    source: String,
    begin: u64,
    /// Bytes of the whole, if the server says.
    total: Option<u64>,
    /// What identifies this version of the file at the server.
    version: Option<String>,
}

/// Fetches `address` into `part`. What is there of the same version is continued. A server that sends nothing for `silence` is
/// given up.
pub fn fetch(address: &str, part: &Path, silence: Duration) -> Result<Got, Box<dyn Error>> {
    let named = |what: String| format!("{address}: {what}");
    let known = Before::read(part, address);
    let response = ask(address, known.as_ref(), silence).map_err(|error| named(told(&error)))?;
    if response.status() == StatusCode::RANGE_NOT_SATISFIABLE
        && let Some(before) = &known
        && total_of(response.headers()) == Some(before.length)
    {
        // All of it came last time.
        return finished(part, response.get_uri().to_string());
    }
    let response = match response.status() {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => response,
        StatusCode::RANGE_NOT_SATISFIABLE => {
            ask(address, None, silence).map_err(|error| named(told(&error)))?
        }
        status => return Err(named(refusal(status)).into()),
    };
    let plan = plan(&response, known.as_ref());
    if plan.total.is_some_and(|total| total > LARGEST) {
        return Err(named(format!("more than {LARGEST} bytes")).into());
    }
    remember(part, address, plan.version.as_deref())?;
    let length = receive(response.into_body(), part, &plan, silence).map_err(named)?;
    if let Some(total) = plan.total.filter(|total| *total != length) {
        return Err(named(format!(
            "the connection ended after {length} of {total} bytes; run it again, it continues there"
        ))
        .into());
    }
    finished(part, plan.source)
}

fn refusal(status: StatusCode) -> String {
    let remedy = match status.as_u16() {
        404 | 410 => {
            "it is no longer there: look for it at its makers, and give the file to `reidctl models import`"
        }
        401 | 403 => {
            "its makers want a login: fetch it there, and give the file to `reidctl models import`"
        }
        _ => "try again later",
    };
    format!("the server answers {status}; {remedy}")
}

fn told(error: &ureq::Error) -> String {
    format!(
        "{error}; check the connection (HTTPS_PROXY is honoured), or fetch the file elsewhere and give it to `reidctl models import`"
    )
}

fn ask(
    address: &str,
    before: Option<&Before>,
    silence: Duration,
) -> Result<Response<Body>, ureq::Error> {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::NativeTls)
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    let agent: Agent = Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(silence))
        .http_status_as_error(false)
        // A redirection to http:// is refused.
        .https_only(address.starts_with("https://"))
        .user_agent(concat!("reidctl/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut request = agent.get(address);
    if let Some(before) = before {
        request = request.header(header::RANGE, format!("bytes={}-", before.length));
        if let Some(version) = &before.version {
            request = request.header(header::IF_RANGE, version);
        }
    }
    request.call()
}

fn plan(response: &Response<Body>, before: Option<&Before>) -> Plan {
    let headers = response.headers();
    let text = |name| {
        let value: Option<&ureq::http::HeaderValue> = headers.get(name);
        value?.to_str().ok().map(str::to_owned)
    };
    let is_continued = response.status() == StatusCode::PARTIAL_CONTENT
        && before.is_some_and(|before| start_of(headers) == Some(before.length));
    let begin = before.filter(|_| is_continued).map_or(0, |b| b.length);
    let length: Option<u64> = text(header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
    Plan {
        source: response.get_uri().to_string(),
        begin,
        total: total_of(headers).or(length.map(|length| begin + length)),
        // A weak validator does not identify bytes.
        version: text(header::ETAG)
            .filter(|tag| !tag.starts_with("W/"))
            .or(text(header::LAST_MODIFIED)),
    }
}

/// `bytes 100-199/200`, `bytes */200`.
fn content_range(headers: &HeaderMap) -> Option<(&str, &str)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    text.strip_prefix("bytes ")?.split_once('/')
}

fn start_of(headers: &HeaderMap) -> Option<u64> {
    content_range(headers)?.0.split('-').next()?.parse().ok()
}

fn total_of(headers: &HeaderMap) -> Option<u64> {
    content_range(headers)?.1.parse().ok()
}

/// What an earlier attempt left.
struct Before {
    length: u64,
    version: Option<String>,
}

fn notes(part: &Path) -> PathBuf {
    part.with_extension("part.from")
}

impl Before {
    fn read(part: &Path, address: &str) -> Option<Self> {
        let length = fs::metadata(part).ok()?.len();
        let text = fs::read_to_string(notes(part)).ok()?;
        let mut lines = text.lines();
        (lines.next()? == address && length > 0).then(|| Self {
            length,
            version: lines.next().map(str::to_owned),
        })
    }
}

fn remember(part: &Path, address: &str, version: Option<&str>) -> Result<(), String> {
    let text = format!("{address}\n{}\n", version.unwrap_or_default());
    let text = text.trim_end().to_owned() + "\n";
    fs::write(notes(part), text)
        .map_err(|error| format!("{} cannot be written: {error}", notes(part).display()))
}

/// Writes the body to the file; its length afterwards.
fn receive(body: Body, part: &Path, plan: &Plan, silence: Duration) -> Result<u64, String> {
    let written = |error: std::io::Error| format!("{} cannot be written: {error}", part.display());
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(plan.begin == 0);
    let mut file = options.open(part).map_err(written)?;
    file.set_len(plan.begin).map_err(written)?;
    file.seek(SeekFrom::End(0)).map_err(written)?;
    let bar = bar(plan);
    let chunks = read_aside(body);
    let mut length = plan.begin;
    loop {
        match chunks.recv_timeout(silence) {
            Ok(Ok(chunk)) => {
                length += chunk.len() as u64;
                if length > LARGEST {
                    return Err(format!("more than {LARGEST} bytes"));
                }
                file.write_all(&chunk).map_err(written)?;
                bar.set_position(length);
            }
            Ok(Err(error)) => {
                file.sync_all().map_err(written)?;
                return Err(format!(
                    "the connection broke after {length} bytes ({error}); run it again, it continues there"
                ));
            }
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!(
                    "the server sent nothing for {} s after {length} bytes; run it again, it continues there",
                    silence.as_secs()
                ));
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    file.sync_all().map_err(written)?;
    bar.finish_and_clear();
    Ok(length)
}

/// Reads in a thread, which a silent server may hold for ever.
fn read_aside(body: Body) -> Receiver<std::io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::sync_channel(8);
    thread::spawn(move || {
        let mut reader = body.into_with_config().limit(LARGEST + 1).reader();
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = match reader.read(&mut chunk) {
                Ok(0) => return,
                Ok(read) => {
                    chunk.truncate(read);
                    sender.send(Ok(chunk))
                }
                Err(error) => {
                    let _ = sender.send(Err(error));
                    return;
                }
            };
            if read.is_err() {
                return;
            }
        }
    });
    receiver
}

fn bar(plan: &Plan) -> ProgressBar {
    let template = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    match plan.total {
        Some(total) => ProgressBar::new(total).with_style(style),
        None => ProgressBar::new_spinner(),
    }
}

fn finished(part: &Path, source: String) -> Result<Got, Box<dyn Error>> {
    let mut file = File::open(part)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut size = 0;
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        size += read as u64;
        hash.update(&chunk[..read]);
    }
    let sha256 = hash
        .finalize()
        .into_iter()
        .map(|byte| format!("{byte:02x}"));
    Ok(Got {
        source,
        size,
        sha256: sha256.collect(),
    })
}
