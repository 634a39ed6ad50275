//! A B that is packed once: the bits of the product with B itself, for every shape of A, ISA, geometry and thread.

use tensor::isa::AnyIsa;
use tensor::machine::Caches;
use tensor::matmul::PackedB;
use tensor::vec::ByteRows;
use tensor::{Epilogue, Exec, Gemm, ShapeError, Tensor};
use testkit::compare::assert_bits;
use testkit::rng::Rng;

const CACHES: [Caches; 3] = [
    Caches { l1: 512, l2: 4 << 10, l3: 0 },
    Caches { l1: 4 << 10, l2: 64 << 10, l3: 0 },
    Caches { l1: 32 << 10, l2: 512 << 10, l3: 0 },
];

#[test]
fn a_packed_b_gives_the_bits_of_b_with_an_epilogue_and_without() {
    let mut rng = Rng::new(1);
    for isa in AnyIsa::available() {
        for shape @ [m, k, n] in [[1, 1, 1], [7, 0, 5], [6, 16, 16], [13, 50, 33], [70, 40, 100], [9, 130, 209]] {
            let a = Tensor::from_slice(&rng.vec_f32(m * k), [m, k]).expect("fits");
            let b = Tensor::from_slice(&rng.vec_f32(k * n), [k, n]).expect("fits");
            let (bias, transposed) = (rng.vec_f32(n), b.view().t().to_tensor());
            for (caches, threads) in CACHES.into_iter().flat_map(|caches| [(caches, 1), (caches, 3)]) {
                let exec = Exec::with_isa(isa, threads).in_session().with_caches(caches);
                for epilogue in [Epilogue::None, Epilogue::BiasRelu(&bias)] {
                    let (mut c, mut want) = (Tensor::zeros([m, n]), Tensor::zeros([m, n]));
                    Gemm::new(a.view(), b.view(), want.view_mut()).epilogue(epilogue).run(exec).expect("fits");
                    for b in [b.view(), transposed.view().t()] {
                        c.as_mut_slice().fill(f32::NAN);
                        let packed = PackedB::new(exec, b);
                        assert_eq!(packed.shape(), [k, n]);
                        let gemm = Gemm::new(a.view(), &packed, c.view_mut()).epilogue(epilogue);
                        gemm.run(exec).expect("the shapes go together");
                        assert_bits(&format!("{shape:?} on {}, {exec:?}", isa.name()), c.as_slice(), want.as_slice());
                    }
                }
            }
        }
    }
}

#[test]
fn rows_of_bytes_and_a_transposed_a_are_multiplied_with_a_packed_b_too() {
    let mut rng = Rng::new(2);
    let (bytes, indices) = ((0..300 * 40).map(|at| (at % 7 * 36) as u8).collect::<Vec<u8>>(), [0, 299, 5, 5, 17]);
    let rows: Vec<usize> = (0..300).chain(indices).collect();
    let x = ByteRows::new(&bytes, 40, &rows);
    let b = Tensor::from_slice(&rng.vec_f32(40 * 100), [40, 100]).expect("fits");
    for exec in AnyIsa::available().map(|isa| Exec::with_isa(isa, 1)) {
        let (packed, floats) = (PackedB::new(exec, b.view()), x.to_tensor(exec));
        let columns = floats.view().t().to_tensor();
        let mut want = Tensor::zeros([305, 100]);
        Gemm::new(floats.view(), b.view(), want.view_mut()).run(exec).expect("fits");
        let mut c = Tensor::zeros([305, 100]);
        Gemm::new(x, &packed, c.view_mut()).run(exec).expect("fits");
        assert_bits("bytes", c.as_slice(), want.as_slice());
        c.as_mut_slice().fill(f32::NAN);
        Gemm::new(columns.view().t(), &packed, c.view_mut()).run(exec).expect("fits");
        assert_bits("a transposed A", c.as_slice(), want.as_slice());
    }
}

#[test]
fn a_b_that_was_packed_for_other_caches_is_read_as_it_was_packed() {
    let mut rng = Rng::new(3);
    let a = Tensor::from_slice(&rng.vec_f32(20 * 90), [20, 90]).expect("fits");
    let b = Tensor::from_slice(&rng.vec_f32(90 * 70), [90, 70]).expect("fits");
    for isa in AnyIsa::available() {
        let exec = |caches| Exec::with_isa(isa, 1).with_caches(caches);
        let mut want = Tensor::zeros([20, 70]);
        Gemm::new(a.view(), b.view(), want.view_mut()).run(exec(CACHES[2])).expect("fits");
        for (made_for, run_on) in CACHES.into_iter().flat_map(|made| CACHES.map(|run| (made, run))) {
            let (packed, mut c) = (PackedB::new(exec(made_for), b.view()), Tensor::zeros([20, 70]));
            Gemm::new(a.view(), &packed, c.view_mut()).run(exec(run_on)).expect("fits");
            assert_bits(&format!("{made_for:?} on {run_on:?}"), c.as_slice(), want.as_slice());
        }
    }
}

#[test]
fn a_b_that_was_packed_for_another_isa_is_refused() {
    let (a, b) = (Tensor::<f32, 2>::zeros([3, 4]), Tensor::<f32, 2>::zeros([4, 5]));
    for (made_for, run_on) in AnyIsa::available().zip(AnyIsa::available().skip(1)) {
        let (packed, mut c) = (PackedB::new(Exec::with_isa(made_for, 1), b.view()), Tensor::zeros([3, 5]));
        let error = Gemm::new(a.view(), &packed, c.view_mut()).run(Exec::with_isa(run_on, 1)).expect_err("another ISA");
        assert!(error.to_string().contains(made_for.name()) && error.to_string().contains(run_on.name()), "{error}");
    }
}

#[test]
fn shapes_that_do_not_go_together_are_refused() {
    let (a, b, mut c) = (Tensor::<f32, 2>::zeros([3, 4]), Tensor::<f32, 2>::zeros([5, 6]), Tensor::zeros([3, 6]));
    let packed = PackedB::new(Exec::serial(), b.view());
    let error = Gemm::new(a.view(), &packed, c.view_mut()).run(Exec::serial()).expect_err("4 and 5");
    assert!(matches!(&error, ShapeError::Mismatch { left_name: "A", right_name: "B", .. }), "{error}");
}
