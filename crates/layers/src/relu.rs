//! ReLU (chapter 5.5.1).
//!
//! ```text
//! y = x if x > 0, else 0        dx = dy if y > 0, else 0        (gradient 0 at 0; NaN stays NaN)
//! ```
//!
//! Plain: `x.max(0.0)`. Behind an affine layer or a batch normalisation a network computes it in the same pass
//! (`program/fusion.rs`).

use crate::activation::{Elementwise, Function};
use tensor::isa::Isa;

/// A layer of ReLU units.
pub type Relu = Elementwise<ReluFunction>;

/// The function of [`Relu`].
#[derive(Clone, Copy, Debug)]
pub struct ReluFunction;

impl Function for ReluFunction {
    const NAME: &'static str = "relu";
    const MAKES_ZEROS: bool = true;
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
