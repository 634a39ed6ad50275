//! The outer three loops, and the threads.
//!
//! ```text
//! chunks of rows or of columns of C                            one a thread (never k: a chain is not split)
//!   for jc in 0..n by NC         loop 5    columns: a block of B that stays in L2
//!     for pc in 0..k by KC       loop 4    k: in order, one block after the other
//!       pack B[pc.., jc..]
//!       macrokernel              loops 3 to 1: rows of A, panels of B, the tile's steps of k
//! ```
//!
//! The first block of k starts its chains from β·C, the later ones from what the block before stored in C. Only the
//! last applies the epilogue.
//!
//! A thread packs what it reads. So no thread waits for another inside of a product; where the threads share the rows,
//! each packs all of B, which a plan does only if B is small or A's rows are packed too.

use super::Rhs;
use super::blocking::{MOST_OF_B, MOST_STEPS, column_blocks, step_blocks};
use super::epilogue::{Epilogue, Output};
use super::macrokernel::{Block, MOST_ROWS_PACKED, Operands};
use super::packed_b::pack_block;
use super::plan::{Plan, SourceOfB, Split};
use crate::array::{View, ViewMut};
use crate::isa::LANES;
use crate::machine::scratch::{Arena, bytes_of, with_scratch};
use crate::threads::{parallel, share};
use std::ops::Range;

/// Bytes of scratch that a thread needs for a product of this shape, on any machine: a block of B and rows of A.
pub(crate) fn scratch_bytes([m, k, n]: [usize; 3]) -> usize {
    let block = k.saturating_mul(n.next_multiple_of(LANES)).min(MOST_OF_B);
    let rows = m.min(MOST_ROWS_PACKED).saturating_mul(k.min(MOST_STEPS));
    bytes_of::<f32>(block) + bytes_of::<f32>(rows)
}

impl Plan {
    /// Computes C ← epilogue(A·B + β·C), for a C whose columns are adjacent. A warm call does not allocate.
    ///
    /// # Panics
    /// If the plan is of other shapes or strides, or what the epilogue reads does not fit C: the front door
    /// ([`crate::matmul`]) checks that, and returns errors.
    pub(crate) fn run(
        &self,
        a: View<'_, f32, 2>,
        b: Rhs<'_>,
        beta: f32,
        c: ViewMut<'_, f32, 2>,
        epilogue: Epilogue<'_>,
    ) {
        let [m, k, n] = self.shape;
        let operands = self.operands(a, b, beta, c, epilogue);
        let room = if matches!(self.b, SourceOfB::InPlace { .. }) { 0 } else { scratch_bytes([m, k, n]) };
        let band = |rows: Range<usize>, columns: Range<usize>| match room {
            0 => self.band(&operands, rows, columns, None),
            room => with_scratch(room, |arena| self.band(&operands, rows, columns, Some(arena))),
        };
        match self.split {
            Split::Serial => band(0..m, 0..n),
            Split::Rows { chunks } => parallel(self.exec.threads(), chunks, &|at| band(share(m, 1, at, chunks), 0..n)),
            Split::Columns { chunks } => {
                parallel(self.exec.threads(), chunks, &|at| band(0..m, share(n, LANES, at, chunks)));
            }
        }
    }

    /// The same on this thread, with scratch of [`scratch_bytes`] that the caller has.
    pub(crate) fn run_serial(
        &self,
        a: View<'_, f32, 2>,
        b: Rhs<'_>,
        c: ViewMut<'_, f32, 2>,
        epilogue: Epilogue<'_>,
        arena: Arena<'_>,
    ) {
        let [m, _, n] = self.shape;
        self.band(&self.operands(a, b, 0.0, c, epilogue), 0..m, 0..n, Some(arena));
    }

    /// The operands as pointers, once they are checked against the plan.
    fn operands<'a>(
        &self,
        a: View<'a, f32, 2>,
        b: Rhs<'a>,
        beta: f32,
        mut c: ViewMut<'a, f32, 2>,
        epilogue: Epilogue<'a>,
    ) -> Operands<'a> {
        assert!(self.is_for(a, b), "the plan {self} is run with an A of {:?} and another B", a.shape());
        let ([m, _, n], [c_row, c_column]) = (self.shape, c.strides());
        assert!(c.shape() == [m, n] && (c_column == 1 || n == 1), "C is {:?}, {:?} apart", c.shape(), c.strides());
        assert!(epilogue.check([m, n]).is_ok(), "what the epilogue reads does not fit a C of {m}x{n}");
        let output = Output::new(c.data_mut().as_mut_ptr(), c_row, epilogue);
        let (b, b_len, packed) = match b {
            Rhs::Floats(b) => (b.data().as_ptr(), b.data().len(), None),
            Rhs::Packed(b) => (b.panels().as_ptr(), b.panels().len(), Some(b)),
        };
        Operands { a: a.data().as_ptr(), b, b_len, packed, beta, output }
    }

    /// Some rows and columns of C, on this thread.
    fn band(&self, operands: &Operands<'_>, rows: Range<usize>, columns: Range<usize>, arena: Option<Arena<'_>>) {
        let [_, k, _] = self.shape;
        if rows.is_empty() || columns.is_empty() {
            return;
        }
        let (mut panels, mut packed_rows) = (&mut [][..], &mut [][..]);
        if let Some(mut arena) = arena {
            if matches!(self.b, SourceOfB::Pack { .. }) {
                panels = arena.take(self.kc * self.nc.min(columns.len()).next_multiple_of(LANES));
            }
            if self.packs_a {
                packed_rows = arena.take(rows.len().min(MOST_ROWS_PACKED) * self.kc);
            }
        }
        for columns in column_blocks(columns, self.nc) {
            for steps in step_blocks(k, self.kc) {
                let b = match self.b {
                    SourceOfB::InPlace { .. } => operands.b,
                    SourceOfB::Packed => {
                        let packed = operands.packed.expect("`is_for` has checked what B is");
                        packed.panels()[packed.offset(&columns, steps.start)..].as_ptr()
                    }
                    SourceOfB::Pack { strides: [row, column] } => {
                        let b = operands.b.wrapping_add(steps.start * row + columns.start * column);
                        // SAFETY: the block is inside the k×n of B, which its view was checked to reach.
                        unsafe { pack_block(self.exec, b, [row, column], [steps.len(), columns.len()], panels) }
                        panels.as_ptr()
                    }
                };
                Block::new(self, operands, columns.clone(), steps, b).multiply(rows.clone(), packed_rows);
            }
        }
    }
}
