//! Embeddings of whole pictures, with the preprocessing and sessions of `reidembed`.

use std::{error::Error, path::Path, time::Duration};

use gstreid::{
    core::{
        embedding::{Embedding, ModelFingerprint, dot},
        geometry::Rect,
    },
    inference::{
        Embedder, EmbedderRequest, InferenceError, MeasuredCalibration, ModelRequest, Precision,
        device::Device, models,
    },
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::pictures::{Entry, Picture};

/// Which model, and how it runs.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct ModelArguments {
    /// Model: a file, or the name of a shipped model. Default: the element's default.
    #[arg(long, value_name = "FILE")]
    pub model: Option<String>,
    /// Device, as in the elements' property `device`.
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Number of threads per inference. 0: chosen from the number of cores.
    #[arg(long, default_value_t = 0)]
    pub threads: u32,
    /// fp32: the file as it is; int8: the 8-bit file beside it; auto: as the elements choose.
    #[arg(long, default_value = "fp32")]
    pub precision: Precision,
}

impl ModelArguments {
    /// What the pool of sessions is asked for. Initialises GStreamer, beside whose plugins libraries and models are
    /// looked for.
    pub fn request(&self, default: &str) -> Result<ModelRequest, Box<dyn Error>> {
        gst::init()?;
        Ok(ModelRequest {
            path: models::resolve(self.model.as_deref(), default)?,
            device: Device::parse(&self.device)?,
            threads: self.threads,
            precision: self.precision,
        })
    }
}

/// Distance between two vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Metric {
    /// Cosine similarity, 1 for the same direction.
    #[default]
    Cosine,
    /// Euclidean distance of the unit vectors, 0 for the same direction.
    Euclidean,
}

impl Metric {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Euclidean => "distance",
        }
    }

    /// The measure of two vectors of one length.
    pub fn of(self, a: &[f32], b: &[f32]) -> f32 {
        match self {
            Self::Cosine => dot(a, b),
            Self::Euclidean => {
                let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
                squares.sum::<f32>().sqrt()
            }
        }
    }

    /// The same so that greater is nearer.
    pub fn nearness(self, a: &[f32], b: &[f32]) -> f32 {
        match self {
            Self::Cosine => self.of(a, b),
            Self::Euclidean => -self.of(a, b),
        }
    }
}

/// An embedder and what it has cost so far.
pub struct PictureEmbedder {
    embedder: Embedder,
    /// Filling tensors and running the model.
    pub spent: Duration,
    /// Pictures embedded.
    pub pictures: u32,
}

impl PictureEmbedder {
    /// Loads the model; what its user should know about it goes to stderr.
    pub fn open(arguments: &ModelArguments) -> Result<Self, Box<dyn Error>> {
        let mut opened = Self::open_quietly(arguments)?;
        if let Some(warning) = opened.embedder.take_warning() {
            eprintln!("reidctl: {warning}");
        }
        Ok(opened)
    }

    /// Loads the model, of which somebody else has said already what its user should know.
    pub fn open_quietly(arguments: &ModelArguments) -> Result<Self, Box<dyn Error>> {
        let embedder = Embedder::open(&EmbedderRequest {
            model: arguments.request(models::DEFAULT_EMBEDDER)?,
            instance_id: None,
            batch: 1,
        })?;
        Ok(Self {
            embedder,
            spent: Duration::ZERO,
            pictures: 0,
        })
    }

    /// The model's file.
    pub fn model(&self) -> String {
        self.embedder.info().path.display().to_string()
    }

    /// The model's file.
    pub fn model_file(&self) -> &Path {
        &self.embedder.info().path
    }

    /// Marks the vectors of this model, fed this way.
    pub fn fingerprint(&self) -> ModelFingerprint {
        self.embedder.fingerprint()
    }

    /// What is known of its cosines.
    pub fn calibration(&self) -> Option<&MeasuredCalibration> {
        self.embedder.calibration()
    }

    /// True when the sidecar's calibration is another model's.
    pub fn is_calibration_stale(&self) -> bool {
        self.embedder.is_calibration_stale()
    }

    /// Numbers of a vector.
    pub fn dimension(&self) -> usize {
        self.embedder.dimension()
    }

    /// The vector of a whole picture. The inner error is the picture's, the outer one the model's.
    pub fn embed(
        &mut self,
        picture: &Picture,
    ) -> Result<Result<Embedding, String>, InferenceError> {
        let view = match picture.view() {
            Ok(view) => view,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let whole = Rect::new(0.0, 0.0, picture.width(), picture.height());
        let outcome = self.embedder.embed(&view, &[whole], 1)?;
        self.spent += outcome.preprocess + outcome.infer;
        self.pictures += 1;
        let vector = outcome.vectors.into_iter().next();
        Ok(vector.map_or_else(
            || Err("the model gave no vector".into()),
            |vector| vector.map_err(|error| error.to_string()),
        ))
    }

    /// The vector of a file's picture, likewise.
    pub fn embed_entry(
        &mut self,
        entry: &Entry,
    ) -> Result<Result<Embedding, String>, InferenceError> {
        match entry.picture() {
            Ok(picture) => self.embed(&picture),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Mean time of a picture, ms.
    pub fn mean_ms(&self) -> f64 {
        1e3 * self.spent.as_secs_f64() / f64::from(self.pictures.max(1))
    }
}

/// A bar on stderr with rate and remaining time; nothing where stderr is no terminal.
pub fn progress(what: &'static str, length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {per_sec} {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length as u64)
        .with_style(style)
        .with_message(what)
}

/// Most skipped pictures that are listed by name.
const LISTED: usize = 20;

/// Says on stderr which pictures could not be used.
pub fn tell_skipped(skipped: &[String]) {
    if skipped.is_empty() {
        return;
    }
    eprintln!("reidctl: {} pictures skipped:", skipped.len());
    for line in skipped.iter().take(LISTED) {
        eprintln!("  {line}");
    }
    if skipped.len() > LISTED {
        eprintln!("  ... and {} more", skipped.len() - LISTED);
    }
}
