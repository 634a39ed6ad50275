//! A mini-batch that is not gathered: rows of bytes, picked at random, which become floats where they are used.
//!
//! ```text
//! x[r, j] = bytes[indices[r], j] / 255          plain: for each r, for each j
//! ```
//!
//! The rows lie anywhere in 47 MB of bytes. Gathered into a matrix of floats first, a batch of 128 images is 400 KB:
//! written once, read by the first layer's forward product and again by its gradient, and a fifth of L2 meanwhile.
//! Instead the matrix product reads the bytes where they lie, multiplies those that are not 0 (`gemm/needed.rs`,
//! `gemm/compress.rs`, `gemm/images.rs`, and `gemm/pixels.rs` for the gradient), or reads what is known of them
//! ([`NonzeroBytes`]). Where most of them are not, it converts a piece of X, the up to 36 rows or 208 columns that its
//! next tiles need (`ByteRows::block`): 106 to 113 KB of floats, which lie in L2. Of converting:
//!
//! 1. *Bytes are asked for ahead.* The forward product's tiles ask for the next piece's, which come while the tiles
//!    multiply; the gradient's are asked for as they are converted, two rows ahead. The hardware foresees lines inside
//!    a row, but not which row is next: waiting for them was 15 of the 25 µs that gathering took.
//! 2. *No division.* With r = 1/255 rounded and s what it lacks, b·r + (b·s) is b / 255 rounded once, for each of the
//!    256 bytes: a product and a fused multiply-add instead of a division of sixteen, which takes as long as twenty.
//! 3. *Threads*: each converts what it multiplies. A gathered X would be written by one core and read by the other, and
//!    owned again for the next step: 30 µs of a step of 320.

use crate::array::{Tensor, ViewMut};
use crate::exec::Exec;
use crate::isa::{Isa, LANES, Op};
use crate::vec::{NonzeroBlocks, NonzeroBytes};
use std::ops::Range;

/// Rows asked for ahead, while rows are converted one after the other.
const AHEAD: usize = 2;
/// Bytes of a cache line.
const LINE: usize = 64;

/// A B×I matrix of floats from 0 to 1, as the bytes they are made of.
#[derive(Clone, Copy, Debug)]
pub struct ByteRows<'a> {
    bytes: &'a [u8],
    width: usize,
    indices: &'a [usize],
    nonzero: Option<&'a NonzeroBytes>,
    blocks: Option<&'a NonzeroBlocks>,
}

impl<'a> ByteRows<'a> {
    /// Rows `indices` of the row-major matrix `bytes` of that width.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn new(bytes: &'a [u8], width: usize, indices: &'a [usize]) -> Self {
        let count = bytes.len().checked_div(width).unwrap_or(usize::MAX);
        if let Some(index) = indices.iter().find(|&&index| index >= count) {
            panic!("row {index} of {count}");
        }
        Self { bytes, width, indices, nonzero: None, blocks: None }
    }

    /// The same rows, with what is known of all of `bytes`: a product need not look for those that are not 0.
    ///
    /// # Panics
    /// If it is known of a matrix of another shape. (Of other bytes of that shape, the products are wrong.)
    #[must_use]
    pub fn with_nonzero(self, nonzero: &'a NonzeroBytes) -> Self {
        let rows = self.bytes.len().checked_div(self.width).unwrap_or(nonzero.shape()[0]);
        assert_eq!(nonzero.shape(), [rows, self.width], "what is known is known of these bytes");
        Self { nonzero: Some(nonzero), ..self }
    }

    /// The same rows, with those of their bytes that are not 0 as a product reads them
    /// ([`block_of_nonzero`](crate::gemm::block_of_nonzero)).
    ///
    /// # Panics
    /// If it is so many rows, or columns, that these are not. (Of other rows of that shape, the products are wrong.)
    #[must_use]
    pub fn with_blocks(self, blocks: &'a NonzeroBlocks) -> Self {
        assert_eq!(blocks.shape(), self.shape(), "what is known is known of these rows");
        Self { blocks: Some(blocks), ..self }
    }

    /// B and I.
    pub fn shape(&self) -> [usize; 2] {
        [self.indices.len(), self.width]
    }

    /// Row `r`.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline(always)]
    pub(crate) fn row(&self, r: usize) -> &'a [u8] {
        &self.bytes[self.indices[r] * self.width..][..self.width]
    }

    /// All bytes from x[r, j] on: the rest of the row, and whatever lies behind it.
    #[inline(always)]
    pub(crate) fn from(&self, r: usize, j: usize) -> &'a [u8] {
        &self.bytes[self.indices[r] * self.width + j..]
    }

    /// What is known of all of the bytes, and which row of them is row r.
    pub(crate) fn nonzero(&self) -> Option<(&'a NonzeroBytes, &'a [usize])> {
        self.nonzero.map(|nonzero| (nonzero, self.indices))
    }

    /// What is known of these rows.
    pub(crate) fn blocks(&self) -> Option<&'a NonzeroBlocks> {
        self.blocks
    }

    /// The bytes, the width, and which row of them is row r.
    pub(crate) fn parts(&self) -> (&'a [u8], usize, &'a [usize]) {
        (self.bytes, self.width, self.indices)
    }

    /// The whole matrix: `x[r, j]`.
    ///
    /// # Panics
    /// If `x` has another shape, or the elements of its rows are not adjacent.
    pub fn gather(self, exec: Exec, x: ViewMut<'_, f32, 2>) {
        assert_eq!(x.shape(), self.shape(), "one row an index");
        for (r, to) in x.into_row_iter().enumerate() {
            let all = 0..self.width;
            exec.run(Block { from: self, rows: r..r + 1, columns: all, to, stride: self.width });
        }
    }

    /// [`ByteRows::gather`] into a tensor of its own.
    pub(crate) fn to_tensor(self, exec: Exec) -> Tensor<f32, 2> {
        let mut x = Tensor::zeros(self.shape());
        self.gather(exec, x.view_mut());
        x
    }

    /// Some columns of some rows, `stride` apart: `to[(r − rows.start)·stride + (j − columns.start)] = x[r, j]`.
    ///
    /// # Panics
    /// If they are not there, or `to` is too short.
    pub(crate) fn block(self, exec: Exec, rows: Range<usize>, columns: Range<usize>, to: &mut [f32], stride: usize) {
        exec.run(Block { from: self, rows, columns, to, stride });
    }

    /// The cache lines of some columns of some rows: how many there are, the first of which are put into `lines`.
    pub(crate) fn lines(self, rows: Range<usize>, columns: Range<usize>, lines: &mut [*const f32]) -> usize {
        let all = rows.flat_map(|r| self.row(r)[columns.clone()].chunks(LINE));
        let mut count = 0;
        for (line, to) in all.zip(lines) {
            *to = line.as_ptr().cast();
            count += 1;
        }
        count
    }
}

/// Some columns of some rows as floats.
struct Block<'a> {
    from: ByteRows<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
    to: &'a mut [f32],
    stride: usize,
}

impl Op for Block<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { from, rows, columns, to, stride } = self;
        if columns.is_empty() {
            return;
        }
        for r in rows.clone() {
            if r + AHEAD < rows.end {
                prefetch_bytes(isa, &from.row(r + AHEAD)[columns.clone()]);
            }
            let to = &mut to[(r - rows.start) * stride..][..columns.len()];
            let (bytes, rest) = from.row(r)[columns.clone()].as_chunks::<LANES>();
            let (to, to_rest) = to.as_chunks_mut::<LANES>();
            for (bytes, to) in bytes.iter().zip(to) {
                isa.store(over_255(isa, isa.load_u8(bytes)), to);
            }
            if !rest.is_empty() {
                let mut bytes = [0; LANES];
                bytes[..rest.len()].copy_from_slice(rest);
                isa.store_part(over_255(isa, isa.load_u8(&bytes)), to_rest);
            }
        }
    }
}

/// Asks for bytes ahead of their use.
#[inline(always)]
pub(crate) fn prefetch_bytes<I: Isa>(isa: I, bytes: &[u8]) {
    for at in (0..bytes.len()).step_by(LINE) {
        isa.prefetch(bytes.as_ptr().wrapping_add(at).cast());
    }
}

/// b / 255, correctly rounded for whole b from 0 to 255.
#[inline(always)]
fn over_255<I: Isa>(isa: I, b: I::F) -> I::F {
    /// 1/255 rounded, and what that lacks.
    const R: f32 = 1.0 / 255.0;
    const LACKS: f32 = (1.0 / 255.0 - R as f64) as f32;
    isa.fma(b, isa.splat(R), isa.mul(b, isa.splat(LACKS)))
}
