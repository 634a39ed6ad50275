//! The matrix product against the f64 reference and the exact f32 chain, on every ISA.

use tensor::array::{View, ViewMut};
use tensor::gemm::tile_names;
use tensor::isa::AnyIsa;
use tensor::machine::Caches;
use tensor::{Epilogue, Exec, Gemm, ShapeError};
use testkit::compare::{Bound, assert_bits, assert_close};
use testkit::gemm::{self as reference, Matrix};
use testkit::poison::Poisoned;
use testkit::rng::Rng;
use testkit::shapes;

/// How an operand lies in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    RowMajor,
    Transposed,
    Padded,
    Gaps,
    BroadcastRows,
}

/// An operand: its memory (NaN wherever no element is) and strides.
struct Operand {
    memory: Vec<f32>,
    shape: [usize; 2],
    strides: [usize; 2],
}

impl Operand {
    fn new(rng: &mut Rng, [rows, cols]: [usize; 2], layout: Layout) -> Self {
        let strides = match layout {
            Layout::RowMajor => [cols, 1],
            Layout::Transposed => [1, rows],
            Layout::Padded => [cols + 3, 1],
            Layout::Gaps => [2 * cols + 5, 2],
            Layout::BroadcastRows => [0, 1],
        };
        let reach = if rows * cols == 0 { 0 } else { (rows - 1) * strides[0] + (cols - 1) * strides[1] + 1 };
        let mut memory = vec![f32::NAN; reach];
        for i in 0..rows {
            for j in 0..cols {
                memory[i * strides[0] + j * strides[1]] = rng.f32_in(-1.0, 1.0);
            }
        }
        Self { memory, shape: [rows, cols], strides }
    }

    fn view(&self) -> View<'_, f32, 2> {
        View::with_strides(&self.memory, self.shape, self.strides).expect("the memory was made for the shape")
    }

    fn matrix(&self) -> Matrix<'_> {
        Matrix { data: &self.memory, row_stride: self.strides[0], col_stride: self.strides[1] }
    }
}

struct Case {
    shape: [usize; 3],
    layouts: [Layout; 2],
    alpha: f32,
    beta: f32,
    epilogue: u8,
    caches: Caches,
    threads: usize,
}

/// Runs a case on an ISA: bits against the chain, values against f64, and NaN all around C untouched.
fn check(isa: AnyIsa, case: &Case, rng: &mut Rng) {
    let [m, k, n] = case.shape;
    let a = Operand::new(rng, [m, k], case.layouts[0]);
    let b = Operand::new(rng, [k, n], case.layouts[1]);
    let c_before = rng.vec_f32(m * n);
    let bias = rng.vec_f32(n);
    let mut c = Poisoned::matrix(m, n, n + 5, 64);
    if case.beta != 0.0 {
        c = c.with_values(&c_before);
    }
    let stride = c.row_stride();
    let epilogue = match case.epilogue {
        0 => Epilogue::None,
        1 => Epilogue::Bias(&bias),
        _ => Epilogue::BiasRelu(&bias),
    };
    let view = ViewMut::with_strides(c.as_mut_slice(), [m, n], [stride, 1]).expect("the memory was made for the shape");
    Gemm::new(a.view(), b.view(), view)
        .alpha(case.alpha)
        .beta(case.beta)
        .epilogue(epilogue)
        .run(Exec::with_isa(isa, case.threads).in_session().with_caches(case.caches))
        .expect("the shapes go together");
    c.assert_guards_untouched();

    let product = reference::Gemm {
        m,
        n,
        k,
        alpha: case.alpha,
        a: a.matrix(),
        b: b.matrix(),
        beta: case.beta,
        c: Matrix::row_major(&c_before, n),
    };
    let name = format!(
        "{m}x{k}x{n} {:?} alpha {} beta {} epilogue {} threads {} on {}",
        case.layouts,
        case.alpha,
        case.beta,
        case.epilogue,
        case.threads,
        isa.name()
    );
    let chain = reference::Epilogue { bias: (case.epilogue > 0).then_some(&bias[..]), relu: case.epilogue > 1 };
    assert_bits(&name, &c.values(), &product.chain(chain));
    if case.epilogue == 0 {
        let want = product.reference();
        assert_close(&name, &c.values(), &want.values, Bound::PerElement(&want.bounds()));
    }
}

fn plain(shape: [usize; 3]) -> Case {
    Case {
        shape,
        layouts: [Layout::RowMajor; 2],
        alpha: 1.0,
        beta: 0.0,
        epilogue: 0,
        caches: Caches::of_this_machine(),
        threads: 1,
    }
}

/// Caches so small that every loop around the tile runs several times, and B is packed always.
const TINY: Caches = Caches { l1: 512, l2: 4 << 10, l3: 0 };

/// Caches of several machines, and small ones.
const CACHES: [Caches; 5] = [
    TINY,
    Caches { l1: 4 << 10, l2: 64 << 10, l3: 0 },
    Caches { l1: 32 << 10, l2: 256 << 10, l3: 4 << 20 },
    Caches { l1: 48 << 10, l2: 2 << 20, l3: 0 },
    Caches { l1: 128 << 10, l2: 12 << 20, l3: 12 << 20 },
];

#[test]
fn every_edge_of_every_tile_gives_the_bits_of_the_chain() {
    let mut rng = Rng::new(1);
    for isa in AnyIsa::available() {
        for m in [1, 2, 5, 6, 7, 13, 19, 20, 21] {
            for n in [1, 10, 15, 16, 17, 31, 33, 48, 63, 64, 65, 100, 129] {
                for k in [1, 2, 17] {
                    check(isa, &plain([m, k, n]), &mut rng);
                }
            }
        }
    }
}

#[test]
fn any_strides_alpha_beta_epilogue_blocks_and_threads_give_the_bits_of_the_chain() {
    const LAYOUTS: [Layout; 5] =
        [Layout::RowMajor, Layout::Transposed, Layout::Padded, Layout::Gaps, Layout::BroadcastRows];
    let mut rng = Rng::new(2);
    for isa in AnyIsa::available() {
        for _ in 0..600 {
            let case = Case {
                shape: [rng.usize_in(1..80), rng.usize_in(0..60), rng.usize_in(1..150)],
                layouts: [LAYOUTS[rng.usize_in(0..5)], LAYOUTS[rng.usize_in(0..5)]],
                alpha: [1.0, 1.0, -0.5, 3.0][rng.usize_in(0..4)],
                beta: [0.0, 0.0, 1.0, -2.0][rng.usize_in(0..4)],
                epilogue: rng.usize_in(0..3) as u8,
                caches: CACHES[rng.usize_in(0..5)],
                threads: rng.usize_in(1..5),
            };
            check(isa, &case, &mut rng);
        }
    }
}

#[test]
fn rows_of_a_transposed_a_that_are_packed_give_the_bits_of_the_chain_for_every_block_and_thread() {
    let mut rng = Rng::new(6);
    for isa in AnyIsa::available() {
        for shape in [[1, 20, 300], [5, 1, 257], [7, 9, 260], [49, 23, 256], [97, 15, 333], [150, 30, 300]] {
            for threads in [1, 2, 3] {
                for [alpha, beta] in [[1.0, 0.0], [-0.5, -2.0]] {
                    for caches in [TINY, CACHES[1]] {
                        let layouts = [Layout::Transposed, Layout::RowMajor];
                        let epilogue = (threads % 3) as u8;
                        check(isa, &Case { layouts, alpha, beta, epilogue, caches, threads, ..plain(shape) }, &mut rng);
                    }
                }
            }
        }
    }
}

#[test]
fn the_chapters_products_are_right_with_their_transposes() {
    let mut rng = Rng::new(3);
    for isa in AnyIsa::available() {
        for shape in shapes::CHAPTER {
            let layout = |transposed| if transposed { Layout::Transposed } else { Layout::RowMajor };
            for threads in [1, 2] {
                let layouts = [layout(shape.a_transposed), layout(shape.b_transposed)];
                for caches in CACHES {
                    let case = Case { layouts, threads, caches, ..plain([shape.m, shape.k, shape.n]) };
                    // Portable Rust may call the library for each multiply-add.
                    if isa.name() != "portable" || caches == TINY {
                        check(isa, &case, &mut rng);
                    }
                }
            }
        }
    }
}

#[test]
fn a_packed_product_of_several_blocks_passes_freivalds_test() {
    let mut rng = Rng::new(4);
    let isa = AnyIsa::selected().expect("the ISA asked for is there");
    // Portable Rust without an FMA instruction needs a library call for each: keep it small there.
    let sizes = if isa.name() == "portable" { [150, 200, 130] } else { [700, 900, 1100] };
    let [m, k, n] = sizes;
    let (a, b) = (rng.vec_f32(m * k), rng.vec_f32(k * n));
    let mut c = vec![f32::NAN; m * n];
    let view = |data, shape| View::new(data, shape).expect("the shape fits");
    Gemm::new(view(&a, [m, k]), view(&b, [k, n]), ViewMut::new(&mut c, [m, n]).expect("the shape fits"))
        .run(Exec::with_isa(isa, 2))
        .expect("the shapes go together");
    testkit::freivalds::freivalds(&reference::Gemm::product(m, n, k, &a, &b), &c, &mut rng).expect("C is A times B");
}

#[test]
fn a_column_major_result_is_written_in_place() {
    let mut rng = Rng::new(5);
    let (m, k, n) = (9, 5, 21);
    let (a, b, bias) = (rng.vec_f32(m * k), rng.vec_f32(k * n), rng.vec_f32(n));
    let product = reference::Gemm::product(m, n, k, &a, &b);
    for isa in AnyIsa::available() {
        for with_bias in [false, true] {
            let mut c = vec![f32::NAN; m * n];
            let view = ViewMut::with_strides(&mut c, [m, n], [1, m]).expect("the shape fits");
            let epilogue = if with_bias { Epilogue::Bias(&bias) } else { Epilogue::None };
            Gemm::new(View::new(&a, [m, k]).expect("fits"), View::new(&b, [k, n]).expect("fits"), view)
                .epilogue(epilogue)
                .run(Exec::with_isa(isa, 1))
                .expect("the shapes go together");
            let want = product.chain(reference::Epilogue { bias: with_bias.then_some(&bias[..]), relu: false });
            let got: Vec<f32> = (0..m * n).map(|at| c[at / n + at % n * m]).collect();
            assert_bits("column-major C", &got, &want);
        }
    }
}

#[test]
fn relu_keeps_nan_so_that_a_diverged_net_is_seen() {
    for isa in AnyIsa::available() {
        let (a, b, mut c) = ([f32::NAN], [1.0; 3], [0.0; 3]);
        let view = ViewMut::new(&mut c, [1, 3]).expect("fits");
        Gemm::new(View::new(&a, [1, 1]).expect("fits"), View::new(&b, [1, 3]).expect("fits"), view)
            .epilogue(Epilogue::BiasRelu(&[0.0; 3]))
            .run(Exec::with_isa(isa, 1))
            .expect("the shapes go together");
        assert!(c.iter().all(|c| c.is_nan()), "{}", isa.name());
    }
}

#[test]
fn a_factor_behind_the_relu_is_multiplied_with_every_element_once() {
    let mut rng = Rng::new(21);
    for shape in [[1, 1, 1], [3, 0, 5], [7, 5, 8], [20, 300, 13], [33, 9, 104], [50, 40, 230]] {
        let [m, k, n] = shape;
        let (a, b, bias) = (rng.vec_f32(m * k), rng.vec_f32(k * n), rng.vec_f32(n));
        for isa in AnyIsa::available() {
            let product = |epilogue| {
                let mut c = vec![f32::NAN; m * n];
                let [a, b] = [(&a, [m, k]), (&b, [k, n])].map(|(x, shape)| View::new(x, shape).expect("fits"));
                let gemm = Gemm::new(a, b, ViewMut::new(&mut c, [m, n]).expect("fits")).epilogue(epilogue);
                gemm.run(Exec::with_isa(isa, 2)).expect("the shapes go together");
                c
            };
            let want: Vec<f32> = product(Epilogue::BiasRelu(&bias)).iter().map(|c| 0.85 * c).collect();
            assert!(m * n < 20 || want.iter().any(|&c| c > 0.0), "all is clamped");
            let name = format!("{shape:?} on {}", isa.name());
            assert_bits(&name, &product(Epilogue::BiasReluScale(&bias, 0.85)), &want);
        }
    }
}

#[test]
fn shapes_that_do_not_go_together_are_refused_by_name() {
    let data = [0.0; 12];
    let view = |shape| View::new(&data, shape).expect("fits");
    let mut c = [0.0; 12];
    let wrong = Gemm::new(view([2, 3]), view([2, 3]), ViewMut::new(&mut c, [2, 3]).expect("fits")).run(Exec::serial());
    assert!(matches!(&wrong, Err(ShapeError::Mismatch { left_name: "A", right_name: "B", .. })), "{wrong:?}");
    let wrong = Gemm::new(view([2, 3]), view([3, 2]), ViewMut::new(&mut c, [2, 3]).expect("fits")).run(Exec::serial());
    assert!(matches!(&wrong, Err(ShapeError::Mismatch { right_name: "C", .. })), "{wrong:?}");
    let wrong = Gemm::new(view([2, 3]), view([3, 2]), ViewMut::new(&mut c, [2, 2]).expect("fits"))
        .epilogue(Epilogue::Bias(&[0.0; 3]))
        .run(Exec::serial());
    assert!(matches!(&wrong, Err(ShapeError::Mismatch { right_name: "the bias", .. })), "{wrong:?}");
}

#[test]
fn zero_sizes_are_products_too() {
    let mut rng = Rng::new(6);
    for isa in AnyIsa::available() {
        for shape in [[0, 3, 4], [3, 0, 4], [3, 4, 0], [0, 0, 0]] {
            for epilogue in [0, 2] {
                check(isa, &Case { epilogue, beta: 1.0, ..plain(shape) }, &mut rng);
                check(isa, &Case { epilogue, ..plain(shape) }, &mut rng);
            }
        }
    }
}

#[test]
fn every_isa_names_its_tiles() {
    for isa in AnyIsa::available() {
        assert!(tile_names(isa).iter().all(|name| name.starts_with(isa.name())));
    }
}
