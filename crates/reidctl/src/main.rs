//! `reidctl`: the companion program. Thin commands over the library.

mod bench;
mod classify;
mod compare;
mod doctor;
mod embedding;
mod eval;
mod find;
mod gallery;
mod gallery_file;
mod html;
mod manual;
mod models;
mod montage;
mod outcome;
mod page;
mod people;
mod pictures;
mod plot;
mod report;
mod run;
mod score;
mod search;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use outcome::is_closed_pipe;

/// Companion program of the GStreamer plugin `reid`: person re-identification across cameras.
#[derive(Parser)]
#[command(name = "reidctl", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check the installation and print how to fix what is missing.
    Doctor,
    /// Measure how many cameras this machine supports.
    Bench(bench::Arguments),
    /// Run the cameras of a file, with a web page.
    Run(run::Arguments),
    /// List identities, cameras and times from the JSON lines of `reidpublish`.
    Report(report::Arguments),
    /// Score tracks against the ground truth: HOTA, IDF1, MOTA, and identities across cameras.
    Score(score::Arguments),
    /// Evaluate a model on labelled pictures: mAP and CMC of an embedder, average precision of a detector.
    Eval(eval::Arguments),
    /// Compare two pictures of people.
    Compare(compare::Arguments),
    /// Search a folder for the pictures most similar to one.
    Search(search::Arguments),
    /// Classify pictures as one of a few known people: train, predict, evaluate.
    Classify(classify::Arguments),
    /// Inspect and correct a gallery: list, show, find, thumbnail, report; rename, merge, split, forget; export, import.
    Gallery(gallery::Arguments),
    /// List, import and fetch models that the elements find by name.
    Models(models::Arguments),
    /// Write manual pages and shell completions into a folder.
    #[command(hide = true)]
    Manual(manual::Arguments),
}

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    let result = match Arguments::parse().command {
        Command::Doctor => doctor::run(&mut out),
        Command::Bench(arguments) => bench::run(&arguments, &mut out),
        Command::Run(arguments) => run::run(&arguments, &mut out),
        Command::Report(arguments) => report::run(&arguments, &mut out),
        Command::Score(arguments) => score::run(&arguments, &mut out),
        Command::Eval(arguments) => eval::run(&arguments, &mut out),
        Command::Compare(arguments) => compare::run(&arguments, &mut out),
        Command::Search(arguments) => search::run(&arguments, &mut out),
        Command::Classify(arguments) => classify::run(&arguments, &mut out),
        Command::Models(arguments) => models::run(&arguments, &mut out),
        Command::Manual(arguments) => manual::run(&arguments, &mut out),
        Command::Gallery(arguments) => gallery::run(&arguments, &mut out),
    };
    let result = result.and_then(|code| {
        out.flush()?;
        Ok(code)
    });
    result.unwrap_or_else(|error| {
        if is_closed_pipe(error.as_ref()) {
            return ExitCode::SUCCESS;
        }
        // Nobody is left to hear that stderr is closed, too.
        let _ = writeln!(io::stderr(), "reidctl: {error}");
        ExitCode::FAILURE
    })
}
