//! The layers of the chapter's networks, forward and backward side by side, and the network that strings them together.
//!
//! | layer | file | forward | backward needs |
//! |---|---|---|---|
//! | affine | `affine.rs` | Y = X·W + b | X |
//! | ReLU | `relu.rs` | max(0, x) | Y |
//! | sigmoid | `sigmoid.rs` | 1/(1 + e⁻ˣ) | Y |
//! | tanh | `tanh.rs` | tanh x | Y |
//! | batch norm | `batch_norm/` | γ·(x − μ)/√(σ² + ε) + β, a column | X, μ, 1/√(σ² + ε) |
//! | layer norm | `layer_norm.rs` | γ·(x − μ)/√(σ² + ε) + β, a row | X, μ, 1/√(σ² + ε) |
//! | dropout | `dropout.rs` | x where kept | the mask, made anew |
//! | softmax + cross-entropy | `softmax_loss.rs` | −ln softmax(x)ₜ | nothing: dX is made with the loss |
//!
//! A layer implements [`Layer`] and knows nothing of its neighbours. A [`Network`] is compiled into a [`Program`]: a list
//! of kernels, which `program/fusion.rs` rewrites ([`Rule`]), and which can be printed. Buffers are sized once, for the
//! largest batch: a warm training step allocates nothing.
//!
//! Shapes: a batch is B×I, one sample a row; weights are I×O, as in the book.

#![forbid(unsafe_code)]

mod activation;
mod affine;
mod batch_norm;
mod dropout;
mod init;
mod layer;
mod layer_norm;
mod network;
mod node;
pub mod program;
mod relu;
mod sigmoid;
mod softmax_loss;
mod stream;
mod tanh;

pub use activation::{Activation, Elementwise, Function};
pub use affine::Affine;
pub use batch_norm::{BatchNorm, BatchNormForm};
pub use dropout::{Dropout, DropoutForm};
pub use init::{Init, standard_normal};
pub use layer::{Batch, Layer, Parameter, Pass, Role, State, Statistic, UpdateRule};
pub use layer_norm::LayerNorm;
pub use network::{Architecture, Network, NetworkLayer};
pub use program::{Fusion, Program, Rule};
pub use relu::Relu;
pub use sigmoid::Sigmoid;
pub use softmax_loss::{SoftmaxLoss, argmax, count_right};
pub use stream::{Stream, stream};
pub use tanh::Tanh;
