//! What is known of a frame as a line of text: JSON for programs, MOT for scoring.
//!
//! The JSON is a superset of what Intel DL Streamer's `gvametaconvert` writes. Both formats leave out tentative people,
//! who carry no number yet; detections that no tracker has seen are written as they are.

use serde::Serialize;

use super::{
    geometry::Rect,
    person::{Identity, Person, TrackState},
};

/// What is known of a frame besides the people in it.
#[derive(Clone, Copy, Debug)]
pub struct FrameFacts<'a> {
    /// px
    pub width: u32,
    /// px
    pub height: u32,
    /// When it is shown, ns of the stream; `None` when nobody knows.
    pub timestamp_ns: Option<u64>,
    /// Where it comes from: a stream's id.
    pub source: &'a str,
    /// The camera's name.
    pub camera: &'a str,
}

/// Written people: all whom no tracker has seen, and of the tracked those who are confirmed.
fn published(people: &[Person]) -> impl Iterator<Item = &Person> {
    people.iter().filter(|person| {
        let tentative = person
            .track
            .is_some_and(|track| track.state == TrackState::Tentative);
        !tentative && person.rect.is_valid()
    })
}

#[derive(Serialize)]
struct Line<'a> {
    resolution: Resolution,
    source: &'a str,
    timestamp: Option<u64>,
    tags: Tags,
    objects: Vec<Object<'a>>,
}

#[derive(Serialize)]
struct Resolution {
    width: u32,
    height: u32,
}

/// DL Streamer's user-defined tags; we have none.
#[derive(Serialize)]
struct Tags {}

#[derive(Serialize)]
struct Object<'a> {
    x: i64,
    y: i64,
    w: i64,
    h: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u32>,
    roi_type: &'a str,
    detection: Detection<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reid: Option<Reid<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding: Option<Vector<'a>>,
}

#[derive(Serialize)]
struct Detection<'a> {
    bounding_box: Corners,
    confidence: f64,
    label_id: i32,
    label: &'a str,
}

#[derive(Serialize)]
struct Corners {
    x_min: f64,
    y_min: f64,
    x_max: f64,
    y_max: f64,
}

#[derive(Serialize)]
struct Reid<'a> {
    global_id: u32,
    track_id: u32,
    /// Only of whom the detector did not see in this frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    unseen_ns: Option<u64>,
    state: &'static str,
    score: f64,
    margin: f64,
    camera: &'a str,
    previous_ids: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

/// Where and when the person had been seen that a track was taken for.
#[derive(Serialize)]
struct Evidence<'a> {
    camera: &'a str,
    /// ns
    time: u64,
}

#[derive(Serialize)]
struct Vector<'a> {
    /// The fingerprint of the model that made it.
    model: String,
    values: &'a [f32],
}

/// One line of JSON without its end. `None` when nobody is in it and `add_empty` is off.
pub fn json_line(
    frame: &FrameFacts<'_>,
    people: &[Person],
    add_empty: bool,
    add_embeddings: bool,
) -> Option<String> {
    let objects: Vec<Object<'_>> = published(people)
        .filter_map(|person| object(frame, person, add_embeddings))
        .collect();
    if objects.is_empty() && !add_empty {
        return None;
    }
    let line = Line {
        resolution: Resolution {
            width: frame.width,
            height: frame.height,
        },
        source: frame.source,
        timestamp: frame.timestamp_ns,
        tags: Tags {},
        objects,
    };
    // Plain structures of numbers and text always serialise.
    serde_json::to_string(&line).ok()
}

fn object<'a>(
    frame: &FrameFacts<'a>,
    person: &'a Person,
    add_embeddings: bool,
) -> Option<Object<'a>> {
    let (width, height) = (frame.width as f32, frame.height as f32);
    let Rect { x, y, w, h } = person.rect.clipped(width, height)?;
    let part = |v: f32, of: f32| tidy(v / of).clamp(0.0, 1.0);
    let (left, top) = (x.round() as i64, y.round() as i64);
    Some(Object {
        x: left,
        y: top,
        w: (((x + w).round() as i64) - left).max(1),
        h: (((y + h).round() as i64) - top).max(1),
        id: person.identity.as_ref().map(|identity| identity.id.0),
        roi_type: &person.label,
        detection: Detection {
            bounding_box: Corners {
                x_min: part(x, width),
                y_min: part(y, height),
                x_max: part(x + w, width),
                y_max: part(y + h, height),
            },
            confidence: tidy(person.confidence),
            label_id: person.label_id,
            label: &person.label,
        },
        reid: person
            .identity
            .as_ref()
            .map(|identity| reid(frame, person, identity)),
        embedding: person
            .embedding
            .as_ref()
            .filter(|_| add_embeddings)
            .map(|embedding| Vector {
                model: format!("{:016x}", embedding.model().0),
                values: embedding.values(),
            }),
    })
}

fn reid<'a>(frame: &FrameFacts<'a>, person: &Person, identity: &'a Identity) -> Reid<'a> {
    Reid {
        global_id: identity.id.0,
        track_id: person.track.map_or(0, |track| track.id.0),
        unseen_ns: Some(person.unseen_ns()).filter(|&ns| ns > 0),
        state: identity.state.as_str(),
        score: tidy(identity.score),
        margin: tidy(identity.margin),
        camera: frame.camera,
        previous_ids: identity.previous.iter().map(|id| id.0).collect(),
        evidence: identity.evidence.as_ref().map(|seen| Evidence {
            camera: &seen.camera,
            time: seen.time_ns,
        }),
        name: identity.name.as_deref(),
    }
}

/// A number as written: six digits behind the point, never NaN.
fn tidy(value: f32) -> f64 {
    let value = if value.is_finite() {
        f64::from(value)
    } else {
        0.0
    };
    (value * 1e6).round() / 1e6
}

/// The MOT lines of frame number `frame` (from 1): `frame,id,x,y,w,h,confidence,-1,-1,-1`, each with its end. The id is the
/// person's number across cameras, -1 without a tracker. Boxes are px, not cut at the frame's edge.
pub fn mot_lines(frame: u64, people: &[Person]) -> String {
    published(people)
        .map(|person| {
            let id = person
                .identity
                .as_ref()
                .map_or(-1, |identity| i64::from(identity.id.0));
            let Rect { x, y, w, h } = person.rect;
            let confidence = tidy(person.confidence);
            format!("{frame},{id},{x:.2},{y:.2},{w:.2},{h:.2},{confidence:.4},-1,-1,-1\n")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        embedding::{Embedding, ModelFingerprint},
        person::{IdentityId, IdentityState, Seen, Track, TrackId},
    };

    const FRAME: FrameFacts<'_> = FrameFacts {
        width: 640,
        height: 480,
        timestamp_ns: Some(1_500_000_000),
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
        });
        person.identity = identity.map(|id| Identity {
            id: IdentityId(id),
            state: IdentityState::Matched,
            score: 0.75,
            margin: 0.125,
            evidence: Some(Seen {
                camera: "hall".into(),
                time_ns: 12,
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
            r#""reid":{"global_id":17,"track_id":4,"state":"matched","score":0.75,"margin":0.125,"camera":"door","previous_ids":[9,11],"evidence":{"camera":"hall","time":12}}}]}"#
        );
        assert_eq!(
            json_line(&FRAME, &[person], false, true).as_deref(),
            Some(expected)
        );
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
}
