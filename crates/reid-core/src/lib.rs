//! The science: what can be computed from pixels, boxes and vectors alone.
//!
//! Nothing in here knows GStreamer, ONNX Runtime, files, clocks, threads or statics; time and ids are passed in. The
//! package's dependencies and the project's `tests/tidy.rs` enforce it. That keeps every rule testable with plain numbers and usable without a pipeline.

pub mod appearance;
pub mod calibration;
pub mod canvas;
pub mod colour;
pub mod embedding;
pub mod geometry;
pub mod identity;
pub mod image;
pub mod image_mut;
pub mod linear;
pub mod overlay;
pub mod person;
pub mod preprocess;
pub mod publish;
pub mod quality;
pub mod scores;
pub mod scoring;
pub mod testscene;
pub mod thumbnail;
pub mod tracking;
pub mod yolo;
