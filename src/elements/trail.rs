//! Where on the way to an element lists of people get lost: looks at what passes the elements in front, for a while.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use gst::prelude::*;

use crate::media;

/// Most elements that are looked at.
const ELEMENTS: usize = 64;

/// A place between two elements on the way.
struct Step {
    pad: gst::Pad,
    probe: Option<gst::PadProbeId>,
    /// The place that this one's buffers go to: nearer to the element that asks.
    next: Option<usize>,
    carries: Arc<AtomicBool>,
}

/// Probes on the elements in front of a pad. They go with it.
#[derive(Default)]
pub(super) struct Trail {
    steps: Vec<Step>,
}

impl Trail {
    /// Begins to look at what comes to this sink pad.
    pub fn follow(sink: &gst::Pad) -> Self {
        let mut steps = Vec::new();
        let mut open: Vec<(gst::Pad, Option<usize>)> =
            source_of(sink).into_iter().map(|pad| (pad, None)).collect();
        while let Some((pad, next)) = open.pop().filter(|_| steps.len() < ELEMENTS) {
            let own = Some(steps.len());
            open.extend(inputs_of(&pad).into_iter().map(|input| (input, own)));
            let carries = Arc::new(AtomicBool::new(false));
            let probe = watch(&pad, carries.clone());
            steps.push(Step {
                pad,
                probe,
                next,
                carries,
            });
        }
        Self { steps }
    }

    /// The element that lists came into and did not come out of, by factory and name; `None` when no list was seen at all.
    pub fn culprit(&self) -> Option<String> {
        let carries = |step: &Step| step.carries.load(Ordering::Relaxed);
        let lost = |step: &&Step| {
            let next = step.next.map(|next| &self.steps[next]);
            carries(step) && next.is_some_and(|next| !carries(next))
        };
        let next = self.steps.iter().find(lost)?.next?;
        Some(shown(&self.steps[next].pad.parent_element()?))
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        for step in &mut self.steps {
            if let Some(probe) = step.probe.take() {
                step.pad.remove_probe(probe);
            }
        }
    }
}

fn shown(element: &gst::Element) -> String {
    let factory = element.factory();
    let kind = factory.map_or_else(|| element.type_().name().into(), |f| f.name());
    format!("{kind} ({})", element.name())
}

/// Notes whether a list of people passes the pad.
fn watch(pad: &gst::Pad, carries: Arc<AtomicBool>) -> Option<gst::PadProbeId> {
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let caps = pad.current_caps();
        let frame = caps.and_then(|caps| gst_video::VideoInfo::from_caps(&caps).ok());
        if let (Some(buffer), Some(frame)) = (info.buffer(), frame) {
            // A list that lies elsewhere in the picture is lost, too.
            let carries_now = media::read_people(buffer, (&frame).into()).is_some();
            carries.fetch_or(carries_now, Ordering::Relaxed);
        }
        gst::PadProbeReturn::Ok
    })
}

/// The source pads in front of an element, from which it makes what leaves this pad.
fn inputs_of(pad: &gst::Pad) -> Vec<gst::Pad> {
    let inputs = pad.iterate_internal_links().into_iter().flatten();
    inputs.filter_map(|input| source_of(&input)).collect()
}

/// The source pad of an element from which a sink pad gets its buffers, through the borders of bins.
fn source_of(sink: &gst::Pad) -> Option<gst::Pad> {
    let mut pad = sink.peer()?;
    // Of a bin's border the other side, of a ghost its target.
    for _ in 0..ELEMENTS {
        if let Some(ghost) = pad.downcast_ref::<gst::GhostPad>() {
            pad = ghost.target()?;
        } else if let Some(border) = pad.downcast_ref::<gst::ProxyPad>() {
            let outer = border.internal()?;
            pad = outer.upcast::<gst::Pad>().peer()?;
        } else {
            return Some(pad);
        }
    }
    None
}
