//! The tables, and their migration from version to version.

use postgres::Transaction;

/// One script for each version of the layout, applied in order. Tables lie in the first schema of the connection's
/// search path, so that several galleries can share a database.
const MIGRATIONS: [&str; 2] = [
    "
CREATE TABLE reid_facts (name text PRIMARY KEY, value text NOT NULL);
INSERT INTO reid_facts VALUES ('next_number', '1');
CREATE SEQUENCE reid_versions;
CREATE TABLE reid_identities (
    id integer PRIMARY KEY, name text, first_seen bigint NOT NULL, last_seen bigint NOT NULL,
    apart integer[] NOT NULL, former integer[] NOT NULL, version bigint NOT NULL, writer bigint NOT NULL);
CREATE INDEX reid_identities_by_version ON reid_identities (version);
CREATE TABLE reid_prototypes (
    id integer NOT NULL, place smallint NOT NULL, camera text NOT NULL, origin integer NOT NULL, quality real NOT NULL,
    vector bytea NOT NULL, PRIMARY KEY (id, place));
CREATE TABLE reid_sightings (
    id integer NOT NULL, camera text NOT NULL, begun bigint NOT NULL, ended bigint NOT NULL,
    PRIMARY KEY (id, camera, begun));
CREATE INDEX reid_sightings_by_time ON reid_sightings (id, begun);
CREATE TABLE reid_departed (
    id integer PRIMARY KEY, heir integer, forgotten boolean NOT NULL, version bigint NOT NULL, writer bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now());
CREATE INDEX reid_departed_by_version ON reid_departed (version);
",
    // Whoever may write people may write their pictures.
    "
CREATE TABLE reid_thumbnails (
    id integer PRIMARY KEY, camera text NOT NULL, origin integer NOT NULL, quality real NOT NULL, jpeg bytea NOT NULL);
DO $$ DECLARE who text; BEGIN
    FOR who IN SELECT DISTINCT CASE grantee WHEN 'PUBLIC' THEN 'PUBLIC' ELSE quote_ident(grantee) END
        FROM information_schema.role_table_grants
        WHERE table_schema = current_schema() AND table_name = 'reid_prototypes' AND privilege_type = 'INSERT'
    LOOP EXECUTE 'GRANT SELECT, INSERT, UPDATE, DELETE ON reid_thumbnails TO ' || who; END LOOP;
END $$;
",
];

/// The newest version.
pub(super) const NEWEST: i64 = MIGRATIONS.len() as i64;

/// Waits for one's turn among all who use the gallery; it ends with the transaction. Versions given during it are in the
/// order of commits, so nobody who asks for what is newer than the newest known misses anything.
pub(super) fn take_turn(transaction: &mut Transaction<'_>) -> Result<(), postgres::Error> {
    // "Reid", and the schema.
    transaction.execute(
        "SELECT pg_advisory_xact_lock(1382377828, hashtext(current_schema()))",
        &[],
    )?;
    Ok(())
}

/// The version of the tables that are there; 0 when there are none.
pub(super) fn version(transaction: &mut Transaction<'_>) -> Result<i64, postgres::Error> {
    let exists: bool = transaction
        .query_one("SELECT to_regclass('reid_facts') IS NOT NULL", &[])?
        .get(0);
    if !exists {
        return Ok(0);
    }
    let row = transaction.query_opt("SELECT value FROM reid_facts WHERE name = 'layout'", &[])?;
    Ok(row
        .and_then(|row| row.get::<_, String>(0).parse().ok())
        .unwrap_or(0))
}

/// Brings the tables from `version` to the newest.
pub(super) fn migrate(
    transaction: &mut Transaction<'_>,
    version: i64,
) -> Result<(), postgres::Error> {
    let done = usize::try_from(version).unwrap_or(0);
    for script in MIGRATIONS.iter().skip(done) {
        transaction.batch_execute(script)?;
    }
    if version < NEWEST {
        transaction.execute(
            "INSERT INTO reid_facts VALUES ('layout', $1)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            &[&NEWEST.to_string()],
        )?;
    }
    Ok(())
}
