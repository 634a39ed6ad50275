//! Synthetic digits: strokes that are bent, rotated, sheared, thickened, blurred and damaged.
//!
//! ```text
//! strokes.rs   the strokes of a digit, in a unit square, in several ways of writing it
//!    │         every point moved a little, then one affine map: size, aspect, slant, turn, place
//!    ▼
//! raster.rs    ink by distance from the nearest stroke, a pen of some width, soft at its edge
//!    │
//!    ▼         now and then a stray stroke or a gap, grain in the ink, 28×28 bytes
//! ```
//!
//! They are about as hard to recognise as MNIST's digits, and have as much ink, so that timings and scales on them are
//! about those on MNIST. Tests hold them to that.
//!
//! Image i of a set is a function of (seed, set, i) alone. It is computed with operations that IEEE 754 rounds exactly.
//! So a seed gives the same files on every machine and with any number of threads.

mod raster;
mod strokes;

use crate::dataset::{Dataset, below};
use crate::error::{Error, Fault};
use crate::idx::{Elements, Idx};
use crate::mnist::{FILES, Mnist};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use raster::{Canvas, SIDE};
use std::path::Path;
use strokes::Point;

/// A set of synthetic digits to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synthetic {
    /// Training images.
    pub train: usize,
    /// Test images.
    pub test: usize,
    /// Seed of both.
    pub seed: u64,
}

impl Default for Synthetic {
    /// As many as MNIST has.
    fn default() -> Self {
        Self { train: 60_000, test: 10_000, seed: 1 }
    }
}

impl Synthetic {
    /// The four arrays, in the order of [`FILES`], made by `threads` threads.
    pub fn arrays(&self, threads: usize) -> [Idx; 4] {
        let set = |number: u64, count: usize| {
            let mut pixels = vec![0; count * SIDE * SIDE];
            let mut labels = vec![0; count];
            let share = count.div_ceil(threads.max(1)).max(1);
            std::thread::scope(|scope| {
                let parts = pixels.chunks_mut(share * SIDE * SIDE).zip(labels.chunks_mut(share));
                for (part, (pixels, labels)) in parts.enumerate() {
                    scope.spawn(move || {
                        let mut canvas = Canvas::default();
                        for (i, (image, label)) in
                            pixels.chunks_exact_mut(SIDE * SIDE).zip(labels.iter_mut()).enumerate()
                        {
                            let mut rng = Pen::new(self.seed, number, (part * share + i) as u64);
                            *label = below(&mut rng.0, 10) as u8;
                            draw(&mut rng, usize::from(*label), &mut canvas, image);
                        }
                    });
                }
            });
            let (count, side) = (count as u32, SIDE as u32);
            [
                Idx { shape: vec![count, side, side], elements: Elements::U8(pixels) },
                Idx { shape: vec![count], elements: Elements::U8(labels) },
            ]
        };
        let [train_images, train_labels] = set(0, self.train);
        let [test_images, test_labels] = set(1, self.test);
        [train_images, train_labels, test_images, test_labels]
    }

    /// The digits as data sets: written as IDX files in memory and read back by the reader that reads MNIST.
    ///
    /// # Errors
    /// If a set is empty.
    pub fn generate(&self, threads: usize) -> Result<Mnist, Fault> {
        let read_back = |idx: &Idx| {
            let bytes = idx.to_bytes().map_err(|error| Fault::Inconsistent { what: error.to_string() })?;
            Idx::from_bytes(&bytes)
        };
        let [train_images, train_labels, test_images, test_labels] = self.arrays(threads);
        let pair = |images: &Idx, labels: &Idx| {
            Dataset::from_idx(read_back(images)?, read_back(labels)?).map_err(|(_, fault)| fault)
        };
        Ok(Mnist { train: pair(&train_images, &train_labels)?, test: pair(&test_images, &test_labels)? })
    }

    /// Writes the four files, gzipped, under MNIST's names.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, dir: &Path, threads: usize) -> Result<(), Error> {
        for (file, idx) in FILES.iter().zip(self.arrays(threads)) {
            idx.write(&dir.join(format!("{}.gz", file.name)))?;
        }
        Ok(())
    }
}

/// The random choices of one image.
struct Pen(Xoshiro256PlusPlus);

impl Pen {
    fn new(seed: u64, set: u64, index: u64) -> Self {
        // Distinct for every (seed, set, index); `seed_from_u64` spreads neighbours apart.
        Self(Xoshiro256PlusPlus::seed_from_u64(
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ set.wrapping_mul(0xd1b5_4a32_d192_ed03) ^ (index << 1),
        ))
    }

    /// In [0, 1).
    fn unit(&mut self) -> f32 {
        (self.0.next_u64() >> 40) as f32 / 16_777_216.0
    }

    /// In [from, to).
    fn between(&mut self, from: f32, to: f32) -> f32 {
        from + (to - from) * self.unit()
    }

    /// About normal: the sum of four uniforms, variance 1.
    fn normal(&mut self) -> f32 {
        let sum: f32 = (0..4).map(|_| self.unit()).sum();
        (sum - 2.0) * 1.732_050_8
    }
}

/// Draws one digit into `image`.
fn draw(pen: &mut Pen, digit: usize, canvas: &mut Canvas, image: &mut [u8]) {
    let writings = strokes::writings(digit);
    let writing = writings[below(&mut pen.0, writings.len())];

    // One affine map of the unit square to pixels. The angle is small: its sine and cosine are their first terms.
    let size = 20.0 * pen.between(0.78, 1.12);
    let aspect = pen.between(0.62, 1.0);
    let slant = 0.22 * pen.normal();
    let turn = (0.17 * pen.normal()).clamp(-0.5, 0.5);
    let (sin, cos) = (turn - turn * turn * turn / 6.0, 1.0 - turn * turn / 2.0 + turn * turn * turn * turn / 24.0);
    let centre = [13.5 + 1.1 * pen.normal(), 13.5 + 1.1 * pen.normal()];
    let place = |[x, y]: Point| {
        let (x, y) = ((x - 0.5) * aspect - slant * (y - 0.5), y - 0.5);
        [centre[0] + size * (cos * x - sin * y), centre[1] + size * (sin * x + cos * y)]
    };

    canvas.clear();
    let wobble = pen.between(0.018, 0.05);
    for stroke in writing {
        let moved = stroke.points.iter().map(|&[x, y]| place([x + wobble * pen.normal(), y + wobble * pen.normal()]));
        canvas.stroke(moved, stroke.smooth);
    }
    if pen.unit() < 0.12 {
        // A stray stroke, as of a neighbouring character.
        let from = [pen.between(0.0, 27.0), pen.between(0.0, 27.0)];
        let to = [from[0] + 4.0 * pen.normal(), from[1] + 4.0 * pen.normal()];
        canvas.stroke([from, to].into_iter(), false);
    }
    let width = pen.between(0.6, 1.46);
    let softness = pen.between(0.6, 1.24);
    let strength = pen.between(0.75, 1.0);
    canvas.ink(width, softness);
    if pen.unit() < 0.10 {
        canvas.erase([pen.between(6.0, 21.0), pen.between(6.0, 21.0)], pen.between(1.5, 3.0));
    }
    let grain = pen.between(0.0, 0.16);
    for (byte, &ink) in image.iter_mut().zip(canvas.pixels()) {
        let noise = if ink > 0.02 { grain * pen.normal() } else { 0.0 };
        *byte = ((strength * ink + noise).clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
    }
}
