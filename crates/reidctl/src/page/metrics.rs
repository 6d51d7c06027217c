//! Metrics for Prometheus, in its text format.

use std::fmt::Write;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use super::Site;
use crate::run::board::{Condition, Status};

/// A metric of every camera: name, kind, help, value.
type Metric = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Status) -> Option<f64>,
);

const METRICS: [Metric; 7] = [
    ("reid_camera_up", "gauge", "1 while frames come", |s| {
        Some(f64::from(u8::from(s.state == Condition::Running)))
    }),
    (
        "reid_camera_frames_total",
        "counter",
        "Frames since the start",
        |s| Some(s.frames as f64),
    ),
    ("reid_camera_fps", "gauge", "Frames a second", |s| {
        Some(f64::from(s.fps))
    }),
    (
        "reid_camera_latency_seconds",
        "gauge",
        "From capture until people are known",
        |s| s.latency_ms.map(|ms| f64::from(ms) / 1e3),
    ),
    (
        "reid_camera_restarts_total",
        "counter",
        "Times the camera was started again",
        |s| Some(s.restarts as f64),
    ),
    ("reid_camera_people", "gauge", "People in view", |s| {
        Some(s.people.len() as f64)
    }),
    (
        "reid_camera_people_today",
        "gauge",
        "People seen since midnight UTC",
        |s| Some(s.today as f64),
    ),
];

/// The metrics.
pub async fn metrics(State(site): State<Site>) -> Response {
    let people = site.gallery().lock().len();
    let uptime = site.board.uptime().as_secs_f64();
    let text = text(&site.board.statuses(), people, uptime);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

fn text(statuses: &[Status], people: usize, uptime: f64) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    for (name, kind, help, value) in METRICS {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for status in statuses {
            if let Some(value) = value(status) {
                let _ = writeln!(text, "{name}{{camera=\"{}\"}} {value}", label(&status.name));
            }
        }
    }
    let _ = writeln!(
        text,
        "# HELP reid_people People whom the gallery knows\n# TYPE reid_people gauge\nreid_people {people}"
    );
    let _ = writeln!(
        text,
        "# HELP reid_uptime_seconds Time since the start\n# TYPE reid_uptime_seconds gauge\nreid_uptime_seconds {uptime:.1}"
    );
    text
}

/// The value of a label.
fn label(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    text.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::board::Board;

    #[test]
    fn names_are_escaped_and_every_metric_is_described() {
        let board = Board::default();
        board.add("the \"door\"", "test:0".into());
        let text = text(&board.statuses(), 3, 1.0);
        assert!(
            text.contains(r#"reid_camera_up{camera="the \"door\""} 0"#),
            "{text}"
        );
        assert!(text.contains("\nreid_people 3\n"));
        let named = text
            .lines()
            .filter(|line| line.starts_with("# TYPE"))
            .count();
        assert_eq!(named, METRICS.len() + 2);
    }
}
