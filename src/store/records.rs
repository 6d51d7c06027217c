//! Records of the people in a store.

use std::time::{SystemTime, UNIX_EPOCH};

/// What a list shows of a person; no vectors.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeptPerson {
    /// The id.
    pub id: u32,
    /// The name, if one was given.
    pub name: Option<String>,
    /// Numbers it carried before merges, oldest first.
    pub previous_ids: Vec<u32>,
    /// First seen, ns since 1970.
    pub first_seen_ns: i64,
    /// Last seen, ns since 1970.
    pub last_seen_ns: i64,
    /// Vectors kept.
    pub vectors: u32,
    /// Cameras that saw the person.
    pub cameras: Vec<String>,
}

/// One stay of a person in the view of a camera.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeptSighting {
    /// The person's number.
    pub id: u32,
    /// The camera.
    pub camera: String,
    /// From when, ns since 1970.
    pub from_ns: i64,
    /// Until when, ns since 1970.
    pub to_ns: i64,
}

/// Now, ns since 1970.
pub(super) fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
