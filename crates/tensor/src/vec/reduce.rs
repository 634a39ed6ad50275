//! Reductions of a fixed shape.
//!
//! Floating-point addition is not associative, so a sum is defined here by its tree, and every ISA and thread count
//! builds that tree:
//!
//! ```text
//! sum:          element i goes to accumulator i mod 64, in ascending order (four vectors of sixteen lanes);
//!               the four vectors are added as (v₀ + v₁) + (v₂ + v₃), the sixteen lanes in halves
//! column sums:  each column is one chain over COLUMN_BLOCK rows, in ascending order; the blocks' sums are added in
//!               ascending order
//! ```
//!
//! The plain versions are the two sentences above, written as loops in the tests. Sixty-four accumulators hide the
//! four-cycle latency of an addition on two vector ports, and bound the error of a sum of n by about (n/64 + 8)·ε.

use super::columns::{Strip, StripMut, store_columns};
use super::share::{StripKernel, for_each_strip};
use crate::array::View;
use crate::exec::Exec;
use crate::isa::{Isa, LANES, Op};

/// Rows of one chain of a column sum.
pub const COLUMN_BLOCK: usize = 256;

/// Σ f(xᵢ, yᵢ), in the fixed shape.
#[inline(always)]
fn reduce_lanes<I: Isa>(isa: I, x: &[f32], y: &[f32], step: impl Fn(I::F, I::F, I::F) -> I::F) -> f32 {
    assert_eq!(x.len(), y.len(), "operands of a reduction");
    let mut accumulators = [isa.splat(0.0); 4];
    let (x, x_tail) = x.as_chunks::<LANES>();
    let (y, y_tail) = y.as_chunks::<LANES>();
    let (x4, x_rest) = x.as_chunks::<4>();
    let (y4, y_rest) = y.as_chunks::<4>();
    for (x, y) in x4.iter().zip(y4) {
        for v in 0..4 {
            accumulators[v] = step(accumulators[v], isa.load(&x[v]), isa.load(&y[v]));
        }
    }
    for (v, (x, y)) in x_rest.iter().zip(y_rest).enumerate() {
        accumulators[v] = step(accumulators[v], isa.load(x), isa.load(y));
    }
    if !x_tail.is_empty() {
        // Lanes past the end read 0 and add 0.
        let v = x_rest.len();
        accumulators[v] = step(accumulators[v], isa.load_part(x_tail), isa.load_part(y_tail));
    }
    let [a, b, c, d] = accumulators;
    isa.sum(isa.add(isa.add(a, b), isa.add(c, d)))
}

/// Σ xᵢ·yᵢ, in the fixed shape.
///
/// # Panics
/// If the lengths differ.
#[inline(always)]
pub fn dot_lanes<I: Isa>(isa: I, x: &[f32], y: &[f32]) -> f32 {
    reduce_lanes(isa, x, y, |sum, x, y| isa.fma(x, y, sum))
}

/// Σ xᵢ, in the fixed shape.
pub fn sum(exec: Exec, x: &[f32]) -> f32 {
    struct Sum<'a>(&'a [f32]);
    impl Op for Sum<'_> {
        type Output = f32;
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> f32 {
            reduce_lanes(isa, self.0, self.0, |sum, x, _| isa.add(sum, x))
        }
    }
    exec.run(Sum(x))
}

/// Σ xᵢ², in the fixed shape.
pub fn sum_squares(exec: Exec, x: &[f32]) -> f32 {
    struct SumSquares<'a>(&'a [f32]);
    impl Op for SumSquares<'_> {
        type Output = f32;
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> f32 {
            dot_lanes(isa, self.0, self.0)
        }
    }
    exec.run(SumSquares(x))
}

/// `sums[j] ← Σᵢ x[i, j]` for a matrix of adjacent columns: the gradient of a bias.
///
/// # Panics
/// If `sums` is not one element a column.
pub fn column_sums(exec: Exec, x: View<'_, f32, 2>, sums: &mut [f32]) {
    struct ColumnSums;
    impl StripKernel<1, 0, 1> for ColumnSums {
        #[inline(always)]
        fn run<I: Isa, const NV: usize>(
            &self,
            isa: I,
            (_, columns): (usize, usize),
            [x]: [Strip<'_, NV>; 1],
            []: [StripMut<'_, NV>; 0],
            [sums]: [&mut [f32]; 1],
        ) {
            let zero = [isa.splat(0.0); NV];
            let mut total = zero;
            for block in (0..x.rows()).step_by(COLUMN_BLOCK) {
                let mut chain = zero;
                for i in block..x.rows().min(block + COLUMN_BLOCK) {
                    let x = x.load(isa, i);
                    for v in 0..NV {
                        chain[v] = isa.add(chain[v], x[v]);
                    }
                }
                for v in 0..NV {
                    total[v] = isa.add(total[v], chain[v]);
                }
            }
            store_columns(isa, total, sums, 0, columns);
        }
    }
    assert_eq!(x.cols(), sums.len(), "one sum a column");
    for_each_strip(exec, &ColumnSums, [x], [], [sums]);
}
