//! The element: buffers. The processing of a frame is in [`super::stream`], properties in [`super::settings`], the algorithms in
//! [`crate::core::tracking`] and [`crate::core::identity`].
//!
//! Locks: settings, state, the gallery kept through NULL, the membership in its rules, then those of the registry, the rules and the
//! gallery. None is held while posting, notifying or pushing: events are collected first and announced afterwards.

use std::{
    sync::{Arc, LazyLock, Mutex, MutexGuard},
    time::Duration,
};

use gst_base::{prelude::*, subclass::prelude::*};

use super::{
    clock::{self, FrameTime},
    membership::Membership,
    messages,
    settings::{self, Settings},
    signals,
    source::{self, Source},
    state::{News, State},
    stream::{Sums, Wanted},
    view::ViewChange,
};
use crate::{
    core::{
        geometry::Rect,
        identity::{Event, GalleryError},
        thumbnail::Thumbnail,
    },
    elements::{request, silence::refuse_swallowed_links, trail::Trail},
    media::{self, FrameSize, MappedFrame, PeopleMeta, caps, roi::Origin},
    store::{
        Location, StoreError,
        cameras::CameraName,
        registry::{self, SharedGallery},
        rules::{Contradiction, RuleBook, Rules},
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

/// How long the signal `forget` waits for the disk.
const ERASED_WITHIN: Duration = Duration::from_secs(5);
#[derive(Default)]
pub struct ReidTrack {
    settings: Mutex<Settings>,
    state: Mutex<Option<State>>,
    /// Kept through NULL, so that a restart knows people again; let go when another is named.
    gallery: Mutex<Option<Arc<SharedGallery>>>,
    /// Its say in the rules of the gallery that it names, likewise.
    member: Membership,
}

#[glib::object_subclass]
impl ObjectSubclass for ReidTrack {
    const NAME: &'static str = "GstReidTrack";
    type Type = super::ReidTrack;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for ReidTrack {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(settings::properties);
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings();
        let mut changed = settings.clone();
        changed.set(pspec.name(), value);
        // Before the start it is an error there; a running stream keeps what it has.
        if changed.has_bad_threshold() && !settings.has_bad_threshold() && self.state().is_some() {
            gst::warning!(
                CAT,
                imp = self,
                "match-threshold={} is neither a cosine from 0 to 1 nor -1: ignored",
                changed.threshold()
            );
            return;
        }
        let before = std::mem::replace(&mut *settings, changed.clone());
        drop(settings);
        if let Err(refused) = self.apply(&changed) {
            *self.settings() = before;
            gst::element_imp_error!(self, gst::ResourceError::Settings, ("{refused}"));
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "stats" => self.stats().to_value(),
            property => self.settings().get(property),
        }
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
            let mut all = signals::announcements();
            all.extend(signals::actions(signals::emitter));
            all
        });
        &SIGNALS
    }
}

impl GstObjectImpl for ReidTrack {}

impl ElementImpl for ReidTrack {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Person tracker and re-identifier",
                "Filter/Analyzer/Video",
                "Tracks people within a camera and gives them the same identity in every camera of a gallery",
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
            let settings = self.settings().clone();
            self.member
                .announce(&settings, &source::own_name(&self.obj()));
        }
        let result = self.parent_change_state(transition);
        if transition == gst::StateChange::ReadyToNull {
            self.member.rest();
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
        let wrong = |what: String| gst::error_msg!(gst::ResourceError::Settings, ("{what}"));
        settings.check().map_err(wrong)?;
        let topology = settings.read_topology().map_err(wrong)?;
        let wrong_rules =
            |what: Contradiction| gst::error_msg!(gst::ResourceError::Settings, ("{what}"));
        let unopened = |error: StoreError| gst::error_msg!(messages::resource(&error), ("{error}"));
        let book = self
            .member
            .join(&settings, &source::own_name(&self.obj()))
            .map_err(unopened)?;
        self.member
            .declare(Rules {
                topology: topology.clone(),
                ..settings.rules()
            })
            .map_err(wrong_rules)?;
        let gallery = self.open_gallery(&settings, &book).map_err(unopened)?;
        let source = Source::unknown(&source::own_name(&self.obj()));
        *self.state() = Some(State::new(gallery, topology, &settings, source));
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let news = self.state().take().and_then(|mut state| state.close());
        if let Some(news) = &news {
            news.gallery.request_flush();
        }
        self.tell(news);
        Ok(())
    }

    fn set_caps(&self, incaps: &gst::Caps, _outcaps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let info = gst_video::VideoInfo::from_caps(incaps)
            .map_err(|_| gst::loggable_error!(CAT, "caps {incaps} are not raw video"))?;
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
                let found = Source::of(self.obj().sink_pad());
                let mut state = self.state();
                state.as_mut().and_then(|state| {
                    let news = state.close();
                    state.source =
                        found.unwrap_or_else(|| Source::unknown(&source::own_name(&self.obj())));
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

    /// The picture is not changed: elements downstream answer the allocation query.
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
        let clock_ns = clock::base_time_ns(self.obj().upcast_ref());
        let running_ns = clock::running_time(self.obj().upcast_ref(), buffer);
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
        let warning = state.warning(people.as_deref());
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
        let is_doubtful = state.silence.is_doubtful();
        let is_shared = state.name.as_ref().is_some_and(CameraName::is_shared);
        drop(guard);
        if begins && is_shared {
            messages::warn_of_shared_name(&*self.obj(), &camera, &news.gallery);
        }
        if let Some(warning) = warning {
            gst::element_imp_warning!(self, gst::StreamError::Failed, ("{warning}"));
        }
        if is_doubtful {
            self.look_ahead();
        }
        if dropped > 0 {
            messages::warn_of_dropped(&*self.obj(), dropped);
        }
        if let Some(info) = info {
            self.take_thumbnails(buffer, &info, &wanted, &news.gallery);
        }
        if let Some(people) = people {
            let origin = Origin {
                detector: None,
                camera: Some(camera),
                embeddings: self.settings().add_embeddings,
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
        messages::tell_notices(&*self.obj(), &news.gallery);
        self.tell(Some(news));
        Ok(gst::FlowSuccess::Ok)
    }
}

impl ReidTrack {
    /// Looks at what passes the elements in front, to name the one that drops people.
    fn look_ahead(&self) {
        let trail = Trail::follow(self.obj().sink_pad());
        if let Some(state) = self.state().as_mut() {
            state.silence.follow(trail);
        }
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
        self.member.declare(Rules {
            topology,
            ..settings.rules()
        })
    }

    /// Does what an action signal asks for; `None` when it cannot be done, which is logged.
    pub(super) fn ask<T>(
        &self,
        action: impl FnOnce(&SharedGallery) -> Result<(T, Vec<Event>), GalleryError>,
    ) -> Option<T> {
        let gallery = {
            let kept = lock(&self.gallery);
            kept.clone()
        };
        let Some(gallery) = gallery else {
            gst::warning!(
                CAT,
                imp = self,
                "the gallery is not open: it is opened when the element starts"
            );
            return None;
        };
        match action(&gallery) {
            Ok((result, events)) => {
                gallery.request_flush();
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
    pub(super) fn wait_until_erased(&self) {
        let gallery = {
            let kept = lock(&self.gallery);
            kept.clone()
        };
        let Some(gallery) = gallery else { return };
        if !gallery.flush(ERASED_WITHIN) {
            gst::element_imp_warning!(
                self,
                gst::ResourceError::Write,
                (
                    "{}: a forgotten person is not erased from the store yet. This happens as soon as the gallery can be written",
                    gallery.location().shown()
                )
            );
        }
    }

    /// Emits signals and posts messages. No lock is held here.
    fn tell(&self, news: Option<News>) {
        let Some(news) = news else { return };
        for event in &news.events {
            gst::debug!(CAT, imp = self, "{}: {event:?}", news.camera);
            let obj = self.obj();
            signals::emit(&obj, event, &news.camera);
            let message = messages::of_event(event, &news);
            // For reidpublish: it may come after everybody whom it concerns has left.
            let told = gst::event::CustomDownstream::new(message.clone());
            if !obj.src_pad().push_event(told) {
                gst::log!(CAT, imp = self, "no element downstream handles the event");
            }
            let posted =
                obj.post_message(gst::message::Element::builder(message).src(&*obj).build());
            if posted.is_err() {
                gst::log!(CAT, imp = self, "no bus to post to");
            }
        }
    }

    fn stats(&self) -> gst::Structure {
        let state = self.state();
        let stream = state.as_ref().and_then(|state| state.stream.as_ref());
        stream
            .map_or_else(Sums::default, |stream| stream.sums)
            .to_structure()
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    fn state(&self) -> MutexGuard<'_, Option<State>> {
        lock(&self.state)
    }
}
