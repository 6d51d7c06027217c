//! Embedders by the Market-1501 protocol.

mod data;
mod measured;
mod report;
mod spread;

use std::{collections::BTreeMap, error::Error, io::Write};

use data::{GALLERY, QUERY, Side};
use gstreid::{
    core::{
        calibration::Calibration,
        embedding::Embedding,
        identity::{LabelledVisit, visit_scores},
        scoring::{Person, RetrievalScores},
    },
    inference::{MeasuredCalibration, Sidecar, VisitScores},
};
use measured::{Cosines, Measured, measure};
use serde_json::json;

use super::arguments::Arguments;
use crate::embedding::{PictureEmbedder, tell_skipped};

/// Crops of the visits whose scores a calibration says.
const VISIT_CROPS: [usize; 3] = [1, 4, 16];

/// Measures the embedder and prints.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let entries = data::entries(&arguments.data)?;
    let mut embedder = PictureEmbedder::open(&arguments.model)?;
    let mut skipped = Vec::new();
    let query = data::embed(&mut embedder, &entries, &QUERY, "query", &mut skipped)?;
    let gallery = data::embed(&mut embedder, &entries, &GALLERY, "gallery", &mut skipped)?;
    tell_skipped(&skipped);
    for (side, names) in [(&query, &QUERY[..]), (&gallery, &GALLERY[..])] {
        if side.labels.is_empty() {
            return Err(format!(
                "{} holds no labelled pictures (`0001_c1…jpg`) in a folder called {}",
                arguments.data.display(),
                names.join(" or ")
            )
            .into());
        }
    }
    let (queries, cosines) = measure(&query, &gallery, arguments.metric);
    let measured = Measured {
        model: embedder.model(),
        dimension: embedder.dimension(),
        ms: embedder.mean_ms(),
        scores: RetrievalScores::of(&queries),
        skipped: skipped.len(),
        query,
        gallery,
        queries,
        cosines,
    };
    print(arguments, &measured, out)?;
    if arguments.calibrate {
        let visits = visit_calibrations(&measured.gallery);
        calibrate(arguments, &embedder, &measured.cosines, visits)?;
    }
    if let Some(path) = &arguments.report {
        report::write(path, &measured, arguments.metric)?;
    }
    Ok(())
}

/// Writes what the cosines mean into the model's sidecar.
fn calibrate(
    arguments: &Arguments,
    embedder: &PictureEmbedder,
    cosines: &Cosines,
    visits: Vec<VisitScores>,
) -> Result<(), Box<dyn Error>> {
    let (Some(impostor), Some(genuine)) = (cosines.other.spread(), cosines.same.spread()) else {
        return Err("too few pairs for a calibration: people of the query must be in the gallery from another camera".into());
    };
    let calibration = Calibration { impostor, genuine };
    calibration.check()?;
    let full = arguments
        .data
        .canonicalize()
        .unwrap_or_else(|_| arguments.data.clone());
    let data = arguments.data_name.clone().unwrap_or_else(|| {
        full.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    });
    let measured =
        MeasuredCalibration::new(&calibration, embedder.fingerprint(), &data).with_visits(visits);
    let path = Sidecar::write_calibration(embedder.model_file(), &measured)?;
    eprintln!("reidctl: wrote the calibration into {}", path.display());
    Ok(())
}

/// What visits of 1, 4 and 16 crops score in the gallery; fewer where it has no more. Empty where people have one camera each.
fn visit_calibrations(gallery: &Side<'_>) -> Vec<VisitScores> {
    let mut crops: BTreeMap<(u32, u32), Vec<&Embedding>> = BTreeMap::new();
    for (label, vector) in gallery.labels.iter().zip(&gallery.vectors) {
        if let Person::Known(person) = label.person {
            crops
                .entry((person, label.camera))
                .or_default()
                .push(vector);
        }
    }
    let most = crops.values().map(Vec::len).max().unwrap_or(0);
    let visits: Vec<LabelledVisit<'_>> = crops
        .into_iter()
        .map(|((person, camera), crops)| LabelledVisit {
            person,
            camera,
            crops,
        })
        .collect();
    let measured = VISIT_CROPS.iter().filter(|&&crops| crops <= most.max(1));
    measured
        .filter_map(|&crops| {
            let scores = visit_scores(&visits, crops)?;
            scores.check().ok()?;
            Some(VisitScores {
                crops: crops as u32,
                impostor: scores.impostor,
                genuine: scores.genuine,
            })
        })
        .collect()
}

fn print(
    arguments: &Arguments,
    measured: &Measured<'_>,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error>> {
    let Measured {
        scores, cosines, ..
    } = measured;
    if arguments.json {
        let value = json!({
            "model": measured.model,
            "dimension": measured.dimension,
            "metric": arguments.metric.name(),
            "scores": scores,
            "skipped": measured.skipped,
            "ms_per_crop": measured.ms,
            "cosines_same_person": cosines.same.counts,
            "cosines_other_person": cosines.other.counts,
        });
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?);
    }
    writeln!(
        out,
        "{}: dimension {}, {:.2} ms per crop, ranked by {}",
        measured.model,
        measured.dimension,
        measured.ms,
        arguments.metric.name()
    )?;
    writeln!(
        out,
        "mAP {:.2}  rank-1 {:.2}  rank-5 {:.2}  rank-10 {:.2}  ({} queries)",
        100.0 * scores.mean_ap,
        100.0 * scores.rank1,
        100.0 * scores.rank5,
        100.0 * scores.rank10,
        scores.queries
    )?;
    for (name, h) in [
        ("the same person", &cosines.same),
        ("other people", &cosines.other),
    ] {
        writeln!(
            out,
            "cosine of {name}: 5 % below {:.2}, half below {:.2}, 95 % below {:.2}",
            h.quantile(0.05),
            h.quantile(0.5),
            h.quantile(0.95)
        )?;
    }
    Ok(())
}
