//! Common parts of all elements.

use gst::prelude::*;
use gst_base::prelude::*;

/// Who made the elements, as `gst-inspect-1.0` shows it.
pub(super) const AUTHOR: &str = "The gst-plugin-reid developers";

/// Passes an allocation query on, for elements that leave the frame as it is: a decoder then learns which metas and
/// memory the element after them takes, as if they were not there.
pub(super) fn ask_downstream(
    category: &gst::DebugCategory,
    src_pad: &gst::Pad,
    query: &mut gst::query::Allocation,
) -> Result<(), gst::LoggableError> {
    if !src_pad.peer_query(query) {
        return Err(gst::loggable_error!(
            category,
            "nobody downstream proposes buffers"
        ));
    }
    refuse_crop(query);
    Ok(())
}

/// Whoever looks at pixels wants those of the caps: a crop that is only noted on the buffer would leave boxes in the
/// coordinates of the picture before it, which nobody behind could tell.
pub(super) fn refuse_crop(query: &mut gst::query::Allocation) {
    while let Some(index) = query.find_allocation_meta::<gst_video::VideoCropMeta>() {
        query.remove_nth_allocation_meta(index);
    }
}

/// Whether frames come as they are taken: upstream's answer to a latency query.
pub(super) fn is_upstream_live(element: &gst_base::BaseTransform) -> bool {
    let mut query = gst::query::Latency::new();
    element.sink_pad().peer_query(&mut query) && query.result().0
}
