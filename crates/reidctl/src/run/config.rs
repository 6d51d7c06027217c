//! The contents of a cameras file. Every key is checked: an unknown one is an error.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{age::Age, source::Source};

/// Most cameras of one file.
pub const MAX_CAMERAS: usize = 256;
/// The gallery that cameras share when the file names none.
const DEFAULT_GALLERY: &str = "cameras";

/// Cameras of `reidctl run`, and what is done with their pictures.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// Address of this schema, for editors.
    #[serde(rename = "$schema")]
    pub schema: Option<String>,
    /// The cameras.
    pub cameras: Vec<Camera>,
    /// Who is known.
    pub gallery: GalleryOptions,
    /// File that says which cameras overlap and how long people walk between the others.
    pub topology: Option<PathBuf>,
    /// What finds and describes people.
    pub models: Models,
    /// How long people are known.
    pub retention: Retention,
    /// Options of every camera that does not set them itself.
    pub options: Options,
    /// When a camera is restarted.
    pub restart: Restart,
}

/// One camera.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Camera {
    /// Unique name. `camname` is read, too.
    #[serde(alias = "camname")]
    pub name: String,
    /// Where its pictures come from. `ip` is read, too.
    #[serde(alias = "ip")]
    pub source: Source,
    /// Whether it runs.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What is different from the options of all cameras.
    #[serde(default)]
    pub options: Options,
}

fn yes() -> bool {
    true
}

/// The gallery that all cameras share.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GalleryOptions {
    /// Its name.
    pub name: String,
    /// Where it is kept: `sqlite:///path`, `postgresql://user@host/database`; empty: in memory.
    pub location: String,
    /// Keep one small picture of each person; needs a location. Pictures of people are biometric data.
    pub thumbnails: bool,
    /// Minimum cosine similarity for a match, 0 to 1; not set: calibrated automatically.
    pub match_threshold: Option<f32>,
    /// Maximum number of people known.
    pub max_identities: u32,
}

impl Default for GalleryOptions {
    fn default() -> Self {
        Self {
            name: DEFAULT_GALLERY.into(),
            location: String::new(),
            thumbnails: false,
            match_threshold: None,
            max_identities: 10_000,
        }
    }
}

/// The models. Not set: those that ship.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Models {
    /// The detector's .onnx file; `none`: the source attaches detections (a test source with `attach = "detections"`).
    pub detector: Option<String>,
    /// The embedder's .onnx file; `none`: people are followed by motion only.
    pub embedder: Option<String>,
    /// Where models run: `cpu`, `cuda[:N]`, `tensorrt[:N]` or `openvino[:DEVICE]`.
    pub device: Option<String>,
    /// Threads that one inference uses; 0: chosen by the number of cores.
    pub threads: u32,
}

/// How long people are known.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Retention {
    /// People not seen for this long are forgotten, such as `30d`, `12h`; not set: never.
    pub max_age: Option<Age>,
}

/// What a camera does with its pictures. Not set: as the options of all cameras say, else the default of the element.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// Lowest score of a detection, 0 to 1.
    pub threshold: Option<f32>,
    /// Runs the detector on every Nth frame.
    pub inference_interval: Option<u32>,
    /// Frames for which a person's vector is used again.
    pub reuse_interval: Option<u32>,
    /// Minimum height in px of a person who is described.
    pub min_height: Option<u32>,
    /// Whom to anonymise in recordings and on the page.
    pub blur: Option<Blur>,
    /// Ids and names that `blur = "except"` does not touch.
    pub blur_except: Option<Vec<String>>,
    /// Records video files.
    pub record: Option<Record>,
    /// Writes who was seen.
    pub publish: Option<Publish>,
}

impl Options {
    /// These, completed by `others`.
    pub fn or(&self, others: &Self) -> Self {
        Self {
            threshold: self.threshold.or(others.threshold),
            inference_interval: self.inference_interval.or(others.inference_interval),
            reuse_interval: self.reuse_interval.or(others.reuse_interval),
            min_height: self.min_height.or(others.min_height),
            blur: self.blur.or(others.blur),
            blur_except: self
                .blur_except
                .clone()
                .or_else(|| others.blur_except.clone()),
            record: self.record.clone().or_else(|| others.record.clone()),
            publish: self.publish.clone().or_else(|| others.publish.clone()),
        }
    }

    /// Whether somebody is to be anonymised.
    pub fn hides(&self) -> bool {
        self.blur.is_some_and(|blur| blur != Blur::None)
    }
}

/// Whom to anonymise. Uncertain identities are blurred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Blur {
    /// Nobody.
    None,
    /// Everybody without an identity, or with one that is still pending.
    Unknown,
    /// Everybody.
    All,
    /// Everybody but those in `blur-except`.
    Except,
}

impl Blur {
    /// As the element calls it.
    pub const fn nick(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unknown => "unknown",
            Self::All => "all",
            Self::Except => "except",
        }
    }
}

/// Video files of a camera: `FOLDER/CAMERA-TIME-00000.mp4` and on.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Record {
    /// Where the files go; made when it is missing.
    pub folder: PathBuf,
    /// What they show.
    #[serde(default)]
    pub what: Recorded,
    /// A new file begins after this many seconds; 0: never.
    #[serde(default)]
    pub segment_seconds: u32,
    /// A new file begins after this many megabytes (10^6 bytes); 0: never.
    #[serde(default)]
    pub segment_megabytes: u32,
    /// Number of files kept since the start of the camera, the oldest is deleted; 0: all.
    #[serde(default)]
    pub max_files: u32,
}

/// What a recording shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Recorded {
    /// Boxes and names drawn.
    #[default]
    Annotated,
    /// The picture alone.
    Received,
}

/// Text files of who was seen: `FOLDER/CAMERA-TIME.jsonl`, or `.txt` for MOT.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Publish {
    /// Where the files go; made when it is missing.
    pub folder: PathBuf,
    /// How they are written.
    #[serde(default)]
    pub format: PublishFormat,
}

/// How it is written who was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PublishFormat {
    /// A JSON object a line.
    #[default]
    JsonLines,
    /// A line a person, as the MOT challenge reads it.
    Mot,
}

impl PublishFormat {
    /// As the element calls it, and the ending of its files.
    pub const fn nick_and_ending(self) -> (&'static str, &'static str) {
        match self {
            Self::JsonLines => ("json-lines", "jsonl"),
            Self::Mot => ("mot", "txt"),
        }
    }
}

/// When a camera is restarted.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Restart {
    /// A camera without a frame for this many seconds has stalled.
    pub stall_seconds: u32,
    /// Seconds before the first restart; each further one waits twice as long.
    pub first_seconds: f32,
    /// Maximum number of seconds before a restart.
    pub longest_seconds: f32,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            stall_seconds: 15,
            first_seconds: 1.0,
            longest_seconds: 60.0,
        }
    }
}

/// The JSON Schema of the file.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}
