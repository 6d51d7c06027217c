//! Time of a frame, on the stream's clock and on the gallery's.

use gst_base::prelude::*;

/// When a frame is, ns.
#[derive(Clone, Copy)]
pub struct FrameTime {
    /// The stream's running time.
    pub stream_ns: u64,
    /// The clock that all cameras share.
    pub gallery_ns: u64,
}

/// A buffer's running time, ns; its time stamp where the segment does not cover it.
pub fn running_time(element: &gst_base::BaseTransform, buffer: &gst::BufferRef) -> Option<u64> {
    let pts = buffer.pts()?;
    let segment = element.segment();
    let running = segment
        .downcast_ref::<gst::format::Time>()
        .and_then(|segment| segment.to_running_time(pts));
    Some(running.unwrap_or(pts).nseconds())
}

/// The clock's time at running time 0, ns. A pipeline that prerolls has no base time yet: what the clock says now is what it
/// will be but for the time until it plays, so that the first frame does not lie the machine's uptime before the next.
pub fn base_time_ns(element: &gst_base::BaseTransform) -> u64 {
    let base_ns = element.base_time().map_or(0, |t| t.nseconds());
    if base_ns > 0 || element.current_state() == gst::State::Playing {
        return base_ns;
    }
    let clock = element.clock().unwrap_or_else(gst::SystemClock::obtain);
    clock.time().nseconds()
}
