//! The network: layers in a row, the activations between them, and the loss at the end.
//!
//! ```text
//! X ─▶ affine ─▶ [batch norm] ─▶ activation ─▶ [dropout] ─▶ … ─▶ affine ─▶ softmax + cross-entropy ─▶ loss
//! ```
//!
//! Forward writes each layer's Y into a buffer of its own, because backward will want it; backward needs only two
//! gradient buffers, which it uses in turn, or one a layer where a second thread computes a layer's dW while the layers
//! below go on. All are made for the largest batch, once.

use crate::affine::Affine;
use crate::batch_norm::{BatchNorm, BatchNormForm};
use crate::dropout::{Dropout, DropoutForm};
use crate::init::Init;
use crate::layer::{Batch, Layer, Parameter, Pass, State, Statistic, UpdateRule, expect_shape};
use crate::softmax_loss::SoftmaxLoss;
use crate::{Activation, Stream, stream};
use tensor::gemm::block_of_nonzero;
use tensor::profile::part;
use tensor::threads::{has_workers, with_deferred};
use tensor::vec::{BlockForm, NonzeroBytes};
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
    /// Whether each has nothing to do at inference, since the layer before it does it.
    idle: Vec<bool>,
    /// How many parameters each layer has.
    parameters: Vec<usize>,
    /// Y of each layer, for the largest batch.
    activations: Vec<Tensor<f32, 2>>,
    /// The gradient with respect to each layer's Y, for the largest batch; touched only where a thread helps.
    gradients: Vec<Tensor<f32, 2>>,
    /// The same for one layer after the other: two used in turn, with room for the widest layer. They stay in a near
    /// cache.
    in_turn: [Vec<f32>; 2],
    loss: SoftmaxLoss,
    batch: usize,
    /// Rows of the last forward pass, and whether it was one of inference.
    rows: usize,
    inferred: bool,
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
        // Dropout's factor at inference is applied where its X is made.
        let mut idle = vec![false; layers.len()];
        for i in 1..layers.len() {
            let scale = layers[i].inference_scale();
            idle[i] = scale.is_some_and(|scale| layers[i - 1].scale_inference(scale));
        }
        for layer in &mut layers {
            layer.reserve(batch);
        }
        let parameters = layers.iter_mut().map(|layer| parameter_count(layer.as_mut())).collect();
        let activations = layers.iter().map(|layer| Tensor::zeros([batch, layer.outputs()])).collect();
        let loss = SoftmaxLoss::new(architecture.classes, batch);
        let gradients = layers.iter().map(|layer| Tensor::zeros([batch, layer.outputs()])).collect();
        let widest = layers.iter().map(|layer| layer.outputs()).max().unwrap_or(0);
        let in_turn = [0, 1].map(|_| vec![0.0; batch * widest]);
        let (rows, inferred) = (0, false);
        Self { architecture, layers, idle, parameters, activations, gradients, in_turn, loss, batch, rows, inferred }
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
    /// If there is no such layer, or fewer rows; or if the pass was one of inference, and the layer is followed by
    /// dropout, whose factor it has applied: only the dropout layer's Y is there.
    pub fn activation(&self, layer: usize, rows: usize) -> View<'_, f32, 2> {
        assert!(rows <= self.rows, "{rows} rows of the {} of the last forward pass", self.rows);
        let scaled = self.inferred && self.idle.get(layer + 1) == Some(&true);
        assert!(!scaled, "at inference Y of layer {layer} is that of the dropout layer behind it");
        self.activations[layer].head(rows)
    }

    /// How the first layer's product reads what it would find of a batch of images each time it comes, to be given with
    /// it ([`with_blocks`](tensor::vec::ByteRows::with_blocks)): for batches that come again as they are. `None` where
    /// the product does not ask for it.
    pub fn block_of(&self, exec: Exec, found: &NonzeroBytes) -> Option<BlockForm> {
        block_of_nonzero(exec, [found.shape()[1], self.layers[0].outputs()])
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
    pub fn forward_batch(&mut self, exec: Exec, pass: Pass, x: Batch<'_>) -> Result<View<'_, f32, 2>, ShapeError> {
        let rows = x.shape()[0];
        expect_shape("network", "the batch", x.shape(), [rows.min(self.batch).max(1), self.architecture.inputs])?;
        (self.rows, self.inferred) = (rows, pass == Pass::Inference);
        let idle = |i: usize| self.inferred && self.idle.get(i) == Some(&true);
        for (i, layer) in self.layers.iter_mut().enumerate().filter(|(i, _)| !idle(*i)) {
            // Where the layer behind it is idle, its Y is that layer's.
            let (before, after) = self.activations.split_at_mut(i + usize::from(idle(i + 1)));
            let y = after[0].head_mut(rows);
            part("forward", i, || match i.checked_sub(1) {
                None => layer.forward_first(exec, pass, x, y),
                Some(input) => layer.forward(exec, pass, before[input].head(rows), y),
            })?;
        }
        Ok(self.activations[self.layers.len() - 1].head(rows))
    }

    /// One training pass: forward, loss, backward. Returns the mean loss over the batch (without any penalty); the
    /// gradients are then in the parameters. `step` numbers the pass, for dropout.
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
        self.loss_and_layer_gradients(exec, step, x, labels, &mut |_, _| ())
    }

    /// [`Network::loss_and_gradients`], which calls `see(layer, dY)` with the gradient with respect to each layer's Y,
    /// from the last layer to the first. Where Y comes out of a ReLU it may be multiplied with the ReLU's derivative
    /// already: it is then 0 where Y is 0.
    ///
    /// # Errors
    /// As [`Network::loss_and_gradients`].
    pub fn loss_and_layer_gradients(
        &mut self,
        exec: Exec,
        step: u64,
        x: View<'_, f32, 2>,
        labels: &[u8],
        see: &mut dyn FnMut(usize, View<'_, f32, 2>),
    ) -> Result<f32, ShapeError> {
        self.forward_batch(exec, Pass::Training { step }, Batch::Floats(x))?;
        let loss = self.loss(exec, labels)?;
        let mut i = self.layers.len();
        self.backward_in_turn(x.rows(), |layer, _, input, y, dy, dx| {
            i -= 1;
            see(i, dy);
            layer.backward(exec, input.unwrap_or(x), y, dy, dx)
        })?;
        Ok(loss)
    }

    /// One training step: [`Network::loss_and_gradients`], after which the parameters are moved by `rule`, with a state
    /// for each. Faster than one after the other: a layer moves its parameters while their gradient is in the cache,
    /// and, where there is a second thread, while the layers below go on. The gradients are not kept.
    ///
    /// # Errors
    /// As [`Network::loss_and_gradients`].
    pub fn loss_and_update(
        &mut self,
        exec: Exec,
        step: u64,
        x: Batch<'_>,
        labels: &[u8],
        rule: &dyn UpdateRule,
        state: &mut [State],
    ) -> Result<f32, ShapeError> {
        assert_eq!(state.len(), self.parameters.iter().sum::<usize>(), "one state a parameter");
        self.forward_batch(exec, Pass::Training { step }, x)?;
        let rows = x.shape()[0];
        if has_workers() {
            let last = self.layers.len() - 1;
            let (logits, d_logits) = (self.activations[last].head(rows), self.gradients[last].head_mut(rows));
            let loss = self.loss.forward_backward(exec, logits, labels, d_logits)?;
            let layers = (&mut self.layers[..], &self.parameters[..]);
            descend(exec, rows, x, layers, &self.activations, &mut self.gradients, rule, state)?;
            return Ok(loss);
        }
        let loss = self.loss(exec, labels)?;
        let mut states = state;
        self.backward_in_turn(rows, |layer, parameters, input, y, dy, dx| {
            let all = std::mem::take(&mut states);
            let (below, own) = all.split_at_mut(all.len() - parameters);
            states = below;
            let x = input.map_or(x, Batch::Floats);
            layer.backward_input(exec, x, y, dy, dx)?;
            layer.update(exec, x, dy, rule, own)
        })?;
        Ok(loss)
    }

    /// The backward pass from the last layer to the first, one layer after the other, from the gradient that
    /// [`Network::loss`] left. `step` is given the layer, its number of parameters, its X (`None` for the first: the
    /// batch), Y, dY, and dX.
    fn backward_in_turn(
        &mut self,
        rows: usize,
        mut step: impl FnMut(
            &mut dyn Layer,
            usize,
            Option<View<'_, f32, 2>>,
            View<'_, f32, 2>,
            View<'_, f32, 2>,
            Option<ViewMut<'_, f32, 2>>,
        ) -> Result<(), ShapeError>,
    ) -> Result<(), ShapeError> {
        let [mut dy_buffer, mut dx_buffer] = self.in_turn.each_mut().map(Vec::as_mut_slice);
        for (i, layer) in self.layers.iter_mut().enumerate().rev() {
            let y = self.activations[i].head(rows);
            let dy = View::new(dy_buffer, y.shape())?;
            let input = i.checked_sub(1).map(|before| self.activations[before].head(rows));
            let dx = input.map(|input| ViewMut::new(dx_buffer, input.shape())).transpose()?;
            let count = self.parameters[i];
            part("backward", i, || step(layer.as_mut(), count, input, y, dy, dx))?;
            std::mem::swap(&mut dy_buffer, &mut dx_buffer);
        }
        Ok(())
    }

    /// The mean loss of the last forward pass, whatever its mode. The gradient of the logits is left for the backward
    /// pass; without one, nothing is learnt.
    ///
    /// # Errors
    /// If the labels are not one a row of that pass.
    pub fn loss(&mut self, exec: Exec, labels: &[u8]) -> Result<f32, ShapeError> {
        let logits = self.activations[self.layers.len() - 1].head(self.rows);
        let gradient = ViewMut::new(&mut self.in_turn[0], logits.shape())?;
        self.loss.forward_backward(exec, logits, labels, gradient)
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

    /// The weights of every layer that has some ([`Layer::weights`]), in network order.
    pub fn weights(&self) -> impl Iterator<Item = &[f32]> {
        self.layers.iter().map(|layer| layer.weights()).filter(|weights| !weights.is_empty())
    }

    /// The lengths of the parameters, in network order: what an optimizer is made for.
    pub fn parameter_lengths(&mut self) -> Vec<usize> {
        let mut lengths = Vec::new();
        self.parameters(&mut |_, parameter| lengths.push(parameter.value.len()));
        lengths
    }
}

/// Multiply-adds of a layer's dW up to which it is one thread's: some 100 µs. A larger one is shared among all.
const BESIDE: usize = 10_000_000;

fn parameter_count(layer: &mut dyn Layer) -> usize {
    let mut count = 0;
    layer.parameters(&mut |_| count += 1);
    count
}

/// The backward pass of a training step through `layers`, from the last to the first: a layer's dX, and then, beside
/// all the layers below, its dW and update. (dX needs the weights as they were, so a layer's update comes after its own
/// dX.) `x` is the input of the first, `activations` and `gradients` are their Y and dY, `state` that of their
/// parameters, so many each.
#[allow(clippy::too_many_arguments)]
fn descend(
    exec: Exec,
    rows: usize,
    x: Batch<'_>,
    (layers, parameters): (&mut [Box<dyn Layer>], &[usize]),
    activations: &[Tensor<f32, 2>],
    gradients: &mut [Tensor<f32, 2>],
    rule: &dyn UpdateRule,
    state: &mut [State],
) -> Result<(), ShapeError> {
    let (Some((layer, layers)), Some((gradient, gradients))) = (layers.split_last_mut(), gradients.split_last_mut())
    else {
        return Ok(());
    };
    let depth = layers.len();
    let (y, dy) = (activations[depth].head(rows), gradient.head(rows));
    let (state, own) = state.split_at_mut(state.len() - parameters[depth]);
    let Some(below) = depth.checked_sub(1) else {
        return part("backward", depth, || {
            layer.backward_input(exec, x, y, dy, None)?;
            layer.update(exec, x, dy, rule, own)
        });
    };
    let input = Batch::Floats(activations[below].head(rows));
    part("backward", depth, || layer.backward_input(exec, input, y, dy, Some(gradients[below].head_mut(rows))))?;
    // Nothing to offer, or too much.
    if own.is_empty() || rows * y.cols() * input.shape()[1] > BESIDE {
        part("backward", depth, || layer.update(exec, input, dy, rule, own))?;
        return descend(exec, rows, x, (layers, parameters), activations, gradients, rule, state);
    }
    let (done, updated) = with_deferred(
        || descend(exec, rows, x, (layers, parameters), activations, gradients, rule, state),
        || part("backward", depth, || layer.update(exec.one_thread(), input, dy, rule, own)),
    );
    done.and(updated)
}
