//! A product whose A is half zeros, or four fifths, one row of C at a time (of images two, with AVX-512: 5, 9).
//!
//! ```text
//! plain:  for i in 0..m:  for p in 0..k where A[i, p] ≠ 0:   c[i][..] += A[i, p] · B[p][..]
//!
//!     A, a block of k             its elements that are not 0          B, 104 columns of that block, in L1
//!   ┌──────────────────┐          values       steps                 ┌──────────────────────────────┐
//!   │ · · · 3 9 · · 7  │  ──────▶ 3 9 7        3 4 7       ──────▶   │ a row of 13 vectors, each the │
//!   │ 5 · · · 8 4 · ·  │          5 8 4        0 4 5                 │ operand of one multiply-add   │
//!   └──────────────────┘          one after the other                └──────────────────────────────┘
//!                                                                   (AVX2; 208 columns with AVX-512)
//!
//! for some rows of A:                                compress them, a block of k after the other
//!   for each panel of B:  for each block of k:       pack the block of the panel
//!     for each row:                                  13 accumulators, from where they were kept;  its elements;  back, or through the epilogue into C
//! ```
//!
//! 1. *One row.* Where half of A is zeros a row needs half of the steps, two rows need three quarters, and six nearly
//!    all: a tile that shares the rows of B among rows of A has little to leave out (table in `needed.rs`). One row
//!    takes a load for each multiply-add, which is what a core with two loads and two multiply-adds a cycle can do: a
//!    step of 13 vectors takes 7.3 cycles of Zen 3, where 6.5 are the multiply-adds.
//! 2. *A panel in L1.* That holds only while B is there: from L2 the same step takes 13.5 cycles. 64 steps of 104
//!    columns are 26 KB; and so k is in many blocks, and a row of C goes in and out of the registers for each.
//! 3. *Elements one after the other.* Read in place, the parts of A's rows that a block needs lie a row apart, which in
//!    a matrix of 1024 columns is the same place of the caches for all of them: 512×1024×1024 in 9.5 ms instead of
//!    10.5, and 14.1 with every step done.
//! 4. *Accumulators kept aside*, a panel's rows one after the other, and not in C, for the same reason: before that it
//!    took as long as with every step done.
//! 5. *A transposed A* (dW = Xᵀ·dY) and *images* are the same, once they are compressed (`compress.rs`). Transposed
//!    images, where pixels side by side are alike (`pixels.rs`), and with AVX-512 images where they lie (`images.rs`)
//!    and rows of up to 128 floats are not listed: bits say what is not 0, and two rows of C are computed at once
//!    (`masked.rs`).
//! 6. *Steps looked up ahead.* A step's number is loaded and multiplied to be the address of thirteen loads. Where it
//!    was found when it was needed, those waited, and the loads behind them too: 9 cycles a step. Two steps ahead, it
//!    took workload D to 0.9 of its time, and A, B and C to 0.95.
//! 7. *Short products* too, whose A need have no zeros: dX of a layer of ten units has ten steps, and what takes the
//!    time is to begin and to end (`short` in `table.rs`).
//! 8. *Whole registers* with AVX-512, so that each row of the packed panel is whole cache lines. A row of 100 or 104
//!    floats as it is would be two lines for every second load, and that is what a row at a time had been tried with,
//!    and dropped for.
//! 9. *Two images that are alike* share a list, and each row of B (AVX-512): those of a set that is evaluated again and
//!    again are put side by side for it (`train/src/samples.rs`). Two of MNIST's need 23 % of the steps, one 19: 0.91
//!    of the time.
//!
//! All of it took workload D to 0.66 of its time, and A and B to 0.9 (Zen 3; more in `docs/gemm.md`). It pays where the
//! share of elements that are not 0 is below 0.79 − 17/n (a transposed A: 27/n): to compress one, zero or not, takes as
//! long as a product of one with seventeen columns. With AVX-512, whose tiles of six rows take half as long as AVX2's
//! and whose lists (`listed.rs`) have three rows, D takes 0.73 of its time, A to C 0.94 to 0.98: a step of seven
//! registers takes 5.4 cycles and one of thirteen 8.7, where the multiply-adds are 3.5 and 6.5, and the loads 4.5 and
//! 7.5 if two are done in each.
//!
//! Tried and dropped: A's elements read in place in layers of 100 units, whose rows are near, by lists of steps alone:
//! 0.97 of the time forward, for a second kind of kernel. Images' records ([`NonzeroBytes`](crate::vec::NonzeroBytes))
//! read in place, each byte looked up in a table of floats: an evaluation took 1.4 times as long, for each row of each
//! block reads two lines of its record, the second when the first has come, where the copies are one stream. An
//! element's float broadcast from a general register, to spare the fourteenth load of vectors: within the noise. A's
//! elements compressed just before they are multiplied, 1 to 100 rows at a time, and not kept: as fast. The next block
//! of B asked for by each row, a few lines at a time: within the noise.
//!
//! Two rows at once (AVX-512) with a list each, so that a chain of seven registers is not waited for: as fast, for it
//! is loads that are waited for; and with thirteen the compiler kept the accumulators in memory. Two rows that share a
//! list of the steps that either needs, and each row of B, where they are not alike: no faster. (With bits, for which
//! nothing is copied, it is: `images.rs`.)
//!
//! Each element of C is the same chain over k, of which steps are left out as `allowed.rs` has it: where B does not
//! allow it, all elements of A are listed.

use super::HALF_LANES;
use super::allowed::least_of;
use super::block::tail;
use super::compress::{Compressed, Cut, Listed, MOST_STEPS, blocks, known};
use super::images::InPlaceBytes;
use super::masked::{Bits, InPlace};
use super::microkernel::{Row, Tile, finish, load_whole, store_whole};
use super::needed::VALUES;
use super::operands::{Operands, Source};
use super::pack::{Pack, PackPanel};
use super::pieces::{Consumer, PIECE_ROWS, Piece};
use super::pixels::{Pixels, Turned};
use super::plan::Plan;
use super::table::{self, ByElement, Images, InPlaceRows};
use crate::array::AlignedBuf;
use crate::exec::Exec;
use crate::isa::{Isa, LANES};
use crate::threads::share;
use crate::vec::NonzeroBlocks;
use std::cell::Cell;
use std::ops::Range;

/// Widths of the panels, in registers: fewer would not hide the latency of their multiply-adds.
pub(super) const FEWEST_REGISTERS: usize = 7;
pub(super) const MOST_REGISTERS: usize = 13;

thread_local! {
    /// This thread's buffers, grown to the largest it has met; taken out while in use. (In a box, for they are moved
    /// four times a product, and there are 280 bytes of them.)
    static BUFFERS: Cell<Option<Box<Buffers>>> = const { Cell::new(None) };
}

#[derive(Default)]
struct Buffers {
    compressed: Compressed,
    /// The same with every element, if B asks for it.
    all: Compressed,
    /// Which floats that are read in place are not 0.
    bits: Bits,
    /// Images, turned.
    pixels: Pixels,
    panel: AlignedBuf<f32>,
    accumulators: AlignedBuf<f32>,
    piece: AlignedBuf<f32>,
}

impl Buffers {
    /// Makes room for so many rows and columns of C, of panels of such registers, cut like that.
    fn make_room(&mut self, a: Source<'_>, [rows, columns]: [usize; 2], row: &table::Row, cut: Cut, hands_over: bool) {
        let (rows, block, register) = (rows.min(cut.rows(a)), cut.form.columns, row.register());
        let width = panels(columns, register).map(|(_, registers)| register * registers).max().unwrap_or(0);
        if let Source::BytesTransposed(x) = a {
            self.pixels.make_room(rows, x.shape()[0].div_ceil(block));
        } else if in_place(row, a).is_some() {
            self.bits.make_room(rows, a.shape()[1], block);
        } else if is_listed(row, a) {
            if known(a, cut.form).is_none() {
                self.compressed.make_room(a, rows, block);
            }
            self.all.make_room(a, rows, block);
        }
        self.panel.make_room(block * width);
        self.accumulators.make_room(rows * width);
        if hands_over {
            self.piece.make_room(PIECE_ROWS * width);
        }
    }
}

/// Most steps of floats that are read in place. (Rows that are longer lie so far apart that they want the same places
/// of L1.)
const MOST_IN_PLACE: usize = MOST_STEPS;

/// How A is read in place, if it is floats that need not be listed.
pub(super) fn in_place<'r>(row: &'r table::Row, a: Source<'_>) -> Option<&'r InPlaceRows> {
    match (a, &row.elements) {
        (Source::Floats(a), Some(ByElement { in_place: Some(rows), .. }))
            if a.strides()[1] == 1 && a.cols() <= MOST_IN_PLACE =>
        {
            Some(rows)
        }
        _ => None,
    }
}

/// Whether the elements of A are listed.
fn is_listed(row: &table::Row, a: Source<'_>) -> bool {
    match (a, &row.elements) {
        (_, None) | (Source::BytesTransposed(_), _) => false,
        (Source::Floats(_), _) => in_place(row, a).is_none(),
        (Source::Bytes(_), Some(elements)) => matches!(elements.images, Images::OneByOne(_)),
    }
}

/// Makes room for what a product of so many rows and columns needs if it leaves out elements, cut like that.
pub(super) fn make_room(exec: Exec, a: Source<'_>, shape: [usize; 2], cut: Cut, hands_over: bool) {
    let mut buffers = BUFFERS.take().unwrap_or_default();
    buffers.make_room(a, shape, table::row(exec.isa()), cut, hands_over);
    BUFFERS.set(Some(buffers));
}

/// Where the elements of A are.
pub(super) trait Listing: Copy {
    /// What is known of an element before it is multiplied.
    type Found: Copy;

    /// The step of the element at a place.
    ///
    /// # Safety
    /// There is an element, or room for one.
    unsafe fn find(self, place: usize) -> (usize, Self::Found);

    /// The element of a row, of those that share a list.
    ///
    /// # Safety
    /// There is one, and it was found so.
    unsafe fn value(self, place: usize, found: Self::Found, row: usize) -> f32;
}

/// Floats, and the number of each one's step.
#[derive(Clone, Copy)]
pub(super) struct Floats {
    values: *const f32,
    steps: *const u8,
}

impl Listing for Floats {
    type Found = ();

    #[inline(always)]
    unsafe fn find(self, place: usize) -> (usize, ()) {
        // SAFETY: as promised.
        (usize::from(unsafe { *self.steps.add(place) }), ())
    }

    #[inline(always)]
    unsafe fn value(self, place: usize, (): (), _: usize) -> f32 {
        // SAFETY: as promised.
        unsafe { *self.values.add(place) }
    }
}

/// The number of each byte's step, and above it the byte.
#[derive(Clone, Copy)]
pub(super) struct Pairs(*const u16);

impl Listing for Pairs {
    type Found = usize;

    #[inline(always)]
    unsafe fn find(self, place: usize) -> (usize, usize) {
        // SAFETY: as promised.
        let pair = usize::from(unsafe { *self.0.add(place) });
        (pair & 0xff, pair >> 8)
    }

    #[inline(always)]
    unsafe fn value(self, _: usize, byte: usize, _: usize) -> f32 {
        debug_assert!(byte < VALUES.len());
        // SAFETY: half of a pair, a byte.
        unsafe { *VALUES.get_unchecked(byte) }
    }
}

/// The number of each step that one of two rows needs, and above it both rows' bytes.
#[derive(Clone, Copy)]
pub(super) struct Twos(*const u32);

impl Listing for Twos {
    type Found = usize;

    #[inline(always)]
    unsafe fn find(self, place: usize) -> (usize, usize) {
        // SAFETY: as promised.
        let found = unsafe { *self.0.add(place) } as usize;
        (found & 0xff, found >> 8)
    }

    #[inline(always)]
    unsafe fn value(self, _: usize, bytes: usize, row: usize) -> f32 {
        VALUES[bytes >> (8 * row) & 0xff]
    }
}

/// Rows of A whose elements are listed.
#[derive(Clone, Copy)]
pub(super) struct Lists<'a, E> {
    rows: usize,
    /// Where the elements of each list begin, and the end of the last.
    starts: &'a [usize],
    elements: E,
}

/// Some rows of A, [`Lists`], [`InPlace`], [`InPlaceBytes`] or [`Turned`], times a block of a panel.
pub(super) struct Rows<'a, A> {
    pub a: A,
    /// The packed panel: a row of whole half vectors for each step.
    pub panel: *const f32,
    /// The accumulators of the first row; the others follow, a row of the panel each.
    pub accumulators: *mut f32,
    /// Whether chains begin here, from 0, or go on.
    pub first: bool,
    /// C and the epilogue, of which the first row is row 0; `None`: the chains go on after this block.
    pub last: Option<Tile<'a>>,
}

/// Columns of a panel of `NV` vectors, and with `HALF` of half a one, which takes half the room.
pub(super) const fn panel_width<const NV: usize, const HALF: bool>() -> usize {
    LANES * NV + if HALF { HALF_LANES } else { 0 }
}

impl<A> Rows<'_, A> {
    /// The accumulators of `R` rows, from a row on, as the chains begin or go on.
    ///
    /// # Safety
    /// `accumulators` is readable for the panel's width at each of these rows.
    #[inline(always)]
    pub unsafe fn begin<I: Isa, const R: usize, const NV: usize, const HALF: bool>(
        &self,
        isa: I,
        row: usize,
    ) -> [Row<I, NV>; R] {
        let mut acc = [Row { full: [isa.splat(0.0); NV], half: isa.half_splat(0.0) }; R];
        if !self.first {
            for (r, acc) in acc.iter_mut().enumerate() {
                // SAFETY: as promised.
                *acc = unsafe {
                    load_whole::<I, NV, HALF>(isa, self.accumulators.add((row + r) * panel_width::<NV, HALF>()))
                };
            }
        }
        acc
    }

    /// Puts them back, or through the epilogue into C.
    ///
    /// # Safety
    /// `accumulators` is writable for the panel's width at each of these rows, and `last` has them; all rows before
    /// have been put.
    #[inline(always)]
    pub unsafe fn end<I: Isa, const R: usize, const NV: usize, const HALF: bool>(
        &mut self,
        isa: I,
        row: usize,
        mut acc: [Row<I, NV>; R],
    ) {
        // SAFETY: as promised.
        unsafe {
            if let Some(tile) = &mut self.last {
                finish::<I, R, NV, HALF>(isa, tile, &mut acc);
                tile.c = tile.c.wrapping_add(R * tile.c_row);
                tile.with = tile.with.wrapping_add(R * tile.with_row);
            } else {
                for (r, &acc) in acc.iter().enumerate() {
                    let kept = self.accumulators.add((row + r) * panel_width::<NV, HALF>());
                    store_whole::<I, NV, HALF>(isa, acc, kept);
                }
            }
        }
    }
}

/// A step of `R` rows: to each its element times a row of the panel. A vector of B is loaded when it is its turn, and
/// not the whole row before, as for a tile's steps: of thirteen beside two rows' accumulators there are not the
/// registers.
///
/// # Safety
/// `b` is readable for `16·NV` floats, or with `HALF` 8 more.
#[inline(always)]
pub(super) unsafe fn multiply_add<I: Isa, const R: usize, const NV: usize, const HALF: bool>(
    isa: I,
    elements: [f32; R],
    b: *const f32,
    acc: &mut [Row<I, NV>; R],
) {
    let mut full = [isa.splat(0.0); R];
    for (full, element) in full.iter_mut().zip(elements) {
        *full = isa.splat(element);
    }
    // SAFETY: as promised.
    unsafe {
        for j in 0..NV {
            let b = isa.load_ptr(b.add(j * LANES));
            for r in 0..R {
                acc[r].full[j] = isa.fma(full[r], b, acc[r].full[j]);
            }
        }
        if HALF {
            let b = isa.half_load_ptr(b.add(NV * LANES));
            for r in 0..R {
                acc[r].half = isa.half_fma(isa.half_splat(elements[r]), b, acc[r].half);
            }
        }
    }
}

/// A kernel for one width of panels, where A is listed.
pub(super) type ListsKernel<E> = unsafe fn(&mut Rows<'_, Lists<'_, E>>);
/// A kernel for one width of panels, where bits say which elements are not 0.
pub(super) type MaskedKernel<A> = unsafe fn(&mut Rows<'_, A>);

/// Computes the rows, `R` of which share a list, of `NV` vectors, with `HALF` also half a vector behind them.
///
/// # Safety
/// With `cols = 16·NV`, or with `HALF` 8 more:
/// - there is a list for each `R` rows, and for those that are left over; there are elements from the first of `starts`
///   to the last, and room for two more, and `panel` is readable for `cols` floats at `p·cols` for the step p of each;
/// - `accumulators` is readable and writable for `cols` floats a row, and nobody else uses them;
/// - `last` is a tile as [`tiles`](super::microkernel::tiles) has it, for so many rows as there are, one below the
///   other.
#[inline(always)]
pub(super) unsafe fn listed_rows<I: Isa, E: Listing, const R: usize, const NV: usize, const HALF: bool>(
    isa: I,
    t: &mut Rows<'_, Lists<'_, E>>,
) {
    let Lists { rows, starts, .. } = t.a;
    let whole = rows / R;
    // SAFETY: as promised.
    unsafe {
        lists::<I, E, R, NV, HALF>(isa, t, &starts[..=whole], 0);
        if R > 1 && whole * R < rows {
            lists::<I, E, 1, NV, HALF>(isa, t, &starts[whole..], whole * R);
        }
    }
}

/// Computes `R` rows of each of some lists, from a row on.
///
/// # Safety
/// As [`listed_rows`]; and the rows before have been computed.
#[inline(always)]
unsafe fn lists<I: Isa, E: Listing, const R: usize, const NV: usize, const HALF: bool>(
    isa: I,
    t: &mut Rows<'_, Lists<'_, E>>,
    starts: &[usize],
    mut row: usize,
) {
    let columns = panel_width::<NV, HALF>();
    let elements = t.a.elements;
    let panel = t.panel;
    // The row of the panel that an element wants, and what is known of it. Behind the last element two more are found,
    // and not read.
    let find = |place: usize| {
        // SAFETY: as promised.
        let (step, found) = unsafe { elements.find(place) };
        (panel.wrapping_add(step * columns), found)
    };
    let mut soon = [find(starts[0]), find(starts[0] + 1)];
    for ends in starts.windows(2) {
        // SAFETY: as promised.
        unsafe {
            let mut acc = t.begin::<I, R, NV, HALF>(isa, row);
            for place in ends[0]..ends[1] {
                let [(b, found), next] = soon;
                soon = [next, find(place + 2)];
                let mut values = [0.0; R];
                for (r, value) in values.iter_mut().enumerate() {
                    *value = elements.value(place, found, r);
                }
                multiply_add::<I, R, NV, HALF>(isa, values, b, &mut acc);
            }
            t.end::<I, R, NV, HALF>(isa, row, acc);
        }
        row += R;
    }
}

/// The panels of so many columns: first column, and width in registers of so many. Widths differ by one at most.
fn panels(columns: usize, register: usize) -> impl Iterator<Item = (usize, usize)> {
    let registers = columns.div_ceil(register);
    let count = registers.div_ceil(MOST_REGISTERS);
    (0..count).map(move |at| {
        let range = share(registers, 1, at, count);
        (register * range.start, range.len())
    })
}

/// Computes some rows and columns of C = A·B, with the epilogue, or hands them over.
///
/// # Panics
/// If the ISA has no kernels for so few columns, or neither the rows nor the columns of A are adjacent.
pub(super) fn band(
    exec: Exec,
    plan: &Plan,
    operands: &Operands<'_>,
    [rows, columns]: [Range<usize>; 2],
    consumer: Option<Consumer<'_>>,
) {
    let a = operands.source;
    let row = table::row(exec.isa());
    let register = row.register();
    let kernels = row.elements.as_ref().expect("the ISA has kernels of a row at a time");
    let ([_, k, n], block) = (plan.shape, plan.kc);
    let cut = plan.cut(row);
    let [_, least] = least_of(operands.source);
    let mut buffers = BUFFERS.take().unwrap_or_default();
    buffers.make_room(a, [rows.len(), columns.len()], row, cut, consumer.is_some());
    let Buffers { compressed, all, bits, pixels, panel, accumulators, piece } = &mut *buffers;
    let (known, in_place) = (known(a, cut.form), in_place(row, a));
    let groups = rows.len().div_ceil(cut.rows(a));
    // (Two rows of images may share a list.)
    for group in (0..groups).map(|at| share(rows.len(), 2, at, groups)) {
        let group = rows.start + group.start..rows.start + group.end;
        assert!(group.len() <= cut.rows(a), "{group:?} in buffers of {} rows", cut.rows(a));
        if let Source::BytesTransposed(x) = a {
            pixels.turn(exec, x, group.clone(), block);
        } else if let (Source::Floats(a), Some(_)) = (a, in_place) {
            bits.find(exec, a, group.clone(), block);
        } else if is_listed(row, a) && known.is_none() {
            compressed.find(exec, a, group.clone(), block, Listed::Needed);
        }
        // What is not listed is there in full.
        let mut has_all = !is_listed(row, a);
        for (from, registers) in panels(columns.len(), register) {
            let (from, width) = (columns.start + from, register * registers);
            let count = width.min(columns.end - from);
            let mut allowed = true;
            let kept = operands.prepacked.filter(|_| count == n).and_then(|kept| kept.ask([k, n, width]));
            for (number, steps) in blocks(k, block).enumerate() {
                let [row_stride, column_stride] = operands.b_strides;
                let (panel, seen) = match kept {
                    Some((kept, seen)) => (kept.wrapping_add(steps.start * width), seen),
                    None => {
                        // SAFETY: the panel's columns and the block's steps are inside n and k, which the view of B was
                        // checked to reach; the buffer was just sized, and is this thread's own.
                        let seen = exec.run(unsafe {
                            Pack::<true>::new(PackPanel {
                                b: operands.b.wrapping_add(steps.start * row_stride + from * column_stride),
                                row_stride,
                                column_stride,
                                k: steps.len(),
                                columns: count,
                                to: panel.as_mut_ptr(),
                                width,
                            })
                        });
                        (panel.as_ptr(), seen)
                    }
                };
                allowed &= seen.fit(least);
                if !allowed && !has_all {
                    all.find(exec, a, group.clone(), block, Listed::All);
                    has_all = true;
                }
                let multiply = |rows: Range<usize>, accumulators: *mut f32, last: Option<Tile<'_>>| {
                    let within = rows.start - group.start..rows.end - group.start;
                    let found = if allowed { &*compressed } else { &*all };
                    let starts = |within| found.starts(number, group.len(), within);
                    let first = number == 0;
                    let accumulators = accumulators.wrapping_add(within.start * width);
                    let kernel = registers - FEWEST_REGISTERS;
                    // SAFETY: the elements are those of these rows and steps, with room for sixteen more behind them,
                    // or A itself, which was sliced, with bits for each row; of images in place `new` has checked rows
                    // and columns, and `ByteRows` that there are such images; turned ones have a row for each pixel;
                    // the panel, kept or packed, has a row for each step; there are accumulators for all rows of the
                    // group; C, a buffer or the caller's, has these rows and columns, and so has what the epilogue
                    // reads. The kernel is that of an ISA whose token the caller holds.
                    unsafe {
                        match a {
                            Source::Floats(a) => match in_place {
                                Some(in_place) => {
                                    let row_stride = a.strides()[0];
                                    let a = InPlace {
                                        a: a.data()[rows.start * row_stride + steps.start..].as_ptr(),
                                        row_stride,
                                        bits: bits.of(number, group.len(), within.start),
                                        shape: [rows.len(), steps.len()],
                                        leaves_out: allowed,
                                    };
                                    in_place.kernels[kernel](&mut Rows { a, panel, accumulators, first, last });
                                }
                                None => {
                                    let (values, steps) = found.floats();
                                    let elements = Floats { values, steps };
                                    let a = Lists { rows: rows.len(), starts: starts(within), elements };
                                    kernels.floats[kernel](&mut Rows { a, panel, accumulators, first, last });
                                }
                            },
                            Source::Bytes(x) => match (kernels.images, known.filter(|_| allowed)) {
                                (Images::TwoByTwo { known: kernels, .. }, Some(known)) => {
                                    let (count, elements) = (rows.len(), Twos(known.of_two()));
                                    let a = Lists { rows: count, starts: known.starts(number, rows), elements };
                                    kernels[kernel](&mut Rows { a, panel, accumulators, first, last });
                                }
                                (Images::TwoByTwo { in_place: kernels, .. }, None) => {
                                    let a = InPlaceBytes::new(x, rows, steps.clone(), allowed);
                                    kernels[kernel](&mut Rows { a, panel, accumulators, first, last });
                                }
                                (Images::OneByOne(kernels), known) => {
                                    let (count, pairs) =
                                        (rows.len(), known.map_or(found.pairs(), NonzeroBlocks::of_one));
                                    let starts = match known {
                                        Some(known) => known.starts(number, rows),
                                        None => starts(within),
                                    };
                                    let a = Lists { rows: count, starts, elements: Pairs(pairs) };
                                    kernels[kernel](&mut Rows { a, panel, accumulators, first, last });
                                }
                            },
                            Source::BytesTransposed(_) => {
                                let bytes = pixels.row(number, within.start);
                                let (rows, samples) = (rows.len(), steps.len());
                                let a = Turned { bytes, rows, samples, leaves_out: allowed };
                                kernels.pixels[kernel](&mut Rows { a, panel, accumulators, first, last });
                            }
                        }
                    }
                };
                let accumulators = accumulators.as_mut_ptr();
                if steps.end < k {
                    multiply(group.clone(), accumulators, None);
                } else if let Some(consumer) = consumer {
                    for first in group.clone().step_by(PIECE_ROWS) {
                        let rows = first..group.end.min(first + PIECE_ROWS);
                        let tile = of_row(operands, [0, from], count, width);
                        multiply(
                            rows.clone(),
                            accumulators,
                            Some(Tile { c: piece.as_mut_ptr(), c_row: count, ..tile }),
                        );
                        let values = &piece[..rows.len() * count];
                        consumer(Piece { rows, columns: from..from + count, values });
                    }
                } else {
                    multiply(group.clone(), accumulators, Some(of_row(operands, [group.start, from], count, width)));
                }
            }
        }
    }
    BUFFERS.set(Some(buffers));
}

/// C and the epilogue from a row and a column on, for [`finish`].
fn of_row<'a>(operands: &Operands<'_>, [row, column]: [usize; 2], count: usize, width: usize) -> Tile<'a> {
    let Operands { c, c_row, with, with_row, finish, .. } = *operands;
    Tile {
        tiles: 1,
        k: 0,
        whole: 0,
        a: std::ptr::null(),
        a_row: 0,
        a_step: 0,
        b: std::ptr::null(),
        b_step: 0,
        c: c.wrapping_add(row * c_row + column),
        c_row,
        copy: std::ptr::null_mut(),
        ask: None,
        needed: None,
        far: false,
        tail: tail(count, width / HALF_LANES),
        beta: 0.0,
        prefetch: false,
        finish,
        with: with.wrapping_add(row * with_row + column),
        with_row,
    }
}
