//! `reidctl eval`: evaluates a model on labelled pictures, with the preprocessing and sessions of the elements.

mod arguments;
mod detect;
mod embed;

use std::{io::Write, process::ExitCode};

pub use arguments::Arguments;
use arguments::Task;

use crate::outcome::Outcome;

/// Measures and prints.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    if arguments.task == Task::Detect && (arguments.report.is_some() || arguments.calibrate) {
        return Err(
            "--report and --calibrate are for embedders: leave them out with --task detect".into(),
        );
    }
    match arguments.task {
        Task::Embed => embed::run(arguments, out)?,
        Task::Detect => detect::run(arguments, out)?,
    }
    Ok(ExitCode::SUCCESS)
}
