//! The output formats: the people of a frame as JSON for programs, or as MOT rows for scoring.
//!
//! The JSON is a superset of the output of Intel DL Streamer's `gvametaconvert`, or NVIDIA DeepStream's minimal schema. All formats omit tentative people, who have no
//! identity yet. Detections without a tracker are written as they are.

mod deepstream;

pub use deepstream::deepstream_line;

use serde::Serialize;

use super::{
    geometry::Rect,
    person::{Identity, Person, TrackState},
};

/// Metadata of a frame.
#[derive(Clone, Copy, Debug)]
pub struct FrameFacts<'a> {
    /// px
    pub width: u32,
    /// px
    pub height: u32,
    /// Stream time, ns ([`Timeline`]); `None` when unknown.
    pub timestamp_ns: Option<u64>,
    /// When it was taken, ns since 1970 (UTC); `None` when unknown, as for a file.
    pub utc_ns: Option<u64>,
    /// The same moment on the gallery's clock, ns; `None` without `reidtrack`.
    pub gallery_ns: Option<u64>,
    /// Id of the stream.
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
    let us = utc_ns % 1_000_000_000 / 1_000;
    format!("{}.{us:06}Z", second_of(utc_ns))
}

/// The same to the millisecond: `2026-11-30T03:46:23.123Z`.
fn rfc3339_ms(utc_ns: u64) -> String {
    let ms = utc_ns % 1_000_000_000 / 1_000_000;
    format!("{}.{ms:03}Z", second_of(utc_ns))
}

/// Date and time of day to the second, `2026-11-30T03:46:23`.
fn second_of(utc_ns: u64) -> String {
    let seconds = utc_ns / 1_000_000_000;
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
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// Published people: detections without a track, and confirmed tracks.
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
    /// Of what is followed and has no identity, such as cars; everybody else's is in `reid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    track_id: Option<u32>,
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

/// Where and when the matched person had been seen.
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
    /// Made of an earlier frame of the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    carried: Option<bool>,
    values: &'a [f32],
}

/// One line of JSON without its end. `None` for a frame without people unless `add_empty`.
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

/// A change of an identity in earlier lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Change<'a> {
    /// `merged`: `from` became `into` and is not used again; `split`: a part of `from` is the new `into`; `corrected`: the track has
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
    /// When the newest frame was taken, ns since 1970 (UTC), where it is known.
    #[serde(
        rename = "utc",
        serialize_with = "as_rfc3339",
        skip_serializing_if = "Option::is_none"
    )]
    pub utc_ns: Option<u64>,
}

/// What happened to one identity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Occurrence<'a> {
    /// `new`, `matched`, `lost` (no camera sees the person) or `left` (the gallery).
    pub event: &'a str,
    /// The identity.
    pub id: u32,
    /// The camera and its track, where it is about a track.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera: Option<&'a str>,
    /// The track.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track_id: Option<u32>,
    /// Whether a new identity is provisional.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<bool>,
    /// Similarity of a match.
    #[serde(serialize_with = "as_tidy", skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    /// The stream's id.
    pub source: &'a str,
    /// That of the newest frame, ns of stream time; 0 before the first.
    pub timestamp: u64,
    /// When the newest frame was taken, ns since 1970 (UTC), where it is known.
    #[serde(
        rename = "utc",
        serialize_with = "as_rfc3339",
        skip_serializing_if = "Option::is_none"
    )]
    pub utc_ns: Option<u64>,
}

fn as_rfc3339<S: serde::Serializer>(ns: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
    ns.map(rfc3339).serialize(to)
}

fn as_tidy<S: serde::Serializer>(value: &Option<f32>, to: S) -> Result<S::Ok, S::Error> {
    value.map(tidy).serialize(to)
}

/// What happened as a line of JSON without its end.
pub fn occurrence_line(occurrence: &Occurrence<'_>) -> Option<String> {
    serde_json::to_string(occurrence).ok()
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
        track_id: person
            .track
            .filter(|_| person.identity.is_none())
            .map(|track| track.id.0),
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
                carried: Some(person.is_carried).filter(|carried| *carried),
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
mod tests;
