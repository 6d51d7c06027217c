//! One pool of sessions per model, shared by all elements of the process.
//!
//! `ort` needs `&mut Session` to run, so a stream borrows an idle session for one inference. The pool opens as many as it
//! has users, up to the number of cores. Locks: `POOLS`, then a pool's `idle`; neither is held while a model loads or
//! runs, and both survive a neighbour's panic.

use std::{
    borrow::Cow,
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, LazyLock, Mutex, PoisonError, Weak},
    thread,
};

use half::f16;
use ort::{
    session::{Session, SessionInputValue, builder::GraphOptimizationLevel},
    value::{
        DynValue, Outlet, PrimitiveTensorElementType, TensorElementType, TensorRef, ValueType,
    },
};

use crate::sync::lock;

use super::{
    device::Device,
    engines,
    error::InferenceError,
    model::{self, ElementType, ModelInfo, TensorInfo},
    runtime,
};

/// Most threads that one session takes by itself (`threads=0`): nano models gain little from more.
const MAX_AUTO_THREADS: usize = 4;

/// Which model an element wants to run, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelRequest {
    /// The `.onnx` file.
    pub path: PathBuf,
    /// Where it runs.
    pub device: Device,
    /// Threads of one session; 0 chooses.
    pub threads: u32,
}

/// Data for one input of a model.
pub enum InputTensor<'a> {
    /// Single precision.
    F32(&'a [i64], &'a [f32]),
    /// Half precision.
    F16(&'a [i64], &'a [f16]),
    /// Integers (the `orig_target_sizes` of DETR exports).
    I64(&'a [i64], &'a [i64]),
}

/// One output of a run, as single precision whatever the model's own type.
pub struct OutputTensor<'a> {
    /// Name in the graph.
    pub name: &'a str,
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Elements, last dimension fastest.
    pub data: Cow<'a, [f32]>,
}

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
        let session = open_session(&request)?;
        let info = read_info(&request.path, &session)?;
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
            match open_session(&self.request) {
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

/// The canonical path of a file that can be a model, or what is wrong with it in plain words.
fn checked_file(path: &Path) -> Result<PathBuf, InferenceError> {
    let unreadable = |reason: String| InferenceError::ModelUnreadable {
        path: path.into(),
        reason,
    };
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => unreadable("does not exist".into()),
        _ => unreadable(format!("cannot be read ({error})")),
    })?;
    if metadata.is_dir() {
        return Err(unreadable("is a folder, not a file".into()));
    }
    if metadata.len() == 0 {
        return Err(unreadable("is empty".into()));
    }
    fs::File::open(path).map_err(|error| unreadable(format!("cannot be read ({error})")))?;
    path.canonicalize()
        .map_err(|error| unreadable(format!("cannot be read ({error})")))
}

fn open_session(request: &ModelRequest) -> Result<Session, InferenceError> {
    let runtime = runtime::get()?;
    let refused = |error: &dyn std::fmt::Display| InferenceError::ModelRefused {
        path: request.path.clone(),
        reason: explained(&error.to_string()),
    };
    let auto = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MAX_AUTO_THREADS);
    let threads = if request.threads == 0 {
        auto
    } else {
        request.threads as usize
    };
    let providers = request
        .device
        .providers(|| engines::folder(&request.path, &runtime.version))?;
    let builder = Session::builder(runtime.environment()).map_err(|error| refused(&error))?;
    let builder = builder
        // Not Level3: that number is new, and ONNX Runtime 1.21 refuses it.
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(|error| refused(&error))?;
    let builder = builder
        .with_intra_threads(threads)
        .map_err(|error| refused(&error))?;
    // Spinning threads steal the cores of decoders and encoders.
    let mut builder = builder
        .with_intra_op_spinning(false)
        .map_err(|error| refused(&error))?;
    if !providers.is_empty() {
        builder = builder
            .with_execution_providers(providers)
            .map_err(|error| InferenceError::Device {
                device: request.device.to_string(),
                reason: error.to_string(),
            })?;
    }
    builder
        .commit_from_file(&request.path)
        .map_err(|error| refused(&error))
}

/// ONNX Runtime's message with a plain word about the usual causes.
fn explained(message: &str) -> String {
    let cause = if message.contains("external data")
        || message.contains("External data")
        || message.contains(".data")
    {
        "its weights lie in a second file that is missing beside it: "
    } else if message.contains("Protobuf parsing failed") || message.contains("INVALID_PROTOBUF") {
        "it is not an ONNX file, or it is truncated: "
    } else if message.contains("IR version") || message.contains("opset") {
        "it was exported for a newer ONNX Runtime than this one ('reidctl doctor' shows which it is): install a newer one, or export the model with an older version: "
    } else {
        ""
    };
    format!("{cause}{}", without_signature(message))
}

/// The message without the C++ source file, line and function that ONNX Runtime puts in front of it.
fn without_signature(message: &str) -> &str {
    let Some((_, rest)) = [".cc:", ".h:"]
        .iter()
        .find_map(|ending| message.split_once(ending))
    else {
        return message;
    };
    let plain = match rest.rsplit_once(") ") {
        Some((_, plain)) => plain,
        // A line number and a name without parameters.
        None => rest.splitn(3, ' ').last().unwrap_or(rest),
    };
    let plain = plain.trim();
    if plain.is_empty() { message } else { plain }
}

fn read_info(path: &Path, session: &Session) -> Result<ModelInfo, InferenceError> {
    let bytes = fs::read(path).map_err(|error| InferenceError::ModelUnreadable {
        path: path.into(),
        reason: format!("cannot be read ({error})"),
    })?;
    let mut metadata = std::collections::BTreeMap::new();
    if let Ok(custom) = session.metadata() {
        for key in custom.custom_keys().unwrap_or_default() {
            if let Some(value) = custom.custom(&key) {
                metadata.insert(key, value);
            }
        }
    }
    Ok(ModelInfo {
        path: path.into(),
        fingerprint: model::fingerprint(&bytes),
        inputs: session.inputs().iter().map(tensor_info).collect(),
        outputs: session.outputs().iter().map(tensor_info).collect(),
        metadata,
    })
}

fn tensor_info(outlet: &Outlet) -> TensorInfo {
    let (element, shape) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => (
            element_type(*ty),
            shape.iter().map(|&dim| usize::try_from(dim).ok()).collect(),
        ),
        _ => (ElementType::Other, Vec::new()),
    };
    TensorInfo {
        name: outlet.name().into(),
        element,
        shape,
    }
}

fn element_type(ty: TensorElementType) -> ElementType {
    match ty {
        TensorElementType::Float32 => ElementType::F32,
        TensorElementType::Float16 => ElementType::F16,
        TensorElementType::Uint8 => ElementType::U8,
        TensorElementType::Int8 => ElementType::I8,
        TensorElementType::Int32 => ElementType::I32,
        TensorElementType::Int64 => ElementType::I64,
        _ => ElementType::Other,
    }
}

fn run_error(error: ort::Error) -> InferenceError {
    InferenceError::Run(error.to_string())
}

fn input_value<'a>(input: &InputTensor<'a>) -> Result<SessionInputValue<'a>, InferenceError> {
    Ok(match *input {
        InputTensor::F32(shape, data) => TensorRef::from_array_view((shape, data))
            .map_err(run_error)?
            .into(),
        InputTensor::F16(shape, data) => TensorRef::from_array_view((shape, data))
            .map_err(run_error)?
            .into(),
        InputTensor::I64(shape, data) => TensorRef::from_array_view((shape, data))
            .map_err(run_error)?
            .into(),
    })
}

/// A view of an output as f32; integers and half floats are converted.
fn output_tensor<'a>(
    name: &'a str,
    value: &'a DynValue,
) -> Result<OutputTensor<'a>, InferenceError> {
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err(InferenceError::Run(format!(
            "the output '{name}' is not a tensor"
        )));
    };
    let shape = shape
        .iter()
        .map(|&dim| usize::try_from(dim).unwrap_or(0))
        .collect();
    let data = match ty {
        TensorElementType::Float32 => {
            Cow::Borrowed(value.try_extract_tensor::<f32>().map_err(run_error)?.1)
        }
        TensorElementType::Float16 => converted(value, f16::to_f32)?,
        TensorElementType::Float64 => converted(value, |v: f64| v as f32)?,
        TensorElementType::Int64 => converted(value, |v: i64| v as f32)?,
        TensorElementType::Int32 => converted(value, |v: i32| v as f32)?,
        TensorElementType::Uint8 => converted(value, |v: u8| f32::from(v))?,
        TensorElementType::Int8 => converted(value, |v: i8| f32::from(v))?,
        other => {
            return Err(InferenceError::Run(format!(
                "the output '{name}' has elements of type {other:?}"
            )));
        }
    };
    Ok(OutputTensor { name, shape, data })
}

fn converted<T>(
    value: &DynValue,
    convert: impl Fn(T) -> f32,
) -> Result<Cow<'_, [f32]>, InferenceError>
where
    T: PrimitiveTensorElementType + Copy + std::fmt::Debug,
{
    let (_, data) = value.try_extract_tensor::<T>().map_err(run_error)?;
    Ok(Cow::Owned(data.iter().map(|&v| convert(v)).collect()))
}

#[cfg(test)]
mod tests;
