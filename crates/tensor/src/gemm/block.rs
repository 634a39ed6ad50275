//! One block of B times rows of A, tile by tile.
//!
//! **Turned columns.** In dW = Xᵀ·dY the columns of A are adjacent in memory, and A could be the operand that is read
//! in vectors. The last columns of B, which would fill a fraction of a vector, are computed so, as rows of Cᵀ = Bᵀ·Aᵀ:
//!
//! ```text
//!      n = 100: 6 vectors of 16   4 over               as rows: 4 × m, in full vectors along m
//!    ┌──────┬──────┬─ ─ ┬──────┬──┐                  ┌──────┬──────┬──────┬─ ─
//!  m │      │      │    │      │▒▒│        4 rows    │▒▒▒▒▒▒│▒▒▒▒▒▒│▒▒▒▒▒▒│       tile by tile transposed into C
//!    └──────┴──────┴─ ─ ┴──────┴──┘                  └──────┴──────┴──────┴─ ─
//! ```
//!
//! An element's chain is the same, so are its bits. It gained 6 to 9 % at n = 100, and 30 to 75 % at n = 10, where all
//! columns are over. (For a row-major A one would have to transpose it first, which costs as much as it saves.)

use super::HALF_LANES;
use super::allowed::{Allowed, least_of};
use super::microkernel::{Finish, Tile};
use super::needed::{Needed, Steps};
use super::operands::Operands;
use super::pack::{self, Pack, PackPanel, PackRows, PackTiles};
use super::pieces::Ask;
use super::plan::Plan;
use super::table::{Kernel, Row, Tiles};
use crate::array::AlignedBuf;
use crate::exec::Exec;
use crate::isa::{Isa, LANES, Op};
use crate::threads::share;
use std::cell::Cell;
use std::ops::Range;

thread_local! {
    /// This thread's buffer for the rows of A that tiles read, grown to the largest it has met; taken out while in use.
    static PACKED_ROWS: Cell<AlignedBuf<f32>> = Cell::default();
    /// This thread's lists of the steps that tiles need; taken out while in use.
    static NEEDED: Cell<Needed> = Cell::default();
}

/// Makes room for so many floats of packed rows of A.
pub(super) fn make_room(floats: usize) {
    let mut packed = PACKED_ROWS.take();
    packed.make_room(floats);
    PACKED_ROWS.set(packed);
}

/// A pointer to the packing buffer that threads may share; they write disjoint panels, and read after all have written.
#[derive(Clone, Copy)]
pub(super) struct Packed(pub *mut f32);
// SAFETY: see the type.
unsafe impl Sync for Packed {}

/// Columns of Cᵀ, which are rows of C, computed at a time by [`Block::turned`]: of up to sixteen rows of Cᵀ, on the
/// stack.
const TURNED_COLUMNS: usize = 8 * LANES;

/// Rows of it that are often enough: of 100 columns four are turned. To clear sixteen takes 0.1 µs, of a product of 14.
const FEW: usize = 4;

/// Scatters a turned tile: C[i, j] = tile[j][i] for i < rows, j < columns.
struct Turn<'a>(TurnedTile<'a>);

impl<'a> Turn<'a> {
    /// # Safety
    /// `c` is writable at `i·c_row + j` for i < rows ≤ 128, j < columns ≤ 16, and nobody else touches those elements.
    unsafe fn new(tile: TurnedTile<'a>) -> Self {
        Self(tile)
    }
}

struct TurnedTile<'a> {
    tile: &'a [[f32; TURNED_COLUMNS]],
    rows: usize,
    columns: usize,
    c: *mut f32,
    c_row: usize,
}

impl Op for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        /// At most `COLUMNS` columns: what the compiler knows to be zero it need not shuffle.
        #[inline(always)]
        fn scatter<I: Isa, const COLUMNS: usize>(isa: I, turn: &TurnedTile<'_>) {
            for from in (0..turn.rows).step_by(LANES) {
                let block = isa.transpose(std::array::from_fn(|j| {
                    if j < COLUMNS {
                        // SAFETY: `from` is below 128 and a multiple of 16.
                        unsafe { isa.load_ptr(turn.tile[j].as_ptr().add(from)) }
                    } else {
                        isa.splat(0.0)
                    }
                }));
                for (i, row) in block.into_iter().enumerate().take(turn.rows - from) {
                    // SAFETY: as `new` was promised: row from + i < rows, columns j < columns.
                    unsafe { isa.store_ptr_part(row, turn.c.add((from + i) * turn.c_row), turn.columns) }
                }
            }
        }
        let Self(tile) = self;
        if tile.columns <= FEW { scatter::<I, FEW>(isa, &tile) } else { scatter::<I, LANES>(isa, &tile) }
    }
}

/// Tiles of rows that are packed together: 8 of 6 rows are three cache lines of each step of k.
pub(super) const MOST_TILES: usize = 8;

/// Most rows of A that are looked at for zeros before tall tiles read them: eight tiles of six. 512 steps of them are
/// 98 KB, which are still near then.
const LOOKED_AT: usize = 48;

/// The first row of a tile, if so many rows are shared out over `tiles` of them. They differ by one row at most, and
/// the taller ones come first.
pub(super) fn first_row(rows: usize, tiles: usize, tile: usize) -> usize {
    tile * (rows / tiles) + tile.min(rows % tiles)
}

/// Of so many columns in `halves` half vectors, those in the last vector: a half one, or a whole one of which more than
/// half is used.
pub(super) fn tail(columns: usize, halves: usize) -> usize {
    columns - HALF_LANES * (halves - if halves % 2 == 1 { 1 } else { 2 })
}

/// One block of B: some columns, some steps of k.
pub(super) struct Block<'a> {
    pub operands: &'a Operands<'a>,
    pub plan: &'a Plan,
    pub row: &'static Row,
    pub columns: Range<usize>,
    pub steps: Range<usize>,
    pub packed: Option<Packed>,
    /// Whether the chain starts here (from β·C) or goes on (from C).
    pub first: bool,
    /// Whether the chain ends here (with the epilogue).
    pub last: bool,
    /// Whether steps may be left out, as far as B goes: of all blocks of these columns up to this one.
    pub allowed: bool,
}

impl Block<'_> {
    /// The same columns and steps of other operands.
    pub fn with<'b>(&'b self, operands: &'b Operands<'b>) -> Block<'b> {
        Block { operands, columns: self.columns.clone(), steps: self.steps.clone(), ..*self }
    }

    /// The panels: first column, counted from the block's, and width in half vectors. Their whole vectors differ by at
    /// most one; the last panel has the odd half.
    pub fn panels(&self) -> impl Iterator<Item = (usize, usize)> {
        let halves = self.columns.len().div_ceil(HALF_LANES);
        let (vectors, odd) = (halves / 2, halves % 2);
        let most = self.row.max_halves(self.operands.tiles);
        let count = halves.div_ceil(most).max(vectors.div_ceil((most / 2).max(1)));
        // None at all in a block of turned columns alone.
        let (width, wider) = (vectors / count.max(1), vectors % count.max(1));
        (0..count).map(move |panel| {
            let halves = 2 * (width + usize::from(panel < wider)) + if panel + 1 == count { odd } else { 0 };
            (LANES * (panel * width + panel.min(wider)), halves)
        })
    }

    /// Packs one of the panels. Returns whether it allows to leave out steps, if any are to be.
    pub fn pack(&self, exec: Exec, panel: usize) -> bool {
        let (Some(Packed(to)), Some((from, halves))) = (self.packed, self.panels().nth(panel)) else { return true };
        let [row_stride, column_stride] = self.operands.b_strides;
        let k = self.steps.len();
        let columns = (HALF_LANES * halves).min(self.columns.len() - from);
        // SAFETY: the panel is inside the k×n of B, which its view was checked to reach; panels before it take
        // `from · k` floats of the buffer, which `band` sized for all of them; each panel has one packer.
        unsafe {
            let panel = PackPanel {
                b: self
                    .operands
                    .b
                    .wrapping_add(self.steps.start * row_stride + (self.columns.start + from) * column_stride),
                row_stride,
                column_stride,
                k,
                columns,
                to: to.add(from * k),
                width: columns.next_multiple_of(LANES),
            };
            if self.operands.tiles == Tiles::Full {
                exec.run(Pack::<false>::new(panel));
                true
            } else {
                exec.run(Pack::<true>::new(panel)).fit(least_of(self.operands.source)[1])
            }
        }
    }

    /// Whether the block of B, which is not packed yet, allows to leave out steps.
    pub fn look(&self, exec: Exec) -> bool {
        let Operands { b, b_strides: [row, column], source, .. } = *self.operands;
        let at = b.wrapping_add(self.steps.start * row + self.columns.start * column);
        let [k, n] = [self.steps.len(), self.columns.len()];
        // Which way round it lies does not matter.
        let (shape, stride) = match (row, column) {
            (_, 1) => ([k, n], row),
            (1, _) => ([n, k], column),
            _ => return false,
        };
        // SAFETY: the block is inside the k×n of B, which its view was checked to reach.
        exec.run(unsafe { Allowed::new(at, shape, stride, least_of(source)[1]) })
    }

    /// Multiplies `rows` of A with the block. With `copies` the block is not packed yet: the first tile of rows reads
    /// it in place, and packs it as it goes.
    pub fn multiply(&self, exec: Exec, rows: Range<usize>, copies: bool, ask: Option<&Ask>) {
        if rows.is_empty() || self.columns.is_empty() {
            return;
        }
        if self.operands.tiles == Tiles::Tall && rows.len() > LOOKED_AT {
            let chunks = rows.len().div_ceil(LOOKED_AT);
            for chunk in (0..chunks).map(|chunk| share(rows.len(), 1, chunk, chunks)) {
                self.multiply(exec, rows.start + chunk.start..rows.start + chunk.end, copies, ask);
            }
            return;
        }
        // Tiles that leave out steps are of one height in all panels, so that they have one list.
        let mut lists = Needed::default();
        let (kind, mut most) = (self.operands.tiles, usize::MAX);
        let skips = kind != Tiles::Full;
        if skips {
            lists = NEEDED.take();
            most = self.panels().map(|(_, halves)| self.row.max_rows(kind, halves)).min().unwrap_or(1);
            lists.find(
                exec,
                self.operands.source,
                self.allowed,
                rows.clone(),
                self.steps.clone(),
                rows.len().div_ceil(most),
            );
        }
        let needed = |tile: usize, row: usize| {
            skips.then(|| lists.steps(self.operands.source, self.row.looks_up, tile, row, &self.steps))
        };
        let mut packed_rows = if self.plan.packs_a { PACKED_ROWS.take() } else { AlignedBuf::default() };
        // Panels of one width at a time, so that each width has its own best height.
        let mut panels = self.panels().peekable();
        while let Some(&(from, halves)) = panels.peek() {
            let mut count = 0;
            while panels.next_if(|panel| panel.1 == halves).is_some() {
                count += 1;
            }
            let tallest = self.row.max_rows(kind, halves).min(most);
            let tiles = rows.len().div_ceil(tallest);
            let from_row = |tile: usize| rows.start + first_row(rows.len(), tiles, tile);
            let panel = |panel: usize, copies| self.panel(from + panel * HALF_LANES * halves, halves, copies);
            if self.plan.panels_first || (count == 1 && !copies && !self.plan.packs_a) {
                let taller = rows.len() % tiles;
                for mut panel in (0..count).map(|at| panel(at, false)) {
                    for run in [0..taller, taller..tiles].into_iter().filter(|run| !run.is_empty()) {
                        let rows = from_row(run.start)..from_row(run.end);
                        let needed = needed(run.start, rows.start);
                        panel.multiply(rows, run.len(), needed, ask);
                    }
                }
                continue;
            }
            let mut at = rows.start;
            for tile in 0..tiles {
                let rows = at..from_row(tile + 1);
                at = rows.end;
                let copies = copies && tile == 0;
                let group = tile / MOST_TILES * MOST_TILES;
                if self.plan.packs_a && tile == group {
                    let mut starts = [0; MOST_TILES + 1];
                    let count = MOST_TILES.min(tiles - group);
                    for (i, start) in starts[..=count].iter_mut().enumerate() {
                        *start = from_row(group + i);
                    }
                    self.pack_rows(exec, &mut starts[..=count], &mut packed_rows);
                }
                let needed = needed(tile, rows.start);
                for mut panel in (0..count).map(|at| panel(at, copies)) {
                    if self.plan.packs_a {
                        let a = packed_rows.as_ptr().wrapping_add((rows.start - from_row(group)) * self.steps.len());
                        // Row 0 of C stands for row 0 of A; the packed ones begin with the tile's first.
                        panel.a = a.wrapping_sub(rows.start);
                        panel.tile = Tile { a_row: 1, a_step: rows.len(), ..panel.tile };
                    }
                    panel.multiply(rows.clone(), 1, needed, ask.filter(|_| !copies));
                }
            }
        }
        if self.plan.packs_a {
            PACKED_ROWS.set(packed_rows);
        }
        if skips {
            NEEDED.set(lists);
        }
    }

    /// Copies some tiles' rows of A, which begin at `starts` and end at its last, to where they lie step after step.
    fn pack_rows(&self, exec: Exec, starts: &mut [usize], to: &mut AlignedBuf<f32>) {
        let (o, k) = (self.operands, self.steps.len());
        let (first, end) = (starts[0], starts[starts.len() - 1]);
        to.make_room(k * (end - first));
        assert!(o.a_strides[0] == 1, "the plan packs rows of a transposed A only");
        starts.iter_mut().for_each(|start| *start -= first);
        // SAFETY: the rows and the block's steps are inside m and k, which the view of A was checked to reach; the
        // buffer was just sized, and is this thread's own.
        let op = unsafe {
            let a = o.a.wrapping_add(self.steps.start * o.a_strides[1] + first);
            PackTiles::new(PackRows { a, a_step: o.a_strides[1], k, tiles: starts, to: to.as_mut_ptr() })
        };
        exec.run(op);
    }

    /// Multiplies `rows` of A with the block, turned: Cᵀ = Bᵀ·Aᵀ, for a block of at most 16 columns and an A whose
    /// columns are adjacent. The vectors run down the columns of A and are full, where the block's own columns would
    /// fill a fraction of one; each element is the same chain.
    pub fn turned(&self, exec: Exec, rows: Range<usize>) {
        match self.columns.len() {
            0 => {}
            1..=FEW => self.turned_in(exec, rows, &mut [[0.0; TURNED_COLUMNS]; FEW]),
            _ => self.turned_in(exec, rows, &mut [[0.0; TURNED_COLUMNS]; LANES]),
        }
    }

    /// The same, in a tile of as many rows as there are columns, or more.
    fn turned_in(&self, exec: Exec, rows: Range<usize>, tile: &mut [[f32; TURNED_COLUMNS]]) {
        assert!(self.columns.len() <= tile.len(), "{} columns in {} rows", self.columns.len(), tile.len());
        let o = self.operands;
        let chunks = rows.len().div_ceil(TURNED_COLUMNS);
        for chunk in (0..chunks).map(|chunk| share(rows.len(), LANES, chunk, chunks)) {
            let chunk = rows.start + chunk.start..rows.start + chunk.end;
            let operands = Operands {
                a: o.b.wrapping_add(self.columns.start * o.b_strides[1]),
                a_strides: [o.b_strides[1], o.b_strides[0]],
                b: o.a,
                b_strides: [o.a_strides[1], o.a_strides[0]],
                b_len: o.a_len,
                // Column `chunk.start` of Cᵀ is column 0 of the tile.
                c: tile.as_flattened_mut().as_mut_ptr().wrapping_sub(chunk.start),
                c_row: TURNED_COLUMNS,
                beta: 0.0,
                finish: Finish::Store,
                tiles: Tiles::Full,
                ..*o
            };
            let block = Block { operands: &operands, columns: chunk.clone(), steps: self.steps.clone(), ..*self };
            block.multiply(exec, 0..self.columns.len(), false, None);
            // SAFETY: these rows and columns are inside m and n, which the view of C was checked to reach, or in a
            // piece's buffer, which was sized for them; no other thread has them. There are at most 16 columns,
            // as many as `tile` has rows, and at most 128 rows.
            exec.run(unsafe {
                Turn::new(TurnedTile {
                    tile,
                    rows: chunk.len(),
                    columns: self.columns.len(),
                    c: o.c.wrapping_add(chunk.start * o.c_row + self.columns.start),
                    c_row: o.c_row,
                })
            });
        }
    }

    /// What all tiles of a panel share: `halves` half vectors of the block from column `from` on; with
    /// `copies` read in place, and packed by the tile that reads it. C and the bias are those of
    /// column 0 of the panel and row 0 of C, A is that of row 0.
    fn panel<'b>(&self, from: usize, halves: usize, copies: bool) -> Panel<'b> {
        let o = self.operands;
        let (k, j) = (self.steps.len(), self.columns.start + from);
        let columns = (HALF_LANES * halves).min(self.columns.len() - from);
        let tile = Tile {
            tiles: 1,
            k,
            whole: 0,
            a: o.a.wrapping_add(self.steps.start * o.a_strides[1]),
            a_row: o.a_strides[0],
            a_step: o.a_strides[1],
            b: o.b,
            b_step: o.b_strides[0],
            copy: std::ptr::null_mut(),
            ask: None,
            needed: None,
            c: o.c.wrapping_add(j),
            c_row: o.c_row,
            tail: tail(columns, halves),
            prefetch: self.packed.is_some(),
            far: o.tiles != Tiles::Wide && k * HALF_LANES * halves * size_of::<f32>() > self.plan.near,
            beta: if self.first { o.beta } else { 1.0 },
            finish: if self.last { o.finish } else { Finish::Store },
            with: o.with.wrapping_add(j),
            with_row: o.with_row,
        };
        let tile = match self.packed {
            Some(Packed(panels)) if !copies => pack::reading(panels.wrapping_add(from * k), columns, tile),
            _ => {
                let copy = self.packed.map_or(std::ptr::null_mut(), |Packed(panels)| panels.wrapping_add(from * k));
                let start = self.steps.start * o.b_strides[0] + j;
                let beyond = start + HALF_LANES * halves;
                // The rows of B whose last (half) vector ends inside B's memory.
                let whole = match o.b_len.checked_sub(beyond) {
                    _ if columns == HALF_LANES * halves => k,
                    None => 0,
                    Some(_) if o.b_strides[0] == 0 => k,
                    Some(room) => k.min(room / o.b_strides[0] + 1),
                };
                Tile { b: o.b.wrapping_add(start), whole, copy, ..tile }
            }
        };
        Panel { kernels: self.row.heights(o.tiles, halves), a: tile.a, c: tile.c, with: tile.with, tile }
    }
}

/// A panel of B, ready for the tiles that read it.
struct Panel<'a> {
    kernels: &'static [Kernel],
    /// What the tile reads that was multiplied last.
    tile: Tile<'a>,
    /// A, C and what the epilogue reads of row 0.
    a: *const f32,
    c: *mut f32,
    with: *const f32,
}

impl<'a> Panel<'a> {
    /// Some rows of A, so many `tiles` of one height, no more than the tallest kernel has, times the panel. All steps
    /// of k, or those `needed`. They ask for addresses that are to be read soon.
    fn multiply(&mut self, rows: Range<usize>, tiles: usize, needed: Option<Steps>, ask: Option<&'a Ask>) {
        let t = &mut self.tile;
        // Changed where it is: a copy of it took as long as ten steps.
        t.a = self.a.wrapping_add(rows.start * t.a_row);
        t.c = self.c.wrapping_add(rows.start * t.c_row);
        t.with = self.with.wrapping_add(rows.start * t.with_row);
        t.tiles = tiles;
        t.ask = ask;
        t.needed = needed;
        // SAFETY: the rows, the panel's columns and the block's steps are inside m, n and k, which the views of A, B
        // and C were checked to reach. `whole` counts the rows of B whose last (half) vector ends inside B's memory. No
        // other thread has these rows and columns of C; what the epilogue reads was checked to have them too. A list is
        // of the block's steps, for as many tiles as follow, with room behind it (`Needed::find`). `copy` is the
        // panel's part of the packing buffer, which `band` sized and which one tile writes. The kernels are those of an
        // ISA whose token the caller holds, so the CPU has its instructions.
        unsafe { self.kernels[rows.len() / tiles - 1](t) }
    }
}
