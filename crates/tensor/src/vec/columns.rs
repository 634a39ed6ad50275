//! Columns of a matrix, as kernels that go along the rows see them.
//!
//! ```text
//! element (i, j) of the columns:   start + i·stride + j        i < rows, j < columns, the elements of a row adjacent
//! ```
//!
//! Threads share the columns of a matrix. So a thread holds a [`Columns`] or [`ColumnsMut`]: a part of each row. What
//! is done with them stands in `pass.rs`.

use crate::array::View;
use std::marker::PhantomData;
use std::ops::Range;

/// Columns of a matrix, to be read.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    pub(super) start: *const f32,
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    matrix: PhantomData<&'a f32>,
}

impl<'a> Columns<'a> {
    /// Columns `from..from + columns` of a matrix.
    ///
    /// # Panics
    /// If they are not there, or their elements are not adjacent.
    pub fn new(x: View<'a, f32, 2>, from: usize, columns: usize) -> Self {
        let x = x.slice(1, from..from + columns).unwrap_or_else(|error| panic!("{error}"));
        assert!(x.strides()[1] == 1 || columns <= 1, "the elements of a row are {} apart", x.strides()[1]);
        Self { start: x.data().as_ptr(), stride: x.strides()[0], rows: x.rows(), columns, matrix: PhantomData }
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The rows `rows` of the columns `columns`.
    ///
    /// # Panics
    /// If they are not there.
    pub fn part(&self, rows: Range<usize>, columns: Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.rows, "rows {rows:?} of {}", self.rows);
        assert!(columns.start <= columns.end && columns.end <= self.columns, "columns {columns:?} of {}", self.columns);
        let start = self.start.wrapping_add(rows.start * self.stride + columns.start);
        Self { start, rows: rows.len(), columns: columns.len(), ..*self }
    }

    /// Whether a row begins where the one before ends.
    pub(super) fn is_dense(&self) -> bool {
        self.stride == self.columns
    }

    /// The same dense matrix with `times` rows as one, without the rows left over.
    pub(super) fn folded(&self, times: usize) -> Self {
        let columns = times * self.columns;
        Self { rows: self.rows / times, columns, stride: columns, ..*self }
    }
}

/// Columns of a matrix, to be written.
#[derive(Debug)]
pub struct ColumnsMut<'a> {
    pub(super) start: *mut f32,
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    matrix: PhantomData<&'a mut f32>,
}

impl ColumnsMut<'_> {
    /// Columns `from..from + columns` of the matrix at `start`.
    ///
    /// # Safety
    /// - `start` is valid for `len` floats for as long as this is used, and nobody else uses these columns meanwhile.
    ///
    /// # Panics
    /// If the columns are not there, or their elements are not adjacent.
    pub(super) unsafe fn from_raw(
        start: *mut f32,
        len: usize,
        [rows, width]: [usize; 2],
        [stride, apart]: [usize; 2],
        from: usize,
        columns: usize,
    ) -> Self {
        assert!(from + columns <= width && (rows == 0 || (rows - 1) * stride + width <= len), "the columns are there");
        assert!(apart == 1 || width <= 1, "the elements of a row are {apart} apart");
        Self { start: start.wrapping_add(from), stride, rows, columns, matrix: PhantomData }
    }

    /// Whether a row begins where the one before ends.
    pub(super) fn is_dense(&self) -> bool {
        self.stride == self.columns
    }

    /// The same dense matrix with `times` rows as one, without the rows left over.
    pub(super) fn folded(&mut self, times: usize) -> ColumnsMut<'_> {
        let columns = times * self.columns;
        ColumnsMut { start: self.start, rows: self.rows / times, columns, stride: columns, matrix: PhantomData }
    }

    /// All rows but the first `from ≤ rows`.
    pub(super) fn rows_from(&mut self, from: usize) -> ColumnsMut<'_> {
        ColumnsMut { start: self.start.wrapping_add(from * self.stride), rows: self.rows - from, ..*self }
    }
}
