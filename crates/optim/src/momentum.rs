//! Momentum (chapter 6.1.4, equations 6.3 and 6.4).
//!
//! ```text
//! Book:   v ← α·v − η·g     W ← W + v
//! Torch:  b ← α·b + g       W ← W − η·b
//! ```
//!
//! At a constant rate the two forms are the same (v = −η·b). When the rate changes, the book's velocity keeps the old
//! rate, and PyTorch's uses the new rate at once.

use crate::lanes::{FLOOR, LaneRule, decayed, floored};
use crate::rule::Form;
use tensor::isa::Isa;

#[derive(Clone, Copy)]
pub(crate) struct Momentum {
    pub eta: f32,
    pub alpha: f32,
    pub form: Form,
}

impl LaneRule<1> for Momentum {
    #[inline(always)]
    fn step<I: Isa>(&self, isa: I, w: I::F, g: I::F, [v]: [I::F; 1]) -> (I::F, [I::F; 1]) {
        let (eta, alpha) = (isa.splat(self.eta), isa.splat(self.alpha));
        match self.form {
            Form::Book => {
                let v = floored(isa, isa.fnma(eta, g, decayed(isa, alpha, v)));
                (isa.add(w, v), [v])
            }
            Form::Torch => {
                let b = floored(isa, isa.add(isa.fma(alpha, v, g), isa.splat(FLOOR)));
                (isa.fnma(eta, b, w), [b])
            }
        }
    }
}
