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
//! The textbook order has the rows innermost, keeps a panel of B in L1 and packs A so that it streams well. Turned
//! around like this, it is A's rows that stay in L1, and they need no packing, because a broadcast reads one float
//! wherever it stands; measured 8 to 18 % faster from 512³ up. Where k is so short that a panel does fit L1, and C is
//! no larger than L2, the two inner loops change places ([`Plan::panels_first`]): dX of the first layer gained 7 %, a
//! hidden layer's products 2 %. (A C of 64 MB written a panel's width at a time lost 30 %.)
//!
//! A product whose B is not packed is one block of columns; it has several of k only where steps are left out
//! ([`Plan::kc`]).
//!
//! Widths: the panels of a block differ by at most one vector, and the last may have half a vector more (n = 100 is six
//! vectors and a half: 3 + 3½); the rows are shared out evenly over tiles (100 rows of at most 6: 15 tiles of 6 and 2
//! of 5), so there is no thin leftover tile.

use super::Epilogue;
use super::block::{self, Block, Packed};
use super::compressed;
use super::microkernel::Finish;
use super::operands::{Operands, Source};
use super::pieces::{self, Consumer, pieces};
use super::plan::{Plan, Room, Split};
use super::prepacked::Prepacked;
use super::table::{self, Tiles};
use crate::array::{AlignedBuf, View, ViewMut};
use crate::exec::Exec;
use crate::isa::LANES;
use crate::threads::{parallel, share};
use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    /// This thread's buffer for packed B, grown to the largest block it has met. It is taken out while in use: a
    /// thread that waits inside rayon may be handed another product.
    static PACKED: Cell<AlignedBuf<f32>> = Cell::default();
}

/// Runs a product whose shapes were checked: m, n > 0, and the columns of C adjacent.
pub(super) fn run(
    exec: Exec,
    plan: &Plan,
    a: Source<'_>,
    (b, prepacked): (View<'_, f32, 2>, Option<&Prepacked>),
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
        Epilogue::BiasReluScale(bias, scale) => (Finish::BiasReluScale(scale), bias.as_ptr(), 0),
        Epilogue::Gate(gate) => (Finish::Gate, gate.data().as_ptr(), gate.strides()[0]),
    };
    let (c_row, c) = (c.strides()[0], c.data_mut().as_mut_ptr());
    split(
        exec,
        plan,
        &Operands { prepacked, c, c_row, beta, finish, with, with_row, ..Operands::new(plan, a, b) },
        None,
    );
}

/// Runs a product A·B whose shapes were checked, with m, n > 0, and hands it over; k is one block.
pub(super) fn consume(exec: Exec, plan: &Plan, a: Source<'_>, b: View<'_, f32, 2>, consumer: Consumer<'_>) {
    let one_block = plan.shape[1] <= plan.kc || plan.tiles == Tiles::Elements;
    assert!(one_block, "a piece is handed over when its chains are at their ends");
    split(exec, plan, &Operands::new(plan, a, b), Some(consumer));
}

fn split(exec: Exec, plan: &Plan, operands: &Operands<'_>, consumer: Option<Consumer<'_>>) {
    let [m, _, n] = plan.shape;
    match plan.split {
        Split::Serial => band(exec, plan, operands, [0..m, 0..n], 1, 1, consumer),
        Split::Rows { threads, chunks } => band(exec, plan, operands, [0..m, 0..n], threads, chunks, consumer),
        Split::OwnRows { threads, chunks } => {
            // Two rows of images may share a list.
            let unit = if chunks > threads { LANES } else { 2 };
            parallel(threads, chunks, &|at| {
                band(exec, plan, operands, [share(m, unit, at, chunks), 0..n], 1, 1, consumer);
            });
        }
        Split::Columns { threads, chunks } => parallel(threads, chunks, &|at| {
            band(exec, plan, operands, [0..m, share(n, LANES, at, chunks)], 1, 1, consumer);
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
    let by_element = plan.tiles == Tiles::Elements;
    if let Some(Room { packed: [b, a], cut }) = plan.either {
        let mut packed = PACKED.take();
        packed.make_room(b);
        PACKED.set(packed);
        block::make_room(a);
        pieces::make_room(operands.source, columns.len(), consumer.is_some());
        // What leaves out elements makes its own.
        if !by_element {
            compressed::make_room(exec, operands.source, [rows.len(), columns.len()], cut, consumer.is_some());
        }
    }
    if by_element {
        return compressed::band(exec, plan, operands, [rows, columns], consumer);
    }
    let mut packed = if plan.pack { PACKED.take() } else { AlignedBuf::default() };
    if plan.pack {
        let needed = plan.kc * plan.nc.min(columns.len()).next_multiple_of(LANES);
        packed.make_room(needed);
    }
    let room = packed.len();
    let buffer = Packed(packed.as_mut_ptr());
    let block = |columns: Range<usize>, steps: Range<usize>| Block {
        operands,
        plan,
        row: table::row(exec.isa()),
        columns,
        packed: plan.pack.then_some(buffer),
        first: steps.start == 0,
        last: steps.end == k,
        allowed: true,
        steps,
    };
    // The turned columns are the last. There are none where B is packed, so one block holds all others.
    let turned = plan.turned;
    let straight = columns.start..(n - turned).clamp(columns.start, columns.end);
    let unit = if turned > 0 { LANES } else { 1 };
    let turned = block(straight.end..columns.end, 0..k);
    let blocks = straight.len().div_ceil(plan.nc).max(1);
    for jc in 0..blocks {
        let within = share(straight.len(), LANES, jc, blocks);
        let columns = straight.start + within.start..straight.start + within.end;
        let (mut pc, mut allowed) = (0, true);
        loop {
            let mut block = block(columns.clone(), pc..k.min(pc + plan.kc));
            if plan.pack {
                assert!(columns.len().next_multiple_of(LANES) * block.steps.len() <= room, "a block fits its buffer");
            }
            if plan.pack && !plan.copies {
                let fits = AtomicBool::new(true);
                parallel(threads, block.panels().count(), &|panel| {
                    if !block.pack(exec, panel) {
                        fits.store(false, Ordering::Relaxed);
                    }
                });
                allowed &= fits.into_inner();
            } else if operands.tiles != Tiles::Full {
                allowed &= block.look(exec);
            }
            block.allowed = allowed;
            parallel(threads, chunks, &|at| {
                let within = share(rows.len(), unit, at, chunks);
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
