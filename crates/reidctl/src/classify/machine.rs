//! One linear support vector machine per person, against all others, and a confidence derived from their scores.

use linfa::{Dataset, ParamGuard, Platt, platt_scaling::platt_newton_method, traits::Fit};
use linfa_svm::Svm;
use ndarray::{Array1, Array2, Axis};

use super::people::Crowd;
use gstreid::core::embedding::dot;

/// Maximum number of training pictures: training keeps a table of all pairs, 200 MB for this number.
pub const MAX_PICTURES: usize = 5000;

/// Parts into which pictures are cut to see scores of pictures that were not learnt.
const FOLDS: usize = 3;

/// How closely the optimum is approached (libsvm's default).
const TOLERANCE: f64 = 1e-3;

/// Why nothing could be learnt.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum LearnError {
    #[error(
        "pictures of {0} people can be used: two are the least; put each person's pictures into a folder of their own"
    )]
    People(usize),
    #[error(
        "{0} pictures are more than the {MAX_PICTURES} that can be learnt at once: take fewer of each person"
    )]
    Pictures(usize),
    #[error("the machine of '{name}' could not be trained: {reason}")]
    Machine { name: String, reason: String },
}

/// What was learnt of one person.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// What the person is called.
    pub name: String,
    /// Pictures that were learnt.
    pub pictures: usize,
    /// As long as a vector.
    pub weights: Vec<f32>,
    /// Added to the product of both.
    pub bias: f32,
}

impl Machine {
    fn score(&self, vector: &[f32]) -> f64 {
        f64::from(dot(&self.weights, vector) + self.bias)
    }
}

/// Turns a score into a probability (Platt, "Probabilistic Outputs for Support Vector Machines", 1999).
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Sigmoid {
    /// Of the score; negative where a higher score is likelier right.
    pub slope: f64,
    /// Added to it.
    pub offset: f64,
}

impl Sigmoid {
    fn of(self, score: f64) -> f64 {
        1.0 / (1.0 + (self.slope * score + self.offset).exp())
    }
}

/// Where too few pictures tell: a score of 1, the margin of a machine, counts as a probability of 0.88.
const USUAL: Sigmoid = Sigmoid {
    slope: -2.0,
    offset: 0.0,
};

/// What was learnt of everybody.
#[derive(Clone, Debug, PartialEq)]
pub struct Classifier {
    /// One a person, two or more, with weights of one length.
    pub machines: Vec<Machine>,
    /// The same for all.
    pub confidence: Sigmoid,
}

/// Whom a picture shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The person's place among the machines.
    pub class: usize,
    /// 0..=1; those of all people add up to 1.
    pub confidence: f64,
}

impl Classifier {
    /// The person whose machine gives the highest score.
    pub fn verdict(&self, vector: &[f32]) -> Verdict {
        let scores: Vec<f64> = self
            .machines
            .iter()
            .map(|machine| machine.score(vector))
            .collect();
        let class = (0..scores.len())
            .max_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a)))
            .unwrap_or(0);
        let chances: Vec<f64> = scores
            .iter()
            .map(|&score| self.confidence.of(score))
            .collect();
        let sum: f64 = chances.iter().sum();
        Verdict {
            class,
            confidence: if sum > 0.0 { chances[class] / sum } else { 0.0 },
        }
    }
}

/// Machines that [`fit`] trains.
pub fn fits(people: usize) -> usize {
    people * (FOLDS + 1)
}

/// Learns everybody. `done` is called after each machine.
pub fn fit(crowd: &Crowd, cost: f64, done: &dyn Fn()) -> Result<Classifier, LearnError> {
    let people = crowd.counts().iter().filter(|&&count| count > 0).count();
    if people < 2 {
        return Err(LearnError::People(people));
    }
    if crowd.classes.len() > MAX_PICTURES {
        return Err(LearnError::Pictures(crowd.classes.len()));
    }
    let records = records(crowd);
    let all: Vec<usize> = (0..crowd.classes.len()).collect();
    let machines = machines(crowd, &records, &all, cost, done)?;
    Ok(Classifier {
        confidence: confidence(crowd, &records, cost, done)?,
        machines,
    })
}

/// The vectors as rows.
fn records(crowd: &Crowd) -> Array2<f64> {
    let columns = crowd.vectors.first().map_or(0, |vector| vector.dimension());
    Array2::from_shape_fn((crowd.vectors.len(), columns), |(row, column)| {
        f64::from(crowd.vectors[row].values()[column])
    })
}

/// A machine for everybody who is in the chosen rows.
fn machines(
    crowd: &Crowd,
    records: &Array2<f64>,
    rows: &[usize],
    cost: f64,
    done: &dyn Fn(),
) -> Result<Vec<Machine>, LearnError> {
    let chosen = records.select(Axis(0), rows);
    let mut machines = Vec::new();
    for (class, name) in crowd.names.iter().enumerate() {
        let is_person: Vec<bool> = rows
            .iter()
            .map(|&row| crowd.classes[row] == class)
            .collect();
        let pictures = is_person.iter().filter(|&&is_person| is_person).count();
        if pictures > 0 && pictures < rows.len() {
            let plane = separate(&chosen, is_person, pictures, cost).map_err(|reason| {
                LearnError::Machine {
                    name: name.clone(),
                    reason,
                }
            })?;
            machines.push(Machine {
                name: name.clone(),
                pictures,
                ..plane
            });
        }
        done();
    }
    Ok(machines)
}

/// The plane between a person's `pictures` and all others. Either side weighs half, however many pictures it has.
fn separate(
    records: &Array2<f64>,
    is_person: Vec<bool>,
    pictures: usize,
    cost: f64,
) -> Result<Machine, String> {
    let count = is_person.len() as f64;
    let weight = |side: usize| cost * count / (2.0 * side as f64);
    let (own, others) = (weight(pictures), weight(is_person.len() - pictures));
    let data = Dataset::new(records.clone(), Array1::from(is_person));
    let machine = Svm::<f64, bool>::params()
        .pos_neg_weights(own, others)
        .linear_kernel()
        .eps(TOLERANCE)
        .fit(&data)
        .map_err(|error| error.to_string())?;
    // The plane is the sum of the pictures, each with the weight that the machine gave it.
    let plane = Array1::from(machine.alpha).dot(records);
    Ok(Machine {
        name: String::new(),
        pictures,
        weights: plane.iter().map(|&weight| weight as f32).collect(),
        bias: -machine.rho as f32,
    })
}

/// What scores mean, from pictures that were not learnt: everybody's are cut into consecutive parts, and each part is
/// scored by machines that have learnt the others.
fn confidence(
    crowd: &Crowd,
    records: &Array2<f64>,
    cost: f64,
    done: &dyn Fn(),
) -> Result<Sigmoid, LearnError> {
    let fold = folds(crowd);
    let (mut scores, mut is_right) = (Vec::new(), Vec::new());
    for part in 0..FOLDS {
        let (held, learnt): (Vec<usize>, Vec<usize>) =
            (0..fold.len()).partition(|&row| fold[row] == Some(part));
        for machine in machines(crowd, records, &learnt, cost, done)? {
            for &row in &held {
                scores.push(machine.score(crowd.vectors[row].values()));
                is_right.push(crowd.names[crowd.classes[row]] == machine.name);
            }
        }
    }
    if !is_right.contains(&true) || !is_right.contains(&false) {
        return Ok(USUAL);
    }
    let Ok(params) = Platt::<f64, ()>::params().check() else {
        return Ok(USUAL);
    };
    let (scores, is_right) = (Array1::from(scores), Array1::from(is_right));
    let fitted = platt_newton_method(scores.view(), is_right.view(), &params);
    Ok(match fitted {
        Ok((slope, offset)) if slope < 0.0 && slope.is_finite() && offset.is_finite() => {
            Sigmoid { slope, offset }
        }
        // Scores that tell nothing, or everything.
        _ => USUAL,
    })
}

/// The part of each picture; none for people with fewer pictures than parts.
fn folds(crowd: &Crowd) -> Vec<Option<usize>> {
    let counts = crowd.counts();
    let mut seen = vec![0; counts.len()];
    let mut fold = |&class: &usize| {
        let number = seen[class];
        seen[class] += 1;
        (counts[class] >= FOLDS).then(|| number * FOLDS / counts[class])
    };
    crowd.classes.iter().map(&mut fold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gstreid::core::embedding::{Embedding, ModelFingerprint};

    /// People who look in one direction each, `counts` pictures of each.
    fn crowd(counts: &[usize]) -> Crowd {
        let mut crowd = Crowd::default();
        for (class, &count) in counts.iter().enumerate() {
            for number in 0..count {
                let mut raw = [0.3 * ((number * 7 % 5) as f32 - 2.0) / 5.0; 4];
                raw[class] += 1.0;
                let vector = Embedding::normalised(&raw, ModelFingerprint(1)).unwrap();
                crowd.add(&format!("person {class}"), vector);
            }
        }
        crowd
    }

    #[test]
    fn people_are_told_apart_however_few_their_pictures() {
        let crowd = crowd(&[60, 12, 3]);
        let classifier = fit(&crowd, 10.0, &|| ()).unwrap();
        assert_eq!(classifier.machines.len(), 3);
        assert_eq!(classifier.machines[1].pictures, 12);
        for (class, vector) in crowd.classes.iter().zip(&crowd.vectors) {
            let verdict = classifier.verdict(vector.values());
            assert_eq!(verdict.class, *class);
            assert!((0.5..=1.0).contains(&verdict.confidence), "{verdict:?}");
        }
        // Between two people: somebody, with less confidence.
        let between = Embedding::normalised(&[1.0, 1.0, 0.0, 0.0], ModelFingerprint(1)).unwrap();
        assert!(classifier.verdict(between.values()).confidence < 0.9);
    }

    #[test]
    fn the_plane_is_the_one_between_two_points() {
        // Two pictures at a right angle: the widest margin has weights (1, -1) and bias 0.
        let classifier = fit(&crowd(&[1, 1]), 100.0, &|| ()).unwrap();
        let [one, other] = &classifier.machines[..] else {
            panic!("two machines");
        };
        let margin = one.weights[0] - one.weights[1];
        assert!((margin - 2.0).abs() < 0.1 || margin > 1.5, "{one:?}");
        assert!(
            (one.weights[0] + other.weights[0]).abs() < 1e-3,
            "one is the other turned round"
        );
        assert_eq!(classifier.confidence, USUAL, "too few pictures to tell");
    }

    #[test]
    fn too_few_people_and_too_many_pictures_are_refused() {
        assert!(matches!(
            fit(&crowd(&[5]), 1.0, &|| ()),
            Err(LearnError::People(1))
        ));
        assert!(matches!(
            fit(&Crowd::default(), 1.0, &|| ()),
            Err(LearnError::People(0))
        ));
        let many = crowd(&[MAX_PICTURES, 1]);
        assert!(matches!(
            fit(&many, 1.0, &|| ()),
            Err(LearnError::Pictures(_))
        ));
    }
}
