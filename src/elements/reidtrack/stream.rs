//! The stream of one camera: from the people of a frame to tracks and identities. Independent of the element.

use std::{collections::HashMap, sync::Arc, time::Instant};

use super::clock::FrameTime;
use crate::{
    core::{
        geometry::Rect,
        identity::{CameraId, Event, Sighting},
        person::{Identity, IdentityState, Person, Subject, Track, TrackId, TrackState},
        quality::crop_qualities,
        tracking::{Observation, TrackOutput, Tracker, TrackerConfig},
    },
    media::FrameSize,
    store::registry::SharedGallery,
};

/// Class names that a stream tells apart; further ones count as the last.
const MAX_CLASSES: usize = 1024;
/// An embedder is asked for new vectors this often, ns.
const ASK_NS: u64 = 200_000_000;
/// Most pictures taken of one frame, some milliseconds each; the others are taken of the next.
const MAX_WANTED: usize = 2;

/// A camera while it runs.
pub(super) struct Stream {
    gallery: Arc<SharedGallery>,
    camera: CameraId,
    name: Arc<str>,
    tracker: Tracker,
    use_looks: bool,
    /// Whether `PeopleMeta` was ever seen: then a frame without it is a frame without inference.
    has_meta: bool,
    classes: Vec<Arc<str>>,
    /// What each track looked like to the detector when it was last seen.
    seen: HashMap<TrackId, Seen>,
    /// Whether pictures of people are taken.
    thumbnails: bool,
    /// Who is worth a picture in the last frame.
    wanted: Vec<Wanted>,
    /// When an embedder was last asked for new vectors, ns of the stream.
    asked_ns: Option<u64>,
    /// When the last frame was, on the gallery's clock, ns.
    gallery_ns: u64,
    /// Events of the gallery that were dropped before they could be told.
    dropped: u64,
    pub sums: Sums,
}

/// A person of whom a picture should be taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub camera: CameraId,
    pub track: TrackId,
    /// Where, px.
    pub rect: Rect,
    /// How good the crop is, 0..=1.
    pub quality: f32,
}

struct Seen {
    confidence: f32,
    label: Arc<str>,
    label_id: i32,
}

/// Sums since the start, for `stats`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub frames: u64,
    pub skipped: u64,
    pub people: u64,
    pub tracks: u32,
    pub confirmed: u32,
    pub identities: usize,
    pub high_score: f32,
    pub track_us: f64,
    pub gallery_us: f64,
}

impl Sums {
    /// The value of the property `stats`.
    pub fn to_structure(self) -> gst::Structure {
        let mean = |sum: f64| sum / self.frames.max(1) as f64;
        gst::Structure::builder("stats")
            .field("frames", self.frames)
            .field("skipped", self.skipped)
            .field("people", self.people)
            .field("tracks", self.tracks)
            .field("confirmed", self.confirmed)
            .field("identities", self.identities as u64)
            .field("high-score", f64::from(self.high_score))
            // The former name of `high-score`.
            .field("sure-score", f64::from(self.high_score))
            .field("track-us", mean(self.track_us))
            .field("gallery-us", mean(self.gallery_us))
            .build()
    }
}

impl Stream {
    pub fn new(
        gallery: Arc<SharedGallery>,
        name: &str,
        config: TrackerConfig,
        thumbnails: bool,
        first_track: u32,
    ) -> Self {
        let use_looks = config.use_appearance;
        let mut tracker = Tracker::new(config);
        tracker.number_from(first_track);
        let camera = gallery.lock().attach(name, use_looks);
        Self {
            gallery,
            camera,
            name: name.into(),
            tracker,
            use_looks,
            has_meta: false,
            classes: Vec::new(),
            seen: HashMap::new(),
            thumbnails,
            wanted: Vec::new(),
            asked_ns: None,
            gallery_ns: 0,
            dropped: 0,
            sums: Sums::default(),
        }
    }

    /// The camera's name.
    pub fn name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// The number that the next track gets.
    pub fn next_track(&self) -> u32 {
        self.tracker.next_number()
    }

    pub fn set_min_hits(&mut self, min_hits: u32) {
        self.tracker.set_min_hits(min_hits);
    }

    /// Of whom a picture should be taken in the last frame.
    pub fn take_wanted(&mut self) -> Vec<Wanted> {
        std::mem::take(&mut self.wanted)
    }

    /// Of which people of a frame new vectors are wanted, px: those who are seen and not decided yet. Empty when that was asked
    /// lately.
    pub fn undecided(&mut self, people: &[Person], time: FrameTime) -> Vec<Rect> {
        let now = time.stream_ns;
        let lately = |at: u64| now.checked_sub(at).is_some_and(|since| since < ASK_NS);
        if self.asked_ns.is_some_and(lately) {
            return Vec::new();
        }
        let is_pending = |p: &&Person| {
            p.unseen_ns() == 0
                && p.is_carried
                && p.identity
                    .as_ref()
                    .is_some_and(|i| i.state == IdentityState::Pending)
        };
        let boxes: Vec<Rect> = people.iter().filter(is_pending).map(|p| p.rect).collect();
        if !boxes.is_empty() {
            self.asked_ns = Some(now);
        }
        boxes
    }

    /// When the last frame was, on the clock that [`crate::core::person::Seen::time_ns`] counts on, ns.
    pub fn gallery_ns(&self) -> u64 {
        self.gallery_ns
    }

    /// Events that could not be told, since this was last asked.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Ends all tracks (flush, end of stream) and keeps the people. Returns what happened.
    pub fn reset(&mut self) -> Vec<Event> {
        self.tracker.reset_motion();
        self.seen.clear();
        let ended = self.tracker.take_ended();
        // No time passes.
        let decision = self.gallery.lock().observe(self.camera, 0, &[], &ended);
        decision.events
    }

    /// From now on the picture is scaled by `sx` across and `sy` down and shows the same.
    pub fn rescale(&mut self, sx: f32, sy: f32) {
        self.tracker.rescale(sx, sy);
        self.gallery.lock().rescale(self.camera, sx, sy);
    }

    /// The camera looks elsewhere: ends all tracks and forgets where people were. Returns what happened.
    pub fn change_view(&mut self) -> Vec<Event> {
        self.tracker.change_view();
        let events = self.reset();
        self.gallery.lock().change_view(self.camera);
        events
    }

    /// The camera is gone. Returns what happened.
    pub fn close(self) -> Vec<Event> {
        self.gallery.lock().detach(self.camera)
    }

    /// Takes in one frame: `people` of whoever looked, `None` when there is no word of any. Returns everybody to attach
    /// (`None` = leave the buffer alone) and what happened.
    pub fn frame(
        &mut self,
        people: Option<Vec<Person>>,
        is_meta: bool,
        size: FrameSize,
        time: FrameTime,
    ) -> (Option<Vec<Person>>, Vec<Event>) {
        self.has_meta |= is_meta;
        self.sums.frames += 1;
        match people {
            Some(people) => {
                let (people, events) = self.detected(people, size, time);
                (Some(people), events)
            }
            None if self.has_meta => self.skipped(size, time),
            None => {
                let (people, events) = self.detected(Vec::new(), size, time);
                ((!people.is_empty()).then_some(people), events)
            }
        }
    }

    /// A frame with inference.
    fn detected(
        &mut self,
        mut people: Vec<Person>,
        size: FrameSize,
        time: FrameTime,
    ) -> (Vec<Person>, Vec<Event>) {
        let begun = Instant::now();
        let classes: Vec<i32> = people.iter().map(|p| self.class(&p.label)).collect();
        let frame = (size.width as f32, size.height as f32);
        let qualities = qualities(&people, frame);
        let observations: Vec<Observation<'_>> = people
            .iter()
            .zip(&classes)
            .zip(&qualities)
            .map(|((person, &class), &quality)| Observation {
                rect: person.rect,
                confidence: person.confidence,
                class,
                embedding: person.embedding.as_ref(),
                quality,
            })
            .collect();
        self.tracker.update(time.stream_ns, frame, &observations);
        let outputs = self.renewed(&people);
        self.sums.track_us += begun.elapsed().as_secs_f64() * 1e6;
        let (events, unseen) = self.identify(&mut people, &qualities, &outputs, time);
        steady(&mut people, &outputs, frame);
        people.extend(self.predicted(unseen, frame));
        (people, events)
    }

    /// The tracks of this frame. Those that came back after their identity went to somebody else in the picture have new numbers.
    fn renewed(&mut self, people: &[Person]) -> Vec<TrackOutput> {
        let seen = self.tracker.outputs().iter().filter(|o| {
            o.state == TrackState::Confirmed
                && o.observation
                    .is_some_and(|i| people[i].subject != Subject::Other)
        });
        let lapsed = self
            .gallery
            .lock()
            .lapsed(self.camera, seen.map(|o| o.track));
        for track in lapsed {
            self.tracker.renew(track);
        }
        self.tracker.outputs().to_vec()
    }

    /// Writes tracks and identities into the people that have them. Returns what happened, and who is there without being
    /// seen.
    fn identify<'a>(
        &mut self,
        people: &mut [Person],
        qualities: &[f32],
        outputs: &'a [TrackOutput],
        time: FrameTime,
    ) -> (Vec<Event>, Vec<(&'a TrackOutput, Identity)>) {
        let begun = Instant::now();
        // What the embedder passes over is no person: it is followed and gets no identity.
        let visible: Vec<(usize, &TrackOutput)> = outputs
            .iter()
            .filter_map(|o| Some((o.observation?, o)))
            .filter(|&(i, _)| people[i].subject != Subject::Other)
            .collect();
        let sightings: Vec<Sighting<'_>> = visible
            .iter()
            .map(|&(i, output)| Sighting {
                track: output.track,
                confirmed: output.state == TrackState::Confirmed,
                rect: people[i].rect,
                embedding: people[i].new_embedding().filter(|_| self.use_looks),
                quality: qualities[i],
            })
            .collect();
        let ended = self.tracker.take_ended();
        let (decision, unseen, identities) = {
            let mut gallery = self.gallery.lock();
            let decision = gallery.observe(self.camera, time.gallery_ns, &sightings, &ended);
            self.gallery_ns = gallery.time_of(self.camera, time.gallery_ns);
            self.dropped += gallery.take_dropped_events();
            if self.thumbnails {
                let wants = |s: &&Sighting<'_>| {
                    s.confirmed && gallery.wants_thumbnail(self.camera, s.track, s.quality)
                };
                let wanted = sightings.iter().filter(wants).map(|s| Wanted {
                    camera: self.camera,
                    track: s.track,
                    rect: s.rect,
                    quality: s.quality,
                });
                self.wanted = wanted.take(MAX_WANTED).collect();
            }
            let unseen = gallery.unseen(self.camera, outputs);
            (decision, unseen, gallery.len())
        };
        self.sums.gallery_us += begun.elapsed().as_secs_f64() * 1e6;
        self.sums.identities = identities;
        self.sums.people += people.len() as u64;
        self.sums.tracks = outputs.len() as u32;
        let confirmed = sightings.iter().filter(|s| s.confirmed);
        self.sums.confirmed = confirmed.count() as u32;
        self.sums.high_score = self.tracker.high_score();
        for (person, identity) in visible.iter().map(|v| v.0).zip(decision.identities) {
            people[person].identity = identity;
        }
        self.note_tracks(people, outputs, &ended);
        (decision.events, unseen)
    }

    fn note_tracks(&mut self, people: &mut [Person], outputs: &[TrackOutput], ended: &[TrackId]) {
        for track in ended {
            self.seen.remove(track);
        }
        for output in outputs {
            let Some(person) = output.observation.and_then(|i| people.get_mut(i)) else {
                continue;
            };
            person.track = Some(Track {
                id: output.track,
                state: output.state,
                unseen_ns: 0,
                age_ns: output.age_ns,
            });
            let seen = Seen {
                confidence: person.confidence,
                label: person.label.clone(),
                label_id: person.label_id,
            };
            self.seen.insert(output.track, seen);
        }
    }

    /// A frame without inference: the people of the last frame with inference.
    fn skipped(&mut self, size: FrameSize, time: FrameTime) -> (Option<Vec<Person>>, Vec<Event>) {
        self.sums.skipped += 1;
        let outputs = self.tracker.coast(time.stream_ns).to_vec();
        let ended = self.tracker.take_ended();
        let (events, unseen) = {
            let mut gallery = self.gallery.lock();
            let events = if ended.is_empty() {
                Vec::new()
            } else {
                let decision = gallery.observe(self.camera, time.gallery_ns, &[], &ended);
                decision.events
            };
            self.gallery_ns = gallery.time_of(self.camera, time.gallery_ns);
            (events, gallery.unseen(self.camera, &outputs))
        };
        for track in &ended {
            self.seen.remove(track);
        }
        let people = self.predicted(unseen, (size.width as f32, size.height as f32));
        ((!people.is_empty()).then_some(people), events)
    }

    /// Those who are there without being seen in this frame, where they should be by now.
    fn predicted(&self, unseen: Vec<(&TrackOutput, Identity)>, frame: (f32, f32)) -> Vec<Person> {
        let inside = unseen
            .into_iter()
            .filter(|(output, _)| output.rect.clipped(frame.0, frame.1).is_some());
        inside
            .filter_map(|(output, identity)| {
                let seen = self.seen.get(&output.track)?;
                let (label, id) = (seen.label.clone(), seen.label_id);
                let mut person = Person::detected(output.rect, seen.confidence, label, id);
                person.track = Some(Track {
                    id: output.track,
                    state: output.state,
                    unseen_ns: output.unseen_ns,
                    age_ns: output.age_ns,
                });
                person.identity = Some(identity);
                Some(person)
            })
            .collect()
    }

    /// The number of a class name in this stream.
    fn class(&mut self, label: &Arc<str>) -> i32 {
        let known = self.classes.iter().position(|c| c == label);
        let index = known.unwrap_or_else(|| {
            if self.classes.len() < MAX_CLASSES {
                self.classes.push(label.clone());
            }
            self.classes.len() - 1
        });
        i32::try_from(index).unwrap_or(i32::MAX)
    }
}

/// Gives those who are followed the box that the tracker has smoothed. A box that the picture's edge cuts stays as it was
/// seen: it grows faster than anybody does.
fn steady(people: &mut [Person], outputs: &[TrackOutput], frame: (f32, f32)) {
    let is_cut = |r: &Rect| {
        r.x < EDGE_PX
            || r.y < EDGE_PX
            || r.right() > frame.0 - EDGE_PX
            || r.bottom() > frame.1 - EDGE_PX
    };
    for output in outputs.iter().filter(|o| o.state == TrackState::Confirmed) {
        let person = output.observation.and_then(|i| people.get_mut(i));
        if let Some(person) = person.filter(|p| !is_cut(&p.rect)) {
            person.rect = output.rect;
        }
    }
}

/// A box this near to the edge of the picture is cut by it, px: detectors stop a little short of it.
const EDGE_PX: f32 = 4.0;

/// How good each person's crop is.
fn qualities(people: &[Person], frame: (f32, f32)) -> Vec<f32> {
    let boxes: Vec<(Rect, f32)> = people.iter().map(|p| (p.rect, p.confidence)).collect();
    crop_qualities(&boxes, frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_boxes_of_believed_people_are_smoothed() {
        let frame = (640.0, 480.0);
        let smooth = Rect::new(101.0, 99.0, 40.0, 100.0);
        let inside = Rect::new(104.0, 100.0, 44.0, 98.0);
        let cut = Rect::new(600.0, 100.0, 38.0, 98.0);
        for (seen, state, expected) in [
            (inside, TrackState::Confirmed, smooth),
            (inside, TrackState::Tentative, inside),
            (cut, TrackState::Confirmed, cut),
        ] {
            let mut people = [Person::detected(seen, 0.8, "person".into(), 0)];
            let output = TrackOutput {
                observation: Some(0),
                track: TrackId(1),
                state,
                rect: smooth,
                class: 0,
                unseen_ns: 0,
                age_ns: 0,
                missed: 0,
                present: true,
            };
            steady(&mut people, &[output], frame);
            assert_eq!(people[0].rect, expected);
        }
    }
}
