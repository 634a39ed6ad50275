//! Rung 7: bands of rows, one a thread.
//!
//! ```text
//! thread t:  C[its rows, ·] ← A[its rows, ·]·B
//! ```
//!
//! Bands of C do not overlap, so nothing is shared but what is only read, and each element is computed by one thread in
//! the same order as before: the bits do not depend on the number of threads. (Sharing k out would need sums of partial
//! results, and they would.) Each thread packs B for itself; the real thing packs it once, together.
//!
//! Starting a second thread costs microseconds: a product of 100×100×100 takes about twenty on one. Whether it pays is
//! what [`Plan`](super::super::Plan) decides.

use super::Operands;
use crate::exec::Exec;
use rayon::prelude::*;

pub(super) fn multiply(exec: Exec, Operands { m, k, n, a, b, c }: Operands<'_>) {
    if exec.threads() == 1 || m == 0 || n == 0 || k == 0 {
        return super::simd::multiply(exec, Operands { m, k, n, a, b, c });
    }
    let rows = m.div_ceil(exec.threads());
    c.par_chunks_mut(rows * n).zip(a.par_chunks(rows * k)).for_each(|(c, a)| {
        super::simd::multiply(exec, Operands { m: c.len() / n, k, n, a, b, c });
    });
}
