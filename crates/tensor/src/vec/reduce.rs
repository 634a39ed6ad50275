//! Reductions of a fixed shape.
//!
//! ```text
//! sum:          s[i mod 64] ← s[i mod 64] + x[i], i ascending: four vectors v₀ … v₃ of sixteen lanes
//!               (v₀ + v₁) + (v₂ + v₃), then the sixteen lanes in halves
//! column sums:  each block of COLUMN_BLOCK rows is one chain a column, rows ascending
//!               the sums of the blocks are added, blocks ascending
//! ```
//!
//! Floating-point addition is not associative. So a sum is defined here by its tree, and every ISA and number of
//! threads builds the same tree. The plain versions are loops in the tests.
//!
//! Sixty-four accumulators hide the latency of an addition (four cycles, two additions a cycle). They bound the error
//! of a sum of n elements by about (n/64 + 8)·ε.

use super::columns::{Columns, ColumnsMut};
use super::pass::{ASCENDING, BlockKernel, pass};
use super::share::{ColumnKernel, for_all_columns};
use crate::array::View;
use crate::exec::Exec;
use crate::isa::{Isa, LANES, Op};
use std::ops::Range;

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
    /// Extends the chain of this block of rows.
    struct Chain;
    impl BlockKernel<1, 0, 0, 1> for Chain {
        #[inline(always)]
        fn block<I: Isa, const R: usize>(
            &self,
            isa: I,
            _: usize,
            [x]: [[I::F; R]; 1],
            []: [I::F; 0],
            [mut chain]: [I::F; 1],
        ) -> ([[I::F; R]; 0], [I::F; 1]) {
            for x in x {
                chain = isa.add(chain, x);
            }
            ([], [chain])
        }
    }
    struct ColumnSums;
    impl ColumnKernel<1, 0, 1> for ColumnSums {
        #[inline(always)]
        fn run<I: Isa>(
            &self,
            isa: I,
            _: Range<usize>,
            [x]: [Columns<'_>; 1],
            []: [ColumnsMut<'_>; 0],
            [sums]: [&mut [f32]; 1],
        ) {
            sums.fill(0.0);
            if x.rows() <= COLUMN_BLOCK {
                return pass::<I, _, 1, 0, 0, 1, 8, ASCENDING>(isa, &Chain, [x], &mut [], [], &mut [sums]);
            }
            // Chains on the stack, for as many columns at a time as fit.
            let mut chain = [0.0; 32 * LANES];
            for (at, sums) in sums.chunks_mut(chain.len()).enumerate() {
                let columns = at * chain.len()..at * chain.len() + sums.len();
                let chain = &mut chain[..sums.len()];
                for block in (0..x.rows()).step_by(COLUMN_BLOCK) {
                    chain.fill(0.0);
                    let rows = block..x.rows().min(block + COLUMN_BLOCK);
                    pass::<I, _, 1, 0, 0, 1, 8, ASCENDING>(
                        isa,
                        &Chain,
                        [x.part(rows, columns.clone())],
                        &mut [],
                        [],
                        &mut [chain],
                    );
                    for (sum, chain) in sums.iter_mut().zip(&*chain) {
                        *sum += chain;
                    }
                }
            }
        }
    }
    assert_eq!(x.cols(), sums.len(), "one sum a column");
    for_all_columns(exec, &ColumnSums, [x], [], [sums]);
}
