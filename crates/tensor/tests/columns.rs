//! Kernels that go down the columns of matrices: each element once, nothing beside them, rows in their order, and the
//! same bits however the columns are shared out.

#[path = "support/everywhere.rs"]
mod everywhere;
#[path = "support/sessions.rs"]
mod sessions;

use everywhere::everywhere;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use tensor::isa::{AnyIsa, Isa, LANES, Op};
use tensor::vec::{
    ASCENDING, BlockKernel, ColumnKernel, Columns, ColumnsMut, DESCENDING, each, for_all_columns, once, pass,
};
use tensor::{Exec, Tensor, View, ViewMut};
use testkit::compare::assert_bits;
use testkit::panics::message;
use testkit::poison::Poisoned;
use testkit::rng::Rng;

/// Numbers of both signs over twelve binades, so that another order of addition gives other bits.
fn rough(rng: &mut Rng, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.f32_in(-1.0, 1.0) * 2_f32.powi(rng.usize_in(0..12) as i32)).collect()
}

/// The sum of two matrices, and the first one times the numbers of its rows; to a number a column the first matrix is
/// added, row after row.
struct Arithmetic;
impl BlockKernel<2, 2, 0, 1> for Arithmetic {
    #[inline(always)]
    fn block<I: Isa, const R: usize>(
        &self,
        isa: I,
        first: usize,
        [a, b]: [[I::F; R]; 2],
        []: [I::F; 0],
        [mut total]: [I::F; 1],
    ) -> ([[I::F; R]; 2], [I::F; 1]) {
        let (mut sum, mut numbered) = (a, a);
        for r in 0..R {
            sum[r] = isa.add(a[r], b[r]);
            numbered[r] = isa.mul(a[r], isa.splat((first + r) as f32));
            total = isa.add(total, a[r]);
        }
        ([sum, numbered], [total])
    }
}

/// [`Arithmetic`] in blocks of `R` rows; a number a column counts visits, and the columns that came together are noted.
#[derive(Default)]
struct Shared<const R: usize, const ORDER: bool> {
    columns: Mutex<Vec<Range<usize>>>,
}

impl<const R: usize, const ORDER: bool> ColumnKernel<2, 2, 2> for Shared<R, ORDER> {
    #[inline(always)]
    fn run<I: Isa>(
        &self,
        isa: I,
        columns: Range<usize>,
        x: [Columns<'_>; 2],
        mut y: [ColumnsMut<'_>; 2],
        [visits, totals]: [&mut [f32]; 2],
    ) {
        assert_eq!([visits.len(), totals.len()], [columns.len(); 2]);
        pass::<I, _, 2, 2, 0, 1, R, ORDER>(isa, &Arithmetic, x, &mut y, [], &mut [totals]);
        for visits in visits {
            *visits += 1.0;
        }
        self.columns.lock().expect("no kernel panicked").push(columns);
    }
}

/// The order in which a pass meets rows: block after block, and rows past the last whole block one by one.
fn order(rows: usize, block: usize, ascending: bool) -> Vec<usize> {
    if ascending {
        return (0..rows).collect();
    }
    let blocks = (0..rows / block).rev().flat_map(|at| at * block..(at + 1) * block);
    (rows / block * block..rows).rev().chain(blocks).collect()
}

/// Operands of [`Arithmetic`], and what it must give.
struct Case {
    shape: [usize; 2],
    dense: Vec<f32>,
    a: Poisoned,
    b: Poisoned,
    before: Vec<f32>,
    sum: Vec<f32>,
    numbered: Vec<f32>,
}

impl Case {
    fn new(rng: &mut Rng, [rows, width]: [usize; 2]) -> Self {
        let (a, b, before) = (rough(rng, rows * width), rough(rng, rows * width), rough(rng, width));
        let sum = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        let numbered = a.iter().enumerate().map(|(at, a)| a * (at / width) as f32).collect();
        let b = Poisoned::matrix(rows, width, width, 7).with_values(&b);
        let padded = Poisoned::matrix(rows, width, width + 3, 19).with_values(&a);
        Self { shape: [rows, width], dense: a, a: padded, b, before, sum, numbered }
    }

    fn check<const R: usize, const ORDER: bool>(&self, exec: Exec, with_workers: bool) {
        let [rows, width] = self.shape;
        let with = if with_workers { "with workers" } else { "without workers" };
        let (isa, threads) = (exec.isa().name(), exec.threads());
        let name = format!("{rows}x{width} in blocks of {R}, ascending {ORDER}, {threads} threads {with} on {isa}");
        let (a_stride, b_stride) = (self.a.row_stride(), self.b.row_stride());
        let a = View::with_strides(self.a.as_slice(), self.shape, [a_stride, 1]).expect("fits");
        let b = View::with_strides(self.b.as_slice(), self.shape, [b_stride, 1]).expect("fits");
        let mut sum = Poisoned::matrix(rows, width, width + 5, 64);
        let mut numbered = Poisoned::matrix(rows, width, width + 64, 64);
        let mut visits = Poisoned::vector(width, 64).with_values(&vec![0.0; width]);
        let mut totals = Poisoned::vector(width, 64).with_values(&self.before);
        let kernel = Shared::<R, ORDER>::default();
        {
            let sum = ViewMut::with_strides(sum.as_mut_slice(), self.shape, [width + 5, 1]).expect("fits");
            let numbered = ViewMut::with_strides(numbered.as_mut_slice(), self.shape, [width + 64, 1]).expect("fits");
            let per_column = [visits.as_mut_slice(), totals.as_mut_slice()];
            for_all_columns(exec, &kernel, [a, b], [sum, numbered], per_column);
        }
        for buffer in [&sum, &numbered, &visits, &totals] {
            buffer.assert_guards_untouched();
        }
        let order = order(rows, R, ORDER == ASCENDING);
        let column = |j: usize| order.iter().fold(self.before[j], |total, i| total + self.dense[i * width + j]);
        assert_bits(&format!("visits of {name}"), visits.as_slice(), &vec![1.0; width]);
        assert_bits(&format!("sum of {name}"), &sum.values(), &self.sum);
        assert_bits(&format!("numbered rows of {name}"), &numbered.values(), &self.numbered);
        assert_bits(&format!("totals of {name}"), totals.as_slice(), &(0..width).map(column).collect::<Vec<_>>());
        let mut shares = kernel.columns.into_inner().expect("no kernel panicked");
        shares.sort_unstable_by_key(|share| share.start);
        assert!(shares.len() <= threads, "{} shares of {name}", shares.len());
        assert_eq!(shares.first().map(|share| share.start), Some(0), "the first columns of {name}");
        assert_eq!(shares.last().map(|share| share.end), Some(width), "the last columns of {name}");
        assert!(shares.windows(2).all(|pair| pair[0].end == pair[1].start), "{name}: {shares:?}");
        assert!(!with_workers || rows * width < 500_000 || shares.len() > 1, "{name} is one share");
    }
}

#[test]
fn every_element_of_every_column_is_computed_once_in_the_order_of_rows_and_nothing_beside_it() {
    let mut rng = Rng::new(1);
    let rows = [0, 1, 100, 300, 5000].into_iter();
    let shapes = rows.flat_map(|rows| [1, 15, 16, 17, 63, 64, 65, 100, 129].map(|width| [rows, width]));
    // The last is large enough to wake threads for outside of a session.
    let cases: Vec<Case> = shapes.chain([[8200, 129]]).map(|shape| Case::new(&mut rng, shape)).collect();
    everywhere(|exec, with_workers| {
        for case in &cases {
            case.check::<8, ASCENDING>(exec, with_workers);
            case.check::<5, DESCENDING>(exec, with_workers);
        }
    });
}

/// `y ← x + 1`
struct AddOne;
impl BlockKernel<1, 1, 0, 0> for AddOne {
    #[inline(always)]
    fn block<I: Isa, const R: usize>(
        &self,
        isa: I,
        _: usize,
        [x]: [[I::F; R]; 1],
        []: [I::F; 0],
        []: [I::F; 0],
    ) -> ([[I::F; R]; 1], [I::F; 0]) {
        ([x.map(|x| isa.add(x, isa.splat(1.0)))], [])
    }
}
impl ColumnKernel<1, 1, 0> for AddOne {
    #[inline(always)]
    fn run<I: Isa>(
        &self,
        isa: I,
        _: Range<usize>,
        x: [Columns<'_>; 1],
        mut y: [ColumnsMut<'_>; 1],
        []: [&mut [f32]; 0],
    ) {
        pass::<I, _, 1, 1, 0, 0, 4, DESCENDING>(isa, self, x, &mut y, [], &mut []);
    }
}

#[test]
fn a_matrix_larger_than_the_caches_is_written_whole_wherever_its_rows_begin() {
    // 36 MB, with room for other columns.
    let (rows, wide) = (2101, 4320);
    let row: Vec<f32> = (0..wide).map(|j| j as f32).collect();
    let mut y = Tensor::<f32, 2>::zeros([rows, wide]);
    for isa in AnyIsa::available() {
        // Rows that begin at a cache line, with a rest of a vector behind them or not, and rows that do not.
        for columns in [0..wide, 16..wide - 16, 32..wide - 11, 1..wide, 5..wide - 5, 8..wide] {
            y.as_mut_slice().fill(f32::NAN);
            let x = View::new(&row, [1, wide]).and_then(|x| x.broadcast(0, rows)?.slice(1, columns.clone()));
            let to = y.view_mut().slice(1, columns.clone()).expect("inside");
            for_all_columns(Exec::with_isa(isa, 1), &AddOne, [x.expect("inside")], [to], []);
            let want: Vec<f32> =
                (0..wide).map(|j| if columns.contains(&j) { (j + 1) as f32 } else { f32::NAN }).collect();
            for (i, got) in y.view().row_iter().enumerate() {
                assert_bits(&format!("columns {columns:?} of row {i} on {}", isa.name()), got, &want);
            }
        }
    }
}

/// `sum ← (a − fixed₀) + b`, `scaled ← a · fixed₁`
struct Rescale;
impl BlockKernel<2, 2, 2, 0> for Rescale {
    #[inline(always)]
    fn block<I: Isa, const R: usize>(
        &self,
        isa: I,
        _: usize,
        [a, b]: [[I::F; R]; 2],
        [less, times]: [I::F; 2],
        []: [I::F; 0],
    ) -> ([[I::F; R]; 2], [I::F; 0]) {
        let (mut sum, mut scaled) = (a, a);
        for r in 0..R {
            sum[r] = isa.add(isa.sub(a[r], less), b[r]);
            scaled[r] = isa.mul(a[r], times);
        }
        ([sum, scaled], [])
    }
}
/// [`Rescale`] by [`each`], in blocks of `R` rows.
struct Each<'a, const R: usize, const ORDER: bool> {
    fixed: [&'a [f32]; 2],
}
impl<const R: usize, const ORDER: bool> ColumnKernel<2, 2, 0> for Each<'_, R, ORDER> {
    #[inline(always)]
    fn run<I: Isa>(
        &self,
        isa: I,
        columns: Range<usize>,
        x: [Columns<'_>; 2],
        mut y: [ColumnsMut<'_>; 2],
        []: [&mut [f32]; 0],
    ) {
        let fixed = self.fixed.map(|values| &values[columns.clone()]);
        each::<I, _, 2, 2, 2, R, ORDER>(isa, &Rescale, x, &mut y, fixed);
    }
}

/// Checks [`Each`] on matrices of a shape, whose rows have `gaps` behind them.
fn check_folded<const R: usize, const ORDER: bool>(
    rng: &mut Rng,
    isa: AnyIsa,
    [rows, width]: [usize; 2],
    gaps: [usize; 4],
) {
    let name = format!("{rows}x{width} in blocks of {R}, ascending {ORDER}, gaps {gaps:?}, on {}", isa.name());
    let [a, b] = [(); 2].map(|()| rough(rng, rows * width));
    let fixed = [(); 2].map(|()| rough(rng, width));
    let x = [(&a, gaps[0]), (&b, gaps[1])]
        .map(|(values, gap)| Poisoned::matrix(rows, width, width + gap, 7).with_values(values));
    let mut y = [gaps[2], gaps[3]].map(|gap| Poisoned::matrix(rows, width, width + gap, 64));
    {
        let x =
            x.each_ref().map(|x| View::with_strides(x.as_slice(), [rows, width], [x.row_stride(), 1]).expect("fits"));
        let y = y.each_mut().map(|y| {
            let stride = y.row_stride();
            ViewMut::with_strides(y.as_mut_slice(), [rows, width], [stride, 1]).expect("fits")
        });
        let kernel = Each::<R, ORDER> { fixed: fixed.each_ref().map(Vec::as_slice) };
        for_all_columns(Exec::with_isa(isa, 1), &kernel, x, y, []);
    }
    for y in &y {
        y.assert_guards_untouched();
    }
    let want =
        |f: &dyn Fn(usize, usize) -> f32| -> Vec<f32> { (0..rows * width).map(|at| f(at, at % width)).collect() };
    assert_bits(&format!("sum of {name}"), &y[0].values(), &want(&|at, j| a[at] - fixed[0][j] + b[at]));
    assert_bits(&format!("scaled of {name}"), &y[1].values(), &want(&|at, j| a[at] * fixed[1][j]));
}

#[test]
fn rows_that_are_folded_into_whole_vectors_meet_the_numbers_of_their_own_columns() {
    let mut rng = Rng::new(5);
    for isa in AnyIsa::available() {
        // Folded by 16, 8, 4, 2 and not at all; wider than is folded; and about as many rows as are worth it.
        for width in [1, 2, 7, 8, 10, 16, 17, 40, 50, 63, 65, 100, 128, 250, 255, 257, 520] {
            for rows in [1, 5, 12, 15, 16, 17, 47, 48, 63, 64, 65, 79, 100] {
                for gaps in [[0; 4], [3, 0, 0, 0], [0, 3, 0, 0], [0, 0, 3, 0], [0, 0, 0, 3]] {
                    check_folded::<4, ASCENDING>(&mut rng, isa, [rows, width], gaps);
                    check_folded::<3, DESCENDING>(&mut rng, isa, [rows, width], gaps);
                }
            }
        }
    }
}

/// `moving ← moving · fixed + rows`, and nothing of matrices.
struct Numbers;
impl BlockKernel<0, 0, 1, 1> for Numbers {
    #[inline(always)]
    fn block<I: Isa, const R: usize>(
        &self,
        isa: I,
        rows: usize,
        []: [[I::F; R]; 0],
        [fixed]: [I::F; 1],
        [moving]: [I::F; 1],
    ) -> ([[I::F; R]; 0], [I::F; 1]) {
        ([], [isa.add(isa.mul(moving, fixed), isa.splat(rows as f32))])
    }
}

struct Once<'a>(usize, &'a [f32], &'a mut [f32]);
impl Op for Once<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        once(isa, &Numbers, self.0, [self.1], &mut [self.2]);
    }
}

#[test]
fn numbers_a_column_are_computed_once_each_and_nothing_beside_them() {
    let mut rng = Rng::new(2);
    for isa in AnyIsa::available() {
        for len in 0..=3 * LANES {
            let (fixed, before) = (rng.vec_f32(len), rng.vec_f32(len));
            let from = Poisoned::vector(len, 20).with_values(&fixed);
            let mut to = Poisoned::vector(len, 20).with_values(&before);
            isa.run(Once(7, from.as_slice(), to.as_mut_slice()));
            to.assert_guards_untouched();
            let want: Vec<f32> = before.iter().zip(&fixed).map(|(before, fixed)| before * fixed + 7.0).collect();
            assert_bits(&format!("{len} numbers on {}", isa.name()), to.as_slice(), &want);
        }
        for (fixed, moving) in [(3, 4), (4, 3), (0, 1), (17, 16)] {
            let (fixed, mut moving) = (vec![1.0_f32; fixed], vec![1.0_f32; moving]);
            let said = message(|| isa.run(Once(7, &fixed, &mut moving)));
            assert_eq!(said, "one number a column");
            assert!(moving.iter().all(|&x| x == 1.0), "{moving:?}");
        }
    }
}

/// Adds the rows of some columns of some rows to numbers a column.
struct SumOf<'a> {
    x: View<'a, f32, 2>,
    from: usize,
    columns: usize,
    /// Rows, and columns of these.
    part: [Range<usize>; 2],
    sums: &'a mut [f32],
}

struct Chain;
impl BlockKernel<1, 0, 0, 1> for Chain {
    #[inline(always)]
    fn block<I: Isa, const R: usize>(
        &self,
        isa: I,
        _: usize,
        [x]: [[I::F; R]; 1],
        []: [I::F; 0],
        [chain]: [I::F; 1],
    ) -> ([[I::F; R]; 0], [I::F; 1]) {
        ([], [x.into_iter().fold(chain, |chain, x| isa.add(chain, x))])
    }
}

impl Op for SumOf<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { x, from, columns, part: [rows, part], sums } = self;
        let x = Columns::new(x, from, columns);
        pass::<I, _, 1, 0, 0, 1, 2, ASCENDING>(isa, &Chain, [x.part(rows, part)], &mut [], [], &mut [sums]);
    }
}

#[test]
fn a_part_is_of_its_own_rows_and_columns_and_one_that_is_not_there_is_refused() {
    // Element [i, j] is 100·i + j; behind the 5 rows and 40 columns there is memory.
    let memory = Tensor::from_fn([7, 60], |[i, j]| (100 * i + j) as f32);
    let x = memory.view().slice(0, 0..5).and_then(|x| x.slice(1, 0..40)).expect("inside");
    for isa in AnyIsa::available() {
        for (from, columns, rows, part) in [
            (0, 40, 0..5_usize, 0..40_usize),
            (3, 30, 1..4, 2..30),
            (10, 17, 4..5, 0..17),
            (39, 1, 0..5, 0..1),
            (5, 20, 2..2, 1..4),
        ] {
            let mut sums = Poisoned::vector(part.len(), 20).with_values(&vec![0.0; part.len()]);
            let part_of = [rows.clone(), part.clone()];
            isa.run(SumOf { x, from, columns, part: part_of, sums: sums.as_mut_slice() });
            sums.assert_guards_untouched();
            // Whole numbers: every sum is exact.
            let element = |j: usize| rows.clone().map(|i| (100 * i + from + j) as f32).fold(0.0, |sum, x| sum + x);
            let want: Vec<f32> = part.clone().map(element).collect();
            assert_bits(&format!("{rows:?}, {part:?} of {columns} on {}", isa.name()), sums.as_slice(), &want);
        }
        for (from, columns, rows, part) in [
            (0, 41, 0..5_usize, 0..40_usize),
            (40, 1, 0..5, 0..1),
            (0, 40, 0..6, 0..40),
            (3, 30, 0..5, 1..31),
            (3, 30, 5..6, 0..30),
        ] {
            let mut sums = vec![0.0_f32; part.len()];
            let part_of = [rows.clone(), part.clone()];
            let sum = SumOf { x, from, columns, part: part_of, sums: &mut sums };
            let refused = catch_unwind(AssertUnwindSafe(|| isa.run(sum))).is_err();
            assert!(refused, "{rows:?}, {part:?} of {columns} columns from {from}");
        }
        for len in [0, 16, 18, 33] {
            let mut sums = vec![0.0_f32; len];
            let said = message(|| {
                isa.run(SumOf { x, from: 0, columns: 17, part: [0..5, 0..17], sums: &mut sums });
            });
            assert_eq!(said, "one number a column", "{len} sums of 17 columns");
        }
    }
}

/// For operands that do not go together.
struct Nothing;
impl<const X: usize, const Y: usize, const P: usize> ColumnKernel<X, Y, P> for Nothing {
    fn run<I: Isa>(
        &self,
        _: I,
        columns: Range<usize>,
        _: [Columns<'_>; X],
        _: [ColumnsMut<'_>; Y],
        _: [&mut [f32]; P],
    ) {
        panic!("columns of nothing: {columns:?}");
    }
}

#[test]
fn matrices_that_do_not_go_together_are_refused_before_a_column_is_done() {
    let exec = Exec::serial();
    let x = Tensor::<f32, 2>::zeros([5, 7]);
    for shape in [[5, 8], [5, 6], [4, 7], [6, 7], [7, 5]] {
        let mut other = Tensor::<f32, 2>::zeros(shape);
        let said = message(|| for_all_columns(exec, &Nothing, [x.view(), other.view()], [], []));
        assert_eq!(said, "one shape", "an input of {shape:?}");
        let said = message(|| for_all_columns(exec, &Nothing, [x.view()], [other.view_mut()], []));
        assert_eq!(said, "one shape", "an output of {shape:?}");
        let mut y = Tensor::<f32, 2>::zeros([5, 7]);
        let said = message(|| for_all_columns(exec, &Nothing, [], [y.view_mut(), other.view_mut()], []));
        assert_eq!(said, "one shape", "a second output of {shape:?}");
    }
    for len in [0, 6, 8] {
        let (mut right, mut wrong) = ([0.0_f32; 7], vec![0.0_f32; len]);
        let per_column = [right.as_mut_slice(), wrong.as_mut_slice()];
        let said = message(|| for_all_columns(exec, &Nothing, [x.view()], [], per_column));
        assert_eq!(said, "one number a column", "{len} numbers");
    }
    let mut turned = Tensor::<f32, 2>::zeros([7, 5]);
    let said = message(|| for_all_columns(exec, &Nothing, [x.view(), turned.view().t()], [], []));
    assert!(said.contains("the elements of a row are 5 apart"), "an input: {said}");
    let said = message(|| for_all_columns(exec, &Nothing, [x.view()], [turned.view_mut().t()], []));
    assert!(said.contains("the elements of a row are 5 apart"), "an output: {said}");
}
