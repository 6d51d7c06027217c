//! Runs the detector on every picture and collects the results.

use std::{collections::BTreeMap, error::Error, time::Duration};

use gstreid::{
    core::{
        geometry::Rect,
        image::ImageView,
        scoring::{Found, Picture as Boxes},
    },
    inference::{DetectParams, Detector, DetectorRequest, models},
};

use crate::eval::arguments::Arguments;

/// Boxes below this score are left out: they cannot change average precision by more than a trifle, and there are
/// thousands of them (the training's evaluation uses the same).
const LOWEST_SCORE: f32 = 0.01;

/// Most boxes of a picture, the element's default.
const MOST: usize = 300;

/// What is there and what was found, by source; pictures that could not be used.
#[derive(Default)]
pub struct Tally {
    pub by_source: BTreeMap<String, Vec<Boxes>>,
    pub skipped: Vec<String>,
}

/// A detector and what it has cost so far.
pub struct Eye {
    detector: Detector,
    params: DetectParams,
    spent: Duration,
    pictures: u32,
}

impl Eye {
    /// Loads the detector.
    pub fn open(arguments: &Arguments) -> Result<Self, Box<dyn Error>> {
        let mut detector = Detector::open(DetectorRequest {
            model: arguments.model.request(models::DEFAULT_DETECTOR)?,
            instance_id: None,
            layout: None,
            labels: None,
        })?;
        detector.look_for("person")?;
        Ok(Self {
            detector,
            params: DetectParams {
                threshold: LOWEST_SCORE,
                iou_threshold: arguments.iou_threshold,
                limit: MOST,
            },
            spent: Duration::ZERO,
            pictures: 0,
        })
    }

    /// Looks at a picture and notes what was found beside what is there.
    pub fn look(
        &mut self,
        view: &ImageView<'_>,
        truth: Vec<Rect>,
        crowds: Vec<Rect>,
    ) -> Result<Boxes, Box<dyn Error>> {
        let outcome = self.detector.detect(view, &self.params)?;
        self.spent += outcome.times.preprocess + outcome.times.infer + outcome.times.decode;
        self.pictures += 1;
        let found = |d: &gstreid::core::yolo::Detection| Found {
            rect: d.rect,
            score: d.score,
        };
        Ok(Boxes {
            truth,
            crowds,
            found: self.detector.detections().iter().map(found).collect(),
        })
    }

    /// The detector's file.
    pub fn model(&self) -> String {
        self.detector.info().path.display().to_string()
    }

    /// Time for a picture in the mean, ms.
    pub fn mean_ms(&self) -> f64 {
        1e3 * self.spent.as_secs_f64() / f64::from(self.pictures.max(1))
    }
}
