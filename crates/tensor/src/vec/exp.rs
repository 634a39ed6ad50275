//! `exp`: e to the power x.
//!
//! ```text
//! n = round(x / ln 2)            so that x = n·ln 2 + r with |r| ≤ ln 2 / 2
//! e^x = 2^n · e^r                e^r = 1 + r + r²·P(r), P of degree 5
//! ```
//!
//! Plain: `x.iter().map(|x| x.exp())`.
//!
//! 1. *Rounding by addition.* x/ln 2 + 1.5·2²³ has no bits for a fraction. So the FMA that computes it also rounds it,
//!    and n is in the low bits of the sum. No conversion instruction is needed, and every ISA gives the same n.
//! 2. *r in two FMAs.* ln 2 is split into a float and the float nearest to the rest. So n·ln 2 is subtracted with 48
//!    bits.
//! 3. *2^n in two factors.* n goes from −150 (subnormal results) to 128 (just before overflow), which one exponent
//!    field cannot hold. 2^⌊n/2⌋ and 2^(n−⌊n/2⌋) can. The first product is exact, the second rounds once.
//! 4. *No branch.* x is clamped to a range outside of which the result is 0 or ∞. A NaN is put back at the end.
//!
//! Error: at most 1.02 ULP over all 2³² inputs (`cargo test -p tensor --release -- --ignored`), subnormals included.

use super::map::{LaneFunction, map};
use crate::exec::Exec;
use crate::isa::Isa;

/// `y[i] ← e^x[i]`. At most 1.02 ULP from the exact value; overflows to ∞, underflows through the subnormals to 0.
///
/// # Panics
/// If the lengths differ.
pub fn exp(exec: Exec, x: &[f32], y: &mut [f32]) {
    #[derive(Clone, Copy)]
    struct Exp;
    impl LaneFunction for Exp {
        #[inline(always)]
        fn value<I: Isa>(self, isa: I, x: I::F) -> I::F {
            exp_lanes(isa, x)
        }
    }
    map(exec, x, y, Exp);
}

/// 1.5·2²³: adding it leaves the nearest integer in the low mantissa bits.
const ROUND: f32 = 12_582_912.0;
const LN_2_LOW: f32 = -1.904_654_3e-9;

/// Lane by lane `e^x`; see [`exp`].
#[inline(always)]
pub fn exp_lanes<I: Isa>(isa: I, x: I::F) -> I::F {
    let clamped = isa.min(isa.max(x, isa.splat(-104.0)), isa.splat(89.0));
    let shifted = isa.fma(clamped, isa.splat(std::f32::consts::LOG2_E), isa.splat(ROUND));
    let n = isa.sub(shifted, isa.splat(ROUND));
    let r = isa.fnma(n, isa.splat(std::f32::consts::LN_2), clamped);
    let r = isa.fnma(n, isa.splat(LN_2_LOW), r);

    let mut p = isa.splat(1.987_569_2e-4);
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.0e-1] {
        p = isa.fma(p, r, isa.splat(c));
    }
    let e_to_r = isa.add(isa.fma(isa.mul(r, r), p, r), isa.splat(1.0));

    let n = isa.sub_u(isa.as_bits(shifted), isa.splat_u(ROUND.to_bits()));
    let half = isa.sar::<1>(n);
    let power = |n| isa.as_floats(isa.shl::<23>(isa.add_u(n, isa.splat_u(127))));
    let y = isa.mul(isa.mul(e_to_r, power(half)), power(isa.sub_u(n, half)));
    isa.select(isa.is_nan(x), x, y)
}
