//! Gathering a mini-batch: rows of bytes, picked at random, become rows of floats.
//!
//! ```text
//! x[r, j] = bytes[indices[r], j] / 255          plain: for each r, for each j
//! ```
//!
//! The rows lie anywhere in 47 MB, so memory sets the speed: a batch of 128 rows of 784 bytes is 100 KB from beyond L2. Bytes, not floats,
//! are kept: a fourth of the traffic, and converting sixteen at a time hides behind it.
//!
//! 1. *A row is asked for while the two before it are converted*, cache line by cache line; the hardware foresees lines inside a row, but not which
//!    row is next.
//! 2. *No division.* With r = 1/255 rounded, q = b·r and then q + (b − 255·q)·r is b / 255 rounded once, for each of the 256 bytes: two
//!    fused multiply-adds instead of a division of sixteen, which takes as long as twenty.

use crate::array::ViewMut;
use crate::exec::Exec;
use crate::isa::{Isa, LANES, Op};
use crate::vec::share::for_each_row_block;

/// Rows asked for ahead.
const AHEAD: usize = 2;
/// Bytes of a cache line.
const LINE: usize = 64;

/// `x[r] ← row indices[r] of bytes, over 255`, where `bytes` is row-major with the width of `x`. Cost: one pass over the rows.
///
/// # Panics
/// If there is not one index a row of `x`, or no such row of bytes.
pub fn gather_bytes(exec: Exec, bytes: &[u8], indices: &[usize], x: ViewMut<'_, f32, 2>) {
    let [rows, width] = x.shape();
    assert_eq!(indices.len(), rows, "one index a row");
    let count = bytes.len().checked_div(width).unwrap_or(usize::MAX);
    if let Some(index) = indices.iter().find(|&&index| index >= count) {
        panic!("row {index} of {count}");
    }
    for_each_row_block(exec, x, &|rows, x| exec.run(Gather { bytes, indices: &indices[rows], x }));
}

struct Gather<'a> {
    bytes: &'a [u8],
    indices: &'a [usize],
    x: ViewMut<'a, f32, 2>,
}

impl Op for Gather<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let width = self.x.cols();
        let row = |index: usize| &self.bytes[index * width..][..width];
        for (r, to) in self.x.into_row_iter().enumerate() {
            if let Some(&next) = self.indices.get(r + AHEAD) {
                for line in row(next).chunks(LINE) {
                    isa.prefetch(line.as_ptr().cast());
                }
            }
            let (from, rest) = row(self.indices[r]).as_chunks::<LANES>();
            let (to, to_rest) = to.as_chunks_mut::<LANES>();
            for (bytes, to) in from.iter().zip(to) {
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

/// b / 255, correctly rounded for whole b from 0 to 255.
#[inline(always)]
fn over_255<I: Isa>(isa: I, b: I::F) -> I::F {
    let r = isa.splat(1.0 / 255.0);
    let q = isa.mul(b, r);
    isa.fma(isa.fnma(isa.splat(255.0), q, b), r, q)
}
