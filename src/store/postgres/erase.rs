//! Erases deleted rows from the files of the tables.
//!
//! `VACUUM` does not report that it may not rewrite a table, or that a transaction may still see deleted rows. Both are checked, so that
//! a person is never reported as erased too early.

use std::time::Duration;

use postgres::Client;

/// Frees what was deleted, then writes the tables anew without it: its bytes would otherwise stay in the files until something
/// else takes their place. The second alone would keep what a transaction in any database of the server may still see.
/// One statement each, since several at once would be a transaction.
const ERASE: [&str; 2] = [
    "VACUUM reid_prototypes, reid_sightings, reid_identities, reid_thumbnails",
    "VACUUM (FULL) reid_prototypes, reid_sightings, reid_identities, reid_thumbnails",
];

/// What a user can do.
pub(super) const BY_HAND: &str = "Run VACUUM FULL reid_prototypes, reid_sightings, reid_identities, reid_thumbnails as their owner";

/// Those who read a table keep it from being written anew; a long wait would delay the next sync.
const PATIENCE: &str = "SET lock_timeout = '1s'";
const USUAL: &str = "SET lock_timeout = '10s'";

/// The file of every table; another one once it was written anew.
const FILES: &str = "SELECT relname::text, pg_relation_filenode(oid)::bigint FROM pg_class
    WHERE oid IN (to_regclass('reid_prototypes'), to_regclass('reid_sightings'), to_regclass('reid_identities'),
                  to_regclass('reid_thumbnails'))
    ORDER BY relname";

/// Transactions of this database that began before a deletion was over and may still see what it deleted.
const WITNESSES: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_xmin IS NOT NULL
        AND age(backend_xmin) > age($1::text::xid)";

/// How often, and how far apart, those transactions are looked for.
const LOOKS: u32 = 10;
const LOOK: Duration = Duration::from_millis(100);

/// When something was deleted, as the server counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deletion {
    /// The next transaction's number.
    transaction: String,
}

/// Why bytes may still be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotErased {
    /// Something is in the way that will go.
    Yet(String),
    /// This user may not.
    Allowed(String),
}

impl Deletion {
    /// What was deleted so far.
    pub fn now(session: &mut Client) -> Result<Self, postgres::Error> {
        let sql = "SELECT (txid_current() % 4294967296)::text";
        let transaction = session.query_one(sql, &[])?.get(0);
        Ok(Self { transaction })
    }

    /// Writes the tables anew.
    pub fn erase(&self, session: &mut Client) -> Result<(), NotErased> {
        let failed = |error: postgres::Error| {
            let cause = error
                .as_db_error()
                .map_or_else(|| error.to_string(), |e| e.message().to_owned());
            NotErased::Yet(format!("the tables cannot be written anew now ({cause})"))
        };
        let before = files(session).map_err(failed)?;
        session.batch_execute(PATIENCE).map_err(failed)?;
        let witnesses = self.witnesses(session);
        let written = ERASE
            .iter()
            .try_for_each(|statement| session.batch_execute(statement));
        session.batch_execute(USUAL).map_err(failed)?;
        written.map_err(failed)?;
        let after = files(session).map_err(failed)?;
        let old: Vec<&str> = before
            .iter()
            .filter(|table| after.contains(table))
            .map(|table| table.name.as_str())
            .collect();
        if !old.is_empty() {
            let cause = format!("this user may not write {} anew", old.join(", "));
            return Err(NotErased::Allowed(cause));
        }
        match witnesses.map_err(failed)? {
            0 => Ok(()),
            count => Err(NotErased::Yet(format!(
                "{count} transactions that began before may still read them"
            ))),
        }
    }
}

impl Deletion {
    /// How many may still see it, after a short wait: others' turns end soon.
    fn witnesses(&self, session: &mut Client) -> Result<i64, postgres::Error> {
        let mut count = 0;
        for _ in 0..LOOKS {
            count = session.query_one(WITNESSES, &[&self.transaction])?.get(0);
            if count == 0 {
                break;
            }
            std::thread::sleep(LOOK);
        }
        Ok(count)
    }
}

/// A table and the number of its file.
#[derive(PartialEq, Eq)]
struct Table {
    name: String,
    file: i64,
}

fn files(session: &mut Client) -> Result<Vec<Table>, postgres::Error> {
    let rows = session.query(FILES, &[])?;
    let table = |row: &postgres::Row| Table {
        name: row.get(0),
        file: row.get(1),
    };
    Ok(rows.iter().map(table).collect())
}
