//! Working down the columns of a matrix, a few rows at a time.
//!
//! Per-column statistics (a bias gradient, a mean, a variance) and what is made of them go down columns, but memory
//! goes along rows:
//!
//! ```text
//!           along the rows ──▶                          plain:  for each column j: for each row i: s[j] ← f(s[j], x[i, j])
//!  rows 0-7  ▓▓▓▓ ▓▓▓▓ ▓▓▓▓ …   one vector of all 8 rows at a time, with its numbers a column (s) in registers,
//!  rows 8-15 …                  then the next vector; a block of rows is eight streams that the hardware foresees
//! ```
//!
//! 1. *A block of rows at a time.* Row by row, the numbers a column would be loaded and stored for every row; a block
//!    does it once. It has 8 rows, as drawn, or 4 or 2, where a kernel needs registers for more matrices and numbers.
//! 2. *Along the rows.* Going down a strip of 64 columns instead keeps all sums in registers, and was the first
//!    version. Its rows are a page apart in a wide matrix, which no hardware foresees, and where that is a power of two
//!    they all want the same places in the caches: batch norm at 8192×4096 went 1.9 GB/s.
//! 3. *Folded* ([`each`]): where the same is done with every row, rows of 100 floats are taken four at a time, as 25
//!    whole vectors on cache lines. It took batch norm's forward at 100×100 from 2.05 to 1.45 µs. Sums a column cannot:
//!    their order is that of the rows.
//! 4. *Written once*: [`pass`] is the loop, for whole blocks, the rows left over, and the last vector; a kernel says
//!    what happens to one vector of a block ([`BlockKernel`]).

use crate::array::View;
use crate::isa::{Isa, LANES};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Columns of a matrix, to be read.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    start: *const f32,
    stride: usize,
    rows: usize,
    columns: usize,
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

    /// Some rows of some of the columns.
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
    fn is_dense(&self) -> bool {
        self.stride == self.columns
    }

    /// The same dense matrix with `times` rows as one, without the rows left over.
    fn folded(&self, times: usize) -> Self {
        let columns = times * self.columns;
        Self { rows: self.rows / times, columns, stride: columns, ..*self }
    }
}

/// Columns of a matrix, to be written.
#[derive(Debug)]
pub struct ColumnsMut<'a> {
    start: *mut f32,
    stride: usize,
    rows: usize,
    columns: usize,
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
    fn is_dense(&self) -> bool {
        self.stride == self.columns
    }

    /// The same dense matrix with `times` rows as one, without the rows left over.
    fn folded(&mut self, times: usize) -> ColumnsMut<'_> {
        let columns = times * self.columns;
        ColumnsMut { start: self.start, rows: self.rows / times, columns, stride: columns, matrix: PhantomData }
    }

    /// All rows but the first `from ≤ rows`.
    fn rows_from(&mut self, from: usize) -> ColumnsMut<'_> {
        ColumnsMut { start: self.start.wrapping_add(from * self.stride), rows: self.rows - from, ..*self }
    }
}

/// What happens to one vector of columns of a block of `R` rows: it reads `X` matrices and `P` numbers a column, writes
/// `Y` matrices, and moves `A` numbers a column.
pub trait BlockKernel<const X: usize, const Y: usize, const P: usize, const A: usize> {
    /// The rows of Y, and the moved numbers, from the rows of X (the first of which is row `first`), the numbers that
    /// are only read, and those that move.
    fn block<I: Isa, const R: usize>(
        &self,
        isa: I,
        first: usize,
        x: [[I::F; R]; X],
        fixed: [I::F; P],
        moving: [I::F; A],
    ) -> ([[I::F; R]; Y], [I::F; A]);
}

/// Rows in ascending order.
pub const ASCENDING: bool = true;
/// Rows in descending order: a second pass finds in the cache what the first has read last. (In the same order it would
/// find what it needs first just thrown out: a matrix of 512×1024 as large as L2 took batch norm's forward a quarter
/// longer.)
pub const DESCENDING: bool = false;

/// Runs a kernel over all rows, in blocks of `R` and, past the last of them, one by one; each block from the first
/// column to the last.
///
/// # Panics
/// If the matrices have not the same rows and columns, or there is not one number a column.
#[inline(always)]
pub fn pass<
    I: Isa,
    K,
    const X: usize,
    const Y: usize,
    const P: usize,
    const A: usize,
    const R: usize,
    const ORDER: bool,
>(
    isa: I,
    kernel: &K,
    x: [Columns<'_>; X],
    y: &mut [ColumnsMut<'_>; Y],
    fixed: [&[f32]; P],
    moving: &mut [&mut [f32]; A],
) where
    K: BlockKernel<X, Y, P, A>,
{
    let [rows, columns] = checked_shape(&x, y, &fixed);
    assert!(moving.iter().all(|values| values.len() == columns), "one number a column");
    let whole = columns / LANES * LANES;
    let far = rows * columns * size_of::<f32>() > STREAM_ABOVE;
    let stream = far && y.iter().all(|y| y.start.addr().is_multiple_of(64) && y.stride.is_multiple_of(LANES));
    let (blocks, left) = (rows / R, rows % R);
    for at in 0..blocks + left {
        let at = if ORDER == DESCENDING { blocks + left - 1 - at } else { at };
        let past = blocks * R + at.saturating_sub(blocks);
        // SAFETY: rows `first..first + R`, or one row, are there; Y's begin on cache lines where they are streamed.
        unsafe {
            match (at < blocks, stream) {
                (true, false) => {
                    block::<I, K, X, Y, P, A, R, false>(isa, kernel, x, y, fixed, moving, at * R, whole, columns);
                }
                (true, true) => {
                    block::<I, K, X, Y, P, A, R, true>(isa, kernel, x, y, fixed, moving, at * R, whole, columns);
                }
                (false, _) => {
                    block::<I, K, X, Y, P, A, 1, false>(isa, kernel, x, y, fixed, moving, past, whole, columns);
                }
            }
        }
    }
    if stream {
        isa.fence();
    }
}

/// The rows and columns of all the matrices.
///
/// # Panics
/// If they have not the same, or there is not one number a column.
#[inline(always)]
fn checked_shape(x: &[Columns<'_>], y: &[ColumnsMut<'_>], fixed: &[&[f32]]) -> [usize; 2] {
    let shape = match (x.first(), y.first()) {
        (Some(x), _) => [x.rows, x.columns],
        (None, Some(y)) => [y.rows, y.columns],
        (None, None) => [0, 0],
    };
    assert!(x.iter().all(|x| [x.rows, x.columns] == shape), "matrices of one shape");
    assert!(y.iter().all(|y| [y.rows, y.columns] == shape), "matrices of one shape");
    assert!(fixed.iter().all(|values| values.len() == shape[1]), "one number a column");
    shape
}

/// Floats of a row of a folded matrix, at most: the numbers a column of [`each`] are copied into as many.
const FOLDED: usize = 1024;

/// [`pass`] for a kernel that does the same with every row and moves nothing; the row that it is told of says nothing.
///
/// Rows of 100 floats begin anywhere in a cache line, so that most vectors straddle two, and a store that does takes
/// several cycles. But four such rows are 25 vectors: a dense matrix is folded into rows that are a whole number of
/// vectors, with the numbers a column as often as it takes, and the rows left over are done as they are.
///
/// # Panics
/// If the matrices have not the same rows and columns, or there is not one number a column.
#[inline(always)]
pub fn each<I: Isa, K, const X: usize, const Y: usize, const P: usize, const R: usize, const ORDER: bool>(
    isa: I,
    kernel: &K,
    x: [Columns<'_>; X],
    y: &mut [ColumnsMut<'_>; Y],
    fixed: [&[f32]; P],
) where
    K: BlockKernel<X, Y, P, 0>,
{
    let [rows, columns] = checked_shape(&x, y, &fixed);
    // The least number of rows that are whole vectors together.
    let times = LANES >> columns.trailing_zeros().min(LANES.ilog2());
    let dense = x.iter().all(|x| x.is_dense()) && y.iter().all(|y| y.is_dense());
    if times == 1 || !dense || times * columns > FOLDED || rows < times * R {
        return pass::<I, K, X, Y, P, 0, R, ORDER>(isa, kernel, x, y, fixed, &mut []);
    }
    let mut room = [[const { MaybeUninit::<f32>::uninit() }; FOLDED]; P];
    for (room, values) in room.iter_mut().zip(&fixed) {
        for copy in room.chunks_exact_mut(columns).take(times) {
            for (place, &value) in copy.iter_mut().zip(*values) {
                place.write(value);
            }
        }
    }
    // SAFETY: the first `times · columns` of each have just been written.
    let repeated =
        room.each_ref().map(|room| unsafe { std::slice::from_raw_parts(room.as_ptr().cast(), times * columns) });
    let past = rows / times * times;
    let left = x.map(|x| x.part(past..rows, 0..columns));
    let left_of_y = &mut y.each_mut().map(|y| y.rows_from(past));
    pass::<I, K, X, Y, P, 0, R, ORDER>(isa, kernel, left, left_of_y, fixed, &mut []);
    let folded = x.map(|x| x.folded(times));
    let folded_y = &mut y.each_mut().map(|y| y.folded(times));
    pass::<I, K, X, Y, P, 0, R, ORDER>(isa, kernel, folded, folded_y, repeated, &mut []);
}

/// Bytes of a thread's share of a matrix above which it is written past the caches: they hold none of it when it is
/// read again, and a line that is written whole need not be read first. It took batch norm at 8192×4096 from 29 to 20
/// ms forward, from 45 to 37 ms backward.
const STREAM_ABOVE: usize = 32 << 20;

/// Runs a kernel once for each vector of columns, on numbers a column alone: what is done between two passes. It is
/// told of `rows` as the first row.
///
/// # Panics
/// If there is not one number a column everywhere.
#[inline(always)]
pub fn once<I: Isa, K: BlockKernel<0, 0, P, A>, const P: usize, const A: usize>(
    isa: I,
    kernel: &K,
    rows: usize,
    fixed: [&[f32]; P],
    moving: &mut [&mut [f32]; A],
) {
    let columns = moving.first().map_or(0, |values| values.len());
    assert!(fixed.iter().all(|values| values.len() == columns), "one number a column");
    assert!(moving.iter().all(|values| values.len() == columns), "one number a column");
    for from in (0..columns).step_by(LANES) {
        // SAFETY: there are no matrices, and a number for each column.
        unsafe {
            one::<I, K, 0, 0, P, A, 1, false>(
                isa,
                kernel,
                [],
                &mut [],
                fixed,
                moving,
                rows,
                from,
                LANES.min(columns - from),
            );
        }
    }
}

/// One block, from the first column to the last.
///
/// # Safety
/// - rows `first..first + R` are those of the matrices, `columns` their columns, `whole` those in whole vectors; there
///   is a number for each;
/// - with `STREAM`, the rows of Y begin at multiples of 64 bytes.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn block<
    I: Isa,
    K,
    const X: usize,
    const Y: usize,
    const P: usize,
    const A: usize,
    const R: usize,
    const STREAM: bool,
>(
    isa: I,
    kernel: &K,
    x: [Columns<'_>; X],
    y: &mut [ColumnsMut<'_>; Y],
    fixed: [&[f32]; P],
    moving: &mut [&mut [f32]; A],
    first: usize,
    whole: usize,
    columns: usize,
) where
    K: BlockKernel<X, Y, P, A>,
{
    for from in (0..whole).step_by(LANES) {
        // SAFETY: as promised; `from + 16 ≤ whole`.
        unsafe { one::<I, K, X, Y, P, A, R, STREAM>(isa, kernel, x, y, fixed, moving, first, from, LANES) }
    }
    if whole < columns {
        // SAFETY: as promised.
        unsafe { one::<I, K, X, Y, P, A, R, false>(isa, kernel, x, y, fixed, moving, first, whole, columns - whole) }
    }
}

/// One vector of a block.
///
/// # Safety
/// - rows `first..first + R` and columns `from..from + count` are those of the matrices, `count ≤ 16`, and there is a
///   number for each column;
/// - with `STREAM`, `count` is 16 and the places in Y are multiples of 64 bytes.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn one<
    I: Isa,
    K,
    const X: usize,
    const Y: usize,
    const P: usize,
    const A: usize,
    const R: usize,
    const STREAM: bool,
>(
    isa: I,
    kernel: &K,
    x: [Columns<'_>; X],
    y: &mut [ColumnsMut<'_>; Y],
    fixed: [&[f32]; P],
    moving: &mut [&mut [f32]; A],
    first: usize,
    from: usize,
    count: usize,
) where
    K: BlockKernel<X, Y, P, A>,
{
    let zero = isa.splat(0.0);
    let (mut rows, mut numbers, mut moved) = ([[zero; R]; X], [zero; P], [zero; A]);
    // SAFETY: every address is one of those that were promised.
    unsafe {
        for (rows, x) in rows.iter_mut().zip(&x) {
            for (r, row) in rows.iter_mut().enumerate() {
                *row = load(isa, x.start.add((first + r) * x.stride + from), count);
            }
        }
        for (number, values) in numbers.iter_mut().zip(&fixed) {
            *number = load(isa, values.as_ptr().add(from), count);
        }
        for (number, values) in moved.iter_mut().zip(moving.iter()) {
            *number = load(isa, values.as_ptr().add(from), count);
        }
        let (out, moved) = kernel.block::<I, R>(isa, first, rows, numbers, moved);
        for (rows, y) in out.into_iter().zip(y) {
            for (r, row) in rows.into_iter().enumerate() {
                let to = y.start.add((first + r) * y.stride + from);
                if STREAM { isa.stream_ptr(row, to) } else { store(isa, row, to, count) }
            }
        }
        for (number, values) in moved.into_iter().zip(moving) {
            store(isa, number, values.as_mut_ptr().add(from), count);
        }
    }
}

/// # Safety
/// `at` is readable for `count ≤ 16` floats.
#[inline(always)]
unsafe fn load<I: Isa>(isa: I, at: *const f32, count: usize) -> I::F {
    // SAFETY: as promised.
    unsafe { if count == LANES { isa.load_ptr(at) } else { isa.load_ptr_part(at, count) } }
}

/// # Safety
/// `to` is writable for `count ≤ 16` floats.
#[inline(always)]
unsafe fn store<I: Isa>(isa: I, value: I::F, to: *mut f32, count: usize) {
    // SAFETY: as promised.
    unsafe { if count == LANES { isa.store_ptr(value, to) } else { isa.store_ptr_part(value, to, count) } }
}
