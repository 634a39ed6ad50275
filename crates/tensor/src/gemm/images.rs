//! Y = X·W of images where they lie: two rows at a time, at the pixels where one of them is not black (AVX-512).
//!
//! ```text
//! plain:  for r in 0..m:  for p in 0..k where x[r, p] ≠ 0:  c[r][..] += x[r, p]/255 · W[p][..]
//!
//!     all images, a row each                  rows 4 and 1, a block of pixels           W, the block, in L1
//!   ┌───────────────────────────┐             · · 7 9 4 · · · 3                       ┌──────────────────────────────┐
//!   │                           │             · · 5 8 · · 6 · ·                       │ a row of 7 to 13 vectors,    │
//!   │ · · 5 8 · · 6 · ·         │ ◀─ 1   ──▶  0 0 1 1 1 0 1 0 1   bits of a word ──▶  │ each loaded once for         │
//!   │                           │                                                     │ two multiply-adds            │
//!   │ · · 7 9 4 · · · 3         │ ◀─ 4        ahead: the next block's bytes of        └──────────────────────────────┘
//!   └───────────────────────────┘             these rows, the first of the rows to come
//! ```
//!
//! 1. *No lists.* What is not black is found sixty-four bytes at a time, by one instruction, and what a byte stands for
//!    is looked up when it is multiplied. Lists of each row's own pixels, 149 of 784, are fewer steps than two rows
//!    need, 204; but a step of a row alone is loads (`compressed.rs`), and the lists were copied for each batch: 6 µs of
//!    the 39 that 100 images took.
//! 2. *Bytes are asked for ahead*, those of the next block as this one is multiplied, and the first ones some rows
//!    ahead: a row is thirteen lines, anywhere in 47 MB, and all of them at once are more than a core waits for at a
//!    time.
//! 3. *Images side by side are alike*, if a batch is in the order of its classes: two of MNIST's need 26 % of the pixels
//!    then, in any order 29.
//! 4. *The kernel* is that of `masked.rs`.
//!
//! What they took, of the time before (one thread, 2 cores of an Intel server CPU):
//!
//! | | a step of workloads A, B, C | the chapter's comparison of optimizers | its search, whose images stay in L2 |
//! |---|---|---|---|
//! | 1 | | 0.98 | 0.99 |
//! | 1 and 2 | 0.95, 0.95, 0.97 | 0.97 | 0.99 |
//! | 3 on top | 0.98, 0.98, 0.99 | 0.98 | 0.99 |
//!
//! Images that are evaluated again and again have lists for two ([`NonzeroBlocks`](crate::vec::NonzeroBlocks)), in an
//! order in which two need 177 pixels.
//!
//! Each element of C is the same chain over k, of which steps are left out as `allowed.rs` has it: where W does not
//! allow it, all steps are done.

use super::compress::MOST_STEPS;
use super::masked::{Masked, all};
use super::needed::VALUES;
use crate::isa::Isa;
use crate::vec::{ByteRows, CHUNK};
use std::ops::Range;

/// Bytes of a cache line.
const LINE: usize = 64;

/// How many rows ahead the first bytes of a row are asked for.
const AHEAD: usize = 8;

/// Rows of images, a block of pixels.
#[derive(Clone, Copy)]
pub(super) struct InPlaceBytes {
    /// The block's first byte of the first of all images, bytes from image to image, and which of them the rows are.
    bytes: *const u8,
    width: usize,
    indices: *const usize,
    rows: usize,
    /// Steps of a row before the block, and its own.
    before: usize,
    steps: usize,
    leaves_out: bool,
}

impl InPlaceBytes {
    /// Columns `steps` of `rows`; the steps at which all are black are left out, or none are.
    ///
    /// # Panics
    /// If they are not there, or more than 128.
    pub fn new(x: ByteRows<'_>, rows: Range<usize>, steps: Range<usize>, leaves_out: bool) -> Self {
        let (bytes, width, indices) = x.parts();
        assert!((1..=MOST_STEPS).contains(&steps.len()) && steps.end <= width, "columns {steps:?} of {width}");
        Self {
            bytes: bytes.as_ptr().wrapping_add(steps.start),
            width,
            rows: rows.len(),
            indices: indices[rows].as_ptr(),
            before: steps.start,
            steps: steps.len(),
            leaves_out,
        }
    }
}

/// Asks for a byte and the one a line behind it.
#[inline(always)]
fn ask<I: Isa>(isa: I, byte: *const u8) {
    isa.prefetch(byte.cast());
    isa.prefetch(byte.wrapping_add(LINE).cast());
}

impl Masked for InPlaceBytes {
    type Row = *const u8;

    #[inline(always)]
    fn shape(self) -> [usize; 2] {
        [self.rows, self.steps]
    }

    #[inline(always)]
    unsafe fn needed<I: Isa, const R: usize>(self, isa: I, row: usize) -> u128 {
        let Self { before, steps: count, .. } = self;
        let mut needed = 0;
        for r in row..row + R {
            if before == 0 && r + AHEAD < self.rows {
                // SAFETY: it is there.
                ask(isa, unsafe { self.row(r + AHEAD) });
            }
            // SAFETY: as promised.
            let row = unsafe { self.row(r) };
            // The next block's, all or nearly all of them; it does no harm behind the row.
            ask(isa, row.wrapping_add(count + LINE - 1));
            // SAFETY: sixty-four bytes that end with the block, or begin with it, are inside the row, and so is each of
            // the block's own.
            unsafe {
                if count > CHUNK {
                    needed |= u128::from(isa.nonzero_bytes(&*row.cast()));
                }
                let last = row.wrapping_add(count).wrapping_sub(CHUNK).cast();
                if count >= CHUNK {
                    needed |= u128::from(isa.nonzero_bytes(&*last)) << (count - CHUNK);
                } else if before + count >= CHUNK {
                    needed |= u128::from(isa.nonzero_bytes(&*last) >> (CHUNK - count));
                } else {
                    for step in 0..count {
                        needed |= u128::from(*row.add(step) != 0) << step;
                    }
                }
            }
        }
        if self.leaves_out { needed } else { all(count) }
    }

    #[inline(always)]
    unsafe fn row(self, row: usize) -> *const u8 {
        // SAFETY: as promised, there is such a row.
        self.bytes.wrapping_add(unsafe { *self.indices.add(row) } * self.width)
    }

    #[inline(always)]
    unsafe fn element(row: *const u8, step: usize) -> f32 {
        // SAFETY: as promised.
        VALUES[usize::from(unsafe { *row.add(step) })]
    }
}
