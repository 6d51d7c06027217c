//! `reidctl classify`: who of a few known people is on a picture, by support vector machines over embeddings.
//!
//! The machines are `linfa-svm`'s. Of the kept Rust crates it is the one that weighs classes against each other (people
//! have very different numbers of pictures) and comes with Platt's scaling, which makes confidences out of its scores;
//! `smartcore`, kept just as well, has neither. Bindings of libsvm and liblinear would need a C++ compiler.

mod confusion;
mod file;
mod machine;
mod people;

use std::{
    error::Error,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::json;

use crate::{
    embedding::{ModelArguments, PictureEmbedder, progress, tell_skipped},
    outcome::Outcome,
    pictures::{self, Entry, Picture},
};
use confusion::Confusion;
use machine::{Classifier, Verdict};
use people::{Crowd, split};

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(clap::Subcommand)]
enum Task {
    /// Train on the people of a folder tree and save the classifier.
    Train(Train),
    /// Classify pictures.
    Predict(Predict),
    /// Evaluate: accuracy and confusions.
    Eval(Eval),
}

/// What is learnt from, and how.
#[derive(clap::Args)]
struct Learning {
    /// Folder or tar archive with one folder of pictures per person, named after the person.
    people: PathBuf,
    /// Cost of a misclassified training picture (C of the support vector machine). A higher cost fits the pictures more closely.
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    cost: f64,
    #[command(flatten)]
    model: ModelArguments,
}

#[derive(clap::Args)]
#[command(after_help = "\
People with few pictures have the same weight as those with many. The file contains appearance vectors, which are biometric \
data: protect it as you protect the pictures.\n
Example: reidctl classify train staff/ --save staff.json")]
struct Train {
    #[command(flatten)]
    learning: Learning,
    /// File to write.
    #[arg(long, value_name = "FILE")]
    save: PathBuf,
}

#[derive(clap::Args)]
#[command(after_help = "\
Every picture is assigned to one of the trained people. An unknown person also gets a name, often with a low confidence.\n
Example: reidctl classify predict staff.json somebody.jpg")]
struct Predict {
    /// File saved by `classify train`.
    classifier: PathBuf,
    /// Pictures, folders or tar archives of pictures, cropped to one person each.
    #[arg(required = true)]
    pictures: Vec<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArguments,
}

#[derive(clap::Args)]
#[command(after_help = "\
Without --test and --classifier, a third of each person's pictures, in blocks of consecutive ones, is held out for the test: \
neighbouring frames of a video are nearly copies, so that a random split would overestimate the accuracy.\n
Example: reidctl classify eval staff/ --confusion confusion.png")]
struct Eval {
    #[command(flatten)]
    learning: Learning,
    /// Test on these people, in folders of the same names, and train on all pictures of PEOPLE.
    #[arg(long, value_name = "DIR|TAR")]
    test: Option<PathBuf>,
    /// Do not train: test this file saved by `classify train`.
    #[arg(long, value_name = "FILE", conflicts_with = "test")]
    classifier: Option<PathBuf>,
    /// Number of consecutive pictures that are trained on or tested together.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..))]
    block: u32,
    /// Also write the confusion matrix to a .csv or .png file.
    #[arg(long, value_name = "FILE")]
    confusion: Option<PathBuf>,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("a number above 0".into()),
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    match &arguments.task {
        Task::Train(task) => train(task, out)?,
        Task::Predict(task) => predict(task, out)?,
        Task::Eval(task) => evaluate(task, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn train(task: &Train, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let mut embedder = PictureEmbedder::open(&task.learning.model)?;
    let crowd = read(&task.learning.people, &mut embedder)?;
    crowd.tell_lonely();
    let classifier = learn(&crowd, task.learning.cost)?;
    file::save(&task.save, &classifier, &embedder)?;
    writeln!(
        out,
        "{} people learnt from {} pictures, written to {}",
        crowd.names.len(),
        crowd.classes.len(),
        task.save.display()
    )?;
    Ok(())
}

fn learn(crowd: &Crowd, cost: f64) -> Result<Classifier, Box<dyn Error>> {
    let bar = progress("learning", machine::fits(crowd.names.len()));
    let classifier = machine::fit(crowd, cost, &|| bar.inc(1))?;
    bar.finish_and_clear();
    Ok(classifier)
}

/// Reads and embeds the people of a tree.
fn read(path: &Path, embedder: &mut PictureEmbedder) -> Result<Crowd, Box<dyn Error>> {
    let pictures = people::list(path)?;
    let bar = progress("embedding", pictures.len());
    let mut skipped = Vec::new();
    let mut crowd = Crowd::default();
    for picture in &pictures {
        bar.inc(1);
        match embedder.embed_entry(picture)? {
            Ok(vector) => crowd.add(picture.folder(), vector),
            Err(error) => skipped.push(format!("{}: {error}", picture.name)),
        }
    }
    bar.finish_and_clear();
    tell_skipped(&skipped);
    people::tell_empty(path, &crowd);
    Ok(crowd)
}

fn predict(task: &Predict, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let mut embedder = PictureEmbedder::open(&task.model)?;
    let classifier = file::load(&task.classifier, &embedder)?;
    let mut rows = Vec::new();
    let mut skipped = Vec::new();
    let pictures = to_predict(&task.pictures)?;
    let bar = progress("embedding", pictures.len());
    for (name, source) in pictures {
        bar.inc(1);
        let picture = match &source {
            Source::File(path) => Picture::open(path),
            Source::Entry(entry) => entry.picture(),
        };
        let vector = match picture {
            Ok(picture) => embedder.embed(&picture)?,
            Err(error) => Err(error),
        };
        match vector {
            Ok(vector) => rows.push((name, classifier.verdict(vector.values()))),
            Err(error) => skipped.push(format!("{name}: {error}")),
        }
    }
    bar.finish_and_clear();
    tell_skipped(&skipped);
    if rows.is_empty() {
        return Err("there is no picture that can be read".into());
    }
    print_predictions(task.json, &classifier, &rows, out)
}

/// A picture named alone, or one of a folder or archive.
enum Source {
    File(PathBuf),
    Entry(Entry),
}

fn to_predict(paths: &[PathBuf]) -> Result<Vec<(String, Source)>, String> {
    let mut sources = Vec::new();
    for path in paths {
        if path.is_dir() || pictures::is_archive(path) {
            let entries = pictures::read_all(path)?
                .into_iter()
                .filter(Entry::is_picture);
            sources.extend(entries.map(|entry| (entry.name.clone(), Source::Entry(entry))));
        } else {
            sources.push((path.display().to_string(), Source::File(path.clone())));
        }
    }
    Ok(sources)
}

fn print_predictions(
    is_json: bool,
    classifier: &Classifier,
    rows: &[(String, Verdict)],
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error>> {
    let name = |verdict: &Verdict| &classifier.machines[verdict.class].name;
    if is_json {
        let row = |(picture, verdict): &(String, Verdict)| json!({ "picture": picture, "identity": name(verdict), "confidence": verdict.confidence });
        let rows: Vec<_> = rows.iter().map(row).collect();
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?);
    }
    let width = rows
        .iter()
        .map(|(_, verdict)| name(verdict).chars().count())
        .max()
        .unwrap_or(0)
        .max(8);
    writeln!(out, "{:<width$} {:>10}  picture", "identity", "confidence")?;
    for (picture, verdict) in rows {
        let percent = format!("{:.1} %", 100.0 * verdict.confidence);
        writeln!(out, "{:<width$} {percent:>10}  {picture}", name(verdict))?;
    }
    Ok(())
}

fn evaluate(task: &Eval, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    // A mistake in a name should not cost the whole measurement.
    task.confusion.as_deref().map(confusion::kind).transpose()?;
    let mut embedder = PictureEmbedder::open(&task.learning.model)?;
    let (classifier, tested) = match (&task.classifier, &task.test) {
        (Some(file), _) => {
            let classifier = file::load(file, &embedder)?;
            (classifier, read(&task.learning.people, &mut embedder)?)
        }
        (None, Some(test)) => {
            let crowd = read(&task.learning.people, &mut embedder)?;
            (
                learn(&crowd, task.learning.cost)?,
                read(test, &mut embedder)?,
            )
        }
        (None, None) => {
            let crowd = read(&task.learning.people, &mut embedder)?;
            crowd.tell_lonely();
            let [learnt, tested] = split(crowd, task.block as usize);
            (learn(&learnt, task.learning.cost)?, tested)
        }
    };
    let confusion = Confusion::new(&classifier, &tested)?;
    confusion.print(task.json, out)?;
    match &task.confusion {
        Some(path) => confusion.write(path),
        None => Ok(()),
    }
}
