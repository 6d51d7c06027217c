//! Lines of JSON, and ids that change later.

use super::*;

fn line(ms: u64, track: u32, id: i64, previous: &[u32]) -> String {
    format!(
        r#"{{"timestamp":{},"objects":[{{"x":10,"y":20,"w":30,"h":40,"reid":{{"global_id":{id},"track_id":{track},"camera":"door","previous_ids":{previous:?}}}}}]}}"#,
        ms * 1_000_000
    )
}

fn parse(lines: &[String]) -> Published {
    Published::parse(&lines.join("\n"), Some(25.0)).unwrap()
}

fn ids(boxes: &[LabelledBox]) -> Vec<u32> {
    boxes.iter().map(|b| b.id).collect()
}

fn gone(from: u32, into: u32) -> Merge {
    Merge { from, into }
}

#[test]
fn lines_become_boxes_of_frames() {
    let published = parse(&[line(0, 1, 5, &[]), String::new(), line(200, 1, 5, &[])]);
    let frames: Vec<u32> = published.as_given().iter().map(|b| b.frame).collect();
    assert_eq!(frames, [1, 6]);
    assert_eq!(published.boxes[0].rect, Rect::new(10.0, 20.0, 30.0, 40.0));
    // The line's own number comes first, and needs no rate.
    let numbered = line(200, 1, 5, &[]).replacen('{', r#"{"frame":7,"#, 1);
    let published = Published::parse(&numbered, None).unwrap();
    assert_eq!(
        (published.boxes[0].frame, published.boxes[0].time_s),
        (7, 0.2)
    );
}

#[test]
fn who_has_no_id_is_passed_over() {
    let detected = r#"{"timestamp":0,"objects":[{"x":1,"y":2,"w":3,"h":4}]}"#;
    let published = parse(&[detected.into(), line(0, 1, -1, &[]), line(0, 1, 0, &[])]);
    assert_eq!(published.boxes, []);
}

#[test]
fn corrected_ids_are_the_last_of_a_track_with_merges_followed() {
    let door = parse(&[
        line(0, 1, 5, &[]),
        line(40, 1, 6, &[]),
        line(80, 2, 7, &[]),
        line(120, 3, 8, &[7]),
    ]);
    let corrections = Corrections::new(std::slice::from_ref(&door), [gone(8, 2)]);
    // Track 1 ends as 6; 7 was merged into 8 by a later line, and 8 into 2 by the gallery.
    assert_eq!(ids(&corrections.apply(&door)), [6, 6, 2, 2]);
    assert_eq!(ids(&door.as_given()), [5, 6, 7, 8]);
}

#[test]
fn events_change_ids_after_the_last_line() {
    let events = [
        r#"{"event":"merged","from":5,"into":4}"#,
        r#"{"event":"corrected","camera":"door","track":2,"from":7,"into":9}"#,
        r#"{"event":"split","from":4,"into":11}"#,
        r#"{"event":"lost","id":3}"#,
    ];
    let lines = [line(0, 1, 5, &[]), line(40, 2, 7, &[])];
    let door = parse(&[&lines[..], &events.map(String::from)].concat());
    let corrections = Corrections::new(std::slice::from_ref(&door), []);
    assert_eq!(ids(&corrections.apply(&door)), [4, 9]);
}

#[test]
fn merges_in_a_circle_end() {
    let door = parse(&[line(0, 1, 5, &[])]);
    let circle = [gone(5, 6), gone(6, 5)];
    let corrections = Corrections::new(&[], circle);
    assert_eq!(ids(&corrections.apply(&door)), [5]);
}

#[test]
fn steadiness_by_hand() {
    // Track 1: 5, 5, 6, 6: one change, final from 0.08 s on. Track 2: 7 throughout, merged into 8 after its end.
    // Track 3: final at once. Track 4 is not looked at.
    let door = parse(&[
        line(0, 1, 5, &[]),
        line(40, 1, 5, &[]),
        line(80, 1, 6, &[]),
        line(120, 1, 6, &[]),
        line(160, 2, 7, &[]),
        line(200, 3, 8, &[7]),
        line(200, 4, 1, &[]),
        line(240, 4, 2, &[]),
    ]);
    let corrected = Corrections::new(std::slice::from_ref(&door), []).apply(&door);
    let watched = |tracks: &BTreeSet<u32>| {
        steadiness(&[Watched {
            published: &door,
            corrected: &corrected,
            tracks,
        }])
    };
    let scores = watched(&BTreeSet::from([1, 2, 3]));
    assert_eq!(
        (scores.tracks, scores.changes, scores.changed_tracks),
        (3, 1, 1)
    );
    assert!((scores.changes_per_track - 1.0 / 3.0).abs() < 1e-12);
    assert_eq!(scores.final_after_median_s, Some(0.08));
    assert_eq!((scores.final_after_end, scores.final_after_95_s), (1, None));
    let scores = watched(&BTreeSet::from([3]));
    assert_eq!(scores.final_after_95_s, Some(0.0));
    assert_eq!(watched(&BTreeSet::new()), SteadinessScores::default());
}

#[test]
fn errors_name_the_line_and_what_is_wrong_with_it() {
    let untimed = line(0, 1, 5, &[]).replace("\"timestamp\":0", "\"timestamp\":null");
    let flat = line(0, 1, 5, &[]).replace("\"w\":30", "\"w\":-30");
    for (text, rate, expected) in [
        (
            "1,1,0,0,9,9",
            Some(25.0),
            "line 1: not a line of reidpublish",
        ),
        (
            &*untimed,
            Some(25.0),
            "line 1: it has neither a frame number nor a timestamp",
        ),
        (
            &*line(0, 1, 5, &[]),
            None,
            "line 1: it has no frame number or no timestamp; the frame rate",
        ),
        (&*flat, Some(25.0), "line 1: a box of -30 x 40 px"),
        (
            "\n{\"event\":\"merged\",\"from\":5}",
            None,
            "line 2: an event 'merged'",
        ),
    ] {
        let error = Published::parse(text, rate).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
}
