//! Working down the columns of a matrix: a strip of 64 columns at a time, four vectors in registers, row after row.
//!
//! Per-column statistics (a bias gradient, a mean, a variance) are sums down columns. Adding whole rows into a vector of
//! sums would load and store each sum once a row; a strip keeps 64 of them in four registers while the rows go by.

use crate::isa::{Isa, LANES};

/// Columns of a strip.
pub const STRIP: usize = 4 * LANES;

/// The up to 64 elements of `row` as four vectors; lanes past the end are 0.
#[inline(always)]
pub fn load_strip<I: Isa>(isa: I, row: &[f32]) -> [I::F; 4] {
    if let Ok(row) = <&[f32; STRIP]>::try_from(row) {
        let vectors = row.as_chunks::<LANES>().0;
        return std::array::from_fn(|v| isa.load(&vectors[v]));
    }
    std::array::from_fn(|v| isa.load_part(&row[row.len().min(v * LANES)..row.len().min((v + 1) * LANES)]))
}

/// Writes the first `row.len()` (at most 64) lanes of four vectors.
#[inline(always)]
pub fn store_strip<I: Isa>(isa: I, x: [I::F; 4], row: &mut [f32]) {
    let len = row.len();
    if let Ok(row) = <&mut [f32; STRIP]>::try_from(&mut *row) {
        let vectors = row.as_chunks_mut::<LANES>().0;
        for v in 0..4 {
            isa.store(x[v], &mut vectors[v]);
        }
        return;
    }
    for v in 0..4 {
        isa.store_part(x[v], &mut row[len.min(v * LANES)..len.min((v + 1) * LANES)]);
    }
}

/// Sums down a strip in the fixed shape of `column_sums`: `step(i, sum)` adds row `i` to four vectors of sums; the chains
/// of `COLUMN_BLOCK` rows are added in ascending order. Several sums can go down together: `S` of them.
#[inline(always)]
pub fn sum_strip<I: Isa, const S: usize>(
    isa: I,
    rows: usize,
    mut step: impl FnMut(usize, [[I::F; 4]; S]) -> [[I::F; 4]; S],
) -> [[I::F; 4]; S] {
    let zero = [[isa.splat(0.0); 4]; S];
    let mut totals = zero;
    for block in (0..rows).step_by(super::COLUMN_BLOCK) {
        let mut chain = zero;
        for i in block..rows.min(block + super::COLUMN_BLOCK) {
            chain = step(i, chain);
        }
        for s in 0..S {
            for v in 0..4 {
                totals[s][v] = isa.add(totals[s][v], chain[s][v]);
            }
        }
    }
    totals
}
