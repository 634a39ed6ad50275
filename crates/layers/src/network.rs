//! The network: layers in a row, the activations between them, and the loss at the end.
//!
//! ```text
//! X ─▶ affine ─▶ [batch norm] ─▶ activation ─▶ [dropout] ─▶ … ─▶ affine ─▶ softmax + cross-entropy ─▶ loss
//! ```
//!
//! Forward writes each layer's Y into a buffer of its own, because backward will want it; backward needs only two
//! gradient buffers, which it uses in turn. All are made for the largest batch, once.

use crate::affine::Affine;
use crate::batch_norm::{BatchNorm, BatchNormForm};
use crate::dropout::{Dropout, DropoutForm};
use crate::init::Init;
use crate::layer::{Batch, Layer, Parameter, Pass, Statistic, Updates, expect_shape};
use crate::softmax_loss::SoftmaxLoss;
use crate::{Activation, Stream, stream};
use tensor::profile::part;
use tensor::{Exec, ShapeError, Tensor, View, ViewMut};

/// What a fully connected network is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// Inputs: 784 for MNIST.
    pub inputs: usize,
    /// Units of each hidden layer.
    pub hidden: Vec<usize>,
    /// Classes: 10 for MNIST.
    pub classes: usize,
    /// After each hidden layer.
    pub activation: Activation,
    /// How the weights are drawn.
    pub init: Init,
    /// Batch normalisation between each hidden affine layer and its activation.
    pub batch_norm: Option<BatchNormForm>,
    /// Dropout after each hidden activation: ratio and form.
    pub dropout: Option<(f32, DropoutForm)>,
}

/// A fully connected network and the loss it is trained on.
pub struct Network {
    architecture: Architecture,
    layers: Vec<Box<dyn Layer>>,
    /// The number of each layer's first parameter, in network order.
    first: Vec<usize>,
    /// Y of each layer, for the largest batch.
    activations: Vec<Tensor<f32, 2>>,
    /// Gradients, used in turn: room for the widest layer.
    gradients: [Vec<f32>; 2],
    loss: SoftmaxLoss,
    batch: usize,
    /// Rows of the last forward pass.
    rows: usize,
}

impl Network {
    /// A network with weights drawn from the weight stream of `seed`, for batches of up to `batch` rows.
    pub fn new(exec: Exec, architecture: Architecture, seed: u64, batch: usize) -> Self {
        let mut rng = stream(seed, Stream::Weights);
        let mut layers: Vec<Box<dyn Layer>> = Vec::new();
        let mut width = architecture.inputs;
        for (depth, &units) in architecture.hidden.iter().enumerate() {
            let affine = Affine::new(exec, width, units, architecture.init, &mut rng);
            match (architecture.batch_norm, architecture.activation) {
                (None, Activation::Relu) => layers.push(Box::new(affine.with_relu())),
                (Some(form), Activation::Relu) => {
                    layers.push(Box::new(affine));
                    layers.push(Box::new(BatchNorm::new(units, form).with_relu()));
                }
                (batch_norm, activation) => {
                    layers.push(Box::new(affine));
                    if let Some(form) = batch_norm {
                        layers.push(Box::new(BatchNorm::new(units, form)));
                    }
                    layers.push(activation.layer(units));
                }
            }
            if let Some((ratio, form)) = architecture.dropout {
                layers.push(Box::new(Dropout::new(units, ratio, form, seed, depth as u64)));
            }
            width = units;
        }
        layers.push(Box::new(Affine::new(exec, width, architecture.classes, architecture.init, &mut rng)));
        Self::from_layers(architecture, layers, batch)
    }

    fn from_layers(architecture: Architecture, mut layers: Vec<Box<dyn Layer>>, batch: usize) -> Self {
        // The derivative of a ReLU is applied where its gradient is made, while that is in registers.
        for i in 1..layers.len() {
            if layers[i - 1].ends_in_relu() && layers[i].gate_dx() {
                layers[i - 1].expect_gated_dy();
            }
        }
        for layer in &mut layers {
            layer.reserve(batch);
        }
        let mut count = 0;
        let first = layers
            .iter_mut()
            .map(|layer| {
                let first = count;
                layer.parameters(&mut |_| count += 1);
                first
            })
            .collect();
        let activations = layers.iter().map(|layer| Tensor::zeros([batch, layer.outputs()])).collect();
        let widest = layers.iter().map(|layer| layer.outputs()).max().unwrap_or(0);
        let loss = SoftmaxLoss::new(architecture.classes, batch);
        let gradients = [0, 1].map(|_| vec![0.0; batch * widest]);
        Self { architecture, layers, first, activations, gradients, loss, batch, rows: 0 }
    }

    /// What the network is made of.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The largest batch a call takes.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The kinds of the layers, in order.
    pub fn kinds(&self) -> Vec<&'static str> {
        self.layers.iter().map(|layer| layer.kind()).collect()
    }

    /// Number of layers.
    pub fn depth(&self) -> usize {
        self.layers.len()
    }

    /// Y of a layer for the first `rows` rows of the last forward pass.
    ///
    /// # Panics
    /// If there is no such layer, or fewer rows.
    pub fn activation(&self, layer: usize, rows: usize) -> View<'_, f32, 2> {
        self.activations[layer].head(rows)
    }

    /// The logits (B×classes) of a batch (B×inputs).
    ///
    /// # Errors
    /// If the batch is empty, larger than reserved, or has another width.
    pub fn forward(&mut self, exec: Exec, pass: Pass, x: View<'_, f32, 2>) -> Result<View<'_, f32, 2>, ShapeError> {
        self.forward_batch(exec, pass, Batch::Floats(x))
    }

    /// [`Network::forward`] of any kind of batch.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn forward_batch(
        &mut self,
        exec: Exec,
        pass: Pass,
        x: Batch<'_>,
    ) -> Result<View<'_, f32, 2>, ShapeError> {
        let rows = x.shape()[0];
        expect_shape("network", "the batch", x.shape(), [rows.clamp(1, self.batch), self.architecture.inputs])?;
        self.rows = rows;
        for (i, layer) in self.layers.iter_mut().enumerate() {
            let (before, after) = self.activations.split_at_mut(i);
            let y = after[0].head_mut(rows);
            part("forward", i, || match before.last() {
                None => layer.forward_first(exec, pass, x, y),
                Some(input) => layer.forward(exec, pass, input.head(rows), y),
            })?;
        }
        Ok(self.activations[self.layers.len() - 1].head(rows))
    }

    /// One training pass: forward, loss, backward. Returns the mean loss over the batch (without any penalty); the gradients
    /// are then in the parameters. `step` numbers the pass, for dropout.
    ///
    /// # Errors
    /// If the batch is larger than reserved, has another width, or the labels are not one a row.
    pub fn loss_and_gradients(
        &mut self,
        exec: Exec,
        step: u64,
        x: View<'_, f32, 2>,
        labels: &[u8],
    ) -> Result<f32, ShapeError> {
        self.train(exec, step, Batch::Floats(x), labels, None)
    }

    /// One training step: [`Network::loss_and_gradients`], after which the parameters are moved by `updates`. Faster than one after the
    /// other, since a layer moves its parameters while their gradient is in the cache; the gradients are not kept.
    ///
    /// # Errors
    /// As [`Network::loss_and_gradients`].
    pub fn loss_and_update(
        &mut self,
        exec: Exec,
        step: u64,
        x: Batch<'_>,
        labels: &[u8],
        updates: &mut dyn Updates,
    ) -> Result<f32, ShapeError> {
        self.train(exec, step, x, labels, Some(updates))
    }

    fn train(
        &mut self,
        exec: Exec,
        step: u64,
        x: Batch<'_>,
        labels: &[u8],
        mut updates: Option<&mut dyn Updates>,
    ) -> Result<f32, ShapeError> {
        self.forward_batch(exec, Pass::Training { step }, x)?;
        let rows = x.shape()[0];
        let [mut dy_buffer, mut dx_buffer] = self.gradients.each_mut().map(Vec::as_mut_slice);
        let last = self.layers.len() - 1;
        let classes = self.architecture.classes;
        let loss = self.loss.forward_backward(
            exec,
            self.activations[last].head(rows),
            labels,
            ViewMut::new(dy_buffer, [rows, classes])?,
        )?;
        for (i, layer) in self.layers.iter_mut().enumerate().rev() {
            let y = self.activations[i].head(rows);
            let dy = View::new(dy_buffer, y.shape())?;
            part("backward", i, || {
                let Some(before) = i.checked_sub(1) else {
                    return match (&mut updates, x) {
                        (None, Batch::Floats(x)) => layer.backward(exec, x, y, dy, None),
                        (None, Batch::Bytes(_)) => panic!("gradients are kept for a batch of floats only"),
                        (Some(updates), x) => layer.backward_first_and_update(exec, x, y, dy, *updates),
                    };
                };
                let x = self.activations[before].head(rows);
                let dx = Some(ViewMut::new(dx_buffer, x.shape())?);
                match &mut updates {
                    None => layer.backward(exec, x, y, dy, dx),
                    Some(updates) => layer.backward_and_update(exec, x, y, dy, dx, self.first[i], *updates),
                }
            })?;
            std::mem::swap(&mut dy_buffer, &mut dx_buffer);
        }
        Ok(loss)
    }

    /// The mean loss of the last forward pass, whatever its mode; nothing is learnt from it.
    ///
    /// # Errors
    /// If the labels are not one a row of that pass.
    pub fn loss(&mut self, exec: Exec, labels: &[u8]) -> Result<f32, ShapeError> {
        let logits = self.activations[self.layers.len() - 1].head(self.rows);
        let scratch = ViewMut::new(&mut self.gradients[0], logits.shape())?;
        self.loss.forward_backward(exec, logits, labels, scratch)
    }

    /// Calls `visit(layer, parameter)` for every parameter, in network order.
    pub fn parameters(&mut self, visit: &mut dyn FnMut(usize, Parameter<'_>)) {
        for (i, layer) in self.layers.iter_mut().enumerate() {
            layer.parameters(&mut |parameter| visit(i, parameter));
        }
    }

    /// Calls `visit(layer, statistic)` for every running statistic, in network order.
    pub fn statistics(&mut self, visit: &mut dyn FnMut(usize, Statistic<'_>)) {
        for (i, layer) in self.layers.iter_mut().enumerate() {
            layer.statistics(&mut |statistic| visit(i, statistic));
        }
    }

    /// The lengths of the parameters, in network order: what an optimizer is made for.
    pub fn parameter_lengths(&mut self) -> Vec<usize> {
        let mut lengths = Vec::new();
        self.parameters(&mut |_, parameter| lengths.push(parameter.value.len()));
        lengths
    }
}
