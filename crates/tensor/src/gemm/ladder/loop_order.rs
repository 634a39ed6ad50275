//! Rung 2: the same three loops in the order i, p, j.
//!
//! ```text
//! for each row i:  C[i,·] ← Σₚ A[i,p]·B[p,·]        a sum of rows of B
//! ```
//!
//! The innermost loop now runs along a row of B and a row of C: adjacent floats, every one of a cache line used, and
//! since its steps do not depend on each other the compiler makes vectors of them. What it costs: C is loaded and
//! stored for every multiply-add.

use super::Operands;

pub(super) fn multiply(Operands { m, k, n, a, b, c }: Operands<'_>) {
    c.fill(0.0);
    if n == 0 || k == 0 {
        return;
    }
    for i in 0..m {
        let c_row = &mut c[i * n..][..n];
        for (&a, b_row) in a[i * k..][..k].iter().zip(b.chunks_exact(n)) {
            for (c, &b) in c_row.iter_mut().zip(b_row) {
                *c += a * b;
            }
        }
    }
}
