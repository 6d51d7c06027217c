//! Launch lines played to their end: what arrives at the sink, and what is said on the way.
#![allow(dead_code)] // each test program uses a part

use std::sync::{Arc, Mutex};

use gst::prelude::*;

/// The elements, registered once.
pub fn init() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstreid::plugin_register_static().unwrap();
    });
}

/// What was said until the end.
#[derive(Debug, Default)]
pub struct Said {
    pub warnings: Vec<String>,
    /// The error that it ended with.
    pub error: Option<String>,
}

impl Said {
    /// The warnings with this word in them.
    pub fn warnings_of(&self, word: &str) -> Vec<&String> {
        self.warnings.iter().filter(|w| w.contains(word)).collect()
    }
}

pub fn parse(launch: &str) -> gst::Pipeline {
    init();
    gst::parse::launch(launch)
        .unwrap_or_else(|error| panic!("{launch}: {error}"))
        .downcast()
        .unwrap()
}

/// Calls `look` with every buffer that leaves the element `name` (enters it, if it is a sink).
pub fn watch(
    pipeline: &gst::Pipeline,
    name: &str,
    mut look: impl FnMut(&mut gst::BufferRef) + Send + 'static,
) {
    let element = pipeline.by_name(name).unwrap();
    let pad = element
        .static_pad("src")
        .or_else(|| element.static_pad("sink"))
        .unwrap();
    let look = Mutex::new(move |buffer: &mut gst::BufferRef| look(buffer));
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer_mut() {
            look.lock().unwrap()(buffer.make_mut());
        }
        gst::PadProbeReturn::Ok
    });
}

/// What `read` makes of every buffer that passes the element `name`.
pub fn collect<T: Send + 'static>(
    pipeline: &gst::Pipeline,
    name: &str,
    mut read: impl FnMut(&gst::BufferRef) -> T + Send + 'static,
) -> Arc<Mutex<Vec<T>>> {
    let all = Arc::new(Mutex::new(Vec::new()));
    let kept = all.clone();
    watch(pipeline, name, move |buffer| {
        kept.lock().unwrap().push(read(buffer));
    });
    all
}

/// Plays to the end or the first error, a minute at most.
pub fn play(pipeline: &gst::Pipeline) -> Said {
    let bus = pipeline.bus().unwrap();
    let _ = pipeline.set_state(gst::State::Playing);
    let kinds = [
        gst::MessageType::Eos,
        gst::MessageType::Error,
        gst::MessageType::Warning,
    ];
    let mut said = Said::default();
    loop {
        let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds);
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Warning(warning)) => {
                said.warnings.push(warning.error().to_string());
            }
            Some(gst::MessageView::Error(error)) => {
                said.error = Some(error.error().to_string());
                break;
            }
            Some(gst::MessageView::Eos(_)) => break,
            _ => panic!("neither EOS nor an error within a minute: the pipeline hangs"),
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    said
}

/// Plays a launch line; it must end well.
pub fn play_well(launch: &str) -> Said {
    let said = play(&parse(launch));
    assert_eq!(said.error, None, "{launch}");
    said
}
