//! Between GStreamer's buffers and the plain types of [`crate::core`]: mapped frames, the typed meta between the elements of this
//! plugin, and its copies for other programs. The only module with `unsafe`.

#[cfg(feature = "v1_24")]
mod analytics;
pub mod caps;
pub mod frame;
pub mod people;
pub mod roi;
#[cfg(feature = "v1_28")]
mod tensor;
mod transform;
#[cfg(feature = "v1_24")]
mod wire;

pub use frame::{FrameError, MappedFrame};
pub use people::{FrameSize, PeopleMeta, Viewpoint};
pub use roi::TRUTH_ROI_TYPE;

use std::sync::{Arc, LazyLock};

use crate::core::{geometry::Rect, person::Person};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "reidmeta",
        gst::DebugColorFlags::empty(),
        Some("People attached to buffers"),
    )
});

/// The people of a buffer: from this plugin's own meta if it is there, else from the regions of interest (or,
/// with feature `v1_24`, the analytics metas) of another detector. `None` when nobody has looked at this frame, which is not the same as an empty list.
///
/// Boxes are px of `frame`, the size that the caps give: a list that was written for another one follows a crop or a
/// change of size, and is passed over where the picture has another shape.
pub fn read_people(buffer: &gst::BufferRef, frame: FrameSize) -> Option<Vec<Person>> {
    if let Some(meta) = buffer.meta::<PeopleMeta>() {
        // Where the list is passed over, the regions that mirror it lie wrongly, too.
        return fitted(&meta, buffer, frame);
    }
    roi::read_detections(buffer, frame).or_else(|| read_analytics(buffer))
}

/// Greatest difference between two aspect ratios of one picture that was resized: whole pixels and even sizes.
const SAME_SHAPE: f32 = 0.02;

/// The people of a list in px of `frame`; `None` when nobody knows where they are in it.
fn fitted(meta: &PeopleMeta, buffer: &gst::BufferRef, frame: FrameSize) -> Option<Vec<Person>> {
    let written = meta.frame_size();
    let mut people = meta.people().to_vec();
    if written == frame {
        return Some(people);
    }
    let cut = buffer
        .meta::<gst_video::VideoCropMeta>()
        .map(|crop| crop.rect())
        .filter(|&(_, _, width, height)| FrameSize { width, height } == frame);
    if let Some((x, y, _, _)) = cut {
        for person in &mut people {
            person.rect.x -= x as f32;
            person.rect.y -= y as f32;
        }
        return Some(people);
    }
    let scale = (
        frame.width as f32 / written.width as f32,
        frame.height as f32 / written.height as f32,
    );
    if (scale.0 / scale.1 - 1.0).abs() < SAME_SHAPE {
        for person in &mut people {
            person.rect = person.rect.scaled(scale.0, scale.1);
        }
        return Some(people);
    }
    gst::warning!(
        CAT,
        "boxes of a picture of {}x{} px do not fit one of {}x{} px with another aspect ratio: put the detector behind the element that changes the picture's shape",
        written.width,
        written.height,
        frame.width,
        frame.height
    );
    None
}

#[cfg(feature = "v1_24")]
fn read_analytics(buffer: &gst::BufferRef) -> Option<Vec<Person>> {
    analytics::read_detections(buffer)
}

#[cfg(not(feature = "v1_24"))]
fn read_analytics(_: &gst::BufferRef) -> Option<Vec<Person>> {
    None
}

/// Attaches `people` to the buffer, in place of what was there, and mirrors them to region-of-interest metas. Regions
/// that are there for the same boxes are completed.
pub fn write_people(
    buffer: &mut gst::BufferRef,
    frame: FrameSize,
    people: Vec<Person>,
    origin: &roi::Origin,
) {
    attach(buffer, frame, people, None, origin);
}

/// Like [`write_people`], for people whose boxes have moved: `before` are the boxes of [`read_people`], which the first
/// of `people` had; the others are new on this buffer. Regions that are there for `before` follow.
pub fn rewrite_people(
    buffer: &mut gst::BufferRef,
    frame: FrameSize,
    people: Vec<Person>,
    before: &[Rect],
    origin: &roi::Origin,
) {
    attach(buffer, frame, people, Some(before), origin);
}

fn attach(
    buffer: &mut gst::BufferRef,
    frame: FrameSize,
    people: Vec<Person>,
    before: Option<&[Rect]>,
    origin: &roi::Origin,
) {
    roi::mirror(buffer, frame, &people, before, origin);
    #[cfg(feature = "v1_24")]
    analytics::mirror(buffer, frame, &people, before, origin.embeddings);
    PeopleMeta::set(buffer, frame, people);
    if let Some(camera) = &origin.camera
        && let Some(mut meta) = buffer.meta_mut::<PeopleMeta>()
    {
        meta.viewpoint_mut().camera = Some(camera.clone());
    }
}

/// Whose view the picture of a buffer is, as far as `reidtrack` has said it: in our own meta, which converters keep, else
/// in the regions.
pub fn viewpoint(buffer: &gst::BufferRef) -> Viewpoint {
    let known = buffer.meta::<PeopleMeta>();
    let mut viewpoint = known.map_or_else(Viewpoint::default, |meta| meta.viewpoint().clone());
    if viewpoint.camera.is_none() {
        viewpoint.camera = roi::camera(buffer).map(Arc::from);
    }
    viewpoint
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUND: FrameSize = FrameSize {
        width: 640,
        height: 480,
    };

    /// Where a person at 100, 50 is who was found in a picture of 640x480, in one of `width` x `height`.
    fn check(crop: Option<(u32, u32, u32, u32)>, width: u32, height: u32, expected: Option<Rect>) {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        let writable = buffer.make_mut();
        let person = Person::detected(Rect::new(100.0, 50.0, 40.0, 80.0), 0.5, "person".into(), 0);
        PeopleMeta::set(writable, FOUND, vec![person]);
        if let Some(rect) = crop {
            gst_video::VideoCropMeta::add(writable, rect);
        }
        let people = read_people(&buffer, FrameSize { width, height });
        assert_eq!(people.map(|people| people[0].rect), expected);
    }

    #[test]
    fn a_list_of_another_size_follows_the_picture_or_is_passed_over() {
        let there = Rect::new(100.0, 50.0, 40.0, 80.0);
        check(None, 640, 480, Some(there));
        check(None, 320, 240, Some(Rect::new(50.0, 25.0, 20.0, 40.0)));
        check(None, 480, 640, None);
        let cut = Some((60, 20, 500, 300));
        check(cut, 500, 300, Some(Rect::new(40.0, 30.0, 40.0, 80.0)));
        check(cut, 480, 640, None);
    }
}
