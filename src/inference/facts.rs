//! What a model is, concluded from what it declares: where the picture goes in, how pixels become numbers, how its
//! outputs are read, what its classes are called. Pure: plain data in, plain data or a readable error out.
//!
//! Precedence, strongest first: properties of the element, the [`Sidecar`], the model's own metadata (`reid.*`, else
//! Ultralytics' keys), the defaults of the family that the output layout belongs to.

use std::collections::BTreeMap;

use super::{
    literal::Literal,
    model::{ElementType, ModelInfo, TensorInfo},
    sidecar::{self, MAX_INPUT_SIDE, Sidecar, Task},
};
use crate::core::{
    preprocess::{ColorOrder, InputSpec, ResizeMode, TensorLayout},
    yolo::{self, COCO, Head, Hints, Layout, LayoutError, OutputInfo},
};

/// Side of the input where a detector leaves it open, px: what nearly every detector was trained at.
pub const DEFAULT_DETECTOR_SIDE: usize = 640;

/// Width and height of the input where an embedder leaves them open, px (OSNet, and person re-identification at large).
pub const DEFAULT_EMBEDDER_SIZE: Size = Size {
    width: 128,
    height: 256,
};

/// Why a model cannot be used as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum FactsError {
    #[error("it has no input that takes pictures: its inputs are {0}")]
    NoPictureInput(String),
    #[error(
        "its input {input} has no batch dimension: [1,3,height,width] or [1,height,width,3] is needed; export it with one"
    )]
    NoBatch { input: String },
    #[error(
        "its input {input} has the wrong rank: [1,3,height,width] or [1,height,width,3] is needed"
    )]
    WrongRank { input: String },
    #[error("its input {input} does not take three colour channels")]
    WrongChannels { input: String },
    #[error("its input {input} takes elements of type {element:?}: float32 or float16 is needed")]
    WrongElement { input: String, element: ElementType },
    #[error(
        "its input {input} takes batches of {batch} only: a batch of 1 or an open one is needed"
    )]
    WrongBatch { input: String, batch: usize },
    #[error("its input {0} is not known: only pictures and orig_target_sizes can be given")]
    UnknownInput(String),
    #[error("its input is fixed at {declared}, the sidecar asks for {asked}")]
    FixedSize { declared: Size, asked: Size },
    #[error("metadata '{key}' is '{value}', which is not {expected}")]
    Metadata {
        key: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error("it is made for '{found}', not for '{wanted}': check the property `model`")]
    Task { found: String, wanted: &'static str },
    #[error("it has no output of numbers [batch,dimension]: its outputs are {0}")]
    NoEmbedding(String),
    #[error(
        "it has no output '{name}' of numbers [batch,dimension]: its outputs are {outputs}. Correct `output` in the model's .toml file (or metadata reid.output)"
    )]
    NoSuchOutput { name: String, outputs: String },
    #[error(
        "it does not compare two pictures: two like inputs for pictures are needed, its inputs are {0}"
    )]
    NoPair(String),
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// Width and height, px.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// px
    pub width: usize,
    /// px
    pub height: usize,
}

impl Size {
    /// A square.
    pub const fn square(side: usize) -> Self {
        Self {
            width: side,
            height: side,
        }
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// The input that takes pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureInput {
    /// Its place among the inputs.
    pub index: usize,
    /// Single or half precision.
    pub element: ElementType,
    /// Order of its axes.
    pub tensor: TensorLayout,
    /// Pictures at a time; `None` is open.
    pub batch: Option<usize>,
    /// Width, px; `None` is open.
    pub width: Option<usize>,
    /// Height, px; `None` is open.
    pub height: Option<usize>,
}

/// A detector's inputs, known before its outputs are.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorInputs {
    /// Where the picture goes.
    pub picture: PictureInput,
    /// Where `orig_target_sizes` (int64 `[1, 2]`: width, height) goes, in DETR exports.
    pub sizes_index: Option<usize>,
    /// Sizes of the picture to try, best first: one where the model fixes it, else also the usual one, because an open
    /// size may turn out not to be.
    pub candidates: Vec<Size>,
}

/// What an element or its user says about a detector.
#[derive(Clone, Debug, Default)]
pub struct DetectorWishes {
    /// Property `layout`; `None` is automatic.
    pub layout: Option<Layout>,
    /// Class names of the property `labels-file`.
    pub labels: Option<Vec<String>>,
    /// The sidecar.
    pub sidecar: Sidecar,
}

/// A detector, ready to be fed and read.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorFacts {
    /// How a frame becomes a tensor.
    pub spec: InputSpec,
    /// How the outputs are read.
    pub head: Head,
    /// What the classes are called.
    pub labels: Vec<String>,
    /// False when the names are assumed because nobody gave any.
    pub are_labels_known: bool,
}

/// An embedder, ready to be fed and read.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbedderFacts {
    /// Where the crops go.
    pub picture: PictureInput,
    /// How a crop becomes a tensor.
    pub spec: InputSpec,
    /// Which output holds the vectors.
    pub output: usize,
    /// Numbers of a vector, where declared.
    pub dimension: Option<usize>,
    /// What the user should know about the choice of the output.
    pub remark: Option<String>,
    /// The model's own name (`reid.name`), if it has one.
    pub name: Option<String>,
    /// False when neither sidecar nor metadata say how pixels become numbers, so that the usual way is assumed.
    pub is_preprocessing_known: bool,
}

/// What is known of a model that compares two pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct PairFacts {
    /// Where the first picture goes; the second goes into the other input, which is like it.
    pub picture: PictureInput,
    /// How pictures become numbers.
    pub spec: InputSpec,
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

impl DetectorInputs {
    /// Reads a detector's inputs.
    pub fn new(info: &ModelInfo, sidecar: &Sidecar) -> Result<Self, FactsError> {
        let metadata = Metadata(&info.metadata);
        metadata.check_task("detect")?;
        let picture = picture_input(info, sidecar)?;
        if let Some(batch) = picture.batch.filter(|&batch| batch != 1) {
            let input = describe(&info.inputs[picture.index]);
            return Err(FactsError::WrongBatch { input, batch });
        }
        let sizes_index = sizes_input(info, picture.index)?;
        let candidates = detector_sizes(&picture, &metadata, sidecar)?;
        Ok(Self {
            picture,
            sizes_index,
            candidates,
        })
    }
}

impl DetectorFacts {
    /// Puts together what is known of a detector whose inputs are `inputs` and which was tried at `size`.
    /// `shapes` are those of the outputs it then gave, in its order; without them the declared ones must do.
    pub fn new(
        info: &ModelInfo,
        inputs: &DetectorInputs,
        size: Size,
        shapes: Option<&[Vec<usize>]>,
        wishes: &DetectorWishes,
    ) -> Result<Self, FactsError> {
        let metadata = Metadata(&info.metadata);
        let named = wishes
            .labels
            .clone()
            .or_else(|| wishes.sidecar.labels.clone())
            .or_else(|| metadata.names());
        let hints = Hints {
            input_width: size.width,
            input_height: size.height,
            classes: named.as_ref().map(Vec::len),
            end2end: metadata.is_suppressed(),
            task: (wishes.sidecar.task.map(Task::name))
                .or(metadata.get("task"))
                .map(str::to_owned),
            layout: wishes.layout.or(wishes.sidecar.layout),
        };
        let head = yolo::recognise(&outputs(info, shapes), &hints)?;
        let family = family_spec(head.layout());
        let spec = InputSpec {
            width: size.width,
            height: size.height,
            tensor: inputs.picture.tensor,
            ..metadata.adjust(family)?
        };
        Ok(Self {
            spec: adjust(spec, &wishes.sidecar),
            are_labels_known: named.is_some(),
            labels: named.unwrap_or_else(|| assumed_labels(head.classes())),
            head,
        })
    }

    /// The class number of a name: exact, else without regard to case.
    pub fn class_id(&self, name: &str) -> Option<u32> {
        let exact = self.labels.iter().position(|l| l == name);
        exact
            .or_else(|| {
                self.labels
                    .iter()
                    .position(|l| l.eq_ignore_ascii_case(name))
            })
            .and_then(|i| u32::try_from(i).ok())
    }
}

impl EmbedderFacts {
    /// Reads an embedder.
    pub fn new(info: &ModelInfo, sidecar: &Sidecar) -> Result<Self, FactsError> {
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
        let spec = InputSpec {
            width: size.width,
            height: size.height,
            tensor: picture.tensor,
            ..metadata.adjust(embedder_spec(info, &picture))?
        };
        Ok(Self {
            spec: adjust(spec, sidecar),
            output: output.index,
            dimension: output.dimension,
            remark: output.remark,
            name: metadata.get("reid.name").map(str::to_owned),
            is_preprocessing_known: metadata.get("reid.mean").is_some()
                || metadata.get("reid.scale").is_some()
                || sidecar.mean.is_some()
                || sidecar.scale.is_some(),
            picture,
        })
    }
}

impl PairFacts {
    /// Reads a model that compares two pictures: two inputs of the same shape, metadata `reid.task` = `pair` or none,
    /// `reid.score` = `probability` (also when it is not said) or `logit`.
    pub fn new(info: &ModelInfo, sidecar: &Sidecar) -> Result<Self, FactsError> {
        let metadata = Metadata(&info.metadata);
        metadata.check_task("pair")?;
        let no_pair = || FactsError::NoPair(describe_all(&info.inputs));
        let [a, b] = &info.inputs[..] else {
            return Err(no_pair());
        };
        if (a.element, &a.shape) != (b.element, &b.shape) || info.outputs.is_empty() {
            return Err(no_pair());
        }
        let picture = picture_input(info, sidecar)?;
        if let Some(batch) = picture.batch.filter(|&batch| batch != 1) {
            let input = describe(a);
            return Err(FactsError::WrongBatch { input, batch });
        }
        let asked = metadata.sides(sidecar)?;
        let Size { width, height } = DEFAULT_EMBEDDER_SIZE;
        let spec = InputSpec {
            width: picture.width.or(asked.0).unwrap_or(width),
            height: picture.height.or(asked.1).unwrap_or(height),
            tensor: picture.tensor,
            ..metadata.adjust(embedder_spec(info, &picture))?
        };
        let score = metadata.named("reid.score", &PAIR_SCORES, "probability or logit")?;
        Ok(Self {
            spec: adjust(spec, sidecar),
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

/// The names that a model without names has: COCO's where the count fits or is unknown, "person" where it is one.
fn assumed_labels(classes: Option<usize>) -> Vec<String> {
    match classes {
        Some(1) => vec![COCO[0].into()],
        Some(count) if count != COCO.len() => (0..count).map(|i| format!("class {i}")).collect(),
        _ => COCO.map(Into::into).to_vec(),
    }
}

/// Mean and deviation of RTMDet and NanoDet, BGR 0..255 (their configuration files: ImageNet's, times 255).
const OPENMMLAB_MEAN: [f32; 3] = [103.53, 116.28, 123.675];
const OPENMMLAB_STD: [f32; 3] = [57.375, 57.12, 58.395];

/// Mean and deviation of ImageNet, RGB 0..1 (torchvision's documentation of pretrained models).
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// One step of an 8-bit pixel.
const PER_LEVEL: f32 = 1.0 / 255.0;

/// What models of a layout are fed by the programs they come from.
fn family_spec(layout: Layout) -> InputSpec {
    let ultralytics = InputSpec::default();
    let bgr = InputSpec {
        color: ColorOrder::Bgr,
        ..ultralytics
    };
    match layout {
        Layout::Yolov8
        | Layout::Yolov8Transposed
        | Layout::Yolov5
        | Layout::EndToEnd
        | Layout::EmbeddedNms => ultralytics,
        // YOLOX, yolox/data/data_augment.py, `preproc`.
        Layout::Yolox => InputSpec {
            scale: [1.0; 3],
            resize: ResizeMode::LetterboxTopLeft,
            ..bgr
        },
        // DEIM and D-FINE, tools/inference/onnx_inf.py.
        Layout::Detr => InputSpec {
            resize: ResizeMode::Squash,
            ..ultralytics
        },
        // MMDetection, configs/rtmdet: `Pad(pad_val=114)` right and below, `DetDataPreprocessor`.
        Layout::Mmdeploy => InputSpec {
            resize: ResizeMode::LetterboxTopLeft,
            ..bgr
        }
        .with_mean_std(1.0, OPENMMLAB_MEAN, OPENMMLAB_STD),
        // NanoDet, config/legacy_v0.x_configs/nanodet-m-416.yml: `keep_ratio: False`.
        Layout::Nanodet => InputSpec {
            resize: ResizeMode::Squash,
            ..bgr
        }
        .with_mean_std(1.0, OPENMMLAB_MEAN, OPENMMLAB_STD),
        // FastestDet, test.py: `cv2.resize`, divided by 255, colours as OpenCV reads them.
        Layout::Fastestdet => InputSpec {
            resize: ResizeMode::Squash,
            ..bgr
        },
    }
}

/// What embedders are fed when nobody says: ImageNet's normalisation (torchreid), or 0..255 for channel-last models,
/// which come from Intel's training by way of TensorFlow (person-reidentification-retail-0248), and for Intel's others.
/// The order of colours is measured: rank-1 among 100 people of Market-1501, one picture each from two cameras, is 75 % for
/// 0248 in BGR (58 % in RGB) and 84 % for the repaired 0267 in RGB (77 % in BGR).
fn embedder_spec(info: &ModelInfo, picture: &PictureInput) -> InputSpec {
    let squash = InputSpec {
        resize: ResizeMode::Squash,
        pad: 0,
        ..InputSpec::default()
    };
    let levels = InputSpec {
        scale: [1.0; 3],
        ..squash
    };
    if picture.tensor == TensorLayout::Nhwc {
        InputSpec {
            color: ColorOrder::Bgr,
            ..levels
        }
    } else if info.outputs.iter().any(|o| o.name == "reid_embedding") {
        levels
    } else {
        squash.with_mean_std(PER_LEVEL, IMAGENET_MEAN, IMAGENET_STD)
    }
}

/// Lets the sidecar overrule a spec.
fn adjust(spec: InputSpec, sidecar: &Sidecar) -> InputSpec {
    let spec = InputSpec {
        color: sidecar.color.unwrap_or(spec.color),
        resize: sidecar.resize.unwrap_or(spec.resize),
        pad: sidecar.pad.unwrap_or(spec.pad),
        ..spec
    };
    renormalise(spec, sidecar.scale, sidecar.mean, sidecar.std)
}

/// Replaces the normalisation when any of its parts is given; the other parts are then neutral.
fn renormalise(
    spec: InputSpec,
    scale: Option<f32>,
    mean: Option<[f32; 3]>,
    std: Option<[f32; 3]>,
) -> InputSpec {
    if scale.is_none() && mean.is_none() && std.is_none() {
        return spec;
    }
    spec.with_mean_std(
        scale.unwrap_or(1.0),
        mean.unwrap_or([0.0; 3]),
        std.unwrap_or([1.0; 3]),
    )
}

/// The input of rank 4, or the most helpful complaint about the first one.
fn picture_input(info: &ModelInfo, sidecar: &Sidecar) -> Result<PictureInput, FactsError> {
    let is_float = |t: &TensorInfo| matches!(t.element, ElementType::F32 | ElementType::F16);
    let index = info
        .inputs
        .iter()
        .position(|t| is_float(t) && t.shape.len() == 4)
        .or_else(|| info.inputs.iter().position(|t| t.shape.len() >= 2))
        .ok_or_else(|| FactsError::NoPictureInput(describe_all(&info.inputs)))?;
    let declared = &info.inputs[index];
    let input = describe(declared);
    let [batch, a, b, c] = declared.shape[..] else {
        return Err(match declared.shape[..] {
            [Some(3), _, _] | [_, _, Some(3)] => FactsError::NoBatch { input },
            _ => FactsError::WrongRank { input },
        });
    };
    if !is_float(declared) {
        let element = declared.element;
        return Err(FactsError::WrongElement { input, element });
    }
    let wished = sidecar.tensor.or(Metadata(&info.metadata).tensor()?);
    let (tensor, width, height) = match (a, c, wished) {
        (Some(3) | None, _, Some(TensorLayout::Nchw)) => (TensorLayout::Nchw, c, b),
        (_, Some(3) | None, Some(TensorLayout::Nhwc)) => (TensorLayout::Nhwc, b, a),
        (Some(3), _, None) => (TensorLayout::Nchw, c, b),
        (_, Some(3), None) => (TensorLayout::Nhwc, b, a),
        (None, _, None) => (TensorLayout::Nchw, c, b),
        _ => return Err(FactsError::WrongChannels { input }),
    };
    Ok(PictureInput {
        index,
        element: declared.element,
        tensor,
        batch,
        width,
        height,
    })
}

/// The second input of DETR exports; any other is more than we can give.
fn sizes_input(info: &ModelInfo, picture: usize) -> Result<Option<usize>, FactsError> {
    let mut others = (0..info.inputs.len()).filter(|&i| i != picture);
    let first = others.next();
    let is_sizes = |t: &TensorInfo| {
        t.element == ElementType::I64 && matches!(t.shape[..], [_, Some(2) | None])
    };
    let unknown = first
        .filter(|&i| !is_sizes(&info.inputs[i]))
        .or_else(|| others.next());
    match unknown {
        Some(i) => Err(FactsError::UnknownInput(describe(&info.inputs[i]))),
        None => Ok(first),
    }
}

/// The sizes to try, best first.
fn detector_sizes(
    picture: &PictureInput,
    metadata: &Metadata,
    sidecar: &Sidecar,
) -> Result<Vec<Size>, FactsError> {
    let asked = metadata.sides(sidecar)?;
    let size = Size {
        width: picture.width.or(asked.0).unwrap_or(DEFAULT_DETECTOR_SIDE),
        height: picture.height.or(asked.1).unwrap_or(DEFAULT_DETECTOR_SIDE),
    };
    let wished = Size {
        width: sidecar.width.unwrap_or(size.width),
        height: sidecar.height.unwrap_or(size.height),
    };
    if wished != size {
        return Err(FactsError::FixedSize {
            declared: size,
            asked: wished,
        });
    }
    let usual = Size {
        width: picture.width.unwrap_or(DEFAULT_DETECTOR_SIDE),
        height: picture.height.unwrap_or(DEFAULT_DETECTOR_SIDE),
    };
    let mut sizes = vec![size];
    if usual != size {
        sizes.push(usual);
    }
    Ok(sizes)
}

/// Parts of names by which makers call the output of vectors, and those of class scores, which a model trained to name people
/// often has beside it.
const VECTOR_NAMES: [&str; 4] = ["feat", "embed", "vector", "reid"];
const SCORE_NAMES: [&str; 6] = ["logit", "class", "cls", "prob", "score", "softmax"];

/// Lengths of vectors are multiples of this in every published embedder; numbers of identities are so by chance.
const USUAL_DIMENSION_STEP: usize = 32;

/// The output of vectors and what is to be said about it.
struct VectorOutput {
    index: usize,
    dimension: Option<usize>,
    remark: Option<String>,
}

/// The output of vectors: `[batch, dimension]`, or with trailing ones as unflattened pooling leaves them. Of several the one
/// that is `named`, else the likeliest, with a remark.
fn embedding_output(info: &ModelInfo, named: Option<&str>) -> Result<VectorOutput, FactsError> {
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
    let taken = |index: usize, remark| VectorOutput {
        index,
        dimension: info.outputs[index].shape[1],
        remark,
    };
    if let Some(name) = named {
        let index = candidates
            .iter()
            .copied()
            .find(|&i| info.outputs[i].name == name);
        return index
            .map(|index| taken(index, None))
            .ok_or_else(|| FactsError::NoSuchOutput {
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
        .ok_or_else(|| FactsError::NoEmbedding(describe_all(&info.outputs)))?;
    let remark = (candidates.len() > 1).then(|| {
        format!(
            "it has several outputs that could be vectors: {}; '{}' is taken. Name it in the model's .toml file to be sure (output = \"{}\")",
            describe_all(&info.outputs),
            info.outputs[best].name,
            info.outputs[best].name
        )
    });
    Ok(taken(best, remark))
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

/// The outputs as layouts are told from: real shapes where the model was run.
fn outputs(info: &ModelInfo, shapes: Option<&[Vec<usize>]>) -> Vec<OutputInfo> {
    let dims = |i: usize, declared: &TensorInfo| match shapes.and_then(|s| s.get(i)) {
        Some(shape) => shape.iter().map(|&n| Some(n)).collect(),
        None => declared.shape.clone(),
    };
    info.outputs
        .iter()
        .enumerate()
        .map(|(i, output)| OutputInfo {
            name: output.name.clone(),
            dims: dims(i, output),
            integer: !matches!(output.element, ElementType::F32 | ElementType::F16),
        })
        .collect()
}

fn describe(tensor: &TensorInfo) -> String {
    let output = OutputInfo {
        name: format!("'{}'", tensor.name),
        dims: tensor.shape.clone(),
        integer: false,
    };
    output.to_string()
}

fn describe_all(tensors: &[TensorInfo]) -> String {
    let all: Vec<String> = tensors.iter().map(describe).collect();
    if all.is_empty() {
        "none".into()
    } else {
        all.join(", ")
    }
}

/// A model's custom metadata.
struct Metadata<'a>(&'a BTreeMap<String, String>);

impl Metadata<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|value| value.trim())
    }

    fn literal(&self, key: &str) -> Option<Literal> {
        self.get(key).and_then(Literal::parse)
    }

    /// Ultralytics' class names.
    fn names(&self) -> Option<Vec<String>> {
        let names = self.literal("names")?.as_names()?;
        (!names.is_empty()).then_some(names)
    }

    /// Whether boxes come suppressed, by Ultralytics' `end2end` or by the argument `nms` of its export.
    fn is_suppressed(&self) -> Option<bool> {
        let args = self.literal("args");
        let nms = args.as_ref().and_then(|args| args.entry("nms")?.as_bool());
        match self.literal("end2end").and_then(|l| l.as_bool()) {
            Some(true) => Some(true),
            declared => nms.filter(|&nms| nms).or(declared),
        }
    }

    /// Our own models say what they are for.
    fn check_task(&self, wanted: &'static str) -> Result<(), FactsError> {
        match self.get("reid.task") {
            Some(found) if found != wanted => Err(FactsError::Task {
                found: found.into(),
                wanted,
            }),
            _ => Ok(()),
        }
    }

    /// A value chosen from names.
    fn named<T: Copy>(
        &self,
        key: &'static str,
        names: &[(&str, T)],
        expected: &'static str,
    ) -> Result<Option<T>, FactsError> {
        let Some(text) = self.get(key) else {
            return Ok(None);
        };
        sidecar::find_name(text, names)
            .map(Some)
            .ok_or_else(|| FactsError::Metadata {
                key,
                value: text.into(),
                expected,
            })
    }

    fn tensor(&self) -> Result<Option<TensorLayout>, FactsError> {
        self.named("reid.layout", &sidecar::TENSORS, "NCHW or NHWC")
    }

    /// Numbers of `reid.*`: `0.5`, `0.1,0.2,0.3`, `0.1 0.2 0.3` or a list in brackets.
    fn numbers(
        &self,
        key: &'static str,
        expected: &'static str,
    ) -> Result<Option<Vec<f32>>, FactsError> {
        let Some(text) = self.get(key) else {
            return Ok(None);
        };
        let numbers: Option<Vec<f32>> = text
            .trim_matches(['[', ']', '(', ')'])
            .split([',', ' '])
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().ok().filter(|n: &f32| n.is_finite()))
            .collect();
        numbers.map(Some).ok_or_else(|| FactsError::Metadata {
            key,
            value: text.into(),
            expected,
        })
    }

    fn triple(&self, key: &'static str) -> Result<Option<[f32; 3]>, FactsError> {
        let expected = "three numbers, not zero for a deviation";
        let wrong = |value: &[f32]| FactsError::Metadata {
            key,
            value: format!("{value:?}"),
            expected,
        };
        match self.numbers(key, expected)? {
            None => Ok(None),
            Some(n) if key == "reid.std" && n.contains(&0.0) => Err(wrong(&n)),
            Some(n) => n[..].try_into().map(Some).map_err(|_| wrong(&n)),
        }
    }

    fn side(&self, key: &'static str) -> Result<Option<usize>, FactsError> {
        let Some(text) = self.get(key) else {
            return Ok(None);
        };
        let side = text
            .parse()
            .ok()
            .filter(|s| (1..=MAX_INPUT_SIDE).contains(s));
        side.map(Some).ok_or_else(|| FactsError::Metadata {
            key,
            value: text.into(),
            expected: "a length in px",
        })
    }

    /// Width and height asked for, where somebody asks: sidecar, `reid.*`, Ultralytics' `imgsz` (height, width).
    fn sides(&self, sidecar: &Sidecar) -> Result<(Option<usize>, Option<usize>), FactsError> {
        let imgsz = self
            .literal("imgsz")
            .and_then(|l| l.as_indices())
            .unwrap_or_default();
        let (h, w) = match imgsz[..] {
            [h, w] if [h, w].iter().all(|s| (1..=MAX_INPUT_SIDE).contains(s)) => (Some(h), Some(w)),
            _ => (None, None),
        };
        Ok((
            sidecar.width.or(self.side("reid.width")?).or(w),
            sidecar.height.or(self.side("reid.height")?).or(h),
        ))
    }

    /// Lets `reid.*` overrule a family's spec.
    fn adjust(&self, spec: InputSpec) -> Result<InputSpec, FactsError> {
        let color = self.named("reid.color", &sidecar::COLORS, "RGB or BGR")?;
        let resize = self.named(
            "reid.resize",
            &sidecar::RESIZES,
            "letterbox-centred, letterbox-top-left or squash",
        )?;
        let scale = self.numbers("reid.scale", "a number")?;
        let spec = InputSpec {
            color: color.unwrap_or(spec.color),
            resize: resize.unwrap_or(spec.resize),
            ..spec
        };
        let scale = scale.and_then(|s| s.first().copied()).filter(|&s| s != 0.0);
        let (mean, std) = (self.triple("reid.mean")?, self.triple("reid.std")?);
        Ok(renormalise(spec, scale, mean, std))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::embedding::ModelFingerprint;

    type Shape<'a> = &'a [usize];

    fn tensor(name: &str, shape: Shape, element: ElementType) -> TensorInfo {
        TensorInfo {
            name: name.into(),
            element,
            shape: shape.iter().map(|&n| (n > 0).then_some(n)).collect(),
        }
    }

    /// A model of float tensors; 0 is an open length.
    fn model(input: Shape, outputs: &[Shape], metadata: &[(&str, &str)]) -> ModelInfo {
        ModelInfo {
            path: "m.onnx".into(),
            fingerprint: ModelFingerprint(0),
            inputs: vec![tensor("images", input, ElementType::F32)],
            outputs: outputs
                .iter()
                .map(|shape| tensor("output", shape, ElementType::F32))
                .collect(),
            metadata: metadata
                .iter()
                .map(|&(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
        }
    }

    fn detector(info: &ModelInfo, wishes: &DetectorWishes) -> Result<DetectorFacts, FactsError> {
        let inputs = DetectorInputs::new(info, &wishes.sidecar)?;
        DetectorFacts::new(info, &inputs, inputs.candidates[0], None, wishes)
    }

    fn with_sidecar(text: &str) -> DetectorWishes {
        DetectorWishes {
            sidecar: Sidecar::parse(text).unwrap(),
            ..DetectorWishes::default()
        }
    }

    #[test]
    fn families_are_fed_as_their_makers_feed_them() {
        let ultralytics = detector(
            &model(&[1, 3, 320, 320], &[&[1, 84, 2100]], &[]),
            &DetectorWishes::default(),
        )
        .unwrap();
        assert_eq!(
            ultralytics.spec,
            InputSpec {
                width: 320,
                height: 320,
                ..InputSpec::default()
            }
        );
        assert_eq!(ultralytics.labels[0], "person");
        assert!(!ultralytics.are_labels_known);
        let yolox = detector(
            &model(&[1, 3, 416, 416], &[&[1, 3549, 85]], &[]),
            &DetectorWishes::default(),
        )
        .unwrap()
        .spec;
        assert_eq!(
            (yolox.color, yolox.scale, yolox.resize, yolox.pad),
            (ColorOrder::Bgr, [1.0; 3], ResizeMode::LetterboxTopLeft, 114)
        );
    }

    #[test]
    fn a_pose_model_without_metadata_is_told_by_its_sidecar() {
        // One class, 17 key points of three numbers.
        let info = model(&[1, 3, 640, 640], &[&[1, 56, 8400]], &[]);
        let named = "labels = ['person']";
        let refused = detector(&info, &with_sidecar(named)).unwrap_err();
        assert!(refused.to_string().contains("task = \"pose\""), "{refused}");
        let told = with_sidecar(&format!("task = 'pose'\n{named}"));
        let found = detector(&info, &told).unwrap();
        assert_eq!(
            (found.head.classes(), &*found.labels[0]),
            (Some(1), "person")
        );
        // The same words as in metadata, which they overrule.
        let wrong = model(&[1, 3, 640, 640], &[&[1, 56, 8400]], &[("task", "detect")]);
        assert_eq!(detector(&wrong, &told), Ok(found));
        assert!(Sidecar::parse("task = 'obb'").is_err());
    }

    #[test]
    fn sidecar_beats_metadata_beats_family() {
        let metadata = [
            ("reid.color", "BGR"),
            ("reid.resize", "squash"),
            ("reid.mean", "[10, 20, 30]"),
            ("names", "{0: 'human', 1: 'dog'}"),
        ];
        let info = model(&[1, 3, 64, 64], &[&[1, 6, 84]], &metadata);
        let own = detector(&info, &DetectorWishes::default()).unwrap();
        assert_eq!(own.labels, ["human", "dog"]);
        assert_eq!(
            (own.spec.color, own.spec.resize, own.spec.offset),
            (ColorOrder::Bgr, ResizeMode::Squash, [-10.0, -20.0, -30.0])
        );
        let text = "color = 'rgb'\nstd = [2.0, 2.0, 2.0]\nlabels = ['a', 'b']\npad = 7";
        let overruled = detector(&info, &with_sidecar(text)).unwrap();
        assert_eq!(overruled.labels, ["a", "b"]);
        let spec = overruled.spec;
        assert_eq!((spec.color, spec.pad), (ColorOrder::Rgb, 7));
        assert_eq!((spec.scale, spec.offset), ([0.5; 3], [0.0; 3]));
    }

    #[test]
    fn exports_with_suppression_inside_say_so_in_their_arguments() {
        let layout = |outputs: &[Shape], metadata: &[(&str, &str)]| {
            let info = model(&[1, 3, 640, 640], outputs, metadata);
            detector(&info, &DetectorWishes::default()).map(|facts| facts.head.layout())
        };
        let nms = ("args", "{'batch': 1, 'half': False, 'nms': True}");
        let (pose, person) = (("task", "pose"), ("names", "{0: 'person'}"));
        for metadata in [
            &[nms, pose, person][..],
            &[("end2end", "False"), nms, pose, person],
            &[("end2end", "True"), pose, person],
        ] {
            // Key points of hands: 21.
            assert_eq!(layout(&[&[1, 300, 69]], metadata), Ok(Layout::EndToEnd));
        }
        let plain = [("args", "{'nms': False}"), pose, person];
        assert_eq!(layout(&[&[1, 56, 8400]], &plain), Ok(Layout::Yolov8));
        assert!(layout(&[&[1, 300, 69]], &plain).is_err());
    }

    #[test]
    fn open_sizes_come_from_whoever_knows_them() {
        let check = |metadata: &[(&str, &str)], sidecar: &str, expected: &[Size]| {
            let info = model(&[0, 3, 0, 0], &[&[0, 0, 0]], metadata);
            let inputs = DetectorInputs::new(&info, &Sidecar::parse(sidecar).unwrap()).unwrap();
            assert_eq!(inputs.candidates, expected);
        };
        let wide = Size {
            width: 640,
            height: 384,
        };
        check(&[], "", &[Size::square(640)]);
        check(&[("imgsz", "[384, 640]")], "", &[wide, Size::square(640)]);
        check(
            &[("imgsz", "[320, 320]")],
            "width = 640\nheight = 384",
            &[wide, Size::square(640)],
        );
        check(&[("reid.height", "384")], "", &[wide, Size::square(640)]);
        let fixed = model(&[1, 3, 64, 64], &[&[1, 6, 84]], &[]);
        let error = DetectorInputs::new(&fixed, &Sidecar::parse("width = 128").unwrap());
        assert!(matches!(error, Err(FactsError::FixedSize { .. })));
    }

    #[test]
    fn inputs_that_cannot_be_fed_are_named() {
        let check = |input: Shape, part: &str| {
            let error = detector(
                &model(input, &[&[1, 84, 8400]], &[]),
                &DetectorWishes::default(),
            );
            let text = error.unwrap_err().to_string();
            assert!(
                text.contains(part) && text.contains("'images'"),
                "{input:?}: {text}"
            );
        };
        check(&[3, 640, 640], "batch dimension");
        check(&[1, 3, 4, 640, 640], "rank");
        check(&[1, 640], "rank");
        check(&[1, 1, 640, 640], "three colour");
        check(&[1, 4, 640, 640], "three colour");
        check(&[8, 3, 640, 640], "batches of 8");
        let mut bytes = model(&[1, 3, 640, 640], &[], &[]);
        bytes.inputs[0].element = ElementType::U8;
        assert!(matches!(
            DetectorInputs::new(&bytes, &Sidecar::default()),
            Err(FactsError::WrongElement { .. })
        ));
        let none = ModelInfo {
            inputs: vec![],
            ..bytes
        };
        assert!(matches!(
            DetectorInputs::new(&none, &Sidecar::default()),
            Err(FactsError::NoPictureInput(_))
        ));
    }

    #[test]
    fn a_second_input_is_known_or_refused() {
        let mut info = model(&[0, 3, 320, 320], &[], &[]);
        info.inputs
            .push(tensor("orig_target_sizes", &[0, 2], ElementType::I64));
        let inputs = DetectorInputs::new(&info, &Sidecar::default()).unwrap();
        assert_eq!(inputs.sizes_index, Some(1));
        info.inputs[1].element = ElementType::F32;
        let error = DetectorInputs::new(&info, &Sidecar::default()).unwrap_err();
        assert!(error.to_string().contains("orig_target_sizes"), "{error}");
    }

    #[test]
    fn classes_are_found_by_name() {
        let names = [("names", "{0: 'face', 1: 'Person'}")];
        let facts = detector(
            &model(&[1, 3, 64, 64], &[&[1, 6, 84]], &names),
            &DetectorWishes::default(),
        )
        .unwrap();
        assert_eq!(
            (facts.class_id("person"), facts.class_id("face")),
            (Some(1), Some(0))
        );
        assert_eq!(facts.class_id("dog"), None);
        let few = DetectorWishes {
            labels: Some(vec!["person".into()]),
            ..DetectorWishes::default()
        };
        let error = detector(&model(&[1, 3, 640, 640], &[&[1, 84, 8400]], &[]), &few);
        let text = error.unwrap_err().to_string();
        assert!(
            text.contains("labels-file") && text.contains("80"),
            "{text}"
        );
    }

    #[test]
    fn embedders_of_both_axis_orders() {
        let facts = |info: &ModelInfo, sidecar: &str| {
            EmbedderFacts::new(info, &Sidecar::parse(sidecar).unwrap()).unwrap()
        };
        let osnet = facts(&model(&[0, 3, 256, 128], &[&[0, 512]], &[]), "");
        assert_eq!((osnet.dimension, osnet.picture.batch), (Some(512), None));
        assert_eq!((osnet.spec.width, osnet.spec.height), (128, 256));
        assert!((osnet.spec.offset[0] + 0.485 / 0.229).abs() < 1e-6);
        assert!(!osnet.is_preprocessing_known);
        let last = facts(&model(&[1, 256, 128, 3], &[&[1, 256, 1, 1]], &[]), "");
        assert_eq!(
            (last.spec.tensor, last.spec.color, last.spec.scale),
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
        let own = facts(&model(&[0, 3, 0, 0], &[&[0, 0]], &metadata), "");
        assert_eq!((own.spec.width, own.spec.height), (64, 128));
        assert_eq!(own.spec.offset, [-0.5, -1.0, -1.5]);
        assert_eq!(own.name.as_deref(), Some("tiny"));
        assert!(own.is_preprocessing_known);
    }

    #[test]
    fn of_several_outputs_the_vectors_are_taken_and_it_is_said() {
        let of = |outputs: &[(&str, Shape)], sidecar: &str| {
            let mut info = model(&[0, 3, 256, 128], &[], &[]);
            let output = |&(name, shape): &(&str, Shape)| tensor(name, shape, ElementType::F32);
            info.outputs = outputs.iter().map(output).collect();
            EmbedderFacts::new(&info, &Sidecar::parse(sidecar).unwrap())
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
            let facts = of(outputs, "").unwrap();
            assert_eq!(facts.output, *index, "{outputs:?}");
            let remark = facts.remark.unwrap();
            assert!(remark.contains(outputs[*index].0) && remark.contains(".toml"));
        }
        let two: &[(&str, Shape)] = &[("logits", &[0, 751]), ("features", &[0, 512])];
        let told = of(two, "output = 'logits'").unwrap();
        assert_eq!((told.output, told.remark), (0, None));
        let error = of(two, "output = 'feature'").unwrap_err().to_string();
        assert!(
            error.contains("'features'") && error.contains("`output`"),
            "{error}"
        );
        let alone: &[(&str, Shape)] = &[("logits", &[0, 512]), ("map", &[0, 512, 8, 4])];
        assert_eq!(of(alone, "").unwrap().remark, None);
    }

    #[test]
    fn models_that_compare_two_pictures() {
        let two = |shape: Shape, other: Shape, metadata: &[(&str, &str)]| {
            let mut info = model(shape, &[&[0]], metadata);
            info.inputs.push(tensor("other", other, ElementType::F32));
            info
        };
        let of = |info: &ModelInfo| PairFacts::new(info, &Sidecar::default());
        let shape = [0, 3, 128, 64];
        let plain = two(&shape, &shape, &[]);
        let facts = of(&plain).unwrap();
        assert_eq!(
            (facts.spec.width, facts.spec.height, facts.score),
            (64, 128, PairScore::Probability)
        );
        assert!(PairFacts::fits(&plain) && !PairFacts::fits(&model(&shape, &[&[0, 512]], &[])));
        let logit = two(
            &shape,
            &shape,
            &[("reid.task", "pair"), ("reid.score", "logit")],
        );
        assert_eq!(of(&logit).unwrap().score, PairScore::Logit);
        for (info, part) in [
            (two(&shape, &[0, 3, 64, 64], &[]), "two like inputs"),
            (
                model(&shape, &[&[0]], &[("reid.task", "pair")]),
                "two like inputs",
            ),
            (two(&shape, &shape, &[("reid.task", "embed")]), "'embed'"),
            (
                two(&shape, &shape, &[("reid.score", "points")]),
                "probability or logit",
            ),
            (two(&[8, 3, 128, 64], &[8, 3, 128, 64], &[]), "batches of 8"),
        ] {
            let error = of(&info).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn models_for_something_else_and_broken_metadata_are_refused() {
        let embedder = model(&[1, 3, 256, 128], &[&[1, 512]], &[("reid.task", "embed")]);
        assert!(matches!(
            DetectorInputs::new(&embedder, &Sidecar::default()),
            Err(FactsError::Task { .. })
        ));
        for (key, value) in [
            ("reid.mean", "1,2"),
            ("reid.std", "0,1,1"),
            ("reid.color", "YUV"),
            ("reid.layout", "CHWN"),
            ("reid.height", "-1"),
        ] {
            let info = model(&[0, 3, 0, 0], &[&[0, 512]], &[(key, value)]);
            let error = EmbedderFacts::new(&info, &Sidecar::default()).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
        let no_vectors = model(&[1, 3, 256, 128], &[&[1, 84, 8400]], &[]);
        assert!(matches!(
            EmbedderFacts::new(&no_vectors, &Sidecar::default()),
            Err(FactsError::NoEmbedding(_))
        ));
    }
}
