//! A gallery on a PostgreSQL server, shared by processes and machines.
//!
//! Each process has a copy in memory and decides with it; this thread syncs changes with the others. A writer waits for its turn (an
//! advisory lock), first reads the changes of others, and only then writes: a person whom two machines met in the same second is
//! compared with the first one's record before the second one's id is stored, and the two are merged. The server hands out blocks of ids
//! once. While it is unreachable, people get provisional ids of the process, which are replaced when it returns.

mod archive;
mod environment;
mod erase;
mod layout;
mod records;
mod rows;
mod search;
mod session;
mod target;
mod tls;

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use postgres::{Client, Transaction, fallible_iterator::FallibleIterator};

pub(super) use self::{archive::Archive, session::make};
use self::{
    erase::{Deletion, NotErased},
    records::News,
    session::{Fault, USER, prepare, reserve, told},
    target::Target,
};
use super::{
    StoreError,
    backend::Database,
    encoding::{BATCH, BATCHES, MAX_SIGHTINGS, first_provisional, random, signed},
    model_lock::{ModelLock, described},
    records::wall_ns,
};
use crate::{
    core::{
        identity::{Authority, Changes, Fate, Gallery, Saved},
        person::IdentityId,
    },
    sync::lock,
};

/// How often to look for news.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long changes of people whom the others know may wait.
const WRITE_EVERY: Duration = Duration::from_millis(900);
/// How often what others did is looked for without being told.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often old records are dropped.
const SWEEP: Duration = Duration::from_secs(600);
/// For so long it is remembered that a number is gone.
const MEMORY_OF_GONE: &str = "7 days";
/// Ids that a process has reserved: the minimum, and the size of a block. Enough for a short outage.
const LOW: u32 = 64;
const BLOCK: i64 = 128;
/// How long to wait before what could not be erased is tried again.
const ERASE_EVERY: Duration = Duration::from_secs(3);
/// A server that keeps a gallery.
pub(super) struct Postgres {
    target: Target,
    model: Arc<ModelLock>,
    /// Id of this writer, so that a process does not read its own changes.
    writer: i64,
    session: Option<Client>,
    /// The newest change of others that was taken in; 0 before any.
    version: i64,
    written: Instant,
    looked: Instant,
    swept: Instant,
    /// What is still to be erased, and when it was last tried.
    to_erase: Option<(Deletion, Option<Instant>)>,
}

/// What one turn brought.
#[derive(Default)]
struct Turn {
    version: i64,
    forgot: bool,
    more: bool,
}

impl Postgres {
    /// Reads the location; does not connect.
    pub fn new(uri: &str, model: Arc<ModelLock>) -> Result<Self, StoreError> {
        let now = Instant::now();
        Ok(Self {
            target: Target::parse(uri)?,
            model,
            writer: random().max(1),
            session: None,
            version: 0,
            written: now,
            looked: now,
            swept: now,
            to_erase: None,
        })
    }

    /// Connects where there is no connection, and takes in everything that is new since the last one.
    fn join(&mut self, gallery: &Mutex<Gallery>) -> Result<(), StoreError> {
        if self
            .session
            .as_ref()
            .is_some_and(|session| !session.is_closed())
        {
            return Ok(());
        }
        self.session = None;
        let mut session = self.target.connect()?;
        let result = self.greet(&mut session, gallery);
        result.map_err(|fault| told(&self.target, fault))?;
        self.session = Some(session);
        self.looked = Instant::now();
        Ok(())
    }

    fn greet(&mut self, session: &mut Client, gallery: &Mutex<Gallery>) -> Result<(), Fault> {
        prepare(session, &self.target)?;
        session.batch_execute("LISTEN reid")?;
        let first = self.version == 0;
        let mut transaction = session.transaction()?;
        layout::take_turn(&mut transaction)?;
        self.check_model(&mut transaction)?;
        let numbers = reserve(&mut transaction, BLOCK)?;
        if first {
            let scales = records::scales(&mut transaction)?;
            lock(gallery).learn_scales(scales);
        } else {
            let known = records::ids(&mut transaction)?;
            depart_missing(&mut lock(gallery), &known);
        }
        let version = self.take_in(&mut transaction, gallery)?;
        transaction.commit()?;
        self.version = version;
        let mut gallery = lock(gallery);
        gallery.reserve_numbers(numbers);
        gallery.replace_provisional();
        Ok(())
    }

    /// Refuses a database that holds another model's vectors.
    fn check_model(&self, transaction: &mut Transaction<'_>) -> Result<(), Fault> {
        let Some(theirs) = records::model(transaction)? else {
            return Ok(());
        };
        let name = records::model_name(transaction)?;
        let described = described(theirs, name.as_deref());
        self.model.admit_kept(theirs, name).map_err(|ours| {
            Fault::Store(StoreError::OtherModel {
                location: self.target.shown().to_owned(),
                theirs: described,
                ours,
            })
        })
    }

    /// Takes in what others wrote since the last time; people of this gallery that nobody keeps yet and that turn out
    /// to be among them become theirs. Returns the newest version.
    fn take_in(
        &self,
        transaction: &mut Transaction<'_>,
        gallery: &Mutex<Gallery>,
    ) -> Result<i64, Fault> {
        let news = records::news(transaction, self.version, self.writer)?;
        let mut pulled = BTreeSet::new();
        // A few at a time: cameras wait for the lock.
        for rows in news.people.chunks(BATCH) {
            let people = records::with_vectors(transaction, rows)?;
            let mut gallery = lock(gallery);
            for (person, row) in people.into_iter().zip(rows) {
                let authority = if News::writer(row) == USER {
                    Authority::Whole
                } else {
                    Authority::Neighbour
                };
                pulled.insert(person.id);
                gallery.adopt(person, authority);
            }
        }
        let mut gallery = lock(gallery);
        for &(id, fate) in &news.gone {
            gallery.depart(id, fate);
        }
        for id in gallery.unkept() {
            if let Some(double) = gallery.double_among(id, &pulled) {
                gallery.agree(id, double);
            }
        }
        Ok(news.version.max(self.version))
    }

    /// One turn: in with what others wrote, out with what changed here. `taken` holds what was to be written.
    fn turn(&mut self, gallery: &Mutex<Gallery>, taken: &mut Vec<Changes>) -> Result<Turn, Fault> {
        let Some(mut session) = self.session.take() else {
            return Ok(Turn::default());
        };
        let result = self.turn_in(&mut session, gallery, taken);
        self.session = Some(session);
        result
    }

    fn turn_in(
        &mut self,
        session: &mut Client,
        gallery: &Mutex<Gallery>,
        taken: &mut Vec<Changes>,
    ) -> Result<Turn, Fault> {
        self.keep_numbers(session, gallery)?;
        let mut transaction = session.transaction()?;
        layout::take_turn(&mut transaction)?;
        let mut turn = Turn {
            version: self.take_in(&mut transaction, gallery)?,
            ..Turn::default()
        };
        loop {
            let changes = lock(gallery).take_changes(BATCH);
            turn.more = changes.people.len() >= BATCH;
            if changes.is_empty() {
                break;
            }
            taken.push(changes);
            let Some(changes) = taken.last() else { break };
            turn.forgot |= changes
                .gone
                .iter()
                .any(|(_, fate)| *fate == Fate::Forgotten);
            if let Some(row) = changes.people.iter().find_map(|p| p.rows.first()) {
                records::claim_model(&mut transaction, row.vector.model())?;
                self.check_model(&mut transaction)?;
            }
            records::write(&mut transaction, changes, self.writer)?;
            if !turn.more || taken.len() >= BATCHES {
                break;
            }
        }
        if !taken.is_empty() {
            transaction.execute("SELECT pg_notify('reid', $1)", &[&self.writer.to_string()])?;
        }
        transaction.commit()?;
        Ok(turn)
    }

    /// Sets numbers aside before there are too few.
    fn keep_numbers(
        &self,
        session: &mut Client,
        gallery: &Mutex<Gallery>,
    ) -> Result<(), postgres::Error> {
        let left = lock(gallery).reserved_numbers();
        if left < LOW {
            let mut transaction = session.transaction()?;
            layout::take_turn(&mut transaction)?;
            let numbers = reserve(&mut transaction, BLOCK)?;
            transaction.commit()?;
            lock(gallery).reserve_numbers(numbers);
        }
        lock(gallery).replace_provisional();
        Ok(())
    }

    /// Whether others have told of news.
    fn has_news(&mut self) -> Result<bool, StoreError> {
        let Some(session) = &mut self.session else {
            return Ok(false);
        };
        let own = self.writer.to_string();
        let mut told = false;
        let mut notifications = session.notifications();
        let mut pending = notifications.iter();
        loop {
            match pending.next() {
                Ok(Some(notification)) => told |= notification.payload() != own,
                Ok(None) => return Ok(told),
                Err(error) => return Err(self.target.fault(&error)),
            }
        }
    }

    /// What needs doing now and then.
    fn sweep(&mut self, gallery: &Mutex<Gallery>) -> Result<(), postgres::Error> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        if self.swept.elapsed() < SWEEP {
            return Ok(());
        }
        self.swept = Instant::now();
        session.execute(
            "DELETE FROM reid_departed WHERE at < now() - $1::text::interval",
            &[&MEMORY_OF_GONE],
        )?;
        session.execute(
            "DELETE FROM reid_sightings s USING (
                 SELECT id, begun, row_number() OVER (PARTITION BY id ORDER BY begun DESC) AS place
                 FROM reid_sightings) older
             WHERE s.id = older.id AND s.begun = older.begun AND older.place > $1",
            &[&MAX_SIGHTINGS],
        )?;
        if let Some(max_age) = lock(gallery).config().max_age_ns {
            let oldest = signed(wall_ns().saturating_sub(max_age));
            session.execute("DELETE FROM reid_sightings WHERE ended < $1", &[&oldest])?;
        }
        Ok(())
    }

    /// One sync; with `all`, also of changes that could wait.
    fn sync_now(&mut self, gallery: &Mutex<Gallery>, all: bool) -> Result<(), StoreError> {
        lock(gallery).idle(wall_ns());
        self.join(gallery)?;
        let news = self.has_news()?;
        let is_urgent = lock(gallery).is_urgent();
        let due = self.written.elapsed() >= WRITE_EVERY && lock(gallery).has_changes();
        let look = self.looked.elapsed() >= LOOK_EVERY;
        if !(news || is_urgent || due || look || all) {
            return self.erase();
        }
        loop {
            let mut taken = Vec::new();
            match self.turn(gallery, &mut taken) {
                Ok(turn) => {
                    self.version = turn.version.max(self.version);
                    self.note_deletion(turn.forgot)
                        .map_err(|error| self.target.fault(&error))?;
                    if !turn.more {
                        break;
                    }
                }
                Err(fault) => {
                    let mut gallery = lock(gallery);
                    taken.iter().for_each(|changes| gallery.put_back(changes));
                    return Err(told(&self.target, fault));
                }
            }
        }
        (self.written, self.looked) = (Instant::now(), Instant::now());
        self.sweep(gallery)
            .map_err(|error| self.target.fault(&error))?;
        self.erase()
    }

    /// Remembers that something was deleted of which no byte is to stay.
    fn note_deletion(&mut self, forgot: bool) -> Result<(), postgres::Error> {
        let Some(session) = self.session.as_mut().filter(|_| forgot) else {
            return Ok(());
        };
        // The newest counts: whoever may see what went before may see this.
        self.to_erase = Some((Deletion::now(session)?, None));
        Ok(())
    }

    /// Writes the tables anew where something is to be erased. An error until that is done.
    fn erase(&mut self) -> Result<(), StoreError> {
        let (Some(session), Some((deletion, tried))) = (&mut self.session, &mut self.to_erase)
        else {
            return Ok(());
        };
        if tried.is_some_and(|tried| tried.elapsed() < ERASE_EVERY) {
            return Err(self.target.not_erased("it is tried again"));
        }
        match deletion.erase(session) {
            Ok(()) => self.to_erase = None,
            Err(NotErased::Yet(cause)) => {
                *tried = Some(Instant::now());
                let cause = format!("{cause}; it is tried again");
                return Err(self.target.not_erased(&cause));
            }
            // Trying again would not help.
            Err(NotErased::Allowed(cause)) => {
                self.to_erase = None;
                return Err(self.target.not_erased(&cause));
            }
        }
        Ok(())
    }
}

impl Database for Postgres {
    /// Prepares a gallery, and fills it where the server can be reached. A server that refuses is an error; one that is
    /// down is not: the thread that keeps the gallery goes on trying, and tells.
    fn begin(&mut self, gallery: &Mutex<Gallery>) -> Result<(), StoreError> {
        {
            let mut gallery = lock(gallery);
            gallery.number_from(first_provisional());
            gallery.restore(Saved::default(), wall_ns());
        }
        match self.join(gallery) {
            Err(StoreError::Unreachable { .. } | StoreError::Locked { .. }) => Ok(()),
            other => other,
        }
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn sync(&mut self, gallery: &Mutex<Gallery>, asked: bool) -> Result<(), StoreError> {
        self.sync_now(gallery, asked)
    }

    fn close(&mut self, gallery: &Mutex<Gallery>) -> Result<(), StoreError> {
        self.sync_now(gallery, true)
    }
}

/// Removes people who are no longer in the store, for an unknown reason.
fn depart_missing(gallery: &mut Gallery, known: &HashSet<IdentityId>) {
    for id in gallery.kept_people() {
        if !known.contains(&id) {
            gallery.depart(id, Fate::Expired);
        }
    }
}
