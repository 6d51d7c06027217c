//! Detectors by COCO's average precision, on pictures in YOLO layout.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    io::{self, Write},
    time::Duration,
};

use gstreid::{
    core::{
        geometry::Rect,
        scoring::{
            COCO_MOST, Found, HEIGHT_CLASSES, HeightClass, OperatingPoint, Picture as Boxes,
            PrecisionScores, ScoreCurve, average_precision,
        },
    },
    inference::{DetectParams, Detector, DetectorRequest, models},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    embedding::{progress, tell_skipped},
    eval::Arguments,
    pictures::{self, Entry, Picture},
};

/// Boxes below this score are left out: they cannot change average precision by more than a trifle, and there are
/// thousands of them (the training's evaluation uses the same).
const LOWEST_SCORE: f32 = 0.01;

/// Most boxes of a picture, the element's default.
const MOST: usize = 300;

/// Class number of a person in the labels.
const PERSON: &str = "0";

/// A row of the table.
#[derive(Serialize)]
struct Row {
    name: String,
    pictures: usize,
    #[serde(flatten)]
    precision: PrecisionScores,
    at_threshold: OperatingPoint,
    best: Option<OperatingPoint>,
}

impl Row {
    fn new(name: &str, boxes: &[Boxes], class: &HeightClass, threshold: f32) -> Self {
        let curve = ScoreCurve::new(boxes, class);
        Self {
            name: name.into(),
            pictures: boxes.len(),
            precision: average_precision(boxes, class, COCO_MOST),
            at_threshold: curve.at(threshold),
            best: curve.best(),
        }
    }
}

/// Measures the detector and prints.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let entries = pictures::read_all(&arguments.data)?;
    let labels: HashMap<&str, &Entry> = entries
        .iter()
        .filter(|entry| entry.folder() == "labels")
        .map(|entry| (entry.stem(), entry))
        .collect();
    let mut chosen: Vec<(&Entry, &Entry)> = Vec::new();
    for entry in entries
        .iter()
        .filter(|e| e.is_picture() && e.folder() == "images")
    {
        let is_wanted =
            arguments.source.is_empty() || arguments.source.iter().any(|s| s == source(entry));
        if let Some(label) = labels.get(entry.stem())
            && is_wanted
        {
            chosen.push((entry, label));
        }
    }
    if chosen.is_empty() {
        return Err(format!(
            "{} holds no labelled pictures of that kind: looked for images/<name>.jpg with labels/<name>.txt",
            arguments.data.display()
        )
        .into());
    }
    let mut eye = Eye::open(arguments)?;
    let mut by_source: BTreeMap<String, Vec<Boxes>> = BTreeMap::new();
    let mut skipped = Vec::new();
    let bar = progress("detecting", chosen.len());
    for (entry, label) in chosen {
        bar.inc(1);
        let read = entry.picture().and_then(|picture| {
            let truth = truth(label, &picture)?;
            Ok((picture, truth))
        });
        match read {
            Ok((picture, truth)) => {
                let found = eye.look(&picture)?;
                by_source
                    .entry(source(entry).into())
                    .or_default()
                    .push(Boxes { truth, found });
            }
            Err(error) => skipped.push(format!("{}: {error}", entry.name)),
        }
    }
    bar.finish_and_clear();
    tell_skipped(&skipped);
    print(arguments, &eye, by_source, skipped.len(), out)
}

/// What stands before the first `_` of the name.
fn source(entry: &Entry) -> &str {
    let stem = entry.stem();
    stem.split_once('_').map_or(stem, |(source, _)| source)
}

/// People of a label file, px.
fn truth(label: &Entry, picture: &Picture) -> Result<Vec<Rect>, String> {
    let bytes = label.bytes()?;
    let mut rects = Vec::new();
    for (i, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
        let bad = || format!("{}, line {}: a row is `class cx cy w h`", label.name, i + 1);
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [class, ref numbers @ ..] = fields[..] else {
            continue;
        };
        if class != PERSON {
            continue;
        }
        let numbers: Vec<f32> = numbers
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect();
        let [cx, cy, w, h] = numbers[..] else {
            return Err(bad());
        };
        let rect = Rect::from_centre(cx, cy, w, h).scaled(picture.width(), picture.height());
        if !rect.is_valid() {
            return Err(bad());
        }
        rects.push(rect);
    }
    Ok(rects)
}

/// A detector and what it has cost so far.
struct Eye {
    detector: Detector,
    params: DetectParams,
    spent: Duration,
    pictures: u32,
}

impl Eye {
    fn open(arguments: &Arguments) -> Result<Self, Box<dyn Error>> {
        let mut detector = Detector::open(DetectorRequest {
            model: arguments.model.request(models::DEFAULT_DETECTOR)?,
            instance_id: None,
            layout: None,
            labels: None,
        })?;
        detector.look_for("person")?;
        Ok(Self {
            detector,
            params: DetectParams {
                threshold: LOWEST_SCORE,
                iou_threshold: arguments.iou_threshold,
                limit: MOST,
            },
            spent: Duration::ZERO,
            pictures: 0,
        })
    }

    fn look(&mut self, picture: &Picture) -> Result<Vec<Found>, Box<dyn Error>> {
        let outcome = self.detector.detect(&picture.view()?, &self.params)?;
        self.spent += outcome.times.preprocess + outcome.times.infer + outcome.times.decode;
        self.pictures += 1;
        let found = |d: &gstreid::core::yolo::Detection| Found {
            rect: d.rect,
            score: d.score,
        };
        Ok(self.detector.detections().iter().map(found).collect())
    }

    fn mean_ms(&self) -> f64 {
        1e3 * self.spent.as_secs_f64() / f64::from(self.pictures.max(1))
    }
}

fn print(
    arguments: &Arguments,
    eye: &Eye,
    by_source: BTreeMap<String, Vec<Boxes>>,
    skipped: usize,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error>> {
    let row = |name: &str, boxes: &[Boxes], class: &HeightClass| {
        Row::new(name, boxes, class, arguments.threshold)
    };
    let mut rows: Vec<Row> = by_source
        .iter()
        .map(|(name, boxes)| row(name, boxes, &HeightClass::ALL))
        .collect();
    let all: Vec<Boxes> = by_source.into_values().flatten().collect();
    rows.push(row("all", &all, &HeightClass::ALL));
    let heights: Vec<Row> = HEIGHT_CLASSES
        .iter()
        .map(|class| row(class.name, &all, class))
        .collect();
    let (model, ms) = (
        eye.detector.info().path.display().to_string(),
        eye.mean_ms(),
    );
    if arguments.json {
        let value = json!({
            "model": model, "sources": rows, "heights": heights, "skipped": skipped, "ms_per_picture": ms,
        });
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?);
    }
    writeln!(out, "{model}: {ms:.1} ms a picture")?;
    print_rows("source", &rows, arguments.threshold, out)?;
    writeln!(out)?;
    Ok(print_rows(
        "box height",
        &heights,
        arguments.threshold,
        out,
    )?)
}

fn print_rows(title: &str, rows: &[Row], threshold: f32, out: &mut dyn Write) -> io::Result<()> {
    let width = rows
        .iter()
        .map(|row| row.name.len())
        .max()
        .unwrap_or(0)
        .max(title.len());
    let (recall, precision) = (
        format!("recall@{threshold}"),
        format!("precision@{threshold}"),
    );
    writeln!(
        out,
        "{title:<width$} {:>8} {:>7} {:>6} {:>8} {recall:>11} {precision:>14} {:>8} {:>9}",
        "pictures", "people", "AP50", "AP50-95", "best F1", "at score"
    )?;
    let percent = |share: Option<f64>| share.map_or("-".into(), |s| format!("{:.1}", 100.0 * s));
    for row in rows {
        let best = row.best.unwrap_or_default();
        writeln!(
            out,
            "{:<width$} {:>8} {:>7} {:>6} {:>8} {:>11} {:>14} {:>8} {:>9.2}",
            row.name,
            row.pictures,
            row.precision.boxes,
            percent(row.precision.ap50),
            percent(row.precision.ap50_95),
            percent(Some(row.at_threshold.recall)),
            percent(Some(row.at_threshold.precision)),
            percent(Some(best.f1)),
            best.threshold
        )?;
    }
    Ok(())
}
