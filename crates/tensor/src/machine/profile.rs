//! Where the time of a program goes, kernel by kernel: who asks for it gets a table, who does not pays a look at a flag
//! for each kernel.
//!
//! A kernel is wrapped where it is called, with the work it does; what is going on around it (which layer, which
//! direction) is a [`section`]. Everything is of the thread that called [`start`]: what a kernel hands to other threads
//! is inside its own time.
//!
//! ```
//! use tensor::profile::{self, Work};
//! profile::start();
//! let sum = profile::section("layer 1", || {
//!     profile::kernel("sum", Work { flops: 3, bytes: 16, touched: 16 }, || 1 + 2 + 3 + 4)
//! });
//! let table = profile::stop();
//! assert_eq!((sum, table[0].section, table[0].kernel, table[0].calls), (10, "layer 1", "sum", 1));
//! ```

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// What a call of a kernel has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Floating-point operations; a fused multiply-add counts as two.
    pub flops: u64,
    /// Bytes it must read and write at least once.
    pub bytes: u64,
    /// Bytes of memory it touches: what decides which cache its data can be in.
    pub touched: u64,
}

impl Work {
    /// A kernel that moves memory: `read` and `written` floats, each once.
    pub fn streaming(read: usize, written: usize, flops: usize) -> Self {
        let bytes = ((read + written) * size_of::<f32>()) as u64;
        Self { flops: flops as u64, bytes, touched: bytes }
    }

    /// A matrix product.
    pub fn gemm([m, k, n]: [usize; 3]) -> Self {
        let bytes = ((m * k + k * n + m * n) * size_of::<f32>()) as u64;
        Self { flops: (2 * m * k * n) as u64, bytes, touched: bytes }
    }
}

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The section around the calls.
    pub section: &'static str,
    /// The number of the section's part, such as a layer; see [`part`].
    pub part: usize,
    /// The kernel.
    pub kernel: &'static str,
    /// The work of all calls together; `touched` is that of the largest.
    pub work: Work,
    /// Calls.
    pub calls: u64,
    /// Time of all calls together.
    pub time: Duration,
}

thread_local! {
    static ACTIVE: Cell<bool> = const { Cell::new(false) };
    /// Inside a kernel that is timed.
    static TIMING: Cell<bool> = const { Cell::new(false) };
    static SECTION: Cell<(&'static str, usize)> = const { Cell::new(("", 0)) };
    static ROWS: RefCell<Vec<Row>> = const { RefCell::new(Vec::new()) };
}

/// Begins a new table on this thread.
pub fn start() {
    ROWS.with_borrow_mut(Vec::clear);
    SECTION.set(("", 0));
    TIMING.set(false);
    ACTIVE.set(true);
}

/// Whether kernels are being timed on this thread; they are then done one after the other.
pub fn is_active() -> bool {
    ACTIVE.get() || TIMING.get()
}

/// Ends it: the rows in the order of their first calls.
pub fn stop() -> Vec<Row> {
    ACTIVE.set(false);
    ROWS.take()
}

/// Runs `f` as a section of that name.
#[inline]
pub fn section<R>(name: &'static str, f: impl FnOnce() -> R) -> R {
    part(name, 0, f)
}

/// Runs `f` as part `number` of a section of that name.
#[inline]
pub fn part<R>(name: &'static str, number: usize, f: impl FnOnce() -> R) -> R {
    if !ACTIVE.get() {
        return f();
    }
    let _around = Around(SECTION.replace((name, number)));
    f()
}

/// Runs `f`, one call of a kernel that does `work`. Kernels inside of a kernel are not told apart.
#[inline]
pub fn kernel<R>(name: &'static str, work: Work, f: impl FnOnce() -> R) -> R {
    if !ACTIVE.get() {
        return f();
    }
    let timing = Timing::new();
    let start = Instant::now();
    let result = f();
    let time = start.elapsed();
    drop(timing);
    record(name, work, time);
    result
}

/// The section around another, restored when this is dropped: also by a panic.
struct Around((&'static str, usize));

impl Drop for Around {
    fn drop(&mut self) {
        SECTION.set(self.0);
    }
}

/// A kernel is being timed until this is dropped.
struct Timing;

impl Timing {
    fn new() -> Self {
        ACTIVE.set(false);
        TIMING.set(true);
        Self
    }
}

impl Drop for Timing {
    fn drop(&mut self) {
        TIMING.set(false);
        ACTIVE.set(true);
    }
}

fn record(kernel: &'static str, work: Work, time: Duration) {
    let (section, part) = SECTION.get();
    ROWS.with_borrow_mut(|rows| {
        let same = |row: &&mut Row| (row.section, row.part, row.kernel) == (section, part, kernel);
        let row = match rows.iter_mut().find(same) {
            Some(row) => row,
            None => {
                rows.push(Row { section, part, kernel, work: Work::default(), calls: 0, time: Duration::ZERO });
                rows.last_mut().expect("one was just pushed")
            }
        };
        row.calls += 1;
        row.time += time;
        row.work.flops += work.flops;
        row.work.bytes += work.bytes;
        row.work.touched = row.work.touched.max(work.touched);
    });
}
