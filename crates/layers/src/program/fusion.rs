//! Fusion: rewrite rules on the list of kernels.
//!
//! | rule | before | after |
//! |---|---|---|
//! | `affine-relu` | Y₀ = X·W + b; Y₁ = relu(Y₀) | Y₁ = relu(X·W + b): the ReLU is in the product's epilogue |
//! | `batch-norm-relu` | Y₀ = bn(X); Y₁ = relu(Y₀) | Y₁ = relu(bn(X)): a maximum as Y is stored |
//! | `relu-gate` | dY₁ = dY₂·Wᵀ; dY₀ = relu′·dY₁ | dY₀ = dY₂·Wᵀ, 0 where Y₁ ≤ 0: in the product's epilogue, or in dropout's backward |
//! | `dw-update` | dW = Xᵀ·dY; update | the update takes row panels of dW from the cache; dW is not stored |
//! | `dropout-scale` | Y₁ = relu(X·W + b); Y₂ = s·Y₁ | Y₂ = s·relu(X·W + b): inference |
//!
//! Each rule can be switched off. None changes a bit of what is computed: the same operations are done on the same
//! numbers, only without storing them in between. `tests/fusion.rs` holds random stacks of layers to that.

use super::{Action, Kernel, Program};
use crate::node::Node;

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A ReLU behind an affine layer.
    AffineRelu,
    /// A ReLU behind a batch normalisation.
    BatchNormRelu,
    /// A ReLU's derivative in the kernel that makes its dY.
    ReluGate,
    /// dW fed to the update.
    WeightUpdate,
    /// Dropout's factor at inference.
    DropoutScale,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::AffineRelu, Self::BatchNormRelu, Self::ReluGate, Self::WeightUpdate, Self::DropoutScale];

    /// The name, as printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::AffineRelu => "affine-relu",
            Self::BatchNormRelu => "batch-norm-relu",
            Self::ReluGate => "relu-gate",
            Self::WeightUpdate => "dw-update",
            Self::DropoutScale => "dropout-scale",
        }
    }
}

/// Which rules are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fusion([bool; Rule::ALL.len()]);

impl Default for Fusion {
    /// All rules.
    fn default() -> Self {
        Self([true; Rule::ALL.len()])
    }
}

impl Fusion {
    /// No rule: the layers one after the other.
    pub const NONE: Self = Self([false; Rule::ALL.len()]);

    /// The same with a rule on.
    #[must_use]
    pub fn with(mut self, rule: Rule) -> Self {
        self.0[rule as usize] = true;
        self
    }

    /// The same with a rule off.
    #[must_use]
    pub fn without(mut self, rule: Rule) -> Self {
        self.0[rule as usize] = false;
        self
    }

    /// Whether a rule is on.
    pub fn has(self, rule: Rule) -> bool {
        self.0[rule as usize]
    }

    /// Rewrites a program. `feeding_pays` says whether to feed dW of so many elements to its update does.
    pub(super) fn apply(self, program: &mut Program, nodes: &[Node], feeding_pays: impl Fn(usize) -> bool) {
        let relu = |kernel: &Kernel| matches!(nodes[kernel.layer], Node::Relu(_));
        let kernels = &mut program.kernels;
        if self.has(Rule::AffineRelu) {
            let affine = |kernel: &Kernel| matches!(nodes[kernel.layer], Node::Affine(_));
            fuse_forward(kernels, Rule::AffineRelu, affine, relu);
        }
        if self.has(Rule::BatchNormRelu) {
            let batch_norm = |kernel: &Kernel| matches!(nodes[kernel.layer], Node::BatchNorm(_));
            fuse_forward(kernels, Rule::BatchNormRelu, batch_norm, relu);
        }
        // A program of inference has no loss.
        if self.has(Rule::DropoutScale) && kernels.iter().all(|kernel| kernel.action != Action::Loss) {
            fuse_dropout_scale(kernels, nodes);
        }
        if self.has(Rule::ReluGate) {
            fuse_gates(kernels, nodes);
        }
        if self.has(Rule::WeightUpdate) {
            fuse_updates(kernels, feeding_pays);
        }
    }
}

/// Replaces kernels `at` and `at + 1` by the first, which then does what the second did.
fn merge(kernels: &mut Vec<Kernel>, at: usize, rule: Rule, change: impl FnOnce(&mut Kernel, Kernel)) {
    let second = kernels.remove(at + 1);
    kernels[at].fused.push(rule);
    change(&mut kernels[at], second);
}

/// A forward kernel of one kind and a ReLU behind it.
fn fuse_forward(
    kernels: &mut Vec<Kernel>,
    rule: Rule,
    first: impl Fn(&Kernel) -> bool,
    relu: impl Fn(&Kernel) -> bool,
) {
    let plain = Action::Forward { relu: false, scale: 1.0 };
    let mut at = 0;
    while at + 1 < kernels.len() {
        let [a, b] = [&kernels[at], &kernels[at + 1]];
        if a.action == plain && b.action == plain && first(a) && relu(b) && b.x == Some(a.y) {
            let ([layer, relu], y) = ([a.layer, b.layer], b.y);
            merge(kernels, at, rule, |kernel, _| {
                kernel.action = Action::Forward { relu: true, scale: 1.0 };
                kernel.y = y;
            });
            // The first layer's Y is no longer stored. Neither its backward nor the ReLU's uses it.
            for kernel in kernels.iter_mut().filter(|kernel| kernel.action == Action::Backward) {
                if kernel.layer == layer {
                    kernel.y = y;
                } else if kernel.layer == relu {
                    kernel.x = Some(y);
                }
            }
        }
        at += 1;
    }
}

/// An affine layer with its ReLU, and dropout behind it, at inference.
fn fuse_dropout_scale(kernels: &mut Vec<Kernel>, nodes: &[Node]) {
    let fused = Action::Forward { relu: true, scale: 1.0 };
    let mut at = 0;
    while at + 1 < kernels.len() {
        let [a, b] = [&kernels[at], &kernels[at + 1]];
        if let (Node::Affine(_), Node::Dropout(dropout)) = (&nodes[a.layer], &nodes[b.layer])
            && a.action == fused
            && b.x == Some(a.y)
        {
            let scale = dropout.inference_scale();
            merge(kernels, at, Rule::DropoutScale, |kernel, second| {
                kernel.action = Action::Forward { relu: true, scale };
                kernel.y = second.y;
            });
        }
        at += 1;
    }
}

/// The backward of a ReLU, and the kernel that writes its dY: dX of an affine layer, or dropout's backward.
fn fuse_gates(kernels: &mut Vec<Kernel>, nodes: &[Node]) {
    let mut at = 0;
    while at < kernels.len() {
        let kernel = &kernels[at];
        let is_relu = kernel.action == Action::Backward && matches!(nodes[kernel.layer], Node::Relu(_));
        let writer = kernels[..at].iter().position(|writer| {
            let can_gate = writer.action == Action::InputGradient
                || (writer.action == Action::Backward && matches!(nodes[writer.layer], Node::Dropout(_)));
            can_gate && writer.gate.is_none() && writer.dx == Some(kernel.layer)
        });
        // A ReLU that is the first layer has no dX.
        match writer.filter(|_| is_relu && kernel.dx.is_some()) {
            Some(writer) => {
                let relu = kernels.remove(at);
                let kernel = &mut kernels[writer];
                // Dropout's own Y is 0 where the ReLU's is, and where it dropped.
                kernel.gate = Some(if kernel.action == Action::InputGradient { relu.y } else { kernel.y });
                kernel.dx = relu.dx;
                kernel.fused.push(Rule::ReluGate);
            }
            None => at += 1,
        }
    }
}

/// dW and the update of its layer.
fn fuse_updates(kernels: &mut Vec<Kernel>, feeding_pays: impl Fn(usize) -> bool) {
    let mut at = 0;
    while at + 1 < kernels.len() {
        let [a, b] = [&kernels[at], &kernels[at + 1]];
        let [inputs, _, outputs] = a.shape;
        if a.action == Action::WeightGradient
            && b.action == Action::Update
            && a.layer == b.layer
            && feeding_pays(inputs * outputs)
        {
            merge(kernels, at, Rule::WeightUpdate, |kernel, _| {
                kernel.action = Action::FusedUpdate;
                kernel.plan = None;
            });
        }
        at += 1;
    }
}
