//! Reads passing buffers: frames, latency, people in view, pictures for the page.

use std::{sync::Arc, time::Instant};

use gst::prelude::*;
use gstreid::media::PeopleMeta;

use super::{
    board::{Board, Entry, InView, colour, lock, now_ns},
    line::{EYE, TILE, TRACK},
    mosaic::Tile,
};

/// Puts the probes into a camera's pipeline.
pub fn install(
    pipeline: &gst::Pipeline,
    board: &Arc<Board>,
    entry: &Arc<Entry>,
    is_live: bool,
) -> Result<(), String> {
    let pad = |element: &str, pad: &str| pipeline.by_name(element)?.static_pad(pad);
    let tracked = pad(TRACK, "src").ok_or("the camera has no tracker")?;
    let (board, watched) = (board.clone(), entry.clone());
    let weak = pipeline.downgrade();
    tracked.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let (Some(buffer), Some(pipeline)) = (info.buffer(), weak.upgrade()) {
            let late = latency_ms(pad, buffer, &pipeline);
            watched.frame(late.filter(|_| is_live));
            people(buffer, &board, &watched);
        }
        gst::PadProbeReturn::Ok
    });
    if let Some(eye) = pad(EYE, "sink") {
        let entry = entry.clone();
        eye.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(map) = info.buffer().and_then(|buffer| buffer.map_readable().ok()) {
                entry.picture.send_replace(Some(Arc::from(map.as_slice())));
            }
            gst::PadProbeReturn::Ok
        });
    }
    if let Some(tile) = pad(TILE, "sink") {
        let entry = entry.clone();
        tile.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let caps = pad.current_caps();
            let video = caps.and_then(|caps| gst_video::VideoInfo::from_caps(&caps).ok());
            if let (Some(gst::PadProbeData::Buffer(buffer)), Some(video)) = (&info.data, video) {
                *lock(&entry.tile) = Some(Tile {
                    buffer: buffer.clone(),
                    info: video,
                    at: Instant::now(),
                });
            }
            gst::PadProbeReturn::Ok
        });
    }
    Ok(())
}

/// From the capture of a buffer until now, ms; means nothing where the source is not live.
fn latency_ms(pad: &gst::Pad, buffer: &gst::BufferRef, pipeline: &gst::Pipeline) -> Option<f32> {
    let segment = pad
        .sticky_event::<gst::event::Segment>(0)?
        .segment()
        .clone();
    let running = segment
        .downcast_ref::<gst::ClockTime>()?
        .to_running_time(buffer.pts()?)?;
    let now = pipeline.current_running_time()?;
    let late = now.checked_sub(running)?;
    Some(late.nseconds() as f32 / 1e6)
}

fn people(buffer: &gst::BufferRef, board: &Board, entry: &Entry) {
    let Some(meta) = buffer.meta::<PeopleMeta>() else {
        return;
    };
    let with_identity = meta
        .people()
        .iter()
        .filter_map(|person| person.identity.as_ref());
    let mut people: Vec<InView> = with_identity
        .map(|identity| InView {
            id: identity.id.0,
            name: identity.name.clone(),
            colour: colour(identity.id.0),
            state: identity.state.as_str(),
            score: identity.score,
        })
        .collect();
    people.sort_by_key(|person| person.id);
    if !people.is_empty() {
        let now = now_ns();
        let mut visits = lock(&board.visits);
        for person in &people {
            visits.seen(person.id, &entry.name, now);
        }
    }
    entry.show(people);
}
