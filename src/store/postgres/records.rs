//! People, sightings and ids as rows of the tables of [`super::layout`].

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use postgres::{Row, Transaction, types::ToSql};

use super::{
    rows::{Done, identities, identity, number, numbers},
    search,
};
use crate::{
    core::{
        embedding::ModelFingerprint,
        identity::{
            Changes, Fate, Move, Part, SavedPerson, SavedRow, SavedScale, SavedSighting,
            SavedThumbnail,
        },
        person::IdentityId,
    },
    inference::embedder,
    store::{
        KeptPerson, KeptSighting,
        encoding::{
            shared_name, signed, thumbnail_to_jpeg, unsigned, vector_from_bytes, vector_to_bytes,
        },
    },
};

/// What others wrote.
pub(super) struct News {
    /// People, least recently seen first, without vectors: see [`with_vectors`] and [`Self::writer`].
    pub people: Vec<Row>,
    pub gone: Vec<(IdentityId, Fate)>,
    /// The newest version that there is.
    pub version: i64,
}

impl News {
    /// Who wrote one of the people.
    pub fn writer(row: &Row) -> i64 {
        row.get(6)
    }
}

// ---- facts ----

fn fact(transaction: &mut Transaction<'_>, name: &str) -> Done<Option<String>> {
    let row = transaction.query_opt("SELECT value FROM reid_facts WHERE name = $1", &[&name])?;
    Ok(row.map(|row| row.get(0)))
}

/// The model whose vectors are kept, if there are any.
pub(super) fn model(transaction: &mut Transaction<'_>) -> Done<Option<ModelFingerprint>> {
    let hex = fact(transaction, "model")?;
    let model = hex.and_then(|hex| u64::from_str_radix(&hex, 16).ok());
    Ok(model.map(ModelFingerprint))
}

/// What its file is called, if that was known.
pub(super) fn model_name(transaction: &mut Transaction<'_>) -> Done<Option<String>> {
    fact(transaction, "model_name")
}

/// Says whose vectors are kept, where nobody did before.
pub(super) fn claim_model(transaction: &mut Transaction<'_>, model: ModelFingerprint) -> Done<()> {
    let claimed = transaction.execute(
        "INSERT INTO reid_facts VALUES ('model', $1) ON CONFLICT (name) DO NOTHING",
        &[&format!("{:016x}", model.0)],
    )?;
    if let Some(name) = embedder::model_name(model).filter(|_| claimed > 0) {
        transaction.execute(
            "INSERT INTO reid_facts VALUES ('model_name', $1) ON CONFLICT (name) DO NOTHING",
            &[&name],
        )?;
    }
    Ok(())
}

/// What scores mean, as the process that wrote last has learnt it.
pub(super) fn scales(transaction: &mut Transaction<'_>) -> Done<Vec<SavedScale>> {
    let model = model(transaction)?;
    let dimension = fact(transaction, "dimension")?.and_then(|text| text.parse().ok());
    let scale = fact(transaction, "scale")?.and_then(|json| serde_json::from_str(&json).ok());
    let variation = fact(transaction, "variation")?;
    Ok(match (model, dimension, scale) {
        (Some(model), Some(dimension), Some(scale)) => vec![SavedScale {
            model,
            dimension,
            scale,
            variation: variation.and_then(|json| serde_json::from_str(&json).ok().map(Arc::new)),
        }],
        _ => Vec::new(),
    })
}

// ---- reading ----

/// Everything that is newer than `since` and that somebody other than `writer` wrote.
pub(super) fn news(transaction: &mut Transaction<'_>, since: i64, writer: i64) -> Done<News> {
    let version = transaction
        .query_one(
            "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM reid_versions",
            &[],
        )?
        .get(0);
    let rows = transaction.query(
        "SELECT id, name, first_seen, last_seen, apart, former, writer FROM reid_identities
         WHERE version > $1 AND writer <> $2 ORDER BY last_seen, id",
        &[&since, &writer],
    )?;
    let gone = transaction.query(
        "SELECT id, heir, forgotten FROM reid_departed WHERE version > $1 AND writer <> $2 ORDER BY version",
        &[&since, &writer],
    )?;
    Ok(News {
        people: rows,
        gone: gone.iter().map(departed).collect(),
        version,
    })
}

fn departed(row: &Row) -> (IdentityId, Fate) {
    let heir: Option<i32> = row.get(1);
    let fate = match heir {
        Some(heir) => Fate::Merged(identity(heir)),
        None if row.get(2) => Fate::Forgotten,
        None => Fate::Expired,
    };
    (identity(row.get(0)), fate)
}

/// Some people.
pub(super) fn people(transaction: &mut Transaction<'_>, ids: &[i32]) -> Done<Vec<SavedPerson>> {
    let rows = transaction.query(
        "SELECT id, name, first_seen, last_seen, apart, former FROM reid_identities WHERE id = ANY($1)",
        &[&ids],
    )?;
    with_vectors(transaction, &rows)
}

/// People with their vectors, a few at a time: nobody is in memory twice for long.
pub(super) fn with_vectors(
    transaction: &mut Transaction<'_>,
    rows: &[Row],
) -> Done<Vec<SavedPerson>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let model = model(transaction)?.unwrap_or(ModelFingerprint(0));
    let ids: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    let vectors = transaction.query(
        "SELECT id, camera, origin, quality, vector FROM reid_prototypes WHERE id = ANY($1) ORDER BY id, place",
        &[&ids],
    )?;
    let mut of: HashMap<i32, Vec<SavedRow>> = HashMap::new();
    for row in &vectors {
        // A damaged vector is none.
        if let Some(vector) = vector_from_bytes(row.get(4), model) {
            of.entry(row.get(0)).or_default().push(SavedRow {
                camera: row.get::<_, String>(1).into(),
                origin: identity(row.get(2)),
                weight: row.get(3),
                vector,
            });
        }
    }
    Ok(rows.iter().map(|row| person(row, &mut of)).collect())
}

fn person(row: &Row, vectors: &mut HashMap<i32, Vec<SavedRow>>) -> SavedPerson {
    let id: i32 = row.get(0);
    SavedPerson {
        id: identity(id),
        name: shared_name(row.get(1)),
        first_ns: unsigned(row.get(2)),
        last_ns: unsigned(row.get(3)),
        apart: identities(&row.get::<_, Vec<i32>>(4)),
        previous: identities(&row.get::<_, Vec<i32>>(5)).into(),
        rows: vectors.remove(&id).unwrap_or_default(),
        is_new: false,
    }
}

/// The numbers of everybody.
pub(super) fn ids(transaction: &mut Transaction<'_>) -> Done<HashSet<IdentityId>> {
    let rows = transaction.query("SELECT id FROM reid_identities", &[])?;
    Ok(rows.iter().map(|row| identity(row.get(0))).collect())
}

/// Everybody, in order of their numbers, without vectors.
pub(super) fn list(transaction: &mut Transaction<'_>) -> Done<Vec<KeptPerson>> {
    let rows = transaction.query(
        "SELECT id, name, first_seen, last_seen, former,
         (SELECT count(*) FROM reid_prototypes p WHERE p.id = i.id),
         ARRAY(SELECT DISTINCT camera FROM reid_sightings s WHERE s.id = i.id ORDER BY camera)
         FROM reid_identities i ORDER BY id",
        &[],
    )?;
    let people = rows.iter().map(|row| KeptPerson {
        id: identity(row.get(0)).0,
        name: row.get(1),
        first_seen_ns: row.get(2),
        last_seen_ns: row.get(3),
        previous_ids: identities(&row.get::<_, Vec<i32>>(4))
            .iter()
            .map(|id| id.0)
            .collect(),
        vectors: u32::try_from(row.get::<_, i64>(5)).unwrap_or(u32::MAX),
        cameras: row.get(6),
    });
    Ok(people.collect())
}

/// Who was where, in order of time; of everybody or of one.
pub(super) fn sightings(
    transaction: &mut Transaction<'_>,
    id: Option<u32>,
) -> Done<Vec<KeptSighting>> {
    let id = id.map(|id| number(IdentityId(id)));
    let rows = transaction.query(
        "SELECT id, camera, begun, ended FROM reid_sightings WHERE $1::integer IS NULL OR id = $1
         ORDER BY begun, id, camera",
        &[&id],
    )?;
    let sightings = rows.iter().map(|row| KeptSighting {
        id: identity(row.get(0)).0,
        camera: row.get(1),
        from_ns: row.get(2),
        to_ns: row.get(3),
    });
    Ok(sightings.collect())
}

/// A person's picture.
pub(super) fn thumbnail(transaction: &mut Transaction<'_>, id: u32) -> Done<Option<Vec<u8>>> {
    // Tables of an older layout that are only looked at have none.
    let exists = "SELECT to_regclass('reid_thumbnails') IS NOT NULL";
    if !transaction.query_one(exists, &[])?.get::<_, bool>(0) {
        return Ok(None);
    }
    let row = transaction.query_opt(
        "SELECT jpeg FROM reid_thumbnails WHERE id = $1",
        &[&number(IdentityId(id))],
    )?;
    Ok(row.map(|row| row.get(0)))
}

/// The number of the person who once carried `id`.
pub(super) fn current(transaction: &mut Transaction<'_>, id: u32) -> Done<Option<u32>> {
    let row = transaction.query_opt(
        "SELECT id FROM reid_identities WHERE $1 = ANY(former) LIMIT 1",
        &[&number(IdentityId(id))],
    )?;
    Ok(row.map(|row| identity(row.get(0)).0))
}

// ---- writing ----

/// Writes changes, as those of `writer`.
pub(super) fn write(transaction: &mut Transaction<'_>, changes: &Changes, writer: i64) -> Done<()> {
    let column = if changes.people.is_empty() {
        None
    } else {
        search::column(transaction)?
    };
    for person in &changes.people {
        write_person(transaction, person, writer, column.as_deref())?;
    }
    for moved in &changes.moves {
        write_move(transaction, moved)?;
    }
    for &(id, fate) in &changes.gone {
        erase(transaction, id, fate, writer)?;
    }
    if !changes.gone.is_empty() {
        // What scores mean was learnt from these people.
        transaction.execute(
            "DELETE FROM reid_facts WHERE name IN ('scale', 'variation', 'dimension')
             AND NOT EXISTS (SELECT FROM reid_identities)",
            &[],
        )?;
    }
    write_sightings(transaction, &changes.sightings)?;
    for (id, thumbnail) in &changes.thumbnails {
        write_thumbnail(transaction, *id, thumbnail)?;
    }
    if let Some(scale) = changes
        .scales
        .first()
        .filter(|_| !changes.people.is_empty())
    {
        let json = serde_json::to_string(&scale.scale).unwrap_or_default();
        transaction.execute(
            "INSERT INTO reid_facts VALUES ('dimension', $1), ('scale', $2)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            &[&scale.dimension.to_string(), &json],
        )?;
        if let Some(variation) = &scale.variation {
            let json = serde_json::to_string(&**variation).unwrap_or_default();
            transaction.execute(
                "INSERT INTO reid_facts VALUES ('variation', $1)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                &[&json],
            )?;
        }
    }
    Ok(())
}

/// `searched` is the type of the column for other programs, where it is there.
fn write_person(
    transaction: &mut Transaction<'_>,
    person: &SavedPerson,
    writer: i64,
    searched: Option<&str>,
) -> Done<()> {
    let id = number(person.id);
    let rows = &person.rows;
    let places: Vec<i16> = (0_i16..).take(rows.len()).collect();
    let cameras: Vec<&str> = rows.iter().map(|row| &*row.camera).collect();
    let origins: Vec<i32> = rows.iter().map(|row| number(row.origin)).collect();
    let qualities: Vec<f32> = rows.iter().map(|row| row.weight).collect();
    let vectors: Vec<Vec<u8>> = rows
        .iter()
        .map(|row| vector_to_bytes(&row.vector))
        .collect();
    let searched_rows = rows.iter().filter(|_| searched.is_some());
    let texts: Vec<String> = searched_rows
        .map(|row| search::literal(&row.vector))
        .collect();
    let (name, first, last) = (
        person.name.as_deref(),
        signed(person.first_ns),
        signed(person.last_ns),
    );
    let (apart, former) = (numbers(&person.apart), numbers(&person.previous));
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![
        &id, &places, &cameras, &origins, &qualities, &vectors, &name, &first, &last, &apart,
        &former, &writer,
    ];
    if searched.is_some() {
        values.push(&texts);
    }
    transaction.execute(&person_statement(searched), &values)?;
    Ok(())
}

/// One statement a person; rows that are as they were are not written again.
fn person_statement(searched: Option<&str>) -> String {
    let (columns, copied, list, set) = match searched {
        Some(kind) => (
            ", embedding",
            format!(", embedding::{kind}"),
            ", $13::text[]",
            ", embedding = excluded.embedding",
        ),
        None => ("", String::new(), "", ""),
    };
    format!(
        "WITH back AS (DELETE FROM reid_departed WHERE id = $1),
         fewer AS (DELETE FROM reid_prototypes WHERE id = $1 AND place >= cardinality($2::smallint[])),
         rows AS (
             INSERT INTO reid_prototypes AS p (id, place, camera, origin, quality, vector{columns})
             SELECT $1, place, camera, origin, quality, vector{copied}
             FROM unnest($2::smallint[], $3::text[], $4::integer[], $5::real[], $6::bytea[]{list})
             AS new (place, camera, origin, quality, vector{columns})
             ON CONFLICT (id, place) DO UPDATE SET camera = excluded.camera, origin = excluded.origin,
             quality = excluded.quality, vector = excluded.vector{set}
             WHERE p.vector <> excluded.vector OR p.quality <> excluded.quality OR p.camera <> excluded.camera)
         INSERT INTO reid_identities VALUES ($1, $7, $8, $9, $10, $11, nextval('reid_versions'), $12)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, first_seen = excluded.first_seen,
         last_seen = excluded.last_seen, apart = excluded.apart, former = excluded.former,
         version = excluded.version, writer = excluded.writer"
    )
}

/// The better picture stays. A person whom others have erased meanwhile gets none.
fn write_thumbnail(
    transaction: &mut Transaction<'_>,
    id: IdentityId,
    thumbnail: &SavedThumbnail,
) -> Done<()> {
    let Some(jpeg) = thumbnail_to_jpeg(&thumbnail.picture) else {
        return Ok(());
    };
    transaction.execute(
        &format!(
            "INSERT INTO reid_thumbnails AS t
             SELECT $1, $2, $3, $4, $5 WHERE EXISTS (SELECT FROM reid_identities WHERE id = $1)
             {BETTER_THUMBNAIL}"
        ),
        &[
            &number(id),
            &&*thumbnail.camera,
            &number(thumbnail.origin),
            &thumbnail.quality,
            &jpeg,
        ],
    )?;
    Ok(())
}

/// What becomes of a picture where there is one already.
const BETTER_THUMBNAIL: &str = "ON CONFLICT (id) DO UPDATE SET
    camera = excluded.camera, origin = excluded.origin, quality = excluded.quality, jpeg = excluded.jpeg
    WHERE excluded.quality >= t.quality";

/// Gives what is kept of one person to another.
fn write_move(transaction: &mut Transaction<'_>, moved: &Move) -> Done<()> {
    let (from, into) = (number(moved.from), number(moved.into));
    if let Part::Camera(name) = &moved.part {
        transaction.execute(
            "WITH moved AS (DELETE FROM reid_sightings WHERE id = $1 AND camera = $2 RETURNING camera, begun, ended)
             INSERT INTO reid_sightings AS s SELECT $3, * FROM moved
             ON CONFLICT (id, camera, begun) DO UPDATE SET ended = greatest(s.ended, excluded.ended)",
            &[&from, &&**name, &into],
        )?;
    }
    // The picture goes where both conditions hold.
    let (camera, origin) = match &moved.part {
        Part::Camera(name) => (Some(&**name), None),
        Part::Origin(origin) => (None, Some(number(*origin))),
        Part::Picture => (None, None),
    };
    transaction.execute(
        &format!(
            "WITH moved AS (
                 DELETE FROM reid_thumbnails WHERE id = $1 AND ($3::text IS NULL OR camera = $3)
                 AND ($4::integer IS NULL OR origin = $4) RETURNING camera, origin, quality, jpeg)
             INSERT INTO reid_thumbnails AS t SELECT $2, * FROM moved {BETTER_THUMBNAIL}"
        ),
        &[&from, &into, &camera, &origin],
    )?;
    Ok(())
}

/// Removes a number; its sightings and its picture go with the person where there still is one.
fn erase(transaction: &mut Transaction<'_>, id: IdentityId, fate: Fate, writer: i64) -> Done<()> {
    let heir = match fate {
        Fate::Merged(into) => Some(number(into)),
        Fate::Expired | Fate::Forgotten => None,
    };
    let id = number(id);
    if let Some(heir) = heir {
        transaction.execute(
            "INSERT INTO reid_sightings SELECT $2, camera, begun, ended FROM reid_sightings WHERE id = $1
             ON CONFLICT DO NOTHING",
            &[&id, &heir],
        )?;
        transaction.execute(
            &format!(
                "INSERT INTO reid_thumbnails AS t
                 SELECT $2, camera, origin, quality, jpeg FROM reid_thumbnails WHERE id = $1
                 {BETTER_THUMBNAIL}"
            ),
            &[&id, &heir],
        )?;
    }
    transaction.execute(
        "WITH a AS (DELETE FROM reid_sightings WHERE id = $1),
         t AS (DELETE FROM reid_thumbnails WHERE id = $1),
         b AS (DELETE FROM reid_prototypes WHERE id = $1),
         c AS (DELETE FROM reid_identities WHERE id = $1)
         INSERT INTO reid_departed VALUES ($1, $2, $3, nextval('reid_versions'), $4)
         ON CONFLICT (id) DO UPDATE SET heir = excluded.heir, forgotten = excluded.forgotten,
         version = excluded.version, writer = excluded.writer, at = now()",
        &[&id, &heir, &(fate == Fate::Forgotten), &writer],
    )?;
    Ok(())
}

fn write_sightings(transaction: &mut Transaction<'_>, sightings: &[SavedSighting]) -> Done<()> {
    if sightings.is_empty() {
        return Ok(());
    }
    let ids: Vec<i32> = sightings.iter().map(|s| number(s.id)).collect();
    let cameras: Vec<&str> = sightings.iter().map(|s| &*s.camera).collect();
    let begun: Vec<i64> = sightings.iter().map(|s| signed(s.from_ns)).collect();
    let ended: Vec<i64> = sightings.iter().map(|s| signed(s.to_ns)).collect();
    transaction.execute(
        "INSERT INTO reid_sightings AS s
         SELECT id, camera, begun, max(ended)
         FROM unnest($1::integer[], $2::text[], $3::bigint[], $4::bigint[]) AS new (id, camera, begun, ended)
         GROUP BY id, camera, begun
         ON CONFLICT (id, camera, begun) DO UPDATE SET ended = greatest(s.ended, excluded.ended)",
        &[&ids, &cameras, &begun, &ended],
    )?;
    Ok(())
}
