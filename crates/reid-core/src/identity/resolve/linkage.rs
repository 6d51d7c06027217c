//! Which tracks are one person: clusters by average linkage under constraints, then refined a camera at a time.
//!
//! Average linkage because a cluster must be alike as a whole: with the nearest pair alone (single linkage, or the best of a
//! person's vectors) one odd crop joins two people. Joining greedily never takes a step back, so each camera's visible
//! tracks are then assigned to the clusters of the others again, all at once and one to one (MATRIX, true tracks, all 10
//! frames: IDF1 87 without, 90 with retail-0267, 71 and 73 with retail-0248, 79 and 80 with OSNet x0.25).

use crate::identity::CameraId;
use crate::tracking::assignment::{Edge, assign};

/// Rounds of refinement; the second still moves a track in twenty, a third hardly any.
const ROUNDS: usize = 2;

/// Tracks and how alike they are.
pub(super) struct Likeness {
    pub size: usize,
    /// `size × size`: how far each pair lies above the limit from which two tracks are one person, in deviations (above
    /// strangers until limits are set).
    pub above: Vec<f32>,
    /// Pairs that are two people for certain.
    pub apart: Vec<bool>,
    /// How much each counts in the mean of a cluster.
    pub weights: Vec<f32>,
}

impl Likeness {
    pub fn above(&self, a: usize, b: usize) -> f32 {
        self.above[a * self.size + b]
    }

    fn apart(&self, a: usize, b: usize) -> bool {
        self.apart[a * self.size + b]
    }

    /// How much a track gains by being with `members`: several say more than one, and less than their number, because
    /// they look alike. `None` where one of them is somebody else for certain.
    pub fn gain(&self, track: usize, members: &[usize]) -> Option<f32> {
        if members.is_empty() || members.iter().any(|&m| self.apart(track, m)) {
            return None;
        }
        let weighted = |&m: &usize| self.weights[m] * self.above(track, m);
        let sum: f32 = members.iter().map(weighted).sum();
        let total: f32 = members.iter().map(|&m| self.weights[m]).sum();
        Some(sum / total.max(f32::MIN_POSITIVE).sqrt())
    }
}

/// A cluster's number for each track, from 0, not all in use.
pub(super) fn clusters(
    likeness: &Likeness,
    cameras: &[Option<CameraId>],
    visible: &[bool],
) -> Vec<usize> {
    let mut labels = join(likeness);
    for _ in 0..ROUNDS {
        let mut seen: Vec<CameraId> = cameras.iter().flatten().copied().collect();
        seen.sort_unstable();
        seen.dedup();
        for camera in seen {
            let own = |i: &usize| cameras[*i] == Some(camera) && visible[*i];
            let tracks: Vec<usize> = (0..likeness.size).filter(own).collect();
            reassign(likeness, &tracks, &mut labels);
        }
    }
    labels
}

/// Joins the two most alike clusters until none are.
fn join(likeness: &Likeness) -> Vec<usize> {
    let n = likeness.size;
    let mut labels: Vec<usize> = (0..n).collect();
    let mut sums = likeness.above.clone();
    for (at, sum) in sums.iter_mut().enumerate() {
        *sum *= likeness.weights[at / n] * likeness.weights[at % n];
    }
    let mut apart = likeness.apart.clone();
    let mut sizes = likeness.weights.clone();
    let mut alive = vec![true; n];
    let best = |i: usize, sums: &[f32], apart: &[bool], sizes: &[f32], alive: &[bool]| {
        (0..n)
            .filter(|&j| j != i && alive[j] && !apart[i * n + j])
            .map(|j| (sums[i * n + j] / (sizes[i] * sizes[j]), j))
            .filter(|(mean, _)| *mean > 0.0)
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)))
    };
    let mut nearest: Vec<Option<(f32, usize)>> = (0..n)
        .map(|i| best(i, &sums, &apart, &sizes, &alive))
        .collect();
    loop {
        let most = (0..n)
            .filter(|&i| alive[i])
            .filter_map(|i| nearest[i].map(|(mean, j)| (mean, i, j)))
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        let Some((_, a, b)) = most else { break };
        let (into, from) = (a.min(b), a.max(b));
        alive[from] = false;
        nearest[from] = None;
        sizes[into] += sizes[from];
        for k in 0..n {
            sums[into * n + k] += sums[from * n + k];
            apart[into * n + k] |= apart[from * n + k];
            sums[k * n + into] = sums[into * n + k];
            apart[k * n + into] = apart[into * n + k];
        }
        labels
            .iter_mut()
            .filter(|l| **l == from)
            .for_each(|l| *l = into);
        for k in (0..n).filter(|&k| alive[k]) {
            let touched = nearest[k].is_some_and(|(_, j)| j == from || j == into);
            if k == into || touched {
                nearest[k] = best(k, &sums, &apart, &sizes, &alive);
            } else if !apart[k * n + into] {
                let mean = sums[k * n + into] / (sizes[k] * sizes[into]);
                if mean > 0.0 && nearest[k].is_none_or(|(old, _)| mean > old) {
                    nearest[k] = Some((mean, into));
                }
            }
        }
    }
    labels
}

/// Assigns a camera's visible tracks to the clusters of everybody else, one to one; who fits nowhere is alone.
fn reassign(likeness: &Likeness, tracks: &[usize], labels: &mut [usize]) {
    let mut members: std::collections::BTreeMap<usize, Vec<usize>> =
        std::collections::BTreeMap::new();
    for i in (0..labels.len()).filter(|i| !tracks.contains(i)) {
        members.entry(labels[i]).or_default().push(i);
    }
    let columns: Vec<(usize, Vec<usize>)> = members.into_iter().collect();
    let mut edges = Vec::new();
    for (row, &track) in tracks.iter().enumerate() {
        for (column, (_, members)) in columns.iter().enumerate() {
            if let Some(gain) = likeness.gain(track, members).filter(|g| *g > 0.0) {
                edges.push(Edge {
                    row,
                    column,
                    cost: -gain,
                });
            }
        }
    }
    // A label of its own: that of nobody else.
    let mut free: Vec<usize> = (0..labels.len())
        .filter(|l| columns.iter().all(|(used, _)| used != l))
        .collect();
    for &track in tracks {
        labels[track] = free.pop().unwrap_or(track);
    }
    for pair in assign(&edges, 0.0) {
        labels[tracks[pair.row]] = columns[pair.column].0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tracks on a line: alike when near, apart as said.
    fn likeness(places: &[f32], apart: &[(usize, usize)]) -> Likeness {
        let n = places.len();
        let pair = |k: usize| (places[k / n], places[k % n]);
        let mut likeness = Likeness {
            size: n,
            above: (0..n * n)
                .map(|k| 1.0 - (pair(k).0 - pair(k).1).abs())
                .collect(),
            apart: vec![false; n * n],
            weights: vec![1.0; n],
        };
        for &(a, b) in apart {
            likeness.apart[a * n + b] = true;
            likeness.apart[b * n + a] = true;
        }
        likeness
    }

    fn groups(labels: &[usize]) -> Vec<usize> {
        labels
            .iter()
            .map(|l| labels.iter().position(|other| other == l).unwrap_or(0))
            .collect()
    }

    #[test]
    fn tracks_alike_are_joined_and_a_chain_is_not() {
        let cameras: Vec<Option<CameraId>> = (0..5).map(|c| Some(CameraId(c))).collect();
        let found = clusters(
            &likeness(&[0.0, 0.1, 5.0, 5.2, 9.0], &[]),
            &cameras,
            &[true; 5],
        );
        assert_eq!(groups(&found), [0, 0, 2, 2, 4]);
        // Each is near its neighbour, the ends are not.
        let chain = [0.0, 0.8, 1.6, 2.4, 3.2];
        let found = clusters(&likeness(&chain, &[]), &cameras, &[true; 5]);
        assert!(groups(&found).windows(2).any(|w| w[0] != w[1]));
    }

    #[test]
    fn people_of_one_picture_stay_apart_and_the_better_one_wins() {
        let cameras = [1, 1, 2].map(|c| Some(CameraId(c)));
        let found = clusters(&likeness(&[0.0, 0.3, 0.1], &[(0, 1)]), &cameras, &[true; 3]);
        assert_eq!(groups(&found), [0, 1, 0]);
        assert!(clusters(&likeness(&[], &[]), &[], &[]).is_empty());
    }
}
