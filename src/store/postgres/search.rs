//! A second copy of every vector for other programs, if the server has `pgvector`: the column `embedding` of `reid_prototypes`, to
//! be searched with `<=>`. Galleries decide with their copy in memory and never read it.

use postgres::{Client, Transaction};

use super::rows::{Done, number};
use crate::core::{
    embedding::{Embedding, ModelFingerprint},
    person::IdentityId,
};
use crate::store::encoding::vector_from_bytes;

/// Rows that get their copy in one go.
const CHUNK: i64 = 256;

/// Installs the extension where the server offers it and this user may.
pub(super) fn install(session: &mut Client) {
    let offered = session.query_one(
        "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector')",
        &[],
    );
    if offered.is_ok_and(|row| row.get(0)) {
        // Whoever may not can ask an administrator; the gallery does without.
        let _ = session.batch_execute("CREATE EXTENSION IF NOT EXISTS vector");
    }
}

/// Adds and fills the column where the extension is installed, the column is not there and the tables are this user's.
pub(super) fn prepare(transaction: &mut Transaction<'_>) -> Done<()> {
    let row = transaction.query_opt(
        "SELECT quote_ident(n.nspname) || '.vector' FROM pg_extension e, pg_namespace n, pg_class c
         WHERE e.extname = 'vector' AND n.oid = e.extnamespace AND c.oid = to_regclass('reid_prototypes')
         AND pg_has_role(current_user, c.relowner, 'USAGE')",
        &[],
    )?;
    let Some(row) = row else { return Ok(()) };
    if column(transaction)?.is_some() {
        return Ok(());
    }
    let kind: String = row.get(0);
    transaction.batch_execute(&format!(
        "ALTER TABLE reid_prototypes ADD COLUMN embedding {kind}"
    ))?;
    fill(transaction, &kind)
}

fn fill(transaction: &mut Transaction<'_>, kind: &str) -> Done<()> {
    let (mut id, mut place) = (number(IdentityId(0)), 0_i16);
    loop {
        let rows = transaction.query(
            "SELECT id, place, vector FROM reid_prototypes WHERE (id, place) > ($1, $2)
             ORDER BY id, place LIMIT $3",
            &[&id, &place, &CHUNK],
        )?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        (id, place) = (last.get(0), last.get(1));
        let ids: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
        let places: Vec<i16> = rows.iter().map(|row| row.get(1)).collect();
        let texts: Vec<Option<String>> = rows
            .iter()
            .map(|row| {
                // A damaged vector has no copy.
                let vector = vector_from_bytes(row.get(2), ModelFingerprint(0));
                vector.as_ref().map(literal)
            })
            .collect();
        transaction.execute(
            &format!(
                "UPDATE reid_prototypes p SET embedding = t.embedding::{kind}
                 FROM unnest($1::integer[], $2::smallint[], $3::text[]) AS t (id, place, embedding)
                 WHERE p.id = t.id AND p.place = t.place"
            ),
            &[&ids, &places, &texts],
        )?;
    }
}

/// The type of the column, as statements name it; `None` where there is no column. Others may add or drop it at any time.
pub(super) fn column(transaction: &mut Transaction<'_>) -> Done<Option<String>> {
    let row = transaction.query_opt(
        "SELECT atttypid::regtype::text FROM pg_attribute
         WHERE attrelid = to_regclass('reid_prototypes') AND attname = 'embedding' AND NOT attisdropped",
        &[],
    )?;
    Ok(row.map(|row| row.get(0)))
}

/// A vector as the extension reads it, which takes up to 16,000 numbers (pgvector 0.8).
pub(super) fn literal(vector: &Embedding) -> String {
    let numbers: Vec<String> = vector.values().iter().map(f32::to_string).collect();
    format!("[{}]", numbers.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_what_the_extension_reads() {
        let vector = |values: &[f32]| Embedding::normalised(values, ModelFingerprint(1)).unwrap();
        let text = literal(&vector(&[0.6, -0.8, 0.0]));
        assert_eq!(text, "[0.6,-0.8,0]");
    }
}
