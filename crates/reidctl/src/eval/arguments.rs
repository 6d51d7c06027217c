//! The arguments of `reidctl eval`.

use std::path::PathBuf;

use crate::embedding::{Metric, ModelArguments};

/// Task of the model.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Task {
    /// An embedder: the Market-1501 protocol.
    Embed,
    /// A detector: COCO's average precision.
    Detect,
}

#[derive(clap::Args)]
#[command(after_help = "\
Embedders: the data are folders or tar archives in the layout of Market-1501, with pictures `<person>_c<camera>...` in `query/` \
and `bounding_box_test/` (or `gallery/`). Pictures of the query's person by the query's camera are ignored, as is person -1; \
person 0000 is a distractor. Vectors have unit length: the Euclidean distance ranks as the cosine does. \
--calibrate writes the distributions of genuine and impostor scores to the model's .toml file. `reidctl compare` derives a \
probability from them. Use people whom the model was not trained on.\n
Detectors: the data are a folder or tar archive in YOLO layout, `images/<name>.jpg` and `labels/<name>.txt` with rows \
`0 cx cy w h` as fractions of the picture; the part of a name before the first `_` is its source. Or a folder with \
`gt/gt.txt`, rows of MOTChallenge, and a clip or the frames `img1/000001.jpg`; or a folder of such folders, each a source.\n
Example: reidctl eval --data Market-1501-v15.09.15")]
pub struct Arguments {
    /// Folder or tar archive.
    #[arg(long, value_name = "DIR|TAR")]
    pub data: PathBuf,
    /// Task of the model.
    #[arg(long, value_enum, default_value = "embed")]
    pub task: Task,
    #[command(flatten)]
    pub model: ModelArguments,
    /// Embedders: metric that ranks the gallery.
    #[arg(long, value_enum, default_value_t)]
    pub metric: Metric,
    /// Embedders: also write a report with curves and pictures of hits and misses to one HTML file. It shows people.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Embedders: also write the calibration of cosines to the .toml file beside the model.
    #[arg(long)]
    pub calibrate: bool,
    /// Embedders: name of the data in the calibration. Default: the name of the folder or archive.
    #[arg(long, value_name = "TEXT", requires = "calibrate")]
    pub data_name: Option<String>,
    /// Detectors: only pictures of these sources.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub source: Vec<String>,
    /// Detectors: also write the boxes to this folder in COCO format, `truth.json` and `found.json`.
    #[arg(long, value_name = "DIR")]
    pub boxes: Option<PathBuf>,
    /// Detectors: score at which recall and precision are reported.
    #[arg(long, default_value_t = 0.25)]
    pub threshold: f32,
    /// Detectors: overlap above which the box with the lower score is dropped.
    #[arg(long, default_value_t = 0.45)]
    pub iou_threshold: f32,
    /// Print JSON (scores from 0 to 1) instead of tables.
    #[arg(long)]
    pub json: bool,
}

impl Arguments {
    /// True when the pictures of a source are used.
    pub fn wants(&self, source: &str) -> bool {
        self.source.is_empty() || self.source.iter().any(|wanted| wanted == source)
    }
}
