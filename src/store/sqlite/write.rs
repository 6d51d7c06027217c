//! Writes changes of a gallery.

use rusqlite::{Connection, ToSql, params};

use super::rows::{ids_to_bytes, set_fact};
use crate::{
    core::{
        identity::{Changes, Fate, Move, Part, SavedPerson, SavedSighting, SavedThumbnail},
        person::IdentityId,
    },
    inference::embedder::model_name,
    store::encoding::{MAX_SIGHTINGS, signed, thumbnail_to_jpeg, vector_to_bytes},
};

/// Tables whose rows belong to the person `id`.
const TABLES_OF_PEOPLE: [&str; 5] = [
    "sightings",
    "prototypes",
    "thumbnails",
    "former_numbers",
    "identities",
];

/// Writes changes; the caller has begun a transaction.
pub(super) fn write(connection: &Connection, changes: &Changes) -> rusqlite::Result<()> {
    for person in &changes.people {
        write_person(connection, person)?;
    }
    for moved in &changes.moves {
        write_move(connection, moved)?;
    }
    for &(id, fate) in &changes.gone {
        erase(connection, id, fate)?;
    }
    if !changes.gone.is_empty() {
        // What scores mean was learnt from these people; without them another model may come.
        connection
            .prepare_cached(
                "DELETE FROM facts WHERE name IN ('scale', 'variation', 'dimension', 'model', 'model_name')
                 AND NOT EXISTS (SELECT 1 FROM identities)",
            )?
            .execute([])?;
    }
    for sighting in &changes.sightings {
        write_sighting(connection, sighting)?;
    }
    for (id, thumbnail) in &changes.thumbnails {
        write_thumbnail(connection, *id, thumbnail)?;
    }
    if let Some(scale) = changes
        .scales
        .first()
        .filter(|_| !changes.people.is_empty())
    {
        set_fact(connection, "model", &format!("{:016x}", scale.model.0))?;
        if let Some(name) = model_name(scale.model) {
            set_fact(connection, "model_name", &name)?;
        }
        set_fact(connection, "dimension", &scale.dimension.to_string())?;
        // The scale's own numbers are finite: a plain record of them cannot fail to be written.
        let json = serde_json::to_string(&scale.scale).unwrap_or_default();
        set_fact(connection, "scale", &json)?;
        if let Some(variation) = &scale.variation {
            let json = serde_json::to_string(&**variation).unwrap_or_default();
            set_fact(connection, "variation", &json)?;
        }
    }
    Ok(())
}

fn write_person(connection: &Connection, person: &SavedPerson) -> rusqlite::Result<()> {
    let id = person.id.0;
    connection
        .prepare_cached(
            "INSERT INTO identities VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE SET
             name = excluded.name, first_seen = excluded.first_seen, last_seen = excluded.last_seen, apart = excluded.apart",
        )?
        .execute(params![
            id,
            person.name.as_deref(),
            signed(person.first_ns),
            signed(person.last_ns),
            ids_to_bytes(&person.apart)
        ])?;
    connection
        .prepare_cached("DELETE FROM former_numbers WHERE id = ?1")?
        .execute([id])?;
    for (position, former) in person.previous.iter().enumerate() {
        connection
            .prepare_cached("INSERT OR REPLACE INTO former_numbers VALUES (?1, ?2, ?3)")?
            .execute(params![former.0, id, position as i64])?;
    }
    for (index, row) in person.rows.iter().enumerate() {
        // Most rows stay as they are: what is equal is not written again.
        connection
            .prepare_cached(
                "INSERT INTO prototypes VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id, row) DO UPDATE SET
                 camera = excluded.camera, origin = excluded.origin, quality = excluded.quality, vector = excluded.vector
                 WHERE vector != excluded.vector OR quality != excluded.quality OR camera != excluded.camera",
            )?
            .execute(params![
                id,
                index as i64,
                &*row.camera,
                row.origin.0,
                f64::from(row.weight),
                vector_to_bytes(&row.vector)
            ])?;
    }
    connection
        .prepare_cached("DELETE FROM prototypes WHERE id = ?1 AND row >= ?2")?
        .execute(params![id, person.rows.len() as i64])?;
    Ok(())
}

/// The better picture stays.
fn write_thumbnail(
    connection: &Connection,
    id: IdentityId,
    thumbnail: &SavedThumbnail,
) -> rusqlite::Result<()> {
    let Some(jpeg) = thumbnail_to_jpeg(&thumbnail.picture) else {
        return Ok(());
    };
    connection
        .prepare_cached(&format!(
            "INSERT INTO thumbnails VALUES (?1, ?2, ?3, ?4, ?5) {BETTER_THUMBNAIL}"
        ))?
        .execute(params![
            id.0,
            &*thumbnail.camera,
            thumbnail.origin.0,
            f64::from(thumbnail.quality),
            jpeg
        ])?;
    Ok(())
}

/// What becomes of a picture where there is one already.
const BETTER_THUMBNAIL: &str = "ON CONFLICT (id) DO UPDATE SET
    camera = excluded.camera, origin = excluded.origin, quality = excluded.quality, jpeg = excluded.jpeg
    WHERE excluded.quality >= thumbnails.quality";

/// Gives what is kept of one person to another.
fn write_move(connection: &Connection, moved: &Move) -> rusqlite::Result<()> {
    let (from, into) = (moved.from.0, moved.into.0);
    // The picture goes where the condition holds.
    let (condition, value): (&str, Box<dyn ToSql>) = match &moved.part {
        Part::Camera(name) => ("camera = ?2", Box::new(name.to_string())),
        Part::Origin(origin) => ("origin = ?2", Box::new(origin.0)),
        Part::Picture => ("?2", Box::new(1)),
    };
    if let Part::Camera(name) = &moved.part {
        connection
            .prepare_cached(
                "INSERT INTO sightings SELECT ?3, camera, begun, ended FROM sightings WHERE id = ?1 AND camera = ?2
                 ON CONFLICT (id, camera, begun) DO UPDATE SET ended = max(ended, excluded.ended)",
            )?
            .execute(params![from, &**name, into])?;
        connection
            .prepare_cached("DELETE FROM sightings WHERE id = ?1 AND camera = ?2")?
            .execute(params![from, &**name])?;
    }
    connection
        .prepare_cached(&format!(
            "INSERT INTO thumbnails SELECT ?3, camera, origin, quality, jpeg FROM thumbnails
             WHERE id = ?1 AND {condition} {BETTER_THUMBNAIL}"
        ))?
        .execute(params![from, value, into])?;
    connection
        .prepare_cached(&format!(
            "DELETE FROM thumbnails WHERE id = ?1 AND {condition}"
        ))?
        .execute(params![from, value])?;
    Ok(())
}

/// Removes a number; its sightings and its picture go with the person where there still is one.
fn erase(connection: &Connection, id: IdentityId, fate: Fate) -> rusqlite::Result<()> {
    if let Fate::Merged(into) = fate {
        connection
            .prepare_cached("UPDATE OR IGNORE sightings SET id = ?2 WHERE id = ?1")?
            .execute([id.0, into.0])?;
        connection
            .prepare_cached(&format!(
                "INSERT INTO thumbnails SELECT ?2, camera, origin, quality, jpeg FROM thumbnails WHERE id = ?1
                 {BETTER_THUMBNAIL}"
            ))?
            .execute([id.0, into.0])?;
    }
    for table in TABLES_OF_PEOPLE {
        connection
            .prepare_cached(&format!("DELETE FROM {table} WHERE id = ?1"))?
            .execute([id.0])?;
    }
    Ok(())
}

fn write_sighting(connection: &Connection, sighting: &SavedSighting) -> rusqlite::Result<()> {
    let (id, begun) = (sighting.id.0, signed(sighting.from_ns));
    connection
        .prepare_cached(
            "INSERT INTO sightings VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id, camera, begun) DO UPDATE SET ended = max(ended, excluded.ended)",
        )?
        .execute(params![
            id,
            &*sighting.camera,
            begun,
            signed(sighting.to_ns)
        ])?;
    connection
        .prepare_cached(
            "DELETE FROM sightings WHERE id = ?1 AND begun <
             (SELECT begun FROM sightings WHERE id = ?1 ORDER BY begun DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![id, MAX_SIGHTINGS - 1])?;
    Ok(())
}
