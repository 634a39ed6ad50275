//! The square root without the divider against f64: over samples of every exponent (always) or all floats it is for
//! (ignored).

use tensor::exec::Exec;
use tensor::isa::AnyIsa;
use tensor::vec::sqrt;
use testkit::compare::assert_bits;
use testkit::ulp::ulp_error;

/// The greatest error that is documented, in ULP.
const BOUND: f64 = 2.0;
/// What the root of a subnormal number is at most.
const SUBNORMAL: f32 = 1.1e-19;

/// The bits of the first normal float, and of infinity, which follows the last.
const NORMAL: u32 = 0x0080_0000;
const INFINITY: u32 = 0x7f80_0000;

fn roots(isa: AnyIsa, x: &[f32]) -> Vec<f32> {
    let mut y = vec![f32::NAN; x.len()];
    sqrt(Exec::with_isa(isa, 1), x, &mut y);
    y
}

/// Whether `y` is a root of `x` ≥ 0 as documented.
fn is_root(x: f32, y: f32) -> bool {
    if x.is_subnormal() { (0.0..=SUBNORMAL).contains(&y) } else { ulp_error(y, f64::from(x).sqrt()) <= BOUND }
}

#[test]
fn roots_stay_within_their_bound_at_the_ends_and_in_the_middle_of_every_exponent() {
    for exponent in 1..255_u32 {
        let first = exponent << 23;
        let middle = (first..first + (1 << 23)).step_by(1021);
        // The ends, where a product of mantissas passes a power of two.
        let bits = (first - 64..first + 64).chain(middle).chain(first + (1 << 23) - 64..first + (1 << 23));
        let x: Vec<f32> = bits.map(f32::from_bits).filter(|x| x.is_normal()).collect();
        assert!(x.len() > 8000, "{} samples of exponent {exponent}", x.len());
        for isa in AnyIsa::available() {
            for (&x, y) in x.iter().zip(roots(isa, &x)) {
                let error = ulp_error(y, f64::from(x).sqrt());
                assert!(error <= BOUND, "{}: {error} ULP at {x:e}", isa.name());
            }
        }
    }
}

/// Checks the floats whose bits are in a range.
fn check_all(isa: AnyIsa, range: std::ops::Range<u32>) {
    for start in range.clone().step_by(1 << 12) {
        let x: Vec<f32> = (start..range.end.min(start + (1 << 12))).map(f32::from_bits).collect();
        for (x, y) in x.iter().zip(roots(isa, &x)) {
            assert!(is_root(*x, y), "{}: {y:e} at {x:e}", isa.name());
        }
    }
}

#[test]
#[ignore = "all 2^31 floats that are not negative: a minute"]
fn roots_stay_within_their_bound_over_all_floats_that_are_not_negative() {
    let isa = AnyIsa::available().last().expect("portable is always there");
    let middle = INFINITY / 2;
    std::thread::scope(|scope| {
        scope.spawn(|| check_all(isa, 0..middle));
        check_all(isa, middle..INFINITY + 1);
    });
}

#[test]
fn the_roots_of_zero_infinity_and_nan_are_exact() {
    for isa in AnyIsa::available() {
        // Together and apart, in every lane of a vector and in its rest.
        for len in 1..40 {
            for x in [0.0, -0.0, f32::INFINITY, f32::NAN, -f32::NAN] {
                assert_bits(&format!("the root of {x} on {}", isa.name()), &roots(isa, &vec![x; len]), &vec![x; len]);
            }
        }
        let x = [0.0, f32::INFINITY, f32::NAN, 1.0, -0.0, 4.0, f32::NAN, 0.0];
        let y = roots(isa, &x);
        for at in [0, 1, 2, 4, 6, 7] {
            assert_bits(isa.name(), &y[at..=at], &x[at..=at]);
        }
        assert!(is_root(1.0, y[3]) && is_root(4.0, y[5]), "{}: {y:?}", isa.name());
    }
}

#[test]
fn the_root_of_a_subnormal_number_is_finite_and_small() {
    let edges = [1, 2, 3, NORMAL - 2, NORMAL - 1];
    let x: Vec<f32> = (1..NORMAL).step_by(509).chain(edges).map(f32::from_bits).collect();
    for isa in AnyIsa::available() {
        for (x, y) in x.iter().zip(roots(isa, &x)) {
            assert!(x.is_subnormal() && (0.0..=SUBNORMAL).contains(&y), "{}: {y:e} at {x:e}", isa.name());
        }
    }
}

#[test]
fn roots_have_the_same_bits_on_every_isa() {
    // Of all floats: also of those it is not for.
    let x: Vec<f32> = (0..=u32::MAX).step_by(65_521).map(f32::from_bits).collect();
    let results: Vec<Vec<f32>> = AnyIsa::available().map(|isa| roots(isa, &x)).collect();
    for (isa, result) in AnyIsa::available().zip(&results) {
        assert_bits(isa.name(), result, &results[0]);
    }
    // And once more where it is for, with other samples.
    let x: Vec<f32> = (0..=INFINITY).step_by(8_191).map(f32::from_bits).collect();
    let results: Vec<Vec<f32>> = AnyIsa::available().map(|isa| roots(isa, &x)).collect();
    for (isa, result) in AnyIsa::available().zip(&results) {
        assert_bits(isa.name(), result, &results[0]);
    }
}

#[test]
fn every_length_up_to_three_vectors_is_written_and_no_more() {
    for isa in AnyIsa::available() {
        for len in 0..=48 {
            let x: Vec<f32> = (0..len).map(|i| i as f32 / 7.0).collect();
            let mut y = vec![f32::NAN; len + 16];
            sqrt(Exec::with_isa(isa, 1), &x, &mut y[..len]);
            assert!(x.iter().zip(&y).all(|(&x, &y)| is_root(x, y)), "{len} on {}", isa.name());
            assert!(y[len..].iter().all(|y| y.is_nan()), "{} wrote past {len}", isa.name());
        }
    }
}

#[test]
#[should_panic(expected = "input and output of a map")]
fn an_output_of_another_length_is_refused() {
    sqrt(Exec::serial(), &[1.0; 3], &mut [0.0; 4]);
}
