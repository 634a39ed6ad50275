//! Products that skip the zeros of A.
//!
//! ```text
//! plain:  for i in 0..m:  for p in 0..k where A[i, p] ≠ 0:  for j in 0..n:  C[i, j] += A[i, p] · B[p, j]
//!
//!        A                bitmap of A           B, a panel of it, in L1          C
//!   ┌─────────────┐        0 0 0 1 1 0 1       ┌────────────────────────┐   ┌─────────────┐
//!   │ · · · 3 9 · 7 │ ──▶  find the next bit ──▶ │ row p: 7 to 13 registers │ ──▶ │ a row of C, in │
//!   │ 5 · · 1 8 4 · │      1 0 0 1 1 1 0       │                        │   │ 7 to 13 registers │
//!   └─────────────┘                            └────────────────────────┘   └─────────────┘
//! ```
//!
//! Half of what a ReLU puts out is 0, and four of five pixels of a digit. The dense product spends a multiply-add on
//! each. Here a row of C is computed at a time, and a step of k whose element of A is 0 is not done.
//!
//! 1. *The encoding is a bitmap*: one bit an element of A, 128 steps a word. To find the bits is a comparison of
//!    sixteen floats, or of sixty-four bytes, at a time. The elements stay where they are. Compressed rows (CSR) would
//!    copy each element and write its index.
//! 2. *A row of C in registers.* Each element of A that is not 0 takes one broadcast, and a load and a multiply-add for
//!    each register of the row: as many as the dense product needs for an element. So the time falls with the density.
//! 3. *B in panels that stay in L1*, of at most thirteen registers and a block of k. Between two blocks of k the row of
//!    C waits in scratch.
//! 4. *A in rows.* A transposed A (dW = Xᵀ·dY) is transposed into scratch first, floats and bytes alike, so that there
//!    is one kernel.
//!
//! | file | what it holds |
//! |---|---|
//! | `guard.rs` | when skipping changes no bit: the proof and the one guard |
//! | `bitmap.rs` | a group of rows of A and their bits |
//! | `panel.rs` | a panel of B, packed, and whether it allows to skip |
//! | `kernel.rs` | the kernel: rows of C |
//! | `kernels.rs` | the table, one row an ISA, with the density up to which it pays |
//! | `driver.rs` | groups of rows, panels of columns, threads |
//!
//! The room has one question, [`pays`], and one product, [`multiply`]; a product that is fed to an update takes the
//! parts of it ([`Group`], [`Panel`], [`multiply_rows`]).

mod bitmap;
mod driver;
mod guard;
mod kernel;
mod kernels;
mod panel;

pub(crate) use bitmap::Group;
pub(crate) use driver::{Cut, multiply, multiply_rows, scratch_bytes};
pub(crate) use panel::Panel;

use crate::exec::Exec;
use crate::gemm;
use crate::machine::scratch::with_scratch;
use crate::vec::Lhs;
use kernels::Kernels;

/// Rows of C, and steps of k, below which nobody looks for zeros: the bitmap and the panels would cost more than the
/// product.
const FEWEST_ROWS: usize = 16;
const FEWEST_STEPS: usize = 16;

/// Rows that are looked at to estimate the density.
const SAMPLE: usize = 8;

/// Whether to skip the zeros of A pays in a product with a B of n columns: whether the kernels have rows of C that wide,
/// and the density of A, estimated from some of its rows, is low enough.
///
/// Where it may pay, a thread makes room for either way, whichever this product takes.
pub(crate) fn pays(exec: Exec, a: Lhs<'_>, n: usize) -> bool {
    let ([m, k], kernels) = (a.shape(), Kernels::of(exec.isa()));
    if m < FEWEST_ROWS || k < FEWEST_STEPS || n < kernels.narrowest() {
        return false;
    }
    let bytes = scratch_bytes([m, k, n]).max(gemm::scratch_bytes([m, k, n]));
    let pays = || density(exec, a) <= kernels.pays_below;
    match a {
        Lhs::Floats(_) => with_scratch(bytes, |_| pays()),
        // The dense product of bytes is a call inside of the one that converts them.
        Lhs::Bytes(_) | Lhs::BytesTransposed(_) => with_scratch(bytes, |_| with_scratch(bytes, |_| pays())),
    }
}

/// The share of elements that are not 0, of up to [`SAMPLE`] rows of the memory of A that lie evenly apart.
fn density(exec: Exec, a: Lhs<'_>) -> f64 {
    match a {
        Lhs::Floats(a) => {
            // Rows of memory: of a transposed A those are its columns.
            let a = if a.strides()[1] == 1 { a } else { a.t() };
            let [rows, columns] = a.shape();
            if a.strides()[1] != 1 {
                return 1.0;
            }
            let sampled = SAMPLE.min(rows);
            let row = |at: usize| a.row(at * rows / sampled);
            let nonzero: usize = (0..sampled).map(|at| bitmap::count_floats(exec, row(at))).sum();
            nonzero as f64 / (sampled * columns).max(1) as f64
        }
        Lhs::Bytes(a) | Lhs::BytesTransposed(a) => {
            let [rows, columns] = a.shape();
            let sampled = SAMPLE.min(rows);
            let row = |at: usize| a.row(at * rows / sampled);
            let nonzero: usize = (0..sampled).map(|at| bitmap::count_bytes(exec, row(at))).sum();
            nonzero as f64 / (sampled * columns).max(1) as f64
        }
    }
}
