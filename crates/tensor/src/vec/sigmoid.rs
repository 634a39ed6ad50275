//! `sigmoid`: 1 / (1 + e^−x).
//!
//! ```text
//! e = e^−|x| ≤ 1,  s = 1 + e
//! x ≥ 0: 1 / s     x < 0: e / s
//! ```
//!
//! Plain: `x.iter().map(|x| 1.0 / (1.0 + (-x).exp()))`.
//!
//! 1. *No overflow.* The exponential is of −|x|, and the numerator is chosen by the sign.
//! 2. *One Newton step.* Rounding s and rounding the quotient would each cost up to an ULP. The rounding error of s is
//!    (1 − s) + e exactly, and one FMA gives that of the quotient. Adding both back leaves the error of the exponential
//!    and one rounding.
//!
//! Error: at most 2 ULP over all 2³² inputs, the subnormal results at x < −87 included.

use super::exp::exp_lanes;
use super::map::{LaneFunction, map};
use crate::exec::Exec;
use crate::isa::Isa;

/// `y[i] ← 1 / (1 + e^−x[i])`. At most 2 ULP from the exact value.
///
/// # Panics
/// If the lengths differ.
pub fn sigmoid(exec: Exec, x: &[f32], y: &mut [f32]) {
    #[derive(Clone, Copy)]
    struct Sigmoid;
    impl LaneFunction for Sigmoid {
        #[inline(always)]
        fn value<I: Isa>(self, isa: I, x: I::F) -> I::F {
            sigmoid_lanes(isa, x)
        }
    }
    map(exec, x, y, Sigmoid);
}

/// Lane by lane `1 / (1 + e^−x)`; see [`sigmoid`].
#[inline(always)]
pub fn sigmoid_lanes<I: Isa>(isa: I, x: I::F) -> I::F {
    let one = isa.splat(1.0);
    let e = exp_lanes(isa, isa.neg(isa.abs(x)));
    let s = isa.add(one, e);
    let lost = isa.add(isa.sub(one, s), e);
    let numerator = isa.select(isa.lt(x, isa.splat(0.0)), e, one);
    let inverse = isa.div(one, s);
    let y = isa.mul(numerator, inverse);
    let rest = isa.fnma(y, s, numerator);
    let rest = isa.fnma(y, lost, rest);
    let y = isa.fma(rest, inverse, y);
    isa.select(isa.is_nan(x), x, y)
}
