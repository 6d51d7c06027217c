//! The contents of a cameras file. Every key is checked: an unknown one is an error.

use std::path::{Path, PathBuf};

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
    /// All cameras side by side: in a recording, and in the window.
    pub mosaic: Mosaic,
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

/// Video files of a camera: `FOLDER/CAMERA-TIME-00000.mp4` and on; as received, `FOLDER/CAMERA-TIME-received-00000.mkv`.
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

impl Record {
    /// When a new file begins.
    pub fn segments(&self) -> Segments<'_> {
        Segments {
            folder: &self.folder,
            seconds: self.segment_seconds,
            megabytes: self.segment_megabytes,
            max_files: self.max_files,
        }
    }
}

/// What a recording shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Recorded {
    /// The picture with boxes and names drawn, encoded as H.264.
    #[default]
    Annotated,
    /// The picture alone, encoded as H.264.
    Plain,
    /// The stream as the camera or file encoded it, bit for bit. Sources of raw pictures have none.
    Received,
    /// Annotated and received, in files of their own.
    Both,
}

impl Recorded {
    /// Whether the stream of the source is kept.
    pub const fn is_received(self) -> bool {
        matches!(self, Self::Received | Self::Both)
    }

    /// Whether pictures are encoded.
    pub const fn is_encoded(self) -> bool {
        !matches!(self, Self::Received)
    }

    /// Whether people are drawn.
    pub const fn is_annotated(self) -> bool {
        matches!(self, Self::Annotated | Self::Both)
    }
}

/// A series of video files.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segments<'a> {
    pub folder: &'a Path,
    /// 0: no limit.
    pub seconds: u32,
    /// 0: no limit.
    pub megabytes: u32,
    /// 0: all are kept.
    pub max_files: u32,
}

/// All cameras side by side, with boxes and names drawn and people blurred as the cameras' options say.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Mosaic {
    /// Where recordings of the mosaic go, `FOLDER/mosaic-TIME-00000.mp4` and on; not set: none are made.
    pub folder: Option<PathBuf>,
    /// A new file begins after this many seconds; 0: never.
    pub segment_seconds: u32,
    /// A new file begins after this many megabytes (10^6 bytes); 0: never.
    pub segment_megabytes: u32,
    /// Number of files kept since the recording started, the oldest is deleted; 0: all.
    pub max_files: u32,
    /// Cameras in a row; 0: as many as there are rows, or one more.
    pub columns: u32,
    /// Width of a camera's tile, an even number of px.
    pub tile_width: u32,
    /// Height of a camera's tile, an even number of px.
    pub tile_height: u32,
    /// Pictures a second.
    pub rate: u32,
}

impl Default for Mosaic {
    fn default() -> Self {
        Self {
            folder: None,
            segment_seconds: 0,
            segment_megabytes: 0,
            max_files: 0,
            columns: 0,
            tile_width: 480,
            tile_height: 270,
            rate: 10,
        }
    }
}

impl Mosaic {
    /// The recording, if there is one.
    pub fn segments(&self) -> Option<Segments<'_>> {
        Some(Segments {
            folder: self.folder.as_deref()?,
            seconds: self.segment_seconds,
            megabytes: self.segment_megabytes,
            max_files: self.max_files,
        })
    }

    /// Columns and rows for so many cameras.
    pub fn grid(&self, cameras: usize) -> [usize; 2] {
        let square = || (1..=cameras).find(|side| side * side >= cameras);
        let columns = match self.columns {
            0 => square().unwrap_or(1),
            columns => (columns as usize).min(cameras.max(1)),
        };
        [columns, cameras.div_ceil(columns).max(1)]
    }
}

/// Who was seen: text files `FOLDER/CAMERA-TIME.jsonl` (`.txt` for MOT), messages to brokers, lines to a program; any of them together.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Publish {
    /// Where the files go; made when it is missing.
    pub folder: Option<PathBuf>,
    /// A new file begins after this many seconds of the stream; 0: never. The earlier one gets .1 behind its name.
    pub segment_seconds: u32,
    /// A new file begins before this one has more than this many megabytes (10^6 bytes); 0: never.
    pub segment_megabytes: u32,
    /// How many earlier files of a camera's pipeline are kept.
    pub max_files: u32,
    /// MQTT broker and topic, `mqtt://[user@]host[:port]/topic`. A camera's messages go to TOPIC/CAMERA. The password comes from
    /// the environment variable GST_REID_MQTT_PASSWORD, or from the file that GST_REID_MQTT_PASSWORD_FILE names.
    pub mqtt: Option<String>,
    /// Apache Kafka's servers and topic, `kafka://[user@]host[:port][,host…]/topic`, for builds with the feature `kafka`. The key of a camera's
    /// messages is its name. The password comes from GST_REID_KAFKA_PASSWORD, or from the file that GST_REID_KAFKA_PASSWORD_FILE names.
    pub kafka: Option<String>,
    /// Path of a Unix socket that a program listens on; each camera connects to it.
    pub socket: Option<PathBuf>,
    /// How they are written.
    pub format: PublishFormat,
}

impl Default for Publish {
    fn default() -> Self {
        Self {
            folder: None,
            segment_seconds: 0,
            segment_megabytes: 0,
            max_files: 10,
            mqtt: None,
            kafka: None,
            socket: None,
            format: PublishFormat::default(),
        }
    }
}

impl Publish {
    /// The brokers that it names, each with its key.
    pub fn brokers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let brokers = [("mqtt", &self.mqtt), ("kafka", &self.kafka)];
        brokers
            .into_iter()
            .filter_map(|(key, address)| Some((key, address.as_deref()?)))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mosaics_are_nearly_square() {
        let mut mosaic = Mosaic::default();
        let grids = [0, 1, 2, 5, 8, 10].map(|cameras| mosaic.grid(cameras));
        assert_eq!(grids, [[1, 1], [1, 1], [2, 1], [3, 2], [3, 3], [4, 3]]);
        mosaic.columns = 4;
        assert_eq!([mosaic.grid(3), mosaic.grid(9)], [[3, 1], [4, 3]]);
    }
}
