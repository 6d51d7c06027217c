//! What is learnt of scores, and from how many.

use super::*;
use crate::calibration::Spread;

#[test]
fn models_of_any_range_end_up_on_one_scale() {
    // Mean of impostor scores, their spread, mean of genuine scores; MATRIX, true boxes.
    for (mean, spread, own) in [
        (0.345, 0.131, 0.732),
        (0.424, 0.132, 0.738),
        (0.652, 0.089, 0.818),
    ] {
        let mut scale = ScoreScale::default();
        for i in 0..500 {
            let swing = if i % 2 == 0 { spread } else { -spread };
            scale.add_impostors(mean + swing);
            scale.add_genuine(own);
        }
        assert!((scale.impostor_mean() - mean).abs() < 0.01);
        assert!((scale.impostor_spread() - spread).abs() < 0.01);
        assert!((scale.deviations(mean + 2.0 * spread) - 2.0).abs() < 0.2);
        assert!((scale.position(own) - 1.0).abs() < 0.05);
    }
}

#[test]
fn a_model_that_sees_no_difference_says_nothing() {
    let mut scale = ScoreScale::default();
    for _ in 0..1000 {
        scale.add_impostors(0.99);
        scale.add_genuine(0.995);
    }
    assert_eq!(scale.position(0.995), 0.0);
}

#[test]
fn only_what_is_known_can_contradict() {
    let mut scale = ScoreScale::default();
    assert!(!scale.contradicts(-1.0));
    for i in 0..200 {
        let swing = if i % 2 == 0 { 0.05 } else { -0.05 };
        scale.add_impostors(0.1 + swing);
        scale.add_genuine(0.85 + swing);
    }
    assert!(scale.contradicts(0.2));
    assert!(!scale.contradicts(0.5));
    // An embedder that scatters widely contradicts nobody by so little.
    for i in 0..2000 {
        scale.add_genuine(if i % 2 == 0 { 0.2 } else { 0.9 });
    }
    assert!(!scale.contradicts(0.2));
}

#[test]
fn what_is_no_number_is_not_learnt() {
    let mut scale = ScoreScale::default();
    scale.add_impostors(f32::NAN);
    scale.add_genuine(f32::INFINITY);
    assert_eq!(scale, ScoreScale::default());
}

#[test]
fn likeness_across_cameras_is_learnt_and_never_believed_to_be_complete() {
    let mut scale = ScoreScale::default();
    for _ in 0..500 {
        scale.add_impostors(0.3);
        scale.add_genuine(0.9);
    }
    assert!((scale.across() - 0.55).abs() < 1e-6);
    (0..100).for_each(|_| scale.add_across(0.3 + 0.7 * 0.6));
    assert!((scale.across() - 0.68).abs() < 0.05, "{}", scale.across());
    (0..2000).for_each(|_| scale.add_across(0.99));
    scale.add_across(f32::NAN);
    assert!((scale.across() - 0.85).abs() < 1e-6);
}

#[test]
fn the_tail_of_impostor_scores_is_learnt() {
    for (width, shape) in [(0.5, 0.0001), (0.8, -0.05), (0.7, -0.25)] {
        let mut scale = ScoreScale::default();
        let mut state = 7_u32;
        for _ in 0..6000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let chance = ((state >> 8) as f32 + 0.5) / (1 << 24) as f32;
            // Nine of ten lie evenly below where the tail of the tenth begins.
            let deviations = if chance < 0.9 {
                -1.6 + 2.88 * chance / 0.9
            } else {
                let rarer = 0.1 / (1.0 - chance);
                1.28 + width / shape * (rarer.powf(shape) - 1.0)
            };
            scale.add_impostors(0.3 + 0.1 * deviations);
        }
        let tail = scale.tail();
        let truth = Tail {
            scale: width,
            shape,
        };
        for part in [0.05, 0.01, 0.003] {
            let (found, real) = (tail.height(part), truth.height(part));
            assert!((found - real).abs() < 0.35, "{tail:?}: {found}, {real}");
            assert!((tail.log_above(found) - part.ln()).abs() < 1e-3);
        }
    }
}

#[test]
fn a_tail_goes_on_falling_beyond_its_end() {
    let tail = Tail {
        scale: 0.6,
        shape: -0.3,
    };
    let heights = (0..80).map(|h| 1.28 + 0.1 * h as f32);
    let parts: Vec<f32> = heights.map(|h| tail.log_above(h)).collect();
    assert!(parts.windows(2).all(|p| p[1] < p[0] && p[1].is_finite()));
    assert!((parts[0] - IN_TAIL.ln()).abs() < 1e-6);
    let mut scale = ScoreScale::default();
    let before = scale.tail();
    (0..5).for_each(|_| scale.add_impostors(0.9));
    assert_eq!(scale.tail(), before, "too few to tell");
}

#[test]
fn memory_fades() {
    let mut scale = ScoreScale::default();
    for _ in 0..5000 {
        scale.add_impostors(0.2);
    }
    for _ in 0..20_000 {
        scale.add_impostors(0.6);
    }
    assert!((scale.impostor_mean() - 0.6).abs() < 0.01);
    assert!(scale.impostor_spread() < 0.08);
}

#[test]
fn a_prior_of_the_model_is_where_the_scale_begins_and_is_outweighed() {
    let spread = |mean, deviation| Spread { mean, deviation };
    let pictures = Calibration {
        impostor: spread(0.6, 0.1),
        genuine: spread(0.8, 0.1),
    };
    let visits = Calibration {
        impostor: spread(0.1, 0.1),
        genuine: spread(0.4, 0.15),
    };
    let prior = ScorePrior::new(&pictures, Some(&visits));
    let mut scale = ScoreScale::new(prior);
    assert!(scale.is_untaught() && scale != ScoreScale::default());
    assert!((scale.impostor_mean() - 0.6).abs() < 1e-6);
    assert_eq!(scale.visit_impostors(), (0.1, 0.1));
    assert_eq!(scale.visit_genuine(), (0.4, 0.15));
    for i in 0..2000 {
        scale.add_impostors(0.2);
        scale.add_visit_impostors(if i % 2 == 0 { -0.15 } else { 0.05 }, 1.0);
    }
    assert!(!scale.is_untaught());
    assert!((scale.impostor_mean() - 0.2).abs() < 0.01);
    assert!((scale.visit_impostors().0 + 0.05).abs() < 0.02, "{scale:?}");
    // Labelled pictures flatter: people score no more with themselves than is usual.
    let flattering = Calibration {
        genuine: spread(0.7, 0.1),
        ..visits
    };
    let prior = ScorePrior::new(&pictures, Some(&flattering));
    assert_eq!(prior.visit_genuine, ScorePrior::default().visit_genuine);
}

#[test]
fn what_was_learnt_is_stored_without_the_prior() {
    let mut learnt = ScoreScale::new(ScorePrior {
        impostor_mean: 0.7,
        ..ScorePrior::default()
    });
    learnt.add_impostors(0.3);
    let stored = serde_json::to_string(&learnt).unwrap();
    assert!(!stored.contains("prior"), "{stored}");
    let read: ScoreScale = serde_json::from_str(&stored).unwrap();
    let mut other = ScoreScale::new(ScorePrior {
        impostor_mean: 0.7,
        ..ScorePrior::default()
    });
    other.take_over(&read);
    assert_eq!(other, learnt);
}

#[test]
fn scales_that_were_kept_under_the_former_names_are_read() {
    let mut scale = ScoreScale::default();
    scale.add_impostors(0.3);
    scale.add_genuine(0.8);
    let kept = serde_json::to_string(&scale).unwrap();
    assert!(kept.contains("impostors") && kept.contains("genuine"));
    let former = kept
        .replace("\"impostors\"", "\"strangers\"")
        .replace("\"genuine\"", "\"selves\"");
    assert_eq!(serde_json::from_str::<ScoreScale>(&former).unwrap(), scale);
}
