//! The loop over k of a tile whose A is bytes: the steps of a list ([`super::needed`]), and each byte looked up in a table of floats.
//!
//! ```text
//! for p in list:   b = B[p, ..]                                        NV loads, asked for eight entries ahead
//!                  for i in 0..MR:  a = VALUES[byte[i][p]]             a load of a byte, and one that broadcasts
//!                                   c[i] = fma(a, b, c[i])             NV multiply-adds
//! ```
//!
//! 1. *Few rows, wide tiles.* The fewer rows, the fewer steps they need: 44 % of them for six images, 35 % for three. A tile of 3 rows by 6½
//!    vectors reads a row of B once for 21 multiply-adds, which a core's two loads a cycle just allow. Against 6 rows by 3 and 3½: the
//!    first layer's forward product 77 → 71 µs, dW 72 → 69 µs (128 images, 100 columns, one thread, AVX-512).
//! 2. *No conversion.* The floats of a batch would be written once and read once, four fifths of them zeros. Looking up those that are needed
//!    took 71 → 64 µs and 69 → 60 µs, and there are no turned columns to compute (`block.rs`), for which A would have to lie in vectors.
//! 3. *The loop is compiled plainly.* With a test in it whether to ask for B ahead, the compiler spilled accumulators.
//!
//! The rows of B are 400 bytes apart where it is read in place, so most loads cross a cache line and count twice; packing B into whole lines
//! was not tried.

use super::microkernel::{Row, Tile, load_part, load_whole, prefetch_row};
use super::needed::{Steps, VALUES};
use crate::isa::Isa;

/// Steps for each of the addresses that a tile asks for ([`Tile::ask`]): half as many as where every step is done, for fewer are.
pub(super) const ASK_EACH: usize = 8;

/// The steps of a list.
///
/// # Safety
/// As [`tile`](super::microkernel::tile), for the steps of the list.
#[inline(always)]
pub(super) unsafe fn byte_steps<I: Isa, const MR: usize, const NV: usize, const HALF: bool, const AHEAD: usize>(
    isa: I,
    t: &Tile,
    acc: &mut [Row<I, NV>; MR],
    steps: Steps,
) {
    let Steps { list, count, bytes, width, indices, transposed } = steps;
    // SAFETY: as promised; every address asked for is one of a step, or not read.
    unsafe {
        // The last of them may have to be read with a mask.
        let mut whole = count;
        while whole > 0 && *list.add(whole - 1) as usize >= t.whole {
            whole -= 1;
        }
        let rows: [*const u8; MR] =
            std::array::from_fn(
                |i| if transposed { bytes.wrapping_add(i) } else { bytes.add(*indices.add(i) * width) },
            );
        let (mut at, mut ask) = (list, t.ask);
        let end = list.add(whole);
        if transposed {
            while at < end {
                let p = *at as usize;
                let row = load_whole::<I, NV, HALF>(isa, t.b.wrapping_add(p * t.b_step));
                if AHEAD > 0 {
                    prefetch_row::<I, NV, HALF>(isa, t.b.wrapping_add(*at.add(AHEAD) as usize * t.b_step));
                }
                let a = bytes.add(*indices.add(p) * width);
                byte_step::<I, MR, NV, HALF>(isa, acc, std::array::from_fn(|i| *a.add(i)), row);
                at = at.add(1);
            }
        }
        while at < end {
            if !ask.is_null() {
                isa.prefetch(*ask);
                ask = ask.add(1);
            }
            let stop = end.min(at.add(ASK_EACH));
            while at < stop {
                let p = *at as usize;
                let row = load_whole::<I, NV, HALF>(isa, t.b.wrapping_add(p * t.b_step));
                if AHEAD > 0 {
                    prefetch_row::<I, NV, HALF>(isa, t.b.wrapping_add(*at.add(AHEAD) as usize * t.b_step));
                }
                byte_step::<I, MR, NV, HALF>(isa, acc, std::array::from_fn(|i| *rows[i].add(p)), row);
                at = at.add(1);
            }
        }
        for i in whole..count {
            let p = *list.add(i) as usize;
            let row = load_part::<I, NV, HALF>(isa, t.b.add(p * t.b_step), t.tail);
            let a = bytes.wrapping_add(if transposed { *indices.add(p) * width } else { 0 });
            let a = std::array::from_fn(|i| if transposed { *a.add(i) } else { *rows[i].add(p) });
            byte_step::<I, MR, NV, HALF>(isa, acc, a, row);
        }
    }
}

/// One step of k.
#[inline(always)]
fn byte_step<I: Isa, const MR: usize, const NV: usize, const HALF: bool>(
    isa: I,
    acc: &mut [Row<I, NV>; MR],
    a: [u8; MR],
    b: Row<I, NV>,
) {
    for i in 0..MR {
        let x = VALUES[usize::from(a[i])];
        let full = isa.splat(x);
        for j in 0..NV {
            acc[i].full[j] = isa.fma(full, b.full[j], acc[i].full[j]);
        }
        if HALF {
            acc[i].half = isa.half_fma(isa.half_splat(x), b.half, acc[i].half);
        }
    }
}
