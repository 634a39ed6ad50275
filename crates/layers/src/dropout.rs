//! Dropout (chapter 6.4.3; Srivastava et al. 2014).
//!
//! ```text
//! keep where u ≥ ratio, u uniform in [0, 1)
//! Book:   training y = x where kept, else 0              inference y = x·(1 − ratio)
//! Torch:  training y = x/(1 − ratio) where kept, else 0  inference y = x
//! backward: the same mask and factor on dY
//! ```
//!
//! Plain: `if rng.uniform(i) >= ratio { x } else { 0.0 }`. (The book has `>`; with ≥ a ratio of 0 keeps everything.)
//!
//! The mask is not stored. u of an element is a function of (seed, layer, step, element) by a counter-based generator
//! (`tensor/src/vec/random.rs`), so backward makes it again: a dozen integer operations a vector against a buffer
//! written and read; and it does not depend on how the work is shared out.
//!
//! Behind a ReLU not even the mask is needed: what was dropped, and what the ReLU clamped, is 0 in Y, and the gradient of
//! both is 0. [`Dropout::backward_gated`] is the backward of the two layers in one pass.

use crate::layer::{Layer, Pass, expect_shape};
use tensor::isa::{Isa, LANES, Op};
use tensor::profile::{Work, kernel};
use tensor::vec::{LaneRng, map2_rows, scale_rows, uniform_lanes};
use tensor::{Exec, ShapeError, View, ViewMut};

/// When the scale of the kept elements is corrected; see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropoutForm {
    /// At inference (*Deep Learning from Scratch*).
    Book,
    /// In training ("inverted", `torch.nn.Dropout`).
    Torch,
}

/// Drops each element with probability `ratio` in training. Cost: one pass over X and Y.
#[derive(Clone, Debug)]
pub struct Dropout {
    width: usize,
    ratio: f32,
    form: DropoutForm,
    seed: u64,
    layer: u64,
    /// The step of the last training forward: what names its mask.
    step: u64,
}

impl Dropout {
    /// A layer of `width` units; `layer` tells it from the other dropout layers of the same seed.
    ///
    /// # Panics
    /// If the ratio is not in [0, 1).
    pub fn new(width: usize, ratio: f32, form: DropoutForm, seed: u64, layer: u64) -> Self {
        assert!((0.0..1.0).contains(&ratio), "a dropout ratio of {ratio}; it must be in [0, 1)");
        Self { width, ratio, form, seed, layer, step: 0 }
    }

    /// Whether the element is kept at a step: the plain version of the mask.
    pub fn keeps(&self, step: u64, row: usize, column: usize) -> bool {
        self.stream(step).uniform((row * self.width + column) as u32) >= self.ratio
    }

    fn stream(&self, step: u64) -> LaneRng {
        LaneRng::new(&[self.seed, self.layer, step])
    }

    /// The factor at inference.
    pub(crate) fn inference_scale(&self) -> f32 {
        match self.form {
            DropoutForm::Book => 1.0 - self.ratio,
            DropoutForm::Torch => 1.0,
        }
    }

    /// The factor of what is kept in training.
    fn scale(&self) -> f32 {
        match self.form {
            DropoutForm::Book => 1.0,
            DropoutForm::Torch => 1.0 / (1.0 - self.ratio),
        }
    }

    /// dX of this layer and of a ReLU before it, from Y of this one: 0 where Y ≤ 0, else scale·dY.
    ///
    /// # Errors
    /// If a shape is not the layer's.
    pub fn backward_gated(
        &self,
        exec: Exec,
        y: View<'_, f32, 2>,
        dy: View<'_, f32, 2>,
        dx: ViewMut<'_, f32, 2>,
    ) -> Result<(), ShapeError> {
        let shape = [dy.rows(), self.width];
        expect_shape("dropout", "Y", y.shape(), shape)?;
        expect_shape("dropout", "dY", dy.shape(), shape)?;
        expect_shape("dropout", "dX", dx.shape(), shape)?;
        let scale = self.scale();
        kernel("dropout", Work::streaming(2 * dy.len(), dy.len(), dy.len()), || {
            exec.run(Gated { y, dy, dx, scale });
        });
        Ok(())
    }

    fn mask(&self, exec: Exec, x: View<'_, f32, 2>, y: ViewMut<'_, f32, 2>) {
        let scale = self.scale();
        let (stream, ratio) = (self.stream(self.step), self.ratio);
        kernel("dropout", Work::streaming(x.len(), x.len(), x.len()), || {
            exec.run(Mask { x, y, stream, ratio, scale });
        });
    }
}

/// `y ← scale·x` where kept, else 0.
struct Mask<'a> {
    x: View<'a, f32, 2>,
    y: ViewMut<'a, f32, 2>,
    stream: LaneRng,
    ratio: f32,
    scale: f32,
}

impl Op for Mask<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let (ratio, scale, zero) = (isa.splat(self.ratio), isa.splat(self.scale), isa.splat(0.0));
        let width = self.x.cols() as u32;
        for (i, (x, y)) in self.x.row_iter().zip(self.y.into_row_iter()).enumerate() {
            let mut at = (i as u32).wrapping_mul(width);
            for (x, y) in x.chunks(LANES).zip(y.chunks_mut(LANES)) {
                let keep = isa.le(ratio, uniform_lanes(isa, self.stream, at));
                at = at.wrapping_add(LANES as u32);
                isa.store_part(isa.select(keep, isa.mul(scale, isa.load_part(x)), zero), y);
            }
        }
    }
}

/// `dX ← 0` where Y ≤ 0, else `scale·dY`: also where Y is NaN.
struct Gated<'a> {
    y: View<'a, f32, 2>,
    dy: View<'a, f32, 2>,
    dx: ViewMut<'a, f32, 2>,
    scale: f32,
}

impl Op for Gated<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let scale = isa.splat(self.scale);
        map2_rows(isa, self.y, self.dy, self.dx, |y, dy| isa.gate(y, isa.mul(scale, dy)));
    }
}

impl Layer for Dropout {
    fn kind(&self) -> &'static str {
        "dropout"
    }

    fn outputs(&self) -> usize {
        self.width
    }

    fn forward(
        &mut self,
        exec: Exec,
        pass: Pass,
        x: View<'_, f32, 2>,
        y: ViewMut<'_, f32, 2>,
    ) -> Result<(), ShapeError> {
        let shape = [x.rows(), self.width];
        expect_shape("dropout", "X", x.shape(), shape)?;
        expect_shape("dropout", "Y", y.shape(), shape)?;
        match pass {
            Pass::Training { step } => {
                self.step = step;
                self.mask(exec, x, y);
            }
            Pass::Inference => {
                let (scale, work) = (self.inference_scale(), Work::streaming(x.len(), x.len(), x.len()));
                kernel("dropout", work, || scale_rows(exec, scale, x, y));
            }
        }
        Ok(())
    }

    fn backward(
        &mut self,
        exec: Exec,
        _: View<'_, f32, 2>,
        _: View<'_, f32, 2>,
        dy: View<'_, f32, 2>,
        dx: Option<ViewMut<'_, f32, 2>>,
    ) -> Result<(), ShapeError> {
        let shape = [dy.rows(), self.width];
        expect_shape("dropout", "dY", dy.shape(), shape)?;
        let Some(dx) = dx else { return Ok(()) };
        expect_shape("dropout", "dX", dx.shape(), shape)?;
        self.mask(exec, dy, dx);
        Ok(())
    }

    fn makes_zeros(&self) -> bool {
        true
    }
}
