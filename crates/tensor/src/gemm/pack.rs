//! Packing: copies of B and of the rows of A in the order in which the micro-kernel reads them.
//!
//! ```text
//! B, a block of kc rows                panels of NV vectors, one after the other, each row-major
//!  ┌───────────┬───────────┬─────┐      ┌───────────┐┌───────────┐┌─────┬·····┐
//!  │ panel 0   │ panel 1   │ 2   │      │ p = 0     ││ p = 0     ││     : 0   :
//!  │           │           │     │  ──▶ │ p = 1     ││ p = 1     ││     : 0   :   the last vector
//!  │           │           │     │      │ …         ││ …         ││     : 0   :   is filled with zeros
//!  └───────────┴───────────┴─────┘      └───────────┘└───────────┘└─────┴·····┘
//!
//! plain:  panel[p][j] = B[p, j]
//! ```
//!
//! There are three ways to pack a panel of B, by its strides:
//!
//! 1. *Adjacent columns*: a row after the other is copied. A row some steps ahead is prefetched, because each row of a
//!    large B lies on another page.
//! 2. *Adjacent rows* (a transposed matrix, as in dX = dY·Wᵀ): blocks of 16×16 are transposed in registers, the ragged
//!    ones at the edges too.
//! 3. *Neither*: element by element.
//!
//! The rows of A are packed only where A is transposed and large. Each step of k of such an A lies in lines of its own,
//! far apart, of which a tile uses a few floats. Several tiles' rows are packed together, so that each line is fetched
//! once.

use crate::isa::{Isa, LANES, Op};

/// Rows of B, or steps of A, that are prefetched ahead of the copy.
const AHEAD: usize = 8;

/// One panel of B to pack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackPanel {
    /// B[0, 0] of the panel, and its strides.
    pub b: *const f32,
    pub strides: [usize; 2],
    /// Rows, and columns (the last vector may be partial).
    pub k: usize,
    pub columns: usize,
    /// Where the panel goes: `k` rows of `width` floats, at least `columns`, a multiple of half a vector.
    pub to: *mut f32,
    pub width: usize,
}

impl PackPanel {
    /// The kernel that packs it.
    ///
    /// # Safety
    /// - `b` is readable at `p·strides[0] + j·strides[1]` for p < k, j < columns;
    /// - `to` is writable for `k · width` floats that overlap nothing read here, and nobody else touches them.
    pub unsafe fn op(self) -> Pack {
        Pack(self)
    }
}

/// Packs a panel.
pub(crate) struct Pack(PackPanel);

impl Op for Pack {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        // SAFETY: as `op` was promised.
        unsafe {
            match self.0.strides {
                [_, 1] => copy_rows(isa, self.0),
                [1, _] => transpose(isa, self.0),
                _ => gather(self.0),
            }
        }
    }
}

/// Adjacent columns.
///
/// # Safety
/// As [`PackPanel::op`].
#[inline(always)]
unsafe fn copy_rows<I: Isa>(isa: I, PackPanel { b, strides: [stride, _], k, columns, to, width }: PackPanel) {
    for p in 0..k {
        // SAFETY: row p < k of both; vectors lie inside the columns, and the last one is read and written in part.
        unsafe {
            let (from, to) = (b.add(p * stride), to.add(p * width));
            for j in (0..columns).step_by(LANES) {
                isa.prefetch(from.wrapping_add(AHEAD * stride + j));
                if j + LANES <= columns {
                    isa.store_ptr(isa.load_ptr(from.add(j)), to.add(j));
                } else {
                    isa.store_ptr_part(isa.load_ptr_part(from.add(j), columns - j), to.add(j), LANES.min(width - j));
                }
            }
            for j in (columns.next_multiple_of(LANES)..width).step_by(LANES) {
                isa.store_ptr_part(isa.splat(0.0), to.add(j), LANES.min(width - j));
            }
        }
    }
}

/// Adjacent rows.
///
/// # Safety
/// As [`PackPanel::op`].
#[inline(always)]
unsafe fn transpose<I: Isa>(isa: I, PackPanel { b, strides: [_, stride], k, columns, to, width }: PackPanel) {
    for j in (0..width).step_by(LANES) {
        // Columns that are there, and columns that are written.
        let (count, stored) = (LANES.min(columns.saturating_sub(j)), LANES.min(width - j));
        for p in (0..k).step_by(LANES) {
            let rows = LANES.min(k - p);
            // SAFETY: columns j..j + count and rows p..p + rows are there; the others are zeros.
            unsafe {
                let from = b.wrapping_add(j * stride + p);
                for l in 0..count {
                    isa.prefetch(from.wrapping_add((l + LANES) * stride));
                }
                let block = if rows == LANES && count == LANES {
                    isa.load_transposed(from, stride)
                } else {
                    let mut block = [isa.splat(0.0); LANES];
                    for (l, row) in block.iter_mut().enumerate().take(count) {
                        *row = isa.load_ptr_part(from.add(l * stride), rows);
                    }
                    isa.transpose(block)
                };
                for (i, row) in block.into_iter().enumerate().take(rows) {
                    isa.store_ptr_part(row, to.add((p + i) * width + j), stored);
                }
            }
        }
    }
}

/// Any strides.
///
/// # Safety
/// As [`PackPanel::op`].
unsafe fn gather(PackPanel { b, strides: [row, column], k, columns, to, width }: PackPanel) {
    for p in 0..k {
        for j in 0..width {
            // SAFETY: element (p, j) of both, as promised.
            unsafe { *to.add(p * width + j) = if j < columns { *b.add(p * row + j * column) } else { 0.0 } }
        }
    }
}

/// Rows of a transposed A, of some tiles that follow one another: `to[start·k + p·rows + i] = A[start + i, p]` for each
/// tile of `rows` rows from `start` on.
pub(super) struct PackRows<'a> {
    /// A[0, 0] of the first tile, and its stride from step to step; rows are adjacent.
    pub a: *const f32,
    pub a_step: usize,
    pub k: usize,
    /// The first row of each tile, and behind them the end of the last.
    pub tiles: &'a [usize],
    pub to: *mut f32,
}

impl<'a> PackRows<'a> {
    /// The kernel that packs them.
    ///
    /// # Safety
    /// - `a` is readable at `p·a_step + i` for p < k and i below the end of the last tile;
    /// - `to` is writable for k floats a row, which overlap nothing read here, and nobody else touches them.
    pub unsafe fn op(self) -> PackTiles<'a> {
        PackTiles(self)
    }
}

/// Packs rows.
pub(super) struct PackTiles<'a>(PackRows<'a>);

impl Op for PackTiles<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let PackRows { a, a_step, k, tiles, to } = self.0;
        let end = tiles[tiles.len() - 1];
        for p in 0..k {
            let step = a.wrapping_add(p * a_step);
            for line in (0..end).step_by(LANES) {
                isa.prefetch(step.wrapping_add(AHEAD * a_step + line));
            }
            for tile in tiles.windows(2) {
                let (start, rows) = (tile[0], tile[1] - tile[0]);
                for from in (0..rows).step_by(LANES) {
                    let count = LANES.min(rows - from);
                    // SAFETY: step p < k and rows from..from + count of the tile, as `op` was promised.
                    unsafe {
                        let x = isa.load_ptr_part(step.add(start + from), count);
                        isa.store_ptr_part(x, to.add(start * k + p * rows + from), count);
                    }
                }
            }
        }
    }
}
