//! The REST API. `openapi.json` describes it; a test compares the two.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, Query, State, rejection::JsonRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Site,
    correct::{Change, apply},
    find,
    guard::{Peer, refuse, who},
    people::{self, Filter},
};
use crate::{
    people::Card,
    run::board::{Note, now_ns},
};

/// What describes this API.
const DESCRIPTION: &str = include_str!("../../openapi.json");
/// Decisions that are shown of a person, the newest.
const EVIDENCE: usize = 100;

/// Runs what may wait on a thread for it.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Response> {
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the program has a fault here; its log says more",
        )
    })
}

/// How the cameras are.
pub async fn cameras(State(site): State<Site>) -> Json<Value> {
    Json(json!({ "cameras": site.board.statuses() }))
}

/// Who is known.
pub async fn people(
    State(site): State<Site>,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, Response> {
    let (people, total) = blocking(move || filter.select(people::all(&site), now_ns())).await?;
    Ok(Json(json!({ "total": total, "people": people })))
}

/// One person, their visits, what was decided about them, and who is most alike.
pub async fn person(
    State(site): State<Site>,
    Path(id): Path<u32>,
) -> Result<Json<Value>, Response> {
    let found = {
        let site = site.clone();
        blocking(move || {
            let card = people::one(&site, id)?;
            let alike = find::alike(&site, &card);
            Some((card, alike))
        })
        .await?
    };
    let (card, alike) = found.ok_or_else(|| unknown(id))?;
    let alike: Vec<_> = alike.iter().map(|(candidate, _)| candidate).collect();
    let events = evidence(&site, &card);
    let events: Vec<&Note> = events.iter().map(|note| &**note).collect();
    Ok(Json(
        json!({ "person": card, "visits": card.visits, "events": events, "alike": alike }),
    ))
}

/// What was decided about a person: recognitions, merges, splits, newest first.
pub fn evidence(site: &Site, card: &Card) -> Vec<Arc<Note>> {
    let is_own =
        |id| id == u64::from(card.id) || card.previous_ids.iter().any(|p| u64::from(*p) == id);
    site.board.decisions(is_own, EVIDENCE)
}

/// A person's picture.
pub async fn picture(State(site): State<Site>, Path(id): Path<u32>) -> Result<Response, Response> {
    let jpeg = blocking(move || people::picture(&site, id)).await?;
    match jpeg {
        Some(jpeg) => Ok(([(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response()),
        None => Err(refuse(
            StatusCode::NOT_FOUND,
            "no picture is kept: set gallery.thumbnails in the cameras file",
        )),
    }
}

fn unknown(id: u32) -> Response {
    refuse(
        StatusCode::NOT_FOUND,
        &format!("the gallery knows no P{id}"),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Name {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Other {
    into: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    camera: Option<String>,
}

type Body<T> = Result<Json<T>, JsonRejection>;

fn body<T>(body: Body<T>) -> Result<T, (StatusCode, String)> {
    body.map(|Json(value)| value)
        .map_err(|error| (error.status(), error.body_text()))
}

fn unfit((status, why): (StatusCode, String)) -> Response {
    refuse(status, &why)
}

async fn change(
    site: Site,
    from: Option<Extension<Peer>>,
    change: Change,
) -> Result<Json<Value>, Response> {
    let who = who(from, &site);
    let done = {
        let change = change.clone();
        blocking(move || apply(&site, &who, &change)).await?
    };
    let new = done.map_err(|refusal| refusal.response())?;
    Ok(Json(match change {
        Change::Split { id, .. } => {
            json!({ "done": true, "new_id": new, "undo": { "merge": new, "into": id } })
        }
        Change::Merge { into, .. } => json!({ "done": true, "undo": { "split": into } }),
        _ => json!({ "done": true }),
    }))
}

/// Gives a name.
pub async fn rename(
    State(site): State<Site>,
    from: Option<Extension<Peer>>,
    Path(id): Path<u32>,
    named: Body<Name>,
) -> Result<Json<Value>, Response> {
    let name = body(named).map_err(unfit)?.name;
    change(site, from, Change::Rename { id, name }).await
}

/// Merges a person into another.
pub async fn merge(
    State(site): State<Site>,
    from: Option<Extension<Peer>>,
    Path(id): Path<u32>,
    into: Body<Other>,
) -> Result<Json<Value>, Response> {
    let into = body(into).map_err(unfit)?.into;
    change(site, from, Change::Merge { from: id, into }).await
}

/// Makes two of one.
pub async fn split(
    State(site): State<Site>,
    from: Option<Extension<Peer>>,
    Path(id): Path<u32>,
    camera: Body<Camera>,
) -> Result<Json<Value>, Response> {
    let camera = body(camera).map_err(unfit)?.camera;
    change(site, from, Change::Split { id, camera }).await
}

/// Erases a person.
pub async fn forget(
    State(site): State<Site>,
    from: Option<Extension<Peer>>,
    Path(id): Path<u32>,
) -> Result<Json<Value>, Response> {
    change(site, from, Change::Forget { id }).await
}

/// The last events.
pub async fn history(State(site): State<Site>) -> Json<Value> {
    let history = site.board.history();
    let events: Vec<_> = history.iter().map(|note| &**note).collect();
    Json(json!({ "events": events }))
}

/// The description of this API.
pub async fn description() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION).into_response()
}
