//! The operands of a product as pointers, wherever they come from.

use super::microkernel::Finish;
use super::pieces::CONVERTED_COLUMNS;
use super::plan::Plan;
use super::prepacked::Prepacked;
use super::table::Tiles;
use crate::array::{AlignedBuf, View};
use crate::exec::Exec;
use crate::isa::LANES;
use crate::vec::ByteRows;
use std::ops::Range;

/// Where A comes from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// A matrix.
    Floats(View<'a, f32, 2>),
    /// Rows of bytes: A is B×I.
    Bytes(ByteRows<'a>),
    /// The transpose of rows of bytes: A is I×B.
    BytesTransposed(ByteRows<'a>),
}

impl Source<'_> {
    /// m and k.
    pub fn shape(&self) -> [usize; 2] {
        match self {
            Self::Floats(a) => a.shape(),
            Self::Bytes(a) => a.shape(),
            Self::BytesTransposed(a) => [a.shape()[1], a.shape()[0]],
        }
    }

    /// The strides of A, of a piece of it if it comes from bytes.
    pub fn strides(&self) -> [usize; 2] {
        match self {
            Self::Floats(a) => a.strides(),
            Self::Bytes(a) => [a.shape()[1], 1],
            Self::BytesTransposed(_) => [1, CONVERTED_COLUMNS],
        }
    }
}

/// The operands as pointers, for all threads.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a> {
    /// Where A comes from; what follows is A if it is floats, else that of a piece, once it is converted.
    pub source: Source<'a>,
    /// Which tiles: whether steps are left out where a tile's rows of A are all zero ([`super::needed`]).
    pub tiles: Tiles,
    pub a: *const f32,
    pub a_strides: [usize; 2],
    /// Floats readable from `a` on.
    pub a_len: usize,
    pub b: *const f32,
    pub b_strides: [usize; 2],
    /// Floats readable from `b` on.
    pub b_len: usize,
    /// B, kept packed.
    pub prepacked: Option<&'a Prepacked>,
    pub c: *mut f32,
    pub c_row: usize,
    pub beta: f32,
    pub finish: Finish,
    /// What the epilogue reads: a bias with a row stride of 0, or a gate.
    pub with: *const f32,
    pub with_row: usize,
}

// SAFETY: A, B and what the epilogue reads are only read; the threads write disjoint rows or columns of C.
unsafe impl Sync for Operands<'_> {}

impl<'a> Operands<'a> {
    /// A·B, without a C yet.
    pub fn new(plan: &Plan, source: Source<'a>, b: View<'_, f32, 2>) -> Self {
        let (a, a_len) = match source {
            Source::Floats(a) => (a.data().as_ptr(), a.data().len()),
            Source::Bytes(_) | Source::BytesTransposed(_) => (std::ptr::null(), 0),
        };
        Self {
            source,
            tiles: plan.tiles,
            a,
            a_strides: source.strides(),
            a_len,
            b: b.data().as_ptr(),
            b_strides: b.strides(),
            b_len: b.data().len(),
            prepacked: None,
            c: std::ptr::null_mut(),
            c_row: 0,
            beta: 0.0,
            finish: Finish::Store,
            with: std::ptr::null(),
            with_row: 0,
        }
    }

    /// These operands with `rows` of A, its steps `steps`, converted from bytes into `to`.
    pub fn converted(self, exec: Exec, rows: Range<usize>, steps: Range<usize>, to: &mut AlignedBuf<f32>) -> Self {
        let [first, start] = [rows.start, steps.start];
        // Rows and columns of the bytes, how far apart they are to lie, and A's strides there.
        let (bytes, [lines, columns], stride, a_strides) = match self.source {
            Source::Floats(_) => return self,
            Source::Bytes(bytes) => {
                let stride = steps.len();
                (bytes, [rows, steps], stride, [stride, 1])
            }
            Source::BytesTransposed(bytes) => {
                // An odd number of cache lines, so that steps lie in different places of L1.
                let stride = (rows.len().div_ceil(LANES) | 1) * LANES;
                (bytes, [steps, rows], stride, [1, stride])
            }
        };
        let needed = stride * lines.len();
        to.make_room(needed);
        bytes.block(exec, lines, columns, to, stride);
        // A[rows.start, steps.start] is the buffer's first element; the others follow with these strides.
        let before = first * a_strides[0] + start * a_strides[1];
        Self { a: to.as_ptr().wrapping_sub(before), a_strides, a_len: before + needed, ..self }
    }
}
