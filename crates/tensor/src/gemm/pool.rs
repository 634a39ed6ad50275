//! Sharing a piece of work among rayon's threads without allocating, and knowing whether they are awake.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What the other threads of the pool are doing, as far as this thread can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// Nothing was shared out for some microseconds, or this thread is in no pool: they sleep. Waking one cost the caller 12 µs where this
    /// was measured, and 25 to 40 µs passed before it was there; after a millisecond often more than another one.
    Asleep,
    /// This thread has just finished a product: it is in the middle of a run of them, and the others spin, or are worth waking.
    Awake,
}

/// How long a thread without work spins before it sleeps: 7 µs of rayon's where this was measured.
const SPIN: Duration = Duration::from_micros(6);

thread_local! {
    /// When this thread last finished a product that it was allowed to share.
    static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
}

impl Workers {
    /// Asks about the workers of the pool this is called in.
    pub fn now() -> Self {
        let recent = LAST.get().is_some_and(|last| last.elapsed() < SPIN);
        if recent && rayon::current_thread_index().is_some() { Self::Awake } else { Self::Asleep }
    }
}

/// Notes the end of a product.
pub(super) fn finished() {
    LAST.set(Some(Instant::now()));
}

/// Calls `work(0)`, …, `work(chunks − 1)`, each once, on at most `threads` threads of the rayon pool this is called in; with one
/// thread on this one, without touching rayon.
///
/// The chunks are claimed one by one, so a thread that comes late finds fewer left. What is handed to rayon is a tree of
/// `rayon::join`, whose jobs live on the stack: a `scope` would allocate.
pub(super) fn parallel(threads: usize, chunks: usize, work: &(impl Fn(usize) + Sync)) {
    fn fan(threads: usize, work: &(impl Fn() + Sync)) {
        if threads <= 1 {
            work();
        } else {
            rayon::join(|| fan(threads / 2, work), || fan(threads - threads / 2, work));
        }
    }
    if threads <= 1 || chunks <= 1 {
        (0..chunks).for_each(work);
        return;
    }
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    fan(threads.min(chunks), &|| {
        loop {
            let chunk = next.fetch_add(1, Ordering::Relaxed);
            if chunk >= chunks {
                break;
            }
            work(chunk);
            done.fetch_add(1, Ordering::Release);
        }
        for _ in 0..WAIT {
            if done.load(Ordering::Acquire) == chunks {
                break;
            }
            std::hint::spin_loop();
        }
    });
}

/// Rounds that a thread spins for the chunks of the others, 50 to 100 µs. Left to rayon, it would sleep after seven, and 25 more would
/// pass until it is woken for the end of this product or the start of the next.
const WAIT: usize = 2000;

/// Share `part` of `parts` of `0..count` in units of `unit`, as even as can be.
pub(super) fn share(count: usize, unit: usize, part: usize, parts: usize) -> Range<usize> {
    let units = count.div_ceil(unit);
    let at = |part: usize| (units * part / parts * unit).min(count);
    at(part)..at(part + 1)
}

/// Chunk `chunk` of `0..count`, in units of `unit`, for `threads` threads: with as many chunks as threads, even shares. With
/// [`uneven`]`(threads)` chunks the first is such a share and the others are halves of one.
///
/// Two fixed halves had products of 90 µs take as long with two threads as with one, over and over: a sleeping thread is there
/// after 25 to 40 µs, when its half has just been taken back, and has fallen asleep again before the next product begins. With
/// ½, ¼ and ¼ it finds a quarter. Many small chunks do the same, but cost 5 to 10 % where the threads are awake.
pub(super) fn chunk(count: usize, unit: usize, chunk: usize, threads: usize, chunks: usize) -> Range<usize> {
    if chunks != uneven(threads) {
        return share(count, unit, chunk, chunks);
    }
    let half = |half: usize| share(count, unit, half, 2 * threads);
    let from = if chunk == 0 { 0 } else { half(chunk + 1).start };
    from..half(chunk + 1).end
}

/// The number of chunks of [`chunk`]'s uneven kind.
pub(super) fn uneven(threads: usize) -> usize {
    2 * threads - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_runs_exactly_once() {
        for threads in 0..9 {
            for chunks in 0..20 {
                let calls: Vec<AtomicUsize> = (0..chunks).map(|_| AtomicUsize::new(0)).collect();
                parallel(threads, chunks, &|chunk| {
                    calls[chunk].fetch_add(1, Ordering::Relaxed);
                });
                assert!(
                    calls.iter().all(|calls| calls.load(Ordering::Relaxed) == 1),
                    "{threads} threads, {chunks} chunks"
                );
            }
        }
    }

    #[test]
    fn shares_cover_the_whole_once_in_order() {
        for (count, unit, parts) in [(0, 16, 3), (1, 16, 2), (100, 16, 3), (784, 6, 8), (5, 1, 9)] {
            let mut next = 0;
            for part in 0..parts {
                let share = share(count, unit, part, parts);
                assert_eq!(share.start, next);
                next = share.end;
            }
            assert_eq!(next, count);
        }
    }

    #[test]
    fn chunks_cover_the_whole_once_in_order_and_the_first_is_a_thread_s_share() {
        for (count, unit, threads) in [(100, 1, 1), (100, 1, 2), (784, 16, 2), (49, 8, 3), (5, 1, 4)] {
            for chunks in [threads, uneven(threads)] {
                let mut next = 0;
                for at in 0..chunks {
                    let chunk = chunk(count, unit, at, threads, chunks);
                    assert_eq!(chunk.start, next, "{count} in units of {unit}, {threads} threads, {chunks} chunks");
                    next = chunk.end;
                }
                assert_eq!(next, count);
                assert!(chunk(count, unit, 0, threads, chunks).len().abs_diff(count / threads) <= unit);
            }
        }
    }
}
