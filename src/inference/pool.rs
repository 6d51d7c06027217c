//! One pool of sessions per model, shared by all elements of the process.
//!
//! `ort` needs `&mut Session` to run, so a stream borrows an idle session for one inference. The pool opens as many as it has users, up
//! to the number of cores. Locks: `POOLS`, then a pool's `idle`; neither is held while a model loads or runs, and both survive a panic.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Condvar, LazyLock, Mutex, PoisonError, Weak},
    thread,
};

use ort::session::Session;

use super::{
    error::InferenceError,
    model::ModelInfo,
    precision::{self, Precision},
    session::{ModelRequest, checked_file, open_session, read_info},
    values::{InputTensor, OutputTensor, input_value, output_tensor, run_error},
};
use crate::sync::lock;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "reid-models",
        gst::DebugColorFlags::empty(),
        Some("Models and the sessions that run them"),
    )
});

/// A model that is loaded once for the whole process. Dropping the last handle frees it.
#[derive(Clone)]
pub struct SharedModel {
    pool: Arc<Pool>,
    // Counts the users, so that the pool knows how many sessions pay.
    _user: Arc<User>,
    // Keeps the instance id bound to the request while anybody uses it.
    _claim: Option<Arc<()>>,
}

struct Pool {
    request: ModelRequest,
    info: ModelInfo,
    limit: usize,
    state: Mutex<PoolState>,
    returned: Condvar,
}

#[derive(Default)]
struct PoolState {
    idle: Vec<Session>,
    opened: usize,
    users: usize,
}

struct User(Weak<Pool>);

impl Drop for User {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            lock(&pool.state).users -= 1;
        }
    }
}

/// What is loaded in this process.
#[derive(Default)]
struct Pools {
    by_request: HashMap<ModelRequest, Weak<Pool>>,
    by_id: HashMap<String, Claim>,
}

/// What an instance id stands for while somebody holds it.
struct Claim {
    request: ModelRequest,
    holders: Weak<()>,
}

static POOLS: LazyLock<Mutex<Pools>> = LazyLock::new(Mutex::default);

impl SharedModel {
    /// Loads the model, or joins those who have loaded it. Elements that give the same non-empty `instance_id` must ask
    /// for the same model, device and threads.
    pub fn open(request: &ModelRequest, instance_id: Option<&str>) -> Result<Self, InferenceError> {
        let path = checked_file(&request.path)?;
        let request = ModelRequest {
            path,
            ..request.clone()
        };
        let id = instance_id.filter(|id| !id.is_empty());
        let claim = id.map(|id| Self::claim(id, &request)).transpose()?;
        let pool = match Self::known(&request) {
            Some(pool) => pool,
            None => Self::load(request)?,
        };
        lock(&pool.state).users += 1;
        let user = Arc::new(User(Arc::downgrade(&pool)));
        pool.open_for_users()?;
        Ok(Self {
            pool,
            _user: user,
            _claim: claim,
        })
    }

    /// Another user of the same model: one more session pays, up to the number of cores.
    pub fn another(&self) -> Result<Self, InferenceError> {
        lock(&self.pool.state).users += 1;
        let user = Arc::new(User(Arc::downgrade(&self.pool)));
        self.pool.open_for_users()?;
        Ok(Self {
            pool: self.pool.clone(),
            _user: user,
            _claim: self._claim.clone(),
        })
    }

    /// Binds an instance id to a request, or joins those who have bound it to the same one.
    fn claim(id: &str, request: &ModelRequest) -> Result<Arc<()>, InferenceError> {
        let mut pools = lock(&POOLS);
        pools
            .by_id
            .retain(|_, claim| claim.holders.strong_count() > 0);
        if let Some((holders, claim)) = pools
            .by_id
            .get(id)
            .and_then(|c| Some((c.holders.upgrade()?, c)))
        {
            if claim.request == *request {
                return Ok(holders);
            }
            return Err(InferenceError::InstanceConflict {
                id: id.into(),
                other: format!(
                    "{} on {}",
                    claim.request.path.display(),
                    claim.request.device
                ),
            });
        }
        let holder = Arc::new(());
        let (request, holders) = (request.clone(), Arc::downgrade(&holder));
        pools.by_id.insert(id.into(), Claim { request, holders });
        Ok(holder)
    }

    fn known(request: &ModelRequest) -> Option<Arc<Pool>> {
        let mut pools = lock(&POOLS);
        pools.by_request.retain(|_, pool| pool.strong_count() > 0);
        pools.by_request.get(request).and_then(Weak::upgrade)
    }

    /// Loads outside the lock; when two load at once, the first to finish is shared and the other's work is dropped.
    fn load(request: ModelRequest) -> Result<Arc<Pool>, InferenceError> {
        let (session, info) = open_best(&request)?;
        let limit = thread::available_parallelism().map_or(1, usize::from);
        let state = Mutex::new(PoolState {
            idle: vec![session],
            opened: 1,
            users: 0,
        });
        let loaded = Arc::new(Pool {
            request: request.clone(),
            info,
            limit,
            state,
            returned: Condvar::new(),
        });
        Ok(Self::share(request, loaded))
    }

    /// The pool that stands for a request from now on: an earlier one if somebody still uses it, else `loaded`. Looked up and
    /// entered in one step.
    fn share(request: ModelRequest, loaded: Arc<Pool>) -> Arc<Pool> {
        let mut pools = lock(&POOLS);
        let entry = pools.by_request.entry(request).or_default();
        match entry.upgrade() {
            Some(earlier) => earlier,
            None => {
                *entry = Arc::downgrade(&loaded);
                loaded
            }
        }
    }

    /// What the model declares.
    pub fn info(&self) -> &ModelInfo {
        &self.pool.info
    }

    /// Sessions open at the moment.
    pub fn sessions(&self) -> usize {
        lock(&self.pool.state).opened
    }

    /// Runs the model on `inputs` (in the graph's order) and hands its outputs (likewise) to `read`. Waits for a session
    /// when all are busy.
    pub fn run<R>(
        &self,
        inputs: &[InputTensor<'_>],
        read: impl FnOnce(&[OutputTensor<'_>]) -> R,
    ) -> Result<R, InferenceError> {
        let mut lease = self.pool.borrow();
        let values = inputs
            .iter()
            .map(input_value)
            .collect::<Result<Vec<_>, _>>()?;
        let outputs = lease.session().run(values.as_slice()).map_err(run_error)?;
        let names = self.pool.info.outputs.iter().enumerate();
        let tensors = names
            .map(|(i, output)| output_tensor(&output.name, &outputs[i]))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(read(&tensors))
    }
}

/// The first session of a request, and its facts: of the 8-bit file where the request's precision asks for it. One that cannot be
/// used is an error only if it was asked for by name.
fn open_best(request: &ModelRequest) -> Result<(Session, ModelInfo), InferenceError> {
    let read = |file: &Path| {
        let session = open_session(request, file)?;
        let info = read_info(file, &session)?;
        Ok::<_, InferenceError>((session, info))
    };
    let Some(file) = precision::quantized_file(request)? else {
        return read(&request.path);
    };
    let opened = read(&file).and_then(|(session, mut info)| {
        precision::adopt_source(&mut info, request)?;
        Ok((session, info))
    });
    match opened {
        Err(error) if request.precision == Precision::Auto => {
            gst::warning!(CAT, "{error}; {} is used", request.path.display());
            read(&request.path)
        }
        other => other,
    }
}

impl Pool {
    /// Opens further sessions until there is one for each user or core.
    fn open_for_users(&self) -> Result<(), InferenceError> {
        loop {
            {
                let mut state = lock(&self.state);
                if state.opened >= state.users.min(self.limit) {
                    return Ok(());
                }
                state.opened += 1;
            }
            match open_session(&self.request, &self.info.path) {
                Ok(session) => self.give_back(session),
                Err(error) => {
                    lock(&self.state).opened -= 1;
                    return Err(error);
                }
            }
        }
    }

    fn borrow(&self) -> Lease<'_> {
        let mut state = lock(&self.state);
        loop {
            if let Some(session) = state.idle.pop() {
                return Lease {
                    pool: self,
                    session: Some(session),
                };
            }
            state = self
                .returned
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give_back(&self, session: Session) {
        lock(&self.state).idle.push(session);
        self.returned.notify_one();
    }
}

/// A borrowed session; goes back when dropped, also by a panic.
struct Lease<'a> {
    pool: &'a Pool,
    session: Option<Session>,
}

impl Lease<'_> {
    fn session(&mut self) -> &mut Session {
        self.session
            .as_mut()
            .expect("a lease holds its session until it is dropped")
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.pool.give_back(session);
        }
    }
}

#[cfg(test)]
mod tests;
