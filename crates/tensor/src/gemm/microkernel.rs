//! The micro-kernel: a tile of MR rows by NV vectors of C stays in registers while k runs.
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
//!   └──┘           └────────┴────────┴────────┴────────┘            2·(MR·NV + NV) + 1 ≤ 16 (AVX2, two registers a vector)
//! ```
//!
//! 1. *Many accumulators.* A fused multiply-add has a latency of four cycles, and two can start in each cycle. So at
//!    least eight must be under way that do not wait for each other. The tallest tiles have 12 registers of
//!    accumulators with AVX2, and 18 to 28 with AVX-512.
//! 2. *Const generics.* `[Row; MR]` with constant bounds is unrolled and promoted to registers whole.
//! 3. *Any strides of A.* A is only broadcast, one element at a time. So a row-major A, a transposed A and packed rows
//!    of A are the same code with other strides.
//! 4. *The addresses of A.* With a run-time stride from row to row the compiler walks down the rows by additions, MR of
//!    them in sequence for each step. So the loop is compiled three times: for adjacent rows (a transposed A: constant
//!    offsets), for adjacent steps in tiles one vector wide (four steps in one walk), and for the rest. Four steps in
//!    one walk make the compiler spill registers in wider tiles.
//! 5. *Edges.* There is a tile for every height up to the greatest, so no row is padded. The last panel of a B may end
//!    in half a vector. B is read in whole vectors wherever its memory goes on, and with a mask in its last rows.
//! 6. *Prefetching B.* A panel that does not fit L1 comes from L2, and the hardware's prefetchers do not keep up with
//!    it. The row [`STEPS_AHEAD`] is prefetched. Where the panel is in L1 that costs more than it gains, so that loop
//!    is compiled without.
//! 7. *Prefetching C.* The rows of a large C lie too far apart for the hardware to foresee. They are prefetched before
//!    k runs.
//! 8. *The chain.* p ascends, and each element has one accumulator, which starts from β·C. That is the contract of the
//!    same bits ([`super`]), and it costs nothing here.
//!
//! What each idea gained, and what was tried and dropped: `docs/measurements.md`.

use super::constants::STEPS_AHEAD;
use super::epilogue::Output;
use super::row::Row;
use crate::isa::Isa;

/// The operands of `tiles` tiles, one below the other.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// How many tiles, of the same height. What follows is of the first; the kernel moves it from tile to tile.
    pub tiles: usize,
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
    /// Whether this panel of B is too large for L1, and has to be prefetched.
    pub far: bool,
    /// Columns in use of the last (half) vector.
    pub tail: usize,
    /// Factor of what C holds; with 0 C is not read.
    pub beta: f32,
    /// Whether to prefetch the tile of C: where C is large.
    pub prefetch_c: bool,
    /// Where the tile of C lies, and its epilogue.
    pub output: Output,
}

/// Computes [`Tile::tiles`] tiles of `MR` rows and `NV` vectors, with `HALF` also half a vector behind them.
///
/// # Safety
/// There is a tile. For each, where a row has `cols` columns in use (`width::<NV, HALF>()` of them if `tail` is all of
/// the last (half) vector):
/// - A is readable at `i·a_row + p·a_step` for i < MR, p < k;
/// - B is readable at `p·b_step + j` for p < k, j < cols, and for all columns j of the tile where p < whole ≤ k;
/// - the output is as [`Output::begin`] and [`Output::end`] need it.
#[inline(always)]
pub(super) unsafe fn tiles<I: Isa, const MR: usize, const NV: usize, const HALF: bool>(isa: I, t: &mut Tile) {
    loop {
        if t.prefetch_c {
            for i in 0..MR {
                Row::<I, NV>::prefetch::<HALF>(isa, t.output.c.wrapping_add(i * t.output.c_row));
            }
        }
        // SAFETY: every address is one of those the caller promises.
        unsafe {
            let mut acc = t.output.begin::<I, MR, NV, HALF>(isa, t.beta, t.tail);
            all_steps::<I, MR, NV, HALF>(isa, t, &mut acc);
            t.output.end::<I, MR, NV, HALF>(isa, &mut acc, t.tail);
        }
        t.tiles -= 1;
        if t.tiles == 0 {
            return;
        }
        t.a = t.a.wrapping_add(MR * t.a_row);
        t.output = t.output.from(MR, 0);
    }
}

/// Every step of k, by the loop that is compiled for the strides of A.
///
/// # Safety
/// As [`tiles`].
#[inline(always)]
unsafe fn all_steps<I: Isa, const MR: usize, const NV: usize, const HALF: bool>(
    isa: I,
    t: &Tile,
    acc: &mut [Row<I, NV>; MR],
) {
    // SAFETY: as promised.
    unsafe {
        match (t.a_row, t.a_step) {
            (1, step) if t.far => whole_steps::<I, MR, NV, HALF, 1, true>(isa, t, acc, 1, step),
            (1, step) => whole_steps::<I, MR, NV, HALF, 1, false>(isa, t, acc, 1, step),
            (row, 1) if NV + usize::from(HALF) == 1 => whole_steps::<I, MR, NV, HALF, 4, false>(isa, t, acc, row, 1),
            (row, step) if t.far => whole_steps::<I, MR, NV, HALF, 1, true>(isa, t, acc, row, step),
            (row, step) => whole_steps::<I, MR, NV, HALF, 1, false>(isa, t, acc, row, step),
        }
        for p in t.whole..t.k {
            let b = Row::load_part::<HALF>(isa, t.b.add(p * t.b_step), t.tail);
            step::<I, MR, NV, HALF>(isa, acc, t.a.add(p * t.a_step), t.a_row, &b);
        }
    }
}

/// The steps whose row of B is read whole, `UNROLL` at a time and then the rest. Inlined with constant strides, the
/// addresses of A become constant offsets.
///
/// # Safety
/// As [`tiles`], for p < whole.
#[inline(always)]
unsafe fn whole_steps<
    I: Isa,
    const MR: usize,
    const NV: usize,
    const HALF: bool,
    const UNROLL: usize,
    const FAR: bool,
>(
    isa: I,
    t: &Tile,
    acc: &mut [Row<I, NV>; MR],
    a_row: usize,
    a_step: usize,
) {
    let (mut a, mut b, mut left) = (t.a, t.b, t.whole);
    // SAFETY: as promised. Behind the last step the pointers may leave the operands; they are not read there.
    unsafe {
        while left >= UNROLL {
            for u in 0..UNROLL {
                let row = Row::load::<HALF>(isa, b);
                if FAR {
                    Row::<I, NV>::prefetch::<HALF>(isa, b.wrapping_add(STEPS_AHEAD * t.b_step));
                }
                step::<I, MR, NV, HALF>(isa, acc, a.wrapping_add(u * a_step), a_row, &row);
                b = b.wrapping_add(t.b_step);
            }
            a = a.wrapping_add(UNROLL * a_step);
            left -= UNROLL;
        }
        for _ in 0..left {
            let row = Row::load::<HALF>(isa, b);
            step::<I, MR, NV, HALF>(isa, acc, a, a_row, &row);
            a = a.wrapping_add(a_step);
            b = b.wrapping_add(t.b_step);
        }
    }
}

/// One step of k: every accumulator gains its product.
///
/// # Safety
/// `a` is readable at `i·a_row` for i < MR.
#[inline(always)]
unsafe fn step<I: Isa, const MR: usize, const NV: usize, const HALF: bool>(
    isa: I,
    acc: &mut [Row<I, NV>; MR],
    a: *const f32,
    a_row: usize,
    b: &Row<I, NV>,
) {
    for i in 0..MR {
        // SAFETY: as promised.
        let x = unsafe { *a.add(i * a_row) };
        acc[i].fma::<HALF>(isa, x, b);
    }
}
