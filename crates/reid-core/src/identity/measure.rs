//! What visits score, measured on labelled pictures: the prior of a model's scores (`reidctl eval --calibrate`). Vectors are treated as
//! the gallery treats those of its cameras.

use super::{CameraId, camera_bias::CameraBias, variation::Variation};
use crate::{
    calibration::{Calibration, Spread},
    embedding::{Embedding, dot},
};

/// What one camera has of one person.
#[derive(Clone, Debug)]
pub struct LabelledVisit<'a> {
    /// Who.
    pub person: u32,
    /// Where.
    pub camera: u32,
    /// The vectors, of one model.
    pub crops: Vec<&'a Embedding>,
}

/// What visits of up to so many crops score: two of two people, and two of one person by two cameras. `None` of fewer than two pairs
/// of either kind.
pub fn visit_scores(visits: &[LabelledVisit<'_>], crops: usize) -> Option<Calibration> {
    let dimension = visits.iter().find_map(|v| v.crops.first())?.dimension();
    let means: Vec<(u32, u32, Vec<f32>)> = visits
        .iter()
        .filter_map(|v| Some((v.person, v.camera, mean(&v.crops, crops, dimension)?)))
        .collect();
    let mut variation = Variation::new(dimension);
    let mut bias = CameraBias::new(dimension);
    for visit in visits {
        learn(&mut variation, visit, dimension);
    }
    for (_, camera, vector) in &means {
        bias.add(CameraId(*camera), vector, 1.0);
    }
    let off = bias.means(std::iter::empty(), means.len());
    let clean = |(person, camera, mut vector): (u32, u32, Vec<f32>)| {
        off.remove(CameraId(camera), &mut vector);
        variation.remove(&mut vector);
        scale(&mut vector);
        (person, camera, vector)
    };
    let cleaned: Vec<_> = means.into_iter().map(clean).collect();
    let (mut impostor, mut genuine) = (Sums::default(), Sums::default());
    for (i, (person, camera, vector)) in cleaned.iter().enumerate() {
        for (other, elsewhere, theirs) in &cleaned[..i] {
            let score = f64::from(dot(vector, theirs));
            if person != other {
                impostor.add(score);
            } else if camera != elsewhere {
                genuine.add(score);
            }
        }
    }
    Some(Calibration {
        impostor: impostor.spread()?,
        genuine: genuine.spread()?,
    })
}

/// The mean of the first crops, at unit length.
fn mean(crops: &[&Embedding], most: usize, dimension: usize) -> Option<Vec<f32>> {
    let mut sum = vec![0.0; dimension];
    let fitting = crops
        .iter()
        .take(most)
        .filter(|c| c.dimension() == dimension);
    for crop in fitting {
        sum.iter_mut().zip(crop.values()).for_each(|(s, v)| *s += v);
    }
    scale(&mut sum);
    sum.iter().any(|v| *v != 0.0).then_some(sum)
}

fn scale(vector: &mut [f32]) {
    let length = dot(vector, vector).sqrt().max(f32::MIN_POSITIVE);
    vector.iter_mut().for_each(|v| *v /= length);
}

/// How the crops of a visit differ from those before them.
fn learn(variation: &mut Variation, visit: &LabelledVisit<'_>, dimension: usize) {
    let mut sum = vec![0.0; dimension];
    let fitting = visit.crops.iter().filter(|c| c.dimension() == dimension);
    for (before, crop) in fitting.enumerate() {
        if before > 0 {
            let pairs = crop.values().iter().zip(&sum);
            let change: Vec<f32> = pairs.map(|(v, s)| v - s / before as f32).collect();
            variation.add(&change);
        }
        sum.iter_mut().zip(crop.values()).for_each(|(s, v)| *s += v);
    }
}

#[derive(Default)]
struct Sums {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Sums {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    fn spread(&self) -> Option<Spread> {
        let mean = self.sum / self.count;
        let variance = (self.squares / self.count - mean * mean).max(0.0);
        (self.count >= 2.0).then(|| Spread {
            mean,
            deviation: variance.sqrt(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedding::ModelFingerprint;

    /// A crop of a person by a camera that adds its own direction, with some noise.
    fn crop(person: usize, camera: usize, noise: usize) -> Embedding {
        let mut raw = vec![0.0; 64];
        raw[person] = 1.0;
        raw[40 + camera] = 0.8;
        raw[50 + noise % 14] = 0.6;
        Embedding::normalised(&raw, ModelFingerprint(1)).unwrap()
    }

    #[test]
    fn more_crops_tell_more_and_cameras_say_nothing() {
        let all: Vec<(usize, usize, Vec<Embedding>)> = (0..30)
            .flat_map(|person| (0..3).map(move |camera| (person, camera)))
            .map(|(p, c)| {
                (
                    p,
                    c,
                    (0..8).map(|n| crop(p, c, 7 * p + 3 * c + n)).collect(),
                )
            })
            .collect();
        let visits: Vec<LabelledVisit<'_>> = all
            .iter()
            .map(|(person, camera, crops)| LabelledVisit {
                person: *person as u32,
                camera: *camera as u32,
                crops: crops.iter().collect(),
            })
            .collect();
        let one = visit_scores(&visits, 1).unwrap();
        let many = visit_scores(&visits, 8).unwrap();
        assert!(many.genuine.mean > one.genuine.mean, "{one:?} {many:?}");
        assert!(many.impostor.mean.abs() < 0.1, "{many:?}");
        assert_eq!(many.check(), Ok(()));
        assert!(visit_scores(&visits[..1], 8).is_none() && visit_scores(&[], 8).is_none());
    }
}
