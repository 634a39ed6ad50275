//! The network: layers in a row, the activations between them, and the loss at the end.
//!
//! ```text
//! X ─▶ affine ─▶ [batch norm] ─▶ activation ─▶ [dropout] ─▶ … ─▶ affine ─▶ softmax + cross-entropy ─▶ loss
//! ```
//!
//! A network is compiled when it is made, into a program for training and one for inference (`program/`). Each layer's Y
//! has a buffer of its own, because backward wants it, and so has its dY, because dW may be computed while the layers
//! below go on. All buffers are made for the largest batch, once.

use crate::init::Init;
use crate::layer::{Batch, Layer, Parameter, Pass, State, Statistic, UpdateRule, expect_shape};
use crate::node::Node;
use crate::program::{Buffers, Fusion, Program, Step, compile, infer, train};
use crate::softmax_loss::SoftmaxLoss;
use crate::{Activation, Affine, BatchNorm, BatchNormForm, Dropout, DropoutForm, Relu, Stream, stream};
use tensor::machine::scratch;
use tensor::{Exec, ShapeError, Tensor, View};

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

impl Architecture {
    /// The layers, with weights drawn from the weight stream of `seed`.
    fn nodes(&self, exec: Exec, seed: u64) -> Vec<Node> {
        let mut rng = stream(seed, Stream::Weights);
        let (mut nodes, mut width) = (Vec::new(), self.inputs);
        for (depth, &units) in self.hidden.iter().enumerate() {
            nodes.push(Affine::new(exec, width, units, self.init, &mut rng).into());
            nodes.extend(self.batch_norm.map(|form| Node::from(BatchNorm::new(units, form))));
            nodes.push(match self.activation {
                Activation::Relu => Relu::new(units).into(),
                other => Node::Other(other.layer(units)),
            });
            if let Some((ratio, form)) = self.dropout {
                nodes.push(Dropout::new(units, ratio, form, seed, depth as u64).into());
            }
            width = units;
        }
        nodes.push(Affine::new(exec, width, self.classes, self.init, &mut rng).into());
        nodes
    }
}

/// A network and the loss it is trained on.
pub struct Network {
    inputs: usize,
    /// What it was made of, if that was an architecture.
    architecture: Option<Architecture>,
    nodes: Vec<Node>,
    training: Program,
    inference: Program,
    fusion: Fusion,
    buffers: Buffers,
    loss: SoftmaxLoss,
    batch: usize,
    /// Rows of the last forward pass, and whether it was one of inference.
    rows: usize,
    inferred: bool,
}

impl Network {
    /// A network with weights drawn from the weight stream of `seed`, for batches of up to `batch` rows.
    pub fn new(exec: Exec, architecture: Architecture, seed: u64, batch: usize) -> Self {
        let nodes = architecture.nodes(exec, seed);
        let inputs = architecture.inputs;
        Self { architecture: Some(architecture), ..Self::from_nodes(exec, inputs, nodes, batch, Fusion::default()) }
    }

    /// The same with only some rules of fusion: the same bits, in another time.
    pub fn with_fusion(exec: Exec, architecture: Architecture, seed: u64, batch: usize, fusion: Fusion) -> Self {
        let nodes = architecture.nodes(exec, seed);
        let inputs = architecture.inputs;
        Self { architecture: Some(architecture), ..Self::from_nodes(exec, inputs, nodes, batch, fusion) }
    }

    /// A network of any layers, for batches of up to `batch` rows of `inputs` columns. The last layer's outputs are the
    /// logits of the classes. Layers of this crate are put in by [`NetworkLayer`], others as boxes.
    ///
    /// # Panics
    /// If there is no layer.
    pub fn from_layers(exec: Exec, inputs: usize, layers: Vec<NetworkLayer>, batch: usize, fusion: Fusion) -> Self {
        Self::from_nodes(exec, inputs, layers.into_iter().map(|layer| layer.0).collect(), batch, fusion)
    }

    fn from_nodes(exec: Exec, inputs: usize, mut nodes: Vec<Node>, batch: usize, fusion: Fusion) -> Self {
        let last = nodes.last().expect("a network has a layer");
        let classes = last.as_layer().outputs();
        for node in &mut nodes {
            node.as_layer_mut().reserve(batch);
        }
        let mut compile = |pass| compile(exec, &mut nodes, inputs, batch, pass, 0, fusion);
        let (training, inference) = (compile(Pass::Training { step: 0 }), compile(Pass::Inference));
        let buffer = |i: usize, rows: usize, nodes: &[Node]| Tensor::zeros([rows, nodes[i].as_layer().outputs()]);
        let stored = |i: usize| if training.stores(i) || inference.stores(i) { batch } else { 0 };
        let activations = (0..nodes.len()).map(|i| buffer(i, stored(i), &nodes)).collect();
        let gradients = (0..nodes.len()).map(|i| buffer(i, batch, &nodes)).collect();
        let widths = std::iter::once(inputs).chain(nodes.iter().map(|node| node.as_layer().outputs()));
        let widest = widths.max().unwrap_or(0);
        let bound = [[batch, widest, widest], [widest, batch, widest]].map(tensor::matmul::scratch_bytes);
        scratch::announce(bound.into_iter().max().unwrap_or(0));
        Self {
            inputs,
            architecture: None,
            nodes,
            training,
            inference,
            fusion,
            buffers: Buffers { activations, gradients },
            loss: SoftmaxLoss::new(classes, batch),
            batch,
            rows: 0,
            inferred: false,
        }
    }

    /// What the network is made of.
    ///
    /// # Panics
    /// If it was made of layers of its caller's.
    pub fn architecture(&self) -> &Architecture {
        self.architecture.as_ref().expect("a network of layers of one's own has no architecture")
    }

    /// Compiles the training program again, for batches of `rows` and an optimizer that has `slots` vectors of state a
    /// parameter: dW is fed to the update as long as it, the weights and the state stay in L2. At first it is compiled for
    /// the largest batch and no state. A batch of another size is planned on the way.
    pub fn compile_for(&mut self, exec: Exec, rows: usize, slots: usize) {
        let (pass, rows) = (Pass::Training { step: 0 }, rows.min(self.batch));
        self.training = compile(exec, &mut self.nodes, self.inputs, rows, pass, slots, self.fusion);
    }

    /// The programs of a training step and of inference, to look at.
    pub fn programs(&self) -> [&Program; 2] {
        [&self.training, &self.inference]
    }

    /// The largest batch a call takes.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The kinds of the layers, in order.
    pub fn kinds(&self) -> Vec<&'static str> {
        self.nodes.iter().map(|node| node.as_layer().kind()).collect()
    }

    /// Number of layers.
    pub fn depth(&self) -> usize {
        self.nodes.len()
    }

    /// Y of a layer for the first `rows` rows of the last forward pass.
    ///
    /// # Panics
    /// If there is no such layer, or fewer rows; or if a kernel that was fused does not store this Y.
    pub fn activation(&self, layer: usize, rows: usize) -> View<'_, f32, 2> {
        assert!(rows <= self.rows, "{rows} rows of the {} of the last forward pass", self.rows);
        let program = if self.inferred { &self.inference } else { &self.training };
        assert!(program.stores(layer), "Y of layer {layer} is not stored: the layer behind it is fused with it");
        self.buffers.activations[layer].head(rows)
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
        expect_shape("network", "the batch", x.shape(), [rows.min(self.batch).max(1), self.inputs])?;
        (self.rows, self.inferred) = (rows, pass == Pass::Inference);
        let program = if self.inferred { &self.inference } else { &self.training };
        infer(program, &mut self.nodes, &mut self.buffers, Step { exec, pass, batch: x, rows })?;
        Ok(self.buffers.activations[self.nodes.len() - 1].head(rows))
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
        let (batch, rows, pass) = (Batch::Floats(x), x.rows(), Pass::Training { step });
        self.forward_batch(exec, pass, batch)?;
        let loss = self.loss(exec, labels)?;
        let step = Step { exec, pass, batch, rows };
        train(&self.training, &mut self.nodes, &mut self.buffers, step, None, see)?;
        Ok(loss)
    }

    /// One training step: forward, loss, backward, and every parameter moved by `rule`, with a state for each. The
    /// gradients are not kept where the update is fed with them.
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
        let parameters = self.training.first_parameter[self.nodes.len()];
        assert_eq!(state.len(), parameters, "one state a parameter");
        let (rows, pass) = (x.shape()[0], Pass::Training { step });
        self.forward_batch(exec, pass, x)?;
        let loss = self.loss(exec, labels)?;
        let step = Step { exec, pass, batch: x, rows };
        train(&self.training, &mut self.nodes, &mut self.buffers, step, Some((rule, state)), &mut |_, _| ())?;
        Ok(loss)
    }

    /// The mean loss of the last forward pass, whatever its mode. The gradient of the logits is left for the backward
    /// pass; without one, nothing is learnt.
    ///
    /// # Errors
    /// If the labels are not one a row of that pass.
    pub fn loss(&mut self, exec: Exec, labels: &[u8]) -> Result<f32, ShapeError> {
        let (last, Buffers { activations, gradients }) = (self.nodes.len() - 1, &mut self.buffers);
        let logits = activations[last].head(self.rows);
        self.loss.forward_backward(exec, logits, labels, gradients[last].head_mut(self.rows))
    }

    /// Calls `visit(layer, parameter)` for every parameter, in network order.
    pub fn parameters(&mut self, visit: &mut dyn FnMut(usize, Parameter<'_>)) {
        for (i, node) in self.nodes.iter_mut().enumerate() {
            node.as_layer_mut().parameters(&mut |parameter| visit(i, parameter));
        }
    }

    /// Calls `visit(layer, statistic)` for every running statistic, in network order.
    pub fn statistics(&mut self, visit: &mut dyn FnMut(usize, Statistic<'_>)) {
        for (i, node) in self.nodes.iter_mut().enumerate() {
            node.as_layer_mut().statistics(&mut |statistic| visit(i, statistic));
        }
    }

    /// The weights of every layer that has some ([`Layer::weights`]), in network order.
    pub fn weights(&self) -> impl Iterator<Item = &[f32]> {
        self.nodes.iter().map(|node| node.as_layer().weights()).filter(|weights| !weights.is_empty())
    }

    /// The lengths of the parameters, in network order: what an optimizer is made for.
    pub fn parameter_lengths(&mut self) -> Vec<usize> {
        let mut lengths = Vec::new();
        self.parameters(&mut |_, parameter| lengths.push(parameter.value.len()));
        lengths
    }
}

/// A layer on its way into a network: `NetworkLayer::from(Affine::new(…))` for one of this crate, or
/// `NetworkLayer::custom(…)` for any other.
pub struct NetworkLayer(Node);

impl NetworkLayer {
    /// Any layer, known by its trait alone.
    pub fn custom(layer: impl Layer + 'static) -> Self {
        Self(Node::Other(Box::new(layer)))
    }
}

impl<L: Into<Node>> From<L> for NetworkLayer {
    fn from(layer: L) -> Self {
        Self(layer.into())
    }
}
