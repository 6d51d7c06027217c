//! Known people, for lists and pages; never a vector.
//!
//! The running gallery has the people; a stored gallery's database has their sightings, also before this start; for a gallery in memory
//! the program's own record of visits is used.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use gstreid::store::{
    KeptPerson, Location,
    archive::{Archive, ArchiveError, Purpose},
    registry::SharedGallery,
};
use serde::Deserialize;

use super::Site;
use crate::{
    people::{Card, Pictures, visits_of},
    run::{
        board::{colour, lock},
        percent::encoded,
        visits::Visit,
    },
};

/// For how long an answer of the database is used again.
const FRESH: Duration = Duration::from_secs(2);
/// People on a page unless another number is asked for, and at most.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1_000;

/// Which people, and in which order.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Seen by this camera.
    pub camera: String,
    /// A part of the name, or the id with or without P.
    pub text: String,
    /// Seen within this many hours.
    pub hours: Option<f64>,
    /// `recent` (default), `first`, `name` or `id`.
    pub sort: String,
    /// People to pass over.
    pub offset: usize,
    /// Most people.
    pub limit: Option<usize>,
}

impl Filter {
    fn takes(&self, card: &Card, now_ns: i64) -> bool {
        let text = self.text.trim().to_lowercase();
        let id = card.id.to_string();
        let is_named = card.title().to_lowercase().contains(&text)
            || text.strip_prefix('p').unwrap_or(&text) == id;
        let is_there = self.camera.is_empty() || card.cameras.contains(&self.camera);
        let is_new = self
            .hours
            .filter(|hours| hours.is_finite())
            .is_none_or(|hours| {
                let since = now_ns.saturating_sub((hours * 3.6e12) as i64);
                card.last_seen_ns.is_some_and(|last| last >= since)
            });
        (text.is_empty() || is_named) && is_there && is_new
    }

    /// As the query of an address, without offset and limit.
    pub fn query(&self) -> String {
        let mut query = format!(
            "sort={}&text={}&camera={}",
            encoded(&self.sort),
            encoded(&self.text),
            encoded(&self.camera)
        );
        if let Some(hours) = self.hours {
            query += &format!("&hours={hours}");
        }
        query
    }

    /// Those whom it takes, in order.
    pub fn sorted(&self, mut cards: Vec<Card>, now_ns: i64) -> Vec<Card> {
        cards.retain(|card| self.takes(card, now_ns));
        match self.sort.as_str() {
            "id" => cards.sort_by_key(|card| card.id),
            "name" => cards.sort_by_cached_key(|card| {
                (card.name.is_none(), card.title().to_lowercase(), card.id)
            }),
            "first" => cards.sort_by_key(|card| (card.first_seen_ns, card.id)),
            _ => cards
                .sort_by_key(|card| std::cmp::Reverse((card.active, card.last_seen_ns, card.id))),
        }
        cards
    }

    /// Likewise, within `offset` and `limit`; and how many there are.
    pub fn select(&self, cards: Vec<Card>, now_ns: i64) -> (Vec<Card>, usize) {
        let cards = self.sorted(cards, now_ns);
        let total = cards.len();
        let limit = self.limit.unwrap_or(PAGE).min(MAX_PAGE);
        let page = cards.into_iter().skip(self.offset).take(limit).collect();
        (page, total)
    }
}

/// What the database said last.
#[derive(Default)]
pub struct KeptCache(Mutex<Option<(Instant, Location, Arc<Kept>)>>);

/// What a database keeps of everybody.
#[derive(Default)]
pub struct Kept {
    people: BTreeMap<u32, KeptPerson>,
    visits: BTreeMap<u32, Vec<Visit>>,
    /// Why it could not be read.
    pub error: Option<String>,
}

impl KeptCache {
    /// Reads the database, at most every two seconds; `None` for a gallery in memory. Blocks.
    pub fn read(&self, gallery: &SharedGallery) -> Option<Arc<Kept>> {
        let location = gallery.location();
        if *location == Location::Memory {
            return None;
        }
        let mut cache = lock(&self.0);
        if let Some((when, place, kept)) = &*cache
            && when.elapsed() < FRESH
            && place == location
        {
            return Some(kept.clone());
        }
        let kept = read(location).unwrap_or_else(|error| Kept {
            error: Some(error.to_string()),
            ..Kept::default()
        });
        let kept = Arc::new(kept);
        *cache = Some((Instant::now(), location.clone(), kept.clone()));
        Some(kept)
    }

    /// Somebody was changed: the next answer is read again.
    pub fn drop_answer(&self) {
        *lock(&self.0) = None;
    }
}

fn read(location: &Location) -> Result<Kept, ArchiveError> {
    let mut archive = Archive::open(location, Purpose::Look)?;
    let mut kept = Kept::default();
    for person in archive.list()? {
        kept.people.insert(person.id, person);
    }
    kept.visits = visits_of(archive.sightings()?);
    Ok(kept)
}

/// Everybody. Blocks while a database is read.
pub fn all(site: &Site) -> Vec<Card> {
    let gallery = site.gallery();
    let people = gallery.lock().list();
    let kept = site.kept.read(&gallery);
    let has_pictures = site.board.setup().thumbnails;
    let visits = lock(&site.board.visits);
    let card = |person: gstreid::core::identity::PersonFacts| {
        let id = person.id.0;
        let known = kept.as_ref().and_then(|kept| kept.people.get(&id));
        let kept_visits = kept.as_ref().and_then(|kept| kept.visits.get(&id));
        let visits = kept_visits.cloned().unwrap_or_else(|| visits.of(id));
        let mut cameras: BTreeSet<String> = visits
            .iter()
            .map(|visit| visit.camera.to_string())
            .collect();
        cameras.extend(known.iter().flat_map(|known| known.cameras.iter().cloned()));
        Card {
            id,
            name: person.name.map(|name| name.to_string()),
            colour: colour(id),
            active: person.active,
            cameras,
            first_seen_ns: known
                .map(|known| known.first_seen_ns)
                .or_else(|| visits.iter().map(|visit| visit.from_ns).min()),
            last_seen_ns: visits
                .iter()
                .map(|visit| visit.to_ns)
                .chain(known.map(|known| known.last_seen_ns))
                .max(),
            previous_ids: person.previous.iter().map(|id| id.0).collect(),
            has_picture: has_pictures,
            visits,
        }
    };
    people.into_iter().map(card).collect()
}

/// One person; the id before a merge finds the merged person.
pub fn one(site: &Site, id: u32) -> Option<Card> {
    let mut cards = all(site);
    let at = cards.iter().position(|card| card.id == id).or_else(|| {
        cards
            .iter()
            .position(|card| card.previous_ids.contains(&id))
    })?;
    Some(cards.swap_remove(at))
}

/// A person's picture, the bytes of a JPEG file. Blocks.
pub fn picture(site: &Site, id: u32) -> Option<Vec<u8>> {
    let gallery = site.gallery();
    if *gallery.location() == Location::Memory {
        return None;
    }
    let mut archive = Archive::open(gallery.location(), Purpose::Look).ok()?;
    archive.thumbnail(id).ok()
}

/// The pictures that are kept of these people. Blocks.
pub fn pictures(site: &Site, cards: &[Card]) -> Pictures {
    let gallery = site.gallery();
    let has_pictures = site.board.setup().thumbnails && *gallery.location() != Location::Memory;
    let archive = has_pictures.then(|| Archive::open(gallery.location(), Purpose::Look));
    // A database that cannot be read now costs the report its pictures only.
    let Some(Ok(mut archive)) = archive else {
        return Pictures::new();
    };
    let picture = |card: &Card| {
        let jpeg = archive.thumbnail_if_kept(card.id).ok()??;
        Some((card.id, jpeg))
    };
    cards.iter().filter_map(picture).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(id: u32, name: Option<&str>, camera: &str, last_seen_ns: i64) -> Card {
        Card {
            id,
            name: name.map(str::to_owned),
            colour: colour(id),
            active: false,
            cameras: BTreeSet::from([camera.to_owned()]),
            first_seen_ns: Some(0),
            last_seen_ns: Some(last_seen_ns),
            previous_ids: Vec::new(),
            has_picture: false,
            visits: Vec::new(),
        }
    }

    fn selected(filter: Filter) -> Vec<u32> {
        let hour = 3_600_000_000_000;
        let cards = vec![
            card(1, Some("Ada"), "door", hour),
            card(2, None, "hall", 9 * hour),
            card(12, Some("Bea"), "hall", 5 * hour),
        ];
        let (cards, _) = filter.select(cards, 10 * hour);
        cards.iter().map(|card| card.id).collect()
    }

    #[test]
    fn people_are_filtered_and_sorted() {
        let filter = Filter::default;
        assert_eq!(selected(filter()), [2, 12, 1]);
        let text = |text: &str| Filter {
            text: text.into(),
            ..filter()
        };
        assert_eq!(selected(text("ada")), [1]);
        assert_eq!(selected(text("P2")), [2]);
        assert_eq!(selected(text("12")), [12]);
        let camera = Filter {
            camera: "hall".into(),
            sort: "id".into(),
            ..filter()
        };
        assert_eq!(selected(camera), [2, 12]);
        let hours = Filter {
            hours: Some(2.0),
            ..filter()
        };
        assert_eq!(selected(hours), [2]);
        let name = Filter {
            sort: "name".into(),
            limit: Some(2),
            ..filter()
        };
        assert_eq!(selected(name), [1, 12]);
    }
}
