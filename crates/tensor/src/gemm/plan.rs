//! How one product is to be computed: what is packed, how it is blocked, which thread does what.
//!
//! A plan is a function of the shape, the strides of B, the ISA and the number of threads; it can be printed, and its
//! routing is tested. It changes the time, never a bit of the result.

use super::HALF_LANES;
use super::table;
use crate::exec::Exec;
use std::fmt;

/// Block sizes. `Default` is what was measured best; tests shrink them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocking {
    /// Steps of k in a packed block of B. With `nc` it sets the block's size: 512 × 512 floats are 1 MB, which an L2 of 1 or
    /// 2 MB holds all or nearly all of, beside the rows of A (6 × 512 floats, 12 KB, in L1) that are multiplied with it. Each
    /// further block of k reads and writes C once more, each further block of columns reads A once more.
    pub kc: usize,
    /// Columns in a packed block of B.
    pub nc: usize,
    /// Multiply-adds above which a B with adjacent columns is packed. Below, the copy costs more than it saves.
    pub pack_above: usize,
    /// Rows of C below which such a B is not packed: each packed element is used once a tile of rows.
    pub pack_rows: usize,
    /// Multiply-adds a thread must have to be worth starting.
    pub per_thread: usize,
}

impl Default for Blocking {
    fn default() -> Self {
        Self { kc: 512, nc: 512, pack_above: 10_000_000, pack_rows: 64, per_thread: 1_000_000 }
    }
}

/// How the threads share a product. They never split k.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// One thread; rayon is not touched.
    Serial,
    /// So many bands of rows; a packed B is packed once, together, and shared.
    Rows(usize),
    /// So many bands of columns; each thread packs its own part of B.
    Columns(usize),
}

/// The route a product takes; see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The ISA's name.
    pub isa: &'static str,
    /// m, k, n.
    pub shape: [usize; 3],
    /// Whether B is copied into panels.
    pub pack: bool,
    /// Steps of k in a block: even shares of k, at most [`Blocking::kc`] if B is packed, else all of k.
    pub kc: usize,
    /// Columns in a block: a multiple of a panel.
    pub nc: usize,
    /// The threads' shares.
    pub split: Split,
}

impl Plan {
    /// The route of an m×k by k×n product whose B has the strides `b_strides`.
    pub fn new(exec: Exec, shape: [usize; 3], b_strides: [usize; 2], blocking: &Blocking) -> Self {
        let [m, k, n] = shape;
        let row = table::row(exec.isa());
        let work = m.saturating_mul(n).saturating_mul(k);
        let adjacent = b_strides[1] == 1 || n == 1;
        let pack = !adjacent || (work > blocking.pack_above && m >= blocking.pack_rows);
        let (kc, nc) = if pack {
            let blocks = k.div_ceil(blocking.kc).max(1);
            (k.div_ceil(blocks), blocking.nc.next_multiple_of(HALF_LANES * row.max_halves()))
        } else {
            (k, n.next_multiple_of(HALF_LANES))
        };
        let nc = if kc * 4 * HALF_LANES * row.max_halves() <= 32 << 10 && exec.threads() == 1 { HALF_LANES * row.max_halves() } else { nc };
        let threads = exec.threads().min(work / blocking.per_thread.max(1)).max(1);
        let halves = n.div_ceil(HALF_LANES);
        let bands = m / row.max_rows(row.max_halves().min(halves).max(1));
        let split = if threads == 1 {
            Split::Serial
        } else if bands >= 2 * threads || 2 * bands >= halves {
            Split::Rows(threads.min(m))
        } else {
            Split::Columns(threads.min(halves))
        };
        Self { isa: row.name, shape, pack, kc, nc, split }
    }

    /// Threads the plan uses.
    pub fn threads(&self) -> usize {
        match self.split {
            Split::Serial => 1,
            Split::Rows(threads) | Split::Columns(threads) => threads,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [m, k, n] = self.shape;
        write!(f, "{m}x{k}x{n} on {}: ", self.isa)?;
        if self.pack {
            write!(f, "B packed in blocks of {}x{}", self.kc, self.nc)?;
        } else {
            write!(f, "B read in place")?;
        }
        match self.split {
            Split::Serial => write!(f, ", one thread"),
            Split::Rows(threads) => write!(f, ", {threads} threads by rows"),
            Split::Columns(threads) => write!(f, ", {threads} threads by columns"),
        }
    }
}
