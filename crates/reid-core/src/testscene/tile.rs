//! A small picture with coverage, into which one person is drawn before it enters the scene. Edges are smoothed by
//! their distance from the pixel's centre, which is what supersampling would converge to.

/// A pixel: red, green, blue times coverage, then coverage 0..=1.
pub(super) type Pixel = [f32; 4];

/// A point in the picture, px.
pub(super) type Point = [f32; 2];

/// A rectangle of pixels somewhere in (or partly outside) a picture.
#[derive(Clone, Debug, Default)]
pub(super) struct Tile {
    /// Left and top, px of the picture.
    pub x: i32,
    pub y: i32,
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<Pixel>,
}

/// Where on a round limb a pixel lies.
#[derive(Clone, Copy)]
pub(super) struct OnLimb {
    /// From one end (0) to the other (1).
    pub along: f32,
    /// The surface's direction: right, up, towards the eye.
    pub normal: [f32; 3],
}

/// A round limb, thicker at one end.
#[derive(Clone, Copy)]
pub(super) struct Limb {
    pub from: Point,
    pub to: Point,
    pub from_radius: f32,
    pub to_radius: f32,
}

/// The columns or rows of a tile between two positions, with a pixel's margin.
struct Span {
    start: usize,
    end: usize,
}

impl Span {
    fn of(low: f32, high: f32, origin: i32, length: usize) -> Self {
        let clamp = |v: f32| (v - origin as f32).clamp(0.0, length as f32) as usize;
        Self {
            start: clamp(low.floor() - 1.0),
            end: clamp(high.ceil() + 1.0),
        }
    }

    fn range(&self) -> std::ops::Range<usize> {
        self.start..self.end.max(self.start)
    }
}

impl Tile {
    /// Makes the tile empty, of this place and size. Memory is kept.
    pub fn reset(&mut self, x: i32, y: i32, width: usize, height: usize) {
        (self.x, self.y, self.width, self.height) = (x, y, width, height);
        self.pixels.clear();
        self.pixels.resize(width * height, [0.0; 4]);
    }

    fn blend(&mut self, column: usize, row: usize, colour: [f32; 3], coverage: f32) {
        let pixel = &mut self.pixels[row * self.width + column];
        let keep = 1.0 - coverage;
        for i in 0..3 {
            pixel[i] = pixel[i] * keep + colour[i] * coverage;
        }
        pixel[3] = pixel[3] * keep + coverage;
    }

    /// Draws a limb; `shade` colours a place on it.
    pub fn limb(&mut self, limb: Limb, shade: impl Fn(OnLimb) -> [f32; 3]) {
        let Limb {
            from,
            to,
            from_radius,
            to_radius,
        } = limb;
        let radius = from_radius.max(to_radius);
        let axis = [to[0] - from[0], to[1] - from[1]];
        let length2 = (axis[0] * axis[0] + axis[1] * axis[1]).max(1e-6);
        let rows = Span::of(
            from[1].min(to[1]) - radius,
            from[1].max(to[1]) + radius,
            self.y,
            self.height,
        );
        let columns = Span::of(
            from[0].min(to[0]) - radius,
            from[0].max(to[0]) + radius,
            self.x,
            self.width,
        );
        for row in rows.range() {
            let dy = row as f32 + self.y as f32 + 0.5 - from[1];
            for column in columns.range() {
                let dx = column as f32 + self.x as f32 + 0.5 - from[0];
                let along = ((dx * axis[0] + dy * axis[1]) / length2).clamp(0.0, 1.0);
                let off = [dx - along * axis[0], dy - along * axis[1]];
                let distance2 = off[0] * off[0] + off[1] * off[1];
                let r = from_radius + (to_radius - from_radius) * along;
                if distance2 > (r + 0.5) * (r + 0.5) {
                    continue;
                }
                let distance = distance2.sqrt();
                let coverage = (r + 0.5 - distance).min(1.0).min(2.0 * r);
                let scale = 1.0 / r.max(0.5);
                let normal = facing(off[0] * scale, -off[1] * scale);
                self.blend(column, row, shade(OnLimb { along, normal }), coverage);
            }
        }
    }

    /// Draws an ellipse with upright axes; `shade` gets the surface's direction.
    pub fn ball(&mut self, centre: Point, radii: Point, shade: impl Fn([f32; 3]) -> [f32; 3]) {
        let rows = Span::of(
            centre[1] - radii[1],
            centre[1] + radii[1],
            self.y,
            self.height,
        );
        let columns = Span::of(
            centre[0] - radii[0],
            centre[0] + radii[0],
            self.x,
            self.width,
        );
        let soft = radii[0].min(radii[1]).max(0.5);
        for row in rows.range() {
            let v = (row as f32 + self.y as f32 + 0.5 - centre[1]) / radii[1].max(0.5);
            for column in columns.range() {
                let u = (column as f32 + self.x as f32 + 0.5 - centre[0]) / radii[0].max(0.5);
                let coverage = ((1.0 - (u * u + v * v).sqrt()) * soft + 0.5).min(1.0);
                if coverage > 0.0 {
                    self.blend(column, row, shade(facing(u, -v)), coverage);
                }
            }
        }
    }

    /// Draws a shape row by row between two heights: `edges` gives its left and right at a row's middle (px), `shade`
    /// gets how far across a pixel lies (-1..=1) and the row's middle.
    pub fn rows(
        &mut self,
        top: f32,
        bottom: f32,
        edges: impl Fn(f32) -> Point,
        shade: impl Fn(f32, f32) -> [f32; 3],
    ) {
        for row in Span::of(top, bottom, self.y, self.height).range() {
            let edge = row as f32 + self.y as f32;
            let upright = (bottom.min(edge + 1.0) - top.max(edge)).min(1.0);
            if upright <= 0.0 {
                continue;
            }
            let middle = (edge + 0.5).clamp(top, bottom);
            let [left, right] = edges(middle);
            let (centre, half) = ((left + right) / 2.0, ((right - left) / 2.0).max(0.5));
            for column in Span::of(left, right, self.x, self.width).range() {
                let x = column as f32 + self.x as f32;
                let coverage = (right.min(x + 1.0) - left.max(x)).min(1.0) * upright;
                if coverage > 0.0 {
                    let across = ((x + 0.5 - centre) / half).clamp(-1.0, 1.0);
                    self.blend(column, row, shade(across, middle), coverage);
                }
            }
        }
    }
}

/// The direction of a round surface at `(u, v)` of its outline's radius: right, up, towards the eye.
fn facing(u: f32, v: f32) -> [f32; 3] {
    let across = u * u + v * v;
    if across >= 1.0 {
        let length = across.sqrt();
        return [u / length, v / length, 0.0];
    }
    [u, v, (1.0 - across).sqrt()]
}
