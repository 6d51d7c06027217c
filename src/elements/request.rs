//! The request of `reidtrack` to `reidembed` for new vectors of uncertain people.
//!
//! A custom upstream event, [`NAME`], whose field `boxes` is a `GstValueArray` of int: x, y, width and height of each person, px of the
//! frame in which they were last seen. Other embedders pass it on or ignore it.

use crate::core::geometry::Rect;

/// The name of the event's structure.
pub(super) const NAME: &str = "reid-embed-request";
/// Most people asked for at a time.
const MAX_BOXES: usize = 64;

/// The event that asks for these people.
pub(super) fn event(boxes: &[Rect]) -> gst::Event {
    let numbers = boxes
        .iter()
        .take(MAX_BOXES)
        .flat_map(|rect| [rect.x, rect.y, rect.w, rect.h].map(|number| number.round() as i32));
    let structure = gst::Structure::builder(NAME)
        .field("boxes", gst::Array::new(numbers))
        .build();
    gst::event::CustomUpstream::new(structure)
}

/// Whom an event asks for; `None` of any other event.
pub(super) fn boxes(event: &gst::EventRef) -> Option<Vec<Rect>> {
    let structure = event.structure().filter(|s| s.name() == NAME)?;
    let numbers = structure.get::<gst::Array>("boxes").ok()?;
    let numbers: Vec<f32> = numbers
        .iter()
        .filter_map(|number| Some(number.get::<i32>().ok()? as f32))
        .collect();
    let boxes = numbers.chunks_exact(4).take(MAX_BOXES);
    Some(boxes.map(|b| Rect::new(b[0], b[1], b[2], b[3])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_whom_it_asks_for() {
        gst::init().expect("GStreamer");
        let people = [
            Rect::new(1.4, 2.0, 30.0, 60.0),
            Rect::new(-5.0, 0.0, 10.0, 20.0),
        ];
        let asked = boxes(&event(&people)).expect("a request");
        assert_eq!(asked[0], Rect::new(1.0, 2.0, 30.0, 60.0));
        assert_eq!(asked[1], people[1]);
        let other = gst::event::CustomUpstream::new(gst::Structure::new_empty("other"));
        assert_eq!(boxes(&other), None);
        let damaged = gst::Structure::builder(NAME).field("boxes", 3).build();
        assert_eq!(boxes(&gst::event::CustomUpstream::new(damaged)), None);
    }
}
