//! `reidctl bench`, briefly: what it measures is there and consistent; how fast this machine is nobody checks here.

#[path = "../../../tests/common/mod.rs"]
mod common;

use std::time::Duration;

use common::{reidctl, run, run_well, text};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn cameras_are_measured_one_number_after_the_other() {
    let mut command = reidctl();
    command.args(["bench", "--size", "320x240", "--people", "4"]);
    command.args(["--cameras", "1,3", "--seconds", "1", "--fps", "5", "--json"]);
    let output = run_well(command, LIMIT);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for (row, cameras) in rows.iter().zip([1, 3]) {
        assert_eq!(row["cameras"], cameras);
        let number = |name: &str| row[name].as_f64().unwrap();
        let rate = number("frames_per_second");
        assert!(rate > 1.0 && number("frames") > 0.0, "{row}");
        assert!(number("people") > 0.2, "{row}");
        let cpu = number("cpu_ms") * rate / 1e3;
        assert!((cpu / number("cores_busy") - 1.0).abs() < 0.01, "{row}");
        assert!(
            number("detector_p95_ms") >= number("detector_p50_ms"),
            "{row}"
        );
        assert_eq!(number("carries"), (rate * 0.8 / 5.0).floor());
    }
}

#[test]
fn what_cannot_be_measured_is_said() {
    for (arguments, part) in [
        (&["--clip", "/no/such.mp4"][..], "No such file"),
        (&["--size", "wide"], "is no size such as"),
        (&["--seconds", "0"], "is no number above 0"),
        (&["--elements", "nosuchelement"], "nosuchelement"),
        (&["--elements", "yolodetect model=none.onnx"], "none.onnx"),
    ] {
        let mut command = reidctl();
        command.args(["bench", "--cameras", "1"]).args(arguments);
        if arguments[0] != "--seconds" {
            command.args(["--seconds", "0.2"]);
        }
        let output = run(command, LIMIT);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(
            text(&output).contains(part),
            "{arguments:?}: {}",
            text(&output)
        );
    }
}
