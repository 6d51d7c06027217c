//! Bilinear samples of a format's planes, row by row, without converting or copying the frame.

use super::{
    axis::{Axis, Pattern, Stretch},
    kernels,
};
use crate::{
    geometry::Rect,
    image::{ImageView, PixelFormat},
};

/// The samples of one colour component within a plane's rows.
#[derive(Clone, Copy, Debug)]
struct Component {
    /// 0, 1, 2: Y, U, V or red, green, blue.
    channel: usize,
    /// Samples from the row's start to the component's first.
    offset: usize,
    /// Samples from one of the component to the next.
    step: usize,
    /// Which of [`Sampler::columns`] its samples follow.
    columns: usize,
}

/// The components that one memory plane holds.
#[derive(Clone, Debug)]
struct PlaneLayout {
    plane: usize,
    /// Which of [`Sampler::rows`] its rows follow.
    rows: usize,
    components: Vec<Component>,
}

/// Which axis serves samples that stand for 1, 2 or 4 px.
fn axis_of(pixels: usize) -> usize {
    pixels.trailing_zeros() as usize
}

/// Where the components of a format lie.
fn layout(format: PixelFormat) -> Vec<PlaneLayout> {
    let mut planes: Vec<PlaneLayout> = Vec::new();
    for (channel, from) in format.channels().into_iter().enumerate() {
        let component = Component {
            channel,
            offset: from.offset,
            step: from.step,
            columns: axis_of(from.wide),
        };
        match planes.iter_mut().find(|plane| plane.plane == from.plane) {
            Some(plane) => plane.components.push(component),
            None => planes.push(PlaneLayout {
                plane: from.plane,
                rows: axis_of(from.tall),
                components: vec![component],
            }),
        }
    }
    planes
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
    /// Full, half and a quarter of the resolution.
    columns: [Axis; 3],
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
        self.columns[2].set(across.halved().halved(), width);
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
            let rows = &self.rows[layout.rows];
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
        if view.format().depth().bytes() > 1 {
            return false;
        }
        let row = view.row(layout.plane, top);
        let axis = &self.columns[component.columns];
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

/// The samples of a plane's row that its components read.
fn span(layout: &PlaneLayout, columns: &[Axis; 3]) -> std::ops::Range<usize> {
    let samples = |component: &Component| {
        let axis = &columns[component.columns];
        let start = axis.first * component.step + component.offset;
        start..start + (axis.count - 1) * component.step + 1
    };
    let mut all = layout.components.iter().map(samples);
    let first = all.next().unwrap_or(0..0);
    all.fold(first, |a, b| a.start.min(b.start)..a.end.max(b.end))
}

/// Rows `top` and `top + 1` of a plane, mixed, as 8.8 samples of those in [`span`].
fn load(
    out: &mut [u16],
    view: &ImageView<'_>,
    layout: &PlaneLayout,
    columns: &[Axis; 3],
    top: usize,
    weight: u16,
) {
    let (span, depth) = (span(layout, columns), view.format().depth());
    let out = &mut out[..span.len()];
    let bytes = span.start * depth.bytes()..span.end * depth.bytes();
    let row = |y: usize| &view.row(layout.plane, y)[bytes.clone()];
    match (depth.bytes(), weight) {
        (1, 0) => kernels::widen(row(top), out),
        (1, _) => kernels::mix_bytes(row(top), row(top + 1), weight, out),
        _ => {
            // Codes end up in the topmost bits.
            let lift = u16::BITS - depth.bits - depth.shift;
            let upper = words(row(top));
            match weight {
                0 => kernels::lift_words(upper, lift, out),
                _ => kernels::mix_words(upper, words(row(top + 1)), lift, weight, out),
            }
        }
    }
}

/// Samples of two bytes.
fn words(row: &[u8]) -> &[[u8; 2]] {
    row.as_chunks().0
}

/// The loaded row resized along x, a component at a time.
fn resize_row(
    layout: &PlaneLayout,
    columns: &[Axis; 3],
    scratch: &mut Scratch,
    channels: &mut [Vec<u16>; 3],
) {
    let begin = span(layout, columns).start;
    let Scratch { source, taps } = scratch;
    for component in &layout.components {
        let axis = &columns[component.columns];
        let samples = &source[axis.first * component.step + component.offset - begin..];
        let out = &mut channels[component.channel];
        kernels::resize(samples, component.step, axis, taps, out);
    }
}
