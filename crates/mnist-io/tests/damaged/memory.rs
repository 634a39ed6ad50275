//! How much memory a call takes: a global allocator that counts, thread by thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;

/// Counts the bytes that this thread holds, and refuses it anything enormous.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    /// What to say when something enormous is asked for: a refusal may end the process.
    pub static CASE: Cell<&'static str> = const { Cell::new("") };
}

/// No file of the table holds anything near this.
const ENORMOUS: usize = 256 << 20;

impl Counting {
    /// Whether this thread may take so many bytes more.
    fn take(bytes: usize) -> bool {
        let held = HELD.get() + bytes as isize;
        PEAK.set(PEAK.get().max(held));
        if bytes > ENORMOUS {
            let mut stderr = std::io::stderr();
            let _ = stderr.write_all(CASE.get().as_bytes()).and_then(|()| stderr.write_all(b": enormous allocation\n"));
            return false;
        }
        HELD.set(held);
        true
    }

    fn give_back(bytes: usize) {
        HELD.set(HELD.get() - bytes as isize);
    }
}

// SAFETY: memory comes from `System` and goes back to it with the same pointer and layout; a refusal is null, as the
// trait asks; the counters are thread-local cells without destructors, which neither allocate nor unwind. A
// reallocation is the trait's default (allocate, copy, free), so old and new are both counted while both are there.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !Self::take(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's duties are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::give_back(layout.size());
        // SAFETY: the pointer came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a call gives, and the most bytes it held at once beyond those held before.
pub fn with_peak<T>(call: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = call();
    (result, (PEAK.get() - before) as usize)
}
