//! Scores agree with TrackEval and py-motmetrics on third-party tracks and with pycocotools on made-up boxes, and
//! `reidctl score` prints them.
//!
//! The tracks are not part of the project, only the scores are: `tests/reference/tracking_scores.py` made them, from the
//! files that these tests write when `GST_REID_SCORE_DUMP` names a folder. Where a data set has no tracker's result, one
//! is made from the truth by [`worsened`].
//!
//! Long because the made-up tracks and boxes are data of these tests alone.

#[path = "../../../tests/common/mod.rs"]
mod common;

use std::{fmt::Write as _, fs, path::Path, process::Command, time::Duration};

use common::{command, run, run_well, shared_data, text};
use gstreid::core::{
    geometry::Rect,
    scoring::{
        self, COCO_MOST, CameraScores, Found, HeightClass, LabelledBox, Picture, Role, View,
    },
};

/// Largest difference to the reference programs.
const TOLERANCE: f64 = 1e-3;
const LIMIT: Duration = Duration::from_secs(60);

/// A camera's boxes.
struct Camera {
    name: String,
    truth: Vec<LabelledBox>,
    result: Vec<LabelledBox>,
}

impl Camera {
    fn view(&self) -> View<'_> {
        View {
            truth: &self.truth,
            result: &self.result,
        }
    }
}

fn load(path: &Path, role: Role) -> Vec<LabelledBox> {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    scoring::parse(&text, role).unwrap_or_else(|error| panic!("{}, {error}", path.display()))
}

/// A number that looks random and is always the same (splitmix64, Steele et al. 2014).
fn hash(parts: [u32; 3]) -> u64 {
    parts.iter().fold(0, |state: u64, part| {
        let mut z = state
            .wrapping_add(u64::from(*part))
            .wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// A result with every kind of mistake, made from the truth of a camera: a tenth of the boxes missing, all of them moved
/// a little, false ones, ids that change for a while or are exchanged, and some people who are not recognised in this camera.
fn worsened(truth: &[LabelledBox], camera: u32) -> Vec<LabelledBox> {
    let mut result: Vec<LabelledBox> = Vec::new();
    for b in truth {
        let noise = hash([camera, b.frame, b.id]);
        if noise.is_multiple_of(10) {
            continue;
        }
        let mut id = b.id;
        if hash([camera, b.frame / 40, 1]).is_multiple_of(4) {
            id ^= 1;
        }
        if hash([camera, b.frame / 30, id]).is_multiple_of(5) {
            id += 1000 * (1 + b.frame / 30);
        } else if hash([camera, 2, id]).is_multiple_of(4) {
            id += 1_000_000 * (1 + camera);
        }
        // Up to an eighth of the size, in steps that are exact in binary.
        let step = |bits: u32, size: f32| ((noise >> bits) % 17) as f32 / 64.0 * size - size / 8.0;
        let Rect { x, y, w, h } = b.rect;
        let rect = Rect::new(
            x + step(8, w),
            y + step(16, h),
            w + step(24, w),
            h + step(32, h),
        );
        result.push(LabelledBox { id, rect, ..*b });
        if noise % 12 == 1 {
            let rect = Rect::new(x + 1.25 * w, y, w, h);
            result.push(LabelledBox {
                id: 500_000 + b.id,
                rect,
                ..*b
            });
        }
    }
    result
}

fn mot(boxes: &[LabelledBox]) -> String {
    boxes.iter().fold(String::new(), |mut text, b| {
        let Rect { x, y, w, h } = b.rect;
        writeln!(text, "{},{},{x},{y},{w},{h},1,-1,-1,-1", b.frame, b.id).unwrap();
        text
    })
}

/// Writes the boxes for the reference programs, if asked to.
fn dump(case: &str, cameras: &[Camera]) {
    let Some(folder) = std::env::var_os("GST_REID_SCORE_DUMP") else {
        return;
    };
    let folder = Path::new(&folder).join(case);
    fs::create_dir_all(&folder).unwrap();
    for camera in cameras {
        let file = |kind: &str| folder.join(format!("{}.{kind}.txt", camera.name));
        fs::write(file("gt"), mot(&camera.truth)).unwrap();
        fs::write(file("result"), mot(&camera.result)).unwrap();
    }
}

fn check(what: &str, got: f64, expected: f64) {
    assert!(
        (got - expected).abs() < TOLERANCE,
        "{what}: {got:.6} instead of {expected:.6}"
    );
}

/// Scores that TrackEval gives: HOTA, DetA, AssA, LocA, IDF1, IDP, IDR.
fn check_trackeval(
    name: &str,
    hota: &scoring::HotaScores,
    id: &scoring::IdScores,
    expected: [f64; 7],
) {
    let got = [
        ("HOTA", hota.hota),
        ("DetA", hota.detection),
        ("AssA", hota.association),
        ("LocA", hota.localisation),
        ("IDF1", id.f1),
        ("IDP", id.precision),
        ("IDR", id.recall),
    ];
    println!("{name}: {got:?}");
    for ((what, value), expected) in got.into_iter().zip(expected) {
        check(&format!("{name} {what}"), value, expected);
    }
}

/// Scores that py-motmetrics gives.
struct Clear {
    mota: f64,
    motp: f64,
    switches: u64,
    fragments: u64,
    false_positives: u64,
    misses: u64,
}

fn check_camera(camera: &Camera, trackeval: [f64; 7], clear: &Clear) {
    let scores: CameraScores = scoring::score_camera(camera.view());
    println!("{}: {:?}", camera.name, scores.clear);
    check_trackeval(&camera.name, &scores.hota, &scores.identity, trackeval);
    check("MOTA", scores.clear.accuracy, clear.mota);
    check("MOTP", scores.clear.overlap, clear.motp);
    assert_eq!(
        scores.clear.switches, clear.switches,
        "{} switches",
        camera.name
    );
    assert_eq!(
        scores.clear.fragments, clear.fragments,
        "{} fragments",
        camera.name
    );
    assert_eq!(
        scores.clear.false_positives, clear.false_positives,
        "{} false",
        camera.name
    );
    assert_eq!(scores.clear.misses, clear.misses, "{} missed", camera.name);
}

fn check_global(case: &str, cameras: &[Camera], trackeval: [f64; 7], precision: f64, recall: f64) {
    let views: Vec<View<'_>> = cameras.iter().map(Camera::view).collect();
    let scores = scoring::score_cameras(&views);
    println!("{case}: {:?}", scores.cross_camera);
    check_trackeval(case, &scores.hota, &scores.identity, trackeval);
    check(
        "cross-camera precision",
        scores.cross_camera.precision.unwrap(),
        precision,
    );
    check(
        "cross-camera recall",
        scores.cross_camera.recall.unwrap(),
        recall,
    );
}

/// Cameras whose truth lies in `tracking/<folder>/<name>/gt/gt.txt`, with worsened results.
fn sequences(tracking: &Path, folder: &str, names: &[&str]) -> Vec<Camera> {
    let camera = |(number, name): (usize, &&str)| {
        let truth = load(
            &tracking.join(folder).join(name).join("gt/gt.txt"),
            Role::Truth,
        );
        let result = worsened(&truth, number as u32);
        Camera {
            name: (*name).into(),
            truth,
            result,
        }
    };
    names.iter().enumerate().map(camera).collect()
}

fn tracking() -> Option<std::path::PathBuf> {
    Some(shared_data()?.join("tracking"))
}

#[test]
fn published_trackers_of_tud() {
    let Some(tracking) = tracking() else { return };
    let camera = |name: &str| {
        let folder = tracking.join(format!("motmetrics-{name}"));
        Camera {
            name: name.into(),
            truth: load(&folder.join("gt.txt"), Role::Truth),
            result: load(&folder.join("test.txt"), Role::Result),
        }
    };
    check_camera(
        &camera("TUD-Campus"),
        [
            0.391397, 0.418047, 0.369121, 0.770052, 0.557659, 0.729730, 0.451253,
        ],
        &Clear {
            mota: 0.526462,
            motp: 1.0 - 0.277201,
            switches: 7,
            fragments: 7,
            false_positives: 13,
            misses: 150,
        },
    );
    check_camera(
        &camera("TUD-Stadtmitte"),
        [
            0.397849, 0.392268, 0.408841, 0.737521, 0.644619, 0.819760, 0.531142,
        ],
        &Clear {
            mota: 0.564014,
            motp: 1.0 - 0.345904,
            switches: 7,
            fragments: 6,
            false_positives: 45,
            misses: 452,
        },
    );
}

#[test]
fn a_street() {
    let Some(tracking) = tracking() else { return };
    let cameras = sequences(&tracking, "", &["TC-pedestrians"]);
    dump("street", &cameras);
    check_camera(
        &cameras[0],
        [
            0.356977, 0.606292, 0.210941, 0.787014, 0.409663, 0.410190, 0.409138,
        ],
        &Clear {
            mota: 0.770021,
            motp: 0.748071,
            switches: 79,
            fragments: 168,
            false_positives: 182,
            misses: 187,
        },
    );
}

#[test]
fn two_overlapping_views() {
    let Some(tracking) = tracking() else { return };
    let cameras = sequences(&tracking, "scenescape", &["Cam_x1_0", "Cam_x2_0"]);
    dump("scenescape", &cameras);
    check_camera(
        &cameras[0],
        [
            0.405893, 0.606192, 0.271845, 0.787125, 0.550690, 0.550398, 0.550982,
        ],
        &Clear {
            mota: 0.791290,
            motp: 0.747380,
            switches: 84,
            fragments: 315,
            false_positives: 353,
            misses: 349,
        },
    );
    let global = [
        0.359520, 0.607465, 0.212895, 0.784997, 0.444578, 0.445324, 0.443835,
    ];
    check_global("scenescape", &cameras, global, 1.0, 0.219867);
}

#[test]
fn eight_moving_views() {
    let Some(tracking) = tracking() else { return };
    let cameras = sequences(
        &tracking,
        "matrix",
        &["D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8"],
    );
    dump("matrix", &cameras);
    check_camera(
        &cameras[7],
        [
            0.637993, 0.607401, 0.672588, 0.784878, 0.910384, 0.930233, 0.891365,
        ],
        &Clear {
            mota: 0.824513,
            motp: 0.742618,
            switches: 0,
            fragments: 29,
            false_positives: 24,
            misses: 39,
        },
    );
    let global = [
        0.347902, 0.601956, 0.202190, 0.784792, 0.417320, 0.424811, 0.410089,
    ];
    check_global("matrix", &cameras, global, 0.570693, 0.220015);
}

#[test]
fn two_long_views_with_boxes_outside_the_picture() {
    let Some(tracking) = tracking() else { return };
    let camera = |(number, name): (usize, &&str)| {
        // The rows are VATIC's, packed.
        let output = Command::new("tar")
            .arg("-xzOf")
            .arg(tracking.join("campus-auditorium-gt.tar.gz"))
            .arg(format!("campus-auditorium/{name}.txt"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let mut truth =
            scoring::parse(&String::from_utf8(output.stdout).unwrap(), Role::Truth).unwrap();
        truth.retain(|b| b.has_centre_within(1920.0, 1080.0));
        let result = worsened(&truth, number as u32);
        Camera {
            name: (*name).into(),
            truth,
            result,
        }
    };
    let names = ["view-HC3", "view-HC4"];
    let cameras: Vec<Camera> = names.iter().enumerate().map(camera).collect();
    dump("campus", &cameras);
    check_camera(
        &cameras[0],
        [
            0.374015, 0.605919, 0.230992, 0.785096, 0.541803, 0.544864, 0.538776,
        ],
        &Clear {
            mota: 0.793413,
            motp: 0.745571,
            switches: 338,
            fragments: 1204,
            false_positives: 1169,
            misses: 1322,
        },
    );
    let global = [
        0.352545, 0.607719, 0.204654, 0.785419, 0.498012, 0.501195, 0.494869,
    ];
    check_global("campus", &cameras, global, 0.484879, 0.119822);
}

/// Pictures with every kind of mistake, `people` a picture: boxes moved a little, missing, doubled and made up, many equal
/// scores; with an odd number every seventh person is a crowd. Numbers are exact in binary, so that the reference reads the same.
fn coco_pictures(pictures: u32, people: u32) -> Vec<Picture> {
    let part = |noise: u64, bits: u32| ((noise >> bits) % 17) as f32;
    let picture = |number: u32| {
        let mut picture = Picture::default();
        for person in 0..people {
            let noise = hash([number, person, people]);
            let (x, y) = (person as f32 * 40.0, part(noise, 40) * 8.0);
            let rect = Rect::new(x, y, 32.0 + part(noise, 45), 64.0 + 4.0 * part(noise, 50));
            if people % 2 == 1 && noise.is_multiple_of(7) {
                picture.crowds.push(rect);
            } else {
                picture.truth.push(rect);
            }
            let score = |bits: u32| (1.0 + part(noise, bits)) / 32.0;
            let moved = |bits: u32, by: f32| {
                let (dx, dy) = (part(noise, bits) - 8.0, part(noise, bits + 5) - 8.0);
                Rect::new(x + dx * by, y + dy * by, rect.w + dy * by, rect.h + dx * by)
            };
            if !noise.is_multiple_of(5) {
                picture.found.push(Found {
                    rect: moved(0, 0.5),
                    score: 0.25 + score(5),
                });
            }
            if noise.is_multiple_of(3) {
                picture.found.push(Found {
                    rect: moved(10, 1.0),
                    score: score(15),
                });
            }
            if noise.is_multiple_of(11) {
                let rect = Rect::new(x, 500.0, 40.0, 90.0);
                picture.found.push(Found {
                    rect,
                    score: score(20),
                });
            }
        }
        picture
    };
    (0..pictures).map(picture).collect()
}

/// Writes the pictures for pycocotools, if asked to: `tests/reference/detection_scores.py` reads them.
fn dump_pictures(case: &str, pictures: &[Picture]) {
    let Some(folder) = std::env::var_os("GST_REID_SCORE_DUMP") else {
        return;
    };
    let row = |r: &Rect| [r.x, r.y, r.w, r.h];
    let rows: Vec<_> = pictures
        .iter()
        .map(|p| {
            let found: Vec<_> = p.found.iter().map(|f| (row(&f.rect), f.score)).collect();
            let [truth, crowds] =
                [&p.truth, &p.crowds].map(|side| side.iter().map(row).collect::<Vec<_>>());
            serde_json::json!({ "truth": truth, "crowds": crowds, "found": found })
        })
        .collect();
    fs::create_dir_all(&folder).unwrap();
    let text = serde_json::to_string(&rows).unwrap();
    fs::write(Path::new(&folder).join(format!("{case}.coco.json")), text).unwrap();
}

#[test]
fn boxes_as_pycocotools_counts_them() {
    let cases = [
        // Two hundred boxes: recalls fall on the very points at which precision is read.
        ("round", 50, 4, [0.800939, 0.521562]),
        // More than a hundred found boxes a picture.
        ("many", 3, 130, [0.630057, 0.398771]),
        ("few", 7, 3, [0.816805, 0.475480]),
    ];
    for (name, pictures, people, _) in cases {
        dump_pictures(name, &coco_pictures(pictures, people));
    }
    for (name, pictures, people, expected) in cases {
        let pictures = coco_pictures(pictures, people);
        let scores = scoring::average_precision(&pictures, &HeightClass::ALL, COCO_MOST);
        println!("{name}: {scores:?}");
        check(name, scores.ap50.unwrap(), expected[0]);
        check(name, scores.ap50_95.unwrap(), expected[1]);
    }
}

/// The folder of a case with its files, as `reidctl score` takes them.
fn score_files(folder: &Path) -> Command {
    for camera in ["door", "hall"] {
        fs::create_dir_all(folder.join("truth").join(camera)).unwrap();
        fs::write(
            folder.join("truth").join(camera).join("gt.txt"),
            "1,1,0,0,10,10\n2,1,0,0,10,10\n",
        )
        .unwrap();
    }
    fs::write(
        folder.join("door.txt"),
        "1,4,0,0,10,10,0.9,-1,-1,-1\n2,4,0,0,10,10,0.9,-1,-1,-1\n",
    )
    .unwrap();
    fs::write(
        folder.join("hall.txt"),
        "1,4,0,0,10,10,0.9,-1,-1,-1\n2,5,0,0,10,10,0.9,-1,-1,-1\n",
    )
    .unwrap();
    let mut score = common::reidctl();
    score.arg("score").arg("--gt").arg(folder.join("truth"));
    score
}

#[test]
fn the_command_prints_tables_and_json() {
    let folder = tempfile::tempdir().unwrap();
    let mut tables = score_files(folder.path());
    tables.arg("--result").arg(folder.path());
    let tables = text(&run_well(tables, LIMIT));
    for part in [
        "door ",
        "hall ",
        "global IDF1 over 2 cameras: 75.00 %",
        "50.00 % carry one id",
    ] {
        assert!(tables.contains(part), "{part}: {tables}");
    }
    let mut json = score_files(folder.path());
    json.arg("--result").args([
        folder.path().join("door.txt"),
        folder.path().join("hall.txt"),
    ]);
    json.args(["--camera", "a,b", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&run_well(json, LIMIT).stdout).unwrap();
    assert_eq!(json["cameras"][1]["camera"], "b");
    assert_eq!(json["cameras"][1]["switches"], 1);
    assert_eq!(json["cameras"][0]["HOTA"], 1.0);
    assert_eq!(json["global"]["IDF1"], 0.75);
    assert_eq!(json["global"]["cross_camera_precision"], 1.0);
}

#[test]
fn the_command_says_what_is_wrong_with_its_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(
        folder.path().join("bad.txt"),
        "# no reidtrack\n1,-1,0,0,10,10\n",
    )
    .unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    let cases = [
        (
            vec![path("door.txt")],
            "1 results for 2 cameras (door, hall)",
        ),
        (
            vec![path("door.txt"), path("bad.txt")],
            "bad.txt, line 2: id -1 is not an identity",
        ),
        (
            vec![path("door.txt"), path("none.txt")],
            "none.txt cannot be read",
        ),
    ];
    for (results, expected) in cases {
        let mut score = score_files(folder.path());
        score.arg("--result").args(&results);
        let output = run(score, LIMIT);
        assert!(!output.status.success());
        assert!(
            text(&output).contains(expected),
            "{expected}: {}",
            text(&output)
        );
    }
    let mut score = common::reidctl();
    score.args([
        "score",
        "--gt",
        &path("empty"),
        "--result",
        &path("door.txt"),
    ]);
    assert!(text(&run(score, LIMIT)).contains("has no ground truth"));
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let folder = tempfile::tempdir().unwrap();
    score_files(folder.path());
    let mut shell = command("bash");
    shell.args([
        "-c",
        "exec 2>&1; set -o pipefail; reidctl score --gt truth --result . --json | true",
    ]);
    shell.current_dir(folder.path());
    assert_eq!(text(&run_well(shell, LIMIT)), "");
}
