//! The loops around the register tile.
//!
//! ```text
//! for jc in 0..n by NC                       columns: a block of B that stays in L2
//!   for pc in 0..k by KC                       k: in order, one block after the other; never shared out
//!     pack B[pc.., jc..] into panels             (threads: panel by panel)
//!     for ir in 0..m by MR                         rows of A: MR·KC floats that stay in L1   (threads: chunk by chunk)
//!       for jr in 0..NC by 16·NV                     panels of B, streamed from L2
//!         tile: C[ir.., jr..] += A[ir.., pc..] · panel
//! ```
//!
//! The textbook order has the rows innermost, keeps a panel of B in L1 and packs A so that it streams well. Turned around
//! like this, it is A's rows that stay in L1, and they need no packing, because a broadcast reads one float wherever it
//! stands; measured 8 to 18 % faster from 512³ up. Where k is so short that a panel does fit L1, and C is no larger than L2, the
//! two inner loops change places ([`Plan::panels_first`]): dX of the first layer gained 7 %, a hidden layer's products 2 %. (A C of
//! 64 MB written a panel's width at a time lost 30 %.)
//!
//! A product whose B is not packed is one block: the two outer loops run once.
//!
//! Widths: the panels of a block differ by at most one vector, and the last may have half a vector more (n = 100 is six vectors
//! and a half: 3 + 3½); the rows are shared out evenly over tiles (100 rows of at most 6: 15 tiles of 6 and 2 of 5), so
//! there is no thin leftover tile.
//!
//! **Turned columns.** In dW = Xᵀ·dY the columns of A are adjacent in memory, and A could be the operand that is read in
//! vectors. The last columns of B, which would fill a fraction of a vector, are computed so, as rows of Cᵀ = Bᵀ·Aᵀ:
//!
//! ```text
//!      n = 100: 6 vectors of 16   4 over               as rows: 4 × m, in full vectors along m
//!    ┌──────┬──────┬─ ─ ┬──────┬──┐                  ┌──────┬──────┬──────┬─ ─
//!  m │      │      │    │      │▒▒│        4 rows    │▒▒▒▒▒▒│▒▒▒▒▒▒│▒▒▒▒▒▒│       tile by tile transposed into C
//!    └──────┴──────┴─ ─ ┴──────┴──┘                  └──────┴──────┴──────┴─ ─
//! ```
//!
//! An element's chain is the same, so are its bits. It gained 6 to 9 % at n = 100, and 30 to 75 % at n = 10, where all columns
//! are over. (For a row-major A one would have to transpose it first, which costs as much as it saves.)

use super::microkernel::{ASK_EVERY, Finish, Tile};
use super::pack::{self, Pack, PackPanel, PackRows, PackTiles};
use super::plan::{Plan, Split};
use super::table::{self, Kernel, Row};
use super::{Epilogue, HALF_LANES};
use crate::array::{AlignedBuf, View, ViewMut};
use crate::exec::Exec;
use crate::isa::{Isa, LANES, Op};
use crate::team::{chunk, parallel, share};
use crate::vec::ByteRows;
use std::cell::Cell;
use std::ops::Range;

thread_local! {
    /// This thread's buffer for packed B, grown to the largest block it has met. It is taken out while in use: a
    /// thread that waits inside rayon may be handed another product.
    static PACKED: Cell<AlignedBuf<f32>> = Cell::default();
    /// The same for the rows of A that a tile reads.
    static PACKED_ROWS: Cell<AlignedBuf<f32>> = Cell::default();
    /// The same for a piece of C that is handed over.
    static PIECE: Cell<AlignedBuf<f32>> = Cell::default();
    /// The same for rows of A that are converted from bytes.
    static CONVERTED: Cell<AlignedBuf<f32>> = Cell::default();
}

/// Where A comes from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// A matrix.
    Floats(View<'a, f32, 2>),
    /// Rows of bytes: A is B×I.
    Bytes(ByteRows<'a>),
    /// The transpose of rows of bytes: A is I×B.
    BytesTransposed(ByteRows<'a>),
}

impl Source<'_> {
    /// m and k.
    pub fn shape(&self) -> [usize; 2] {
        match self {
            Self::Floats(a) => a.shape(),
            Self::Bytes(a) => a.shape(),
            Self::BytesTransposed(a) => [a.shape()[1], a.shape()[0]],
        }
    }

    /// The strides of A, of a piece of it if it comes from bytes.
    pub fn strides(&self) -> [usize; 2] {
        match self {
            Self::Floats(a) => a.strides(),
            Self::Bytes(a) => [a.shape()[1], 1],
            Self::BytesTransposed(_) => [1, CONVERTED_COLUMNS],
        }
    }
}

/// The operands as pointers, for all threads.
#[derive(Clone, Copy)]
struct Operands<'a> {
    /// Where A comes from; what follows is A if it is floats, else that of a piece, once it is converted.
    source: Source<'a>,
    a: *const f32,
    a_strides: [usize; 2],
    /// Floats readable from `a` on.
    a_len: usize,
    b: *const f32,
    b_strides: [usize; 2],
    /// Floats readable from `b` on.
    b_len: usize,
    c: *mut f32,
    c_row: usize,
    beta: f32,
    finish: Finish,
    /// What the epilogue reads: a bias with a row stride of 0, or a gate.
    with: *const f32,
    with_row: usize,
}

// SAFETY: A, B and what the epilogue reads are only read; the threads write disjoint rows or columns of C.
unsafe impl Sync for Operands<'_> {}

/// A pointer to the packing buffer that threads may share; they write disjoint panels, and read after all have written.
#[derive(Clone, Copy)]
struct Packed(*mut f32);
// SAFETY: see the type.
unsafe impl Sync for Packed {}

/// Some rows of a finished C that are handed over instead of being kept.
pub(super) struct Piece<'a> {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    /// The rows, one after the other.
    pub values: &'a [f32],
}

/// Takes the pieces of C, each element once, on whichever thread computed it.
pub(super) type Consumer<'a> = &'a (dyn Fn(Piece<'_>) + Sync);

/// Runs a product whose shapes were checked: m, n > 0, and the columns of C adjacent.
pub(super) fn run(
    exec: Exec,
    plan: &Plan,
    a: Source<'_>,
    b: View<'_, f32, 2>,
    beta: f32,
    mut c: ViewMut<'_, f32, 2>,
    epilogue: Epilogue<'_>,
) {
    let [m, _, n] = plan.shape;
    assert!(c.shape() == [m, n] && (c.strides()[1] == 1 || n == 1), "the caller prepares the strides of C");
    let (finish, with, with_row) = match epilogue {
        Epilogue::None => (Finish::Store, std::ptr::null(), 0),
        Epilogue::Bias(bias) => (Finish::Bias, bias.as_ptr(), 0),
        Epilogue::BiasRelu(bias) => (Finish::BiasRelu, bias.as_ptr(), 0),
        Epilogue::Gate(gate) => (Finish::Gate, gate.data().as_ptr(), gate.strides()[0]),
    };
    let (c_row, c) = (c.strides()[0], c.data_mut().as_mut_ptr());
    split(exec, plan, &Operands { c, c_row, beta, finish, with, with_row, ..Operands::new(a, b) }, None);
}

/// Runs a product A·B whose shapes were checked, with m, n > 0, and hands it over; k is one block.
pub(super) fn consume(exec: Exec, plan: &Plan, a: Source<'_>, b: View<'_, f32, 2>, consumer: Consumer<'_>) {
    assert!(plan.shape[1] <= plan.kc, "a piece is handed over when its chains are at their ends");
    split(exec, plan, &Operands::new(a, b), Some(consumer));
}

impl<'a> Operands<'a> {
    /// A·B, without a C yet.
    fn new(source: Source<'a>, b: View<'_, f32, 2>) -> Self {
        let (a, a_len) = match source {
            Source::Floats(a) => (a.data().as_ptr(), a.data().len()),
            Source::Bytes(_) | Source::BytesTransposed(_) => (std::ptr::null(), 0),
        };
        Self {
            source,
            a,
            a_strides: source.strides(),
            a_len,
            b: b.data().as_ptr(),
            b_strides: b.strides(),
            b_len: b.data().len(),
            c: std::ptr::null_mut(),
            c_row: 0,
            beta: 0.0,
            finish: Finish::Store,
            with: std::ptr::null(),
            with_row: 0,
        }
    }

    /// These operands with `rows` of A, its steps `steps`, converted from bytes into `to`.
    fn converted(self, exec: Exec, rows: Range<usize>, steps: Range<usize>, to: &mut AlignedBuf<f32>) -> Self {
        let stride = match self.source {
            Source::Floats(_) => return self,
            Source::Bytes(_) => steps.len(),
            Source::BytesTransposed(_) => CONVERTED_COLUMNS,
        };
        let lines = if matches!(self.source, Source::Bytes(_)) { rows.len() } else { steps.len() };
        let (needed, [first, start]) = (stride * lines, [rows.start, steps.start]);
        if to.len() < needed {
            *to = AlignedBuf::zeroed(needed);
        }
        // A[rows.start, steps.start] is the buffer's first element; the others follow with these strides.
        let a_strides = match self.source {
            Source::Bytes(bytes) => {
                bytes.block(exec, rows, steps, to, stride);
                [stride, 1]
            }
            Source::BytesTransposed(bytes) => {
                bytes.block(exec, steps, rows, to, stride);
                [1, stride]
            }
            Source::Floats(_) => unreachable!("it has returned"),
        };
        let before = first * a_strides[0] + start * a_strides[1];
        Self { a: to.as_ptr().wrapping_sub(before), a_strides, a_len: before + needed, ..self }
    }
}

fn split(exec: Exec, plan: &Plan, operands: &Operands<'_>, consumer: Option<Consumer<'_>>) {
    let [m, _, n] = plan.shape;
    match plan.split {
        Split::Serial => band(exec, plan, operands, [0..m, 0..n], 1, 1, consumer),
        Split::Rows { threads, chunks } => band(exec, plan, operands, [0..m, 0..n], threads, chunks, consumer),
        Split::OwnRows { threads } => parallel(threads, threads, &|at| {
            band(exec, plan, operands, [share(m, 1, at, threads), 0..n], 1, 1, consumer);
        }),
        Split::Columns { threads, chunks } => parallel(threads, chunks, &|at| {
            band(exec, plan, operands, [0..m, chunk(n, LANES, at, threads, chunks)], 1, 1, consumer);
        }),
    }
}

/// Computes some rows and columns of C, the rows in `chunks` shared out over `threads`.
#[allow(clippy::too_many_arguments)]
fn band(
    exec: Exec,
    plan: &Plan,
    operands: &Operands<'_>,
    [rows, columns]: [Range<usize>; 2],
    threads: usize,
    chunks: usize,
    consumer: Option<Consumer<'_>>,
) {
    let [_, k, n] = plan.shape;
    if rows.is_empty() || columns.is_empty() {
        return;
    }
    let mut packed = if plan.pack { PACKED.take() } else { AlignedBuf::default() };
    if plan.pack {
        let needed = plan.kc * plan.nc.min(columns.len()).next_multiple_of(LANES);
        if packed.len() < needed {
            packed = AlignedBuf::zeroed(needed);
        }
    }
    let buffer = Packed(packed.as_mut_ptr());
    let block = |columns: Range<usize>, steps: Range<usize>| Block {
        operands,
        plan,
        row: table::row(exec.isa()),
        columns,
        packed: plan.pack.then_some(buffer),
        first: steps.start == 0,
        last: steps.end == k,
        steps,
    };
    // The turned columns are the last. There are none where B is packed, so one block holds all others.
    let straight = columns.start..(n - plan.turned).clamp(columns.start, columns.end);
    let turned = block(straight.end..columns.end, 0..k);
    let blocks = straight.len().div_ceil(plan.nc).max(1);
    // A turned tile's vectors run along the rows.
    let unit = if plan.turned > 0 { LANES } else { 1 };
    for jc in 0..blocks {
        let within = share(straight.len(), LANES, jc, blocks);
        let columns = straight.start + within.start..straight.start + within.end;
        let mut pc = 0;
        loop {
            let block = block(columns.clone(), pc..k.min(pc + plan.kc));
            if plan.pack {
                assert!(
                    columns.len().next_multiple_of(HALF_LANES) * block.steps.len() <= packed.len(),
                    "a block fits its buffer"
                );
                if !plan.copies {
                    parallel(threads, block.panels().count(), &|panel| block.pack(exec, panel));
                }
            }
            parallel(threads, chunks, &|at| {
                let within = chunk(rows.len(), unit, at, threads, chunks);
                let chunk = rows.start + within.start..rows.start + within.end;
                let copies = plan.copies && chunk.start == rows.start;
                pieces(exec, &block, &turned, chunk, copies, consumer);
            });
            pc = block.steps.end;
            if pc >= k {
                break;
            }
        }
    }
    if plan.pack {
        PACKED.set(packed);
    }
}

/// Most rows of C in a piece that is handed over: eight tiles of six, or three vectors of a turned tile. A piece of 100 columns is 19 KB.
const PIECE_ROWS: usize = 48;

/// Most rows of bytes that are converted at a time: six tiles of six. 784 steps of them are 113 KB, in L2.
const CONVERTED_ROWS: usize = 36;

/// Most columns of bytes that are converted at a time. 128 steps of them are 106 KB, in L2; a row of bytes is found four times and not seventeen,
/// which took as long as converting it.
const CONVERTED_COLUMNS: usize = 208;

/// Cache lines that tiles ask for while they multiply: those of the 36 rows of bytes after theirs, for 784 columns. What is more
/// comes when it is needed.
struct Ask {
    lines: [*const f32; ASK_LINES],
    count: usize,
    next: Cell<usize>,
}

const ASK_LINES: usize = 576;

impl Ask {
    /// No lines.
    const fn nothing() -> Self {
        Self { lines: [std::ptr::null(); ASK_LINES], count: 0, next: Cell::new(0) }
    }

    /// Notes some columns of some rows of bytes.
    fn fill(&mut self, bytes: ByteRows<'_>, rows: Range<usize>, columns: Range<usize>) {
        self.count = bytes.lines(rows, columns, &mut self.lines);
        self.next.set(0);
    }

    /// The addresses that the next tile reads, with so many steps of k; null if all are asked for.
    fn take(&self, steps: usize) -> *const *const f32 {
        let (from, reads) = (self.next.get(), steps / ASK_EVERY);
        if from >= self.count || from + reads > ASK_LINES {
            return std::ptr::null();
        }
        self.next.set(from + reads);
        self.lines[from..].as_ptr()
    }
}

/// Computes some rows of C: all at once, or, where A is converted or C is handed over, piece by piece. `turned` are the columns behind `block`'s;
/// with `copies` the block's B is packed by the first tile.
fn pieces(
    exec: Exec,
    block: &Block<'_>,
    turned: &Block<'_>,
    rows: Range<usize>,
    copies: bool,
    consumer: Option<Consumer<'_>>,
) {
    let end = if turned.columns.is_empty() { block.columns.end } else { turned.columns.end };
    let columns = block.columns.start..end;
    if rows.is_empty() || columns.is_empty() {
        return;
    }
    let operands = block.operands;
    let (converted_at_once, handed_at_once) = match (operands.source, consumer) {
        (Source::Floats(_), None) => {
            block.multiply(exec, rows.clone(), copies, &Ask::nothing());
            return turned.turned(exec, rows);
        }
        (Source::Floats(_), Some(_)) => (usize::MAX, PIECE_ROWS),
        (Source::Bytes(_), None) => (CONVERTED_ROWS, usize::MAX),
        (Source::Bytes(_), Some(_)) => (CONVERTED_ROWS, PIECE_ROWS),
        (Source::BytesTransposed(_), None) => (CONVERTED_COLUMNS, usize::MAX),
        (Source::BytesTransposed(_), Some(_)) => (CONVERTED_COLUMNS, PIECE_ROWS),
    };
    let (mut converted, mut kept) = (CONVERTED.take(), PIECE.take());
    let mut ask = Ask::nothing();
    let unit = if turned.columns.is_empty() { 1 } else { LANES };
    let mut copies = copies;
    let groups = Cut::new(rows, unit, converted_at_once);
    for at in 0..groups.count {
        if let Source::Bytes(bytes) = operands.source {
            ask.fill(bytes, groups.piece(at + 1), block.steps.clone());
        }
        let operands = operands.converted(exec, groups.piece(at), block.steps.clone(), &mut converted);
        let pieces = Cut::new(groups.piece(at), unit, handed_at_once);
        for rows in (0..pieces.count).map(|at| pieces.piece(at)) {
            let mut operands = operands;
            let size = rows.len() * columns.len();
            if consumer.is_some() {
                if kept.len() < size {
                    kept = AlignedBuf::zeroed(PIECE_ROWS * columns.len());
                }
                // C[rows.start, columns.start] is the buffer's first element; the others follow with its row stride. No tile writes
                // beyond C's rows and columns, so none leaves the buffer.
                operands.c_row = columns.len();
                operands.c = kept.as_mut_ptr().wrapping_sub(rows.start * columns.len() + columns.start);
            }
            block.with(&operands).multiply(exec, rows.clone(), copies, &ask);
            turned.with(&operands).turned(exec, rows.clone());
            copies = false;
            if let Some(consumer) = consumer {
                consumer(Piece { values: &kept[..size], rows, columns: columns.clone() });
            }
        }
    }
    CONVERTED.set(converted);
    PIECE.set(kept);
}

/// Rows cut into even pieces, of no more than so many.
struct Cut {
    rows: Range<usize>,
    unit: usize,
    count: usize,
}

impl Cut {
    fn new(rows: Range<usize>, unit: usize, most: usize) -> Self {
        Self { count: rows.len().div_ceil(most), rows, unit }
    }

    /// Piece `at`; past the last, no rows.
    fn piece(&self, at: usize) -> Range<usize> {
        if at >= self.count {
            return self.rows.end..self.rows.end;
        }
        let within = share(self.rows.len(), self.unit, at, self.count);
        self.rows.start + within.start..self.rows.start + within.end
    }
}

/// Rows of Cᵀ computed at a time by [`Block::turned`], and floats on the stack for them.
const TURNED_COLUMNS: usize = 8 * LANES;

/// Scatters a turned tile: C[i, j] = tile[j][i] for i < rows, j < columns.
struct Turn<'a> {
    tile: &'a [[f32; TURNED_COLUMNS]; LANES],
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
        fn scatter<I: Isa, const COLUMNS: usize>(isa: I, turn: &Turn<'_>) {
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
                    // SAFETY: row from + i < rows and columns j < columns are the caller's part of C.
                    unsafe { isa.store_ptr_part(row, turn.c.add((from + i) * turn.c_row), turn.columns) }
                }
            }
        }
        if self.columns <= 4 { scatter::<I, 4>(isa, &self) } else { scatter::<I, LANES>(isa, &self) }
    }
}

/// Tiles of rows that are packed together: 8 of 6 rows are three cache lines of each step of k.
const GROUP: usize = 8;

/// One block of B: some columns, some steps of k.
struct Block<'a> {
    operands: &'a Operands<'a>,
    plan: &'a Plan,
    row: &'static Row,
    columns: Range<usize>,
    steps: Range<usize>,
    packed: Option<Packed>,
    /// Whether the chain starts here (from β·C) or goes on (from C).
    first: bool,
    /// Whether the chain ends here (with the epilogue).
    last: bool,
}

impl Block<'_> {
    /// The same columns and steps of other operands.
    fn with<'b>(&'b self, operands: &'b Operands<'b>) -> Block<'b> {
        Block { operands, columns: self.columns.clone(), steps: self.steps.clone(), ..*self }
    }

    /// The panels: first column, counted from the block's, and width in half vectors. Their whole vectors differ by at most one;
    /// the last panel has the odd half.
    fn panels(&self) -> impl Iterator<Item = (usize, usize)> {
        let halves = self.columns.len().div_ceil(HALF_LANES);
        let count = halves.div_ceil(self.row.max_halves());
        let (vectors, odd) = (halves / 2, halves % 2);
        // None at all in a block of turned columns alone.
        let (width, wider) = (vectors / count.max(1), vectors % count.max(1));
        (0..count).map(move |panel| {
            let halves = 2 * (width + usize::from(panel < wider)) + if panel + 1 == count { odd } else { 0 };
            (LANES * (panel * width + panel.min(wider)), halves)
        })
    }

    /// Packs one of the panels.
    fn pack(&self, exec: Exec, panel: usize) {
        let (Some(Packed(to)), Some((from, halves))) = (self.packed, self.panels().nth(panel)) else { return };
        let [row_stride, column_stride] = self.operands.b_strides;
        let k = self.steps.len();
        let columns = (HALF_LANES * halves).min(self.columns.len() - from);
        // SAFETY: the panel is inside the k×n of B, which its view was checked to reach; panels before it take
        // `from · k` floats of the buffer, which `band` sized for all of them; each panel has one packer.
        let op = unsafe {
            Pack::new(PackPanel {
                b: self.operands.b.add(self.steps.start * row_stride + (self.columns.start + from) * column_stride),
                row_stride,
                column_stride,
                k,
                columns,
                to: to.add(from * k),
            })
        };
        exec.run(op);
    }

    /// Multiplies `rows` of A with the block. With `copies` the block is not packed yet: the first tile of rows reads it in
    /// place, and packs it as it goes.
    fn multiply(&self, exec: Exec, rows: Range<usize>, copies: bool, ask: &Ask) {
        if rows.is_empty() || self.columns.is_empty() {
            return;
        }
        let mut packed_rows = if self.plan.packs_a { PACKED_ROWS.take() } else { AlignedBuf::default() };
        // Panels of one width at a time, so that each width has its own best height.
        let mut panels = self.panels().peekable();
        while let Some(&(from, halves)) = panels.peek() {
            let mut count = 0;
            while panels.next_if(|panel| panel.1 == halves).is_some() {
                count += 1;
            }
            let tallest = self.row.max_rows(halves);
            let tiles = rows.len().div_ceil(tallest);
            let from_row = |tile: usize| rows.start + rows.len() * tile / tiles;
            let panel = |panel: usize| self.panel(from + panel * HALF_LANES * halves, halves, false);
            if self.plan.panels_first {
                for panel in (0..count).map(panel) {
                    for tile in 0..tiles {
                        self.tile(&panel, from_row(tile)..from_row(tile + 1));
                    }
                }
                continue;
            }
            for tile in 0..tiles {
                let rows = from_row(tile)..from_row(tile + 1);
                let copies = copies && tile == 0;
                let group = tile / GROUP * GROUP;
                if self.plan.packs_a && tile == group {
                    let mut starts = [0; GROUP + 1];
                    let count = GROUP.min(tiles - group);
                    for (i, start) in starts[..=count].iter_mut().enumerate() {
                        *start = from_row(group + i);
                    }
                    self.pack_rows(exec, &mut starts[..=count], &mut packed_rows);
                }
                for panel in 0..count {
                    let mut panel = self.panel(from + panel * HALF_LANES * halves, halves, copies);
                    panel.tile.ask = ask.take(self.steps.len());
                    if self.plan.packs_a {
                        let a = packed_rows.as_ptr().wrapping_add((rows.start - from_row(group)) * self.steps.len());
                        // Row 0 of C stands for row 0 of A; the packed ones begin with the tile's first.
                        panel.tile = Tile { a: a.wrapping_sub(rows.start), a_row: 1, a_step: rows.len(), ..panel.tile };
                    }
                    self.tile(&panel, rows.clone());
                }
            }
        }
        if self.plan.packs_a {
            PACKED_ROWS.set(packed_rows);
        }
    }

    /// Copies some tiles' rows of A, which begin at `starts` and end at its last, to where they lie step after step.
    fn pack_rows(&self, exec: Exec, starts: &mut [usize], to: &mut AlignedBuf<f32>) {
        let (o, k) = (self.operands, self.steps.len());
        let (first, end) = (starts[0], starts[starts.len() - 1]);
        if to.len() < k * (end - first) {
            *to = AlignedBuf::zeroed(k * (end - first));
        }
        assert!(o.a_strides[0] == 1, "the plan packs rows of a transposed A only");
        starts.iter_mut().for_each(|start| *start -= first);
        // SAFETY: the rows and the block's steps are inside m and k, which the view of A was checked to reach; the buffer was just
        // sized, and is this thread's own.
        let op = unsafe {
            let a = o.a.add(self.steps.start * o.a_strides[1] + first);
            PackTiles::new(PackRows { a, a_step: o.a_strides[1], k, tiles: starts, to: to.as_mut_ptr() })
        };
        exec.run(op);
    }

    /// Multiplies `rows` of A with the block, turned: Cᵀ = Bᵀ·Aᵀ, for a block of at most 16 columns and an A whose columns are
    /// adjacent. The vectors run down the columns of A and are full, where the block's own columns would fill a fraction of one;
    /// each element is the same chain.
    fn turned(&self, exec: Exec, rows: Range<usize>) {
        if self.columns.is_empty() {
            return;
        }
        let o = self.operands;
        let mut tile = [[0.0; TURNED_COLUMNS]; LANES];
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
                ..*o
            };
            let block = Block { operands: &operands, columns: chunk.clone(), steps: self.steps.clone(), ..*self };
            block.multiply(exec, 0..self.columns.len(), false, &Ask::nothing());
            exec.run(Turn {
                tile: &tile,
                rows: chunk.len(),
                columns: self.columns.len(),
                c: o.c.wrapping_add(chunk.start * o.c_row + self.columns.start),
                c_row: o.c_row,
            });
        }
    }

    /// What all tiles of a panel share: `halves` half vectors of the block from column `from` on; with
    /// `copies` read in place, and packed by the tile that reads it. C and the bias are those of
    /// column 0 of the panel and row 0 of C, A is that of row 0.
    fn panel(&self, from: usize, halves: usize, copies: bool) -> Panel {
        let o = self.operands;
        let (k, j) = (self.steps.len(), self.columns.start + from);
        let columns = (HALF_LANES * halves).min(self.columns.len() - from);
        // The last vector: a half one, or a whole one of which more than half is used.
        let before = if halves % 2 == 1 { HALF_LANES * (halves - 1) } else { HALF_LANES * (halves - 2) };
        let tile = Tile {
            k,
            whole: 0,
            a: o.a.wrapping_add(self.steps.start * o.a_strides[1]),
            a_row: o.a_strides[0],
            a_step: o.a_strides[1],
            b: o.b,
            b_step: o.b_strides[0],
            copy: std::ptr::null_mut(),
            ask: std::ptr::null(),
            c: o.c.wrapping_add(j),
            c_row: o.c_row,
            tail: columns - before,
            prefetch: self.packed.is_some(),
            far: k * HALF_LANES * halves * size_of::<f32>() > self.plan.near,
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
        Panel { tile, kernels: self.row.kernels[halves - 1] }
    }

    /// One tile: some rows of A, no more than the panel's tallest kernel has, times the panel.
    fn tile(&self, panel: &Panel, rows: Range<usize>) {
        let t = panel.tile;
        // SAFETY: the rows, the panel's columns and the block's steps are inside m, n and k, which the views of A, B and C were
        // checked to reach. `whole` counts the rows of B whose last (half) vector ends inside B's memory. No other thread
        // has these rows and columns of C. The kernels are those of an ISA whose token the caller holds, so the
        // CPU has its instructions.
        unsafe {
            let tile = Tile {
                a: t.a.wrapping_add(rows.start * t.a_row),
                c: t.c.wrapping_add(rows.start * t.c_row),
                with: t.with.wrapping_add(rows.start * t.with_row),
                ..t
            };
            panel.kernels[rows.len() - 1](&tile);
        }
    }
}

/// A panel of B, ready for the tiles that read it.
struct Panel {
    tile: Tile,
    kernels: &'static [Kernel],
}
