//! Stochastic gradient descent (chapter 6.1.2, equation 6.1).
//!
//! ```text
//! W ← W − η·g
//! ```
//!
//! Plain: `for (w, g) in … { *w -= eta * g }`. One fused multiply-add an element; it moves 12 bytes (W twice, g once),
//! so memory sets its speed.

use crate::lanes::update;
use tensor::isa::{Isa, Op};

pub(crate) struct Sgd<'a> {
    pub weights: &'a mut [f32],
    pub gradient: &'a [f32],
    pub decay: f32,
    pub eta: f32,
}

impl Op for Sgd<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let eta = isa.splat(self.eta);
        update(isa, self.weights, self.gradient, [], self.decay, |w, g, []| (isa.fnma(eta, g, w), []));
    }
}
