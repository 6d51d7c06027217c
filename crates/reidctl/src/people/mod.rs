//! People as they are shown: by the page of `reidctl run` and in the report of `reidctl gallery report --html`, from the same
//! templates.

mod report;
mod templates;
mod timeline;

use std::collections::{BTreeMap, BTreeSet};

use gstreid::store::{KeptPerson, KeptSighting};
use serde::Serialize;

pub use report::{Pictures, report};
pub use templates::{Place, STYLE, cards, count, dot, small, visits};
pub use timeline::{of_cameras, of_people};

use crate::run::{board::colour, visits::Visit};

/// A person.
#[derive(Clone, Debug, Serialize)]
pub struct Card {
    /// The id.
    pub id: u32,
    /// The name, if one was given.
    pub name: Option<String>,
    /// The colour in every picture, `#rrggbb`.
    pub colour: String,
    /// In view of a camera now.
    pub active: bool,
    /// Cameras that saw the person.
    pub cameras: BTreeSet<String>,
    /// First seen, ns since 1970.
    pub first_seen_ns: Option<i64>,
    /// Last seen, ns since 1970.
    pub last_seen_ns: Option<i64>,
    /// Ids before merges, oldest first.
    pub previous_ids: Vec<u32>,
    /// Whether a picture may be kept.
    pub has_picture: bool,
    /// Where and when, oldest first.
    #[serde(skip)]
    pub visits: Vec<Visit>,
}

impl Card {
    /// The name, else the id.
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("P{}", self.id))
    }

    /// Everybody of a stored gallery, with their visits: the last seen first.
    pub fn of_stored(people: Vec<KeptPerson>, sightings: Vec<KeptSighting>) -> Vec<Self> {
        let mut visits = visits_of(sightings);
        let card = |person: KeptPerson| Self {
            id: person.id,
            name: person.name,
            colour: colour(person.id),
            active: false,
            cameras: person.cameras.into_iter().collect(),
            first_seen_ns: Some(person.first_seen_ns),
            last_seen_ns: Some(person.last_seen_ns),
            previous_ids: person.previous_ids,
            has_picture: true,
            visits: visits.remove(&person.id).unwrap_or_default(),
        };
        let mut cards: Vec<Self> = people.into_iter().map(card).collect();
        cards.sort_by_key(|card| std::cmp::Reverse((card.last_seen_ns, card.id)));
        cards
    }
}

/// The visits of each person, in the order of the sightings.
pub fn visits_of(sightings: Vec<KeptSighting>) -> BTreeMap<u32, Vec<Visit>> {
    let mut visits = BTreeMap::<u32, Vec<Visit>>::new();
    for sighting in sightings {
        visits.entry(sighting.id).or_default().push(Visit {
            camera: sighting.camera.into(),
            from_ns: sighting.from_ns,
            to_ns: sighting.to_ns,
        });
    }
    visits
}
