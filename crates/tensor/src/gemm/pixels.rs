//! dW = Xᵀ·dY of images: two pixels at a time, at the samples where one of them is not black.
//!
//! ```text
//! plain:  for r in 0..m:  for p in 0..k where x[p, r] ≠ 0:  c[r][..] += x[p, r]/255 · dY[p][..]
//!
//!     X, samples × pixels            turned: a row a pixel, 128 samples wide       dY, a panel of it: a row a sample
//!   ┌─────────────────┐               samples  0 1 2 3 4 5 ‥                      ┌──────────────────────────────┐
//!   │ · · 7 9 4 · · · │            ┌ pixel 2   7 · · 5 · ·                        │ a row of 7 to 13 vectors,    │
//!   │ · · · · · · · · │            └ pixel 3   9 · · 8 · 1                        │ each loaded once for         │
//!   │ · · · · · · 3 3 │   ──────▶    either?   1 0 0 1 0 1   bits of a word  ──▶  │ two multiply-adds            │
//!   │ · · 5 8 · · · · │            ┌ pixel 4   4 · · · · ·                        └──────────────────────────────┘
//!   └─────────────────┘            └ pixel 5   · · · · · 6
//! ```
//!
//! 1. *Two pixels.* Pixels side by side are alike: of MNIST's samples 19 % need one, 22 % one of two, 26 % one of
//!    three. So two rows of C share each row of dY, and the multiply-adds are what takes the time (7 cycles a step of
//!    two rows of seven registers), not the loads, as with a row alone (two times 4.5, of 9 % fewer steps), and fewer
//!    loops end where the CPU did not foresee it. 100 samples: 27 µs, a row alone 35. With AVX2 two rows have no room
//!    in sixteen registers, and a row is alone.
//! 2. *All bytes are turned*, black or not, 64 samples of 16 pixels at a time, and a word's bits say which are not 0. A
//!    register of AVX-512 has sixteen bytes of four samples; to interleave registers four times is 64 shuffles a
//!    kilobyte, whole lines are written, and 100 samples take 8 µs, most of it for lines of images that come from L2.
//!    Where it is known which bytes are not 0 ([`NonzeroBytes`](crate::vec::NonzeroBytes)), to store each of the 15 000
//!    where it belongs took 16. To append each to its pixel's list took 17, for the end of the list is loaded and stored
//!    too, and 10 more to make one list of all.
//! 3. *The kernel* is that of `masked.rs`.
//!
//! With stores, and not 2, it took dW of 100 samples from 69 to 52 µs, of 128 from 94 to 70, and a step of workloads A
//! to C to 0.92 to 0.94 of its time (AVX-512, 2 cores of an Intel server CPU; with AVX2 there as long as before); 2 took
//! the chapter's search to 0.985, workloads A, B and C to 0.99, 0.99 and 1.0, and with two threads to 0.97, 0.96 and
//! 0.98.
//!
//! It pays, with AVX-512, where two pixels that are alike in nothing would need less than 0.9 − 10/n of the samples: at
//! 100 columns up to a share of 0.55. On Zen 5, 100×784×100 of images of which 30, 40 and 50 % are lit, in runs of four
//! pixels: 46, 54 and 71 µs by other tiles, 33, 41 and 49 so; of pixels by chance 70 by others, 45, 55 and 63.
//!
//! Tried and dropped: pieces of 96 rows, and not 48, to be handed over: within the noise. Lists of the words' bits: 3
//! µs more. The next line of each image asked for as this one is turned, or all bytes of the next batch with what is
//! known of it: within the noise. Addresses of dY's rows kept as pointers, by a word of assembly, because a multiply-add
//! with an index in its address is two micro-operations: as fast.
//!
//! Each element of C is the same chain over k, of which steps are left out as `allowed.rs` has it: where dY does not
//! allow it, all steps are done.

use super::masked::{Masked, all};
use super::needed::VALUES;
use crate::array::AlignedBuf;
use crate::exec::Exec;
use crate::isa::{Isa, LANES, Op};
use crate::vec::{ByteRows, CHUNK};
use std::ops::Range;

/// Bytes from pixel to pixel, and most samples in a block: two words of bits.
const MOST_SAMPLES: usize = 2 * CHUNK;

/// Some columns of bytes, turned: a row of [`MOST_SAMPLES`] for each, a block of samples after the other.
#[derive(Default)]
pub(super) struct Pixels {
    bytes: AlignedBuf<u8>,
    /// Rows from block to block.
    rows: usize,
}

impl Pixels {
    /// Makes room for so many pixels of so many blocks.
    pub fn make_room(&mut self, pixels: usize, blocks: usize) {
        self.bytes.make_room(blocks * pixels.next_multiple_of(LANES) * MOST_SAMPLES);
    }

    /// Turns columns `pixels` of all rows, in blocks of so many rows.
    ///
    /// # Panics
    /// If there are more than 128 rows in a block, or a pixel is not there.
    pub fn turn(&mut self, exec: Exec, x: ByteRows<'_>, pixels: Range<usize>, block: usize) {
        let [samples, width] = x.shape();
        assert!((1..=MOST_SAMPLES).contains(&block), "blocks of {block} samples");
        assert!(pixels.end <= width, "pixels {pixels:?} of {width}");
        self.make_room(pixels.len(), samples.div_ceil(block));
        self.rows = pixels.len().next_multiple_of(LANES);
        let blocks = self.bytes.chunks_exact_mut(self.rows * MOST_SAMPLES);
        for (from, to) in (0..samples).step_by(block).zip(blocks) {
            exec.run(Turn { x, samples: from..samples.min(from + block), pixels: pixels.clone(), to });
        }
    }

    /// The row of a pixel, counted from the first, in a block; those of the others follow.
    pub fn row(&self, number: usize, pixel: usize) -> *const u8 {
        self.bytes[(number * self.rows + pixel) * MOST_SAMPLES..].as_ptr()
    }
}

/// Turns a block. What is behind the last sample, or the last pixel, is any byte.
struct Turn<'a> {
    x: ByteRows<'a>,
    samples: Range<usize>,
    pixels: Range<usize>,
    to: &'a mut [u8],
}

impl Op for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { x, samples, pixels, to } = self;
        let width = x.shape()[1];
        for (half, from) in samples.clone().step_by(CHUNK).enumerate() {
            let samples = from..samples.end.min(from + CHUNK);
            let mut rows = [x.row(from).as_ptr(); CHUNK];
            for (row, r) in rows.iter_mut().zip(samples.clone()) {
                *row = x.row(r).as_ptr();
            }
            for (first, to) in pixels.clone().step_by(LANES).zip(to.chunks_exact_mut(LANES * MOST_SAMPLES)) {
                let to = to[CHUNK * half..].as_mut_ptr();
                if first + LANES <= width {
                    // SAFETY: the sixteen pixels are there, and sixteen rows of so many samples.
                    unsafe { isa.transpose_bytes(&rows, first, to, MOST_SAMPLES) }
                    continue;
                }
                let mut padded = [[0; LANES]; CHUNK];
                for (padded, r) in padded.iter_mut().zip(samples.clone()) {
                    padded[..width - first].copy_from_slice(&x.row(r)[first..]);
                }
                // SAFETY: as above, with pixels that are 0 behind the last.
                unsafe { isa.transpose_bytes(&padded.each_ref().map(|row| row.as_ptr()), 0, to, MOST_SAMPLES) }
            }
        }
    }
}

/// Rows of A that are a pixel each.
#[derive(Clone, Copy)]
pub(super) struct Turned {
    /// The first pixel's bytes; the others' follow.
    pub bytes: *const u8,
    pub rows: usize,
    /// Samples in the block.
    pub samples: usize,
    /// Whether those at which all pixels are black are left out.
    pub leaves_out: bool,
}

impl Masked for Turned {
    type Row = *const u8;

    #[inline(always)]
    fn shape(self) -> [usize; 2] {
        [self.rows, self.samples]
    }

    #[inline(always)]
    unsafe fn needed<I: Isa, const R: usize>(self, isa: I, row: usize) -> u128 {
        if !self.leaves_out {
            return all(self.samples);
        }
        let mut needed = 0;
        for r in row..row + R {
            // SAFETY: as promised.
            let [low, high] = unsafe { &*self.bytes.add(r * MOST_SAMPLES).cast::<[[u8; CHUNK]; 2]>() };
            needed |= u128::from(isa.nonzero_bytes(low));
            if self.samples > CHUNK {
                needed |= u128::from(isa.nonzero_bytes(high)) << CHUNK;
            }
        }
        needed & all(self.samples)
    }

    #[inline(always)]
    unsafe fn row(self, row: usize) -> *const u8 {
        self.bytes.wrapping_add(row * MOST_SAMPLES)
    }

    #[inline(always)]
    unsafe fn element(row: *const u8, sample: usize) -> f32 {
        // SAFETY: as promised.
        VALUES[usize::from(unsafe { *row.add(sample) })]
    }
}
