//! The element: properties, signals, messages and the way of a buffer. What a frame means lies in [`super::stream`],
//! the algorithms in [`crate::core::tracking`] and [`crate::core::identity`].
//!
//! Locks: settings, state, the gallery kept through NULL, the say in its rules, then the registry's, the rules', the gallery's. None is held while posting, notifying or pushing:
//! what happened is collected first and told afterwards.

use std::{
    path::Path,
    sync::{Arc, LazyLock, Mutex, MutexGuard},
    time::Duration,
};

use gst_base::{prelude::*, subclass::prelude::*};

use super::{
    source::Source,
    stream::{FrameTime, Stream, Sums, Wanted},
};
use crate::{
    core::{
        geometry::Rect,
        identity::{Event, GalleryConfig, GalleryError, MAX_IDENTITIES, topology::Topology},
        person::{IdentityId, Person, Subject},
        thumbnail::Thumbnail,
        tracking::TrackerConfig,
    },
    elements::{
        request,
        silence::{Silence, refuse_swallowed_links},
    },
    media::{self, FrameSize, MappedFrame, PeopleMeta, caps, roi::Origin},
    store::{
        Location, Notice, StoreError,
        cameras::CameraName,
        registry::{self, SharedGallery},
        rules::{Contradiction, GivenTopology, Member, RuleBook, Rules},
        without_password,
    },
    sync::lock,
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "reidtrack",
        gst::DebugColorFlags::empty(),
        Some("Person tracker"),
    )
});

/// `match-threshold` that means "learn it".
const AUTO: f32 = -1.0;
/// Most hits that the property `min-hits` allows.
const MAX_HITS: u32 = 1000;
/// How long the signal `forget` waits for the disk.
const ERASED_WITHIN: Duration = Duration::from_secs(5);
/// Time between frames that carry no time stamp and whose caps say no rate, ns: 25 frames a second.
const DEFAULT_FRAME_NS: u64 = 40_000_000;

#[derive(Clone, Debug)]
struct Settings {
    gallery: String,
    gallery_location: String,
    camera: String,
    /// `None`: nobody set it, as with the other rules of the gallery.
    match_threshold: Option<f32>,
    max_identities: Option<u32>,
    max_age: Option<u64>,
    min_hits: u32,
    motion_only: bool,
    topology: String,
    thumbnails: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            gallery: String::new(),
            gallery_location: String::new(),
            camera: String::new(),
            match_threshold: None,
            max_identities: None,
            max_age: None,
            min_hits: TrackerConfig::default().min_hits,
            motion_only: false,
            topology: String::new(),
            thumbnails: false,
        }
    }
}

impl Settings {
    /// What the user has said of the gallery's rules, but for the topology.
    fn rules(&self) -> Rules {
        Rules {
            match_threshold: self.match_threshold.map(|t| (t >= 0.0).then_some(t)),
            max_identities: self.max_identities.map(|n| n as usize),
            max_age_ns: self.max_age.map(|ns| (ns > 0).then_some(ns)),
            topology: None,
        }
    }

    fn threshold(&self) -> f32 {
        self.match_threshold.unwrap_or(AUTO)
    }

    fn most(&self) -> u32 {
        self.max_identities
            .unwrap_or(GalleryConfig::default().max_identities as u32)
    }

    fn tracker(&self) -> TrackerConfig {
        TrackerConfig {
            min_hits: self.min_hits,
            use_appearance: !self.motion_only,
            ..TrackerConfig::default()
        }
    }
}

/// What lives from start to stop.
struct State {
    gallery: Arc<SharedGallery>,
    /// What this element was given when it started.
    topology: Option<GivenTopology>,
    tracker: TrackerConfig,
    thumbnails: bool,
    /// The name that the user gave the camera.
    camera: Option<String>,
    /// Where the stream comes from, once it has started.
    source: Source,
    /// The camera's name in the gallery, held while the stream runs.
    name: Option<CameraName>,
    info: Option<gst_video::VideoInfo>,
    /// Made at the first frame of a stream.
    stream: Option<Stream>,
    /// The number that the next stream's first track gets: numbers go on while the element runs.
    next_track: u32,
    /// The time of the last frame, for those without a time stamp, ns.
    last_ns: Option<u64>,
    said: Said,
    silence: Silence,
}

/// What has been said already.
#[derive(Default)]
struct Said {
    /// That nobody is described.
    no_vectors: bool,
    /// That another model is about.
    other_model: bool,
}

/// What other caps mean for what was learnt of a camera's picture.
#[derive(Clone, Copy, Debug, PartialEq)]
enum ViewChange {
    /// Nothing.
    None,
    /// The same view in another size: so much larger across and down.
    Scaled(f32, f32),
    /// Another shape shows something else.
    Other,
}

/// Shapes of pictures that differ by less are one: sides are rounded to blocks of 8 or 16 px (1080 lines sent as 1088).
const SAME_SHAPE: f64 = 0.02;

impl ViewChange {
    /// By the shape of the picture as it is shown, with pixels that are not square.
    fn between(old: &gst_video::VideoInfo, new: &gst_video::VideoInfo) -> Self {
        if FrameSize::from(old) == FrameSize::from(new) {
            return Self::None;
        }
        let shape = |info: &gst_video::VideoInfo| {
            let pixel = f64::from(info.par().numer()) / f64::from(info.par().denom().max(1));
            f64::from(info.width()) * pixel / f64::from(info.height().max(1))
        };
        let change = shape(new) / shape(old);
        if (change - 1.0).abs() > SAME_SHAPE || !change.is_finite() {
            return Self::Other;
        }
        let by = |new: u32, old: u32| new as f32 / old as f32;
        Self::Scaled(by(new.width(), old.width()), by(new.height(), old.height()))
    }
}

/// What happened, and where.
struct News {
    gallery: Arc<SharedGallery>,
    camera: Arc<str>,
    events: Vec<Event>,
}

#[derive(Default)]
pub struct ReidTrack {
    settings: Mutex<Settings>,
    state: Mutex<Option<State>>,
    /// Kept through NULL, so that a restart knows people again; let go when another is named.
    gallery: Mutex<Option<Arc<SharedGallery>>>,
    /// Its say in the rules of the gallery that it names, likewise.
    member: Mutex<Option<Member>>,
}

#[glib::object_subclass]
impl ObjectSubclass for ReidTrack {
    const NAME: &'static str = "GstReidTrack";
    type Type = super::ReidTrack;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for ReidTrack {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let defaults = Settings::default();
            let mut all = gallery_properties(&defaults);
            all.extend(tracker_properties(&defaults));
            all
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let text = || -> String {
            let text: Option<String> = value.get().expect("checked by GObject");
            text.unwrap_or_default()
        };
        let mut settings = self.settings();
        let before = settings.clone();
        // The values' types and ranges are those of the specifications.
        match pspec.name() {
            "gallery" => settings.gallery = text(),
            "gallery-location" => settings.gallery_location = text(),
            "camera" => settings.camera = text(),
            "match-threshold" => {
                let threshold: f32 = value.get().expect("checked by GObject");
                // Before the start it is an error there; a running stream keeps what it has.
                let is_neither = threshold < 0.0 && threshold != AUTO;
                if is_neither && self.state().is_some() {
                    gst::warning!(
                        CAT,
                        imp = self,
                        "match-threshold={threshold} is neither a cosine from 0 to 1 nor -1: ignored"
                    );
                    return;
                }
                settings.match_threshold = Some(threshold);
            }
            "max-identities" => {
                settings.max_identities = Some(value.get().expect("checked by GObject"));
            }
            "max-age" => settings.max_age = Some(value.get().expect("checked by GObject")),
            "min-hits" => settings.min_hits = value.get().expect("checked by GObject"),
            "motion-only" => settings.motion_only = value.get().expect("checked by GObject"),
            "topology" => settings.topology = text(),
            "thumbnails" => settings.thumbnails = value.get().expect("checked by GObject"),
            other => unreachable!("no property {other}"),
        }
        let changed = settings.clone();
        drop(settings);
        if let Err(refused) = self.apply(&changed) {
            *self.settings() = before;
            gst::element_imp_error!(self, gst::ResourceError::Settings, ("{refused}"));
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        if pspec.name() == "stats" {
            return self.stats().to_value();
        }
        let settings = self.settings();
        match pspec.name() {
            "gallery" => settings.gallery.to_value(),
            // A password is not for whoever looks at a pipeline, or draws it.
            "gallery-location" => without_password(&settings.gallery_location).to_value(),
            "camera" => settings.camera.to_value(),
            "match-threshold" => settings.threshold().to_value(),
            "max-identities" => settings.most().to_value(),
            "max-age" => settings.max_age.unwrap_or(0).to_value(),
            "min-hits" => settings.min_hits.to_value(),
            "motion-only" => settings.motion_only.to_value(),
            "topology" => settings.topology.to_value(),
            "thumbnails" => settings.thumbnails.to_value(),
            other => unreachable!("no property {other}"),
        }
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
            let mut all = announcements();
            all.extend(actions());
            all
        });
        &SIGNALS
    }
}

/// Which gallery, and its rules.
fn gallery_properties(defaults: &Settings) -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecString::builder("gallery")
            .nick("Gallery")
            .blurb("Name of the gallery; elements of the process that give the same name share people and numbers. Empty: one of its own. Can be changed in NULL and READY")
            .default_value(Some(defaults.gallery.as_str()))
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("gallery-location")
            .nick("Gallery location")
            .blurb("Where the gallery is kept: sqlite:///path/to/file (one process at a time), postgresql://user@host/database (any number of machines); empty: in memory, gone with the pipeline. Elements that give the same place share its people. Reads without its password. Can be changed in NULL and READY")
            .default_value(Some(defaults.gallery_location.as_str()))
            .mutable_ready()
            .build(),
        glib::ParamSpecFloat::builder("match-threshold")
            .nick("Match threshold")
            .blurb("Cosine from which two looks are one person, 0 to 1; -1: learnt from people who are certainly two and tracks that are certainly one. A rule of the gallery: given to one element it holds for all that share it, until that one is gone; two that differ are an error. Can be changed in PLAYING")
            .minimum(AUTO)
            .maximum(1.0)
            .default_value(defaults.threshold())
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("max-identities")
            .nick("Max identities")
            .blurb("Most people that the gallery knows, 1 to 1000000; the least recently seen leave, people in view never. A rule of the gallery: given to one element it holds for all that share it, until that one is gone; two that differ are an error. Can be changed in PLAYING")
            .minimum(1)
            .maximum(MAX_IDENTITIES as u32)
            .default_value(defaults.most())
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt64::builder("max-age")
            .nick("Max age")
            .blurb("Nanoseconds after which a person whom no camera has seen is forgotten; 0: never. A rule of the gallery: given to one element it holds for all that share it, until that one is gone; two that differ are an error. Can be changed in PLAYING")
            .default_value(defaults.max_age.unwrap_or(0))
            .mutable_playing()
            .build(),
        glib::ParamSpecString::builder("topology")
            .nick("Topology")
            .blurb("File that says which cameras overlap and how long people walk between the others, see the README; empty: none from this element. A rule of the gallery: given to one element it holds for all that share it, until that one is gone or starts without it; two that differ are an error. Can be changed in NULL and READY")
            .default_value(Some(defaults.topology.as_str()))
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("thumbnails")
            .nick("Thumbnails")
            .blurb("Keep one small JPEG picture of each person, 64x128 px at most, with the gallery; needs gallery-location. Pictures of people are biometric data. Can be changed in NULL and READY")
            .default_value(defaults.thumbnails)
            .mutable_ready()
            .build(),
    ]
}

/// The camera and its tracker.
fn tracker_properties(defaults: &Settings) -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecString::builder("camera")
            .nick("Camera")
            .blurb("Name of the camera; empty: that of the file or device, or host and end of the path of a network stream, else of the element, made unique in the gallery. Can be changed in NULL and READY")
            .default_value(Some(defaults.camera.as_str()))
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("min-hits")
            .nick("Min hits")
            .blurb("Sightings before a track is confirmed and gets an identity, 1 to 1000 frames; at low frame rates two within half a second or more are enough. Can be changed in PLAYING")
            .minimum(1)
            .maximum(MAX_HITS)
            .default_value(defaults.min_hits)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("motion-only")
            .nick("Motion only")
            .blurb("Do not use looks: every track is a person of its own. Can be changed in NULL and READY")
            .default_value(defaults.motion_only)
            .mutable_ready()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Counts since the start of the stream (frames, skipped, people), of the last frame (tracks, confirmed, identities), sure-score 0 to 1, mean times in microseconds (track-us, gallery-us)")
            .read_only()
            .build(),
    ]
}

/// Signals that tell what happened.
fn announcements() -> Vec<glib::subclass::Signal> {
    let signal = |name: &str, types: &[glib::Type]| {
        glib::subclass::Signal::builder(name)
            .param_types(types.iter().copied())
            .build()
    };
    let (number, text, score) = (
        u32::static_type(),
        String::static_type(),
        f32::static_type(),
    );
    vec![
        signal("identity-new", &[number, text, number]),
        signal("identity-matched", &[number, text, number, score]),
        signal("identity-merged", &[number, number]),
        signal("identity-split", &[number, number]),
        signal("identity-corrected", &[number, number, text, number]),
        signal("identity-lost", &[number]),
    ]
}

/// Signals that ask for something.
fn actions() -> Vec<glib::subclass::Signal> {
    let action = |name: &str| glib::subclass::Signal::builder(name).action().run_last();
    let number = |values: &[glib::Value], index: usize| -> IdentityId {
        IdentityId(values[index].get().expect("checked by GObject"))
    };
    let text = |values: &[glib::Value], index: usize| -> String {
        let text: Option<String> = values[index].get().expect("checked by GObject");
        text.unwrap_or_default()
    };
    vec![
        action("rename")
            .param_types([u32::static_type(), String::static_type()])
            .return_type::<bool>()
            .class_handler(move |values| {
                let done = of(values).rename(number(values, 1), &text(values, 2));
                Some(done.to_value())
            })
            .build(),
        action("merge")
            .param_types([u32::static_type(), u32::static_type()])
            .return_type::<bool>()
            .class_handler(move |values| {
                let done = of(values).merge(number(values, 1), number(values, 2));
                Some(done.to_value())
            })
            .build(),
        action("split")
            .param_types([u32::static_type(), String::static_type()])
            .return_type::<u32>()
            .class_handler(move |values| {
                let new = of(values).split(number(values, 1), &text(values, 2));
                Some(new.to_value())
            })
            .build(),
        action("forget")
            .param_types([u32::static_type()])
            .return_type::<bool>()
            .class_handler(move |values| {
                let done = of(values).forget(number(values, 1));
                Some(done.to_value())
            })
            .build(),
    ]
}

/// The element that a signal was emitted on.
fn of(values: &[glib::Value]) -> super::ReidTrack {
    values[0].get().expect("checked by GObject")
}

impl super::ReidTrack {
    fn rename(&self, id: IdentityId, name: &str) -> bool {
        self.imp()
            .ask(|gallery| gallery.lock().rename(id, name).map(|()| ((), Vec::new())))
            .is_some()
    }

    fn merge(&self, from: IdentityId, into: IdentityId) -> bool {
        self.imp()
            .ask(|gallery| gallery.lock().merge(from, into).map(|events| ((), events)))
            .is_some()
    }

    fn split(&self, id: IdentityId, camera: &str) -> u32 {
        let camera = (!camera.is_empty()).then_some(camera);
        self.imp()
            .ask(|gallery| gallery.lock().split(id, camera))
            .map_or(0, |new| new.0)
    }

    fn forget(&self, id: IdentityId) -> bool {
        let imp = self.imp();
        let erased = imp.ask(|gallery| gallery.lock().forget(id).map(|events| ((), events)));
        if erased.is_some() {
            imp.wait_until_erased();
        }
        erased.is_some()
    }
}

impl GstObjectImpl for ReidTrack {}

impl ElementImpl for ReidTrack {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Person tracker and re-identifier",
                "Filter/Analyzer/Video",
                "Follows people within a camera and gives them the same number in every camera of a gallery",
                crate::elements::shared::AUTHOR,
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
            LazyLock::new(|| caps::pad_templates(&caps::template()));
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::NullToReady {
            self.announce();
        }
        let result = self.parent_change_state(transition);
        if transition == gst::StateChange::ReadyToNull
            && let Some(member) = &*lock(&self.member)
        {
            member.rest();
        }
        result
    }
}

impl BaseTransformImpl for ReidTrack {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        refuse_swallowed_links(&*self.obj())?;
        let settings = self.settings().clone();
        if settings.thumbnails && settings.gallery_location.is_empty() {
            return Err(gst::error_msg!(
                gst::ResourceError::Settings,
                ("thumbnails are kept where the gallery is: set gallery-location, or thumbnails=false")
            ));
        }
        let threshold = settings.threshold();
        if threshold < 0.0 && threshold != AUTO {
            return Err(gst::error_msg!(
                gst::ResourceError::Settings,
                ("match-threshold={threshold} is neither a cosine from 0 to 1 nor -1, which learns it: correct match-threshold")
            ));
        }
        let topology = read_topology(&settings.topology)
            .map_err(|what| gst::error_msg!(gst::ResourceError::Settings, ("{what}")))?;
        let wrong_rules =
            |what: Contradiction| gst::error_msg!(gst::ResourceError::Settings, ("{what}"));
        let unopened = |error: StoreError| gst::error_msg!(resource(&error), ("{error}"));
        let book = self.join(&settings).map_err(unopened)?;
        self.declare(Rules {
            topology: topology.clone(),
            ..settings.rules()
        })
        .map_err(wrong_rules)?;
        let gallery = self.open_gallery(&settings, &book).map_err(unopened)?;
        *self.state() = Some(State {
            gallery,
            topology,
            tracker: settings.tracker(),
            thumbnails: settings.thumbnails,
            camera: Some(settings.camera).filter(|name| !name.is_empty()),
            source: Source::unknown(&self.obj().name()),
            name: None,
            info: None,
            stream: None,
            next_track: 1,
            last_ns: None,
            said: Said::default(),
            silence: Silence::default(),
        });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let news = self.state().take().and_then(|mut state| state.close());
        if let Some(news) = &news {
            news.gallery.hurry();
        }
        self.tell(news);
        Ok(())
    }

    fn set_caps(&self, incaps: &gst::Caps, _outcaps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let info = gst_video::VideoInfo::from_caps(incaps)
            .map_err(|_| gst::loggable_error!(CAT, "caps {incaps} are no raw video"))?;
        let mut guard = self.state();
        let state = guard
            .as_mut()
            .ok_or_else(|| gst::loggable_error!(CAT, "not started"))?;
        let change = state.info.replace(info.clone());
        let change = change.map_or(ViewChange::None, |old| ViewChange::between(&old, &info));
        let news = match change {
            ViewChange::None => None,
            ViewChange::Scaled(sx, sy) => {
                if let Some(stream) = &mut state.stream {
                    stream.rescale(sx, sy);
                }
                None
            }
            ViewChange::Other => state.change_view(),
        };
        drop(guard);
        self.tell(news);
        Ok(())
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        let silence = match event.view() {
            gst::EventView::Eos(_) => self.state().as_mut().and_then(|s| s.silence.end()),
            _ => None,
        };
        if let Some(silence) = silence {
            gst::element_imp_warning!(self, gst::StreamError::Failed, ("{silence}"));
        }
        let news = match event.view() {
            gst::EventView::StreamStart(_) => {
                let source = Source::of(self.obj().sink_pad());
                let mut state = self.state();
                state.as_mut().and_then(|state| {
                    let news = state.close();
                    state.source = source.unwrap_or_else(|| Source::unknown(&self.obj().name()));
                    news
                })
            }
            gst::EventView::FlushStop(_) | gst::EventView::Eos(_) => {
                self.state().as_mut().and_then(State::reset)
            }
            _ => None,
        };
        self.tell(news);
        self.parent_sink_event(event)
    }

    /// The picture is not touched: whoever is downstream says how it wants its buffers.
    fn propose_allocation(
        &self,
        _decide_query: Option<&gst::query::Allocation>,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        crate::elements::shared::ask_downstream(&CAT, self.obj().src_pad(), query)
    }

    fn transform_ip(
        &self,
        buffer: &mut gst::BufferRef,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let clock_ns = self.base_time_ns();
        let running_ns = self.running_time(buffer);
        let mut guard = self.state();
        let state = guard.as_mut().ok_or(gst::FlowError::Flushing)?;
        let info = state.info.as_ref().ok_or(gst::FlowError::NotNegotiated)?;
        let size = FrameSize::from(info);
        let stream_ns = running_ns.unwrap_or_else(|| state.next_ns());
        state.last_ns = Some(stream_ns);
        let time = FrameTime {
            stream_ns,
            gallery_ns: stream_ns.saturating_add(clock_ns),
        };
        let people = media::read_people(buffer, size);
        let model = people.iter().flatten().find_map(|p| p.embedding.as_ref());
        if let Some(Err(error)) = model.map(|e| state.gallery.admit(e.model())) {
            drop(guard);
            gst::element_imp_error!(self, gst::ResourceError::Settings, ("{error}"));
            return Err(gst::FlowError::Error);
        }
        let is_meta = buffer.meta::<PeopleMeta>().is_some();
        let before: Vec<Rect> = people.iter().flatten().map(|p| p.rect).collect();
        let remark = state.remark(people.as_deref());
        let begins = state.stream.is_none();
        let stream = state.stream();
        let camera = stream.name();
        let (people, events) = stream.frame(people, is_meta, size, time);
        let wanted = stream.take_wanted();
        let undecided = stream.undecided(people.as_deref().unwrap_or_default(), time);
        let (gallery_ns, dropped) = (stream.gallery_ns(), stream.take_dropped());
        let news = News {
            gallery: state.gallery.clone(),
            camera: camera.clone(),
            events,
        };
        let info = state.info.clone().filter(|_| !wanted.is_empty());
        let is_shared = state.name.as_ref().is_some_and(CameraName::is_shared);
        drop(guard);
        if begins && is_shared {
            self.warn_of_shared_name(&camera, &news.gallery);
        }
        if let Some(remark) = remark {
            gst::element_imp_warning!(self, gst::StreamError::Failed, ("{remark}"));
        }
        if dropped > 0 {
            self.warn_of_dropped(dropped);
        }
        if let Some(info) = info {
            self.take_thumbnails(buffer, &info, &wanted, &news.gallery);
        }
        if let Some(people) = people {
            let origin = Origin {
                detector: None,
                camera: Some(camera),
            };
            media::rewrite_people(buffer, size, people, &before, &origin);
            if let Some(mut meta) = buffer.meta_mut::<PeopleMeta>() {
                meta.viewpoint_mut().gallery_ns = Some(gallery_ns);
            }
        }
        if !undecided.is_empty() {
            // An embedder that works by need makes new vectors of them; nobody else minds.
            self.obj().sink_pad().push_event(request::event(&undecided));
        }
        self.warn(&news.gallery);
        self.tell(Some(news));
        Ok(gst::FlowSuccess::Ok)
    }
}

impl State {
    /// What keeps people from being followed or recognised, if anything; each is said once.
    fn remark(&mut self, people: Option<&[Person]>) -> Option<String> {
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
                "nobody is recognised: people come without vectors of their appearance. Put reidembed between the detector and reidtrack, with nothing between them that drops metadata, or set motion-only=true".to_owned()
            });
        }
        let model = people.iter().find_map(|p| p.embedding.as_ref())?.model();
        if !self.gallery.has_other_model(model) {
            return None;
        }
        let first = !std::mem::replace(&mut self.said.other_model, true);
        first.then(|| {
            format!(
                "gallery '{}' has vectors of another model: whom one model has described, the other does not recognise. Give every reidembed of a gallery the same model",
                self.gallery.name()
            )
        })
    }

    /// The camera's stream, begun when there is none.
    fn stream(&mut self) -> &mut Stream {
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
    fn reset(&mut self) -> Option<News> {
        self.last_ns = None;
        let stream = self.stream.as_mut()?;
        Some(News {
            camera: stream.name(),
            events: stream.reset(),
            gallery: self.gallery.clone(),
        })
    }

    /// Ends the tracks and forgets where the camera looked; keeps the camera.
    fn change_view(&mut self) -> Option<News> {
        let stream = self.stream.as_mut()?;
        Some(News {
            camera: stream.name(),
            events: stream.change_view(),
            gallery: self.gallery.clone(),
        })
    }

    /// Lets the camera go.
    fn close(&mut self) -> Option<News> {
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
    fn next_ns(&self) -> u64 {
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

impl ReidTrack {
    /// A buffer's running time, ns; its time stamp where the segment does not cover it.
    fn running_time(&self, buffer: &gst::BufferRef) -> Option<u64> {
        let pts = buffer.pts()?;
        let segment = self.obj().segment();
        let running = segment
            .downcast_ref::<gst::format::Time>()
            .and_then(|segment| segment.to_running_time(pts));
        Some(running.unwrap_or(pts).nseconds())
    }

    /// Hands small pictures of people to the gallery. No lock is held while they are cut.
    fn take_thumbnails(
        &self,
        buffer: &gst::BufferRef,
        info: &gst_video::VideoInfo,
        wanted: &[Wanted],
        gallery: &SharedGallery,
    ) {
        let frame = MappedFrame::readable(buffer, info);
        let view = frame.as_ref().map_err(ToString::to_string);
        let view = view.and_then(|frame| frame.view().map_err(|error| error.to_string()));
        let view = match view {
            Ok(view) => view,
            // People are found all the same; only their pictures are missing.
            Err(error) => {
                gst::warning!(CAT, imp = self, "no thumbnails: {error}");
                return;
            }
        };
        for who in wanted {
            if let Ok(picture) = Thumbnail::cut(&view, who.rect) {
                let mut gallery = gallery.lock();
                gallery.keep_thumbnail(who.camera, who.track, who.quality, picture);
            }
        }
    }

    /// Takes a place among the elements whose rules the named gallery has.
    fn join(&self, settings: &Settings) -> Result<Arc<RuleBook>, StoreError> {
        let location = Location::parse(&settings.gallery_location)?;
        let is_private = settings.gallery.is_empty() && location == Location::Memory;
        let mut member = lock(&self.member);
        let book = match &*member {
            // Nobody else has a say.
            Some(member) if is_private && member.is_private() => return Ok(member.book()),
            _ => registry::rules(&settings.gallery, &location),
        };
        if !member.as_ref().is_some_and(|m| m.is_of(&book)) {
            *member = Some(book.join(&self.obj().name(), is_private));
        }
        Ok(book)
    }

    fn declare(&self, rules: Rules) -> Result<(), Contradiction> {
        let member = lock(&self.member);
        member.as_ref().map_or(Ok(()), |m| m.declare(rules))
    }

    /// Says before anybody opens the gallery what its rules will be, so that nobody is dropped from it for want of them. What is
    /// wrong is an error when the element starts.
    fn announce(&self) {
        let settings = self.settings().clone();
        if self.join(&settings).is_ok()
            && let Some(member) = &*lock(&self.member)
        {
            member.announce(settings.rules());
        }
    }

    /// The gallery that the settings name: the one from before a restart if it is the same.
    fn open_gallery(
        &self,
        settings: &Settings,
        book: &RuleBook,
    ) -> Result<Arc<SharedGallery>, StoreError> {
        let location = Location::parse(&settings.gallery_location)?;
        let mut kept = lock(&self.gallery);
        let same = |g: &SharedGallery| g.name() == settings.gallery && *g.location() == location;
        let before = kept.take().filter(|g| same(g));
        let gallery = match before {
            Some(gallery) => gallery,
            None => registry::open(&settings.gallery, &location, book.limits())?,
        };
        gallery.follow(book);
        *kept = Some(gallery.clone());
        Ok(gallery)
    }

    /// Hands changed thresholds and limits to a running stream.
    fn apply(&self, settings: &Settings) -> Result<(), Contradiction> {
        let topology = {
            let mut state = self.state();
            let Some(state) = state.as_mut() else {
                return Ok(());
            };
            state.tracker.min_hits = settings.min_hits;
            if let Some(stream) = &mut state.stream {
                stream.set_min_hits(settings.min_hits);
            }
            state.topology.clone()
        };
        self.declare(Rules {
            topology,
            ..settings.rules()
        })
    }

    /// Does what an action signal asks for; `None` when it cannot be done, which is logged.
    fn ask<T>(
        &self,
        action: impl FnOnce(&SharedGallery) -> Result<(T, Vec<Event>), GalleryError>,
    ) -> Option<T> {
        let gallery = {
            let kept = lock(&self.gallery);
            kept.clone()
        };
        let Some(gallery) = gallery else {
            gst::warning!(CAT, imp = self, "the gallery opens when the element starts");
            return None;
        };
        match action(&gallery) {
            Ok((result, events)) => {
                gallery.hurry();
                let camera = Arc::from(self.settings().camera.as_str());
                self.tell(Some(News {
                    gallery,
                    camera,
                    events,
                }));
                Some(result)
            }
            Err(error) => {
                gst::warning!(CAT, imp = self, "{error}");
                None
            }
        }
    }

    /// Nothing of a forgotten person is left in the gallery's place, or a warning says so.
    fn wait_until_erased(&self) {
        let gallery = {
            let kept = lock(&self.gallery);
            kept.clone()
        };
        let Some(gallery) = gallery else { return };
        if !gallery.settle(ERASED_WITHIN) {
            gst::element_imp_warning!(
                self,
                gst::ResourceError::Write,
                (
                    "{}: a forgotten person is not erased yet; it will be as soon as the gallery can be written",
                    gallery.location().shown()
                )
            );
        }
    }

    fn warn_of_shared_name(&self, camera: &str, gallery: &SharedGallery) {
        gst::element_imp_warning!(
            self,
            gst::ResourceError::Settings,
            (
                "camera={camera} is the name of another element of gallery '{}', too: nobody can tell where people were seen. Give each element a camera of its own",
                gallery.name()
            )
        );
    }

    fn warn_of_dropped(&self, dropped: u64) {
        gst::element_imp_warning!(
            self,
            gst::StreamError::Failed,
            ("{dropped} changes of the gallery were not told, because no frame came while others fed it: read whom it knows by now with reidctl gallery list")
        );
    }

    /// Says what is the matter with the place that the gallery is kept in. No lock is held here.
    fn warn(&self, gallery: &SharedGallery) {
        for notice in gallery.notices() {
            match notice {
                Notice::Trouble(error) => {
                    gst::element_imp_warning!(self, resource(&error), ("{error}"));
                }
                Notice::Recovered => {
                    gst::element_imp_info!(
                        self,
                        gst::ResourceError::Write,
                        (
                            "{} works again; nothing of the gallery was lost",
                            gallery.location().shown()
                        )
                    );
                }
            }
        }
    }

    /// Emits signals and posts messages. No lock is held here.
    fn tell(&self, news: Option<News>) {
        let Some(news) = news else { return };
        for event in &news.events {
            gst::debug!(CAT, imp = self, "{}: {event:?}", news.camera);
            self.signal(event, &news.camera);
            let message = message(event, &news);
            let obj = self.obj();
            if matches!(
                event,
                Event::Merged { .. } | Event::Split { .. } | Event::Corrected { .. }
            ) {
                // For whoever publishes: it may come after everybody whom it concerns has left.
                let change = gst::event::CustomDownstream::new(message.clone());
                if !obj.src_pad().push_event(change) {
                    gst::log!(CAT, imp = self, "nobody downstream to tell");
                }
            }
            let posted =
                obj.post_message(gst::message::Element::builder(message).src(&*obj).build());
            if posted.is_err() {
                gst::log!(CAT, imp = self, "no bus to post to");
            }
        }
    }

    fn signal(&self, event: &Event, camera: &str) {
        let obj = self.obj();
        match event {
            Event::New { id, track, .. } => {
                obj.emit_by_name::<()>("identity-new", &[&id.0, &camera, &track.0]);
            }
            Event::Split { from, into } => {
                obj.emit_by_name::<()>("identity-new", &[&into.0, &camera, &0_u32]);
                obj.emit_by_name::<()>("identity-split", &[&from.0, &into.0]);
            }
            Event::Matched {
                id, track, score, ..
            } => {
                obj.emit_by_name::<()>("identity-matched", &[&id.0, &camera, &track.0, score]);
            }
            Event::Merged { from, into } => {
                obj.emit_by_name::<()>("identity-merged", &[&from.0, &into.0]);
            }
            Event::Corrected {
                camera,
                track,
                from,
                into,
            } => {
                obj.emit_by_name::<()>(
                    "identity-corrected",
                    &[&from.0, &into.0, &&**camera, &track.0],
                );
            }
            Event::Lost { id } => obj.emit_by_name::<()>("identity-lost", &[&id.0]),
            Event::Left { .. } => {}
        }
    }

    fn stats(&self) -> gst::Structure {
        let sums = self
            .state()
            .as_ref()
            .and_then(|s| s.stream.as_ref())
            .map_or_else(Sums::default, |s| s.sums);
        let mean = |sum: f64| sum / sums.frames.max(1) as f64;
        gst::Structure::builder("stats")
            .field("frames", sums.frames)
            .field("skipped", sums.skipped)
            .field("people", sums.people)
            .field("tracks", sums.tracks)
            .field("confirmed", sums.confirmed)
            .field("identities", sums.identities as u64)
            .field("sure-score", f64::from(sums.sure_score))
            .field("track-us", mean(sums.track_us))
            .field("gallery-us", mean(sums.gallery_us))
            .build()
    }

    /// The clock's time at running time 0, ns. A pipeline that prerolls has no base time yet: what the clock says now is what it
    /// will be but for the time until it plays, so that the first frame does not lie the machine's uptime before the next.
    fn base_time_ns(&self) -> u64 {
        let obj = self.obj();
        let base_ns = obj.base_time().map_or(0, |t| t.nseconds());
        if base_ns > 0 || obj.current_state() == gst::State::Playing {
            return base_ns;
        }
        let clock = obj.clock().unwrap_or_else(gst::SystemClock::obtain);
        clock.time().nseconds()
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    fn state(&self) -> MutexGuard<'_, Option<State>> {
        lock(&self.state)
    }
}

/// What kind of error it is.
fn resource(error: &StoreError) -> gst::ResourceError {
    match error {
        StoreError::NoFolder { .. } | StoreError::Missing { .. } => gst::ResourceError::NotFound,
        StoreError::ReadOnly { .. } => gst::ResourceError::OpenWrite,
        StoreError::Full { .. } => gst::ResourceError::NoSpaceLeft,
        StoreError::NotErased { .. } => gst::ResourceError::Write,
        StoreError::Locked { .. } | StoreError::InUse { .. } => gst::ResourceError::Busy,
        StoreError::Denied { .. } => gst::ResourceError::NotAuthorized,
        StoreError::CannotOpen { .. }
        | StoreError::Damaged { .. }
        | StoreError::NotAGallery { .. }
        | StoreError::Newer { .. }
        | StoreError::Unreachable { .. }
        | StoreError::Broken
        | StoreError::Other { .. } => gst::ResourceError::OpenReadWrite,
        StoreError::Location(_)
        | StoreError::LongName
        | StoreError::OtherName { .. }
        | StoreError::OtherModel { .. }
        | StoreError::NotBuilt { .. } => gst::ResourceError::Settings,
    }
}

/// The topology of a file; none of no file. The error says what to do.
fn read_topology(file: &str) -> Result<Option<GivenTopology>, String> {
    if file.is_empty() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(file).map_err(|error| {
        format!("topology {file} cannot be read: {error}; give the path of a TOML file or leave the property empty")
    })?;
    let topology = Topology::parse(&text).map_err(|error| format!("topology {file}, {error}"))?;
    Ok(Some((Arc::from(Path::new(file)), Arc::new(topology))))
}

/// What happened, as the structure of a bus message.
fn message(event: &Event, news: &News) -> gst::Structure {
    let named = |name: &str| {
        gst::Structure::builder(name)
            .field("gallery", news.gallery.name())
            .field("camera", &*news.camera)
    };
    match event {
        Event::New { id, track, pending } => named("reid-identity-new")
            .field("id", id.0)
            .field("track", track.0)
            .field("pending", *pending)
            .build(),
        Event::Matched {
            id,
            track,
            score,
            margin,
        } => named("reid-identity-matched")
            .field("id", id.0)
            .field("track", track.0)
            .field("score", f64::from(*score))
            .field("margin", f64::from(*margin))
            .build(),
        Event::Merged { from, into } => named("reid-identity-merged")
            .field("from", from.0)
            .field("into", into.0)
            .build(),
        Event::Split { from, into } => named("reid-identity-split")
            .field("from", from.0)
            .field("into", into.0)
            .build(),
        Event::Corrected {
            camera,
            track,
            from,
            into,
        } => named("reid-identity-corrected")
            .field("camera", &**camera)
            .field("from", from.0)
            .field("into", into.0)
            .field("track", track.0)
            .build(),
        Event::Lost { id } => named("reid-identity-lost").field("id", id.0).build(),
        Event::Left { id } => named("reid-identity-left").field("id", id.0).build(),
    }
}
