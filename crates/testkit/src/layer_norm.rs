//! Layer normalisation in f64, forward and backward.
//!
//! X and Y are row-major batch×features. Per row, over its features:
//!
//! ```text
//! μ = mean(x)    xc = x − μ    σ² = mean(xc²)    s = √(σ² + ε)    x̂ = xc / s    y = γ·x̂ + β        ε = 1e-5
//! ```
//!
//! γ and β have one number a feature. Training and inference are the same: nothing is carried from batch to batch.

/// What is added to the variance before its root is taken, as in `torch.nn.LayerNorm`.
pub const EPSILON: f64 = 1e-5;

/// The sizes of the batch that the layer works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerNorm {
    /// Rows of X.
    pub batch: usize,
    /// Columns of X.
    pub features: usize,
}

/// What the loss gradient is for each operand.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// batch×features.
    pub dx: Vec<f64>,
    /// One number a feature.
    pub dgamma: Vec<f64>,
    /// One number a feature.
    pub dbeta: Vec<f64>,
}

impl LayerNorm {
    /// Y, batch×features.
    ///
    /// # Panics
    /// If a length contradicts the sizes, or there are no features.
    pub fn forward(&self, x: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
        self.check_sizes(x, &[gamma, beta]);
        let mut y = Vec::with_capacity(x.len());
        for x in x.chunks(self.features) {
            let centre = mean(x.iter().copied());
            let variance = mean(x.iter().map(|x| (x - centre).powi(2)));
            let std = (variance + EPSILON).sqrt();
            y.extend(x.iter().zip(gamma.iter().zip(beta)).map(|(x, (gamma, beta))| gamma * (x - centre) / std + beta));
        }
        y
    }

    /// The gradients of a training step, `x` being its input and `dy` batch×features.
    ///
    /// Written node by node as the computational graph is walked backwards; nothing is simplified, so that each line
    /// can be checked against the graph.
    ///
    /// # Panics
    /// If a length contradicts the sizes, or there are no features.
    pub fn backward(&self, x: &[f64], gamma: &[f64], dy: &[f64]) -> Gradients {
        self.check_sizes(x, &[gamma]);
        assert_eq!(dy.len(), x.len(), "dY is {}×{}", self.batch, self.features);
        let features = self.features as f64;
        let mut dx = Vec::with_capacity(x.len());
        let (mut dgamma, mut dbeta) = (vec![0.0; self.features], vec![0.0; self.features]);
        for (x, dy) in x.chunks(self.features).zip(dy.chunks(self.features)) {
            let each = |value: &dyn Fn(usize) -> f64| (0..self.features).map(value).collect::<Vec<f64>>();

            // The forward nodes.
            let centre = mean(x.iter().copied());
            let centred = each(&|f| x[f] - centre);
            let variance = mean(centred.iter().map(|c| c * c));
            let std = (variance + EPSILON).sqrt();
            let normalised = each(&|f| centred[f] / std);

            // y = γ·x̂ + β, where every row has the same γ and β
            for f in 0..self.features {
                dgamma[f] += dy[f] * normalised[f];
                dbeta[f] += dy[f];
            }
            let dnormalised = each(&|f| dy[f] * gamma[f]);
            // x̂ = xc / s, a node with two inputs
            let dcentred_numerator = each(&|f| dnormalised[f] / std);
            let dstd: f64 = dnormalised.iter().zip(&centred).map(|(d, c)| -d * c / (std * std)).sum();
            // s = √(σ² + ε)
            let dvariance = dstd * 0.5 / std;
            // σ² = mean(xc²)
            let dcentred_square = each(&|f| dvariance * 2.0 * centred[f] / features);
            // xc feeds two nodes, so its gradients add
            let dcentred = each(&|f| dcentred_numerator[f] + dcentred_square[f]);
            // xc = x − μ
            let dmean = -dcentred.iter().sum::<f64>();
            // μ = mean(x); x feeds two nodes as well
            dx.extend(dcentred.iter().map(|d| d + dmean / features));
        }
        Gradients { dx, dgamma, dbeta }
    }

    fn check_sizes(&self, x: &[f64], per_feature: &[&[f64]]) {
        assert!(self.features > 0, "a row without features has no mean");
        assert_eq!(x.len(), self.batch * self.features, "X is {}×{}", self.batch, self.features);
        for values in per_feature {
            assert_eq!(values.len(), self.features, "γ and β have one number a feature");
        }
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Bound, assert_close_f64};
    use crate::gradcheck::{assert_gradient_f64, central_difference};
    use crate::rng::Rng;
    use crate::vector::widen;

    const TIGHT: Bound = Bound::Allclose { rtol: 1e-14, atol: 0.0 };

    #[test]
    fn forward_values_worked_by_hand() {
        // 1, 3, 5, 7 has mean 4 and variance 5. 2, 2, -2, -2 has 0 and 4. 3, 3, 3, 3 has 3 and 0.
        let x = [1.0, 3.0, 5.0, 7.0, 2.0, 2.0, -2.0, -2.0, 3.0, 3.0, 3.0, 3.0];
        let (gamma, beta) = ([2.0, -1.0, 1.0, 3.0], [10.0, 0.0, 0.0, -5.0]);
        let (s, t) = ((5.0 + 1e-5_f64).sqrt(), (4.0 + 1e-5_f64).sqrt());
        let want = [
            [2.0 * -3.0 / s + 10.0, 1.0 / s, 1.0 / s, 3.0 * 3.0 / s - 5.0],
            [2.0 * 2.0 / t + 10.0, -2.0 / t, -2.0 / t, 3.0 * -2.0 / t - 5.0],
            beta,
        ];
        let got = LayerNorm { batch: 3, features: 4 }.forward(&x, &gamma, &beta);
        assert_close_f64("y", &got, &want.concat(), TIGHT);
    }

    #[test]
    fn backward_value_worked_by_hand() {
        // Two features ±1 around their mean: x̂ = ∓1/s with s² = 1 + ε. With dx̂ = (1, 0): the mean of dx̂ is ½, that of
        // dx̂·x̂ is -1/(2s), so dx = (½ - 1/(2s²), -½ + 1/(2s²)) / s.
        let got = LayerNorm { batch: 1, features: 2 }.backward(&[4.0, 6.0], &[0.5, 7.0], &[2.0, 0.0]);
        let s = (1.0 + EPSILON).sqrt();
        let slope = (0.5 - 0.5 / (s * s)) / s;
        // The difference is 5e-6 of its terms: five digits are lost.
        assert_close_f64("dx", &got.dx, &[slope, -slope], Bound::Allclose { rtol: 1e-10, atol: 0.0 });
        assert_close_f64("dγ", &got.dgamma, &[-2.0 / s, 0.0], TIGHT);
        assert_close_f64("dβ", &got.dbeta, &[2.0, 0.0], TIGHT);
    }

    #[test]
    fn backward_is_the_slope_of_forward() {
        let mut rng = Rng::new(6);
        let mut draw = |n| widen(&rng.vec_normal(n));
        for (batch, features) in [(4, 7), (6, 3)] {
            let (x, gamma, beta) = (draw(batch * features), draw(features), draw(features));
            let dy = draw(batch * features);
            let layer = LayerNorm { batch, features };
            let loss = |x: &[f64], gamma: &[f64], beta: &[f64]| {
                layer.forward(x, gamma, beta).iter().zip(&dy).map(|(y, dy)| y * dy).sum()
            };
            let got = layer.backward(&x, &gamma, &dy);
            let check = |name: &str, analytic: &[f64], numeric: &[f64]| {
                assert_gradient_f64(name, analytic, numeric, 1e-6, 1e-8, 1.0);
            };
            check("x", &got.dx, &central_difference(|x| loss(x, &gamma, &beta), &x, 1e-5));
            check("γ", &got.dgamma, &central_difference(|gamma| loss(&x, gamma, &beta), &gamma, 1e-5));
            check("β", &got.dbeta, &central_difference(|beta| loss(&x, &gamma, beta), &beta, 1e-5));
        }
    }

    #[test]
    #[should_panic(expected = "γ and β have one number a feature")]
    fn refuses_a_gamma_of_another_width() {
        LayerNorm { batch: 1, features: 2 }.forward(&[1.0, 2.0], &[1.0], &[0.0, 0.0]);
    }
}
