//! Products skip the steps of k at which A is 0, whether A is bytes or floats. No bit may change: not where a skipped
//! product would not have been 0, not where a chain could have been at −0, and not at the ends of rows and blocks.

use tensor::isa::AnyIsa;
use tensor::machine::Caches;
use tensor::matmul::{Lhs, Zeros, update};
use tensor::vec::ByteRows;
use tensor::{Epilogue, Exec, Gemm, Tensor, View};
use testkit::compare::assert_bits;
use testkit::rng::Rng;

/// The machine's own caches, and such that k is cut into blocks of sixteen steps and rows into groups of sixteen.
fn caches() -> [Caches; 2] {
    [Caches::of_this_machine(), Caches { l1: 512, l2: 4 << 10, l3: 0 }]
}

/// The product of the floats, of which no step is skipped: C is read, and is +0.
fn every_step(a: View<'_, f32, 2>, b: View<'_, f32, 2>) -> Vec<f32> {
    every_step_with(a, b, Epilogue::None)
}

fn every_step_with(a: View<'_, f32, 2>, b: View<'_, f32, 2>, epilogue: Epilogue<'_>) -> Vec<f32> {
    let mut c = Tensor::zeros([a.rows(), b.cols()]);
    let exec = Exec::with_isa(AnyIsa::available().last().expect("portable is always there"), 1);
    Gemm::new(a, b, c.view_mut()).beta(1.0).epilogue(epilogue).run(exec).expect("the shapes go together");
    c.as_slice().to_vec()
}

/// Bytes as images, in order.
struct Images {
    bytes: Vec<u8>,
    indices: Vec<usize>,
    width: usize,
}

impl Images {
    fn new([rows, width]: [usize; 2], byte: impl Fn(usize, usize) -> u8) -> Self {
        let bytes = (0..rows * width).map(|at| byte(at / width, at % width)).collect();
        Self { bytes, indices: (0..rows).collect(), width }
    }

    fn rows(&self) -> ByteRows<'_> {
        ByteRows::new(&self.bytes, self.width, &self.indices)
    }

    fn floats(&self) -> Tensor<f32, 2> {
        Tensor::from_fn([self.indices.len(), self.width], |[r, j]| f32::from(self.bytes[r * self.width + j]) / 255.0)
    }
}

/// A·B on an ISA, into a C of NaN.
fn product<'a>(exec: Exec, a: impl Into<Lhs<'a>>, b: View<'a, f32, 2>, zeros: Zeros) -> Vec<f32> {
    let a = a.into();
    let mut c = Tensor::from_fn([a.shape()[0], b.cols()], |_| f32::NAN);
    Gemm::new(a, b, c.view_mut()).zeros(zeros).run(exec).expect("the shapes go together");
    c.as_slice().to_vec()
}

/// The same, fed to an update.
fn fed<'a>(exec: Exec, a: impl Into<Lhs<'a>>, b: View<'a, f32, 2>) -> Vec<f32> {
    let a = a.into();
    let mut c = vec![f32::NAN; a.shape()[0] * b.cols()];
    let keep = |_: Exec, piece: &[f32], [c]: [&mut [f32]; 1]| c.copy_from_slice(piece);
    update(exec, a, b, Zeros::Ask, [&mut c], &keep).expect("the shapes go together");
    c
}

/// The same elements, column by column in memory.
fn by_columns(x: View<'_, f32, 2>) -> Tensor<f32, 2> {
    x.t().to_tensor()
}

/// A product against the one of which no step is skipped, bit for bit: on every ISA, for two geometries of caches, with
/// zeros asked for and not, with B as it lies and transposed, stored and fed to an update.
fn check_lhs(name: &str, a: Lhs<'_>, b: View<'_, f32, 2>, want: &[f32]) {
    let columns = by_columns(b);
    for (isa, caches) in AnyIsa::available().flat_map(|isa| caches().map(|caches| (isa, caches))) {
        let exec = Exec::with_isa(isa, 1).with_caches(caches);
        let name = |what: &str| format!("{name}, {} columns on {}, L1 {}, {what}", b.cols(), isa.name(), caches.l1);
        for (b, lies) in [(b, "B by rows"), (columns.view().t(), "B by columns")] {
            assert_bits(&name(lies), &product(exec, a, b, Zeros::Ask), want);
        }
        assert_bits(&name("every step"), &product(exec, a, b, Zeros::Never), want);
        assert_bits(&name("fed"), &fed(exec, a, b), want);
    }
}

/// [`check_lhs`] of floats by rows and by columns.
fn check_floats(name: &str, a: View<'_, f32, 2>, b: &[f32], n: usize) {
    let b = View::new(&b[..a.cols() * n], [a.cols(), n]).expect("fits");
    let want = every_step(a, b);
    check_lhs(&format!("{name}, A by rows"), a.into(), b, &want);
    check_lhs(&format!("{name}, A by columns"), by_columns(a).view().t().into(), b, &want);
}

/// [`check_lhs`] of bytes and of their floats, and of their transposes.
fn check(name: &str, x: &Images, b: &[f32], n: usize) {
    let floats = x.floats();
    let [rows, width] = floats.shape();
    let forward = View::new(&b[..width * n], [width, n]).expect("fits");
    let backward = View::new(&b[..rows * n], [rows, n]).expect("fits");
    let want = [every_step(floats.view(), forward), every_step(floats.view().t(), backward)];
    let name = |what: &str| format!("{name}: {what} of {rows}x{width}");
    check_lhs(&name("X·B of bytes"), x.rows().into(), forward, &want[0]);
    check_lhs(&name("Xᵀ·B of bytes"), Lhs::from(x.rows()).t(), backward, &want[1]);
    check_lhs(&name("X·B of floats"), floats.view().into(), forward, &want[0]);
}

#[test]
fn a_zero_times_infinity_or_no_number_is_still_done_wherever_it_stands() {
    let mut rng = Rng::new(1);
    let x = Images::new([40, 70], |r, j| if (r + j) % 3 == 0 { 7 } else { 0 });
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for n in [1, 16, 20, 100] {
            for at in [0, 1, n - 1, 17 * n, 40 * n - 1] {
                let mut b = rng.vec_f32(70 * n);
                b[at] = bad;
                let c = every_step(x.floats().view(), View::new(&b, [70, n]).expect("fits"));
                // Every row of C has one, whether its byte is 0 there or not.
                let spoilt = c.chunks(n).filter(|row| !row[at % n].is_finite()).count();
                assert_eq!(spoilt, 40, "{bad} at {at} of {n} columns: the test would show nothing");
                check(&format!("{bad} at {at}"), &x, &b, n);
            }
        }
    }
}

#[test]
fn steps_of_bytes_in_several_blocks_are_one_chain_and_a_block_that_forbids_to_skip_skips_none() {
    // As wide as MNIST's images.
    let mut rng = Rng::new(11);
    let x = Images::new([151, 784], |r, j| if (r * 5 + j * 3) % 7 == 0 { (r + j) as u8 | 1 } else { 0 });
    for n in [20, 100] {
        let b = rng.vec_f32(784 * n);
        check("no block forbids it", &x, &b, n);
        for bad in [f32::INFINITY, f32::from_bits(1)] {
            for row in [0, 400, 783] {
                let mut b = b.clone();
                b[row * n + n / 2] = bad;
                check(&format!("{bad} in row {row}"), &x, &b, n);
            }
        }
    }
}

#[test]
fn a_chain_that_underflowed_to_minus_zero_becomes_plus_zero_at_the_next_zero() {
    // Step 0 is 1/255 times the least negative float: less than half of the least float, which rounds to −0. Step 1 is
    // 0·1 = +0.
    let x = Images::new([40, 40], |_, j| u8::from(j == 0));
    for n in [1, 16, 20, 100] {
        let least = -f32::from_bits(1);
        let b: Vec<f32> = (0..40 * n).map(|at| if at < n { least } else { 1.0 }).collect();
        let first = every_step(x.floats().head(40), View::new(&b, [40, n]).expect("fits"));
        assert!(first.iter().all(|c| c.to_bits() == 0), "all steps give +0: {first:?}");
        let alone =
            every_step(Images::new([40, 1], |_, _| 1).floats().view(), View::new(&b[..n], [1, n]).expect("fits"));
        assert!(alone.iter().all(|c| c.to_bits() == 1 << 31), "the first step alone gives −0: {alone:?}");
        check("−0", &x, &b, n);
    }
}

#[test]
fn factors_at_the_edge_of_what_may_be_skipped_give_the_same_bits() {
    let mut rng = Rng::new(2);
    let x = Images::new([48, 80], |r, j| if (r * 7 + j * 3) % 5 == 0 { (1 + (r + j) % 255) as u8 } else { 0 });
    let edge = 2.0_f32.powi(-92);
    for n in [16, 100] {
        for sizes in [[edge, edge], [edge / 2.0, edge], [f32::MIN_POSITIVE, 1e-40], [f32::MAX, 1.0], [0.0, -0.0]] {
            let b: Vec<f32> =
                (0..80 * n).map(|_| sizes[rng.usize_in(0..2)] * [1.0, -1.0][rng.usize_in(0..2)]).collect();
            check(&format!("sizes {sizes:?}"), &x, &b, n);
        }
    }
}

#[test]
fn rows_of_no_step_one_step_the_last_step_and_all_steps_are_done_to_their_ends() {
    let mut rng = Rng::new(3);
    type Lit = fn(usize, usize, usize) -> bool;
    let lit: [(&str, Lit); 7] = [
        ("none", |_, _, _| false),
        ("the first", |_, j, _| j == 0),
        ("the last", |_, j, width| j + 1 == width),
        ("one of each image", |r, j, width| j == r * 37 % width),
        ("one image", |r, _, _| r == 33),
        ("the last image", |r, _, _| r == 34),
        ("all", |_, _, _| true),
    ];
    for (name, lit) in lit {
        for width in [33, 48, 63, 64, 65, 100, 784] {
            for n in [1, 8, 9, 16, 24, 40, 96, 97, 100, 104, 105, 130, 209] {
                let x = Images::new([35, width], |r, j| if lit(r, j, width) { (j % 255 + 1) as u8 } else { 0 });
                let b = rng.vec_f32(width.max(35) * n);
                // Portable Rust may call the library for each multiply-add.
                if n * width <= 10_000 {
                    check(name, &x, &b, n);
                }
            }
        }
    }
}

#[test]
fn thousands_of_steps_are_one_chain() {
    let mut rng = Rng::new(4);
    let x = Images::new([33, 5000], |r, j| if (r + j) % 4 == 0 { 200 } else { 0 });
    let floats = Tensor::from_fn([33, 5000], |[_, p]| if p % 4 == 0 { rng.f32_in(-1.0, 1.0) } else { 0.0 });
    for n in [20, 60, 100] {
        let b = rng.vec_f32(5000 * n);
        let b = View::new(&b, [5000, n]).expect("fits");
        for (isa, caches) in AnyIsa::available().flat_map(|isa| caches().map(|caches| (isa, caches))) {
            // Portable Rust may call the library for each multiply-add.
            if isa.name() == "portable" && n > 60 {
                continue;
            }
            let exec = Exec::with_isa(isa, 1).with_caches(caches);
            let name = format!("{n} columns on {}, L1 {}", isa.name(), caches.l1);
            let want = every_step(x.floats().view(), b);
            assert_bits(&name, &product(exec, x.rows(), b, Zeros::Ask), &want);
            assert_bits(&name, &product(exec, floats.view(), b, Zeros::Ask), &every_step(floats.view(), b));
        }
    }
}

#[test]
fn products_of_few_steps_have_the_bits_of_their_chains_whatever_a_and_b_are() {
    let mut rng = Rng::new(21);
    let odd = [0.0, -0.0, f32::from_bits(1), 1e-30, f32::NAN, f32::INFINITY];
    for k in [0, 1, 2, 9, 10, 15, 16, 17] {
        for n in [56, 100, 104, 105, 209] {
            for spoilt in 0..4 {
                // Dense, or with some of what must not be skipped, in A, in B, in both.
                let at = |rng: &mut Rng, which: usize, odd: &[f32]| {
                    if spoilt & which != 0 && rng.unit() < 0.03 {
                        odd[rng.usize_in(0..odd.len())]
                    } else {
                        rng.f32_in(-1.0, 1.0)
                    }
                };
                let a = Tensor::from_fn([37, k], |_| at(&mut rng, 1, &odd));
                let b: Vec<f32> = (0..k * n).map(|_| at(&mut rng, 2, &odd)).collect();
                check_floats(&format!("{k} steps, spoilt {spoilt}"), a.view(), &b, n);
            }
        }
    }
}

/// Floats as a ReLU leaves them: some rows of `a`, and zeros where not `lit`.
fn relu(rng: &mut Rng, [rows, width]: [usize; 2], lit: impl Fn(usize, usize) -> bool) -> Tensor<f32, 2> {
    Tensor::from_fn([rows, width], |[r, j]| if lit(r, j) { rng.f32_in(0.1, 1.0) } else { 0.0 })
}

#[test]
fn elements_at_the_edge_of_what_cannot_underflow_give_the_same_bits() {
    let mut rng = Rng::new(5);
    let (a, b) = (2.0_f32.powi(-59), 2.0_f32.powi(-44));
    let (below_a, below_b) = (f32::from_bits(a.to_bits() - 1), f32::from_bits(b.to_bits() - 1));
    let small = [[f32::from_bits(1), 1.0], [1.0, f32::from_bits(1)], [1e-30, 1e-30]];
    // The least of one with what is far too small beside it.
    let beside = [[2.0_f32.powi(-108), b], [a, 2.0_f32.powi(-94)]];
    for sizes in [[a, b], [below_a, b], [a, below_b]].into_iter().chain(small).chain(beside) {
        let x = Tensor::from_fn([48, 80], |[r, j]| match (r * 7 + j * 3) % 5 {
            0 => sizes[0] * [1.0, -1.0][rng.usize_in(0..2)],
            1 if r % 4 == 0 => -0.0,
            _ => 0.0,
        });
        for n in [48, 100] {
            let b: Vec<f32> = (0..80 * n).map(|_| sizes[1] * [1.0, -1.0][rng.usize_in(0..2)]).collect();
            check_floats(&format!("sizes {sizes:?}"), x.view(), &b, n);
        }
    }
}

#[test]
fn one_small_element_of_a_row_keeps_the_zeros_of_its_row() {
    // The product of steps 0 and 1 rounds to −0, and step 2 is 0·1.
    for row in [0, 1, 17, 39] {
        for step in [0, 19, 30, 31, 77] {
            let x = Tensor::from_fn([40, 80], |[r, j]| if r == row && j == step { f32::from_bits(1) } else { 0.0 });
            for n in [64, 100] {
                let b: Vec<f32> = (0..80 * n).map(|at| if at / n == step { -2.0_f32.powi(-44) } else { 1.0 }).collect();
                let want = every_step(x.view(), View::new(&b, [80, n]).expect("fits"));
                assert!(want.iter().all(|c| c.to_bits() == 0), "all steps give +0");
                check_floats(&format!("row {row}, step {step}"), x.view(), &b, n);
            }
        }
    }
}

#[test]
fn a_block_of_b_that_could_underflow_keeps_the_zeros_of_the_blocks_after_it() {
    // The last step of a block, of 24 steps or of 32, leaves −0, and the zeros of the blocks after it make it +0.
    for last in [23, 31] {
        let x = Tensor::from_fn([40, 96], |[_, j]| if j == last { 2.0_f32.powi(-50) } else { 0.0 });
        for n in [64, 100] {
            let b: Vec<f32> = (0..96 * n).map(|at| if at / n == last { -2.0_f32.powi(-101) } else { 1.0 }).collect();
            let first = Tensor::from_fn([40, 1], |_| 2.0_f32.powi(-50));
            let alone = every_step(first.view(), View::new(&b[last * n..(last + 1) * n], [1, n]).expect("fits"));
            assert!(alone.iter().all(|c| c.to_bits() == 1 << 31), "that step alone gives −0: {alone:?}");
            check_floats("−0 from an earlier block", x.view(), &b, n);
        }
    }
}

#[test]
fn infinities_and_no_numbers_beside_zeros_are_still_multiplied_where_a_is_floats() {
    let mut rng = Rng::new(6);
    let x = relu(&mut rng, [40, 70], |r, j| (r / 3 + j) % 3 == 0);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for n in [48, 100] {
            for at in [0, 1, n - 1, 17 * n, 40 * n - 1, 70 * n - 1] {
                let mut b = rng.vec_f32(70 * n);
                b[at] = bad;
                let c = every_step(x.view(), View::new(&b, [70, n]).expect("fits"));
                let spoilt = c.chunks(n).filter(|row| !row[at % n].is_finite()).count();
                assert_eq!(spoilt, 40, "{bad} at {at} of {n} columns: the test would show nothing");
                check_floats(&format!("{bad} at {at}"), x.view(), &b, n);
            }
        }
        for at in [0, 35, 40 * 70 - 1] {
            let mut x = x.clone();
            x.as_mut_slice()[at] = bad;
            check_floats(&format!("{bad} in A at {at}"), x.view(), &rng.vec_f32(70 * 100), 100);
        }
    }
}

#[test]
fn rows_of_floats_are_done_to_their_ends() {
    let mut rng = Rng::new(7);
    type Lit = fn(usize, usize, usize) -> bool;
    let lit: [(&str, Lit); 5] = [
        ("none", |_, _, _| false),
        ("the first", |_, j, _| j == 0),
        ("the last", |_, j, width| j + 1 == width),
        ("one row", |r, _, _| r == 33),
        ("half", |r, j, _| (r / 5 * 31 + j * 17) % 64 < 32),
    ];
    for (name, lit) in lit {
        for width in [15, 16, 17, 48, 63, 64, 65, 130] {
            // Every width of a panel: 7 to 13 registers of 8 columns, or of 16.
            for n in [48, 49, 56, 57, 64, 72, 80, 88, 96, 97, 100, 104, 105, 113, 130, 145, 161, 177, 208, 209] {
                let x = relu(&mut rng, [34 + width % 30, width], |r, j| lit(r, j, width));
                check_floats(name, x.view(), &rng.vec_f32(width * n), n);
            }
        }
    }
}

#[test]
fn epilogues_are_done_to_every_element_once_where_zeros_are_skipped() {
    let mut rng = Rng::new(8);
    for n in [64, 100, 150] {
        let x = relu(&mut rng, [50, 190], |r, j| (r / 5 * 31 + j * 17) % 64 < 22);
        let columns = by_columns(x.view());
        let (b, bias) = (rng.vec_f32(190 * n), rng.vec_f32(n));
        let gate = Tensor::from_fn([50, n], |_| rng.f32_in(-1.0, 1.0));
        let b = View::new(&b, [190, n]).expect("fits");
        for epilogue in [
            Epilogue::Bias(&bias),
            Epilogue::BiasRelu(&bias),
            Epilogue::BiasReluScale(&bias, 0.7),
            Epilogue::Gate(gate.view()),
        ] {
            let want = every_step_with(x.view(), b, epilogue);
            for isa in AnyIsa::available() {
                for a in [x.view(), columns.view().t()] {
                    let mut c = Tensor::from_fn([50, n], |_| f32::NAN);
                    let exec = Exec::with_isa(isa, 1);
                    Gemm::new(a, b, c.view_mut()).epilogue(epilogue).run(exec).expect("they go together");
                    let name = format!("{epilogue:?} of {n} columns on {}, strides {:?}", isa.name(), a.strides());
                    assert_bits(&name, c.as_slice(), &want);
                }
                // Where C is read every step is done, whichever way A lies.
                let read = |a: View<'_, f32, 2>| {
                    let mut c = Tensor::from_fn([50, n], |[i, j]| (i * 3 + j) as f32 / 100.0 - 1.0);
                    let exec = Exec::with_isa(isa, 1);
                    Gemm::new(a, b, c.view_mut()).beta(-2.0).epilogue(epilogue).run(exec).expect("they go together");
                    c.as_slice().to_vec()
                };
                let name = format!("{epilogue:?} of {n} columns, β −2, on {}", isa.name());
                assert_bits(&name, &read(x.view()), &read(columns.view().t()));
            }
        }
    }
}

#[test]
fn more_rows_and_columns_than_a_group_and_a_panel_have_are_all_computed_by_any_number_of_threads() {
    let mut rng = Rng::new(9);
    let x = relu(&mut rng, [1100, 150], |r, j| (r * 7 + j * 13) % 32 < 11);
    for n in [104, 105, 320] {
        let b = rng.vec_f32(1100 * n);
        let (b, dy) = (View::new(&b[..150 * n], [150, n]).expect("fits"), View::new(&b, [1100, n]).expect("fits"));
        for (a, b) in [(x.view(), b), (x.view().t(), dy)] {
            let want = every_step(a, b);
            for isa in AnyIsa::available().filter(|isa| isa.name() != "portable") {
                for threads in [1, 2, 3] {
                    let mut c = Tensor::from_fn([a.rows(), n], |_| f32::NAN);
                    let exec = Exec::with_isa(isa, threads).in_session();
                    Gemm::new(a, b, c.view_mut()).run(exec).expect("they go together");
                    let shape = format!("{}x{}x{n}", a.rows(), a.cols());
                    assert_bits(&format!("{shape} on {}, {threads} threads", isa.name()), c.as_slice(), &want);
                }
            }
        }
    }
}

#[test]
fn a_chain_that_starts_at_minus_zero_becomes_plus_zero_at_the_first_zero() {
    let x = Tensor::from_fn([40, 70], |[r, j]| if r == 5 && j == 60 { 1.0 } else { 0.0 });
    let b = vec![1.0; 70 * 64];
    let b = View::new(&b, [70, 64]).expect("fits");
    for (beta, before) in [(1.0, -0.0), (-2.0, 0.0)] {
        for isa in AnyIsa::available() {
            let mut c = Tensor::from_fn([40, 64], |_| before);
            Gemm::new(x.view(), b, c.view_mut()).beta(beta).run(Exec::with_isa(isa, 1)).expect("they go together");
            let minus = c.as_slice().iter().filter(|c| c.is_sign_negative()).count();
            assert_eq!(minus, 0, "β {beta}, C {before:?} on {}", isa.name());
        }
    }
}
