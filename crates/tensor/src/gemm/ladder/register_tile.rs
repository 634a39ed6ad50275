//! Rung 5: a tile of C in registers.
//!
//! ```text
//! tile of MR×NR:   for p { for i in 0..MR { for j in 0..NR { acc[i][j] += A[i,p]·B[p,j] }}}
//! ```
//!
//! All rungs before load and store C for each multiply-add. A tile of 4×8 accumulators is loaded never and stored once:
//! for each p it takes 4 floats of A and 8 of B from memory and does 32 multiply-adds. That is the whole secret; the
//! rest is making the tile as large as the registers allow, and feeding it.
//!
//! B is packed in panels NR wide, the last filled with zeros, so that the loop over j has a length the compiler knows.

use super::Operands;

/// Rows and columns of the tile: 32 accumulators, eight of the sixteen SSE or half of the thirty-two NEON registers.
const MR: usize = 4;
const NR: usize = 8;

pub(super) fn multiply(Operands { m, k, n, a, b, c }: Operands<'_>) {
    let mut panel = vec![[0.0; NR]; k];
    for j in (0..n).step_by(NR) {
        let width = NR.min(n - j);
        for (p, row) in panel.iter_mut().enumerate() {
            row[..width].copy_from_slice(&b[p * n + j..][..width]);
            row[width..].fill(0.0);
        }
        for i in (0..m).step_by(MR) {
            let height = MR.min(m - i);
            // Rows past the last are computed from the last one again, and not stored.
            let rows: [&[f32]; MR] = std::array::from_fn(|r| &a[(i + r.min(height - 1)) * k..][..k]);
            let mut acc = [[0.0; NR]; MR];
            for (p, b_row) in panel.iter().enumerate() {
                for r in 0..MR {
                    let x = rows[r][p];
                    for l in 0..NR {
                        acc[r][l] += x * b_row[l];
                    }
                }
            }
            for (r, acc) in acc.iter().enumerate().take(height) {
                c[(i + r) * n + j..][..width].copy_from_slice(&acc[..width]);
            }
        }
    }
}
