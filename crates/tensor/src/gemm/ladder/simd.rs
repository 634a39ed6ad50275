//! Rung 6: the tile of vectors, with the ISA's own multiply-add.
//!
//! ```text
//! tile of 6 rows × NV vectors of 16:  for p { load NV vectors of B; for i in 0..6 { broadcast A[i,p]; NV fused multiply-adds }}
//! ```
//!
//! Rung 5 is compiled for whatever the program was compiled for (SSE2 on x86-64: four floats, and a multiplication and
//! an addition apart). Here the widest vectors of the CPU it runs on are asked for by name: sixteen floats, fused.
//! Blocks of k keep six rows of A in L1 while panels of B stream by.
//!
//! The tile's loop has no `unsafe`: the panel is an array of vectors, and a row of A a slice of known length. What is
//! still missing from the real thing: tiles by shape (n = 100 pays for 128 here with AVX-512), and no copy of a small
//! B.

use super::Operands;
use crate::exec::Exec;
use crate::isa::{Isa, LANES, Op};

/// Rows of the tile.
const MR: usize = 6;
/// Steps of k in a block.
const KC: usize = 384;

pub(super) fn multiply(exec: Exec, operands: Operands<'_>) {
    exec.run(Multiply(operands));
}

struct Multiply<'a>(Operands<'a>);

impl Op for Multiply<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        // 6×4 vectors fill the registers of AVX-512, 6×1 those of AVX2 (a vector is a pair there).
        if I::NAME == "avx512" { blocks::<I, 4>(isa, self.0) } else { blocks::<I, 1>(isa, self.0) }
    }
}

#[inline(always)]
fn blocks<I: Isa, const NV: usize>(isa: I, Operands { m, k, n, a, b, c }: Operands<'_>) {
    c.fill(0.0);
    let width = NV * LANES;
    let mut packed = vec![[[0.0; LANES]; NV]; KC.min(k) * n.div_ceil(width)];
    for pc in (0..k).step_by(KC) {
        let steps = pc..k.min(pc + KC);
        for (panel, j) in packed.chunks_exact_mut(steps.len()).zip((0..n).step_by(width)) {
            for (row, p) in panel.iter_mut().zip(steps.clone()) {
                let from = &b[p * n..][j..n.min(j + width)];
                let to = row.as_flattened_mut();
                to[..from.len()].copy_from_slice(from);
                to[from.len()..].fill(0.0);
            }
        }
        for i in (0..m).step_by(MR) {
            let height = MR.min(m - i);
            let rows: [&[f32]; MR] = std::array::from_fn(|r| &a[(i + r.min(height - 1)) * k..][steps.clone()]);
            for (panel, j) in packed.chunks_exact(steps.len()).zip((0..n).step_by(width)) {
                let columns = j..n.min(j + width);
                let mut tile = [[[0.0; LANES]; NV]; MR];
                for r in 0..height {
                    tile[r].as_flattened_mut()[..columns.len()].copy_from_slice(&c[(i + r) * n..][columns.clone()]);
                }
                multiply_tile(isa, rows, panel, &mut tile);
                for r in 0..height {
                    c[(i + r) * n..][columns.clone()].copy_from_slice(&tile[r].as_flattened()[..columns.len()]);
                }
            }
        }
    }
}

/// The tile gains the product of six rows of A and a panel.
#[inline(always)]
fn multiply_tile<I: Isa, const NV: usize>(
    isa: I,
    rows: [&[f32]; MR],
    panel: &[[[f32; LANES]; NV]],
    tile: &mut [[[f32; LANES]; NV]; MR],
) {
    let rows = rows.map(|row| &row[..panel.len()]);
    let mut acc = [[isa.splat(0.0); NV]; MR];
    for r in 0..MR {
        for v in 0..NV {
            acc[r][v] = isa.load(&tile[r][v]);
        }
    }
    for (p, b) in panel.iter().enumerate() {
        for r in 0..MR {
            let x = isa.splat(rows[r][p]);
            for v in 0..NV {
                acc[r][v] = isa.fma(x, isa.load(&b[v]), acc[r][v]);
            }
        }
    }
    for r in 0..MR {
        for v in 0..NV {
            isa.store(acc[r][v], &mut tile[r][v]);
        }
    }
}
