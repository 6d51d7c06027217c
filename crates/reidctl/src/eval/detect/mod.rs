//! Detectors by COCO's average precision, on pictures in YOLO layout or on frames with boxes as MOTChallenge has them.

mod coco;
mod eye;
mod sequence;
mod video;
mod yolo_layout;

use std::{
    error::Error,
    io::{self, Write},
};

use eye::{Eye, Tally};
use gstreid::core::scoring::{
    COCO_MOST, HEIGHT_CLASSES, HeightClass, OperatingPoint, Picture as Boxes, PrecisionScores,
    ScoreCurve, average_precision,
};
use serde::Serialize;
use serde_json::json;

use super::arguments::Arguments;
use crate::{embedding::tell_skipped, pictures::KINDS};

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
    // Initialises GStreamer, which clips are decoded with, before anything is read.
    let mut eye = Eye::open(arguments)?;
    let mut tally = Tally::default();
    let sequences = sequence::find(&arguments.data)?;
    if sequences.is_empty() {
        yolo_layout::look(arguments, &mut eye, &mut tally)?;
    }
    for sequence in sequences.iter().filter(|s| arguments.wants(&s.name)) {
        sequence.look(&mut eye, &mut tally)?;
    }
    if tally.by_source.is_empty() {
        return Err(nothing_found(arguments, &tally).into());
    }
    tell_skipped(&tally.skipped);
    if let Some(folder) = &arguments.boxes {
        coco::write(folder, tally.by_source.values().flatten())
            .map_err(|error| format!("{} cannot be written: {error}", folder.display()))?;
    }
    print(arguments, &eye, tally, out)
}

fn nothing_found(arguments: &Arguments, tally: &Tally) -> String {
    let kind = if arguments.source.is_empty() {
        String::new()
    } else {
        format!(" of {}", arguments.source.join(", "))
    };
    let unusable = if tally.skipped.is_empty() {
        String::new()
    } else {
        format!("; {} could not be used", tally.skipped.len())
    };
    format!(
        "{} holds no labelled pictures{kind}{unusable}: looked for images/<name>.jpg with labels/<name>.txt, and for gt/gt.txt beside a \
         video or the pictures img1/<number>.jpg ({KINDS})",
        arguments.data.display()
    )
}

fn print(
    arguments: &Arguments,
    eye: &Eye,
    tally: Tally,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error>> {
    let row = |name: &str, boxes: &[Boxes], class: &HeightClass| {
        Row::new(name, boxes, class, arguments.threshold)
    };
    let Tally { by_source, skipped } = tally;
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
    let (model, ms) = (eye.model(), eye.mean_ms());
    if arguments.json {
        let value = json!({
            "model": model, "sources": rows, "heights": heights, "skipped": skipped.len(), "ms_per_picture": ms,
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
