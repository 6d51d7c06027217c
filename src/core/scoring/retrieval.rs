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

/// Ranks the gallery for every query. Pictures of the query's person by the query's camera and junk are left out,
/// distractors stay. `nearness` fills its second argument, as long as the gallery, with the similarity of each gallery
/// picture to the query whose number it is given; greater is nearer, and of equals the first in the gallery wins.
pub fn retrieval(
    queries: &[Label],
    gallery: &[Label],
    mut nearness: impl FnMut(usize, &mut [f32]),
) -> RetrievalScores {
    let mut row = vec![0.0; gallery.len()];
    let mut sum = RetrievalScores::default();
    for (number, query) in queries.iter().enumerate() {
        if !matches!(query.person, Person::Known(_)) {
            continue;
        }
        nearness(number, &mut row);
        let ranks = hit_ranks(*query, gallery, &row);
        let Some(&first) = ranks.first() else {
            continue;
        };
        sum.queries += 1;
        sum.mean_ap += average_precision(&ranks);
        sum.rank1 += f64::from(first < 1);
        sum.rank5 += f64::from(first < 5);
        sum.rank10 += f64::from(first < 10);
    }
    let mean = |sum_of: f64| ratio(sum_of, sum.queries as f64);
    RetrievalScores {
        mean_ap: mean(sum.mean_ap),
        rank1: mean(sum.rank1),
        rank5: mean(sum.rank5),
        rank10: mean(sum.rank10),
        queries: sum.queries,
    }
}

/// Where the true matches of a query stand, from 0, ascending.
fn hit_ranks(query: Label, gallery: &[Label], row: &[f32]) -> Vec<usize> {
    let is_hit = |label: &Label| label.person == query.person && label.camera != query.camera;
    let is_wrong = |label: &Label| label.person != query.person && label.person != Person::Junk;
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
