//! State of the program: cameras, queues, database, disk.

use std::{collections::BTreeMap, path::Path};

use axum::{Json, extract::State, response::Response};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Site, api::blocking};
use crate::run::{board::Status, secrets::masked};

/// Everything at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// The cameras.
    pub cameras: Vec<Status>,
    /// Of each camera, buffers in its queues.
    pub queues: BTreeMap<String, Vec<u32>>,
    /// Where people are kept, without a password.
    pub gallery: String,
    /// People known.
    pub people: usize,
    /// Why the database could not be read.
    pub database_error: Option<String>,
    /// Folders of recordings and texts, and what is free there, bytes.
    pub disk: BTreeMap<String, Option<u64>>,
}

/// Looks at everything. Blocks while the database is read.
pub fn look(site: &Site) -> Health {
    let gallery = site.gallery();
    let kept = site.kept.read(&gallery);
    let people = gallery.lock().len();
    let folders = site.board.setup().folders;
    Health {
        uptime_seconds: site.board.uptime().as_secs(),
        cameras: site.board.statuses(),
        queues: site.board.queues(),
        gallery: masked(&gallery.location().shown()),
        people,
        database_error: kept.and_then(|kept| kept.error.clone()),
        disk: folders
            .iter()
            .map(|folder| (folder.display().to_string(), free(folder)))
            .collect(),
    }
}

/// Bytes free for this program where `folder` lies.
fn free(folder: &Path) -> Option<u64> {
    let facts = rustix::fs::statvfs(folder).ok()?;
    Some(facts.f_bavail.saturating_mul(facts.f_frsize))
}

/// For monitoring: answers while the program runs.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// For programs.
pub async fn health(State(site): State<Site>) -> Result<Json<Value>, Response> {
    let health = blocking(move || look(&site)).await?;
    Ok(Json(json!(health)))
}
