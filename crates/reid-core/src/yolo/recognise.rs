//! Recognises the layout of a model's outputs, from their shapes and names and from hints.

use super::{
    families::{detr, fastestdet, mmdeploy, nanodet, suppressed, ultralytics, yolox},
    head::{Head, STRIDES},
    layout::{Hints, Layout, LayoutError, OutputInfo},
    outputs::{Outputs, Table},
};

/// Boxes a cell that v5 and v7 predict (their anchors).
const ANCHORS: usize = 3;

/// Classes of COCO: what a model without names most often has.
const COCO_CLASSES: usize = 80;

/// Reads the layout from the outputs' shapes and names and from what else is known. `outputs` are all of the model's, in
/// its order. A layout asked for by [`Hints::layout`] is checked, not guessed.
pub fn recognise(outputs: &[OutputInfo], hints: &Hints) -> Result<Head, LayoutError> {
    if outputs.is_empty() {
        return Err(LayoutError::NoOutputs);
    }
    if let Some(task) = hints.task.as_deref()
        && matches!(task, "classify" | "obb" | "embed" | "semantic")
    {
        return Err(LayoutError::Task(task.into()));
    }
    let outputs = Outputs {
        all: outputs,
        hints,
    };
    match hints.layout {
        Some(layout) => outputs.fit(layout).map_err(|reason| LayoutError::Mismatch {
            layout,
            outputs: outputs.describe(),
            reason,
        }),
        None => outputs.guess(),
    }
}

impl Outputs<'_> {
    /// The layout that fits without being told.
    fn guess(&self) -> Result<Head, LayoutError> {
        for layout in [Layout::Nanodet, Layout::Detr, Layout::Mmdeploy] {
            if let Ok(head) = self.fit(layout) {
                return Ok(head);
            }
        }
        if self.all.len() == 1 {
            for layout in [Layout::Fastestdet, Layout::EmbeddedNms] {
                if let Ok(head) = self.fit(layout) {
                    return Ok(head);
                }
            }
        }
        let candidates = self.table_candidates();
        match candidates[..] {
            [layout] => self.fit(layout).map_err(|_| self.unknown()),
            [] => Err(self.misnamed().unwrap_or_else(|| self.unknown())),
            _ => Err(LayoutError::Ambiguous {
                outputs: self.describe(),
                candidates: candidates
                    .iter()
                    .map(|l| l.name())
                    .collect::<Vec<_>>()
                    .join(" or "),
            }),
        }
    }

    /// The error for a model that would be understood but for the number of classes named.
    fn misnamed(&self) -> Option<LayoutError> {
        let named = self.hints.classes?;
        let hints = Hints {
            classes: None,
            ..self.hints.clone()
        };
        let nameless = Outputs {
            all: self.all,
            hints: &hints,
        };
        let found = nameless.guess().ok()?.classes?;
        Some(LayoutError::Classes {
            named,
            found,
            outputs: self.describe(),
        })
    }

    fn unknown(&self) -> LayoutError {
        LayoutError::Unknown {
            outputs: self.describe(),
            width: self.hints.input_width,
            height: self.hints.input_height,
        }
    }

    /// Layouts of one table `[1, a, b]` that agree with the grid, the number of classes and the metadata.
    fn table_candidates(&self) -> Vec<Layout> {
        let Some(Table { a, b, .. }) = self.table() else {
            return Vec::new();
        };
        if self.hints.end2end == Some(true) {
            return vec![Layout::EndToEnd];
        }
        let mut found = Vec::new();
        if self.is_grid(b, 1) && a.is_none_or(|a| self.class_count(a, 4).is_ok()) {
            found.push(Layout::Yolov8);
        }
        if self.is_grid(a, ANCHORS) && b.is_some_and(|b| self.class_count(b, 5).is_ok()) {
            found.push(Layout::Yolov5);
        }
        if self.is_grid(a, 1) {
            found.extend(self.row_grid_candidates(b));
        }
        if found.is_empty() {
            found = self.off_grid_candidates(a, b);
        }
        found
    }

    /// One row a cell: YOLOX (5+C columns) or a transposed v8 (4+C).
    fn row_grid_candidates(&self, columns: Option<usize>) -> Vec<Layout> {
        let cells = self.grid_cells(STRIDES);
        let yolox = self.table().is_some_and(|t| t.a == cells);
        match (columns, self.hints.classes) {
            // One class, by the grid's own count: DESIGN §5. A transposed v8 of two classes has metadata.
            (Some(6), None) if yolox => vec![Layout::Yolox],
            (Some(5), None) => vec![Layout::Yolov8Transposed],
            (Some(c), None) if c == 5 + COCO_CLASSES && yolox => vec![Layout::Yolox],
            (Some(c), None) if c == 4 + COCO_CLASSES => vec![Layout::Yolov8Transposed],
            (Some(c), Some(classes)) if c == 5 + classes && yolox => vec![Layout::Yolox],
            (Some(c), Some(_)) if self.class_count(c, 4).is_ok() => vec![Layout::Yolov8Transposed],
            (Some(c), None) if c > 6 => vec![Layout::Yolov8Transposed, Layout::Yolox],
            _ => Vec::new(),
        }
    }

    /// Rows that no known grid explains: suppressed boxes, or a head of unusual strides whose classes are named.
    fn off_grid_candidates(&self, a: Option<usize>, b: Option<usize>) -> Vec<Layout> {
        if b.is_some_and(|columns| suppressed::are_suppressed(self, columns)) {
            return vec![Layout::EndToEnd];
        }
        let (Some(a), Some(b), Some(classes)) = (a, b, self.hints.classes) else {
            return Vec::new();
        };
        match () {
            () if a == 4 + classes && b > a => vec![Layout::Yolov8],
            () if b == 4 + classes && a > b => vec![Layout::Yolov8Transposed],
            () if b == 5 + classes && a > b => vec![Layout::Yolov5],
            () => Vec::new(),
        }
    }

    /// Checks one layout against the outputs; the error is the reason.
    fn fit(&self, layout: Layout) -> Result<Head, String> {
        match layout {
            Layout::Yolov8 => ultralytics::fit(self, layout, 4, |t| t.a),
            Layout::Yolov8Transposed => ultralytics::fit(self, layout, 4, |t| t.b),
            Layout::Yolov5 => ultralytics::fit(self, layout, 5, |t| t.b),
            Layout::Yolox => yolox::fit(self),
            Layout::EndToEnd => suppressed::fit_end_to_end(self),
            Layout::EmbeddedNms => suppressed::fit_embedded_nms(self),
            Layout::Detr => detr::fit(self),
            Layout::Mmdeploy => mmdeploy::fit(self),
            Layout::Nanodet => nanodet::fit(self),
            Layout::Fastestdet => fastestdet::fit(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(name: &str, dims: &[usize]) -> OutputInfo {
        OutputInfo {
            name: name.into(),
            dims: dims.iter().map(|&d| (d > 0).then_some(d)).collect(),
            integer: name.contains("labels"),
        }
    }

    fn hints(size: usize, classes: Option<usize>) -> Hints {
        Hints {
            input_width: size,
            input_height: size,
            classes,
            ..Hints::default()
        }
    }

    type Shapes<'a> = &'a [(&'a str, &'a [usize])];

    fn infos(outputs: Shapes) -> Vec<OutputInfo> {
        outputs
            .iter()
            .map(|(name, dims)| output(name, dims))
            .collect()
    }

    /// A layout and the number of its classes.
    type Expected = (Layout, Option<usize>);

    /// 0 is an unknown length.
    fn check(outputs: Shapes, hints: &Hints, expected: Expected) {
        let head = recognise(&infos(outputs), hints).unwrap_or_else(|e| panic!("{outputs:?}: {e}"));
        assert_eq!((head.layout, head.classes), expected, "{outputs:?}");
    }

    #[test]
    fn shapes_of_published_models() {
        use Layout::*;
        let cases: &[(Shapes, Hints, Expected)] = &[
            (
                &[("output0", &[1, 84, 8400])],
                hints(640, Some(80)),
                (Yolov8, Some(80)),
            ),
            (
                &[("output0", &[1, 84, 8400])],
                hints(640, None),
                (Yolov8, Some(80)),
            ),
            (
                &[("output0", &[1, 84, 2100])],
                hints(320, Some(80)),
                (Yolov8, Some(80)),
            ),
            (
                &[("output0", &[1, 5, 8400])],
                hints(640, Some(1)),
                (Yolov8, Some(1)),
            ),
            (
                &[("output0", &[1, 5, 8400])],
                hints(640, None),
                (Yolov8, Some(1)),
            ),
            (
                &[("output0", &[1, 8400, 84])],
                hints(640, None),
                (Yolov8Transposed, Some(80)),
            ),
            (
                &[("output0", &[1, 8400, 5])],
                hints(640, None),
                (Yolov8Transposed, Some(1)),
            ),
            (
                &[("output0", &[1, 8400, 6])],
                hints(640, Some(2)),
                (Yolov8Transposed, Some(2)),
            ),
            (
                &[("output0", &[1, 300, 6])],
                hints(640, None),
                (EndToEnd, None),
            ),
            (
                &[("output0", &[1, 300, 57])],
                hints(640, None),
                (EndToEnd, None),
            ),
            (
                &[("output0", &[1, 300, 38]), ("output1", &[1, 32, 160, 160])],
                hints(640, None),
                (EndToEnd, None),
            ),
            (
                &[("output0", &[1, 300, 38]), ("output1", &[1, 32, 160, 160])],
                hints(640, Some(80)),
                (EndToEnd, Some(80)),
            ),
            (
                &[("output", &[1, 25200, 85])],
                hints(640, None),
                (Yolov5, Some(80)),
            ),
            (
                &[("output", &[1, 25200, 6])],
                hints(640, None),
                (Yolov5, Some(1)),
            ),
            (
                &[("output", &[1, 3549, 85])],
                hints(416, None),
                (Yolox, Some(80)),
            ),
            (
                &[("output", &[1, 756, 6])],
                hints(192, None),
                (Yolox, Some(1)),
            ),
            (
                &[("output", &[0, 7])],
                hints(640, Some(80)),
                (EmbeddedNms, Some(80)),
            ),
            (
                &[("734", &[1, 85, 22, 22])],
                hints(352, None),
                (Fastestdet, Some(80)),
            ),
            (
                &[("output0", &[1, 116, 2100]), ("output1", &[1, 32, 80, 80])],
                hints(320, None),
                (Yolov8, Some(80)),
            ),
            (
                &[
                    ("output0", &[1, 117, 25200]),
                    ("output1", &[1, 32, 160, 160]),
                ],
                Hints {
                    layout: Some(Yolov8),
                    ..hints(640, None)
                },
                (Yolov8, Some(81)),
            ),
            (
                &[("labels", &[0]), ("boxes", &[0, 0]), ("scores", &[0])],
                hints(320, None),
                (Detr, None),
            ),
            (
                &[
                    ("labels", &[0, 0]),
                    ("boxes", &[0, 0, 4]),
                    ("scores", &[0, 0]),
                ],
                hints(416, None),
                (Detr, None),
            ),
            (
                &[("dets", &[0, 0, 0]), ("labels", &[0, 0])],
                hints(640, None),
                (Mmdeploy, None),
            ),
            (
                &[("labels", &[1, 100]), ("x", &[1, 100, 5])],
                hints(640, None),
                (Mmdeploy, None),
            ),
            (
                &[
                    ("cls_pred_stride_8", &[1, 2704, 80]),
                    ("cls_pred_stride_16", &[1, 676, 80]),
                    ("cls_pred_stride_32", &[1, 169, 80]),
                    ("dis_pred_stride_8", &[1, 2704, 32]),
                    ("dis_pred_stride_16", &[1, 676, 32]),
                    ("dis_pred_stride_32", &[1, 169, 32]),
                ],
                hints(416, None),
                (Nanodet, Some(80)),
            ),
        ];
        for (outputs, hints, expected) in cases {
            check(outputs, hints, *expected);
        }
    }

    #[test]
    fn metadata_decides_where_shapes_cannot() {
        let hints = |end2end, task: Option<&str>, classes| Hints {
            end2end,
            task: task.map(Into::into),
            ..hints(192, classes)
        };
        let grid: Shapes = &[("output", &[1, 756, 6])];
        check(
            grid,
            &hints(Some(true), None, None),
            (Layout::EndToEnd, None),
        );
        check(
            grid,
            &hints(Some(false), None, Some(1)),
            (Layout::Yolox, Some(1)),
        );
        let masks: Shapes = &[("o", &[1, 300, 38]), ("p", &[1, 32, 48, 48])];
        check(
            masks,
            &hints(Some(true), Some("segment"), Some(80)),
            (Layout::EndToEnd, Some(80)),
        );
        // Key points of another kind are only known from metadata, or from whoever sets the layout.
        let hands: Shapes = &[("o", &[1, 300, 69])];
        check(
            hands,
            &hints(Some(true), Some("pose"), Some(1)),
            (Layout::EndToEnd, Some(1)),
        );
        let told = Hints {
            layout: Some(Layout::EndToEnd),
            ..hints(None, None, None)
        };
        check(hands, &told, (Layout::EndToEnd, None));
        check(masks, &told, (Layout::EndToEnd, None));
        let pose: Shapes = &[("o", &[1, 56, 756])];
        check(
            pose,
            &hints(None, Some("pose"), Some(1)),
            (Layout::Yolov8, Some(1)),
        );
    }

    #[test]
    fn doubt_is_an_error_that_names_the_property() {
        let cases: &[(Shapes, Hints)] = &[
            (&[("output", &[1, 3549, 25])], hints(416, None)),
            (&[("output", &[1, 3549, 25])], hints(416, Some(3))),
            (&[("output", &[1, 1000])], hints(224, None)),
            (&[("output", &[1, 0, 0])], hints(640, None)),
            (&[("output", &[4, 84, 8400])], hints(640, None)),
            (&[("output", &[1, 84, 8400])], hints(640, Some(20))),
            (
                &[("output", &[1, 84, 8400])],
                Hints {
                    layout: Some(Layout::Yolox),
                    ..hints(640, None)
                },
            ),
            (
                &[("output", &[1, 84, 8400])],
                Hints {
                    layout: Some(Layout::Detr),
                    ..hints(640, None)
                },
            ),
        ];
        for (outputs, hints) in cases {
            let error = recognise(&infos(outputs), hints).expect_err("must be refused");
            assert!(
                error.to_string().contains("`layout`"),
                "{outputs:?}: {error}"
            );
        }
        assert_eq!(
            recognise(&[], &hints(640, None)),
            Err(LayoutError::NoOutputs)
        );
        let obb = Hints {
            task: Some("obb".into()),
            ..hints(640, None)
        };
        assert_eq!(
            recognise(&infos(&[("o", &[1, 20, 8400])]), &obb),
            Err(LayoutError::Task("obb".into()))
        );
    }
}
