//! AdaGrad (chapter 6.1.5, equations 6.5 and 6.6).
//!
//! ```text
//! h ← h + g²     W ← W − η·g / (√h + ε)
//! ```
//!
//! h only grows, so the steps of a parameter only shrink. ε stands outside the root. Inside the root, the first steps
//! of a parameter with small gradients would be √ε / |g| times too short.

use crate::lanes::LaneRule;
use tensor::isa::Isa;
use tensor::vec::sqrt_lanes;

#[derive(Clone, Copy)]
pub(crate) struct AdaGrad {
    pub eta: f32,
    pub epsilon: f32,
}

impl LaneRule<1> for AdaGrad {
    #[inline(always)]
    fn step<I: Isa>(&self, isa: I, w: I::F, g: I::F, [h]: [I::F; 1]) -> (I::F, [I::F; 1]) {
        let h = isa.fma(g, g, h);
        let step = isa.div(g, isa.add(sqrt_lanes(isa, h), isa.splat(self.epsilon)));
        (isa.fnma(isa.splat(self.eta), step, w), [h])
    }
}
