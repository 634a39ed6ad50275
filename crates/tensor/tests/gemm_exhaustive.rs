//! The matrix product over whole ranges of sizes, layouts, threads and blocks, on every ISA.
//!
//! Each product is judged twice: its bits must be those of the exact f32 chain, and its values within the k·ε bound of
//! the f64 reference. What must be expected is computed once for all ISAs, since that takes longest. The tests that run
//! by default walk a fixed slice of the cases; the ignored ones walk all of them:
//!
//! ```text
//! cargo test --release -p tensor --test gemm_exhaustive -- --ignored
//! ```
//!
//! A failure tells the number of its case; every case has data of its own, made from that number. What NaN and guards
//! cannot show, a read past the end of an operand into lanes that are never stored, `fence.rs` does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tensor::array::{View, ViewMut};
use tensor::isa::AnyIsa;
use tensor::machine::Caches;
use tensor::{Epilogue, Exec, Gemm};
use testkit::compare::{Bound, assert_bits, assert_close};
use testkit::gemm::{self as reference, Matrix};
use testkit::poison::{POISON, Poisoned};
use testkit::rng::Rng;

/// Caches with which every product is cut into blocks, and B is packed, however small it is: of a few steps of k and a
/// few columns for the tiniest.
const TINY: Caches = Caches { l1: 512, l2: 4 << 10, l3: 0 };
const SMALL: Caches = Caches { l1: 2 << 10, l2: 10 << 10, l3: 0 };

/// NaN around the elements of an operand.
#[derive(Clone, Copy, Default)]
struct Around {
    /// In front of the first element: the operand starts there, aligned or not.
    before: usize,
    /// Behind the last element, and borrowed with the operand, as where a matrix is a part of a wider one.
    spare: usize,
    /// Behind everything that is borrowed. With none, and nothing spare, the allocation ends with the last element.
    behind: usize,
}

/// An operand: its memory, NaN wherever no element is, and how it lies there.
struct Operand {
    memory: Vec<f32>,
    around: Around,
    shape: [usize; 2],
    strides: [usize; 2],
}

impl Operand {
    fn new(rng: &mut Rng, [rows, cols]: [usize; 2], strides: [usize; 2], around: Around) -> Self {
        let reach = if rows * cols == 0 { 0 } else { (rows - 1) * strides[0] + (cols - 1) * strides[1] + 1 };
        let mut memory = vec![f32::from_bits(POISON); around.before + reach + around.spare + around.behind];
        for i in 0..rows {
            for j in 0..cols {
                memory[around.before + i * strides[0] + j * strides[1]] = rng.f32_in(-1.0, 1.0);
            }
        }
        Self { memory, around, shape: [rows, cols], strides }
    }

    /// Puts zeros, some of them −0, in some places. (Where elements share a place, one decides for all.)
    fn clear(&mut self, mut zero: impl FnMut(usize, usize) -> bool) {
        for i in 0..self.shape[0] {
            for j in 0..self.shape[1] {
                if zero(i, j) {
                    let at = self.around.before + i * self.strides[0] + j * self.strides[1];
                    self.memory[at] = if (i + j) % 7 == 0 { -0.0 } else { 0.0 };
                }
            }
        }
    }

    /// What is borrowed: from the first element on.
    fn data(&self) -> &[f32] {
        &self.memory[self.around.before..self.memory.len() - self.around.behind]
    }

    fn view(&self) -> View<'_, f32, 2> {
        View::with_strides(self.data(), self.shape, self.strides).expect("the memory was made for the shape")
    }

    fn matrix(&self) -> Matrix<'_> {
        Matrix { data: self.data(), row_stride: self.strides[0], col_stride: self.strides[1] }
    }
}

/// What is done as C is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Finish {
    None,
    Bias,
    BiasRelu,
}

/// How C lies in memory: rows, or columns, so far apart, between guards of so many floats.
#[derive(Clone, Copy, Debug)]
struct Place {
    column_major: bool,
    pad: usize,
    guard: usize,
}

/// A product with its operands.
struct Product {
    shape: [usize; 3],
    a: Operand,
    b: Operand,
    alpha: f32,
    beta: f32,
    /// What C holds before, as dense rows; with β = 0 it is filled with NaN instead.
    c_before: Vec<f32>,
    finish: Finish,
    bias: Operand,
    place: Place,
}

/// What a product must give.
struct Expected {
    chain: Vec<f32>,
    /// Values and bounds, where there is no epilogue.
    values: Option<(Vec<f64>, Vec<f64>)>,
}

/// Tells which case it was if a check, or the product itself, panics while this is alive.
struct Tell<F: Fn() -> String>(F);

impl<F: Fn() -> String> Drop for Tell<F> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("this was {}", (self.0)());
        }
    }
}

/// The rows of a dense matrix as the columns of another.
fn transposed(dense: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    (0..rows * cols).map(|at| dense[at % rows * cols + at / rows]).collect()
}

impl Product {
    /// A·B into a C whose rows are padded.
    fn plain(rng: &mut Rng, shape: [usize; 3], a_strides: [usize; 2], b_strides: [usize; 2]) -> Self {
        let [m, k, n] = shape;
        Self {
            shape,
            a: Operand::new(rng, [m, k], a_strides, Around::default()),
            b: Operand::new(rng, [k, n], b_strides, Around::default()),
            alpha: 1.0,
            beta: 0.0,
            c_before: Vec::new(),
            finish: Finish::None,
            bias: Operand::new(rng, [1, 0], [0, 1], Around::default()),
            place: Place { column_major: false, pad: 5, guard: 64 },
        }
    }

    /// The same product with α, β, a bias and the ReLU.
    fn with_everything(self, rng: &mut Rng) -> Self {
        let [m, _, n] = self.shape;
        Self {
            alpha: 3.0,
            beta: -2.0,
            c_before: rng.vec_f32(m * n),
            finish: Finish::BiasRelu,
            bias: Operand::new(rng, [1, n], [n, 1], Around::default()),
            ..self
        }
    }

    fn expected(&self) -> Expected {
        let [m, k, n] = self.shape;
        let product = reference::Gemm {
            m,
            n,
            k,
            alpha: self.alpha,
            a: self.a.matrix(),
            b: self.b.matrix(),
            beta: self.beta,
            c: Matrix::row_major(&self.c_before, n),
        };
        let bias = (self.finish != Finish::None).then_some(self.bias.data());
        let chain = product.chain(reference::Epilogue { bias, relu: self.finish == Finish::BiasRelu });
        let values = (self.finish == Finish::None).then(|| {
            let reference = product.reference();
            let bounds = reference.bounds();
            (reference.values, bounds)
        });
        Expected { chain, values }
    }

    /// Computes the product, and checks every bit and value of it, and that nothing but C was written.
    fn check(&self, name: &str, expected: &Expected, exec: Exec, caches: Caches) {
        let [m, k, n] = self.shape;
        let _tell = Tell(|| {
            format!(
                "{name}, {m}x{k}x{n}: A {:?}, B {:?}, alpha {}, beta {}, {:?}, C {:?}; {} threads, {caches:?}, {}",
                self.a.strides,
                self.b.strides,
                self.alpha,
                self.beta,
                self.finish,
                self.place,
                exec.threads(),
                exec.isa().name()
            )
        });
        let Place { column_major, pad, guard } = self.place;
        let (outer, inner) = if column_major { (n, m) } else { (m, n) };
        let mut c = Poisoned::matrix(outer, inner, inner + pad, guard);
        if self.beta != 0.0 {
            c = if column_major {
                c.with_values(&transposed(&self.c_before, m, n))
            } else {
                c.with_values(&self.c_before)
            };
        }
        let strides = if column_major { [1, inner + pad] } else { [inner + pad, 1] };
        let view = ViewMut::with_strides(c.as_mut_slice(), [m, n], strides).expect("the memory was made for the shape");
        let epilogue = match self.finish {
            Finish::None => Epilogue::None,
            Finish::Bias => Epilogue::Bias(self.bias.data()),
            Finish::BiasRelu => Epilogue::BiasRelu(self.bias.data()),
        };
        Gemm::new(self.a.view(), self.b.view(), view)
            .alpha(self.alpha)
            .beta(self.beta)
            .epilogue(epilogue)
            .run(exec.in_session().with_caches(caches))
            .expect("the shapes go together");

        c.assert_guards_untouched();
        let got = if column_major { transposed(&c.values(), n, m) } else { c.values() };
        assert_bits("the chain", &got, &expected.chain);
        if let Some((values, bounds)) = &expected.values {
            assert_close("the f64 reference", &got, values, Bound::PerElement(bounds));
        }
    }
}

/// Calls `check` with every `step`-th number below `count`, on as many threads as there are cores.
fn walk(count: usize, step: usize, check: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let case = next.fetch_add(step, Ordering::Relaxed);
                    if case >= count {
                        break;
                    }
                    check(case);
                }
            });
        }
    });
}

/// Every size up to this is tried along each axis.
const LONGEST: usize = 130;

/// The lengths of the other two axes: one, one tile's rows, a bit more or less than some vectors, and the chapter's
/// hundred.
const TILES: [usize; 7] = [1, 6, 9, 17, 48, 65, 100];

const EDGE_CASES: usize = 3 * (LONGEST + 1) * TILES.len() * TILES.len() * 3;

/// Case `case` of [`EDGE_CASES`]: a size along one axis, a pair of tiles along the others, and one of training's
/// layouts.
fn check_edge(case: usize) {
    let (layout, rest) = (case % 3, case / 3);
    let (first, rest) = (TILES[rest % TILES.len()], rest / TILES.len());
    let (second, rest) = (TILES[rest % TILES.len()], rest / TILES.len());
    let (size, axis) = (rest % (LONGEST + 1), rest / (LONGEST + 1));
    let [m, k, n] = match axis {
        0 => [size, first, second],
        1 => [first, size, second],
        _ => [first, second, size],
    };
    let (a_strides, b_strides) = match layout {
        0 => ([k, 1], [n, 1]),
        1 => ([1, m], [n, 1]),
        _ => ([k, 1], [1, k]),
    };
    let product = Product::plain(&mut Rng::new(case as u64), [m, k, n], a_strides, b_strides);
    let expected = product.expected();
    for isa in AnyIsa::available() {
        for caches in [Caches::of_this_machine(), SMALL] {
            product.check(&format!("edge case {case}"), &expected, Exec::with_isa(isa, 1), caches);
        }
    }
}

#[test]
fn a_slice_of_the_sizes_to_130_of_every_axis_gives_the_bits_of_the_chain() {
    // 13 divides no length of the cases' axes, so the slice meets every size, pair and layout.
    walk(EDGE_CASES, 13, check_edge);
}

#[test]
#[ignore = "all 57,771 cases: a minute in release"]
fn every_size_to_130_of_every_axis_gives_the_bits_of_the_chain() {
    walk(EDGE_CASES, 1, check_edge);
}

/// One of `choices`.
fn pick<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize_in(0..choices.len())]
}

/// Strides of a matrix that is only read.
fn random_strides(rng: &mut Rng, [rows, cols]: [usize; 2]) -> [usize; 2] {
    let (pad, gap) = (rng.usize_in(1..20), rng.usize_in(2..5));
    match rng.usize_in(0..10) {
        0 | 1 => [cols, 1],
        2 => [1, rows],
        3 => [cols + pad, 1],
        4 => [1, rows + pad],
        5 => [gap * cols + pad, gap],
        6 => [gap, gap * rows + pad],
        // Every row is the same, or every column, or every diagonal.
        7 => [0, pick(rng, &[1, gap])],
        8 => [pick(rng, &[1, gap]), 0],
        _ => [1, 1],
    }
}

/// A matrix with random strides, somewhere in a larger memory or alone.
fn random_operand(rng: &mut Rng, shape: [usize; 2]) -> Operand {
    let strides = random_strides(rng, shape);
    let before = rng.usize_in(0..2) * rng.usize_in(1..40);
    let around = match rng.usize_in(0..3) {
        0 => Around { before, ..Around::default() },
        1 => Around { before, spare: 0, behind: 80 },
        _ => Around { before, spare: rng.usize_in(1..80), behind: 80 },
    };
    Operand::new(rng, shape, strides, around)
}

/// A random product, caches and number of threads: a function of `case`.
fn check_random(case: usize) {
    let rng = &mut Rng::new(1_000_000 + case as u64);
    let mut shape = [rng.usize_in(0..71), rng.usize_in(0..71), rng.usize_in(0..71)];
    if rng.usize_in(0..5) == 0 {
        shape = [rng.usize_in(1..13), rng.usize_in(1..13), rng.usize_in(1..13)];
        shape[rng.usize_in(0..3)] = rng.usize_in(71..601);
    }
    let [m, k, n] = shape;
    let mut a = random_operand(rng, [m, k]);
    if rng.usize_in(0..3) == 0 {
        // The outputs of a ReLU: steps of k are skipped, where the shape is such that it pays.
        if rng.usize_in(0..4) > 0 {
            let pad = rng.usize_in(0..2) * rng.usize_in(1..9);
            a = Operand::new(rng, [m, k], [k + pad, 1], Around::default());
        }
        let units: Vec<f64> = (0..k).map(|_| pick(rng, &[0.0, 0.05, 0.3, 0.7, 1.0])).collect();
        a.clear(|_, p| rng.unit() >= units[p]);
    }
    let bias_around = Around { before: rng.usize_in(0..20), spare: 0, behind: rng.usize_in(0..2) * 80 };
    let product = Product {
        shape,
        a,
        b: random_operand(rng, [k, n]),
        alpha: pick(rng, &[1.0, -0.5, 3.0]),
        beta: pick(rng, &[0.0, 1.0, -2.0]),
        c_before: rng.vec_f32(m * n),
        finish: pick(rng, &[Finish::None, Finish::Bias, Finish::BiasRelu]),
        bias: Operand::new(rng, [1, n], [n, 1], bias_around),
        place: Place {
            column_major: rng.usize_in(0..4) == 0,
            pad: rng.usize_in(0..3) * rng.usize_in(1..12),
            guard: rng.usize_in(33..98),
        },
    };
    let l1 = rng.usize_in(1..8000);
    let any = Caches { l1, l2: rng.usize_in(l1..40_000), l3: 0 };
    let caches = pick(rng, &[Caches::of_this_machine(), TINY, SMALL, any]);
    let threads = pick(rng, &[1, 1, 1, 2, 3, 5]);
    let expected = product.expected();
    for isa in AnyIsa::available() {
        product.check(&format!("random case {case}"), &expected, Exec::with_isa(isa, threads), caches);
    }
}

#[test]
fn two_thousand_random_products_give_the_bits_of_the_chain() {
    walk(2_000, 1, check_random);
}

#[test]
#[ignore = "100,000 cases: a minute in release"]
fn a_hundred_thousand_random_products_give_the_bits_of_the_chain() {
    walk(100_000, 1, check_random);
}

#[test]
fn threads_and_block_sizes_change_no_bit() {
    let (normal, transposed) = (false, true);
    let shapes = [
        ([100, 784, 100], normal, normal),
        ([784, 100, 100], transposed, normal),
        ([100, 100, 784], normal, transposed),
        ([100, 100, 10], normal, normal),
        ([37, 211, 53], normal, normal),
        ([1, 784, 100], normal, normal),
        ([130, 70, 10], normal, normal),
        ([3, 70, 500], normal, normal),
        ([3, 70, 500], normal, transposed),
        ([20, 70, 502], transposed, normal),
        ([16, 70, 42], transposed, normal),
        ([90, 300, 70], transposed, transposed),
    ];
    let geometries = [Caches::of_this_machine(), Caches { l1: 48 << 10, l2: 2 << 20, l3: 0 }, TINY, SMALL];
    // A pool of its own, so that the threads are there on a machine with fewer cores.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(8).build().expect("eight threads can be had");
    let mut rng = Rng::new(1);
    for (shape, a_transposed, b_transposed) in shapes {
        let strides = |rows, cols, transposed| if transposed { [1, rows] } else { [cols, 1] };
        let [m, k, n] = shape;
        let plain =
            |rng: &mut Rng| Product::plain(rng, shape, strides(m, k, a_transposed), strides(k, n, b_transposed));
        for product in [plain(&mut rng), plain(&mut rng).with_everything(&mut rng)] {
            let expected = product.expected();
            for isa in AnyIsa::available() {
                for caches in geometries {
                    for threads in 1..=8 {
                        let exec = Exec::with_isa(isa, threads);
                        pool.install(|| product.check("threads and blocks", &expected, exec, caches));
                    }
                }
            }
        }
    }
}
