//! What the test programs share: where things lie, running commands with the plugin that was just built.
#![allow(dead_code)] // each test program uses a part

pub mod people;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

/// The checkout's root, also for the tests of a package in `crates/`.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .find(|folder| folder.join("Cargo.lock").is_file())
        .expect("a workspace has a lock file")
}

/// Third-party test material, if this machine has it: `GST_REID_SHARED`, else `shared` beside the checkout.
/// Prints why a test that needs it is skipped.
pub fn shared_data() -> Option<PathBuf> {
    let folder = match std::env::var_os("GST_REID_SHARED") {
        Some(folder) => PathBuf::from(folder),
        None => root().parent()?.join("shared"),
    }
    .join("data");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "skipped: {} is not there (third-party test material, not part of the project)",
        folder.display()
    );
    None
}

/// The folder that `cargo test` builds into: two above this test program.
pub fn build_folder() -> PathBuf {
    let program = std::env::current_exe().expect("a running test has a path");
    program
        .ancestors()
        .nth(2)
        .expect("target/<profile>/deps/<test>")
        .to_path_buf()
}

/// A folder that holds nothing but the plugin that these tests were built with.
pub fn plugin_folder() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = build_folder().join("gst-plugin-under-test");
        fs::create_dir_all(&folder).expect("target is writable");
        let (from, to) = (
            build_folder().join("libgstreid.so"),
            folder.join("libgstreid.so"),
        );
        // Test programs run at the same time: replace the file in one step.
        let part = folder.join(format!("part-{}", std::process::id()));
        fs::copy(from, &part).expect("cargo has built the plugin");
        fs::rename(part, to).expect("target is writable");
        folder
    });
    &FOLDER
}

/// A command with the environment in which it finds the plugin, the models and `reidctl`.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(build_folder()).chain(std::env::split_paths(&path));
    command
        .current_dir(root())
        .env("GST_PLUGIN_PATH", plugin_folder())
        .env("GST_REGISTRY", build_folder().join("test-registry.bin"))
        .env(
            "PATH",
            std::env::join_paths(folders).expect("PATH was valid before"),
        )
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .stdin(Stdio::null());
    if std::env::var_os("GST_REID_MODELS").is_none() {
        command.env("GST_REID_MODELS", root().join("models"));
    }
    command
}

/// The companion program beside these tests: it is of another package, which `cargo build --workspace` builds.
pub fn reidctl() -> Command {
    let program = build_folder().join("reidctl");
    assert!(
        program.is_file(),
        "{} is not there: run cargo build --workspace first",
        program.display()
    );
    command(program)
}

/// Runs to the end, at most `limit`; its output is kept. A command that does not end in time is killed and fails.
pub fn run(mut command: Command, limit: Duration) -> Output {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let pid = child.id();
    let start = Instant::now();
    let watch = std::thread::spawn(move || {
        while start.elapsed() < limit {
            if !Path::new(&format!("/proc/{pid}")).exists() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        let _ = Command::new("kill").arg("-9").arg(pid.to_string()).status();
    });
    let _ = child.stdin.take();
    let output = child
        .wait_with_output()
        .expect("the command can be waited for");
    watch.thread().unpark();
    assert!(
        start.elapsed() < limit,
        "{command:?} took longer than {limit:?}:\n{}",
        text(&output)
    );
    output
}

/// Runs and expects success.
pub fn run_well(command: Command, limit: Duration) -> Output {
    let shown = format!("{command:?}");
    let output = run(command, limit);
    assert!(
        output.status.success(),
        "{shown} failed with {}:\n{}",
        output.status,
        text(&output)
    );
    output
}

/// Both streams as text.
pub fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
