//! `reidctl gallery export` and `import`: a gallery as a JSON file.
//!
//! ```json
//! { "format": "gst-plugin-reid gallery", "version": 1,
//!   "model": { "fingerprint": "5519c6568f33a4ff", "dimension": 512, "scale": { … } },
//!   "people": [{ "id": 7, "name": "Ada", "previous_ids": [3], "never_merge_with": [9], "first_seen_ns": 0, "last_seen_ns": 1,
//!                "vectors": [{ "camera": "door", "origin": 3, "weight": 4.5, "values": "base64" }] }],
//!   "sightings": [{ "id": 7, "camera": "door", "from_ns": 0, "to_ns": 1 }] }
//! ```
//!
//! `values` are 32-bit floats, little endian. `model` and `vectors` are there only with `--with-vectors`.

use std::{collections::HashSet, error::Error, fmt, fs, io::Write, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use gstreid::{
    core::{
        embedding::{Embedding, ModelFingerprint},
        identity::{MAX_NAME_BYTES, MAX_NUMBER, Saved, SavedPerson, SavedRow, SavedScale},
        person::IdentityId,
        scores::ScoreScale,
    },
    store::{
        KeptSighting, Location,
        archive::{Archive, Content, Purpose},
    },
};
use serde::{Deserialize, Serialize};

/// What tells such a file from another.
const FORMAT: &str = "gst-plugin-reid gallery";
/// The newest version of the format.
const VERSION: u32 = 1;
/// Longest name of a camera, bytes.
const LONGEST_CAMERA: usize = 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<Model>,
    people: Vec<Person>,
    sightings: Vec<Sighting>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    fingerprint: String,
    dimension: usize,
    scale: ScoreScale,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    id: u32,
    name: Option<String>,
    previous_ids: Vec<u32>,
    never_merge_with: Vec<u32>,
    first_seen_ns: u64,
    last_seen_ns: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    vectors: Vec<Vector>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    camera: String,
    origin: u32,
    weight: f32,
    values: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sighting {
    id: u32,
    camera: String,
    from_ns: i64,
    to_ns: i64,
}

/// Writes a gallery as JSON.
pub fn export(
    location: &str,
    with_vectors: bool,
    out: &mut dyn Write,
) -> Result<(), Box<dyn Error>> {
    let mut archive = Archive::open(&Location::parse(location)?, Purpose::Look)?;
    let content = archive.content()?;
    serde_json::to_writer_pretty(&mut *out, &to_file(&content, with_vectors))?;
    writeln!(out)?;
    Ok(())
}

/// What came into a gallery.
pub struct Imported {
    /// Ids of the file, and what they became where that is another.
    pub renumbered: Vec<(u32, u32)>,
    pub people: usize,
}

/// Reads a JSON file into a gallery.
pub fn import(file: &Path, location: &str, added: bool) -> Result<Imported, Box<dyn Error>> {
    let content = read(file)?;
    let people = content.saved.people.len();
    let location = Location::parse(location)?;
    Archive::prepare(&location)?;
    let renumbered = Archive::open(&location, Purpose::Correct)?.import(content, added)?;
    Ok(Imported { renumbered, people })
}

fn to_file(content: &Content, with_vectors: bool) -> File {
    let scale = content.saved.scales.first().filter(|_| with_vectors);
    let vector = |row: &SavedRow| Vector {
        camera: row.camera.to_string(),
        origin: row.origin.0,
        weight: row.weight,
        values: STANDARD.encode(
            row.vector
                .values()
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect::<Vec<u8>>(),
        ),
    };
    let ids = |ids: &[IdentityId]| ids.iter().map(|id| id.0).collect();
    // Who is gone by now is nobody's concern.
    let known: HashSet<IdentityId> = content.saved.people.iter().map(|p| p.id).collect();
    let present = |ids: &[IdentityId]| {
        let present = ids.iter().filter(|id| known.contains(id));
        present.map(|id| id.0).collect()
    };
    let person = |person: &SavedPerson| Person {
        id: person.id.0,
        name: person.name.as_deref().map(str::to_owned),
        previous_ids: ids(&person.previous),
        never_merge_with: present(&person.apart),
        first_seen_ns: person.first_ns,
        last_seen_ns: person.last_ns,
        vectors: match with_vectors {
            true => person.rows.iter().map(vector).collect(),
            false => Vec::new(),
        },
    };
    File {
        format: FORMAT.into(),
        version: VERSION,
        model: scale.map(|scale| Model {
            fingerprint: format!("{:016x}", scale.model.0),
            dimension: scale.dimension,
            scale: scale.scale,
        }),
        people: content.saved.people.iter().map(person).collect(),
        sightings: content
            .sightings
            .iter()
            .map(|sighting| Sighting {
                id: sighting.id,
                camera: sighting.camera.clone(),
                from_ns: sighting.from_ns,
                to_ns: sighting.to_ns,
            })
            .collect(),
    }
}

fn read(file: &Path) -> Result<Content, String> {
    let named =
        |what: &dyn fmt::Display, remedy: &str| format!("{}: {what}; {remedy}", file.display());
    let text = fs::read_to_string(file).map_err(|error| {
        named(
            &format_args!("cannot be read: {error}"),
            "give a file that `reidctl gallery export` wrote",
        )
    })?;
    let parsed: File = serde_json::from_str(&text).map_err(|error| {
        if error.is_eof() {
            return named(&"the file ends too early: it was cut", "export it again");
        }
        named(&error, "give a file that `reidctl gallery export` wrote")
    })?;
    if parsed.format != FORMAT {
        return Err(named(
            &format_args!("the format is '{}'", parsed.format),
            "give a file that `reidctl gallery export` wrote",
        ));
    }
    if parsed.version > VERSION {
        return Err(named(
            &format_args!("version {} is newer than {VERSION}", parsed.version),
            "update reidctl",
        ));
    }
    to_content(parsed).map_err(|error| named(&error, "correct it, or export it again"))
}

fn to_content(file: File) -> Result<Content, String> {
    let model = file.model.as_ref().map(model_of).transpose()?;
    let known: HashSet<u32> = file.people.iter().map(|person| person.id).collect();
    if known.len() < file.people.len() {
        return Err("an id occurs twice".into());
    }
    for sighting in &file.sightings {
        let is_whole = known.contains(&sighting.id)
            && (0..=sighting.to_ns).contains(&sighting.from_ns)
            && sighting.camera.len() <= LONGEST_CAMERA;
        if !is_whole {
            return Err(format!(
                "a sighting of P{}: the person is missing, its times are not in order, or the camera's name is too long",
                sighting.id
            ));
        }
    }
    let mut people = Vec::with_capacity(file.people.len());
    for person in file.people {
        people.push(person_of(person, model.as_ref(), &known)?);
    }
    let saved = Saved {
        people,
        scales: model.into_iter().collect(),
        next_number: None,
    };
    let sightings = file.sightings.into_iter().map(|sighting| KeptSighting {
        id: sighting.id,
        camera: sighting.camera,
        from_ns: sighting.from_ns,
        to_ns: sighting.to_ns,
    });
    Ok(Content::new(saved, sightings.collect()))
}

fn model_of(model: &Model) -> Result<SavedScale, String> {
    let fingerprint = u64::from_str_radix(&model.fingerprint, 16)
        .map_err(|_| "model.fingerprint is not a hexadecimal number")?;
    Ok(SavedScale {
        model: ModelFingerprint(fingerprint),
        dimension: model.dimension,
        scale: model.scale,
        // Learnt anew: a file holds vectors only when it was asked for them.
        variation: None,
    })
}

fn person_of(
    person: Person,
    model: Option<&SavedScale>,
    known: &HashSet<u32>,
) -> Result<SavedPerson, String> {
    let id = person.id;
    let wrong = |what: &str| format!("P{id}: {what}");
    let is_id = |id: &u32| (1..=MAX_NUMBER).contains(id);
    if !is_id(&id) || !person.previous_ids.iter().all(is_id) {
        return Err(wrong("an id is not from 1 to 2147483647"));
    }
    if person.previous_ids.iter().any(|id| known.contains(id)) {
        return Err(wrong("somebody else has one of previous_ids"));
    }
    if person
        .name
        .as_ref()
        .is_some_and(|name| name.len() > MAX_NAME_BYTES)
    {
        return Err(wrong("the name is too long"));
    }
    if person.first_seen_ns > person.last_seen_ns || i64::try_from(person.last_seen_ns).is_err() {
        return Err(wrong("first_seen_ns and last_seen_ns are not in order"));
    }
    let mut rows = Vec::with_capacity(person.vectors.len());
    for vector in person.vectors {
        let model = model.ok_or_else(|| wrong("there are vectors, but no model"))?;
        rows.push(row_of(vector, model).map_err(wrong)?);
    }
    let apart = person.never_merge_with.into_iter();
    Ok(SavedPerson {
        id: IdentityId(id),
        name: person.name.filter(|name| !name.is_empty()).map(Into::into),
        previous: person.previous_ids.into_iter().map(IdentityId).collect(),
        apart: apart
            .filter(|other| known.contains(other) && *other != id)
            .map(IdentityId)
            .collect(),
        first_ns: person.first_seen_ns,
        last_ns: person.last_seen_ns,
        rows,
        is_new: true,
    })
}

fn row_of(vector: Vector, model: &SavedScale) -> Result<SavedRow, &'static str> {
    let bytes = STANDARD
        .decode(&vector.values)
        .map_err(|_| "a vector is not base64")?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() || numbers.len() != model.dimension {
        return Err("a vector is not of the model's dimension");
    }
    if !vector.weight.is_finite()
        || vector.weight < 0.0
        || !(1..=MAX_NUMBER).contains(&vector.origin)
    {
        return Err("a vector has no valid weight and origin");
    }
    let values: Vec<f32> = numbers.iter().map(|b| f32::from_le_bytes(*b)).collect();
    Ok(SavedRow {
        camera: vector.camera.into(),
        origin: IdentityId(vector.origin),
        weight: vector.weight,
        vector: Embedding::normalised(&values, model.model)
            .map_err(|_| "a vector has numbers that are not finite, or is zero")?,
    })
}
