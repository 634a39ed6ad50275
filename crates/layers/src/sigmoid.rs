//! The sigmoid (chapter 5.5.2).
//!
//! ```text
//! y = 1 / (1 + e⁻ˣ)        dx = dy·y·(1 − y)
//! ```
//!
//! The lane function, its accuracy and its plain form are in `tensor/src/vec/sigmoid.rs`.

use crate::activation::{Elementwise, Function};
use tensor::isa::Isa;

/// A layer of sigmoid units.
pub type Sigmoid = Elementwise<SigmoidFunction>;

/// The function of [`Sigmoid`].
#[derive(Clone, Copy, Debug)]
pub struct SigmoidFunction;

impl Function for SigmoidFunction {
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
