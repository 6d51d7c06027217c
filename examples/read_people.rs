//! Reads people out of a running pipeline with the bindings of GStreamer alone: nothing of this crate is used. The plugin is found
//! as any other (`GST_PLUGIN_PATH`).
//!
//!     cargo run --release --example read_people -- "reidtestsrc num-buffers=300 ! reidbin track::add-embeddings=true ! fakesink name=end"
//!
//! The launch line names the element whose input is read `end`.

use std::{env, error::Error};

use gst::prelude::*;
use gst_video::VideoRegionOfInterestMeta;

fn main() -> Result<(), Box<dyn Error>> {
    gst::init()?;
    let line = env::args().nth(1).unwrap_or_else(|| {
        "reidtestsrc num-buffers=300 ! reidbin track::add-embeddings=true ! fakesink name=end"
            .into()
    });
    let pipeline = gst::parse::launch(&line)?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "not a pipeline")?;
    let end = pipeline
        .by_name("end")
        .and_then(|sink| sink.static_pad("sink"))
        .ok_or("no element of the launch line has name=end")?;
    end.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        if let Some(buffer) = info.buffer() {
            read_regions(buffer);
            #[cfg(feature = "v1_24")]
            read_analytics(buffer);
        }
        gst::PadProbeReturn::Ok
    });
    run(&pipeline)
}

fn read_regions(buffer: &gst::BufferRef) {
    let seconds = buffer.pts().map_or(0.0, |pts| pts.nseconds() as f64 / 1e9);
    for region in buffer.iter_meta::<VideoRegionOfInterestMeta>() {
        let Some(reid) = region.param("reid") else {
            continue; // a region of somebody else's, or of a person without an identity
        };
        let id = reid.get::<i32>("global_id").unwrap_or_default();
        let text = |field| reid.get::<String>(field).unwrap_or_default();
        let (x, y, w, h) = region.rect();
        print!(
            "region {seconds:.2} id {id} name {} camera {} at {x},{y} {w}x{h}",
            text("label"),
            text("camera")
        );
        if let Some(values) = embedding(&region) {
            let length: f32 = values.iter().map(|v| v * v).sum();
            print!(" vector of {} numbers, length {length:.2}", values.len());
        }
        println!();
    }
}

/// The embedding, which is there with `add-embeddings=true`. Biometric data.
fn embedding(region: &VideoRegionOfInterestMeta) -> Option<Vec<f32>> {
    let data = region
        .param("embedding")?
        .get::<glib::Variant>("data_buffer");
    let bytes = data.ok()?;
    let bytes = bytes.fixed_array::<u8>().ok()?;
    let numbers = bytes.chunks_exact(4).filter_map(|b| b.try_into().ok());
    Some(numbers.map(f32::from_ne_bytes).collect())
}

#[cfg(feature = "v1_24")]
fn read_analytics(buffer: &gst::BufferRef) {
    use gst_analytics::{
        AnalyticsMetaRefExt, AnalyticsODMtd, AnalyticsRelationMeta, AnalyticsTrackingMtd, RelTypes,
    };
    let Some(meta) = buffer.meta::<AnalyticsRelationMeta>() else {
        return;
    };
    for found in meta.iter::<AnalyticsODMtd>() {
        let related =
            meta.iter_direct_related::<AnalyticsTrackingMtd>(found.id(), RelTypes::RELATE_TO);
        for tracking in related {
            println!("analytics id {}", tracking.info().0);
        }
    }
}

/// Plays to the end, or to the first error, and prints what is told of identities.
fn run(pipeline: &gst::Pipeline) -> Result<(), Box<dyn Error>> {
    pipeline.set_state(gst::State::Playing)?;
    let mut result = Ok(());
    for message in pipeline.bus().ok_or("no bus")?.iter_timed(None) {
        match message.view() {
            gst::MessageView::Element(element) => {
                let news = element.structure();
                if let Some(news) = news.filter(|n| n.name().starts_with("reid-identity-")) {
                    println!("message {news}");
                }
            }
            gst::MessageView::Error(error) => {
                result = Err(error.error().to_string().into());
                break;
            }
            gst::MessageView::Eos(_) => break,
            _ => {}
        }
    }
    pipeline.set_state(gst::State::Null)?;
    result
}
