//! People who are in view, grouped anew as evidence comes: a wrong first guess is put right while they are still there.
//!
//! A new track is decided from a crop or two; a second later much more is known, of it and of all the others. So every
//! camera in turn asks again who its visible tracks are, by the mean of a track against the mean of everybody's tracks in
//! the other cameras (average linkage), all tracks of the picture at once and one to one, and then numbers that turn out
//! to be one person are merged. Vectors are compared without what the camera adds to all of them and without what
//! changes in one person ([`super::nuisance`]), and scores are counted in deviations from what two people of one frame
//! score there. Numbers of people in view only: who is not in view is recognised by [`super::decision`].

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    CameraId, Event, Gallery, Sighting,
    binding::{Binding, TrackKey},
    linkage::{Likeness, clusters},
    nuisance::{MIN_PAIRS, Strangers},
    overlap::Scores,
    topology::Relation,
};
use crate::core::{
    embedding::dot,
    person::{IdentityId, IdentityState},
    scores::Tail,
};

/// Two tracks are one person from this many deviations above strangers on. MATRIX: true pairs of two cameras lie at 2.9
/// ± 1.1 (retail-0267), 2.5 ± 1.1 (retail-0248), 2.6 ± 1.2 (OSNet x0.25), strangers at 0.1 ± 0.9; from 0 to 1.75 the clusters'
/// IDF1 hardly moves, so the value is taken from the strangers' side.
const SAME: f32 = 1.75;
/// … further where fewer than this share of those in view of one camera are in view of the other ([`super::overlap`]), by as
/// much as makes a stranger's score rarer by the same factor.
const SHARED: f32 = 0.5;
/// Tracks that carry one number already are believed to lie this much closer: numbers must not flicker.
const HOLD: f32 = 0.5;
/// What a user has called one person lies so many deviations above the limit, whatever the looks say.
const TOLD: f32 = 20.0;
/// What places say counts as so much likeness: natural logarithm of odds a deviation.
const ODDS_A_DEVIATION: f32 = 3.0;
/// A track votes for the number that it carries with its crops, up to this many.
const MAX_VOTES: u32 = 50;
/// A number that somebody carried before those in view came has so many votes to begin with.
const KNOWN_VOTES: u32 = 100;
/// Each camera asks again this often, ns, or when a track is undecided.
const REGROUP_NS: u64 = 500_000_000;
/// Most tracks that are compared at a time; the work grows with their number.
const MAX_NODES: usize = 256;
/// A camera's mean counts as if so many people had been seen who have none of it: with few people in view their mean is
/// mostly themselves.
const CAMERA_PRIOR: f32 = 3.0;

/// A track in view.
struct Node {
    key: TrackKey,
    id: IdentityId,
    first_ns: u64,
    seen_ns: u64,
    /// Seen in the newest picture of its camera.
    visible: bool,
    /// Usable crops so far.
    crops: u32,
    decided: bool,
    /// A user has said that the number is one person.
    trusted: bool,
    /// How often its camera asked while it was visible.
    looks: u32,
}

/// Everybody in view of one model's cameras, and what they look like, a row each.
struct Crowd {
    nodes: Vec<Node>,
    looks: Vec<f32>,
    dimension: usize,
}

impl Crowd {
    fn look(&self, node: usize) -> &[f32] {
        &self.looks[node * self.dimension..(node + 1) * self.dimension]
    }

    fn cameras(&self) -> Vec<CameraId> {
        self.nodes.iter().map(|n| n.key.camera).collect()
    }

    /// How far each pair lies above strangers, and who is certainly two; `None` where too few are to judge by.
    fn likeness(&self) -> Option<Likeness> {
        let n = self.nodes.len();
        let mut cosines = vec![0.0; n * n];
        let mut apart = vec![false; n * n];
        let mut strangers = Vec::new();
        let mut counts: BTreeMap<CameraId, f32> = BTreeMap::new();
        for node in &self.nodes {
            *counts.entry(node.key.camera).or_default() += 1.0;
        }
        for (i, a) in self.nodes.iter().enumerate() {
            for (j, b) in self.nodes[..i].iter().enumerate() {
                let cosine = dot(self.look(i), self.look(j));
                if beside(a, b) {
                    strangers.push(cosine + lowered_by_mean(counts[&a.key.camera]));
                    (apart[i * n + j], apart[j * n + i]) = (true, true);
                }
                (cosines[i * n + j], cosines[j * n + i]) = (cosine, cosine);
            }
        }
        let strangers = Strangers::of(&strangers)?;
        let deviations = |cosine: &f32| strangers.deviations(*cosine);
        let above = cosines.iter().map(deviations).collect();
        Some(Likeness {
            size: n,
            above,
            apart,
        })
    }

    /// Tracks in the newest picture of a camera.
    fn visible(&self, camera: CameraId) -> Vec<usize> {
        let seen = |i: &usize| self.nodes[*i].visible && self.nodes[*i].key.camera == camera;
        (0..self.nodes.len()).filter(seen).collect()
    }

    fn has_two_cameras(&self) -> bool {
        let mut cameras = self.nodes.iter().map(|n| n.key.camera);
        let first = cameras.next();
        cameras.any(|c| Some(c) != first)
    }
}

/// Two tracks of one camera that lasted at one time are two people.
fn beside(a: &Node, b: &Node) -> bool {
    a.key.camera == b.key.camera && a.first_ns <= b.seen_ns && b.first_ns <= a.seen_ns
}

/// Two tracks that a user has called one person.
fn told_one(a: &Node, b: &Node) -> bool {
    a.id == b.id && a.trusted && b.trusted
}

impl Gallery {
    /// Groups the people in view anew when a camera brings news.
    pub(super) fn regroup(&mut self, camera: CameraId, sightings: &[Sighting<'_>]) {
        if !self.groups_in_view() || !self.regroup_due(camera, sightings) {
            return;
        }
        for space in 0..self.spaces.len() {
            let crowd = self.crowd(space, camera);
            let likeness = crowd.likeness().filter(|_| crowd.has_two_cameras());
            let Some(mut likeness) = likeness else {
                continue;
            };
            self.learn_overlaps(&crowd, &likeness, camera, space);
            self.set_limits(&crowd, &mut likeness, self.spaces[space].scale.tail());
            self.keep_apart(&crowd, &mut likeness);
            self.add_places(&crowd, &mut likeness);
            let visible: Vec<bool> = crowd.nodes.iter().map(|n| n.visible).collect();
            let labels = clusters(&likeness, &crowd.cameras(), &visible);
            let numbers = self.numbers(&crowd, &labels);
            self.renumber(&crowd, &labels, &numbers);
            self.note_scores(&crowd, &labels);
        }
    }

    /// Whether those in view are grouped by this module rather than by first look: enough people are seen side by side,
    /// and by more than one camera.
    pub(super) fn groups_in_view(&self) -> bool {
        if self.config.match_threshold.is_some() || self.cameras.len() < 2 {
            return false;
        }
        // How many are in the newest picture of each camera.
        let mut side_by_side: BTreeMap<CameraId, (u64, usize)> = BTreeMap::new();
        let known = |b: &Binding| b.identity.is_some() && b.evidence.crops > 0;
        for (key, binding) in self.bindings.iter().filter(|(_, b)| known(b)) {
            let (newest, count) = side_by_side.entry(key.camera).or_default();
            match binding.seen_ns.cmp(newest) {
                Ordering::Less => {}
                Ordering::Equal => *count += 1,
                Ordering::Greater => (*newest, *count) = (binding.seen_ns, 1),
            }
        }
        let pairs: usize = side_by_side
            .values()
            .map(|(_, n)| n * n.saturating_sub(1) / 2)
            .sum();
        side_by_side.len() > 1 && pairs >= MIN_PAIRS
    }

    fn regroup_due(&mut self, camera: CameraId, sightings: &[Sighting<'_>]) -> bool {
        let now = self.now_ns;
        let fresh = sightings.iter().any(|s| {
            let key = TrackKey {
                camera,
                track: s.track,
            };
            let asked = self.bindings.get(&key).and_then(|b| b.asked_ns);
            asked == Some(now)
        });
        let Some(about) = self.cameras.get_mut(&camera) else {
            return false;
        };
        let due = about
            .regrouped_ns
            .is_none_or(|t| now.saturating_sub(t) >= REGROUP_NS);
        if due {
            about.regrouped_ns = Some(now);
        }
        due || fresh
    }

    /// The tracks that can be compared, with what they look like.
    fn crowd(&self, space: usize, camera: CameraId) -> Crowd {
        let space = &self.spaces[space];
        let mut newest: BTreeMap<CameraId, u64> = BTreeMap::new();
        let mut chosen: Vec<(&TrackKey, &Binding)> = self
            .bindings
            .iter()
            .filter(|(_, b)| b.identity.is_some() && b.evidence.crops > 0)
            .collect();
        for (key, binding) in &chosen {
            let seen = newest.entry(key.camera).or_default();
            *seen = binding.seen_ns.max(*seen);
        }
        chosen.sort_by_key(|(key, b)| (key.camera != camera, std::cmp::Reverse(b.seen_ns), **key));
        chosen.truncate(MAX_NODES);
        let mut crowd = Crowd {
            nodes: Vec::with_capacity(chosen.len()),
            looks: Vec::with_capacity(chosen.len() * space.dimension),
            dimension: space.dimension,
        };
        for (key, binding) in chosen {
            let Some(id) = binding.identity else { continue };
            if !binding.evidence.mean_into(space.model, &mut crowd.looks) {
                continue;
            }
            crowd.nodes.push(Node {
                key: *key,
                id,
                first_ns: binding.first_ns,
                seen_ns: binding.seen_ns,
                visible: newest.get(&key.camera) == Some(&binding.seen_ns),
                crops: binding.evidence.crops,
                decided: binding.decided,
                trusted: binding.trusted,
                looks: binding.grouped,
            });
        }
        remove_camera_means(&mut crowd);
        for look in crowd.looks.chunks_exact_mut(space.dimension) {
            space.nuisance.remove(look);
            let length = dot(look, look).sqrt().max(f32::MIN_POSITIVE);
            look.iter_mut().for_each(|v| *v /= length);
        }
        crowd
    }

    /// Learns from looks what share of those in view of a camera the others see.
    fn learn_overlaps(
        &mut self,
        crowd: &Crowd,
        likeness: &Likeness,
        camera: CameraId,
        space: usize,
    ) {
        let own = crowd.visible(camera);
        for &node in &own {
            if let Some(binding) = self.bindings.get_mut(&crowd.nodes[node].key) {
                binding.grouped = binding.grouped.saturating_add(1);
            }
        }
        let others: BTreeSet<CameraId> = crowd.nodes.iter().map(|n| n.key.camera).collect();
        for other in others.into_iter().filter(|c| *c != camera) {
            let theirs = crowd.visible(other);
            let row = |i: &usize| theirs.iter().map(|&j| likeness.above(*i, j)).collect();
            let looks = |i: &usize| crowd.nodes[*i].looks as f32;
            let scores = Scores {
                rows: own.iter().map(row).collect(),
                weights: own.iter().map(|i| 1.0 / (1.0 + looks(i))).collect(),
                tail: self.spaces[space].scale.tail(),
            };
            self.overlaps.learn(camera, other, &scores);
        }
    }

    /// Counts likeness from the limit from which two tracks are one person, which depends on their cameras.
    fn set_limits(&self, crowd: &Crowd, likeness: &mut Likeness, tail: Tail) {
        let cameras: BTreeSet<CameraId> = crowd.nodes.iter().map(|n| n.key.camera).collect();
        let cameras: Vec<CameraId> = cameras.into_iter().collect();
        let fall = tail.fall(SAME);
        let mut limits = self.overlaps.shares(&cameras);
        for (&(a, b), limit) in &mut limits {
            let rarer = if self.overlap(a, b) {
                0.0
            } else {
                (SHARED / *limit).ln().max(0.0)
            };
            *limit = SAME + fall * rarer;
        }
        let old = self.known_before(crowd);
        let n = crowd.nodes.len();
        for (at, value) in likeness.above.iter_mut().enumerate() {
            let (a, b) = (&crowd.nodes[at / n], &crowd.nodes[at % n]);
            let held = if a.id == b.id {
                HOLD
            } else if old.contains(&a.id) && old.contains(&b.id) {
                -fall * (self.people.len() as f32).ln()
            } else {
                0.0
            };
            *value = if told_one(a, b) {
                TOLD
            } else {
                *value - limits[&(a.key.camera, b.key.camera)] + held
            };
        }
    }

    /// Whether two cameras see one place for certain: the user says so, or people's feet have shown it.
    fn overlap(&self, a: CameraId, b: CameraId) -> bool {
        let told = self.topology.as_ref().map(|t| self.relation(t, a, b));
        told == Some(Relation::Overlap) || self.floor.joins(a, b)
    }

    /// Numbers that people carried before any of those in view came.
    fn known_before(&self, crowd: &Crowd) -> BTreeSet<IdentityId> {
        let mut came: BTreeMap<IdentityId, u64> = BTreeMap::new();
        for node in &crowd.nodes {
            let first = came.entry(node.id).or_insert(u64::MAX);
            *first = node.first_ns.min(*first);
        }
        let old = |(id, came): (IdentityId, u64)| {
            let record = self.people.get(&id)?;
            (record.name.is_some() || record.first_ns < came).then_some(id)
        };
        came.into_iter().filter_map(old).collect()
    }

    /// Tracks of two cameras that lie too far from one another, or do not overlap, are two people, and so are those whom
    /// a user has told apart.
    fn keep_apart(&self, crowd: &Crowd, likeness: &mut Likeness) {
        let far = |a: &Node, b: &Node| {
            self.topology.as_ref().is_some_and(|topology| {
                let relation = self.relation(topology, a.key.camera, b.key.camera);
                !relation.allows(&(a.first_ns..a.seen_ns), &(b.first_ns..b.seen_ns), false)
            })
        };
        let parted = |a: &Node, b: &Node| {
            let record = self.people.get(&a.id);
            record.is_some_and(|r| r.parted.contains(&b.id))
        };
        let n = crowd.nodes.len();
        for (i, a) in crowd.nodes.iter().enumerate() {
            for (j, b) in crowd.nodes[..i].iter().enumerate() {
                if !told_one(a, b) && (far(a, b) || parted(a, b)) {
                    likeness.apart[i * n + j] = true;
                    likeness.apart[j * n + i] = true;
                }
            }
        }
    }

    /// Tracks that stand in one place are nearer, those in two further.
    fn add_places(&self, crowd: &Crowd, likeness: &mut Likeness) {
        if !self.floor.is_known() {
            return;
        }
        let n = crowd.nodes.len();
        for (i, a) in crowd.nodes.iter().enumerate() {
            for (j, b) in crowd.nodes[..i].iter().enumerate() {
                let nearer = self.floor.log_odds(a.key, b.key) / ODDS_A_DEVIATION;
                likeness.above[i * n + j] += nearer;
                likeness.above[j * n + i] += nearer;
            }
        }
    }

    /// The number of each cluster: the one that most of its crops carried, unless another cluster has more of them;
    /// `None` = a new one.
    fn numbers(&self, crowd: &Crowd, labels: &[usize]) -> BTreeMap<usize, IdentityId> {
        let mut votes: BTreeMap<(usize, IdentityId), u32> = BTreeMap::new();
        for (node, &label) in crowd.nodes.iter().zip(labels) {
            let vote = votes.entry((label, node.id)).or_insert_with(|| {
                // Who was known before anybody in view came keeps the number.
                let known = self.people.get(&node.id);
                let past = known.is_some_and(|r| r.name.is_some() || r.first_ns < node.first_ns);
                if past { KNOWN_VOTES } else { 0 }
            });
            *vote = vote.saturating_add(node.crops.min(MAX_VOTES) + u32::from(node.decided));
        }
        let mut ranked: Vec<((usize, IdentityId), u32)> = votes.into_iter().collect();
        ranked.sort_by_key(|&((label, id), votes)| (std::cmp::Reverse(votes), id, label));
        let mut numbers = BTreeMap::new();
        let mut used = BTreeSet::new();
        for ((label, id), _) in ranked {
            if !numbers.contains_key(&label) && used.insert(id) {
                numbers.insert(label, id);
            }
        }
        numbers
    }

    /// Gives every track the number of its cluster: first those who leave a number that others keep, then whole numbers
    /// that turn out to be another's.
    fn renumber(&mut self, crowd: &Crowd, labels: &[usize], numbers: &BTreeMap<usize, IdentityId>) {
        let mut numbers = numbers.clone();
        let kept: BTreeSet<IdentityId> = numbers.values().copied().collect();
        // Where the tracks of a number that no cluster keeps go: with the first of them.
        let mut absorbed: BTreeMap<IdentityId, IdentityId> = BTreeMap::new();
        for (node, label) in crowd.nodes.iter().zip(labels) {
            let into = numbers.get(label).copied();
            if into == Some(node.id) {
                continue;
            }
            let goes = into.filter(|_| !kept.contains(&node.id));
            if goes.is_some_and(|into| *absorbed.entry(node.id).or_insert(into) == into) {
                continue;
            }
            if let Some(into) = self.part(node.key, node.id, into) {
                numbers.insert(*label, into);
            }
        }
        for (from, into) in absorbed {
            self.unite_in_view(from, into);
        }
    }

    /// Writes down how well each track fits the person that it is taken for.
    fn note_scores(&mut self, crowd: &Crowd, labels: &[usize]) {
        let mut sums: BTreeMap<usize, (f32, Vec<f32>)> = BTreeMap::new();
        for (i, label) in labels.iter().enumerate() {
            let (count, sum) = sums
                .entry(*label)
                .or_insert_with(|| (0.0, vec![0.0; crowd.dimension]));
            *count += 1.0;
            sum.iter_mut().zip(crowd.look(i)).for_each(|(s, v)| *s += v);
        }
        for (i, (node, label)) in crowd.nodes.iter().zip(labels).enumerate() {
            let mean = |l: usize| {
                let (count, sum) = &sums[&l];
                let own = if l == *label { 1.0 } else { 0.0 };
                (dot(crowd.look(i), sum) - own) / (count - own).max(1.0)
            };
            if sums[label].0 < 2.0 {
                continue;
            }
            let second = sums
                .keys()
                .filter(|l| *l != label)
                .map(|l| mean(*l))
                .fold(-1.0, f32::max);
            let score = mean(*label);
            if let Some(binding) = self.bindings.get_mut(&node.key) {
                binding.state = IdentityState::Matched;
                binding.score = score;
                binding.margin = score - second;
            }
        }
    }

    /// A track leaves a number that others carry, too: for `to`, or to be somebody new. Returns the number it has then.
    pub(super) fn part(
        &mut self,
        key: TrackKey,
        from: IdentityId,
        to: Option<IdentityId>,
    ) -> Option<IdentityId> {
        let into = match to.filter(|to| self.people.contains_key(to)) {
            Some(to) => to,
            None => self.next_identity()?,
        };
        for space in &mut self.spaces {
            space.move_track(key, from, into);
        }
        self.move_stay(key, from, into);
        self.bind(key, into);
        self.forget_companions(key.camera, from, into);
        self.note_changed(from);
        self.note_changed(into);
        self.note_parted(key, from, into);
        if to.is_none() {
            self.events.push(Event::Split { from, into });
        }
        let camera = self.cameras.get(&key.camera);
        self.events.push(Event::Corrected {
            camera: camera.map_or_else(|| "".into(), |c| c.name.clone()),
            track: key.track,
            from,
            into,
        });
        if let Some(binding) = self.bindings.get_mut(&key).filter(|_| to.is_none()) {
            binding.state = IdentityState::Pending;
            binding.decided = false;
        }
        self.drop_track(from);
        Some(into)
    }

    /// Where a track was, another person was.
    fn move_stay(&mut self, key: TrackKey, from: IdentityId, into: IdentityId) {
        let now = self.now_ns;
        if let Some(record) = self.people.get_mut(&from) {
            record.stays.retain(|s| s.camera != key.camera);
        }
        if let Some(record) = self.people.get_mut(&into) {
            record.stay(key.camera, now);
        }
    }

    /// The company that a track kept says nothing about the number that it carried by mistake.
    fn forget_companions(&mut self, camera: CameraId, wrong: IdentityId, right: IdentityId) {
        let company: Vec<IdentityId> = self
            .bindings
            .iter()
            .filter(|(key, _)| key.camera == camera)
            .filter_map(|(_, b)| b.identity)
            .filter(|id| *id != right)
            .collect();
        for (one, other) in company.iter().flat_map(|&c| [(wrong, c), (c, wrong)]) {
            if let Some(record) = self.people.get_mut(&one) {
                record.apart.retain(|a| *a != other);
            }
        }
    }

    /// Two numbers in view are one person.
    fn unite_in_view(&mut self, from: IdentityId, into: IdentityId) {
        if from != into && self.people.contains_key(&from) && self.people.contains_key(&into) {
            self.unite(from, into);
        }
    }
}

/// How much lower two people of one picture score than two of two rooms, because the mean that is taken out of both
/// ([`remove_camera_means`]) is the mean of `count` people, them among them.
fn lowered_by_mean(count: f32) -> f32 {
    let all = count + CAMERA_PRIOR;
    let taken = (2.0 * all - count) / (all * all);
    taken / (1.0 - taken)
}

/// Takes out what a camera adds to everybody: light, colours, height.
fn remove_camera_means(crowd: &mut Crowd) {
    let mut means: BTreeMap<CameraId, (f32, Vec<f32>)> = BTreeMap::new();
    for (i, node) in crowd.nodes.iter().enumerate() {
        let (count, sum) = means
            .entry(node.key.camera)
            .or_insert_with(|| (0.0, vec![0.0; crowd.dimension]));
        *count += 1.0;
        sum.iter_mut().zip(crowd.look(i)).for_each(|(s, v)| *s += v);
    }
    let looks = crowd.looks.chunks_exact_mut(crowd.dimension);
    for (node, look) in crowd.nodes.iter().zip(looks) {
        let Some((count, sum)) = means.get(&node.key.camera) else {
            continue;
        };
        for (value, sum) in look.iter_mut().zip(sum) {
            *value -= sum / (count + CAMERA_PRIOR);
        }
    }
}
