//! Decoding, suppression and the way back into the frame agree with an independent reference: `fixtures/make_yolo.py`
//! (numpy, double precision), for every layout, to 1e-3 px and 1e-4 score.

mod common;

use gstreid::core::{
    geometry::Rect,
    preprocess::{InputSpec, LetterboxPlan, ResizeMode},
    yolo::{
        self, ClassFilter, DecodeParams, Detection, Head, Hints, Layout, OutputInfo, TensorView,
    },
};
use serde::Deserialize;

const PX: f32 = 1e-3;
const SCORE: f32 = 1e-4;

#[derive(Deserialize)]
struct Case {
    name: String,
    layout: String,
    classes: Option<usize>,
    input: (usize, usize),
    frame: (usize, usize),
    resize: String,
    threshold: f32,
    iou: f32,
    outputs: Vec<Output>,
    /// x, y, w, h, score, class
    expected: Vec<[f32; 6]>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    shape: Vec<usize>,
    integer: bool,
    data: Vec<f32>,
}

impl Case {
    fn head(&self, layout: Option<Layout>) -> Head {
        let infos: Vec<OutputInfo> = self
            .outputs
            .iter()
            .map(|o| OutputInfo {
                name: o.name.clone(),
                dims: o.shape.iter().map(|&n| Some(n)).collect(),
                integer: o.integer,
            })
            .collect();
        let hints = Hints {
            input_width: self.input.0,
            input_height: self.input.1,
            classes: self.classes,
            task: (self.name == "segment").then(|| "segment".into()),
            layout,
            ..Hints::default()
        };
        yolo::recognise(&infos, &hints).unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }

    fn plan(&self) -> LetterboxPlan {
        let resize = match self.resize.as_str() {
            "letterbox-centred" => ResizeMode::LetterboxCentred,
            "letterbox-top-left" => ResizeMode::LetterboxTopLeft,
            _ => ResizeMode::Squash,
        };
        let spec = InputSpec {
            width: self.input.0,
            height: self.input.1,
            resize,
            ..InputSpec::default()
        };
        LetterboxPlan::for_frame(&spec, self.frame.0, self.frame.1)
    }

    /// The boxes in the frame, of all classes or of one.
    fn detect(&self, head: &Head, classes: ClassFilter) -> Vec<Detection> {
        let views: Vec<TensorView> = self
            .outputs
            .iter()
            .map(|o| TensorView {
                shape: &o.shape,
                data: &o.data,
            })
            .collect();
        let params = DecodeParams {
            threshold: self.threshold,
            classes: &classes,
        };
        let mut found = Vec::new();
        let seen = head.decode(&views, &params, &mut found).unwrap();
        assert_eq!((seen.not_finite, seen.implausible), (0, 0), "{}", self.name);
        if head.layout().needs_nms() {
            yolo::nms(&mut found, self.iou, usize::MAX);
        }
        let plan = self.plan();
        found.retain_mut(|d| {
            let (w, h) = (self.frame.0 as f32, self.frame.1 as f32);
            let rect = plan.to_frame(d.rect).clipped(w, h);
            d.rect = rect.unwrap_or_default();
            rect.is_some()
        });
        found
    }
}

fn cases() -> Vec<Case> {
    let path = common::root().join("tests/fixtures/yolo/decode.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Every expected box is found, and nothing else.
fn check(name: &str, mut found: Vec<Detection>, expected: &[[f32; 6]]) {
    for &[x, y, w, h, score, class] in expected {
        let is_same = |d: &Detection| {
            let rect = Rect::new(x, y, w, h);
            let close = |a: f32, b: f32| (a - b).abs() <= PX;
            close(d.rect.x, rect.x)
                && close(d.rect.y, rect.y)
                && close(d.rect.w, rect.w)
                && close(d.rect.h, rect.h)
                && (d.score - score).abs() <= SCORE
                && d.class_id == class as u32
        };
        let at = found
            .iter()
            .position(is_same)
            .unwrap_or_else(|| panic!("{name}: {x} {y} {w} {h} {score} {class} not in {found:#?}"));
        found.swap_remove(at);
    }
    assert!(found.is_empty(), "{name}: not expected: {found:#?}");
}

#[test]
fn every_layout_agrees_with_the_reference() {
    let cases = cases();
    for case in &cases {
        let head = case.head(None);
        assert_eq!(head.layout().name(), case.layout, "{}", case.name);
        check(
            &case.name,
            case.detect(&head, ClassFilter::All),
            &case.expected,
        );
        let told = case.head(Layout::from_name(&case.layout));
        assert_eq!(told, head, "{}", case.name);
    }
    for layout in Layout::ALL {
        let is_tested = cases.iter().any(|case| case.layout == layout.name());
        assert!(is_tested, "{layout} has no fixture");
    }
}

#[test]
fn looking_for_one_class_is_looking_for_all_and_keeping_it() {
    for case in cases() {
        let head = case.head(None);
        for class in 0..3_u32 {
            let expected: Vec<[f32; 6]> = case
                .expected
                .iter()
                .filter(|row| row[5] as u32 == class)
                .copied()
                .collect();
            let found = case.detect(&head, ClassFilter::Only(vec![class]));
            check(&case.name, found, &expected);
        }
    }
}
