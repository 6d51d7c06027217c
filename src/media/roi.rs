//! The mirror for everybody else: `GstVideoRegionOfInterestMeta` with the parameters that Intel DL Streamer reads and
//! writes (`detection`, `object_id`), and our own (`reid`).
//!
//! The mirror is written anew by each element that learns something. A region that is already there for a person (the
//! same rectangle within a pixel: GStreamer 1.22's scalers keep the rectangle and lose the parameters) is completed,
//! and what others have attached to it stays.

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc};

use gst_video::VideoRegionOfInterestMeta;

use super::{FrameSize, TRUTH_ROI_TYPE};
use crate::core::{geometry::Rect, person::Person};

const DETECTION: &str = "detection";
const OBJECT_ID: &str = "object_id";
const REID: &str = "reid";

/// Who writes the mirror.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Name of the detector's model; `None` for elements that found nothing themselves.
    pub detector: Option<Arc<str>>,
    /// The camera's name, once known.
    pub camera: Option<Arc<str>>,
}

/// Left, top, width and height in whole px.
pub(super) type Region = (u32, u32, u32, u32);

/// A region that was there before, without what we are about to write.
struct Former {
    rect: Region,
    id: i32,
    parent_id: i32,
    params: Vec<gst::Structure>,
}

/// Writes a region for each person, in place of the ones that were there for the same boxes.
pub(super) fn mirror(
    buffer: &mut gst::BufferRef,
    frame: FrameSize,
    people: &[Person],
    origin: &Origin,
) {
    let regions: Vec<_> = people
        .iter()
        .map(|person| pixels(&person.rect, frame))
        .collect();
    let mut former = take_former(buffer, people, &regions, origin);
    // Numbers are unique within the buffer and without gaps as a rule: PyGObject can reach a region only by its number.
    let kept = buffer
        .iter_meta::<VideoRegionOfInterestMeta>()
        .map(|meta| meta.id());
    let mut used: BTreeSet<i32> = kept.chain(former.iter().map(|f| f.id)).collect();
    for (person, region) in people.iter().zip(regions) {
        let Some(rect) = region else { continue };
        let known = former
            .iter()
            .position(|f| is_same(f.rect, rect))
            .map(|i| former.swap_remove(i));
        let mut meta = VideoRegionOfInterestMeta::add(buffer, &person.label, rect);
        match &known {
            Some(known) => {
                meta.set_id(known.id);
                meta.set_parent_id(known.parent_id);
            }
            None => {
                let id = free_number(&used);
                used.insert(id);
                meta.set_id(id);
            }
        }
        let params = known.map(|known| known.params).unwrap_or_default();
        if !params.iter().any(|param| param.name() == DETECTION) {
            meta.add_param(detection(person, frame, origin));
        }
        params.into_iter().for_each(|param| meta.add_param(param));
        identity(person, origin)
            .into_iter()
            .for_each(|param| meta.add_param(param));
    }
}

/// The number behind the highest one that is used, or the lowest free one where there is none behind it.
fn free_number(used: &BTreeSet<i32>) -> i32 {
    let highest = used.last().map_or(0, |&id| id.max(0));
    highest
        .checked_add(1)
        .or_else(|| (1..=i32::MAX).find(|id| !used.contains(id)))
        .unwrap_or(i32::MAX)
}

/// The name of the camera that `reidtrack` wrote beside its identities, if any of them is there.
pub fn camera(buffer: &gst::BufferRef) -> Option<String> {
    buffer
        .iter_meta::<VideoRegionOfInterestMeta>()
        .find_map(|meta| meta.param(REID)?.get::<String>("camera").ok())
        .filter(|camera| !camera.is_empty())
}

/// Detections of another detector; `None` when the buffer carries no region at all.
pub(super) fn read_detections(buffer: &gst::BufferRef, frame: FrameSize) -> Option<Vec<Person>> {
    let mut people = None;
    for meta in buffer.iter_meta::<VideoRegionOfInterestMeta>() {
        if meta.roi_type() != TRUTH_ROI_TYPE {
            people
                .get_or_insert_with(Vec::new)
                .push(read_detection(&meta, frame));
        }
    }
    people
}

/// One region as a person. The `detection` parameter is finer than the whole pixels of the rectangle and carries the
/// score; without it (lost by a converter) the score is 1.
fn read_detection(meta: &VideoRegionOfInterestMeta, frame: FrameSize) -> Person {
    let (x, y, w, h) = meta.rect();
    let whole = Rect::new(x as f32, y as f32, w as f32, h as f32);
    let detection = meta.param(DETECTION);
    let number = |name: &str| {
        detection
            .and_then(|d| d.get::<f64>(name).ok())
            .map(|v| v as f32)
    };
    let fine = (|| {
        let corners = Rect::from_corners(
            number("x_min")?,
            number("y_min")?,
            number("x_max")?,
            number("y_max")?,
        );
        let rect = corners.scaled(frame.width as f32, frame.height as f32);
        // A scaler may have moved the rectangle: then the fractions still hold. A cropper moves only the rectangle.
        pixels(&rect, frame)
            .filter(|&p| is_same(p, meta.rect()))
            .map(|_| rect)
    })();
    let label_id = detection
        .and_then(|d| d.get::<i32>("label_id").ok())
        .unwrap_or(0);
    let confidence = number("confidence")
        .filter(|c| c.is_finite())
        .unwrap_or(1.0);
    Person::detected(
        fine.unwrap_or(whole),
        confidence,
        Arc::from(meta.roi_type()),
        label_id,
    )
}

/// Removes the regions that `people` will replace and returns what is to be kept of them.
fn take_former(
    buffer: &mut gst::BufferRef,
    people: &[Person],
    regions: &[Option<Region>],
    origin: &Origin,
) -> Vec<Former> {
    let replaced = |meta: &VideoRegionOfInterestMeta| {
        people.iter().zip(regions).any(|(person, region)| {
            region.is_some_and(|rect| is_same(rect, meta.rect()))
                && *person.label == *meta.roi_type()
        })
    };
    let keep = |name: &str| {
        name != OBJECT_ID && name != REID && (name != DETECTION || origin.detector.is_none())
    };
    let mut former = Vec::new();
    buffer.foreach_meta_mut(|mut meta| {
        let Some(roi) = meta
            .downcast_ref::<VideoRegionOfInterestMeta>()
            .filter(|roi| replaced(roi))
        else {
            return ControlFlow::Continue(gst::buffer::BufferMetaForeachAction::Keep);
        };
        former.push(Former {
            rect: roi.rect(),
            id: roi.id(),
            parent_id: roi.parent_id(),
            params: roi
                .params()
                .filter(|p| keep(p.name()))
                .map(|p| p.to_owned())
                .collect(),
        });
        ControlFlow::Continue(gst::buffer::BufferMetaForeachAction::Remove)
    });
    former
}

/// The whole pixels of a box inside the frame; `None` when nothing of it is inside.
pub(super) fn pixels(rect: &Rect, frame: FrameSize) -> Option<Region> {
    let inside = rect.clipped(frame.width as f32, frame.height as f32)?;
    let (x, y) = (inside.x.round() as u32, inside.y.round() as u32);
    let (right, bottom) = (
        inside.right().round() as u32,
        inside.bottom().round() as u32,
    );
    Some((
        x,
        y,
        right.saturating_sub(x).max(1),
        bottom.saturating_sub(y).max(1),
    ))
}

/// Equal within a pixel, as after a scaler's rounding.
pub(super) fn is_same(a: Region, b: Region) -> bool {
    a.0.abs_diff(b.0) <= 1
        && a.1.abs_diff(b.1) <= 1
        && a.2.abs_diff(b.2) <= 1
        && a.3.abs_diff(b.3) <= 1
}

/// DL Streamer's `detection` parameter: corners as fractions of the frame.
fn detection(person: &Person, frame: FrameSize, origin: &Origin) -> gst::Structure {
    let part = person
        .rect
        .scaled(1.0 / frame.width as f32, 1.0 / frame.height as f32);
    let fraction = |v: f32| f64::from(v.clamp(0.0, 1.0));
    gst::Structure::builder(DETECTION)
        .field("label_id", person.label_id)
        .field("confidence", f64::from(person.confidence))
        .field("x_min", fraction(part.x))
        .field("x_max", fraction(part.right()))
        .field("y_min", fraction(part.y))
        .field("y_max", fraction(part.bottom()))
        .field("model_name", origin.detector.as_deref().unwrap_or_default())
        .field("layer_name", "")
        .build()
}

/// DL Streamer's `object_id` and our `reid`, for a person who carries an identity.
fn identity(person: &Person, origin: &Origin) -> Vec<gst::Structure> {
    let Some(identity) = &person.identity else {
        return Vec::new();
    };
    // Identities stay below 2^31.
    let id = identity.id.0 as i32;
    let name = identity
        .name
        .as_deref()
        .map_or_else(|| identity.id.to_string(), str::to_owned);
    let reid = gst::Structure::builder(REID)
        .field("global_id", id)
        .field(
            "track_id",
            person.track.map_or(0, |track| track.id.0 as i32),
        )
        .field("unseen_ns", person.unseen_ns())
        .field("camera", origin.camera.as_deref().unwrap_or_default())
        .field("state", identity.state.as_str())
        .field("score", f64::from(identity.score))
        .field("margin", f64::from(identity.margin))
        .field("label", name)
        .field("model_name", REID)
        .build();
    vec![
        gst::Structure::builder(OBJECT_ID).field("id", id).build(),
        reid,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        core::person::{Identity, IdentityId, IdentityState},
        media,
    };

    const FRAME: FrameSize = FrameSize {
        width: 640,
        height: 480,
    };

    fn person(x: f32) -> Person {
        Person::detected(Rect::new(x, 20.25, 50.0, 100.5), 0.75, "person".into(), 0)
    }

    fn identified(x: f32, id: u32) -> Person {
        let identity = Identity {
            id: IdentityId(id),
            state: IdentityState::Matched,
            score: 0.5,
            margin: 0.25,
            evidence: None,
            previous: [].into(),
            name: None,
        };
        Person {
            identity: Some(identity),
            ..person(x)
        }
    }

    fn regions(buffer: &gst::BufferRef) -> Vec<(String, Vec<String>)> {
        buffer
            .iter_meta::<VideoRegionOfInterestMeta>()
            .map(|m| {
                (
                    m.roi_type().to_string(),
                    m.params().map(|p| p.name().to_string()).collect(),
                )
            })
            .collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        let buffer = buffer.make_mut();
        assert!(media::read_people(buffer, FRAME).is_none());
        mirror(buffer, FRAME, &[person(10.0)], &Origin::default());
        let read = read_detections(buffer, FRAME).unwrap();
        assert_eq!(read.len(), 1);
        assert!((read[0].rect.y - 20.25).abs() < 1e-3 && (read[0].confidence - 0.75).abs() < 1e-6);
    }

    #[test]
    fn a_second_writer_completes_the_region_and_keeps_foreign_parameters() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        let buffer = buffer.make_mut();
        mirror(
            buffer,
            FRAME,
            &[person(10.0)],
            &Origin {
                detector: Some("yolo".into()),
                camera: None,
            },
        );
        for mut meta in buffer.iter_meta_mut::<VideoRegionOfInterestMeta>() {
            meta.add_param(gst::Structure::new_empty("classification"));
        }
        VideoRegionOfInterestMeta::add(buffer, "face", (0, 0, 5, 5));
        for _ in 0..2 {
            mirror(
                buffer,
                FRAME,
                &[identified(10.0, 7)],
                &Origin {
                    detector: None,
                    camera: Some("door".into()),
                },
            );
        }
        let mut regions = regions(buffer);
        regions.sort();
        assert_eq!(regions[0].0, "face");
        assert_eq!(
            regions[1].1,
            ["detection", "classification", "object_id", "reid"]
        );
        assert_eq!(regions.len(), 2);
        let roi = buffer
            .iter_meta::<VideoRegionOfInterestMeta>()
            .find(|m| m.roi_type() == "person")
            .unwrap();
        let reid = roi.param(REID).unwrap();
        assert_eq!(reid.get::<i32>("global_id"), Ok(7));
        assert_eq!(reid.get::<String>("camera"), Ok("door".into()));
        assert_eq!(reid.get::<String>("label"), Ok("P7".into()));
        assert_eq!(
            roi.param(DETECTION).unwrap().get::<String>("model_name"),
            Ok("yolo".into())
        );
    }

    #[test]
    fn numbers_never_run_out() {
        for (used, expected) in [
            (&[][..], 1),
            (&[0, -5], 1),
            (&[1, 7], 8),
            (&[1, 2, i32::MAX], 3),
        ] {
            assert_eq!(free_number(&used.iter().copied().collect()), expected);
        }
    }

    #[test]
    fn boxes_outside_the_frame_have_no_region_and_the_truth_is_no_detection() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        let buffer = buffer.make_mut();
        mirror(
            buffer,
            FRAME,
            &[person(1000.0), person(f32::NAN)],
            &Origin::default(),
        );
        assert!(read_detections(buffer, FRAME).is_none());
        VideoRegionOfInterestMeta::add(buffer, TRUTH_ROI_TYPE, (0, 0, 5, 5));
        assert!(read_detections(buffer, FRAME).is_none());
    }
}
