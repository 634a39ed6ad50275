//! `ln`: the natural logarithm.
//!
//! ```text
//! x = 2^e · m with √½ ≤ m < √2,   f = m − 1 (exact)
//! ln x = e·ln 2 + f − f²/2 + f³·P(f), P of degree 8
//! ```
//!
//! Plain: `x.iter().map(|x| x.ln())`.
//!
//! 1. *Integer split.* Subtracting the bits of √½ from the bits of x carries into the exponent exactly where m would
//!    reach √2. So one subtraction, one shift and one mask give e and m.
//! 2. *Subnormals* are first multiplied by 2²³, and e corrected by 23.
//! 3. *Small terms first.* e·ln 2 is added in two parts, the small one before f, the large one last.
//!
//! ln 0 = −∞, ln of a negative number is NaN, ln ∞ = ∞. Error: at most 1 ULP over all 2³² inputs.

use super::map::{LaneFunction, map};
use crate::exec::Exec;
use crate::isa::Isa;

/// `y[i] ← ln x[i]`. At most 1 ULP from the exact value; −∞ at 0, NaN below.
///
/// # Panics
/// If the lengths differ.
pub fn ln(exec: Exec, x: &[f32], y: &mut [f32]) {
    #[derive(Clone, Copy)]
    struct Ln;
    impl LaneFunction for Ln {
        #[inline(always)]
        fn value<I: Isa>(self, isa: I, x: I::F) -> I::F {
            ln_lanes(isa, x)
        }
    }
    map(exec, x, y, Ln);
}

/// ln 2 to 13 bits: times an exponent it is exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// Lane by lane `ln x`; see [`ln`].
#[inline(always)]
pub fn ln_lanes<I: Isa>(isa: I, x: I::F) -> I::F {
    let tiny = isa.lt(x, isa.splat(f32::MIN_POSITIVE));
    let scaled = isa.select(tiny, isa.mul(x, isa.splat(8_388_608.0)), x);
    let sqrt_half = isa.splat_u(std::f32::consts::FRAC_1_SQRT_2.to_bits());
    let above = isa.sub_u(isa.as_bits(scaled), sqrt_half);
    let exponent = isa.to_float(isa.sar::<23>(above));
    let exponent = isa.select(tiny, isa.sub(exponent, isa.splat(23.0)), exponent);
    let m = isa.as_floats(isa.add_u(isa.and(above, isa.splat_u(0x007f_ffff)), sqrt_half));
    let f = isa.sub(m, isa.splat(1.0));

    let mut p = isa.splat(7.037_683_6e-2);
    for c in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_7e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = isa.fma(p, f, isa.splat(c));
    }
    let square = isa.mul(f, f);
    let tail = isa.fma(exponent, isa.splat(LN_2_LOW), isa.mul(isa.mul(f, square), p));
    let tail = isa.fnma(isa.splat(0.5), square, tail);
    let y = isa.fma(exponent, isa.splat(LN_2_HIGH), isa.add(f, tail));

    let y = isa.select(isa.lt(x, isa.splat(f32::INFINITY)), y, x); // ∞ and NaN are their own logarithm
    let y = isa.select(isa.lt(isa.splat(0.0), x), y, isa.splat(f32::NEG_INFINITY));
    let y = isa.select(isa.lt(x, isa.splat(0.0)), isa.splat(f32::NAN), y);
    isa.select(isa.is_nan(x), x, y)
}
