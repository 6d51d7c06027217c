//! An application in Rust: prints the people in the picture, from a pad probe, with the typed meta.
//!
//!     cargo run --release --example identities -- [FILE]

use std::{env, error::Error};

use gst::prelude::*;
use gstreid::media::PeopleMeta;

fn main() -> Result<(), Box<dyn Error>> {
    gst::init()?;
    // Linked in: no GST_PLUGIN_PATH needed.
    gstreid::plugin_register_static()?;

    let source = match env::args().nth(1) {
        Some(file) => format!("filesrc location=\"{file}\" ! decodebin ! videoconvert"),
        None => "reidtestsrc num-buffers=300".into(),
    };
    let description = format!(
        "{source} ! queue ! yolodetect ! queue ! reidembed ! queue ! reidtrack gallery=lobby camera=door ! fakesink name=end"
    );
    let pipeline = gst::parse::launch(&description)?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "not a pipeline")?;
    let end = pipeline
        .by_name("end")
        .and_then(|sink| sink.static_pad("sink"))
        .ok_or("no sink")?;
    end.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        if let Some(buffer) = info.buffer() {
            print_people(buffer);
        }
        gst::PadProbeReturn::Ok
    });
    run(&pipeline)
}

/// A line for each frame with somebody in it.
fn print_people(buffer: &gst::BufferRef) {
    let Some(meta) = buffer.meta::<PeopleMeta>() else {
        return;
    };
    let people: Vec<String> = meta
        .people()
        .iter()
        .filter_map(|person| {
            let identity = person.identity.as_ref()?;
            let r = person.rect;
            Some(format!(
                "{} at {:.0},{:.0} {:.0}x{:.0}",
                identity.id, r.x, r.y, r.w, r.h
            ))
        })
        .collect();
    if !people.is_empty() {
        let seconds = buffer.pts().map_or(0.0, |pts| pts.nseconds() as f64 / 1e9);
        println!("{seconds:7.2} s  {}", people.join("; "));
    }
}

/// Plays to the end, or to the first error.
fn run(pipeline: &gst::Pipeline) -> Result<(), Box<dyn Error>> {
    pipeline.set_state(gst::State::Playing)?;
    let bus = pipeline.bus().ok_or("no bus")?;
    let end = bus.timed_pop_filtered(None, &[gst::MessageType::Eos, gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null)?;
    match end.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => Err(error.error().to_string().into()),
        _ => Ok(()),
    }
}
