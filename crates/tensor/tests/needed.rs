//! Products with bytes leave out steps whose bytes are zero. No bit may change: not where a left-out product would not have been 0, not where a
//! chain could have been at −0, and not at the ends of lists.

use tensor::gemm::{consume_bytes, multiply_bytes};
use tensor::isa::AnyIsa;
use tensor::vec::ByteRows;
use tensor::{Epilogue, Exec, Gemm, Tensor, View};
use testkit::compare::assert_bits;
use testkit::rng::Rng;

/// The product of the floats, on which no step is left out.
fn every_step(a: View<'_, f32, 2>, b: View<'_, f32, 2>) -> Vec<f32> {
    let mut c = Tensor::zeros([a.rows(), b.cols()]);
    let best = AnyIsa::available().last().expect("portable is always there");
    Gemm::new(a, b, c.view_mut()).run(Exec::with_isa(best, 1)).expect("the shapes go together");
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

/// X·B with X as bytes, on an ISA.
fn product(isa: AnyIsa, x: &Images, b: View<'_, f32, 2>) -> Vec<f32> {
    let mut c = Tensor::from_fn([x.indices.len(), b.cols()], |_| f32::NAN);
    multiply_bytes(Exec::with_isa(isa, 1), x.rows(), b, c.view_mut(), Epilogue::None).expect("the shapes go together");
    c.as_slice().to_vec()
}

/// Xᵀ·B with X as bytes, on an ISA.
fn transposed(isa: AnyIsa, x: &Images, b: View<'_, f32, 2>) -> Vec<f32> {
    let mut c = vec![f32::NAN; x.width * b.cols()];
    let keep = |_: Exec, piece: &[f32], [c]: [&mut [f32]; 1]| c.copy_from_slice(piece);
    consume_bytes(Exec::with_isa(isa, 1), x.rows(), b, [&mut c], &keep).expect("the shapes go together");
    c
}

/// Both products against those of the floats, bit for bit, on every ISA.
fn check(name: &str, x: &Images, b: &[f32], n: usize) {
    let floats = x.floats();
    let [rows, width] = floats.shape();
    let forward = View::new(&b[..width * n], [width, n]).expect("fits");
    let backward = View::new(&b[..rows * n], [rows, n]).expect("fits");
    let want = [every_step(floats.view(), forward), every_step(floats.view().t(), backward)];
    for isa in AnyIsa::available() {
        let name = |what: &str| format!("{name}: {what} of {rows}x{width} by {n} columns on {}", isa.name());
        assert_bits(&name("X·B"), &product(isa, x, forward), &want[0]);
        assert_bits(&name("Xᵀ·B"), &transposed(isa, x, backward), &want[1]);
    }
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
fn a_chain_that_underflowed_to_minus_zero_becomes_plus_zero_at_the_next_zero() {
    // Step 0 is 1/255 times the least negative float: less than half of the least float, which rounds to −0. Step 1 is 0·1 = +0.
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
fn factors_at_the_edge_of_what_may_be_left_out_give_the_same_bits() {
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
fn lists_of_no_step_one_step_the_last_step_and_all_steps_are_done_to_their_ends() {
    let mut rng = Rng::new(3);
    type Lit = fn(usize, usize, usize) -> bool;
    let lit: [(&str, Lit); 6] = [
        ("none", |_, _, _| false),
        ("the first", |_, j, _| j == 0),
        ("the last", |_, j, width| j + 1 == width),
        ("one of each image", |r, j, width| j == r * 37 % width),
        ("one image", |r, _, _| r == 33),
        ("all", |_, _, _| true),
    ];
    for (name, lit) in lit {
        for width in [33, 48, 63, 64, 65, 100, 784] {
            for n in [1, 8, 9, 16, 24, 40, 96, 100, 104, 105, 130] {
                let x = Images::new([34, width], |r, j| if lit(r, j, width) { (j % 255 + 1) as u8 } else { 0 });
                let b = rng.vec_f32(width.max(34) * n);
                // Portable Rust may call the library for each multiply-add.
                if n * width <= 10_000 {
                    check(name, &x, &b, n);
                }
            }
        }
    }
}

#[test]
fn more_steps_than_a_list_holds_are_all_done() {
    let mut rng = Rng::new(4);
    let x = Images::new([33, 5000], |r, j| if (r + j) % 4 == 0 { 200 } else { 0 });
    for n in [2, 20] {
        let b = rng.vec_f32(5000 * n);
        let want = every_step(x.floats().view(), View::new(&b, [5000, n]).expect("fits"));
        for isa in AnyIsa::available() {
            let view = View::new(&b, [5000, n]).expect("fits");
            assert_bits(&format!("{n} columns on {}", isa.name()), &product(isa, &x, view), &want);
        }
    }
}
