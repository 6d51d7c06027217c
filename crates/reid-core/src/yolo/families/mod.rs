//! One family of detectors per file: recognition of its outputs, and decoding of its boxes.

pub(super) mod detr;
pub(super) mod fastestdet;
pub(super) mod mmdeploy;
pub(super) mod nanodet;
pub(super) mod suppressed;
pub(super) mod ultralytics;
pub(super) mod yolox;
