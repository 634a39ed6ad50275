//! How one product is to be computed: what is packed, how it is blocked, which thread does what.
//!
//! A plan is a function of the shape, the strides, the ISA, the number of threads and whether they stand by; it can be
//! printed ([`Gemm::plan`](super::Gemm::plan)), and its routing is tested. It changes the time, never a bit of the
//! result.

use super::HALF_LANES;
use super::block::MOST_TILES;
use super::compress::{Cut, MOST_ROWS, MOST_STEPS};
use super::compressed::MOST_REGISTERS;
use super::needed::{self, LONGEST, LeftOut};
use super::operands::Source;
use super::table::{self, Tiles};
use crate::array::View;
use crate::exec::Exec;
use crate::isa::{AnyIsa, LANES};
use crate::probe;
use crate::vec::BlockForm;
use std::fmt;
use std::sync::OnceLock;

/// Block sizes and thresholds, as they were measured best, cut to this machine's caches: [`Blocking::of`] an ISA, and
/// `Default` for the best there is; tests shrink them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocking {
    /// Steps of k in a packed block of B. The rows of A that a tile multiplies with it, 6 × 512 floats or 12 KB with
    /// AVX-512, are still in L1 with the next panel. Each further block of k reads and writes C once more, and a tile
    /// takes 60 cycles to begin and to end: AVX2's, which takes 6 cycles for a step and not 12, wants twice as many
    /// steps.
    pub kc: usize,
    /// Columns in a packed block of B, which stays in L2: 512 × 512 floats are half of 2 MB. Each further block of
    /// columns reads A once more.
    pub nc: usize,
    /// Bytes of a panel of B that stays in L1 beside the rows of A.
    pub near: usize,
    /// The same where steps are left out: a quarter of the rows of such a panel, or more, are hardly ever read.
    pub near_listed: usize,
    /// The same where a row of C is computed at a time, of A's elements that are not 0: the panel is all there is in L1
    /// but a row of everything.
    pub near_elements: usize,
    /// Rows of bytes that are multiplied together: the lists of what is not 0, of some 150 elements each, where there
    /// are some, and the accumulators of a panel stay in L2. That they do took an evaluation to 0.93 of its time.
    pub group: usize,
    /// Bytes of a C that stays in L2.
    pub near_c: usize,
    /// Bytes of a B with adjacent columns above which it is packed. A smaller one stays in L2 as it is, and the copy
    /// costs more than it saves, unless its rows lie a page or more apart.
    pub pack_above: usize,
    /// Rows of C below which such a B is not packed: each packed element is used once a tile of rows.
    pub pack_rows: usize,
    /// The same of a product that leaves out steps: its tiles read whole cache lines of a packed B.
    pub pack_rows_listed: usize,
    /// Bytes of a B that each thread of a session packs for itself.
    pub pack_alone: usize,
    /// Multiply-adds a thread must have to be worth starting once the others are to be woken, and five times less in
    /// a session.
    pub per_thread: usize,
    /// Multiply-adds a product must have to be worth waking the other threads for.
    pub to_wake: usize,
}

impl Blocking {
    /// Blocks for the tiles of an ISA and for caches of these sizes in bytes (L1 of data, and L2, of one core). While a
    /// tile goes down a panel, eight rows of A and the panel, as many steps as are in a block, take three times L1; the
    /// block of B takes half of L2.
    pub fn for_caches(isa: AnyIsa, l1: usize, l2: usize) -> Self {
        let panel = panel_columns(table::row(isa));
        let kc = (3 * l1 / ((panel + 8) * size_of::<f32>())).clamp(128, 1024);
        let nc = (l2 / 2 / (kc * size_of::<f32>())).clamp(512, 4096);
        Self {
            kc,
            nc,
            near: l1 / 3 * 2,
            near_listed: l1,
            near_elements: l1 / 16 * 13,
            group: (l2 / (4 << 10)).clamp(1, MOST_ROWS),
            near_c: l2 / 2,
            pack_above: l2 / 8 * 3,
            pack_rows: 64,
            pack_rows_listed: 192,
            pack_alone: l2 / 8,
            per_thread: 250_000,
            to_wake: 20_000_000,
        }
    }

    /// Blocks for an ISA on this machine.
    pub fn of(isa: AnyIsa) -> Self {
        static CACHES: OnceLock<[usize; 2]> = OnceLock::new();
        let &[l1, l2] = CACHES.get_or_init(|| {
            let caches = probe::cache_sizes();
            let size = |level| caches.iter().find(|(name, _)| name == level).map(|&(_, bytes)| bytes);
            // Where the system does not say: the smallest of today.
            [size("L1").unwrap_or(32 << 10), size("L2").unwrap_or(1 << 20)]
        });
        Self::for_caches(isa, l1, l2)
    }
}

impl Default for Blocking {
    fn default() -> Self {
        static BEST: OnceLock<Blocking> = OnceLock::new();
        *BEST.get_or_init(|| Self::of(AnyIsa::available().last().expect("portable is always there")))
    }
}

/// Columns of the widest panel of an ISA's tiles.
fn panel_columns(row: &table::Row) -> usize {
    HALF_LANES * row.max_halves(Tiles::Full)
}

/// What the other threads of the pool are doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// They sleep.
    Asleep,
    /// They stand by in a [`session`](fn@crate::threads::session).
    Helping,
}

impl Workers {
    pub(super) fn of(exec: Exec) -> Self {
        if exec.is_in_session() { Self::Helping } else { Self::Asleep }
    }
}

/// How the threads share a product. They never split k.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// One thread; rayon is not touched.
    Serial,
    /// The threads take chunks of rows; a packed B is packed once, together, and shared.
    Rows {
        /// At most so many threads.
        threads: usize,
        /// Into so many chunks the rows are cut.
        chunks: usize,
    },
    /// The threads take chunks of rows, and each packs all of B for itself: for a small B, where waiting for each other
    /// costs more and the rows of a batch stay with their threads; and where rows of A are packed, which costs more
    /// than packing B, and by columns each would pack all.
    OwnRows {
        /// At most so many threads.
        threads: usize,
        /// Into so many chunks the rows are cut; B is packed for each.
        chunks: usize,
    },
    /// The threads take chunks of columns; whoever takes a chunk packs its part of B.
    Columns {
        /// At most so many threads.
        threads: usize,
        /// Into so many chunks the columns are cut.
        chunks: usize,
    },
}

/// What a product's route depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    /// m, k, n.
    pub shape: [usize; 3],
    pub a_strides: [usize; 2],
    /// Whether A is converted from bytes, piece by piece, and need not be packed.
    pub bytes: bool,
    /// What is left out of it.
    pub left_out: LeftOut,
    /// Whether that is by A's elements: the next product of this shape may go another way.
    pub may_leave_out_elements: bool,
    pub b_strides: [usize; 2],
    /// Whether C is written without being read, and without an epilogue.
    pub storing: bool,
    /// Whether all of k must be one block, for C is handed over and not kept.
    pub one_block: bool,
}

impl Product {
    /// Of an A and a B, with every step done.
    pub fn new(a: Source<'_>, b: View<'_, f32, 2>) -> Self {
        let [m, k] = a.shape();
        Self {
            shape: [m, k, b.cols()],
            a_strides: a.strides(),
            bytes: !matches!(a, Source::Floats(_)),
            left_out: LeftOut::Nothing,
            may_leave_out_elements: false,
            b_strides: b.strides(),
            storing: false,
            one_block: false,
        }
    }

    /// The same, with what had best be left out of A.
    pub fn leaving_out(exec: Exec, a: Source<'_>, b: View<'_, f32, 2>) -> Self {
        let n = b.cols();
        let may_leave_out_elements = needed::may_leave_out_elements(exec, a, n);
        Self { left_out: needed::left_out(exec, a, n), may_leave_out_elements, ..Self::new(a, b) }
    }

    /// Multiply-adds.
    pub fn work(&self) -> usize {
        self.shape.into_iter().fold(1, usize::saturating_mul)
    }
}

/// The route a product takes; see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The ISA's name.
    pub isa: &'static str,
    /// m, k, n.
    pub shape: [usize; 3],
    /// Which tiles: whether steps of k are left out where a tile's rows of A are all zero, or all zeros.
    pub tiles: Tiles,
    /// Whether B is copied into panels.
    pub pack: bool,
    /// Whether the first tile of rows reads B in place and packs it for the others. Where threads share the rows, B is
    /// packed before.
    pub copies: bool,
    /// Whether a tile's rows of a transposed A are copied together before they are multiplied with the panels.
    pub packs_a: bool,
    /// Steps of k in a block: even shares of k, at most [`Blocking::kc`] if B is packed. Else all of k; but if steps
    /// are left out, as many as a list holds, and where bytes are converted for that, as many as let a panel stay in
    /// L1.
    pub kc: usize,
    /// Columns in a block, at most.
    pub nc: usize,
    /// Bytes of a panel that stays in L1; a larger one is asked for ahead.
    pub near: usize,
    /// Rows of bytes that are multiplied together, if elements are left out ([`Blocking::group`]).
    pub group: usize,
    /// Whether each panel of B is multiplied with all rows before the next: for panels that stay in L1, and a C that
    /// stays in L2.
    pub panels_first: bool,
    /// So many of the last columns are computed turned, as rows of Cᵀ = Bᵀ·Aᵀ.
    pub turned: usize,
    /// The threads' shares.
    pub split: Split,
    /// What the threads keep room for, if the next product of this shape may go another way: a warm call does not
    /// allocate whichever way it goes.
    pub(super) either: Option<Room>,
}

/// What decides how large the buffers are, of a product that does every step and of one that leaves out elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Floats of a packed block of B, and of packed rows of A.
    pub packed: [usize; 2],
    /// How it is cut, if elements are left out.
    pub cut: Cut,
}

impl Plan {
    /// The route of a product.
    pub(super) fn new(exec: Exec, workers: Workers, product: &Product, blocking: &Blocking) -> Self {
        let &Product {
            shape,
            a_strides,
            bytes: from_bytes,
            left_out,
            may_leave_out_elements,
            b_strides,
            storing,
            one_block,
        } = product;
        let [m, k, n] = shape;
        let row = table::row(exec.isa());
        let panel = panel_columns(row);
        let work = product.work();

        let per_thread = match workers {
            Workers::Helping => blocking.per_thread / HELPED,
            Workers::Asleep if work >= blocking.to_wake => blocking.per_thread,
            Workers::Asleep => usize::MAX,
        };
        let threads = exec.threads().min(work / per_thread.max(1)).max(1);

        let skips = left_out == LeftOut::Steps;
        let adjacent = b_strides[1] == 1 || n == 1;
        let bytes = |rows: usize, columns: usize| rows.saturating_mul(columns).saturating_mul(size_of::<f32>());
        let large = bytes(k, n) > blocking.pack_above || bytes(b_strides[0], 1) >= PAGE;
        let pack = !adjacent
            || (large && m >= blocking.pack_rows)
            || (skips && threads == 1 && m >= blocking.pack_rows_listed);
        let tiles = match skips {
            false => Tiles::Full,
            true if from_bytes || !large => Tiles::Wide,
            true => Tiles::Tall,
        };
        let even_steps = |most: usize| k.div_ceil(k.div_ceil(most.max(1)).max(1));
        let halves = n.div_ceil(HALF_LANES);
        // Bytes that are converted for tiles that leave out steps: blocks of a panel that stay in L1, and whole vectors
        // of bytes.
        let converts = skips && from_bytes && !row.looks_up;
        let kc = if converts && !one_block {
            let panels = halves.div_ceil(row.max_halves(Tiles::Wide)).max(1);
            let most = blocking.near_listed / bytes(1, HALF_LANES * halves.div_ceil(panels)).max(1);
            even_steps(most.clamp(LANES, LONGEST)).next_multiple_of(LANES)
        } else if skips && from_bytes {
            k
        } else if skips {
            even_steps(if pack { blocking.kc.min(LONGEST) } else { LONGEST })
        } else if pack {
            even_steps(blocking.kc)
        } else {
            k
        };
        // A large C is written row by row: a panel's width of each row at a time would touch every page of it again and
        // again.
        let panels_first = converts || (!skips && bytes(kc, panel) <= blocking.near && bytes(m, n) <= blocking.near_c);

        // A column of A is vectors full of rows; the last columns of B may fill only a fraction of one.
        let left = n % LANES;
        let turned =
            if !pack && !skips && a_strides[0] == 1 && m >= LANES && storing && left <= TURN { left } else { 0 };

        let bands = m / row.max_rows(Tiles::Full, row.max_halves(Tiles::Full).min(halves).max(1));
        let chunks = threads;
        let packs_a = !from_bytes
            && !skips
            && pack
            && !panels_first
            && a_strides[0] == 1
            && a_strides[1] > 1
            && n >= PANELS * panel;
        // Each block of columns packs all of A once more, and so does each thread that has its own: the blocks are
        // wider, of fewer steps, and the threads take rows.
        let wide = packs_a && !one_block;
        let (kc, nc) = if wide && n > blocking.nc {
            (even_steps((blocking.kc / 2).max(1)), 2 * blocking.nc)
        } else {
            (kc, blocking.nc)
        };
        let split = if threads == 1 {
            Split::Serial
        } else if (pack && workers == Workers::Helping && bytes(k, n) <= blocking.pack_alone) || wide {
            Split::OwnRows { threads, chunks: threads }
        } else if (pack && halves >= if skips { 32 } else { 4 } * threads)
            || (2 * bands < halves && bands < 2 * threads)
        {
            Split::Columns { threads, chunks }
        } else if workers == Workers::Helping {
            Split::Rows { threads, chunks: helped_chunks(m, CHUNK_ROWS, threads) }
        } else {
            Split::Rows { threads, chunks }
        };
        let copies = pack && !skips && adjacent && !panels_first && !matches!(split, Split::Rows { .. });
        let nc = match split {
            Split::Serial | Split::Columns { .. } if pack && panels_first && !skips => panel,
            _ if pack => (nc * blocking.kc / kc.max(blocking.kc)).max(1).next_multiple_of(LANES),
            _ => n.max(1),
        };
        let mut either = None;
        if may_leave_out_elements {
            let of_elements = Self::of_elements(row, product, workers, threads, blocking);
            let b = if pack { kc * nc.min(n).next_multiple_of(LANES) } else { 0 };
            let a = if packs_a { kc * MOST_TILES * row.heights(Tiles::Full, 1).len() } else { 0 };
            either = Some(Room { packed: [b, a], cut: of_elements.cut(row) });
            if left_out == LeftOut::Elements {
                return Self { either, ..of_elements };
            }
        }
        Self {
            isa: row.name,
            shape,
            tiles,
            pack,
            copies,
            packs_a,
            kc,
            nc,
            near: blocking.near,
            group: blocking.group,
            panels_first,
            turned,
            split,
            either,
        }
    }

    /// How it is cut, if elements are left out.
    pub(super) fn cut(&self, row: &table::Row) -> Cut {
        let rows = row.elements.as_ref().map_or(1, |elements| elements.images.at_once());
        Cut { form: BlockForm { columns: self.kc, rows }, group: self.group }
    }

    /// The route of a product of A's elements that are not 0: each thread packs B for itself, panel by panel, and
    /// columns it has alone.
    fn of_elements(row: &table::Row, product: &Product, workers: Workers, threads: usize, blocking: &Blocking) -> Self {
        let [m, k, n] = product.shape;
        let rows_are = match product {
            Product { bytes: false, .. } => RowsAre::Floats,
            Product { a_strides: [_, 1], .. } => RowsAre::Images,
            _ => RowsAre::Pixels,
        };
        let split = match threads {
            1 => Split::Serial,
            _ if n.div_ceil(row.register()) >= threads * MOST_REGISTERS => Split::Columns { threads, chunks: threads },
            _ if workers == Workers::Helping => {
                Split::OwnRows { threads, chunks: helped_chunks(m, OWN_CHUNK_ROWS, threads) }
            }
            _ => Split::OwnRows { threads, chunks: threads },
        };
        Self {
            isa: row.name,
            shape: product.shape,
            tiles: Tiles::Elements,
            pack: true,
            copies: false,
            packs_a: false,
            kc: block_of_elements(row, [k, n], rows_are, blocking),
            nc: panel_of_elements(row, n),
            near: blocking.near_elements,
            group: blocking.group,
            panels_first: true,
            turned: 0,
            split,
            either: None,
        }
    }
}

/// Columns of a panel of a product that leaves out elements, at most.
fn panel_of_elements(row: &table::Row, n: usize) -> usize {
    let registers = n.div_ceil(row.register());
    registers.div_ceil(registers.div_ceil(MOST_REGISTERS).max(1)) * row.register()
}

/// What the rows of A are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowsAre {
    Floats,
    Images,
    /// The same pixel of all images each.
    Pixels,
}

/// Steps of a block of it, in whole vectors of A: as many as let a panel stay in L1. Of images, with AVX-512, as many
/// as fill L1: a good part of such a panel is the edges of images, which are black and are hardly ever read. With 112
/// steps of seven registers, and not 96, the first product of an evaluation took 0.9 of its time. (With AVX2 and its
/// smaller L1 it was not measured.) Of pixels a quarter more: not all samples need every row, and with AVX-512 two of
/// them share what they read.
pub(super) fn block_of_elements(row: &table::Row, [k, n]: [usize; 2], rows_are: RowsAre, blocking: &Blocking) -> usize {
    let step = (panel_of_elements(row, n) * size_of::<f32>()).max(1);
    let near = match rows_are {
        RowsAre::Images if row.register() == LANES => blocking.near_listed,
        RowsAre::Floats | RowsAre::Images => blocking.near_elements,
        RowsAre::Pixels => blocking.near_listed / 4 * 5,
    };
    let most = if step * k <= near.max(blocking.near_listed) { k } else { near / step };
    let most = most.min(blocking.kc).clamp(1, MOST_STEPS);
    k.div_ceil(k.div_ceil(most).max(1)).next_multiple_of(LANES)
}

/// Rows so many bytes apart are each on another page, and where that is a power of two they also want the same places
/// in L1: read in place they cost half of the speed.
const PAGE: usize = 4096;

/// Panels of B that repay packing the rows of a transposed A.
const PANELS: usize = 4;

/// Fewest rows of a chunk of a session's product, if it has more chunks than threads.
const CHUNK_ROWS: usize = 96;
/// The same where B is packed, and A looked through, for each chunk.
const OWN_CHUNK_ROWS: usize = 192;

/// The chunks of a session's product of `m` rows, each of at least so many. A helper may be busy with something else,
/// and come late: a tall product has more chunks to take.
fn helped_chunks(m: usize, rows: usize, threads: usize) -> usize {
    threads * (m / (threads * rows)).clamp(1, 4)
}

/// A thread of a session is worth so many times less work than one that has to be joined to: half a microsecond against
/// two.
const HELPED: usize = 5;

/// Plans a product for what the other threads are doing, and runs it.
pub(super) fn execute(exec: Exec, product: &Product, blocking: &Blocking, run: impl FnOnce(&Plan)) {
    run(&Plan::new(exec, Workers::of(exec), product, blocking));
}

/// Up to so many columns are computed turned: as rows of a tile they cost less than as a vector that is not full.
const TURN: usize = 10;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [m, k, n] = self.shape;
        write!(f, "{m}x{k}x{n} on {}: ", self.isa)?;
        if self.pack {
            write!(f, "B packed in blocks of {}x{}", self.kc, self.nc.min(n))?;
        } else {
            write!(f, "B read in place")?;
        }
        match self.tiles {
            Tiles::Full => {}
            Tiles::Wide | Tiles::Tall => write!(f, ", steps left out where rows of A are zero")?,
            Tiles::Elements => write!(f, ", zeros of A left out")?,
        }
        if self.packs_a {
            write!(f, ", rows of A packed")?;
        }
        write!(f, ", {} first", if self.panels_first { "panels" } else { "rows" })?;
        if self.turned > 0 {
            write!(f, ", the last {} columns turned", self.turned)?;
        }
        match self.split {
            Split::Serial => write!(f, ", one thread"),
            Split::Rows { threads, chunks } => write!(f, ", {threads} threads by rows, {chunks} chunks"),
            Split::OwnRows { threads, chunks } => {
                write!(f, ", {threads} threads by rows, {chunks} chunks, each with a packed B of its own")
            }
            Split::Columns { threads, chunks } => write!(f, ", {threads} threads by columns, {chunks} chunks"),
        }
    }
}
