//! The report: figures, curves, and pictures of what was found and what was missed, as one HTML file.

use std::{error::Error, fmt::Write, fs, path::Path};

use gstreid::core::scoring::{QueryScore, Verdict, match_rate};

use super::{data::Side, measured::Measured};
use crate::{
    embedding::Metric,
    html::{self, escape},
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

const NOTICE: &str = "<p class=\"notice\"><strong>This file shows people.</strong> The pictures below come from the data \
    that was measured on and are part of this file. Keep it as you keep that data: pass it on to nobody who may not see \
    the pictures, and delete it when it has served.</p>\n";

/// Writes the report.
pub fn write(path: &Path, measured: &Measured<'_>, metric: Metric) -> Result<(), Box<dyn Error>> {
    let mut body = String::from(NOTICE);
    figures(&mut body, measured, metric)?;
    curves(&mut body, measured)?;
    let [missed, hit] = chosen(&measured.queries);
    examples(
        &mut body,
        "Misses: the nearest picture shows somebody else",
        &missed,
        measured,
        metric,
    )?;
    examples(&mut body, "Hits", &hit, measured, metric)?;
    fs::write(path, html::page("How well people are found again", &body))
        .map_err(|error| format!("{} cannot be written: {error}", path.display()).into())
}

fn figures(body: &mut String, measured: &Measured<'_>, metric: Metric) -> std::fmt::Result {
    let model = Path::new(&measured.model)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let scores = &measured.scores;
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let rows = [
        ("model", model.into_owned()),
        ("numbers of a vector", measured.dimension.to_string()),
        ("ranked by", metric.name().to_owned()),
        ("queries that count", scores.queries.to_string()),
        (
            "pictures in the gallery",
            measured.gallery.labels.len().to_string(),
        ),
        ("pictures skipped", measured.skipped.to_string()),
        ("mean average precision (mAP)", percent(scores.mean_ap)),
        ("rank-1", percent(scores.rank1)),
        ("rank-5", percent(scores.rank5)),
        ("rank-10", percent(scores.rank10)),
        ("time of a crop", format!("{:.2} ms", measured.ms)),
    ];
    body.push_str("<table>\n");
    for (name, value) in rows {
        writeln!(body, "<tr><td>{name}</td><td>{}</td></tr>", escape(&value))?;
    }
    writeln!(
        body,
        "</table>\n<p>By the Market-1501 protocol: pictures of the query's person by the query's camera are left out.</p>"
    )
}

fn curves(body: &mut String, measured: &Measured<'_>) -> std::fmt::Result {
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
    writeln!(
        body,
        "<h2>Match rate (CMC)</h2>\n{}",
        plot::chart(&x, &y, &[line])
    )?;
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
    writeln!(
        body,
        "<h2>Cosines of pairs</h2>\n{}",
        plot::chart(&x, &y, &lines)
    )
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
    body: &mut String,
    title: &str,
    queries: &[QueryScore],
    measured: &Measured<'_>,
    metric: Metric,
) -> Result<(), Box<dyn Error>> {
    writeln!(body, "<h2>{title}</h2>")?;
    if queries.is_empty() {
        return Ok(writeln!(body, "<p>None.</p>")?);
    }
    writeln!(
        body,
        "<p>Left the query, then what is nearest to it: the same person with a solid blue frame, others with a broken orange one.</p>"
    )?;
    for query in queries {
        let entry = measured.query.entries[query.query];
        writeln!(body, "<div class=\"row\">")?;
        let text = format!("AP {:.0} %", 100.0 * query.average_precision);
        figure(body, "query", entry, &text)?;
        for near in nearest(query.query, &measured.query, &measured.gallery, metric) {
            let class = if near.is_hit { "hit" } else { "wrong" };
            figure(
                body,
                class,
                measured.gallery.entries[near.number],
                &format!("{:.2}", near.measure),
            )?;
        }
        writeln!(body, "</div>")?;
    }
    Ok(())
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

fn figure(body: &mut String, class: &str, entry: &Entry, text: &str) -> Result<(), Box<dyn Error>> {
    let jpeg = entry.picture()?.fitted(PICTURE_PX, PICTURE_PX).to_jpeg()?;
    writeln!(
        body,
        "<figure class=\"{class}\"><img src=\"{}\" alt=\"\" title=\"{}\"><figcaption>{text}</figcaption></figure>",
        html::jpeg_address(&jpeg),
        escape(entry.file_name())
    )?;
    Ok(())
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
