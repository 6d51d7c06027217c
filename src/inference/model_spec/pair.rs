//! A model that compares two pictures.

use super::{
    embedder::DEFAULT_EMBEDDER_SIZE,
    error::ModelSpecError,
    input::{describe, describe_all, picture_input},
    input_spec::{adjust, embedder_spec},
    metadata::Metadata,
    picture::{PictureInput, Size},
};
use crate::{
    core::preprocess::InputSpec,
    inference::{
        model::{ModelInfo, TensorInfo},
        sidecar::Sidecar,
    },
};

/// The specification of a model that compares two pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct PairSpec {
    /// Where the first picture goes; the second goes into the other input, which is like it.
    pub picture: PictureInput,
    /// How pictures become numbers.
    pub input: InputSpec,
    /// What the model's first output is.
    pub score: PairScore,
}

/// What a pair's score is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairScore {
    /// Probability of one person, 0..=1.
    Probability,
    /// Its logarithmic odds.
    Logit,
}

impl PairSpec {
    /// Reads a model that compares two pictures: two inputs of the same shape, metadata `reid.task` = `pair` or none,
    /// `reid.score` = `probability` (also when it is not said) or `logit`.
    pub fn new(info: &ModelInfo, sidecar: &Sidecar) -> Result<Self, ModelSpecError> {
        let metadata = Metadata(&info.metadata);
        metadata.check_task("pair")?;
        let no_pair = || ModelSpecError::NoPair(describe_all(&info.inputs));
        let [a, b] = &info.inputs[..] else {
            return Err(no_pair());
        };
        if (a.element, &a.shape) != (b.element, &b.shape) || info.outputs.is_empty() {
            return Err(no_pair());
        }
        let picture = picture_input(info, sidecar)?;
        if let Some(batch) = picture.batch.filter(|&batch| batch != 1) {
            let input = describe(a);
            return Err(ModelSpecError::WrongBatch { input, batch });
        }
        let asked = metadata.sides(sidecar)?;
        let Size { width, height } = DEFAULT_EMBEDDER_SIZE;
        let input = InputSpec {
            width: picture.width.or(asked.0).unwrap_or(width),
            height: picture.height.or(asked.1).unwrap_or(height),
            tensor: picture.tensor,
            ..metadata.adjust(embedder_spec(info, &picture))?
        };
        let score = metadata.named("reid.score", &PAIR_SCORES, "probability or logit")?;
        Ok(Self {
            input: adjust(input, sidecar),
            score: score.unwrap_or(PairScore::Probability),
            picture,
        })
    }

    /// True when a model takes two pictures at once, or says that it does.
    pub fn fits(info: &ModelInfo) -> bool {
        let takes_pictures = |t: &&TensorInfo| t.shape.len() == 4;
        Metadata(&info.metadata).get("reid.task") == Some("pair")
            || info.inputs.iter().filter(takes_pictures).count() == 2
    }
}

/// Names of what a pair's score may be.
const PAIR_SCORES: [(&str, PairScore); 2] = [
    ("probability", PairScore::Probability),
    ("logit", PairScore::Logit),
];

#[cfg(test)]
mod tests {
    use super::{
        super::fixtures::{Shape, model, tensor},
        *,
    };
    use crate::inference::model::ElementType;

    #[test]
    fn models_that_compare_two_pictures() {
        let two = |shape: Shape, other: Shape, metadata: &[(&str, &str)]| {
            let mut info = model(shape, &[&[0]], metadata);
            info.inputs.push(tensor("other", other, ElementType::F32));
            info
        };
        let of = |info: &ModelInfo| PairSpec::new(info, &Sidecar::default());
        let shape = [0, 3, 128, 64];
        let plain = two(&shape, &shape, &[]);
        let spec = of(&plain).unwrap();
        assert_eq!(
            (spec.input.width, spec.input.height, spec.score),
            (64, 128, PairScore::Probability)
        );
        assert!(PairSpec::fits(&plain) && !PairSpec::fits(&model(&shape, &[&[0, 512]], &[])));
        let logit = two(
            &shape,
            &shape,
            &[("reid.task", "pair"), ("reid.score", "logit")],
        );
        assert_eq!(of(&logit).unwrap().score, PairScore::Logit);
        for (info, part) in [
            (two(&shape, &[0, 3, 64, 64], &[]), "two picture inputs"),
            (
                model(&shape, &[&[0]], &[("reid.task", "pair")]),
                "two picture inputs",
            ),
            (two(&shape, &shape, &[("reid.task", "embed")]), "'embed'"),
            (
                two(&shape, &shape, &[("reid.score", "points")]),
                "probability or logit",
            ),
            (
                two(&[8, 3, 128, 64], &[8, 3, 128, 64], &[]),
                "batch size of 8",
            ),
        ] {
            let error = of(&info).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
