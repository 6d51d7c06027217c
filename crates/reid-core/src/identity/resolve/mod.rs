//! Who is who: one solver for people in view and people of the past.
//!
//! Whenever the evidence of a track has grown ([`Gallery::resolve`]), when people are in view of several cameras, and when visits
//! end ([`Gallery::consolidate`]), those who could be one person are grouped: tracks that last, each a node, and people of the
//! past, a node each, or, when a visit ends, a node for each visit of those who are near, so that a wrong merge is undone. What all evidence says of each pair is counted from the limit from which two are
//! one person ([`scene`]); groups are those of average linkage under the constraint that nobody is in one picture twice
//! ([`linkage`]). Every group has one identity: that of the past in it, the oldest where there are several, else the one that
//! most of its crops carried.

mod linkage;
mod scene;
mod schedule;

use std::collections::{BTreeMap, BTreeSet};

use super::{CameraId, Event, Gallery, Sighting, visit::TrackKey};
use crate::{
    embedding::dot,
    person::{IdentityId, IdentityState},
};
use linkage::{Likeness, clusters};
use scene::{ENOUGH_CROPS, ENOUGH_NS, Kind, Node, Question, Scene, is_given};

/// An undecided track asks this often, ns, …
const ASK_NS: u64 = 100_000_000;
/// … a decided one after this time and then after twice as long, …
const REVIEW_NS: u64 = 500_000_000;
/// … at least this often, ns.
const REVIEW_AT_LEAST_NS: u64 = 32_000_000_000;
/// With so many times more tracks in all cameras than this, undecided ones ask, and cameras compare, less often by the square of it:
/// a question costs more the more people there are, and more people ask.
const AT_FULL_RATE: usize = 256;
/// Most tracks that ask in one frame; others do in the next.
const MAX_ASKED: usize = 8;
/// Where people are in view of several cameras each of these compares them this often, ns.
const TOGETHER_NS: u64 = 500_000_000;
/// A track is pending while somebody known lies this near to the limit, deviations, …
const DOUBTFUL: f32 = 1.5;
/// … for this long at most, ns.
const PENDING_NS: u64 = 4_000_000_000;
/// A track whose appearance nobody ever described is somebody new after this time, ns.
const FACELESS_NS: u64 = 1_000_000_000;
/// A track votes for the identity that it carries with its crops, up to this many.
const MAX_VOTES: u32 = 50;
/// The past of a person has this many votes.
const PAST_VOTES: u32 = 100;
/// A visit of it that may turn out to be another person's has so many for each half second.
const VISIT_VOTES: f32 = 10.0;
/// A match so much more probable than not teaches what people score: logarithm of odds.
const CERTAIN: f32 = 4.0;

impl Gallery {
    /// Compares people when a camera's picture brings news.
    pub(super) fn resolve(&mut self, camera: CameraId, sightings: &[Sighting<'_>]) {
        let asked = self.asked(camera, sightings);
        let together = self.together_due(camera);
        if asked.is_empty() && !together {
            return;
        }
        let question = Question {
            camera,
            asked: &asked,
            over: &[],
            is_whole: together,
        };
        for space in 0..self.spaces.len() {
            let Some(scene) = self.scene(space, &question) else {
                continue;
            };
            let (likeness, raw) = self.compare(&scene, self.spaces[space].people());
            self.learn(&scene, &raw, camera, space);
            let labels = self.regroup(&scene, &likeness);
            self.note_scores(&scene, &labels);
            self.note_doubts(&scene, &likeness, &labels, &asked);
        }
        self.schedule(&asked);
    }

    /// Compares people whose visits are over with everybody else, now that all of it is known. Who turns out to be one person
    /// with somebody becomes that.
    pub(super) fn consolidate(&mut self, camera: CameraId, over: &[IdentityId]) {
        if over.is_empty() {
            return;
        }
        for space in 0..self.spaces.len() {
            let over: Vec<IdentityId> = over
                .iter()
                .copied()
                .filter(|id| self.spaces[space].rows_of(*id) > 0)
                .collect();
            let question = Question {
                camera,
                asked: &[],
                over: &over,
                is_whole: false,
            };
            let scene = (!over.is_empty()).then(|| self.scene(space, &question));
            let Some(scene) = scene.flatten() else {
                continue;
            };
            let (likeness, _) = self.compare(&scene, self.spaces[space].people());
            self.regroup(&scene, &likeness);
        }
    }

    /// Groups a scene and gives every node the identity of its group. Returns the groups.
    fn regroup(&mut self, scene: &Scene, likeness: &Likeness) -> Vec<usize> {
        let labels = group(scene, likeness);
        let identities = self.identities(scene, &labels);
        self.apply(scene, &labels, identities);
        labels
    }

    /// The identity of each group: the one that most of its crops carried, unless another group has more of it; of several that
    /// are wholly in one group, and so become one, the one with a name, else the oldest.
    fn identities(&self, scene: &Scene, labels: &[usize]) -> BTreeMap<usize, IdentityId> {
        let mut votes: BTreeMap<(usize, IdentityId), u32> = BTreeMap::new();
        let mut groups: BTreeMap<IdentityId, BTreeSet<usize>> = BTreeMap::new();
        for (node, &label) in scene.nodes.iter().zip(labels) {
            let own = match node.kind {
                Kind::Past => PAST_VOTES,
                Kind::Visit(_) => (VISIT_VOTES * node.weight) as u32,
                Kind::Track(_) => node.crops.min(MAX_VOTES) + u32::from(node.decided),
            };
            let vote = votes.entry((label, node.id)).or_default();
            *vote = vote.saturating_add(own);
            groups.entry(node.id).or_default().insert(label);
        }
        let mut ranked: Vec<((usize, IdentityId), u32)> = votes.into_iter().collect();
        ranked.sort_by_key(|&((label, id), votes)| (std::cmp::Reverse(votes), id, label));
        let mut identities = BTreeMap::new();
        let mut used = BTreeSet::new();
        for ((label, id), _) in ranked {
            if !identities.contains_key(&label) && used.insert(id) {
                identities.insert(label, id);
            }
        }
        for (id, own) in groups.iter().filter(|(_, own)| own.len() == 1) {
            for label in own {
                let best = identities.entry(*label).or_insert(*id);
                if groups[best].len() == 1 && self.precedence(*id) < self.precedence(*best) {
                    *best = *id;
                }
            }
        }
        identities
    }

    /// Which of two identities that become one stays: the lesser.
    fn precedence(&self, id: IdentityId) -> (bool, IdentityId) {
        let has_name = self.people.get(&id).is_some_and(|r| r.name.is_some());
        (!has_name, id)
    }

    /// Gives every node the identity of its group: first tracks that leave an identity that others keep, then whole identities
    /// that turn out to be another.
    fn apply(
        &mut self,
        scene: &Scene,
        labels: &[usize],
        mut identities: BTreeMap<usize, IdentityId>,
    ) {
        let kept: BTreeSet<IdentityId> = identities.values().copied().collect();
        // Where the nodes of an identity that no group keeps go: with the first of them, a past before tracks.
        let mut absorbed: BTreeMap<IdentityId, IdentityId> = BTreeMap::new();
        for (node, label) in scene
            .nodes
            .iter()
            .zip(labels)
            .filter(|(n, _)| n.is_past() && !kept.contains(&n.id))
        {
            if let Some(&into) = identities.get(label).filter(|into| **into != node.id) {
                absorbed.insert(node.id, into);
            }
        }
        self.part_visits(scene, labels, &mut identities, &absorbed);
        for (node, label) in scene.nodes.iter().zip(labels) {
            let Some(key) = node.track() else { continue };
            let into = identities.get(label).copied().filter(|id| is_given(*id));
            if !is_given(node.id) {
                if let Some(id) = self.name(key, into) {
                    identities.insert(*label, id);
                }
                continue;
            }
            if into == Some(node.id) {
                continue;
            }
            let goes = into.filter(|_| !kept.contains(&node.id));
            if goes.is_some_and(|into| *absorbed.entry(node.id).or_insert(into) == into) {
                continue;
            }
            if let Some(into) = self.part(key, node.id, into) {
                identities.insert(*label, into);
            }
        }
        for (from, into) in absorbed {
            let both = self.people.contains_key(&from) && self.people.contains_key(&into);
            if from != into && both && !self.shown_together(from, into) {
                self.unite(from, into);
            }
        }
    }

    /// Visits that are over leave an identity that others keep, or that goes elsewhere as a whole.
    fn part_visits(
        &mut self,
        scene: &Scene,
        labels: &[usize],
        identities: &mut BTreeMap<usize, IdentityId>,
        absorbed: &BTreeMap<IdentityId, IdentityId>,
    ) {
        for (node, label) in scene.nodes.iter().zip(labels) {
            let Kind::Visit(key) = node.kind else {
                continue;
            };
            let into = identities.get(label).copied();
            let stays = into == Some(node.id) || into.is_some_and(|id| !is_given(id));
            let goes_along = into.is_some() && absorbed.get(&node.id) == into.as_ref();
            if stays || goes_along {
                continue;
            }
            if let Some(into) = self.part_visit(key, node.id, into) {
                identities.insert(*label, into);
            }
        }
    }

    /// A track that carries nothing yet gets the identity of its group, or a new one.
    fn name(&mut self, key: TrackKey, into: Option<IdentityId>) -> Option<IdentityId> {
        let known = into.filter(|id| self.people.contains_key(id));
        match known {
            Some(id) => {
                self.bind(key, id);
                Some(id)
            }
            None => {
                let nobody = self.people.is_empty();
                self.enrol(key, !nobody)
            }
        }
    }

    /// Whether some camera's newest picture shows both.
    fn shown_together(&self, one: IdentityId, other: IdentityId) -> bool {
        let newest = self.newest();
        let shown = |id| -> BTreeSet<CameraId> {
            let own = self.bindings.iter().filter(|(_, b)| b.identity == Some(id));
            own.filter(|(key, b)| newest.get(&key.camera) == Some(&b.seen_ns))
                .map(|(key, _)| key.camera)
                .collect()
        };
        !shown(one).is_disjoint(&shown(other))
    }

    /// Writes down how well each track fits the person that it is matched with, and tells who was matched.
    fn note_scores(&mut self, scene: &Scene, labels: &[usize]) {
        let groups = Groups::of(scene, labels);
        for (i, node) in scene.nodes.iter().enumerate() {
            let Some(key) = node.track() else { continue };
            let Some(fit) = groups.fit(scene, labels, i) else {
                continue;
            };
            let against = fit
                .against
                .and_then(|label| self.shown(scene, labels, label));
            let Some(id) = self.bindings.get(&key).and_then(|b| b.identity) else {
                continue;
            };
            let basis = self.last_elsewhere(id, key);
            let Some(binding) = self.bindings.get_mut(&key) else {
                continue;
            };
            let again = binding.state == IdentityState::Matched && node.id == id;
            let basis = if again { binding.basis.take() } else { basis };
            binding.matched(basis, fit.score, fit.margin);
            if !again {
                self.events.push(Event::Matched {
                    id,
                    track: key.track,
                    score: fit.score,
                    margin: fit.margin,
                    against: against.filter(|other| *other != id),
                });
            }
        }
    }

    /// The identity that a group of a scene has by now.
    fn shown(&self, scene: &Scene, labels: &[usize], group: usize) -> Option<IdentityId> {
        let nodes = scene.nodes.iter().zip(labels);
        let mut own = nodes.filter(|(_, label)| **label == group);
        own.find_map(|(node, _)| match node.track() {
            Some(key) => self.bindings.get(&key)?.identity,
            None => self.people.contains_key(&node.id).then_some(node.id),
        })
    }

    /// Decides which tracks that are alone in their group are somebody new, and which may still turn out to be somebody known.
    fn note_doubts(
        &mut self,
        scene: &Scene,
        likeness: &Likeness,
        labels: &[usize],
        asked: &[TrackKey],
    ) {
        for (i, node) in scene.nodes.iter().enumerate() {
            let Some(key) = node.track().filter(|key| asked.contains(key)) else {
                continue;
            };
            let nearest = (0..scene.nodes.len())
                .filter(|&j| labels[j] != labels[i] && scene.nodes[j].id != node.id)
                .map(|j| likeness.above(i, j))
                .fold(f32::NEG_INFINITY, f32::max);
            let age = self.now_ns.saturating_sub(node.first_ns);
            let enough = node.crops >= ENOUGH_CROPS && age >= ENOUGH_NS;
            let sure = nearest < -DOUBTFUL || age >= PENDING_NS;
            let alone = nearest == f32::NEG_INFINITY;
            if alone || enough && sure {
                self.believe_new(key);
            }
        }
    }

    /// A track turns out to be somebody new.
    pub(super) fn believe_new(&mut self, key: TrackKey) {
        let Some(binding) = self.bindings.get_mut(&key).filter(|b| !b.decided) else {
            return;
        };
        binding.decided = true;
        if binding.state == IdentityState::Pending {
            binding.state = IdentityState::New;
        }
    }

    /// Tracks that nothing can be compared with, and those whose appearance nobody describes, are somebody new.
    pub(super) fn settle_alone(&mut self, camera: CameraId, sightings: &[Sighting<'_>]) {
        let has_looks = self.cameras.get(&camera).is_some_and(|c| c.has_looks);
        let nobody_else = self.bindings.len() == 1 && self.people.len() <= 1;
        for sighting in sightings {
            let key = TrackKey {
                camera,
                track: sighting.track,
            };
            let Some(binding) = self.bindings.get_mut(&key).filter(|b| !b.decided) else {
                continue;
            };
            let old = !has_looks || self.now_ns.saturating_sub(binding.first_ns) >= FACELESS_NS;
            if binding.visit.crops == 0 && old {
                binding.state = IdentityState::New;
            } else if binding.visit.crops > 0 && nobody_else {
                self.believe_new(key);
            }
        }
    }

    /// What a visit that is over teaches when it was matched for certain: what one person scores, and how long the way takes.
    pub(super) fn learn_from(&mut self, key: TrackKey, id: IdentityId) {
        let walk = self.walk(id, key);
        let Some(binding) = self.bindings.get(&key) else {
            return;
        };
        if binding.state != IdentityState::Matched || !binding.decided {
            return;
        }
        let score = binding.score;
        let Some(space) = self.spaces.iter_mut().find(|s| s.has_past(id)) else {
            return;
        };
        let scorer = super::scores::Scorer::new(&space.scale, self.config.match_threshold);
        if scorer.is_fixed() || scorer.log_odds(scorer.deviations(score)) < CERTAIN {
            return;
        }
        space.scale.add_visit_genuine(score);
        if let Some((from, walk_ns)) = walk {
            self.transits.add(from, key.camera, walk_ns);
        }
    }
}

fn group(scene: &Scene, likeness: &Likeness) -> Vec<usize> {
    let cameras: Vec<Option<CameraId>> = scene.nodes.iter().map(Node::camera).collect();
    let visible: Vec<bool> = scene.nodes.iter().map(|n| n.visible).collect();
    clusters(likeness, &cameras, &visible)
}

/// How well a node fits its group.
struct Fit {
    /// What it scores with the others of its group.
    score: f32,
    /// That less what it scores with the next best group.
    margin: f32,
    /// The next best group.
    against: Option<usize>,
}

/// The groups of a scene, with the weighted sums of their vectors.
struct Groups {
    sums: BTreeMap<usize, (f32, Vec<f32>)>,
}

impl Groups {
    fn of(scene: &Scene, labels: &[usize]) -> Self {
        let mut sums: BTreeMap<usize, (f32, Vec<f32>)> = BTreeMap::new();
        for (i, (node, label)) in scene.nodes.iter().zip(labels).enumerate() {
            let vector = scene.vector(i);
            let (weight, sum) = sums
                .entry(*label)
                .or_insert_with(|| (0.0, vec![0.0; vector.len()]));
            *weight += node.weight;
            let sums = sum.iter_mut().zip(vector);
            sums.for_each(|(s, v)| *s += node.weight * v);
        }
        Self { sums }
    }

    /// How well a node fits the others of its group; `None` of a node that is alone.
    fn fit(&self, scene: &Scene, labels: &[usize], node: usize) -> Option<Fit> {
        let (vector, own) = (scene.vector(node), labels[node]);
        let weight = scene.nodes[node].weight;
        let mean = |label: usize| {
            let (total, sum) = &self.sums[&label];
            let (mut product, mut rest) = (dot(vector, sum), *total);
            if label == own {
                product -= weight * dot(vector, vector);
                rest -= weight;
            }
            (rest > 0.5).then(|| product / rest)
        };
        let score = mean(own)?;
        let others = self.sums.keys().filter(|l| **l != own);
        let second = others
            .filter_map(|l| Some((*l, mean(*l)?)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        Some(Fit {
            score,
            margin: score - second.map_or(-1.0, |(_, second)| second.max(-1.0)),
            against: second.map(|(label, _)| label),
        })
    }
}
