//! Caps: the supported formats and their colorimetry.

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
        PixelFormat::Yvyu => VideoFormat::Yvyu,
        PixelFormat::Y42b => VideoFormat::Y42b,
        PixelFormat::Y41b => VideoFormat::Y41b,
        PixelFormat::Y444 => VideoFormat::Y444,
        PixelFormat::Nv16 => VideoFormat::Nv16,
        PixelFormat::Nv61 => VideoFormat::Nv61,
        PixelFormat::Nv24 => VideoFormat::Nv24,
        PixelFormat::Vuya => VideoFormat::Vuya,
        PixelFormat::Gbr => VideoFormat::Gbr,
        PixelFormat::I420_10 => VideoFormat::I42010le,
        PixelFormat::I422_10 => VideoFormat::I42210le,
        PixelFormat::Y444_10 => VideoFormat::Y44410le,
        PixelFormat::Gbr10 => VideoFormat::Gbr10le,
        PixelFormat::P010 => VideoFormat::P01010le,
        PixelFormat::Y210 => VideoFormat::Y210,
        PixelFormat::I420_12 => VideoFormat::I42012le,
        PixelFormat::I422_12 => VideoFormat::I42212le,
        PixelFormat::Y444_12 => VideoFormat::Y44412le,
        PixelFormat::Gbr12 => VideoFormat::Gbr12le,
        PixelFormat::P012 => VideoFormat::P012Le,
        PixelFormat::Gray16 => VideoFormat::Gray16Le,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::image::ColourModel;

    #[test]
    fn our_layouts_are_gstreamers() {
        gst::init().unwrap();
        for format in PixelFormat::ALL {
            let theirs = gst_video::VideoFormatInfo::from_format(video_format(format));
            let (channels, depth) = (format.channels(), format.depth());
            assert_eq!(theirs.is_rgb(), format.model() == ColourModel::Rgb);
            assert_eq!(theirs.is_gray(), format.model() == ColourModel::Grey);
            assert_eq!(theirs.n_planes() as usize, format.planes(), "{format:?}");
            assert_eq!(theirs.has_alpha(), format.alpha().is_some(), "{format:?}");
            if format == PixelFormat::Y210 {
                // The table of GStreamer 1.22 gives neither its offsets nor that its codes lie in the upper bits. The test
                // of reidembed compares its pixels with GStreamer's converter.
                continue;
            }
            for (i, channel) in channels.into_iter().chain(format.alpha()).enumerate() {
                // GStreamer 1.22's table gives these offsets in samples where all others are in bytes.
                let offset = match format {
                    PixelFormat::P010 | PixelFormat::P012 => channel.offset * depth.bytes(),
                    _ => theirs.poffset()[i] as usize,
                };
                let expected = (
                    theirs.plane()[i] as usize,
                    offset,
                    theirs.pixel_stride()[i] as usize,
                    (1 << theirs.w_sub()[i], 1 << theirs.h_sub()[i]),
                    (theirs.depth()[i], theirs.shift()[i]),
                );
                let ours = (
                    channel.plane,
                    channel.offset * depth.bytes(),
                    channel.step * depth.bytes(),
                    (channel.wide, channel.tall),
                    (depth.bits, depth.shift),
                );
                assert_eq!(ours, expected, "{format:?} channel {i}");
            }
        }
    }
}
