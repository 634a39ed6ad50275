//! √x without the divider, for kernels that take a root of every element.
//!
//! ```text
//! y₀ = bits(0x5f37'59df − bits(x)/2)                     1/√x to 3.5 %: halving the bits halves the exponent
//! r = 1 − (x·y)·y,  y ← y + y·r·(1/2 + 3/8·r)               twice: the error is cubed, 3.5 % → 10⁻⁴ → 10⁻¹¹
//! √x = x·y
//! ```
//!
//! Plain: `x.sqrt()`. A root of sixteen floats keeps the divider of this kind of CPU busy for 24 cycles with AVX-512,
//! and a division behind it for 16 more: Adam's update took 40 cycles a vector, and all else it computes fits beside.
//! Thirteen operations of the multiply-add units take 7. The division is left to the divider, which then works beside
//! them.

use super::map::{LaneFunction, map};
use crate::exec::Exec;
use crate::isa::Isa;

/// `y[i] ← √x[i]`; see [`sqrt_lanes`].
///
/// # Panics
/// If the lengths differ.
pub fn sqrt(exec: Exec, x: &[f32], y: &mut [f32]) {
    #[derive(Clone, Copy)]
    struct Sqrt;
    impl LaneFunction for Sqrt {
        #[inline(always)]
        fn value<I: Isa>(self, isa: I, x: I::F) -> I::F {
            sqrt_lanes(isa, x)
        }
    }
    map(exec, x, y, Sqrt);
}

/// Lane by lane √x for x ≥ 0, within 2 ULP of it where x is 0, normal or ∞; of a subnormal x, some number from 0 to
/// 1.1·10⁻¹⁹. A NaN stays a NaN.
#[inline(always)]
pub fn sqrt_lanes<I: Isa>(isa: I, x: I::F) -> I::F {
    let (one, half, three_eighths) = (isa.splat(1.0), isa.splat(0.5), isa.splat(0.375));
    // At 0, where y is large, and at ∞, where it is 0, the iteration would go astray.
    let finite = isa.max(isa.min(x, isa.splat(f32::MAX)), isa.splat(f32::MIN_POSITIVE));
    let mut y = isa.as_floats(isa.sub_u(isa.splat_u(0x5f37_59df), isa.shr::<1>(isa.as_bits(finite))));
    for _ in 0..2 {
        let r = isa.fnma(isa.mul(finite, y), y, one);
        let step = isa.mul(r, isa.fma(three_eighths, r, half));
        y = isa.fma(y, step, y);
    }
    isa.mul(x, y)
}
