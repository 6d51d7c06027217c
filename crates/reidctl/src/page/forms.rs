//! The forms of the page: every change ends on the page of the person, which reports the result and can be undone.

use std::time::Duration;

use axum::{
    Extension, Form,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    Site,
    api::blocking,
    correct::{Change, apply},
    guard::{Peer, who},
    people, views,
};
use crate::run::percent::encoded;

/// How long a wrong token has to wait for its answer.
const WRONG: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
pub struct Token {
    token: String,
}

#[derive(Deserialize)]
pub struct Name {
    name: String,
}

#[derive(Deserialize)]
pub struct Other {
    into: String,
}

#[derive(Deserialize)]
pub struct Camera {
    #[serde(default)]
    camera: String,
}

/// Asks for the token.
pub async fn login_form() -> Response {
    views::login(false).into_response()
}

/// Gives the cookie to who knows the token.
pub async fn login(
    State(site): State<Site>,
    from: Option<Extension<Peer>>,
    Form(form): Form<Token>,
) -> Response {
    if site.access.is_locked() && !site.access.opens(form.token.trim()) {
        let mut facts = serde_json::Map::new();
        facts.insert("by".into(), who(from, &site).into());
        site.board.tell("login-refused", None, facts);
        tokio::time::sleep(WRONG).await;
        return (StatusCode::UNAUTHORIZED, views::login(true)).into_response();
    }
    let mut response = Redirect::to("/").into_response();
    if let Ok(cookie) = HeaderValue::from_str(&site.access.cookie()) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

async fn change(
    site: Site,
    from: Option<Extension<Peer>>,
    change: Change,
    done: impl FnOnce(u32) -> String,
) -> Result<Response, Response> {
    let who = who(from, &site);
    let result = blocking(move || apply(&site, &who, &change)).await?;
    match result {
        Ok(new) => Ok(Redirect::to(&done(new)).into_response()),
        Err(refusal) => Err(views::refused(&refusal).into_response()),
    }
}

/// Gives a name.
pub async fn rename(
    State(site): State<Site>,
    from: Option<Extension<Peer>>,
    Path(id): Path<u32>,
    Form(form): Form<Name>,
) -> Result<Response, Response> {
    let before = {
        let site = site.clone();
        blocking(move || people::one(&site, id)).await?
    };
    let before = before.and_then(|card| card.name).unwrap_or_default();
    let before = encoded(&before);
    let name = form.name.trim().to_owned();
    change(site, from, Change::Rename { id, name }, |_| {
        format!("/people/{id}?done=renamed&before={before}")
    })
    .await
}

/// Merges a person into another.
pub async fn merge(
    State(site): State<Site>,
    from: Option<Extension<Peer>>,
    Path(id): Path<u32>,
    Form(form): Form<Other>,
) -> Result<Response, Response> {
    let text = form.into.trim();
    let digits = text.strip_prefix(['P', 'p']).unwrap_or(text);
    let Ok(into) = digits.parse() else {
        return Err(
            views::mistake("Give the id of the other person, such as P17.").into_response(),
        );
    };
    change(site, from, Change::Merge { from: id, into }, |_| {
        format!("/people/{into}?done=merged&other={id}")
    })
    .await
}

/// Makes two of one.
pub async fn split(
    State(site): State<Site>,
    from: Option<Extension<Peer>>,
    Path(id): Path<u32>,
    Form(form): Form<Camera>,
) -> Result<Response, Response> {
    let camera = Some(form.camera).filter(|camera| !camera.is_empty());
    change(site, from, Change::Split { id, camera }, |new| {
        format!("/people/{id}?done=split&other={new}")
    })
    .await
}

/// Erases a person.
pub async fn forget(
    State(site): State<Site>,
    from: Option<Extension<Peer>>,
    Path(id): Path<u32>,
) -> Result<Response, Response> {
    change(site, from, Change::Forget { id }, |_| {
        format!("/people?done=forgotten&other={id}")
    })
    .await
}
