//! Sharing a piece of work among rayon's threads without allocating.

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
