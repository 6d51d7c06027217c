//! Corrections of the running gallery: through a camera's tracker, which announces them downstream, else through the gallery itself.
//! Each is logged with user and time.

use std::time::Duration;

use axum::{http::StatusCode, response::Response};
use gst::prelude::*;
use gstreid::{
    core::{
        identity::{GalleryError, MAX_NAME_BYTES},
        person::IdentityId,
    },
    store::registry::SharedGallery,
};
use serde_json::{Map, Value};

use super::{Site, guard::refuse};
use crate::run::board::lock;

/// How long a correction may wait until it is written.
const WRITTEN: Duration = Duration::from_secs(5);

/// What somebody wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Gives a name; an empty one takes it away.
    Rename { id: u32, name: String },
    /// Makes one person of two; `into` keeps its id.
    Merge { from: u32, into: u32 },
    /// Makes two people of one: what `camera` saw, or what came with the newest merge, becomes somebody new.
    Split { id: u32, camera: Option<String> },
    /// Erases a person permanently.
    Forget { id: u32 },
}

/// Why it is not done.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// There is no such person.
    Unknown(String),
    /// The gallery does not allow it.
    Conflict(String),
}

impl Refusal {
    /// As an answer.
    pub fn response(&self) -> Response {
        match self {
            Self::Unknown(why) => refuse(StatusCode::NOT_FOUND, why),
            Self::Conflict(why) => refuse(StatusCode::CONFLICT, why),
        }
    }
}

impl From<GalleryError> for Refusal {
    fn from(error: GalleryError) -> Self {
        match error {
            GalleryError::Unknown(_) | GalleryError::UnknownCamera(_) => {
                Self::Unknown(error.to_string())
            }
            _ => Self::Conflict(error.to_string()),
        }
    }
}

impl Change {
    fn name(&self) -> &'static str {
        match self {
            Self::Rename { .. } => "rename",
            Self::Merge { .. } => "merge",
            Self::Split { .. } => "split",
            Self::Forget { .. } => "forget",
        }
    }

    /// Why it cannot be, as far as that is known beforehand.
    fn check(&self, gallery: &SharedGallery) -> Result<(), Refusal> {
        let people = gallery.lock().list();
        let ids = match self {
            Self::Rename { id, .. } | Self::Split { id, .. } | Self::Forget { id } => vec![*id],
            Self::Merge { from, into } => vec![*from, *into],
        };
        for id in ids {
            if !people.iter().any(|person| person.id.0 == id) {
                return Err(GalleryError::Unknown(IdentityId(id)).into());
            }
        }
        match self {
            Self::Rename { name, .. } if name.len() > MAX_NAME_BYTES => {
                Err(GalleryError::LongName.into())
            }
            Self::Rename { name, .. } if name.chars().any(char::is_control) => Err(
                Refusal::Conflict("a name holds no control characters".into()),
            ),
            Self::Merge { from, into } if from == into => {
                Err(GalleryError::Same(IdentityId(*from)).into())
            }
            _ => Ok(()),
        }
    }

    /// What a tracker means that says no to a change which [`Self::check`] lets pass.
    fn refused(&self) -> Refusal {
        Refusal::Conflict(match self {
            Self::Merge { from, into } => {
                GalleryError::SeenTogether(IdentityId(*from), IdentityId(*into)).to_string()
            }
            Self::Split { id, .. } => GalleryError::NothingToSplit(IdentityId(*id)).to_string(),
            Self::Rename { .. } | Self::Forget { .. } => "the gallery refuses".into(),
        })
    }

    /// Asks a camera's tracker; the new id of a split, else 0.
    fn by_tracker(&self, tracker: &gst::Element) -> Result<u32, Refusal> {
        let done = match self {
            Self::Rename { id, name } => tracker.emit_by_name::<bool>("rename", &[id, name]),
            Self::Merge { from, into } => tracker.emit_by_name::<bool>("merge", &[from, into]),
            Self::Forget { id } => tracker.emit_by_name::<bool>("forget", &[id]),
            Self::Split { id, camera } => {
                let camera = camera.as_deref().unwrap_or_default();
                let new = tracker.emit_by_name::<u32>("split", &[id, &camera]);
                return if new > 0 {
                    Ok(new)
                } else {
                    Err(self.refused())
                };
            }
        };
        if done { Ok(0) } else { Err(self.refused()) }
    }

    /// Changes a gallery that no camera uses at the moment.
    fn by_gallery(&self, gallery: &SharedGallery) -> Result<u32, Refusal> {
        let mut people = gallery.lock();
        let new = match self {
            Self::Rename { id, name } => people.rename(IdentityId(*id), name).map(|()| 0),
            Self::Merge { from, into } => people
                .merge(IdentityId(*from), IdentityId(*into))
                .map(|_| 0),
            Self::Forget { id } => people.forget(IdentityId(*id)).map(|_| 0),
            Self::Split { id, camera } => people
                .split(IdentityId(*id), camera.as_deref())
                .map(|(new, _)| new.0),
        }?;
        drop(people);
        gallery.request_flush();
        gallery.flush(WRITTEN);
        Ok(new)
    }

    /// For the log: everything but names, which are personal.
    fn facts(&self, who: &str, result: &Result<u32, Refusal>) -> Map<String, Value> {
        let mut facts = Map::new();
        let mut put = |key: &str, value: Value| drop(facts.insert(key.to_owned(), value));
        put("change", self.name().into());
        match self {
            Self::Rename { id, .. } | Self::Split { id, .. } | Self::Forget { id } => {
                put("id", (*id).into());
            }
            Self::Merge { from, into } => {
                put("from", (*from).into());
                put("into", (*into).into());
            }
        }
        put("by", who.into());
        match result {
            Ok(0) => {}
            Ok(new) => put("into", (*new).into()),
            Err(Refusal::Unknown(why) | Refusal::Conflict(why)) => {
                put("refused", why.clone().into());
            }
        }
        facts
    }
}

/// Makes a change for `who`; the new id of a split, else 0. Blocks until it is written, or some seconds.
pub fn apply(site: &Site, who: &str, change: &Change) -> Result<u32, Refusal> {
    let gallery = site.gallery();
    let result = change
        .check(&gallery)
        .and_then(|()| match site.board.tracker() {
            Some(tracker) => change.by_tracker(&tracker),
            None => change.by_gallery(&gallery),
        });
    if let Ok(new) = result {
        let mut visits = lock(&site.board.visits);
        match change {
            Change::Merge { from, into } => visits.merge(*from, *into),
            Change::Forget { id } => visits.forget(*id),
            Change::Split {
                id,
                camera: Some(camera),
            } => visits.split(*id, new, camera),
            Change::Split { camera: None, .. } | Change::Rename { .. } => {}
        }
    }
    gallery.flush(WRITTEN);
    site.kept.drop_answer();
    let facts = change.facts(who, &result);
    site.board.tell("change", None, facts);
    result
}
