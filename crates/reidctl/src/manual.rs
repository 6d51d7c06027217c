//! `reidctl manual`: manual pages and completions for shells, as packages install them. Hidden: whoever makes a package calls it.

use std::{fs, io::Write, path::PathBuf, process::ExitCode};

use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::outcome::Outcome;

/// Options of `manual`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folder to write `man1/` and `completions/` into.
    folder: PathBuf,
}

/// Writes a page for the program and each of its commands, and a completion file for each shell.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Outcome {
    let command = crate::Arguments::command().flatten_help(false);
    let pages = arguments.folder.join("man1");
    let completions = arguments.folder.join("completions");
    for folder in [&pages, &completions] {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    clap_mangen::generate_to(command.clone(), &pages)?;
    for &shell in Shell::value_variants() {
        clap_complete::generate_to(shell, &mut command.clone(), "reidctl", &completions)?;
    }
    writeln!(out, "written into {}", arguments.folder.display())?;
    Ok(ExitCode::SUCCESS)
}
