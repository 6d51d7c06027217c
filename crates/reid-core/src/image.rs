//! A borrowed view of a picture in memory: format, planes with their strides, colorimetry.

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
    Yvyu,
    Y42b,
    Y41b,
    Y444,
    Nv16,
    Nv61,
    Nv24,
    Vuya,
    Gbr,
    I420_10,
    I422_10,
    Y444_10,
    Gbr10,
    P010,
    Y210,
    I420_12,
    I422_12,
    Y444_12,
    Gbr12,
    P012,
    Gray16,
}

/// What the channels of a format are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColourModel {
    /// Red, green, blue.
    Rgb,
    /// Luma, blue difference, red difference.
    Yuv,
    /// Luma alone.
    Grey,
}

/// How a sample holds its code: in one byte, or in two, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Bits of a code: 8, 10, 12 or 16.
    pub bits: u32,
    /// Unused bits below the code.
    pub shift: u32,
}

impl Depth {
    /// Bytes of a sample.
    pub const fn bytes(self) -> usize {
        if self.bits > 8 { 2 } else { 1 }
    }

    /// The largest code.
    pub const fn max(self) -> u16 {
        (u16::MAX) >> (16 - self.bits)
    }

    /// The largest code in units of eight-bit codes: 255 of 8 bits, 255.75 of 10.
    pub fn white(self) -> f64 {
        f64::from(self.max()) / f64::from(1_u32 << (self.bits - 8))
    }

    /// An eight-bit code in this depth. `is_full`: codes are spread over the whole range; `is_difference`: 128 is zero.
    pub fn expanded(self, code: u8, is_full: bool, is_difference: bool) -> u16 {
        let extra = self.bits - 8;
        if extra == 0 || !is_full {
            return u16::from(code) << extra;
        }
        let zero = if is_difference { 128 } else { 0 };
        let scaled = (i32::from(code) - zero) * i32::from(self.max());
        let rounded = (scaled + scaled.signum() * 127) / 255 + (zero << extra);
        rounded.clamp(0, i32::from(self.max())) as u16
    }
}

/// Where the samples of one channel lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Memory plane.
    pub plane: usize,
    /// Samples from the row's start to the first one of the channel.
    pub offset: usize,
    /// Samples from one of the channel to the next.
    pub step: usize,
    /// Pixels to a sample across: 1, 2 or 4.
    pub wide: usize,
    /// Pixels to a sample down: 1 or 2.
    pub tall: usize,
}

impl PixelFormat {
    /// Every format, in the order in which the pad templates offer them.
    pub const ALL: [Self; 38] = [
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
        Self::Yvyu,
        Self::Y42b,
        Self::Y41b,
        Self::Y444,
        Self::Nv16,
        Self::Nv61,
        Self::Nv24,
        Self::Vuya,
        Self::Gbr,
        Self::I420_10,
        Self::I422_10,
        Self::Y444_10,
        Self::Gbr10,
        Self::P010,
        Self::Y210,
        Self::I420_12,
        Self::I422_12,
        Self::Y444_12,
        Self::Gbr12,
        Self::P012,
        Self::Gray16,
    ];

    /// How samples hold their codes.
    pub const fn depth(self) -> Depth {
        let (bits, shift) = match self {
            Self::I420_10 | Self::I422_10 | Self::Y444_10 | Self::Gbr10 => (10, 0),
            Self::P010 | Self::Y210 => (10, 6),
            Self::I420_12 | Self::I422_12 | Self::Y444_12 | Self::Gbr12 => (12, 0),
            Self::P012 => (12, 4),
            Self::Gray16 => (16, 0),
            _ => (8, 0),
        };
        Depth { bits, shift }
    }

    /// What the channels are.
    pub const fn model(self) -> ColourModel {
        match self {
            Self::Gray8 | Self::Gray16 => ColourModel::Grey,
            Self::Gbr | Self::Gbr10 | Self::Gbr12 => ColourModel::Rgb,
            _ if self.rgb_offsets().is_some() => ColourModel::Rgb,
            _ => ColourModel::Yuv,
        }
    }

    /// Number of memory planes.
    pub const fn planes(self) -> usize {
        match self {
            Self::I420 | Self::Yv12 | Self::I420_10 | Self::I420_12 => 3,
            Self::Y42b | Self::I422_10 | Self::I422_12 | Self::Y41b => 3,
            Self::Y444 | Self::Y444_10 | Self::Y444_12 => 3,
            Self::Gbr | Self::Gbr10 | Self::Gbr12 => 3,
            Self::Nv12 | Self::Nv21 | Self::P010 | Self::P012 => 2,
            Self::Nv16 | Self::Nv61 | Self::Nv24 => 2,
            _ => 1,
        }
    }

    /// Width, height and bytes of one place in a plane, for a picture of `width` × `height` px. Interleaved chroma counts
    /// both samples as one place; packed 4:2:2 counts a px as one, rounded up to a whole pair.
    pub const fn plane_layout(
        self,
        plane: usize,
        width: usize,
        height: usize,
    ) -> (usize, usize, usize) {
        let bytes = self.depth().bytes();
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        match self {
            Self::I420 | Self::Yv12 | Self::I420_10 | Self::I420_12 if plane > 0 => {
                (half_width, half_height, bytes)
            }
            Self::Y42b | Self::I422_10 | Self::I422_12 if plane > 0 => (half_width, height, bytes),
            Self::Y41b if plane > 0 => (width.div_ceil(4), height, bytes),
            Self::Nv12 | Self::Nv21 | Self::P010 | Self::P012 if plane > 0 => {
                (half_width, half_height, 2 * bytes)
            }
            Self::Nv16 | Self::Nv61 if plane > 0 => (half_width, height, 2 * bytes),
            Self::Nv24 if plane > 0 => (width, height, 2 * bytes),
            Self::Yuy2 | Self::Yvyu | Self::Uyvy | Self::Y210 => {
                (half_width * 2, height, 2 * bytes)
            }
            Self::Vuya => (width, height, 4),
            _ => match self.rgb_offsets() {
                Some((_, size)) => (width, height, size),
                None => (width, height, bytes),
            },
        }
    }

    /// Where the channels lie: three in the order of [`ColourModel`], or luma alone. Opacity is not among them.
    pub fn channels(self) -> Vec<Channel> {
        let channel = |plane, offset, step, (wide, tall)| Channel {
            plane,
            offset,
            step,
            wide,
            tall,
        };
        let whole = |plane, offset, step| channel(plane, offset, step, (1, 1));
        let planar = |[a, b, c]: [usize; 3], chroma| {
            vec![
                whole(a, 0, 1),
                channel(b, 0, 1, chroma),
                channel(c, 0, 1, chroma),
            ]
        };
        let interleaved = |[blue, red]: [usize; 2], chroma| {
            vec![
                whole(0, 0, 1),
                channel(1, blue, 2, chroma),
                channel(1, red, 2, chroma),
            ]
        };
        let halved = |[luma, blue, red]: [usize; 3]| {
            vec![
                whole(0, luma, 2),
                channel(0, blue, 4, (2, 1)),
                channel(0, red, 4, (2, 1)),
            ]
        };
        match self {
            Self::I420 | Self::I420_10 | Self::I420_12 => planar([0, 1, 2], (2, 2)),
            Self::Yv12 => planar([0, 2, 1], (2, 2)),
            Self::Y42b | Self::I422_10 | Self::I422_12 => planar([0, 1, 2], (2, 1)),
            Self::Y41b => planar([0, 1, 2], (4, 1)),
            Self::Y444 | Self::Y444_10 | Self::Y444_12 => planar([0, 1, 2], (1, 1)),
            Self::Gbr | Self::Gbr10 | Self::Gbr12 => planar([2, 0, 1], (1, 1)),
            Self::Nv12 | Self::P010 | Self::P012 => interleaved([0, 1], (2, 2)),
            Self::Nv21 => interleaved([1, 0], (2, 2)),
            Self::Nv16 => interleaved([0, 1], (2, 1)),
            Self::Nv61 => interleaved([1, 0], (2, 1)),
            Self::Nv24 => interleaved([0, 1], (1, 1)),
            Self::Yuy2 | Self::Y210 => halved([0, 1, 3]),
            Self::Yvyu => halved([0, 3, 1]),
            Self::Uyvy => halved([1, 0, 2]),
            Self::Vuya => [2, 1, 0].map(|offset| whole(0, offset, 4)).to_vec(),
            _ => match self.rgb_offsets() {
                Some((offsets, size)) => offsets.map(|offset| whole(0, offset, size)).to_vec(),
                None => vec![whole(0, 0, 1)],
            },
        }
    }

    /// Where opacity lies, if the format has it.
    pub const fn alpha(self) -> Option<Channel> {
        let offset = match self {
            Self::Rgba | Self::Bgra | Self::Vuya => 3,
            Self::Argb | Self::Abgr => 0,
            _ => return None,
        };
        Some(Channel {
            plane: 0,
            offset,
            step: 4,
            wide: 1,
            tall: 1,
        })
    }

    /// Byte offsets of red, green and blue within a packed pixel and the pixel's size; `None` for YUV, grey and planes of
    /// red, green and blue.
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

/// How the codes of a Y'CbCr or grey picture are spread; given for eight bits.
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
    #[error("{format:?} needs {expected} planes, got {got}")]
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
mod tests;
