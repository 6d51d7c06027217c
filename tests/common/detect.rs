//! `yolodetect` in tests: started, refused, fed with pictures, listened to.
#![allow(dead_code)] // each test program uses a part

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use gst::prelude::*;
use gstreid::{core::person::Person, media::PeopleMeta};

/// Registers the plugin, once.
pub fn init() {
    static INIT: LazyLock<()> = LazyLock::new(|| {
        gst::init().unwrap();
        gstreid::plugin_register_static().unwrap();
    });
    *INIT
}

/// Names and values of properties, as text.
pub type Properties<'a> = &'a [(&'a str, &'a str)];

/// A detector with these properties.
pub fn detector(properties: Properties) -> gst::Element {
    init();
    let element = gst::ElementFactory::make("yolodetect").build().unwrap();
    for (name, value) in properties {
        element.set_property_from_str(name, value);
    }
    element
}

/// The message of the error with which starting fails.
pub fn start_error(properties: Properties) -> String {
    let element = detector(properties);
    let pipeline = gst::Pipeline::new();
    pipeline.add(&element).unwrap();
    assert!(
        element.set_state(gst::State::Paused).is_err(),
        "{properties:?} starts"
    );
    let message = pipeline
        .bus()
        .unwrap()
        .pop_filtered(&[gst::MessageType::Error])
        .expect("an error is posted");
    let _ = element.set_state(gst::State::Null);
    match message.view() {
        gst::MessageView::Error(error) => error.error().to_string(),
        _ => unreachable!("only errors were asked for"),
    }
}

/// Starting fails and the error contains all `parts`.
pub fn check_refused(properties: Properties, parts: &[&str]) {
    let text = start_error(properties);
    for part in parts {
        assert!(
            text.contains(part),
            "{properties:?}: '{part}' is not in: {text}"
        );
    }
}

/// A stream of pictures into one detector.
pub struct Stream {
    pub harness: gst_check::Harness,
    pub element: gst::Element,
    bus: gst::Bus,
    /// Errors that [`Self::push`] met.
    errors: Vec<gst::Message>,
}

impl Stream {
    pub fn new(properties: Properties) -> Self {
        let element = detector(properties);
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        harness.play();
        Self {
            harness,
            element,
            bus,
            errors: Vec::new(),
        }
    }

    pub fn caps(&mut self, format: &str, width: usize, height: usize) {
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", format)
            .field("width", width as i32)
            .field("height", height as i32)
            .field("framerate", gst::Fraction::new(25, 1))
            .build();
        self.harness.set_src_caps(caps);
    }

    /// The buffer that comes out for `data`, or an error when the element posts one instead.
    pub fn push(&mut self, data: Vec<u8>) -> Result<gst::Buffer, gst::FlowError> {
        self.harness.push(gst::Buffer::from_mut_slice(data))?;
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            if let Some(buffer) = self.harness.try_pull() {
                return Ok(buffer);
            }
            if let Some(error) = self.bus.pop_filtered(&[gst::MessageType::Error]) {
                self.errors.push(error);
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(gst::FlowError::Error)
    }

    pub fn people(&mut self, data: Vec<u8>) -> Option<Vec<Person>> {
        let buffer = self.push(data).unwrap();
        buffer
            .meta::<PeopleMeta>()
            .map(|meta| meta.people().to_vec())
    }

    pub fn messages(&self, kind: gst::MessageType) -> Vec<String> {
        let kept = self.errors.iter().filter(|m| m.type_() == kind).cloned();
        kept.chain(std::iter::from_fn(|| self.bus.pop_filtered(&[kind])))
            .map(|message| match message.view() {
                gst::MessageView::Warning(w) => w.error().to_string(),
                gst::MessageView::Error(e) => e.error().to_string(),
                _ => String::new(),
            })
            .collect()
    }

    pub fn stat<T: for<'a> glib::value::FromValue<'a> + 'static>(&self, name: &str) -> T {
        let stats = self.element.property::<gst::Structure>("stats");
        stats.get(name).unwrap()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.element.set_bus(None);
    }
}
