//! From pixels in memory to a model's input tensor: what the model wants ([`InputSpec`]), where a picture lies in it
//! ([`LetterboxPlan`]), and the filling itself ([`Preprocessor`]).
//!
//! The planes are resized first, as they lie in memory, and only the few samples that the model sees are converted to
//! RGB. Bilinear resizing without antialiasing reads two rows of the frame for each row of the tensor; that is what the
//! models were trained with (OpenCV's `INTER_LINEAR`) and it is what makes it cheap. Chroma is taken as a plain picture of
//! half the resolution (its siting moves colour by a quarter pixel of the frame, less than a model sees), and interlaced frames
//! as progressive ones.

mod axis;
mod color;
mod kernels;
mod plan;
mod sample;
mod spec;
mod tensor;
#[cfg(test)]
mod tests;

pub use plan::{Extent, LetterboxPlan};
pub use spec::{ColorOrder, InputSpec, ResizeMode, TensorLayout};
pub use tensor::TensorElement;

use crate::{
    geometry::Rect,
    image::{Colorimetry, ColourModel, Depth, ImageView, PixelFormat},
};
use color::YuvToRgb;
use sample::Sampler;
use tensor::RowWriter;

/// Why a tensor could not be filled.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum PreprocessError {
    #[error("the tensor has {got} values, the model expects {expected}")]
    TensorLength { expected: usize, got: usize },
    #[error("the box {0:?} has no part inside the frame")]
    OutsideFrame(Rect),
}

/// What the sampler is set to.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Prepared {
    format: PixelFormat,
    size: (usize, usize),
    plan: LetterboxPlan,
}

/// Fills tensors of one model from pictures of any format and size. Tables and buffers are kept between pictures:
/// frames of one format and size cost no allocation and no planning.
#[derive(Clone, Debug)]
pub struct Preprocessor {
    spec: InputSpec,
    prepared: Option<Prepared>,
    sampler: Sampler,
    writer: RowWriter,
    to_rgb: (Colorimetry, Depth, YuvToRgb),
}

impl Preprocessor {
    /// A preprocessor for a model's input.
    pub fn new(spec: InputSpec) -> Self {
        Self {
            spec,
            prepared: None,
            sampler: Sampler::default(),
            writer: RowWriter::default(),
            to_rgb: conversion(Colorimetry::default(), PixelFormat::I420.depth()),
        }
    }

    /// The model's input.
    pub fn spec(&self) -> &InputSpec {
        &self.spec
    }

    /// Fills the tensor of one picture ([`InputSpec::tensor_len`] numbers) from the whole frame, padding included.
    /// Returns where the frame lies in it.
    pub fn fill<T: TensorElement>(
        &mut self,
        view: &ImageView<'_>,
        tensor: &mut [T],
    ) -> Result<LetterboxPlan, PreprocessError> {
        let plan = LetterboxPlan::for_frame(&self.spec, view.width(), view.height());
        self.check(tensor)?;
        tensor::pad(&self.spec, plan.content(), tensor);
        self.fill_plan(view, plan, tensor);
        Ok(plan)
    }

    /// As [`Self::fill`] for a tensor that was filled from a frame of this size before: its padding is left as it is.
    pub fn refill<T: TensorElement>(
        &mut self,
        view: &ImageView<'_>,
        tensor: &mut [T],
    ) -> Result<LetterboxPlan, PreprocessError> {
        let plan = LetterboxPlan::for_frame(&self.spec, view.width(), view.height());
        self.check(tensor)?;
        self.fill_plan(view, plan, tensor);
        Ok(plan)
    }

    /// Fills the tensor of one picture from the part of a box that lies inside the frame. The box may have fractions.
    pub fn fill_crop<T: TensorElement>(
        &mut self,
        view: &ImageView<'_>,
        rect: Rect,
        tensor: &mut [T],
    ) -> Result<LetterboxPlan, PreprocessError> {
        self.check(tensor)?;
        let inside = rect
            .clipped(view.width() as f32, view.height() as f32)
            .ok_or(PreprocessError::OutsideFrame(rect))?;
        let plan = LetterboxPlan::for_source(&self.spec, inside);
        if self.spec.resize != ResizeMode::Squash {
            tensor::pad(&self.spec, plan.content(), tensor);
        }
        self.fill_plan(view, plan, tensor);
        Ok(plan)
    }

    fn check<T>(&self, tensor: &[T]) -> Result<(), PreprocessError> {
        let (expected, got) = (self.spec.tensor_len(), tensor.len());
        if expected == got {
            Ok(())
        } else {
            Err(PreprocessError::TensorLength { expected, got })
        }
    }

    fn fill_plan<T: TensorElement>(
        &mut self,
        view: &ImageView<'_>,
        plan: LetterboxPlan,
        tensor: &mut [T],
    ) {
        self.prepare(view, plan);
        let content = plan.content();
        for y in 0..content.height {
            self.sampler.read(view, y);
            self.convert_row(view.format());
            self.writer.write(&self.spec, content, y, tensor);
        }
    }

    fn prepare(&mut self, view: &ImageView<'_>, plan: LetterboxPlan) {
        let (colorimetry, depth) = (view.colorimetry(), view.format().depth());
        if (self.to_rgb.0, self.to_rgb.1) != (colorimetry, depth) {
            self.to_rgb = conversion(colorimetry, depth);
        }
        let wanted = Prepared {
            format: view.format(),
            size: (view.width(), view.height()),
            plan,
        };
        if self.prepared == Some(wanted) {
            self.sampler.forget_rows();
            return;
        }
        let Extent { width, height, .. } = plan.content();
        self.sampler.set(view, plan.source(), width, height);
        self.writer.reserve(width);
        self.prepared = Some(wanted);
    }

    /// The row that the sampler read as levels of red, green and blue.
    fn convert_row(&mut self, format: PixelFormat) {
        let [a, b, c] = &self.sampler.channels;
        let [red, green, blue] = &mut self.writer.levels;
        let by = &self.to_rgb.2;
        match format.model() {
            ColourModel::Grey => {
                by.convert_grey(a, red);
                green.copy_from_slice(red);
                blue.copy_from_slice(red);
            }
            ColourModel::Rgb => {
                by.widen(a, red);
                by.widen(b, green);
                by.widen(c, blue);
            }
            ColourModel::Yuv => by.convert([a, b, c], [red, green, blue]),
        }
    }
}

fn conversion(colorimetry: Colorimetry, depth: Depth) -> (Colorimetry, Depth, YuvToRgb) {
    let by = YuvToRgb::new(colorimetry, depth.white());
    (colorimetry, depth, by)
}
