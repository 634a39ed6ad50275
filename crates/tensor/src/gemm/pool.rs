//! Sharing a piece of work among rayon's threads without allocating, and knowing whether they are awake.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// What the other threads of the pool are doing, as far as this thread can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// Nothing was shared out for a while, or this thread is in no pool: they sleep, and waking one costs the
    /// caller some 10 µs, and 30 to 40 µs pass before it is there.
    Asleep,
    /// This thread has just finished a product: it is in the middle of a run of them, and the others spin, or are worth waking.
    Awake,
}

/// How long a thread without work spins before it sleeps, about.
const SPIN: Duration = Duration::from_micros(20);

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

/// Calls `work(0)`, …, `work(parts − 1)`, each once, on the rayon pool this is called in; with one part on this thread,
/// without touching rayon. A tree of `rayon::join`, whose jobs live on the stack: a `scope` would allocate.
pub(super) fn parallel(parts: usize, work: &(impl Fn(usize) + Sync)) {
    fn range(from: usize, to: usize, work: &(impl Fn(usize) + Sync)) {
        if to - from <= 1 {
            if from < to {
                work(from);
            }
        } else {
            let middle = from + (to - from) / 2;
            rayon::join(|| range(from, middle, work), || range(middle, to, work));
        }
    }
    range(0, parts, work);
}

/// Share `part` of `parts` of `0..count` in units of `unit`, as even as can be.
pub(super) fn share(count: usize, unit: usize, part: usize, parts: usize) -> std::ops::Range<usize> {
    let units = count.div_ceil(unit);
    let at = |part: usize| (units * part / parts * unit).min(count);
    at(part)..at(part + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_part_runs_exactly_once() {
        for parts in 0..9 {
            let calls: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
            parallel(parts, &|part| {
                calls[part].fetch_add(1, Ordering::Relaxed);
            });
            assert!(calls.iter().all(|calls| calls.load(Ordering::Relaxed) == 1));
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
}
