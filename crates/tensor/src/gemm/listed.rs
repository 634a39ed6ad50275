//! The loop over k of a tile that leaves out steps: those of a list ([`super::needed`]), whether A is floats or bytes.
//!
//! ```text
//! for p in list:   b = B[p, ..]                                        NV loads
//!                  for i in 0..MR:  a = A[i, p]                        a load that broadcasts; of a byte: a load, and one from VALUES
//!                                   c[i] = fma(a, b, c[i])             NV multiply-adds
//! ```
//!
//! 1. *Few rows, wide tiles.* The fewer rows, the fewer steps they need: 44 % of them for six images, 35 % for three. A
//!    tile of 3 rows by 6½ vectors reads a row of B once for 21 multiply-adds, which a core's two loads a cycle just
//!    allow. Against 6 rows by 3 and 3½: the first layer's forward product 77 → 71 µs, dW 72 → 69 µs (128 images, 100
//!    columns, one thread, AVX-512).
//! 2. *No conversion.* The floats of a batch would be written once and read once, four fifths of them zeros. Looking up
//!    those that are needed took 71 → 64 µs and 69 → 60 µs, and there are no turned columns to compute (`block.rs`),
//!    for which A would have to lie in vectors.
//! 3. *Tall tiles for a large B of floats.* What leaves a ReLU is alike in many rows: six need 82 % of the steps where
//!    three need 70, and a row of B that comes from L2 serves twice as many. It is asked for eight entries ahead: 1.00
//!    → 0.94 of the time of all steps (512×1024×1024); where B is near, or a list leaves out two thirds, asking costs
//!    more than it saves.
//! 4. *Sixteen registers* (AVX2; layers of up to 48 units, for wider ones leave out elements, `compressed.rs`) hold 2
//!    rows by 6 `ymm`, and 2 images need 29 % of the steps. The rows' elements are kept, and B goes through one
//!    register: column by column. Against 6 rows by 2, 128 images, Zen 3: the first layer's two products 0.75 of the
//!    time; 3 rows by 4 spill one register and bring half of that, and one row by 12, which would need 19 %, loads more
//!    than it multiplies: slower than 6 by 2.
//! 5. *Bytes converted after all* (AVX2). A step of two rows by four `ymm` is 4 cycles of multiplications, and took 8:
//!    two bytes and two lookups were half of its loads, and the panel of B, 100 KB, came from L2 for every tile. So the
//!    bytes of up to 128 rows are converted at once, sixteen at a time, k is cut into blocks whose panel stays in L1,
//!    and every panel is multiplied with all rows before the next. Forward and dW 0.7 of the time (128 images, Zen 3).
//!    Either alone is not worth it: blocks took 1.3 times as long as none, and with floats alone dW took 0.99 of its
//!    time, and forward 0.8 to 1.1.
//! 6. *The loop is compiled plainly*, once for each kind of A. With a test in it whether to ask for B ahead, the
//!    compiler spilled accumulators.

use super::microkernel::{Row, STEPS_AHEAD, Tile, load_part, load_whole, prefetch_row};
use super::needed::{Elements, VALUES};
use crate::isa::Isa;

/// Steps for each of the addresses that a tile asks for ([`Tile::ask`]): half as many as where every step is done, for
/// fewer are.
pub(super) const ASK_EACH: usize = 8;

/// A's elements in a tile's rows at a step. (A closure would not be inlined into the function with the CPU's
/// instructions.)
trait Column<const MR: usize>: Copy {
    /// # Safety
    /// The step is one of the tile's.
    unsafe fn at(self, p: usize) -> [f32; MR];
}

/// Rows of floats whose steps are adjacent.
#[derive(Clone, Copy)]
struct RowsOfFloats<const MR: usize>([*const f32; MR]);

impl<const MR: usize> Column<MR> for RowsOfFloats<MR> {
    #[inline(always)]
    unsafe fn at(self, p: usize) -> [f32; MR] {
        // SAFETY: as the caller promises.
        std::array::from_fn(|i| unsafe { *self.0[i].add(p) })
    }
}

/// Floats whose rows are adjacent.
#[derive(Clone, Copy)]
struct ColumnsOfFloats {
    a: *const f32,
    a_step: usize,
}

impl<const MR: usize> Column<MR> for ColumnsOfFloats {
    #[inline(always)]
    unsafe fn at(self, p: usize) -> [f32; MR] {
        // SAFETY: as the caller promises.
        unsafe {
            let a = self.a.add(p * self.a_step);
            std::array::from_fn(|i| *a.add(i))
        }
    }
}

#[derive(Clone, Copy)]
struct Rows<const MR: usize>([*const u8; MR]);

impl<const MR: usize> Column<MR> for Rows<MR> {
    #[inline(always)]
    unsafe fn at(self, p: usize) -> [f32; MR] {
        // SAFETY: as the caller promises.
        std::array::from_fn(|i| VALUES[usize::from(unsafe { *self.0[i].add(p) })])
    }
}

#[derive(Clone, Copy)]
struct Columns {
    bytes: *const u8,
    width: usize,
    indices: *const usize,
}

impl<const MR: usize> Column<MR> for Columns {
    #[inline(always)]
    unsafe fn at(self, p: usize) -> [f32; MR] {
        // SAFETY: as the caller promises.
        unsafe {
            let a = self.bytes.add(*self.indices.add(p) * self.width);
            std::array::from_fn(|i| VALUES[usize::from(*a.add(i))])
        }
    }
}

/// The steps of a list.
///
/// # Safety
/// As [`tiles`](super::microkernel::tiles), for the steps of the list.
#[inline(always)]
pub(super) unsafe fn listed_steps<I: Isa, const MR: usize, const NV: usize, const HALF: bool>(
    isa: I,
    t: &Tile<'_>,
    acc: &mut [Row<I, NV>; MR],
) {
    let Some(steps) = t.needed else { unreachable!("a tile that leaves out steps has a list of them") };
    // SAFETY: as promised.
    unsafe {
        let count = *steps.counts;
        let list = [steps.list, steps.list.add(count)];
        let ask = t.ask.map_or(std::ptr::null(), |ask| ask.take_needed(count));
        match steps.elements {
            Elements::Floats if t.a_row == 1 => {
                let column = ColumnsOfFloats { a: t.a, a_step: t.a_step };
                run::<I, MR, NV, HALF, false, 0>(isa, t, acc, list, ask, column);
            }
            Elements::Floats => {
                debug_assert!(t.a_step == 1);
                let column = RowsOfFloats(std::array::from_fn(|i| t.a.add(i * t.a_row)));
                if t.far {
                    run::<I, MR, NV, HALF, false, STEPS_AHEAD>(isa, t, acc, list, ask, column);
                } else {
                    run::<I, MR, NV, HALF, false, 0>(isa, t, acc, list, ask, column);
                }
            }
            Elements::Rows { bytes, width, indices } => {
                let column = Rows(std::array::from_fn(|i| bytes.add(*indices.add(i) * width)));
                run::<I, MR, NV, HALF, true, 0>(isa, t, acc, list, ask, column);
            }
            Elements::Columns { bytes, width, indices } => {
                let column = Columns { bytes, width, indices };
                run::<I, MR, NV, HALF, false, 0>(isa, t, acc, list, ask, column);
            }
        }
    }
}

/// The steps of a list, with A's elements wherever they come from. With `ASK` an address is asked for at each eighth,
/// with `AHEAD` the row of B that is so many entries ahead: behind the list's end there is room for sixteen.
///
/// # Safety
/// As [`tiles`](super::microkernel::tiles), for the steps of the list.
#[inline(always)]
unsafe fn run<I: Isa, const MR: usize, const NV: usize, const HALF: bool, const ASK: bool, const AHEAD: usize>(
    isa: I,
    t: &Tile<'_>,
    acc: &mut [Row<I, NV>; MR],
    [list, end]: [*const u32; 2],
    mut ask: *const *const f32,
    column: impl Column<MR>,
) {
    // SAFETY: as promised; every address asked for is one of a step.
    unsafe {
        // The last of them may have to be read with a mask.
        let mut whole = end;
        while whole > list && *whole.sub(1) as usize >= t.whole {
            whole = whole.sub(1);
        }
        let mut at = list;
        while at < whole {
            let mut stop = whole;
            if ASK && !ask.is_null() {
                isa.prefetch(*ask);
                ask = ask.add(1);
                stop = whole.min(at.add(ASK_EACH));
            }
            while at < stop {
                let p = *at as usize;
                let row = load_whole::<I, NV, HALF>(isa, t.b.add(p * t.b_step));
                if AHEAD > 0 {
                    prefetch_row::<I, NV, HALF>(isa, t.b.wrapping_add(*at.add(AHEAD) as usize * t.b_step));
                }
                step::<I, MR, NV, HALF>(isa, acc, column.at(p), row);
                at = at.add(1);
            }
        }
        while at < end {
            let p = *at as usize;
            let row = load_part::<I, NV, HALF>(isa, t.b.add(p * t.b_step), t.tail);
            step::<I, MR, NV, HALF>(isa, acc, column.at(p), row);
            at = at.add(1);
        }
    }
}

/// One step of k. (One function for a row, shared with the loop over all steps, made the compiler spill in tiles of six
/// rows: D took 2 to 6 % longer.)
#[inline(always)]
fn step<I: Isa, const MR: usize, const NV: usize, const HALF: bool>(
    isa: I,
    acc: &mut [Row<I, NV>; MR],
    a: [f32; MR],
    b: Row<I, NV>,
) {
    if I::REGISTERS < 32 {
        for j in 0..NV {
            for i in 0..MR {
                acc[i].full[j] = isa.fma(isa.splat(a[i]), b.full[j], acc[i].full[j]);
            }
        }
        if HALF {
            for i in 0..MR {
                acc[i].half = isa.half_fma(isa.half_splat(a[i]), b.half, acc[i].half);
            }
        }
        return;
    }
    for i in 0..MR {
        let full = isa.splat(a[i]);
        for j in 0..NV {
            acc[i].full[j] = isa.fma(full, b.full[j], acc[i].full[j]);
        }
        if HALF {
            acc[i].half = isa.half_fma(isa.half_splat(a[i]), b.half, acc[i].half);
        }
    }
}
