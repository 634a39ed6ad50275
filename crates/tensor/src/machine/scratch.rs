//! A thread's scratch memory.
//!
//! ```text
//! with_scratch(bytes, |arena| { let panels: &mut [f32] = arena.take(k * n); let bits: &mut [u128] = arena.take(rows); … })
//! ```
//!
//! A kernel that packs an operand needs memory for the time of a call. Each thread keeps that memory and lends it: a
//! call that asks for no more than a call before it does not allocate. A kernel asks for a *bound* of its shape, never
//! for what its plan happens to need. A bound does not depend on the caches, and a smaller shape has a smaller bound.
//! So a program that has run its largest shape once allocates nothing afterwards, on any machine.
//!
//! A call inside another call, on the same thread, gets memory of its own. (A thread that waits in rayon may be handed
//! another product.)

use crate::array::AlignedBuf;
use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Alignment of what is taken, in bytes: a cache line.
const LINE: usize = 64;

/// The largest bound that was announced.
static ANNOUNCED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Buffers that nobody uses at the moment. The last was used last.
    static FREE: RefCell<Vec<AlignedBuf<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A plain number of which every bit pattern is a value.
pub trait Plain: Copy + 'static {}
impl Plain for f32 {}
impl Plain for u8 {}
impl Plain for u128 {}
impl Plain for *const f32 {}
impl Plain for *const u8 {}

/// Memory that was lent, of which parts are taken.
#[derive(Debug)]
pub struct Arena<'a> {
    left: &'a mut [u8],
}

impl<'a> Arena<'a> {
    /// The next `len` elements. They hold anything.
    ///
    /// # Panics
    /// If more is taken than the bound that was asked for.
    pub fn take<T: Plain>(&mut self, len: usize) -> &'a mut [T] {
        if len == 0 {
            return &mut [];
        }
        let bytes = bytes_of::<T>(len);
        let left = std::mem::take(&mut self.left);
        assert!(bytes <= left.len(), "{bytes} bytes of scratch are taken, and {} are left of the bound", left.len());
        let (taken, left) = left.split_at_mut(bytes);
        self.left = left;
        // SAFETY: the part begins on a cache line, since the buffer does and parts are whole lines; it holds `len`
        // elements, as just computed; any bytes are a `Plain`; nobody else has this part.
        unsafe { std::slice::from_raw_parts_mut(taken.as_mut_ptr().cast(), len) }
    }

    /// An arena of what is left, which comes back when it is dropped.
    pub fn reborrow(&mut self) -> Arena<'_> {
        Arena { left: self.left }
    }
}

/// Bytes that `len` elements take, with what fills the last cache line.
pub const fn bytes_of<T>(len: usize) -> usize {
    (len * size_of::<T>()).next_multiple_of(LINE)
}

/// Runs `f` with `bytes` of this thread's scratch.
pub fn with_scratch<R>(bytes: usize, f: impl FnOnce(Arena<'_>) -> R) -> R {
    let mut buffer = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
    if buffer.len() < bytes {
        buffer = AlignedBuf::zeroed(bytes.max(ANNOUNCED.load(Ordering::Relaxed)));
    }
    let result = f(Arena { left: &mut buffer });
    FREE.with_borrow_mut(|free| free.push(buffer));
    result
}

/// Announces the largest bound of a program that is about to run: a thread that needs scratch for the first time makes
/// room for all of it at once, whichever kernel comes first.
pub fn announce(bytes: usize) {
    ANNOUNCED.fetch_max(bytes, Ordering::Relaxed);
}

/// Makes room for what was announced, before this thread begins to work.
pub(crate) fn make_room() {
    with_scratch(ANNOUNCED.load(Ordering::Relaxed), |_| ());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_aligned_and_do_not_overlap() {
        with_scratch(4 * LINE, |mut arena| {
            let (a, b, c) = (arena.take::<u8>(3), arena.take::<u128>(4), arena.take::<f32>(16));
            a.fill(1);
            b.fill(u128::MAX);
            c.fill(2.0);
            assert_eq!((a, b, c), (&mut [1; 3][..], &mut [u128::MAX; 4][..], &mut [2.0; 16][..]));
        });
    }

    #[test]
    fn the_same_calls_get_the_same_memory_also_nested_ones() {
        let addresses = || {
            with_scratch(1024, |mut outer| {
                let outer = outer.take::<u8>(1024).as_ptr();
                let inner = with_scratch(5120, |mut inner| inner.take::<u8>(5120).as_ptr());
                assert_ne!(outer, inner);
                [outer, inner]
            })
        };
        addresses();
        assert_eq!(addresses(), addresses());
    }

    #[test]
    #[should_panic(expected = "192 bytes of scratch are taken, and 128 are left")]
    fn no_more_is_taken_than_was_asked_for() {
        // A thread of its own, whose buffers are as large as was asked for.
        let thread = std::thread::spawn(|| {
            with_scratch(2 * LINE, |mut arena| {
                let _ = arena.take::<f32>(33);
            })
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}
