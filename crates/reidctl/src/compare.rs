//! `reidctl compare`: how alike two pictures are, and how probable it is that they show one person.

use std::{error::Error, io::Write, path::PathBuf, process::ExitCode};

use gstreid::inference::{ModelRequest, PairScorer, PairSpec, SharedModel, models};
use serde_json::json;

use crate::{
    embedding::{ModelArguments, PictureEmbedder},
    outcome::Outcome,
    pictures::Picture,
};

#[derive(clap::Args)]
#[command(after_help = "\
With an embedder the result is the cosine similarity of the two vectors, from -1 to 1. Its meaning depends on the model: the \
probability comes from the genuine and impostor scores measured by `reidctl eval --calibrate`, with a prior of 50 %.\n
A model with two picture inputs (metadata reid.task = pair) compares the pictures itself.\n
Example: reidctl compare door.jpg hall.jpg")]
pub struct Arguments {
    /// A picture of one person, cropped to the person.
    a: PathBuf,
    /// Another picture of one person.
    b: PathBuf,
    #[command(flatten)]
    model: ModelArguments,
    /// Print JSON instead of lines.
    #[arg(long)]
    json: bool,
}

/// The result.
struct Comparison {
    /// The measure's name and value.
    measure: (&'static str, f32),
    /// Probability of one person and its source, or why there is none.
    probability: Result<(f64, String), String>,
}

/// Prints the measure and the probability.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    let (a, b) = (Picture::open(&arguments.a)?, Picture::open(&arguments.b)?);
    let request = arguments.model.request(models::DEFAULT_EMBEDDER)?;
    // Sessions are shared: what is opened next finds the model loaded.
    let model = SharedModel::open(&request, None)?;
    let comparison = if PairSpec::fits(model.info()) {
        by_pair(&request, &a, &b)?
    } else {
        by_embedding(&arguments.model, &a, &b)?
    };
    print(&comparison, arguments.json, out)?;
    Ok(ExitCode::SUCCESS)
}

fn by_pair(request: &ModelRequest, a: &Picture, b: &Picture) -> Result<Comparison, Box<dyn Error>> {
    let score = PairScorer::open(request)?.score(&a.view()?, &b.view()?)?;
    Ok(Comparison {
        measure: ("score", score),
        probability: Ok((f64::from(score), "the model itself".into())),
    })
}

fn by_embedding(
    model: &ModelArguments,
    a: &Picture,
    b: &Picture,
) -> Result<Comparison, Box<dyn Error>> {
    let mut embedder = PictureEmbedder::open(model)?;
    let a = embedder.embed(a)??;
    let b = embedder.embed(b)??;
    let cosine = a.cosine(&b).ok_or("the vectors do not compare")?;
    let probability = match embedder.calibration() {
        Some(measured) => Ok((
            measured.numbers().same_person(cosine),
            measured.data.clone(),
        )),
        None => Err(format!(
            "{}; measure it with 'reidctl eval --calibrate --data DIR'",
            if embedder.is_calibration_stale() {
                "the calibration beside the model belongs to another model"
            } else {
                "the model has no calibration"
            }
        )),
    };
    Ok(Comparison {
        measure: ("cosine", cosine),
        probability,
    })
}

fn print(
    comparison: &Comparison,
    is_json: bool,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error>> {
    let (name, value) = comparison.measure;
    if is_json {
        let probability = comparison.probability.as_ref().ok().map(|(p, _)| p);
        let value = json!({ name: value, "same_person": probability });
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?);
    }
    writeln!(out, "{name} {value:.4}")?;
    match &comparison.probability {
        Ok((p, source)) => writeln!(
            out,
            "the same person: {:.0} % (measured on {source})",
            100.0 * p
        )?,
        Err(reason) => writeln!(out, "the same person: no probability: {reason}")?,
    }
    Ok(())
}
