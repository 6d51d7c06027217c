//! The report: figures, curves, and pictures of hits and misses, as one HTML file.

use std::{error::Error, fs, path::Path};

use gstreid::core::scoring::{QueryScore, Verdict, match_rate};
use maud::{Markup, PreEscaped, html};

use super::{data::Side, measured::Measured};
use crate::{
    embedding::Metric,
    html::{jpeg_address, page},
    pictures::Entry,
    plot::{self, Axis, Line},
};

/// Queries shown of those that missed and of those that hit.
const ROWS: usize = 8;

/// Nearest pictures shown of a query.
const NEAREST: usize = 10;

/// Longest of a picture's sides in the report, px.
const PICTURE_PX: usize = 128;

/// Last rank of the curve.
const LAST_RANK: usize = 20;

/// Writes the report.
pub fn write(path: &Path, measured: &Measured<'_>, metric: Metric) -> Result<(), Box<dyn Error>> {
    let [missed, hit] = chosen(&measured.queries);
    let body = html! {
        p.notice {
            strong { "This file shows people." }
            " It contains pictures of the data that was measured on. Protect it as you protect that data: share it only with "
            "people who may see the pictures, and delete it when it is no longer needed."
        }
        (figures(measured, metric))
        (curves(measured))
        h2 { "Misses: the nearest picture shows another person" }
        (examples(&missed, measured, metric)?)
        h2 { "Hits" }
        (examples(&hit, measured, metric)?)
    };
    let text = page("Evaluation of a re-identification model", &body).into_string();
    fs::write(path, text)
        .map_err(|error| format!("{} cannot be written: {error}", path.display()).into())
}

fn figures(measured: &Measured<'_>, metric: Metric) -> Markup {
    let model = Path::new(&measured.model)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let scores = &measured.scores;
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let rows = [
        ("model", model.into_owned()),
        ("dimension", measured.dimension.to_string()),
        ("ranked by", metric.name().to_owned()),
        ("queries", scores.queries.to_string()),
        (
            "pictures in the gallery",
            measured.gallery.labels.len().to_string(),
        ),
        ("pictures skipped", measured.skipped.to_string()),
        ("mean average precision (mAP)", percent(scores.mean_ap)),
        ("rank-1", percent(scores.rank1)),
        ("rank-5", percent(scores.rank5)),
        ("rank-10", percent(scores.rank10)),
        ("time per crop", format!("{:.2} ms", measured.ms)),
    ];
    html! {
        table { @for (name, value) in &rows { tr { td { (name) } td { (value) } } } }
        p { "By the Market-1501 protocol: pictures of the query's person by the query's camera are left out." }
    }
}

fn curves(measured: &Measured<'_>) -> Markup {
    let points =
        (1..=LAST_RANK).map(|rank| [rank as f64, 100.0 * match_rate(&measured.queries, rank)]);
    let line = Line {
        name: "found by rank",
        colour: plot::BLUE,
        is_filled: false,
        points: points.collect(),
    };
    let (x, y) = (
        Axis {
            name: "rank",
            from: 0.0,
            to: LAST_RANK as f64,
        },
        Axis {
            name: "queries, %",
            from: 0.0,
            to: 100.0,
        },
    );
    let match_rates = plot::chart(&x, &y, &[line]);
    let line = |name, colour, points| Line {
        name,
        colour,
        is_filled: true,
        points,
    };
    let lines = [
        line(
            "the same person",
            plot::BLUE,
            measured.cosines.same.shares(),
        ),
        line(
            "other people",
            plot::ORANGE,
            measured.cosines.other.shares(),
        ),
    ];
    let all = || lines.iter().flat_map(|line| &line.points);
    let highest = all().map(|point| point[1]).fold(1.0, f64::max).ceil();
    let lowest = all().map(|point| point[0]).fold(0.0, f64::min);
    // From these to 1 a fifth is a round number.
    let begin = [0.0, -0.5]
        .into_iter()
        .find(|begin| *begin <= lowest)
        .unwrap_or(-1.0);
    let (x, y) = (
        Axis {
            name: "cosine",
            from: begin,
            to: 1.0,
        },
        Axis {
            name: "pairs, %",
            from: 0.0,
            to: highest,
        },
    );
    html! {
        h2 { "Match rate (CMC)" }
        (PreEscaped(match_rates))
        h2 { "Cosines of pairs" }
        (PreEscaped(plot::chart(&x, &y, &lines)))
    }
}

/// Queries to show: of the misses the worst, of the hits some from the best to the worst.
fn chosen(queries: &[QueryScore]) -> [Vec<QueryScore>; 2] {
    let mut sorted = queries.to_vec();
    sorted.sort_by(|a, b| b.average_precision.total_cmp(&a.average_precision));
    let (hits, mut misses): (Vec<_>, Vec<_>) =
        sorted.into_iter().partition(|query| query.first == 0);
    misses.reverse();
    misses.truncate(ROWS);
    let step = hits.len().div_ceil(ROWS).max(1);
    [misses, hits.into_iter().step_by(step).collect()]
}

fn examples(
    queries: &[QueryScore],
    measured: &Measured<'_>,
    metric: Metric,
) -> Result<Markup, Box<dyn Error>> {
    if queries.is_empty() {
        return Ok(html! { p { "None." } });
    }
    let mut rows = Vec::new();
    for query in queries {
        let text = format!("AP {:.0} %", 100.0 * query.average_precision);
        let mut row = vec![figure("query", measured.query.entries[query.query], &text)?];
        for near in nearest(query.query, &measured.query, &measured.gallery, metric) {
            let class = if near.is_hit { "hit" } else { "wrong" };
            let entry = measured.gallery.entries[near.number];
            row.push(figure(class, entry, &format!("{:.2}", near.measure))?);
        }
        rows.push(row);
    }
    Ok(html! {
        p { "Left the query, then the pictures nearest to it: the same person with a solid blue frame, others with a dashed orange one." }
        @for row in &rows { div.row { @for picture in row { (picture) } } }
    })
}

/// A picture near a query.
struct Near {
    number: usize,
    measure: f32,
    is_hit: bool,
}

fn nearest(query: usize, queries: &Side<'_>, gallery: &Side<'_>, metric: Metric) -> Vec<Near> {
    let (label, vector) = (queries.labels[query], queries.vectors[query].values());
    let nearness = |number: usize| metric.nearness(vector, gallery.vectors[number].values());
    let mut ranked: Vec<(f32, usize)> = (0..gallery.labels.len())
        .filter(|&number| label.verdict(&gallery.labels[number]) != Verdict::LeftOut)
        .map(|number| (nearness(number), number))
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let near = |(_, number): (f32, usize)| Near {
        number,
        measure: metric.of(vector, gallery.vectors[number].values()),
        is_hit: label.verdict(&gallery.labels[number]) == Verdict::Hit,
    };
    ranked.into_iter().take(NEAREST).map(near).collect()
}

fn figure(class: &str, entry: &Entry, text: &str) -> Result<Markup, Box<dyn Error>> {
    let jpeg = entry.picture()?.fitted(PICTURE_PX, PICTURE_PX).to_jpeg()?;
    Ok(html! {
        figure class=(class) {
            img src=(jpeg_address(&jpeg)) alt="" title=(entry.file_name());
            figcaption { (text) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_misses_and_hits_of_every_kind_are_shown() {
        let query = |number: usize| QueryScore {
            query: number,
            average_precision: number as f64 / 100.0,
            first: usize::from(number < 40),
        };
        let all: Vec<_> = (0..100).map(query).collect();
        let [missed, hit] = chosen(&all);
        let numbers = |side: &[QueryScore]| side.iter().map(|q| q.query).collect::<Vec<_>>();
        assert_eq!(numbers(&missed), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(numbers(&hit), [99, 91, 83, 75, 67, 59, 51, 43]);
        let [missed, hit] = chosen(&[]);
        assert!(missed.is_empty() && hit.is_empty());
    }
}
