//! The layers of the chapter's networks, forward and backward side by side, and the network that strings them together.
//!
//! | layer | file | forward | backward needs |
//! |---|---|---|---|
//! | affine (with or without ReLU) | `affine.rs` | Y = X·W + b | X, and Y for a ReLU the next layer does not gate |
//! | ReLU | `relu.rs` | max(0, x) | Y |
//! | sigmoid | `sigmoid.rs` | 1/(1 + e⁻ˣ) | Y |
//! | tanh | `tanh.rs` | tanh x | Y |
//! | batch norm (alone or with ReLU) | `batch_norm.rs` | γ·(x − μ)/√(σ² + ε) + β | X, μ, 1/√(σ² + ε) |
//! | dropout | `dropout.rs` | x where kept | the mask, made anew; Y where it gates |
//! | softmax + cross-entropy | `softmax_loss.rs` | −ln softmax(x)ₜ | nothing: dX is made with the loss |
//!
//! A layer implements [`Layer`]; a [`Network`] owns the layers, the activations between them and the gradients. Buffers
//! are sized once, for the largest batch: a warm training step of up to 2048 rows allocates nothing.
//!
//! Shapes: a batch is B×I, one sample a row; weights are I×O, as in the book.

#![forbid(unsafe_code)]

mod activation;
mod affine;
mod batch_norm;
mod dropout;
mod init;
mod layer;
mod network;
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
pub use network::{Architecture, Network};
pub use relu::Relu;
pub use sigmoid::Sigmoid;
pub use softmax_loss::{SoftmaxLoss, argmax, count_right};
pub use stream::{Stream, stream};
pub use tanh::Tanh;
