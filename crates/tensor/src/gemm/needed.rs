//! Zeros that are not multiplied: the steps of k that a tile of rows of A needs.
//!
//! ```text
//! plain:  for p in 0..k:                                c[i][j] = fma(a[i][p], b[p][j], c[i][j])    for the tile's rows i
//! here:   for p in 0..k where a[i][p] ≠ 0 for some i:   the same
//!
//!         steps of k ─▶                                 a tile of three images: four of five pixels are black, and three
//!  rows   · · · 3 9 · · · · 7 1 · ·                     digits share half of theirs. 35 steps of 100 are needed.
//!  of A   · · · · 8 4 · · · 2 · · ·
//!         └─────┘     └─────┘   └─┘  not needed
//! ```
//!
//! Four of five pixels of MNIST are 0, and so is half of what leaves a ReLU, and of the gradient that goes back through
//! one. How many steps a tile needs, by its rows: `Y = X·W`, some samples at once, and `dW = Xᵀ·dY`, some pixels side
//! by side, of 12,000 training images; and X and dY of the hidden layers of the chapter's networks between step 100 and
//! 1000, least and most:
//!
//! | rows | 1 | 2 | 3 | 4 | 6 | 8 |
//! |---|---|---|---|---|---|---|
//! | images, Y = X·W | 19 % | 29 % | 35 % | 39 % | 44 % | 47 % |
//! | images of one class | 19 % | 26 % | 29 % | 32 % | 35 % | |
//! | images, dW = Xᵀ·dY | 19 % | 22 % | 26 % | 28 % | 34 % | 40 % |
//! | hidden, Y = X·W and dX = dY·Wᵀ | 49–64 % | 62–81 % | 67–85 % | | | |
//! | hidden, with batch norm | 50 % | 74 % | 86 % | | | |
//! | hidden, dW = Xᵀ·dY | 49–67 % | 73–91 % | 85–98 % | | | |
//!
//! A hidden layer's units are alike in many samples, but not side by side: dW has nothing to gain, and does all steps.
//! When it is allowed: `allowed.rs`. What is left out where a row of C is computed at a time, as AVX2 does in layers of
//! more than 48 units and AVX-512 in those of more than 96: `compressed.rs`, `masked.rs`, `images.rs`, `pixels.rs`.
//!
//! 1. *Lists, not tests.* A branch at each step would be foreseen badly: a tile reads the numbers of its steps from a
//!    list.
//! 2. *Sixteen steps at a time.* Rows become bits first (of transposed bytes the pixels of a sample, and then the
//!    samples of a pixel); the bits of a tile's rows are joined, and become numbers with one compressed store, or two
//!    lookups in a table of 256 (AVX2, portable). All in one loop, tile by tile, took half as long again: too much of
//!    it had no register.
//! 3. *One list for all panels of B*: their tiles are of one height.
//! 4. *Only where it pays*: a look at a dozen rows of A tells what tiles of three need.
//!
//! The first layer's forward product went from 105 to 59 µs, its dW from 95 to 52 (128 images of MNIST, 100 columns,
//! one thread, AVX-512), of which the lists are 5 and 10 µs. A product of 250×100×100 takes 0.83 to 0.92 of its time
//! with 65 to 75 % of its steps needed, one of 512×1024×1024 0.80 to 0.91.
//!
//! Tried and dropped: tiles of one row of floats (AVX-512), with B in place: as fast as three rows with 100 units, half
//! as fast with 1024. (With B in whole cache lines in L1, and A's elements one after the other, they gain:
//! `compressed.rs`.) The bits of all columns noted at once, image by image, before dW's pieces: +12 % of dW (Zen 3),
//! for looking at a piece's bytes brings near what its tiles look up.

use super::allowed::{Least, least_of};
use super::block::first_row;
use super::compressed::{FEWEST_REGISTERS, in_place};
use super::operands::Source;
use super::plan::{Blocking, RowsAre, block_of_elements};
use super::table::{self, ByElement, Images};
use crate::array::View;
use crate::exec::Exec;
use crate::isa::{Isa, LANES, Op};
use crate::vec::{BlockForm, ByteRows, NonzeroBytes};
use std::cell::Cell;
use std::ops::Range;

/// Steps that are looked at together: bits of a word.
const CHUNK: usize = 64;

/// Room behind a list: sixteen entries are written at a time.
const ROOM: usize = LANES;

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
    /// A bit for each element of A that is not 0, in words of their own for each row; of transposed bytes for each
    /// step.
    words: Vec<u64>,
    /// Those turned around: in words for each row after all.
    turned: Vec<u64>,
}

/// The steps of some tiles, one below the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    /// The first tile's, in ascending order, with room for sixteen more behind them.
    pub list: *const u32,
    /// How many they are.
    pub counts: *const usize,
    /// Entries from list to list.
    stride: usize,
    pub elements: Elements,
}

impl Steps {
    /// Those of the tile that is so many rows below.
    #[inline(always)]
    pub fn next(&mut self, rows: usize) {
        self.list = self.list.wrapping_add(self.stride);
        self.counts = self.counts.wrapping_add(1);
        match &mut self.elements {
            Elements::Floats => {}
            Elements::Rows { indices, .. } => *indices = indices.wrapping_add(rows),
            Elements::Columns { bytes, .. } => *bytes = bytes.wrapping_add(rows),
        }
    }
}

/// Where a tile finds A.
#[derive(Clone, Copy, Debug)]
pub(super) enum Elements {
    /// Where all products do.
    Floats,
    /// In rows of bytes: the bytes of row 0, how far apart rows are, and which row the tile's row i is.
    Rows { bytes: *const u8, width: usize, indices: *const usize },
    /// The same where A is transposed: which row its step p is.
    Columns { bytes: *const u8, width: usize, indices: *const usize },
}

impl Needed {
    /// Finds the steps of `tiles` even shares of `rows`; all of them, unless B allows to leave some out.
    ///
    /// # Panics
    /// If there are more than 4096 steps, or more than 64 rows of transposed bytes.
    pub fn find(
        &mut self,
        exec: Exec,
        source: Source<'_>,
        allowed: bool,
        rows: Range<usize>,
        steps: Range<usize>,
        tiles: usize,
    ) {
        assert!(steps.len() <= LONGEST, "{} steps in a list", steps.len());
        let Self { lists, counts, stride, words, turned } = self;
        let (count, k) = (rows.len(), steps.len());
        *stride = k.next_multiple_of(CHUNK) + ROOM;
        if lists.len() < tiles * *stride {
            lists.resize(tiles * *stride, 0);
        }
        counts.clear();
        words.clear();
        let shares = (0..tiles).map(|tile| first_row(count, tiles, tile)..first_row(count, tiles, tile + 1));
        let lists = lists.chunks_exact_mut(*stride);
        if !allowed {
            for (list, _) in lists.zip(0..tiles) {
                list.iter_mut().zip(0..).take(k).for_each(|(entry, p)| *entry = p);
                counts.push(k);
            }
            return;
        }
        let words_of_row = k.div_ceil(CHUNK);
        match source {
            Source::Floats(a) => exec.run(LookAtFloats { a, rows, steps, words }),
            Source::Bytes(bytes) => exec.run(LookAtBytes { bytes, rows, columns: steps, words }),
            Source::BytesTransposed(bytes) => {
                assert!(count <= CHUNK, "{count} rows of transposed bytes");
                exec.run(LookAtBytes { bytes, rows: steps, columns: rows, words });
                exec.run(TurnBits { words, rows: count, of_row: words_of_row, to: turned });
                return exec.run(ListOfRows { words: turned, words_of_row, tiles: shares.zip(lists), counts });
            }
        }
        exec.run(ListOfRows { words, words_of_row, tiles: shares.zip(lists), counts });
    }

    /// What tiles read, the first of which has that number, and whose first row of A is `row`, in a block of these
    /// steps: bytes, if they are to be looked up.
    pub fn steps(&self, source: Source<'_>, looks_up: bool, tile: usize, row: usize, steps: &Range<usize>) -> Steps {
        // The next tiles' lists and counts are found from these.
        assert!(
            (tile + 1) * self.stride <= self.lists.len() && tile < self.counts.len(),
            "there is a list for tile {tile}"
        );
        let list = self.lists.as_ptr().wrapping_add(tile * self.stride);
        let elements = match source {
            Source::Floats(_) => Elements::Floats,
            _ if !looks_up => Elements::Floats,
            Source::Bytes(bytes) => {
                let (data, width, indices) = bytes.parts();
                Elements::Rows { bytes: data[steps.start..].as_ptr(), width, indices: indices[row..].as_ptr() }
            }
            Source::BytesTransposed(bytes) => {
                let (data, width, indices) = bytes.parts();
                Elements::Columns { bytes: data[row..].as_ptr(), width, indices: indices[steps.start..].as_ptr() }
            }
        };
        Steps { list, counts: self.counts.as_ptr().wrapping_add(tile), stride: self.stride, elements }
    }
}

/// Notes which elements of some rows of A are not 0; of a row that up to them has one so small that a product of it
/// might underflow, all.
struct LookAtFloats<'a> {
    a: View<'a, f32, 2>,
    rows: Range<usize>,
    steps: Range<usize>,
    words: &'a mut Vec<u64>,
}

impl Op for LookAtFloats<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { a, rows, steps, words } = self;
        let [least, _] = least_of(Source::Floats(a));
        let of_row = steps.len().div_ceil(CHUNK);
        words.resize(rows.len() * of_row, 0);
        for (r, words) in rows.zip(words.chunks_exact_mut(of_row.max(1))) {
            let (earlier, row) = a.data()[r * a.strides()[0]..][..steps.end].split_at(steps.start);
            let mut sizes = Least::new(isa);
            // The blocks of k before this one may have left the chain at −0.
            for chunk in earlier.chunks(CHUNK) {
                nonzero_bits(isa, chunk, &mut sizes);
            }
            for (word, chunk) in words.iter_mut().zip(row.chunks(CHUNK)) {
                *word = nonzero_bits(isa, chunk, &mut sizes);
            }
            if !sizes.reaches(isa, least) {
                for (word, chunk) in words.iter_mut().zip(row.chunks(CHUNK)) {
                    *word = u64::MAX >> (CHUNK - chunk.len());
                }
            }
        }
    }
}

/// Notes which of some columns of some rows of bytes are not 0.
struct LookAtBytes<'a> {
    bytes: ByteRows<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
    words: &'a mut Vec<u64>,
}

impl Op for LookAtBytes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { bytes, rows, columns, words } = self;
        let of_row = columns.len().div_ceil(CHUNK);
        words.resize(rows.len() * of_row, 0);
        let of_rows = words.chunks_exact_mut(of_row.max(1));
        for (r, words) in rows.zip(of_rows) {
            // What is read beyond the columns is left out after. A copy of just them would have to be waited for.
            let (chunks, rest) = bytes.from(r, columns.start).as_chunks();
            for (word, chunk) in words.iter_mut().zip(chunks) {
                *word = isa.nonzero_bytes(chunk);
            }
            if let Some(last) = words.get_mut(chunks.len()) {
                *last = nonzero_bytes(rest);
            }
            if let Some(last) = words.last_mut() {
                *last &= u64::MAX >> (CHUNK * of_row - columns.len());
            }
        }
    }
}

/// Lists the steps of each tile at which one of its rows has a bit.
struct ListOfRows<'a, T> {
    words: &'a [u64],
    words_of_row: usize,
    /// Each tile's rows and list.
    tiles: T,
    counts: &'a mut Vec<usize>,
}

impl<'a, T: Iterator<Item = (Range<usize>, &'a mut [u32])>> Op for ListOfRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let of_row = self.words_of_row;
        for (rows, list) in self.tiles {
            let words = &self.words[rows.start * of_row..rows.end * of_row];
            let mut count = 0;
            for at in 0..of_row {
                let mut word = 0;
                for row in words.chunks_exact(of_row) {
                    word |= row[at];
                }
                for part in (0..CHUNK).step_by(LANES) {
                    append(isa, (word >> part) as u16, CHUNK * at + part, list, &mut count);
                }
            }
            self.counts.push(count);
        }
    }
}

/// Turns bits around: bit r of word p becomes bit p of row r, for some rows, in `of_row` words each.
struct TurnBits<'a> {
    words: &'a [u64],
    rows: usize,
    of_row: usize,
    to: &'a mut Vec<u64>,
}

impl Op for TurnBits<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, _: I) {
        let Self { words, rows, of_row, to } = self;
        to.clear();
        to.resize(rows * of_row, 0);
        for (at, part) in words.chunks(CHUNK).enumerate() {
            let mut block = [0; CHUNK];
            block[..part.len()].copy_from_slice(part);
            turn_bits(&mut block);
            for (row, word) in to.chunks_exact_mut(of_row).zip(block) {
                row[at] = word;
            }
        }
    }
}

/// Transposes 64×64 bits: halves of words change places, then quarters, and so on (Warren, Hacker's Delight, 7-3).
#[inline(always)]
fn turn_bits(words: &mut [u64; CHUNK]) {
    let (mut by, mut low) = (CHUNK / 2, u64::MAX >> (CHUNK / 2));
    while by > 0 {
        for pair in words.chunks_exact_mut(2 * by) {
            let (first, second) = pair.split_at_mut(by);
            for (a, b) in first.iter_mut().zip(second) {
                let change = (*a >> by ^ *b) & low;
                *a ^= change << by;
                *b ^= change;
            }
        }
        by /= 2;
        low ^= low << by;
    }
}

/// Appends the positions of the bits that are set, counted from `from`, to a list.
#[inline(always)]
fn append<I: Isa>(isa: I, bits: u16, from: usize, list: &mut [u32], count: &mut usize) {
    let entries = list[*count..].first_chunk_mut().expect("there is room behind a list");
    *count += isa.list_bits(bits, from as u32, entries);
}

/// Which of less than sixty-four bytes are not zero, one bit each. The last row of all needs it, and only that.
#[cold]
#[inline(never)]
fn nonzero_bytes(bytes: &[u8]) -> u64 {
    bytes.iter().zip(0..).fold(0, |bits, (&byte, at)| bits | u64::from(byte != 0) << at)
}

/// Which of up to sixty-four floats are not 0 (a NaN is not); `least` takes in their sizes.
#[inline(always)]
pub(super) fn nonzero_bits<I: Isa>(isa: I, floats: &[f32], least: &mut Least<I>) -> u64 {
    let (whole, rest) = floats.as_chunks::<LANES>();
    let mut bits = 0;
    // Unrolled, with nothing to ask where there are four vectors, as there are at most.
    if let Ok(four) = <&[_; CHUNK / LANES]>::try_from(whole) {
        for (part, x) in four.iter().enumerate() {
            bits |= least.see(isa, part, isa.load(x)) << (LANES * part);
        }
        return bits;
    }
    for part in 0..CHUNK / LANES {
        let x = match whole.get(part) {
            Some(x) => isa.load(x),
            None if part == whole.len() && !rest.is_empty() => isa.load_part(rest),
            None => break,
        };
        bits |= least.see(isa, part, x) << (LANES * part);
    }
    bits
}

/// Fewest rows of a product whose zeros are looked for: B is looked through for each.
const ROWS: usize = 32;

/// Fewest columns of one whose A is floats.
const COLUMNS: usize = 48;

/// Rows of the tiles that leave out steps.
const THREE: usize = 3;

/// Rows of A that are looked at to guess how many steps tiles need, and most steps of them.
const SAMPLE: usize = 12;
const SAMPLED_STEPS: usize = 1024;

/// Share of the steps up to which leaving out the others pays: a step of a list takes 1.6 times as long as one of all
/// steps. (Of floats: [`Row::floats_pay`](table::Row::floats_pay).)
const PAYS: f64 = 0.55;

/// What a product leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeftOut {
    Nothing,
    /// Steps at which all of a tile's rows of A are 0.
    Steps,
    /// Every element of A that is 0 ([`super::compressed`]).
    Elements,
}

/// Whether products of this shape leave out elements if enough of them are 0.
pub(super) fn may_leave_out_elements(exec: Exec, source: Source<'_>, n: usize) -> bool {
    let [m, k] = source.shape();
    let adjacent = if let Source::Floats(a) = source { a.strides().contains(&1) } else { true };
    m >= ROWS && adjacent && (k >= ROWS || is_short(exec, source)) && has_elements(exec, n)
}

/// Whether an ISA has kernels of a row at a time for so many columns.
fn has_elements(exec: Exec, n: usize) -> bool {
    let row = table::row(exec.isa());
    row.elements.is_some() && n.div_ceil(row.register()) >= FEWEST_REGISTERS
}

/// Whether a product has so few steps that it had best be computed a row at a time, zeros or not.
fn is_short(exec: Exec, source: Source<'_>) -> bool {
    let most = table::row(exec.isa()).elements.as_ref().map_or(0, |elements| elements.short);
    matches!(source, Source::Floats(a) if a.strides()[1] == 1 && (1..=most).contains(&a.cols()))
}

/// What products ask to know of the bytes of a matrix in rows of `width`, to be given with rows of them
/// ([`ByteRows::with_nonzero`]); `None` where they do not ask, and where too few are 0 ([`NonzeroBytes::of`]).
///
/// # Panics
/// If the bytes are no whole rows.
pub fn find_nonzero(exec: Exec, bytes: &[u8], width: usize) -> Option<NonzeroBytes> {
    if table::row(exec.isa()).elements.is_some() { NonzeroBytes::of(exec, bytes, width) } else { None }
}

/// Asks for what is known of some rows of images, for a product of them that is to come next, where products read it.
/// Cost: 0.1 µs an image that is not in the caches.
///
/// # Panics
/// Where products read it, if a row is not there.
pub fn prefetch_nonzero(exec: Exec, found: &NonzeroBytes, rows: &[usize]) {
    if let Some(ByElement { images: Images::OneByOne(_), .. }) = table::row(exec.isa()).elements {
        found.prefetch(exec, rows);
    }
}

/// How products read [`NonzeroBlocks`](crate::vec::NonzeroBlocks) of a batch of images, B×k, that is multiplied with
/// matrices of k×n again and again; `None` where they do not ask for them.
pub fn block_of_nonzero(exec: Exec, [k, n]: [usize; 2]) -> Option<BlockForm> {
    let row = table::row(exec.isa());
    let ByElement { images, .. } = row.elements.as_ref().filter(|_| k >= ROWS && has_elements(exec, n))?;
    let columns = block_of_elements(row, [k, n], RowsAre::Images, &Blocking::of(exec.isa()));
    Some(BlockForm { columns, rows: images.at_once() })
}

/// What a product had best leave out, as far as some rows of A tell.
pub(super) fn left_out(exec: Exec, source: Source<'_>, n: usize) -> LeftOut {
    let ([m, k], row) = (source.shape(), table::row(exec.isa()));
    if m < ROWS || k == 0 {
        return LeftOut::Nothing;
    }
    if may_leave_out_elements(exec, source, n)
        && let Some(ByElement { pays, list_costs, images, in_place: rows_in_place, .. }) = &row.elements
    {
        // There is nothing to look for, and less than three quarters of them are not 0.
        let known = matches!(source, Source::Bytes(bytes) if bytes.blocks().is_some());
        if known || is_short(exec, source) {
            return LeftOut::Elements;
        }
        if let Some(rows) = in_place(row, source) {
            let pay = rows.pay(share_needed(exec, source, rows.at_once), n);
            return if pay { LeftOut::Elements } else { LeftOut::Nothing };
        }
        let share = share_not_zero(exec, source);
        let pay = match (source, images, rows_in_place) {
            // As floats in place; two images, or two pixels, need at most so many steps if they are alike in nothing.
            (Source::Bytes(_) | Source::BytesTransposed(_), Images::TwoByTwo { .. }, Some(rows)) => {
                rows.pay(1.0 - (1.0 - share).powi(2), n)
            }
            _ => {
                let row_major = match source {
                    Source::Floats(a) => a.strides()[1] == 1,
                    Source::Bytes(_) => true,
                    Source::BytesTransposed(_) => false,
                };
                let cost = if row_major { list_costs.row_major } else { list_costs.turned };
                share <= pays - cost / n as f64
            }
        };
        if pay {
            return LeftOut::Elements;
        }
    }
    let pays = match source {
        Source::Floats(a) if a.strides()[1] != 1 || n < COLUMNS => None,
        Source::Floats(_) => row.floats_pay,
        Source::Bytes(_) | Source::BytesTransposed(_) => (k <= LONGEST).then_some(PAYS),
    };
    match pays {
        Some(pays) if share_needed(exec, source, THREE) <= pays => LeftOut::Steps,
        _ => LeftOut::Nothing,
    }
}

/// The share of the elements of A that are not 0, as far as a few tell, or, if that is known, all images that A is
/// picked from.
fn share_not_zero(exec: Exec, source: Source<'_>) -> f64 {
    if let Source::Bytes(bytes) | Source::BytesTransposed(bytes) = source
        && let Some((found, _)) = bytes.nonzero()
    {
        return found.share();
    }
    let mut words = SAMPLED.take();
    // Which way round floats lie does not matter.
    let lying = match source {
        Source::Floats(a) if a.strides()[1] != 1 => Source::Floats(a.t()),
        source => source,
    };
    let [rows, columns] = look_at_some(exec, lying, 1, &mut words);
    let count: u32 = words.iter().map(|word| word.count_ones()).sum();
    SAMPLED.set(words);
    f64::from(count) / (rows * columns).max(1) as f64
}

/// Notes which elements are not 0 of the first rows of A as it lies in memory, a multiple of `unit` of them. Returns
/// how many rows and columns those are.
fn look_at_some(exec: Exec, source: Source<'_>, unit: usize, words: &mut Vec<u64>) -> [usize; 2] {
    words.clear();
    let [rows, width] = match source {
        Source::Floats(a) => a.shape(),
        Source::Bytes(bytes) | Source::BytesTransposed(bytes) => bytes.shape(),
    };
    let [count, width] = [SAMPLE.min(rows / unit * unit), width.min(SAMPLED_STEPS)];
    let (rows, columns) = (0..count, 0..width);
    match source {
        Source::Floats(a) => exec.run(LookAtFloats { a, rows, steps: columns, words }),
        Source::Bytes(bytes) | Source::BytesTransposed(bytes) => exec.run(LookAtBytes { bytes, rows, columns, words }),
    }
    [count, width]
}

/// The share of the steps that so many rows need together, as far as a few rows tell; of transposed bytes, three rows.
fn share_needed(exec: Exec, source: Source<'_>, unit: usize) -> f64 {
    let mut words = SAMPLED.take();
    let [rows, columns] = look_at_some(exec, source, unit, &mut words);
    let all = (rows * columns).div_ceil(unit);
    let of_row = columns.div_ceil(CHUNK);
    let count = if let Source::BytesTransposed(_) = source {
        /// Bits 0, 3, 6 … 60: where three pixels side by side begin.
        const THIRDS: u64 = 0x1249_2492_4924_9249;
        assert!(unit == THREE, "{unit} pixels");
        words.iter().map(|bits| ((bits | bits >> 1 | bits >> 2) & THIRDS).count_ones()).sum::<u32>()
    } else {
        let together = |rows: &[u64]| -> u32 {
            let word = |at| rows.iter().skip(at).step_by(of_row).fold(0, |word, bits| word | bits);
            (0..of_row).map(|at| word(at).count_ones()).sum()
        };
        words.chunks_exact(unit * of_row.max(1)).map(together).sum()
    };
    SAMPLED.set(words);
    f64::from(count) / all.max(1) as f64
}

thread_local! {
    /// The bits of the rows looked at last, for their memory.
    static SAMPLED: Cell<Vec<u64>> = const { Cell::new(Vec::new()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Tensor;
    use crate::isa::AnyIsa;

    #[test]
    fn zeros_are_left_out_where_there_are_enough_of_them_for_the_columns_and_the_isa() {
        // Half of the elements, in no two rows the same.
        let half = Tensor::from_fn([64, 64], |[r, j]| f32::from(u8::from((r * 31 + j * (2 * r + 1)) % 64 < 32)));
        let dense = Tensor::from_fn([64, 64], |_| 1.0);
        let apart = View::with_strides(half.as_slice(), [32, 32], [128, 2]).expect("fits");
        for isa in AnyIsa::available() {
            let exec = Exec::with_isa(isa, 1);
            let of = |a: View<'_, f32, 2>, n| left_out(exec, Source::Floats(a), n);
            // AVX-512 reads rows in place, two at once, of which three quarters of the steps are needed here; columns
            // it lists, which costs as much as 34 columns.
            let [wide, rows_at_100, columns_at_100, short_at_16] = match isa.name() {
                "avx2" => [LeftOut::Elements; 4],
                "avx512" => [LeftOut::Elements, LeftOut::Elements, LeftOut::Nothing, LeftOut::Nothing],
                _ => [LeftOut::Nothing; 4],
            };
            for (a, at_100) in [(half.view(), rows_at_100), (half.view().t(), columns_at_100)] {
                assert_eq!([of(a, 1024), of(a, 100)], [wide, at_100], "{}", isa.name());
                // What it costs to look at A, or to list it, is not repaid; and there are no kernels for so few
                // columns.
                assert_eq!([of(a, 56), of(a, 48)], [LeftOut::Nothing; 2], "{}", isa.name());
            }
            let short = |k| of(dense.view().slice(1, 0..k).expect("fits"), 100);
            assert_eq!([16, 17].map(short), [short_at_16, LeftOut::Nothing], "{}", isa.name());
            for a in [dense.view(), dense.view().t(), half.view().slice(0, 0..16).expect("fits"), apart] {
                assert_eq!(of(a, 1024), LeftOut::Nothing, "{}", isa.name());
            }
        }
    }
}
