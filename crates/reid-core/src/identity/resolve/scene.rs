//! Who is compared with whom, and what all evidence says about each pair.
//!
//! Long because all evidence about a pair is weighed in one place.

use std::collections::{BTreeMap, BTreeSet};

use super::linkage::Likeness;
use crate::identity::{
    CameraId, Gallery, MAX_NUMBER,
    overlap::Scores,
    people::Record,
    prototypes::Space,
    scores::{LATE, Scorer, against_one_of, short},
    topology::Relation,
    visit::{Binding, TrackKey},
};
use crate::{embedding::dot, person::IdentityId};

/// Most tracks that are compared at a time …
const MAX_TRACKS: usize = 256;
/// … and most people known from before; the work grows with the square of both.
const MAX_KNOWN: usize = 96;
/// With more tracks than this only those are compared that are of this camera or carry somebody near.
const CROWDED: usize = MAX_TRACKS;
/// With so few people known everybody is compared; with more, of each track that asks those that are nearest.
const NEAREST: usize = 24;
/// When a visit is over, its person's past and that of so many who are nearest are taken apart into visits, …
const DIVIDED: usize = 12;
/// … until there are so many people.
const MAX_DIVIDED: usize = 32;
/// Two people of one picture are as unlike as this cosine says, whatever they look like; not certain to be two, because one
/// person sometimes has two boxes. Three cameras without overlap: with certainty instead, 84 % of the boxes are right at
/// best, with this 93 %.
const APART_SCORE: f32 = -0.5;
/// Tracks that two cameras see at one moment, and that share people, are one person from this many deviations above impostors on.
/// MATRIX: pairs of one person in two cameras lie at 2.9 ± 1.1 (retail-0267), 2.5 ± 1.1 (retail-0248), 2.6 ± 1.2 (OSNet x0.25);
/// from 0 to 1.75 the clusters' IDF1 hardly moves, so the value is taken from the impostors' side.
const SAME: f32 = 1.75;
/// … further where fewer than this share of those in view of one camera are in view of the other, by as much as makes an
/// impostor's score rarer by the same factor.
const SHARED: f32 = 0.5;
/// Those that carry one identity already are believed to lie this much closer: identities must not flicker.
const HOLD: f32 = 0.5;
/// … and a track that nobody else shares to its own past by so many: an id that is shown changes for much better evidence only.
const HOLD_PAST: f32 = 1.5;
/// … and visits that are over and are one person's by so many, whatever the number of people known: the past is taken apart only where it
/// looks like two people, not where one person looks unlike. MATRIX, corrected: IDF1 62.5 and 52.7 without, 67.8 and 65.1 with that.
const HOLD_VISITS: f32 = 1.0;
/// … and from this weight on, two seconds, are no longer one of many, where several cameras see them at once.
const ESTABLISHED: f32 = 5.0;
/// A few crops ask for so many deviations more to be somebody known …
const EARLY: f32 = 0.75;
/// … until there are so many, over so long a time, ns.
pub(super) const ENOUGH_CROPS: u32 = 3;
pub(super) const ENOUGH_NS: u64 = 400_000_000;
/// What a user has called one person lies so many deviations above the limit.
const TOLD: f32 = 20.0;
/// What places and times say counts as so much likeness: natural logarithm of odds a deviation.
const ODDS_A_DEVIATION: f32 = 3.0;

/// Who is to be compared with everybody else.
pub(super) struct Question<'a> {
    /// Whose picture brought news.
    pub camera: CameraId,
    /// Tracks that ask.
    pub asked: &'a [TrackKey],
    /// People whose visits are over.
    pub over: &'a [IdentityId],
    /// All tracks of the camera.
    pub is_whole: bool,
}

impl Question<'_> {
    /// How many known people each of those in question is compared with.
    fn most_near(&self) -> usize {
        (MAX_KNOWN / (self.asked.len() + self.over.len()).max(1)).max(NEAREST)
    }
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A track that lasts.
    Track(TrackKey),
    /// A person by the visits that are over, or by those of them that are that person's for good.
    Past,
    /// A visit that is over and may turn out to be another person's.
    Visit(TrackKey),
}

/// A track or a person of the past.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub kind: Kind,
    /// What it carries; beyond all that can be given ([`is_given`]) where that is nothing yet.
    pub id: IdentityId,
    pub first_ns: u64,
    pub seen_ns: u64,
    /// Seen in the newest picture of its camera.
    pub visible: bool,
    /// Usable crops so far; of the past, none.
    pub crops: u32,
    pub decided: bool,
    /// A user has said that the identity is one person.
    pub trusted: bool,
    /// How often people were compared while it was visible.
    pub grouped: u32,
    /// How much it counts: half seconds of visits.
    pub weight: f32,
    /// How much all nodes of the person's past count; of a track, what it counts itself.
    pub whole: f32,
}

impl Node {
    pub fn track(&self) -> Option<TrackKey> {
        match self.kind {
            Kind::Track(key) => Some(key),
            Kind::Past | Kind::Visit(_) => None,
        }
    }

    /// The track whose visit it is or was.
    fn visit(&self) -> Option<TrackKey> {
        match self.kind {
            Kind::Track(key) | Kind::Visit(key) => Some(key),
            Kind::Past => None,
        }
    }

    pub fn is_past(&self) -> bool {
        self.track().is_none()
    }

    pub fn camera(&self) -> Option<CameraId> {
        self.track().map(|key| key.camera)
    }

    fn is_early(&self) -> bool {
        let young = self.seen_ns.saturating_sub(self.first_ns) < ENOUGH_NS;
        self.track().is_some() && (self.crops < ENOUGH_CROPS || young)
    }
}

/// Everybody who is compared at one time by one model's vectors, a row each: without what cameras and moments add, of unit
/// length for a track, the weighted mean of such rows for a person of the past, so that products are average linkage.
pub(super) struct Scene {
    pub nodes: Vec<Node>,
    vectors: Vec<f32>,
    dimension: usize,
    /// What each pair of nodes scores: the products of their vectors.
    scores: Vec<f32>,
    pub scorer: Scorer,
    /// How much lower two people of one camera score than two of two rooms.
    lowered: BTreeMap<CameraId, f32>,
}

impl Scene {
    pub fn vector(&self, node: usize) -> &[f32] {
        &self.vectors[node * self.dimension..(node + 1) * self.dimension]
    }

    /// The product of two nodes' vectors: their mean cosine.
    pub fn score(&self, a: usize, b: usize) -> f32 {
        self.scores[a * self.nodes.len() + b]
    }

    /// Compares every node with every other, once for all that ask for scores.
    fn fill_scores(&mut self) {
        let n = self.nodes.len();
        let mut scores = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..i {
                let product = dot(self.vector(i), self.vector(j));
                (scores[i * n + j], scores[j * n + i]) = (product, product);
            }
        }
        self.scores = scores;
    }

    /// Most people in a scene are others: what they score says what impostors do.
    fn take_in_bulk(&mut self) {
        let units = self.units();
        let pairs = units.iter().enumerate();
        let pairs = pairs.flat_map(|(at, a)| units[..at].iter().map(move |b| (a, b)));
        let mut scores: Vec<f32> = pairs
            .filter(|(a, b)| self.nodes[a[0]].id != self.nodes[b[0]].id)
            .map(|(a, b)| self.mean_score(a, b))
            .collect();
        self.scorer.take_in_bulk(&mut scores);
    }

    /// The nodes, those of one person's past in one place.
    fn units(&self) -> Vec<Vec<usize>> {
        let mut pasts: BTreeMap<IdentityId, Vec<usize>> = BTreeMap::new();
        let mut units = Vec::new();
        for (i, node) in self.nodes.iter().enumerate() {
            if node.is_past() {
                pasts.entry(node.id).or_default().push(i);
            } else {
                units.push(vec![i]);
            }
        }
        units.extend(pasts.into_values());
        units
    }

    /// What two groups of nodes score in the mean.
    fn mean_score(&self, these: &[usize], those: &[usize]) -> f32 {
        let (mut sum, mut total) = (0.0, 0.0);
        for &i in these {
            for &j in those {
                let weight = self.nodes[i].weight * self.nodes[j].weight;
                sum += weight * self.score(i, j);
                total += weight;
            }
        }
        sum / total
    }

    /// What is taken off each node's deviations because many of the known look alike to it.
    fn cohorts(&self, raw: &[f32], known: usize) -> Vec<f32> {
        let n = self.nodes.len();
        let cohort = |i: usize| {
            let others =
                (0..n).filter(|&j| self.nodes[j].is_past() && self.nodes[j].id != self.nodes[i].id);
            let mut deviations: Vec<f32> = others.map(|j| raw[i * n + j]).collect();
            self.scorer.cohort(&mut deviations, known)
        };
        (0..n).map(cohort).collect()
    }

    /// What is taken off a track's deviations from the past because two people of it are nearly as alike.
    fn contested(&self, raw: &[f32], known: usize) -> Vec<f32> {
        let n = self.nodes.len();
        let doubt = |i: usize| {
            let pasts = (0..n).filter(|&j| self.nodes[j].is_past() && j != i);
            let mut best = [f32::NEG_INFINITY; 2];
            for score in pasts.map(|j| raw[i * n + j]) {
                if score > best[0] {
                    best = [score, best[0]];
                } else {
                    best[1] = best[1].max(score);
                }
            }
            if best[1].is_finite() {
                self.scorer.contested(best[0], best[1], known)
            } else {
                0.0
            }
        };
        (0..n).map(doubt).collect()
    }

    /// What is taken off two nodes' deviations for their cohorts, where they are not one person already.
    fn crowded(&self, cohorts: &[f32], i: usize, j: usize) -> f32 {
        if self.nodes[i].id == self.nodes[j].id {
            0.0
        } else {
            cohorts[i].max(cohorts[j])
        }
    }

    /// That doubt, where a track is compared with a past that is not its own.
    fn doubt(&self, contested: &[f32], i: usize, j: usize) -> f32 {
        let (a, b) = (&self.nodes[i], &self.nodes[j]);
        match (a.kind, b.kind) {
            _ if a.id == b.id => 0.0,
            (Kind::Track(_), Kind::Track(_)) => 0.0,
            (Kind::Track(_), _) => contested[i],
            (_, Kind::Track(_)) => contested[j],
            _ => 0.5 * (contested[i] + contested[j]),
        }
    }

    /// Whether several cameras see a person.
    fn is_shared(&self, id: IdentityId) -> bool {
        let own = |node: &&Node| node.id == id && node.track().is_some();
        self.nodes.iter().filter(own).take(2).count() == 2
    }

    /// Tracks in the newest picture of a camera.
    pub fn visible(&self, camera: CameraId) -> Vec<usize> {
        let seen = |i: &usize| self.nodes[*i].visible && self.nodes[*i].camera() == Some(camera);
        (0..self.nodes.len()).filter(seen).collect()
    }

    /// Whether two nodes are in the newest picture of one camera.
    fn beside(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.nodes[a], &self.nodes[b]);
        a.visible && b.visible && a.camera().is_some() && a.camera() == b.camera()
    }
}

impl Gallery {
    /// Those who are compared; `None` where that is nobody.
    pub(super) fn scene(&self, space: usize, question: &Question<'_>) -> Option<Scene> {
        let space = &self.spaces[space];
        let fixed = self.config.match_threshold;
        let near = (self.bindings.len() > CROWDED).then(|| self.near(space, question));
        let tracks = self.present(space, question.camera, near.as_ref());
        let (known, divided) = self.known(space, &tracks, question);
        if tracks.len() + known.len() < 2 {
            return None;
        }
        let present: Vec<(CameraId, &[f32], f32)> = tracks
            .iter()
            .map(|(key, binding, mean)| {
                let id = binding.identity;
                let novelty = id.map_or(1.0, |id| space.novelty(id, key.camera));
                (key.camera, &mean[..], novelty)
            })
            .collect();
        let carried = tracks.iter().filter_map(|(_, b, _)| b.identity);
        let fresh: BTreeSet<IdentityId> = carried.filter(|id| space.rows_of(*id) == 0).collect();
        let people = space.people() + fresh.len();
        let means = space.bias.means(present.into_iter(), people);
        let cleaned = |camera: CameraId, mut vector: Vec<f32>| {
            if fixed.is_none() {
                means.remove(camera, &mut vector);
                space.variation.remove(&mut vector);
            }
            let length = dot(&vector, &vector).sqrt().max(f32::MIN_POSITIVE);
            vector.iter_mut().for_each(|v| *v /= length);
            vector
        };
        let mut scene = Scene {
            nodes: Vec::with_capacity(tracks.len() + known.len()),
            vectors: Vec::with_capacity((tracks.len() + known.len()) * space.dimension),
            dimension: space.dimension,
            scores: Vec::new(),
            scorer: Scorer::new(&space.scale, fixed),
            lowered: BTreeMap::new(),
        };
        scene.scorer.keep_common(&space.scale, means.left);
        let newest = self.newest();
        for (key, binding, mean) in tracks {
            let nameless = || IdentityId(u32::MAX - scene.nodes.len() as u32);
            let id = binding.identity.unwrap_or_else(nameless);
            scene.vectors.extend(cleaned(key.camera, mean));
            scene.nodes.push(track_node(key, binding, id, &newest));
            let lowered = || means.lowered(key.camera);
            scene.lowered.entry(key.camera).or_insert_with(lowered);
        }
        for id in known {
            let Some(record) = self.people.get(&id) else {
                continue;
            };
            let rows = space.rows(id).filter(|(row, _)| row.track.is_none());
            let rows: Vec<_> = rows.map(|(r, v)| (r, cleaned(r.camera, v))).collect();
            let whole = rows.iter().map(|(row, _)| row.weight).sum();
            let mut sum = vec![0.0; space.dimension];
            let mut weight = 0.0;
            for (row, values) in rows {
                if let Some(key) = row
                    .visit
                    .filter(|key| divided.contains(&id) && self.past_visits.get(*key).is_some())
                {
                    scene.vectors.extend(values);
                    let kind = Kind::Visit(key);
                    scene
                        .nodes
                        .push(past_node(kind, id, record, (row.weight, whole)));
                    continue;
                }
                let sums = sum.iter_mut().zip(values);
                sums.for_each(|(s, v)| *s += row.weight * v);
                weight += row.weight;
            }
            if weight > 0.0 {
                scene.vectors.extend(sum.iter().map(|v| v / weight));
                scene
                    .nodes
                    .push(past_node(Kind::Past, id, record, (weight, whole)));
            }
        }
        scene.fill_scores();
        scene.take_in_bulk();
        Some(scene)
    }

    /// When each camera last saw anybody, ns.
    pub(super) fn newest(&self) -> BTreeMap<CameraId, u64> {
        let mut newest: BTreeMap<CameraId, u64> = BTreeMap::new();
        for (key, binding) in &self.bindings {
            let seen = newest.entry(key.camera).or_default();
            *seen = binding.seen_ns.max(*seen);
        }
        newest
    }

    /// The people most alike to those in question.
    fn near(&self, space: &Space, question: &Question<'_>) -> BTreeSet<IdentityId> {
        let wanted = |key: &TrackKey| {
            question.asked.contains(key) || question.is_whole && key.camera == question.camera
        };
        let mut near: BTreeSet<IdentityId> = question.over.iter().copied().collect();
        for (_, binding) in self.bindings.iter().filter(|(key, _)| wanted(key)) {
            near.extend(binding.identity);
            let Some(mut mean) = binding.visit.mean_of(space.model, false) else {
                continue;
            };
            let length = dot(&mean, &mean).sqrt().max(f32::MIN_POSITIVE);
            mean.iter_mut().for_each(|v| *v /= length);
            near.extend(space.nearest(&mean, NEAREST, |_| true));
        }
        for &id in question.over {
            near.extend(space.nearest(&space.sum_of(id), NEAREST, |_| true));
        }
        near
    }

    /// The tracks that have vectors of this model, the camera's own and the newest first; of other cameras those of `near` alone,
    /// where that is given.
    fn present<'a>(
        &'a self,
        space: &Space,
        camera: CameraId,
        near: Option<&BTreeSet<IdentityId>>,
    ) -> Vec<(TrackKey, &'a Binding, Vec<f32>)> {
        let is_near = |key: &TrackKey, binding: &Binding| {
            let carries =
                |near: &BTreeSet<IdentityId>| binding.identity.is_some_and(|id| near.contains(&id));
            key.camera == camera || near.is_none_or(carries)
        };
        let mut chosen: Vec<(&TrackKey, &Binding)> = self
            .bindings
            .iter()
            .filter(|(_, b)| b.visit.crops > 0 && (b.identity.is_some() || b.confirmed))
            .filter(|(key, b)| is_near(key, b))
            .collect();
        chosen.sort_by_key(|(key, b)| (key.camera != camera, std::cmp::Reverse(b.seen_ns), **key));
        chosen
            .into_iter()
            .filter_map(|(key, b)| Some((*key, b, b.visit.mean_of(space.model, false)?)))
            .take(MAX_TRACKS)
            .collect()
    }

    /// The people whose past counts: those whom tracks carry, those whose visits are over, and those nearest to them and to the
    /// tracks that ask. And those of them whose past is taken apart into visits: those whose visits are over, and the nearest.
    fn known(
        &self,
        space: &Space,
        tracks: &[(TrackKey, &Binding, Vec<f32>)],
        question: &Question<'_>,
    ) -> (Vec<IdentityId>, BTreeSet<IdentityId>) {
        let over = question.over.iter().copied();
        let carried = tracks.iter().filter_map(|(_, b, _)| b.identity);
        let mut known: BTreeSet<IdentityId> = carried.chain(over.clone()).collect();
        let mut divided: BTreeSet<IdentityId> = over.collect();
        let near = |vector: &[f32], most| {
            let length = dot(vector, vector).sqrt().max(f32::MIN_POSITIVE);
            let unit: Vec<f32> = vector.iter().map(|v| v / length).collect();
            space.nearest(&unit, most, |_| true)
        };
        let most = question.most_near();
        for (_, _, mean) in tracks
            .iter()
            .filter(|(key, ..)| question.asked.contains(key))
        {
            known.extend(near(mean, most));
        }
        for &id in question.over {
            let sum = space.sum_of(id);
            known.extend(near(&sum, most));
            if divided.len() < MAX_DIVIDED {
                divided.extend(near(&sum, DIVIDED));
            }
        }
        let mut known: Vec<IdentityId> = known.into_iter().collect();
        known.retain(|id| space.rows_of(*id) > 0);
        known.truncate(2 * MAX_KNOWN);
        (known, divided)
    }

    /// What all evidence says of each pair, in deviations above the limit from which two are one person; and the deviations from
    /// impostor scores alone.
    pub(super) fn compare(&self, scene: &Scene, known: usize) -> (Likeness, Vec<f32>) {
        let n = scene.nodes.len();
        let limits = Limits::of(self, scene, known);
        let mut likeness = Likeness {
            size: n,
            above: vec![0.0; n * n],
            apart: vec![false; n * n],
            weights: scene.nodes.iter().map(|node| node.weight).collect(),
        };
        let mut raw = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..i {
                let own = scene.scorer.deviations(scene.score(i, j));
                (raw[i * n + j], raw[j * n + i]) = (own, own);
            }
        }
        let cohorts = scene.cohorts(&raw, known);
        let contested = scene.contested(&raw, known);
        for i in 0..n {
            for j in 0..i {
                let score = scene.score(i, j);
                let part = self.seen_apart(&scene.nodes[i], &scene.nodes[j]);
                let seen = score + part * (APART_SCORE - score);
                let above = scene.scorer.deviations(seen) - limits.between(scene, i, j)
                    + self.places_and_times(scene, i, j)
                    - scene.crowded(&cohorts, i, j)
                    - scene.doubt(&contested, i, j);
                let told = told_one(&scene.nodes[i], &scene.nodes[j]);
                let apart = !told && (scene.beside(i, j) || self.excluded(scene, i, j));
                for at in [i * n + j, j * n + i] {
                    likeness.above[at] = if told { TOLD } else { above };
                    likeness.apart[at] = apart;
                }
            }
        }
        (likeness, raw)
    }

    /// What part of two nodes' visits was seen in one picture, in two places: 0 to 1.
    fn seen_apart(&self, a: &Node, b: &Node) -> f32 {
        if let (Some(x), Some(y)) = (a.visit(), b.visit()) {
            return f32::from(u8::from(self.met(x, y)));
        }
        let binding = |node: &Node| node.track().and_then(|key| self.bindings.get(&key));
        let part = match (binding(a), binding(b)) {
            (Some(own), _) => share(own.apart.get(&b.id), b.whole),
            (_, Some(own)) => share(own.apart.get(&a.id), a.whole),
            (None, None) => {
                let record = self.people.get(&a.id);
                let seen = record.and_then(|r| r.apart.get(&b.id));
                share(seen, a.whole * b.whole)
            }
        };
        part.clamp(0.0, 1.0)
    }

    /// Whether two visits were in one picture, in two places.
    fn met(&self, one: TrackKey, other: TrackKey) -> bool {
        let lasts = |key, other: TrackKey| {
            let binding: Option<&Binding> = self.bindings.get(&key);
            binding.is_some_and(|own| own.is_apart_from(other.track))
        };
        one.camera == other.camera
            && (lasts(one, other)
                || lasts(other, one)
                || self.past_visits.met(one, other)
                || self.past_visits.met(other, one))
    }

    /// What no score outweighs: a user has told the two apart, or nobody can be in both places.
    fn excluded(&self, scene: &Scene, i: usize, j: usize) -> bool {
        let (a, b) = (&scene.nodes[i], &scene.nodes[j]);
        if a.id == b.id {
            return false;
        }
        let parted = self
            .people
            .get(&a.id)
            .is_some_and(|r| r.parted.contains(&b.id));
        parted || !self.can_meet(a, b)
    }

    /// Whether topology lets two nodes be one person.
    fn can_meet(&self, a: &Node, b: &Node) -> bool {
        let Some(topology) = &self.topology else {
            return true;
        };
        match (a.track(), b.track()) {
            (Some(x), Some(y)) => self.relation(topology, x.camera, y.camera).allows(
                &(a.first_ns..a.seen_ns),
                &(b.first_ns..b.seen_ns),
                false,
            ),
            (Some(key), None) => self.can_be(key, b.id),
            (None, Some(key)) => self.can_be(key, a.id),
            (None, None) => self.could_both_be(a.id, b.id),
        }
    }

    /// What places on the floor, and how long people take from camera to camera, say for one person: deviations.
    fn places_and_times(&self, scene: &Scene, i: usize, j: usize) -> f32 {
        let (a, b) = (&scene.nodes[i], &scene.nodes[j]);
        let odds = match (a.track(), b.track()) {
            (Some(x), Some(y)) => self.floor.log_odds(x, y),
            (Some(key), None) => self.walk_odds(b.id, key),
            (None, Some(key)) => self.walk_odds(a.id, key),
            (None, None) => 0.0,
        };
        odds / ODDS_A_DEVIATION
    }

    fn walk_odds(&self, id: IdentityId, key: TrackKey) -> f32 {
        self.walk(id, key).map_or(0.0, |(from, walk_ns)| {
            self.transits.log_odds(from, key.camera, walk_ns)
        })
    }

    /// Learns what two people of one picture score, and what share of those in view of a camera others see.
    pub(super) fn learn(&mut self, scene: &Scene, raw: &[f32], camera: CameraId, space: usize) {
        let own = scene.visible(camera);
        for (at, &i) in own.iter().enumerate() {
            for &j in &own[..at] {
                let (a, b) = (&scene.nodes[i], &scene.nodes[j]);
                if self.seen_apart(a, b) > 0.0 && !scene.scorer.is_fixed() {
                    let lowered = scene.lowered.get(&camera).copied().unwrap_or(0.0);
                    let weight = 1.0 / (1.0 + a.grouped.min(b.grouped) as f32);
                    let scale = &mut self.spaces[space].scale;
                    let own = scene.scorer.own(scene.score(i, j));
                    scale.add_visit_impostors(own + lowered, weight);
                }
            }
        }
        self.learn_overlaps(scene, raw, camera);
        for key in own.iter().filter_map(|&i| scene.nodes[i].track()) {
            if let Some(binding) = self.bindings.get_mut(&key) {
                binding.grouped = binding.grouped.saturating_add(1);
            }
        }
    }

    fn learn_overlaps(&mut self, scene: &Scene, raw: &[f32], camera: CameraId) {
        let own = scene.visible(camera);
        let n = scene.nodes.len();
        let cameras = scene.nodes.iter().filter_map(Node::camera);
        let others: BTreeSet<CameraId> = cameras.filter(|c| *c != camera).collect();
        for other in others {
            let theirs: Vec<usize> = scene
                .visible(other)
                .into_iter()
                .filter(|&j| self.is_now(&scene.nodes[j]))
                .collect();
            let row = |i: &usize| theirs.iter().map(|&j| raw[i * n + j]).collect();
            let looks = |i: &usize| scene.nodes[*i].grouped as f32;
            let scores = Scores {
                rows: own.iter().map(row).collect(),
                weights: own.iter().map(|i| 1.0 / (1.0 + looks(i))).collect(),
                tail: scene.scorer.tail(),
            };
            self.overlaps.learn(camera, other, &scores);
        }
    }

    /// Whether a node was seen within the last moments, by the gallery's time.
    pub(super) fn is_now(&self, node: &Node) -> bool {
        node.track().is_some() && self.now_ns.abs_diff(node.seen_ns) <= NOW_NS
    }
}

/// Two cameras see somebody at once when both did within this time, ns: MATRIX has two pictures a second.
const NOW_NS: u64 = 1_000_000_000;

fn share(seen: Option<&f32>, of: f32) -> f32 {
    seen.map_or(0.0, |weight| weight / of.max(f32::MIN_POSITIVE))
}

fn track_node(
    key: TrackKey,
    binding: &Binding,
    id: IdentityId,
    newest: &BTreeMap<CameraId, u64>,
) -> Node {
    Node {
        kind: Kind::Track(key),
        id,
        first_ns: binding.first_ns,
        seen_ns: binding.seen_ns,
        visible: newest.get(&key.camera) == Some(&binding.seen_ns),
        crops: binding.visit.crops,
        decided: binding.decided,
        trusted: binding.trusted,
        grouped: binding.grouped,
        weight: binding.visit.weight(),
        whole: binding.visit.weight(),
    }
}

fn past_node(kind: Kind, id: IdentityId, record: &Record, (weight, whole): (f32, f32)) -> Node {
    Node {
        kind,
        id,
        first_ns: record.first_ns,
        seen_ns: record.last_ns,
        visible: false,
        crops: 0,
        decided: true,
        trusted: false,
        grouped: 0,
        weight,
        whole,
    }
}

/// Whether an identity is one that was given, and not a node's stand-in for none.
pub(super) fn is_given(id: IdentityId) -> bool {
    id.0 <= MAX_NUMBER
}

/// Two tracks that a user has called one person.
fn told_one(a: &Node, b: &Node) -> bool {
    a.id == b.id && a.trusted && (b.trusted || b.is_past())
        || a.id == b.id && b.trusted && a.is_past()
}

/// From which deviations two nodes are one person.
struct Limits {
    /// Somebody known from before.
    known: f32,
    /// Somebody who is that person already, as far as is known: not one of many any more.
    held: f32,
    /// Two who are in view of two cameras now.
    at_once: BTreeMap<(CameraId, CameraId), f32>,
    now: Vec<bool>,
}

impl Limits {
    fn of(gallery: &Gallery, scene: &Scene, known: usize) -> Self {
        let cameras: BTreeSet<CameraId> = scene.nodes.iter().filter_map(Node::camera).collect();
        let cameras: Vec<CameraId> = cameras.into_iter().collect();
        let fall = scene.scorer.tail().fall(SAME);
        let mut at_once = gallery.overlaps.shares(&cameras);
        for (&(a, b), limit) in &mut at_once {
            let rarer = if gallery.sees_the_same(a, b) {
                0.0
            } else {
                (SHARED / *limit).ln().max(0.0)
            };
            *limit = if scene.scorer.is_fixed() {
                0.0
            } else {
                SAME + fall * rarer
            };
        }
        Self {
            known: scene.scorer.limit(against_one_of(known)),
            held: scene.scorer.limit(against_one_of(1)),
            at_once,
            now: scene
                .nodes
                .iter()
                .map(|node| gallery.is_now(node))
                .collect(),
        }
    }

    fn between(&self, scene: &Scene, i: usize, j: usize) -> f32 {
        let (a, b) = (&scene.nodes[i], &scene.nodes[j]);
        let lighter = a.whole.min(b.whole);
        if a.id == b.id && a.is_past() && b.is_past() {
            return self.known.min(SAME) - HOLD_VISITS;
        }
        let at_once = match (a.camera(), b.camera()) {
            (Some(x), Some(y)) if x != y && self.now[i] && self.now[j] => {
                Some(self.at_once[&(x, y)])
            }
            _ => None,
        };
        if a.id != b.id {
            return at_once.unwrap_or_else(|| self.of_strangers(a, b) + short(lighter));
        }
        let limit = at_once.unwrap_or(self.known);
        if lighter >= ESTABLISHED && scene.is_shared(a.id) {
            limit.min(self.held) - HOLD
        } else {
            let alone = (a.is_past() || b.is_past()) && !scene.is_shared(a.id);
            limit - if alone { HOLD_PAST } else { HOLD }
        }
    }

    /// Two who have not been one person so far, as far as is known, and are not in view of two cameras now.
    fn of_strangers(&self, a: &Node, b: &Node) -> f32 {
        if a.is_early() || b.is_early() {
            self.known + EARLY
        } else if a.is_past() && b.is_past() {
            self.known + LATE
        } else {
            self.known
        }
    }
}

impl Gallery {
    /// Whether two cameras see one place for certain: the user says so, or people's feet have shown it.
    fn sees_the_same(&self, a: CameraId, b: CameraId) -> bool {
        let told = self.topology.as_ref().map(|t| self.relation(t, a, b));
        told == Some(Relation::Overlap) || self.floor.joins(a, b)
    }
}
