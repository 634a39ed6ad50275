//! A fully connected network in f64, built from the layer references.
//!
//! All parameters are one flat array in the order of the layers. An affine layer has W (inputs×outputs, row-major),
//! then b. A batch normalisation has γ, then β. The others have none. So the gradient of a whole network is one array
//! too, and can be compared, or differentiated numerically, in one call.

use crate::activation;
use crate::affine::Affine;
use crate::batch_norm::{BatchNorm, Running};
use crate::dropout;
use crate::preset::Preset;
use crate::softmax_loss::softmax_loss;
use std::ops::Range;

/// One layer. Its input width is the output width of the layer before.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// Y = X·W + b.
    Affine {
        /// Width of the output.
        outputs: usize,
    },
    /// max(x, 0).
    Relu,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// tanh x.
    Tanh,
    /// Batch normalisation with the statistics of the batch.
    BatchNorm {
        /// Whose ε.
        preset: Preset,
    },
    /// Dropout with a given mask.
    Dropout {
        /// Whose scaling.
        preset: Preset,
        /// The share of elements dropped.
        ratio: f64,
        /// Which elements are kept, batch×width.
        keep: Vec<bool>,
    },
}

/// A stack of layers under a softmax with cross-entropy, in training mode.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Width of the input.
    pub inputs: usize,
    /// From the input to the logits.
    pub layers: Vec<Layer>,
    /// λ of ½λ‖W‖², over the weights of the affine layers (not b, γ or β); it is part of the loss.
    pub weight_decay: f64,
}

/// Where the parameters of one layer lie in the flat array. Both are empty for a layer without any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    /// W, or γ.
    pub weight: Range<usize>,
    /// b, or β.
    pub bias: Range<usize>,
}

/// One layer of a network, with its place in it.
struct Placed<'a> {
    layer: &'a Layer,
    inputs: usize,
    slots: Slots,
}

impl Network {
    /// Number of parameters.
    pub fn parameter_count(&self) -> usize {
        self.slots().last().map_or(0, |slots| slots.bias.end)
    }

    /// Where the parameters of each layer lie.
    pub fn slots(&self) -> Vec<Slots> {
        self.placed().into_iter().map(|placed| placed.slots).collect()
    }

    /// Width of the logits.
    pub fn classes(&self) -> usize {
        self.placed().last().map_or(self.inputs, Placed::outputs)
    }

    /// batch×classes, for row-major batch×inputs `x`.
    ///
    /// # Panics
    /// If `x` is not whole rows, or `parameters` not [`parameter_count`](Self::parameter_count) long.
    pub fn logits(&self, parameters: &[f64], x: &[f64]) -> Vec<f64> {
        self.activations(parameters, x).pop().expect("the input is there even without layers")
    }

    /// Mean cross-entropy over the batch, plus ½λ‖W‖².
    ///
    /// # Panics
    /// As [`logits`](Self::logits), or if there is not one label a row.
    pub fn loss(&self, parameters: &[f64], x: &[f64], labels: &[usize]) -> f64 {
        let squares = |placed: &Placed| parameters[placed.decayed()].iter().map(|w| w * w).sum::<f64>();
        let logits = self.logits(parameters, x);
        let penalty: f64 = self.placed().iter().map(squares).sum();
        softmax_loss(&logits, labels, self.classes()).loss + 0.5 * self.weight_decay * penalty
    }

    /// The gradient of [`loss`](Self::loss) with respect to the parameters, by back-propagation.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn gradients(&self, parameters: &[f64], x: &[f64], labels: &[usize]) -> Vec<f64> {
        let activations = self.activations(parameters, x);
        let batch = labels.len();
        let mut gradients = vec![0.0; parameters.len()];
        let logits = activations.last().expect("the input is there even without layers");
        let mut dy = softmax_loss(logits, labels, self.classes()).dlogits;
        for (placed, pair) in self.placed().iter().zip(activations.windows(2)).rev() {
            let (x, y) = (&pair[0], &pair[1]);
            let (weight, bias) = (placed.slots.weight.clone(), placed.slots.bias.clone());
            dy = match placed.layer {
                Layer::Affine { .. } => {
                    let got = placed.affine(batch).backward(x, &parameters[weight.clone()], &dy);
                    gradients[weight].copy_from_slice(&got.dw);
                    gradients[bias].copy_from_slice(&got.db);
                    got.dx
                }
                Layer::BatchNorm { preset } => {
                    let got = placed.batch_norm(*preset, batch).backward(x, &parameters[weight.clone()], &dy);
                    gradients[weight].copy_from_slice(&got.dgamma);
                    gradients[bias].copy_from_slice(&got.dbeta);
                    got.dx
                }
                Layer::Relu => activation::relu_backward(x, &dy),
                Layer::Sigmoid => activation::sigmoid_backward(y, &dy),
                Layer::Tanh => activation::tanh_backward(y, &dy),
                Layer::Dropout { preset, ratio, keep } => dropout::backward(*preset, *ratio, keep, &dy),
            };
            for i in placed.decayed() {
                gradients[i] += self.weight_decay * parameters[i];
            }
        }
        gradients
    }

    /// The input, and after it the output of each layer.
    fn activations(&self, parameters: &[f64], x: &[f64]) -> Vec<Vec<f64>> {
        assert!(self.inputs > 0 && x.len().is_multiple_of(self.inputs), "X is not rows of {}", self.inputs);
        assert_eq!(parameters.len(), self.parameter_count(), "the parameters of all layers, one after the other");
        let batch = x.len() / self.inputs;
        let mut activations = vec![x.to_vec()];
        for placed in self.placed() {
            let x = activations.last().expect("it starts with the input");
            let (weight, bias) = (&parameters[placed.slots.weight.clone()], &parameters[placed.slots.bias.clone()]);
            let y = match placed.layer {
                Layer::Affine { .. } => placed.affine(batch).forward(x, weight, bias),
                Layer::BatchNorm { preset } => {
                    let unused = Running::start(*preset, placed.inputs);
                    placed.batch_norm(*preset, batch).forward(x, weight, bias, &unused).y
                }
                Layer::Relu => activation::relu(x),
                Layer::Sigmoid => activation::sigmoid(x),
                Layer::Tanh => activation::tanh(x),
                Layer::Dropout { preset, ratio, keep } => dropout::training(*preset, *ratio, keep, x),
            };
            activations.push(y);
        }
        activations
    }

    /// The layers with their input widths and slots.
    fn placed(&self) -> Vec<Placed<'_>> {
        let (mut inputs, mut start) = (self.inputs, 0);
        let mut place = |layer| {
            let (weights, biases) = match layer {
                &Layer::Affine { outputs } => (inputs * outputs, outputs),
                Layer::BatchNorm { .. } => (inputs, inputs),
                _ => (0, 0),
            };
            let slots = Slots { weight: start..start + weights, bias: start + weights..start + weights + biases };
            start = slots.bias.end;
            let placed = Placed { layer, inputs, slots };
            inputs = placed.outputs();
            placed
        };
        self.layers.iter().map(&mut place).collect()
    }
}

impl Placed<'_> {
    fn outputs(&self) -> usize {
        match self.layer {
            Layer::Affine { outputs } => *outputs,
            _ => self.inputs,
        }
    }

    fn affine(&self, batch: usize) -> Affine {
        Affine { batch, inputs: self.inputs, outputs: self.outputs() }
    }

    fn batch_norm(&self, preset: Preset, batch: usize) -> BatchNorm {
        BatchNorm { preset, batch, features: self.inputs }
    }

    /// The parameters that weight decay applies to.
    fn decayed(&self) -> Range<usize> {
        match self.layer {
            Layer::Affine { .. } => self.slots.weight.clone(),
            _ => 0..0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Bound, assert_close_f64};
    use crate::gradcheck::{assert_gradient_f64, central_difference};
    use crate::rng::Rng;
    use crate::vector::widen;
    use std::f64::consts::LN_2;

    #[test]
    fn two_layers_worked_by_hand() {
        let layers = vec![Layer::Affine { outputs: 2 }, Layer::Relu, Layer::Affine { outputs: 2 }];
        let network = Network { inputs: 1, layers, weight_decay: 0.5 };
        // Hidden: (1, -1)·x + (0, 0) → relu → times [[ln 2, 0], [0, ln 2]] + (0, 0).
        let parameters = [1.0, -1.0, 0.0, 0.0, LN_2, 0.0, 0.0, LN_2, 0.0, 0.0];
        let x = [1.0, -2.0];
        assert_eq!((network.parameter_count(), network.classes()), (10, 2));
        let slots: Vec<_> = network.slots().into_iter().map(|slots| (slots.weight, slots.bias)).collect();
        assert_eq!(slots, [(0..2, 2..4), (4..4, 4..4), (4..8, 8..10)]);
        assert_eq!(network.logits(&parameters, &x), [LN_2, 0.0, 0.0, 2.0 * LN_2]);
        // Probabilities (2/3, 1/3) and (1/5, 4/5), labels 0 and 0; ‖W‖² = 2 + 2 ln²2.
        let want = ((1.5f64).ln() + 5f64.ln()) / 2.0 + 0.25 * (2.0 + 2.0 * LN_2 * LN_2);
        let loss = network.loss(&parameters, &x, &[0, 0]);
        assert_close_f64("loss", &[loss], &[want], Bound::Allclose { rtol: 1e-14, atol: 0.0 });
        // db of the last layer is the mean of probabilities − one-hot.
        let gradients = network.gradients(&parameters, &x, &[0, 0]);
        let db = [(-1.0 / 3.0 - 0.8) / 2.0, (1.0 / 3.0 + 0.8) / 2.0];
        assert_close_f64("db", &gradients[8..], &db, Bound::Allclose { rtol: 1e-13, atol: 0.0 });
    }

    #[test]
    fn gradients_are_the_slopes_of_the_loss() {
        const BATCH: usize = 6;
        let mut rng = Rng::new(8);
        let x = widen(&rng.vec_normal(BATCH * 4));
        let labels: Vec<usize> = (0..BATCH).map(|_| rng.usize_in(0..3)).collect();
        for preset in Preset::ALL {
            for activation in [Layer::Relu, Layer::Sigmoid, Layer::Tanh] {
                let keep = (0..BATCH * 5).map(|_| rng.unit() > 0.3).collect();
                let layers = vec![
                    Layer::Affine { outputs: 5 },
                    Layer::BatchNorm { preset },
                    activation.clone(),
                    Layer::Dropout { preset, ratio: 0.3, keep },
                    Layer::Affine { outputs: 6 },
                    activation.clone(),
                    Layer::Affine { outputs: 3 },
                ];
                let network = Network { inputs: 4, layers, weight_decay: 0.1 };
                assert_eq!((network.parameter_count(), network.classes()), (4 * 5 + 5 + 10 + 36 + 21, 3));
                let parameters = widen(&rng.vec_normal(network.parameter_count()));
                let numeric = central_difference(|p| network.loss(p, &x, &labels), &parameters, 1e-5);
                let analytic = network.gradients(&parameters, &x, &labels);
                // A bias before a batch normalisation has no gradient, hence 0.8.
                assert_gradient_f64(&format!("{activation:?}"), &analytic, &numeric, 1e-5, 1e-8, 0.8);
            }
        }
    }

    #[test]
    #[should_panic(expected = "the parameters of all layers")]
    fn refuses_too_few_parameters() {
        let network = Network { inputs: 1, layers: vec![Layer::Affine { outputs: 2 }], weight_decay: 0.0 };
        network.logits(&[1.0; 3], &[1.0]);
    }
}
