//! The preprocessing of a model.

/// Order of the colour channels in the tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ColorOrder {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first, as OpenCV reads pictures.
    Bgr,
}

/// Order of the tensor's axes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TensorLayout {
    /// `[batch, channel, row, column]`: one plane a colour.
    #[default]
    Nchw,
    /// `[batch, row, column, channel]`: colours interleaved.
    Nhwc,
}

/// How a picture of another shape is fitted into the tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ResizeMode {
    /// Proportions kept, padding shared between both sides (Ultralytics).
    #[default]
    LetterboxCentred,
    /// Proportions kept, all padding right and below (YOLOX, RTMDet).
    LetterboxTopLeft,
    /// Stretched to fill, proportions lost (embedders, DETR-style detectors).
    Squash,
}

/// The input tensor of a model and how pixels become numbers in it. Always three colour channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputSpec {
    /// Columns of the tensor.
    pub width: usize,
    /// Rows of the tensor.
    pub height: usize,
    /// Which colour comes first.
    pub color: ColorOrder,
    /// Which axis comes first.
    pub tensor: TensorLayout,
    /// Factor of a pixel of 0..=255, by tensor channel.
    pub scale: [f32; 3],
    /// Added afterwards, by tensor channel: `value = pixel * scale + offset`.
    pub offset: [f32; 3],
    /// How other shapes are fitted.
    pub resize: ResizeMode,
    /// Grey level of the padding before scale and offset, 0..=255.
    pub pad: u8,
}

impl Default for InputSpec {
    /// What Ultralytics models take: 640 × 640, RGB 0..=1, planar, centred on grey 114
    /// (ultralytics/data/augment.py, `LetterBox`).
    fn default() -> Self {
        Self {
            width: 640,
            height: 640,
            color: ColorOrder::Rgb,
            tensor: TensorLayout::Nchw,
            scale: [1.0 / 255.0; 3],
            offset: [0.0; 3],
            resize: ResizeMode::LetterboxCentred,
            pad: 114,
        }
    }
}

impl InputSpec {
    /// Colour channels of every tensor.
    pub const CHANNELS: usize = 3;

    /// Numbers in the tensor of one picture.
    pub const fn tensor_len(&self) -> usize {
        Self::CHANNELS * self.width * self.height
    }

    /// The tensor's four dimensions for `batch` pictures.
    pub const fn shape(&self, batch: usize) -> [usize; 4] {
        match self.tensor {
            TensorLayout::Nchw => [batch, Self::CHANNELS, self.height, self.width],
            TensorLayout::Nhwc => [batch, self.height, self.width, Self::CHANNELS],
        }
    }

    /// Scale and offset from a model card's words: `value = (pixel * scale - mean) / std`, by tensor channel.
    #[must_use]
    pub fn with_mean_std(self, scale: f32, mean: [f32; 3], std: [f32; 3]) -> Self {
        Self {
            scale: std.map(|s| scale / s),
            offset: [0, 1, 2].map(|c| -mean[c] / std[c]),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_std_become_scale_and_offset() {
        let spec = InputSpec::default().with_mean_std(
            1.0 / 255.0,
            [0.485, 0.456, 0.406],
            [0.229, 0.224, 0.225],
        );
        let value = 200.0 * spec.scale[1] + spec.offset[1];
        assert!((value - (200.0 / 255.0 - 0.456) / 0.224).abs() < 1e-6);
        assert_eq!(spec.tensor_len(), 640 * 640 * 3);
        assert_eq!(spec.shape(2), [2, 3, 640, 640]);
    }
}
