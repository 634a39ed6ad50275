//! A product in pieces: where A is converted from bytes as it is needed, or C is handed over instead of being kept.
//!
//! ```text
//! for some rows of C, whose rows of A fit a cache:     convert them            (bytes, unless tiles look them up; else A is there)
//!   for 48 rows of those:                              multiply                 into a buffer of the thread's own, or into C
//!                                                      hand the buffer over     (a consumer; else C is kept)
//! ```

use super::block::Block;
use super::listed::ASK_EACH;
use super::microkernel::ASK_EVERY;
use super::operands::Source;
use super::table::Tiles;
use crate::array::AlignedBuf;
use crate::exec::Exec;
use crate::isa::LANES;
use crate::threads::share;
use crate::vec::ByteRows;
use std::cell::Cell;
use std::ops::Range;

thread_local! {
    /// This thread's buffer for a piece of C that is handed over, grown to the largest it has met. It is taken out
    /// while in use: a thread that waits inside rayon may be handed another product.
    static PIECE: Cell<AlignedBuf<f32>> = Cell::default();
    /// The same for rows of A that are converted from bytes.
    static CONVERTED: Cell<AlignedBuf<f32>> = Cell::default();
}

/// Some rows of a finished C that are handed over instead of being kept.
pub(super) struct Piece<'a> {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    /// The rows, one after the other.
    pub values: &'a [f32],
}

/// Takes the pieces of C, each element once, on whichever thread computed it.
pub(super) type Consumer<'a> = &'a (dyn Fn(Piece<'_>) + Sync);

/// Most rows of C in a piece that is handed over: eight tiles of six, or three vectors of a turned tile. A piece of 100
/// columns is 19 KB.
pub(super) const PIECE_ROWS: usize = 48;

/// The same where tiles leave out steps: as many rows of transposed bytes as are looked at together, whole vectors of
/// them if they are converted.
const MOST_ROWS: usize = 64;

/// If they are looked up: less what is over in a multiple of the heights of such tiles.
const LISTED_ROWS: usize = 60;
const LISTED_UNIT: usize = 12;

/// Most rows of bytes that are converted at a time: six tiles of six. 784 steps of them are 113 KB, in L2.
const CONVERTED_ROWS: usize = 36;

/// The same for tiles that leave out steps: their panel of B has to come to L1 once for each so many rows.
const LISTED_CONVERTED_ROWS: usize = 128;

/// Most columns of bytes that are converted at a time. 128 steps of them are 106 KB, in L2; a row of bytes is found
/// four times and not seventeen, which took as long as converting it.
pub(super) const CONVERTED_COLUMNS: usize = 208;

/// Cache lines that tiles ask for while they multiply: those of the 36 rows of bytes after theirs, for 784 columns.
/// What is more comes when it is needed.
pub(super) struct Ask {
    lines: [*const f32; ASK_LINES],
    count: usize,
    next: Cell<usize>,
}

const ASK_LINES: usize = 576;

impl Ask {
    /// No lines.
    fn nothing() -> Self {
        Self { lines: [std::ptr::null(); ASK_LINES], count: 0, next: Cell::new(0) }
    }

    /// Notes some columns of some rows of bytes.
    fn fill(&mut self, bytes: ByteRows<'_>, rows: Range<usize>, columns: Range<usize>) {
        self.count = bytes.lines(rows, columns, &mut self.lines);
        self.next.set(0);
    }

    /// The addresses that the next tile reads, with so many steps of k; null if all are asked for.
    pub fn take(&self, steps: usize) -> *const *const f32 {
        self.next(steps / ASK_EVERY)
    }

    /// The same for a tile that leaves out steps.
    pub fn take_needed(&self, steps: usize) -> *const *const f32 {
        self.next(steps.div_ceil(ASK_EACH))
    }

    fn next(&self, reads: usize) -> *const *const f32 {
        let from = self.next.get();
        if from >= self.count || from + reads > ASK_LINES {
            return std::ptr::null();
        }
        self.next.set(from + reads);
        self.lines[from..].as_ptr()
    }
}

/// Makes room for what a product that does every step converts and hands over, of so many columns.
pub(super) fn make_room(source: Source<'_>, columns: usize, hands_over: bool) {
    let floats = match source {
        Source::Floats(_) => 0,
        Source::Bytes(bytes) => CONVERTED_ROWS * bytes.shape()[1],
        Source::BytesTransposed(bytes) => CONVERTED_COLUMNS * bytes.shape()[0],
    };
    let (mut converted, mut piece) = (CONVERTED.take(), PIECE.take());
    converted.make_room(floats);
    if hands_over {
        piece.make_room(MOST_ROWS * columns);
    }
    CONVERTED.set(converted);
    PIECE.set(piece);
}

/// Computes some rows of C: all at once, or, where A is converted or C is handed over, piece by piece. `turned` are the
/// columns behind `block`'s; with `copies` the block's B is packed by the first tile.
pub(super) fn pieces(
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
    let full = operands.tiles == Tiles::Full;
    let looks_up = !full && block.row.looks_up;
    let converted_at_once = match operands.source {
        Source::Floats(_) => usize::MAX,
        Source::Bytes(_) if full || looks_up => CONVERTED_ROWS,
        Source::Bytes(_) => LISTED_CONVERTED_ROWS,
        Source::BytesTransposed(_) if full || looks_up => CONVERTED_COLUMNS,
        Source::BytesTransposed(_) => MOST_ROWS,
    };
    let (most, unit) = match full {
        true if turned.columns.is_empty() => (PIECE_ROWS, 1),
        true => (PIECE_ROWS, LANES),
        false if looks_up => (LISTED_ROWS, LISTED_UNIT),
        false => (MOST_ROWS, LANES),
    };
    let handed_at_once = if consumer.is_some() { most } else { usize::MAX };
    if converted_at_once == usize::MAX && handed_at_once == usize::MAX {
        block.multiply(exec, rows.clone(), copies, None);
        return turned.turned(exec, rows);
    }
    let (mut converted, mut kept) = (CONVERTED.take(), PIECE.take());
    // Tiles of one vector, which have hardly the time for it, do not ask.
    let asks = looks_up || (full && block.row.max_halves(Tiles::Full) > 2);
    let mut ask = (matches!(operands.source, Source::Bytes(_)) && asks).then(Ask::nothing);
    let mut copies = copies;
    let groups = Cut::new(rows, unit, converted_at_once);
    for at in 0..groups.count {
        if let (Source::Bytes(bytes), Some(ask)) = (operands.source, &mut ask) {
            ask.fill(bytes, groups.piece(at + 1), block.steps.clone());
        }
        let operands = match looks_up {
            true => *operands,
            false => operands.converted(exec, groups.piece(at), block.steps.clone(), &mut converted),
        };
        let pieces = Cut::new(groups.piece(at), unit, handed_at_once);
        for rows in (0..pieces.count).map(|at| pieces.piece(at)) {
            let mut operands = operands;
            let size = rows.len() * columns.len();
            if consumer.is_some() {
                kept.make_room(MOST_ROWS * columns.len());
                // C[rows.start, columns.start] is the buffer's first element; the others follow with its row stride. No
                // tile writes beyond C's rows and columns, so none leaves the buffer.
                operands.c_row = columns.len();
                operands.c = kept.as_mut_ptr().wrapping_sub(rows.start * columns.len() + columns.start);
            }
            block.with(&operands).multiply(exec, rows.clone(), copies, ask.as_ref());
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
