//! A row of a register tile: NV vectors, and perhaps half a vector behind them.
//!
//! ```text
//!        NV = 2, HALF                       tail: columns in use of the last (half) vector
//!   ┌────────────────┬────────────────┬────────┐
//!   │ 16 columns     │ 16 columns     │ 8 cols │       100 columns of C are six vectors and half a one
//!   └────────────────┴────────────────┴────────┘
//! ```
//!
//! B is read, and C is read and written, a row at a time. Only the last (half) vector of a row can be in use in part.

use crate::isa::{Isa, LANES};

/// Columns of half a vector: the unit in which widths are counted.
pub(crate) const HALF_LANES: usize = LANES / 2;

/// A row. The half vector is not used unless the tile has one.
#[derive(Clone, Copy)]
pub(crate) struct Row<I: Isa, const NV: usize> {
    pub full: [I::F; NV],
    pub half: I::H,
}

/// Columns of a row.
pub(crate) const fn width<const NV: usize, const HALF: bool>() -> usize {
    LANES * NV + if HALF { HALF_LANES } else { 0 }
}

/// Columns in use of the last (half) vector of a panel.
pub(crate) fn tail(columns: usize, halves: usize) -> usize {
    let last = if halves.is_multiple_of(2) { LANES } else { HALF_LANES };
    columns - (HALF_LANES * halves - last)
}

impl<I: Isa, const NV: usize> Row<I, NV> {
    /// A row of zeros.
    #[inline(always)]
    pub fn zero(isa: I) -> Self {
        Self { full: [isa.splat(0.0); NV], half: isa.half_splat(0.0) }
    }

    /// Reads a row whole.
    ///
    /// # Safety
    /// `from` is readable for all columns of the row.
    #[inline(always)]
    pub unsafe fn load<const HALF: bool>(isa: I, from: *const f32) -> Self {
        // Loops and not `array::from_fn`: closures are not inlined here, and the row would go through memory.
        let mut row = Self::zero(isa);
        // SAFETY: as promised; each read is of the columns of its vector.
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

    /// Reads a row whose last (half) vector has `tail` columns in use; the others are 0.
    ///
    /// # Safety
    /// `from` is readable for the columns in use.
    #[inline(always)]
    pub unsafe fn load_part<const HALF: bool>(isa: I, from: *const f32, tail: usize) -> Self {
        let mut row = Self::zero(isa);
        // SAFETY: as promised; only the last vector is read with a mask.
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
    /// `to` is writable for all columns of the row.
    #[inline(always)]
    pub unsafe fn store<const HALF: bool>(self, isa: I, to: *mut f32) {
        // SAFETY: as promised; each write is of the columns of its vector.
        unsafe {
            for j in 0..NV {
                isa.store_ptr(self.full[j], to.add(j * LANES));
            }
            if HALF {
                isa.half_store_ptr(self.half, to.add(NV * LANES));
            }
        }
    }

    /// Prefetches the cache lines of a row.
    #[inline(always)]
    pub fn prefetch<const HALF: bool>(isa: I, at: *const f32) {
        for j in 0..NV + usize::from(HALF) {
            isa.prefetch(at.wrapping_add(j * LANES));
        }
    }

    /// `self + x·b`: a fused multiply-add of every column.
    #[inline(always)]
    pub fn fma<const HALF: bool>(&mut self, isa: I, x: f32, b: &Self) {
        let full = isa.splat(x);
        for j in 0..NV {
            self.full[j] = isa.fma(full, b.full[j], self.full[j]);
        }
        if HALF {
            self.half = isa.half_fma(isa.half_splat(x), b.half, self.half);
        }
    }
}
