//! The bitmap: some rows of A, and which of their elements are not 0.
//!
//! ```text
//! plain:  for each block of k:  for each row:  bits ← Σ 2ᵖ over the steps p of the block where A[row, p] ≠ 0
//!
//!   A row-major, floats or bytes      the rows stay where they are; pointers to them are noted
//!   A transposed                      the rows are transposed into scratch, 16×16 floats or 64×16 bytes at a time
//! ```
//!
//! A word has 128 bits: as many steps as a block of k has at most. The words of a block follow one another, as the kernel
//! reads them.
//!
//! A row whose element is too small ([`super::guard`]) gets all bits, from that block of k on. That there is such an
//! element is found for all rows of a block at once; only then each row is asked.

use super::guard::{Sizes, least_sizes};
use crate::exec::Exec;
use crate::gemm::PackPanel;
use crate::isa::{Isa, LANES, Op};
use crate::machine::scratch::Arena;
use crate::vec::{ByteRows, Lhs, prefetch_bytes};
use std::ops::Range;

/// Steps of a block of k, at most: the bits of a word.
pub(super) const MOST_STEPS: usize = 128;

/// Rows of a group, at most. Scratch is sized by them.
pub(super) const MOST_ROWS: usize = 512;

/// Elements whose bits are half a word: bytes that are compared at a time.
const CHUNK: usize = 64;

/// Rows of bytes that are prefetched ahead.
const AHEAD: usize = 4;

/// Where the elements of each row begin.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a> {
    Floats(&'a [*const f32]),
    Bytes(&'a [*const u8]),
}

/// A group of rows of A and their bits.
pub(crate) struct Group<'a> {
    pub(super) rows: Rows<'a>,
    /// `bits[block · rows + row]`
    pub(super) bits: &'a [u128],
    pub(super) count: usize,
    /// Steps of A, and of a block.
    pub(super) k: usize,
    pub(super) block: usize,
    /// The least size of an element of B.
    pub(super) least_of_b: f32,
}

/// All bits of so many steps.
pub(super) fn all(steps: usize) -> u128 {
    u128::MAX >> (MOST_STEPS - steps)
}

/// The blocks of k.
pub(super) fn blocks(k: usize, block: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    (0..k).step_by(block).map(move |from| from..k.min(from + block))
}

/// Bytes from one transposed row to the next.
pub(super) const fn row_of_bytes(k: usize) -> usize {
    k.next_multiple_of(CHUNK)
}

impl<'a> Group<'a> {
    /// Rows `rows` of A, in blocks of `block` steps. Cost: A is read once, and copied if it is transposed.
    ///
    /// # Panics
    /// If the rows are not there, or neither rows nor columns of A are adjacent.
    pub fn new(exec: Exec, a: Lhs<'a>, rows: Range<usize>, block: usize, arena: &mut Arena<'a>) -> Self {
        let ([m, k], count, [least, least_of_b]) = (a.shape(), rows.len(), least_sizes(a));
        assert!(rows.end <= m && count <= MOST_ROWS, "rows {rows:?} of {m}");
        assert!((1..=MOST_STEPS).contains(&block), "blocks of {block} steps");
        let bits = arena.take(count * k.div_ceil(block));
        let rows = match a {
            Lhs::Floats(a) => {
                let [stride, step] = a.strides();
                let (mut first, mut distance) = (a.data().as_ptr().wrapping_add(rows.start * stride), stride);
                if step != 1 {
                    assert!(
                        stride == 1,
                        "the rows or the columns of A are adjacent, and they are {:?} apart",
                        a.strides()
                    );
                    let width = k.next_multiple_of(LANES);
                    let to = arena.take::<f32>(count * width).as_mut_ptr();
                    // "Rows" and "columns" of the panel are those of this group: B's rows are adjacent.
                    let panel = PackPanel { b: first, strides: [1, step], k: count, columns: k, to, width };
                    // SAFETY: the view of A reaches these rows at all k steps, and the copy was just sized.
                    exec.run(unsafe { panel.op() });
                    (first, distance) = (to, width);
                }
                let pointers = arena.take::<*const f32>(count);
                for (r, pointer) in pointers.iter_mut().enumerate() {
                    *pointer = first.wrapping_add(r * distance);
                }
                exec.run(OfFloats { rows: pointers, k, block, least, bits });
                Rows::Floats(pointers)
            }
            Lhs::Bytes(a) => {
                let pointers = arena.take::<*const u8>(count);
                for (pointer, r) in pointers.iter_mut().zip(rows.clone()) {
                    *pointer = a.row(r).as_ptr();
                }
                exec.run(OfBytes { row: |r| a.from(rows.start + r, 0), rows: count, k, block, bits });
                Rows::Bytes(pointers)
            }
            Lhs::BytesTransposed(a) => {
                let width = row_of_bytes(k);
                let to = arena.take::<u8>(count.next_multiple_of(LANES) * width);
                exec.run(TransposeBytes { from: a, columns: rows, to, width });
                let to = &*to;
                let pointers = arena.take::<*const u8>(count);
                for (r, pointer) in pointers.iter_mut().enumerate() {
                    *pointer = to[r * width..].as_ptr();
                }
                exec.run(OfBytes { row: |r| &to[r * width..], rows: count, k, block, bits });
                Rows::Bytes(pointers)
            }
        };
        Self { rows, bits, count, k, block, least_of_b }
    }
}

/// Which of up to 128 floats are not 0.
#[inline(always)]
fn of_floats<I: Isa>(isa: I, floats: &[f32], sizes: &mut Sizes<I>) -> u128 {
    let (low, high) = floats.split_at(floats.len().min(CHUNK));
    u128::from(of_chunk(isa, low, sizes)) | u128::from(of_chunk(isa, high, sizes)) << CHUNK
}

/// Which of up to 64 floats are not 0.
#[inline(always)]
fn of_chunk<I: Isa>(isa: I, floats: &[f32], sizes: &mut Sizes<I>) -> u64 {
    let (whole, rest) = floats.as_chunks::<LANES>();
    let mut bits = 0;
    // Unrolled, with constant shifts, where there are four vectors.
    if let Ok(four) = <&[_; CHUNK / LANES]>::try_from(whole) {
        for (at, x) in four.iter().enumerate() {
            bits |= u64::from(sizes.see(isa, at, isa.load(x))) << (LANES * at);
        }
        return bits;
    }
    for (at, x) in whole.iter().enumerate() {
        bits |= u64::from(sizes.see(isa, at, isa.load(x))) << (LANES * at);
    }
    if !rest.is_empty() {
        bits |= u64::from(sizes.see(isa, whole.len(), isa.load_part(rest))) << (LANES * whole.len());
    }
    bits
}

/// The bits of rows of floats.
struct OfFloats<'a> {
    rows: &'a [*const f32],
    k: usize,
    block: usize,
    least: f32,
    bits: &'a mut [u128],
}

impl Op for OfFloats<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { rows, k, block, least, bits } = self;
        // Rows that have had an element that is too small, and whether there are any.
        let (mut small, mut any) = ([false; MOST_ROWS], false);
        for (steps, at) in blocks(k, block).zip((0..).step_by(rows.len().max(1))) {
            // SAFETY: `Group::new` noted rows of k floats.
            let floats =
                |row: *const f32| unsafe { std::slice::from_raw_parts(row.wrapping_add(steps.start), steps.len()) };
            let bits = &mut bits[at..at + rows.len()];
            let mut sizes = Sizes::new(isa);
            for (&row, bits) in rows.iter().zip(&mut *bits) {
                *bits = of_floats(isa, floats(row), &mut sizes);
            }
            if !sizes.allow(isa, least) {
                for (&row, small) in rows.iter().zip(&mut small) {
                    *small |= floats(row).iter().any(|x| *x != 0.0 && x.abs() < least);
                }
                any = true;
            }
            if any {
                for (bits, _) in bits.iter_mut().zip(small).filter(|(_, small)| *small) {
                    *bits = all(steps.len());
                }
            }
        }
    }
}

/// Which of the first `count` bytes, 64 at most, are not 0.
#[inline(always)]
fn of_bytes<I: Isa>(isa: I, bytes: &[u8], count: usize) -> u64 {
    let nonzero = match bytes.first_chunk::<CHUNK>() {
        Some(bytes) => isa.nonzero_bytes(bytes),
        None => {
            let mut padded = [0; CHUNK];
            padded[..bytes.len()].copy_from_slice(bytes);
            isa.nonzero_bytes(&padded)
        }
    };
    nonzero & (u64::MAX >> (CHUNK - count))
}

/// The bits of rows of bytes, of which `row` returns at least k, and whatever lies behind them.
struct OfBytes<'a, F> {
    row: F,
    rows: usize,
    k: usize,
    block: usize,
    bits: &'a mut [u128],
}

impl<'b, F: Fn(usize) -> &'b [u8]> Op for OfBytes<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { row, rows, k, block, bits } = self;
        for r in 0..rows {
            if r + AHEAD < rows {
                prefetch_bytes(isa, &row(r + AHEAD)[..k]);
            }
            let bytes = row(r);
            for (at, steps) in blocks(k, block).enumerate() {
                let (first, len) = (steps.start, steps.len());
                let mut word = u128::from(of_bytes(isa, &bytes[first..], len.min(CHUNK)));
                if len > CHUNK {
                    word |= u128::from(of_bytes(isa, &bytes[first + CHUNK..], len - CHUNK)) << CHUNK;
                }
                bits[at * rows + r] = word;
            }
        }
    }
}

/// Columns of rows of bytes, a row of `width` bytes each. What is behind the last sample of a row is 0 or anything.
struct TransposeBytes<'a> {
    from: ByteRows<'a>,
    columns: Range<usize>,
    to: &'a mut [u8],
    width: usize,
}

impl Op for TransposeBytes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { from, columns, to, width } = self;
        let [samples, pixels] = from.shape();
        for first in (0..samples).step_by(CHUNK) {
            let chunk = first..samples.min(first + CHUNK);
            let mut rows = [from.row(first).as_ptr(); CHUNK];
            for (row, r) in rows.iter_mut().zip(chunk.clone()) {
                *row = from.row(r).as_ptr();
            }
            for (column, to) in columns.clone().step_by(LANES).zip(to.chunks_exact_mut(LANES * width)) {
                let to = to[first..][..(LANES - 1) * width + CHUNK].as_mut_ptr();
                if column + LANES <= pixels {
                    // SAFETY: the sixteen columns are there in every row; `to` was just sliced.
                    unsafe { isa.transpose_bytes(&rows, column, to, width) }
                    continue;
                }
                let mut padded = [[0; LANES]; CHUNK];
                for (padded, r) in padded.iter_mut().zip(chunk.clone()) {
                    padded[..pixels - column].copy_from_slice(&from.row(r)[column..]);
                }
                // SAFETY: as above, with zeros behind the last column.
                unsafe { isa.transpose_bytes(&padded.each_ref().map(|row| row.as_ptr()), 0, to, width) }
            }
        }
    }
}

/// How many floats are not 0.
pub(super) fn count_floats(exec: Exec, floats: &[f32]) -> usize {
    struct Count<'a>(&'a [f32]);
    impl Op for Count<'_> {
        type Output = usize;
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> usize {
            let mut sizes = Sizes::new(isa);
            self.0.chunks(MOST_STEPS).map(|floats| of_floats(isa, floats, &mut sizes).count_ones() as usize).sum()
        }
    }
    exec.run(Count(floats))
}

/// How many bytes are not 0.
pub(super) fn count_bytes(exec: Exec, bytes: &[u8]) -> usize {
    struct Count<'a>(&'a [u8]);
    impl Op for Count<'_> {
        type Output = usize;
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> usize {
            self.0.chunks(CHUNK).map(|bytes| of_bytes(isa, bytes, bytes.len()).count_ones() as usize).sum()
        }
    }
    exec.run(Count(bytes))
}
