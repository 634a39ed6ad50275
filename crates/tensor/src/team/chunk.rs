//! How work is cut.

use std::ops::Range;

/// Share `part` of `parts` of `0..count` in units of `unit`, as even as can be.
pub(crate) fn share(count: usize, unit: usize, part: usize, parts: usize) -> Range<usize> {
    let units = count.div_ceil(unit);
    let at = |part: usize| (units * part / parts * unit).min(count);
    at(part)..at(part + 1)
}

/// Chunk `chunk` of `0..count`, in units of `unit`, for `threads` threads: with as many chunks as threads, even shares.
/// With [`uneven`]`(threads)` chunks the first is such a share and the others are halves of one.
///
/// Two fixed halves had products of 90 µs take as long with two threads as with one, over and over: a sleeping thread
/// is there after 25 to 40 µs, when its half has just been taken back, and has fallen asleep again before the next
/// product begins. With ½, ¼ and ¼ it finds a quarter. Many small chunks do the same, but cost 5 to 10 % where the
/// threads are awake.
pub(crate) fn chunk(count: usize, unit: usize, chunk: usize, threads: usize, chunks: usize) -> Range<usize> {
    if chunks != uneven(threads) {
        return share(count, unit, chunk, chunks);
    }
    let half = |half: usize| share(count, unit, half, 2 * threads);
    let from = if chunk == 0 { 0 } else { half(chunk + 1).start };
    from..half(chunk + 1).end
}

/// The number of chunks of [`chunk`]'s uneven kind.
pub(crate) fn uneven(threads: usize) -> usize {
    2 * threads - 1
}

#[cfg(test)]
mod tests {
    use super::*;

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
