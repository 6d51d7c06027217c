//! The gallery: cameras, the people they see, and what happens in a frame, step by step.
//!
//! Long because the steps of one frame stand in the order in which they are taken.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    CameraId, Decision, Event, GalleryConfig, Sighting,
    clock::CameraClock,
    floor::Floor,
    journal::{CameraNames, Journal},
    overlap::Overlaps,
    past_visits::PastVisits,
    people::{Record, Stay},
    prototypes::Space,
    restore::Clock,
    topology::{Place, Relation, Topology},
    transit::Transits,
    untold::Untold,
    visit::{Binding, TrackKey},
};
use crate::{
    embedding::ModelFingerprint,
    geometry::Rect,
    person::{Identity, IdentityId, Seen, TrackId},
    scores::ScorePrior,
};

/// The prototype of a visit that lasts is updated this often, ns.
const REMEMBER_NS: u64 = 1_000_000_000;
/// Impostors of one frame are compared this often a camera, ns.
const IMPOSTORS_NS: u64 = 200_000_000;
/// Most people of one frame compared with one another.
const MAX_IMPOSTORS: usize = 12;
/// Boxes that overlap more show part of the other person.
const MAX_SHARED_IOU: f32 = 0.1;
/// Of two boxes that lie in one another by more than this part of the smaller, one may be a part of the other's person.
const MAX_INSIDE: f32 = 0.3;
/// Crops of at least this quality are compared and looked at on the floor.
const GOOD_QUALITY: f32 = 0.3;
/// Most models of which a prior is remembered.
const MAX_PRIORS: usize = 64;

#[derive(Clone, Debug)]
pub(super) struct Camera {
    pub name: Arc<str>,
    /// Where the topology has it.
    place: Option<Place>,
    pub has_looks: bool,
    compared_ns: Option<u64>,
    /// When its people were last compared with those in view of others, ns.
    pub together_ns: Option<u64>,
    /// The time of its newest frame, ns.
    pub time_ns: u64,
    pub clock: CameraClock,
}

/// People known by their appearance, shared by cameras.
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
    /// What the scores of models mean before any were seen.
    priors: BTreeMap<ModelFingerprint, ScorePrior>,
    pub(super) cameras: BTreeMap<CameraId, Camera>,
    pub(super) bindings: BTreeMap<TrackKey, Binding>,
    /// The newest visits that are over.
    pub(super) past_visits: PastVisits,
    pub(super) next_number: u32,
    pub(super) next_camera: u32,
    /// The time of the frame at hand.
    pub(super) now_ns: u64,
    /// The newest of all cameras.
    pub(super) newest_ns: u64,
    pub(super) turn: u64,
    pub(super) events: Vec<Event>,
    pub(super) untold: Untold,
    pub(super) clock: Clock,
    pub(super) names: CameraNames,
    /// Kept where somebody keeps the gallery.
    pub(super) journal: Option<Journal>,
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
            priors: BTreeMap::new(),
            cameras: BTreeMap::new(),
            bindings: BTreeMap::new(),
            past_visits: PastVisits::default(),
            next_number: 1,
            next_camera: 1,
            now_ns: 0,
            newest_ns: 0,
            turn: 0,
            events: Vec::new(),
            untold: Untold::default(),
            clock: Clock::default(),
            names: CameraNames::default(),
            journal: None,
        }
    }

    /// Changes thresholds and limits from the next frame on.
    pub fn configure(&mut self, config: GalleryConfig) {
        self.config = config;
    }

    /// Says how the cameras lie to one another, from the next frame on; `None`: nothing is known.
    pub fn set_topology(&mut self, topology: impl Into<Option<Arc<Topology>>>) {
        self.topology = topology.into();
        for camera in self.cameras.values_mut() {
            camera.place = self.topology.as_ref().and_then(|t| t.place(&camera.name));
        }
    }

    /// Says what the scores of a model mean before any were seen, where that was measured. What was learnt of it here stays.
    pub fn expect_scores(&mut self, model: ModelFingerprint, prior: ScorePrior) {
        if self.priors.len() < MAX_PRIORS || self.priors.contains_key(&model) {
            self.priors.insert(model, prior);
        }
        let known = self.spaces.iter_mut().filter(|s| s.model == model);
        known.for_each(|space| space.scale.expect(prior));
    }

    pub(super) fn prior_of(&self, model: ModelFingerprint) -> ScorePrior {
        self.priors.get(&model).copied().unwrap_or_default()
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
            place: self.topology.as_ref().and_then(|t| t.place(&name)),
            name,
            has_looks,
            compared_ns: None,
            together_ns: None,
            time_ns: 0,
            clock: CameraClock::default(),
        };
        self.cameras.insert(id, camera);
        id
    }

    /// Lets a camera go: its tracks end. Returns what happened.
    pub fn detach(&mut self, camera: CameraId) -> Vec<Event> {
        self.release(camera);
        self.past_visits.settle_camera(camera);
        self.cameras.remove(&camera);
        self.floor.detach(camera);
        self.overlaps.detach(camera);
        std::mem::take(&mut self.events)
    }

    /// A camera's picture is scaled by `sx` across and `sy` down from now on and shows the same.
    pub fn rescale(&mut self, camera: CameraId, sx: f32, sy: f32) {
        self.floor.rescale(camera, sx, sy);
    }

    /// A camera looks elsewhere from now on: what was learnt of the places that it sees is forgotten. People and tracks stay.
    pub fn change_view(&mut self, camera: CameraId) {
        self.floor.detach(camera);
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
    /// `time_ns` is on a clock that all cameras of the gallery share; where it runs backwards it stands still, and a jump far ahead
    /// is not believed at once ([`super::clock`]).
    pub fn observe(
        &mut self,
        camera: CameraId,
        time_ns: u64,
        sightings: &[Sighting<'_>],
        ended: &[TrackId],
    ) -> Decision {
        self.note_frame();
        self.advance(camera, time_ns, !sightings.is_empty());
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
        self.learn_impostors(camera, sightings);
        self.settle_conflicts(camera, sightings);
        self.note_beside(camera, sightings);
        self.resolve(camera, sightings);
        self.enrol_all(camera, sightings);
        self.settle_alone(camera, sightings);
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

    /// Learns what two people of one frame score, by the vectors as they are.
    fn learn_impostors(&mut self, camera: CameraId, sightings: &[Sighting<'_>]) {
        let now = self.now_ns;
        let Some(about) = self.cameras.get_mut(&camera) else {
            return;
        };
        let due = about
            .compared_ns
            .is_none_or(|t| now.saturating_sub(t) >= IMPOSTORS_NS);
        let good: Vec<&Sighting<'_>> = sightings
            .iter()
            .filter(|s| s.embedding.is_some() && s.quality >= GOOD_QUALITY)
            .take(MAX_IMPOSTORS)
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
                    self.bindings.get(&key)?.visit.mean(false)
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
                    space.scale.add_impostors_again(cosine, before);
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
            binding.confirmed = sighting.confirmed;
            let single = binding.visit.fit(sighting);
            let own = binding.visit.add(sighting, now);
            let Some(space) = sighting.embedding.and_then(|e| self.space_mut(e)) else {
                continue;
            };
            if let Some(cosine) = single {
                space.scale.add_crop(cosine);
            }
            if let Some(own) = own {
                space.scale.add_genuine(own.cosine);
                space.variation.add(&own.change);
            }
        }
    }

    /// Tracks that were lost and are in the picture again while another one that is in it carries their identity: somebody
    /// else by now, as far as is known. Whoever numbers tracks gives them other numbers before [`Gallery::observe`], so that
    /// nothing that is told of them later is taken to be told of who they were; else their visits begin anew here.
    pub fn lapsed(&self, camera: CameraId, visible: impl Iterator<Item = TrackId>) -> Vec<TrackId> {
        let mut holders: BTreeMap<IdentityId, TrackKey> = BTreeMap::new();
        let mut lapsed = Vec::new();
        for track in visible {
            let key = TrackKey { camera, track };
            let Some(id) = self.bindings.get(&key).and_then(|b| b.identity) else {
                continue;
            };
            let holder = holders.entry(id).or_insert(key);
            if *holder != key {
                // The newer track is the recognised one.
                lapsed.push(key.min(*holder).track);
                *holder = key.max(*holder);
            }
        }
        lapsed
    }

    fn settle_conflicts(&mut self, camera: CameraId, sightings: &[Sighting<'_>]) {
        for track in self.lapsed(camera, sightings.iter().map(|s| s.track)) {
            let key = TrackKey { camera, track };
            self.unbind(key);
            let mut anew = Binding::new(self.now_ns);
            anew.confirmed = true;
            self.bindings.insert(key, anew);
        }
    }

    /// A provisional identity for those that carry none.
    fn enrol_all(&mut self, camera: CameraId, sightings: &[Sighting<'_>]) {
        let has_looks = self.cameras.get(&camera).is_some_and(|c| c.has_looks);
        for sighting in sightings {
            let key = TrackKey {
                camera,
                track: sighting.track,
            };
            if self
                .bindings
                .get(&key)
                .is_some_and(|b| b.identity.is_none())
            {
                // Nobody is known whom it could be.
                let nobody = self.people.is_empty() && sighting.embedding.is_some();
                self.enrol(key, has_looks && !nobody);
            }
        }
    }

    /// Notes who is in this picture in two places.
    fn note_beside(&mut self, camera: CameraId, sightings: &[Sighting<'_>]) {
        for (i, a) in sightings.iter().enumerate() {
            for b in sightings.iter().filter(|b| b.track != a.track) {
                let smaller = a.rect.area().min(b.rect.area()).max(f32::MIN_POSITIVE);
                if a.rect.intersection(&b.rect) / smaller > MAX_INSIDE {
                    continue;
                }
                let track = sightings[i].track;
                if let Some(binding) = self.bindings.get_mut(&TrackKey { camera, track }) {
                    binding.saw_beside(b.track);
                }
            }
        }
    }

    /// Updates prototypes, company and times of everybody in the picture.
    fn keep(&mut self, camera: CameraId, sightings: &[Sighting<'_>]) {
        for sighting in sightings {
            self.remember(TrackKey {
                camera,
                track: sighting.track,
            });
        }
        let visible: Vec<IdentityId> = sightings
            .iter()
            .filter_map(|s| {
                let track = s.track;
                self.bindings.get(&TrackKey { camera, track })?.identity
            })
            .collect();
        for &id in &visible {
            self.turn += 1;
            let (turn, now) = (self.turn, self.now_ns);
            let Some(record) = self.people.get_mut(&id) else {
                continue;
            };
            record.turn = turn;
            record.last_ns = record.last_ns.max(now);
            record.stay(camera, now);
            for &other in visible.iter().filter(|&&o| o != id) {
                record.saw(other, 0.0);
            }
            self.note_seen(id, camera);
        }
    }

    /// The prototype of a visit that lasts, once it is decided whose it is.
    fn remember(&mut self, key: TrackKey) {
        let now = self.now_ns;
        let Some(binding) = self.bindings.get_mut(&key) else {
            return;
        };
        let due = binding
            .remembered_ns
            .is_none_or(|t| now.saturating_sub(t) >= REMEMBER_NS);
        if due && binding.decided && binding.visit.crops > 0 {
            binding.remembered_ns = Some(now);
            self.remember_visit(key, false);
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
        let place = |camera| self.cameras.get(&camera).and_then(|c| c.place);
        topology.relation(place(a), place(b))
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

    /// Whether two people of the past can be one, by where both were lately.
    pub(super) fn could_both_be(&self, one: IdentityId, other: IdentityId) -> bool {
        let Some(topology) = &self.topology else {
            return true;
        };
        let stays = |id| self.people.get(&id).map_or(&[][..], |r| &r.stays[..]);
        stays(one).iter().all(|a| {
            stays(other).iter().all(|b| {
                let relation = self.relation(topology, a.camera, b.camera);
                relation.allows(&a.times, &b.times, false)
            })
        })
    }

    /// Shows the floor who stands where.
    fn look_at_floor(&mut self, camera: CameraId, time_ns: u64, sightings: &[Sighting<'_>]) {
        let people = sightings
            .iter()
            .filter(|s| s.confirmed && s.quality >= GOOD_QUALITY)
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

fn apart(a: &Rect, b: &Rect) -> bool {
    a.iou(b) <= MAX_SHARED_IOU
}
