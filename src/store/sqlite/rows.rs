//! Conversion between the gallery and rows of the tables.

use rusqlite::{Connection, OptionalExtension};

use crate::core::person::IdentityId;

/// A fact of the gallery as a whole.
pub(super) fn fact(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    connection
        .query_row("SELECT value FROM facts WHERE name = ?1", [name], |row| {
            row.get(0)
        })
        .optional()
}

/// Notes a fact in place of an earlier one.
pub(super) fn set_fact(connection: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO facts VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )?
        .execute([name, value])?;
    Ok(())
}

/// Numbers of people as bytes: 32 bits each, little endian.
pub(super) fn ids_to_bytes(ids: &[IdentityId]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.0.to_le_bytes()).collect()
}

/// And back.
pub(super) fn ids_from_bytes(bytes: &[u8]) -> Vec<IdentityId> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers
        .iter()
        .map(|b| IdentityId(u32::from_le_bytes(*b)))
        .collect()
}
