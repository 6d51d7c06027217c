//! The sidecar: `detector.toml` beside `detector.onnx` declares what the model's metadata does not.
//!
//! ```toml
//! # Every key is optional; the default comes from the model's metadata, else from its family.
//! task = "detect"               # what it was trained for: detect, segment, pose (the last two have more values per box)
//! layout = "yolox"              # output layout: a value of yolodetect's property `layout`
//! width = 416                   # size of the input, px, for models that leave it open
//! height = 416
//! tensor = "nchw"               # order of the input's axes: nchw, nhwc
//! color = "bgr"                 # order of the colours: rgb, bgr
//! scale = 1.0                   # value = (pixel * scale - mean) / std, pixel 0..255;
//! mean = [0.0, 0.0, 0.0]        # mean and std in the order of `color`
//! std = [1.0, 1.0, 1.0]
//! resize = "letterbox-top-left" # letterbox-centred, letterbox-top-left, squash
//! pad = 114                     # grey level of the letterbox, 0..255
//! labels = ["person", "car"]    # class names in the model's order
//! output = "features"           # which output holds an embedder's vectors, by name, where there are several
//!
//! [calibration]                 # scores of genuine and impostor pairs; `reidctl eval --calibrate` writes it
//! embedder = "0123456789abcdef" # the model and its preprocessing that it was measured with
//! data = "the house across"     # what it was measured on
//! impostor = { mean = 0.25, deviation = 0.125 }
//! genuine = { mean = 0.625, deviation = 0.125 }
//! visits = [                    # of visits, the means of up to so many crops by one camera, without what the camera adds and what
//!     { crops = 4, impostor = { mean = 0.0, deviation = 0.125 }, genuine = { mean = 0.5, deviation = 0.125 } }, # varies within visits
//! ]
//! ```
//!
//! It overrides the model's own metadata. As soon as one of `scale`, `mean` and `std` is given, those left out are neutral
//! (1, 0, 1). Unknown keys are errors. `strangers` and `companions` are the former names of `impostor` and `genuine`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::core::{
    calibration::{Calibration, Spread},
    embedding::ModelFingerprint,
    preprocess::{ColorOrder, ResizeMode, TensorLayout},
    scores::ScorePrior,
    yolo::Layout,
};

/// Longest side of an input tensor, px.
pub const MAX_INPUT_SIDE: usize = 8192;

/// The contents of a sidecar; `None` where a key is missing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sidecar {
    /// What a detector was trained for.
    #[serde(default, deserialize_with = "task")]
    pub task: Option<Task>,
    /// Layout of a detector's outputs.
    #[serde(default, deserialize_with = "layout")]
    pub layout: Option<Layout>,
    /// Width of the input, px.
    pub width: Option<usize>,
    /// Height of the input, px.
    pub height: Option<usize>,
    /// Order of the input's axes.
    #[serde(default, deserialize_with = "tensor")]
    pub tensor: Option<TensorLayout>,
    /// Order of the colours.
    #[serde(default, deserialize_with = "color")]
    pub color: Option<ColorOrder>,
    /// Factor of a pixel, before `mean`.
    pub scale: Option<f32>,
    /// Subtracted, by tensor channel.
    pub mean: Option<[f32; 3]>,
    /// Divided by, by tensor channel.
    pub std: Option<[f32; 3]>,
    /// How other shapes are fitted.
    #[serde(default, deserialize_with = "resize")]
    pub resize: Option<ResizeMode>,
    /// Grey level of the padding.
    pub pad: Option<u8>,
    /// Class names.
    pub labels: Option<Vec<String>>,
    /// Name of the output that holds an embedder's vectors.
    pub output: Option<String>,
    /// Scores of genuine and impostor pairs of an embedder.
    pub calibration: Option<MeasuredCalibration>,
}

/// What a detector was trained for, as Ultralytics' metadata names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Boxes alone.
    Detect,
    /// Mask coefficients follow the classes.
    Segment,
    /// Key points follow the classes.
    Pose,
}

impl Task {
    const ALL: [Self; 3] = [Self::Detect, Self::Segment, Self::Pose];

    /// As in sidecars and metadata.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::Segment => "segment",
            Self::Pose => "pose",
        }
    }
}

/// A calibration and where it comes from.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredCalibration {
    /// Fingerprint of the model and its preprocessing, sixteen hexadecimal digits.
    pub embedder: String,
    /// What it was measured on.
    pub data: String,
    /// Cosines of two people.
    #[serde(alias = "strangers")]
    pub impostor: Spread,
    /// Cosines of one person.
    #[serde(alias = "companions")]
    pub genuine: Spread,
    /// The same of visits, by the number of their crops.
    #[serde(default)]
    pub visits: Vec<VisitScores>,
}

/// Scores of visits of up to so many crops.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisitScores {
    /// Most crops of a visit.
    pub crops: u32,
    /// Cosines of two people.
    pub impostor: Spread,
    /// Cosines of one person, seen by two cameras.
    pub genuine: Spread,
}

impl VisitScores {
    /// The numbers alone.
    pub fn numbers(&self) -> Calibration {
        Calibration {
            impostor: self.impostor,
            genuine: self.genuine,
        }
    }
}

impl MeasuredCalibration {
    /// What was measured with `embedder` on `data`.
    pub fn new(calibration: &Calibration, embedder: ModelFingerprint, data: &str) -> Self {
        Self {
            embedder: hexadecimal(embedder),
            data: data.into(),
            impostor: calibration.impostor,
            genuine: calibration.genuine,
            visits: Vec::new(),
        }
    }

    /// Likewise with what visits score.
    pub fn with_visits(self, visits: Vec<VisitScores>) -> Self {
        Self { visits, ..self }
    }

    /// The numbers alone.
    pub fn numbers(&self) -> Calibration {
        Calibration {
            impostor: self.impostor,
            genuine: self.genuine,
        }
    }

    /// What a gallery believes of the model's scores before any were seen: of visits what those of most crops score. `None` where visits
    /// were not measured: single pictures of a test set say too little of a camera's visits.
    pub fn prior(&self) -> Option<ScorePrior> {
        let visits = self.visits.iter().max_by_key(|v| v.crops)?;
        Some(ScorePrior::new(&self.numbers(), Some(&visits.numbers())))
    }

    /// True when it was measured with this model, fed this way.
    pub fn is_of(&self, embedder: ModelFingerprint) -> bool {
        self.embedder.eq_ignore_ascii_case(&hexadecimal(embedder))
    }

    /// As the sidecar's table.
    fn to_toml(&self) -> String {
        let spread =
            |s: &Spread| format!("{{ mean = {:.4}, deviation = {:.4} }}", s.mean, s.deviation);
        let mut text = format!(
            "{CALIBRATION}\nembedder = \"{}\"\ndata = {}\nimpostor = {}\ngenuine = {}\n",
            self.embedder,
            toml::Value::from(self.data.as_str()),
            spread(&self.impostor),
            spread(&self.genuine)
        );
        if !self.visits.is_empty() {
            text.push_str("visits = [\n");
            for visit in &self.visits {
                let (impostor, genuine) = (spread(&visit.impostor), spread(&visit.genuine));
                text.push_str(&format!(
                    "    {{ crops = {}, impostor = {impostor}, genuine = {genuine} }},\n",
                    visit.crops
                ));
            }
            text.push_str("]\n");
        }
        text
    }
}

/// Header of the calibration's table, the last of a sidecar that we write.
const CALIBRATION: &str = "[calibration]";

fn hexadecimal(fingerprint: ModelFingerprint) -> String {
    format!("{:016x}", fingerprint.0)
}

/// Why a sidecar cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} cannot be used: {reason}", path = .path.display())]
pub struct SidecarError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl Sidecar {
    /// Where the sidecar of a model is: the same name, `.toml` in place of `.onnx`.
    pub fn path_of(model: &Path) -> PathBuf {
        model.with_extension("toml")
    }

    /// Reads the sidecar of `model`; empty when there is none.
    pub fn beside(model: &Path) -> Result<Self, SidecarError> {
        let path = Self::path_of(model);
        let error = |reason: String| SidecarError {
            path: path.clone(),
            reason,
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).map_err(error),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(error(e.to_string())),
        }
    }

    /// Writes a calibration into the sidecar of `model`, in place of an older one; everything else stays as it is.
    pub fn write_calibration(
        model: &Path,
        calibration: &MeasuredCalibration,
    ) -> Result<PathBuf, SidecarError> {
        let path = Self::path_of(model);
        let error = |reason: String| SidecarError {
            path: path.clone(),
            reason,
        };
        let old = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(error(e.to_string())),
        };
        Self::parse(&old).map_err(error)?;
        let text = with_calibration(&old, calibration);
        Self::parse(&text).map_err(error)?;
        // In one step: a half-written sidecar would keep the model from loading.
        let draft = path.with_extension("toml.part");
        std::fs::write(&draft, text)
            .and_then(|()| std::fs::rename(&draft, &path))
            .map_err(|e| error(e.to_string()))?;
        Ok(path)
    }

    /// Reads a sidecar's text; the error says what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let sidecar: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        sidecar.check()?;
        Ok(sidecar)
    }

    fn check(&self) -> Result<(), String> {
        let is_side = |side: &usize| (1..=MAX_INPUT_SIDE).contains(side);
        if ![self.width, self.height].iter().flatten().all(is_side) {
            return Err(format!("width and height are 1 to {MAX_INPUT_SIDE} px"));
        }
        let numbers = [self.mean, self.std].into_iter().flatten().flatten();
        if !numbers.chain(self.scale).all(f32::is_finite) {
            return Err("scale, mean and std are finite numbers".into());
        }
        if self.scale == Some(0.0) || self.std.is_some_and(|std| std.contains(&0.0)) {
            return Err("scale and std are not zero".into());
        }
        if self.labels.as_ref().is_some_and(Vec::is_empty) {
            return Err("labels is empty".into());
        }
        let Some(calibration) = &self.calibration else {
            return Ok(());
        };
        let visits = calibration.visits.iter().map(VisitScores::numbers);
        std::iter::once(calibration.numbers())
            .chain(visits)
            .try_for_each(|numbers| numbers.check())
            .map_err(|e| e.to_string())
    }
}

/// The text with its calibration replaced, or one appended. Only a table's header ends a table.
fn with_calibration(text: &str, calibration: &MeasuredCalibration) -> String {
    let mut kept = String::new();
    let mut is_inside = false;
    for line in text.lines() {
        if line.trim_start().starts_with('[') {
            is_inside = line.trim_start().starts_with(CALIBRATION);
        }
        if !is_inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    let kept = kept.trim_end();
    let gap = if kept.is_empty() { "" } else { "\n\n" };
    format!("{kept}{gap}{}", calibration.to_toml())
}

/// Reads one of several names.
fn one_of<'de, D, T: Copy>(deserializer: D, names: &[(&str, T)]) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    match find_name(&text, names) {
        Some(value) => Ok(Some(value)),
        None => {
            let all: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
            let text = format!("'{text}' is none of {}", all.join(", "));
            Err(serde::de::Error::custom(text))
        }
    }
}

/// The value of that name, whatever its case.
pub(super) fn find_name<T: Copy>(text: &str, names: &[(&str, T)]) -> Option<T> {
    names
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text.trim()))
        .map(|&(_, value)| value)
}

/// Names of colour orders.
pub(super) const COLORS: [(&str, ColorOrder); 2] =
    [("rgb", ColorOrder::Rgb), ("bgr", ColorOrder::Bgr)];

/// Names of axis orders.
pub(super) const TENSORS: [(&str, TensorLayout); 2] =
    [("nchw", TensorLayout::Nchw), ("nhwc", TensorLayout::Nhwc)];

/// Names of resize modes.
pub(super) const RESIZES: [(&str, ResizeMode); 3] = [
    ("letterbox-centred", ResizeMode::LetterboxCentred),
    ("letterbox-top-left", ResizeMode::LetterboxTopLeft),
    ("squash", ResizeMode::Squash),
];

fn layout<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Layout>, D::Error> {
    one_of(d, &Layout::ALL.map(|layout| (layout.name(), layout)))
}

fn task<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Task>, D::Error> {
    one_of(d, &Task::ALL.map(|task| (task.name(), task)))
}

fn color<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<ColorOrder>, D::Error> {
    one_of(d, &COLORS)
}

fn tensor<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<TensorLayout>, D::Error> {
    one_of(d, &TENSORS)
}

fn resize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<ResizeMode>, D::Error> {
    one_of(d, &RESIZES)
}

#[cfg(test)]
mod tests;
