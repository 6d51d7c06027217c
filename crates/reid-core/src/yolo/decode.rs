//! From output tensors to boxes in pixels of the model's input. One pass, no allocation beyond the caller's buffer.

use super::{
    detection::{DecodeError, DecodeParams, Decoded, Detection, TensorView},
    families::{detr, fastestdet, mmdeploy, nanodet, suppressed, ultralytics, yolox},
    head::Head,
    layout::Layout,
    reader::Reader,
    sink::Sink,
};

/// Maximum number of boxes of a frame for suppression, highest scores first (Ultralytics' `max_nms`).
pub const MAX_CANDIDATES: usize = 30_000;

/// Coordinates that are all below this are fractions of the picture, not px.
const FRACTIONS_BELOW: f32 = 2.0;

impl Head {
    /// Replaces the content of `found` by the boxes in `outputs` (all of the model's, in its order) that pass. Their
    /// order is the model's; doubles are still there where [`Layout::needs_nms`]. NaN never passes.
    pub fn decode(
        &self,
        outputs: &[TensorView],
        params: &DecodeParams,
        found: &mut Vec<Detection>,
    ) -> Result<Decoded, DecodeError> {
        found.clear();
        let mut sink = Sink {
            params,
            found,
            seen: Decoded::default(),
        };
        let reader = Reader {
            head: self,
            outputs,
        };
        match self.layout {
            Layout::Yolov8 => ultralytics::decode_channels(&reader, &mut sink)?,
            Layout::Yolov8Transposed => ultralytics::decode_rows(&reader, &mut sink)?,
            Layout::Yolov5 => ultralytics::decode_objectness(&reader, &mut sink)?,
            Layout::EndToEnd => suppressed::decode_end_to_end(&reader, &mut sink)?,
            Layout::Yolox => yolox::decode(&reader, &mut sink)?,
            Layout::EmbeddedNms => suppressed::decode_embedded_nms(&reader, &mut sink)?,
            Layout::Detr => detr::decode(&reader, &mut sink)?,
            Layout::Mmdeploy => mmdeploy::decode(&reader, &mut sink)?,
            Layout::Nanodet => nanodet::decode(&reader, &mut sink)?,
            Layout::Fastestdet => fastestdet::decode(&reader, &mut sink)?,
        }
        let seen = sink.seen;
        keep_strongest(found, MAX_CANDIDATES);
        if are_fractions(&reader, found) {
            let (sx, sy) = (self.input_width as f32, self.input_height as f32);
            for detection in found.iter_mut() {
                detection.rect = detection.rect.scaled(sx, sy);
            }
            found.retain(|detection| detection.rect.is_valid());
        }
        Ok(seen)
    }
}

/// Some exports give boxes as fractions of the picture: DETR without `orig_target_sizes`, TensorFlow's. No detector has all
/// its boxes, found or not, in the first two pixels of the picture: coordinates that are all below 2 are fractions.
fn are_fractions(reader: &Reader<'_>, found: &[Detection]) -> bool {
    let is_below = |v: &f32| *v < FRACTIONS_BELOW;
    let ends = |d: &Detection| [d.rect.right(), d.rect.bottom()];
    if found.is_empty() || !found.iter().flat_map(ends).all(|end| is_below(&end)) {
        return false;
    }
    let Ok(table) = reader.table(0, 1) else {
        return false;
    };
    let rows = |from: usize| {
        let mut rows = table.iter();
        rows.all(|row| row.iter().skip(from).take(4).all(is_below))
    };
    match reader.head.layout {
        Layout::Yolov8 => table.iter().take(4).flatten().all(is_below),
        Layout::Yolov8Transposed
        | Layout::Yolov5
        | Layout::EndToEnd
        | Layout::Detr
        | Layout::Mmdeploy => rows(0),
        Layout::EmbeddedNms => rows(1),
        // Computed from the grid.
        Layout::Yolox | Layout::Nanodet | Layout::Fastestdet => false,
    }
}

/// Bounds what suppression has to look at.
fn keep_strongest(found: &mut Vec<Detection>, limit: usize) {
    if found.len() > limit {
        found.select_nth_unstable_by(limit, |a, b| b.score.total_cmp(&a.score));
        found.truncate(limit);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        geometry::Rect,
        yolo::{ClassFilter, Hints, OutputInfo, recognise},
    };

    const PERSON: [u32; 1] = [0];

    fn head(shape: &[usize], layout: Layout, size: usize) -> Head {
        let output = OutputInfo {
            name: "output".into(),
            dims: shape.iter().map(|&d| Some(d)).collect(),
            integer: false,
        };
        let hints = Hints {
            input_width: size,
            input_height: size,
            layout: Some(layout),
            ..Hints::default()
        };
        recognise(&[output], &hints).unwrap()
    }

    fn decode(
        head: &Head,
        shape: &[usize],
        data: &[f32],
        ids: &[u32],
    ) -> (Vec<Detection>, Decoded) {
        let classes = if ids.is_empty() {
            ClassFilter::All
        } else {
            ClassFilter::Only(ids.to_vec())
        };
        let params = DecodeParams {
            threshold: 0.25,
            classes: &classes,
        };
        let view = TensorView { shape, data };
        let mut found = Vec::new();
        let seen = head.decode(&[view], &params, &mut found).unwrap();
        (found, seen)
    }

    #[test]
    fn a_box_belongs_to_its_best_class_even_when_another_is_wanted() {
        // Two boxes, two classes, channel first: the first box is a better dog than person.
        #[rustfmt::skip]
        let data = [10.0, 20.0, 10.0, 20.0, 4.0, 4.0, 8.0, 8.0, 0.5, 0.6, 0.7, 0.1];
        let head = head(&[1, 6, 2], Layout::Yolov8, 32);
        let (found, seen) = decode(&head, &[1, 6, 2], &data, &PERSON);
        let person = Detection {
            rect: Rect::new(18.0, 16.0, 4.0, 8.0),
            score: 0.6,
            class_id: 0,
        };
        assert_eq!(found, [person]);
        assert_eq!(seen.best_score, Some(0.6));
        assert_eq!(decode(&head, &[1, 6, 2], &data, &[]).0.len(), 2);
        assert_eq!(decode(&head, &[1, 6, 2], &data, &[7]).0, []);
    }

    #[test]
    fn what_is_not_finite_is_dropped_and_counted() {
        let head = head(&[1, 2, 6], Layout::EndToEnd, 32);
        #[rustfmt::skip]
        let data = [
            0.0, 0.0, 5.0, 5.0, f32::NAN, 0.0,
            0.0, 0.0, f32::INFINITY, 5.0, 0.9, 0.0,
            0.0, 0.0, 5.0, 5.0, 7.0, 0.0,
            0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
        ];
        let (found, seen) = decode(&head, &[1, 4, 6], &data, &[]);
        assert_eq!(found, []);
        assert_eq!((seen.not_finite, seen.implausible), (2, 1));
        let nan = vec![f32::NAN; 6 * 84];
        let v8 = super::tests::head(&[1, 6, 84], Layout::Yolov8, 64);
        let (found, seen) = decode(&v8, &[1, 6, 84], &nan, &PERSON);
        assert_eq!(found, []);
        assert_eq!(
            seen,
            Decoded {
                best_score: None,
                not_finite: 84,
                ..Decoded::default()
            }
        );
    }

    #[test]
    fn boxes_given_as_fractions_are_found_where_they_are() {
        let expected = Rect::new(16.0, 8.0, 8.0, 32.0);
        let [x, y, w, h] = [0.25, 0.125, 0.125, 0.5];
        let centred = [x + w / 2.0, y + h / 2.0, w, h];
        let corners = [x, y, x + w, y + h];
        let with = |head: &[f32], tail: &[f32]| [head, tail].concat();
        let cases = [
            (Layout::Yolov8, with(&centred, &[0.9])),
            (Layout::Yolov8Transposed, with(&centred, &[0.9])),
            (Layout::Yolov5, with(&centred, &[0.9, 1.0])),
            (Layout::EndToEnd, with(&corners, &[0.9, 0.0])),
            (
                Layout::EmbeddedNms,
                with(&[0.0], &with(&corners, &[7.0, 0.9])),
            ),
        ];
        for (layout, row) in cases {
            // Rows of which the first alone is a box.
            let (n, columns) = (84, row.len());
            let mut data = vec![0.0; n * columns];
            for (i, v) in row.iter().enumerate() {
                let is_first = layout == Layout::Yolov8;
                data[if is_first { i * n } else { i }] = *v;
            }
            let shape = match layout {
                Layout::Yolov8 => vec![1, columns, n],
                Layout::EmbeddedNms => vec![n, columns],
                _ => vec![1, n, columns],
            };
            let head = head(&shape, layout, 64);
            let (found, _) = decode(&head, &shape, &data, &[]);
            assert_eq!(found.len(), 1, "{layout}");
            assert_eq!(found[0].rect, expected, "{layout}");
            // One box elsewhere, found or not, and all are px.
            let far = match layout {
                Layout::Yolov8 => n - 1,
                _ => data.len() - columns + 1,
            };
            data[far] = 63.0;
            let (found, _) = decode(&head, &shape, &data, &[]);
            assert!(found[0].rect.right() < 1.0, "{layout}");
        }
    }

    #[test]
    fn all_zero_scores_are_seen_as_zero() {
        let head = head(&[1, 5, 84], Layout::Yolov8, 64);
        let (found, seen) = decode(&head, &[1, 5, 84], &[0.0; 5 * 84], &PERSON);
        assert_eq!(found, []);
        assert_eq!(seen.best_score, Some(0.0));
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let head = head(&[1, 6, 84], Layout::Yolov8, 64);
        let classes = ClassFilter::All;
        let params = DecodeParams {
            threshold: 0.25,
            classes: &classes,
        };
        let data = [0.0; 6 * 84];
        let cases: [(&[usize], &[f32]); 4] = [
            (&[1, 6, 85], &data),
            (&[1, 5, 84], &data[..5 * 84]),
            (&[2, 6, 42], &data),
            (&[504], &data),
        ];
        for (shape, data) in cases {
            let view = TensorView { shape, data };
            let result = head.decode(&[view], &params, &mut Vec::new());
            assert!(
                matches!(result, Err(DecodeError::Shape { .. })),
                "{shape:?}"
            );
        }
        let none = head.decode(&[], &params, &mut Vec::new());
        assert!(matches!(none, Err(DecodeError::Missing { .. })));
    }

    #[test]
    fn the_strongest_candidates_are_kept() {
        let mut found: Vec<Detection> = (0..100)
            .map(|i| Detection {
                rect: Rect::new(0.0, 0.0, 1.0, 1.0),
                score: (i * 37 % 100) as f32 / 100.0,
                class_id: 0,
            })
            .collect();
        keep_strongest(&mut found, 10);
        assert_eq!(found.len(), 10);
        assert!(found.iter().all(|d| d.score > 0.895));
    }

    /// Numbers that models give when all is well, and when it is not.
    fn number() -> impl Strategy<Value = f32> {
        prop_oneof![
            4 => 0.0f32..1.0,
            2 => -100.0f32..100.0,
            1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::MIN, f32::MAX, -1.0]),
        ]
    }

    fn tensor() -> impl Strategy<Value = (Vec<usize>, Vec<f32>, bool)> {
        let length =
            prop_oneof![2 => 0usize..9, 1 => prop::sample::select(vec![1usize, 16, 21, 63])];
        let shape = prop::collection::vec(length, 1..=4);
        let is_small = |shape: &Vec<usize>| shape.iter().product::<usize>() <= 1024;
        let shape = shape.prop_filter("too many numbers for a quick test", is_small);
        shape.prop_flat_map(|shape| {
            let numbers = shape.iter().product::<usize>();
            let data = prop::collection::vec(number(), numbers);
            (Just(shape), data, any::<bool>())
        })
    }

    proptest! {
        /// Whatever comes out of a model: an answer or an error, boxes that are boxes, never a panic.
        #[test]
        fn no_output_is_too_strange(
            tensors in prop::collection::vec(tensor(), 1..4),
            layout in prop::option::of(prop::sample::select(Layout::ALL.to_vec())),
            classes in prop::option::of(0usize..5),
            side in prop::sample::select(vec![0usize, 1, 32, 33, 64]),
        ) {
            let infos: Vec<OutputInfo> = tensors
                .iter()
                .map(|(shape, _, integer)| OutputInfo {
                    name: "labels".into(),
                    dims: shape.iter().map(|&n| Some(n)).collect(),
                    integer: *integer,
                })
                .collect();
            let hints = Hints { input_width: side, input_height: 32, classes, layout, ..Hints::default() };
            let Ok(head) = recognise(&infos, &hints) else { return Ok(()) };
            let views: Vec<TensorView> = tensors
                .iter()
                .map(|(shape, data, _)| TensorView { shape, data })
                .collect();
            for filter in [ClassFilter::All, ClassFilter::Only(vec![0, 3, 1_000_000])] {
                let params = DecodeParams { threshold: 0.3, classes: &filter };
                let mut found = Vec::new();
                // Shapes may also change between recognising and decoding.
                for views in [&views[..], &views[1..]] {
                    if head.decode(views, &params, &mut found).is_ok() {
                        prop_assert!(found.iter().all(|d| d.rect.is_valid() && (0.3..=1.0).contains(&d.score)));
                        prop_assert!(found.iter().all(|d| filter.wants(d.class_id)));
                    }
                }
            }
        }
    }
}
