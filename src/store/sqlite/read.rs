//! Reads a stored gallery.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Statement};

use super::rows::{fact, ids_from_bytes};
use crate::{
    core::{
        embedding::ModelFingerprint,
        identity::{Saved, SavedPerson, SavedRow, SavedScale},
        person::IdentityId,
    },
    store::{
        KeptPerson, KeptSighting,
        encoding::{shared_name, unsigned, vector_from_bytes},
    },
};

/// Everything but people.
pub(super) fn facts(connection: &Connection) -> rusqlite::Result<Saved> {
    let number = |name| -> rusqlite::Result<Option<u32>> {
        Ok(fact(connection, name)?.and_then(|value| value.parse().ok()))
    };
    let scale = fact(connection, "scale")?.and_then(|json| serde_json::from_str(&json).ok());
    let mut saved = Saved {
        next_number: Some(number("next_number")?.unwrap_or(1)),
        ..Saved::default()
    };
    let variation = fact(connection, "variation")?;
    if let (Some(scale), Some(dimension)) = (scale, number("dimension")?) {
        saved.scales.push(SavedScale {
            model: model(connection)?,
            dimension: dimension as usize,
            scale,
            variation: variation.and_then(|json| serde_json::from_str(&json).ok().map(Arc::new)),
        });
    }
    Ok(saved)
}

/// Whose vectors are kept.
fn model(connection: &Connection) -> rusqlite::Result<ModelFingerprint> {
    let hex = fact(connection, "model")?;
    let model = hex.and_then(|hex| u64::from_str_radix(&hex, 16).ok());
    Ok(ModelFingerprint(model.unwrap_or(0)))
}

/// Passes one person after the other; stops and returns false at an invalid vector.
pub(super) fn each_person(
    connection: &Connection,
    selection: &str,
    mut take: impl FnMut(SavedPerson),
) -> rusqlite::Result<bool> {
    let model = model(connection)?;
    let mut former =
        connection.prepare("SELECT former FROM former_numbers WHERE id = ?1 ORDER BY position")?;
    let mut vectors = connection.prepare(
        "SELECT camera, origin, quality, vector FROM prototypes WHERE id = ?1 ORDER BY row",
    )?;
    let mut query = connection.prepare(&format!(
        "SELECT id, name, first_seen, last_seen, apart FROM identities {selection}"
    ))?;
    let mut found = query.query([])?;
    while let Some(row) = found.next()? {
        let id: u32 = row.get(0)?;
        let previous: rusqlite::Result<Vec<IdentityId>> = former
            .query_map([id], |row| row.get(0).map(IdentityId))?
            .collect();
        let Some(rows) = rows_of(&mut vectors, id, model)? else {
            return Ok(false);
        };
        take(SavedPerson {
            id: IdentityId(id),
            name: shared_name(row.get(1)?),
            previous: previous?.into(),
            apart: ids_from_bytes(row.get_ref(4)?.as_blob()?),
            first_ns: unsigned(row.get(2)?),
            last_ns: unsigned(row.get(3)?),
            rows,
            is_new: false,
        });
    }
    Ok(true)
}

/// The appearance of a person; `None` when a vector is invalid.
fn rows_of(
    vectors: &mut Statement<'_>,
    id: u32,
    model: ModelFingerprint,
) -> rusqlite::Result<Option<Vec<SavedRow>>> {
    let mut found = vectors.query([id])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let Some(vector) = vector_from_bytes(row.get_ref(3)?.as_blob()?, model) else {
            return Ok(None);
        };
        rows.push(SavedRow {
            camera: row.get::<_, String>(0)?.into(),
            origin: IdentityId(row.get(1)?),
            weight: row.get::<_, f64>(2)? as f32,
            vector,
        });
    }
    Ok(Some(rows))
}

/// Everybody, in order of their numbers, without vectors.
pub(super) fn list(connection: &Connection) -> rusqlite::Result<Vec<KeptPerson>> {
    let mut former =
        connection.prepare("SELECT former FROM former_numbers WHERE id = ?1 ORDER BY position")?;
    let mut cameras = connection
        .prepare("SELECT DISTINCT camera FROM sightings WHERE id = ?1 ORDER BY camera")?;
    let mut query = connection.prepare(
        "SELECT id, name, first_seen, last_seen,
         (SELECT count(*) FROM prototypes WHERE prototypes.id = identities.id) FROM identities ORDER BY id",
    )?;
    let mut rows = query.query([])?;
    let mut people = Vec::new();
    while let Some(row) = rows.next()? {
        let id: u32 = row.get(0)?;
        let former: rusqlite::Result<_> = former.query_map([id], |row| row.get(0))?.collect();
        let cameras: rusqlite::Result<_> = cameras.query_map([id], |row| row.get(0))?.collect();
        people.push(KeptPerson {
            id,
            name: row.get(1)?,
            previous_ids: former?,
            first_seen_ns: row.get(2)?,
            last_seen_ns: row.get(3)?,
            vectors: row.get(4)?,
            cameras: cameras?,
        });
    }
    Ok(people)
}

/// A person's picture.
pub(super) fn thumbnail(connection: &Connection, id: u32) -> rusqlite::Result<Option<Vec<u8>>> {
    // A file of an older layout that is only looked at has none.
    let tables: i64 = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE name = 'thumbnails'",
        [],
        |row| row.get(0),
    )?;
    if tables == 0 {
        return Ok(None);
    }
    let query = "SELECT jpeg FROM thumbnails WHERE id = ?1";
    connection
        .query_row(query, [id], |row| row.get(0))
        .optional()
}

/// Who was where, in order of time; of everybody or of one.
pub(super) fn sightings(
    connection: &Connection,
    id: Option<u32>,
) -> rusqlite::Result<Vec<KeptSighting>> {
    let mut query = connection.prepare(
        "SELECT id, camera, begun, ended FROM sightings WHERE ?1 IS NULL OR id = ?1 ORDER BY begun, id, camera",
    )?;
    let rows = query.query_map([id], |row| {
        Ok(KeptSighting {
            id: row.get(0)?,
            camera: row.get(1)?,
            from_ns: row.get(2)?,
            to_ns: row.get(3)?,
        })
    })?;
    rows.collect()
}

/// The number of the person who once carried `id`.
pub(super) fn current(connection: &Connection, id: u32) -> rusqlite::Result<Option<u32>> {
    connection
        .query_row(
            "SELECT id FROM former_numbers WHERE former = ?1",
            [id],
            |row| row.get(0),
        )
        .optional()
}
