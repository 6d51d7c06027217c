//! A borrowed view of a picture as it lies in memory: format, planes with their strides, colorimetry.

/// Pixel layouts the elements take without a converter in front. Names and byte orders are GStreamer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum PixelFormat {
    I420,
    Yv12,
    Nv12,
    Nv21,
    Yuy2,
    Uyvy,
    Rgb,
    Bgr,
    Rgbx,
    Bgrx,
    Xrgb,
    Xbgr,
    Rgba,
    Bgra,
    Argb,
    Abgr,
    Gray8,
}

impl PixelFormat {
    /// Every format, in the order in which the pad templates offer them.
    pub const ALL: [Self; 17] = [
        Self::I420,
        Self::Nv12,
        Self::Yv12,
        Self::Nv21,
        Self::Yuy2,
        Self::Uyvy,
        Self::Rgb,
        Self::Bgr,
        Self::Rgbx,
        Self::Bgrx,
        Self::Xrgb,
        Self::Xbgr,
        Self::Rgba,
        Self::Bgra,
        Self::Argb,
        Self::Abgr,
        Self::Gray8,
    ];

    /// Number of memory planes.
    pub const fn planes(self) -> usize {
        match self {
            Self::I420 | Self::Yv12 => 3,
            Self::Nv12 | Self::Nv21 => 2,
            _ => 1,
        }
    }

    /// Width, height in samples and bytes a sample of a plane, for a picture of `width` × `height` px.
    /// Packed 4:2:2 counts a sample as one px of two bytes, rounded up to a whole pair.
    pub const fn plane_layout(
        self,
        plane: usize,
        width: usize,
        height: usize,
    ) -> (usize, usize, usize) {
        match self {
            Self::I420 | Self::Yv12 if plane > 0 => (width.div_ceil(2), height.div_ceil(2), 1),
            Self::Nv12 | Self::Nv21 if plane > 0 => (width.div_ceil(2), height.div_ceil(2), 2),
            Self::I420 | Self::Yv12 | Self::Nv12 | Self::Nv21 | Self::Gray8 => (width, height, 1),
            Self::Yuy2 | Self::Uyvy => (width.div_ceil(2) * 2, height, 2),
            Self::Rgb | Self::Bgr => (width, height, 3),
            _ => (width, height, 4),
        }
    }

    /// Byte offsets of red, green and blue within a packed pixel and the pixel's size; `None` for YUV and grey.
    pub const fn rgb_offsets(self) -> Option<([usize; 3], usize)> {
        Some(match self {
            Self::Rgb => ([0, 1, 2], 3),
            Self::Bgr => ([2, 1, 0], 3),
            Self::Rgbx | Self::Rgba => ([0, 1, 2], 4),
            Self::Bgrx | Self::Bgra => ([2, 1, 0], 4),
            Self::Xrgb | Self::Argb => ([1, 2, 3], 4),
            Self::Xbgr | Self::Abgr => ([3, 2, 1], 4),
            _ => return None,
        })
    }
}

/// The matrix that turned R'G'B' into Y'CbCr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum YuvMatrix {
    /// ITU-R BT.601, the default of standard definition.
    #[default]
    Bt601,
    /// ITU-R BT.709, the default of high definition.
    Bt709,
}

/// How the 8-bit codes of a Y'CbCr or grey picture are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum YuvRange {
    /// Luma 16..=235, chroma 16..=240 ("studio", "video").
    #[default]
    Limited,
    /// 0..=255 ("full", "JPEG").
    Full,
}

/// Matrix and range together; ignored for RGB formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Colorimetry {
    /// Y'CbCr matrix.
    pub matrix: YuvMatrix,
    /// Code range.
    pub range: YuvRange,
}

/// One memory plane: its bytes and the bytes from one row to the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plane<'a> {
    /// From the first sample on; the last row may be shorter than the stride.
    pub data: &'a [u8],
    /// Bytes from one row to the next, at least a row's bytes.
    pub stride: usize,
}

/// Why planes do not make a picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ImageError {
    #[error("a picture of {width}x{height} has no pixels")]
    Empty { width: usize, height: usize },
    #[error("{format:?} has {expected} planes, got {got}")]
    Planes {
        format: PixelFormat,
        expected: usize,
        got: usize,
    },
    #[error(
        "plane {plane} of {format:?} {width}x{height} needs {needed} bytes at stride {stride}, has {got}"
    )]
    TooSmall {
        format: PixelFormat,
        width: usize,
        height: usize,
        plane: usize,
        stride: usize,
        needed: usize,
        got: usize,
    },
}

/// A picture in memory that somebody else owns. Every plane is long enough: [`ImageView::new`] checks it once, so that
/// pixel loops need not.
#[derive(Clone, Copy, Debug)]
pub struct ImageView<'a> {
    format: PixelFormat,
    width: usize,
    height: usize,
    planes: [Plane<'a>; 3],
    colorimetry: Colorimetry,
}

impl<'a> ImageView<'a> {
    /// A view of `width` × `height` px over `planes` (as many as the format has, in the format's own order: Y, V, U for
    /// YV12). Fails when a plane is shorter than its rows need.
    pub fn new(
        format: PixelFormat,
        width: usize,
        height: usize,
        planes: &[Plane<'a>],
        colorimetry: Colorimetry,
    ) -> Result<Self, ImageError> {
        if width == 0 || height == 0 {
            return Err(ImageError::Empty { width, height });
        }
        if planes.len() != format.planes() {
            return Err(ImageError::Planes {
                format,
                expected: format.planes(),
                got: planes.len(),
            });
        }
        let mut own = [Plane::default(); 3];
        for (i, plane) in planes.iter().enumerate() {
            let (w, h, bytes) = format.plane_layout(i, width, height);
            let row = w * bytes;
            let needed = (h - 1) * plane.stride + row;
            if plane.stride < row || plane.data.len() < needed {
                let (stride, got) = (plane.stride, plane.data.len());
                return Err(ImageError::TooSmall {
                    format,
                    width,
                    height,
                    plane: i,
                    stride,
                    needed,
                    got,
                });
            }
            own[i] = *plane;
        }
        Ok(Self {
            format,
            width,
            height,
            planes: own,
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

    /// The planes that the format has.
    pub fn planes(&self) -> &[Plane<'a>] {
        &self.planes[..self.format.planes()]
    }

    /// Matrix and range; meaningless for RGB.
    pub fn colorimetry(&self) -> Colorimetry {
        self.colorimetry
    }

    /// The bytes of row `y` of a plane, without the stride's padding.
    pub fn row(&self, plane: usize, y: usize) -> &'a [u8] {
        let (w, _, bytes) = self.format.plane_layout(plane, self.width, self.height);
        let Plane { data, stride } = self.planes[plane];
        &data[y * stride..y * stride + w * bytes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_needs_every_row_but_not_the_last_padding() {
        let data = vec![0; 16 + 10];
        let planes = [Plane {
            data: &data,
            stride: 16,
        }];
        assert!(ImageView::new(PixelFormat::Gray8, 10, 2, &planes, Colorimetry::default()).is_ok());
        assert!(
            ImageView::new(PixelFormat::Gray8, 11, 2, &planes, Colorimetry::default()).is_err()
        );
        assert!(
            ImageView::new(PixelFormat::Gray8, 17, 1, &planes, Colorimetry::default()).is_err()
        );
        assert!(ImageView::new(PixelFormat::Gray8, 0, 2, &planes, Colorimetry::default()).is_err());
        assert!(ImageView::new(PixelFormat::Nv12, 10, 2, &planes, Colorimetry::default()).is_err());
    }

    #[test]
    fn odd_sizes_round_chroma_up() {
        assert_eq!(PixelFormat::I420.plane_layout(1, 5, 3), (3, 2, 1));
        assert_eq!(PixelFormat::Nv12.plane_layout(1, 5, 3), (3, 2, 2));
        assert_eq!(PixelFormat::Yuy2.plane_layout(0, 5, 3), (6, 3, 2));
    }
}
