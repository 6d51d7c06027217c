//! `reidctl gallery`: inspects and corrects a stored gallery.

use std::{
    error::Error,
    fmt::Display,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use gstreid::store::{
    KeptPerson, KeptSighting, Location,
    archive::{Archive, Purpose},
};
use serde_json::json;

use crate::{
    embedding::{ModelArguments, PictureEmbedder},
    find::{self, Candidate},
    gallery_file,
    outcome::Outcome,
    people::{self, Card, Pictures},
    run::{board::now_ns, secrets::masked},
};

#[derive(clap::Args)]
#[command(after_help = "\
LOCATION is the value of reidtrack's property gallery-location: sqlite:///path/to/file or \
postgresql://user@host/database. A gallery can be read at any time. A gallery on a server can also be corrected at any time: \
pipelines apply the change within a second. A file can be corrected only while no pipeline uses it; otherwise use the action \
signals of reidtrack.\n
Example: reidctl gallery list sqlite:///var/lib/reid/lobby.db")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Create the file or the tables of a gallery, or migrate them to this version.
    Prepare { location: String },
    /// List all people, with names, cameras and times.
    List {
        location: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one person with all sightings.
    Show {
        location: String,
        /// Id, with or without P.
        #[arg(value_parser = number)]
        id: u32,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Find a person by a photo: the most similar people, with probabilities. Nothing of the photo is kept.
    Find {
        /// A picture of one person, cropped to the person.
        photo: PathBuf,
        location: String,
        /// Number of people to show.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
        top: u16,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        model: ModelArguments,
    },
    /// Write the thumbnail of a person to a JPEG file. Thumbnails exist with reidtrack thumbnails=true.
    Thumbnail {
        location: String,
        #[arg(value_parser = number)]
        id: u32,
        file: PathBuf,
    },
    /// Set the name of a person. An empty name removes it.
    Rename {
        location: String,
        #[arg(value_parser = number)]
        id: u32,
        name: String,
    },
    /// Merge two people. INTO keeps its id.
    Merge {
        location: String,
        #[arg(value_parser = number)]
        from: u32,
        #[arg(value_parser = number)]
        into: u32,
    },
    /// Split a person: the sightings of CAMERA, or without it those of the newest merge, become a new person.
    Split {
        location: String,
        #[arg(value_parser = number)]
        id: u32,
        camera: Option<String>,
    },
    /// Erase a person permanently: vectors, sightings, thumbnail, name.
    Forget {
        location: String,
        #[arg(value_parser = number)]
        id: u32,
    },
    /// Write people, names, merges and sightings as JSON to standard output, without pictures.
    Export {
        location: String,
        /// Also the appearance vectors, without which nobody is recognised. They are biometric data.
        #[arg(long)]
        with_vectors: bool,
    },
    /// Read a file of `export` into an empty gallery, which is created if it is missing.
    Import {
        file: PathBuf,
        location: String,
        /// The gallery may hold people: everybody of the file becomes a new person with a new id.
        #[arg(long)]
        add: bool,
    },
    /// List all sightings in order of time, or write people and time line as one HTML file.
    Report {
        location: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Write a page that needs nothing else: people, with their pictures if kept, and a time line of their visits.
        #[arg(long, value_name = "FILE", conflicts_with = "json")]
        html: Option<PathBuf>,
    },
}

/// A person's id, with or without P.
fn number(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix(['P', 'p']).unwrap_or(text);
    digits
        .parse()
        .map_err(|_| "not an id; write an id such as 17 or P17".into())
}

/// Runs the command.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    match &arguments.command {
        Command::Prepare { location } => Archive::prepare(&Location::parse(location)?)?,
        Command::List { location, json } => {
            list(&open(location, Purpose::Look)?.list()?, *json, out)?
        }
        Command::Show { location, id, json } => {
            let (person, sightings) = open(location, Purpose::Look)?.show(*id)?;
            show(&person, &sightings, *json, out)?;
        }
        Command::Find {
            photo,
            location,
            top,
            json,
            model,
        } => find(photo, location, usize::from(*top), *json, model, out)?,
        Command::Thumbnail { location, id, file } => {
            let jpeg = open(location, Purpose::Look)?.thumbnail(*id)?;
            fs::write(file, jpeg)
                .map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
        }
        Command::Rename { location, id, name } => {
            open(location, Purpose::Correct)?.rename(*id, name)?;
        }
        Command::Merge {
            location,
            from,
            into,
        } => {
            open(location, Purpose::Correct)?.merge(*from, *into)?;
            writeln!(out, "P{from} is P{into} now")?;
        }
        Command::Split {
            location,
            id,
            camera,
        } => {
            let new = open(location, Purpose::Correct)?.split(*id, camera.as_deref())?;
            writeln!(out, "P{new} was split from P{id}")?;
        }
        Command::Forget { location, id } => {
            open(location, Purpose::Correct)?.forget(*id)?;
            writeln!(out, "P{id} is forgotten")?;
        }
        Command::Export {
            location,
            with_vectors,
        } => gallery_file::export(location, *with_vectors, out)?,
        Command::Import {
            file,
            location,
            add,
        } => {
            let imported = gallery_file::import(file, location, *add)?;
            for (old, new) in imported.renumbered {
                writeln!(out, "P{old} is P{new} here")?;
            }
            writeln!(out, "{} people were imported", imported.people)?;
        }
        Command::Report {
            location,
            html: Some(file),
            ..
        } => write_report(location, file)?,
        Command::Report { location, json, .. } => {
            report(&open(location, Purpose::Look)?.sightings()?, *json, out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn open(location: &str, purpose: Purpose) -> Result<Archive, gstreid::store::StoreError> {
    Archive::open(&Location::parse(location)?, purpose)
}

/// Prints who is most similar to the person on a photo.
fn find(
    photo: &Path,
    location: &str,
    top: usize,
    json: bool,
    model: &ModelArguments,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error>> {
    let unreadable = |error: &dyn Display| format!("{}: {error}", photo.display());
    let mut archive = open(location, Purpose::Look)?;
    let mut embedder = PictureEmbedder::open(model)?;
    let file = fs::read(photo).map_err(|error| unreadable(&error))?;
    let query = find::query(&file, &mut embedder).map_err(|error| unreadable(&error))?;
    let found = archive.similar(&query.vector)?;
    if found.is_empty() {
        find::check(false, archive.list()?.len(), &embedder)?;
    }
    let scores = find::calibration(&embedder);
    let cosines: Vec<f32> = found.iter().map(|(_, cosine)| *cosine).collect();
    let shares = find::shares(&cosines, scores.as_ref());
    let candidates: Vec<Candidate> = found
        .into_iter()
        .zip(shares)
        .take(top)
        .map(|((person, cosine), probability)| Candidate {
            id: person.id,
            name: person.name,
            cosine,
            same_person: scores.as_ref().map(|scores| scores.same_person(cosine)),
            probability,
            cameras: person.cameras,
            last_seen_ns: Some(person.last_seen_ns),
        })
        .collect();
    if json {
        return Ok(print_json(&json!({ "people": candidates }), out)?);
    }
    Ok(print_candidates(&candidates, out)?)
}

fn print_candidates(candidates: &[Candidate], out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<10} {:<20} {:>8} {:>12} {:>12} {:<28} {:<20}",
        "identity", "name", "cosine", "same person", "probability", "cameras", "last seen"
    )?;
    for candidate in candidates {
        let percent =
            |p: Option<f64>| p.map_or_else(|| "–".to_owned(), |p| format!("{:.0} %", 100.0 * p));
        writeln!(
            out,
            "{:<10} {:<20} {:>8.4} {:>12} {:>12} {:<28} {:<20}",
            format!("P{}", candidate.id),
            candidate.name.as_deref().unwrap_or(""),
            candidate.cosine,
            percent(candidate.same_person),
            percent(candidate.probability),
            candidate.cameras.join(", "),
            candidate.last_seen_ns.map(date).unwrap_or_default()
        )?;
    }
    Ok(())
}

/// Writes the people and their visits into one HTML file.
fn write_report(location: &str, file: &Path) -> Result<(), Box<dyn Error>> {
    let mut archive = open(location, Purpose::Look)?;
    let people = Card::of_stored(archive.list()?, archive.sightings()?);
    let mut pictures = Pictures::new();
    for card in &people {
        let picture = archive.thumbnail_if_kept(card.id)?;
        pictures.extend(picture.map(|jpeg| (card.id, jpeg)));
    }
    let shown = masked(&Location::parse(location)?.shown());
    let report = people::report(&people, &pictures, &shown, now_ns());
    fs::write(file, report.into_string())
        .map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    Ok(())
}

fn list(people: &[KeptPerson], json: bool, out: &mut dyn Write) -> io::Result<()> {
    if json {
        return print_json(&json!({ "people": people }), out);
    }
    writeln!(
        out,
        "{:<10} {:<20} {:<28} {:>7} {:<20} {:<20}",
        "identity", "name", "cameras", "vectors", "first seen", "last seen"
    )?;
    for person in people {
        writeln!(
            out,
            "{:<10} {:<20} {:<28} {:>7} {:<20} {:<20}",
            format!("P{}", person.id),
            person.name.as_deref().unwrap_or(""),
            person.cameras.join(", "),
            person.vectors,
            date(person.first_seen_ns),
            date(person.last_seen_ns)
        )?;
    }
    writeln!(out, "{} identities", people.len())
}

fn show(
    person: &KeptPerson,
    sightings: &[KeptSighting],
    json: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    if json {
        return print_json(&json!({ "person": person, "sightings": sightings }), out);
    }
    let previous: Vec<String> = person
        .previous_ids
        .iter()
        .map(|id| format!("P{id}"))
        .collect();
    writeln!(out, "identity    P{}", person.id)?;
    writeln!(out, "name        {}", person.name.as_deref().unwrap_or(""))?;
    writeln!(out, "once        {}", previous.join(", "))?;
    writeln!(out, "first seen  {}", date(person.first_seen_ns))?;
    writeln!(out, "last seen   {}", date(person.last_seen_ns))?;
    writeln!(out, "vectors     {}", person.vectors)?;
    writeln!(out)?;
    report(sightings, false, out)
}

fn report(sightings: &[KeptSighting], json: bool, out: &mut dyn Write) -> io::Result<()> {
    if json {
        return print_json(&json!({ "sightings": sightings }), out);
    }
    writeln!(
        out,
        "{:<20} {:<20} {:<10} {:<28} {:>8}",
        "from", "to", "identity", "camera", "seconds"
    )?;
    for sighting in sightings {
        writeln!(
            out,
            "{:<20} {:<20} {:<10} {:<28} {:>8.1}",
            date(sighting.from_ns),
            date(sighting.to_ns),
            format!("P{}", sighting.id),
            sighting.camera,
            (sighting.to_ns - sighting.from_ns) as f64 / 1e9
        )?;
    }
    Ok(())
}

fn print_json(value: &serde_json::Value, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// Nanoseconds since 1970 as a date and a time of day, UTC.
pub fn date(ns: i64) -> String {
    let seconds = ns.div_euclid(1_000_000_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Days since 1970 as year, month and day: the proleptic Gregorian calendar, with years that begin in March so that the
/// odd day comes last.
fn civil(days: i64) -> (i64, i64, i64) {
    // Days from 1 March of year 0; an era is the 400 years after which the calendar repeats.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + later, month, of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_400, "2000-02-29 00:00:00Z"),
            (1_709_251_199, "2024-02-29 23:59:59Z"),
            (1_709_251_200, "2024-03-01 00:00:00Z"),
            (4_102_444_799, "2099-12-31 23:59:59Z"),
        ] {
            assert_eq!(date(seconds * 1_000_000_000), text);
        }
    }

    #[test]
    fn numbers_are_read_with_and_without_their_letter() {
        assert_eq!((number("P17"), number("17")), (Ok(17), Ok(17)));
        assert!(number("Ada").is_err() && number("-1").is_err());
    }
}
