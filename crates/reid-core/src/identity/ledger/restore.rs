//! The other direction of [`super::journal`]: a gallery as it was kept, and what others who share it have changed.

use std::{collections::BTreeSet, sync::Arc};

use crate::identity::{
    CameraId, Fate, Gallery, MAX_APART, MAX_IDENTITIES, MAX_PREVIOUS, SavedPerson, SavedRow,
    SavedScale,
    journal::PROVISIONAL,
    people::{Record, THROUGHOUT},
    prototypes::{Row, Space},
    scores::{Scorer, against_one_of},
    variation::Variation,
};
use crate::{embedding::ModelFingerprint, person::IdentityId};

/// A gallery as it was kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Saved {
    /// Everybody.
    pub people: Vec<SavedPerson>,
    /// What scores mean.
    pub scales: Vec<SavedScale>,
    /// No number from here on was ever given; `None`: numbers are set aside by somebody else.
    pub next_number: Option<u32>,
}

/// How far what others have written replaces what is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Rows of the cameras that are attached here stay: nobody knows them better.
    Neighbour,
    /// Everything counts: a user's correction.
    Whole,
}

/// Where the gallery's time comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::identity) enum Clock {
    /// The cameras' own time is the gallery's.
    #[default]
    Cameras,
    /// The gallery's time began at the wall clock's when it was restored; the next frame with somebody in it says how
    /// far the cameras' is behind.
    Unknown,
    /// The cameras' time lags by so much, ns.
    Behind(u64),
}

impl Clock {
    /// What a camera's time is on the gallery's clock, where that is known, ns.
    pub fn said(self, time_ns: u64) -> Option<u64> {
        match self {
            Self::Cameras => Some(time_ns),
            Self::Behind(lag) => Some(time_ns.saturating_add(lag)),
            Self::Unknown => None,
        }
    }
}

impl Gallery {
    /// Takes everybody in. From now on the gallery's time counts on from `wall_ns`, ns since 1970, so that what is kept
    /// means something after a restart. People beyond the limits leave.
    pub fn restore(&mut self, saved: Saved, wall_ns: u64) {
        self.begin_restore(saved.scales, wall_ns);
        let mut people = saved.people;
        people.sort_by_key(|person| (person.last_ns, person.id));
        for person in people {
            self.adopt(person, Authority::Whole);
        }
        self.end_restore(saved.next_number);
    }

    /// The same one person at a time, for those who would not hold everybody twice: after this, [`Self::adopt`] for
    /// each, least recently seen first, then [`Self::end_restore`].
    pub fn begin_restore(&mut self, scales: Vec<SavedScale>, wall_ns: u64) {
        self.newest_ns = self.newest_ns.max(wall_ns);
        self.now_ns = self.newest_ns;
        self.clock = Clock::Unknown;
        self.learn_scales(scales);
    }

    /// Everybody is in. People beyond the limits leave.
    pub fn end_restore(&mut self, next_number: Option<u32>) {
        if let Some(next) = next_number {
            self.next_number = self.next_number.max(next);
        }
        self.expire();
        let most = self.config.max_identities.clamp(1, MAX_IDENTITIES);
        while self.people.len() > most {
            let Some((_, id)) = self.resting.pop_first() else {
                break;
            };
            self.erase(id);
        }
        self.events.clear();
    }

    /// Takes over what scores mean, where it has not been learnt here.
    pub fn learn_scales(&mut self, scales: Vec<SavedScale>) {
        for known in scales {
            let Some(space) = self.space_of(known.model, known.dimension) else {
                continue;
            };
            if space.scale.is_untaught() {
                space.scale.take_over(&known.scale);
            }
            let variation = known.variation.filter(|_| space.variation.is_empty());
            let variation = variation.and_then(|v| Variation::restored(known.dimension, &v));
            if let Some(variation) = variation {
                space.variation = variation;
            }
        }
    }

    /// Time passes although no camera tells it, because none is attached or none has seen anybody yet: whoever was not
    /// seen for too long leaves.
    pub fn idle(&mut self, wall_ns: u64) {
        self.bound_events();
        let told = match self.clock {
            Clock::Cameras => true,
            Clock::Unknown => false,
            Clock::Behind(_) => !self.cameras.is_empty(),
        };
        if told {
            return;
        }
        self.clock = Clock::Unknown;
        self.newest_ns = self.newest_ns.max(wall_ns);
        self.now_ns = self.newest_ns;
        self.expire();
    }

    /// Sets the gallery's time to that of a camera's frame. Every camera has its own: one that is ahead of others, as files played
    /// without a clock are, does not stop them. Where a camera's runs backwards it stands still; a jump far ahead is not believed at
    /// once.
    pub(in crate::identity) fn advance(
        &mut self,
        camera: CameraId,
        time_ns: u64,
        sees_somebody: bool,
    ) {
        if self.clock == Clock::Unknown && sees_somebody {
            self.clock = Clock::Behind(self.newest_ns.saturating_sub(time_ns));
        }
        let time_ns = match self.clock.said(time_ns) {
            Some(said_ns) => self.believed(camera, said_ns),
            None => 0,
        };
        let own = self.cameras.get_mut(&camera);
        self.now_ns = own.map_or(time_ns, |own| {
            own.time_ns = own.time_ns.max(time_ns);
            own.time_ns
        });
        self.newest_ns = self.newest_ns.max(self.now_ns);
    }

    /// Takes in a person as others have written it.
    pub fn adopt(&mut self, person: SavedPerson, authority: Authority) {
        let id = person.id;
        let mut renamed = false;
        if let Some(journal) = &mut self.journal {
            match journal.gone.get(&id) {
                // Expired here and seen there: it stays.
                Some(Fate::Expired) => {
                    journal.gone.remove(&id);
                }
                // Gone here, to be told to the others.
                Some(_) => return,
                None => {}
            }
            renamed = journal.renamed.contains(&id);
            journal.created.remove(&id);
        }
        self.admit(id, person.first_ns, person.last_ns);
        let Some(record) = self.people.get_mut(&id) else {
            return;
        };
        record.first_ns = record.first_ns.min(person.first_ns);
        record.last_ns = record.last_ns.max(person.last_ns);
        if !renamed {
            record.name = person.name;
        }
        record.previous = if authority == Authority::Whole {
            person.previous
        } else {
            united(&record.previous, &person.previous)
        };
        for other in person.apart {
            if record.apart.len() < MAX_APART {
                record.apart.insert(other, THROUGHOUT);
            }
        }
        self.adopt_rows(id, &person.rows, authority);
    }

    /// A record for a number that others have given.
    fn admit(&mut self, id: IdentityId, first_ns: u64, last_ns: u64) {
        if self.people.contains_key(&id) {
            return;
        }
        self.turn += 1;
        let mut record = Record::new(first_ns, self.turn);
        record.last_ns = last_ns;
        self.resting.insert(record.turn, id);
        self.people.insert(id, record);
        // Who crossed out the number here while others made it the one that stays is outvoted: they were first.
        if let Some(journal) = &mut self.journal {
            journal.gone.remove(&id);
        }
    }

    fn adopt_rows(&mut self, id: IdentityId, rows: &[SavedRow], authority: Authority) {
        let attached: BTreeSet<CameraId> = self.cameras.keys().copied().collect();
        let knows_better =
            |camera: &CameraId| authority == Authority::Neighbour && attached.contains(camera);
        let had_rows = self.spaces.iter().any(|space| space.rows_of(id) > 0);
        for space in &mut self.spaces {
            space.retain(id, |row| knows_better(&row.camera));
        }
        for row in rows {
            let camera = self.camera_of(&row.camera);
            if had_rows && knows_better(&camera) {
                continue;
            }
            let about = Row {
                weight: row.weight,
                camera,
                origin: row.origin,
                track: None,
                visit: None,
            };
            if let Some(space) = self.space_of(row.vector.model(), row.vector.dimension()) {
                space.put(id, about, row.vector.values());
            }
        }
    }

    /// The number of a camera that need not be attached.
    fn camera_of(&mut self, name: &Arc<str>) -> CameraId {
        if let Some(id) = self.names.id(name) {
            return id;
        }
        let id = CameraId(self.next_camera);
        self.next_camera = self.next_camera.saturating_add(1);
        self.names.insert(id, name);
        id
    }

    fn space_of(&mut self, model: ModelFingerprint, dimension: usize) -> Option<&mut Space> {
        let index = self
            .spaces
            .iter()
            .position(|s| s.model == model && s.dimension == dimension);
        let index = match index {
            Some(index) => index,
            None if self.spaces.len() < crate::identity::MAX_MODELS => {
                let prior = self.prior_of(model);
                self.spaces.push(Space::new(model, dimension, prior));
                self.spaces.len() - 1
            }
            None => return None,
        };
        self.spaces.get_mut(index)
    }

    /// Takes in that others no longer use a number. What happened is told with the next frame.
    pub fn depart(&mut self, id: IdentityId, fate: Fate) {
        if !self.people.contains_key(&id) {
            return;
        }
        match fate {
            Fate::Merged(into) => {
                let (first, last) = (self.now_ns, 0);
                self.admit(into, first, last);
                self.unite(id, into);
                // Perhaps by a user of another process.
                self.past_visits.settle(into);
            }
            Fate::Forgotten => {
                let before = std::mem::take(&mut self.events);
                let events = self.forget(id).unwrap_or_default();
                self.events = before;
                self.events.extend(events);
            }
            // In view here: it stays.
            Fate::Expired if self.people.get(&id).is_some_and(|r| r.tracks > 0) => {
                self.note_changed(id);
                return;
            }
            Fate::Expired => {
                if let Some(record) = self.people.get(&id) {
                    self.resting.remove(&record.turn);
                }
                self.erase(id);
            }
        }
        if let Some(journal) = &mut self.journal {
            journal.gone.remove(&id);
        }
    }

    /// People of this gallery that nobody keeps yet and that have looks.
    pub fn unkept(&self) -> Vec<IdentityId> {
        let Some(journal) = &self.journal else {
            return Vec::new();
        };
        let known = |id: &IdentityId| self.spaces.iter().any(|s| s.rows_of(*id) > 0);
        let mut unkept: Vec<_> = journal.created.iter().copied().filter(known).collect();
        unkept.sort_unstable();
        unkept
    }

    /// People that are kept somewhere.
    pub fn kept_people(&self) -> Vec<IdentityId> {
        let Some(journal) = &self.journal else {
            return Vec::new();
        };
        let kept = self
            .people
            .keys()
            .filter(|id| !journal.created.contains(id));
        kept.copied().collect()
    }

    /// Whom of `others` the person `id` would have been taken for, had they been known when it was enrolled.
    pub fn double_among(
        &self,
        id: IdentityId,
        others: &BTreeSet<IdentityId>,
    ) -> Option<IdentityId> {
        let record = self.people.get(&id)?;
        let space = self.spaces.iter().find(|s| s.rows_of(id) > 0)?;
        let mut scorer = Scorer::new(&space.scale, self.config.match_threshold);
        let limit = scorer.limit(against_one_of(others.len()));
        let wanted = |other: &&IdentityId| **other != id && !record.apart.contains_key(*other);
        let scored = others.iter().filter(wanted).filter_map(|&other| {
            let (score, left) = space.score(id, other, scorer.is_fixed())?;
            scorer.keep_common(&space.scale, left);
            Some((scorer.deviations(score), other))
        });
        let best = scored.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        best.filter(|(above, _)| *above > limit).map(|best| best.1)
    }

    /// Makes one person of two after all. What happened is told with the next frame.
    pub fn agree(&mut self, from: IdentityId, into: IdentityId) {
        if from != into && self.people.contains_key(&from) && self.people.contains_key(&into) {
            self.unite(from, into);
        }
    }

    /// Gives people with numbers of this gallery's own making ones that were set aside, as far as there are any.
    /// What happened is told with the next frame.
    pub fn replace_provisional(&mut self) {
        let mut provisional: Vec<IdentityId> = self
            .people
            .keys()
            .copied()
            .filter(|id| id.0 >= PROVISIONAL)
            .collect();
        provisional.sort_unstable();
        for id in provisional {
            if self.reserved_numbers() == 0 {
                return;
            }
            if let Some(new) = self.next_identity() {
                self.unite(id, new);
                if self.people.get(&new).is_some_and(|r| r.tracks == 0) {
                    self.rest(new);
                }
            }
        }
    }
}

/// Former numbers of both, the newest at most.
fn united(ours: &Arc<[IdentityId]>, theirs: &[IdentityId]) -> Arc<[IdentityId]> {
    let mut all: Vec<IdentityId> = theirs.to_vec();
    all.extend(ours.iter().filter(|id| !theirs.contains(id)));
    let skip = all.len().saturating_sub(MAX_PREVIOUS);
    all[skip..].into()
}
