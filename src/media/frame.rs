//! A buffer mapped for reading or writing, seen as an [`ImageView`].

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
        "the buffer ({bytes} bytes) does not hold a frame of its caps ({caps}): check the element in front"
    )]
    Map { bytes: usize, caps: String },
    #[error("{0} is not a format that this element takes: put a videoconvert in front")]
    Format(gst_video::VideoFormat),
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// A buffer mapped read-only. Strides come from the buffer's own `GstVideoMeta` where it has one.
/// Interlaced frames are seen as they lie in memory: both fields woven.
pub struct MappedFrame<'a>(gst_video::VideoFrameRef<&'a gst::BufferRef>);

impl<'a> MappedFrame<'a> {
    /// Maps `buffer`, whose caps are `info`.
    pub fn readable(
        buffer: &'a gst::BufferRef,
        info: &'a gst_video::VideoInfo,
    ) -> Result<Self, FrameError> {
        gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info)
            .map(Self)
            .map_err(|_| map_error(buffer, info))
    }

    /// The pixels.
    pub fn view(&self) -> Result<ImageView<'_>, FrameError> {
        let frame = &self.0;
        let format =
            caps::pixel_format(frame.format()).ok_or(FrameError::Format(frame.format()))?;
        let mut planes = [Plane::default(); 3];
        let count = format.planes();
        for (i, plane) in planes[..count].iter_mut().enumerate() {
            let data = frame
                .plane_data(i as u32)
                .map_err(|_| map_error(frame.buffer(), frame.info()))?;
            *plane = Plane {
                data,
                stride: usize::try_from(frame.plane_stride()[i]).unwrap_or(0),
            };
        }
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        Ok(ImageView::new(
            format,
            width,
            height,
            &planes[..count],
            caps::colorimetry(frame.info()),
        )?)
    }
}

/// A buffer mapped for reading and writing. Strides come from the buffer's own `GstVideoMeta` where it has one.
pub struct MappedFrameMut<'a>(gst_video::VideoFrameRef<&'a mut gst::BufferRef>);

impl<'a> MappedFrameMut<'a> {
    /// Maps `buffer`, whose caps are `info`. Memory that somebody else holds is copied first.
    pub fn writable(
        buffer: &'a mut gst::BufferRef,
        info: &gst_video::VideoInfo,
    ) -> Result<Self, FrameError> {
        let bytes = buffer.size();
        gst_video::VideoFrameRef::from_buffer_ref_writable(buffer, info)
            .map(Self)
            .map_err(|_| FrameError::Map {
                bytes,
                caps: format!("{} {}x{}", info.format(), info.width(), info.height()),
            })
    }

    /// The pixels.
    pub fn image(&mut self) -> Result<ImageMut<'_>, FrameError> {
        let frame = &mut self.0;
        let format =
            caps::pixel_format(frame.format()).ok_or(FrameError::Format(frame.format()))?;
        let colorimetry = caps::colorimetry(frame.info());
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let mut strides = [0; 4];
        for (to, &stride) in strides.iter_mut().zip(frame.plane_stride()) {
            *to = usize::try_from(stride).unwrap_or(0);
        }
        let planes = frame
            .planes_data_mut()
            .into_iter()
            .zip(strides)
            .take(format.planes())
            .map(|(data, stride)| PlaneMut { data, stride })
            .collect();
        Ok(ImageMut::new(format, width, height, planes, colorimetry)?)
    }
}

fn map_error(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> FrameError {
    let caps = format!("{} {}x{}", info.format(), info.width(), info.height());
    FrameError::Map {
        bytes: buffer.size(),
        caps,
    }
}
