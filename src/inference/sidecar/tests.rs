//! Sidecars as they are read, replaced and written.

use super::*;

#[test]
fn the_documented_example_is_read() {
    let docs = include_str!("../sidecar.rs");
    let example: String = docs
        .lines()
        .skip_while(|line| *line != "//! ```toml")
        .skip(1)
        .take_while(|line| *line != "//! ```")
        .map(|line| format!("{}\n", line.trim_start_matches("//!")))
        .collect();
    let sidecar = Sidecar::parse(&example).unwrap();
    assert_eq!(
        sidecar,
        Sidecar {
            task: Some(Task::Detect),
            layout: Some(Layout::Yolox),
            width: Some(416),
            height: Some(416),
            tensor: Some(TensorLayout::Nchw),
            color: Some(ColorOrder::Bgr),
            scale: Some(1.0),
            mean: Some([0.0; 3]),
            std: Some([1.0; 3]),
            resize: Some(ResizeMode::LetterboxTopLeft),
            pad: Some(114),
            labels: Some(vec!["person".into(), "car".into()]),
            output: Some("features".into()),
            calibration: Some(calibration().with_visits(vec![VisitScores {
                crops: 4,
                impostor: Spread {
                    mean: 0.0,
                    deviation: 0.125,
                },
                genuine: Spread {
                    mean: 0.5,
                    deviation: 0.125,
                },
            }])),
        }
    );
}

fn calibration() -> MeasuredCalibration {
    let spread = |mean| Spread {
        mean,
        deviation: 0.125,
    };
    let numbers = Calibration {
        impostor: spread(0.25),
        genuine: spread(0.625),
    };
    MeasuredCalibration::new(
        &numbers,
        ModelFingerprint(0x0123_4567_89ab_cdef),
        "the house across",
    )
}

#[test]
fn a_calibration_is_replaced_and_the_rest_kept() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("m.onnx");
    let written = |before: &str| {
        std::fs::write(Sidecar::path_of(&model), before).unwrap();
        let path = Sidecar::write_calibration(&model, &calibration()).unwrap();
        std::fs::read_to_string(path).unwrap()
    };
    let first = written("# mine\ncolor = \"bgr\"\nlabels = [\n  \"a\",\n]\n");
    assert!(
        first.starts_with("# mine\ncolor = \"bgr\"\nlabels = [\n"),
        "{first}"
    );
    assert_eq!(written(&first), first, "written twice");
    let read = Sidecar::beside(&model).unwrap();
    assert_eq!(
        (read.calibration, read.color),
        (Some(calibration()), Some(ColorOrder::Bgr))
    );
    assert!(calibration().is_of(ModelFingerprint(0x0123_4567_89ab_cdef)));
    assert!(!calibration().is_of(ModelFingerprint(1)));
    std::fs::write(Sidecar::path_of(&model), "colour = 1").unwrap();
    assert!(
        Sidecar::write_calibration(&model, &calibration()).is_err(),
        "a broken sidecar is left alone"
    );
}

#[test]
fn what_visits_score_is_read_and_replaced_and_becomes_the_prior() {
    let spread = |mean, deviation| Spread { mean, deviation };
    let visit = |crops, mean| VisitScores {
        crops,
        impostor: spread(mean, 0.125),
        genuine: spread(0.25, 0.125),
    };
    let measured = calibration().with_visits(vec![visit(1, 0.0625), visit(4, 0.125)]);
    let text = with_calibration("color = \"bgr\"\n", &measured);
    let read = Sidecar::parse(&text).unwrap().calibration;
    assert_eq!(read.as_ref(), Some(&measured));
    assert_eq!(measured.prior().unwrap().visit_impostors, (0.125, 0.125));
    assert_eq!(measured.prior().unwrap().visit_genuine, (0.25, 0.125));
    let again = with_calibration(&text, &calibration());
    assert_eq!(
        Sidecar::parse(&again).unwrap().calibration,
        Some(calibration())
    );
    assert!(!again.contains("visits"), "{again}");
    // Visits that separate nobody.
    let reversed = calibration().with_visits(vec![visit(4, 0.5)]);
    assert!(Sidecar::parse(&reversed.to_toml()).is_err());
}

#[test]
fn the_former_names_of_a_calibration_are_read() {
    let text = calibration().to_toml();
    let former = text
        .replace("impostor", "strangers")
        .replace("genuine", "companions");
    assert_ne!(former, text);
    for text in [text, former] {
        let read = Sidecar::parse(&text).unwrap();
        assert_eq!(read.calibration, Some(calibration()));
    }
}

#[test]
fn mistakes_are_named() {
    let cases = [
        ("colour = 'rgb'", "colour"),
        ("color = 'grb'", "rgb, bgr"),
        ("layout = 'yolo'", "yolov8, yolov8-transposed"),
        ("std = [1.0, 0.0, 1.0]", "std"),
        ("mean = [1.0, 2.0]", "mean"),
        ("scale = nan", "finite"),
        ("width = 0", "width"),
        ("pad = 300", "pad"),
        ("labels = []", "labels"),
        (
            "[calibration]\nembedder = ''\ndata = ''\nimpostor = { mean = 0.5, deviation = 0.1 }\ngenuine = { mean = 0.4, deviation = 0.1 }",
            "must be above",
        ),
        ("width = ", "line 1"),
    ];
    for (text, part) in cases {
        let error = Sidecar::parse(text).expect_err(text);
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn a_missing_file_is_silence_and_a_broken_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("m.onnx");
    assert_eq!(Sidecar::beside(&model), Ok(Sidecar::default()));
    std::fs::write(folder.path().join("m.toml"), "pad = 'x'").unwrap();
    let error = Sidecar::beside(&model).unwrap_err().to_string();
    assert!(error.contains("m.toml") && error.contains("pad"), "{error}");
}
