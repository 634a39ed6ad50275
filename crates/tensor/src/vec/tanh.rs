//! `tanh`: the hyperbolic tangent.
//!
//! ```text
//! |x| < 0.625:  tanh |x| = |x| + |x|³·P(x²), P of degree 4
//! else:         tanh |x| = 1 − 2 / (e^(2|x|) + 1)                with the sign of x, also of −0
//! ```
//!
//! Plain: `x.iter().map(|x| x.tanh())`. Both branches are computed and one is selected. Near 0 the second branch would
//! lose all its digits to 1 − 1. The derivative, 1 − tanh², needs only the result.
//!
//! Error: at most 2 ULP over all 2³² inputs.

use super::exp::exp_lanes;
use super::map::{LaneFunction, map};
use crate::exec::Exec;
use crate::isa::Isa;

/// `y[i] ← tanh x[i]`. At most 2 ULP from the exact value.
///
/// # Panics
/// If the lengths differ.
pub fn tanh(exec: Exec, x: &[f32], y: &mut [f32]) {
    #[derive(Clone, Copy)]
    struct Tanh;
    impl LaneFunction for Tanh {
        #[inline(always)]
        fn value<I: Isa>(self, isa: I, x: I::F) -> I::F {
            tanh_lanes(isa, x)
        }
    }
    map(exec, x, y, Tanh);
}

/// Lane by lane `tanh x`; see [`tanh`].
#[inline(always)]
pub fn tanh_lanes<I: Isa>(isa: I, x: I::F) -> I::F {
    let square = isa.mul(x, x);
    let mut p = isa.splat(-5.704_988_7e-3);
    for c in [0.020_639_088, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1] {
        p = isa.fma(p, square, isa.splat(c));
    }
    let size = isa.abs(x);
    let near = isa.fma(isa.mul(p, square), size, size);
    let one = isa.splat(1.0);
    let e = exp_lanes(isa, isa.add(size, size));
    let far = isa.sub(one, isa.div(isa.splat(2.0), isa.add(e, one)));
    let sign = isa.and(isa.as_bits(x), isa.splat_u(0x8000_0000));
    let size = isa.select(isa.lt(size, isa.splat(0.625)), near, far);
    isa.as_floats(isa.xor(isa.as_bits(size), sign))
}
