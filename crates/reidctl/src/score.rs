//! `reidctl score`: how well people were followed and recognised, against the truth.

mod partial;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use gstreid::core::scoring::{
    self, CameraScores, ClearScores, GlobalScores, HotaScores, IdScores, LabelledBox, Role, View,
};
use serde_json::json;

use crate::Outcome;

#[derive(clap::Args)]
#[command(after_help = "\
Boxes are rows of MOTChallenge: frame,id,x,y,w,h[,confidence,...], as `reidpublish format=mot` writes them; of the truth, \
rows of VATIC are read, too. With several cameras the ids must mean the same people in all of them: the last lines then \
say how well that is so.\n
HOTA and IDF1 are those of TrackEval, MOTA, switches and fragments those of py-motmetrics, all in percent.\n
With --partial the truth is right about who somebody is and incomplete about who is there: in frames with true boxes, the \
boxes that lie on one (IoU 0.5 and more) count, and no others. Results may then be JSON lines of `reidpublish`, of \
which ids are scored as they were given and as they were corrected later.\n
Examples: reidctl score --gt truth/door truth/hall --result door.txt hall.txt\n          \
reidctl score --partial --rate 25 --gt gt/door.txt gt/hall.txt --result door.jsonl hall.jsonl --gallery people.json")]
pub struct Arguments {
    /// The truth of each camera: a file, a folder that holds `gt/gt.txt` or `gt.txt`, or a folder of such folders.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE|DIR")]
    gt: Vec<PathBuf>,
    /// What was found, a file for each camera in the same order, or one folder that holds `<camera>.txt`.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE|DIR")]
    result: Vec<PathBuf>,
    /// What the cameras are called, in the same order; else they are named after the truth's files or folders.
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "NAME")]
    camera: Vec<String>,
    /// Size of the picture, px: boxes whose centre lies outside of it do not count on either side.
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    size: Option<Size>,
    /// The truth names a part of the boxes: count only what lies on a true one.
    #[arg(long, conflicts_with = "size")]
    partial: bool,
    /// Frames per second, to number the frames of JSON lines by their timestamps where they have no numbers.
    #[arg(long, requires = "partial", value_name = "FPS", value_parser = parse_rate)]
    rate: Option<f64>,
    /// What `reidctl gallery list --json` printed afterwards, to follow the merges in it.
    #[arg(long, requires = "partial", value_name = "FILE")]
    gallery: Option<PathBuf>,
    /// Print JSON (scores from 0 to 1) instead of tables.
    #[arg(long)]
    json: bool,
}

/// Width and height of the picture, px.
#[derive(Clone, Copy)]
struct Size {
    width: f32,
    height: f32,
}

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

/// Where a camera's boxes are.
struct CameraFiles {
    name: String,
    truth: PathBuf,
    result: PathBuf,
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

/// The files of all cameras; in a folder of results those that end in `extension`, else in `txt`.
fn camera_files(arguments: &Arguments, extension: &str) -> Result<Vec<CameraFiles>, String> {
    let mut truths = Vec::new();
    for path in &arguments.gt {
        truths.extend(truth_files(path)?);
    }
    let names = names(arguments, &truths)?;
    let results = result_files(&arguments.result, &names, extension)?;
    let files = names.into_iter().zip(truths).zip(results);
    Ok(files
        .map(|((name, truth), result)| CameraFiles {
            name,
            truth,
            result,
        })
        .collect())
}

/// The truth that a path stands for: itself, the file in a sequence's folder, or those of the folders in it by name.
fn truth_files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.into()]);
    }
    if let Some(file) = truth_in(path) {
        return Ok(vec![file]);
    }
    let unreadable = |error: io::Error| format!("{} cannot be read: {error}", path.display());
    let mut folders = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        folders.push(entry.map_err(unreadable)?.path());
    }
    folders.sort();
    let files: Vec<PathBuf> = folders
        .iter()
        .filter_map(|folder| truth_in(folder))
        .collect();
    if files.is_empty() {
        return Err(format!(
            "{} holds no truth: looked for gt/gt.txt and gt.txt in it and in the folders in it",
            path.display()
        ));
    }
    Ok(files)
}

fn truth_in(folder: &Path) -> Option<PathBuf> {
    ["gt/gt.txt", "gt.txt"]
        .iter()
        .map(|name| folder.join(name))
        .find(|file| file.is_file())
}

/// What the cameras are called.
fn names(arguments: &Arguments, truths: &[PathBuf]) -> Result<Vec<String>, String> {
    let given = &arguments.camera;
    if !given.is_empty() && given.len() != truths.len() {
        return Err(format!(
            "{} names of cameras for {} files of truth",
            given.len(),
            truths.len()
        ));
    }
    Ok(if given.is_empty() {
        truths.iter().map(|path| name_of(path)).collect()
    } else {
        given.clone()
    })
}

/// The first part of the path, from its end, that says more than `gt`.
fn name_of(path: &Path) -> String {
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    let folders = path.ancestors().skip(1).filter_map(Path::file_name);
    let folders = folders.map(|name| name.to_string_lossy().into_owned());
    stem.into_iter()
        .chain(folders)
        .find(|name| name != "gt")
        .unwrap_or_else(|| path.display().to_string())
}

fn result_files(
    given: &[PathBuf],
    names: &[String],
    extension: &str,
) -> Result<Vec<PathBuf>, String> {
    if let [folder] = given
        && folder.is_dir()
    {
        let file = |name: &String| {
            let file = |extension: &str| folder.join(format!("{name}.{extension}"));
            Some(file(extension))
                .filter(|file| file.is_file())
                .unwrap_or_else(|| file("txt"))
        };
        return Ok(names.iter().map(file).collect());
    }
    if given.len() != names.len() {
        return Err(format!(
            "{} results for {} cameras ({}): give as many, in the same order",
            given.len(),
            names.len(),
            names.join(", ")
        ));
    }
    Ok(given.to_vec())
}

fn read_text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

fn read(path: &Path, role: Role, size: Option<Size>) -> Result<Vec<LabelledBox>, String> {
    let text = read_text(path)?;
    let mut boxes =
        scoring::parse(&text, role).map_err(|error| format!("{}, {error}", path.display()))?;
    if let Some(Size { width, height }) = size {
        boxes.retain(|b| b.has_centre_within(width, height));
    }
    Ok(boxes)
}

fn parse_size(text: &str) -> Result<Size, String> {
    let side = |text: &str| {
        text.parse::<f32>()
            .ok()
            .filter(|side| side.is_finite() && *side > 0.0)
    };
    text.split_once('x')
        .and_then(|(width, height)| {
            Some(Size {
                width: side(width)?,
                height: side(height)?,
            })
        })
        .ok_or_else(|| "a size is written like 1920x1080".into())
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok();
    rate.filter(|rate| rate.is_finite() && *rate > 0.0)
        .ok_or_else(|| "frames per second are a number above 0".into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_are_named_after_what_tells_them_apart() {
        for (path, name) in [
            ("truth/door/gt/gt.txt", "door"),
            ("truth/door/gt.txt", "door"),
            ("truth/view-HC3.txt", "view-HC3"),
            ("gt.txt", "gt.txt"),
        ] {
            assert_eq!(name_of(Path::new(path)), name, "{path}");
        }
    }

    #[test]
    fn sizes_are_two_positive_numbers() {
        assert!(parse_size("1920x1080").is_ok());
        for bad in ["1920", "0x5", "-1x5", "axb", "nanx5"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_rate("29.97"), Ok(29.97));
        assert!(parse_rate("0").is_err() && parse_rate("inf").is_err());
    }
}
