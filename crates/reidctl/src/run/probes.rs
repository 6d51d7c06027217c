//! Reads passing buffers: frames, latency, people in view, pictures for the page.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use gst::prelude::*;
use gstreid::media::PeopleMeta;

use super::{
    board::{Board, Entry, InView, colour, lock, now_ns},
    line::{EYE, LOOK_QUEUE, PAGE_RATE, TILE, TILE_QUEUE, TRACK},
    mosaic::Tile,
};

/// Puts the probes into a camera's pipeline. `tile_rate`: pictures a second of the mosaic.
pub fn install(
    pipeline: &gst::Pipeline,
    board: &Arc<Board>,
    entry: &Arc<Entry>,
    is_live: bool,
    tile_rate: u32,
) -> Result<(), String> {
    let pad = |element: &str, pad: &str| pipeline.by_name(element)?.static_pad(pad);
    for (queue, rate) in [(TILE_QUEUE, tile_rate), (LOOK_QUEUE, PAGE_RATE)] {
        if let Some(pad) = pad(queue, "sink") {
            thin(&pad, rate);
        }
    }
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

/// Lets at most so many pictures a second through. `videorate` ends the program where pictures have no duration, as those of cameras that
/// send JPEG over HTTP (GStreamer 1.22 asserts it).
fn thin(pad: &gst::Pad, rate: u32) {
    let thinner = Mutex::new(Thinner::new(rate));
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let time = info.buffer().and_then(|buffer| buffer.pts());
        match time.is_none_or(|time| lock(&thinner).passes(time.nseconds())) {
            true => gst::PadProbeReturn::Ok,
            // Not `Drop`: with the bindings' probes GStreamer 1.22 complains that the buffer is gone.
            false => gst::PadProbeReturn::Handled,
        }
    });
}

/// Chooses which pictures pass.
struct Thinner {
    gap_ns: u64,
    /// When the next one passes.
    due_ns: u64,
}

impl Thinner {
    fn new(rate: u32) -> Self {
        Self {
            gap_ns: 1_000_000_000 / u64::from(rate.max(1)),
            due_ns: 0,
        }
    }

    /// Whether the picture of this time passes.
    fn passes(&mut self, time_ns: u64) -> bool {
        // Far ahead: the stream began anew.
        let is_ahead = self.due_ns > time_ns + 2 * self.gap_ns;
        if time_ns < self.due_ns && !is_ahead {
            return false;
        }
        // From when it was due, so that the mean is the rate; after a pause, or at first, from now.
        let is_steady = !is_ahead && time_ns < self.due_ns + self.gap_ns;
        self.due_ns = self.gap_ns + if is_steady { self.due_ns } else { time_ns };
        true
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of a stream's pictures pass, at `rate` a second from `start_ms` on for ten seconds.
    fn passed(thinner: &mut Thinner, rate: u64, start_ms: u64) -> usize {
        let times = (0..10 * rate).map(|n| start_ms * 1_000_000 + n * 1_000_000_000 / rate);
        times.filter(|time| thinner.passes(*time)).count()
    }

    #[test]
    fn at_most_the_rate_passes_also_when_the_stream_begins_anew() {
        let mut thinner = Thinner::new(5);
        assert_eq!(passed(&mut thinner, 30, 0), 50);
        assert_eq!(passed(&mut thinner, 25, 60_000), 50);
        assert_eq!(passed(&mut thinner, 12, 500), 50);
        assert_eq!(passed(&mut thinner, 3, 100_000), 30);
        assert_eq!(passed(&mut Thinner::new(0), 4, 0), 10);
    }
}
