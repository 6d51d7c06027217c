//! Line charts and histograms as SVG text. Plain elements without scripts or fonts, so that a report is one file.

use std::fmt::Write;

use crate::html::escape;

/// Width and height of a chart, and its borders left, top, right and bottom, in SVG units.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
const BORDER: [f64; 4] = [56.0, 16.0, 16.0, 44.0];

/// Parts that an axis is divided into.
const TICKS: usize = 5;

/// Colours that people with any kind of colour vision tell apart (Okabe and Ito, "Color Universal Design", 2008).
pub const BLUE: &str = "#0072b2";
/// The other one.
pub const ORANGE: &str = "#d55e00";

/// An axis.
pub struct Axis<'a> {
    /// What it counts.
    pub name: &'a str,
    /// Value at its beginning.
    pub from: f64,
    /// Value at its end, greater.
    pub to: f64,
}

impl Axis<'_> {
    fn place(&self, value: f64) -> f64 {
        (value - self.from) / (self.to - self.from)
    }

    fn tick(&self, number: usize) -> f64 {
        self.from + (self.to - self.from) * number as f64 / TICKS as f64
    }

    /// A value with as many digits as the ticks need.
    fn label(&self, value: f64) -> String {
        let step = (self.to - self.from) / TICKS as f64;
        let digits = if step >= 1.0 {
            0
        } else {
            (-step.log10()).ceil().clamp(1.0, 6.0) as usize
        };
        format!("{value:.digits$}")
    }
}

/// A line through points `[x, y]`.
pub struct Line<'a> {
    /// What it shows.
    pub name: &'a str,
    /// Its colour.
    pub colour: &'a str,
    /// Fill the surface below it.
    pub is_filled: bool,
    /// In the order of x.
    pub points: Vec<[f64; 2]>,
}

/// A chart of lines.
pub fn chart(x: &Axis<'_>, y: &Axis<'_>, lines: &[Line<'_>]) -> String {
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{} over {}\" font-family=\"sans-serif\" font-size=\"12\">\n",
        escape(y.name),
        escape(x.name)
    );
    // Writing to a string does not fail.
    let _ = grid(&mut svg, x, y);
    for (number, line) in lines.iter().enumerate() {
        let _ = draw(&mut svg, x, y, line, number);
    }
    svg + "</svg>\n"
}

/// Across and down, in SVG units.
fn at(x: &Axis<'_>, y: &Axis<'_>, [value_x, value_y]: [f64; 2]) -> [f64; 2] {
    let [left, top, right, bottom] = BORDER;
    [
        left + x.place(value_x) * (WIDTH - left - right),
        HEIGHT - bottom - y.place(value_y) * (HEIGHT - top - bottom),
    ]
}

fn grid(svg: &mut String, x: &Axis<'_>, y: &Axis<'_>) -> std::fmt::Result {
    let [left, top, _, bottom] = BORDER;
    for number in 0..=TICKS {
        let (value_x, value_y) = (x.tick(number), y.tick(number));
        let ([px, base], [begin, py]) = (at(x, y, [value_x, y.from]), at(x, y, [x.from, value_y]));
        let ([_, above], [end, _]) = (at(x, y, [value_x, y.to]), at(x, y, [x.to, value_y]));
        writeln!(
            svg,
            "<path d=\"M{px:.1} {base:.1}V{above:.1}M{begin:.1} {py:.1}H{end:.1}\" stroke=\"#8884\"/>\
             <text x=\"{px:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"currentColor\">{}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"currentColor\">{}</text>",
            base + 16.0,
            x.label(value_x),
            left - 6.0,
            py + 4.0,
            y.label(value_y)
        )?;
    }
    writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"currentColor\">{}</text>\
         <text transform=\"translate(12 {:.1}) rotate(-90)\" text-anchor=\"middle\" fill=\"currentColor\">{}</text>",
        (WIDTH + left) / 2.0,
        HEIGHT - 8.0,
        escape(x.name),
        (HEIGHT + top - bottom) / 2.0,
        escape(y.name)
    )
}

fn draw(
    svg: &mut String,
    x: &Axis<'_>,
    y: &Axis<'_>,
    line: &Line<'_>,
    number: usize,
) -> std::fmt::Result {
    let mut points = String::new();
    for &point in &line.points {
        let [px, py] = at(x, y, point);
        write!(points, "{px:.1},{py:.1} ")?;
    }
    let points = points.trim_end();
    if line.is_filled
        && let (Some(first), Some(last)) = (line.points.first(), line.points.last())
    {
        let [from, base] = at(x, y, [first[0], y.from]);
        let [to, _] = at(x, y, [last[0], y.from]);
        writeln!(
            svg,
            "<polygon points=\"{from:.1},{base:.1} {points} {to:.1},{base:.1}\" fill=\"{}\" fill-opacity=\"0.25\"/>",
            line.colour
        )?;
    }
    let row = BORDER[1] + 14.0 + 16.0 * number as f64;
    writeln!(
        svg,
        "<polyline points=\"{points}\" fill=\"none\" stroke=\"{0}\" stroke-width=\"2\"/>\
         <text x=\"{1:.1}\" y=\"{row:.1}\" text-anchor=\"end\" fill=\"{0}\">{2}</text>",
        line.colour,
        WIDTH - BORDER[2] - 8.0,
        escape(line.name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_where_the_axes_say() {
        let axis = |name, to| Axis {
            name,
            from: 0.0,
            to,
        };
        let line = Line {
            name: "a < b",
            colour: BLUE,
            is_filled: true,
            points: vec![[0.0, 0.0], [10.0, 1.0]],
        };
        let svg = chart(&axis("rank", 10.0), &axis("share", 1.0), &[line]);
        // Bottom left and top right of the inner rectangle.
        assert!(svg.contains("points=\"56.0,276.0 624.0,16.0\""), "{svg}");
        assert!(svg.contains("a &lt; b") && !svg.contains("a < b"));
        assert!(
            svg.contains(">0.2</text>") && svg.contains(">8</text>"),
            "{svg}"
        );
        assert!(!svg.contains("NaN"));
    }
}
