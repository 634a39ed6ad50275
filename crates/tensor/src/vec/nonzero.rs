//! The bytes of a matrix that are not 0, found once: for images that are multiplied again and again.
//!
//! ```text
//! plain:  for each row r:  for each column j where bytes[r, j] ≠ 0:  append bytes[r, j] to the bytes, j to the columns
//!
//!     columns      0 ‥ 15          16 ‥ 31         32 ‥ 47
//!     a row      · · 3 · 9 · ‥   · · · · · ‥     7 1 · · ‥
//!
//!     its record   0 2 2 4               how many are before column 0, 16, 32, and in all
//!                  2:3 4:9 32:7 33:1     each one's column and itself (of the column the low byte: a reader knows which 256 it is in)
//! ```
//!
//! A product that leaves out zeros by element (`gemm/compressed.rs`) needs these lists of each batch, block of k by
//! block of k. To find them takes longer than it takes to copy them: 64 bytes are compared, and eight times a row of a
//! table is looked up and eight bytes are shuffled, for the twelve that are not 0. A test image of MNIST is evaluated
//! hundreds of times in the chapter's experiments.
//!
//! Two bytes each, and two for sixteen columns: 400 for an image of 784, one after the other.
//!
//! *The next batch's records* lie anywhere in 24 MB, and a product that meets them there waits: forward of 128 images
//! takes 113 µs instead of 90. So a trainer draws a batch ahead, and asks for all of its records at the end of a step
//! ([`prefetch_nonzero`](crate::gemm::prefetch_nonzero)), which takes 12 to 16 µs, and workloads A and B to 0.95 to 0.98
//! of their time, the less the noisier the hour. (A few at a time, between the layers, was no better. Pages of 2 MB made
//! no difference.) With AVX-512 no product reads the records of a batch: it reads the images (`gemm/images.rs`), and
//! takes from here only how many pixels are not 0, and the lists of batches that come again.
//!
//! *A batch that comes again as it was*, such as each two hundred test images, need not even be copied:
//! [`NonzeroBlocks`] is what the product's kernels read, made once. It took the evaluations of the chapter's
//! experiments on overfitting to 0.85 of their time, and lists of two rows to 0.95 of that.

use crate::exec::Exec;
use crate::isa::{Isa, Op, POSITIONS};
use std::marker::PhantomData;
use std::ops::Range;

/// Bytes that are looked at together: bits of a word.
pub(crate) const CHUNK: usize = 64;
/// Columns from mark to mark.
pub(crate) const MARK: usize = 16;
/// A number in each of eight bytes.
pub(crate) const EACH: u64 = 0x0101_0101_0101_0101;
/// Words of a cache line.
const LINE: usize = 32;
/// Pairs that may be read behind the last of a row: copies are of thirty-two.
const ROOM: usize = 32;

/// The bytes of a row-major matrix that are not 0, row after row, and where they are.
#[derive(Clone, Debug)]
pub struct NonzeroBytes {
    shape: [usize; 2],
    /// A record a row: how many are before each sixteenth column, and in all; then the low byte of each one's column,
    /// and above it the byte.
    records: Vec<u16>,
    /// Where each begins, and the end.
    starts: Vec<usize>,
}

impl NonzeroBytes {
    /// Finds those of `bytes`, in rows of `width`; `None` where no product would ask for them, since more than three
    /// quarters are not 0, and where a row has more than 65535. Cost: some 0.5 µs a row of 784; memory of two bytes for
    /// each, and of width / 8 + 10 a row.
    ///
    /// # Panics
    /// If the bytes are no whole rows.
    pub fn of(exec: Exec, bytes: &[u8], width: usize) -> Option<Self> {
        assert!(bytes.is_empty() || bytes.len().is_multiple_of(width), "{} bytes in rows of {width}", bytes.len());
        u16::try_from(width).ok()?;
        let rows = bytes.len().checked_div(width).unwrap_or(0);
        let mut found = Self { shape: [rows, width], records: Vec::new(), starts: Vec::with_capacity(rows + 1) };
        exec.run(Find { bytes, found: &mut found });
        let count = found.records.len() - rows * found.marks();
        if count > bytes.len() / 4 * 3 {
            return None;
        }
        found.records.resize(found.records.len() + ROOM, 0);
        found.records.shrink_to_fit();
        Some(found)
    }

    /// Rows and columns of the matrix.
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// Asks for what is known of some rows.
    ///
    /// # Panics
    /// If a row is not there.
    pub(crate) fn prefetch(&self, exec: Exec, rows: &[usize]) {
        exec.run(Ask { found: self, rows });
    }

    /// The share of the bytes that are not 0.
    pub(crate) fn share(&self) -> f64 {
        let [rows, width] = self.shape;
        let count = self.records.len() - ROOM - rows * self.marks();
        count as f64 / (rows * width).max(1) as f64
    }

    /// Marks of a row.
    fn marks(&self) -> usize {
        self.shape[1].div_ceil(MARK) + 1
    }

    /// Notes where the records of some rows are.
    ///
    /// # Panics
    /// If a row is not there, or there are fewer places.
    #[inline(always)]
    pub(crate) fn find<'a>(&'a self, rows: &[usize], to: &mut [Record<'a>]) {
        let to = &mut to[..rows.len()];
        for (&r, record) in rows.iter().zip(to) {
            *record = self.record(r);
        }
    }

    /// The record of a row.
    ///
    /// # Panics
    /// If it is not there.
    #[inline(always)]
    pub(crate) fn record(&self, r: usize) -> Record<'_> {
        let [start, end] = [self.starts[r], self.starts[r + 1]];
        // More may be read behind it.
        Record { words: self.records[start..].as_ptr(), count: end - start, marks: self.marks(), of: PhantomData }
    }
}

/// Most columns of a block of [`NonzeroBlocks`]: which of them one is, is a byte.
pub(crate) const MOST_BLOCK: usize = 128;

/// How a product reads the bytes of some rows that are not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockForm {
    /// Columns of a block: a multiple of 16, up to 128.
    pub columns: usize,
    /// Rows that share a list: one, or two that are side by side.
    pub rows: usize,
}

/// The bytes of some rows that are not 0, as a product reads them: a block of columns after the other, row by row, or
/// two rows by two rows, and of each the column in its block.
#[derive(Clone, Debug)]
pub struct NonzeroBlocks {
    shape: [usize; 2],
    form: BlockForm,
    elements: Elements,
    /// Where those of each list begin, block after block, and the end.
    starts: Vec<usize>,
}

/// The elements of the lists, and a few more.
#[derive(Clone, Debug)]
enum Elements {
    /// Which column of its block each is, and above it the byte.
    OfOne(Vec<u16>),
    /// The same of two rows: which column, and above it the byte of the one row, and of the other.
    OfTwo(Vec<u32>),
}

impl NonzeroBlocks {
    /// Those of rows `indices`. Cost: some 0.5 µs a row of MNIST; memory of two bytes for each, and of eight for each
    /// block of a row, or 360 bytes; if two rows share a list a little more.
    ///
    /// # Panics
    /// If there is no such row, or no such form.
    pub fn of(found: &NonzeroBytes, indices: &[usize], form: BlockForm) -> Self {
        let BlockForm { columns: block, rows: together } = form;
        assert!(block.is_multiple_of(MARK) && (MARK..=MOST_BLOCK).contains(&block), "blocks of {block} columns");
        assert!((1..=2).contains(&together), "{together} rows share a list");
        let width = found.shape[1];
        let mut records = vec![Record::NONE; indices.len()];
        found.find(indices, &mut records);
        let count: usize = records.iter().map(|record| record.count - record.marks).sum();
        let mut elements = match together {
            1 => Elements::OfOne(Vec::with_capacity(count + ROOM)),
            _ => Elements::OfTwo(Vec::with_capacity(count + ROOM)),
        };
        let mut starts = Vec::with_capacity(indices.len().div_ceil(together) * width.div_ceil(block) + 1);
        for from in (0..width).step_by(block) {
            let [first, end] = [from, width.min(from + block)].map(|column| column.div_ceil(MARK));
            // SAFETY: the block is inside the width; as many are there as are counted.
            let of_row = |record: &Record<'_>| unsafe {
                let (pairs, count) = record.pairs(first, end);
                std::slice::from_raw_parts(pairs, count)
            };
            for records in records.chunks(together) {
                starts.push(elements.len());
                match &mut elements {
                    Elements::OfOne(to) => to.extend(of_row(&records[0]).iter().map(|&pair| less(pair, from as u8))),
                    Elements::OfTwo(to) => {
                        join(of_row(&records[0]), records.get(1).map_or(&[], of_row), from as u8, to)
                    }
                }
            }
        }
        starts.push(elements.len());
        match &mut elements {
            Elements::OfOne(to) => to.resize(to.len() + ROOM, 0),
            Elements::OfTwo(to) => {
                to.resize(to.len() + ROOM, 0);
                to.shrink_to_fit();
            }
        }
        Self { shape: [indices.len(), width], form, elements, starts }
    }

    /// Rows and columns of what they are of.
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// How they are read.
    pub(crate) fn form(&self) -> BlockForm {
        self.form
    }

    /// Which column of its block each is, and above it the byte; thirty-two more may be read.
    ///
    /// # Panics
    /// If two rows share a list.
    pub(crate) fn of_one(&self) -> *const u16 {
        let Elements::OfOne(elements) = &self.elements else { panic!("two rows share a list") };
        elements.as_ptr()
    }

    /// Which column of its block each is, and above it the bytes of both rows; thirty-two more may be read.
    ///
    /// # Panics
    /// If each row has a list.
    pub(crate) fn of_two(&self) -> *const u32 {
        let Elements::OfTwo(elements) = &self.elements else { panic!("each row has a list") };
        elements.as_ptr()
    }

    /// Where the lists of some rows begin in the `number`th block, and the end of the last.
    ///
    /// # Panics
    /// If there are no such rows, or no such block, or the first row is not the first of a list.
    pub(crate) fn starts(&self, number: usize, rows: Range<usize>) -> &[usize] {
        let (count, together) = (self.shape[0], self.form.rows);
        assert!(rows.end <= count, "rows {rows:?} of {count}");
        assert!(rows.start.is_multiple_of(together), "row {} of lists of {together}", rows.start);
        let [from, until, lists] = [rows.start, rows.end, count].map(|row| row.div_ceil(together));
        &self.starts[number * lists + from..][..=until - from]
    }
}

impl Elements {
    fn len(&self) -> usize {
        match self {
            Self::OfOne(elements) => elements.len(),
            Self::OfTwo(elements) => elements.len(),
        }
    }
}

/// Appends the columns that one of two rows has, with the bytes of both; columns are counted from `first` on.
fn join(mut one: &[u16], mut other: &[u16], first: u8, to: &mut Vec<u32>) {
    let column = |row: &[u16]| row.first().map(|&pair| pair.to_le_bytes()[0].wrapping_sub(first));
    loop {
        let next = match (column(one), column(other)) {
            (Some(one), Some(other)) => one.min(other),
            (Some(next), None) | (None, Some(next)) => next,
            (None, None) => return,
        };
        let take = |row: &mut &[u16]| match row {
            [pair, rest @ ..] if pair.to_le_bytes()[0].wrapping_sub(first) == next => {
                let byte = pair.to_le_bytes()[1];
                *row = rest;
                byte
            }
            _ => 0,
        };
        to.push(u32::from_le_bytes([next, take(&mut one), take(&mut other), 0]));
    }
}

/// A pair whose column is counted from `first` on.
#[inline(always)]
pub(crate) fn less(pair: u16, first: u8) -> u16 {
    let [column, byte] = pair.to_le_bytes();
    u16::from_le_bytes([column.wrapping_sub(first), byte])
}

/// A row's record.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    words: *const u16,
    count: usize,
    marks: usize,
    of: PhantomData<&'a NonzeroBytes>,
}

impl Record<'_> {
    /// Of no row: no columns.
    pub const NONE: Self = Self { words: std::ptr::null(), count: 0, marks: 0, of: PhantomData };

    /// Asks for it.
    #[inline(always)]
    pub fn prefetch<I: Isa>(self, isa: I) {
        for at in (0..self.count).step_by(LINE) {
            isa.prefetch(self.words.wrapping_add(at).cast());
        }
    }

    /// From column 16·from up to column 16·to, or the end of the row: where the pairs begin, and how many they are.
    /// Thirty-two more may be read.
    ///
    /// # Safety
    /// The row has columns, at least 16·(to − 1) + 1 of them, and `from ≤ to`.
    #[inline(always)]
    pub unsafe fn pairs(self, from: usize, to: usize) -> (*const u16, usize) {
        debug_assert!(from <= to && to < self.marks, "marks {from} to {to} of {}", self.marks);
        // SAFETY: as promised, both are marks; the pairs follow them.
        unsafe {
            let [start, end] = [from, to].map(|mark| usize::from(*self.words.add(mark)));
            (self.words.add(self.marks + start), end - start)
        }
    }
}

/// Rows to be asked for.
struct Ask<'a> {
    found: &'a NonzeroBytes,
    rows: &'a [usize],
}

impl Op for Ask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        for &r in self.rows {
            self.found.record(r).prefetch(isa);
        }
    }
}

struct Find<'a> {
    bytes: &'a [u8],
    found: &'a mut NonzeroBytes,
}

impl Op for Find<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { bytes, found } = self;
        let width = found.shape[1];
        let marks = width.div_ceil(MARK);
        // What sixty-four bytes become, and eight more.
        let mut picked = [[0; CHUNK + 8]; 2];
        for row in bytes.chunks_exact(width.max(1)) {
            let start = found.records.len();
            found.starts.push(start);
            found.records.resize(start + marks + 1, 0);
            let mut before = 0;
            for from in (0..width).step_by(CHUNK) {
                let mut chunk = [0; CHUNK];
                let columns = &row[from..width.min(from + CHUNK)];
                chunk[..columns.len()].copy_from_slice(columns);
                let bits = isa.nonzero_bytes(&chunk);
                for (mark, to) in
                    found.records[start + from / MARK..start + marks].iter_mut().take(CHUNK / MARK).enumerate()
                {
                    *to = (before + (bits & ((1 << (MARK * mark)) - 1)).count_ones()) as u16;
                }
                before += bits.count_ones();
                let [bytes, columns] = &mut picked;
                let first = (from % 256) as u64 * EACH;
                // SAFETY: there is room for sixty-four, and eight more.
                let count =
                    unsafe { pick_nonzero(isa, &chunk, bits, first, [bytes.as_mut_ptr(), columns.as_mut_ptr()]) };
                let pairs = bytes[..count].iter().zip(&columns[..count]);
                found.records.extend(pairs.map(|(&byte, &column)| u16::from_le_bytes([column, byte])));
            }
            found.records[start + marks] = before as u16;
        }
        found.starts.push(found.records.len());
    }
}

/// Writes those of sixty-four bytes that have a bit, and where each is: the place of the first is in each byte of
/// `first`. Returns how many.
///
/// # Safety
/// There is room at both for as many as have bits, and eight more.
#[inline(always)]
pub(crate) unsafe fn pick_nonzero<I: Isa>(
    isa: I,
    bytes: &[u8; CHUNK],
    mut bits: u64,
    mut first: u64,
    [to, places]: [*mut u8; 2],
) -> usize {
    let mut at = 0;
    for &eight in bytes.as_chunks::<8>().0 {
        let byte = (bits & 0xff) as usize;
        let positions = u64::from_le_bytes(POSITIONS[byte]);
        // SAFETY: as promised.
        unsafe {
            to.add(at).cast::<[u8; 8]>().write(isa.pick_bytes(eight, POSITIONS[byte]));
            places.add(at).cast::<[u8; 8]>().write((positions + first).to_le_bytes());
        }
        at += byte.count_ones() as usize;
        bits >>= 8;
        first = first.wrapping_add(EACH * 8);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::rng::Rng;

    #[test]
    fn lists_of_one_row_and_of_two_have_what_is_not_0_in_order_block_by_block() {
        let mut rng = Rng::new(8);
        for width in [1, 16, 17, 255, 256, 257, 300, 784] {
            let bytes: Vec<u8> = (0..7 * width).map(|_| rng.f32_in(-500.0, 250.0).max(0.0) as u8).collect();
            let Some(found) = NonzeroBytes::of(Exec::serial(), &bytes, width) else { continue };
            for columns in [16, 112, 128] {
                for indices in [&[][..], &[3], &[6, 0], &[2, 2, 5], &[1, 4, 4, 0], &[0, 1, 2, 3, 4]] {
                    for together in [1, 2] {
                        let blocks = NonzeroBlocks::of(&found, indices, BlockForm { columns, rows: together });
                        let name = format!("{width} columns in blocks of {columns}, rows {indices:?} by {together}");
                        for (number, first) in (0..width).step_by(columns).enumerate() {
                            let starts = blocks.starts(number, 0..indices.len());
                            assert_eq!(starts.len(), indices.len().div_ceil(together) + 1, "{name}");
                            for (rows, list) in indices.chunks(together).zip(starts.windows(2)) {
                                let byte = |row: usize, column: usize| {
                                    rows.get(row).map_or(0, |&row: &usize| bytes[row * width + column])
                                };
                                let want: Vec<[u8; 4]> = (first..width.min(first + columns))
                                    .map(|column| [(column - first) as u8, byte(0, column), byte(1, column), 0])
                                    .filter(|element| element[1..] != [0; 3])
                                    .collect();
                                let got: Vec<[u8; 4]> = (list[0]..list[1])
                                    .map(|at| match &blocks.elements {
                                        Elements::OfOne(pairs) => u32::from(pairs[at]).to_le_bytes(),
                                        Elements::OfTwo(elements) => elements[at].to_le_bytes(),
                                    })
                                    .collect();
                                assert_eq!(got, want, "{name}, block {number}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "row 1 of lists of 2")]
    fn a_list_of_two_rows_does_not_begin_at_its_second() {
        let found = NonzeroBytes::of(Exec::serial(), &[0; 64], 16).expect("nothing is not 0");
        NonzeroBlocks::of(&found, &[0, 1, 2], BlockForm { columns: 16, rows: 2 }).starts(0, 1..3);
    }
}
