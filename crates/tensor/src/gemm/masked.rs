//! Rows of C at the steps at which rows of A are not 0, where bits say which those are: one row at a time, or two.
//!
//! ```text
//! plain:  for i in 0..m:  for p in 0..k where A[i, p] ≠ 0:  c[i][..] += A[i, p] · B[p][..]
//!
//!     A, where it lies          bits of a row, of two                    B, a panel of it, in L1
//!   ┌──────────────────┐                                               ┌──────────────────────────────┐
//!   │ · · · 3 9 · · 7  │ ┐     0 0 0 1 1 0 0 1                         │ a row of 7 to 13 vectors,    │
//!   │ 5 · · 1 8 4 · ·  │ ┘     1 0 0 1 1 1 0 0                         │ each loaded once for         │
//!   └──────────────────┘       1 0 0 1 1 1 0 1   find the next  ───▶   │ one or two multiply-adds     │
//!                                                                      └──────────────────────────────┘
//! ```
//!
//! The loop is that of images turned to rows of pixels (`pixels.rs`), and, with AVX-512, of images where they lie
//! (`images.rs`) and of floats whose rows are short enough for that: X and dY of layers of some hundred units.
//!
//! 1. *Bits, not lists.* To list what is not 0 of 100×100 floats (`compress.rs`) takes 3 µs, lists of the steps that
//!    three rows need (`needed.rs`) as long; to compare sixteen at a time, and keep the bits, takes 0.7, and each
//!    step is found from a word of bits as it is done: a count of trailing zeros, one bit less. (It took 0.9 while the
//!    least size was found another way: a minimum of those that are not 0 takes the mask that says which are.)
//! 2. *Two rows at once.* Hidden rows are 0 at the same units more often than chance has it: of the chapter's search
//!    one needs 50 % of the steps, two 64 %, three 71 %. A row alone waits for its chain of seven registers and for the
//!    loads: 1.85 ns a step, and 93 for 100 steps of which it needs 50. Two rows take 2.7 ns a step, of which the
//!    fourteen multiply-adds are 2.5: 86 for each, and half as many loops end where it is not foreseen. (On Zen 5 1.74
//!    and 1.65; floats a row at a time take the chapter's search to 1.04 of its time, dropout to 1.08, images and
//!    pixels too 1.07 and 1.09.) (Units side by side are not alike: for dW = Xᵀ·dY two need 78 %, and its A is listed,
//!    or all steps are done.)
//! 3. *One loop* over both words of a row: to change the word is two conditional moves. A loop for each took 1 µs more
//!    of 784 pixels; of rows of floats it is as fast. And the bits of the next rows are found before the loop over
//!    these: where a loop ends is not foreseen, and then they would be waited for.
//!
//! Of floats it took a product of 100×100×100 from 13.4 to 11.9 µs, with a transposed B from 14.5 to 12.5, and of 400
//! rows from 50 to 41 (the chapter's search, one thread, 2 cores of an Intel server CPU), workloads A, B and C to 0.96,
//! 0.96 and 0.97 of their time, and the weight decay experiment to 0.9.
//!
//! Tried and dropped: columns of floats by bits, for dW: as long as by lists, and with half of the elements longer than
//! all steps, for the product's pieces and the weights they go into turn the panel out of L1. The bits of the next two
//! rows found in the loop over these, and not kept: 1.01 of the time. B read where it lies, in rows of 100 floats of
//! which most vectors are on two lines: 3.1 ns for a step of two rows and not 2.7, which is what the copy takes. With
//! AVX2, whose registers have room for one row: 1.03 of the time of lists.
//!
//! Each element of C is the same chain over k, of which steps are left out as `allowed.rs` has it.

use super::allowed::{Least, least_of};
use super::compress::{MOST_ROWS, MOST_STEPS, blocks};
use super::compressed::{Rows, multiply_add, panel_width};
use super::needed::nonzero_bits;
use super::operands::Source;
use crate::array::View;
use crate::exec::Exec;
use crate::isa::{Isa, Op};
use crate::vec::CHUNK;
use std::ops::Range;

/// Rows of A of which bits say at which steps of a block they are not 0.
pub(super) trait Masked: Copy {
    /// Where a row's elements are.
    type Row: Copy;

    /// Rows, and steps of the block, 1 to [`MOST_STEPS`].
    fn shape(self) -> [usize; 2];

    /// The steps that `R` rows need, from a row on.
    ///
    /// # Safety
    /// They are there.
    unsafe fn needed<I: Isa, const R: usize>(self, isa: I, row: usize) -> u128;

    /// A row.
    ///
    /// # Safety
    /// It is there.
    unsafe fn row(self, row: usize) -> Self::Row;

    /// An element of a row.
    ///
    /// # Safety
    /// It is there.
    unsafe fn element(row: Self::Row, step: usize) -> f32;
}

/// Floats where they lie.
#[derive(Clone, Copy)]
pub(super) struct InPlace {
    /// The first row's element at the block's first step, and the stride from row to row. A row's elements are
    /// adjacent.
    pub a: *const f32,
    pub row_stride: usize,
    /// The first row's bits; the others' follow.
    pub bits: *const u128,
    /// Rows, and steps of the block.
    pub shape: [usize; 2],
    /// Whether steps are left out.
    pub leaves_out: bool,
}

impl Masked for InPlace {
    type Row = *const f32;

    #[inline(always)]
    fn shape(self) -> [usize; 2] {
        self.shape
    }

    #[inline(always)]
    unsafe fn needed<I: Isa, const R: usize>(self, _: I, row: usize) -> u128 {
        if !self.leaves_out {
            return all(self.shape[1]);
        }
        // SAFETY: as promised.
        (0..R).fold(0, |bits, r| bits | unsafe { *self.bits.add(row + r) })
    }

    #[inline(always)]
    unsafe fn row(self, row: usize) -> *const f32 {
        self.a.wrapping_add(row * self.row_stride)
    }

    #[inline(always)]
    unsafe fn element(row: *const f32, step: usize) -> f32 {
        // SAFETY: as promised.
        unsafe { *row.add(step) }
    }
}

/// The bits of so many steps, of which there is one.
#[inline(always)]
pub(super) fn all(steps: usize) -> u128 {
    u128::MAX >> (MOST_STEPS - steps)
}

/// Computes some rows, `R` at once, of `NV` vectors, with `HALF` also half a vector behind them.
///
/// # Safety
/// With `cols = 16·NV`, or with `HALF` 8 more:
/// - all rows of A are there, at all steps of the block;
/// - `panel` is readable for `cols` floats for each step;
/// - `accumulators` is readable and writable for `cols` floats a row, and nobody else uses them;
/// - `last` is a tile as [`tiles`](super::microkernel::tiles) has it, for so many rows as there are, one below the
///   other.
#[inline(always)]
pub(super) unsafe fn masked_rows<I: Isa, A: Masked, const R: usize, const NV: usize, const HALF: bool>(
    isa: I,
    t: &mut Rows<'_, A>,
) {
    let [rows, _] = t.a.shape();
    // SAFETY: as promised.
    unsafe {
        some_rows::<I, A, R, NV, HALF>(isa, t, 0..rows / R * R);
        if R > 1 {
            some_rows::<I, A, 1, NV, HALF>(isa, t, rows / R * R..rows);
        }
    }
}

/// Computes a multiple of `R` rows.
///
/// # Safety
/// As [`masked_rows`]; and those before have been computed.
#[inline(always)]
unsafe fn some_rows<I: Isa, A: Masked, const R: usize, const NV: usize, const HALF: bool>(
    isa: I,
    t: &mut Rows<'_, A>,
    rows: Range<usize>,
) {
    if rows.is_empty() {
        return;
    }
    let columns = panel_width::<NV, HALF>();
    let a = t.a;
    // SAFETY: as promised.
    let mut coming = unsafe { a.needed::<I, R>(isa, rows.start) };
    for at in rows.clone().step_by(R) {
        // SAFETY: as promised.
        unsafe {
            let needed = coming;
            coming = a.needed::<I, R>(isa, (at + R).min(rows.end - R));
            let mut lying = [a.row(at); R];
            for (r, row) in lying.iter_mut().enumerate() {
                *row = a.row(at + r);
            }
            let mut acc = t.begin::<I, R, NV, HALF>(isa, at);
            let (mut word, next, mut first) = (needed as u64, (needed >> CHUNK) as u64, 0);
            for _ in 0..needed.count_ones() {
                let ended = word == 0;
                word = if ended { next } else { word };
                first = if ended { CHUNK } else { first };
                let step = first + word.trailing_zeros() as usize;
                word &= word.wrapping_sub(1);
                let b = t.panel.add(step * columns);
                let mut elements = [0.0; R];
                for (element, row) in elements.iter_mut().zip(lying) {
                    *element = A::element(row, step);
                }
                multiply_add::<I, R, NV, HALF>(isa, elements, b, &mut acc);
            }
            t.end::<I, R, NV, HALF>(isa, at, acc);
        }
    }
}

/// Which elements of some rows of floats are not 0, a block of k after the other; of a row that up to the end of a
/// block has one so small that a product of it might underflow, all of that block.
#[derive(Default)]
pub(super) struct Bits(Vec<u128>);

impl Bits {
    /// Makes room for so many rows of A.
    pub fn make_room(&mut self, rows: usize, k: usize, block: usize) {
        let needed = rows * k.div_ceil(block);
        if self.0.len() < needed {
            self.0.resize(needed, 0);
        }
    }

    /// Finds those of `rows` of A, in blocks of so many steps.
    ///
    /// # Panics
    /// If there are more than 512 rows, or more than 128 steps in a block; or if the elements of a row are not
    /// adjacent.
    pub fn find(&mut self, exec: Exec, a: View<'_, f32, 2>, rows: Range<usize>, block: usize) {
        assert!(rows.len() <= MOST_ROWS && (1..=MOST_STEPS).contains(&block), "{rows:?} in blocks of {block}");
        assert!(a.strides()[1] == 1, "the elements of a row are {} apart", a.strides()[1]);
        self.make_room(rows.len(), a.cols(), block);
        exec.run(Look { a, rows, block, to: &mut self.0 });
    }

    /// Those of a row, of so many that were looked at, in a block; those of the next rows follow.
    pub fn of(&self, number: usize, count: usize, row: usize) -> *const u128 {
        self.0[number * count + row..].as_ptr()
    }
}

struct Look<'a> {
    a: View<'a, f32, 2>,
    rows: Range<usize>,
    block: usize,
    to: &'a mut [u128],
}

impl Op for Look<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { a, rows, block, to } = self;
        let [least, _] = least_of(Source::Floats(a));
        // Rows that have had so small an element, and whether there are any.
        let (mut small, mut any) = ([false; MOST_ROWS], false);
        for (steps, to) in blocks(a.cols(), block).zip(to.chunks_exact_mut(rows.len())) {
            let row = |r: usize| a.data()[r * a.strides()[0]..][steps.clone()].split_at(steps.len().min(CHUNK));
            let mut sizes = Least::new(isa);
            for (r, to) in rows.clone().zip(to.iter_mut()) {
                let (low, high) = row(r);
                *to = u128::from(nonzero_bits(isa, low, &mut sizes));
                *to |= u128::from(nonzero_bits(isa, high, &mut sizes)) << CHUNK;
            }
            // There is hardly ever one: which row has it is asked then.
            if !sizes.reaches(isa, least) {
                for (r, small) in rows.clone().zip(&mut small) {
                    let ((low, high), mut sizes) = (row(r), Least::new(isa));
                    nonzero_bits(isa, low, &mut sizes);
                    nonzero_bits(isa, high, &mut sizes);
                    *small |= !sizes.reaches(isa, least);
                }
                any = true;
            }
            if any {
                for (to, _) in to.iter_mut().zip(&small).filter(|(_, small)| **small) {
                    *to = all(steps.len());
                }
            }
        }
    }
}
