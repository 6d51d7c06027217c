//! A loaded detector: a frame in, boxes in pixels of the frame out. Opened once, used by one stream.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::{
    error::InferenceError,
    model::ModelInfo,
    model_spec::{
        DetectorInputs, DetectorOverrides, DetectorSpec, ModelSpecError, PictureInput, Size,
    },
    pool::SharedModel,
    session::ModelRequest,
    sidecar::Sidecar,
    tensor::Tensor,
    values::{InputTensor, OutputTensor},
};
use crate::core::{
    image::ImageView,
    person::{PERSON, is_person_name},
    preprocess::{LetterboxPlan, PreprocessError, Preprocessor},
    yolo::{self, ClassFilter, DecodeError, DecodeParams, Decoded, Detection, Layout, TensorView},
};

/// Longest labels file read, bytes; more is not a list of names.
const MAX_LABELS_BYTES: u64 = 1 << 20;

/// Most class names listed in an error.
const MAX_LISTED: usize = 100;

/// The detector and its overrides.
#[derive(Clone, Debug)]
pub struct DetectorRequest {
    /// The model, where it runs.
    pub model: ModelRequest,
    /// Property `model-instance-id`.
    pub instance_id: Option<String>,
    /// Output layout; `None` is automatic.
    pub layout: Option<Layout>,
    /// Class names of a labels file.
    pub labels: Option<Vec<String>>,
}

/// What decides about a frame's boxes; may change from frame to frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DetectParams {
    /// Lowest score taken, 0..=1.
    pub threshold: f32,
    /// Overlap (IoU) above which the weaker box of a class goes, 0..=1.
    pub iou_threshold: f32,
    /// Most boxes kept, the strongest.
    pub limit: usize,
}

/// How long the parts of a frame took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DetectTimes {
    /// Filling the tensor.
    pub preprocess: Duration,
    /// The model, waiting for an idle session included.
    pub infer: Duration,
    /// Decoding and suppression.
    pub decode: Duration,
}

/// What came out of a frame beside the boxes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DetectOutcome {
    /// What decoding saw.
    pub decoded: Decoded,
    /// How long it took.
    pub times: DetectTimes,
}

/// Why inference on a frame failed.
#[derive(Clone, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum DetectError {
    #[error(transparent)]
    Inference(#[from] InferenceError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
}

/// A detector with everything that one stream needs.
pub struct Detector {
    model: SharedModel,
    inputs: DetectorInputs,
    spec: DetectorSpec,
    preprocessor: Preprocessor,
    tensor: Tensor,
    /// Size of the frame that the tensor's padding belongs to, px.
    filled_for: Option<Size>,
    classes: ClassFilter,
    found: Vec<Detection>,
    warning: Option<String>,
}

/// A detector that is not open yet, as another that is.
pub struct AnotherDetector {
    model: SharedModel,
    inputs: DetectorInputs,
    spec: DetectorSpec,
    classes: ClassFilter,
}

impl AnotherDetector {
    /// Opens it, and a further session of the model if there are cores for it.
    pub fn open(self) -> Result<Detector, InferenceError> {
        let element = self.inputs.picture.element;
        Ok(Detector {
            model: self.model.another()?,
            preprocessor: Preprocessor::new(self.spec.input),
            tensor: Tensor::zeros(element, self.spec.input.tensor_len()),
            filled_for: None,
            found: Vec::new(),
            warning: None,
            inputs: self.inputs,
            spec: self.spec,
            classes: self.classes,
        })
    }
}

impl Detector {
    /// Loads the model, runs it once and derives its specification.
    pub fn open(request: DetectorRequest) -> Result<Self, InferenceError> {
        let path = request.model.path.clone();
        let unsuitable = |reason: String| InferenceError::ModelUnsuitable {
            path: path.clone(),
            reason,
        };
        let model = SharedModel::open(&request.model, request.instance_id.as_deref())?;
        let sidecar = Sidecar::beside(&path).map_err(|e| unsuitable(e.to_string()))?;
        let overrides = DetectorOverrides {
            layout: request.layout,
            labels: request.labels,
            sidecar,
        };
        let refused = |error: ModelSpecError| unsuitable(error.to_string());
        let info = model.info();
        let inputs = DetectorInputs::new(info, &overrides.sidecar).map_err(refused)?;
        let trial = try_sizes(&model, &inputs).map_err(unsuitable)?;
        let spec = DetectorSpec::new(info, &inputs, trial.size, Some(&trial.shapes), &overrides)
            .map_err(refused)?;
        Ok(Self {
            preprocessor: Preprocessor::new(spec.input),
            tensor: Tensor::zeros(inputs.picture.element, spec.input.tensor_len()),
            filled_for: None,
            classes: ClassFilter::All,
            found: Vec::new(),
            warning: trial.warning,
            model,
            inputs,
            spec,
        })
    }

    /// What another thread needs to open the same detector: it shares the model and what was concluded of it.
    pub fn for_another(&self) -> AnotherDetector {
        AnotherDetector {
            model: self.model.clone(),
            inputs: self.inputs.clone(),
            spec: self.spec.clone(),
            classes: self.classes.clone(),
        }
    }

    /// What was concluded.
    pub fn spec(&self) -> &DetectorSpec {
        &self.spec
    }

    /// What the model declares.
    pub fn info(&self) -> &ModelInfo {
        self.model.info()
    }

    /// Something about the model that its user should know.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Restricts it to the classes of a comma list; all when the list is empty. A name that the model does not know is
    /// an error that lists those it does.
    pub fn look_for(&mut self, object_class: &str) -> Result<(), InferenceError> {
        let names = object_class
            .split(',')
            .map(str::trim)
            .filter(|n| !n.is_empty());
        let mut ids = Vec::new();
        for name in names {
            let id = self
                .spec
                .class_id(name)
                .ok_or_else(|| self.no_such_class(name))?;
            ids.push(id);
        }
        self.classes = match ids.is_empty() {
            true => ClassFilter::All,
            false => ClassFilter::Only(ids),
        };
        Ok(())
    }

    /// Restricts it to people: to the class `person`, else to those with other names that mean people.
    pub fn look_for_people(&mut self) -> Result<(), InferenceError> {
        let labels = &self.spec.labels;
        let people: Vec<&str> = labels
            .iter()
            .map(String::as_str)
            .filter(|label| is_person_name(label))
            .collect();
        if self.spec.class_id(PERSON).is_some() || people.is_empty() {
            return self.look_for(PERSON);
        }
        let people = people.join(",");
        self.look_for(&people)
    }

    fn no_such_class(&self, name: &str) -> InferenceError {
        let labels = &self.spec.labels;
        let mut listed = labels[..labels.len().min(MAX_LISTED)].join(", ");
        if labels.len() > MAX_LISTED {
            listed += &format!(" and {} more", labels.len() - MAX_LISTED);
        }
        let source = if self.spec.are_labels_known {
            ""
        } else {
            " (it names none itself: give 'labels-file')"
        };
        InferenceError::ModelUnsuitable {
            path: self.info().path.clone(),
            reason: format!(
                "it has no class '{name}'; its classes are: {listed}{source}. Set the property 'object-class'"
            ),
        }
    }

    /// Looks at a frame. The boxes are then in [`Self::detections`].
    pub fn detect(
        &mut self,
        view: &ImageView<'_>,
        params: &DetectParams,
    ) -> Result<DetectOutcome, DetectError> {
        let start = Instant::now();
        let plan = self.fill(view)?;
        let filled = Instant::now();
        let decode_params = DecodeParams {
            threshold: params.threshold,
            classes: &self.classes,
        };
        let (head, found) = (&self.spec.head, &mut self.found);
        let size = size_of(&self.spec);
        let (decoded, inferred) = run(&self.model, &self.inputs, size, &self.tensor, |outputs| {
            let inferred = Instant::now();
            (head.decode(outputs, &decode_params, found), inferred)
        })?;
        let mut decoded = decoded?;
        self.suppress(params);
        decoded.misplaced += self.place_in_frame(&plan, view);
        let times = DetectTimes {
            preprocess: filled - start,
            infer: inferred - filled,
            decode: inferred.elapsed(),
        };
        Ok(DetectOutcome { decoded, times })
    }

    /// The last frame's boxes in pixels of the frame and inside it, strongest first.
    pub fn detections(&self) -> &[Detection] {
        &self.found
    }

    fn fill(&mut self, view: &ImageView<'_>) -> Result<LetterboxPlan, PreprocessError> {
        let frame = Size {
            width: view.width(),
            height: view.height(),
        };
        let is_padded = self.filled_for.replace(frame) == Some(frame);
        match (&mut self.tensor, is_padded) {
            (Tensor::F32(data), true) => self.preprocessor.refill(view, data),
            (Tensor::F32(data), false) => self.preprocessor.fill(view, data),
            (Tensor::F16(data), true) => self.preprocessor.refill(view, data),
            (Tensor::F16(data), false) => self.preprocessor.fill(view, data),
        }
    }

    fn suppress(&mut self, params: &DetectParams) {
        // Without suppression too: sorted and bounded. Nothing overlaps by more than infinity.
        let iou = match self.spec.head.layout().needs_nms() {
            true => params.iou_threshold,
            false => f32::INFINITY,
        };
        yolo::nms(&mut self.found, iou, params.limit);
    }

    /// Boxes in px of the frame and inside it; says how many lie outside.
    fn place_in_frame(&mut self, plan: &LetterboxPlan, view: &ImageView<'_>) -> usize {
        let all = self.found.len();
        let (width, height) = (view.width() as f32, view.height() as f32);
        self.found.retain_mut(|detection| {
            match plan.to_frame(detection.rect).clipped(width, height) {
                Some(rect) => {
                    detection.rect = rect;
                    true
                }
                None => false,
            }
        });
        all - self.found.len()
    }
}

fn size_of(spec: &DetectorSpec) -> Size {
    Size {
        width: spec.input.width,
        height: spec.input.height,
    }
}

/// The first size at which a model runs.
struct Trial {
    size: Size,
    shapes: Vec<Vec<usize>>,
    warning: Option<String>,
}

/// Runs the model on black pictures of the candidate sizes until one works: a size declared open may be false, and
/// shapes left open become known. It also warms the session up.
fn try_sizes(model: &SharedModel, inputs: &DetectorInputs) -> Result<Trial, String> {
    let mut failures: Vec<String> = Vec::new();
    for &size in &inputs.candidates {
        let tensor = Tensor::zeros(inputs.picture.element, 3 * size.width * size.height);
        let shapes = run(model, inputs, size, &tensor, |outputs| {
            outputs.iter().map(|o| o.shape.to_vec()).collect()
        });
        match shapes {
            Ok(shapes) => {
                let warning = (!failures.is_empty())
                    .then(|| format!("it runs at {size} only: {}", failures.join("; ")));
                return Ok(Trial {
                    size,
                    shapes,
                    warning,
                });
            }
            Err(error) => failures.push(format!("at {size}: {error}")),
        }
    }
    Err(format!(
        "it loads but does not run, {}. If it needs another size, say so in its .toml file (width, height)",
        failures.join("; ")
    ))
}

/// Runs the model on a filled tensor; `read` gets the outputs in the graph's order.
fn run<R>(
    model: &SharedModel,
    inputs: &DetectorInputs,
    size: Size,
    tensor: &Tensor,
    read: impl FnOnce(&[TensorView<'_>]) -> R,
) -> Result<R, InferenceError> {
    let shape = shape_of(&inputs.picture, size);
    let sizes = [size.width as i64, size.height as i64];
    let picture = tensor.input(&shape);
    let read = |outputs: &[OutputTensor<'_>]| {
        let views: Vec<TensorView> = outputs
            .iter()
            .map(|o| TensorView {
                shape: &o.shape,
                data: &o.data,
            })
            .collect();
        read(&views)
    };
    match inputs.sizes_index {
        None => model.run(&[picture], read),
        Some(0) => model.run(&[InputTensor::I64(&[1, 2], &sizes), picture], read),
        Some(_) => model.run(&[picture, InputTensor::I64(&[1, 2], &sizes)], read),
    }
}

fn shape_of(picture: &PictureInput, size: Size) -> [i64; 4] {
    use crate::core::preprocess::TensorLayout;
    let (width, height) = (size.width as i64, size.height as i64);
    match picture.tensor {
        TensorLayout::Nchw => [1, 3, height, width],
        TensorLayout::Nhwc => [1, height, width, 3],
    }
}

/// Reads class names, one a line; empty lines at the end do not count.
pub fn read_labels(path: &Path) -> Result<Vec<String>, InferenceError> {
    let unreadable = |reason: String| InferenceError::LabelsUnreadable {
        path: path.into(),
        reason,
    };
    let size = std::fs::metadata(path)
        .map_err(|e| unreadable(e.to_string()))?
        .len();
    if size > MAX_LABELS_BYTES {
        return Err(unreadable(format!("{size} bytes are no list of names")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| unreadable(e.to_string()))?;
    let labels: Vec<String> = text
        .trim_end()
        .lines()
        .map(|l| l.trim().to_owned())
        .collect();
    if labels.is_empty() {
        return Err(unreadable("it is empty".into()));
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_or_the_reason_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.txt");
        std::fs::write(&path, "person\r\n traffic light \n\n\n").unwrap();
        assert_eq!(read_labels(&path).unwrap(), ["person", "traffic light"]);
        std::fs::write(&path, "\n\n").unwrap();
        for (path, part) in [(path.as_path(), "empty"), (folder.path(), "labels-file")] {
            let error = read_labels(path).unwrap_err().to_string();
            assert!(
                error.contains(part) && error.contains("labels-file"),
                "{error}"
            );
        }
        assert!(read_labels(&folder.path().join("none")).is_err());
    }
}
