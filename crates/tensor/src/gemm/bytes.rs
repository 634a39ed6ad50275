//! A product whose A is a mini-batch of bytes: images, most of whose pixels are black.

use super::driver;
use super::operands::Source;
use super::plan::{self, Blocking, Product};
use super::prepacked::Prepacked;
use super::{Epilogue, check};
use crate::array::{ShapeError, View, ViewMut};
use crate::exec::Exec;
use crate::vec::ByteRows;

/// C ← epilogue(A·B), where A is the floats that the bytes stand for: the bits are those of [`Gemm`](super::Gemm) with
/// a gathered A. Steps of k whose bytes are 0 in all rows of a tile, or in a row or two where so few are computed at a
/// time, are left out, if B allows it without the change of a bit (`gemm/needed.rs`, `gemm/compressed.rs`); else every
/// step is done. Where A is converted, it is by the thread that multiplies it, some rows at a time. B may be kept packed
/// (by [`Prepacked`]; where that is another matrix of its shape, the product is wrong).
///
/// Cost: 2·m·n·k operations at most; with MNIST's images a fifth to a third of that.
///
/// # Errors
/// As [`Gemm::run`](super::Gemm::run).
///
/// # Panics
/// If the elements of a row of C are not adjacent.
pub fn multiply_bytes(
    exec: Exec,
    a: ByteRows<'_>,
    b: View<'_, f32, 2>,
    prepacked: Option<&Prepacked>,
    c: ViewMut<'_, f32, 2>,
    epilogue: Epilogue<'_>,
) -> Result<(), ShapeError> {
    let ([m, k], n, source) = (a.shape(), b.cols(), Source::Bytes(a));
    check([m, k], b.shape(), c.shape(), epilogue)?;
    if m == 0 || n == 0 {
        return Ok(());
    }
    let product = Product::leaving_out(exec, source, b);
    plan::execute(exec, &product, &Blocking::of(exec.isa()), |plan| {
        driver::run(exec, plan, source, (b, prepacked), 0.0, c, epilogue);
    });
    Ok(())
}
