//! The ladder: the matrix product from three loops to the real thing, one idea a rung, one file a rung.
//!
//! | rung | file | the idea |
//! |---|---|---|
//! | 1 | `triple_loop.rs` | the definition |
//! | 2 | `loop_order.rs` | run along rows, not down columns |
//! | 3 | `blocking.rs` | work on a block of B that stays in the cache |
//! | 4 | `packing.rs` | lay that block out in the order it is read |
//! | 5 | `register_tile.rs` | keep a tile of C in registers over all of k |
//! | 6 | `simd.rs` | make the tile of vectors |
//! | 7 | `threads.rs` | share the rows among cores |
//! | | [the room](super) | any strides, no copy of a small B, tiles by shape, edges, an epilogue |
//!
//! Every rung computes C ← A·B for dense row-major A (m×k), B (k×n) and C (m×n), is held against the same reference
//! (`tests/ladder.rs`) and timed by the same bench (`cargo bench --bench ladder`). Rungs 1 to 5 are plain Rust and
//! leave it to the compiler to find vectors; rungs 6 and 7 use the ISA layer. None has `unsafe`.

mod blocking;
mod loop_order;
mod packing;
mod register_tile;
mod simd;
mod threads;
mod triple_loop;

use crate::exec::Exec;

/// The operands of a rung: dense and row-major.
#[derive(Debug)]
pub struct Operands<'a> {
    /// Rows of A and C.
    pub m: usize,
    /// Columns of A, rows of B.
    pub k: usize,
    /// Columns of B and C.
    pub n: usize,
    /// m×k.
    pub a: &'a [f32],
    /// k×n.
    pub b: &'a [f32],
    /// m×n; written without being read.
    pub c: &'a mut [f32],
}

/// A rung: a name and a matrix product.
#[derive(Clone, Copy)]
pub struct Rung {
    /// The file's name.
    pub name: &'static str,
    /// C ← A·B.
    pub multiply: fn(Exec, Operands<'_>),
}

/// The rungs from the bottom up.
pub const RUNGS: [Rung; 7] = [
    Rung { name: "triple_loop", multiply: |_, operands| triple_loop::multiply(operands) },
    Rung { name: "loop_order", multiply: |_, operands| loop_order::multiply(operands) },
    Rung { name: "blocking", multiply: |_, operands| blocking::multiply(operands) },
    Rung { name: "packing", multiply: |_, operands| packing::multiply(operands) },
    Rung { name: "register_tile", multiply: |_, operands| register_tile::multiply(operands) },
    Rung { name: "simd", multiply: simd::multiply },
    Rung { name: "threads", multiply: threads::multiply },
];

impl Rung {
    /// Runs the rung.
    ///
    /// # Panics
    /// If an operand's length is not its shape's.
    pub fn run(&self, exec: Exec, operands: Operands<'_>) {
        let Operands { m, k, n, a, b, c } = &operands;
        assert_eq!([a.len(), b.len(), c.len()], [m * k, k * n, m * n], "A, B and C of a {m}x{k}x{n} product");
        (self.multiply)(exec, operands);
    }
}
