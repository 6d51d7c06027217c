//! State from start to stop: the camera's stream, its name and its time.

use std::sync::Arc;

use gst::prelude::*;

use super::{settings::Settings, source::Source, stream::Stream};
use crate::{
    core::{
        identity::Event,
        person::{Person, Subject},
        tracking::TrackerConfig,
    },
    elements::silence::Silence,
    store::{Location, cameras::CameraName, registry::SharedGallery, rules::GivenTopology},
};

/// Time between frames that carry no time stamp and whose caps say no rate, ns: 25 frames a second.
const DEFAULT_FRAME_NS: u64 = 40_000_000;

/// What lives from start to stop.
pub struct State {
    pub gallery: Arc<SharedGallery>,
    /// What this element was given when it started.
    pub topology: Option<GivenTopology>,
    pub tracker: TrackerConfig,
    thumbnails: bool,
    /// The name that the user gave the camera.
    camera: Option<String>,
    /// Where the stream comes from, once it has started.
    pub source: Source,
    /// The camera's name in the gallery, held while the stream runs.
    pub name: Option<CameraName>,
    pub info: Option<gst_video::VideoInfo>,
    /// Made at the first frame of a stream.
    pub stream: Option<Stream>,
    /// The number that the next stream's first track gets: numbers go on while the element runs.
    next_track: u32,
    /// The time of the last frame, for those without a time stamp, ns.
    pub last_ns: Option<u64>,
    said: Said,
    pub silence: Silence,
}

/// What has been said already.
#[derive(Default)]
struct Said {
    /// That nobody is described.
    no_vectors: bool,
    /// That another model is about.
    other_model: bool,
}

/// What happened, and where.
pub struct News {
    pub gallery: Arc<SharedGallery>,
    pub camera: Arc<str>,
    pub events: Vec<Event>,
}

impl State {
    /// Before the first frame of a stream from `source`.
    pub fn new(
        gallery: Arc<SharedGallery>,
        topology: Option<GivenTopology>,
        settings: &Settings,
        source: Source,
    ) -> Self {
        Self {
            gallery,
            topology,
            tracker: settings.tracker(),
            thumbnails: settings.thumbnails,
            camera: Some(settings.camera.clone()).filter(|name| !name.is_empty()),
            source,
            name: None,
            info: None,
            stream: None,
            next_track: 1,
            last_ns: None,
            said: Said::default(),
            silence: Silence::default(),
        }
    }

    /// What keeps people from being followed or recognised, if anything; each is said once.
    pub fn warning(&mut self, people: Option<&[Person]>) -> Option<String> {
        if let Some(silence) = self.silence.note(people.is_some()) {
            return Some(silence);
        }
        let people = people.unwrap_or_default();
        if people.is_empty() || !self.tracker.use_appearance {
            return None;
        }
        let is_described = |p: &Person| p.embedding.is_some() || p.subject != Subject::Unknown;
        if !people.iter().any(is_described) {
            let first = !std::mem::replace(&mut self.said.no_vectors, true);
            return first.then(|| {
                "nobody can be re-identified: people arrive without appearance vectors. Put reidembed between the detector and reidtrack, without elements that drop metadata in between, or set motion-only=true".to_owned()
            });
        }
        let model = people.iter().find_map(|p| p.embedding.as_ref())?.model();
        if !self.gallery.has_other_model(model) {
            return None;
        }
        let first = !std::mem::replace(&mut self.said.other_model, true);
        first.then(|| {
            format!(
                "gallery '{}' has vectors of another model, and vectors of different models cannot be compared. Use the same model in every reidembed of a gallery",
                self.gallery.name()
            )
        })
    }

    /// The camera's stream, begun when there is none.
    pub fn stream(&mut self) -> &mut Stream {
        let Self {
            gallery,
            tracker,
            thumbnails,
            camera,
            source,
            name,
            stream,
            next_track,
            ..
        } = self;
        stream.get_or_insert_with(|| {
            let cameras = gallery.cameras();
            let is_on_server = matches!(gallery.location(), Location::Postgres(_));
            let name = name.insert(match camera {
                Some(chosen) => cameras.chosen(chosen),
                None => cameras.unique(&source.name_for(is_on_server)),
            });
            Stream::new(
                gallery.clone(),
                name.name(),
                tracker.clone(),
                *thumbnails,
                *next_track,
            )
        })
    }

    /// Ends the tracks and keeps the camera.
    pub fn reset(&mut self) -> Option<News> {
        self.last_ns = None;
        let stream = self.stream.as_mut()?;
        Some(News {
            camera: stream.name(),
            events: stream.reset(),
            gallery: self.gallery.clone(),
        })
    }

    /// Ends the tracks and forgets where the camera looked; keeps the camera.
    pub fn change_view(&mut self) -> Option<News> {
        let stream = self.stream.as_mut()?;
        Some(News {
            camera: stream.name(),
            events: stream.change_view(),
            gallery: self.gallery.clone(),
        })
    }

    /// Lets the camera go.
    pub fn close(&mut self) -> Option<News> {
        self.last_ns = None;
        self.name = None;
        let stream = self.stream.take()?;
        self.next_track = stream.next_track();
        Some(News {
            camera: stream.name(),
            events: stream.close(),
            gallery: self.gallery.clone(),
        })
    }

    /// When a frame without a time stamp is: one frame after the last.
    pub fn next_ns(&self) -> u64 {
        let Some(last) = self.last_ns else { return 0 };
        let rate = self.info.as_ref().map(gst_video::VideoInfo::fps);
        let frame = rate
            .filter(|r| r.numer() > 0 && r.denom() > 0)
            .and_then(|r| {
                let second = gst::ClockTime::SECOND.nseconds();
                second.mul_div_floor(r.denom() as u64, r.numer() as u64)
            });
        last.saturating_add(frame.unwrap_or(DEFAULT_FRAME_NS))
    }
}
