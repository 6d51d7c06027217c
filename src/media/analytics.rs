//! The mirror for GStreamer 1.24 and newer: `GstAnalyticsODMtd` for boxes, `GstAnalyticsTrackingMtd` for identities,
//! related OD → Tracking by `RELATE_TO`, as upstream's `objectdetectionoverlay` and `relationmeta2onvifmeta` read them.

use std::sync::Arc;

use gst_analytics::{
    AnalyticsMetaRefExt, AnalyticsMetaRefMutExt, AnalyticsODMtd, AnalyticsRelationMeta,
    AnalyticsRelationMetaODExt, AnalyticsRelationMetaTrackingExt, AnalyticsTrackingMtd, RelTypes,
};

use super::{FrameSize, roi};
use crate::core::{geometry::Rect, person::Person};

/// An object detection that is on the buffer already.
struct Known {
    id: u32,
    region: roi::Region,
    /// Numbers of the tracking entries that it relates to.
    tracked: Vec<u64>,
}

/// Writes a detection for each person that has none yet, and its identity where it has one, with the buffer times at which its track
/// was first and last seen. `before` as in
/// [`roi::mirror`]. Entries can be neither moved in a relation meta nor removed from it: a person keeps the entry of the
/// box that the detector saw, and an identity that was corrected is added beside the earlier one.
pub(super) fn mirror(
    buffer: &mut gst::BufferRef,
    frame: FrameSize,
    people: &[Person],
    before: Option<&[Rect]>,
) {
    let mut known = known(buffer);
    let mut last_seen = Vec::new();
    let now = buffer.pts().unwrap_or(gst::ClockTime::ZERO);
    if buffer.meta::<AnalyticsRelationMeta>().is_none() {
        AnalyticsRelationMeta::add(buffer);
    }
    let Some(mut meta) = buffer.meta_mut::<AnalyticsRelationMeta>() else {
        return;
    };
    for (i, person) in people.iter().enumerate() {
        let Some(region) = roi::pixels(&person.rect, frame) else {
            continue;
        };
        let former = match before {
            Some(before) => before.get(i).and_then(|rect| roi::pixels(rect, frame)),
            None => Some(region),
        };
        let found = known
            .iter()
            .position(|k| former.is_some_and(|former| roi::is_same(k.region, former)))
            .map(|i| known.swap_remove(i));
        let (id, tracked) = match found {
            Some(known) => (known.id, known.tracked),
            None => {
                let (x, y, w, h) = region;
                let label = glib::Quark::from_str(&*person.label);
                let added = meta.add_od_mtd(
                    label,
                    x as i32,
                    y as i32,
                    w as i32,
                    h as i32,
                    person.confidence,
                );
                let Ok(id) = added.map(|od| od.id()) else {
                    continue;
                };
                (id, Vec::new())
            }
        };
        let number = person
            .identity
            .as_ref()
            .map(|identity| u64::from(identity.id.0));
        let added = number
            .filter(|number| !tracked.contains(number))
            .and_then(|number| {
                let first = now.saturating_sub(gst::ClockTime::from_nseconds(person.age_ns()));
                let tracking = meta.add_tracking_mtd(number, first).ok()?;
                Some(tracking.id())
            });
        if let Some(tracking) = added {
            // Fails only for ids that are not there.
            let _ = meta.set_relation(RelTypes::RELATE_TO, id, tracking);
            let unseen = gst::ClockTime::from_nseconds(person.unseen_ns());
            last_seen.push((tracking, now.saturating_sub(unseen)));
        }
    }
    for (tracking, seen) in last_seen {
        note_last_seen(buffer, tracking, seen);
    }
}

/// Tracking entries are made with one time for both the first and the last sighting.
fn note_last_seen(buffer: &mut gst::BufferRef, tracking: u32, seen: gst::ClockTime) {
    let Some(mut meta) = buffer.meta_mut::<AnalyticsRelationMeta>() else {
        return;
    };
    if let Some(mut tracking) = meta.mtd_mut::<AnalyticsTrackingMtd>(tracking) {
        // Fails only for entries that are not there.
        let _ = tracking.update_last_seen(seen);
    }
}

/// Detections of another detector; `None` when the buffer carries no object detection.
pub(super) fn read_detections(buffer: &gst::BufferRef) -> Option<Vec<Person>> {
    let meta = buffer.meta::<AnalyticsRelationMeta>()?;
    let people: Vec<_> = meta
        .iter::<AnalyticsODMtd>()
        .filter_map(|od| {
            let place = od.location().ok()?;
            let rect = Rect::new(
                place.x as f32,
                place.y as f32,
                place.w as f32,
                place.h as f32,
            );
            let label = od.obj_type().map_or("", |label| label.as_str());
            let confidence = if place.loc_conf_lvl.is_finite() {
                place.loc_conf_lvl.clamp(0.0, 1.0)
            } else {
                1.0
            };
            Some(Person::detected(rect, confidence, Arc::from(label), 0))
        })
        .collect();
    (!people.is_empty()).then_some(people)
}

fn known(buffer: &gst::BufferRef) -> Vec<Known> {
    let Some(meta) = buffer.meta::<AnalyticsRelationMeta>() else {
        return Vec::new();
    };
    meta.iter::<AnalyticsODMtd>()
        .filter_map(|od| {
            let place = od.location().ok()?;
            let size = |v: i32| u32::try_from(v).unwrap_or(0);
            let related =
                meta.iter_direct_related::<AnalyticsTrackingMtd>(od.id(), RelTypes::RELATE_TO);
            Some(Known {
                id: od.id(),
                region: (size(place.x), size(place.y), size(place.w), size(place.h)),
                tracked: related.map(|tracking| tracking.info().0).collect(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::person::{Identity, IdentityId, IdentityState};

    const FRAME: FrameSize = FrameSize {
        width: 640,
        height: 480,
    };

    #[test]
    fn detections_and_identities_are_related_once() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        let buffer = buffer.make_mut();
        let mut person =
            Person::detected(Rect::new(10.0, 20.0, 50.0, 100.0), 0.75, "person".into(), 0);
        assert!(read_detections(buffer).is_none());
        mirror(buffer, FRAME, std::slice::from_ref(&person), None);
        assert_eq!(read_detections(buffer).unwrap(), [person.clone()]);
        person.identity = Some(Identity {
            id: IdentityId(7),
            state: IdentityState::New,
            score: 0.0,
            margin: 0.0,
            evidence: None,
            previous: [].into(),
            name: None,
        });
        for _ in 0..2 {
            mirror(buffer, FRAME, std::slice::from_ref(&person), None);
        }
        let known = known(buffer);
        assert_eq!(known.len(), 1);
        assert_eq!(known[0].tracked, [7]);
    }
}
