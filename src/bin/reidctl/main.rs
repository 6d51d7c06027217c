//! `reidctl`: the companion program. Thin commands over the library.

mod doctor;
mod report;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Companion of the GStreamer plugin `reid`: person re-identification across cameras.
#[derive(Parser)]
#[command(name = "reidctl", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check the installation and say what to do about whatever is missing.
    Doctor,
    /// Who was seen where and when, from the JSON lines that `reidpublish` wrote.
    Report(report::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Doctor => doctor::run(),
        Command::Report(arguments) => report::run(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("reidctl: {error}");
        ExitCode::FAILURE
    })
}

/// What a command comes to; any error is printed and makes the program fail.
type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;
