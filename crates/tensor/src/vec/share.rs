//! Sharing kernels that move memory among the threads of an [`Exec`]: columns of matrices, or pieces of slices. Safe,
//! because no two calls get the same elements.

use super::columns::{Columns, ColumnsMut};
use crate::array::{View, ViewMut};
use crate::exec::Exec;
use crate::isa::{Isa, LANES, Op};
use crate::threads::{parallel, share};
use std::marker::PhantomData;
use std::ops::Range;

/// A kernel that works down columns, each for itself: it reads `X` matrices, writes `Y` matrices and `P` numbers a
/// column.
pub trait ColumnKernel<const X: usize, const Y: usize, const P: usize>: Sync {
    /// Does the columns `columns` of the matrices. `per_column` are the numbers of these columns.
    fn run<I: Isa>(
        &self,
        isa: I,
        columns: Range<usize>,
        x: [Columns<'_>; X],
        y: [ColumnsMut<'_>; Y],
        per_column: [&mut [f32]; P],
    );
}

/// Fewest elements of a thread's share in a session. A smaller share takes less time than it takes to publish it.
const MIN_SHARE: usize = 16384;
/// Fewest elements that are shared outside of a session, where the other threads sleep and must be woken.
const MIN_TO_WAKE: usize = 1 << 20;

/// The number of threads that share a kernel of `elements` elements.
fn threads(exec: Exec, elements: usize) -> usize {
    if exec.is_in_session() || elements >= MIN_TO_WAKE { exec.threads().min(elements / MIN_SHARE).max(1) } else { 1 }
}

/// Matrices that threads write columns of.
struct Outputs<'a, const Y: usize, const P: usize> {
    y: [(*mut f32, usize, [usize; 2], [usize; 2]); Y],
    per_column: [(*mut f32, usize); P],
    marker: PhantomData<&'a mut f32>,
}
// SAFETY: each column is written by the one thread that took it.
unsafe impl<const Y: usize, const P: usize> Sync for Outputs<'_, Y, P> {}

/// Runs a kernel over all columns of matrices of the same shape, an even share for each thread.
///
/// # Panics
/// If there is no matrix, the shapes or lengths differ, or the elements of a row are not adjacent.
pub fn for_all_columns<K: ColumnKernel<X, Y, P>, const X: usize, const Y: usize, const P: usize>(
    exec: Exec,
    kernel: &K,
    x: [View<'_, f32, 2>; X],
    mut y: [ViewMut<'_, f32, 2>; Y],
    mut per_column: [&mut [f32]; P],
) {
    let [rows, width] = x.first().map_or_else(|| y[0].shape(), View::shape);
    assert!(x.iter().all(|x| x.shape() == [rows, width]) && y.iter().all(|y| y.shape() == [rows, width]), "one shape");
    assert!(per_column.iter().all(|values| values.len() == width), "one number a column");
    let outputs = Outputs {
        y: y.each_mut().map(|y| {
            let (shape, strides) = (y.shape(), y.strides());
            let data = y.data_mut();
            (data.as_mut_ptr(), data.len(), shape, strides)
        }),
        per_column: per_column.each_mut().map(|values| (values.as_mut_ptr(), values.len())),
        marker: PhantomData,
    };
    // Captured whole, for it is the whole that is `Sync`.
    let outputs = &outputs;
    let shares = threads(exec, rows * width).min(width.div_ceil(LANES)).max(1);
    parallel(shares, shares, &|at| {
        let columns = share(width, LANES, at, shares);
        if !columns.is_empty() {
            exec.run(Share { kernel, columns, x, outputs });
        }
    });
}

struct Share<'a, K, const X: usize, const Y: usize, const P: usize> {
    kernel: &'a K,
    columns: Range<usize>,
    x: [View<'a, f32, 2>; X],
    outputs: &'a Outputs<'a, Y, P>,
}

impl<K: ColumnKernel<X, Y, P>, const X: usize, const Y: usize, const P: usize> Op for Share<'_, K, X, Y, P> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { kernel, columns, x, outputs } = self;
        let (from, count) = (columns.start, columns.len());
        let x = x.map(|x| Columns::new(x, from, count));
        // SAFETY: the pointers, shapes and strides are those of views that live as long as this call; each share is run
        // once, so nobody else has these columns.
        let y = outputs.y.map(|(start, len, shape, strides)| unsafe {
            ColumnsMut::from_raw(start, len, shape, strides, from, count)
        });
        let per_column = outputs.per_column.map(|(start, len)| {
            assert!(columns.end <= len);
            // SAFETY: inside the slice, as just checked; each share is run once.
            unsafe { std::slice::from_raw_parts_mut(start.add(from), count) }
        });
        kernel.run(isa, columns, x, y, per_column);
    }
}

/// Elements of a piece of [`for_each_piece`].
const PIECE: usize = 1 << 14;

/// Slices that threads write pieces of: the same elements of each, except of those that are empty.
pub(crate) struct Slices<const S: usize>([(*mut f32, usize); S]);
// SAFETY: the threads get disjoint pieces.
unsafe impl<const S: usize> Sync for Slices<S> {}

impl<const S: usize> Slices<S> {
    /// These slices, which are to outlive this and to be left alone meanwhile.
    pub fn new(slices: &mut [&mut [f32]; S]) -> Self {
        Self(slices.each_mut().map(|slice| (slice.as_mut_ptr(), slice.len())))
    }

    /// The elements `range` of each slice; of one that is empty, none.
    ///
    /// # Safety
    /// - the slices live, and nobody else has these elements, for as long as they are used.
    ///
    /// # Panics
    /// If they are not there.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn pieces(&self, range: Range<usize>) -> [&mut [f32]; S] {
        self.0.map(|(start, len)| {
            let range = if len == 0 { 0..0 } else { range.clone() };
            assert!(range.end <= len, "elements {range:?} of {len}");
            // SAFETY: inside the slice, as just checked; nobody else has them, as promised.
            unsafe { std::slice::from_raw_parts_mut(start.add(range.start), range.len()) }
        })
    }
}

/// Calls `f(range, pieces)` for pieces of slices of one length, shared out over the threads: the same elements `range`
/// of each. A slice may also be empty; its pieces are.
///
/// # Panics
/// If the first slice is not the longest, or another is neither as long nor empty.
pub fn for_each_piece<const S: usize>(
    exec: Exec,
    mut slices: [&mut [f32]; S],
    f: &(impl Fn(Range<usize>, [&mut [f32]; S]) + Sync),
) {
    let len = slices.first().map_or(0, |slice| slice.len());
    assert!(slices.iter().all(|slice| slice.len() == len || slice.is_empty()), "slices of one length");
    let threads = threads(exec, len);
    if threads == 1 {
        f(0..len, slices);
        return;
    }
    let slices = &Slices::new(&mut slices);
    parallel(threads, len.div_ceil(PIECE), &|piece| {
        let range = piece * PIECE..len.min((piece + 1) * PIECE);
        // SAFETY: the slices are borrowed by this call; each piece is taken once.
        f(range.clone(), unsafe { slices.pieces(range) });
    });
}
