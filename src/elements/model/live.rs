//! What an element with a model has to do with time: latency queries, QoS events, frames that come too late.

use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use gst::prelude::*;
use gst_base::prelude::*;

use super::pace::{Pace, Times};
use crate::{elements::shared::is_upstream_live, sync::lock};

/// Keeps an element in time. Its lock is held for a moment only, never over a query or an event.
#[derive(Debug, Default)]
pub(in crate::elements) struct Live {
    pace: Mutex<Pace>,
    /// Whether frames come as they are taken; `None` before upstream was asked.
    is_live: Mutex<Option<bool>>,
}

impl Live {
    fn pace(&self) -> MutexGuard<'_, Pace> {
        lock(&self.pace)
    }

    /// As at the start.
    pub fn reset(&self) {
        *self.pace() = Pace::default();
        *lock(&self.is_live) = None;
    }

    /// A flush, another stream or other caps.
    pub fn cut(&self) {
        self.pace().cut();
        *lock(&self.is_live) = None;
    }

    /// Answers a latency query from downstream: upstream's latency and the time that a frame takes here. False when upstream does
    /// not know its own.
    pub fn answer_latency(
        &self,
        element: &impl IsA<gst_base::BaseTransform>,
        query: &mut gst::query::Latency,
    ) -> bool {
        let mut upstream = gst::query::Latency::new();
        if !element.as_ref().sink_pad().peer_query(&mut upstream) {
            return false;
        }
        let (is_live, min, max) = upstream.result();
        let own = gst::ClockTime::from_nseconds(self.pace().latency_ns());
        query.set(is_live, min + own, max.map(|max| max + own));
        true
    }

    /// Takes note of a QoS event and passes it on. Not through the base class, which would drop late frames: they pass without
    /// inference.
    pub fn take_qos(&self, element: &impl IsA<gst_base::BaseTransform>, event: gst::Event) -> bool {
        if let gst::EventView::Qos(qos) = event.view() {
            let (_, _, late_ns, frame) = qos.get();
            self.pace()
                .note_qos(frame.map(|time| time.nseconds()), late_ns);
        }
        element.as_ref().sink_pad().push_event(event)
    }

    /// Whether a frame is to pass without inference. Never while the property `qos` is off.
    pub fn is_late(
        &self,
        element: &impl IsA<gst_base::BaseTransform>,
        buffer: &gst::BufferRef,
    ) -> bool {
        let element = element.as_ref();
        if !element.property::<bool>("qos") {
            return false;
        }
        let segment = element.segment();
        let segment = segment.downcast_ref::<gst::format::Time>();
        let running = segment
            .zip(buffer.pts())
            .and_then(|(segment, pts)| segment.to_running_time(pts));
        let Some(running) = running else { return false };
        let is_live = *lock(&self.is_live);
        let is_live = is_live.unwrap_or_else(|| is_upstream_live(element));
        *lock(&self.is_live) = Some(is_live);
        let now = element.current_running_time().filter(|_| is_live);
        self.pace()
            .is_late(running.nseconds(), now.map(|now| now.nseconds()))
    }

    /// Notes how long a frame took. Tells the pipeline when that changes the latency.
    pub fn note_time(&self, element: &impl IsA<gst_base::BaseTransform>, took: Duration) {
        let has_changed = self.pace().note_time(took);
        if has_changed && *lock(&self.is_live) == Some(true) {
            let message = gst::message::Latency::builder()
                .src(element.as_ref())
                .build();
            // A pipeline without a bus has nobody who would want to know.
            let _ = element.as_ref().post_message(message);
        }
    }

    /// Adds how long frames take to a structure of statistics, ms: `p50-ms`, `p95-ms`, `p99-ms` of the last frames.
    pub fn add_times(&self, stats: &mut gst::StructureRef) {
        let pace = self.pace();
        let ms = |percent| Times::percentile(pace.times(), percent).as_secs_f64() * 1e3;
        for (name, percent) in [("p50-ms", 50), ("p95-ms", 95), ("p99-ms", 99)] {
            stats.set(name, ms(percent));
        }
    }
}
