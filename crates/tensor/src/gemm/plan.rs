//! How one product is to be computed: what is packed, how it is blocked, which loop is shared by threads.
//!
//! A plan is a value and a pure function of the shape, the strides, the ISA, the caches and the number of threads. It
//! never looks at the data or at the clock. It is made once and run often, it can be printed, and it changes the time
//! of a product, never a bit of it.

use super::PackedB;
use super::blocking::{Blocking, PanelGroup, panel_groups};
use super::constants::{PANELS_TO_PACK_A, ROWS_TO_PACK, WORK_PER_THREAD, WORK_TO_WAKE};
use super::kernels::Tiles;
use super::row::HALF_LANES;
use crate::array::View;
use crate::exec::Exec;
use std::fmt;

/// Bytes of a page of memory. Rows that far apart lie on a page each, and where the distance is a power of two they
/// compete for the same lines of L1.
const PAGE: usize = 4096;

/// Rows of C of a chunk, at least, if there are more chunks than threads.
const CHUNK_ROWS: usize = 96;

/// Where B comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceOfB {
    /// It is read where it lies, with this stride from row to row; its columns are adjacent.
    InPlace { row: usize },
    /// Its blocks are packed as the loops come to them, from these strides.
    Pack { strides: [usize; 2] },
    /// It comes packed ([`PackedB`]).
    Packed,
}

/// How the threads share a product. They never split k, so no chain is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// One thread; rayon is not touched.
    Serial,
    /// Chunks of rows of C. Each packs the blocks of B it reads.
    Rows { chunks: usize },
    /// Chunks of columns of C. Each packs its own part of B.
    Columns { chunks: usize },
}

/// The route a product takes; see the module.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub(super) exec: Exec,
    /// m, k, n.
    pub(super) shape: [usize; 3],
    pub(super) a_strides: [usize; 2],
    pub(super) b: SourceOfB,
    /// Whether the rows of a transposed A are packed too, a few tiles at a time.
    pub(super) packs_a: bool,
    /// Steps of k and columns in a block.
    pub(super) kc: usize,
    pub(super) nc: usize,
    /// Whether each panel of B is multiplied with all rows before the next: for panels that stay in L1 and a C that
    /// stays in L2. Else each tile of rows is multiplied with all panels of the block.
    pub(super) panels_first: bool,
    /// Whether a panel is too large for L1.
    pub(super) far: bool,
    pub(super) split: Split,
    /// The panels, where all columns are one block.
    pub(super) groups: [PanelGroup; 3],
}

impl Plan {
    /// The plan of C (m×n) ← A (m×k) · B (k×n) with these strides of A and B.
    pub fn new(exec: Exec, shape: [usize; 3], a_strides: [usize; 2], b_strides: [usize; 2]) -> Self {
        let [m, k, n] = shape;
        let (blocking, adjacent) = (Blocking::of(exec), b_strides[1] == 1 || n == 1);
        let large = bytes(k, n) > blocking.b_in_place || bytes(b_strides[0], 1) >= PAGE;
        if !adjacent || (large && m >= ROWS_TO_PACK) {
            Self::blocked(exec, shape, a_strides, SourceOfB::Pack { strides: b_strides }, blocking)
        } else {
            let whole = Blocking { kc: k.max(1), nc: n.max(1), ..blocking };
            Self::blocked(exec, shape, a_strides, SourceOfB::InPlace { row: b_strides[0] }, whole)
        }
    }

    /// The plan of a product of an A of m rows with a packed B.
    pub fn with_packed(exec: Exec, m: usize, a_strides: [usize; 2], b: &PackedB) -> Self {
        let [k, n] = b.shape();
        let [kc, nc] = b.blocks();
        Self::blocked(exec, [m, k, n], a_strides, SourceOfB::Packed, Blocking { kc, nc, ..Blocking::of(exec) })
    }

    fn blocked(exec: Exec, shape: [usize; 3], a_strides: [usize; 2], b: SourceOfB, blocking: Blocking) -> Self {
        let ([m, k, n], tiles) = (shape, Tiles::of(exec.isa()));
        let [_, width] = tiles.largest();
        let packs_b = matches!(b, SourceOfB::Pack { .. });
        // Even shares of k.
        let kc = k.div_ceil(k.div_ceil(blocking.kc).max(1)).max(1);
        let far = bytes(kc, width.min(n)) > blocking.panel_in_l1;
        let panels_first = !far && bytes(m, n) <= blocking.c_in_l2;
        let packs_a = matches!(b, SourceOfB::Pack { .. } | SourceOfB::Packed)
            && !panels_first
            && a_strides[0] == 1
            && a_strides[1] > 1
            && n >= PANELS_TO_PACK_A * width;
        // Each block of columns packs all of A once more: wider blocks, of fewer steps.
        let (kc, nc) = if packs_a && packs_b && n > blocking.nc {
            (k.div_ceil(k.div_ceil((blocking.kc / 2).max(1))), 2 * blocking.nc)
        } else {
            (kc, blocking.nc * (blocking.kc / kc).max(1))
        };
        let split = split(exec, shape, tiles, &blocking, b, packs_a);
        // A panel that is packed and then multiplied with all rows is still in L1.
        let nc = if packs_b && panels_first { width } else { nc.min(n).max(1) };
        let groups = panel_groups(tiles, nc.min(n).max(1));
        Self { exec, shape, a_strides, b, packs_a, kc, nc, panels_first, far, split, groups }
    }

    /// How it runs.
    pub(crate) fn exec(&self) -> Exec {
        self.exec
    }

    /// m, k and n.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Whether it was made for these operands: a packed B is one that was packed into the same blocks.
    pub(crate) fn is_for(&self, a: View<'_, f32, 2>, b: super::Rhs<'_>) -> bool {
        let same_b = match (self.b, b) {
            (SourceOfB::InPlace { row }, super::Rhs::Floats(b)) => {
                b.strides()[0] == row && (b.strides()[1] == 1 || b.cols() == 1)
            }
            (SourceOfB::Pack { strides }, super::Rhs::Floats(b)) => b.strides() == strides,
            (SourceOfB::Packed, super::Rhs::Packed(b)) => b.is_for(self.exec) && b.blocks() == [self.kc, self.nc],
            _ => false,
        };
        same_b
            && a.strides() == self.a_strides
            && [a.rows(), a.cols()] == self.shape[..2]
            && b.shape() == self.shape[1..]
    }
}

/// Bytes of a matrix of floats.
fn bytes(rows: usize, columns: usize) -> usize {
    rows.saturating_mul(columns).saturating_mul(size_of::<f32>())
}

/// How many threads are worth their start for a product of this shape.
pub(crate) fn threads_for(exec: Exec, [m, k, n]: [usize; 3]) -> usize {
    let work = m.saturating_mul(k).saturating_mul(n);
    let per_thread = if exec.is_in_session() { WORK_PER_THREAD } else { WORK_TO_WAKE / 2 };
    exec.threads().min(work / per_thread).max(1)
}

/// What of the product the threads share.
fn split(exec: Exec, [m, k, n]: [usize; 3], tiles: &Tiles, blocking: &Blocking, b: SourceOfB, packs_a: bool) -> Split {
    let threads = threads_for(exec, [m, k, n]);
    if threads == 1 {
        return Split::Serial;
    }
    let (halves, bands) = (n.div_ceil(HALF_LANES), m / tiles.largest()[0]);
    let few_rows = 2 * bands < halves && bands < 2 * threads;
    match b {
        // By columns each would pack all rows of A.
        SourceOfB::Pack { .. } if packs_a => Split::Rows { chunks: threads },
        SourceOfB::Pack { .. } if bytes(k, n) > blocking.b_of_each_thread && halves >= 4 * threads => {
            Split::Columns { chunks: threads }
        }
        SourceOfB::Pack { .. } if !few_rows => Split::Rows { chunks: threads },
        SourceOfB::Pack { .. } | SourceOfB::InPlace { .. } if few_rows => Split::Columns { chunks: threads },
        // A thread that comes late finds fewer chunks left.
        _ => Split::Rows { chunks: threads * (m / (threads * CHUNK_ROWS)).clamp(1, 4) },
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [m, k, n] = self.shape;
        write!(f, "{m}x{k}x{n} on {}: ", self.exec.isa().name())?;
        match self.b {
            SourceOfB::InPlace { .. } => write!(f, "B in place")?,
            SourceOfB::Pack { .. } => write!(f, "B packed in blocks of {}x{}", self.kc, self.nc)?,
            SourceOfB::Packed => write!(f, "B came packed in blocks of {}x{}", self.kc, self.nc)?,
        }
        if self.packs_a {
            write!(f, ", rows of A packed")?;
        }
        write!(f, ", {} first", if self.panels_first { "panels" } else { "rows" })?;
        match self.split {
            Split::Serial => write!(f, ", one thread"),
            Split::Rows { chunks } => write!(f, ", {} threads, {chunks} chunks of rows", self.exec.threads()),
            Split::Columns { chunks } => write!(f, ", {} threads, {chunks} chunks of columns", self.exec.threads()),
        }
    }
}
