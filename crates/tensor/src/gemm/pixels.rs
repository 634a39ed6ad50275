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
//! 2. *Bytes, not lists.* Known bytes ([`NonzeroBytes`]) are dealt out to places, a store each (13 µs for the 15 000 of
//!    100 samples), and a word's bits say where they are. To append each to its pixel's list took 17 µs, for the end of
//!    the list is loaded and stored too, and 10 more to make one list of all.
//! 3. *The kernel* is that of `masked.rs`.
//! 4. *Sheets* of 256 pixels, 32 KB, are dealt to before the next: as many as a byte tells apart, and L1 holds them.
//! 5. Of images of which nothing is known all bytes are turned, in squares of 16×16, four side by side, so that a line
//!    of an image is found once.
//!
//! All of it took dW of 100 samples from 69 to 52 µs, of 128 from 94 to 70, and a step of workloads A to C to 0.92 to
//! 0.94 of its time (AVX-512, 2 cores of an Intel server CPU; with AVX2 there as long as before).
//!
//! Tried and dropped: pieces of 96 rows, and not 48, to be handed over: within the noise. Lists of the words' bits: 3
//! µs more. Addresses of dY's rows kept as pointers, by a word of assembly, because a multiply-add with an index in its
//! address is two micro-operations: as fast.
//!
//! Each element of C is the same chain over k, of which steps are left out as `allowed.rs` has it: where dY does not
//! allow it, all steps are done.

use super::compress::AHEAD;
use super::masked::{Masked, all};
use super::needed::VALUES;
use crate::array::AlignedBuf;
use crate::exec::Exec;
use crate::isa::{Isa, LANES, Op};
use crate::vec::{ByteRows, CHUNK, MARK, NonzeroBytes, Record};
use std::ops::Range;

/// Bytes from pixel to pixel, and most samples in a block: two words of bits.
const MOST_SAMPLES: usize = 2 * CHUNK;

/// Pixels whose bytes are dealt out together: as many as a byte tells apart.
const SHEET: usize = 256;

/// Some columns of bytes, turned: a row of [`MOST_SAMPLES`] for each, a block of samples after the other.
#[derive(Default)]
pub(super) struct Pixels {
    bytes: AlignedBuf<u8>,
    /// Rows from block to block.
    rows: usize,
    /// Which of them is the first pixel's.
    first: usize,
}

impl Pixels {
    /// Makes room for so many pixels of so many blocks.
    pub fn make_room(&mut self, pixels: usize, blocks: usize) {
        // With those beside them that are dealt out or turned together with them.
        self.bytes.make_room(blocks * (pixels.next_multiple_of(CHUNK) + MARK) * MOST_SAMPLES);
    }

    /// Turns columns `pixels` of all rows, in blocks of so many rows.
    ///
    /// # Panics
    /// If there are more than 128 rows in a block, or a pixel is not there.
    pub fn turn(&mut self, exec: Exec, x: ByteRows<'_>, pixels: Range<usize>, block: usize) {
        let [samples, width] = x.shape();
        assert!((1..=MOST_SAMPLES).contains(&block), "blocks of {block} samples");
        assert!(pixels.end <= width, "pixels {pixels:?} of {width}");
        let blocks = samples.div_ceil(block);
        self.make_room(pixels.len(), blocks);
        let Self { bytes, rows, first } = self;
        if let Some((found, indices)) = x.nonzero() {
            *first = pixels.start % MARK;
            let pixels = pixels.start - *first..pixels.end.next_multiple_of(MARK);
            *rows = pixels.len();
            for (indices, to) in indices.chunks(block).zip(bytes.chunks_exact_mut(*rows * MOST_SAMPLES)) {
                exec.run(Deal { found, indices, pixels: pixels.clone(), to });
            }
        } else {
            *first = 0;
            *rows = pixels.len().next_multiple_of(CHUNK);
            for (from, to) in (0..samples).step_by(block).zip(bytes.chunks_exact_mut(*rows * MOST_SAMPLES)) {
                let samples = from..samples.min(from + block);
                exec.run(Turn { x, samples, pixels: pixels.clone(), to });
            }
        }
    }

    /// The row of a pixel, counted from the first, in a block; those of the others follow.
    pub fn row(&self, number: usize, pixel: usize) -> *const u8 {
        self.bytes[(number * self.rows + self.first + pixel) * MOST_SAMPLES..].as_ptr()
    }
}

/// Deals out the bytes that are known not to be 0.
struct Deal<'a> {
    found: &'a NonzeroBytes,
    /// Which row of what was found each sample is.
    indices: &'a [usize],
    /// Whole sixteens of columns, but where they are the last.
    pixels: Range<usize>,
    to: &'a mut [u8],
}

impl Op for Deal<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { found, indices, pixels, to } = self;
        let mut records = [Record::NONE; MOST_SAMPLES];
        found.find(indices, &mut records);
        let records = &records[..indices.len()];
        for (number, to) in to.chunks_mut(SHEET * MOST_SAMPLES).enumerate() {
            to.fill(0);
            let sheet = pixels.start + number * SHEET;
            let [from, until] = [sheet, pixels.end.min(sheet + SHEET)].map(|column| column / MARK);
            for (sample, record) in records.iter().enumerate() {
                if number == 0
                    && let Some(next) = records.get(sample + AHEAD)
                {
                    next.prefetch(isa);
                }
                // SAFETY: the columns are columns of what was found, and those of the sheet. There is a row for each of
                // them, and a sample is less than its length.
                unsafe {
                    let to = to.as_mut_ptr().add(sample);
                    let (pairs, count) = record.pairs(from, until);
                    for at in 0..count {
                        let [column, byte] = (*pairs.add(at)).to_le_bytes();
                        *to.add(usize::from(column.wrapping_sub(sheet as u8)) * MOST_SAMPLES) = byte;
                    }
                }
            }
        }
    }
}

/// Turns all bytes. What is behind the last sample, or the last pixel, is any byte.
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
        for (pixel, to) in pixels.step_by(CHUNK).zip(to.chunks_exact_mut(CHUNK * MOST_SAMPLES)) {
            for (sixteen, from) in samples.clone().step_by(LANES).enumerate() {
                let sixteen_samples = from..samples.end.min(from + LANES);
                // The last bytes of all have none behind them.
                let mut padded = [[0; CHUNK]; LANES];
                let mut pointers = [std::ptr::null(); LANES];
                for ((pointer, padded), r) in pointers.iter_mut().zip(&mut padded).zip(sixteen_samples.clone()) {
                    let row = x.from(r, pixel);
                    *pointer = row.as_ptr();
                    if row.len() < CHUNK {
                        padded[..row.len()].copy_from_slice(row);
                        *pointer = padded.as_ptr();
                    }
                }
                let first = pointers[0];
                pointers[sixteen_samples.len()..].fill(first);
                for (part, to) in to.chunks_exact_mut(LANES * MOST_SAMPLES).enumerate() {
                    let from = pointers.map(|row| row.wrapping_add(LANES * part));
                    // SAFETY: sixty-four bytes are readable at each pointer; sixteen rows are writable from column
                    // 16·sixteen, of eight such columns, on.
                    unsafe { isa.transpose_bytes(from, to.as_mut_ptr().add(LANES * sixteen), MOST_SAMPLES) }
                }
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
    unsafe fn element(self, row: usize, sample: usize) -> f32 {
        // SAFETY: as promised.
        VALUES[usize::from(unsafe { *self.bytes.add(row * MOST_SAMPLES + sample) })]
    }
}
