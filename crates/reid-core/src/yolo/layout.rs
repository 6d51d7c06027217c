//! The layouts in which detectors give their boxes, told apart by shape, name and metadata.

use std::fmt;

/// How a detector writes what it found. `N` is the number of boxes, `C` of classes, `M` of mask coefficients or other
/// numbers a box carries behind its classes, which are ignored. Coordinates are pixels of the model's input unless said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Ultralytics v8, v9, 11, 12: `[1, 4+C+M, N]`; rows cx, cy, w, h, then one score a class.
    Yolov8,
    /// The same with boxes as rows: `[1, N, 4+C+M]`.
    Yolov8Transposed,
    /// Ultralytics v5, v7, and YOLOX exported with its decoding: `[1, N, 5+C+M]`; cx, cy, w, h, objectness, classes.
    Yolov5,
    /// Suppression trained in or exported: `[1, N, 6+M]`; x0, y0, x1, y1, score, class. No further suppression.
    EndToEnd,
    /// YOLOX raw grid: `[1, N, 5+C]`; offsets and log sizes in cells of strides 8, 16, 32.
    Yolox,
    /// Suppression exported as v7 does: `[N, 7]`; picture, x0, y0, x1, y1, class, score. No further suppression.
    EmbeddedNms,
    /// DETR family: three outputs, labels `[1, N]`, boxes `[1, N, 4]` (x0, y0, x1, y1), scores `[1, N]`, with or
    /// without the leading 1. No further suppression.
    Detr,
    /// MMDeploy: `dets [1, N, 5]` (x0, y0, x1, y1, score) and `labels [1, N]`. No further suppression.
    Mmdeploy,
    /// NanoDet: for each stride classes `[1, n, C]` and distances to the four sides as distributions `[1, n, 4·B]`.
    Nanodet,
    /// FastestDet: one grid `[1, 5+C, h, w]`; objectness, tanh offsets, sigmoid sizes, classes.
    Fastestdet,
}

impl Layout {
    /// Every layout, in the order in which the property `layout` lists them.
    pub const ALL: [Self; 10] = [
        Self::Yolov8,
        Self::Yolov8Transposed,
        Self::Yolov5,
        Self::EndToEnd,
        Self::Yolox,
        Self::EmbeddedNms,
        Self::Detr,
        Self::Mmdeploy,
        Self::Nanodet,
        Self::Fastestdet,
    ];

    /// The name used by the property `layout` and by sidecar files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yolov8 => "yolov8",
            Self::Yolov8Transposed => "yolov8-transposed",
            Self::Yolov5 => "yolov5",
            Self::EndToEnd => "end-to-end",
            Self::Yolox => "yolox",
            Self::EmbeddedNms => "embedded-nms",
            Self::Detr => "detr",
            Self::Mmdeploy => "mmdeploy",
            Self::Nanodet => "nanodet",
            Self::Fastestdet => "fastestdet",
        }
    }

    /// The layout of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.name() == name)
    }

    /// True when the boxes still have doubles that [`super::nms`] must remove.
    pub const fn needs_nms(self) -> bool {
        !matches!(
            self,
            Self::EndToEnd | Self::EmbeddedNms | Self::Detr | Self::Mmdeploy
        )
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is known of one output before it is read. Unknown lengths are `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputInfo {
    /// Name in the model.
    pub name: String,
    /// Lengths, outermost first.
    pub dims: Vec<Option<usize>>,
    /// True for whole numbers (labels), false for float16 and float32.
    pub integer: bool,
}

impl fmt::Display for OutputInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self
            .dims
            .iter()
            .map(|d| d.map_or_else(|| "?".into(), |n| n.to_string()))
            .collect();
        write!(f, "{} [{}]", self.name, dims.join(","))
    }
}

/// What else helps to tell layouts apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hints {
    /// Width of the model's input, px.
    pub input_width: usize,
    /// Height of the model's input, px.
    pub input_height: usize,
    /// Number of classes, when metadata or a labels file name them.
    pub classes: Option<usize>,
    /// Metadata `end2end`, or `nms` among the export's arguments: suppression is part of the model.
    pub end2end: Option<bool>,
    /// Metadata `task`: `detect`, `segment`, `pose`, …
    pub task: Option<String>,
    /// The layout asked for; `None` is automatic.
    pub layout: Option<Layout>,
}

/// Why no layout was chosen. Every message says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum LayoutError {
    #[error("the model has no outputs")]
    NoOutputs,
    #[error("the model's task is '{0}': only models that give upright boxes can be used")]
    Task(String),
    #[error(
        "the output layout is ambiguous: {outputs} could be {candidates}; set the property `layout` (or the same key in the model's .toml file), or give `labels-file`"
    )]
    Ambiguous { outputs: String, candidates: String },
    #[error(
        "layout not supported: {outputs} at input {width}x{height} fits none of the known layouts; if it is one of them all the same, set the property `layout`"
    )]
    Unknown {
        outputs: String,
        width: usize,
        height: usize,
    },
    #[error(
        "{named} classes are named, the model's outputs {outputs} have {found}: correct `labels-file` (or the labels of the model's .toml file), or set the property `layout`. A pose or segmentation model that does not say so needs task = \"pose\" or \"segment\" and its labels in that file"
    )]
    Classes {
        named: usize,
        found: usize,
        outputs: String,
    },
    #[error(
        "layout={layout} does not fit the model's outputs {outputs}: {reason}; set the property `layout` to auto or to another layout"
    )]
    Mismatch {
        layout: Layout,
        outputs: String,
        reason: String,
    },
}

/// Strides of a feature pyramid's levels.
type Strides = &'static [usize];

/// Pyramids met in published models: three levels (nearly all), with a fourth coarse one ("P6"), with a fine one ("P2"),
/// and the two of the tiny models.
const PYRAMIDS: [Strides; 4] = [&[8, 16, 32], &[8, 16, 32, 64], &[4, 8, 16, 32], &[16, 32]];

/// Strides of YOLOX and NanoDet (their reference implementations).
pub(super) const STRIDES: Strides = &[8, 16, 32];

/// Boxes a cell that v5 and v7 predict (their anchors).
const ANCHORS: usize = 3;

/// Classes of COCO: what a model without names most often has.
const COCO_CLASSES: usize = 80;

/// Numbers of a suppressed box: x0, y0, x1, y1, score, class.
const SUPPRESSED: usize = 6;

/// Numbers behind them in a pose model of COCO: x, y and visibility of 17 key points.
const KEY_POINTS: usize = 17 * 3;

/// How a model's outputs are to be read: the layout and the numbers that its shape leaves open.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    pub(super) layout: Layout,
    pub(super) classes: Option<usize>,
    /// Indices of the outputs that matter, in the layout's own order.
    pub(super) outputs: Vec<usize>,
    pub(super) input_width: usize,
    pub(super) input_height: usize,
}

impl Head {
    /// The layout.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Number of classes, where the shape tells it; outputs that carry class numbers do not.
    pub fn classes(&self) -> Option<usize> {
        self.classes
    }
}

/// Reads the layout from the outputs' shapes and names and from what else is known. `outputs` are all of the model's, in
/// its order. A layout asked for by [`Hints::layout`] is checked, not guessed.
pub fn recognise(outputs: &[OutputInfo], hints: &Hints) -> Result<Head, LayoutError> {
    if outputs.is_empty() {
        return Err(LayoutError::NoOutputs);
    }
    if let Some(task) = hints.task.as_deref()
        && matches!(task, "classify" | "obb" | "embed" | "semantic")
    {
        return Err(LayoutError::Task(task.into()));
    }
    let outputs = Outputs {
        all: outputs,
        hints,
    };
    match hints.layout {
        Some(layout) => outputs.fit(layout).map_err(|reason| LayoutError::Mismatch {
            layout,
            outputs: outputs.describe(),
            reason,
        }),
        None => outputs.guess(),
    }
}

/// The outputs with the hints: what the rules look at.
struct Outputs<'a> {
    all: &'a [OutputInfo],
    hints: &'a Hints,
}

/// A tensor of boxes as `[1, a, b]`; unknown lengths are `None`.
#[derive(Clone, Copy)]
struct Table {
    index: usize,
    a: Option<usize>,
    b: Option<usize>,
}

impl Outputs<'_> {
    fn describe(&self) -> String {
        let all: Vec<String> = self.all.iter().map(ToString::to_string).collect();
        all.join(", ")
    }

    fn head(&self, layout: Layout, classes: Option<usize>, outputs: Vec<usize>) -> Head {
        Head {
            layout,
            classes,
            outputs,
            input_width: self.hints.input_width,
            input_height: self.hints.input_height,
        }
    }

    /// The layout that fits without being told.
    fn guess(&self) -> Result<Head, LayoutError> {
        for layout in [Layout::Nanodet, Layout::Detr, Layout::Mmdeploy] {
            if let Ok(head) = self.fit(layout) {
                return Ok(head);
            }
        }
        if self.all.len() == 1 {
            for layout in [Layout::Fastestdet, Layout::EmbeddedNms] {
                if let Ok(head) = self.fit(layout) {
                    return Ok(head);
                }
            }
        }
        let candidates = self.table_candidates();
        match candidates[..] {
            [layout] => self.fit(layout).map_err(|_| self.unknown()),
            [] => Err(self.misnamed().unwrap_or_else(|| self.unknown())),
            _ => Err(LayoutError::Ambiguous {
                outputs: self.describe(),
                candidates: candidates
                    .iter()
                    .map(|l| l.name())
                    .collect::<Vec<_>>()
                    .join(" or "),
            }),
        }
    }

    /// The error for a model that would be understood but for the number of classes named.
    fn misnamed(&self) -> Option<LayoutError> {
        let named = self.hints.classes?;
        let hints = Hints {
            classes: None,
            ..self.hints.clone()
        };
        let nameless = Outputs {
            all: self.all,
            hints: &hints,
        };
        let found = nameless.guess().ok()?.classes?;
        Some(LayoutError::Classes {
            named,
            found,
            outputs: self.describe(),
        })
    }

    fn unknown(&self) -> LayoutError {
        LayoutError::Unknown {
            outputs: self.describe(),
            width: self.hints.input_width,
            height: self.hints.input_height,
        }
    }

    /// Layouts of one table `[1, a, b]` that agree with the grid, the number of classes and the metadata.
    fn table_candidates(&self) -> Vec<Layout> {
        let Some(Table { a, b, .. }) = self.table() else {
            return Vec::new();
        };
        if self.hints.end2end == Some(true) {
            return vec![Layout::EndToEnd];
        }
        let mut found = Vec::new();
        if self.is_grid(b, 1) && a.is_none_or(|a| self.class_count(a, 4).is_ok()) {
            found.push(Layout::Yolov8);
        }
        if self.is_grid(a, ANCHORS) && b.is_some_and(|b| self.class_count(b, 5).is_ok()) {
            found.push(Layout::Yolov5);
        }
        if self.is_grid(a, 1) {
            found.extend(self.row_grid_candidates(b));
        }
        if found.is_empty() {
            found = self.off_grid_candidates(a, b);
        }
        found
    }

    /// One row a cell: YOLOX (5+C columns) or a transposed v8 (4+C).
    fn row_grid_candidates(&self, columns: Option<usize>) -> Vec<Layout> {
        let cells = self.grid_cells(STRIDES);
        let yolox = self.table().is_some_and(|t| t.a == cells);
        match (columns, self.hints.classes) {
            // One class, by the grid's own count: DESIGN §5. A transposed v8 of two classes has metadata.
            (Some(6), None) if yolox => vec![Layout::Yolox],
            (Some(5), None) => vec![Layout::Yolov8Transposed],
            (Some(c), None) if c == 5 + COCO_CLASSES && yolox => vec![Layout::Yolox],
            (Some(c), None) if c == 4 + COCO_CLASSES => vec![Layout::Yolov8Transposed],
            (Some(c), Some(classes)) if c == 5 + classes && yolox => vec![Layout::Yolox],
            (Some(c), Some(_)) if self.class_count(c, 4).is_ok() => vec![Layout::Yolov8Transposed],
            (Some(c), None) if c > 6 => vec![Layout::Yolov8Transposed, Layout::Yolox],
            _ => Vec::new(),
        }
    }

    /// Rows that no known grid explains: suppressed boxes, or a head of unusual strides whose classes are named.
    fn off_grid_candidates(&self, a: Option<usize>, b: Option<usize>) -> Vec<Layout> {
        if b.is_some_and(|columns| self.are_suppressed(columns)) {
            return vec![Layout::EndToEnd];
        }
        let (Some(a), Some(b), Some(classes)) = (a, b, self.hints.classes) else {
            return Vec::new();
        };
        match () {
            () if a == 4 + classes && b > a => vec![Layout::Yolov8],
            () if b == 4 + classes && a > b => vec![Layout::Yolov8Transposed],
            () if b == 5 + classes && a > b => vec![Layout::Yolov5],
            () => Vec::new(),
        }
    }

    /// True for columns of suppressed boxes: six numbers alone, with the mask coefficients of a second output, or with the
    /// 17 key points of COCO.
    fn are_suppressed(&self, columns: usize) -> bool {
        let masks = self.mask_coefficients();
        columns == SUPPRESSED + masks || (masks == 0 && columns == SUPPRESSED + KEY_POINTS)
    }

    /// Checks one layout against the outputs; the error is the reason.
    fn fit(&self, layout: Layout) -> Result<Head, String> {
        match layout {
            Layout::Yolov8 => self.fit_table(layout, 4, |t| t.a),
            Layout::Yolov8Transposed => self.fit_table(layout, 4, |t| t.b),
            Layout::Yolov5 => self.fit_table(layout, 5, |t| t.b),
            Layout::Yolox => self.fit_yolox(),
            Layout::EndToEnd => self.fit_end_to_end(),
            Layout::EmbeddedNms => self.fit_embedded_nms(),
            Layout::Detr => self.fit_detr(),
            Layout::Mmdeploy => self.fit_mmdeploy(),
            Layout::Nanodet => self.fit_nanodet(),
            Layout::Fastestdet => self.fit_fastestdet(),
        }
    }

    fn fit_table(
        &self,
        layout: Layout,
        fixed: usize,
        columns: impl Fn(Table) -> Option<usize>,
    ) -> Result<Head, String> {
        let table = self.table().ok_or("no output is [1,a,b]")?;
        let columns = columns(table).ok_or("the number of columns is not known")?;
        let classes = self.class_count(columns, fixed)?;
        Ok(self.head(layout, Some(classes), vec![table.index]))
    }

    fn fit_yolox(&self) -> Result<Head, String> {
        let head = self.fit_table(Layout::Yolox, 5, |t| t.b)?;
        let (rows, cells) = (self.table().and_then(|t| t.a), self.grid_cells(STRIDES));
        if rows != cells {
            return Err(format!(
                "a raw grid of strides 8, 16, 32 has {cells:?} rows, not {rows:?}"
            ));
        }
        Ok(head)
    }

    fn fit_end_to_end(&self) -> Result<Head, String> {
        let table = self.table().ok_or("no output is [1,N,6]")?;
        let columns = table.b.ok_or("the number of columns is not known")?;
        // Mask coefficients or key points follow the class. What the metadata or the user says is believed.
        let is_said = self.hints.end2end == Some(true) || self.hints.layout.is_some();
        if columns < SUPPRESSED || !(is_said || self.are_suppressed(columns)) {
            return Err(format!(
                "end-to-end rows have {SUPPRESSED} numbers or more, not {columns}"
            ));
        }
        Ok(self.head(Layout::EndToEnd, self.hints.classes, vec![table.index]))
    }

    fn fit_embedded_nms(&self) -> Result<Head, String> {
        let index = self
            .position(|o| !o.integer && matches!(o.dims[..], [_, Some(7)]))
            .ok_or("no output is [N,7]")?;
        Ok(self.head(Layout::EmbeddedNms, self.hints.classes, vec![index]))
    }

    /// Outputs labels, boxes, scores, in whatever order, with or without a leading 1.
    fn fit_detr(&self) -> Result<Head, String> {
        let boxes = self
            .position(|o| !o.integer && o.dims.len() >= 2 && self.last(o) == Some(4))
            .or_else(|| self.named("boxes"))
            .ok_or("no output is [N,4]")?;
        let rank = self.all[boxes].dims.len() - 1;
        let labels = self
            .position(|o| o.integer && o.dims.len() == rank)
            .or_else(|| self.named("labels"))
            .ok_or("no output of labels beside the boxes")?;
        let scores = self
            .all
            .iter()
            .enumerate()
            .position(|(i, o)| i != boxes && i != labels && !o.integer && o.dims.len() == rank)
            .ok_or("no output of scores beside the boxes")?;
        Ok(self.head(
            Layout::Detr,
            self.hints.classes,
            vec![boxes, scores, labels],
        ))
    }

    /// `dets [1, N, 5]` and `labels [1, N]`; the 5 may be unknown when the names say it.
    fn fit_mmdeploy(&self) -> Result<Head, String> {
        let labels = self
            .position(|o| o.integer && o.dims.len() <= 2)
            .or_else(|| self.named("labels"))
            .ok_or("no output of labels")?;
        let dets = self
            .all
            .iter()
            .enumerate()
            .position(|(i, o)| {
                i != labels
                    && !o.integer
                    && o.dims.len() == self.all[labels].dims.len() + 1
                    && (self.last(o) == Some(5) || (self.last(o).is_none() && o.name == "dets"))
            })
            .ok_or("no output is [1,N,5] beside the labels")?;
        Ok(self.head(Layout::Mmdeploy, self.hints.classes, vec![dets, labels]))
    }

    /// Classes of every stride, then distances of every stride, in the order of strides.
    fn fit_nanodet(&self) -> Result<Head, String> {
        let (mut classes, mut distances) = (Vec::new(), Vec::new());
        let mut class_count = None;
        for &stride in STRIDES {
            let cells = self.cells(stride);
            let pair: Vec<usize> = (0..self.all.len())
                .filter(|&i| self.all[i].dims.len() == 3 && self.all[i].dims[1] == Some(cells))
                .collect();
            let [first, second] = pair[..] else {
                return Err(format!(
                    "stride {stride} needs two outputs [1,{cells},…], found {}",
                    pair.len()
                ));
            };
            let (cls, dis) = self.nanodet_pair(first, second)?;
            if class_count.is_some_and(|c| c != self.last(&self.all[cls])) {
                return Err("the strides differ in their number of classes".into());
            }
            class_count = Some(self.last(&self.all[cls]));
            classes.push(cls);
            distances.push(dis);
        }
        let classes_known = class_count.flatten();
        self.check_named(classes_known)?;
        classes.extend(distances);
        Ok(self.head(Layout::Nanodet, classes_known, classes))
    }

    /// Which of two outputs of one stride holds classes: the names say it (`cls`, `dis` or `reg`), else the order.
    fn nanodet_pair(&self, first: usize, second: usize) -> Result<(usize, usize), String> {
        let name = self.all[first].name.to_ascii_lowercase();
        let swapped = name.contains("dis") || name.contains("reg");
        let (cls, dis) = if swapped {
            (second, first)
        } else {
            (first, second)
        };
        match (self.last(&self.all[cls]), self.last(&self.all[dis])) {
            // Two bins a side at least: one alone would always be distance zero.
            (Some(c), Some(d)) if c >= 1 && d % 4 == 0 && d >= 8 => Ok((cls, dis)),
            _ => Err("distances must be four distributions of one length".into()),
        }
    }

    fn fit_fastestdet(&self) -> Result<Head, String> {
        let index = self
            .position(|o| !o.integer && o.dims.len() == 4)
            .ok_or("no output is [1,5+C,h,w]")?;
        let [_, Some(channels), Some(h), Some(w)] = self.all[index].dims[..] else {
            return Err("the grid's size is not known".into());
        };
        let hints = self.hints;
        let is_one_stride = h > 0
            && w > 0
            && hints.input_height.is_multiple_of(h)
            && hints.input_width.is_multiple_of(w)
            && hints.input_height / h == hints.input_width / w;
        if !is_one_stride {
            return Err("the grid does not divide the input".into());
        }
        let classes = self.class_count(channels, 5)?;
        Ok(self.head(Layout::Fastestdet, Some(classes), vec![index]))
    }

    /// The first float output of rank 3.
    fn table(&self) -> Option<Table> {
        let index = self.position(|o| !o.integer && o.dims.len() == 3)?;
        let dims = &self.all[index].dims;
        (dims[0].is_none_or(|batch| batch == 1)).then_some(Table {
            index,
            a: dims[1],
            b: dims[2],
        })
    }

    /// Classes in `columns` numbers a box of which `fixed` come first; mask coefficients are left out.
    fn class_count(&self, columns: usize, fixed: usize) -> Result<usize, String> {
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

    fn check_named(&self, classes: Option<usize>) -> Result<(), String> {
        match (self.hints.classes, classes) {
            (Some(named), Some(found)) if named != found => Err(format!(
                "{named} classes are named, the outputs have {found}"
            )),
            _ => Ok(()),
        }
    }

    fn has_extras(&self) -> bool {
        matches!(self.hints.task.as_deref(), Some("segment" | "pose"))
    }

    /// A second output `[1, M, h, w]` holds mask prototypes: M coefficients follow the classes.
    fn mask_coefficients(&self) -> usize {
        let prototypes = self
            .all
            .iter()
            .skip(1)
            .find(|o| !o.integer && o.dims.len() == 4);
        prototypes.and_then(|o| o.dims[1]).unwrap_or(0)
    }

    fn position(&self, rule: impl Fn(&OutputInfo) -> bool) -> Option<usize> {
        self.all.iter().position(rule)
    }

    fn named(&self, name: &str) -> Option<usize> {
        self.position(|o| o.name.eq_ignore_ascii_case(name))
    }

    fn last(&self, output: &OutputInfo) -> Option<usize> {
        output.dims.last().copied().flatten()
    }

    /// Cells of one stride; a last part of a cell counts, as in the models' own padding.
    fn cells(&self, stride: usize) -> usize {
        self.hints.input_width.div_ceil(stride) * self.hints.input_height.div_ceil(stride)
    }

    fn grid_cells(&self, strides: Strides) -> Option<usize> {
        Some(strides.iter().map(|&s| self.cells(s)).sum())
    }

    fn is_grid(&self, rows: Option<usize>, boxes_per_cell: usize) -> bool {
        rows.is_some_and(|rows| {
            PYRAMIDS
                .iter()
                .any(|p| self.grid_cells(p) == Some(rows / boxes_per_cell))
                && rows.is_multiple_of(boxes_per_cell)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(name: &str, dims: &[usize]) -> OutputInfo {
        OutputInfo {
            name: name.into(),
            dims: dims.iter().map(|&d| (d > 0).then_some(d)).collect(),
            integer: name.contains("labels"),
        }
    }

    fn hints(size: usize, classes: Option<usize>) -> Hints {
        Hints {
            input_width: size,
            input_height: size,
            classes,
            ..Hints::default()
        }
    }

    type Outputs<'a> = &'a [(&'a str, &'a [usize])];

    fn infos(outputs: Outputs) -> Vec<OutputInfo> {
        outputs
            .iter()
            .map(|(name, dims)| output(name, dims))
            .collect()
    }

    /// A layout and the number of its classes.
    type Expected = (Layout, Option<usize>);

    /// 0 is an unknown length.
    fn check(outputs: Outputs, hints: &Hints, expected: Expected) {
        let head = recognise(&infos(outputs), hints).unwrap_or_else(|e| panic!("{outputs:?}: {e}"));
        assert_eq!((head.layout, head.classes), expected, "{outputs:?}");
    }

    #[test]
    fn shapes_of_published_models() {
        use Layout::*;
        let cases: &[(Outputs, Hints, Expected)] = &[
            (
                &[("output0", &[1, 84, 8400])],
                hints(640, Some(80)),
                (Yolov8, Some(80)),
            ),
            (
                &[("output0", &[1, 84, 8400])],
                hints(640, None),
                (Yolov8, Some(80)),
            ),
            (
                &[("output0", &[1, 84, 2100])],
                hints(320, Some(80)),
                (Yolov8, Some(80)),
            ),
            (
                &[("output0", &[1, 5, 8400])],
                hints(640, Some(1)),
                (Yolov8, Some(1)),
            ),
            (
                &[("output0", &[1, 5, 8400])],
                hints(640, None),
                (Yolov8, Some(1)),
            ),
            (
                &[("output0", &[1, 8400, 84])],
                hints(640, None),
                (Yolov8Transposed, Some(80)),
            ),
            (
                &[("output0", &[1, 8400, 5])],
                hints(640, None),
                (Yolov8Transposed, Some(1)),
            ),
            (
                &[("output0", &[1, 8400, 6])],
                hints(640, Some(2)),
                (Yolov8Transposed, Some(2)),
            ),
            (
                &[("output0", &[1, 300, 6])],
                hints(640, None),
                (EndToEnd, None),
            ),
            (
                &[("output0", &[1, 300, 57])],
                hints(640, None),
                (EndToEnd, None),
            ),
            (
                &[("output0", &[1, 300, 38]), ("output1", &[1, 32, 160, 160])],
                hints(640, None),
                (EndToEnd, None),
            ),
            (
                &[("output0", &[1, 300, 38]), ("output1", &[1, 32, 160, 160])],
                hints(640, Some(80)),
                (EndToEnd, Some(80)),
            ),
            (
                &[("output", &[1, 25200, 85])],
                hints(640, None),
                (Yolov5, Some(80)),
            ),
            (
                &[("output", &[1, 25200, 6])],
                hints(640, None),
                (Yolov5, Some(1)),
            ),
            (
                &[("output", &[1, 3549, 85])],
                hints(416, None),
                (Yolox, Some(80)),
            ),
            (
                &[("output", &[1, 756, 6])],
                hints(192, None),
                (Yolox, Some(1)),
            ),
            (
                &[("output", &[0, 7])],
                hints(640, Some(80)),
                (EmbeddedNms, Some(80)),
            ),
            (
                &[("734", &[1, 85, 22, 22])],
                hints(352, None),
                (Fastestdet, Some(80)),
            ),
            (
                &[("output0", &[1, 116, 2100]), ("output1", &[1, 32, 80, 80])],
                hints(320, None),
                (Yolov8, Some(80)),
            ),
            (
                &[
                    ("output0", &[1, 117, 25200]),
                    ("output1", &[1, 32, 160, 160]),
                ],
                Hints {
                    layout: Some(Yolov8),
                    ..hints(640, None)
                },
                (Yolov8, Some(81)),
            ),
            (
                &[("labels", &[0]), ("boxes", &[0, 0]), ("scores", &[0])],
                hints(320, None),
                (Detr, None),
            ),
            (
                &[
                    ("labels", &[0, 0]),
                    ("boxes", &[0, 0, 4]),
                    ("scores", &[0, 0]),
                ],
                hints(416, None),
                (Detr, None),
            ),
            (
                &[("dets", &[0, 0, 0]), ("labels", &[0, 0])],
                hints(640, None),
                (Mmdeploy, None),
            ),
            (
                &[("labels", &[1, 100]), ("x", &[1, 100, 5])],
                hints(640, None),
                (Mmdeploy, None),
            ),
            (
                &[
                    ("cls_pred_stride_8", &[1, 2704, 80]),
                    ("cls_pred_stride_16", &[1, 676, 80]),
                    ("cls_pred_stride_32", &[1, 169, 80]),
                    ("dis_pred_stride_8", &[1, 2704, 32]),
                    ("dis_pred_stride_16", &[1, 676, 32]),
                    ("dis_pred_stride_32", &[1, 169, 32]),
                ],
                hints(416, None),
                (Nanodet, Some(80)),
            ),
        ];
        for (outputs, hints, expected) in cases {
            check(outputs, hints, *expected);
        }
    }

    #[test]
    fn metadata_decides_where_shapes_cannot() {
        let hints = |end2end, task: Option<&str>, classes| Hints {
            end2end,
            task: task.map(Into::into),
            ..hints(192, classes)
        };
        let grid: Outputs = &[("output", &[1, 756, 6])];
        check(
            grid,
            &hints(Some(true), None, None),
            (Layout::EndToEnd, None),
        );
        check(
            grid,
            &hints(Some(false), None, Some(1)),
            (Layout::Yolox, Some(1)),
        );
        let masks: Outputs = &[("o", &[1, 300, 38]), ("p", &[1, 32, 48, 48])];
        check(
            masks,
            &hints(Some(true), Some("segment"), Some(80)),
            (Layout::EndToEnd, Some(80)),
        );
        // Key points of another kind are only known from metadata, or from whoever sets the layout.
        let hands: Outputs = &[("o", &[1, 300, 69])];
        check(
            hands,
            &hints(Some(true), Some("pose"), Some(1)),
            (Layout::EndToEnd, Some(1)),
        );
        let told = Hints {
            layout: Some(Layout::EndToEnd),
            ..hints(None, None, None)
        };
        check(hands, &told, (Layout::EndToEnd, None));
        check(masks, &told, (Layout::EndToEnd, None));
        let pose: Outputs = &[("o", &[1, 56, 756])];
        check(
            pose,
            &hints(None, Some("pose"), Some(1)),
            (Layout::Yolov8, Some(1)),
        );
    }

    #[test]
    fn doubt_is_an_error_that_names_the_property() {
        let cases: &[(Outputs, Hints)] = &[
            (&[("output", &[1, 3549, 25])], hints(416, None)),
            (&[("output", &[1, 3549, 25])], hints(416, Some(3))),
            (&[("output", &[1, 1000])], hints(224, None)),
            (&[("output", &[1, 0, 0])], hints(640, None)),
            (&[("output", &[4, 84, 8400])], hints(640, None)),
            (&[("output", &[1, 84, 8400])], hints(640, Some(20))),
            (
                &[("output", &[1, 84, 8400])],
                Hints {
                    layout: Some(Layout::Yolox),
                    ..hints(640, None)
                },
            ),
            (
                &[("output", &[1, 84, 8400])],
                Hints {
                    layout: Some(Layout::Detr),
                    ..hints(640, None)
                },
            ),
        ];
        for (outputs, hints) in cases {
            let error = recognise(&infos(outputs), hints).expect_err("must be refused");
            assert!(
                error.to_string().contains("`layout`"),
                "{outputs:?}: {error}"
            );
        }
        assert_eq!(
            recognise(&[], &hints(640, None)),
            Err(LayoutError::NoOutputs)
        );
        let obb = Hints {
            task: Some("obb".into()),
            ..hints(640, None)
        };
        assert_eq!(
            recognise(&infos(&[("o", &[1, 20, 8400])]), &obb),
            Err(LayoutError::Task("obb".into()))
        );
    }

    #[test]
    fn names_and_layouts_map_both_ways() {
        for layout in Layout::ALL {
            assert_eq!(Layout::from_name(layout.name()), Some(layout));
        }
        assert_eq!(Layout::from_name("auto"), None);
    }
}
