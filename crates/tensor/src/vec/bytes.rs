//! A mini-batch of bytes: rows picked from a data set, which become floats where they are used.
//!
//! ```text
//! x[r, j] = bytes[indices[r], j] / 255          plain: for each r, for each j
//! ```
//!
//! The rows lie anywhere in the memory of the data set. As floats a batch of 128 images of 784 pixels takes 400 KB, as
//! bytes 100 KB, and a matrix product reads most of them never: four of five pixels are 0 (`crate::sparse`). So a batch
//! stays bytes, and indices. Who needs floats converts the rows he needs ([`ByteRows::block`]).
//!
//! 1. *No division.* With r = 1/255 rounded and s what it lacks, `b·r + (b·s)` is b / 255 rounded once, for each of the
//!    256 bytes: a product and a fused multiply-add instead of a division.
//! 2. *A table* ([`BYTE_VALUES`]) where single bytes are looked up.
//! 3. *Prefetching.* The hardware foresees lines inside of a row, but not which row is next.

use crate::array::{Tensor, ViewMut};
use crate::exec::Exec;
use crate::isa::{Isa, LANES, Op};
use std::ops::Range;

/// Rows that are prefetched ahead.
const AHEAD: usize = 2;
/// Bytes of a cache line.
const LINE: usize = 64;

/// The float that each byte stands for: b / 255.
pub(crate) static BYTE_VALUES: [f32; 256] = byte_values();

const fn byte_values() -> [f32; 256] {
    let mut values = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        values[byte] = byte as f32 / 255.0;
        byte += 1;
    }
    values
}

/// A B×I matrix of floats from 0 to 1, as the bytes they are made of.
#[derive(Clone, Copy, Debug)]
pub struct ByteRows<'a> {
    bytes: &'a [u8],
    width: usize,
    indices: &'a [usize],
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
        Self { bytes, width, indices }
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
    pub fn to_tensor(self, exec: Exec) -> Tensor<f32, 2> {
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

/// Prefetches bytes.
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
