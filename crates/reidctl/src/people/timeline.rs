//! Visits across cameras over time, drawn as SVG without inline styles.

use maud::{Markup, html};

use super::Card;
use crate::gallery::date;

/// Width of the drawing, and of the names at its left, units.
const WIDTH: f64 = 1000.0;
const LABEL: f64 = 160.0;
/// Height of a row, units.
const ROW: f64 = 26.0;
/// A visit of a moment is still seen.
const THINNEST: f64 = 2.0;
/// Longest label, characters.
const LETTERS: usize = 20;

/// A row: its name, the colour of its bars, what each bar says, from and to, ns since 1970.
struct Line {
    label: String,
    bars: Vec<(String, String, i64, i64)>,
}

/// A row for each person; a bar is a visit.
pub fn of_people(cards: &[Card]) -> Markup {
    let line = |card: &Card| Line {
        label: card.title(),
        bars: card
            .visits
            .iter()
            .map(|visit| {
                let text = format!("{} in {}", card.title(), visit.camera);
                (card.colour.clone(), text, visit.from_ns, visit.to_ns)
            })
            .collect(),
    };
    draw(&cards.iter().map(line).collect::<Vec<_>>())
}

/// A row for each camera that saw one person.
pub fn of_cameras(card: &Card) -> Markup {
    let line = |camera: &String| Line {
        label: camera.clone(),
        bars: card
            .visits
            .iter()
            .filter(|visit| *visit.camera == **camera)
            .map(|visit| {
                let text = format!("in {camera}");
                (card.colour.clone(), text, visit.from_ns, visit.to_ns)
            })
            .collect(),
    };
    draw(&card.cameras.iter().map(line).collect::<Vec<_>>())
}

fn draw(lines: &[Line]) -> Markup {
    let bars = || lines.iter().flat_map(|line| &line.bars);
    let (Some(from), Some(to)) = (bars().map(|b| b.2).min(), bars().map(|b| b.3).max()) else {
        return html! { p { "No visits yet." } };
    };
    let scale = (WIDTH - LABEL) / ((to - from) as f64).max(1.0);
    let x = |ns: i64| LABEL + (ns - from) as f64 * scale;
    let height = (lines.len() as f64 + 1.0) * ROW;
    html! {
        div.wide tabindex="0" role="region" aria-label="Time line" {
            svg.timeline viewBox=(format!("0 0 {WIDTH} {height}")) role="img"
                aria-label=(format!("Visits from {} to {}", date(from), date(to))) {
                @for (row, line) in lines.iter().enumerate() {
                    @let y = row as f64 * ROW;
                    text x="0" y=(y + 17.0) { (line.label.chars().take(LETTERS).collect::<String>()) }
                    @for (colour, text, from, to) in &line.bars {
                        rect x=(format!("{:.1}", x(*from))) y=(y + 4.0) height=(ROW - 8.0)
                            width=(format!("{:.1}", (x(*to) - x(*from)).max(THINNEST))) fill=(colour) {
                            title { (text) ", " (date(*from)) " to " (date(*to)) }
                        }
                    }
                }
                text x=(LABEL) y=(height - 8.0) { (date(from)) }
                text x=(WIDTH) y=(height - 8.0) text-anchor="end" { (date(to)) }
            }
        }
    }
}
