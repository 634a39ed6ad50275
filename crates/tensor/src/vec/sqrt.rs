//! √x without the divider, for kernels that take a root of every element.
//!
//! ```text
//! y₀ = bits(0x5f37'59df − bits(x)/2)                     1/√x to 3.5 %: halving the bits halves the exponent
//! r = 1 − (x·y)·y,  y ← y + y·r·(1/2 + 3/8·r)            twice: the error is cubed, 3.5 % → 10⁻⁴ → 10⁻¹¹
//! √x = x·y
//! ```
//!
//! Plain: `x.sqrt()`. The hardware's root and its division use the same unit, the divider, which is slow and hardly
//! pipelined. In Adam, AdaGrad and RMSProp a division follows each root. Here the root is thirteen operations of the
//! multiply-add units, which run while the divider divides (`docs/measurements.md`, 6).

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

/// Lane by lane √x for x ≥ 0. The error is at most 2 ULP if x is 0, normal or ∞. For a subnormal x the result is a
/// number from 0 to 1.1·10⁻¹⁹. A NaN stays a NaN.
#[inline(always)]
pub fn sqrt_lanes<I: Isa>(isa: I, x: I::F) -> I::F {
    let (one, half, three_eighths) = (isa.splat(1.0), isa.splat(0.5), isa.splat(0.375));
    // At 0, where y is large, and at ∞, where y is 0, the iteration would diverge.
    let finite = isa.max(isa.min(x, isa.splat(f32::MAX)), isa.splat(f32::MIN_POSITIVE));
    let mut y = isa.as_floats(isa.sub_u(isa.splat_u(0x5f37_59df), isa.shr::<1>(isa.as_bits(finite))));
    for _ in 0..2 {
        let r = isa.fnma(isa.mul(finite, y), y, one);
        let step = isa.mul(r, isa.fma(three_eighths, r, half));
        y = isa.fma(y, step, y);
    }
    isa.mul(x, y)
}
