//! `reidctl`: the companion program. Thin commands over the library.

mod bench;
mod classify;
mod compare;
mod doctor;
mod embedding;
mod eval;
mod gallery;
mod html;
mod montage;
mod outcome;
mod page;
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

/// Companion of the GStreamer plugin `reid`: person re-identification across cameras.
#[derive(Parser)]
#[command(name = "reidctl", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check the installation and say what to do about whatever is missing.
    Doctor,
    /// Measure how many cameras this machine carries.
    Bench(bench::Arguments),
    /// Run the cameras of a file, with a page to look at.
    Run(run::Arguments),
    /// Who was seen where and when, from the JSON lines that `reidpublish` wrote.
    Report(report::Arguments),
    /// Score tracks against the truth: HOTA, IDF1, MOTA, and identities across cameras.
    Score(score::Arguments),
    /// Measure a model on labelled pictures: mAP and match rates of an embedder, average precision of a detector.
    Eval(eval::Arguments),
    /// How alike two pictures of people are.
    Compare(compare::Arguments),
    /// The pictures of a folder that are most like one.
    Search(search::Arguments),
    /// Tell a few known people apart: learn them from folders of pictures, name them, measure.
    Classify(classify::Arguments),
    /// Who is kept in a gallery's place: list, show, thumbnail, report; rename, merge, split, forget.
    Gallery(gallery::Arguments),
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
