//! Caps: which formats the elements take and what they say about colour.

use gst_video::{VideoColorMatrix, VideoColorRange, VideoFormat};

use crate::core::image::{Colorimetry, PixelFormat, YuvMatrix, YuvRange};

/// Longest side of a frame that the elements take, px. Larger caps do not negotiate.
pub const MAX_SIDE: i32 = 16384;

/// Our name for GStreamer's format; `None` for those that need a `videoconvert` in front.
pub fn pixel_format(format: VideoFormat) -> Option<PixelFormat> {
    PixelFormat::ALL
        .into_iter()
        .find(|&ours| video_format(ours) == format)
}

/// GStreamer's name for our format.
pub fn video_format(format: PixelFormat) -> VideoFormat {
    match format {
        PixelFormat::I420 => VideoFormat::I420,
        PixelFormat::Yv12 => VideoFormat::Yv12,
        PixelFormat::Nv12 => VideoFormat::Nv12,
        PixelFormat::Nv21 => VideoFormat::Nv21,
        PixelFormat::Yuy2 => VideoFormat::Yuy2,
        PixelFormat::Uyvy => VideoFormat::Uyvy,
        PixelFormat::Rgb => VideoFormat::Rgb,
        PixelFormat::Bgr => VideoFormat::Bgr,
        PixelFormat::Rgbx => VideoFormat::Rgbx,
        PixelFormat::Bgrx => VideoFormat::Bgrx,
        PixelFormat::Xrgb => VideoFormat::Xrgb,
        PixelFormat::Xbgr => VideoFormat::Xbgr,
        PixelFormat::Rgba => VideoFormat::Rgba,
        PixelFormat::Bgra => VideoFormat::Bgra,
        PixelFormat::Argb => VideoFormat::Argb,
        PixelFormat::Abgr => VideoFormat::Abgr,
        PixelFormat::Gray8 => VideoFormat::Gray8,
    }
}

/// The pad template of every element: raw video in system memory, all formats of [`PixelFormat::ALL`].
pub fn template() -> gst::Caps {
    gst_video::VideoCapsBuilder::new()
        .format_list(PixelFormat::ALL.map(video_format))
        .width_range(1..=MAX_SIDE)
        .height_range(1..=MAX_SIDE)
        .build()
}

/// An always-present sink and source pad of `caps`, for elements that pass frames on.
pub fn pad_templates(caps: &gst::Caps) -> Vec<gst::PadTemplate> {
    [
        ("sink", gst::PadDirection::Sink),
        ("src", gst::PadDirection::Src),
    ]
    .into_iter()
    .filter_map(|(name, direction)| {
        gst::PadTemplate::new(name, direction, gst::PadPresence::Always, caps).ok()
    })
    .collect()
}

/// Matrix and range of the caps. BT.709 and its relatives (SMPTE 240M, BT.2020) are closer to 709 than to 601; what is
/// left open follows GStreamer's own default by height.
pub fn colorimetry(info: &gst_video::VideoInfo) -> Colorimetry {
    let colorimetry = info.colorimetry();
    let matrix = match colorimetry.matrix() {
        VideoColorMatrix::Bt709 | VideoColorMatrix::Smpte240m | VideoColorMatrix::Bt2020 => {
            YuvMatrix::Bt709
        }
        VideoColorMatrix::Unknown if info.height() > 576 => YuvMatrix::Bt709,
        _ => YuvMatrix::Bt601,
    };
    let range = match colorimetry.range() {
        VideoColorRange::Range0_255 => YuvRange::Full,
        _ => YuvRange::Limited,
    };
    Colorimetry { matrix, range }
}
