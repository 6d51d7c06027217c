//! The element: properties, caps, time. Drawing is in [`crate::core::overlay`].
//!
//! Locks: settings, then state. Neither is held while a buffer is pushed.

use std::sync::{LazyLock, Mutex, MutexGuard};

use gst::glib;
use gst_base::{
    prelude::*,
    subclass::{base_transform::GenerateOutputSuccess, prelude::*},
};

use super::{
    BlurMode,
    composition::{self, Sink},
};
use crate::{
    core::{
        overlay::{Blur, DEFAULT_FORMAT, FormatError, Overlay, Style},
        person::Person,
    },
    elements::silence::refuse_swallowed_links,
    fonts::SystemLetters,
    media::{self, FrameError, FrameSize, caps, frame::MappedFrameMut},
    sync::lock,
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "reidoverlay",
        gst::DebugColorFlags::empty(),
        Some("Draws people"),
    )
});

/// Widest line and tallest letters, px.
const MAX_LINE: u32 = 100;
const MAX_FONT: u32 = 200;
/// Longest trail, ns.
const MAX_TRAIL_NS: u64 = 60_000_000_000;

#[derive(Clone, Debug)]
struct Settings {
    show_boxes: bool,
    show_labels: bool,
    show_scores: bool,
    show_trails: bool,
    trail_duration_ns: u64,
    line_width_px: u32,
    font_size_px: u32,
    label_format: String,
    blur: BlurMode,
    blur_except: String,
}

impl Default for Settings {
    fn default() -> Self {
        let style = Style::default();
        Self {
            show_boxes: style.boxes,
            show_labels: style.labels,
            show_scores: style.scores,
            show_trails: style.trails,
            trail_duration_ns: style.trail_duration_ns,
            line_width_px: style.line_width_px,
            font_size_px: style.font_size_px,
            label_format: DEFAULT_FORMAT.to_owned(),
            blur: BlurMode::None,
            blur_except: String::new(),
        }
    }
}

const NS_PER_MS: u64 = 1_000_000;

impl Settings {
    fn style(&self) -> Result<Style, FormatError> {
        Ok(Style {
            boxes: self.show_boxes,
            labels: self.show_labels,
            scores: self.show_scores,
            trails: self.show_trails,
            trail_duration_ns: self.trail_duration_ns,
            line_width_px: self.line_width_px,
            font_size_px: self.font_size_px,
            label_format: self.label_format.parse()?,
            blur: match self.blur {
                BlurMode::None => Blur::Nobody,
                BlurMode::Unknown => Blur::Unknown,
                BlurMode::All => Blur::Everybody,
                BlurMode::Except => Blur::except(&self.blur_except),
            },
        })
    }
}

/// What lives from start to stop.
struct State {
    style: Style,
    overlay: Overlay,
    info: Option<gst_video::VideoInfo>,
    /// Time of the last frame that had one, ns.
    time_ns: u64,
    /// Whether it was said that frames come without people.
    warned: bool,
    sink: Sink,
}

#[derive(Default)]
pub struct ReidOverlay {
    settings: Mutex<Settings>,
    state: Mutex<Option<State>>,
}

#[glib::object_subclass]
impl ObjectSubclass for ReidOverlay {
    const NAME: &'static str = "GstReidOverlay";
    type Type = super::ReidOverlay;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for ReidOverlay {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(properties);
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings();
        let text = || {
            value
                .get::<Option<String>>()
                .expect("checked by GObject")
                .unwrap_or_default()
        };
        // The values' types and ranges are those of the specifications.
        match pspec.name() {
            "show-boxes" => settings.show_boxes = value.get().expect("checked by GObject"),
            "show-labels" => settings.show_labels = value.get().expect("checked by GObject"),
            "show-scores" => settings.show_scores = value.get().expect("checked by GObject"),
            "show-trails" => settings.show_trails = value.get().expect("checked by GObject"),
            "trail-duration" => {
                settings.trail_duration_ns = value.get().expect("checked by GObject");
            }
            "trail-length" => {
                gst::warning!(
                    CAT,
                    imp = self,
                    "trail-length is deprecated: use trail-duration, in ns"
                );
                let ms: u32 = value.get().expect("checked by GObject");
                settings.trail_duration_ns = u64::from(ms) * NS_PER_MS;
            }
            "line-width" => settings.line_width_px = value.get().expect("checked by GObject"),
            "font-size" => settings.font_size_px = value.get().expect("checked by GObject"),
            "label-format" => settings.label_format = text(),
            "blur" => settings.blur = value.get().expect("checked by GObject"),
            "blur-except" => settings.blur_except = text(),
            other => unreachable!("no property {other}"),
        }
        let style = settings.style();
        drop(settings);
        match style {
            Ok(style) => {
                if let Some(state) = self.state().as_mut() {
                    state.style = style;
                }
            }
            // Refused at start; while playing the last good one stays.
            Err(error) => gst::warning!(CAT, imp = self, "label-format: {error}"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = self.settings();
        match pspec.name() {
            "show-boxes" => settings.show_boxes.to_value(),
            "show-labels" => settings.show_labels.to_value(),
            "show-scores" => settings.show_scores.to_value(),
            "show-trails" => settings.show_trails.to_value(),
            "trail-duration" => settings.trail_duration_ns.to_value(),
            "trail-length" => ((settings.trail_duration_ns / NS_PER_MS) as u32).to_value(),
            "line-width" => settings.line_width_px.to_value(),
            "font-size" => settings.font_size_px.to_value(),
            "label-format" => settings.label_format.to_value(),
            "blur" => settings.blur.to_value(),
            "blur-except" => settings.blur_except.to_value(),
            other => unreachable!("no property {other}"),
        }
    }
}

impl GstObjectImpl for ReidOverlay {}

impl ElementImpl for ReidOverlay {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Person re-identification overlay",
                "Filter/Effect/Video",
                "Draws boxes, labels and trails of people in the colours of their identities, or blurs people",
                crate::elements::shared::AUTHOR,
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
            LazyLock::new(|| caps::pad_templates(&composition::template(&caps::template())));
        &TEMPLATES
    }
}

impl BaseTransformImpl for ReidOverlay {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        refuse_swallowed_links(&*self.obj())?;
        let style = self.settings().style();
        let style = style.map_err(|error| {
            gst::error_msg!(gst::ResourceError::Settings, ("label-format: {error}"))
        })?;
        *self.state() = Some(State {
            style,
            overlay: Overlay::with_letters(Box::new(SystemLetters)),
            info: None,
            time_ns: 0,
            warned: false,
            sink: Sink::Unknown,
        });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *self.state() = None;
        Ok(())
    }

    fn set_caps(&self, incaps: &gst::Caps, _outcaps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let info = gst_video::VideoInfo::from_caps(incaps)
            .map_err(|_| gst::loggable_error!(CAT, "caps {incaps} are not raw video"))?;
        if let Some(state) = self.state().as_mut() {
            // The same picture, when it is only renegotiated who draws.
            if state.info.as_ref() != Some(&info) {
                state.overlay.reset();
            }
            state.info = Some(info);
            if state.sink == Sink::Draws {
                state.sink = Sink::Unknown;
            }
        }
        Ok(())
    }

    fn transform_caps(
        &self,
        direction: gst::PadDirection,
        caps: &gst::Caps,
        filter: Option<&gst::Caps>,
    ) -> Option<gst::Caps> {
        let sink = self.state().as_ref().map(|state| state.sink);
        let is_refused = sink == Some(Sink::Refuses);
        let others = composition::transformed(direction, caps, is_refused);
        Some(match filter {
            Some(filter) => filter.intersect_with_mode(&others, gst::CapsIntersectMode::First),
            None => others,
        })
    }

    fn src_event(&self, event: gst::Event) -> bool {
        // Another sink may draw itself.
        if event.type_() == gst::EventType::Reconfigure
            && let Some(state) = self.state().as_mut()
        {
            state.sink = Sink::Unknown;
        }
        self.parent_src_event(event)
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        // After a flush or in another stream nobody stands where somebody stood.
        let begins_anew = matches!(
            event.type_(),
            gst::EventType::FlushStop | gst::EventType::StreamStart
        );
        if let Some(state) = self.state().as_mut().filter(|_| begins_anew) {
            state.overlay.reset();
            state.time_ns = 0;
        }
        self.parent_sink_event(event)
    }

    /// Strides are honoured; a crop is taken out of the picture before it is drawn into.
    fn propose_allocation(
        &self,
        decide_query: Option<&gst::query::Allocation>,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        self.parent_propose_allocation(decide_query, query)?;
        crate::elements::shared::refuse_crop(query);
        if query
            .find_allocation_meta::<gst_video::VideoMeta>()
            .is_none()
        {
            query.add_allocation_meta::<gst_video::VideoMeta>(None);
        }
        Ok(())
    }

    /// Draws on a buffer only when there is something to draw: then it is made writable, else it passes as it is.
    fn generate_output(&self) -> Result<GenerateOutputSuccess, gst::FlowError> {
        let Some(buffer) = self.take_queued_buffer() else {
            return Ok(GenerateOutputSuccess::NoOutput);
        };
        self.ask_sink();
        let (drawn, shows_everybody) = {
            let mut state = self.state();
            let state = state.as_mut().ok_or(gst::FlowError::Flushing)?;
            let info = state.info.clone().ok_or(gst::FlowError::NotNegotiated)?;
            let warned = state.warned;
            let drawn = self.draw(state, &info, buffer);
            (drawn, state.warned && !warned)
        };
        if shows_everybody {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Failed,
                ("blur is set, but a frame has no list of people, so nobody in it is blurred: put a detector (yolodetect) in front. videocrop, videoflip, compositor and other elements that change the picture drop the metadata")
            );
        }
        drawn.map(GenerateOutputSuccess::Buffer).map_err(|error| {
            gst::element_imp_error!(self, gst::StreamError::Format, ("{error}"));
            gst::FlowError::Error
        })
    }
}

impl ReidOverlay {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    fn state(&self) -> MutexGuard<'_, Option<State>> {
        lock(&self.state)
    }

    fn draw(
        &self,
        state: &mut State,
        info: &gst_video::VideoInfo,
        mut buffer: gst::Buffer,
    ) -> Result<gst::Buffer, FrameError> {
        let people: Option<Vec<Person>> = media::read_people(&buffer, FrameSize::from(info));
        state.time_ns = buffer.pts().map_or(state.time_ns, gst::ClockTime::nseconds);
        if people.is_none() && state.style.blur != Blur::Nobody && !state.warned {
            state.warned = true;
        }
        let plan = state
            .overlay
            .plan(&state.style, people.as_deref(), state.time_ns);
        if plan.is_empty() {
            return Ok(buffer);
        }
        let people = people.as_deref().unwrap_or_default();
        if state.sink != Sink::Draws {
            let mut frame = MappedFrameMut::writable(buffer.make_mut(), info)?;
            state
                .overlay
                .draw(&state.style, &plan, people, &mut frame.image()?);
            drop(frame);
            return Ok(buffer);
        }
        if plan.anonymises() {
            let mut frame = MappedFrameMut::writable(buffer.make_mut(), info)?;
            state.overlay.anonymise(&plan, &mut frame.image()?);
        }
        let size = [info.width() as usize, info.height() as usize];
        let patches =
            state
                .overlay
                .layer(&state.style, &plan, people, composition::FORMAT, size)?;
        if !patches.is_empty() {
            composition::attach(buffer.make_mut(), patches).map_err(FrameError::Composition)?;
        }
        Ok(buffer)
    }

    /// Asks once after a negotiation whether downstream draws.
    fn ask_sink(&self) {
        let is_known = |state: &State| state.sink != Sink::Unknown;
        if self.state().as_ref().is_none_or(is_known) {
            return;
        }
        let sink = composition::ask(&self.obj());
        if let Some(state) = self.state().as_mut() {
            state.sink = sink;
        }
    }
}

fn properties() -> Vec<glib::ParamSpec> {
    let defaults = Settings::default();
    let switch = |name: &'static str, nick: &'static str, blurb: &'static str, default: bool| {
        glib::ParamSpecBoolean::builder(name)
            .nick(nick)
            .blurb(blurb)
            .default_value(default)
            .mutable_playing()
            .build()
    };
    let number = |name: &'static str,
                  nick: &'static str,
                  blurb: &'static str,
                  maximum: u32,
                  default: u32| {
        glib::ParamSpecUInt::builder(name)
            .nick(nick)
            .blurb(blurb)
            .maximum(maximum)
            .default_value(default)
            .mutable_playing()
            .build()
    };
    vec![
        switch("show-boxes", "Show boxes", "Draw the boxes. Can be changed in PLAYING", defaults.show_boxes),
        switch(
            "show-labels",
            "Show labels",
            "Draw the labels of people with an identity. Can be changed in PLAYING",
            defaults.show_labels,
        ),
        switch(
            "show-scores",
            "Show scores",
            "Draw the detector's score beside each person. Can be changed in PLAYING",
            defaults.show_scores,
        ),
        switch(
            "show-trails",
            "Show trails",
            "Draw the trails of people. Can be changed in PLAYING",
            defaults.show_trails,
        ),
        glib::ParamSpecUInt64::builder("trail-duration")
            .nick("Trail duration")
            .blurb("Duration of the trails in nanoseconds, 0 to 60000000000. Can be changed in PLAYING")
            .maximum(MAX_TRAIL_NS)
            .default_value(defaults.trail_duration_ns)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("trail-length")
            .nick("Trail length")
            .blurb("Deprecated: use trail-duration. Duration of the trails in milliseconds, 0 to 60000. Can be changed in PLAYING")
            .maximum((MAX_TRAIL_NS / NS_PER_MS) as u32)
            .default_value((defaults.trail_duration_ns / NS_PER_MS) as u32)
            .mutable_playing()
            .deprecated()
            .build(),
        number(
            "line-width",
            "Line width",
            "Line width in pixels, 1 to 100. 0: from the picture's height (2 at 480, 4 at 1080). Can be changed in PLAYING",
            MAX_LINE,
            defaults.line_width_px,
        ),
        number(
            "font-size",
            "Font size",
            "Font height in pixels, 1 to 200. 0: from the picture's height (13 at 480, 30 at 1080). Can be changed in PLAYING",
            MAX_FONT,
            defaults.font_size_px,
        ),
        glib::ParamSpecString::builder("label-format")
            .nick("Label format")
            .blurb("Text of the labels. Placeholders: {id}, {name}, {track}, {state}, {score}, {margin}, {confidence}, {class}. Can be changed in PLAYING")
            .default_value(Some(DEFAULT_FORMAT))
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("blur", defaults.blur)
            .nick("Blur")
            .blurb("Whom to anonymise. Uncertain identities are blurred. Can be changed in PLAYING")
            .mutable_playing()
            .build(),
        glib::ParamSpecString::builder("blur-except")
            .nick("Blur except")
            .blurb("Ids and names that blur=except does not blur, separated by commas, such as 3,P5,Anna. Can be changed in PLAYING")
            .default_value(Some(""))
            .mutable_playing()
            .build(),
    ]
}
