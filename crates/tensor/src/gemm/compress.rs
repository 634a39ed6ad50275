//! The elements of A that are not 0, one after the other: what the kernels of [`super::compressed`] read.
//!
//! ```text
//! plain:  for each block of k:  for each row i of A:  note where its elements begin
//!                                 for p in the block where A[i, p] ≠ 0:  append A[i, p] to the values, p to the steps
//!
//!     word of a row's bits   1 0 0 1 1 0 0 0   ──▶  a row of a table   0 3 4 · · · · ·   ──▶  steps, as they are
//!     its elements           9 · · 2 7 · · ·                                             ──▶  9 2 7, by one shuffle; the end moves by 3
//! ```
//!
//! 1. *No branches.* Whether an element is 0 cannot be foreseen: eight at a time are compared, shuffled by the table's
//!    row, and written whole, and only the end moves by as many as they are. Asking first whether sixteen pixels are
//!    all black took 45 µs and not 36 (128 images, Zen 3): half of the sixteens are, and that is not foreseen either.
//!    Sixty-four are asked.
//! 2. *Bytes stay bytes*, each in a pair with its step: two bytes to copy and to read back, and not five, and what a
//!    byte stands for is looked up when it is multiplied: to list 128 images took 12.6 and takes 8.8 µs, and the first
//!    product of 500 test images, whose lists come from L3, 0.95 of its time (AVX-512).
//! 3. *Bytes are asked for ahead*: by each block what the next one reads of the same row. A row at once, two rows
//!    ahead, was waited for.
//! 4. *Found once.* Of images that are multiplied again and again what is not 0 is known ([`NonzeroBytes`]), and is
//!    copied, thirty-two at a time. It took the chapter's search to 0.95 of its time, workload A to 0.94. Asked for
//!    eight records ahead, and not all at once: that was waited for. Of a batch that comes again as it was, there are
//!    lists as they are wanted here ([`NonzeroBlocks`]), and nothing is done. (With AVX-512 images are listed no more,
//!    but for those: `images.rs`.)
//! 5. *Masks* (AVX-512). A vector's elements and their numbers are brought together by two instructions, and written
//!    whole: two µs for 128×100. (Of bytes there is no such instruction in AVX-512 F, BW, DQ and VL; images that are
//!    known were found as AVX2 finds them.)
//! 6. *Transposed.* The elements of sixteen rows of a transposed A are adjacent; squares of 16×16 are transposed in
//!    registers on their way. (Images are turned in `pixels.rs`.)

use super::allowed::{at_least, before, least_of};
use super::operands::Source;
use crate::array::{AlignedBuf, View};
use crate::exec::Exec;
use crate::isa::{Isa, LANES, Op};
use crate::vec::{
    BlockForm, ByteRows, CHUNK, EACH, MARK, MOST_BLOCK, NonzeroBlocks, NonzeroBytes, Record, less, pick_nonzero,
    prefetch_bytes,
};
use std::ops::Range;

/// Most steps in a block: a step's number is a byte.
pub(super) const MOST_STEPS: usize = MOST_BLOCK;

/// Most rows that are compressed together.
pub(super) const MOST_ROWS: usize = 512;

/// Most pixels that are turned together.
const MOST_PIXELS: usize = 1024;

/// How a product that leaves out elements is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Steps of k in a block, and how it reads what is known of images.
    pub form: BlockForm,
    /// Rows of bytes that are compressed together ([`Blocking::group`](super::Blocking::group)).
    pub group: usize,
}

impl Cut {
    /// Most rows of A that are compressed, turned or multiplied together. B is packed once for each so many. Rows of
    /// bytes are many steps long, and it is they, or their elements, that stay in L2, and the accumulators, one row of a
    /// panel each; of those whose elements are known, which are read once, in order, only the accumulators; and of
    /// floats the elements are few, and so are a pixel's bytes.
    pub fn rows(self, a: Source<'_>) -> usize {
        let (times, most) = match a {
            Source::Bytes(_) if known(a, self.form).is_some() => (2, MOST_ROWS),
            Source::Bytes(_) => (1, MOST_ROWS),
            Source::BytesTransposed(_) => (4, MOST_PIXELS),
            Source::Floats(_) => (4, MOST_ROWS),
        };
        // Two rows of images may share a list: an even number, of which even shares are no larger.
        (times * self.group).clamp(2, most) & !1
    }
}

/// The elements of A in the form in which a product reads them, if they are known and need not be found.
pub(super) fn known(a: Source<'_>, form: BlockForm) -> Option<&NonzeroBlocks> {
    let Source::Bytes(bytes) = a else { return None };
    bytes.blocks().filter(|known| known.form() == form)
}

/// Elements are written sixteen at a time, and pairs of a byte and its step thirty-two.
const ROOM: usize = 2 * LANES;

/// Rows of bytes, or records of what is known of them, asked for ahead.
const AHEAD: usize = 8;

/// Which elements are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// Those that are not 0; from the block on where a row has one so small that a product of it might underflow, all
    /// of the row.
    Needed,
    All,
}

/// The elements of some rows of A, a block of k after the other: floats and steps, or pairs of a byte and its step.
#[derive(Default)]
pub(super) struct Compressed {
    /// The elements, if A is floats.
    values: AlignedBuf<f32>,
    /// Which step of its block each is; of bytes too, until they are paired.
    steps: AlignedBuf<u8>,
    /// Bytes, until they are paired.
    bytes: AlignedBuf<u8>,
    /// If A is bytes: the step of each, and above it the byte.
    pairs: AlignedBuf<u16>,
    /// Where those of each row begin, block after block, and the end.
    starts: Vec<usize>,
}

impl Compressed {
    /// Makes room for so many rows of A.
    pub fn make_room(&mut self, a: Source<'_>, rows: usize, block: usize) {
        let k = a.shape()[1];
        let most = rows * k + ROOM;
        self.steps.make_room(most);
        if let Source::Floats(_) = a {
            self.values.make_room(most);
        } else {
            self.bytes.make_room(most);
            self.pairs.make_room(most);
        }
        let starts = rows * k.div_ceil(block) + 1;
        if self.starts.len() < starts {
            self.starts.resize(starts, 0);
        }
    }

    /// Finds the elements of `rows` of A, in blocks of so many steps.
    ///
    /// # Panics
    /// If there are more than 512 rows, or more than 128 steps in a block; or if neither the rows nor the columns of A
    /// are adjacent; or if A is bytes, and transposed.
    pub fn find(&mut self, exec: Exec, a: Source<'_>, rows: Range<usize>, block: usize, listed: Listed) {
        assert!(rows.len() <= MOST_ROWS && (1..=MOST_STEPS).contains(&block), "{rows:?} in blocks of {block}");
        self.make_room(a, rows.len(), block);
        match a {
            Source::Floats(a) => exec.run(CompressFloats { a, rows, block, listed, to: self }),
            Source::Bytes(bytes) => match bytes.nonzero() {
                Some((found, indices)) if listed == Listed::Needed && block.is_multiple_of(MARK) => {
                    exec.run(CopyBytes { found, indices, rows, block, to: self });
                }
                _ => exec.run(CompressBytes { bytes, rows, block, listed, to: self }),
            },
            Source::BytesTransposed(_) => unreachable!("images are turned pixel by pixel"),
        }
    }

    /// Where the elements of `rows` begin, of so many rows that were compressed, in a block of k; and the end of the
    /// last.
    pub fn starts(&self, number: usize, count: usize, rows: Range<usize>) -> &[usize] {
        &self.starts[number * count + rows.start..=number * count + rows.end]
    }

    /// The floats, and which step of its block each is, of which sixteen more may be read.
    pub fn floats(&self) -> (*const f32, *const u8) {
        (self.values.as_ptr(), self.steps.as_ptr())
    }

    /// The step of each byte, and above it the byte; sixteen more may be read.
    pub fn pairs(&self) -> *const u16 {
        self.pairs.as_ptr()
    }

    /// Pairs the first `count` bytes with their steps.
    #[inline(always)]
    fn pair(&mut self, count: usize) {
        let each = self.pairs.iter_mut().zip(self.steps.iter().zip(self.bytes.iter()));
        for (pair, (&step, &byte)) in each.take(count) {
            *pair = u16::from_le_bytes([step, byte]);
        }
    }
}

/// Blocks of so many of `k` steps.
pub(super) fn blocks(k: usize, block: usize) -> impl Iterator<Item = Range<usize>> {
    (0..k).step_by(block).map(move |from| from..k.min(from + block))
}

struct CompressFloats<'a> {
    a: View<'a, f32, 2>,
    rows: Range<usize>,
    block: usize,
    listed: Listed,
    to: &'a mut Compressed,
}

impl Op for CompressFloats<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { a, rows, block, listed, to } = self;
        let (data, [row_stride, step_stride], k) = (a.data(), a.strides(), a.cols());
        let [least, _] = least_of(Source::Floats(a));
        // Rows that have had so small an element.
        let mut small = [listed == Listed::All; MOST_ROWS];
        let mut turned = [[0.0; MOST_STEPS]; LANES];
        let (starts, last) = to.starts.split_at_mut(rows.len() * k.div_ceil(block));
        let mut end = EndOfFloats { values: to.values.as_mut_ptr(), steps: to.steps.as_mut_ptr(), at: 0, least };
        for (steps, starts) in blocks(k, block).zip(starts.chunks_exact_mut(rows.len())) {
            let mut starts = starts.iter_mut().zip(&mut small);
            if step_stride == 1 {
                for (r, (start, small)) in rows.clone().zip(starts) {
                    *start = end.at;
                    // SAFETY: there is room for all elements of A once, and sixteen more.
                    unsafe { end.append_row(isa, &data[r * row_stride..][steps.clone()], small) }
                }
                continue;
            }
            assert!(row_stride == 1, "the rows or the columns of A are adjacent");
            // Sixteen rows of A are sixteen adjacent elements of each step.
            for group in rows.clone().step_by(LANES) {
                let count = LANES.min(rows.end - group);
                for from in steps.clone().step_by(LANES) {
                    let mut square = [isa.splat(0.0); LANES];
                    for (row, p) in square.iter_mut().zip(from..steps.end) {
                        let elements = &data[p * step_stride + group..][..count];
                        *row = match elements.first_chunk() {
                            Some(elements) => isa.load(elements),
                            None => isa.load_part(elements),
                        };
                    }
                    let square = isa.transpose(square);
                    for (row, x) in turned.iter_mut().zip(square) {
                        let to = row[from - steps.start..].first_chunk_mut();
                        isa.store(x, to.expect("a row has room for whole vectors"));
                    }
                }
                for (row, (start, small)) in turned[..count].iter().zip(&mut starts) {
                    *start = end.at;
                    // SAFETY: as above.
                    unsafe { end.append_row(isa, &row[..steps.len()], small) }
                }
            }
        }
        last[0] = end.at;
    }
}

/// Where the next element goes.
struct EndOfFloats {
    values: *mut f32,
    steps: *mut u8,
    /// Elements so far.
    at: usize,
    /// The least size of an element, if it is not 0, with which no product underflows.
    least: f32,
}

impl EndOfFloats {
    /// Appends a row's elements of a block; all of them, if it is `small` or becomes so.
    ///
    /// # Safety
    /// There is room for the row, and for sixteen more, in `values` and `steps`, which nobody else uses.
    #[inline(always)]
    unsafe fn append_row<I: Isa>(&mut self, isa: I, row: &[f32], small: &mut bool) {
        let start = self.at;
        let mut sizes = isa.splat(f32::MAX);
        let (whole, rest) = row.as_chunks();
        // SAFETY: as promised; what is appended is no more than what was read of the row.
        unsafe {
            let mut first = 0;
            for x in whole {
                self.append(isa, isa.load(x), first, &mut sizes);
                first += EACH * LANES as u64;
            }
            if !rest.is_empty() {
                self.append(isa, isa.load_part(rest), first, &mut sizes);
            }
            *small |= !at_least(isa, sizes, self.least);
            if *small {
                self.at = start;
                for (&x, p) in row.iter().zip(0..=u8::MAX) {
                    *self.values.add(self.at) = x;
                    *self.steps.add(self.at) = p;
                    self.at += 1;
                }
            }
        }
    }

    /// Appends those of sixteen elements that are not 0; the first is the step that each byte of `first` is. `sizes`
    /// takes them in.
    ///
    /// # Safety
    /// There is room for sixteen.
    #[inline(always)]
    unsafe fn append<I: Isa>(&mut self, isa: I, x: I::F, first: u64, sizes: &mut I::F) {
        *sizes = isa.min(before(isa, isa.abs(x)), *sizes);
        // SAFETY: as promised.
        let (to, steps) = unsafe { (&mut *self.values.add(self.at).cast(), &mut *self.steps.add(self.at).cast()) };
        self.at += isa.nonzero_lanes(x, first, to, steps);
    }
}

/// A byte that is not 0 is 2⁻⁸ or more: none is too small.
struct CompressBytes<'a> {
    bytes: ByteRows<'a>,
    rows: Range<usize>,
    block: usize,
    listed: Listed,
    to: &'a mut Compressed,
}

impl Op for CompressBytes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { bytes, rows, block, listed, to } = self;
        let k = bytes.shape()[1];
        let (starts, last) = to.starts.split_at_mut(rows.len() * k.div_ceil(block));
        let mut end = EndOfBytes { bytes: to.bytes.as_mut_ptr(), steps: to.steps.as_mut_ptr(), at: 0, listed };
        for (steps, starts) in blocks(k, block).zip(starts.chunks_exact_mut(rows.len())) {
            for (r, start) in rows.clone().zip(starts) {
                let row = bytes.from(r, steps.start);
                if steps.start == 0 && r + AHEAD < rows.end {
                    prefetch_bytes(isa, &bytes.row(r + AHEAD)[..steps.len()]);
                }
                // What the next block ends with. It begins on the line that this one ends on.
                isa.prefetch(row.as_ptr().wrapping_add(2 * block - 1).cast());
                *start = end.at;
                // SAFETY: there is room for all elements of A once, and sixteen more.
                unsafe { end.append_row(isa, row, steps.len()) }
            }
        }
        last[0] = end.at;
        to.pair(end.at);
    }
}

/// Copies what [`NonzeroBytes`] has found.
struct CopyBytes<'a> {
    found: &'a NonzeroBytes,
    /// Which row of what was found each row is.
    indices: &'a [usize],
    rows: Range<usize>,
    block: usize,
    to: &'a mut Compressed,
}

impl Op for CopyBytes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { found, indices, rows, block, to } = self;
        let k = found.shape()[1];
        let (starts, last) = to.starts.split_at_mut(rows.len() * k.div_ceil(block));
        let pairs = to.pairs.as_mut_ptr();
        let mut end = 0;
        let mut records = [Record::NONE; MOST_ROWS];
        found.find(&indices[rows.clone()], &mut records);
        for (steps, starts) in blocks(k, block).zip(starts.chunks_exact_mut(rows.len())) {
            let [from, to] = [steps.start / MARK, steps.end.div_ceil(MARK)];
            for (at, (record, start)) in records.iter().zip(starts).enumerate() {
                if from == 0 && at + AHEAD < rows.len() {
                    records[at + AHEAD].prefetch(isa);
                }
                *start = end;
                // SAFETY: the block is inside k, which is the width of what was found; there is room for all elements
                // of A once, and thirty-two more.
                unsafe {
                    let (from, count) = record.pairs(from, to);
                    copy_pairs(from, count, steps.start as u8, pairs.add(end));
                    end += count;
                }
            }
        }
        last[0] = end;
    }
}

/// Copies pairs, and takes `first` from their columns.
///
/// # Safety
/// They are readable, and thirty-two more; and as many are writable.
#[inline(always)]
unsafe fn copy_pairs(pairs: *const u16, count: usize, first: u8, to: *mut u16) {
    // Thirty-two at once: seldom are there more, and whether there are more than sixteen is not foreseen.
    let mut at = 0;
    loop {
        // SAFETY: as promised.
        unsafe {
            let some = pairs.add(at).cast::<[u16; ROOM]>().read_unaligned();
            to.add(at).cast::<[u16; ROOM]>().write_unaligned(some.map(|pair| less(pair, first)));
        }
        at += ROOM;
        if at >= count {
            break;
        }
    }
}

/// Where the next byte goes.
struct EndOfBytes {
    bytes: *mut u8,
    steps: *mut u8,
    /// Bytes so far.
    at: usize,
    listed: Listed,
}

impl EndOfBytes {
    /// Appends the first `count` of a row's bytes, a block's: those that are not 0, or all.
    ///
    /// # Safety
    /// There is room for so many, and for sixteen more, in `bytes` and `steps`, which nobody else uses.
    #[inline(always)]
    unsafe fn append_row<I: Isa>(&mut self, isa: I, row: &[u8], count: usize) {
        let mut first = 0;
        for from in (0..count).step_by(CHUNK) {
            // A copy would have to be waited for.
            let mut padded = [0; CHUNK];
            let chunk = row[from..].first_chunk().unwrap_or_else(|| {
                padded[..row.len() - from].copy_from_slice(&row[from..]);
                &padded
            });
            let all = u64::MAX >> (CHUNK - CHUNK.min(count - from));
            let bits = if self.listed == Listed::All { all } else { isa.nonzero_bytes(chunk) & all };
            if bits != 0 {
                // SAFETY: as promised.
                unsafe {
                    let to = [self.bytes.add(self.at), self.steps.add(self.at)];
                    self.at += pick_nonzero(isa, chunk, bits, first, to);
                }
            }
            first += EACH * CHUNK as u64;
        }
    }
}
