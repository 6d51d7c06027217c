//! The specification of a detector: inputs, output layout, class names.

use super::{
    error::ModelSpecError,
    input::{describe, picture_input},
    input_spec::{adjust, family_spec},
    metadata::Metadata,
    picture::{PictureInput, Size},
};
use crate::{
    core::{
        preprocess::InputSpec,
        yolo::{self, COCO, Head, Hints, Layout, OutputInfo},
    },
    inference::{
        model::{ElementType, ModelInfo, TensorInfo},
        sidecar::{Sidecar, Task},
    },
};

/// Side of the input where a detector leaves it open, px: what nearly every detector was trained at.
pub const DEFAULT_DETECTOR_SIDE: usize = 640;

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

/// Overrides by the user: properties of the element and the sidecar.
#[derive(Clone, Debug, Default)]
pub struct DetectorOverrides {
    /// Property `layout`; `None` is automatic.
    pub layout: Option<Layout>,
    /// Class names of the property `labels-file`.
    pub labels: Option<Vec<String>>,
    /// The sidecar.
    pub sidecar: Sidecar,
}

/// The specification of a detector.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorSpec {
    /// How a frame becomes a tensor.
    pub input: InputSpec,
    /// How the outputs are read.
    pub head: Head,
    /// What the classes are called.
    pub labels: Vec<String>,
    /// False when the names are assumed because nobody gave any.
    pub are_labels_known: bool,
}

impl DetectorInputs {
    /// Reads a detector's inputs.
    pub fn new(info: &ModelInfo, sidecar: &Sidecar) -> Result<Self, ModelSpecError> {
        let metadata = Metadata(&info.metadata);
        metadata.check_task("detect")?;
        let picture = picture_input(info, sidecar)?;
        if let Some(batch) = picture.batch.filter(|&batch| batch != 1) {
            let input = describe(&info.inputs[picture.index]);
            return Err(ModelSpecError::WrongBatch { input, batch });
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

impl DetectorSpec {
    /// Derives the specification of a detector with the inputs `inputs` that ran once at `size`. `shapes` are those of the
    /// outputs of that run, in the model's order; without them the declared shapes are used.
    pub fn new(
        info: &ModelInfo,
        inputs: &DetectorInputs,
        size: Size,
        shapes: Option<&[Vec<usize>]>,
        overrides: &DetectorOverrides,
    ) -> Result<Self, ModelSpecError> {
        let metadata = Metadata(&info.metadata);
        let named = overrides
            .labels
            .clone()
            .or_else(|| overrides.sidecar.labels.clone())
            .or_else(|| metadata.names());
        let hints = Hints {
            input_width: size.width,
            input_height: size.height,
            classes: named.as_ref().map(Vec::len),
            end2end: metadata.is_suppressed(),
            task: (overrides.sidecar.task.map(Task::name))
                .or(metadata.get("task"))
                .map(str::to_owned),
            layout: overrides.layout.or(overrides.sidecar.layout),
        };
        let head = yolo::recognise(&outputs(info, shapes), &hints)?;
        let family = family_spec(head.layout());
        let input = InputSpec {
            width: size.width,
            height: size.height,
            tensor: inputs.picture.tensor,
            ..metadata.adjust(family)?
        };
        Ok(Self {
            input: adjust(input, &overrides.sidecar),
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

/// The names that a model without names has: COCO's where the count fits or is unknown, "person" where it is one.
fn assumed_labels(classes: Option<usize>) -> Vec<String> {
    match classes {
        Some(1) => vec![COCO[0].into()],
        Some(count) if count != COCO.len() => (0..count).map(|i| format!("class {i}")).collect(),
        _ => COCO.map(Into::into).to_vec(),
    }
}

/// The second input of DETR exports; any other is more than we can give.
fn sizes_input(info: &ModelInfo, picture: usize) -> Result<Option<usize>, ModelSpecError> {
    let mut others = (0..info.inputs.len()).filter(|&i| i != picture);
    let first = others.next();
    let is_sizes = |t: &TensorInfo| {
        t.element == ElementType::I64 && matches!(t.shape[..], [_, Some(2) | None])
    };
    let unknown = first
        .filter(|&i| !is_sizes(&info.inputs[i]))
        .or_else(|| others.next());
    match unknown {
        Some(i) => Err(ModelSpecError::UnknownInput(describe(&info.inputs[i]))),
        None => Ok(first),
    }
}

/// The sizes to try, best first.
fn detector_sizes(
    picture: &PictureInput,
    metadata: &Metadata,
    sidecar: &Sidecar,
) -> Result<Vec<Size>, ModelSpecError> {
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
        return Err(ModelSpecError::FixedSize {
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

/// The outputs for the recognition of the layout: actual shapes where the model was run.
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

#[cfg(test)]
mod tests {
    use super::{
        super::fixtures::{Shape, model, tensor},
        *,
    };
    use crate::core::preprocess::{ColorOrder, ResizeMode};

    fn detector(
        info: &ModelInfo,
        overrides: &DetectorOverrides,
    ) -> Result<DetectorSpec, ModelSpecError> {
        let inputs = DetectorInputs::new(info, &overrides.sidecar)?;
        DetectorSpec::new(info, &inputs, inputs.candidates[0], None, overrides)
    }

    fn with_sidecar(text: &str) -> DetectorOverrides {
        DetectorOverrides {
            sidecar: Sidecar::parse(text).unwrap(),
            ..DetectorOverrides::default()
        }
    }

    #[test]
    fn families_are_fed_as_their_makers_feed_them() {
        let ultralytics = detector(
            &model(&[1, 3, 320, 320], &[&[1, 84, 2100]], &[]),
            &DetectorOverrides::default(),
        )
        .unwrap();
        assert_eq!(
            ultralytics.input,
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
            &DetectorOverrides::default(),
        )
        .unwrap()
        .input;
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
        let own = detector(&info, &DetectorOverrides::default()).unwrap();
        assert_eq!(own.labels, ["human", "dog"]);
        assert_eq!(
            (own.input.color, own.input.resize, own.input.offset),
            (ColorOrder::Bgr, ResizeMode::Squash, [-10.0, -20.0, -30.0])
        );
        let text = "color = 'rgb'\nstd = [2.0, 2.0, 2.0]\nlabels = ['a', 'b']\npad = 7";
        let overruled = detector(&info, &with_sidecar(text)).unwrap();
        assert_eq!(overruled.labels, ["a", "b"]);
        let input = overruled.input;
        assert_eq!((input.color, input.pad), (ColorOrder::Rgb, 7));
        assert_eq!((input.scale, input.offset), ([0.5; 3], [0.0; 3]));
    }

    #[test]
    fn exports_with_suppression_inside_say_so_in_their_arguments() {
        let layout = |outputs: &[Shape], metadata: &[(&str, &str)]| {
            let info = model(&[1, 3, 640, 640], outputs, metadata);
            detector(&info, &DetectorOverrides::default()).map(|spec| spec.head.layout())
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
        assert!(matches!(error, Err(ModelSpecError::FixedSize { .. })));
    }

    #[test]
    fn inputs_that_cannot_be_fed_are_named() {
        let check = |input: Shape, part: &str| {
            let error = detector(
                &model(input, &[&[1, 84, 8400]], &[]),
                &DetectorOverrides::default(),
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
        check(&[8, 3, 640, 640], "batch size of 8");
        let mut bytes = model(&[1, 3, 640, 640], &[], &[]);
        bytes.inputs[0].element = ElementType::U8;
        assert!(matches!(
            DetectorInputs::new(&bytes, &Sidecar::default()),
            Err(ModelSpecError::WrongElement { .. })
        ));
        let none = ModelInfo {
            inputs: vec![],
            ..bytes
        };
        assert!(matches!(
            DetectorInputs::new(&none, &Sidecar::default()),
            Err(ModelSpecError::NoPictureInput(_))
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
        let spec = detector(
            &model(&[1, 3, 64, 64], &[&[1, 6, 84]], &names),
            &DetectorOverrides::default(),
        )
        .unwrap();
        assert_eq!(
            (spec.class_id("person"), spec.class_id("face")),
            (Some(1), Some(0))
        );
        assert_eq!(spec.class_id("dog"), None);
        let few = DetectorOverrides {
            labels: Some(vec!["person".into()]),
            ..DetectorOverrides::default()
        };
        let error = detector(&model(&[1, 3, 640, 640], &[&[1, 84, 8400]], &[]), &few);
        let text = error.unwrap_err().to_string();
        assert!(
            text.contains("labels-file") && text.contains("80"),
            "{text}"
        );
    }

    #[test]
    fn models_for_something_else_are_refused() {
        let embedder = model(&[1, 3, 256, 128], &[&[1, 512]], &[("reid.task", "embed")]);
        assert!(matches!(
            DetectorInputs::new(&embedder, &Sidecar::default()),
            Err(ModelSpecError::Task { .. })
        ));
    }
}
