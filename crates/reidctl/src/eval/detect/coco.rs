//! The boxes as COCO writes them, for other programs (pycocotools): `truth.json` and `found.json`.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use gstreid::core::{geometry::Rect, scoring::Picture as Boxes};
use serde_json::{Value, json};

/// Category number of a person in COCO.
const PERSON: u32 = 1;

/// Writes both files into `folder`. Pictures are numbered from 1.
pub fn write<'a>(folder: &Path, pictures: impl Iterator<Item = &'a Boxes>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let (mut images, mut annotations, mut results) = (Vec::new(), Vec::new(), Vec::new());
    for (i, picture) in pictures.enumerate() {
        images.push(json!({ "id": i + 1 }));
        let real = picture.truth.iter().map(|rect| (rect, 0));
        for (rect, is_crowd) in real.chain(picture.crowds.iter().map(|rect| (rect, 1))) {
            let area = f64::from(rect.w) * f64::from(rect.h);
            annotations.push(json!({
                "id": annotations.len() + 1, "image_id": i + 1, "category_id": PERSON,
                "bbox": numbers(rect), "area": area, "iscrowd": is_crowd,
            }));
        }
        results.extend(picture.found.iter().map(|found| {
            json!({
                "image_id": i + 1, "category_id": PERSON, "bbox": numbers(&found.rect), "score": f64::from(found.score),
            })
        }));
    }
    let truth = json!({
        "images": images, "annotations": annotations, "categories": [{ "id": PERSON, "name": "person" }],
    });
    save(&folder.join("truth.json"), &truth)?;
    save(&folder.join("found.json"), &Value::Array(results))
}

fn numbers(rect: &Rect) -> [f64; 4] {
    [rect.x, rect.y, rect.w, rect.h].map(f64::from)
}

fn save(path: &Path, value: &Value) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    serde_json::to_writer(&mut file, value)?;
    file.flush()
}
