//! A person as HTML.

use maud::{Markup, html};

use super::{Card, report::Pictures};
use crate::{gallery::date, html::jpeg_address};

/// How the page and the report look: light and dark, wide and narrow.
pub const STYLE: &str = include_str!("style.css");

/// Where a template is used: it decides what links and pictures refer to.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    /// The page of a running program.
    Page,
    /// A file without anything beside it; it holds these pictures.
    File(&'a Pictures),
}

impl Place<'_> {
    /// Where more is said about a person.
    pub fn person(self, id: u32) -> String {
        match self {
            Self::Page => format!("/people/{id}"),
            Self::File(_) => format!("#P{id}"),
        }
    }

    /// A person's picture, if there may be one.
    fn picture(self, card: &Card) -> Option<String> {
        match self {
            Self::Page => card
                .has_picture
                .then(|| format!("/api/people/{}/picture", card.id)),
            Self::File(pictures) => pictures.get(&card.id).map(|jpeg| jpeg_address(jpeg)),
        }
    }
}

/// How many people.
pub fn count(people: usize) -> String {
    match people {
        1 => "1 person".into(),
        _ => format!("{people} people"),
    }
}

/// A dot in a person's colour.
pub fn dot(colour: &str) -> Markup {
    html! {
        svg.dot viewBox="0 0 10 10" aria-hidden="true" { circle cx="5" cy="5" r="5" fill=(colour) {} }
    }
}

/// A card for each person.
pub fn cards(people: &[Card], place: Place<'_>) -> Markup {
    html! { div.cards { @for card in people { (small(card, place)) } } }
}

/// A person's card; in a file with their visits.
pub fn small(card: &Card, place: Place<'_>) -> Markup {
    let cameras: Vec<&str> = card.cameras.iter().map(String::as_str).collect();
    html! {
        article.card id=(format!("P{}", card.id)) {
            @if let Some(address) = place.picture(card) {
                img src=(address) alt="" width="48" height="96" loading="lazy";
            }
            div {
                h3 { (dot(&card.colour)) a href=(place.person(card.id)) { (card.title()) } }
                @if card.name.is_some() { p { "P" (card.id) } }
                p { (cameras.join(", ")) }
                p { @if card.active { "in view" } @else if let Some(last) = card.last_seen_ns { "last " (date(last)) } }
                @if let Some(first) = card.first_seen_ns { p { "first " (date(first)) } }
                @if matches!(place, Place::File(_)) && !card.visits.is_empty() {
                    details { summary { "Visits: " (card.visits.len()) } (visits(card)) }
                }
            }
        }
    }
}

/// Where and when, the newest first.
pub fn visits(card: &Card) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label=(format!("Visits of {}", card.title())) { table {
            thead { tr { th { "From" } th { "To" } th { "Camera" } th { "Seconds" } } }
            tbody {
                @for visit in card.visits.iter().rev() {
                    tr {
                        td { (date(visit.from_ns)) } td { (date(visit.to_ns)) } td { (visit.camera) }
                        td { (format!("{:.1}", (visit.to_ns - visit.from_ns) as f64 / 1e9)) }
                    }
                }
            }
        } }
    }
}
