//! The hyperbolic tangent.
//!
//! ```text
//! y = tanh x        dx = dy·(1 − y²)
//! ```
//!
//! The lane function, its accuracy and its plain form are in `tensor/src/vec/tanh.rs`.

use crate::activation::{Elementwise, Function};
use tensor::isa::Isa;

/// A layer of tanh units.
pub type Tanh = Elementwise<TanhFunction>;

/// The function of [`Tanh`].
#[derive(Clone, Copy, Debug)]
pub struct TanhFunction;

impl Function for TanhFunction {
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
