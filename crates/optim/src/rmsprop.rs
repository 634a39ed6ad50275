//! RMSProp: AdaGrad that forgets (chapter 6.1.5; Hinton's lecture 6e).
//!
//! ```text
//! h ← ρ·h + (1 − ρ)·g²     W ← W − η·g / (√h + ε)
//! ```

use crate::lanes::update;
use tensor::isa::{Isa, Op};

pub(crate) struct RmsProp<'a> {
    pub weights: &'a mut [f32],
    pub gradient: &'a [f32],
    pub squares: &'a mut [f32],
    pub decay: f32,
    pub eta: f32,
    pub rho: f64,
    pub epsilon: f32,
}

impl Op for RmsProp<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let (eta, epsilon) = (isa.splat(self.eta), isa.splat(self.epsilon));
        let (kept, fresh) = (isa.splat(self.rho as f32), isa.splat((1.0 - self.rho) as f32));
        update(isa, self.weights, self.gradient, [self.squares], self.decay, |w, g, [h]| {
            let h = isa.fma(isa.mul(fresh, g), g, isa.mul(kept, h));
            (isa.fnma(eta, isa.div(g, isa.add(isa.sqrt(h), epsilon)), w), [h])
        });
    }
}
