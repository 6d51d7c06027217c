//! A loaded embedder: boxes of a frame in, unit vectors out. Opened once, used by one stream.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{
    error::InferenceError,
    model::{self, ModelInfo},
    model_spec::EmbedderSpec,
    pool::SharedModel,
    session::ModelRequest,
    sidecar::{MeasuredCalibration, Sidecar},
    tensor::Tensor,
    values::OutputTensor,
};
use crate::{
    core::{
        embedding::{Embedding, EmbeddingError, ModelFingerprint},
        geometry::Rect,
        image::ImageView,
        preprocess::{InputSpec, PreprocessError, Preprocessor},
        scores::ScorePrior,
    },
    sync::lock,
};

/// Most crops that go through the model at once.
pub const MAX_BATCH: usize = 256;

/// Which embedder.
#[derive(Clone, Debug)]
pub struct EmbedderRequest {
    /// The model, where it runs.
    pub model: ModelRequest,
    /// Property `model-instance-id`.
    pub instance_id: Option<String>,
    /// Crops that will go through the model at once; what a device is tried with for which every number costs a long
    /// preparation.
    pub batch: usize,
}

/// Why a box has no vector.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum CropError {
    #[error(transparent)]
    Crop(#[from] PreprocessError),
    #[error(transparent)]
    Vector(#[from] EmbeddingError),
}

/// What came of a frame's boxes.
#[derive(Clone, Debug, Default)]
pub struct EmbedOutcome {
    /// A vector for each box, in order.
    pub vectors: Vec<Result<Embedding, CropError>>,
    /// Times the model ran.
    pub runs: usize,
    /// Filling the tensors.
    pub preprocess: Duration,
    /// The model, waiting for an idle session included.
    pub infer: Duration,
    /// Something about the model that its user should know; said once.
    pub warning: Option<String>,
}

/// How many crops go through the model at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Batch {
    /// Always so many; the rest of the tensor is left as it was.
    Fixed(usize),
    /// Up to so many.
    Open(usize),
    /// As many as are asked for, always; the rest of the tensor is left as it was. For devices that prepare themselves for
    /// every shape anew ([`super::device::Device::wants_one_shape`]), from so many on.
    Padded(usize),
}

impl Tensor {
    /// Fills the place of crop number `slot`.
    pub(super) fn fill_crop(
        &mut self,
        preprocessor: &mut Preprocessor,
        view: &ImageView<'_>,
        rect: Rect,
        slot: usize,
    ) -> Result<(), PreprocessError> {
        let len = preprocessor.spec().tensor_len();
        let range = slot * len..(slot + 1) * len;
        match self {
            Self::F32(data) => preprocessor.fill_crop(view, rect, &mut data[range]),
            Self::F16(data) => preprocessor.fill_crop(view, rect, &mut data[range]),
        }
        .map(|_| ())
    }
}

/// Most models that are remembered.
const MAX_LOADED: usize = 256;
static LOADED: Mutex<BTreeMap<ModelFingerprint, Loaded>> = Mutex::new(BTreeMap::new());

/// What is remembered of a model that this process has loaded.
struct Loaded {
    /// The name of its file.
    name: String,
    /// What its scores mean before any were seen, where that was measured.
    prior: Option<ScorePrior>,
}

/// What the file of a model is called that this process has loaded.
pub fn model_name(model: ModelFingerprint) -> Option<String> {
    lock(&LOADED).get(&model).map(|known| known.name.clone())
}

/// What the scores of a model mean before any were seen: from the `[calibration]` of its sidecar. `None` where that has none, and of models
/// that this process has not loaded.
pub fn score_prior(model: ModelFingerprint) -> Option<ScorePrior> {
    lock(&LOADED).get(&model)?.prior
}

/// An embedder with everything that one stream needs.
pub struct Embedder {
    model: SharedModel,
    spec: EmbedderSpec,
    fingerprint: ModelFingerprint,
    calibration: Option<MeasuredCalibration>,
    dimension: usize,
    batch: Batch,
    preprocessor: Preprocessor,
    tensor: Tensor,
    warning: Option<String>,
}

impl Embedder {
    /// Loads the model, concludes how it is to be fed and tries it: once with a single crop, and, where the model says
    /// that it takes any number, once with two.
    pub fn open(request: &EmbedderRequest) -> Result<Self, InferenceError> {
        Self::open_padded(request, request.model.device.wants_one_shape())
    }

    /// As [`Self::open`], with batches filled up whatever the device: for tests, which have no GPU.
    #[doc(hidden)]
    pub fn open_padded(request: &EmbedderRequest, is_padded: bool) -> Result<Self, InferenceError> {
        let path = request.model.path.clone();
        let unsuitable = |reason: String| InferenceError::ModelUnsuitable {
            path: path.clone(),
            reason,
        };
        let model = SharedModel::open(&request.model, request.instance_id.as_deref())?;
        let sidecar = Sidecar::beside(&path).map_err(|e| unsuitable(e.to_string()))?;
        let spec =
            EmbedderSpec::new(model.info(), &sidecar).map_err(|e| unsuitable(e.to_string()))?;
        if model.info().inputs.len() > 1 {
            return Err(unsuitable("it has more than one input".into()));
        }
        let fingerprint = fingerprint(model.info(), &spec.input, spec.output);
        let mut embedder = Self {
            fingerprint,
            calibration: sidecar.calibration,
            dimension: 0,
            batch: match spec.picture.batch {
                Some(batch) => Batch::Fixed(batch),
                None if is_padded => Batch::Padded(request.batch.clamp(1, MAX_BATCH)),
                None => Batch::Open(MAX_BATCH),
            },
            preprocessor: Preprocessor::new(spec.input),
            tensor: Tensor::zeros(spec.picture.element, 0),
            warning: spec.warning.clone(),
            model,
            spec,
        };
        embedder.try_out().map_err(|error| match error {
            InferenceError::Run(reason) => {
                unsuitable(format!("it failed when it was tried: {reason}"))
            }
            other => other,
        })?;
        embedder.note_loaded();
        Ok(embedder)
    }

    /// Remembers what galleries ask of the model whose vectors come to them: what its file is called, and what its scores mean.
    fn note_loaded(&self) {
        let mut loaded = lock(&LOADED);
        if let Some(name) = self.model.info().path.file_name()
            && (loaded.len() < MAX_LOADED || loaded.contains_key(&self.fingerprint))
        {
            let known = Loaded {
                name: name.to_string_lossy().into_owned(),
                prior: self.calibration().and_then(MeasuredCalibration::prior),
            };
            loaded.insert(self.fingerprint, known);
        }
    }

    /// What the model declares.
    pub fn info(&self) -> &ModelInfo {
        self.model.info()
    }

    /// What was concluded from it.
    pub fn spec(&self) -> &EmbedderSpec {
        &self.spec
    }

    /// Marks the vectors of this model, fed this way.
    pub fn fingerprint(&self) -> ModelFingerprint {
        self.fingerprint
    }

    /// What is known of its cosines; `None` where nobody measured them for this model, fed this way.
    pub fn calibration(&self) -> Option<&MeasuredCalibration> {
        self.calibration
            .as_ref()
            .filter(|c| c.is_of(self.fingerprint))
    }

    /// True when what the sidecar says of cosines was measured with another model or preprocessing.
    pub fn is_calibration_stale(&self) -> bool {
        self.calibration.is_some() && self.calibration().is_none()
    }

    /// Numbers of a vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Most crops that go through the model at once.
    pub fn batch_limit(&self) -> usize {
        match self.batch {
            Batch::Fixed(batch) | Batch::Open(batch) => batch,
            Batch::Padded(_) => MAX_BATCH,
        }
    }

    /// Something about the model that its user should know; said once.
    pub fn take_warning(&mut self) -> Option<String> {
        self.warning.take()
    }

    fn try_out(&mut self) -> Result<(), InferenceError> {
        if let Batch::Padded(batch) = self.batch {
            match self.try_with(batch) {
                Ok(()) => return Ok(()),
                Err(error) if batch > 1 => self.one_by_one(&error),
                Err(error) => return Err(error),
            }
        }
        let first = match self.batch {
            Batch::Fixed(batch) => batch,
            Batch::Open(_) | Batch::Padded(_) => 1,
        };
        self.try_with(first)?;
        if self.batch == Batch::Open(MAX_BATCH) {
            self.tensor.reserve(2 * self.spec.input.tensor_len());
            if let Err(error) = self.run_checked(2, |_| ()) {
                self.one_by_one(&error);
            }
        }
        Ok(())
    }

    /// Runs on this many black crops and learns the dimension of the vectors.
    fn try_with(&mut self, crops: usize) -> Result<(), InferenceError> {
        self.tensor.reserve(crops * self.spec.input.tensor_len());
        let output = self.spec.output;
        let numbers = self.run(crops, |outputs| outputs[output].data.len())?;
        self.dimension = numbers / crops;
        if self.dimension == 0 {
            return Err(InferenceError::Run("its output is empty".into()));
        }
        if numbers != self.dimension * crops {
            return Err(InferenceError::Run(format!(
                "{crops} crops gave {numbers} numbers"
            )));
        }
        Ok(())
    }

    /// From now on crops go through the model one at a time.
    fn one_by_one(&mut self, error: &InferenceError) {
        self.batch = Batch::Open(1);
        let slower = format!(
            "the model declares an open batch but fails with more than one crop ({error}); they go through one by one, which is slower"
        );
        self.warning = Some(match self.warning.take() {
            Some(before) => format!("{before}. {slower}"),
            None => slower,
        });
    }

    fn run<R>(
        &self,
        crops: usize,
        read: impl FnOnce(&[OutputTensor<'_>]) -> R,
    ) -> Result<R, InferenceError> {
        // Lengths of tensors in memory fit into i64.
        let shape = self.spec.input.shape(crops).map(|length| length as i64);
        let input = self.tensor.input(&shape);
        self.model.run(&[input], read)
    }

    /// Runs and checks that there is a vector for each crop.
    fn run_checked<R>(
        &self,
        crops: usize,
        read: impl FnOnce(&[f32]) -> R,
    ) -> Result<R, InferenceError> {
        let (output, expected) = (self.spec.output, crops * self.dimension);
        self.run(crops, |outputs| {
            let data = &outputs[output].data;
            if data.len() == expected {
                Ok(read(data))
            } else {
                let (dimension, got) = (self.dimension, data.len());
                Err(InferenceError::Run(format!(
                    "{crops} crops gave {got} numbers, not {dimension} each"
                )))
            }
        })?
    }

    /// Makes the vectors of a frame's boxes, up to `batch` crops at a time.
    pub fn embed(
        &mut self,
        view: &ImageView<'_>,
        rects: &[Rect],
        batch: usize,
    ) -> Result<EmbedOutcome, InferenceError> {
        let mut outcome = EmbedOutcome::default();
        let mut rest = rects;
        while !rest.is_empty() {
            let size = match self.batch {
                Batch::Fixed(fixed) => fixed,
                Batch::Open(limit) => batch.clamp(1, limit),
                Batch::Padded(_) => batch.clamp(1, MAX_BATCH),
            };
            let (now, later) = rest.split_at(size.min(rest.len()));
            let slots = match self.batch {
                Batch::Fixed(_) | Batch::Padded(_) => Some(size),
                Batch::Open(_) => None,
            };
            match self.embed_batch(view, now, slots, &mut outcome) {
                Ok(()) => rest = later,
                Err(error) if now.len() > 1 && matches!(self.batch, Batch::Open(_)) => {
                    self.one_by_one(&error);
                }
                Err(error) => return Err(error),
            }
        }
        outcome.warning = self.warning.take();
        Ok(outcome)
    }

    /// Makes the vectors of some boxes. The model gets `slots` crops whatever their number, if that is set.
    fn embed_batch(
        &mut self,
        view: &ImageView<'_>,
        rects: &[Rect],
        slots: Option<usize>,
        outcome: &mut EmbedOutcome,
    ) -> Result<(), InferenceError> {
        let start = Instant::now();
        self.tensor
            .reserve(slots.unwrap_or(rects.len()) * self.spec.input.tensor_len());
        let mut filled = 0;
        let mut crops = Vec::with_capacity(rects.len());
        for &rect in rects {
            let crop = self
                .tensor
                .fill_crop(&mut self.preprocessor, view, rect, filled);
            filled += usize::from(crop.is_ok());
            crops.push(crop);
        }
        outcome.preprocess += start.elapsed();
        let mut vectors = Vec::new();
        if filled > 0 {
            let start = Instant::now();
            vectors = self.run_checked(slots.unwrap_or(filled), |data| {
                data.chunks_exact(self.dimension)
                    .take(filled)
                    .map(|raw| Embedding::normalised(raw, self.fingerprint))
                    .collect()
            })?;
            outcome.infer += start.elapsed();
            outcome.runs += 1;
        }
        let mut vectors = vectors.into_iter();
        let of_crop = |crop: Result<(), PreprocessError>| {
            crop?;
            // One vector for each crop filled: checked above.
            Ok(vectors
                .next()
                .unwrap_or(Err(EmbeddingError::Dimension(0)))?)
        };
        outcome.vectors.extend(crops.into_iter().map(of_crop));
        Ok(())
    }
}

/// The model's fingerprint and that of its preprocessing: the same model fed otherwise, or read at another output, makes other
/// vectors. Galleries on disk refer to it, so that everything is written out.
fn fingerprint(info: &ModelInfo, spec: &InputSpec, output: usize) -> ModelFingerprint {
    let numbers = [
        spec.width as u64,
        spec.height as u64,
        spec.color as u64,
        spec.resize as u64,
        u64::from(spec.pad),
    ];
    let normalisation = spec
        .scale
        .iter()
        .chain(&spec.offset)
        .map(|v| u64::from(v.to_bits()));
    let all = std::iter::once(info.fingerprint.0)
        .chain(numbers)
        .chain(normalisation)
        // The first output stays what galleries know it by.
        .chain((output > 0).then_some(output as u64));
    model::fingerprint(&all.flat_map(u64::to_le_bytes).collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_model_fed_otherwise_is_another_one() {
        let info = ModelInfo {
            path: "m.onnx".into(),
            fingerprint: ModelFingerprint(7),
            inputs: vec![],
            outputs: vec![],
            metadata: std::collections::BTreeMap::new(),
        };
        let spec = InputSpec::default();
        let other = InputSpec {
            offset: [0.0, 0.0, 0.5],
            ..spec
        };
        assert_eq!(fingerprint(&info, &spec, 0), fingerprint(&info, &spec, 0));
        assert_ne!(fingerprint(&info, &spec, 0), fingerprint(&info, &other, 0));
        assert_ne!(fingerprint(&info, &spec, 0), fingerprint(&info, &spec, 1));
        let newer = ModelInfo {
            fingerprint: ModelFingerprint(8),
            ..info.clone()
        };
        assert_ne!(fingerprint(&info, &spec, 0), fingerprint(&newer, &spec, 0));
    }
}
