//! Running a program: one kernel after the other, and what is off the critical path on another thread.

use super::{Action, Kernel, Program};
use crate::affine::{Finish, Route};
use crate::layer::{self, Batch, Pass, State, UpdateRule};
use crate::node::Node;
use tensor::profile::part;
use tensor::threads::{has_workers, with_deferred};
use tensor::{Exec, ShapeError, Tensor, View};

/// Yᵢ and dYᵢ of every layer that has them stored, for the largest batch.
pub(crate) struct Buffers {
    pub activations: Vec<Tensor<f32, 2>>,
    pub gradients: Vec<Tensor<f32, 2>>,
}

/// A batch, and how it is run.
#[derive(Clone, Copy)]
pub(crate) struct Step<'a> {
    pub exec: Exec,
    pub pass: Pass,
    pub batch: Batch<'a>,
    pub rows: usize,
}

impl<'a> Step<'a> {
    /// X of a kernel.
    fn input<'b>(&self, kernel: &Kernel, activations: &'b [Tensor<f32, 2>]) -> Batch<'b>
    where
        'a: 'b,
    {
        kernel.x.map_or(self.batch, |x| Batch::Floats(activations[x].head(self.rows)))
    }

    fn route<'k>(&self, kernel: &'k Kernel) -> Route<'k> {
        Route { exec: self.exec, plan: kernel.plan.as_ref(), zeros: kernel.zeros }
    }
}

/// Runs the forward kernels of a program.
pub(crate) fn infer(
    program: &Program,
    nodes: &mut [Node],
    buffers: &mut Buffers,
    step: Step<'_>,
) -> Result<(), ShapeError> {
    let forward = program.kernels.iter().take_while(|kernel| matches!(kernel.action, Action::Forward { .. }));
    for kernel in forward {
        let (before, after) = buffers.activations.split_at_mut(kernel.y);
        let (x, y) = (step.input(kernel, before), after[0].head_mut(step.rows));
        let Action::Forward { relu, scale } = kernel.action else { continue };
        part("forward", kernel.layer, || match &mut nodes[kernel.layer] {
            Node::Affine(layer) => {
                let finish = match (relu, scale) {
                    (false, _) => Finish::Bias,
                    (true, 1.0) => Finish::Relu,
                    (true, scale) => Finish::ReluScale(scale),
                };
                layer.output(step.route(kernel), x, finish, y)
            }
            Node::BatchNorm(layer) => layer.forward_with(step.exec, step.pass, x.floats("batch_norm"), y, relu),
            node => {
                let layer = node.as_layer_mut();
                layer.forward(step.exec, step.pass, x.floats(layer.kind()), y)
            }
        })?;
    }
    Ok(())
}

/// The update of a step: its rule, and the states of some layers' parameters, in order.
type Update<'a> = Option<(&'a dyn UpdateRule, &'a mut [State])>;

/// Runs the kernels behind the loss, whose dY is there. Without an update the gradients stay in the layers.
/// `see(layer, dY)` is called with each gradient before its layer uses it.
pub(crate) fn train(
    program: &Program,
    nodes: &mut [Node],
    buffers: &mut Buffers,
    step: Step<'_>,
    update: Update<'_>,
    see: &mut dyn FnMut(usize, View<'_, f32, 2>),
) -> Result<(), ShapeError> {
    let loss = program.kernels.iter().position(|kernel| kernel.action == Action::Loss);
    let kernels = &program.kernels[loss.expect("a program of training has a loss") + 1..];
    let mut walk = Walk { program, step, activations: &buffers.activations, see };
    walk.run(kernels, nodes, &mut buffers.gradients, update)
}

/// What all kernels of a backward pass have in common.
struct Walk<'a> {
    program: &'a Program,
    step: Step<'a>,
    activations: &'a [Tensor<f32, 2>],
    see: &'a mut dyn FnMut(usize, View<'_, f32, 2>),
}

impl Walk<'_> {
    /// Runs kernels of the layers that `nodes` begins with, from the last to the first.
    fn run(
        &mut self,
        kernels: &[Kernel],
        nodes: &mut [Node],
        gradients: &mut [Tensor<f32, 2>],
        mut update: Update<'_>,
    ) -> Result<(), ShapeError> {
        let Some(kernel) = kernels.first() else { return Ok(()) };
        let i = kernel.layer;
        if !kernel.deferred || update.is_none() || !has_workers() {
            part("backward", i, || self.one(kernel, nodes, gradients, &mut update))?;
            return self.run(&kernels[1..], nodes, gradients, update);
        }
        // All that is deferred of this layer, while the layers below go on.
        let (rule, state) = update.expect("as just asked");
        let count = kernels.iter().take_while(|kernel| kernel.deferred && kernel.layer == i).count();
        let (group, rest) = kernels.split_at(count);
        let (below, own) = nodes.split_at_mut(i);
        let (gradients_below, gradient) = gradients.split_at_mut(i);
        let (state_below, own_state) = self.program.split_state(i, state);
        let step = Step { exec: self.step.exec.one_thread(), ..self.step };
        let (activations, dy) = (self.activations, gradient[0].head(step.rows));
        let (done, updated) = with_deferred(
            || self.run(rest, below, gradients_below, Some((rule, state_below))),
            || {
                part("backward", i, || {
                    let (node, mut own) = (&mut own[0], Some((rule, own_state)));
                    group.iter().try_for_each(|kernel| of_parameters(step, kernel, node, activations, dy, &mut own))
                })
            },
        );
        done.and(updated)
    }

    /// Runs a kernel on the critical path.
    fn one(
        &mut self,
        kernel: &Kernel,
        nodes: &mut [Node],
        gradients: &mut [Tensor<f32, 2>],
        update: &mut Update<'_>,
    ) -> Result<(), ShapeError> {
        let (i, rows, step) = (kernel.layer, self.step.rows, self.step);
        let (below, own) = gradients.split_at_mut(i);
        let dy = own[0].head(rows);
        let first_use = matches!(kernel.action, Action::Backward | Action::InputGradient)
            || (i == 0 && kernel.action == Action::BiasGradient);
        if first_use {
            if self.program.is_gated(i + 1) {
                (self.see)(i + 1, dy);
            }
            (self.see)(i, dy);
        }
        let dx = kernel.dx.map(|dx| below[dx].head_mut(rows));
        let activation = |at: usize| self.activations[at].head(rows);
        match (kernel.action, &mut nodes[i], dx) {
            (Action::InputGradient, node, Some(dx)) => {
                node.affine().input_gradient(step.route(kernel), dy, kernel.gate.map(activation), dx)
            }
            (Action::Backward, Node::Dropout(layer), Some(dx)) if kernel.gate.is_some() => {
                layer.backward_gated(step.exec, activation(kernel.y), dy, dx)
            }
            (Action::Backward, node, dx) => {
                let layer = node.as_layer_mut();
                let x = step.input(kernel, self.activations).floats(layer.kind());
                layer.backward(step.exec, x, activation(kernel.y), dy, dx)
            }
            (_, node, _) => {
                let mut own = match update {
                    Some((rule, state)) => {
                        let rule: &dyn UpdateRule = *rule;
                        Some((rule, self.program.split_state(i, state).1))
                    }
                    None => None,
                };
                of_parameters(step, kernel, node, self.activations, dy, &mut own)
            }
        }
    }
}

/// Runs a kernel that makes gradients of a layer's parameters, or moves them. Without an update nothing is moved.
fn of_parameters(
    step: Step<'_>,
    kernel: &Kernel,
    node: &mut Node,
    activations: &[Tensor<f32, 2>],
    dy: View<'_, f32, 2>,
    update: &mut Update<'_>,
) -> Result<(), ShapeError> {
    let x = step.input(kernel, activations);
    match (kernel.action, update) {
        (Action::BiasGradient, _) => {
            node.affine().bias_gradient(step.exec, dy);
            Ok(())
        }
        (Action::FusedUpdate, Some((rule, state))) => {
            node.affine().fused_update(step.exec, (x, kernel.zeros), dy, *rule, state)
        }
        (Action::WeightGradient | Action::FusedUpdate, _) => node.affine().weight_gradient(step.route(kernel), x, dy),
        (Action::Update, Some((rule, state))) => {
            layer::update(step.exec, node.as_layer_mut(), *rule, state);
            Ok(())
        }
        (Action::Update, None) => Ok(()),
        (action, _) => unreachable!("{action:?} is not of parameters"),
    }
}
