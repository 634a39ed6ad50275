//! ReLU (chapter 5.5.1).
//!
//! ```text
//! y = x if x > 0, else 0        dx = dy if y > 0, else 0        (gradient 0 at 0; NaN stays NaN)
//! ```
//!
//! Plain: `x.max(0.0)`. After an affine layer it costs nothing: see [`Affine`](crate::Affine)'s fused form; this layer
//! is for where something (batch normalisation) stands between.

use crate::activation::{self, Elementwise};
use crate::layer::{Layer, Pass};
use tensor::isa::Isa;
use tensor::{Exec, ShapeError, View, ViewMut};

/// A layer of ReLU units. Cost: one pass over X and Y.
#[derive(Clone, Debug)]
pub struct Relu {
    width: usize,
}

impl Relu {
    /// A layer of `width` units.
    pub fn new(width: usize) -> Self {
        Self { width }
    }
}

pub(crate) struct Function;

impl Elementwise for Function {
    const NAME: &'static str = "relu";
    #[inline(always)]
    fn value<I: Isa>(isa: I, x: I::F) -> I::F {
        isa.max(isa.splat(0.0), x)
    }
    #[inline(always)]
    fn gradient<I: Isa>(isa: I, y: I::F, dy: I::F) -> I::F {
        let zero = isa.splat(0.0);
        isa.select(isa.le(y, zero), zero, dy)
    }
}

impl Layer for Relu {
    fn kind(&self) -> &'static str {
        Function::NAME
    }

    fn outputs(&self) -> usize {
        self.width
    }

    fn forward(&mut self, exec: Exec, _: Pass, x: View<'_, f32, 2>, y: ViewMut<'_, f32, 2>) -> Result<(), ShapeError> {
        activation::forward::<Function>(exec, self.width, x, y)
    }

    fn backward(
        &mut self,
        exec: Exec,
        _: View<'_, f32, 2>,
        y: View<'_, f32, 2>,
        dy: View<'_, f32, 2>,
        dx: Option<ViewMut<'_, f32, 2>>,
    ) -> Result<(), ShapeError> {
        activation::backward::<Function>(exec, self.width, y, dy, dx)
    }
}
