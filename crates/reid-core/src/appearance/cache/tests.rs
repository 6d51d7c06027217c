//! Boxes that come, stay, cross and go, and when they get new vectors.

use super::*;
use crate::embedding::ModelFingerprint;

fn vector(number: f32) -> Embedding {
    Embedding::normalised(&[1.0, number], ModelFingerprint(1)).unwrap()
}

/// One frame: decides, makes vectors where needed, remembers. Returns which boxes got a new one.
fn frame(cache: &mut EmbeddingCache, rects: &[Rect], interval: u32) -> Vec<bool> {
    let boxes: Vec<Candidate> = rects.iter().map(|rect| sure(*rect)).collect();
    frame_of(cache, &boxes, Rule::Every(interval), 0)
}

fn sure(rect: Rect) -> Candidate {
    Candidate {
        rect,
        confidence: 0.9,
        quality: 0.5,
    }
}

fn frame_of(cache: &mut EmbeddingCache, boxes: &[Candidate], rule: Rule, now_ns: u64) -> Vec<bool> {
    cache.next_frame();
    let decisions = cache.decide(boxes, rule, now_ns);
    let number = cache.frame as f32;
    let vectors: Vec<_> = decisions
        .iter()
        .map(|decision| match decision {
            Decision::Keep(embedding) => Some(embedding.clone()),
            Decision::Embed => Some(vector(number)),
            Decision::Wait => None,
        })
        .collect();
    cache.remember(boxes, &decisions, &vectors, rule, now_ns);
    decisions.iter().map(|d| *d == Decision::Embed).collect()
}

fn person(x: f32) -> Rect {
    Rect::new(x, 0.0, 40.0, 100.0)
}

#[test]
fn a_crowd_that_appears_at_once_is_embedded_over_some_frames() {
    let mut cache = EmbeddingCache::default();
    let crowd: Vec<Candidate> = (0..20)
        .map(|i| Candidate {
            quality: i as f32 / 20.0,
            ..sure(person(i as f32 * 100.0))
        })
        .collect();
    let mut next = |n: u64| frame_of(&mut cache, &crowd, Rule::Adaptive, n * 40_000_000);
    let count = |made: &[bool]| made.iter().filter(|made| **made).count();
    let first = next(0);
    // The best crops first.
    assert_eq!(first, (0..20).map(|i| i >= 12).collect::<Vec<_>>());
    assert_eq!(
        next(1),
        (0..20).map(|i| (4..12).contains(&i)).collect::<Vec<_>>()
    );
    let third = next(2);
    assert!(third[..4].iter().all(|made| *made), "{third:?}");
    // Everybody has their turn again, and no frame has more than its share.
    let mut turns = [0; 20];
    for n in 3..60 {
        let made = next(n);
        assert!(count(&made) <= BUDGET);
        for (turns, made) in turns.iter_mut().zip(made) {
            *turns += u32::from(made);
        }
    }
    assert!(turns.iter().all(|&n| n >= 5), "{turns:?}");
}

#[test]
fn a_walking_person_is_embedded_every_so_many_frames() {
    let mut cache = EmbeddingCache::default();
    let made: Vec<bool> = (0..10)
        .map(|i| frame(&mut cache, &[person(i as f32 * 3.0)], 4)[0])
        .collect();
    let expected = [0, 4, 8].map(|i| i as usize);
    for (i, made) in made.into_iter().enumerate() {
        assert_eq!(made, expected.contains(&i), "frame {i}");
    }
}

#[test]
fn an_interval_of_one_is_every_frame() {
    let mut cache = EmbeddingCache::default();
    assert!((0..5).all(|_| frame(&mut cache, &[person(0.0)], 1)[0]));
}

#[test]
fn a_crowd_is_embedded_in_turns() {
    let mut cache = EmbeddingCache::default();
    let crowd: Vec<Rect> = (0..8).map(|i| person(i as f32 * 100.0)).collect();
    assert!(frame(&mut cache, &crowd, 4).iter().all(|made| *made));
    let counts: Vec<usize> = (0..8)
        .map(|_| {
            frame(&mut cache, &crowd, 4)
                .iter()
                .filter(|made| **made)
                .count()
        })
        .collect();
    assert_eq!(counts, [2; 8]);
}

#[test]
fn the_longest_interval_is_divided_among_a_crowd() {
    let mut cache = EmbeddingCache::default();
    let crowd: Vec<Rect> = (0..8).map(|i| person(i as f32 * 100.0)).collect();
    assert!(frame(&mut cache, &crowd, u32::MAX).iter().all(|made| *made));
    assert!(frame(&mut cache, &crowd, u32::MAX).iter().all(|made| !made));
}

#[test]
fn jumps_newcomers_and_overlaps_are_embedded() {
    let mut cache = EmbeddingCache::default();
    assert_eq!(frame(&mut cache, &[person(0.0)], 100), [true]);
    assert_eq!(
        frame(&mut cache, &[person(2.0), person(200.0)], 100),
        [false, true]
    );
    // Another person stands so near that the boxes may be exchanged.
    assert_eq!(
        frame(&mut cache, &[person(180.0), person(200.0)], 100),
        [true, true]
    );
    assert_eq!(frame(&mut cache, &[person(500.0)], 100), [true]);
}

#[test]
fn a_box_missed_for_a_moment_is_continued_but_not_for_long() {
    let mut cache = EmbeddingCache::default();
    frame(&mut cache, &[person(0.0)], 100);
    frame(&mut cache, &[], 100);
    assert_eq!(frame(&mut cache, &[person(0.0)], 100), [false]);
    for _ in 0..=MEMORY_FRAMES {
        frame(&mut cache, &[], 100);
    }
    assert_eq!(frame(&mut cache, &[person(0.0)], 100), [true]);
    cache.clear();
    assert_eq!(frame(&mut cache, &[person(0.0)], 100), [true]);
}

#[test]
fn a_refused_vector_is_tried_again() {
    let mut cache = EmbeddingCache::default();
    cache.next_frame();
    let boxes = [sure(person(0.0))];
    let decisions = cache.decide(&boxes, Rule::Every(100), 0);
    cache.remember(&boxes, &decisions, &[None], Rule::Every(100), 0);
    assert_eq!(frame(&mut cache, &[person(0.0)], 100), [true]);
}

const MS: u64 = 1_000_000;

/// At which of so many frames, 40 ms apart, a person got a vector.
fn adaptive(frames: u64, mut seen: impl FnMut(&mut EmbeddingCache, u64) -> Candidate) -> Vec<u64> {
    let mut cache = EmbeddingCache::default();
    (0..frames)
        .filter(|&n| {
            let seen = seen(&mut cache, n);
            frame_of(&mut cache, &[seen], Rule::Adaptive, n * 40 * MS)[0]
        })
        .collect()
}

#[test]
fn somebody_who_walks_on_is_embedded_less_and_less() {
    let made = adaptive(100, |_, n| sure(person(n as f32)));
    assert_eq!(made, [0, 3, 8, 13, 21, 29, 37, 50, 63, 88]);
}

#[test]
fn a_better_crop_another_shape_and_a_request_are_worth_a_vector() {
    let better = adaptive(80, |_, n| Candidate {
        quality: if n < 70 { 0.5 } else { 0.7 },
        ..sure(person(0.0))
    });
    assert_eq!(better, [0, 3, 8, 13, 21, 29, 37, 50, 63, 70]);
    let turned = adaptive(80, |_, n| {
        let width = if n < 70 { 40.0 } else { 60.0 };
        sure(Rect::new(0.0, 0.0, width, 100.0))
    });
    assert_eq!(turned, [0, 3, 8, 13, 21, 29, 37, 50, 63, 70]);
    let asked = adaptive(80, |cache, n| {
        if n == 60 {
            cache.ask(&person(5.0));
            cache.ask(&person(500.0));
        }
        sure(person(0.0))
    });
    assert_eq!(asked, [0, 3, 8, 13, 21, 29, 37, 50, 60]);
}

#[test]
fn people_who_cross_are_embedded_until_they_are_apart() {
    let mut cache = EmbeddingCache::default();
    let mut made = Vec::new();
    for n in 0..100_u64 {
        let x = n as f32 * 2.0;
        let boxes = [sure(person(100.0)), sure(person(x))];
        let new = frame_of(&mut cache, &boxes, Rule::Adaptive, n * 40 * MS);
        if new[0] {
            made.push(n);
        }
    }
    let crossing = made.iter().filter(|n| (40..=61).contains(*n)).count();
    assert!(crossing >= 4, "{made:?}");
    assert!(made.len() < 20, "{made:?}");
}

#[test]
fn a_box_that_flickers_is_not_embedded() {
    let mut cache = EmbeddingCache::default();
    let weak = Candidate {
        confidence: 0.3,
        ..sure(person(0.0))
    };
    assert_eq!(frame_of(&mut cache, &[weak], Rule::Adaptive, 0), [false]);
    let again = frame_of(&mut cache, &[weak], Rule::Adaptive, 40 * MS);
    assert_eq!(again, [true]);
    // A clock that runs backwards does not keep an old vector for ever.
    let back = frame_of(&mut cache, &[weak], Rule::Adaptive, 0);
    assert_eq!(back, [true]);
}
