//! Small cases whose scores are worked out by hand, and laws that hold for every result. Agreement with the reference
//! programs on real data is tested in `tests/scoring.rs`.

use proptest::prelude::*;

use super::*;
use crate::geometry::Rect;

/// A box of 10 × 10 px at `x`; two of them `d` px apart overlap by (10 - d) / (10 + d).
fn at(frame: u32, id: u32, x: f32) -> LabelledBox {
    LabelledBox {
        frame,
        id,
        rect: Rect::new(x, 0.0, 10.0, 10.0),
        confidence: 1.0,
    }
}

fn check(name: &str, got: f64, expected: f64) {
    assert!(
        (got - expected).abs() < 1e-9,
        "{name}: {got} instead of {expected}"
    );
}

fn score(truth: &[LabelledBox], result: &[LabelledBox]) -> CameraScores {
    score_camera(View { truth, result })
}

#[test]
fn a_track_cut_in_two() {
    // One person, four frames, found exactly, under id 1 for three frames and then id 2.
    let truth: Vec<_> = (1..=4).map(|frame| at(frame, 7, 0.0)).collect();
    let result = [at(1, 1, 0.0), at(2, 1, 0.0), at(3, 1, 0.0), at(4, 2, 0.0)];
    let s = score(&truth, &result);
    // Person and id 1 share 3 of 4 boxes, person and id 2 share 1 of 4: AssA = (3 * 3/4 + 1 * 1/4) / 4 = 0.625.
    check("DetA", s.hota.detection, 1.0);
    check("AssA", s.hota.association, 0.625);
    check("HOTA", s.hota.hota, 0.625_f64.sqrt());
    check("LocA", s.hota.localisation, 1.0);
    // The best single id is right in 3 of 4 boxes.
    check("IDF1", s.identity.f1, 0.75);
    assert_eq!(
        (s.identity.right, s.identity.wrong, s.identity.missed),
        (3, 1, 1)
    );
    // One switch among four boxes.
    check("MOTA", s.clear.accuracy, 0.75);
    assert_eq!((s.clear.switches, s.clear.fragments), (1, 0));
}

#[test]
fn a_gap_and_a_false_box() {
    // One person, four frames; missed in the second one, where a box far away is found instead.
    let truth: Vec<_> = (1..=4).map(|frame| at(frame, 1, 0.0)).collect();
    let result = [at(1, 5, 0.0), at(2, 6, 50.0), at(3, 5, 0.0), at(4, 5, 0.0)];
    let s = score(&truth, &result);
    // 3 matched, 1 missed, 1 false: DetA = 3/5. Person (4 boxes) and id 5 (3 boxes) share 3: AssA = 3/4.
    check("DetA", s.hota.detection, 0.6);
    check("AssA", s.hota.association, 0.75);
    // IDF1 = 2 * 3 / (4 + 4), MOTA = 1 - (1 + 1) / 4, one gap that ended.
    check("IDF1", s.identity.f1, 0.75);
    check("MOTA", s.clear.accuracy, 0.5);
    assert_eq!((s.clear.misses, s.clear.false_positives), (1, 1));
    assert_eq!((s.clear.switches, s.clear.fragments), (0, 1));
}

#[test]
fn a_box_beside_the_truth_counts_up_to_its_overlap() {
    // 2.5 px apart: overlap 7.5 / 12.5 = 0.6, reached by the alphas 0.05 … 0.60, which are 12 of 19.
    let s = score(&[at(1, 1, 0.0)], &[at(1, 1, 2.5)]);
    check("HOTA", s.hota.hota, 12.0 / 19.0);
    // LocA is 0.6 where it matches and 1 where nothing does.
    check("LocA", s.hota.localisation, (12.0 * 0.6 + 7.0) / 19.0);
    check("MOTP", s.clear.overlap, 0.6);
    // 4 px apart: overlap 6 / 14, below a half: one missed and one false box.
    let s = score(&[at(1, 1, 0.0)], &[at(1, 1, 4.0)]);
    check("IDF1", s.identity.f1, 0.0);
    check("MOTA", s.clear.accuracy, -1.0);
}

#[test]
fn who_was_followed_stays_matched_where_a_neighbour_is_nearer() {
    // In frame 2 the box of id 1 is 2 px off (overlap 2/3) and a new id 2 lies exactly on the person: CLEAR keeps id 1
    // and calls id 2 false. HOTA's bonus keeps it, too: id 1 shares both frames with the person.
    let truth = [at(1, 1, 0.0), at(2, 1, 0.0)];
    let result = [at(1, 1, 0.0), at(2, 1, 2.0), at(2, 2, 0.0)];
    let s = score(&truth, &result);
    assert_eq!((s.clear.switches, s.clear.false_positives), (0, 1));
    check("MOTA", s.clear.accuracy, 0.5);
    check("IDR", s.identity.recall, 1.0);
    check("IDP", s.identity.precision, 2.0 / 3.0);
}

#[test]
fn nothing_there_and_nothing_found() {
    let boxes = [at(1, 1, 0.0)];
    let missed = score(&boxes, &[]);
    check("HOTA", missed.hota.hota, 0.0);
    check("MOTA", missed.clear.accuracy, 0.0);
    assert_eq!((missed.clear.misses, missed.identity.missed), (1, 1));
    let invented = score(&[], &boxes);
    assert_eq!(
        (invented.clear.false_positives, invented.identity.wrong),
        (1, 1)
    );
    check("IDF1", invented.identity.f1, 0.0);
    check("HOTA", score(&[], &[]).hota.hota, 0.0);
}

#[test]
fn one_person_under_two_numbers_in_two_cameras() {
    // Two people, two cameras, two frames each. Person 1 is number 1 in both, person 2 is number 2 and then 3.
    let both = |a: u32, b: u32| [at(1, a, 0.0), at(1, b, 50.0), at(2, a, 0.0), at(2, b, 50.0)];
    let (truth, door, hall) = (both(1, 2), both(1, 2), both(1, 3));
    let views = [
        View {
            truth: &truth,
            result: &door,
        },
        View {
            truth: &truth,
            result: &hall,
        },
    ];
    let s = score_cameras(&views);
    // Right are 4 boxes of person 1 and 2 of person 2, of 8 and 8.
    check("IDF1", s.identity.f1, 0.75);
    // Pairs of boxes across the cameras that show one person: 2 * 2 each, of which person 1's carry one id.
    assert_eq!(s.cross_camera.precision, Some(1.0));
    assert_eq!(s.cross_camera.recall, Some(0.5));
    // Within each camera everything is right: no switch although the cameras follow one another in the timeline.
    assert_eq!((s.clear.switches, s.clear.accuracy), (0, 1.0));
}

#[test]
fn two_people_under_one_number_in_two_cameras() {
    // The cameras show different people and give both the number 1.
    let (a, b, one) = ([at(1, 1, 0.0)], [at(1, 2, 0.0)], [at(1, 1, 0.0)]);
    let s = score_cameras(&[
        View {
            truth: &a,
            result: &one,
        },
        View {
            truth: &b,
            result: &one,
        },
    ]);
    assert_eq!(s.cross_camera.precision, Some(0.0));
    assert_eq!(s.cross_camera.recall, None, "nobody was in two cameras");
    check("IDF1", s.identity.f1, 0.5);
}

#[test]
fn retrieval_by_hand() {
    let known = |person, camera| Label {
        person: Person::Known(person),
        camera,
    };
    let queries = [known(1, 1), known(2, 1), known(9, 1)];
    let gallery = [
        known(1, 1), // query 1's own camera: left out
        Label {
            person: Person::Junk,
            camera: 2,
        }, // left out
        Label {
            person: Person::Distractor,
            camera: 2,
        }, // always wrong
        known(1, 2),
        known(2, 2),
        known(1, 3),
    ];
    let rows: [[f32; 6]; 3] = [
        // Ranking without what is left out: distractor, 1, 2, 1: AP = (1/2 + 2/4) / 2 = 0.5, first match at rank 2.
        [0.99, 0.98, 0.9, 0.8, 0.7, 0.6],
        // Ranking: 2 first: AP 1.
        [0.1, 0.9, 0.2, 0.3, 0.8, 0.4],
        // Nobody of person 9 is in the gallery: does not count.
        [0.0; 6],
    ];
    let s = retrieval(&queries, &gallery, |q, row| row.copy_from_slice(&rows[q]));
    check("mAP", s.mean_ap, 0.75);
    check("rank-1", s.rank1, 0.5);
    check("rank-5", s.rank5, 1.0);
    assert_eq!(s.queries, 2);
}

fn found(x: f32, score: f32) -> Found {
    Found {
        rect: Rect::new(x, 0.0, 10.0, 100.0),
        score,
    }
}

#[test]
fn detection_by_hand() {
    // Two people. The surest box is right, the second one is false, the third is right again.
    let picture = Picture {
        truth: vec![
            Rect::new(0.0, 0.0, 10.0, 100.0),
            Rect::new(50.0, 0.0, 10.0, 100.0),
        ],
        found: vec![found(50.0, 0.5), found(0.0, 0.9), found(90.0, 0.7)],
        ..Picture::default()
    };
    // Precision is 1 up to recall 1/2 (points 0.00 … 0.50: 51) and 2/3 beyond (50 points).
    let expected = (51.0 + 50.0 * 2.0 / 3.0) / 101.0;
    let s = average_precision(std::slice::from_ref(&picture), &HeightClass::ALL, COCO_MOST);
    check("AP50", s.ap50.unwrap(), expected);
    check("AP50-95", s.ap50_95.unwrap(), expected);
    // Only the surest box counts: precision 1 up to recall 1/2.
    let s = average_precision(std::slice::from_ref(&picture), &HeightClass::ALL, 1);
    check("AP50 of one box", s.ap50.unwrap(), 51.0 / 101.0);
    let curve = ScoreCurve::new(std::slice::from_ref(&picture), &HeightClass::ALL);
    check("recall at 0.6", curve.at(0.6).recall, 0.5);
    check("precision at 0.6", curve.at(0.6).precision, 0.5);
    // F1: 2/3 at 0.9, 1/2 at 0.7, 4/5 at 0.5.
    let best = curve.best().unwrap();
    assert_eq!(best.threshold, 0.5);
    check("best F1", best.f1, 0.8);
}

#[test]
fn heights_outside_the_class_neither_help_nor_hurt() {
    let tall = Rect::new(0.0, 0.0, 40.0, 100.0);
    let picture = Picture {
        truth: vec![tall, Rect::new(100.0, 0.0, 10.0, 40.0)],
        found: vec![
            Found {
                rect: tall,
                score: 0.9,
            },
            Found {
                rect: Rect::new(300.0, 0.0, 40.0, 100.0),
                score: 0.8,
            },
            Found {
                rect: Rect::new(100.0, 0.0, 10.0, 40.0),
                score: 0.7,
            },
        ],
        ..Picture::default()
    };
    let pictures = [picture];
    let ap = |class: &HeightClass| average_precision(&pictures, class, COCO_MOST).ap50;
    assert_eq!(ap(&HEIGHT_CLASSES[3]), None, "nobody is that tall");
    assert_eq!(ap(&HEIGHT_CLASSES[1]), Some(1.0), "neither tall box counts");
    assert_eq!(
        ap(&HEIGHT_CLASSES[2]),
        Some(1.0),
        "the false box comes after full recall"
    );
}

/// Tracks of a few people over a few frames, some boxes missing.
fn tracks() -> impl Strategy<Value = Vec<LabelledBox>> {
    proptest::collection::btree_map((1_u32..8, 1_u32..6), 0.0_f32..60.0, 1..30).prop_map(|boxes| {
        boxes
            .into_iter()
            .map(|((frame, id), x)| at(frame, id, x))
            .collect()
    })
}

proptest! {
    #[test]
    fn the_truth_itself_scores_one(truth in tracks()) {
        let s = score(&truth, &truth);
        // Two people on the very same place cannot be told apart by their boxes; random places never coincide.
        check("HOTA", s.hota.hota, 1.0);
        check("IDF1", s.identity.f1, 1.0);
        check("MOTA", s.clear.accuracy, 1.0);
        prop_assert_eq!((s.clear.switches, s.clear.fragments), (0, 0));
    }

    #[test]
    fn names_do_not_matter(truth in tracks(), result in tracks(), shift in 1_u32..1000) {
        let renamed: Vec<_> =
            result.iter().map(|b| LabelledBox { id: (b.id * 7 + shift) % 1009, ..*b }).collect();
        let (a, b) = (score(&truth, &result), score(&truth, &renamed));
        check("HOTA", a.hota.hota, b.hota.hota);
        check("IDF1", a.identity.f1, b.identity.f1);
        check("MOTA", a.clear.accuracy, b.clear.accuracy);
    }

    #[test]
    fn scores_stay_in_their_range(truth in tracks(), result in tracks()) {
        let s = score(&truth, &result);
        for value in [s.hota.hota, s.hota.detection, s.hota.association, s.hota.localisation, s.identity.f1, s.clear.overlap] {
            prop_assert!((0.0..=1.0).contains(&value), "{s:?}");
        }
        prop_assert!(s.clear.accuracy <= 1.0);
        prop_assert_eq!(s.identity.right + s.identity.missed, truth.len() as u64);
        prop_assert_eq!(s.identity.right + s.identity.wrong, result.len() as u64);
    }

    #[test]
    fn one_camera_scores_the_same_alone_and_as_the_only_view(truth in tracks(), result in tracks()) {
        let view = View { truth: &truth, result: &result };
        let (alone, only) = (score_camera(view), score_cameras(&[view]));
        prop_assert_eq!(alone.hota, only.hota);
        prop_assert_eq!(alone.identity, only.identity);
        prop_assert_eq!(only.cross_camera, CrossCameraScores::default());
    }

    #[test]
    fn the_right_order_retrieves_everything(people in proptest::collection::vec(0_u32..4, 1..40)) {
        let gallery: Vec<_> = people.iter().map(|&p| Label { person: Person::Known(p), camera: 2 }).collect();
        let queries: Vec<_> = (0..4).map(|p| Label { person: Person::Known(p), camera: 1 }).collect();
        let s = retrieval(&queries, &gallery, |q, row| {
            for (value, &p) in row.iter_mut().zip(&people) {
                *value = if p == q as u32 { 0.9 } else { 0.1 };
            }
        });
        prop_assert_eq!((s.mean_ap, s.rank1), (1.0, 1.0));
    }
}
