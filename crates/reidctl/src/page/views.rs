//! The HTML pages. They work without scripts; the script only refreshes them.

use axum::{
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;

use super::{
    Site,
    api::{blocking, evidence},
    correct::Refusal,
    health,
    people::{self, Card, Filter},
    timeline,
};
use crate::{
    gallery::date,
    run::{
        board::{Status, now_ns},
        percent::encoded,
    },
};

const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/app.js");
/// Events about a person on their page.
const EVENTS: usize = 50;

/// The style sheet.
pub async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

/// The script.
pub async fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "max-age=300"),
    ];
    (headers, text).into_response()
}

/// The frame of every page. `here` is the address of its part.
fn page(title: &str, here: &str, body: Markup) -> Markup {
    let parts = [("/", "Live"), ("/people", "People"), ("/health", "Health")];
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                title { (title) " – reidctl" }
                link rel="stylesheet" href="/assets/style.css";
                script src="/assets/app.js" defer {}
            }
            body {
                a.skip href="#main" { "Skip to content" }
                header {
                    nav aria-label="Pages" {
                        @for (address, name) in parts {
                            a href=(address) aria-current=[(address == here).then_some("page")] { (name) }
                        }
                    }
                }
                main #main { h1 { (title) } (body) }
            }
        }
    }
}

/// A dot in a person's colour.
fn dot(colour: &str) -> Markup {
    html! {
        svg.dot viewBox="0 0 10 10" aria-hidden="true" { circle cx="5" cy="5" r="5" fill=(colour) {} }
    }
}

/// The cameras now.
pub async fn live(State(site): State<Site>) -> Markup {
    let statuses = site.board.statuses();
    let body = html! {
        div.mosaic {
            @for status in &statuses { (tile(status)) }
        }
        @if statuses.is_empty() { p { "No camera runs." } }
        h2 { "Events" }
        ol #events aria-live="polite" {
            @for note in site.board.history().iter().rev().take(20) {
                li { (crate::run::plain(note)) }
            }
        }
    };
    page("Live", "/", body)
}

fn tile(status: &Status) -> Markup {
    let address = format!("/api/cameras/{}", encoded(&status.name));
    let alt = format!("Picture of {}", status.name);
    html! {
        section.camera data-camera=(status.name) {
            h2 { (status.name) " " span.state data-state=(status.state.as_str()) { (status.state.as_str()) } }
            img data-picture=(format!("{address}/picture")) alt=(alt) width="480" height="360";
            noscript { img src=(format!("{address}/stream")) alt=(alt) width="480" height="360"; }
            p.facts { (format!("{:.1} frames/s, {} today", status.fps, status.today)) }
            p.error { (status.error.as_deref().unwrap_or_default()) }
            ul.inview {
                @for person in &status.people {
                    li {
                        (dot(&person.colour))
                        a href=(format!("/people/{}", person.id)) {
                            (person.name.as_deref().map_or_else(|| format!("P{}", person.id), str::to_owned))
                        }
                        @if person.state == "pending" { " ?" }
                    }
                }
            }
        }
    }
}

/// What was done, for the page that follows it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Done {
    done: String,
    other: Option<u32>,
    before: String,
}

impl Done {
    /// What was done to `id`, and how to undo it.
    fn shown(&self, id: Option<u32>) -> Markup {
        let other = self.other.unwrap_or_default();
        let undo = |action: &str, field: &str, value: &str, target: u32| {
            html! {
                form method="post" action=(format!("/people/{target}/{action}")) {
                    input type="hidden" name=(field) value=(value);
                    button { "Undo" }
                }
            }
        };
        let (text, undo) = match (self.done.as_str(), id) {
            ("renamed", Some(id)) => (
                "The name was changed.".to_owned(),
                undo("rename", "name", &self.before, id),
            ),
            ("merged", Some(id)) => (
                format!("P{other} is P{id} now."),
                undo("split", "camera", "", id),
            ),
            ("split", Some(id)) => (
                format!("P{other} was split from P{id}."),
                undo("merge", "into", &id.to_string(), other),
            ),
            ("forgotten", None) => (format!("P{other} is forgotten."), html! {}),
            _ => return html! {},
        };
        html! { div.done role="status" { p { (text) } (undo) } }
    }
}

/// Everybody.
pub async fn people(
    State(site): State<Site>,
    Query(filter): Query<Filter>,
    Query(done): Query<Done>,
) -> Result<Markup, Response> {
    let wanted = filter.clone();
    let board = site.board.clone();
    let (cards, total) = blocking(move || wanted.select(people::all(&site), now_ns())).await?;
    let cameras = board.statuses();
    let body = html! {
        (done.shown(None))
        (filters(&filter, &cameras))
        p { (total) " people" @if total > cards.len() { ", " (cards.len()) " shown" } "." }
        h2 { "Time line" }
        (timeline::of_people(&cards))
        h2 { "Cards" }
        div.cards { @for card in &cards { (small(card)) } }
        (pages(&filter, total, cards.len()))
    };
    Ok(page("People", "/people", body))
}

fn filters(filter: &Filter, cameras: &[Status]) -> Markup {
    let sorts = [
        ("recent", "Seen last"),
        ("first", "Seen first"),
        ("name", "Name"),
        ("id", "Id"),
    ];
    html! {
        form.filters method="get" {
            label { "Name or id " input name="text" value=(filter.text) maxlength="256"; }
            label { "Camera "
                select name="camera" {
                    option value="" { "all" }
                    @for camera in cameras {
                        option selected[*camera.name == *filter.camera] { (camera.name) }
                    }
                }
            }
            label { "Seen within "
                select name="hours" {
                    @for (hours, text) in [(1e6, "any time"), (1.0, "an hour"), (24.0, "a day"), (168.0, "a week")] {
                        option value=(hours) selected[filter.hours == Some(hours)] { (text) }
                    }
                }
            }
            label { "Sort "
                select name="sort" {
                    @for (sort, text) in sorts { option value=(sort) selected[filter.sort == sort] { (text) } }
                }
            }
            button { "Show" }
        }
    }
}

/// Links to the people before and after.
fn pages(filter: &Filter, total: usize, shown: usize) -> Markup {
    let address = |offset: usize| {
        let mut address = format!(
            "/people?offset={offset}&sort={}&text={}&camera={}",
            encoded(&filter.sort),
            encoded(&filter.text),
            encoded(&filter.camera)
        );
        if let Some(hours) = filter.hours {
            address += &format!("&hours={hours}");
        }
        address
    };
    let next = filter.offset.saturating_add(shown);
    html! {
        nav aria-label="More people" {
            @if filter.offset > 0 { a href=(address(filter.offset.saturating_sub(100))) { "Before" } " " }
            @if next < total && shown > 0 { a href=(address(next)) { "After" } }
        }
    }
}

fn small(card: &Card) -> Markup {
    let cameras: Vec<&str> = card.cameras.iter().map(String::as_str).collect();
    html! {
        article.card {
            @if card.has_picture {
                img src=(format!("/api/people/{}/picture", card.id)) alt="" width="48" height="96" loading="lazy";
            }
            div {
                h3 { (dot(&card.colour)) a href=(format!("/people/{}", card.id)) { (card.title()) } }
                @if card.name.is_some() { p { "P" (card.id) } }
                p { (cameras.join(", ")) }
                p { @if card.active { "in view" } @else if let Some(last) = card.last_seen_ns { "last " (date(last)) } }
                @if let Some(first) = card.first_seen_ns { p { "first " (date(first)) } }
            }
        }
    }
}

/// One person.
pub async fn person(
    State(site): State<Site>,
    Path(id): Path<u32>,
    Query(done): Query<Done>,
) -> Result<Response, Response> {
    let found = {
        let site = site.clone();
        blocking(move || people::one(&site, id)).await?
    };
    let Some(card) = found else {
        let body =
            html! { p { "Nobody is known as P" (id) ". " a href="/people" { "Everybody" } } };
        let shown = page("Unknown person", "/people", body);
        return Ok((StatusCode::NOT_FOUND, shown).into_response());
    };
    let events = evidence(&site, &card);
    let previous: Vec<String> = card
        .previous_ids
        .iter()
        .map(|id| format!("P{id}"))
        .collect();
    let body = html! {
        (done.shown(Some(card.id)))
        (small(&card))
        @if !previous.is_empty() { p { "Once " (previous.join(", ")) "." } }
        h2 { "Visits" }
        (timeline::of_cameras(&card))
        (visits(&card))
        h2 { "Evidence" }
        (decisions(&events))
        h2 { "Correct" }
        (corrections(&card))
    };
    Ok(page(&card.title(), "/people", body).into_response())
}

fn visits(card: &Card) -> Markup {
    html! {
        div.wide { table {
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

/// What was decided, with score and margin over the next best.
fn decisions(events: &[serde_json::Value]) -> Markup {
    let number = |value: &serde_json::Value| value.as_f64().map(|n| format!("{n:.2}"));
    html! {
        @if events.is_empty() { p { "Nothing since the program started." } }
        @else { div.wide { table {
            thead { tr { th { "When" } th { "What" } th { "Camera" } th { "Score" } th { "Margin" } th { "Ids" } } }
            tbody {
                @for event in events.iter().take(EVENTS) {
                    tr {
                        td { (event["time_ns"].as_i64().map(date).unwrap_or_default()) }
                        td { (event["event"].as_str().unwrap_or_default().trim_start_matches("identity-")) }
                        td { (event["camera"].as_str().unwrap_or_default()) }
                        td { (number(&event["score"]).unwrap_or_default()) }
                        td { (number(&event["margin"]).unwrap_or_default()) }
                        td {
                            @for key in ["id", "from", "into"] {
                                @if let Some(id) = event[key].as_u64() { "P" (id) " " }
                            }
                        }
                    }
                }
            }
        } } }
    }
}

fn corrections(card: &Card) -> Markup {
    let action = |what: &str| format!("/people/{}/{what}", card.id);
    html! {
        form method="post" action=(action("rename")) {
            label { "Name " input name="name" value=(card.name.as_deref().unwrap_or_default()) maxlength="256"; }
            button { "Rename" }
        }
        form method="post" action=(action("merge")) {
            label { "Is the same person as " input name="into" placeholder="P17" required size="8"; }
            button { "Merge" }
        }
        form method="post" action=(action("split")) {
            label { "Is somebody else "
                select name="camera" {
                    @if !card.previous_ids.is_empty() { option value="" { "whom the newest merge brought" } }
                    @for camera in &card.cameras { option value=(camera) { "in " (camera) } }
                }
            }
            button { "Split" }
        }
        p { a.danger href=(action("forget")) { "Forget " (card.title()) "…" } }
    }
}

/// Asks before a person is erased.
pub async fn ask_forget(Path(id): Path<u32>) -> Markup {
    let body = html! {
        p { "P" (id) ", with vectors, visits, picture and name, is erased for good. This cannot be undone." }
        form method="post" action=(format!("/people/{id}/forget")) {
            button.danger { "Forget P" (id) }
            " " a href=(format!("/people/{id}")) { "Keep" }
        }
    };
    page(&format!("Forget P{id}?"), "/people", body)
}

/// How everything is.
pub async fn health(State(site): State<Site>) -> Result<Markup, Response> {
    let health = blocking(move || health::look(&site)).await?;
    let body = html! {
        p { "Running for " (health.uptime_seconds) " s. People are kept in " (health.gallery) ": " (health.people) "." }
        @if let Some(error) = &health.database_error { p.error { (error) } }
        h2 { "Cameras" }
        div.wide { table {
            thead { tr {
                th { "Camera" } th { "State" } th { "Frames/s" } th { "Latency" } th { "Restarts" } th { "Queues" } th { "Source" } th { "Why" }
            } }
            tbody {
                @for status in &health.cameras {
                    tr {
                        td { (status.name) } td { (status.state.as_str()) } td { (format!("{:.1}", status.fps)) }
                        td { @if let Some(ms) = status.latency_ms { (format!("{ms:.0} ms")) } }
                        td { (status.restarts) }
                        td { (health.queues.get(&*status.name).map(|q| format!("{q:?}")).unwrap_or_default()) }
                        td { (status.source) } td { (status.error.as_deref().unwrap_or_default()) }
                    }
                }
            }
        } }
        h2 { "Disk" }
        @if health.disk.is_empty() { p { "Nothing is recorded." } }
        ul { @for (folder, free) in &health.disk {
            li { (folder) ": " @if let Some(free) = free { (format!("{:.1} GB free", *free as f64 / 1e9)) } @else { "not there" } }
        } }
    };
    Ok(page("Health", "/health", body))
}

/// Asks for the token.
pub fn login(is_wrong: bool) -> Markup {
    let body = html! {
        @if is_wrong { p.error role="alert" { "That is not the token." } }
        form method="post" action="/login" {
            label { "Token " input type="password" name="token" required autocomplete="current-password"; }
            button { "Open" }
        }
    };
    page("Log in", "", body)
}

/// A change that was not made.
pub fn refused(refusal: &Refusal) -> (StatusCode, Markup) {
    let (status, why) = match refusal {
        Refusal::Unknown(why) => (StatusCode::NOT_FOUND, why),
        Refusal::Conflict(why) => (StatusCode::CONFLICT, why),
    };
    (status, mistake(why).1)
}

/// A request that cannot be understood.
pub fn mistake(why: &str) -> (StatusCode, Markup) {
    let body = html! { p.error role="alert" { (why) } p { a href="/people" { "Everybody" } } };
    (StatusCode::BAD_REQUEST, page("Not done", "/people", body))
}
