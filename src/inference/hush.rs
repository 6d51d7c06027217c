//! Keeps standard error readable while ONNX Runtime opens its first model.
//!
//! Debian 13's build shares `libonnx` with other programs, which registers its operators by itself. With the first model ONNX Runtime
//! registers them again, and says a thousand times `Schema error: Trying to register schema …` (1.21.0+dfsg-1). Nothing is wrong, but a first pipeline
//! looks as if everything were. No log level stops it.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    os::fd::OwnedFd,
    path::Path,
    sync::Mutex,
    thread,
};

use crate::sync::lock;

/// How such a line begins. An empty one follows.
const NOISE: &[u8] = b"Schema error: Trying to register schema";
/// Ends the filter; nobody else writes this.
const END: &[u8] = b"\x00gst-plugin-reid: loaded\n";

/// Runs `work`, for the first time in this process while those lines are dropped from standard error, if `library` may be Debian's. All
/// others pass, those of other threads too.
pub fn without_schema_errors<T>(library: &Path, work: impl FnOnce() -> T) -> T {
    static WAS_FIRST: Mutex<bool> = Mutex::new(false);
    let mut was_first = lock(&WAS_FIRST);
    if *was_first || !is_shared(library) {
        drop(was_first);
        return work();
    }
    *was_first = true;
    let filter = Filter::start();
    let result = work();
    drop(filter);
    result
}

/// Whether the library is the system's, and the system's is one that shares `libonnx`.
fn is_shared(library: &Path) -> bool {
    let is_system = library
        .parent()
        .is_none_or(|folder| folder.as_os_str().is_empty() || folder.starts_with("/usr/lib"));
    let folders = || {
        std::fs::read_dir("/usr/lib")
            .into_iter()
            .flatten()
            .flatten()
    };
    is_system && folders().any(|folder| folder.path().join("libonnx.so.1").exists())
}

/// A thread between standard error and what it was before.
struct Filter {
    before: OwnedFd,
    thread: Option<thread::JoinHandle<()>>,
}

impl Filter {
    fn start() -> io::Result<Self> {
        let before = rustix::io::dup(rustix::stdio::stderr())?;
        let out = File::from(before.try_clone()?);
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let thread = thread::Builder::new()
            .name("reid-stderr".into())
            .spawn(move || pass(BufReader::new(File::from(read)), out))?;
        rustix::stdio::dup2_stderr(&write)?;
        Ok(Self {
            before,
            thread: Some(thread),
        })
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        // The end goes the same way as what came before it. When that fails the thread ends with the pipe.
        let _ = io::stderr().write_all(END);
        let _ = rustix::stdio::dup2_stderr(&self.before);
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed.
            let _ = thread.join();
        }
    }
}

/// Passes lines on until the end, those of the noise left out.
fn pass(mut read: impl BufRead, mut out: impl Write) {
    let (mut line, mut was_noise) = (Vec::new(), false);
    loop {
        line.clear();
        let is_over = !matches!(read.read_until(b'\n', &mut line), Ok(1..));
        if is_over || line.ends_with(END) {
            // What was written without an end of line.
            let begun = line.strip_suffix(END).unwrap_or_default();
            let _ = out.write_all(begun);
            return;
        }
        let is_noise = line.starts_with(NOISE) || (was_noise && line == b"\n");
        was_noise = line.starts_with(NOISE);
        if !is_noise {
            // Nobody can be told that standard error does not work.
            let _ = out.write_all(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_noise_is_left_out() {
        let text = [
            b"one\n",
            NOISE,
            b" with name Abs\n\ntwo\n\n",
            NOISE,
            b"\n\nthree",
            END,
            b"four\n",
        ];
        let mut out = Vec::new();
        pass(text.concat().as_slice(), &mut out);
        assert_eq!(out, b"one\ntwo\n\nthree");
    }

    #[test]
    fn standard_error_is_what_it_was_afterwards() {
        let same =
            |a: rustix::fs::Stat, b: rustix::fs::Stat| (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino);
        let now = || rustix::fs::fstat(rustix::stdio::stderr()).unwrap();
        let before = now();
        let filter = Filter::start().unwrap();
        assert!(!same(before, now()));
        drop(filter);
        assert!(same(before, now()));
    }

    #[test]
    fn a_library_of_ones_own_is_not_filtered() {
        assert!(!is_shared(Path::new("/opt/onnxruntime/libonnxruntime.so")));
    }
}
