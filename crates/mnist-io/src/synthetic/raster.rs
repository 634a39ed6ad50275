//! From strokes to ink: each pixel's distance from the nearest piece of stroke, and a pen of some width.

use super::strokes::Point;

/// Pixels of a side.
pub(super) const SIDE: usize = 28;

/// Farther than this no pen reaches; also how far around a piece of stroke distances are computed.
const REACH: f32 = 3.5;

/// Pieces a curve is cut into between two of its points.
const PIECES: usize = 6;

/// Squared distances while strokes are drawn, then ink.
pub(super) struct Canvas {
    pixels: [f32; SIDE * SIDE],
    points: Vec<Point>,
}

impl Default for Canvas {
    fn default() -> Self {
        Self { pixels: [0.0; SIDE * SIDE], points: Vec::new() }
    }
}

impl Canvas {
    /// Nothing drawn yet.
    pub fn clear(&mut self) {
        self.pixels.fill(REACH * REACH);
    }

    /// Draws a stroke through points given in pixels: straight lines, or a Catmull-Rom curve.
    pub fn stroke(&mut self, points: impl Iterator<Item = Point>, smooth: bool) {
        self.points.clear();
        self.points.extend(points);
        let points = std::mem::take(&mut self.points);
        for i in 1..points.len() {
            let (b, c) = (points[i - 1], points[i]);
            if !smooth {
                self.segment(b, c);
                continue;
            }
            let a = if i >= 2 { points[i - 2] } else { b };
            let d = points.get(i + 1).copied().unwrap_or(c);
            let mut from = b;
            for piece in 1..=PIECES {
                let t = piece as f32 / PIECES as f32;
                let to = std::array::from_fn(|axis| {
                    let (a, b, c, d) = (a[axis], b[axis], c[axis], d[axis]);
                    // The Catmull-Rom cubic: through b and c, with slopes (c − a)/2 and (d − b)/2.
                    0.5 * (2.0 * b
                        + (c - a) * t
                        + (2.0 * a - 5.0 * b + 4.0 * c - d) * t * t
                        + (3.0 * b - a - 3.0 * c + d) * t * t * t)
                });
                self.segment(from, to);
                from = to;
            }
        }
        self.points = points;
    }

    /// Lowers the squared distance of the pixels around a segment.
    fn segment(&mut self, from: Point, to: Point) {
        let range = |axis: usize| {
            let low = from[axis].min(to[axis]) - REACH;
            let high = from[axis].max(to[axis]) + REACH;
            (low.max(0.0) as usize).min(SIDE)..((high.max(-1.0) + 1.0) as usize).min(SIDE)
        };
        let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
        let inverse = 1.0 / (dx * dx + dy * dy).max(1e-6);
        let columns = range(0);
        for y in range(1) {
            let py = y as f32 - from[1];
            for x in columns.clone() {
                let px = x as f32 - from[0];
                let t = ((px * dx + py * dy) * inverse).clamp(0.0, 1.0);
                let (ex, ey) = (px - t * dx, py - t * dy);
                let pixel = &mut self.pixels[y * SIDE + x];
                *pixel = pixel.min(ex * ex + ey * ey);
            }
        }
    }

    /// Turns distances into ink: full within `width` pixels of a stroke, none `softness` farther out, smooth between.
    pub fn ink(&mut self, width: f32, softness: f32) {
        for pixel in &mut self.pixels {
            let t = ((width + softness - pixel.sqrt()) / softness).clamp(0.0, 1.0);
            *pixel = t * t * (3.0 - 2.0 * t);
        }
    }

    /// Takes the ink away within `radius` pixels of a point.
    pub fn erase(&mut self, centre: Point, radius: f32) {
        for (at, pixel) in self.pixels.iter_mut().enumerate() {
            let (dx, dy) = ((at % SIDE) as f32 - centre[0], (at / SIDE) as f32 - centre[1]);
            if dx * dx + dy * dy < radius * radius {
                *pixel = 0.0;
            }
        }
    }

    /// The ink, 0 to 1, row-major.
    pub fn pixels(&self) -> &[f32] {
        &self.pixels
    }
}
