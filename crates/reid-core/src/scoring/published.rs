//! Reads the JSON lines of `reidpublish` for scoring: the id first assigned to each box, its id after all later changes, and the time
//! until then.
//!
//! Corrections are announced in three ways: `previous_ids` of a person in a later line, event lines
//! (`{"event": "merged", "from": 7, "into": 3}`), and the list of people of the stored gallery. A corrected id is the last one of the
//! box's track, after all merges.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{LabelledBox, ratio};
use crate::geometry::Rect;

/// A tracked person's box as it was published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PublishedBox {
    /// Number of the frame, from 1.
    pub frame: u32,
    /// When it was shown, s of the stream.
    pub time_s: f64,
    /// Number of the track within the camera.
    pub track: u32,
    /// The id that the line gives.
    pub id: u32,
    /// Box, px.
    pub rect: Rect,
}

/// An id that another one has taken the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The id that is gone.
    pub from: u32,
    /// The id that stays.
    pub into: u32,
}

/// A track that carries another id than its lines say.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reassigned {
    camera: String,
    track: u32,
    into: u32,
}

/// One camera's lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Published {
    /// All boxes with an id, in the order of the lines.
    pub boxes: Vec<PublishedBox>,
    /// What the lines announced, in their order.
    merges: Vec<Merge>,
    reassigned: Vec<Reassigned>,
    /// What its people's camera is called.
    cameras: BTreeSet<String>,
}

/// A line that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct PublishedError {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: PublishedFault,
}

/// What can be wrong with a line.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum PublishedFault {
    #[error("not a line of reidpublish format=json-lines: {0}")]
    Json(String),
    #[error("it has neither a frame number nor a timestamp")]
    NoTime,
    #[error(
        "it has no frame number or no timestamp; the frame rate is needed to tell one from the other"
    )]
    NoRate,
    #[error("frame {0} is not a number from 1 to 2147483647")]
    Frame(f64),
    #[error("an event '{0}' needs the fields from and into")]
    Event(String),
    #[error("a box of {width} x {height} px")]
    Size { width: f32, height: f32 },
}

#[derive(Deserialize)]
struct Line {
    frame: Option<u64>,
    timestamp: Option<u64>,
    #[serde(default)]
    objects: Vec<Object>,
    event: Option<String>,
    from: Option<u32>,
    into: Option<u32>,
    camera: Option<String>,
    #[serde(alias = "track")]
    track_id: Option<u32>,
}

#[derive(Deserialize)]
struct Object {
    x: f32,
    y: f32,
    w: f32,
    h: f32,
    reid: Option<Reid>,
}

#[derive(Deserialize)]
struct Reid {
    global_id: Option<i64>,
    #[serde(default)]
    track_id: u32,
    camera: Option<String>,
    #[serde(default)]
    previous_ids: Vec<u32>,
}

/// Largest number of a frame.
const MAX_FRAME: f64 = i32::MAX as f64;

impl Published {
    /// Reads the lines of one camera. A frame's number is the line's `frame`, from 1; where there is none it is told from
    /// the timestamp by `rate`, frames a second. Boxes that no tracker gave an id are passed over.
    pub fn parse(text: &str, rate: Option<f64>) -> Result<Self, PublishedError> {
        let mut published = Self::default();
        for (i, line) in text.lines().enumerate() {
            if !line.trim().is_empty() {
                published
                    .read(line, rate)
                    .map_err(|fault| PublishedError { line: i + 1, fault })?;
            }
        }
        Ok(published)
    }

    fn read(&mut self, line: &str, rate: Option<f64>) -> Result<(), PublishedFault> {
        let line: Line =
            serde_json::from_str(line).map_err(|error| PublishedFault::Json(error.to_string()))?;
        if line.event.is_some() {
            return self.read_event(line);
        }
        let tracked = line.objects.iter().filter_map(|object| {
            let reid = object.reid.as_ref()?;
            let id = u32::try_from(reid.global_id?).ok().filter(|&id| id > 0)?;
            Some((object, reid, id))
        });
        for (object, reid, id) in tracked {
            let (frame, time_s) = moment(&line, rate)?;
            let (width, height) = (object.w, object.h);
            if !(width >= 0.0 && height >= 0.0) {
                return Err(PublishedFault::Size { width, height });
            }
            let merges = reid.previous_ids.iter().filter(|&&from| from != id);
            self.merges
                .extend(merges.map(|&from| Merge { from, into: id }));
            self.cameras.extend(reid.camera.clone());
            self.boxes.push(PublishedBox {
                frame,
                time_s,
                track: reid.track_id,
                id,
                rect: Rect::new(object.x, object.y, width, height),
            });
        }
        Ok(())
    }

    /// A merge changes an id wherever it stands. A correction, and a split that names the camera and the track it is
    /// about, give the track's boxes another id, also when the track has ended; of a split without, the tracks' own lines
    /// say who is who. Other events change no id.
    fn read_event(&mut self, line: Line) -> Result<(), PublishedFault> {
        let event = line.event.unwrap_or_default();
        if !matches!(event.as_str(), "merged" | "corrected" | "split") {
            return Ok(());
        }
        let (Some(from), Some(into)) = (line.from, line.into) else {
            return Err(PublishedFault::Event(event));
        };
        if event == "merged" {
            self.merges.push(Merge { from, into });
        } else if let (Some(camera), Some(track)) = (line.camera, line.track_id) {
            self.reassigned.push(Reassigned {
                camera,
                track,
                into,
            });
        }
        Ok(())
    }

    /// The last box's place of each track.
    fn last_of_tracks(&self) -> BTreeMap<u32, usize> {
        let places = self.boxes.iter().enumerate();
        places.map(|(place, b)| (b.track, place)).collect()
    }

    /// The boxes with the ids that were given.
    pub fn as_given(&self) -> Vec<LabelledBox> {
        self.labelled(|b| b.id)
    }

    fn labelled(&self, id: impl Fn(&PublishedBox) -> u32) -> Vec<LabelledBox> {
        let label = |b: &PublishedBox| LabelledBox {
            frame: b.frame,
            id: id(b),
            rect: b.rect,
            confidence: 1.0,
        };
        self.boxes.iter().map(label).collect()
    }
}

/// The frame's number and the time in s.
fn moment(line: &Line, rate: Option<f64>) -> Result<(u32, f64), PublishedFault> {
    let time_s = line.timestamp.map(|ns| ns as f64 / 1e9);
    let (number, time_s) = match (line.frame, time_s) {
        (Some(frame), Some(time_s)) => (frame as f64, time_s),
        (Some(frame), None) => {
            let rate = rate.ok_or(PublishedFault::NoRate)?;
            (frame as f64, (frame as f64 - 1.0) / rate)
        }
        (None, Some(time_s)) => {
            let rate = rate.ok_or(PublishedFault::NoRate)?;
            ((time_s * rate).round_ties_even() + 1.0, time_s)
        }
        (None, None) => return Err(PublishedFault::NoTime),
    };
    if (1.0..=MAX_FRAME).contains(&number) {
        Ok((number as u32, time_s))
    } else {
        Err(PublishedFault::Frame(number))
    }
}

/// Everything that was announced about the ids of cameras that share a gallery.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Corrections {
    heirs: BTreeMap<u32, u32>,
    reassigned: BTreeMap<(String, u32), u32>,
}

impl Corrections {
    /// What the lines of all cameras announced, and, of later date, what the gallery says.
    pub fn new(cameras: &[Published], gallery: impl IntoIterator<Item = Merge>) -> Self {
        let announced = cameras.iter().flat_map(|published| &published.merges);
        let merges = announced.copied().chain(gallery);
        let reassigned = cameras.iter().flat_map(|published| &published.reassigned);
        Self {
            heirs: merges.map(|merge| (merge.from, merge.into)).collect(),
            reassigned: reassigned
                .map(|r| ((r.camera.clone(), r.track), r.into))
                .collect(),
        }
    }

    /// The id that has taken the place of `id` in the end.
    fn heir(&self, id: u32) -> u32 {
        let (mut id, mut seen) = (id, BTreeSet::new());
        while let Some(&heir) = self.heirs.get(&id) {
            if !seen.insert(id) {
                break;
            }
            id = heir;
        }
        id
    }

    /// The boxes of a camera with the last ids of their tracks, every merge followed.
    pub fn apply(&self, published: &Published) -> Vec<LabelledBox> {
        let last: BTreeMap<u32, u32> = published
            .last_of_tracks()
            .into_iter()
            .map(|(track, place)| {
                let named = published.cameras.iter().find_map(|camera| {
                    let key = (camera.clone(), track);
                    self.reassigned.get(&key).copied()
                });
                (track, self.heir(named.unwrap_or(published.boxes[place].id)))
            })
            .collect();
        published.labelled(|b| last.get(&b.track).copied().unwrap_or(b.id))
    }
}

/// How steady the ids are that somebody watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct SteadinessScores {
    /// Tracks that were scored.
    pub tracks: usize,
    /// How often the id changes from one line of a track to its next.
    pub changes: usize,
    /// `changes / tracks`.
    pub changes_per_track: f64,
    /// Tracks whose id changes.
    pub changed_tracks: usize,
    /// Tracks whose last line does not have the final id yet: it was told after they had ended.
    pub final_after_end: usize,
    /// From a track's first line to the line from which on it has its final id, s: median. `None` when it is told after the
    /// track's end, or without tracks.
    pub final_after_median_s: Option<f64>,
    /// The same: 95 % of the tracks take no longer.
    pub final_after_95_s: Option<f64>,
}

/// A camera's lines, the boxes with their final ids in the same order, and the tracks that are scored.
#[derive(Clone, Copy, Debug)]
pub struct Watched<'a> {
    /// The lines.
    pub published: &'a Published,
    /// What [`Corrections::apply`] made of them.
    pub corrected: &'a [LabelledBox],
    /// The tracks that count.
    pub tracks: &'a BTreeSet<u32>,
}

/// How often shown ids change, and how long the final ones take.
pub fn steadiness(cameras: &[Watched<'_>]) -> SteadinessScores {
    let mut scores = SteadinessScores::default();
    let mut waits: Vec<f64> = Vec::new();
    for camera in cameras {
        for history in histories(camera).values() {
            let changes = history.windows(2).filter(|w| w[0].id != w[1].id).count();
            scores.tracks += 1;
            scores.changes += changes;
            scores.changed_tracks += usize::from(changes > 0);
            let wait = wait_s(history);
            scores.final_after_end += usize::from(wait.is_none());
            waits.push(wait.unwrap_or(f64::INFINITY));
        }
    }
    waits.sort_by(f64::total_cmp);
    scores.changes_per_track = ratio(scores.changes as f64, scores.tracks as f64);
    scores.final_after_median_s = quantile(&waits, 0.5);
    scores.final_after_95_s = quantile(&waits, 0.95);
    scores
}

/// A line of a track.
#[derive(Clone, Copy)]
struct Shown {
    time_s: f64,
    id: u32,
    is_final: bool,
}

fn histories(camera: &Watched<'_>) -> BTreeMap<u32, Vec<Shown>> {
    let mut histories: BTreeMap<u32, Vec<Shown>> = BTreeMap::new();
    let boxes = camera.published.boxes.iter().zip(camera.corrected);
    for (b, corrected) in boxes.filter(|(b, _)| camera.tracks.contains(&b.track)) {
        histories.entry(b.track).or_default().push(Shown {
            time_s: b.time_s,
            id: b.id,
            is_final: b.id == corrected.id,
        });
    }
    histories
}

/// From the first line to the one from which on the id is final; `None` when the last one is not.
fn wait_s(history: &[Shown]) -> Option<f64> {
    let settled = history
        .iter()
        .rposition(|shown| !shown.is_final)
        .map_or(0, |place| place + 1);
    let first = history.first()?;
    Some(history.get(settled)?.time_s - first.time_s)
}

/// The quantile `part` of the sorted values; `None` when it is infinite or there are no values.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    let value = sorted.get(rank.max(1) - 1).copied();
    value.filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests;
