//! Nesterov's accelerated gradient (Bengio et al. 2012, *Advances in optimizing recurrent networks*, equation 7).
//!
//! ```text
//! Book:   W ← W + α²·v − (1 + α)·η·g     v ← α·v − η·g
//! Torch:  b ← α·b + g                    W ← W − η·(g + α·b)
//! ```
//!
//! v on the right is the velocity before the step. Both forms need the gradient at the weights, not at a point ahead of
//! them.

use crate::lanes::{FLOOR, LaneRule, decayed, floored};
use crate::rule::Form;
use tensor::isa::Isa;

#[derive(Clone, Copy)]
pub(crate) struct Nesterov {
    pub eta: f64,
    pub alpha: f64,
    pub form: Form,
}

impl LaneRule<1> for Nesterov {
    #[inline(always)]
    fn step<I: Isa>(&self, isa: I, w: I::F, g: I::F, [v]: [I::F; 1]) -> (I::F, [I::F; 1]) {
        let (eta, alpha) = (isa.splat(self.eta as f32), isa.splat(self.alpha as f32));
        match self.form {
            Form::Book => {
                let square = isa.splat((self.alpha * self.alpha) as f32);
                let pull = isa.splat(((1.0 + self.alpha) * self.eta) as f32);
                (isa.fnma(pull, g, isa.fma(square, v, w)), [floored(isa, isa.fnma(eta, g, decayed(isa, alpha, v)))])
            }
            Form::Torch => {
                let b = floored(isa, isa.add(isa.fma(alpha, v, g), isa.splat(FLOOR)));
                (isa.fnma(eta, isa.fma(alpha, b, g), w), [b])
            }
        }
    }
}
