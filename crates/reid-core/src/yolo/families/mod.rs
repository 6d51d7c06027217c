//! One family of detectors a file: how its outputs are recognised, and how its boxes are read.

pub(super) mod detr;
pub(super) mod fastestdet;
pub(super) mod mmdeploy;
pub(super) mod nanodet;
pub(super) mod suppressed;
pub(super) mod ultralytics;
pub(super) mod yolox;
