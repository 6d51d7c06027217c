//! The people of a gallery in one HTML file that refers to nothing outside.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{Card, Place, STYLE, cards, count, of_people};
use crate::{gallery::date, html::page_with};

/// JPEG files, by id.
pub type Pictures = BTreeMap<u32, Vec<u8>>;

/// The report on `people`, whose gallery lies at `location`, at a time, ns since 1970.
pub fn report(people: &[Card], pictures: &Pictures, location: &str, now_ns: i64) -> Markup {
    let body = html! { main {
        h1 { "People" }
        p { (count(people.len())) " of " (location) " on " (date(now_ns)) ". Protect this file as you protect the gallery." }
        h2 { "Time line" }
        (of_people(people))
        h2 { "Cards" }
        (cards(people, Place::File(pictures)))
    } };
    page_with("People", STYLE, &body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::visits::Visit;

    #[test]
    fn a_report_holds_everything_and_refers_to_nothing_outside() {
        let hour = 3_600_000_000_000;
        let visit = Visit {
            camera: "door".into(),
            from_ns: hour,
            to_ns: 2 * hour,
        };
        let card = Card {
            id: 7,
            name: Some("Ada <b>".into()),
            colour: "#123456".into(),
            active: false,
            cameras: ["door".to_owned()].into(),
            first_seen_ns: Some(hour),
            last_seen_ns: Some(2 * hour),
            previous_ids: Vec::new(),
            has_picture: true,
            visits: vec![visit],
        };
        let pictures = Pictures::from([(7, vec![0xff, 0xd8])]);
        let text = report(&[card], &pictures, "sqlite:///people.db", 3 * hour).into_string();
        for part in [
            "Ada &lt;b&gt;",
            "data:image/jpeg;base64,/9g=",
            "href=\"#P7\"",
            "id=\"P7\"",
            "1970-01-01 01:00:00Z",
            "Visits: 1",
            "1 person of sqlite:///people.db",
            "<rect",
        ] {
            assert!(text.contains(part), "no {part} in {text}");
        }
        for outside in ["http:", "https:", "src=\"/", "href=\"/", "url(", "@import"] {
            assert!(!text.contains(outside), "{outside} in {text}");
        }
    }
}
