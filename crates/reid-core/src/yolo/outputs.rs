//! Input of the recognition: a model's outputs and hints.

use super::{
    head::{Head, Strides},
    layout::{Hints, Layout, OutputInfo},
};

/// Pyramids met in published models: three levels (nearly all), with a fourth coarse one ("P6"), with a fine one ("P2"),
/// and the two of the tiny models.
const PYRAMIDS: [Strides; 4] = [&[8, 16, 32], &[8, 16, 32, 64], &[4, 8, 16, 32], &[16, 32]];

/// The outputs with the hints: what the rules look at.
pub(super) struct Outputs<'a> {
    pub all: &'a [OutputInfo],
    pub hints: &'a Hints,
}

/// A tensor of boxes as `[1, a, b]`; unknown lengths are `None`.
#[derive(Clone, Copy)]
pub(super) struct Table {
    pub index: usize,
    pub a: Option<usize>,
    pub b: Option<usize>,
}

impl Outputs<'_> {
    /// All of them, as messages name them.
    pub fn describe(&self) -> String {
        let all: Vec<String> = self.all.iter().map(ToString::to_string).collect();
        all.join(", ")
    }

    /// What is known of them once the layout is.
    pub fn head(&self, layout: Layout, classes: Option<usize>, outputs: Vec<usize>) -> Head {
        Head {
            layout,
            classes,
            outputs,
            input_width: self.hints.input_width,
            input_height: self.hints.input_height,
        }
    }

    /// The first float output of rank 3.
    pub fn table(&self) -> Option<Table> {
        let index = self.position(|o| !o.integer && o.dims.len() == 3)?;
        let dims = &self.all[index].dims;
        (dims[0].is_none_or(|batch| batch == 1)).then_some(Table {
            index,
            a: dims[1],
            b: dims[2],
        })
    }

    /// Classes in `columns` numbers a box of which `fixed` come first; mask coefficients are left out.
    pub fn class_count(&self, columns: usize, fixed: usize) -> Result<usize, String> {
        let room = columns
            .checked_sub(fixed + self.mask_coefficients())
            .filter(|&room| room > 0)
            .ok_or_else(|| format!("{columns} columns leave no room for classes"))?;
        match self.hints.classes {
            None => Ok(room),
            Some(named) if named == room => Ok(room),
            // Mask coefficients (segment) or key points (pose) follow the classes.
            Some(named) if named > 0 && named < room && self.has_extras() => Ok(named),
            Some(named) => Err(format!(
                "{named} classes are named, {columns} columns have room for {room}"
            )),
        }
    }

    /// Refuses another number of classes than is named.
    pub fn check_named(&self, classes: Option<usize>) -> Result<(), String> {
        match (self.hints.classes, classes) {
            (Some(named), Some(found)) if named != found => Err(format!(
                "{named} classes are named, the outputs have {found}"
            )),
            _ => Ok(()),
        }
    }

    /// Whether numbers follow the classes.
    pub fn has_extras(&self) -> bool {
        matches!(self.hints.task.as_deref(), Some("segment" | "pose"))
    }

    /// A second output `[1, M, h, w]` holds mask prototypes: M coefficients follow the classes.
    pub fn mask_coefficients(&self) -> usize {
        let prototypes = self
            .all
            .iter()
            .skip(1)
            .find(|o| !o.integer && o.dims.len() == 4);
        prototypes.and_then(|o| o.dims[1]).unwrap_or(0)
    }

    /// The first output of which the rule holds.
    pub fn position(&self, rule: impl Fn(&OutputInfo) -> bool) -> Option<usize> {
        self.all.iter().position(rule)
    }

    /// The output of that name.
    pub fn named(&self, name: &str) -> Option<usize> {
        self.position(|o| o.name.eq_ignore_ascii_case(name))
    }

    /// The last length.
    pub fn last(&self, output: &OutputInfo) -> Option<usize> {
        output.dims.last().copied().flatten()
    }

    /// Cells of one stride; a last part of a cell counts, as in the models' own padding.
    pub fn cells(&self, stride: usize) -> usize {
        self.hints.input_width.div_ceil(stride) * self.hints.input_height.div_ceil(stride)
    }

    /// Cells of several strides.
    pub fn grid_cells(&self, strides: Strides) -> Option<usize> {
        Some(strides.iter().map(|&s| self.cells(s)).sum())
    }

    /// Whether this number of rows equals the cells of a pyramid, `boxes_per_cell` each.
    pub fn is_grid(&self, rows: Option<usize>, boxes_per_cell: usize) -> bool {
        rows.is_some_and(|rows| {
            PYRAMIDS
                .iter()
                .any(|p| self.grid_cells(p) == Some(rows / boxes_per_cell))
                && rows.is_multiple_of(boxes_per_cell)
        })
    }
}
