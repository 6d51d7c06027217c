//! `reidctl compare`: the similarity of two pictures.

use std::{io::Write, path::PathBuf, process::ExitCode};

use crate::{
    Outcome,
    embedding::{ModelArguments, PictureEmbedder},
    pictures::Picture,
};

#[derive(clap::Args)]
pub struct Arguments {
    /// A picture of one person, cropped to the person.
    a: PathBuf,
    /// Another.
    b: PathBuf,
    #[command(flatten)]
    model: ModelArguments,
}

/// Prints the cosine.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    let (a, b) = (Picture::open(&arguments.a)?, Picture::open(&arguments.b)?);
    let mut embedder = PictureEmbedder::open(&arguments.model)?;
    let a = embedder.embed(&a)??;
    let b = embedder.embed(&b)??;
    let cosine = a.cosine(&b).ok_or("the vectors do not compare")?;
    writeln!(out, "{cosine:.4}")?;
    Ok(ExitCode::SUCCESS)
}
