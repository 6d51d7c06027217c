//! A model that compares two pictures.
//!
//! Two inputs of one shape `[1 or dynamic, 3, height, width]` (or channels last); the first output is one number: the probability that
//! they show one person, or its logit with metadata `reid.score` = `logit`. `reid.task` = `pair`; preprocessing as for an embedder. For
//! `reidctl compare`; no element uses such models, because they compare every picture with every other one.

use super::{
    error::InferenceError,
    model::ModelInfo,
    model_spec::{PairScore, PairSpec},
    pool::SharedModel,
    session::ModelRequest,
    sidecar::Sidecar,
    tensor::Tensor,
};
use crate::core::{
    geometry::Rect,
    image::ImageView,
    preprocess::{PreprocessError, Preprocessor},
};

/// Why two pictures have no score.
#[derive(Clone, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum PairError {
    #[error(transparent)]
    Picture(#[from] PreprocessError),
    #[error(transparent)]
    Inference(#[from] InferenceError),
    #[error(
        "the model's score is {0}, which is not a probability: if it is a logit, set reid.score = logit in its metadata"
    )]
    NoProbability(f32),
}

/// A pair model with what it needs to run.
pub struct PairScorer {
    model: SharedModel,
    spec: PairSpec,
    preprocessor: Preprocessor,
    tensors: [Tensor; 2],
}

impl PairScorer {
    /// Loads the model and tries it on two black pictures.
    pub fn open(request: &ModelRequest) -> Result<Self, InferenceError> {
        let path = request.path.clone();
        let unsuitable = |reason: String| InferenceError::ModelUnsuitable {
            path: path.clone(),
            reason,
        };
        let model = SharedModel::open(request, None)?;
        let sidecar = Sidecar::beside(&path).map_err(|e| unsuitable(e.to_string()))?;
        let spec = PairSpec::new(model.info(), &sidecar).map_err(|e| unsuitable(e.to_string()))?;
        let tensor = || Tensor::zeros(spec.picture.element, spec.input.tensor_len());
        let scorer = Self {
            tensors: [tensor(), tensor()],
            preprocessor: Preprocessor::new(spec.input),
            model,
            spec,
        };
        scorer.run().map_err(|error| match error {
            InferenceError::Run(reason) => {
                unsuitable(format!("it failed when it was tried: {reason}"))
            }
            other => other,
        })?;
        Ok(scorer)
    }

    /// What the model declares.
    pub fn info(&self) -> &ModelInfo {
        self.model.info()
    }

    /// Probability, 0..=1, that the two show one person, as the model sees it.
    pub fn score(&mut self, a: &ImageView<'_>, b: &ImageView<'_>) -> Result<f32, PairError> {
        for (view, tensor) in [a, b].into_iter().zip(&mut self.tensors) {
            let whole = Rect::new(0.0, 0.0, view.width() as f32, view.height() as f32);
            tensor.fill_crop(&mut self.preprocessor, view, whole, 0)?;
        }
        let score = self.run()?;
        match self.spec.score {
            PairScore::Logit if score.is_finite() => Ok(1.0 / (1.0 + (-score).exp())),
            PairScore::Probability if (0.0..=1.0).contains(&score) => Ok(score),
            _ => Err(PairError::NoProbability(score)),
        }
    }

    fn run(&self) -> Result<f32, InferenceError> {
        let shape = self.spec.input.shape(1).map(|length| length as i64);
        let [a, b] = &self.tensors;
        let inputs = [a.input(&shape), b.input(&shape)];
        let numbers = self
            .model
            .run(&inputs, |outputs| outputs[0].data.to_vec())?;
        match numbers[..] {
            [score] => Ok(score),
            _ => Err(InferenceError::Run(format!(
                "it gave {} numbers for a pair, not one",
                numbers.len()
            ))),
        }
    }
}
