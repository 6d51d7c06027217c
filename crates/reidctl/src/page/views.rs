//! The HTML pages. They work without scripts; the script only refreshes them.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Site,
    api::{blocking, evidence},
    correct::Refusal,
    find, health,
    people::{self, Filter},
};
use crate::{
    find::Candidate,
    gallery::date,
    people::{
        Card, Place, STYLE, cards as small_cards, count, dot, of_cameras, of_people, small, visits,
    },
    run::{
        board::{Note, Status, now_ns},
        percent::encoded,
        secrets::masked,
    },
};

const ICON: &str = include_str!("assets/icon.svg");
const SCRIPT: &str = include_str!("assets/app.js");

/// The style sheet.
pub async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

/// The script.
pub async fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

/// The icon of the browser's tab.
pub async fn icon() -> Response {
    asset("image/svg+xml", ICON)
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "max-age=300"),
    ];
    (headers, text).into_response()
}

/// The frame of every page. `here` is the address of its part.
pub(super) fn page(title: &str, here: &str, body: Markup) -> Markup {
    let parts = [
        ("/", "Live"),
        ("/people", "People"),
        ("/find", "Find"),
        ("/health", "Health"),
    ];
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                title { (title) " – reidctl" }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
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
        p { (count(total)) @if total > cards.len() { ", " (cards.len()) " shown" } "." }
        h2 { "Time line" }
        (of_people(&cards))
        h2 { "Cards" }
        (small_cards(&cards, Place::Page))
        (pages(&filter, total, cards.len()))
        p { a href=(format!("/report.html?{}", filter.query())) download { "Download as one file" } }
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
    let address = |offset: usize| format!("/people?offset={offset}&{}", filter.query());
    let next = filter.offset.saturating_add(shown);
    html! {
        nav aria-label="More people" {
            @if filter.offset > 0 { a href=(address(filter.offset.saturating_sub(100))) { "Before" } " " }
            @if next < total && shown > 0 { a href=(address(next)) { "After" } }
        }
    }
}

/// The people of a filter as one file.
pub async fn report(
    State(site): State<Site>,
    Query(filter): Query<Filter>,
) -> Result<Response, Response> {
    let now = now_ns();
    let report = blocking(move || {
        let cards = filter.sorted(people::all(&site), now);
        let pictures = people::pictures(&site, &cards);
        let location = masked(&site.gallery().location().shown());
        crate::people::report(&cards, &pictures, &location, now).into_string()
    })
    .await?;
    let name = date(now).replace([':', ' '], "-");
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"people-{name}.html\""),
        ),
    ];
    Ok((headers, report).into_response())
}

/// One person.
pub async fn person(
    State(site): State<Site>,
    Path(id): Path<u32>,
    Query(done): Query<Done>,
) -> Result<Response, Response> {
    let found = {
        let site = site.clone();
        blocking(move || {
            let card = people::one(&site, id)?;
            let alike = find::alike(&site, &card);
            Some((card, alike))
        })
        .await?
    };
    let Some((card, alike)) = found else {
        let body =
            html! { p { "Nobody is known as P" (id) ". " a href="/people" { "Everybody" } } };
        let shown = page("Unknown person", "/people", body);
        return Ok((StatusCode::NOT_FOUND, shown).into_response());
    };
    let decisions = evidence(&site, &card);
    let previous: Vec<String> = card
        .previous_ids
        .iter()
        .map(|id| format!("P{id}"))
        .collect();
    let body = html! {
        (done.shown(Some(card.id)))
        h2 { "Seen" }
        (small(&card, Place::Page))
        @if !previous.is_empty() { p { "Once " (previous.join(", ")) "." } }
        h2 { "Visits" }
        (of_cameras(&card))
        (visits(&card))
        h2 { "Evidence" }
        (decided(&decisions))
        h2 { "Most alike" }
        @if alike.is_empty() { p { "Nobody else is known by appearance." } } @else { (likeness(&alike)) }
        h2 { "Correct" }
        (corrections(&card))
    };
    Ok(page(&card.title(), "/people", body).into_response())
}

/// What was decided, with score, and margin over whom.
fn decided(notes: &[Arc<Note>]) -> Markup {
    let number = |note: &Note, key: &str| {
        let value = note.facts.get(key).and_then(Value::as_f64);
        value.map(|value| format!("{value:.2}"))
    };
    let text = |note: &Note, key: &str| {
        let value = note.facts.get(key).and_then(Value::as_str);
        value.map(str::to_owned)
    };
    html! {
        @if notes.is_empty() { p { "Nothing since the program started." } }
        @else { div.wide tabindex="0" role="region" aria-label="Evidence" { table {
            thead { tr { th { "When" } th { "What" } th { "Camera" } th { "Score" } th { "Margin" } th { "Next best" } } }
            tbody {
                @for note in notes {
                    tr {
                        td { (date(note.time_ns)) }
                        td { (what(note)) @if let Some(by) = text(note, "by") { " by " (by) } }
                        td { (note.camera.as_deref().unwrap_or_default()) }
                        td { (number(note, "score").unwrap_or_default()) }
                        td { (number(note, "margin").unwrap_or_default()) }
                        td { @if let Some(id) = id_of(note, "against") { (link(id)) } }
                    }
                }
            }
        } }
        p.facts { "Score: mean cosine with the person's other crops, without what cameras add. Margin: score less that of the next best." } }
    }
}

fn id_of(note: &Note, key: &str) -> Option<u64> {
    note.facts.get(key)?.as_u64()
}

fn link(id: u64) -> Markup {
    html! { a href=(format!("/people/{id}")) { "P" (id) } }
}

/// What happened, in words.
fn what(note: &Note) -> Markup {
    let id = |key: &str| id_of(note, key).map(link).unwrap_or_default();
    let change = note.facts.get("change").and_then(Value::as_str);
    let kind = change.unwrap_or_else(|| note.event.trim_start_matches("identity-"));
    html! {
        @match kind {
            "new" => { "first seen" },
            "matched" => { "recognised as " (id("id")) },
            "merged" | "merge" => { (id("from")) " is " (id("into")) },
            "split" => { (id("into")) " split from " (id("from")) (id("id")) },
            "corrected" => { "is " (id("into")) " instead of " (id("from")) },
            "rename" => { "renamed" },
            other => { (other) },
        }
        @if note.facts.contains_key("refused") { " (refused)" }
    }
}

/// People with how alike they are.
pub(super) fn likeness(people: &[(Candidate, Card)]) -> Markup {
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let is_looked_up = people.iter().any(|(one, _)| one.probability.is_some());
    html! {
        ol.alike {
            @for (one, card) in people {
                li {
                    (small(card, Place::Page))
                    @if let Some(share) = one.probability.or(one.same_person) {
                        p { meter min="0" max="1" value=(format!("{share:.3}")) aria-label="Probability" { (percent(share)) } " " (percent(share)) }
                    }
                    p.facts {
                        (format!("cosine {:.2}", one.cosine))
                        @if let (Some(_), Some(same)) = (one.probability, one.same_person) { ", compared alone " (percent(same)) }
                    }
                }
            }
        }
        p.facts {
            @if is_looked_up {
                "Probability that the photo shows this person, when everybody here and nobody of them are equally likely beforehand; "
                "compared alone: that two pictures with this cosine show one person."
            } @else {
                "Probability that two pictures with this cosine show one person, when one person and two are equally likely beforehand."
            }
        }
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
        div.wide tabindex="0" role="region" aria-label="Cameras" { table {
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
