//! Every rung of the ladder against the same reference as the real thing, on every ISA.

use tensor::Exec;
use tensor::gemm::ladder::{Operands, RUNGS};
use tensor::isa::AnyIsa;
use testkit::compare::{Bound, assert_bits, assert_close};
use testkit::gemm::{Epilogue, Gemm};
use testkit::rng::Rng;

/// Below, at and above the tiles and blocks of the rungs, and nothing at all.
const SHAPES: [[usize; 3]; 14] = [
    [1, 1, 1],
    [3, 5, 7],
    [4, 9, 8],
    [5, 1, 9],
    [6, 17, 64],
    [7, 16, 65],
    [13, 128, 16],
    [12, 129, 100],
    [31, 385, 33],
    [2, 20, 513],
    [100, 100, 10],
    [0, 3, 4],
    [3, 0, 4],
    [3, 4, 0],
];

#[test]
fn every_rung_gives_the_product_within_the_bound_on_every_isa_and_overwrites_what_stood_there() {
    let mut rng = Rng::new(1);
    for [m, k, n] in SHAPES {
        let (a, b) = (rng.vec_f32(m * k), rng.vec_f32(k * n));
        let want = Gemm::product(m, n, k, &a, &b).reference();
        for isa in AnyIsa::available() {
            for rung in RUNGS {
                for threads in [1, 3] {
                    let mut c = vec![f32::NAN; m * n];
                    let operands = Operands { m, k, n, a: &a, b: &b, c: &mut c };
                    rung.run(Exec::with_isa(isa, threads), operands);
                    let name = format!("{} {m}x{k}x{n} on {} with {threads}", rung.name, isa.name());
                    assert_close(&name, &c, &want.values, Bound::PerElement(&want.bounds()));
                }
            }
        }
    }
}

#[test]
fn the_rungs_with_fused_multiply_adds_give_the_bits_of_the_real_thing() {
    let mut rng = Rng::new(2);
    let [m, k, n] = [23, 400, 70];
    let (a, b) = (rng.vec_f32(m * k), rng.vec_f32(k * n));
    let want = Gemm::product(m, n, k, &a, &b).chain(Epilogue::default());
    for isa in AnyIsa::available() {
        for rung in RUNGS.iter().filter(|rung| ["simd", "threads"].contains(&rung.name)) {
            let mut c = vec![f32::NAN; m * n];
            rung.run(Exec::with_isa(isa, 2), Operands { m, k, n, a: &a, b: &b, c: &mut c });
            assert_bits(rung.name, &c, &want);
        }
    }
}

#[test]
#[should_panic(expected = "A, B and C of a 2x2x2 product")]
fn operands_of_another_length_are_refused() {
    let (a, b, mut c) = ([0.0; 4], [0.0; 3], [0.0; 4]);
    RUNGS[0].run(Exec::serial(), Operands { m: 2, k: 2, n: 2, a: &a, b: &b, c: &mut c });
}
