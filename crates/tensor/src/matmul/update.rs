//! A product that is fed to an update and never stored: the gradient of a weight matrix.
//!
//! ```text
//! plain:  C ← A·B;  for each element e of C, in any order:  f(C[e], t₀[e], t₁[e], …)
//!
//! here:   for each row panel of C:  compute it in scratch;  f(those rows of C, of t₀, of t₁, …)
//! ```
//!
//! A weight's gradient is as large as the weights and is read once, right after it is written. A row panel of it takes
//! its place, which is still in a near cache when the update reads it. Each element is the same chain over k, so the bits
//! are those of the stored product.

use super::{CONVERTED_ROWS, Zeros, check_inner, converted_bytes, mismatch, pieces, rows_of};
use crate::array::{ShapeError, View, ViewMut};
use crate::exec::Exec;
use crate::gemm::{Epilogue, Output, Plan, threads_for};
use crate::isa::LANES;
use crate::machine::scratch::{Arena, bytes_of, with_scratch};
use crate::sparse::{self, Cut, Group, Panel};
use crate::threads::{parallel, share};
use crate::vec::{Lhs, Slices};
use std::ops::Range;

/// Rows of a panel: of a dense product eight tiles of AVX2's six, and of a sparse one, whose panel of B comes to L1 for
/// each, four times as many.
const DENSE_ROWS: usize = 48;
const SPARSE_ROWS: usize = 192;

/// Whether to feed C to an update pays, when C and its targets are `elements` floats each and there are `targets` of
/// them: as long as they stay in L2. Larger ones stream from beyond it, and one long stream over all of them is faster
/// than one panel after the other.
pub fn update_pays(exec: Exec, elements: usize, targets: usize) -> bool {
    elements * targets * size_of::<f32>() <= exec.caches().l2
}

/// Bytes of scratch for a panel of C.
pub(super) fn panel_bytes([m, k, n]: [usize; 3]) -> usize {
    bytes_of::<f32>(m.min(SPARSE_ROWS) * n) + converted_bytes([m, k])
}

/// Calls `f(exec, c, t)` for each row panel of C = A·B, with the same rows of each target: elements that are adjacent in
/// all of them, each element once, in any order, on any thread. A target is row-major and as large as C, or empty. `f`
/// runs on one thread each time. A warm call does not allocate.
///
/// ```
/// use tensor::matmul::{self, Zeros};
/// use tensor::{Exec, Tensor};
/// let x = Tensor::from_slice(&[1.0, 2.0], [1, 2])?;
/// let dy = Tensor::from_slice(&[3.0], [1, 1])?;
/// let mut weights = [10.0, 10.0];
/// matmul::update(Exec::serial(), x.view().t(), dy.view(), Zeros::Ask, [&mut weights], &|_, gradient, [weights]| {
///     for (w, g) in weights.iter_mut().zip(gradient) {
///         *w -= 0.5 * g;
///     }
/// })?;
/// assert_eq!(weights, [8.5, 7.0]);
/// # Ok::<(), tensor::ShapeError>(())
/// ```
///
/// # Errors
/// If the columns of A are not the rows of B, or a target that is not empty has another size than C.
pub fn update<'a, const S: usize>(
    exec: Exec,
    a: impl Into<Lhs<'a>>,
    b: View<'_, f32, 2>,
    zeros: Zeros,
    mut targets: [&mut [f32]; S],
    f: &(impl Fn(Exec, &[f32], [&mut [f32]; S]) + Sync),
) -> Result<(), ShapeError> {
    let a = a.into();
    let ([m, k], n) = (a.shape(), b.cols());
    check_inner(a.shape(), b.shape())?;
    if let Some(target) = targets.iter().find(|target| !target.is_empty() && target.len() != m * n) {
        return Err(mismatch("A·B", &[m, n], "a target", &[target.len()], "it must have as many elements, or none"));
    }
    if m == 0 || n == 0 {
        return Ok(());
    }
    let (threads, one) = (threads_for(exec, [m, k, n]), exec.one_thread());
    let sparse = zeros == Zeros::Ask && sparse::pays(exec, a, n);
    let targets = Slices::new(&mut targets);
    // Some rows and columns of C, row after row.
    let feed = |rows: Range<usize>, columns: Range<usize>, c: &[f32]| {
        if columns.len() == n {
            // SAFETY: each element of C comes once, on the thread that has its rows.
            return f(one, c, unsafe { targets.pieces(rows.start * n..rows.end * n) });
        }
        for (row, c) in rows.zip(c.chunks_exact(columns.len())) {
            // SAFETY: as above.
            f(one, c, unsafe { targets.pieces(row * n + columns.start..row * n + columns.end) });
        }
    };
    let room = super::scratch_bytes([m, k, n]);
    parallel(threads, threads, &|at| {
        let rows = share(m, LANES, at, threads);
        with_scratch(room, |arena| {
            if sparse { by_bits(one, a, b, rows, arena, &feed) } else { dense(one, a, b, rows, arena, &feed) }
        });
    });
    Ok(())
}

/// What takes rows and columns of C.
type Feed<'a> = &'a dyn Fn(Range<usize>, Range<usize>, &[f32]);

/// Every step is done.
fn dense(exec: Exec, a: Lhs<'_>, b: View<'_, f32, 2>, rows: Range<usize>, mut arena: Arena<'_>, feed: Feed<'_>) {
    let ([_, k], n) = (a.shape(), b.cols());
    let c = arena.take::<f32>(rows.len().min(DENSE_ROWS) * n);
    let floats = match a {
        Lhs::Floats(_) => &mut [],
        Lhs::Bytes(_) | Lhs::BytesTransposed(_) => arena.take::<f32>(rows.len().min(CONVERTED_ROWS) * k),
    };
    for group in pieces(rows.len(), CONVERTED_ROWS) {
        let group = rows.start + group.start..rows.start + group.end;
        let a = a.rows(exec, group.clone(), floats);
        for panel in pieces(group.len(), DENSE_ROWS) {
            let (a, shape) = (rows_of(a, &panel), [panel.len(), n]);
            let plan = Plan::new(exec, [panel.len(), k, n], a.strides(), b.strides());
            let view = ViewMut::new(c, shape).expect("there is room for a panel");
            plan.run_serial(a, b.into(), view, Epilogue::None, arena.reborrow());
            feed(group.start + panel.start..group.start + panel.end, 0..n, &c[..panel.len() * n]);
        }
    }
}

/// The steps at which A is 0 are skipped.
fn by_bits(exec: Exec, a: Lhs<'_>, b: View<'_, f32, 2>, rows: Range<usize>, mut arena: Arena<'_>, feed: Feed<'_>) {
    let (n, cut) = (b.cols(), Cut::new(exec, a, b.cols()));
    let c = arena.take::<f32>(rows.len().min(SPARSE_ROWS) * n);
    for group in cut.groups(rows) {
        let mut arena = arena.reborrow();
        let bits = Group::new(exec, a, group.clone(), cut.steps, &mut arena);
        for columns in cut.panels(0..n) {
            let mut arena = arena.reborrow();
            let panel = Panel::pack(exec, b, columns.clone(), &bits, &mut arena);
            let accumulators = arena.take(group.len().min(SPARSE_ROWS) * panel.width);
            for rows in pieces(group.len(), SPARSE_ROWS) {
                let output = Output::new(c.as_mut_ptr(), columns.len(), Epilogue::None);
                // SAFETY: `c` has room for these rows and columns, and is this thread's own.
                unsafe { sparse::multiply_rows(exec, &bits, rows.clone(), &panel, accumulators, output) }
                let size = rows.len() * columns.len();
                feed(group.start + rows.start..group.start + rows.end, columns.clone(), &c[..size]);
            }
        }
    }
}
