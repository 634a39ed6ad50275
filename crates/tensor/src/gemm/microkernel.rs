//! The register tile: MR rows by NV vectors of C stay in registers while k runs.
//!
//! ```text
//! C[i, j] = Σₚ A[i, p]·B[p, j]     plain:  for p { for i in 0..MR { for j in 0..16·NV { c[i][j] += a[i][p]·b[p][j] }}}
//!
//!                      B: one row, NV vectors
//!                  ┌────────┬────────┬────────┬────────┐
//!                  │ b₀     │ b₁     │ b₂     │ b₃     │          per step of k:
//!                  └────────┴────────┴────────┴────────┘            NV loads of B
//!   A: one column  ┌────────┬────────┬────────┬────────┐            MR broadcasts of A
//!   ┌──┐           │ c₀₀    │ c₀₁    │ c₀₂    │ c₀₃    │            MR·NV fused multiply-adds
//!   │a₀│ broadcast │ c₁₀    │  …     │        │        │
//!   │a₁│  ───────▶ │        │        │        │        │          registers:
//!   │… │           │ …      │        │        │ …      │            MR·NV + NV + 1 ≤ 32 (AVX-512)
//!   └──┘           └────────┴────────┴────────┴────────┘            2·(MR·NV + NV) + 1 ≤ 16 (AVX2), but for NV 1
//! ```
//!
//! 1. *Many accumulators.* A fused multiply-add takes four cycles and a new one can start every cycle (or two), so
//!    at least eight independent chains are needed; a tile has 24 to 28.
//! 2. *Const generics.* `[[F; NV]; MR]` with constant bounds is unrolled and promoted to registers whole.
//! 3. *Any strides of A.* A is only ever broadcast, one element at a time, so a row-major, a transposed and a packed A
//!    are the same code with other strides; A is never copied.
//! 4. *Edges.* Rows: there is a tile for every height up to the greatest, so no row is padded. Columns: B is read in
//!    whole vectors wherever its memory goes on (`whole` rows of it), and with a masked load in the last rows; C is
//!    read and written with a mask. A masked load in the whole loop cost 3 %.
//! 5. *Chain order.* p ascends and each element has one accumulator, started from β·C: contract 2 costs nothing here.

use crate::isa::{Isa, LANES};

/// What to do with the accumulators at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// Store them: more of k is to come, or there is no epilogue.
    Store,
    /// Add the bias.
    Bias,
    /// Add the bias and clamp at 0.
    BiasRelu,
}

/// The operands of one tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    /// Steps of k.
    pub k: usize,
    /// Steps of k whose row of B may be read in whole vectors; the rest are read with a mask.
    pub whole: usize,
    /// A[0, 0] of the tile, the stride from row to row, and from step to step of k.
    pub a: *const f32,
    pub a_row: usize,
    pub a_step: usize,
    /// B[0, 0] of the tile and the stride from step to step; its columns are adjacent.
    pub b: *const f32,
    pub b_step: usize,
    /// C[0, 0] of the tile and the stride from row to row; its columns are adjacent.
    pub c: *mut f32,
    pub c_row: usize,
    /// Columns in the last vector, 1 to 16.
    pub tail: usize,
    /// Factor of what C holds; with 0 C is not read.
    pub beta: f32,
    /// The epilogue, and the bias of the tile's first column (not read without one).
    pub finish: Finish,
    pub bias: *const f32,
}

/// Computes one tile of `MR` rows and `NV` vectors.
///
/// # Safety
/// With `cols = 16·(NV − 1) + tail` and `1 ≤ tail ≤ 16`:
/// - A is readable at `i·a_row + p·a_step` for i < MR, p < k;
/// - B is readable at `p·b_step + j` for p < k, j < cols, and for j < 16·NV where p < whole;
/// - C is readable and writable at `i·c_row + j` for i < MR, j < cols, and nobody else touches those elements;
/// - the bias is readable for j < cols unless `finish` is `Store`.
#[inline(always)]
pub(super) unsafe fn tile<I: Isa, const MR: usize, const NV: usize>(isa: I, t: &Tile) {
    debug_assert!((1..=LANES).contains(&t.tail) && t.whole <= t.k);
    let last = NV - 1;
    let mut acc = [[isa.splat(0.0); NV]; MR];
    // SAFETY: every address is one of those the caller promises, for the ranges written above.
    unsafe {
        if t.beta != 0.0 {
            let beta = isa.splat(t.beta);
            for i in 0..MR {
                let row = t.c.add(i * t.c_row);
                for j in 0..NV {
                    let c = if j < last {
                        isa.load_ptr(row.add(j * LANES))
                    } else {
                        isa.load_ptr_part(row.add(j * LANES), t.tail)
                    };
                    acc[i][j] = isa.mul(beta, c);
                }
            }
        }

        let (mut a, mut b) = (t.a, t.b);
        for _ in 0..t.whole {
            let mut row = [isa.splat(0.0); NV];
            for j in 0..NV {
                row[j] = isa.load_ptr(b.add(j * LANES));
            }
            for i in 0..MR {
                let x = isa.splat(*a.add(i * t.a_row));
                for j in 0..NV {
                    acc[i][j] = isa.fma(x, row[j], acc[i][j]);
                }
            }
            // The last step leaves the operands; the pointers may, their targets are not read.
            a = a.wrapping_add(t.a_step);
            b = b.wrapping_add(t.b_step);
        }
        for _ in t.whole..t.k {
            let mut row = [isa.splat(0.0); NV];
            for j in 0..last {
                row[j] = isa.load_ptr(b.add(j * LANES));
            }
            row[last] = isa.load_ptr_part(b.add(last * LANES), t.tail);
            for i in 0..MR {
                let x = isa.splat(*a.add(i * t.a_row));
                for j in 0..NV {
                    acc[i][j] = isa.fma(x, row[j], acc[i][j]);
                }
            }
            a = a.wrapping_add(t.a_step);
            b = b.wrapping_add(t.b_step);
        }

        if t.finish != Finish::Store {
            let zero = isa.splat(0.0);
            for j in 0..NV {
                let at = t.bias.add(j * LANES);
                let bias = if j < last { isa.load_ptr(at) } else { isa.load_ptr_part(at, t.tail) };
                for i in 0..MR {
                    acc[i][j] = isa.add(acc[i][j], bias);
                    if t.finish == Finish::BiasRelu {
                        acc[i][j] = isa.max(zero, acc[i][j]);
                    }
                }
            }
        }
        for i in 0..MR {
            let row = t.c.add(i * t.c_row);
            for j in 0..last {
                isa.store_ptr(acc[i][j], row.add(j * LANES));
            }
            isa.store_ptr_part(acc[i][last], row.add(last * LANES), t.tail);
        }
    }
}
