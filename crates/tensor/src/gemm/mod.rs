//! The dense matrix product.
//!
//! ```text
//! C (m×n) ← epilogue( A (m×k) · B (k×n) + β·C )
//! ```
//!
//! **The same bits everywhere.** Each element of C is one chain over k in ascending order,
//!
//! ```text
//! c ← β·C[i,j]   (0 if β = 0: C is not read)
//! for p in 0..k:  c ← fma(A[i,p], B[p,j], c)      rounded once a step
//! C[i,j] ← epilogue(c)
//! ```
//!
//! so the result does not depend on the ISA, on block sizes or on threads. Between two blocks of k an element is stored
//! in C and loaded again, which is exact. Threads split m and n, never k. The error of an element is at most
//! (k + 2)·2⁻²⁴ times the same sum over absolute values.
//!
//! **Five loops**, and the micro-kernel's loop over k in the innermost. Read the [`ladder`] first: its rungs are these
//! ideas one by one.
//!
//! ```text
//!   5  jc  columns by NC       ┌─ threads take chunks of columns or of rows ─┐      loops.rs
//!   4  pc  k by KC             │  in order: a chain is not split             │      loops.rs
//!          pack B[pc.., jc..]  │  KC×NC floats, in L2                        │      pack.rs
//!   3  ·   the thread's rows   └─────────────────────────────────────────────┘
//!   2  ir  rows by MR             MR×KC floats of A, in L1                          macrokernel.rs
//!   1  jr  panels of B            KC×NR floats, streamed from L2, or in L1          macrokernel.rs
//!   0  p   steps of k             C's MR×NR tile, in registers                      microkernel.rs
//! ```
//!
//! | file | what a reader finds |
//! |---|---|
//! | [`ladder`] | the product from three loops up, one idea a file |
//! | `microkernel.rs` | the register tile: equation, drawing, register budget, the loop |
//! | `row.rs`, `epilogue.rs` | a row of a tile; how a tile begins and ends |
//! | `kernels.rs` | the table of tiles, one row an ISA |
//! | `blocking.rs`, `constants.rs` | KC, NC and the panels, from the sizes of the caches; what was measured |
//! | `plan.rs` | what is packed, which loop is shared: a value, made once and run often |
//! | `pack.rs`, `packed_b.rs` | panels of B, rows of a transposed A; a B that is kept packed |
//! | `loops.rs`, `macrokernel.rs` | the outer three loops; the inner two |
//!
//! This room knows nothing of zeros, bytes or data. Its callers come through the front door, [`crate::matmul`], which
//! has α, any strides of C, and the errors.

mod blocking;
mod constants;
mod epilogue;
mod kernels;
pub mod ladder;
mod loops;
mod macrokernel;
mod microkernel;
mod pack;
mod packed_b;
mod plan;
mod row;

pub use epilogue::Epilogue;
pub(crate) use epilogue::Output;
pub use kernels::tile_names;
pub(crate) use loops::scratch_bytes;
pub(crate) use pack::PackPanel;
pub use packed_b::PackedB;
pub use plan::Plan;
pub(crate) use plan::threads_for;
pub(crate) use row::{HALF_LANES, Row, tail, width};

use crate::array::View;

/// The operand B.
#[derive(Clone, Copy, Debug)]
pub enum Rhs<'a> {
    /// k×n floats, any strides.
    Floats(View<'a, f32, 2>),
    /// A B that was packed before.
    Packed(&'a PackedB),
}

impl<'a> From<View<'a, f32, 2>> for Rhs<'a> {
    fn from(b: View<'a, f32, 2>) -> Self {
        Self::Floats(b)
    }
}

impl<'a> From<&'a PackedB> for Rhs<'a> {
    fn from(b: &'a PackedB) -> Self {
        Self::Packed(b)
    }
}

impl Rhs<'_> {
    /// k and n.
    pub fn shape(&self) -> [usize; 2] {
        match self {
            Self::Floats(b) => b.shape(),
            Self::Packed(b) => b.shape(),
        }
    }
}
