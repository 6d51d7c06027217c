//! Finding a person's other pictures: mean average precision and match rates by the Market-1501 protocol (Zheng et al.,
//! "Scalable Person Re-identification: A Benchmark", ICCV 2015).

use serde::Serialize;

use super::ratio;

/// Whom a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    /// Nobody in particular, or a bad picture: neither right nor wrong, left out of every ranking (`-1` in file names).
    Junk,
    /// Somebody who is in no query: always wrong (`0000`).
    Distractor,
    /// A person by number.
    Known(u32),
}

/// What is known of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Whom it shows.
    pub person: Person,
    /// Number of the camera that took it.
    pub camera: u32,
}

/// Means over all queries that have a true match, 0..=1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct RetrievalScores {
    /// Mean average precision; a query's is the mean of the precisions at each of its true matches.
    #[serde(rename = "mAP")]
    pub mean_ap: f64,
    /// Share of queries whose nearest picture is a true match.
    pub rank1: f64,
    /// … one of the 5 nearest.
    pub rank5: f64,
    /// … one of the 10 nearest.
    pub rank10: f64,
    /// How many queries counted.
    pub queries: usize,
}

/// How one query fared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueryScore {
    /// Its number.
    pub query: usize,
    /// Mean of the precisions at each of its true matches, 0..=1.
    pub average_precision: f64,
    /// Where its nearest true match stands, from 0.
    pub first: usize,
}

/// Whether a gallery picture is in a query's ranking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The query's person, by another camera.
    Hit,
    /// Somebody else.
    Wrong,
    /// In no ranking: junk, or the query's person by the query's camera.
    LeftOut,
}

impl Label {
    /// What a gallery picture is to this query.
    pub fn verdict(&self, gallery: &Self) -> Verdict {
        match gallery.person {
            Person::Junk => Verdict::LeftOut,
            person if person != self.person => Verdict::Wrong,
            _ if gallery.camera != self.camera => Verdict::Hit,
            _ => Verdict::LeftOut,
        }
    }
}

impl RetrievalScores {
    /// The means.
    pub fn of(queries: &[QueryScore]) -> Self {
        let count = queries.len() as f64;
        let share = |most| match_rate(queries, most);
        Self {
            mean_ap: ratio(queries.iter().map(|q| q.average_precision).sum(), count),
            rank1: share(1),
            rank5: share(5),
            rank10: share(10),
            queries: queries.len(),
        }
    }
}

/// Share of queries that have a true match among their `most` nearest pictures: a point of the cumulative match
/// characteristic.
pub fn match_rate(queries: &[QueryScore], most: usize) -> f64 {
    let hits = queries.iter().filter(|query| query.first < most).count();
    ratio(hits as f64, queries.len() as f64)
}

/// Scores of a whole set of queries: the means over [`query_scores`].
pub fn retrieval(
    queries: &[Label],
    gallery: &[Label],
    nearness: impl FnMut(usize, &mut [f32]),
) -> RetrievalScores {
    RetrievalScores::of(&query_scores(queries, gallery, nearness))
}

/// Ranks the gallery for every query. Pictures of the query's person by the query's camera and junk are left out,
/// distractors stay. `nearness` fills its second argument, as long as the gallery, with the similarity of each gallery
/// picture to the query whose number it is given; greater is nearer, and of equals the first in the gallery wins.
pub fn query_scores(
    queries: &[Label],
    gallery: &[Label],
    mut nearness: impl FnMut(usize, &mut [f32]),
) -> Vec<QueryScore> {
    let mut row = vec![0.0; gallery.len()];
    let mut scores = Vec::with_capacity(queries.len());
    for (number, query) in queries.iter().enumerate() {
        if !matches!(query.person, Person::Known(_)) {
            continue;
        }
        nearness(number, &mut row);
        let ranks = hit_ranks(*query, gallery, &row);
        let Some(&first) = ranks.first() else {
            continue;
        };
        scores.push(QueryScore {
            query: number,
            average_precision: average_precision(&ranks),
            first,
        });
    }
    scores
}

/// Where the true matches of a query stand, from 0, ascending.
fn hit_ranks(query: Label, gallery: &[Label], row: &[f32]) -> Vec<usize> {
    let is_hit = |label: &Label| query.verdict(label) == Verdict::Hit;
    let is_wrong = |label: &Label| query.verdict(label) == Verdict::Wrong;
    let mut hits: Vec<usize> = (0..gallery.len())
        .filter(|&i| is_hit(&gallery[i]))
        .collect();
    let before = |a: usize, b: usize| row[b].total_cmp(&row[a]).then(a.cmp(&b)).is_lt();
    hits.sort_unstable_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
    // Few hits and a large gallery: count what stands before each hit instead of sorting everything.
    let mut begins_before = vec![0_usize; hits.len() + 1];
    for i in (0..gallery.len()).filter(|&i| is_wrong(&gallery[i])) {
        begins_before[hits.partition_point(|&hit| before(hit, i))] += 1;
    }
    let mut wrong = 0;
    let mut ranks = Vec::with_capacity(hits.len());
    for (k, more) in begins_before.iter().take(hits.len()).enumerate() {
        wrong += more;
        ranks.push(wrong + k);
    }
    ranks
}

fn average_precision(ranks: &[usize]) -> f64 {
    let precisions = ranks
        .iter()
        .enumerate()
        .map(|(k, &rank)| (k + 1) as f64 / (rank + 1) as f64);
    ratio(precisions.sum(), ranks.len() as f64)
}
