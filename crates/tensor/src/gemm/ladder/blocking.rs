//! Rung 3: a block of B at a time.
//!
//! ```text
//! for jc in 0..n by NC
//!   for pc in 0..k by KC            B[pc.., jc..]: KC × NC floats, 256 KB, stays in L2
//!     for i in 0..m
//!       C[i, jc..] += Σₚ A[i,p]·B[p, jc..]
//! ```
//!
//! Rung 2 reads all of B for each row of A; once B is larger than a cache, that is from the next one, or from memory.
//! Here each block is read m times from L2 instead. It helps only where B does not fit anyway.

use super::Operands;

/// Rows and columns of a block of B.
const KC: usize = 128;
const NC: usize = 512;

pub(super) fn multiply(Operands { m, k, n, a, b, c }: Operands<'_>) {
    c.fill(0.0);
    for jc in (0..n).step_by(NC) {
        let columns = jc..n.min(jc + NC);
        for pc in (0..k).step_by(KC) {
            for i in 0..m {
                let c_row = &mut c[i * n..][columns.clone()];
                for p in pc..k.min(pc + KC) {
                    let x = a[i * k + p];
                    for (c, &b) in c_row.iter_mut().zip(&b[p * n..][columns.clone()]) {
                        *c += x * b;
                    }
                }
            }
        }
    }
}
