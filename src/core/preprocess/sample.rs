//! Bilinear samples of a format's planes, row by row, without converting or copying the frame.

use super::{
    axis::{Axis, Pattern, Stretch},
    kernels,
};
use crate::core::{
    geometry::Rect,
    image::{ImageView, PixelFormat},
};

/// The samples of one colour component within a plane's rows.
#[derive(Clone, Copy, Debug)]
struct Component {
    /// 0, 1, 2: Y, U, V or red, green, blue.
    channel: usize,
    /// Bytes from the row's start to the first sample.
    offset: usize,
    /// Bytes from sample to sample.
    step: usize,
    /// Half as many samples as the picture has columns.
    half: bool,
}

/// The components that one memory plane holds.
#[derive(Clone, Debug)]
struct PlaneLayout {
    plane: usize,
    /// Half as many rows as the picture.
    half: bool,
    components: Vec<Component>,
}

/// Where the components of a format lie.
fn layout(format: PixelFormat) -> Vec<PlaneLayout> {
    let component = |channel, offset, step, half| Component {
        channel,
        offset,
        step,
        half,
    };
    let plane = |plane, half, components: &[Component]| PlaneLayout {
        plane,
        half,
        components: components.to_vec(),
    };
    let luma = plane(0, false, &[component(0, 0, 1, false)]);
    let planar = |channel, index| plane(index, true, &[component(channel, 0, 1, true)]);
    let interleaved = |first: usize, second: usize| {
        plane(
            1,
            true,
            &[component(first, 0, 2, true), component(second, 1, 2, true)],
        )
    };
    let packed = |y, u, v| {
        vec![plane(
            0,
            false,
            &[
                component(0, y, 2, false),
                component(1, u, 4, true),
                component(2, v, 4, true),
            ],
        )]
    };
    match format {
        PixelFormat::I420 => vec![luma, planar(1, 1), planar(2, 2)],
        PixelFormat::Yv12 => vec![luma, planar(2, 1), planar(1, 2)],
        PixelFormat::Nv12 => vec![luma, interleaved(1, 2)],
        PixelFormat::Nv21 => vec![luma, interleaved(2, 1)],
        PixelFormat::Yuy2 => packed(0, 1, 3),
        PixelFormat::Uyvy => packed(1, 0, 2),
        PixelFormat::Gray8 => vec![luma],
        _ => {
            let (offsets, step) = format.rgb_offsets().unwrap_or(([0, 1, 2], 3));
            let [r, g, b] =
                [0, 1, 2].map(|channel| component(channel, offsets[channel], step, false));
            vec![plane(0, false, &[r, g, b])]
        }
    }
}

/// The two rows of a plane last resized along x, for planes that are stretched downwards: each serves several outputs.
#[derive(Clone, Debug, Default)]
struct RowCache {
    /// Source row held by each slot.
    rows: [Option<usize>; 2],
    /// By slot and channel.
    samples: [[Vec<u16>; 3]; 2],
}

/// Buffers for one row; made when the format or the sizes change.
#[derive(Clone, Debug, Default)]
struct Scratch {
    /// A source row of 8.8 samples, with room for a right tap beyond its end.
    source: Vec<u16>,
    /// Left and right taps of the outputs.
    taps: kernels::Taps,
}

/// Reads any rectangle of a picture at any size. Formats, widths and sizes are set first; rows are then read in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Sampler {
    format: Option<PixelFormat>,
    layout: Vec<PlaneLayout>,
    /// Full and half resolution.
    columns: [Axis; 2],
    /// Full and half resolution.
    rows: [Axis; 2],
    caches: [RowCache; 3],
    scratch: Scratch,
    /// The row last read, 8.8 fixed point, by channel.
    pub(super) channels: [Vec<u16>; 3],
}

impl Sampler {
    /// Gets ready to read `source`, a rectangle inside the picture, as `width` × `height` samples.
    /// Allocates only when the format changes or a buffer must grow.
    pub(super) fn set(&mut self, view: &ImageView<'_>, source: Rect, width: usize, height: usize) {
        if self.format != Some(view.format()) {
            self.format = Some(view.format());
            self.layout = layout(view.format());
        }
        let across = Stretch {
            start: f64::from(source.x),
            length: f64::from(source.w),
            limit: view.width(),
        };
        let down = Stretch {
            start: f64::from(source.y),
            length: f64::from(source.h),
            limit: view.height(),
        };
        self.columns[0].set(across, width);
        self.columns[1].set(across.halved(), width);
        self.rows[0].set(down, height);
        self.rows[1].set(down.halved(), height);
        self.reserve(view, width);
        self.forget_rows();
    }

    /// Forgets the rows of the picture before.
    pub(super) fn forget_rows(&mut self) {
        for cache in &mut self.caches {
            cache.rows = [None; 2];
        }
    }

    fn reserve(&mut self, view: &ImageView<'_>, width: usize) {
        /// What reading a right tap and then a whole stride of the widest step, 4, may touch beyond a row's end; always
        /// with weight zero.
        const BEYOND: usize = 4 * (1 + Pattern::MOST_SAMPLES as usize);
        let row = (0..view.planes().len()).map(|plane| view.row(plane, 0).len());
        let longest = row.max().unwrap_or(0) + BEYOND.max(kernels::WINDOW);
        if self.scratch.source.len() < longest {
            self.scratch.source.resize(longest, 0);
        }
        let cached = self.caches.iter_mut().flat_map(|cache| &mut cache.samples);
        let buffers = cached.flatten().chain(&mut self.channels);
        self.scratch.taps.resize(width);
        for buffer in buffers {
            buffer.resize(width, 0);
        }
    }

    /// Reads output row `y` into [`Self::channels`].
    pub(super) fn read(&mut self, view: &ImageView<'_>, y: usize) {
        for index in 0..self.layout.len() {
            let layout = &self.layout[index];
            let rows = &self.rows[usize::from(layout.half)];
            let top = rows.first + rows.left[y] as usize;
            let weight = rows.weight[y];
            // Stretched: every source row serves several outputs, so the costly pass along x is done once a source row.
            if rows.factor < 1.0 {
                self.read_stretched(view, index, top, weight);
            } else if !(weight == 0 && self.read_exact(view, index, top)) {
                let layout = &self.layout[index];
                load(
                    &mut self.scratch.source,
                    view,
                    layout,
                    &self.columns,
                    top,
                    weight,
                );
                resize_row(layout, &self.columns, &mut self.scratch, &mut self.channels);
            }
        }
    }

    /// Row `top` of a plane that holds one component, if no tap of it needs mixing.
    fn read_exact(&mut self, view: &ImageView<'_>, index: usize, top: usize) -> bool {
        let layout = &self.layout[index];
        let [component] = &layout.components[..] else {
            return false;
        };
        let row = view.row(layout.plane, top);
        let axis = &self.columns[usize::from(component.half)];
        kernels::pick_exact(row, axis, &mut self.channels[component.channel])
    }

    fn read_stretched(&mut self, view: &ImageView<'_>, index: usize, top: usize, weight: u16) {
        let layout = &self.layout[index];
        let cache = &mut self.caches[index];
        let needed = if weight == 0 { 1 } else { 2 };
        for row in top..top + needed {
            let slot = row % 2;
            if cache.rows[slot] != Some(row) {
                cache.rows[slot] = Some(row);
                load(
                    &mut self.scratch.source,
                    view,
                    layout,
                    &self.columns,
                    row,
                    0,
                );
                resize_row(
                    layout,
                    &self.columns,
                    &mut self.scratch,
                    &mut cache.samples[slot],
                );
            }
        }
        for component in &layout.components {
            let channel = component.channel;
            let upper = &cache.samples[top % 2][channel];
            let lower = &cache.samples[(top + 1) % 2][channel];
            let out = &mut self.channels[channel];
            if weight == 0 {
                out.copy_from_slice(upper);
            } else {
                kernels::mix_rows(upper, lower, weight, out);
            }
        }
    }
}

/// The bytes of a plane's row that its components read.
fn span(layout: &PlaneLayout, columns: &[Axis; 2]) -> std::ops::Range<usize> {
    let bytes = |component: &Component| {
        let axis = &columns[usize::from(component.half)];
        let start = axis.first * component.step + component.offset;
        start..start + (axis.count - 1) * component.step + 1
    };
    let mut all = layout.components.iter().map(bytes);
    let first = all.next().unwrap_or(0..0);
    all.fold(first, |a, b| a.start.min(b.start)..a.end.max(b.end))
}

/// Rows `top` and `top + 1` of a plane, mixed, as 8.8 samples of the bytes in [`span`].
fn load(
    out: &mut [u16],
    view: &ImageView<'_>,
    layout: &PlaneLayout,
    columns: &[Axis; 2],
    top: usize,
    weight: u16,
) {
    let span = span(layout, columns);
    let upper = &view.row(layout.plane, top)[span.clone()];
    let out = &mut out[..upper.len()];
    if weight == 0 {
        return kernels::widen(upper, out);
    }
    let lower = &view.row(layout.plane, top + 1)[span];
    kernels::mix_bytes(upper, lower, weight, out);
}

/// The loaded row resized along x, a component at a time.
fn resize_row(
    layout: &PlaneLayout,
    columns: &[Axis; 2],
    scratch: &mut Scratch,
    channels: &mut [Vec<u16>; 3],
) {
    let begin = span(layout, columns).start;
    let Scratch { source, taps } = scratch;
    for component in &layout.components {
        let axis = &columns[usize::from(component.half)];
        let samples = &source[axis.first * component.step + component.offset - begin..];
        let out = &mut channels[component.channel];
        kernels::resize(samples, component.step, axis, taps, out);
    }
}
