//! Find by picture: who of the gallery is on a photo. The photo is held in memory while it is looked up, and nowhere else.

use std::sync::{Arc, Mutex};

use axum::{
    Json,
    body::{Body, Bytes, to_bytes},
    extract::{Multipart, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use gstreid::core::{calibration::Calibration, person::IdentityId};
use maud::{Markup, html};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    Site,
    api::blocking,
    guard::refuse,
    people,
    views::{likeness, page},
};
use crate::{
    embedding::{ModelArguments, PictureEmbedder},
    find::{self, Candidate, FindError},
    people::Card,
    run::board::lock,
};

/// Longest photo, bytes.
pub const MAX_PHOTO: usize = 10 << 20;
/// Photos that are received and looked up at a time; others wait.
const PLACES: usize = 4;
/// People who are compared exactly, and those of them who are shown.
const COMPARED: usize = 64;
const SHOWN: usize = 8;
/// What is said of a photo that is wider than a person.
const WIDE: &str = "The photo is wider than it is high. Crop it to one person, from head to feet: everything on it counts.";

/// The embedder of the page, which shares the cameras' sessions.
pub struct Finder {
    places: Arc<Semaphore>,
    embedder: Mutex<Option<(ModelArguments, PictureEmbedder)>>,
}

impl Default for Finder {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(PLACES)),
            embedder: Mutex::default(),
        }
    }
}

impl Finder {
    /// Works with the cameras' embedder, one after the other. Blocks, also while a model is loaded.
    fn with<T>(
        &self,
        site: &Site,
        work: impl FnOnce(&mut PictureEmbedder) -> Result<T, FindError>,
    ) -> Result<T, FindError> {
        let wanted = site.board.setup().embedder.ok_or(FindError::NoEmbedder)?;
        let mut held = lock(&self.embedder);
        let mut embedder = match held.take() {
            Some((arguments, embedder)) if arguments == wanted => embedder,
            _ => PictureEmbedder::open_quietly(&wanted)
                .map_err(|error| FindError::Model(error.to_string()))?,
        };
        let result = work(&mut embedder);
        *held = Some((wanted, embedder));
        result
    }

    /// Waits for a place. The semaphore is never closed.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().acquire_owned().await.ok()
    }
}

/// Who may be on a photo.
struct Found {
    people: Vec<(Candidate, Card)>,
    is_wide: bool,
}

/// Looks a photo up. Blocks.
fn look_up(site: &Site, photo: &[u8]) -> Result<Found, FindError> {
    site.finder.with(site, |embedder| {
        let query = find::query(photo, embedder)?;
        let gallery = site.gallery();
        let (found, known) = {
            let people = gallery.lock();
            (people.similar(&query.vector, COMPARED), people.len())
        };
        find::check(!found.is_empty(), known, embedder)?;
        let scores = find::calibration(embedder);
        let cosines: Vec<f32> = found.iter().map(|(_, cosine)| *cosine).collect();
        let shares = find::shares(&cosines, scores.as_ref());
        let mut people = candidates(people::all(site), found, scores.as_ref());
        for ((candidate, _), share) in people.iter_mut().zip(shares) {
            candidate.probability = share;
        }
        people.truncate(SHOWN);
        Ok(Found {
            people,
            is_wide: query.is_wide,
        })
    })
}

/// The people most alike to one. Blocks, and loads the model the first time, for its calibration.
pub fn alike(site: &Site, card: &Card) -> Vec<(Candidate, Card)> {
    let id = IdentityId(card.id);
    let found = site.gallery().lock().alike(id, SHOWN);
    if found.is_empty() {
        return Vec::new();
    }
    // Without the model cosines are shown alone.
    let scores = site
        .finder
        .with(site, |embedder| Ok(find::calibration(embedder)));
    candidates(people::all(site), found, scores.ok().flatten().as_ref())
}

/// The cards of those who were found, without those who have left the gallery meanwhile.
fn candidates(
    mut cards: Vec<Card>,
    found: Vec<(IdentityId, f32)>,
    scores: Option<&Calibration>,
) -> Vec<(Candidate, Card)> {
    let candidate = |(IdentityId(id), cosine)| {
        let at = cards.iter().position(|card| card.id == id)?;
        let card = cards.swap_remove(at);
        let candidate = Candidate {
            id,
            name: card.name.clone(),
            cosine,
            same_person: scores.map(|scores| scores.same_person(cosine)),
            probability: None,
            cameras: card.cameras.iter().cloned().collect(),
            last_seen_ns: card.last_seen_ns,
        };
        Some((candidate, card))
    };
    found.into_iter().filter_map(candidate).collect()
}

/// A photo that is not looked up: why, and how a browser or a program is told.
type Refused = (StatusCode, String);

fn refused(error: &FindError) -> Refused {
    let status = match error {
        FindError::Picture(_) => StatusCode::BAD_REQUEST,
        FindError::Model(_) => StatusCode::INTERNAL_SERVER_ERROR,
        FindError::Empty | FindError::OtherModel { .. } | FindError::NoEmbedder => {
            StatusCode::CONFLICT
        }
    };
    (status, error.to_string())
}

fn too_large() -> Refused {
    let most = MAX_PHOTO >> 20;
    let why =
        format!("the photo is larger than {most} MiB: crop it to the person, or save it smaller");
    (StatusCode::PAYLOAD_TOO_LARGE, why)
}

/// Waits for a place, receives a photo, and looks it up on a thread for it.
async fn receive(
    site: Site,
    photo: impl Future<Output = Result<Bytes, Refused>>,
) -> Result<Found, Refused> {
    let place = site.finder.place().await;
    let photo = photo.await?;
    if photo.is_empty() {
        let why = "no photo was sent: choose a picture of one person";
        return Err((StatusCode::BAD_REQUEST, why.into()));
    }
    let work = move || {
        let _place = place;
        look_up(&site, &photo)
    };
    match blocking(work).await {
        Ok(found) => found.map_err(|error| refused(&error)),
        Err(_) => Err((
            StatusCode::INTERNAL_SERVER_ERROR,
            "the program has a fault here; its log says more".into(),
        )),
    }
}

/// The photo of a form.
async fn of_form(mut form: Multipart) -> Result<Bytes, Refused> {
    let unfit = |error: axum::extract::multipart::MultipartError| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        status => (status, error.body_text()),
    };
    while let Some(field) = form.next_field().await.map_err(unfit)? {
        if field.name() == Some("photo") {
            return field.bytes().await.map_err(unfit);
        }
    }
    Ok(Bytes::new())
}

/// Asks for a photo.
pub async fn form() -> Markup {
    shown(html! {})
}

/// Says who is on the photo of a form.
pub async fn show(State(site): State<Site>, photo: Multipart) -> Response {
    match receive(site, of_form(photo)).await {
        Ok(found) => shown(results(&found)).into_response(),
        Err((status, why)) => {
            let why = html! { p.error role="alert" { (sentence(&why)) } };
            (status, shown(why)).into_response()
        }
    }
}

/// Says who is on the photo that is the body.
pub async fn find(State(site): State<Site>, body: Body) -> Result<Json<Value>, Response> {
    let photo = async { to_bytes(body, MAX_PHOTO).await.map_err(|_| too_large()) };
    let found = receive(site, photo)
        .await
        .map_err(|(status, why)| refuse(status, &why))?;
    let people: Vec<_> = found
        .people
        .iter()
        .map(|(candidate, _)| candidate)
        .collect();
    Ok(Json(json!({
        "people": people,
        "hint": found.is_wide.then_some(WIDE),
    })))
}

/// A text that begins in the middle of a sentence, as a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    let text: String = first.into_iter().flatten().chain(letters).collect();
    text + "."
}

fn shown(result: Markup) -> Markup {
    let body = html! {
        p { "Who of the gallery is on a photo? Take one that shows one person, from head to feet. It is looked up in memory and not kept." }
        form.find method="post" enctype="multipart/form-data" data-most=(MAX_PHOTO) data-too-large=(sentence(&too_large().1)) {
            label { "Photo " input type="file" name="photo" accept="image/*" required; }
            button { "Find" }
            p.drop aria-hidden="true" hidden { "or drop a photo here" }
            img.preview alt="Your photo" hidden;
        }
        div #found aria-live="polite" { (result) }
    };
    page("Find", "/find", body)
}

fn results(found: &Found) -> Markup {
    html! {
        h2 { "Most similar" }
        @if found.is_wide { p.notice { (WIDE) } }
        (likeness(&found.people))
        @let known: Option<f64> = found.people.iter().map(|(candidate, _)| candidate.probability).sum();
        @if let Some(known) = known { p { (format!("Nobody of them: {:.0} %.", 100.0 * (1.0 - known).max(0.0))) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sentences() {
        assert_eq!(sentence("the photo is large"), "The photo is large.");
        assert_eq!(sentence(""), ".");
    }
}
