//! Rung 1: the definition.
//!
//! ```text
//! C[i,j] = Σₚ A[i,p]·B[p,j]
//! ```
//!
//! Right, and slow for two reasons. The innermost loop walks down a column of B: each step is n floats from the last, a
//! cache line is fetched for one float of it. And the sum is one chain of additions, each of which waits for the last.

use super::Operands;

pub(super) fn multiply(Operands { m, k, n, a, b, c }: Operands<'_>) {
    for i in 0..m {
        for j in 0..n {
            let mut sum = 0.0;
            for p in 0..k {
                sum += a[i * k + p] * b[p * n + j];
            }
            c[i * n + j] = sum;
        }
    }
}
