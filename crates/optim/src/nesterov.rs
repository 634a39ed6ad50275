//! Nesterov's accelerated gradient, in the form that needs the gradient only where the weights are
//! (Bengio et al. 2012, *Advances in optimizing recurrent networks*, equation 7).
//!
//! ```text
//! Book:   W ← W + α²·v − (1 + α)·η·g     v ← α·v − η·g
//! Torch:  b ← α·b + g                    W ← W − η·(g + α·b)
//! ```

use crate::lanes::update;
use crate::rule::Form;
use tensor::isa::{Isa, Op};

pub(crate) struct Nesterov<'a> {
    pub weights: &'a mut [f32],
    pub gradient: &'a [f32],
    pub velocity: &'a mut [f32],
    pub decay: f32,
    pub eta: f64,
    pub alpha: f64,
    pub form: Form,
}

impl Op for Nesterov<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let (eta, alpha) = (isa.splat(self.eta as f32), isa.splat(self.alpha as f32));
        let state = [self.velocity];
        match self.form {
            Form::Book => {
                let square = isa.splat((self.alpha * self.alpha) as f32);
                let pull = isa.splat(((1.0 + self.alpha) * self.eta) as f32);
                update(isa, self.weights, self.gradient, state, self.decay, |w, g, [v]| {
                    (isa.fnma(pull, g, isa.fma(square, v, w)), [isa.fnma(eta, g, isa.mul(alpha, v))])
                });
            }
            Form::Torch => update(isa, self.weights, self.gradient, state, self.decay, |w, g, [b]| {
                let b = isa.fma(alpha, b, g);
                (isa.fnma(eta, isa.fma(alpha, b, g), w), [b])
            }),
        }
    }
}
