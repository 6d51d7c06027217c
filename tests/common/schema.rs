//! JSON lines checked by docs/lines.schema.json, with Python's jsonschema: a reader that is not ours.

use std::{
    io::Write,
    process::{Command, Stdio},
};

const CHECK: &str = r#"
import json, sys, jsonschema
with open(sys.argv[1]) as file:
    validator = jsonschema.Draft202012Validator(json.load(file))
validator.check_schema(validator.schema)
for number, line in enumerate(sys.stdin, 1):
    for error in validator.iter_errors(json.loads(line)):
        details = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in error.context or [error]]
        sys.exit(f"line {number}: {line}{details}")
"#;

/// What the schema says against these lines; `None` where Python has no jsonschema, which is said.
pub fn objections(lines: &str) -> Option<String> {
    let mut python = Command::new("python3");
    let is_there = python
        .args(["-c", "import jsonschema"])
        .stderr(Stdio::null())
        .status();
    if !is_there.is_ok_and(|status| status.success()) {
        eprintln!(
            "skipped: python3-jsonschema is not installed (scripts/setup.sh test installs it)"
        );
        return None;
    }
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/lines.schema.json");
    let mut python = Command::new("python3")
        .args(["-c", CHECK, schema])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A schema that refuses an early line ends the reader.
    let _ = python.stdin.take().unwrap().write_all(lines.as_bytes());
    let output = python.wait_with_output().unwrap();
    Some(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Every line is as the schema says.
pub fn check(lines: &str) {
    if let Some(objections) = objections(lines) {
        assert!(objections.is_empty(), "{objections}");
    }
}
