//! Stochastic gradient descent (chapter 6.1.2, equation 6.1).
//!
//! ```text
//! W ← W − η·g
//! ```
//!
//! Plain: `for (w, g) in … { *w -= eta * g }`. An element takes one fused multiply-add and moves 12 bytes: W twice, g
//! once. So memory limits the speed.

use crate::lanes::LaneRule;
use tensor::isa::Isa;

#[derive(Clone, Copy)]
pub(crate) struct Sgd {
    pub eta: f32,
}

impl LaneRule<0> for Sgd {
    #[inline(always)]
    fn step<I: Isa>(&self, isa: I, w: I::F, g: I::F, []: [I::F; 0]) -> (I::F, [I::F; 0]) {
        (isa.fnma(isa.splat(self.eta), g, w), [])
    }
}
