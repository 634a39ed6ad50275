//! The reductions against their documented shape, written as plain loops, and against f64.

use tensor::exec::Exec;
use tensor::isa::{AnyIsa, Isa, Op};
use tensor::vec::{COLUMN_BLOCK, column_sums, dot_lanes, sum, sum_squares};
use tensor::{Tensor, View};
use testkit::compare::{Bound, assert_bits, assert_close};
use testkit::panics::message;
use testkit::poison::Poisoned;
use testkit::rng::Rng;
use testkit::vector as reference;

/// Unit roundoff of f32.
const ROUNDOFF: f64 = 1.0 / (1_u64 << 24) as f64;

struct Dot<'a>(&'a [f32], &'a [f32]);
impl Op for Dot<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> f32 {
        dot_lanes(isa, self.0, self.1)
    }
}

/// The documented shape: element i goes to accumulator i mod 64; the four vectors of sixteen are added as
/// (v₀ + v₁) + (v₂ + v₃), the sixteen lanes in halves.
fn plain(len: usize, step: impl Fn(f32, usize) -> f32) -> f32 {
    let mut accumulators = [0.0; 64];
    for i in 0..len {
        accumulators[i % 64] = step(accumulators[i % 64], i);
    }
    let mut lanes: Vec<f32> = (0..16)
        .map(|lane| [lane, lane + 16, lane + 32, lane + 48].map(|i| accumulators[i]))
        .map(|[a, b, c, d]| (a + b) + (c + d))
        .collect();
    while lanes.len() > 1 {
        let (low, high) = lanes.split_at(lanes.len() / 2);
        lanes = low.iter().zip(high).map(|(a, b)| a + b).collect();
    }
    lanes[0]
}

/// sum, sum of squares and dot product, as plain loops.
fn plain_reductions(x: &[f32], y: &[f32]) -> [f32; 3] {
    [
        plain(x.len(), |sum, i| sum + x[i]),
        plain(x.len(), |sum, i| x[i].mul_add(x[i], sum)),
        plain(x.len(), |sum, i| x[i].mul_add(y[i], sum)),
    ]
}

fn reductions(isa: AnyIsa, threads: usize, x: &[f32], y: &[f32]) -> [f32; 3] {
    let exec = Exec::with_isa(isa, threads);
    [sum(exec, x), sum_squares(exec, x), exec.run(Dot(x, y))]
}

/// All short lengths, and long ones around the multiples of the 64 accumulators and of a vector.
fn lengths() -> impl Iterator<Item = usize> {
    (0..200).chain([255, 256, 257, 1000, 2047, 2048, 2049, 3008, 4095, 5003])
}

/// Numbers of both signs over twelve binades, so that another order of addition gives other bits.
fn rough(rng: &mut Rng, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.f32_in(-1.0, 1.0) * 2_f32.powi(rng.usize_in(0..12) as i32)).collect()
}

#[test]
fn sums_and_dot_products_have_the_bits_of_the_documented_shape() {
    let mut rng = Rng::new(1);
    let mut order_matters = 0;
    for len in lengths() {
        let guard = 1 + len % 16;
        let x = Poisoned::vector(len, guard).with_values(&rough(&mut rng, len));
        let y = Poisoned::vector(len, guard + 3).with_values(&rough(&mut rng, len));
        let (x, y) = (x.as_slice(), y.as_slice());
        let want = plain_reductions(x, y);
        for isa in AnyIsa::available() {
            for threads in [1, 3] {
                let name = format!("[sum, sum of squares, dot] of {len} on {} with {threads} threads", isa.name());
                assert_bits(&name, &reductions(isa, threads, x, y), &want);
            }
        }
        order_matters += usize::from(x.iter().sum::<f32>().to_bits() != want[0].to_bits());
    }
    assert!(order_matters > 150, "only {order_matters} sums tell the documented shape from a loop");
}

#[test]
fn sums_and_dot_products_stay_within_the_documented_distance_of_f64() {
    let mut rng = Rng::new(2);
    for isa in AnyIsa::available() {
        let (mut got, mut want, mut bounds) = (Vec::new(), Vec::new(), Vec::new());
        for len in lengths() {
            let (x, y) = (rough(&mut rng, len), rough(&mut rng, len));
            got.extend(reductions(isa, 1, &x, &y));
            let (wide_x, wide_y) = (reference::widen(&x), reference::widen(&y));
            let squares = wide_x.iter().map(|x| x * x).sum::<f64>();
            let products = || wide_x.iter().zip(&wide_y).map(|(x, y)| x * y);
            want.extend([reference::sum(&x), squares, products().sum()]);
            // Each element goes through at most ⌈n/64⌉ additions in its accumulator and 2 + 4 in the tree.
            let roundings = (len as f64 / 64.0 + 8.0) * ROUNDOFF;
            let magnitudes = [wide_x.iter().map(|x| x.abs()).sum(), squares, products().map(f64::abs).sum()];
            bounds.extend(magnitudes.map(|magnitude: f64| roundings / (1.0 - roundings) * magnitude));
            assert!(len < 300 || bounds[bounds.len() - 3] < reference::sum_bound(&x), "better than any order");
        }
        let name = format!("sums, sums of squares and dots on {}", isa.name());
        assert_close(&name, &got, &want, Bound::PerElement(&bounds));
    }
}

#[test]
fn infinities_nan_zeros_and_subnormals_go_through_sums_as_through_plain_additions() {
    const SPECIAL: [f32; 8] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::MAX, 1e-45, -1e-40, 3.0];
    let mut rng = Rng::new(3);
    for len in [1, 3, 15, 16, 17, 64, 65, 150] {
        for _ in 0..40 {
            // All −0, or one special number among ordinary ones, or special ones alone.
            let kind = rng.usize_in(0..3);
            let mut x: Vec<f32> = match kind {
                0 => vec![-0.0; len],
                1 => rng.vec_f32(len),
                _ => (0..len).map(|_| SPECIAL[rng.usize_in(3..8)]).collect(),
            };
            if kind == 1 {
                x[rng.usize_in(0..len)] = SPECIAL[rng.usize_in(0..8)];
            }
            let y: Vec<f32> = (0..len).map(|_| SPECIAL[rng.usize_in(3..8)]).collect();
            let want = plain_reductions(&x, &y);
            for isa in AnyIsa::available() {
                assert_bits(&format!("{x:?} and {y:?} on {}", isa.name()), &reductions(isa, 1, &x, &y), &want);
            }
        }
    }
    for isa in AnyIsa::available() {
        assert_bits("no element", &reductions(isa, 1, &[], &[]), &[0.0; 3]);
        assert!(reductions(isa, 1, &[1.0, f32::NAN, 2.0], &[1.0; 3]).iter().all(|sum| sum.is_nan()), "a NaN is seen");
    }
}

/// The documented shape: one chain over each block of rows, and the blocks' sums in ascending order.
fn plain_column_sum(x: View<'_, f32, 2>, j: usize, block: usize) -> f32 {
    let mut total = 0.0;
    for first in (0..x.rows()).step_by(block) {
        let mut chain = 0.0;
        for i in first..x.rows().min(first + block) {
            chain += x[[i, j]];
        }
        total += chain;
    }
    total
}

fn rows() -> impl Iterator<Item = usize> {
    (0..6).chain([100, 599, 600]).chain([COLUMN_BLOCK, 2 * COLUMN_BLOCK].into_iter().flat_map(|at| at - 1..at + 2))
}

/// Around one vector, four vectors, and both with a tail.
const COLUMNS: [usize; 14] = [0, 1, 2, 15, 16, 17, 31, 48, 63, 64, 65, 80, 100, 145];

#[test]
fn column_sums_have_the_bits_of_the_documented_shape_and_stay_inside_their_lines() {
    assert_eq!(COLUMN_BLOCK, 256, "another block is another shape: the same seed would give other bits");
    let mut rng = Rng::new(4);
    let mut blocks_matter = 0;
    for rows in rows() {
        for cols in COLUMNS {
            let stride = cols + [0, 1, 5, 16][rng.usize_in(0..4)];
            let x = Poisoned::matrix(rows, cols, stride, 7).with_values(&rough(&mut rng, rows * cols));
            let view = View::with_strides(x.as_slice(), [rows, cols], [stride, 1]).expect("the shape fits");
            let want: Vec<f32> = (0..cols).map(|j| plain_column_sum(view, j, COLUMN_BLOCK)).collect();
            for isa in AnyIsa::available() {
                let mut sums = Poisoned::vector(cols, 33);
                column_sums(Exec::with_isa(isa, 1 + cols % 3), view, sums.as_mut_slice());
                let name = format!("{rows}x{cols} of row stride {stride} on {}", isa.name());
                assert_bits(&name, sums.as_slice(), &want);
                sums.assert_guards_untouched();
            }
            blocks_matter += usize::from((0..cols).any(|j| plain_column_sum(view, j, 1 << 20) != want[j]));
        }
    }
    assert!(blocks_matter > 30, "only {blocks_matter} matrices tell blocks from one chain");
}

#[test]
fn column_sums_stay_within_their_bound_of_f64() {
    let mut rng = Rng::new(5);
    for rows in rows() {
        let x = Tensor::from_slice(&rough(&mut rng, rows * 83), [rows, 83]).expect("the shape fits");
        let columns = x.view().t().to_tensor();
        let (want, bounds): (Vec<f64>, Vec<f64>) =
            columns.view().row_iter().map(|column| (reference::sum(column), reference::sum_bound(column))).unzip();
        for isa in AnyIsa::available() {
            let mut sums = [f32::NAN; 83];
            column_sums(Exec::with_isa(isa, 1), x.view(), &mut sums);
            assert_close(&format!("{rows} rows on {}", isa.name()), &sums, &want, Bound::PerElement(&bounds));
        }
    }
}

#[test]
fn column_sums_of_one_row_repeated_are_multiples_of_it() {
    // Whole numbers: every sum is exact.
    let row: Vec<f32> = (0..70).map(|j| j as f32 - 20.0).collect();
    let repeated = View::new(&row, [1, 70]).and_then(|row| row.broadcast(0, 300)).expect("one row");
    let want: Vec<f32> = row.iter().map(|x| 300.0 * x).collect();
    for isa in AnyIsa::available() {
        let mut sums = [f32::NAN; 70];
        column_sums(Exec::with_isa(isa, 1), repeated, &mut sums);
        assert_bits(isa.name(), &sums, &want);
    }
}

#[test]
fn operands_that_do_not_go_together_are_refused_with_their_lengths() {
    let x = Tensor::<f32, 2>::zeros([5, 7]);
    for isa in AnyIsa::available() {
        let exec = Exec::with_isa(isa, 1);
        let dot = message(|| drop(exec.run(Dot(&[1.0; 3], &[1.0; 4])).to_string()));
        assert!(dot.contains("operands of a reduction") && dot.contains('3') && dot.contains('4'), "{dot}");
        for cols in [6, 8] {
            let sums = message(|| column_sums(exec, x.view(), &mut vec![0.0; cols]));
            assert!(sums.contains("one sum a column") && sums.contains(&cols.to_string()), "{sums}");
        }
        let distant = message(|| column_sums(exec, x.view().t(), &mut [0.0; 5]));
        assert!(distant.contains("the elements of a row are 7 apart"), "{distant}");
    }
}
