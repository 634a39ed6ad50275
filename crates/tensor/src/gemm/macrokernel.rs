//! The inner two loops: one block of B times rows of A, tile by tile.
//!
//! ```text
//! rows first (a large B or C)                  panels first (a panel that stays in L1, a C that stays in L2)
//!   for ir in rows by MR         loop 2          for jr in panels of B         loop 2
//!     for jr in panels of B        loop 1          for ir in rows by MR          loop 1
//!       tile: C[ir.., jr..] += A[ir.., ..]·panel     tile: the same
//!
//!   MR rows of A stay in L1, panels stream by      the panel stays in L1, rows of A stream by
//! ```
//!
//! The textbook has panels first, packs A, and keeps a panel of B in L1. Here the rows of A stay in L1 instead, and they
//! need no packing: a broadcast reads one float wherever it stands. It is panels first only where a panel fits L1.
//!
//! Rows are shared out evenly over tiles, so there is no thin tile at the end: 100 rows of at most 6 are 15 tiles of 6
//! and 2 of 5.

use super::blocking::{PanelGroup, panel_groups};
use super::epilogue::Output;
use super::kernels::{Kernel, Tiles};
use super::microkernel::Tile;
use super::pack::PackRows;
use super::packed_b::PackedB;
use super::plan::{Plan, SourceOfB};
use super::row::{HALF_LANES, tail};
use crate::isa::LANES;
use std::ops::Range;

/// Tiles whose rows of A are packed together: the lines of a step hold the rows of several tiles.
const TILES_PACKED: usize = 8;

/// Rows of A that are packed together, at most: tiles of 20 rows are the tallest.
pub(super) const MOST_ROWS_PACKED: usize = 20 * TILES_PACKED;

/// The operands as pointers, for all threads.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a> {
    pub a: *const f32,
    /// B[0, 0], and how many floats are readable from there on; if B came packed, its panels instead.
    pub b: *const f32,
    pub b_len: usize,
    pub packed: Option<&'a PackedB>,
    pub beta: f32,
    pub output: Output,
}

// SAFETY: A and B are only read; the threads write disjoint rows or columns of C.
unsafe impl Sync for Operands<'_> {}

/// A block of B, and what the tiles that read it have in common.
pub(super) struct Block<'a> {
    plan: &'a Plan,
    operands: &'a Operands<'a>,
    tiles: &'static Tiles,
    columns: Range<usize>,
    steps: Range<usize>,
    /// The panels, or B[0, 0] where B is read in place.
    b: *const f32,
}

/// A panel of the block, ready for the tiles that read it.
struct Panel {
    kernels: &'static [Kernel],
    /// Row 0 of A and of C.
    a: *const f32,
    output: Output,
    /// What the kernel is given: changed from call to call, for a copy takes as long as some steps.
    tile: Tile,
}

impl<'a> Block<'a> {
    pub fn new(
        plan: &'a Plan,
        operands: &'a Operands<'a>,
        columns: Range<usize>,
        steps: Range<usize>,
        b: *const f32,
    ) -> Self {
        Self { plan, operands, tiles: Tiles::of(plan.exec.isa()), columns, steps, b }
    }

    /// Multiplies `rows` of A with the block. `packed_rows` is room for rows of A, if they are packed.
    pub fn multiply(&self, rows: Range<usize>, packed_rows: &mut [f32]) {
        let [_, _, n] = self.plan.shape;
        let all = self.columns.len() == n && self.plan.nc == n;
        let groups = if all { self.plan.groups } else { panel_groups(self.tiles, self.columns.len()) };
        for group in groups.iter().filter(|group| group.panels > 0) {
            if self.plan.panels_first || (group.panels == 1 && !self.plan.packs_a) {
                self.panels_first(group, rows.clone());
            } else {
                self.rows_first(group, rows.clone(), packed_rows);
            }
        }
    }

    /// For each panel, all rows: the taller tiles in one call, the others in a second.
    fn panels_first(&self, group: &PanelGroup, rows: Range<usize>) {
        let cut = Heights::new(rows.len(), self.tiles.heights(group.halves).len());
        for at in 0..group.panels {
            let mut panel = self.panel(group, at);
            panel.multiply(rows.start, cut.height, cut.taller);
            panel.multiply(rows.start + cut.taller * cut.height, cut.height - 1, cut.tiles - cut.taller);
        }
    }

    /// For each tile of rows, all panels of the group.
    fn rows_first(&self, group: &PanelGroup, rows: Range<usize>, packed_rows: &mut [f32]) {
        let cut = Heights::new(rows.len(), self.tiles.heights(group.halves).len());
        let k = self.steps.len();
        for first in (0..cut.tiles).step_by(TILES_PACKED) {
            let last = cut.tiles.min(first + TILES_PACKED);
            let base = cut.first_row(first);
            if self.plan.packs_a {
                let mut starts = [0; TILES_PACKED + 1];
                for (start, tile) in starts.iter_mut().zip(first..=last) {
                    *start = cut.first_row(tile) - base;
                }
                self.pack_rows(rows.start + base, &starts[..=last - first], packed_rows);
            }
            for tile in first..last {
                let (row, next) = (cut.first_row(tile), cut.first_row(tile + 1));
                for at in 0..group.panels {
                    let mut panel = self.panel(group, at);
                    if self.plan.packs_a {
                        // The packed rows begin with the first tile's, step after step.
                        let a = packed_rows.as_ptr().wrapping_add((row - base) * k);
                        panel.a = a.wrapping_sub(rows.start + row);
                        [panel.tile.a_row, panel.tile.a_step] = [1, next - row];
                    }
                    panel.multiply(rows.start + row, next - row, 1);
                }
            }
        }
    }

    /// Packs some tiles' rows of a transposed A, from `row` on. `starts` are their first rows, counted from there.
    fn pack_rows(&self, row: usize, starts: &[usize], to: &mut [f32]) {
        let ([a_row, a_step], k) = (self.plan.a_strides, self.steps.len());
        assert!(a_row == 1, "rows of A are packed only where they are adjacent, and they are {a_row} apart");
        assert!(k * starts[starts.len() - 1] <= to.len(), "{starts:?} of {k} steps in {} floats", to.len());
        let a = self.operands.a.wrapping_add(self.steps.start * a_step + row);
        let rows = PackRows { a, a_step, k, tiles: starts, to: to.as_mut_ptr() };
        // SAFETY: the rows and steps are inside m and k, which the view of A was checked to reach; the room was just
        // checked, and is this thread's own.
        self.plan.exec.run(unsafe { rows.op() });
    }

    /// Panel `at` of a group.
    #[inline]
    fn panel(&self, group: &PanelGroup, at: usize) -> Panel {
        let (plan, operands, k) = (self.plan, self.operands, self.steps.len());
        let from = group.from + at * group.halves * HALF_LANES;
        let columns = (group.halves * HALF_LANES).min(self.columns.len() - from);
        let j = self.columns.start + from;
        let (b, b_step, whole) = match plan.b {
            SourceOfB::InPlace { row } => {
                let start = self.steps.start * row + j;
                (self.b.wrapping_add(start), row, self.whole_rows(start, row, group.halves * HALF_LANES, columns))
            }
            SourceOfB::Pack { .. } | SourceOfB::Packed => {
                (self.b.wrapping_add(from * k), columns.next_multiple_of(LANES), k)
            }
        };
        let (first, last) = (self.steps.start == 0, self.steps.end == plan.shape[1]);
        let output = operands.output.from(0, j);
        let tile = Tile {
            tiles: 1,
            k,
            whole,
            a: operands.a.wrapping_add(self.steps.start * plan.a_strides[1]),
            a_row: plan.a_strides[0],
            a_step: plan.a_strides[1],
            b,
            b_step,
            far: plan.far,
            tail: tail(columns, group.halves),
            beta: if first { operands.beta } else { 1.0 },
            prefetch_c: !matches!(plan.b, SourceOfB::InPlace { .. }),
            output: if last { output } else { output.storing() },
        };
        Panel { kernels: self.tiles.heights(group.halves), a: tile.a, output: tile.output, tile }
    }

    /// The rows of a B in place whose `width` columns end inside B's memory, from element `start` on: those may be read
    /// in whole vectors.
    fn whole_rows(&self, start: usize, row: usize, width: usize, columns: usize) -> usize {
        let k = self.steps.len();
        match self.operands.b_len.checked_sub(start + width) {
            _ if columns == width => k,
            None => 0,
            Some(_) if row == 0 => k,
            Some(room) => k.min(room / row + 1),
        }
    }
}

impl Panel {
    /// Some tiles of `height` rows, one below the other, from a row of A and C on.
    #[inline]
    fn multiply(&mut self, row: usize, height: usize, tiles: usize) {
        if tiles == 0 {
            return;
        }
        self.tile.a = self.a.wrapping_add(row * self.tile.a_row);
        self.tile.output = self.output.from(row, 0);
        self.tile.tiles = tiles;
        // SAFETY: the rows, the panel's columns and the block's steps are inside m, n and k, which the views of A, B and
        // C were checked to reach (`Plan::operands`); packed rows and panels were sized by `band`. `whole` counts the
        // rows of B that end inside its memory. No other thread has these rows and columns of C. The kernels are those
        // of an ISA whose token the plan's `Exec` holds, so the CPU has its instructions.
        unsafe { self.kernels[height - 1](&mut self.tile) }
    }
}

/// Rows cut into tiles of at most two heights: `taller` of `height` rows, and then the others, a row shorter.
struct Heights {
    tiles: usize,
    height: usize,
    taller: usize,
}

impl Heights {
    /// `rows` cut into as few tiles as a greatest height allows.
    fn new(rows: usize, tallest: usize) -> Self {
        if rows <= tallest {
            return Self { tiles: 1, height: rows, taller: 1 };
        }
        let tiles = rows.div_ceil(tallest);
        match (rows / tiles, rows % tiles) {
            (height, 0) => Self { tiles, height, taller: tiles },
            (height, taller) => Self { tiles, height: height + 1, taller },
        }
    }

    /// The first row of a tile; of the tile behind the last, the number of rows.
    fn first_row(&self, tile: usize) -> usize {
        tile * self.height - tile.saturating_sub(self.taller)
    }
}
