//! Adam and AdamW (chapter 6.1.6; Kingma and Ba 2015; Loshchilov and Hutter 2019).
//!
//! ```text
//! m ← β₁·m + (1 − β₁)·g     v ← β₂·v + (1 − β₂)·g²
//!
//! Book:   W ← W − η_t·m / (√v + ε),        η_t = η·√(1 − β₂ᵗ) / (1 − β₁ᵗ)
//! Torch:  W ← W − η·m̂ / (√v̂ + ε),          m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)
//! AdamW:  W ← (1 − η·λ)·W, then Torch's step
//! ```
//!
//! The book's form is the "efficient" form of the paper. An ε in the book's form is ε / √(1 − β₂ᵗ) in PyTorch's. One
//! loop computes both:
//!
//! ```text
//! W ← keep·W − rate·m / (√v·scale + ε)     Book: rate η_t, scale 1    Torch: rate η/(1 − β₁ᵗ), scale 1/√(1 − β₂ᵗ)
//! ```
//!
//! The scalars are computed in f64, once a step. βᵗ is a repeated multiplication, since the C library's `pow` differs
//! by platform.

use crate::lanes::{LaneRule, decayed, floored};
use tensor::isa::Isa;
use tensor::vec::sqrt_lanes;

#[derive(Clone, Copy)]
pub(crate) struct Adam {
    pub beta1: f64,
    pub beta2: f64,
    pub keep: f32,
    pub rate: f32,
    pub scale: f32,
    pub epsilon: f32,
}

impl LaneRule<2> for Adam {
    #[inline(always)]
    fn step<I: Isa>(&self, isa: I, w: I::F, g: I::F, [m, v]: [I::F; 2]) -> (I::F, [I::F; 2]) {
        let (beta1, fresh1) = (isa.splat(self.beta1 as f32), isa.splat((1.0 - self.beta1) as f32));
        let (beta2, fresh2) = (isa.splat(self.beta2 as f32), isa.splat((1.0 - self.beta2) as f32));
        let m = floored(isa, isa.fma(fresh1, g, decayed(isa, beta1, m)));
        let v = floored(isa, isa.fma(isa.mul(fresh2, g), g, decayed(isa, beta2, v)));
        let root = isa.fma(sqrt_lanes(isa, v), isa.splat(self.scale), isa.splat(self.epsilon));
        let step = isa.div(m, root);
        (isa.fnma(isa.splat(self.rate), step, isa.mul(isa.splat(self.keep), w)), [m, v])
    }
}
