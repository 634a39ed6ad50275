//! When a step of a chain may be left out: what A and B must be.
//!
//! ```text
//! a = ±0:   fma(a, b, c) = c, bit for bit,  if b is finite (else it is a NaN)  and c is not −0 (−0 + 0 = +0)
//! ```
//!
//! A chain that starts from +0 never comes to −0 as long as nothing underflows: a sum of exactly 0 is +0, and a sum
//! that is not 0 rounds to 0 only if it is less than half of the smallest float, 2⁻¹⁴⁹. A float of size 2ᵉ or more is a
//! multiple of 2ᵉ⁻²³, so with |a| ≥ 2⁻⁵⁹ and |b| ≥ 2⁻⁴⁴ a product is a multiple of 2⁻⁵⁹⁻⁴⁴⁻⁴⁶ = 2⁻¹⁴⁹, and so is its
//! sum with any float: it is 0, or no smaller than 2⁻¹⁴⁹. How the 103 are shared out is a guess at what is multiplied:
//! Y = X·W and dX = dY·Wᵀ have a row-major A, which may be a small gradient; dW = Xᵀ·dY has a transposed one, of
//! activations, and the gradient is B: 2⁻⁴⁰ and 2⁻⁶³. (In a network of 1024 units every second dY has an element under
//! 2⁻⁴⁴.) A byte is 0 or 2⁻⁸ or more, and b may be as small as 2⁻⁹²: then products are multiples of 2⁻¹⁴⁶.
//!
//! So each element of B is looked at, as it is packed ([`Sizes`] in `pack.rs`) or before ([`Allowed`]). If one is
//! neither 0 nor of that size, or not finite, the tiles do all steps, in that block of k and those after it (of a B
//! that is kept packed, in all): for a chain that is at −0 stays there until a step makes it +0. A row of A with too
//! small an element counts as one without zeros, in the same blocks. Where C is read (β ≠ 0) a chain may start at −0:
//! such a product does all steps.
//!
//! The look at 784×100 elements takes 2 µs: the least size is a minimum over the bit patterns less 1, where a 0 becomes
//! a NaN and is passed over; and an infinity or a NaN is found by adding 0 times each.

use super::operands::Source;
use crate::isa::{Isa, LANES, Op};

/// The least sizes of elements of A and B that are not 0: with them a product is a multiple of 2⁻¹⁴⁹.
pub(super) fn least_of(source: Source<'_>) -> [f32; 2] {
    let [a, b] = match source {
        Source::Floats(a) if a.strides()[1] == 1 => [59, 44],
        Source::Floats(_) => [40, 63],
        Source::Bytes(_) | Source::BytesTransposed(_) => [8, 92],
    };
    [a, b].map(|e| 1.0 / (1_u128 << e) as f32)
}

/// Some rows of adjacent elements: whether each is 0, or between a least size and the largest float.
pub(super) struct Allowed {
    at: *const f32,
    rows: usize,
    columns: usize,
    stride: usize,
    least: f32,
}

impl Allowed {
    /// # Safety
    /// `at` is readable for `columns` floats at each of `rows` rows, `stride` apart.
    pub unsafe fn new(at: *const f32, [rows, columns]: [usize; 2], stride: usize, least: f32) -> Self {
        // Rows behind one another are as good as one.
        let [rows, columns] = if stride == columns { [1, rows * columns] } else { [rows, columns] };
        Self { at, rows, columns, stride, least }
    }
}

impl Op for Allowed {
    type Output = bool;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> bool {
        // Four chains: a minimum takes four cycles.
        let mut chains = [Sizes::new(isa); 4];
        for r in 0..self.rows {
            // SAFETY: as `new` was promised.
            let row = unsafe { std::slice::from_raw_parts(self.at.add(r * self.stride), self.columns) };
            let (chunks, rest) = row.as_chunks::<LANES>();
            let (fours, ones) = chunks.as_chunks::<4>();
            for four in fours {
                for (sizes, chunk) in chains.iter_mut().zip(four) {
                    sizes.see(isa, isa.load(chunk));
                }
            }
            for chunk in ones {
                chains[0].see(isa, isa.load(chunk));
            }
            chains[1].see(isa, isa.load_part(rest));
        }
        chains.into_iter().map(|sizes| sizes.seen(isa)).fold(Seen::NOTHING, Seen::and).fit(self.least)
    }
}

/// What is known of the sizes of some elements, lane by lane.
#[derive(Clone, Copy)]
pub(super) struct Sizes<I: Isa> {
    /// The float before the least that is not 0.
    least: I::F,
    /// A NaN once one is infinite or no number: 0 times it.
    finite: I::F,
}

impl<I: Isa> Sizes<I> {
    /// Of no elements.
    #[inline(always)]
    pub fn new(isa: I) -> Self {
        Self { least: isa.splat(f32::MAX), finite: isa.splat(0.0) }
    }

    /// Takes sixteen of them.
    #[inline(always)]
    pub fn see(&mut self, isa: I, x: I::F) {
        self.least = isa.min(before(isa, isa.abs(x)), self.least);
        self.finite = isa.fma(x, isa.splat(0.0), self.finite);
    }

    /// What was seen, of all lanes.
    #[inline(always)]
    pub fn seen(self, isa: I) -> Seen {
        if isa.bits(isa.is_nan(self.finite)) != 0 {
            return Seen(0);
        }
        isa.to_array(self.least).into_iter().fold(Seen::NOTHING, |seen, before| seen.and(Seen(before.to_bits())))
    }
}

/// The float before the size of the least of some elements that is not 0, as bits; 0 if one is infinite or no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen(u32);

impl Seen {
    /// Of no elements.
    pub const NOTHING: Self = Self(f32::MAX.to_bits());

    /// Of these elements and others.
    pub fn and(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }

    /// Whether each is 0, or between `least` and the largest float.
    pub fn fit(self, least: f32) -> bool {
        self.0 >= least.to_bits() - 1
    }
}

/// The least size of some elements that are not 0, lane by lane, in four chains: a minimum takes four cycles.
#[derive(Clone, Copy)]
pub(super) struct Least<I: Isa>([I::F; 4]);

impl<I: Isa> Least<I> {
    /// Of no elements.
    #[inline(always)]
    pub fn new(isa: I) -> Self {
        Self([isa.splat(f32::MAX); 4])
    }

    /// Takes in the sizes of sixteen elements, of those that are not 0, in one of the chains. Returns which those are.
    #[inline(always)]
    pub fn see(&mut self, isa: I, chain: usize, x: I::F) -> u64 {
        let (nonzero, least) = (isa.ne(x, isa.splat(0.0)), self.0[chain]);
        // (Of a NaN and another the minimum is the other.)
        self.0[chain] = isa.select(nonzero, isa.min(isa.abs(x), least), least);
        isa.bits(nonzero).into()
    }

    /// Whether each reaches `least`.
    #[inline(always)]
    pub fn reaches(self, isa: I, least: f32) -> bool {
        let [a, b, c, d] = self.0;
        isa.bits(isa.lt(isa.min(isa.min(a, b), isa.min(c, d)), isa.splat(least))) == 0
    }
}

/// The floats before these sizes, where 0 has a NaN before it, which no minimum takes.
#[inline(always)]
pub(super) fn before<I: Isa>(isa: I, sizes: I::F) -> I::F {
    isa.as_floats(isa.sub_u(isa.as_bits(sizes), isa.splat_u(1)))
}

/// Whether the sizes before which these floats are reach `least`.
#[inline(always)]
pub(super) fn at_least<I: Isa>(isa: I, before: I::F, least: f32) -> bool {
    isa.bits(isa.lt(before, isa.splat(f32::from_bits(least.to_bits() - 1)))) == 0
}
