//! `cos` and `sin` of an angle given in turns: what Box and Muller's transform needs.
//!
//! ```text
//! u in turns; q = round(4u), the nearest quarter turn; r = 2π(u − q/4), |r| ≤ π/4
//! cos r = 1 − r²/2 + r⁴·C(r²)      sin r = r + r³·S(r²)
//! q mod 4 = 0: (cos, sin)  1: (−sin, cos)  2: (−cos, −sin)  3: (sin, −cos)
//! ```
//!
//! Plain: `(2π·u).sin_cos()`. Because u is in turns, the reduction subtracts a multiple of ¼, which is exact. For an
//! angle in radians it would need π to many digits.

use crate::isa::Isa;

const ROUND: f32 = 12_582_912.0; // 1.5·2²³, see exp.rs

/// Lane by lane `(cos 2πu, sin 2πu)` for 0 ≤ u ≤ 1; absolute error at most 1.2e-7.
#[inline(always)]
pub fn cos_sin_turns_lanes<I: Isa>(isa: I, u: I::F) -> (I::F, I::F) {
    let shifted = isa.fma(u, isa.splat(4.0), isa.splat(ROUND));
    let quarters = isa.sub(shifted, isa.splat(ROUND));
    let r = isa.mul(isa.fnma(quarters, isa.splat(0.25), u), isa.splat(std::f32::consts::TAU));
    let z = isa.mul(r, r);

    let mut s = isa.splat(-1.951_529_6e-4);
    for c in [8.332_161e-3, -1.666_665_5e-1] {
        s = isa.fma(s, z, isa.splat(c));
    }
    let sin = isa.fma(isa.mul(s, z), r, r);
    let mut c = isa.splat(2.443_315_7e-5);
    for k in [-1.388_731_6e-3, 4.166_664_6e-2] {
        c = isa.fma(c, z, isa.splat(k));
    }
    let cos = isa.fma(isa.mul(c, z), z, isa.fnma(isa.splat(0.5), z, isa.splat(1.0)));

    // Bit 0 of q swaps the two; bit 1 of q + 1 is the sign of the cosine, bit 1 of q that of the sine.
    let q = isa.as_bits(shifted);
    let odd = isa.lt(isa.splat(0.0), isa.to_float(isa.and(q, isa.splat_u(1))));
    let sign = |q| isa.shl::<30>(isa.and(q, isa.splat_u(2)));
    let flip = |x, sign| isa.as_floats(isa.xor(isa.as_bits(x), sign));
    (flip(isa.select(odd, sin, cos), sign(isa.add_u(q, isa.splat_u(1)))), flip(isa.select(odd, cos, sin), sign(q)))
}
