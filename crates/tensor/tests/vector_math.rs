//! The elementary functions against f64, over samples of all floats (always) or all of them (ignored, minutes).

use tensor::exec::Exec;
use tensor::isa::AnyIsa;
use tensor::vec;

type Kernel = fn(Exec, &[f32], &mut [f32]);
/// Name, kernel, reference, greatest error allowed in ULP.
type Function = (&'static str, Kernel, fn(f64) -> f64, f64);

const FUNCTIONS: [Function; 4] = [
    ("exp", vec::exp, f64::exp, 1.02),
    ("ln", vec::ln, f64::ln, 1.0),
    ("tanh", vec::tanh, f64::tanh, 2.0),
    ("sigmoid", vec::sigmoid, |x| if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }, 2.0),
];

const CHUNK: usize = 1 << 12;

/// The greatest error over the floats whose bits are `first, first + step, …` and the place of it.
fn worst(isa: AnyIsa, f: Kernel, reference: fn(f64) -> f64, first: u64, end: u64, step: u64) -> (f64, f32) {
    let exec = Exec::with_isa(isa, 1);
    let (mut x, mut y) = (vec![0.0_f32; CHUNK], vec![0.0_f32; CHUNK]);
    let (mut worst, mut at) = (0.0, 0.0);
    let mut bits = first;
    while bits < end {
        for x in &mut x {
            *x = f32::from_bits(bits.min(end - 1) as u32);
            bits += step;
        }
        f(exec, &x, &mut y);
        for (&x, &y) in x.iter().zip(&y) {
            let want = reference(f64::from(x));
            let error = if want.is_nan() && y.is_nan() { 0.0 } else { testkit::ulp::ulp_error(y, want) };
            if error.is_nan() || error > worst {
                (worst, at) = (error, x);
            }
        }
    }
    (worst, at)
}

#[test]
fn elementary_functions_stay_within_their_bound_on_every_isa() {
    for isa in AnyIsa::available() {
        for (name, f, reference, bound) in FUNCTIONS {
            let (error, at) = worst(isa, f, reference, 0, 1 << 32, 4093);
            assert!(error <= bound, "{name} on {}: {error} ULP at {at:e}", isa.name());
        }
    }
}

#[test]
fn tanh_of_a_zero_is_that_zero() {
    for isa in AnyIsa::available() {
        let mut y = [1.0; 2];
        vec::tanh(Exec::with_isa(isa, 1), &[0.0, -0.0], &mut y);
        assert_eq!(y.map(f32::to_bits), [0.0_f32, -0.0].map(f32::to_bits), "{}", isa.name());
    }
}

#[test]
#[ignore = "all 2^32 floats: minutes"]
fn elementary_functions_stay_within_their_bound_over_all_floats() {
    let isa = AnyIsa::available().last().expect("portable is always there");
    for (name, f, reference, bound) in FUNCTIONS {
        let halves = [(0, 1 << 31), (1 << 31, 1 << 32)];
        let found: Vec<(f64, f32)> = std::thread::scope(|scope| {
            let runs = halves.map(|(from, to)| scope.spawn(move || worst(isa, f, reference, from, to, 1)));
            runs.into_iter().map(|run| run.join().expect("the worker ended")).collect()
        });
        for (error, at) in found {
            println!("{name}: {error:.4} ULP at {at:e}");
            assert!(error <= bound, "{name} on {}: {error} ULP at {at:e}", isa.name());
        }
    }
}

#[test]
fn elementary_functions_have_the_same_bits_on_every_isa() {
    let x: Vec<f32> = (0..1_u64 << 32).step_by(65_521).map(|bits| f32::from_bits(bits as u32)).collect();
    for (name, f, ..) in FUNCTIONS {
        let results: Vec<Vec<f32>> = AnyIsa::available()
            .map(|isa| {
                let mut y = vec![0.0; x.len()];
                f(Exec::with_isa(isa, 1), &x, &mut y);
                y
            })
            .collect();
        for result in &results[1..] {
            testkit::compare::assert_bits(name, result, &results[0]);
        }
    }
}

#[test]
fn every_length_up_to_three_vectors_is_written_and_no_more() {
    for isa in AnyIsa::available() {
        for len in 0..=48 {
            let x: Vec<f32> = (0..len).map(|i| i as f32 / 7.0 - 3.0).collect();
            let mut y = vec![f32::NAN; len + 16];
            vec::exp(Exec::with_isa(isa, 1), &x, &mut y[..len]);
            for (x, y) in x.iter().zip(&y) {
                assert!(testkit::ulp::ulp_error(*y, f64::from(*x).exp()) <= 1.02);
            }
            assert!(y[len..].iter().all(|y| y.is_nan()), "{} wrote past {len}", isa.name());
        }
    }
}
