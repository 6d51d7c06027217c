//! `reidctl search`: the pictures of a folder or archive that are most similar to one.

use std::{
    error::Error,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use gstreid::core::{colour::Rgb, embedding::Embedding};
use serde_json::json;

use crate::{
    embedding::{Metric, ModelArguments, PictureEmbedder, progress, tell_skipped},
    montage::{self, Tile},
    outcome::Outcome,
    pictures::{self, Entry, KINDS, Picture},
};

/// Frames of the query and of what was found.
const QUERY: Rgb = Rgb {
    r: 0,
    g: 114,
    b: 178,
};
const FOUND: Rgb = Rgb {
    r: 136,
    g: 136,
    b: 136,
};

#[derive(clap::Args)]
#[command(after_help = "\
Example: reidctl search somebody.jpg crops/ --top 5 --montage found.png\n
The montage shows people: protect it as you protect the pictures.")]
pub struct Arguments {
    /// A picture of one person, cropped to the person.
    query: PathBuf,
    /// A folder or tar archive of such pictures.
    pictures: PathBuf,
    /// Number of pictures to show.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    /// Metric.
    #[arg(long, value_enum, default_value_t)]
    metric: Metric,
    /// Also write the query and the results, side by side, to this PNG file.
    #[arg(long, value_name = "FILE")]
    montage: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArguments,
}

/// A picture and how near it is to the query.
struct Hit<'a> {
    measure: f32,
    nearness: f32,
    entry: &'a Entry,
}

/// Prints the most similar pictures, the best first.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    let picture = Picture::open(&arguments.query)?;
    let mut entries = pictures::read_all(&arguments.pictures)?;
    entries.retain(Entry::is_picture);
    if entries.is_empty() {
        return Err(format!(
            "{} holds no pictures ({KINDS})",
            arguments.pictures.display()
        )
        .into());
    }
    let mut embedder = PictureEmbedder::open(&arguments.model)?;
    let query = embedder.embed(&picture)??;
    let mut skipped = Vec::new();
    let mut hits = rank(
        &entries,
        &query,
        arguments.metric,
        &mut embedder,
        &mut skipped,
    )?;
    if hits.is_empty() {
        tell_skipped(&skipped);
        return Err(format!(
            "{} holds no picture that can be read",
            arguments.pictures.display()
        )
        .into());
    }
    hits.truncate(usize::from(arguments.top));
    print(arguments, &hits, skipped.len(), out)?;
    if let Some(path) = &arguments.montage {
        montage::write(path, &tiles(&picture, &hits)?)?;
    }
    tell_skipped(&skipped);
    Ok(ExitCode::SUCCESS)
}

/// All pictures, the nearest first.
fn rank<'a>(
    entries: &'a [Entry],
    query: &Embedding,
    metric: Metric,
    embedder: &mut PictureEmbedder,
    skipped: &mut Vec<String>,
) -> Result<Vec<Hit<'a>>, Box<dyn Error>> {
    let bar = progress("embedding", entries.len());
    let mut hits = Vec::new();
    for entry in entries {
        match embedder.embed_entry(entry)? {
            Ok(vector) => {
                let (a, b) = (query.values(), vector.values());
                hits.push(Hit {
                    measure: metric.of(a, b),
                    nearness: metric.nearness(a, b),
                    entry,
                });
            }
            Err(error) => skipped.push(format!("{}: {error}", entry.name)),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    hits.sort_by(|a, b| {
        b.nearness
            .total_cmp(&a.nearness)
            .then_with(|| a.entry.name.cmp(&b.entry.name))
    });
    Ok(hits)
}

fn print(
    arguments: &Arguments,
    hits: &[Hit<'_>],
    skipped: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let name = arguments.metric.name();
    if arguments.json {
        let row = |hit: &Hit<'_>| json!({ name: hit.measure, "picture": hit.entry.name });
        let rows: Vec<_> = hits.iter().map(row).collect();
        let value = json!({ "hits": rows, "skipped": skipped });
        return writeln!(out, "{}", serde_json::to_string_pretty(&value)?);
    }
    writeln!(out, "{:>4} {name:>8}  picture", "rank")?;
    for (rank, hit) in hits.iter().enumerate() {
        writeln!(
            out,
            "{:>4} {:>8.4}  {}",
            rank + 1,
            hit.measure,
            hit.entry.name
        )?;
    }
    Ok(())
}

fn tiles(query: &Picture, hits: &[Hit<'_>]) -> Result<Vec<Tile>, String> {
    let mut tiles = vec![Tile::new(query, "query".into(), QUERY)];
    for (rank, hit) in hits.iter().enumerate() {
        let text = format!("{}: {:.2}", rank + 1, hit.measure);
        tiles.push(Tile::new(&hit.entry.picture()?, text, FOUND));
    }
    Ok(tiles)
}
