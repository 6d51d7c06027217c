//! Non-maximum suppression: of overlapping boxes of one class, the one with the highest score is kept.

use super::Detection;

/// Removes from `detections` every box that overlaps a stronger one of its own class by more than `iou_threshold`, and
/// leaves the `limit` strongest, strongest first. Equal scores keep their order, so that the result is the same on every
/// run. Greedy, as in the reference implementations; scores must be finite.
pub fn nms(detections: &mut Vec<Detection>, iou_threshold: f32, limit: usize) {
    // Stable: ties stay as the model gave them.
    detections.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept = 0;
    for i in 0..detections.len() {
        if kept == limit {
            break;
        }
        let candidate = detections[i];
        let is_double = detections[..kept].iter().any(|k| {
            k.class_id == candidate.class_id && k.rect.iou(&candidate.rect) > iou_threshold
        });
        if !is_double {
            detections[kept] = candidate;
            kept += 1;
        }
    }
    detections.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;
    use proptest::prelude::*;

    fn detection(x: f32, score: f32, class_id: u32) -> Detection {
        Detection {
            rect: Rect::new(x, 0.0, 10.0, 10.0),
            score,
            class_id,
        }
    }

    fn check(input: &[Detection], limit: usize, expected: &[Detection]) {
        let mut boxes = input.to_vec();
        nms(&mut boxes, 0.45, limit);
        assert_eq!(boxes, expected);
    }

    #[test]
    fn the_strongest_of_each_class_stays() {
        let (weak, strong) = (detection(1.0, 0.5, 0), detection(0.0, 0.9, 0));
        let (other_class, apart) = (detection(0.0, 0.6, 1), detection(50.0, 0.3, 0));
        check(
            &[weak, strong, other_class, apart],
            10,
            &[strong, other_class, apart],
        );
        check(&[weak, strong, other_class, apart], 1, &[strong]);
        check(&[weak, strong], 0, &[]);
        check(&[], 10, &[]);
    }

    #[test]
    fn a_suppressed_box_suppresses_nothing() {
        let chain = [
            detection(0.0, 0.9, 0),
            detection(3.0, 0.8, 0),
            detection(6.0, 0.7, 0),
        ];
        check(&chain, 10, &[chain[0], chain[2]]);
    }

    proptest! {
        /// Against the definition: kept boxes do not overlap, every other overlaps a kept one at least as strong.
        #[test]
        fn agrees_with_the_definition(boxes in prop::collection::vec((0.0f32..40.0, 0.0f32..1.0, 0u32..2), 0..40)) {
            let all: Vec<_> = boxes.iter().map(|&(x, s, c)| detection(x, s, c)).collect();
            let mut kept = all.clone();
            nms(&mut kept, 0.45, usize::MAX);
            let doubles = |a: &Detection, b: &Detection| a.class_id == b.class_id && a.rect.iou(&b.rect) > 0.45;
            for (i, a) in kept.iter().enumerate() {
                prop_assert!(kept[..i].iter().all(|b| b.score >= a.score && !doubles(a, b)));
            }
            for a in &all {
                prop_assert!(kept.iter().any(|k| k == a || (k.score >= a.score && doubles(k, a))));
            }
        }
    }
}
