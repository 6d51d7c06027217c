//! The mirror for everybody else: `GstVideoRegionOfInterestMeta` with the parameters that Intel DL Streamer reads and
//! writes (`detection`, `object_id`), and our own (`reid`).
//!
//! The mirror is written anew by each element that learns something: one person, one region. A region that is already
//! there for a person (the rectangle that the person had so far, within a pixel: GStreamer 1.22's scalers keep the
//! rectangle and lose the parameters) is completed and follows the person's box, and what others have attached to it stays.

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc};

use gst_video::VideoRegionOfInterestMeta;

use super::people::{FrameSize, PeopleMeta};
use crate::core::{geometry::Rect, person::Person};

/// Region type under which `reidtestsrc` attaches the truth. Never read as a detection, never published.
pub const TRUTH_ROI_TYPE: &str = "reid-truth";

const DETECTION: &str = "detection";
const OBJECT_ID: &str = "object_id";
const REID: &str = "reid";
const EMBEDDING: &str = "embedding";

/// DL Streamer's number for tensors of 32-bit floats.
const PRECISION_FP32: i32 = 10;

/// Who writes the mirror.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Name of the detector's model; `None` for elements that found nothing themselves.
    pub detector: Option<Arc<str>>,
    /// The camera's name, once known.
    pub camera: Option<Arc<str>>,
    /// Whether embeddings are written, too.
    pub embeddings: bool,
}

/// Left, top, width and height in whole px.
pub(super) type Region = (u32, u32, u32, u32);

/// A person's region as it is on the buffer so far, and as it shall be. `None` where nothing is inside the frame.
struct Mark {
    before: Option<Region>,
    after: Option<Region>,
}

/// A region that was there before, without what we are about to write.
struct Former {
    label: String,
    rect: Region,
    id: i32,
    parent_id: i32,
    params: Vec<gst::Structure>,
}

/// Writes a region for each person, in place of the ones that were there for them. `before` are the boxes that the first
/// of `people` had on this buffer until now, the others have none; without it everybody's box is as it was.
pub(super) fn mirror(
    buffer: &mut gst::BufferRef,
    frame: FrameSize,
    people: &[Person],
    before: Option<&[Rect]>,
    origin: &Origin,
) {
    let mark = |(i, person): (usize, &Person)| {
        let after = pixels(&person.rect, frame);
        let before = match before {
            Some(before) => before.get(i).and_then(|rect| pixels(rect, frame)),
            None => after,
        };
        Mark { before, after }
    };
    let marks: Vec<Mark> = people.iter().enumerate().map(mark).collect();
    let mut former = take_former(buffer, people, &marks, origin);
    drop_outdated(buffer);
    // Numbers are unique within the buffer and without gaps as a rule: PyGObject can reach a region only by its number.
    let kept = buffer
        .iter_meta::<VideoRegionOfInterestMeta>()
        .map(|meta| meta.id());
    let mut used: BTreeSet<i32> = kept.chain(former.iter().map(|f| f.id)).collect();
    for (person, mark) in people.iter().zip(&marks) {
        let known = mark
            .before
            .and_then(|before| nearest(&former, &person.label, before))
            .map(|i| former.swap_remove(i));
        let Some(rect) = mark.after else { continue };
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
        let has_moved = known.as_ref().is_some_and(|known| known.rect != rect);
        let params = known.map(|known| known.params).unwrap_or_default();
        if !params.iter().any(|param| param.name() == DETECTION) {
            meta.add_param(detection(person, frame, origin));
        }
        for mut param in params {
            if has_moved && param.name() == DETECTION {
                set_corners(&mut param, person, frame);
            }
            meta.add_param(param);
        }
        identity(person, origin)
            .into_iter()
            .chain(embedding(person).filter(|_| origin.embeddings))
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

/// The region of a class that lies where a person was; of several the nearest.
fn nearest(former: &[Former], label: &str, before: Region) -> Option<usize> {
    let distance = |r: Region| {
        r.0.abs_diff(before.0)
            + r.1.abs_diff(before.1)
            + r.2.abs_diff(before.2)
            + r.3.abs_diff(before.3)
    };
    let candidates = former.iter().enumerate();
    candidates
        .filter(|(_, f)| f.label == label && is_same(f.rect, before))
        .min_by_key(|(_, f)| distance(f.rect))
        .map(|(i, _)| i)
}

/// Removes what we wrote for an earlier list of people, which is being replaced; what others have added to stays.
fn drop_outdated(buffer: &mut gst::BufferRef) {
    let Some(meta) = buffer.meta::<PeopleMeta>() else {
        return;
    };
    // The regions are as the list: a picture that was cut or resized without them has them where they were.
    let frame = meta.frame_size();
    let earlier: Vec<(Arc<str>, Region)> = meta
        .people()
        .iter()
        .filter_map(|person| Some((person.label.clone(), pixels(&person.rect, frame)?)))
        .collect();
    if earlier.is_empty() {
        return;
    }
    let is_ours = |roi: &VideoRegionOfInterestMeta| {
        roi.params()
            .all(|param| [DETECTION, OBJECT_ID, REID, EMBEDDING].contains(&param.name().as_str()))
            && earlier
                .iter()
                .any(|(label, rect)| **label == *class_of(roi) && is_same(*rect, roi.rect()))
    };
    buffer.foreach_meta_mut(|mut meta| {
        let roi = meta.downcast_ref::<VideoRegionOfInterestMeta>();
        ControlFlow::Continue(if roi.is_some_and(|roi| is_ours(roi)) {
            gst::buffer::BufferMetaForeachAction::Remove
        } else {
            gst::buffer::BufferMetaForeachAction::Keep
        })
    });
}

/// The name of the camera that `reidtrack` wrote beside its identities, if any of them is there.
pub(super) fn camera(buffer: &gst::BufferRef) -> Option<String> {
    buffer
        .iter_meta::<VideoRegionOfInterestMeta>()
        .find_map(|meta| meta.param(REID)?.get::<String>("camera").ok())
        .filter(|camera| !camera.is_empty())
}

/// The class that a region names; empty where it names none (quark 0, which the bindings read as a string).
pub fn class_of(meta: &VideoRegionOfInterestMeta) -> &str {
    // SAFETY: the type is transparent over GStreamer's struct.
    let raw = unsafe {
        &*std::ptr::from_ref(meta).cast::<gst_video::ffi::GstVideoRegionOfInterestMeta>()
    };
    if raw.roi_type == 0 {
        return "";
    }
    meta.roi_type()
}

/// Detections of another detector; `None` when the buffer carries no region at all.
pub(super) fn read_detections(buffer: &gst::BufferRef, frame: FrameSize) -> Option<Vec<Person>> {
    let mut people = None;
    for meta in buffer.iter_meta::<VideoRegionOfInterestMeta>() {
        if class_of(&meta) != TRUTH_ROI_TYPE {
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
        Arc::from(class_of(meta)),
        label_id,
    )
}

/// Removes the regions that `people` will replace and returns what is to be kept of them.
fn take_former(
    buffer: &mut gst::BufferRef,
    people: &[Person],
    marks: &[Mark],
    origin: &Origin,
) -> Vec<Former> {
    let replaced = |meta: &VideoRegionOfInterestMeta| {
        people.iter().zip(marks).any(|(person, mark)| {
            mark.before.is_some_and(|rect| is_same(rect, meta.rect()))
                && *person.label == *class_of(meta)
        })
    };
    let keep = |name: &str| {
        ![OBJECT_ID, REID, EMBEDDING].contains(&name)
            && (name != DETECTION || origin.detector.is_none())
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
            label: class_of(roi).to_string(),
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
    let mut detection = gst::Structure::builder(DETECTION)
        .field("label_id", person.label_id)
        .field("confidence", f64::from(person.confidence))
        .build();
    set_corners(&mut detection, person, frame);
    detection.set("model_name", origin.detector.as_deref().unwrap_or_default());
    detection.set("layer_name", "");
    detection
}

/// Makes a `detection` say where the person's box is.
fn set_corners(detection: &mut gst::Structure, person: &Person, frame: FrameSize) {
    let part = person
        .rect
        .scaled(1.0 / frame.width as f32, 1.0 / frame.height as f32);
    let corners = [
        ("x_min", part.x),
        ("x_max", part.right()),
        ("y_min", part.y),
        ("y_max", part.bottom()),
    ];
    for (name, value) in corners {
        detection.set(name, f64::from(value.clamp(0.0, 1.0)));
    }
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

/// The embedding as a tensor of DL Streamer's: `data_buffer` holds the numbers as bytes, 32-bit floats of this machine. `model` is the
/// fingerprint of the model, `carried` says that it was made of an earlier frame.
fn embedding(person: &Person) -> Option<gst::Structure> {
    let embedding = person.embedding.as_ref()?;
    let bytes: Vec<u8> = embedding
        .values()
        .iter()
        .flat_map(|value| value.to_ne_bytes())
        .collect();
    let dimension = i32::try_from(embedding.dimension()).ok()?;
    let tensor = gst::Structure::builder(EMBEDDING)
        .field("precision", PRECISION_FP32)
        .field("dims", gst::Array::new([dimension]))
        .field("data_buffer", glib::Variant::array_from_fixed_array(&bytes))
        .field("model_name", "")
        .field("layer_name", EMBEDDING)
        .field("model", format!("{:016x}", embedding.model().0))
        .field("carried", person.is_carried);
    Some(tensor.build())
}

#[cfg(test)]
mod tests;
