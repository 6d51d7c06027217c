//! Pictures of made-up people, laid out as `reidctl` takes them.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use gstreid::core::testscene::{Pattern, SceneConfig, Truth, View, World};
use image::RgbImage;

const WIDTH: usize = 640;
const HEIGHT: usize = 480;

/// Seconds between two looks at the world.
const STEP_S: f64 = 0.5;

/// Looks at the world at most.
const MOST_LOOKS: u32 = 400;

/// A person cut out of a camera's picture.
pub struct Crop {
    /// Number of the person, from 1.
    pub person: u32,
    /// Number of the camera, from 1.
    pub camera: u32,
    /// The pixels.
    pub picture: RgbImage,
}

fn world(people: u32) -> World {
    World::new(SceneConfig {
        pattern: Pattern::Walk,
        people,
        cameras: 2,
        seed: 5,
    })
}

fn look(view: &mut View, time_s: f64, frame: u64) -> (RgbImage, Vec<Truth>) {
    let (canvas, truths) = view.render(time_s, frame);
    let bytes = canvas
        .pixels
        .iter()
        .flat_map(|&[r, g, b, _]| [r, g, b])
        .collect();
    let picture =
        RgbImage::from_raw(WIDTH as u32, HEIGHT as u32, bytes).expect("a pixel for each place");
    (picture, truths)
}

/// `each` pictures of each of `people` by each of two cameras, people who are well in view.
pub fn crops(people: u32, each: usize) -> Vec<Crop> {
    let mut crops: Vec<Crop> = Vec::new();
    for camera in 1..=2 {
        let mut view = View::new(world(people), camera - 1, WIDTH, HEIGHT);
        for frame in 0..MOST_LOOKS {
            let (picture, truths) = look(&mut view, f64::from(frame) * STEP_S, u64::from(frame));
            for truth in truths
                .iter()
                .filter(|truth| truth.visibility > 0.95 && truth.rect.h > 64.0)
            {
                let has = crops
                    .iter()
                    .filter(|c| (c.person, c.camera) == (truth.id, camera))
                    .count();
                if has < each {
                    let [x, y, w, h] =
                        [truth.rect.x, truth.rect.y, truth.rect.w, truth.rect.h].map(|v| v as u32);
                    let picture = image::imageops::crop_imm(&picture, x, y, w, h).to_image();
                    crops.push(Crop {
                        person: truth.id,
                        camera,
                        picture,
                    });
                }
            }
            if crops.iter().filter(|c| c.camera == camera).count() == people as usize * each {
                break;
            }
        }
    }
    crops
}

fn save(picture: &RgbImage, path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture.save(path).unwrap();
}

/// As Market-1501 has them: the first camera's pictures in `query`, the second's in `bounding_box_test`.
pub fn as_market(crops: &[Crop], folder: &Path) {
    for (i, crop) in crops.iter().enumerate() {
        let side = if crop.camera == 1 {
            "query"
        } else {
            "bounding_box_test"
        };
        let name = format!("{side}/{:04}_c{}s1_{i:06}_00.jpg", crop.person, crop.camera);
        save(&crop.picture, &folder.join(name));
    }
}

/// A folder a person.
pub fn as_tree(crops: &[Crop], folder: &Path) {
    for (i, crop) in crops.iter().enumerate() {
        save(
            &crop.picture,
            &folder.join(format!("person-{}/{i}.jpg", crop.person)),
        );
    }
}

/// Frames of a camera with the truth beside them, as MOTChallenge has them: `img1/000001.png`, `gt/gt.txt`.
pub fn as_sequence(folder: &Path, frames: u32) -> PathBuf {
    let mut view = View::new(world(6), 0, WIDTH, HEIGHT);
    let mut rows = String::new();
    for number in 1..=frames {
        let (picture, truths) = look(&mut view, 2.0 + f64::from(number) * 0.1, u64::from(number));
        save(&picture, &folder.join(format!("img1/{number:06}.png")));
        for truth in truths.iter().filter(|truth| truth.visibility > 0.3) {
            let r = truth.rect;
            writeln!(
                rows,
                "{number},{},{},{},{},{},1,-1,-1",
                truth.id, r.x, r.y, r.w, r.h
            )
            .unwrap();
        }
    }
    fs::create_dir_all(folder.join("gt")).unwrap();
    fs::write(folder.join("gt/gt.txt"), rows).unwrap();
    folder.to_path_buf()
}

/// The same frames and boxes in YOLO layout.
pub fn as_yolo(sequence: &Path, folder: &Path, source: &str) {
    let rows = fs::read_to_string(sequence.join("gt/gt.txt")).unwrap();
    for entry in fs::read_dir(sequence.join("img1")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let number: u32 = stem.parse().unwrap();
        let mut labels = String::new();
        for row in rows.lines() {
            let f: Vec<f64> = row.split(',').map(|field| field.parse().unwrap()).collect();
            if f[0] == f64::from(number) {
                let (w, h) = (WIDTH as f64, HEIGHT as f64);
                let [cx, cy] = [(f[2] + f[4] / 2.0) / w, (f[3] + f[5] / 2.0) / h];
                writeln!(labels, "0 {cx} {cy} {} {}", f[4] / w, f[5] / h).unwrap();
            }
        }
        for kind in ["images", "labels"] {
            fs::create_dir_all(folder.join(kind)).unwrap();
        }
        fs::copy(&path, folder.join(format!("images/{source}_{stem}.png"))).unwrap();
        fs::write(folder.join(format!("labels/{source}_{stem}.txt")), labels).unwrap();
    }
}
