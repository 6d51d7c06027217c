//! Preprocessing: the defaults of a family, and its overrides.

use super::picture::PictureInput;
use crate::{
    core::{
        preprocess::{ColorOrder, InputSpec, ResizeMode, TensorLayout},
        yolo::Layout,
    },
    inference::{model::ModelInfo, sidecar::Sidecar},
};

/// Mean and deviation of RTMDet and NanoDet, BGR 0..255 (their configuration files: ImageNet's, times 255).
const OPENMMLAB_MEAN: [f32; 3] = [103.53, 116.28, 123.675];
const OPENMMLAB_STD: [f32; 3] = [57.375, 57.12, 58.395];

/// Mean and deviation of ImageNet, RGB 0..1 (torchvision's documentation of pretrained models).
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// One step of an 8-bit pixel.
const PER_LEVEL: f32 = 1.0 / 255.0;

/// What models of a layout are fed by the programs they come from.
pub(super) fn family_spec(layout: Layout) -> InputSpec {
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
pub(super) fn embedder_spec(info: &ModelInfo, picture: &PictureInput) -> InputSpec {
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
pub(super) fn adjust(spec: InputSpec, sidecar: &Sidecar) -> InputSpec {
    let spec = InputSpec {
        color: sidecar.color.unwrap_or(spec.color),
        resize: sidecar.resize.unwrap_or(spec.resize),
        pad: sidecar.pad.unwrap_or(spec.pad),
        ..spec
    };
    renormalise(spec, sidecar.scale, sidecar.mean, sidecar.std)
}

/// Replaces the normalisation when any of its parts is given; the other parts are then neutral.
pub(super) fn renormalise(
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
