//! Batch normalisation in f64: training forward, backward, and inference.
//!
//! X and Y are row-major batch×features. Per feature, over the batch:
//!
//! ```text
//! μ = mean(x)    xc = x − μ    σ² = mean(xc²)    s = √(σ² + ε)    x̂ = xc / s    y = γ·x̂ + β
//! ```
//!
//! | preset | ε | running ← 0.9·running + 0.1·batch | running values start at |
//! |---|---|---|---|
//! | [`Preset::Book`] | 1e-6 | with the biased variance σ² | 0 and 0 |
//! | [`Preset::Torch`] | 1e-5 | with the unbiased variance σ²·B/(B − 1) | mean 0, variance 1 |

use crate::preset::Preset;

/// The share of the running values that survives a batch.
const KEPT: f64 = 0.9;

/// The sizes and conventions of the layer and of the batch it works on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// Whose ε and running variance.
    pub preset: Preset,
    /// Rows of X.
    pub batch: usize,
    /// Columns of X.
    pub features: usize,
}

/// Statistics carried from batch to batch for inference, one number a feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// Of the batch means.
    pub mean: Vec<f64>,
    /// Of the batch variances.
    pub variance: Vec<f64>,
}

/// What the training forward gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// batch×features.
    pub y: Vec<f64>,
    /// x̂, batch×features.
    pub normalised: Vec<f64>,
    /// μ of this batch, one number a feature.
    pub mean: Vec<f64>,
    /// σ² of this batch, biased, one number a feature.
    pub variance: Vec<f64>,
    /// The running values after this batch.
    pub running: Running,
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

impl Running {
    /// The values before the first batch.
    pub fn start(preset: Preset, features: usize) -> Self {
        let variance = match preset {
            Preset::Book => 0.0,
            Preset::Torch => 1.0,
        };
        Self { mean: vec![0.0; features], variance: vec![variance; features] }
    }
}

impl BatchNorm {
    /// What is added to the variance before its root is taken.
    pub fn epsilon(&self) -> f64 {
        match self.preset {
            Preset::Book => 1e-6,
            Preset::Torch => 1e-5,
        }
    }

    /// Normalises with the statistics of this batch, and updates the running ones.
    ///
    /// # Panics
    /// If a length contradicts the sizes, the batch is empty, or the preset is Torch and the batch has one row only
    /// (its unbiased variance is 0/0).
    pub fn forward(&self, x: &[f64], gamma: &[f64], beta: &[f64], running: &Running) -> Forward {
        self.check_sizes(x, &[gamma, beta, &running.mean, &running.variance]);
        let batch = self.batch as f64;
        let mean = self.per_feature(|f| self.column(x, f).sum::<f64>() / batch);
        let variance = self.per_feature(|f| self.column(x, f).map(|x| (x - mean[f]).powi(2)).sum::<f64>() / batch);
        let normalised = self.per_element(|i, f| (x[i] - mean[f]) / (variance[f] + self.epsilon()).sqrt());
        let y = self.per_element(|i, f| gamma[f] * normalised[i] + beta[f]);
        let correction = match self.preset {
            Preset::Book => 1.0,
            Preset::Torch => {
                assert!(self.batch > 1, "the unbiased variance of a batch of one is 0/0");
                batch / (batch - 1.0)
            }
        };
        let running = Running {
            mean: self.per_feature(|f| KEPT * running.mean[f] + (1.0 - KEPT) * mean[f]),
            variance: self.per_feature(|f| KEPT * running.variance[f] + (1.0 - KEPT) * correction * variance[f]),
        };
        Forward { y, normalised, mean, variance, running }
    }

    /// The gradients of a training step, `x` being its input and `dy` batch×features.
    ///
    /// Written node by node as the computational graph is walked backwards; nothing is simplified, so that each line
    /// can be checked against the graph.
    ///
    /// # Panics
    /// If a length contradicts the sizes, or the batch is empty.
    pub fn backward(&self, x: &[f64], gamma: &[f64], dy: &[f64]) -> Gradients {
        self.check_sizes(x, &[gamma]);
        assert_eq!(dy.len(), x.len(), "dY is {}×{}", self.batch, self.features);
        let batch = self.batch as f64;

        // The forward nodes.
        let mean = self.per_feature(|f| self.column(x, f).sum::<f64>() / batch);
        let centred = self.per_element(|i, f| x[i] - mean[f]);
        let variance = self.per_feature(|f| self.column(&centred, f).map(|c| c * c).sum::<f64>() / batch);
        let std = self.per_feature(|f| (variance[f] + self.epsilon()).sqrt());
        let normalised = self.per_element(|i, f| centred[i] / std[f]);

        // y = γ·x̂ + β
        let dbeta = self.per_feature(|f| self.column(dy, f).sum());
        let dgamma =
            self.per_feature(|f| self.column(dy, f).zip(self.column(&normalised, f)).map(|(d, n)| d * n).sum());
        let dnormalised = self.per_element(|i, f| dy[i] * gamma[f]);
        // x̂ = xc / s, a node with two inputs
        let dcentred_numerator = self.per_element(|i, f| dnormalised[i] / std[f]);
        let dstd = self.per_feature(|f| {
            let terms = self.column(&dnormalised, f).zip(self.column(&centred, f));
            terms.map(|(d, c)| -d * c / (std[f] * std[f])).sum()
        });
        // s = √(σ² + ε)
        let dvariance = self.per_feature(|f| dstd[f] * 0.5 / std[f]);
        // σ² = mean(xc²)
        let dcentred_square = self.per_element(|i, f| dvariance[f] * 2.0 * centred[i] / batch);
        // xc feeds two nodes, so its gradients add
        let dcentred = self.per_element(|i, _| dcentred_numerator[i] + dcentred_square[i]);
        // xc = x − μ
        let dmean = self.per_feature(|f| -self.column(&dcentred, f).sum::<f64>());
        // μ = mean(x); x feeds two nodes as well
        let dx = self.per_element(|i, f| dcentred[i] + dmean[f] / batch);
        Gradients { dx, dgamma, dbeta }
    }

    /// Normalises with the running statistics.
    ///
    /// # Panics
    /// If a length contradicts the sizes.
    pub fn inference(&self, x: &[f64], gamma: &[f64], beta: &[f64], running: &Running) -> Vec<f64> {
        self.check_sizes(x, &[gamma, beta, &running.mean, &running.variance]);
        let std = self.per_feature(|f| (running.variance[f] + self.epsilon()).sqrt());
        self.per_element(|i, f| gamma[f] * (x[i] - running.mean[f]) / std[f] + beta[f])
    }

    fn check_sizes(&self, x: &[f64], per_feature: &[&[f64]]) {
        assert!(self.batch > 0, "an empty batch has no mean");
        assert_eq!(x.len(), self.batch * self.features, "X is {}×{}", self.batch, self.features);
        for values in per_feature {
            assert_eq!(values.len(), self.features, "γ, β and the running values have one number a feature");
        }
    }

    /// Feature `f` of a batch×features array, row by row.
    fn column<'a>(&self, x: &'a [f64], f: usize) -> impl Iterator<Item = f64> + use<'a> {
        x.iter().skip(f).step_by(self.features).copied()
    }

    fn per_feature(&self, value: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..self.features).map(value).collect()
    }

    /// `value` of each flat index and its feature.
    fn per_element(&self, value: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        (0..self.batch * self.features).map(|i| value(i, i % self.features)).collect()
    }
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
        // Feature 0: 1, 3, 5, 7 has mean 4, biased variance 5, unbiased 20/3. Feature 1: 2, 2, -2, -2 has 0, 4, 16/3.
        let x = [1.0, 2.0, 3.0, 2.0, 5.0, -2.0, 7.0, -2.0];
        for (preset, epsilon, start, variances) in
            [(Preset::Book, 1e-6f64, 0.0, [0.5, 0.4]), (Preset::Torch, 1e-5, 1.0, [0.9 + 2.0 / 3.0, 0.9 + 1.6 / 3.0])]
        {
            let layer = BatchNorm { preset, batch: 4, features: 2 };
            let running = Running::start(preset, 2);
            assert_eq!(running, Running { mean: vec![0.0; 2], variance: vec![start; 2] });
            let got = layer.forward(&x, &[2.0, -1.0], &[10.0, 0.0], &running);
            assert_eq!((got.mean.as_slice(), got.variance.as_slice()), ([4.0, 0.0].as_slice(), [5.0, 4.0].as_slice()));
            let (s, t) = ((5.0 + epsilon).sqrt(), (4.0 + epsilon).sqrt());
            let n = [-3.0 / s, 2.0 / t, -1.0 / s, 2.0 / t, 1.0 / s, -2.0 / t, 3.0 / s, -2.0 / t];
            assert_close_f64("x̂", &got.normalised, &n, TIGHT);
            let y: Vec<f64> = n.chunks(2).flat_map(|n| [2.0 * n[0] + 10.0, -n[1]]).collect();
            assert_close_f64("y", &got.y, &y, TIGHT);
            assert_close_f64("running mean", &got.running.mean, &[0.4, 0.0], TIGHT);
            assert_close_f64("running variance", &got.running.variance, &variances, TIGHT);
        }
    }

    #[test]
    fn running_values_keep_nine_tenths() {
        let layer = BatchNorm { preset: Preset::Book, batch: 2, features: 1 };
        let running = Running { mean: vec![10.0], variance: vec![20.0] };
        // 1, 3 has mean 2 and biased variance 1.
        let got = layer.forward(&[1.0, 3.0], &[1.0], &[0.0], &running).running;
        assert_close_f64("mean", &got.mean, &[9.2], TIGHT);
        assert_close_f64("variance", &got.variance, &[18.1], TIGHT);
    }

    #[test]
    fn inference_value_worked_by_hand() {
        let layer = BatchNorm { preset: Preset::Torch, batch: 2, features: 1 };
        // √(3.99999 + 1e-5) = 2
        let running = Running { mean: vec![1.0], variance: vec![3.99999] };
        let got = layer.inference(&[5.0, -1.0], &[3.0], &[0.5], &running);
        assert_close_f64("inference", &got, &[6.5, -2.5], TIGHT);
    }

    #[test]
    fn backward_is_the_slope_of_forward() {
        let mut rng = Rng::new(6);
        let mut draw = |n| widen(&rng.vec_normal(n));
        let (x, gamma, beta, dy) = (draw(6 * 3), draw(3), draw(3), draw(6 * 3));
        for preset in Preset::ALL {
            let layer = BatchNorm { preset, batch: 6, features: 3 };
            let running = Running::start(preset, 3);
            let loss = |x: &[f64], gamma: &[f64], beta: &[f64]| {
                layer.forward(x, gamma, beta, &running).y.iter().zip(&dy).map(|(y, dy)| y * dy).sum()
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
    #[should_panic(expected = "a batch of one is 0/0")]
    fn torch_refuses_to_train_on_one_row() {
        let layer = BatchNorm { preset: Preset::Torch, batch: 1, features: 1 };
        layer.forward(&[1.0], &[1.0], &[0.0], &Running::start(Preset::Torch, 1));
    }
}
