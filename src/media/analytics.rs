//! The mirror for GStreamer 1.24 and newer: `GstAnalyticsODMtd` for boxes, `GstAnalyticsTrackingMtd` for identities,
//! `GstAnalyticsClsMtd` for the names that users give, both related from the box by `RELATE_TO`, as upstream's `objectdetectionoverlay` and
//! `relationmeta2onvifmeta` read them. With 1.28 embeddings, where they are wanted, are a `GstAnalyticsTensorMtd` each.

use std::sync::Arc;

use gst_analytics::{
    AnalyticsClassificationMtd, AnalyticsMetaRefExt, AnalyticsMetaRefMutExt, AnalyticsODMtd,
    AnalyticsRelationMeta, AnalyticsRelationMetaClassificationExt, AnalyticsRelationMetaODExt,
    AnalyticsRelationMetaTrackingExt, AnalyticsTrackingMtd, RelTypes,
};

#[cfg(feature = "v1_28")]
use super::tensor;
use super::{FrameSize, roi};
use crate::core::{
    geometry::Rect,
    person::{IdentityState, Person},
};

/// An object detection that is on the buffer already.
struct Known {
    id: u32,
    region: roi::Region,
    /// Numbers of the tracking entries that it relates to.
    tracked: Vec<u64>,
    /// Classes of the classification entries that it relates to.
    classes: Vec<glib::Quark>,
    /// Whether it relates to an embedding of ours.
    #[cfg(feature = "v1_28")]
    has_tensor: bool,
}

/// What is to be written for one person.
struct Entry<'a> {
    person: &'a Person,
    region: roi::Region,
    known: Option<Known>,
}

/// Relation metas as they are written to.
type Writable<'a> = gst::MetaRefMut<'a, AnalyticsRelationMeta, gst::meta::Standalone>;

/// Writes a detection for each person that has none yet, and its identity where it has one, with the buffer times at which its track
/// was first and last seen, and the name where a user gave one, as a class. `before` as in
/// [`roi::mirror`]. Entries can be neither moved in a relation meta nor removed from it: a person keeps the entry of the
/// box that the detector saw, and an identity that was corrected is added beside the earlier one.
pub(super) fn mirror(
    buffer: &mut gst::BufferRef,
    frame: FrameSize,
    people: &[Person],
    before: Option<&[Rect]>,
    embeddings: bool,
) {
    let entries = entries(buffer, frame, people, before);
    let now = buffer.pts().unwrap_or(gst::ClockTime::ZERO);
    if buffer.meta::<AnalyticsRelationMeta>().is_none() {
        AnalyticsRelationMeta::add(buffer);
    }
    let Some(mut meta) = buffer.meta_mut::<AnalyticsRelationMeta>() else {
        return;
    };
    #[cfg(not(feature = "v1_28"))]
    let _ = embeddings; // nothing here can hold them
    let mut last_seen = Vec::new();
    for entry in &entries {
        let Some(detection) = write_detection(&mut meta, entry) else {
            continue;
        };
        write_name(&mut meta, entry, detection);
        #[cfg(feature = "v1_28")]
        if embeddings {
            write_embedding(&mut meta, entry, detection);
        }
        if let Some(tracking) = write_identity(&mut meta, entry, detection, now) {
            let unseen = gst::ClockTime::from_nseconds(entry.person.unseen_ns());
            last_seen.push((tracking, now.saturating_sub(unseen)));
        }
    }
    for (tracking, seen) in last_seen {
        note_last_seen(buffer, tracking, seen);
    }
}

/// The people inside the frame, with the entries that are there for them.
fn entries<'a>(
    buffer: &gst::BufferRef,
    frame: FrameSize,
    people: &'a [Person],
    before: Option<&[Rect]>,
) -> Vec<Entry<'a>> {
    let mut known = known(buffer);
    let entry = |(i, person): (usize, &'a Person)| {
        let region = roi::pixels(&person.rect, frame)?;
        let former = match before {
            Some(before) => before.get(i).and_then(|rect| roi::pixels(rect, frame)),
            None => Some(region),
        };
        let found = known
            .iter()
            .position(|k| former.is_some_and(|former| roi::is_same(k.region, former)));
        Some(Entry {
            person,
            region,
            known: found.map(|i| known.swap_remove(i)),
        })
    };
    people.iter().enumerate().filter_map(entry).collect()
}

/// The id of the person's detection, which is added where there is none. `None` when the meta is full.
fn write_detection(meta: &mut Writable<'_>, entry: &Entry<'_>) -> Option<u32> {
    if let Some(known) = &entry.known {
        return Some(known.id);
    }
    let (x, y, w, h) = entry.region;
    let label = glib::Quark::from_str(&*entry.person.label);
    let added = meta.add_od_mtd(
        label,
        x as i32,
        y as i32,
        w as i32,
        h as i32,
        entry.person.confidence,
    );
    added.ok().map(|detection| detection.id())
}

/// The id of the tracking entry that was added for the person's number; `None` where it is there, or there is no number.
fn write_identity(
    meta: &mut Writable<'_>,
    entry: &Entry<'_>,
    detection: u32,
    now: gst::ClockTime,
) -> Option<u32> {
    let person = entry.person;
    let number = u64::from(person.identity.as_ref()?.id.0);
    let is_there = |known: &Known| known.tracked.contains(&number);
    if entry.known.as_ref().is_some_and(is_there) {
        return None;
    }
    let first = now.saturating_sub(gst::ClockTime::from_nseconds(person.age_ns()));
    let tracking = meta.add_tracking_mtd(number, first).ok()?.id();
    // Fails only for ids that are not there.
    let _ = meta.set_relation(RelTypes::RELATE_TO, detection, tracking);
    Some(tracking)
}

/// The name that a user gave, as the class that the detection relates to: `objectdetectionoverlay` writes it beside the box.
/// Numbers are no classes: class names are kept by GLib for the life of the process.
fn write_name(meta: &mut Writable<'_>, entry: &Entry<'_>, detection: u32) {
    let Some(identity) = &entry.person.identity else {
        return;
    };
    let Some(name) = identity.name.as_deref().filter(|name| !name.is_empty()) else {
        return;
    };
    let class = glib::Quark::from_str(name);
    let is_there = |known: &Known| known.classes.contains(&class);
    if entry.known.as_ref().is_some_and(is_there) {
        return;
    }
    let level = match identity.state {
        IdentityState::New => 1.0,
        IdentityState::Pending | IdentityState::Matched => identity.score.clamp(0.0, 1.0),
    };
    if let Some(added) = meta.add_one_cls_mtd(level, class).ok().map(|c| c.id()) {
        // Fails only for ids that are not there.
        let _ = meta.set_relation(RelTypes::RELATE_TO, detection, added);
    }
}

/// Prefix of the ids of tensors that are embeddings; the fingerprint of the model follows.
#[cfg(feature = "v1_28")]
const TENSOR_PREFIX: &str = "reid-embedding-";

/// The person's embedding as a tensor that the detection relates to: 32-bit floats, one dimension. It is there once: what is on the buffer
/// already is of this frame.
#[cfg(feature = "v1_28")]
fn write_embedding(meta: &mut Writable<'_>, entry: &Entry<'_>, detection: u32) {
    let Some(embedding) = &entry.person.embedding else {
        return;
    };
    if entry.known.as_ref().is_some_and(|known| known.has_tensor) {
        return;
    }
    // Ids are kept by GLib for the life of the process; there are as many as models.
    let id = glib::Quark::from_str(format!("{TENSOR_PREFIX}{:016x}", embedding.model().0));
    if let Some(tensor) = tensor::add(meta, id, embedding.values()) {
        // Fails only for ids that are not there.
        let _ = meta.set_relation(RelTypes::RELATE_TO, detection, tensor);
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
            let tracked =
                meta.iter_direct_related::<AnalyticsTrackingMtd>(od.id(), RelTypes::RELATE_TO);
            let classified = meta
                .iter_direct_related::<AnalyticsClassificationMtd>(od.id(), RelTypes::RELATE_TO);
            Some(Known {
                id: od.id(),
                region: (size(place.x), size(place.y), size(place.w), size(place.h)),
                tracked: tracked.map(|tracking| tracking.info().0).collect(),
                classes: classified
                    .flat_map(|c| (0..c.len()).map(|i| c.quark(i)).collect::<Vec<_>>())
                    .collect(),
                #[cfg(feature = "v1_28")]
                has_tensor: tensor::related(&meta, od.id())
                    .iter()
                    .any(|tensor| tensor.id().as_str().starts_with(TENSOR_PREFIX)),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::person::{Identity, IdentityId};

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
        mirror(buffer, FRAME, std::slice::from_ref(&person), None, false);
        assert_eq!(read_detections(buffer).unwrap(), [person.clone()]);
        person.identity = Some(Identity {
            id: IdentityId(7),
            state: IdentityState::New,
            score: 0.0,
            margin: 0.0,
            evidence: None,
            previous: [].into(),
            name: Some("Ann".into()),
        });
        for _ in 0..2 {
            mirror(buffer, FRAME, std::slice::from_ref(&person), None, false);
        }
        let known = known(buffer);
        assert_eq!(known.len(), 1);
        assert_eq!(known[0].tracked, [7]);
        let names: Vec<_> = known[0]
            .classes
            .iter()
            .map(|class| class.as_str())
            .collect();
        assert_eq!(names, ["Ann"]);
    }
    #[cfg(feature = "v1_28")]
    #[test]
    fn embeddings_are_tensors_of_their_boxes_where_they_are_wanted() {
        use crate::core::embedding::{Embedding, ModelFingerprint};
        gst::init().unwrap();
        let mut person =
            Person::detected(Rect::new(10.0, 20.0, 50.0, 100.0), 0.75, "person".into(), 0);
        let fingerprint = ModelFingerprint(0xabc);
        person.embedding = Embedding::normalised(&[3.0, 0.0, 4.0], fingerprint).ok();
        let people = [person];
        let mut buffer = gst::Buffer::new();
        let buffer = buffer.make_mut();
        let tensors = |buffer: &gst::BufferRef| {
            let meta = buffer.meta::<AnalyticsRelationMeta>().unwrap();
            let ids: Vec<u32> = meta.iter::<AnalyticsODMtd>().map(|od| od.id()).collect();
            assert_eq!(ids.len(), 1);
            tensor::related(&meta, ids[0])
        };
        mirror(buffer, FRAME, &people, None, false);
        assert!(tensors(buffer).is_empty());
        for _ in 0..2 {
            mirror(buffer, FRAME, &people, None, true);
        }
        // The copy that a tee makes has it, too.
        let copy = buffer.copy();
        let found = [tensors(buffer), tensors(&copy)].concat();
        assert_eq!(found.len(), 2);
        for tensor in found {
            assert_eq!(tensor.id().as_str(), "reid-embedding-0000000000000abc");
            assert_eq!(tensor.dims(), [3]);
            let bytes = tensor.data().map_readable().unwrap().to_vec();
            let values: Vec<f32> = bytes
                .chunks_exact(4)
                .map(|b| f32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
                .collect();
            assert_eq!(values, [0.6, 0.0, 0.8]);
        }
    }
}
