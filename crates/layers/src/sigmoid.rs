//! The sigmoid (chapter 5.5.2).
//!
//! ```text
//! y = 1 / (1 + e⁻ˣ)        dx = dy·y·(1 − y)
//! ```
//!
//! The lane function, its accuracy and its plain form are in `tensor/src/vec/sigmoid.rs`.

use crate::activation::{self, Elementwise};
use crate::layer::{Layer, Pass};
use tensor::isa::Isa;
use tensor::{Exec, ShapeError, View, ViewMut};

/// A layer of sigmoid units. Cost: one pass over X and Y.
#[derive(Clone, Debug)]
pub struct Sigmoid {
    width: usize,
}

impl Sigmoid {
    /// A layer of `width` units.
    pub fn new(width: usize) -> Self {
        Self { width }
    }
}

pub(crate) struct Function;

impl Elementwise for Function {
    const NAME: &'static str = "sigmoid";
    #[inline(always)]
    fn value<I: Isa>(isa: I, x: I::F) -> I::F {
        tensor::vec::sigmoid_lanes(isa, x)
    }
    #[inline(always)]
    fn gradient<I: Isa>(isa: I, y: I::F, dy: I::F) -> I::F {
        isa.mul(isa.mul(dy, y), isa.sub(isa.splat(1.0), y))
    }
}

impl Layer for Sigmoid {
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
