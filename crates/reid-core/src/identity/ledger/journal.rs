//! What changed in a gallery since somebody last asked: plain data for whoever keeps the gallery.
//!
//! The streaming thread only notes *who* changed; what they look like by then is copied out later, a few people at a
//! time, by the thread that writes. So noting costs a set insertion, several changes of one person between two writes are
//! one, and a slow store makes nothing grow beyond the people that are known, [`MAX_SPANS`] sightings and
//! [`super::MAX_THUMBNAILS`] pictures.
//!
//! Long because all that is written down for a store, and how it is taken back on failure, is one list of cases.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Range,
    sync::Arc,
};

use crate::identity::{
    CameraId, Event, Gallery, MAX_NUMBER,
    thumbnails::{SavedThumbnail, Thumbnails},
    variation::SavedVariation,
    visit::TrackKey,
};
use crate::{
    embedding::{Embedding, ModelFingerprint},
    person::IdentityId,
    scores::ScoreScale,
};

/// Most sightings that wait to be written; beyond, later ones lengthen earlier ones.
pub const MAX_SPANS: usize = 10_000;
/// Most parts of people that wait to be given to others.
const MAX_MOVES: usize = 10_000;
/// A person that a camera has not seen for this long, ns, and then sees again, begins another sighting.
const GAP_NS: u64 = 5_000_000_000;
/// Most names of cameras that are remembered.
const MAX_CAMERA_NAMES: usize = 10_000;
/// Numbers from here on are given where no others are set aside, and replaced when there are.
pub const PROVISIONAL: u32 = 1 << 30;

/// A row of a person as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedRow {
    /// The camera that it came from.
    pub camera: Arc<str>,
    /// The identity under which it was recorded.
    pub origin: IdentityId,
    /// How much good crops stand behind it.
    pub weight: f32,
    /// What the person looks like there.
    pub vector: Embedding,
}

/// A person as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedPerson {
    /// The number.
    pub id: IdentityId,
    /// The name, if one was given.
    pub name: Option<Arc<str>>,
    /// Numbers it carried before merges, oldest first.
    pub previous: Arc<[IdentityId]>,
    /// Who is certainly somebody else.
    pub apart: Vec<IdentityId>,
    /// First seen, ns of the gallery's time.
    pub first_ns: u64,
    /// Last seen, ns of the gallery's time.
    pub last_ns: u64,
    /// What it looks like.
    pub rows: Vec<SavedRow>,
    /// Nobody has kept it before.
    pub is_new: bool,
}

/// One stay of a person in the view of a camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedSighting {
    /// Who.
    pub id: IdentityId,
    /// Where.
    pub camera: Arc<str>,
    /// From when, ns of the gallery's time. With person and camera this names the sighting.
    pub from_ns: u64,
    /// Until when, ns.
    pub to_ns: u64,
}

/// What the scores of a model have been learnt to mean.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedScale {
    /// The model.
    pub model: ModelFingerprint,
    /// Numbers in its vectors.
    pub dimension: usize,
    /// What its cosines mean.
    pub scale: ScoreScale,
    /// In which directions its vectors vary within visits; `None` where that is not known.
    pub variation: Option<Arc<SavedVariation>>,
}

/// Why a number is no longer used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is the same person as another number.
    Merged(IdentityId),
    /// Not seen for too long, or crowded out.
    Expired,
    /// A user asked for it: nothing may be left.
    Forgotten,
}

/// What of a person turned out to be somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// What this camera saw: sightings, and the picture if it came from there.
    Camera(Arc<str>),
    /// The picture, if it was taken under this number.
    Origin(IdentityId),
    /// The picture.
    Picture,
}

/// A part of `from` that is kept and belongs to `into`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Whose it was.
    pub from: IdentityId,
    /// Whose it is.
    pub into: IdentityId,
    /// What.
    pub part: Part,
}

/// What is to be written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// People as they are now.
    pub people: Vec<SavedPerson>,
    /// What goes from one person to another: in this order, before anybody in `gone` goes.
    pub moves: Vec<Move>,
    /// Numbers that are no longer used.
    pub gone: Vec<(IdentityId, Fate)>,
    /// Stays that began or became longer.
    pub sightings: Vec<SavedSighting>,
    /// Pictures of people, to be kept where they are better than the one there.
    pub thumbnails: Vec<(IdentityId, SavedThumbnail)>,
    /// What scores mean by now.
    pub scales: Vec<SavedScale>,
    /// The next number that would be given.
    pub next_number: u32,
}

impl Changes {
    /// True when there is nothing to write but what scores mean.
    pub fn is_empty(&self) -> bool {
        let no_people = self.people.is_empty() && self.gone.is_empty();
        no_people
            && self.sightings.is_empty()
            && self.thumbnails.is_empty()
            && self.moves.is_empty()
    }
}

/// Notes who changed.
#[derive(Clone, Debug, Default)]
pub(in crate::identity) struct Journal {
    pub touched: BTreeSet<IdentityId>,
    /// Of those, the ones that a user gave another name.
    pub renamed: BTreeSet<IdentityId>,
    /// People that nobody keeps yet.
    pub created: BTreeSet<IdentityId>,
    pub gone: BTreeMap<IdentityId, Fate>,
    moves: Vec<Move>,
    /// Stays to be written: until when.
    spans: BTreeMap<(IdentityId, CameraId, u64), u64>,
    /// Stays that may go on: from when, until when.
    open: BTreeMap<(IdentityId, CameraId), Range<u64>>,
    /// Numbers set aside for this gallery.
    pub reserved: VecDeque<Range<u32>>,
    pub thumbnails: Thumbnails,
}

impl Journal {
    pub fn seen(&mut self, id: IdentityId, camera: CameraId, now_ns: u64) {
        self.touched.insert(id);
        let stay = self.open.entry((id, camera)).or_insert(now_ns..now_ns);
        if now_ns.saturating_sub(stay.end) > GAP_NS {
            *stay = now_ns..now_ns;
        }
        stay.end = stay.end.max(now_ns);
        let stay = stay.clone();
        self.note_span(id, camera, &stay);
    }

    fn note_span(&mut self, id: IdentityId, camera: CameraId, stay: &Range<u64>) {
        let key = (id, camera, stay.start);
        if let Some(to) = self.spans.get_mut(&key) {
            *to = (*to).max(stay.end);
            return;
        }
        if self.spans.len() >= MAX_SPANS {
            let earlier = self
                .spans
                .range_mut((id, camera, 0)..=(id, camera, u64::MAX))
                .next_back();
            if let Some((_, to)) = earlier {
                *to = (*to).max(stay.end);
                return;
            }
            self.spans.pop_first();
        }
        self.spans.insert(key, stay.end);
    }

    #[cfg(test)]
    pub fn pending_spans(&self) -> usize {
        self.spans.len()
    }

    /// Forgets that a person was anywhere.
    fn drop_person(&mut self, id: IdentityId) {
        self.touched.remove(&id);
        self.renamed.remove(&id);
        self.thumbnails.drop_person(id);
        self.open.retain(|key, _| key.0 != id);
        let spans: Vec<_> = self.spans_of(id).map(|(key, _)| key).collect();
        for key in spans {
            self.spans.remove(&key);
        }
    }

    fn spans_of(
        &self,
        id: IdentityId,
    ) -> impl Iterator<Item = ((IdentityId, CameraId, u64), u64)> + '_ {
        self.spans
            .range((id, CameraId(0), 0)..=(id, CameraId(u32::MAX), u64::MAX))
            .map(|(key, to)| (*key, *to))
    }

    fn merged(&mut self, from: IdentityId, into: IdentityId) {
        let spans: Vec<_> = self.spans_of(from).collect();
        let open: Vec<_> = self
            .open
            .iter()
            .filter(|(key, _)| key.0 == from)
            .map(|(key, stay)| (key.1, stay.clone()))
            .collect();
        self.thumbnails.merged(from, into);
        self.drop_person(from);
        for ((_, camera, start), end) in spans {
            self.note_span(into, camera, &(start..end));
        }
        for (camera, stay) in open {
            self.open.entry((into, camera)).or_insert(stay);
        }
        self.created.remove(&from);
        let heirs = self.gone.values_mut();
        heirs
            .filter(|fate| **fate == Fate::Merged(from))
            .for_each(|fate| *fate = Fate::Merged(into));
        self.gone.insert(from, Fate::Merged(into));
        self.touched.insert(into);
    }

    /// What a camera saw of a person is another's.
    fn split(&mut self, from: IdentityId, into: IdentityId, camera: CameraId) {
        let stays = self.spans_of(from);
        let stays: Vec<_> = stays.filter(|((_, own, _), _)| *own == camera).collect();
        for (key, end) in stays {
            self.spans.remove(&key);
            self.note_span(into, camera, &(key.2..end));
        }
        if let Some(stay) = self.open.remove(&(from, camera)) {
            self.open.insert((into, camera), stay);
        }
    }

    /// What is kept of a person, and of those that became one with it since the last time, goes to another.
    fn moved(&mut self, from: IdentityId, into: IdentityId, part: &Part) {
        let merged = self.gone.iter();
        let merged = merged.filter(|(_, fate)| **fate == Fate::Merged(from));
        let all: Vec<_> = merged.map(|(id, _)| *id).chain([from]).collect();
        for from in all {
            let part = part.clone();
            self.moves.push(Move { from, into, part });
        }
        // A store that is away for that long loses track of the oldest.
        let skip = self.moves.len().saturating_sub(MAX_MOVES);
        self.moves.drain(..skip);
        self.thumbnails.moved(from, into, part);
    }

    fn left(&mut self, id: IdentityId, fate: Fate) {
        self.drop_person(id);
        // What nobody ever kept need not be erased anywhere.
        let owns = self.moves.iter().any(|moved| moved.into == id);
        if !self.created.remove(&id) || owns {
            self.gone.insert(id, fate);
        }
    }
}

/// What cameras are called, also those that are gone: rows and sightings outlive them.
#[derive(Clone, Debug, Default)]
pub(in crate::identity) struct CameraNames {
    by_name: BTreeMap<Arc<str>, CameraId>,
    by_id: BTreeMap<CameraId, Arc<str>>,
}

impl CameraNames {
    pub fn id(&self, name: &str) -> Option<CameraId> {
        self.by_name.get(name).copied()
    }

    pub fn name(&self, id: CameraId) -> Arc<str> {
        self.by_id.get(&id).cloned().unwrap_or_else(|| "".into())
    }

    pub fn insert(&mut self, id: CameraId, name: &Arc<str>) {
        if self.by_id.len() < MAX_CAMERA_NAMES {
            self.by_name.insert(name.clone(), id);
            self.by_id.insert(id, name.clone());
        }
    }
}

// What the gallery tells its journal, if it keeps one.
impl Gallery {
    pub(in crate::identity) fn note_seen(&mut self, id: IdentityId, camera: CameraId) {
        let now = self.now_ns;
        if let Some(journal) = &mut self.journal {
            journal.seen(id, camera, now);
        }
    }

    pub(in crate::identity) fn note_changed(&mut self, id: IdentityId) {
        if let Some(journal) = &mut self.journal {
            journal.touched.insert(id);
        }
    }

    pub(in crate::identity) fn note_renamed(&mut self, id: IdentityId) {
        if let Some(journal) = &mut self.journal {
            journal.touched.insert(id);
            journal.renamed.insert(id);
        }
    }

    pub(in crate::identity) fn note_created(&mut self, id: IdentityId) {
        if let Some(journal) = &mut self.journal {
            journal.created.insert(id);
        }
    }

    pub(in crate::identity) fn note_merged(&mut self, from: IdentityId, into: IdentityId) {
        if let Some(journal) = &mut self.journal {
            journal.merged(from, into);
        }
    }

    /// What a camera saw of a person, or what was recorded under another number, became somebody new.
    pub(in crate::identity) fn note_split(
        &mut self,
        from: IdentityId,
        into: IdentityId,
        camera: Option<CameraId>,
        origin: Option<IdentityId>,
    ) {
        let name = camera.map(|camera| self.names.name(camera));
        let Some(journal) = &mut self.journal else {
            return;
        };
        if let (Some(camera), Some(name)) = (camera, name) {
            journal.split(from, into, camera);
            journal.moved(from, into, &Part::Camera(name));
        }
        if let Some(origin) = origin {
            journal.moved(from, into, &Part::Origin(origin));
        }
    }

    /// A track that carried a number by mistake takes its picture along.
    pub(in crate::identity) fn note_parted(
        &mut self,
        track: TrackKey,
        from: IdentityId,
        into: IdentityId,
    ) {
        if let Some(journal) = &mut self.journal
            && journal.thumbnails.shows(from, track)
        {
            journal.moved(from, into, &Part::Picture);
        }
    }

    /// A former id turned out to be another person's than was told; where that still waits to be written, this is written.
    pub(in crate::identity) fn note_heir(&mut self, former: IdentityId, into: IdentityId) {
        if let Some(journal) = &mut self.journal
            && let Some(fate) = journal.gone.get_mut(&former)
        {
            *fate = Fate::Merged(into);
        }
    }

    pub(in crate::identity) fn note_left(&mut self, id: IdentityId, fate: Fate) {
        if let Some(journal) = &mut self.journal {
            journal.left(id, fate);
        }
    }

    /// The number of the next person: one that was set aside, else the next. `None` when there are none left.
    pub(in crate::identity) fn next_number(&mut self) -> Option<IdentityId> {
        if let Some(journal) = &mut self.journal {
            while let Some(range) = journal.reserved.front_mut() {
                match range.next() {
                    Some(number) => return Some(IdentityId(number)),
                    None => journal.reserved.pop_front(),
                };
            }
        }
        if self.next_number > MAX_NUMBER {
            return None;
        }
        self.next_number += 1;
        Some(IdentityId(self.next_number - 1))
    }
}

// What whoever keeps the gallery asks for.
impl Gallery {
    /// From now on changes are noted, to be taken out with [`Self::take_changes`].
    pub fn keep_journal(&mut self) {
        self.journal.get_or_insert_default();
    }

    /// Whether there is anything to write.
    pub fn has_changes(&self) -> bool {
        let journal = self.journal.as_ref();
        journal.is_some_and(|j| {
            let no_people = j.touched.is_empty() && j.gone.is_empty();
            let nothing_of_them = j.spans.is_empty() && j.thumbnails.is_empty();
            !(no_people && nothing_of_them && j.moves.is_empty())
        })
    }

    /// Whether others wait to be told: of somebody whom they do not know yet, or whom they still do.
    pub fn is_urgent(&self) -> bool {
        let gone = self.journal.as_ref().is_some_and(|j| !j.gone.is_empty());
        gone || !self.unkept().is_empty()
    }

    /// The next number that would be given if none were set aside.
    pub fn upcoming_number(&self) -> u32 {
        self.next_number
    }

    /// How many numbers are set aside.
    pub fn reserved_numbers(&self) -> u32 {
        let Some(journal) = &self.journal else {
            return 0;
        };
        journal.reserved.iter().map(|r| r.end - r.start).sum()
    }

    /// The first number that is set aside and not given yet.
    pub fn first_reserved(&self) -> Option<u32> {
        let journal = self.journal.as_ref()?;
        let mut left = journal.reserved.iter().filter(|r| !r.is_empty());
        left.next().map(|range| range.start)
    }

    /// How many people carry numbers of this gallery's own making.
    pub fn provisional_people(&self) -> u32 {
        let own = self.people.keys().filter(|id| id.0 >= PROVISIONAL);
        u32::try_from(own.count()).unwrap_or(u32::MAX)
    }

    /// Sets numbers aside for this gallery, which nobody else may give.
    pub fn reserve_numbers(&mut self, numbers: Range<u32>) {
        if let Some(journal) = &mut self.journal {
            journal.reserved.push_back(numbers);
        }
    }

    /// Where no numbers are set aside, they are given from `first` on.
    pub fn number_from(&mut self, first: u32) {
        self.next_number = first;
    }

    /// What changed since the last time, at most `people` people of it; the rest stays for the next time.
    pub fn take_changes(&mut self, people: usize) -> Changes {
        let Some(mut journal) = self.journal.take() else {
            return Changes::default();
        };
        let mut changes = Changes {
            next_number: self.next_number,
            scales: self.saved_scales(),
            moves: std::mem::take(&mut journal.moves),
            gone: std::mem::take(&mut journal.gone).into_iter().collect(),
            ..Changes::default()
        };
        while changes.people.len() < people {
            let Some(id) = journal.touched.pop_first() else {
                break;
            };
            journal.renamed.remove(&id);
            let Some(mut person) = self.saved(id) else {
                continue;
            };
            // Nobody could recognise a person without looks or name, so nobody needs to be told of one.
            let faceless = person.rows.is_empty() && person.name.is_none();
            if faceless && journal.created.contains(&id) {
                continue;
            }
            person.is_new = journal.created.remove(&id);
            changes.people.push(person);
        }
        changes.sightings = self.take_sightings(&mut journal);
        let mut thumbnails = std::mem::take(&mut journal.thumbnails);
        changes.thumbnails = thumbnails.take(|id| self.is_kept(&journal, id));
        journal.thumbnails = thumbnails;
        let now = self.now_ns;
        journal
            .open
            .retain(|_, stay| now.saturating_sub(stay.end) <= GAP_NS);
        self.journal = Some(journal);
        changes
    }

    /// Whether nothing of a person waits to be written.
    fn is_kept(&self, journal: &Journal, id: IdentityId) -> bool {
        let waits = journal.touched.contains(&id) || journal.created.contains(&id);
        self.people.contains_key(&id) && !waits
    }

    /// Stays of people that are kept; those of others wait until they are.
    fn take_sightings(&self, journal: &mut Journal) -> Vec<SavedSighting> {
        let mut taken = Vec::new();
        let waits = |id: &IdentityId| journal.touched.contains(id) || journal.created.contains(id);
        journal.spans.retain(|&(id, camera, from_ns), &mut to_ns| {
            let known = self.people.contains_key(&id);
            if known && !waits(&id) {
                taken.push(SavedSighting {
                    id,
                    camera: self.names.name(camera),
                    from_ns,
                    to_ns,
                });
            }
            known && waits(&id)
        });
        taken
    }

    /// Takes back what could not be written: it will be taken again, as it is by then.
    pub fn put_back(&mut self, changes: &Changes) {
        let Some(mut journal) = self.journal.take() else {
            return;
        };
        for person in &changes.people {
            if self.people.contains_key(&person.id) {
                journal.touched.insert(person.id);
                if person.name.is_some() {
                    journal.renamed.insert(person.id);
                }
                if person.is_new {
                    journal.created.insert(person.id);
                }
            }
        }
        journal.moves.splice(..0, changes.moves.iter().cloned());
        for &(id, fate) in &changes.gone {
            if !self.people.contains_key(&id) {
                journal.gone.entry(id).or_insert(fate);
            }
        }
        for sighting in &changes.sightings {
            let id = follow(&journal.gone, sighting.id);
            if let Some(camera) = self.names.id(&sighting.camera) {
                let stay = sighting.from_ns..sighting.to_ns;
                journal.note_span(id, camera, &stay);
            }
        }
        for (id, thumbnail) in &changes.thumbnails {
            let id = follow(&journal.gone, *id);
            if self.people.contains_key(&id) {
                journal.thumbnails.offer(id, thumbnail.clone(), None);
            }
        }
        self.journal = Some(journal);
    }

    /// A person as it is now.
    pub(in crate::identity) fn saved(&self, id: IdentityId) -> Option<SavedPerson> {
        let record = self.people.get(&id)?;
        let rows = self.spaces.iter().flat_map(|space| {
            space.rows(id).filter_map(|(about, values)| {
                Some(SavedRow {
                    camera: self.names.name(about.camera),
                    origin: about.origin,
                    weight: about.weight,
                    vector: Embedding::normalised(&values, space.model).ok()?,
                })
            })
        });
        Some(SavedPerson {
            id,
            name: record.name.clone(),
            previous: record.previous.clone(),
            apart: record.apart.keys().copied().collect(),
            first_ns: record.first_ns,
            last_ns: record.last_ns,
            rows: rows.collect(),
            is_new: false,
        })
    }

    fn saved_scales(&self) -> Vec<SavedScale> {
        let saved = self.spaces.iter().map(|space| SavedScale {
            model: space.model,
            dimension: space.dimension,
            scale: space.scale,
            variation: space.variation.saved(),
        });
        saved.collect()
    }

    /// What happened outside of any frame; told with the next frame otherwise.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}

/// Whom a number means after the merges that are still to be written.
fn follow(gone: &BTreeMap<IdentityId, Fate>, id: IdentityId) -> IdentityId {
    match gone.get(&id) {
        Some(Fate::Merged(into)) => *into,
        _ => id,
    }
}
