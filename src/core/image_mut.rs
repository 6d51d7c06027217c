//! A picture in memory that may be drawn into: the writable sister of [`super::image::ImageView`].

use super::image::{Colorimetry, ImageError, ImageView, PixelFormat, Plane};

/// One writable memory plane: its bytes and the bytes from one row to the next.
#[derive(Debug, Default)]
pub struct PlaneMut<'a> {
    /// From the first sample on; the last row may be shorter than the stride.
    pub data: &'a mut [u8],
    /// Bytes from one row to the next, at least a row's bytes.
    pub stride: usize,
}

/// A picture to draw into. Every plane is long enough: [`ImageMut::new`] checks it once.
#[derive(Debug)]
pub struct ImageMut<'a> {
    format: PixelFormat,
    width: usize,
    height: usize,
    planes: Vec<PlaneMut<'a>>,
    colorimetry: Colorimetry,
}

impl<'a> ImageMut<'a> {
    /// A picture of `width` × `height` px over `planes`, as [`ImageView::new`] takes them.
    pub fn new(
        format: PixelFormat,
        width: usize,
        height: usize,
        planes: Vec<PlaneMut<'a>>,
        colorimetry: Colorimetry,
    ) -> Result<Self, ImageError> {
        let seen: Vec<Plane<'_>> = planes
            .iter()
            .map(|plane| Plane {
                data: plane.data,
                stride: plane.stride,
            })
            .collect();
        ImageView::new(format, width, height, &seen, colorimetry)?;
        Ok(Self {
            format,
            width,
            height,
            planes,
            colorimetry,
        })
    }

    /// Pixel layout.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Width, px.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height, px.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Matrix and range; meaningless for RGB.
    pub fn colorimetry(&self) -> Colorimetry {
        self.colorimetry
    }

    /// The bytes of row `y` of a plane, without the stride's padding.
    pub fn row(&self, plane: usize, y: usize) -> &[u8] {
        let range = self.row_range(plane, y);
        &self.planes[plane].data[range]
    }

    /// The bytes of row `y` of a plane, without the stride's padding.
    pub fn row_mut(&mut self, plane: usize, y: usize) -> &mut [u8] {
        let range = self.row_range(plane, y);
        &mut self.planes[plane].data[range]
    }

    fn row_range(&self, plane: usize, y: usize) -> std::ops::Range<usize> {
        let (w, _, bytes) = self.format.plane_layout(plane, self.width, self.height);
        let start = y * self.planes[plane].stride;
        start..start + w * bytes
    }
}

/// Where the luma and both colour differences of a Y'CbCr format lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct YuvLayout {
    /// Offset and step of luma samples in plane 0, bytes.
    pub luma: Samples,
    /// Where blue differences (Cb) lie.
    pub blue: Samples,
    /// Where red differences (Cr) lie.
    pub red: Samples,
    /// Rows of luma to a row of chroma.
    pub rows: usize,
}

/// Samples in a plane's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Samples {
    /// Which plane.
    pub plane: usize,
    /// Byte of the first sample in a row.
    pub offset: usize,
    /// Bytes from one sample to the next.
    pub step: usize,
}

const fn samples(plane: usize, offset: usize, step: usize) -> Samples {
    Samples {
        plane,
        offset,
        step,
    }
}

/// How a subsampled Y'CbCr format lies in memory; `None` for RGB and grey. Chroma is always halved across.
pub const fn yuv_layout(format: PixelFormat) -> Option<YuvLayout> {
    let planar = samples(0, 0, 1);
    Some(match format {
        PixelFormat::I420 => YuvLayout {
            luma: planar,
            blue: samples(1, 0, 1),
            red: samples(2, 0, 1),
            rows: 2,
        },
        PixelFormat::Yv12 => YuvLayout {
            luma: planar,
            blue: samples(2, 0, 1),
            red: samples(1, 0, 1),
            rows: 2,
        },
        PixelFormat::Nv12 => YuvLayout {
            luma: planar,
            blue: samples(1, 0, 2),
            red: samples(1, 1, 2),
            rows: 2,
        },
        PixelFormat::Nv21 => YuvLayout {
            luma: planar,
            blue: samples(1, 1, 2),
            red: samples(1, 0, 2),
            rows: 2,
        },
        PixelFormat::Yuy2 => YuvLayout {
            luma: samples(0, 0, 2),
            blue: samples(0, 1, 4),
            red: samples(0, 3, 4),
            rows: 1,
        },
        PixelFormat::Uyvy => YuvLayout {
            luma: samples(0, 1, 2),
            blue: samples(0, 0, 4),
            red: samples(0, 2, 4),
            rows: 1,
        },
        _ => return None,
    })
}
