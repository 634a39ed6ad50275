//! The gate of the matrix product against a plain loop over the product without one, and the operations behind it lane
//! by lane.

use tensor::isa::{AnyIsa, Isa, LANES, Op};
use tensor::machine::Caches;
use tensor::{Epilogue, Exec, Gemm, ShapeError, View, ViewMut};
use testkit::compare::assert_bits;
use testkit::poison::Poisoned;
use testkit::rng::Rng;

/// Gates of every kind; a NaN lets the gradient through, as a diverged net must be seen.
const GATES: [f32; 10] =
    [-1.0, -0.0, 0.0, 1e-45, -1e-45, f32::MIN_POSITIVE, 2.5, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];

/// The plain version, after a product without an epilogue.
fn gated(c: &[f32], gates: &[f32]) -> Vec<f32> {
    c.iter().zip(gates).map(|(&c, &gate)| if gate <= 0.0 { 0.0 } else { c }).collect()
}

fn random_gates(rng: &mut Rng, len: usize) -> Vec<f32> {
    (0..len).map(|_| GATES[rng.usize_in(0..GATES.len())]).collect()
}

/// Caches so small that k and the columns are cut several times, and B is packed always.
const TINY: Caches = Caches { l1: 512, l2: 4 << 10, l3: 0 };

/// Widths around half vectors, vectors and the panels of every ISA.
const WIDTHS: [usize; 27] =
    [1, 2, 3, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 40, 41, 47, 48, 49, 55, 56, 57, 63, 64, 65, 70];

#[test]
fn a_gated_product_is_the_product_where_the_gate_is_above_zero_or_nan_and_zero_elsewhere() {
    let mut rng = Rng::new(1);
    let (mut blocked, mut passed) = (0, 0);
    for n in WIDTHS {
        for m in [1, 6, 7, 20] {
            for k in [1, 23] {
                let (mut a, b, before) = (rng.vec_normal(m * k), rng.vec_normal(k * n), rng.vec_normal(m * n));
                if m > 1 {
                    // A row of the product is NaN; where its gate is shut it must be 0 all the same.
                    a[rng.usize_in(0..m) * k] = f32::NAN;
                }
                let a = View::new(&a, [m, k]).expect("fits");
                let gates = random_gates(&mut rng, m * n);
                let stride = n + [0, 3, 16][rng.usize_in(0..3)];
                let gate = Poisoned::matrix(m, n, stride, 9).with_values(&gates);
                let gate = View::with_strides(gate.as_slice(), [m, n], [stride, 1]).expect("fits");
                for isa in AnyIsa::available() {
                    for (caches, beta, transposed) in [
                        (Caches::of_this_machine(), 0.0, false),
                        (Caches::of_this_machine(), -2.0, true),
                        (TINY, 0.0, true),
                        (TINY, 1.0, false),
                    ] {
                        let exec = Exec::with_isa(isa, rng.usize_in(1..4)).in_session().with_caches(caches);
                        let b = if transposed {
                            View::with_strides(&b, [k, n], [1, k]).expect("fits")
                        } else {
                            View::new(&b, [k, n]).expect("fits")
                        };
                        let multiply = |epilogue| {
                            let mut c = Poisoned::matrix(m, n, n + 5, 33);
                            if beta != 0.0 {
                                c = c.with_values(&before);
                            }
                            let view = ViewMut::with_strides(c.as_mut_slice(), [m, n], [n + 5, 1]).expect("fits");
                            let gemm = Gemm::new(a, b, view).beta(beta).epilogue(epilogue);
                            gemm.run(exec).expect("the shapes go together");
                            c.assert_guards_untouched();
                            c.values()
                        };
                        let plain = multiply(Epilogue::None);
                        let want = gated(&plain, &gates);
                        let name = format!("{m}x{k}x{n}, gate stride {stride}, beta {beta} on {}", isa.name());
                        assert_bits(&name, &multiply(Epilogue::Gate(gate)), &want);
                        let open = plain.iter().zip(&want).filter(|(c, want)| c.to_bits() == want.to_bits()).count();
                        (blocked, passed) = (blocked + plain.len() - open, passed + open);
                    }
                }
            }
        }
    }
    assert!(blocked > 10_000 && passed > 10_000, "{blocked} elements blocked, {passed} passed");
}

#[test]
fn the_gate_is_applied_after_alpha_and_in_a_result_whose_columns_are_adjacent() {
    let mut rng = Rng::new(2);
    for (m, k, n) in [(9, 5, 21), (1, 3, 8), (33, 4, 2), (4, 6, 1)] {
        let (a, b, gates) = (rng.vec_normal(m * k), rng.vec_normal(k * n), random_gates(&mut rng, m * n));
        let (a, b) = (View::new(&a, [m, k]).expect("fits"), View::new(&b, [k, n]).expect("fits"));
        let gate = View::new(&gates, [m, n]).expect("fits");
        for isa in AnyIsa::available() {
            for alpha in [1.0, -3.0] {
                let multiply = |epilogue| {
                    let mut c = vec![f32::NAN; m * n];
                    let view = ViewMut::with_strides(&mut c, [m, n], [1, m]).expect("fits");
                    let gemm = Gemm::new(a, b, view).alpha(alpha).epilogue(epilogue);
                    gemm.run(Exec::with_isa(isa, 1)).expect("the shapes go together");
                    // By rows.
                    (0..m * n).map(|at| c[at / n + at % n * m]).collect::<Vec<f32>>()
                };
                let want = gated(&multiply(Epilogue::None), &gates);
                let name = format!("{m}x{k}x{n} times {alpha} by columns on {}", isa.name());
                assert_bits(&name, &multiply(Epilogue::Gate(gate)), &want);
            }
        }
    }
}

#[test]
fn a_gate_of_one_row_repeated_gates_every_row() {
    let mut rng = Rng::new(3);
    let (m, k, n) = (13, 4, 37);
    let (a, b, row) = (rng.vec_normal(m * k), rng.vec_normal(k * n), random_gates(&mut rng, n));
    let (a, b) = (View::new(&a, [m, k]).expect("fits"), View::new(&b, [k, n]).expect("fits"));
    let gate = View::new(&row, [1, n]).and_then(|row| row.broadcast(0, m)).expect("one row");
    for isa in AnyIsa::available() {
        let multiply = |epilogue| {
            let mut c = vec![f32::NAN; m * n];
            let gemm = Gemm::new(a, b, ViewMut::new(&mut c, [m, n]).expect("fits")).epilogue(epilogue);
            gemm.run(Exec::with_isa(isa, 1)).expect("the shapes go together");
            c
        };
        assert_bits(isa.name(), &multiply(Epilogue::Gate(gate)), &gated(&multiply(Epilogue::None), &row.repeat(m)));
    }
}

/// What a 3×2×4 product says of a gate, after which C must be as it was.
fn refusal(gate: View<'_, f32, 2>) -> ShapeError {
    let data = [1.0; 8];
    let mut c = [f32::NAN; 12];
    let (a, b) = (View::new(&data, [3, 2]).expect("fits"), View::new(&data, [2, 4]).expect("fits"));
    let gemm = Gemm::new(a, b, ViewMut::new(&mut c, [3, 4]).expect("fits")).epilogue(Epilogue::Gate(gate));
    let error = gemm.run(Exec::serial()).expect_err("this gate is refused");
    assert!(c.iter().all(|c| c.is_nan()), "written in spite of: {error}");
    error
}

#[test]
fn a_gate_of_another_shape_is_refused_by_its_shape() {
    let data = [1.0; 20];
    for shape in [[4, 3], [3, 3], [3, 5], [1, 4], [2, 4], [4, 4], [12, 1]] {
        let error = refusal(View::new(&data, shape).expect("fits"));
        let named = matches!(&error, ShapeError::Mismatch { left_name: "C", right_name: "the gate", .. });
        assert!(named && error.to_string().contains(&format!("C is [3, 4] but the gate is {shape:?}")), "{error}");
    }
}

#[test]
fn a_gate_whose_columns_are_apart_is_refused_by_its_strides_unless_it_has_one() {
    let data = [-1.0; 40];
    for strides in [[1, 3], [8, 2], [1, 0]] {
        let error = refusal(View::with_strides(&data, [3, 4], strides).expect("fits"));
        assert!(error.to_string().contains(&format!("strides of the gate is {strides:?}")), "{error}");
    }
    for isa in AnyIsa::available() {
        let gates = [0.0, 9.0, 1.0, 9.0, -1.0];
        let gate = View::with_strides(&gates, [3, 1], [2, 7]).expect("fits");
        let (a, mut c) = ([5.0, 6.0, 7.0], [f32::NAN; 3]);
        let to = ViewMut::new(&mut c, [3, 1]).expect("fits");
        let gemm = Gemm::new(View::new(&a, [3, 1]).expect("fits"), View::new(&[1.0], [1, 1]).expect("fits"), to);
        gemm.epilogue(Epilogue::Gate(gate)).run(Exec::with_isa(isa, 1)).expect("one column has no distance");
        assert_bits(isa.name(), &c, &[0.0, 6.0, 0.0]);
    }
}

type Words = [u32; LANES];

/// The gate of a vector, and of its halves, one after the other.
struct Gates([Words; 2]);
impl Op for Gates {
    type Output = [Words; 2];
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Self::Output {
        let [gate, a] = self.0.map(|lanes| lanes.map(f32::from_bits));
        let whole = isa.to_array(isa.gate(isa.load(&gate), isa.load(&a)));
        let mut halves = [0.0_f32; LANES];
        for at in [0, LANES / 2] {
            // SAFETY: eight floats from `at` on are inside of each of the three arrays.
            unsafe {
                let gate = isa.half_load_ptr(gate.as_ptr().add(at));
                let a = isa.half_load_ptr(a.as_ptr().add(at));
                isa.half_store_ptr(isa.half_gate(gate, a), halves.as_mut_ptr().add(at));
            }
        }
        [whole, halves].map(|lanes| lanes.map(f32::to_bits))
    }
}

/// The floats where something happens.
const SPECIAL: [u32; 16] = [
    0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007fffff, 0x807fffff, 0x00800000, 0x80800000, 0x3f800000,
    0xbf800000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc12345,
];

#[test]
fn whole_and_half_vectors_are_gated_lane_by_lane_with_every_bit_kept() {
    let mut rng = Rng::new(4);
    let mut any = || if rng.usize_in(0..3) == 0 { SPECIAL[rng.usize_in(0..16)] } else { rng.next_u64() as u32 };
    let random: Vec<[Words; 2]> = (0..3000).map(|_| [(); 2].map(|()| [(); LANES].map(|()| any()))).collect();
    // Every gate meets every number, each pair in every lane.
    let pairs = (0..16 * LANES).map(|at| -> [Words; 2] {
        let (gate, lane) = (at / LANES, at % LANES);
        let numbers = std::array::from_fn(|i| SPECIAL[(gate + 2 * i + lane) % 16]);
        [std::array::from_fn(|i| SPECIAL[(gate + i) % 16]), numbers]
    });
    let operands: Vec<[Words; 2]> = pairs.chain(random).collect();
    for isa in AnyIsa::available() {
        for &operands in &operands {
            let [gate, a] = operands;
            let want: Words = std::array::from_fn(|i| if f32::from_bits(gate[i]) <= 0.0 { 0 } else { a[i] });
            let [whole, halves] = isa.run(Gates(operands));
            assert_eq!(whole, want, "gate {gate:x?} of {a:x?} on {}", isa.name());
            assert_eq!(halves, want, "half_gate {gate:x?} of {a:x?} on {}", isa.name());
        }
    }
}
