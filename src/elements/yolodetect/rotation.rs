//! Checks whether an element upstream rotates the picture.

use gst::prelude::*;

/// Most elements that are asked who they are, upstream.
const MAX_HOPS: u32 = 32;

/// Whether an element of this kind is upstream of a pad, also within bins.
pub fn is_upstream(pad: &gst::Pad, kind: &str) -> bool {
    is_in_front(pad, kind, MAX_HOPS)
}

fn is_in_front(pad: &gst::Pad, kind: &str, hops: u32) -> bool {
    let Some(peer) = pad.peer().filter(|_| hops > 0) else {
        return false;
    };
    let Some(element) = peer.parent_element() else {
        // The inner side of a bin's pad.
        let ghost = peer.parent().and_downcast::<gst::Pad>();
        return ghost.is_some_and(|ghost| is_in_front(&ghost, kind, hops - 1));
    };
    let is_kind = |element: &gst::Element| {
        element
            .factory()
            .is_some_and(|factory| factory.name() == kind)
    };
    let is_within = element.downcast_ref::<gst::Bin>().is_some_and(|bin| {
        let mut all = bin.iterate_recurse();
        all.find(|child| is_kind(&child)).is_some()
    });
    is_kind(&element)
        || is_within
        || element
            .sink_pads()
            .iter()
            .any(|pad| is_in_front(pad, kind, hops - 1))
}
