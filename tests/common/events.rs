//! Events that tests send through a harness.

/// Flushes the stream that a harness drives and begins a new segment, as a seek does.
pub fn flush(harness: &mut gst_check::Harness) {
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    for event in [
        gst::event::FlushStart::new(),
        gst::event::FlushStop::new(true),
        gst::event::Segment::new(&segment),
    ] {
        assert!(harness.push_event(event));
    }
}
