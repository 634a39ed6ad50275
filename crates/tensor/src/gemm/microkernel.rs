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
//!    at least eight independent chains are needed; the tallest tiles have 20 to 28 with AVX-512, and 12 with AVX2.
//! 2. *Const generics.* `[[F; NV]; MR]` with constant bounds is unrolled and promoted to registers whole.
//! 3. *Any strides of A.* A is only ever broadcast, one element at a time, so a row-major, a transposed and a packed A
//!    are the same code with other strides. Two kinds of A are copied: the rows of a transposed A, whose steps lie far
//!    apart, where many panels read them ([`Plan::packs_a`](super::Plan::packs_a)), and bytes, which are converted.
//! 4. *Edges.* Rows: there is a tile for every height up to the greatest, so no row is padded. Columns: the last panel
//!    may end in half a vector, so 100 columns pay for 104 and not for 112: worth 7 % with AVX2, and with AVX-512 on a
//!    CPU that runs a `zmm` as two halves (Zen 4); it costs nothing where it does not help. B is read in whole vectors
//!    wherever its memory goes on (`whole` rows of it), and with a masked load in the last rows; C is read and written
//!    with a mask. A masked load in the whole loop cost 3 %.
//! 5. *The addresses of A.* With a run-time stride between its rows the compiler steps from row to row by an addition,
//!    MR of them one after the other for each step of k; a tile one vector wide has hardly more multiply-adds than that
//!    to hide them. So the loop is compiled for adjacent rows (a transposed A: constant offsets), for adjacent steps
//!    four at a time in tiles one vector wide (one walk down the rows for four steps: 98 → 103 GFLOP/s in the AVX2
//!    forward product), and for the rest. Four at a time in wider tiles makes the compiler spill, and was dropped.
//! 6. *Asking for C ahead.* The tile of a large C is in no near cache, and its rows lie too far apart for the hardware
//!    to foresee. Prefetching them while k runs gained about 2 % from 1024³ up.
//! 7. *Asking for B ahead.* A panel larger than L1 comes from L2, a row of four cache lines every twelve cycles, which
//!    the hardware's prefetchers do not quite keep up with. Asking for the row after the next seven gained 5 to 7 %
//!    (first layer's forward product, and from 512³ up); 4, 12 and 16 rows ahead were 1 to 3 % less or the same. Where
//!    the panel is in L1 it costs 1 to 2 %, so that loop is compiled without. A third loop also writes what it reads:
//!    the packed panel for the tiles after it. A fourth also asks, every 16 steps, for an address it is given: bytes of
//!    A that are converted after this tile.
//! 8. *Chain order.* p ascends and each element has one accumulator, started from β·C: contract 2 costs nothing here.
//! 9. *Parts of vectors without masks* where a masked store is dear ([`Isa::MASKS_STORES`]): AVX2's is some forty
//!    micro-operations on Zen 3, and was a quarter of a product of 100×100×100. What is left over goes by way of
//!    memory, and whole vectors are stored whole.
//! 10. *Some tiles in one call*, one below the other, wherever a panel is multiplied with all rows before the next.
//! 11. *Steps left out.* Where A is zeros for a good part the loop over k is another one: `listed.rs`.
//!
//! Tried and dropped (share of the time of a product, AVX-512): tiles of 28 rows by one vector, −9 to −14 % against 20
//! (the compiler walks down the rows by additions); the last panel in whole vectors, −2 to −10 %; 9×48 as the widest
//! tile, ±1 %; 14×32, −2 to −3 %.

use super::HALF_LANES;
use super::listed::listed_steps;
use super::needed::Steps;
use super::pieces::Ask;
use crate::isa::{Isa, LANES};

/// How many rows of B ahead a row is asked for that comes from L2: some 100 cycles.
pub(super) const STEPS_AHEAD: usize = 8;

/// The same for a row that comes from beyond L2, and is copied.
const COPIED_AHEAD: usize = 10;

/// Steps of k for each of [`Tile::ask`]'s addresses. A core waits for a dozen lines at a time and no more, so they must
/// not be asked for all at once; 16 steps of a 6×64 tile are 50 ns.
pub(super) const ASK_EVERY: usize = 16;

/// What to do with the accumulators at the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Finish {
    /// Store them: more of k is to come, or there is no epilogue.
    Store,
    /// Add the bias.
    Bias,
    /// Add the bias and clamp at 0.
    BiasRelu,
    /// Add the bias, clamp at 0, and multiply.
    BiasReluScale(f32),
    /// Put 0 where the gate is ≤ 0; where it is NaN the value stays.
    Gate,
}

/// The operands of some tiles, one below the other.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    /// How many tiles there are, of the same height. What follows is of the first.
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
    /// C[0, 0] of the tile and the stride from row to row; its columns are adjacent.
    pub c: *mut f32,
    pub c_row: usize,
    /// Where the rows of B are copied as they are read, or null: k rows of the tile's width.
    pub copy: *mut f32,
    /// Addresses to ask for while k runs: one for each [`ASK_EVERY`] steps.
    pub ask: Option<&'a Ask>,
    /// The steps of k to do, and where A is found; `None`: all, with A as floats.
    pub needed: Option<Steps>,
    /// Whether this panel of B is too large for L1, and has to be asked for ahead.
    pub far: bool,
    /// Columns in the last vector, 1 to 16, or in the half vector, 1 to 8.
    pub tail: usize,
    /// Factor of what C holds; with 0 C is not read.
    pub beta: f32,
    /// Whether to ask for the tile of C ahead of the time it is stored: where C is large.
    pub prefetch: bool,
    /// The epilogue, and what it reads at each element of C: a bias, the same for all rows (a `with_row` of 0), or a
    /// gate.
    pub finish: Finish,
    pub with: *const f32,
    pub with_row: usize,
}

/// A row of a tile: `NV` vectors, and half a vector behind them (which is not used unless the tile has one).
#[derive(Clone, Copy)]
pub(super) struct Row<I: Isa, const NV: usize> {
    pub full: [I::F; NV],
    pub half: I::H,
}

/// Lanes of a row.
const fn width<const NV: usize, const HALF: bool>() -> usize {
    LANES * (NV + HALF as usize)
}

/// Reads a row whole.
///
/// # Safety
/// `from` is readable for all lanes of the row.
#[inline(always)]
pub(super) unsafe fn load_whole<I: Isa, const NV: usize, const HALF: bool>(isa: I, from: *const f32) -> Row<I, NV> {
    // (By `array::from_fn`, here as in what follows, rows became calls of it, with AVX2: the accumulators went by way
    // of memory, and products took twice as long.)
    let mut row = Row { full: [isa.splat(0.0); NV], half: isa.half_splat(0.0) };
    // SAFETY: as promised; each read is of the lanes of its vector.
    unsafe {
        for j in 0..NV {
            row.full[j] = isa.load_ptr(from.add(j * LANES));
        }
        if HALF {
            row.half = isa.half_load_ptr(from.add(NV * LANES));
        }
    }
    row
}

/// Reads a row of which the last (half) vector has only `tail` elements.
///
/// # Safety
/// `from` is readable up to those.
#[inline(always)]
pub(super) unsafe fn load_part<I: Isa, const NV: usize, const HALF: bool>(
    isa: I,
    from: *const f32,
    tail: usize,
) -> Row<I, NV> {
    let mut row = Row { full: [isa.splat(0.0); NV], half: isa.half_splat(0.0) };
    // SAFETY: as promised; only the last vector is not full, and it is read with a mask.
    unsafe {
        for j in 0..NV {
            let from = from.add(j * LANES);
            row.full[j] = if HALF || j + 1 < NV { isa.load_ptr(from) } else { isa.load_ptr_part(from, tail) };
        }
        if HALF {
            row.half = isa.half_load_ptr_part(from.add(NV * LANES), tail);
        }
    }
    row
}

/// Writes a row whole.
///
/// # Safety
/// `to` is writable for all lanes of the row.
#[inline(always)]
pub(super) unsafe fn store_whole<I: Isa, const NV: usize, const HALF: bool>(isa: I, row: Row<I, NV>, to: *mut f32) {
    // SAFETY: as promised; each write is of the lanes of its vector.
    unsafe {
        for j in 0..NV {
            isa.store_ptr(row.full[j], to.add(j * LANES));
        }
        if HALF {
            isa.half_store_ptr(row.half, to.add(NV * LANES));
        }
    }
}

/// Asks for the cache lines of a row.
#[inline(always)]
pub(super) fn prefetch_row<I: Isa, const NV: usize, const HALF: bool>(isa: I, at: *const f32) {
    for j in 0..NV + usize::from(HALF) {
        isa.prefetch(at.wrapping_add(j * LANES));
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
    b: Row<I, NV>,
) {
    for i in 0..MR {
        // SAFETY: as promised.
        let x = unsafe { *a.add(i * a_row) };
        let full = isa.splat(x);
        for j in 0..NV {
            acc[i].full[j] = isa.fma(full, b.full[j], acc[i].full[j]);
        }
        if HALF {
            acc[i].half = isa.half_fma(isa.half_splat(x), b.half, acc[i].half);
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
    const AHEAD: usize,
    const COPY: bool,
    const ASK: bool,
>(
    isa: I,
    t: &Tile<'_>,
    acc: &mut [Row<I, NV>; MR],
    a_row: usize,
    a_step: usize,
    mut ask: *const *const f32,
) {
    let (mut a, mut b, mut copy) = (t.a, t.b, t.copy);
    let mut left = t.whole;
    // SAFETY: as promised. The last step leaves the operands; the pointers may, their targets are not read.
    unsafe {
        while ASK && left >= ASK_EVERY {
            isa.prefetch(*ask);
            ask = ask.add(1);
            for _ in 0..ASK_EVERY {
                let row = load_whole::<I, NV, HALF>(isa, b);
                prefetch_row::<I, NV, HALF>(isa, b.wrapping_add(AHEAD * t.b_step));
                step::<I, MR, NV, HALF>(isa, acc, a, a_row, row);
                a = a.wrapping_add(a_step);
                b = b.wrapping_add(t.b_step);
            }
            left -= ASK_EVERY;
        }
        while left >= UNROLL {
            for u in 0..UNROLL {
                let row = load_whole::<I, NV, HALF>(isa, b);
                if AHEAD > 0 {
                    prefetch_row::<I, NV, HALF>(isa, b.wrapping_add(AHEAD * t.b_step));
                }
                if COPY {
                    store_whole::<I, NV, HALF>(isa, row, copy);
                    copy = copy.wrapping_add(width::<NV, HALF>());
                }
                step::<I, MR, NV, HALF>(isa, acc, a.wrapping_add(u * a_step), a_row, row);
                b = b.wrapping_add(t.b_step);
            }
            a = a.wrapping_add(UNROLL * a_step);
            left -= UNROLL;
        }
        // What four at a time leave over; one at a time leaves nothing.
        for _ in 0..left {
            let row = load_whole::<I, NV, HALF>(isa, b);
            step::<I, MR, NV, HALF>(isa, acc, a, a_row, row);
            a = a.wrapping_add(a_step);
            b = b.wrapping_add(t.b_step);
        }
    }
}

/// Every step of k.
///
/// # Safety
/// As [`tiles`].
#[inline(always)]
unsafe fn all_steps<I: Isa, const MR: usize, const NV: usize, const HALF: bool>(
    isa: I,
    t: &Tile<'_>,
    acc: &mut [Row<I, NV>; MR],
) {
    let ask = t.ask.map_or(std::ptr::null(), |ask| ask.take(t.k));
    // SAFETY: as promised.
    unsafe {
        match (t.a_row, t.a_step) {
            (row, step) if !t.copy.is_null() => {
                whole_steps::<I, MR, NV, HALF, 1, COPIED_AHEAD, true, false>(isa, t, acc, row, step, ask);
            }
            (1, step) if t.far => {
                whole_steps::<I, MR, NV, HALF, 1, STEPS_AHEAD, false, false>(isa, t, acc, 1, step, ask);
            }
            (1, step) => whole_steps::<I, MR, NV, HALF, 1, 0, false, false>(isa, t, acc, 1, step, ask),
            (row, 1) if NV + usize::from(HALF) == 1 => {
                whole_steps::<I, MR, NV, HALF, 4, 0, false, false>(isa, t, acc, row, 1, ask);
            }
            (row, 1) if !ask.is_null() => {
                whole_steps::<I, MR, NV, HALF, 1, STEPS_AHEAD, false, true>(isa, t, acc, row, 1, ask);
            }
            (row, step) if t.far => {
                whole_steps::<I, MR, NV, HALF, 1, STEPS_AHEAD, false, false>(isa, t, acc, row, step, ask);
            }
            (row, step) => whole_steps::<I, MR, NV, HALF, 1, 0, false, false>(isa, t, acc, row, step, ask),
        }
        for p in t.whole..t.k {
            let row = load_part::<I, NV, HALF>(isa, t.b.add(p * t.b_step), t.tail);
            if !t.copy.is_null() {
                store_whole::<I, NV, HALF>(isa, row, t.copy.add(p * width::<NV, HALF>()));
            }
            step::<I, MR, NV, HALF>(isa, acc, t.a.add(p * t.a_step), t.a_row, row);
        }
    }
}

/// Computes [`Tile::tiles`] tiles of `MR` rows and `NV` vectors, with `HALF` also half a vector behind them; all steps
/// of k, or with `LISTED` those in [`Tile::needed`]. (That is known at compile time: where both loops were in one
/// function, the compiler spent other registers on the one over all steps, which took a fifth longer.)
///
/// # Safety
/// There is a tile; with `LISTED`, `needed` is there, and has a list for each. Of each tile, with `cols = 16·(NV − 1) +
/// tail` and `1 ≤ tail ≤ 16`, or with `HALF` `cols = 16·NV + tail` and `1 ≤ tail ≤ 8`:
/// - A is readable at `i·a_row + p·a_step` for i < MR, p < k; with `LISTED` where `needed` says, for its steps and MR
///   rows, and the list for sixteen entries more;
/// - B is readable at `p·b_step + j` for p < k, j < cols, and for all lanes j of the tile where p < whole;
/// - C is readable and writable at `i·c_row + j` for i < MR, j < cols, and nobody else touches those elements;
/// - `with` is readable at `i·with_row + j` for i < MR, j < cols unless `finish` is `Store`;
/// - `copy` is null, or writable for k rows of whole vectors for all lanes of the tile, which overlap nothing else
///   here.
#[inline(always)]
pub(super) unsafe fn tiles<I: Isa, const MR: usize, const NV: usize, const HALF: bool, const LISTED: bool>(
    isa: I,
    t: &mut Tile<'_>,
) {
    loop {
        // SAFETY: every address is one of those the caller promises, for the ranges written above.
        unsafe {
            let mut acc = start::<I, MR, NV, HALF>(isa, t);
            if LISTED {
                listed_steps::<I, MR, NV, HALF>(isa, t, &mut acc);
            } else {
                all_steps::<I, MR, NV, HALF>(isa, t, &mut acc);
            }
            finish::<I, MR, NV, HALF>(isa, t, &mut acc);
        }
        t.tiles -= 1;
        if t.tiles == 0 {
            return;
        }
        t.a = t.a.wrapping_add(MR * t.a_row);
        t.c = t.c.wrapping_add(MR * t.c_row);
        t.with = t.with.wrapping_add(MR * t.with_row);
        if let (true, Some(needed)) = (LISTED, &mut t.needed) {
            needed.next(MR);
        }
    }
}

/// The accumulators before the first step: β·C.
///
/// # Safety
/// As [`tiles`].
#[inline(always)]
unsafe fn start<I: Isa, const MR: usize, const NV: usize, const HALF: bool>(isa: I, t: &Tile<'_>) -> [Row<I, NV>; MR] {
    debug_assert!((1..=if HALF { HALF_LANES } else { LANES }).contains(&t.tail) && t.whole <= t.k);
    let mut acc = [Row { full: [isa.splat(0.0); NV], half: isa.half_splat(0.0) }; MR];
    // SAFETY: as promised.
    unsafe {
        if t.prefetch {
            for i in 0..MR {
                prefetch_row::<I, NV, HALF>(isa, t.c.wrapping_add(i * t.c_row));
            }
        }
        if t.beta != 0.0 {
            let (beta, half_beta) = (isa.splat(t.beta), isa.half_splat(t.beta));
            for i in 0..MR {
                let c: Row<I, NV> = load_part::<I, NV, HALF>(isa, t.c.add(i * t.c_row), t.tail);
                for j in 0..NV {
                    acc[i].full[j] = isa.mul(beta, c.full[j]);
                }
                acc[i].half = isa.half_mul(half_beta, c.half);
            }
        }
    }
    acc
}

/// Stores the accumulators after the last step, through the epilogue.
///
/// # Safety
/// As [`tiles`].
#[inline(always)]
pub(super) unsafe fn finish<I: Isa, const MR: usize, const NV: usize, const HALF: bool>(
    isa: I,
    t: &Tile<'_>,
    acc: &mut [Row<I, NV>; MR],
) {
    let zero: Row<I, NV> = Row { full: [isa.splat(0.0); NV], half: isa.half_splat(0.0) };
    // SAFETY: as promised.
    unsafe {
        if matches!(t.finish, Finish::Bias | Finish::BiasRelu | Finish::BiasReluScale(_)) {
            let bias = load_part::<I, NV, HALF>(isa, t.with, t.tail);
            for row in &mut *acc {
                for j in 0..NV {
                    row.full[j] = isa.add(row.full[j], bias.full[j]);
                }
                row.half = isa.half_add(row.half, bias.half);
                if t.finish != Finish::Bias {
                    for j in 0..NV {
                        row.full[j] = isa.max(zero.full[j], row.full[j]);
                    }
                    row.half = isa.half_max(zero.half, row.half);
                }
                if let Finish::BiasReluScale(scale) = t.finish {
                    for j in 0..NV {
                        row.full[j] = isa.mul(isa.splat(scale), row.full[j]);
                    }
                    row.half = isa.half_mul(isa.half_splat(scale), row.half);
                }
            }
        }
        if t.finish == Finish::Gate {
            for (i, row) in acc.iter_mut().enumerate() {
                let gate = load_part::<I, NV, HALF>(isa, t.with.add(i * t.with_row), t.tail);
                for j in 0..NV {
                    row.full[j] = isa.gate(gate.full[j], row.full[j]);
                }
                row.half = isa.half_gate(gate.half, row.half);
            }
        }
        let last = NV - usize::from(!HALF);
        if I::MASKS_STORES {
            for i in 0..MR {
                let to = t.c.add(i * t.c_row);
                for j in 0..last {
                    isa.store_ptr(acc[i].full[j], to.add(j * LANES));
                }
                if HALF {
                    isa.half_store_ptr_part(acc[i].half, to.add(last * LANES), t.tail);
                } else {
                    isa.store_ptr_part(acc[i].full[last], to.add(last * LANES), t.tail);
                }
            }
        } else if t.tail == if HALF { HALF_LANES } else { LANES } {
            for i in 0..MR {
                store_whole::<I, NV, HALF>(isa, acc[i], t.c.add(i * t.c_row));
            }
        } else {
            // What is left over goes by way of memory: with its branches in it, the loop over the accumulators would
            // not be unrolled, and they would not be in registers.
            let mut edge = [[0.0; LANES]; MR];
            for i in 0..MR {
                for j in 0..last {
                    isa.store_ptr(acc[i].full[j], t.c.add(i * t.c_row + j * LANES));
                }
                if HALF {
                    isa.half_store_ptr(acc[i].half, edge[i].as_mut_ptr());
                } else {
                    isa.store_ptr(acc[i].full[last], edge[i].as_mut_ptr());
                }
            }
            for (i, edge) in edge.iter().enumerate() {
                let to = t.c.add(i * t.c_row + last * LANES);
                if HALF {
                    isa.half_store_ptr_part(isa.half_load_ptr(edge.as_ptr()), to, t.tail);
                } else {
                    isa.store_ptr_part(isa.load(edge), to, t.tail);
                }
            }
        }
    }
}
