//! Measurements of an embedder: the ranking of the gallery for each query, and the cosines of all ranked pairs.

use gstreid::core::{
    embedding::dot,
    scoring::{QueryScore, RetrievalScores, Verdict, query_scores},
};

use super::{data::Side, spread::Histogram};
use crate::embedding::{Metric, progress};

/// Cosines of the pairs that are ranked.
#[derive(Default)]
pub struct Cosines {
    pub same: Histogram,
    pub other: Histogram,
}

/// Everything that was measured.
pub struct Measured<'a> {
    pub model: String,
    pub dimension: usize,
    pub ms: f64,
    pub query: Side<'a>,
    pub gallery: Side<'a>,
    pub queries: Vec<QueryScore>,
    pub scores: RetrievalScores,
    pub cosines: Cosines,
    pub skipped: usize,
}

/// Ranks the gallery for every query.
pub fn measure(query: &Side<'_>, gallery: &Side<'_>, metric: Metric) -> (Vec<QueryScore>, Cosines) {
    let mut cosines = Cosines::default();
    let bar = progress("ranking", query.labels.len());
    let queries = query_scores(&query.labels, &gallery.labels, |number, row| {
        let (label, vector) = (query.labels[number], query.vectors[number].values());
        for ((value, other), of) in row.iter_mut().zip(&gallery.vectors).zip(&gallery.labels) {
            *value = metric.nearness(vector, other.values());
            let cosine = match metric {
                Metric::Cosine => *value,
                Metric::Euclidean => dot(vector, other.values()),
            };
            match label.verdict(of) {
                Verdict::Hit => cosines.same.add(cosine),
                Verdict::Wrong => cosines.other.add(cosine),
                Verdict::LeftOut => {}
            }
        }
        bar.inc(1);
    });
    bar.finish_and_clear();
    (queries, cosines)
}
