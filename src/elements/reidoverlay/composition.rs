//! Drawings that are left to the sink: caps, the question whether downstream lays them over the picture, and the meta.
//!
//! As upstream's `textoverlay` does it: caps with the feature `meta:GstVideoOverlayComposition` are preferred where downstream takes
//! them; whether it really draws is its answer to an allocation query.

use gst::prelude::*;
use gst_base::prelude::*;
use gst_video::{
    VideoFormat, VideoFrameFlags, VideoMeta, VideoOverlayComposition, VideoOverlayCompositionMeta,
    VideoOverlayFormatFlags, VideoOverlayRectangle,
};

use crate::core::{image::PixelFormat, overlay::Patch};

/// The format of rectangles (`GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_RGB`): 32-bit words of alpha, red, green and blue.
pub(super) const FORMAT: PixelFormat = if cfg!(target_endian = "little") {
    PixelFormat::Bgra
} else {
    PixelFormat::Argb
};

fn features() -> gst::CapsFeatures {
    gst::CapsFeatures::new([
        gst::CAPS_FEATURE_MEMORY_SYSTEM_MEMORY.as_str(),
        gst_video::CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION.as_str(),
    ])
}

/// Whether buffers of these caps may carry drawings.
fn has_feature(caps: &gst::CapsRef) -> bool {
    let name = gst_video::CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION;
    let mut all = caps.iter_with_features();
    all.any(|(_, features)| !features.is_any() && features.contains(name.as_str()))
}

/// The same caps with the feature in place of plain system memory.
fn with_feature(caps: &gst::Caps) -> gst::Caps {
    let mut caps = caps.clone();
    caps.make_mut().set_features_simple(Some(features()));
    caps
}

/// The same caps in plain system memory.
fn without_feature(caps: &gst::Caps) -> gst::Caps {
    let mut caps = caps.clone();
    caps.make_mut().set_features_simple(None);
    caps
}

/// Pad templates of caps in plain system memory: with the feature as well.
pub(super) fn template(plain: &gst::Caps) -> gst::Caps {
    let mut caps = plain.clone();
    caps.merge(with_feature(plain));
    caps
}

/// Caps on the other side of the element, the preferred first. The feature can be added on the way downstream, never taken away:
/// drawings that are on the buffers already would be lost. `is_refused`: downstream does not draw, so it is not added.
pub(super) fn transformed(
    direction: gst::PadDirection,
    caps: &gst::Caps,
    is_refused: bool,
) -> gst::Caps {
    let mut preferred = gst::Caps::new_empty();
    let mut others = gst::Caps::new_empty();
    for (structure, features) in caps.iter_with_features() {
        let mut one = gst::Caps::new_empty();
        one.make_mut()
            .append_structure_full(structure.to_owned(), Some(features.to_owned()));
        match (direction, has_feature(&one)) {
            (gst::PadDirection::Sink, true) => preferred.merge(one),
            (gst::PadDirection::Sink, false) => {
                if !is_refused {
                    preferred.merge(with_feature(&one));
                }
                others.merge(one);
            }
            (_, true) => {
                preferred.merge(one.clone());
                others.merge(without_feature(&one));
            }
            (_, false) => others.merge(one),
        }
    }
    preferred.merge(others);
    preferred
}

/// Who lays the drawing over the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sink {
    /// Not asked yet.
    #[default]
    Unknown,
    /// Downstream does.
    Draws,
    /// We do.
    Refuses,
}

/// Asks whether downstream draws. Where it does not, the caps lose the feature that we added. Where upstream's caps have it, downstream
/// has to.
pub(super) fn ask(element: &super::ReidOverlay) -> Sink {
    let (sink_pad, src_pad) = (element.sink_pad(), element.src_pad());
    let Some(caps) = src_pad.current_caps().filter(|caps| has_feature(caps)) else {
        return Sink::Refuses;
    };
    let was_there = |caps: gst::Caps| has_feature(&caps);
    if sink_pad.current_caps().is_some_and(was_there) || is_offered(src_pad, &caps) {
        return Sink::Draws;
    }
    // Whether downstream takes them shows when the buffer comes.
    let _ = element.update_src_caps(&without_feature(&caps));
    Sink::Refuses
}

/// Whether downstream lays drawings over pictures of these caps, as it answers an allocation query.
fn is_offered(src_pad: &gst::Pad, caps: &gst::Caps) -> bool {
    let mut query = gst::query::Allocation::new(Some(caps), false);
    src_pad.peer_query(&mut query)
        && query
            .find_allocation_meta::<VideoOverlayCompositionMeta>()
            .is_some()
}

/// Attaches patches to a buffer, above drawings that are there.
pub(super) fn attach(
    buffer: &mut gst::BufferRef,
    patches: Vec<Patch>,
) -> Result<(), glib::BoolError> {
    let mut rectangles = Vec::new();
    let before = buffer.meta::<VideoOverlayCompositionMeta>();
    if let Some(before) = &before {
        rectangles.extend(before.overlay().iter());
    }
    for patch in patches {
        rectangles.push(rectangle(patch)?);
    }
    let composition = VideoOverlayComposition::new(&rectangles)?;
    match buffer.meta_mut::<VideoOverlayCompositionMeta>() {
        Some(mut meta) => meta.set_overlay(&composition),
        None => {
            VideoOverlayCompositionMeta::add(buffer, &composition);
        }
    }
    Ok(())
}

fn rectangle(Patch { area, pixels }: Patch) -> Result<VideoOverlayRectangle, glib::BoolError> {
    let format = match FORMAT {
        PixelFormat::Argb => VideoFormat::Argb,
        _ => VideoFormat::Bgra,
    };
    let (width, height) = (area.width as u32, area.height as u32);
    let mut buffer = gst::Buffer::from_mut_slice(pixels);
    let writable = buffer.make_mut();
    VideoMeta::add(writable, VideoFrameFlags::empty(), format, width, height)?;
    Ok(VideoOverlayRectangle::new_raw(
        &buffer,
        area.x,
        area.y,
        width,
        height,
        VideoOverlayFormatFlags::PREMULTIPLIED_ALPHA,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(text: &str) -> gst::Caps {
        text.parse().unwrap()
    }

    const WITH: &str =
        "video/x-raw(memory:SystemMemory, meta:GstVideoOverlayComposition), format=I420";

    #[test]
    fn the_feature_is_added_downstream_and_never_taken_away() {
        gst::init().unwrap();
        let plain = caps("video/x-raw, format=I420");
        let both = caps(&format!("{WITH}; video/x-raw, format=I420"));
        use gst::PadDirection::{Sink, Src};
        for (direction, from, is_refused, to) in [
            (Sink, &plain, false, &both),
            (Sink, &plain, true, &plain),
            (Sink, &caps(WITH), true, &caps(WITH)),
            (Src, &plain, false, &plain),
            (Src, &caps(WITH), false, &both),
        ] {
            let is = transformed(direction, from, is_refused);
            assert!(is.is_strictly_equal(to), "{direction:?} {from}: {is}");
        }
    }
}
