//! Lines as other programs read them.

use super::*;
use crate::{
    embedding::{Embedding, ModelFingerprint},
    person::{IdentityId, IdentityState, Seen, Track, TrackId},
};

const FRAME: FrameFacts<'_> = FrameFacts {
    width: 640,
    height: 480,
    timestamp_ns: Some(1_500_000_000),
    utc_ns: None,
    gallery_ns: Some(9_500_000_000),
    source: "cam\"0",
    camera: "door",
};

fn detected(x: f32) -> Person {
    Person::detected(Rect::new(x, 120.25, 64.0, 240.5), 0.9, "person".into(), 0)
}

fn tracked(x: f32, state: TrackState, identity: Option<u32>) -> Person {
    let mut person = detected(x);
    person.track = Some(Track {
        id: TrackId(4),
        state,
        unseen_ns: 0,
        age_ns: 0,
    });
    person.identity = identity.map(|id| Identity {
        id: IdentityId(id),
        state: IdentityState::Matched,
        score: 0.75,
        margin: 0.125,
        evidence: Some(Seen {
            camera: "hall".into(),
            time_ns: 9_400_000_000,
        }),
        previous: [IdentityId(9), IdentityId(11)].into(),
        name: None,
    });
    person
}

#[test]
fn json_holds_what_the_design_names() {
    let person = tracked(32.0, TrackState::Confirmed, Some(17));
    let expected = concat!(
        r#"{"resolution":{"width":640,"height":480},"source":"cam\"0","timestamp":1500000000,"tags":{},"objects":["#,
        r#"{"x":32,"y":120,"w":64,"h":241,"id":17,"roi_type":"person","detection":{"bounding_box":"#,
        r#"{"x_min":0.05,"y_min":0.250521,"x_max":0.15,"y_max":0.751562},"confidence":0.9,"label_id":0,"label":"person"},"#,
        r#""reid":{"global_id":17,"track_id":4,"state":"matched","score":0.75,"margin":0.125,"camera":"door","previous_ids":[9,11],"evidence":{"camera":"hall","time":1400000000}}}]}"#
    );
    assert_eq!(
        json_line(&FRAME, &[person], false, true).as_deref(),
        Some(expected)
    );
}

#[test]
fn what_is_followed_without_an_identity_has_its_track() {
    let written = |identity| {
        let person = tracked(32.0, TrackState::Confirmed, identity);
        let line = json_line(&FRAME, &[person], false, false).unwrap();
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        line["objects"][0].clone()
    };
    let car = written(None);
    assert_eq!((&car["track_id"], car.get("reid")), (&4.into(), None));
    let person = written(Some(17));
    assert_eq!(person.get("track_id"), None);
    assert_eq!(person["reid"]["track_id"], 4);
}

#[test]
fn evidence_is_told_on_the_clock_of_the_line() {
    let time = |timestamp_ns, gallery_ns| {
        let frame = FrameFacts {
            timestamp_ns,
            gallery_ns,
            ..FRAME
        };
        evidence_ns(&frame, 500)
    };
    assert_eq!(time(Some(100), Some(520)), Some(80));
    assert_eq!(time(Some(100), Some(5_500)), Some(-4_900));
    assert_eq!(time(None, Some(520)), None);
    assert_eq!(time(Some(100), None), None);
    // Another camera is ahead: nobody was seen in the future.
    assert_eq!(time(Some(100), Some(400)), None);
}

#[test]
fn time_goes_on_from_file_to_file() {
    let mut line = Timeline::default();
    line.cut();
    assert_eq!(line.time_ns(5, 0), 5);
    assert_eq!(line.time_ns(15, 10), 15);
    // The second of two files.
    line.cut();
    assert_eq!(line.time_ns(0, 20), 25);
    assert_eq!(line.time_ns(10, 30), 35);
    // The third, and a gap in it.
    line.cut();
    assert_eq!(line.time_ns(0, 40), 45);
    assert_eq!(line.time_ns(100, 140), 145);
    // The same segment told again.
    line.cut();
    assert_eq!(line.time_ns(110, 150), 155);
    assert_eq!(Timeline::default().time_ns(7, 9), 7);
}

#[test]
fn moments_are_written_as_rfc_3339() {
    for (seconds, expected) in [
        (0, "1970-01-01T00:00:00.000000Z"),
        (951_782_399, "2000-02-28T23:59:59.000000Z"),
        (951_782_400, "2000-02-29T00:00:00.000000Z"),
        (1_796_012_783, "2026-11-30T04:26:23.000000Z"),
        (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
    ] {
        assert_eq!(rfc3339(seconds * 1_000_000_000), expected);
    }
    assert!(rfc3339(1_234_567_891).ends_with(":01.234567Z"));
    let frame = FrameFacts {
        utc_ns: Some(0),
        ..FRAME
    };
    let line = json_line(&frame, &[], true, false).unwrap();
    assert!(line.contains(r#""timestamp":1500000000,"utc":"1970-01-01T00:00:00.000000Z","tags""#));
}

#[test]
fn json_says_who_was_not_seen() {
    let mut person = tracked(32.0, TrackState::Confirmed, Some(17));
    if let Some(track) = &mut person.track {
        track.unseen_ns = 40_000_000;
    }
    let line = json_line(&FRAME, &[person], false, false).unwrap();
    assert!(line.contains(r#""track_id":4,"unseen_ns":40000000,"state":"matched""#));
}

#[test]
fn detections_without_tracker_are_written_and_tentative_people_are_not() {
    let people = [
        detected(10.0),
        tracked(20.0, TrackState::Tentative, None),
        tracked(30.0, TrackState::Confirmed, Some(2)),
    ];
    assert_eq!(
        mot_lines(7, &people),
        "7,-1,10.00,120.25,64.00,240.50,0.9000,-1,-1,-1\n7,2,30.00,120.25,64.00,240.50,0.9000,-1,-1,-1\n"
    );
    let json: serde_json::Value =
        serde_json::from_str(&json_line(&FRAME, &people, false, false).unwrap()).unwrap();
    let objects = json["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 2);
    assert!(objects[0].get("id").is_none() && objects[0].get("reid").is_none());
    assert_eq!(objects[1]["id"], 2);
}

#[test]
fn empty_frames_are_written_when_asked_for() {
    let frame = FrameFacts {
        timestamp_ns: None,
        source: "a",
        ..FRAME
    };
    assert_eq!(json_line(&frame, &[], false, false), None);
    assert_eq!(
        json_line(&frame, &[], true, false).as_deref(),
        Some(
            r#"{"resolution":{"width":640,"height":480},"source":"a","timestamp":null,"tags":{},"objects":[]}"#
        )
    );
    let tentative = [tracked(20.0, TrackState::Tentative, None)];
    assert_eq!(json_line(&frame, &tentative, false, false), None);
    assert_eq!(mot_lines(1, &tentative), "");
}

#[test]
fn a_change_is_a_line_of_its_own() {
    let merged = Change {
        event: "merged",
        from: 7,
        into: 3,
        camera: None,
        track_id: None,
        source: "door",
        timestamp: 5,
        utc_ns: None,
    };
    let line = r#"{"event":"merged","from":7,"into":3,"source":"door","timestamp":5}"#;
    assert_eq!(change_line(&merged).as_deref(), Some(line));
    let corrected = Change {
        event: "corrected",
        camera: Some("hall"),
        track_id: Some(2),
        ..merged
    };
    let line = change_line(&corrected).unwrap();
    assert!(line.contains(r#""camera":"hall","track_id":2"#), "{line}");
}

#[test]
fn vectors_are_written_only_when_asked_for_and_boxes_that_are_none_never() {
    let mut person = detected(10.0);
    person.embedding = Embedding::normalised(&[3.0, 4.0], ModelFingerprint(0xabc)).ok();
    assert!(
        !json_line(&FRAME, &[person.clone()], false, false)
            .unwrap()
            .contains("embedding")
    );
    assert!(
        json_line(&FRAME, &[person], false, true)
            .unwrap()
            .ends_with(r#""embedding":{"model":"0000000000000abc","values":[0.6,0.8]}}]}"#)
    );
    let bad = [detected(f32::NAN), detected(f32::INFINITY)];
    assert_eq!(json_line(&FRAME, &bad, false, false), None);
    assert_eq!(mot_lines(1, &bad), "");
}

#[test]
fn deepstream_reads_frame_sensor_and_a_text_for_each_person() {
    let mut car = detected(300.5);
    car.label = "car|van".into();
    let people = [
        tracked(32.0, TrackState::Confirmed, Some(17)),
        tracked(200.0, TrackState::Tentative, None),
        detected(100.0),
        car,
    ];
    let expected = concat!(
        r#"{"version":"4.0","id":41,"@timestamp":"2026-11-30T03:46:23.123Z","sensorId":"door","objects":["#,
        r#""17|32|120.25|96|360.75|person|#||||||0.9","-1|100|120.25|164|360.75|person|#||||||0.9","#,
        r#""-1|300.5|120.25|364.5|360.75|car van"]}"#
    );
    let frame = FrameFacts {
        utc_ns: Some(1_796_010_383_123_456_789),
        ..FRAME
    };
    assert_eq!(
        deepstream_line(41, &frame, &people, false).as_deref(),
        Some(expected)
    );
    assert_eq!(deepstream_line(41, &frame, &[], false), None);
    // A file has no date.
    let empty = deepstream_line(0, &FRAME, &[], true).unwrap();
    assert!(
        empty.contains(r#""@timestamp":"1970-01-01T00:00:01.500Z""#),
        "{empty}"
    );
}
