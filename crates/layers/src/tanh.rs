//! The hyperbolic tangent.
//!
//! ```text
//! y = tanh x        dx = dy·(1 − y²)
//! ```
//!
//! The lane function, its accuracy and its plain form are in `tensor/src/vec/tanh.rs`.

use crate::activation::{self, Elementwise};
use crate::layer::{Layer, Pass};
use tensor::isa::Isa;
use tensor::{Exec, ShapeError, View, ViewMut};

/// A layer of tanh units. Cost: one pass over X and Y.
#[derive(Clone, Debug)]
pub struct Tanh {
    width: usize,
}

impl Tanh {
    /// A layer of `width` units.
    pub fn new(width: usize) -> Self {
        Self { width }
    }
}

pub(crate) struct Function;

impl Elementwise for Function {
    const NAME: &'static str = "tanh";
    #[inline(always)]
    fn value<I: Isa>(isa: I, x: I::F) -> I::F {
        tensor::vec::tanh_lanes(isa, x)
    }
    #[inline(always)]
    fn gradient<I: Isa>(isa: I, y: I::F, dy: I::F) -> I::F {
        isa.mul(dy, isa.fnma(y, y, isa.splat(1.0)))
    }
}

impl Layer for Tanh {
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
