//! The output layouts of detectors.

use std::fmt;

/// How a detector writes what it found. `N` is the number of boxes, `C` of classes, `M` of mask coefficients or other
/// numbers a box carries behind its classes, which are ignored. Coordinates are pixels of the model's input unless said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Ultralytics v8, v9, 11, 12: `[1, 4+C+M, N]`; rows cx, cy, w, h, then one score a class.
    Yolov8,
    /// The same with boxes as rows: `[1, N, 4+C+M]`.
    Yolov8Transposed,
    /// Ultralytics v5, v7, and YOLOX exported with its decoding: `[1, N, 5+C+M]`; cx, cy, w, h, objectness, classes.
    Yolov5,
    /// Suppression trained in or exported: `[1, N, 6+M]`; x0, y0, x1, y1, score, class. No further suppression.
    EndToEnd,
    /// YOLOX raw grid: `[1, N, 5+C]`; offsets and log sizes in cells of strides 8, 16, 32.
    Yolox,
    /// Suppression exported as v7 does: `[N, 7]`; picture, x0, y0, x1, y1, class, score. No further suppression.
    EmbeddedNms,
    /// DETR family: three outputs, labels `[1, N]`, boxes `[1, N, 4]` (x0, y0, x1, y1), scores `[1, N]`, with or
    /// without the leading 1. No further suppression.
    Detr,
    /// MMDeploy: `dets [1, N, 5]` (x0, y0, x1, y1, score) and `labels [1, N]`. No further suppression.
    Mmdeploy,
    /// NanoDet: for each stride classes `[1, n, C]` and distances to the four sides as distributions `[1, n, 4·B]`.
    Nanodet,
    /// FastestDet: one grid `[1, 5+C, h, w]`; objectness, tanh offsets, sigmoid sizes, classes.
    Fastestdet,
}

impl Layout {
    /// Every layout, in the order in which the property `layout` lists them.
    pub const ALL: [Self; 10] = [
        Self::Yolov8,
        Self::Yolov8Transposed,
        Self::Yolov5,
        Self::EndToEnd,
        Self::Yolox,
        Self::EmbeddedNms,
        Self::Detr,
        Self::Mmdeploy,
        Self::Nanodet,
        Self::Fastestdet,
    ];

    /// The name used by the property `layout` and by sidecar files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yolov8 => "yolov8",
            Self::Yolov8Transposed => "yolov8-transposed",
            Self::Yolov5 => "yolov5",
            Self::EndToEnd => "end-to-end",
            Self::Yolox => "yolox",
            Self::EmbeddedNms => "embedded-nms",
            Self::Detr => "detr",
            Self::Mmdeploy => "mmdeploy",
            Self::Nanodet => "nanodet",
            Self::Fastestdet => "fastestdet",
        }
    }

    /// The layout of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.name() == name)
    }

    /// True when the boxes still have doubles that [`super::nms`] must remove.
    pub const fn needs_nms(self) -> bool {
        !matches!(
            self,
            Self::EndToEnd | Self::EmbeddedNms | Self::Detr | Self::Mmdeploy
        )
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is known of one output before it is read. Unknown lengths are `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputInfo {
    /// Name in the model.
    pub name: String,
    /// Lengths, outermost first.
    pub dims: Vec<Option<usize>>,
    /// True for whole numbers (labels), false for float16 and float32.
    pub integer: bool,
}

impl fmt::Display for OutputInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self
            .dims
            .iter()
            .map(|d| d.map_or_else(|| "?".into(), |n| n.to_string()))
            .collect();
        write!(f, "{} [{}]", self.name, dims.join(","))
    }
}

/// What else helps to tell layouts apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hints {
    /// Width of the model's input, px.
    pub input_width: usize,
    /// Height of the model's input, px.
    pub input_height: usize,
    /// Number of classes, when metadata or a labels file name them.
    pub classes: Option<usize>,
    /// Metadata `end2end`, or `nms` among the export's arguments: suppression is part of the model.
    pub end2end: Option<bool>,
    /// Metadata `task`: `detect`, `segment`, `pose`, …
    pub task: Option<String>,
    /// The layout asked for; `None` is automatic.
    pub layout: Option<Layout>,
}

/// Why no layout was chosen. Every message says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum LayoutError {
    #[error("the model has no outputs")]
    NoOutputs,
    #[error("the model's task is '{0}': only models with axis-aligned boxes are supported")]
    Task(String),
    #[error(
        "the output layout is ambiguous: {outputs} could be {candidates}; set the property `layout` (or the same key in the model's .toml file), or give `labels-file`"
    )]
    Ambiguous { outputs: String, candidates: String },
    #[error(
        "layout not supported: {outputs} at input {width}x{height} matches no known layout; if it is one of them, set the property `layout`"
    )]
    Unknown {
        outputs: String,
        width: usize,
        height: usize,
    },
    #[error(
        "there are {named} class names, but the model's outputs {outputs} have {found} classes: correct `labels-file` (or the labels of the model's .toml file), or set the property `layout`. A pose or segmentation model without that metadata needs task = \"pose\" or \"segment\" and its labels in that file"
    )]
    Classes {
        named: usize,
        found: usize,
        outputs: String,
    },
    #[error(
        "layout={layout} does not fit the model's outputs {outputs}: {reason}; set the property `layout` to auto or to another layout"
    )]
    Mismatch {
        layout: Layout,
        outputs: String,
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_layouts_map_both_ways() {
        for layout in Layout::ALL {
            assert_eq!(Layout::from_name(layout.name()), Some(layout));
        }
        assert_eq!(Layout::from_name("auto"), None);
    }
}
