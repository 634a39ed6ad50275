//! Packing B, and the rows of a transposed A ([`PackRows`]). A block of B, k×n, becomes panels that the register tile
//! reads with unit stride.
//!
//! ```text
//! B, a block of kc rows                panels of NV vectors, one after the other, each row-major
//!  ┌───────────┬───────────┬─────┐      ┌───────────┐┌───────────┐┌─────┬·····┐
//!  │ panel 0   │ panel 1   │ 2   │      │ p = 0     ││ p = 0     ││     : 0   :
//!  │           │           │     │  ──▶ │ p = 1     ││ p = 1     ││     : 0   :   the last vector
//!  │           │           │     │      │ …         ││ …         ││     : 0   :   is filled with zeros
//!  └───────────┴───────────┴─────┘      └───────────┘└───────────┘└─────┴·····┘
//! ```
//!
//! Plain: `panel[p][j] = B[p, j]`. Three routes by the strides of B:
//!
//! 1. *Adjacent columns*: a row of the panel is copied after the other, and one eight rows ahead is asked for. Column
//!    by column of vectors, each on another page, packing took 7 % of a 512³ product; this takes 4 to 5 %, and the
//!    product gained 3 to 7 %.
//! 2. *Adjacent rows* (a transposed matrix, as in dX = dY·Wᵀ): 16×16 blocks are transposed in registers, the ragged
//!    ones at the edges too (element by element they cost dX 4 %). It is 9 % of the dX of the chapter's layers.
//! 3. *Neither*: element by element.
//!
//! A B of the first kind need not be packed ahead: the first tile of rows reads it in place and writes the panel as it
//! goes ([`Plan::copies`](super::Plan::copies)), under the cover of its multiplications: +2 to 4 % of a large product,
//! +7 % of one with 100 rows. Several threads by rows still pack it ahead, together.
//!
//! Tried and dropped: buffers on 2 MB pages, −1 to +1 %; transposing with masked broadcasts, which the compiler turns
//! back into shuffles.

use super::allowed::{Seen, Sizes};
use super::microkernel::Tile;
use crate::isa::{Isa, LANES, Op};

/// One panel to pack.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackPanel {
    /// B[0, 0] of the panel, and its strides.
    pub b: *const f32,
    pub row_stride: usize,
    pub column_stride: usize,
    /// Rows, and columns (the last vector may be partial).
    pub k: usize,
    pub columns: usize,
    /// Where the panel goes: `k` rows of `width` floats, `columns` rounded up to half vectors or to vectors.
    pub to: *mut f32,
    pub width: usize,
}

/// Packs a panel.
///
/// Built by `block.rs`, `compressed.rs` and `prepacked.rs`, which promise that `b` is readable at every (row, column)
/// of the panel and `to` writable for `k · width` floats.
///
/// With `LOOK` it returns what was seen of the panel's elements, which may allow it to leave out steps ([`Seen`]);
/// without, nothing was seen.
pub(super) struct Pack<const LOOK: bool>(PackPanel);

impl<const LOOK: bool> Pack<LOOK> {
    /// # Safety
    /// - `b` is readable at `p·row_stride + j·column_stride` for p < k, j < columns;
    /// - `width` is `8·⌈columns/8⌉` or `16·⌈columns/16⌉`; `to` is writable for `k · width` floats that
    ///   overlap nothing read here, and nobody else touches them.
    pub unsafe fn new(panel: PackPanel) -> Self {
        Self(panel)
    }
}

impl<const LOOK: bool> Op for Pack<LOOK> {
    type Output = Seen;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Seen {
        let PackPanel { b, row_stride, column_stride, k, columns, to, width } = self.0;
        if column_stride == 1 {
            // SAFETY: as `new` was promised: rows p < k and their `columns` are readable, the panel writable.
            return unsafe { copy_rows::<I, LOOK>(isa, b, row_stride, k, columns, to, width) };
        }
        let mut sizes = Sizes::new(isa);
        for j in (0..columns).step_by(LANES) {
            let (count, stored) = (LANES.min(columns - j), LANES.min(width - j));
            // SAFETY: reads are of rows p < k and columns j..j + count, writes inside the panel's
            // k · width floats; both are what `new` was promised.
            unsafe {
                let (from, to) = (b.wrapping_add(j * column_stride), to.wrapping_add(j));
                if row_stride == 1 {
                    transpose_columns::<I, LOOK>(isa, from, column_stride, k, count, to, width, stored, &mut sizes);
                } else {
                    for p in 0..k {
                        for l in 0..stored {
                            let x = if l < count { *from.add(p * row_stride + l * column_stride) } else { 0.0 };
                            *to.add(p * width + l) = x;
                            if LOOK {
                                sizes.see(isa, isa.splat(x));
                            }
                        }
                    }
                }
            }
        }
        sizes.seen(isa)
    }
}

/// How many rows ahead of the copy a row is asked for.
const AHEAD: usize = 8;

/// Rows of adjacent elements. Returns what was seen of them.
///
/// # Safety
/// `from` is readable for `columns` floats at each of `k` rows, `to` writable for `width` at each: `columns`, rounded
/// up to half vectors or to vectors.
#[inline(always)]
unsafe fn copy_rows<I: Isa, const LOOK: bool>(
    isa: I,
    from: *const f32,
    row_stride: usize,
    k: usize,
    columns: usize,
    to: *mut f32,
    width: usize,
) -> Seen {
    // Four chains: a minimum takes four cycles.
    let mut chains = [Sizes::new(isa); 4];
    let (vectors, rest) = (columns / LANES, columns % LANES);
    for p in 0..k {
        // SAFETY: row p < k of both, as promised.
        unsafe {
            let (from, to) = (from.add(p * row_stride), to.add(p * width));
            for four in (0..vectors).step_by(chains.len()) {
                for (j, sizes) in (four..vectors).zip(&mut chains) {
                    let at = j * LANES;
                    isa.prefetch(from.wrapping_add(AHEAD * row_stride + at));
                    let x = isa.load_ptr(from.add(at));
                    isa.store_ptr(x, to.add(at));
                    if LOOK {
                        sizes.see(isa, x);
                    }
                }
            }
            if rest > 0 {
                let at = vectors * LANES;
                let x = isa.load_ptr_part(from.add(at), rest);
                isa.store_ptr_part(x, to.add(at), width - at);
                if LOOK {
                    chains[3].see(isa, x);
                }
            }
        }
    }
    chains.into_iter().map(|sizes| sizes.seen(isa)).fold(Seen::NOTHING, Seen::and)
}

/// Columns of `k` adjacent elements each.
///
/// # Safety
/// `from` is readable for `k` floats at each of `count ≤ 16` columns, `to` writable for `stored` floats, `count ≤
/// stored ≤ 16`, at each of `k` rows.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn transpose_columns<I: Isa, const LOOK: bool>(
    isa: I,
    from: *const f32,
    column_stride: usize,
    k: usize,
    count: usize,
    to: *mut f32,
    width: usize,
    stored: usize,
    sizes: &mut Sizes<I>,
) {
    for p in (0..k).step_by(LANES) {
        let rows = LANES.min(k - p);
        // The block beside this one is the next but k/16: time enough for it to come from beyond L2 (+3 % of a
        // transposed 512³).
        for l in 0..count {
            isa.prefetch(from.wrapping_add((l + LANES) * column_stride + p));
        }
        // SAFETY: columns l < count, elements p..p + rows ≤ k, as promised; the other columns are zeros.
        let block = unsafe {
            let from = from.add(p);
            if rows == LANES && count == LANES {
                isa.load_transposed(from, column_stride)
            } else {
                let mut block = [isa.splat(0.0); LANES];
                for (l, row) in block.iter_mut().enumerate().take(count) {
                    *row = isa.load_ptr_part(from.add(l * column_stride), rows);
                }
                isa.transpose(block)
            }
        };
        for (i, row) in block.into_iter().enumerate().take(rows) {
            // SAFETY: row p + i < k, as promised.
            unsafe { isa.store_ptr_part(row, to.add((p + i) * width), stored) }
            if LOOK {
                sizes.see(isa, row);
            }
        }
    }
}

/// Some tiles' rows of a transposed A to pack, one tile after the other: `to[p·rows + i] = A[i, p]` in each.
///
/// Each step of k of such an A lies in lines of its own, `a_step` from the step before; a tile of 6 rows uses 24 bytes
/// of a line. With rows of 1024 floats all those lines want the same place in L1, and every one of them misses, panel
/// after panel: 102 GFLOP/s in a 1024×512×1024 product with a transposed A, where the packed one has 205. Packed tile
/// by tile it had 162: a line was fetched from beyond L2 (where they all want the same place too) for each of the three
/// tiles that use it.
pub(super) struct PackRows<'a> {
    /// A[0, 0] of the first tile, and its stride from step to step.
    pub a: *const f32,
    pub a_step: usize,
    pub k: usize,
    /// The first row of each tile, counted from the first tile's, and the end of the last.
    pub tiles: &'a [usize],
    pub to: *mut f32,
}

/// Packs tiles' rows.
pub(super) struct PackTiles<'a>(PackRows<'a>);

impl<'a> PackTiles<'a> {
    /// # Safety
    /// - `a` is readable at `p·a_step + i` for p < k and i below the end of the last tile;
    /// - `to` is writable for k floats a row, which overlap nothing read here, and nobody else touches them.
    pub unsafe fn new(rows: PackRows<'a>) -> Self {
        Self(rows)
    }
}

impl Op for PackTiles<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let PackRows { a, a_step, k, tiles, to } = self.0;
        let end = tiles[tiles.len() - 1];
        for p in 0..k {
            let step = a.wrapping_add(p * a_step);
            for line in (0..end).step_by(LANES) {
                isa.prefetch(step.wrapping_add(AHEAD * a_step + line));
            }
            for tile in tiles.windows(2) {
                let (start, rows) = (tile[0], tile[1] - tile[0]);
                for from in (0..rows).step_by(LANES) {
                    let count = LANES.min(rows - from);
                    // SAFETY: step p < k and rows from..from + count of the tile, as `new` was promised.
                    unsafe {
                        let x = isa.load_ptr_part(step.add(start + from), count);
                        isa.store_ptr_part(x, to.add(start * k + p * rows + from), count);
                    }
                }
            }
        }
    }
}

/// The tile that reads a packed panel: whole vectors, adjacent rows.
pub(super) fn reading(panel: *const f32, columns: usize, tile: Tile) -> Tile {
    Tile { b: panel, b_step: columns.next_multiple_of(LANES), whole: tile.k, ..tile }
}
