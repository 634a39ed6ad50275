//! Gradients held against central differences.
//!
//! ```text
//! ∂f/∂xᵢ ≈ ( f(x + h·eᵢ) − f(x − h·eᵢ) ) / 2h
//! ```
//!
//! Two gradients that are both zero prove nothing: a batch normalisation of a batch of one, or a dead ReLU, would pass
//! any comparison. So a check here first demands that the numeric gradient is not zero.

use crate::compare::{Bound, Mismatch, check_close, check_close_f64};

/// A gradient element counts as alive above this fraction of the largest, and the largest must be above it absolutely.
const ALIVE: f64 = 1e-6;

/// The gradient of `f` at `x` by central differences, (f(x + h·eᵢ) − f(x − h·eᵢ)) / 2h for each i.
///
/// The truncation error grows as h² and the rounding error as 2⁻⁵³/h; for a function of order one, h = 1e-5 makes both
/// about 1e-10. The result is useless where f is not smooth within h of x, such as at the corner of a ReLU.
///
/// # Panics
/// If `h` is not finite and positive.
pub fn central_difference(mut f: impl FnMut(&[f64]) -> f64, x: &[f64], h: f64) -> Vec<f64> {
    assert!(h.is_finite() && h > 0.0, "central_difference: the step is {h}, want it finite and positive");
    let mut point = x.to_vec();
    let mut slope = |i: usize| {
        let (above, below) = (x[i] + h, x[i] - h);
        point[i] = above;
        let f_above = f(&point);
        point[i] = below;
        let f_below = f(&point);
        point[i] = x[i];
        // The points as they were rounded, not as they were meant.
        (f_above - f_below) / (above - below)
    };
    (0..x.len()).map(&mut slope).collect()
}

/// Checks an analytic gradient against a numeric one, element by element within `atol + rtol·|numeric|`.
///
/// The numeric gradient must not vanish. It is finite, its largest magnitude exceeds 1e-6, and at least `min_fraction`
/// of its elements exceed 1e-6 of that.
///
/// # Errors
/// [`Mismatch::NotFinite`] or [`Mismatch::Vanishing`] if the gradient vanishes, else as [`check_close`].
///
/// # Panics
/// If `min_fraction` is not in (0, 1].
pub fn check_gradient(
    analytic: &[f32],
    numeric: &[f64],
    rtol: f64,
    atol: f64,
    min_fraction: f64,
) -> Result<(), Mismatch> {
    check_alive(numeric, min_fraction)?;
    check_close(analytic, numeric, Bound::Allclose { rtol, atol })
}

/// [`check_gradient`], or a panic that says `name` and what was wrong.
///
/// # Panics
/// If the check fails, or `min_fraction` is not in (0, 1].
#[track_caller]
pub fn assert_gradient(name: &str, analytic: &[f32], numeric: &[f64], rtol: f64, atol: f64, min_fraction: f64) {
    if let Err(mismatch) = check_gradient(analytic, numeric, rtol, atol, min_fraction) {
        panic!("gradient of {name}: {mismatch}");
    }
}

/// [`assert_gradient`] for a gradient that is `f64` itself, such as that of a reference.
///
/// # Panics
/// As [`assert_gradient`].
#[track_caller]
pub fn assert_gradient_f64(name: &str, analytic: &[f64], numeric: &[f64], rtol: f64, atol: f64, min_fraction: f64) {
    let bound = Bound::Allclose { rtol, atol };
    let checked = check_alive(numeric, min_fraction).and_then(|()| check_close_f64(analytic, numeric, bound));
    if let Err(mismatch) = checked {
        panic!("gradient of {name}: {mismatch}");
    }
}

/// Refuses a gradient that is not finite, or nearly all zero.
fn check_alive(numeric: &[f64], min_fraction: f64) -> Result<(), Mismatch> {
    assert!(min_fraction > 0.0 && min_fraction <= 1.0, "min_fraction is {min_fraction}, want it in (0, 1]");
    if let Some(index) = numeric.iter().position(|x| !x.is_finite()) {
        return Err(Mismatch::NotFinite { index, want: numeric[index] });
    }
    let max = numeric.iter().map(|x| x.abs()).fold(0.0, f64::max);
    let alive = numeric.iter().filter(|x| x.abs() > ALIVE * max).count();
    let required = (min_fraction * numeric.len() as f64).ceil() as usize;
    if max > ALIVE && alive >= required {
        Ok(())
    } else {
        Err(Mismatch::Vanishing { max, alive, len: numeric.len(), required })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::assert_close_f64;

    #[test]
    fn difference_of_a_polynomial_and_of_an_exponential() {
        // f = x²·y + exp(z): ∂f = (2xy, x², exp(z)) = (-12, 9, 1) at (3, -2, 0).
        let f = |v: &[f64]| v[0] * v[0] * v[1] + v[2].exp();
        let got = central_difference(f, &[3.0, -2.0, 0.0], 1e-5);
        assert_close_f64("difference", &got, &[-12.0, 9.0, 1.0], Bound::Allclose { rtol: 1e-9, atol: 0.0 });
    }

    #[test]
    fn accepts_the_gradient_and_refuses_wrong_ones() {
        let numeric = [-12.0, 9.0, 1.0, 0.5];
        let check = |analytic: &[f32]| check_gradient(analytic, &numeric, 1e-3, 1e-6, 0.5);
        assert_eq!(check(&[-12.001, 9.001, 1.0005, 0.5]), Ok(()));
        for wrong in
            [[0.0; 4], [-24.0, 18.0, 2.0, 1.0], [12.0, -9.0, -1.0, -0.5], [-12.0, 9.0, 1.0, 0.6], [f32::NAN; 4]]
        {
            assert!(check(&wrong).is_err(), "{wrong:?}");
        }
        assert!(check(&[-12.0, 9.0, 1.0]).is_err(), "truncated");
    }

    #[test]
    fn refuses_to_compare_zeros_with_zeros() {
        let vanishing = |got: Result<(), Mismatch>| matches!(got, Err(Mismatch::Vanishing { .. }));
        assert!(vanishing(check_gradient(&[0.0; 4], &[0.0; 4], 1e-3, 1e-6, 0.5)));
        assert!(vanishing(check_gradient(&[1e-9; 4], &[1e-9; 4], 1e-3, 0.0, 0.5)), "all tiny");
        assert!(vanishing(check_gradient(&[1.0, 0.0, 0.0, 0.0], &[1.0, 0.0, 0.0, 0.0], 1e-3, 0.0, 0.5)), "one alive");
        assert!(vanishing(check_gradient(&[], &[], 1e-3, 0.0, 0.5)), "empty");
        assert_eq!(check_gradient(&[1.0, 0.0, 0.0, 0.0], &[1.0, 0.0, 0.0, 0.0], 1e-3, 0.0, 0.25), Ok(()));
    }

    #[test]
    fn refuses_to_compare_nan_with_nan() {
        for bad in [f64::NAN, f64::INFINITY] {
            let got = check_gradient(&[1.0, 2.0, bad as f32], &[1.0, 2.0, bad], 1e-3, 0.0, 0.5);
            assert!(matches!(got, Err(Mismatch::NotFinite { index: 2, .. })), "{got:?}");
        }
    }

    #[test]
    #[should_panic(expected = "gradient of w: the bound has no power")]
    fn refuses_a_tolerance_that_accepts_anything() {
        assert_gradient("w", &[1.0, 2.0], &[1.0, 2.0], 1.0, 1e-6, 0.5);
    }

    #[test]
    #[should_panic(expected = "min_fraction is 0")]
    fn refuses_to_require_nothing() {
        assert_gradient("w", &[1.0], &[1.0], 1e-3, 0.0, 0.0);
    }
}
