//! `reidctl bench`: how many cameras this machine carries. Whole pipelines, detector to tracker, in one process.

mod measure;
mod scene;

use std::{error::Error, io::Write, path::PathBuf, process::ExitCode, time::Duration};

use gstreid::inference::runtime;
use measure::{Measured, measure};
use scene::{Scene, Source};
use serde::Serialize;

use crate::outcome::Outcome;

/// Of the frames per second that were measured, the share that cameras may take: the rest is for whatever else runs.
const USABLE: f64 = 0.8;
/// Most cameras of one measurement.
const MAX_CAMERAS: u32 = 256;

/// Options of `bench`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A recording instead of the made-up scene; decoding it is measured, too.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["size", "people"])]
    clip: Option<PathBuf>,
    /// Sizes of the made-up scene, in pixels.
    #[arg(long, value_name = "WxH,…", value_delimiter = ',', default_value = "640x360", value_parser = scene::parse_size)]
    size: Vec<(u32, u32)>,
    /// People in the made-up scene.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "3")]
    people: Vec<u32>,
    /// Numbers of cameras to measure with.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,4,8", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CAMERAS)))]
    cameras: Vec<u32>,
    /// Frames per second of a camera, for the number of cameras that the machine carries.
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    fps: f64,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    seconds: f64,
    /// Measurements of each row; the median is shown.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=99))]
    runs: u32,
    /// Elements between the pictures and the sink, as in gst-launch-1.0; `{camera}` is the camera's number.
    #[arg(long, value_name = "ELEMENTS", default_value = measure::ELEMENTS)]
    elements: String,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|value: &f64| value.is_finite() && *value > 0.0)
        .ok_or_else(|| format!("'{text}' is no number above 0"))
}

/// What was measured where.
#[derive(Serialize)]
struct Report {
    processor: String,
    cores: usize,
    gstreamer: String,
    onnx_runtime: String,
    version: &'static str,
    elements: String,
    seconds: f64,
    rows: Vec<Row>,
}

/// One measurement.
#[derive(Serialize)]
struct Row {
    source: String,
    cameras: u32,
    /// The run with the median of frames per second.
    #[serde(flatten)]
    measured: Measured,
    /// Frames per second of the slowest and of the fastest run.
    slowest: f64,
    fastest: f64,
    /// Cameras of `fps` frames per second that [`USABLE`] of the measured rate is enough for.
    carries: u32,
}

/// Measures, and prints a table or JSON.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Outcome {
    gst::init()?;
    gstreid::plugin_register_static()?;
    let mut report = Report::of_this_machine(arguments)?;
    for source in sources(arguments)? {
        for &cameras in &arguments.cameras {
            eprintln!("{source}, cameras: {cameras} …");
            let time = Duration::from_secs_f64(arguments.seconds);
            let runs = (0..arguments.runs)
                .map(|_| measure(&source, cameras, &arguments.elements, time))
                .collect::<Result<Vec<_>, _>>()?;
            report
                .rows
                .extend(Row::of(&source, cameras, runs, arguments.fps));
        }
    }
    if arguments.json {
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        table(&report, arguments.fps, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Row {
    /// The median of some runs; none of none.
    fn of(source: &Source, cameras: u32, mut runs: Vec<Measured>, fps: f64) -> Option<Self> {
        runs.sort_by(|a, b| a.frames_per_second.total_cmp(&b.frames_per_second));
        let measured = *runs.get(runs.len() / 2)?;
        Some(Self {
            source: source.to_string(),
            cameras,
            carries: carries(measured.frames_per_second, fps),
            slowest: runs.first()?.frames_per_second,
            fastest: runs.last()?.frames_per_second,
            measured,
        })
    }
}

fn sources(arguments: &Arguments) -> Result<Vec<Source>, Box<dyn Error>> {
    if let Some(clip) = &arguments.clip {
        let clip = clip
            .canonicalize()
            .map_err(|error| format!("{}: {error}", clip.display()))?;
        return Ok(vec![Source::Clip(clip)]);
    }
    let mut sources = Vec::new();
    for &(width, height) in &arguments.size {
        for &people in &arguments.people {
            sources.push(Source::Scene(Scene::draw(width, height, people)?));
        }
    }
    Ok(sources)
}

impl Report {
    fn of_this_machine(arguments: &Arguments) -> Result<Self, Box<dyn Error>> {
        let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = processor
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown", |(_, name)| name);
        Ok(Self {
            processor: name.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            gstreamer: gst::version_string().to_string(),
            onnx_runtime: runtime::get()?.version.clone(),
            version: env!("CARGO_PKG_VERSION"),
            elements: arguments.elements.clone(),
            seconds: arguments.seconds,
            rows: Vec::new(),
        })
    }
}

/// Cameras of `fps` frames per second that a rate is enough for.
fn carries(frames_per_second: f64, fps: f64) -> u32 {
    (frames_per_second * USABLE / fps) as u32
}

fn table(report: &Report, fps: f64, out: &mut impl Write) -> std::io::Result<()> {
    let cores = report.cores;
    writeln!(
        out,
        "{}, {cores} cores; {}, ONNX Runtime {}, gst-plugin-reid {}\n{}\n{} s each, as fast as it goes; frames/s: median (slowest to fastest run)\n",
        report.processor,
        report.gstreamer,
        report.onnx_runtime,
        report.version,
        report.elements,
        report.seconds
    )?;
    writeln!(
        out,
        "| source | people found | cameras | frames/s | CPU ms a frame | cores busy | detector p50 / p95 ms | carries at {fps} frames/s |\n|---|---|---|---|---|---|---|---|"
    )?;
    for row in &report.rows {
        let m = &row.measured;
        writeln!(
            out,
            "| {} | {:.1} | {} | {:.1} ({:.1} to {:.1}) | {:.1} | {:.1} of {cores} | {:.1} / {:.1} | {} |",
            row.source,
            m.people,
            row.cameras,
            m.frames_per_second,
            row.slowest,
            row.fastest,
            m.cpu_ms,
            m.cores_busy,
            m.detector_p50_ms,
            m.detector_p95_ms,
            row.carries
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_machine_is_left() {
        assert_eq!(carries(100.0, 10.0), 8);
        assert_eq!(carries(12.4, 10.0), 0);
    }

    #[test]
    fn a_table_has_a_row_for_each_measurement() {
        let run = |frames_per_second| Measured {
            frames: 500,
            people: 2.5,
            frames_per_second,
            cpu_ms: 16.0,
            cores_busy: 1.9,
            detector_p50_ms: 7.0,
            detector_p95_ms: 9.0,
        };
        let runs = || vec![run(130.0), run(110.0), run(120.0)];
        let source = Source::Clip("street.mp4".into());
        let row = |cameras| Row::of(&source, cameras, runs(), 10.0).unwrap();
        let report = Report {
            processor: "P".into(),
            cores: 2,
            gstreamer: "GStreamer 1.22.0".into(),
            onnx_runtime: "1.23.2".into(),
            version: "0.1.0",
            elements: "yolodetect".into(),
            seconds: 5.0,
            rows: vec![row(1), row(4)],
        };
        let mut text = Vec::new();
        table(&report, 10.0, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.ends_with(
            "| street.mp4 | 2.5 | 4 | 120.0 (110.0 to 130.0) | 16.0 | 1.9 of 2 | 7.0 / 9.0 | 9 |\n"
        ));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["rows"][0]["frames_per_second"], 120.0);
    }
}
