//! Sharing kernels that move memory among the threads of an [`Exec`]: strips of columns, or pieces of slices. Safe, because no two calls get
//! the same elements.

use super::columns::{Strip, StripMut, strips};
use crate::array::{View, ViewMut};
use crate::exec::Exec;
use crate::isa::{Isa, Op};
use crate::team::{Workers, parallel};

/// A kernel that works down strips of columns, each strip for itself: it reads `X` matrices, writes `Y` matrices and `P` numbers a
/// column.
pub trait StripKernel<const X: usize, const Y: usize, const P: usize>: Sync {
    /// Does one strip: columns `from..from + columns`, as `NV` vectors. `per_column` are the numbers of these columns.
    fn run<I: Isa, const NV: usize>(
        &self,
        isa: I,
        columns: (usize, usize),
        x: [Strip<'_, NV>; X],
        y: [StripMut<'_, NV>; Y],
        per_column: [&mut [f32]; P],
    );
}

/// Bytes of a strip of all matrices together that stay in a near cache while a kernel goes down the strip more than once.
const NEAR: usize = 1 << 20;
/// Elements a helper must have to be worth sharing with: half a microsecond of them, and as long to call him.
const PER_HELPER: usize = 16384;
/// Elements that are worth waking threads for.
const TO_WAKE: usize = 1 << 20;

/// Threads for so many elements.
fn threads(exec: Exec, elements: usize) -> usize {
    let most = exec.threads().min(elements / PER_HELPER).max(1);
    if most > 1 && (elements >= TO_WAKE || Workers::now() == Workers::Helping) { most } else { 1 }
}

/// Matrices that threads write strips of.
struct Outputs<'a, const Y: usize, const P: usize> {
    y: [(*mut f32, usize, [usize; 2], [usize; 2]); Y],
    per_column: [(*mut f32, usize); P],
    marker: std::marker::PhantomData<&'a mut f32>,
}
// SAFETY: each strip is written by the one thread that took it.
unsafe impl<const Y: usize, const P: usize> Sync for Outputs<'_, Y, P> {}

/// Runs a kernel over all strips of matrices of the same shape, shared out over the threads.
///
/// # Panics
/// If the shapes or lengths differ, or the elements of a row are not adjacent.
pub fn for_each_strip<K: StripKernel<X, Y, P>, const X: usize, const Y: usize, const P: usize>(
    exec: Exec,
    kernel: &K,
    x: [View<'_, f32, 2>; X],
    mut y: [ViewMut<'_, f32, 2>; Y],
    mut per_column: [&mut [f32]; P],
) {
    let [rows, width] = x.first().map_or_else(|| y[0].shape(), View::shape);
    assert!(x.iter().all(|x| x.shape() == [rows, width]) && y.iter().all(|y| y.shape() == [rows, width]), "one shape");
    assert!(per_column.iter().all(|values| values.len() == width), "one number a column");
    let apart = |strides: [usize; 2]| strides[1] == 1 || width <= 1;
    assert!(x.iter().all(|x| apart(x.strides())) && y.iter().all(|y| apart(y.strides())), "rows of adjacent elements");
    let outputs = Outputs {
        y: y.each_mut().map(|y| {
            let (shape, strides) = (y.shape(), y.strides());
            let data = y.data_mut();
            (data.as_mut_ptr(), data.len(), shape, strides)
        }),
        per_column: per_column.each_mut().map(|values| (values.as_mut_ptr(), values.len())),
        marker: std::marker::PhantomData,
    };
    // Captured whole, for it is the whole that is `Sync`.
    let outputs = &outputs;
    let wide = strips(width, rows * (X + Y) * size_of::<f32>(), NEAR);
    parallel(threads(exec, rows * width), width.div_ceil(wide), &|strip| {
        let from = strip * wide;
        let columns = wide.min(width - from);
        match columns.div_ceil(crate::isa::LANES) {
            1 => exec.run(OneStrip::<K, X, Y, P, 1> { kernel, from, columns, x, outputs }),
            2 => exec.run(OneStrip::<K, X, Y, P, 2> { kernel, from, columns, x, outputs }),
            3 => exec.run(OneStrip::<K, X, Y, P, 3> { kernel, from, columns, x, outputs }),
            _ => exec.run(OneStrip::<K, X, Y, P, 4> { kernel, from, columns, x, outputs }),
        }
    });
}

struct OneStrip<'a, K, const X: usize, const Y: usize, const P: usize, const NV: usize> {
    kernel: &'a K,
    from: usize,
    columns: usize,
    x: [View<'a, f32, 2>; X],
    outputs: &'a Outputs<'a, Y, P>,
}

impl<K: StripKernel<X, Y, P>, const X: usize, const Y: usize, const P: usize, const NV: usize> Op
    for OneStrip<'_, K, X, Y, P, NV>
{
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { kernel, from, columns, x, outputs } = self;
        let x = x.map(|x| Strip::<NV>::new(x, from, columns));
        // SAFETY: the pointers, shapes and strides are those of views that live as long as this call; each strip is run once, so
        // nobody else has these columns.
        let y = outputs.y.map(|(start, len, shape, strides)| unsafe {
            StripMut::<NV>::from_raw(start, len, shape, strides, from, columns)
        });
        let per_column = outputs.per_column.map(|(start, len)| {
            assert!(from + columns <= len);
            // SAFETY: inside the slice, as just checked; each strip is run once.
            unsafe { std::slice::from_raw_parts_mut(start.add(from), columns) }
        });
        kernel.run::<I, NV>(isa, (from, columns), x, y, per_column);
    }
}

/// Elements of a piece of [`for_each_piece`].
const PIECE: usize = 1 << 14;

/// Slices that threads write pieces of.
struct Slices<const S: usize>([(*mut f32, usize); S]);
// SAFETY: each piece is written by the one thread that took it.
unsafe impl<const S: usize> Sync for Slices<S> {}

/// Calls `f(range, pieces)` for pieces of slices of one length, shared out over the threads: the same elements `range` of each. A slice may
/// also be empty; its pieces are.
///
/// # Panics
/// If the first slice is not the longest, or another is neither as long nor empty.
pub fn for_each_piece<const S: usize>(
    exec: Exec,
    mut slices: [&mut [f32]; S],
    f: &(impl Fn(std::ops::Range<usize>, [&mut [f32]; S]) + Sync),
) {
    let len = slices.first().map_or(0, |slice| slice.len());
    assert!(slices.iter().all(|slice| slice.len() == len || slice.is_empty()), "slices of one length");
    let threads = threads(exec, len);
    if threads == 1 {
        f(0..len, slices);
        return;
    }
    let slices = &Slices(slices.each_mut().map(|slice| (slice.as_mut_ptr(), slice.len())));
    parallel(threads, len.div_ceil(PIECE), &|piece| {
        let range = piece * PIECE..len.min((piece + 1) * PIECE);
        let pieces = slices.0.map(|(start, len)| {
            let range = if len == 0 { 0..0 } else { range.clone() };
            assert!(range.end <= len);
            // SAFETY: inside the slice, as just checked; each piece is taken once.
            unsafe { std::slice::from_raw_parts_mut(start.add(range.start), range.len()) }
        });
        f(range, pieces);
    });
}
