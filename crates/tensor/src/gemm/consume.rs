//! A product that is used while it is in the cache, and never stored: a gradient on its way into an update.
//!
//! ```text
//! plain:  C ← A·B;  for each element e of C, in any order:  f(C[e], t₀[e], t₁[e], …)
//!
//! here:   for each 48 rows of C:  compute them in a buffer of the thread's own;  f(those rows of C, of t₀, of t₁, …)
//! ```
//!
//! The gradient of a weight matrix is as large as the matrix, and is read once, by the optimizer, right after it was
//! written. A buffer of 48 rows takes its place: 19 KB for a layer of 100 units instead of 313 KB. With Adam the
//! weights, two moments and the gradient of the chapter's network are 1.9 MB, more than L2 beside the activations;
//! without the gradient they fit.
//!
//! Each element is the same chain over k, so the bits are those of the stored product.

use super::driver;
use super::needed::LeftOut;
use super::operands::Source;
use super::pieces::Piece;
use super::plan::{self, Blocking, Product};
use super::{Gemm, check_inner, mismatch};
use crate::array::{ShapeError, Tensor, View};
use crate::exec::Exec;
use crate::vec::{ByteRows, Slices};

/// Steps of k up to which the product is handed over; a longer one is stored after all, in a buffer of the call.
const LONGEST: usize = 2048;

/// Whether handing C over pays, when it and its targets are `elements` floats each, `targets` of them: as long as they
/// stay in L2. Larger ones come from beyond it, and then one long stream over all of them (22 GB/s where this was
/// measured) is faster than a piece of 48 rows at a time, which the hardware does not foresee (6 GB/s).
pub fn consume_pays(elements: usize, targets: usize) -> bool {
    elements * targets * size_of::<f32>() <= 2 * Blocking::default().near_c
}

/// Calls `f(exec, c, t)` for every piece of C = A·B, with the same elements of each target: so many elements that are
/// adjacent in all of them, each element once, in any order, on any thread. A target is row-major and as large as C, or
/// empty. `f` runs on one thread each time.
///
/// ```
/// use tensor::{Exec, Tensor, gemm};
/// let x = Tensor::from_slice(&[1.0, 2.0], [1, 2])?;
/// let dy = Tensor::from_slice(&[3.0], [1, 1])?;
/// let mut weights = [10.0, 10.0];
/// gemm::consume(Exec::serial(), x.view().t(), dy.view(), [&mut weights], &|_, gradient, [weights]| {
///     for (w, g) in weights.iter_mut().zip(gradient) {
///         *w -= 0.5 * g;
///     }
/// })?;
/// assert_eq!(weights, [8.5, 7.0]);
/// # Ok::<(), tensor::ShapeError>(())
/// ```
///
/// Cost: that of the product, and one call of `f` for some thousand elements. A warm call does not allocate where k
/// ≤ 2048.
///
/// # Errors
/// If the columns of A are not the rows of B, or a target that is not empty has another size.
pub fn consume<const S: usize>(
    exec: Exec,
    a: View<'_, f32, 2>,
    b: View<'_, f32, 2>,
    targets: [&mut [f32]; S],
    f: &(impl Fn(Exec, &[f32], [&mut [f32]; S]) + Sync),
) -> Result<(), ShapeError> {
    consume_source(exec, Source::Floats(a), b, targets, f)
}

/// [`consume`] with Xᵀ for A, where X is the floats that the bytes stand for: the gradient of a first layer's weights.
/// Samples that are 0 in all columns of X that a tile has, or in one column where they are computed one at a time, are
/// left out, as in [`multiply_bytes`](super::multiply_bytes).
///
/// # Errors
/// As [`consume`].
pub fn consume_bytes<const S: usize>(
    exec: Exec,
    x: ByteRows<'_>,
    b: View<'_, f32, 2>,
    targets: [&mut [f32]; S],
    f: &(impl Fn(Exec, &[f32], [&mut [f32]; S]) + Sync),
) -> Result<(), ShapeError> {
    consume_source(exec, Source::BytesTransposed(x), b, targets, f)
}

fn consume_source<const S: usize>(
    exec: Exec,
    a: Source<'_>,
    b: View<'_, f32, 2>,
    mut targets: [&mut [f32]; S],
    f: &(impl Fn(Exec, &[f32], [&mut [f32]; S]) + Sync),
) -> Result<(), ShapeError> {
    let ([m, k], n) = (a.shape(), b.cols());
    check_inner(a.shape(), b.shape())?;
    if let Some(target) = targets.iter().find(|target| !target.is_empty() && target.len() != m * n) {
        return Err(mismatch("A·B", &[m, n], "a target", &[target.len()], "it must have as many elements, or none"));
    }
    if m == 0 || n == 0 {
        return Ok(());
    }
    let exec_of_f = exec.one_thread();
    if k > LONGEST {
        let mut c = Tensor::zeros([m, n]);
        let gathered;
        let a = match a {
            Source::Floats(a) => a,
            Source::Bytes(x) => {
                gathered = x.to_tensor(exec);
                gathered.view()
            }
            Source::BytesTransposed(x) => {
                gathered = x.to_tensor(exec);
                gathered.view().t()
            }
        };
        Gemm::new(a, b, c.view_mut()).run(exec)?;
        f(exec_of_f, c.as_slice(), targets);
        return Ok(());
    }
    let targets = Slices::new(&mut targets);
    let consumer = |piece: Piece<'_>| {
        let Piece { rows, columns, values } = piece;
        if columns.len() == n {
            // SAFETY: the driver hands over each element once.
            f(exec_of_f, values, unsafe { targets.pieces(rows.start * n..rows.end * n) });
            return;
        }
        for (row, values) in rows.zip(values.chunks_exact(columns.len())) {
            // SAFETY: as above.
            f(exec_of_f, values, unsafe { targets.pieces(row * n + columns.start..row * n + columns.end) });
        }
    };
    let mut product = Product { storing: true, one_block: true, ..Product::leaving_out(exec, a, b) };
    if product.left_out == LeftOut::Steps && !product.bytes {
        // Nobody has looked whether tiles of floats that are handed over gain by it.
        product.left_out = LeftOut::Nothing;
    }
    // All of k is one block.
    let blocking = Blocking::of(exec.isa());
    let blocking =
        Blocking { kc: blocking.kc.max(k), nc: (blocking.kc * blocking.nc / blocking.kc.max(k)).max(64), ..blocking };
    plan::execute(exec, &product, &blocking, |plan| driver::consume(exec, plan, a, b, &consumer));
    Ok(())
}
