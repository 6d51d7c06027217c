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
    /// When it is shown, ns of the stream ([`Timeline`]); `None` when nobody knows.
    pub timestamp_ns: Option<u64>,
    /// When it was taken, ns since 1970 (UTC); `None` when nobody knows, as of a file.
    pub utc_ns: Option<u64>,
    /// The same moment on the gallery's clock, ns; `None` without `reidtrack`.
    pub gallery_ns: Option<u64>,
    /// Where it comes from: a stream's id.
    pub source: &'a str,
    /// The camera's name.
    pub camera: &'a str,
}

/// Counts the time of a stream in which segments may follow one another: stream time, which begins anew with each file
/// that is played after another (`concat`), goes on from where the file before ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeline {
    /// What is added to stream time, ns.
    shift_ns: u64,
    last: Option<Moment>,
    is_cut: bool,
}

/// The time of a frame, ns.
#[derive(Clone, Copy, Debug)]
struct Moment {
    told_ns: u64,
    running_ns: u64,
}

impl Timeline {
    /// Another segment begins, without a flush.
    pub fn cut(&mut self) {
        self.is_cut = true;
    }

    /// The time of a frame: its stream time, later than that of the segment before.
    pub fn time_ns(&mut self, stream_ns: u64, running_ns: u64) -> u64 {
        if let Some(last) = self.last.filter(|_| std::mem::take(&mut self.is_cut))
            && stream_ns.saturating_add(self.shift_ns) <= last.told_ns
        {
            let passed = running_ns.saturating_sub(last.running_ns);
            let now = last.told_ns.saturating_add(passed);
            self.shift_ns = now.saturating_sub(stream_ns);
        }
        let told_ns = stream_ns.saturating_add(self.shift_ns);
        self.last = Some(Moment {
            told_ns,
            running_ns,
        });
        told_ns
    }
}

/// A moment as RFC 3339 writes it, in UTC to the microsecond: `2026-11-30T03:46:23.123456Z`.
fn rfc3339(utc_ns: u64) -> String {
    let (seconds, ns) = (utc_ns / 1_000_000_000, utc_ns % 1_000_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days; days from 0000-03-01 on.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let us = ns / 1_000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{us:06}Z")
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
    #[serde(skip_serializing_if = "Option::is_none")]
    utc: Option<String>,
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
    /// On the clock of `timestamp`, ns; below 0 before this stream began.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<i64>,
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
        utc: frame.utc_ns.map(rfc3339),
        tags: Tags {},
        objects,
    };
    // Plain structures of numbers and text always serialise.
    serde_json::to_string(&line).ok()
}

/// A change of an identity that earlier lines carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Change<'a> {
    /// `merged`: `from` is gone for good and was `into`; `split`: a part of `from` is the new `into`; `corrected`: the track carries
    /// `into` instead of `from`, from its beginning.
    pub event: &'a str,
    /// The identity before.
    pub from: u32,
    /// The identity after.
    pub into: u32,
    /// The track's camera, where it is about a track.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera: Option<&'a str>,
    /// The track.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track_id: Option<u32>,
    /// The stream's id.
    pub source: &'a str,
    /// That of the newest frame, ns of stream time; 0 before the first.
    pub timestamp: u64,
}

/// A change as a line of JSON without its end: it may come after everybody whom it concerns has left.
pub fn change_line(change: &Change<'_>) -> Option<String> {
    serde_json::to_string(change).ok()
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
            time: evidence_ns(frame, seen.time_ns),
        }),
        name: identity.name.as_deref(),
    }
}

/// A moment of the gallery's clock on that of the frame's `timestamp`: as long ago on both.
fn evidence_ns(frame: &FrameFacts<'_>, seen_ns: u64) -> Option<i64> {
    let ago = i64::try_from(frame.gallery_ns?.checked_sub(seen_ns)?).ok()?;
    i64::try_from(frame.timestamp_ns?).ok()?.checked_sub(ago)
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
        assert!(
            line.contains(r#""timestamp":1500000000,"utc":"1970-01-01T00:00:00.000000Z","tags""#)
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
    fn a_change_is_a_line_of_its_own() {
        let merged = Change {
            event: "merged",
            from: 7,
            into: 3,
            camera: None,
            track_id: None,
            source: "door",
            timestamp: 5,
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
}
