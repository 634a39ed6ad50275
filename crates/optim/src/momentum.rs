//! Momentum (chapter 6.1.4, equations 6.3 and 6.4).
//!
//! ```text
//! Book:   v ← α·v − η·g     W ← W + v
//! Torch:  b ← α·b + g       W ← W − η·b
//! ```
//!
//! At a constant rate the two are one (v = −η·b). When the rate changes, the book's velocity keeps the old rate,
//! PyTorch's takes the new one at once.

use crate::lanes::update;
use crate::rule::Form;
use tensor::isa::{Isa, Op};

pub(crate) struct Momentum<'a> {
    pub weights: &'a mut [f32],
    pub gradient: &'a [f32],
    pub velocity: &'a mut [f32],
    pub decay: f32,
    pub eta: f32,
    pub alpha: f32,
    pub form: Form,
}

impl Op for Momentum<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let (eta, alpha) = (isa.splat(self.eta), isa.splat(self.alpha));
        let state = [self.velocity];
        match self.form {
            Form::Book => update(isa, self.weights, self.gradient, state, self.decay, |w, g, [v]| {
                let v = isa.fnma(eta, g, isa.mul(alpha, v));
                (isa.add(w, v), [v])
            }),
            Form::Torch => update(isa, self.weights, self.gradient, state, self.decay, |w, g, [b]| {
                let b = isa.fma(alpha, b, g);
                (isa.fnma(eta, b, w), [b])
            }),
        }
    }
}
