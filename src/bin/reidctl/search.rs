//! `reidctl search`: the pictures of a folder or archive that are most like one.

use std::{io::Write, path::PathBuf, process::ExitCode};

use crate::{
    Outcome,
    embedding::{ModelArguments, PictureEmbedder, progress},
    pictures::{self, Picture},
};

#[derive(clap::Args)]
pub struct Arguments {
    /// A picture of one person, cropped to the person.
    query: PathBuf,
    /// A folder or tar archive of such pictures.
    pictures: PathBuf,
    /// How many to show.
    #[arg(long, default_value_t = 10)]
    top: usize,
    #[command(flatten)]
    model: ModelArguments,
}

/// A picture and its similarity to the query.
struct Hit {
    cosine: f32,
    name: String,
}

/// Prints the most similar pictures, the best first.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    let query = Picture::open(&arguments.query)?;
    let mut entries = pictures::read_all(&arguments.pictures)?;
    entries.retain(pictures::Entry::is_picture);
    if entries.is_empty() {
        return Err(format!(
            "{} holds no pictures (.jpg, .png)",
            arguments.pictures.display()
        )
        .into());
    }
    let mut embedder = PictureEmbedder::open(&arguments.model)?;
    let query = embedder.embed(&query)??;
    let bar = progress("embedding", entries.len());
    let mut hits = Vec::new();
    let mut skipped = Vec::new();
    for entry in entries {
        let vector = match entry.picture() {
            Ok(picture) => embedder.embed(&picture)?,
            Err(error) => Err(error),
        };
        match vector.map(|vector| query.cosine(&vector)) {
            Ok(cosine) => hits.push(Hit {
                cosine: cosine.ok_or("the vectors do not compare")?,
                name: entry.name,
            }),
            Err(error) => skipped.push(format!("{}: {error}", entry.name)),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    hits.sort_by(|a, b| {
        b.cosine
            .total_cmp(&a.cosine)
            .then_with(|| a.name.cmp(&b.name))
    });
    writeln!(out, "{:>4} {:>8}  picture", "rank", "cosine")?;
    for (rank, hit) in hits.iter().take(arguments.top).enumerate() {
        writeln!(out, "{:>4} {:>8.4}  {}", rank + 1, hit.cosine, hit.name)?;
    }
    crate::embedding::tell_skipped(&skipped);
    Ok(ExitCode::SUCCESS)
}
