//! Working down the columns of a matrix: a strip of up to 64 columns at a time, up to four vectors in registers, row after row.
//!
//! Per-column statistics (a bias gradient, a mean, a variance) are sums down columns. Adding whole rows into a vector of
//! sums would load and store each sum once a row; a strip keeps 64 of them in four registers while the rows go by.
//!
//! ```text
//!            ┌── strip ──┐
//!   row 0    │ v₀ v₁ v₂ v₃ │ …          100 columns: a strip of 4 vectors and one of 2¼
//!   row 1    │      ↓     │
//! ```
//!
//! A strip is checked once, when it is made; a row of it is then two multiplications away, without a slice or a bounds check but the row's own.

use crate::array::View;
use crate::isa::{Isa, LANES};
use std::marker::PhantomData;

/// Columns of the widest strip.
const STRIP: usize = 4 * LANES;

/// How wide the strips of a matrix of `width` columns are to be, when a column takes `column` bytes and a strip is to stay within `near`: 64
/// columns, or 32 or 16 if the columns are long.
pub(super) fn strips(width: usize, column: usize, near: usize) -> usize {
    let fits = |columns: &usize| columns * column <= near;
    [STRIP, STRIP / 2].into_iter().find(fits).unwrap_or(LANES).min(width.max(1).next_multiple_of(LANES))
}

/// Vectors that hold so many columns.
pub const fn vectors(columns: usize) -> usize {
    columns.div_ceil(LANES)
}

/// `NV` vectors of columns of a matrix; the last may be partial.
#[derive(Clone, Copy, Debug)]
pub struct Strip<'a, const NV: usize> {
    start: *const f32,
    stride: usize,
    rows: usize,
    /// Columns in the last vector, 1 to 16.
    tail: usize,
    matrix: PhantomData<&'a f32>,
}

impl<'a, const NV: usize> Strip<'a, NV> {
    /// Columns `from..from + columns`.
    ///
    /// # Panics
    /// If they are not there, their elements are not adjacent, or they are not `NV` vectors.
    pub fn new(x: View<'a, f32, 2>, from: usize, columns: usize) -> Self {
        assert_eq!(vectors(columns), NV, "{columns} columns in {NV} vectors");
        let x = x.slice(1, from..from + columns).unwrap_or_else(|error| panic!("{error}"));
        assert!(x.strides()[1] == 1 || columns == 1, "the elements of a row are {} apart", x.strides()[1]);
        let tail = columns - (NV - 1) * LANES;
        Self { start: x.data().as_ptr(), stride: x.strides()[0], rows: x.rows(), tail, matrix: PhantomData }
    }

    /// Rows.
    #[inline(always)]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Row `i`; lanes past the last column are 0.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline(always)]
    pub fn load<I: Isa>(&self, isa: I, i: usize) -> [I::F; NV] {
        assert!(i < self.rows);
        // SAFETY: `new` made a view that reaches all its elements; row i is one of its rows, as just checked.
        unsafe { load(isa, self.start.add(i * self.stride), self.tail) }
    }

    /// Asks for row `i` ahead of its use. A hint: there need not be such a row.
    #[inline(always)]
    pub fn prefetch<I: Isa>(&self, isa: I, i: usize) {
        for v in 0..NV {
            isa.prefetch(self.start.wrapping_add(i * self.stride + v * LANES));
        }
    }
}

/// `NV` vectors of columns of a matrix, to be written.
#[derive(Debug)]
pub struct StripMut<'a, const NV: usize> {
    start: *mut f32,
    stride: usize,
    rows: usize,
    tail: usize,
    matrix: PhantomData<&'a mut f32>,
}

impl<const NV: usize> StripMut<'_, NV> {
    /// Columns `from..from + columns` of the matrix at `start`.
    ///
    /// # Safety
    /// - `start` is valid for `len` floats for as long as the strip is used, and nobody else uses these columns meanwhile.
    ///
    /// # Panics
    /// If the columns are not there, their elements are not adjacent, or they are not `NV` vectors.
    pub(super) unsafe fn from_raw(
        start: *mut f32,
        len: usize,
        [rows, width]: [usize; 2],
        [stride, apart]: [usize; 2],
        from: usize,
        columns: usize,
    ) -> Self {
        assert_eq!(vectors(columns), NV, "{columns} columns in {NV} vectors");
        assert!(from + columns <= width && (rows == 0 || (rows - 1) * stride + width <= len), "the columns are there");
        assert!(apart == 1 || columns == 1, "the elements of a row are {apart} apart");
        Self { start: start.wrapping_add(from), stride, rows, tail: columns - (NV - 1) * LANES, matrix: PhantomData }
    }

    /// Writes row `i`.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline(always)]
    pub fn store<I: Isa>(&mut self, isa: I, i: usize, x: [I::F; NV]) {
        assert!(i < self.rows);
        // SAFETY: `from_raw` checked that all rows are inside what it was promised; row i is one of them, as just checked.
        unsafe { store(isa, x, self.start.add(i * self.stride), self.tail) }
    }
}

/// # Safety
/// `from` is readable for `16·(NV − 1) + tail` floats, and `1 ≤ tail ≤ 16`.
#[inline(always)]
unsafe fn load<I: Isa, const NV: usize>(isa: I, from: *const f32, tail: usize) -> [I::F; NV] {
    let mut x = [isa.splat(0.0); NV];
    // SAFETY: as promised.
    unsafe {
        for v in 0..NV - 1 {
            x[v] = isa.load_ptr(from.add(v * LANES));
        }
        let last = from.add((NV - 1) * LANES);
        x[NV - 1] = if tail == LANES { isa.load_ptr(last) } else { isa.load_ptr_part(last, tail) };
    }
    x
}

/// # Safety
/// `to` is writable for `16·(NV − 1) + tail` floats, and `1 ≤ tail ≤ 16`.
#[inline(always)]
unsafe fn store<I: Isa, const NV: usize>(isa: I, x: [I::F; NV], to: *mut f32, tail: usize) {
    // SAFETY: as promised.
    unsafe {
        for v in 0..NV - 1 {
            isa.store_ptr(x[v], to.add(v * LANES));
        }
        let last = to.add((NV - 1) * LANES);
        if tail == LANES { isa.store_ptr(x[NV - 1], last) } else { isa.store_ptr_part(x[NV - 1], last, tail) }
    }
}

/// One number a column, as a strip's vectors: columns `from..from + columns` of `values`.
///
/// # Panics
/// If they are not there, or not `NV` vectors.
#[inline(always)]
pub fn load_columns<I: Isa, const NV: usize>(isa: I, values: &[f32], from: usize, columns: usize) -> [I::F; NV] {
    assert_eq!(vectors(columns), NV, "{columns} columns in {NV} vectors");
    let values = &values[from..from + columns];
    // SAFETY: so many floats are in the slice.
    unsafe { load(isa, values.as_ptr(), columns - (NV - 1) * LANES) }
}

/// The reverse of [`load_columns`].
///
/// # Panics
/// As it.
#[inline(always)]
pub fn store_columns<I: Isa, const NV: usize>(isa: I, x: [I::F; NV], values: &mut [f32], from: usize, columns: usize) {
    assert_eq!(vectors(columns), NV, "{columns} columns in {NV} vectors");
    let values = &mut values[from..from + columns];
    // SAFETY: so many floats are in the slice.
    unsafe { store(isa, x, values.as_mut_ptr(), columns - (NV - 1) * LANES) }
}
