//! ONNX Runtime's library: found and opened by this module, once per process.
//!
//! `ort` would search for it itself, and hang or panic when it is missing (pykeio/ort issue 560). So every candidate is tried here
//! first, and an error names them all. An error is not remembered: the next start searches again.

use std::path::{Path, PathBuf};

use once_cell::sync::OnceCell;

use super::{error::InferenceError, places};

/// Environment variable: the library's file, before any other place.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// Oldest ONNX Runtime 1.x that serves: the lowest API level that `ort` offers.
pub const MINIMUM_MINOR: u32 = ort::MINOR_VERSION;

/// Newest minor version whose versioned system name (`libonnxruntime.so.1.N`) is tried.
const NEWEST_MINOR: u32 = 60;

/// The opened library and its environment.
pub struct Runtime {
    /// The file, or the name under which the system's loader found it.
    pub library: PathBuf,
    /// For example "1.21".
    pub version: String,
    environment: ort::environment::Environment,
}

impl Runtime {
    /// What sessions are built in.
    pub fn environment(&self) -> &ort::environment::Environment {
        &self.environment
    }
}

static RUNTIME: OnceCell<Runtime> = OnceCell::new();

/// The process's ONNX Runtime, opened at the first call.
pub fn get() -> Result<&'static Runtime, InferenceError> {
    RUNTIME.get_or_try_init(|| open(&candidates()))
}

/// Every place to look at, in order: the environment variable, beside the plugin, the system's names newest first, Python's
/// package `onnxruntime`.
/// With the variable set nothing else is tried: a wish that cannot be met must be said.
fn candidates() -> Vec<PathBuf> {
    if let Some(file) = std::env::var_os(LIBRARY_VARIABLE).filter(|value| !value.is_empty()) {
        return vec![file.into()];
    }
    let mut all: Vec<PathBuf> = places::home_folders()
        .iter()
        .flat_map(|folder| libraries_in(folder))
        .collect();
    all.push("libonnxruntime.so".into());
    all.push("libonnxruntime.so.1".into());
    all.extend(
        (MINIMUM_MINOR..=NEWEST_MINOR)
            .rev()
            .map(|minor| format!("libonnxruntime.so.1.{minor}").into()),
    );
    all.extend(
        python_packages()
            .iter()
            .flat_map(|folder| libraries_in(folder)),
    );
    all
}

/// The folders in which `pip install onnxruntime` puts the library: of the active virtual environment, of the user, of the
/// system.
fn python_packages() -> Vec<PathBuf> {
    let of = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
    let roots = [
        of("VIRTUAL_ENV").map(|folder| folder.join("lib")),
        of("HOME").map(|folder| folder.join(".local/lib")),
        Some("/usr/local/lib".into()),
        Some("/usr/lib".into()),
    ];
    roots
        .iter()
        .flatten()
        .flat_map(|root| packages_below(root))
        .collect()
}

/// `python3*/{site,dist}-packages/onnxruntime/capi` below a `lib` folder, as far as they are there; newest Python first.
fn packages_below(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut pythons: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("python3"))
        .map(|entry| entry.path())
        .collect();
    pythons.sort_by_key(|python| std::cmp::Reverse(minor_of(python)));
    let kinds = ["site-packages", "dist-packages"];
    pythons
        .iter()
        .flat_map(|python| kinds.map(|kind| python.join(kind).join("onnxruntime/capi")))
        .filter(|folder| folder.is_dir())
        .collect()
}

/// 11 of `python3.11`; 0 of `python3`.
fn minor_of(python: &Path) -> u32 {
    let name = python.file_name().unwrap_or_default().to_string_lossy();
    name.strip_prefix("python3.")
        .and_then(|minor| minor.parse().ok())
        .unwrap_or(0)
}

/// Files of the library's name in a folder, newest version first.
fn libraries_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return vec![folder.join("libonnxruntime.so")];
    };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("libonnxruntime.so"))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    if found.is_empty() {
        found.push(folder.join("libonnxruntime.so"));
    }
    found
}

fn open(candidates: &[PathBuf]) -> Result<Runtime, InferenceError> {
    let mut tried: Vec<String> = Vec::new();
    for candidate in candidates {
        match ort::init_from(candidate) {
            Ok(builder) => return initialise(candidate, builder),
            Err(error) => tried.push(format!("  {}", reason(candidate, &error))),
        }
    }
    Err(InferenceError::RuntimeNotFound {
        minimum: MINIMUM_MINOR,
        tried: shortened(&tried),
    })
}

fn initialise(
    library: &Path,
    builder: ort::environment::EnvironmentBuilder,
) -> Result<Runtime, InferenceError> {
    let environment = builder
        .with_name("gst-plugin-reid")
        .with_telemetry(false)
        .build()
        .map_err(|error| InferenceError::RuntimeInit {
            library: library.into(),
            reason: error.to_string(),
        })?;
    // ONNX Runtime's own chatter goes to stderr; what fails comes back as an error anyway.
    environment.set_log_level(ort::logging::LogLevel::Error);
    // Opening it a second time only counts a reference.
    let version =
        ort::util::probe(library).map_or_else(|| "unknown".into(), |minor| format!("1.{minor}"));
    Ok(Runtime {
        library: library.into(),
        version,
        environment,
    })
}

/// The candidate and one line of the loader's complaint, which mostly begins with the candidate itself.
fn reason(candidate: &Path, error: &ort::LoadDynamicError) -> String {
    let text = match error {
        ort::LoadDynamicError::Dlopen { error, .. } => {
            std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
        }
        other => other.to_string(),
    };
    let line = text.lines().next().unwrap_or_default();
    let place = candidate.display().to_string();
    if line.starts_with(&place) {
        line.to_owned()
    } else {
        format!("{place}: {line}")
    }
}

/// The versioned system names fail all alike: keep the first few and count the rest.
fn shortened(tried: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text: String = tried
        .iter()
        .take(SHOWN)
        .map(|line| format!("{line}\n"))
        .collect();
    if tried.len() > SHOWN {
        text += &format!(
            "  and {} more, down to libonnxruntime.so.1.{MINIMUM_MINOR}\n",
            tried.len() - SHOWN
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_an_error_that_lists_the_places_and_the_remedy() {
        let error = open(&["no-such-place/libonnxruntime.so".into(), "/dev/null".into()])
            .err()
            .unwrap();
        let text = error.to_string();
        for part in [
            "no-such-place",
            "/dev/null",
            "pip install onnxruntime",
            "apt install",
            LIBRARY_VARIABLE,
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn the_library_of_the_python_package_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let capi = |python: &str, kind: &str| {
            folder
                .path()
                .join(python)
                .join(kind)
                .join("onnxruntime/capi")
        };
        for (python, kind) in [
            ("python3.9", "site-packages"),
            ("python3.11", "site-packages"),
            ("python3", "dist-packages"),
        ] {
            std::fs::create_dir_all(capi(python, kind)).unwrap();
        }
        std::fs::create_dir_all(folder.path().join("python3.12/site-packages")).unwrap();
        let library = capi("python3.11", "site-packages").join("libonnxruntime.so.1.23.2");
        std::fs::write(&library, b"").unwrap();
        let expected = [
            capi("python3.11", "site-packages"),
            capi("python3.9", "site-packages"),
            capi("python3", "dist-packages"),
        ];
        assert_eq!(packages_below(folder.path()), expected);
        assert_eq!(libraries_in(&expected[0]), [library]);
        assert!(packages_below(Path::new("/no/such/place")).is_empty());
    }

    #[test]
    fn long_lists_are_shortened() {
        let many: Vec<String> = (0..50).map(|i| format!("  place {i}")).collect();
        let text = shortened(&many);
        assert!(
            text.contains("place 7") && !text.contains("place 8\n") && text.contains("42 more"),
            "{text}"
        );
    }
}
