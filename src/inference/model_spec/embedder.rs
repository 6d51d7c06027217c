//! The specification of an embedder: its input, and the output with the vectors.

use super::{
    error::ModelSpecError,
    input::{describe_all, picture_input},
    input_spec::{adjust, embedder_spec},
    metadata::Metadata,
    picture::{PictureInput, Size},
};
use crate::{
    core::preprocess::InputSpec,
    inference::{
        model::{ElementType, ModelInfo, TensorInfo},
        sidecar::Sidecar,
    },
};

/// Width and height of the input where an embedder leaves them open, px (OSNet, and person re-identification at large).
pub const DEFAULT_EMBEDDER_SIZE: Size = Size {
    width: 128,
    height: 256,
};

/// The specification of an embedder.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbedderSpec {
    /// Where the crops go.
    pub picture: PictureInput,
    /// How a crop becomes a tensor.
    pub input: InputSpec,
    /// Which output holds the vectors.
    pub output: usize,
    /// Numbers of a vector, where declared.
    pub dimension: Option<usize>,
    /// A warning about the choice of the output.
    pub warning: Option<String>,
    /// The model's own name (`reid.name`), if it has one.
    pub name: Option<String>,
    /// False when neither sidecar nor metadata say how pixels become numbers, so that the usual way is assumed.
    pub is_preprocessing_known: bool,
}

impl EmbedderSpec {
    /// Reads an embedder.
    pub fn new(info: &ModelInfo, sidecar: &Sidecar) -> Result<Self, ModelSpecError> {
        let metadata = Metadata(&info.metadata);
        metadata.check_task("embed")?;
        let picture = picture_input(info, sidecar)?;
        let named = sidecar.output.as_deref().or(metadata.get("reid.output"));
        let output = embedding_output(info, named)?;
        let asked = metadata.sides(sidecar)?;
        let size = Size {
            width: picture
                .width
                .or(asked.0)
                .unwrap_or(DEFAULT_EMBEDDER_SIZE.width),
            height: picture
                .height
                .or(asked.1)
                .unwrap_or(DEFAULT_EMBEDDER_SIZE.height),
        };
        let input = InputSpec {
            width: size.width,
            height: size.height,
            tensor: picture.tensor,
            ..metadata.adjust(embedder_spec(info, &picture))?
        };
        Ok(Self {
            input: adjust(input, sidecar),
            output: output.index,
            dimension: output.dimension,
            warning: output.warning,
            name: metadata.get("reid.name").map(str::to_owned),
            is_preprocessing_known: metadata.get("reid.mean").is_some()
                || metadata.get("reid.scale").is_some()
                || sidecar.mean.is_some()
                || sidecar.scale.is_some(),
            picture,
        })
    }
}

/// Parts of names by which makers call the output of vectors, and those of class scores, which a model trained to name people
/// often has beside it.
const VECTOR_NAMES: [&str; 4] = ["feat", "embed", "vector", "reid"];
const SCORE_NAMES: [&str; 6] = ["logit", "class", "cls", "prob", "score", "softmax"];

/// Lengths of vectors are multiples of this in every published embedder; numbers of identities are so by chance.
const USUAL_DIMENSION_STEP: usize = 32;

/// The output of vectors, with a warning where the choice is uncertain.
struct VectorOutput {
    index: usize,
    dimension: Option<usize>,
    warning: Option<String>,
}

/// The output of vectors: `[batch, dimension]`, or with trailing ones as unflattened pooling leaves them. Of several the one
/// that is `named`, else the likeliest, with a warning.
fn embedding_output(info: &ModelInfo, named: Option<&str>) -> Result<VectorOutput, ModelSpecError> {
    let is_vectors = |t: &TensorInfo| {
        matches!(t.element, ElementType::F32 | ElementType::F16)
            && matches!(
                t.shape[..],
                [_, _] | [_, _, Some(1), Some(1)] | [_, _, Some(1)]
            )
    };
    let candidates: Vec<usize> = (0..info.outputs.len())
        .filter(|&i| is_vectors(&info.outputs[i]))
        .collect();
    let taken = |index: usize, warning| VectorOutput {
        index,
        dimension: info.outputs[index].shape[1],
        warning,
    };
    if let Some(name) = named {
        let index = candidates
            .iter()
            .copied()
            .find(|&i| info.outputs[i].name == name);
        return index
            .map(|index| taken(index, None))
            .ok_or_else(|| ModelSpecError::NoSuchOutput {
                name: name.into(),
                outputs: describe_all(&info.outputs),
            });
    }
    // The first of equals.
    let best = candidates
        .iter()
        .copied()
        .rev()
        .max_by_key(|&i| likeness(&info.outputs[i]))
        .ok_or_else(|| ModelSpecError::NoEmbedding(describe_all(&info.outputs)))?;
    let warning = (candidates.len() > 1).then(|| {
        format!(
            "it has several outputs that could be vectors: {}; '{}' is used. To confirm or change it, set output = \"{}\" in the model's .toml file",
            describe_all(&info.outputs),
            info.outputs[best].name,
            info.outputs[best].name
        )
    });
    Ok(taken(best, warning))
}

/// How much an output looks like vectors: by its name, then by its length.
fn likeness(output: &TensorInfo) -> (u8, bool) {
    let name = output.name.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let by_name = match (has(&VECTOR_NAMES), has(&SCORE_NAMES)) {
        (true, false) => 2,
        (false, true) => 0,
        _ => 1,
    };
    let dimension = output.shape.get(1).copied().flatten();
    let is_usual = dimension.is_none_or(|n| n.is_multiple_of(USUAL_DIMENSION_STEP));
    (by_name, is_usual)
}

#[cfg(test)]
mod tests {
    use super::{
        super::fixtures::{Shape, model, tensor},
        *,
    };
    use crate::core::preprocess::{ColorOrder, TensorLayout};

    #[test]
    fn embedders_of_both_axis_orders() {
        let spec = |info: &ModelInfo, sidecar: &str| {
            EmbedderSpec::new(info, &Sidecar::parse(sidecar).unwrap()).unwrap()
        };
        let osnet = spec(&model(&[0, 3, 256, 128], &[&[0, 512]], &[]), "");
        assert_eq!((osnet.dimension, osnet.picture.batch), (Some(512), None));
        assert_eq!((osnet.input.width, osnet.input.height), (128, 256));
        assert!((osnet.input.offset[0] + 0.485 / 0.229).abs() < 1e-6);
        assert!(!osnet.is_preprocessing_known);
        let last = spec(&model(&[1, 256, 128, 3], &[&[1, 256, 1, 1]], &[]), "");
        assert_eq!(
            (last.input.tensor, last.input.color, last.input.scale),
            (TensorLayout::Nhwc, ColorOrder::Bgr, [1.0; 3])
        );
        assert_eq!(last.dimension, Some(256));
        let metadata = [
            ("reid.task", "embed"),
            ("reid.layout", "NCHW"),
            ("reid.width", "64"),
            ("reid.height", "128"),
            ("reid.scale", "1"),
            ("reid.mean", "1 2 3"),
            ("reid.std", "2,2,2"),
            ("reid.name", "tiny"),
        ];
        let own = spec(&model(&[0, 3, 0, 0], &[&[0, 0]], &metadata), "");
        assert_eq!((own.input.width, own.input.height), (64, 128));
        assert_eq!(own.input.offset, [-0.5, -1.0, -1.5]);
        assert_eq!(own.name.as_deref(), Some("tiny"));
        assert!(own.is_preprocessing_known);
    }

    #[test]
    fn of_several_outputs_the_vectors_are_taken_and_it_is_said() {
        let of = |outputs: &[(&str, Shape)], sidecar: &str| {
            let mut info = model(&[0, 3, 256, 128], &[], &[]);
            let output = |&(name, shape): &(&str, Shape)| tensor(name, shape, ElementType::F32);
            info.outputs = outputs.iter().map(output).collect();
            EmbedderSpec::new(&info, &Sidecar::parse(sidecar).unwrap())
        };
        let cases: &[(&[(&str, Shape)], usize)] = &[
            (&[("logits", &[0, 751]), ("features", &[0, 512])], 1),
            (&[("embedding", &[0, 100]), ("cls_score", &[0, 512])], 0),
            (&[("1200", &[0, 751]), ("1201", &[0, 2048])], 1),
            (&[("a", &[0, 512]), ("b", &[0, 512])], 0),
            (
                &[("map", &[0, 512, 8, 4]), ("prob", &[0, 7]), ("x", &[0, 0])],
                2,
            ),
        ];
        for (outputs, index) in cases {
            let spec = of(outputs, "").unwrap();
            assert_eq!(spec.output, *index, "{outputs:?}");
            let warning = spec.warning.unwrap();
            assert!(warning.contains(outputs[*index].0) && warning.contains(".toml"));
        }
        let two: &[(&str, Shape)] = &[("logits", &[0, 751]), ("features", &[0, 512])];
        let told = of(two, "output = 'logits'").unwrap();
        assert_eq!((told.output, told.warning), (0, None));
        let error = of(two, "output = 'feature'").unwrap_err().to_string();
        assert!(
            error.contains("'features'") && error.contains("`output`"),
            "{error}"
        );
        let alone: &[(&str, Shape)] = &[("logits", &[0, 512]), ("map", &[0, 512, 8, 4])];
        assert_eq!(of(alone, "").unwrap().warning, None);
    }

    #[test]
    fn broken_metadata_and_outputs_without_vectors_are_refused() {
        for (key, value) in [
            ("reid.mean", "1,2"),
            ("reid.std", "0,1,1"),
            ("reid.color", "YUV"),
            ("reid.layout", "CHWN"),
            ("reid.height", "-1"),
        ] {
            let info = model(&[0, 3, 0, 0], &[&[0, 512]], &[(key, value)]);
            let error = EmbedderSpec::new(&info, &Sidecar::default()).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
        let no_vectors = model(&[1, 3, 256, 128], &[&[1, 84, 8400]], &[]);
        assert!(matches!(
            EmbedderSpec::new(&no_vectors, &Sidecar::default()),
            Err(ModelSpecError::NoEmbedding(_))
        ));
    }
}
