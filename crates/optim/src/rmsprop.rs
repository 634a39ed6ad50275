//! RMSProp: AdaGrad that forgets (chapter 6.1.5; Hinton's lecture 6e).
//!
//! ```text
//! h ← ρ·h + (1 − ρ)·g²     W ← W − η·g / (√h + ε)
//! ```
//!
//! h is a running mean of g², where AdaGrad has a sum. So the steps do not shrink forever.

use crate::lanes::{LaneRule, decayed, floored};
use tensor::isa::Isa;
use tensor::vec::sqrt_lanes;

#[derive(Clone, Copy)]
pub(crate) struct RmsProp {
    pub eta: f32,
    pub rho: f64,
    pub epsilon: f32,
}

impl LaneRule<1> for RmsProp {
    #[inline(always)]
    fn step<I: Isa>(&self, isa: I, w: I::F, g: I::F, [h]: [I::F; 1]) -> (I::F, [I::F; 1]) {
        let (kept, fresh) = (isa.splat(self.rho as f32), isa.splat((1.0 - self.rho) as f32));
        let h = floored(isa, isa.fma(isa.mul(fresh, g), g, decayed(isa, kept, h)));
        let step = isa.div(g, isa.add(sqrt_lanes(isa, h), isa.splat(self.epsilon)));
        (isa.fnma(isa.splat(self.eta), step, w), [h])
    }
}
