//! The loops around the kernel.
//!
//! ```text
//! chunks of rows or of columns of C                   one a thread (never k)
//!   for each group of rows of A                          its bitmap: found once           bitmap.rs
//!     for each panel of columns of B                       packed, and looked at            panel.rs
//!       for each block of k                                  its part of the panel is in L1
//!         the kernel: all rows of the group                                                   kernel.rs
//! ```

use super::bitmap::{MOST_ROWS, MOST_STEPS, Rows, all, blocks, row_of_bytes};
use super::kernel::Block;
use super::kernels::{Kernels, WIDEST};
use super::{Group, Panel};
use crate::array::View;
use crate::exec::Exec;
use crate::gemm::{HALF_LANES, Output, tail, threads_for};
use crate::isa::LANES;
use crate::machine::scratch::{bytes_of, with_scratch};
use crate::threads::{parallel, share};
use crate::vec::Lhs;
use std::ops::Range;

/// How a product is cut into groups, panels and blocks.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    kernels: &'static Kernels,
    /// Rows of a group, columns of a panel and steps of a block, at most.
    rows: usize,
    columns: usize,
    pub steps: usize,
}

impl Cut {
    /// The cut of a product of A and n columns of B: a block of a panel stays in L1, and what a group's rows need
    /// (their elements and their accumulators) in L2.
    pub fn new(exec: Exec, a: Lhs<'_>, n: usize) -> Self {
        let ([_, k], caches, kernels) = (a.shape(), exec.caches(), Kernels::of(exec.isa()));
        let columns = kernels.width(kernels.panels(0..n).map(|panel| panel.len()).max().unwrap_or(1));
        let row_of_panel = columns * size_of::<f32>();
        let most = (caches.l1 / 8 * 7 / row_of_panel / LANES * LANES).clamp(LANES, MOST_STEPS);
        let element = if matches!(a, Lhs::Floats(_)) { size_of::<f32>() } else { 1 };
        let rows = (caches.l2 / 2 / (k * element + row_of_panel)).clamp(LANES, MOST_ROWS) / LANES * LANES;
        // Even blocks, of whole vectors.
        let steps = k.div_ceil(k.div_ceil(most).max(1)).next_multiple_of(LANES);
        Self { kernels, rows, columns, steps }
    }

    /// The groups of rows.
    pub fn groups(self, rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        rows.clone().step_by(self.rows).map(move |from| from..rows.end.min(from + self.rows))
    }

    /// The panels of columns.
    pub fn panels(self, columns: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        self.kernels.panels(columns)
    }
}

/// Bytes of scratch that a thread needs for a product of this shape, on any machine.
pub(crate) fn scratch_bytes([m, k, _]: [usize; 3]) -> usize {
    let rows = m.min(MOST_ROWS);
    let copy = bytes_of::<f32>(rows * k.next_multiple_of(LANES)).max(rows.next_multiple_of(LANES) * row_of_bytes(k));
    bytes_of::<u128>(rows * k.div_ceil(LANES))
        + copy
        + bytes_of::<*const f32>(rows)
        + bytes_of::<f32>(k * WIDEST)
        + bytes_of::<f32>(rows * WIDEST)
}

/// Computes C ← epilogue(A·B), without the steps at which A is 0, for an A and an n of which [`super::pays`] said so.
pub(crate) fn multiply(exec: Exec, a: Lhs<'_>, b: View<'_, f32, 2>, output: Output) {
    let ([m, k], n, cut) = (a.shape(), b.cols(), Cut::new(exec, a, b.cols()));
    let threads = threads_for(exec, [m, k, n]);
    // Captured whole, for it is the whole that is `Sync`.
    let output = &output;
    let band = |rows: Range<usize>, columns: Range<usize>| {
        with_scratch(scratch_bytes([m, k, n]), |mut arena| {
            for rows in cut.groups(rows.clone()) {
                let mut arena = arena.reborrow();
                let group = Group::new(exec, a, rows.clone(), cut.steps, &mut arena);
                for columns in cut.panels(columns.clone()) {
                    let mut arena = arena.reborrow();
                    let panel = Panel::pack(exec, b, columns.clone(), &group, &mut arena);
                    let accumulators = arena.take(rows.len() * panel.width);
                    let output = output.from(rows.start, columns.start);
                    // SAFETY: the rows and columns are inside C, which the caller has checked; no other thread has them.
                    unsafe { multiply_rows(exec, &group, 0..rows.len(), &panel, accumulators, output) }
                }
            }
        });
    };
    if threads == 1 {
        band(0..m, 0..n);
    } else if n >= threads * cut.columns {
        parallel(threads, threads, &|at| band(0..m, share(n, cut.kernels.register, at, threads)));
    } else {
        parallel(threads, threads, &|at| band(share(m, LANES, at, threads), 0..n));
    }
}

/// Rows `rows` of a group, times a panel.
///
/// # Safety
/// `output` is as [`Output::end`] needs it, for these rows and the panel's columns.
///
/// # Panics
/// If there are too few accumulators, or the rows are not there.
pub(crate) unsafe fn multiply_rows(
    exec: Exec,
    group: &Group<'_>,
    rows: Range<usize>,
    panel: &Panel<'_>,
    accumulators: &mut [f32],
    output: Output,
) {
    let (kernels, width) = (Kernels::of(exec.isa()), panel.width);
    assert!(rows.len() * width <= accumulators.len(), "{rows:?} of {width} floats in {}", accumulators.len());
    let (index, tail) = (kernels.index(width), tail(panel.columns.len(), width / HALF_LANES));
    let count = group.k.div_ceil(group.block);
    for (at, steps) in blocks(group.k, group.block).enumerate() {
        let block = Block {
            first_step: steps.start,
            bits: &group.bits[at * group.count..][rows.clone()],
            every: if at >= panel.exact_from { all(steps.len()) } else { 0 },
            panel: panel.floats[steps.start * width..steps.end * width].as_ptr(),
            accumulators: accumulators.as_mut_ptr(),
            begins: at == 0,
            ends: (at + 1 == count).then_some((output, tail)),
        };
        // SAFETY: the group's rows have all steps of the block, and its bits are below the block's length; the panel was
        // just sliced, and there are accumulators, as asserted; the output is the caller's promise. The kernels are
        // those of an ISA whose token `exec` holds.
        unsafe {
            match group.rows {
                Rows::Floats(starts) => kernels.floats[index](&starts[rows.clone()], &block),
                Rows::Bytes(starts) => kernels.bytes[index](&starts[rows.clone()], &block),
            }
        }
    }
}
