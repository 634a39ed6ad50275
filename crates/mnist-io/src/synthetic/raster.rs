//! From strokes to ink.
//!
//! ```text
//! d[pixel] = distance from the nearest piece of a stroke
//! ink      = 1 within the width of the pen, 0 beyond its soft edge, smooth between
//! ```

use super::strokes::Point;

/// Pixels of a side.
pub(super) const SIDE: usize = 28;

/// Pieces a curve is cut into between two of its points.
const PIECES: usize = 6;

/// Pixels of a row whose distances are computed together: two vectors of SSE2, one of AVX2.
const TOGETHER: usize = 8;

/// The distances from the strokes so far, and then the ink of the strokes.
pub(super) struct Canvas {
    /// Squared distances from the nearest segment, then ink.
    pixels: [f32; SIDE * SIDE],
    points: Vec<Point>,
    segments: Vec<[Point; 2]>,
}

impl Default for Canvas {
    fn default() -> Self {
        Self { pixels: [0.0; SIDE * SIDE], points: Vec::new(), segments: Vec::new() }
    }
}

impl Canvas {
    /// Nothing drawn yet.
    pub fn clear(&mut self) {
        self.segments.clear();
    }

    /// Adds a stroke through points given in pixels: straight lines, or a Catmull-Rom curve.
    pub fn stroke(&mut self, points: impl Iterator<Item = Point>, smooth: bool) {
        self.points.clear();
        self.points.extend(points);
        let points = std::mem::take(&mut self.points);
        for i in 1..points.len() {
            let (b, c) = (points[i - 1], points[i]);
            if !smooth {
                self.segments.push([b, c]);
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
                self.segments.push([from, to]);
                from = to;
            }
        }
        self.points = points;
    }

    /// The ink of the strokes: full within `width` pixels of one, none `softness` farther out, smooth between.
    pub fn ink(&mut self, width: f32, softness: f32) {
        let reach = width + softness;
        self.pixels.fill(f32::INFINITY);
        for &segment in &self.segments {
            lower(&mut self.pixels, segment, reach);
        }
        for pixel in &mut self.pixels {
            let t = ((reach - pixel.sqrt()) / softness).clamp(0.0, 1.0);
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

/// Lowers squared distances to those from a segment, of all pixels that are no farther than `reach`.
fn lower(pixels: &mut [f32; SIDE * SIDE], [from, to]: [Point; 2], reach: f32) {
    let range = |axis: usize| {
        let low = from[axis].min(to[axis]) - reach;
        let high = from[axis].max(to[axis]) + reach;
        (low.max(0.0) as usize).min(SIDE)..((high.max(-1.0) + 1.0) as usize).min(SIDE)
    };
    let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
    let inverse = 1.0 / (dx * dx + dy * dy).max(1e-6);
    let (columns, rows) = (range(0), range(1));
    for column in columns.step_by(TOGETHER) {
        // Some of these pixels are farther and get no ink, or belong to two segments.
        let column = column.min(SIDE - TOGETHER);
        let px: [f32; TOGETHER] = std::array::from_fn(|i| (column + i) as f32 - from[0]);
        for y in rows.clone() {
            let py = y as f32 - from[1];
            let pixels = pixels[y * SIDE + column..].first_chunk_mut::<TOGETHER>().expect("so many are left");
            for (pixel, px) in pixels.iter_mut().zip(px) {
                let t = ((px * dx + py * dy) * inverse).clamp(0.0, 1.0);
                let (ex, ey) = (px - t * dx, py - t * dy);
                *pixel = pixel.min(ex * ex + ey * ey);
            }
        }
    }
}
