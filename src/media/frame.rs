//! A buffer mapped for reading or writing, as an [`ImageView`].
//!
//! The picture is that of the caps. A buffer may contain a larger one (`GstVideoMeta`), of which `GstVideoCropMeta` gives the part. The
//! elements do not propose that, but handle it.

use gst_video::prelude::*;

use super::caps;
use crate::core::{
    image::{ImageError, ImageView, Plane},
    image_mut::{ImageMut, PlaneMut},
};

/// Why a buffer cannot be seen as a picture.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum FrameError {
    #[error(
        "the buffer ({bytes} bytes) is too small for a frame of its caps ({caps}): check the element in front"
    )]
    Map { bytes: usize, caps: String },
    #[error("format {0} is not supported: put a videoconvert in front")]
    Format(gst_video::VideoFormat),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("the drawing cannot be attached: {0}")]
    Composition(glib::BoolError),
}

/// Which part of the picture in memory is seen, px.
#[derive(Clone, Copy, Debug)]
struct Part {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

impl Part {
    /// The picture of the caps `info`, from where the buffer's crop begins.
    fn of(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Self {
        let crop = buffer.meta::<gst_video::VideoCropMeta>();
        let (x, y, _, _) = crop.map_or((0, 0, 0, 0), |crop| crop.rect());
        Self {
            x: x as usize,
            y: y as usize,
            width: info.width() as usize,
            height: info.height() as usize,
        }
    }

    /// Bytes of a plane in front of its first sample. Where chroma is halved, an odd corner moves to the even one before.
    fn offset(&self, format: &gst_video::VideoFormatInfo, plane: usize, stride: usize) -> usize {
        let sub = |all: &[u32]| all.iter().copied().max().unwrap_or(0);
        let even = |at: usize, sub: u32| at >> sub << sub;
        let (x, y) = (
            even(self.x, sub(format.w_sub())),
            even(self.y, sub(format.h_sub())),
        );
        let component = format.plane().iter().position(|&p| p as usize == plane);
        component.map_or(0, |c| {
            let step = usize::try_from(format.pixel_stride()[c]).unwrap_or(0);
            (y >> format.h_sub()[c]) * stride + (x >> format.w_sub()[c]) * step
        })
    }
}

/// A buffer mapped read-only. Strides come from the buffer's own `GstVideoMeta` where it has one.
/// Interlaced frames are seen as they lie in memory: both fields woven.
pub struct MappedFrame<'a>(gst_video::VideoFrameRef<&'a gst::BufferRef>, Part);

impl<'a> MappedFrame<'a> {
    /// Maps `buffer`, whose caps are `info`.
    pub fn readable(
        buffer: &'a gst::BufferRef,
        info: &'a gst_video::VideoInfo,
    ) -> Result<Self, FrameError> {
        let part = Part::of(buffer, info);
        gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info)
            .map(|frame| Self(frame, part))
            .map_err(|_| map_error(buffer, info))
    }

    /// The pixels.
    pub fn view(&self) -> Result<ImageView<'_>, FrameError> {
        let Self(frame, part) = self;
        let format =
            caps::pixel_format(frame.format()).ok_or(FrameError::Format(frame.format()))?;
        let mut planes = [Plane::default(); 3];
        let count = format.planes();
        for (i, plane) in planes[..count].iter_mut().enumerate() {
            let too_small = || map_error(frame.buffer(), frame.info());
            let data = frame.plane_data(i as u32).map_err(|_| too_small())?;
            let stride = usize::try_from(frame.plane_stride()[i]).unwrap_or(0);
            let offset = part.offset(&frame.format_info(), i, stride);
            let data = data.get(offset..).ok_or_else(too_small)?;
            *plane = Plane { data, stride };
        }
        Ok(ImageView::new(
            format,
            part.width,
            part.height,
            &planes[..count],
            caps::colorimetry(frame.info()),
        )?)
    }
}

/// A buffer mapped for reading and writing. Strides come from the buffer's own `GstVideoMeta` where it has one.
pub struct MappedFrameMut<'a>(gst_video::VideoFrameRef<&'a mut gst::BufferRef>, Part);

impl<'a> MappedFrameMut<'a> {
    /// Maps `buffer`, whose caps are `info`. Memory that somebody else holds is copied first.
    pub fn writable(
        buffer: &'a mut gst::BufferRef,
        info: &gst_video::VideoInfo,
    ) -> Result<Self, FrameError> {
        let bytes = buffer.size();
        let part = Part::of(buffer, info);
        gst_video::VideoFrameRef::from_buffer_ref_writable(buffer, info)
            .map(|frame| Self(frame, part))
            .map_err(|_| FrameError::Map {
                bytes,
                caps: format!("{} {}x{}", info.format(), info.width(), info.height()),
            })
    }

    /// The pixels.
    pub fn image(&mut self) -> Result<ImageMut<'_>, FrameError> {
        let Self(frame, part) = self;
        let format =
            caps::pixel_format(frame.format()).ok_or(FrameError::Format(frame.format()))?;
        let colorimetry = caps::colorimetry(frame.info());
        let info = frame.format_info();
        let mut places = [(0, 0); 4];
        for (i, (to, &stride)) in places.iter_mut().zip(frame.plane_stride()).enumerate() {
            let stride = usize::try_from(stride).unwrap_or(0);
            *to = (stride, part.offset(&info, i, stride));
        }
        // Planes that end before the part begins are left empty and refused below.
        let planes = frame
            .planes_data_mut()
            .into_iter()
            .zip(places)
            .take(format.planes())
            .map(|(data, (stride, offset))| PlaneMut {
                data: data.get_mut(offset..).unwrap_or_default(),
                stride,
            })
            .collect();
        Ok(ImageMut::new(
            format,
            part.width,
            part.height,
            planes,
            colorimetry,
        )?)
    }
}

fn map_error(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> FrameError {
    let caps = format!("{} {}x{}", info.format(), info.width(), info.height());
    FrameError::Map {
        bytes: buffer.size(),
        caps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gst_video::{VideoFormat, VideoInfo};

    /// A picture of 16x8 px of which the caps show 6x4 from 4, 2 on. Each byte says its row and column in its plane.
    fn cropped(format: VideoFormat) -> (gst::Buffer, VideoInfo) {
        gst::init().unwrap();
        let whole = VideoInfo::builder(format, 16, 8).build().unwrap();
        let mut bytes = vec![0; whole.size()];
        let strides = whole.stride().to_vec();
        for (&offset, &stride) in whole.offset().iter().zip(&strides) {
            for (i, byte) in bytes[offset..].iter_mut().enumerate() {
                *byte = (i / stride as usize * 16 + i % stride as usize) as u8;
            }
        }
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        let writable = buffer.make_mut();
        let flags = gst_video::VideoFrameFlags::empty();
        gst_video::VideoMeta::add(writable, flags, format, 16, 8).unwrap();
        gst_video::VideoCropMeta::add(writable, (4, 2, 6, 4));
        (buffer, VideoInfo::builder(format, 6, 4).build().unwrap())
    }

    #[test]
    fn a_crop_that_is_noted_on_the_buffer_is_seen() {
        for (format, plane, first) in [
            (VideoFormat::Gray8, 0, 2 * 16 + 4),
            (VideoFormat::I420, 0, 2 * 16 + 4),
            (VideoFormat::I420, 1, 16 + 2),
            (VideoFormat::Nv12, 1, 16 + 4),
        ] {
            let (mut buffer, info) = cropped(format);
            let frame = MappedFrame::readable(&buffer, &info).unwrap();
            let view = frame.view().unwrap();
            assert_eq!((view.width(), view.height()), (6, 4), "{format}");
            assert_eq!(view.row(plane, 0)[0], first, "{format} plane {plane}");
            drop(frame);
            let mut frame = MappedFrameMut::writable(buffer.make_mut(), &info).unwrap();
            let image = frame.image().unwrap();
            assert_eq!((image.width(), image.height()), (6, 4), "{format}");
            assert_eq!(image.row(plane, 0)[0], first, "{format} plane {plane}");
        }
    }
}
