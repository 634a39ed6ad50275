//! How `0..count` is cut into shares.

use std::ops::Range;

/// Share `part` of `parts` of `0..count`. The shares are cut at multiples of `unit` and are as even as that allows:
///
/// ```text
/// share(100, 16, part, 3):   0 ──────── 32 ──────── 64 ───────────── 100
///                               part 0     part 1        part 2
/// ```
pub(crate) fn share(count: usize, unit: usize, part: usize, parts: usize) -> Range<usize> {
    if parts == 1 {
        return 0..count;
    }
    let units = count.div_ceil(unit);
    let at = |part: usize| (units * part / parts * unit).min(count);
    at(part)..at(part + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_the_whole_once_in_order_and_differ_by_at_most_a_unit() {
        for (count, unit, parts) in
            [(0, 16, 3), (1, 16, 2), (100, 16, 3), (784, 6, 8), (5, 1, 9), (100, 1, 1), (100, 1, 2), (784, 16, 2)]
        {
            let mut next = 0;
            for part in 0..parts {
                let share = share(count, unit, part, parts);
                assert_eq!(share.start, next, "{count} in units of {unit}, {parts} parts");
                assert!(share.end == count || share.end.is_multiple_of(unit), "{share:?} is cut at a unit");
                assert!(share.len().abs_diff(count / parts) <= unit, "{share:?} of {count} in {parts} parts");
                next = share.end;
            }
            assert_eq!(next, count);
        }
    }

    #[test]
    fn a_hundred_columns_are_cut_at_whole_vectors() {
        assert_eq!([0, 1, 2].map(|part| share(100, 16, part, 3)), [0..32, 32..64, 64..100]);
    }
}
