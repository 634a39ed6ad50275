//! Rung 4: the block of B is copied so that it lies in the order it is read.
//!
//! ```text
//! B[pc.., jc..]   rows n floats apart   ──copy──▶   KC rows, one after the other
//! ```
//!
//! In a large matrix the rows of a block are thousands of floats apart: each is on a page of its own (one translation
//! of an address for each), and for n a power of two all of them fight for the same few sets of the cache. A block that
//! is used for m rows pays for its copy many times over, if m is large. It is also what makes the next rung possible.

use super::Operands;

const KC: usize = 128;
const NC: usize = 512;

pub(super) fn multiply(Operands { m, k, n, a, b, c }: Operands<'_>) {
    c.fill(0.0);
    let mut packed = Vec::with_capacity(KC * NC);
    for jc in (0..n).step_by(NC) {
        let columns = jc..n.min(jc + NC);
        for pc in (0..k).step_by(KC) {
            let steps = pc..k.min(pc + KC);
            packed.clear();
            for p in steps.clone() {
                packed.extend_from_slice(&b[p * n..][columns.clone()]);
            }
            for i in 0..m {
                let c_row = &mut c[i * n..][columns.clone()];
                for (&x, b_row) in a[i * k..][steps.clone()].iter().zip(packed.chunks_exact(columns.len())) {
                    for (c, &b) in c_row.iter_mut().zip(b_row) {
                        *c += x * b;
                    }
                }
            }
        }
    }
}
