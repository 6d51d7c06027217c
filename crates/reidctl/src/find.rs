//! Who of a gallery is on a picture: for `reidctl gallery find` and the page. Nothing of the picture is kept.

use gstreid::core::{calibration::Calibration, embedding::Embedding};
use serde::Serialize;

use crate::{embedding::PictureEmbedder, pictures::Picture};

/// Most pixels of a picture that is looked up.
const MAX_PIXELS: u64 = 25_000_000;

/// No cosine makes anything more certain than that.
const CERTAINTY: f64 = 1e-9;

/// Why nobody can be found.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FindError {
    #[error("the picture cannot be used: {0}")]
    Picture(String),
    #[error("the embedder fails: {0}")]
    Model(String),
    #[error("the gallery is empty")]
    Empty,
    #[error(
        "none of {people} people has a vector of the model {model}: use the model that the gallery was made with (--model, or models.embedder in the cameras file)"
    )]
    OtherModel { people: usize, model: String },
    #[error(
        "the cameras run without an embedder, so nobody is known by appearance: set models.embedder in the cameras file"
    )]
    NoEmbedder,
}

/// What a picture is looked up by.
pub struct Query {
    /// Its vector.
    pub vector: Embedding,
    /// Whether it is wider than a person.
    pub is_wide: bool,
}

/// Somebody who may be on the picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// The id.
    pub id: u32,
    /// The name, if one was given.
    pub name: Option<String>,
    /// Cosine with their most similar vector, -1..=1.
    pub cosine: f32,
    /// Probability, 0..=1, that two pictures with this cosine show one person, with a prior of 50 %, as `compare` gives it: it
    /// does not account for how many people the gallery knows. `None` where the embedder is not calibrated.
    pub same_person: Option<f64>,
    /// Probability, 0..=1, that the picture shows this one of those who were compared, when each of them and nobody of them are
    /// equally likely beforehand. `None` likewise, and where nobody was looked up.
    pub probability: Option<f64>,
    /// Cameras that saw the person.
    pub cameras: Vec<String>,
    /// Last seen, ns since 1970.
    pub last_seen_ns: Option<i64>,
}

/// The vector of a picture file.
pub fn query(file: &[u8], embedder: &mut PictureEmbedder) -> Result<Query, FindError> {
    let picture = Picture::decode_sent(file, MAX_PIXELS).map_err(FindError::Picture)?;
    let vector = embedder
        .embed(&picture)
        .map_err(|error| FindError::Model(error.to_string()))?;
    Ok(Query {
        vector: vector.map_err(FindError::Picture)?,
        is_wide: picture.columns() > picture.rows(),
    })
}

/// The probabilities ([`Candidate::probability`]) of people with these cosines, in their order.
pub fn shares(cosines: &[f32], scores: Option<&Calibration>) -> Vec<Option<f64>> {
    let Some(scores) = scores else {
        return vec![None; cosines.len()];
    };
    let odds = |cosine: &f32| {
        let same = scores
            .same_person(*cosine)
            .clamp(CERTAINTY, 1.0 - CERTAINTY);
        same / (1.0 - same)
    };
    let odds: Vec<f64> = cosines.iter().map(odds).collect();
    let all = 1.0 + odds.iter().sum::<f64>();
    odds.into_iter().map(|odds| Some(odds / all)).collect()
}

/// Why a gallery of `people` has nobody to compare with, if it has not.
pub fn check(is_found: bool, people: usize, embedder: &PictureEmbedder) -> Result<(), FindError> {
    match (is_found, people) {
        (true, _) => Ok(()),
        (false, 0) => Err(FindError::Empty),
        (false, people) => Err(FindError::OtherModel {
            people,
            model: embedder.model(),
        }),
    }
}

/// The embedder's calibration as numbers.
pub fn calibration(embedder: &PictureEmbedder) -> Option<Calibration> {
    embedder.calibration().map(|measured| measured.numbers())
}

#[cfg(test)]
mod tests {
    use gstreid::core::calibration::Spread;

    use super::*;

    #[test]
    fn one_photo_is_one_person_or_nobody() {
        let spread = |mean| Spread {
            mean,
            deviation: 0.1,
        };
        let scores = Calibration {
            impostor: spread(0.1),
            genuine: spread(0.6),
        };
        let share = |cosines: &[f32]| -> Vec<f64> {
            let shares = shares(cosines, Some(&scores));
            shares.into_iter().map(Option::unwrap).collect()
        };
        assert!(share(&[0.6, 0.1])[0] > 0.95);
        // Two alike who are both like the photo share what one would have.
        let twins = share(&[0.9, 0.9]);
        assert!((twins[0] - 0.5).abs() < 1e-3 && twins[0] == twins[1]);
        assert!(share(&[0.1, 0.0]).iter().sum::<f64>() < 0.1, "it is nobody");
        assert!(share(&[1.0; 3]).iter().all(|share| share.is_finite()));
        assert_eq!(shares(&[0.5], None), [None]);
    }
}
