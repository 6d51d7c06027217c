//! Setup of a session: its limits, the newest layout of the tables, and blocks of ids.

use std::ops::Range;

use postgres::{Client, Transaction};

use super::{layout, search, target::Target};
use crate::{core::identity::PROVISIONAL, store::StoreError};

/// The writer that is a user's correction.
pub(super) const USER: i64 = 0;
/// Statements that take longer are given up: others wait for the turn.
const LIMITS: &str = "SET statement_timeout = '20s'; SET lock_timeout = '10s'; \
    SET idle_in_transaction_session_timeout = '20s'; SET client_min_messages = warning";

/// A failure: of the server, or of what is kept there.
pub(super) enum Fault {
    Server(postgres::Error),
    Store(StoreError),
}

impl From<postgres::Error> for Fault {
    fn from(error: postgres::Error) -> Self {
        Self::Server(error)
    }
}

/// Makes the tables, or brings them to the newest layout.
pub(in crate::store) fn make(uri: &str) -> Result<(), StoreError> {
    let target = Target::parse(uri)?;
    let mut session = target.connect()?;
    search::install(&mut session);
    prepare(&mut session, &target).map_err(|fault| told(&target, fault))
}

/// What a failure means for the user.
pub(super) fn told(target: &Target, fault: Fault) -> StoreError {
    match fault {
        Fault::Server(error) => target.fault(&error),
        Fault::Store(error) => error,
    }
}

/// Sets the session up and brings the tables to the newest layout.
pub(super) fn prepare(session: &mut Client, target: &Target) -> Result<(), Fault> {
    session.batch_execute(LIMITS)?;
    let mut transaction = session.transaction()?;
    layout::take_turn(&mut transaction)?;
    let version = layout::version(&mut transaction)?;
    refuse_newer(version, target)?;
    layout::migrate(&mut transaction, version)?;
    search::prepare(&mut transaction)?;
    transaction.commit()?;
    Ok(())
}

/// The same without changing anything.
pub(super) fn check(session: &mut Client, target: &Target) -> Result<(), Fault> {
    session.batch_execute(LIMITS)?;
    let mut transaction = session.transaction()?;
    let version = layout::version(&mut transaction)?;
    refuse_newer(version, target)?;
    if version == 0 {
        return Err(Fault::Store(StoreError::Missing {
            location: target.shown().to_owned(),
        }));
    }
    Ok(())
}

fn refuse_newer(found: i64, target: &Target) -> Result<(), Fault> {
    if found > layout::NEWEST {
        return Err(Fault::Store(StoreError::Newer {
            location: target.shown().to_owned(),
            found,
            known: layout::NEWEST,
        }));
    }
    Ok(())
}

/// Sees to it that no id below `next` will be given again.
pub(super) fn raise_number(
    transaction: &mut Transaction<'_>,
    next: u32,
) -> Result<(), postgres::Error> {
    transaction.execute(
        "UPDATE reid_facts SET value = greatest(value::bigint, $1)::text WHERE name = 'next_number'",
        &[&i64::from(next)],
    )?;
    Ok(())
}

/// Numbers that nobody else will ever be given.
pub(super) fn reserve(
    transaction: &mut Transaction<'_>,
    count: i64,
) -> Result<Range<u32>, postgres::Error> {
    let end: i64 = transaction
        .query_one(
            "UPDATE reid_facts SET value = (value::bigint + $1)::text WHERE name = 'next_number'
             RETURNING value::bigint",
            &[&count],
        )?
        .get(0);
    // Beyond lie the numbers that processes make up themselves.
    let clamp = |number: i64| u32::try_from(number.clamp(1, i64::from(PROVISIONAL))).unwrap_or(1);
    Ok(clamp(end - count)..clamp(end))
}
