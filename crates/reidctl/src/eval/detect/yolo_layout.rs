//! Pictures in YOLO layout: `images/<source>_<name>.jpg`, `labels/<source>_<name>.txt`.

use std::{collections::HashMap, error::Error};

use gstreid::core::geometry::Rect;

use super::eye::{Eye, Tally};
use crate::{
    embedding::progress,
    eval::arguments::Arguments,
    pictures::{self, Entry, Picture},
};

/// Class number of a person in the labels.
const PERSON: &str = "0";

/// A picture with its label file.
struct Labelled<'a> {
    picture: &'a Entry,
    label: &'a Entry,
}

/// Looks at every picture that has labels and is of a wanted source.
pub fn look(arguments: &Arguments, eye: &mut Eye, tally: &mut Tally) -> Result<(), Box<dyn Error>> {
    let entries = pictures::read_all(&arguments.data)?;
    let chosen = choose(&entries, arguments);
    let bar = progress("detecting", chosen.len());
    for Labelled { picture, label } in chosen {
        bar.inc(1);
        let read = picture.picture().and_then(|decoded| {
            let truth = truth(label, &decoded)?;
            Ok((decoded, truth))
        });
        match read {
            Ok((decoded, truth)) => {
                let boxes = eye.look(&decoded.view()?, truth, Vec::new())?;
                let source = source(picture).to_owned();
                tally.by_source.entry(source).or_default().push(boxes);
            }
            Err(error) => tally.skipped.push(format!("{}: {error}", picture.name)),
        }
    }
    bar.finish_and_clear();
    Ok(())
}

fn choose<'a>(entries: &'a [Entry], arguments: &Arguments) -> Vec<Labelled<'a>> {
    let labels: HashMap<&str, &Entry> = entries
        .iter()
        .filter(|entry| entry.folder() == "labels")
        .map(|entry| (entry.stem(), entry))
        .collect();
    entries
        .iter()
        .filter(|entry| entry.is_picture() && entry.folder() == "images")
        .filter(|entry| arguments.wants(source(entry)))
        .filter_map(|picture| {
            let label = labels.get(picture.stem())?;
            Some(Labelled { picture, label })
        })
        .collect()
}

/// What stands before the first `_` of the name.
fn source(entry: &Entry) -> &str {
    let stem = entry.stem();
    stem.split_once('_').map_or(stem, |(source, _)| source)
}

/// People of a label file, px.
fn truth(label: &Entry, picture: &Picture) -> Result<Vec<Rect>, String> {
    let bytes = label.bytes()?;
    let mut rects = Vec::new();
    for (i, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
        let bad = || format!("{}, line {}: a row is `class cx cy w h`", label.name, i + 1);
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [class, ref numbers @ ..] = fields[..] else {
            continue;
        };
        if class != PERSON {
            continue;
        }
        let numbers: Vec<f32> = numbers
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect();
        let [cx, cy, w, h] = numbers[..] else {
            return Err(bad());
        };
        let rect = Rect::from_centre(cx, cy, w, h).scaled(picture.width(), picture.height());
        if !rect.is_valid() {
            return Err(bad());
        }
        rects.push(rect);
    }
    Ok(rects)
}
