//! Boxes with ids as text, one a line: rows of MOTChallenge (`frame,id,x,y,w,h[,confidence,…]`), and rows of VATIC
//! (`id xmin ymin xmax ymax frame lost occluded generated "label"`), which several data sets come in.

use std::collections::HashMap;

use crate::geometry::Rect;

/// A box of one person in one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelledBox {
    /// Number of the frame, as the file counts.
    pub frame: u32,
    /// Number of the person or track.
    pub id: u32,
    /// Box, px.
    pub rect: Rect,
    /// Seventh column of a MOT row; 1 if it is missing.
    pub confidence: f32,
}

impl LabelledBox {
    /// True when the centre lies in a picture of `width` × `height` px. Truth made by projecting people into a picture
    /// goes on outside of it, where nothing can be found.
    pub fn has_centre_within(&self, width: f32, height: f32) -> bool {
        let (x, y) = self.rect.centre();
        (0.0..width).contains(&x) && (0.0..height).contains(&y)
    }
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Ground truth. A seventh column of 0 marks a box that does not count (MOTChallenge).
    Truth,
    /// A tracker's boxes; all count, whatever their confidence.
    Result,
    /// The same with corrected ids: two boxes of a frame may have one id.
    Corrected,
}

/// A line that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct MotError {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: MotFault,
}

/// What can be wrong with a line.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum MotFault {
    #[error("a row has at least 6 fields (frame,id,x,y,w,h), this one has {0}")]
    Fields(usize),
    #[error("{field} '{text}' is not a finite number")]
    NotANumber { field: &'static str, text: String },
    #[error("{field} '{text}' is not a whole number from 0 to {MAX_NUMBER}")]
    NotACount { field: &'static str, text: String },
    #[error(
        "id {0} is not an identity; boxes without ids cannot be scored as tracks (was reidtrack in the pipeline?)"
    )]
    NoId(i64),
    #[error("a box has a negative size: {width} x {height} px")]
    Inverted { width: f32, height: f32 },
    #[error("id {id} is already in frame {frame} (line {first}); a person has one box in a frame")]
    Twice { frame: u32, id: u32, first: usize },
}

/// Largest frame number and id.
const MAX_NUMBER: u32 = i32::MAX as u32;

/// The boxes of a text, sorted by frame and id. Empty lines and lines that begin with `#` are passed over, and of a result
/// those with id -1, which `reidpublish` writes for people that carry no number yet. Fails at the first line that cannot be
/// used, and when a result names nobody.
pub fn parse(text: &str, role: Role) -> Result<Vec<LabelledBox>, MotError> {
    let mut boxes = Vec::new();
    let mut nameless = None;
    let mut seen: HashMap<(u32, u32), usize> = HashMap::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim().trim_start_matches('\u{feff}');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = |fault| MotError { line: i + 1, fault };
        let row = match parse_line(line, role) {
            Ok(Some(row)) => row,
            Ok(None) => continue,
            Err(fault @ MotFault::NoId(-1)) if role != Role::Truth => {
                nameless.get_or_insert(place(fault));
                continue;
            }
            Err(fault) => return Err(place(fault)),
        };
        let (frame, id) = (row.frame, row.id);
        if let Some(first) = seen.insert((frame, id), i + 1)
            && role != Role::Corrected
        {
            return Err(place(MotFault::Twice { frame, id, first }));
        }
        boxes.push(row);
    }
    if let Some(error) = nameless.filter(|_| boxes.is_empty()) {
        return Err(error);
    }
    boxes.sort_by_key(|b| (b.frame, b.id));
    Ok(boxes)
}

/// The box of a line; `None` when it does not count.
fn parse_line(line: &str, role: Role) -> Result<Option<LabelledBox>, MotFault> {
    let fields: Vec<&str> = if line.contains(',') {
        line.split(',').map(str::trim).collect()
    } else {
        line.split_whitespace().collect()
    };
    if fields.len() < 6 {
        return Err(MotFault::Fields(fields.len()));
    }
    let row = if fields.get(9).is_some_and(|label| label.starts_with('"')) {
        vatic_row(&fields)?
    } else {
        mot_row(&fields, role)?
    };
    if let Some(LabelledBox { rect, .. }) = &row
        && (rect.w < 0.0 || rect.h < 0.0)
    {
        let (width, height) = (rect.w, rect.h);
        return Err(MotFault::Inverted { width, height });
    }
    Ok(row)
}

fn mot_row(fields: &[&str], role: Role) -> Result<Option<LabelledBox>, MotFault> {
    let confidence = match fields.get(6) {
        Some(text) => number("confidence", text)?,
        None => 1.0,
    };
    if role == Role::Truth && confidence == 0.0 {
        return Ok(None);
    }
    Ok(Some(LabelledBox {
        frame: count("frame", fields[0])?,
        id: id(fields[1])?,
        rect: Rect::new(
            number("x", fields[2])?,
            number("y", fields[3])?,
            number("width", fields[4])?,
            number("height", fields[5])?,
        ),
        confidence,
    }))
}

fn vatic_row(fields: &[&str]) -> Result<Option<LabelledBox>, MotFault> {
    if count("lost", fields[6])? != 0 {
        return Ok(None);
    }
    Ok(Some(LabelledBox {
        frame: count("frame", fields[5])?,
        id: id(fields[0])?,
        rect: Rect::from_corners(
            number("xmin", fields[1])?,
            number("ymin", fields[2])?,
            number("xmax", fields[3])?,
            number("ymax", fields[4])?,
        ),
        confidence: 1.0,
    }))
}

fn number(field: &'static str, text: &str) -> Result<f32, MotFault> {
    match text.parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(MotFault::NotANumber {
            field,
            text: text.into(),
        }),
    }
}

/// A whole number, which some programs write as `7.0`.
fn count(field: &'static str, text: &str) -> Result<u32, MotFault> {
    match text.parse::<f64>() {
        Ok(value) if value.fract() == 0.0 && (0.0..=f64::from(MAX_NUMBER)).contains(&value) => {
            Ok(value as u32)
        }
        _ => Err(MotFault::NotACount {
            field,
            text: text.into(),
        }),
    }
}

fn id(text: &str) -> Result<u32, MotFault> {
    match text.parse::<f64>() {
        Ok(value) if value < 0.0 && value.fract() == 0.0 => Err(MotFault::NoId(value as i64)),
        _ => count("id", text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(frame: u32, id: u32, rect: Rect, confidence: f32) -> LabelledBox {
        LabelledBox {
            frame,
            id,
            rect,
            confidence,
        }
    }

    #[test]
    fn rows_of_both_kinds_are_read_and_sorted() {
        let text = "# frame,id,x,y,w,h\n2,1,10.5,20,30,40,0.7,-1,-1,-1\n\n1, 7.0, 1,2,3,4\r\n";
        assert_eq!(
            parse(text, Role::Result).unwrap(),
            [
                row(1, 7, Rect::new(1.0, 2.0, 3.0, 4.0), 1.0),
                row(2, 1, Rect::new(10.5, 20.0, 30.0, 40.0), 0.7),
            ]
        );
        let vatic =
            "17 612 416 708 624 3 0 1 0 \"PERSON\"\n17 612 416 708 624 4 1 0 0 \"PERSON\"\n";
        assert_eq!(
            parse(vatic, Role::Truth).unwrap(),
            [row(3, 17, Rect::new(612.0, 416.0, 96.0, 208.0), 1.0)],
            "the second row is lost"
        );
        assert_eq!(parse("", Role::Truth).unwrap(), []);
        assert_eq!(
            parse("1 7 1 2 3 4 1 -1 -1 -1", Role::Truth).unwrap().len(),
            1
        );
    }

    #[test]
    fn a_flag_of_zero_leaves_out_truth_but_no_result() {
        let text = "1,1,0,0,9,9,0\n1,2,0,0,9,9,1\n";
        assert_eq!(parse(text, Role::Truth).unwrap().len(), 1);
        assert_eq!(parse(text, Role::Result).unwrap().len(), 2);
    }

    #[test]
    fn corrected_ids_may_stand_twice_in_a_frame() {
        let text = "1,1,0,0,9,9\n1,1,50,0,9,9\n1,-1,90,0,9,9\n";
        assert!(parse(text, Role::Result).is_err());
        assert_eq!(parse(text, Role::Corrected).unwrap().len(), 2);
    }

    #[test]
    fn who_carries_no_number_yet_is_passed_over_in_results() {
        let text = "1,-1,0,0,9,9\n2,4,0,0,9,9\n2,-1,5,0,9,9\n";
        assert_eq!(parse(text, Role::Result).unwrap().len(), 1);
        assert!(parse(text, Role::Truth).is_err());
    }

    #[test]
    fn errors_name_the_line_and_what_is_wrong_with_it() {
        let cases = [
            ("1,1,0,0,9", "line 1: a row has at least 6 fields"),
            ("1,1,0,0,9,9\nx,1,0,0,9,9", "line 2: frame 'x'"),
            ("1.5,1,0,0,9,9", "line 1: frame '1.5'"),
            ("1,9999999999,0,0,9,9", "line 1: id '9999999999'"),
            ("1,-1,0,0,9,9", "line 1: id -1 is not an identity"),
            (
                "1,1,0,0,9,9\n1,-2,0,0,9,9",
                "line 2: id -2 is not an identity",
            ),
            ("1,1,nan,0,9,9", "line 1: x 'nan'"),
            ("1,1,0,0,inf,9", "line 1: width 'inf'"),
            (
                "1,1,0,0,9,-9",
                "line 1: a box has a negative size: 9 x -9 px",
            ),
            (
                "1,1,0,0,9,9\n\n1,1,5,5,9,9",
                "line 3: id 1 is already in frame 1 (line 1)",
            ),
            ("{\"objects\":[]}", "line 1: a row has at least 6 fields"),
        ];
        for (text, expected) in cases {
            let error = parse(text, Role::Result).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }
}
