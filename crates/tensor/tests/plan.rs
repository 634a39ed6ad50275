//! Plans: pure values that route by shape, print themselves, and are refused for another shape.

use tensor::isa::AnyIsa;
use tensor::machine::Caches;
use tensor::matmul::{Plan, Zeros};
use tensor::{Exec, Gemm, ShapeError, Tensor, View, ViewMut};
use testkit::compare::assert_bits;
use testkit::rng::Rng;

/// The plan of an m×k×n product of two matrices that are row-major or, where marked, transposed.
fn plan(exec: Exec, [m, k, n]: [usize; 3], [a_transposed, b_transposed]: [bool; 2]) -> Plan {
    let memory = vec![0.0; (m * k).max(k * n).max(m * n)];
    let mut c = memory.clone();
    let view = |[rows, columns]: [usize; 2], transposed| {
        if transposed {
            View::new(&memory[..rows * columns], [columns, rows]).expect("fits").t()
        } else {
            View::new(&memory[..rows * columns], [rows, columns]).expect("fits")
        }
    };
    let c = ViewMut::new(&mut c[..m * n], [m, n]).expect("fits");
    Gemm::new(view([m, k], a_transposed), view([k, n], b_transposed), c).plan(exec)
}

/// One thread for caches of 48 KiB and 2 MiB.
fn exec(isa: AnyIsa) -> Exec {
    Exec::with_isa(isa, 1).with_caches(Caches { l1: 48 << 10, l2: 2 << 20, l3: 0 })
}

const PLAIN: [bool; 2] = [false, false];
const DW: [bool; 2] = [true, false];
const DX: [bool; 2] = [false, true];

#[test]
fn plans_route_by_shape() {
    for exec in AnyIsa::available().map(exec) {
        let text = |shape, transposed| plan(exec, shape, transposed).to_string();
        let holds = |shape, transposed, what: &str| {
            let text = text(shape, transposed);
            assert!(text.contains(what), "{text} without {what:?}");
        };
        holds([100, 100, 100], PLAIN, "B in place, panels first, one thread");
        holds([100, 100, 100], DX, "B packed");
        holds([384, 384, 384], PLAIN, "B in place");
        holds([100, 100, 1024], PLAIN, "B packed");
        holds([20, 100, 1024], PLAIN, "B in place");
        // A tile of AVX-512 takes twice as long for a step: half as many hide its beginning and end.
        let kc = if exec.isa().name() == "avx512" { 512 } else { 1024 };
        holds([1024, 1024, 1024], PLAIN, &format!("B packed in blocks of {kc}x512"));
        holds([4096, 64, 4096], PLAIN, "rows first");
        holds([1024, 512, 1024], DW, "rows of A packed");
        assert!(!text([1024, 512, 1024], PLAIN).contains("rows of A packed"));
        holds([1024, 1024, 1024], DW, &format!("blocks of {}x1024, rows of A packed", kc / 2));
        assert!(!text([784, 100, 100], DW).contains("rows of A packed"), "too few panels");
    }
}

#[test]
fn threads_are_called_where_the_work_repays_it() {
    let exec = |threads, in_session: bool| {
        let exec = Exec::with_isa(AnyIsa::available().last().expect("portable is always there"), threads);
        let exec = exec.with_caches(Caches { l1: 48 << 10, l2: 2 << 20, l3: 0 });
        if in_session { exec.in_session() } else { exec }
    };
    let text = |in_session, shape, transposed| plan(exec(2, in_session), shape, transposed).to_string();
    assert!(text(true, [90, 100, 10], PLAIN).contains("one thread"), "too small for two");
    assert!(text(true, [100, 784, 100], PLAIN).contains("2 chunks of rows"));
    assert!(text(false, [100, 100, 100], PLAIN).contains("one thread"), "too small to wake a thread for");
    assert!(text(false, [512, 512, 512], PLAIN).contains("2 threads"));
    assert!(text(true, [8, 4096, 4096], PLAIN).contains("2 chunks of columns"), "few rows");
    assert!(text(true, [1024, 512, 1024], DW).contains("2 chunks of rows"), "each would pack all rows of A");
    assert!(plan(exec(1, true), [512, 512, 512], PLAIN).to_string().contains("one thread"));
}

#[test]
fn a_plan_is_a_function_of_its_arguments_alone() {
    let mut rng = Rng::new(1);
    for isa in AnyIsa::available() {
        for _ in 0..200 {
            let shape = [(); 3].map(|()| rng.usize_in(1..1200));
            let transposed = [rng.usize_in(0..2) == 1, rng.usize_in(0..2) == 1];
            let [first, second] = [(); 2].map(|()| format!("{:?}", plan(exec(isa), shape, transposed)));
            assert_eq!(first, second);
            let smaller = Exec::with_isa(isa, 1).with_caches(Caches { l1: 1 << 10, l2: 8 << 10, l3: 0 });
            assert_eq!(plan(smaller, shape, transposed).shape(), shape);
        }
    }
}

#[test]
fn a_product_by_a_plan_has_the_bits_of_a_product_without() {
    let mut rng = Rng::new(2);
    for isa in AnyIsa::available() {
        for [m, k, n] in [[1, 1, 1], [16, 16, 16], [33, 40, 65], [100, 10, 104], [40, 0, 9]] {
            let a = Tensor::from_slice(&rng.vec_f32(m * k), [m, k]).expect("fits");
            let b = Tensor::from_slice(&rng.vec_f32(k * n), [k, n]).expect("fits");
            let (mut c, mut expected) = (Tensor::zeros([m, n]), Tensor::zeros([m, n]));
            Gemm::new(a.view(), b.view(), expected.view_mut()).run(exec(isa)).expect("they go together");
            let plan = Gemm::new(a.view(), b.view(), c.view_mut()).plan(exec(isa));
            for zeros in [Zeros::Ask, Zeros::Never] {
                c.as_mut_slice().fill(f32::NAN);
                let gemm = Gemm::new(a.view(), b.view(), c.view_mut()).zeros(zeros);
                gemm.run_planned(&plan).expect("they go together");
                assert_bits(&format!("{plan}"), c.as_slice(), expected.as_slice());
            }
        }
    }
}

#[test]
fn a_plan_of_another_shape_is_an_error_that_names_both() {
    let (a, b) = (Tensor::<f32, 2>::zeros([4, 5]), Tensor::<f32, 2>::zeros([5, 6]));
    let mut c = Tensor::from_fn([4, 6], |_| f32::NAN);
    let mut other = Tensor::zeros([3, 6]);
    let plan = Gemm::new(a.head(3), b.view(), other.view_mut()).plan(Exec::serial());
    let error = Gemm::new(a.view(), b.view(), c.view_mut()).run_planned(&plan).expect_err("another shape");
    assert!(matches!(&error, ShapeError::Mismatch { right_name: "its plan", .. }), "{error}");
    assert!(error.to_string().contains("[4, 5, 6]") && error.to_string().contains("[3, 5, 6]"), "{error}");
    assert!(c.as_slice().iter().all(|c| c.is_nan()), "written in spite of: {error}");
}

#[test]
fn a_plan_of_other_strides_is_not_used_and_the_product_is_right() {
    let mut rng = Rng::new(3);
    let a = Tensor::from_slice(&rng.vec_f32(25), [5, 5]).expect("fits");
    let b = Tensor::from_slice(&rng.vec_f32(30), [5, 6]).expect("fits");
    let (mut c, mut want) = (Tensor::zeros([5, 6]), Tensor::zeros([5, 6]));
    let plan = Gemm::new(a.view(), b.view(), c.view_mut()).plan(Exec::serial());
    Gemm::new(a.view().t(), b.view(), want.view_mut()).run(Exec::serial()).expect("they go together");
    Gemm::new(a.view().t(), b.view(), c.view_mut()).run_planned(&plan).expect("they go together");
    assert_bits("another A", c.as_slice(), want.as_slice());
    let other = Exec::serial().with_caches(Caches { l1: 1 << 10, l2: 8 << 10, l3: 0 });
    Gemm::new(a.view(), b.view(), want.view_mut()).run(Exec::serial()).expect("they go together");
    Gemm::new(a.view(), b.view(), c.view_mut()).run_by(other, Some(&plan)).expect("they go together");
    assert_bits("another exec", c.as_slice(), want.as_slice());
}
