//! Re-identification between cameras: pairs of boxes in different cameras, counted like the pairs of a clustering.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{clear::matches, timeline::Timeline};

/// Scores over all pairs of found boxes in different cameras. A box counts when it matches a true box
/// ([`matches()`]): what the detector missed or invented is left to the other scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CrossCameraScores {
    /// Of the pairs with one id, the share of one person; the rest are false merges. `None` when no
    /// id was given in two cameras.
    #[serde(rename = "cross_camera_precision")]
    pub precision: Option<f64>,
    /// Of the pairs that show one person, the share that carries one id. `None` when nobody was found in two cameras.
    #[serde(rename = "cross_camera_recall")]
    pub recall: Option<f64>,
}

/// Boxes in each camera.
type ByCamera = BTreeMap<usize, u64>;

/// The scores.
pub fn cross_camera(timeline: &Timeline) -> CrossCameraScores {
    let mut of_person: BTreeMap<usize, ByCamera> = BTreeMap::new();
    let mut of_id: BTreeMap<usize, ByCamera> = BTreeMap::new();
    let mut of_both: BTreeMap<(usize, usize), ByCamera> = BTreeMap::new();
    for (moment, found) in timeline.moments.iter().zip(matches(timeline)) {
        for m in found {
            let (person, id) = (moment.truth[m.truth], moment.result[m.result]);
            *of_person
                .entry(person)
                .or_default()
                .entry(moment.camera)
                .or_default() += 1;
            *of_id
                .entry(id)
                .or_default()
                .entry(moment.camera)
                .or_default() += 1;
            *of_both
                .entry((person, id))
                .or_default()
                .entry(moment.camera)
                .or_default() += 1;
        }
    }
    let right = pairs(of_both.values());
    let share = |all: f64| (all > 0.0).then(|| right / all);
    CrossCameraScores {
        precision: share(pairs(of_id.values())),
        recall: share(pairs(of_person.values())),
    }
}

/// Pairs of boxes in different cameras within each group, in f64 because they grow with the square of the clip.
fn pairs<'a>(groups: impl Iterator<Item = &'a ByCamera>) -> f64 {
    groups
        .map(|cameras| {
            let all: f64 = cameras.values().map(|&n| n as f64).sum();
            let within: f64 = cameras.values().map(|&n| (n as f64).powi(2)).sum();
            (all * all - within) / 2.0
        })
        .sum()
}
