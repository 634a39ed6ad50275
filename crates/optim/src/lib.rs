//! The chapter's optimizers, and two that followed them. Each is one fused pass over weights, gradient and state.
//!
//! | rule | file | state | bytes moved for each weight |
//! |---|---|---|---|
//! | SGD | `sgd.rs` | none | 12 |
//! | momentum | `momentum.rs` | v | 20 |
//! | Nesterov | `nesterov.rs` | v | 20 |
//! | AdaGrad | `adagrad.rs` | h | 20 |
//! | RMSProp | `rmsprop.rs` | h | 20 |
//! | Adam, AdamW | `adam.rs` | m, v | 28 |
//!
//! The book and PyTorch differ in details: where ε stands, and whether the learning rate is inside the velocity. Both
//! forms are here ([`Form`]). An [`Optimizer`] holds a [`Rule`], its state for every parameter, and the learning rate.
//! A [`Schedule`] may change the rate from epoch to epoch.
//!
//! `lanes.rs` holds the loop that all rules share, and each rule's file what the rule does to sixteen elements.
//!
//! ```
//! use optim::{Form, Optimizer, Rule};
//! use tensor::Exec;
//!
//! let mut weights = vec![1.0_f32; 4];
//! let gradient = vec![0.5_f32; 4];
//! let mut optimizer = Optimizer::new(Rule::SGD, Form::Book, 0.1, &[4]);
//! optimizer.begin_step();
//! optimizer.update(Exec::serial(), 0, &mut weights, &gradient, 0.0);
//! assert_eq!(weights, [0.95; 4]);
//! ```

#![forbid(unsafe_code)]

mod adagrad;
mod adam;
mod lanes;
mod momentum;
mod nesterov;
mod optimizer;
mod rmsprop;
mod rule;
mod schedule;
mod sgd;

pub use optimizer::{Optimizer, Step};
pub use rule::{Form, Rule};
pub use schedule::Schedule;
