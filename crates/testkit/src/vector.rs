//! Element-wise functions and sums of `f32` data in f64, by `std`.
//!
//! A result of `std` in f64 is within about one unit of its own last place, which is 2⁻²⁹ of an f32 unit. So the error
//! of an f32 kernel can be measured to a hundredth of a unit.

/// The same numbers as `f64`.
pub fn widen(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// The numbers rounded to `f32`.
pub fn narrow(x: &[f64]) -> Vec<f32> {
    x.iter().map(|&x| x as f32).collect()
}

/// eˣ.
pub fn exp(x: &[f32]) -> Vec<f64> {
    map(x, f64::exp)
}

/// ln x; NaN below zero, −∞ at zero.
pub fn ln(x: &[f32]) -> Vec<f64> {
    map(x, f64::ln)
}

/// tanh x.
pub fn tanh(x: &[f32]) -> Vec<f64> {
    map(x, f64::tanh)
}

/// 1 / (1 + e⁻ˣ).
pub fn sigmoid(x: &[f32]) -> Vec<f64> {
    map(x, |x| 1.0 / (1.0 + (-x).exp()))
}

/// Σ x, accumulated in f64 from the first to the last.
pub fn sum(x: &[f32]) -> f64 {
    x.iter().map(|&x| f64::from(x)).sum()
}

/// How far an f32 sum of `x` may be from [`sum`], whatever its order: (n−1)·u / (1 − (n−1)·u)·Σ|x| with u = 2⁻²⁴.
///
/// # Panics
/// If n is so large (2²³) that the bound means nothing.
pub fn sum_bound(x: &[f32]) -> f64 {
    let relative = x.len().saturating_sub(1) as f64 * 2f64.powi(-24);
    assert!(relative < 0.5, "sum_bound: a sum of {} terms has no significant bits in f32", x.len());
    relative / (1.0 - relative) * x.iter().map(|&x| f64::from(x).abs()).sum::<f64>()
}

fn map(x: &[f32], f: impl Fn(f64) -> f64) -> Vec<f64> {
    x.iter().map(|&x| f(f64::from(x))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Bound, assert_close_f64};
    use std::f64::consts::{E, LN_2};

    const TIGHT: Bound = Bound::Allclose { rtol: 1e-14, atol: 0.0 };

    #[test]
    fn functions_at_known_points() {
        assert_close_f64("exp", &exp(&[0.0, 1.0, -1.0]), &[1.0, E, 1.0 / E], TIGHT);
        assert_close_f64("ln", &ln(&[1.0, 2.0, 0.25]), &[0.0, LN_2, -2.0 * LN_2], TIGHT);
        assert_eq!(ln(&[0.0])[0], f64::NEG_INFINITY);
        assert!(ln(&[-1.0])[0].is_nan());
        // tanh x = (e²ˣ − 1) / (e²ˣ + 1)
        assert_close_f64("tanh", &tanh(&[0.0, 1.0]), &[0.0, (E * E - 1.0) / (E * E + 1.0)], TIGHT);
        assert_close_f64("sigmoid", &sigmoid(&[0.0, 1.0, -1.0]), &[0.5, E / (E + 1.0), 1.0 / (E + 1.0)], TIGHT);
        assert_eq!(sigmoid(&[-1e9, 1e9]), [0.0, 1.0]);
    }

    #[test]
    fn sums_do_not_round_in_f32() {
        // In f32, 2²⁴ + 1 is 2²⁴.
        let x = [16_777_216.0, 1.0, 1.0, -3.0];
        assert_eq!(sum(&x), 16_777_215.0);
        let in_f32: f32 = x.iter().sum();
        assert!((f64::from(in_f32) - sum(&x)).abs() <= sum_bound(&x));
        assert_eq!((sum(&[]), sum_bound(&[]), sum_bound(&[5.0])), (0.0, 0.0, 0.0));
    }

    #[test]
    fn widening_is_exact_and_narrowing_rounds() {
        assert_eq!(widen(&[0.1]), [f64::from(0.1f32)]);
        assert_eq!(narrow(&[0.1, 1e300]), [0.1, f32::INFINITY]);
    }
}
