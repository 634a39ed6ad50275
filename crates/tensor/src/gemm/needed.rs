//! Zeros that are not multiplied: the steps of k that a tile of rows of bytes needs.
//!
//! ```text
//! plain:  for p in 0..k:                                c[i][j] = fma(a[i][p], b[p][j], c[i][j])    for the tile's rows i
//! here:   for p in 0..k where a[i][p] ≠ 0 for some i:   the same
//!
//!         steps of k ─▶                                 a tile of six images: four of five pixels are black, and six
//!  rows   · · · 3 9 · · · · 7 1 · ·                     digits share half of theirs. 44 steps of 100 are needed.
//!  of A   · · · · 8 4 · · · 2 · · ·
//!         └─────┘     └─────┘   └─┘  not needed
//! ```
//!
//! Four of five pixels of MNIST are 0, and the first layer's two products are half of the arithmetic of a training step of the chapter's network.
//! How many steps a tile needs, of 12,000 training images: (`Y = X·W`: some images at once; `dW = Xᵀ·dY`: some pixels side by side)
//!
//! | rows | 1 | 2 | 3 | 4 | 6 | 8 | 14 |
//! |---|---|---|---|---|---|---|---|
//! | Y = X·W | 19 % | 29 % | 35 % | 39 % | 44 % | 47 % | 52 % |
//! | dW = Xᵀ·dY | 19 % | 22 % | 26 % | 28 % | 34 % | 40 % | 61 % |
//!
//! **The bits are the same.** Leaving out a step is leaving out fma(±0, b, c) = c. That is c, bit for bit, if b is finite and c is not −0.
//! A chain starts from +0, and no step of it makes a −0 as long as nothing underflows: a sum of exactly 0 is +0, and a sum that is not 0
//! is at least the smallest float if all factors b are 2⁻⁹² or more (a byte is 0 or 2⁻⁸ or more, so the products are 2⁻¹⁰⁰ or
//! more, multiples of 2⁻¹⁴⁷, and so is their sum with any float). So [`allowed`] looks at all of B, and if one element is neither 0 nor
//! of that size, every step is done.
//!
//! 1. *Lists, not tests.* A branch at each step would be foreseen badly: a tile reads the numbers of its steps from a list, and asks for
//!    the row of B that is eight entries ahead.
//! 2. *Sixteen steps at a time.* Bytes become bits (of a transposed A: pixels of a sample, and the words of sixteen samples that have a bit of the
//!    tile in common), and bits become numbers with one compressed store, or two lookups in a table of 256 (AVX2, portable).
//! 3. *One list for all panels of B*: their tiles are of one height.
//!
//! It takes the first layer's forward product from 105 to 60 µs and its dW from 95 to 58 µs (128 images of MNIST, 100 columns, one thread,
//! AVX-512), lists and the look at B included: 8 and 4 µs. Where few bytes are 0 a look at a dozen images says so ([`pays`]), and every
//! step is done.

use super::operands::Source;
use crate::array::View;
use crate::exec::Exec;
use crate::isa::{Isa, LANES, Op};
use crate::vec::ByteRows;
use std::ops::Range;

/// Bytes that are looked at together.
const CHUNK: usize = 64;

/// Room behind a list: sixteen entries are written at a time, and tiles look ahead.
const ROOM: usize = LANES;

/// Most rows of a tile.
const MOST_ROWS: usize = 8;

/// Most steps of k that are listed.
pub(super) const LONGEST: usize = 4096;

/// What a byte stands for: byte / 255.
pub(super) static VALUES: [f32; 256] = values();

const fn values() -> [f32; 256] {
    let mut values = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        values[byte] = byte as f32 / 255.0;
        byte += 1;
    }
    values
}

/// Lists of steps, one a tile.
#[derive(Default)]
pub(super) struct Needed {
    lists: Vec<u32>,
    counts: Vec<usize>,
    /// Entries from list to list.
    stride: usize,
    /// Which of the rows of a step are not zero, one bit each: of a transposed A.
    rows: Vec<u64>,
}

/// A tile's steps, and the bytes it reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    /// The steps, in ascending order, with room for sixteen more behind them.
    pub list: *const u32,
    pub count: usize,
    /// The bytes of row 0, and how far apart rows are.
    pub bytes: *const u8,
    pub width: usize,
    /// Which row of bytes is the tile's row i, or if A is transposed its step p.
    pub indices: *const usize,
    pub transposed: bool,
}

impl Needed {
    /// Finds the steps of `tiles` even shares of `rows`.
    ///
    /// # Panics
    /// If there are more than 4096 steps, more than 64 rows of a transposed A, or A is floats.
    pub fn find(&mut self, exec: Exec, source: Source<'_>, rows: Range<usize>, steps: Range<usize>, tiles: usize) {
        assert!(steps.len() <= LONGEST, "{} steps in a list", steps.len());
        self.counts.clear();
        self.stride = steps.len().next_multiple_of(CHUNK) + ROOM;
        if self.lists.len() < tiles * self.stride {
            self.lists.resize(tiles * self.stride, 0);
        }
        let (bytes, transposed) = source.bytes().expect("zeros are looked for among bytes");
        assert!(!transposed || rows.len() <= CHUNK, "{} rows of a transposed A", rows.len());
        exec.run(Find { needed: self, bytes, transposed, rows, steps, tiles });
    }

    /// What a tile reads whose first row of A is `row`, in a block of these steps.
    pub fn steps(&self, source: Source<'_>, tile: usize, row: usize, steps: &Range<usize>) -> Steps {
        let list = self.lists[tile * self.stride..][..self.stride].as_ptr();
        let (bytes, transposed) = source.bytes().expect("zeros are looked for among bytes");
        // Where the rows of bytes, and the bytes in them, begin.
        let [first, column] = if transposed { [steps.start, row] } else { [row, steps.start] };
        let (data, width, indices) = bytes.parts();
        let (bytes, indices) = (data[column..].as_ptr(), indices[first..].as_ptr());
        Steps { list, count: self.counts[tile], bytes, width, indices, transposed }
    }
}

/// Appends the positions of the bits that are set, counted from `from`, to a list.
#[inline(always)]
fn append<I: Isa>(isa: I, bits: u16, from: usize, list: &mut [u32], count: &mut usize) {
    let entries = list[*count..].first_chunk_mut().expect("there is room behind a list");
    *count += isa.list_bits(bits, from as u32, entries);
}

/// Which of up to sixty-four bytes are not zero, one bit each.
#[inline(always)]
fn nonzero<I: Isa>(isa: I, bytes: &[u8]) -> u64 {
    let mut chunk = [0; CHUNK];
    chunk[..bytes.len()].copy_from_slice(bytes);
    isa.nonzero_bytes(&chunk)
}

/// Finds the lists of some tiles.
struct Find<'a> {
    needed: &'a mut Needed,
    bytes: ByteRows<'a>,
    transposed: bool,
    rows: Range<usize>,
    steps: Range<usize>,
    tiles: usize,
}

impl Op for Find<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(mut self, isa: I) {
        if self.transposed {
            self.look_at_columns(isa);
        }
        for tile in 0..self.tiles {
            let [from, to] = [tile, tile + 1].map(|tile| self.rows.len() * tile / self.tiles);
            let count =
                if self.transposed { self.columns(isa, tile, from..to) } else { self.rows(isa, tile, from..to) };
            self.needed.counts.push(count);
        }
    }
}

impl Find<'_> {
    /// Rows of A are rows of bytes: lists the steps of a tile of some of them. Returns how many.
    #[inline(always)]
    fn rows<I: Isa>(&mut self, isa: I, tile: usize, rows: Range<usize>) -> usize {
        let Self { needed, bytes, steps, .. } = self;
        let mut images = [&[] as &[u8]; MOST_ROWS];
        let images = &mut images[..rows.len()];
        for (image, r) in images.iter_mut().zip(rows) {
            *image = &bytes.row(self.rows.start + r)[steps.clone()];
        }
        let (mut count, list) = (0, &mut needed.lists[tile * needed.stride..][..needed.stride]);
        for from in (0..steps.len()).step_by(CHUNK) {
            let len = CHUNK.min(steps.len() - from);
            let mut any = [0; CHUNK];
            for image in &*images {
                if let Some(image) = image[from..].first_chunk::<CHUNK>() {
                    any.iter_mut().zip(image).for_each(|(any, byte)| *any |= byte);
                } else {
                    any.iter_mut().zip(&image[from..]).for_each(|(any, byte)| *any |= byte);
                }
            }
            let bits = isa.nonzero_bytes(&any);
            for part in 0..len.div_ceil(LANES) {
                append(isa, (bits >> (LANES * part)) as u16, from + LANES * part, list, &mut count);
            }
        }
        count
    }

    /// Columns of A are rows of bytes: notes which rows of A are not zero at each step.
    #[inline(always)]
    fn look_at_columns<I: Isa>(&mut self, isa: I) {
        let Self { needed, bytes, rows, steps, .. } = self;
        needed.rows.clear();
        for p in steps.clone() {
            // What is read beyond the rows is not looked at later. A copy of just them would have to be waited for.
            let bits = match bytes.from(p, rows.start).first_chunk() {
                Some(chunk) => isa.nonzero_bytes(chunk),
                None => nonzero(isa, &bytes.row(p)[rows.clone()]),
            };
            needed.rows.push(bits);
        }
        needed.rows.resize(steps.len().next_multiple_of(LANES), 0);
    }

    /// Lists the steps of a tile of some rows, once they are noted. Returns how many.
    #[inline(always)]
    fn columns<I: Isa>(&mut self, isa: I, tile: usize, rows: Range<usize>) -> usize {
        let Needed { lists, stride, rows: noted, .. } = &mut *self.needed;
        let mine = (u64::MAX >> (64 - rows.len())) << rows.start;
        let (mut count, list) = (0, &mut lists[tile * *stride..][..*stride]);
        for (i, noted) in noted.as_chunks().0.iter().enumerate() {
            append(isa, isa.any_bits(noted, mine), LANES * i, list, &mut count);
        }
        count
    }
}

/// Images that are looked at to guess how many steps tiles need, three at a time.
const SAMPLE: usize = 12;

/// Share of the steps up to which leaving out the others pays: a step of a list takes 1.6 times as long as one of all steps.
const PAYS: f64 = 0.55;

/// Whether so many zeros are to be expected that leaving them out pays: as far as some of the images tell.
pub(super) fn pays(exec: Exec, source: Source<'_>) -> bool {
    let Some((bytes, transposed)) = source.bytes() else { return false };
    let [needed, all] = exec.run(Guess { bytes, transposed });
    needed as f64 <= PAYS * all as f64
}

/// How many steps tiles of three rows of A need, and how many there are, among a few images.
struct Guess<'a> {
    bytes: ByteRows<'a>,
    transposed: bool,
}

impl Op for Guess<'_> {
    type Output = [usize; 2];

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> [usize; 2] {
        /// Bits 0, 3, 6 … 60: where three pixels side by side begin.
        const THIRDS: u64 = 0x1249_2492_4924_9249;
        let [rows, width] = self.bytes.shape();
        let (mut needed, mut all) = (0, 0);
        for three in (0..SAMPLE.min(rows / 3 * 3)).step_by(3) {
            for from in (0..width).step_by(CHUNK) {
                let mut any = 0;
                for r in three..three + 3 {
                    let row = &self.bytes.row(r)[from..width.min(from + CHUNK)];
                    let bits = nonzero(isa, row);
                    if self.transposed {
                        needed += ((bits | bits >> 1 | bits >> 2) & THIRDS).count_ones() as usize;
                        all += row.len().div_ceil(3);
                    }
                    any |= bits;
                }
                if !self.transposed {
                    needed += any.count_ones() as usize;
                    all += CHUNK.min(width - from);
                }
            }
        }
        [needed, all]
    }
}

/// Whether steps with zeros of A may be left out of a product with B without a change of a bit: each element of B is 0, or between 2⁻⁹²
/// and the largest float.
pub(super) fn allowed(exec: Exec, b: View<'_, f32, 2>) -> bool {
    if b.strides() == [b.cols(), 1] {
        return exec.run(Allowed(&b.data()[..b.rows() * b.cols()]));
    }
    b.strides()[1] == 1 && b.row_iter().all(|row| exec.run(Allowed(row)))
}

struct Allowed<'a>(&'a [f32]);

impl Op for Allowed<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> bool {
        let one = isa.splat(1.0);
        let (chunks, rest) = self.0.as_chunks::<LANES>();
        // Four chains: a minimum takes four cycles.
        let mut chains = [one; 4];
        let (fours, ones) = chunks.as_chunks::<4>();
        for four in fours {
            for (all, chunk) in chains.iter_mut().zip(four) {
                *all = isa.min(*all, fits(isa, isa.load(chunk)));
            }
        }
        let mut all = isa.min(isa.min(chains[0], chains[1]), isa.min(chains[2], chains[3]));
        for chunk in ones {
            all = isa.min(all, fits(isa, isa.load(chunk)));
        }
        if !rest.is_empty() {
            all = isa.min(all, fits(isa, isa.load_part(rest)));
        }
        isa.sum(all) == LANES as f32
    }
}

/// 1 where an element is 0 or of a size that fits; 0 where it is too small, infinite or no number.
#[inline(always)]
fn fits<I: Isa>(isa: I, x: I::F) -> I::F {
    let (least, most) = (isa.splat(2.0_f32.powi(-92)), isa.splat(f32::MAX));
    let (zero, one) = (isa.splat(0.0), isa.splat(1.0));
    let size = isa.abs(x);
    let sized = isa.select(isa.le(least, size), isa.select(isa.le(size, most), one, zero), zero);
    isa.select(isa.le(size, zero), one, sized)
}
