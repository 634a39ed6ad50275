//! Activation functions, forward and backward, in f64.
//!
//! ```text
//! ReLU      y = max(0, x)            dx = dy where x > 0, else 0
//! sigmoid   y = 1 / (1 + e⁻ˣ)        dx = dy·y·(1 − y)
//! tanh      y = tanh x               dx = dy·(1 − y²)
//! ```
//!
//! `backward` takes what the layer keeps: the input for ReLU, the output for sigmoid and tanh. All arrays of a call
//! have the same length.

/// max(x, 0), where NaN stays NaN and a zero of either sign gives +0.
pub fn relu(x: &[f64]) -> Vec<f64> {
    x.iter().map(|&x| if x <= 0.0 { 0.0 } else { x }).collect()
}

/// dx = dy where `x` > 0, else 0: the gradient at 0 is 0.
///
/// # Panics
/// If the lengths differ.
pub fn relu_backward(x: &[f64], dy: &[f64]) -> Vec<f64> {
    zip(x, dy, |x, dy| if x <= 0.0 { 0.0 } else { dy })
}

/// y = 1 / (1 + e⁻ˣ).
pub fn sigmoid(x: &[f64]) -> Vec<f64> {
    x.iter().map(|&x| 1.0 / (1.0 + (-x).exp())).collect()
}

/// dx = dy·y·(1 − y), from the output `y`.
///
/// # Panics
/// If the lengths differ.
pub fn sigmoid_backward(y: &[f64], dy: &[f64]) -> Vec<f64> {
    zip(y, dy, |y, dy| dy * y * (1.0 - y))
}

/// y = tanh x.
pub fn tanh(x: &[f64]) -> Vec<f64> {
    x.iter().map(|&x| x.tanh()).collect()
}

/// dx = dy·(1 − y²), from the output `y`.
///
/// # Panics
/// If the lengths differ.
pub fn tanh_backward(y: &[f64], dy: &[f64]) -> Vec<f64> {
    zip(y, dy, |y, dy| dy * (1.0 - y * y))
}

fn zip(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    assert_eq!(a.len(), b.len(), "an activation and its gradient have the same length");
    a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Bound, assert_close_f64};
    use crate::gradcheck::{assert_gradient_f64, central_difference};
    use std::f64::consts::LN_2;

    const TIGHT: Bound = Bound::Allclose { rtol: 1e-14, atol: 0.0 };

    #[test]
    fn forward_values_worked_by_hand() {
        assert_eq!(relu(&[-2.0, -0.0, 0.0, 3.0]), [0.0, 0.0, 0.0, 3.0]);
        assert!(relu(&[-0.0])[0].is_sign_positive() && relu(&[f64::NAN])[0].is_nan());
        // e^(ln 2) = 2: sigmoid = 1/(1 + 1/2) = 2/3, tanh = (2 − 1/2)/(2 + 1/2) = 3/5.
        assert_close_f64("sigmoid", &sigmoid(&[0.0, LN_2, -LN_2]), &[0.5, 2.0 / 3.0, 1.0 / 3.0], TIGHT);
        assert_close_f64("tanh", &tanh(&[0.0, LN_2, -LN_2]), &[0.0, 0.6, -0.6], TIGHT);
    }

    #[test]
    fn backward_values_worked_by_hand() {
        assert_eq!(relu_backward(&[-2.0, 0.0, -0.0, 3.0], &[5.0; 4]), [0.0, 0.0, 0.0, 5.0]);
        assert_close_f64("sigmoid", &sigmoid_backward(&[2.0 / 3.0], &[9.0]), &[2.0], TIGHT);
        assert_close_f64("tanh", &tanh_backward(&[0.6], &[2.0]), &[1.28], TIGHT);
    }

    type Forward = fn(&[f64]) -> Vec<f64>;
    type Backward = fn(&[f64], &[f64]) -> Vec<f64>;

    #[test]
    fn backward_is_the_slope_of_forward() {
        let x = [-2.5, -0.3, 0.2, 1.1, 3.0, 0.7];
        let dy = [1.0, -2.0, 0.5, 3.0, -1.5, 0.25];
        let cases: [(&str, Forward, Backward, bool); 3] = [
            ("relu", relu, relu_backward, false),
            ("sigmoid", sigmoid, sigmoid_backward, true),
            ("tanh", tanh, tanh_backward, true),
        ];
        for (name, forward, backward, keeps_output) in cases {
            let loss = |x: &[f64]| forward(x).iter().zip(&dy).map(|(y, dy)| y * dy).sum();
            let numeric = central_difference(loss, &x, 1e-5);
            let kept = if keeps_output { forward(&x) } else { x.to_vec() };
            assert_gradient_f64(name, &backward(&kept, &dy), &numeric, 1e-7, 1e-9, 0.6);
        }
    }

    #[test]
    #[should_panic(expected = "same length")]
    fn refuses_a_gradient_of_another_length() {
        relu_backward(&[1.0], &[1.0, 2.0]);
    }
}
