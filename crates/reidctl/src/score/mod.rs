//! `reidctl score`: scores tracks and identities against the ground truth.

mod arguments;
mod files;
mod partial;

use std::{
    io::{self, Write},
    process::ExitCode,
};

pub use arguments::Arguments;
use files::{CameraFiles, camera_files, read};
use gstreid::core::scoring::{
    self, CameraScores, ClearScores, GlobalScores, HotaScores, IdScores, LabelledBox, Role, View,
};
use serde_json::json;

use crate::outcome::Outcome;

/// A camera's boxes.
struct Camera {
    name: String,
    truth: Vec<LabelledBox>,
    result: Vec<LabelledBox>,
}

impl Camera {
    fn view(&self) -> View<'_> {
        View {
            truth: &self.truth,
            result: &self.result,
        }
    }
}

/// Reads both sides, prints the scores.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    if arguments.partial {
        return partial::run(arguments, out);
    }
    let cameras = read_cameras(arguments)?;
    let each: Vec<CameraScores> = cameras
        .iter()
        .map(|camera| scoring::score_camera(camera.view()))
        .collect();
    let views: Vec<View<'_>> = cameras.iter().map(Camera::view).collect();
    let global = (cameras.len() > 1).then(|| scoring::score_cameras(&views));
    if arguments.json {
        print_json(&cameras, &each, global.as_ref(), out)?;
    } else {
        print_tables(&cameras, &each, global.as_ref(), out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn read_cameras(arguments: &Arguments) -> Result<Vec<Camera>, String> {
    let files = camera_files(arguments, "txt")?;
    let camera = |files: CameraFiles| {
        Ok(Camera {
            truth: read(&files.truth, Role::Truth, arguments.size)?,
            result: read(&files.result, Role::Result, arguments.size)?,
            name: files.name,
        })
    };
    files.into_iter().map(camera).collect()
}

fn print_json(
    cameras: &[Camera],
    each: &[CameraScores],
    global: Option<&GlobalScores>,
    out: &mut dyn Write,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut list = Vec::new();
    for (camera, scores) in cameras.iter().zip(each) {
        let mut value = serde_json::to_value(scores)?;
        value["camera"] = json!(camera.name);
        list.push(value);
    }
    let text = serde_json::to_string_pretty(&json!({ "cameras": list, "global": global }))?;
    Ok(writeln!(out, "{text}")?)
}

/// A row of the table.
struct Row<'a> {
    name: &'a str,
    hota: &'a HotaScores,
    identity: &'a IdScores,
    clear: &'a ClearScores,
}

fn print_tables(
    cameras: &[Camera],
    each: &[CameraScores],
    global: Option<&GlobalScores>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut rows: Vec<Row<'_>> = cameras
        .iter()
        .zip(each)
        .map(|(camera, s)| Row {
            name: &camera.name,
            hota: &s.hota,
            identity: &s.identity,
            clear: &s.clear,
        })
        .collect();
    rows.extend(global.map(|s| Row {
        name: "all, one id a person",
        hota: &s.hota,
        identity: &s.identity,
        clear: &s.clear,
    }));
    print_rows(&rows, out)?;
    global.map_or(Ok(()), |global| print_global(cameras.len(), global, out))
}

fn print_rows(rows: &[Row<'_>], out: &mut dyn Write) -> io::Result<()> {
    let width = rows
        .iter()
        .map(|row| row.name.chars().count())
        .max()
        .unwrap_or(0)
        .max("camera".len());
    writeln!(
        out,
        "{:<width$} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>8} {:>9} {:>7} {:>7} {:>7} {:>6} {:>5}",
        "camera",
        "HOTA",
        "DetA",
        "AssA",
        "LocA",
        "IDF1",
        "IDP",
        "IDR",
        "MOTA",
        "MOTP",
        "switches",
        "fragments",
        "false",
        "missed",
        "boxes",
        "people",
        "ids"
    )?;
    for Row {
        name,
        hota,
        identity,
        clear,
    } in rows
    {
        write!(out, "{name:<width$}")?;
        let shares = [
            hota.hota,
            hota.detection,
            hota.association,
            hota.localisation,
            identity.f1,
            identity.precision,
            identity.recall,
            clear.accuracy,
            clear.overlap,
        ];
        for share in shares {
            write!(out, " {:>6.2}", 100.0 * share)?;
        }
        writeln!(
            out,
            " {:>8} {:>9} {:>7} {:>7} {:>7} {:>6} {:>5}",
            clear.switches,
            clear.fragments,
            clear.false_positives,
            clear.misses,
            clear.boxes,
            identity.people,
            identity.ids
        )?;
    }
    Ok(())
}

fn print_global(cameras: usize, global: &GlobalScores, out: &mut dyn Write) -> io::Result<()> {
    let percent = |share: Option<f64>| share.map_or("-".into(), |s| format!("{:.2} %", 100.0 * s));
    let precision = global.cross_camera.precision;
    writeln!(out)?;
    writeln!(
        out,
        "global IDF1 over {cameras} cameras: {:.2} %",
        100.0 * global.identity.f1
    )?;
    writeln!(
        out,
        "pairs of boxes in two cameras: of those with one id {} show one person ({} are false merges),",
        percent(precision),
        percent(precision.map(|share| 1.0 - share))
    )?;
    writeln!(
        out,
        "                               of those of one person {} carry one id",
        percent(global.cross_camera.recall)
    )
}
