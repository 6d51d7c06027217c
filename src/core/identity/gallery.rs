//! The gallery: people, the tracks that carry their numbers, and what happens to both in every frame.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Range,
    sync::Arc,
};

use super::{
    CameraId, Decision, Event, Fate, GalleryConfig, GalleryError, MAX_APART, MAX_IDENTITIES,
    MAX_MODELS, MAX_NAME_BYTES, MAX_PREVIOUS, Sighting,
    binding::{Binding, MIN_QUALITY, TrackKey},
    decision::{Candidate, Contest, Judge, Query, crowding},
    floor::Floor,
    journal::{CameraNames, Journal},
    overlap::Overlaps,
    restore::Clock,
    review::REVIEW_NS,
    rows::{Sample, Space},
    topology::{Relation, Topology},
    transit::Transits,
};
use crate::core::{
    embedding::Embedding,
    geometry::Rect,
    person::{Identity, IdentityId, IdentityState, Seen, TrackId},
    tracking::assignment::{Edge, assign},
};

/// A match this probable is accepted at once.
const SURE: f32 = 0.8;
/// Likewise that it is somebody new.
const SURE_NEW: f32 = 0.9;
/// An undecided track is decided by what is more probable after this many crops …
const ENOUGH_CROPS: u32 = 3;
/// … and this time, ns: a few frames at any rate, shorter than a glance.
const ENOUGH_NS: u64 = 400_000_000;
/// A track whose looks nobody ever described is somebody new after this time, ns.
const FACELESS_NS: u64 = 1_000_000_000;
/// The rows of a person in view are updated, and undecided tracks looked up, this often, ns: neighbouring frames are
/// near-copies.
const REMEMBER_NS: u64 = 100_000_000;
/// Strangers of one frame are compared this often a camera, ns.
const STRANGERS_NS: u64 = 200_000_000;
/// Most people of one frame compared with one another.
const MAX_STRANGERS: usize = 12;
/// Boxes that overlap more show part of the other person.
const MAX_SHARED_IOU: f32 = 0.1;
/// Crops of at least this quality are remembered.
const REMEMBER_QUALITY: f32 = 0.3;
/// Most cameras of which it is remembered when they last saw a person.
const MAX_STAYS: usize = 16;
/// A person whom a camera has not seen for this long, ns, begins another stay.
const STAY_GAP_NS: u64 = 5_000_000_000;

/// A person.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub name: Option<Arc<str>>,
    pub previous: Arc<[IdentityId]>,
    pub first_ns: u64,
    pub last_ns: u64,
    /// When it was last seen, counted in sightings of the gallery: order without a clock.
    pub turn: u64,
    /// Tracks that carry the number now.
    pub tracks: u32,
    pub apart: VecDeque<IdentityId>,
    /// Whom a user has told apart from the person: no looks join them again while both are in view.
    pub parted: Vec<IdentityId>,
    /// Where it was last, a stay for each camera, newest last.
    pub stays: Vec<Stay>,
}

/// How long a person was in the view of a camera without a break, ns.
#[derive(Clone, Debug)]
pub(super) struct Stay {
    pub camera: CameraId,
    pub times: Range<u64>,
}

/// What a list of the gallery shows of a person.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonFacts {
    /// The number.
    pub id: IdentityId,
    /// The name, if one was given.
    pub name: Option<Arc<str>>,
    /// Numbers it carried before merges.
    pub previous: Arc<[IdentityId]>,
    /// First seen, ns of the gallery's time.
    pub first_seen_ns: u64,
    /// Last seen, ns of the gallery's time.
    pub last_seen_ns: u64,
    /// In view of a camera now.
    pub active: bool,
    /// Vectors kept.
    pub rows: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Camera {
    pub name: Arc<str>,
    has_looks: bool,
    compared_ns: Option<u64>,
    /// When its people were last grouped anew, ns.
    pub regrouped_ns: Option<u64>,
}

/// People known by looks, shared by cameras.
#[derive(Clone, Debug)]
pub struct Gallery {
    pub(super) config: GalleryConfig,
    pub(super) topology: Option<Arc<Topology>>,
    pub(super) transits: Transits,
    pub(super) floor: Floor,
    pub(super) overlaps: Overlaps,
    pub(super) people: BTreeMap<IdentityId, Record>,
    /// People that no track carries, least recently seen first.
    pub(super) resting: BTreeMap<u64, IdentityId>,
    pub(super) spaces: Vec<Space>,
    pub(super) cameras: BTreeMap<CameraId, Camera>,
    pub(super) bindings: BTreeMap<TrackKey, Binding>,
    pub(super) next_number: u32,
    pub(super) next_camera: u32,
    pub(super) now_ns: u64,
    pub(super) turn: u64,
    pub(super) events: Vec<Event>,
    pub(super) clock: Clock,
    pub(super) names: CameraNames,
    /// Kept where somebody keeps the gallery.
    pub(super) journal: Option<Journal>,
}

impl Record {
    /// A camera sees the person now.
    pub fn stay(&mut self, camera: CameraId, now_ns: u64) {
        let mut stay = Stay {
            camera,
            times: now_ns..now_ns,
        };
        if let Some(index) = self.stays.iter().position(|s| s.camera == camera) {
            let old = self.stays.remove(index).times;
            if now_ns.saturating_sub(old.end) <= STAY_GAP_NS {
                stay.times.start = old.start;
            }
        }
        if self.stays.len() >= MAX_STAYS {
            self.stays.remove(0);
        }
        self.stays.push(stay);
    }

    /// Takes in where another number of the same person was.
    fn take_stays(&mut self, others: Vec<Stay>) {
        for other in others {
            match self.stays.iter_mut().find(|s| s.camera == other.camera) {
                Some(own) if own.times.end >= other.times.end => {}
                Some(own) => *own = other,
                None => self.stays.push(other),
            }
        }
        self.stays.sort_by_key(|s| s.times.end);
        let skip = self.stays.len().saturating_sub(MAX_STAYS);
        self.stays.drain(..skip);
    }
}

impl Gallery {
    /// An empty gallery.
    pub fn new(config: GalleryConfig) -> Self {
        Self {
            config,
            topology: None,
            transits: Transits::default(),
            floor: Floor::default(),
            overlaps: Overlaps::default(),
            people: BTreeMap::new(),
            resting: BTreeMap::new(),
            spaces: Vec::new(),
            cameras: BTreeMap::new(),
            bindings: BTreeMap::new(),
            next_number: 1,
            next_camera: 1,
            now_ns: 0,
            turn: 0,
            events: Vec::new(),
            clock: Clock::default(),
            names: CameraNames::default(),
            journal: None,
        }
    }

    /// Changes thresholds and limits from the next frame on.
    pub fn configure(&mut self, config: GalleryConfig) {
        self.config = config;
    }

    /// Says how the cameras lie to one another, from the next frame on.
    pub fn set_topology(&mut self, topology: Arc<Topology>) {
        self.topology = Some(topology);
    }

    /// The rules in force.
    pub fn config(&self) -> &GalleryConfig {
        &self.config
    }

    /// Admits a camera. Without `has_looks` nobody will ever describe its people, and nobody waits for it.
    pub fn attach(&mut self, name: &str, has_looks: bool) -> CameraId {
        let name: Arc<str> = name.into();
        // A camera that comes back: its rows are its own again.
        let known = self.names.id(&name);
        let id = match known.filter(|id| !self.cameras.contains_key(id)) {
            Some(id) => id,
            None => {
                let id = CameraId(self.next_camera);
                self.next_camera = self.next_camera.saturating_add(1);
                self.names.insert(id, &name);
                id
            }
        };
        let camera = Camera {
            name,
            has_looks,
            compared_ns: None,
            regrouped_ns: None,
        };
        self.cameras.insert(id, camera);
        id
    }

    /// Lets a camera go: its tracks end. Returns what happened.
    pub fn detach(&mut self, camera: CameraId) -> Vec<Event> {
        self.release(camera);
        self.cameras.remove(&camera);
        self.floor.detach(camera);
        self.overlaps.detach(camera);
        std::mem::take(&mut self.events)
    }

    /// Ends all tracks of a camera (flush, new stream). People stay.
    pub fn release(&mut self, camera: CameraId) {
        let tracks: Vec<TrackId> = self
            .bindings
            .keys()
            .filter(|k| k.camera == camera)
            .map(|k| k.track)
            .collect();
        self.end_tracks(camera, &tracks);
    }

    /// Takes in one frame of a camera: the tracks that are visible in it, and those that ended since the last.
    /// `time_ns` is on a clock that all cameras of the gallery share; where it runs backwards it stands still.
    pub fn observe(
        &mut self,
        camera: CameraId,
        time_ns: u64,
        sightings: &[Sighting<'_>],
        ended: &[TrackId],
    ) -> Decision {
        self.advance(time_ns, !sightings.is_empty());
        self.end_tracks(camera, ended);
        self.expire();
        self.collect(camera, sightings);
        self.look_at_floor(camera, time_ns, sightings);
        let identities = self.identify(camera, sightings);
        Decision {
            identities,
            events: std::mem::take(&mut self.events),
        }
    }

    /// Decides who the confirmed tracks are.
    fn identify(&mut self, camera: CameraId, all: &[Sighting<'_>]) -> Vec<Option<Identity>> {
        let confirmed: Vec<Sighting<'_>> = all.iter().filter(|s| s.confirmed).copied().collect();
        let sightings = &confirmed[..];
        self.learn_strangers(camera, sightings);
        self.settle_conflicts(camera, sightings);
        let undecided = self.undecided(camera, sightings);
        self.decide(camera, sightings, &undecided);
        self.enrol_rest(camera, sightings);
        self.meet(camera, sightings);
        self.review(camera, sightings);
        self.regroup(camera, sightings);
        self.keep(camera, sightings);
        all.iter().map(|s| self.identity(camera, s.track)).collect()
    }

    /// The identity that a track carries; `None` before it was first observed.
    pub fn identity(&self, camera: CameraId, track: TrackId) -> Option<Identity> {
        let binding = self.bindings.get(&TrackKey { camera, track })?;
        let id = binding.identity?;
        let record = self.people.get(&id)?;
        Some(Identity {
            id,
            evidence: binding.basis.clone(),
            state: binding.state,
            score: binding.score,
            margin: binding.margin,
            previous: record.previous.clone(),
            name: record.name.clone(),
        })
    }

    // ---- one frame, step by step ----

    /// Learns what two people of one frame score.
    fn learn_strangers(&mut self, camera: CameraId, sightings: &[Sighting<'_>]) {
        let now = self.now_ns;
        let Some(about) = self.cameras.get_mut(&camera) else {
            return;
        };
        let due = about
            .compared_ns
            .is_none_or(|t| now.saturating_sub(t) >= STRANGERS_NS);
        let good: Vec<&Sighting<'_>> = sightings
            .iter()
            .filter(|s| s.embedding.is_some() && s.quality >= REMEMBER_QUALITY)
            .take(MAX_STRANGERS)
            .collect();
        if !due || good.len() < 2 {
            return;
        }
        about.compared_ns = Some(now);
        for (i, a) in good.iter().enumerate() {
            for b in good[..i].iter().filter(|b| apart(&a.rect, &b.rect)) {
                let mean = |s: &Sighting<'_>| {
                    let key = TrackKey {
                        camera,
                        track: s.track,
                    };
                    self.bindings.get(&key)?.evidence.mean()
                };
                let (Some(ours), Some(theirs)) = (mean(a), mean(b)) else {
                    continue;
                };
                let cosine = ours.cosine(&theirs);
                let compared = |track| {
                    self.bindings
                        .get(&TrackKey { camera, track })
                        .map_or(0, |b| b.compared)
                };
                let before = compared(a.track).min(compared(b.track));
                if let (Some(cosine), Some(space)) = (cosine, self.space_mut(&ours)) {
                    space.scale.add_strangers_again(cosine, before);
                }
            }
        }
        let tracks: Vec<TrackId> = good.iter().map(|s| s.track).collect();
        self.note_compared(camera, &tracks);
    }

    /// Counts that these people were compared with one another.
    fn note_compared(&mut self, camera: CameraId, tracks: &[TrackId]) {
        for &track in tracks {
            if let Some(binding) = self.bindings.get_mut(&TrackKey { camera, track }) {
                binding.compared = binding.compared.saturating_add(1);
            }
        }
    }

    /// Adds this frame's crops to what is known of the tracks.
    fn collect(&mut self, camera: CameraId, sightings: &[Sighting<'_>]) {
        let now = self.now_ns;
        for sighting in sightings {
            let key = TrackKey {
                camera,
                track: sighting.track,
            };
            let binding = self
                .bindings
                .entry(key)
                .or_insert_with(|| Binding::new(now));
            binding.seen_ns = now;
            let single = binding.evidence.fit(sighting);
            let own = binding.evidence.add(sighting, now);
            let Some(space) = sighting.embedding.and_then(|e| self.space_mut(e)) else {
                continue;
            };
            if let Some(cosine) = single {
                space.scale.add_crop(cosine);
            }
            if let Some(own) = own {
                space.scale.add_self(own.cosine);
                space.nuisance.add(&own.change);
            }
        }
    }

    /// Two visible tracks of one camera with one number: a lost track came back after its number was given to another.
    /// The one that was there first in this frame's order of age gives way: the newer binding is the recognised one.
    fn settle_conflicts(&mut self, camera: CameraId, sightings: &[Sighting<'_>]) {
        let mut holders: BTreeMap<IdentityId, TrackKey> = BTreeMap::new();
        for sighting in sightings {
            let key = TrackKey {
                camera,
                track: sighting.track,
            };
            let Some(id) = self.bindings.get(&key).and_then(|b| b.identity) else {
                continue;
            };
            let Some(other) = holders.insert(id, key) else {
                continue;
            };
            let older = key.min(other);
            holders.insert(id, key.max(other));
            self.unbind(older);
            self.bindings.insert(older, Binding::new(self.now_ns));
        }
    }

    /// The sightings that are still to be decided and may be now.
    fn undecided(&self, camera: CameraId, sightings: &[Sighting<'_>]) -> Vec<usize> {
        (0..sightings.len())
            .filter(|&i| {
                let key = TrackKey {
                    camera,
                    track: sightings[i].track,
                };
                // Only a new crop brings news.
                let news = sightings[i].embedding.is_some() && sightings[i].quality >= MIN_QUALITY;
                let due = |b: &Binding| {
                    b.asked_ns
                        .is_none_or(|t| self.now_ns.saturating_sub(t) >= REMEMBER_NS)
                };
                self.bindings
                    .get(&key)
                    .is_some_and(|b| !b.decided && b.evidence.crops > 0 && news && due(b))
            })
            .collect()
    }

    /// Matches undecided tracks against everybody who is not in this picture, one to one.
    fn decide(&mut self, camera: CameraId, sightings: &[Sighting<'_>], undecided: &[usize]) {
        for index in 0..self.spaces.len() {
            let rows: Vec<(TrackKey, Embedding, u32)> = undecided
                .iter()
                .filter_map(|&i| self.query(camera, sightings[i].track, index))
                .collect();
            if rows.is_empty() {
                continue;
            }
            let visible = self.visible(camera, sightings);
            let grouped = self.groups_in_view();
            let space = &self.spaces[index];
            let queries: Vec<Query<'_>> = rows
                .iter()
                .map(|(_, mean, crops)| Query {
                    values: mean.values(),
                    crops: *crops,
                    camera,
                })
                .collect();
            let in_view = |id| self.people.get(&id).is_some_and(|r| r.tracks > 0);
            let mut found = space.scan(&queries, |id| {
                !(visible.contains(&id) || grouped && in_view(id))
            });
            for ((key, ..), candidates) in rows.iter().zip(&mut found) {
                candidates.retain(|c| self.can_be(*key, c.id));
                self.consider_places(*key, candidates, space.people());
            }
            let judge = Judge::new(&space.scale, self.config.match_threshold);
            let contests: Vec<Contest<'_>> = found.iter().map(|all| judge.hear(all)).collect();
            let others: Vec<f32> = found.iter().filter_map(|all| of_others(all)).collect();
            let choices = choose(&contests, &found);
            let verdicts: Vec<Outcome> = choices
                .iter()
                .zip(&contests)
                .map(|(choice, contest)| match choice {
                    Some(best) => {
                        let verdict = contest.verdict(best);
                        Outcome::Known {
                            id: best.id,
                            score: best.score,
                            probability: verdict.probability,
                            margin: verdict.margin,
                            new: contest.probability_new(),
                        }
                    }
                    None => Outcome::New {
                        probability: contest.probability_new(),
                    },
                })
                .collect();
            let space = &mut self.spaces[index];
            others.iter().for_each(|o| space.scale.add_others(*o));
            // Recognised people first: who is in view cannot be crowded out by those who are new.
            let (known, new): (Vec<_>, Vec<_>) = rows
                .iter()
                .map(|(key, ..)| *key)
                .zip(verdicts)
                .partition(|(_, outcome)| matches!(outcome, Outcome::Known { .. }));
            for (key, outcome) in known.into_iter().chain(new) {
                self.conclude(key, outcome);
            }
        }
    }

    /// The mean look of a track, if it belongs to this space, and of how many crops.
    fn query(
        &self,
        camera: CameraId,
        track: TrackId,
        space: usize,
    ) -> Option<(TrackKey, Embedding, u32)> {
        let key = TrackKey { camera, track };
        let evidence = &self.bindings.get(&key)?.evidence;
        let mean = evidence.mean()?;
        let takes = self.spaces[space].takes(&mean);
        takes.then_some((key, mean, evidence.crops))
    }

    /// Numbers of the tracks in this picture.
    pub(super) fn visible(
        &self,
        camera: CameraId,
        sightings: &[Sighting<'_>],
    ) -> BTreeSet<IdentityId> {
        sightings
            .iter()
            .filter_map(|s| {
                let key = TrackKey {
                    camera,
                    track: s.track,
                };
                self.bindings.get(&key)?.identity
            })
            .collect()
    }

    /// Acts on a verdict, or waits for more crops.
    fn conclude(&mut self, key: TrackKey, outcome: Outcome) {
        let Some(binding) = self.bindings.get_mut(&key) else {
            return;
        };
        binding.asked_ns = Some(self.now_ns);
        let waited = binding.evidence.crops >= ENOUGH_CROPS
            && self.now_ns.saturating_sub(binding.first_ns) >= ENOUGH_NS;
        match outcome {
            Outcome::Known {
                id,
                score,
                probability,
                margin,
                new,
                // Somebody known for certain: of two who look alike, the likelier.
            } if probability >= SURE || waited && new <= 1.0 - SURE => {
                self.recognise(key, id, score, margin)
            }
            Outcome::New { probability } if probability >= SURE_NEW => self.believe_new(key),
            _ if waited => self.believe_new(key),
            _ => {}
        }
    }

    /// A track turns out to be somebody known.
    fn recognise(&mut self, key: TrackKey, id: IdentityId, score: f32, margin: f32) {
        // Somebody new may have crowded the person out in this very frame: then look again next time.
        if !self.people.contains_key(&id) {
            return;
        }
        let provisional = self.bindings.get(&key).and_then(|b| b.identity);
        if let Some(from) = provisional {
            self.unite(from, id);
        } else {
            self.bind(key, id);
        }
        let basis = self.last_elsewhere(id, key);
        let review_ns = self.now_ns.saturating_add(REVIEW_NS);
        if let Some(binding) = self.bindings.get_mut(&key) {
            binding.decided = true;
            binding.review_ns = review_ns;
            binding.take_for_known(basis, score, margin);
        }
        self.events.push(Event::Matched {
            id,
            track: key.track,
            score,
            margin,
        });
    }

    /// A track turns out to be somebody new.
    fn believe_new(&mut self, key: TrackKey) {
        let carries = self
            .bindings
            .get(&key)
            .is_some_and(|b| b.identity.is_some());
        if !carries && self.enrol(key, false).is_none() {
            return;
        }
        let review_ns = self.now_ns.saturating_add(REVIEW_NS);
        let carried = self.bindings.get(&key).and_then(|b| b.identity);
        let shared = carried
            .and_then(|id| self.people.get(&id))
            .is_some_and(|r| r.tracks > 1);
        if let Some(binding) = self.bindings.get_mut(&key) {
            binding.decided = true;
            if !shared {
                binding.state = IdentityState::New;
            }
            binding.review_ns = review_ns;
        }
        self.remember_mean(key);
    }

    /// The first row of somebody new: the mean of the track so far.
    fn remember_mean(&mut self, key: TrackKey) {
        let Some(binding) = self.bindings.get(&key) else {
            return;
        };
        let (Some(id), Some(mean)) = (binding.identity, binding.evidence.mean()) else {
            return;
        };
        let quality = binding.evidence.quality();
        if let Some(space) = self.space_mut(&mean) {
            let sample = Sample {
                values: mean.values(),
                quality,
                track: key,
            };
            space.remember(id, sample);
        }
    }

    /// Numbers for those that still carry none; those without looks are somebody new after a while.
    fn enrol_rest(&mut self, camera: CameraId, sightings: &[Sighting<'_>]) {
        let has_looks = self.cameras.get(&camera).is_some_and(|c| c.has_looks);
        for sighting in sightings {
            let key = TrackKey {
                camera,
                track: sighting.track,
            };
            let Some(binding) = self.bindings.get(&key) else {
                continue;
            };
            let faceless = !binding.decided && binding.evidence.crops == 0;
            let old = !has_looks || self.now_ns.saturating_sub(binding.first_ns) >= FACELESS_NS;
            if binding.identity.is_none() {
                self.enrol(key, has_looks);
            }
            if let Some(binding) = self.bindings.get_mut(&key).filter(|_| faceless && old) {
                binding.state = IdentityState::New;
            }
        }
    }

    /// Updates rows, companions and times of everybody in the picture.
    fn keep(&mut self, camera: CameraId, sightings: &[Sighting<'_>]) {
        let visible: Vec<IdentityId> = self.visible(camera, sightings).into_iter().collect();
        for sighting in sightings {
            self.remember(camera, sighting);
        }
        for &id in &visible {
            self.turn += 1;
            let (turn, now) = (self.turn, self.now_ns);
            let Some(record) = self.people.get_mut(&id) else {
                continue;
            };
            record.turn = turn;
            record.last_ns = now;
            record.stay(camera, now);
            for &other in visible.iter().filter(|&&o| o != id) {
                if !record.apart.contains(&other) {
                    if record.apart.len() >= MAX_APART {
                        record.apart.pop_front();
                    }
                    record.apart.push_back(other);
                }
            }
            self.note_seen(id, camera);
        }
    }

    fn remember(&mut self, camera: CameraId, sighting: &Sighting<'_>) {
        let now = self.now_ns;
        let key = TrackKey {
            camera,
            track: sighting.track,
        };
        let Some(embedding) = sighting.embedding else {
            return;
        };
        let Some(binding) = self.bindings.get_mut(&key) else {
            return;
        };
        let due = binding
            .remembered_ns
            .is_none_or(|t| now.saturating_sub(t) >= REMEMBER_NS);
        if !due || !binding.decided || !(REMEMBER_QUALITY..).contains(&sighting.quality) {
            return;
        }
        binding.remembered_ns = Some(now);
        let Some(id) = binding.identity else { return };
        let sample = Sample {
            values: embedding.values(),
            quality: sighting.quality.min(1.0),
            track: key,
        };
        if let Some(space) = self.space_mut(embedding) {
            space.remember(id, sample);
        }
    }

    // ---- time and space ----

    /// Whether a track can be a person, by where the person was lately.
    pub(super) fn can_be(&self, key: TrackKey, id: IdentityId) -> bool {
        let Some(topology) = &self.topology else {
            return true;
        };
        let (Some(record), Some(binding)) = (self.people.get(&id), self.bindings.get(&key)) else {
            return true;
        };
        let here = binding.first_ns..self.now_ns;
        record.stays.iter().enumerate().all(|(i, stay)| {
            let newest = i + 1 == record.stays.len();
            let relation = self.relation(topology, key.camera, stay.camera);
            relation.allows(&stay.times, &here, newest)
        })
    }

    /// How two cameras lie to one another.
    pub(super) fn relation(&self, topology: &Topology, a: CameraId, b: CameraId) -> Relation {
        match (self.cameras.get(&a), self.cameras.get(&b)) {
            (Some(a), Some(b)) => topology.relation(&a.name, &b.name),
            _ => Relation::Free,
        }
    }

    /// Where a person was last seen, other than as this track.
    fn stay_before(&self, id: IdentityId, key: TrackKey) -> Option<&Stay> {
        let began = self.bindings.get(&key)?.first_ns;
        let mut stays = self.people.get(&id)?.stays.iter().rev();
        stays.find(|s| s.camera != key.camera || s.times.end < began)
    }

    /// Where and when that was.
    pub(super) fn last_elsewhere(&self, id: IdentityId, key: TrackKey) -> Option<Seen> {
        let stay = self.stay_before(id, key)?;
        Some(Seen {
            camera: self.cameras.get(&stay.camera)?.name.clone(),
            time_ns: stay.times.end,
        })
    }

    /// From which camera a person has come to be this track, and how long that took, ns; `None` who is still seen there.
    pub(super) fn walk(&self, id: IdentityId, key: TrackKey) -> Option<(CameraId, u64)> {
        let stay = self.stay_before(id, key)?;
        let began = self.bindings.get(&key)?.first_ns;
        Some((stay.camera, began.checked_sub(stay.times.end)?))
    }

    /// Adds what the times say that people take from camera to camera, and where in the room people are that other
    /// cameras see. `known` people are judged among; who stands in the very place was not picked from all of them.
    pub(super) fn consider_places(
        &self,
        key: TrackKey,
        candidates: &mut [Candidate],
        known: usize,
    ) {
        let elsewhere = self.places_elsewhere(key);
        for candidate in candidates {
            if let Some((from, walk_ns)) = self.walk(candidate.id, key) {
                candidate.prior = self.transits.log_odds(from, key.camera, walk_ns);
            }
            let place = elsewhere.get(&candidate.id).copied().unwrap_or(0.0);
            let picked = if place > 0.0 { crowding(known) } else { 0.0 };
            candidate.prior += place + picked;
        }
    }

    /// What the places say of people in view of other cameras: whether they are this track.
    fn places_elsewhere(&self, key: TrackKey) -> BTreeMap<IdentityId, f32> {
        let mut all: BTreeMap<IdentityId, f32> = BTreeMap::new();
        if !self.floor.is_known() {
            return all;
        }
        for (other, binding) in &self.bindings {
            let Some(id) = binding.identity.filter(|_| other.camera != key.camera) else {
                continue;
            };
            let odds = self.floor.log_odds(key, *other);
            let known = all.entry(id).or_default();
            // One camera that sees both in one place outweighs others that do not.
            if odds > 0.0 || *known <= 0.0 {
                *known = if odds > 0.0 {
                    odds.max(*known)
                } else {
                    odds.min(*known)
                };
            }
        }
        all
    }

    /// Shows the floor who stands where.
    fn look_at_floor(&mut self, camera: CameraId, time_ns: u64, sightings: &[Sighting<'_>]) {
        let people = sightings
            .iter()
            .filter(|s| s.confirmed && s.quality >= REMEMBER_QUALITY)
            .map(|s| (s.track, s.rect));
        let mut floor = std::mem::take(&mut self.floor);
        let news = floor.observe(camera, time_ns, people, |other| {
            let relation = |t: &Arc<Topology>| self.relation(t, camera, other);
            !matches!(
                self.topology.as_ref().map(relation),
                Some(Relation::Apart { .. })
            )
        });
        self.floor = floor;
        for key in news {
            if let Some(binding) = self.bindings.get_mut(&key) {
                binding.place_news = true;
            }
        }
    }

    // ---- people and tracks ----

    /// The space of a vector's model, made when there is room for another model.
    pub(super) fn space_mut(&mut self, embedding: &Embedding) -> Option<&mut Space> {
        let index = match self.spaces.iter().position(|s| s.takes(embedding)) {
            Some(index) => index,
            None if self.spaces.len() < MAX_MODELS => {
                self.spaces
                    .push(Space::new(embedding.model(), embedding.dimension()));
                self.spaces.len() - 1
            }
            None => return None,
        };
        self.spaces.get_mut(index)
    }

    /// A new number for a track; `None` when there are none left.
    fn enrol(&mut self, key: TrackKey, pending: bool) -> Option<IdentityId> {
        self.make_room();
        let id = self.next_identity()?;
        self.bind(key, id);
        self.events.push(Event::New {
            id,
            track: key.track,
            pending,
        });
        Some(id)
    }

    pub(super) fn next_identity(&mut self) -> Option<IdentityId> {
        let id = self.next_number()?;
        self.turn += 1;
        let now = self.now_ns;
        let record = Record {
            name: None,
            previous: Arc::from([]),
            first_ns: now,
            last_ns: now,
            turn: self.turn,
            tracks: 0,
            apart: VecDeque::new(),
            parted: Vec::new(),
            stays: Vec::new(),
        };
        self.people.insert(id, record);
        self.note_created(id);
        Some(id)
    }

    /// The least recently seen leave until there is room for one more. People in view stay.
    fn make_room(&mut self) {
        let most = self.config.max_identities.clamp(1, MAX_IDENTITIES);
        while self.people.len() >= most {
            let Some((_, id)) = self.resting.pop_first() else {
                return;
            };
            self.erase(id);
        }
    }

    /// Whoever was not seen for too long leaves.
    pub(super) fn expire(&mut self) {
        let Some(max_age) = self.config.max_age_ns else {
            return;
        };
        while let Some((&turn, &id)) = self.resting.first_key_value() {
            let unseen = self
                .people
                .get(&id)
                .map_or(u64::MAX, |r| self.now_ns.saturating_sub(r.last_ns));
            if unseen <= max_age {
                return;
            }
            self.resting.remove(&turn);
            self.erase(id);
        }
    }

    /// Removes a person for good.
    pub(super) fn erase(&mut self, id: IdentityId) {
        for space in &mut self.spaces {
            space.forget(id);
        }
        if self.people.remove(&id).is_some() {
            self.note_left(id, Fate::Expired);
            self.events.push(Event::Left { id });
        }
    }

    pub(super) fn bind(&mut self, key: TrackKey, id: IdentityId) {
        if let Some(record) = self.people.get_mut(&id) {
            self.resting.remove(&record.turn);
            record.tracks += 1;
        }
        if let Some(binding) = self.bindings.get_mut(&key) {
            binding.identity = Some(id);
        }
    }

    /// Takes the number from a track and forgets the track.
    fn unbind(&mut self, key: TrackKey) {
        // Seen too briefly to be decided about, and not to be forgotten.
        if self.bindings.get(&key).is_some_and(|b| !b.decided) {
            self.remember_mean(key);
        }
        let Some(id) = self.bindings.remove(&key).and_then(|b| b.identity) else {
            return;
        };
        for space in &mut self.spaces {
            space.settle_track(key, id);
        }
        self.drop_track(id);
    }

    /// A track no longer carries the number.
    pub(super) fn drop_track(&mut self, id: IdentityId) {
        let Some(record) = self.people.get_mut(&id) else {
            return;
        };
        record.tracks = record.tracks.saturating_sub(1);
        if record.tracks == 0 {
            self.events.push(Event::Lost { id });
            self.rest(id);
        }
    }

    /// A person whom no track carries: waits to be recognised, or leaves when nothing could ever be.
    pub(super) fn rest(&mut self, id: IdentityId) {
        let known = self.spaces.iter().any(|s| s.rows_of(id) > 0);
        let Some(record) = self.people.get_mut(&id) else {
            return;
        };
        self.resting.remove(&record.turn);
        if known || record.name.is_some() {
            self.turn += 1;
            record.turn = self.turn;
            self.resting.insert(record.turn, id);
        } else {
            self.people.remove(&id);
            self.note_left(id, Fate::Expired);
        }
    }

    fn end_tracks(&mut self, camera: CameraId, tracks: &[TrackId]) {
        for &track in tracks {
            let key = TrackKey { camera, track };
            self.floor.end(key);
            self.unbind(key);
        }
    }

    /// Makes one person of two: every track, row and name of `from` goes to `into`.
    pub(super) fn unite(&mut self, from: IdentityId, into: IdentityId) {
        let Some(old) = self.people.remove(&from) else {
            return;
        };
        if old.tracks == 0 {
            self.resting.remove(&old.turn);
        }
        for space in &mut self.spaces {
            space.merge(from, into);
        }
        for binding in self.bindings.values_mut() {
            if binding.identity == Some(from) {
                binding.identity = Some(into);
            }
        }
        for record in self.people.values_mut() {
            let others = record.apart.iter_mut().chain(&mut record.parted);
            others.filter(|c| **c == from).for_each(|c| *c = into);
        }
        if let Some(record) = self.people.get_mut(&into) {
            if record.tracks == 0 && old.tracks > 0 {
                self.resting.remove(&record.turn);
            }
            record.tracks += old.tracks;
            record.name = record.name.take().or(old.name);
            record.first_ns = record.first_ns.min(old.first_ns);
            record.last_ns = record.last_ns.max(old.last_ns);
            let former: Vec<IdentityId> = record
                .previous
                .iter()
                .chain(old.previous.iter())
                .chain([&from])
                .copied()
                .collect();
            let skip = former.len().saturating_sub(MAX_PREVIOUS);
            record.previous = former[skip..].into();
            record.apart.extend(old.apart);
            record.parted.extend(old.parted);
            record.parted.retain(|other| *other != into);
            record.take_stays(old.stays);
            while record.apart.len() > MAX_APART {
                record.apart.pop_front();
            }
        }
        self.note_merged(from, into);
        self.events.push(Event::Merged { from, into });
    }

    // ---- what users ask for ----

    /// Gives a person a name; an empty one takes it away.
    pub fn rename(&mut self, id: IdentityId, name: &str) -> Result<(), GalleryError> {
        if name.len() > MAX_NAME_BYTES {
            return Err(GalleryError::LongName);
        }
        let record = self.people.get_mut(&id).ok_or(GalleryError::Unknown(id))?;
        record.name = (!name.is_empty()).then(|| name.into());
        self.note_renamed(id);
        Ok(())
    }

    /// Makes one person of two. `into` keeps its number. Refused while both are in one picture.
    pub fn merge(
        &mut self,
        from: IdentityId,
        into: IdentityId,
    ) -> Result<Vec<Event>, GalleryError> {
        if from == into {
            return Err(GalleryError::Same(from));
        }
        for id in [from, into] {
            if !self.people.contains_key(&id) {
                return Err(GalleryError::Unknown(id));
            }
        }
        let cameras = |id| -> BTreeSet<CameraId> {
            let own = self.bindings.iter().filter(|(_, b)| b.identity == Some(id));
            own.map(|(k, _)| k.camera).collect()
        };
        if !cameras(from).is_disjoint(&cameras(into)) {
            return Err(GalleryError::SeenTogether(from, into));
        }
        self.unite(from, into);
        self.trust(into);
        Ok(std::mem::take(&mut self.events))
    }

    /// Makes two people of one: what `camera` saw becomes somebody new, or, with no camera named, what came with the
    /// newest merge. The two are never merged again by looks. Returns the new number.
    pub fn split(
        &mut self,
        id: IdentityId,
        camera: Option<&str>,
    ) -> Result<(IdentityId, Vec<Event>), GalleryError> {
        let record = self.people.get(&id).ok_or(GalleryError::Unknown(id))?;
        let origin = match camera {
            None => Some(
                *record
                    .previous
                    .last()
                    .ok_or(GalleryError::NothingToSplit(id))?,
            ),
            Some(_) => None,
        };
        let camera = match camera {
            None => None,
            Some(name) => Some(self.camera_named(name)?),
        };
        if !self.has_part(id, camera, origin) {
            return Err(GalleryError::NothingToSplit(id));
        }
        let into = self.next_identity().ok_or(GalleryError::NumbersExhausted)?;
        for space in &mut self.spaces {
            space.split(id, into, camera, origin);
        }
        self.note_split(id, into, camera, origin);
        let moved: Vec<TrackKey> = self
            .bindings
            .iter()
            .filter(|(k, b)| b.identity == Some(id) && Some(k.camera) == camera)
            .map(|(k, _)| *k)
            .collect();
        for key in moved {
            if let Some(record) = self.people.get_mut(&id) {
                record.tracks = record.tracks.saturating_sub(1);
            }
            self.bind(key, into);
        }
        for (own, other) in [(id, into), (into, id)] {
            if let Some(record) = self.people.get_mut(&own) {
                record.apart.push_back(other);
                record.parted.push(other);
                if let Some(origin) = origin.filter(|_| own == id) {
                    let kept = record.previous.iter().filter(|p| **p != origin);
                    record.previous = kept.copied().collect();
                }
                if record.tracks == 0 {
                    self.rest(own);
                }
            }
        }
        self.note_changed(id);
        self.note_changed(into);
        self.events.push(Event::Split { from: id, into });
        Ok((into, std::mem::take(&mut self.events)))
    }

    /// Whether there are looks of a person, or tracks, that came from `camera` or were recorded as `origin`.
    fn has_part(
        &self,
        id: IdentityId,
        camera: Option<CameraId>,
        origin: Option<IdentityId>,
    ) -> bool {
        let mut rows = self.spaces.iter().flat_map(|space| space.rows(id));
        let mut tracks = self.bindings.iter();
        rows.any(|(row, _)| Some(row.camera) == camera || Some(row.origin) == origin)
            || tracks.any(|(key, b)| b.identity == Some(id) && Some(key.camera) == camera)
    }

    fn camera_named(&self, name: &str) -> Result<CameraId, GalleryError> {
        self.cameras
            .iter()
            .find(|(_, c)| &*c.name == name)
            .map(|(id, _)| *id)
            .or_else(|| self.names.id(name))
            .ok_or_else(|| GalleryError::UnknownCamera(name.into()))
    }

    /// Erases a person: vectors, name, companions. A track that carries the number becomes somebody new.
    pub fn forget(&mut self, id: IdentityId) -> Result<Vec<Event>, GalleryError> {
        let record = self.people.get(&id).ok_or(GalleryError::Unknown(id))?;
        if record.tracks == 0 {
            self.resting.remove(&record.turn);
        }
        let now = self.now_ns;
        for binding in self
            .bindings
            .values_mut()
            .filter(|b| b.identity == Some(id))
        {
            *binding = Binding::new(now);
        }
        self.erase(id);
        self.note_left(id, Fate::Forgotten);
        for record in self.people.values_mut() {
            record.apart.retain(|c| *c != id);
            record.parted.retain(|c| *c != id);
        }
        Ok(std::mem::take(&mut self.events))
    }

    /// Everybody, in order of their numbers.
    pub fn list(&self) -> Vec<PersonFacts> {
        let mut list: Vec<PersonFacts> = self
            .people
            .iter()
            .map(|(&id, record)| PersonFacts {
                id,
                name: record.name.clone(),
                previous: record.previous.clone(),
                first_seen_ns: record.first_ns,
                last_seen_ns: record.last_ns,
                active: record.tracks > 0,
                rows: self.spaces.iter().map(|s| s.rows_of(id)).sum(),
            })
            .collect();
        list.sort_by_key(|p| p.id);
        list
    }

    /// How many people are known.
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// True when nobody is known.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// How many cameras are attached.
    pub fn cameras(&self) -> usize {
        self.cameras.len()
    }
}

/// What the looks say about a track.
enum Outcome {
    Known {
        id: IdentityId,
        score: f32,
        probability: f32,
        margin: f32,
        /// Probability of somebody new.
        new: f32,
    },
    New {
        probability: f32,
    },
}

/// What a query scores with people who are probably others: the median of all but the best, where there are some.
fn of_others(candidates: &[Candidate]) -> Option<f32> {
    let mut scores: Vec<f32> = candidates.iter().map(|c| c.score).collect();
    scores.sort_by(f32::total_cmp);
    scores.pop();
    (scores.len() >= 2).then(|| scores[scores.len() / 2])
}

/// For each query the candidate it is taken for, one to one, where that is more probable than somebody new.
fn choose(contests: &[Contest<'_>], found: &[Vec<Candidate>]) -> Vec<Option<Candidate>> {
    let mut columns: BTreeMap<IdentityId, usize> = BTreeMap::new();
    let mut edges = Vec::new();
    let mut chosen = Vec::new();
    for (row, (contest, candidates)) in contests.iter().zip(found).enumerate() {
        for candidate in candidates {
            let odds = contest.log_odds(candidate);
            if odds <= 0.0 {
                continue;
            }
            let next = columns.len();
            let column = *columns.entry(candidate.id).or_insert(next);
            edges.push(Edge {
                row,
                column,
                cost: -odds,
            });
            chosen.push((row, column, *candidate));
        }
    }
    let mut choices = vec![None; found.len()];
    for pair in assign(&edges, 0.0) {
        choices[pair.row] = chosen
            .iter()
            .find(|(row, column, _)| *row == pair.row && *column == pair.column)
            .map(|(_, _, candidate)| *candidate);
    }
    choices
}

fn apart(a: &Rect, b: &Rect) -> bool {
    a.iou(b) <= MAX_SHARED_IOU
}
