//! Passes down the columns of matrices, a block of rows at a time.
//!
//! ```text
//! plain:  for each column j:  for each row i:  s[j] ← f(s[j], x[i, j])
//!
//!             along the rows ──▶
//!  rows 0-7   ▓▓▓▓ ▓▓▓▓ ▓▓▓▓ …     one vector of all eight rows, with the numbers s of its columns in registers;
//!  rows 8-15  …                    then the next vector
//! ```
//!
//! A sum, a mean or a variance of a column goes down the column. Memory goes along the rows.
//!
//! 1. *A block of rows at a time.* Row by row, the numbers of the columns would be loaded and stored for every row. A
//!    block loads and stores them once. A block has eight rows, as drawn, or four or two, if a kernel needs the
//!    registers for more matrices.
//! 2. *Along the rows.* A block is eight streams, which the hardware prefetches. A walk down a strip of 64 columns
//!    would keep all sums in registers. But the rows of a wide matrix are a page apart, which no hardware prefetches,
//!    and if that distance is a power of two they compete for the same places in the caches.
//! 3. *Folded* ([`each`]). If every row is treated alike, rows of 100 floats are taken four at a time, as 25 whole
//!    vectors on cache lines. Sums of columns are not folded: their order is that of the rows.
//! 4. *Written once.* [`pass`] is the loop for whole blocks, for the remaining rows, and for the last vector. A kernel
//!    says what happens to one vector of a block ([`BlockKernel`]).
//!
//! What each idea gains: `docs/measurements.md`, 5.

use super::columns::{Columns, ColumnsMut};
use crate::isa::{Isa, LANES};
use std::mem::MaybeUninit;

/// What happens to one vector of columns of a block of `R` rows. The kernel reads `X` matrices, writes `Y` matrices,
/// reads `P` numbers for each column, and updates `A` numbers for each column.
pub trait BlockKernel<const X: usize, const Y: usize, const P: usize, const A: usize> {
    /// The rows of Y and the updated numbers, from the rows of X, the numbers that are only read, and the numbers
    /// before the update. `first` is the number of the first row.
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
/// Rows in descending order. A second pass over a matrix as large as the cache then begins with the rows that the first
/// pass has read last, which are still there. In ascending order it would begin with rows that were just evicted.
pub const DESCENDING: bool = false;

/// Runs a kernel over all rows, in blocks of `R`, and the remaining rows one by one. Each block goes from the first
/// column to the last.
///
/// # Panics
/// If the matrices differ in shape, or there is not one number for each column.
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

/// The rows and columns that all matrices have.
///
/// # Panics
/// If the matrices differ in shape, or there is not one number for each column.
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

/// Most floats of a row of a folded matrix. It sizes the arrays on the stack that hold the repeated numbers of
/// [`each`].
const FOLDED: usize = 1024;

/// [`pass`] for a kernel that does the same with every row and updates no numbers. The row number that such a kernel is
/// given has no meaning.
///
/// Rows of 100 floats begin anywhere in a cache line. So most vectors straddle two lines, and a store that does takes
/// several cycles. Four such rows are 25 whole vectors. So a dense matrix is folded into rows of a whole number of
/// vectors, and the numbers of the columns are repeated as often. The remaining rows are done as they are.
///
/// # Panics
/// If the matrices differ in shape, or there is not one number for each column.
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

/// A thread's share of a matrix that is larger is written past the caches. No cache holds it when it is read again, and
/// a line that is written past the caches is not read first.
///
/// Measured: bytes; more than the L2 of a core and its share of L3, where streaming gains on every machine measured;
/// `cargo bench --bench layers -- batch_norm`
const STREAM_ABOVE: usize = 32 << 20;

/// Runs a kernel once for each vector of columns, without a matrix: what is done between two passes. The kernel is
/// given `rows` as the number of the first row.
///
/// # Panics
/// If there is not one number for each column everywhere.
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
/// - the matrices have rows `first..first + R` and `columns` columns, of which `whole` are in whole vectors;
/// - there is a number for each column;
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
/// - the matrices have rows `first..first + R` and columns `from..from + count`, and `count ≤ 16`;
/// - there is a number for each column;
/// - with `STREAM`, `count` is 16 and the addresses in Y are multiples of 64 bytes.
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
