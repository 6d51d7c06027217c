//! The element: properties, timestamps and caps. The scene is in [`crate::core::testscene`].
//!
//! Locks: settings, then state. Neither is held while a buffer is pushed.

use std::sync::{LazyLock, Mutex, MutexGuard};

use gst::glib;
use gst_base::{
    prelude::*,
    subclass::{base_src::CreateSuccess, prelude::*},
};

use super::{Attach, TestPattern, truth};
use crate::{
    core::{
        image::PixelFormat,
        testscene::{MAX_CAMERAS, MAX_PEOPLE, Pattern, SceneConfig, View, World},
    },
    media::{FrameError, FrameSize, caps, frame::MappedFrameMut},
    sync::lock,
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "reidtestsrc",
        gst::DebugColorFlags::empty(),
        Some("Person test source"),
    )
});

/// Sides of the pictures, px. Smaller ones show nothing; larger ones would take gigabytes.
const SIDES: std::ops::RangeInclusive<i32> = 16..=8192;
/// Size that is taken when nobody asks for one, px, and frames a second.
const DEFAULT_SIZE: [i32; 2] = [640, 480];
const DEFAULT_RATE: gst::Fraction = gst::Fraction::new_raw(30, 1);

#[derive(Clone, Debug)]
struct Settings {
    camera: u32,
    cameras: u32,
    people: u32,
    seed: u64,
    pattern: TestPattern,
    attach: Attach,
    is_live: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let SceneConfig {
            people,
            cameras,
            seed,
            ..
        } = SceneConfig::default();
        Self {
            camera: 0,
            cameras,
            people,
            seed,
            pattern: TestPattern::default(),
            attach: Attach::default(),
            is_live: false,
        }
    }
}

impl From<TestPattern> for Pattern {
    fn from(pattern: TestPattern) -> Self {
        match pattern {
            TestPattern::Walk => Self::Walk,
            TestPattern::Crossing => Self::Crossing,
            TestPattern::Crowd => Self::Crowd,
            TestPattern::Similar => Self::Similar,
            TestPattern::Empty => Self::Empty,
        }
    }
}

/// What lives from start to stop.
struct State {
    world: World,
    camera: u32,
    /// Where a seek that came before the caps wants to begin.
    start: gst::ClockTime,
    stream: Option<Stream>,
}

/// What is known once caps are.
struct Stream {
    info: gst_video::VideoInfo,
    view: View,
    /// Time of frame 0 of this rate, and frames made at it.
    base: gst::ClockTime,
    base_offset: u64,
    frames: u64,
}

impl Stream {
    /// Draws the frame of `pts` to `end` into `buffer`; the next is the one after.
    fn draw(
        &mut self,
        buffer: &mut gst::BufferRef,
        pts: gst::ClockTime,
        end: gst::ClockTime,
        attach: Attach,
    ) -> Result<(), FrameError> {
        let offset = self.base_offset + self.frames;
        let seconds = pts.nseconds() as f64 / 1e9;
        let (canvas, truths) = self.view.render(seconds, offset);
        let mut frame = MappedFrameMut::writable(buffer, &self.info)?;
        canvas.write_to(&mut frame.image()?);
        drop(frame);
        if attach != Attach::None {
            truths.iter().for_each(|truth| truth::attach(buffer, truth));
        }
        if attach == Attach::Detections {
            truth::attach_detections(buffer, FrameSize::from(&self.info), &truths);
        }
        buffer.set_pts(pts);
        buffer.set_duration(end - pts);
        buffer.set_offset(offset);
        buffer.set_offset_end(offset + 1);
        self.frames += 1;
        Ok(())
    }

    /// Makes the frame that is shown at `position` the next.
    fn go_to(&mut self, position: gst::ClockTime) {
        let rate = self.info.fps();
        let (numer, denom) = (rate.numer() as u64, rate.denom() as u64);
        let second = gst::ClockTime::SECOND.nseconds();
        let frames = position
            .nseconds()
            .mul_div_floor(numer, second.saturating_mul(denom));
        (self.base, self.base_offset, self.frames) = (gst::ClockTime::ZERO, 0, frames.unwrap_or(0));
    }

    /// Time of the frame after `frames` of this rate. `None` beyond the end of time.
    fn time_of(&self, frames: u64) -> Option<gst::ClockTime> {
        let rate = self.info.fps();
        let (numer, denom) = (rate.numer() as u64, rate.denom() as u64);
        let second = gst::ClockTime::SECOND.nseconds();
        let since = frames.mul_div_floor(second.checked_mul(denom)?, numer)?;
        self.base.checked_add(gst::ClockTime::from_nseconds(since))
    }
}

#[derive(Default)]
pub struct ReidTestSrc {
    settings: Mutex<Settings>,
    state: Mutex<Option<State>>,
}

#[glib::object_subclass]
impl ObjectSubclass for ReidTestSrc {
    const NAME: &'static str = "GstReidTestSrc";
    type Type = super::ReidTestSrc;
    type ParentType = gst_base::PushSrc;
}

impl ObjectImpl for ReidTestSrc {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let defaults = Settings::default();
            vec![
                glib::ParamSpecUInt::builder("camera")
                    .nick("Camera")
                    .blurb("Index of the camera whose view is shown, 0 to cameras-1. Can be changed in NULL and READY")
                    .maximum(MAX_CAMERAS - 1)
                    .default_value(defaults.camera)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt::builder("cameras")
                    .nick("Cameras")
                    .blurb("Number of cameras in the scene, 1 to 64. Can be changed in NULL and READY")
                    .minimum(1)
                    .maximum(MAX_CAMERAS)
                    .default_value(defaults.cameras)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt::builder("people")
                    .nick("People")
                    .blurb("Number of people in the scene, 0 to 1000. Can be changed in NULL and READY")
                    .maximum(MAX_PEOPLE)
                    .default_value(defaults.people)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("seed")
                    .nick("Seed")
                    .blurb("Random seed. The same seed gives the same scene. Can be changed in NULL and READY")
                    .default_value(defaults.seed)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("pattern", defaults.pattern)
                    .nick("Pattern")
                    .blurb("Motion pattern of the people. Can be changed in NULL and READY")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("attach", defaults.attach)
                    .nick("Attach")
                    .blurb("Metadata attached to the buffers. Can be changed in PLAYING")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoolean::builder("is-live")
                    .nick("Is live")
                    .blurb("Produce frames in real time, as a camera does. Can be changed in NULL and READY")
                    .default_value(defaults.is_live)
                    .mutable_ready()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings();
        // The values' types and ranges are those of the specifications above.
        match pspec.name() {
            "camera" => settings.camera = value.get().expect("checked by GObject"),
            "cameras" => settings.cameras = value.get().expect("checked by GObject"),
            "people" => settings.people = value.get().expect("checked by GObject"),
            "seed" => settings.seed = value.get().expect("checked by GObject"),
            "pattern" => settings.pattern = value.get().expect("checked by GObject"),
            "attach" => settings.attach = value.get().expect("checked by GObject"),
            "is-live" => {
                let is_live = value.get().expect("checked by GObject");
                settings.is_live = is_live;
                drop(settings);
                self.obj().set_live(is_live);
            }
            other => unreachable!("no property {other}"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = self.settings();
        match pspec.name() {
            "camera" => settings.camera.to_value(),
            "cameras" => settings.cameras.to_value(),
            "people" => settings.people.to_value(),
            "seed" => settings.seed.to_value(),
            "pattern" => settings.pattern.to_value(),
            "attach" => settings.attach.to_value(),
            "is-live" => settings.is_live.to_value(),
            other => unreachable!("no property {other}"),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.obj().set_format(gst::Format::Time);
    }
}

impl GstObjectImpl for ReidTestSrc {}

impl ElementImpl for ReidTestSrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Person re-identification test source",
                "Source/Video",
                "Shows people walking through the views of several cameras, with the ground truth attached",
                crate::elements::shared::AUTHOR,
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst_video::VideoCapsBuilder::new()
                .format_list(PixelFormat::ALL.map(caps::video_format))
                .width_range(SIDES)
                .height_range(SIDES)
                .framerate_range(gst::Fraction::new(1, i32::MAX)..=gst::Fraction::new(i32::MAX, 1))
                .build();
            gst::PadTemplate::new(
                "src",
                gst::PadDirection::Src,
                gst::PadPresence::Always,
                &caps,
            )
            .into_iter()
            .collect()
        });
        &TEMPLATES
    }
}

impl BaseSrcImpl for ReidTestSrc {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let Settings {
            camera,
            cameras,
            people,
            seed,
            pattern,
            ..
        } = self.settings().clone();
        if camera >= cameras {
            return Err(gst::error_msg!(
                gst::ResourceError::Settings,
                (
                    "camera={camera} needs cameras={} or more (cameras={cameras}, counted from 0)",
                    camera + 1
                )
            ));
        }
        let world = World::new(SceneConfig {
            pattern: pattern.into(),
            people,
            cameras,
            seed,
        });
        *self.state() = Some(State {
            world,
            camera,
            start: gst::ClockTime::ZERO,
            stream: None,
        });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *self.state() = None;
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        !self.settings().is_live
    }

    fn do_seek(&self, segment: &mut gst::Segment) -> bool {
        let Some(segment) = segment.downcast_mut::<gst::ClockTime>() else {
            return false;
        };
        if segment.rate() < 0.0 {
            gst::warning!(
                CAT,
                imp = self,
                "reverse playback is not supported: rate {}",
                segment.rate()
            );
            return false;
        }
        let position = segment.position().unwrap_or(gst::ClockTime::ZERO);
        segment.set_time(segment.start());
        if let Some(state) = self.state().as_mut() {
            state.start = position;
            if let Some(stream) = &mut state.stream {
                stream.go_to(position);
            }
        }
        true
    }

    fn fixate(&self, mut caps: gst::Caps) -> gst::Caps {
        caps.truncate();
        if let Some(structure) = caps.make_mut().structure_mut(0) {
            structure.fixate_field_nearest_int("width", DEFAULT_SIZE[0]);
            structure.fixate_field_nearest_int("height", DEFAULT_SIZE[1]);
            structure.fixate_field_nearest_fraction("framerate", DEFAULT_RATE);
            if structure.has_field("pixel-aspect-ratio") {
                structure
                    .fixate_field_nearest_fraction("pixel-aspect-ratio", gst::Fraction::new(1, 1));
            }
        }
        self.parent_fixate(caps)
    }

    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let info = gst_video::VideoInfo::from_caps(caps)
            .map_err(|_| gst::loggable_error!(CAT, "caps {caps} are not raw video"))?;
        gst::debug!(CAT, imp = self, "caps {caps}");
        // The base class allocates buffers of this size when nobody downstream offers a pool.
        self.obj()
            .set_blocksize(u32::try_from(info.size()).unwrap_or(u32::MAX));
        let mut state = self.state();
        let state = state
            .as_mut()
            .ok_or_else(|| gst::loggable_error!(CAT, "not started"))?;
        let (width, height) = (info.width() as usize, info.height() as usize);
        let view = View::new(state.world.clone(), state.camera, width, height);
        let mut stream = Stream {
            info,
            view,
            base: gst::ClockTime::ZERO,
            base_offset: 0,
            frames: 0,
        };
        match &state.stream {
            Some(old) => {
                stream.base = old.time_of(old.frames).unwrap_or(old.base);
                stream.base_offset = old.base_offset + old.frames;
            }
            None => stream.go_to(state.start),
        }
        state.stream = Some(stream);
        Ok(())
    }

    fn times(&self, buffer: &gst::BufferRef) -> (Option<gst::ClockTime>, Option<gst::ClockTime>) {
        if !self.obj().is_live() {
            return (None, None);
        }
        let start = buffer.pts();
        (
            start,
            start
                .zip(buffer.duration())
                .map(|(start, duration)| start + duration),
        )
    }
}

impl PushSrcImpl for ReidTestSrc {
    fn create(&self, buffer: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
        match buffer {
            Some(buffer) => {
                self.fill_frame(buffer)?;
                Ok(CreateSuccess::FilledBuffer)
            }
            None => {
                let mut buffer = self.allocate()?;
                self.fill_frame(buffer.make_mut())?;
                Ok(CreateSuccess::NewBuffer(buffer))
            }
        }
    }
}

impl ReidTestSrc {
    /// An empty frame, from downstream's pool when it has offered one.
    fn allocate(&self) -> Result<gst::Buffer, gst::FlowError> {
        if let Some(pool) = self.obj().buffer_pool() {
            return pool.acquire_buffer(None);
        }
        let bytes = self
            .state()
            .as_ref()
            .ok_or(gst::FlowError::Flushing)?
            .stream
            .as_ref()
            .ok_or(gst::FlowError::NotNegotiated)?
            .info
            .size();
        gst::Buffer::with_size(bytes).map_err(|_| {
            gst::element_imp_error!(
                self,
                gst::ResourceError::NoSpaceLeft,
                ("a frame of {bytes} bytes cannot be allocated")
            );
            gst::FlowError::Error
        })
    }

    /// Draws the next frame and says who is in it.
    fn fill_frame(&self, buffer: &mut gst::BufferRef) -> Result<(), gst::FlowError> {
        let attach = self.settings().attach;
        let drawn = {
            let mut state = self.state();
            let state = state.as_mut().ok_or(gst::FlowError::Flushing)?;
            let stream = state.stream.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
            let next = stream.time_of(stream.frames);
            let times = next.zip(stream.time_of(stream.frames + 1));
            let (pts, end) = times.ok_or(gst::FlowError::Eos)?;
            stream.draw(buffer, pts, end, attach)
        };
        drawn.map_err(|error| {
            gst::element_imp_error!(self, gst::CoreError::Failed, ("{error}"));
            gst::FlowError::Error
        })
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    fn state(&self) -> MutexGuard<'_, Option<State>> {
        lock(&self.state)
    }
}
