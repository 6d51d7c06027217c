//! A model's outputs as tables, columns and grids.

use super::{
    detection::{DecodeError, TensorView},
    head::{Head, STRIDES},
};

/// Highest class number believed; more says that the layout is wrong.
const MAX_CLASS: f32 = 65_535.0;

/// A table of numbers: one output without its batch dimension.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    pub rows: usize,
    pub columns: usize,
    pub data: &'a [f32],
}

impl<'a> Table<'a> {
    /// Row after row.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &'a [f32]> {
        self.data.chunks_exact(self.columns)
    }
}

/// The outputs with the head that says how to read them.
pub(super) struct Reader<'a> {
    pub head: &'a Head,
    pub outputs: &'a [TensorView<'a>],
}

impl<'a> Reader<'a> {
    /// Output `k` of the layout.
    pub fn view(&self, k: usize) -> Result<&'a TensorView<'a>, DecodeError> {
        let needed = self.head.outputs[k];
        self.outputs.get(needed).ok_or(DecodeError::Missing {
            layout: self.head.layout,
            needed,
            got: self.outputs.len(),
        })
    }

    /// The error for an output of that shape.
    pub fn misfit(&self, view: &TensorView) -> DecodeError {
        DecodeError::Shape {
            layout: self.head.layout,
            shape: view.shape.to_vec(),
            numbers: view.data.len(),
        }
    }

    /// Output `k` of the layout as a table of at least `columns` columns, its rows given by `[N, M]` or `[1, N, M]`.
    pub fn table(&self, k: usize, columns: usize) -> Result<Table<'a>, DecodeError> {
        let view = self.view(k)?;
        let ([1, rows, cols] | [rows, cols]) = view.shape else {
            return Err(self.misfit(view));
        };
        if *cols < columns || rows.checked_mul(*cols) != Some(view.data.len()) {
            return Err(self.misfit(view));
        }
        Ok(Table {
            rows: *rows,
            columns: *cols,
            data: view.data,
        })
    }

    /// Output `k` as `count` single numbers.
    pub fn column(&self, k: usize, count: usize) -> Result<&'a [f32], DecodeError> {
        let view = self.view(k)?;
        if view.data.len() == count {
            Ok(view.data)
        } else {
            Err(self.misfit(view))
        }
    }

    /// Number of classes; 0 where the shape does not tell.
    pub fn classes(&self) -> usize {
        self.head.classes.unwrap_or(0)
    }

    /// Cells of all strides in the order of rows: stride by stride, line by line.
    pub fn cells(&self) -> impl Iterator<Item = Cell> {
        let (width, height) = (self.head.input_width, self.head.input_height);
        STRIDES.iter().flat_map(move |&stride| {
            let (w, h) = (width.div_ceil(stride), height.div_ceil(stride));
            (0..w * h).map(move |i| Cell {
                x: (i % w) as f32,
                y: (i / w) as f32,
                stride: stride as f32,
            })
        })
    }
}

/// A cell of a grid: its column and row, and the pixels it spans.
#[derive(Clone, Copy)]
pub(super) struct Cell {
    pub x: f32,
    pub y: f32,
    pub stride: f32,
}

/// A class number or label; `None` for padding (-1).
pub(super) fn class_number(value: f32) -> Option<u32> {
    (value > -0.5 && value <= MAX_CLASS).then(|| value.round() as u32)
}
