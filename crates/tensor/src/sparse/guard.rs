//! When a step may be skipped: what A and B must be so that no bit changes.
//!
//! ```text
//! a = ±0:   fma(a, b, c) = c, bit for bit,  if b is finite (else it is a NaN)  and c is not −0 (−0 + 0 = +0)
//! ```
//!
//! *Proof.* A chain starts from +0. It comes to −0 only by underflow: a sum that is exactly 0 is +0, and a sum that is
//! not 0 rounds to 0 only if it is smaller than half of the smallest float, 2⁻¹⁴⁹. A float of size 2ᵉ or more is a
//! multiple of 2ᵉ⁻²³. So with |a| ≥ 2⁻⁵⁹ and |b| ≥ 2⁻⁴⁴ a product is a multiple of 2⁻⁵⁹⁻⁴⁴⁻⁴⁶ = 2⁻¹⁴⁹, and so is its sum
//! with any float. Such a sum is 0 or no smaller than 2⁻¹⁴⁹: nothing underflows.
//!
//! *Guard.* Each element of A and of B is looked at ([`Sizes`]). If one of B is not 0 and smaller than its bound, or not
//! finite, every step of that block of k is done, and of all blocks after it, because a chain that is at −0 stays there
//! until a step makes it +0. The same holds for a row of A with an element that is too small. Where C is read (β ≠ 0)
//! a chain may start at −0: such a product is not computed here.
//!
//! The two exponents add up to 103. How they are shared out follows from what a training step multiplies. In Y = X·W and
//! dX = dY·Wᵀ A is row-major and may be a small gradient: 59 and 44. In dW = Xᵀ·dY A is transposed and holds activations,
//! and B is the gradient: 40 and 63. A byte is 0 or at least 2⁻⁸.

use crate::isa::{Isa, LANES, Op};
use crate::vec::Lhs;

/// The least sizes of elements of A and of B that are not 0: with them no product underflows.
pub(super) fn least_sizes(a: Lhs<'_>) -> [f32; 2] {
    let exponents: [u32; 2] = match a {
        Lhs::Floats(a) if a.strides()[1] == 1 => [59, 44],
        Lhs::Floats(_) => [40, 63],
        Lhs::Bytes(_) | Lhs::BytesTransposed(_) => [8, 92],
    };
    exponents.map(|e| f32::from_bits((127 - e) << 23))
}

/// What is known of the sizes of the elements seen so far, lane by lane, in four chains: a minimum takes four cycles.
///
/// The least size that is not 0 is a minimum over the float *before* each size: its bits less 1. What is before 0 is a
/// NaN, which a minimum passes over.
#[derive(Clone, Copy)]
pub(super) struct Sizes<I: Isa> {
    /// The float before the least size that is not 0.
    before: [I::F; 4],
    /// A NaN once an element is infinite or a NaN: the sum of 0 times each.
    finite: [I::F; 4],
}

impl<I: Isa> Sizes<I> {
    /// Of no elements.
    #[inline(always)]
    pub fn new(isa: I) -> Self {
        Self { before: [isa.splat(f32::MAX); 4], finite: [isa.splat(0.0); 4] }
    }

    /// Takes in sixteen elements, in one of the four chains. Returns which of them are not 0.
    #[inline(always)]
    pub fn see(&mut self, isa: I, chain: usize, x: I::F) -> u16 {
        let before = isa.as_floats(isa.sub_u(isa.as_bits(isa.abs(x)), isa.splat_u(1)));
        self.before[chain] = isa.min(before, self.before[chain]);
        isa.bits(isa.ne(x, isa.splat(0.0)))
    }

    /// The same of elements that must be finite.
    #[inline(always)]
    pub fn see_finite(&mut self, isa: I, chain: usize, x: I::F) {
        self.see(isa, chain, x);
        self.finite[chain] = isa.fma(x, isa.splat(0.0), self.finite[chain]);
    }

    /// Whether each was 0 or at least of this size, and those that must be were finite.
    #[inline(always)]
    pub fn allow(self, isa: I, least: f32) -> bool {
        let ([a, b, c, d], [e, f, g, h]) = (self.before, self.finite);
        let smallest = isa.min(isa.min(a, b), isa.min(c, d));
        let finite = isa.add(isa.add(e, f), isa.add(g, h));
        isa.bits(isa.lt(smallest, isa.splat(f32::from_bits(least.to_bits() - 1)))) == 0
            && isa.bits(isa.is_nan(finite)) == 0
    }
}

/// Whether elements of B allow to skip steps.
pub(super) struct Allows<'a>(pub &'a [f32], pub f32);

impl Op for Allows<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> bool {
        let mut sizes = Sizes::new(isa);
        let (fours, rest) = self.0.as_chunks::<{ 4 * LANES }>();
        for four in fours {
            for (chain, x) in four.as_chunks::<LANES>().0.iter().enumerate() {
                sizes.see_finite(isa, chain, isa.load(x));
            }
        }
        for x in rest.chunks(LANES) {
            sizes.see_finite(isa, 0, isa.load_part(x));
        }
        sizes.allow(isa, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Exec;
    use crate::isa::AnyIsa;

    #[test]
    fn an_element_that_is_too_small_or_not_finite_is_seen_wherever_it_stands() {
        let least = f32::from_bits((127 - 44) << 23);
        assert_eq!(least, 2.0_f32.powi(-44));
        let below = f32::from_bits(least.to_bits() - 1);
        for isa in AnyIsa::available() {
            let allow = |b: &[f32]| Exec::with_isa(isa, 1).run(Allows(b, least));
            for len in [1, 15, 16, 17, 63, 64, 65, 200] {
                for at in 0..len {
                    let with = |x: f32| {
                        let mut b = vec![0.0; len];
                        b[at] = x;
                        allow(&b)
                    };
                    for x in [0.0, -0.0, least, -least, 1.0, f32::MAX, f32::MIN] {
                        assert!(with(x), "{x} at {at} of {len} on {}", isa.name());
                    }
                    for x in [below, -below, f32::from_bits(1), f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
                        assert!(!with(x), "{x} at {at} of {len} on {}", isa.name());
                    }
                }
            }
        }
    }
}
