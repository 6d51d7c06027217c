//! People who walk from camera to camera, looked at by embedders whose scores lie in different ranges, with default
//! properties: one person, one number. Boxes and tracks are the test source's own, so that only the gallery is judged.

mod common;

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

use common::{root, shared_data};
use gstreid::{
    core::{
        canvas::packed_planes,
        embedding::Embedding,
        geometry::Rect,
        identity::{CameraId, Gallery, GalleryConfig, Sighting},
        image::{Colorimetry, ImageView, PixelFormat, Plane},
        image_mut::{ImageMut, PlaneMut},
        person::TrackId,
        quality::crop_quality,
        testscene::{Pattern, SceneConfig, Truth, View, World},
    },
    inference::{Embedder, EmbedderRequest, ModelRequest, Precision, device::Device},
};

const PEOPLE: u32 = 8;
const CAMERAS: u32 = 4;
const SECONDS: u64 = 50;
const FRAMES_PER_SECOND: u64 = 4;
const SIZE: (usize, usize) = (640, 480);

/// An embedder, and what is asked of it here.
struct Case {
    model: PathBuf,
    /// Of the boxes, so many may carry the number of somebody else, percent.
    most_wrong: f64,
    /// So many carry the number that their person carries most, percent.
    least_kept: f64,
}

fn embedder(model: &Path) -> Embedder {
    gst::init().unwrap();
    let request = EmbedderRequest {
        model: ModelRequest {
            path: model.to_path_buf(),
            device: Device::parse("cpu").unwrap(),
            threads: 1,
            precision: Precision::Float32,
        },
        instance_id: None,
        batch: 8,
    };
    Embedder::open(&request).unwrap_or_else(|error| panic!("{}: {error}", model.display()))
}

/// Two embedders that ship, and three of others where they are. The smallest leaves much undecided; OSNet x0.25 takes two
/// of the eight for one (their cosine is 0.72, that of one person 0.76 and more).
fn cases() -> Vec<Case> {
    let case = |folder: &Path, name: &str, most_wrong, least_kept| Case {
        model: folder.join(name),
        most_wrong,
        least_kept,
    };
    let ours = root().join("models");
    let mut cases = vec![
        case(&ours, "reid-default.onnx", 1.0, 90.0),
        case(&ours, "reid-compact.onnx", 1.0, 40.0),
    ];
    if let Some(data) = shared_data() {
        let theirs = data.join("models");
        cases.extend([
            case(
                &theirs,
                "openvino-retail-0267_epsfix_derived.onnx",
                1.0,
                90.0,
            ),
            case(&theirs, "openvino-retail-0248.onnx", 1.0, 90.0),
            case(&theirs, "osnet-x0_25_msmt17_huyai.onnx", 15.0, 90.0),
        ]);
    }
    cases
}

/// A camera's picture and who is in it.
fn picture(view: &mut View, frame: u64) -> (Vec<u8>, Vec<Truth>) {
    let (canvas, truths) = view.render(frame as f64 / FRAMES_PER_SECOND as f64, frame);
    let mut pixels = packed_planes(PixelFormat::Rgb, SIZE.0, SIZE.1).remove(0);
    let stride = pixels.len() / SIZE.1;
    let mut image = ImageMut::new(
        PixelFormat::Rgb,
        SIZE.0,
        SIZE.1,
        vec![PlaneMut {
            data: &mut pixels,
            stride,
        }],
        Colorimetry::default(),
    )
    .unwrap();
    canvas.write_to(&mut image);
    let whole = |t: &Truth| t.visibility >= 0.3 && t.rect.h > 20.0 && t.rect.w > 6.0;
    (pixels, truths.into_iter().filter(whole).collect())
}

fn looks(embedder: &mut Embedder, pixels: &[u8], rects: &[Rect]) -> Vec<Option<Embedding>> {
    let plane = Plane {
        data: pixels,
        stride: pixels.len() / SIZE.1,
    };
    let view = ImageView::new(
        PixelFormat::Rgb,
        SIZE.0,
        SIZE.1,
        &[plane],
        Colorimetry::default(),
    )
    .unwrap();
    let outcome = embedder.embed(&view, rects, 8).unwrap();
    outcome.vectors.into_iter().map(Result::ok).collect()
}

/// How many boxes of each person each number was given to, by camera.
type Given = BTreeMap<(u32, u32, usize), u32>;

/// Walks everybody past all cameras.
fn walk(embedder: &mut Embedder) -> Given {
    let scene = SceneConfig {
        pattern: Pattern::Walk,
        people: PEOPLE,
        cameras: CAMERAS,
        seed: 1,
    };
    let mut gallery = Gallery::new(GalleryConfig::default());
    let mut views: Vec<(CameraId, View, HashSet<u32>)> = (0..CAMERAS)
        .map(|c| {
            let id = gallery.attach(&format!("cam{c}"), true);
            (
                id,
                View::new(World::new(scene), c, SIZE.0, SIZE.1),
                HashSet::new(),
            )
        })
        .collect();
    let size = (SIZE.0 as f32, SIZE.1 as f32);
    let mut given = Given::new();
    for frame in 0..SECONDS * FRAMES_PER_SECOND {
        for (index, (camera, view, last)) in views.iter_mut().enumerate() {
            let (pixels, truths) = picture(view, frame);
            let rects: Vec<Rect> = truths.iter().map(|t| t.rect).collect();
            let vectors = looks(embedder, &pixels, &rects);
            let sightings: Vec<Sighting<'_>> = truths
                .iter()
                .zip(&vectors)
                .map(|(truth, vector)| Sighting {
                    track: TrackId(truth.id),
                    confirmed: true,
                    rect: truth.rect,
                    embedding: vector.as_ref(),
                    quality: crop_quality(
                        &truth.rect,
                        1.0,
                        size,
                        rects.iter().filter(|r| **r != truth.rect),
                    ),
                })
                .collect();
            let now: HashSet<u32> = truths.iter().map(|t| t.id).collect();
            let ended: Vec<TrackId> = last.difference(&now).copied().map(TrackId).collect();
            *last = now;
            let time_ns = frame * 1_000_000_000 / FRAMES_PER_SECOND;
            let decision = gallery.observe(*camera, time_ns, &sightings, &ended);
            for (truth, identity) in truths.iter().zip(decision.identities) {
                let number = identity.map_or(0, |i| i.id.0);
                *given.entry((number, truth.id, index)).or_default() += 1;
            }
        }
    }
    given
}

/// Percent of boxes whose number belongs, by most of its boxes, to somebody else; percent of boxes that carry the number
/// that their person carries most; how many numbers there are.
fn judge(given: &Given) -> (f64, f64, usize) {
    let total: u32 = given.values().sum();
    let most = |key: fn(&(u32, u32, usize)) -> u32, other: fn(&(u32, u32, usize)) -> u32| {
        let mut sums: BTreeMap<u32, BTreeMap<u32, u32>> = BTreeMap::new();
        for (entry, count) in given {
            *sums
                .entry(key(entry))
                .or_default()
                .entry(other(entry))
                .or_default() += count;
        }
        let largest = sums
            .values()
            .filter_map(|counts| counts.values().max())
            .sum::<u32>();
        (f64::from(largest) * 100.0 / f64::from(total), sums.len())
    };
    let (right, numbers) = most(|e| e.0, |e| e.1);
    let (kept, _) = most(|e| e.1, |e| e.0);
    (100.0 - right, kept, numbers)
}

#[test]
fn one_person_is_one_number_in_all_cameras_whatever_the_embedder() {
    let mut failed = Vec::new();
    for case in cases() {
        let name = case
            .model
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let (wrong, kept, numbers) = judge(&walk(&mut embedder(&case.model)));
        let line = format!(
            "{name}: {wrong:.2} % of boxes carry somebody else's number, {kept:.1} % their person's, {numbers} numbers"
        );
        println!("{line}");
        if wrong > case.most_wrong || kept < case.least_kept {
            failed.push(line);
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
