//! A stored gallery on a server: read, and corrected by users.

use std::ops::Range;

use postgres::{Client, Transaction};

use super::{
    erase::{self, Deletion, NotErased},
    layout, records, rows,
    session::{USER, check, prepare, raise_number, reserve, told},
    target::Target,
};
use crate::{
    core::{
        identity::{Changes, Fate, Saved},
        person::IdentityId,
    },
    store::{
        KeptPerson, KeptSighting, StoreError,
        backend::{Purpose, Records},
    },
};

/// A server as a heap of records.
pub(in crate::store) struct Archive {
    target: Target,
    session: Client,
}

impl Archive {
    /// Connects; makes nothing, but brings tables that are to be corrected to the newest layout.
    pub fn open(uri: &str, purpose: Purpose) -> Result<Self, StoreError> {
        let target = Target::parse(uri)?;
        let mut session = target.connect()?;
        let ready = check(&mut session, &target).and_then(|()| match purpose {
            Purpose::Look => Ok(()),
            Purpose::Correct => prepare(&mut session, &target),
        });
        match ready {
            Ok(()) => Ok(Self { target, session }),
            Err(fault) => Err(told(&target, fault)),
        }
    }

    fn within<T>(
        &mut self,
        task: impl FnOnce(&mut Transaction<'_>) -> Result<T, postgres::Error>,
    ) -> Result<T, StoreError> {
        let done = self.session.transaction().and_then(|mut transaction| {
            let result = task(&mut transaction)?;
            transaction.commit()?;
            Ok(result)
        });
        done.map_err(|error| self.target.fault(&error))
    }
}

impl Records for Archive {
    fn load(&mut self, only: &[IdentityId]) -> Result<Saved, StoreError> {
        let ids: Vec<i32> = only.iter().map(|id| rows::number(*id)).collect();
        self.within(|transaction| {
            let people = records::people(transaction, &ids)?;
            Ok(Saved {
                people,
                scales: records::scales(transaction)?,
                next_number: None,
            })
        })
    }

    fn reserve(&mut self, count: u32) -> Result<Option<Range<u32>>, StoreError> {
        self.within(|transaction| {
            layout::take_turn(transaction)?;
            reserve(transaction, count.into()).map(Some)
        })
    }

    fn import(&mut self, changes: &Changes) -> Result<(), StoreError> {
        self.within(|transaction| {
            layout::take_turn(transaction)?;
            if let Some(scale) = changes.scales.first() {
                records::claim_model(transaction, scale.model)?;
            }
            raise_number(transaction, changes.next_number)?;
            records::write(transaction, changes, USER)?;
            transaction.execute("SELECT pg_notify('reid', '0')", &[])?;
            Ok(())
        })
    }

    fn write(&mut self, changes: &Changes) -> Result<(), StoreError> {
        self.within(|transaction| {
            layout::take_turn(transaction)?;
            records::write(transaction, changes, USER)?;
            transaction.execute("SELECT pg_notify('reid', '0')", &[])?;
            Ok(())
        })?;
        if changes
            .gone
            .iter()
            .any(|(_, fate)| *fate == Fate::Forgotten)
        {
            let deletion =
                Deletion::now(&mut self.session).map_err(|error| self.target.fault(&error))?;
            deletion.erase(&mut self.session).map_err(|fault| {
                let (NotErased::Yet(cause) | NotErased::Allowed(cause)) = fault;
                self.target
                    .not_erased(&format!("{cause}. {}", erase::BY_HAND))
            })?;
        }
        Ok(())
    }

    fn list(&mut self) -> Result<Vec<KeptPerson>, StoreError> {
        self.within(records::list)
    }

    fn sightings(&mut self, id: Option<u32>) -> Result<Vec<KeptSighting>, StoreError> {
        self.within(|transaction| records::sightings(transaction, id))
    }

    fn thumbnail(&mut self, id: u32) -> Result<Option<Vec<u8>>, StoreError> {
        self.within(|transaction| records::thumbnail(transaction, id))
    }

    fn current(&mut self, id: u32) -> Result<Option<u32>, StoreError> {
        self.within(|transaction| records::current(transaction, id))
    }
}
