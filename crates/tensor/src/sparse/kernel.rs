//! The kernel: rows of C, each in registers, over the steps of a block at which A is not 0.
//!
//! ```text
//! for each row r:   acc ← 0, or what the block before left
//!                   while bits ≠ 0:   p ← the lowest bit;  clear it
//!                                     x ← A[r, p];  acc ← fma(x, B[p, ·], acc)          NV loads, NV multiply-adds
//!                   acc → scratch, or through the epilogue to C
//!
//! registers: NV of accumulators and one of x;  B comes from L1, as the operand of the multiply-add
//! ```
//!
//! Seven registers or more are as many chains as hide the latency of a multiply-add (four cycles, two a cycle), or
//! nearly. Where the loop over the bits ends is not foreseen by the branch predictor: it costs some twenty cycles a row
//! and block, which is why blocks of k are as long as L1 allows.
//!
//! The chain of an element is the dense one without the steps that change nothing ([`super::guard`]).

use crate::gemm::{Output, Row, width};
use crate::isa::{Isa, LANES};

/// What elements of A are.
pub(super) trait Element: Copy {
    /// The float it stands for.
    fn value(self) -> f32;
}

impl Element for f32 {
    #[inline(always)]
    fn value(self) -> f32 {
        self
    }
}

impl Element for u8 {
    #[inline(always)]
    fn value(self) -> f32 {
        crate::vec::BYTE_VALUES[usize::from(self)]
    }
}

/// A block of a panel, and what rows of A are multiplied with it for.
pub(super) struct Block<'a> {
    /// The first step of the block.
    pub first_step: usize,
    /// The bits of each row, and bits that all rows get: none, or all.
    pub bits: &'a [u128],
    pub every: u128,
    /// The block's rows of the panel.
    pub panel: *const f32,
    /// A row of accumulators for each row.
    pub accumulators: *mut f32,
    /// Whether the chains begin with this block.
    pub begins: bool,
    /// If they end with it: where C lies, and how many columns of the last (half) vector are in use.
    pub ends: Option<(Output, usize)>,
}

/// Computes the rows, of `NV` vectors and with `HALF` half a one behind them. `starts` says where the elements of each row of A
/// begin.
///
/// # Safety
/// With `columns = width::<NV, HALF>()`:
/// - each row of A is readable at `first_step + p` for each bit p of its bits or of `every`;
/// - the panel is readable for `columns` floats at each such p;
/// - the accumulators are readable and writable for `columns` floats a row, and nobody else uses them;
/// - the output, if there is one, is as [`Output::end`] needs it, for as many rows.
#[inline(always)]
pub(super) unsafe fn rows<I: Isa, E: Element, const NV: usize, const HALF: bool>(
    isa: I,
    starts: &[*const E],
    t: &Block<'_>,
) {
    let columns = width::<NV, HALF>();
    for (r, (&row, &bits)) in starts.iter().zip(t.bits).enumerate() {
        let kept = t.accumulators.wrapping_add(r * columns);
        let row = row.wrapping_add(t.first_step);
        // SAFETY: every address is one of those the caller promises.
        unsafe {
            let mut acc = if t.begins { Row::zero(isa) } else { Row::<I, NV>::load::<HALF>(isa, kept) };
            let mut bits = bits | t.every;
            while bits != 0 {
                let p = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                multiply_add::<I, NV, HALF>(isa, (*row.add(p)).value(), t.panel.add(p * columns), &mut acc);
            }
            match t.ends {
                None => acc.store::<HALF>(isa, kept),
                Some((output, tail)) => output.from(r, 0).end::<I, 1, NV, HALF>(isa, &mut [acc], tail),
            }
        }
    }
}

/// `acc ← fma(x, b, acc)`, each vector of B read where it is used.
///
/// # Safety
/// `b` is readable for a row.
#[inline(always)]
unsafe fn multiply_add<I: Isa, const NV: usize, const HALF: bool>(isa: I, x: f32, b: *const f32, acc: &mut Row<I, NV>) {
    let full = isa.splat(x);
    // SAFETY: as promised.
    unsafe {
        for j in 0..NV {
            acc.full[j] = isa.fma(full, isa.load_ptr(b.add(j * LANES)), acc.full[j]);
        }
        if HALF {
            acc.half = isa.half_fma(isa.half_splat(x), isa.half_load_ptr(b.add(NV * LANES)), acc.half);
        }
    }
}
