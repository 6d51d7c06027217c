//! `reidctl` on pictures of made-up people: measuring, comparing, searching and telling people apart, with tiny models and
//! with those that ship.
//!
//! Long because every command has its cases here, on the same made-up people.

#[path = "../../../tests/common/mod.rs"]
mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use common::{command, people, root, run, run_well, text};
use serde_json::Value;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(120);

fn reidctl(arguments: &[&str]) -> Command {
    let mut reidctl = common::reidctl();
    reidctl.args(arguments);
    reidctl
}

fn well(arguments: &[&str]) -> String {
    text(&run_well(reidctl(arguments), LIMIT))
}

fn json(arguments: &[&str]) -> Value {
    let output = run_well(reidctl(arguments), LIMIT);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(&output)))
}

/// Runs, expects failure, and that the message names everything in `parts`.
fn fails(arguments: &[&str], parts: &[&str]) {
    let output = run(reidctl(arguments), LIMIT);
    let said = text(&output);
    assert!(!output.status.success(), "{arguments:?} went well:\n{said}");
    assert!(!said.contains("panicked"), "{said}");
    for part in parts {
        assert!(said.contains(part), "{arguments:?}: no '{part}' in: {said}");
    }
}

/// A file of `tests/fixtures/embed`.
fn tiny(name: &str) -> String {
    root()
        .join(format!("tests/fixtures/embed/{name}.onnx"))
        .display()
        .to_string()
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

/// A folder with a data set in Market's layout, and one damaged picture in it.
fn market() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    people::as_market(&people::crops(6, 4), folder.path());
    fs::write(
        folder.path().join("query/0001_c1s1_999999_00.jpg"),
        b"\xff\xd8 no picture",
    )
    .unwrap();
    folder
}

/// A folder with a folder for each of six people.
fn tree() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    people::as_tree(&people::crops(6, 6), folder.path());
    folder
}

fn first_picture(folder: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.into_iter().next().expect("a picture")
}

/// A copy of a tiny model that may get a sidecar.
fn copied(folder: &TempDir, name: &str) -> String {
    let to = path(folder, &format!("{name}.onnx"));
    fs::copy(tiny(name), &to).unwrap();
    to
}

#[test]
fn embedders_are_measured() {
    let data = market();
    let folder = data.path().display().to_string();
    let by = |metric: &str| {
        json(&[
            "eval",
            "--data",
            &folder,
            "--model",
            &tiny("open"),
            "--metric",
            metric,
            "--json",
        ])
    };
    let (cosine, euclidean) = (by("cosine"), by("euclidean"));
    assert_eq!(
        cosine["scores"], euclidean["scores"],
        "unit vectors rank alike by both"
    );
    assert_eq!(
        (cosine["dimension"].as_u64(), cosine["skipped"].as_u64()),
        (Some(6), Some(1))
    );
    assert!(cosine["scores"]["queries"].as_u64() >= Some(20), "{cosine}");
    assert!(cosine["scores"]["rank10"].as_f64() >= Some(0.5), "{cosine}");
    let shipped = json(&["eval", "--data", &folder, "--json"]);
    assert_eq!(shipped["dimension"], 512);
    assert!(
        shipped["scores"]["rank5"].as_f64() > Some(0.5),
        "{}",
        shipped["scores"]
    );
    let table = well(&["eval", "--data", &folder, "--model", &tiny("open")]);
    assert!(
        table.contains("1 pictures skipped") && table.contains("0001_c1s1_999999_00.jpg"),
        "{table}"
    );
}

#[test]
fn a_report_is_one_file_that_warns_of_its_pictures() {
    let data = market();
    let (folder, report) = (
        data.path().display().to_string(),
        path(&data, "report.html"),
    );
    well(&["eval", "--data", &folder, "--model", &tiny("open")]);
    assert!(!Path::new(&report).exists());
    well(&[
        "eval",
        "--data",
        &folder,
        "--model",
        &tiny("open"),
        "--report",
        &report,
    ]);
    let html = fs::read_to_string(&report).unwrap();
    let notice = html.find("This file shows people").expect("a notice");
    assert!(notice < html.find("data:image/jpeg;base64,").expect("pictures"));
    assert_eq!(html.matches("<svg").count(), 2);
    for part in [
        "Match rate",
        "Cosines of pairs",
        "Misses",
        "Hits",
        "rank-1",
        "class=\"hit\"",
    ] {
        assert!(html.contains(part), "{part}");
    }
    for outside in ["http:", "https:", "<script", "NaN"] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert_eq!(html.matches("<link").count(), 1, "the icon");
    assert!(html.contains("<link rel=\"icon\" href=\"data:"));
    assert!(!html.contains(&folder), "no path of the machine");
    fails(
        &[
            "eval",
            "--data",
            &folder,
            "--report",
            &path(&data, "none/report.html"),
        ],
        &["report.html cannot be written"],
    );
}

#[test]
fn a_calibration_makes_probabilities_until_the_model_changes() {
    let data = market();
    let folder = data.path().display().to_string();
    let (model, other) = (copied(&data, "open"), copied(&data, "one"));
    let crops = people::crops(3, 2);
    let save = |name: &str, number: usize| {
        crops[number].picture.save(data.path().join(name)).unwrap();
        path(&data, name)
    };
    let (a, b) = (save("a.png", 0), save("b.png", 1));
    let unknown = well(&["compare", &a, &b, "--model", &model]);
    assert!(
        unknown.contains("no probability: ") && unknown.contains("--calibrate"),
        "{unknown}"
    );
    assert_eq!(
        json(&["compare", &a, &b, "--model", &model, "--json"])["same_person"],
        Value::Null
    );
    let said = well(&[
        "eval",
        "--data",
        &folder,
        "--model",
        &model,
        "--calibrate",
        "--data-name",
        "a made-up hall",
    ]);
    assert!(
        said.contains("wrote the calibration into") && said.contains("open.toml"),
        "{said}"
    );
    let known = well(&["compare", &a, &a, "--model", &model]);
    assert!(
        known.contains("cosine 1.0000") && known.contains("measured on a made-up hall"),
        "{known}"
    );
    let same = json(&["compare", &a, &a, "--model", &model, "--json"]);
    assert!(same["same_person"].as_f64() > Some(0.5), "{same}");
    fs::copy(path(&data, "open.toml"), path(&data, "one.toml")).unwrap();
    let stale = well(&["compare", &a, &b, "--model", &other]);
    assert!(stale.contains("belongs to another model"), "{stale}");
    fails(
        &["eval", "--task", "detect", "--data", &folder, "--calibrate"],
        &["for embedders"],
    );
    fails(&["compare", &a, &path(&data, "none.png")], &["none.png"]);
}

#[test]
fn pair_models_compare_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let plain = |name: &str, level: u8| {
        let file = path(&folder, name);
        image::RgbImage::from_pixel(20, 40, image::Rgb([level; 3]))
            .save(&file)
            .unwrap();
        file
    };
    let (dark, light) = (plain("dark.png", 20), plain("light.png", 220));
    let score = |model: &str, a: &str, b: &str| {
        let value = json(&["compare", a, b, "--model", &tiny(model), "--json"]);
        assert_eq!(value["score"], value["same_person"]);
        value["score"].as_f64().unwrap()
    };
    for model in ["pair", "pair-probability"] {
        // Odds of exp(4) for equal pictures, exp(4 - 20) for two that are 200 levels apart.
        assert!((score(model, &dark, &dark) - 0.982).abs() < 1e-3);
        assert!(score(model, &dark, &light) < 1e-6);
    }
    assert!(
        well(&["compare", &dark, &dark, "--model", &tiny("pair")])
            .contains("the same person: 98 %")
    );
    fails(
        &["compare", &dark, &dark, "--model", &tiny("pair-silent")],
        &["reid.score = logit"],
    );
    fails(
        &[
            "search",
            &dark,
            &path(&folder, ""),
            "--model",
            &tiny("pair"),
        ],
        &["'pair'"],
    );
}

#[test]
fn the_nearest_pictures_are_found_and_shown() {
    let tree = tree();
    fs::write(tree.path().join("person-1/broken.png"), "no picture").unwrap();
    let (folder, montage) = (tree.path().display().to_string(), path(&tree, "found.png"));
    let query = first_picture(&tree.path().join("person-2"));
    let query = query.to_str().unwrap();
    for model in [tiny("open"), "reid-default.onnx".to_owned()] {
        let search = ["search", query, &folder, "--model", &model, "--top", "5"];
        let found = json(&[&search[..], &["--json"]].concat());
        assert_eq!(found["hits"].as_array().map(Vec::len), Some(5));
        assert_eq!(found["skipped"], 1);
        assert!(
            query.ends_with(found["hits"][0]["picture"].as_str().unwrap()),
            "{found}"
        );
        assert!(found["hits"][0]["cosine"].as_f64() > Some(0.999));
        let far = json(&[&search[..], &["--json", "--metric", "euclidean"]].concat());
        assert_eq!(
            far["hits"][4]["picture"], found["hits"][4]["picture"],
            "unit vectors rank alike by both"
        );
        assert!(far["hits"][0]["distance"].as_f64() < Some(0.05), "{far}");
        let table = well(&[&search[..], &["--montage", &montage]].concat());
        assert!(
            table.contains("rank") && table.contains("broken.png"),
            "{table}"
        );
        let picture = image::open(&montage).unwrap().to_rgb8();
        assert!(
            picture.width() > 6 * 40 && picture.height() > 192,
            "{:?}",
            picture.dimensions()
        );
        // The query's frame is blue.
        assert!(picture.pixels().any(|p| p.0 == [0, 114, 178]));
        fs::remove_file(&montage).unwrap();
    }
    fs::create_dir(tree.path().join("empty")).unwrap();
    fails(
        &["search", query, &path(&tree, "empty")],
        &["holds no pictures"],
    );
    fails(
        &["search", query, &path(&tree, "none")],
        &["neither a folder nor"],
    );
    fails(&["search", query, &folder, "--top", "0"], &["--top"]);
}

#[test]
fn people_are_learnt_named_and_measured() {
    let (tree, results) = (tree(), tempfile::tempdir().unwrap());
    let (folder, saved) = (
        tree.path().display().to_string(),
        path(&results, "staff.json"),
    );
    let picture = first_picture(&tree.path().join("person-3"));
    let picture = picture.to_str().unwrap();
    for model in [tiny("open"), "reid-default.onnx".to_owned()] {
        let model = ["--model", &model];
        let train = well(
            &[
                &["classify", "train", &folder, "--save", &saved],
                &model[..],
            ]
            .concat(),
        );
        assert!(
            train.contains("6 people learnt from 72 pictures"),
            "{train}"
        );
        let named = json(
            &[
                &["classify", "predict", &saved, picture, "--json"],
                &model[..],
            ]
            .concat(),
        );
        assert_eq!(named[0]["identity"], "person-3");
        assert!(named[0]["confidence"].as_f64() > Some(0.3), "{named}");
        let table = well(&[&["classify", "predict", &saved, &folder], &model[..]].concat());
        assert_eq!(table.lines().count(), 73, "{table}");
        let (csv, png) = (
            path(&results, "confusion.csv"),
            path(&results, "confusion.png"),
        );
        let eval = ["classify", "eval", &folder, "--block", "2"];
        let measured = json(&[&eval, &["--json", "--confusion", &csv][..], &model].concat());
        assert_eq!(measured["pictures"], 24, "a third of each person's");
        assert!(measured["accuracy"].as_f64() > Some(0.5), "{measured}");
        assert_eq!(fs::read_to_string(&csv).unwrap().lines().count(), 7);
        let again = well(
            &[
                &[
                    "classify",
                    "eval",
                    &folder,
                    "--classifier",
                    &saved,
                    "--confusion",
                    &png,
                ],
                &model[..],
            ]
            .concat(),
        );
        assert!(
            again.contains("accuracy") && again.contains("person-6"),
            "{again}"
        );
        image::open(&png).unwrap();
        well(
            &[
                &["classify", "eval", &folder, "--test", &folder],
                &model[..],
            ]
            .concat(),
        );
    }
}

#[test]
fn a_classifier_of_another_embedder_is_refused() {
    let tree = tree();
    let (folder, saved) = (tree.path().display().to_string(), path(&tree, "staff.json"));
    well(&[
        "classify",
        "train",
        &folder,
        "--save",
        &saved,
        "--model",
        &tiny("open"),
    ]);
    let predict = |model: &str, file: &str, parts: &[&str]| {
        fails(
            &[
                "classify",
                "predict",
                file,
                &folder,
                "--model",
                &tiny(model),
            ],
            parts,
        );
    };
    predict(
        "one",
        &saved,
        &["another embedder (open.onnx)", "--model", "train again"],
    );
    let broken = path(&tree, "broken.json");
    fs::write(
        &broken,
        fs::read_to_string(&saved)
            .unwrap()
            .replace("weights", "wights"),
    )
    .unwrap();
    predict("open", &broken, &["train again"]);
    predict(
        "open",
        &path(&tree, "none.json"),
        &["none.json cannot be read"],
    );
}

#[test]
fn trees_with_mistakes_are_used_as_far_as_they_go() {
    let tree = tempfile::tempdir().unwrap();
    let folder = tree.path().display().to_string();
    let saved = path(&tree, "staff.json");
    let train = [
        "classify",
        "train",
        &folder,
        "--save",
        &saved,
        "--model",
        &tiny("open"),
    ];
    let crops = people::crops(3, 3);
    fails(&train, &["a folder for each person"]);
    people::as_tree(&crops[..3], tree.path());
    let one = tempfile::tempdir().unwrap();
    let first = &crops[0];
    let only = one.path().display().to_string();
    people::as_tree(std::slice::from_ref(first), one.path());
    fails(
        &["classify", "train", &only, "--save", &saved],
        &["pictures of 1 people", "two are the least"],
    );
    people::as_tree(&crops, tree.path());
    fs::create_dir(tree.path().join("nobody")).unwrap();
    fs::create_dir(tree.path().join("lonely")).unwrap();
    fs::create_dir(tree.path().join("damaged")).unwrap();
    crops[0]
        .picture
        .save(tree.path().join("lonely/1.png"))
        .unwrap();
    fs::write(tree.path().join("damaged/1.jpg"), "no picture").unwrap();
    let said = well(&train);
    for part in [
        "1 pictures skipped",
        "damaged/1.jpg",
        "no usable picture of damaged, nobody",
        "only one picture of lonely",
        "4 people learnt",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = well(&[
        "classify",
        "eval",
        &folder,
        "--model",
        &tiny("open"),
        "--block",
        "1",
    ]);
    assert!(said.contains("lonely") && said.contains(" -"), "{said}");
    fails(
        &["classify", "eval", &folder, "--confusion", "a.txt"],
        &[".csv or .png"],
    );
    fs::create_dir_all(tree.path().join("more/Lonely")).unwrap();
    crops[1]
        .picture
        .save(tree.path().join("more/Lonely/1.png"))
        .unwrap();
    fails(&train, &["lonely and more/Lonely", "rename"]);
}

/// A clip of a sequence's pictures.
fn clip(sequence: &Path) {
    let line = "gst-launch-1.0 -q multifilesrc location=img1/%06d.png index=1 caps=image/png,framerate=10/1 ! pngdec ! videoconvert \
                ! x264enc tune=zerolatency quantizer=12 pass=quant ! h264parse ! mp4mux ! filesink location=clip.mp4";
    let mut shell = command("bash");
    shell.args(["-c", line]).current_dir(sequence);
    run_well(shell, LIMIT);
}

#[test]
fn detectors_are_measured_on_pictures_frames_and_clips() {
    let data = tempfile::tempdir().unwrap();
    let frames = people::as_sequence(&data.path().join("frames/hall"), 12);
    people::as_yolo(&frames, &data.path().join("yolo"), "hall");
    let (film, boxes) = (data.path().join("film/hall"), path(&data, "boxes"));
    fs::create_dir_all(film.join("gt")).unwrap();
    fs::copy(frames.join("gt/gt.txt"), film.join("gt/gt.txt")).unwrap();
    clip(&frames);
    fs::rename(frames.join("clip.mp4"), film.join("clip.mp4")).unwrap();
    let measured = ["yolo", "frames", "frames/hall", "film"].map(|kind| {
        let value = json(&[
            "eval",
            "--task",
            "detect",
            "--data",
            &path(&data, kind),
            "--boxes",
            &boxes,
            "--json",
        ]);
        assert_eq!(value["sources"][0]["name"], "hall", "{kind}");
        assert_eq!(value["sources"][0]["pictures"], 12, "{kind}");
        value["sources"][0]["AP50"].as_f64().unwrap()
    });
    println!("AP50 {measured:?}");
    assert!(measured[0] > 0.3, "{measured:?}");
    assert!(
        measured.iter().all(|ap| (ap - measured[0]).abs() < 0.15),
        "{measured:?}"
    );
    assert!(
        (measured[0] - measured[1]).abs() < 1e-6,
        "the same pictures"
    );
    let truth: Value =
        serde_json::from_slice(&fs::read(path(&data, "boxes/truth.json")).unwrap()).unwrap();
    assert_eq!(truth["images"].as_array().map(Vec::len), Some(12));
    let eval = |kind: &str| ["eval", "--task", "detect", "--data", kind].map(str::to_owned);
    let with = |kind: &str, more: &[&str], parts: &[&str]| {
        let eval = eval(&path(&data, kind));
        let all: Vec<&str> = eval
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
            .collect();
        fails(&all, parts);
    };
    with("boxes", &[], &["holds no labelled pictures", "gt/gt.txt"]);
    with("yolo", &["--source", "door"], &["of door"]);
    with("film", &["--source", "door"], &["of door"]);
    fs::write(film.join("clip.mp4"), "no clip").unwrap();
    with("film", &[], &["clip.mp4 cannot be played"]);
    fs::write(film.join("gt/gt.txt"), "1,2\n").unwrap();
    with("film", &[], &["gt.txt, line 1"]);
}

#[test]
fn a_published_detector_scores_what_pycocotools_says() {
    let Some(shared) = common::shared_data() else {
        return;
    };
    let [data, model] = ["detection/train.tar", "models/yolox-nano_416_kazu.onnx"]
        .map(|name| shared.join(name).display().to_string());
    let eval = [
        "eval",
        "--task",
        "detect",
        "--data",
        &data,
        "--model",
        &model,
        "--source",
        "coco128val",
        "--json",
    ];
    let scores = &json(&eval)["sources"][0];
    // From the boxes that `--boxes` writes.
    for (name, expected) in [("AP50", 0.642077), ("AP50-95", 0.371142)] {
        let got = scores[name].as_f64().unwrap();
        assert!(
            (got - expected).abs() < 1e-3,
            "{name}: {got} instead of {expected}"
        );
    }
}
