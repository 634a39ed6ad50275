//! AdaGrad (chapter 6.1.5, equations 6.5 and 6.6).
//!
//! ```text
//! h ← h + g²     W ← W − η·g / (√h + ε)
//! ```
//!
//! h only grows, so each parameter's steps only shrink. ε stands outside the root; inside it (as one listing in
//! circulation has it) the first steps of a parameter with small gradients would be √ε / |g| times too short.

use crate::lanes::update;
use tensor::isa::{Isa, Op};

pub(crate) struct AdaGrad<'a> {
    pub weights: &'a mut [f32],
    pub gradient: &'a [f32],
    pub squares: &'a mut [f32],
    pub decay: f32,
    pub eta: f32,
    pub epsilon: f32,
}

impl Op for AdaGrad<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let (eta, epsilon) = (isa.splat(self.eta), isa.splat(self.epsilon));
        update(isa, self.weights, self.gradient, [self.squares], self.decay, |w, g, [h]| {
            let h = isa.fma(g, g, h);
            (isa.fnma(eta, isa.div(g, isa.add(isa.sqrt(h), epsilon)), w), [h])
        });
    }
}
