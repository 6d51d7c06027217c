//! The core of gst-plugin-reid: everything that can be computed from pixels, boxes and vectors alone.
//!
//! It depends neither on GStreamer nor on ONNX Runtime, files, clocks, threads or statics; time and ids are arguments. The package's
//! dependencies and the project's `tests/tidy.rs` enforce it. So every rule can be tested with plain numbers and used without a pipeline.

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
