//! What is shared out among threads: pieces of slices, each element once, and column sums, whose bits do not depend on
//! it.

#[path = "support/everywhere.rs"]
mod everywhere;
#[path = "support/sessions.rs"]
mod sessions;

use everywhere::everywhere;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use tensor::vec::{COLUMN_BLOCK, column_sums, for_each_piece};
use tensor::{Exec, View};
use testkit::compare::assert_bits;
use testkit::poison::Poisoned;
use testkit::rng::Rng;

/// How a case was run, for messages.
fn place(exec: Exec, with_workers: bool) -> String {
    let with = if with_workers { "with workers" } else { "without workers" };
    format!("{} threads {with} on {}", exec.threads(), exec.isa().name())
}

/// Rows and columns of matrices: the last is large enough to wake threads for outside of a session.
fn shapes() -> impl Iterator<Item = [usize; 2]> {
    let rows = [0, 1, 100, 300, 5000].into_iter();
    let shapes = rows.flat_map(|rows| [1, 15, 16, 17, 63, 64, 65, 100, 129].map(|width| [rows, width]));
    shapes.chain([[8200, 129]])
}

/// Numbers of both signs over twelve binades, so that another order of addition gives other bits.
fn rough(rng: &mut Rng, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.f32_in(-1.0, 1.0) * 2_f32.powi(rng.usize_in(0..12) as i32)).collect()
}

/// The documented shape: one chain over each block of rows, and the blocks' sums in ascending order.
fn plain_column_sum(x: &[f32], width: usize, j: usize, block: usize) -> f32 {
    let mut total = 0.0;
    for rows in x.chunks(block * width) {
        let mut chain = 0.0;
        for row in rows.chunks(width) {
            chain += row[j];
        }
        total += chain;
    }
    total
}

#[test]
fn column_sums_have_the_bits_of_the_documented_shape_with_any_number_of_threads() {
    let mut rng = Rng::new(1);
    let mut blocks_matter = 0;
    let cases: Vec<_> = shapes()
        .map(|[rows, width]| {
            let x = rough(&mut rng, rows * width);
            let want: Vec<f32> = (0..width).map(|j| plain_column_sum(&x, width, j, COLUMN_BLOCK)).collect();
            blocks_matter += (0..width).filter(|&j| plain_column_sum(&x, width, j, 1 << 20) != want[j]).count();
            ([rows, width], Poisoned::matrix(rows, width, width + 3, 19).with_values(&x), want)
        })
        .collect();
    assert!(blocks_matter > 300, "only {blocks_matter} columns tell blocks from one chain");
    everywhere(|exec, with_workers| {
        for (shape, x, want) in &cases {
            let view = View::with_strides(x.as_slice(), *shape, [x.row_stride(), 1]).expect("fits");
            let mut sums = Poisoned::vector(shape[1], 64);
            column_sums(exec, view, sums.as_mut_slice());
            sums.assert_guards_untouched();
            assert_bits(&format!("{shape:?}, {}", place(exec, with_workers)), sums.as_slice(), want);
        }
    });
}

#[test]
fn every_element_of_every_piece_is_visited_once_in_every_slice() {
    for len in [0, 1, 100, 8192, 16383, 16384, 16385, 32769, 100_000, 262_144, (1 << 20) + 5] {
        let index: Vec<f32> = (0..len).map(|i| i as f32).collect();
        let once: Vec<f32> = (0..len).map(|i| (i + 1) as f32).collect();
        everywhere(|exec, with_workers| {
            let mut visits = Poisoned::vector(len, 16).with_values(&vec![0.0; len]);
            let mut index = index.clone();
            let ranges = Mutex::new(Vec::new());
            let slices: [&mut [f32]; 3] = [visits.as_mut_slice(), index.as_mut_slice(), &mut []];
            for_each_piece(exec, slices, &|range: Range<usize>, [visits, index, none]| {
                assert_eq!([visits.len(), index.len(), none.len()], [range.len(), range.len(), 0]);
                assert!(index.iter().zip(range.clone()).all(|(&index, i)| index == i as f32), "elements {range:?}");
                for (visits, index) in visits.iter_mut().zip(index) {
                    *visits += 1.0 + *index;
                }
                ranges.lock().expect("no piece panicked").push(range);
            });
            let name = format!("{len} elements, {}", place(exec, with_workers));
            visits.assert_guards_untouched();
            assert_bits(&name, visits.as_slice(), &once);
            let mut ranges = ranges.into_inner().expect("no piece panicked");
            ranges.sort_unstable_by_key(|range| range.start);
            assert_eq!(ranges.first().map(|range| range.start), Some(0), "the first piece of {name}");
            assert_eq!(ranges.last().map(|range| range.end), Some(len), "the last piece of {name}");
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start), "{name}: {ranges:?}");
            let shared = exec.threads() > 1 && (len >= 1 << 20 || (with_workers && len >= 100_000));
            assert!(!shared || ranges.len() > 1, "{name} are one piece");
        });
    }
}

#[test]
fn slices_of_different_lengths_are_refused_before_a_piece_is_done() {
    let mut memory = [[1.0_f32; 10]; 3];
    let [a, b, c] = &mut memory;
    for lengths in [[10, 9, 10], [10, 10, 1], [0, 10, 10], [9, 10, 0], [0, 0, 1]] {
        let slices = [&mut a[..lengths[0]], &mut b[..lengths[1]], &mut c[..lengths[2]]];
        let refused = catch_unwind(AssertUnwindSafe(|| {
            for_each_piece(Exec::serial(), slices, &|range, _| panic!("a piece of nothing: {range:?}"));
        }));
        let payload = refused.expect_err("they are of different lengths");
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"slices of one length"), "{lengths:?}");
    }
}
