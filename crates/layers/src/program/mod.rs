//! A network as a program: the list of kernels that a step runs, in order.
//!
//! ```text
//! layers          compile.rs            fusion.rs               run.rs
//! affine 100 ─┐   Y₀ = X·W + b          Y₁ = relu(X·W + b)
//! relu        ├─▶ Y₁ = relu(Y₀)      ─▶ Y₂ = Y₁·W + b        ─▶ one kernel after the other; what is off the critical
//! affine 10  ─┘   Y₂ = Y₁·W + b         loss, dY₂               path on another thread
//!                 loss, dY₂             dY₀ = dY₂·Wᵀ, gated
//!                 dY₁ = dY₂·Wᵀ          …
//!                 dY₀ = relu′·dY₁
//!                 …
//! ```
//!
//! A network is compiled once for a batch size, into a program for training and one for inference. Each kernel says what
//! it reads and writes, how large it is, and how its product is planned; so a program can be printed. The unfused program
//! computes the same bits. It is the test of every rule of [`fusion`](Fusion).

mod compile;
mod fusion;
mod run;

pub(crate) use compile::compile;
pub use fusion::{Fusion, Rule};
pub(crate) use run::{Buffers, Step, infer, train};

use crate::layer::State;
use std::fmt;
use tensor::matmul::{Plan, Zeros};

/// What a kernel reads or writes, by number: Yᵢ and dYᵢ of layer i.
pub type Buffer = usize;

/// What a kernel does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// Y of a layer from X.
    Forward {
        /// With a ReLU on it.
        relu: bool,
        /// Multiplied by this: dropout at inference.
        scale: f32,
    },
    /// The loss, and dY of the last layer.
    Loss,
    /// dX and the gradients of a layer.
    Backward,
    /// dX = dY·Wᵀ of an affine layer.
    InputGradient,
    /// dW = Xᵀ·dY of an affine layer.
    WeightGradient,
    /// db = Σ dY of an affine layer.
    BiasGradient,
    /// The parameters of a layer from their gradients.
    Update,
    /// dW = Xᵀ·dY of an affine layer, fed to the update of W; and the update of b.
    FusedUpdate,
}

/// A kernel of a program.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The layer it is of.
    pub layer: usize,
    /// What it does.
    pub action: Action,
    /// X: the Y of this layer, or the batch.
    pub x: Option<Buffer>,
    /// Where Y is written (forward), or read.
    pub y: Buffer,
    /// Where dX is written: the dY of this layer.
    pub dx: Option<Buffer>,
    /// dX is 0 where this Y is ≤ 0.
    pub gate: Option<Buffer>,
    /// Whether the A of its product may hold zeros.
    pub zeros: Zeros,
    /// m, k and n of a product; else the rows and columns that are read, and 0.
    pub shape: [usize; 3],
    /// Floating-point operations, and bytes that are moved at least.
    pub flops: u64,
    /// See `flops`.
    pub bytes: u64,
    /// How its product is planned.
    pub plan: Option<Plan>,
    /// Off the critical path: another thread may run it while the layers below go on.
    pub deferred: bool,
    /// The rules that made it.
    pub fused: Vec<Rule>,
}

/// The kernels of a step, for a batch size.
#[derive(Clone, Debug)]
pub struct Program {
    /// The kernels in the order they run.
    pub kernels: Vec<Kernel>,
    /// The largest batch.
    pub rows: usize,
    /// Kinds of the layers.
    pub(crate) kinds: Vec<&'static str>,
    /// How many parameters the layers before each have together; behind the last, all.
    pub(crate) first_parameter: Vec<usize>,
}

impl Program {
    /// The state of the parameters of the layers below layer i, and of its own, of a state of at least those.
    fn split_state<'a>(&self, i: usize, state: &'a mut [State]) -> (&'a mut [State], &'a mut [State]) {
        let (below, rest) = state.split_at_mut(self.first_parameter[i]);
        let own = self.first_parameter[i + 1] - self.first_parameter[i];
        (below, &mut rest[..own])
    }

    /// Whether a kernel applies the derivative of the ReLU that layer i is.
    fn is_gated(&self, i: usize) -> bool {
        self.kinds.get(i) == Some(&"relu")
            && !self.kernels.iter().any(|kernel| kernel.layer == i && kernel.action == Action::Backward)
    }

    /// Whether Y of layer i is stored.
    pub(crate) fn stores(&self, i: usize) -> bool {
        self.kernels.iter().any(|kernel| matches!(kernel.action, Action::Forward { .. }) && kernel.y == i)
    }
}

impl Kernel {
    /// What it computes, as an equation of the buffers.
    pub fn equation(&self) -> String {
        let x = self.x.map_or_else(|| "X".to_owned(), |x| format!("Y{x}"));
        let (i, y) = (self.layer, format!("Y{}", self.y));
        let dx = self.dx.map_or_else(String::new, |dx| format!("dY{dx}"));
        let gate = self.gate.map_or_else(String::new, |gate| format!(", 0 where Y{gate} ≤ 0"));
        match self.action {
            Action::Forward { relu, scale } => {
                let inner = format!("layer{i}({x})");
                let inner = if relu { format!("relu({inner})") } else { inner };
                if scale == 1.0 { format!("{y} = {inner}") } else { format!("{y} = {scale}·{inner}") }
            }
            Action::Loss => format!("loss, dY{i} = softmax({y}) − labels"),
            Action::Backward if dx.is_empty() => format!("gradients of layer {i} from dY{i}"),
            Action::Backward => format!("{dx} = layer{i}′(dY{i}){gate}"),
            Action::InputGradient => format!("{dx} = dY{i}·W{i}ᵀ{gate}"),
            Action::WeightGradient => format!("dW{i} = {x}ᵀ·dY{i}"),
            Action::BiasGradient => format!("db{i} = Σ dY{i}"),
            Action::Update => format!("update of layer {i}"),
            Action::FusedUpdate => format!("W{i} ← update(W{i}, {x}ᵀ·dY{i}), b{i}"),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers: Vec<String> = self.kinds.iter().enumerate().map(|(i, kind)| format!("{i} {kind}")).collect();
        writeln!(f, "batch of {}; layers: {}", self.rows, layers.join(", "))?;
        for (at, kernel) in self.kernels.iter().enumerate() {
            let [m, k, n] = kernel.shape;
            let shape = if n == 0 { format!("{m}x{k}") } else { format!("{m}x{k}x{n}") };
            let (mflop, kib) = (kernel.flops as f64 / 1e6, kernel.bytes as f64 / 1024.0);
            let equation = kernel.equation();
            write!(f, "{at:3}  {equation:44} {shape:>13} {mflop:8.3} MFLOP {kib:8.1} KiB")?;
            if kernel.deferred {
                write!(f, "  [deferred]")?;
            }
            for rule in &kernel.fused {
                write!(f, "  [{}]", rule.name())?;
            }
            if let Some(plan) = &kernel.plan {
                let zeros = if kernel.zeros == Zeros::Ask { "; zeros are skipped if they pay" } else { "" };
                write!(f, "\n       {plan}{zeros}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
